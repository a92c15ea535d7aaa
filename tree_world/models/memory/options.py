"""How to draw and how to forget: choices that go together, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from tree_world.checks import (
    Number,
    SeedLike,
    checked_number,
    positive_distance,
    positive_number,
    real_number,
    whole_number,
)
from tree_world.models.memory.forget.consolidation import check_consolidation
from tree_world.models.memory.forget.neighbours import PRUNING_LIMIT
from tree_world.models.memory.forget.pruning import Certify, check_pruning
from tree_world.models.memory.types import ReadOptions

_MOMENT = Number("be a finite time", math.isfinite, "Give one in the unit of the times of write.")

DRAWS = ("auto", "exact", "cells")


@dataclass(frozen=True)
class DrawOptions:
    r"""How to draw places.

    Attributes
    ----------
    num_samples : int, default=1
    sigma_scale : float, default=1.0
        How far draws lie from the observations that they come from, in their deviations; zero gives
        the places of observations themselves.
    temperature : float, optional
        Low ones pick the best matches. √sensory_dim by default.
    match_threshold : float, optional
        Observations farther away than this from where the search is from, in metres, are never
        drawn. All may be by default.
    location_temperature : float, default=1.0
        High ones reach far. Independent of the other.
    replacement : bool, default=True
        Whether an observation may be drawn more than once.
    method : {"auto", "exact", "cells"}, default="auto"
        Whether to look at all observations, or only at cells of the index. Both have the same
        distribution; "auto" chooses by size.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    num_samples: int = 1
    sigma_scale: float = 1.0
    temperature: float | None = None
    match_threshold: float | None = None
    location_temperature: float = 1.0
    replacement: bool = True
    method: str = "auto"

    def __post_init__(self) -> None:
        number = whole_number("num_samples", self.num_samples)
        if number < 1:
            raise ValueError(f"num_samples must be positive, not {number}.")
        checked = {
            "num_samples": number,
            "location_temperature": positive_number(
                "location_temperature", self.location_temperature
            ),
            "sigma_scale": real_number("sigma_scale", self.sigma_scale),
        }
        if self.temperature is not None:
            checked["temperature"] = positive_number("temperature", self.temperature)
        if self.match_threshold is not None:
            checked["match_threshold"] = positive_distance("match_threshold", self.match_threshold)
        if not (math.isfinite(checked["sigma_scale"]) and checked["sigma_scale"] >= 0):
            raise ValueError(f"sigma_scale must not be negative, but is {self.sigma_scale!r}.")
        if self.method not in DRAWS:
            raise ValueError(f"method must be 'auto', 'exact' or 'cells', but is {self.method!r}.")
        for name, value in checked.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Prune:
    """To forget observations that the others replace.

    When it is done, each observation that went is read back, from what is left, with an error of at
    most `max_error_to_prune`; so is, as far as it is still remembered as a witness, what went in
    earlier calls. Isolated observations stay. Ids, ages and order stay as they are. Of what stays
    nothing is promised, unless ``certify="all"``.

    Up to 5000 observations, unless thousands of them crowd together, always that one of those that
    may go goes whose going adds least to the squared error; beyond that nearly the least. See
    `tree_world.models.memory.forget.pruning.prune`.

    Attributes
    ----------
    max_error_to_prune : float, default=0.05
        Greatest distance between what was sensed and what is read, in the unit of senses, of what
        is stored: projected, if it is. Infinite to prune to a size, whatever it costs.
    match_threshold : float, optional
        Of the reads, in metres; none by default.
    max_prune_steps : int, default=10
        Passes over what is left, at most, where there are more than 5000.
    target_size : int, default=0
        Stop when so few observations are left, in each memory of the batch.
    max_witnesses : int, optional
        How many of those that went to remember, to hold later calls against them; by default, as
        many as there is room for in a memory of this size.
    memory_limit : int, default=1 GiB
        For lists of neighbours, in bytes.
    certify : {"gone", "all"}, default="gone"
        Whether the tolerance holds for what goes, or for all: then what stays, and was read within
        the tolerance before, still is, and the rest no worse than before. Less can go.

    Raises
    ------
    ValueError
        If a number is out of its range, or a choice is unknown.

    Examples
    --------
    >>> Prune(max_error_to_prune=0.1, match_threshold=25.0).max_prune_steps
    10
    """

    max_error_to_prune: float = 0.05
    match_threshold: float | None = None
    max_prune_steps: int = 10
    target_size: int = 0
    max_witnesses: int | None = None
    memory_limit: int = PRUNING_LIMIT
    certify: Certify = "gone"

    def __post_init__(self) -> None:
        numbers = check_pruning(
            self.max_error_to_prune, self.max_prune_steps, self.target_size, self.certify
        )
        for name, value in zip(
            ("max_error_to_prune", "max_prune_steps", "target_size"), numbers, strict=True
        ):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "memory_limit", whole_number("memory_limit", self.memory_limit))
        if self.max_witnesses is not None:
            most = whole_number("max_witnesses", self.max_witnesses, 0)
            object.__setattr__(self, "max_witnesses", most)
        object.__setattr__(self, "match_threshold", _checked_threshold(self.match_threshold))


@dataclass(frozen=True)
class Consolidate:
    """To replace observations by fewer virtual ones that read like them.

    Virtual observations have new ids, and the ages of those from which they were started. Witnesses
    of earlier pruning are forgotten.

    Attributes
    ----------
    target_size : int
        How many there are to be, in each memory of the batch. What is isolated stays, so that there
        can be more.
    match_threshold : float, optional
        Of the reads, in metres; none by default.
    num_steps : int, default=600
        Steps of the fit.
    batch_size : int, optional
        Observations that are read in each step; all of a small memory by default.
    seed : int or torch.Generator, default=0
    progress : bool, optional
        Whether to show a bar; None where somebody may see it.
    memory_limit : int, default=1 GiB
        For lists of neighbours, in bytes.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    target_size: int
    match_threshold: float | None = None
    num_steps: int = 600
    batch_size: int | None = None
    seed: SeedLike = 0
    progress: bool | None = False
    memory_limit: int = PRUNING_LIMIT

    def __post_init__(self) -> None:
        numbers = check_consolidation(self.target_size, self.num_steps, self.batch_size)
        for name, value in zip(("target_size", "num_steps", "batch_size"), numbers, strict=True):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "memory_limit", whole_number("memory_limit", self.memory_limit))
        object.__setattr__(self, "match_threshold", _checked_threshold(self.match_threshold))


@dataclass(frozen=True)
class Expire:
    """To forget all that is older than a time, whatever it was.

    It takes as long as to delete by ids, so that it does not go on in the background. Witnesses of
    pruning have no times: the next `prune` lets go those that nothing tells any more.

    Attributes
    ----------
    before : float
        Observations with an earlier time go; one with just this time stays. In the unit of the
        `times` of `write`.

    Raises
    ------
    ValueError
        If it is not a finite time.

    Examples
    --------
    >>> Expire(before=1500)
    Expire(before=1500.0)
    """

    before: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "before", checked_number("before", self.before, _MOMENT))


Forgetting: TypeAlias = Prune | Consolidate | Expire
"""Ways to forget."""


def _checked_threshold(match_threshold: float | None) -> float | None:
    return ReadOptions(match_threshold).match_threshold
