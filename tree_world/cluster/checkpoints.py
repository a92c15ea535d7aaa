"""A folder with a checkpoint of all shards: one file for each, and one that names them.

What counts is what ``checkpoint.json`` names. It is written when all files are there, whole or not
at all, and what it no longer names is removed after that. So whatever is killed at whatever moment,
the folder holds one checkpoint, and that of one moment.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tree_world.files import write_atomically

_FORMAT = "tree-world-shards-1"
_NAME = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a folder holds.

    Attributes
    ----------
    number : int
        The how manieth it is in its folder.
    whole : str
        Name of the file with what all shards have in common.
    files : list of str
        One for each region.
    first : list of int
        Where each region begins, on the curve.
    sizes : list of int
        How many observations each holds.
    num_shards, max_memory_size : int
        Of the memory.
    """

    number: int
    whole: str
    files: list[str]
    first: list[int]
    sizes: list[int]
    num_shards: int
    max_memory_size: int

    def paths_of(self, folder: Path, low: int, high: int, end: int) -> list[str]:
        """Name the files with what is in a stretch of the curve.

        Parameters
        ----------
        folder : pathlib.Path
            Where they are.
        low, high : int
            The stretch.
        end : int
            Of the whole curve.

        Returns
        -------
        list of str
        """
        ends = [*self.first[1:], end]
        return [
            str(folder / file)
            for file, first, last in zip(self.files, self.first, ends, strict=True)
            if first < high and low < last
        ]


def read_checkpoint(folder: Path) -> Checkpoint:
    """Find out what a folder holds.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is damaged, or of a later version.
    """
    path = folder / _NAME
    if not path.exists():
        raise FileNotFoundError(
            f"there is no checkpoint of a memory in shards in {folder.name}: save or checkpoint "
            "one there first."
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if content.pop("format") != _FORMAT:
            raise ValueError(f"its format is not {_FORMAT!r}")
        return Checkpoint(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{_NAME} in {folder.name} is not one that this version can read ({error}). Load it "
            "with the version that wrote it."
        ) from error


def complete(folder: Path, checkpoint: Checkpoint) -> None:
    """Let this be the checkpoint in a folder, and remove the files of others.

    Parameters
    ----------
    folder : pathlib.Path
    checkpoint : Checkpoint
        Whose files are there.
    """
    content = {"format": _FORMAT, **asdict(checkpoint)}
    write_atomically(folder / _NAME, json.dumps(content).encode())
    named = {checkpoint.whole, *checkpoint.files}
    for path in folder.glob("*.shard"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def next_number(folder: Path) -> int:
    """Give a number that no file in a folder has, complete or not."""
    numbers = [0]
    for path in folder.glob("*.shard"):
        begin = path.name.partition("-")[0]
        numbers.append(int(begin) if begin.isdecimal() else 0)
    return max(numbers) + 1
