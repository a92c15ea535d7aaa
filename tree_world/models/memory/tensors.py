"""What is stored, as tensors: gradients that flow to it, its device and precision, its bytes."""

from __future__ import annotations

import torch

from tree_world.models.memory.common import TENSORS, Common, checked_precision
from tree_world.models.memory.types import Observations, Witnesses

_CALLED = {"ids": "names and ages"}  # what a store calls otherwise


def set_requires_grad(common: Common, requires_grad: bool) -> None:
    """Let gradients flow to what is stored, or no longer; a change."""
    if requires_grad and common.folder is not None:
        raise ValueError(
            "senses that are kept on disk cannot require gradients: save the memory, and load "
            "what that wrote."
        )
    if requires_grad and common.storage_dtype != common.dtype:
        raise ValueError(
            f"senses that are kept as {common.storage_dtype} cannot require gradients, as small "
            "steps would vanish. Use a memory without storage_dtype."
        )
    for row in common.rows:
        if row.file is None:
            row.settle(thoroughly=True)
            row.parameters(requires_grad)
    common.requires_grad = requires_grad
    for row in common.rows:
        row.follow(requires_grad)
        for tensor in row.parameters(requires_grad) if row.file is None else ():
            tensor.grad = None


def parameters(common: Common) -> list[torch.Tensor]:
    """Tensors that hold what is stored; a change."""
    tensors: list[torch.Tensor] = []
    for row in common.rows:
        if row.file is None:
            tensors += row.parameters(common.requires_grad)
            row.follow(common.requires_grad)
        else:
            slots = torch.from_numpy(row.slots_by_age())
            tensors += (getattr(row, name)[slots] for name in TENSORS)
    return tensors


def move(common: Common, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
    """Move to another device, or to another precision; a change."""
    if common.folder is not None:
        raise ValueError(
            "a memory with storage stays on the CPU and in its precision: save it, and load "
            "and move what that wrote."
        )
    common.settle()
    new_dtype = common.dtype if dtype is None else checked_precision(dtype)
    new_device = common.device if device is None else torch.device(device)
    half = common.storage_dtype != common.dtype
    kept_in = common.storage_dtype if half else new_dtype
    for row in common.rows:
        slots = torch.from_numpy(row.slots_by_age())
        moved = {}
        for name in TENSORS:
            own = getattr(row, name)
            moved[name] = own.to(new_device, kept_in if name == "senses" else new_dtype)
            _refuse_lost(name, own, moved[name], slots)
        gone, everything = row.witnesses.observations, torch.arange(len(row.witnesses))
        moved_gone = {name: getattr(gone, name).to(new_device, new_dtype) for name in TENSORS}
        for name in TENSORS:
            _refuse_lost(f"witnesses' {name}", getattr(gone, name), moved_gone[name], everything)
        row.move(moved, Witnesses(Observations(**moved_gone), row.witnesses.limits))
    if common.projection is not None:
        common.projection = common.projection.to(new_device, new_dtype)
    common.__dict__.update(device=new_device, dtype=new_dtype, storage_dtype=kept_in)
    common.searches = {}


def usage(common: Common) -> dict[str, int]:
    """Bytes that are in use, by what they are used for.

    Parameters
    ----------
    common : Common

    Returns
    -------
    dict of str to int
    """
    used = dict.fromkeys((*TENSORS, "names and ages", "witnesses", "disk", "index"), 0)
    for row in common.rows:
        for name, held in row.usage().items():
            on_disk = name == "senses" and row.file is not None
            used["disk" if on_disk else _CALLED.get(name, name)] += held
    return used


def _refuse_lost(name: str, before: torch.Tensor, after: torch.Tensor, slots: torch.Tensor) -> None:
    """Raise ValueError if a number became infinite, or a deviation zero, in another precision."""
    own = after[slots.to(after.device)]
    lost = ~torch.isfinite(own)
    if name.endswith("location_sds"):
        lost |= own == 0
    if bool(lost.any()):
        value = before[slots.to(before.device)][lost.to(before.device)][0].item()
        raise ValueError(
            f"one of the {name} is {value:g}, which is beyond what {after.dtype} can hold: nothing "
            "was moved. Delete such observations first, or scale them."
        )
