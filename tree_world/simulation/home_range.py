"""A walker that stays about its home, in a world or without one."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch

from tree_world.checks import (
    PointsLike,
    SeedLike,
    as_points,
    make_generator,
    positive_distance,
    real_number,
    whole_number,
)
from tree_world.compiling import compiled_exactly
from tree_world.simulation.body import Action, Body, Percept
from tree_world.simulation.stepping import draw_heading, normalise
from tree_world.simulation.stream import draw_normal, draw_uniform

PLANE = 2

Place: TypeAlias = "PointsLike | tuple[float, float]"


class HomeRange:
    r"""Walk about in a square around a home, and turn back where the square ends.

    In the square the heading turns by an angle,

    .. math::

        h' = \begin{pmatrix} \cos a & -\sin a \\ \sin a & \cos a \end{pmatrix} h,
        \qquad a \sim \mathcal{N}(0, s^2),

    s being `turn_sd`. Where the place x is farther than `reach` from home along either axis, it
    turns towards a point q that is drawn anew, evenly from the square:
    :math:`h' = (q - x) / \lVert q - x \rVert`. Then comes a step :math:`u\,L\,h'` with u uniform on
    [0, 1), L being `max_step_length`. Nothing that is smelled, seen or eaten is heeded.

    Who has begun inside the square is never farther than `reach` + `max_step_length` from home
    along an axis: a step out of the square adds at most its length, and one towards q leads to
    between two such places, or past q by less than its length. Nothing is remembered.

    Parameters
    ----------
    reach : float, default=400.0
        Half the side of the square, in metres.
    home : array_like of shape (2,), default=(0.0, 0.0)
        Its middle, in metres.
    max_step_length : float, default=10.0
        Longest step L, in metres. In a world it must not be longer than that of the world.
    turn_sd : float, default=0.3
        Standard deviation s of the angle by which the heading turns in a step, in radians.

    Raises
    ------
    ValueError
        If a length is not positive, `turn_sd` is negative, or `home` is no place in the plane.

    Examples
    --------
    >>> walker = HomeRange(reach=50.0)
    >>> places = walker.walk(1000, seed=0)
    >>> places.shape, bool((abs(places) <= 60.0).all())
    ((1001, 2), True)
    """

    def __init__(
        self,
        reach: float = 400.0,
        *,
        home: Place = (0.0, 0.0),
        max_step_length: float = 10.0,
        turn_sd: float = 0.3,
    ) -> None:
        self.reach = positive_distance("reach", reach)
        self.max_step_length = positive_distance("max_step_length", max_step_length)
        self.turn_sd = real_number("turn_sd", turn_sd)
        if not 0 <= self.turn_sd < math.inf:
            raise ValueError(f"turn_sd must be zero or more, and finite, not {turn_sd}.")
        self._home = _place("home", home)

    @property
    def home(self) -> torch.Tensor:
        """Middle of the square, in metres; a copy of shape (2,)."""
        return torch.from_numpy(self._home.copy())

    def reset(self) -> None:
        """Do nothing: this model learns nothing."""

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """See `AgentModel.act`."""
        if len(body.heading) != PLANE:
            raise ValueError(
                f"HomeRange walks in the plane, but this world has {len(body.heading)} dimensions. "
                "Give a configuration with dim=2."
            )
        heading = body.heading.numpy().astype(np.float32)
        position = body.position.numpy().astype(np.float32)
        step = np.empty_like(heading)
        words = generator.get_state().numpy().view(np.uint64)
        range_about(
            words,
            words.view(np.float64),
            position,
            heading,
            self._home,
            *(self.reach, self.max_step_length, self.turn_sd),
            step,
        )
        generator.set_state(torch.from_numpy(words.view(np.uint8)))
        return Action(torch.from_numpy(step), torch.from_numpy(heading))

    def walk(self, num_steps: int, seed: SeedLike, start: Place = (0.0, 0.0)) -> np.ndarray:
        """Give the places of a walk, without a world.

        From the origin they are, to the last bit, those of the life in
        ``TreeWorld(..., model=walker, seed=seed)`` for as long as it lasts, `seed` being a whole
        number.

        Parameters
        ----------
        num_steps : int
            How many steps to take, zero or more.
        seed : int or torch.Generator
            Of the first heading, evenly from all directions, and all that follows. A generator is
            advanced.
        start : array_like of shape (2,), default=(0.0, 0.0)
            Where to begin, in metres. From outside the square the walk goes into it first.

        Returns
        -------
        numpy.ndarray of shape (num_steps + 1, 2), float64
            In metres, the start first. As in a world, steps are added up in single precision.

        Raises
        ------
        ValueError
            If `num_steps` is negative, or no whole number, or `start` is no place in the plane.
        TypeError, ValueError
            If `seed` is none.
        """
        number = whole_number("num_steps", num_steps, least=0)
        places = np.empty((number + 1, PLANE), dtype=np.float32)
        places[0] = _place("start", start)
        generator = make_generator(seed)
        words = generator.get_state().numpy().view(np.uint64)
        chosen = self.reach, self.max_step_length, self.turn_sd
        walk_about(words, words.view(np.float64), places, self._home, *chosen)
        generator.set_state(torch.from_numpy(words.view(np.uint8)))
        return places.astype(np.float64)


def _place(name: str, point: Place) -> np.ndarray:
    given = list(point) if isinstance(point, tuple) else point
    place = as_points(given, PLANE, name).detach()
    if place.ndim != 1:
        raise ValueError(
            f"{name} must be one place in the plane, of shape ({PLANE},), but one of shape "
            f"{tuple(place.shape)} was given."
        )
    return place.numpy().astype(np.float32)


@compiled_exactly
def range_about(
    words: np.ndarray,
    doubles: np.ndarray,
    position: np.ndarray,
    heading: np.ndarray,
    home: np.ndarray,
    reach: float,
    longest: float,
    turn_sd: float,
    step: np.ndarray,
) -> None:
    """Turn, and choose a step; see `HomeRange`.

    Parameters
    ----------
    words, doubles : numpy.ndarray of shape (632,)
        The stream, twice.
    position : numpy.ndarray of shape (2,)
    heading : numpy.ndarray of shape (2,)
        Turned in place.
    home : numpy.ndarray of shape (2,)
    reach, longest, turn_sd : float
    step : numpy.ndarray of shape (2,)
        Written to.
    """
    is_out = False
    for axis in range(len(position)):
        is_out = is_out or abs(position[axis] - home[axis]) > np.float32(reach)
    if is_out:
        for axis in range(len(position)):
            share = np.float32(2.0) * draw_uniform(words) - np.float32(1.0)
            heading[axis] = home[axis] + np.float32(reach) * share - position[axis]
    else:
        angle = turn_sd * draw_normal(words, doubles)
        along, across = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        x, y = heading[0], heading[1]
        heading[0], heading[1] = along * x - across * y, across * x + along * y
    normalise(heading)
    length = np.float32(longest) * draw_uniform(words)
    for axis in range(len(heading)):
        step[axis] = heading[axis] * length


@compiled_exactly
def walk_about(
    words: np.ndarray,
    doubles: np.ndarray,
    places: np.ndarray,
    home: np.ndarray,
    reach: float,
    longest: float,
    turn_sd: float,
) -> None:
    """Draw a heading and take steps, from the first place to the last; see `HomeRange.walk`.

    Parameters
    ----------
    words, doubles : numpy.ndarray of shape (632,)
        The stream, twice.
    places : numpy.ndarray of shape (num_steps + 1, 2)
        The first one is read, the others are written to.
    home : numpy.ndarray of shape (2,)
    reach, longest, turn_sd : float
    """
    heading = np.empty(places.shape[1], dtype=np.float32)
    step = np.empty(places.shape[1], dtype=np.float32)
    draw_heading(words, doubles, heading)
    for before in range(len(places) - 1):
        position = places[before]
        range_about(words, doubles, position, heading, home, reach, longest, turn_sd, step)
        for axis in range(len(position)):
            places[before + 1, axis] = position[axis] + step[axis]
