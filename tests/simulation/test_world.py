import copy
import math
import random

import numpy as np
import pytest
import torch

from tests.interrupting import interrupted_at_each_line
from tree_world.simulation import (
    ExploringModel,
    RestingModel,
    SimpleSensor,
    TreeWorld,
    TreeWorldConfig,
)


class Scripted:
    """Returns what it is told, whatever happens."""

    def __init__(self, step, heading=(1.0, 0.0)):
        self.step = None if step is None else torch.tensor(step)
        self.heading = torch.tensor(heading)
        self.observed = []

    def reset(self):
        self.observed.clear()

    def get_action(self, distance, embedding, heading, health, *, position, generator):
        self.observed.append((distance, embedding, heading, health, position))
        return self.step, self.heading


def state_of(world):
    """All that a step or a reset may change."""
    agent, regrows_at = world.agent, world.trees.arrays.regrows_at
    return (
        world.time, world.fruit_counts.tolist(), regrows_at.tolist(), agent.health,
        agent.position.tolist(), agent.heading.tolist(), world._life_at_start.numpy().tobytes(),
        world._generator.get_state().numpy().tobytes(),
    )  # fmt: skip


# --- drawing a world -----------------------------------------------------------------------------


def test_one_seed_is_one_world_whatever_the_model(random_world):
    first, second = random_world(3), random_world(3, model=RestingModel())
    other = random_world(4)
    assert torch.equal(first.locations, second.locations)
    assert [tree.tree_id for tree in first.trees] == [tree.tree_id for tree in second.trees]
    assert torch.equal(first.agent.heading, second.agent.heading)
    assert not torch.equal(first.locations, other.locations)


def test_no_two_trees_share_a_name():
    """The source document draws names with replacement."""
    config = TreeWorldConfig(num_trees=84)
    for seed in range(5):
        names = [t.tree_id for t in TreeWorld.random_from_config(config, seed=seed).trees]
        assert len(set(names)) == 84


def test_places_poison_and_kinds_follow_the_configuration(random_world):
    """On each axis the deviation is twice the tree spacing: 200 m."""
    worlds = [random_world(seed, num_trees=84) for seed in range(12)]
    places = torch.cat([world.locations for world in worlds]).double()
    count = len(places)
    for axis in range(2):
        # Four standard errors of a mean and of a standard deviation.
        assert abs(places[:, axis].mean()) < 4 * 200 / math.sqrt(count)
        assert abs(places[:, axis].std() - 200) < 4 * 200 / math.sqrt(2 * count)
    correlation = torch.corrcoef(places.T)[0, 1]
    assert abs(correlation) < 4 / math.sqrt(count)
    poisonous = torch.cat([world.is_poisonous for world in worlds]).double().mean()
    assert abs(poisonous - 0.3) < 4 * math.sqrt(0.3 * 0.7 / count)
    kinds = [tree.name for world in worlds for tree in world.trees if not tree.is_poisonous]
    for kind in worlds[0].config.edible_kinds:
        share = kinds.count(kind) / len(kinds)
        assert abs(share - 1 / 12) < 4 * math.sqrt(1 / 12 * 11 / 12 / len(kinds))


def test_trees_agree_with_the_arrays(random_world):
    world = random_world()
    assert len(world.trees) == 25
    for tree in world.trees:
        assert torch.equal(tree.location, world.locations[tree.index])
        assert torch.equal(tree.embedding, world.embeddings[tree.index])
        assert tree.is_poisonous == bool(world.is_poisonous[tree.index])
        assert tree.is_poisonous == (tree.name in world.config.poisonous_kinds)
        own_kind = world.tree_name_embeddings[tree.name]
        name = tree.embedding - own_kind
        assert own_kind.norm().item() == pytest.approx(1, abs=1e-5)
        assert name.norm().item() == pytest.approx(1, abs=1e-5)
    assert set(world.tree_name_embeddings) == {
        *world.config.edible_kinds,
        *world.config.poisonous_kinds,
    }


def test_the_world_keeps_its_own_configuration():
    config = TreeWorldConfig(num_trees=2)
    world = TreeWorld.random_from_config(config)
    config.embed_dim = 1024
    config.edible_health = 5.0
    assert world.config.edible_health == 25.0


@pytest.mark.parametrize("dim", [1, 3])
def test_worlds_of_other_dimensions_run(random_world, dim):
    world = random_world(dim=dim)
    assert world.run(20).positions.shape == (21, dim)


