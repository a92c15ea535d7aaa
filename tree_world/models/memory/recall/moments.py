r"""Locally linear reads of a memory that is in parts: moments, which parts can give.

A plane through all observations is not to be had from the planes through each part. But it follows
from weighted means, over all, of senses, places, products of both, and of places with each other;
and those of parts are joined as any read is. So a part is read as if each of its observations had
sensed, beside z, also :math:`z (\ell - c)^\top`, :math:`\ell - c`, its variances, and
:math:`(\ell - c) (\ell - c)^\top`, for a c that all parts share.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from tree_world.models.memory.recall.pairs import Nearby, reach_of_weight
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.types import Observations, Read, ReadOptions, nothing

_ROOM = 2**27  # bytes of what is read at a time


def moments(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby,
    centre: torch.Tensor,
    times: np.ndarray | None = None,
) -> Read:
    """Read the moments that a plane follows from, of one part of a memory.

    Parameters
    ----------
    places, sds : torch.Tensor of shape (n_queries, dim)
        At least one; in metres.
    observations : Observations
    options : ReadOptions
        Of order "linear".
    nearby : Nearby
        Finds them.
    centre : torch.Tensor of shape (dim,)
        From which places are counted: the same for all parts.
    times : numpy.ndarray of float64, of shape (n_observations,), optional
        Needed where the options ask for times.

    Returns
    -------
    Read
        Of order "constant"; join those of all parts, and see `plane`.
    """
    queries, variances = (
        each.detach().numpy().astype(np.float64) for each in (places, sds.square())
    )
    low, high = queries.min(axis=0), queries.max(axis=0)
    if options.match_threshold is None:
        distance = reach_of_weight(nearby, variances, observations, options.tail, False)(low, high)
    else:
        distance = options.match_threshold
    rows = np.sort(nearby.rows(low, high, distance))
    constant = dataclasses.replace(options, order="constant", ridge=ReadOptions().ridge)
    width = observations.senses.shape[1] * (len(low) + 1) + 2 * len(low) + len(low) ** 2
    parts = []
    for start in range(0, len(rows), max(1, _ROOM // (8 * width))):
        own = rows[start : start + max(1, _ROOM // (8 * width))]
        taken = observations.take(torch.from_numpy(own))
        own_times = None if times is None else times[own]
        whole = dataclasses.replace(taken, senses=_with_places(taken, centre))
        parts.append(read(places, sds, whole, constant, times=own_times))
    if not parts:
        empty = torch.empty((0, width), dtype=torch.float64)
        return nothing(places, dataclasses.replace(observations, senses=empty))
    return Read.joined(parts)


def _with_places(observations: Observations, centre: torch.Tensor) -> torch.Tensor:
    senses, steps = observations.senses.double(), observations.locations.double() - centre
    products = (senses.unsqueeze(-1) * steps.unsqueeze(-2)).flatten(start_dim=1)
    squares = (steps.unsqueeze(-1) * steps.unsqueeze(-2)).flatten(start_dim=1)
    variances = observations.location_sds.double().square()
    # What is absent has an infinite deviation, and is passed over; its product would be NaN.
    present = torch.where(torch.isinf(variances), torch.zeros_like(variances), variances)
    return torch.cat([senses, products, steps, present, squares], dim=1)


def plane(
    whole: Read, places: torch.Tensor, sds: torch.Tensor, ridge: float, centre: torch.Tensor
) -> torch.Tensor:
    """Read the plane through all parts.

    Parameters
    ----------
    whole : Read
        Of `moments`, joined.
    places, sds : torch.Tensor of shape (n_queries, dim)
        In metres.
    ridge : float
    centre : torch.Tensor of shape (dim,)

    Returns
    -------
    torch.Tensor of float64, of shape (n_queries, sensory_dim)
    """
    dim = places.shape[1]
    width = (whole.mean.shape[1] - 2 * dim - dim * dim) // (1 + dim)
    sizes = [width, width * dim, dim, dim, dim * dim]
    senses, products, mean, variances, squares = whole.mean.double().split(sizes, dim=1)
    covariance = squares.unflatten(1, (dim, dim)) - mean.unsqueeze(2) * mean.unsqueeze(1)
    together = products.unflatten(1, (width, dim)) - senses.unsqueeze(2) * mean.unsqueeze(1)
    held_back = ridge * (sds.double().square() + variances)
    # Where nothing is known all of this is zero, and so is the plane.
    slopes = torch.linalg.solve(
        covariance + torch.diag_embed(held_back), mean - (places.double() - centre)
    )
    found = senses - (together @ slopes.unsqueeze(2)).squeeze(2)
    return torch.where(whole.known.unsqueeze(1), found, 0.0)
