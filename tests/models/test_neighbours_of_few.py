"""Few observations need no compiled functions, and get what many get."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.remembered import observations
from tree_world.models.memory.forget import certificate, neighbours
from tree_world.models.memory.forget.leave_one_out import leave_one_out
from tree_world.models.memory.forget.neighbours import PRUNING_LIMIT, Neighbours, Places
from tree_world.models.memory.forget.pruning import prune
from tree_world.models.memory.types import Observations

CASES = {
    "number": st.integers(0, 70),
    "seed": st.integers(0, 10_000),
    "dim": st.integers(1, 4),
    "spread": st.sampled_from([0.0, 5.0, 40.0, 200.0]),
    "match_threshold": st.sampled_from([None, 3.0, 25.0, 1000.0]),
}


def both_ways(work):
    """What comes out without compiled functions, and with them."""
    few = work()
    with pytest.MonkeyPatch.context() as patch:
        for module in (neighbours, certificate):
            patch.setattr(module, "FEW", -1)
        return few, work()


@settings(max_examples=60)
@given(**CASES, share_gone=st.sampled_from([0.0, 0.3, 1.0]))
def test_neighbours_are_the_same(number, seed, dim, spread, match_threshold, share_gone):
    places = Places.of(observations(number, seed, dim=dim, spread=spread))
    places = places.take(places.in_strips(match_threshold)[0])
    gone = np.random.default_rng(seed).random(number) < share_gone
    gone = gone if gone.any() else None
    few, many = both_ways(lambda: Neighbours.of(places, match_threshold, PRUNING_LIMIT, gone))
    np.testing.assert_array_equal(few.edges, many.edges)
    np.testing.assert_array_equal(few.rows, many.rows)
    assert few.log_affinity.dtype == many.log_affinity.dtype
    np.testing.assert_allclose(few.log_affinity, many.log_affinity, rtol=1e-6, atol=1e-6)


@settings(max_examples=60)
@given(**CASES, tolerance=st.sampled_from([0.05, 0.3, 2.0, math.inf]))
def test_the_same_goes_and_the_same_is_told(number, seed, dim, spread, match_threshold, tolerance):
    everything = observations(number, seed, dim=dim, spread=spread)
    few, many = both_ways(lambda: prune(everything, tolerance, match_threshold))
    np.testing.assert_array_equal(few.kept, many.kept)
    assert few.report.worst_error == pytest.approx(many.report.worst_error, abs=2e-6)
    assert few.report.mean_error == pytest.approx(many.report.mean_error, abs=2e-6)
    reasons = ("num_isolated", "num_own_error", "num_needed")
    for name in reasons:
        assert getattr(few.report, name) == getattr(many.report, name)
    few, many = both_ways(lambda: leave_one_out(everything, match_threshold))
    torch.testing.assert_close(few.value, many.value, atol=1e-6, rtol=0)
    np.testing.assert_allclose(few.dependencies.toarray(), many.dependencies.toarray(), atol=1e-6)


def test_both_refuse_as_many_pairs():
    places = Places.of(observations(100, spread=1.0))
    for limit, fits in ((12 * 9900, True), (12 * 9899, False)):

        def lists(limit=limit):
            try:
                return len(Neighbours.of(places, 25.0, limit).rows)
            except MemoryError as error:
                return str(error)

        few, many = both_ways(lists)
        assert few == many
        assert isinstance(few, int) is fits


def test_some_rows_are_weighed_by_what_is_left():
    line = torch.arange(4.0)[:, None]
    everything = Observations(line, torch.full_like(line, 5.0), line)
    near = Neighbours.of(Places.of(everything), 1.5, PRUNING_LIMIT)
    some = near.among(np.array([3, 1, 0]), np.array([True, False, True, False]))
    assert some.edges.tolist() == [0, 1, 3, 3]
    expected = [[0, 0, 1, 0], [0.5, 0, 0.5, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(some.weights().toarray(), expected)
