r"""Where am I, and where are the things that I see? Both are found at once.

A Kalman filter over the place x of a body with a compass and the places :math:`l_1, …, l_n` of
things that it has seen, with the covariance P of all of them jointly. *A step* moves x, and makes
it less sure. *A sighting* tells the offset :math:`l_i - x`, and so corrects both: as the heading is
known, this is linear, and mean and covariance are those of the least squares over all steps and
sightings at once. What is known of two places that were found on one walk errs alike; a filter that
left that out would correct itself by its own error, and be the surer of it with each look.

Of a distance alone, :math:`r = \lVert l_i - x \rVert`, the filter takes the slope, with what the
bend adds for an offset d of covariance S across the line of sight, of variance σ²:

.. math::

    \mathrm E\, r \approx \lVert d \rVert + \frac{\sigma^2}{2 \lVert d \rVert}, \qquad
    \operatorname{var} r \approx u^\top S u + \kappa \, \frac{\sigma^4}{2 \lVert d \rVert^2} +
    \nu^2, \qquad u = d / \lVert d \rVert .

The bend errs alike from one distance to the next, for which the width κ stands. That a thing is
within a cone tells nothing but that: the belief is cut off at its sides, and the Gaussian of the
same mean and variance stays. So a look at what is known to be there adds nothing.

References
----------
R. Smith, M. Self and P. Cheeseman, "Estimating uncertain spatial relationships in robotics", 1990.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    Number,
    PointsLike,
    as_numbers,
    as_points,
    as_unit_vectors,
    checked_number,
)
from tree_world.models.places.arcs import Arc
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.tracker import Belief

Array: TypeAlias = npt.NDArray[np.float64]

BEND_WIDTH = 8.0
"""κ: how many distances in a row err alike by the bend. With 4, ellipses of 0.9 held 0.85."""

_CREDIBILITY = 0.9  # of the ellipse whose area decides
# Times √|P|: the quantile of χ² with two degrees of freedom is −2 log(1 − p).
_UNIT_AREA = math.pi * (-2 * math.log1p(-_CREDIBILITY))
_LARGEST_AREA = math.pi * 50.0**2  # as that of the tracker
_START_SD = 0.1  # of a place that is known
_LEAST_DISTANCE = 1e-3  # below which a direction is none, in metres
_LEAST_SD = 1e-3  # of a sighting, in metres: what is exact to the last bit would stay so for ever
_AT_ONCE = 4.0  # deviations from which on a distance is taken for less sure than it claims

_GATE = Number(
    "be positive, as a number of standard deviations",
    lambda x: x > 0,
    "To know things by what they are like alone give math.inf.",
)


class Landmarks:
    r"""Keeps a belief about one's own place and those of things that are seen again.

    A thing that is seen is one that is known, if their places may be the same, within `gate`
    deviations of their difference, and they are alike; of several, the one that is most alike.

    Parameters
    ----------
    odometry : Odometry
        What the body believes of its steps. It needs a compass.
    start : array_like of shape (2,), optional
        Where the body is, in metres; by default at the origin.
    start_covariance : array_like of shape (2, 2), optional
        How unsure that is, in square metres; by default 0.1 m along each axis.
    gate : float, default=3.0
        May be infinite.
    likeness : float, default=0.8
        How far senses of one thing may differ, as a length.

    Attributes
    ----------
    names : list of int
        Of the landmarks, in the order in which they were found.
    senses : numpy.ndarray of float64, of shape (n, sensory_dim)
        What each was like when it was seen first.

    Raises
    ------
    ValueError
        If the odometry has no compass, shapes do not fit, or a number is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> landmarks = Landmarks(Odometry(0.1))
    >>> landmarks.see([0.0, 30.0], [1.0, 0.0], sd=0.5)  # a tree ahead
    0
    >>> for move in 10 * [[5.0, 0.0], [0.0, 5.0], [-5.0, 0.0], [0.0, -5.0]]:
    ...     belief = landmarks.step(move)
    >>> print(f"{belief.covariance[0, 0] ** 0.5:.1f} m")
    3.2 m
    >>> landmarks.see([0.0, 30.0], [1.0, 0.0], sd=0.5)  # the same one again
    0
    >>> print(f"{landmarks.belief.covariance[0, 0] ** 0.5:.1f} m")
    0.7 m
    """

    def __init__(
        self,
        odometry: Odometry,
        *,
        start: PointsLike | None = None,
        start_covariance: PointsLike | None = None,
        gate: float = 3.0,
        likeness: float = 0.8,
    ) -> None:
        if not isinstance(odometry, Odometry):
            raise TypeError(f"odometry must be an Odometry, not {type(odometry).__name__}.")
        if not odometry.has_compass:
            raise ValueError(
                "odometry must have a compass, as offsets are told by headings, but its "
                f"heading_walk is {odometry.heading_walk} and its heading_bias_sd "
                f"{odometry.heading_bias_sd}. For steps without a compass take a Tracker."
            )
        self.odometry = odometry
        self.gate = checked_number("gate", gate, _GATE)
        self.likeness = checked_number("likeness", likeness, "positive")
        self._mean = np.zeros(2) if start is None else _plane(start, "start").copy()
        self._covariance = _START_SD**2 * np.eye(2)
        if start_covariance is not None:
            self._covariance = _covariance(start_covariance, "start_covariance")
        self.names: list[int] = []
        self.senses: Array = np.empty((0, 0))
        self._next = 0
        # Of what was seen once, the filter keeps from where.
        self._arcs: dict[int, Arc] = {}

    def __len__(self) -> int:
        return len(self.names)

    @property
    def belief(self) -> Belief:
        """What is believed of one's own place; it can be told while the ellipse is small enough."""
        covariance = self._covariance[:2, :2].copy()
        area = _UNIT_AREA * math.sqrt(max(float(np.linalg.det(covariance)), 0.0))
        return Belief(self._mean[:2].copy(), covariance, area <= _LARGEST_AREA)

    @property
    def places(self) -> Array:
        """Where landmarks are believed to be, of shape (n, 2), in metres."""
        places = self._mean[2:].reshape(-1, 2).copy()
        for name, arc in self._arcs.items():
            places[self.names.index(name)] += arc.mean
        return places

    @property
    def covariances(self) -> Array:
        """How unsure each is, of shape (n, 2, 2), in square metres."""
        number = len(self.names)
        blocks = self._covariance[2:, 2:].reshape(number, 2, number, 2)
        own: Array = blocks[np.arange(number), :, np.arange(number)].copy()
        for name, arc in self._arcs.items():
            own[self.names.index(name)] += arc.covariance
        return own

    @property
    def offset_covariances(self) -> Array:
        """How unsure it is how far each is from the body: of l − x, of shape (n, 2, 2)."""
        number = len(self.names)
        mixed = self._covariance[2:, :2].reshape(number, 2, 2)
        own = self._covariance[:2, :2]
        return np.asarray(self.covariances + own - mixed - np.swapaxes(mixed, 1, 2))

    # --- the filter -------------------------------------------------------------------------------

    def step(self, displacement: PointsLike) -> Belief:
        """Take a step.

        Parameters
        ----------
        displacement : array_like of shape (2,)
            What the body believes of it, in metres.

        Returns
        -------
        Belief

        Raises
        ------
        ValueError
            If the shape is wrong, or an entry is not finite.
        """
        move = _plane(displacement, "displacement")
        self._mean[:2] += move
        self._covariance[[0, 1], [0, 1]] += self.odometry.relative_sd**2 * float(move @ move)
        return self.belief

    def see(self, offset: PointsLike, sense: PointsLike, *, sd: float | Sequence[float]) -> int:
        """See a thing, and correct all that is believed; or take note of it, if it is new.

        Parameters
        ----------
        offset : array_like of shape (2,)
            Where it is from here, in metres.
        sense : array_like of shape (sensory_dim,)
            What it is like.
        sd : float, or two of them
            Deviation of the offset, in metres: each way, or along and across its direction.

        Returns
        -------
        int
            Its name.

        Raises
        ------
        ValueError
            If shapes do not fit, an entry is not finite, or a deviation is not positive.
        """
        apart, alike = _plane(offset, "offset"), self._sense(sense)
        noise = _offset_covariance(apart, sd)
        name = self._recognised(apart, alike, noise)
        if name is None:
            return self._found(apart, alike, noise)
        self._settle(name)
        slots = self._slots(name)
        gains = self._covariance[:, slots] - self._covariance[:, :2]
        spread = gains[slots] - gains[:2] + noise
        gain = np.linalg.solve(spread, gains.T).T
        self._mean += gain @ (apart - (self._mean[slots] - self._mean[:2]))
        self._covariance -= gain @ gains.T
        self._covariance = (self._covariance + self._covariance.T) / 2
        return name

    def spot(
        self, distance: float, heading: PointsLike, half_cone: float, sense: PointsLike
    ) -> int:
        """Take note of a new thing of which the direction is known but for a cone.

        It is on an `Arc`, and tells nothing of one's own place, until distances from elsewhere have
        told the direction.

        Parameters
        ----------
        distance : float
            In metres.
        heading : array_like of shape (2,)
            The middle of the cone, a unit vector.
        half_cone : float
            Half its angle, in radians.
        sense : array_like of shape (sensory_dim,)

        Returns
        -------
        int
            Its name.

        Raises
        ------
        ValueError
            If shapes do not fit, the distance is not positive, or there is no such cone.
        """
        arc = Arc(distance, heading, half_cone)
        name = self._found(np.zeros(2), self._sense(sense), np.zeros((2, 2)))
        self._arcs[name] = arc
        return name

    def recognise(
        self, offset: PointsLike, sense: PointsLike, *, sd: float | Sequence[float]
    ) -> int | None:
        """Tell which landmark a thing is, and believe nothing new.

        Parameters
        ----------
        offset, sense, sd
            As for `see`.

        Returns
        -------
        int or None
            Its name; None if it is none that is known.

        Raises
        ------
        ValueError
            As `see` does.
        """
        apart = _plane(offset, "offset")
        return self._recognised(apart, self._sense(sense), _offset_covariance(apart, sd))

    def measure(
        self, names: Sequence[int], distances: PointsLike, sds: PointsLike | float
    ) -> Belief:
        """Take note of how far landmarks are.

        Those are taken first whose distance is the surest already, so that one's own place is known
        better before it tells where the others are. One that is off by more than four deviations
        is taken for less sure than it claims.

        Parameters
        ----------
        names : sequence of int
        distances : array_like of shape (n,)
            In metres.
        sds : float, or array_like of shape (n,)
            Their deviations, in metres.

        Returns
        -------
        Belief

        Raises
        ------
        KeyError
            If there is no such landmark.
        ValueError
            If shapes do not fit, a distance is negative, or a deviation is not positive.
        """
        far, spreads = _distances(len(names), distances, sds)
        slots = [self._slots(name) for name in names]
        unsure = [
            math.inf if name in self._arcs else self._unsure(slot)
            for name, slot in zip(names, slots, strict=True)
        ]
        for which in np.argsort(unsure, kind="stable").tolist():
            distance, sd = float(far[which]), float(spreads[which])
            arc = self._arcs.get(names[which])
            if arc is None:
                self._measure(slots[which], distance, sd)
            else:
                arc.tell(*self._apart(slots[which]), distance, sd)
                if arc.is_settled:
                    self._settle(names[which])
        return self.belief

    def within_cone(self, name: int, heading: PointsLike, half_cone: float) -> Belief:
        r"""Take note that a landmark is within a cone of sight.

        Parameters
        ----------
        name : int
        heading : array_like of shape (2,)
            The middle of the cone, a unit vector.
        half_cone : float
            Half its angle, in radians, below a quarter of a circle.

        Returns
        -------
        Belief

        Raises
        ------
        KeyError
            If there is no such landmark.
        ValueError
            If the heading is no unit vector, or there is no such cone.
        """
        slots, (x, y) = self._slots(name), as_unit_vectors(heading, 2).tolist()
        angle = checked_number("half_cone", half_cone, "positive")
        if angle >= math.pi / 2:
            raise ValueError(
                f"half_cone must be below π/2, in radians, but {angle} was given: more than half "
                "of all directions is no cone."
            )
        if name in self._arcs:
            apart, covariance = self._apart(slots)
            unsure = math.sqrt(max(float(np.trace(covariance)), 0.0))
            self._arcs[name].tell_cone(apart, np.array([x, y]), angle, unsure)
            if self._arcs[name].is_settled:
                self._settle(name)
            return self.belief
        offset = self._mean[slots] - self._mean[:2]
        side = math.hypot(*offset) * math.sin(angle)
        gains = (self._covariance[:, slots] - self._covariance[:, :2]) @ np.array([-y, x])
        variance = float((gains[slots] - gains[:2]) @ np.array([-y, x]))
        away = -y * float(offset[0]) + x * float(offset[1])
        if variance <= 0 or side - abs(away) > 3 * math.sqrt(variance):
            return self.belief  # it was known to be there
        mean, rest = _cut_off(away, math.sqrt(variance), side)
        gain = gains / variance
        self._mean += gain * (mean - away)
        self._covariance -= np.outer(gain, gain) * (variance - rest)
        return self.belief

    def forget(self, name: int) -> None:
        """Forget a landmark. What it has told of other places stays.

        Parameters
        ----------
        name : int

        Raises
        ------
        KeyError
            If there is no such landmark.
        """
        slots, number = self._slots(name), self.names.index(name)
        self._mean = np.delete(self._mean, slots)
        self._covariance = np.delete(np.delete(self._covariance, slots, axis=0), slots, axis=1)
        self.senses = np.delete(self.senses, number, axis=0)
        del self.names[number]
        self._arcs.pop(name, None)

    # --- parts ------------------------------------------------------------------------------------

    def _slots(self, name: int) -> npt.NDArray[np.int64]:
        if name not in self.names:
            raise KeyError(f"there is no landmark {name}: names has those that are known.")
        first = 2 + 2 * self.names.index(name)
        return np.array([first, first + 1])

    def _unsure(self, slots: npt.NDArray[np.int64]) -> float:
        own, there = self._covariance[[0, 1], [0, 1]], self._covariance[slots, slots]
        return float((own + there - 2 * self._covariance[slots, [0, 1]]).sum())

    def _apart(self, slots: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Where a place is from the body, and how unsure that is."""
        gains = self._covariance[:, slots] - self._covariance[:, :2]
        return self._mean[slots] - self._mean[:2], gains[slots] - gains[:2]

    def _settle(self, name: int) -> None:
        """Take what is on an arc for where it is most likely."""
        arc = self._arcs.pop(name, None)
        if arc is not None:
            slots = self._slots(name)
            self._mean[slots] += arc.mean
            self._covariance[np.ix_(slots, slots)] += arc.covariance

    def _sense(self, sense: PointsLike) -> Array:
        numbers: Array = as_numbers(sense, "sense", torch.float64).detach().numpy()
        fits = numbers.ndim == 1 and (not self.names or len(numbers) == self.senses.shape[1])
        if not fits or not np.isfinite(numbers).all():
            dim = self.senses.shape[1] if self.names else "sensory_dim"
            raise ValueError(
                f"sense must be one, of shape ({dim},), and finite, but an array of shape "
                f"{numbers.shape} was given."
            )
        return numbers

    def _recognised(self, apart: Array, alike: Array, noise: Array) -> int | None:
        if not self.names:
            return None
        different = np.linalg.norm(self.senses - alike, axis=1)
        off = apart - (self.places - self._mean[:2])
        white = np.linalg.solve(self.offset_covariances + noise, off[..., None])[..., 0]
        fits = (different <= self.likeness) & ((off * white).sum(axis=1) <= self.gate**2)
        return self.names[int(np.where(fits, different, np.inf).argmin())] if fits.any() else None

    def _found(self, apart: Array, alike: Array, noise: Array) -> int:
        size = len(self._mean)
        covariance = np.empty((size + 2, size + 2))
        covariance[:size, :size] = self._covariance
        covariance[size:, :size] = self._covariance[:2]
        covariance[:size, size:] = self._covariance[:, :2]
        covariance[size:, size:] = self._covariance[:2, :2] + noise
        self._covariance = covariance
        self._mean = np.append(self._mean, self._mean[:2] + apart)
        self.senses = np.vstack([self.senses.reshape(len(self.names), len(alike)), alike])
        self.names.append(self._next)
        self._next += 1
        return self.names[-1]

    def _measure(self, slots: npt.NDArray[np.int64], distance: float, sd: float) -> None:
        x, y = self._mean[slots] - self._mean[:2]
        far = math.hypot(x, y)
        if far < _LEAST_DISTANCE:
            return
        x, y = x / far, y / far
        offsets = self._covariance[:, slots] - self._covariance[:, :2]
        spread = offsets[slots] - offsets[:2]
        across = y * y * spread[0, 0] - 2 * x * y * spread[0, 1] + x * x * spread[1, 1]
        bend = max(float(across), 0.0) / far
        gains = offsets @ np.array([x, y])
        known = float(x * (gains[slots[0]] - gains[0]) + y * (gains[slots[1]] - gains[1]))
        noise = sd * sd + BEND_WIDTH * bend * bend / 2
        off = distance - (far + bend / 2)
        noise = max(noise, off * off / _AT_ONCE**2 - known)
        self._mean += gains * (off / (known + noise))
        self._covariance -= np.outer(gains, gains) / (known + noise)


def _cut_off(mean: float, sd: float, side: float) -> tuple[float, float]:
    """Mean and variance of a Gaussian within −side and side."""
    low, high = (-side - mean) / sd, (side - mean) / sd
    mass = 0.5 * (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)))
    if mass < 1e-3:
        # All but outside: to the nearest side, no surer than it was.
        return math.copysign(side, mean), sd * sd
    at_low, at_high = (math.exp(-z * z / 2) / math.sqrt(2 * math.pi) for z in (low, high))
    shift = (at_low - at_high) / mass
    rest = 1 + (low * at_low - high * at_high) / mass - shift * shift
    return mean + sd * shift, sd * sd * min(max(rest, 0.0), 1.0)


def _offset_covariance(offset: Array, sd: float | Sequence[float]) -> Array:
    both = [sd, sd] if isinstance(sd, (int, float)) else list(sd)
    if len(both) != 2:
        raise ValueError(
            f"sd must be one number or two, along and across the offset, but {sd!r} was given."
        )
    along, across = (max(checked_number("sd", each, "positive"), _LEAST_SD) for each in both)
    length = math.hypot(*offset)
    x, y = offset / length if length > _LEAST_DISTANCE else (1.0, 0.0)
    if along == across:
        return along**2 * np.eye(2)
    turn = np.array([[x, -y], [y, x]])
    return np.asarray(turn @ np.diag([along**2, across**2]) @ turn.T)


def _distances(number: int, distances: PointsLike, sds: PointsLike | float) -> tuple[Array, Array]:
    far: Array = as_numbers(distances, "distances", torch.float64).detach().numpy()
    spreads: Array = as_numbers(sds, "sds", torch.float64).detach().numpy()
    if spreads.ndim == 0:
        spreads = np.full(number, float(spreads))
    if far.shape != (number,) or spreads.shape != (number,):
        raise ValueError(
            f"there are {number} names, so that distances must have shape ({number},), and sds the "
            f"same or none, but the shapes are {far.shape} and {spreads.shape}."
        )
    if not (np.isfinite(far).all() and (far >= 0).all()):
        raise ValueError("distances must be finite, zero or more, in metres, but some are not.")
    if not (np.isfinite(spreads).all() and (spreads > 0).all()):
        raise ValueError("sds must be positive and finite, in metres, but some are not.")
    return far, np.maximum(spreads, _LEAST_SD)


def _plane(values: PointsLike, name: str) -> Array:
    array: Array = as_points(values, 2, name, torch.float64).detach().numpy()
    if array.shape != (2,):
        raise ValueError(f"{name} must be one, of shape (2,), but has shape {array.shape}.")
    return array


def _covariance(values: PointsLike, name: str) -> Array:
    array: Array = as_points(values, 2, name, torch.float64).detach().numpy()
    good = array.shape == (2, 2) and np.allclose(array, array.T)
    if not good or float(np.linalg.eigvalsh(array)[0]) <= 0:
        raise ValueError(
            f"{name} must be symmetric and positive definite, of shape (2, 2), in square metres, "
            f"but {array.tolist()} was given. For a metre each way give [[1, 0], [0, 1]]."
        )
    return np.array(array)
