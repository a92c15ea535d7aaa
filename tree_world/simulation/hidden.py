"""A body whose actions shift it by amounts that nobody is told."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    Number,
    PointsLike,
    SeedLike,
    as_points,
    checked_actions,
    checked_number,
    make_generator,
    positive_distance,
    whole_number,
)

Array: TypeAlias = npt.NDArray[np.float64]
Actions: TypeAlias = npt.NDArray[np.intp]

_SETS = 4000  # of directions, of which the first that will do is taken
_PROBES = 500  # directions that each must have an action near
_NEAR_ENOUGH = {1: 1.0, 2: 0.4}  # cosine of the angle to it; the plane's is 66°
_NEAR_ENOUGH_IN_SPACE = 0.2  # 78°
_CHANCE = Number("be a chance: from 0, and less than 1", lambda x: 0 <= x < 1, "Give 0.7, or so.")
_NOISE = Number(
    "be a standard deviation: zero or more, and finite",
    lambda x: 0 <= x < math.inf,
    "For a body that makes no such error give 0.",
)


class ShiftBody:
    r"""A body that can do one of K actions, each of which shifts it by a vector of its own.

    Action k moves it from x to

    .. math::

        x' = x + s_k + \nu \lVert s_k \rVert \xi, \qquad \xi \sim \mathcal{N}(0, I),

    ν being `motor_noise`. Shifts :math:`s_k` are drawn by `seed`: lengths evenly between `shortest`
    and `longest`, directions evenly, and again until every direction has an action within 66° in
    the plane (78° in space; in one dimension, of its own sign): so that the body can get home from
    everywhere. Where `num_actions` are too few for that, the best of 4,000 sets is taken.

    Parameters
    ----------
    num_actions : int, default=6
        K, more than `dim`.
    dim : int, default=2
        Dimension of the world.
    seed : int or torch.Generator
        Of the shifts.
    shortest, longest : float, default=3.0 and 8.0
        Between which lengths of shifts are drawn, in metres.
    reach : float, default=250.0
        Half the side of the square about the origin that it stays in, in metres.
    persistence : float, default=0.6
        Chance that it does the same again.
    motor_noise : float, default=0.0
        Standard deviation ν of each step along each axis, as a share of its length.

    Attributes
    ----------
    shifts : numpy.ndarray of float64, of shape (num_actions, dim)
        In metres.

    Raises
    ------
    TypeError, ValueError
        If a number is not of its kind, or there are no more actions than dimensions.

    Examples
    --------
    >>> body = ShiftBody(seed=0)
    >>> actions, places = body.walk(1000, seed=1)
    >>> actions.shape, places.shape, bool((abs(places) < 300).all())
    ((1000,), (1001, 2), True)
    >>> bool(abs(places[1] - places[0] - body.shifts[actions[0]]).max() < 1e-9)
    True
    """

    def __init__(
        self,
        num_actions: int = 6,
        dim: int = 2,
        *,
        seed: SeedLike,
        shortest: float = 3.0,
        longest: float = 8.0,
        reach: float = 250.0,
        persistence: float = 0.6,
        motor_noise: float = 0.0,
    ) -> None:
        self.dim = whole_number("dim", dim, least=1)
        self.num_actions = whole_number("num_actions", num_actions, least=1)
        if self.num_actions <= self.dim:
            raise ValueError(
                f"a body in {self.dim} dimensions needs at least {self.dim + 1} actions to get "
                f"home from everywhere, but num_actions is {num_actions}."
            )
        low, high = positive_distance("shortest", shortest), positive_distance("longest", longest)
        if low > high:
            raise ValueError(
                f"shortest must not exceed longest, but {low} m and {high} m were given."
            )
        self.reach = positive_distance("reach", reach)
        self.persistence = checked_number("persistence", persistence, _CHANCE)
        self.motor_noise = checked_number("motor_noise", motor_noise, _NOISE)
        generator = make_generator(seed)
        directions = _spread_directions(self.num_actions, self.dim, generator)
        drawn = torch.rand(self.num_actions, 1, generator=generator, dtype=torch.float64).numpy()
        self.shifts: Array = directions * (low + (high - low) * drawn)

    def move(
        self, actions: npt.ArrayLike, start: PointsLike | None = None, *, seed: SeedLike = 0
    ) -> Array:
        """Do some actions, and tell where that leads.

        Parameters
        ----------
        actions : array_like of int, of shape (n,)
            From 0 to K − 1.
        start : array_like of shape (dim,), optional
            In metres; by default the origin.
        seed : int or torch.Generator, default=0
            Of the noise, if there is any.

        Returns
        -------
        numpy.ndarray of float64, of shape (n + 1, dim)
            In metres, the start first.

        Raises
        ------
        ValueError
            If an action is none of the body's, or `start` no place.
        """
        done = checked_actions(actions, self.num_actions)
        begin = self._place(start)
        steps = self.shifts[done]
        if self.motor_noise:
            steps = steps + self._noise(steps, make_generator(seed))
        return np.concatenate([begin[None], begin + np.cumsum(steps, axis=0)])

    def walk(
        self, num_steps: int, seed: SeedLike, start: PointsLike | None = None
    ) -> tuple[Actions, Array]:
        """Walk about, and turn back where the square ends.

        Each action is the last one again, with the chance `persistence`, or else any, evenly. Where
        the body is farther than `reach` from the origin along an axis, it draws a point from the
        square, evenly, and does what brings it nearest to it, until no action brings it nearer.

        Parameters
        ----------
        num_steps : int
            How many actions to do, zero or more.
        seed : int or torch.Generator
            Of all choices, and of the noise.
        start : array_like of shape (dim,), optional
            In metres; by default the origin.

        Returns
        -------
        actions : numpy.ndarray of int, of shape (num_steps,)
            From 0 to K − 1.
        places : numpy.ndarray of float64, of shape (num_steps + 1, dim)
            In metres, the start first.

        Raises
        ------
        TypeError, ValueError
            If a number or the seed is none, or `start` is no place.
        """
        number = whole_number("num_steps", num_steps, least=0)
        generator = make_generator(seed)
        chances = torch.rand(number, 2, generator=generator, dtype=torch.float64).numpy()
        points = torch.rand(number, self.dim, generator=generator, dtype=torch.float64).numpy()
        targets = self.reach * (2 * points - 1)
        noise = torch.randn(number, self.dim, generator=generator, dtype=torch.float64).numpy()
        lengths = self.motor_noise * np.linalg.norm(self.shifts, axis=-1)
        places = np.empty((number + 1, self.dim))
        places[0] = self._place(start)
        actions = np.empty(number, np.intp)
        target: Array | None = None
        for step, place in enumerate(places[:-1]):
            if target is None and np.abs(place).max() > self.reach:
                target = targets[step]
            if target is not None:
                left = np.linalg.norm(place + self.shifts - target, axis=-1)
                action = int(left.argmin())
                if left[action] >= np.linalg.norm(place - target):
                    target = None
            if target is None:
                again = step > 0 and chances[step, 0] < self.persistence
                action = int(actions[step - 1]) if again else int(chances[step, 1] * len(lengths))
            actions[step] = action
            places[step + 1] = place + self.shifts[action] + lengths[action] * noise[step]
        return actions, places

    def _noise(self, steps: Array, generator: torch.Generator) -> Array:
        drawn = torch.randn(*steps.shape, generator=generator, dtype=torch.float64).numpy()
        return np.asarray(self.motor_noise * np.linalg.norm(steps, axis=-1, keepdims=True) * drawn)

    def _place(self, point: PointsLike | None) -> Array:
        if point is None:
            return np.zeros(self.dim)
        place = as_points(point, self.dim, "start", torch.float64).detach()
        if place.ndim != 1:
            raise ValueError(
                f"start must be one place, of shape ({self.dim},), but one of shape "
                f"{tuple(place.shape)} was given."
            )
        return np.asarray(place.numpy().copy())


def _spread_directions(number: int, dim: int, generator: torch.Generator) -> Array:
    """Draw unit vectors until every direction has one near."""

    def drawn(count: int) -> Array:
        vectors = torch.randn(count, dim, generator=generator, dtype=torch.float64)
        return np.asarray((vectors / vectors.norm(dim=-1, keepdim=True)).numpy())

    probes, best, closest = drawn(_PROBES), np.zeros((number, dim)), -math.inf
    wanted = _NEAR_ENOUGH.get(dim, _NEAR_ENOUGH_IN_SPACE)
    for _ in range(_SETS):
        directions = drawn(number)
        cosine = float((probes @ directions.T).max(axis=1).min())
        if cosine > closest:
            best, closest = directions, cosine
        if closest >= wanted - 1e-9:
            break
    return best
