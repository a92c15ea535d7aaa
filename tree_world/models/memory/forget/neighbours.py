"""Pairs of observations that are near each other, and how much each counts for the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import scipy.spatial
import torch

from tree_world.compiling import compiled
from tree_world.models.memory.kernel.affinity import (
    LEAST_VARIANCE,
    limit_squared,
    log_affinities_of_pairs,
    log_affinity_of_rows,
)
from tree_world.models.memory.types import Observations, ReadOptions

PRUNING_LIMIT = 2**30
"""Default bound, in bytes, on the lists of neighbours that pruning keeps."""

FEW = 1024
"""Observations up to which pairs in reach go through NumPy, which takes no time to compile.

Without a threshold it is half as many: there are more pairs then, and compiled functions quicker.
"""

_NEGLIGIBLE = 40.0  # without a threshold, what weighs less than the best by e to this is left out
# Number, log-affinity in single or double precision, and a share of the copies of both.
_PAIR_BYTES = {np.dtype(np.float32): 12, np.dtype(np.float64): 18}
_SINGLE = 256.0  # up to here, a log-affinity in single precision is right to 8e-6
_TOGETHER = 2**18  # pairs, or those of one row, whose weights are computed together
_SOME = 64  # rows from which it is estimated whether there are far too many pairs


class TooManyPairs(MemoryError):
    """Raised when the lists of neighbours would not fit the limit."""


@dataclass(frozen=True)
class Places:
    """Places and the squares of their deviations, in double precision.

    Attributes
    ----------
    places, variances : numpy.ndarray of shape (n, dim)
        In metres, and in square metres.
    dtype : torch.dtype
        In which places are kept, and distances compared.
    """

    places: np.ndarray
    variances: np.ndarray
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def of(cls, observations: Observations) -> Places:
        """Take them from observations."""
        arrays = (observations.locations, observations.location_sds)
        places, sds = (array.detach().cpu().double().numpy() for array in arrays)
        variances = np.maximum(np.square(sds), LEAST_VARIANCE)
        return cls(places, variances, observations.locations.dtype)

    def take(self, rows: np.ndarray) -> Places:
        """Take some of them."""
        return Places(self.places[rows], self.variances[rows], self.dtype)

    def limit(self, match_threshold: float | None) -> float:
        """Greatest squared distance of neighbours."""
        ReadOptions(match_threshold)  # which checks it
        return limit_squared(match_threshold, self.dtype)

    def width(self, match_threshold: float | None) -> float:
        """How wide strips are: a little more than the reach, and a million of them are enough."""
        reach = math.sqrt(self.limit(match_threshold)) * (1 + 1e-9)
        return max(reach, 1e-6 * float(np.abs(self.places).max(initial=0.0))) or 1.0

    def in_strips(self, match_threshold: float | None) -> tuple[np.ndarray, np.ndarray]:
        """Sort by strips as wide as the reach, and along each strip; and number the strips."""
        strips = np.floor(self.places[:, 0] / self.width(match_threshold))
        along = self.places[:, -1]
        order = np.lexsort((along, strips))
        return order, strips[order]


@dataclass(frozen=True)
class Neighbours:
    """Of each row r its neighbours ``rows[edges[r]:edges[r + 1]]``, without itself.

    Attributes
    ----------
    edges : numpy.ndarray of int, of shape (n + 1,)
    rows : numpy.ndarray of int, of shape (n_pairs,)
    log_affinity : numpy.ndarray of shape (n_pairs,)
        But for a constant, in single precision where that is enough.
    own_log_affinity : numpy.ndarray of shape (n,)
        Of each place with itself, but for the same constant.
    """

    edges: np.ndarray
    rows: np.ndarray
    log_affinity: np.ndarray
    own_log_affinity: np.ndarray

    def of_row(self, row: int) -> np.ndarray:
        """Take the neighbours of one row."""
        return self.rows[self.edges[row] : self.edges[row + 1]]

    def among(self, which: np.ndarray, kept: np.ndarray) -> Neighbours:
        """Take some rows, and of their neighbours those that are left.

        Parameters
        ----------
        which : numpy.ndarray of int, of shape (m,)
        kept : numpy.ndarray of bool, of shape (n,)

        Returns
        -------
        Neighbours
            Of m rows.
        """
        numbers = np.diff(self.edges)[which]
        ends = np.cumsum(numbers)
        at = np.repeat(self.edges[which] - ends + numbers, numbers) + np.arange(numbers.sum())
        is_left = kept[self.rows[at]]
        row = np.repeat(np.arange(len(which)), numbers)[is_left]
        edges = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(which)))])
        at = at[is_left]
        return Neighbours(edges, self.rows[at], self.log_affinity[at], self.own_log_affinity)

    def weights(self) -> scipy.sparse.csr_array:
        """Weigh the neighbours of each row, so that their weights sum to one.

        Returns
        -------
        scipy.sparse.csr_array of shape (n_rows, n)
            Entry (r, t) is the weight of t in the read at r from all others. A row without
            neighbours has no entries.
        """
        edges = np.unique(self.edges)  # of rows that have neighbours
        weights = np.empty(len(self.rows), dtype=np.float32)
        first = 0
        while first < len(edges) - 1:
            last = int(np.searchsorted(edges, edges[first] + _TOGETHER, side="right")) - 1
            last = max(last, first + 1)
            start, end = edges[first], edges[last]
            begins, numbers = edges[first:last] - start, np.diff(edges[first : last + 1])
            logarithm = self.log_affinity[start:end].astype(np.float64)
            logarithm -= np.repeat(np.maximum.reduceat(logarithm, begins), numbers)
            share = np.exp(logarithm)
            weights[start:end] = share / np.repeat(np.add.reduceat(share, begins), numbers)
            first = last
        shape = (len(self.edges) - 1, len(self.own_log_affinity))
        return scipy.sparse.csr_array((weights, self.rows, self.edges), shape=shape, copy=False)

    @classmethod
    def of(
        cls,
        places: Places,
        match_threshold: float | None,
        memory_limit: int,
        gone: np.ndarray | None = None,
    ) -> Neighbours:
        """List pairs within reach, but for pairs of which both have gone: no read needs them.

        Parameters
        ----------
        places : Places
        match_threshold : float, optional
            Without one all pairs are looked at, and those kept that weigh more than e⁻⁴⁰ times the
            best of either.
        memory_limit : int
            In bytes.
        gone : numpy.ndarray of bool, of shape (n,), optional
            None where all are there.

        Returns
        -------
        Neighbours

        Raises
        ------
        TooManyPairs
            If the lists do not fit the limit.
        """
        if len(places) <= (FEW // 2 if match_threshold is None else FEW):
            return cls._of_few(places, match_threshold, memory_limit, gone)
        return cls._of_many(places, match_threshold, memory_limit, gone)

    @classmethod
    def _of_few(
        cls,
        places: Places,
        match_threshold: float | None,
        memory_limit: int,
        gone: np.ndarray | None,
    ) -> Neighbours:
        limit, least = places.limit(match_threshold), np.full(len(places), -np.inf)
        one, other, log_affinity = _pairs(places, limit)
        counts = log_affinity > -np.inf
        if match_threshold is None:
            for rows in (one, other):
                np.maximum.at(least, rows, log_affinity)
            least -= _NEGLIGIBLE
            counts &= log_affinity >= np.minimum(least[one], least[other])
        if gone is not None:
            counts &= ~(gone[one] & gone[other])
        is_wide = _greatest_log_affinity(places, limit, least) > _SINGLE
        dtype = np.dtype(np.float64 if is_wide else np.float32)
        most = memory_limit // _PAIR_BYTES[dtype]
        one, other, log_affinity = one[counts], other[counts], log_affinity[counts]
        if 2 * len(one) > most:
            raise _too_many(len(places), most, memory_limit)
        # Each pair by its number, which is not zero, at both its places.
        shape, numbers = (len(places), len(places)), np.arange(1, len(one) + 1)
        upper = scipy.sparse.csr_array((numbers, (one, other)), shape=shape)
        both = upper + upper.T.tocsr()
        both.sort_indices()
        edges, rows = both.indptr.astype(np.int64), both.indices.astype(np.int32)
        found = log_affinity[both.data - 1].astype(dtype)
        return cls(edges, rows, found, _own_log_affinity(places))

    @classmethod
    def _of_many(
        cls,
        places: Places,
        match_threshold: float | None,
        memory_limit: int,
        gone: np.ndarray | None,
    ) -> Neighbours:
        order, strips = places.in_strips(match_threshold)
        ordered, limit = places.take(order), places.limit(match_threshold)
        arrays = (ordered.places, ordered.variances, order, strips, limit)
        least = np.full(len(order), -np.inf)
        dtype: np.dtype[Any] = np.dtype(np.float32)
        most = memory_limit // _PAIR_BYTES[dtype]
        if match_threshold is None:
            if gone is None and _pairs_of_some(places) > 2 * most:
                raise _too_many(len(order), most, memory_limit)
            least = find_best(places) - _NEGLIGIBLE
        if _greatest_log_affinity(places, limit, least) > _SINGLE:
            dtype = np.dtype(np.float64)
            most = memory_limit // _PAIR_BYTES[dtype]
        everyone = np.arange(len(order))
        left = everyone if gone is None else np.flatnonzero(~gone[order])
        away = everyone[:0] if gone is None else np.flatnonzero(gone[order])
        counts = np.zeros(len(order), dtype=np.int64)
        nothing = np.empty(0, dtype=np.int32), np.empty(0, dtype=dtype)
        total = 0
        for ours, others in ((left, everyone), (away, left)):
            total += _find_neighbours(
                *arrays, least, ours, others, False, most - total, counts, *nothing
            )
            if total > most:
                raise _too_many(len(order), most, memory_limit)
        edges = np.concatenate([[0], np.cumsum(counts)])
        rows = np.empty(edges[-1], dtype=np.int32)
        log_affinity = np.empty(edges[-1], dtype=dtype)
        ends = edges[:-1].copy()
        for ours, others in ((left, everyone), (away, left)):
            _find_neighbours(*arrays, least, ours, others, True, most, ends, rows, log_affinity)
        return cls(edges, rows, log_affinity, _own_log_affinity(places))


def _own_log_affinity(places: Places) -> np.ndarray:
    own: np.ndarray = -0.5 * np.log(2 * places.variances).sum(axis=-1)
    return own


def _pairs(places: Places, limit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List all pairs once, or those in reach, with their log-affinities, which may be -infinity."""
    if math.isinf(limit):
        one, other = np.triu_indices(len(places), 1)
    else:
        tree = scipy.spatial.cKDTree(places.places)
        reach = math.sqrt(limit) * (1 + 1e-9)  # who counts is decided below
        one, other = np.ascontiguousarray(tree.query_pairs(reach, output_type="ndarray").T)
    return (
        one,
        other,
        log_affinities_of_pairs(places.places, places.variances, one, other, limit),
    )


