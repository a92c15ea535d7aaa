"""Which observations a memory can do without, with a certificate that it can.

What an observation is worth shows when the memory is asked, at its place, without it. Two that lean
on each other are each worth nothing, and together a lot: what may go depends on what went before.
So observations go one by one. Of each that has gone it is known at every moment how well the rest
still tells it, and no other goes that would spoil that.
"""

from __future__ import annotations

import heapq
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import scipy.spatial
import torch

from tree_world.checks import real_number, whole_number
from tree_world.compiling import compiled, times
from tree_world.models.memory.kernel.affinity import limit_squared
from tree_world.models.memory.projection import needed_axes
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.store.task import stop_if_asked
from tree_world.models.memory.types import Observations, ReadOptions, Witnesses

PRUNING_LIMIT = 2**30
"""Default bound, in bytes, on the lists of neighbours that pruning keeps."""

_NEGLIGIBLE = 40.0  # without a threshold, what weighs less than the best by e to this is left out
# Number, log-affinity in single or double precision, and a share of the copies of both.
_PAIR_BYTES = {np.dtype(np.float32): 12, np.dtype(np.float64): 18}
_SINGLE = 256.0  # up to here, a log-affinity in single precision is right to 8e-6
_LEAST_VARIANCE = 1e-300  # of which there is still an inverse
_REBUILD = 0.05  # a sum that has lost all but this share of its weight is added up anew
_NEARLY = 0.1  # share by which what goes may cost more than the least, which saves half the time
_TOGETHER = 8192  # reads that are compared at a time
_MARGIN = 1e-4  # share of the tolerance that is left to rounding
_SOME = 64  # rows from which it is estimated whether there are far too many pairs
_PASSES = 10  # over a part of a crowd
_PART = 512  # observations of a crowd that are looked at together, where all would be too many
_CAUTION = (
    0.75  # share of the tolerance that parts of a crowd may use at first, each without the others
)
_CROWDED = 64  # where everything may go, as many of each part stay, until lists fit the limit
_FIRST_BACK = 1 / 32  # share of what is not told that is put back at first, doubled each time
_LITTLE = 0.05  # it is not worth while to take a crowd in parts again if less than that went

_MAY_GO, _ISOLATED, _OWN_ERROR, _NEEDED = range(4)


class _TooManyPairs(MemoryError):
    """Raised when the lists of neighbours would not fit the limit."""


# --- leaving one out -----------------------------------------------------------------------------


@dataclass(frozen=True)
class LeaveOneOut:
    """What a memory says at the place of each observation without having it.

    Attributes
    ----------
    value : torch.Tensor of shape (n_observations, sensory_dim)
        The read at each place from all others; zeros where it is isolated.
    error : torch.Tensor of shape (n_observations,)
        Distance of the value from what was sensed there; infinite where it is isolated.
    dependencies : scipy.sparse.csr_array of shape (n_observations, n_observations)
        Entry (r, t) is the weight of observation t in the read at r. Rows sum to one; a row without
        entries is isolated.
    """

    value: torch.Tensor
    error: torch.Tensor
    dependencies: scipy.sparse.csr_array

    @property
    def isolated(self) -> torch.Tensor:
        """Whether an observation has no other to be read from."""
        return torch.isinf(self.error)


def leave_one_out(
    observations: Observations,
    match_threshold: float | None = None,
    memory_limit: int = PRUNING_LIMIT,
) -> LeaveOneOut:
    r"""Read the place of each observation from all others.

    .. math::

        \hat z_r = \sum_{t \ne r} w_{rt} z_t, \qquad
        w_{rt} = \frac{k(\ell_r, \ell_t)}{\sum_{s \ne r} k(\ell_r, \ell_s)}

    with the kernel of `tree_world.models.memory.kernel.affinity`, which is the same in both
    directions. Only neighbours are visited: with a threshold, time and memory grow with their
    number.

    Parameters
    ----------
    observations : Observations
        With finite deviations.
    match_threshold : float, optional
        Observations farther away than this, in metres, do not count. Without one all pairs are
        looked at, and those kept that weigh more than e⁻⁴⁰ times the best.
    memory_limit : int, default=1 GiB
        In bytes.

    Returns
    -------
    LeaveOneOut

    Raises
    ------
    MemoryError
        If the lists of neighbours do not fit the limit.

    Examples
    --------
    >>> import torch
    >>> from tree_world.models.memory.types import Observations
    >>> places = torch.tensor([[0.0, 0.0], [1.0, 0.0], [90.0, 0.0]])
    >>> senses = torch.tensor([[1.0], [3.0], [5.0]])
    >>> left_out = leave_one_out(Observations(places, torch.full((3, 2), 5.0), senses), 25.0)
    >>> left_out.value.ravel(), left_out.isolated
    (tensor([3., 1., 0.]), tensor([False, False,  True]))
    """
    match_threshold = ReadOptions(match_threshold).match_threshold  # which checks it
    memory_limit = whole_number("memory_limit", memory_limit)
    neighbours = _Neighbours.of(_Places.of(observations), match_threshold, memory_limit)
    number = len(observations)
    weights = np.empty(len(neighbours.rows), dtype=np.float32)
    _normalise(neighbours.edges, neighbours.log_affinity, weights)
    shape = (number, number)
    arrays = (weights, neighbours.rows, neighbours.edges)
    dependencies = scipy.sparse.csr_array(arrays, shape=shape, copy=False)
    senses = observations.senses.detach().cpu()
    # Summed in double precision: thousands that are alike would lose digits.
    value = torch.from_numpy(dependencies @ senses.double().numpy()).to(senses.dtype)
    error = torch.linalg.vector_norm(value - senses, dim=-1)
    alone = torch.from_numpy(np.diff(neighbours.edges) == 0)
    error = error.masked_fill(alone, torch.inf)
    device = observations.senses.device
    return LeaveOneOut(value.to(device), error.to(device), dependencies)


