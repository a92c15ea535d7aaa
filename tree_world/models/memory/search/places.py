"""The best distinct places for a search key."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from tree_world.models.memory.search.exact import exact_log_weights
from tree_world.models.memory.search.query import Query
from tree_world.models.memory.store.slots import Store


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
    store: Store, search_key: np.ndarray, number: int, separation: float
) -> np.ndarray:
    """Slots whose senses match a key best, no two of them near each other.

    The best is taken, all within the separation of it are struck out, and so on.

    Parameters
    ----------
    store : Store
    search_key : numpy.ndarray of shape (embed_dim,)
    number : int
        How many at most; fewer if nothing is left.
    separation : float
        Least distance in metres.

    Returns
    -------
    numpy.ndarray of int
    """
    scores = exact_log_weights(store, Query(search_key, 1.0))
    locations = store.locations[: store.used].detach().cpu().double().numpy()
    found: list[int] = []
    while len(found) < min(number, len(scores)):
        best = int(scores.argmax())
        if scores[best] == -math.inf:
            break
        found.append(best)
        near = np.square(locations - locations[best]).sum(axis=1) <= separation * separation
        scores[near] = -math.inf
    return np.array(found, dtype=np.int64)
