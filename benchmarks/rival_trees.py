"""Rivals by k-d trees: SciPy's and nanoflann's with a tail, and scikit-learn's regressor."""

from __future__ import annotations

import itertools
import warnings
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.spatial import KDTree
from sklearn.neighbors import RadiusNeighborsRegressor

from benchmarks.rival_face import THREADS, Array, Finder, Pairs, Way, in_threads, nearby, together
from benchmarks.rival_problem import Problem

TAIL_LENGTH = 256  # observations that are compared with all, until a tree is built of them
NODE = 88  # bytes of a node of SciPy's tree; it tells nothing of its size
LEAF = 16  # points in a leaf


class Tree(Protocol):
    """An index over some points that cannot be added to."""

    def __init__(self, points: Array) -> None: ...

    def find(self, places: Array, reach: float) -> Pairs:
        """Find all points within reach of each place."""
        ...

    def find_of_one(self, place: Array, reach: float) -> Array:
        """Find all points within reach of one place."""
        ...

    def nearest(self, places: Array) -> Array:
        """Distances to the nearest point."""
        ...

    def num_bytes(self) -> int:
        """Count what it holds beside the points."""
        ...


class Part(NamedTuple):
    """A tree over the observations from `first` to `stop`."""

    tree: Tree
    first: int
    stop: int


class Forest(Finder):
    """Trees that can be added to, by the logarithmic method [1]_.

    What is new stands in a tail, which is compared with all. When the tail is full, it becomes a
    tree, together with all trees behind it that are not larger than what becomes of them. So a tree
    is never built anew of less than half of new points, and there are few of them.

    References
    ----------
    .. [1] J. L. Bentley and J. B. Saxe, "Decomposable searching problems I", Journal of Algorithms
       1(4), 1980, pp. 301-358.
    """

    can_be_written_to = True
    tree: type[Tree]

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.parts = [Part(self.tree(self.locations[: self.number]), 0, self.number)]

    @property
    def indexed(self) -> int:
        """How many observations stand in trees; the others are the tail."""
        return self.parts[-1].stop

    def write(self, place: torch.Tensor, sense: torch.Tensor) -> None:
        """Put it into the tail, and make a tree of that when it is full."""
        self.append(place, sense)
        if self.number - self.indexed < TAIL_LENGTH:
            return
        first = self.indexed
        while self.parts and self.parts[-1].stop - self.parts[-1].first <= self.number - first:
            first = self.parts.pop().first
        tree = self.tree(self.locations[first : self.number])
        self.parts.append(Part(tree, first, self.number))

    def find(self, places: Array, reach: float) -> Pairs:
        """Ask all trees, and compare with the tail."""
        found = [(part.tree.find(places, reach), part.first) for part in self.parts]
        if self.indexed < self.number:
            tail = self.locations[self.indexed : self.number]
            found.append((nearby(places, tail, reach), self.indexed))
        return found[0][0] if len(found) == 1 else together(found)

    def find_of_one(self, place: Array, reach: float) -> Array:
        """Ask all trees, and compare with the tail."""
        found = [part.tree.find_of_one(place, reach) + part.first for part in self.parts]
        if self.indexed < self.number:
            tail = self.locations[self.indexed : self.number]
            squares = np.square(tail - place).sum(axis=1)
            found.append(np.flatnonzero(squares <= reach**2) + self.indexed)
        return found[0] if len(found) == 1 else np.concatenate(found)

    def nearest(self, places: Array) -> Array:
        """Ask all trees, and compare with the tail."""
        found = [part.tree.nearest(places) for part in self.parts]
        if self.indexed < self.number:
            tail = self.locations[self.indexed : self.number]
            found.append(np.linalg.norm(places[:, None] - tail, axis=2).min(axis=1))
        least: Array = np.min(found, axis=0)
        return least

    def bytes_of_index(self) -> int:
        """Count all trees."""
        return sum(part.tree.num_bytes() for part in self.parts)


class SciPyTree:
    """SciPy's tree, which gathers pairs by lists of Python, one for each place."""

    def __init__(self, points: Array) -> None:
        self.tree = KDTree(points, leafsize=LEAF)

    def find(self, places: Array, reach: float) -> Pairs:
        """Join the lists of all places."""
        near = self.tree.query_ball_point(places, reach, workers=THREADS, return_sorted=False)
        ends = np.concatenate([[0], np.cumsum([len(one) for one in near])])
        every = itertools.chain.from_iterable(near)
        return Pairs(ends, np.fromiter(every, dtype=np.int64, count=ends[-1]))

    def find_of_one(self, place: Array, reach: float) -> Array:
        """Give the one list."""
        near = self.tree.query_ball_point(place, reach, return_sorted=False)
        return np.array(near, dtype=np.int64)

    def nearest(self, places: Array) -> Array:
        """Ask for one neighbour."""
        found: Array = self.tree.query(places, workers=THREADS)[0]
        return found

    def num_bytes(self) -> int:
        """Count the copy of all points in double precision, their order, and the nodes."""
        nodes = int(self.tree.size) * NODE  # SciPy calls the number of nodes the size
        return int(self.tree.data.nbytes + self.tree.indices.nbytes + nodes)


