"""Workers that die: what a checkpoint holds is never lost, and nothing waits for ever."""

import contextlib
import os
import signal
import sys
import threading
import time

import pytest
import torch

from tree_world.cluster import ShardedMemory, WritesLost

DIM, SHARDS = 3, 4


def observations(number, seed):
    generator = torch.Generator().manual_seed(seed)
    return (
        100 * torch.randn(number, 2, generator=generator),
        5.0,
        torch.randn(number, DIM, generator=generator),
    )


@pytest.fixture
def memory(client, tmp_path):
    client.wait_for_workers(2, timeout=60)
    with ShardedMemory(
        2, DIM, max_memory_size=4000, num_shards=SHARDS, client=client, folder=tmp_path / "own"
    ) as memory:
        yield memory


def kill(client, memory, shard=None):
    """Kill the process that has a shard, or the first that has any; say which shards it had."""
    places = memory._whole.fleet.places
    address = places[next(iter(places)) if shard is None else shard].address
    pid = client.run(os.getpid, workers=[address])[address]
    os.kill(pid, signal.SIGKILL)
    return [shard for shard, place in places.items() if place.address == address]


def killed_soon(client, memory, seconds):
    places = memory._whole.fleet.places
    address = places[0].address
    pid = client.run(os.getpid, workers=[address])[address]
    timer = threading.Timer(seconds, os.kill, (pid, signal.SIGKILL))
    timer.start()
    return timer


def test_a_worker_that_dies_is_restored_and_what_was_lost_is_named(client, memory):
    first = memory.write(*observations(600, 0))
    memory.delete(first[:10])
    memory.checkpoint()
    kept = memory.observations()
    memory.delete(first[10:20])
    later = memory.write(*observations(200, 1))
    everything = memory.observations()
    had = kill(client, memory)
    with pytest.raises(WritesLost, match="since the last checkpoint") as caught:
        memory.read(torch.zeros(2, 2), 5.0, 30.0)
    lost = caught.value
    assert lost.shards == had
    assert lost.answer.shape == (2, DIM)
    assert 0 < lost.number == len(lost.ids) < 200
    assert torch.isin(lost.ids, later).all()
    # All else is there, nothing that was deleted came back, and the memory goes on.
    there = memory.observations()
    wanted = everything.ids[~torch.isin(everything.ids, lost.ids)]
    assert torch.equal(there.ids, wanted)
    assert torch.isin(kept.ids[20:], there.ids).all()
    again = memory.write(*observations(50, 2))
    assert torch.isin(again, memory.observations().ids).all()


def test_kills_in_the_middle_of_writes_reads_and_checkpoints(client, memory, tmp_path):
    memory.write(*observations(500, 3))
    memory.checkpoint()
    whole = memory.observations().ids
    places, sd, senses = observations(500, 4)

    def write_and_read():
        for _ in range(10):
            memory.write(places[:100], sd, senses[:100])
            memory.read(places[:500], sd, 30.0)

    done = []
    for turn, work in enumerate((write_and_read, memory.checkpoint)):
        timer = killed_soon(client, memory, 0.02 * turn)
        begun = time.monotonic()
        try:
            work()
            done.append("answer")
        except WritesLost:
            done.append("told")
        assert time.monotonic() - begun < 60
        timer.join()
        if work == memory.checkpoint and done[-1] == "answer":
            whole = memory.observations().ids
        with contextlib.suppress(WritesLost):  # so that whoever died is noticed
            memory.read(places[:1], sd, 30.0)
        assert torch.isin(whole, memory.observations().ids).all()
    assert set(done) <= {"answer", "told"}
    # Of the folder, too.
    memory.close()
    with ShardedMemory.load(tmp_path / "own", client=client) as again:
        assert torch.isin(whole, again.observations().ids).all()


def test_without_a_folder_what_a_worker_held_is_lost(here, monkeypatch):
    with ShardedMemory(2, DIM, max_memory_size=900, num_shards=2, client=here) as memory:
        memory.write(*observations(400, 5))
        fleet = memory._whole.fleet
        ask = fleet.ask
        # As if there was no answer, once.
        answers = [lambda _: ({}, {}, {0})]
        monkeypatch.setattr(fleet, "ask", lambda asked: (answers.pop() if answers else ask)(asked))
        with pytest.raises(WritesLost, match="give a folder") as caught:
            memory.read(torch.zeros(1, 2), 5.0)
        assert caught.value.number == 400 - len(memory) > 0


def test_what_is_asked_again_is_done_once(here):
    with ShardedMemory(2, DIM, max_memory_size=900, num_shards=2, client=here) as memory:
        memory.write(*observations(100, 5))
        fleet = memory._whole.fleet
        held = memory._whole.ask({0: ("held", *memory._whole.regions.of(0))})[0]
        first = fleet.ask({0: ("put", held._replace(ids=held.ids + 1000))})[0][0]
        fleet.number -= 1
        again = fleet.ask({0: ("put", held)})[0][0]
        assert first.size == again.size == 2 * len(held.ids)


def test_a_checkpoint_that_is_not_complete_does_not_count(here, tmp_path, monkeypatch):
    from tree_world.cluster import whole

    folder = tmp_path / "own"
    with ShardedMemory(2, DIM, num_shards=2, client=here, folder=folder) as memory:
        ids = memory.write(*observations(300, 6))
        memory.checkpoint()
        memory.write(*observations(10, 7))

        def broken(*_):
            raise OSError("the disk is full")

        monkeypatch.setattr(whole, "complete", broken)
        with pytest.raises(OSError, match="full"):
            memory.checkpoint()
        monkeypatch.undo()
    with ShardedMemory.load(folder, client=here, folder=folder) as again:
        assert torch.equal(again.observations().ids, ids)
        again.checkpoint()
    assert len(list(folder.glob("*.shard"))) == len(again._whole.regions.shards) + 1


def test_a_cluster_that_is_gone_is_named(here, monkeypatch):
    with ShardedMemory(2, DIM, num_shards=2, client=here) as memory:
        memory.write(*observations(10, 8))
        whole = memory._whole
        monkeypatch.setattr(whole.fleet, "ask", lambda waiting: ({}, {}, set(waiting)))
        monkeypatch.setattr("tree_world.cluster.whole._TRIES", 2)
        with pytest.raises(ConnectionError, match="died"):
            memory.read([[0.0, 0.0]], 5.0)
        monkeypatch.undo()
        monkeypatch.setattr(whole.fleet, "workers", set)
        monkeypatch.setattr("tree_world.cluster.fleet._PATIENCE", 0.1)
        with pytest.raises(ConnectionError, match="start workers"):
            whole.fleet.start([0], {0: whole._given(0)})


def test_dask_is_asked_for_by_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r"tree-world\[cluster\]"):
        ShardedMemory(2, DIM)
