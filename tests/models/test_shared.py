"""Copies, threads, processes and modes: whoever shares a memory finds it whole."""

import copy
import multiprocessing
import os
import pickle
import threading
import time

import pytest
import torch

from tree_world.models.memory import SpatialMemory

SENSORY = 5


def numbered(first, some):
    """Observations, whose every number tells which one it is."""
    numbers = torch.arange(first, first + some, dtype=torch.float32)
    places = torch.stack([numbers % 97, numbers % 89], dim=-1)
    return places, 3.0, (numbers % 997)[:, None].expand(-1, SENSORY)


def assert_whole(memory):
    ids = memory.ids[0]
    assert torch.equal(memory.memory_senses[0], (ids % 997).float()[:, None].expand(-1, SENSORY))
    assert torch.equal(memory.memory_locations[0, :, 0], (ids % 97).float())
    if len(ids):
        here = memory.memory_locations[0]
        reads = [memory.read(here, 0.5, 3.0, method=m) for m in ("dense", "auto", "chunked")]
        torch.testing.assert_close(reads[0], reads[1], rtol=1e-4, atol=1e-2)
        torch.testing.assert_close(reads[0], reads[2], rtol=1e-4, atol=1e-2)
        memory.delete(ids)
    assert len(memory) == 0


@pytest.fixture
def at_work():
    """A memory into which another thread writes, and from which it deletes."""
    memory, ended, failures = SpatialMemory(2, SENSORY, max_memory_size=200), threading.Event(), []

    def live():
        try:
            while not ended.is_set():
                memory.write(*numbered(memory.num_writes, 7))
                memory.delete(memory.ids[0, :3])
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=live)
    thread.start()
    yield memory
    ended.set()
    thread.join(60)
    assert not failures


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda memory: pickle.loads(pickle.dumps(memory)),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_whole_while_others_write(at_work, name):
    ended = time.monotonic() + 1.0
    number = 0
    while time.monotonic() < ended or number < 5:
        assert_whole(COPIES[name](at_work))
        number += 1


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_the_same_memory_and_one_of_its_own(name):
    memory = SpatialMemory(2, SENSORY, 3, max_memory_size=40, merge_distance=2.0)
    memory.write(*numbered(0, 30)[:2], torch.randn(30, SENSORY))
    memory.delete([3, 4])
    memory.prune(0.1, 25.0)
    other = COPIES[name](memory)
    for attribute in ("ids", "ages", "memory_locations", "memory_location_sds", "memory_senses"):
        assert torch.equal(getattr(memory, attribute), getattr(other, attribute))
    key = torch.ones(SENSORY)
    draws = [one.sample([0.0, 0.0], 9.0, key, 5, method="cells") for one in (memory, other)]
    assert torch.equal(*draws)
    assert len(other[0].store.witnesses) == len(memory[0].store.witnesses)
    number = len(memory)
    other.write(*numbered(30, 20)[:2], torch.randn(20, SENSORY))
    other.delete(other.ids[0, :1])
    assert len(memory) == number
    assert other.max_memory_size == 40
    assert other.merge_distance == 2.0
    other.write(*numbered(50, 60)[:2], torch.randn(60, SENSORY))
    assert len(other) == 40


def test_a_copy_of_a_memory_with_gradients_has_its_own():
    memory = SpatialMemory(2, SENSORY)
    memory.write(*numbered(1, 6))
    memory.requires_grad_()
    other = copy.deepcopy(memory)
    other.read([[1.0, 1.0]], 5.0).sum().backward()
    assert all(tensor.grad is not None for tensor in other.parameters())
    assert all(tensor.grad is None for tensor in memory.parameters())
    with torch.no_grad():
        other.parameters()[2].zero_()
    assert float(memory.memory_senses.detach().abs().sum()) > 0


def test_a_shallow_copy_is_refused():
    with pytest.raises(TypeError, match=r"use copy\.deepcopy|Use copy\.deepcopy"):
        copy.copy(SpatialMemory(2, SENSORY))


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")