class GatheringTree(SciPyTree):
    """SciPy's tree, which gathers all pairs in one go, with no list."""

    def find(self, places: Array, reach: float) -> Pairs:
        """Join this tree with one of the places, a share of them in each thread."""
        if len(places) < 2 * THREADS:
            return super().find(places, reach)
        rows = np.array_split(np.argsort(places[:, 0]), THREADS)  # so that each share is compact
        found = in_threads(lambda own: self._joined(places[own], own, reach), rows)
        row, column = (np.concatenate([one[axis] for one in found]) for axis in (0, 1))
        shape = (len(places), self.tree.n)
        matrix = coo_array((np.ones(len(row), dtype=np.int8), (row, column)), shape=shape).tocsr()
        return Pairs(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64))

    def _joined(self, places: Array, rows: Array, reach: float) -> tuple[Array, Array]:
        pairs = KDTree(places).sparse_distance_matrix(self.tree, reach, output_type="ndarray")
        return rows[pairs["i"]], pairs["j"]


class NanoflannTree:
    """nanoflann's tree, through pynanoflann; pairs come as lists of Python."""

    def __init__(self, points: Array) -> None:
        import pynanoflann

        self.points = np.ascontiguousarray(points)
        tree = pynanoflann.KDTree(metric="l2", leaf_size=LEAF)
        tree.fit(self.points)
        self.tree = tree.index  # its own face makes arrays of each list, which takes longer

    def find(self, places: Array, reach: float) -> Pairs:
        """Join the lists of all places."""
        _, near = self.tree.radius_neighbors_multithreaded(places, reach**2, THREADS)
        ends = np.concatenate([[0], np.cumsum([len(one) for one in near])])
        every = itertools.chain.from_iterable(near)
        return Pairs(ends, np.fromiter(every, dtype=np.int64, count=ends[-1]))

    def find_of_one(self, place: Array, reach: float) -> Array:
        """Give the one list."""
        return np.array(self.tree.radius_neighbors(place[None], reach**2)[1][0], dtype=np.int64)

    def nearest(self, places: Array) -> Array:
        """Ask for one neighbour."""
        squares = self.tree.kneighbors_multithreaded(places, 1, THREADS)[0]
        found: Array = np.sqrt(np.asarray(squares)[:, 0])
        return found

    def num_bytes(self) -> int:
        """Count the order of all points, and two nodes of 40 bytes for each leaf."""
        return 8 * len(self.points) + 2 * 40 * -(-len(self.points) // (LEAF // 2))


class SciPyLists(Forest):
    """SciPy's tree, lists of neighbours, and a sparse matrix of weights."""

    name = "SciPy tree, lists"
    tree = SciPyTree


class SciPyGathered(Forest):
    """SciPy's tree, all pairs in one go, and a sparse matrix of weights."""

    name = "SciPy tree, gathered"
    tree = GatheringTree


class Nanoflann(Forest):
    """nanoflann's tree, lists of neighbours, and a sparse matrix of weights."""

    name = "nanoflann"
    tree = NanoflannTree


class ScikitLearn(Way):
    """scikit-learn's radius neighbours with a Gaussian weight.

    It takes one radius for all queries, which must be larger than the reach if some lie far from
    all observations.
    """

    name = "scikit-learn"
    efforts = (1, 2, 4)

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.regressor = RadiusNeighborsRegressor(
            radius=problem.reach, weights=self._gaussian, algorithm="kd_tree", n_jobs=THREADS
        )
        self.regressor.fit(problem.locations.numpy(), problem.senses.numpy())

    def make_an_effort(self, effort: int) -> None:
        """Look so many times as far as the reach, where there is no threshold."""
        if self.problem.match_threshold is None:
            self.regressor.set_params(radius=effort * self.problem.reach)

    def _gaussian(self, distances: Array) -> Array:
        each = [np.exp(-(d**2) / (2 * self.problem.variance)) for d in distances]
        as_objects = np.empty(len(each), dtype=object)
        as_objects[:] = each
        return as_objects

    def read_many(self, places: torch.Tensor) -> torch.Tensor:
        """Predict."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where nothing is near there is no mean, it says
            found = self.regressor.predict(places.numpy())
        return torch.from_numpy(found).nan_to_num(0.0)

    def bytes_of_index(self) -> int:
        """Count the arrays of its tree, and its own copies of the observations."""
        arrays = vars(self.regressor)["_tree"].get_arrays()
        return int(sum(np.asarray(one).nbytes for one in arrays))
