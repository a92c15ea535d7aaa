"""Senses kept in half precision lose as little as is stated, and nothing else is lost."""

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import oracle
from tree_world import compiling
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.types import Observations, ReadOptions

SENSORY = 19  # no multiple of eight


def observations(number, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    places = 30 * torch.randn(number, 2, generator=generator)
    sds = 1.0 + 9.0 * torch.rand(number, 2, generator=generator)
    return places, sds, scale * torch.randn(number, SENSORY, generator=generator)


def filled(number=60, seed=0, scale=1.0, **choices):
    memory = SpatialMemory(2, SENSORY, storage_dtype=torch.float16, **choices)
    memory.write(*(t.to(memory.dtype) for t in observations(number, seed, scale)))
    return memory


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-7, 1e-4, 1.0, 1e4]),
    method=st.sampled_from(["dense", "chunked", "sparse", "attention"]),
    order=st.sampled_from(["constant", "linear"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    threshold=st.sampled_from([None, 25.0]),
)
def test_reads_lose_no_more_than_is_stated(seed, scale, method, order, dtype, threshold):
    if order == "linear":
        method = "sparse" if method == "attention" else method
    memory = filled(seed=seed, scale=scale, dtype=dtype)
    exact = [tensor.double() for tensor in observations(60, seed, scale)]
    queries = 20 * torch.randn(5, 2, generator=torch.Generator().manual_seed(seed))
    sds = torch.full((5, 2), 4.0)
    ours = memory.read(queries, sds, threshold, method=method, order=order, tail=1e-12)
    assert ours.dtype == dtype
    if order == "linear":  # not a mean: compare with the same read of what is stored
        stored = [exact[0], exact[1], memory.memory_senses[0].double()]
        mean = oracle.read_linear(queries, sds, *stored, 0.1, threshold)
        np.testing.assert_allclose(ours, mean, rtol=1e-3, atol=2e-4 * scale)
        return
    mean = oracle.read(queries, sds, *exact, threshold)[0]
    bound = np.maximum(2.0**-11 * exact[2].abs().numpy(), 2.0**-25).max(axis=0)
    rounding = 2e-5 * scale  # of single precision
    assert (np.abs(ours.numpy() - mean) <= bound + rounding).all()


def test_a_sense_of_length_one_loses_less_than_is_stated():
    memory = SpatialMemory(2, 384, max_memory_size=400, storage_dtype=torch.float16)
    generator = torch.Generator().manual_seed(0)
    senses = torch.nn.functional.normalize(torch.randn(400, 384, generator=generator), dim=-1)
    places = 1000.0 * torch.arange(400.0)[:, None] * torch.ones(2)
    memory.write(places, 1.0, senses)
    lost = torch.linalg.vector_norm(memory.read(places, 1.0, 25.0) - senses, dim=-1)
    assert 1e-6 < lost.max() < 5e-4


@pytest.mark.parametrize("support", [False, True])
@pytest.mark.parametrize("number", [1, 7, 8, 21])
def test_every_number_in_half_precision_is_read_as_it_is(number, support):
    # All finite ones, of both signs, the least included, as the single match of each query.
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16)
    finite = bits.view(torch.float16)
    finite = finite[finite.isfinite()]
    width = len(finite) // 4
    places = 100.0 * torch.arange(4.0)[:, None].repeat_interleave(number, dim=0) * torch.ones(2)
    senses = finite.reshape(4, width).repeat_interleave(number, dim=0)
    options = ReadOptions(10.0, method="sparse", support=support)
    found = read(places[::number], torch.ones(1, 2),
                 Observations(places, torch.ones(4 * number, 2), senses), options)  # fmt: skip
    expected = finite.reshape(4, width).float()
    torch.testing.assert_close(found.mean, expected, rtol=1e-6, atol=0.0)
    if support:
        assert (found.spread <= 1e-6 * torch.linalg.vector_norm(expected, dim=-1)).all()


