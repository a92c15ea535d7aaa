r"""Locally linear reads of a memory that is in parts: moments, which parts can give.

A plane through all observations is not to be had from the planes through each part. But it follows
from weighted means, over all, of senses, of steps :math:`\ell_t - \ell` from the place that is read
to the observations, and of variances; and from the covariances of steps with each other and with
senses. With the shares :math:`p_i` of parts in all weights, covariances of parts are joined by

.. math::

    C = \sum_i p_i \left[ C_i + (\bar x_i - \bar x) (\bar y_i - \bar y)^\top \right]

and means as any means are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch

from tree_world.models.memory.kernel.affinity import (
    LEAST_VARIANCE,
    LOG_TWO_PI,
    limit_squared,
    log_affinities_of_pairs,
)
from tree_world.models.memory.recall.pairs import Nearby, reach_of_weight
from tree_world.models.memory.recall.reading import Timely
from tree_world.models.memory.types import Observations, ReadOptions

_SENSES = 2**25  # numbers of senses that are held in double precision at a time
_ROOM = 2**18  # pairs that are weighed at a time, beside those of one place


class Moments(NamedTuple):
    """What a plane follows from, of one part; zero where nothing matches.

    Attributes
    ----------
    log_weight : numpy.ndarray of shape (n_queries,)
        Logarithm of the sum of all weights; −∞ where nothing matches.
    mean : numpy.ndarray of shape (n_queries, sensory_dim)
        Of senses.
    step, variances : numpy.ndarray of shape (n_queries, dim)
        Means of steps, in metres, and of variances, in square metres.
    covariance : numpy.ndarray of shape (n_queries, dim, dim)
        Of steps.
    products : numpy.ndarray of shape (n_queries, dim, sensory_dim)
        Covariances of steps with senses.
    """

    log_weight: np.ndarray
    mean: np.ndarray
    step: np.ndarray
    variances: np.ndarray
    covariance: np.ndarray
    products: np.ndarray

    @classmethod
    def zeros(cls, number: int, dim: int, width: int) -> Moments:
        """Moments of nothing, in double precision."""
        shapes = (width,), (dim,), (dim,), (dim, dim), (dim, width)
        nowhere = np.full(number, -np.inf)
        return cls(nowhere, *(np.zeros((number, *shape)) for shape in shapes))

    def take(self, rows: np.ndarray) -> Moments:
        """Take those of some of the places."""
        return Moments(*(each[rows] for each in self))


def moments(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby,
    times: np.ndarray | None = None,
) -> Moments:
    """Read the moments that a plane follows from, of one part of a memory.

    Parameters
    ----------
    places, sds : torch.Tensor of shape (n_queries, dim)
        In metres.
    observations : Observations
    options : ReadOptions
        Of which threshold, tail and times count.
    nearby : Nearby
        Finds them.
    times : numpy.ndarray of float64, of shape (n_observations,), optional
        Needed where the options ask for times.

    Returns
    -------
    Moments
        In double precision; see `plane`.
    """
    queries, own_sds = (each.detach().numpy().astype(np.float64) for each in (places, sds))
    found = Moments.zeros(len(queries), queries.shape[1], observations.senses.shape[1])
    if len(queries) == 0 or len(observations) == 0:
        return found
    if options.by_time:
        nearby = Timely.as_asked(times, options, observations).among(nearby)
    limit = limit_squared(options.match_threshold, observations.locations.dtype)
    reach = reach_of_weight(nearby, np.square(own_sds), observations, options.tail, False)
    threshold, first = options.match_threshold, 0
    rows: list[np.ndarray] = []
    for last, place in enumerate(queries):
        rows.append(
            nearby.rows(place, place, reach(place, place) if threshold is None else threshold)
        )
        if last == len(queries) - 1 or sum(map(len, rows)) > _ROOM:
            part = slice(first, last + 1)
            own = _of_pairs(queries[part], own_sds[part], observations, rows, limit)
            for whole, its in zip(found, own, strict=True):
                whole[part] = its
            rows, first = [], last + 1
    return found


def _of_pairs(
    queries: np.ndarray,
    sds: np.ndarray,
    observations: Observations,
    rows: list[np.ndarray],
    limit: float,
) -> Moments:
    """Moments of what is in some rows for each place."""
    number, dim = queries.shape
    found = Moments.zeros(number, dim, observations.senses.shape[1])
    used, other = np.unique(np.concatenate(rows), return_inverse=True)
    one = np.repeat(np.arange(number), list(map(len, rows)))
    near = observations.take(torch.from_numpy(used))
    locations, deviations = (
        each.detach().double().numpy() for each in (near.locations, near.location_sds)
    )
    variances = np.maximum(np.square(np.concatenate([sds, deviations])), LEAST_VARIANCE)
    everywhere = np.concatenate([queries, locations])
    logs = log_affinities_of_pairs(everywhere, variances, one, number + other, limit)
    matches = logs > -np.inf
    one, other, logs = one[matches], other[matches], logs[matches]
    if len(one) == 0:
        return found
    starts = np.flatnonzero(np.diff(one, prepend=-1))
    known = one[starts]

    def total(values: np.ndarray) -> np.ndarray:
        sums = np.zeros((number, *values.shape[1:]))
        sums[known] = np.add.reduceat(values, starts)
        return sums

    greatest = np.zeros(number)
    greatest[known] = np.maximum.reduceat(logs, starts)
    weights = np.exp(logs - greatest[one])
    sums = total(weights)
    weights /= sums[one]
    steps = locations[other] - queries[one]
    step = total(weights[:, None] * steps)
    centred = steps - step[one]
    weighted = weights[:, None] * centred
    senses = near.senses.detach().split(max(1, _SENSES // len(used)), dim=1)
    edges = np.searchsorted(one, np.arange(number + 1))

    def average(shares: np.ndarray) -> np.ndarray:
        matrix = scipy.sparse.csr_array((shares, other, edges), shape=(number, len(used)))
        return np.concatenate([matrix @ some.double().numpy() for some in senses], axis=1)

    constant = 0.5 * dim * LOG_TWO_PI
    found.log_weight[known] = np.log(sums[known]) + greatest[known] - constant
    return Moments(
        found.log_weight,
        average(weights),
        step,
        total(weights[:, None] * variances[number + other]),
        total(weighted[:, :, None] * centred[:, None]),
        np.stack([average(shares) for shares in weighted.T], axis=1),
    )


Part = tuple[np.ndarray, Moments]
"""Which places a part has read, and their moments."""


def plane(parts: Sequence[Part], number: int, sds: np.ndarray, ridge: float) -> np.ndarray:
    """Read the plane through all parts.

    Parameters
    ----------
    parts : sequence of Part
        One at least.
    number : int
        How many places there are in all.
    sds : numpy.ndarray of shape (number, dim)
        Of the queries, in metres.
    ridge : float

    Returns
    -------
    numpy.ndarray of float64, of shape (number, sensory_dim)
        Zero where no part has anything.
    """
    total = np.full(number, -np.inf)
    for rows, own in parts:
        total[rows] = np.logaddexp(total[rows], own.log_weight)
    total = np.where(np.isfinite(total), total, 0.0)
    shares = [np.exp(own.log_weight - total[rows]) for rows, own in parts]
    whole = Moments.zeros(number, *parts[0][1].products.shape[1:])
    for share, (rows, own) in zip(shares, parts, strict=True):
        whole.mean[rows] += share[:, None] * own.mean
        whole.step[rows] += share[:, None] * own.step
        whole.variances[rows] += share[:, None] * own.variances
    for share, (rows, own) in zip(shares, parts, strict=True):
        weight = share[:, None, None]
        step = (own.step - whole.step[rows])[:, :, None]
        sense = (own.mean - whole.mean[rows])[:, None]
        whole.covariance[rows] += weight * (own.covariance + step * step.swapaxes(1, 2))
        whole.products[rows] += weight * (own.products + step * sense)
    held_back = ridge * (np.square(sds.astype(np.float64)) + whole.variances)
    ridges = held_back[:, :, None] * np.eye(sds.shape[1])
    slopes = np.linalg.solve(whole.covariance + ridges, whole.step[:, :, None])
    found: np.ndarray = whole.mean - (slopes.swapaxes(1, 2) @ whole.products)[:, 0]
    return found
