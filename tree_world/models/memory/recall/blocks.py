"""Reads by blocks of observations: all weights of some queries at once, as matrices.

``dense`` and ``chunked`` reads take all observations, for all queries or for one run of neighbours
after the other; a ``sparse`` one of what the compiled loop does not serve takes, for each group of
queries, what can matter to it. Each block gives a `Partial`, and a read is their fold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tree_world.models.memory.kernel.affinity import (
    dot_product_features,
    limit_squared,
    log_density,
    squared_distances,
)
from tree_world.models.memory.kernel.bounds import (
    exponent_of_rounding,
    greatest_exponent,
    level_and_range,
)
from tree_world.models.memory.recall.pairs import Nearby, TooManyPairs
from tree_world.models.memory.recall.partial import Frame, Partial, finite
from tree_world.models.memory.recall.plan import (
    ALIKE,
    BLOCK,
    FEATURES,
    FEW_QUERIES,
    PART,
    QUERIES,
    RATIO,
    ROUNDING,
    RUN,
    SINGLE,
    SOME_QUERIES,
    block_size,
)
from tree_world.models.memory.recall.screening import Boxes, Groups, boxes_that_matter, grouped
from tree_world.models.memory.types import (
    Observations,
    Read,
    ReadOptions,
    concatenated,
    nothing,
)

_NEGLIGIBLE = 80.0  # a weight that is smaller than the greatest by e to this power is zero

Blocks = list[slice] | list[torch.Tensor]
"""Rows of observations, one block after the other."""


def needs_gradient(*tensors: torch.Tensor) -> bool:
    """Tell whether a gradient will be asked for with respect to any of them.

    Parameters
    ----------
    *tensors : torch.Tensor

    Returns
    -------
    bool
    """
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def blocks_of(number: int, size: int) -> list[slice]:
    """Cut rows into blocks.

    Parameters
    ----------
    number, size : int
        How many rows there are, and how many a block has.

    Returns
    -------
    list of slice
    """
    return [slice(start, min(start + size, number)) for start in range(0, number, size)]


# --- precision -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Precision:
    """How log-affinities of a group of queries are computed.

    Attributes
    ----------
    single : bool
        Whether in single precision.
    by_features : bool
        Whether by one product of matrices, where it does not round off too much.
    level : float, optional
        A log-affinity that all are below, by a little, if there is one.
    """

    single: bool
    by_features: bool
    level: float | None = None

    @classmethod
    def that_will_do(
        cls,
        places: torch.Tensor,
        sds: torch.Tensor,
        locations: torch.Tensor,
        location_sds: torch.Tensor,
        options: ReadOptions,
    ) -> Precision:
        """Choose the cheapest that is precise enough for these queries and observations.

        Parameters
        ----------
        places, sds : torch.Tensor of shape (n_queries, dim)
            In metres; one row of deviations may serve all.
        locations, location_sds : torch.Tensor of shape (n_observations, dim)
            In metres.
        options : ReadOptions

        Returns
        -------
        Precision
        """
        if len(places) <= FEW_QUERIES:
            return cls(single=False, by_features=False)  # to find out would take longer
        arrays = (places, sds, locations, location_sds)
        exponent = greatest_exponent(*arrays)
        level, spread = level_and_range(sds, location_sds)
        single = exponent < SINGLE
        if not single and options.match_threshold is None and options.order == "constant":
            single = exponent_of_rounding(*arrays) < ROUNDING
        single = single and places.dtype != torch.float64 and spread < RATIO
        alike = exponent + spread < ALIKE
        return cls(single, len(sds) == 1 and exponent < FEATURES, level if alike else None)


EXACT = Precision(single=False, by_features=False)
"""Double precision, coordinate by coordinate."""


# --- ways ----------------------------------------------------------------------------------------


def read_dense(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, options: ReadOptions
) -> Read:
    """Read all observations for all queries at once, in double precision.

    Parameters
    ----------
    places, sds, observations, options
        As for `tree_world.models.memory.recall.reading.read`.

    Returns
    -------
    Read
    """
    blocks = blocks_of(len(observations), BLOCK)
    return read_blocks(places, sds, observations, options, blocks, EXACT)


def read_runs(
    places: torch.Tensor, sds: torch.Tensor, observations: Observations, options: ReadOptions
) -> Read:
    """Read all observations, in blocks, for one run of queries after the other.

    Parameters
    ----------
    places, sds, observations, options
        As for `tree_world.models.memory.recall.reading.read`.

    Returns
    -------
    Read
    """
    size = block_size(min(RUN, len(places)), observations.senses, options.memory_limit)
    blocks = blocks_of(len(observations), size)
    groups = Groups.of_neighbours(places.detach().cpu().numpy(), RUN)
    order = torch.from_numpy(groups.rows).to(places.device)
    places, sds = places[order], sds if len(sds) == 1 else sds[order]
    parts = []
    for start, end in zip(groups.edges[:-1], groups.edges[1:], strict=True):
        own_places, own_sds = places[start:end], sds if len(sds) == 1 else sds[start:end]
        arrays = (observations.locations, observations.location_sds)
        precision = Precision.that_will_do(own_places, own_sds, *arrays, options)
        parts.append(read_blocks(own_places, own_sds, observations, options, blocks, precision))
    return concatenated(parts, order)


def read_groups(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby | None,
    most: float,
) -> Read:
    """Read for each group of neighbours what can matter to it.

    By matrices, so that it serves every order of read, all devices, and gradients.

    Parameters
    ----------
    places, sds, observations, options, nearby
        As for `tree_world.models.memory.recall.reading.read`.
    most : float
        Number of pairs beyond which not to read.

    Returns
    -------
    Read

    Raises
    ------
    TooManyPairs
        If more pairs than `most` can matter.
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
        size = block_size(len(own_places), observations.senses, options.memory_limit)
        where = torch.from_numpy(rows).to(places.device)
        blocks = list(where.split(size)) if len(rows) else []
        arrays = (observations.locations[where], observations.location_sds[where])
        precision = Precision.that_will_do(own_places, own_sds, *arrays, options)
        parts.append(read_blocks(own_places, own_sds, observations, options, blocks, precision))
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


