"""Other ways to keep less of what was observed, against which certified pruning is compared.

They are for comparisons: each takes what was observed and says what to keep, without a memory.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tree_world.checks import whole_number
from tree_world.optional import from_extra

__all__ = ["cheapest_first", "cluster_means", "farthest_points"]


def farthest_points(places: torch.Tensor, size: int) -> torch.Tensor:
    """Choose places that are as far apart as can be, one after the other.

    The first is the one nearest to the origin; each of the others is the one that is farthest from
    all chosen before. It knows of no smell.

    Parameters
    ----------
    places : torch.Tensor of shape (n, dim)
        In metres.
    size : int
        How many to choose, from 1 to n.

    Returns
    -------
    torch.Tensor of int of shape (size,)
        Their rows, in the order in which they were chosen.

    Raises
    ------
    ValueError
        If there are not so many places.

    References
    ----------
    T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical
    Computer Science 38 (1985).

    Examples
    --------
    >>> farthest_points(torch.tensor([[0.0], [1.0], [9.0], [4.0]]), 3)
    tensor([0, 2, 3])
    """
    size = _size(size, places)
    chosen = [int(places.norm(dim=1).argmin())]
    nearest = torch.full((len(places),), torch.inf)
    while len(chosen) < size:
        nearest = torch.minimum(nearest, (places - places[chosen[-1]]).norm(dim=1))
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)


def cluster_means(
    places: torch.Tensor, senses: torch.Tensor, size: int, *, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cluster places by k-means, and put the mean of what was sensed in a cluster at its centre.

    Parameters
    ----------
    places : torch.Tensor of shape (n, dim)
        In metres.
    senses : torch.Tensor of shape (n, sensory_dim)
    size : int
        How many clusters to make, from 1 to n.
    seed : int
        For the centres to begin with. Last digits depend on the processor all the same.

    Returns
    -------
    places : torch.Tensor of shape (size, dim)
    senses : torch.Tensor of shape (size, sensory_dim)

    Raises
    ------
    ValueError
        If there are not so many places.

    Examples
    --------
    >>> places = torch.tensor([[0.0], [2.0], [40.0]])
    >>> where, what = cluster_means(places, torch.tensor([[1.0], [3.0], [5.0]]), 2, seed=0)
    >>> sorted(zip(where[:, 0].tolist(), what[:, 0].tolist()))
    [(1.0, 2.0), (40.0, 5.0)]
    """
    with from_extra("learn", "cluster_means"):
        from sklearn.cluster import KMeans

    size = _size(size, places)
    clusters = KMeans(size, n_init=1, max_iter=50, random_state=seed).fit_predict(places.numpy())
    of_each = torch.from_numpy(clusters).long()
    number = torch.bincount(of_each, minlength=size)[:, None]
    where, what = (
        torch.zeros(size, values.shape[1]).index_add_(0, of_each, values) / number
        for values in (places, senses)
    )
    return where, what


def cheapest_first(
    places: torch.Tensor,
    sd: float,
    senses: torch.Tensor,
    *,
    tolerance: float,
    match_threshold: float | None = None,
) -> dict[int, float]:
    r"""Let observations go in the best order of one at a time, all costs computed anew each time.

    This is the order of certified pruning by the plain formula: of all observations that may go, so
    that what has gone is told within the tolerance, that one goes without which the reads at all
    places have the least squared error. Each step looks at all pairs: for a few hundred.

    Parameters
    ----------
    places : torch.Tensor of shape (n, dim)
        In metres.
    sd : float
        Deviation of all observations and reads, in metres.
    senses : torch.Tensor of shape (n, sensory_dim)
    tolerance : float
        Greatest error of what has gone.
    match_threshold : float, optional
        What is farther counts nothing, in metres; everything counts by default.

    Returns
    -------
    dict of int to float
        For each size on the way, from n down, the squared error of the reads at all n places.

    Examples
    --------
    >>> places, senses = torch.tensor([[0.0], [1.0], [60.0]]), torch.tensor([[1.0], [1.0], [5.0]])
    >>> sorted(cheapest_first(places, 10.0, senses, tolerance=0.1, match_threshold=25.0))
    [2, 3]
    """
    # Distances between smells are all that counts, and few axes keep them.
    axes, lengths, _ = np.linalg.svd(senses.double().numpy(), full_matrices=False)
    z = (axes * lengths)[:, lengths > 1e-6 * lengths[0]]
    exact = "donot_use_mm_for_euclid_dist"
    distance = torch.cdist(places.double(), places.double(), compute_mode=exact).numpy()
    near = distance <= (math.inf if match_threshold is None else match_threshold)
    k = np.where(near, np.exp(-(distance**2) / (4 * sd**2)), 0.0)
    left = np.ones(len(z), dtype=bool)
    weights, sums = k.sum(axis=1), k @ z
    squared = {len(z): float(((sums / weights[:, None] - z) ** 2).sum())}
    while True:
        # Row t: the reads at all places without t. Rounding leaves no weight where none is left.
        without = weights - k
        without[without < 1e-12] = np.nan
        read = (sums - k[:, :, None] * z[:, None]) / without[..., None]
        error = np.linalg.norm(read - z, axis=2)
        tested = ~left | np.eye(len(z), dtype=bool)
        may_go = left & (~tested | (error <= tolerance)).all(axis=1)
        if not may_go.any():
            return squared
        cost = np.where(may_go, (error**2).sum(axis=1), np.inf)
        left[cost.argmin()] = False
        weights, sums = (k * left).sum(axis=1), (k * left) @ z
        squared[int(left.sum())] = float(cost.min())


def _size(size: int, places: torch.Tensor) -> int:
    size = whole_number("size", size, least=1)
    if size > len(places):
        raise ValueError(f"{size} of {len(places)} places cannot be kept. Ask for fewer.")
    return size
