"""The one face of all rivals, and what several of them share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array

from benchmarks.rival_problem import Problem

THREADS = 1  # of each way, as whoever lives has other work for the other processors
FAINT = 1.0  # sum of weights below which a read without a threshold looks farther than its reach

Array: TypeAlias = npt.NDArray[Any]


class DoesNotFit(Exception):
    """A way would need more memory than it is given."""


class NotHere(Exception):
    """A way needs something that this machine lacks."""


class Way:
    """A way to the same reads.

    Parameters
    ----------
    problem : Problem
        What is remembered is prepared for reading.

    Attributes
    ----------
    name : str
    devices : tuple of str
        Kinds of devices that it can read on.
    can_be_written_to : bool
    efforts : tuple of int
        Of an approximate way: how much it is asked for, from little to much.
    largest : int or None
        The most observations that it is tried with.
    """

    name: ClassVar[str]
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    can_be_written_to: ClassVar[bool] = False
    efforts: ClassVar[tuple[int, ...]] = ()
    largest: ClassVar[int | None] = None

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.number = problem.size  # observations so far

    def make_an_effort(self, effort: int) -> None:
        """Ask for so much from now on."""
        raise NotImplementedError

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Remember one more observation, of shapes (2,) and (d,)."""
        raise NotImplementedError

    def read_one(self, place: torch.Tensor) -> torch.Tensor:
        """Read at one place, of shape (2,)."""
        return self.read_many(place[None])[0]

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Read at many places, of shape (Q, 2)."""
        raise NotImplementedError

    def num_bytes(self) -> int:
        """Count what must be held to read: observations, and all copies and indexes."""
        return self.bytes_of_observations() + self.bytes_of_index()

    def bytes_of_observations(self) -> int:
        """Count places and senses, as they are given."""
        rows = (self.problem.locations[:1], self.problem.senses[:1])
        return self.number * sum(row.numel() * row.element_size() for row in rows)

    def bytes_of_index(self) -> int:
        """Count what is held beside them."""
        return 0


# --- ways that find pairs, and then weigh them ----------------------------------------------------


class Pairs(NamedTuple):
    """Which observations count for which query, ordered by query.

    Attributes
    ----------
    ends : numpy.ndarray of int, of shape (Q + 1,)
        Those of query q are ``columns[ends[q] : ends[q + 1]]``.
    columns : numpy.ndarray of int
    """

    ends: Array
    columns: Array


class Finder(Way):
    """Finds the observations within reach; weighs them; multiplies by a sparse matrix.

    What is found is weighed by differences in double precision. Observations and what is written
    later stand in two arrays.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.locations, self.senses = problem.all_locations.numpy(), problem.all_senses.numpy()

    def find(self, places: Array, reach: float) -> Pairs:
        """Find all observations within reach of each place, and perhaps a few just beyond."""
        raise NotImplementedError

    def find_of_one(self, place: Array, reach: float) -> Array:
        """Find all observations within reach of one place."""
        return self.find(place[None], reach).columns

    def nearest(self, places: Array) -> Array:
        """Distance of each place to the nearest observation."""
        raise NotImplementedError

    def append(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Put one more observation behind the others."""
        self.locations[self.number], self.senses[self.number] = place.numpy(), sense.numpy()
        self.number += 1

    def read_one(self, place: torch.Tensor) -> torch.Tensor:
        """Weigh what is found, and add it up."""
        own, threshold = place.numpy().astype(np.float64), self.problem.match_threshold
        columns = self.find_of_one(place.numpy(), self.problem.reach)
        squares = np.square(self.locations[columns] - own).sum(axis=1)
        if threshold is not None:
            weights = self._weights(squares) * (squares <= threshold**2)
        else:
            weights = self._weights(squares)
            if weights.sum() < FAINT:
                least = float(self.nearest(place.numpy()[None])[0])
                columns = self.find_of_one(place.numpy(), math.hypot(least, self.problem.reach))
                squares = np.square(self.locations[columns] - own).sum(axis=1)
                weights = self._weights(squares - squares.min())
        total = weights.sum()
        if total == 0:
            return torch.zeros(self.senses.shape[1])
        return torch.from_numpy((weights / total).astype(np.float32) @ self.senses[columns])

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Weigh what is found, and multiply."""
        own = places.numpy()
        found, total = self._means(own, self.problem.reach)
        if self.problem.match_threshold is None and (faint := np.flatnonzero(total < FAINT)).size:
            least = self.nearest(own[faint]).astype(np.float64)
            for at, reach in zip(faint, np.hypot(least, self.problem.reach), strict=True):
                found[at] = self._means(own[at : at + 1], float(reach), least=True)[0][0]
        return torch.from_numpy(found)

    def _means(self, places: Array, reach: float, least: bool = False) -> tuple[Array, Array]:
        ends, columns = self.find(places, reach)
        rows = np.repeat(np.arange(len(places)), np.diff(ends))
        own = places.astype(np.float64)
        squares = np.square(own[rows, 0] - self.locations[columns, 0])
        squares += np.square(own[rows, 1] - self.locations[columns, 1])
        weights = self._weights(squares - squares.min() if least else squares)
        if self.problem.match_threshold is not None:
            weights *= squares <= self.problem.match_threshold**2
        total = np.bincount(rows, weights, minlength=len(places))
        weights /= np.where(total > 0, total, 1.0)[rows]
        return self._times_senses(weights.astype(np.float32), ends, columns), total

    def _weights(self, squares: Array) -> Array:
        weights: Array = np.exp(squares / (-2 * self.problem.variance))
        return weights

    def _times_senses(self, weights: Array, ends: Array, columns: Array) -> Array:
        """Multiply by the senses, in as many threads as there are, a share of the rows in each."""
        senses = self.senses[: self.number]

        def multiplied(rows: slice) -> Array:
            own = ends[rows.start : rows.stop + 1]
            part = slice(own[0], own[-1])
            shape = (len(own) - 1, len(senses))
            product: Array = (
                csr_array((weights[part], columns[part], own - own[0]), shape=shape) @ senses
            )
            return product

        number = len(ends) - 1
        if number < 2 * THREADS:
            return multiplied(slice(0, number))
        bounds = np.searchsorted(ends, np.linspace(0, ends[-1], THREADS + 1)[1:-1])
        cuts = [0, *bounds.tolist(), number]
        return np.concatenate(in_threads(multiplied, map(slice, cuts[:-1], cuts[1:])))


_POOL = ThreadPoolExecutor(THREADS)


def in_threads(work: Callable[[Any], Any], parts: Any) -> list[Any]:
    """Do the parts of some work at the same time."""
    return list(_POOL.map(work, parts))


def together(found: Sequence[tuple[Pairs, int]]) -> Pairs:
    """Join what several indexes have found for the same queries, whose columns begin elsewhere."""
    counts = np.stack([np.diff(pairs.ends) for pairs, _ in found])
    ends = np.concatenate([[0], np.cumsum(counts.sum(axis=0))])
    columns = np.empty(ends[-1], dtype=np.int64)
    starts = ends[:-1].copy()
    for (pairs, first), own in zip(found, counts, strict=True):
        at = np.repeat(starts - pairs.ends[:-1], own) + np.arange(len(pairs.columns))
        columns[at] = pairs.columns + first
        starts += own
    return Pairs(ends, columns)


def nearby(places: Array, locations: Array, reach: float) -> Pairs:
    """Compare all with all; for a few observations that are in no index yet."""
    squares = np.square(places[:, None].astype(np.float64) - locations).sum(axis=2)
    rows, columns = np.nonzero(squares <= reach**2)
    return Pairs(np.searchsorted(rows, np.arange(len(places) + 1)), columns)


# --- ways that look at blocks ---------------------------------------------------------------------


class Blocks:
    """Points that are put in order so that each run of so many lies close together.

    By sorting and tiling [1]_: strips of equal numbers along the first axis, each of which is put
    in order along the second.

    Parameters
    ----------
    points : torch.Tensor of shape (n, 2)
    length : int
        Points in a block; the last one may have fewer.

    Attributes
    ----------
    order : torch.Tensor of int, of shape (n,)
    starts, stops : torch.Tensor of int, of shape (n_blocks,)
    low, high : torch.Tensor of shape (n_blocks, 2)
        Corners of the boxes around them.

    References
    ----------
    .. [1] S. T. Leutenegger, M. A. Lopez and J. Edgington, "STR: a simple and efficient algorithm
       for R-tree packing", Proc. 13th ICDE, 1997, pp. 497-506.
    """

    def __init__(self, points: torch.Tensor, length: int) -> None:
        number, self.length = len(points), length
        count = -(-number // length)
        across = points[:, 0].argsort()
        strip = length * math.ceil(math.sqrt(count))
        strips = across.split(strip)
        self.order = torch.cat([one[points[one, 1].argsort()] for one in strips])
        self.starts = torch.arange(0, number, length)
        self.stops = (self.starts + length).clamp_max(number)
        filled = torch.cat([self.order, self.order[-1:].expand(count * length - number)])
        boxed = points[filled].view(count, length, 2)
        self.low, self.high = boxed.amin(dim=1), boxed.amax(dim=1)

    def __len__(self) -> int:
        return len(self.starts)

    def gaps(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """Distances between boxes and those of the blocks, of shape (n_boxes, n_blocks)."""
        apart = torch.maximum(self.low - high[:, None], low[:, None] - self.high)
        found: torch.Tensor = torch.linalg.vector_norm(apart.clamp_min_(0.0), dim=-1)
        return found

    def reaches(self, places: torch.Tensor, points: torch.Tensor, reach: float) -> torch.Tensor:
        """How far to look from each place for all that counts beside the nearest point.

        Parameters
        ----------
        places : torch.Tensor of shape (n, 2)
        points : torch.Tensor
            The points in order.
        reach : float
            Where the nearest is at the very place.
        """
        block = self.gaps(places, places).argmin(dim=1)
        own = self.starts[block][:, None] + torch.arange(self.length)
        own = points[own.clamp_max_(len(points) - 1)]
        least = torch.linalg.vector_norm(own - places[:, None], dim=-1).amin(dim=1)
        return torch.hypot(least, torch.tensor(reach))
