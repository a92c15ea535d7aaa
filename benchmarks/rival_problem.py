"""What rivals are asked: observations as a memory holds them, queries, kernels, and the truth.

All deviations are equal here, so that the nearest observations are those that weigh most. In
general they are not, and searches for the nearest then look for the wrong ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import KDTree

from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.simulation.vocabulary import (
    EDIBLE_KINDS,
    FRUIT_AMOUNTS,
    POISONOUS_KINDS,
    TREE_IDS,
)

SPREAD = 200.0  # metres, of ten thousand observations; the density is the same for all sizes
PER_TREE = 400  # observations: 25 trees among ten thousand, as in the default world
FEWEST_TREES = 16
STEP = 1.0  # metre, by which an agent moves between two later observations
TAIL = 1e-6  # share of all weights that a way may leave out, as ours does by default
AT_A_TIME = 20_000  # observations that the oracle looks at together

# Deviation of all observations and queries, as a share of their spread or in metres, and the
# threshold in metres.
KERNELS: dict[str, tuple[float, str, float | None]] = {
    "threshold": (10.0, "metres", 25.0),
    "narrow": (10.0, "metres", None),
    "wide": (0.5, "spreads", None),
}


@dataclass(frozen=True)
class Problem:
    """What is remembered, what will be, what is asked, and by which kernel.

    Attributes
    ----------
    all_locations, all_senses : torch.Tensor of shape (size + R, 2) and (size + R, d)
        What is remembered from the start, then what an agent will write, in this order.
    size : int
        How many observations are remembered from the start.
    queries : torch.Tensor of shape (Q, 2)
    sd : float
        Deviation of all observations and queries, in metres.
    match_threshold : float or None
        In metres.
    """

    all_locations: torch.Tensor
    all_senses: torch.Tensor
    size: int
    queries: torch.Tensor
    sd: float
    match_threshold: float | None

    @property
    def locations(self) -> torch.Tensor:
        """Where was sensed what is remembered from the start; a view."""
        return self.all_locations[: self.size]

    @property
    def senses(self) -> torch.Tensor:
        """What is remembered from the start; a view."""
        return self.all_senses[: self.size]

    @property
    def variance(self) -> float:
        """Of the difference of two places, on each axis."""
        return 2 * self.sd**2

    @property
    def reach(self) -> float:
        """Distance beyond which nothing counts: by the threshold, or for a share of `TAIL`."""
        return self.match_threshold or math.sqrt(2 * self.variance * math.log(1 / TAIL))

    def to(self, device: str) -> Problem:
        """Move everything."""
        names = ("all_locations", "all_senses", "queries")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def problem(size: int, kernel: str, num_queries: int, room: int = 0) -> Problem:
    """Draw observations of trees, and queries among them.

    Parameters
    ----------
    size : int
        Also the seed, so that all kernels have the same observations.
    kernel : str
        One of `KERNELS`.
    num_queries : int
    room : int, default=0
        How many observations an agent will write, in steps of a metre from the middle on.

    Returns
    -------
    Problem
    """
    deviation, unit, threshold = KERNELS[kernel]
    generator = torch.Generator().manual_seed(size)
    spread = SPREAD * math.sqrt(size / 10_000)
    locations = spread * torch.randn(size, 2, generator=generator)
    queries = spread * torch.randn(num_queries, 2, generator=generator)
    turns = torch.cumsum(0.3 * torch.randn(room, generator=generator), dim=0)
    walk = torch.cumsum(STEP * torch.stack([turns.cos(), turns.sin()], dim=1), dim=0)
    everywhere = torch.cat([locations, walk])
    senses = smells(everywhere, spread, generator)
    sd = deviation * (spread if unit == "spreads" else 1.0)
    return Problem(everywhere, senses, size, queries, sd, threshold)


def smells(places: torch.Tensor, spread: float, generator: torch.Generator) -> torch.Tensor:
    """Tell what is perceived at places: the kind and name of the nearest tree, and its fruit.

    Trees stand as densely as observations do; their names come again when all are used. How much
    fruit a tree bears is drawn anew for each observation.

    Parameters
    ----------
    places : torch.Tensor of shape (n, 2)
        In metres.
    spread : float
        Deviation of the places of trees, in metres.
    generator : torch.Generator

    Returns
    -------
    torch.Tensor of shape (n, 384)
        Sums of three unit vectors.
    """
    kinds, names, amounts = (
        embed_text_sentence_transformers(list(words))
        for words in (EDIBLE_KINDS + POISONOUS_KINDS, TREE_IDS, FRUIT_AMOUNTS)
    )
    number = max(FEWEST_TREES, len(places) // PER_TREE)
    trees = spread * torch.randn(number, 2, generator=generator)
    kind = kinds[torch.randint(len(kinds), (number,), generator=generator)]
    of_trees = kind + names[torch.arange(number) % len(names)]
    nearest = torch.from_numpy(KDTree(trees.numpy()).query(places.numpy(), workers=2)[1])
    amount = torch.randint(len(amounts), (len(places),), generator=generator)
    return of_trees[nearest].add_(amounts[amount])


def exact(given: Problem, places: torch.Tensor, num_written: int = 0) -> torch.Tensor:
    """Read in double precision, from differences that are formed one by one.

    Parameters
    ----------
    given : Problem
    places : torch.Tensor of shape (Q, 2)
    num_written : int, default=0
        How many of the later observations have been written.

    Returns
    -------
    torch.Tensor of float64, of shape (Q, d)
        Zeros where nothing counts.
    """
    size = given.size + num_written
    own = places.cpu().double().numpy()
    locations = given.all_locations[:size].cpu().double().numpy()
    senses = given.all_senses[:size].cpu()
    nearest = np.full(len(own), np.inf)
    for part in range(0, size, AT_A_TIME):
        near = _squares(own, locations[part : part + AT_A_TIME]).min(axis=1)
        nearest = np.minimum(nearest, near)
    sums, total = torch.zeros(len(own), senses.shape[1], dtype=torch.float64), np.zeros(len(own))
    for part in range(0, size, AT_A_TIME):
        squares = _squares(own, locations[part : part + AT_A_TIME])
        weights = np.exp((nearest[:, None] - squares) / (2 * given.variance))
        if given.match_threshold is not None:
            weights[squares > given.match_threshold**2] = 0.0
        total += weights.sum(axis=1)
        sums += torch.from_numpy(weights) @ senses[part : part + AT_A_TIME].double()
    return sums / torch.from_numpy(np.where(total > 0, total, 1.0))[:, None]


def _squares(places: np.ndarray, locations: np.ndarray) -> np.ndarray:
    across: np.ndarray
    across, along = (places[:, None, axis] - locations[None, :, axis] for axis in (0, 1))
    across *= across
    along *= along
    across += along
    return across
