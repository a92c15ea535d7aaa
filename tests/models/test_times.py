"""Observations carry a time, and what is not older than one can be left out of a read."""

import copy
import math
import pickle
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.models.memory import (
    Consolidate,
    Memory,
    Prune,
    ReadOptions,
    SpatialMemory,
    forgetting,
)
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.types import TENSORS, Observations

DIM = 5
WITHOUT_TIMES = Path(__file__).parent / "written-without-times"


def given_observations(number, seed=0, spread=40.0):
    """Places, deviations, senses and times, which are in no order."""
    generator = torch.Generator().manual_seed(seed)
    places = spread * torch.randn(number, 2, generator=generator)
    sds = 3.0 + 4.0 * torch.rand(number, 2, generator=generator)
    senses = torch.randn(number, DIM, generator=generator)
    return places, sds, senses, torch.randperm(number, generator=generator).double()


def both(number, not_since, *, deleted=7, **choices):
    """A memory, and one that holds only what is older."""
    places, sds, senses, times = given_observations(number)
    whole = SpatialMemory(2, DIM, max_memory_size=number, **choices)
    ids = whole.write(places, sds, senses, times=times)
    whole.delete(ids[:deleted])
    older = torch.nonzero(times[deleted:] < not_since).squeeze(-1) + deleted
    choices.pop("storage", None)
    few = SpatialMemory(2, DIM, max_memory_size=number, **choices)
    if len(older):
        few.write(places[older], sds[older], senses[older], times=times[older])
    return whole, few


def agree(found, expected, atol=2e-6):
    """Compare all that a read tells; as far as tails are left out of it."""
    for name in TENSORS:
        own, wanted = getattr(found, name), getattr(expected, name)
        bound = {"spread": 5e-5, "effective_sample_size": 1e-3}.get(name, atol)
        if name == "spread":  # a tail is a share of the variance
            own, wanted = own.square(), wanted.square()
        torch.testing.assert_close(own, wanted, rtol=bound, atol=bound, equal_nan=True)


WAYS = {
    "index": {"match_threshold": 20.0},
    "index, linear": {"match_threshold": 20.0, "order": "linear"},
    "index by weight": {},
    "index by weight, little memory": {"method": "sparse", "memory_limit": 2**16},
    "index, where all matters": {"match_threshold": 1e4},
    "linear": {"order": "linear"},
    "dense": {"method": "dense"},
    "dense within": {"method": "dense", "match_threshold": 20.0},
    "chunked": {"method": "chunked"},
    "chunked within": {"method": "chunked", "match_threshold": 20.0},
    "sparse": {"method": "sparse"},
    "sparse within": {"method": "sparse", "match_threshold": 20.0},
    "sparse, linear": {"method": "sparse", "order": "linear"},
}


@pytest.mark.parametrize("kind", ["single", "double", "half"])
@pytest.mark.parametrize("way", WAYS)
def test_reads_are_those_of_a_memory_that_holds_only_what_is_older(way, kind):
    choices = {
        "single": {},
        "double": {"dtype": torch.float64},
        "half": {"storage_dtype": torch.float16},
    }[kind]
    not_since = 2100.0  # so that what is left is most, for those that give up where most matters
    whole, few = both(2500, not_since, **choices)
    places = given_observations(150, seed=1, spread=50.0)[0]
    for queries in (places[:40], places):  # which the index serves, and which it may not
        found = whole.recall(queries, 8.0, not_since=not_since, **WAYS[way])
        expected = few.recall(queries, 8.0, **WAYS[way])
        agree(found, expected)
        mean = whole.read(queries, 8.0, not_since=not_since, **WAYS[way])
        torch.testing.assert_close(mean, expected.mean, rtol=2e-6, atol=2e-6)
        one = whole[0].recall(queries, 8.0, not_since=not_since, how=ReadOptions(**WAYS[way]))
        agree(one, found, 1e-9)
        assert not torch.equal(found.log_weight, whole.recall(queries, 8.0, **WAYS[way]).log_weight)


@pytest.mark.parametrize("threshold", [None, 20.0])
def test_reads_by_attention_leave_out_what_is_not_older(threshold):
    whole, few = both(2500, 1250.0)
    places = given_observations(150, seed=1, spread=50.0)[0]
    found = whole.read(places, 4.0, threshold, method="attention", not_since=1250.0)
    expected = few.read(places, 4.0, threshold, method="attention")
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=2e-4)