def in_child(work):
    """Do something in a forked process, and tell what came of it."""
    ours, theirs = multiprocessing.Pipe()
    child = os.fork()
    if child == 0:  # nothing of the test may run here
        try:
            theirs.send(work())
        except BaseException as error:
            theirs.send(repr(error))
        finally:
            os._exit(0)
    answer = ours.recv() if ours.poll(30) else "nothing"
    os.kill(child, 9)
    os.waitpid(child, 0)
    return answer


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_reads_and_writes_while_its_parent_writes(at_work):
    torch.set_num_threads(1)

    def work():
        assert_whole(at_work)
        at_work.write(*numbered(at_work.num_writes, 7))
        return len(at_work)

    for _ in range(8):
        assert in_child(work) == 7
        time.sleep(0.01)


@forks
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_memory_on_disk_is_not_shared_with_forked_processes(tmp_path):
    memory = SpatialMemory(2, SENSORY, storage=tmp_path / "m")
    memory.write(*numbered(0, 7))
    answer = in_child(lambda: memory.write(*numbered(7, 7)))
    assert "belongs to the process" in answer
    assert "belongs to the process" in in_child(lambda: len(memory))
    memory.write(*numbered(7, 7))
    assert_whole(memory)


# --- inference mode ------------------------------------------------------------------------------


def made_in_inference_mode(how, tmp_path):
    senses = torch.randn(30, SENSORY, generator=torch.Generator().manual_seed(0))
    places = numbered(0, 30)[0]
    memory = SpatialMemory(2, SENSORY, 3 if how == "fit_projection" else None)
    memory.write(places, 3.0, senses)
    with torch.inference_mode():
        if how == "made":
            memory = SpatialMemory(2, SENSORY, 3, projection=torch.eye(3, SENSORY))
            memory.write(places, 3.0, senses)
        elif how == "copied":
            memory = copy.deepcopy(memory)
        elif how == "loaded":
            memory.save(tmp_path / "m")
            memory = SpatialMemory.load(tmp_path / "m")
        elif how == "on disk":
            memory = SpatialMemory(2, SENSORY, storage=tmp_path / "disk")
            memory.write(places, 3.0, senses)
            memory.checkpoint()
        elif how == "reset":
            memory.reset()
            memory.write(places.clone(), 3.0, senses.clone())
        elif how == "moved":
            memory.to(dtype=torch.float64).to(dtype=torch.float32)
        elif how == "pruned":
            memory.prune(2.0, 50.0)
        elif how == "consolidated":
            memory.consolidate(10, 50.0, num_steps=3)
        elif how == "in the background":
            memory.consolidate_in_background(10, 50.0, num_steps=3).result(60)
        elif how == "fit_projection":
            memory.fit_projection(senses + 1.0)
        elif how == "parameters":
            memory.parameters()
        elif how == "read":
            memory.read(places, 3.0)
            memory.sample(None, None, senses[0], 3, method="cells")
            memory.search(senses[0], match_threshold=25.0)
    return memory


@pytest.mark.parametrize(
    "how", ["made", "copied", "loaded", "on disk", "reset", "moved", "pruned", "consolidated",
            "in the background", "fit_projection", "parameters", "read"],
)  # fmt: skip
def test_what_is_done_in_inference_mode_can_be_changed_outside(how, tmp_path):
    memory = made_in_inference_mode(how, tmp_path)
    memory.write(*numbered(0, 5))
    memory.write(*numbered(0, 5), update=True)
    memory.delete(memory.ids[0, :2])
    memory.prune(0.5, 50.0)
    if how != "on disk":
        memory.requires_grad_()
        memory.read([[1.0, 1.0]], 5.0).square().sum().backward()
        assert all(tensor.grad is not None for tensor in memory.parameters())
        memory.requires_grad_(False)
        memory.to(dtype=torch.float64)
    memory.reset()
    memory.write(*numbered(0, 5))
    assert len(memory) == 5
