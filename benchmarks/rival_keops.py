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
    devices = ("cpu",)

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.loop = _lazy_tensor()

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Reduce."""
        return self._reduced(places, self.locations, self.senses, None)

    def _reduced(
        self, places: torch.Tensor, locations: torch.Tensor, senses: torch.Tensor, ranges: Any
    ) -> torch.Tensor:
        own = self.loop(places.contiguous(), axis=0)
        squares = ((own - self.loop(locations.contiguous(), axis=1)) ** 2).sum(-1)
        log_k = -squares / (2 * self.problem.variance)
        values = self.loop(senses.contiguous(), axis=1)
        log_k.ranges = ranges
        if self.problem.match_threshold is None:
            mean: torch.Tensor = log_k.sumsoftmaxweight(values, dim=1)
            return mean
        # Within the threshold nothing underflows, so that sums do, and see where nothing is near.
        weights = log_k.exp() * (self.problem.match_threshold**2 - squares).step()
        weights.ranges = ranges
        total: torch.Tensor = weights.sum(dim=1)
        sums: torch.Tensor = (weights * values).sum(dim=1)
        return sums / total.clamp_min(1e-30)


class KeOpsByBlocks(KeOps):
    """A loop over the pairs of those blocks that lie within reach of each other (`ranges`)."""

    name = "PyKeOps by blocks"
    can_be_written_to = False

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.blocks = Blocks(problem.locations, BLOCK)
        self.own_locations = problem.locations[self.blocks.order]
        self.own_senses = problem.senses[self.blocks.order]
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
        found = self._reduced(own, self.own_locations, self.own_senses, ranges)
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
