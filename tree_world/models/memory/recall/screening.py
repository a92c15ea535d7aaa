"""Which observations can matter to which queries: bounds that let a read leave out the rest.

Queries are gathered into groups of neighbours, and so are the observations. A group lies in a box.
The nearest and the farthest point of two boxes bound the affinity of every pair from above and from
below. The lower bounds of all observations add up to a floor under the sum of the affinities of
every query in a box, so observations whose upper bound stays below the share ``tail / n`` of that
floor can be left out: all of them together weigh less than ``tail``.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
import torch

from tree_world.compiling import compiled
from tree_world.models.memory.kernel.bounds import bound_affinities
from tree_world.models.memory.recall.plan import BOUNDS, BOXES, OBSERVATIONS, PARALLEL_FROM
from tree_world.models.memory.types import Observations


@dataclass(frozen=True)
class Groups:
    """Rows in an order in which neighbours stand together, and where each group starts and ends.

    Attributes
    ----------
    rows : numpy.ndarray of int, of shape (n_rows,)
    edges : numpy.ndarray of int, of shape (n_groups + 1,)
    """

    rows: np.ndarray
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(np.split(self.rows, self.edges[1:-1]))

    @property
    def sizes(self) -> np.ndarray:
        """How many rows each group has."""
        return np.diff(self.edges)

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
        if num_places <= most:
            return cls(np.arange(num_places), np.array([0, num_places] if num_places else [0]))
        num_strips = math.ceil(math.sqrt(math.ceil(num_places / most)))
        # Whole groups in every strip but the last, so that hardly any is smaller than it may be.
        per_strip = most * max(1, math.ceil(num_places / num_strips / most))
        axes = np.argsort([-np.ptp(places[:, axis]) for axis in range(places.shape[1])])
        along, across = places[:, axes[0]], places[:, axes[min(1, len(axes) - 1)]]
        strips = np.split(np.argsort(along), np.arange(per_strip, num_places, per_strip))
        rows = np.concatenate([strip[np.argsort(across[strip])] for strip in strips])
        return cls(rows, np.append(np.arange(0, num_places, most), num_places))


@dataclass(frozen=True)
class Boxes:
    """Boxes around groups of places, and the range of their variances. All (n_boxes, dim)."""

    low: np.ndarray
    high: np.ndarray
    least_variance: np.ndarray
    greatest_variance: np.ndarray

    @classmethod
    def around(cls, places: np.ndarray, variances: np.ndarray, groups: Groups) -> Boxes:
        """Box of each group of places. One row of variances serves all places."""
        starts = groups.edges[:-1]
        own = places[groups.rows]
        low, high = np.minimum.reduceat(own, starts), np.maximum.reduceat(own, starts)
        if len(variances) == 1:
            shared = np.repeat(variances, len(starts), axis=0)
            return cls(low, high, shared, shared)
        spread = variances[groups.rows]
        return cls(
            low, high, np.minimum.reduceat(spread, starts), np.maximum.reduceat(spread, starts)
        )

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All four, as compiled functions take them."""
        return self.low, self.high, self.least_variance, self.greatest_variance


