r"""Where a walk came by places that smell alike: closures, found by kriging among its own smells.

Each keyframe i at its present estimate :math:`x_i` is compared with a read (mean :math:`\bar z`,
slope J and variance v, by kriging) of the *other* keyframes, of those within a distance that were
smelled at least some 60 steps before or after: nothing confirms itself. The shift :math:`\delta` at
which they would smell the same has the least

.. math::

    (z_i - \bar z - J \delta)^\top N^{-1} (z_i - \bar z - J \delta) + \frac{\lVert \delta
    \rVert^2}{\sigma^2}, \qquad
    N = \frac{v}{a^2} \left(C + \eta a^2 I\right) + \nu^2 a^2 I, \qquad
    C = \tfrac1n Z^\top K^{-1} Z.

Here N is the covariance of what is read. Errors of a read lie where the smells of its n neighbours
Z differ, in the few directions of the trees nearby, and there they change with the place: C is the
most probable covariance of a field with these senses, in place of :math:`a^2 I`, and the small
share :math:`\eta` is left for smells that no neighbour has.

So the keyframe should lie at :math:`x_i + \delta`, as seen from the nearest of the others, with
which it moves from then on: it is tied to their mean, so weighted that the mean lies at
:math:`x_i + \delta`, with the least :math:`\sum_a w_a^2 (r_a^2 + r_0^2)` at the distances
:math:`r_a`. That matters: a keyframe that is tied to a mean *beside* it pulls at a lever. The pulls
of all closures then turn the whole walk, which no smell tells them to, and without a compass little
keeps them from it. Where the others lie along a line, it is tied to a mean on the line.

The information of a closure is

.. math::

    \Lambda = \frac{w}{\kappa}\, J^\top N^{-1} J, \qquad
    w = \frac{1}{\max(1, q / \rho^2)}, \qquad
    q = \frac1D\, e^\top N^{-1} e, \quad e = z_i - \bar z(x_i + \delta).

Errors of neighbouring reads are alike: the width κ says how often they tell the same. The weight w
is small where no shift explains a smell (q is the mean square of what is left of the D numbers of
a smell, in variances).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tree_world.models.memory.recall.kriging import Kriged, Kriging
from tree_world.models.places.graph import Closures

__all__ = ["SHIFT_SD", "UNKNOWN"]

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.intp]
Bools: TypeAlias = npt.NDArray[np.bool_]

_ALIKE = 1e-10  # on the diagonal, without which places that are near are as one
UNKNOWN = 0.03  # of the amplitude squared, for smells of which the nearest know nothing
_ANCHORS = 8  # other keyframes from which a closure is seen
_ROOM = 5.0  # metres, within which anchors count about the same
_LEVER = 0.02  # of an anchor: how firmly they are held to lie about a line
_LARGEST_SHIFT = 0.5  # of the length, at once
SHIFT_SD = 10.0  # metres: where smells tell nothing of a direction, a shift stays small


class Matcher:
    """Finds where keyframes smell like others: see `smooth` for what is given.

    Parameters
    ----------
    steps : numpy.ndarray of int, of shape (n_keyframes,)
        After how many steps each was reached, the start included.
    senses : numpy.ndarray of float64, of shape (n_keyframes - 1, sensory_dim)
        What each but the first smells of.
    length : float
        In metres.
    nugget, nearest, within, apart, width, robust
        As for `smooth`.

    Attributes
    ----------
    told : numpy.ndarray of bool, of shape (n_keyframes - 1,)
        Whether each but the first tells of others, and is closed; at first all. The others are held
        out.
    left : numpy.ndarray of float64, of shape (n_closures,)
        q of the closures that were found last.
    """

    def __init__(
        self,
        steps: Numbers,
        senses: Array,
        length: float,
        *,
        nugget: float,
        nearest: int,
        within: float,
        apart: int,
        width: float,
        robust: float,
    ) -> None:
        self.steps, self.senses = steps, senses
        self.length, self.nugget, self.nearest = length, nugget, nearest
        self.within, self.apart, self.width, self.robust = within, apart, width, robust
        self.told: Bools = np.ones(len(senses), bool)
        self.left = np.zeros(0)

    def closures(self, places: Array, of: Bools | None = None) -> Closures:
        """Find the closures of the first keyframes, from where they are believed to be.

        Parameters
        ----------
        places : numpy.ndarray of float64, of shape (n_keyframes, 2)
            In metres; as many as there are yet, the start included.
        of : numpy.ndarray of bool, of shape (n_keyframes - 1,), optional
            Those that are asked for; by default all that are told.

        Returns
        -------
        Closures
        """
        steps, there = self.steps[1 : len(places)], places[1:]
        smells = self.senses[: len(there)]
        self.left = np.zeros(0)
        if not smells[self.told[: len(there)]].any():
            return Closures.none(_ANCHORS)
        tells = np.flatnonzero(self.told[: len(there)])
        others, known_smells = there[tells], smells[tells]
        squares = _squares(there[:, None], others)
        allowed = (abs(steps[:, None] - steps[tells]) >= self.apart) & (squares <= self.within**2)
        asked = (self.told if of is None else of)[: len(there)]
        own = np.flatnonzero(allowed.any(axis=1) & asked)
        if not len(own):
            return Closures.none(_ANCHORS)
        known = Kriging(
            others, known_smells, self.length, nugget=self.nugget, nearest=self.nearest, most=300
        )
        excluded = ~allowed[own]
        away = squares[own]
        away[excluded] = np.inf
        first = _nearest(away, self.nearest)
        counts = np.isfinite(np.take_along_axis(away, first, axis=1))
        found = known.read_among(there[own], first, counts)
        trust = self._trust(known, found, others[first], known_smells[first], counts)
        apart = smells[own] - found.mean
        way = self._shift(found, trust, apart)
        shifted = there[own] + way
        rest = apart - (found.slope @ way[..., None])[..., 0]
        self.left = np.einsum("qd,qde,qe->q", rest, trust, rest) / smells.shape[1]
        weight = 1 / np.maximum(1.0, self.left / self.robust**2) / self.width
        information = np.swapaxes(found.slope, 1, 2) @ trust @ found.slope
        information = weight[:, None, None] * (information + np.swapaxes(information, 1, 2)) / 2
        away = _squares(shifted[:, None], others)
        away[excluded] = np.inf
        first = _nearest(away, _ANCHORS)
        weights = _levers(
            others[first] - shifted[:, None], np.isfinite(np.take_along_axis(away, first, axis=1))
        )
        offsets = shifted - (weights[..., None] * others[first]).sum(axis=1)
        pairs = np.stack([steps[own], steps[tells[first[:, 0]]]], axis=-1)
        return Closures(own + 1, tells[first] + 1, weights, offsets, information, pairs)

    def _trust(
        self, known: Kriging, found: Kriged, near: Array, smells: Array, counts: Bools
    ) -> Array:
        """Invert the covariances of what is read, by which its neighbours differ."""
        squares = _squares(near[:, :, None], near[:, None])
        alike = np.exp(-squares / (2 * self.length**2)) * (counts[:, :, None] & counts[:, None])
        diagonal = np.arange(near.shape[1])
        alike[:, diagonal, diagonal] = 1 + max(self.nugget**2, _ALIKE)
        those = smells * counts[..., None]
        spread = np.swapaxes(those, 1, 2) @ np.linalg.solve(alike, those)
        spread = spread / counts.sum(axis=1)[:, None, None]
        share = found.variance / known.amplitude**2
        doubt = share * UNKNOWN * known.amplitude**2 + known.nugget_variance
        noise = share[:, None, None] * spread + doubt[:, None, None] * np.eye(smells.shape[2])
        return np.asarray(np.linalg.inv(noise))

    def _shift(self, found: Kriged, trust: Array, apart: Array) -> Array:
        """Tell the way to where it would smell as wanted."""
        slope = np.swapaxes(found.slope, 1, 2) @ trust
        pull = np.einsum("qid,qd->qi", slope, apart)
        steep = slope @ found.slope + np.eye(2) / SHIFT_SD**2
        way: Array = np.linalg.solve(steep, pull[..., None])[..., 0]
        far = np.linalg.norm(way, axis=-1, keepdims=True)
        return np.asarray(way * np.minimum(1.0, _LARGEST_SHIFT * self.length / (far + 1e-9)))


def _squares(some: Array, others: Array) -> Array:
    """Squared distances; without sums over pairs of numbers, which are slow."""
    x, y = some[..., 0] - others[..., 0], some[..., 1] - others[..., 1]
    return np.asarray(x * x + y * y)


def _nearest(away: Array, number: int) -> Numbers:
    """Tell the columns of the least entries of each row, the least first."""
    number = min(number, away.shape[1])
    first = np.argpartition(away, number - 1, axis=1)[:, :number]
    order = np.argsort(np.take_along_axis(away, first, axis=1), axis=1)
    return np.asarray(np.take_along_axis(first, order, axis=1))


def _levers(apart: Array, counts: Bools) -> Array:
    """Weigh anchors so that their mean lies at the origin, if they are about it."""
    wide = np.concatenate([np.ones((*apart.shape[:2], 1)), apart], axis=-1)
    loose = counts / ((apart**2).sum(axis=-1) + _ROOM**2)
    across = np.swapaxes(wide * loose[..., None], 1, 2)
    number = counts.sum(axis=1)[:, None, None]
    stiff = across @ wide + number * _LEVER * np.diag([0.0, 1.0, 1.0])
    share = np.linalg.solve(stiff, np.broadcast_to(np.eye(3)[:, :1], (len(apart), 3, 1)))
    weights = (np.swapaxes(across, 1, 2) @ share)[..., 0]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
