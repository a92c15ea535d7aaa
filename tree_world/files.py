"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old file or the new one.

    Parameters
    ----------
    path : pathlib.Path
        The folder must exist.
    content : bytes

    Raises
    ------
    OSError
        If the file cannot be written; what was there before is still there then.
    """
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replaced_atomically(path: Path) -> Iterator[Path]:
    """Give a file to write to, which takes the place of another when it is complete.

    Parameters
    ----------
    path : pathlib.Path
        The folder must exist.

    Yields
    ------
    pathlib.Path
        An empty file beside it.

    Raises
    ------
    OSError
        If the file cannot be written; what was there before is still there then.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        _wait_until_on_disk(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere folders cannot be opened
        _wait_until_on_disk(path.parent)


def _wait_until_on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
