"""Rivals in PyTorch: the formula as printed, attention, attention by blocks, FlexAttention."""

from __future__ import annotations

import functools
import math
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.dense import read_densely
from benchmarks.rival_face import Blocks, DoesNotFit, NotHere, Way
from benchmarks.rival_problem import Problem

LARGEST_TEMPORARY = 2**26  # entries that one step of a chunked way may hold
BLOCK = 256  # observations that are left out together
GROUP = 32  # queries that share a centre and what is left out
FLEX_BLOCK, FLEX_GROUP, FLEX_WIDTH = 128, 32, 16  # the smallest that FlexAttention takes


class Dense(Way):
    """Looks at all observations, and can be written to by putting one more behind them."""

    can_be_written_to = True

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Put it behind the others."""
        self.problem.all_locations[self.number] = place
        self.problem.all_senses[self.number] = sense
        self.number += 1

    @property
    def locations(self) -> torch.Tensor:
        """All places so far."""
        return self.problem.all_locations[: self.number]

    @property
    def senses(self) -> torch.Tensor:
        """All that was sensed so far."""
        return self.problem.all_senses[: self.number]


class Formula(Dense):
    """The formula as printed: all differences, then all weights, then all means."""

    name = "formula as printed"
    devices = ("cpu", "cuda")
    largest = 100_000
    limit = 8e9  # bytes

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Read as it stands."""
        needed = 4 * 8 * len(places) * self.number  # at its peak, eight floats a pair
        if needed > self.limit:
            raise DoesNotFit(f"{needed / 1e9:.0f} GB")
        own, sds = (torch.full_like(one, self.problem.sd) for one in (places, self.locations))
        threshold = self.problem.match_threshold
        return read_densely(places, own, self.locations, sds, self.senses, threshold)


