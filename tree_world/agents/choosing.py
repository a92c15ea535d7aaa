"""Which of the trees that are known to go to, and when to set out."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch

from tree_world.agents.planning import Plan, Rules, plan
from tree_world.agents.routes import Routes
from tree_world.checks import positive_distance, whole_number
from tree_world.models.memory import DrawOptions, Memory


class Situation(NamedTuple):
    """What a choice goes by.

    Attributes
    ----------
    routes : Routes
        Ways between the n trees of edible fruit that are known.
    ripe_at : numpy.ndarray of shape (n,), int
        The step from which each is taken to be full.
    fruits : numpy.ndarray of shape (n,), int
        What each is taken to bear now.
    position : numpy.ndarray of shape (2,)
        The agent's own, in metres.
    time : int
    health : float
    rules : Rules
        The world's workings, as far as they are known.
    order : tuple of int
        The rest of the last plan.
    sights : Memory
        What was seen, and where.
    generator : torch.Generator
    """

    routes: Routes
    ripe_at: np.ndarray
    fruits: np.ndarray
    position: np.ndarray
    time: int
    health: float
    rules: Rules
    order: tuple[int, ...]
    sights: Memory
    generator: torch.Generator


class Choosing(Protocol):
    """Chooses a tree.

    Attributes
    ----------
    horizon : int
        How many steps it looks ahead, to say whether one lives.
    """

    @property
    def horizon(self) -> int: ...  # noqa: D102

    def choose(self, at: Situation) -> Plan:
        """Give a tree to go to, when to set out, and what comes of it."""
        ...


@dataclass(frozen=True)
class Planning:
    """Plan a tour over all trees, again and again, so as to live long; see `planning`.

    Attributes
    ----------
    horizon : int, default=10000
        How many steps a plan looks ahead.
    effort : int, default=1000
        How many orders are judged at most.
    """

    horizon: int = 10_000
    effort: int = 1000

    def choose(self, at: Situation) -> Plan:
        """See `Choosing.choose`."""
        return plan(
            at.routes.places,
            at.ripe_at,
            at.position,
            at.time,
            at.health,
            fruits=at.fruits,
            routes=at.routes,
            rules=at.rules,
            order=at.order,
            horizon=self.horizon,
            effort=self.effort,
        )


@dataclass(frozen=True)
class Nearest:
    """Go to the tree that feeds soonest, as soon as it would not be wasted.

    Whether one lives by that is judged by a plan that goes to the nearest each time.

    Attributes
    ----------
    horizon : int, default=10000
    """

    horizon: int = 10_000

    def choose(self, at: Situation) -> Plan:
        """See `Choosing.choose`."""
        judged = Planning(self.horizon, effort=1).choose(at)
        steps = at.rules.steps_over(at.routes.lengths_from(at.position))
        feeds_at = np.where(at.fruits > 0, at.time, at.ripe_at)
        meal_at = np.maximum(feeds_at, at.time + steps).astype(np.float64)
        meal_at[steps < 0] = np.inf
        if not np.isfinite(meal_at).any():
            return judged
        chosen = int(np.lexsort((steps, meal_at))[0])
        return going_to(chosen, judged, at, int(steps[chosen]), int(meal_at[chosen]))


@dataclass(frozen=True)
class Drawn:
    """Draw places that fit what is sought from the memory, and go to the first that feeds.

    Places are drawn as `tree_world.models.memory.SpatialMemory.sample` does: the better what was
    seen there fits the key, the likelier, and the likelier the nearer. Each stands for the known
    tree that is nearest to it. If none of those that were drawn bears by the time one is there, it
    goes to the tree that feeds soonest.

    Attributes
    ----------
    key : numpy.ndarray of shape (sensory_dim,)
        What is sought, such as what edible fruit is like.
    spread : float, default=200.0
        How far away to look, as a deviation, in metres.
    num_samples : int, default=16
    horizon : int, default=10000

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    key: np.ndarray
    spread: float = 200.0
    num_samples: int = 16
    horizon: int = 10_000

    def __post_init__(self) -> None:
        positive_distance("spread", self.spread)
        whole_number("num_samples", self.num_samples, least=1)

    def choose(self, at: Situation) -> Plan:
        """See `Choosing.choose`."""
        soonest = Nearest(self.horizon).choose(at)
        if len(at.routes.places) == 0 or len(at.sights) == 0:
            return soonest
        places = at.sights.sample(
            at.position,
            self.spread,
            self.key,
            how=DrawOptions(num_samples=self.num_samples),
            seed=at.generator,
        ).numpy()
        steps = at.rules.steps_over(at.routes.lengths_from(at.position))
        for place in places:
            chosen = int(np.hypot(*(at.routes.places - place).T).argmin())
            bears = at.fruits[chosen] > 0 or at.ripe_at[chosen] <= at.time + steps[chosen]
            if steps[chosen] >= 0 and bears:
                return going_to(chosen, soonest, at, int(steps[chosen]), at.time + steps[chosen])
        return soonest


def going_to(chosen: int, judged: Plan, at: Situation, steps: int, meal_at: int) -> Plan:
    """Turn a plan to another tree.

    Parameters
    ----------
    chosen : int
        The tree's number.
    judged : Plan
        Says what comes of it.
    at : Situation
    steps : int
        Of the way.
    meal_at : int
        When it feeds at the earliest.

    Returns
    -------
    Plan
        It sets out when it would be there as the tree feeds, and none of that is wasted.
    """
    rules = at.rules
    waits = meal_at - at.time - steps
    there = at.health - waits * rules.rest_cost - steps * rules.move_cost
    too_much = there + rules.max_fruit * rules.fruit_health - rules.max_health
    if too_much > 0:
        waits += math.ceil(too_much / max(rules.rest_cost, 1e-9))
    leave_at = at.time + waits
    return dataclasses.replace(
        judged, target=chosen, leave_at=leave_at, meal_at=leave_at + steps, order=(chosen,)
    )