@settings(max_examples=25)
@given(
    number=st.integers(0, 60),
    not_since=st.integers(-5, 65),
    threshold=st.sampled_from([None, 5.0, 30.0, 1e3]),
    method=st.sampled_from(["auto", "dense", "chunked", "sparse"]),
    order=st.sampled_from(["constant", "linear"]),
    deleted=st.integers(0, 20),
)
def test_any_number_may_be_older(number, not_since, threshold, method, order, deleted):
    whole, few = both(max(number, 1), not_since, deleted=deleted)
    places = given_observations(5, seed=1)[0]
    # What either leaves out differs, and planes through few observations tell.
    how = ReadOptions(threshold, method=method, order=order, tail=1e-12)
    options = {"how": how}
    found = whole.recall(places, 4.0, not_since=not_since, **options)
    agree(found, few.recall(places, 4.0, **options))


@pytest.mark.parametrize("threshold", [None, 20.0])
@pytest.mark.parametrize("number", [50, 2500])
def test_where_nothing_is_older_nothing_is_known(number, threshold):
    whole, _ = both(number, 0.0)
    found = whole.recall([[0.0, 0.0], [1e5, 0.0]], 4.0, threshold, not_since=0.0)
    assert not found.known.any()
    assert not found.mean.any()
    assert (found.log_weight == -math.inf).all()


@pytest.mark.parametrize(("not_before", "not_since"), [(400.0, None), (300.0, 2400.0)])
@pytest.mark.parametrize("way", WAYS)
def test_reads_of_a_while_are_those_of_a_memory_that_holds_only_that(way, not_before, not_since):
    bounds = {"not_before": not_before, "not_since": not_since}
    places, sds, senses, times = given_observations(2500)
    whole, few = (SpatialMemory(2, DIM, max_memory_size=2500) for _ in range(2))
    whole.delete(whole.write(places, sds, senses, times=times)[:7])  # slots of infinite times
    chosen = (times >= not_before) & (times < (not_since or math.inf))
    chosen[:7] = False
    few.write(places[chosen], sds[chosen], senses[chosen])
    queries = given_observations(150, seed=1, spread=50.0)[0]
    for where in (queries[:40], queries):
        found = whole.recall(where, 8.0, **bounds, **WAYS[way])
        agree(found, few.recall(where, 8.0, **WAYS[way]))
        mean = whole[0].read(where, 8.0, **bounds, how=ReadOptions(**WAYS[way]))
        torch.testing.assert_close(mean, found.mean, rtol=2e-6, atol=2e-6)
        assert not torch.equal(found.log_weight, whole.recall(where, 8.0, **WAYS[way]).log_weight)


@pytest.mark.parametrize("threshold", [None, 20.0])
@pytest.mark.parametrize("number", [50, 2500])
def test_where_nothing_is_newer_nothing_is_known(number, threshold):
    whole, _ = both(number, 0.0)
    found = whole.recall([[0.0, 0.0], [1e5, 0.0]], 4.0, threshold, not_before=1e4)
    assert not found.known.any()
    assert (found.log_weight == -math.inf).all()


@pytest.mark.parametrize("threshold", [None, 5.0])
def test_a_time_is_left_out_from_itself_on(threshold):
    memory = SpatialMemory(2, 2)
    memory.write(torch.zeros(2, 2), 1.0, torch.eye(2), times=[1.5, 2.5])
    here = [0.0, 0.0], 1.0, threshold
    assert memory.read(*here, not_since=2.5).tolist() == [1.0, 0.0]
    assert memory.read(*here, not_since=np.nextafter(2.5, 3)).tolist() == [0.5, 0.5]
    assert memory.read(*here, not_since=1.5).tolist() == [0.0, 0.0]
    assert memory.read(*here, not_before=1.5).tolist() == [0.5, 0.5]
    assert memory.read(*here, not_before=np.nextafter(1.5, 3)).tolist() == [0.0, 1.0]
    assert memory.read(*here, not_before=1.5, not_since=2.5).tolist() == [1.0, 0.0]
    assert memory.read(*here, not_before=2.5, not_since=2.5).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("way", ["index", "index by weight", "dense", "sparse", "linear"])
