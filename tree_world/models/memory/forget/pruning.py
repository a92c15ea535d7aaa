"""Which observations a memory can do without, with a certificate that it can.

What an observation is worth shows when the memory is asked, at its place, without it. Two that lean
on each other are each worth nothing, and together a lot: what may go depends on what went before.
So observations go one by one. Of each that has gone it is known at every moment how well the rest
still tells it, and no other goes that would spoil that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tree_world.checks import real_number, whole_number
from tree_world.models.memory.forget.certificate import (
    errors_at,
    limits_of_what_stays,
    put_back_spoilt,
    without,
)
from tree_world.models.memory.forget.crowds import Crowds
from tree_world.models.memory.forget.greedy import ISOLATED, NEEDED, OWN_ERROR
from tree_world.models.memory.forget.neighbours import PRUNING_LIMIT
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.types import Observations, ReadOptions, Witnesses

Certify = Literal["gone", "all"]
"""Whose errors pruning answers for: of what has gone, or also of what stays."""


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
    certify: Certify = "gone",
    witnesses: Witnesses | None = None,
    fixed: np.ndarray | None = None,
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
    one voice there among others. With ``certify="all"`` it is: those that were read, with
    themselves, within the tolerance before, still are, and the others no worse than before, but for
    rounding (a share of 2e-4). So of all that there was, gone or not, nothing that was within the
    tolerance is out of it.

    Of all that may go, that one goes whose going adds least to the squared error, summed over all
    places of observations, gone or not. This is so for up to
    `tree_world.models.memory.forget.removal.EXACT` (5000) observations, witnesses among them, if
    another 24 bytes for each pair of neighbours fit the memory limit, and if they are not too
    crowded: the squares of their numbers of neighbours sum to at most `CROWDED` (2·10⁹) of the same
    module, as in a crowd of 1260 that all have each other for neighbours, which takes some ten
    seconds. Then costs are up to date after each removal. Else the order is lazy: a queue renews a
    cost when its turn comes, so that what has become cheaper meanwhile waits, and it is not always
    the cheapest that goes. Of equal costs the first in the order of strips goes, which are as wide
    as the threshold.

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
        Passes over what is left, at most, where the order is lazy; a pass in which nothing goes is
        the last. An exact one needs no second pass.
    target_size : int, default=0
        Stop when so few are left.
    certify : {"gone", "all"}, default="gone"
        Whether the tolerance holds for what goes, or also for what stays, as said above.
    witnesses : Witnesses, optional
        Observations that went before and that must be told, too, within their own limits or the
        tolerance, whichever is greater.
    fixed : numpy.ndarray of bool, of shape (n_observations,), optional
        Observations that stay whatever comes, and of which the report does not tell.
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
        max_error_to_prune, max_prune_steps, target_size, certify
    )
    memory_limit = whole_number("memory_limit", memory_limit)
    match_threshold = ReadOptions(match_threshold).match_threshold  # which checks it
    started = time.perf_counter()
    stop = np.zeros(1, dtype=np.bool_) if stop is None else stop
    number = len(observations)
    everything, limits = observations, np.full(number, float(max_error_to_prune))
    own = np.ones(number, dtype=np.bool_) if fixed is None else ~fixed
    limits[~own] = -1.0  # no error is so small, and so none may go
    limits_kept = None
    if certify == "all":
        limits_kept = limits_of_what_stays(observations, max_error_to_prune, match_threshold)
    held = np.ones(0, dtype=np.bool_)
    if witnesses is not None and len(witnesses) > 0:
        allowed = np.maximum(witnesses.limits, max_error_to_prune)
        everyone = np.arange(len(witnesses))
        found = errors_at(everyone, witnesses.observations, observations, match_threshold)
        held = found <= allowed
        still = witnesses.take(np.flatnonzero(held))
        everything = observations.followed_by(still.observations)
        limits = np.concatenate([limits, allowed[held]])
        if limits_kept is not None:
            limits_kept = np.concatenate([limits_kept, np.full(len(still), np.inf)])
    crowds = Crowds(everything, number, limits, match_threshold, stop, limits_kept)
    target_size += int((~own).sum())
    removal = crowds.removal_that_fits(max_error_to_prune, target_size, memory_limit)
    if removal is None:
        errors = crowds.settle(everything)
        kept, why = crowds.kept, crowds.why
    else:
        removal.remove_greedily(max_prune_steps, target_size, stop)
        errors = put_back_spoilt(removal, everything, limits, match_threshold, stop, limits_kept)
        kept, why = removal.left, removal.costs()[1]
    if removal is None or certify == "all":
        rest = without(np.flatnonzero(~kept), everything)
        errors_kept = errors_at(np.flatnonzero(kept), everything, rest, match_threshold)
    else:
        errors_kept = removal.errors_kept()
    own_kept = np.concatenate([own, np.zeros(len(kept) - number, dtype=np.bool_)])[kept]
    errors_kept, why = errors_kept[own_kept], why[kept][own_kept]
    kept = kept[:number]
    report = PruneReport(
        num_before=int(own.sum()),
        num_kept=int(kept[own].sum()),
        num_isolated=int((why == ISOLATED).sum()),
        num_own_error=int((why == OWN_ERROR).sum()),
        num_needed=int((why == NEEDED).sum()),
        num_kept_within=int((errors_kept <= max_error_to_prune).sum()),
        num_witnesses=int(held.sum()),
        num_lost_witnesses=int((~held).sum()),
        worst_error=float(errors.max(initial=0.0)),
        mean_error=float(errors.mean()) if len(errors) else 0.0,
        max_error_to_prune=max_error_to_prune,
        seconds=time.perf_counter() - started,
    )
    return Pruned(kept, held, report)


def check_pruning(
    max_error_to_prune: float, max_prune_steps: int, target_size: int, certify: str = "gone"
) -> tuple[float, int, int]:
    """Take the numbers as those of Python.

    Parameters
    ----------
    max_error_to_prune, max_prune_steps, target_size, certify
        As for `prune`.

    Returns
    -------
    tuple of float, int and int
        The first three of them.

    Raises
    ------
    ValueError
        If a number is out of its range, or the choice is unknown.
    """
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
    if certify not in get_args(Certify):
        raise ValueError(f"certify must be 'gone' or 'all', but is {certify!r}.")
    return max_error_to_prune, max_prune_steps, target_size
