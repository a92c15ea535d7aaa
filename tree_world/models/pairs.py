"""Reads with a threshold that few observations pass: pair by pair."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.spatial import cKDTree

from tree_world.models.read_types import Observations, Read, ReadOptions, joined, nothing
from tree_world.models.screening import Nearby

_BYTES_A_PAIR = 96  # what the arrays below hold for each pair at the most
_SAMPLE = 64
_THREADS = 3


def read_pairs(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby | None = None,
) -> Read | None:
    """Read by listing all pairs of a query and an observation within the threshold.

    Parameters
    ----------
    places, sds, observations, options, nearby
        As for `tree_world.models.reading.read`.

    Returns
    -------
    Read or None
        None where another way is better: without a threshold, for linear reads, off the CPU, or
        when the pairs are so many that matrices are quicker.
    """
    threshold = options.match_threshold
    if threshold is None or options.order != "constant" or places.device.type != "cpu":
        return None
    queries = places.detach().numpy()
    if nearby is not None:
        return _read_run(queries, sds, observations, options, _look_up(queries, threshold, nearby))
    if not bool(torch.isfinite(observations.location_sds).all()):
        return None
    tree = cKDTree(observations.locations.detach().numpy())
    sample = queries[np.linspace(0, len(queries) - 1, _SAMPLE).astype(int)]
    expected = float(np.mean(tree.query_ball_point(sample, threshold, return_length=True)))
    share = expected / len(observations)
    per_run = int(options.memory_limit / (_BYTES_A_PAIR * (2 * expected + 1)))
    if share > 0.02 or per_run < 256:
        return None
    per_run = min(per_run // _THREADS, math.ceil(len(queries) / _THREADS))

    def read_run(start: int) -> Read:
        run = slice(start, min(start + per_run, len(queries)))
        own_sds = sds if len(sds) == 1 else sds[run]
        pairs = _search(queries[run], threshold, tree)
        return _read_run(queries[run], own_sds, observations, options, pairs)

    # SciPy looks for pairs on one core, and lets others work meanwhile.
    with ThreadPoolExecutor(_THREADS) as pool:
        return joined(list(pool.map(read_run, range(0, len(queries), per_run))))


@dataclass(frozen=True)
class _Pairs:
    """Observations of each query, one query after the other, as in a compressed sparse matrix."""

    columns: np.ndarray
    edges: np.ndarray


def _look_up(queries: np.ndarray, threshold: float, nearby: Nearby) -> _Pairs:
    found = [nearby(query, query, threshold) for query in queries.astype(np.float64)]
    return _Pairs(np.concatenate(found), np.cumsum([0, *(len(rows) for rows in found)]))


def _search(queries: np.ndarray, threshold: float, tree: cKDTree) -> _Pairs:
    found = cKDTree(queries).sparse_distance_matrix(tree, threshold, output_type="ndarray")
    pairs = coo_array((found["v"], (found["i"], found["j"])), shape=(len(queries), tree.n))
    pairs.has_canonical_format = True  # no pair comes twice, and no order within a row is needed
    by_query = pairs.tocsr()
    return _Pairs(by_query.indices, by_query.indptr)


def _read_run(
    queries: np.ndarray,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    pairs: _Pairs,
) -> Read:
    senses = observations.senses.detach()
    sizes = np.diff(pairs.edges)
    result = nothing(torch.from_numpy(queries), observations)
    filled = np.flatnonzero(sizes)
    if len(filled) == 0:
        return result
    starts = pairs.edges[filled]
    result.known[torch.from_numpy(filled)] = True

    query_of = np.repeat(np.arange(len(queries)), sizes)
    affinity, distances_squared = _affinity_and_distance(
        queries, sds, observations, query_of, pairs.columns
    )
    greatest = np.maximum.reduceat(affinity, starts)
    weights = np.exp(affinity - np.repeat(greatest, sizes[filled]))
    sums = np.add.reduceat(weights, starts)
    shares = torch.from_numpy(weights / np.repeat(sums, sizes[filled])).to(senses.dtype)
    columns = torch.from_numpy(pairs.columns)
    offsets = torch.from_numpy(pairs.edges[:-1])
    mean = torch.nn.functional.embedding_bag(
        columns, senses, offsets, mode="sum", per_sample_weights=shares
    )
    if not options.support:
        missing = torch.full_like(result.spread, torch.nan)
        return Read(mean, result.known, missing, missing, missing)
    rows = torch.from_numpy(filled)
    shares_array = shares.double().numpy()
    result.effective_sample_size[rows] = _like(
        1.0 / np.add.reduceat(np.square(shares_array), starts), senses
    )
    norms = senses.square().sum(dim=-1).double().numpy()[pairs.columns]
    second = np.add.reduceat(shares_array * norms, starts)
    first = mean[rows].double().square().sum(dim=-1).numpy()
    result.spread[rows] = _like(np.sqrt(np.maximum(second - first, 0.0)), senses)
    result.nearest_distance[rows] = _like(
        np.sqrt(np.minimum.reduceat(distances_squared, starts)), senses
    )
    return Read(
        mean, result.known, result.effective_sample_size, result.spread, result.nearest_distance
    )


def _like(values: np.ndarray, senses: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(values).to(senses.dtype)


def _affinity_and_distance(
    queries: np.ndarray,
    sds: torch.Tensor,
    observations: Observations,
    query_of: np.ndarray,
    observation_of: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Affinity of each pair, as in `tree_world.models.affinity`, less its constant; distance²."""
    locations = observations.locations.detach().numpy()
    location_sds = observations.location_sds.detach().numpy()
    query_variances = np.square(sds.detach().numpy().astype(np.float64))
    affinity = np.zeros(len(query_of))
    distances_squared = np.zeros(len(query_of))
    for axis in range(queries.shape[-1]):
        variances = np.square(location_sds[:, axis][observation_of].astype(np.float64))
        variances += (
            query_variances[0, axis]
            if len(query_variances) == 1
            else query_variances[:, axis][query_of]
        )
        differences = queries[:, axis][query_of].astype(np.float64)
        differences -= locations[:, axis][observation_of]
        squares = np.square(differences)
        distances_squared += squares
        affinity -= 0.5 * (np.log(variances) + squares / variances)
    return affinity, distances_squared
