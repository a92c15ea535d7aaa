"""What shards send each other and get: observations, witnesses and reads, as arrays of NumPy.

Dask sends these as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from tree_world.models.memory.recall.moments import Moments
from tree_world.models.memory.store.slots import Store
from tree_world.models.memory.types import Observations, Read, ReadOptions, Witnesses


class Held(NamedTuple):
    """Observations with their names, and witnesses of others, as arrays.

    Attributes
    ----------
    locations, location_sds : numpy.ndarray of shape (n, dim)
        In metres; one row of deviations may stand for all.
    senses : numpy.ndarray of shape (n, embed_dim)
    ids, written_at : numpy.ndarray of int64, of shape (n,)
    times : numpy.ndarray of float64, of shape (n,), or None
        None where they are the clock.
    witnesses : tuple of arrays, optional
        Places, deviations, senses, limits.
    """

    locations: np.ndarray
    location_sds: np.ndarray
    senses: np.ndarray
    ids: np.ndarray
    written_at: np.ndarray
    times: np.ndarray | None
    witnesses: tuple[np.ndarray, ...] | None = None


def rows_of(held: Held, rows: np.ndarray) -> Held:
    """Take some observations, with all witnesses; deviations that are all alike stay one row.

    Parameters
    ----------
    held : Held
    rows : numpy.ndarray of int

    Returns
    -------
    Held
    """
    return Held(
        held.locations[rows],
        held.location_sds if len(held.location_sds) == 1 else held.location_sds[rows],
        held.senses[rows],
        held.ids[rows],
        held.written_at[rows],
        None if held.times is None else held.times[rows],
        held.witnesses,
    )


def copied(
    store: Store, slots: np.ndarray, witnesses: tuple[np.ndarray, ...] | None = None
) -> Held:
    """Copy what is in some slots of a store, with witnesses that are taken apart."""
    where = torch.from_numpy(slots)
    arrays = (store.locations[where], store.location_sds[where], store.senses[where])
    names = store.ids[slots], store.written_at[slots], store.times[slots]
    places, sds, senses = (each.numpy() for each in arrays)
    return Held(places, sds, senses, *names, witnesses)


class Answer(NamedTuple):
    """What a shard has read, where anything matches.

    Attributes
    ----------
    rows : numpy.ndarray of int, of shape (n,)
        Numbers of these places among those that were asked for.
    arrays : tuple of numpy.ndarray
        Of these: mean and log weight; effective sample size, spread and nearest distance if support
        was asked for.
    moments : Moments or None
        Of those of them that others are asked for as well, but for means, for a locally linear
        read.
    """

    rows: np.ndarray
    arrays: tuple[np.ndarray, ...]
    moments: Moments | None

    @classmethod
    def of(cls, read: Read, how: ReadOptions) -> Answer:
        """Take a read apart."""
        rows = np.flatnonzero(read.known.numpy())
        return cls(rows, tuple(getattr(read, one).numpy()[rows] for one in names_of(how)), None)


def names_of(how: ReadOptions) -> list[str]:
    """Name what is told of a read, beside whether it is known."""
    names = ["mean", "log_weight"]
    return names + ["effective_sample_size", "spread", "nearest_distance"] * how.support


def arrays_of_witnesses(witnesses: Witnesses) -> tuple[np.ndarray, ...]:
    """Take witnesses apart: places, deviations, senses, limits."""
    own = witnesses.observations
    arrays = (own.locations, own.location_sds, own.senses)
    return (*(each.numpy() for each in arrays), witnesses.limits)


def as_witnesses(arrays: tuple[np.ndarray, ...]) -> tuple[Observations, np.ndarray]:
    """Put together what `arrays_of_witnesses` gave: observations, and their limits."""
    return Observations(*(as_tensor(each) for each in arrays[:3])), np.array(arrays[3])


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """Make a tensor of what came over the wire, which may be read-only."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
