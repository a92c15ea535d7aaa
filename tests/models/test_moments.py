"""Planes through memories in parts, by moments of each part, are those through the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import oracle
from tree_world.models.memory.recall.moments import moments, plane
from tree_world.models.memory.recall.pairs import Nearby
from tree_world.models.memory.types import Observations, ReadOptions


def nearby_of(places, sds):
    """Find by looking at all."""

    def rows(low, high, distance):
        gaps = np.maximum(np.maximum(low - places, places - high), 0.0)
        return np.flatnonzero(np.square(gaps).sum(axis=1) <= distance * distance)

    return Nearby(rows, float(sds.min()), float(sds.max()))


def parts_of(number_of, queries, query_sds, places, sds, senses, options, times=None):
    """Moments of each part, with logarithms of the sums of its weights; by the plain formula."""
    found = []
    everyone = np.arange(len(queries))
    for part in np.unique(number_of):
        own = number_of == part
        arrays = (torch.from_numpy(each[own]) for each in (places, sds, senses))
        near = nearby_of(places[own], sds[own])
        given_times = None if times is None else times[own]
        read = moments(
            torch.from_numpy(queries),
            torch.from_numpy(query_sds),
            Observations(*arrays),
            options,
            near,
            given_times,
        )
        counts = own if times is None else own & (times < options.not_since)
        for number, (place, sd) in enumerate(zip(queries, query_sds, strict=True)):
            rows, _ = oracle.within(place, places[counts], options.match_threshold)
            log_k = oracle.log_affinities(place, sd, places[counts][rows], sds[counts][rows])
            weight = np.logaddexp.reduce(log_k) if len(rows) else -np.inf
            assert read.log_weight[number] == pytest.approx(weight, abs=1e-9)
        found.append((everyone, read))
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    num_parts=st.integers(1, 5),
    dim=st.integers(1, 3),
    threshold=st.sampled_from([None, 15.0, 60.0]),
    spread=st.sampled_from([1.0, 30.0, 300.0]),
    offset=st.sampled_from([0.0, 1e3]),
    away=st.sampled_from([0.0, 1e5]),
)
def test_planes_through_parts_are_planes_through_all(
    seed, num_parts, dim, threshold, spread, offset, away
):
    generator = np.random.default_rng(seed)
    places = away + spread * generator.normal(size=(60, dim))
    sds = np.exp(generator.normal(size=(60, dim))) * 5
    senses = offset + generator.normal(size=(60, 4))
    queries = away + spread * generator.normal(size=(7, dim))
    query_sds = np.exp(generator.normal(size=(7, dim)))
    options = ReadOptions(threshold, order="linear", tail=1e-13)
    number_of = generator.integers(num_parts, size=60)
    parts = parts_of(number_of, queries, query_sds, places, sds, senses, options)
    expected = oracle.read_linear(queries, query_sds, places, sds, senses, options.ridge, threshold)
    found = plane(parts, len(queries), query_sds, options.ridge)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7 * max(1.0, offset))


def test_parts_that_were_not_asked_have_no_share():
    generator = np.random.default_rng(0)
    places, senses = 20 * generator.normal(size=(50, 2)), generator.normal(size=(50, 3))
    sds, queries = np.full((50, 2), 5.0), 20 * generator.normal(size=(6, 2))
    query_sds = np.full((6, 2), 5.0)
    options = ReadOptions(order="linear", tail=1e-13)
    given_all = queries, query_sds, places, sds, senses, options
    (whole,) = parts_of(np.zeros(50), *given_all)
    # One part has read the first three places, the other the rest.
    halves = [(rows, whole[1].take(rows)) for rows in (np.arange(3), np.arange(3, 6))]
    together = plane(halves, 6, query_sds, options.ridge)
    np.testing.assert_allclose(together, plane([whole], 6, query_sds, options.ridge), rtol=1e-12)


@pytest.mark.parametrize("threshold", [None, 25.0])
def test_what_is_absent_or_of_other_times_does_not_count(threshold):
    generator = np.random.default_rng(1)
    places, senses = 20 * generator.normal(size=(50, 2)), generator.normal(size=(50, 3))
    sds, queries = np.full((50, 2), 5.0), 20 * generator.normal(size=(6, 2))
    query_sds, times = np.full((6, 2), 5.0), np.arange(50.0)
    sds[10:20] = np.inf
    options = ReadOptions(threshold, order="linear", tail=1e-13, not_since=40.0)
    number_of = generator.integers(2, size=50)
    timely = np.delete(np.arange(40), np.arange(10, 20))
    parts = parts_of(number_of, queries, query_sds, places, sds, senses, options, times)
    wanted = oracle.read_linear(
        queries, query_sds, places[timely], sds[timely], senses[timely], options.ridge, threshold
    )
    found = plane(parts, 6, query_sds, options.ridge)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)


def test_nothing_is_zero():
    nobody = Observations(torch.empty(0, 2), torch.empty(0, 2), torch.empty(0, 3))
    where, sds = torch.zeros(4, 2), torch.ones(4, 2)
    empty = nearby_of(np.empty((0, 2)), np.ones((1, 2)))
    own = moments(where, sds, nobody, ReadOptions(order="linear"), empty)
    assert np.isneginf(own.log_weight).all()
    parts = [(np.arange(4), own)]
    assert (plane(parts, 4, sds.numpy(), 0.1) == 0).all()


def test_many_pairs_are_taken_by_parts(monkeypatch):
    from tree_world.models.memory.recall import moments as module

    generator = np.random.default_rng(2)
    places, senses = 20 * generator.normal(size=(90, 2)), generator.normal(size=(90, 3))
    given_all = (
        *(20 * generator.normal(size=(12, 2)), np.full((12, 2), 5.0), places),
        *(np.full((90, 2), 5.0), senses, ReadOptions(30.0, order="linear")),
    )
    (whole,) = parts_of(np.zeros(90), *given_all)
    monkeypatch.setattr(module, "_ROOM", 100)
    monkeypatch.setattr(module, "_SENSES", 100)
    (by_parts,) = parts_of(np.zeros(90), *given_all)
    for one, other in zip(whole[1], by_parts[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
