r"""Where am I, with no idea? Many guesses at once, each carried along and weighed by smells.

A particle filter. It holds N guesses with weights, of places and, for a body without a compass, of
the heading error ε and the bias b of `Odometry`.

*At first* the body may be anywhere in a region. Until something is sensed that needs no guesses;
the first smell draws all of them, from the cells of a `Survey`, as often as it fits them.

*A step* moves each guess, by what the body believes and an error that is drawn anew. *A smell*
multiplies each weight by how well it fits: L(x) of the `Survey`.

*Kidnapped*: with each smell, the body may have been put anywhere with a small probability α. The
prediction is (1 − α) of the guesses and α of the whole region, so that after the smell the share

.. math::

    F = \frac{\alpha\, \bar L}{\alpha\, \bar L + (1 - \alpha) \sum_i w_i L(x_i)}

belongs to fresh guesses, with the mean :math:`\bar L` of L over all cells. So many of the N are
drawn anew, from the cells that fit. While the guesses fit they are next to none. Each takes the
heading and the bias of one of the others; but these may have been misled in that as in their
places. So half of the fresh ones take theirs from headings that have drifted since the beginning as
the odometry says, and that no smell has weighed.

*Drawn again*, systematically, are all guesses as soon as the effective number
:math:`1 / \sum_i w_i^2` falls below a share of N, or there are fresh ones.

References
----------
S. Thrun, W. Burgard and D. Fox, "Probabilistic Robotics", 2005, chapters 4 and 8.
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
    SeedLike,
    as_points,
    checked_number,
    make_generator,
    positive_distance,
    whole_number,
)
from tree_world.models.memory.recall.kriging import NUGGET
from tree_world.models.places.odometry import ANGLE, DEVIATION, Odometry, turned
from tree_world.models.places.survey import Survey, systematic
from tree_world.models.places.tracker import Belief, Track, followed

Array: TypeAlias = npt.NDArray[np.float64]

# Of the ellipse of nine tenths: the quantile of χ² with two degrees of freedom is −2 log(1 − p).
_UNIT_RADIUS = math.sqrt(-2 * math.log1p(-0.9))
_NEARLY_ALL = 0.99  # of the weight, which a cluster must hold to be the only one
_SHIFTS = 5  # of the centre of the cluster, until it stands
_LEAST_SD = 0.1  # of guesses that are all but the same, in metres
_CHANCE = Number(
    "be a probability: zero or more, and below one",
    lambda x: 0 <= x < 1,
    "For a body that nobody moves give 0.",
)


class Particles:
    r"""Finds its place from nothing, in a region whose smells were surveyed.

    Parameters
    ----------
    places : array_like of shape (n_observations, 2)
        Where smells are known, in metres.
    senses : array_like of shape (n_observations, sensory_dim)
        What it smells of there.
    odometry : Odometry
        What the body believes of its steps. Its heading is right at first.
    length : float
        Of the kernel, in metres; see `Kriging`.
    nugget, nearest, amplitude
        As for `Survey`.
    width : float, default=64.0
        κ: a smell counts as its κth root, for being like the last. Who does not know where it is
        must doubt more than a `Tracker`.
    gate : float, default=0.5
        γ: from how many standard deviations on a smell's deviation counts by its logarithm.
    num_particles : int, default=2000
        N.
    region : array_like of shape (2, 2), optional
        Where the body may be: the lower left and the upper right corner, in metres; by default the
        box around all places.
    spacing : float, default=5.0
        Side of the cells that are read once and for all, in metres.
    kidnapped : float, default=0.001
        α: how probable it is, with each smell, that the body was put elsewhere.
    resample_below : float, default=0.5
        Share of N, below which the effective number makes guesses be drawn again.
    largest_radius : float, default=20.0
        Of the longer half axis of the ellipse that holds nine tenths, up to which a place counts as
        told, in metres.
    hold : int, default=45
        For how many steps that smell of something, one after the other, it must be so small:
        enough to walk out of reach of the observations that misled at first.
    seed : int or torch.Generator, default=0
        Of all that is drawn.

    Attributes
    ----------
    survey : Survey
        What is known of smells.
    belief : Belief
        The present one. If guesses within twice the `largest_radius` of their heaviest cluster hold
        99 % of the weight, mean and covariance are those of the cluster; otherwise those of all
        guesses. The place can be told (`identifiable`) if there is such a cluster, its ellipse is
        small and was so for some steps, and there is a smell.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of its range, or the region is none.
    TypeError
        If `odometry` is none.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> config = TreeWorldConfig()
    >>> sensor, world = SimpleSensor.from_config(config), TreeWorld.random_from_config(config, 0)
    >>> places = np.random.default_rng(0).uniform(-200, 200, (300, 2))
    >>> odometry = Odometry(0.1)
    >>> length = (2 * sensor.diffusion_time) ** 0.5
    >>> lost = Particles(places, sensor.sense(world, places)[1], odometry, length=length)
    >>> steps = 3.0 * np.random.default_rng(1).normal(size=(150, 2))
    >>> true, believed = [80.0, -50.0] + steps.cumsum(axis=0), odometry.drift(steps, seed=0)
    >>> track = lost.follow(believed, sensor.sense(world, true)[1])
    >>> for number in (0, 149):
    ...     away = np.linalg.norm(track.means[number] - true[number])
    ...     far = "far away" if away > 50 else "within 10 m" if away < 10 else "near"
    ...     print(far, "and", "sure" if track.identifiable[number] else "unsure")
    far away and unsure
    within 10 m and sure
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
        width: float = 64.0,
        gate: float = 0.5,
        num_particles: int = 2000,
        region: PointsLike | None = None,
        spacing: float = 5.0,
        kidnapped: float = 1e-3,
        resample_below: float = 0.5,
        largest_radius: float = 20.0,
        hold: int = 45,
        seed: SeedLike = 0,
    ) -> None:
        if not isinstance(odometry, Odometry):
            raise TypeError(f"odometry must be an Odometry, not {type(odometry).__name__}.")
        self.odometry = odometry
        self.num_particles = whole_number("num_particles", num_particles, 2)
        self.kidnapped = checked_number("kidnapped", kidnapped, _CHANCE)
        self.resample_below = checked_number("resample_below", resample_below, "share")
        self.largest_radius = positive_distance("largest_radius", largest_radius)
        self.hold = whole_number("hold", hold, 1)
        self.survey = Survey(
            places,
            senses,
            length=length,
            nugget=nugget,
            nearest=nearest,
            amplitude=amplitude,
            width=width,
            gate=gate,
            region=region,
            spacing=spacing,
        )
        self._generator = make_generator(seed)
        self.reset()

    def reset(self, heading_error: float = 0.0, heading_sd: float = 0.0) -> None:
        """Begin anew, anywhere in the region, by default with a heading that is right.

        Parameters
        ----------
        heading_error : float, default=0.0
            By how much the heading is too great, in radians. With a compass it is right.
        heading_sd : float, default=0.0
            How unsure that is, in radians.

        Raises
        ------
        ValueError
            If a number is not finite, or the deviation is negative.
        """
        turn = checked_number("heading_error", heading_error, ANGLE)
        spread = checked_number("heading_sd", heading_sd, DEVIATION)
        if self.odometry.has_compass:
            turn = spread = 0.0
        number = self.num_particles
        low, high = self.survey.region
        self._places: Array = low + (high - low) * self._uniform(number, 2)
        self._heading: Array = np.full(number, turn)
        if spread:
            self._heading = turn + spread * self._normal(number)
        self._bias: Array = self.odometry.heading_bias_sd * self._normal(number)
        self._free_heading, self._free_bias = self._heading, self._bias
        self._log_weights: Array = np.full(number, -math.log(number))
        self._anywhere = True
        self._held, self._told = 0, False

    # --- what is believed -------------------------------------------------------------------------

    @property
    def places(self) -> Array:
        """The guesses, of shape (num_particles, 2), in metres."""
        return self._places.copy()

    @property
    def weights(self) -> Array:
        """How probable each guess is, of shape (num_particles,); their sum is one."""
        weights: Array = np.exp(self._log_weights - self._log_weights.max())
        return np.asarray(weights / weights.sum())

    @property
    def heading_error(self) -> float:
        """The believed error of the heading, in radians: 0 with a compass."""
        return float(self.weights @ self._heading)

    @property
    def heading_sd(self) -> float:
        """How unsure that is, in radians: 0 with a compass."""
        weights = self.weights
        apart = self._heading - weights @ self._heading
        return math.sqrt(float(weights @ apart**2))

    @property
    def held(self) -> int:
        """For how many steps that smell of something the ellipse has been as small as it must."""
        return self._held

    @property
    def belief(self) -> Belief:
        """What is believed at present."""
        mean, covariance, _ = self._gaussian()
        return Belief(mean, covariance, self._told)

    # --- steps ------------------------------------------------------------------------------------

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
        move = as_step(displacement)
        fits = None if sense is None else self.survey.fit_of_cells(sense)
        self._move(move)
        if sense is None or fits is None:
            self._told = False
            return self.belief
        self._weigh(sense, fits)
        mean, covariance, alone = self._gaussian()
        longest = _UNIT_RADIUS * math.sqrt(float(np.linalg.eigvalsh(covariance)[-1]))
        smells = self.survey.smells(sense)
        if not (alone and longest <= self.largest_radius):
            self._held = 0
        elif smells:
            self._held += 1
        self._told = smells and self._held >= self.hold
        return Belief(mean, covariance, self._told)

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

    def _uniform(self, *shape: int) -> Array:
        drawn: Array = torch.rand(*shape, generator=self._generator, dtype=torch.float64).numpy()
        return drawn

    def _normal(self, *shape: int) -> Array:
        drawn: Array = torch.randn(*shape, generator=self._generator, dtype=torch.float64).numpy()
        return drawn

    def _move(self, move: Array) -> None:
        """Carry all guesses along with a step."""
        number, odometry = self.num_particles, self.odometry
        size = odometry.relative_sd * float(np.linalg.norm(move))
        moves = move + size * self._normal(number, 2)
        if not odometry.has_compass:
            walked = odometry.heading_walk * self._normal(number)
            self._heading = self._heading + self._bias + walked
            walked = odometry.heading_walk * self._normal(number)
            self._free_heading = self._free_heading + self._free_bias + walked
            moves = turned(moves, -self._heading)
        if not self._anywhere:  # anywhere is anywhere after a step, too
            self._places = self._places + moves

    def _weigh(self, sense: PointsLike, fits: Array) -> None:
        """Weigh all guesses by a smell, and draw them again where that is due."""
        number = self.num_particles
        if self._anywhere:
            fresh = number
        else:
            weights = self._log_weights + self.survey.fit(self._places, sense)
            ours = _log_sum(weights)
            self._log_weights = weights - ours
            fresh = self._number_of_fresh(ours, _log_sum(fits) - math.log(len(fits)))
            effective = 1 / float(np.exp(2 * self._log_weights).sum())
            if not fresh and effective >= self.resample_below * number:
                return
        which = systematic(np.exp(self._log_weights), number - fresh, self._generator)
        found, cells = self.survey.spread(fits, fresh, self._generator)
        # Within a cell some places fit better than its centre.
        better = self.survey.fit(found, sense) - fits[cells]
        self._places = np.concatenate([self._places[which], found])
        if fresh < number:
            which = np.concatenate([which, self._others(which, fresh)])
            self._heading, self._bias = self._heading[which], self._bias[which]
        if not self._anywhere:
            self._set_free(number - fresh)
        self._log_weights = np.concatenate([np.zeros(number - fresh), better])
        self._log_weights -= _log_sum(self._log_weights)
        self._anywhere = False

    def _others(self, which: npt.NDArray[np.intp], number: int) -> npt.NDArray[np.intp]:
        drawn = (self._uniform(number) * len(which)).astype(np.intp)
        return np.asarray(which[drawn])

    def _set_free(self, first: int) -> None:
        """Give every other guess, from some number on, a heading of which no smell has told."""
        if self.odometry.has_compass:
            return
        held = np.stack([self._heading, self._bias], axis=-1)
        free = np.stack([self._free_heading, self._free_bias], axis=-1)
        freed = half_freed(held, free, first, self._uniform(self.num_particles - first, 2))
        self._heading, self._bias = freed.T.copy()

    def _number_of_fresh(self, ours: float, theirs: float) -> int:
        """How many guesses are to be fresh, F N, rounded up or down by chance."""
        if self.kidnapped == 0:
            return 0
        odds = math.log(self.kidnapped) + theirs - math.log1p(-self.kidnapped) - ours
        share = 1 / (1 + math.exp(min(-odds, 700.0)))
        return int(share * self.num_particles + float(self._uniform(1)[0]))

    def _gaussian(self) -> tuple[Array, Array, bool]:
        """Mean and covariance, and whether they are those of one cluster that holds nearly all."""
        places, weights = self._places, self.weights
        reach = 2 * self.largest_radius
        cells = np.floor((places - places.min(axis=0)) / self.largest_radius).astype(np.intp)
        labels = cells[:, 0] * (int(cells[:, 1].max()) + 1) + cells[:, 1]
        heaviest = int(np.bincount(labels, weights).argmax())
        near = labels == heaviest
        for _ in range(_SHIFTS):
            mean = weights[near] @ places[near] / weights[near].sum()
            before, near = near, ((places - mean) ** 2).sum(axis=-1) <= reach**2
            if not near.any() or np.array_equal(before, near):
                break
        alone = float(weights[near].sum()) >= _NEARLY_ALL and not self._anywhere
        if alone:
            places, weights = places[near], weights[near] / weights[near].sum()
        mean = weights @ places
        apart = places - mean
        covariance = apart.T @ (weights[:, None] * apart) + _LEAST_SD**2 * np.eye(2)
        return mean, covariance, alone


