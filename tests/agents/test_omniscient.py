import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.agents.bounds import upper_bound
from tree_world.agents.omniscient import Omniscient
from tree_world.simulation import Resting, TreeWorld, TreeWorldConfig

KINDS = pytest.mark.parametrize("plans", [False, True], ids=["greedy", "planning"])


def lives(config, seed, steps, **choices):
    world = TreeWorld.random_from_config(config, seed=seed)
    world.agent.model = Omniscient(world, **choices)
    return world, world.run(steps)


@KINDS
@pytest.mark.parametrize("seed", [0, 1])
def test_it_lives_and_eats_no_poison(plans, seed):
    world, recording = lives(TreeWorldConfig(), seed, 1500, plans=plans)
    assert world.agent.is_alive
    assert recording.healths.min() > 700
    assert (recording.meal_healths > 0).all()
    poison = world.locations[world.is_poisonous].numpy()
    away = np.linalg.norm(recording.positions[:, None] - poison, axis=-1)
    assert away.min() > 10


def test_planning_keeps_the_lowest_health_higher():
    pairs = [
        [
            lives(TreeWorldConfig(num_trees=15), seed, 2000, plans=plans)[1]
            for plans in (False, True)
        ]
        for seed in range(3)
    ]
    for greedy, planning in pairs:
        assert planning.healths.min() > greedy.healths.min()


def test_planning_wastes_little_fruit():
    _, recording = lives(TreeWorldConfig(), 2, 1500)
    before = recording.healths[recording.meal_steps - 1]
    lost = np.maximum(before + 25 - 1000, 0)
    assert lost.mean() < 0.1 * 25


@KINDS
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10**6), number=st.integers(1, 9))
def test_nobody_beats_the_bound(plans, seed, number):
    config = TreeWorldConfig(num_trees=number, max_health=200.0, fruit_regrowth_steps=250)
    world, recording = lives(config, seed, 3000, plans=plans, horizon=1500, effort=500)
    omniscient = world.agent.model
    bound = upper_bound(omniscient.routes.places, rules=omniscient.rules)
    lived = len(recording.healths) - 1
    assert lived <= bound.longest_life
    if world.agent.is_alive:
        assert bound.allows(3000)


@KINDS
def test_where_there_is_nothing_to_eat_it_rests(plans):
    world, recording = lives(TreeWorldConfig(poison_probability=1.0), 0, 1100, plans=plans)
    assert not world.agent.is_alive
    assert len(recording.healths) == 1001


@KINDS
def test_a_life_is_the_same_again(plans):
    world, first = lives(TreeWorldConfig(num_trees=12), 5, 400, plans=plans)
    world.reset()
    assert np.array_equal(world.run(400).positions, first.positions)


def test_food_beside_poison_is_eaten_from_its_other_side():
    config = TreeWorldConfig(num_trees=2)
    places = [[100.0, 0.0], [103.0, 0.0]]
    kinds = [config.edible_kinds[0], config.poisonous_kinds[0]]
    world = TreeWorld(config, places, kinds, ["Ann", "Bob"])
    world.agent.model = Omniscient(world)
    recording = world.run(400)
    assert recording.meal_healths.tolist() == [25.0] * 5


def test_what_lies_in_no_plane_is_refused():
    world = TreeWorld.random_from_config(TreeWorldConfig(dim=3), model=Resting())
    with pytest.raises(ValueError, match="points of the plane"):
        Omniscient(world)


def test_one_without_appetite_never_goes():
    _, recording = lives(TreeWorldConfig(), 0, 1000, plans=False, appetite=np.inf)
    assert len(recording.meal_steps) == 0