# --- pruning -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PruneReport:
    """What pruning did.

    Attributes
    ----------
    num_before, num_kept : int
        Observations before and after.
    num_isolated : int
        Of those that stayed: how many have no other to be read from.
    num_own_error : int
        How many the rest would tell with more than the tolerated error.
    num_needed : int
        How many some other, that has gone, could not do without.
    num_witnesses : int
        Observations that had gone before, and against which this was certified, too.
    num_lost_witnesses : int
        Such that were out of tolerance before this began, as what they leaned on was deleted,
        replaced or contradicted. They are no longer held against anything.
    worst_error, mean_error : float
        Of what went, read from what is left; zero if nothing went.
    max_error_to_prune : float
        The tolerance.
    seconds : float
    rows : tuple of PruneReport
        On each row, if this is on a batch.
    """

    num_before: int
    num_kept: int
    num_isolated: int
    num_own_error: int
    num_needed: int
    num_witnesses: int
    num_lost_witnesses: int
    worst_error: float
    mean_error: float
    max_error_to_prune: float
    seconds: float

    rows: tuple[PruneReport, ...] = ()

    @property
    def num_removed(self) -> int:
        """How many went."""
        return self.num_before - self.num_kept

    @classmethod
    def joined(cls, reports: list[PruneReport]) -> PruneReport:
        """Report on all rows of a batch: sums, and errors over all that went."""
        if len(reports) == 1:
            return reports[0]
        names = (
            "num_before", "num_kept", "num_isolated", "num_own_error", "num_needed",
            "num_witnesses", "num_lost_witnesses", "seconds",
        )  # fmt: skip
        sums = {name: sum(getattr(report, name) for report in reports) for name in names}
        removed = sum(report.num_removed for report in reports)
        errors = sum(report.mean_error * report.num_removed for report in reports)
        return cls(
            **sums,
            worst_error=max(report.worst_error for report in reports),
            mean_error=errors / max(removed, 1),
            max_error_to_prune=reports[0].max_error_to_prune,
            rows=tuple(reports),
        )

    def __str__(self) -> str:
        return (
            f"{self.num_removed} of {self.num_before} observations went, {self.num_kept} stayed "
            f"({self.num_isolated} isolated, {self.num_own_error} not told by the rest, "
            f"{self.num_needed} needed by what went); error of what went: mean "
            f"{self.mean_error:.3g}, worst {self.worst_error:.3g}, tolerated "
            f"{self.max_error_to_prune:g}; {self.seconds:.2g} s"
        )


@dataclass(frozen=True)
class Pruned:
    """What stays, and what went.

    Attributes
    ----------
    kept : numpy.ndarray of bool, of shape (n_observations,)
    witnesses_kept : numpy.ndarray of bool, of shape (n_witnesses,)
        Which of the earlier witnesses still hold.
    report : PruneReport
    """

    kept: np.ndarray
    witnesses_kept: np.ndarray
    report: PruneReport


