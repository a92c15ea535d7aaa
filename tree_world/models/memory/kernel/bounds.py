"""Bounds of log k, for all pairs at once: what may be left out, and how precise one must be.

The formula itself is in `tree_world.models.memory.kernel.affinity`.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tree_world.compiling import compiled, times
from tree_world.models.memory.kernel.affinity import LEAST_VARIANCE

_AT_A_TIME = 2**16  # places that are compared in double precision at a time


def level_and_range(sds: torch.Tensor, location_sds: torch.Tensor) -> tuple[float, float]:
    """Bound log-affinities from above, and how far below deviations alone may put them.

    Parameters
    ----------
    sds : torch.Tensor of shape (n_queries, dim)
        In metres.
    location_sds : torch.Tensor of shape (n_observations, dim)
        In metres; infinite for what is absent.

    Returns
    -------
    level, range : float
        The range is infinite where nothing is there.
    """
    own, others = sds.detach().double(), location_sds.detach()
    if len(others) == 0:
        return 0.0, 0.0
    least = torch.hypot(own.amin(dim=0), others.amin(dim=0).double())
    present = torch.nan_to_num(others, posinf=0.0)  # what is absent has an infinite deviation
    most = torch.hypot(own.amax(dim=0), present.amax(dim=0).double())
    if bool(torch.isinf(least).any()):  # nothing is there
        return 0.0, math.inf
    level = -least.log().sum() - 0.5 * len(least) * math.log(2 * math.pi)
    return float(level), float((most / least).log().sum())


def greatest_level(sds: np.ndarray, least_sd: float) -> float:
    """Bound the log-affinities of a place to anything, however near.

    Parameters
    ----------
    sds : numpy.ndarray of shape (dim,)
        Deviations of the place, in metres.
    least_sd : float
        Of all observations, on any axis, in metres.

    Returns
    -------
    float

    Examples
    --------
    >>> round(greatest_level(np.ones(2), 1.0), 4)  # −log(2π · 2)
    -2.531
    """
    together = np.hypot(sds, least_sd)
    return float(-np.log(together).sum() - 0.5 * len(together) * math.log(2 * math.pi))


def greatest_exponent(
    queries: torch.Tensor, sds: torch.Tensor, locations: torch.Tensor, location_sds: torch.Tensor
) -> float:
    """Bound half the squared distance of any pair, in units of the deviations.

    Parameters
    ----------
    queries, sds : torch.Tensor of shape (n_queries, dim)
        In metres; one row of deviations serves all queries.
    locations, location_sds : torch.Tensor of shape (n_observations, dim)
        In metres.

    Returns
    -------
    float
    """
    if len(locations) == 0:
        return 0.0
    (low, high), (other_low, other_high) = (
        [bound.cpu().numpy().astype(np.float64) for bound in places.detach().aminmax(dim=0)]
        for places in (queries, locations)
    )
    across = np.maximum(high - other_low, other_high - low)
    least = np.hypot(
        *(
            each.detach().amin(dim=0).cpu().numpy().astype(np.float64)
            for each in (sds, location_sds)
        )
    )
    return float(0.5 * np.sum(np.square(across / least)))


def exponent_of_rounding(
    queries: torch.Tensor, sds: torch.Tensor, locations: torch.Tensor, location_sds: torch.Tensor
) -> float:
    r"""Bound what the rounding of features around the centre of the queries does to a read.

    In units of the deviations let A be half the squared distance of the farthest query from their
    centre c, and e that of the pair of a query and an observation. Features round off at most
    :math:`5 \varepsilon (2 \sqrt A + \sqrt e)^2 \le 10 \varepsilon (4 A + e)` of log k. Pairs
    with a large e weigh little: weighted by the softmax, e is on average at most that of the best
    pair, which is no worse than that with the observation next to c, and log n. So the weighted
    rounding is at most :math:`10 \varepsilon` times what is returned.

    Parameters
    ----------
    queries, sds, locations, location_sds : torch.Tensor
        As for `greatest_exponent`.

    Returns
    -------
    float
    """
    if len(locations) == 0:
        return 0.0
    places, deviations = queries.detach().double(), sds.detach().double()
    centre = places.mean(dim=0)
    least = torch.hypot(location_sds.detach().amin(dim=0).double(), deviations.amin(dim=0))
    greatest, nearest = torch.zeros_like(least), math.inf
    # In blocks, as copies of a million places would exceed the memory that a read may take.
    for others, own in zip(
        locations.detach().split(_AT_A_TIME), location_sds.detach().split(_AT_A_TIME), strict=True
    ):
        absent = torch.isinf(own).any(dim=-1)
        squares = ((others.double() - centre) / least).square().sum(-1)
        nearest = min(nearest, float(squares.masked_fill_(absent, torch.inf).amin()))
        present = own.masked_fill(absent.unsqueeze(-1), 0.0)
        greatest = torch.maximum(greatest, present.amax(dim=0).double())
    if math.isinf(nearest):
        return 0.0  # nothing is there
    greatest = torch.hypot(greatest, deviations.amax(dim=0))
    radius = 0.5 * float(((places - centre) / least).square().sum(dim=-1).amax())
    best = (math.sqrt(radius) + math.sqrt(nearest / 2)) ** 2
    best += float((greatest / least).log().sum())  # as the nearest need not be the best
    return 4 * radius + best + math.log(len(locations))


# --- of boxes ------------------------------------------------------------------------------------


@compiled
def greatest_log_affinity(
    place: np.ndarray, variances: np.ndarray, box: np.ndarray, threshold_squared: float
) -> float:
    """Bound from above the log-affinities of a place to all observations in a box.

    Parameters
    ----------
    place, variances : numpy.ndarray of shape (dim,)
        In metres and square metres.
    box : numpy.ndarray of shape (4, dim)
        Least and greatest place, least and greatest variance.
    threshold_squared : float
        See `tree_world.models.memory.kernel.affinity.limit_squared`.

    Returns
    -------
    float
        −∞ if all are beyond the threshold.

    Examples
    --------
    >>> box = np.array([[3.0], [5.0], [1.0], [1.0]])
    >>> round(greatest_log_affinity(np.zeros(1), np.ones(1), box, math.inf), 4)  # of one at 3 m
    -3.5155
    >>> greatest_log_affinity(np.zeros(1), np.ones(1), box, 2.0**2)
    -inf
    """
    squared, doubled = 0.0, 0.0
    for axis in range(box.shape[1]):
        here = place[axis]
        gap = max(box[0, axis] - here, here - box[1, axis], 0.0)
        squared += gap * gap
        doubled += gap * gap / max(variances[axis] + box[3, axis], LEAST_VARIANCE)
        least = max(variances[axis] + box[2, axis], LEAST_VARIANCE)
        doubled += math.log(2.0 * math.pi * least)
    far = squared > threshold_squared * (1.0 + 1e-9)
    return -np.inf if far else -0.5 * doubled


@compiled
def bound_affinities(
    query_low: np.ndarray,
    query_high: np.ndarray,
    query_least: np.ndarray,
    query_greatest: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    least: np.ndarray,
    greatest: np.ndarray,
    threshold_squared: float,
    uppers: np.ndarray,
    lowers: np.ndarray,
    gaps: np.ndarray,
    reaches: np.ndarray,
) -> None:
    """Bound the log-affinities, but for the constant, of a box of queries to those in others.

    Parameters
    ----------
    query_low, query_high, query_least, query_greatest : numpy.ndarray of shape (dim,)
        Least and greatest place and variance in the box, in metres and square metres.
    low, high, least, greatest : numpy.ndarray of shape (n_boxes, dim)
        The same of the others.
    threshold_squared : float
        See `tree_world.models.memory.kernel.affinity.limit_squared`.
    uppers, lowers : numpy.ndarray of shape (n_boxes,)
        They are filled; −∞ where no pair is within the threshold, and where not all are.
    gaps, reaches : numpy.ndarray of shape (n_boxes,)
        They are filled with the squares of the least and of the greatest distance.
    """
    for box in range(len(low)):
        gap, reach = 0.0, 0.0
        near_exponent, far_exponent = 0.0, 0.0
        least_volume, least_log = 1.0, 0.0
        greatest_volume, greatest_log = 1.0, 0.0
        for axis in range(len(query_low)):
            between = max(query_low[axis] - high[box, axis], low[box, axis] - query_high[axis], 0.0)
            across = max(query_high[axis] - low[box, axis], high[box, axis] - query_low[axis])
            smallest = query_least[axis] + least[box, axis]
            largest = query_greatest[axis] + greatest[box, axis]
            gap += between * between
            reach += across * across
            near_exponent += between * between / largest
            far_exponent += across * across / smallest
            least_volume, least_log = times(least_volume, least_log, smallest)
            greatest_volume, greatest_log = times(greatest_volume, greatest_log, largest)
        gaps[box], reaches[box] = gap, reach
        uppers[box], lowers[box] = -np.inf, -np.inf
        if gap <= threshold_squared:
            uppers[box] = -0.5 * (near_exponent + math.log(least_volume) + least_log)
        if reach <= threshold_squared:
            lowers[box] = -0.5 * (far_exponent + math.log(greatest_volume) + greatest_log)