class Attention(Dense):
    r"""PyTorch's attention, as :math:`\log k` is a dot product of five features.

    They are centred once, for all queries.
    """

    name = "attention"
    devices = ("cpu", "cuda")

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.centre = problem.locations.mean(dim=0)
        self.keys = as_keys(problem.all_locations, self.centre, problem.variance)

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Put it and its features behind the others."""
        self.keys[self.number] = as_keys(place[None], self.centre, self.problem.variance)[0]
        super().write(place, sense)

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Attend, with as many queries at a time as fit."""
        found = []
        for part in places.split(max(1, LARGEST_TEMPORARY // self.number)):
            near = None
            if self.problem.match_threshold is not None:
                near = squares(part, self.locations) <= self.problem.match_threshold**2
            queries = as_queries(part, self.centre, self.problem.variance)
            found.append(attend(queries, self.keys[: self.number], self.senses, near))
        return torch.cat(found)

    def bytes_of_index(self) -> int:
        """Count the features."""
        return self.number * 5 * self.keys.element_size()


class AttentionByBlocks(Way):
    """Attention, centred for each group of neighbouring queries, over the blocks within reach.

    What is written later stands behind the blocks, until it is an eighth of all. Then all are put
    in order anew.
    """

    name = "attention by blocks"
    can_be_written_to = True
    share = 8

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._order()

    def _order(self) -> None:
        locations = self.problem.all_locations[: self.number]
        self.blocks = Blocks(locations, BLOCK)
        self.in_order = self.number
        self.locations = locations[self.blocks.order]
        self.senses = self.problem.all_senses[: self.number][self.blocks.order]

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Put it behind the others, and put all in order now and then."""
        self.problem.all_locations[self.number] = place
        self.problem.all_senses[self.number] = sense
        self.number += 1
        if self.number - self.in_order > max(BLOCK, self.in_order // self.share):
            self._order()

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Attend by groups."""
        groups = Blocks(places, GROUP)
        own = places[groups.order]
        found = torch.empty(len(places), self.senses.shape[1])
        gaps = self.blocks.gaps(groups.low, groups.high)
        reach, threshold = self.problem.reach, self.problem.match_threshold
        reaches = None
        if threshold is None:
            reaches = self.blocks.reaches(own, self.locations, reach)
        for group, (start, stop) in enumerate(zip(groups.starts, groups.stops, strict=True)):
            part = own[start:stop]
            within = reach if reaches is None else float(reaches[start:stop].max())
            locations, senses = self._within(gaps[group] <= within)
            if not len(locations):
                found[groups.order[start:stop]] = 0.0
                continue
            centre, variance = part.mean(dim=0), self.problem.variance
            keys = as_keys(locations, centre, variance)
            near = None
            if threshold is not None:
                near = squares(part, locations) <= threshold**2
            queries = as_queries(part, centre, variance)
            found[groups.order[start:stop]] = attend(queries, keys, senses, near)
        return found

    def _within(self, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Join the blocks that count, runs of them at a time, and what is new."""
        edges = torch.diff(counts.int(), prepend=torch.zeros(1), append=torch.zeros(1)).nonzero()
        last = len(self.locations)
        runs = [
            slice(BLOCK * first, min(BLOCK * stop, last))
            for first, stop in edges.view(-1, 2).tolist()
        ]
        new = slice(self.in_order, self.number)
        every = (
            [self.locations[run] for run in runs] + [self.problem.all_locations[new]],
            [self.senses[run] for run in runs] + [self.problem.all_senses[new]],
        )
        if self.in_order == self.number:
            every = every[0][:-1], every[1][:-1]
        if len(every[0]) == 1:  # with nothing to copy
            return every[0][0], every[1][0]
        locations, senses = (torch.cat(one) if one else self.locations[:0] for one in every)
        return locations, senses

    def bytes_of_index(self) -> int:
        """Count the observations in order, of which the others are a copy, and the boxes."""
        boxes = 4 * self.blocks.low.numel() * self.blocks.low.element_size()
        return boxes + 8 * self.in_order


class FlexAttention(Way):
    """PyTorch's FlexAttention: block-sparse, compiled, its logits from differences of places.

    On a CPU it compiles for each number of queries and of observations; with numbers that may vary,
    or a mask beside the blocks, what it generates does not compile (PyTorch 2.13). So the threshold
    is part of the logits, and queries are filled up to whole groups.
    """

    name = "FlexAttention"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        if shutil.which("g++") is None and shutil.which("clang++") is None:
            raise NotHere("no compiler")
        self.blocks = Blocks(problem.locations, FLEX_BLOCK)
        self.locations = problem.locations[self.blocks.order]
        self.senses = problem.senses[self.blocks.order]
        self.nothing = torch.zeros(1, 1, problem.size, FLEX_WIDTH)

    @torch.no_grad()
    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Attend to the blocks within reach of each group."""
        missing = -len(places) % FLEX_GROUP
        filled = torch.cat([places, places[-1:].expand(missing, 2)])
        groups = Blocks(filled, FLEX_GROUP)
        own = filled[groups.order]
        within = torch.full((len(own),), self.problem.reach)
        if self.problem.match_threshold is None:
            within = self.blocks.reaches(own, self.locations, self.problem.reach)
        within = within.view(-1, FLEX_GROUP).amax(dim=1, keepdim=True)
        near = self.blocks.gaps(groups.low, groups.high) <= within
        read = torch.empty(len(own), self.senses.shape[1])
        read[groups.order] = self._attend(own, near)
        return read[: len(places)]

    def _attend(self, places: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        from torch.nn.attention.flex_attention import BlockMask

        (own_x, own_y), (x, y) = (one.T.contiguous() for one in (places, self.locations))
        factor, limit = -0.5 / self.problem.variance, self.problem.match_threshold

        def logit(score: Any, batch: Any, head: Any, query: Any, key: Any) -> Any:
            across, along = own_x[query] - x[key], own_y[query] - y[key]
            square = across * across + along * along
            if limit is None:
                return factor * square
            return torch.where(square <= limit * limit, factor * square, -torch.inf)

        blocks = BlockMask.from_kv_blocks(
            near.sum(dim=1).int()[None, None],
            near.int().argsort(dim=1, descending=True, stable=True).int()[None, None],
            BLOCK_SIZE=(FLEX_GROUP, FLEX_BLOCK),
            seq_lengths=(len(places), len(self.locations)),
        )
        queries = torch.zeros(1, 1, len(places), FLEX_WIDTH)
        senses = self.senses[None, None]
        found: torch.Tensor = _compiled()(
            queries, self.nothing, senses, score_mod=logit, block_mask=blocks, scale=1.0
        )
        return found[0, 0].nan_to_num(0.0)

    def bytes_of_index(self) -> int:
        """Count the boxes, the order, and the vectors of zeros that must be there."""
        boxes = 4 * self.blocks.low.numel() * self.blocks.low.element_size()
        return boxes + 8 * self.number + self.nothing.numel() * self.nothing.element_size()


def as_keys(locations: torch.Tensor, centre: torch.Tensor, variance: float) -> torch.Tensor:
    """Features of observations, for those of queries that have the same centre."""
    own = (locations - centre) / math.sqrt(variance)
    halves = -0.5 * own.square().sum(dim=-1, keepdim=True)
    return torch.cat([torch.full_like(own, -0.5), own, halves], dim=-1)


def as_queries(places: torch.Tensor, centre: torch.Tensor, variance: float) -> torch.Tensor:
    """Features of queries."""
    own = (places - centre) / math.sqrt(variance)
    return torch.cat([own.square(), own, torch.ones_like(own[:, :1])], dim=-1)


def squares(places: torch.Tensor, locations: torch.Tensor) -> torch.Tensor:
    """Squared distances by differences; by products, as `torch.cdist` has them, they are off."""
    across, along = (places[:, None, axis] - locations[:, axis] for axis in (0, 1))
    return across.square_().add_(along.square_())


def attend(
    queries: torch.Tensor, keys: torch.Tensor, senses: torch.Tensor, near: torch.Tensor | None
) -> torch.Tensor:
    """Attend; zeros where nothing is near."""
    mask = None if near is None else near[None]
    found = scaled_dot_product_attention(
        queries[None], keys[None], senses[None], attn_mask=mask, scale=1.0
    )
    return found[0].nan_to_num(0.0)


@functools.cache
def _compiled() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    torch._dynamo.config.recompile_limit = 64  # for each number of observations and queries
    compiled: Callable[..., Any] = torch.compile(flex_attention, dynamic=False)
    return compiled