def prune(
    observations: Observations,
    max_error_to_prune: float = 0.05,
    match_threshold: float | None = 25.0,
    max_prune_steps: int = 10,
    *,
    target_size: int = 0,
    witnesses: Witnesses | None = None,
    memory_limit: int = PRUNING_LIMIT,
    stop: np.ndarray | None = None,
) -> Pruned:
    r"""Choose observations that the others can replace.

    Observations go one by one. One may go if then

    .. math::

        \lVert \hat z_r - z_r \rVert \le \varepsilon

    for itself and for all that went before, :math:`\hat z_r` being the read from what is left. The
    end result is checked by reading; what rounding put out of tolerance is put back. Of those that
    *stay* nothing is promised: the read at their places may come to be anything, as they are only
    one voice there among others.

    Which goes first is decided by how much the squared error grows, summed over all places of
    observations. A queue keeps these costs and renews one when its turn comes, so that what has
    become cheaper meanwhile waits: it is not always the cheapest that goes.

    Where the lists of neighbours do not fit the limit, as in a crowd of ten thousand at one place,
    parts of some hundred are thinned first, each by itself, with a share of the tolerance. What
    then is not told by what is left is put back. The promise is the same; more may be left than if
    all had been looked at together, and reasons for staying are then those within a part.

    Parameters
    ----------
    observations : Observations
        With finite deviations.
    max_error_to_prune : float, default=0.05
        The tolerance ε; infinite to prune to a size, whatever it costs.
    match_threshold : float, optional
        Of the reads, in metres; 25 by default. None for none.
    max_prune_steps : int, default=10
        Passes over what is left, at most; a pass in which nothing goes is the last.
    target_size : int, default=0
        Stop when so few are left.
    witnesses : Witnesses, optional
        Observations that went before and that must be told, too, within their own limits or the
        tolerance, whichever is greater.
    memory_limit : int, default=1 GiB
        For the lists of neighbours, in bytes. What does not fit is taken in parts.
    stop : numpy.ndarray of bool, of shape (1,), optional
        Set it from another thread to cancel.

    Returns
    -------
    Pruned

    Raises
    ------
    ValueError
        If a number is out of its range.
    Cancelled
        If it was told to stop.

    Examples
    --------
    >>> import torch
    >>> from tree_world.models.memory.types import Observations
    >>> places = torch.tensor([[0.0, 0.0], [1.0, 0.0], [90.0, 0.0]])
    >>> same = Observations(places, torch.full((3, 2), 5.0), torch.ones(3, 4))
    >>> prune(same).kept  # either of two, and what stands alone
    array([False,  True,  True])
    """
    max_error_to_prune, max_prune_steps, target_size = check_pruning(
        max_error_to_prune, max_prune_steps, target_size
    )
    memory_limit = whole_number("memory_limit", memory_limit)
    match_threshold = ReadOptions(match_threshold).match_threshold  # which checks it
    started = time.perf_counter()
    stop = np.zeros(1, dtype=np.bool_) if stop is None else stop
    number = len(observations)
    everything, limits = observations, np.full(number, float(max_error_to_prune))
    held = np.ones(0, dtype=np.bool_)
    if witnesses is not None and len(witnesses) > 0:
        allowed = np.maximum(witnesses.limits, max_error_to_prune)
        everyone = np.arange(len(witnesses))
        found = _errors(witnesses.observations, everyone, observations, match_threshold)
        held = found <= allowed
        still = witnesses.take(np.flatnonzero(held))
        everything = observations.followed_by(still.observations)
        limits = np.concatenate([limits, allowed[held]])
    work = _Work(everything, number, limits, match_threshold, stop)
    state = work.state_that_fits(max_error_to_prune, target_size, memory_limit)
    if state is None:
        kept, why = work.kept[:number], work.why[work.kept]
        errors = work.settle(everything)
    else:
        state.remove_greedily(max_prune_steps, target_size, stop)
        errors = _put_back(state, everything, limits, match_threshold, stop)
        kept, why = state.left[:number], state.reasons()
    report = PruneReport(
        num_before=number,
        num_kept=int(kept.sum()),
        num_isolated=int((why == _ISOLATED).sum()),
        num_own_error=int((why == _OWN_ERROR).sum()),
        num_needed=int((why == _NEEDED).sum()),
        num_witnesses=int(held.sum()),
        num_lost_witnesses=int((~held).sum()),
        worst_error=float(errors.max(initial=0.0)),
        mean_error=float(errors.mean()) if len(errors) else 0.0,
        max_error_to_prune=max_error_to_prune,
        seconds=time.perf_counter() - started,
    )
    return Pruned(kept, held, report)


def check_pruning(
    max_error_to_prune: float, max_prune_steps: int, target_size: int
) -> tuple[float, int, int]:
    """Take the numbers as those of Python; raise ValueError if one is out of its range."""
    max_error_to_prune = real_number("max_error_to_prune", max_error_to_prune)
    max_prune_steps = whole_number("max_prune_steps", max_prune_steps)
    target_size = whole_number("target_size", target_size)
    if not max_error_to_prune >= 0:
        raise ValueError(
            "max_error_to_prune must be a distance between senses of at least 0, but is "
            f"{max_error_to_prune!r}."
        )
    if max_prune_steps < 1:
        raise ValueError(f"max_prune_steps must be at least 1, but is {max_prune_steps!r}.")
    if target_size < 0:
        raise ValueError(f"target_size must not be negative, but is {target_size!r}.")
    return max_error_to_prune, max_prune_steps, target_size


