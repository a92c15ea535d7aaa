import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.agents.chart import Chart
from tree_world.agents.constants import Learned, Told
from tree_world.agents.escape import step_out
from tree_world.agents.ways import MOST_UNSURE, Ways
from tree_world.agents.worth import FOOD, POISON
from tree_world.models.memory import Memory

DISCS = st.lists(
    st.tuples(st.integers(-60, 60), st.integers(-60, 60), st.floats(1, 20)), max_size=4
)
PLACE = st.tuples(st.integers(-80, 80), st.integers(-80, 80))


class Palate:
    """What is positive is food, what is negative poison."""

    tells_empty = True

    def verdict(self, sense):
        return FOOD if sense[0] > 0 else POISON

    def tasted(self, sense, worth):
        """Learn nothing."""


def chart_with(trees, constants=None):
    """A chart of trees (x, y, deviation, whether food)."""
    chart = Chart(Memory(2, 3), Palate(), constants or Told())
    for number, (x, y, sd, food) in enumerate(trees):
        sense = torch.tensor([1.0 if food else -1.0, 3.0 * number, 0.5])
        distance = (sd - 1) / chart.spread
        chart.see(np.array([x - distance, y]), np.array([1.0, 0.0]), distance, sense, number)
    return chart


def ways_of(trees, *, margin=1.5, goes_round=True, constants=None):
    chart = chart_with(trees, constants)
    ways = Ways(chart, chart.constants, 10.0, margin, goes_round)
    ways.look_up({})
    return ways


def away(point, places):
    return np.hypot(*(np.reshape(places, (-1, 2)) - point).T)


def test_poison_is_kept_away_from_as_far_as_its_place_is_unsure():
    ways = ways_of([(100, 0, 1, True), (0, 0, 3, False), (50, 50, 90, False)])
    assert ways.food == [0]
    np.testing.assert_allclose(ways.routes.places, [[100.0, 0.0]])
    np.testing.assert_allclose(ways.routes.radii, [10 + 1.5 + 3, 10 + 1.5 + MOST_UNSURE])


def test_who_goes_straight_keeps_away_from_nothing():
    ways = ways_of([(100, 0, 1, True), (50, 0, 1, False)], goes_round=False)
    assert len(ways.routes.avoid) == 0
    np.testing.assert_allclose(ways.step_to(np.zeros(2), np.array([100.0, 0.0])), [10, 0], 1e-5)


def test_the_reach_is_taken_from_what_is_known_of_the_mouth():
    learned = Learned()
    assert ways_of([], constants=learned).keep_off == 20.0  # two steps, as nothing is known
    learned.saw(0, 12.0, bears=True, fed=False)
    assert ways_of([], constants=learned).keep_off == 12.0
    assert ways_of([(0, 0, 1, False)], constants=learned).routes.radii.tolist() == [14.5]


def test_what_has_not_changed_is_not_looked_up_again():
    ways = ways_of([(100, 0, 1, True), (0, 0, 3, False)])
    chart, routes = ways.chart, ways.routes
    assert not ways.look_up({})
    chart.emptied(0)  # another version of the same
    assert not ways.look_up({})
    assert ways.routes is routes
    assert chart.feed(np.zeros(2), 25.0, 9) == 1  # it is food after all
    assert ways.look_up({})
    assert ways.food == [0, 1]
    chart.remove(0)
    assert ways.look_up({})
    assert ways.food == [1]
    ways.forget()
    assert ways.look_up({})


def test_a_tree_that_moves_a_little_is_left_where_it_was():
    trees = [(100.0, 0.0, 1, True), (0.0, 0.0, 3, False)]
    ways = ways_of(trees)
    ways.chart.places[0] += 0.4
    ways.chart.version += 1
    assert not ways.look_up({})
    ways.chart.places[0] += 0.4
    ways.chart.version += 1
    assert ways.look_up({})
    ways.chart.sds[1] = 4.2
    ways.chart.version += 1
    assert ways.look_up({})
    assert ways.routes.radii[0] == pytest.approx(15.5)


def test_no_way_leads_to_a_tree_that_is_barred():
    ways = ways_of([(100, 0, 1, True), (0, 50, 1, True)])
    assert ways.look_up({0: 70})
    assert ways.food == [1]
    assert not ways.look_up({0: 70})
    assert ways.look_up({1: 70})
    assert ways.food == [0]
    ways.forget()  # as the forager does when time is up
    assert ways.look_up({})
    assert ways.food == [0, 1]


@given(DISCS, PLACE)
@settings(max_examples=40)
def test_a_point_is_moved_out_of_each_disc_by_the_shortest_way(discs, place):
    ways = ways_of([])
    point = np.array([place], float)
    ways.routes.avoid = np.array([disc[:2] for disc in discs], float).reshape(-1, 2)
    ways.routes.radii = np.array([disc[2] for disc in discs], float)
    depth = ways.routes.radii - away(point[0], ways.routes.avoid)
    moved = ways.outside(point)
    if (depth <= 0).all():
        np.testing.assert_array_equal(moved, point)
    elif (depth > 0).sum() == 1 and len(discs) == 1:
        assert np.hypot(*(moved - point)[0]) == pytest.approx(depth.max() + 0.5)
        assert away(moved[0], ways.routes.avoid) > ways.routes.radii
    np.testing.assert_array_equal(point, [place])  # and is not changed itself


def test_no_points_are_moved_nowhere():
    ways = ways_of([(0, 0, 1, False)])
    assert ways.outside(np.empty((0, 2))).shape == (0, 2)


@given(DISCS, PLACE, PLACE)
@settings(max_examples=60)
def test_a_step_never_leads_deeper_into_poison(discs, start, goal):
    ways = ways_of([(x, y, sd / 3, False) for x, y, sd in discs], constants=Told(mouth_reach=5.0))
    at, to = np.array(start, float), np.array(goal, float)
    for _ in range(30):
        step = ways.step_to(at, to)
        if step is None:
            break
        assert np.hypot(*step) < 10.0
        then = at + step
        deep, deeper = (
            np.maximum(0.0, ways.routes.radii - away(one, ways.routes.avoid)).sum()
            for one in (at, then)
        )
        # Out of two discs at once there may be a way through one of them.
        assert deeper <= deep + 1e-3 * max(1, len(discs))
        at = then


def test_at_the_point_no_step_is_left():
    ways = ways_of([])
    assert ways.step_to(np.zeros(2), np.array([0.03, 0.03])) is None
    np.testing.assert_allclose(ways.step_to(np.zeros(2), np.array([0.0, 3.0])), [0.0, 3.0])


def test_who_stands_among_discs_steps_where_they_are_least_deep():
    avoid, radii = np.array([[0.0, 0.0]]), np.array([12.0])
    at, target = np.array([1.0, 0.0]), np.array([-30.0, 0.0])
    step = step_out(at, target, 10.0, avoid, radii)
    assert np.hypot(*step) == pytest.approx(10.0)
    assert step[0] == pytest.approx(10.0)  # away from the middle, not through it
    free = step_out(at, target, 10.0, np.empty((0, 2)), np.empty(0))
    np.testing.assert_allclose(free, [-10.0, 0.0])
    assert math.hypot(*step_out(at, np.array([4.0, 0.0]), 10.0, avoid[:0], radii[:0])) == 3.0
