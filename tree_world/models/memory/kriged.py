"""Reads by kriging of what a memory holds."""

from __future__ import annotations

import math

import numpy as np
import scipy.spatial
import torch

from tree_world.models.memory.common import Common
from tree_world.models.memory.kernel.affinity import limit_squared
from tree_world.models.memory.recall.kriging import (
    MOST,
    NEAREST,
    NUGGET,
    Array,
    Kriged,
    Kriging,
    evenly_spread,
    evidence,
)
from tree_world.models.memory.store.slots import Store
from tree_world.models.memory.types import Observations, Read, ReadOptions

_AT_ONCE = 1024  # places whose neighbours' senses are copied at a time


def kriged(
    common: Common,
    store: Store,
    places: torch.Tensor,
    how: ReadOptions,
    observations: Observations | None = None,
) -> Read:
    """Read by kriging at places that have been checked; the lock is held.

    It is what `tree_world.models.memory.recall.kriging.Kriging` reads of all that counts by its
    time, the oldest first, from those of the nearest that are within the threshold. Of senses only
    those are copied that tell of a place, or of the amplitude.

    Parameters
    ----------
    common : Common
    store : Store
        One of its stores.
    places : torch.Tensor of shape (Q, location_dim)
        In metres.
    how : ReadOptions
        Of order "kriging".
    observations : Observations, optional
        Tensors to which gradients would flow, if not those of the store.

    Returns
    -------
    Read
        Without support the variance is NaN, as the amplitude is not looked for. It is NaN, too, if
        no observation counts by its time, and no amplitude is given.

    Raises
    ------
    ValueError
        If gradients are asked for; if all senses are zero, and no amplitude is given.
    """
    _refuse_gradients(common, places, observations)
    slots = store.slots_by_age()
    if how.by_time:
        times = store.times[slots]
        early = -math.inf if how.not_before is None else how.not_before
        late = math.inf if how.not_since is None else how.not_since
        slots = slots[(early <= times) & (times < late)]
    found = _read(common, store, slots, places.detach().cpu().double().numpy(), how)
    mean, variance, slope, nearest = (
        torch.from_numpy(each).to(common.device, common.dtype)
        for each in (found.mean, found.variance, found.slope, found.nearest_distance)
    )
    return Read(
        mean,
        torch.from_numpy(np.isfinite(found.nearest_distance)).to(common.device),
        torch.full_like(nearest, torch.nan),
        torch.full_like(nearest, torch.nan),
        nearest,
        torch.full_like(nearest, torch.nan, dtype=torch.float64),
        how.order,
        variance,
        slope,
    )


def _refuse_gradients(
    common: Common, places: torch.Tensor, observations: Observations | None
) -> None:
    asked = common.requires_grad
    if observations is not None:
        asked = any(tensor.requires_grad for tensor in vars(observations).values())
    if torch.is_grad_enabled() and (asked or places.requires_grad):
        raise ValueError(
            "order='kriging' has no gradients: read under torch.no_grad(), and take `slope` for "
            "derivatives by the place."
        )


def _read(
    common: Common, store: Store, slots: np.ndarray, where: Array, how: ReadOptions
) -> Kriged:
    """Read places from some slots, a part after the other."""
    assert how.length is not None
    nugget = NUGGET if how.nugget is None else how.nugget
    there = _places_in(store, slots)
    amplitude = how.amplitude if how.support else 1.0
    if amplitude is None and len(slots):
        some = evenly_spread(len(slots), MOST)
        senses = _senses_in(common, store, slots[some])
        amplitude = evidence(there[some], senses, how.length, nugget=nugget).amplitude
    prior = np.full(len(where), np.nan if amplitude is None else amplitude**2)
    width = common.sensory_dim
    found = Kriged(
        np.zeros((len(where), width)),
        prior if how.support else np.full(len(where), np.nan),
        np.zeros((len(where), width, where.shape[1])),
        np.full(len(where), np.inf),
    )
    if len(slots) == 0:
        return found
    tree = scipy.spatial.cKDTree(there)
    number = min(NEAREST if how.nearest is None else how.nearest, len(slots))
    limit = limit_squared(how.match_threshold, common.dtype)
    for start in range(0, len(where), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        which = tree.query(where[part], k=number)[1].reshape(-1, number)
        # Formed as the kernel forms them, so that what is at the very threshold counts.
        squares = np.square(there[which] - where[part, None]).sum(axis=-1)
        rows, own = np.unique(which, return_inverse=True)
        known = Kriging(
            there[rows],
            _senses_in(common, store, slots[rows]),
            how.length,
            amplitude=amplitude,
            nugget=nugget,
        )
        read = known.read_among(where[part], own.reshape(which.shape), squares <= limit)
        found.mean[part], found.slope[part] = read.mean, read.slope
        found.nearest_distance[part] = read.nearest_distance
        if how.support:
            found.variance[part] = read.variance
    return found


def _places_in(store: Store, slots: np.ndarray) -> Array:
    where = torch.from_numpy(slots).to(store.locations.device)
    return np.asarray(store.locations[where].detach().cpu().double().numpy())


def _senses_in(common: Common, store: Store, slots: np.ndarray) -> Array:
    """Senses as they were sensed, if they are kept projected."""
    where = torch.from_numpy(slots).to(store.senses.device)
    senses = store.senses[where].detach().to(common.dtype)
    if common.projection is not None:
        senses = common.projection.decode(senses)
    return np.asarray(senses.cpu().double().numpy())
