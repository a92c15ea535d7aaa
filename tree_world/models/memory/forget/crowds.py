"""Crowds, whose lists of neighbours would not fit: parts of them are thinned first."""

from __future__ import annotations

import math

import numpy as np
import scipy.spatial
import torch

from tree_world.models.memory.forget.certificate import (
    errors_at,
    limits_of_what_stays,
    spoilt_kept,
    without,
)
from tree_world.models.memory.forget.greedy import ISOLATED, MAY_GO, OWN_ERROR
from tree_world.models.memory.forget.neighbours import Places, TooManyPairs
from tree_world.models.memory.forget.removal import Removal, in_few_axes
from tree_world.models.memory.store.task import stop_if_asked
from tree_world.models.memory.types import Observations

PART = 512
"""Observations of a crowd that are looked at together, where all would be too many."""

_PASSES = 10  # over a part of a crowd
_CAUTION = 0.75  # share of the tolerance that parts may use at first, each without the others
_CROWDED = 64  # where everything may go, as many of each part stay, until lists fit the limit
_FIRST_BACK = 1 / 32  # share of what is not told that is put back at first, doubled each time
_LITTLE = 0.05  # it is not worth while to take a crowd in parts again if less than that went


class Crowds:
    """What is left before neighbours are listed: everything, or what a crowd is thinned to.

    Parameters
    ----------
    everything : Observations
    number : int
        Observations beyond these are witnesses, which are gone already.
    limits : numpy.ndarray of shape (n_everything,)
    match_threshold : float, optional
    stop : numpy.ndarray of bool, of shape (1,)
    limits_kept : numpy.ndarray of shape (n_everything,), optional
        Of what stays; it has none by default.
    """

    def __init__(
        self,
        everything: Observations,
        number: int,
        limits: np.ndarray,
        match_threshold: float | None,
        stop: np.ndarray,
        limits_kept: np.ndarray | None = None,
    ) -> None:
        self.number, self.limits, self.match_threshold = number, limits, match_threshold
        self.limits_kept = limits_kept
        self.places, self.senses = Places.of(everything), in_few_axes(everything.senses)
        locations, sds = (
            array.detach().cpu() for array in (everything.locations, everything.location_sds)
        )
        senses = torch.from_numpy(self.senses).to(locations.dtype)
        self.in_few_axes = Observations(locations, sds, senses)
        self.kept = np.arange(len(everything)) < number
        self.why = np.full(len(everything), MAY_GO)
        self.generator = np.random.default_rng(0)
        self.stop = stop

    def removal_that_fits(
        self, tolerance: float, target_size: int, memory_limit: int
    ) -> Removal | None:
        """Thin crowds until the lists of neighbours fit.

        Parameters
        ----------
        tolerance : float
            Infinite where everything may go.
        target_size : int
            It is not worth while to thin below this.
        memory_limit : int
            For the lists of neighbours, in bytes.

        Returns
        -------
        Removal or None
            What goes on from here; None if the lists do not fit even then.
        """
        arrays = (self.number, self.limits, self.match_threshold)
        crowded, rounds_in_vain = _CROWDED, 0
        while True:
            try:
                return Removal.starting(
                    self.places,
                    self.senses,
                    self.kept,
                    *arrays,
                    memory_limit,
                    limits_kept=self.limits_kept,
                )
            except TooManyPairs:
                pass
            before = int(self.kept.sum())
            caution = _CAUTION if rounds_in_vain == 0 else 1.0
            self._thin(tolerance, target_size, crowded, caution)
            self.settle(self.in_few_axes)
            after = int(self.kept.sum())
            if math.isfinite(tolerance):
                in_vain = before - after <= _LITTLE * before
            else:  # everything may go: it is worth while as long as anything does
                in_vain = before == after and crowded == 1
            rounds_in_vain = rounds_in_vain + 1 if in_vain else 0
            crowded = max(1, crowded // 2)
            if after <= target_size or rounds_in_vain == 2:
                return None

    def _thin(self, tolerance: float, target_size: int, crowded: int, caution: float) -> None:
        """Prune parts of neighbourhoods, each as if there was nothing else."""
        which = np.flatnonzero(self.kept)
        self.why[which] = ISOLATED  # unless they are in a part with others
        share, excess = target_size / len(which), len(which) - target_size
        for part in self._parts(which):
            stop_if_asked(self.stop)
            # Each gives its share, rounded so that small parts give something, too.
            least = max(math.floor(share * len(part)), len(part) - excess)
            if not math.isfinite(tolerance):
                least = max(least, crowded)
            limits_kept = None
            if self.limits_kept is not None:  # nothing of a part is told better by the part alone
                alone = self.in_few_axes.take(torch.from_numpy(part))
                limits_kept = limits_of_what_stays(alone, tolerance * caution, self.match_threshold)
            removal = Removal.starting(
                self.places.take(part),
                self.senses[part],
                np.ones(len(part), dtype=np.bool_),
                len(part),
                self.limits[part] * caution,
                self.match_threshold,
                2**62,
                limits_kept=limits_kept,
            )
            removal.remove_greedily(_PASSES, least, self.stop)
            self.kept[part] = removal.left
            excess -= len(part) - int(removal.left.sum())
            self.why[part] = removal.costs()[1]

    def _parts(self, which: np.ndarray) -> list[np.ndarray]:
        """Part observations by squares as wide as the reach, and crowded squares at random."""
        places, side = self.places.places[which], self.places.width(self.match_threshold)
        shift = self.generator.random(places.shape[1])  # other squares each time
        squares = np.floor(places / side + shift)  # all in one if everything is in reach
        _, square, sizes = np.unique(squares, axis=0, return_inverse=True, return_counts=True)
        order = np.lexsort((self.generator.random(len(which)), square.ravel()))
        square = square.ravel()[order]
        rank = np.arange(len(which)) - (np.cumsum(sizes) - sizes)[square]
        part = rank % -(-sizes // PART)[square]
        by_part = np.lexsort((part, square))
        square, part = square[by_part], part[by_part]
        changes = 1 + np.flatnonzero((np.diff(square) != 0) | (np.diff(part) != 0))
        return [which[rows] for rows in np.split(order[by_part], changes) if len(rows) > 1]

    def settle(self, everything: Observations) -> np.ndarray:
        """Put back of what is not told by what is left, until all that has gone is told.

        Around what stays and is beyond its limit, what has gone is put back in the same way.

        Some are put back first, as one of a crowd speaks for many; then more.

        Parameters
        ----------
        everything : Observations
            With all axes of their senses, or in few.

        Returns
        -------
        numpy.ndarray of shape (n_gone,)
            Errors of what has gone, but for witnesses.
        """
        share = _FIRST_BACK
        while True:
            stop_if_asked(self.stop)
            gone = np.flatnonzero(~self.kept)
            errors = errors_at(gone, everything, without(gone, everything), self.match_threshold)
            spoilt = gone[(errors > self.limits[gone]) | np.isinf(errors)]
            back = spoilt[spoilt < self.number]
            helpless = spoilt[spoilt >= self.number]  # a witness: what is near it can be put back
            if self.limits_kept is not None:
                away = ~self.kept
                worse = spoilt_kept(away, everything, self.limits_kept, self.match_threshold)
                helpless = np.union1d(helpless, worse)
            if len(helpless) > 0:
                back = np.union1d(back, self._near(gone[gone < self.number], helpless))
            if len(back) == 0:
                return errors[gone < self.number]
            back = self.generator.permutation(back)[: math.ceil(share * len(back))]
            share = min(1.0, 2 * share)
            self.kept[back] = True
            self.why[back] = OWN_ERROR

    def _near(self, which: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Those that are in reach of any of the others."""
        if self.match_threshold is None or len(which) == 0:
            return which
        tree = scipy.spatial.cKDTree(np.unique(self.places.places[others], axis=0))
        distance, _ = tree.query(self.places.places[which])
        near: np.ndarray = which[distance <= self.places.width(self.match_threshold)]
        return near
