"""How much two uncertain places have to do with each other: the kernel of the spatial memory."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from tree_world.compiling import compiled, times
from tree_world.precision import without_autocast as without_autocast

__all__ = ["dot_product_features", "log_affinity", "log_density", "squared_distances"]

# --- the threshold: one rule for all ways to read and to draw -------------------------------------


def limit_squared(match_threshold: float | None, dtype: torch.dtype) -> float:
    """Greatest squared distance at which an observation still counts.

    Distances are formed in double precision, coordinate by coordinate, from places as they are
    kept. One counts if it is at most the threshold once both are rounded to the precision in which
    places are kept: an observation at the very threshold counts.

    Parameters
    ----------
    match_threshold : float or None
        In metres; None for no threshold.
    dtype : torch.dtype
        In which places are kept.

    Returns
    -------
    float
        In square metres, for comparison with squared distances in double precision; infinite where
        all count.

    Examples
    --------
    >>> limit_squared(25.0, torch.float32) >= 15.0**2 + 20.0**2
    True
    """
    if match_threshold is None:
        return math.inf
    return _limit_squared(match_threshold, dtype)


@functools.lru_cache(maxsize=64)  # which a life asks for at every step
def _limit_squared(match_threshold: float, dtype: torch.dtype) -> float:
    kept = torch.tensor(match_threshold, dtype=dtype)
    # Half way to the next number: what lies below that is rounded to the threshold.
    above = torch.nextafter(kept, torch.full_like(kept, torch.inf))
    limit = (float(kept) + float(above)) / 2
    limit *= 1 + 8 * torch.finfo(torch.float64).eps
    return limit * limit


def squared_distances(query_locations: torch.Tensor, locations: torch.Tensor) -> torch.Tensor:
    """Squared distances in double precision, to be compared with `limit_squared`.

    Parameters
    ----------
    query_locations : torch.Tensor of shape (..., n_queries, dim)
        In metres.
    locations : torch.Tensor of shape (..., n_observations, dim)
        In metres.

    Returns
    -------
    torch.Tensor of float64, of shape (..., n_queries, n_observations)
        Without gradients.
    """
    queries, others = query_locations.detach().double(), locations.detach().double()
    total = queries.new_zeros(())
    for axis in range(others.shape[-1]):
        steps = queries[..., axis].unsqueeze(-1) - others[..., axis].unsqueeze(-2)
        total = total + steps.square_()
    return total


def beyond(
    query_locations: torch.Tensor, locations: torch.Tensor, match_threshold: float
) -> torch.Tensor:
    """Tell which observations are too far away to count.

    Parameters
    ----------
    query_locations : torch.Tensor of shape (..., n_queries, dim)
        In metres.
    locations : torch.Tensor of shape (..., n_observations, dim)
        In metres, in the precision in which they are kept.
    match_threshold : float
        In metres.

    Returns
    -------
    torch.Tensor of bool, of shape (..., n_queries, n_observations)
    """
    limit = limit_squared(match_threshold, locations.dtype)
    return squared_distances(query_locations, locations) > limit


# --- the kernel -----------------------------------------------------------------------------------


@without_autocast
def log_affinity(
    query_locations: torch.Tensor,
    query_sds: torch.Tensor,
    locations: torch.Tensor,
    location_sds: torch.Tensor,
    match_threshold: float | None = None,
) -> torch.Tensor:
    r"""Logarithm of the density with which two measured places are one and the same.

    Both places carry independent Gaussian errors, so their difference is Gaussian with the sum of
    the variances:

    .. math::

        \log k(\ell, \ell_t) = -\frac12 \sum_i \left[
            \frac{(\ell_i - \ell_{t,i})^2}{v_i} + \log v_i + \log 2\pi \right],
        \qquad v_i = \sigma_i^2 + \sigma_{t,i}^2.

    Parameters
    ----------
    query_locations : torch.Tensor of shape (..., n_queries, dim)
        Places :math:`\ell`, in metres.
    query_sds : torch.Tensor of shape (..., n_queries, dim), or with n_queries = 1
        Standard deviations :math:`\sigma` in metres, positive. One row serves all queries.
    locations : torch.Tensor of shape (..., n_observations, dim)
        Places :math:`\ell_t`, in metres.
    location_sds : torch.Tensor of shape (..., n_observations, dim)
        Their standard deviations. An infinite one gives an affinity of zero.
    match_threshold : float, optional
        Distance in metres beyond which the affinity is set to zero; none by default. An observation
        at this very distance counts; see `limit_squared`.

    Returns
    -------
    torch.Tensor of shape (..., n_queries, n_observations)
        In natural logarithms; −∞ where there is no affinity. They may have either sign: a density
        is greater than one where deviations are small.

    Notes
    -----
    The differences are formed coordinate by coordinate. The shortcut through the scalar product of
    `dot_product_features` loses digits far from the origin; this form does not.

    Examples
    --------
    >>> import torch
    >>> here, sd = torch.zeros(1, 2), torch.ones(1, 2)
    >>> log_affinity(here, sd, here, sd)  # −log(2π · 2)
    tensor([[-2.5310]])
    """
    squares_overflow = _squares_overflow(query_sds) or _squares_overflow(location_sds)
    total = log_density(query_locations, query_sds, locations, location_sds, squares_overflow)
    if match_threshold is not None:
        hidden = beyond(query_locations, locations, match_threshold)
        total = total.masked_fill(hidden, -torch.inf)
    return total


def log_density(
    query_locations: torch.Tensor,
    query_sds: torch.Tensor,
    locations: torch.Tensor,
    location_sds: torch.Tensor,
    squares_overflow: bool = False,
) -> torch.Tensor:
    """As `log_affinity`, for all pairs.

    Parameters
    ----------
    query_locations, query_sds, locations, location_sds : torch.Tensor
    squares_overflow : bool, default=False
        Whether squares of deviations may leave the range of their precision.

    Returns
    -------
    torch.Tensor of shape (..., n_queries, n_observations)
    """
    dim = locations.shape[-1]
    total = locations.new_full((), -0.5 * dim * math.log(2 * math.pi))
    for axis in range(dim):
        # Of shape (..., 1, n_observations) where one row of deviations serves all queries.
        own, theirs = query_sds[..., axis].unsqueeze(-1), location_sds[..., axis].unsqueeze(-2)
        differences = query_locations[..., axis].unsqueeze(-1) - locations[..., axis].unsqueeze(-2)
        if squares_overflow:
            deviations = torch.hypot(own, theirs)
            squares = (differences / deviations).square()
            total = total - deviations.log() - 0.5 * squares
        else:
            variances = own.square() + theirs.square()
            squares = differences.square()
            total = torch.addcdiv(total - 0.5 * variances.log(), squares, variances, value=-0.5)
    return total


def _squares_overflow(sds: torch.Tensor) -> bool:
    """Whether squares of some deviations leave the range of their precision, or nearly do."""
    info = torch.finfo(sds.dtype)
    sds = sds.detach()
    extreme = (sds < info.tiny**0.4) | ((sds > info.max**0.4) & torch.isfinite(sds))
    return bool(extreme.any())


@without_autocast
def dot_product_features(
    query_locations: torch.Tensor,
    query_sd: torch.Tensor,
    locations: torch.Tensor,
    location_sds: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Vectors whose scalar product is the log-affinity, where all queries share a deviation.

    With :math:`v_i = \sigma_i^2 + \sigma_{t,i}^2` the square opens up into

    .. math::

        \log k(\ell, \ell_t) = \sum_i \left[ \ell_i^2 \cdot \frac{-1}{2 v_i}
            + \ell_i \cdot \frac{\ell_{t,i}}{v_i} \right]
            + 1 \cdot \left( -\frac12 \sum_i \left[
              \frac{\ell_{t,i}^2}{v_i} + \log 2\pi v_i \right] \right),

    a scalar product of 2·dim + 1 features: attention *is* this kernel. Its terms are as large as
    the squared coordinates, so digits are lost far from the origin; centre the coordinates first.

    Parameters
    ----------
    query_locations : torch.Tensor of shape (n_queries, dim)
        In metres.
    query_sd : torch.Tensor of shape (dim,)
        The deviation that all queries share.
    locations, location_sds : torch.Tensor of shape (n_observations, dim)
        In metres.

    Returns
    -------
    query_features : torch.Tensor of shape (n_queries, 2 * dim + 1)
    observation_features : torch.Tensor of shape (n_observations, 2 * dim + 1)

    Examples
    --------
    >>> import torch
    >>> here, sd = torch.zeros(1, 2), torch.ones(1, 2)
    >>> queries, observations = dot_product_features(here, sd[0], here, sd)
    >>> queries @ observations.T
    tensor([[-2.5310]])
    """
    variances = query_sd.square() + location_sds.square()
    constant = -0.5 * (locations.square() / variances + (2 * math.pi * variances).log()).sum(-1)
    ones = torch.ones_like(query_locations[:, :1])
    queries = torch.cat([query_locations.square(), query_locations, ones], dim=-1)
    observations = torch.cat(
        [-0.5 / variances, locations / variances, constant.unsqueeze(-1)], dim=-1
    )
    return queries, observations


