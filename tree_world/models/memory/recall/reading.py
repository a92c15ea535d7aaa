"""Reads of a spatial memory: one formula, several ways to compute it.

For a place ℓ with deviation σ a read is the mean of what was sensed elsewhere, weighted by the
kernel of `tree_world.models.memory.kernel.affinity`: the estimator of Nadaraya and Watson for
uncertain places.

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
from dataclasses import dataclass, replace

import numpy as np
import torch

from tree_world.models.memory.kernel.affinity import (
    beyond,
    dot_product_features,
    limit_squared,
    log_density,
    squared_distances,
    without_autocast,
)
from tree_world.models.memory.recall.pairs import Nearby, TooManyPairs, can_read_pairs, read_pairs
from tree_world.models.memory.recall.screening import (
    QUERIES,
    Boxes,
    Groups,
    boxes_that_matter,
    exponent_of_rounding,
    greatest_exponent,
    grouped,
)
from tree_world.models.memory.types import Observations, Read, ReadOptions, concatenated, nothing

_FEW_PAIRS = 2**18  # up to here a dense read is quickest
_NOT_WORTH_LEAVING_OUT = 512  # observations
_MANY = 0.7  # share of all pairs that can matter, from which on leaving out the rest does not pay
_FEW_QUERIES = 8  # that take less time in double precision than to bound what single loses
_SOME_QUERIES = 64  # for which to copy senses takes longer than to add up their products in parts
_PART = 48  # products that are added up in single precision: at most 1e-6 off, were all alike
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

_ROUNDING_OF_ATTENTION = 128.0  # at most 8e-5 of a weight in theory
_ALIKE = 20.0  # log-affinities that differ by less are taken relative to a bound of all
_RATIO = 40.0  # up to which logarithm of a ratio of variances single precision holds them
_NEGLIGIBLE = 80.0  # a weight that is smaller than the greatest by e to this power is zero


@without_autocast
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

    with the kernel of `tree_world.models.memory.kernel.affinity`. Affinities are computed in
    double precision unless single precision is known to do; senses are averaged in their own.

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
    needs_gradient = _needs_gradient(query_locations, query_sds, observations)
    if needs_gradient:
        present = torch.isfinite(observations.location_sds.detach()).all(dim=-1)
        if not bool(present.all()):
            # An infinite deviation has no slope: what is absent is left out, and gets none.
            observations, nearby = observations.take(present.nonzero().squeeze(-1)), None
    found = _read(query_locations, query_sds, observations, options, nearby, needs_gradient)
    if needs_gradient and not found.mean.requires_grad:
        # Nothing matched: the gradient is zero then, and not an error.
        arrays = (query_locations, query_sds, *vars(observations).values())
        none_of_them = [array.flatten()[:0].sum() for array in arrays if array.requires_grad]
        found = replace(found, mean=found.mean + sum(none_of_them))
    return found


def _read(
    query_locations: torch.Tensor,
    query_sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby | None,
    needs_gradient: bool,
) -> Read:
    sds = query_sds
    if len(sds) > 1 and bool((sds == sds[:1]).all()):
        sds = sds[:1]  # one row for all: a third of the work
    if len(observations) == 0 or len(query_locations) == 0:
        return nothing(query_locations, observations)
    method = options.method
    if method == "auto":
        method = _best_method(query_locations, sds, observations, options, nearby, needs_gradient)
    if method in ("attention", "sparse") and nearby is None and not _any_present(observations):
        return nothing(query_locations, observations)
    if method == "attention":
        return _attention(query_locations, sds, observations, options)
    if method == "dense":
        blocks = _blocks(len(observations), _BLOCK)
        return _read_group(query_locations, sds, observations, options, blocks, _EXACT)
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


def _any_present(observations: Observations) -> bool:
    return bool(torch.isfinite(observations.location_sds.detach()).all(dim=-1).any())


def _needs_gradient(places: torch.Tensor, sds: torch.Tensor, observations: Observations) -> bool:
    return torch.is_grad_enabled() and any(
        tensor.requires_grad
        for tensor in (
            places, sds, observations.locations, observations.location_sds, observations.senses,
        )
    )  # fmt: skip


def _blocks(number: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, number)) for start in range(0, number, size)]


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
    size = _block_size(min(RUN, len(places)), observations.senses, options.memory_limit)
    blocks = _blocks(len(observations), size)
    groups = Groups.of_neighbours(places.detach().cpu().numpy(), RUN)
    order = torch.from_numpy(groups.rows).to(places.device)
    places, sds = places[order], sds if len(sds) == 1 else sds[order]
    parts = []
    for start, end in zip(groups.edges[:-1], groups.edges[1:], strict=True):
        own_places, own_sds = places[start:end], sds if len(sds) == 1 else sds[start:end]
        arrays = (observations.locations, observations.location_sds)
        precision = _Precision.that_will_do(own_places, own_sds, *arrays, options)
        parts.append(_read_group(own_places, own_sds, observations, options, blocks, precision))
    return concatenated(parts, order)


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
    return concatenated(parts, order)


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


def _block_size(num_queries: int, senses: torch.Tensor, memory_limit: int) -> int:
    """How many observations fit the memory limit, with six arrays of affinities at a time."""
    row = 6 * num_queries * torch.float64.itemsize
    row += senses.shape[-1] * max(senses.element_size(), torch.float32.itemsize)
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
    first = observations.take(blocks[0])  # the only one, often

    def portions() -> Iterator[Observations]:
        yield first
        yield from (observations.take(block) for block in blocks[1:])

    def summed(rows: torch.Tensor | slice, in_double: bool) -> _Sums:
        own_sds = sds if len(sds) == 1 else sds[rows]
        kernel = _Kernel(places[rows], own_sds, observations, options.match_threshold, precision)
        sums = _Sums(kernel, observations, options, in_double)
        for part in portions():
            sums.add(kernel.log_affinity(part), part)
        return sums

    # The gradient of a spread near zero is as precise as the sums are.
    differentiable = options.support and _needs_gradient(places, sds, observations)
    sums = summed(slice(None), differentiable)
    if options.order == "linear":
        sums.solve_slopes()
        for part in portions():
            sums.add_linear(sums.kernel.log_affinity(part), part)
    found = sums.finish()
    if options.support and not sums.in_double:
        rows = sums.doubtful_spreads()
        if len(rows):
            again = summed(rows, in_double=True)
            found.spread[rows] = again.spread().to(found.spread.dtype)
    return found


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
        level, spread = _level(sds, location_sds)
        single = exponent < _SINGLE
        if not single and options.match_threshold is None and options.order == "constant":
            single = exponent_of_rounding(*arrays) < _ROUNDING
        single = single and places.dtype != torch.float64 and spread < _RATIO
        alike = exponent + spread < _ALIKE
        return cls(single, len(sds) == 1 and exponent < _FEATURES, level if alike else None)


def _level(sds: torch.Tensor, location_sds: torch.Tensor) -> tuple[float, float]:
    """Bound log-affinities from above, and how far below deviations alone may put them."""
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


_EXACT = _Precision(single=False, by_features=False)


class _Kernel:
    """Log-affinities of a group.

    They are relative to a constant: lengths are in units of the least deviation on each axis, as
    the density itself may leave the range of numbers in many dimensions.
    """

    def __init__(
        self,
        places: torch.Tensor,
        sds: torch.Tensor,
        observations: Observations,
        match_threshold: float | None,
        precision: _Precision,
    ) -> None:
        self.dtype = torch.float32 if precision.single else torch.float64
        self.by_features = precision.by_features
        self.limit = limit_squared(match_threshold, observations.locations.dtype)
        self.unit = sds.detach().amin(dim=0).double()
        self.level = precision.level
        if self.level is not None:
            self.level += float(self.unit.log().sum())
        # Far from the origin the features would be large; around the group they are small.
        self.centre = places.detach().double().mean(dim=0)
        self.places = places
        self.queries = places.double() - self.centre
        self.sds = sds.double()
        self.scaled_queries = (self.queries / self.unit).to(self.dtype)
        self.scaled_sds = (self.sds / self.unit).to(self.dtype)

    def places_of(self, part: Observations) -> torch.Tensor:
        """Places around the centre, in metres and in double precision."""
        return part.locations.double() - self.centre

    def log_affinity(self, part: Observations) -> torch.Tensor:
        """Log-affinities, relative to the level if there is one."""
        places, sds = self.places_of(part), part.location_sds.double() / self.unit
        scaled = places / self.unit
        level = 0.0 if self.level is None else self.level
        if self.by_features:
            queries, keys = dot_product_features(
                self.queries / self.unit, self.sds[0] / self.unit, scaled, sds
            )
            keys[:, -1] -= level  # on few numbers instead of on all pairs
            affinity = queries.to(self.dtype) @ keys.to(self.dtype).mT
        else:
            others, deviations = scaled.to(self.dtype), sds.to(self.dtype)
            affinity = log_density(self.scaled_queries, self.scaled_sds, others, deviations)
            affinity = affinity - level if level else affinity
        if math.isinf(self.limit):
            return affinity
        hidden = self._hidden(places, part)
        return affinity.masked_fill_(hidden, -torch.inf)

    def _hidden(self, places: torch.Tensor, part: Observations) -> torch.Tensor:
        """Which pairs are farther apart than the threshold."""
        if not self.by_features:
            return squared_distances(self.places, part.locations) > self.limit
        own, others = self.queries.detach(), places.detach()
        lengths, other_lengths = own.square().sum(-1, keepdim=True), others.square().sum(-1)
        squares = torch.addmm(lengths + other_lengths, own, others.mT, alpha=-2)
        hidden = squares > self.limit
        # On the rim, where rounding decides, coordinate by coordinate.
        farthest = max(
            float(self.places.detach().abs().amax()), float(part.locations.detach().abs().amax())
        )
        rounding = 16 * float(lengths.amax() + other_lengths.amax()) + 4 * farthest * math.sqrt(
            own.shape[-1] * self.limit
        )
        doubt = torch.finfo(torch.float64).eps * rounding
        rim = (squares - self.limit).abs_() <= doubt
        if bool(rim.any()):
            rows, columns = rim.nonzero(as_tuple=True)
            steps = self.places.detach()[rows].double() - part.locations.detach()[columns].double()
            hidden[rows, columns] = steps.square().sum(dim=-1) > self.limit
        return hidden


class _Sums:
    """Weighted sums over observations that come in portions.

    Weights are relative to the greatest affinity so far; when a greater one comes, all sums are
    scaled down to it. Sums are kept in double precision, as many that are alike would lose digits;
    products of single precision are added up in it after a few of them, or are taken around a mean.
    """

    def __init__(
        self, kernel: _Kernel, observations: Observations, options: ReadOptions, in_double: bool
    ) -> None:
        queries = kernel.queries
        self.kernel = kernel
        self.options = options
        self.dtype = observations.precision
        self.in_double = in_double or self.dtype == torch.float64
        self.weight_dtype = torch.float64 if self.in_double else self.dtype
        # Share of its parts, below which a difference of sums in double precision is rounding.
        number = len(observations)
        operations = 16 + min(number, _BLOCK) / 4 + number / _BLOCK
        self.rounded = torch.finfo(torch.float64).eps * operations
        self.greatest = queries.new_full((len(queries), 1), -torch.inf, dtype=kernel.dtype)
        self.weight = queries.new_zeros((len(queries), 1))
        self.weight_squared = torch.zeros_like(self.weight)
        self.square = torch.zeros_like(self.weight)  # of distances from the origin of senses
        # Wide kernels, to which all count alike, take one product of matrices.
        self.at_once = self.kernel.dtype == torch.float32 and len(queries) > _SOME_QUERIES
        self.origin: torch.Tensor | None = None
        self.total: torch.Tensor | None = None  # of senses, around their origin if they have one
        self.nearest = queries.new_full((len(queries),), torch.inf)
        self.moments: torch.Tensor | None = None
        self.constant: torch.Tensor | None = None

    def add(self, affinity: torch.Tensor, part: Observations) -> None:
        if self.options.support:
            self._look_for_nearer(affinity, part)
        weights, scale = self._weights(affinity)
        own_weight = weights.sum(dim=-1, keepdim=True).double()
        self.weight = self.weight * scale + own_weight
        senses = self._around_origin(part.senses)
        if self.options.order == "linear":
            if self.options.support:
                # The spread is that around the weighted mean, whatever is read.
                constant = self._product(weights, own_weight, senses)
                self.constant = constant + (0.0 if self.constant is None else self.constant * scale)
            moments = weights.double() @ self._moments_of(part)
            self.moments = moments if self.moments is None else self.moments * scale + moments
        else:
            product = self._product(weights, own_weight, senses)
            if self.total is None:
                self.total = product
            elif product.requires_grad or self.total.requires_grad:
                self.total = torch.addcmul(product, self.total, scale)
            else:
                self.total = product.addcmul_(self.total, scale)
        if self.options.support:
            squares = weights.square().sum(dim=-1, keepdim=True).double()
            self.weight_squared = self.weight_squared * scale.square() + squares
            # By a sum, which adds up in pairs: of many that are alike a product would lose digits.
            squares = (weights * senses.square().sum(dim=-1)).sum(dim=-1, keepdim=True)
            self.square = self.square * scale + squares.double()

    def _around_origin(self, senses: torch.Tensor) -> torch.Tensor:
        """Senses around the mean of the first portion, where their spread is asked for.

        Of senses that are all alike nothing is left then that could spread.
        """
        if not self.options.support:
            return senses.to(self.weight_dtype)
        if self.origin is None:
            # Summed in double precision, the mean of what is all alike is just that.
            mean = senses.detach().mean(dim=0, dtype=torch.float64)
            self.origin = mean.to(self.dtype).to(self.weight_dtype)
        return senses.to(self.weight_dtype) - self.origin

    def _product(
        self, weights: torch.Tensor, own_weight: torch.Tensor, senses: torch.Tensor
    ) -> torch.Tensor:
        """Weighted sum of senses, in double precision."""
        if self.in_double:
            return weights @ senses
        if len(weights) <= _FEW_QUERIES:
            return _product_in_few_parts(weights, senses)
        if not self.at_once:
            product = self.weight.new_zeros((len(weights), senses.shape[-1]))
            for own, others in zip(weights.split(_PART, dim=1), senses.split(_PART), strict=True):
                product += own @ others
            return product
        # Around the mean of the portion: where all are alike nothing is left to be rounded.
        centre = senses.detach().mean(dim=0)
        product = (weights @ (senses - centre)).double()
        if product.requires_grad:
            return torch.addcmul(product, own_weight, centre.double())
        return product.addcmul_(own_weight, centre.double())

    def _weights(self, affinity: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.kernel.level is not None:  # one scale does for all
            weights = affinity.exp() if affinity.requires_grad else affinity.exp_()
            return weights.to(self.weight_dtype), torch.ones_like(self.weight)
        # The greatest affinity only fixes the scale, which cancels: no gradient through it.
        greatest = torch.maximum(self.greatest, affinity.detach().amax(dim=-1, keepdim=True))
        shift = torch.where(torch.isinf(greatest), torch.zeros_like(greatest), greatest)
        scale = torch.exp((self.greatest - shift).double())
        self.greatest = greatest
        if affinity.requires_grad:
            return torch.exp((affinity - shift).to(self.weight_dtype)), scale
        # Results near the least number that can be written take a processor ten times as long.
        weights = affinity.sub_(shift).to(self.weight_dtype).clamp_min_(-_NEGLIGIBLE).exp_()
        return torch.threshold_(weights, 2 * math.exp(-_NEGLIGIBLE), 0.0), scale

    def _look_for_nearer(self, affinity: torch.Tensor, part: Observations) -> None:
        places = self.kernel.places_of(part).detach()
        distances = torch.cdist(
            self.kernel.queries.detach(), places, compute_mode="donot_use_mm_for_euclid_dist"
        )
        hidden = torch.isinf(part.location_sds).any(dim=-1).expand_as(distances)
        if not math.isinf(self.kernel.limit):
            hidden = hidden | torch.isinf(affinity.detach())
        nearest = distances.masked_fill(hidden, torch.inf).amin(dim=-1)
        self.nearest = torch.minimum(self.nearest, nearest)

    # The locally linear read: a plane through the neighbourhood, by weighted least squares.

    def _moments_of(self, part: Observations) -> torch.Tensor:
        places = self.kernel.places_of(part)
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
        queries = self.kernel.queries
        dim = queries.shape[-1]
        weight, rest = self.moments[:, :1], self.moments[:, 1:]
        moments = rest / torch.where(weight > 0, weight, 1.0)
        mean, variances, squares = moments.split([dim, dim, dim * dim], dim=-1)
        covariance = squares.unflatten(-1, (dim, dim)) - mean.unsqueeze(-1) * mean.unsqueeze(-2)
        ridge = self.options.ridge * (self.kernel.sds.square() + variances)
        self.slopes = torch.linalg.solve(covariance + torch.diag_embed(ridge), mean - queries)
        self.level = 1 + (mean * self.slopes).sum(dim=-1, keepdim=True)

    def add_linear(self, affinity: torch.Tensor, part: Observations) -> None:
        weights, _ = self._weights(affinity)
        factors = self.level - self.slopes @ self.kernel.places_of(part).mT
        shares = (weights * factors).to(weights.dtype)
        own_weight = shares.sum(dim=-1, keepdim=True).double()
        total = self._product(shares, own_weight, self._around_origin(part.senses))
        self.total = total if self.total is None else self.total + total

    def finish(self) -> Read:
        assert self.total is not None
        known = (self.weight > 0).squeeze(-1)
        mean = self.total / self._positive_weight()
        if self.origin is not None:
            mean = torch.where(known.unsqueeze(-1), mean + self.origin, 0.0)
        mean = mean.to(self.dtype)
        order, log_weight = self.options.order, self._log_weight()
        if not self.options.support:
            missing = mean.detach().new_full((len(mean),), torch.nan)
            return Read(mean, known, missing, missing, missing, log_weight, order)
        squares = torch.where(known, self.weight_squared.squeeze(-1), 1.0)
        sample_size = (self.weight.squeeze(-1).square() / squares).to(self.dtype)
        spread, nearest = (each.to(self.dtype) for each in (self.spread(), self.nearest))
        return Read(mean, known, sample_size, spread, nearest, log_weight, order)

    def _log_weight(self) -> torch.Tensor:
        """Logarithm of the sum of the weights, as they were before they were relative."""
        greatest = torch.where(self.weight > 0, self.greatest.double(), 0.0)
        level = self.kernel.level or 0.0  # relative to which there is no greatest
        scale = level if self.kernel.level is not None else greatest
        log_weight = self._positive_weight().log() + scale - float(self.kernel.unit.log().sum())
        return torch.where(self.weight > 0, log_weight, -torch.inf).squeeze(-1)

    def _positive_weight(self) -> torch.Tensor:
        return torch.where(self.weight > 0, self.weight, 1.0)

    def _variance(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Variance of senses around their mean, and the square of that from the origin."""
        total = self.total if self.constant is None else self.constant
        assert total is not None
        weight = self._positive_weight()
        offset = (total / weight).square().sum(dim=-1)
        return (self.square / weight).squeeze(-1) - offset, offset

    def spread(self) -> torch.Tensor:
        """Root of the variance, which is zero where it cannot be told from it."""
        variance, offset = self._variance()
        positive = variance > (self.rounded * offset if self.in_double else 0.0)
        # The root of one where there is nothing to take a root of, as that of zero has no slope.
        root = torch.where(positive, variance, 1.0).sqrt()
        found = torch.where(positive, root, torch.zeros_like(root))
        return torch.where((self.weight > 0).squeeze(-1), found, torch.inf)

    def doubtful_spreads(self) -> torch.Tensor:
        """Find queries whose senses spread little for how far they are from the origin."""
        variance, offset = self._variance()
        return ((variance < 0.1 * offset) & (self.weight > 0).squeeze(-1)).nonzero().squeeze(-1)


