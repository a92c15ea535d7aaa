"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replaced_atomically", "write_atomically"]


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

    A file that is new gets the permissions that the umask leaves, one that replaces another those
    of the other. Where `path` is a symbolic link, the file that it leads to is replaced.

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
        If the file cannot be written; what was there before is still there then, unless all that
        failed was to wait until the disk had noted the new name.
    """
    try:
        path = path.resolve()
    except RuntimeError as error:  # links that lead to each other, before Python 3.13
        raise OSError(f"{path.name} cannot be written: {error}.") from error
    temporary = path.with_name(f"{path.stem}{secrets.token_hex(6)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        yield temporary
        if path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
        _wait_until_on_disk(temporary, os.O_RDWR)  # Windows asks for the right to write
        temporary.chmod(mode)  # whoever wrote it may have made a file of its own
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere folders cannot be opened
        _wait_until_on_disk(path.parent, os.O_RDONLY)


def _wait_until_on_disk(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
