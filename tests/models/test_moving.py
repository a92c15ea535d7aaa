"""What is remembered is placed elsewhere, and the memory is as if it had been sensed there."""

import copy
import math
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.interrupting import interrupted_at_each_line
from tests.models import oracle
from tree_world.models.memory import (
    Consolidate,
    Memory,
    Prune,
    SpatialMemory,
    forgetting,
)
from tree_world.models.memory.store import exchange
from tree_world.models.memory.store.exchange import Snapshot, Superseded

DIM = 4
KEY = torch.tensor([1.0, -0.5, 0.25, 0.0])


def observations(number, seed=0, spread=40.0):
    generator = torch.Generator().manual_seed(seed)
    places = spread * torch.randn(number, 2, generator=generator)
    sds = 2.0 + 6.0 * torch.rand(number, 2, generator=generator)
    return places, sds, torch.randn(number, DIM, generator=generator)


def state_of(memory):
    held = memory.observations()
    return [*held, memory.num_writes if isinstance(memory, SpatialMemory) else None]


def same(one, other):
    return all(
        torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right
        for left, right in zip(one, other, strict=True)
    )


def moved_and_expected(number, share, *, used=False, **choices):
    """A memory of which a share was moved, and one that was written at the new places."""
    places, sds, senses = observations(number)
    new_places, new_sds, _ = observations(number, seed=1)
    chosen = torch.randperm(number, generator=torch.Generator().manual_seed(2))
    chosen = chosen[: round(share * number)]
    times = torch.arange(number).flip(0).double()
    moved, expected = (SpatialMemory(2, DIM, max_memory_size=number, **choices) for _ in range(2))
    ids = moved.write(places, sds, senses, times=times)
    if used:  # so that there are an index, and a search key that is kept ready
        moved.recall(places[:5], 1.0, 20.0)
        moved.sample([0.0, 0.0], 9.0, KEY, 5, method="cells")
        moved.search(KEY, 3)
    moved.move(ids[chosen], new_places[chosen], new_sds[chosen])
    places[chosen], sds[chosen] = new_places[chosen], new_sds[chosen]
    expected.write(places, sds, senses, times=times)
    return moved, expected


WAYS = {
    "as it comes": {},
    "index within": {"match_threshold": 20.0},
    "dense": {"method": "dense"},
    "chunked within": {"method": "chunked", "match_threshold": 20.0},
    "sparse": {"method": "sparse"},
    "sparse within": {"method": "sparse", "match_threshold": 20.0},
    "linear": {"order": "linear", "match_threshold": 60.0},
    "older": {"not_since": 1000.0, "match_threshold": 20.0},
}


