"""Other ways to the same read: each prepares what it needs of a problem, and returns a reader.

All deviations are equal here, so that the nearest observations are those that weigh most. In
general they are not, and searches for the nearest then look for the wrong ones.
"""

from __future__ import annotations

import math
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.spatial import KDTree
from sklearn.neighbors import RadiusNeighborsRegressor

from benchmarks.dense import read_densely
from tree_world.models.memory import SpatialMemory

Reader = Callable[[torch.Tensor], torch.Tensor]

LARGEST_TEMPORARY = 2**26  # entries that one step of a chunked way may hold


@dataclass(frozen=True)
class Problem:
    """What is remembered, what is asked, and by which kernel.

    Attributes
    ----------
    locations, senses : torch.Tensor of shape (M, 2) and (M, d)
    queries : torch.Tensor of shape (Q, 2)
    sd : float
        Deviation of all observations and queries, in metres.
    match_threshold : float or None
        In metres.
    """

    locations: torch.Tensor
    senses: torch.Tensor
    queries: torch.Tensor
    sd: float
    match_threshold: float | None

    @property
    def variance(self) -> float:
        """Of the difference of two places, on each axis."""
        return 2 * self.sd**2

    @property
    def reach(self) -> float:
        """Distance beyond which nothing counts: by the threshold, or as weights are rounded off."""
        return self.match_threshold or math.sqrt(2 * self.variance * math.log(2**24))

    def to(self, device: str) -> Problem:
        """Move everything."""
        names = ("locations", "senses", "queries")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


class DoesNotFit(Exception):
    """A way would need more memory than it is given."""


def exact(problem: Problem, number: int) -> torch.Tensor:
    """Read the first places in double precision, 16 at a time."""
    senses = problem.senses.double()
    found = []
    for places in problem.queries[:number].double().split(16):
        squares = torch.cdist(places, problem.locations.double()).square()
        log_k = -squares / (2 * problem.variance)
        if problem.match_threshold is not None:
            log_k = log_k.masked_fill(squares > problem.match_threshold**2, -torch.inf)
        found.append(log_k.softmax(dim=-1).nan_to_num(0.0) @ senses)
    return torch.cat(found)


def tree_world(problem: Problem) -> Reader:
    """Ours."""
    device = problem.senses.device
    size, sensory = problem.senses.shape
    memory = SpatialMemory(2, sensory, max_memory_size=size)
    for start in range(0, size, 50_000):
        part = slice(start, start + 50_000)
        memory.write(problem.locations[part].cpu(), problem.sd, problem.senses[part].cpu())
    memory.to(device)
    return lambda places: memory.read(places, problem.sd, problem.match_threshold)


def formula(problem: Problem, limit: float = 8e9) -> Reader:
    """Read by the formula as printed: all differences, then all weights, then all means."""
    sds = torch.full_like(problem.locations, problem.sd)

    def read(places: torch.Tensor) -> torch.Tensor:
        needed = 4 * 8 * len(places) * len(problem.locations)  # at its peak, eight floats a pair
        if needed > limit:
            raise DoesNotFit(f"{needed / 1e9:.0f} GB")
        own = torch.full_like(places, problem.sd)
        return read_densely(
            places, own, problem.locations, sds, problem.senses, problem.match_threshold
        )

    return read