# --- arrays of few pairs, where a call to PyTorch takes longer than what it computes --------------

LOG_TWO_PI = math.log(2 * math.pi)
LEAST_VARIANCE = 1e-300  # of which there is still an inverse


def log_affinities_of_all(
    places: np.ndarray,
    sds: np.ndarray,
    others: np.ndarray,
    other_sds: np.ndarray,
    threshold_squared: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Log-affinities of all pairs, but for the constant of -dim/2 log 2π, and squared distances.

    Parameters
    ----------
    places : numpy.ndarray of float64, of shape (n_queries, dim)
        In metres.
    sds : numpy.ndarray of float64, of shape (n_queries, dim) or (1, dim)
        In metres.
    others, other_sds : numpy.ndarray of float64, of shape (n_observations, dim)
        In metres; an infinite deviation gives an affinity of zero.
    threshold_squared : float
        See `limit_squared`.

    Returns
    -------
    log_affinities, squared_distances : numpy.ndarray of shape (n_queries, n_observations)
        The former −∞ beyond the threshold.

    Examples
    --------
    >>> here, one = np.zeros((1, 2)), np.ones((1, 2))
    >>> log_affinities_of_all(here, one, here, one, math.inf)[0].round(4)
    array([[-0.6931]])
    """
    squares = np.zeros((len(places), len(others)))
    exponents = np.zeros_like(squares)
    log_volumes = np.zeros((len(sds), len(others)))
    with np.errstate(over="ignore", invalid="ignore"):  # far beyond any reach
        for axis in range(places.shape[1]):
            variances = np.square(sds[:, axis, None]) + np.square(other_sds[:, axis])
            np.maximum(variances, LEAST_VARIANCE, out=variances)
            steps = np.square(places[:, axis, None] - others[:, axis])
            squares += steps
            exponents += steps / variances
            log_volumes += np.log(variances)
        affinities = -0.5 * (exponents + log_volumes)
    matching = (squares <= threshold_squared) & np.isfinite(affinities)
    affinities[~matching] = -np.inf
    return affinities, squares


def log_affinities_of_pairs(
    places: np.ndarray,
    variances: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    threshold_squared: float,
) -> np.ndarray:
    """Log-affinities of pairs of rows, but for the constant of -dim/2 log 2π.

    Parameters
    ----------
    places, variances : numpy.ndarray of shape (n, dim)
        In metres and square metres.
    one, other : numpy.ndarray of int, of shape (n_pairs,)
        Their rows.
    threshold_squared : float
        See `limit_squared`.

    Returns
    -------
    numpy.ndarray of shape (n_pairs,)
        −∞ beyond the threshold.

    Examples
    --------
    >>> first, second = np.array([0]), np.array([1])
    >>> log_affinities_of_pairs(np.zeros((2, 2)), np.ones((2, 2)), first, second, math.inf).round(4)
    array([-0.6931])
    """
    distance, log_affinity = np.zeros(len(one)), np.zeros(len(one))
    for where, each in zip(places.T, variances.T, strict=True):
        square = np.square(where[one] - where[other])
        variance = each[one] + each[other]
        distance += square
        with np.errstate(over="ignore"):
            log_affinity -= 0.5 * (square / variance + np.log(variance))
    log_affinity[distance > threshold_squared] = -np.inf
    return log_affinity


# --- compiled: the same once more, for loops over pairs ------------------------------------------


@compiled
def log_affinity_of(
    place: np.ndarray,
    variances: np.ndarray,
    other: np.ndarray,
    other_sds: np.ndarray,
    threshold_squared: float,
) -> float:
    """Log-affinity of two places.

    Parameters
    ----------
    place, variances : numpy.ndarray of shape (dim,)
        The one, in metres, and its variances in square metres.
    other, other_sds : numpy.ndarray of shape (dim,)
        The other, and its deviations, in metres.
    threshold_squared : float
        See `limit_squared`.

    Returns
    -------
    float
        −∞ beyond the threshold.

    Examples
    --------
    >>> here, one = np.zeros(2), np.ones(2)
    >>> round(log_affinity_of(here, one, here, one, math.inf), 4)
    -2.531
    """
    squared, doubled = 0.0, 0.0
    for axis in range(len(place)):
        step = place[axis] - np.float64(other[axis])
        variance = variances[axis] + np.float64(other_sds[axis]) * np.float64(other_sds[axis])
        variance = max(variance, LEAST_VARIANCE)
        squared += step * step
        doubled += step * step / variance + math.log(2.0 * math.pi * variance)
    return -0.5 * doubled if squared <= threshold_squared else -np.inf


@compiled
def log_affinity_of_rows(
    places: np.ndarray, variances: np.ndarray, a: int, b: int, threshold_squared: float
) -> float:
    """Log-affinity of two rows, but for the constant of -dim/2 log 2π.

    Parameters
    ----------
    places, variances : numpy.ndarray of shape (n, dim)
        In metres and square metres.
    a, b : int
    threshold_squared : float
        See `limit_squared`.

    Returns
    -------
    float
        −∞ beyond the threshold.

    Examples
    --------
    >>> round(log_affinity_of_rows(np.zeros((2, 2)), np.ones((2, 2)), 0, 1, math.inf), 4)
    -0.6931
    """
    square, exponent, volume, log_volume = 0.0, 0.0, 1.0, 0.0
    for axis in range(places.shape[1]):
        step = places[a, axis] - places[b, axis]
        variance = variances[a, axis] + variances[b, axis]
        square += step * step
        exponent += 0.5 * step * step / variance
        volume, log_volume = times(volume, log_volume, variance)
    if square > threshold_squared:
        return -np.inf
    return -exponent - 0.5 * (math.log(volume) + log_volume)


@compiled
def prepare_affinities(
    variances: np.ndarray,
    locations: np.ndarray,
    location_sds: np.ndarray,
    chosen: np.ndarray,
    number: int,
    places: np.ndarray,
    precisions: np.ndarray,
    norms: np.ndarray,
) -> None:
    """Take all of log k that does not depend on a place out of the loop over places.

    Parameters
    ----------
    variances : numpy.ndarray of shape (dim,)
        Of the place, in square metres.
    locations, location_sds : numpy.ndarray of shape (n_observations, dim)
        In metres.
    chosen : numpy.ndarray of int
        Rows of the observations that are asked for,
    number : int
        and how many they are.
    places, precisions : numpy.ndarray of shape (dim, at least number)
        They are filled, with where they are, and half the inverse of the sum of the variances.
    norms : numpy.ndarray of shape (at least number,)
        It is filled, with the logarithm of the density in the middle, but for the constant.
    """
    for j in range(number):
        volume, log_volume = 1.0, 0.0
        for axis in range(len(variances)):
            sd = np.float64(location_sds[chosen[j], axis])
            variance = max(variances[axis] + sd * sd, LEAST_VARIANCE)
            places[axis, j] = locations[chosen[j], axis]
            precisions[axis, j] = 0.5 / variance
            volume, log_volume = times(volume, log_volume, variance)
        norms[j] = -0.5 * (math.log(volume) + log_volume)


@compiled
def log_affinities(
    place: np.ndarray,
    places: np.ndarray,
    precisions: np.ndarray,
    norms: np.ndarray,
    number: int,
    affinities: np.ndarray,
    distances: np.ndarray,
) -> None:
    """Log-affinities of all that is prepared, but for the constant, and squared distances.

    Parameters
    ----------
    place : numpy.ndarray of shape (dim,)
    places, precisions, norms, number
        As `prepare_affinities` filled them.
    affinities, distances : numpy.ndarray of shape (at least number,)
        They are filled.
    """
    for j in range(number):
        affinities[j] = norms[j]
        distances[j] = 0.0
    for axis in range(len(place)):
        here = place[axis]
        for j in range(number):
            step = here - places[axis, j]
            distances[j] += step * step
            affinities[j] -= step * step * precisions[axis, j]


@compiled
def log_affinities_within(
    place: np.ndarray,
    places: np.ndarray,
    precisions: np.ndarray,
    norms: np.ndarray,
    number: int,
    threshold_squared: float,
    chosen: np.ndarray,
    affinities: np.ndarray,
    distances: np.ndarray,
    within: np.ndarray,
) -> int:
    """As `log_affinities`, of those alone that are within the threshold, one after the other.

    Parameters
    ----------
    place : numpy.ndarray of shape (dim,)
    places, precisions, norms, number
        As `prepare_affinities` filled them.
    threshold_squared : float
        See `limit_squared`.
    chosen : numpy.ndarray of int
        Their rows.
    affinities, distances, within : numpy.ndarray of shape (at least number,)
        They are filled, the last of them with the rows of those within.

    Returns
    -------
    int
        How many are within.
    """
    here = place[0]
    for j in range(number):
        step = here - places[0, j]
        distances[j] = step * step
    for axis in range(1, len(place)):
        here = place[axis]
        for j in range(number):
            step = here - places[axis, j]
            distances[j] += step * step
    count = 0
    for j in range(number):
        distance = distances[j]
        if distance <= threshold_squared:
            affinity = norms[j]
            for axis in range(len(place)):
                step = place[axis] - places[axis, j]
                affinity -= step * step * precisions[axis, j]
            affinities[count], distances[count] = affinity, distance
            within[count] = chosen[j]
            count += 1
    return count
