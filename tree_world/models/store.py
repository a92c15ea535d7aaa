"""Where a memory keeps its observations: slots with ids, ages and a capacity that holds."""

from __future__ import annotations

import numpy as np
import torch

from tree_world.models.neighbors import GridIndex
from tree_world.models.pairs import Nearby
from tree_world.models.read_types import Observations, Witnesses
from tree_world.models.storage import Folder, SensesFile

_REFILL = 4096  # the oldest slots are looked up for so many writes at a time


class Store:
    """Observations in slots.

    Arrays have room for the whole capacity from the start, which costs no memory until it is used,
    so nothing is ever copied to make room. A slot whose observation was deleted has infinite
    deviations, which every read passes over, until it is used again.

    Parameters
    ----------
    location_dim, embed_dim : int
    capacity : int
        Greatest number of observations.
    cell_size : float
        Of the index, in metres.
    device, dtype
        Of the arrays.
    storage_dtype : torch.dtype
        Of the senses.
    folder : Folder, optional
        Where to keep senses, if not in memory. There is room for twice the capacity then, as slots
        that the last checkpoint names are left as they are until the next.
    file : SensesFile, optional
        One of that folder to go on with, by `reopen`; else a new one is made.
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
        folder: Folder | None = None,
        file: SensesFile | None = None,
    ) -> None:
        self.capacity = capacity
        room = capacity if folder is None else 2 * capacity
        self.locations = torch.empty((room, location_dim), device=device, dtype=dtype)
        self.location_sds = torch.empty((room, location_dim), device=device, dtype=dtype)
        self._folder, self.file = folder, file
        if folder is None:
            self.senses = torch.empty((room, embed_dim), device=device, dtype=storage_dtype)
        else:
            self.file = file or folder.new_file(room, embed_dim, storage_dtype)
            self.senses = self.file.senses
        self.ids = np.empty(room, dtype=np.int64)
        self.written_at = np.empty(room, dtype=np.int64)  # −1 where a slot is free
        self.used = 0  # slots from here on were never used
        self.next_id = 0
        self.clock = 0
        self.generation = 0  # how often all senses were replaced
        self.num_deletions = 0  # how often observations were deleted by name
        self.index = GridIndex(cell_size)
        self._free: list[int] = []
        self._held: list[int] = []  # free as soon as the next checkpoint is complete
        self._named = np.zeros(0 if folder is None else room, dtype=np.bool_)  # by the last one
        self._checksums = np.zeros(len(self._named), dtype=np.uint32)  # of slots that are named
        self._oldest: list[tuple[int, int]] = []
        self.least_sd, self.greatest_sd = np.inf, 0.0  # of all that was ever there
        self.witnesses = Witnesses(self.observations().take(slice(0)), np.empty(0))

    # --- what is there ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.used - len(self._free) - len(self._held)

    def slots_by_age(self) -> np.ndarray:
        """Slots in use, the oldest first."""
        slots = np.flatnonzero(self.written_at[: self.used] >= 0)
        return slots[np.argsort(self.written_at[slots], kind="stable")]

    def observations(self) -> Observations:
        """Everything, with free slots among it, which reads pass over."""
        used = slice(0, self.used)
        return Observations(self.locations[used], self.location_sds[used], self.senses[used])

    @property
    def nearby(self) -> Nearby:
        """How to find slots by their places."""
        return Nearby(self.index.near_box, self.least_sd, self.greatest_sd)

    # --- changes ---------------------------------------------------------------------------------

    def reserve(self, number: int) -> None:
        """Make sure that there is room on the disk for more, before anything is changed.

        Parameters
        ----------
        number : int

        Raises
        ------
        OSError
            If the disk is full.
        """
        if self.file is not None:
            self.file.reserve(self.used + min(number, self.capacity))

    def append(
        self, locations: torch.Tensor, location_sds: torch.Tensor, senses: torch.Tensor
    ) -> np.ndarray:
        """Store observations, in place of the oldest where there is no more room.

        Parameters
        ----------
        locations, location_sds : torch.Tensor of shape (n, location_dim)
            In metres.
        senses : torch.Tensor of shape (n, embed_dim)

        Returns
        -------
        numpy.ndarray of int, of shape (n,)
            Their ids.
        """
        num_new = len(locations)
        self.reserve(num_new)
        ids = np.arange(self.next_id, self.next_id + num_new)
        self.next_id += num_new
        kept = slice(max(0, num_new - self.capacity), num_new)
        self._make_room(kept.stop - kept.start)
        slots = self._take_slots(kept.stop - kept.start)
        self._put(slots, locations[kept], location_sds[kept], senses[kept])
        self.ids[slots] = ids[kept]
        self._touch(slots)
        return ids

    def merge(
        self,
        location: torch.Tensor,
        location_sd: torch.Tensor,
        sense: torch.Tensor,
        merge_distance: float,
        merge_sense_distance: float,
    ) -> int | None:
        """Merge one observation into the nearest slot that agrees in place and in sense.

        Places are averaged by inverse variances, axis by axis; senses by their means over the axes.

        Parameters
        ----------
        location, location_sd : torch.Tensor of shape (location_dim,)
            In metres.
        sense : torch.Tensor of shape (embed_dim,)
        merge_distance : float
            Greatest distance, in combined standard deviations.
        merge_sense_distance : float
            Greatest distance between the senses.

        Returns
        -------
        int or None
            The id of the slot; None if no slot agrees, and nothing has changed.
        """
        if len(self) == 0:
            return None
        place = location.cpu().double().numpy()
        deviation = location_sd.cpu().double().numpy()
        # Within so many combined deviations is within so many of the greatest, in metres.
        reach = merge_distance * float(np.hypot(deviation.max(), self.greatest_sd))
        slots = torch.from_numpy(self.index.near_box(place, place, reach)).to(location.device)
        variances = location_sd.square() + self.location_sds[slots].square()
        away = ((location - self.locations[slots]).square() / variances).sum(dim=-1)
        different = torch.linalg.vector_norm(sense - self.senses[slots], dim=-1)
        agrees = (away <= merge_distance**2) & (different <= merge_sense_distance)
        if not bool(agrees.any()):
            return None
        slot = int(slots[torch.where(agrees, away, torch.inf).argmin()])
        own, old = location_sd.square().reciprocal(), self.location_sds[slot].square().reciprocal()
        precision = own + old
        share = own.mean() / precision.mean()
        merged_place = (own * location + old * self.locations[slot]) / precision
        merged_sense = share * sense + (1 - share) * self.senses[slot]
        where, identity = np.array([slot]), int(self.ids[slot])
        self._release(where)
        where = self._take_slots(1)
        self._put(where, merged_place[None], precision.rsqrt()[None], merged_sense[None])
        self.ids[where] = identity
        self._touch(where)
        return identity

    def delete(self, ids: np.ndarray) -> None:
        """Forget observations.

        Parameters
        ----------
        ids : numpy.ndarray of int

        Raises
        ------
        KeyError
            If an id is not there; then none is deleted.
        """
        slots = self.slots_of(ids)
        self._release(slots)
        self.num_deletions += 1

    def fill(self, observations: Observations, ids: np.ndarray, written_at: np.ndarray) -> None:
        """Store observations that have ids and ages already.

        Parameters
        ----------
        observations : Observations
            No more than there is room for.
        ids, written_at : numpy.ndarray of int
        """
        self.reserve(len(ids))
        slots = self._take_slots(len(ids))
        arrays = (observations.locations, observations.location_sds, observations.senses)
        self._put(slots, *arrays)
        self.ids[slots] = ids
        self.written_at[slots] = written_at

    def discard(self, slots: np.ndarray) -> None:
        """Let slots go that were not deleted by name.

        Parameters
        ----------
        slots : numpy.ndarray of int
        """
        if len(slots):
            self._release(slots)

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

    def set_senses(self, senses: torch.Tensor) -> None:
        """Replace all senses, in order of age; witnesses, if any, are to be replaced by itself."""
        if self._folder is not None and self.file is not None:
            # The last checkpoint goes on naming the old file until the next.
            shape, dtype = self.senses.shape, self.senses.dtype
            file = self._folder.new_file(shape[0], shape[1], dtype)
            file.reserve(self.used)
            self.file, self.senses = file, file.senses
            self._named[:] = False
            self._free += self._held
            self._held = []
        with torch.no_grad():
            where = torch.from_numpy(self.slots_by_age())
            self.senses[where] = senses.to(self.senses.dtype)
        self.generation += 1

    # --- checkpoints of what is on disk ----------------------------------------------------------

    def checksums(self, slots: np.ndarray) -> np.ndarray:
        """CRC-32 of the senses in some slots, of a store on disk.

        Parameters
        ----------
        slots : numpy.ndarray of int

        Returns
        -------
        numpy.ndarray of uint32
        """
        assert self.file is not None
        new = slots[~self._named[slots]]
        self._checksums[new] = self.file.checksums(new)
        return np.asarray(self._checksums[slots])

    def checkpoint_is_complete(self) -> None:
        """Leave what is there now as it is, and let go of what the checkpoint before this named."""
        self._named[:] = False
        self._named[: self.used] = self.written_at[: self.used] >= 0
        self._free += self._held
        self._held = []

    def reopen(
        self,
        slots: np.ndarray,
        locations: torch.Tensor,
        location_sds: torch.Tensor,
        ids: np.ndarray,
        written_at: np.ndarray,
        checksums: np.ndarray,
    ) -> None:
        """Go on with the file from a checkpoint; the store must be empty.

        Parameters
        ----------
        slots : numpy.ndarray of int
            Where in the file each observation is.
        locations, location_sds : torch.Tensor of shape (n_observations, location_dim)
            In metres.
        ids, written_at, checksums : numpy.ndarray of int
        """
        self.used = int(slots.max(initial=-1)) + 1
        self.location_sds[: self.used] = torch.inf
        self.locations[: self.used] = 0.0
        self.written_at[: self.used] = -1
        where = torch.from_numpy(slots)
        self.locations[where], self.location_sds[where] = locations, location_sds
        self.ids[slots], self.written_at[slots] = ids, written_at
        self._checksums[slots] = checksums
        self.index.add(slots, locations.numpy())
        if len(slots):
            self.least_sd, self.greatest_sd = (float(sd) for sd in location_sds.aminmax())
        self._free = np.flatnonzero(self.written_at[: self.used] < 0)[::-1].tolist()
        self.checkpoint_is_complete()

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
        in_a_row = slots[-1] - slots[0] == len(slots) - 1 and bool((np.diff(slots) == 1).all())
        where = (
            slice(int(slots[0]), int(slots[-1]) + 1)
            if in_a_row
            else torch.from_numpy(slots).to(self.locations.device)
        )
        with torch.no_grad():
            self.locations[where] = locations
            self.location_sds[where] = location_sds
            self.senses[where] = senses.to(self.senses.dtype)
        self.index.add(slots, self.locations[where].detach().cpu().numpy())
        least, greatest = location_sds.aminmax()
        self.least_sd = min(self.least_sd, float(least))
        self.greatest_sd = max(self.greatest_sd, float(greatest))

    def _touch(self, slots: np.ndarray) -> None:
        self.written_at[slots] = np.arange(self.clock, self.clock + len(slots))
        self.clock += len(slots)

    def _take_slots(self, number: int) -> np.ndarray:
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
        where = torch.from_numpy(slots).to(self.locations.device)
        self.index.remove(slots, self.locations[where].detach().cpu().numpy())
        with torch.no_grad():
            self.location_sds[where] = torch.inf
            if self.file is None:
                self.senses[where] = 0.0
        self.written_at[slots] = -1
        if self._named.size:
            held = self._named[slots]
            self._held += slots[held].tolist()
            slots = slots[~held]
        self._free += slots[::-1].tolist()
