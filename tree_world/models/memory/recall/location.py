"""The read turned around: the place where something was sensed, near a guess of it."""

from __future__ import annotations

import torch

from tree_world.models.memory.kernel.affinity import log_affinity


def read_location(
    locations: torch.Tensor,
    location_sds: torch.Tensor,
    senses: torch.Tensor,
    sense: torch.Tensor,
    guess: torch.Tensor,
    guess_sd: torch.Tensor,
    sense_sd: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Correct a guess of a place by what is sensed there.

    .. math::

        \hat\ell = \sum_t w_t \ell_t, \qquad w_t \propto k(\ell_0, \ell_t)\,
        e^{-\lVert z - z_t \rVert^2 / 2\sigma_z^2}

    Parameters
    ----------
    locations, location_sds : torch.Tensor of shape (n, dim)
        Of the observations, in metres.
    senses : torch.Tensor of shape (n, sensory_dim)
    sense : torch.Tensor of shape (sensory_dim,)
    guess, guess_sd : torch.Tensor of shape (dim,)
        In metres.
    sense_sd : float
        :math:`\sigma_z`: how much senses differ at one place.

    Returns
    -------
    location, location_sd : torch.Tensor of shape (dim,)
        Weighted mean and standard deviation of the places, in metres. The guess itself where no
        observation has any weight.
    """
    affinity = log_affinity(
        guess[None].double(), guess_sd[None].double(), locations.double(), location_sds.double()
    )[0]
    if len(senses) == 0:
        return guess.clone(), guess_sd.clone()
    apart = torch.linalg.vector_norm(senses.double() - sense.double(), dim=-1)
    exponents = 0.5 * (apart / sense_sd).square()
    # Relative to the least, as a sense that is far from all leaves the guess its digits.
    log_weights = affinity - (exponents - exponents.min())
    if not bool(torch.isfinite(log_weights.max())):
        return guess.clone(), guess_sd.clone()
    weights = log_weights.softmax(dim=0)[:, None]
    mean = (weights * locations.double()).sum(dim=0)
    around = (locations.double() - mean).square() + location_sds.double().square()
    variance = (weights * around).sum(dim=0)
    return mean.to(guess.dtype), variance.sqrt().to(guess.dtype)
