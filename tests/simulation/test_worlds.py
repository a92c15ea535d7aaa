"""Many worlds side by side: each life is the one that would be lived alone, to the last bit."""

import numpy as np
import pytest
import torch

from tests.interrupting import interrupted_at_each_line
from tree_world.simulation import (
    Action,
    Exploring,
    Resting,
    SimpleSensor,
    TreeWorld,
    TreeWorldConfig,
    Worlds,
)

NAMES = ("positions", "headings", "healths", "meal_steps", "meal_trees", "meal_healths")


def mixed():
    """Worlds that differ in their configuration, their walkers and their age."""
    worlds = []
    for seed, (choices, model) in enumerate(
        [
            ({}, None),
            ({"tree_spacing": 20.0, "fruit_regrowth_steps": 40}, Exploring(turn_sd=0.2)),
            ({"max_health": 150.0, "edge_strength": 0.3}, Exploring(uses_sight=False)),
            ({"tree_spacing": 5.0, "max_fruit": 9}, Resting()),
            ({"max_health": 80.0, "poison_probability": 1.0, "tree_spacing": 10.0}, None),
        ]
    ):
        world = TreeWorld.random_from_config(TreeWorldConfig(**choices), seed=seed, model=model)
        world.run(5 * seed)
        worlds.append(world)
    return worlds


class Noting:
    """Lives as another model does, and notes what it smells."""

    def __init__(self, model):
        self.model = model
        self.smelled = []

    def reset(self):
        self.smelled.clear()

    def act(self, percept, body, meal, *, generator):
        self.smelled.append(percept.smell.clone())
        return self.model.act(percept, body, meal, generator=generator)


@pytest.mark.parametrize("threads", [1, 2])
def test_each_life_is_the_one_that_is_lived_alone(threads):
    worlds, alone = Worlds(mixed(), threads=threads), mixed()
    for world in alone:
        world.agent.model = Noting(world.agent.model)
    for _ in range(120):
        worlds.step()
        for index, world in enumerate(alone):
            if not world.agent.is_alive:
                assert worlds.healths[index] == 0
                assert worlds.meals[index] == -1
                continue
            meal = world.step()
            assert torch.equal(worlds.positions[index], world.agent.position)
            assert torch.equal(worlds.headings[index], world.agent.heading)
            assert worlds.healths[index] == world.agent.health
            assert worlds.times[index] == world.time
            assert torch.equal(worlds.fruit_counts[index], world.fruit_counts)
            assert worlds.meals[index] == (-1 if meal is None else meal[0].index)
            if world.agent.is_alive:
                assert torch.equal(worlds.scents[index], world.agent.model.smelled[-1])
    assert 0 < int((worlds.healths > 0).sum()) < len(worlds)


def test_runs_are_those_of_each_world(random_world):
    worlds = Worlds(mixed(), smells=False, threads=2)
    first, second = worlds.run(60), worlds.run(500)
    for world, one, other in zip(mixed(), first, second, strict=True):
        for recording in (one, other):
            alone = world.run(60 if recording is one else 500)
            for name in NAMES:
                np.testing.assert_array_equal(getattr(recording, name), getattr(alone, name))
                assert getattr(recording, name).dtype == getattr(alone, name).dtype
    assert [len(recording.healths) for recording in worlds.run(0)] == [1] * 5


def test_the_worlds_themselves_stay_as_they_are():
    ones = mixed()
    before = [world.agent.position for world in ones]
    Worlds(ones).run(20)
    assert all(torch.equal(w.agent.position, b) for w, b in zip(ones, before, strict=True))


def test_what_is_smelled_is_what_the_sensor_tells():
    ones = [TreeWorld.random_from_config(TreeWorldConfig(), seed=seed) for seed in range(6)]
    worlds = Worlds(ones)
    for _ in range(3):
        places, fruit = worlds.positions.clone(), worlds.fruit_counts.clone()
        worlds.step()
        for index, world in enumerate(ones):
            world.fruit_counts = fruit[index]
            scent = SimpleSensor.from_config(world.config).sense(world, places[index]).embedding
            torch.testing.assert_close(worlds.scents[index], scent, rtol=1e-5, atol=1e-6)


# --- one function that decides for all -----------------------------------------------------------


def towards_the_middle(worlds):
    distances = worlds.positions.norm(dim=-1, keepdim=True)
    far = distances > 20
    headings = torch.where(far, -worlds.positions / distances, worlds.headings)
    return 3.0 * headings, headings, worlds.healths < 50


class TowardsTheMiddle:
    def reset(self):
        pass

    def act(self, percept, body, meal, *, generator):
        distance = body.position.norm(dim=-1)
        heading = -body.position / distance if distance > 20 else body.heading
        return Action(None if body.health < 50 else 3.0 * heading, heading)