def _errors(
    everything: Observations, which: np.ndarray, observations: Observations,
    match_threshold: float | None,
) -> np.ndarray:  # fmt: skip
    """How far reads at some of the places are from what was sensed there; infinite for nothing."""
    errors = np.empty(len(which))
    options = ReadOptions(match_threshold)
    dim = everything.locations.shape[1]
    for start in range(0, len(which), _TOGETHER):
        rows = torch.from_numpy(which[start : start + _TOGETHER])
        part = everything.take(rows.to(everything.senses.device))
        with torch.no_grad():
            queries = torch.cat([part.locations, part.location_sds], dim=1)
            alike, number = torch.unique(queries, dim=0, return_inverse=True)
            many = 2 * len(alike) <= len(queries)  # who rests asks for one place again and again
            queries = alike if many else queries
            found = read(queries[:, :dim], queries[:, dim:], observations, options)
            mean, known = found.mean, found.known
            if many:
                mean, known = mean[number], known[number]
            distance = torch.linalg.vector_norm((mean - part.senses).double(), dim=-1)
            distance = distance.masked_fill(~known, torch.inf)
        errors[start : start + _TOGETHER] = distance.cpu().numpy()
    return errors


def _put_back(
    state: _State, everything: Observations, limits: np.ndarray, match_threshold: float | None,
    stop: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Read what went from what is left, put back what is out of tolerance, until nothing is."""
    while True:
        stop_if_asked(stop)
        left = state.left
        gone = np.flatnonzero(~left)
        if len(gone) == 0:
            return np.empty(0)
        errors = _errors(everything, gone, _without(everything, gone), match_threshold)
        spoilt = gone[errors > limits[gone]]
        # A witness that is out of tolerance with all its neighbours there is so by rounding.
        if len(spoilt) == 0 or not state.put_back(spoilt):
            return errors[gone < state.number]


def _without(everything: Observations, gone: np.ndarray) -> Observations:
    """Leave some out: reads pass over infinite deviations, which saves a copy of the rest."""
    sds = everything.location_sds.detach().clone()
    sds[torch.from_numpy(gone).to(sds.device)] = torch.inf
    return Observations(everything.locations, sds, everything.senses)


@dataclass
class _State:
    """What is left, and how well it tells each place.

    Rows stand in an order in which neighbours are near each other. For each row r there are the
    weighted sum of z_t − z_r over those t that are left, without r itself; the sum of the weights,
    which are relative to the greatest at the time of adding them up; and how many there are.
    """

    number: int  # observations beyond these are witnesses, which are gone already
    order: np.ndarray  # number of the observation in each row
    kept: np.ndarray
    limits: np.ndarray
    neighbours: _Neighbours
    senses: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    weights: np.ndarray
    references: np.ndarray
    shifts: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(
        cls, everything: Observations, number: int, limits: np.ndarray,
        match_threshold: float | None, memory_limit: int,
    ) -> _State:  # fmt: skip
        """Start with everything but the witnesses."""
        kept = np.arange(len(everything)) < number
        places, senses = _Places.of(everything), _in_few_axes(everything.senses)
        return cls.starting(places, senses, kept, number, limits, match_threshold, memory_limit)

    @classmethod
    def starting(
        cls, places: _Places, senses: np.ndarray, kept: np.ndarray, number: int,
        limits: np.ndarray, match_threshold: float | None, memory_limit: int,
    ) -> _State:  # fmt: skip
        """Start where some have gone already, witnesses and others."""
        order = places.in_strips(match_threshold)[0]
        kept, gone = kept[order], None if kept.all() else ~kept[order]
        neighbours = _Neighbours.of(places.take(order), match_threshold, memory_limit, gone)
        senses = senses[order]
        total = len(senses)
        state = cls(
            number, order, kept, limits[order] * (1 - _MARGIN), neighbours, senses,
            np.zeros_like(senses), np.zeros(total), np.zeros(total), np.zeros(total),
            np.zeros(total), np.zeros(total, dtype=np.int64),
        )  # fmt: skip
        _rebuild_all(*state.arrays)
        return state

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """All, as compiled functions take them."""
        near = self.neighbours
        return (
            near.edges, near.rows, near.log_affinity, near.own_log_affinity, self.senses,
            self.kept, self.limits, self.sums, self.squares, self.weights, self.references,
            self.shifts, self.counts,
        )  # fmt: skip

    @property
    def left(self) -> np.ndarray:
        """Whether each of the observations is left."""
        left = np.empty_like(self.kept)
        left[self.order] = self.kept
        return left

    def remove_greedily(self, max_passes: int, target_size: int, stop: np.ndarray) -> None:
        """Remove what may go, the least important first."""
        for _ in range(max_passes):
            if _remove_greedily(target_size, stop, *self.arrays) == 0:
                break

    def put_back(self, observations: np.ndarray) -> bool:
        """Let observations stay after all; for a witness, which cannot, let its neighbours stay.

        Tells whether there were any that had gone.
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
        _rebuild_all(*self.arrays)
        return int(self.kept.sum()) > before

    def reasons(self) -> np.ndarray:
        """Why each of what is left cannot go."""
        return _reasons(*self.arrays)


class _Work:
    """What is left before neighbours are listed: everything, or what a crowd is thinned to.

    Parameters
    ----------
    everything : Observations
    number : int
        Observations beyond these are witnesses, which are gone already.
    limits : numpy.ndarray of shape (n_everything,)
    match_threshold : float, optional
    stop : numpy.ndarray of bool, of shape (1,)
    """

    def __init__(
        self, everything: Observations, number: int, limits: np.ndarray,
        match_threshold: float | None, stop: np.ndarray,
    ) -> None:  # fmt: skip
        self.number, self.limits, self.match_threshold = number, limits, match_threshold
        self.places, self.senses = _Places.of(everything), _in_few_axes(everything.senses)
        locations, sds = (
            array.detach().cpu() for array in (everything.locations, everything.location_sds)
        )
        senses = torch.from_numpy(self.senses).to(locations.dtype)
        self.in_few_axes = Observations(locations, sds, senses)
        self.kept = np.arange(len(everything)) < number
        self.why = np.full(len(everything), _MAY_GO)
        self.generator = np.random.default_rng(0)
        self.stop = stop

    def state_that_fits(
        self, tolerance: float, target_size: int, memory_limit: int
    ) -> _State | None:
        """Thin crowds until the lists of neighbours fit; None if they do not even then."""
        arrays = (self.number, self.limits, self.match_threshold)
        crowded, rounds_in_vain = _CROWDED, 0
        while True:
            try:
                return _State.starting(self.places, self.senses, self.kept, *arrays, memory_limit)
            except _TooManyPairs:
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
        self.why[which] = _ISOLATED  # unless they are in a part with others
        share, excess = target_size / len(which), len(which) - target_size
        for part in self._parts(which):
            stop_if_asked(self.stop)
            # Each gives its share, rounded so that small parts give something, too.
            least = max(math.floor(share * len(part)), len(part) - excess)
            if not math.isfinite(tolerance):
                least = max(least, crowded)
            state = _State.starting(
                self.places.take(part), self.senses[part], np.ones(len(part), dtype=np.bool_),
                len(part), self.limits[part] * caution, self.match_threshold, 2**62,
            )  # fmt: skip
            state.remove_greedily(_PASSES, least, self.stop)
            self.kept[part] = state.left
            excess -= len(part) - int(state.left.sum())
            self.why[part[state.order[state.kept]]] = state.reasons()[state.kept]

    def _parts(self, which: np.ndarray) -> list[np.ndarray]:
        """Part observations by squares as wide as the reach, and crowded squares at random."""
        places, side = self.places.places[which], self.places.width(self.match_threshold)
        shift = self.generator.random(places.shape[1])  # other squares each time
        squares = np.floor(places / side + shift)  # all in one if everything is in reach
        _, square, sizes = np.unique(squares, axis=0, return_inverse=True, return_counts=True)
        order = np.lexsort((self.generator.random(len(which)), square.ravel()))
        square = square.ravel()[order]
        rank = np.arange(len(which)) - (np.cumsum(sizes) - sizes)[square]
        part = rank % -(-sizes // _PART)[square]
        by_part = np.lexsort((part, square))
        square, part = square[by_part], part[by_part]
        changes = 1 + np.flatnonzero((np.diff(square) != 0) | (np.diff(part) != 0))
        return [which[rows] for rows in np.split(order[by_part], changes) if len(rows) > 1]

    def settle(self, everything: Observations) -> np.ndarray:
        """Put back of what is not told by what is left, until all that has gone is told.

        Some are put back first, as one of a crowd speaks for many; then more. Returns the errors of
        what has gone, but for witnesses.
        """
        share = _FIRST_BACK
        while True:
            stop_if_asked(self.stop)
            gone = np.flatnonzero(~self.kept)
            rest = _without(everything, gone)
            errors = _errors(everything, gone, rest, self.match_threshold)
            spoilt = gone[(errors > self.limits[gone]) | np.isinf(errors)]
            back = spoilt[spoilt < self.number]
            if len(back) < len(spoilt):  # a witness cannot be put back, but what is near it can
                near = self._near(gone[gone < self.number], spoilt[spoilt >= self.number])
                back = np.union1d(back, near)
            if len(back) == 0:
                return errors[gone < self.number]
            back = self.generator.permutation(back)[: math.ceil(share * len(back))]
            share = min(1.0, 2 * share)
            self.kept[back] = True
            self.why[back] = _OWN_ERROR

    def _near(self, which: np.ndarray, witnesses: np.ndarray) -> np.ndarray:
        """Those that are in reach of any of the witnesses."""
        if self.match_threshold is None or len(which) == 0:
            return which
        tree = scipy.spatial.cKDTree(np.unique(self.places.places[witnesses], axis=0))
        distance, _ = tree.query(self.places.places[which])
        near: np.ndarray = which[distance <= self.places.width(self.match_threshold)]
        return near


def _in_few_axes(senses: torch.Tensor) -> np.ndarray:
    """Express senses in as many axes as they need."""
    senses = senses.detach().cpu()
    axes = needed_axes(senses)
    if axes.shape[1] == senses.shape[1]:
        return np.ascontiguousarray(senses.float().numpy())
    parts = [(part.double() @ axes).float() for part in senses.split(8192)]
    return np.ascontiguousarray(torch.cat(parts).numpy())


# --- neighbours ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Places:
    """Places and the squares of their deviations, in double precision."""

    places: np.ndarray
    variances: np.ndarray
    dtype: torch.dtype  # in which places are kept

    @classmethod
    def of(cls, observations: Observations) -> _Places:
        arrays = (observations.locations, observations.location_sds)
        places, sds = (array.detach().cpu().double().numpy() for array in arrays)
        variances = np.maximum(np.square(sds), _LEAST_VARIANCE)
        return cls(places, variances, observations.locations.dtype)

    def take(self, rows: np.ndarray) -> _Places:
        return _Places(self.places[rows], self.variances[rows], self.dtype)

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
class _Neighbours:
    """Of each row r its neighbours ``rows[edges[r]:edges[r + 1]]``, without itself."""

    edges: np.ndarray
    rows: np.ndarray
    log_affinity: np.ndarray
    own_log_affinity: np.ndarray

    def of_row(self, row: int) -> np.ndarray:
        return self.rows[self.edges[row] : self.edges[row + 1]]

    @classmethod
    def of(
        cls, places: _Places, match_threshold: float | None, memory_limit: int,
        gone: np.ndarray | None = None,
    ) -> _Neighbours:  # fmt: skip
        """List pairs within reach, but for pairs of which both have gone: no read needs them."""
        order, strips = places.in_strips(match_threshold)
        ordered, limit = places.take(order), places.limit(match_threshold)
        arrays = (ordered.places, ordered.variances, order, strips, limit)
        least = np.full(len(order), -np.inf)
        dtype: np.dtype[Any] = np.dtype(np.float32)
        most = memory_limit // _PAIR_BYTES[dtype]
        if match_threshold is None:
            if gone is None and _pairs_of_some(places) > 2 * most:
                raise _too_many(len(order), most, memory_limit)
            _find_best(*arrays, least)
            least -= _NEGLIGIBLE
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
            _find_neighbours(
                *arrays, least, ours, others, True, most, ends, rows, log_affinity
            )  # fmt: skip
        own = -0.5 * np.log(2 * places.variances).sum(axis=-1)
        return cls(edges, rows, log_affinity, own)


def _too_many(number: int, most: int, memory_limit: int) -> _TooManyPairs:
    return _TooManyPairs(
        f"{number} observations have more than {most // 2} pairs of neighbours, whose lists do not "
        f"fit the limit of {memory_limit / 2**20:.3g} MiB. Give a smaller match_threshold, or a "
        "greater memory_limit."
    )


def _greatest_log_affinity(places: _Places, limit: float, least: np.ndarray) -> float:
    """Bound the size of log-affinities that count, be they positive or negative."""
    if len(least) == 0:
        return 0.0
    if math.isinf(limit):
        return float(np.abs(least[np.isfinite(least)]).max(initial=0.0))
    volume = np.abs(np.log(2 * places.variances)).sum(axis=-1).max() / 2
    return float(volume + limit / (4 * places.variances.min()))


def _pairs_of_some(places: _Places) -> float:
    """Estimate from some rows, from below, how many pairs there are without a threshold."""
    if len(places.places) < _SOME:
        return 0.0
    counts = []
    for row in np.random.default_rng(0).integers(len(places.places), size=_SOME):
        variances = places.variances + places.variances[row]
        steps = places.places - places.places[row]
        affinity = -0.5 * (np.square(steps) / variances + np.log(variances)).sum(axis=-1)
        best = np.delete(affinity, row).max()
        counts.append(int((affinity >= best - _NEGLIGIBLE).sum()) - 1)
    return float(np.mean(counts)) * len(places.places)


# --- compiled ------------------------------------------------------------------------------------


@compiled
def _affinity_within(
    places: np.ndarray, variances: np.ndarray, a: int, b: int, limit: float
) -> float:
    """Log-affinity of two places but for a constant; minus infinity beyond the limit."""
    square, exponent, volume, log_volume = 0.0, 0.0, 1.0, 0.0
    for axis in range(places.shape[1]):
        step = places[a, axis] - places[b, axis]
        variance = variances[a, axis] + variances[b, axis]
        square += step * step
        exponent += 0.5 * step * step / variance
        volume, log_volume = times(volume, log_volume, variance)
    return -exponent - 0.5 * (math.log(volume) + log_volume) if square <= limit else -np.inf


@compiled
def _find_best(
    places: np.ndarray, variances: np.ndarray, order: np.ndarray, strips: np.ndarray,
    limit: float, best: np.ndarray,
) -> None:  # fmt: skip
    """Find the greatest log-affinity of each row with any other, all being within reach."""
    for a in range(len(order)):
        for b in range(a):
            affinity = _affinity_within(places, variances, a, b, limit)
            best[order[a]] = max(best[order[a]], affinity)
            best[order[b]] = max(best[order[b]], affinity)


@compiled
def _find_neighbours(
    places: np.ndarray, variances: np.ndarray, order: np.ndarray, strips: np.ndarray,
    limit: float, least: np.ndarray, ours: np.ndarray, others: np.ndarray, fill: bool, most: int,
    ends: np.ndarray, rows: np.ndarray, log_affinity: np.ndarray,
) -> int:  # fmt: skip
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
                affinity = _affinity_within(places, variances, a, b, limit)
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


@compiled
def _normalise(edges: np.ndarray, log_affinity: np.ndarray, weights: np.ndarray) -> None:
    """Turn the log-affinities of each row into weights that sum to one."""
    for row in range(len(edges) - 1):
        start, end = edges[row], edges[row + 1]
        greatest, total = -np.inf, 0.0
        for at in range(start, end):
            greatest = max(greatest, log_affinity[at])
        for at in range(start, end):
            total += math.exp(log_affinity[at] - greatest)
        for at in range(start, end):
            weights[at] = math.exp(log_affinity[at] - greatest) / total


@compiled
def _rebuild(
    row: int, without: int, edges: np.ndarray, rows: np.ndarray, log_affinity: np.ndarray,
    senses: np.ndarray, kept: np.ndarray, total: np.ndarray,
) -> tuple[float, float, float, int]:  # fmt: skip
    """Add up a row from what is left, but for one that is left out.

    Returns the squared length of the sum, the weight, the shift and the number of neighbours.
    """
    shift, weight, count, square = -np.inf, 0.0, 0, 0.0
    for at in range(edges[row], edges[row + 1]):
        if kept[rows[at]] and rows[at] != without:
            shift = max(shift, log_affinity[at])
            count += 1
    total[:] = 0.0
    own = senses[row]
    for at in range(edges[row], edges[row + 1]):
        if kept[rows[at]] and rows[at] != without:
            share = np.float32(math.exp(log_affinity[at] - shift))
            sense = senses[rows[at]]
            weight += float(share)
            for k in range(len(own)):
                total[k] += share * (sense[k] - own[k])
    for k in range(len(own)):
        square += np.float64(total[k]) * total[k]
    return square, weight, shift, count


@compiled
def _rebuild_all(
    edges: np.ndarray, rows: np.ndarray, log_affinity: np.ndarray,
    own_log_affinity: np.ndarray, senses: np.ndarray, kept: np.ndarray, limits: np.ndarray,
    sums: np.ndarray, squares: np.ndarray, weights: np.ndarray, references: np.ndarray,
    shifts: np.ndarray, counts: np.ndarray,
) -> None:  # fmt: skip
    for row in range(len(kept)):
        square, weight, shift, count = _rebuild(
            row, -1, edges, rows, log_affinity, senses, kept, sums[row]
        )
        squares[row], weights[row], references[row] = square, weight, weight
        shifts[row], counts[row] = shift, count


@compiled
def _cost(
    row: int, scratch: np.ndarray, edges: np.ndarray, rows: np.ndarray, log_affinity: np.ndarray,
    own_log_affinity: np.ndarray, senses: np.ndarray, kept: np.ndarray, limits: np.ndarray,
    sums: np.ndarray, squares: np.ndarray, weights: np.ndarray, references: np.ndarray,
    shifts: np.ndarray, counts: np.ndarray,
) -> tuple[float, int]:  # fmt: skip
    """Say what it would cost to remove a row: the growth of the squared error; and if it may go."""
    if counts[row] == 0:
        return np.inf, _ISOLATED
    after = squares[row] / (weights[row] * weights[row])
    if after > limits[row] * limits[row]:
        return np.inf, _OWN_ERROR
    whole = weights[row] + math.exp(own_log_affinity[row] - shifts[row])
    cost = after - squares[row] / (whole * whole)
    sense = senses[row]
    for at in range(edges[row], edges[row + 1]):
        other = rows[at]
        share = math.exp(log_affinity[at] - shifts[other])
        total, own = sums[other], senses[other]
        along, across = np.float32(0.0), np.float32(0.0)
        for k in range(len(sense)):
            step = sense[k] - own[k]
            along += total[k] * step
            across += step * step
        square = max(0.0, squares[other] - 2 * share * along + share * share * across)
        before = squares[other]
        weight_before, weight = weights[other], weights[other] - share
        if kept[other]:
            itself = math.exp(own_log_affinity[other] - shifts[other])
            weight_before += itself
            weight += itself
        else:
            if counts[other] == 1:
                return np.inf, _NEEDED
            if weight < _REBUILD * references[other]:  # too little is left of it to subtract from
                square, weight, _, _ = _rebuild(
                    other, row, edges, rows, log_affinity, senses, kept, scratch
                )
            if square > (limits[other] * weight) * (limits[other] * weight):
                return np.inf, _NEEDED
        cost += square / (weight * weight) - before / (weight_before * weight_before)
    return cost, _MAY_GO


@compiled
def _remove(
    row: int, edges: np.ndarray, rows: np.ndarray, log_affinity: np.ndarray,
    own_log_affinity: np.ndarray, senses: np.ndarray, kept: np.ndarray, limits: np.ndarray,
    sums: np.ndarray, squares: np.ndarray, weights: np.ndarray, references: np.ndarray,
    shifts: np.ndarray, counts: np.ndarray,
) -> None:  # fmt: skip
    kept[row] = False
    sense = senses[row]
    for at in range(edges[row], edges[row + 1]):
        other = rows[at]
        share = np.float32(math.exp(log_affinity[at] - shifts[other]))
        weight = weights[other] - share
        if weight < _REBUILD * references[other]:
            square, weight, shift, count = _rebuild(
                other, row, edges, rows, log_affinity, senses, kept, sums[other]
            )
            squares[other], weights[other], references[other] = square, weight, weight
            shifts[other], counts[other] = shift, count
            continue
        total, own, square = sums[other], senses[other], 0.0
        for k in range(len(sense)):
            total[k] -= share * (sense[k] - own[k])
        for k in range(len(sense)):
            square += np.float64(total[k]) * total[k]
        squares[other], weights[other] = square, weight
        counts[other] -= 1


@compiled
def _remove_greedily(
    target_size: int, stop: np.ndarray, edges: np.ndarray, rows: np.ndarray,
    log_affinity: np.ndarray, own_log_affinity: np.ndarray, senses: np.ndarray, kept: np.ndarray,
    limits: np.ndarray, sums: np.ndarray, squares: np.ndarray, weights: np.ndarray,
    references: np.ndarray, shifts: np.ndarray, counts: np.ndarray,
) -> int:  # fmt: skip
    """Remove what costs least, as long as it may go; returns how many went.

    Costs in the queue may be out of date. The first is computed anew, and goes if it is still
    hardly more than the next.
    """
    arrays = (
        edges, rows, log_affinity, own_log_affinity, senses, kept, limits, sums, squares, weights,
        references, shifts, counts,
    )  # fmt: skip
    scratch = np.empty(senses.shape[1], dtype=senses.dtype)
    left, removed = 0, 0
    queue = [(0.0, 0)]
    queue.clear()
    for row in range(len(kept)):
        if stop[0]:
            return 0
        if kept[row]:
            left += 1
            cost, why = _cost(row, scratch, *arrays)
            if why == _MAY_GO:
                queue.append((cost, row))
    heapq.heapify(queue)
    while len(queue) > 0 and left > target_size and not stop[0]:
        _, row = heapq.heappop(queue)
        cost, why = _cost(row, scratch, *arrays)
        if why != _MAY_GO:
            continue
        if len(queue) > 0 and cost > queue[0][0] + _NEARLY * abs(queue[0][0]):
            heapq.heappush(queue, (cost, row))
            continue
        _remove(row, *arrays)
        left -= 1
        removed += 1
    return removed


@compiled
def _reasons(
    edges: np.ndarray, rows: np.ndarray, log_affinity: np.ndarray,
    own_log_affinity: np.ndarray, senses: np.ndarray, kept: np.ndarray, limits: np.ndarray,
    sums: np.ndarray, squares: np.ndarray, weights: np.ndarray, references: np.ndarray,
    shifts: np.ndarray, counts: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Say of each row that is left, why it cannot go."""
    scratch = np.empty(senses.shape[1], dtype=senses.dtype)
    why = np.full(len(kept), _MAY_GO)
    for row in range(len(kept)):
        if kept[row]:
            _, why[row] = _cost(
                row, scratch, edges, rows, log_affinity, own_log_affinity, senses, kept, limits,
                sums, squares, weights, references, shifts, counts,
            )  # fmt: skip
    return why
