"""Reads with a threshold that few observations pass: pair by pair."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.spatial import cKDTree

from tree_world.models.read_types import Observations, Read, ReadOptions, joined, nothing

_BYTES_A_PAIR = 96  # what the arrays below hold for each pair at the most
_SAMPLE = 64


def read_pairs(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, options: ReadOptions
) -> Read | None:
    """Read by listing all pairs of a query and an observation within the threshold.

    Parameters
    ----------
    places, sds, observations, options
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
    present = torch.isfinite(observations.location_sds).all(dim=-1)
    if not bool(present.all()):
        return None
    tree = cKDTree(observations.locations.detach().numpy())
    queries = places.detach().numpy()
    sample = queries[np.linspace(0, len(queries) - 1, _SAMPLE).astype(int)]
    expected = float(np.mean(tree.query_ball_point(sample, threshold, return_length=True)))
    share = expected / len(observations)
    per_run = int(options.memory_limit / (_BYTES_A_PAIR * (2 * expected + 1)))
    if share > 0.02 or per_run < 256:
        return None
    parts = []
    for start in range(0, len(queries), per_run):
        run = slice(start, min(start + per_run, len(queries)))
        own_sds = sds if len(sds) == 1 else sds[run]
        parts.append(_read_run(queries[run], own_sds, observations, options, tree))
    return joined(parts)


def _read_run(
    queries: np.ndarray,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    tree: cKDTree,
) -> Read:
    threshold = float(options.match_threshold or 0.0)
    found = cKDTree(queries).sparse_distance_matrix(tree, threshold, output_type="ndarray")
    shape = (len(queries), len(observations))
    pairs = coo_array((found["v"], (found["i"], found["j"])), shape=shape)
    pairs.has_canonical_format = True  # no pair comes twice, and no order within a row is needed
    by_query = pairs.tocsr()
    senses = observations.senses.detach()
    sizes = np.diff(by_query.indptr)
    result = nothing(torch.from_numpy(queries), observations)
    filled = np.flatnonzero(sizes)
    if len(filled) == 0:
        return result
    starts = by_query.indptr[filled]
    result.known[torch.from_numpy(filled)] = True

    query_of = np.repeat(np.arange(len(queries)), sizes)
    affinity = _log_affinity(queries, sds, observations, query_of, by_query.indices)
    greatest = np.maximum.reduceat(affinity, starts)
    weights = np.exp(affinity - np.repeat(greatest, sizes[filled]))
    sums = np.add.reduceat(weights, starts)
    shares = torch.from_numpy(weights / np.repeat(sums, sizes[filled])).to(senses.dtype)
    columns = torch.from_numpy(by_query.indices)
    offsets = torch.from_numpy(by_query.indptr[:-1])
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
    norms = senses.square().sum(dim=-1).double().numpy()[by_query.indices]
    second = np.add.reduceat(shares_array * norms, starts)
    first = mean[rows].double().square().sum(dim=-1).numpy()
    result.spread[rows] = _like(np.sqrt(np.maximum(second - first, 0.0)), senses)
    result.nearest_distance[rows] = _like(np.minimum.reduceat(by_query.data, starts), senses)
    return Read(
        mean, result.known, result.effective_sample_size, result.spread, result.nearest_distance
    )


def _like(values: np.ndarray, senses: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(values).to(senses.dtype)


def _log_affinity(
    queries: np.ndarray,
    sds: torch.Tensor,
    observations: Observations,
    query_of: np.ndarray,
    observation_of: np.ndarray,
) -> np.ndarray:
    """Affinity of each pair, as in `tree_world.models.affinity`, less its constant."""
    locations = observations.locations.detach().numpy()
    location_variances = np.square(observations.location_sds.detach().numpy().astype(np.float64))
    query_variances = np.square(sds.detach().numpy().astype(np.float64))
    total = np.zeros(len(query_of))
    for axis in range(queries.shape[-1]):
        variances = location_variances[:, axis][observation_of] + (
            query_variances[0, axis]
            if len(query_variances) == 1
            else query_variances[:, axis][query_of]
        )
        differences = queries[:, axis][query_of].astype(np.float64)
        differences -= locations[:, axis][observation_of]
        total -= 0.5 * (np.log(variances) + np.square(differences) / variances)
    return total