def find_best(places: Places) -> np.ndarray:
    """Find the greatest log-affinity of each place with any other; all are within reach.

    Parameters
    ----------
    places : Places

    Returns
    -------
    numpy.ndarray of shape (n,)
        Minus infinity where there is no other.
    """
    best = np.full(len(places), -np.inf)
    _find_best(places.places, places.variances, best)
    return best


def _too_many(number: int, most: int, memory_limit: int) -> TooManyPairs:
    return TooManyPairs(
        f"{number} observations have more than {most // 2} pairs of neighbours, whose lists do not "
        f"fit the limit of {memory_limit / 2**20:.3g} MiB. Give a smaller match_threshold, or a "
        "greater memory_limit."
    )


def _greatest_log_affinity(places: Places, limit: float, least: np.ndarray) -> float:
    """Bound the size of log-affinities that count, be they positive or negative."""
    if len(least) == 0:
        return 0.0
    if math.isinf(limit):
        return float(np.abs(least[np.isfinite(least)]).max(initial=0.0))
    volume = np.abs(np.log(2 * places.variances)).sum(axis=-1).max() / 2
    return float(volume + limit / (4 * places.variances.min()))


def _pairs_of_some(places: Places) -> float:
    """Estimate from some rows, from below, how many pairs there are without a threshold."""
    if len(places.places) < _SOME:
        return 0.0
    counts = []
    for row in np.random.default_rng(0).integers(len(places.places), size=_SOME):
        everyone, alone = np.arange(len(places.places)), np.full(len(places.places), row)
        affinity = log_affinities_of_pairs(
            places.places, places.variances, alone, everyone, math.inf
        )
        best = np.delete(affinity, row).max()
        counts.append(int((affinity >= best - _NEGLIGIBLE).sum()) - 1)
    return float(np.mean(counts)) * len(places.places)


