import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.agents.choosing import Drawn, Nearest, Planning, Situation
from tree_world.agents.planning import Rules, plan
from tree_world.agents.routes import Routes
from tree_world.models.memory import Memory

RULES = Rules(max_fruit=3, fruit_health=10.0, regrowth_steps=60, max_health=100.0)
APPLE, PLUM = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])


def situation(places, ripe_at=None, fruits=None, *, health=60.0, senses=None, seed=0, **changes):
    places = np.reshape(np.asarray(places, float), (-1, 2))
    number = len(places)
    sights = Memory(2, 2)
    if number:
        seen = torch.stack([APPLE] * number) if senses is None else torch.stack(senses)
        sights.write(torch.from_numpy(places).float(), 1.0, seen)
    return Situation(
        Routes(places),
        np.zeros(number, int) if ripe_at is None else np.array(ripe_at),
        np.full(number, RULES.max_fruit) if fruits is None else np.array(fruits),
        np.zeros(2),
        changes.pop("time", 100),
        health,
        RULES,
        changes.pop("order", ()),
        sights,
        torch.Generator().manual_seed(seed),
    )


def random_situation(seed, number, **changes):
    random = np.random.default_rng(seed)
    ripe_at = random.integers(50, 200, number)
    fruits = np.where(ripe_at <= 100, RULES.max_fruit, random.integers(0, 3, number))
    places = random.uniform(-200, 200, (number, 2))
    return situation(places, ripe_at, fruits, health=float(random.integers(20, 101)), **changes)


def first_meals(at):
    """The step in which each tree feeds, for who goes there at once and waits: step by step."""
    meals = []
    for place, ripe_at, fruits in zip(at.routes.places, at.ripe_at, at.fruits, strict=True):
        time, left = at.time, np.hypot(*(place - at.position)) - RULES.eat_distance
        while left > 1e-9 * RULES.max_step_length or not (fruits or ripe_at <= time):
            left, time = left - RULES.max_step_length, time + 1
        meals.append(time)
    return meals


@given(st.integers(0, 10**6), st.integers(1, 6))
@settings(max_examples=60)
def test_the_nearest_is_the_tree_that_feeds_soonest(seed, number):
    at = random_situation(seed, number)
    found, meals = Nearest(500).choose(at), first_meals(at)
    assert meals[found.target] == min(meals)
    assert found.order == (found.target,)
    assert found.meal_at >= min(meals)
    assert found.meal_at - found.leave_at == math.ceil(
        max(np.hypot(*at.routes.places[found.target]) - 10, 0) / 10 - 1e-9
    )


@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from(["nearest", "drawn"]))
@settings(max_examples=60)
def test_it_waits_no_longer_than_it_must_for_nothing_to_be_wasted(seed, number, how):
    at = random_situation(seed, number)
    choosing = Nearest(500) if how == "nearest" else Drawn(APPLE.numpy(), horizon=500)
    found = choosing.choose(at)
    steps = found.meal_at - found.leave_at
    arrived = at.health - (found.leave_at - at.time) * RULES.rest_cost - steps * RULES.move_cost
    harvest = RULES.max_fruit * RULES.fruit_health
    assert arrived + harvest <= RULES.max_health
    soonest = first_meals(at)[found.target] - steps
    assert found.leave_at >= soonest
    if found.leave_at > soonest:
        assert arrived + harvest + RULES.rest_cost > RULES.max_health


def test_of_trees_that_feed_at_once_the_nearer_is_taken():
    at = situation([[80.0, 0.0], [0.0, 30.0]], [150, 150], [0, 0])
    assert Nearest().choose(at).target == 1
    assert Nearest().choose(at._replace(fruits=np.array([1, 0]))).target == 0


@given(st.integers(0, 10**6), st.integers(0, 5))
@settings(max_examples=20)
def test_planning_is_a_plan_of_the_situation(seed, number):
    at = random_situation(seed, number, order=(1, 0))
    found = Planning(300, effort=50).choose(at)
    assert found == plan(
        at.routes.places, at.ripe_at, at.position, 100, at.health,
        fruits=at.fruits, rules=RULES, order=(1, 0), horizon=300, effort=50,
    )  # fmt: skip
    # A meal that has begun before the horizon may end after it.
    assert min(Nearest(300).choose(at).lives_until, 400) <= found.lives_until


@pytest.mark.parametrize("choosing", [Planning(500), Nearest(500), Drawn(APPLE.numpy())])
def test_who_knows_of_no_tree_rests(choosing):
    assert choosing.choose(situation([])).target is None


@pytest.mark.parametrize("choosing", [Planning(500), Nearest(500), Drawn(APPLE.numpy())])
def test_nobody_goes_where_no_way_leads(choosing):
    angles = 2 * np.pi * np.arange(12) / 12
    ring = 30 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    places = np.array([[100.0, 0.0], [0.0, 5.0]])
    at = situation(places)._replace(routes=Routes(places, ring, radius=10.5))
    assert choosing.choose(at).target == 1
    assert choosing.choose(at._replace(position=np.array([90.0, 0.0]))).target == 0


def drawn(at, key=APPLE, **choices):
    return Drawn(key.numpy(), **choices).choose(at).target


def test_what_fits_the_key_is_drawn_more_often():
    places, senses = [[0.0, 100.0], [0.0, -100.0]], [APPLE, PLUM]

    def times(key):
        return sum(
            drawn(situation(places, senses=senses, seed=seed), key, num_samples=1) == 1
            for seed in range(40)
        )

    assert times(APPLE) < 10
    assert times(PLUM) > 30
    assert 8 < times(torch.zeros(2)) < 32


def test_what_is_drawn_first_is_gone_to_if_it_bears():
    places, senses = [[0.0, 100.0], [0.0, -100.0]], [APPLE, 40 * PLUM]
    at = situation(places, senses=senses)
    assert drawn(at, PLUM) == 1
    assert drawn(at._replace(ripe_at=np.array([0, 500]), fruits=np.array([3, 0])), PLUM) == 0
    later = at._replace(ripe_at=np.array([0, 109]), fruits=np.array([3, 0]))
    assert drawn(later, PLUM) == 1  # it bears by the time one is there


def test_if_nothing_that_was_drawn_bears_it_goes_to_what_feeds_soonest():
    at = situation([[0.0, 100.0], [0.0, -120.0]], [400, 300], [0, 0])
    assert Drawn(APPLE.numpy(), horizon=500).choose(at) == Nearest(500).choose(at)


def test_it_draws_from_the_generator_that_is_passed_and_from_no_other():
    places = np.random.default_rng(0).uniform(-100, 100, (8, 2))
    torch.manual_seed(1)
    numpy_state, state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    first = [drawn(situation(places, seed=seed)) for seed in range(8)]
    again = [drawn(situation(places, seed=seed)) for seed in range(8)]
    assert first == again
    assert len(set(first)) > 1
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    at = situation(places)
    before = at.generator.get_state()
    Planning(300).choose(at)
    Nearest(300).choose(at)
    assert torch.equal(at.generator.get_state(), before)
    drawn(at)
    assert not torch.equal(at.generator.get_state(), before)


@pytest.mark.parametrize("name", ["spread", "num_samples"])
def test_how_places_are_drawn_is_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be"):
        Drawn(APPLE.numpy(), **{name: 0})
