"""What a meal tells of trees: whose it was, where that stands, and whether it bears."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.palate import Palate
from tree_world.agents.chart import FARTHEST_MEAL, NEVER, Chart
from tree_world.agents.constants import Learned, Told
from tree_world.agents.worth import FOOD, POISON
from tree_world.models.memory import Memory

HERE = np.zeros(2)
EAST, NORTH = np.array([1.0, 0.0]), np.array([0.0, 1.0])
FULL, EMPTY = torch.tensor([1.0, 0.0, 0.5]), torch.tensor([1.0, 0.0, 0.0])
OTHER = torch.tensor([1.0, 2.0, 0.5])
BAD = torch.tensor([-1.0, 0.0, 0.5])


def chart_of(constants=None):
    return Chart(Memory(2, 3), Palate(), constants or Told())


# --- meals of trees that nobody has seen ----------------------------------------------------------


def test_poison_of_an_unseen_tree_is_owed_until_it_is_seen():
    chart = chart_of()
    assert chart.feed(HERE, 25.0, 1) is None
    assert not chart.owes_poison
    assert chart.feed(HERE, -25.0, 2) is None
    assert chart.owes_poison
    chart.see(np.array([50.0, 0.0]), EAST, 20.0, BAD, time=3)  # too far to have fed it
    assert chart.owes_poison
    chart.see(HERE, NORTH, 6.0, BAD, time=4)
    assert chart.owes_poison == (chart.last_meals.max() == NEVER)
    assert not chart.owes_poison
    assert chart.verdicts.tolist() == [POISON, POISON]
    assert chart.last_meals[1] == 2


def test_a_meal_tells_what_a_tree_is_before_eyes_do():
    chart = chart_of()
    chart.feed(HERE, -25.0, 1)
    chart.see(HERE, EAST, 5.0, EMPTY, time=2)  # it has nothing left, so that nothing is seen
    assert chart.verdicts.tolist() == [POISON]
    assert chart.taste.tastes == [(EMPTY.tolist(), -25.0)]


def test_what_was_eaten_before_a_tree_was_known_counts_as_one_harvest():
    chart = chart_of()
    for time in range(10, 15):
        assert chart.feed(HERE, 25.0, time) is None
    chart.see(HERE, EAST, 5.0, EMPTY, time=16)
    assert (chart.eaten.tolist(), chart.last_meals.tolist()) == ([5], [14])
    assert not chart.bears(17)[0]


# --- whose it was ---------------------------------------------------------------------------------


def test_of_two_trees_side_by_side_the_worth_of_a_meal_decides():
    """Three metres apart, and both in reach."""
    chart = chart_of()
    chart.see(HERE, EAST, 3.0, FULL, time=1)
    chart.see(HERE, EAST, 6.0, BAD, time=2)
    assert len(chart) == 2
    assert chart.feed(HERE, -25.0, 3) == 1
    assert chart.feed(HERE, 25.0, 4) == 0
    assert chart.feed(np.array([9.0, 0.0]), 25.0, 5) == 0
    assert chart.feed(HERE, -25.0, 6) == 1
    assert chart.eaten.tolist() == [2, 2]
    assert chart.verdicts.tolist() == [FOOD, POISON]


@given(
    st.lists(st.tuples(st.integers(-12, 12), st.integers(-12, 12)), min_size=1, max_size=4),
    st.booleans(),
)
@settings(max_examples=30)
def test_a_meal_is_of_the_nearest_in_reach_that_may_have_given_it(offsets, does_good):
    chart = chart_of()
    for number, offset in enumerate(offsets):
        sense = torch.tensor([1.0 if number % 2 else -1.0, 3.0 * number, 0.5])
        chart.see(np.array(offset, dtype=float), EAST, 0.0, sense, time=number - 10)
    away = np.hypot(*np.array(offsets, dtype=float).T)
    kinds = [number for number in range(len(offsets)) if bool(number % 2) == does_good]
    reached = [number for number in range(len(offsets)) if away[number] <= 10 + 3.0]
    fed = chart.feed(HERE, 25.0 if does_good else -25.0, 5)
    if not reached:
        assert fed is None
    else:  # a verdict may err, but for a meal there is a tree
        among = [number for number in reached if number in kinds] or reached
        assert away[fed] == min(away[among])


def test_a_meal_is_believed_more_than_what_was_believed_of_its_tree():
    chart = chart_of()
    chart.see(HERE, EAST, 5.0, FULL, time=1)
    chart.correct(0, bears=False, time=2)
    assert not chart.bears(3)[0]
    assert chart.feed(HERE, 25.0, 4) == 0
    assert chart.last_meals.tolist() == [4]
    chart.feed(HERE, -25.0, 5)
    assert chart.verdicts.tolist() == [POISON]


# --- where it stands ------------------------------------------------------------------------------


def test_a_meal_is_a_sighting_if_it_tells_more():
    chart = chart_of()
    chart.see(np.array([-60.0, 0.0]), EAST, 64.0, FULL, time=1)
    before, sd = abs(chart.places[0, 0]), chart.sds[0]
    assert before == pytest.approx(4.0)
    assert sd > 5.0
    assert chart.feed(HERE, 25.0, 2) == 0
    assert len(chart) == 1
    assert abs(chart.places[0, 0]) < before
    assert chart.sds[0] == pytest.approx((sd**-2 + 5.0**-2) ** -0.5, rel=1e-4)
    np.testing.assert_allclose(chart.places[0, 0], 4.0 * 25 / (25 + sd**2), rtol=1e-4)
    np.testing.assert_array_equal(chart.senses[0], FULL.numpy())


def test_a_meal_tells_nothing_of_a_place_that_is_known_better():
    chart = chart_of()
    chart.see(HERE, EAST, 4.0, FULL, time=1)
    place, sd = chart.places.copy(), chart.sds.copy()
    for time in range(2, 7):
        assert chart.feed(np.array([0.0, 9.0]), 25.0, time) == 0
    np.testing.assert_array_equal(chart.places, place)
    np.testing.assert_array_equal(chart.sds, sd)


@given(st.floats(0, 2 * math.pi), st.floats(20, 90), st.floats(-0.45, 0.45), st.floats(0, 10))
@settings(max_examples=40)
def test_a_tree_that_feeds_stays_one(course, distance, error, away):
    """However far off it seemed, as long as it was seen in the cone of sight."""
    chart = chart_of()
    towards = np.array([math.cos(course), math.sin(course)])
    heading = np.array([math.cos(course + error), math.sin(course + error)])
    seen_from = -distance * towards
    chart.see(seen_from, heading, distance, FULL, time=1)
    position, sd = away * np.array([towards[1], -towards[0]]), chart.sds[0]
    if np.hypot(*(chart.places[0] - position)) > 10.0 + 3 * sd:
        return
    for time in range(2, 6):
        assert chart.feed(position, 25.0, time) == 0
    assert len(chart) == 1
    assert chart.sds[0] < max(sd, 5.0)


def test_whoever_does_not_know_its_reach_takes_it_for_no_more_than_can_be():
    chart = chart_of(Learned())
    chart.see(HERE, EAST, FARTHEST_MEAL + 3 * (1 + 20 * chart.spread) + 9.0, FULL, time=1)
    assert chart.feed(HERE, 25.0, 2) is None or chart.places[0, 0] < FARTHEST_MEAL + 3 * 9
    near = chart_of(Learned())
    near.see(HERE, EAST, FARTHEST_MEAL, FULL, time=1)
    assert near.feed(HERE, 25.0, 2) == 0


# --- whether it bears -----------------------------------------------------------------------------


class Noting(Learned):
    """Notes what it is told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def saw_again(self, tree, steps, bears):
        self.told.append((tree, steps, bears))
        super().saw_again(tree, steps, bears)

    def emptied(self, number):
        self.told.append(number)
        super().emptied(number)


