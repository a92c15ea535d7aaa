"""The figure of a read: script and library say the same."""

import math

import numpy as np
import pytest
import torch

from tests.figures.node import answers, kilobytes
from tree_world.models.memory import SpatialMemory
from tree_world.plotting import MapGrid, ScentPalette, data
from tree_world.plotting.data import ScentBasis
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

CELLS = 50
SENSOR = SimpleSensor()
WORLD = TreeWorld.random_from_config(TreeWorldConfig(), seed=14)


def remembered(places, sd):
    memory = SpatialMemory(2, WORLD.config.sensory_embedding_dim)
    memory.write(places, sd, SENSOR.sense(WORLD, places).embedding)
    return memory


def observed(number=100, seed=0):
    return 100 * torch.randn(number, 2, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def figure():
    return data.read(
        remembered(observed(), 10.0), WORLD, SENSOR, [40.0, -30.0], match_threshold=50.0
    )


def remembering(values):
    """The memory that a reader has made, and the places in it."""
    kept = [index for index in range(100) if index not in values.get("gone", [])]
    added = torch.tensor(values.get("added", [])).reshape(-1, 2)
    places = torch.cat([observed()[kept], added])
    return remembered(places, values["sd"]), places


def settings(number):
    random = np.random.default_rng(0)
    ends = [
        {"query": [x, y], "sd": sd, "threshold": threshold, "unbounded": unbounded}
        for x, y in ((-500.0, 500.0), (0.0, 0.0))
        for sd in (2.0, 60.0)
        for threshold in (10.0, 400.0)
        for unbounded in (False, True)
    ]
    drawn = [
        {
            "query": random.normal(0, 120, 2).tolist(),
            "sd": float(np.exp(random.uniform(math.log(2), math.log(60)))),
            "threshold": float(np.exp(random.uniform(math.log(10), math.log(400)))),
            "unbounded": bool(random.random() < 0.3),
            "gone": sorted(random.choice(100, random.integers(0, 99), replace=False).tolist()),
            "added": random.normal(0, 150, (random.integers(0, 12), 2)).round(3).tolist(),
        }
        for _ in range(number - len(ends))
    ]
    return ends + drawn


def test_every_answer_is_that_of_the_library(figure):
    asked = settings(220)
    grid = MapGrid(figure.data["half_width"], CELLS)
    palette, basis = ScentPalette.from_world(WORLD), ScentBasis.of_world(WORLD)
    largest = float(SENSOR.sense(WORLD, observed()).embedding.norm(dim=-1).max())
    for values, found in zip(asked, answers("read", figure.data, asked), strict=True):
        memory, places = remembering(values)
        threshold = None if values["unbounded"] else values["threshold"]
        query = torch.tensor([values["query"]])
        read = memory.read_with_support(query, values["sd"], match_threshold=threshold)
        truth = SENSOR.sense(WORLD, query).embedding
        near = torch.cdist(query.double(), places.double()).min()
        assert abs(found["nearest_distance"] - near) < 0.05
        at_the_edge = threshold and (abs(near - threshold) < 0.05)
        if not at_the_edge:
            assert (found["mean"] is not None) == bool(read.known[0])
        if found["mean"] is None or at_the_edge:
            continue
        mean = np.array(found["mean"]) @ basis.directions
        assert np.linalg.norm(mean - read.mean[0].numpy()) <= 0.005 * largest
        told = np.array(found["truth"]) @ basis.directions
        assert np.linalg.norm(told - truth[0].numpy()) <= 0.005 * largest
        error = float((read.mean - truth).norm())
        assert abs(found["error"] - error) <= 0.005 * largest
        assert found["effective_sample_size"] == pytest.approx(
            float(read.effective_sample_size[0]), rel=0.005
        )
        color = palette.colors(read.mean)[0]
        assert np.abs(np.array(found["colours"][0]) - color).max() <= 2 / 255
    values, found = asked[-1], answers("read", figure.data, asked[-1:])[0]
    threshold = None if values["unbounded"] else values["threshold"]
    field = remembering(values)[0].read_with_support(
        grid.points, values["sd"], match_threshold=threshold
    )
    known = np.array([cell is not None for cell in found["cells"]])
    assert (known != field.known.numpy()).mean() <= 0.02
    both = np.flatnonzero(known & field.known.numpy())
    shown = np.array([found["cells"][index] for index in both])
    assert len(both) > 20
    assert np.abs(shown - palette.colors(field.mean[both])).max() <= 2 / 255


def test_colours_on_dark_paper(figure):
    dark = figure.data["colours"]["dark"]["paper"]
    (found,) = answers("read", figure.data, [{"paper": dark}])
    read = remembered(observed(), 10.0).read([[40.0, -30.0]], 10.0, match_threshold=50.0)
    color = ScentPalette.from_world(WORLD).colors(read, dark)[0]
    assert np.abs(np.array(found["colours"][0]) - color).max() <= 2 / 255


def test_the_state_is_small(figure):
    assert kilobytes(figure.data) <= 25


def test_what_cannot_be_shown_is_refused():
    empty = SpatialMemory(2, WORLD.config.sensory_embedding_dim)
    with pytest.raises(ValueError, match="holds 0 places"):
        data.read(empty, WORLD, SENSOR, [0.0, 0.0], match_threshold=50.0)
    two = remembered(observed(5), 10.0)
    two.write([[0.0, 0.0]], 5.0, SENSOR.sense(WORLD, [[0.0, 0.0]]).embedding)
    with pytest.raises(ValueError, match="one deviation"):
        data.read(two, WORLD, SENSOR, [0.0, 0.0], match_threshold=50.0)
