"""Draws from a memory in shards, and searches: exact, by sums that shards give."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from tree_world.cluster.whole import Whole
from tree_world.models.memory.kernel.affinity import limit_squared
from tree_world.models.memory.options import DrawOptions
from tree_world.models.memory.search.query import nothing_matches
from tree_world.models.memory.search.samples import Samples, scattered


def drawn(
    whole: Whole,
    key: torch.Tensor,
    place: torch.Tensor | None,
    sd: torch.Tensor | None,
    how: DrawOptions,
    generator: np.random.Generator,
) -> Samples:
    """Draw for what has been checked and encoded.

    Each shard says how much all it holds weighs; so many draws fall to it as chance gives it by
    that, and it makes them itself. Without replacement each perturbs the logarithms of its weights
    and offers the greatest: those that are the greatest of all are drawn.

    Parameters
    ----------
    whole : Whole
    key : torch.Tensor of shape (embed_dim,)
    place, sd : torch.Tensor of shape (location_dim,), or None
    how : DrawOptions
    generator : numpy.random.Generator

    Returns
    -------
    Samples

    Raises
    ------
    ValueError
        If too little matches, or weights leave the range of numbers.
    """
    if how.temperature is None:  # of the whole, whose senses shards keep shorter
        how = dataclasses.replace(how, temperature=math.sqrt(whole.common.sensory_dim))
    given = (key.numpy(), *(None if each is None else each.numpy() for each in (place, sd)))
    holders = whole.those_with_any()
    if place is not None and how.match_threshold is not None:
        limit = limit_squared(how.match_threshold, whole.common.dtype) * (1 + 1e-9)
        here = place.double().numpy()[None]
        holders = [s for s in holders if whole.summaries[s].squares(here, limit)[0] <= limit]
    totals = whole.ask(dict.fromkeys(holders, ("log_total", *given, how)))
    totals = {shard: total for shard, total in totals.items() if total > -math.inf}
    if not totals:
        raise ValueError(nothing_matches(how.num_samples, 0))
    if any(math.isnan(total) or total == math.inf for total in totals.values()):
        raise ValueError(
            "the weights of the observations are beyond what numbers can hold: give a less "
            "extreme temperature, location_temperature or search_key."
        )
    log_total = float(np.logaddexp.reduce(list(totals.values())))
    if not how.replacement:
        return _without_replacement(whole, given, how, generator, list(totals), log_total)
    logs = np.array(list(totals.values())) - log_total
    shares = np.exp(logs) / np.exp(logs).sum()
    numbers = generator.multinomial(how.num_samples, shares).tolist()
    requests: dict[int, tuple[Any, ...]] = {}
    for shard, number in zip(totals, numbers, strict=True):
        if number:
            seed = int(generator.integers(2**62))
            own = dataclasses.replace(how, num_samples=number)
            requests[shard] = ("draw", *given, own, seed)
    answers = whole.ask(requests)
    order = generator.permutation(how.num_samples)  # or they would come shard by shard
    places, ids, logs_within = (
        np.concatenate([answers[shard][part] for shard in requests])[order] for part in range(3)
    )
    of_shards = np.concatenate(
        [np.full(len(answers[shard][1]), totals[shard] - log_total) for shard in requests]
    )[order]
    return Samples(*map(torch.from_numpy, (places, ids, logs_within + of_shards)))


def _without_replacement(
    whole: Whole,
    given: tuple[Any, ...],
    how: DrawOptions,
    generator: np.random.Generator,
    holders: list[int],
    log_total: float,
) -> Samples:
    seeds = {shard: int(generator.integers(2**62)) for shard in holders}
    requests = {shard: ("perturbed", *given, how, seed) for shard, seed in seeds.items()}
    offers = list(whole.ask(requests).values())
    perturbed, weights, places, sds, ids = (
        np.concatenate(own) for own in zip(*offers, strict=True)
    )
    if len(perturbed) < how.num_samples:
        raise ValueError(nothing_matches(how.num_samples, len(perturbed)))
    best = np.argsort(-perturbed)[: how.num_samples]
    noise = torch.from_numpy(generator.standard_normal((len(best), places.shape[1])))
    own_places, own_sds = torch.from_numpy(places[best]), torch.from_numpy(sds[best])
    found = scattered(own_places, own_sds, how.sigma_scale, noise)
    return Samples(found, torch.from_numpy(ids[best]), torch.from_numpy(weights[best] - log_total))


def best_distinct(
    whole: Whole, key: np.ndarray, number: int, separation: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the best distinct places of all shards.

    Each offers its own list; the best of all is taken, and whoever has offered something near it is
    asked for another list.

    Parameters
    ----------
    whole : Whole
    key : numpy.ndarray of shape (embed_dim,)
    number : int
    separation : float
        In metres.

    Returns
    -------
    places, sds : numpy.ndarray of shape (n, dim)
        The best first.
    ids : numpy.ndarray of int64, of shape (n,)
    """
    dim = whole.common.location_dim
    taken: list[tuple[np.ndarray, np.ndarray, int]] = []
    offers: dict[int, list[tuple[float, np.ndarray, np.ndarray, int]]] = {}
    stale = set(whole.those_with_any())
    while len(taken) < number:
        struck = np.array([place for place, _, _ in taken], dtype=np.float64).reshape(-1, dim)
        left = number - len(taken)
        requests = dict.fromkeys(sorted(stale), ("best", key, left, separation, struck))
        for shard, answer in whole.ask(requests).items():
            offers[shard] = list(zip(*answer, strict=True))
        heads = [(own[0][0], -own[0][3], shard) for shard, own in offers.items() if own]
        if not heads:
            break
        shard = max(heads)[2]
        _, place, sd, name = offers[shard].pop(0)
        taken.append((place, sd, name))

        def near(other: np.ndarray, here: np.ndarray = place) -> bool:
            apart = other.astype(np.float64) - here.astype(np.float64)
            return float(np.square(apart).sum()) <= separation * separation

        stale = {s for s, own in offers.items() if s != shard and any(near(o[1]) for o in own)}
    places, sds = (np.array([one[part] for one in taken]).reshape(-1, dim) for part in range(2))
    ids = np.array([one[2] for one in taken], dtype=np.int64)
    return places, sds, ids
