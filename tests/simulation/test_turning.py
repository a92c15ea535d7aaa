"""A body that steps and turns: where its actions lead, and that it stays about."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.simulation.turning import StepTurnBody, follow


@settings(max_examples=30, deadline=None)
@given(
    moves=st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=3, max_size=3),
    actions=st.lists(st.integers(0, 2), max_size=30),
)
def test_actions_lead_where_they_lead_one_by_one(moves, actions):
    place, heading, places, headings = np.zeros(2), 0.0, [np.zeros(2)], [0.0]
    for action in actions:
        ahead, aside, turn = moves[action]
        place = place + ahead * np.array([math.cos(heading), math.sin(heading)])
        place = place + aside * np.array([-math.sin(heading), math.cos(heading)])
        heading += turn
        places.append(place)
        headings.append(heading)
    found = follow(moves, np.array(actions, int))
    np.testing.assert_allclose(found[0], places, atol=1e-9)
    np.testing.assert_allclose(found[1], headings, atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_it_stays_about_and_mostly_steps(seed):
    body = StepTurnBody(seed)
    actions, places, _ = body.walk(3000, seed=seed)
    step, left, right = body.moves
    assert 4 <= step[0] < 6
    assert 0.30 <= left[2] < 0.45
    assert -0.45 < right[2] <= -0.34
    assert not step[1:].any()
    assert not left[:2].any()
    assert not right[:2].any()
    assert abs(places).max() < 300
    assert abs(places).max() > 150
    shares = np.bincount(actions, minlength=3) / len(actions)
    assert shares[0] > 0.5
    assert shares.min() > 0.15


def test_walks_are_those_of_their_seeds():
    body, same, other = StepTurnBody(0), StepTurnBody(0), StepTurnBody(1)
    assert (body.moves == same.moves).all()
    assert (body.moves != other.moves).any()
    for one, two in zip(body.walk(100, seed=5), same.walk(100, seed=5), strict=True):
        np.testing.assert_array_equal(one, two)
    assert (body.walk(100, seed=6)[0] != body.walk(100, seed=5)[0]).any()


def test_actions_are_done_again_more_often_than_by_chance():
    actions, *_ = StepTurnBody(0).walk(20_000, seed=0)
    turns = actions[:-1] > 0
    again = (actions[1:] == actions[:-1])[turns].mean()
    assert again == pytest.approx(0.3 + 0.7 * 0.2, abs=0.05)


def test_no_step_is_no_walk():
    actions, places, headings = StepTurnBody(0).walk(0, seed=0)
    assert actions.shape == (0,)
    assert places.tolist() == [[0.0, 0.0]]
    assert headings.tolist() == [0.0]


@pytest.mark.parametrize(
    ("moves", "actions", "says"),
    [
        ([[1.0, 2.0]], [0], "num_actions, 3"),
        ([[1.0, 2.0, math.nan]], [0], "finite"),
        ([[1.0, 2.0, 3.0]], [0.5], "whole numbers"),
        ([[1.0, 2.0, 3.0]], [[0]], "shape"),
        ([[1.0, 2.0, 3.0]], [1], "between 0 and 0"),
        ([[1.0, 2.0, 3.0]], [-1], "between 0 and 0"),
    ],
)
def test_what_leads_nowhere_is_refused(moves, actions, says):
    with pytest.raises(ValueError, match=says):
        follow(moves, actions)


def test_bodies_that_are_none_are_refused():
    with pytest.raises(ValueError, match="reach"):
        StepTurnBody(0, reach=0.0)
    with pytest.raises(TypeError, match="seed"):
        StepTurnBody(None)
    with pytest.raises(ValueError, match="num_steps"):
        StepTurnBody(0).walk(-1, seed=0)
