"""What is older than a time is forgotten."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.models.memory import Consolidate, Expire, Memory, SpatialMemory, forgetting
from tree_world.models.memory.store.exchange import Superseded

DIM = 3


def written(number=40, seed=0, **choices):
    generator = torch.Generator().manual_seed(seed)
    places = 60 * torch.randn(number, 2, generator=generator)
    times = torch.randint(0, 20, (number,), generator=generator).double()
    memory = SpatialMemory(2, DIM, **choices)
    memory.write(places, 5.0, torch.randn(number, DIM, generator=generator), times=times)
    return memory


def as_lists(memory):
    return {name: part.tolist() for name, part in memory.observations()._asdict().items()}


@settings(max_examples=30)
@given(
    number=st.integers(1, 60),
    deleted=st.integers(0, 5),
    before=st.floats(-5, 25),
    whole=st.booleans(),
)
def test_just_what_is_older_goes(number, deleted, before, whole):
    before = float(round(before)) if whole else before
    memory = written(number)
    memory.delete(memory.ids[0, :deleted])
    expected = as_lists(memory)
    stays = [time >= before for time in expected["times"]]
    report = memory.forget(Expire(before))
    expected = {
        name: [one for one, kept in zip(column, stays, strict=True) if kept]
        for name, column in expected.items()
    }
    assert as_lists(memory) == expected
    assert (report.num_before, report.num_kept) == (len(stays), sum(stays))
    assert report.num_removed == len(stays) - sum(stays)
    assert report.before == before
    assert memory.forget(Expire(before)).num_removed == 0


def test_reads_are_those_of_what_is_left():
    memory = written(3000, max_memory_size=4000)  # which has an index
    where = 50 * torch.randn(20, 2, generator=torch.Generator().manual_seed(3))
    options = {"match_threshold": 40.0}
    expected = memory.recall(where, 4.0, **options, not_before=12.0)
    memory.forget(Expire(before=12))
    found = memory.recall(where, 4.0, **options)
    torch.testing.assert_close(found.mean, expected.mean, rtol=2e-6, atol=2e-6)
    assert torch.equal(found.known, expected.known)
    near = memory.neighbours([0.0, 0.0], 30.0)
    assert len(near)
    assert set(near.tolist()) <= set(memory.ids[0].tolist())


def test_of_a_batch_each_row_and_one_alone():
    memory = SpatialMemory(2, DIM)
    times = torch.tensor([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    memory.write(torch.zeros(2, 3, 2), 1.0, torch.zeros(2, 3, DIM), times=times)
    report = memory.forget(Expire(3.0))
    assert (report.num_before, report.num_kept, report.num_removed) == (6, 4, 2)
    assert [row.num_kept for row in report.rows] == [1, 3]
    assert str(report) == "2 of 6 observations went, 4 stayed: those from 3 on"
    report = memory[1].forget(Expire(4.0))
    assert (report.num_before, report.num_kept, report.rows) == (3, 2, ())
    assert [len(one) for one in memory] == [1, 2]
    alone = Memory(2, DIM)
    alone.write(torch.zeros(3, 2), 1.0, torch.zeros(3, DIM))
    assert alone.forget(Expire(2.0)).num_kept == 1  # by what it counts
    assert alone.forget(Expire(9.0)).num_kept == len(alone) == 0
    assert alone.forget(Expire(9.0)).num_before == 0


def test_a_folder_keeps_what_its_checkpoint_names(tmp_path):
    memory = written(30, storage=tmp_path / "senses")
    memory.checkpoint()
    before = as_lists(memory)
    memory.forget(Expire(10.0))
    left = as_lists(memory)
    memory.write(torch.zeros(30, 2), 1.0, torch.zeros(30, DIM), times=99.0)
    del memory
    memory = SpatialMemory.load(tmp_path / "senses")
    assert as_lists(memory) == before
    memory.forget(Expire(10.0))
    memory.checkpoint()
    del memory
    assert as_lists(SpatialMemory.load(tmp_path / "senses")) == left


def test_what_fails_leaves_all(monkeypatch):
    memory = written()
    before = as_lists(memory)
    monkeypatch.setattr(type(memory.common), "follow", lambda _: 1 / 0)  # when all is done
    with pytest.raises(ZeroDivisionError):
        memory.forget(Expire(10.0))
    monkeypatch.undo()
    assert as_lists(memory) == before


@pytest.mark.parametrize("before", [math.nan, math.inf, -math.inf, "noon", None, True])
def test_a_time_is_a_finite_number(before):
    with pytest.raises(ValueError, match="before must be a"):
        Expire(before)
    assert Expire(np.float32(1.5)) == Expire(1.5)


def test_it_is_done_at_once_and_without_gradients():
    memory = written()
    for one in (memory, memory[0]):
        with pytest.raises(ValueError, match="without background"):
            one.forget(Expire(10.0), background=True)
        memory.requires_grad_()
        with pytest.raises(ValueError, match="requires gradients cannot forget"):
            one.forget(Expire(10.0))
        memory.requires_grad_(False)
    assert len(memory) == 40
    leaves = memory.parameters()
    memory.forget(Expire(10.0))
    assert len(leaves[0]) == len(memory) < 40  # they go on being what is stored


def test_witnesses_that_nothing_tells_any_more_are_let_go():
    memory = SpatialMemory(2, DIM)
    same = [[1.0, 0.0, 0.0]] * 2
    memory.write([[0.0, 0.0], [1.0, 0.0]], 4.0, same, times=[1.0, 1.0])
    assert memory.prune(0.05, 25.0).num_kept == memory.num_witnesses == 1
    memory.forget(Expire(2.0))
    memory.write([[0.0, 0.0]], 4.0, [[0.0, 1.0, 0.0]], times=3.0)
    assert memory.prune(0.05, 25.0).num_lost_witnesses == 1


@pytest.mark.parametrize("name", ["prune", "consolidate"])
def test_what_is_old_does_not_come_back(monkeypatch, name):
    memory = written(60)
    original = getattr(forgetting, name)

    def meanwhile(*args, **kwargs):
        found = original(*args, **kwargs)
        memory.forget(Expire(10.0))
        return found

    monkeypatch.setattr(forgetting, name, meanwhile)
    if name == "prune":
        memory.prune_in_background(3.0, 60.0).result(60)
    else:
        with pytest.raises(Superseded):
            memory.forget(Consolidate(20, 60.0, num_steps=3), background=True).result(60)
    assert len(memory)
    assert (memory.times >= 10.0).all()
