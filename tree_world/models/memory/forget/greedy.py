"""In which order observations go: compiled loops over sums that are kept up to date.

Two of them. The exact one keeps for every pair of neighbours what the going of the one adds to the
squared error at the place of the other, so that it always knows who costs least. The lazy one
computes costs anew when their turn comes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tree_world.compiling import compiled

MAY_GO, ISOLATED, OWN_ERROR, NEEDED = range(4)
"""Why an observation stays: as nothing is against its going; as it has no other to be read from; as
the rest would not tell it well enough; as another could not do without it."""

UNKNOWN = -1e300
"""Costs less than anything, so that its turn comes first."""

_NEARLY = 0.1  # share by which what goes may cost more than the least, where that is lazy
_REBUILD = 0.1  # a sum that has lost all but this share of its weight is added up anew
_TOO_LITTLE = 0.05  # the same for a sum that somebody would leave, if he went
_TINY = np.float32(1e-12)

PLACE = np.dtype(
    [
        ("kept", np.bool_),
        ("is_known", np.bool_),  # whether its sum is that of what is left
        ("count", np.int64),  # of neighbours that are left
        ("limit", np.float64),  # of its error, once it has gone
        ("limit_kept", np.float64),  # and as long as it is there
        ("own", np.float64),  # log-affinity with itself
        ("square", np.float64),  # of the length of its sum
        ("weight", np.float64),  # of all in its sum
        ("itself", np.float64),  # its own weight, which does not belong to it
        ("reference", np.float64),  # weight when it was added up
        ("shift", np.float64),  # greatest log-affinity then, to which weights are relative
    ],
    align=True,
)

SHARE, ACROSS, ALONG, TERM, VETO = range(5)
"""What `Pairs` keeps of a place r and a neighbour t: the weight of t at r; the square of the step
z_t − z_r; that step times the sum of r; what the going of t would add to the squared error at r;
and one if that must not be."""


class Told(NamedTuple):
    """What compiled functions work on, few arrays as each takes time to compile.

    Neighbours are as in `tree_world.models.memory.forget.neighbours.Neighbours`. The sum of row r
    is that of w_t (z_t − z_r) over those of its neighbours t that are left.
    """

    edges: np.ndarray
    rows: np.ndarray
    log_affinity: np.ndarray
    senses: np.ndarray
    sums: np.ndarray
    places: np.ndarray


class Pairs(NamedTuple):
    """Of each row the neighbours that are left, from its edge on, and what is known of each.

    Attributes
    ----------
    left : numpy.ndarray of int, of shape (n_pairs,)
        Their rows.
    known : numpy.ndarray of shape (5, n_pairs), of single precision
        `SHARE`, `ACROSS`, `ALONG`, `TERM` and `VETO` of each.
    totals : numpy.ndarray of shape (2, n)
        Of each row its terms at all its neighbours, and its vetoes.
    scratch : numpy.ndarray of shape (3, max(n, n_axes)), of single precision
    """

    left: np.ndarray
    known: np.ndarray
    totals: np.ndarray
    scratch: np.ndarray

    @classmethod
    def of(cls, told: Told) -> Pairs:
        """Make room for them."""
        (number, axes), pairs = told.senses.shape, len(told.rows)
        return cls(
            np.empty(pairs, dtype=np.int32),
            np.empty((5, pairs), dtype=np.float32),
            np.zeros((2, number)),
            np.empty((3, max(number, axes)), dtype=np.float32),
        )


PAIR_BYTES = 24
"""Bytes of `Pairs` for each pair."""


@compiled
def _add_up(
    row: int | np.int64, without: int | np.int64, s: Told, total: np.ndarray
) -> tuple[float, float, float]:
    """Add up a row from what is left, but for one that is left out.

    Returns the squared length of the sum, the weight and the shift.
    """
    shift, weight, square = -np.inf, 0.0, 0.0
    for at in range(s.edges[row], s.edges[row + 1]):
        if s.places[s.rows[at]].kept and s.rows[at] != without:
            shift = max(shift, s.log_affinity[at])
    for k in range(s.senses.shape[1]):
        total[k] = 0.0
    for at in range(s.edges[row], s.edges[row + 1]):
        other = s.rows[at]
        if s.places[other].kept and other != without:
            share = np.float32(math.exp(s.log_affinity[at] - shift))
            weight += float(share)
            for k in range(s.senses.shape[1]):
                total[k] += share * (s.senses[other, k] - s.senses[row, k])
    for k in range(s.senses.shape[1]):
        square += np.float64(total[k]) * total[k]
    return square, weight, shift


# --- exact ---------------------------------------------------------------------------------------


@compiled
def remove_exactly(
    s: Told, most: int, stop: np.ndarray, pairs: Pairs, costs: np.ndarray, reasons: np.ndarray
) -> int:
    """Remove so many at most, always what costs least of all that may go; of equals the first.

    Parameters
    ----------
    s : Told
    most : int
    stop : numpy.ndarray of bool, of shape (1,)
        It ends when this is set.
    pairs : Pairs
        As they are made; they are filled.
    costs, reasons : numpy.ndarray of shape (n,)
        They are filled.

    Returns
    -------
    int
        How many went.
    """
    places, senses, sums, left, known = s.places, s.senses, s.sums, pairs.left, pairs.known
    terms, vetoes, added = pairs.totals[0], pairs.totals[1], pairs.scratch[0]
    away, total = pairs.scratch[1], pairs.scratch[2]
    one, two = np.float32(1.0), np.float32(2.0)
    removed, gone, first, end = 0, -1, 0, len(places)
    while True:
        # Bring up to date: at first all rows; then the neighbours of what has gone, and itself.
        for i in range(first, end):
            row = i if gone < 0 else gone if i == end - 1 else np.int64(s.rows[i])
            own, start = places[row], s.edges[row]
            to_list = gone < 0
            if to_list:
                own.count = 0
            elif row != gone:
                hole = start
                while left[hole] != gone:
                    hole += 1
                share, across = known[SHARE, hole], known[ACROSS, hole]
                own.count -= 1
                last = start + own.count
                left[hole] = left[last]
                for k in range(len(known)):
                    known[k, hole] = known[k, last]
                own.weight -= share
                own.is_known = own.weight >= _REBUILD * own.reference
                to_list = not own.is_known
                own.square = 0.0
                for k in range(senses.shape[1]):
                    sums[row, k] -= share * (senses[gone, k] - senses[row, k])
                    own.square += np.float64(sums[row, k]) * sums[row, k]
                half, theirs, their = (
                    np.float32(0.5) * share,
                    left[start:last],
                    known[:, start:last],
                )
                for j in range(len(theirs)):
                    their[ALONG, j] -= half * (across + their[ACROSS, j] - away[theirs[j]])
            if not own.is_known:
                own.square, own.weight, own.shift = _add_up(row, len(places), s, sums[row])
                own.itself = np.exp(own.own - own.shift)
                own.reference, own.is_known = own.weight, True
            if to_list:
                for at in range(start, start + own.count):  # undo what was told
                    terms[left[at]] -= known[TERM, at]
                    vetoes[left[at]] -= known[VETO, at]
                own.count = 0
                for at in range(start, s.edges[row + 1]):
                    other = s.rows[at]
                    if places[other].kept:
                        to = start + own.count
                        left[to], known[SHARE, to] = other, math.exp(s.log_affinity[at] - own.shift)
                        for k in range(ACROSS, len(known)):
                            known[k, to] = 0.0
                        for k in range(senses.shape[1]):
                            step = senses[other, k] - senses[row, k]
                            known[ALONG, to] += sums[row, k] * step
                            known[ACROSS, to] += step * step
                        own.count += 1
            kept, count, weight = own.kept, own.count, own.weight
            limit = own.limit_kept if kept else own.limit
            inverse = np.float32(1.0 / max(weight + (own.itself if kept else 0.0), 1e-300))
            square = np.float32(own.square * inverse * inverse)
            within = np.float32(limit * limit)
            theirs, their = left[start : start + count], known[:, start : start + count]
            for j in range(count):
                share = their[SHARE, j] * inverse
                rest = max(one - share, _TINY)
                step = share * their[ACROSS, j] - two * inverse * their[ALONG, j]
                added[j] = share * ((two - share) * square + step) / (rest * rest)
            if not kept or limit < np.inf:
                for j in range(count):
                    veto = square + added[j] > within
                    if not kept and (
                        count == 1 or weight - their[SHARE, j] < _TOO_LITTLE * own.reference
                    ):
                        added[j], veto = 0.0, True
                        if count > 1:  # too little is left of it to subtract from
                            error, weight_left, _ = _add_up(row, np.int64(theirs[j]), s, total)
                            error /= weight_left * weight_left
                            added[j], veto = error - square, error > limit * limit
                    vetoes[theirs[j]] += np.float64(veto) - their[VETO, j]
                    their[VETO, j] = veto
            for j in range(count):
                terms[theirs[j]] += np.float64(added[j]) - their[TERM, j]
                their[TERM, j] = added[j]
        gone, least = -1, np.inf
        for row in range(len(places)):
            own = places[row]
            costs[row], reasons[row] = np.inf, MAY_GO
            if not own.kept:
                continue
            if own.count == 0:
                reasons[row] = ISOLATED
            elif own.square > (own.limit * own.weight) * (own.limit * own.weight):
                reasons[row] = OWN_ERROR
            elif vetoes[row] > 0.0:
                reasons[row] = NEEDED
            else:
                weight, whole = own.weight, own.weight + own.itself
                costs[row] = terms[row] + own.square / (weight * weight)
                costs[row] -= own.square / (whole * whole)
                if costs[row] < least:
                    gone, least = row, costs[row]
        if gone < 0 or removed == most or stop[0]:
            return removed
        removed += 1
        places[gone].kept = False
        first, end = s.edges[gone], s.edges[gone + 1] + 1
        for row in range(len(places)):
            away[row] = 0.0
            for k in range(senses.shape[1]):
                step = senses[row, k] - senses[gone, k]
                away[row] += step * step


# --- lazy ----------------------------------------------------------------------------------------


@compiled
def _cost(row: int, s: Told, scratch: np.ndarray) -> tuple[float, int]:
    """Say what it would cost to remove a row: the growth of the squared error; and if it may go."""
    own = s.places[row]
    if own.count == 0:
        return np.inf, ISOLATED
    after = own.square / (own.weight * own.weight)
    if after > own.limit * own.limit:
        return np.inf, OWN_ERROR
    whole = own.weight + own.itself
    cost = after - own.square / (whole * whole)
    for at in range(s.edges[row], s.edges[row + 1]):
        other = np.int64(s.rows[at])
        its = s.places[other]
        share = math.exp(s.log_affinity[at] - its.shift)
        along, across = np.float32(0.0), np.float32(0.0)
        for k in range(s.senses.shape[1]):
            step = s.senses[row, k] - s.senses[other, k]
            along += s.sums[other, k] * step
            across += step * step
        square = max(0.0, its.square - 2 * share * along + share * share * across)
        weight_before, weight, limit = its.weight, its.weight - share, its.limit_kept
        if its.kept:
            weight_before += its.itself
            weight += its.itself
        else:
            limit = its.limit
            if its.count == 1:
                return np.inf, NEEDED
            if weight < _TOO_LITTLE * its.reference:  # too little is left of it to subtract from
                square, weight, _ = _add_up(other, row, s, scratch)
        if square > (limit * weight) * (limit * weight):
            return np.inf, NEEDED
        cost += square / (weight * weight) - its.square / (weight_before * weight_before)
    return cost, MAY_GO


@compiled
def _play(row: int, costs: np.ndarray, winners: np.ndarray) -> None:
    """Let a row, whose cost has changed, play its matches again."""
    match = (len(costs) + row) // 2
    while match > 0:
        one, other = winners[2 * match], winners[2 * match + 1]
        winners[match] = one if costs[one] <= costs[other] else other
        match //= 2


@compiled
def remove_lazily(
    s: Told,
    most: int,
    stop: np.ndarray,
    costs: np.ndarray,
    winners: np.ndarray,
    reasons: np.ndarray,
) -> int:
    """Remove what costs nearly least, as long as it may go.

    The queue is a tree of matches, each of which the lower cost wins; what is not in it costs
    infinity. Costs in it may be out of date. The first is computed anew, and goes if it is still
    hardly more than the next.

    Parameters
    ----------
    s : Told
    most : int
    stop : numpy.ndarray of bool, of shape (1,)
        It ends when this is set.
    costs : numpy.ndarray of shape (n_leaves,)
        `UNKNOWN` for what is left, infinite for the rest; a power of two, at least as many as rows.
    winners : numpy.ndarray of int, of shape (2 * n_leaves,)
        Of the matches.
    reasons : numpy.ndarray of int, of shape (n,)
        They are filled, as costs are.

    Returns
    -------
    int
        How many went.
    """
    nobody = len(s.places)
    for row in range(len(s.places)):
        own = s.places[row]
        if not own.is_known:
            own.square, own.weight, own.shift = _add_up(row, nobody, s, s.sums[row])
            own.itself, own.reference = np.exp(own.own - own.shift), own.weight
        own.is_known, own.count = True, 0
        for at in range(s.edges[row], s.edges[row + 1]):
            own.count += s.places[s.rows[at]].kept
    scratch = np.empty_like(s.senses[0])
    removed = 0
    while not stop[0]:
        row = winners[1]
        is_new = costs[row] == UNKNOWN
        if costs[row] == np.inf or (removed == most and not is_new):
            break
        costs[row], reasons[row] = _cost(row, s, scratch)
        _play(row, costs, winners)
        least = costs[winners[1]]
        if reasons[row] != MAY_GO or is_new or costs[row] > least + _NEARLY * abs(least):
            continue
        removed += 1
        costs[row] = np.inf
        _play(row, costs, winners)
        s.places[row].kept = False
        for at in range(s.edges[row], s.edges[row + 1]):
            other = np.int64(s.rows[at])
            its = s.places[other]
            its.count -= 1
            share = np.float32(math.exp(s.log_affinity[at] - its.shift))
            its.weight -= share
            if its.weight < _TOO_LITTLE * its.reference:
                its.square, its.weight, its.shift = _add_up(other, nobody, s, s.sums[other])
                its.itself, its.reference = np.exp(its.own - its.shift), its.weight
                continue
            square = 0.0
            for k in range(s.senses.shape[1]):
                s.sums[other, k] -= share * (s.senses[row, k] - s.senses[other, k])
            for k in range(s.senses.shape[1]):
                square += np.float64(s.sums[other, k]) * s.sums[other, k]
            its.square = square
    return removed
