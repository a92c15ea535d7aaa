"""The figure of proposals computes what the library does."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from tests.figures.node import FIGURES, answers, kilobytes
from tree_world import plotting
from tree_world.models.drives import DRIVES, DriveClassifier
from tree_world.models.memory import SpatialMemory
from tree_world.plotting.data import TouchableFigure
from tree_world.plotting.data.proposals import proposals
from tree_world.plotting.style import PAPER
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.simulation.sensors import distances_to_trees

STATES = 220
CONTOURS = 40
SD, WITHIN, NUMBER = 10.0, 30.0, 250
CONFIG = TreeWorldConfig()
SENSOR = SimpleSensor.from_config(CONFIG)
LOWEST, HIGHEST = (0.1, 0.3), (30.0, 300.0)  # of both temperatures


class Case:
    """A world, its memory, a classifier, what the figure is given, and what it answers."""

    def __init__(self) -> None:
        self.world = TreeWorld.random_from_config(CONFIG, seed=14)
        generator = torch.Generator().manual_seed(214)
        visited = 150 * torch.randn(1024, 2, generator=generator)
        self.memory = SpatialMemory(2, CONFIG.sensory_embedding_dim)
        self.memory.write(visited, SD, SENSOR.sense(self.world, visited).embedding)
        self.classifier = DriveClassifier(CONFIG.sensory_embedding_dim)
        poisonous, weight = self.world.is_poisonous, self.classifier.drive_embeddings.weight.data
        weight[DRIVES["poison"]] = 4 * self.world.embeddings[poisonous].mean(dim=0)
        weight[DRIVES["edible"]] = 4 * self.world.embeddings[~poisonous].mean(dim=0)
        self.key = 2 * self.classifier.search_key("edible")
        self.figure = self.make()
        self.settings = settings()
        self.answers = answers("proposals", self.figure.data, self.settings)
        told = torch.tensor(self.figure.data["places"])
        self.rows = (
            torch.cdist(told, self.memory.memory_locations[0]).argmin(dim=1).numpy()
        )  # in the figure's order
        self.weights = [self.drawn_by(setting) for setting in self.settings]

    def make(self, **changed: Any) -> TouchableFigure:
        given = {
            "memory": self.memory,
            "key": self.key,
            "sensor": SENSOR,
            "agent": [100.0, 100.0],
            "location_sd": SD,
            "within": WITHIN,
            "number": NUMBER,
        } | changed
        memory, key = given.pop("memory"), given.pop("key")
        return proposals(self.world, memory, self.classifier, key, **given)

    def drawn_by(self, setting: dict[str, Any]) -> np.ndarray:
        """What the library draws by, where it drew; NaN elsewhere."""
        drawn = self.memory.sample_with_origin(
            torch.tensor(setting["agent"]),
            SD,
            self.key,
            num_samples=4000,
            temperature=setting["temperature"],
            location_temperature=setting["location_temperature"],
            seed=0,
        )
        row_of = {int(i): row for row, i in enumerate(self.memory.ids[0])}
        found = np.full(len(self.rows), np.nan)
        found[[row_of[int(i)] for i in drawn.ids]] = drawn.log_probabilities.exp().numpy()
        return found[self.rows]


def settings() -> list[dict[str, Any]]:
    edges = [
        {"agent": [x, y], "temperature": t, "location_temperature": far}
        for x, y in ((100.0, 100.0), (-400.0, 400.0))
        for t in (LOWEST[0], HIGHEST[0])
        for far in (LOWEST[1], HIGHEST[1])
    ]
    generator = np.random.default_rng(4)
    low, high = np.log(LOWEST), np.log(HIGHEST)
    for _ in range(STATES - len(edges)):
        t, far = np.exp(generator.uniform(low, high)).tolist()
        place = generator.uniform(-400, 400, 2).tolist()
        edges.append({"agent": place, "temperature": t, "location_temperature": far})
    return edges


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def test_weights_are_those_by_which_the_library_draws(case: Case) -> None:
    assert len(case.answers) == STATES
    for setting, answer, wanted in zip(case.settings, case.answers, case.weights, strict=True):
        found = np.array(answer["weights"])
        drawn = ~np.isnan(wanted)
        assert np.abs(found - wanted)[drawn].max() < 0.005 * np.nanmax(wanted), setting
        assert found[~drawn].max(initial=0) < 0.005  # else one of 4000 draws had found it
        assert wanted[drawn].sum() == pytest.approx(found[drawn].sum(), abs=0.005)
        effective = 1 / np.square(np.where(drawn, wanted, found)).sum()
        assert answer["effective"] == pytest.approx(effective, rel=0.005)


def test_samples_invert_the_sum_of_these_weights_and_scatter(case: Case) -> None:
    uniforms, normals = (np.array(case.figure.data[name]) for name in ("uniforms", "normals"))
    places = case.memory.memory_locations[0].numpy()[case.rows]
    for setting, answer, wanted in zip(case.settings, case.answers, case.weights, strict=True):
        sums = np.cumsum(np.where(np.isnan(wanted), answer["weights"], wanted))
        rows = np.array(answer["rows"])
        assert (uniforms < sums[rows] + 0.003).all(), setting
        assert (uniforms > np.concatenate([[0.0], sums])[rows] - 0.003).all(), setting
        assert np.abs(places[rows] + SD * normals - answer["samples"]).max() < 0.02


def test_draws_have_the_library_s_distribution(case: Case) -> None:
    start = answers("proposals", case.figure.data, [{}])[0]
    drawn = case.memory.sample(
        torch.tensor([100.0, 100.0]), SD, case.key, 20_000, temperature=1.0,
        location_temperature=30.0, seed=1,
    ).numpy()  # fmt: skip
    for axis in (0, 1):
        edges = np.quantile(drawn[:, axis], [0.2, 0.4, 0.6, 0.8])
        below = (np.array(start["samples"])[:, axis, None] < edges).mean(axis=0)
        assert np.abs(below - [0.2, 0.4, 0.6, 0.8]).max() < 1.63 / np.sqrt(NUMBER)  # 1 in 100


def test_density_and_its_levels_are_those_of_the_chapter_s_figure(case: Case) -> None:
    half_width = case.figure.data["half_width"]
    cells = int(np.sqrt(len(case.answers[0]["density"])))
    grid = plotting.MapGrid(half_width=half_width, cells_per_axis=cells)
    places = case.memory.memory_locations[0].double()[case.rows]
    steps = (grid.points.double()[:, None] - places) / SD
    normal = (torch.exp(-0.5 * steps.square().sum(dim=-1)) / (2 * np.pi * SD**2)).numpy()
    _, ax = plt.subplots()
    levels_seen: list[np.ndarray] = []
    for setting, answer, wanted in zip(case.settings, case.answers, case.weights, strict=True):
        weights = np.where(np.isnan(wanted), answer["weights"], wanted)
        density = normal @ weights
        assert np.abs(density - answer["density"]).max() < 0.005 * density.max(), setting
        if len(levels_seen) == CONTOURS:  # they are slow
            continue
        drawn = plotting.plot_density(torch.from_numpy(density), grid, ax).collections[-1]
        levels = np.unique(answer["levels"])
        assert len(levels) == len(drawn.levels)
        assert np.abs(levels - drawn.levels).max() < 0.005 * density.max()
        levels_seen.append(levels)
    plt.close("all")


def test_the_trees_judge_as_in_the_chapter(case: Case) -> None:
    is_food = ~case.world.is_poisonous
    for setting, answer in zip(case.settings, case.answers, strict=True):
        places = torch.tensor(answer["samples"])
        to_food = distances_to_trees(places, case.world)[:, is_food].amin(dim=1).numpy()
        ways = (places - torch.tensor(setting["agent"])).norm(dim=-1).numpy()
        assert answer["way"] == pytest.approx(np.median(ways), abs=0.1)
        assert answer["food"] == pytest.approx(np.median(to_food), abs=0.1)
        margin = np.abs(to_food - WITHIN).min()
        if margin > 0.01:
            assert answer["finds"] == (to_food <= WITHIN).mean()
        sd = np.sqrt(2 * SD**2 * setting["location_temperature"])
        assert answer["searchSd"] == pytest.approx(sd)


def test_the_ground_has_the_colours_of_the_chapter_s_figure(case: Case) -> None:
    module = (FIGURES / "proposals.mjs").as_uri()
    script = f"""
        import {{ readFileSync }} from "node:fs";
        import {{ prepare }} from "{module}";
        console.log(JSON.stringify(prepare(JSON.parse(readFileSync(0, "utf8"))).worth));
    """
    found = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps(case.figure.data),
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    worth = np.array(json.loads(found.stdout))
    grid = plotting.MapGrid(case.figure.data["half_width"], int(np.sqrt(len(worth))))
    _, ax = plt.subplots()
    chances = case.classifier(SENSOR.sense(case.world, grid.points).embedding)
    drawn = plotting.plot_drive_field(chances, grid, ax).images[0].get_array()
    paper, *hues = (np.array(to_rgb(c)) for c in (PAPER, plotting.POISONOUS, plotting.EDIBLE))
    colours = paper + worth @ (np.array(hues) - paper)
    assert worth.max(axis=0).min() > 0.3  # there is something to see
    assert np.abs(grid.image(colours) - np.asarray(drawn)[..., :3]).max() <= 2 / 255
    plt.close("all")


def test_samples_glide(case: Case) -> None:
    near = {"agent": [100.0, 100.0], "temperature": 1.0}
    steps = [{**near, "location_temperature": far} for far in (30.0, 30.3)]
    before, after = (np.array(a["samples"]) for a in answers("proposals", case.figure.data, steps))
    assert np.median(np.linalg.norm(after - before, axis=-1)) < SD


def test_the_state_is_small(case: Case) -> None:
    assert kilobytes(case.figure.data) < 25


def test_bad_input_is_refused(case: Case) -> None:
    empty = SpatialMemory(2, CONFIG.sensory_embedding_dim)
    with pytest.raises(ValueError, match="empty"):
        case.make(memory=empty)
    uneven = SpatialMemory(2, CONFIG.sensory_embedding_dim)
    sense = torch.ones(1, CONFIG.sensory_embedding_dim)
    uneven.write(torch.zeros(1, 2), torch.tensor([[5.0, 6.0]]), sense)
    with pytest.raises(ValueError, match="one deviation"):
        case.make(memory=uneven)
    batch = SpatialMemory(2, CONFIG.sensory_embedding_dim)
    batch.write(torch.zeros(2, 1, 2), 10.0, sense.expand(2, 1, -1))
    with pytest.raises(ValueError, match="batch"):
        case.make(memory=batch)
    with pytest.raises(ValueError, match="key must be one sense"):
        case.make(key=torch.ones(3))
    for name in ("location_sd", "within", "temperature", "location_temperature", "half_width"):
        with pytest.raises(ValueError, match=name):
            case.make(**{name: 0.0})
    with pytest.raises(ValueError, match="number of samples"):
        case.make(number=0)
    with pytest.raises(ValueError, match="agent"):
        case.make(agent=[1.0, 2.0, 3.0])
