import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.agents.bounds import MOST_TREES, best_gains, upper_bound
from tree_world.agents.planning import Rules


def most_fruits(fruits, regrowth, steps):
    """Fruits of one tree in a number of steps, at most: all ways to eat or not, tried out."""
    states = {(fruits, None): 0}  # what it bears, and when it regrows
    for time in range(1, steps + 1):
        after = {}
        for (bears, due), eaten in states.items():
            if due is not None and due <= time:
                bears, due = fruits, None
            for bite in (0, 1)[: 1 + (bears > 0)]:
                key = (bears - bite, time + regrowth if bite else due)
                after[key] = max(after.get(key, 0), eaten + bite)
        states = after
    return max(states.values())


@pytest.mark.parametrize(("fruits", "regrowth"), [(1, 3), (2, 5), (3, 4), (3, 1), (2, 8)])
def test_a_tree_gives_its_fruit_once_in_a_window(fruits, regrowth):
    window = fruits + regrowth - 1
    assert most_fruits(fruits, regrowth, window) == fruits
    assert most_fruits(fruits, regrowth, window + 1) == fruits + 1  # so no longer window does
    assert most_fruits(fruits, regrowth, 3 * window) == 3 * fruits


def longest_life(trees, rules, most):
    """Steps until death on a line of whole numbers: all lives, tried out.

    Of states that differ in health alone the best is kept, as health does nothing but last.
    """
    states = {(0, (rules.max_fruit,) * len(trees), (None,) * len(trees)): rules.max_health}
    for time in range(1, most + 1):
        after = {}
        for (at, bears, due), health in states.items():
            bears, due = list(bears), list(due)
            for tree in range(len(trees)):
                if due[tree] is not None and due[tree] <= time:
                    bears[tree], due[tree] = rules.max_fruit, None
            near = [
                (abs(at - trees[tree]), tree)
                for tree in range(len(trees))
                if bears[tree] and abs(at - trees[tree]) <= rules.eat_distance
            ]
            if near:
                tree = min(near)[1]
                bears[tree] -= 1
                due[tree] = time + rules.regrowth_steps
                health = min(health + rules.fruit_health, rules.max_health)
            for step in (-1, 0, 1):
                left = health - (rules.move_cost if step else rules.rest_cost)
                key = at + step, tuple(bears), tuple(due)
                if left > 0 and abs(at + step) <= 6:
                    after[key] = max(after.get(key, 0), left)
        if not after:
            return time
        states = after
    return math.inf


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=2),
    st.integers(1, 3),
    st.integers(2, 6),
    st.integers(1, 5),
    st.integers(4, 12),
    st.sampled_from([0.0, 1.0]),
)
def test_no_life_that_can_be_lived_beats_the_bound(trees, fruits, regrowth, value, most, reach):
    rules = Rules(
        max_fruit=fruits,
        fruit_health=value,
        regrowth_steps=regrowth,
        max_health=most,
        max_step_length=1.0,
        eat_distance=max(reach, 1e-3),
    )
    best = longest_life(trees, rules, 60)
    bound = upper_bound([[tree] for tree in trees], [0.0], rules=rules)
    assert bound.allows(59) if best == math.inf else best <= bound.longest_life
    if bound.can_last:
        assert bound.longest_life == math.inf


@pytest.mark.parametrize(("regrowth", "life"), [(29, 28), (19, 38)])
def test_the_bound_is_met_where_nothing_need_be_lost(regrowth, life):
    rules = Rules(
        max_fruit=2,
        fruit_health=5.0,
        regrowth_steps=regrowth,
        max_health=20.0,
        max_step_length=1.0,
        eat_distance=1.0,
    )
    assert longest_life([3], rules, 60) == life
    assert upper_bound([[3.0]], [0.0], rules=rules).longest_life == life


def test_eight_trees_keep_nobody_and_nine_do():
    here = np.zeros((9, 2))
    assert upper_bound(here).best_round == 9 * 125 - 1004
    eight = upper_bound(here[:8])
    assert (eight.best_round, eight.can_last) == (-4, False)
    assert math.isfinite(eight.longest_life)


def test_nobody_lives_longer_than_by_resting_where_there_is_nothing():
    assert upper_bound([]).longest_life == 1000
    assert upper_bound([[5000.0, 0.0]]).longest_life == 1000
    assert upper_bound([], health=300.0).longest_life == 300


def test_ways_are_counted():
    ring = [[math.cos(turn), math.sin(turn)] for turn in np.arange(9) * 2 * math.pi / 9]
    near, far = (upper_bound(radius * np.array(ring)) for radius in (100, 400))
    assert near.can_last
    assert not far.can_last
    assert far.allows(5000)
    assert not upper_bound(1000 * np.array(ring)).allows(5000)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(0, 10**6))
def test_gains_are_those_of_all_sets_and_orders(number, seed):
    random = np.random.default_rng(seed)
    ways = random.integers(0, 60, (number, number)).astype(float)
    ways = np.minimum(ways, ways.T)
    np.fill_diagonal(ways, 0.0)
    gains, ends = best_gains(ways, 30.0, 1.0)
    for first in range(number):
        others = [tree for tree in range(number) if tree != first]
        orders = [
            (first, *rest)
            for size in range(number)
            for rest in itertools.permutations(others, size)
        ]
        for then in range(number):
            most = max(
                30 * len(order)
                - sum(ways[one, other] for one, other in itertools.pairwise((*order, then)))
                for order in orders
            )
            assert gains[first, then] == most
        assert ends[first] == max(
            30 * len(order) - sum(ways[one, other] for one, other in itertools.pairwise(order))
            for order in orders
        )


def test_more_food_is_never_worse():
    random = np.random.default_rng(0)
    places = random.normal(0, 300, (MOST_TREES - 4, 2))
    found = [upper_bound(places[:number]) for number in range(4, len(places) + 1)]
    for fewer, more in itertools.pairwise(found):
        assert more.longest_life >= fewer.longest_life
        assert more.best_round >= fewer.best_round


def test_with_very_many_trees_the_ledger_alone_is_drawn_up():
    places = 1000 * np.arange(MOST_TREES + 1)[:, None] * [1.0, 0.0]
    assert upper_bound(places).best_round == 125 * len(places) - 1004
    assert upper_bound(places[:-1]).best_round < 0


def test_dimensions_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2,\)"):
        upper_bound(np.zeros((2, 3)))
    assert upper_bound(np.zeros((9, 3)), np.zeros(3)).can_last