def test_a_memory_on_disk_leaves_out_as_one_in_memory_does(way, tmp_path):
    whole, few = both(2500, 1250.0, storage=tmp_path / "folder")
    places = given_observations(20, seed=1)[0]
    found = whole.recall(places, 4.0, not_since=1250.0, **WAYS[way])
    agree(found, few.recall(places, 4.0, **WAYS[way]))
    times = whole.times
    whole.checkpoint()
    del whole
    again = SpatialMemory.load(tmp_path / "folder")
    assert torch.equal(again.times, times)
    agree(again.recall(places, 4.0, not_since=1250.0, **WAYS[way]), found, 1e-9)


@pytest.mark.parametrize("threshold", [None, 20.0])
def test_gradients_are_those_of_what_is_older(threshold):
    not_since = 60.0
    whole, few = both(100, not_since, deleted=0, dtype=torch.float64)
    places = given_observations(4, seed=1)[0].double()
    slopes = []
    for memory, since in ((whole, not_since), (few, None)):
        memory.requires_grad_()
        here = places.clone().requires_grad_()
        found = memory.recall(here, 4.0, threshold, not_since=since)
        (found.mean.square().sum() + found.spread[found.known].sum()).backward()
        slopes.append((here.grad, *(leaf.grad for leaf in memory.parameters())))
    older = whole.times[0] < not_since
    torch.testing.assert_close(slopes[0][0], slopes[1][0])
    for own, wanted in zip(slopes[0][1:], slopes[1][1:], strict=True):
        torch.testing.assert_close(own[older], wanted)
        assert not own[~older].any()
        assert wanted.any()


def test_gradients_to_what_was_written():
    whole, few = both(100, 60.0, deleted=3)
    here = given_observations(4, seed=1)[0]
    for name in ("detach_locations", "detach_senses"):
        found = whole.read(here, 4.0, not_since=60.0, **{name: True})
        torch.testing.assert_close(found, few.read(here, 4.0))
    here.requires_grad_()
    (own,) = torch.autograd.grad(whole.read(here, 4.0, not_since=60.0).sum(), here)
    (wanted,) = torch.autograd.grad(few.read(here, 4.0).sum(), here)
    torch.testing.assert_close(own, wanted)


def test_each_row_of_a_batch_has_its_own_times():
    places, sds, senses, _ = given_observations(20)
    batch = SpatialMemory(2, DIM)
    times = torch.stack([torch.arange(20.0), torch.arange(20.0).flip(0), torch.full((20,), 3.0)])
    three = (one.expand(3, *one.shape) for one in (places, sds, senses))
    batch.write(*three, times=times)
    assert batch.times.dtype == torch.float64
    assert torch.equal(batch.times, times.double())
    found = batch.recall(places, 4.0, not_since=8.0)
    for row in range(3):
        one = SpatialMemory(2, DIM)
        older = times[row] < 8.0
        one.write(places[older], sds[older], senses[older])
        agree(found.mapped(lambda own, row=row: own[row]), one.recall(places, 4.0))
        agree(batch[row].recall(places, 4.0, not_since=8.0), one.recall(places, 4.0))
    batch[1].delete([0, 1])
    assert batch.times[1, :18].tolist() == times[1, 2:].tolist()
    assert batch.times[1, 18:].isnan().all()
    one_for_all = SpatialMemory(2, DIM)
    three = (one.expand(3, *one.shape) for one in (places, sds, senses))
    one_for_all.write(*three, times=7)
    assert (one_for_all.times == 7.0).all()


def test_without_a_time_the_memory_counts():
    memory = SpatialMemory(2, DIM, max_memory_size=12)
    places, sds, senses, _ = given_observations(20)
    memory.write(places[:5], sds[:5], senses[:5])
    memory.write(places[5], sds[5], senses[5])
    assert memory.times.tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]
    memory.write(places[6:], sds[6:], senses[6:])
    assert torch.equal(memory.times, (memory.num_writes - 1 - memory.ages).double())
    held = memory.observations()
    assert torch.equal(held.times, memory.times[0])
    assert torch.equal(memory[0].observations().times, held.times)


