"""The best distinct places for a search key."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from tree_world.models.memory.search.exact import exact_log_weights
from tree_world.models.memory.search.query import Query
from tree_world.models.memory.store.slots import Store

__all__ = ["FoundPlaces"]


@dataclass(frozen=True)
class FoundPlaces:
    """Remembered places that match a search key best, the best first.

    Attributes
    ----------
    places : torch.Tensor of shape (n, dim)
        In metres.
    ids : torch.Tensor of int64, of shape (n,)
        Of the observations made there.
    match : torch.Tensor of shape (n,)
        Product of the search key with what the memory reads there.
    distance : torch.Tensor of shape (n,)
        In metres, from the place that was given; NaN without one.
    support : torch.Tensor of shape (n,)
        Effective number of observations behind the match.
    """

    places: torch.Tensor
    ids: torch.Tensor
    match: torch.Tensor
    distance: torch.Tensor
    support: torch.Tensor


def best_distinct_slots(
    store: Store,
    search_key: np.ndarray,
    number: int,
    separation: float,
    scores: np.ndarray | None = None,
) -> np.ndarray:
    """Slots whose senses match a key best, no two of them near each other.

    The best is taken, all within the separation of it are struck out, and so on. Of slots that
    match equally, the lowest is taken.

    Parameters
    ----------
    store : Store
    search_key : numpy.ndarray of shape (embed_dim,)
    number : int
        How many at most; fewer if nothing is left.
    separation : float
        Least distance in metres.
    scores : numpy.ndarray of shape (slots,), optional
        Products of the key with all senses, −∞ where a slot is free, if they are at hand; they are
        overwritten. The index must know where everything is then: it says what is struck out.

    Returns
    -------
    numpy.ndarray of int
    """
    by_index = scores is not None
    if scores is None:
        scores = exact_log_weights(store, Query(search_key, 1.0))
    locations = store.locations.detach()
    found: list[int] = []
    while len(found) < min(number, len(scores)):
        best = int(scores.argmax())
        if scores[best] == -math.inf:
            break
        found.append(best)
        here = locations[best].cpu().double().numpy()
        scores[store.neighbours(here, separation, by_index=by_index)] = -math.inf
    return np.array(found, dtype=np.int64)