@pytest.mark.parametrize("share", [0.002, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["single", "double", "half"])
def test_reads_are_those_of_a_memory_that_was_written_there(kind, share):
    choices = {
        "single": {},
        "double": {"dtype": torch.float64},
        "half": {"storage_dtype": torch.float16},
    }[kind]
    moved, expected = moved_and_expected(2500, share, used=True, **choices)
    assert same(state_of(moved), state_of(expected))
    queries = observations(30, seed=3)[0]
    for way in WAYS.values():
        found, wanted = (memory.recall(queries, 5.0, **way) for memory in (moved, expected))
        torch.testing.assert_close(found.mean, wanted.mean, rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(found.log_weight, wanted.log_weight, rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(found.nearest_distance, wanted.nearest_distance)


def test_reads_are_those_of_the_formula_at_the_new_places():
    moved, _ = moved_and_expected(300, 0.5)
    held, queries = moved.observations(), observations(20, seed=3)[0]
    for threshold in (None, 25.0):
        found = moved.recall(queries, 5.0, threshold)
        sds = np.full((20, 2), 5.0)
        mean, _, _, nearest = oracle.read(queries, sds, *held[:3], threshold)
        np.testing.assert_allclose(found.mean, mean, atol=2e-6)
        np.testing.assert_allclose(found.nearest_distance, nearest, rtol=1e-5)


@pytest.mark.parametrize("share", [0.002, 1.0])
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("number", [300, 2500])
def test_draws_searches_and_neighbours_are_those_of_the_new_places(number, used, share):
    moved, expected = moved_and_expected(number, share, used=used)
    held = expected.observations()
    for centre in held.locations[:: number // 10]:
        assert torch.equal(moved.neighbours(centre, 15.0), expected.neighbours(centre, 15.0))
    options = {"location_temperature": 10.0, "seed": 4}
    for method in ("cells", "exact"):
        drawn, wanted = (
            memory.draw([0.0, 0.0], 9.0, KEY, 4000, method=method, **options)
            for memory in (moved, expected)
        )
        # The cells may be others, and so the draws; what they are drawn by is the same.
        by_id = dict(zip(wanted.ids.tolist(), wanted.log_probabilities.tolist(), strict=True))
        shared = [i for i in set(drawn.ids.tolist()) if i in by_id]
        assert len(shared) > 5
        own = dict(zip(drawn.ids.tolist(), drawn.log_probabilities.tolist(), strict=True))
        np.testing.assert_allclose(
            [own[i] for i in shared], [by_id[i] for i in shared], rtol=1e-4, atol=1e-4
        )
        assert abs(drawn.places.mean(dim=0) - wanted.places.mean(dim=0)).max() < 1.5
    found, wanted = (memory.search(KEY, 5, match_threshold=30.0) for memory in (moved, expected))
    assert torch.equal(found.ids, wanted.ids)
    torch.testing.assert_close(found.places, wanted.places)
    torch.testing.assert_close(found.match, wanted.match, rtol=1e-5, atol=1e-5)
    for one, other in zip(
        moved.read_location(KEY, [3.0, 4.0], 9.0, 1.0),
        expected.read_location(KEY, [3.0, 4.0], 9.0, 1.0),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    left_out = (memory.leave_one_out(30.0).error for memory in (moved, expected))
    torch.testing.assert_close(*left_out, rtol=1e-4, atol=1e-5)


def test_ids_ages_times_senses_and_order_stay():
    memory = SpatialMemory(2, DIM)
    places, sds, senses = observations(9)
    ids = memory.write(places, sds, senses, times=torch.arange(9.0) - 4.0)
    before = memory.observations()
    memory.move(ids[[6, 2]], [[1.0, 2.0], [3.0, 4.0]])  # in any order
    after = memory.observations()
    for name in ("ids", "ages", "times", "senses", "location_sds"):
        assert torch.equal(getattr(after, name), getattr(before, name))
    assert after.locations[[2, 6]].tolist() == [[3.0, 4.0], [1.0, 2.0]]
    rest = [i for i in range(9) if i not in (2, 6)]
    assert torch.equal(after.locations[rest], before.locations[rest])
    assert memory.num_writes == 9
    assert memory.write(places[:1], 1.0, senses[:1]).tolist() == [9]


def test_the_oldest_still_makes_room():
    memory = SpatialMemory(2, DIM, max_memory_size=4)
    places, sds, senses = observations(6)
    ids = memory.write(places[:4], sds[:4], senses[:4])
    memory.move(ids[:1], [[7.0, 7.0]])
    memory.write(places[4:], sds[4:], senses[4:])
    assert memory.ids[0].tolist() == [2, 3, 4, 5]


def test_deviations_broadcast_as_in_a_write():
    memory = Memory(2, DIM)
    places, sds, senses = observations(3)
    ids = memory.write(places, sds, senses)
    memory.move(ids, places, 7.0)
    assert memory.observations().location_sds.tolist() == [[7.0, 7.0]] * 3
    memory.move(ids, places, [1.0, 2.0])
    assert memory.observations().location_sds.tolist() == [[1.0, 2.0]] * 3
    memory.move(ids, places, [[1.0], [2.0], [3.0]])
    assert memory.observations().location_sds.tolist() == [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    memory.move(ids[1], places[1], 9.0)
    assert memory.observations().location_sds[1].tolist() == [9.0, 9.0]


def test_of_covariances_the_roots_of_the_diagonal_are_kept():
    memory = Memory(2, DIM)
    places, sds, senses = observations(2)
    ids = memory.write(places, sds, senses)
    own = [[[4.0, 1.0], [1.0, 9.0]], [[16.0, 0.0], [0.0, 1e-4]]]
    memory.move(ids, places, location_covariances=own)
    np.testing.assert_allclose(memory.observations().location_sds, [[2, 3], [4, 0.01]], rtol=1e-6)
    memory.move(ids, places, location_covariances=torch.tensor(own[0]))
    np.testing.assert_allclose(memory.observations().location_sds, [[2, 3], [2, 3]], rtol=1e-6)


def test_covariances_in_single_precision_are_symmetric_enough():
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(500, 2, 2, generator=generator) * torch.tensor([10.0, 1e3])[:, None]
    covariances = roots @ roots.mT + 1e-4 * torch.eye(2)
    covariances[:, 0, 1] *= 1 + 1e-6
    memory = Memory(2, DIM)
    places, sds, senses = observations(500)
    ids = memory.write(places, sds, senses)
    memory.move(ids, places, location_covariances=covariances)
    wanted = covariances.diagonal(dim1=1, dim2=2).sqrt()
    torch.testing.assert_close(memory.observations().location_sds, wanted)


@pytest.mark.parametrize("nobody", [[], torch.empty(0, dtype=torch.int64)])
@pytest.mark.parametrize("nowhere", [[], torch.empty(0, 2)])
def test_nobody_may_be_moved(nobody, nowhere):
    memory = SpatialMemory(2, DIM)
    memory.move(nobody, nowhere)
    memory.write(*observations(3))
    before = state_of(memory)
    memory.move(nobody, nowhere, 3.0)
    assert same(state_of(memory), before)


def wrong(ids, locations, *args, **kwargs):
    return ids, locations, args, kwargs


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        (wrong([0, 99], [[0, 0], [1, 1]]), KeyError, r"no observations with the ids \[99\]"),
        (wrong([-1], [[0, 0]]), KeyError, r"\[-1\]"),
        (wrong([3], [[0, 0]]), KeyError, r"\[3\]"),  # which was deleted
        (wrong([1, 2, 1], [[0, 0]] * 3), ValueError, r"\[1\] come more than once"),
        (wrong([0.5], [[0, 0]]), ValueError, "ids must be"),
        (wrong([True], [[0, 0]]), ValueError, "ids must be"),
        (wrong([1, 2], [[0, 0]]), ValueError, r"shape \(2, 2\), but have shape \(1, 2\)"),
        (wrong([1, 2], [[[0, 0], [1, 1]]]), ValueError, "one place for each of the 2 ids"),
        (wrong([], [[0, 0]]), ValueError, "one place for each of the 0 ids"),
        (wrong([1], []), ValueError, r"locations must have shape \(..., 2\)"),
        (wrong([1], [[0, 0, 0]]), ValueError, r"locations must have shape \(..., 2\)"),
        (wrong([1], [[0, math.nan]]), ValueError, "locations must be finite"),
        (wrong([1], [[0, 1e39]]), ValueError, "too large for torch.float32"),
        (wrong([1], [[0, 0]], 0.0), ValueError, "location_sds must be positive"),
        (wrong([1], [[0, 0]], [[1, -1]]), ValueError, "location_sds must be positive"),
        (wrong([1], [[0, 0]], math.nan), ValueError, "location_sds must be positive"),
        (wrong([1], [[0, 0]], [1, 1, 1]), ValueError, "broadcast to the shape"),
        (
            wrong([1], [[0, 0]], 1.0, location_covariances=[[[1, 0], [0, 1]]]),
            ValueError,
            "location_sds or location_covariances, but not both",
        ),
        *(
            (wrong([1], [[0, 0]], location_covariances=own), ValueError, match)
            for own, match in [
                ([[[1, 0.5], [0.4, 1]]], r"symmetric and positive definite.*\[\[1.0, 0.5\]"),
                ([[[1, 1], [1, 1]]], "symmetric and positive definite"),
                ([[[1, 2], [2, 1]]], "symmetric and positive definite"),
                ([[[0, 0], [0, 1]]], "symmetric and positive definite"),
                ([[[-1, 0], [0, 1]]], "symmetric and positive definite"),
                ([[[1, 0], [0, math.inf]]], "location_covariances must be finite"),
                ([1, 1], r"one for all, of shape \(2, 2\), but have shape \(2,\)"),
                ([[[1, 0], [0, 1]]] * 2, r"have shape \(2, 2, 2\)"),
                ([[[1e-100, 0], [0, 1]]], "beyond what torch.float32 can hold"),
            ]
        ),
    ],
)
def test_what_is_wrong_is_told_and_moves_nothing(given, error, match):
    ids, locations, args, kwargs = given
    memory = SpatialMemory(2, DIM)
    memory.write(*observations(5))
    memory.delete([3])
    before = state_of(memory)
    with pytest.raises(error, match=match):
        memory.move(ids, locations, *args, **kwargs)
    assert same(state_of(memory), before)


def test_of_a_batch_one_is_moved():
    memory = SpatialMemory(2, DIM)
    memory.write(torch.zeros(3, 2, 2), 1.0, torch.ones(3, 2, DIM))
    with pytest.raises(ValueError, match=r"batch of 3: say which one"):
        memory.move([0], [[5.0, 5.0]])
    memory[1].move([0], [[5.0, 5.0]])
    assert memory.memory_locations[:, 0].tolist() == [[0.0, 0.0], [5.0, 5.0], [0.0, 0.0]]


# --- gradients -----------------------------------------------------------------------------------


def test_parameters_are_what_was_moved():
    memory = SpatialMemory(2, DIM)
    memory.write(*observations(5))
    memory.delete([1])
    memory.requires_grad_()
    places, sds, _ = memory.parameters()
    memory.move([2], [[7.0, 8.0]], 9.0)
    assert memory.parameters()[0] is places
    assert places[1].tolist() == [7.0, 8.0]
    assert sds[1].tolist() == [9.0, 9.0]
    memory.read([[7.0, 8.0]], 5.0).square().sum().backward()
    assert bool(places.grad.any())
    with torch.no_grad():
        places[1] += 100.0
    memory.move([0], [[0.0, 0.0]])
    assert memory.memory_locations[0, :2].tolist() == [[0.0, 0.0], [107.0, 108.0]]
    memory.requires_grad_(False)
    assert memory.neighbours([107.0, 108.0], 1.0).tolist() == [2]


def test_gradients_do_not_flow_to_what_is_given():
    memory = SpatialMemory(2, DIM)
    ids = memory.write(*observations(2))
    place = torch.zeros(2, 2, requires_grad=True)
    memory.move(ids, place)
    assert not memory.memory_locations.requires_grad
    assert not memory.read([0.0, 0.0], 1.0).requires_grad


# --- any sequence --------------------------------------------------------------------------------


class MovingMachine(RuleBasedStateMachine):
    """Whatever is written, deleted and moved, the memory is one that was written so at once."""

    @initialize(
        capacity=st.integers(1, 12), half=st.booleans(), grad=st.booleans(), disk=st.booleans()
    )
    def start(self, capacity, half, grad, disk):
        self.scratch = tempfile.TemporaryDirectory()
        self.choices = {"max_memory_size": capacity}
        self.choices["storage_dtype"] = torch.float16 if half else None
        self.folder = Path(self.scratch.name) / "memory" if disk else None
        self.memory = SpatialMemory(2, DIM, storage=self.folder, **self.choices)
        _ = self.memory[0].store.index  # from now on it is kept up
        self.grad, self.held = grad and not (half or disk), {}
        if self.grad:
            self.memory.requires_grad_()

    @rule(number=st.integers(1, 15), seed=st.integers(0, 99))
    def write(self, number, seed):
        given = observations(number, seed)
        ids = self.memory.write(*given, times=torch.arange(number).flip(0)).tolist()
        for time, identity, *own in zip(reversed(range(number)), ids, *given, strict=True):
            self.held[identity] = [*own, time]
        while len(self.held) > self.choices["max_memory_size"]:
            del self.held[min(self.held)]

    @rule(data=st.data())
    def delete(self, data):
        chosen = data.draw(st.sets(st.sampled_from(sorted(self.held)))) if self.held else set()
        self.memory.delete(list(chosen))
        for identity in chosen:
            del self.held[identity]

    @rule(data=st.data(), seed=st.integers(0, 99), with_sds=st.booleans())
    def move(self, data, seed, with_sds):
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.held)), unique=True)
                           if self.held else st.just([]))  # fmt: skip
        places, sds, _ = observations(len(chosen), seed)
        self.memory.move(chosen, places, sds if with_sds and chosen else None)
        for at, identity in enumerate(chosen):
            self.held[identity][0] = places[at]
            if with_sds:
                self.held[identity][1] = sds[at]

    @rule(data=st.data(), seed=st.integers(0, 99))
    def move_there_and_back(self, data, seed):
        if not self.held:
            return
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.held)), unique=True, min_size=1))
        before = state_of(self.memory)
        places, sds, _ = observations(len(chosen), 1000 + seed)  # where nobody else has been
        self.memory.move(chosen, places, sds)
        assert not same(state_of(self.memory), before)
        was = [torch.stack([self.held[i][part] for i in chosen]) for part in (0, 1)]
        self.memory.move(chosen, *was)
        assert same(state_of(self.memory), before)

    @rule()
    def checkpoint(self):
        if self.folder is not None:
            self.memory.checkpoint()
            del self.memory
            self.memory = SpatialMemory.load(self.folder)

    @invariant()
    def as_if_written_so(self):
        if not hasattr(self, "memory"):
            return
        held = self.memory.observations()
        assert held.ids.tolist() == sorted(self.held)
        if not self.held:
            return
        own = [self.held[identity] for identity in sorted(self.held)]
        places, sds, senses = (torch.stack(part) for part in list(zip(*own, strict=True))[:3])
        times = torch.tensor([one[3] for one in own])
        anew = SpatialMemory(2, DIM, **self.choices)
        anew.write(places, sds, senses, times=times)
        for name in ("locations", "location_sds", "senses", "times"):
            wanted = getattr(anew.observations(), name)
            assert torch.equal(getattr(held, name), wanted)
        queries, _, _ = observations(3, seed=100)
        for options in ({}, {"match_threshold": 25.0}):
            reads = [memory.read(queries, 5.0, **options) for memory in (self.memory, anew)]
            torch.testing.assert_close(*reads, rtol=1e-5, atol=1e-5)
        near = self.memory.neighbours([0.0, 0.0], 30.0).tolist()
        positions = anew.neighbours([0.0, 0.0], 30.0).tolist()
        assert near == [sorted(self.held)[at] for at in positions]
        store = self.memory[0].store
        slots = store.slots_by_age()
        if not self.grad:
            for slot, place in zip(slots, held.locations.numpy(), strict=True):
                assert slot in store.index.near_box(place, place, 1e-3)
        assert store.least_sd <= float(sds.min())
        assert store.greatest_sd >= float(sds.max())

    def teardown(self):
        self.__dict__.pop("memory", None)
        if hasattr(self, "scratch"):
            self.scratch.cleanup()


