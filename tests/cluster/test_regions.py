"""Regions of the world: stretches of a curve that fills it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tree_world.cluster.regions import END, Regions, along_curve, next_move
from tree_world.cluster.summaries import Boxes, Summary


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


def summary_of(boxes, size):
    sds = boxes.least_sds, boxes.greatest_sds
    return Summary(size, boxes.low, boxes.high, boxes.numbers, *sds, 0, 0)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("number", [1, 50, 3000])
def test_a_summary_bounds_what_it_summarises_as_it_grows(number, dim):
    generator = np.random.default_rng(number)
    places = 10 * generator.normal(size=(number, dim))
    sds = generator.uniform(0.5, 2.0, (number, dim))
    boxes = Boxes(dim)
    assert boxes.change(number)  # there are none yet
    boxes.anew(places, sds)
    assert boxes.numbers.sum() == number
    assert len(boxes.numbers) <= 128
    queries = 30 * generator.normal(size=(200, dim))
    variances = generator.uniform(0.1, 4.0, (200, dim))
    for _ in range(2):
        own = summary_of(boxes, len(places))
        total = variances[:, None] + np.square(sds)
        squares = np.square(queries[:, None] - places)
        log_k = -0.5 * (squares / total + np.log(2 * np.pi * total)).sum(axis=-1)
        weights = np.logaddexp.reduce(log_k, axis=1)
        assert (own.greatest_log_weight(queries, variances) >= weights - 1e-9).all()
        nearest = squares.sum(axis=-1).min(axis=1)
        assert (own.squares(queries) <= nearest * (1 + 1e-12)).all()
        assert (own.squares(places) == 0).all()
        within = own.squares(queries, 100.0)
        assert ((within <= 100.0) == (own.squares(queries) <= 100.0)).all()
        more = 20 * generator.normal(size=(40, dim)), generator.uniform(0.1, 5.0, (40, dim))
        boxes.grow(*more)
        places, sds = np.concatenate([places, more[0]]), np.concatenate([sds, more[1]])


def test_boxes_are_made_anew_when_half_has_changed():
    boxes = Boxes(2)
    boxes.anew(np.random.default_rng(0).normal(size=(100, 2)), np.ones((100, 2)))
    assert not boxes.change(30)
    assert not boxes.change(20)
    assert boxes.change(1)


def test_many_boxes_tell_apart_what_one_would_not():
    """A ring: its middle is far from all of it, and within the box around it."""
    angles = np.linspace(0, 2 * np.pi, 2000)
    ring = 100 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    boxes = Boxes(2)
    boxes.anew(ring, np.ones_like(ring))
    own = summary_of(boxes, 2000)
    assert own.squares(np.zeros((1, 2)))[0] > 80**2
    assert own.gaps(np.zeros((1, 2))).max() == 0


def test_nothing_is_far_from_everything():
    nothing = Summary.of_nothing(2)
    assert nothing.greatest_log_weight(np.zeros((3, 2)), np.ones((3, 2))).max() == -np.inf
    assert np.isinf(nothing.squares(np.zeros((3, 2)))).all()
    assert nothing.greatest_sd == 0
