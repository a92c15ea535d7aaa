"""Exchanging what a memory holds for something smaller, while it goes on being read and written.

Work is done on a copy of the observations up to a time t. When it is ready, at t + Δt, the memory
comes to hold the result and what was written between t and t + Δt, in one step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from tree_world.models.memory.store.arrays import FEW
from tree_world.models.memory.store.slots import Store
from tree_world.models.memory.types import Observations, Witnesses

T = TypeVar("T")

_TOGETHER = 4096  # rows that are copied at a time, so that nobody waits long
_PAUSE = 1e-4  # seconds between; a lock that is taken again at once is not given to who waits


def in_turn(
    lock: AbstractContextManager[Any], mend: Callable[[], None], work: Callable[[], T]
) -> T:
    """Do something with a lock held, after what was broken off has been undone.

    Parameters
    ----------
    lock : context manager
    mend, work : callable

    Returns
    -------
    object
        What `work` returns.
    """

    def mended() -> T:
        mend()
        return work()

    # On one line, so that an interrupt finds no place between the end of the work and the release.
    with lock: return mended()  # noqa: E701  # fmt: skip


class Superseded(RuntimeError):
    """Raised when a memory has become another while work on it went on; nothing was changed."""


@dataclass(frozen=True)
class Snapshot:
    """A copy of what a store held at a time, the oldest first.

    Attributes
    ----------
    store : Store
    slots, ids, written_at : numpy.ndarray of int, of shape (n_observations,)
    times : numpy.ndarray of float64, of shape (n_observations,)
    observations : Observations
    witnesses : Witnesses
    clock, generation, num_deletions : int
        Of the store, at the time.
    """

    store: Store
    slots: np.ndarray
    ids: np.ndarray
    written_at: np.ndarray
    times: np.ndarray
    observations: Observations
    witnesses: Witnesses
    clock: int
    generation: int
    num_deletions: int

    @classmethod
    def of(
        cls,
        store: Store,
        until: int,
        lock: AbstractContextManager[Any],
        mend: Callable[[], None] = lambda: None,
    ) -> Snapshot:
        """Copy a store, in portions, between which others may go on with it.

        Parameters
        ----------
        store : Store
        until : int
            Time t by the clock of the store; what was written from then on is left out.
        lock : context manager
            Which all who change the store hold.
        mend : callable, optional
            Called with the lock held, before the store is looked at: undoes what was broken off.

        Returns
        -------
        Snapshot
        """

        def begun() -> tuple[Any, ...]:
            slots = store.slots_by_age()
            slots = slots[store.written_at[slots] < until]
            counters = store.clock, store.generation, store.num_deletions
            names = store.ids[slots], store.written_at[slots], store.times[slots]
            return slots, names, store.witnesses, *counters

        slots, names, witnesses, *counters = in_turn(lock, mend, begun)
        ids, written_at, times = names
        parts = []
        for start in range(0, max(1, len(slots)), _TOGETHER):
            time.sleep(_PAUSE)
            where = torch.from_numpy(slots[start : start + _TOGETHER])
            taken = partial(
                lambda rows: store.observations().take(rows.to(store.senses.device)), where
            )
            parts.append(in_turn(lock, mend, taken))
        tensors = ("locations", "location_sds", "senses")
        copied = Observations(*(torch.cat([getattr(p, n) for p in parts]) for n in tensors))

        def still_so() -> np.ndarray:
            lies = store.lies_at(slots, copied.locations, copied.location_sds)
            return np.asarray((store.written_at[slots] == written_at) & lies)

        same = in_turn(lock, mend, still_so)
        if not same.all():
            copied = copied.take(torch.from_numpy(np.flatnonzero(same)).to(copied.senses.device))
            slots, ids, written_at, times = (
                array[same] for array in (slots, ids, written_at, times)
            )
        return cls(store, slots, ids, written_at, times, copied, witnesses, *counters)

    def checked(self, store: Store | None) -> Store:
        """Raise `Superseded` unless a store is still the one that was copied."""
        if (
            store is self.store
            and store.generation == self.generation
            and store.observations().precision == self.observations.precision
            and store.senses.device == self.observations.senses.device
        ):
            return store
        raise Superseded(
            "the memory was reset, pruned, moved or given another projection meanwhile. It is as "
            "that left it; start again."
        )


@dataclass(frozen=True)
class Replacement:
    """What takes the place of the observations in a snapshot.

    Attributes
    ----------
    observations : Observations
    origins : numpy.ndarray of int
        From which observation of the snapshot each comes, in increasing order.
    times : numpy.ndarray of float64
    witnesses : Witnesses
    virtual : bool
        Whether these are new observations, which get new ids, or some of the old.
    """

    observations: Observations
    origins: np.ndarray
    times: np.ndarray
    witnesses: Witnesses
    virtual: bool


def prepared(snapshot: Snapshot, replacement: Replacement, new_store: Store) -> Store:
    """Fill a new store with a replacement, as far as that can be done before the swap.

    Parameters
    ----------
    snapshot : Snapshot
    replacement : Replacement
        For the snapshot.
    new_store : Store
        An empty one.

    Returns
    -------
    Store
        The new one.
    """
    origins = replacement.origins
    names = snapshot.ids[origins], snapshot.written_at[origins], replacement.times
    new_store.fill(replacement.observations, *names)
    new_store.witnesses = replacement.witnesses
    if new_store.used > FEW:  # before the swap, so that nobody waits for it
        _ = new_store.index
    return new_store


def bring_up_to_date(
    new_store: Store, snapshot: Snapshot, replacement: Replacement, store: Store
) -> None:
    """Take over into the new store what has happened to the old one since the snapshot.

    The caller holds the lock, and has checked the snapshot.

    Parameters
    ----------
    new_store : Store
        As `prepared`.
    snapshot : Snapshot
    replacement : Replacement
    store : Store
        The old one.

    Raises
    ------
    Superseded
        If observations were deleted that are part of virtual ones, or moved, or their senses
        replaced.
    """
    unchanged = store.written_at[snapshot.slots] == snapshot.written_at
    if replacement.virtual:
        if store.num_deletions != snapshot.num_deletions:
            raise Superseded(
                "observations were deleted while they were being consolidated, or moved, or their "
                "senses replaced, so that the result would still hold what they were. The memory "
                "is as it was; start again."
            )
        number = len(replacement.origins)
        new_store.ids[:number] = np.arange(store.next_id, store.next_id + number)
    else:
        gone = ~unchanged[replacement.origins]
        new_store.discard(np.flatnonzero(gone))
        # As if they had been moved after the others had gone.
        left = np.flatnonzero(~gone)
        new_store.follow_places(left, store, snapshot.slots[replacement.origins[left]])
    since = store.written_at[: store.used] >= 0
    since[snapshot.slots[unchanged]] = False
    slots = np.flatnonzero(since)
    slots = slots[np.argsort(store.written_at[slots])]
    where = torch.from_numpy(slots).to(store.senses.device)
    written = store.observations().take(where)
    excess = len(new_store) + len(slots) - new_store.capacity
    if excess > 0:  # of what virtual observations stand for, some has had to make room meanwhile
        new_store.discard(new_store.slots_by_age()[:excess])
    new_store.fill(written, store.ids[slots], store.written_at[slots], store.times[slots])
    new_store.next_id = store.next_id + (len(replacement.origins) if replacement.virtual else 0)
    new_store.clock = store.clock
    new_store.generation, new_store.num_deletions = store.generation, store.num_deletions
