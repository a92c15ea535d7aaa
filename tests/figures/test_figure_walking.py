"""The figure of a walk over an unknown plain: script and library say the same."""

import numpy as np
import pytest
import torch

from tests.figures.node import answers, kilobytes
from tree_world.models.memory import SpatialMemory
from tree_world.plotting import MapGrid, ScentPalette, data
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

SENSOR = SimpleSensor()
WORLD = TreeWorld.random_from_config(TreeWorldConfig(), seed=14)
GRID = MapGrid(500.0, 20)
OPTIONS = {"sd": 10.0, "match_threshold": 50.0, "max_memory_size": 400, "grid": GRID}
WALK = [[12.0 * step, 0.0] for step in range(10)]


def settings():
    random = np.random.default_rng(0)
    yield {"walk": []}
    yield {"walk": [[500.0, 500.0]]}
    yield {"walk": [[-500.0, 500.0], [500.0, -500.0]]}
    for _ in range(197):
        number = int(random.integers(1, 120))
        steps = random.normal(0, 15, (number, 2)).cumsum(axis=0) + random.uniform(-300, 300, 2)
        yield {"walk": steps.clip(-500, 500).tolist()}


def test_every_map_is_that_of_a_memory():
    figure = data.walking(WORLD, SENSOR, WALK, **OPTIONS)
    palette = ScentPalette.from_world(WORLD)
    asked = list(settings())
    differ = total = 0
    for values, found in zip(asked, answers("walking", figure.data, asked), strict=True):
        memory = SpatialMemory(2, WORLD.config.sensory_embedding_dim)
        walk = torch.tensor(values["walk"]).reshape(-1, 2)
        if len(walk):
            memory.write(walk, 10.0, SENSOR.sense(WORLD, walk).embedding)
        read = memory.read_with_support(GRID.points, 10.0, match_threshold=50.0)
        known = np.array([cell is not None for cell in found["cells"]])
        differ += int((known != read.known.numpy()).sum())
        total += len(known)
        both = np.flatnonzero(known & read.known.numpy())
        if len(both):
            shown = np.array([found["cells"][index] for index in both])
            assert np.abs(shown - palette.colors(read.mean[both])).max() <= 2 / 255
        assert found["known"] == pytest.approx(known.mean())
    assert differ <= 0.001 * total


def test_the_state_is_small():
    assert kilobytes(data.walking(WORLD, SENSOR, WALK, **OPTIONS).data) <= 25


def test_a_walk_has_two_places():
    with pytest.raises(ValueError, match="at least two places"):
        data.walking(WORLD, SENSOR, WALK[:1], **OPTIONS)
    with pytest.raises(ValueError, match="only 5 are remembered"):
        data.walking(WORLD, SENSOR, WALK, **(OPTIONS | {"max_memory_size": 5}))
