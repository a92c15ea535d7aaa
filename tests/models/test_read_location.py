"""The place where something was sensed: what the index leaves out cannot matter."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import oracle
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory import memory as face
from tree_world.models.memory.recall import location, plan

DIM = 4


def corrected(places, sds, senses, sense, guess, guess_sd, sense_sd):
    """Mean and deviation in double precision, by a plain loop."""
    arrays = (places, sds, senses, sense, guess, guess_sd)
    places, sds, senses, sense, guess, guess_sd = (np.asarray(a, np.float64) for a in arrays)
    exponents = np.array([0.5 * (math.dist(sense, own) / sense_sd) ** 2 for own in senses])
    affinities = [
        oracle.log_affinity(guess, guess_sd, *own) for own in zip(places, sds, strict=True)
    ]
    log_weights = np.array(affinities) - (exponents - exponents.min())
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    mean = weights @ places
    return mean, np.sqrt(weights @ ((places - mean) ** 2 + sds**2))


def made(number, seed, *, dim=2, spread=300.0, clusters=5, dtype=torch.float64, **choices):
    """A memory of clustered places with unequal deviations, some of which were deleted."""
    generator = torch.Generator().manual_seed(seed)
    memory = SpatialMemory(dim, DIM, max_memory_size=number + 100, dtype=dtype, **choices)
    centres = spread * torch.randn(clusters, dim, generator=generator)
    which = torch.randint(clusters, (number,), generator=generator)
    places = centres[which] + 20 * torch.randn(number, dim, generator=generator)
    sds = 0.5 + 9.5 * torch.rand(number, dim, generator=generator)
    ids = memory.write(places, sds, torch.randn(number, DIM, generator=generator))
    memory.delete(ids.flatten()[::7])
    return memory


def both_ways(memory, *asked):
    """What the index finds, and what all say; and how many times the index was enough."""
    enough = []

    def near(*given):
        found = location.location_near(*given)
        enough.append(found is not None)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face, "location_near", near)
        patch.setattr(plan, "FEW_TO_SENSE", -1)
        found = memory.read_location(*asked)
        patch.setattr(plan, "FEW_TO_SENSE", 10**9)
        return found, memory.read_location(*asked), sum(enough)


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-9, atol=1e-9)


@settings(max_examples=60)
@given(
    number=st.sampled_from([1, 2, 30, 300]),
    seed=st.integers(0, 10_000),
    dim=st.integers(1, 3),
    spread=st.sampled_from([0.0, 300.0, 1e4]),
    guess_sd=st.sampled_from([0.01, 3.0, 30.0, 1000.0]),
    sense_sd=st.sampled_from([1e-9, 0.05, 1.0, 1e9]),
    far=st.sampled_from([0.0, 3.0, 1e6]),
)
def test_the_index_leaves_out_what_cannot_matter(
    number, seed, dim, spread, guess_sd, sense_sd, far
):
    memory = made(number + 2, seed, dim=dim, spread=spread)
    held = memory.observations()
    random = np.random.default_rng(seed)
    at = random.integers(len(held.ids))
    sense = held.senses[at].numpy() + 0.1 * random.normal(size=DIM) + far
    guess = held.locations[at].numpy() + 2 * guess_sd * random.normal(size=dim)
    sds = guess_sd * random.uniform(0.5, 2.0, size=dim)
    found, everything, _ = both_ways(memory, sense, guess, sds, sense_sd)
    exponent = 0.5 * ((far + 5.0) / sense_sd) ** 2
    if exponent > 1e5:  # of which rounding alone is more than that
        close([x.float() for x in found], [x.float() for x in everything])
        return
    close(found, everything)
    close(found, corrected(*held[:3], sense, guess, sds, sense_sd))


@pytest.mark.parametrize("sense_sd", [0.2, 1.0, 1e9])
@pytest.mark.parametrize("seed", range(3))
def test_the_index_is_enough_where_most_is_far(seed, sense_sd):
    memory = made(600, seed, spread=1e4, clusters=30)
    held = memory.observations()
    guess = held.locations[5] + 4.0
    found, everything, enough = both_ways(memory, held.senses[5], guess, 5.0, sense_sd)
    close(found, everything)
    close(found, corrected(*held[:3], held.senses[5], guess, [5.0, 5.0], sense_sd))
    assert enough == 1


def test_a_sense_that_is_far_away_alone_is_found_there():
    """Its place has the least affinity, and all the weight."""
    memory = SpatialMemory(2, DIM, max_memory_size=400, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    memory.write(10 * torch.randn(300, 2, generator=generator), 5.0, torch.ones(300, DIM))
    memory.write([[400.0, 0.0]], 5.0, 1000 * torch.ones(1, DIM))
    sense, guess = 1000 * torch.ones(DIM), [0.0, 0.0]
    found, everything, _ = both_ways(memory, sense, guess, 5.0, 1.0)
    close(found, everything)
    assert found[0].tolist() == pytest.approx([400.0, 0.0])


def test_a_sense_far_from_all_leaves_the_guess_its_digits_by_the_index_too():
    memory = made(600, 0, spread=1e4, clusters=30)
    memory.memory_senses = torch.ones_like(memory.memory_senses)
    guess = memory.memory_locations[0, 5] + 3.0
    near = both_ways(memory, torch.ones(DIM), guess, 5.0, 0.1)
    for far in (10.0, 1e9, 1e18):
        found, everything, _ = both_ways(memory, far * torch.ones(DIM), guess, 5.0, 0.1)
        close(found, everything)
        close(found, near[0])
    assert near[2] == 1


@pytest.mark.parametrize("number", [0, 1])
def test_of_none_the_guess_is_left_and_of_one_its_place(number):
    memory = SpatialMemory(2, DIM, dtype=torch.float64)
    memory.write(torch.tensor([[1.0, 2.0]])[:number], 3.0, torch.ones(number, DIM))
    found, everything, _ = both_ways(memory, torch.ones(DIM), [50.0, 50.0], 1.0)
    close(found, everything)
    assert found[0].tolist() == ([1.0, 2.0] if number else [50.0, 50.0])


@pytest.mark.parametrize(
    "choices", [{}, {"dtype": torch.float32}, {"storage_dtype": torch.float16}]
)
def test_a_large_memory_asks_its_index(monkeypatch, choices):
    memory = made(plan.FEW_TO_SENSE * 2, 1, spread=1e4, clusters=30, **choices)
    held = memory.observations()
    asked = held.senses[9], held.locations[9] + 2.0, 5.0
    expected = corrected(*held[:3], asked[0], asked[1], [5.0, 5.0], 0.1)
    found = memory.read_location(*asked)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-6, atol=1e-3)
    monkeypatch.setattr(face, "location_of", None)  # which looks at all
    assert all(torch.equal(*pair) for pair in zip(memory.read_location(*asked), found, strict=True))


def test_what_an_optimiser_moved_is_found_where_it_is_now():
    memory = made(plan.FEW_TO_SENSE * 2, 1, spread=1e4, clusters=30)
    sense, guess = memory.memory_senses[0, 9].clone(), memory.memory_locations[0, -1] + 1.0
    memory.requires_grad_()
    memory.read_location(sense, guess, 5.0)  # which would make an index, were it asked
    with torch.no_grad():
        memory.parameters()[0][9] = guess
    held = memory.observations()
    found, expected = (
        memory.read_location(sense, guess, 5.0),
        corrected(*held[:3], sense, guess, [5.0, 5.0], 0.1),
    )
    close(found, expected)
