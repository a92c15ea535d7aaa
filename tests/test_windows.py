"""What Windows lacks, the library does without. This was not run there: it is Linux, less that."""

import importlib
import os
import pkgutil
import sys

import pytest
import torch

from tests.forking import imported_anew
from tree_world import files
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.store import disk

MODULES = ["fcntl", "grp", "pwd", "resource", "termios"]
FUNCTIONS = ["fork", "getuid", "posix_fallocate", "pread", "pwrite", "register_at_fork", "uname"]


def test_every_module_is_imported_without_what_windows_lacks():
    import gymnasium  # noqa: F401 - on Linux they may use what is here
    import matplotlib.pyplot  # noqa: F401
    import sklearn  # noqa: F401

    def life():
        for name in MODULES:
            sys.modules[name] = None  # so that to import it is an error
        for name in FUNCTIONS:
            if hasattr(os, name):
                delattr(os, name)
        package = importlib.import_module("tree_world")
        modules = [each.name for each in pkgutil.walk_packages(package.__path__, "tree_world.")]
        for name in modules:
            importlib.import_module(name)
        return len(modules)

    assert imported_anew(life) > 150


def test_rows_are_reserved_where_the_system_has_no_call_for_it(tmp_path, monkeypatch):
    for name in ("posix_fallocate", "pwrite"):
        monkeypatch.delattr(os, name, raising=False)
    file = disk.SensesFile(tmp_path / "senses-1.bin", 10**6, 8, torch.float32, new=True)
    file.reserve(1)
    file.senses[0] = 3.0
    file.reserve(10**6)  # what was set stays, and the end is reached
    assert (file.senses[0] == 3.0).all()
    assert not file.senses[1:].any()
    file.flush()
    assert (tmp_path / "senses-1.bin").stat().st_size == 4 * 8 * 10**6
    if hasattr(os.stat_result, "st_blocks"):
        assert (tmp_path / "senses-1.bin").stat().st_blocks * 512 >= 4 * 8 * 10**6


def test_files_that_are_still_mapped_go_another_time(tmp_path, monkeypatch):
    """Windows does not remove them."""
    memory = SpatialMemory(2, 4, storage=tmp_path / "m")
    memory.write([[0.0, 0.0]], 1.0, torch.ones(1, 4))
    left = tmp_path / "m" / "senses-99.bin"
    left.write_bytes(b"half")

    def refuse(path, missing_ok=False):
        raise PermissionError(13, "The process cannot access the file")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "_ON_WINDOWS", True)
        patch.setattr(type(left), "unlink", refuse)
        memory.checkpoint()
    assert left.exists()
    memory.checkpoint()
    assert not left.exists()
    left.write_bytes(b"half")
    monkeypatch.setattr(type(left), "unlink", refuse)
    with pytest.raises(PermissionError):  # elsewhere it is a mistake that is told
        memory.checkpoint()


def test_files_are_opened_as_windows_must(tmp_path, monkeypatch):
    """As bytes, not lines; and to be written where the disk is waited for."""
    opened, synced = {}, []
    real_open, real_sync = os.open, os.fsync

    def open_and_note(path, flags, *mode):
        descriptor = real_open(path, flags & ~(1 << 30), *mode)
        opened[descriptor] = flags
        return descriptor

    def sync_and_note(descriptor):
        synced.append(opened[descriptor])
        real_sync(descriptor)

    monkeypatch.setattr(os, "open", open_and_note)
    monkeypatch.setattr(os, "fsync", sync_and_note)
    monkeypatch.setattr(os, "name", "other")  # folders cannot be opened
    files.write_atomically(tmp_path / "file", b"content")
    assert [flags & os.O_RDWR for flags in synced] == [os.O_RDWR]
    monkeypatch.setattr(disk, "_BYTES", 1 << 30)
    disk.SensesFile(tmp_path / "senses-1.bin", 2, 2, torch.float32, new=True)
    assert any(flags & 1 << 30 for flags in opened.values())
