r"""Where am I, wherever one is put? Guesses until the place is told, then a tracker; and back.

While it is lost it asks `Particles`. As soon as they tell the place, a `Tracker` goes on from
there, which costs a fraction.

*Surprise.* It may be wrong, or the body may be carried off. Then smells surprise the tracker, one
after the other: the root of the mean square of their deviations, in standard deviations, is about
one or less for who is where it believes to be. A few are always off, where fruit comes into reach
and smells jump. So what counts is the median of the last smells: when that of the last few is large
the place no longer counts as told, and when that of many is, the body is lost.

*On trial.* Guesses that gather at a wrong place, or with a wrong heading, all descend from a few,
and are alike without being right: nothing in them says so. So the tracker is on trial at first. It
begins three times as unsure as the guesses claim, so that it can leave a place which is near the
true one, and the place counts as told when a number of smells surprised it by no more than half of
what makes it lost, in the median. If they did, the guesses begin anew. Then guesses and tracker are
two opinions of the same smells, neither of which is surely the better: it goes on from the mean and
the covariance of both together, so that where they lie apart it claims no more than that.

*Without a compass* whoever is led astray learns a wrong heading from smells that it takes for those
of another place, and would be misled by it wherever it looks. So it forgets what it learned since
then. When that was is told by the running sum of the excess of surprises (Page 1954),

.. math::

    S \leftarrow \max\left(0,\, S + \min(s, 2 \sigma) - \tfrac12 \sigma\right),

for a surprise s and the threshold σ: it was zero for the last time when all seemed well. Guesses
take the heading of so many smells before that moment as make it lost, with what the odometry adds
to its variance until now.

References
----------
E. S. Page, "Continuous inspection schemes", 1954.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tree_world.checks import PointsLike, positive_number, whole_number
from tree_world.models.places.particles import Particles
from tree_world.models.places.tracker import Belief, Track, Tracker, followed

_FEW = 7  # of the last smells, whose surprise makes it doubt
WIDER = 3.0  # times as unsure as the particles claim is the tracker at first


class _Heading(NamedTuple):
    """What was known of the heading after some step: its error in radians, its variance."""

    error: float
    variance: float
    step: int


def _untold(belief: Belief) -> Belief:
    return dataclasses.replace(belief, identifiable=False)


class Finder:
    """Finds its place, keeps it, and finds it again.

    Parameters
    ----------
    particles : Particles
        It begins anew. With `kidnapped` zero, what is found is never given up.
    tracker : Tracker
        Of the same memory and the same odometry. Where it starts does not matter.
    surprise : float, default=2.0
        Standard deviations, beyond which the median makes it doubt, and lost.
    window : int, default=25
        How many smells must surprise it, in the median, for it to be lost.
    trial : int, default=15
        How many smells must surprise it by no more than half as much, in the median, before a place
        that was found counts as told.

    Attributes
    ----------
    particles : Particles
    tracker : Tracker
    lost : bool
        Whether the particles are asked; still so on trial.
    belief : Belief
        The present one, of those that are asked.

    Raises
    ------
    TypeError
        If one of them is something else.
    ValueError
        If they differ in odometry, or a number is out of its range.

    Notes
    -----
    What was learned of the bias is forgotten with each change between particles and tracker, and so
    is what errors of place and heading have in common. Where nothing is known, as beyond the edge
    of what was surveyed, no smell surprises: a body that believes to be there notices nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world.models.places.odometry import Odometry
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> config = TreeWorldConfig()
    >>> sensor, world = SimpleSensor.from_config(config), TreeWorld.random_from_config(config, 0)
    >>> places = np.random.default_rng(0).uniform(-200, 200, (300, 2))
    >>> known = (places, sensor.sense(world, places)[1], Odometry(0.1))
    >>> length = (2 * sensor.diffusion_time) ** 0.5
    >>> finder = Finder(Particles(*known, length=length), Tracker(*known, length=length))
    >>> steps = 3.0 * np.random.default_rng(1).normal(size=(200, 2))
    >>> true = [80.0, -50.0] + steps.cumsum(axis=0)
    >>> true[100:] -= [120.0, 0.0]  # carried off, and nobody tells it
    >>> track = finder.follow(known[2].drift(steps, seed=0), sensor.sense(world, true)[1])
    >>> for number in (99, 101, 199):
    ...     away = np.linalg.norm(track.means[number] - true[number])
    ...     print("far away" if away > 50 else f"within {np.ceil(away / 5) * 5:.0f} m")
    within 5 m
    far away
    within 5 m
    """

    def __init__(
        self,
        particles: Particles,
        tracker: Tracker,
        *,
        surprise: float = 2.0,
        window: int = 25,
        trial: int = 15,
    ) -> None:
        if not isinstance(particles, Particles) or not isinstance(tracker, Tracker):
            raise TypeError(
                "a finder is made of Particles and a Tracker, not of "
                f"{type(particles).__name__} and {type(tracker).__name__}."
            )
        if particles.odometry != tracker.odometry:
            raise ValueError(
                "particles and tracker must have one odometry, but they have "
                f"{particles.odometry} and {tracker.odometry}."
            )
        self.particles, self.tracker = particles, tracker
        self.surprise = positive_number("surprise", surprise)
        self.window = whole_number("window", window, 1)
        self.trial = whole_number("trial", trial, 1)
        self.reset()

    def reset(
        self, start: PointsLike | None = None, start_covariance: PointsLike | None = None
    ) -> None:
        """Begin anew, with no idea, or at a place that is known.

        Parameters
        ----------
        start : array_like of shape (2,), optional
            Where the body is, in metres; by default it may be anywhere.
        start_covariance : array_like of shape (2, 2), optional
            How unsure that is, as for `Tracker.reset`.

        Raises
        ------
        ValueError
            If shapes do not fit, the covariance is none, or it is given without a place.
        """
        if start is None and start_covariance is not None:
            raise ValueError("start_covariance needs the start that it belongs to: give both.")
        if start is not None:
            self.tracker.reset(start, start_covariance)
        self.particles.reset()
        self.lost = start is None
        self._on_trial = False
        self._steps = 0
        self._heading = _Heading(0.0, 0.0, 0)
        self._calm()

    @property
    def belief(self) -> Belief:
        """What is believed at present."""
        if self.lost:
            return _untold(self.particles.belief)
        return self._doubted(self.tracker.belief)

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
        self._steps += 1
        if self.lost:
            return self._search(displacement, sense)
        belief = self.tracker.step(displacement, sense)
        self._note()
        if self.particles.kidnapped > 0 and self._is_surprised(self.window, self.surprise):
            self.lost = True
            self._begin_anew()
            return _untold(self.particles.step([0.0, 0.0], sense))
        return self._doubted(belief)

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

    # --- lost -------------------------------------------------------------------------------------

    def _search(self, displacement: PointsLike, sense: PointsLike | None) -> Belief:
        """Take a step with no idea, or on trial, and see whether the place is found."""
        guessed = self.particles.step(displacement, sense)
        self._on_trial &= self.particles.held > 0
        if self._on_trial:
            belief = self.tracker.step(displacement, sense)
            self._note()
            if self._is_surprised(self.trial, self.surprise / 2):
                self._begin_anew()
            elif len(self._surprises) >= self.trial and belief.identifiable:
                self._on_trial, self.lost = False, False
                return self._agreed(guessed, belief)
        elif guessed.identifiable:
            heading, sd = self.particles.heading_error, self.particles.heading_sd
            spread = WIDER**2 * guessed.covariance
            self.tracker.reset(guessed.mean, spread, heading, WIDER * sd)
            self._calm()
            self._on_trial = True
        return _untold(guessed)

    def _agreed(self, guessed: Belief, believed: Belief) -> Belief:
        """Let the tracker go on from what guesses and tracker believe, each with probability ½."""
        headings = [self.particles.heading_error, self.tracker.heading_error]
        sds = [self.particles.heading_sd, self.tracker.heading_sd]
        apart = (guessed.mean - believed.mean) / 2
        spread = (guessed.covariance + believed.covariance) / 2 + np.outer(apart, apart)
        heading_sd = math.sqrt(np.square(sds).mean() + np.var(headings))
        middle = (guessed.mean + believed.mean) / 2
        self.tracker.reset(middle, spread, float(np.mean(headings)), heading_sd)
        return Belief(middle, spread, believed.identifiable)

    def _begin_anew(self) -> None:
        """Let the particles start anywhere, with what was known of the heading before."""
        odometry, number = self.particles.odometry, self._steps - self._heading.step
        walked = number * odometry.heading_walk**2 + (number * odometry.heading_bias_sd) ** 2
        self.particles.reset(self._heading.error, math.sqrt(self._heading.variance + walked))
        self._on_trial = False
        self._calm()

    # --- surprise ---------------------------------------------------------------------------------

    def _calm(self) -> None:
        """Forget how much smells surprised the tracker."""
        self._surprises: deque[float] = deque(maxlen=max(self.window, self.trial))
        self._headings: deque[_Heading] = deque(maxlen=self.window)
        self._excess = 0.0  # S

    def _note(self) -> None:
        """Note how much a smell surprised the tracker, and what it knows of its heading."""
        surprise = self.tracker.surprise
        if surprise is None:
            return
        self._surprises.append(surprise)
        error, sd = self.tracker.heading_error, self.tracker.heading_sd
        self._headings.append(_Heading(error, sd**2, self._steps))
        # No single smell counts for much: some jump.
        excess = self._excess + min(surprise, 2 * self.surprise) - self.surprise / 2
        self._excess = max(0.0, excess)
        if self._excess == 0 and len(self._headings) == self.window:
            self._heading = self._headings[0]

    def _is_surprised(self, number: int, most: float) -> bool:
        """Whether the last smells were farther off than so many deviations, in the median."""
        last = list(self._surprises)[-number:]
        return len(last) == number and statistics.median(last) > most

    def _doubted(self, belief: Belief) -> Belief:
        """Tell no place while it is doubted."""
        doubts = self._is_surprised(min(_FEW, self.window), self.surprise)
        return dataclasses.replace(belief, identifiable=belief.identifiable and not doubts)
