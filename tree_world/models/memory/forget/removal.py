"""What goes first, one by one: that without which all places are told best.

For each place there is the weighted sum of what the others sensed, less what was sensed there. To
take one observation away is to take its share out of the sums of its neighbours. So it is known at
every moment, without reading anew, how well each place is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tree_world.models.memory.forget.greedy import (
    MAY_GO,
    PAIR_BYTES,
    PLACE,
    UNKNOWN,
    Pairs,
    Told,
    remove_exactly,
    remove_lazily,
)
from tree_world.models.memory.forget.neighbours import Neighbours, Places
from tree_world.models.memory.projection import needed_axes
from tree_world.models.memory.types import Observations

__all__ = ["CROWDED", "EXACT"]

EXACT = 5000
"""Observations, witnesses among them, up to which always the one goes that costs least."""

CROWDED = 2 * 10**9
"""Up to which sum of the squares of their numbers of neighbours: that of a crowd of 1260, each of
which has all others for neighbours. Beyond it exactness would take longer than some ten seconds."""

MARGIN = 1e-4
"""Share of what is tolerated that is left to rounding."""


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
    is_exact : bool
        Whether always the one goes that costs least; else nearly the least, by a lazy queue.
    """

    number: int
    order: np.ndarray
    neighbours: Neighbours
    is_whole: bool
    is_exact: bool
    _told: Told

    @classmethod
    def of(
        cls,
        everything: Observations,
        number: int,
        limits: np.ndarray,
        match_threshold: float | None,
        memory_limit: int,
        *,
        limits_kept: np.ndarray | None = None,
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
        limits_kept : numpy.ndarray of shape (n_everything,), optional
            How far the read at each place may be as long as its observation is there, by more than
            rounding; as far as it comes, by default.

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
        arrays = (places, senses, kept, number, limits)
        return cls.starting(*arrays, match_threshold, memory_limit, limits_kept=limits_kept)

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
        *,
        limits_kept: np.ndarray | None = None,
    ) -> Removal:
        """Start where some have gone already, witnesses and others.

        Parameters
        ----------
        places : Places
        senses : numpy.ndarray of shape (n_everything, n_axes), of single precision
        kept : numpy.ndarray of bool, of shape (n_everything,)
        number, limits, match_threshold, memory_limit, limits_kept
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
        state = np.zeros(len(senses), dtype=PLACE).view(np.recarray)
        state["kept"], state["limit"] = kept, limits[order] * (1 - MARGIN)
        state["limit_kept"] = np.inf if limits_kept is None else limits_kept[order] * (1 - MARGIN)
        state["own"] = near.own_log_affinity
        sums = np.zeros_like(senses)
        told = Told(near.edges, near.rows, near.log_affinity, senses, sums, state)
        needed = near.rows.nbytes + near.log_affinity.nbytes + PAIR_BYTES * len(near.rows)
        is_exact = len(senses) <= EXACT and needed <= memory_limit
        is_exact &= int(np.square(np.diff(near.edges)).sum()) <= CROWDED
        return cls(number, order, near, is_whole, is_exact, told)

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

    def errors_kept(self) -> np.ndarray:
        """Read the places of observations that are left from these and all others that are left.

        Returns
        -------
        numpy.ndarray of shape (n_left,)
            How far they are from what is read, in single precision, as of the last call of `costs`.
        """
        its, error = self._told.places, np.empty(len(self.kept))
        error[self.order] = np.sqrt(its["square"]) / (its["weight"] + its["itself"])
        of_left: np.ndarray = error[self.left]
        return of_left

    def remove_greedily(self, max_passes: int, target_size: int, stop: np.ndarray) -> None:
        """Remove what may go, the least important first.

        Parameters
        ----------
        max_passes : int
            Over what is left; a pass in which nothing goes is the last. An exact one is enough.
        target_size : int
            Stop when so few are left.
        stop : numpy.ndarray of bool, of shape (1,)
            It ends when this is set.
        """
        for _ in range(1 if self.is_exact else max_passes):
            if self._remove(max(0, int(self.kept.sum()) - target_size), stop)[0] == 0:
                break

    def _remove(self, most: int, stop: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """Remove so many at most; returns how many went, and costs, old ones where it is lazy."""
        number = len(self.kept)
        reasons = np.full(number, MAY_GO)
        if self.is_exact:
            costs = np.full(number, np.inf)
            pairs = Pairs.of(self._told)
            return remove_exactly(self._told, most, stop, pairs, costs, reasons), costs, reasons
        leaves = 1 << max(number - 1, 1).bit_length()
        costs = np.full(leaves, np.inf)
        costs[:number][self.kept] = UNKNOWN
        winners = np.arange(-leaves, leaves)
        first = leaves
        while first > 1:
            one, other = winners[first : 2 * first].reshape(-1, 2).T
            first //= 2
            winners[first : 2 * first] = np.where(costs[one] <= costs[other], one, other)
        removed = remove_lazily(self._told, most, stop, costs, winners, reasons)
        return removed, costs[:number], reasons

    def put_back(self, observations: np.ndarray) -> bool:
        """Let observations stay after all.

        A witness cannot, and what stays already need not: of these let the neighbours stay.

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
        spoilt = spoilt[self.order]
        stays = self.kept & spoilt
        self.kept[spoilt & own] = True
        for row in np.flatnonzero(spoilt & (stays | ~own)).tolist():
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
