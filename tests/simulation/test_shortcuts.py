"""Ways that were never gone: where they begin and end, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tree_world.simulation.hidden import ShiftBody
from tree_world.simulation.untaken import shortcuts


def test_ways_lead_from_the_walk_to_where_it_came_by_at_another_time():
    body = ShiftBody(seed=3)
    _, places = body.walk(1500, seed=4)
    drawn = shortcuts(body, places, seed=5, number=40)
    assert len(drawn.starts) == len(drawn.actions) == len(drawn.ends) == 40
    for start, way, end in zip(drawn.starts, drawn.actions, drawn.ends, strict=True):
        assert 8 <= len(way) <= 40
        np.testing.assert_allclose(places[start] + sum(body.shifts[one] for one in way), end)
        assert np.hypot(*(end - places[start])) > 40
        near = np.flatnonzero(np.hypot(*(places - end).T) <= 8)
        assert (np.abs(near - start) > 100).any()


def test_the_seed_tells_which_ways_are_drawn():
    body = ShiftBody(seed=3)
    _, places = body.walk(1000, seed=4)
    first, again, other = (shortcuts(body, places, seed=seed, number=10) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.ends, again.ends)
    assert not np.array_equal(first.ends, other.ends)


def test_a_walk_that_never_comes_back_has_none():
    body = ShiftBody(seed=3)
    places = np.cumsum(np.full((301, 2), 20.0), axis=0)
    with pytest.raises(RuntimeError, match="only 0 end where the walk came by"):
        shortcuts(body, places, seed=0, number=2)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"number": 0}, "number"),
        ({"shortest": 9, "longest": 8}, "longest"),
        ({"near": 0.0}, "near"),
        ({"apart": -1}, "apart"),
    ],
)
def test_wrong_numbers_are_refused(choices, message):
    body = ShiftBody(seed=3)
    with pytest.raises(ValueError, match=message):
        shortcuts(body, np.zeros((10, 2)), seed=0, **choices)
    with pytest.raises(ValueError, match="places"):
        shortcuts(body, np.zeros((10, 3)), seed=0)
