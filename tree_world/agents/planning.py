r"""Where to eat next, so as to live: tours over trees that bear fruit again and again.

A tree that is emptied bears nothing until `regrowth_steps` after its last harvest. So whoever lives
long goes round the same trees, and all that is to be chosen is which trees, in which order, and how
long to rest in between. A plan is such an order. It is judged by living by it, in thought, over a
horizon of some thousand steps, again and again round: go to the next tree; before that, rest until

- the tree is ripe on arrival, and
- all that it bears is needed: health on arrival is at most ``max_health`` less the harvest, for
  what is eaten in full health is lost, and the tree bears later for it.

**Objective.** Of two orders the better one has the greater score

.. math::

    s = \begin{cases} t_\dagger - T & \text{if the agent dies at } t_\dagger \le T, \\
        \min_t h_t + 0.1 \, \bar h & \text{otherwise,} \end{cases}

with health h from now to the horizon T, and its mean. So: survive; if not, for long; then keep the
lowest health high. The mean decides where the lowest is already past, and it tells a tour that pays
from one that wears out.

**Search.** It begins with the order of before, if there is one, and with the nearest tree first,
then the one nearest to that, and so on, cut off where it is best. It is then improved by dropping,
inserting, exchanging and moving single trees and by reversing parts (2-opt), each change being
taken if the score is better, until none is, or so many orders have been judged as `effort` allows.
A thousand take about a millisecond. What is found is the best of its neighbours, and need not be
the best of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from tree_world.agents.routes import Routes
from tree_world.checks import real_number, whole_number
from tree_world.compiling import compiled_exactly
from tree_world.simulation.config import TreeWorldConfig

__all__ = ["Rules"]

# Columns of the rules, as compiled code reads them: the fields of `Rules` in their order.
MAX_FRUIT, FRUIT_HEALTH, REGROWTH_STEPS, MAX_HEALTH, MOVE_COST, REST_COST = 0, 1, 2, 3, 4, 5
MEAN_COUNTS = 0.1  # what the mean of health counts beside the lowest
LONGEST_REST = 1 << 40  # steps, of one that is never hungry


@dataclass(frozen=True)
class Rules:
    """What an agent has to know of the world's workings to plan.

    Attributes
    ----------
    max_fruit : int, default=5
        Fruits on a full tree.
    fruit_health : float, default=25.0
        Health points gained by a fruit.
    regrowth_steps : int, default=1000
        Steps after its last harvest at which a tree is full again.
    max_health : float, default=1000.0
    move_cost, rest_cost : float, default=2.0 and 1.0
        Health points that a step costs.
    max_step_length : float, default=10.0
        In metres.
    eat_distance : float, default=10.0
        Reach of the mouth, in metres.
    """

    max_fruit: int = 5
    fruit_health: float = 25.0
    regrowth_steps: int = 1000
    max_health: float = 1000.0
    move_cost: float = 2.0
    rest_cost: float = 1.0
    max_step_length: float = 10.0
    eat_distance: float = 10.0

    @classmethod
    def from_config(cls, config: TreeWorldConfig) -> Self:
        """Take the rules from a world's configuration.

        Parameters
        ----------
        config : TreeWorldConfig

        Returns
        -------
        Rules

        Raises
        ------
        ValueError
            If the world has a period: ways and plans are those of a plane that does not repeat.
        """
        if config.period is not None:
            raise ValueError(
                f"plans know no way to the images of a tree, but this world repeats after "
                f"{config.period:.6g} m. Give a configuration with period=None."
            )
        return cls(
            max_fruit=config.max_fruit,
            fruit_health=config.edible_health,
            regrowth_steps=config.fruit_regrowth_steps,
            max_health=config.max_health,
            move_cost=config.move_cost,
            rest_cost=config.rest_cost,
            max_step_length=config.max_step_length,
            eat_distance=config.eat_distance,
        )

    def as_row(self) -> np.ndarray:
        """Give them as the numbers that compiled code reads."""
        return np.array([getattr(self, field.name) for field in fields(self)], dtype=np.float64)

    def steps_over(self, lengths: Any) -> np.ndarray:
        """Count the steps of ways.

        Parameters
        ----------
        lengths : array_like
            In metres; of a way from tree to tree, of which the mouth's reach is saved.

        Returns
        -------
        numpy.ndarray of int64
            −1 where there is no way.
        """
        walked = np.maximum(np.asarray(lengths, np.float64) - self.eat_distance, 0.0)
        there = np.isfinite(walked)
        steps = np.ceil(np.where(there, walked, 0.0) / self.max_step_length - 1e-9)
        return np.where(there, steps, -1).astype(np.int64)


@dataclass(frozen=True)
class Plan:
    """What to do next, and what comes of it.

    Attributes
    ----------
    target : int or None
        The place to go to; None if none can be reached: rest.
    leave_at : int
        The step in which to set out; until then, rest.
    meal_at : int
        The step in which the first fruit should be eaten.
    order : tuple of int
        Places in the order of their visits, the target first, again and again round.
    lowest_health : float
        Lowest health up to the horizon; 0 if the agent dies before.
    mean_health : float
        Mean health up to then, or up to death.
    lives_until : int
        The horizon, or the step of death, if it comes before. A meal that has begun by then is
        counted whole, so that this may lie a few steps beyond.
    """

    target: int | None
    leave_at: int
    meal_at: int
    order: tuple[int, ...]
    lowest_health: float
    mean_health: float
    lives_until: int


def plan(
    places: Any,
    ripe_at: Any,
    position: Any,
    time: int,
    health: float,
    *,
    fruits: Any = None,
    avoid: Any = None,
    radius: float = 10.5,
    routes: Routes | None = None,
    rules: Rules | None = None,
    order: tuple[int, ...] = (),
    horizon: int = 5000,
    effort: int = 4000,
) -> Plan:
    """Find which tree to go to, and when to set out.

    Parameters
    ----------
    places : array_like of shape (n, 2)
        Where trees of edible fruit stand, in metres.
    ripe_at : array_like of shape (n,), int
        The step from which each is full, past or to come.
    position : array_like of shape (2,)
        Where the agent is.
    time : int
        The present step, whose meal is over.
    health : float
        After that meal.
    fruits : array_like of shape (n,), int, optional
        What trees bear that are not ripe yet; nothing by default.
    avoid : array_like of shape (m, 2), optional
        Places to keep away from, such as poisonous trees.
    radius : float, default=10.5
        How far, in metres: the reach of the mouth, and how much steps or places may be off.
    routes : Routes, optional
        Ways between the places, if they are known already; then `avoid` and `radius` say nothing.
    rules : Rules, optional
        The world's workings; by default those of the default world.
    order : tuple of int, optional
        The rest of the last plan, to begin with: ``last.order`` turned on by the visits since.
    horizon : int, default=5000
        How many steps to look ahead.
    effort : int, default=4000
        How many orders to judge at most.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If shapes disagree, a place is not finite, or a number is out of range.

    Examples
    --------
    >>> found = plan([[100.0, 0.0], [0.0, 300.0]], [0, 0], [0.0, 0.0], time=0, health=1000.0)
    >>> found.target, found.leave_at, found.meal_at
    (0, 103, 112)
    """
    rules = rules or Rules()
    if routes is None:
        routes = Routes(places, avoid, radius=radius, reach=rules.eat_distance)
    number = len(routes.places)
    ripe, bears = _whole_numbers("ripe_at", ripe_at, number), np.zeros(number, np.int64)
    if fruits is not None:
        bears = _whole_numbers("fruits", fruits, number)
    now = whole_number("time", time)
    horizon, effort = (
        whole_number("horizon", horizon, least=1),
        whole_number("effort", effort, least=1),
    )
    strength = real_number("health", health)
    # Nobody gets to know of infinity in whole numbers: what cannot be reached is left out.
    first = rules.steps_over(routes.lengths_from(np.asarray(position, np.float64)))
    steps = rules.steps_over(routes.lengths)
    known = [place for place in range(number) if first[place] >= 0]
    row = rules.as_row()
    end = now + horizon
    begun = [place for place in dict.fromkeys(order) if place in known]
    found = np.empty(max(number, 1), dtype=np.int64)
    length = 0
    if known:
        length = find_order(
            np.array(known, np.int64),
            np.array(begun, np.int64),
            (first, steps, ripe, bears),
            (now, strength, end),
            row,
            effort,
            found,
        )
    chosen = tuple(found[:length].tolist())
    judged = judge(found, length, (first, steps, ripe, bears), (now, strength, end), row)
    _, lowest, mean, lived, leave_at, meal_at = judged
    target = chosen[0] if chosen else None
    return Plan(target, int(leave_at), int(meal_at), chosen, float(lowest), float(mean), int(lived))


def _whole_numbers(name: str, values: Any, number: int) -> np.ndarray:
    found = np.asarray(values)
    if found.shape != (number,) or (found.size and not np.issubdtype(found.dtype, np.integer)):
        raise ValueError(
            f"{name} must hold one whole number a place, of shape ({number},), but an array of "
            f"shape {found.shape} and type {found.dtype} was given."
        )
    return found.astype(np.int64)


# --- what comes of an order -----------------------------------------------------------------------


@compiled_exactly
def judge(order: np.ndarray, length: int, map_: Any, state: Any, rules: np.ndarray) -> Any:
    """Live by an order in thought, and score that life; see the module.

    Parameters
    ----------
    order : numpy.ndarray of shape (at least length,), int64
    length : int
    map_ : tuple of numpy.ndarray
        Steps to each place, from each place to each, when each is ripe, what each bears now.
    state : tuple of int, float, int
        The present step, health, and the step of the horizon.
    rules : numpy.ndarray

    Returns
    -------
    score, lowest, mean : float
        The score, lowest and mean health.
    lived : int
        The horizon, or the step of death.
    leave_at, meal_at : int
        When to set out for the first place, and when to eat there.
    """
    first, steps, ripe_at, fruits = map_
    now, health, end = state
    most, fruit, ceiling = int(rules[MAX_FRUIT]), rules[FRUIT_HEALTH], rules[MAX_HEALTH]
    regrowth, moving, resting = int(rules[REGROWTH_STEPS]), rules[MOVE_COST], rules[REST_COST]
    due, left = ripe_at.copy(), fruits.copy()
    time, lowest, area = now, health, 0.0
    leave_at, meal_at = end, end
    at, visit = -1, 0
    while length > 0:
        place = order[visit % length]
        move = first[place] if at < 0 else steps[at, place]
        arrival = time + move
        count = most if due[place] <= arrival else left[place]
        wait = 0
        if count == 0:
            wait, count = due[place] - arrival, most
        more = 0
        for _ in range(2):
            # How much would be lost, if it were eaten as soon as it can be.
            full = health - wait * resting - move * moving + count * (fruit - resting) + resting
            more = 0
            if full > ceiling:
                more = LONGEST_REST if resting <= 0 else math.ceil((full - ceiling) / resting)
            if count == most or due[place] > arrival + wait + more:
                break
            wait, count = due[place] - arrival, most  # it ripens meanwhile
        wait += more
        if visit == 0:
            leave_at, meal_at = time + wait, arrival + wait
        if time + wait + move >= end:
            break
        arrived = health - wait * resting - move * moving
        if arrived <= 0:
            break
        time += wait + move
        area += (wait + move) * (health + arrived) / 2
        lowest = min(lowest, arrived)
        health = min(arrived + fruit, ceiling)
        for _ in range(count - 1):
            health = min(health - resting + fruit, ceiling)
        area += (count - 1) * (health + arrived) / 2
        time += count - 1
        due[place], left[place] = time + regrowth, 0
        at = place
        visit += 1
    else:
        wait, move = end - time, 0
    # What is left: rest, then go, until the end or death.
    rests = max(min(wait, end - time), 0)
    moves = max(min(move, end - time - rests), 0)
    after = health - rests * resting - moves * moving
    lived = max(end, time)
    if after <= 0:
        if rests * resting >= health:
            lived = time + math.ceil(health / resting)
        else:
            lived = time + rests + math.ceil((health - rests * resting) / moving)
        after = 0.0
    area += (min(lived, end) - time) * (health + after) / 2
    lowest = min(lowest, after)
    mean = area / max(lived - now, 1)
    score = lowest + MEAN_COUNTS * mean if lowest > 0 else float(lived - end) - 1.0
    return score, lowest, mean, lived, leave_at, meal_at


# --- search ---------------------------------------------------------------------------------------


@compiled_exactly
def find_order(
    known: np.ndarray,
    begun: np.ndarray,
    map_: Any,
    state: Any,
    rules: np.ndarray,
    effort: int,
    found: np.ndarray,
) -> int:
    """Search for the order of the greatest score.

    Parameters
    ----------
    known : numpy.ndarray of shape (n,), int64
        The places that can be reached.
    begun : numpy.ndarray of shape (k,), int64
        An order to begin with, or none.
    map_, state, rules
        As for `judge`.
    effort : int
        How many orders to judge at most.
    found : numpy.ndarray of shape (at least n,), int64
        Written to.

    Returns
    -------
    int
        Length of the order; what stands behind it in `found` are places that are not visited.
    """
    number = len(known)
    for entry in range(number):
        found[entry] = known[entry]
    nearest_first(found, number, map_)
    length, best = 1, -np.inf
    for cut in range(1, number + 1):
        score = judge(found, cut, map_, state, rules)[0]
        if score > best:
            length, best = cut, score
    effort -= number
    if len(begun) > 0 and judge(begun, len(begun), map_, state, rules)[0] > best:
        length = len(begun)
        best = judge(begun, length, map_, state, rules)[0]
        for entry in range(length):  # to the front, in their order
            for other in range(entry, number):
                if found[other] == begun[entry]:
                    found[other] = found[entry]
                    found[entry] = begun[entry]
    trial = np.empty(len(found), dtype=np.int64)
    better = True
    while better and effort > 0:
        better = False
        for kind in range(4):
            # One entry is dropped or inserted; moved; exchanged; or a part is reversed.
            for one in range(number):
                for other in range(number):
                    changed = change(found, length, number, kind, one, other, trial)
                    if changed == 0 or effort <= 0:
                        continue
                    effort -= 1
                    score = judge(trial, changed, map_, state, rules)[0]
                    if score > best:
                        length, best, better = changed, score, True
                        for entry in range(number):
                            found[entry] = trial[entry]
    return length


@compiled_exactly
def nearest_first(found: np.ndarray, number: int, map_: Any) -> None:
    """Order places: the nearest, the one that is nearest to it of the others, and so on."""
    first, steps = map_[0], map_[1]
    for entry in range(number):
        nearest, least = entry, -1
        for other in range(entry, number):
            place = found[other]
            away = first[place] if entry == 0 else steps[found[entry - 1], place]
            if least < 0 or away < least:
                nearest, least = other, away
        place = found[nearest]
        found[nearest] = found[entry]
        found[entry] = place


@compiled_exactly
def change(
    order: np.ndarray,
    length: int,
    number: int,
    kind: int,
    one: int,
    other: int,
    trial: np.ndarray,
) -> int:
    """Change an order in one way of many.

    Parameters
    ----------
    order : numpy.ndarray of shape (at least number,), int64
        The order, and behind it the places that are not visited.
    length, number : int
        Of the order, and of both.
    kind : int
        0: the entry `one` is put in at the place `other` if it was not visited, or dropped for
        ``other == length - 1``; 1: it is moved there; 2: both are exchanged; 3: the part between
        them is reversed.
    one, other : int
    trial : numpy.ndarray
        Written to.

    Returns
    -------
    int
        Length of the changed order; 0 if there is no such change.
    """
    for entry in range(number):
        trial[entry] = order[entry]
    if kind == 0:
        if one >= length and other <= length:  # in
            shift(trial, one, other)
            return length + 1
        if one < length and length > 1 and other == length - 1:  # out
            shift(trial, one, length - 1)
            return length - 1
        return 0
    if kind == 1:
        if one < length and other < length and one != other:
            shift(trial, one, other)
            return length
        return 0
    if kind == 2:
        if one < length and other > one:
            trial[one], trial[other] = order[other], order[one]
            return length
        return 0
    if one + 1 < other < length:
        for entry in range(one, other + 1):
            trial[entry] = order[one + other - entry]
        return length
    return 0


@compiled_exactly
def shift(order: np.ndarray, one: int, other: int) -> None:
    """Move an entry to another place, and all in between by one."""
    moved = order[one]
    step = 1 if other > one else -1
    entry = one
    while entry != other:
        order[entry] = order[entry + step]
        entry += step
    order[other] = moved
