import dataclasses

import numpy as np
import pytest
import torch

from tree_world.agents import ByDrive, ByMouth, Drawn, Forager, Habits, Learned, Nearest, Wandering
from tree_world.agents.worth import POISON
from tree_world.models.drives import DRIVES
from tree_world.models.memory.policy import ForgettingPolicy
from tree_world.simulation import Action, TreeWorld, TreeWorldConfig, Worlds

CONFIG = TreeWorldConfig()
STEPS = 1500


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


# --- what harms ----------------------------------------------------------------------------------

BESIDE = [[40.0, 5.0], [90.0, 0.0]]  # poison by the way to food


def life_beside_poison(model, places, seed, steps=120):
    kinds = [CONFIG.poisonous_kinds[0], CONFIG.edible_kinds[0]]
    names = list(CONFIG.tree_ids[: len(places)])
    world = TreeWorld(CONFIG, places, kinds[: len(places)], names, model=model, seed=seed)
    lived = world.run(steps)
    return (lived.meal_healths < 0).sum(), (lived.meal_healths > 0).sum()


@pytest.mark.parametrize("constants", [None, Learned])
@pytest.mark.parametrize("seed", range(3))
def test_it_goes_back_from_poison_and_finds_out_whose_it_was(constants, seed):
    model = Forager(ByMouth) if constants is None else Forager(ByMouth, constants)
    poison, _ = life_beside_poison(model, BESIDE, seed)
    assert poison <= 2
    if poison:
        known = model.chart.places[model.chart.verdicts == POISON]
        assert len(known) == 1
        assert np.hypot(*(known[0] - BESIDE[0])) < 6.0
        assert not model.chart.owes_poison


def test_some_of_these_lives_did_taste_it():
    """Otherwise the last test would say nothing."""
    assert life_beside_poison(Forager(ByMouth), BESIDE, seed=0)[0] >= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("place", [[6.0, 0.0], [-4.0, 4.0]])
def test_who_wakes_up_in_the_reach_of_poison_leaves_it(classifier, seed, place):
    model = Forager(lambda: ByDrive(classifier))
    poison, _ = life_beside_poison(model, [place, [90.0, 0.0]], seed, steps=40)
    assert 1 <= poison <= 3


@pytest.mark.parametrize("seed", range(2))
def test_poison_that_is_seen_in_time_is_passed_by(classifier, seed):
    poison, food = life_beside_poison(Forager(lambda: ByDrive(classifier)), BESIDE, seed)
    assert (poison, food) == (0, 5)


# --- parts ---------------------------------------------------------------------------------------

PARTS = {
    "the nearest": lambda drives, key: Forager(lambda: ByDrive(drives), choosing=Nearest()),
    "drawn": lambda drives, key: Forager(lambda: ByDrive(drives), choosing=Drawn(key)),
    "wandering": lambda drives, key: Forager(lambda: ByDrive(drives), exploring=Wandering()),
    "by mouth": lambda drives, key: Forager(ByMouth),
    "learned": lambda drives, key: Forager(lambda: ByDrive(drives), Learned),
    "straight": lambda drives, key: Forager(
        lambda: ByDrive(drives), habits=Habits(goes_round=False)
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_can_be_exchanged(classifier, name):
    key = classifier.drive_embeddings.weight.detach().numpy()[DRIVES["edible"]]
    model = PARTS[name](classifier, key)
    lived = life(model, seed=2, steps=200)
    assert not lived.died
    assert len(model.chart) >= 1
    assert len(model.ground.smells) >= 2
    model.reset()
    fresh = PARTS[name](classifier, key)
    assert_same(life(model, seed=2, steps=60), life(fresh, seed=2, steps=60))


@pytest.mark.filterwarnings("ignore:within a tolerance")
def test_no_more_smells_are_remembered_than_a_policy_allows(classifier):
    policy = ForgettingPolicy(
        12, 8, match_threshold=25.0, last_resort="oldest", in_background=False
    )
    model = Forager(lambda: ByDrive(classifier), forgetting=policy)
    world = TreeWorld.random_from_config(CONFIG, seed=2, model=model)
    most = 0
    for _ in range(30):
        world.run(5)
        most = max(most, len(model.ground.smells))
    assert 5 < most <= 12
    free = Forager(lambda: ByDrive(classifier))
    life(free, seed=2, steps=150)
    assert len(free.ground.smells) > 12


def test_memories_keep_within_their_sizes(classifier):
    model = Forager(lambda: ByDrive(classifier), max_smells=10, max_sights=3)
    life(model, seed=2, steps=150)
    assert len(model.ground.smells) == 10
    assert len(model.chart) == 3


@pytest.mark.parametrize("name", ["sensory_dim", "max_smells", "max_sights"])
def test_sizes_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be .*0"):
        Forager(ByMouth, **{name: 0})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"faintest": -1.0}, r"faintest must be .*-1\.0"),
        ({"max_step_length": 0.0}, r"max_step_length must be .*0\.0"),
        ({"move_cost": "much"}, "move_cost must be .*'much'"),
        ({"rest_cost": None}, "rest_cost must be .*None"),
    ],
)
def test_its_nose_and_what_its_body_can_do_are_checked(given, words):
    with pytest.raises(ValueError, match=words):
        Forager(ByMouth, **given)


def test_it_lives_in_one_world_and_not_in_many_side_by_side():
    world = TreeWorld.random_from_config(CONFIG, seed=0, model=Forager(ByMouth))
    with pytest.raises(TypeError, match="none of the walkers"):
        Worlds([world]).step()
