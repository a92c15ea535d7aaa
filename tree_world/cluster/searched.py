"""Draws from a shard, and searches: what it gives others to make one draw or one list of all."""

from __future__ import annotations

from typing import Any

import numpy as np

from tree_world.cluster.held import as_tensor, copied
from tree_world.models.memory.changes import reading
from tree_world.models.memory.drawing import log_total_weight, query_of, ready_scores
from tree_world.models.memory.memory import Memory
from tree_world.models.memory.options import DrawOptions
from tree_world.models.memory.search.exact import exact_log_weights
from tree_world.models.memory.search.places import best_distinct_slots
from tree_world.models.memory.search.query import Query


class Searched:
    """A part of a larger memory that is searched with the others.

    Parameters
    ----------
    memory : Memory
    """

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    @property
    def common(self) -> Any:
        """What the memory is made of."""
        return self.memory.common

    def _query(
        self, key: np.ndarray, place: np.ndarray | None, sd: np.ndarray | None, how: DrawOptions
    ) -> Query:
        where, deviations = (None if each is None else as_tensor(each) for each in (place, sd))
        return query_of(self.common, as_tensor(key), where, deviations, how)

    @reading
    def log_total(
        self, key: np.ndarray, place: np.ndarray | None, sd: np.ndarray | None, how: DrawOptions
    ) -> float:
        """Logarithm of the sum of the weights of what is here.

        Parameters
        ----------
        key : numpy.ndarray of shape (embed_dim,)
        place, sd : numpy.ndarray of shape (dim,), or None
        how : DrawOptions

        Returns
        -------
        float
        """
        query = self._query(key, place, sd, how)
        return log_total_weight(self.common, self.memory.store, query)

    def draw(
        self,
        key: np.ndarray,
        place: np.ndarray | None,
        sd: np.ndarray | None,
        how: DrawOptions,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw from what is here.

        Parameters
        ----------
        key : numpy.ndarray of shape (embed_dim,)
        place, sd : numpy.ndarray of shape (dim,), or None
        how : DrawOptions
        seed : int

        Returns
        -------
        places : numpy.ndarray of shape (n, dim)
        ids : numpy.ndarray of int64, of shape (n,)
        log_shares : numpy.ndarray of shape (n,)
            Logarithms of their shares of the weight of what is here.
        """
        found = self.memory.draw(place, sd, key, how=how, seed=seed)
        return found.places.numpy(), found.ids.numpy(), found.log_probabilities.numpy()

    @reading
    def perturbed(
        self,
        key: np.ndarray,
        place: np.ndarray | None,
        sd: np.ndarray | None,
        how: DrawOptions,
        seed: int,
    ) -> tuple[np.ndarray, ...]:
        """Draw without replacement: the greatest perturbed logarithms of weights.

        Parameters
        ----------
        key : numpy.ndarray of shape (embed_dim,)
        place, sd : numpy.ndarray of shape (dim,), or None
        how : DrawOptions
        seed : int

        Returns
        -------
        perturbed, log_weights : numpy.ndarray of shape (n,)
            At most as many as are to be drawn.
        places, sds : numpy.ndarray of shape (n, dim)
        ids : numpy.ndarray of int64, of shape (n,)
        """
        store, generator = self.memory.store, np.random.default_rng(seed)
        weights = exact_log_weights(store, self._query(key, place, sd, how))
        perturbed = weights + generator.gumbel(size=len(weights))
        possible = np.flatnonzero(np.isfinite(weights))
        best = possible[np.argsort(-perturbed[possible])[: how.num_samples]]
        own = copied(self.memory.store, best)
        return perturbed[best], weights[best], own.locations, own.location_sds, own.ids

    @reading
    def best(
        self, key: np.ndarray, number: int, separation: float, struck: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Find the best distinct places that are not near some others.

        Parameters
        ----------
        key : numpy.ndarray of shape (embed_dim,)
        number : int
        separation : float
            In metres.
        struck : numpy.ndarray of float64, of shape (n_others, dim)

        Returns
        -------
        scores : numpy.ndarray of shape (n,)
        places, sds : numpy.ndarray of shape (n, dim)
        ids : numpy.ndarray of int64, of shape (n,)
        """
        store = self.memory.store
        scores = ready_scores(self.common, store, key)
        if scores is None:
            scores = exact_log_weights(store, Query(key, 1.0))
        for place in struck:
            scores[store.neighbours(place, separation)] = -np.inf
        known = scores.copy()
        slots = best_distinct_slots(store, key, number, separation, scores)
        own = copied(self.memory.store, slots)
        return known[slots], own.locations, own.location_sds, own.ids
