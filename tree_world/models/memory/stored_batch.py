"""A batch of memories: what they hold, and how it is written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
import torch

from tree_world.checks import PointsLike
from tree_world.models.memory import tensors
from tree_world.models.memory.assignment import assign
from tree_world.models.memory.changes import assigning, changing, reading
from tree_world.models.memory.common import TENSORS, Common, Shared
from tree_world.models.memory.given import (
    checked_merging,
    checked_observations,
    checked_senses,
    checked_times,
)
from tree_world.models.memory.memory import Contents, Memory
from tree_world.models.memory.projection import Projection
from tree_world.models.memory.store.slots import Store
from tree_world.models.memory.types import Update


class StoredBatch:
    """What a `SpatialMemory` holds: its choices, its memories, and what is written to them."""

    location_dim = Shared[int]()
    sensory_dim = Shared[int]()
    embed_dim = Shared[int]()
    max_memory_size = Shared[int]()
    merge_distance = Shared[float]()
    merge_sense_distance = Shared[float]()
    cell_size = Shared[float]()
    device = Shared[torch.device]()
    dtype = Shared[torch.dtype]()
    storage_dtype = Shared[torch.dtype]()
    projection = Shared[Projection | None]()

    def __init__(
        self,
        location_dim: int,
        sensory_dim: int,
        embed_dim: int | None = None,
        max_memory_size: int = 1024,
        *,
        merge_distance: float = 1.0,
        merge_sense_distance: float = 0.1,
        cell_size: float = 25.0,
        projection: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        storage_dtype: torch.dtype | None = None,
        storage: str | os.PathLike[str] | None = None,
    ) -> None:
        self.common = Common(
            location_dim,
            sensory_dim,
            embed_dim,
            max_memory_size,
            merge_distance=merge_distance,
            merge_sense_distance=merge_sense_distance,
            cell_size=cell_size,
            projection=projection,
            device=device,
            dtype=dtype,
            storage_dtype=storage_dtype,
            storage=storage,
        )

    def __getitem__(self, row: int) -> Memory:
        return Memory.of(self.common, self.common.index_of(row))

    def __iter__(self) -> Iterator[Memory]:
        return (self[row] for row in range(self.batch_size))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{self.common!r}>"

    def __copy__(self) -> NoReturn:
        raise TypeError(
            "a shallow copy of a memory would share what is stored, and what is written to one "
            "would tear the other. Use copy.deepcopy for a memory of its own, or this one."
        )

    @reading
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "common": self.common.__getstate__()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        common = Common.__new__(Common)
        common.__setstate__(state.pop("common"))
        self.__dict__.update(state, common=common)

    def one(self, row: int | None = None) -> Memory:
        """Give the only memory of the batch.

        Parameters
        ----------
        row : int, optional
            Deprecated: use ``memory[row]``.

        Returns
        -------
        Memory

        Raises
        ------
        ValueError
            If there is more than one.
        """
        number = self.batch_size
        if row is not None:
            row = self.common.index_of(row)
            warnings.warn(
                f"row={row} will not be taken from 0.3 on: call the method of memory[{row}].",
                DeprecationWarning,
                stacklevel=3,
            )
            return self[row]
        if number > 1:
            raise ValueError(
                f"this memory holds a batch of {number}: say which one is meant, from memory[0] to "
                f"memory[{number - 1}]."
            )
        return self[0]

    # --- what is stored --------------------------------------------------------------------------

    @assigning
    def reset(self) -> None:
        """Forget everything but the projection. Ids start again from zero."""
        # On one line: an interrupt between the two would leave a file that no row names.
        self.common.__dict__.update(searches={}, pending={}, rows=[self.common.new_row()])

    @reading
    def __len__(self) -> int:
        """Observations in store, in the fullest row of the batch."""
        return max(len(row) for row in self.common.rows)

    @property
    def batch_size(self) -> int:
        """How many independent memories this is; ``memory[b]`` is one of them."""
        return len(self.common.rows)

    @property
    @reading
    def num_writes(self) -> int:
        """Observations that were ever written or merged, into each row of the batch."""
        return self.common.rows[0].clock

    @property
    def num_witnesses(self) -> int:
        """Observations that have gone and that `prune` remembers, in the row with most of them.

        They take as much room as those in store.
        """
        return max(len(row.witnesses) for row in self.common.rows)

    @property
    @reading
    def memory_locations(self) -> torch.Tensor:
        """Places in store, of shape (batch, slots, location_dim), the oldest first, in metres.

        They may be assigned, as may deviations and senses: tensors of as many observations take the
        place of what is stored, at once; all three of another number, when the third is assigned.
        What an optimiser does to tensors that were assigned is taken over.
        """
        return self._stacked(lambda row: self._content(row, "locations"), 0.0)

    @memory_locations.setter
    def memory_locations(self, value: Any) -> None:
        self._assign("locations", value)

    @property
    @reading
    def memory_location_sds(self) -> torch.Tensor:
        """Their deviations, of the same shape; infinite where a row of the batch has fewer."""
        return self._stacked(lambda row: self._content(row, "location_sds"), torch.inf)

    @memory_location_sds.setter
    def memory_location_sds(self, value: Any) -> None:
        self._assign("location_sds", value)

    @property
    @reading
    def memory_senses(self) -> torch.Tensor:
        """What was sensed there, of shape (batch, slots, embed_dim): projected, if it is."""
        return self._stacked(lambda row: self._content(row, "senses"), 0.0).to(self.dtype)

    @memory_senses.setter
    def memory_senses(self, value: Any) -> None:
        self._assign("senses", value)

    @assigning
    def _assign(self, name: str, value: Any) -> None:
        assign(self.common, name, value)

    @property
    @reading
    def ids(self) -> torch.Tensor:
        """Names of the observations, of shape (batch, slots); −1 where a row has fewer."""
        return self._stacked(lambda row: torch.from_numpy(row.ids), -1)

    @property
    @reading
    def ages(self) -> torch.Tensor:
        """Observations written since each one, of shape (batch, slots); −1 where there is none."""
        return self._stacked(lambda row: torch.from_numpy(row.clock - 1 - row.written_at), -1)

    @property
    @reading
    def times(self) -> torch.Tensor:
        """Time of each one, of double precision and shape (batch, slots): as `write` was given it.

        Where it was given none, how many were written or merged before. NaN where a row has fewer.
        """
        return self._stacked(lambda row: torch.from_numpy(row.times), torch.nan)

    def _content(self, row: Store, name: str) -> torch.Tensor:
        """One of the arrays of a row; what gradients flow to, if they do."""
        if self.common.requires_grad:
            return row.parameters(True)[TENSORS.index(name)]
        content: torch.Tensor = getattr(row, name)
        return content

    def _stacked(self, of: Callable[[Store], torch.Tensor], missing: float) -> torch.Tensor:
        rows = []
        for row in self.common.rows:
            whole, slots = of(row), row.slots_by_age()
            if len(slots) == row.used and bool((slots == np.arange(row.used)).all()):
                rows.append(whole[: row.used])  # as they lie
            else:
                rows.append(whole[torch.from_numpy(slots).to(whole.device)])
        longest = max(len(row) for row in rows)
        padded = [
            row
            if len(row) == longest
            else torch.cat([row, row.new_full((longest - len(row), *row.shape[1:]), missing)])
            for row in rows
        ]
        return torch.stack(padded)  # a copy

    def observations(self, *, as_sensed: bool = False) -> Contents:
        """Copy what is in store, the oldest first, of a memory without a batch.

        Parameters
        ----------
        as_sensed : bool, default=False
            Whether senses are given as they were sensed, if they are kept projected.

        Returns
        -------
        Contents
            Places, deviations, senses, ids, ages and times, each of shape (n, ...).
        """
        return self.one(None).observations(as_sensed=as_sensed)

    def neighbours(self, location: PointsLike, radius: float) -> torch.Tensor:
        """Name the observations near a place, of a memory without a batch.

        Parameters
        ----------
        location : array_like of shape (location_dim,)
            In metres.
        radius : float
            In metres. What lies at this very distance counts, as it does in reads.

        Returns
        -------
        torch.Tensor of int64, of shape (n,)
            Their ids, the oldest first.
        """
        return self.one(None).neighbours(location, radius)

    @reading
    def usage(self) -> dict[str, int]:
        """Bytes that are in use, by what they are used for.

        Returns
        -------
        dict of str to int
            Of places, deviations, senses, names and ages (with times), witnesses, of senses on
            disk, and of the index, which there is as soon as it is asked for.
        """
        return tensors.usage(self.common)

    # --- changing --------------------------------------------------------------------------------

    @changing
    def write(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        senses: Any,
        update: Update = False,
        *,
        times: PointsLike | float | None = None,
        merge_distance: float | None = None,
        merge_sense_distance: float | None = None,
    ) -> torch.Tensor:
        """Store what was sensed.

        Parameters
        ----------
        locations : array_like of shape (N, location_dim) or (batch, N, location_dim)
            Where, in metres.
        location_sds : float or array_like, broadcast to the shape of `locations`
            Standard deviations of the places, in metres; positive and finite.
        senses : array_like of shape (N, sensory_dim) or (batch, N, sensory_dim)
            What.
        update : bool or "replace", default=False
            Whether to merge each observation into the nearest one in store, in combined standard
            deviations, that agrees in place *and* in sense, by inverse variances. One that agrees
            with none is stored. What comes of merging lies between what was in store and what is
            written, however often that is. With "replace" places are merged just so, but the new
            sense and its time take the place of the old ones, whichever time is newer: of a tree
            that was emptied meanwhile nothing is left of the fruit. What was pruned because the old
            sense told it, and is told no more, is let go by the next `prune`, as it is after a
            merge that moves the mean so far; consolidation in the background that would bring the
            old sense back ends with `Superseded`.
        times : float or array_like, broadcast to shape (N,) or (batch, N), optional
            When, in whatever unit and from whatever beginning you count; kept in double precision.
            By default the memory counts: `num_writes` before the observation, which is also what
            its age is told from. Of two that are merged, the newer time stays. A read can leave
            out what is not older than a time: see `not_since` of `read`.
        merge_distance, merge_sense_distance : float, optional
            Those of the memory by default: see `SpatialMemory`.

        Returns
        -------
        torch.Tensor of int64, of shape (N,) or (batch, N)
            Ids of the observations, or of those into which they were merged. An id is never given
            again.

        Raises
        ------
        ValueError
            If shapes do not fit each other, an entry or a time is not finite, an entry is too large
            for the precision in which it is kept, or a deviation is not positive; if `update` is
            neither of the three, or a distance is given and nothing is merged. Nothing is stored
            then.
        OSError
            If senses are kept on a disk that is full. Nothing is stored then.
        """
        common = self.common
        common.settle()
        merging = checked_merging(common, update, merge_distance, merge_sense_distance)
        places, sds, values = checked_observations(common, locations, location_sds, senses)
        when = checked_times(times, places)
        self._check_batch(places.shape[0] if places.ndim == 3 else 1, writing=True)
        embeddings = common.encoded(values)
        if common.folder is not None:
            for row in common.rows:
                row.reserve(places.shape[-2])
        if places.ndim == 2:
            ids = Memory.of(common, 0).written(places, sds, embeddings, merging, when)
        else:
            each = when if when is not None else (None,) * len(places)
            rows = zip(places, sds, embeddings, strict=True)
            every = zip(self, rows, each, strict=True)
            ids = np.stack([one.written(*given, merging, at) for one, given, at in every])
        common.follow()
        return torch.from_numpy(ids)

    def _check_batch(self, batch: int, writing: bool) -> None:
        common, number = self.common, len(self.common.rows)
        if batch == number or (not writing and 1 in (batch, number)):
            return
        if writing and common.rows[0].next_id == 0:
            common.rows = []
            for _ in range(batch):
                common.rows.append(common.new_row())
            return
        raise ValueError(
            f"this memory holds a batch of {number}, but a batch of {batch} was given. "
            "Give as many rows, or call reset() to start anew."
        )

    def delete(self, ids: torch.Tensor | list[int], row: int | None = None) -> None:
        """Forget observations.

        Parameters
        ----------
        ids : array_like of int
            As `write` gave them: whole numbers, of any shape. A mask is none.
        row : int, optional
            Deprecated: use ``memory[row]``, which must be said if there is more than one.

        Raises
        ------
        ValueError
            If an id is not a whole number, or the row is not said.
        IndexError
            If there is no such row.
        KeyError
            If an id is not in store.

        Nothing is deleted then.
        """
        self.one(row).delete(ids)

    def move(
        self,
        ids: torch.Tensor | list[int],
        locations: PointsLike,
        location_sds: PointsLike | float | None = None,
        *,
        location_covariances: PointsLike | None = None,
    ) -> None:
        """Place observations elsewhere, as places have turned out to be other than believed.

        Ids, senses, times, ages and order stay. So do those that `prune` has let go and remembers:
        it goes on holding what is left against them at their old places. In the background,
        pruning goes on, as if the move had come after it; consolidation, in whose result what was
        moved would still be at its old place, ends with `Superseded`.

        Parameters
        ----------
        ids : array_like of int, of shape (n,)
            As `write` gave them, each once, in any order.
        locations : array_like of shape (n, location_dim)
            Where they are now thought to be, in metres.
        location_sds : float or array_like, broadcast to the shape of `locations`, optional
            Standard deviations of these places, in metres. Those in store stay by default.
        location_covariances : array_like of shape (n, location_dim, location_dim), optional
            Instead of `location_sds`, in square metres; one of shape (location_dim, location_dim)
            is that of all. A memory keeps a deviation along each axis: the roots of the diagonal
            are kept, and what the axes have to do with each other is not.

        Raises
        ------
        ValueError
            If there is more than one memory in the batch: call the method of ``memory[b]``. If an
            id is no whole number, or comes twice; if shapes do not fit, a number is not finite or
            too large for the precision in which it is kept, or a deviation not positive; if a
            covariance is not symmetric and positive definite, or there are deviations, too.
        KeyError
            If an id is not in store.

        Nothing is moved then.

        Examples
        --------
        >>> import torch
        >>> from tree_world.models.memory import SpatialMemory
        >>> memory = SpatialMemory(location_dim=2, sensory_dim=3)
        >>> ids = memory.write([[0.0, 0.0], [100.0, 0.0]], 5.0, torch.eye(3)[:2])
        >>> memory.move(ids[1:], [[0.0, 40.0]], 1.0)
        >>> memory.read([0.0, 40.0], 1.0, 10.0)
        tensor([0., 1., 0.])
        >>> memory.observations().location_sds
        tensor([[5., 5.],
                [1., 1.]])
        """
        self.one(None).move(ids, locations, location_sds, location_covariances=location_covariances)

    @changing
    def fit_projection(self, senses: Any) -> float:
        """Fit the projection on senses, beside those on which it was fitted before.

        Observations in store are expressed anew.

        Parameters
        ----------
        senses : array_like of shape (n, sensory_dim)
            At least `embed_dim` of them.

        Returns
        -------
        float
            The share of their variance that the projection keeps; 1 if they are all alike.

        Raises
        ------
        ValueError
            If there are too few senses, the shape does not fit, or the projection was given as a
            matrix. Nothing has changed then.
        OSError
            If senses are kept on a disk that is full. Nothing has changed then.
        """
        self.common.settle()
        kept = self.common.fit_projection(checked_senses(self.common, senses))
        self.common.follow()
        return kept
