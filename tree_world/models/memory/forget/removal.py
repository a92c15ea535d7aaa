"""What goes first, one by one: that without which all places are told best.

For each place there is the weighted sum of what the others sensed, less what was sensed there. To
take one observation away is to take its share out of the sums of its neighbours. So it is known at
every moment, without reading anew, how well each place is told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from tree_world.compiling import compiled
from tree_world.models.memory.forget.neighbours import Neighbours, Places
from tree_world.models.memory.projection import needed_axes
from tree_world.models.memory.types import Observations

MAY_GO, ISOLATED, OWN_ERROR, NEEDED = range(4)
"""Why an observation stays: as nothing is against its going; as it has no other to be read from; as
the rest would not tell it well enough; as another, that has gone, could not do without it."""

_REBUILD = 0.05  # a sum that has lost all but this share of its weight is added up anew
_NEARLY = 0.1  # share by which what goes may cost more than the least, which saves half the time
_UNKNOWN = -1e300  # costs less than anything, so that its turn comes first
_MARGIN = 1e-4  # share of the tolerance that is left to rounding


_PLACE = np.dtype(
    [
        ("kept", np.bool_),
        ("is_known", np.bool_),  # whether its sum is that of what is left
        ("count", np.int64),  # of neighbours that are left
        ("limit", np.float64),
        ("own", np.float64),  # log-affinity with itself
        ("square", np.float64),  # of the length of its sum
        ("weight", np.float64),  # of all in its sum
        ("reference", np.float64),  # the same when it was added up
        ("shift", np.float64),  # greatest log-affinity then, to which weights are relative
    ],
    align=True,
)


class _Told(NamedTuple):
    """What compiled functions work on, few arrays as each takes time to compile.

    Neighbours are as in `Neighbours`. The sum of row r is that of w_t (z_t − z_r) over those of its
    neighbours t that are left.
    """

    edges: np.ndarray
    rows: np.ndarray
    log_affinity: np.ndarray
    senses: np.ndarray
    sums: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Removal:
    """What is left, and how well it tells each place.

    Rows stand in an order in which neighbours are near each other.

    Attributes
    ----------
    number : int
        Observations beyond these are witnesses, which are gone already.
    order : numpy.ndarray of int, of shape (n_everything,)
        Number of the observation in each row.
    neighbours : Neighbours
        Of rows, without pairs of which both had gone at the start.
    is_whole : bool
        Whether only witnesses had gone at the start, so that no pair is missed that may count.
    """

    number: int
    order: np.ndarray
    neighbours: Neighbours
    is_whole: bool
    _told: _Told

    @classmethod
    def of(
        cls,
        everything: Observations,
        number: int,
        limits: np.ndarray,
        match_threshold: float | None,
        memory_limit: int,
    ) -> Removal:
        """Start with everything but the witnesses.

        Parameters
        ----------
        everything : Observations
        number : int
            Observations beyond these are witnesses.
        limits : numpy.ndarray of shape (n_everything,)
            How far the read at each place may be from what was sensed there, once it has gone.
        match_threshold : float, optional
        memory_limit : int
            For the lists of neighbours, in bytes.

        Returns
        -------
        Removal

        Raises
        ------
        TooManyPairs
            If the lists of neighbours do not fit the limit.
        """
        kept = np.arange(len(everything)) < number
        places, senses = Places.of(everything), in_few_axes(everything.senses)
        return cls.starting(places, senses, kept, number, limits, match_threshold, memory_limit)

    @classmethod
    def starting(
        cls,
        places: Places,
        senses: np.ndarray,
        kept: np.ndarray,
        number: int,
        limits: np.ndarray,
        match_threshold: float | None,
        memory_limit: int,
    ) -> Removal:
        """Start where some have gone already, witnesses and others.

        Parameters
        ----------
        places : Places
        senses : numpy.ndarray of shape (n_everything, n_axes), of single precision
        kept : numpy.ndarray of bool, of shape (n_everything,)
        number, limits, match_threshold, memory_limit
            As for `of`.

        Returns
        -------
        Removal

        Raises
        ------
        TooManyPairs
            If the lists of neighbours do not fit the limit.
        """
        is_whole = bool(kept[:number].all())
        order = places.in_strips(match_threshold)[0]
        kept, gone = kept[order], None if kept.all() else ~kept[order]
        near = Neighbours.of(places.take(order), match_threshold, memory_limit, gone)
        senses = senses[order]
        # Fields as attributes, in plain Python, too.
        state = np.zeros(len(senses), dtype=_PLACE).view(np.recarray)
        state["kept"], state["limit"] = kept, limits[order] * (1 - _MARGIN)
        state["own"] = near.own_log_affinity
        sums = np.zeros_like(senses)
        told = _Told(near.edges, near.rows, near.log_affinity, senses, sums, state)
        return cls(number, order, near, is_whole, told)

    @property
    def kept(self) -> np.ndarray:
        """Whether what is in each row is left."""
        kept: np.ndarray = self._told.places["kept"]
        return kept

    @property
    def left(self) -> np.ndarray:
        """Whether each of the observations is left."""
        left = np.empty_like(self.kept)
        left[self.order] = self.kept
        return left

    def costs(self) -> tuple[np.ndarray, np.ndarray]:
        """Say of each observation what it would cost to remove it, and why it cannot go.

        Returns
        -------
        costs : numpy.ndarray of shape (n_everything,)
            Growth of the squared error, summed over all places; infinite for what stays.
        reasons : numpy.ndarray of int, of shape (n_everything,)
            `MAY_GO`, `ISOLATED`, `OWN_ERROR` or `NEEDED`; the first for what has gone, too.
        """
        _, of_rows, why = self._remove(0, np.zeros(1, dtype=np.bool_))
        costs, reasons = np.empty_like(of_rows), np.empty_like(why)
        costs[self.order], reasons[self.order] = of_rows, why
        return costs, reasons

    def errors(self, which: np.ndarray, senses: torch.Tensor) -> np.ndarray:
        """Read some places from the others that are left, in double precision.

        Parameters
        ----------
        which : numpy.ndarray of int, of shape (n,)
            Numbers of observations.
        senses : torch.Tensor of shape (n_everything, sensory_dim)
            What was sensed, in any axes.

        Returns
        -------
        numpy.ndarray of shape (n,)
            How far it is from what is read; infinite where nothing is.
        """
        values = senses.detach().cpu().double().numpy()
        near = self.neighbours.among(np.argsort(self.order)[which], self.kept)
        error: np.ndarray = np.linalg.norm(
            near.weights() @ values[self.order] - values[which], axis=1
        )
        error[np.diff(near.edges) == 0] = np.inf
        return error

    def remove_greedily(self, max_passes: int, target_size: int, stop: np.ndarray) -> None:
        """Remove what may go, the least important first.

        Parameters
        ----------
        max_passes : int
            Over what is left; a pass in which nothing goes is the last.
        target_size : int
            Stop when so few are left.
        stop : numpy.ndarray of bool, of shape (1,)
            It ends when this is set.
        """
        for _ in range(max_passes):
            if self._remove(max(0, int(self.kept.sum()) - target_size), stop)[0] == 0:
                break

    def _remove(self, most: int, stop: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """Remove so many at most; returns how many went, and `costs`, which may be out of date."""
        number = len(self.kept)
        leaves = 1 << max(number - 1, 1).bit_length()
        costs, reasons = np.full(leaves, np.inf), np.full(number, MAY_GO)
        costs[:number][self.kept] = _UNKNOWN
        winners = np.arange(-leaves, leaves)
        first = leaves
        while first > 1:
            one, other = winners[first : 2 * first].reshape(-1, 2).T
            first //= 2
            winners[first : 2 * first] = np.where(costs[one] <= costs[other], one, other)
        removed = _remove_greedily(self._told, most, stop, costs, winners, reasons)
        return removed, costs[:number], reasons

    def put_back(self, observations: np.ndarray) -> bool:
        """Let observations stay after all; for a witness, which cannot, let its neighbours stay.

        Parameters
        ----------
        observations : numpy.ndarray of int
            Their numbers.

        Returns
        -------
        bool
            Whether there were any that had gone.
        """
        before = int(self.kept.sum())
        spoilt = np.zeros(len(self.kept), dtype=np.bool_)
        spoilt[observations] = True
        own = self.order < self.number
        for row in np.flatnonzero(spoilt[self.order]).tolist():
            self.kept[row] = own[row]
            if not own[row]:
                near = self.neighbours.of_row(row)
                self.kept[near] |= own[near]
        self._told.places["is_known"] = False
        return int(self.kept.sum()) > before


def in_few_axes(senses: torch.Tensor) -> np.ndarray:
    """Express senses in as many axes as they need, in single precision.

    Parameters
    ----------
    senses : torch.Tensor of shape (n, sensory_dim)

    Returns
    -------
    numpy.ndarray of shape (n, n_axes)
        With the same distances between them.

    Examples
    --------
    >>> in_few_axes(torch.ones(3, 384)).shape
    (3, 1)
    """
    senses = senses.detach().cpu()
    axes = needed_axes(senses)
    if axes.shape[1] == senses.shape[1]:
        return np.ascontiguousarray(senses.float().numpy())
    parts = [(part.double() @ axes).float() for part in senses.split(8192)]
    return np.ascontiguousarray(torch.cat(parts).numpy())


# --- compiled ------------------------------------------------------------------------------------


@compiled
def _add_up(
    row: int | np.int64, without: int, s: _Told, total: np.ndarray
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


@compiled
def _cost(row: int, s: _Told, scratch: np.ndarray) -> tuple[float, int]:
    """Say what it would cost to remove a row: the growth of the squared error; and if it may go."""
    own = s.places[row]
    if own.count == 0:
        return np.inf, ISOLATED
    after = own.square / (own.weight * own.weight)
    if after > own.limit * own.limit:
        return np.inf, OWN_ERROR
    whole = own.weight + np.exp(own.own - own.shift)
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
        weight_before, weight = its.weight, its.weight - share
        if its.kept:
            itself = np.exp(its.own - its.shift)
            weight_before += itself
            weight += itself
        else:
            if its.count == 1:
                return np.inf, NEEDED
            if weight < _REBUILD * its.reference:  # too little is left of it to subtract from
                square, weight, _ = _add_up(other, row, s, scratch)
            if square > (its.limit * weight) * (its.limit * weight):
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
def _remove_greedily(
    s: _Told,
    most: int,
    stop: np.ndarray,
    costs: np.ndarray,
    winners: np.ndarray,
    reasons: np.ndarray,
) -> int:
    """Remove what costs least, as long as it may go; returns how many went.

    The queue is a tree of matches, each of which the lower cost wins; what is not in it costs
    infinity. Costs in it may be out of date. The first is computed anew, and goes if it is still
    hardly more than the next.
    """
    nobody = len(s.places)
    for row in range(len(s.places)):
        own = s.places[row]
        if not own.is_known:
            own.square, own.weight, own.shift = _add_up(row, nobody, s, s.sums[row])
            own.reference, own.count, own.is_known = own.weight, 0, True
            for at in range(s.edges[row], s.edges[row + 1]):
                own.count += s.places[s.rows[at]].kept
    scratch = np.empty_like(s.senses[0])
    removed = 0
    while not stop[0]:
        row = winners[1]
        is_new = costs[row] == _UNKNOWN
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
            if its.weight < _REBUILD * its.reference:
                its.square, its.weight, its.shift = _add_up(other, nobody, s, s.sums[other])
                its.reference = its.weight
                continue
            square = 0.0
            for k in range(s.senses.shape[1]):
                s.sums[other, k] -= share * (s.senses[row, k] - s.senses[other, k])
            for k in range(s.senses.shape[1]):
                square += np.float64(s.sums[other, k]) * s.sums[other, k]
            its.square = square
    return removed
