"""The read as the source describes it, written plainly: what ours is compared with."""

from __future__ import annotations

import math

import torch


def read_densely(
    places: torch.Tensor,
    sds: torch.Tensor,
    locations: torch.Tensor,
    location_sds: torch.Tensor,
    senses: torch.Tensor,
    match_threshold: float | None = None,
) -> torch.Tensor:
    """Form every difference of every pair, then all weights, then all means.

    Its logarithms lack the ½, as in the source. Where all deviations are equal that changes
    nothing.
    """
    differences = places[:, None] - locations[None]
    variances = sds[:, None] ** 2 + location_sds[None] ** 2
    log_k = (
        -0.5 * (differences**2 / variances).sum(dim=-1)
        - torch.log(variances).sum(dim=-1)
        - 0.5 * math.log(2 * math.pi) * variances.shape[-1]
    )
    if match_threshold is not None:
        far = differences.norm(dim=-1) > match_threshold
        log_k = log_k.masked_fill(far, -torch.inf)
    weights = torch.nan_to_num(torch.softmax(log_k, dim=-1))
    return weights @ senses
