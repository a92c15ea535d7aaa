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


# --- what is noted, and what comes back ----------------------------------------------------------


def dies(memory, *shards):
    """As if the workers of some shards had died."""
    whole = memory._whole
    with whole.lock:
        whole._restore(set(shards))


def told(memory):
    """Ids that the next call says are lost."""
    try:
        memory.read(torch.zeros(1, 2), 5.0, 30.0)
    except WritesLost as lost:
        return lost.ids
    return torch.empty(0, dtype=torch.int64)


def some(number, seed, kinds=1):
    """Places and senses of few kinds, so that much is merged."""
    generator = torch.Generator().manual_seed(seed)
    places = 100 * torch.randn(number, 2, generator=generator)
    return places, 5.0, torch.eye(DIM)[torch.randint(kinds, (number,), generator=generator)]


@pytest.fixture
def small(here, tmp_path):
    """Two shards with a thousand observations, and their checkpoint."""
    with ShardedMemory(
        2, DIM, max_memory_size=1000, num_shards=2, client=here, folder=tmp_path / "own"
    ) as memory:
        memory.write(*some(1000, 0, kinds=DIM))
        memory.checkpoint()
        yield memory


def test_what_had_to_make_room_does_not_come_back(small):
    ids = small.write(*some(600, 1))
    dies(small, 0)
    lost = told(small)
    there = small.observations().ids
    assert len(small) == len(there) <= 1000
    assert there.min() >= 600
    assert torch.equal(torch.sort(lost).values, ids[~torch.isin(ids, there)])


def test_what_was_pruned_is_not_called_lost(small):
    ids = small.write(*some(300, 1))
    small.prune(0.5, 30.0)
    gone = ids[~torch.isin(ids, small.observations().ids)]
    assert len(gone) > 10
    dies(small, 0, 1)
    lost = told(small)
    assert not torch.isin(gone, lost).any()
    assert torch.isin(ids, torch.cat([lost, gone])).all()


@pytest.mark.parametrize("turn", [3, 40])
def test_a_death_in_the_middle_of_merging_is_told(here, tmp_path, monkeypatch, turn):
    with ShardedMemory(
        2, DIM, max_memory_size=2000, num_shards=2, client=here, folder=tmp_path / "own"
    ) as memory:
        memory.write(*some(600, 0, kinds=DIM))
        memory.checkpoint()
        whole, turns = memory._whole, []
        ask = whole.ask

        def dying(requests):
            if any(request[0] == "merge" for request in requests.values()):
                turns.append(requests)
                if len(turns) == turn:
                    whole._restore({whole.regions.shards[0]})
            return ask(requests)

        monkeypatch.setattr(whole, "ask", dying)
        with pytest.raises(WritesLost) as caught:
            memory.write(*some(400, 1, kinds=DIM), update=True, merge_distance=2.0)
        monkeypatch.undo()
        assert len(turns) >= turn
        ids = caught.value.answer
        missing = ids[~torch.isin(ids, memory.observations().ids)]
        assert torch.isin(missing, caught.value.ids).all()


def test_what_merging_has_drawn_across_a_border_is_there_once(here, tmp_path):
    with ShardedMemory(
        2, DIM, max_memory_size=4000, num_shards=2, client=here, folder=tmp_path / "own"
    ) as memory:
        memory.write(*some(600, 0))
        memory.checkpoint()
        before = memory.observations().ids
        memory.write(*some(400, 1), update=True)
        whole = memory._whole
        assert sum(map(len, whole.moved)) > 3
        for shard in (0, 1, 0):
            dies(memory, shard)
            lost, there = told(memory), memory.observations().ids
            assert len(there) == len(there.unique()) == len(memory)
            assert torch.isin(before, there).all()
            # One that is told and is there was in the checkpoint: what came to it is lost.
            assert torch.isin(lost[torch.isin(lost, there)], before).all()


def test_a_shard_that_refuses_leaves_the_others_known(here):
    with ShardedMemory(2, DIM, max_memory_size=2000, num_shards=8, client=here) as memory:
        memory.write(*some(500, 0))
        places = torch.zeros(2000, 2)
        places[::5] = 300 * torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
        with contextlib.suppress(ValueError):
            memory.write(places, 5.0, torch.ones(2000, DIM))
        held = memory.observations()
        assert len(memory) == len(held.ids)
        assert memory.recall(held.locations, 5.0, 5.0).known.all()
