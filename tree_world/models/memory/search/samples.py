"""Places that were drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Samples"]


@dataclass(frozen=True)
class Samples:
    """Places that were drawn, and where they came from.

    Attributes
    ----------
    places : torch.Tensor of shape (..., num_samples, dim)
        In metres.
    ids : torch.Tensor of int64, of shape (..., num_samples)
        Of the observations around whose places they were drawn.
    log_probabilities : torch.Tensor of shape (..., num_samples)
        Natural logarithms of the weights of those observations.
    """

    places: torch.Tensor
    ids: torch.Tensor
    log_probabilities: torch.Tensor


def scattered(
    locations: torch.Tensor, location_sds: torch.Tensor, sigma_scale: float, noise: torch.Tensor
) -> torch.Tensor:
    """Places beside those that were drawn.

    Parameters
    ----------
    locations, location_sds : torch.Tensor of shape (n, dim)
        In metres.
    sigma_scale : float
        How many of their deviations to go for a noise of one.
    noise : torch.Tensor of shape (n, dim)

    Returns
    -------
    torch.Tensor of shape (n, dim)
        In metres, and in the precision of the locations.

    Raises
    ------
    ValueError
        If one of them lies beyond all numbers.
    """
    places = locations + sigma_scale * location_sds * noise.to(location_sds)
    if not bool(torch.isfinite(places).all()):
        raise ValueError(
            f"sigma_scale is so large ({sigma_scale}) that places leave the range of "
            f"{str(places.dtype).removeprefix('torch.')}: choose one near 1."
        )
    return places