def test_nothing_touches_the_global_generators(random_world):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    world = random_world(5)
    world.run(50)
    SimpleSensor().sense(world, [0.0, 0.0])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


@pytest.mark.parametrize(
    ("locations", "kinds", "names", "message"),
    [
        ([[0.0, 0.0]], ["apple", "fig"], ["Ada"], "1, 2 and 1 were given"),
        ([[0.0, 0.0]], ["stone"], ["Ada"], r"\['stone'\] are not"),
        ([[0.0, 0.0], [1.0, 1.0]], ["fig", "fig"], ["Ada", "Ada"], r"\['Ada'\] occur more"),
        ([[0.0, math.nan]], ["fig"], ["Ada"], "locations must be finite"),
        ([0.0, 0.0], ["fig"], ["Ada"], "at least one tree"),
        (torch.zeros(0, 2), [], [], "at least one tree"),
    ],
)
def test_bad_trees(locations, kinds, names, message):
    with pytest.raises(ValueError, match=message):
        TreeWorld(TreeWorldConfig(), locations, kinds, names)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match="seed must lie"):
        TreeWorld.random_from_config(TreeWorldConfig(), seed=seed)


@pytest.mark.parametrize("seed", [None, 1.5, "1", True])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(TypeError, match="whole number"):
        TreeWorld.random_from_config(TreeWorldConfig(), seed=seed)


# --- fruit ---------------------------------------------------------------------------------------


def test_an_empty_tree_feeds_nobody(make_world):
    """In the source document thirty fruits were eaten from a tree of five."""
    world = make_world([[0.0, 0.0]], model=RestingModel())
    recording = world.run(30)
    assert recording.meal_steps.tolist() == [1, 2, 3, 4, 5]
    assert world.fruit_counts.tolist() == [0]


def test_fruit_is_back_the_stated_time_after_the_last_harvest(make_world):
    world = make_world(
        [[0.0, 0.0]], model=RestingModel(), fruit_regrowth_steps=20, max_health=10_000
    )
    recording = world.run(60)
    # Harvests in steps 1 to 5; 20 steps after the fifth the tree is full again, and so on.
    assert recording.meal_steps.tolist() == [*range(1, 6), *range(25, 30), *range(49, 54)]


def test_reset_restores_fruit_clock_and_life(make_world):
    world = make_world([[0.0, 0.0]], model=RestingModel(), fruit_regrowth_steps=50)
    first = world.run(30)
    world.reset()
    assert (world.time, world.fruit_counts.tolist(), world.agent.health) == (0, [5], 1000.0)
    second = world.run(60)
    assert second.meal_steps.tolist() == [*range(1, 6), *range(55, 60)]
    np.testing.assert_array_equal(second.healths[:31], first.healths)


def test_the_nearest_bearing_tree_is_eaten_from(make_world):
    world = make_world(
        [[9.0, 0.0], [3.0, 0.0], [10.5, 0.0]], ["apple", "nightshade", "fig"], model=RestingModel()
    )
    recording = world.run(20)
    assert recording.meal_trees.tolist() == [1] * 5 + [0] * 5, "the third is out of reach"
    assert recording.meal_healths.tolist() == [-25.0] * 5 + [25.0] * 5


