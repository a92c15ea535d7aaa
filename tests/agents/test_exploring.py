import math

import numpy as np
import pytest

from tree_world.agents.exploring import Frontier, Wandering
from tree_world.agents.ground import Prospects

HERE = np.zeros(2)
NEAR, FAR = np.array([100.0, 0.0]), np.array([-400.0, 0.0])


def choose(frontier, trees, *, time=1, state=0, goal=None, gain=100.0, cost=0.2, at=HERE):
    found = Prospects(np.stack([NEAR, FAR]), np.array(trees))
    return frontier.where(at, time, state, lambda: found, lambda: (gain, cost), goal)


def test_it_takes_the_most_trees_a_metre():
    assert choose(Frontier(), [1.0, 2.0]) is not None
    np.testing.assert_array_equal(choose(Frontier(head_start=50.0), [1.0, 2.9]), NEAR)
    np.testing.assert_array_equal(choose(Frontier(head_start=50.0), [1.0, 3.1]), FAR)


def test_a_find_must_be_worth_the_way():
    worth = (1 - math.exp(-0.1)) * 40.0 * 100.0
    assert choose(Frontier(rounds=40.0), [0.1, 0.0], cost=0.99 * worth / 100.0) is not None
    assert choose(Frontier(rounds=40.0), [0.1, 0.0], cost=1.01 * worth / 100.0) is None


def test_what_lies_on_the_way_costs_nothing():
    goal = np.array([200.0, 0.0])
    assert choose(Frontier(), [0.01, 0.0], cost=10.0) is None
    np.testing.assert_array_equal(choose(Frontier(), [0.01, 0.0], cost=10.0, goal=goal), NEAR)


def test_a_place_that_was_looked_at_is_not_chosen_again():
    frontier = Frontier(patience=3)
    choose(frontier, [1.0, 1.0], time=1)
    for time in range(2, 14):
        assert choose(frontier, [1.0, 1.0], time=time, at=NEAR) is not None
    np.testing.assert_array_equal(choose(frontier, [1.0, 1.0], time=14, at=NEAR), FAR)
    frontier.reset()
    np.testing.assert_array_equal(choose(frontier, [1.0, 1.0], time=1), NEAR)


def test_what_was_in_vain_is_not_thought_of_again_before_something_changes():
    frontier = Frontier()
    assert choose(frontier, [0.0, 0.0], time=1, state="as it was") is None
    assert choose(frontier, [9.0, 0.0], time=2, state="as it was") is None
    assert choose(frontier, [9.0, 0.0], time=3, state="changed") is not None


def test_nowhere_is_no_place():
    found = Prospects(np.empty((0, 2)), np.empty(0))
    assert Frontier().where(HERE, 1, 0, lambda: found, lambda: (1.0, 1.0), None) is None


@pytest.mark.parametrize("name", ["rounds", "searched_radius", "head_start"])
def test_what_it_is_made_with_is_checked(name):
    with pytest.raises(ValueError, match=name):
        Frontier(**{name: 0.0})


def test_on_the_way_the_choice_is_made_anew_only_after_some_steps():
    frontier = Frontier(patience=5)
    np.testing.assert_array_equal(choose(frontier, [1.0, 1.0], time=1), NEAR)
    for time in range(2, 6):
        np.testing.assert_array_equal(choose(frontier, [0.0, 9.0], time=time), NEAR)
    np.testing.assert_array_equal(choose(frontier, [0.0, 9.0], time=6), FAR)


def test_places_near_one_that_was_looked_at_are_left_out():
    frontier = Frontier(patience=1, searched_radius=30.0)
    choose(frontier, [1.0, 0.0], time=1)
    beside = NEAR + np.array([29.0, 0.0])
    found = Prospects(np.stack([beside]), np.array([1.0]))
    args = (lambda: found, lambda: (100.0, 0.2), None)
    assert frontier.where(NEAR, 50, 0, *args) is None  # time is up: it was in vain
    frontier.reset()
    np.testing.assert_array_equal(frontier.where(NEAR, 50, 0, *args), beside)


def wander(wandering, steps, at=HERE):
    """Places after each step of ten metres, and all targets."""
    places, targets = [at], []
    for time in range(1, steps + 1):
        target = wandering.where(places[-1], time, None, None, None, None)
        way = target - places[-1]
        places.append(places[-1] + way * min(1.0, 10.0 / max(np.hypot(*way), 1e-9)))
        targets.append(target)
    return np.array(places), np.array(targets)


def test_who_wanders_walks_courses_to_their_ends():
    places, targets = wander(Wandering(length=40.0), 12)
    assert len(np.unique(targets, axis=0)) == 3
    np.testing.assert_allclose(np.hypot(*places[[4, 8, 12]].T), np.hypot(*targets[[3, 7, 11]].T))
    np.testing.assert_allclose(np.hypot(*(places[4] - places[0])), 40.0)
    np.testing.assert_allclose(np.hypot(*(places[8] - places[4])), 40.0)


def test_who_wanders_gives_up_what_it_does_not_reach():
    wandering = Wandering(length=40.0)
    targets = [wandering.where(HERE, time, None, None, None, None) for time in range(1, 21)]
    assert [len(np.unique(targets[:number], axis=0)) for number in (9, 10, 18, 19)] == [1, 2, 2, 3]


def test_courses_are_the_same_in_each_life_and_others_with_another_seed():
    wandering = Wandering(seed=3)
    first = wander(wandering, 40)[0]
    wandering.reset()
    np.testing.assert_array_equal(wander(wandering, 40)[0], first)
    assert (wander(Wandering(seed=4), 40)[0] != first).any()


def test_the_length_of_a_course_is_checked():
    with pytest.raises(ValueError, match="length"):
        Wandering(length=0.0)
