"""A memory on disk is the same memory, and survives whatever happens to its process."""

import copy
import json
import os
import resource
import shutil
import stat
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.killing import TORCH, lives
from tree_world.models.memory import SpatialMemory

SENSORY = 6


def observations(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = 40 * torch.randn(number, 2, generator=generator)
    return places, 3.0, torch.randn(number, SENSORY, generator=generator)


def on_disk(folder, number=0, **choices):
    memory = SpatialMemory(2, SENSORY, storage=folder, **choices)
    if number:
        memory.write(*observations(number))
    return memory


def state_of(memory):
    return [memory.ids, memory.ages, memory.memory_locations, memory.memory_location_sds,
            memory.memory_senses]  # fmt: skip


def assert_same(one, other):
    for left, right in zip(state_of(one), state_of(other), strict=True):
        assert torch.equal(left, right)


# --- side by side with a memory in memory --------------------------------------------------------


class DiskMachine(RuleBasedStateMachine):
    """Whatever is done to both they hold the same; whenever one is loaded, it is as it was saved.

    `lose` lets go of the memory without a checkpoint, as a kill does.
    """

    @initialize(capacity=st.integers(1, 12), half=st.booleans())
    def start(self, capacity, half):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder, self.file = f"{self.scratch.name}/memory", f"{self.scratch.name}/saved"
        choices = {"max_memory_size": capacity, "merge_sense_distance": 1.0}
        choices["storage_dtype"] = torch.float16 if half else None
        self.disk = SpatialMemory(2, SENSORY, storage=self.folder, **choices)
        self.plain = SpatialMemory(2, SENSORY, **choices)
        self.checkpoint()

    @rule(number=st.integers(1, 20), seed=st.integers(0, 99), update=st.booleans())
    def write(self, number, seed, update):
        ids = [memory.write(*observations(number, seed), update) for memory in self.both]
        assert torch.equal(*ids)

    @rule(data=st.data())
    def delete(self, data):
        if len(self.plain):
            chosen = data.draw(st.integers(0, len(self.plain) - 1))
            for memory in self.both:
                memory.delete([memory.ids[0, chosen].item()])

    @rule(data=st.data(), seed=st.integers(0, 99))
    def move(self, data, seed):
        if len(self.plain):
            chosen = data.draw(st.integers(0, len(self.plain) - 1))
            for memory in self.both:
                memory.move([memory.ids[0, chosen].item()], observations(1, seed)[0], 2.0)

    @rule()
    def prune(self):
        reports = [memory.prune(1.5, 25.0).num_kept for memory in self.both]
        assert reports[0] == reports[1]

    @rule()
    def reset(self):
        for memory in self.both:
            memory.reset()

    @rule()
    def checkpoint(self):
        self.disk.checkpoint()
        self.plain.save(self.file)
        assert len(list(Path(self.folder).glob("senses-*.bin"))) == 1

    @rule()
    def lose(self):
        del self.disk
        self.disk = SpatialMemory.load(self.folder)
        self.plain = SpatialMemory.load(self.file)

    @property
    def both(self):
        return self.disk, self.plain

    @invariant()
    def same(self):
        if not hasattr(self, "disk"):
            return
        assert_same(self.disk, self.plain)
        reads = [memory.read([[0.0, 0.0], [20.0, -9.0]], 5.0, 30.0) for memory in self.both]
        torch.testing.assert_close(*reads)

    def teardown(self):
        self.__dict__.pop("disk", None)
        if hasattr(self, "scratch"):
            self.scratch.cleanup()


TestDiskMachine = DiskMachine.TestCase
TestDiskMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_draws_reads_and_searches_are_those_of_a_memory_in_memory(tmp_path):
    disk, plain = on_disk(tmp_path / "m", 300), SpatialMemory(2, SENSORY)
    plain.write(*observations(300))
    key = torch.randn(SENSORY, generator=torch.Generator().manual_seed(1))
    for method in ("exact", "cells"):
        one, two = (m.sample([0.0, 0.0], 9.0, key, 20, method=method) for m in (disk, plain))
        assert torch.equal(one, two)
    assert torch.equal(disk.search(key, 4).ids, plain.search(key, 4).ids)
    for method in ("dense", "chunked", "sparse", "attention"):
        one, two = (m.read([[3.0, 1.0]], 4.0, method=method) for m in (disk, plain))
        torch.testing.assert_close(one, two)
    report = disk.prune_in_background(1.0, 25.0).result(60)
    assert len(disk) == report.num_kept == plain.prune(1.0, 25.0).num_kept
    disk.checkpoint()
    del disk
    assert_same(SpatialMemory.load(tmp_path / "m"), plain)


def test_batches_and_projections_come_back(tmp_path):
    memory = SpatialMemory(2, SENSORY, embed_dim=3, storage=tmp_path / "m")
    places, sds, senses = observations(40)
    memory.write(places.reshape(2, 20, 2), sds, senses.reshape(2, 20, SENSORY))
    memory.checkpoint()
    before = [tensor.clone() for tensor in state_of(memory)]
    matrix = memory.projection.matrix.clone()
    memory.fit_projection(senses + 5.0)  # expresses anew what the checkpoint names
    memory.write(places.reshape(2, 20, 2), sds, senses.reshape(2, 20, SENSORY))
    del memory
    loaded = SpatialMemory.load(tmp_path / "m")
    assert torch.equal(loaded.projection.matrix, matrix)
    for tensor, old in zip(state_of(loaded), before, strict=True):
        assert torch.equal(tensor, old)


def test_senses_stay_out_of_the_memory_of_the_process(tmp_path):
    memory = on_disk(tmp_path / "m", max_memory_size=10_000_000, storage_dtype=torch.float16)
    file = next((tmp_path / "m").glob("senses-*.bin"))
    assert file.stat().st_size == 2 * 10_000_000 * SENSORY * 2
    assert file.stat().st_blocks == 0
    memory.write(*observations(1000))
    assert 0 < file.stat().st_blocks * 512 <= 64 * 2**20 + 2**16
    store = memory[0].store
    assert store.senses.data_ptr() == store.file._map.ctypes.data


# --- kills, full disks, damage -------------------------------------------------------------------

ONCE = f"""{TORCH}
from tree_world.models.memory import SpatialMemory
memory = SpatialMemory(2, 64)
memory.write(torch.zeros(9, 2), 5.0, torch.zeros(9, 64))
memory.prune(0.05, 25.0)  # what is compiled is loaded
"""
LIFE = """
memory, number = SpatialMemory(2, 64, max_memory_size=300, storage=argument), 0
def write(some):
    # What is sensed tells the number of the observation.
    global number
    numbers = torch.arange(number, number + some, dtype=torch.float32)
    memory.write(numbers[:, None].expand(-1, 2) % 1000, 5.0, numbers[:, None].expand(-1, 64) % 997)
    number += some
for turn in range(10**9):
    write(7)
    if turn % 5 == 0:
        memory.prune(0.0, 25.0)  # which changes the file
    write(40)
    memory.checkpoint()
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_last_checkpoint_whole(tmp_path):
    """Kill real lives in the middle of writes and checkpoints, and look at what is left."""
    rng = np.random.default_rng(0)
    folders = [tmp_path / str(turn) for turn in range(8)]
    last = {}
    with lives(ONCE, LIFE) as life:
        for folder in folders:
            life.begin(folder)
            told = [life.line()]
            time.sleep(0.4 * rng.random())
            told += life.kill()
            last[folder] = int(told[-1])
    for folder in folders:
        memory = SpatialMemory.load(folder)
        # The last that was told of, or the one after, if that was complete but not told of yet.
        found = memory.num_writes
        assert found in (last[folder], last[folder] + 47)
        ids = memory.ids[0]
        assert len(ids) <= 300
        assert int(ids[-1]) == found - 1
        expected = (ids % 997).float()[:, None].expand(-1, 64)
        assert torch.equal(memory.memory_senses[0], expected)
        assert torch.equal(memory.memory_locations[0][:, 0], (ids % 1000).float())
        memory.write([[0.0, 0.0]], 1.0, torch.ones(1, 64))
        memory.checkpoint()
        left = {path.name.split("-")[0] for path in folder.iterdir()}
        assert left == {"senses", "memory.safetensors", "lock"}


def test_what_a_kill_left_half_written_goes_with_the_next_checkpoint(tmp_path):
    memory = SpatialMemory(2, 4, max_memory_size=10, storage=tmp_path / "m")
    memory.write([[0.0, 0.0]], 1.0, torch.ones(1, 4))
    for name in (".tmpA1b2C3", "memoryx1.tmp", "senses-99.bin"):
        (tmp_path / "m" / name).write_bytes(b"half")
    memory.checkpoint()
    left = {path.name.split("-")[0] for path in (tmp_path / "m").iterdir()}
    assert left == {"senses", "memory.safetensors", "lock"}
    assert len(list((tmp_path / "m").glob("senses-*"))) == 1


def test_a_file_that_may_not_grow_leaves_the_old_one(tmp_path):
    path = tmp_path / "memory.safetensors"
    plain = SpatialMemory(2, SENSORY)
    plain.write(*observations(5))
    plain.save(path)
    large = SpatialMemory(2, 64, max_memory_size=50_000)
    large.write(torch.zeros(50_000, 2), 1.0, torch.ones(50_000, 64))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, hard))
    try:
        with pytest.raises(OSError, match="could not be written"):
            large.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_same(SpatialMemory.load(path), plain)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_stores_nothing_and_loses_nothing(tmp_path, monkeypatch):
    memory = on_disk(tmp_path / "m", 20, max_memory_size=10_000_000)
    memory.checkpoint()
    before = [tensor.clone() for tensor in state_of(memory)]

    def full(*args):
        raise OSError(28, "No space left on device")

    many = 64 * 2**20 // (4 * SENSORY) + 1
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        memory.write(torch.zeros(many, 2), 1.0, torch.zeros(many, SENSORY))
    for tensor, old in zip(state_of(memory), before, strict=True):
        assert torch.equal(tensor, old)
    monkeypatch.undo()
    monkeypatch.setattr(os, "fsync", full)
    memory.write(*observations(3))
    with pytest.raises(OSError, match="No space left"):
        memory.checkpoint()
    monkeypatch.undo()
    assert len(memory) == 23
    del memory
    loaded = SpatialMemory.load(tmp_path / "m")
    for tensor, old in zip(state_of(loaded), before, strict=True):
        assert torch.equal(tensor, old)


@pytest.mark.parametrize("part", ["senses", "short", "gone", "places"])
def test_damage_is_told_and_nothing_is_changed(tmp_path, part):
    memory = on_disk(tmp_path / "m", 50, max_memory_size=60)
    memory.checkpoint()
    del memory
    senses, checkpoint = tmp_path / "m" / "senses-1.bin", tmp_path / "m" / "memory.safetensors"
    changed = checkpoint if part == "places" else senses
    content = bytearray(changed.read_bytes())
    content[len(content) // 4 if part == "senses" else -9] ^= 1
    if part == "gone":
        senses.unlink()
    else:
        changed.write_bytes(content[:-1] if part == "short" else content)
    message = {
        "senses": r"1 observations in senses-1\.bin are damaged, the first of them that with the",
        "short": "senses-1.bin has 2879 bytes, not 2880",
        "gone": "there is no file senses-1.bin",
        "places": "checksum",
    }[part]
    files = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    with pytest.raises(ValueError, match=message):
        SpatialMemory.load(tmp_path / "m")
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == files


def test_a_saved_file_whose_bits_have_changed_is_refused(tmp_path):
    path = tmp_path / "memory.safetensors"
    plain = SpatialMemory(2, SENSORY)
    plain.write(*observations(5))
    plain.save(path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match="checksum"):
        SpatialMemory.load(path)


def header_of(content):
    """Where the header of a file begins and ends: all that the checksum of 0.1 did not cover."""
    return 0, 8 + int.from_bytes(content[:8], "little")


def is_the_same(path, folder, expected):
    """Whether a damaged file loads as what it was; an error is as well."""
    try:
        found = SpatialMemory.load(folder or path)
    except ValueError:
        return True
    names = (
        *("location_dim", "sensory_dim", "embed_dim", "max_memory_size", "merge_distance"),
        *("merge_sense_distance", "cell_size", "dtype", "storage_dtype", "num_writes"),
    )
    same = all(getattr(found, name) == getattr(expected, name) for name in names)
    return same and all(
        torch.equal(one, other)
        for one, other in zip(state_of(found), state_of(expected), strict=True)
    )


@pytest.mark.parametrize("kind", ["plain", "batch", "folder"])
def test_whatever_is_damaged_in_the_header_is_found(tmp_path, kind):
    """Each digit becomes another, and bits turn over, one at a time."""
    folder = tmp_path / "m" if kind == "folder" else None
    batch = (2,) if kind == "batch" else ()
    memory = SpatialMemory(2, SENSORY, 4, 30, storage=folder)
    expected = SpatialMemory(2, SENSORY, 4, 30)
    places, sds, senses = observations(24)
    for one in (memory, expected):
        one.write(places.reshape(*batch, -1, 2), sds, senses.reshape(*batch, -1, SENSORY))
        one.prune(2.0, 40.0)
    path = tmp_path / "saved" if folder is None else folder / "memory.safetensors"
    memory.save(path) if folder is None else memory.checkpoint()
    del memory, one
    assert_same(SpatialMemory.load(folder or path), expected)  # while nothing is damaged
    content = path.read_bytes()
    start, end = header_of(content)
    rng = np.random.default_rng(0)
    digits = [at for at in range(start, end) if chr(content[at]).isdigit()]
    changes = [(at, content[at] ^ 1) for at in rng.permutation(digits)[:150]]
    changes += [(at, content[at] ^ (1 << rng.integers(8))) for at in rng.integers(start, end, 150)]
    for at, byte in changes:
        damaged = bytearray(content)
        damaged[at] = byte
        path.write_bytes(damaged)
        assert is_the_same(path, folder, expected), (at, content[max(0, at - 40) : at + 20])


def rewritten(path, change):
    """Change what the header of a file says, and leave all else."""
    content = path.read_bytes()
    _, end = header_of(content)
    header = json.loads(content[8:end])
    change(header["__metadata__"])
    new = json.dumps(header).encode()
    path.write_bytes(len(new).to_bytes(8, "little") + new + content[end:])


OLD = Path(__file__).parent / "written-by-0.1"


@pytest.mark.parametrize("name", ["plain.safetensors", "batch.safetensors", "folder"])
@pytest.mark.parametrize(
    "change",
    [
        {"location_dim": 3},
        {"location_dim": 2.5},
        {"embed_dim": 1},
        {"embed_dim": "4"},
        {"sensory_dim": 1},
        {"max_memory_size": 1},
        {"max_memory_size": 10**12},
        {"max_memory_size": 10**30},
        {"max_memory_size": -1},
        {"merge_distance": None},
        {"cell_size": 0.0},
        {"counters": [[0, 0]] * 2},
        {"counters": []},
        {"counters": [["a", "b"]]},
    ],
)
def test_a_header_of_an_old_file_that_cannot_be_is_refused(tmp_path, name, change):
    source, path = OLD / name, tmp_path / name
    shutil.copytree(source, path) if source.is_dir() else shutil.copy(source, path)

    def changed(metadata):
        if "counters" in change:
            metadata["counters"] = json.dumps(change["counters"])
        else:
            metadata["choices"] = json.dumps(json.loads(metadata["choices"]) | change)

    rewritten(path / "memory.safetensors" if path.is_dir() else path, changed)
    with pytest.raises(ValueError, match="is not a spatial memory that this version can read"):
        SpatialMemory.load(path)


@pytest.mark.parametrize("how", ["overwritten", "cut"])
def test_a_file_may_change_once_it_is_loaded(tmp_path, how):
    path = tmp_path / "saved"
    memory = SpatialMemory(2, SENSORY, 3, 40)
    memory.write(*observations(40))
    memory.prune(2.0, 40.0)
    memory.save(path)
    loaded = SpatialMemory.load(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        if how == "cut":
            file.truncate(8)
        else:
            file.write(b"\xff" * size)
    assert_same(loaded, memory)
    torch.testing.assert_close(loaded.read([[0.0, 0.0]], 5.0), memory.read([[0.0, 0.0]], 5.0))
    one, other = (m[0].store.witnesses.observations.senses for m in (loaded, memory))
    assert torch.equal(one, other)
    assert loaded.prune(2.5, 40.0).num_kept == memory.prune(2.5, 40.0).num_kept


def test_paths_may_begin_at_home_and_be_links(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    memory = SpatialMemory(2, SENSORY, storage="~/m")
    memory.write(*observations(5))
    memory.checkpoint()
    memory.save("~/saved")
    (tmp_path / "link").symlink_to("saved")
    memory.save("~/link")
    assert (tmp_path / "link").is_symlink()
    assert_same(SpatialMemory.load("~/link"), memory)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "saved").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / "m/memory.safetensors").stat().st_mode) == 0o666 & ~umask
    del memory
    assert len(SpatialMemory.load("~/m")) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"m", "saved", "link"}


def test_a_checkpoint_that_was_put_in_place_counts_whatever_fails_then(tmp_path, monkeypatch):
    memory = on_disk(tmp_path / "m", 20, max_memory_size=20)
    memory.checkpoint()
    memory.write(*observations(20, seed=1))
    expected = [tensor.clone() for tensor in state_of(memory)]
    original = Path.replace

    def replace(self, target):
        original(self, target)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(OSError, match="Input/output"):
            memory.checkpoint()
    for seed in range(2, 6):
        memory.write(*observations(20, seed=seed))  # must not touch what that names
    del memory
    for tensor, old in zip(state_of(SpatialMemory.load(tmp_path / "m")), expected, strict=True):
        assert torch.equal(tensor, old)


# --- what is refused -----------------------------------------------------------------------------


def test_what_a_folder_cannot_do_is_refused(tmp_path):
    folder = tmp_path / "m"
    memory = on_disk(folder, 9)
    with pytest.raises(OSError, match="in use by another memory"):
        SpatialMemory(2, SENSORY, storage=folder)
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(memory)
    with pytest.raises(ValueError, match="stays on the CPU"):
        memory.to(dtype=torch.float64)
    with pytest.raises(ValueError, match="cannot require gradients"):
        memory.requires_grad_()
    memory.checkpoint()
    with pytest.raises(OSError, match="in use by another memory"):
        SpatialMemory.load(folder)
    del memory
    with pytest.raises(FileExistsError, match="holds a memory already"):
        SpatialMemory(2, SENSORY, storage=folder)
    with pytest.raises(ValueError, match="load its folder"):
        SpatialMemory.load(folder / "memory.safetensors")
    with pytest.raises(ValueError, match="call save with a path"):
        SpatialMemory(2, SENSORY).checkpoint()
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no file memory"):
        SpatialMemory.load(tmp_path / "empty")
    with pytest.raises(ValueError, match="must be on the CPU"):
        SpatialMemory(2, SENSORY, storage=tmp_path / "new", device="meta")
    assert not (tmp_path / "new").exists()
