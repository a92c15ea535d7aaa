"""What the memories of a batch have in common: choices, stores and a lock."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

import torch

from tree_world.checks import (
    as_senses,
    positive_distance,
    positive_number,
    whole_number,
)
from tree_world.models.memory.projection import Projection
from tree_world.models.memory.search.cells import CellSearch
from tree_world.models.memory.store.disk import Folder, SensesFile
from tree_world.models.memory.store.slots import Store
from tree_world.models.memory.types import Observations, Witnesses

TENSORS = ("locations", "location_sds", "senses")
"""What is kept of each observation, beside its name and its age."""

MERGING = {
    "merge_distance": "number of combined standard deviations",
    "merge_sense_distance": "distance between senses",
}
"""What is merged with what: choices of a memory, or of one write."""

_FIXED = frozenset(
    [
        *("location_dim", "sensory_dim", "embed_dim", "max_memory_size", "cell_size"),
        *("device", "dtype", "storage_dtype"),
    ]
)

T = TypeVar("T")


@dataclass
class Change:
    """What undoing a change takes.

    Attributes
    ----------
    attributes : dict
        Of `Common`, before.
    rows : list of (Store, dict)
        Its stores before, each with what `Store.begin` gave.
    checkpoint : int, optional
        Number of the file that is to become the checkpoint, in its file system. If it has become
        that, the checkpoint is complete, and can no longer be undone.
    """

    attributes: dict[str, Any]
    rows: list[tuple[Store, dict[str, Any]]]
    checkpoint: int | None = None


_everyone: weakref.WeakSet[Common] = weakref.WeakSet()


def _after_fork() -> None:
    """Give memories new locks: who held the old ones is not there in the child."""
    for common in list(_everyone):
        common.lock = threading.RLock()
        common.forked = common.folder is not None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Common:
    """Choices, stores and the lock of one memory, or of a batch of them.

    Parameters
    ----------
    location_dim, sensory_dim, embed_dim, max_memory_size
        As of `tree_world.models.memory.SpatialMemory`.
    merge_distance, merge_sense_distance, cell_size, projection, device, dtype, storage_dtype
        As there.
    storage : path-like, optional
        As there.

    Attributes
    ----------
    rows : list of Store
        One for each memory of the batch.
    projection : Projection or None
    folder : Folder or None
        Where senses are, if they are on disk.
    requires_grad : bool
        Whether gradients flow to what is stored.
    searches : dict
        Search keys that are kept ready, by the store and the key.
    lock : threading.RLock
    unfinished : Change or None
        What undoes the change that is under way.
    forked : bool
        Whether this is the copy of a memory on disk in a forked process.
    pending : dict of str to torch.Tensor
        Tensors that were assigned, and that wait for others of the same length.
    assigned : dict of str to torch.Tensor
        Tensors that were assigned, and whose values are stored: what an optimiser does to them is
        taken over.
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
        self.dtype = checked_precision(dtype)
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
        self.requires_grad = False
        self.lock = threading.RLock()
        self.forked = False
        self.unfinished: Change | None = None
        self.folder: Folder | None = None
        self.pending: dict[str, torch.Tensor] = {}
        self.assigned: dict[str, torch.Tensor] = {}
        self.assigned_versions: list[int] = []
        if storage is not None:
            self.refuse_other_devices()
            self.folder = Folder.without_memory(Path(storage).expanduser())
            self.folder.tidy([])
        self.searches: dict[tuple[int, bytes], CellSearch] = {}
        self.rows = [self.new_row()]
        _everyone.add(self)

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
        if name in MERGING:  # which may be changed at any time
            value = positive_number(name, value, MERGING[name])
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        if self.folder is not None:
            raise TypeError(
                "a memory with storage cannot be copied or pickled, as the folder is one memory's. "
                "Call save, and load what it wrote."
            )
        left_out = ("lock", "forked", "unfinished", "searches", "rows", "pending", "assigned")
        state = {name: value for name, value in self.__dict__.items() if name not in left_out}
        # Copies: whoever copies or pickles looks at them when the lock is no longer held.
        return state | {"rows": [row.__getstate__() for row in self.rows]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        rows = state.pop("rows")
        self.__dict__.update(
            state,
            searches={},
            lock=threading.RLock(),
            forked=False,
            unfinished=None,
            rows=[],
            pending={},
            assigned={},
        )
        for own in rows:
            row = Store.__new__(Store)
            row.__setstate__(own)
            self.rows.append(row)
        _everyone.add(self)

    def __repr__(self) -> str:
        held = " and ".join(str(number) for number in sorted({len(row) for row in self.rows}))
        batch = "" if len(self.rows) == 1 else f" in each of {len(self.rows)} rows"
        kept = "" if self.storage_dtype == self.dtype else f", senses as {self.storage_dtype}"
        shorter = "" if self.embed_dim == self.sensory_dim else f", embed_dim={self.embed_dim}"
        disk = "" if self.folder is None else f", senses in the folder {self.folder.path.name}"
        return (
            f"({self.location_dim}, {self.sensory_dim}{shorter}): {held} of at most "
            f"{self.max_memory_size} observations{batch}, {self.dtype} on {self.device}{kept}{disk}"
        )

    def refuse_other_devices(self) -> None:
        """Raise ValueError unless this is on the CPU, where memories on disk are."""
        if self.device.type != "cpu":
            raise ValueError(
                f"a memory on disk must be on the CPU, but {self.device} was asked for: save it, "
                "and load what that wrote."
            )

    def refuse_gradients(self) -> None:
        """Raise ValueError if gradients flow to what is stored, which then cannot be exchanged."""
        if self.requires_grad:
            raise ValueError(
                "a memory that requires gradients cannot forget, as an optimiser would go on with "
                "what is no longer part of it. Call requires_grad_(False) first."
            )

    # --- stores ----------------------------------------------------------------------------------

    def new_row(self, file: SensesFile | None = None) -> Store:
        """Make an empty store of this kind."""
        return Store(
            self.location_dim,
            self.embed_dim,
            self.max_memory_size,
            self.cell_size,
            device=self.device,
            dtype=self.dtype,
            storage_dtype=self.storage_dtype,
            folder=self.folder,
            file=file,
        )

    def index_of(self, row: int) -> int:
        """Check that there is such a memory in the batch.

        Parameters
        ----------
        row : int

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If it is no whole number.
        IndexError
            If there is none.
        """
        index, number = whole_number("row", row), len(self.rows)
        if not 0 <= index < number:
            raise IndexError(
                f"there is no memory[{index}]: this is a batch of {number}, from memory[0] to "
                f"memory[{number - 1}]."
            )
        return index

    # --- around a change -------------------------------------------------------------------------

    def settle(self) -> None:
        """Take over what an optimiser did to the parameters; at the beginning of a change."""
        for row in self.rows:
            row.settle()

    def follow(self) -> None:
        """Let parameters that were handed out be what is stored now; at the end of a change."""
        for row in self.rows:
            row.follow(self.requires_grad)

    def checkpoint_is_complete(self) -> None:
        """Let go of what only the checkpoint before this one named."""
        assert self.folder is not None
        for row in self.rows:
            row.checkpoint_is_complete()
        self.folder.tidy(row.file.name for row in self.rows if row.file is not None)

    # --- projection ------------------------------------------------------------------------------

    def fit_projection(self, senses: torch.Tensor) -> float:
        """Fit the projection, and express anew what is in store; part of a change.

        Parameters
        ----------
        senses : torch.Tensor of shape (..., sensory_dim)

        Returns
        -------
        float
            The share of their variance that the projection keeps.
        """
        values = senses.detach().reshape(-1, self.sensory_dim)
        old = self.projection
        new = Projection.from_senses(values, self.embed_dim) if old is None else old.updated(values)

        def anew(kept: torch.Tensor) -> torch.Tensor:
            return new.encode(kept if old is None else old.decode(kept))

        for row in self.rows:
            if row.next_id == 0:  # so that nothing has ever been stored
                continue
            slots = torch.from_numpy(row.slots_by_age()).to(self.device)
            row.set_senses(anew(row.senses[slots].to(self.dtype)))
            gone = row.witnesses.observations
            gone = Observations(gone.locations, gone.location_sds, anew(gone.senses))
            row.witnesses = Witnesses(gone, row.witnesses.limits)
        self.projection = new
        return new.variance_kept(values)

    def encoded(self, senses: torch.Tensor) -> torch.Tensor:
        """Express senses as they are stored; fits the projection if there must be one.

        Parameters
        ----------
        senses : torch.Tensor of shape (..., sensory_dim)

        Returns
        -------
        torch.Tensor of shape (..., embed_dim)

        Raises
        ------
        ValueError
            If they are beyond what is kept of them can hold.
        """
        embeddings = senses
        if self.embed_dim != self.sensory_dim or self.projection is not None:
            if self.projection is None:
                self.fit_projection(senses)
            assert self.projection is not None
            embeddings = self.projection.encode(senses)
        greatest = torch.finfo(self.storage_dtype).max
        half = self.storage_dtype != self.dtype
        # Written so that NaN, which is what an infinity may have become, is too large, too.
        if (half or embeddings is not senses) and not bool((embeddings.abs() <= greatest).all()):
            raise ValueError(
                f"senses that are kept {'in half precision' if half else 'projected'} must lie "
                f"between -{greatest:g} and {greatest:g}, but one entry is "
                f"{embeddings.abs().max():g}. Scale senses{', or leave storage_dtype out' * half}."
            )
        return embeddings


def checked_precision(dtype: torch.dtype) -> torch.dtype:
    """Raise ValueError unless this is single or double precision."""
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"dtype must be torch.float32 or torch.float64, but is {dtype!r}: places need that. "
            "For senses in half precision, give storage_dtype=torch.float16."
        )
    return dtype


class Shared(Generic[T]):
    """An attribute of a memory that is one of what its batch has in common."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, memory: None, owner: type) -> Self: ...

    @overload
    def __get__(self, memory: Any, owner: type) -> T: ...

    def __get__(self, memory: Any, owner: type) -> Any:
        return self if memory is None else getattr(memory.common, self.name)

    def __set__(self, memory: Any, value: T) -> None:
        setattr(memory.common, self.name, value)
