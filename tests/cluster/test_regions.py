"""Regions of the world: stretches of a curve that fills it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tree_world.cluster.regions import END, Regions, Summary, along_curve, next_move


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_curve_goes_through_all_squares_from_neighbour_to_neighbour(dim):
    side = np.arange(8) + 0.5
    squares = np.stack(np.meshgrid(*[side] * dim), axis=-1).reshape(-1, dim)
    codes = along_curve(squares, 16.0)
    assert len(np.unique(codes)) == len(codes)
    steps = np.abs(np.diff(squares[np.argsort(codes)], axis=0)).sum(axis=1)
    # A block of 8 squares on each side is one stretch of the curve.
    assert (steps == 1).all()
    assert codes.max() - codes.min() == len(codes) - 1


def test_places_beyond_the_grid_are_on_its_rim():
    codes = along_curve(np.array([[1e30, -1e30], [np.float32(1e38), 0.0]]), 25.0)
    assert ((codes >= 0) & (codes < END)).all()


@given(st.lists(st.integers(0, 1000), min_size=8, max_size=8), st.data())
def test_moves_end_and_leave_no_shard_with_more_than_twice_its_share(sizes, data):
    used = data.draw(st.integers(1, 8))
    sizes = sizes[:used] + [0] * (8 - used)
    regions = Regions(list(range(0, 100 * used, 100)), list(range(used)))
    for _ in range(64):
        move = next_move(regions, sizes, 10, set())
        if move is None:
            break
        what, which = move
        if what == "split":
            other = next(s for s in range(8) if s not in regions.shards)
            low, high = regions.of(which)
            regions.split(which, (low + high) // 2, other)
            sizes[other] = sizes[which] // 2
            sizes[which] -= sizes[other]
        else:
            first, second = regions.shards[which : which + 2]
            sizes[first] += sizes[second]
            sizes[second] = 0
            regions.merge(which)
        assert regions.first == sorted(set(regions.first))
    else:
        pytest.fail("moves did not end")
    assert max(sizes) <= max(10, 2 * sum(sizes) / 8) or len(regions.shards) == 8


def test_a_summary_bounds_the_weight_of_what_it_summarises():
    generator = np.random.default_rng(0)
    places, sds = generator.normal(size=(50, 2)), generator.uniform(0.5, 2.0, (50, 2))
    own = Summary(50, places.min(axis=0), places.max(axis=0), sds.min(), sds.max(), 0, 0)
    queries, variances = generator.normal(0, 5, (200, 2)), generator.uniform(0.1, 4.0, (200, 2))
    total = variances[:, None] + np.square(sds)
    squares = np.square(queries[:, None] - places)
    log_k = -0.5 * (squares / total + np.log(2 * np.pi * total)).sum(axis=-1)
    weights = np.log(np.exp(log_k).sum(axis=1))
    assert (own.greatest_log_weight(queries, variances) >= weights).all()
    assert Summary.of_nothing(2).greatest_log_weight(queries, variances).max() == -np.inf
