"""Other ways to the same read, each as one who knows it well would go it, and ours.

All have one face, that of `benchmarks.rival_face.Way`; what they are asked is made by
`benchmarks.rival_problem`.
"""

from __future__ import annotations

import torch

from benchmarks.rival_attention import Attention, AttentionByBlocks, FlexAttention, Formula
from benchmarks.rival_face import Way
from benchmarks.rival_keops import KeOps, KeOpsByBlocks
from benchmarks.rival_nearest import CellsRadius, FaissGraph, FlatRadius, UsearchGraph
from benchmarks.rival_problem import Problem
from benchmarks.rival_trees import Nanoflann, ScikitLearn, SciPyGathered, SciPyLists
from tree_world.models.memory import SpatialMemory

AT_A_TIME = 50_000  # observations that are written together

PACKAGES = ("faiss-cpu", "pykeops", "pynanoflann", "scikit-learn", "scipy", "torch", "usearch")


class TreeWorldMemory(Way):
    """Ours."""

    name = "tree_world"
    devices = ("cpu", "cuda")
    can_be_written_to = True

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        room, sensory = problem.all_senses.shape
        self.memory = SpatialMemory(2, sensory, max_memory_size=room)
        for start in range(0, problem.size, AT_A_TIME):
            part = slice(start, min(start + AT_A_TIME, problem.size))
            locations, senses = problem.locations[part], problem.senses[part]
            self.memory.write(locations.cpu(), problem.sd, senses.cpu())
        self.memory.to(problem.senses.device)

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Write."""
        self.memory.write(place[None], self.problem.sd, sense[None])
        self.number += 1

    def read_one(self, place: torch.Tensor) -> torch.Tensor:
        """Read."""
        return self.memory.read(place, self.problem.sd, self.problem.match_threshold)

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Read."""
        return self.memory.read(places, self.problem.sd, self.problem.match_threshold)

    def num_bytes(self) -> int:
        """Ask the memory, which has a copy of all that was written."""
        return sum(self.memory.usage().values())


WAYS: dict[str, type[Way]] = {
    way.name: way
    for way in (
        *(TreeWorldMemory, Formula, Attention, AttentionByBlocks, FlexAttention),
        *(KeOps, KeOpsByBlocks, SciPyLists, SciPyGathered, Nanoflann, ScikitLearn),
        *(FlatRadius, CellsRadius, FaissGraph, UsearchGraph),
    )
}
