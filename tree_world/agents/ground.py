r"""The ground that is known, by the smells along the way, and what may be found beyond.

A scent is the sum of all trees' scents, each the weaker the farther the tree. Of what is remembered
of smells, that part is *explained* which known trees can account for, at whatever distance:

.. math:: u_t = \lVert (I - P) z_t \rVert,

where P projects onto the span of what known trees are like, and of the words for amounts, which all
trees share. An unknown tree at distance r adds some :math:`\kappa s(r)` to it, s being the strength
of a scent at a distance, and κ, between 0.6 and 1.5 in the default vocabulary, what is left of a
tree's own scent. So

- where :math:`u_t` is small, no unknown tree stands within :math:`s^{-1}(u_t / \kappa_\min)`:
  *this ground is known*, though nobody saw it;
- where it is not, one does stand within :math:`s^{-1}(u_t / (n \kappa_\max))`, if n make the smell
  strange. As strength falls faster than exponentially with distance, it is mostly the nearest alone
  that counts, and n is taken for one.

All smells are looked at anew as trees become known: what was remembered as strange is understood
later. Nothing is assumed of the nose but that it is exact; a noisy one would see less far.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.ndimage
import scipy.spatial
import torch

from tree_world.checks import positive_distance, positive_number
from tree_world.models.memory import Memory

__all__ = ["OWN_SHARE"]

SMELL_SD = 5.0
"""Deviation with which a smell is written, in metres."""

OWN_SHARE = (0.6, 1.5)
"""Least and greatest length of what known trees leave of the scent of an unknown one."""


class Prospects(NamedTuple):
    """What may be found where nothing is known.

    Attributes
    ----------
    places : numpy.ndarray of shape (n, 2)
        Of which nothing is known, in metres.
    trees : numpy.ndarray of shape (n,)
        How many trees that nobody has seen are expected within sight of each.
    """

    places: np.ndarray
    trees: np.ndarray


class Ground:
    """Where the agent has been, as the smells that it remembers.

    Parameters
    ----------
    smells : Memory
        In two dimensions, empty.
    words : numpy.ndarray of shape (k, sensory_dim)
        What the words for amounts are like.
    edge_strength : float, default=0.1
        Strength of a scent at the reach of the nose.
    faintest : float, default=2e-5
        Least strength that is told from none: some rounding errors of a smell.
    spacing : float, default=10.0
        A smell is written where none is remembered within so many metres.
    cell : float, default=40.0
        Side of the squares that the ground is cut into, in metres.
    prior_spread : float, default=200.0
        How far trees are taken to stand from the start, as a deviation of each coordinate.
    prior_trees : float, default=3.0
        How many trees that weighs as much as.

    Raises
    ------
    ValueError
        If a length or a strength is not positive.

    Examples
    --------
    >>> ground = Ground(Memory(2, 3), words=np.eye(3)[:1])
    >>> ground.unexplained(np.array([[5.0, 0.0, 2.0]]), senses=np.empty((0, 3)))
    array([2.])
    >>> ground.distance_of(np.array([1.0, 0.1]), reach=100.0)
    array([  0., 100.])
    """

    def __init__(
        self,
        smells: Memory,
        words: np.ndarray,
        *,
        edge_strength: float = 0.1,
        faintest: float = 2e-5,
        spacing: float = 10.0,
        cell: float = 40.0,
        prior_spread: float = 200.0,
        prior_trees: float = 3.0,
    ) -> None:
        self.smells, self.words = smells, np.asarray(words, dtype=np.float64)
        self.edge_strength = positive_number("edge_strength", edge_strength)
        self.faintest = positive_number("faintest", faintest)
        self.spacing = positive_distance("spacing", spacing)
        self.cell = positive_distance("cell", cell)
        self.prior_spread = positive_distance("prior_spread", prior_spread)
        self.prior_trees = positive_number("prior_trees", prior_trees)
        self.start: np.ndarray | None = None
        self._last: np.ndarray | None = None

    def pass_by(self, position: np.ndarray, smell: torch.Tensor, time: int) -> None:
        """Write what is smelled, unless something is remembered close by."""
        if self._last is not None and np.array_equal(position, self._last):
            return
        self.start = position.copy() if self.start is None else self.start
        self._last = position.copy()
        if len(self.smells) and len(self.smells.neighbours(position, self.spacing)):
            return
        where = torch.from_numpy(position).float()[None]
        self.smells.write(where, SMELL_SD, smell[None], times=float(time))

    def unexplained(self, smells: np.ndarray, senses: np.ndarray) -> np.ndarray:
        """Say how much of smells no known tree accounts for.

        Parameters
        ----------
        smells : numpy.ndarray of shape (n, sensory_dim)
        senses : numpy.ndarray of shape (m, sensory_dim)
            What the known trees are like.

        Returns
        -------
        numpy.ndarray of shape (n,)
            Lengths u of what is left.
        """
        known = np.vstack([self.words, senses]).astype(np.float64)
        basis = np.linalg.qr(known.T)[0]
        left: np.ndarray = np.linalg.norm(smells - (smells @ basis) @ basis.T, axis=1)
        return left

    def distance_of(self, strength: np.ndarray, reach: float) -> np.ndarray:
        r"""Give the distance at which a scent has a strength.

        .. math:: s^{-1}(q) = M \sqrt{\ln(1/q) / \ln(1/a)}

        Parameters
        ----------
        strength : numpy.ndarray
            Shares q, of which those above 1 are taken for 1.
        reach : float
            The reach M of the nose, in metres, where a share a, `edge_strength`, is left.

        Returns
        -------
        numpy.ndarray
            In metres.
        """
        share = np.log(1 / np.minimum(strength, 1.0)) / math.log(1 / self.edge_strength)
        distance: np.ndarray = reach * np.sqrt(share)
        return distance

    def prospects(
        self, position: np.ndarray, reach: float, trees: np.ndarray, senses: np.ndarray
    ) -> Prospects:
        r"""Say what may be found, and where.

        Trees are taken to stand around a middle with a spread, both estimated from those that are
        known and from a prior. If n are known and a share q of that distribution lies on known
        ground, :math:`(n + 1) / (q + 0.1)` are taken to stand anywhere; those that nobody knows lie
        on the other ground. Each tree that a smell tells of comes on top of that.

        Parameters
        ----------
        position : numpy.ndarray of shape (2,)
            The agent's own place, in metres.
        reach : float
            Of eyes and nose, in metres.
        trees : numpy.ndarray of shape (m, 2)
            Where known trees stand.
        senses : numpy.ndarray of shape (m, sensory_dim)
            What they are like.

        Returns
        -------
        Prospects
        """
        stored = self.smells.observations()
        been = stored.locations.double().numpy()
        left = self.unexplained(stored.senses.double().numpy(), senses)
        cells, density, side = self._ground_around(position, reach, trees)
        away = scipy.spatial.distance.cdist(cells, been)
        clear = self.distance_of(np.maximum(left / OWN_SHARE[0], self.faintest), reach)
        known = (away < clear).any(axis=1)
        number = (len(trees) + 1.0) / (float(density[known].sum()) + 0.1)
        expected = np.where(known, 0.0, number * density)
        while len(left) and left.max() >= 2 * self.faintest:
            strongest = int(left.argmax())
            farthest = self.distance_of(left[strongest] / OWN_SHARE[1], reach) + 0.7 * self.cell
            around = ~known & (away[:, strongest] <= farthest)
            share = float(density[around].sum())
            if share > 0:
                expected[around] += density[around] / share
            # What was smelled near there tells of the same tree.
            left[np.hypot(*(been - been[strongest]).T) < 1.5 * reach] = 0.0
        return Prospects(cells[~known], self._within_sight(expected, side, reach)[~known])

    def _ground_around(
        self, position: np.ndarray, reach: float, trees: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Cut the ground into squares; say how likely a tree stands in each."""
        prior, number = self.prior_trees, len(trees)
        start = position if self.start is None else self.start
        middle = (prior * start + trees.sum(axis=0)) / (prior + number)
        squares = ((trees - middle) ** 2).sum() + 2 * prior * self.prior_spread**2
        variance = squares / (2 * (prior + number))
        half = max(2.5 * math.sqrt(variance), np.abs(position - middle).max() + 2 * reach)
        side = math.ceil(half / self.cell)
        steps = np.arange(-side, side + 1) * self.cell
        offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
        density = np.exp(-(offsets**2).sum(axis=1) / (2 * variance))
        density *= self.cell**2 / (2 * math.pi * variance)
        return middle + offsets, density, len(steps)

    def _within_sight(self, expected: np.ndarray, side: int, reach: float) -> np.ndarray:
        """Sum what is expected over discs of 0.7 of the reach, in which little stays hidden."""
        radius = 0.7 * reach
        steps = np.arange(-(radius // self.cell), radius // self.cell + 1) * self.cell
        disc = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.float64)
        square = expected.reshape(side, side)
        summed: np.ndarray = scipy.ndimage.convolve(square, disc, mode="constant").reshape(-1)
        return summed