# --- a life --------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_life_to_the_bit(random_world):
    first, second = (random_world(9).run(400) for _ in range(2))
    for name in ("positions", "headings", "healths", "meal_steps", "meal_trees", "meal_healths"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    world = random_world(9)
    world.run(123)
    world.reset()
    np.testing.assert_array_equal(world.run(400).positions, first.positions)
    world.reset(seed=1)
    assert not np.array_equal(world.run(400).positions, first.positions)


def test_two_short_runs_are_one_long_one(random_world):
    whole = random_world(2).run(100)
    world = random_world(2)
    first, second = world.run(50), world.run(50)
    np.testing.assert_array_equal(
        np.vstack([first.positions, second.positions[1:]]), whole.positions
    )
    meals = np.concatenate([first.meal_steps, second.meal_steps + 50])
    np.testing.assert_array_equal(meals, whole.meal_steps)


@pytest.mark.parametrize("seed", range(6))
def test_the_ledger_adds_up(random_world, seed):
    """Health is recomputed from meals and moves alone."""
    world = random_world(seed, max_health=300.0)
    recording = world.run(400)
    meals = dict(zip(recording.meal_steps.tolist(), recording.meal_healths.tolist(), strict=True))
    health = 300.0
    for step in range(1, recording.num_steps + 1):
        health = max(0.0, min(300.0, health + meals.get(step, 0.0)))
        if health > 0:
            health = max(0.0, health - 2.0)
        assert recording.healths[step] == pytest.approx(health)
    assert recording.died
    assert len(recording.positions) == len(recording.headings) == recording.num_steps + 1


def test_a_rester_lives_as_long_as_its_health_lasts(make_world):
    recording = make_world([[500.0, 0.0]], model=RestingModel()).run(5000)
    assert recording.num_steps == 1000
    assert recording.died
    assert (recording.positions == 0).all()


def test_death_by_poison_comes_before_the_next_move(make_world):
    model = Scripted([1.0, 0.0])
    world = make_world([[0.0, 0.0]], ["manchineel"], model=model, max_health=60.0)
    recording = world.run(50)
    # 60 - 25 - 2 = 33, 33 - 25 - 2 = 6, and the third fruit kills.
    assert recording.healths.tolist() == [60.0, 33.0, 6.0, 0.0]
    assert recording.positions[-1].tolist() == [2.0, 0.0], "the dead do not walk"
    with pytest.raises(RuntimeError, match=r"died in step 3\. Call reset\(\)"):
        world.step()
    assert world.run(10).num_steps == 0
    world.reset()
    assert world.run(1).num_steps == 1


def test_health_never_passes_its_maximum(make_world):
    world = make_world([[0.0, 0.0]], model=RestingModel())
    assert world.run(3).healths.tolist() == [1000.0, 999.0, 999.0, 999.0]


def test_the_model_is_told_what_is_there(make_world):
    model = Scripted(None)
    world = make_world([[30.0, 0.0]], model=model, sensor=SimpleSensor(), max_health=500.0)
    world.step()
    distance, embedding, heading, health, position = model.observed[0]
    assert distance.item() == pytest.approx(30.0)
    torch.testing.assert_close(embedding, SimpleSensor().sense(world, [0.0, 0.0])[1])
    assert heading.norm().item() == pytest.approx(1.0, abs=1e-6)
    assert health == 1.0
    assert position.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("step", "heading", "message"),
    [
        ([8.0, 8.0], [1.0, 0.0], r"a step of 11\.31 m, but max_step_length is 10 m"),
        ([math.nan, 0.0], [1.0, 0.0], "the step that the model returned must be finite"),
        ([1.0], [1.0, 0.0], "the step that the model returned must have shape"),
        ([1.0, 0.0], [2.0, 0.0], "the heading that the model returned must be a unit vector"),
    ],
)
def test_a_bad_action_changes_nothing(make_world, step, heading, message):
    world = make_world([[500.0, 0.0]], model=Scripted(step, heading))
    before = state_of(world)
    with pytest.raises(ValueError, match=message):
        world.step()
    assert state_of(world) == before


def test_running_without_recording(random_world):
    recorded, silent = random_world(1), random_world(1)
    last = recorded.run(30).positions[-1]
    assert silent.run(30, record=False) is None
    np.testing.assert_array_equal(silent.agent.position.numpy(), last)
    assert silent.run(0).num_steps == 0
    with pytest.raises(ValueError, match="at least 0, not -1"):
        silent.run(-1)


# --- exploring -----------------------------------------------------------------------------------


def test_exploring_prefers_no_direction():
    """In the source document every step is positive, and all agents drift to one corner."""
    config = TreeWorldConfig(num_trees=1)
    ends = []
    for seed in range(300):
        world = TreeWorld(config, [[5000.0, 0.0]], ["fig"], ["Ada"], seed=seed)
        ends.append(world.run(40).positions[-1])
    ends = np.array(ends)
    standard_error = ends.std(axis=0) / math.sqrt(len(ends))
    assert (np.abs(ends.mean(axis=0)) < 4 * standard_error).all()
    quadrants = [(np.sign(ends) == sign).all(axis=1).mean() for sign in ([1, 1], [-1, -1], [1, -1])]
    assert min(quadrants) > 0.25 - 4 * math.sqrt(0.25 * 0.75 / len(ends))


def test_headings_are_unit_vectors_and_steps_are_short(random_world):
    """In the source document the heading is divided by the norm of another draw."""
    recording = random_world(7).run(400)
    np.testing.assert_allclose(np.linalg.norm(recording.headings, axis=1), 1, atol=1e-5)
    lengths = np.linalg.norm(np.diff(recording.positions, axis=0), axis=1)
    assert lengths.max() <= 10 * (1 + 1e-4)


