"""Reads of a spatial memory: one formula, several ways to compute it.

For a place ℓ with deviation σ a read is the mean of what was sensed elsewhere, weighted by the
kernel of `tree_world.models.affinity`: the estimator of Nadaraya and Watson for uncertain places.

=============  =====================================================================================
method         how
=============  =====================================================================================
``dense``      all weights at once; simple, and the one to compare with
``chunked``    queries and observations in blocks, with a running softmax, under a memory limit
``sparse``     queries in groups of neighbours; only the observations that matter to them are read
``attention``  scaled dot-product attention over the exact features of the kernel
``auto``       dense if that is little work, chunked where nearly all matters to all, else sparse
=============  =====================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tree_world.models.affinity import dot_product_features, log_affinity
from tree_world.models.pairs import Nearby, TooManyPairs, can_read_pairs, read_pairs
from tree_world.models.read_types import Observations, Read, ReadOptions, joined, nothing
from tree_world.models.screening import (
    QUERIES,
    Boxes,
    Groups,
    boxes_that_matter,
    exponent_of_rounding,
    greatest_exponent,
    grouped,
)

_FEW_PAIRS = 2**18  # up to here a dense read is quickest
_NOT_WORTH_LEAVING_OUT = 512  # observations
_MANY = 0.7  # share of all pairs that can matter, from which on leaving out the rest does not pay
_FEW_QUERIES = 8  # that take less time in double precision than to bound what single loses
RUN = 512
"""Neighbouring queries that share each block of a read that looks at everything."""
_BLOCK = 2048  # observations in a block

# Up to which exponent reads come out to about 1e-6 in single precision, and to about 1e-9 in double
# precision by way of the features, which are as large as the exponents.
_SINGLE = 8.0
_FEATURES = 1e6
# Without a threshold or slopes, which set no store by small weights, single precision does up to
# this bound of `exponent_of_rounding`: at most 4e-5 of a weight in theory, below 1e-7 as a rule.
_ROUNDING = 32.0

_ALIKE = 20.0  # log-affinities that differ by less are taken relative to a bound of all
_NEGLIGIBLE = 80.0  # a weight that is smaller than the greatest by e to this power is zero


def read(
    query_locations: torch.Tensor,
    query_sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions | None = None,
    nearby: Nearby | None = None,
) -> Read:
    r"""Read what would be sensed at some places.

    .. math::

        \hat z(\ell) = \sum_t w_t z_t, \qquad
        w_t = \frac{k(\ell, \ell_t)}{\sum_s k(\ell, \ell_s)}

    with the kernel of `tree_world.models.affinity.log_affinity`. Affinities are computed in double
    precision unless single precision is known to do; senses are averaged in their own.

    Parameters
    ----------
    query_locations : torch.Tensor of shape (n_queries, dim)
        In metres.
    query_sds : torch.Tensor of shape (n_queries, dim) or (1, dim)
        In metres, positive.
    observations : Observations
    options : ReadOptions, optional
    nearby : Nearby, optional
        Finds observations near a box, so that a sparse read need not look at all.

    Returns
    -------
    Read
        Everything but `mean` and `known` is NaN unless support is asked for.

    References
    ----------
    E. A. Nadaraya, "On estimating regression", 1964; G. S. Watson, "Smooth regression analysis",
    1964; M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018.
    """
    options = options or ReadOptions()
    sds = query_sds
    if len(sds) > 1 and bool((sds == sds[:1]).all()):
        sds = sds[:1]  # one row for all: a third of the work
    if len(observations) == 0 or len(query_locations) == 0:
        return nothing(query_locations, observations)
    needs_gradient = torch.is_grad_enabled() and any(
        tensor.requires_grad
        for tensor in (
            query_locations, query_sds, observations.locations, observations.location_sds,
            observations.senses,
        )
    )  # fmt: skip
    method = options.method
    if method == "auto":
        method = _best_method(query_locations, sds, observations, options, nearby, needs_gradient)
    if method == "attention":
        return _attention(query_locations, sds, observations, options)
    if method == "dense":
        return _read_group(query_locations, sds, observations, options, [slice(None)], _EXACT)
    if method == "sparse":
        arguments = (query_locations, sds, observations, options, nearby)
        pairs = len(query_locations) * len(observations)
        most = _MANY * pairs if options.method == "auto" else math.inf
        try:
            found = None
            if can_read_pairs(observations, options) and not needs_gradient:
                found = read_pairs(*arguments, most)
            return _read_groups(*arguments, most) if found is None else found
        except TooManyPairs:
            pass  # nearly everything matters, and then it is quicker to leave nothing out
    return _read_runs(query_locations, sds, observations, options)


def _best_method(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby | None,
    needs_gradient: bool,
) -> str:
    if nearby is not None and (
        options.match_threshold is not None or can_read_pairs(observations, options)
    ):
        return "dense" if needs_gradient else "sparse"
    if needs_gradient or len(places) * len(observations) <= _FEW_PAIRS:
        return "dense"
    if len(observations) <= _NOT_WORTH_LEAVING_OUT:
        return "chunked"
    arrays = (places, sds, observations.locations, observations.location_sds)
    all_matters = greatest_exponent(*arrays) < math.log(1 / options.tail)
    return "chunked" if all_matters and options.match_threshold is None else "sparse"


def _read_runs(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, options: ReadOptions
) -> Read:
    """Read all observations, in blocks, for one run of queries after the other."""
    size = _block_size(min(RUN, len(places)), None, options.memory_limit)
    blocks = [
        slice(start, min(start + size, len(observations)))
        for start in range(0, len(observations), size)
    ]
    groups = Groups.of_neighbours(places.detach().cpu().numpy(), RUN)
    order = torch.from_numpy(groups.rows).to(places.device)
    places, sds = places[order], sds if len(sds) == 1 else sds[order]
    parts = []
    for start, end in zip(groups.edges[:-1], groups.edges[1:], strict=True):
        own_places, own_sds = places[start:end], sds if len(sds) == 1 else sds[start:end]
        arrays = (observations.locations, observations.location_sds)
        precision = _Precision.that_will_do(own_places, own_sds, *arrays, options)
        parts.append(_read_group(own_places, own_sds, observations, options, blocks, precision))
    return joined(parts, order)


def _read_groups(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby | None,
    most: float,
) -> Read:
    """Read for each group of neighbours what can matter to it.

    By matrices, so that it serves every order of read, all devices, and gradients.
    """
    positions = places.detach().cpu().numpy().astype(np.float64)
    variances = np.square(sds.detach().cpu().numpy().astype(np.float64))
    groups = Groups.of_neighbours(positions, QUERIES)
    boxes = Boxes.around(positions, variances, groups)
    chosen = _rows_that_matter(boxes, observations, options, nearby)
    if sum(len(group) * len(rows) for group, rows in zip(groups, chosen, strict=True)) > most:
        raise TooManyPairs
    order = torch.from_numpy(groups.rows).to(places.device)
    places, sds = places[order], sds if len(sds) == 1 else sds[order]
    parts = []
    for start, end, rows in zip(groups.edges[:-1], groups.edges[1:], chosen, strict=True):
        own_places, own_sds = places[start:end], sds if len(sds) == 1 else sds[start:end]
        size = _block_size(len(own_places), observations.senses, options.memory_limit)
        where = torch.from_numpy(rows).to(places.device)
        blocks = list(where.split(size)) if len(rows) else []
        arrays = (observations.locations[where], observations.location_sds[where])
        precision = _Precision.that_will_do(own_places, own_sds, *arrays, options)
        parts.append(_read_group(own_places, own_sds, observations, options, blocks, precision))
    return joined(parts, order)


def _rows_that_matter(
    boxes: Boxes, observations: Observations, options: ReadOptions, nearby: Nearby | None
) -> list[np.ndarray]:
    if nearby is not None and options.match_threshold is not None:
        corners = zip(boxes.low, boxes.high, strict=True)
        return [nearby.rows(low, high, options.match_threshold) for low, high in corners]
    rows, parts, others = grouped(observations)
    kept = boxes_that_matter(
        boxes, others, parts.sizes, options.match_threshold, options.tail, options.support
    )
    return [rows[np.repeat(row, parts.sizes)] for row in kept]


def _block_size(num_queries: int, gathered: torch.Tensor | None, memory_limit: int) -> int:
    """How many observations fit the memory limit, with six arrays of affinities at a time."""
    row = 6 * num_queries * torch.float64.itemsize
    if gathered is not None:
        row += gathered.shape[-1] * max(gathered.element_size(), torch.float32.itemsize)
    fits_the_cache = max(_BLOCK, _BLOCK * QUERIES // num_queries)
    return max(16, min(fits_the_cache, memory_limit // row))


# --- the read of a group -------------------------------------------------------------------------


def _read_group(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    blocks: list[slice] | list[torch.Tensor],
    precision: _Precision,
) -> Read:
    """Read a group of queries from blocks of observations, with a running softmax."""
    if not blocks:
        return nothing(places, observations)
    kernel = _Kernel(places, sds, options.match_threshold, precision)
    sums = _Sums(kernel, observations, options)
    first = observations.take(blocks[0])  # the only one, often

    def portions() -> Iterator[Observations]:
        yield first
        yield from (observations.take(block) for block in blocks[1:])

    for part in portions():
        sums.add(kernel.log_affinity(part), part)
    if options.order == "linear":
        sums.solve_slopes()
        for part in portions():
            sums.add_linear(kernel.log_affinity(part), part)
    return sums.finish()


@dataclass(frozen=True)
class _Precision:
    """How log-affinities of a group of queries are computed."""

    single: bool
    by_features: bool  # by one product of matrices, where it does not round off too much
    level: float | None = None  # a log-affinity that all are below, by a little, if there is one

    @classmethod
    def that_will_do(
        cls,
        places: torch.Tensor,
        sds: torch.Tensor,
        locations: torch.Tensor,
        location_sds: torch.Tensor,
        options: ReadOptions,
    ) -> _Precision:
        """Choose the cheapest that is precise enough for these queries and observations."""
        if len(places) <= _FEW_QUERIES:
            return cls(single=False, by_features=False)  # to find out would take longer
        arrays = (places, sds, locations, location_sds)
        exponent = greatest_exponent(*arrays)
        single = exponent < _SINGLE
        if not single and options.match_threshold is None and options.order == "constant":
            single = exponent_of_rounding(*arrays) < _ROUNDING
        single = single and places.dtype != torch.float64
        level, spread = _level(sds, location_sds)
        alike = exponent + spread < _ALIKE
        return cls(single, len(sds) == 1 and exponent < _FEATURES, level if alike else None)


def _level(sds: torch.Tensor, location_sds: torch.Tensor) -> tuple[float, float]:
    """Bound log-affinities from above, and how far below deviations alone may put them."""
    own, others = sds.detach().double(), location_sds.detach()
    if len(others) == 0:
        return 0.0, 0.0
    least = own.amin(dim=0).square() + others.amin(dim=0).double().square()
    present = torch.nan_to_num(others, posinf=0.0)  # what is absent has an infinite deviation
    most = own.amax(dim=0).square() + present.amax(dim=0).double().square()
    level = -0.5 * (2 * math.pi * least).log().sum()
    return float(level), float(0.5 * (most / least).log().sum())


_EXACT = _Precision(single=False, by_features=False)


class _Kernel:
    """Log-affinities of a group."""

    def __init__(
        self,
        places: torch.Tensor,
        sds: torch.Tensor,
        match_threshold: float | None,
        precision: _Precision,
    ) -> None:
        self.dtype = torch.float32 if precision.single else torch.float64
        self.match_threshold = match_threshold
        self.by_features = precision.by_features
        self.level = precision.level
        # Far from the origin the features would be large; around the group they are small.
        self.centre = places.detach().mean(dim=0).to(torch.float64)
        self.queries = (places.to(torch.float64) - self.centre).to(self.dtype)
        self.sds = sds.to(self.dtype)

    def places_of(self, part: Observations) -> torch.Tensor:
        return (part.locations.to(torch.float64) - self.centre).to(self.dtype)

    def log_affinity(self, part: Observations) -> torch.Tensor:
        """Log-affinities, relative to the level if there is one."""
        places, sds = self.places_of(part), part.location_sds.to(self.dtype)
        level = 0.0 if self.level is None else self.level
        if not self.by_features:
            found = log_affinity(self.queries, self.sds, places, sds, self.match_threshold)
            return found - level if level else found
        queries, keys = dot_product_features(self.queries, self.sds[0], places, sds)
        if level:
            keys[:, -1] -= level  # on few numbers instead of on all pairs
        affinity = queries @ keys.mT
        if self.match_threshold is not None:
            hidden = self.distances_squared(places) > self.match_threshold**2
            affinity = affinity.masked_fill_(hidden, -torch.inf)
        return affinity

    def distances_squared(self, places: torch.Tensor) -> torch.Tensor:
        norms = places.detach().square().sum(dim=-1)
        own = self.queries.detach().square().sum(dim=-1, keepdim=True)
        return torch.addmm(own + norms, self.queries.detach(), places.detach().mT, alpha=-2)


class _Sums:
    """Weighted sums over observations that come in portions.

    Weights are relative to the greatest affinity so far; when a greater one comes, all sums are
    scaled down to it.
    """

    def __init__(self, kernel: _Kernel, observations: Observations, options: ReadOptions) -> None:
        queries = kernel.queries
        self.kernel = kernel
        self.options = options
        self.dtype = observations.precision
        self.greatest = queries.new_full((len(queries), 1), -torch.inf)
        self.weight = torch.zeros((len(queries), 1), dtype=self.dtype, device=queries.device)
        self.weight_squared = torch.zeros_like(self.weight)
        self.norm_squared = torch.zeros_like(self.weight)
        self.total: torch.Tensor | None = None
        self.nearest = queries.new_full((len(queries),), torch.inf)
        self.moments: torch.Tensor | None = None
        self.constant: torch.Tensor | None = None

    def add(self, affinity: torch.Tensor, part: Observations) -> None:
        if self.options.support:
            self._look_for_nearer(affinity, part)
        weights, scale = self._weights(affinity)
        self.weight = self.weight * scale + weights.sum(dim=-1, keepdim=True)
        if self.options.order == "linear":
            if self.options.support:
                # The spread is that around the weighted mean, whatever is read.
                constant = weights.detach() @ part.senses.detach()
                self.constant = constant + (0.0 if self.constant is None else self.constant * scale)
            moments = weights.double() @ self._moments_of(part)
            self.moments = moments if self.moments is None else self.moments * scale + moments
        elif self.total is None:
            self.total = weights @ part.senses
        else:
            self.total = torch.addmm(self.total * scale, weights, part.senses)
        if self.options.support:
            squares = weights.square().sum(dim=-1, keepdim=True)
            self.weight_squared = self.weight_squared * scale.square() + squares
            norms = part.senses.detach().square().sum(dim=-1, keepdim=True)
            self.norm_squared = self.norm_squared * scale + weights.detach() @ norms

    def _weights(self, affinity: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.kernel.level is not None:  # one scale does for all
            weights = affinity.exp() if affinity.requires_grad else affinity.exp_()
            return weights.to(self.dtype), torch.ones_like(self.weight)
        # The greatest affinity only fixes the scale, which cancels: no gradient through it.
        greatest = torch.maximum(self.greatest, affinity.detach().amax(dim=-1, keepdim=True))
        shift = torch.where(torch.isinf(greatest), torch.zeros_like(greatest), greatest)
        scale = torch.exp(self.greatest - shift).to(self.dtype)
        self.greatest = greatest
        if affinity.requires_grad:
            return torch.exp((affinity - shift).to(self.dtype)), scale
        # Results near the least number that can be written take a processor ten times as long.
        weights = affinity.sub_(shift).to(self.dtype).clamp_min_(-_NEGLIGIBLE).exp_()
        return torch.threshold_(weights, 2 * math.exp(-_NEGLIGIBLE), 0.0), scale

    def _look_for_nearer(self, affinity: torch.Tensor, part: Observations) -> None:
        places = self.kernel.places_of(part).detach()
        distances = torch.cdist(
            self.kernel.queries.detach(), places, compute_mode="donot_use_mm_for_euclid_dist"
        )
        hidden = torch.isinf(part.location_sds).any(dim=-1).expand_as(distances)
        if self.options.match_threshold is not None:
            hidden = hidden | torch.isinf(affinity)
        nearest = distances.masked_fill(hidden, torch.inf).amin(dim=-1)
        self.nearest = torch.minimum(self.nearest, nearest)

    # The locally linear read: a plane through the neighbourhood, by weighted least squares.

    def _moments_of(self, part: Observations) -> torch.Tensor:
        places = self.kernel.places_of(part).double()
        squares = (places.unsqueeze(-1) * places.unsqueeze(-2)).flatten(start_dim=-2)
        variances = part.location_sds.double().square()
        present = torch.where(torch.isinf(variances), torch.zeros_like(variances), variances)
        # The sum of the weights, too, in double precision: slopes can be steep.
        return torch.cat([torch.ones_like(places[:, :1]), places, present, squares], dim=-1)

    def solve_slopes(self) -> None:
        """Find what turns the weights of a mean into those of a plane, read at the query.

        With m and C the weighted mean and covariance of the places, the weight of observation t is
        multiplied by 1 − (ℓ_t − m)ᵀ (C + Λ)⁻¹ (m − ℓ), Λ being the ridge.
        """
        assert self.moments is not None
        queries = self.kernel.queries.double()
        dim = queries.shape[-1]
        weight, rest = self.moments[:, :1], self.moments[:, 1:]
        moments = rest / torch.where(weight > 0, weight, 1.0)
        mean, variances, squares = moments.split([dim, dim, dim * dim], dim=-1)
        covariance = squares.unflatten(-1, (dim, dim)) - mean.unsqueeze(-1) * mean.unsqueeze(-2)
        ridge = self.options.ridge * (self.kernel.sds.double().square() + variances)
        self.slopes = torch.linalg.solve(covariance + torch.diag_embed(ridge), mean - queries)
        self.level = 1 + (mean * self.slopes).sum(dim=-1, keepdim=True)

    def add_linear(self, affinity: torch.Tensor, part: Observations) -> None:
        weights, _ = self._weights(affinity)
        factors = self.level - self.slopes @ self.kernel.places_of(part).double().mT
        total = (weights * factors.to(weights.dtype)) @ part.senses
        self.total = total if self.total is None else self.total + total

    def finish(self) -> Read:
        assert self.total is not None
        known = self.weight > 0
        weight = torch.where(known, self.weight, torch.ones_like(self.weight))
        mean = self.total / weight
        if not self.options.support:
            missing = torch.full_like(weight, torch.nan).squeeze(-1)
            return Read(mean, known.squeeze(-1), missing, missing, missing)
        squares = torch.where(known, self.weight_squared, torch.ones_like(weight))
        sample_size = (self.weight.square() / squares).squeeze(-1)
        constant = mean.detach() if self.constant is None else self.constant / weight
        variance = self.norm_squared / weight - constant.square().sum(dim=-1, keepdim=True)
        spread = torch.where(known, variance.clamp_min(0).sqrt(), torch.inf).squeeze(-1)
        return Read(mean, known.squeeze(-1), sample_size, spread, self.nearest.to(self.dtype))


# --- attention -----------------------------------------------------------------------------------


def _attention(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, options: ReadOptions
) -> Read:
    if len(sds) > 1:
        raise ValueError(
            "attention reads need one deviation that all queries share, but they differ. Choose "
            "method='auto', or read each group of equal deviations by itself."
        )
    if options.support:
        raise ValueError("attention reads give the mean alone: choose another method for support.")
    centre = places.detach().mean(dim=0)
    queries, keys = dot_product_features(
        places - centre, sds[0], observations.locations - centre, observations.location_sds
    )
    # A softmax is the same whatever is added to a row: finite features need finite constants.
    keys = torch.nan_to_num(keys, neginf=-1e30)
    mask = None
    known = torch.ones(len(places), dtype=torch.bool, device=places.device)
    if options.match_threshold is not None:
        distances = torch.cdist(
            places, observations.locations, compute_mode="donot_use_mm_for_euclid_dist"
        )
        present = torch.isfinite(observations.location_sds).all(dim=-1)
        mask = (distances <= options.match_threshold) & present
        known = mask.any(dim=-1)
        mask = mask | ~known.unsqueeze(-1)  # a row without any would be NaN
    senses = observations.senses.to(observations.precision)
    mean = torch.nn.functional.scaled_dot_product_attention(
        queries[None], keys[None], senses[None], scale=1.0,
        attn_mask=None if mask is None else mask[None],
    )[0]  # fmt: skip
    missing = torch.full_like(mean[:, 0], torch.nan)
    return Read(mean * known.unsqueeze(-1), known, missing, missing, missing)
