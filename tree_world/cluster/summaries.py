"""What is known of a shard without asking it: boxes around what it holds.

One box around all would not do: those of regions overlap, and a few observations far out make one
that holds little else than nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.spatial
import scipy.special

from tree_world.cluster.regions import END

_BOXES = 64  # around the observations of a shard, or some more
_TOGETHER = 4096  # places that are compared with boxes at a time
_IN_A_BOX = 16  # observations, so that there are fewer boxes than observations


class Summary(NamedTuple):
    """What is known of a shard without asking it.

    Attributes
    ----------
    size : int
    low, high : numpy.ndarray of shape (n_boxes, dim)
        Corners of boxes, in one of which each of its places is, in metres.
    numbers : numpy.ndarray of int, of shape (n_boxes,)
        How many observations there are in each, at most.
    least_sds, greatest_sds : numpy.ndarray of shape (n_boxes,)
        In metres.
    oldest : int
        When its oldest observation was written, by the clock of the whole.
    witnesses : int
    """

    size: int
    low: np.ndarray
    high: np.ndarray
    numbers: np.ndarray
    least_sds: np.ndarray
    greatest_sds: np.ndarray
    oldest: int
    witnesses: int

    @classmethod
    def of_nothing(cls, dim: int, witnesses: int = 0) -> Summary:
        """Summarise an empty shard."""
        corners, none = np.empty((0, dim)), np.empty(0)
        return cls(0, corners, corners, none.astype(np.int64), none, none, END, witnesses)

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of a box around all its places; turned inside out if there are none."""
        return self.low.min(axis=0, initial=np.inf), self.high.max(axis=0, initial=-np.inf)

    @property
    def greatest_sd(self) -> float:
        """In metres; zero if there is nothing."""
        return float(self.greatest_sds.max(initial=0.0))

    def gaps(self, places: np.ndarray) -> np.ndarray:
        """Distances of places from the box around all, on each axis.

        Parameters
        ----------
        places : numpy.ndarray of shape (n, dim)

        Returns
        -------
        numpy.ndarray of shape (n, dim)
            Infinite if there is nothing in it.
        """
        low, high = self.box
        return np.asarray(np.maximum(np.maximum(low - places, places - high), 0.0))

    def squares(self, places: np.ndarray, most: float = np.inf) -> np.ndarray:
        """Squared distances of places from the nearest of the boxes.

        Parameters
        ----------
        places : numpy.ndarray of shape (n, dim)
        most : float, optional
            What is beyond this may come out as anything beyond it.

        Returns
        -------
        numpy.ndarray of shape (n,)
            In square metres; infinite if there is nothing.
        """
        found = np.asarray(np.square(self.gaps(places)).sum(axis=1))
        near = np.flatnonzero(found <= most)
        if len(near) and len(self.numbers) > 1:
            found[near] = squares_from_boxes(places[near], self.low, self.high)
        return found

    def greatest_log_weight(self, places: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """Bound the logarithm of the sum of all its weights, for each of some places.

        Parameters
        ----------
        places, variances : numpy.ndarray of shape (n, dim)
            One row of variances may stand for all.

        Returns
        -------
        numpy.ndarray of shape (n,)
        """
        if self.size == 0:
            return np.full(len(places), -np.inf)
        doubled = np.zeros((1, 1))
        for axis, squares in enumerate(_by_axis(places, self.low, self.high)):
            own = variances[:, axis, None]
            doubled = doubled + squares / (own + np.square(self.greatest_sds))
            doubled = doubled + np.log(2 * np.pi * (own + np.square(self.least_sds)))
        return np.asarray(scipy.special.logsumexp(np.log(self.numbers) - doubled / 2, axis=1))


def squares_from_boxes(places: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Square the distances of places from the nearest of some boxes.

    Parameters
    ----------
    places : numpy.ndarray of shape (n, dim)
    low, high : numpy.ndarray of shape (n_boxes, dim)
        Their corners; there is one box at least.

    Returns
    -------
    numpy.ndarray of shape (n,)
        Zero within a box.
    """
    found = np.empty(len(places))
    for start in range(0, len(places), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        squares = np.zeros((1, 1))
        for of_axis in _by_axis(places[part], low, high):
            squares = squares + of_axis
        found[part] = squares.min(axis=1)
    return found


def _by_axis(places: np.ndarray, low: np.ndarray, high: np.ndarray) -> Iterator[np.ndarray]:
    """Squares of the distances of all places from all boxes, along each axis."""
    for least, greatest, own in zip(low.T, high.T, places.T, strict=True):
        gaps = np.maximum(least - own[:, None], own[:, None] - greatest)
        yield np.square(np.maximum(gaps, 0.0))


def _leaves(node: Any) -> Iterator[np.ndarray]:
    """Rows of the leaves of a tree, in the order in which it keeps them."""
    if node.split_dim == -1:
        yield node.indices
        return
    yield from _leaves(node.lesser)
    yield from _leaves(node.greater)


class Boxes:
    """Boxes around the observations of a shard, kept up as they come.

    What goes leaves them as they are, until half as much has changed as there was. Then they are
    made anew.

    Parameters
    ----------
    dim : int
        Of places.
    """

    def __init__(self, dim: int) -> None:
        corners, none = np.empty((0, dim)), np.empty(0)
        self.low, self.high = corners, corners.copy()
        self.numbers = none.astype(np.int64)
        self.least_sds, self.greatest_sds = none, none.copy()
        self._changes_left = 0

    def anew(self, places: np.ndarray, sds: np.ndarray) -> None:
        """Put boxes around observations.

        Parameters
        ----------
        places, sds : numpy.ndarray of float64, of shape (n, dim)
            In metres.
        """
        tree = scipy.spatial.cKDTree(
            places, max(_IN_A_BOX, -(-2 * len(places) // _BOXES)), balanced_tree=False
        )
        leaves = list(_leaves(tree.tree)) if len(places) else []
        self.numbers = np.array(list(map(len, leaves)), dtype=np.int64)
        starts, rows = np.cumsum(self.numbers) - self.numbers, tree.indices
        self.low, self.high, least, greatest = (
            function.reduceat(array[rows], starts)
            for array in (places, sds)
            for function in (np.minimum, np.maximum)
        )
        self.least_sds, self.greatest_sds = least.min(axis=1), greatest.max(axis=1)
        self._changes_left = len(places) // 2

    def change(self, number: int) -> bool:
        """Count what comes or goes; say whether boxes have to be made anew."""
        self._changes_left -= number
        return self._changes_left < 0

    def grow(self, places: np.ndarray, sds: np.ndarray) -> None:
        """Let the nearest boxes take in more; there is one at least.

        Parameters
        ----------
        places, sds : numpy.ndarray of float64, of shape (n, dim)
            In metres.
        """
        middles = (self.low + self.high) / 2
        which = scipy.spatial.cKDTree(middles).query(places)[1]
        np.minimum.at(self.low, which, places)
        np.maximum.at(self.high, which, places)
        np.minimum.at(self.least_sds, which, sds.min(axis=1))
        np.maximum.at(self.greatest_sds, which, sds.max(axis=1))
        np.add.at(self.numbers, which, 1)
