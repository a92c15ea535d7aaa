"""Observations on disk: a folder from which a memory goes on after it was killed at any moment.

The folder holds

``senses-N.bin``
    What was sensed, one row after the other, in the precision in which it is kept, in the byte
    order of the machine. It is mapped into memory, so that the system keeps of it what is used.
``memory.safetensors``
    The last checkpoint: places, deviations, ids, ages, times, the names of the files of senses, and
    in which of their rows each observation stands, with a checksum of it.
``lock``
    Held by the process that has the memory open.

Rows that a checkpoint names are never written again before the next one is complete. It comes into
being under another name, and takes the place of the last in one step. So whatever happens between,
the last one is whole. As a file has room for twice the capacity, there always is a row to write to.
"""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import filelock
import numpy as np
import torch

_STEP = 64 * 2**20  # bytes that are asked of the disk at a time
_ON_WINDOWS = os.name == "nt"
_BYTES = getattr(os, "O_BINARY", 0)  # without it Windows would take them for lines of text


class SensesFile:
    """Rows of senses in a file that is mapped into memory.

    Parameters
    ----------
    path : pathlib.Path
    num_rows, width : int
    dtype : torch.dtype
    new : bool
        Whether to make it; else it must be there.

    Raises
    ------
    OSError
        If the file cannot be made.
    ValueError
        If it is not there, or has another size.
    """

    def __init__(
        self, path: Path, num_rows: int, width: int, dtype: torch.dtype, new: bool
    ) -> None:
        self.name = path.name
        self._row_bytes = width * dtype.itemsize
        size = num_rows * self._row_bytes
        if not new and not path.exists():
            raise ValueError(f"there is no file {path.name} beside it")
        flags = os.O_CREAT | os.O_EXCL if new else 0
        self._descriptor = os.open(path, flags | os.O_RDWR | _BYTES, 0o666)  # less the umask
        weakref.finalize(self, os.close, self._descriptor)
        if new:
            os.ftruncate(self._descriptor, size)  # takes no room on the disk yet
        elif os.fstat(self._descriptor).st_size != size:
            raise ValueError(
                f"{path.name} has {os.fstat(self._descriptor).st_size} bytes, not {size}"
            )
        self._reserved = 0 if new else size
        kind = torch.empty(0, dtype=dtype).numpy().dtype
        self._map = np.memmap(path, dtype=kind, mode="r+", shape=(num_rows, width))
        self._rows = np.asarray(self._map)
        with torch.inference_mode(False):  # what is made in that mode cannot be changed outside
            self.senses = torch.from_numpy(self._rows)

    def reserve(self, num_rows: int) -> None:
        """Ask the disk for room for the first rows, so that it cannot be wanting when they are set.

        Parameters
        ----------
        num_rows : int

        Raises
        ------
        OSError
            If the disk is full. Nothing has changed then.
        """
        end = min(num_rows * self._row_bytes, self._map.nbytes)
        if end <= self._reserved:
            return
        end = min(max(end, self._reserved + _STEP), self._map.nbytes)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._descriptor, self._reserved, end - self._reserved)
        else:
            os.lseek(self._descriptor, self._reserved, os.SEEK_SET)
            left = end - self._reserved
            while left > 0:
                left -= os.write(self._descriptor, bytes(min(2**20, left)))
        self._reserved = end

    def checksums(self, rows: Iterable[int]) -> np.ndarray:
        """CRC-32 of each of some rows.

        Parameters
        ----------
        rows : iterable of int

        Returns
        -------
        numpy.ndarray of uint32
        """
        return np.fromiter((zlib.crc32(self._rows[row]) for row in rows), dtype=np.uint32)

    def flush(self) -> None:
        """Wait until everything is on the disk."""
        self._map.flush()
        if _ON_WINDOWS:  # where that has begun to write, and no more
            os.fsync(self._descriptor)


class Folder:
    """The folder of a memory on disk.

    Parameters
    ----------
    path : pathlib.Path
        Made if it is not there; the one above it must be.

    Raises
    ------
    OSError
        If it cannot be made, or a memory that is in use has it.
    """

    CHECKPOINT = "memory.safetensors"

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self.path = path
        self._files: weakref.WeakValueDictionary[str, SensesFile] = weakref.WeakValueDictionary()
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o666)  # less the umask
        weakref.finalize(self, os.close, lock)  # lets go of it, as does the end of the process
        if not filelock.lock_descriptor(lock, blocking=False):
            raise OSError(
                f"the folder {path.name} is in use by another memory, in this process or another. "
                "Let go of that one first, or choose another folder."
            )

    @classmethod
    def without_memory(cls, path: Path) -> Self:
        """Take a folder that is new, or holds no memory.

        Parameters
        ----------
        path : pathlib.Path
            As for `Folder`.

        Returns
        -------
        Folder

        Raises
        ------
        FileExistsError
            If it holds a memory.
        OSError
            If it cannot be made, or is in use.
        """
        folder = cls(path)
        if folder.checkpoint.exists():
            raise FileExistsError(
                f"the folder {path.name} holds a memory already. Go on with it by "
                "SpatialMemory.load, or choose another folder."
            )
        return folder

    @property
    def checkpoint(self) -> Path:
        """Where the last checkpoint is, if there is one."""
        return self.path / self.CHECKPOINT

    def new_file(self, num_rows: int, width: int, dtype: torch.dtype) -> SensesFile:
        """Make a file of senses, under a name that was not given before.

        Parameters
        ----------
        num_rows, width, dtype
            As for `SensesFile`.

        Returns
        -------
        SensesFile
        """
        numbers = [path.stem.removeprefix("senses-") for path in self.path.glob("senses-*.bin")]
        taken = [int(number) for number in numbers if number.isdecimal()]
        path = self.path / f"senses-{max(taken, default=0) + 1}.bin"
        try:
            return self._kept(SensesFile(path, num_rows, width, dtype, new=True))
        except BaseException:
            _remove(path)  # nobody will ever name it
            raise

    def open_file(self, name: str, num_rows: int, width: int, dtype: torch.dtype) -> SensesFile:
        """Open a file of senses that a checkpoint names.

        Parameters
        ----------
        name : str
        num_rows, width, dtype
            As for `SensesFile`.

        Returns
        -------
        SensesFile
        """
        return self._kept(SensesFile(self.path / name, num_rows, width, dtype, new=False))

    def remove(self, file: SensesFile) -> None:
        """Remove a file of senses that no checkpoint names, as what it was made for has failed.

        Parameters
        ----------
        file : SensesFile
        """
        self._files.pop(file.name, None)
        _remove(self.path / file.name)

    def _kept(self, file: SensesFile) -> SensesFile:
        self._files[file.name] = file
        return file

    def tidy(self, named: Iterable[str]) -> None:
        """Remove what neither the checkpoint names nor a memory uses, and what a kill has left.

        Parameters
        ----------
        named : iterable of str
            Names of files.
        """
        kept = {*named, *self._files}
        ours = ("senses-*.bin", "memory*.tmp", ".tmp*")  # the last by safetensors, before a kill
        for path in [path for pattern in ours for path in self.path.glob(pattern)]:
            if path.name not in kept:
                _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if not _ON_WINDOWS:  # which keeps a file that is mapped: the next tidying takes it
            raise