def test_a_function_that_decides_for_all_does_as_a_model_in_each():
    ones = mixed()
    for world in ones:
        world.agent.model = TowardsTheMiddle()
    together = Worlds(ones).run(200, towards_the_middle)
    for world, recording in zip(ones, together, strict=True):
        alone = world.run(200)
        for name in NAMES:
            np.testing.assert_array_equal(getattr(recording, name), getattr(alone, name))


def state_of(worlds):
    arrays = worlds.arrays
    names = ("words", "time", "fruit_counts", "regrows_at", "position", "heading", "health")
    return [getattr(arrays, name).tobytes() for name in names]


@pytest.mark.parametrize(
    ("decided", "message"),
    [
        ((torch.full((5, 2), 9.0), None, torch.zeros(5)), r"step in world 0 has 12\.73 m"),
        ((torch.zeros(5, 2), torch.ones(5, 2), torch.zeros(5)), "headings must be a unit vector"),
        ((torch.zeros(4, 2), None, torch.zeros(5)), r"rests \(5,\), but \(4, 2\)"),
        ((torch.full((5, 2), torch.nan), None, torch.zeros(5)), "steps must be finite"),
    ],
)
def test_what_is_not_allowed_changes_nothing(decided, message):
    worlds = Worlds(mixed())
    before = state_of(worlds)
    steps, headings, rests = decided
    with pytest.raises(ValueError, match=message):
        worlds.step(lambda w: (steps, w.headings if headings is None else headings, rests))
    assert state_of(worlds) == before


@pytest.mark.parametrize("decide", [None, towards_the_middle])
def test_an_interrupted_step_was_taken_in_all_worlds_or_in_none(decide):
    def prepare():
        return Worlds(mixed(), threads=1 if decide else 2)

    worlds = prepare()
    before = state_of(worlds)
    worlds.step(decide)
    after = state_of(worlds)
    seen = [state_of(w) for w in interrupted_at_each_line(prepare, lambda w: w.step(decide))]
    assert len(seen) > 5
    assert all(state in (before, after) for state in seen)
    assert seen[-1] == after


# --- a step in its two halves --------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_two_halves_are_a_step(threads):
    whole, halves = Worlds(mixed(), threads=threads), Worlds(mixed(), threads=threads)
    for _ in range(60):
        whole.step(towards_the_middle)
        halves.perceive()
        halves.act(*towards_the_middle(halves))
        assert state_of(whole) == state_of(halves)
        assert torch.equal(whole.scents, halves.scents)
        assert torch.equal(whole.sights, halves.sights)


def test_halves_come_in_turn():
    worlds = Worlds(mixed())
    before = state_of(worlds)
    with pytest.raises(RuntimeError, match=r"Call perceive\(\) first"):
        worlds.act(*towards_the_middle(worlds))
    assert state_of(worlds) == before
    worlds.perceive()
    before = state_of(worlds)
    for act in (worlds.perceive, worlds.step, lambda: worlds.run(3)):
        with pytest.raises(RuntimeError, match=r"Call act\(\.\.\.\) to end it"):
            act()
    with pytest.raises(ValueError, match="steps must be finite"):
        worlds.act(torch.full((5, 2), torch.nan), worlds.headings, torch.zeros(5))
    assert state_of(worlds) == before
    worlds.act(*towards_the_middle(worlds))
    worlds.step(towards_the_middle)


@pytest.mark.parametrize("half", ["perceive", "act"])
def test_an_interrupted_half_was_taken_in_all_worlds_or_in_none(half):
    def prepare():
        worlds = Worlds(mixed(), threads=2)
        if half == "act":
            worlds.perceive()
        return worlds

    def take(worlds):
        return worlds.perceive() if half == "perceive" else worlds.act(*towards_the_middle(worlds))

    def state(worlds):
        return [*state_of(worlds), worlds._is_begun.tobytes()]

    worlds = prepare()
    before = state(worlds)
    take(worlds)
    after = state(worlds)
    seen = [state(one) for one in interrupted_at_each_line(prepare, take)]
    assert len(seen) > 5
    assert all(one in (before, after) for one in seen)


class Looking(Resting):
    """Rests, turns about, and notes what it sees."""

    def __init__(self):
        self.sights = []

    def act(self, percept, body, meal, *, generator):
        self.sights.append(percept.sight)
        turned = torch.stack([-body.heading[1], body.heading[0]])
        return Action(None, turned)


