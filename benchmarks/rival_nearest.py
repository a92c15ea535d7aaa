"""Rivals by FAISS and usearch: all within a radius, or so many of the nearest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from benchmarks.rival_face import THREADS, Array, Finder, Pairs
from benchmarks.rival_problem import Problem

NEIGHBOURS = (64, 256, 1024, 2048)  # that are asked for, until the read is accurate
CELLS = (4, 16, 64, 256)  # that are looked at, until the read is accurate
PER_CELL = 4  # √n times as many cells as this
TRAINED_BY = 64  # observations for each cell
LINKS = 16  # of each observation in a graph
MARGIN = 1e-4  # share of the squared radius, for distances in single precision


class Radius(Finder):
    """Searches by radius in FAISS."""

    can_be_written_to = True
    index: Any

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Add it to the index."""
        self.append(place, sense)
        self.index.add(place.numpy()[None])

    def find(self, places: Array, reach: float) -> Pairs:
        """Search."""
        ends, _, columns = self.index.range_search(places, reach**2 * (1 + MARGIN))
        return Pairs(ends.astype(np.int64), columns)

    def nearest(self, places: Array) -> Array:
        """Ask for one neighbour."""
        found: Array = np.sqrt(self.index.search(places, 1)[0][:, 0])
        return found


class FlatRadius(Radius):
    """Compares with all."""

    name = "FAISS flat, radius"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        faiss = _faiss()
        # Else it subtracts squares of the coordinates, which loses metres in a large world.
        faiss.cvar.distance_compute_blas_threshold = 2**30
        self.index = faiss.IndexFlatL2(2)
        self.index.add(self.locations[: self.number])

    def bytes_of_index(self) -> int:
        """Count the copy of all places."""
        return int(self.index.ntotal) * 2 * 4


class CellsRadius(Radius):
    """Compares with all in the cells around."""

    name = "FAISS IVF, radius"
    efforts = CELLS

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        faiss, locations = _faiss(), self.locations[: self.number]
        self.cells = max(1, min(self.number // 39, int(PER_CELL * math.sqrt(self.number))))
        self.index = faiss.index_factory(2, f"IVF{self.cells},Flat")
        self.index.cp.max_points_per_centroid = TRAINED_BY
        self.index.train(locations)
        self.index.add(locations)

    def make_an_effort(self, effort: int) -> None:
        """Look at so many cells."""
        self.index.nprobe = min(effort, self.cells)

    def bytes_of_index(self) -> int:
        """Count the copy of all places, their names, and the middles of cells."""
        return int(self.index.ntotal) * (2 * 4 + 8) + self.cells * 2 * 4


class Nearest(Finder):
    """Weighs the nearest that a graph leads to, and no others."""

    can_be_written_to = True
    efforts = NEIGHBOURS
    neighbours = NEIGHBOURS[0]

    def make_an_effort(self, effort: int) -> None:
        """Ask for so many neighbours."""
        self.neighbours = min(effort, self.number)

    def search(self, places: Array) -> tuple[Array, Array]:
        """Give squared distances and columns of the nearest, each (Q, neighbours)."""
        raise NotImplementedError

    def find(self, places: Array, reach: float) -> Pairs:
        """Take those of the nearest that are within reach."""
        squares, columns = self.search(places)
        counts = (squares <= reach**2 * (1 + MARGIN)) & (columns >= 0)
        ends = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
        return Pairs(ends, columns[counts].astype(np.int64))

    def nearest(self, places: Array) -> Array:
        """Take the first."""
        found: Array = np.sqrt(self.search(places)[0][:, 0])
        return found


class FaissGraph(Nearest):
    """Goes from neighbour to neighbour along a graph, by FAISS."""

    name = "FAISS HNSW"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.index = _faiss().IndexHNSWFlat(2, LINKS)
        self.index.add(self.locations[: self.number])

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Add it to the graph."""
        self.append(place, sense)
        self.index.add(place.numpy()[None])

    def make_an_effort(self, effort: int) -> None:
        """Ask for so many neighbours, among twice as many."""
        super().make_an_effort(effort)
        self.index.hnsw.efSearch = max(64, 2 * self.neighbours)

    def search(self, places: Array) -> tuple[Array, Array]:
        """Search."""
        squares, columns = self.index.search(places, self.neighbours)
        return squares, columns

    def bytes_of_index(self) -> int:
        """Count the copy of all places, and the links: twice as many on the ground floor."""
        graph = self.index.hnsw
        links = 4 * graph.neighbors.size() + 8 * graph.offsets.size()
        return int(self.index.ntotal * 2 * 4 + links)


class UsearchGraph(Nearest):
    """Goes from neighbour to neighbour along a graph, by usearch."""

    name = "usearch"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        from usearch.index import Index

        self.index: Any = Index(ndim=2, metric="l2sq", dtype="f32", connectivity=LINKS)
        keys = np.arange(self.number)
        # By one thread: two make another graph each time, in which some are never found.
        self.index.add(keys, self.locations[: self.number], threads=1, copy=True)

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Add it to the graph."""
        self.index.add(self.number, place.numpy())
        self.append(place, sense)

    def make_an_effort(self, effort: int) -> None:
        """Ask for so many neighbours, among twice as many."""
        super().make_an_effort(effort)
        self.index.expansion_search = max(64, 2 * self.neighbours)

    def search(self, places: Array) -> tuple[Array, Array]:
        """Search, with as few neighbours as are found put behind those."""
        found = self.index.search(places, self.neighbours, threads=THREADS)
        squares = found.distances.reshape(len(places), -1)
        columns = found.keys.reshape(len(places), -1).astype(np.int64)
        counts = np.reshape(getattr(found, "counts", squares.shape[1]), (-1, 1))
        squares = np.where(np.arange(squares.shape[1]) < counts, squares, np.inf)
        return squares, columns

    def bytes_of_index(self) -> int:
        """Count what it says it holds."""
        return int(self.index.memory_usage)


def _faiss() -> Any:
    import faiss

    faiss.omp_set_num_threads(THREADS)
    return faiss
