import math

import numpy as np
import pytest

from tree_world.agents.exploring import Exploring
from tree_world.agents.ground import Prospects

HERE = np.zeros(2)
NEAR, FAR = np.array([100.0, 0.0]), np.array([-400.0, 0.0])


def choose(exploring, trees, *, time=1, state=0, goal=None, gain=100.0, cost=0.2, at=HERE):
    found = Prospects(np.stack([NEAR, FAR]), np.array(trees))
    return exploring.where(at, time, state, lambda: found, lambda: (gain, cost), goal)


def test_it_takes_the_most_trees_a_metre():
    assert choose(Exploring(), [1.0, 2.0]) is not None
    np.testing.assert_array_equal(choose(Exploring(head_start=50.0), [1.0, 2.9]), NEAR)
    np.testing.assert_array_equal(choose(Exploring(head_start=50.0), [1.0, 3.1]), FAR)


def test_a_find_must_be_worth_the_way():
    worth = (1 - math.exp(-0.1)) * 40.0 * 100.0
    assert choose(Exploring(rounds=40.0), [0.1, 0.0], cost=0.99 * worth / 100.0) is not None
    assert choose(Exploring(rounds=40.0), [0.1, 0.0], cost=1.01 * worth / 100.0) is None


def test_what_lies_on_the_way_costs_nothing():
    goal = np.array([200.0, 0.0])
    assert choose(Exploring(), [0.01, 0.0], cost=10.0) is None
    np.testing.assert_array_equal(choose(Exploring(), [0.01, 0.0], cost=10.0, goal=goal), NEAR)


def test_a_place_that_was_looked_at_is_not_chosen_again():
    exploring = Exploring(patience=3)
    choose(exploring, [1.0, 1.0], time=1)
    for time in range(2, 14):
        assert choose(exploring, [1.0, 1.0], time=time, at=NEAR) is not None
    np.testing.assert_array_equal(choose(exploring, [1.0, 1.0], time=14, at=NEAR), FAR)
    exploring.reset()
    np.testing.assert_array_equal(choose(exploring, [1.0, 1.0], time=1), NEAR)


def test_what_was_in_vain_is_not_thought_of_again_before_something_changes():
    exploring = Exploring()
    assert choose(exploring, [0.0, 0.0], time=1, state="as it was") is None
    assert choose(exploring, [9.0, 0.0], time=2, state="as it was") is None
    assert choose(exploring, [9.0, 0.0], time=3, state="changed") is not None


def test_nowhere_is_no_place():
    found = Prospects(np.empty((0, 2)), np.empty(0))
    assert Exploring().where(HERE, 1, 0, lambda: found, lambda: (1.0, 1.0), None) is None


@pytest.mark.parametrize("name", ["rounds", "searched_radius", "head_start"])
def test_what_it_is_made_with_is_checked(name):
    with pytest.raises(ValueError, match=name):
        Exploring(**{name: 0.0})
