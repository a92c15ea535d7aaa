"""Draws from one memory: which way is quickest, and keys that are kept ready."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from tree_world.models.memory.common import Common
from tree_world.models.memory.options import DrawOptions
from tree_world.models.memory.search.cells import CellSearch
from tree_world.models.memory.search.exact import draw, exact_log_weights
from tree_world.models.memory.search.query import Query
from tree_world.models.memory.search.samples import Samples, scattered
from tree_world.models.memory.store.slots import Store

T = TypeVar("T")

_FEW = 2000  # observations, up to which tables of cells are not worth keeping
_SEARCHES = 8  # search keys that are kept ready


def drawn(
    common: Common,
    store: Store,
    key: torch.Tensor,
    place: torch.Tensor | None,
    sd: torch.Tensor | None,
    how: DrawOptions,
    generator: np.random.Generator,
    *,
    with_origin: bool,
) -> Samples:
    """Draw for what has been checked and encoded; the lock is held.

    Parameters
    ----------
    common : Common
    store : Store
        One of its stores.
    key : torch.Tensor of shape (embed_dim,)
    place, sd : torch.Tensor of shape (location_dim,), or None
    how : DrawOptions
    generator : numpy.random.Generator
    with_origin : bool
        Whether it matters how likely the draws were.

    Returns
    -------
    Samples
    """
    query = query_of(common, key, place, sd, how)
    slots, log_p = _draw_slots(common, store, query, how, generator, with_origin)
    # Cells do not say how likely their draws were unless they are asked.
    if (with_origin or how.method == "exact") and np.isnan(log_p).any():
        raise ValueError(
            "the weights of the observations are beyond what numbers can hold: give a less "
            "extreme temperature, location_temperature or search_key."
        )
    where = torch.from_numpy(slots).to(common.device)
    noise = torch.from_numpy(generator.standard_normal((how.num_samples, common.location_dim)))
    found = scattered(
        store.locations[where].detach(),
        store.location_sds[where].detach(),
        how.sigma_scale,
        noise,
    )
    return Samples(found, torch.from_numpy(store.ids[slots]), torch.from_numpy(log_p))


def query_of(
    common: Common,
    key: torch.Tensor,
    place: torch.Tensor | None,
    sd: torch.Tensor | None,
    how: DrawOptions,
) -> Query:
    """Put together what to draw for.

    Parameters
    ----------
    common, key, place, sd, how
        As for `drawn`.

    Returns
    -------
    Query
    """
    temperature = how.temperature
    return Query(
        key.detach().cpu().numpy(),
        math.sqrt(common.sensory_dim) if temperature is None else temperature,
        None if place is None else place.detach().cpu().double().numpy(),
        None if sd is None else sd.detach().cpu().double().numpy(),
        how.location_temperature,
        how.match_threshold,
    )


def log_total_weight(common: Common, store: Store, query: Query) -> float:
    """Logarithm of the sum of the weights of all observations; the lock is held.

    By it draws from several memories are shared out among them.

    Parameters
    ----------
    common : Common
    store : Store
        One of its stores.
    query : Query

    Returns
    -------
    float
        −∞ if nothing matches.
    """
    if _by_cells(common) and len(store) > _FEW:
        return _with_search(common, store, query.search_key, lambda own: own.log_total(query))
    weights = exact_log_weights(store, query)
    return float(np.logaddexp.reduce(weights)) if len(weights) else -math.inf


def _draw_slots(
    common: Common,
    store: Store,
    query: Query,
    how: DrawOptions,
    generator: np.random.Generator,
    with_total: bool,
) -> tuple[np.ndarray, np.ndarray]:
    by_cells = _by_cells(common)
    if how.method == "cells" and not by_cells:
        raise ValueError(
            "method='cells' needs a memory on the CPU without gradients: choose 'exact'."
        )
    number, replacement = how.num_samples, how.replacement
    if how.method == "exact" or not by_cells or (how.method == "auto" and len(store) <= _FEW):
        log_weights = exact_log_weights(store, query)
        slots = draw(log_weights, number, replacement, generator)
        # Relative to the greatest: beside large numbers the logarithm of how many is lost.
        log_weights = log_weights - log_weights.max()
        return slots, (log_weights - np.logaddexp.reduce(log_weights))[slots]
    return _with_search(
        common,
        store,
        query.search_key,
        lambda search: search.draw(query, number, replacement, generator, with_total),
    )


def ready_scores(common: Common, store: Store, search_key: np.ndarray) -> np.ndarray | None:
    """Scores of a search key that is kept ready, where draws would keep it so.

    Parameters
    ----------
    common : Common
    store : Store
        One of its stores.
    search_key : numpy.ndarray of shape (embed_dim,)

    Returns
    -------
    numpy.ndarray of shape (slots,), or None
        −∞ where a slot is free; a copy.
    """
    if not _by_cells(common) or len(store) <= _FEW:
        return None
    return _with_search(common, store, search_key, lambda search: search.scores())


def _by_cells(common: Common) -> bool:
    """Whether cells can serve: parameters may have moved since they were indexed."""
    return common.device.type == "cpu" and not common.requires_grad


def _with_search(
    common: Common, store: Store, search_key: np.ndarray, work: Callable[[CellSearch], T]
) -> T:
    """Work with a search key, which is kept ready from then on."""
    searches = common.searches
    name = (id(store), search_key.tobytes())
    # Taken out while it is used: one that was broken off in the middle is not used again.
    search = searches.pop(name, None)
    if search is None:
        search = CellSearch(store, search_key)
    found = work(search)
    while len(searches) >= _SEARCHES:
        searches.pop(next(iter(searches)))  # the one that was used first
    searches[name] = search
    return found
