import dataclasses

import numpy as np
import pytest
import torch

from tree_world.agents import ByDrive, ByMouth, Forager, Learned
from tree_world.models.drives import train_drive_classifier
from tree_world.simulation import Action, TreeWorld, TreeWorldConfig

CONFIG = TreeWorldConfig()
STEPS = 1500


@pytest.fixture(scope="module")
def classifier():
    return train_drive_classifier(CONFIG)[0]


@pytest.fixture(scope="module")
def told(classifier):
    return Forager(lambda: ByDrive(classifier))


def life(model, seed, steps=STEPS, **changes):
    config = CONFIG.model_copy(update=changes)
    return TreeWorld.random_from_config(config, seed=seed, model=model).run(steps)


def assert_same(one, other):
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize("seed", range(3))
def test_it_lives_where_those_without_a_memory_die(told, seed):
    told.reset()
    lived = life(told, seed)
    assert not lived.died
    assert lived.healths.min() > 300
    assert (lived.meal_healths > 0).sum() > 20


def test_it_lives_with_no_constants_and_no_classifier():
    lived = life(Forager(ByMouth, Learned), seed=1)
    assert not lived.died


def test_a_life_is_the_same_each_time(told):
    told.reset()
    first = life(told, seed=4, steps=300)
    told.reset()
    assert_same(life(told, seed=4, steps=300), first)


def test_it_knows_nothing_but_what_it_perceives(told):
    """What trees say of themselves is wrong, and nothing changes."""
    told.reset()
    honest = life(told, seed=5, steps=400)
    world = TreeWorld.random_from_config(CONFIG, seed=5, model=told)
    for tree in world.trees:
        for name, lie in {
            "name": "nothing",
            "tree_id": "Nobody",
            "is_poisonous": not tree.is_poisonous,
            "location": torch.full((2,), 1e6),
            "embedding": torch.zeros_like(tree.embedding),
        }.items():
            object.__setattr__(tree, name, lie)
    told.reset()
    assert_same(world.run(400), honest)


def test_a_life_can_be_replayed(told):
    class Replay:
        def __init__(self, recording):
            self.steps = np.diff(recording.positions, axis=0)
            self.headings, self.time = recording.headings[1:], 0

        def reset(self):
            self.time = 0

        def act(self, percept, body, meal, *, generator):
            step, heading = self.steps[self.time], self.headings[self.time]
            self.time += 1
            moved = torch.from_numpy(step.copy()) if step.any() else None
            return Action(moved, torch.from_numpy(heading.copy()))

    told.reset()
    lived = life(told, seed=6, steps=400)
    again = life(Replay(lived), seed=6, steps=400)
    np.testing.assert_allclose(again.positions, lived.positions, atol=1e-3)
    np.testing.assert_array_equal(again.healths, lived.healths)
    np.testing.assert_array_equal(again.meal_steps, lived.meal_steps)


def test_what_it_believes_of_trees_is_so(told):
    told.reset()
    world = TreeWorld.random_from_config(CONFIG, seed=7, model=told)
    world.run(1000)
    trees, chart = world.locations.numpy(), told.chart
    away = np.hypot(*(chart.places[:, None] - trees[None]).transpose(2, 0, 1))
    nearest = away.argmin(axis=1)
    sure = chart.sds < 3.0
    assert sure.sum() >= 8
    assert (away.min(axis=1)[sure] < 10.0).all()
    assert len(set(nearest[sure])) == sure.sum()  # one tree is one
    judged = np.where(world.is_poisonous.numpy()[nearest], -1, 1)
    np.testing.assert_array_equal(chart.verdicts[sure], judged[sure])
    fed = sure & (chart.last_meals > 0)
    bears = world.trees.fruit_counts.numpy()[nearest] > 0
    np.testing.assert_array_equal(chart.bears(told.time)[fed], bears[fed])


def test_it_draws_no_numbers(told):
    told.reset()
    state = torch.get_rng_state()
    world = TreeWorld.random_from_config(CONFIG, seed=8, model=told)
    world.run(100)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["sensory_dim", "max_smells", "max_sights"])
def test_sizes_are_checked(name):
    with pytest.raises(ValueError, match=name):
        Forager(ByMouth, **{name: 0})