def test_support_is_that_of_what_is_stored():
    memory = filled()
    queries, sds = torch.zeros(3, 2) + torch.arange(3.0)[:, None], torch.full((3, 2), 3.0)
    stored = [memory.memory_locations[0], memory.memory_location_sds[0], memory.memory_senses[0]]
    mean, size, spread, nearest = oracle.read(queries, sds, *stored, 25.0)
    found = memory.read_with_support(queries, sds, 25.0)
    np.testing.assert_allclose(found.mean, mean, atol=1e-5)
    np.testing.assert_allclose(found.effective_sample_size, size, rtol=1e-5)
    np.testing.assert_allclose(found.spread, spread, rtol=1e-4)
    np.testing.assert_allclose(found.nearest_distance, nearest, rtol=1e-5)


def test_the_rest_of_a_memory_works_as_with_single_precision(tmp_path):
    half, single = filled(200), SpatialMemory(2, SENSORY)
    places, sds, senses = observations(200)
    single.write(places, sds, senses.half().float())
    key = torch.randn(SENSORY, generator=torch.Generator().manual_seed(4))
    for method in ("exact", "cells"):
        one, two = (
            memory.sample_with_origin([0.0, 0.0], 9.0, key, 40, seed=1, method=method)
            for memory in (half, single)
        )
        assert torch.equal(one.ids, two.ids)
        torch.testing.assert_close(one.log_probabilities, two.log_probabilities)
    assert torch.equal(half.search(key, 5).ids, single.search(key, 5).ids)
    for one, two in zip(
        half.read_location(senses[3], places[3], 5.0),
        single.read_location(senses[3], places[3], 5.0), strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(one, two)
    half.save(tmp_path / "half.safetensors")
    loaded = SpatialMemory.load(tmp_path / "half.safetensors")
    assert (loaded.dtype, loaded.storage_dtype) == (torch.float32, torch.float16)
    assert torch.equal(loaded.memory_senses, half.memory_senses)
    merged = half.write(places[:1], sds[:1], senses[:1], update=True)
    assert merged.tolist() == [0]
    kept = [memory.prune(5.0, 25.0).num_kept for memory in (loaded, single)]
    assert kept[0] == kept[1] < 200
    assert loaded.storage_dtype == loaded[0].store.senses.dtype == torch.float16
    loaded.consolidate(20, 25.0, num_steps=5)
    assert loaded[0].store.senses.dtype == torch.float16
    moved = half.to(dtype=torch.float64)
    assert moved[0].store.senses.dtype == torch.float16
    assert moved.read([0.0, 0.0], 3.0).dtype == torch.float64


def test_a_projection_may_be_kept_in_half_precision():
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(60, 3, generator=generator) @ torch.randn(3, 12, generator=generator)
    places = 1000.0 * torch.arange(60.0)[:, None] * torch.ones(2)
    memory = SpatialMemory(2, 12, embed_dim=6, storage_dtype=torch.float16)
    memory.write(places, 1.0, values)
    torch.testing.assert_close(memory.read(places, 1.0), values, rtol=1e-2, atol=1e-2)
    memory.fit_projection(values)
    torch.testing.assert_close(memory.read(places, 1.0), values, rtol=1e-2, atol=1e-2)


def test_what_half_precision_cannot_hold_is_refused():
    memory = filled(3)
    with pytest.raises(ValueError, match="between -65504 and 65504, but one entry is 70000"):
        memory.write([[0.0, 0.0]], 1.0, [[7e4] * SENSORY])
    assert len(memory) == 3
    with pytest.raises(ValueError, match="cannot require gradients"):
        memory.requires_grad_()
    for choices, message in (
        ({"dtype": torch.float16}, "give storage_dtype"),
        ({"storage_dtype": torch.bfloat16}, "must be torch.float16"),
    ):
        with pytest.raises(ValueError, match=message):
            SpatialMemory(2, 3, **choices)
    with pytest.raises(ValueError, match="give storage_dtype"):
        memory.to(dtype=torch.float16)


@pytest.mark.parametrize("converts", [True, False])
def test_every_number_is_converted_exactly(monkeypatch, converts):
    # With the instruction of the processor, and by bits where it has none.
    monkeypatch.setattr(compiling, "CONVERTS_HALF", compiling.CONVERTS_HALF and converts)

    @numba.njit
    def all_of(bits, found):
        for row in range(len(bits)):
            found[row] = compiling.value(bits[row])

    bits = np.arange(2**16, dtype=np.uint16)
    found = np.empty(len(bits), dtype=np.float32)
    all_of(bits, found)
    expected = bits.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
