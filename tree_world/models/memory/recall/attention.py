"""Reads by scaled dot-product attention over the exact features of the kernel."""

from __future__ import annotations

from dataclasses import replace

import torch

from tree_world.models.memory.kernel.affinity import beyond, dot_product_features
from tree_world.models.memory.kernel.bounds import exponent_of_rounding, greatest_exponent
from tree_world.models.memory.recall.blocks import read_dense
from tree_world.models.memory.recall.partial import finite
from tree_world.models.memory.recall.plan import (
    FEATURES,
    QUERIES,
    ROUNDING_OF_ATTENTION,
    RUN,
    SINGLE,
)
from tree_world.models.memory.recall.screening import Groups
from tree_world.models.memory.types import Observations, Read, ReadOptions, concatenated


def read_by_attention(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, options: ReadOptions
) -> Read:
    """Read by attention, whose scores are the log-affinities.

    Parameters
    ----------
    places, sds, observations, options
        As for `tree_world.models.memory.recall.reading.read`.

    Returns
    -------
    Read

    Raises
    ------
    ValueError
        If deviations of queries differ, or support is asked for.
    """
    if len(sds) > 1:
        raise ValueError(
            "attention reads need one deviation that all queries share, but they differ. Choose "
            "method='auto', or read each group of equal deviations by itself."
        )
    if options.support:
        raise ValueError("attention reads give the mean alone: choose another method for support.")
    # Around their middle: then little is lost where many that are alike are added up.
    senses = observations.senses.to(observations.precision)
    middle = senses.detach().mean(dim=0)
    around = Observations(observations.locations, observations.location_sds, senses - middle)
    if len(places) > QUERIES and _precision_of_features(places, sds, observations, options) is None:
        # Clusters far apart: around the middle of all, features would lose the digits that count.
        groups = Groups.of_neighbours(places.detach().cpu().numpy(), QUERIES)
        order = torch.from_numpy(groups.rows).to(places.device)
        parts = [
            _attend(own, sds, around, middle, options)
            for own in places[order].split(groups.sizes.tolist())
        ]
        return concatenated(parts, order)
    return _attend(places, sds, around, middle, options)


def _log_sums(
    queries: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor | None, dtype: torch.dtype
) -> torch.Tensor:
    """Logarithms of the sums of which attention tells the shares alone."""
    sums = []
    for start in range(0, len(queries), RUN):
        rows = slice(start, start + RUN)
        scores = queries[rows] @ keys.mT
        if mask is not None:
            scores = scores.masked_fill(~mask[rows], -torch.inf)
        # The greatest fixes the scale; what is relative to it single precision holds.
        greatest = finite(scores.detach().amax(dim=-1, keepdim=True))
        weights = (scores - greatest).to(dtype).exp()
        sums.append(weights.sum(dim=-1).double().log() + greatest.squeeze(-1))
    return torch.cat(sums)


def _precision_of_features(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    may_be_double: bool = False,
) -> torch.dtype | None:
    """In which precision features hold what they must; None if in none that may be."""
    arrays = (places, sds, observations.locations, observations.location_sds)
    rounding = exponent_of_rounding(*arrays)
    # With a threshold the best pair may be one of those that do not count.
    whole = options.match_threshold is None or greatest_exponent(*arrays) < SINGLE
    if whole and rounding < ROUNDING_OF_ATTENTION:
        return observations.precision
    may_be_double = may_be_double or observations.precision == torch.float64
    return torch.float64 if may_be_double and rounding < FEATURES else None


def _attend(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    middle: torch.Tensor,
    options: ReadOptions,
) -> Read:
    """Read one group of queries, in the precision that its features need.

    The senses are those around their middle.
    """
    dtype = _precision_of_features(places, sds, observations, options, may_be_double=True)
    if dtype is None:
        found = read_dense(places, sds, observations, options)
        mean = torch.where(found.known.unsqueeze(-1), found.mean + middle, 0.0)
        return replace(found, mean=mean)
    unit, centre = sds.detach()[0].double(), places.detach().double().mean(dim=0)
    others, other_sds = observations.locations.double(), observations.location_sds.double()
    scaled, scaled_others = (places.double() - centre) / unit, (others - centre) / unit
    queries, keys = dot_product_features(
        scaled, sds[0].double() / unit, scaled_others, other_sds / unit
    )
    # A softmax is the same whatever is added to a row: finite features need finite constants.
    keys = torch.nan_to_num(keys, neginf=-1e30)
    mask = None
    known = torch.ones(len(places), dtype=torch.bool, device=places.device)
    if options.match_threshold is not None:
        present = torch.isfinite(observations.location_sds).all(dim=-1)
        mask = ~beyond(places, observations.locations, options.match_threshold) & present
        known = mask.any(dim=-1)
        mask = mask | ~known.unsqueeze(-1)  # a row without any would be NaN
    around = torch.nn.functional.scaled_dot_product_attention(
        queries.to(dtype)[None],
        keys.to(dtype)[None],
        observations.senses.to(dtype)[None],
        scale=1.0,
        attn_mask=None if mask is None else mask[None],
    )
    log_weight = _log_sums(queries, keys, mask, dtype) - unit.log().sum()
    log_weight = torch.where(known, log_weight, -torch.inf)
    mean = around[0] + middle
    mean = torch.where(known.unsqueeze(-1), mean, torch.zeros_like(mean))
    mean = mean.to(observations.precision)
    missing = mean.detach().new_full((len(mean),), torch.nan)
    return Read(mean, known, missing, missing, missing, log_weight)
