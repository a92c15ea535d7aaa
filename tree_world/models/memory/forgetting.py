"""Forgetting under way: work on copies of stores, and an exchange in one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import scipy.spatial
import torch

from tree_world.checks import make_generator
from tree_world.models.memory.changes import HasCommon, changing, mend, reading
from tree_world.models.memory.common import Common
from tree_world.models.memory.forget.consolidation import (
    Consolidated,
    ConsolidationReport,
    consolidate,
)
from tree_world.models.memory.forget.pruning import prune
from tree_world.models.memory.forget.report import ExpireReport, PruneReport
from tree_world.models.memory.options import Consolidate, Expire, Forgetting, Prune
from tree_world.models.memory.search.cells import CellSearch
from tree_world.models.memory.store.exchange import (
    Replacement,
    Snapshot,
    bring_up_to_date,
    in_turn,
    prepared,
)
from tree_world.models.memory.store.slots import Store
from tree_world.models.memory.store.task import Task, stop_if_asked
from tree_world.models.memory.types import Observations, Witnesses
from tree_world.precision import outside_inference_mode

R = TypeVar("R")

Report = PruneReport | ConsolidationReport | ExpireReport
Work = Callable[[np.ndarray], Report]


def forget(
    memory: HasCommon, how: Forgetting, which: list[int] | None = None, *, background: bool = False
) -> Report | Task[Report]:
    """Forget, here or in a thread of its own.

    Parameters
    ----------
    memory : SpatialMemory or Memory
    how : Prune, Consolidate or Expire
    which : list of int, optional
        Which memories of the batch; all by default.
    background : bool, default=False

    Returns
    -------
    PruneReport, ConsolidationReport, ExpireReport or Task

    Raises
    ------
    ValueError
        If gradients flow to the memory, it is empty and there is nothing to consolidate, or what is
        old is to go in the background.
    """
    if isinstance(how, Expire):
        if background:
            raise ValueError(
                "what is old is forgotten at once, as by delete: call forget(Expire(...)) without "
                "background."
            )
        return _expire(memory, how.before, which)
    work = work_of(memory, how, which)
    return Task(work) if background else work(np.zeros(1, dtype=np.bool_))


@changing
def _expire(memory: HasCommon, before: float, which: list[int] | None) -> ExpireReport:
    """Let all go that is older than a time, in some memories of a batch."""
    common = memory.common
    common.refuse_gradients()
    common.settle()
    reports = []
    for row in common.rows if which is None else [common.rows[index] for index in which]:
        number = len(row)
        row.expire(before)
        reports.append(ExpireReport(number, len(row), before))
    common.follow()
    return ExpireReport.joined(reports)


@dataclass(frozen=True)
class Begun:
    """Stores as they are when forgetting begins.

    Attributes
    ----------
    rows : dict of int to (Store, int)
        Those to work on, by their places in the batch, each with its time, up to which it is to be
        worked on.
    number : int
        How many there are in the batch.
    """

    rows: dict[int, tuple[Store, int]]
    number: int


def work_of(memory: HasCommon, how: Prune | Consolidate, which: list[int] | None = None) -> Work:
    """Make what forgets, to be called here or in a thread of its own.

    Parameters
    ----------
    memory : SpatialMemory or Memory
    how : Prune or Consolidate
    which : list of int, optional
        Which memories of the batch; all by default.

    Returns
    -------
    callable
        Takes an array of one bool, which becomes true when it should stop; returns a report.

    Raises
    ------
    ValueError
        If gradients flow to the memory, or it is empty and there is nothing to consolidate.
    """
    memory.common.refuse_gradients()
    begun = _begin(memory, which)
    if isinstance(how, Prune):
        pruning = _pruning(memory.common, how)
        return lambda stop: PruneReport.joined(_exchange(memory, pruning, begun, stop))
    if all(len(row) == 0 for row, _ in begun.rows.values()):
        raise ValueError("an empty memory cannot be consolidated: write observations first.")
    consolidating = _consolidation(how)
    return lambda stop: ConsolidationReport.joined(_exchange(memory, consolidating, begun, stop))


@dataclass(frozen=True)
class Halo:
    """What lies around a memory that is a part of a larger one.

    Attributes
    ----------
    observations : Observations
        They are read, stay where they are, and none goes.
    witnesses : Witnesses
        What has gone there, and must still be told.
    """

    observations: Observations
    witnesses: Witnesses


def prune_beside(memory: HasCommon, how: Prune, halo: Halo) -> PruneReport:
    """Prune a memory that is a part of a larger one, so that the whole is as well told as asked.

    Parameters
    ----------
    memory : Memory
        With one store.
    how : Prune
    halo : Halo
        Of the rest of the whole: observations up to twice the threshold away, as those are read
        where a witness lies that is up to one away, and such witnesses.

    Returns
    -------
    PruneReport
        Of this part alone.
    """
    memory.common.refuse_gradients()
    pruning = _pruning(memory.common, how, halo)
    return _exchange(memory, pruning, _begin(memory, [0]), np.zeros(1, dtype=np.bool_))[0]


def _pruning(
    common: Common, how: Prune, halo: Halo | None = None
) -> Callable[[Snapshot, np.ndarray], tuple[Replacement, PruneReport]]:
    def work(snapshot: Snapshot, stop: np.ndarray) -> tuple[Replacement, PruneReport]:
        observations, witnesses = snapshot.observations, snapshot.witnesses
        number = len(observations)
        together, everyone, fixed = observations, witnesses, None
        aside = np.zeros(len(witnesses), dtype=np.bool_)
        if halo is not None:
            together = observations.followed_by(halo.observations)
            fixed = np.arange(len(together)) >= number
            aside = _far_from(observations, witnesses, how.match_threshold)
            concerned = witnesses.take(np.flatnonzero(~aside))
            everyone = _joined(concerned, halo.witnesses)
        pruned = prune(
            together,
            how.max_error_to_prune,
            how.match_threshold,
            how.max_prune_steps,
            target_size=how.target_size,
            certify=how.certify,
            witnesses=everyone,
            fixed=fixed,
            memory_limit=how.memory_limit,
            stop=stop,
        )
        kept, held = pruned.kept[:number], aside.copy()
        held[~aside] = pruned.witnesses_kept[: int((~aside).sum())]
        origins, gone = np.flatnonzero(kept), np.flatnonzero(~kept)
        still = witnesses.take(np.flatnonzero(held))
        limits = np.full(number, how.max_error_to_prune)
        everyone = _joined(still, Witnesses(observations, limits).take(gone))
        most = how.max_witnesses
        most = common.max_memory_size - len(origins) if most is None else most
        latest = np.arange(max(0, len(everyone) - most), len(everyone))
        where = torch.from_numpy(origins).to(observations.senses.device)
        left = observations.take(where)
        times = snapshot.times[origins]
        report = pruned.report
        if halo is not None:
            own, lost = int(held.sum()), int((~held).sum())
            report = replace(report, num_witnesses=own, num_lost_witnesses=lost)
        return Replacement(left, origins, times, everyone.take(latest), False), report

    return work


def _far_from(
    observations: Observations, witnesses: Witnesses, threshold: float | None
) -> np.ndarray:
    """Tell which witnesses are so far from all observations that none of these can spoil them."""
    if threshold is None or len(observations) == 0:
        return np.full(len(witnesses), threshold is not None)
    places, gone = (
        one.locations.detach().cpu().double().numpy()
        for one in (observations, witnesses.observations)
    )
    nearest, _ = scipy.spatial.cKDTree(places).query(gone)
    return np.asarray(nearest > threshold * (1 + 1e-6))


def _joined(first: Witnesses, second: Witnesses) -> Witnesses:
    return Witnesses(
        first.observations.followed_by(second.observations),
        np.concatenate([first.limits, second.limits]),
    )


def _consolidation(
    how: Consolidate,
) -> Callable[[Snapshot, np.ndarray], tuple[Replacement, ConsolidationReport]]:
    generator = make_generator(how.seed)

    def work(snapshot: Snapshot, stop: np.ndarray) -> tuple[Replacement, ConsolidationReport]:
        found = consolidate(
            snapshot.observations,
            how.target_size,
            how.match_threshold,
            num_steps=how.num_steps,
            batch_size=how.batch_size,
            seed=generator,
            progress=how.progress,
            memory_limit=how.memory_limit,
            stop=stop,
        )
        nobody = snapshot.witnesses.take(np.empty(0, dtype=np.int64))
        times = _newest_around(found, snapshot)
        return Replacement(found.observations, found.origins, times, nobody, True), found.report

    return work


def _newest_around(found: Consolidated, snapshot: Snapshot) -> np.ndarray:
    """Find the newest time of those to which each virtual observation is the nearest.

    For these it stands, and so it is not taken for older than any of them.
    """
    few, many = (
        one.locations.detach().cpu().double().numpy()
        for one in (found.observations, snapshot.observations)
    )
    _, nearest = scipy.spatial.cKDTree(few).query(many)
    times = np.asarray(snapshot.times[found.origins])
    np.maximum.at(times, nearest, snapshot.times)
    return times


@reading
def _begin(memory: HasCommon, which: list[int] | None) -> Begun:
    rows = memory.common.rows
    return Begun(
        {i: (rows[i], rows[i].clock) for i in (range(len(rows)) if which is None else which)},
        len(rows),
    )


def _exchange(
    memory: HasCommon,
    work: Callable[[Snapshot, np.ndarray], tuple[Replacement, R]],
    begun: Begun,
    stop: np.ndarray,
) -> list[R]:
    """Work on copies of stores, and exchange the stores for the results in one step."""
    return outside_inference_mode(_exchange_outside, memory, work, begun, stop)


def _exchange_outside(
    memory: HasCommon,
    work: Callable[[Snapshot, np.ndarray], tuple[Replacement, R]],
    begun: Begun,
    stop: np.ndarray,
) -> list[R]:
    common = memory.common
    undone = partial(mend, common)
    changes: dict[int, tuple[Snapshot, Replacement, Store]] = {}
    reports = []
    try:
        for index, (row, clock) in begun.rows.items():
            snapshot = Snapshot.of(row, clock, common.lock, undone)
            with torch.enable_grad():  # which fits ask for
                replacement, report = work(snapshot, stop)
            changes[index] = snapshot, replacement, common.new_row()
            reports.append(report)
        replaced = {id(change[0].store): prepared(*change) for change in changes.values()}
        searches = in_turn(common.lock, undone, lambda: list(common.searches.items()))
        moved = {
            (id(replaced[name[0]]), name[1]): search.moved_to(replaced[name[0]])
            for name, search in searches
            if name[0] in replaced
        }
        _swap(memory, changes, begun.number, moved, stop)
    except BaseException:
        for _, _, new in changes.values():
            if common.folder is not None and new.file is not None and new not in common.rows:
                common.folder.remove(new.file)
        raise
    return reports


@changing
def _swap(
    memory: HasCommon,
    changes: dict[int, tuple[Snapshot, Replacement, Store]],
    number: int,
    searches: dict[tuple[int, bytes], CellSearch],
    stop: np.ndarray,
) -> None:
    common = memory.common
    stop_if_asked(stop)
    common.refuse_gradients()
    common.settle()
    rows = list(common.rows)
    for index, (snapshot, replacement, new_row) in changes.items():
        row = snapshot.checked(rows[index] if len(rows) == number else None)
        bring_up_to_date(new_row, snapshot, replacement, row)
        rows[index] = new_row
    still = {id(row) for row in rows}
    others = {name: search for name, search in common.searches.items() if name[0] in still}
    common.rows, common.searches = rows, others | searches