def test_of_more_than_there_is_room_for_the_last_times_stay():
    memory = SpatialMemory(2, DIM, max_memory_size=12)
    places, sds, senses, times = given_observations(20)
    memory.write(places, sds, senses, times=times)
    assert torch.equal(memory.times[0], times[8:])
    memory.write(places[:5], sds[:5], senses[:5], times=-1.5)
    assert memory.times[0].tolist() == [*times[13:].tolist(), *[-1.5] * 5]


@pytest.mark.parametrize(("old", "new", "expected"), [(3.0, 9.0, 9.0), (9.0, 3.0, 9.0)])
def test_what_is_merged_takes_the_newer_time(old, new, expected):
    memory = SpatialMemory(2, 2)
    memory.write([[0.0, 0.0], [90.0, 0.0]], 5.0, [[1.0, 0.0], [0.0, 1.0]], times=[old, 0.0])
    ids = memory.write([[0.1, 0.0], [50.0, 0.0]], 5.0, torch.eye(2), update=True, times=[new, 4.0])
    assert ids.tolist() == [0, 2]
    held = memory.observations()
    assert dict(zip(held.ids.tolist(), held.times.tolist(), strict=True)) == {
        0: expected,
        1: 0.0,
        2: 4.0,
    }


def test_what_is_merged_without_a_time_is_counted():
    memory = SpatialMemory(2, 2)
    memory.write([[0.0, 0.0], [90.0, 0.0]], 5.0, torch.eye(2))
    memory.write([0.0, 0.0], 5.0, [1.0, 0.0], update=True)
    assert memory.times.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (math.nan, "times must be finite, but nan"),
        ([0.0, math.inf, 1.0], "times must be finite, but inf"),
        ([0.0, 1.0], r"one for each observation, \(3,\), but have shape \(2,\)"),
        ([[0.0, 1.0, 2.0]] * 2, r"but have shape \(2, 3\)"),
        ("noon", "times must"),
        (True, "times must"),
    ],
)
def test_times_are_checked_before_anything_is_stored(times, message):
    places, sds, senses, _ = given_observations(3)
    memory = SpatialMemory(2, DIM)
    for one in (memory, memory[0], Memory(2, DIM)):
        with pytest.raises(ValueError, match=message):
            one.write(places, sds, senses, times=times)
        assert len(one) == 0


@pytest.mark.parametrize("name", ["not_since", "not_before"])
@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf])
def test_bounds_are_finite_times(time, name):
    memory = SpatialMemory(2, 2)
    for one in (memory, memory[0]):
        for method in (one.read, one.recall):
            with pytest.raises(ValueError, match=f"{name} must be a finite time"):
                method([0.0, 0.0], 1.0, **{name: time})
    with pytest.raises(ValueError, match=f"{name} must be a real number"):
        memory.read([0.0, 0.0], 1.0, **{name: "noon"})


def test_reads_of_arrays_ask_for_times():
    places, sds, senses, times = given_observations(30)
    stored = Observations(places, sds, senses)
    how = ReadOptions(not_since=10.0)
    with pytest.raises(ValueError, match=r"not_since asks for times of .* but none were given"):
        read(places, sds, stored, how)
    with pytest.raises(ValueError, match=r"not_before asks for times of .* but none were given"):
        read(places, sds, stored, ReadOptions(not_before=10.0))
    with pytest.raises(ValueError, match="but 3 were given"):
        read(places, sds, stored, how, times=np.zeros(3))
    older = torch.nonzero(times < 10).squeeze(-1)
    agree(
        read(places, sds, stored, how, times=times.numpy()), read(places, sds, stored.take(older))
    )


# --- what is kept through changes ----------------------------------------------------------------


def times_by_id(memory):
    held = memory.observations()
    return dict(zip(held.ids.tolist(), held.times.tolist(), strict=True))


def written(number=120, **choices):
    places, sds, senses, times = given_observations(number)
    memory = SpatialMemory(2, DIM, max_memory_size=400, **choices)
    memory.write(places, sds, 0.1 * senses, times=times / 4 - 7)
    return memory