def attention(problem: Problem) -> Reader:
    r"""Read by PyTorch's attention, as :math:`\log k` is a dot product of five features."""
    centre = problem.locations.mean(dim=0)
    locations = (problem.locations - centre) / math.sqrt(problem.variance)
    halves = -0.5 * locations.square().sum(dim=-1, keepdim=True)
    keys = torch.cat([torch.full_like(locations, -0.5), locations, halves], dim=-1)[None]
    values = problem.senses[None]
    rows = max(1, LARGEST_TEMPORARY // len(locations))

    def read(places: torch.Tensor) -> torch.Tensor:
        found = []
        for part in places.split(rows):
            own = (part - centre) / math.sqrt(problem.variance)
            queries = torch.cat([own.square(), own, torch.ones_like(own[:, :1])], dim=-1)[None]
            near = None
            if problem.match_threshold is not None:
                near = torch.cdist(part, problem.locations)[None] <= problem.match_threshold
            read = torch.nn.functional.scaled_dot_product_attention(
                queries, keys, values, attn_mask=near, scale=1.0
            )
            found.append(read[0].nan_to_num(0.0))
        return torch.cat(found)

    return read


def keops(problem: Problem) -> Reader:
    """Read by PyKeOps, which compiles a loop over all pairs and keeps none of them."""
    LazyTensor = _lazy_tensor()
    locations = LazyTensor(problem.locations[None].contiguous())
    ones = torch.ones_like(problem.senses[:, :1])
    with_ones = torch.cat([problem.senses, ones], dim=1) if problem.match_threshold else None

    def read(places: torch.Tensor) -> torch.Tensor:
        squares = ((LazyTensor(places[:, None].contiguous()) - locations) ** 2).sum(-1)
        log_k = -squares / (2 * problem.variance)
        if problem.match_threshold is None:
            mean: torch.Tensor = log_k.sumsoftmaxweight(LazyTensor(problem.senses[None]), dim=1)
            return mean
        # Within the threshold nothing underflows, so that sums do, and see where nothing is near.
        sums: torch.Tensor = (
            log_k.exp() * (problem.match_threshold**2 - squares).step()
        ) @ with_ones
        return sums[:, :-1] / sums[:, -1:].clamp_min(1e-30)

    return read


def scikit_learn(problem: Problem) -> Reader:
    """Read by scikit-learn's radius neighbours with a Gaussian weight."""

    def gaussian(distances: np.ndarray) -> np.ndarray:
        each = [np.exp(-(d**2) / (2 * problem.variance)) for d in distances]
        together = np.empty(len(each), dtype=object)
        together[:] = each
        return together

    regressor = RadiusNeighborsRegressor(
        radius=problem.reach, weights=gaussian, algorithm="kd_tree", n_jobs=-1
    )
    regressor.fit(problem.locations.numpy(), problem.senses.numpy())

    def read(places: torch.Tensor) -> torch.Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where nothing is near there is no mean, it says
            found = regressor.predict(places.numpy())
        return torch.from_numpy(found).nan_to_num(0.0)

    return read


def scipy_tree(problem: Problem) -> Reader:
    """Find pairs by SciPy's tree, and multiply a sparse matrix of weights."""
    locations, senses = problem.locations.numpy(), problem.senses.numpy()
    tree = KDTree(locations)

    def read(places: torch.Tensor) -> torch.Tensor:
        near = tree.query_ball_point(places.numpy(), problem.reach, workers=-1)
        counts = np.array([len(one) for one in near])
        columns = np.concatenate([np.asarray(one, dtype=np.int64) for one in near])
        rows = np.repeat(np.arange(len(places)), counts)
        differences = places.numpy()[rows] - locations[columns]
        weights = np.exp(-np.square(differences).sum(axis=1) / (2 * problem.variance))
        sums = np.bincount(rows, weights, minlength=len(places))
        weights = (weights / sums[rows]).astype(np.float32)
        ends = np.concatenate([[0], np.cumsum(counts)])
        matrix = csr_array((weights, columns, ends), shape=(len(places), len(locations)))
        return torch.from_numpy(matrix @ senses)

    return read


EXACT: dict[str, Callable[[Problem], Reader]] = {
    "tree_world": tree_world,
    "formula as printed": formula,
    "PyTorch attention": attention,
    "PyKeOps": keops,
    "SciPy tree": scipy_tree,
    "scikit-learn": scikit_learn,
}
ON_DEVICE = ("tree_world", "formula as printed", "PyTorch attention")


# --- searches for the nearest, then a softmax -----------------------------------------------------


def faiss_flat(locations: np.ndarray) -> Any:
    """Compare with all, by FAISS."""
    import faiss

    index = faiss.IndexFlatL2(locations.shape[1])
    index.add(locations)
    return index


def faiss_ivf(locations: np.ndarray) -> Any:
    """Compare with all in the cells around, by FAISS."""
    import faiss

    cells = max(1, int(math.sqrt(len(locations)) / 2))
    index = faiss.index_factory(locations.shape[1], f"IVF{cells},Flat")
    index.train(locations[: 200 * cells])
    index.add(locations)
    return index


def faiss_hnsw(locations: np.ndarray) -> Any:
    """Go from neighbour to neighbour along a graph, by FAISS."""
    import faiss

    index = faiss.IndexHNSWFlat(locations.shape[1], 16)
    index.add(locations)
    return index


NEAREST: dict[str, Callable[[np.ndarray], Any]] = {
    "FAISS flat": faiss_flat,
    "FAISS IVF": faiss_ivf,
    "FAISS HNSW": faiss_hnsw,
}


def by_nearest(problem: Problem, index: Any, neighbours: int) -> Reader:
    """Weigh the nearest that an index finds."""
    size, senses = len(problem.locations), problem.senses.numpy()
    neighbours = min(neighbours, size)
    if hasattr(index, "nprobe"):  # cells enough for twice as many, and those around the query
        index.nprobe = min(index.nlist, 9 + 2 * neighbours * index.nlist // size)
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = max(64, 2 * neighbours)

    def read(places: torch.Tensor) -> torch.Tensor:
        squares, slots = map(torch.from_numpy, index.search(places.numpy(), neighbours))
        log_k = -squares / (2 * problem.variance)
        far = slots < 0
        if problem.match_threshold is not None:
            far |= squares > problem.match_threshold**2
        weights = log_k.masked_fill(far, -torch.inf).softmax(dim=-1).nan_to_num(0.0)
        counted = weights > 0
        ends = np.concatenate([[0], counted.sum(dim=1).cumsum(dim=0).numpy()])
        parts = (weights[counted].numpy(), slots[counted].numpy(), ends)
        matrix = csr_array(parts, shape=(len(places), size))
        return torch.from_numpy(matrix @ senses)

    return read


def _lazy_tensor() -> Any:
    """PyKeOps's tensor; what it compiles goes into a folder that is gone when the process ends."""
    global _KEOPS_FOLDER
    if _KEOPS_FOLDER is None:
        _KEOPS_FOLDER = tempfile.TemporaryDirectory(prefix="keops-")
        os.environ["KEOPS_CACHE_FOLDER"] = _KEOPS_FOLDER.name
    import pykeops
    from pykeops.torch import LazyTensor

    pykeops.set_verbose(False)
    return LazyTensor


_KEOPS_FOLDER: tempfile.TemporaryDirectory[str] | None = None
