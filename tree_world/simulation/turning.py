r"""A body of three actions: a step ahead, a turn to the left and one to the right."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    PointsLike,
    SeedLike,
    as_numbers,
    make_generator,
    positive_distance,
    whole_number,
)

STEP, LEFT, RIGHT = 0, 1, 2
STEPS = (4.0, 6.0)  # metres
LEFTS = (0.30, 0.45)  # radians
RIGHTS = (0.34, 0.45)
SHARES = (0.6, 0.2, 0.2)  # of the actions, where one is drawn anew
PERSISTENCE = 0.3  # probability of doing again what was done last
REACH = 250.0  # metres, half the side of the square in which it stays

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


def follow(moves: PointsLike, actions: npt.ArrayLike) -> tuple[Array, Array]:
    r"""Tell where actions lead, each of which moves a body in its own frame.

    From the place x and the heading θ, the action a leads to

    .. math::

        x' = x + \begin{pmatrix} \cos\theta & -\sin\theta \\ \sin\theta & \cos\theta \end{pmatrix}
        \begin{pmatrix} d_{a1} \\ d_{a2} \end{pmatrix}, \qquad \theta' = \theta + d_{a3}.

    Parameters
    ----------
    moves : array_like of shape (num_actions, 3)
        Shift ahead and to the left, in metres, and turn to the left, in radians, of each action.
    actions : array_like of int, of shape (n,)
        Their numbers, from zero.

    Returns
    -------
    places : numpy.ndarray of float64, of shape (n + 1, 2)
        The first is the origin.
    headings : numpy.ndarray of float64, of shape (n + 1,)
        In radians, the first zero; not wrapped.

    Raises
    ------
    ValueError
        If shapes do not fit, or an action is none.

    Examples
    --------
    >>> places, headings = follow([[2.0, 0.0, 0.0], [0.0, 0.0, np.pi / 2]], [0, 1, 0])
    >>> places.round(3).tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 2.0]]
    """
    each = as_numbers(moves, "moves", torch.float64).detach().numpy()
    numbers = np.asarray(actions)
    if each.ndim != 2 or each.shape[1] != 3 or not np.isfinite(each).all():
        raise ValueError(
            "moves must be finite, of shape (num_actions, 3): shift ahead, shift to the left, and "
            f"turn; but an array of shape {each.shape} was given."
        )
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ValueError(
            "actions must be whole numbers, of shape (n,), but an array of shape "
            f"{numbers.shape} and kind {numbers.dtype} was given."
        )
    numbers = numbers.astype(np.int64)
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < len(each)):
        raise ValueError(
            f"actions must lie between 0 and {len(each) - 1}, as there are {len(each)} moves, but "
            f"they go from {numbers.min()} to {numbers.max()}."
        )
    headings = np.concatenate([[0.0], np.cumsum(each[numbers, 2])])
    shifts = (each[numbers, 0] + 1j * each[numbers, 1]) * np.exp(1j * headings[:-1])
    places = np.concatenate([[0.0], np.cumsum(shifts)])
    return np.stack([places.real, places.imag], axis=-1), headings


class StepTurnBody:
    r"""A body that can go a step ahead, turn left, and turn right, each by an amount of its own.

    The amounts are drawn once, evenly: a step from 4 to 6 m, the turn to the left from 0.30 to
    0.45 rad, that to the right from 0.34 to 0.45 rad. Turns shift by nothing.

    On a walk it does with probability 0.3 again what it did last; otherwise it steps with
    probability 0.6 and turns to either side with 0.2. Farther than `reach` from the origin along
    either axis, it goes home: it turns towards a place that is drawn once, evenly from the square,
    until this lies ahead to within half of what it turns by at a time, and steps, until it is back
    in the square. As it turns only so far at a time, it may go out by some steps more.

    Parameters
    ----------
    seed : int or torch.Generator
        Of the amounts. A generator is advanced.
    reach : float, default=250.0
        Half the side of the square, in metres.

    Attributes
    ----------
    moves : numpy.ndarray of float64, of shape (3, 3)
        Shift ahead and to the left, in metres, and turn to the left, in radians, of a step (action
        0), a turn to the left (1), and one to the right (2): what a learner is to find.

    Raises
    ------
    TypeError, ValueError
        If `seed` is none, or `reach` no distance.

    Examples
    --------
    >>> body = StepTurnBody(seed=0)
    >>> actions, places, headings = body.walk(1000, seed=1)
    >>> actions.shape, places.shape, headings.shape
    ((1000,), (1001, 2), (1001,))
    >>> bool((abs(places) < 300.0).all())
    True
    """

    def __init__(self, seed: SeedLike, *, reach: float = REACH) -> None:
        self.reach = positive_distance("reach", reach)
        generator = make_generator(seed)
        step, left, right = (
            low + (high - low) * _uniform(generator) for low, high in (STEPS, LEFTS, RIGHTS)
        )
        self.moves: Array = np.array([[step, 0.0, 0.0], [0.0, 0.0, left], [0.0, 0.0, -right]])

    def walk(self, num_steps: int, seed: SeedLike) -> tuple[Numbers, Array, Array]:
        """Walk about, from the origin.

        Parameters
        ----------
        num_steps : int
            How many actions to take, zero or more.
        seed : int or torch.Generator
            Of all that is chosen. A generator is advanced.

        Returns
        -------
        actions : numpy.ndarray of int64, of shape (num_steps,)
            0 for a step, 1 for a turn to the left, 2 for one to the right.
        places : numpy.ndarray of float64, of shape (num_steps + 1, 2)
            In metres, before the first action and after each.
        headings : numpy.ndarray of float64, of shape (num_steps + 1,)
            In radians, not wrapped.

        Raises
        ------
        ValueError
            If `num_steps` is negative, or no whole number.
        TypeError, ValueError
            If `seed` is none.
        """
        number = whole_number("num_steps", num_steps, least=0)
        generator = make_generator(seed)
        actions = np.empty(number, np.int64)
        place, heading, last, goal = 0j, 0.0, STEP, None
        for now in range(number):
            if max(abs(place.real), abs(place.imag)) <= self.reach:
                goal = None
                last = self._choose(last, generator)
            else:
                if goal is None:
                    goal = self.reach * complex(
                        2 * _uniform(generator) - 1, 2 * _uniform(generator) - 1
                    )
                last = self._towards(goal - place, heading)
            actions[now] = last
            ahead, aside, turn = self.moves[last]
            place += complex(ahead, aside) * complex(math.cos(heading), math.sin(heading))
            heading += turn
        return actions, *follow(self.moves, actions)

    def _choose(self, last: int, generator: torch.Generator) -> int:
        if _uniform(generator) < PERSISTENCE:
            return last
        drawn = _uniform(generator)
        return STEP if drawn < SHARES[STEP] else LEFT if drawn < 1 - SHARES[RIGHT] else RIGHT

    def _towards(self, offset: complex, heading: float) -> int:
        """Choose the action that brings a place ahead, or, where it is ahead, nearer."""
        aside = math.remainder(math.atan2(offset.imag, offset.real) - heading, 2 * math.pi)
        action = LEFT if aside > 0 else RIGHT
        return action if 2 * abs(aside) > abs(self.moves[action, 2]) else STEP


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))