TestMovingMachine = MovingMachine.TestCase
TestMovingMachine.settings = settings(max_examples=30, stateful_step_count=12)


@settings(max_examples=25)
@given(number=st.integers(1, 30), seed=st.integers(0, 99), angle=st.floats(-3.0, 3.0))
def test_reads_turn_with_a_memory_that_is_turned(number, seed, angle):
    """All is moved by one motion of the plane: what is read there is what was read here."""
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shift = torch.tensor([30.0, -200.0])
    memory = SpatialMemory(2, DIM, dtype=torch.float64)
    places, _, senses = observations(number, seed)
    ids = memory.write(places, 4.0, senses)
    queries = observations(3, seed=100)[0].double()
    before = memory.read(queries, 5.0)
    turn, places = turn.double(), places.double()
    memory.move(ids, places @ turn.T + shift)
    torch.testing.assert_close(memory.read(queries @ turn.T + shift, 5.0), before)


# --- interrupts, and what lasts ------------------------------------------------------------------


def in_use(folder=None, number=12, **choices):
    """A memory with a gap, an index and a witness."""
    memory = SpatialMemory(2, DIM, max_memory_size=number, storage=folder, **choices)
    memory.write(*observations(number))
    memory.delete([5])
    memory.sample(None, None, KEY, 3, method="cells")
    return memory