def grouped(observations: Observations) -> tuple[np.ndarray, Groups, Boxes]:
    """Gather observations into groups of neighbours.

    Parameters
    ----------
    observations : Observations

    Returns
    -------
    rows : numpy.ndarray of int
        All rows with finite deviations, one group after the other.
    groups : Groups
    boxes : Boxes
        Around the groups.
    """
    arrays = (observations.locations, observations.location_sds)
    locations, sds = (array.detach().cpu().numpy() for array in arrays)
    present = np.flatnonzero(np.isfinite(sds).all(axis=-1))
    places = locations[present].astype(np.float64)
    variances = np.square(sds[present].astype(np.float64))
    groups = Groups.of_neighbours(places, max(OBSERVATIONS, len(present) // BOXES))
    return present[groups.rows], groups, Boxes.around(places, variances, groups)


def boxes_that_matter(
    queries: Boxes,
    observations: Boxes,
    sizes: np.ndarray,
    match_threshold: float | None,
    tail: float,
    with_nearest: bool,
) -> np.ndarray:
    """Find the boxes of observations that can matter to each box of queries.

    Parameters
    ----------
    queries, observations : Boxes
        Variances must be finite.
    sizes : numpy.ndarray of int, of shape (n_observation_boxes,)
        How many observations there are in each box.
    match_threshold : float or None
        In metres.
    tail : float
        Share of the weight that all that is left out may have.
    with_nearest : bool
        Whether the nearest observation must be in one of the boxes, however little it weighs.

    Returns
    -------
    numpy.ndarray of bool, of shape (n_query_boxes, n_observation_boxes)
    """
    num_queries, num_observations = len(queries.low), len(observations.low)
    kept = np.zeros((num_queries, num_observations), dtype=np.bool_)
    # A little more than the threshold, as reads round their distances.
    reach = np.inf if match_threshold is None else match_threshold * (1 + 1e-6)
    share = math.log(tail / max(int(sizes.sum()), 1))

    def fill(first: int, stride: int) -> None:
        _fill_what_matters(
            first,
            stride,
            *queries.arrays,
            *observations.arrays,
            sizes,
            reach**2,
            share,
            with_nearest,
            kept,
        )

    in_parallel(fill, num_queries, BOUNDS * num_queries * num_observations)
    return kept


def in_parallel(
    work: Callable[[int, int], None],
    number: int,
    multiplications: float,
    most_threads: int | None = None,
) -> None:
    """Share items of work out among as many threads as PyTorch uses.

    Parameters
    ----------
    work : callable
        Takes a first item and a stride: thread i of n does the items i, i + n, i + 2n, …, so that
        neighbours, which have equally much to do, go to different threads.
    number : int
        Number of items.
    multiplications : float
        How much there is to do; with little, threads would take longer to wake than to work.
    most_threads : int, optional
    """
    threads = torch.get_num_threads() if multiplications >= PARALLEL_FROM else 1
    threads = max(1, min(threads, number, most_threads or threads))
    if threads == 1:
        work(0, 1)
        return
    pool = _pool(os.getpid())
    others = [pool.submit(work, first, threads) for first in range(1, threads)]
    try:
        work(0, threads)
    finally:
        wait(others)
    for other in others:
        other.result()


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    # Threads are kept, as to start one can take longer than its work; a forked process has none of
    # those of its parent.
    return ThreadPoolExecutor(max(1, torch.get_num_threads() - 1))


@compiled
def _fill_what_matters(
    first: int,
    stride: int,
    query_low: np.ndarray,
    query_high: np.ndarray,
    query_least: np.ndarray,
    query_greatest: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    least: np.ndarray,
    greatest: np.ndarray,
    sizes: np.ndarray,
    threshold_squared: float,
    log_share: float,
    with_nearest: bool,
    kept: np.ndarray,
) -> None:
    num_boxes = len(low)
    uppers, lowers = np.empty(num_boxes), np.empty(num_boxes)
    gaps, reaches = np.empty(num_boxes), np.empty(num_boxes)
    for query in range(first, len(query_low), stride):
        bound_affinities(
            query_low[query],
            query_high[query],
            query_least[query],
            query_greatest[query],
            low,
            high,
            least,
            greatest,
            threshold_squared,
            uppers,
            lowers,
            gaps,
            reaches,
        )
        best, floor, nearest_reach = -np.inf, 0.0, np.inf
        for box in range(num_boxes):
            if gaps[box] > threshold_squared:
                continue
            nearest_reach = min(nearest_reach, reaches[box])
            lower = lowers[box]
            if lower > -np.inf:  # only what surely counts holds the floor up
                if lower > best:
                    floor *= math.exp(best - lower)
                    best = lower
                floor += sizes[box] * math.exp(lower - best)
        least_that_matters = best + math.log(floor) + log_share if floor > 0.0 else -np.inf
        for box in range(num_boxes):
            if gaps[box] <= threshold_squared and (
                uppers[box] >= least_that_matters or (with_nearest and gaps[box] <= nearest_reach)
            ):
                kept[query, box] = True
