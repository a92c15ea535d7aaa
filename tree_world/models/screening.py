"""Which observations can matter to which queries: bounds that let a read leave out the rest.

Queries are gathered into groups of neighbours, and so are the observations. A group lies in a box.
The nearest and the farthest point of a box bound an observation's affinity from above and from
below. The greatest lower bound is a floor under the sum of all affinities of every query in the
box, so whatever stays below ``tail / n`` of that floor can be left out: all of it together is less
than the share ``tail`` of the weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

Nearby = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""Rows of all observations within a distance of a box: (low corner, high corner, distance)."""

GROUP = 96
"""Most queries in a group."""


@dataclass(frozen=True)
class Groups:
    """Rows in an order in which neighbours stand together, and where each group starts."""

    rows: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(np.split(self.rows, self.starts[1:]))

    @classmethod
    def of_neighbours(cls, places: np.ndarray, most: int) -> Groups:
        """Cut places into strips along their widest axis, and the strips across.

        Parameters
        ----------
        places : numpy.ndarray of shape (n, dim)
        most : int
            Greatest number of places in a group.

        Returns
        -------
        Groups
        """
        num_places = len(places)
        num_strips = math.ceil(math.sqrt(math.ceil(num_places / most)))
        per_strip = max(1, math.ceil(num_places / num_strips))
        axes = np.argsort(places.min(axis=0) - places.max(axis=0), kind="stable")
        along = np.argsort(places[:, axes[0]], kind="stable")
        strip = np.arange(num_places) // per_strip
        across = places[along, axes[min(1, len(axes) - 1)]]
        rows = along[np.lexsort((across, strip))]
        starts = [
            np.arange(first, min(first + per_strip, num_places), most)
            for first in range(0, num_places, per_strip)
        ]
        return cls(rows, np.concatenate(starts))


@dataclass(frozen=True)
class Boxes:
    """Boxes around places, and the range of their variances. All of shape (n_boxes, dim).

    A single observation is a box without extent.
    """

    low: np.ndarray
    high: np.ndarray
    least_variance: np.ndarray
    greatest_variance: np.ndarray

    @classmethod
    def around(cls, places: np.ndarray, variances: np.ndarray, groups: Groups) -> Boxes:
        """Box of each group of places. One row of variances serves all places."""
        own = places[groups.rows]
        shared = len(variances) == 1
        spread = np.broadcast_to(variances, own.shape) if shared else variances[groups.rows]
        return cls(
            np.minimum.reduceat(own, groups.starts),
            np.maximum.reduceat(own, groups.starts),
            np.minimum.reduceat(spread, groups.starts),
            np.maximum.reduceat(spread, groups.starts),
        )

    def one(self, index: int) -> Boxes:
        """Pick a single box, to be compared with many."""
        part = slice(index, index + 1)
        return Boxes(
            self.low[part], self.high[part], self.least_variance[part], self.greatest_variance[part]
        )


@dataclass(frozen=True)
class Bounds:
    """Bounds that hold for every pair of a place in one box and a place in another.

    Attributes
    ----------
    upper, lower : numpy.ndarray
        Of the log-affinity, less its constant −(dim/2) log 2π.
    gap, reach : numpy.ndarray
        Squared distance of the nearest and of the farthest pair, in square metres.
    exponent : numpy.ndarray
        Of half the squared distance in units of the deviations.
    """

    upper: np.ndarray
    lower: np.ndarray
    gap: np.ndarray
    reach: np.ndarray
    exponent: np.ndarray

    @classmethod
    def between(cls, one: Boxes, many: Boxes) -> Bounds:
        """Bounds between one box, or a column of them, and many."""
        upper = lower = gap = reach = exponent = np.zeros(1)
        for axis in range(one.low.shape[-1]):
            low, high = one.low[:, axis, None], one.high[:, axis, None]
            gaps = np.maximum(low - many.high[:, axis], many.low[:, axis] - high)
            gaps = np.square(np.maximum(gaps, 0.0))
            reaches = np.square(np.maximum(high - many.low[:, axis], many.high[:, axis] - low))
            least = one.least_variance[:, axis, None] + many.least_variance[:, axis]
            greatest = one.greatest_variance[:, axis, None] + many.greatest_variance[:, axis]
            scaled = reaches / least
            upper = upper - 0.5 * (np.log(least) + gaps / greatest)
            lower = lower - 0.5 * (np.log(greatest) + scaled)
            exponent = exponent + 0.5 * scaled
            gap, reach = gap + gaps, reach + reaches
        return cls(upper, lower, gap, reach, exponent)


@dataclass(frozen=True)
class Chosen:
    """Rows of the observations that can matter to a group of queries.

    Attributes
    ----------
    rows : numpy.ndarray of int
    exponent : float
        Bound on the exponents that set the precision: that of the observation that surely weighs
        most, and that of the group's own extent. Larger ones belong to weights that are as small.
    """

    rows: np.ndarray
    exponent: float


