"""A memory is exchanged under way, and nothing that was written is lost."""

import math
import threading
import time

import numpy as np
import pytest
import torch

from tree_world.models.memory import Consolidate, Prune, SpatialMemory, forgetting
from tree_world.models.memory.forgetting import work_of
from tree_world.models.memory.store import exchange as hot_swap
from tree_world.models.memory.store.exchange import Superseded
from tree_world.models.memory.store.task import Cancelled, Task

DIM = 8


def filled(number=200, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    memory = SpatialMemory(2, DIM, **options)
    places = 40 * torch.randn(number, 2, generator=generator)
    memory.write(places, 5.0, torch.sin(places @ torch.ones(2, DIM) / 40))
    return memory


class Gate:
    """Lets work wait at a point until a test has done something meanwhile."""

    def __init__(self, monkeypatch, name):
        self.reached, self.opened = threading.Event(), threading.Event()
        original = getattr(forgetting, name)

        def waiting(*args, **kwargs):
            result = original(*args, **kwargs)
            self.reached.set()
            assert self.opened.wait(30)
            return result

        monkeypatch.setattr(forgetting, name, waiting)


@pytest.fixture(params=["prune", "consolidate"])
def under_way(request, monkeypatch):
    """A memory, a task at work on it that is about to swap, and what lets it go on."""
    memory = filled()
    before = memory.ids[0].tolist()
    gate = Gate(monkeypatch, request.param)
    if request.param == "prune":
        task = memory.prune_in_background(0.3, 25.0)
    else:
        task = memory.consolidate_in_background(40, 25.0, num_steps=20)
    assert gate.reached.wait(30)
    assert not task.done()
    assert memory.ids[0].tolist() == before
    yield request.param, memory, task, gate.opened
    gate.opened.set()


def state_of(memory):
    return [memory.ids, memory.ages, memory.memory_locations, memory.memory_senses]


def assert_unchanged(memory, before):
    for tensor, old in zip(state_of(memory), before, strict=True):
        assert torch.equal(tensor, old)


# --- what happens meanwhile ----------------------------------------------------------------------


def test_what_is_written_meanwhile_stays(under_way):
    name, memory, task, go_on = under_way
    place, sense = torch.tensor([[7.0, 8.0]]), torch.full((1, DIM), 3.0)
    ids = memory.write(place, 1.0, sense)
    assert len(memory) == 201
    go_on.set()
    report = task.result(30)
    left = report.num_kept if name == "prune" else report.num_after
    assert left < 200
    assert len(memory) == left + 1
    assert memory.ids[0, -1] == ids[0]
    assert memory.ages[0, -1] == 0
    assert torch.equal(memory.memory_locations[0, -1:], place)
    assert torch.equal(memory.memory_senses[0, -1:], sense)
    all_ids = memory.ids[0].tolist()
    assert len(set(all_ids)) == len(all_ids)
    assert int(memory.write(place, 1.0, sense)[0]) > max(all_ids)


def test_what_is_merged_meanwhile_stays_as_merged(under_way):
    _, memory, task, go_on = under_way
    identity, place = int(memory.ids[0, 17]), memory.memory_locations[0, 17:18].clone()
    memory.merge_sense_distance = 100.0
    assert memory.write(place, 0.01, torch.full((1, DIM), 9.0), update=True).tolist() == [identity]
    go_on.set()
    task.result(30)
    at = memory.ids[0].tolist().index(identity)
    assert at == len(memory) - 1  # it is the latest that was written
    torch.testing.assert_close(
        memory.memory_senses[0, at], torch.full((DIM,), 9.0), rtol=1e-3, atol=0
    )


def test_deleting_meanwhile(under_way):
    name, memory, task, go_on = under_way
    gone = memory.ids[0, ::2]
    memory.delete(gone)
    before = state_of(memory)
    go_on.set()
    if name == "prune":
        report = task.result(30)
        assert not set(gone.tolist()) & set(memory.ids[0].tolist())
        assert len(memory) < report.num_kept
    else:  # what was deleted is part of the virtual observations
        with pytest.raises(Superseded, match="deleted while they were being consolidated"):
            task.result(30)
        assert_unchanged(memory, before)


def test_a_full_memory_goes_on_forgetting_the_oldest(monkeypatch):
    memory = filled(200, max_memory_size=200)
    gate = Gate(monkeypatch, "prune")
    task = memory.prune_in_background(0.3, 25.0)
    assert gate.reached.wait(30)
    memory.write(500 + torch.rand(150, 2), 5.0, torch.ones(150, DIM))
    gate.opened.set()
    task.result(30)
    ids = memory.ids[0].tolist()
    assert ids[-150:] == list(range(200, 350))
    assert all(150 <= identity < 200 for identity in ids[:-150])
    assert len(ids) < 200


def test_virtual_observations_make_room_in_a_full_memory(monkeypatch):
    memory = filled(200, max_memory_size=200)
    gate = Gate(monkeypatch, "consolidate")
    task = memory.consolidate_in_background(100, 25.0, num_steps=20)
    assert gate.reached.wait(30)
    memory.write(500 + torch.rand(180, 2), 5.0, torch.ones(180, DIM))
    gate.opened.set()
    task.result(30)
    assert len(memory) == 200
    assert set(range(200, 380)) <= set(memory.ids[0].tolist())


def write_in_batches_instead(memory):
    memory.reset()
    memory.write(torch.zeros(3, 1, 2), 1.0, torch.ones(3, 1, DIM))


@pytest.mark.parametrize(
    "change",
    [
        lambda memory: memory.reset(),
        lambda memory: memory.to(dtype=torch.float64),
        write_in_batches_instead,
    ],
)
def test_a_memory_that_has_become_another_is_left_alone(under_way, change):
    _, memory, task, go_on = under_way
    change(memory)
    before = state_of(memory)
    go_on.set()
    with pytest.raises(Superseded, match="start again"):
        task.result(30)
    assert_unchanged(memory, before)


def test_another_projection_meanwhile(monkeypatch):
    memory = SpatialMemory(2, DIM, 3)
    senses = torch.randn(100, DIM, generator=torch.Generator().manual_seed(0))
    memory.write(torch.rand(100, 2) * 50, 5.0, senses)
    gate = Gate(monkeypatch, "prune")
    task = memory.prune_in_background(math.inf, 25.0)
    assert gate.reached.wait(30)
    memory.fit_projection(senses.flip(1))
    before = state_of(memory)
    gate.opened.set()
    with pytest.raises(Superseded):
        task.result(30)
    assert_unchanged(memory, before)


def test_gradients_asked_for_meanwhile(under_way):
    _, memory, task, go_on = under_way
    memory.requires_grad_()
    go_on.set()
    with pytest.raises(ValueError, match="requires_grad_"):
        task.result(30)
    assert len(memory) == 200


# --- what fails, or is called off ----------------------------------------------------------------


def test_cancelled_work_leaves_the_memory_as_it_was(under_way):
    _, memory, task, go_on = under_way
    before = state_of(memory)
    task.cancel()
    go_on.set()
    with pytest.raises(Cancelled, match="as it was"):
        task.result(30)
    assert_unchanged(memory, before)


def test_long_work_stops_soon_after_it_is_cancelled():
    memory = filled(5000, max_memory_size=5000)
    task = memory.consolidate_in_background(1000, 25.0, num_steps=100_000)
    time.sleep(0.2)
    task.cancel()
    with pytest.raises(Cancelled):
        task.result(60)
    assert len(memory) == 5000


def test_greedy_removal_looks_at_the_flag():
    memory = filled(2000, max_memory_size=2000)
    work = work_of(memory, Prune(math.inf, 25.0))
    with pytest.raises(Cancelled):
        work(np.ones(1, dtype=np.bool_))
    assert len(memory) == 2000


def test_an_exception_leaves_the_memory_as_it_was(monkeypatch):
    memory = filled()
    before = state_of(memory)

    def fail(*_, **__):
        raise RuntimeError("out of order")

    for name in ("prune", "bring_up_to_date"):
        with monkeypatch.context() as patch:
            patch.setattr(forgetting, name, fail)
            task = memory.prune_in_background(0.3, 25.0)
            with pytest.raises(RuntimeError, match="out of order"):
                task.result(30)
            assert_unchanged(memory, before)
    memory.prune(0.3, 25.0)
    assert len(memory) < 200


def test_arguments_are_checked_before_work_begins():
    with pytest.raises(ValueError, match="max_error_to_prune"):
        filled().prune_in_background(-1.0)
    with pytest.raises(ValueError, match="target_size"):
        filled().consolidate_in_background(0)


def test_results_can_be_waited_for_with_patience_or_without():
    release = threading.Event()
    task = Task(lambda stop: release.wait(30))
    with pytest.raises(TimeoutError):
        task.result(0.01)
    assert not task.done()
    release.set()
    assert task.result(30) is True
    assert task.done()


@pytest.mark.parametrize("name", ["prune", "consolidate"])
def test_only_what_is_there_when_it_is_asked_for_is_worked_on(name):
    """Work that begins late leaves alone what was written in between."""
    memory = filled()
    if name == "prune":
        work = work_of(memory, Prune(math.inf, None, 1))
    else:
        work = work_of(memory, Consolidate(1, None, 5))
    ids = memory.write(torch.zeros(50, 2), 5.0, torch.zeros(50, DIM)).tolist()
    report = work(np.zeros(1, dtype=np.bool_))
    assert report.num_before == 200
    assert memory.ids[0].tolist()[-50:] == ids
    assert len(memory) < 100


@pytest.mark.parametrize("place", [None, [0.0, 0.0]])
def test_searches_go_on_in_what_is_left(place):
    memory, key = filled(400), torch.ones(DIM)
    sd = None if place is None else 5.0

    def drawn():
        samples = memory.sample_with_origin(
            place, sd, key, 200, location_temperature=100.0, seed=0, method="cells"
        )
        return set(samples.ids.tolist())

    before = drawn()
    assert before <= set(memory.ids[0].tolist())
    memory.prune(0.3, 25.0)
    left = set(memory.ids[0].tolist())
    assert before - left
    assert drawn() <= left
    memory.write(torch.zeros(1, 2), 1.0, 1e3 * torch.ones(1, DIM))
    assert drawn() == {400}  # what outweighs all else is found at once


# --- everything at once --------------------------------------------------------------------------


def test_changes_while_the_copy_is_made(monkeypatch):
    """Rows that change between two portions of the copy count as written later."""
    monkeypatch.setattr(hot_swap, "_TOGETHER", 16)
    memory = filled(160, max_memory_size=160)
    row = memory[0].store
    turns = iter(range(100))

    class Meddling:
        """A lock that lets somebody else in each time before it is taken."""

        def __enter__(self):
            turn = next(turns)
            if turn in (1, 5):
                memory.write(torch.full((1, 2), 900.0), 1.0, torch.full((1, DIM), float(turn)))
            if turn == 3:
                memory.delete([int(memory.ids[0, 40])])

        def __exit__(self, *_):
            return None

    snapshot = hot_swap.Snapshot.of(row, row.clock, Meddling())
    assert len(snapshot.ids) == 160 - 2  # one made room, one was deleted and its slot taken
    assert (snapshot.ids < 160).all()
    where = torch.from_numpy(snapshot.slots)
    assert torch.equal(snapshot.observations.senses, row.senses[where])
    assert np.array_equal(snapshot.written_at, row.written_at[snapshot.slots])


@pytest.mark.parametrize("deleting", [False, True])
def test_hundreds_of_swaps_under_writing_reading_and_deleting(deleting):
    """Whatever was written is there, was deleted, or went with a report; nothing comes twice."""
    memory = SpatialMemory(2, DIM, max_memory_size=100_000)
    ended = threading.Event()
    failures, written, deleted = [], {}, set()
    generator = torch.Generator().manual_seed(0)

    def live():
        step = 0
        try:
            while not ended.is_set():
                places = 30 * torch.rand(4, 2, generator=generator)
                senses = torch.sin(places @ torch.ones(2, DIM) / 20)
                ids = memory.write(places, 3.0, senses).tolist()
                assert not set(ids) & set(written)
                written.update(zip(ids, senses, strict=True))
                if deleting and step % 5 == 0:
                    try:
                        memory.delete([ids[0]])
                    except KeyError:  # a swap came first, and it went with a report
                        assert ids[0] not in memory.ids[0].tolist()
                    else:
                        deleted.add(ids[0])
                step += 1
                time.sleep(0.001)
        except Exception as error:
            failures.append(error)

    def look():
        try:
            while not ended.is_set():
                with memory.common.lock:  # two looks at the same moment agree
                    ids, senses = memory.ids[0].tolist(), memory.memory_senses[0]
                assert len(ids) == len(set(ids)) == len(senses)
                assert ids == sorted(ids)
                read = memory.read([[15.0, 15.0]], 3.0)
                assert torch.isfinite(read).all()
                assert not ids or float(read.norm()) > 0.1  # never a memory that is half made
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for work in (live, look)]
    for thread in threads:
        thread.start()
    removed = swaps = 0
    deadline = time.monotonic() + 60
    while swaps < 200 and time.monotonic() < deadline and not failures:
        report = memory.prune_in_background(0.2, 15.0, 1, max_witnesses=200).result(60)
        removed += report.num_removed
        swaps += 1
    ended.set()
    for thread in threads:
        thread.join(30)
    assert not failures, failures[0]
    assert swaps >= 100
    left = set(memory.ids[0].tolist())
    assert left <= set(written) - deleted
    # Those deleted in the middle of a swap may count as removed by it, too; else it is exact.
    missing = len(written) - len(left)
    assert missing - len(deleted) <= removed <= missing
    for identity, sense in zip(memory.ids[0].tolist(), memory.memory_senses[0], strict=True):
        assert torch.equal(sense, written[identity])
