r"""How far known trees are, by a smell alone.

A scent is the sum of all trees' scents, each the weaker the farther the tree, and of words for
amounts of fruit (see `tree_world.simulation.SimpleSensor`). Where what trees are like is known, a
smell z tells the strengths of all of them at once, as they are no sums of each other:

.. math:: z \approx \sum_i q_i z_i + \sum_k a_k w_k, \qquad r_i = M \sqrt{\ln(1/q_i) / \ln(1/a)},

by least squares. What an unknown tree adds is partly laid to the charge of known ones; how much,
is told by what is left, u: each strength is in doubt by some share of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tree_world.checks import positive_distance, positive_number

DOUBT = 0.5
"""By what share of the smell that is left over a strength may err, as a deviation."""


class Ranges(NamedTuple):
    """How far known trees are.

    Attributes
    ----------
    distances : numpy.ndarray of shape (m,)
        In metres; those too faint to tell are infinite.
    sds : numpy.ndarray of shape (m,)
        Their deviations, in metres; infinite likewise.
    """

    distances: np.ndarray
    sds: np.ndarray


class Scents:
    """Tells distances of known trees by smells.

    Parameters
    ----------
    words : numpy.ndarray of shape (k, sensory_dim)
        What the words for amounts are like.
    edge_strength : float, default=0.1
        Strength a of a scent at the reach of the nose.
    faintest : float, default=2e-5
        Deviation of a strength by rounding.

    Raises
    ------
    ValueError
        If a strength is not positive.

    Examples
    --------
    >>> scents = Scents(words=np.eye(4)[:1])
    >>> scents.know(np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]))
    >>> ranges = scents.ranges(np.array([0.4, 0.1, 0.5, 0.0]), reach=100.0)
    >>> ranges.distances.round(1)
    array([100. ,  54.9])
    """

    def __init__(
        self, words: np.ndarray, *, edge_strength: float = 0.1, faintest: float = 2e-5
    ) -> None:
        self.words = np.asarray(words, dtype=np.float64)
        self.edge_strength = positive_number("edge_strength", edge_strength)
        self.faintest = positive_number("faintest", faintest)
        self._plain = np.linalg.qr(self.words.T)[0]
        self.know(np.empty((0, self.words.shape[1])))

    def bare(self, senses: np.ndarray) -> np.ndarray:
        """Take the words for amounts away, so that a tree is the same with and without fruit.

        Parameters
        ----------
        senses : numpy.ndarray of shape (..., sensory_dim)

        Returns
        -------
        numpy.ndarray of shape (..., sensory_dim)
        """
        left: np.ndarray = senses - (senses @ self._plain) @ self._plain.T
        return left

    def know(self, senses: np.ndarray) -> None:
        """Be told what all known trees are like.

        Parameters
        ----------
        senses : numpy.ndarray of shape (m, sensory_dim)
            With words for amounts, or without.
        """
        self._basis = self.bare(np.asarray(senses, dtype=np.float64))
        self._inverse = np.linalg.pinv(self._basis.T)
        # By how much each strength answers to what is laid to its charge, at most.

    def ranges(self, smell: np.ndarray, reach: float) -> Ranges:
        """Say how far each known tree is.

        Parameters
        ----------
        smell : numpy.ndarray of shape (sensory_dim,)
        reach : float
            The reach M of the nose, in metres.

        Returns
        -------
        Ranges
            In the order in which trees were told.

        Raises
        ------
        ValueError
            If the reach is not positive.
        """
        metres = positive_distance("reach", reach)
        bare = self.bare(np.asarray(smell, dtype=np.float64))
        strengths = self._inverse @ bare
        left = float(np.linalg.norm(bare - strengths @ self._basis))
        doubt = np.full(len(strengths), DOUBT * left) + self.faintest
        steep = metres**2 / (2 * math.log(1 / self.edge_strength))
        told = strengths > 3 * doubt
        distances = np.full(len(strengths), np.inf)
        sds = distances.copy()
        share = np.minimum(strengths[told], 1.0)
        distances[told] = np.sqrt(-2 * steep * np.log(share))
        # The square of the distance is what errs evenly, down to none.
        by_square = 2 * steep * doubt[told] / share
        sds[told] = by_square / np.maximum(2 * distances[told], np.sqrt(by_square))
        return Ranges(distances, sds)
