"""Reads of parts of a memory, joined, are the read of the whole."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models import oracle
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.types import (
    OF_KRIGING,
    TENSORS,
    Observations,
    Read,
    ReadOptions,
    nothing,
)

FIELDS = ("mean", "known", "effective_sample_size", "spread", "nearest_distance", "log_weight")


def drawn(seed, number=40, num_places=5, spread=30.0, offset=0.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    sds = torch.exp(normal(number, 2)) * 5.0
    observations = Observations(spread * normal(number, 2), sds, normal(number, 3) + offset)
    return spread * normal(num_places, 2), torch.exp(normal(num_places, 2)), observations


def parts_of(observations, numbers):
    """One part for each number from 0 on, be it empty or not."""
    numbers = torch.as_tensor(numbers)
    return [
        observations.take((numbers == number).nonzero().squeeze(-1))
        for number in range(int(numbers.max()) + 1)
    ]


def assert_same(ours, expected, rtol=1e-9, atol=1e-9):
    for name in FIELDS:
        torch.testing.assert_close(
            getattr(ours, name), getattr(expected, name), rtol=rtol, atol=atol, msg=name
        )


def test_a_read_holds_what_it_is_said_to_hold():
    assert TENSORS == FIELDS
    names = [field.name for field in dataclasses.fields(Read)]
    assert names == [*FIELDS, "order", *OF_KRIGING]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    numbers=st.lists(st.integers(0, 6), min_size=40, max_size=40),
    method=st.sampled_from(["dense", "chunked", "sparse"]),
    threshold=st.sampled_from([None, 15.0, 60.0]),
    spread=st.sampled_from([1.0, 30.0, 3000.0]),
    offset=st.sampled_from([0.0, 1e3]),
    order=st.randoms(use_true_random=False),
)
def test_any_parts_in_any_order_are_the_whole(
    seed, numbers, method, threshold, spread, offset, order
):
    places, sds, observations = drawn(seed, spread=spread, offset=offset)
    options = ReadOptions(threshold, method=method, support=True, tail=1e-12)
    whole = read(places, sds, observations, options)
    parts = [read(places, sds, part, options) for part in parts_of(observations, numbers)]
    order.shuffle(parts)
    atol = 1e-6 * max(1.0, offset)  # a spread is a root of what rounding is left of
    assert_same(Read.joined(parts), whole, rtol=1e-8, atol=atol)
    # In whatever way they are put together.
    cut = len(parts) // 2
    halves = [Read.joined(half) for half in (parts[:cut], parts[cut:]) if half]
    assert_same(Read.joined(halves), whole, rtol=1e-8, atol=atol)


@pytest.mark.parametrize("threshold", [None, 20.0])
def test_joined_is_what_the_oracle_reads(threshold):
    places, sds, observations = drawn(2)
    arrays = (observations.locations, observations.location_sds, observations.senses)
    mean, size, spread, nearest = oracle.read(places, sds, *arrays, threshold)
    weights = [
        [
            oracle.log_affinity(place, sd, location, location_sd)
            for location, location_sd in zip(*arrays[:2], strict=True)
            if threshold is None or math.dist(place, location) <= threshold
        ]
        for place, sd in zip(places, sds, strict=True)
    ]
    options = ReadOptions(threshold, support=True)
    parts = parts_of(observations, [index % 3 for index in range(40)])
    found = Read.joined([read(places, sds, part, options) for part in parts])
    np.testing.assert_allclose(found.mean, mean, atol=1e-12)
    np.testing.assert_allclose(found.effective_sample_size, size, rtol=1e-12)
    np.testing.assert_allclose(found.spread, spread, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.nearest_distance, nearest, rtol=1e-12)
    for ours, own in zip(found.log_weight, weights, strict=True):
        expected = np.logaddexp.reduce(own) if own else -math.inf
        np.testing.assert_allclose(float(ours), float(expected), rtol=1e-12)


def test_four_shards_of_thousands_are_the_whole():
    places, sds, observations = drawn(3, 16_000, 200, spread=200.0, dtype=torch.float32)
    options = ReadOptions(support=True)
    whole = read(places, sds, observations, options)
    numbers = torch.arange(16_000) % 4
    found = Read.joined(
        [read(places, sds, part, options) for part in parts_of(observations, numbers)]
    )
    assert (found.mean - whole.mean).abs().max() <= 5e-6
    torch.testing.assert_close(
        found.effective_sample_size, whole.effective_sample_size, rtol=1e-5, atol=0
    )
    torch.testing.assert_close(found.spread, whole.spread, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.log_weight, whole.log_weight, rtol=1e-7, atol=2e-6)
    assert found.mean.dtype == found.spread.dtype == torch.float32
    assert found.log_weight.dtype == torch.float64


def test_far_from_everything_parts_still_weigh_what_they_weigh():
    # 4,500 deviations away: log-weights of some −1e7, of which single precision knows no fraction.
    locations = torch.tensor([[0.0], [0.0], [1e-4]])
    observations = Observations(locations, torch.ones(3, 1), torch.eye(3))
    place, sd = torch.tensor([[6400.0]]), torch.ones(1, 1)
    options = ReadOptions(support=True)
    whole = read(place, sd, observations, options)
    found = Read.joined(
        [read(place, sd, part, options) for part in parts_of(observations, [0, 1, 1])]
    )
    assert float(whole.log_weight) < -1e7
    assert_same(found, whole, rtol=1e-6, atol=1e-7)
    assert float(found.mean[0, 2]) == pytest.approx(math.exp(0.32) / (2 + math.exp(0.32)), rel=1e-4)


def test_nothing_changes_nothing():
    places, sds, observations = drawn(4)
    options = ReadOptions(support=True)
    found, empty = read(places, sds, observations, options), nothing(places, observations)
    for reads in ([found, empty], [empty, found], [empty, found, empty]):
        joined = Read.joined(reads)
        for name in FIELDS:
            if name in ("effective_sample_size", "spread"):  # a reciprocal's, a root's rounding
                torch.testing.assert_close(
                    getattr(joined, name), getattr(found, name), rtol=1e-15, atol=0
                )
            else:
                assert torch.equal(getattr(joined, name), getattr(found, name)), name
    both = Read.joined([empty, empty])
    for name in FIELDS:
        assert torch.equal(getattr(both, name), getattr(empty, name)), name
    assert Read.joined([found]) is found
    with pytest.raises(ValueError, match="no reads"):
        Read.joined([])


def test_what_is_alike_in_all_parts_has_no_spread():
    places, sds, observations = drawn(5)
    alike = dataclasses.replace(observations, senses=torch.full((40, 3), 0.3387).double())
    options = ReadOptions(support=True)
    reads = [read(places, sds, part, options) for part in parts_of(alike, [0, 1] * 20)]
    found = Read.joined(reads)
    assert (found.spread <= 1e-14).all()
    torch.testing.assert_close(found.mean, alike.senses[:5], rtol=1e-14, atol=0)


def test_without_support_the_mean_is_joined_and_the_rest_is_missing():
    places, sds, observations = drawn(6)
    parts = parts_of(observations, [0, 1] * 20)
    found = Read.joined([read(places, sds, part) for part in parts])
    whole = read(places, sds, observations)
    torch.testing.assert_close(found.mean, whole.mean)
    torch.testing.assert_close(found.log_weight, whole.log_weight)
    assert found.spread.isnan().all()
    assert found.effective_sample_size.isnan().all()
    assert found.nearest_distance.isnan().all()


def test_planes_and_reads_of_other_places_are_not_joined():
    places, sds, observations = drawn(7)
    linear = read(places, sds, observations, ReadOptions(order="linear"))
    constant = read(places, sds, observations)
    assert (linear.order, constant.order) == ("linear", "constant")
    torch.testing.assert_close(linear.log_weight, constant.log_weight)
    with pytest.raises(ValueError, match="order='constant'"):
        Read.joined([linear, constant])
    with pytest.raises(ValueError, match=r"\(4, 3\) and \(5, 3\)"):
        Read.joined([constant, read(places[:4], sds[:4], observations)])


@pytest.mark.parametrize("method", ["dense", "chunked", "sparse", "attention"])
def test_log_weights_and_what_is_joined_have_gradients(method):
    generator = torch.Generator().manual_seed(3)
    inputs = [
        tensor.double().requires_grad_()
        for tensor in (
            torch.randn(3, 2, generator=generator), 1 + torch.rand(1, 2, generator=generator),
            torch.randn(7, 2, generator=generator), 1 + torch.rand(7, 2, generator=generator),
            torch.randn(7, 2, generator=generator),
        )
    ]  # fmt: skip

    def log_weight(places, sds, *stored):
        return read(places, sds, Observations(*stored), ReadOptions(method=method)).log_weight

    assert torch.autograd.gradcheck(log_weight, inputs, atol=1e-5)
    if method == "attention":
        return

    def joined(places, sds, *stored):
        options = ReadOptions(2.0, method=method, support=True)
        parts = parts_of(Observations(*stored), [0, 0, 0, 1, 1, 1, 1])
        found = Read.joined([read(places, sds, part, options) for part in parts])
        return found.mean, found.effective_sample_size, found.spread, found.log_weight

    assert torch.autograd.gradcheck(joined, inputs, atol=1e-5)


def test_gradients_of_what_is_joined_are_finite_where_nothing_matches():
    places = torch.tensor([[0.0, 0.0], [1e5, 0.0]], requires_grad=True)
    stored = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    observations = Observations(stored, torch.ones(2, 2), torch.eye(2))
    options = ReadOptions(25.0, support=True)
    reads = [
        read(places, torch.ones(1, 2), part, options) for part in parts_of(observations, [0, 1])
    ]
    found = Read.joined([*reads, nothing(places, observations)])
    assert found.known.tolist() == [True, False]
    total = sum(
        torch.where(torch.isfinite(each), each, 0.0).sum()
        for each in (found.mean, found.spread, found.effective_sample_size, found.log_weight)
    )
    for gradient in torch.autograd.grad(total, (places, stored)):
        assert torch.isfinite(gradient).all()
        assert gradient.any()


def test_a_memory_tells_the_weight_of_a_place(tmp_path):
    places, sds, observations = drawn(8, 300, 4)
    on_disk = SpatialMemory(2, 3, dtype=torch.float64, storage=tmp_path / "memory")
    kept = SpatialMemory(2, 3, dtype=torch.float64)
    for memory in (on_disk, kept):
        memory.write(observations.locations, observations.location_sds, observations.senses)
        affinity = memory.get_location_affinity(places, sds)[0]
        found = memory.read_with_support(places, sds)
        torch.testing.assert_close(found.log_weight, affinity.logsumexp(dim=-1))
        one = memory.read_with_support(places[0], sds[0], 1e-9)
        assert one.log_weight.shape == ()
        assert float(one.log_weight) == -math.inf
    # Two memories answer as one that holds what both hold.
    halves = [SpatialMemory(2, 3, dtype=torch.float64) for _ in range(2)]
    for half, part in zip(halves, parts_of(observations, [0, 1] * 150), strict=True):
        half.write(part.locations, part.location_sds, part.senses)
    found = Read.joined([half.read_with_support(places, sds) for half in halves])
    assert_same(found, kept.read_with_support(places, sds), rtol=1e-6, atol=1e-6)


def test_a_batch_tells_the_weight_in_each_row():
    memory = SpatialMemory(2, 3)
    memory.write(torch.randn(2, 50, 2), 1.0, torch.randn(2, 50, 3))
    places = torch.randn(7, 2)
    found = memory.read_with_support(places, 1.0)
    assert found.log_weight.shape == (2, 7)
    affinity = memory.get_location_affinity(places.expand(2, 7, 2), 1.0)
    expected = affinity.logsumexp(dim=-1).double()
    torch.testing.assert_close(found.log_weight, expected, rtol=1e-6, atol=1e-6)
