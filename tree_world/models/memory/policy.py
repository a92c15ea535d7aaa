"""When to forget, and how much: a policy for a life that is longer than a memory."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from tree_world.checks import whole_number
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget.consolidation import ConsolidationReport
from tree_world.models.memory.forget.pruning import check_pruning
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.store.exchange import Superseded
from tree_world.models.memory.store.task import Task
from tree_world.models.memory.types import ReadOptions

__all__ = ["Forgetter", "ForgettingFailed", "ForgettingPolicy", "NothingMayGo"]

METHODS = ("prune", "consolidate")
LAST_RESORTS = ("least important", "oldest", "keep")

Report = PruneReport | ConsolidationReport


class NothingMayGo(UserWarning):
    """Given when a memory is fuller than it should be, and the tolerance lets nothing more go."""


class ForgettingFailed(UserWarning):
    """Given when forgetting ran out of memory; life goes on, and it is tried again."""


@dataclass(frozen=True)
class ForgettingPolicy:
    """When to forget, down to what size, and what to do where nothing may go.

    Attributes
    ----------
    start_at : int
        Number of observations that is forgotten from.
    target_size : int
        Number of observations that is forgotten down to, where that may be.
    max_error_to_prune : float, default=0.05
        The tolerance of pruning, as for `tree_world.models.memory.SpatialMemory.prune`. It holds
        for what has gone, as far as there is room to remember it: beside what is in store the
        memory keeps witnesses, up to its own size less what pruning leaves.
    match_threshold : float, optional
        Of the reads, in metres; none by default.
    method : {"prune", "consolidate"}, default="prune"
        Whether to choose among the observations, or to fit virtual ones.
    last_resort : {"least important", "oldest", "keep"}, default="least important"
        What happens, with a warning, when pruning within the tolerance leaves more than
        `target_size`: the least important go all the same, but for those that alone tell of some
        place; or the oldest go; or everything is kept, until writing makes the oldest go.
    in_background : bool, default=True
        Whether to work in a thread of its own.

    Raises
    ------
    ValueError
        If a choice is unknown, or the sizes are not 0 < target_size < start_at.
    """

    start_at: int
    target_size: int
    max_error_to_prune: float = 0.05
    match_threshold: float | None = None
    method: str = "prune"
    last_resort: str = "least important"
    in_background: bool = True

    def __post_init__(self) -> None:
        # Numbers come in any precision, and are those of Python from here on.
        for name in ("start_at", "target_size"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        if not 0 < self.target_size < self.start_at:
            raise ValueError(
                "target_size must be positive and less than start_at, but they are "
                f"{self.target_size!r} and {self.start_at!r}."
            )
        allowed = check_pruning(self.max_error_to_prune, 1, self.target_size)[0]
        threshold = ReadOptions(self.match_threshold).match_threshold  # which checks it
        object.__setattr__(self, "max_error_to_prune", allowed)
        object.__setattr__(self, "match_threshold", threshold)
        for name, choices in (("method", METHODS), ("last_resort", LAST_RESORTS)):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {choices}, but is {getattr(self, name)!r}."
                )


class Forgetter:
    """Applies a policy to a memory, step by step.

    Parameters
    ----------
    memory : SpatialMemory
    policy : ForgettingPolicy

    Raises
    ------
    ValueError
        If the memory is too small for the policy ever to begin.

    Examples
    --------
    >>> import torch
    >>> memory = SpatialMemory(location_dim=2, sensory_dim=3, max_memory_size=100)
    >>> forgetter = Forgetter(memory, ForgettingPolicy(50, 20, in_background=False))
    >>> for step in range(120):
    ...     ids = memory.write(torch.rand(1, 2), 5.0, torch.ones(1, 3))
    ...     report = forgetter.step()
    >>> len(memory) < 50
    True
    """

    def __init__(self, memory: SpatialMemory, policy: ForgettingPolicy) -> None:
        if policy.start_at > memory.max_memory_size:
            raise ValueError(
                f"the policy starts at {policy.start_at} observations, but the memory holds at "
                f"most {memory.max_memory_size}: give a smaller start_at, or a larger memory."
            )
        self.memory = memory
        self.policy = policy
        self._task: Task[Report] | None = None
        self._not_before = 0  # writes to the memory, before which trying again would be in vain

    @property
    def busy(self) -> bool:
        """Whether something is being forgotten in the background."""
        return self._task is not None

    def step(self) -> Report | None:
        """Do what is due; call it once in each step of a life.

        Returns
        -------
        PruneReport or ConsolidationReport or None
            What was forgotten, when that has just come to its end.

        Warns
        -----
        NothingMayGo
            If the policy had to take to its last resort.
        ForgettingFailed
            If it ran out of memory. All that was remembered is there, and it is tried again after
            some writes.

        Raises
        ------
        Exception
            Whatever else went wrong, with a note that it happened while forgetting, perhaps in an
            earlier step. All that was remembered is there, and the next step may go on.
        """
        if self._task is not None:
            return self._collect(wait=False)
        full = len(self.memory) >= self.policy.start_at
        if not full or self.memory.num_writes < self._not_before:
            return None
        policy, memory = self.policy, self.memory
        if policy.method == "consolidate":
            start = memory.consolidate_in_background(policy.target_size, policy.match_threshold)
            self._task = start  # type: ignore[assignment]
        else:
            self._task = memory.prune_in_background(  # type: ignore[assignment]
                policy.max_error_to_prune, policy.match_threshold, target_size=policy.target_size
            )
        return self._collect(wait=not policy.in_background)

    def finish(self) -> Report | None:
        """Wait for what is being forgotten in the background.

        Returns
        -------
        PruneReport or ConsolidationReport or None
        """
        return self._collect(wait=True)

    def _collect(self, wait: bool) -> Report | None:
        task = self._task
        if task is None or not (wait or task.done()):
            return None
        try:
            try:
                report = task.result()
            finally:  # who is interrupted while waiting may wait again
                self._task = None if task.done() else task
        except Superseded:  # somebody else has changed the memory: there will be another time
            return None
        except MemoryError as error:
            pause = self._pause()
            warnings.warn(
                f"forgetting ran out of memory ({error}). Nothing was forgotten, and it will be "
                f"tried again in {pause} writes. Give a smaller start_at or match_threshold.",
                ForgettingFailed, stacklevel=3,
            )  # fmt: skip
            return None
        except Exception as error:
            pause = self._pause()
            error.add_note(
                f"This happened to a Forgetter that works on a memory of {len(self.memory)} "
                f"observations. Nothing was forgotten; it would try again in {pause} writes."
            )
            raise
        if isinstance(report, PruneReport):
            left = max((row.num_kept for row in report.rows), default=report.num_kept)
            if left > self.policy.target_size:
                self._resort(report, left)
        return report

    def _pause(self) -> int:
        """Do not try again before so many writes."""
        pause = self.policy.start_at - self.policy.target_size
        self._not_before = self.memory.num_writes + pause
        return pause

    def _resort(self, report: PruneReport, left: int) -> None:
        policy, memory = self.policy, self.memory
        pause = self._pause()
        told = (
            f"within a tolerance of {policy.max_error_to_prune:g}, pruning leaves {left} "
            f"observations, more than the {policy.target_size} that it should"
        )
        if policy.last_resort == "least important":
            further = memory.prune(math.inf, policy.match_threshold, target_size=policy.target_size)
            told += (
                f"; the least important went all the same, down to {further.num_kept}, with "
                f"errors of up to {further.worst_error:.3g}"
            )
        elif policy.last_resort == "oldest":
            for one in memory:
                ids = one.observations().ids
                one.delete(ids[: max(0, len(ids) - policy.target_size)])
            told += "; the oldest went"
        else:
            told += f"; all were kept, and there will be another try in {pause} writes"
        warnings.warn(
            f"{told}. Give a greater max_error_to_prune or target_size.", NothingMayGo, stacklevel=4
        )
