import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.palate import Palate
from tree_world.agents.chart import KNOWN_SD, NEVER, Chart
from tree_world.agents.constants import Told
from tree_world.agents.worth import FOOD, POISON
from tree_world.models.memory import Memory

HERE = np.zeros(2)
EAST, NORTH = np.array([1.0, 0.0]), np.array([0.0, 1.0])
FULL, EMPTY = torch.tensor([1.0, 0.0, 0.5]), torch.tensor([1.0, 0.0, 0.0])
BAD = torch.tensor([-1.0, 0.0, 0.5])


def chart_of(**constants):
    return Chart(Memory(2, 3), Palate(), Told(**constants))


@given(st.lists(st.tuples(st.floats(5, 60), st.floats(-0.2, 0.2)), min_size=1, max_size=8))
@settings(deadline=None, max_examples=40)
def test_places_are_merged_by_their_precision(sightings):
    """In double precision: a sighting at distance r has the deviation 1 + r φ / √3."""
    chart, tree = chart_of(), np.array([100.0, 0.0])
    places, weights = [], []
    for number, (distance, angle) in enumerate(sightings):
        turned = 2 * math.pi * number / 8  # from all around, so that each look is new
        heading = np.array([math.cos(turned), math.sin(turned)])
        aside = np.array([math.cos(turned + angle), math.sin(turned + angle)])
        position = tree - distance * aside
        if len(chart) == 0 or chart.sds[0] > KNOWN_SD:
            places.append(position + distance * heading)
            weights.append((1 + distance * math.acos(0.9) / math.sqrt(3)) ** -2)
        chart.see(position, heading, distance, FULL, time=number)
    assert len(chart) == 1
    np.testing.assert_allclose(
        chart.places[0], np.average(places, axis=0, weights=weights), atol=1e-4
    )
    np.testing.assert_allclose(chart.sds[0], np.sum(weights) ** -0.5, rtol=1e-4)


def test_the_same_look_tells_nothing_more():
    chart = chart_of()
    for _ in range(5):
        chart.see(HERE, EAST, 50.0, FULL, time=1)
    once = float(chart.sds[0])
    chart.see(np.array([0.5, 0.0]), EAST, 49.5, FULL, time=2)
    assert float(chart.sds[0]) == once
    chart.see(np.array([20.0, 5.0]), np.array([0.96, -0.28]), 30.0, FULL, time=3)
    assert float(chart.sds[0]) < once


def test_an_emptied_tree_is_not_half_full():
    chart = chart_of()
    chart.see(HERE, EAST, 5.0, FULL, time=1)
    chart.see(HERE, EAST, 5.0, EMPTY, time=2)
    assert len(chart) == 1
    np.testing.assert_array_equal(chart.senses[0], EMPTY.numpy())
    assert chart.verdicts.tolist() == [FOOD]  # what it is is not forgotten


def test_another_kind_at_the_same_place_is_another_tree():
    chart = chart_of()
    assert chart.see(HERE, EAST, 20.0, FULL, time=1) == 0
    assert chart.see(HERE, EAST, 20.0, BAD, time=2) == 1
    assert chart.verdicts.tolist() == [FOOD, POISON]


@given(st.floats(0, 40), st.floats(0, 40))
@settings(deadline=None, max_examples=40)
def test_it_recognises_what_the_memory_merges(first, second):
    chart = chart_of()
    chart.see(HERE, EAST, 20.0 + first, FULL, time=1)
    place, sd = (20.0 + second) * EAST, 1.0 + chart.spread * (20.0 + second)
    known = chart.recognise(place, sd, FULL.numpy())
    where = torch.from_numpy(place).float()[None]
    chart.sights.write(
        where, sd, FULL[None], update="replace", merge_distance=3.0, merge_sense_distance=0.8
    )
    assert (known is None) == (len(chart.sights) == 2)


