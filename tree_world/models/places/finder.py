r"""Where am I, wherever one is put? Guesses until the place is told, then a tracker; and back.

While it is lost it asks `Particles`. As soon as they tell the place, a `Tracker` takes over, with
their mean and covariance, which costs a fraction. It may be wrong, or the body may be carried off.
So with each smell the odds are kept that the body is elsewhere: with the fit L of a `Survey`,

.. math::

    \Lambda \leftarrow \max\left(0, \Lambda + \log \frac{\bar L}{\hat L}\right),

of which :math:`\bar L` is the mean over the region, and :math:`\hat L` that over five places that
stand for the tracker's Gaussian: its mean, and √2 standard deviations along each axis of its
ellipse. When Λ exceeds log 1/α, with the probability α of being kidnapped, the body is lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tree_world.checks import PointsLike
from tree_world.models.places.odometry import turned
from tree_world.models.places.particles import Particles, as_step
from tree_world.models.places.tracker import Belief, Track, Tracker, followed

Array: TypeAlias = npt.NDArray[np.float64]


class Finder:
    """Finds its place, keeps it, and finds it again.

    Parameters
    ----------
    particles : Particles
        It begins anew. With `kidnapped` zero, what is found is never given up.
    tracker : Tracker
        Of the same memory and the same odometry. Where it starts does not matter.

    Attributes
    ----------
    particles : Particles
    tracker : Tracker
    lost : bool
        Whether the particles are asked.
    belief : Belief
        The present one, of those that are asked.

    Raises
    ------
    TypeError
        If one of them is something else.
    ValueError
        If they differ in odometry.

    Notes
    -----
    Without a compass the tracker goes on from the heading error that the particles believe in, but
    takes it for certain, and what they learned of the bias is forgotten.

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

    def __init__(self, particles: Particles, tracker: Tracker) -> None:
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
        self.reset()

    def reset(self) -> None:
        """Begin anew, with no idea."""
        self.particles.reset()
        self.lost = True
        self._elsewhere, self._turn = 0.0, 0.0

    @property
    def belief(self) -> Belief:
        """What is believed at present."""
        return self.particles.belief if self.lost else self.tracker.belief

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
        if self.lost:
            belief = self.particles.step(displacement, sense)
            if belief.identifiable:
                self.tracker.reset(belief.mean, belief.covariance)
                self._turn, self._elsewhere = self.particles.heading_error, 0.0
                self.lost = False
            return belief
        belief = self.tracker.step(turned(as_step(displacement), -self._turn), sense)
        if sense is not None and self._is_elsewhere(belief, sense):
            self.reset()
            return self.particles.step([0.0, 0.0], sense)
        return belief

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

    def _is_elsewhere(self, belief: Belief, sense: PointsLike) -> bool:
        """Count a smell for or against the tracker."""
        if self.particles.kidnapped == 0:
            return False
        survey = self.particles.survey
        sizes, axes = np.linalg.eigh(belief.covariance)
        out: Array = (axes * np.sqrt(2 * np.maximum(sizes, 0.0))).T
        around = np.concatenate([belief.mean[None], belief.mean + out, belief.mean - out])
        here = survey.fit(around, sense)
        anywhere = survey.fit_of_cells(sense)
        odds = _log_mean(anywhere) - _log_mean(here)
        self._elsewhere = max(0.0, self._elsewhere + odds)
        return self._elsewhere > -math.log(self.particles.kidnapped)


def _log_mean(logs: Array) -> float:
    most = float(logs.max())
    return most + math.log(float(np.exp(logs - most).mean()))
