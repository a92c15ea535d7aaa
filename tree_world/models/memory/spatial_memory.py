"""The spatial memory: what would be sensed anywhere, from what was sensed somewhere."""

from __future__ import annotations

import functools
import json
import math
import os
import sys
import threading
import weakref
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec, Self, TypeVar, cast

import numpy as np
import safetensors
import safetensors.torch
import torch

from tree_world.checks import (
    PointsLike,
    SeedLike,
    WrongKind,
    as_deviations,
    as_points,
    as_senses,
    make_generator,
    positive_distance,
    positive_number,
    real_number,
    whole_number,
)
from tree_world.files import replaced_atomically
from tree_world.models.memory.forget.consolidation import (
    ConsolidationReport,
    check_consolidation,
    consolidate,
)
from tree_world.models.memory.forget.leave_one_out import LeaveOneOut, leave_one_out
from tree_world.models.memory.forget.neighbours import PRUNING_LIMIT
from tree_world.models.memory.forget.pruning import check_pruning, prune
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.kernel.affinity import log_affinity
from tree_world.models.memory.projection import Projection
from tree_world.models.memory.recall.location import read_location
from tree_world.models.memory.recall.plan import asks_the_index
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.search.cells import CellSearch
from tree_world.models.memory.search.exact import draw, exact_log_weights
from tree_world.models.memory.search.places import FoundPlaces, best_distinct_slots
from tree_world.models.memory.search.query import Query
from tree_world.models.memory.search.samples import Samples, scattered
from tree_world.models.memory.store.disk import Folder, SensesFile
from tree_world.models.memory.store.exchange import (
    Replacement,
    Snapshot,
    bring_up_to_date,
    in_turn,
    prepared,
)
from tree_world.models.memory.store.slots import Store
from tree_world.models.memory.store.task import Task, stop_if_asked
from tree_world.models.memory.types import (
    MEMORY_LIMIT,
    RIDGE,
    TAIL,
    Observations,
    Read,
    ReadOptions,
    Witnesses,
)
from tree_world.precision import without_autocast

_FORMAT = "tree-world-memory-2"
_OLD_FORMAT = "tree-world-memory-1"  # whose checksum is of the tensors only
_NAMES = ("locations", "location_sds", "senses")
_DTYPES = {str(dtype): dtype for dtype in (torch.float16, torch.float32, torch.float64)}

_MERGING = {
    "merge_distance": "number of combined standard deviations",
    "merge_sense_distance": "distance between senses",
}
_FIXED = (
    "location_dim", "sensory_dim", "embed_dim", "max_memory_size", "cell_size", "device", "dtype",
    "storage_dtype",
)  # fmt: skip

_FEW = 2000  # observations, up to which tables of cells are not worth keeping
_SEARCHES = 8  # search keys that are kept ready


P = ParamSpec("P")
R = TypeVar("R")


def _locked(
    method: Callable[Concatenate[SpatialMemory, P], R],
) -> Callable[Concatenate[SpatialMemory, P], R]:
    """Let one thread at a time use a memory, which it finds whole."""
    exact = without_autocast(method)

    @functools.wraps(method)
    def locked(self: SpatialMemory, *args: P.args, **kwargs: P.kwargs) -> R:
        # On one line, so that an interrupt finds no place between the end and the release.
        with self._lock: return self._whole(exact, args, kwargs)  # noqa: E701  # fmt: skip

    return cast("Callable[Concatenate[SpatialMemory, P], R]", locked)