def _product_in_few_parts(weights: torch.Tensor, senses: torch.Tensor) -> torch.Tensor:
    """Weighted sums of senses for few queries, for which to copy the senses would take longer."""
    whole = len(senses) // _PART * _PART
    parts = torch.bmm(
        weights[:, :whole].unflatten(1, (-1, _PART)).transpose(0, 1),
        senses[:whole].unflatten(0, (-1, _PART)),
    )
    return parts.double().sum(dim=0) + weights[:, whole:] @ senses[whole:]


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


def _log_weight(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, options: ReadOptions
) -> torch.Tensor:
    """Logarithm of all weight, which attention does not tell: by a read of senses of no width."""
    arrays = (observations.locations, observations.location_sds)
    bare = Observations(*arrays, observations.senses[:, :0])
    size = _block_size(len(places), bare.senses, options.memory_limit)
    blocks = _blocks(len(bare), size)
    precision = _Precision.that_will_do(places, sds, *arrays, options)
    return _read_group(places, sds, bare, options, blocks, precision).log_weight


def _precision_of_features(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, options: ReadOptions,
    may_be_double: bool = False,
) -> torch.dtype | None:  # fmt: skip
    """In which precision features hold what they must; None if in none that may be."""
    arrays = (places, sds, observations.locations, observations.location_sds)
    rounding = exponent_of_rounding(*arrays)
    # With a threshold the best pair may be one of those that do not count.
    whole = options.match_threshold is None or greatest_exponent(*arrays) < _SINGLE
    if whole and rounding < _ROUNDING_OF_ATTENTION:
        return observations.precision
    may_be_double = may_be_double or observations.precision == torch.float64
    return torch.float64 if may_be_double and rounding < _FEATURES else None