def test_an_explorer_walks_straight_to_what_it_sees_and_not_past_it():
    model = ExploringModel(max_step_length=10.0)
    heading = torch.tensor([0.6, 0.8])
    for distance, length in ((50.0, 10.0), (4.0, 4.0), (0.0, 0.0)):
        step, new = model.get_action(
            torch.tensor(distance), None, heading, 1.0,
            position=torch.zeros(2), generator=torch.Generator(),
        )  # fmt: skip
        torch.testing.assert_close(step, heading * length)
        assert torch.equal(new, heading)


def test_with_its_eyes_shut_it_wanders():
    model = ExploringModel(uses_sight=False)
    heading = torch.tensor([1.0, 0.0])
    step, new = model.get_action(
        torch.tensor(5.0), None, heading, 1.0,
        position=torch.zeros(2), generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert not torch.equal(new, heading)
    torch.testing.assert_close(step / step.norm(), new)


@pytest.mark.parametrize(
    "choice", [{"max_step_length": 0.0}, {"turn_sd": -1.0}, {"turn_sd": math.nan}]
)
def test_bad_models(choice):
    with pytest.raises(ValueError, match="must be"):
        ExploringModel(**choice)


# --- what must not change it ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_an_interrupted_step_was_taken_or_not(random_world, seed):
    def prepare():
        world = random_world(seed, tree_spacing=5.0)  # so that it eats
        world.run(3, record=False)
        return world

    def act(world):
        world.step()

    world = prepare()
    before = state_of(world)
    meal = world.step()
    after = state_of(world)
    assert meal is not None
    seen = [state_of(world) for world in interrupted_at_each_line(prepare, act)]
    assert len(seen) > 50
    assert all(state in (before, after) for state in seen)
    assert seen[0] == before
    assert seen[-1] == after


def test_an_interrupted_reset_was_made_or_not(random_world):
    def prepare():
        world = random_world(0)
        world.run(5, record=False)
        return world

    world = prepare()
    before = state_of(world)
    world.reset(seed=7)
    after = state_of(world)
    states = [state_of(w) for w in interrupted_at_each_line(prepare, lambda w: w.reset(seed=7))]
    assert len(states) > 10
    assert all(state in (before, after) for state in states)


class Meddling(Scripted):
    """Changes what it is handed, and what it has returned."""

    def get_action(self, distance, embedding, heading, health, *, position, generator):
        for given in (distance, embedding, heading, position):
            if given is not None:
                given.mul_(3.0)
        self.heading.copy_(torch.tensor([0.6, 0.8]))
        return self.step, self.heading


def test_a_model_cannot_change_the_world_but_by_its_action(make_world):
    model = Meddling([1.0, 0.0], [1.0, 0.0])
    world = make_world([[5.0, 5.0], [300.0, 0.0]], model=model, sensor=SimpleSensor())
    scents = world.embeddings.clone()
    world.step()
    model.heading.copy_(torch.tensor([0.0, -1.0]))
    assert world.agent.position.tolist() == [1.0, 0.0]
    torch.testing.assert_close(world.agent.heading, torch.tensor([0.6, 0.8]))
    assert torch.equal(world.embeddings, scents)
    world.step()  # its heading is still of length one
    assert world.agent.position.tolist() == [2.0, 0.0]


class MeddlingSensor:
    """Writes into what it is given."""

    def sense(self, world, position, heading):
        position.add_(100.0)
        heading.neg_()
        return None, None, None


def test_a_sensor_cannot_move_the_agent(make_world):
    world = make_world([[50.0, 5.0]], model=RestingModel(), sensor=MeddlingSensor())
    heading = world.agent.heading.clone()
    world.step()
    assert world.agent.position.tolist() == [0.0, 0.0]
    assert torch.equal(world.agent.heading, heading)


def test_what_is_handed_out_is_not_the_world(make_world):
    world = make_world([[50.0, 5.0], [300.0, 0.0]])
    places, scents = world.locations.clone(), world.embeddings.clone()
    scent = SimpleSensor().sense(world, [0.0, 0.0])[1].clone()
    world.trees[0].location.add_(100.0)
    world.trees[0].embedding.zero_()
    lived = world.run(0)
    lived.positions[:] += 70.0
    lived.headings[:] *= 2.0
    assert torch.equal(world.locations, places)
    assert torch.equal(world.embeddings, scents)
    assert torch.equal(SimpleSensor().sense(world, [0.0, 0.0])[1], scent)
    assert world.agent.position.tolist() == [0.0, 0.0]
    world.run(3)


def test_a_model_that_learns_by_gradients_leaves_none(make_world):
    model = Scripted([1.0, 0.0])
    model.step.requires_grad_()
    model.heading.requires_grad_()
    world = make_world([[500.0, 0.0]], model=model)
    assert world.run(3).positions[-1].tolist() == [3.0, 0.0]
    assert not world.agent.position.requires_grad
    assert not world.agent.heading.requires_grad


def test_a_generator_goes_on_to_other_lives(make_world):
    """Whoever draws places from it must not draw the numbers of the life."""
    generator = torch.Generator().manual_seed(5)
    world = make_world([[500.0, 0.0]], seed=generator)
    headings = [world.agent.heading.tolist()]
    for _ in range(3):
        world.reset(seed=generator)
        headings.append(world.agent.heading.tolist())
    assert len({tuple(heading) for heading in headings}) == 4
    drawn = torch.randn(2, generator=generator)
    world.reset(seed=generator)
    direction = torch.nn.functional.normalize(drawn, dim=-1)
    assert not torch.allclose(world.agent.heading, direction)
    # The same generator in the same state is the same world and the same life.
    config = TreeWorldConfig()
    one, two = (
        TreeWorld.random_from_config(config, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert state_of(one) == state_of(two)
    assert torch.equal(one.locations, two.locations)


def test_the_default_precision_makes_no_difference(random_world):
    expected = random_world(2).run(40)
    scent = SimpleSensor().sense(random_world(2), [[0.0, 0.0]])[1]
    torch.set_default_dtype(torch.float64)
    try:
        world = random_world(2)
        lived = world.run(40)
        smelled = SimpleSensor().sense(world, [[0.0, 0.0]])[1]
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(lived.positions, expected.positions)
    np.testing.assert_array_equal(lived.healths, expected.healths)
    assert torch.equal(smelled, scent)


def test_a_world_outlives_the_mode_in_which_it_was_made(random_world):
    expected = random_world(2, tree_spacing=5.0).run(30)
    with torch.inference_mode():
        world = random_world(2, tree_spacing=5.0)
        world.run(10)
        other = random_world(2, tree_spacing=5.0)
        other.reset()
    for one in (world, other):
        one.run(5)
        with torch.inference_mode():
            one.step()
        one.reset()
        np.testing.assert_array_equal(one.run(30).positions, expected.positions)
        assert not one.embeddings.is_inference()
        assert not one.agent.position.is_inference()


def test_what_is_undone_in_inference_mode_can_be_changed_outside(make_world):
    world = make_world([[0.0, 0.0]], model=Scripted([1e9, 0.0]))
    with torch.inference_mode(), pytest.raises(ValueError, match="max_step_length"):
        world.step()
    world.fruit_counts[0] -= 1
    world.reset()
    assert not world.fruit_counts.is_inference()


def test_what_a_world_was_made_with_cannot_be_changed(random_world):
    config = TreeWorldConfig()
    world = TreeWorld.random_from_config(config, seed=0)
    assert world.config == config
    for name in TreeWorldConfig.model_fields:
        with pytest.raises(AttributeError, match=f"{name} cannot be set .* Make a new world"):
            setattr(world.config, name, getattr(config, name))
    with pytest.raises(AttributeError):
        world.config = config
    changed = world.config.model_copy(update={"edible_health": 100.0})
    changed.poison_health = -100.0
    assert changed != world.config
    other = TreeWorld.random_from_config(changed, seed=0)
    assert other.config.edible_health == 100.0
    with pytest.raises(ValueError, match="max_helth"):
        world.config.model_copy(update={"max_helth": 5.0})


def test_a_copied_world_is_a_world_of_its_own(random_world):
    world = random_world(0)
    twin = copy.deepcopy(world)
    world.run(20, record=False)
    with pytest.raises(AttributeError, match="Make a new world"):
        twin.config.edible_health = 7.0
    twin.run(20, record=False)
    assert state_of(twin) == state_of(world)


@pytest.mark.parametrize("num_steps", [2.5, True, "3", -1, None])
def test_steps_are_counted_in_whole_numbers(random_world, num_steps):
    world = random_world(0)
    with pytest.raises(ValueError, match="num_steps must be a whole number of at least 0"):
        world.run(num_steps)
    assert world.time == 0
    assert world.run(np.int64(2)).num_steps == 2
