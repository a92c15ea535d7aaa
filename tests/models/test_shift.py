"""Answers do not depend on where the origin is: every verb, under shifts that float32 bears.

Places lie on a lattice of 1/8 m, and shifts are whole numbers of metres below 2²⁰: shifted places
are exactly those of before, so that whatever changes is an error of ours.
"""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

import tree_world
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.kernel.affinity import log_affinity
from tree_world.models.memory.types import TENSORS
from tree_world.models.places.localiser import Localiser

SHIFTS = [(2.0**16, -(2.0**16)), (2.0**19, 2.0**9), (-(2.0**20) + 1024, 2.0**18)]
SENSES = 6
KEY = torch.eye(SENSES)[0]


def lattice(number, seed, scale=60.0):
    generator = torch.Generator().manual_seed(seed)
    return (8 * scale * torch.randn(number, 2, generator=generator)).round().clamp(-4000, 4000) / 8


def smells(places):
    """Smooth, and different everywhere."""
    x, y = (places / 60.0).unbind(dim=-1)
    return torch.stack([x.sin(), x.cos(), y.sin(), y.cos(), (x + y).sin(), 0 * x + 1], dim=-1)


PLACES, QUERIES = lattice(400, 0), lattice(40, 1)


def remembered(shift, **options):
    memory = SpatialMemory(2, SENSES, max_memory_size=4000, **options)
    memory.write(PLACES + torch.tensor(shift), 5.0, smells(PLACES))
    return memory


# Each verb takes a memory and the shift, and returns what must not change, and places that must
# change by the shift.


def read(order="constant", method="auto", match_threshold=None, reads=1):
    def verb(memory, shift):
        queries = QUERIES.repeat(reads, 1) + shift
        return [memory.read(queries, 5.0, match_threshold, order=order, method=method)], []

    return verb


def read_with_support(order="constant", method="auto"):
    def verb(memory, shift):
        found = memory.read_with_support(QUERIES + shift, 5.0, 25.0, order=order, method=method)
        return [getattr(found, name) for name in TENSORS], []

    return verb


def gradients(memory, shift):
    queries = (QUERIES + shift).requires_grad_()
    memory.requires_grad_()
    memory.read(queries, 5.0, order="linear").square().sum().backward()
    return [queries.grad], []


def affinity(memory, shift):
    return [memory.get_location_affinity(QUERIES + shift, 5.0, 100.0)], []


def sample(method):
    def verb(memory, shift):
        found = memory.sample_with_origin(
            QUERIES[0] + shift, 5.0, KEY, 64, temperature=0.3, location_temperature=3.0,
            method=method,
        )  # fmt: skip
        # Cells may lie elsewhere: then others are drawn, but their probabilities are the same.
        log_k = log_affinity(
            QUERIES[:1], torch.tensor([[5.0, 5.0]]), PLACES, torch.full((400, 2), 5.0)
        )[0]
        expected = (smells(PLACES) @ KEY / 0.3 + log_k / 3.0).log_softmax(dim=0)[found.ids]
        torch.testing.assert_close(found.log_probabilities.float(), expected, atol=1e-3, rtol=0)
        own = memory.sample(
            QUERIES[0] + shift, 5.0, KEY, 64, sigma_scale=0.0, location_temperature=3.0,
            method=method, match_threshold=100.0,
        )  # fmt: skip
        assert bool(((own - shift)[:, None] == PLACES).all(dim=-1).any(dim=-1).all())
        return ([found.ids], [found.places]) if method == "exact" else ([], [])

    return verb


def search(memory, shift):
    found = memory.search(KEY, 8, QUERIES[0] + shift, match_threshold=25.0)
    return [found.ids, found.match, found.distance, found.support], [found.places]


def read_location(memory, shift):
    place, sd = memory.read_location(smells(QUERIES[:1])[0], QUERIES[1] + shift, 30.0)
    return [sd], [place]


def leave_one_out(memory, shift):
    found = memory.leave_one_out(25.0)
    return [found.value, found.error], []


def prune(memory, shift):
    # Of two that have only each other, rounding decides which one goes: so all have all.
    report = memory.prune(0.2, None)
    return [memory.ids, report.num_kept], [memory.memory_locations[0]]


def prune_near(memory, shift):
    memory.prune(0.2, 25.0)
    errors = torch.linalg.vector_norm(
        memory.read(PLACES + shift, 5.0, 25.0) - smells(PLACES), dim=-1
    )
    gone = ~torch.isin(torch.arange(len(PLACES)), memory.ids[0])
    assert len(memory) < 200
    assert errors[gone].max() <= 0.2 + 1e-4
    return [], []