def test_deleting_leaves_the_times_of_the_others():
    memory = written()
    before = times_by_id(memory)
    memory.delete([3, 40, 119])
    assert times_by_id(memory) == {i: t for i, t in before.items() if i not in (3, 40, 119)}
    memory.write([0.0, 0.0], 1.0, torch.ones(DIM), times=1e9)  # where another one was
    assert times_by_id(memory) == {i: t for i, t in before.items() if i not in (3, 40, 119)} | {
        120: 1e9
    }
    memory.parameters()  # which closes gaps
    assert len(times_by_id(memory)) == 118
    assert times_by_id(memory)[118] == before[118]


def test_what_fails_leaves_times_as_they_were(monkeypatch):
    memory = written()
    memory.delete([5])
    before = times_by_id(memory)
    merged = memory.memory_locations[0, :1], 5.0, memory.memory_senses[0, :1]
    monkeypatch.setattr(type(memory.common), "follow", lambda _: 1 / 0)  # when all is done
    with pytest.raises(ZeroDivisionError):
        memory.write(*merged, update=True, times=1e3)
    with pytest.raises(ZeroDivisionError):
        memory.write(*merged, times=1e3)
    with pytest.raises(ZeroDivisionError):
        memory.delete([7, 8])
    monkeypatch.undo()
    assert times_by_id(memory) == before
    assert not memory.read([0.0, 0.0], 4.0, not_since=-8.0).any()


def test_pruning_keeps_times_and_what_was_written_meanwhile(monkeypatch):
    memory = written()
    before = times_by_id(memory)
    original = forgetting.prune

    def meanwhile(*args, **kwargs):
        memory.write([500.0, 0.0], 1.0, torch.ones(DIM), times=77.0)
        memory.delete([2])
        return original(*args, **kwargs)

    monkeypatch.setattr(forgetting, "prune", meanwhile)
    memory.forget(Prune(0.2, 25.0), background=True).result(60)
    after = times_by_id(memory)
    assert len(after) < 100
    assert after.pop(120) == 77.0
    assert after.items() <= before.items()
    assert 2 not in after


def test_virtual_observations_have_the_newest_time_of_what_they_stand_for():
    memory = SpatialMemory(2, 2, max_memory_size=100)
    generator = torch.Generator().manual_seed(0)
    near, far = torch.randn(2, 20, 2, generator=generator)
    places = torch.cat([near, far + 500.0])
    senses = torch.tensor([[1.0, 0.0]] * 20 + [[0.0, 1.0]] * 20)
    times = torch.cat([torch.arange(20.0), 100 - torch.arange(20.0)])
    memory.write(places, 5.0, senses, times=times)
    memory.forget(Consolidate(2, num_steps=20))
    held = memory.observations()
    assert len(held.times) == 2
    first = 0 if held.locations[0, 0] < 250 else 1
    assert held.times[first] == 19.0
    assert held.times[1 - first] == 100.0


def test_of_many_virtual_observations_each_is_as_new_as_the_newest_that_is_nearest():
    memory = written()
    before = memory.observations()
    memory.forget(Consolidate(20, 25.0, num_steps=20))
    after = memory.observations()
    nearest = torch.cdist(before.locations.double(), after.locations.double()).argmin(dim=1)
    for virtual in range(len(after.times)):
        own = before.times[nearest == virtual]
        if len(own):
            assert after.times[virtual] >= own.max()
    assert after.times.max() == before.times.max()
    assert set(after.times.tolist()) <= set(before.times.tolist())


def test_assigning_keeps_times_or_counts_anew():
    memory = written(20)
    before = memory.times
    memory.memory_locations = memory.memory_locations + 1.0
    assert torch.equal(memory.times, before)
    places, sds, senses, _ = given_observations(3)
    memory.memory_locations = places
    memory.memory_location_sds = sds
    memory.memory_senses = senses
    assert memory.times.tolist() == [[20.0, 21.0, 22.0]]


def test_copies_files_and_other_precisions_keep_times(tmp_path):
    memory = written()
    memory.delete([0, 7])
    before = times_by_id(memory)
    memory.save(tmp_path / "memory.safetensors")
    others = [
        copy.deepcopy(memory),
        pickle.loads(pickle.dumps(memory)),
        SpatialMemory.load(tmp_path / "memory.safetensors"),
    ]
    for other in [*others, copy.deepcopy(memory).to(dtype=torch.float64)]:
        assert times_by_id(other) == before
        other.write([0.0, 0.0], 1.0, torch.ones(DIM), times=5.25)
        assert times_by_id(other) == before | {120: 5.25}
    assert times_by_id(memory) == before


