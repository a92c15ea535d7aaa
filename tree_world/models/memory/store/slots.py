"""Where a memory keeps its observations, and all that is done to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tree_world.models.memory.store.arrays import ARRAYS, TENSORS, Arrays
from tree_world.models.memory.types import Merging, Observations, Witnesses


class Store(Arrays):
    """Observations in slots.

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

    Raises
    ------
    MemoryError
        If there is no room for so many observations.
    """

    # --- tensors that an optimiser may change ----------------------------------------------------

    def parameters(self, requires_grad: bool) -> tuple[torch.Tensor, ...]:
        """Places, deviations and senses of what is stored, and of nothing else.

        They share their numbers with the store, so that what is done to them is done to it; who
        uses the store afterwards calls `settle` first.

        Parameters
        ----------
        requires_grad : bool
            Whether they require gradients, if they are made by this.

        Returns
        -------
        tuple of torch.Tensor
        """
        if self._leaves is None:
            self._close_gaps()
            with torch.inference_mode(False):
                leaves = tuple(getattr(self, name)[: self.used].detach() for name in TENSORS)
                for leaf in leaves:
                    leaf.requires_grad_(requires_grad)
            self.__dict__.update(
                _leaves=leaves,
                _seen=_versions(leaves),
                _indexed=self._as_indexed(),
            )
        assert self._leaves is not None
        return self._leaves

    def follow(self, requires_grad: bool) -> None:
        """Let parameters that were handed out be what is stored now.

        Parameters
        ----------
        requires_grad : bool
            Whether they require gradients.
        """
        if self._leaves is None:
            return
        self._close_gaps()
        self.point(requires_grad)
        self.__dict__.update(_seen=_versions(self._leaves), _indexed=self._as_indexed())

    def point(self, requires_grad: bool) -> None:
        """Let parameters that were handed out share their numbers with the store, as `follow`."""
        for leaf, name in zip(self._leaves or (), TENSORS, strict=self._leaves is not None):
            own = getattr(self, name)[: self.used]
            if leaf.shape != own.shape or leaf.data_ptr() != own.data_ptr():
                leaf.data = own
                leaf.grad = None
            leaf.requires_grad_(requires_grad)

    def adopt(self) -> None:
        """Take over other tensors that parameters were given as their ``data``.

        Raises
        ------
        ValueError
            If they have another shape, kind or device; they are left as they are.
        """
        for leaf, name in zip(self._leaves or (), TENSORS, strict=self._leaves is not None):
            own = getattr(self, name)[: self.used]
            if leaf.data_ptr() == own.data_ptr() and leaf.shape == own.shape:
                continue
            if (leaf.shape, leaf.dtype, leaf.device) != (own.shape, own.dtype, own.device):
                raise ValueError(
                    f"the parameter {name} was given data of shape {tuple(leaf.shape)} and "
                    f"{leaf.dtype} on {leaf.device}, but holds what is stored, of shape "
                    f"{tuple(own.shape)} and {own.dtype} on {own.device}: give it such data."
                )
            own.copy_(leaf.detach())
            leaf.data = own
            self._seen = ()  # PyTorch does not count this

    def settle(self, thoroughly: bool = False) -> None:
        """Take over what was done to parameters: check it, and index places anew that moved.

        Parameters
        ----------
        thoroughly : bool, default=False
            Whether to look at all senses, even if PyTorch has not counted a change. At places and
            deviations, by which the index finds what there is, this always looks.

        Raises
        ------
        ValueError
            If a number is not finite, or a deviation not positive; they are left as they are.
        """
        if self._leaves is None:
            return
        versions = _versions(self._leaves)
        # Changes through ``.data`` and NumPy are not counted.
        moved, wider = (
            not torch.equal(known, getattr(self, name)[: self.used])
            for known, name in zip(self._indexed, TENSORS, strict=False)
        )
        if versions == self._seen and not (moved or wider or thoroughly):
            return
        self.check_parameters()
        changed: dict[str, Any] = {"_seen": versions, "generation": self.generation + 1}
        if moved or wider:
            changed["_indexed"] = self._as_indexed()
        if moved:
            changed["_index"] = None  # made anew when it is asked for
        if self.used:
            least, greatest = self.location_sds[: self.used].aminmax()
            changed |= {"least_sd": float(least), "greatest_sd": float(greatest)}
        self.__dict__.update(changed)  # all at once

    def check_parameters(self) -> None:
        """Raise ValueError if parameters are not what could have been written."""
        for name in TENSORS:
            own = getattr(self, name)[: self.used]
            right = torch.isfinite(own)
            if name == "location_sds":
                right &= own > 0
            if bool(right.all()):
                continue
            slot, axis = torch.nonzero(~right)[0].tolist()
            wanted = "positive and finite" if name == "location_sds" else "finite"
            raise ValueError(
                f"{name} must be {wanted}, but an optimiser, or who else was given the parameters, "
                f"has made one of the observation with the id {self.ids[slot]} "
                f"{own[slot, axis].item():g}. Set it right in `parameters` first; clamp deviations "
                "after each step."
            )

    def _close_gaps(self) -> None:
        """Move what is there together, so that no free slot is among it; not on disk."""
        if len(self) == self.used:
            return
        slots = np.flatnonzero(self.written_at[: self.used] >= 0)
        where, number = torch.from_numpy(slots).to(self.locations.device), len(slots)
        closed: dict[str, Any] = {"used": number, "_free": [], "_held": [], "_oldest": []}
        for name in TENSORS:
            closed[name] = torch.empty_like(getattr(self, name))
            closed[name][:number] = getattr(self, name)[where]
        for name in ARRAYS:
            closed[name] = np.empty_like(getattr(self, name))
            closed[name][:number] = getattr(self, name)[slots]
        closed |= {"_index": None, "generation": self.generation + 1}
        self.__dict__.update(closed)

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
        self,
        locations: torch.Tensor,
        location_sds: torch.Tensor,
        senses: torch.Tensor,
        times: np.ndarray | None = None,
    ) -> np.ndarray:
        """Store observations, in place of the oldest where there is no more room.

        Parameters
        ----------
        locations, location_sds : torch.Tensor of shape (n, location_dim)
            In metres.
        senses : torch.Tensor of shape (n, embed_dim)
        times : numpy.ndarray of float64, of shape (n,), optional
            The clock by default: how many were written or merged before.

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
        self._touch(slots, None if times is None else times[kept])
        return ids

    def merge(
        self,
        location: torch.Tensor,
        location_sd: torch.Tensor,
        sense: torch.Tensor,
        how: Merging,
        time: float | None = None,
    ) -> int | None:
        """Merge one observation into the nearest slot that agrees in place and in sense.

        Places are averaged by inverse variances, axis by axis; senses by their means over the axes,
        and the newer of the two times stays. Or the new sense takes the place of the old one, and
        so does its time.

        Parameters
        ----------
        location, location_sd : torch.Tensor of shape (location_dim,)
            In metres.
        sense : torch.Tensor of shape (embed_dim,)
        how : Merging
        time : float, optional
            The clock by default.

        Returns
        -------
        int or None
            The id of the slot; None if no slot agrees, and nothing has changed.
        """
        # By NumPy, whose calls take less time on few numbers; in double precision, so that what is
        # merged thousands of times stays what was written.
        place, own_sd, new_sense = (
            each.detach().cpu().numpy().astype(np.float64)
            for each in (location, location_sd, sense)
        )
        agreeing = self.agreeing(place, own_sd, new_sense, how)
        if agreeing is None:
            return None
        slot = agreeing[0]
        old_place, old_sd, old_sense = (
            self._in_double(name, np.array([slot]))[0] for name in TENSORS
        )
        # Precisions, as parts of the greatest, which may itself be beyond what a number can be.
        least = min(own_sd.min(), old_sd.min())
        own, old = np.square(least / own_sd), np.square(least / old_sd)
        precision = own + old
        merged_place = _step(old_place, place, own / precision)
        merged_sd = own_sd * (old_sd / np.hypot(own_sd, old_sd))
        when = float(self.clock) if time is None else time
        if how.replaces:
            merged_sense = new_sense
            self.num_deletions += 1  # of a sense that must not come back
        else:
            merged_sense = _step(old_sense, new_sense, own.sum() / precision.sum())
            when = max(float(self.times[slot]), when)
        where, identity = np.array([slot]), int(self.ids[slot])
        self._release(where)
        where = self._take_slots(1)
        merged = (merged_place, merged_sd, merged_sense)
        self._put(where, *(torch.from_numpy(each[None]).to(location.device) for each in merged))
        self.ids[where] = identity
        self._touch(where, np.array([when]))
        return identity

    def agreeing(
        self, place: np.ndarray, sd: np.ndarray, sense: np.ndarray, how: Merging
    ) -> tuple[int, float] | None:
        """Find the nearest slot that agrees with an observation in place and in sense.

        Parameters
        ----------
        place, sd : numpy.ndarray of float64, of shape (location_dim,)
            In metres.
        sense : numpy.ndarray of float64, of shape (embed_dim,)
        how : Merging

        Returns
        -------
        slot, away : int and float, or None
            How far away it is: the square of a number of combined deviations.
        """
        if len(self) == 0:
            return None
        # Within so many combined deviations is within so many of the greatest, in metres.
        reach = how.distance * float(np.hypot(sd.max(), self.greatest_sd))
        slots = self._around(place, reach)
        places, sds = (self._in_double(name, slots) for name in TENSORS[:2])
        with np.errstate(over="ignore"):  # what is so far away is not near
            away = np.square((place - places) / np.hypot(sd, sds)).sum(axis=-1)
        near = np.flatnonzero(away <= how.distance * how.distance)
        senses = self._in_double("senses", slots[near])
        agrees = np.linalg.norm(sense - senses, axis=-1) <= how.sense_distance
        if not agrees.any():
            return None
        chosen = int(np.where(agrees, away[near], np.inf).argmin())
        return int(slots[near[chosen]]), float(away[near[chosen]])

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

    def place(
        self, ids: np.ndarray, locations: torch.Tensor, location_sds: torch.Tensor | None = None
    ) -> None:
        """Place observations elsewhere; all else about them stays.

        Parameters
        ----------
        ids : numpy.ndarray of int, of shape (n,)
            No two alike.
        locations : torch.Tensor of shape (n, location_dim)
            In metres.
        location_sds : torch.Tensor of shape (n, location_dim), optional
            Those there are stay by default.

        Raises
        ------
        KeyError
            If an id is not there; then none is moved.
        """
        if len(ids):
            self._place(self.slots_of(ids), locations, location_sds)
            self.num_deletions += 1  # of a place that must not come back

    def follow_places(self, slots: np.ndarray, other: Store, theirs: np.ndarray) -> None:
        """Place what another store has placed elsewhere since as that has it.

        Parameters
        ----------
        slots : numpy.ndarray of int, of shape (n,)
            In use.
        other : Store
            On the same device, in the same precision.
        theirs : numpy.ndarray of int, of shape (n,)
            Its slots of the same observations.
        """
        where = torch.from_numpy(theirs).to(other.locations.device)
        moved = ~self.lies_at(slots, other.locations[where], other.location_sds[where])
        if moved.any():
            where = torch.from_numpy(theirs[moved]).to(other.locations.device)
            self._place(slots[moved], other.locations[where], other.location_sds[where])

    def expire(self, before: float) -> None:
        """Forget what has an earlier time.

        Parameters
        ----------
        before : float
        """
        slots = np.flatnonzero(self.times[: self.used] < before)
        if len(slots):
            self._release(slots)
            self.num_deletions += 1

    def fill(
        self,
        observations: Observations,
        ids: np.ndarray,
        written_at: np.ndarray,
        times: np.ndarray,
    ) -> None:
        """Store observations that have ids, ages and times already.

        Parameters
        ----------
        observations : Observations
            No more than there is room for.
        ids, written_at : numpy.ndarray of int
        times : numpy.ndarray of float64
        """
        self.reserve(len(ids))
        slots = self._take_slots(len(ids))
        arrays = (observations.locations, observations.location_sds, observations.senses)
        self._put(slots, *arrays)
        self.ids[slots] = ids
        self.written_at[slots], self.times[slots] = written_at, times

    def discard(self, slots: np.ndarray) -> None:
        """Let slots go that were not deleted by name.

        Parameters
        ----------
        slots : numpy.ndarray of int
        """
        if len(slots):
            self._release(slots)

    def set_senses(self, senses: torch.Tensor) -> None:
        """Replace all senses, in order of age; witnesses, if any, are to be replaced by itself."""
        changed: dict[str, Any] = {"generation": self.generation + 1}
        if self._folder is not None and self.file is not None:
            # The last checkpoint goes on naming the old file until the next.
            shape, dtype = self.senses.shape, self.senses.dtype
            file = None
            try:
                file = self._folder.new_file(shape[0], shape[1], dtype)
                file.reserve(self.used)
                file.senses[torch.from_numpy(self.slots_by_age())] = senses.to(dtype)
                changed |= {"file": file, "senses": file.senses, "_held": []}
                changed |= {"_named": np.zeros_like(self._named), "_free": self._free + self._held}
                self.__dict__.update(changed)
            except BaseException:
                if file is not None and file is not self.file:
                    self._folder.remove(file)
                raise
            return
        anew = torch.empty_like(self.senses)
        anew[: self.used] = 0.0  # of free slots, too, as elsewhere
        where = torch.from_numpy(self.slots_by_age()).to(anew.device)
        anew[where] = senses.to(anew.dtype)
        self.__dict__.update(changed, senses=anew)

    def move(self, tensors: dict[str, torch.Tensor], witnesses: Witnesses) -> None:
        """Keep what is there in other tensors, on another device or in another precision.

        Parameters
        ----------
        tensors : dict
            Places, deviations and senses of all slots, by their names.
        witnesses : Witnesses
        """
        same = tensors["locations"].dtype == self.locations.dtype
        self.__dict__.update(tensors, witnesses=witnesses, _leaves=None, _seen=())
        if not same:  # rounded places are not where the index has them
            self._index = None

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
        named = np.zeros_like(self._named)
        named[: self.used] = self.written_at[: self.used] >= 0
        self.__dict__.update(_named=named, _free=self._free + self._held, _held=[])

    def reopen(
        self,
        slots: np.ndarray,
        locations: torch.Tensor,
        location_sds: torch.Tensor,
        ids: np.ndarray,
        written_at: np.ndarray,
        times: np.ndarray,
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
        times : numpy.ndarray of float64
        """
        self.used = int(slots.max(initial=-1)) + 1
        self.location_sds[: self.used] = torch.inf
        self.locations[: self.used] = 0.0
        self.written_at[: self.used], self.times[: self.used] = -1, np.inf
        where = torch.from_numpy(slots)
        self.locations[where], self.location_sds[where] = locations, location_sds
        self.ids[slots], self.written_at[slots], self.times[slots] = ids, written_at, times
        self._checksums[slots] = checksums
        self._index = None
        if len(slots):
            self.least_sd, self.greatest_sd = (float(sd) for sd in location_sds.aminmax())
        self._free = np.flatnonzero(self.written_at[: self.used] < 0)[::-1].tolist()
        self.checkpoint_is_complete()


def _versions(leaves: tuple[torch.Tensor, ...]) -> tuple[int, ...]:
    """How often tensors were changed in place, as PyTorch counts it."""
    return tuple(leaf._version for leaf in leaves)


def _step(old: np.ndarray, new: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Go a share of the way from old values to new ones, and never beyond these."""
    stepped = old + share * (new - old)
    return np.asarray(np.clip(stepped, np.minimum(old, new), np.maximum(old, new)))
