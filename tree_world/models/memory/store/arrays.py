"""The arrays in which a memory keeps its observations, and the parts of what changes them.

What changes them may be broken off anywhere, by an interrupt or an error. So who changes them calls
`Arrays.begin` before, keeps what that gives until the change is complete, and else hands it to
`Arrays.undo`, which may be broken off itself and called again.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from tree_world.models.memory.index.cells import GridIndex
from tree_world.models.memory.recall.pairs import Nearby
from tree_world.models.memory.store.disk import Folder, SensesFile
from tree_world.models.memory.types import Observations, Witnesses

FEW = 2000
"""Slots, up to which a look at all of them takes no longer than to ask the index."""

TENSORS, ARRAYS = ("locations", "location_sds", "senses"), ("ids", "written_at", "times")
"""Names of what there is of each slot."""

_REFILL = 4096  # the oldest slots are looked up for so many writes at a time
_NOT_COPIED = ("_saved", "_leaves", "_seen", "_indexed")


class Arrays:
    """Slots with ids, ages and times, and a capacity that holds.

    Arrays have room for the whole capacity from the start, which costs no memory until it is used,
    so nothing is ever copied to make room. A slot whose observation was deleted has infinite
    deviations, which every read passes over, until it is used again.

    Parameters
    ----------
    location_dim, embed_dim, capacity, cell_size, device, dtype, storage_dtype, folder, file
        See `tree_world.models.memory.store.slots.Store`.
    """

    def __init__(
        self,
        location_dim: int,
        embed_dim: int,
        capacity: int,
        cell_size: float,
        device: torch.device,
        dtype: torch.dtype,
        storage_dtype: torch.dtype,
        *,
        folder: Folder | None = None,
        file: SensesFile | None = None,
    ) -> None:
        self.capacity = capacity
        room = capacity if folder is None else 2 * capacity
        self._folder, self.file = folder, file
        with torch.inference_mode(False):  # what is made in that mode cannot be changed outside
            try:
                self.locations = torch.empty((room, location_dim), device=device, dtype=dtype)
                self.location_sds = torch.empty((room, location_dim), device=device, dtype=dtype)
                self.ids = np.empty(room, dtype=np.int64)
                self.written_at = np.empty(room, dtype=np.int64)  # −1 where a slot is free
                self.times = np.empty(room)  # infinite where a slot is free
                if folder is None:
                    self.senses = torch.empty((room, embed_dim), device=device, dtype=storage_dtype)
            except (RuntimeError, MemoryError, OverflowError, ValueError) as error:
                why = str(error).splitlines()[0]  # some of PyTorch's go on with a stack
                raise MemoryError(
                    f"there is no room for max_memory_size={capacity} observations with senses of "
                    f"{embed_dim} numbers ({why}). Give a smaller one, or storage for senses."
                ) from error
            half = storage_dtype == torch.float16
            nothing = torch.empty(
                (0, embed_dim), device=device, dtype=dtype if half else storage_dtype
            )
            nobody = Observations(self.locations[:0], self.location_sds[:0], nothing)
            self.witnesses = Witnesses(nobody, np.empty(0))
        self.used = 0  # slots from here on were never used
        self.next_id = 0
        self.clock = 0
        self.generation = 0  # how often all senses were replaced
        self.num_deletions = 0  # how often what was there was deleted by name, replaced, or moved
        self.cell_size = cell_size
        self._index: GridIndex | None = None  # made when it is first asked for
        self._free: list[int] = []
        self._held: list[int] = []  # free as soon as the next checkpoint is complete
        self._named = np.zeros(0 if folder is None else room, dtype=np.bool_)  # by the last one
        self._checksums = np.zeros(len(self._named), dtype=np.uint32)  # of slots that are named
        self._oldest: list[tuple[int, int]] = []
        self.least_sd, self.greatest_sd = np.inf, 0.0  # of all that was ever there
        # What a change has overwritten: slots with what was there, or the first parts of it, or
        # without, if they were free.
        self._saved: list[tuple[np.ndarray, tuple[Any, ...] | None]] | None = None
        self._leaves: tuple[torch.Tensor, ...] | None = None  # see `parameters`
        self._seen: tuple[int, ...] = ()  # versions of those up to which all is taken over
        self._indexed: tuple[torch.Tensor, ...] = ()  # as the index knows them, if there are leaves
        if folder is not None:
            try:
                self.file = file or folder.new_file(room, embed_dim, storage_dtype)
                self.senses = self.file.senses
            except BaseException:
                if file is None and self.file is not None:
                    folder.remove(self.file)
                raise

    # --- what is there ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.used - len(self._free) - len(self._held)

    def slots_by_age(self) -> np.ndarray:
        """Slots in use, the oldest first."""
        slots = self._present()
        return slots[np.argsort(self.written_at[slots], kind="stable")]

    def observations(self) -> Observations:
        """Everything, with free slots among it, which reads pass over."""
        used = slice(0, self.used)
        return Observations(self.locations[used], self.location_sds[used], self.senses[used])

    @property
    def index(self) -> GridIndex:
        """Where things are; made anew where there is none yet, and kept up from then on."""
        if self._index is None:
            index = GridIndex(self.cell_size)
            slots = self._present()
            where = torch.from_numpy(slots).to(self.locations.device)
            index.add(slots, self.locations[where].detach().cpu().numpy())
            self._index = index
        return self._index

    def neighbours(
        self, location: np.ndarray, radius: float, *, by_index: bool = True
    ) -> np.ndarray:
        """Slots within a distance of a place.

        Parameters
        ----------
        location : numpy.ndarray of shape (location_dim,)
            In metres.
        radius : float
            In metres.
        by_index : bool, default=True
            Whether the index may be asked, which does not know of places that have moved since.

        Returns
        -------
        numpy.ndarray of int
            In increasing order.
        """
        here = np.asarray(location, dtype=np.float64)
        slots = self._around(here, radius) if by_index else self._present()
        places = self.locations.detach()[torch.from_numpy(slots).to(self.locations.device)]
        squares = np.square(places.cpu().double().numpy() - here).sum(axis=1)
        return np.asarray(slots[squares <= radius * radius])

    def lies_at(
        self, slots: np.ndarray, locations: torch.Tensor, location_sds: torch.Tensor
    ) -> np.ndarray:
        """Tell which slots have these very places and deviations.

        Parameters
        ----------
        slots : numpy.ndarray of int, of shape (n,)
        locations, location_sds : torch.Tensor of shape (n, location_dim)
            In metres.

        Returns
        -------
        numpy.ndarray of bool, of shape (n,)
        """
        where = torch.from_numpy(slots).to(self.locations.device)
        same = (self.locations[where] == locations) & (self.location_sds[where] == location_sds)
        return np.asarray(same.all(dim=-1).cpu().numpy())

    def _present(self) -> np.ndarray:
        """Slots in use, in increasing order."""
        return np.flatnonzero(self.written_at[: self.used] >= 0)

    def _around(self, place: np.ndarray, reach: float) -> np.ndarray:
        """Slots in use, in increasing order: those within reach of a place at least."""
        if self.used <= FEW:
            return self._present()
        return np.sort(self.index.near_box(place, place, reach))

    def usage(self) -> dict[str, int]:
        """Bytes that are in use, by what they hold.

        Returns
        -------
        dict
            From ``"locations"``, ``"location_sds"``, ``"senses"``, ``"ids"`` (with ages and times),
            ``"index"`` and ``"witnesses"``. Senses on disk are counted as those in memory are.
        """
        held = {name: getattr(self, name)[: self.used].nbytes for name in TENSORS}
        gone = self.witnesses.observations
        return held | {
            "ids": sum(getattr(self, name)[: self.used].nbytes for name in ARRAYS),
            "index": 0 if self._index is None else self._index.nbytes,
            "witnesses": sum(getattr(gone, name).nbytes for name in TENSORS)
            + self.witnesses.limits.nbytes,
        }

    @property
    def nearby(self) -> Nearby:
        """How to find slots by their places."""
        return Nearby(self.index.near_box, self.least_sd, self.greatest_sd)

    # --- undoing, and copies ---------------------------------------------------------------------

    def begin(self) -> dict[str, Any]:
        """Begin a change: what is overwritten in place is kept from now on.

        Returns
        -------
        dict
            What `undo` takes.
        """
        self._saved = []
        return dict(self.__dict__)

    def undo(self, noted: dict[str, Any]) -> None:
        """Make everything as it was; if this is broken off, call it again.

        Parameters
        ----------
        noted : dict
            As `begin` gave it.
        """
        self.__dict__.update(noted)
        saved = noted["_saved"]
        for slots, contents in reversed(saved):
            where = torch.from_numpy(slots).to(self.locations.device)
            if contents is None:  # the slots were free
                self.written_at[slots], self.times[slots] = -1, np.inf
                self.location_sds[where] = torch.inf
                if self.file is None:
                    self.senses[where] = 0.0
                continue
            # Of what was moved, places and deviations alone.
            for name, content in zip((*TENSORS, *ARRAYS), contents, strict=False):
                getattr(self, name)[slots if name in ARRAYS else where] = content
        free = self.written_at[: self.used] < 0
        held = free & self._named[: self.used] if self._named.size else np.zeros_like(free)
        if saved:  # as what was put into the index is not known
            here = self._as_indexed()[:1] if self._leaves else ()
            self.__dict__.update(_index=None, _indexed=here + self._indexed[1:])
        self.__dict__.update(
            _free=np.flatnonzero(free & ~held)[::-1].tolist(),
            _held=np.flatnonzero(held).tolist(),
            _oldest=[],
        )

    def _as_indexed(self) -> tuple[torch.Tensor, ...]:
        """Copy places and deviations, to see later whether they have changed."""
        return self.locations[: self.used].clone(), self.location_sds[: self.used].clone()

    def __getstate__(self) -> dict[str, Any]:
        """Copy what is there, without the room for more."""
        state = {name: value for name, value in self.__dict__.items() if name not in _NOT_COPIED}
        for name in TENSORS:
            state[name] = state[name][: self.used].clone()
        for name in ARRAYS:
            state[name] = state[name][: self.used].copy()
        for name in ("_free", "_held", "_oldest", "_index"):
            state[name] = copy.deepcopy(state[name])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "index" in state:  # by version 0.1
            index = state.pop("index")
            state |= {"_index": index, "cell_size": index.cell_size}
        if "times" not in state:  # of a memory from before there were any
            state["times"] = state["written_at"].astype(np.float64)
        self.__dict__.update(state)
        for name in TENSORS:
            content = state[name]
            with torch.inference_mode(False):
                roomy = content.new_empty((self.capacity, content.shape[1]))
            roomy[: self.used] = content
            setattr(self, name, roomy)
        for name in ARRAYS:
            roomy_array = np.empty(self.capacity, dtype=state[name].dtype)
            roomy_array[: self.used] = state[name]
            setattr(self, name, roomy_array)
        self._saved, self._leaves, self._seen, self._indexed = None, None, (), ()

    def slots_of(self, ids: np.ndarray) -> np.ndarray:
        """Slots of ids.

        Parameters
        ----------
        ids : numpy.ndarray of int

        Returns
        -------
        numpy.ndarray of int

        Raises
        ------
        KeyError
            If an id is not there.
        """
        slots = self.slots_by_age()
        order = np.argsort(self.ids[slots])
        at = np.searchsorted(self.ids[slots], ids, sorter=order)
        found = slots[order[np.minimum(at, len(slots) - 1)]] if len(slots) else slots[:0]
        if len(found) != len(ids) or (self.ids[found] != ids).any():
            known = set(self.ids[slots].tolist())
            missing = [identity for identity in ids.tolist() if identity not in known]
            raise KeyError(
                f"there are no observations with the ids {missing[:10]}: they were never given, or "
                "the observations have been deleted, pruned or replaced since. The property `ids` "
                "has all."
            )
        return np.asarray(found)

    def _in_double(self, name: str, slots: np.ndarray) -> np.ndarray:
        """Copy rows of one of the tensors."""
        own: torch.Tensor = getattr(self, name)
        if own.device.type == "cpu":
            return np.asarray(own.detach().numpy()[slots], dtype=np.float64)
        where = torch.from_numpy(slots).to(own.device)
        return np.asarray(own.detach()[where].double().cpu().numpy())

    # --- the parts of a change -------------------------------------------------------------------

    def _put(
        self,
        slots: np.ndarray,
        locations: torch.Tensor,
        location_sds: torch.Tensor,
        senses: torch.Tensor,
    ) -> None:
        if len(slots) == 0:
            return
        in_a_row = slots[-1] - slots[0] == len(slots) - 1
        in_a_row = in_a_row and (len(slots) == 1 or bool((np.diff(slots) == 1).all()))
        where = (
            slice(int(slots[0]), int(slots[-1]) + 1)
            if in_a_row
            else torch.from_numpy(slots).to(self.locations.device)
        )
        if self._saved is not None:
            self._saved.append((slots, None))
        self.locations[where] = locations.to(self.locations.dtype)
        self.location_sds[where] = location_sds.to(self.location_sds.dtype)
        self.senses[where] = senses.to(self.senses.dtype)
        if self._index is not None:
            self._index.add(slots, self.locations[where].cpu().numpy())
        self._widen_sds(where)

    def _place(
        self, slots: np.ndarray, locations: torch.Tensor, location_sds: torch.Tensor | None
    ) -> None:
        """Give slots in use other places, and other deviations if there are any."""
        where = torch.from_numpy(slots).to(self.locations.device)
        before = self.locations[where], self.location_sds[where]  # copies
        if self._saved is not None:
            self._saved.append((slots, before))
        if self._index is not None:
            self._index.remove(slots, before[0].cpu().numpy())
        self.locations[where] = locations.to(self.locations.dtype)
        if location_sds is not None:
            self.location_sds[where] = location_sds.to(self.location_sds.dtype)
        if self._index is not None:
            self._index.add(slots, self.locations[where].cpu().numpy())
        self._widen_sds(where)

    def _widen_sds(self, where: torch.Tensor | slice) -> None:
        """Take account of some deviations in the least and the greatest."""
        least, greatest = self.location_sds[where].aminmax()
        self.least_sd = min(self.least_sd, float(least))
        self.greatest_sd = max(self.greatest_sd, float(greatest))

    def _touch(self, slots: np.ndarray, times: np.ndarray | None) -> None:
        now = np.arange(self.clock, self.clock + len(slots))
        self.written_at[slots] = now
        self.times[slots] = now if times is None else times
        self.clock += len(slots)

    def _take_slots(self, number: int) -> np.ndarray:
        if self.used > FEW:  # so that no step ever waits until everything is indexed
            _ = self.index
        reused = [self._free.pop() for _ in range(min(number, len(self._free)))]
        fresh = np.arange(self.used, self.used + number - len(reused))
        self.used += len(fresh)
        return np.concatenate([np.array(reused, dtype=np.int64), fresh])

    def _make_room(self, number: int) -> None:
        excess = len(self) + number - self.capacity
        if excess <= 0:
            return
        if excess > _REFILL // 4:
            self._release(self.slots_by_age()[:excess])
            return
        slots: list[int] = []
        while len(slots) < excess:
            if not self._oldest:
                self._refill()
            written_at, slot = self._oldest.pop()
            if self.written_at[slot] == written_at and slot not in slots:
                slots.append(slot)
        self._release(np.array(slots))

    def _refill(self) -> None:
        """Look up the oldest slots; those that are written meanwhile are passed over later."""
        written = self.written_at[: self.used]
        first = int(np.min(written, where=written >= 0, initial=self.clock))
        slots = np.flatnonzero((written >= first) & (written < first + _REFILL))
        order = np.argsort(-written[slots])
        self._oldest = list(zip(written[slots][order].tolist(), slots[order].tolist(), strict=True))

    def _release(self, slots: np.ndarray) -> None:
        alone = len(slots) == 1  # as at every step of a life: a slice takes less time
        where = (
            slice(int(slots[0]), int(slots[0]) + 1)
            if alone
            else torch.from_numpy(slots).to(self.locations.device)
        )

        def taken(name: str) -> torch.Tensor:
            own: torch.Tensor = getattr(self, name)[where]
            return own.clone() if alone else own

        places = taken("locations")
        if self._saved is not None:
            rest = map(taken, TENSORS[1:])
            arrays = (getattr(self, name)[slots] for name in ARRAYS)
            self._saved.append((slots, (places, *rest, *arrays)))
        if self._index is not None:
            self._index.remove(slots, places.cpu().numpy())
        self.location_sds[where] = torch.inf
        if self.file is None:
            self.senses[where] = 0.0
        self.written_at[slots], self.times[slots] = -1, np.inf
        if self._named.size:
            held = self._named[slots]
            self._held += slots[held].tolist()
            slots = slots[~held]
        self._free += slots[::-1].tolist()