def consolidate(memory, shift):
    report = memory.consolidate(60, 25.0, num_steps=5)
    assert report.error < 0.5
    # Adam turns a difference of rounding into one of its step.
    return [torch.tensor([report.error_at_start])], []


def merge(memory, shift):
    ids = memory.write(QUERIES + shift, 5.0, smells(QUERIES), update=True)
    merged, sds = memory.memory_locations[0], memory.memory_location_sds[0]
    assert len(memory) < len(PLACES) + len(QUERIES)
    return [ids, memory.ids, sds, memory.memory_senses], [merged]


def delete(memory, shift):
    memory.delete(torch.arange(0, 400, 2))
    found = memory.read_with_support(QUERIES + shift, 5.0, 25.0)
    return [found.mean, found.known, found.nearest_distance], [memory.memory_locations[0]]


def locate(memory, shift):
    localiser = Localiser(memory, match_threshold=50.0)
    answers = [localiser.locate(z) for z in smells(QUERIES[:10])]
    answers += [
        localiser.locate(z, x + shift, 20.0)
        for z, x in zip(smells(QUERIES[:10]), QUERIES[10:20], strict=True)
    ]
    held = [localiser.holds(p, x + shift) for p, x in zip(answers, QUERIES, strict=False)]
    told = [p.identifiable for p in answers]
    assert any(held)
    entropies = torch.tensor([p.entropy for p in answers])
    return (
        [localiser.width, held, told, entropies, *(p.probabilities for p in answers)],
        [localiser.places, *(p.peak for p in answers), *(p.mean for p in answers)],
    )


VERBS = {
    "read": read(),
    "read many": read(reads=30),
    "read linearly": read("linear"),
    "read near": read(match_threshold=25.0),
    "read near, linearly": read("linear", match_threshold=25.0, reads=30),
    **{f"read, {m}": read(method=m) for m in ("dense", "chunked", "sparse", "attention")},
    **{f"support, {m}": read_with_support(method=m) for m in ("dense", "chunked", "sparse")},
    "support, linear": read_with_support("linear"),
    "gradients": gradients,
    "get_location_affinity": affinity,
    "sample, exact": sample("exact"),
    "sample, cells": sample("cells"),
    "search": search,
    "read_location": read_location,
    "leave_one_out": leave_one_out,
    "prune": prune,
    "prune, near": prune_near,
    "consolidate": consolidate,
    "write, update": merge,
    "delete": delete,
    "locate": locate,
}


@functools.cache
def at_the_origin(verb):
    return VERBS[verb](remembered((0.0, 0.0)), torch.zeros(2))


@pytest.mark.parametrize("shift", SHIFTS, ids=str)
@pytest.mark.parametrize("verb", VERBS)
def test_a_shift_changes_nothing(verb, shift):
    step = torch.tensor(shift)
    same, places = at_the_origin(verb)
    same_there, places_there = VERBS[verb](remembered(shift), step)
    for value, there in zip(same, same_there, strict=True):
        torch.testing.assert_close(
            torch.as_tensor(there).double(), torch.as_tensor(value).double(), atol=2e-3, rtol=1e-3
        )
    rounding = float(step.abs().max()) * torch.finfo(torch.float32).eps
    for value, there in zip(places, places_there, strict=True):
        moved = there.double() - step.double()
        torch.testing.assert_close(moved, value.double(), atol=2 * rounding + 2e-3, rtol=0)


@pytest.mark.parametrize(
    "kind", [{"dtype": torch.float64}, {"storage_dtype": torch.float16}], ids=str
)
def test_the_localiser_where_the_memory_is_of_another_precision(kind):
    usual = locate(remembered((0.0, 0.0)), torch.zeros(2))
    other = locate(remembered((0.0, 0.0), **kind), torch.zeros(2))
    assert np.mean(np.array(usual[0][1]) == np.array(other[0][1])) > 0.9
    assert other[1][0].dtype == kind.get("dtype", torch.float32)


def test_no_square_is_opened_up_far_from_the_origin():
    package = Path(tree_world.__file__).parent
    calls = [
        (path.name, call)
        for path in package.rglob("*.py")
        for call in path.read_text(encoding="utf-8").split("torch.cdist(")[1:]
    ]
    assert calls
    for name, call in calls:
        assert "compute_mode=" in call[:200], f"{name}: torch.cdist needs its compute_mode"
