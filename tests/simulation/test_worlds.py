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