def moved(memory):
    places, sds, _ = observations(4, seed=8)
    memory.move([9, 0, 7, 2], places, sds)


def assert_sound(memory):
    for row in memory.common.rows:
        slots = row.slots_by_age()
        indexed = row.index.near_box(np.full(2, -1e6), np.full(2, 1e6), 1.0)
        assert sorted(indexed.tolist()) == sorted(slots.tolist())
        for slot, place in zip(slots, row.locations[torch.from_numpy(slots)].numpy(), strict=True):
            assert slot in row.index.near_box(place, place, 1e-3)
        assert row.location_sds[slots].isfinite().all()
    assert not memory.common.lock._is_owned()


@pytest.mark.parametrize("kind", ["plain", "half", "gradients", "disk"])
def test_an_interrupt_at_any_line_moves_all_or_nothing(kind, tmp_path):
    numbers = iter(range(10_000))

    def made():
        folder = tmp_path / str(next(numbers)) if kind == "disk" else None
        half = torch.float16 if kind == "half" else None
        memory = in_use(folder, storage_dtype=half)
        if kind == "gradients":
            memory.requires_grad_()
        if kind == "disk":
            memory.checkpoint()
        return memory

    before, expected = made(), made()
    moved(expected)
    before, after = state_of(before), state_of(expected)
    found = []
    for memory in interrupted_at_each_line(made, moved):
        now = state_of(memory)
        assert same(now, before) or same(now, after)
        found.append(same(now, after))
        if kind != "gradients":
            assert_sound(memory)
        moved(memory)  # another time: it is usable
        assert same(state_of(memory), after)
        found_places = memory.search(KEY, 3).places
        assert torch.equal(found_places, expected.search(KEY, 3).places)
    assert found[-1]
    assert not found[0]
    assert len(found) > 60