def test_what_is_seen_is_what_a_model_is_told():
    """What is seen may be eaten from in the same step."""
    choices = {"tree_spacing": 8.0, "fruit_regrowth_steps": 9, "can_see_fruit_distance": 15.0}
    ones = [TreeWorld.random_from_config(TreeWorldConfig(**choices), seed=s) for s in range(4)]
    worlds = Worlds(ones)
    seen = 0
    for world in ones:
        world.agent.model = Looking()
    for _ in range(40):
        worlds.perceive()
        eaten_from = (worlds.seen == worlds.meals) & (worlds.meals >= 0)
        for index, world in enumerate(ones):
            world.step()
            distance, embedding = world.agent.model.sights[-1]
            seen += distance is not None and bool(eaten_from[index])
            none = torch.zeros(384)
            assert torch.equal(worlds.sights[index], none if embedding is None else embedding)
            assert worlds.seen_distances[index] == (-1 if distance is None else distance)
        turned = torch.stack([-worlds.headings[:, 1], worlds.headings[:, 0]], dim=-1)
        worlds.act(torch.zeros(4, 2), turned, torch.ones(4))
    assert seen > 3


def test_scents_may_be_told_by_scores():
    scores = torch.randn(2, 384, generator=torch.Generator().manual_seed(0))
    plain, scored = Worlds(mixed()), Worlds(mixed(), scores=scores)
    for _ in range(30):
        plain.step()
        scored.step()
        torch.testing.assert_close(scored.scents, plain.scents @ scores.T, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(scored.sights, plain.sights @ scores.T, rtol=1e-4, atol=1e-4)
        assert state_of(plain) == state_of(scored)
    with pytest.raises(ValueError, match="scores"):
        Worlds(mixed(), scores=torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"shape \(num_scores, 384\)"):
        Worlds(mixed(), scores=torch.zeros(384))


# --- another world in the place of one -----------------------------------------------------------


@pytest.mark.parametrize("begun", [False, True])
def test_a_world_that_comes_later_is_level_with_the_others(begun):
    worlds, expected = Worlds(mixed()), Worlds([*mixed()[:1], mixed()[3], *mixed()[2:]])
    if begun:
        worlds.perceive()
        expected.perceive()
    worlds.renew(1, mixed()[3])
    for _ in range(20):
        assert state_of(worlds) == state_of(expected)
        for name in ("scents", "sights", "seen", "seen_distances", "meals", "is_poisonous"):
            assert torch.equal(getattr(worlds, name), getattr(expected, name))
        for each in (worlds, expected):
            if begun:
                each.act(*towards_the_middle(each))
                each.perceive()
            else:
                each.step()


def test_a_world_that_does_not_fit_does_not_come(random_world):
    worlds = Worlds(mixed())
    before = state_of(worlds)
    with pytest.raises(ValueError, match="world 2 has an array of shape"):
        worlds.renew(2, random_world(0, num_trees=3))
    with pytest.raises(IndexError, match="no world 5"):
        worlds.renew(5, random_world(0))
    world = random_world(1)
    world.agent.eyes = SimpleSensor()
    with pytest.raises(TypeError, match="eyes or a nose"):
        worlds.renew(0, world)
    assert state_of(worlds) == before
    worlds.renew(0, random_world(0, model=TowardsTheMiddle()))
    with pytest.raises(TypeError, match="the model of world 0 is none"):
        worlds.step()


def test_a_world_comes_wholly_or_not_at_all():
    def prepare():
        worlds = Worlds(mixed())
        worlds.perceive()
        return worlds

    def state(worlds):
        return [*(array.tobytes() for array in worlds.arrays), worlds.scents.numpy().tobytes()]

    worlds = prepare()
    before = state(worlds)
    other = mixed()[3]
    worlds.renew(1, other)
    seen = [state(one) for one in interrupted_at_each_line(prepare, lambda w: w.renew(1, other))]
    assert len(seen) > 20
    assert all(one in (before, state(worlds)) for one in seen)


# --- errors --------------------------------------------------------------------------------------


def test_what_cannot_be_taken_is_named(random_world):
    with pytest.raises(ValueError, match="at least one world"):
        Worlds([])
    with pytest.raises(ValueError, match="world 1 has an array of shape"):
        Worlds([random_world(0), random_world(0, num_trees=3)])
    world = random_world(1)
    world.agent.eyes = SimpleSensor()
    with pytest.raises(TypeError, match="world 1 has eyes or a nose"):
        Worlds([random_world(0), world])
    worlds = Worlds([random_world(0), random_world(0, model=TowardsTheMiddle())])
    for act in (worlds.step, lambda: worlds.run(3)):
        with pytest.raises(TypeError, match="the model of world 1 is none of the walkers"):
            act()
    with pytest.raises(TypeError, match="the model of world 0 is none"):
        Worlds([random_world(0, model=Exploring(max_step_length=20.0))]).step()
    with pytest.raises(ValueError, match="num_steps"):
        worlds.run(-1, towards_the_middle)
    with pytest.raises(ValueError, match="threads"):
        Worlds([random_world(0)], threads=0)
