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

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from tree_world.models.memory.kernel.affinity import (
    LOG_TWO_PI,
    limit_squared,
    log_affinities_of_all,
)
from tree_world.models.memory.recall.pairs import Nearby, reach_of_weight
from tree_world.models.memory.recall.plan import group_size
from tree_world.models.memory.recall.reading import Timely
from tree_world.models.memory.recall.screening import Groups
from tree_world.models.memory.types import Observations, ReadOptions

_ROOM = 2**21  # pairs whose weights are held at a time
_SENSES = 2**22  # numbers of senses that are held in double precision at a time


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
    of_weight = reach_of_weight(nearby, np.square(own_sds), observations, options.tail, False)

    def reach(low: np.ndarray, high: np.ndarray) -> float:
        return of_weight(low, high) if options.match_threshold is None else options.match_threshold

    locations = observations.locations.detach().numpy()
    together = group_size(queries, locations, reach(queries[0], queries[0]))
    for group in Groups.of_neighbours(queries, together):
        low, high = queries[group].min(axis=0), queries[group].max(axis=0)
        rows = np.sort(nearby.rows(low, high, reach(low, high)))
        if len(rows) == 0:
            continue
        near = observations.take(torch.from_numpy(rows))
        for some in np.array_split(group, math.ceil(len(group) * len(rows) / _ROOM)):
            if len(some):
                own = _of_all_near(queries[some], own_sds[some], near, limit)
                for whole, part in zip(found, own, strict=True):
                    whole[some] = part
    return found


def _of_all_near(queries: np.ndarray, sds: np.ndarray, near: Observations, limit: float) -> Moments:
    locations = near.locations.detach().double().numpy()
    deviations = near.location_sds.detach().double().numpy()
    log_affinity, _ = log_affinities_of_all(queries, sds, locations, deviations, limit)
    greatest = log_affinity.max(axis=1, keepdims=True)
    greatest = np.where(np.isfinite(greatest), greatest, 0.0)
    weights = np.exp(log_affinity - greatest)
    total = weights.sum(axis=1, keepdims=True)
    known = (total > 0)[:, 0]
    log_weight = np.full(len(queries), -np.inf)
    constant = 0.5 * locations.shape[1] * LOG_TWO_PI
    log_weight[known] = (np.log(total[known]) + greatest[known])[:, 0] - constant
    weights /= np.where(total > 0, total, 1.0)
    # What is absent has an infinite deviation and no weight.
    variances = np.square(np.where(np.isfinite(deviations), deviations, 0.0))
    steps = locations - queries[:, None]
    step = (weights[:, :, None] * steps).sum(axis=1)
    centred = steps - step[:, None]
    # A row of weights for the mean, and one for each axis: one product with senses for all.
    rows = np.concatenate([weights[:, None], weights[:, None] * centred.swapaxes(1, 2)], axis=1)
    dim, width = locations.shape[1], near.senses.shape[1]
    sums = np.zeros((len(queries), 1 + dim, width))
    room = max(1, _SENSES // width)
    for start in range(0, len(locations), room):
        part = slice(start, start + room)
        sums += rows[:, :, part] @ near.senses[part].detach().double().numpy()
    covariance, spread = rows[:, 1:] @ centred, weights @ variances
    return Moments(log_weight, sums[:, 0], step, spread, covariance, sums[:, 1:])


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
