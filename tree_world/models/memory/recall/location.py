"""The read turned around: the place where something was sensed, near a guess of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from tree_world.models.memory.kernel.affinity import log_affinity
from tree_world.models.memory.kernel.bounds import greatest_level
from tree_world.models.memory.recall.pairs import Nearby
from tree_world.models.memory.recall.plan import SHARE_TO_SENSE
from tree_world.models.memory.types import Observations

_TAIL = 1e-12  # most that may be left out of a deviation, relative to it
_FIRST_LOOK = 3.0  # deviations, within which there is most as a rule
_AT_A_TIME = 8192  # senses that are compared in double precision at a time


class Sensed(NamedTuple):
    r"""What was sensed at a place, and what is known of the place.

    Attributes
    ----------
    sense : torch.Tensor of shape (sensory_dim,)
    guess, guess_sd : torch.Tensor of shape (dim,)
        In metres.
    sense_sd : float
        :math:`\sigma_z`: how much senses differ at one place.
    """

    sense: torch.Tensor
    guess: torch.Tensor
    guess_sd: torch.Tensor
    sense_sd: float


class _Weighed(NamedTuple):
    """Some observations in double precision, and the two parts of their log weights."""

    locations: torch.Tensor
    location_sds: torch.Tensor
    affinities: torch.Tensor
    exponents: torch.Tensor


Taken = Callable[[np.ndarray], Observations]
"""How to get at observations, with senses as they were sensed: rows -> observations."""


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
    everything = Observations(locations, location_sds, senses)
    rows, device = np.arange(len(locations)), locations.device
    sensed = Sensed(sense, guess, guess_sd, sense_sd)
    return location_of(
        lambda some: everything.take(torch.from_numpy(some).to(device)), rows, sensed
    )


def location_of(
    taken: Taken, rows: np.ndarray, sensed: Sensed
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `read_location`, of observations that are taken some at a time.

    Parameters
    ----------
    taken : callable
        Rows -> observations.
    rows : numpy.ndarray of int
        Of all observations.
    sensed : Sensed

    Returns
    -------
    location, location_sd : torch.Tensor of shape (dim,)
    """
    return _corrected(_weighed(taken, rows, sensed), sensed)


def location_near(
    taken: Taken, number: int, nearby: Nearby, sensed: Sensed
) -> tuple[torch.Tensor, torch.Tensor] | None:
    r"""As `location_of`, but for what is so far from the guess that it cannot matter.

    Let W be the greatest log weight within a radius r of the guess. Beyond, none is greater than
    the greatest log-affinity b(r) at that distance, as a sense only takes from it. An observation
    at a distance r' ≥ r is within 2 r' of the mean, so that relative to the variance of the result,
    which is at least the least of an observation, it adds at most
    :math:`e^{b(r') - W} (4 r'^2 + s^2) / s_0^2`, with s and s₀ the greatest and the least
    deviation; that falls with r'. The radius grows until all beyond add at most 1e-12 together.

    Parameters
    ----------
    taken : callable
        Rows -> observations.
    number : int
        How many observations there are.
    nearby : Nearby
        How to find their rows by their places.
    sensed : Sensed

    Returns
    -------
    location, location_sd : torch.Tensor of shape (dim,), or None
        None where so much may matter that it is quicker to look at all.
    """
    guess, guess_sds = (
        tensor.detach().cpu().double().numpy() for tensor in (sensed.guess, sensed.guess_sd)
    )
    reach = math.hypot(guess_sds.max(), nearby.greatest_sd)
    level = greatest_level(guess_sds, nearby.least_sd)
    if not (0.0 < reach < math.inf and math.isfinite(level) and nearby.least_sd > 0.0):
        return None

    def needed(greatest: float, radius: float) -> float:
        factor = math.hypot(2.0 * radius, nearby.greatest_sd) / nearby.least_sd
        below = level - greatest + math.log(number / _TAIL) + 2.0 * math.log(factor)
        return reach * math.sqrt(2.0 * max(below, 1.0))

    radius = _FIRST_LOOK * reach
    while True:
        rows = nearby.rows(guess, guess, radius)
        if len(rows) > SHARE_TO_SENSE * number or not math.isfinite(radius):
            return None
        if len(rows) == 0:
            radius *= 2.0
            continue
        weighed = _weighed(taken, rows, sensed)
        greatest = float((weighed.affinities - weighed.exponents).max())
        if not math.isfinite(greatest):
            return None
        beyond = needed(greatest, radius)
        if radius >= beyond:
            return _corrected(weighed, sensed)
        radius = 1.05 * needed(greatest, beyond)


def _weighed(taken: Taken, rows: np.ndarray, sensed: Sensed) -> _Weighed:
    sense, parts = sensed.sense.double(), []
    for start in range(0, max(1, len(rows)), _AT_A_TIME):
        own = taken(rows[start : start + _AT_A_TIME])
        apart = torch.linalg.vector_norm(own.senses.double() - sense, dim=-1)
        exponents = 0.5 * (apart / sensed.sense_sd).square()
        parts.append((own.locations.double(), own.location_sds.double(), exponents))
    locations, sds, exponents = (torch.cat(part) for part in zip(*parts, strict=True))
    guess, guess_sd = sensed.guess[None].double(), sensed.guess_sd[None].double()
    affinities = log_affinity(guess, guess_sd, locations, sds)[0]
    return _Weighed(locations, sds, affinities, exponents)


def _corrected(weighed: _Weighed, sensed: Sensed) -> tuple[torch.Tensor, torch.Tensor]:
    guess, guess_sd = sensed.guess, sensed.guess_sd
    if len(weighed.exponents) == 0:
        return guess.clone(), guess_sd.clone()
    # Relative to the least, as a sense that is far from all leaves the guess its digits.
    log_weights = weighed.affinities - (weighed.exponents - weighed.exponents.min())
    if not bool(torch.isfinite(log_weights.max())):
        return guess.clone(), guess_sd.clone()
    weights = log_weights.softmax(dim=0)[:, None]
    mean = (weights * weighed.locations).sum(dim=0)
    around = (weighed.locations - mean).square() + weighed.location_sds.square()
    variance = (weights * around).sum(dim=0)
    return mean.to(guess.dtype), variance.sqrt().to(guess.dtype)
