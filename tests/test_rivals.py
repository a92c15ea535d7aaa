"""What reads are compared with computes the same reads."""

import shutil

import numpy as np
import pytest
import torch

from benchmarks import rivals
from benchmarks.rivals import Problem
from tree_world.models.memory import SpatialMemory

SIZE = 600
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def problem(sd=10.0, threshold=None):
    generator = torch.Generator().manual_seed(4)
    senses = torch.nn.functional.normalize(torch.randn(SIZE, 24, generator=generator), dim=1)
    locations, queries = (60 * torch.randn(number, 2, generator=generator) for number in (SIZE, 40))
    queries[0] = 900.0  # where nothing is near
    return Problem(locations, senses, queries, sd, threshold)


KERNELS = {"threshold": (10.0, 25.0), "narrow": (10.0, None), "wide": (30.0, None)}


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_oracle_is_the_formula(kernel):
    given = problem(*KERNELS[kernel])
    found = rivals.exact(given, 40)
    for query, ours in zip(given.queries.double().numpy(), found.numpy(), strict=True):
        squares = np.square(given.locations.double().numpy() - query).sum(axis=1)
        near = squares <= (given.match_threshold or np.inf) ** 2
        if not near.any():
            assert not ours.any()
            continue
        exponents = -squares[near] / (4 * given.sd**2)
        weights = np.exp(exponents - exponents.max())
        mean = weights @ given.senses.double().numpy()[near] / weights.sum()
        np.testing.assert_allclose(ours, mean, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", [name for name in rivals.EXACT if name != "PyKeOps"])
def test_every_way_reads_the_same(name, kernel):
    given = problem(*KERNELS[kernel])
    found = rivals.EXACT[name](given)(given.queries[1:])
    torch.testing.assert_close(found.double(), rivals.exact(given, 40)[1:], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", rivals.NEAREST)
def test_the_nearest_do_where_they_are_enough(name):
    given = problem(*KERNELS["threshold"])
    if name.startswith("FAISS"):
        pytest.importorskip("faiss", reason="make setup installs what the benchmarks need")
    index = rivals.NEAREST[name](given.locations.numpy())
    expected = rivals.exact(given, 40)
    enough, few = (
        (rivals.by_nearest(given, index, number)(given.queries).double() - expected).abs().max()
        for number in (SIZE // 2, 3)
    )
    assert enough < 1e-5 < few


@pytest.mark.skipif(shutil.which("g++") is None, reason="PyKeOps compiles what it runs")
def test_a_loop_that_is_compiled_reads_the_same():
    pytest.importorskip("pykeops", reason="make setup installs what the benchmarks need")
    given = problem(*KERNELS["threshold"])
    found = rivals.keops(given)(given.queries)
    torch.testing.assert_close(found.double(), rivals.exact(given, 40), rtol=0, atol=1e-5)


def test_what_does_not_fit_is_refused_before_it_is_tried():
    given = problem()
    with pytest.raises(rivals.DoesNotFit, match="GB"):
        rivals.formula(given, limit=1e5)(given.queries)


@needs_gpu
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", rivals.ON_DEVICE)
def test_a_gpu_reads_the_same(name, kernel):
    given = problem(*KERNELS[kernel])
    found = rivals.EXACT[name](given.to("cuda"))(given.queries[1:].to("cuda")).cpu()
    torch.testing.assert_close(found.double(), rivals.exact(given, 40)[1:], rtol=0, atol=2e-5)


@needs_gpu
def test_a_memory_moves_to_a_gpu_and_back_and_reads_the_same():
    given = problem()
    memory = SpatialMemory(2, 24, max_memory_size=SIZE)
    memory.write(given.locations, given.sd, given.senses)
    before = memory.read(given.queries, given.sd)
    there = memory.to("cuda").read(given.queries.to("cuda"), given.sd).cpu()
    after = memory.to("cpu").read(given.queries, given.sd)
    torch.testing.assert_close(there, before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after, before)
