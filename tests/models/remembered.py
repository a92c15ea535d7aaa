"""What tests of forgetting remember, and how well the rest tells what has gone."""

import numpy as np
import torch

from tests.models import oracle
from tree_world.models.memory.types import Observations

ROUNDING = 2e-5  # of reads in single precision, for senses of length about one


def observations(number, seed=0, *, spread=40.0, sensory_dim=5, dim=2, smooth=True):
    """Places, deviations, and senses that vary smoothly with place, or not at all smoothly."""
    generator = torch.Generator().manual_seed(seed)
    places = spread * torch.randn(number, dim, generator=generator)
    sds = 1.0 + 14.0 * torch.rand(number, dim, generator=generator)
    directions = torch.randn(dim, sensory_dim, generator=generator) / 30
    senses = torch.sin(places @ directions)
    if not smooth:
        senses = torch.randn(number, sensory_dim, generator=generator)
    return Observations(places, sds, senses)


def rows_of(everything, which):
    return everything.take(torch.from_numpy(np.flatnonzero(which)))


def errors_of(gone, left, match_threshold):
    """Errors of reads in double precision; infinite where nothing matches."""
    if len(gone) == 0:
        return np.empty(0)
    if len(left) == 0:
        return np.full(len(gone), np.inf)
    mean, size, _, _ = oracle.read(
        gone.locations, gone.location_sds, left.locations, left.location_sds, left.senses,
        match_threshold,
    )  # fmt: skip
    errors = np.linalg.norm(mean - gone.senses.numpy(), axis=1)
    return np.where(size > 0, errors, np.inf)
