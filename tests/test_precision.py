"""Nothing that the library computes depends on ``torch.autocast``."""

import copy

import pytest
import torch

from tree_world.models.drives import DriveClassifier, DriveEstimator, fit_drives
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget.consolidation import consolidate
from tree_world.models.memory.projection import Projection
from tree_world.models.memory.types import Observations
from tree_world.models.places.localiser import Localiser
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

MATRIX = torch.tensor([[1.0, 0.3, -0.2, 0.1], [0.2, 0.9, 0.4, -0.3]])
KEY = [1.0, 0.3, 0.2, 0.1]


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


PLACES, SENSES = 30 * some(120, 2), some(120, 4, seed=1)
TARGETS = torch.nn.functional.one_hot(torch.arange(120) % 3).double()


def taught(**options):
    memory = SpatialMemory(2, 4, **options)
    memory.write(PLACES, 5.0, SENSES)
    return memory


# Made outside of autocast, so that each case shows its own computation alone.
MEMORIES = {
    "plain": taught(),
    "components": taught(embed_dim=2),
    "matrix": taught(embed_dim=2, projection=MATRIX),
}
CLASSIFIER = fit_drives(SENSES, TARGETS)


def changed(memory, change):
    memory = copy.deepcopy(memory)
    change(memory)
    return [memory.memory_locations, memory.memory_location_sds, memory.memory_senses]


OF_A_MEMORY = {
    "read": lambda memory: memory.read(PLACES[:9] + 1, 5.0),
    "attention": lambda memory: memory.read(PLACES[:9] + 1, 5.0, method="attention"),
    "support": lambda memory: memory.read_with_support(PLACES[:9], 5.0, order="linear").spread,
    "exact": lambda memory: memory.sample([0.0, 0.0], 5.0, KEY, 9, method="exact"),
    "cells": lambda memory: memory.sample([0.0, 0.0], 5.0, KEY, 9, method="cells"),
    "search": lambda memory: memory.search(KEY, 3, match_threshold=25.0).match,
    "read_location": lambda memory: memory.read_location(KEY, [0.0, 0.0], 30.0)[0],
    "localise": lambda memory: Localiser(memory, match_threshold=50.0).locate(KEY).probabilities,
    "write": lambda memory: changed(memory, lambda m: m.write(PLACES + 1, 5.0, SENSES)),
    "merge": lambda memory: changed(memory, lambda m: m.write(PLACES[:9], 5.0, SENSES[:9], True)),
    "prune": lambda memory: changed(memory, lambda m: m.prune(0.5, 25.0)),
    "consolidate": lambda memory: changed(memory, lambda m: m.consolidate(60, 25.0, num_steps=3)),
    "copy": lambda memory: changed(memory, lambda m: m.to(dtype=torch.float64)),
}
OTHERS = {
    "first write": lambda: taught(embed_dim=2).memory_senses,
    "fit": lambda: changed(MEMORIES["components"], lambda m: m.fit_projection(SENSES + 1)),
    "projection": lambda: Projection(MATRIX).decode(Projection(MATRIX).encode(SENSES)),
    "inverse": lambda: Projection(MATRIX).inverse,
    "consolidate": lambda: (
        consolidate(
            Observations(PLACES, torch.full_like(PLACES, 5.0), SENSES), 60, num_steps=3
        ).observations.senses
    ),
    "probabilities": lambda: CLASSIFIER(SENSES),
    "calibrate": lambda: copy.deepcopy(CLASSIFIER).calibrate(SENSES, TARGETS),
    "estimator": lambda: (
        DriveEstimator().fit(SENSES, torch.arange(120) % 3).predict_proba(SENSES).tolist()
    ),
    "untrained": lambda: DriveClassifier(4)(SENSES),
    "smell": lambda: SimpleSensor().sense(
        TreeWorld.random_from_config(TreeWorldConfig(), seed=0), PLACES
    )[1],
    "life": lambda: (
        TreeWorld.random_from_config(TreeWorldConfig(), seed=0, sensor=SimpleSensor())
        .run(20)
        .positions.tolist()
    ),
}
CASES = OTHERS | {
    f"{verb}, {name}": lambda work=work, memory=memory: work(memory)
    for verb, work in OF_A_MEMORY.items()
    for name, memory in MEMORIES.items()
}


@pytest.mark.parametrize("case", CASES)
def test_autocast_changes_nothing(case):
    expected = CASES[case]()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (SENSES @ MATRIX.mT).dtype == torch.bfloat16, "autocast is on"
        found = CASES[case]()
        assert torch.is_autocast_enabled("cpu"), "whoever switched it on finds it on"
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
