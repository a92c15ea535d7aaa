"""Assigning what is stored: other places, deviations and senses take the place of those there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tree_world.checks import as_deviations, as_senses
from tree_world.models.memory.common import TENSORS, Common
from tree_world.models.memory.types import Observations
from tree_world.precision import outside_inference_mode


def assign(common: Common, name: str, value: Any) -> None:
    """Store other places, deviations or senses; a change.

    Tensors of another length than what is stored wait until all three are of it, and are then
    exchanged for what is stored, as new observations.

    Parameters
    ----------
    common : Common
    name : {"locations", "location_sds", "senses"}
    value : array_like of shape (n, dim) or (batch, n, dim)

    Raises
    ------
    ValueError
        If a number is not finite, a deviation not positive, or the shape does not fit.
    """
    common.refuse_gradients()
    dim = common.embed_dim if name == "senses" else common.location_dim
    checked = as_senses(value, dim, f"memory_{name}", common.dtype, common.device)
    if name == "location_sds":
        as_deviations(checked, checked.shape, f"memory_{name}", common.dtype, common.device)
    number = checked.shape[-2] if checked.ndim > 1 else 0
    if checked.shape != (len(common.rows), number, dim) and (
        len(common.rows) > 1 or checked.shape != (number, dim)
    ):
        raise ValueError(
            f"memory_{name} must have shape ({len(common.rows)}, n, {dim}), but one of shape "
            f"{tuple(checked.shape)} was assigned."
        )
    if number > common.max_memory_size:
        raise ValueError(
            f"memory_{name} holds {number} observations, but the memory has room for "
            f"{common.max_memory_size}: assign fewer, or make a larger memory."
        )
    kept = value if isinstance(value, torch.Tensor) and value.requires_grad else checked
    common.pending = {**common.pending, name: kept}
    here = all(len(row) == number for row in common.rows)
    lengths = {tensor.shape[-2] for tensor in common.pending.values()}
    if len(lengths) > 1:  # the last one begins anew
        common.pending = {name: kept}
    if here or (len(lengths) == 1 and len(common.pending) == len(TENSORS)):
        _exchange_for(common, common.pending, here)
        before = common.assigned if here else {}
        common.__dict__.update(pending={}, assigned=before | common.pending)
        common.assigned_versions = [tensor._version for tensor in common.assigned.values()]


def follow_assigned(common: Common) -> None:
    """Take over what an optimiser did to tensors that were assigned.

    Parameters
    ----------
    common : Common

    Raises
    ------
    ValueError
        If not all three were assigned that there must be, or an optimiser has made a number not
        finite, or a deviation not positive.
    """
    if common.pending:
        missing = [f"memory_{name}" for name in TENSORS if name not in common.pending]
        number = next(iter(common.pending.values())).shape[-2]
        raise ValueError(
            f"{number} observations were assigned, which is not as many as are in store: "
            f"assign {' and '.join(missing)} of that length, too, or call reset()."
        )
    versions = [tensor._version for tensor in common.assigned.values()]
    if versions != common.assigned_versions:
        outside_inference_mode(_exchange_for, common, common.assigned, True)
        common.assigned_versions = versions


def _exchange_for(common: Common, tensors: dict[str, torch.Tensor], same: bool) -> None:
    """Make stores of other tensors; the same observations, or new ones."""
    for name, tensor in tensors.items():
        dim = common.embed_dim if name == "senses" else common.location_dim
        as_senses(tensor, dim, f"memory_{name}", common.dtype, common.device)
        if name == "location_sds":
            as_deviations(tensor, tensor.shape, f"memory_{name}", common.dtype, common.device)
    rows = []
    for index, old in enumerate(common.rows):
        slots = old.slots_by_age()
        where = torch.from_numpy(slots).to(common.device)
        parts = []
        for name in TENSORS:
            own = tensors.get(name)
            if own is None:
                parts.append(getattr(old, name)[where])
            else:
                parts.append(own.detach() if own.ndim == 2 else own[index].detach())
        row, number = common.new_row(), len(parts[0])
        ids, written_at, times = old.ids[slots], old.written_at[slots], old.times[slots]
        if not same:
            ids, written_at = (
                np.arange(first, first + number) for first in (old.next_id, old.clock)
            )
            times = written_at.astype(np.float64)  # as if written without one
        row.fill(Observations(*parts), ids, written_at, times)
        row.next_id = old.next_id + (0 if same else number)
        row.clock = old.clock + (0 if same else number)
        rows.append(row)
    common.__dict__.update(rows=rows, searches={})
