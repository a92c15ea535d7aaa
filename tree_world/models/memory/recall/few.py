"""Reads of few pairs: all at once, in double precision, with nothing to compile."""

from __future__ import annotations

import math

import numpy as np
import torch

from tree_world.models.memory.kernel.affinity import (
    LOG_TWO_PI,
    limit_squared,
    log_affinities_of_all,
)
from tree_world.models.memory.types import Observations, Read, ReadOptions

_ROUNDED = float(np.finfo(np.float64).eps) / 4  # share of all weights that rounding hides


def read_few(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, options: ReadOptions
) -> Read:
    """Read locally constant means on the CPU, where arrays of all pairs are small.

    What is left out is less than rounding is, whatever the tail may be.

    Parameters
    ----------
    places, sds, observations, options
        As for `tree_world.models.memory.recall.reading.read`.

    Returns
    -------
    Read
    """
    queries, own_sds, locations, location_sds = (
        array.detach().numpy().astype(np.float64)
        for array in (places, sds, observations.locations, observations.location_sds)
    )
    limit = limit_squared(options.match_threshold, observations.locations.dtype)
    log_weights, squares = log_affinities_of_all(queries, own_sds, locations, location_sds, limit)
    best = log_weights.max(axis=1, keepdims=True)
    known = best[:, 0] > -np.inf
    best[~known] = 0.0
    weights = np.exp(log_weights - best)
    weights[weights < _ROUNDED / weights.shape[1]] = 0.0
    total = weights.sum(axis=1)
    log_weight = np.full(len(queries), -np.inf)
    log_weight[known] = best[known, 0] + np.log(total[known]) - 0.5 * queries.shape[1] * LOG_TWO_PI
    total[~known] = 1.0
    weights /= total[:, None]
    senses, precision = observations.senses.detach().numpy(), observations.precision
    mean = np.zeros((len(queries), senses.shape[1]))
    spread = np.full(len(queries), np.inf)
    for query in np.flatnonzero(known):
        own = np.flatnonzero(weights[query])
        near = senses[own].astype(np.float64)
        # Not by a product of matrices, whose threads take longer to wake.
        mean[query] = np.einsum("i,ij->j", weights[query, own], near)
        if options.support:
            spread[query] = _spread(weights[query, own], near, mean[query])
    size, nearest = np.full(len(queries), np.nan), np.full(len(queries), np.nan)
    if options.support:
        squares[log_weights == -np.inf] = np.inf
        size[~known], nearest = 0.0, np.sqrt(squares.min(axis=1))
        size[known] = 1.0 / np.square(weights[known]).sum(axis=1)
    else:
        spread[:] = np.nan
    return Read(
        torch.from_numpy(mean).to(precision),
        torch.from_numpy(known),
        torch.from_numpy(size).to(precision),
        torch.from_numpy(spread).to(precision),
        torch.from_numpy(nearest).to(precision),
        torch.from_numpy(log_weight),
    )


def _spread(weights: np.ndarray, senses: np.ndarray, mean: np.ndarray) -> float:
    """Deviation around the mean, without what rounding has done to that."""
    steps = senses - mean
    variance = float(np.einsum("i,ij,ij->", weights, steps, steps))
    moved = float(np.square(np.einsum("i,ij->j", weights, steps)).sum())
    # Of senses that are all alike nothing is left but rounding.
    return math.sqrt(variance - moved) if variance - moved > 1e-6 * moved else 0.0
