"""A memory in a file, and one on disk: what is written of it, and how it is found again."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from tree_world.files import replaced_atomically
from tree_world.models.memory.common import TENSORS, Common
from tree_world.models.memory.projection import Projection
from tree_world.models.memory.store.disk import Folder
from tree_world.models.memory.store.slots import Store
from tree_world.models.memory.types import Observations, Witnesses
from tree_world.precision import outside_inference_mode

_FORMAT = "tree-world-memory-3"
_WITHOUT_TIMES = "tree-world-memory-2"
_OLD_FORMAT = "tree-world-memory-1"  # without times, and a checksum of the tensors only
_DTYPES = {str(dtype): dtype for dtype in (torch.float16, torch.float32, torch.float64)}
_CHOICES = (
    *("location_dim", "sensory_dim", "embed_dim", "max_memory_size"),
    *("merge_distance", "merge_sense_distance", "cell_size"),
)
_WRONG = (
    *(safetensors.SafetensorError, KeyError, TypeError, ValueError, AttributeError),
    *(RuntimeError, MemoryError, OverflowError),
)


def write_state(common: Common, path: Path, with_senses: bool) -> None:
    """Write everything to a file, whole or not at all.

    Parameters
    ----------
    common : Common
    path : pathlib.Path
    with_senses : bool
        Whether senses are written, too; those on disk are there already.

    Raises
    ------
    OSError
        If it cannot be written. One that was there before is left as it was.
    """
    tensors, files = {}, []
    for index, row in enumerate(common.rows):
        slots = row.slots_by_age()
        where = torch.from_numpy(slots)
        for name in TENSORS:
            if name != "senses" or with_senses:
                own = getattr(row, name).detach()[where].cpu()
                tensors[f"{index}.{name}"] = own.contiguous()
        tensors[f"{index}.ids"] = torch.from_numpy(row.ids[slots])
        tensors[f"{index}.written_at"] = torch.from_numpy(row.written_at[slots])
        tensors[f"{index}.times"] = torch.from_numpy(row.times[slots])
        if not with_senses and row.file is not None:
            files.append(row.file.name)
            tensors[f"{index}.slots"] = where
            checksums = row.checksums(slots).view(np.int32)
            tensors[f"{index}.checksums"] = torch.from_numpy(checksums)
        if len(row.witnesses) > 0:
            for name in TENSORS:
                gone = getattr(row.witnesses.observations, name)
                tensors[f"{index}.witnesses.{name}"] = gone.cpu().contiguous()
            tensors[f"{index}.witnesses.limits"] = torch.from_numpy(row.witnesses.limits)
    if common.projection is not None:
        tensors["projection.matrix"] = common.projection.matrix.cpu().contiguous()
        tensors["projection.mean"] = common.projection.mean.cpu().contiguous()
    choices = {name: getattr(common, name) for name in _CHOICES}
    counters = [(row.next_id, row.clock) for row in common.rows]
    metadata = {
        "format": _FORMAT,
        "choices": json.dumps(choices),
        "counters": json.dumps(counters),
        "storage_dtype": str(common.storage_dtype),
        "files": json.dumps(files),
    }
    metadata["checksum"] = _checksum(tensors, metadata)
    with replaced_atomically(path) as temporary:
        try:
            safetensors.torch.save_file(tensors, temporary, metadata)
        except (safetensors.SafetensorError, OSError) as error:
            raise OSError(
                f"{path.name} could not be written ({error}); what was there before is still "
                "there. Make room, or choose another folder."
            ) from error
        if not with_senses and common.unfinished is not None:
            common.unfinished.checkpoint = temporary.stat().st_ino


def load(path: Path, device: torch.device, storage: Path | None = None) -> Common:
    """Read what `write_state` wrote.

    Parameters
    ----------
    path : pathlib.Path
        The file, or the folder of a memory on disk.
    device : torch.device
    storage : pathlib.Path, optional
        A folder to keep its senses in from now on; for a file only.

    Returns
    -------
    Common

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no checkpoint in the folder.
    ValueError
        If the file is damaged, or not of a memory, or of a later version; if what was sensed is not
        what the checkpoint says.
    FileExistsError
        If there is a memory in `storage` already.
    OSError
        If the folder is in use.
    """
    if storage is not None and path.is_dir():
        raise ValueError(
            f"{path.name} is a folder, so its senses are on disk: load it without storage, or save "
            "it as a file first."
        )
    torch.empty(0, device=device)  # which is not there, if that fails
    file = path / Folder.CHECKPOINT if path.is_dir() else path
    if not file.exists():
        raise FileNotFoundError(f"there is no file {file.name} in {file.parent}.")
    folder = Folder(path) if path.is_dir() else None
    try:
        return outside_inference_mode(_load, file, folder, device, storage)
    except _WRONG as error:
        raise ValueError(
            f"the file {file.name} is not a spatial memory that this version can read "
            f"({error}). Save the memory anew, or load it with the version that wrote it."
        ) from error


def _load(
    file: Path, folder: Folder | None, device: torch.device | str, storage: Path | None
) -> Common:
    with safetensors.safe_open(file, framework="pt") as content:
        metadata = content.metadata() or {}
        # Copies, as these are the file itself, whoever changes that.
        names = content.keys()
        tensors = {name: content.get_tensor(name).clone() for name in names}
    if metadata.get("format") not in (_FORMAT, _WITHOUT_TIMES, _OLD_FORMAT):
        raise ValueError(f"its format is {metadata.get('format')!r}, not {_FORMAT!r}")
    covered = {name: text for name, text in metadata.items() if name != "checksum"}
    if metadata["format"] == _OLD_FORMAT:
        wrong = metadata.get("checksum", own := _checksum(tensors)) != own
    else:
        wrong = metadata["checksum"] != _checksum(tensors, covered)
    if wrong:
        raise ValueError("its checksum does not fit what is in it")
    files = json.loads(metadata.get("files", "[]"))
    if files and folder is None:
        raise ValueError("it is the checkpoint of a memory on disk: load its folder")
    choices, counters = json.loads(metadata["choices"]), json.loads(metadata["counters"])
    if metadata["format"] != _FORMAT:  # as if all had been written without a time
        for index in range(len(counters)):
            tensors[f"{index}.times"] = tensors[f"{index}.written_at"].double()
    _check_contents(tensors, choices, counters, files)
    stored = tensors["0.locations"].dtype
    senses = _DTYPES[metadata["storage_dtype"]] if files else tensors["0.senses"].dtype
    memory = Common(
        **{name: choices[name] for name in _CHOICES},
        device=device,
        dtype=stored,
        storage_dtype=senses,
    )
    if storage is not None:
        folder = Folder.without_memory(storage)
    if folder is not None:
        memory.refuse_other_devices()
        memory.folder = folder
    _restore(memory, tensors, counters, files)
    return memory


def _restore(
    common: Common,
    tensors: dict[str, torch.Tensor],
    counters: list[list[int]],
    files: list[str],
) -> None:
    if "projection.matrix" in tensors:
        common.projection = Projection(
            tensors["projection.matrix"].to(common.device),
            tensors["projection.mean"].to(common.device),
        )
    common.rows = []
    for index, (next_id, clock) in enumerate(counters):
        names = (tensors[f"{index}.{n}"].numpy() for n in ("ids", "written_at", "times"))
        if files:
            row = _reopened(common, tensors, index, files[index])
        else:
            row = common.new_row()
            row.fill(_observations_in(common, tensors, f"{index}."), *names)
        common.rows.append(row)
        row.next_id, row.clock = next_id, clock
        if f"{index}.witnesses.limits" in tensors:
            gone = _observations_in(common, tensors, f"{index}.witnesses.")
            row.witnesses = Witnesses(gone, tensors[f"{index}.witnesses.limits"].numpy())
    if common.folder is not None:
        common.folder.tidy(files)


def _reopened(common: Common, tensors: dict[str, torch.Tensor], index: int, name: str) -> Store:
    assert common.folder is not None
    slots, ids, written_at, times, checksums = (
        tensors[f"{index}.{n}"].numpy()
        for n in ("slots", "ids", "written_at", "times", "checksums")
    )
    room = 2 * common.max_memory_size
    file = common.folder.open_file(name, room, common.embed_dim, common.storage_dtype)
    wrong = np.flatnonzero(file.checksums(slots) != checksums.view(np.uint32))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} observations in {name} are damaged, the first of them that with the "
            f"id {ids[wrong[0]]}"
        )
    row = common.new_row(file)
    row.reopen(
        slots,
        tensors[f"{index}.locations"],
        tensors[f"{index}.location_sds"],
        ids,
        written_at,
        times,
        checksums.view(np.uint32),
    )
    return row


def _observations_in(common: Common, tensors: dict[str, torch.Tensor], prefix: str) -> Observations:
    return Observations(*(tensors[prefix + name].to(common.device) for name in TENSORS))


def _checksum(tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> str:
    """CRC-32 of all tensors, in the order of their names, and of all that the header says."""
    whole = 0
    if metadata is not None:
        header = [
            [name, str(tensors[name].dtype), *tensors[name].shape] for name in sorted(tensors)
        ]
        whole = zlib.crc32(json.dumps([sorted(metadata.items()), header]).encode())
    for name in sorted(tensors):
        content: Any = tensors[name].numpy()
        whole = zlib.crc32(content, whole)
    return f"{whole:08x}"


def _check_contents(
    tensors: dict[str, torch.Tensor],
    choices: dict[str, Any],
    counters: list[list[int]],
    files: list[str],
) -> None:
    """Raise ValueError if what a file holds does not fit together."""
    missing = [name for name in _CHOICES if name not in choices]
    if missing:
        raise ValueError(f"it does not say {missing[0]}")
    if not counters or (files and len(files) != len(counters)):
        raise ValueError("it does not say how much was written")
    dim, embed_dim, size = (choices[n] for n in ("location_dim", "embed_dim", "max_memory_size"))
    projection = (embed_dim, choices["sensory_dim"])
    if "projection.matrix" in tensors:
        _check_shape(tensors, "projection.matrix", projection)
        _check_shape(tensors, "projection.mean", projection[1:])
    dtype = tensors["0.locations"].dtype
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"its places are of kind {dtype}")
    for index, (next_id, clock) in enumerate(counters):
        number = len(tensors[f"{index}.ids"])
        for name in ("ids", "written_at", "times", *(("slots", "checksums") if files else ())):
            _check_shape(tensors, f"{index}.{name}", (number,))
        if not bool(torch.isfinite(tensors[f"{index}.times"]).all()):
            raise ValueError(f"not all of {index}.times are finite")
        prefixes = [(f"{index}.", number)]
        if f"{index}.witnesses.limits" in tensors:
            gone = len(tensors[f"{index}.witnesses.limits"])
            prefixes.append((f"{index}.witnesses.", gone))
        for prefix, many in prefixes:
            for name in ("locations", "location_sds"):
                _check_shape(tensors, prefix + name, (many, dim))
            if not files or many is not number:
                _check_shape(tensors, prefix + "senses", (many, embed_dim))
            sds = tensors[prefix + "location_sds"]
            if not bool(torch.isfinite(sds).all() and (sds > 0).all()):
                raise ValueError(f"not all of {prefix}location_sds are positive")
        if number > size:
            raise ValueError(f"it holds {number} observations, but at most {size} would fit")
        if number and projection[0] < projection[1] and "projection.matrix" not in tensors:
            raise ValueError(f"it has no projection from {projection[1]} to {projection[0]}")
        limits = {"ids": next_id, "written_at": clock} | ({"slots": 2 * size} if files else {})
        for name, limit in limits.items():
            own = tensors[f"{index}.{name}"]
            if len(own.unique()) < number or bool(((own < 0) | (own >= limit)).any()):
                raise ValueError(f"{index}.{name} are not different numbers below {limit}")


def _check_shape(tensors: dict[str, torch.Tensor], name: str, shape: tuple[int, ...]) -> None:
    if tuple(tensors[name].shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}, not {shape}")