def test_an_error_in_the_middle_moves_nothing(monkeypatch):
    from tree_world.models.memory.index.cells import GridIndex

    memory = in_use()
    before = state_of(memory)

    def failing(self, rows, places):
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(GridIndex, "add", failing)
        with pytest.raises(MemoryError, match="no room"):
            moved(memory)
    assert same(state_of(memory), before)
    assert_sound(memory)


@pytest.mark.parametrize("half", [False, True])
def test_a_checkpoint_on_disk_keeps_places_as_of_its_time(half, tmp_path):
    choices = {"storage_dtype": torch.float16 if half else None}
    memory = in_use(tmp_path / "m", **choices)
    memory.checkpoint()
    senses_file = (tmp_path / "m" / "senses-1.bin").read_bytes()
    before = state_of(memory)
    moved(memory)
    after = state_of(memory)
    assert not same(before, after)
    assert (tmp_path / "m" / "senses-1.bin").read_bytes() == senses_file
    del memory  # as a kill does
    memory = SpatialMemory.load(tmp_path / "m")
    assert same(state_of(memory), before)
    moved(memory)
    memory.checkpoint()
    del memory
    memory = SpatialMemory.load(tmp_path / "m")
    assert same(state_of(memory), after)
    assert_sound(memory)
    memory.save(tmp_path / "saved")
    assert same(state_of(SpatialMemory.load(tmp_path / "saved")), after)