def test_a_meal_is_laid_to_the_nearest_tree_that_bears():
    chart = chart_of()
    chart.see(HERE, EAST, 8.0, FULL, time=1)
    chart.see(HERE, NORTH, 4.0, FULL + torch.tensor([0.0, 2.0, 0.0]), time=2)
    for time in range(3, 8):
        assert chart.feed(HERE, 25.0, time) == 1
    assert chart.feed(HERE, 25.0, 8) == 0
    assert chart.eaten.tolist() == [1, 5]
    assert chart.last_meals.tolist() == [8, 7]
    assert chart.bears(9).tolist() == [True, False]
    assert chart.is_full(1007).tolist() == [False, True]
    assert len(chart.taste.tastes) == 6


def test_the_worth_of_a_meal_tells_whose_it_was():
    chart = chart_of()
    chart.see(HERE, EAST, 4.0, FULL, time=1)
    chart.see(HERE, NORTH, 8.0, BAD, time=2)
    assert chart.feed(HERE, -25.0, 3) == 1
    assert chart.feed(HERE, 25.0, 4) == 0


def test_a_meal_is_remembered_until_its_tree_is_seen():
    chart = chart_of()
    assert chart.feed(HERE, 25.0, 1) is None
    assert chart.feed(HERE, 25.0, 2) is None
    chart.see(np.array([100.0, 0.0]), EAST, 5.0, FULL, time=3)  # too far to have fed
    assert chart.last_meals.tolist() == [NEVER]
    chart.see(HERE, EAST, 5.0, FULL, time=4)
    assert chart.eaten.tolist() == [0, 2]
    assert chart.last_meals.tolist() == [NEVER, 2]


def test_it_believes_its_eyes():
    chart = chart_of()
    chart.see(HERE, EAST, 5.0, FULL, time=1)
    chart.correct(0, bears=False, time=10)
    assert chart.bears(11).tolist() == [False]
    assert chart.is_full(1009).tolist() == [False]
    assert chart.is_full(1010).tolist() == [True]
    chart.correct(0, bears=True, time=500)
    assert chart.is_full(501).tolist() == [True]


def test_a_tree_that_is_put_elsewhere_stays_what_it_was():
    chart = chart_of()
    for place, sense in (([0.0, 0.0], FULL), ([200.0, 0.0], BAD), ([400.0, 0.0], FULL)):
        chart.see(np.array(place), EAST, 5.0, sense, time=1)
    chart.feed(HERE, 25.0, 2)
    ids, version, senses = list(chart.ids), chart.version, chart.senses.copy()
    chart.replace([ids[2], ids[0]], np.array([[300.0, 9.0], [7.0, -3.0]]), np.array([0.5, 4.0]))
    assert chart.version > version
    for _ in range(2):
        assert chart.ids == ids
        np.testing.assert_allclose(chart.places, [[7.0, -3.0], [205.0, 0.0], [300.0, 9.0]])
        np.testing.assert_allclose(chart.sds[[0, 2]], [4.0, 0.5])
        np.testing.assert_array_equal(chart.senses, senses)
        np.testing.assert_array_equal(chart.eaten, [1, 0, 0])
        chart.see(np.array([200.0, 900.0]), EAST, 5.0, FULL, time=3)  # the memory is read anew
        chart.remove(3)
    # It is recognised, and merged, where it is now.
    assert chart.see(np.array([300.0, 4.0]), NORTH, 5.0, FULL, time=4) == 2
    with pytest.raises(KeyError):
        chart.replace([99], np.zeros((1, 2)), np.ones(1))


def test_what_changes_is_said():
    chart = chart_of()
    versions = [chart.version]
    chart.see(HERE, EAST, 5.0, FULL, time=1)
    versions.append(chart.version)
    chart.feed(HERE, 25.0, 2)
    versions.append(chart.version)
    chart.correct(0, bears=False, time=3)
    versions.append(chart.version)
    chart.remove(0)
    versions.append(chart.version)
    assert versions == sorted(set(versions))
    assert len(chart) == 0


@pytest.mark.parametrize("name", [None, 7])
def test_a_tree_that_is_not_there_has_no_number(name):
    assert chart_of().number_of(name) is None