# --- the fold ------------------------------------------------------------------------------------


def read_blocks(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    blocks: Blocks,
    precision: Precision,
) -> Read:
    """Read a group of queries from blocks of observations.

    Parameters
    ----------
    places, sds, observations, options
        As for `tree_world.models.memory.recall.reading.read`.
    blocks : list of slice or of torch.Tensor of int64
    precision : Precision

    Returns
    -------
    Read
    """
    if not blocks:
        return nothing(places, observations)
    # The gradient of a spread near zero is as precise as the sums are.
    arrays = (observations.locations, observations.location_sds, observations.senses)
    differentiable = options.support and needs_gradient(places, sds, *arrays)
    sums = _Sums(places, sds, observations, options, blocks, precision, in_double=differentiable)
    whole = sums.partial()
    linear = sums.linear(whole) if options.order == "linear" else None
    found = whole.finish(sums.frame, linear)
    if options.support and not sums.frame.in_double:
        rows = whole.doubtful_spreads()
        if len(rows):
            own_sds = sds if len(sds) == 1 else sds[rows]
            again = _Sums(
                places[rows], own_sds, observations, options, blocks, precision, in_double=True
            )
            spread = again.partial().spread(again.frame)
            found.spread[rows] = spread.to(found.spread.dtype)
    return found


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
        precision: Precision,
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
    """Weighted sums over observations that come in blocks.

    Products of single precision are added up in double after a few of them, or are taken around a
    mean.
    """

    def __init__(
        self,
        places: torch.Tensor,
        sds: torch.Tensor,
        observations: Observations,
        options: ReadOptions,
        blocks: Blocks,
        precision: Precision,
        *,
        in_double: bool,
    ) -> None:
        self.kernel = _Kernel(places, sds, observations, options.match_threshold, precision)
        self.observations, self.blocks, self.options = observations, blocks, options
        self.first = observations.take(blocks[0])  # the only one, often
        self.weights: torch.Tensor | None = None  # of that one, for a second pass
        dtype = observations.precision
        in_double = in_double or dtype == torch.float64
        self.weight_dtype = torch.float64 if in_double else dtype
        # Wide kernels, to which all count alike, take one product of matrices.
        self.at_once = self.kernel.dtype == torch.float32 and len(places) > SOME_QUERIES
        origin = None
        if options.support:
            # Around the mean of the first block, of senses that are all alike nothing is left that
            # could spread. Summed in double precision, the mean of what is all alike is just that.
            mean = self.first.senses.detach().mean(dim=0, dtype=torch.float64)
            origin = mean.to(dtype).to(self.weight_dtype)
        number = len(observations)
        operations = 16 + min(number, BLOCK) / 4 + number / BLOCK
        self.frame = Frame(
            dtype,
            options.order,
            in_double,
            (self.kernel.level or 0.0) - float(self.kernel.unit.log().sum()),
            torch.finfo(torch.float64).eps * operations,
            origin,
        )

    def portions(self) -> Iterator[Observations]:
        """Take the observations of one block after the other."""
        yield self.first
        yield from (self.observations.take(block) for block in self.blocks[1:])

    def partial(self) -> Partial:
        """Fold all blocks."""
        whole = Partial.nothing(self.kernel.queries, self.kernel.dtype)
        for portion in self.portions():
            whole = whole.joined(self._part(portion, whole.reference))
        return whole

    def _part(self, portion: Observations, reference: torch.Tensor) -> Partial:
        """Sum up one block, relative to what is the greatest by now."""
        affinity, options = self.kernel.log_affinity(portion), self.options
        nearest = self._nearest(affinity, portion) if options.support else None
        weights, reference = self._weights(affinity, reference)
        if options.order == "linear" and len(self.blocks) == 1:
            self.weights = weights
        weight = weights.sum(dim=-1, keepdim=True).double()
        senses = self._around_origin(portion.senses)
        total = moments = squares = square = None
        if options.order == "constant" or options.support:
            total = self._product(weights, weight, senses)
        if options.order == "linear":
            moments = weights.double() @ self._moments_of(portion)
        if options.support:
            squares = weights.square().sum(dim=-1, keepdim=True).double()
            # By a sum, which adds up in pairs: of many that are alike a product would lose digits.
            square = (weights * senses.square().sum(dim=-1)).sum(dim=-1, keepdim=True).double()
        return Partial(reference, weight, total, nearest, squares, square, moments)

    def _around_origin(self, senses: torch.Tensor) -> torch.Tensor:
        senses, origin = senses.to(self.weight_dtype), self.frame.origin
        return senses if origin is None else senses - origin

    def _product(
        self, weights: torch.Tensor, own_weight: torch.Tensor, senses: torch.Tensor
    ) -> torch.Tensor:
        """Weighted sum of senses, in double precision."""
        if self.frame.in_double:
            return weights @ senses
        if len(weights) <= FEW_QUERIES:
            return _product_in_few_parts(weights, senses)
        if not self.at_once:
            product = own_weight.new_zeros((len(weights), senses.shape[-1]))
            for own, others in zip(weights.split(PART, dim=1), senses.split(PART), strict=True):
                product += own @ others
            return product
        # Around the mean of the block: where all are alike nothing is left to be rounded.
        centre = senses.detach().mean(dim=0)
        product = (weights @ (senses - centre)).double()
        if product.requires_grad:
            return torch.addcmul(product, own_weight, centre.double())
        return product.addcmul_(own_weight, centre.double())

    def _weights(
        self, affinity: torch.Tensor, reference: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.kernel.level is not None:  # one scale does for all
            weights = affinity.exp() if affinity.requires_grad else affinity.exp_()
            return weights.to(self.weight_dtype), torch.zeros_like(reference)
        # The greatest affinity only fixes the scale, which cancels: no gradient through it.
        reference = torch.maximum(reference, affinity.detach().amax(dim=-1, keepdim=True))
        shift = finite(reference)
        if affinity.requires_grad:
            return torch.exp((affinity - shift).to(self.weight_dtype)), reference
        # Results near the least number that can be written take a processor ten times as long.
        weights = affinity.sub_(shift).to(self.weight_dtype).clamp_min_(-_NEGLIGIBLE).exp_()
        return torch.threshold_(weights, 2 * math.exp(-_NEGLIGIBLE), 0.0), reference

    def _nearest(self, affinity: torch.Tensor, portion: Observations) -> torch.Tensor:
        places = self.kernel.places_of(portion).detach()
        distances = torch.cdist(
            self.kernel.queries.detach(), places, compute_mode="donot_use_mm_for_euclid_dist"
        )
        hidden = torch.isinf(portion.location_sds).any(dim=-1).expand_as(distances)
        if not math.isinf(self.kernel.limit):
            hidden = hidden | torch.isinf(affinity.detach())
        return distances.masked_fill(hidden, torch.inf).amin(dim=-1)

    # The locally linear read: a plane through the neighbourhood, by weighted least squares.

    def _moments_of(self, portion: Observations) -> torch.Tensor:
        places = self.kernel.places_of(portion)
        squares = (places.unsqueeze(-1) * places.unsqueeze(-2)).flatten(start_dim=-2)
        variances = portion.location_sds.double().square()
        present = torch.where(torch.isinf(variances), torch.zeros_like(variances), variances)
        # The sum of the weights, too, in double precision: slopes can be steep.
        return torch.cat([torch.ones_like(places[:, :1]), places, present, squares], dim=-1)

    def linear(self, whole: Partial) -> torch.Tensor:
        """Sum of the senses, weighted so that a plane is read at each query.

        With m and C the weighted mean and covariance of the places, the weight of observation t is
        multiplied by 1 − (ℓ_t − m)ᵀ (C + Λ)⁻¹ (m − ℓ), Λ being the ridge. These are known only once
        all blocks are joined, so that it takes a second pass; weights are computed anew for it
        where there is more than one block.
        """
        assert whole.moments is not None
        queries = self.kernel.queries
        dim = queries.shape[-1]
        weight, rest = whole.moments[:, :1], whole.moments[:, 1:]
        moments = rest / torch.where(weight > 0, weight, 1.0)
        mean, variances, squares = moments.split([dim, dim, dim * dim], dim=-1)
        covariance = squares.unflatten(-1, (dim, dim)) - mean.unsqueeze(-1) * mean.unsqueeze(-2)
        ridge = self.options.ridge * (self.kernel.sds.square() + variances)
        slopes = torch.linalg.solve(covariance + torch.diag_embed(ridge), mean - queries)
        level = 1 + (mean * slopes).sum(dim=-1, keepdim=True)
        total: torch.Tensor | None = None
        for portion in self.portions():
            weights = self.weights
            if weights is None:
                weights, _ = self._weights(self.kernel.log_affinity(portion), whole.reference)
            factors = level - slopes @ self.kernel.places_of(portion).mT
            shares = (weights * factors).to(weights.dtype)
            own_weight = shares.sum(dim=-1, keepdim=True).double()
            own = self._product(shares, own_weight, self._around_origin(portion.senses))
            total = own if total is None else total + own
        assert total is not None
        return total


def _product_in_few_parts(weights: torch.Tensor, senses: torch.Tensor) -> torch.Tensor:
    """Weighted sums of senses for few queries, for which to copy the senses would take longer."""
    whole = len(senses) // PART * PART
    parts = torch.bmm(
        weights[:, :whole].unflatten(1, (-1, PART)).transpose(0, 1),
        senses[:whole].unflatten(0, (-1, PART)),
    )
    return parts.double().sum(dim=0) + weights[:, whole:] @ senses[whole:]