def test_copies_are_not_moved():
    memory = in_use()
    other = copy.deepcopy(memory)
    before = state_of(other)
    moved(memory)
    assert same(state_of(other), before)


def test_what_was_pruned_is_remembered_where_it_was():
    memory = SpatialMemory(2, DIM)
    places, _, _ = observations(60)
    memory.write(places, 5.0, torch.sin(places @ torch.ones(2, DIM) / 40))
    memory.prune(0.3, 25.0)
    witnesses = memory[0].store.witnesses
    assert len(witnesses) > 0
    where = witnesses.observations.locations.clone()
    memory.move(memory.ids[0], memory.memory_locations[0] + 10.0)
    assert memory[0].store.witnesses is witnesses
    assert torch.equal(witnesses.observations.locations, where)


# --- while the memory forgets --------------------------------------------------------------------


def smooth(number=200):
    memory = SpatialMemory(2, DIM)
    places, _, _ = observations(number)
    memory.write(places, 5.0, torch.sin(places @ torch.ones(2, DIM) / 40))
    return memory


def waiting(monkeypatch, name):
    """Let work wait when it is done, until a test has done something meanwhile."""
    reached, opened = threading.Event(), threading.Event()
    original = getattr(forgetting, name)

    def gate(*args, **kwargs):
        result = original(*args, **kwargs)
        reached.set()
        assert opened.wait(30)
        return result

    monkeypatch.setattr(forgetting, name, gate)
    return reached, opened


