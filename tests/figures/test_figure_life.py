"""The figure of a life says, step by step, what the world was like."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch

from tests.figures.node import answers
from tree_world.agents import ByMouth, Diary, Forager
from tree_world.plotting.data.life import life
from tree_world.simulation import Action, Body, Percept, Recording, TreeWorld, TreeWorldConfig
from tree_world.simulation.recording import Recorder

LIFE = 900
CONFIG = TreeWorldConfig(fruit_regrowth_steps=120)


class Gatherer:
    """Goes to one tree after the other, whatever they bear, and stays at each for a while."""

    def __init__(self, places: torch.Tensor, seed: int) -> None:
        self.places, self.seed = places, seed
        self.reset()

    def reset(self) -> None:
        self.drawn = np.random.default_rng(self.seed)
        self.goal, self.stays = 0, 0

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        way = self.places[self.goal] - body.position
        if way.norm() > 1:
            return Action(way * min(1.0, 9.9 / float(way.norm())), body.heading)
        self.stays += 1
        if self.stays > 12:
            self.goal, self.stays = int(self.drawn.integers(6)), 0
        return Action(None, body.heading)


def lived(seed: int) -> tuple[TreeWorld, Recording, np.ndarray]:
    """A world, a life in it, and what its trees bore after each step."""
    world = TreeWorld.random_from_config(CONFIG, seed=seed)
    nearest = torch.argsort(world.locations.norm(dim=1))[:6]
    model = Gatherer(world.locations[nearest], seed)
    world = TreeWorld.random_from_config(CONFIG, seed=seed, model=model)
    recorder, fruit = Recorder(), [world.fruit_counts.numpy().copy()]
    agent = world.agent
    recorder.add_state(agent.position, agent.heading, agent.health)
    while world.time < LIFE and agent.is_alive:
        meal = world.step()
        if meal is not None:
            recorder.add_meal(meal[0].index, meal[1])
        recorder.add_state(agent.position, agent.heading, agent.health)
        fruit.append(world.fruit_counts.numpy().copy())
    return world, recorder.finish(), np.stack(fruit)


@pytest.fixture(scope="module", params=[0, 14])
def case(request: pytest.FixtureRequest) -> tuple[TreeWorld, Recording, np.ndarray]:
    return lived(request.param)


def test_each_step_is_as_it_was_recorded(case: tuple[TreeWorld, Recording, np.ndarray]) -> None:
    world, recording, fruit = case
    figure = life(recording, world)
    steps = range(recording.num_steps + 1)
    assert len(steps) >= 200
    assert len(recording.meal_steps) > 20
    assert (np.diff(fruit, axis=0) > 1).any()  # and with trees that were full again
    given = answers("life", figure.data, [{"step": step} for step in steps])
    places = np.array([answer["place"] for answer in given])
    assert np.abs(places - recording.positions).max() <= 0.0501
    for name, expected in (("health", recording.healths), ("fruit", fruit)):
        np.testing.assert_array_equal([answer[name] for answer in given], expected)
    np.testing.assert_array_equal(  # the last answer is that of the figure at first
        [answer["step"] for answer in given], steps
    )
    assert answers("life", figure.data, [{}])[0] == given[-1]


def test_the_ledger_adds_up(case: tuple[TreeWorld, Recording, np.ndarray]) -> None:
    world, recording, _ = case
    data = life(recording, world).data
    given = answers("life", data, [{"step": step} for step in range(recording.num_steps + 1)])
    eaten, spent, lost, health = (
        np.array([answer[name] for answer in given])
        for name in ("eaten", "spent", "lost", "health")
    )
    income = np.zeros(recording.num_steps + 1)
    income[recording.meal_steps] = recording.meal_healths
    moved = (np.diff(recording.positions, axis=0) != 0).any(axis=1)
    costs = np.where(moved, CONFIG.move_cost, CONFIG.rest_cost)
    np.testing.assert_array_equal(eaten, income.cumsum())
    np.testing.assert_array_equal(spent[1:], costs.cumsum())
    alive = health > 0
    np.testing.assert_allclose((health[0] + eaten - spent - lost)[alive], health[alive])
    assert (np.diff(lost) >= 0).all()
    assert lost[-1] > 0


def test_the_next_meal_and_the_next_fruit_are_those_that_come(
    case: tuple[TreeWorld, Recording, np.ndarray],
) -> None:
    world, recording, fruit = case
    steps = np.random.default_rng(0).integers(0, recording.num_steps + 1, 200)
    figure = life(recording, world)
    given = answers("life", figure.data, [{"step": int(step)} for step in steps])
    for step, answer in zip(steps, given, strict=True):
        ahead = np.flatnonzero(recording.meal_steps > step)
        assert answer["meals"] == len(recording.meal_steps) - len(ahead)
        if len(ahead):
            tree = int(recording.meal_trees[ahead[0]])
            assert answer["next"] == {"tree": tree, "steps": recording.meal_steps[ahead[0]] - step}
        else:
            assert answer["next"] is None
        for tree, wait in enumerate(answer["wait"]):
            until = fruit[step : step + wait + 1, tree]
            eaten_before = (np.diff(until[:-1]) < 0).any()
            if wait and not eaten_before and len(until) > wait:
                assert until[-1] > until[-2]  # and it may be eaten from in this very step
                assert until[-1] >= CONFIG.max_fruit - 1


def test_what_does_not_fit_is_refused(case: tuple[TreeWorld, Recording, np.ndarray]) -> None:
    world, recording, _ = case
    other = recording.healths.copy()
    other[50] += 1
    with pytest.raises(ValueError, match="healths must be what moves, rests and meals"):
        life(dataclasses.replace(recording, healths=other), world)
    with pytest.raises(ValueError, match="meals must be of the trees"):
        life(dataclasses.replace(recording, meal_trees=recording.meal_trees + 99), world)
    with pytest.raises(ValueError, match="steps that rise"):
        life(dataclasses.replace(recording, meal_steps=recording.meal_steps + 2000), world)
    endless = TreeWorld.random_from_config(TreeWorldConfig(period=1000.0), seed=0)
    with pytest.raises(ValueError, match="does not repeat"):
        life(recording, endless)


@pytest.fixture(scope="module")
def remembered() -> tuple[TreeWorld, Recording, Diary, list[dict[str, Any]]]:
    """A life by a memory, its diary, and what was remembered and sought after each step."""
    forager, diary = Forager(ByMouth, max_sights=10), Diary()
    world = TreeWorld.random_from_config(CONFIG, seed=3, model=forager)
    recorder, agent = Recorder(), world.agent
    recorder.add_state(agent.position, agent.heading, agent.health)
    minds: list[dict[str, Any]] = [{"remembered": [], "aim": None}]
    while world.time < LIFE and agent.is_alive:
        meal = world.step()
        diary.note(forager)
        if meal is not None:
            recorder.add_meal(meal[0].index, meal[1])
        recorder.add_state(agent.position, agent.heading, agent.health)
        chart, target = forager.chart, forager.exploring.target
        trees = [
            {"tree": tree, "place": place.tolist(), "sd": sd, "verdict": verdict}
            for tree, place, sd, verdict in zip(
                chart.ids, chart.places, chart.sds, chart.verdicts.tolist(), strict=True
            )
        ]
        goal = chart.number_of(forager.goal)
        place = target if goal is None or target is not None else chart.places[goal]
        minds.append(
            {
                "remembered": trees,
                "aim": {
                    "tree": None if target is not None or goal is None else forager.goal,
                    "place": None if place is None else place.tolist(),
                },
            }
        )
    return world, recorder.finish(), diary, minds


def test_each_step_is_remembered_as_it_was(
    remembered: tuple[TreeWorld, Recording, Diary, list[dict[str, Any]]],
) -> None:
    world, recording, diary, minds = remembered
    assert len(minds) >= 200
    ids = [{tree["tree"] for tree in mind["remembered"]} for mind in minds]
    assert any(before - after for before, after in itertools.pairwise(ids))  # some are forgotten
    figure = life(recording, world, diary)
    given = answers("life", figure.data, [{"step": step} for step in range(len(minds))])
    for mind, answer in zip(minds, given, strict=True):
        for kind in ("tree", "verdict"):
            assert [tree[kind] for tree in answer["remembered"]] == [
                tree[kind] for tree in mind["remembered"]
            ]
        for kind, most in (("place", 0.0501), ("sd", 0.01)):
            ours, theirs = (
                np.array([tree[kind] for tree in one["remembered"]]) for one in (answer, mind)
            )
            assert np.abs(ours - theirs).max(initial=0.0) <= most
        if mind["aim"] is None or answer["aim"] is None:
            assert mind["aim"] == answer["aim"]
            continue
        assert answer["aim"]["tree"] == mind["aim"]["tree"]
        assert answer["aim"]["place"] == pytest.approx(mind["aim"]["place"], abs=0.0501)
    kinds = {(one["aim"]["tree"] is None, one["aim"]["place"] is None) for one in minds[1:]}
    assert {(False, False), (True, False)} <= kinds  # trees were sought, and unknown ground


def test_a_diary_is_of_one_life(
    remembered: tuple[TreeWorld, Recording, Diary, list[dict[str, Any]]],
) -> None:
    world, _, diary, _ = remembered
    short = TreeWorld.random_from_config(CONFIG, seed=3, model=Forager(ByMouth)).run(5)
    with pytest.raises(ValueError, match="of 5 steps, but it goes to step"):
        life(short, world, diary)


def test_it_is_small(case: tuple[TreeWorld, Recording, np.ndarray]) -> None:
    world, recording, _ = case
    text = json.dumps(life(recording, world).data)
    assert len(gzip.compress(text.encode())) <= 25_000
