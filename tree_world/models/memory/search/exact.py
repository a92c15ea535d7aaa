r"""Drawing from a mixture of Gaussians: the weights of all observations, and draws by them.

Each observation carries a weight that grows with the match of its sense to a search key and, where
a place is given, with its affinity to that place:

.. math:: w_t = \operatorname{softmax}_t \left( \frac{y \cdot z_t}{T}
    + \frac{\log k(\ell, \ell_t)}{T_\ell} \right)

A sample is Gaussian around the place of an observation that is drawn by these weights. Two ways to
draw it give the same distribution: `exact_log_weights` looks at every observation;
`tree_world.models.memory.search.cells.CellSearch` looks at cells of the index, and only into those
that are drawn.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tree_world.models.memory.kernel.affinity import beyond, log_affinity, without_autocast
from tree_world.models.memory.search.query import Query, nothing_matches
from tree_world.models.memory.store.slots import Store

_AT_A_TIME = 8192  # senses that are compared with a key


@without_autocast
def exact_log_weights(store: Store, query: Query) -> np.ndarray:
    """Logarithm of the weight of every slot in use, unnormalised, in double precision.

    Parameters
    ----------
    store : Store
    query : Query

    Returns
    -------
    numpy.ndarray of shape (slots,)
        −∞ where a slot is free, or too far away.
    """
    everything = store.observations()
    key = torch.from_numpy(query.search_key).to(everything.senses.device, everything.precision)
    weights = checked(scores_of(everything.senses.detach(), key).double() / query.temperature)
    if query.location is not None and query.location_sd is not None:
        places, sds = (
            torch.from_numpy(array)[None].to(weights)
            for array in (query.location, query.location_sd)
        )
        affinity = log_affinity(
            places,
            sds,
            everything.locations.detach().double(),
            everything.location_sds.detach().double(),
        )[0]
        weights = weights + affinity / query.location_temperature
        if query.match_threshold is not None:
            hidden = beyond(places, everything.locations, query.match_threshold)[0]
            weights = weights.masked_fill(hidden, -torch.inf)
    present = torch.from_numpy(store.written_at[: store.used] >= 0).to(weights.device)
    return weights.masked_fill(~present, -torch.inf).cpu().numpy()


def all_finite(numbers: torch.Tensor) -> bool:
    """Say whether all numbers are finite, in one look at them.

    Parameters
    ----------
    numbers : torch.Tensor

    Returns
    -------
    bool
    """
    if numbers.numel() == 0:
        return True
    return all(math.isfinite(bound) for bound in numbers.aminmax())


def checked(scores: torch.Tensor) -> torch.Tensor:
    """Scores over their temperature, if they are numbers.

    Parameters
    ----------
    scores : torch.Tensor

    Returns
    -------
    torch.Tensor
        The same.

    Raises
    ------
    ValueError
        If one of them is not finite.
    """
    if not all_finite(scores):
        raise ValueError(
            "the products of search_key and senses, divided by temperature, leave the range of "
            f"{str(scores.dtype).removeprefix('torch.')}: divide search_key and temperature by the "
            "same number, or choose a higher temperature."
        )
    return scores


@without_autocast
def scores_of(senses: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Products of senses and a key, in the precision of the key.

    Parameters
    ----------
    senses : torch.Tensor of shape (n, embed_dim)
    key : torch.Tensor of shape (embed_dim,)

    Returns
    -------
    torch.Tensor of shape (n,)
    """
    if senses.dtype == key.dtype:
        return senses @ key
    parts = senses.split(_AT_A_TIME)
    return torch.cat([part.to(key.dtype) @ key for part in parts]) if parts else key.new_empty(0)


def draw(
    log_weights: np.ndarray, number: int, replacement: bool, generator: np.random.Generator
) -> np.ndarray:
    """Draw positions with probabilities in proportion to the weights.

    Double precision throughout and no table of categories, hence no limit to their number.

    Parameters
    ----------
    log_weights : numpy.ndarray of shape (n,)
    number : int
    replacement : bool
        Without, each draw is from what is left, which taking the greatest of perturbed logarithms
        does at once (Gumbel's trick).
    generator : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of int, of shape (number,)

    Raises
    ------
    ValueError
        If there is nothing to draw from, or too little without replacement.

    References
    ----------
    W. Kool, H. van Hoof, M. Welling, "Stochastic beams and where to find them", 2019.
    """
    possible = int(np.isfinite(log_weights).sum())
    if possible == 0 or (not replacement and possible < number):
        raise ValueError(nothing_matches(number, possible))
    if not replacement:
        perturbed = log_weights + generator.gumbel(size=len(log_weights))
        chosen = np.argpartition(-perturbed, number - 1)[:number]
        return chosen[np.argsort(-perturbed[chosen])]
    sums = np.cumsum(np.exp(log_weights - log_weights.max()))
    at = np.searchsorted(sums, generator.random(number) * sums[-1], side="right")
    return np.asarray(np.minimum(at, np.searchsorted(sums, sums[-1])))
