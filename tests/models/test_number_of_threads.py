"""The same bits with one thread and with two."""

import pytest
import torch

from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.recall import screening

NUMBER, PLACES = 3000, 150


@pytest.fixture(scope="module")
def memory():
    generator = torch.Generator().manual_seed(0)
    memory = SpatialMemory(2, 64, max_memory_size=NUMBER)
    places = 500 * torch.rand(NUMBER, 2, generator=generator)
    memory.write(places, 2.0, torch.randn(NUMBER, 64, generator=generator))
    return memory


def fields(found):
    return (found.mean, found.spread, found.effective_sample_size, found.log_weight)


WORK = {
    **{
        f"{method}, {threshold}": lambda memory, places, method=method, threshold=threshold: fields(
            memory.recall(places, 3.0, threshold, method=method)
        )
        for method in ("auto", "sparse", "chunked", "dense")
        for threshold in (None, 25.0)
    },
    "linear": lambda memory, places: fields(memory.recall(places, 3.0, 25.0, order="linear")),
    "leave one out": lambda memory, _: vars(memory.leave_one_out(match_threshold=25.0)).values(),
    "draws": lambda memory, places: (
        memory.sample(places[0], 20.0, torch.ones(64), 50),
        memory.sample(None, None, torch.ones(64), 50, method="exact"),
    ),
}


@pytest.mark.parametrize("work", WORK)
def test_the_number_of_threads_changes_no_bit(work, memory, monkeypatch):
    monkeypatch.setattr(screening, "PARALLEL_FROM", 0)
    places = memory.memory_locations[0, :PLACES] + 1.0
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(list(WORK[work](memory, places)))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        if isinstance(one, torch.Tensor):
            assert torch.equal(one.nan_to_num(), two.nan_to_num())
