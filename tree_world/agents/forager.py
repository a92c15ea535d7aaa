"""An agent that lives by its memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tree_world.agents.chart import NEVER, Chart
from tree_world.agents.choosing import Choosing, Planning, Situation
from tree_world.agents.constants import Constants, Told
from tree_world.agents.exploring import Frontier, Looking
from tree_world.agents.ground import Ground, Prospects
from tree_world.agents.planning import Plan, Rules
from tree_world.agents.ways import Ways
from tree_world.agents.worth import FOOD, NOTHING, POISON, Taste
from tree_world.checks import positive_distance, positive_number, real_number, whole_number
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.models.memory import Memory, SpatialMemory
from tree_world.models.memory.policy import Forgetter, ForgettingPolicy
from tree_world.simulation import Action, Body, Percept
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS

_TURN = 2 * math.pi / 7 + 0.13  # of the head: seven looks go all round, and no two are the same
_COS, _SIN = math.cos(_TURN), math.sin(_TURN)
_SHORT = 1 - 1e-6  # by which steps are shorter than they may be, as they are rounded
_WAIT = 100  # steps for which it waits at a tree to see whether it bears again
_WARY = 8  # steps for which it looks for what harmed it


@dataclass(frozen=True)
class Habits:
    """How a forager lives.

    Attributes
    ----------
    comfort : float, default=200.0
        It explores until its plan keeps it alive, with no less health than this.
    margin : float, default=1.5
        How far it keeps out of the reach of poison, in metres, beside what it is unsure of.
    hungry : float, default=400.0
        With less health, what is ripe comes before exploring.
    detour : float, default=30.0
        While it explores it eats of what is ripe within so many metres, if it needs it all.
    patience : int, default=16
        Steps for which it waits at a tree that does not feed it.
    goes_round : bool, default=True
        Whether it goes round what is poisonous.
    """

    comfort: float = 200.0
    margin: float = 1.5
    hungry: float = 400.0
    detour: float = 30.0
    patience: int = 16
    goes_round: bool = True


class Forager:
    r"""Live by what was seen, smelled and eaten, and where.

    In each step it

    1. takes note: of the smell, along the way (`Ground`); of the tree that it sees, merged into
       what it knows of it (`Chart`); of its meal, and so of when that tree bears again;
    2. goes on eating, if it can use what is left;
    3. chooses which tree to go to, and when to set out, so as to live long (`choosing`);
    4. explores, if the plan does not keep it alive in comfort, and there is a place where a find is
       worth more than the way (`exploring`);
    5. else follows the plan: rests out of reach of what is ripe, or goes, round poison (`Ways`).

    It goes back from what harms it, and looks for that. Else its head turns by about a seventh of a
    circle in each step, so that it looks all round; and now and then at where it goes.

    It acts on embeddings, distances of what it sees, meals, its own health, place and heading. It
    lives in a `TreeWorld` of two dimensions, one life at a time: `Worlds` steps walkers alone.

    Parameters
    ----------
    taste : callable
        Makes a `Taste` for each life.
    constants : callable, optional
        Makes `Constants` for each life; by default it is told those of the default world.
    choosing : Choosing, optional
        How a tree is chosen; `Planning` by default. Others are `Nearest` and `Drawn`.
    exploring : Looking, optional
        How trees are looked for; `Frontier` by default. Another is `Wandering`.
    habits : Habits, optional
    forgetting : ForgettingPolicy, optional
        Of smells. By default the oldest go, when there is no room; that is so beside a policy, too,
        which may keep more than it should.
    sensory_dim : int, default=384
    max_smells, max_sights : int, default=4096 and 256
        Sizes of its memories.
    faintest : float, default=2e-5
        Least strength of a scent that its nose tells from none; see `Ground`.
    max_step_length, move_cost, rest_cost : float, default=10.0, 2.0 and 1.0
        What its body can do, in metres, and what that costs, in health points.

    Attributes
    ----------
    ground : Ground
        What it knows of the ground, with the memory of smells, ``ground.smells``.
    chart : Chart
        What it knows of trees, with the memory of sightings, ``chart.sights``.
    plan : Plan or None
        What it means to do.

    Raises
    ------
    ValueError
        If a size, a length or a strength is not positive, or a cost is no number.

    Examples
    --------
    >>> from tree_world.agents import ByDrive
    >>> from tree_world.models.drives import train_drive_classifier
    >>> from tree_world.simulation import TreeWorld, TreeWorldConfig
    >>> classifier, _ = train_drive_classifier(TreeWorldConfig())
    >>> forager = Forager(lambda: ByDrive(classifier))
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0, model=forager)
    >>> world.run(1500).died
    False
    """

    def __init__(
        self,
        taste: Callable[[], Taste],
        constants: Callable[[], Constants] = Told,
        *,
        choosing: Choosing | None = None,
        exploring: Looking | None = None,
        habits: Habits | None = None,
        forgetting: ForgettingPolicy | None = None,
        sensory_dim: int = 384,
        max_smells: int = 4096,
        max_sights: int = 256,
        faintest: float = 2e-5,
        max_step_length: float = 10.0,
        move_cost: float = 2.0,
        rest_cost: float = 1.0,
    ) -> None:
        self._make_taste, self._make_constants = taste, constants
        self.choosing: Choosing = choosing or Planning()
        self.exploring: Looking = exploring or Frontier()
        self.habits, self.forgetting = habits or Habits(), forgetting
        self.sensory_dim = whole_number("sensory_dim", sensory_dim, least=1)
        self.max_smells = whole_number("max_smells", max_smells, least=1)
        self.max_sights = whole_number("max_sights", max_sights, least=1)
        self.faintest = positive_number("faintest", faintest)
        self.max_step_length = positive_distance("max_step_length", max_step_length)
        self.move_cost = real_number("move_cost", move_cost)
        self.rest_cost = real_number("rest_cost", rest_cost)
        self._words = np.stack(
            [embed_text_sentence_transformers(word).numpy() for word in FRUIT_AMOUNTS]
        )
        self.reset()

    def reset(self) -> None:
        """Forget a life."""
        self.constants = self._make_constants()
        taste = self._make_taste()
        smells = SpatialMemory(2, self.sensory_dim, max_memory_size=self.max_smells)
        sights = Memory(2, self.sensory_dim, max_memory_size=self.max_sights)
        self._forgetter = None if self.forgetting is None else Forgetter(smells, self.forgetting)
        self.ground = Ground(smells[0], self._words, faintest=self.faintest)
        self.chart = Chart(sights, taste, self.constants)
        habits = self.habits
        self.ways = Ways(
            self.chart, self.constants, self.max_step_length, habits.margin, habits.goes_round
        )
        self.exploring.reset()
        self.time = 0
        self.plan: Plan | None = None
        self.goal: int | None = None  # the id of the tree to go to
        self._order: list[int] = []  # ids of those to visit, the goal first
        self._plan_ends = 0
        self._barred: dict[int, int] = {}  # until when trees are left alone
        self._tries: dict[int, int] = {}
        self._pursued: tuple[int, float, int] | None = None  # a tree, how near it came, and when
        self._seen: tuple[int, np.ndarray] | None = None  # what is seen now, and where it seems
        self._eating: int | None = None  # the id of the tree that it goes on eating from
        self._harmed_at = -_WARY
        self._harmed_by: int | None = None  # the id of the tree, if it is known
        self._came_from: np.ndarray | None = None  # where nothing harmed it

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """See `AgentModel.act`."""
        self.time += 1
        self._generator = generator
        self._at = body.position.double().numpy()
        self._health, self._max_health = body.health, body.max_health
        heading = body.heading.double().numpy()
        if percept.smell is not None:
            self.ground.pass_by(self._at, percept.smell, self.time)
            if self._forgetter is not None:
                self._forgetter.step()
        self._look(percept, heading)
        fed = None if meal is None else self.chart.feed(self._at, meal, self.time)
        self._learn(percept, meal, fed)
        if meal is not None and meal < 0:
            self._harmed_at = self.time
            self._harmed_by = None if fed is None else self.chart.ids[fed]
        step = self._back() if self._harmed_at == self.time else None
        if not self._is_wary():
            point = self._where(meal, fed)
            step = None if point is None else self.ways.step_to(self._at, point)
        heading = self._turned(heading, step)
        if step is not None and self._harmed_at != self.time:
            self._came_from = self._at
        return Action(
            None if step is None else torch.from_numpy(step.astype(np.float32)),
            torch.from_numpy(heading.astype(np.float32)),
        )

    # --- what harms ------------------------------------------------------------------------------

    def _back(self) -> np.ndarray:
        """Go back to where nothing harmed it; away, if there is no such place."""
        way = np.zeros(2) if self._came_from is None else self._came_from - self._at
        if math.hypot(*way) < 0.05:
            number = self.chart.number_of(self._harmed_by)
            away = np.zeros(2) if number is None else self._at - self.chart.places[number]
            far = math.hypot(*away)
            way = self.max_step_length * (away / far if far > 1e-6 else np.array([1.0, 0.0]))
        step: np.ndarray = way * min(1.0, self.max_step_length * _SHORT / math.hypot(*way))
        return step

    def _is_wary(self) -> bool:
        """Whether it was harmed just now, and does not know well yet by what."""
        if self.time == self._harmed_at:
            return True
        number = self.chart.number_of(self._harmed_by)
        unsure = self.chart.owes_poison if number is None else self.chart.sds[number] > 2.5
        return bool(self.time < self._harmed_at + _WARY and unsure)

    # --- what is noticed -------------------------------------------------------------------------

    def _look(self, percept: Percept, heading: np.ndarray) -> None:
        self._seen = None
        distance, sense = percept.sight.distance, percept.sight.embedding
        if distance is None or sense is None:
            return
        number = self.chart.see(self._at, heading, float(distance), sense, self.time)
        self._seen = self.chart.ids[number], self._at + float(distance) * heading

    def _learn(self, percept: Percept, meal: float | None, fed: int | None) -> None:
        """Compare what is seen with what is believed."""
        chart, taste = self.chart, self.chart.taste
        if meal is None:
            eaten_up = chart.number_of(self._eating)
            if eaten_up is not None:
                chart.emptied(eaten_up)
            chart.look_about(self._at, self.time)
        self._eating = None
        number = None if self._seen is None else chart.number_of(self._seen[0])
        distance, sense = percept.sight.distance, percept.sight.embedding
        if self._seen is None or number is None or distance is None or sense is None:
            return
        if taste.tells_empty:
            bears = taste.verdict(sense.numpy()) != NOTHING
        else:
            bears = chart.last_meals[number] == NEVER  # nobody else eats
        if meal is None or fed == number:
            self.constants.saw(self._seen[0], float(distance), bool(bears), meal is not None)
        if taste.tells_empty and meal is None and chart.last_meals[number] < self.time - 1:
            chart.correct(number, bool(bears), self.time)

    def _turned(self, heading: np.ndarray, step: np.ndarray | None) -> np.ndarray:
        """Look at what harmed it, where it goes, at its goal, or round."""
        length = 0.0 if step is None else math.hypot(*step)
        if step is not None and length > 0.05:
            if self._harmed_at == self.time:
                return -step / length
            if self.time % 3 == 0 and self.exploring.target is not None:
                return step / length
        number = self.chart.number_of(self.goal)
        if number is not None and self.time % 2 and self.chart.sds[number] > 2.0:
            way = self.chart.places[number] - self._at
            far = math.hypot(*way)
            if 0 < far < 0.6 * self.constants.sight_reach:
                towards: np.ndarray = way / far
                return towards
        x, y = _COS * heading[0] - _SIN * heading[1], _SIN * heading[0] + _COS * heading[1]
        return np.array([x, y]) / math.hypot(x, y)

    # --- what is done ----------------------------------------------------------------------------

    def _where(self, meal: float | None, fed: int | None) -> np.ndarray | None:
        """Where to go now; None to rest."""
        chart = self.chart
        if meal is not None and meal > 0 and fed is not None:
            self.goal = chart.ids[fed]
            self._tries.pop(self.goal, None)
            more = chart.eaten[fed] < self.constants.max_fruit or not self.constants.are_told
            if more and self._health + meal <= self._max_health + 5.0:
                self._eating = self.goal
                return None
            self.plan = None
        self._find_ways()
        if self.plan is None or self.time > self.plan.meal_at + 12 or self.time >= self._plan_ends:
            self._make_plan()
        number = chart.number_of(self.goal)
        target = self._explore(number)
        if target is not None:
            if number is not None and self._eats_first(number):
                return self._approach(number)
            return target
        if number is None:
            return None
        assert self.plan is not None
        if self.time >= self.plan.leave_at:
            return self._approach(number)
        return self._keep_off() if self.constants.regrowth_is_known else self._wait_and_see()

    def _find_ways(self) -> None:
        for name in [name for name, until in self._barred.items() if until <= self.time]:
            del self._barred[name]
            self.ways.forget()
        if self.ways.look_up(self._barred):
            self.plan = None

    def _make_plan(self) -> None:
        chart, constants, food = self.chart, self.constants, self.ways.food
        numbers = [chart.ids.index(name) for name in food]
        ripe_at = np.maximum(0, chart.last_meals[numbers] + constants.regrowth_steps)
        left = np.maximum(0, constants.max_fruit - chart.eaten[numbers])
        self.plan = self.choosing.choose(
            Situation(
                self.ways.routes,
                ripe_at,
                np.where(ripe_at <= self.time, constants.max_fruit, left),
                self._at,
                self.time,
                self._health,
                self._rules(),
                tuple(food.index(name) for name in self._order if name in food),
                chart.sights,
                self._generator,
            )
        )
        self._plan_ends = self.time + 200
        self._horizon = self.time + self.choosing.horizon
        self._order = [food[place] for place in self.plan.order]
        self.goal = self._order[0] if self._order else None

    def _rules(self) -> Rules:
        constants = self.constants
        return Rules(
            max_fruit=constants.max_fruit,
            fruit_health=constants.fruit_health,
            regrowth_steps=constants.regrowth_steps,
            max_health=self._max_health,
            move_cost=self.move_cost,
            rest_cost=self.rest_cost,
            max_step_length=self.max_step_length,
            eat_distance=max(1.0, constants.mouth_reach),
        )

    def _explore(self, number: int | None) -> np.ndarray | None:
        """Where to look for trees, if that is called for."""
        chart, current = self.chart, self.plan
        assert current is not None
        if current.lives_until >= self._horizon and current.lowest_health > self.habits.comfort:
            self.exploring.target = None
            return None
        goal = None if number is None else chart.places[number]
        target = self.exploring.target
        if target is not None and not np.array_equal(self.ways.outside(target[None])[0], target):
            self.exploring.target = None  # poison has become known there
        state = (len(chart), len(self.ground.smells))
        return self.exploring.where(self._at, self.time, state, self._prospects, self._worth, goal)

    def _prospects(self) -> Prospects:
        chart = self.chart
        reach = self.constants.sight_reach
        found = self.ground.prospects(self._at, reach, chart.places, chart.senses)
        return found._replace(places=self.ways.outside(found.places))

    def _worth(self) -> tuple[float, float]:
        """Say what an unknown tree gives in a round, and what a metre costs."""
        chart, constants = self.chart, self.constants
        share = ((chart.verdicts == FOOD).sum() + 2) / (len(chart) + 3)
        rests = self.plan is None or self.goal is None or self.time < self.plan.leave_at
        cost = self.move_cost - self.rest_cost * rests
        harvest = max(0.1 * self._max_health, constants.max_fruit * constants.fruit_health)
        return float(share) * harvest, cost / self.max_step_length

    def _eats_first(self, number: int) -> bool:
        """Say whether to eat before exploring goes on: if it is near, or needed."""
        chart, constants = self.chart, self.constants
        harvest = constants.max_fruit * constants.fruit_health
        away = math.hypot(*(chart.places[number] - self._at))
        arrival = self.time + away / self.max_step_length
        ripe = chart.last_meals[number] + constants.regrowth_steps <= arrival
        wanted = away <= self.habits.detour or self._health < self.habits.hungry
        return bool(ripe and wanted and self._max_health - self._health >= harvest)

    def _keep_off(self) -> np.ndarray | None:
        """Rest, out of reach of what is ripe and not wanted."""
        chart = self.chart
        keep = self.ways.keep_off + 0.5
        away = np.hypot(*(chart.places - self._at).T)
        near = (chart.verdicts != NOTHING) & chart.is_full(self.time) & (away < keep)
        if self._max_health - self._health >= self.constants.fruit_health:
            near &= chart.verdicts == POISON
        if not near.any():
            return None
        number = int(np.flatnonzero(near)[0])
        off = self._at - chart.places[number]
        length = math.hypot(*off)
        off = off / length if length > 1e-6 else np.array([1.0, 0.0])
        point: np.ndarray = self._at + off * min(self.max_step_length, keep + 0.5 - away[number])
        return point

    def _wait_and_see(self) -> np.ndarray | None:
        """Rest at one of the food trees that were emptied first, to see when it bears again."""
        chart, stands = self.chart, self.ways.routes.stands
        numbers = np.array([chart.ids.index(name) for name in self.ways.food], dtype=np.int64)
        emptied = (chart.last_meals[numbers] != NEVER) & np.isfinite(stands).all(axis=1)
        sure = emptied & (chart.sds[numbers] <= 3.0)
        if not sure.any():
            return self._keep_off()
        first = np.flatnonzero(sure)[np.argsort(chart.last_meals[numbers[sure]])][:3]
        stand: np.ndarray = stands[first[self.time // _WAIT % len(first)]]
        return None if math.hypot(*(stand - self._at)) < 1.0 else stand

    def _approach(self, number: int) -> np.ndarray | None:
        """Go to a tree; None to wait at it."""
        chart, name = self.chart, self.chart.ids[number]
        place: np.ndarray = chart.places[number]
        food, routes = self.ways.food, self.ways.routes
        away = math.hypot(*(place - self._at))
        tries = 0
        if away <= self.constants.mouth_reach + 1.0 or away < 3.0:
            tries = self._tries.get(name, 0) + 1
            self._tries[name] = tries
            if tries > self.habits.patience:
                self._find_nothing(number)
                return None
        elif self._gets_nowhere(name, away):
            self._barred[name] = self.time + 500
            return None
        if self._seen is not None and self._seen[0] == name and chart.sds[number] > 2.0:
            return self._seen[1]
        if name not in food or tries > 6:
            return place
        index = food.index(name)
        after = None
        if chart.sds[number] < 1.0 and len(self._order) > 1 and self._order[1] in food:
            after = food.index(self._order[1])
        # Once at the table, its middle is as good as any place, and surer.
        stand: np.ndarray = routes.stands[index]
        if tries <= 2:
            stand = routes.stand_for(self._at, index, after)
        return stand if np.isfinite(stand).all() else place

    def _find_nothing(self, number: int) -> None:
        """Believe that a tree that does not feed is empty, or not there."""
        name = self.chart.ids[number]
        self._tries.pop(name, None)
        story = self.chart.story_of(number)
        if self.chart.is_full(self.time)[number] and self.time - story.seen_at > 10:
            self.chart.remove(number)
        else:
            self.chart.correct(number, False, self.time)
        self.plan = None

    def _gets_nowhere(self, name: int, away: float) -> bool:
        """Whether it has not come nearer to a tree for long."""
        if self._pursued is None or self._pursued[0] != name or away < self._pursued[1] - 1.0:
            self._pursued = name, away, self.time
        if self.time - self._pursued[2] <= 25:
            return False
        self._pursued = None
        return True
