r"""Where am I? Steps that drift, corrected by what is smelled where smells are known.

An extended Kalman filter. Its state is the place x, and for a body without a compass the heading
error ε and the bias b of `Odometry`. It believes in a Gaussian of mean μ and covariance P.

*A step* m moves the place by :math:`u = R(-\epsilon)\, m`; the covariance is carried along, and
grows by what the odometry says of one step.

*A smell* z is compared with what is read at the believed place: mean :math:`\bar z`, slope J and
variance v (see `tree_world.models.memory.recall.kriging`). In the D directions that smells take,
a smell deviates from the read with the variance

.. math::

    r = v + \nu^2 a^2 + \frac34\, a^2 \left(\frac{\operatorname{tr} P_{xx}}{\ell^2}\right)^2,

of the field, of the nugget, and of the bend of the field, which the slope leaves out: 3 a²/ℓ⁴ is
the variance of its second derivatives. Errors of neighbouring reads are alike, as they come from
the same observations, so that many steps must not count as many smells: a width κ stands for how
often they tell the same. The smell then says about the place

.. math::

    \Lambda = \frac{J^\top J}{\kappa\, g\, r}, \qquad
    \lambda = \frac{J^\top (z - \bar z)}{\kappa\, g\, r}, \qquad
    P \leftarrow (I + P \Lambda)^{-1} P, \qquad \mu \leftarrow \mu + P \lambda.

The information Λ is a matrix: around a lone tree a smell tells of the distance alone, and nothing
of the direction. The gate g is 1, but where a smell lies farther from the read than belief and
variance can explain, it is

.. math::

    g = \frac{1}{D\, \gamma^2}\, (z - \bar z)^\top \left(r I + J P_{xx} J^\top\right)^{-1}
    (z - \bar z),

where :math:`\gamma` says from how many standard deviations on.

References
----------
S. Thrun, W. Burgard and D. Fox, "Probabilistic Robotics", 2005, chapter 3.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    PointsLike,
    as_numbers,
    as_points,
    as_senses,
    checked_number,
    checked_numbers,
)
from tree_world.evaluation import coverage
from tree_world.models.memory.recall.kriging import NUGGET, Kriging
from tree_world.models.places.directions import directions_of, outside
from tree_world.models.places.odometry import ANGLE, DEVIATION, Odometry, turned

Array: TypeAlias = npt.NDArray[np.float64]

WIDTHS = tuple(float(2**power) for power in range(9))
"""Widths that `calibrate_width` tries: 1, 2, 4, …, 256."""

_CREDIBILITY = 0.9  # of the ellipse whose area decides
# Times √|P|: the quantile of χ² with two degrees of freedom is −2 log(1 − p).
_UNIT_AREA = math.pi * (-2 * math.log1p(-_CREDIBILITY))
_LARGEST_AREA = math.pi * 50.0**2  # as that of the localiser
_START_SD = 0.1  # of a place that is known
_BEND = 0.75  # E (½ δᵀHδ)² = ¾ a² |δ|⁴ / ℓ⁴ for the second derivatives H of the field
_SMELLS = 3.0  # deviations of the nugget, from which on a smell is one


@dataclass(frozen=True)
class Belief:
    """Where a body believes to be.

    Attributes
    ----------
    mean : numpy.ndarray of float64, of shape (2,)
        In metres.
    covariance : numpy.ndarray of float64, of shape (2, 2)
        In square metres; positive definite.
    identifiable : bool
        Whether the place can be told: there is a smell, an observation lies within one length of
        the mean, and the ellipse that holds nine tenths is small enough.
    """

    mean: Array
    covariance: Array
    identifiable: bool


@dataclass(frozen=True)
class Track:
    """Beliefs along a walk, one after each step.

    Attributes
    ----------
    means : numpy.ndarray of float64, of shape (n_steps, 2)
        In metres.
    covariances : numpy.ndarray of float64, of shape (n_steps, 2, 2)
        In square metres.
    identifiable : numpy.ndarray of bool, of shape (n_steps,)
    """

    means: Array
    covariances: Array
    identifiable: npt.NDArray[np.bool_]


class Tracker:
    r"""Keeps a belief about its place, in a plane whose smells were surveyed.

    Parameters
    ----------
    places : array_like of shape (n_observations, 2)
        Where smells are known, in metres.
    senses : array_like of shape (n_observations, sensory_dim)
        What it smells of there. They are expressed in as few numbers as they have directions,
        which changes no distance.
    odometry : Odometry
        What the body believes of its steps.
    length : float
        Of the kernel, in metres; see `Kriging`.
    nugget : float, default=0.02
        As for `Kriging`.
    nearest : int, default=24
        How many observations tell of a place.
    amplitude : float, optional
        As for `Kriging`, of a coordinate in those few numbers.
    width : float, default=16.0
        κ: by how much a smell counts less for being like the last. `calibrate_width` finds it.
    gate : float, default=0.5
        Root of the mean square of a smell's deviations, each in standard deviations, beyond which
        it counts less. Most reads are better than they claim, and a few far worse, where smells
        jump as fruit comes into reach: so half a standard deviation is suspicious.
    start : array_like of shape (2,), optional
        Where the body is, in metres; by default at the origin.
    start_covariance : array_like of shape (2, 2), optional
        How unsure that is, in square metres; by default 0.1 m along each axis. The heading is
        right.
    largest_area : float, optional
        Area of the ellipse of nine tenths up to which a place counts as told, in square metres;
        that of a disc of 50 m by default.

    Attributes
    ----------
    known : Kriging
        What is known of smells, in the few numbers.
    belief : Belief
        The present one.
    heading_error : float
        The believed ε, in radians.
    surprise : float or None
        Root of the mean square of the deviations of the last smell, each in the standard deviations
        of belief and read: about one, or less, for who is where it believes to be. None where
        nothing was smelled, and nothing was to be expected.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of its range, or a covariance is none.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> config = TreeWorldConfig()
    >>> sensor, world = SimpleSensor.from_config(config), TreeWorld.random_from_config(config, 0)
    >>> places = np.random.default_rng(0).uniform(-200, 200, (300, 2))
    >>> odometry = Odometry(0.1)
    >>> length = (2 * sensor.diffusion_time) ** 0.5
    >>> tracker = Tracker(places, sensor.sense(world, places)[1], odometry, length=length)
    >>> steps = 3.0 * np.random.default_rng(1).normal(size=(200, 2))
    >>> true, believed = steps.cumsum(axis=0), odometry.drift(steps, seed=0)
    >>> track = tracker.follow(believed, sensor.sense(world, true)[1])
    >>> for found in (believed.cumsum(axis=0), track.means):
    ...     print(f"{np.linalg.norm(found - true, axis=-1).mean():.0f} m")
    8 m
    1 m
    """

    def __init__(
        self,
        places: PointsLike,
        senses: PointsLike,
        odometry: Odometry,
        *,
        length: float,
        nugget: float = NUGGET,
        nearest: int = 24,
        amplitude: float | None = None,
        width: float = 16.0,
        gate: float = 0.5,
        start: PointsLike | None = None,
        start_covariance: PointsLike | None = None,
        largest_area: float | None = None,
    ) -> None:
        given = {"width": width, "gate": gate, "largest_area": largest_area}
        kinds = {"width": "positive", "gate": "positive", "largest_area": "positive?"}
        number = checked_numbers(given, kinds)
        self.width: float = number["width"]
        self.gate: float = number["gate"]
        self.largest_area: float = number["largest_area"] or _LARGEST_AREA
        if not isinstance(odometry, Odometry):
            raise TypeError(f"odometry must be an Odometry, not {type(odometry).__name__}.")
        self.odometry = odometry
        self._length, self._nugget, self._nearest = length, nugget, nearest
        self._know(places, senses, amplitude)
        self._start, self._start_covariance = np.zeros(2), _START_SD**2 * np.eye(2)
        self.reset(start, start_covariance)

    def _know(self, places: PointsLike, senses: PointsLike, amplitude: float | None) -> None:
        there = as_points(places, 2, "places", torch.float64)
        sensed = as_numbers(senses, "senses", torch.float64).detach()
        if sensed.ndim != 2 or sensed.numel() == 0:
            raise ValueError(
                "senses must have shape (n_observations, sensory_dim), with at least one of both, "
                f"but an array of shape {tuple(sensed.shape)} was given."
            )
        every: Array = as_senses(sensed, sensed.shape[1], "senses", torch.float64).numpy()
        self._directions = directions_of(every, self._nugget)
        self._outside = outside(every, self._directions)
        self.known = Kriging(
            there,
            every @ self._directions.T,
            self._length,
            nugget=self._nugget,
            nearest=self._nearest,
            amplitude=amplitude,
        )

    def reset(
        self,
        start: PointsLike | None = None,
        start_covariance: PointsLike | None = None,
        heading_error: float = 0.0,
        heading_sd: float = 0.0,
    ) -> None:
        """Begin anew, by default with a heading that is right.

        Parameters
        ----------
        start, start_covariance
            As for the tracker; by default those it was last given.
        heading_error : float, default=0.0
            By how much the heading is too great, in radians. With a compass it is right.
        heading_sd : float, default=0.0
            How unsure that is, in radians.

        Raises
        ------
        ValueError
            If shapes do not fit, the covariance is none, or a number is out of its range.
        """
        turn = checked_number("heading_error", heading_error, ANGLE)
        turn_sd = checked_number("heading_sd", heading_sd, DEVIATION)
        if start is not None:
            self._start = _plane(start, "start")
        if start_covariance is not None:
            self._start_covariance = _covariance(start_covariance)
        size = 2 if self.odometry.has_compass else 4
        self._mean, self._covariance = np.zeros(size), np.zeros((size, size))
        self._mean[:2], self._covariance[:2, :2] = self._start, self._start_covariance
        if size == 4:
            self._mean[2], self._covariance[2, 2] = turn, turn_sd**2
            self._covariance[3, 3] = self.odometry.heading_bias_sd**2
        self._told = False
        self.surprise: float | None = None

    def with_width(self, width: float) -> Self:
        """Make one that knows and believes the same, with another width.

        Parameters
        ----------
        width : float
            Its κ.

        Returns
        -------
        Tracker
            What is known is shared.
        """
        other = copy.copy(self)  # no array of a belief is changed in place
        other.width = checked_number("width", width, "positive")
        return other

    def knowing(self, places: PointsLike, senses: PointsLike) -> Self:
        """Make one that believes the same, and knows something else.

        Parameters
        ----------
        places, senses
            As for the tracker.

        Returns
        -------
        Tracker
            Of the same length, nugget and number of neighbours; its amplitude is that of what it
            knows.

        Raises
        ------
        ValueError
            If shapes do not fit.

        Examples
        --------
        >>> tracker = Tracker([[0.0, 0.0]], [[1.0]], Odometry(0.1), length=50.0)
        >>> belief = tracker.step([3.0, 0.0])
        >>> tracker.knowing([[0.0, 0.0], [9.0, 0.0]], [[1.0], [0.5]]).belief.mean
        array([3., 0.])
        """
        other = copy.copy(self)
        other._know(places, senses, None)
        return other

    @property
    def belief(self) -> Belief:
        """What is believed at present."""
        covariance = self._covariance[:2, :2].copy()
        area = _UNIT_AREA * math.sqrt(max(float(np.linalg.det(covariance)), 0.0))
        told = self._told and area <= self.largest_area
        return Belief(self._mean[:2].copy(), covariance, told)

    @property
    def heading_error(self) -> float:
        """The believed error of the heading, in radians: 0 with a compass."""
        return 0.0 if self.odometry.has_compass else float(self._mean[2])

    @property
    def heading_sd(self) -> float:
        """How unsure that is, in radians: 0 with a compass."""
        return 0.0 if self.odometry.has_compass else math.sqrt(float(self._covariance[2, 2]))

    def step(self, displacement: PointsLike, sense: PointsLike | None = None) -> Belief:
        """Take a step, and smell.

        Parameters
        ----------
        displacement : array_like of shape (2,)
            What the body believes of its step, in metres.
        sense : array_like of shape (sensory_dim,), optional
            What it smells of after it. Without one the belief drifts.

        Returns
        -------
        Belief

        Raises
        ------
        ValueError
            If shapes do not fit, or an entry is not finite.
        """
        move = _plane(displacement, "displacement")
        smell: Array | None = None
        if sense is not None:
            dim = self._directions.shape[1]
            smell = as_senses(sense, dim, "sense", torch.float64).detach().numpy()
            if smell.shape != (dim,):
                raise ValueError(f"sense must be one, of shape ({dim},), not {smell.shape}.")
        self._move(move)
        self._told, self.surprise = False, None
        if smell is not None:
            self._smell(smell)
        return self.belief

    def follow(
        self, displacements: PointsLike, senses: PointsLike | Sequence[PointsLike | None]
    ) -> Track:
        """Take many steps.

        Parameters
        ----------
        displacements : array_like of shape (n_steps, 2)
            In metres.
        senses : array_like of shape (n_steps, sensory_dim), or sequence
            One after each step, or None where there is none.

        Returns
        -------
        Track

        Raises
        ------
        ValueError
            If shapes do not fit, or an entry is not finite.
        """
        return followed(self.step, displacements, senses)

    # --- the filter -------------------------------------------------------------------------------

    def _move(self, move: Array) -> None:
        """Carry the belief along with a step."""
        mean, covariance = self._mean.copy(), self._covariance
        if not self.odometry.has_compass:
            mean[2] += mean[3]
            move = turned(move, -mean[2])
            carry = np.eye(4)
            carry[0, 2:], carry[1, 2:] = move[1], -move[0]  # the step by the heading error
            carry[2, 3] = 1.0
            walked = np.array([move[1], -move[0], 1.0, 0.0])
            covariance = carry @ covariance @ carry.T
            covariance += self.odometry.heading_walk**2 * np.outer(walked, walked)
        mean[:2] += move
        added = self.odometry.relative_sd**2 * float(move @ move) * np.eye(len(mean))
        added[2:] = 0.0
        self._mean, self._covariance = mean, covariance + added

    def _smell(self, smell: Array) -> None:
        """Correct the belief by a smell."""
        known, spread = self.known, self._covariance[:2, :2]
        found = known.read(self._mean[:2])
        sense = self._directions @ smell
        apart, slope = sense - found.mean[0], found.slope[0]
        bend = _BEND * (float(np.trace(spread)) / known.length**2) ** 2
        noise = float(found.variance[0]) + known.nugget_variance + bend * known.amplitude**2
        steepness, pull = slope.T @ slope, slope.T @ apart
        # What no place smells of counts as apart, too, beyond what is left of every smell.
        beyond = float(smell @ smell - sense @ sense) - self._outside
        square = float(apart @ apart) + max(beyond, 0.0)
        drawn = np.linalg.solve(noise * np.eye(2) + spread @ steepness, spread @ pull)
        deviation = (square - float(pull @ drawn)) / (noise * len(sense))
        faint = _SMELLS**2 * len(sense) * known.nugget_variance
        smells = float(sense @ sense) + max(beyond, 0.0) > faint
        if smells or float(found.mean[0] @ found.mean[0]) > faint:
            self.surprise = math.sqrt(max(deviation, 0.0))
        noise *= self.width * max(1.0, deviation / self.gate**2)
        gain = np.eye(len(self._mean))
        gain[:, :2] += self._covariance[:, :2] @ steepness / noise
        covariance = np.linalg.solve(gain, self._covariance)
        self._mean = self._mean + covariance[:, :2] @ pull / noise
        self._covariance = (covariance + covariance.T) / 2
        self._told = bool(smells and found.nearest_distance[0] <= known.length)


def followed(
    step: Callable[[PointsLike, PointsLike | None], Belief],
    displacements: PointsLike,
    senses: PointsLike | Sequence[PointsLike | None],
) -> Track:
    """Take many steps with something that takes one.

    Parameters
    ----------
    step : callable
        As `Tracker.step`.
    displacements, senses
        As for `Tracker.follow`.

    Returns
    -------
    Track

    Raises
    ------
    ValueError
        As `Tracker.follow` does.
    """
    moves = as_points(displacements, 2, "displacements", torch.float64).detach().numpy()
    if moves.ndim != 2 or len(moves) != len(senses):
        raise ValueError(
            "displacements must have shape (n_steps, 2), with as many senses, but the shape is "
            f"{moves.shape} and there are {len(senses)} senses."
        )
    beliefs = [step(move, sense) for move, sense in zip(moves, senses, strict=True)]
    return Track(
        np.array([belief.mean for belief in beliefs]).reshape(-1, 2),
        np.array([belief.covariance for belief in beliefs]).reshape(-1, 2, 2),
        np.array([belief.identifiable for belief in beliefs], bool),
    )


def calibrate_width(
    tracker: Tracker,
    displacements: PointsLike,
    senses: PointsLike,
    truths: PointsLike,
    *,
    share: float = 0.9,
    widths: Sequence[float] = WIDTHS,
) -> float:
    """Find the least width with which ellipses hold the truth as often as they claim.

    Parameters
    ----------
    tracker : Tracker
        It is left as it is. Each walk begins where it was last told to start.
    displacements : array_like of shape (n_steps, 2) or (n_walks, n_steps, 2)
        What the body believed of its steps, on walks that are used for nothing else.
    senses : array_like of shape (n_steps, sensory_dim) or (n_walks, n_steps, sensory_dim)
        What it smelled after each.
    truths : array_like of shape (n_steps, 2) or (n_walks, n_steps, 2)
        Where it was, in metres.
    share : float, default=0.9
        What ellipses are to hold.
    widths : sequence of float, optional
        Those to try; by default `WIDTHS`.

    Returns
    -------
    float
        If no width is wide enough, the one that comes nearest.

    Raises
    ------
    ValueError
        If shapes do not fit, or there is no width.
    """
    wanted = checked_number("share", share, "share")
    moves = as_points(displacements, 2, "displacements", torch.float64)
    true = as_points(truths, 2, "truths", torch.float64)
    smells = as_numbers(senses, "senses", torch.float64)
    shape = tuple(moves.shape)
    if len(shape) not in (2, 3) or tuple(true.shape) != shape or smells.shape[:-1] != shape[:-1]:
        raise ValueError(
            "displacements and truths must have one shape, (n_steps, 2) or (n_walks, n_steps, 2), "
            f"and senses as many steps, but the shapes are {shape}, {tuple(true.shape)} and "
            f"{tuple(smells.shape)}."
        )
    if not len(widths):
        raise ValueError("widths must hold one to try, but it is empty.")
    steps = shape[-2]
    held: dict[float, float] = {}
    for width in sorted(widths):
        shares = []
        for walk in range(math.prod(shape[:-2])):
            other = tracker.with_width(width)
            other.reset()
            track = other.follow(
                moves.reshape(-1, steps, 2)[walk], smells.reshape(-1, steps, smells.shape[-1])[walk]
            )
            expected = true.reshape(-1, steps, 2)[walk]
            shares.append(coverage(track.means, track.covariances, expected, wanted))
        held[width] = float(np.mean(shares))
        if held[width] >= wanted:
            return width
    return max(held, key=lambda width: held[width])


def _plane(values: PointsLike, name: str) -> Array:
    array: Array = as_points(values, 2, name, torch.float64).detach().numpy()
    if array.shape != (2,):
        raise ValueError(f"{name} must be one, of shape (2,), but has shape {array.shape}.")
    return array


def _covariance(values: PointsLike) -> Array:
    array: Array = as_points(values, 2, "start_covariance", torch.float64).detach().numpy()
    good = array.shape == (2, 2) and np.allclose(array, array.T)
    if not good or float(np.linalg.eigvalsh(array)[0]) <= 0:
        raise ValueError(
            "start_covariance must be symmetric and positive definite, of shape (2, 2), in square "
            f"metres, but {array.tolist()} was given. For a metre each way give [[1, 0], [0, 1]]."
        )
    return np.array(array)