def emptied_chart():
    """A tree that gave three fruits up to step 4, and then no more."""
    chart = chart_of(Noting())
    chart.see(HERE, EAST, 3.0, FULL, time=1)
    for time in (2, 3, 4):
        chart.feed(HERE, 25.0, time)
    chart.emptied(0)
    chart.constants.saw(0, 9.0, bears=True, fed=True)
    return chart


def test_a_tree_that_gives_no_more_tells_how_many_fruits_it_had():
    chart = emptied_chart()
    assert chart.constants.told == [3]
    assert chart.constants.max_fruit == 3
    assert chart.bears(5).tolist() == [False]


def test_with_fewer_fruits_than_others_it_is_empty_as_well():
    chart = chart_of()
    chart.see(HERE, EAST, 5.0, FULL, time=1)
    chart.feed(HERE, 25.0, 2)
    assert chart.bears(3)[0]
    chart.emptied(0)
    assert not chart.bears(3)[0]
    assert chart.bears(1002)[0]


def test_meals_tell_how_long_a_tree_took_to_bear_again():
    chart = emptied_chart()
    chart.feed(HERE, 25.0, 504)
    assert chart.constants.told == [3, (0, 500, True)]
    assert chart.eaten.tolist() == [1]
    chart.feed(HERE, 25.0, 505)
    assert chart.constants.told == [3, (0, 500, True)]  # the same harvest
    assert chart.eaten.tolist() == [2]


