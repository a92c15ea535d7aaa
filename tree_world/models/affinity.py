"""How much two uncertain places have to do with each other: the kernel of the spatial memory."""

from __future__ import annotations

import math

import torch


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
        Distance in metres beyond which the affinity is set to zero; none by default.

    Returns
    -------
    torch.Tensor of shape (..., n_queries, n_observations)
        In natural logarithms; −∞ where there is no affinity.

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
    dim = locations.shape[-1]
    total = locations.new_full((), -0.5 * dim * math.log(2 * math.pi))
    distances_squared = locations.new_zeros(())
    for axis in range(dim):
        # Of shape (..., 1, n_observations) where one row of deviations serves all queries.
        variances = query_sds[..., axis].square().unsqueeze(-1) + location_sds[
            ..., axis
        ].square().unsqueeze(-2)
        differences = query_locations[..., axis].unsqueeze(-1) - locations[..., axis].unsqueeze(-2)
        squares = differences.square()
        total = torch.addcdiv(total - 0.5 * variances.log(), squares, variances, value=-0.5)
        if match_threshold is not None:
            distances_squared = distances_squared + squares
    if match_threshold is not None:
        total = total.masked_fill(distances_squared > match_threshold**2, -torch.inf)
    return total


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