# --- compiled ------------------------------------------------------------------------------------


@compiled
def _find_best(places: np.ndarray, variances: np.ndarray, best: np.ndarray) -> None:
    for a in range(len(places)):
        for b in range(a):
            affinity = log_affinity_of_rows(places, variances, a, b, np.inf)
            best[a] = max(best[a], affinity)
            best[b] = max(best[b], affinity)


@compiled
def _find_neighbours(
    places: np.ndarray,
    variances: np.ndarray,
    order: np.ndarray,
    strips: np.ndarray,
    limit: float,
    least: np.ndarray,
    ours: np.ndarray,
    others: np.ndarray,
    fill: bool,
    most: int,
    ends: np.ndarray,
    rows: np.ndarray,
    log_affinity: np.ndarray,
) -> int:
    """Go through all pairs within reach: count them, or write them down from where rows start.

    Places are in the order of strips; neighbours are in the same strip or in one beside it. A pair
    is left out if it has less than the least log-affinity of both its rows. Of each pair the first
    is one of ours and the second one of the others; it ends, unless it fills, after more than so
    many, and returns how many there were.
    """
    number, total = len(others), 0
    strips_of_others = strips[others]
    starts = np.zeros(3, dtype=np.int64)  # first place in each of three strips that is in reach
    for at in range(len(ours)):
        a = ours[at]
        if at == 0 or strips[a] != strips[ours[at - 1]]:
            for side in range(3):
                starts[side] = np.searchsorted(strips_of_others, strips[a] + side - 1)
        own = order[a]
        for side in range(3):
            strip = strips[a] + side - 1
            along, at_b = places[a, -1], starts[side]
            while at_b < number and strips_of_others[at_b] == strip:
                step = along - places[others[at_b], -1]
                if step <= 0.0 or step * step <= limit:
                    break
                at_b += 1
            starts[side] = at_b
            while at_b < number and strips_of_others[at_b] == strip:
                b = others[at_b]
                step = places[b, -1] - along
                if step > 0.0 and step * step > limit:
                    break
                other = order[b]
                affinity = log_affinity_of_rows(places, variances, a, b, limit)
                if a != b and affinity > -np.inf and affinity >= min(least[own], least[other]):
                    if fill:
                        rows[ends[own]] = other
                        log_affinity[ends[own]] = affinity
                    ends[own] += 1
                    total += 1
                at_b += 1
        if total > most and not fill:
            break
    return total
