"""Agents that are told where all trees stand and what they bear: a cheat, to know what is possible.

Nobody who has to find out can be expected to live better. They are yardsticks, and no foragers.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tree_world.agents.planning import Plan, Rules, plan
from tree_world.agents.routes import Routes
from tree_world.checks import real_number
from tree_world.simulation import Action, Body, Percept, TreeWorld

__all__ = ["Omniscient"]

MARGIN = 0.1  # metres, by which steps may be off


class Omniscient:
    """Know all trees, and what they bear, and go where that is best.

    It cheats: it looks into the world itself, and heeds neither eyes nor nose. It keeps out of the
    reach of poisonous trees where there is a way round them.

    Parameters
    ----------
    world : TreeWorld
        The world it lives in, of two dimensions.
    plans : bool, default=True
        Whether to plan (see `planning`). Otherwise it is greedy: with an appetite, it goes to the
        nearest tree that is ripe on arrival, and else it rests.
    appetite : float, default=120.0
        How much health has to be missing, in health points, before the greedy one goes.
    horizon : int, default=5000
        How many steps a plan looks ahead.
    effort : int, default=4000
        How many orders are judged for a plan at most.

    Raises
    ------
    ValueError
        If the world is not a plane, or a number is out of range.

    Examples
    --------
    >>> from tree_world.simulation import TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> world.agent.model = Omniscient(world)
    >>> float(world.run(1500).healths.min()) > 700
    True
    """

    def __init__(
        self,
        world: TreeWorld,
        *,
        plans: bool = True,
        appetite: float = 120.0,
        horizon: int = 5000,
        effort: int = 4000,
    ) -> None:
        self.world = world
        self.plans = plans
        self.appetite = real_number("appetite", appetite)
        self.horizon, self.effort = horizon, effort
        self.rules = Rules.from_config(world.config)
        is_poisonous = world.is_poisonous.numpy()
        places = world.locations.numpy().astype(np.float64)
        reach = self.rules.eat_distance
        self._edible = np.flatnonzero(~is_poisonous)
        self.routes = Routes(
            places[self._edible], places[is_poisonous], radius=reach + MARGIN, reach=reach
        )
        self.reset()

    def reset(self) -> None:
        """Forget plans."""
        self.plan: Plan | None = None
        self._target: int | None = None
        self._after: int | None = None

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """See `AgentModel.act`."""
        position = body.position.numpy().astype(np.float64)
        fruit = self.world.arrays
        bears = fruit.fruit_counts[self._edible]
        due = fruit.regrows_at[self._edible]
        time = self.world.time
        if meal is not None and self._is_at_table(position, bears, body.health):
            return self._go(position, body)  # to the far end of the table, or nowhere
        if self.plans:
            rests = self._plan(position, bears, due, time, body.health, meal is not None)
        else:
            rests = self._choose(position, bears, due, time, body.health)
        return Action(None, body.heading) if rests else self._go(position, body)

    def rests_for(self) -> int:
        """Say how many of the next steps it is sure to rest in, so that they need not be asked for.

        Returns
        -------
        int
            At least; 0 where it might eat meanwhile.
        """
        arrays, rules = self.world.arrays, self.rules
        time, health = self.world.time, self.world.agent.health
        if not self.plans:
            spare = self.appetite - (rules.max_health - health)
            number = math.ceil(spare / rules.rest_cost) if 0 < spare < math.inf else 0
        elif self.plan is None or time >= self.plan.leave_at:
            return 0
        else:
            number = self.plan.leave_at - 1 - time
        away = np.hypot(*(arrays.locations - arrays.position).T)
        bears = (arrays.fruit_counts > 0) | (arrays.regrows_at <= time + number)
        return 0 if (bears & (away <= rules.eat_distance + MARGIN)).any() else max(number, 0)

    def _is_at_table(self, position: np.ndarray, bears: np.ndarray, health: float) -> bool:
        """Say whether it eats from its target, which bears more that is needed."""
        target, rules = self._target, self.rules
        if target is None or bears[target] == 0:
            return False
        away = np.hypot(*(self.routes.places[target] - position))
        needed = health - rules.rest_cost + rules.fruit_health <= rules.max_health
        return bool(away <= rules.eat_distance and needed)

    def _plan(
        self,
        position: np.ndarray,
        bears: np.ndarray,
        due: np.ndarray,
        time: int,
        health: float,
        ate: bool,
    ) -> bool:
        """Make a plan if there is none, or after a meal; say whether to rest by it."""
        last = self.plan
        if last is None or ate or time > last.meal_at:
            full = bears == self.rules.max_fruit
            ripe_at = np.where(full, time, due)
            order = last.order if last is not None else ()
            if order and bears[order[0]] == 0:
                order = (*order[1:], order[0])
            self.plan = last = plan(
                self.routes.places,
                ripe_at,
                position,
                time,
                health,
                fruits=bears,
                routes=self.routes,
                rules=self.rules,
                order=order,
                horizon=self.horizon,
                effort=self.effort,
            )
            self._target = last.target
            self._after = last.order[1] if len(last.order) > 1 else None
        return last.target is None or time < last.leave_at

    def _choose(
        self, position: np.ndarray, bears: np.ndarray, due: np.ndarray, time: int, health: float
    ) -> bool:
        """Choose a target when there is an appetite; say whether to rest."""
        self._target = self._after = None
        if self.rules.max_health - health < self.appetite or len(bears) == 0:
            return True
        steps = self.rules.steps_over(self.routes.lengths_from(position))
        ripe = (steps >= 0) & ((bears > 0) | (due <= time + steps))
        if not ripe.any():
            return True
        self._target = int(np.where(ripe, steps, np.iinfo(np.int64).max).argmin())
        return False

    def _go(self, position: np.ndarray, body: Body) -> Action:
        assert self._target is not None
        rules, place = self.rules, self.routes.places[self._target]
        stand = self.routes.stand_for(
            position, self._target, self._after, longest=rules.max_step_length
        )
        step = self.routes.step_towards(position, stand, rules.max_step_length * (1 - 1e-6))
        is_there = np.hypot(*(place - position)) <= rules.eat_distance
        if not step.any() or (is_there and np.hypot(*step) < 1e-3):
            return Action(None, body.heading)
        return Action(torch.from_numpy(step.astype(np.float32)), body.heading)