def as_step(displacement: PointsLike) -> Array:
    """Check a step of a body.

    Parameters
    ----------
    displacement : array_like of shape (2,)
        In metres.

    Returns
    -------
    numpy.ndarray of float64, of shape (2,)

    Raises
    ------
    ValueError
        If the shape is wrong, or an entry is not finite.
    """
    move: Array = as_points(displacement, 2, "displacement", torch.float64).detach().numpy()
    if move.shape != (2,):
        raise ValueError(f"displacement must be one, of shape (2,), but has shape {move.shape}.")
    return move


def _log_sum(logs: Array) -> float:
    most = float(logs.max())
    return most + math.log(float(np.exp(logs - most).sum()))


def half_freed(held: Array, free: Array, first: int, uniform: Array) -> Array:
    """Replace half of the last rows, chosen evenly, by others that are drawn evenly.

    Parameters
    ----------
    held : numpy.ndarray of float64, of shape (n, k)
    free : numpy.ndarray of float64, of shape (m, k)
        From which is drawn.
    first : int
        From which row on they may be replaced.
    uniform : numpy.ndarray of float64, of shape (n − first, 2)
        From 0 to 1: whether each is replaced, and by which.

    Returns
    -------
    numpy.ndarray of float64, of shape (n, k)

    Examples
    --------
    >>> held, free = np.zeros((3, 1)), np.array([[1.0], [2.0]])
    >>> half_freed(held, free, 1, np.array([[0.2, 0.9], [0.7, 0.1]])).ravel().tolist()
    [0.0, 2.0, 0.0]
    """
    replaced = np.flatnonzero(uniform[:, 0] < 0.5)
    found = held.copy()
    found[first + replaced] = free[(uniform[replaced, 1] * len(free)).astype(np.intp)]
    return found