def _changing(
    method: Callable[Concatenate[SpatialMemory, P], R],
) -> Callable[Concatenate[SpatialMemory, P], R]:
    """Let one thread at a time change a memory, wholly or not at all."""

    @functools.wraps(method)
    def changing(self: SpatialMemory, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock: return self._whole_or_not_at_all(method, args, kwargs)  # noqa: E701  # fmt: skip

    return cast("Callable[Concatenate[SpatialMemory, P], R]", changing)


@dataclass
class _Change:
    """What undoing a change takes.

    Attributes
    ----------
    attributes : dict
        Of the memory, before.
    rows : list of (Store, dict)
        Rows of the memory before, each with what `Store.begin` gave.
    checkpoint : int, optional
        Number of the file that is to become the checkpoint, in its file system. If it has become
        that, the checkpoint is complete, and can no longer be undone.
    """

    attributes: dict[str, Any]
    rows: list[tuple[Store, dict[str, Any]]]
    checkpoint: int | None = None


_memories: weakref.WeakSet[SpatialMemory] = weakref.WeakSet()


def _after_fork() -> None:
    """Give memories new locks: who held the old ones is not there in the child."""
    for memory in list(_memories):
        memory._lock = threading.RLock()
        memory._forked = memory._folder is not None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class SpatialMemory:
    r"""A regression of what is sensed on where, ready at every step.

    A read at a place :math:`\ell` with deviation :math:`\sigma` is the mean of the stored senses,
    weighted by how well their places agree, both being uncertain [1]_ [2]_:

    .. math::

        \hat z(\ell) = \sum_t w_t z_t, \quad w_t \propto
        \mathcal N\bigl(\ell;\; \ell_t,\; \operatorname{diag}(\sigma^2 + \sigma_t^2)\bigr).

    Inputs may be of shape (N, d) or (batch, N, d). A memory that is written in batches holds one
    memory for each row of the batch, all of the same kind and independent of each other. Threads
    may share a memory: each call sees it as it is between two changes. A change happens wholly or
    not at all, also if it is interrupted. Whoever only reads may share a memory with the processes
    that are forked from its own, unless it is on disk.

    Parameters
    ----------
    location_dim : int
        Dimension of places.
    sensory_dim : int
        Dimension of senses.
    embed_dim : int, optional
        Numbers that are kept of each sense; all by default. With fewer, senses are projected onto
        their principal components, which are fitted by `fit_projection` or on the first write.
    max_memory_size : int, default=1024
        Greatest number of observations. When it is full, the oldest make room.
    merge_distance : float, default=1.0
        With ``update=True``: how near an observation must be to one in store to be merged with it,
        in combined standard deviations.
    merge_sense_distance : float, default=0.1
        With ``update=True``: how alike they must be, as a distance between their senses.
    cell_size : float, default=25.0
        A distance in metres that is usual, such as that of `match_threshold`. Cells of the index
        are halved down to a sixteenth of it where there is much.
    projection : torch.Tensor of shape (embed_dim, sensory_dim), optional
        A projection to use instead of principal components; it is copied.
    device : torch.device or str, default="cpu"
    dtype : torch.dtype, default=torch.float32
        In which places are kept and everything is computed: single or double precision.
    storage_dtype : torch.dtype, optional
        In which senses are kept: `dtype` by default, or ``torch.float16`` for half the memory.
        Each entry z is then rounded by at most :math:`\max(2^{-11} |z|, 2^{-25})`. Reads are means,
        so what they lose is no more than the most that any entry loses: for senses of length one,
        less than 0.0005 in length. Each merge rounds once more.
    storage : path-like, optional
        A folder in which to keep senses, for more of them than fit in memory; everything else
        stays in memory. It is made if it is not there, and must not hold a memory yet. `checkpoint`
        makes it last: `tree_world.models.memory.store.disk` tells what is in it, and why it
        survives.

    Raises
    ------
    ValueError
        If a size is not a positive whole number, `embed_dim` is greater than `sensory_dim`, or a
        precision is none of those; if a memory on disk is to be on another device than the CPU.
    MemoryError
        If there is no room for `max_memory_size` observations.
    FileExistsError
        If the folder holds a memory already.
    OSError
        If the folder cannot be made, or is in use.

    References
    ----------
    .. [1] E. A. Nadaraya, "On estimating regression", 1964.
    .. [2] G. S. Watson, "Smooth regression analysis", 1964.

    Examples
    --------
    >>> import torch
    >>> memory = SpatialMemory(location_dim=2, sensory_dim=3)
    >>> places = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    >>> ids = memory.write(places, 5.0, torch.eye(3)[:2])
    >>> memory.read([50.0, 0.0], 5.0)
    tensor([0.5000, 0.5000, 0.0000])
    >>> memory.read([50.0, 0.0], 5.0, match_threshold=25.0)  # nothing is so near
    tensor([0., 0., 0.])
    """

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
        location_dim = whole_number("location_dim", location_dim, 1)
        sensory_dim = whole_number("sensory_dim", sensory_dim, 1)
        embed_dim = sensory_dim if embed_dim is None else whole_number("embed_dim", embed_dim, 1)
        max_memory_size = whole_number("max_memory_size", max_memory_size, 1)
        if embed_dim > sensory_dim:
            raise ValueError(
                f"embed_dim ({embed_dim}) must not be greater than sensory_dim ({sensory_dim}): a "
                "projection can leave out, not add."
            )
        self.location_dim = location_dim
        self.sensory_dim = sensory_dim
        self.embed_dim = embed_dim
        self.max_memory_size = max_memory_size
        self.merge_distance = merge_distance
        self.merge_sense_distance = merge_sense_distance
        self.cell_size = positive_distance("cell_size", cell_size)
        self.device = torch.device(device)
        self.dtype = _precision(dtype)
        self.storage_dtype = self.dtype if storage_dtype is None else storage_dtype
        if self.storage_dtype not in (self.dtype, torch.float16):
            raise ValueError(
                f"storage_dtype must be torch.float16, or dtype, {self.dtype}, but is "
                f"{storage_dtype!r}."
            )
        self.projection: Projection | None = None
        if projection is not None:
            matrix = as_senses(projection, sensory_dim, "projection", self.dtype, self.device)
            if matrix.shape != (embed_dim, sensory_dim):
                raise ValueError(
                    f"projection must have shape ({embed_dim}, {sensory_dim}), not "
                    f"{tuple(matrix.shape)}."
                )
            self.projection = Projection(matrix)
        self._requires_grad = False
        self._lock = threading.RLock()
        self._forked = False  # whether this is the copy of a memory on disk in a forked process
        self._unfinished: _Change | None = None
        self._folder: Folder | None = None
        if storage is not None:
            self._refuse_other_devices()
            self._folder = Folder(Path(storage).expanduser())
            if self._folder.checkpoint.exists():
                raise FileExistsError(
                    f"the folder {self._folder.path.name} holds a memory already. Go on with it by "
                    "SpatialMemory.load, or choose another folder."
                )
            self._folder.tidy([])
        self._searches: dict[tuple[int, bytes], CellSearch] = {}
        self._rows = [self._new_row()]
        _memories.add(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and name in self.__dict__:
            what_to_do = (
                "Call `to`, which converts what is stored"
                if name in ("device", "dtype")
                else "Make a new memory with it, and write to that what this one holds"
            )
            raise AttributeError(
                f"{name} cannot be set to {value!r}: the memory was made with "
                f"{self.__dict__[name]!r}. {what_to_do}."
            )
        if name in _MERGING:  # which may be changed at any time
            value = positive_number(name, value, _MERGING[name])
        super().__setattr__(name, value)

    def _refuse_other_devices(self) -> None:
        if self.device.type != "cpu":
            raise ValueError(
                f"a memory on disk must be on the CPU, but {self.device} was asked for: save it, "
                "and load what that wrote."
            )

    def __repr__(self) -> str:
        held = " and ".join(str(number) for number in sorted({len(row) for row in self._rows}))
        batch = "" if len(self._rows) == 1 else f" in each of {len(self._rows)} rows"
        kept = "" if self.storage_dtype == self.dtype else f", senses as {self.storage_dtype}"
        shorter = "" if self.embed_dim == self.sensory_dim else f", embed_dim={self.embed_dim}"
        disk = "" if self._folder is None else f", senses in the folder {self._folder.path.name}"
        return (
            f"<{type(self).__name__}({self.location_dim}, {self.sensory_dim}{shorter}): {held} of "
            f"at most {self.max_memory_size} observations{batch}, {self.dtype} on "
            f"{self.device}{kept}{disk}>"
        )

    def __copy__(self) -> NoReturn:
        raise TypeError(
            "a shallow copy of a memory would share what is stored, and what is written to one "
            "would tear the other. Use copy.deepcopy for a memory of its own, or this one."
        )

    @_locked
    def __getstate__(self) -> dict[str, Any]:
        if self._folder is not None:
            raise TypeError(
                "a memory with storage cannot be copied or pickled, as the folder is one memory's. "
                "Call save, and load what it wrote."
            )
        left_out = ("_lock", "_forked", "_unfinished", "_searches", "_rows")
        state = {name: value for name, value in self.__dict__.items() if name not in left_out}
        # Copies: whoever copies or pickles looks at them when the lock is no longer held.
        return state | {"rows": [row.__getstate__() for row in self._rows]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        rows = state.pop("rows")
        self.__dict__.update(
            state, _searches={}, _lock=threading.RLock(), _forked=False, _unfinished=None, _rows=[]
        )
        for own in rows:
            row = Store.__new__(Store)
            row.__setstate__(own)
            self._rows.append(row)
        _memories.add(self)

    # --- whole, or not at all --------------------------------------------------------------------

    def _whole(self, method: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """Call a method on a memory that no change has left half made; the lock is held."""
        self._mend()
        for row in self._rows:
            row.adopt()
            if self._requires_grad:  # reads look at the parameters themselves
                row.check_parameters()
            else:
                row.settle()
        return method(self, *args, **kwargs)

    def _whole_or_not_at_all(
        self, method: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> R:
        """Call a method that changes the memory; the lock is held.

        Whatever is raised meanwhile, everything is as it was. If that comes while it is made so, it
        is made so before anybody uses the memory again.
        """
        self._mend()
        for row in self._rows:
            row.adopt()
        attributes = {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_lock", "_unfinished")
        }
        try:
            self._unfinished = _Change(attributes, [(row, row.begin()) for row in self._rows])
            result = _outside_inference_mode(method, self, *args, **kwargs)
            self._unfinished = None  # which makes it so
            return result
        except BaseException:
            self._undo()
            raise

    def _mend(self) -> None:
        """Undo a change that was broken off, and whose undoing was broken off as well."""
        if self._forked:
            raise OSError(
                "this memory on disk belongs to the process from which this one was forked, which "
                "may change it. Save it there, and load here what that wrote."
            )
        if self._unfinished is None:
            return
        frame = sys._getframe()
        while frame.f_back is not None:
            frame = frame.f_back
            here = frame.f_code is SpatialMemory._whole_or_not_at_all.__code__
            if here and frame.f_locals.get("self") is self:
                raise RuntimeError(
                    "the memory is being changed by what was interrupted for this call, as by a "
                    "signal. Let the handler make a note, and call when the change is complete."
                )
        self._undo()

    def _undo(self) -> None:
        """Make everything as it was before the change that is not complete, if there is one."""
        change = self._unfinished
        if change is not None:
            _outside_inference_mode(self._undo_change, change)
            self._unfinished = None

    def _undo_change(self, change: _Change) -> None:
        files = {row.file for row in (*self._rows, *(row for row, _ in change.rows))}
        self.__dict__.update(change.attributes, _searches={})
        for row, noted in change.rows:
            row.undo(noted)
            row.point(self._requires_grad)
        folder = self._folder
        if folder is None:
            return
        for file in files - {row.file for row in self._rows}:
            if file is not None:
                folder.remove(file)
        is_there = change.checkpoint is not None and folder.checkpoint.exists()
        if is_there and folder.checkpoint.stat().st_ino == change.checkpoint:
            self._checkpoint_is_complete()

    def _settle(self) -> None:
        """Take over what an optimiser did to the parameters; at the beginning of a change."""
        for row in self._rows:
            row.settle()

    def _follow(self) -> None:
        """Let parameters that were handed out be what is stored now; at the end of a change."""
        for row in self._rows:
            row.follow(self._requires_grad)

    # --- what is stored --------------------------------------------------------------------------

    @_changing
    def reset(self) -> None:
        """Forget everything but the projection. Ids start again from zero."""
        # On one line: an interrupt between the two would leave a file that no row names.
        self.__dict__.update(_searches={}, _rows=[self._new_row()])

    def _new_row(self, file: SensesFile | None = None) -> Store:
        return Store(
            self.location_dim, self.embed_dim, self.max_memory_size, self.cell_size, self.device,
            self.dtype, self.storage_dtype, folder=self._folder, file=file,
        )  # fmt: skip

    @_locked
    def __len__(self) -> int:
        """Observations in store, in the fullest row of the batch."""
        return max(len(row) for row in self._rows)

    @property
    def batch_size(self) -> int:
        """How many independent memories this is."""
        return len(self._rows)

    @property
    @_locked
    def num_writes(self) -> int:
        """Observations that were ever written or merged, into each row of the batch."""
        return self._rows[0].clock

    @property
    def num_witnesses(self) -> int:
        """Observations that have gone and that `prune` remembers, in the row with most of them.

        They take as much room as those in store.
        """
        return max(len(row.witnesses) for row in self._rows)

    @property
    @_locked
    def memory_locations(self) -> torch.Tensor:
        """Places in store, of shape (batch, slots, location_dim), the oldest first, in metres."""
        return self._stacked(lambda row: self._content(row, "locations"), 0.0)

    @property
    @_locked
    def memory_location_sds(self) -> torch.Tensor:
        """Their deviations, of the same shape; infinite where a row of the batch has fewer."""
        return self._stacked(lambda row: self._content(row, "location_sds"), torch.inf)

    @property
    @_locked
    def memory_senses(self) -> torch.Tensor:
        """What was sensed there, of shape (batch, slots, embed_dim): projected, if it is."""
        return self._stacked(lambda row: self._content(row, "senses"), 0.0).to(self.dtype)

    @property
    @_locked
    def ids(self) -> torch.Tensor:
        """Names of the observations, of shape (batch, slots); −1 where a row has fewer."""
        return self._stacked(lambda row: torch.from_numpy(row.ids), -1)

    @property
    @_locked
    def ages(self) -> torch.Tensor:
        """Observations written since each one, of shape (batch, slots); −1 where there is none."""
        return self._stacked(lambda row: torch.from_numpy(row.clock - 1 - row.written_at), -1)

    def _content(self, row: Store, name: str) -> torch.Tensor:
        """One of the arrays of a row; what gradients flow to, if they do."""
        if self._requires_grad:
            return row.parameters(True)[_NAMES.index(name)]
        content: torch.Tensor = getattr(row, name)
        return content

    def _stacked(self, of: Callable[[Store], torch.Tensor], missing: float) -> torch.Tensor:
        slots = [torch.from_numpy(row.slots_by_age()) for row in self._rows]
        rows = [
            (whole := of(row))[where.to(whole.device)]
            for row, where in zip(self._rows, slots, strict=True)
        ]
        longest = max(len(row) for row in rows)
        padded = [
            row
            if len(row) == longest
            else torch.cat([row, row.new_full((longest - len(row), *row.shape[1:]), missing)])
            for row in rows
        ]
        return torch.stack(padded)

    # --- writing ---------------------------------------------------------------------------------

    @_changing
    def write(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        senses: Any,
        update: bool = False,
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
        update : bool, default=False
            Whether to merge each observation into the nearest one in store that agrees in place
            *and* in sense, by inverse variances. One that agrees with none is stored. What comes of
            merging lies between what was in store and what is written, however often that is.

        Returns
        -------
        torch.Tensor of int64, of shape (N,) or (batch, N)
            Ids of the observations, or of those into which they were merged. An id is never given
            again.

        Raises
        ------
        ValueError
            If shapes do not fit each other, an entry is not finite or too large for the precision
            in which it is kept, or a deviation is not positive. Nothing is stored then.
        OSError
            If senses are kept on a disk that is full. Nothing is stored then.
        """
        self._settle()
        places = self._places(locations, "locations")
        if places.ndim == 1:
            places = places[None]
        sds = self._deviations(location_sds, places, "location_sds")
        values = as_senses(senses, self.sensory_dim, "senses", self.dtype, self.device).detach()
        if values.ndim == 1:
            values = values[None]
        if values.shape[:-1] != places.shape[:-1]:
            raise ValueError(
                "locations and senses must hold equally many observations, but have shapes "
                f"{tuple(places.shape)} and {tuple(values.shape)}."
            )
        batch = places.shape[0] if places.ndim == 3 else 1
        self._check_batch(batch, writing=True)
        embeddings = self._encode(values)
        greatest = torch.finfo(self.storage_dtype).max
        kept_anew = self.storage_dtype != self.dtype or embeddings is not values
        # Written so that NaN, which is what an infinity may have become, is too large, too.
        if kept_anew and not bool((embeddings.abs() <= greatest).all()):
            half = self.storage_dtype != self.dtype
            raise ValueError(
                f"senses that are kept {'in half precision' if half else 'projected'} must lie "
                f"between -{greatest:g} and {greatest:g}, but one entry is "
                f"{embeddings.abs().max():g}. Scale senses{', or leave storage_dtype out' * half}."
            )
        stored = (places.detach(), sds.detach(), embeddings)
        for row in self._rows:
            row.reserve(places.shape[-2])
        ids = []
        for index, row in enumerate(self._rows):
            own = stored if places.ndim == 2 else [tensor[index] for tensor in stored]
            ids.append(self._write_row(row, own[0], own[1], own[2], update))
        self._follow()
        written = torch.from_numpy(np.stack(ids))
        return written if places.ndim == 3 else written[0]

    def _write_row(
        self,
        row: Store,
        locations: torch.Tensor,
        location_sds: torch.Tensor,
        senses: torch.Tensor,
        update: bool,
    ) -> np.ndarray:
        if not update:
            return row.append(locations, location_sds, senses)
        ids = []
        for location, location_sd, sense in zip(locations, location_sds, senses, strict=True):
            merged = row.merge(
                location, location_sd, sense, self.merge_distance, self.merge_sense_distance
            )
            if merged is None:
                merged = int(row.append(location[None], location_sd[None], sense[None])[0])
            ids.append(merged)
        return np.array(ids, dtype=np.int64)

    @_changing
    def delete(self, ids: torch.Tensor | list[int], row: int | None = None) -> None:
        """Forget observations.

        Parameters
        ----------
        ids : array_like of int
            As `write` gave them: whole numbers, of any shape. A mask is none.
        row : int, optional
            Row of the batch, which must be said if there is more than one.

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
        self._settle()
        store = self._row(row)
        store.delete(np.unique(_whole_numbers("ids", ids)))
        self._follow()

    @_changing
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
        self._settle()
        kept = self._fit_projection(
            as_senses(senses, self.sensory_dim, "senses", self.dtype, self.device)
        )
        self._follow()
        return kept

    def _fit_projection(self, senses: torch.Tensor) -> float:
        values = senses.detach().reshape(-1, self.sensory_dim)
        old = self.projection
        new = Projection.from_senses(values, self.embed_dim) if old is None else old.updated(values)

        def anew(kept: torch.Tensor) -> torch.Tensor:
            return new.encode(kept if old is None else old.decode(kept))

        for row in self._rows:
            if row.next_id == 0:  # so that nothing has ever been stored
                continue
            slots = torch.from_numpy(row.slots_by_age()).to(self.device)
            row.set_senses(anew(row.senses[slots].to(self.dtype)))
            gone = row.witnesses.observations
            gone = Observations(gone.locations, gone.location_sds, anew(gone.senses))
            row.witnesses = Witnesses(gone, row.witnesses.limits)
        self.projection = new
        return new.variance_kept(values)

    def _encode(self, senses: torch.Tensor) -> torch.Tensor:
        if self.embed_dim == self.sensory_dim and self.projection is None:
            return senses
        if self.projection is None:
            self._fit_projection(senses)
        assert self.projection is not None
        return self.projection.encode(senses)

    # --- reading ---------------------------------------------------------------------------------

    @_locked
    def read(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
        *,
        order: str = "constant",
        method: str = "auto",
        memory_limit: int = MEMORY_LIMIT,
        tail: float = TAIL,
        ridge: float = RIDGE,
    ) -> torch.Tensor:
        """Read what would be sensed at some places.

        Parameters
        ----------
        locations : array_like of shape (location_dim,), (Q, location_dim) or (batch, Q, ...)
            Where, in metres.
        location_sds : float or array_like, broadcast to the shape of `locations`
            How sure the places are, in metres; positive and finite.
        match_threshold : float, optional
            Observations farther away than this, in metres, do not count. All count by default.
        order, method, memory_limit, tail, ridge
            How to read: see `tree_world.models.memory.types.ReadOptions`.

        Returns
        -------
        torch.Tensor of shape (..., sensory_dim)
            As many leading axes as `locations` has, and one more for the batch if only the memory
            has it. Zeros where nothing matches: `read_with_support` tells that from a smell of
            nothing.

        Raises
        ------
        ValueError
            If shapes do not fit, an entry is not finite, or an option is out of its range.
        """
        options = ReadOptions(match_threshold, order, method, memory_limit, tail, ridge)
        return self._read(locations, location_sds, options).mean

    @_locked
    def read_with_support(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
        *,
        order: str = "constant",
        method: str = "auto",
        memory_limit: int = MEMORY_LIMIT,
        tail: float = TAIL,
        ridge: float = RIDGE,
    ) -> Read:
        """Read, and say how well it is supported.

        Parameters
        ----------
        locations, location_sds, match_threshold, order, method, memory_limit, tail, ridge
            As for `read`.

        Returns
        -------
        Read
            The mean, whether anything matches, the effective number of observations, their spread,
            the distance to the nearest, and the logarithm of all weight.
        """
        options = ReadOptions(
            match_threshold, order, method, memory_limit, tail, ridge, support=True
        )
        return self._read(locations, location_sds, options)

    @_locked
    def get_location_affinity(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
    ) -> torch.Tensor:
        """Log-affinity of places to all observations in store.

        Parameters
        ----------
        locations, location_sds, match_threshold
            As for `read`.

        Returns
        -------
        torch.Tensor of shape (batch, Q, slots)
            In natural logarithms, in the order of `memory_locations`.
        """
        places = self._places(locations, "locations")
        sds = self._deviations(location_sds, places, "location_sds")
        if places.ndim == 1:
            places, sds = places[None], sds[None]
        threshold = ReadOptions(match_threshold).match_threshold  # which checks it
        self._check_batch(len(places) if places.ndim == 3 else 1, writing=False)
        return log_affinity(places, sds, self.memory_locations, self.memory_location_sds, threshold)

    def _read(
        self, locations: PointsLike, location_sds: PointsLike | float, options: ReadOptions
    ) -> Read:
        places = self._places(locations, "locations")
        sds = self._deviations(location_sds, places, "location_sds")
        missing = (None,) * (3 - places.ndim)
        queries, deviations = places[missing], sds[missing]
        self._check_batch(len(queries), writing=False)
        together = max(len(queries), self.batch_size)
        parts = [
            self._read_row(
                self._rows[index % self.batch_size], queries[index % len(queries)],
                deviations[index % len(queries)], options,
            )
            for index in range(together)
        ]  # fmt: skip

        def arranged(whole: torch.Tensor) -> torch.Tensor:
            if places.ndim == 1:
                whole = whole.squeeze(1)
            return whole.squeeze(0) if places.ndim < 3 and self.batch_size == 1 else whole

        alone = len(parts) == 1
        whole = parts[0].mapped(lambda own: own[None]) if alone else Read.stacked(parts)
        return whole.mapped(arranged)

    def _read_row(
        self, row: Store, places: torch.Tensor, sds: torch.Tensor, options: ReadOptions
    ) -> Read:
        observations = row.observations()
        if self._requires_grad:
            observations = Observations(*row.parameters(True))
        nearby = None
        if len(places) and len(row) and not self._requires_grad:
            greatest_sd = math.hypot(float(sds.max()), row.greatest_sd)
            if asks_the_index(len(places), len(observations), greatest_sd, options):
                nearby = row.nearby
        found = read(places, sds, observations, options, nearby)
        if self.projection is None:
            return found
        mean = self.projection.decode(found.mean) * found.known.unsqueeze(-1)
        return replace(found, mean=mean)

    # --- searching -------------------------------------------------------------------------------

    @_locked
    def sample(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        num_samples: int = 1,
        sigma_scale: float = 1.0,
        temperature: float | None = None,
        match_threshold: float | None = None,
        location_temperature: float = 1.0,
        *,
        replacement: bool = True,
        seed: SeedLike = 0,
        method: str = "auto",
    ) -> torch.Tensor:
        r"""Draw places that satisfy a search, near a place if one is given.

        .. math::

            \ell \sim \sum_t w_t \, \mathcal N(\ell_t, (c\,\sigma_t)^2), \qquad
            w_t = \operatorname{softmax}_t \left( \frac{y \cdot z_t}{T}
            + \frac{\log k(\ell_0, \ell_t)}{T_\ell} \right)

        Parameters
        ----------
        location : array_like of shape (location_dim,) or (batch, location_dim), or None
            Where the search is from, in metres; None for anywhere.
        location_sd : float or array_like, broadcast to the shape of `location`, or None
            In metres.
        search_key : array_like of shape (sensory_dim,) or (batch, sensory_dim)
            The direction y of the senses that are looked for, as of
            `tree_world.models.drives.DriveClassifier.search_key`.
        num_samples : int, default=1
        sigma_scale : float, default=1.0
            The factor c; zero gives the places of observations themselves.
        temperature : float, optional
            T: low ones pick the best matches. √sensory_dim by default.
        match_threshold : float, optional
            Observations farther away than this from `location`, in metres, are never drawn.
        location_temperature : float, default=1.0
            :math:`T_\ell`: high ones reach far. Independent of T.
        replacement : bool, default=True
            Whether an observation may be drawn more than once.
        seed : int or torch.Generator, default=0
        method : {"auto", "exact", "cells"}, default="auto"
            Whether to look at all observations, or only at cells of the index. Both have the same
            distribution; "auto" chooses by size.

        Returns
        -------
        torch.Tensor of shape (num_samples, location_dim) or (batch, num_samples, location_dim)

        Raises
        ------
        ValueError
            If no observation matches, or without replacement fewer than `num_samples`; if shapes do
            not fit or a number is out of its range.
        """
        return self._sample(
            location, location_sd, search_key, num_samples, sigma_scale, temperature,
            match_threshold, location_temperature, replacement, seed, method, False,
        ).places  # fmt: skip

    @_locked
    def sample_with_origin(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        num_samples: int = 1,
        sigma_scale: float = 1.0,
        temperature: float | None = None,
        match_threshold: float | None = None,
        location_temperature: float = 1.0,
        *,
        replacement: bool = True,
        seed: SeedLike = 0,
        method: str = "auto",
    ) -> Samples:
        """Draw places, and say from which observations and how likely these were.

        Parameters
        ----------
        location, location_sd, search_key, num_samples, sigma_scale, temperature, match_threshold
            As for `sample`.
        location_temperature, replacement, seed, method
            As for `sample`. With "exact", the same seed gives the same places as there; with
            "cells", places of the same distribution.

        Returns
        -------
        Samples
        """
        return self._sample(
            location, location_sd, search_key, num_samples, sigma_scale, temperature,
            match_threshold, location_temperature, replacement, seed, method, True,
        )  # fmt: skip

    def _sample(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        num_samples: int,
        sigma_scale: float,
        temperature: float | None,
        match_threshold: float | None,
        location_temperature: float,
        replacement: bool,
        seed: SeedLike,
        method: str,
        with_origin: bool,
    ) -> Samples:
        num_samples = whole_number("num_samples", num_samples)
        if num_samples < 1:
            raise ValueError(f"num_samples must be positive, not {num_samples}.")
        temperature = (
            math.sqrt(self.sensory_dim)
            if temperature is None
            else positive_number("temperature", temperature)
        )
        location_temperature = positive_number("location_temperature", location_temperature)
        if match_threshold is not None:
            match_threshold = positive_distance("match_threshold", match_threshold)
        sigma_scale = real_number("sigma_scale", sigma_scale)
        if not (math.isfinite(sigma_scale) and sigma_scale >= 0):
            raise ValueError(f"sigma_scale must not be negative, but is {sigma_scale!r}.")
        if method not in ("auto", "exact", "cells"):
            raise ValueError(f"method must be 'auto', 'exact' or 'cells', but is {method!r}.")
        if match_threshold is not None and location is None:
            raise ValueError("match_threshold is a distance from location, but none was given.")
        keys = self._encoded_key(search_key)
        places = sds = None
        if location is not None:
            places = self._places(location, "location")
            given = places if location_sd is None else location_sd
            if location_sd is None or places.ndim > 2:
                raise ValueError(
                    f"location must be one place or one for each row of the batch, with its "
                    f"location_sd in metres, but has shape {tuple(places.shape)} and "
                    f"location_sd is {location_sd!r}."
                )
            sds = self._deviations(given, places, "location_sd")
        batch = max(
            self.batch_size,
            *(len(t) if t is not None and t.ndim == 2 else 1 for t in (keys, places)),
        )
        self._check_batch(batch, writing=False)
        source = make_generator(seed)
        generator = np.random.default_rng(
            int(torch.randint(2**63 - 1, (1,), generator=source, dtype=torch.int64))
        )
        parts = []
        for index in range(batch):
            query = Query(
                _row_of(keys, index).numpy(),
                temperature,
                None if places is None else _row_of(places, index).double().numpy(),
                None if sds is None else _row_of(sds, index).double().numpy(),
                location_temperature,
                match_threshold,
            )
            row = self._rows[index % self.batch_size]
            slots, log_p = self._draw(
                row, query, num_samples, replacement, generator, method, with_origin
            )
            # Cells do not say how likely their draws were unless they are asked.
            if (with_origin or method == "exact") and np.isnan(log_p).any():
                raise ValueError(
                    "the weights of the observations are beyond what numbers can hold: give a less "
                    "extreme temperature, location_temperature or search_key."
                )
            where = torch.from_numpy(slots).to(self.device)
            noise = torch.from_numpy(generator.standard_normal((num_samples, self.location_dim)))
            drawn = scattered(
                row.locations[where].detach(), row.location_sds[where].detach(), sigma_scale, noise
            )
            parts.append(Samples(drawn, torch.from_numpy(row.ids[slots]), torch.from_numpy(log_p)))
        alone = batch == 1 and keys.ndim == 1 and (places is None or places.ndim == 1)
        columns = ([getattr(p, n) for p in parts] for n in ("places", "ids", "log_probabilities"))
        return Samples(*(column[0] if alone else torch.stack(column) for column in columns))

    def _draw(
        self, row: Store, query: Query, number: int, replacement: bool,
        generator: np.random.Generator, method: str, with_total: bool,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        by_cells = self.device.type == "cpu" and not self._requires_grad
        if method == "cells" and not by_cells:
            raise ValueError(
                "method='cells' needs a memory on the CPU without gradients: choose 'exact'."
            )
        if method == "exact" or not by_cells or (method == "auto" and len(row) <= _FEW):
            log_weights = exact_log_weights(row, query)
            slots = draw(log_weights, number, replacement, generator)
            # Relative to the greatest: beside large numbers the logarithm of how many is lost.
            log_weights = log_weights - log_weights.max()
            return slots, (log_weights - np.logaddexp.reduce(log_weights))[slots]
        name = (id(row), query.search_key.tobytes())
        # Taken out while it is used: one that was broken off in the middle is not used again.
        search = self._searches.pop(name, None)
        if search is None:
            search = CellSearch(row, query.search_key)
        drawn = search.draw(query, number, replacement, generator, with_total)
        while len(self._searches) >= _SEARCHES:
            self._searches.pop(next(iter(self._searches)))  # the one that was used first
        self._searches[name] = search
        return drawn

    def _encoded_key(self, search_key: PointsLike) -> torch.Tensor:
        """Express a direction of senses as one of what is stored."""
        keys = as_senses(search_key, self.sensory_dim, "search_key", self.dtype, self.device)
        if keys.ndim > 2:
            raise ValueError(
                f"search_key must have shape ({self.sensory_dim},) or (batch, {self.sensory_dim}), "
                f"but one of shape {tuple(keys.shape)} was given."
            )
        # Products with what is decoded are, up to a constant, products with what is stored.
        return keys if self.projection is None else keys @ self.projection.inverse.mT

    @_locked
    def search(
        self,
        search_key: PointsLike,
        num_places: int = 10,
        location: PointsLike | None = None,
        *,
        separation: float = 50.0,
        match_threshold: float = 25.0,
        row: int | None = None,
    ) -> FoundPlaces:
        """Find the remembered places that match a search best, apart from each other.

        Parameters
        ----------
        search_key : array_like of shape (sensory_dim,)
            As for `sample`.
        num_places : int, default=10
            How many at most.
        location : array_like of shape (location_dim,), optional
            From where to measure distances, in metres.
        separation : float, default=50.0
            Least distance between two of the places, in metres.
        match_threshold : float, default=25.0
            Of the reads that tell match and support, in metres.
        row : int, optional
            Row of the batch, which must be said if there is more than one.

        Returns
        -------
        FoundPlaces
            The best first; fewer than `num_places` where the memory has no more.

        Raises
        ------
        ValueError
            If shapes do not fit, a number is out of its range, or the row is not said.
        IndexError
            If there is no such row.
        """
        num_places = whole_number("num_places", num_places, 1)
        separation = positive_distance("separation", separation)
        key = as_senses(search_key, self.sensory_dim, "search_key", self.dtype, self.device)
        if key.ndim != 1:
            raise ValueError(
                f"search_key must have shape ({self.sensory_dim},), but one of shape "
                f"{tuple(key.shape)} was given: search for one after the other."
            )
        store = self._row(row)
        encoded = self._encoded_key(key).detach().cpu().numpy()
        slots = best_distinct_slots(store, encoded, num_places, separation)
        where = torch.from_numpy(slots).to(self.device)
        places = store.locations[where].detach()
        options = ReadOptions(match_threshold, support=True)
        found = self._read_row(store, places, store.location_sds[where].detach(), options)
        distance = torch.full((len(slots),), torch.nan, dtype=self.dtype, device=self.device)
        if location is not None:
            distance = torch.linalg.vector_norm(places - self._place(location, "location"), dim=-1)
        return FoundPlaces(
            places, torch.from_numpy(store.ids[slots]), found.mean.detach() @ key, distance,
            found.effective_sample_size,
        )  # fmt: skip

    @_locked
    def read_location(
        self,
        sense: PointsLike,
        guess: PointsLike,
        guess_sd: PointsLike | float,
        sense_sd: float = 0.1,
        *,
        row: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Correct a guess of a place by what is sensed there.

        The mean of the remembered places, weighted by how well they agree with the guess and with
        the sense. `tree_world.models.places.Localiser` says more: a posterior, and whether the
        place can be told at all.

        Parameters
        ----------
        sense : array_like of shape (sensory_dim,)
        guess : array_like of shape (location_dim,)
            In metres.
        guess_sd : float or array_like of shape (location_dim,)
            In metres.
        sense_sd : float, default=0.1
            How much senses differ at one place: the deviation of their distance.
        row : int, optional
            Row of the batch, which must be said if there is more than one.

        Returns
        -------
        location, location_sd : torch.Tensor of shape (location_dim,)
            In metres; the guess itself from an empty memory.

        Raises
        ------
        ValueError
            If shapes do not fit, a number is out of its range, or the row is not said.
        IndexError
            If there is no such row.
        """
        value = as_senses(sense, self.sensory_dim, "sense", self.dtype, self.device).detach()
        if value.numel() != self.sensory_dim:
            raise ValueError(
                f"sense must be one, of shape ({self.sensory_dim},), but one of shape "
                f"{tuple(value.shape)} was given."
            )
        place = self._place(guess, "guess")
        sd = self._deviations(guess_sd, place, "guess_sd")
        sense_sd = positive_number("sense_sd", sense_sd, "distance between senses")
        everything = self._remembered(row)
        return read_location(
            everything.locations, everything.location_sds, everything.senses,
            value.reshape(-1), place, sd, sense_sd,
        )  # fmt: skip

    @_locked
    def _remembered(self, row: int | None) -> Observations:
        """Copy one row of the batch, the oldest first, with senses as they were sensed."""
        store = self._row(row)
        slots = torch.from_numpy(store.slots_by_age()).to(self.device)
        own = store.observations().take(slots)
        senses = own.senses.detach().to(self.dtype)
        if self.projection is not None:
            senses = self.projection.decode(senses)
        return Observations(own.locations.detach(), own.location_sds.detach(), senses)

    # --- forgetting ------------------------------------------------------------------------------

    @_locked
    def leave_one_out(
        self, match_threshold: float | None = None, row: int | None = None
    ) -> LeaveOneOut:
        """Read the place of each observation from all others.

        Parameters
        ----------
        match_threshold : float, optional
            Observations farther away than this, in metres, do not count. All count by default.
        row : int, optional
            Row of the batch, which must be said if there is more than one.

        Returns
        -------
        LeaveOneOut
            Values, errors and dependencies, in the order of `memory_locations`. Values and errors
            are those of what is stored: projected, if it is.

        Raises
        ------
        ValueError
            If the threshold is not positive, or the row is not said.
        IndexError
            If there is no such row.
        """
        store = self._row(row)
        slots = torch.from_numpy(store.slots_by_age()).to(self.device)
        threshold = ReadOptions(match_threshold).match_threshold  # which checks it
        return leave_one_out(store.observations().take(slots), threshold)

    def prune(
        self,
        max_error_to_prune: float = 0.05,
        match_threshold: float | None = 25.0,
        max_prune_steps: int = 10,
        *,
        target_size: int = 0,
        max_witnesses: int | None = None,
        memory_limit: int = PRUNING_LIMIT,
    ) -> PruneReport:
        """Forget observations that the others replace.

        When it returns, each observation that went is read back, from what is left, with an error
        of at most `max_error_to_prune`; so is, as far as it is still remembered as a witness, what
        went in earlier calls. Isolated observations stay. Ids, ages and order stay as they are.

        Parameters
        ----------
        max_error_to_prune : float, default=0.05
            Greatest distance between what was sensed and what is read, in the unit of senses, of
            what is stored: projected, if it is. Infinite to prune to a size, whatever it costs.
        match_threshold : float, optional
            Of the reads, in metres; 25 by default. None for none.
        max_prune_steps : int, default=10
            Passes over what is left, at most.
        target_size : int, default=0
            Stop when so few observations are left, in each row of the batch.
        max_witnesses : int, optional
            How many of those that went to remember, to hold later calls against them; by default,
            as many as there is room for in a memory of this size.
        memory_limit : int, default=1 GiB
            For lists of neighbours, in bytes.

        Returns
        -------
        PruneReport
            How many went, and why the rest stayed.

        Raises
        ------
        ValueError
            If a number is out of its range, or the memory requires gradients.
        tree_world.models.memory.store.exchange.Superseded
            If another thread has reset, moved or pruned the memory meanwhile.

        Whatever is raised, the memory is as it was.

        Examples
        --------
        >>> memory = SpatialMemory(location_dim=2, sensory_dim=3)
        >>> ids = memory.write(torch.rand(50, 2), 5.0, torch.ones(50, 3))
        >>> report = memory.prune(max_error_to_prune=0.01)
        >>> report.num_kept, len(memory)
        (1, 1)
        """
        work = self._pruning(
            max_error_to_prune, match_threshold, max_prune_steps, target_size, max_witnesses,
            memory_limit,
        )  # fmt: skip
        return work(np.zeros(1, dtype=np.bool_))

    def prune_in_background(
        self,
        max_error_to_prune: float = 0.05,
        match_threshold: float | None = 25.0,
        max_prune_steps: int = 10,
        *,
        target_size: int = 0,
        max_witnesses: int | None = None,
        memory_limit: int = PRUNING_LIMIT,
    ) -> Task[PruneReport]:
        """Prune in a thread of its own, while the memory goes on being read and written.

        What is in store when this is called is pruned. At the end it is exchanged in one step; what
        was written meanwhile stays, what was deleted meanwhile is gone.

        Parameters
        ----------
        max_error_to_prune, match_threshold, max_prune_steps, target_size, max_witnesses
            As for `prune`.
        memory_limit
            As for `prune`.

        Returns
        -------
        Task
            Ask it whether it is done, for its report, or to cancel.
        """
        work = self._pruning(
            max_error_to_prune, match_threshold, max_prune_steps, target_size, max_witnesses,
            memory_limit,
        )  # fmt: skip
        return Task(work)

    def _pruning(
        self, max_error_to_prune: float, match_threshold: float | None, max_prune_steps: int,
        target_size: int, max_witnesses: int | None, memory_limit: int,
    ) -> Callable[[np.ndarray], PruneReport]:  # fmt: skip
        max_error_to_prune, max_prune_steps, target_size = check_pruning(
            max_error_to_prune, max_prune_steps, target_size
        )
        memory_limit = whole_number("memory_limit", memory_limit)
        if max_witnesses is not None:
            max_witnesses = whole_number("max_witnesses", max_witnesses, 0)
        match_threshold = ReadOptions(match_threshold).match_threshold  # which checks it
        self._refuse_gradients()

        def work(snapshot: Snapshot, stop: np.ndarray) -> tuple[Replacement, PruneReport]:
            observations, witnesses = snapshot.observations, snapshot.witnesses
            pruned = prune(
                observations, max_error_to_prune, match_threshold, max_prune_steps,
                target_size=target_size, witnesses=witnesses, memory_limit=memory_limit, stop=stop,
            )  # fmt: skip
            origins, gone = np.flatnonzero(pruned.kept), np.flatnonzero(~pruned.kept)
            still = witnesses.take(np.flatnonzero(pruned.witnesses_kept))
            new = Witnesses(observations, np.full(len(pruned.kept), max_error_to_prune)).take(gone)
            everyone = Witnesses(
                still.observations.followed_by(new.observations),
                np.concatenate([still.limits, new.limits]),
            )
            most = self.max_memory_size - len(origins) if max_witnesses is None else max_witnesses
            latest = np.arange(max(0, len(everyone) - most), len(everyone))
            where = torch.from_numpy(origins).to(observations.senses.device)
            kept = observations.take(where)
            return Replacement(kept, origins, everyone.take(latest), False), pruned.report

        begun = self._begin()
        return lambda stop: PruneReport.joined(self._exchange(work, begun, stop))

    def consolidate(
        self,
        target_size: int,
        match_threshold: float | None = 25.0,
        *,
        num_steps: int = 600,
        batch_size: int | None = None,
        seed: SeedLike = 0,
        progress: bool | None = False,
        memory_limit: int = PRUNING_LIMIT,
    ) -> ConsolidationReport:
        """Replace observations by fewer virtual ones that read like them.

        Virtual observations have new ids, and the ages of those from which they were started.
        Witnesses of earlier pruning are forgotten.

        Parameters
        ----------
        target_size : int
            How many there are to be, in each row of the batch. What is isolated stays, so that
            there can be more.
        match_threshold : float, optional
            Of the reads, in metres; 25 by default. None for none.
        num_steps, batch_size, seed, progress, memory_limit
            As for `tree_world.models.memory.forget.consolidation.consolidate`.

        Returns
        -------
        ConsolidationReport

        Raises
        ------
        ValueError
            If a number is out of its range, the memory requires gradients, or it is empty.
        MemoryError
            If the lists of neighbours do not fit the limit.
        tree_world.models.memory.store.exchange.Superseded
            If another thread has reset, moved or pruned the memory meanwhile, or deleted from it.

        Whatever is raised, the memory is as it was.
        """
        work = self._consolidation(
            target_size, match_threshold, num_steps, batch_size, seed, progress, memory_limit
        )
        return work(np.zeros(1, dtype=np.bool_))

    def consolidate_in_background(
        self,
        target_size: int,
        match_threshold: float | None = 25.0,
        *,
        num_steps: int = 600,
        batch_size: int | None = None,
        seed: SeedLike = 0,
        progress: bool | None = False,
        memory_limit: int = PRUNING_LIMIT,
    ) -> Task[ConsolidationReport]:
        """Consolidate in a thread of its own, while the memory goes on being read and written.

        Parameters
        ----------
        target_size, match_threshold, num_steps, batch_size, seed, progress, memory_limit
            As for `consolidate`.

        Returns
        -------
        Task
            Ask it whether it is done, for its report, or to cancel.
        """
        work = self._consolidation(
            target_size, match_threshold, num_steps, batch_size, seed, progress, memory_limit
        )
        return Task(work)

    def _consolidation(
        self, target_size: int, match_threshold: float | None, num_steps: int,
        batch_size: int | None, seed: SeedLike, progress: bool | None, memory_limit: int,
    ) -> Callable[[np.ndarray], ConsolidationReport]:  # fmt: skip
        target_size, num_steps, batch_size = check_consolidation(target_size, num_steps, batch_size)
        memory_limit = whole_number("memory_limit", memory_limit)
        match_threshold = ReadOptions(match_threshold).match_threshold  # which checks it
        self._refuse_gradients()
        if len(self) == 0:
            raise ValueError("an empty memory cannot be consolidated: write observations first.")
        generator = make_generator(seed)

        def work(snapshot: Snapshot, stop: np.ndarray) -> tuple[Replacement, ConsolidationReport]:
            found = consolidate(
                snapshot.observations, target_size, match_threshold, num_steps=num_steps,
                batch_size=batch_size, seed=generator, progress=progress,
                memory_limit=memory_limit, stop=stop,
            )  # fmt: skip
            nobody = snapshot.witnesses.take(np.empty(0, dtype=np.int64))
            return Replacement(found.observations, found.origins, nobody, True), found.report

        begun = self._begin()
        return lambda stop: ConsolidationReport.joined(self._exchange(work, begun, stop))

    @_locked
    def _begin(self) -> list[tuple[Store, int]]:
        """Rows as they are now, each with its time, up to which it is to be worked on."""
        return [(row, row.clock) for row in self._rows]

    def _exchange(
        self,
        work: Callable[[Snapshot, np.ndarray], tuple[Replacement, R]],
        begun: list[tuple[Store, int]],
        stop: np.ndarray,
    ) -> list[R]:
        """Work on copies of all rows, and exchange the rows for the results in one step."""
        return _outside_inference_mode(self._exchange_outside, work, begun, stop)

    def _exchange_outside(
        self,
        work: Callable[[Snapshot, np.ndarray], tuple[Replacement, R]],
        begun: list[tuple[Store, int]],
        stop: np.ndarray,
    ) -> list[R]:
        changes: list[tuple[Snapshot, Replacement, Store]] = []
        reports = []
        try:
            for row, clock in begun:
                snapshot = Snapshot.of(row, clock, self._lock, self._mend)
                with torch.enable_grad():  # which fits ask for
                    replacement, report = work(snapshot, stop)
                changes.append((snapshot, replacement, self._new_row()))
                reports.append(report)
            new_rows = [prepared(*change) for change in changes]
            searches = in_turn(self._lock, self._mend, lambda: list(self._searches.items()))
            rows = [row for row, _ in begun]
            replaced = {id(old): new for old, new in zip(rows, new_rows, strict=True)}
            moved = {
                (id(replaced[name[0]]), name[1]): search.moved_to(replaced[name[0]])
                for name, search in searches
                if name[0] in replaced
            }
            self._swap(changes, moved, stop)
        except BaseException:
            for _, _, new in changes:
                if self._folder is not None and new.file is not None and new not in self._rows:
                    self._folder.remove(new.file)
            raise
        return reports

    @_changing
    def _swap(
        self,
        changes: list[tuple[Snapshot, Replacement, Store]],
        searches: dict[tuple[int, bytes], CellSearch],
        stop: np.ndarray,
    ) -> None:
        stop_if_asked(stop)
        self._refuse_gradients()
        self._settle()
        for index, (snapshot, replacement, new_row) in enumerate(changes):
            current = self._rows[index] if len(self._rows) == len(changes) else None
            row = snapshot.checked(current)
            bring_up_to_date(new_row, snapshot, replacement, row)
        self._rows, self._searches = [new_row for _, _, new_row in changes], searches

    def _refuse_gradients(self) -> None:
        if self._requires_grad:
            raise ValueError(
                "a memory that requires gradients cannot forget, as an optimiser would go on with "
                "what is no longer part of it. Call requires_grad_(False) first."
            )

    # --- gradients, devices, files ---------------------------------------------------------------

    @_changing
    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let gradients flow to what is stored, or no longer.

        The tensors to give to an optimiser are those of `parameters`. Writing stays allowed. What
        an optimiser has moved is found at its new place from the next call on.

        Parameters
        ----------
        requires_grad : bool, default=True

        Returns
        -------
        SpatialMemory
            This one.

        Raises
        ------
        ValueError
            If senses are kept on disk, or in half precision, in which steps would vanish. If an
            optimiser has made a deviation zero or negative, or a number not finite: set it right
            in `parameters` first.
        """
        if requires_grad and self._folder is not None:
            raise ValueError(
                "senses that are kept on disk cannot require gradients: save the memory, and load "
                "what that wrote."
            )
        if requires_grad and self.storage_dtype != self.dtype:
            raise ValueError(
                f"senses that are kept as {self.storage_dtype} cannot require gradients, as small "
                "steps would vanish. Use a memory without storage_dtype."
            )
        for row in self._rows:
            if row.file is None:
                row.settle(thoroughly=True)
                row.parameters(requires_grad)
        self._requires_grad = requires_grad
        for row in self._rows:
            row.follow(requires_grad)
            for tensor in row.parameters(requires_grad) if row.file is None else ():
                tensor.grad = None
        return self

    @_changing
    def parameters(self) -> list[torch.Tensor]:
        """Tensors that hold what is stored, and nothing else.

        They are the same at every call, and what is done to them is done to the memory: an
        optimiser that has them moves what is stored. (Draws by cells learn of changes to senses by
        way of ``.data`` or NumPy, which PyTorch does not count, from `requires_grad_` only.) When
        something is written or deleted they go on being what is stored, with as many rows as that
        takes; an optimiser that keeps numbers of its own for each row is to be made anew then.
        Those of a memory on disk, and those from before `reset`, `to`, or forgetting, are copies of
        what was stored.

        Returns
        -------
        list of torch.Tensor
            Places of shape (n, location_dim), deviations of that shape, and senses of shape
            (n, embed_dim), for each row of the batch, in no particular order of observations.
        """
        tensors: list[torch.Tensor] = []
        for row in self._rows:
            if row.file is None:
                tensors += row.parameters(self._requires_grad)
                row.follow(self._requires_grad)
            else:
                slots = torch.from_numpy(row.slots_by_age())
                tensors += (getattr(row, name)[slots] for name in _NAMES)
        return tensors

    @_changing
    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Move to another device, or to another precision.

        Parameters
        ----------
        device : torch.device or str, optional
        dtype : torch.dtype, optional
            Senses that are kept in half precision stay so.

        Returns
        -------
        SpatialMemory
            This one, as it was if nothing was asked for.

        Raises
        ------
        ValueError
            If the precision is neither single nor double, if a number is beyond what it can hold,
            or if the memory is on disk, where it stays. Nothing has changed then.
        """
        if self._folder is not None:
            raise ValueError(
                "a memory with storage stays on the CPU and in its precision: save it, and load "
                "and move what that wrote."
            )
        self._settle()
        new_dtype = self.dtype if dtype is None else _precision(dtype)
        new_device = self.device if device is None else torch.device(device)
        half = self.storage_dtype != self.dtype
        kept_in = self.storage_dtype if half else new_dtype
        for row in self._rows:
            slots = torch.from_numpy(row.slots_by_age())
            moved = {}
            for name in _NAMES:
                own = getattr(row, name)
                moved[name] = own.to(new_device, kept_in if name == "senses" else new_dtype)
                _refuse_lost(name, own, moved[name], slots)
            gone, everything = row.witnesses.observations, torch.arange(len(row.witnesses))
            moved_gone = {name: getattr(gone, name).to(new_device, new_dtype) for name in _NAMES}
            for name in _NAMES:
                _refuse_lost(
                    f"witnesses' {name}", getattr(gone, name), moved_gone[name], everything
                )
            row.move(moved, Witnesses(Observations(**moved_gone), row.witnesses.limits))
        if self.projection is not None:
            self.projection = self.projection.to(new_device, new_dtype)
        self.__dict__.update(device=new_device, dtype=new_dtype, storage_dtype=kept_in)
        self._searches = {}
        return self

    @_locked
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a safetensors file, whole or not at all.

        Parameters
        ----------
        path : path-like
            The folder must exist; ``~`` is the home folder. Where this is a symbolic link, what it
            leads to is written.

        Raises
        ------
        OSError
            If the file cannot be written. One that was there before is left as it was.
        """
        self._write_state(Path(path).expanduser(), with_senses=True)

    @_changing
    def checkpoint(self) -> None:
        """Make what is in store now what `load` finds in the folder of a memory on disk.

        Whatever happens to the process at whatever moment, `load` finds the memory of the last
        checkpoint that was completed. It writes what was sensed since the one before and 44 bytes,
        in two dimensions, of every observation.

        Raises
        ------
        ValueError
            If the memory has no storage.
        OSError
            If the disk is full. The last checkpoint is left as it was.
        """
        folder = self._folder
        if folder is None:
            raise ValueError("checkpoints are for a memory with storage: call save with a path.")
        for row in self._rows:
            if row.file is not None:
                row.file.flush()
        self._write_state(folder.checkpoint, with_senses=False)
        self._checkpoint_is_complete()

    def _checkpoint_is_complete(self) -> None:
        assert self._folder is not None
        for row in self._rows:
            row.checkpoint_is_complete()
        self._folder.tidy(row.file.name for row in self._rows if row.file is not None)

    def _write_state(self, path: Path, with_senses: bool) -> None:
        tensors, files = {}, []
        for index, row in enumerate(self._rows):
            slots = row.slots_by_age()
            where = torch.from_numpy(slots)
            for name in ("locations", "location_sds", "senses"):
                if name != "senses" or with_senses:
                    own = getattr(row, name).detach()[where].cpu()
                    tensors[f"{index}.{name}"] = own.contiguous()
            tensors[f"{index}.ids"] = torch.from_numpy(row.ids[slots])
            tensors[f"{index}.written_at"] = torch.from_numpy(row.written_at[slots])
            if not with_senses and row.file is not None:
                files.append(row.file.name)
                tensors[f"{index}.slots"] = where
                checksums = row.checksums(slots).view(np.int32)
                tensors[f"{index}.checksums"] = torch.from_numpy(checksums)
            if len(row.witnesses) > 0:
                for name in ("locations", "location_sds", "senses"):
                    gone = getattr(row.witnesses.observations, name)
                    tensors[f"{index}.witnesses.{name}"] = gone.cpu().contiguous()
                tensors[f"{index}.witnesses.limits"] = torch.from_numpy(row.witnesses.limits)
        if self.projection is not None:
            tensors["projection.matrix"] = self.projection.matrix.cpu().contiguous()
            tensors["projection.mean"] = self.projection.mean.cpu().contiguous()
        choices = {name: getattr(self, name) for name in _CHOICES}
        counters = [(row.next_id, row.clock) for row in self._rows]
        metadata = {
            "format": _FORMAT, "choices": json.dumps(choices), "counters": json.dumps(counters),
            "storage_dtype": str(self.storage_dtype), "files": json.dumps(files),
        }  # fmt: skip
        metadata["checksum"] = _checksum(tensors, metadata)
        with replaced_atomically(path) as temporary:
            try:
                safetensors.torch.save_file(tensors, temporary, metadata)
            except (safetensors.SafetensorError, OSError) as error:
                raise OSError(
                    f"{path.name} could not be written ({error}); what was there before is still "
                    "there. Make room, or choose another folder."
                ) from error
            if not with_senses and self._unfinished is not None:
                self._unfinished.checkpoint = temporary.stat().st_ino

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Self:
        """Read a memory that was saved, or go on with one on disk from its last checkpoint.

        Parameters
        ----------
        path : path-like
            A file that `save` wrote, or the folder that was given as `storage`; ``~`` is the home
            folder. A file may be changed or removed as soon as it is loaded.
        device : torch.device or str, default="cpu"

        Returns
        -------
        SpatialMemory
            Which reads and forgets as the saved one did. A projection comes back as a matrix.

        Raises
        ------
        FileNotFoundError
            If there is no such file, or no checkpoint in the folder.
        ValueError
            If the file is damaged, or not of a memory, or of a later version; if what was sensed is
            not what the checkpoint says. Nothing is changed then. In files of version 0.1, damage
            to the numbers that were chosen is found only where these do not fit what is stored.
        OSError
            If the folder is in use.
        """
        path, device = Path(path).expanduser(), torch.device(device)
        torch.empty(0, device=device)  # which is not there, if that fails
        file = path / Folder.CHECKPOINT if path.is_dir() else path
        if not file.exists():
            raise FileNotFoundError(f"there is no file {file.name} in {file.parent}.")
        folder = Folder(path) if path.is_dir() else None
        wrong = (
            safetensors.SafetensorError, KeyError, TypeError, ValueError, AttributeError,
            RuntimeError, MemoryError, OverflowError,
        )  # fmt: skip
        try:
            return _outside_inference_mode(cls._load, file, folder, device)
        except wrong as error:
            raise ValueError(
                f"the file {file.name} is not a spatial memory that this version can read "
                f"({error}). Save the memory anew, or load it with the version that wrote it."
            ) from error

    @classmethod
    def _load(cls, file: Path, folder: Folder | None, device: torch.device | str) -> Self:
        with safetensors.safe_open(file, framework="pt") as content:
            metadata = content.metadata() or {}
            # Copies, as these are the file itself, whoever changes that.
            names = content.keys()
            tensors = {name: content.get_tensor(name).clone() for name in names}
        if metadata.get("format") not in (_FORMAT, _OLD_FORMAT):
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
        _check_contents(tensors, choices, counters, files)
        stored = tensors["0.locations"].dtype
        senses = _DTYPES[metadata["storage_dtype"]] if files else tensors["0.senses"].dtype
        memory = cls(
            **{name: choices[name] for name in _CHOICES},
            device=device,
            dtype=stored,
            storage_dtype=senses,
        )
        if folder is not None:
            memory._refuse_other_devices()
            memory._folder = folder
        memory._restore(tensors, counters, files)
        return memory

    def _restore(
        self, tensors: dict[str, torch.Tensor], counters: list[list[int]], files: list[str]
    ) -> None:
        if "projection.matrix" in tensors:
            self.projection = Projection(
                tensors["projection.matrix"].to(self.device),
                tensors["projection.mean"].to(self.device),
            )
        self._rows = []
        for index, (next_id, clock) in enumerate(counters):
            ids, written_at = (tensors[f"{index}.{n}"].numpy() for n in ("ids", "written_at"))
            if files:
                row = self._reopened(tensors, index, files[index])
            else:
                row = self._new_row()
                row.fill(self._observations_in(tensors, f"{index}."), ids, written_at)
            self._rows.append(row)
            row.next_id, row.clock = next_id, clock
            if f"{index}.witnesses.limits" in tensors:
                gone = self._observations_in(tensors, f"{index}.witnesses.")
                row.witnesses = Witnesses(gone, tensors[f"{index}.witnesses.limits"].numpy())
        if self._folder is not None:
            self._folder.tidy(files)

    def _reopened(self, tensors: dict[str, torch.Tensor], index: int, name: str) -> Store:
        assert self._folder is not None
        slots, ids, written_at, checksums = (
            tensors[f"{index}.{n}"].numpy() for n in ("slots", "ids", "written_at", "checksums")
        )
        room = 2 * self.max_memory_size
        file = self._folder.open_file(name, room, self.embed_dim, self.storage_dtype)
        wrong = np.flatnonzero(file.checksums(slots) != checksums.view(np.uint32))
        if len(wrong):
            raise ValueError(
                f"{len(wrong)} observations in {name} are damaged, the first of them that with the "
                f"id {ids[wrong[0]]}"
            )
        row = self._new_row(file)
        row.reopen(
            slots, tensors[f"{index}.locations"], tensors[f"{index}.location_sds"], ids,
            written_at, checksums.view(np.uint32),
        )  # fmt: skip
        return row

    def _observations_in(self, tensors: dict[str, torch.Tensor], prefix: str) -> Observations:
        names = ("locations", "location_sds", "senses")
        return Observations(*(tensors[prefix + name].to(self.device) for name in names))

    # --- checks ----------------------------------------------------------------------------------

    def _row(self, row: int | None) -> Store:
        """One row of the batch: the only one, or the one that is said."""
        number = len(self._rows)
        if row is None:
            if number > 1:
                raise ValueError(
                    f"this memory holds a batch of {number}: say which one is meant, from row=0 to "
                    f"row={number - 1}."
                )
            return self._rows[0]
        index = whole_number("row", row)
        if not 0 <= index < number:
            raise IndexError(
                f"there is no row {index}: this memory holds a batch of {number}, from row=0 to "
                f"row={number - 1}."
            )
        return self._rows[index]

    def _places(self, locations: PointsLike, name: str) -> torch.Tensor:
        places = as_points(locations, self.location_dim, name, self.dtype, self.device)
        if places.ndim > 3:
            raise ValueError(
                f"{name} must have shape (N, {self.location_dim}) or (batch, N, "
                f"{self.location_dim}), but one of shape {tuple(places.shape)} was given."
            )
        return places

    def _place(self, location: PointsLike, name: str) -> torch.Tensor:
        place = self._places(location, name)
        if place.numel() != self.location_dim:
            raise ValueError(
                f"{name} must be one place, of shape ({self.location_dim},), but one of shape "
                f"{tuple(place.shape)} was given."
            )
        return place.reshape(-1)

    def _deviations(self, sds: PointsLike | float, places: torch.Tensor, name: str) -> torch.Tensor:
        return as_deviations(sds, places.shape, name, self.dtype, self.device)

    def _check_batch(self, batch: int, writing: bool) -> None:
        if batch == self.batch_size or (not writing and 1 in (batch, self.batch_size)):
            return
        if writing and self._rows[0].next_id == 0:
            self._rows = []
            for _ in range(batch):
                self._rows.append(self._new_row())
            return
        raise ValueError(
            f"this memory holds a batch of {self.batch_size}, but a batch of {batch} was given. "
            "Give as many rows, or call reset() to start anew."
        )


def _precision(dtype: torch.dtype) -> torch.dtype:
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"dtype must be torch.float32 or torch.float64, but is {dtype!r}: places need that. "
            "For senses in half precision, give storage_dtype=torch.float16."
        )
    return dtype


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


_CHOICES = (
    "location_dim", "sensory_dim", "embed_dim", "max_memory_size", "merge_distance",
    "merge_sense_distance", "cell_size",
)  # fmt: skip


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
        for name in ("ids", "written_at", *(("slots", "checksums") if files else ())):
            _check_shape(tensors, f"{index}.{name}", (number,))
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
        for name, limit in (
            ("ids", next_id), ("written_at", clock), *((("slots", 2 * size),) if files else ()),
        ):  # fmt: skip
            own = tensors[f"{index}.{name}"]
            if len(own.unique()) < number or bool(((own < 0) | (own >= limit)).any()):
                raise ValueError(f"{index}.{name} are not different numbers below {limit}")


def _check_shape(tensors: dict[str, torch.Tensor], name: str, shape: tuple[int, ...]) -> None:
    if tuple(tensors[name].shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}, not {shape}")


def _whole_numbers(name: str, values: Any) -> np.ndarray:
    """Take whole numbers, of whatever width and shape, and no others."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        whole = not (
            values.is_floating_point() or values.is_complex() or values.dtype == torch.bool
        )
        array = values.numpy() if whole else None
    else:
        if isinstance(values, (list, tuple)) and not _is_nested(values):
            values = [whole_number(name, value) for value in values]
            # No id is so large: it is not in store, as −1 is not.
            values = np.array([v if -1 <= v < 2**63 else -1 for v in values], dtype=np.int64)
        array = np.asarray(values)
        array = array if array.dtype.kind in "iu" else None
    if array is None or np.ma.is_masked(values):
        kind = getattr(values, "dtype", type(values).__name__)
        raise WrongKind(
            f"{name} must be whole numbers, but {kind} was given. To choose by a mask, give "
            "memory.ids[0][mask]."
        )
    return np.asarray(array, dtype=np.int64).reshape(-1)


def _is_nested(values: list[Any] | tuple[Any, ...]) -> bool:
    return any(isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) for value in values)


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


@without_autocast
def _outside_inference_mode(work: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Call a function so that tensors that it makes are exact, and can be changed later."""
    if not torch.is_inference_mode_enabled():
        return work(*args, **kwargs)
    with torch.inference_mode(False):
        return work(*args, **kwargs)


def _row_of(tensor: torch.Tensor, index: int) -> torch.Tensor:
    """One row of a batch, or the one that serves all rows, on the CPU."""
    own = tensor if tensor.ndim == 1 else tensor[index % len(tensor)]
    return own.detach().cpu()
