"""Rivals by PyKeOps, which compiles a loop over pairs: over all of them, or over some blocks."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

import torch

from benchmarks.rival_attention import Dense
from benchmarks.rival_face import Blocks, NotHere
from benchmarks.rival_problem import Problem

BLOCK, GROUP = 256, 32  # observations and queries that are left out together


class KeOps(Dense):
    """A loop over all pairs, none of which are kept."""

    name = "PyKeOps"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.loop = _lazy_tensor()
        self.values = self._valued(problem.all_senses)

    def _valued(self, senses: torch.Tensor) -> torch.Tensor:
        """Put a one behind each sense, so that one pass gives sums and the total of weights.

        Within the threshold nothing underflows, so that sums do, and see where nothing is near.
        """
        if self.problem.match_threshold is None:
            return senses
        return torch.cat([senses, torch.ones_like(senses[:, :1])], dim=1)

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Put it behind the others."""
        self.values[self.number, : len(sense)] = sense
        super().write(place, sense)

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Reduce."""
        return self._reduced(places, self.locations, self.values[: self.number], None)

    def _reduced(
        self, places: torch.Tensor, locations: torch.Tensor, values: torch.Tensor, ranges: Any
    ) -> torch.Tensor:
        own = self.loop(places.contiguous(), axis=0)
        squares = ((own - self.loop(locations.contiguous(), axis=1)) ** 2).sum(-1)
        log_k = -squares / (2 * self.problem.variance)
        weighted = self.loop(values, axis=1)
        if self.problem.match_threshold is None:
            log_k.ranges = ranges
            mean: torch.Tensor = log_k.sumsoftmaxweight(weighted, dim=1)
            return mean
        weights = log_k.exp() * (self.problem.match_threshold**2 - squares).step()
        products = weights * weighted
        products.ranges = ranges
        sums: torch.Tensor = products.sum(dim=1)
        return sums[:, :-1] / sums[:, -1:].clamp_min(1e-30)


class KeOpsByBlocks(KeOps):
    """A loop over the pairs of those blocks that lie within reach of each other (`ranges`)."""

    name = "PyKeOps by blocks"
    can_be_written_to = False

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.blocks = Blocks(problem.locations, BLOCK)
        self.own_locations = problem.locations[self.blocks.order]
        self.values = self.values[self.blocks.order]
        self.ranges = torch.stack([self.blocks.starts, self.blocks.stops], dim=1).int()

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Say which blocks may count, and reduce."""
        from pykeops.torch.cluster import from_matrix

        groups = Blocks(places, GROUP)
        own, reach = places[groups.order], self.problem.reach
        within = torch.full((len(places),), reach)
        if self.problem.match_threshold is None:
            within = self.blocks.reaches(own, self.own_locations, reach)
        within = torch.stack([part.amax() for part in within.split(GROUP)])
        near = self.blocks.gaps(groups.low, groups.high) <= within[:, None]
        near[~near.any(dim=1), 0] = True  # something must be there to be weighed by zero
        rows = torch.stack([groups.starts, groups.stops], dim=1).int()
        ranges = from_matrix(rows, self.ranges, near)
        found = self._reduced(own, self.own_locations, self.values, ranges)
        read = torch.empty_like(found)
        read[groups.order] = found
        return read

    def bytes_of_index(self) -> int:
        """Count the boxes and the order; the observations in order are the only ones."""
        return 4 * self.blocks.low.numel() * self.blocks.low.element_size() + 8 * self.number


def _lazy_tensor() -> Any:
    """PyKeOps's tensor; what it compiles goes into a folder that is gone when the process ends."""
    global _KEOPS_FOLDER
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        raise NotHere("no compiler")
    if _KEOPS_FOLDER is None:
        _KEOPS_FOLDER = tempfile.TemporaryDirectory(prefix="keops-")
        os.environ["KEOPS_CACHE_FOLDER"] = _KEOPS_FOLDER.name
    import pykeops
    from pykeops.torch import LazyTensor

    pykeops.set_verbose(False)
    return LazyTensor


_KEOPS_FOLDER: tempfile.TemporaryDirectory[str] | None = None