def test_a_pickle_from_before_there_were_times_is_read():
    memory = written(10)
    state = memory[0].store.__getstate__()
    del state["times"]
    again = copy.copy(memory[0].store)
    again.__setstate__(state)
    assert again.times[:10].tolist() == list(range(10))
    again.append(torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(1, DIM), np.array([2.5]))
    assert again.times[10] == 2.5


@pytest.mark.parametrize("name", ["memory.safetensors", "folder"])
def test_what_was_saved_without_times_has_those_that_were_counted(name, tmp_path):
    source, own = WITHOUT_TIMES / name, tmp_path / name
    shutil.copytree(source, own) if source.is_dir() else shutil.copy(source, own)
    memory = SpatialMemory.load(own)
    assert memory.ids.tolist() == [[1, 3, 0]]
    assert memory.times.tolist() == [[1.0, 3.0, 4.0]]
    assert torch.equal(memory.times, (memory.num_writes - 1 - memory.ages).double())
    assert memory.read([0.0, 0.0], 5.0, 10.0, not_since=4.0).tolist() == [0.0, 0.0, 0.0]
    assert memory.read([0.0, 0.0], 5.0, 10.0).tolist() == [1.0, 0.0, 0.0]
    memory.write([0.0, 0.0], 5.0, [0.0, 1.0, 0.0], times=-3.5)
    memory.checkpoint() if source.is_dir() else memory.save(own)
    times = memory.times
    del memory
    assert torch.equal(SpatialMemory.load(own).times, times)


def test_times_that_are_not_finite_are_damage(tmp_path):
    memory = written(10)
    memory[0].store.times[3] = math.nan
    memory.save(tmp_path / "memory.safetensors")
    with pytest.raises(ValueError, match=r"0\.times"):
        SpatialMemory.load(tmp_path / "memory.safetensors")


@pytest.mark.parametrize("options", [{"match_threshold": 25.0}, {}])
def test_senses_are_not_copied(options):
    memory = SpatialMemory(2, 2000, max_memory_size=3000)
    generator = torch.Generator().manual_seed(0)
    places = 300 * torch.randn(3000, 2, generator=generator)
    memory.write(places, 5.0, torch.randn(3000, 2000, generator=generator))
    place = [0.0, 0.0]
    memory.read(place, 5.0, not_since=1500.0, **options)  # which may compile
    tracemalloc.start()
    with torch.profiler.profile(profile_memory=True) as profile:
        memory.read(place, 5.0, not_since=1500.0, **options)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    taken = sum(max(0, event.self_cpu_memory_usage) for event in profile.events())
    assert taken + most < memory[0].store.senses.nbytes / 10


# --- options together ----------------------------------------------------------------------------


def test_options_may_be_given_together():
    memory = written()
    places = given_observations(4, seed=1)[0]
    how = ReadOptions(25.0, order="linear", ridge=0.2, not_since=10.0)
    wanted = memory.recall(places, 4.0, 25.0, order="linear", ridge=0.2, not_since=10.0)
    for one in (memory, memory[0]):
        agree(one.recall(places, 4.0, how=how), wanted, 1e-9)
        torch.testing.assert_close(one.read(places, 4.0, how=how), wanted.mean)
        beside = ReadOptions(order="linear", ridge=0.2)
        agree(one.recall(places, 4.0, 25.0, not_since=10.0, how=beside), wanted, 1e-9)
        agree(one.recall(places, 4.0, 25.0, how=how), wanted, 1e-9)  # twice the same
        for other in ({"match_threshold": 30.0}, {"not_since": 9.0}):
            with pytest.raises(ValueError, match=f"{next(iter(other))} is given twice"):
                one.read(places, 4.0, how=how, **other)
    with pytest.raises(ValueError, match=r"tail is given twice: 0\.001 by itself and 0\.0001"):
        memory.read(places, 4.0, tail=1e-3, how=ReadOptions(tail=1e-4))
