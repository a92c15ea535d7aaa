"""Whatever breaks a change off, and wherever, the memory is as before it or as after it."""

import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import tree_world
from tree_world.models.memory import SpatialMemory

PACKAGE = str(Path(tree_world.__file__).parent)
SENSORY = 4
CAPACITY = 12


class Interrupts:
    """Raises KeyboardInterrupt at chosen lines of the package, counted from the beginning."""

    def __init__(self, *lines):
        self.lines, self.passed = set(lines), 0

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.passed += 1
            if self.passed in self.lines:
                raise KeyboardInterrupt
        return self

    def run(self, work):
        """Do something, and tell whether it came to its end."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            work()
        except KeyboardInterrupt:
            return False
        finally:
            sys.settrace(before)
        return True


def observations(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = 20 * torch.randn(number, 2, generator=generator)
    return places, 3.0, 0.5 * torch.randn(number, SENSORY, generator=generator)


def made(folder, embed_dim=None, **choices):
    """A full memory with a gap, of which a witness has gone; on disk, with a checkpoint."""
    memory = SpatialMemory(2, SENSORY, embed_dim, CAPACITY, storage=folder, **choices)
    memory.write(*observations(9))
    if folder is not None:
        memory.checkpoint()
    memory.write(*observations(6, seed=1))
    memory.delete([5, 13])
    return memory


def state_of(memory):
    projection = memory.projection
    return [
        *(memory.ids, memory.ages, memory.memory_locations, memory.memory_location_sds),
        *(memory.memory_senses, torch.tensor(memory.num_writes), str(memory.dtype)),
        torch.zeros(0) if projection is None else projection.matrix,
        len(memory[0].store.witnesses),
    ]


def same(one, other):
    return all(
        torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right
        for left, right in zip(one, other, strict=True)
    )


def assert_sound(memory):
    """All that the memory keeps agrees, and another thread can use it."""
    for row in memory.common.rows:
        slots = row.slots_by_age()
        places = row.locations[torch.from_numpy(slots)].numpy()
        indexed = row.index.near_box(np.full(2, -1e6), np.full(2, 1e6), 1.0)
        assert sorted(indexed.tolist()) == sorted(slots.tolist())
        for slot, place in zip(slots, places, strict=True):
            assert slot in row.index.near_box(place, place, 1e-3)
        gone = sorted({*range(row.used)} - {*slots.tolist()})
        assert sorted([*row._free, *row._held]) == gone
        assert row.location_sds[gone].isinf().all()
        assert row.location_sds[slots].isfinite().all()
        assert len(row) == len(slots) <= memory.max_memory_size
    assert not memory.common.lock._is_owned()  # so that another thread can use it


def goes_on(memory):
    """Write more than there is room for, delete and read."""
    ids = memory.write(*observations(2 * CAPACITY, seed=7))
    assert len(memory) == CAPACITY
    memory.delete(ids[-2:])
    assert_sound(memory)


def write_one(memory):
    memory.write(*observations(1, seed=2))


def write_many(memory):
    memory.write(*observations(5, seed=3))


def merge(memory):
    places, sds, senses = observations(6, seed=1)
    memory.write(places[2:], sds, senses[2:], update=True)


def delete(memory):
    memory.delete(memory.ids[0, [1, 4, 7]])


def move(memory):
    memory.move(memory.ids[0, [7, 1]], [[3.0, 4.0], [-30.0, 9.0]], 1.0)


def fit(memory):
    memory.fit_projection(observations(30, seed=4)[2])


def to_double(memory):
    memory.to(dtype=torch.float64)


def prune(memory):
    memory.prune(1.0, 50.0)


def consolidate(memory):
    memory.consolidate(4, 50.0, num_steps=2, progress=None)


def need_gradients(memory):
    memory.requires_grad_().requires_grad_(False)


def optimise(memory):
    memory.requires_grad_()
    with torch.no_grad():
        memory.parameters()[0].add_(3.0)
    memory.requires_grad_(False)


IN_MEMORY = [
    *(write_one, write_many, merge, delete, move, SpatialMemory.reset, fit, to_double, prune),
    *(consolidate, need_gradients),
]
ON_DISK = [write_one, write_many, merge, delete, move, SpatialMemory.reset, fit, prune,
           SpatialMemory.checkpoint]  # fmt: skip


def named(verb):
    return verb.__name__


def before_and_after(verb, folder, **choices):
    """States before and after, and what is done in between; all that compiles is compiled then."""
    memory = made(folder and folder / "reference", **choices)
    before = [part.clone() if isinstance(part, torch.Tensor) else part for part in state_of(memory)]
    verb(memory)
    goes = state_of(memory)
    goes_on(memory)
    return before, goes


@pytest.mark.parametrize("verb", IN_MEMORY, ids=named)
@pytest.mark.parametrize("embed_dim", [None, 2])
def test_an_interrupt_at_any_line_tears_nothing(verb, embed_dim):
    if embed_dim is not None and verb not in (fit, to_double, SpatialMemory.reset):
        pytest.skip("a projection takes part in these only")
    before, after = before_and_after(verb, None, embed_dim=embed_dim)
    line, found = 0, set()
    # At every line of three verbs; of others at every other line, or fewer if they mostly read.
    step = {write_one: 1, delete: 1, move: 1, prune: 13, consolidate: 23}.get(verb, 2)
    while True:
        line += step
        memory = made(None, embed_dim=embed_dim)
        ended = Interrupts(line).run(lambda memory=memory: verb(memory))
        now = state_of(memory)
        assert same(now, before) or same(now, after), f"torn at line {line}"
        found.add(same(now, after))
        assert_sound(memory)
        if ended:
            break
        if line % 5 == 0:
            goes_on(memory)
    assert line > 20
    assert True in found


@pytest.mark.parametrize("verb", [write_many, merge, delete, move, fit], ids=named)
@pytest.mark.parametrize("later", [2, 9, 23])
def test_an_interrupt_of_what_is_done_after_an_interrupt_tears_nothing(verb, later):
    before, after = before_and_after(verb, None)
    line, ended = 0, False
    while not ended:
        line += 7
        memory = made(None)
        ended = Interrupts(line, line + later).run(lambda memory=memory: verb(memory))
        now = state_of(memory)
        assert same(now, before) or same(now, after), f"torn at line {line}"
        assert_sound(memory)


@pytest.mark.parametrize("verb", ON_DISK, ids=named)
def test_on_disk_an_interrupt_and_then_a_kill_leave_a_folder_that_loads(verb, tmp_path):
    before, after = before_and_after(verb, tmp_path)
    first = SpatialMemory(2, SENSORY, None, CAPACITY)
    first.write(*observations(9))
    at_checkpoint = [state_of(first), *([after] if verb is SpatialMemory.checkpoint else [])]
    line, ended = 0, False
    while not ended:
        line += 13 if verb is prune else 4
        folder = tmp_path / str(line)
        memory = made(folder)
        ended = Interrupts(line).run(lambda memory=memory: verb(memory))
        now = state_of(memory)
        assert same(now, before) or same(now, after), f"torn at line {line}"
        assert_sound(memory)
        assert not list(folder.glob("*.tmp"))
        named = {row.file.name for row in memory.common.rows}
        assert {path.name for path in folder.glob("senses-*")} <= {"senses-1.bin", *named}
        goes_on(memory)  # which must not write to what the checkpoint names
        del memory  # as a kill does
        loaded = SpatialMemory.load(folder)
        assert any(same(state_of(loaded), state) for state in at_checkpoint), f"line {line}"
        goes_on(loaded)
        loaded.checkpoint()
        del loaded
        assert len(SpatialMemory.load(folder)) == CAPACITY - 2


def test_an_interrupted_save_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "memory.safetensors"
    old, new = made(None), made(None)
    new.write(*observations(3, seed=5))
    line, ended, found = 0, False, set()
    while not ended:
        line += 1
        old.save(path)
        ended = Interrupts(line).run(lambda: new.save(path))
        loaded = state_of(SpatialMemory.load(path))
        assert same(loaded, state_of(old)) or same(loaded, state_of(new))
        found.add(same(loaded, state_of(new)))
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert found == {True, False}


def test_an_interrupted_load_leaves_the_folder_free(tmp_path):
    expected = made(tmp_path / "m")
    expected.checkpoint()
    state = state_of(expected)
    del expected
    line, ended = 0, False
    while not ended:
        line += 5
        ended = Interrupts(line).run(lambda: SpatialMemory.load(tmp_path / "m"))
        assert same(state_of(SpatialMemory.load(tmp_path / "m")), state)


def test_an_optimiser_that_was_at_work_is_taken_over_after_an_interrupt():
    expected = made(None)
    optimise(expected)
    line, ended = 0, False
    while not ended:
        line += 3
        memory = made(None)
        ended = Interrupts(line).run(lambda memory=memory: optimise(memory))
        memory.requires_grad_(False)
        assert memory.memory_locations[0, 0, 0] in (
            made(None).memory_locations[0, 0, 0],
            expected.memory_locations[0, 0, 0],
        )
        assert_sound(memory)


@pytest.mark.parametrize("verb", [write_one, delete], ids=named)
def test_what_pytorch_does_not_count_is_taken_over_after_an_interrupt(verb):
    line, ended = 0, False
    while not ended:
        line += 2
        memory = made(None)
        places, sds, _ = memory.parameters()
        memory.write(*observations(1, seed=8))  # into other tensors
        places.data.add_(300.0)
        sds.data.mul_(5.0)
        ended = Interrupts(line).run(lambda memory=memory: verb(memory))
        assert bool((memory.memory_locations[0, :-1] > 200.0).all())
        assert_sound(memory)
        assert memory[0].store.greatest_sd == 15.0


def test_a_search_that_was_interrupted_is_begun_anew():
    memory = SpatialMemory(2, SENSORY, max_memory_size=400)
    memory.write(*observations(300))
    key = torch.ones(SENSORY)

    def search():
        return memory.sample([0.0, 0.0], 9.0, key, 5, method="cells")

    search()
    line, ended = 0, False
    while not ended:
        line += 1
        memory.write(*observations(3, seed=line))
        ended = Interrupts(line).run(search)
        expected = SpatialMemory(2, SENSORY, max_memory_size=400)
        expected.common.rows = memory.common.rows
        assert torch.equal(search(), expected.sample([0.0, 0.0], 9.0, key, 5, method="cells"))
    assert line > 10


def test_errors_in_the_middle_of_a_change_tear_nothing(monkeypatch):
    from tree_world.models.memory.index.cells import GridIndex

    original, calls = GridIndex.add, iter(range(100))

    def failing(self, rows, places):
        if next(calls) == 1:
            raise MemoryError("no room")
        return original(self, rows, places)

    memory = made(None)
    memory.sample(None, None, torch.ones(SENSORY), method="cells")  # from then on there is an index
    before = state_of(memory)
    with monkeypatch.context() as patch:
        patch.setattr(GridIndex, "add", failing)
        with pytest.raises(MemoryError, match="no room"):
            memory.write(*observations(4, seed=3), update=True)
    assert same(state_of(memory), before)
    goes_on(memory)


def test_a_handler_that_comes_between_is_told_so():
    memory, told = made(None), []
    monitored = made(None)
    original = monitored[0].store.reserve

    def reserve(number):  # as a signal would come
        try:
            len(monitored)
        except RuntimeError as error:
            told.append(str(error))
        original(number)

    monitored[0].store.reserve = reserve
    try:
        write_many(monitored)
    finally:
        del monitored[0].store.reserve
    write_many(memory)
    assert told
    assert "is being changed" in told[0]
    assert same(state_of(memory), state_of(monitored))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers here")
def test_hundreds_of_real_interrupts_tear_nothing(tmp_path):
    """Signals come at whatever instruction they come."""
    folder = tmp_path / "m"
    caught = lives_under_interrupts(SpatialMemory(2, SENSORY, None, 300, storage=folder))
    assert caught > 20
    assert {path.name.split("-")[0] for path in folder.iterdir()} <= {
        *("senses", "memory.safetensors", "lock")
    }
    if (folder / "memory.safetensors").exists():
        assert_as_written(SpatialMemory.load(folder))


def assert_as_written(memory):
    ids = memory.ids[0]
    assert torch.equal(memory.memory_senses[0], (ids % 997).float()[:, None].expand(-1, SENSORY))
    assert torch.equal(memory.memory_locations[0, :, 0], (ids % 97).float())
    assert_sound(memory)


def lives_under_interrupts(memory, seconds=2.0):
    """Write, delete and make checkpoints while signals come, and count these."""
    rng, caught = np.random.default_rng(0), 0

    def interrupt(*_):
        raise KeyboardInterrupt

    def life():
        while True:
            some, first = int(rng.integers(1, 9)), memory.num_writes
            numbers = torch.arange(first, first + some, dtype=torch.float32)
            places = torch.stack([numbers % 97, numbers % 89], dim=-1)
            memory.write(places, 3.0, (numbers % 997)[:, None].expand(-1, SENSORY))
            if rng.random() < 0.3 and len(memory):
                memory.delete(memory.ids[0, :2])
            if rng.random() < 0.05:
                memory.checkpoint()

    before = signal.signal(signal.SIGALRM, interrupt)
    ended = time.monotonic() + seconds
    try:
        while time.monotonic() < ended or caught <= 20:  # what is compiled first holds them back
            try:
                # And again, as Python drops one that comes while it destroys an object.
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.01 * rng.random(), 0.5)
                life()
            except KeyboardInterrupt:
                caught += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert_as_written(memory)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return caught