def _attend(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, middle: torch.Tensor,
    options: ReadOptions,
) -> Read:  # fmt: skip
    """Read one group of queries, in the precision that its features need.

    The senses are those around their middle.
    """
    dtype = _precision_of_features(places, sds, observations, options, may_be_double=True)
    if dtype is None:
        blocks = _blocks(len(observations), _BLOCK)
        found = _read_group(places, sds, observations, options, blocks, _EXACT)
        mean = torch.where(found.known.unsqueeze(-1), found.mean + middle, 0.0)
        return replace(found, mean=mean)
    log_weight = _log_weight(places, sds, observations, options)
    unit, centre = sds.detach()[0].double(), places.detach().double().mean(dim=0)
    others, other_sds = observations.locations.double(), observations.location_sds.double()
    queries, keys = dot_product_features(
        (places.double() - centre) / unit, sds[0].double() / unit, (others - centre) / unit,
        other_sds / unit,
    )  # fmt: skip
    # A softmax is the same whatever is added to a row: finite features need finite constants.
    keys = torch.nan_to_num(keys, neginf=-1e30)
    mask = None
    known = torch.ones(len(places), dtype=torch.bool, device=places.device)
    if options.match_threshold is not None:
        present = torch.isfinite(observations.location_sds).all(dim=-1)
        mask = ~beyond(places, observations.locations, options.match_threshold) & present
        known = mask.any(dim=-1)
        mask = mask | ~known.unsqueeze(-1)  # a row without any would be NaN
    mean = torch.nn.functional.scaled_dot_product_attention(
        queries.to(dtype)[None], keys.to(dtype)[None], observations.senses.to(dtype)[None],
        scale=1.0, attn_mask=None if mask is None else mask[None],
    )[0] + middle  # fmt: skip
    mean = torch.where(known.unsqueeze(-1), mean, torch.zeros_like(mean))
    mean = mean.to(observations.precision)
    missing = mean.detach().new_full((len(mean),), torch.nan)
    return Read(mean, known, missing, missing, missing, log_weight)