def test_a_tree_that_was_left_half_full_tells_nothing_of_regrowth():
    chart = chart_of(Noting())
    chart.see(HERE, EAST, 5.0, FULL, time=1)
    chart.feed(HERE, 25.0, 2)
    chart.feed(HERE, 25.0, 502)
    assert chart.constants.told == []


def test_who_stands_at_an_emptied_tree_learns_that_it_bears_nothing_yet():
    chart = emptied_chart()
    chart.look_about(np.array([3.0, 80.0]), 90)
    assert chart.constants.told == [3]  # too far off to tell
    chart.look_about(np.array([3.0, 0.0]), 104)
    assert chart.constants.told == [3, (0, 100, False)]
    other = chart_of(Noting())
    other.look_about(HERE, 5)
    other.see(HERE, EAST, 3.0, FULL, time=6)
    other.constants.saw(0, 9.0, bears=True, fed=True)
    other.look_about(HERE, 7)
    assert other.constants.told == []  # it was never emptied


def test_eyes_correct_what_is_believed_of_fruit_and_teach_regrowth():
    chart = emptied_chart()
    version = chart.version
    chart.correct(0, bears=False, time=300)
    assert (chart.version, chart.eaten.tolist()) == (version, [3])  # as it was believed
    chart.correct(0, bears=True, time=404)
    assert chart.constants.told[1:] == [(0, 296, False), (0, 400, True)]
    assert chart.bears(405)[0]
    told = chart_of()
    told.see(HERE, EAST, 3.0, FULL, time=1)
    told.feed(HERE, 25.0, 2)
    told.emptied(0)
    version = told.version
    told.correct(0, bears=True, time=404)  # before it should
    assert told.version > version
    assert (told.eaten.tolist(), told.last_meals.tolist()) == ([0], [NEVER])


def test_a_full_tree_that_is_found_empty_was_emptied_now():
    chart = chart_of()
    chart.see(HERE, EAST, 5.0, FULL, time=1)
    chart.correct(0, bears=False, time=70)
    assert (chart.last_meals.tolist(), chart.eaten.tolist()) == ([70], [5])
    other = chart_of()
    other.see(HERE, EAST, 5.0, FULL, time=1)
    other.feed(HERE, 25.0, 2)
    other.correct(0, bears=False, time=70)  # it had less than was thought
    assert (other.last_meals.tolist(), other.eaten.tolist()) == ([2], [5])