def test_pruning_goes_on_as_if_it_had_come_first(monkeypatch):
    memory, expected = smooth(), smooth()
    kept = expected.prune(0.3, 25.0).num_kept
    assert kept < 150
    reached, opened = waiting(monkeypatch, "prune")
    task = memory.prune_in_background(0.3, 25.0)
    assert reached.wait(30)
    ids = memory.ids[0, ::3]
    places = memory.memory_locations[0, ::3] + torch.tensor([500.0, 0.0])
    memory.move(ids, places, 2.0)
    more = observations(5, seed=9)
    memory.write(*more)
    gone = expected.ids[0, :1]
    memory.delete(gone)
    opened.set()
    task.result(30)
    still = torch.isin(ids, expected.ids[0])
    assert 0 < int(still.sum()) < len(ids)
    expected.move(ids[still], places[still], 2.0)
    expected.write(*more)
    expected.delete(gone)
    assert memory.observations().location_sds.min() == 2.0
    found, wanted = memory.observations(), expected.observations()
    for name in ("locations", "location_sds", "senses"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
    assert found.ids.tolist()[:-5] == wanted.ids.tolist()[:-5]
    assert_sound(memory)
    assert memory.neighbours(places[still][-1], 1.0).tolist() == ids[still][-1:].tolist()


def test_consolidation_that_would_bring_old_places_back_ends(monkeypatch):
    memory = smooth()
    reached, opened = waiting(monkeypatch, "consolidate")
    task = memory.forget(Consolidate(40, 25.0, num_steps=5), background=True)
    assert reached.wait(30)
    memory.move(memory.ids[0, :1], [[900.0, 900.0]])
    before = state_of(memory)
    opened.set()
    with pytest.raises(Superseded, match="or moved"):
        task.result(30)
    assert same(state_of(memory), before)


def test_consolidation_goes_on_when_nobody_was_moved(monkeypatch):
    memory = smooth()
    reached, opened = waiting(monkeypatch, "consolidate")
    task = memory.forget(Consolidate(40, 25.0, num_steps=5), background=True)
    assert reached.wait(30)
    memory.move([], [])
    opened.set()
    assert task.result(30).num_after == len(memory) < 200


def test_what_moves_while_it_is_copied_is_left_alone(monkeypatch):
    monkeypatch.setattr(exchange, "_TOGETHER", 16)
    memory = smooth(160)
    row = memory[0].store
    turns = iter(range(100))

    class Meddling:
        """A lock that lets somebody else in each time before it is taken."""

        def __enter__(self):
            turn = next(turns)
            if turn == 5:  # 64 have been copied
                memory.move([3, 120], [[900.0, 0.0], [901.0, 0.0]])
            if turn == 7:
                memory.move([4], memory.memory_locations[0, 4:5], 77.0)

        def __exit__(self, *_):
            return None

    snapshot = Snapshot.of(row, row.clock, Meddling())
    assert sorted({*range(160)} - {*snapshot.ids.tolist()}) == [3, 4]
    where = torch.from_numpy(snapshot.slots)
    assert torch.equal(snapshot.observations.locations, row.locations[where])


def test_draws_after_a_background_prune_know_of_moves_before_it(monkeypatch):
    memory = SpatialMemory(2, DIM, max_memory_size=4000)
    places, _, _ = observations(4000, spread=100.0)
    memory.write(places, 5.0, torch.sin(places @ torch.ones(2, DIM) / 40))
    memory.sample([0.0, 0.0], 5.0, KEY, 3, method="cells")  # a key that is kept ready
    reached, opened = waiting(monkeypatch, "prune")
    task = memory.forget(Prune(0.05, 25.0, 1), background=True)
    assert reached.wait(60)
    memory.move(memory.ids[0], memory.memory_locations[0] + 5000.0)
    opened.set()
    task.result(60)
    assert len(memory) < 4000
    drawn = memory.draw([5000.0, 5000.0], 5.0, KEY, 200, 0.0, method="cells", seed=1)
    assert (drawn.places > 4000.0).all()
    held = memory.observations()
    at = torch.searchsorted(held.ids, drawn.ids)
    torch.testing.assert_close(drawn.places, held.locations[at])
    exact = memory.draw([5000.0, 5000.0], 5.0, KEY, 200, 0.0, method="exact", seed=1)
    assert abs(drawn.places.mean(dim=0) - exact.places.mean(dim=0)).max() < 4.0


def test_threads_move_while_others_read_and_prune():
    memory = smooth(400)
    home = dict(zip(memory.ids[0].tolist(), memory.memory_locations[0], strict=True))
    ended, failures = threading.Event(), []

    def walk():
        try:
            while not ended.is_set():
                with memory.common.lock:
                    ids = memory.ids[0]
                    shift = 1000.0 if float(memory.memory_locations[0, 0, 0]) < 500 else 0.0
                    where = torch.stack([home[i] for i in ids.tolist()])
                    memory.move(ids, where + shift)
        except Exception as error:
            failures.append(error)

    def look():
        try:
            while not ended.is_set():
                held = memory.observations()
                away = held.locations - torch.stack([home[i] for i in held.ids.tolist()])
                assert bool((away.abs() < 1.0).all() | ((away - 1000.0).abs() < 1.0).all())
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for work in (walk, look)]
    for thread in threads:
        thread.start()
    # What moves while it is copied is left alone, so that one may remove nothing.
    removed = [
        memory.prune_in_background(0.01 * (1 + turn), 25.0, 1).result(60).num_removed
        for turn in range(20)
    ]
    ended.set()
    for thread in threads:
        thread.join(30)
    assert not failures, failures[0]
    assert 0 < sum(removed) == 400 - len(memory)