class Screen:
    """Finds, for groups of queries, the observations that can matter.

    Parameters
    ----------
    locations, location_sds : torch.Tensor of shape (n_observations, dim)
        In metres; rows with infinite deviations never matter.
    match_threshold : float or None
        In metres.
    tail : float
        Share of the weight that may be left out.
    with_nearest : bool
        Whether the nearest observation must be among those found, however little it weighs.
    nearby : callable, optional
        Finds observations near a box without looking at all of them.
    """

    def __init__(
        self,
        locations: torch.Tensor,
        location_sds: torch.Tensor,
        match_threshold: float | None,
        tail: float,
        with_nearest: bool,
        nearby: Nearby | None = None,
    ) -> None:
        self._locations = locations.detach().cpu().numpy()
        self._sds = location_sds.detach().cpu().numpy()
        self._threshold_squared = np.inf if match_threshold is None else match_threshold**2
        self._match_threshold = match_threshold
        self._tail = tail
        self._with_nearest = with_nearest
        self._nearby = nearby if match_threshold is not None else None

    def chosen_for(self, boxes: Boxes) -> Iterator[Chosen]:
        """Find, for one box of queries after the other, what can matter.

        Parameters
        ----------
        boxes : Boxes

        Yields
        ------
        Chosen
        """
        num_boxes = len(boxes.low)
        if self._nearby is not None:
            threshold = float(self._match_threshold or 0.0)
            for index in range(num_boxes):
                box = boxes.one(index)
                rows = self._nearby(box.low[0], box.high[0], threshold)
                least = box.least_variance.min() + np.square(self._sds[rows].min(initial=np.inf))
                reach = threshold + np.linalg.norm(box.high - box.low)
                yield Chosen(rows, float(reach**2 / (2 * least)))
            return
        present = np.flatnonzero(np.isfinite(self._sds).all(axis=-1))
        if num_boxes == 1 or len(present) < 4 * GROUP:
            for index in range(num_boxes):
                yield self._refine(boxes.one(index), present)
            return
        # First whole groups of observations, then the observations of those that are left.
        places = self._locations[present].astype(np.float64)
        variances = np.square(self._sds[present].astype(np.float64))
        groups = Groups.of_neighbours(places, max(GROUP // 4, len(present) // 1024))
        kept = self._matter(Bounds.between(boxes, Boxes.around(places, variances, groups)))
        members = present[groups.rows]
        sizes = np.diff(groups.starts, append=len(members))
        for index in range(num_boxes):
            yield self._refine(boxes.one(index), members[np.repeat(kept[index], sizes)])

    def _refine(self, box: Boxes, rows: np.ndarray) -> Chosen:
        if len(rows) == 0:
            return Chosen(rows, 0.0)
        places = self._locations[rows].astype(np.float64)
        variances = np.square(self._sds[rows].astype(np.float64))
        bounds = Bounds.between(box, Boxes(places, places, variances, variances))
        near = self._within(bounds)[0]
        floor, best = self._floor(bounds)
        # From the least up, what together stays below the share of the floor may go.
        share = np.where(near, np.exp(np.minimum(bounds.upper[0] - floor[0], 1.0)), 0.0)
        order = np.argsort(share)
        kept = np.empty(len(rows), dtype=bool)
        kept[order] = np.cumsum(share[order]) > self._tail / 2
        kept &= near
        if self._with_nearest:
            kept |= near & (bounds.gap <= bounds.reach.min())[0]
        extent = np.square(box.high - box.low) / (box.least_variance + variances.min(axis=0))
        return Chosen(rows[kept], float(max(bounds.exponent[0, best[0]], extent.sum() / 8)))

    def _matter(self, bounds: Bounds) -> np.ndarray:
        """Which boxes of observations can matter, by the share of a single observation."""
        share = math.log(self._tail / 2 / len(self._locations))
        kept = bounds.upper >= self._floor(bounds)[0] + share
        if self._with_nearest:
            kept |= bounds.gap <= bounds.reach.min(axis=-1, keepdims=True)
        return np.asarray(kept & self._within(bounds))

    def _floor(self, bounds: Bounds) -> tuple[np.ndarray, np.ndarray]:
        """Bound on the sum of all affinities from below, and where the greatest of them is."""
        # Only what is surely within the threshold holds the floor up.
        lower = np.where(bounds.reach <= self._threshold_squared, bounds.lower, -np.inf)
        best = lower.argmax(axis=-1)
        greatest = np.take_along_axis(lower, best[:, None], axis=-1)
        shift = np.where(np.isfinite(greatest), greatest, 0.0)
        with np.errstate(divide="ignore"):
            floor = shift + np.log(np.exp(lower - shift).sum(axis=-1, keepdims=True))
        return floor, best

    def _within(self, bounds: Bounds) -> np.ndarray:
        # A little more than the threshold, as the reads round their distances.
        return np.asarray(bounds.gap <= self._threshold_squared * (1 + 1e-5))


def greatest_exponent(
    queries: torch.Tensor, sds: torch.Tensor, locations: torch.Tensor, location_sds: torch.Tensor
) -> float:
    """Bound half the squared distance of any pair, in units of the deviations.

    Parameters
    ----------
    queries, sds : torch.Tensor of shape (n_queries, dim)
        In metres; one row of deviations serves all queries.
    locations, location_sds : torch.Tensor of shape (n_observations, dim)
        In metres.

    Returns
    -------
    float
    """
    if len(locations) == 0:
        return 0.0
    arrays = [t.detach().cpu().numpy() for t in (queries, sds, locations, location_sds)]
    boxes = []
    for places, deviations in (arrays[:2], arrays[2:]):
        edges = places.min(axis=0), places.max(axis=0)
        spread = np.square(deviations.min(axis=0)), np.square(deviations.max(axis=0))
        boxes.append(Boxes(*(np.asarray(e, dtype=np.float64)[None] for e in (*edges, *spread))))
    return float(Bounds.between(*boxes).exponent[0, 0])
