"""Work that is shared out among threads: the tests themselves run with one each."""

import threading

import pytest
import torch

from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.recall.screening import in_parallel
from tree_world.models.memory.types import TENSORS, Observations, ReadOptions

MANY = 10**9  # multiplications, which are worth waking threads for


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("number", "most_threads", "expected"), [(10, None, 3), (10, 2, 2), (2, None, 2), (1, None, 1)]
)
def test_each_item_is_done_once_by_one_of_the_threads(number, most_threads, expected):
    done, threads = [], set()

    def work(first, stride):
        assert stride == expected
        done.extend(range(first, number, stride))
        threads.add(threading.get_ident())

    in_parallel(work, number, MANY, most_threads)
    assert sorted(done) == list(range(number))
    assert 1 <= len(threads) <= expected
    assert (len(threads) > 1) == (expected > 1)  # the caller's own, and others


def test_an_error_in_another_thread_is_raised():
    def work(first, stride):
        if first == 1:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        in_parallel(work, 10, MANY)


@pytest.mark.parametrize("threshold", [None, 20.0])
def test_reads_are_the_same_with_any_number_of_threads(threshold):
    generator = torch.Generator().manual_seed(0)
    observations = Observations(
        100 * torch.randn(3000, 2, generator=generator), torch.full((3000, 2), 5.0),
        torch.randn(3000, 64, generator=generator),
    )  # fmt: skip
    places, sds = 100 * torch.randn(1500, 2, generator=generator), torch.full((1, 2), 5.0)
    options = ReadOptions(threshold, method="sparse", support=True)
    shared = read(places, sds, observations, options)
    torch.set_num_threads(1)
    alone = read(places, sds, observations, options)
    for name in TENSORS:
        torch.testing.assert_close(getattr(shared, name), getattr(alone, name), rtol=0, atol=0)
