"""Two trees and a nose: the script says what the library's sensor and classifiers say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from tests.figures.node import answers, kilobytes
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.models.drives import DRIVES, DriveClassifier, DriveSplit, train_drive_classifier
from tree_world.plotting import MapGrid, data, style
from tree_world.simulation import SimpleSensor, TreeWorldConfig
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS

CELLS, HALF_WIDTH, STATES = 50, 150.0, 240
CONFIG = TreeWorldConfig()
SENSOR = SimpleSensor.from_config(CONFIG)
NAMES = ("Isaac", "Pedro", "Farah", "Olga")
EDIBLE = DRIVES["edible"]


def met(amount: str) -> int:
    """The first seed whose classifier has met an amount."""
    return next(
        seed
        for seed in range(1, 10)
        if amount in DriveSplit.random_from_config(CONFIG, seed).train_amounts
    )


@pytest.fixture(scope="module")
def classifiers() -> dict[str, DriveClassifier]:
    return {
        name: train_drive_classifier(CONFIG, seed=seed)[0]
        for name, seed in (("new", 0), ("met", met("several fruit")))
    }


def made(classifiers: dict[str, DriveClassifier], **changed: Any) -> data.TouchableFigure:
    given = {"kinds": ("fig", "manchineel"), "names": NAMES, "amount": "several fruit"} | changed
    return data.drives(classifiers, CONFIG, SENSOR, half_width=HALF_WIDTH, **given)


def settings() -> list[dict[str, Any]]:
    random = np.random.default_rng(3)
    corner = [-HALF_WIDTH, HALF_WIDTH]

    def choose(words: Any) -> str:
        return str(random.choice(list(words)))

    drawn = [
        {"edible": corner, "poisonous": corner, "nose": corner},
        {"edible": corner, "poisonous": [HALF_WIDTH, -HALF_WIDTH], "nose": [0.0, 0.0]},
        {"edible": [0.0, 0.0], "poisonous": [99.9, 0.0], "nose": [99.9, 0.0]},
        {"edible": [0.0, 0.0], "poisonous": [100.1, 0.0], "nose": [100.1, 0.0]},
        *({"edible_amount": one, "poisonous_amount": one} for one in FRUIT_AMOUNTS),
        *({"edible_kind": kind} for kind in CONFIG.edible_kinds),
        *({"edible_name": name, "poisonous_name": name} for name in NAMES),
        *({"poisonous_kind": kind} for kind in CONFIG.poisonous_kinds),
    ]
    while len(drawn) < STATES:
        where = random.uniform(-HALF_WIDTH, HALF_WIDTH, 2)
        apart = random.normal(0, 40, 2)
        drawn.append(
            {
                "edible": np.clip(where + apart, -HALF_WIDTH, HALF_WIDTH).tolist(),
                "poisonous": where.tolist(),
                "nose": random.uniform(-HALF_WIDTH, HALF_WIDTH, 2).tolist(),
                "edible_name": choose(NAMES),
                "poisonous_name": choose(NAMES),
                "edible_kind": choose(CONFIG.edible_kinds),
                "edible_amount": choose(FRUIT_AMOUNTS),
                "poisonous_kind": choose(CONFIG.poisonous_kinds),
                "poisonous_amount": choose(FRUIT_AMOUNTS),
                "classifier": choose(["new", "met"]),
            }
        )
    start = {
        "edible": [45.0, 0.0],
        "poisonous": [-15.0, 0.0],
        "nose": [7.5, 45.0],
        "edible_name": NAMES[0],
        "poisonous_name": NAMES[1],
        "edible_kind": "fig",
        "edible_amount": "several fruit",
        "poisonous_kind": "manchineel",
        "poisonous_amount": "several fruit",
        "classifier": "new",
    }
    return [start | one for one in drawn]


def smells(values: dict[str, Any], points: torch.Tensor) -> torch.Tensor:
    """What a nose gets of the two trees, by the law of the sensor, in all 384 numbers."""
    total = torch.zeros(len(points), CONFIG.sensory_embedding_dim)
    for look in ("edible", "poisonous"):
        kind, name, amount = embed_text_sentence_transformers(
            [values[f"{look}_{part}"] for part in ("kind", "name", "amount")]
        )
        away = (points - torch.tensor(values[look])).norm(dim=-1)
        perceived = (away <= SENSOR.can_see_fruit_distance).float()[:, None]
        total += SENSOR.strength(away)[:, None] * (kind + name + perceived * amount)
    return total


def test_every_answer_is_that_of_the_library(classifiers: dict[str, DriveClassifier]) -> None:
    asked, figure = settings(), made(classifiers)
    grid = MapGrid(HALF_WIDTH, CELLS)
    paper, *hues = (
        np.array(to_rgb(color)) for color in (style.PAPER, style.POISONOUS, style.EDIBLE)
    )
    off = other = 0
    worst_colour = worst_chance = 0.0
    found = answers("drives", figure.data, asked)
    for values, answer in zip(asked, found, strict=True):
        classifier = classifiers[values["classifier"]]
        places = torch.tensor([values["nose"], values["poisonous"]])
        chances = classifier(smells(values, places))
        for expected, at in zip(chances, ("nose", "foot"), strict=True):
            told = np.array(answer[at]["probabilities"])
            worst_chance = max(worst_chance, float(np.abs(told - expected.numpy()).max()))
            if answer[at]["verdict"] != int(expected.argmax()):
                best = expected.topk(2).values
                assert best[0] - best[1] < 0.005
                other += 1
        gap = math.dist(values["edible"], values["poisonous"])
        assert answer["gap"] == pytest.approx(gap, abs=1e-6)
        field = classifier(smells(values, grid.points)).numpy().astype(float)
        excess = np.clip((field[:, :2] - 1 / 3) / (1 - 1 / 3), 0.0, 1.0)
        colors = paper + excess @ (np.array(hues) - paper)
        differs = np.abs(np.array(answer["cells"]) - colors).max(axis=1)
        # On the seam last digits decide whether an amount is smelled.
        at_seam = torch.stack(
            [
                (grid.points - torch.tensor(values[look])).norm(dim=-1)
                - SENSOR.can_see_fruit_distance
                for look in ("edible", "poisonous")
            ]
        )
        clear_cells = (at_seam.abs() > 0.01).all(dim=0).numpy()
        worst_colour = max(worst_colour, float(differs[clear_cells].max()))
        off += bool(differs[~clear_cells].max(initial=0.0) > 2 / 255)
    assert worst_chance < 0.005
    assert worst_colour < 2 / 255
    assert off <= 0.02 * STATES
    assert other <= 0.02 * 2 * STATES


def test_poison_is_masked_where_it_is_said(classifiers: dict[str, DriveClassifier]) -> None:
    """The verdict at the foot of the poisonous tree, with the edible one at many distances."""
    asked = settings()
    gaps = torch.linspace(0, 220, 1101)
    masked = edges = 0
    found = answers("drives", made(classifiers).data, asked)
    for values, answer in zip(asked, found, strict=True):
        words = embed_text_sentence_transformers(
            [
                values[f"{look}_{part}"]
                for look in ("edible", "poisonous")
                for part in ("kind", "name", "amount")
            ]
        )
        perceived = (gaps <= SENSOR.can_see_fruit_distance).float()[:, None]
        food = SENSOR.strength(gaps)[:, None] * (words[0] + words[1] + perceived * words[2])
        scores = classifiers[values["classifier"]].scores(food + words[3] + words[4] + words[5])
        theirs = (scores.argmax(dim=-1) == EDIBLE).numpy()
        said = np.zeros(len(gaps), dtype=bool)
        clear = np.ones(len(gaps), dtype=bool)
        for low, high in answer["masked"]:
            high = math.inf if high is None else high
            said |= ((gaps >= low) & (gaps <= high)).numpy()
            edges += 2
            for end in (low, high):
                clear &= ((gaps - end).abs() > 0.25).numpy()
        best = scores.topk(2, dim=-1).values
        clear &= (best[:, 0] - best[:, 1] > 0.005 * scores.abs().max()).numpy()
        assert (said == theirs)[clear].all()
        assert clear.mean() > 0.5 or not theirs.any()
        masked += bool(theirs.any())
    assert 20 < masked < STATES
    assert edges > 40


def test_colours_on_dark_paper(classifiers: dict[str, DriveClassifier]) -> None:
    figure = made(classifiers)
    dark = figure.data["colours"]["dark"]["paper"]
    values = settings()[0]
    (found,) = answers("drives", figure.data, [values | {"paper": dark}])
    field = classifiers["new"](smells(values, MapGrid(HALF_WIDTH, CELLS).points)).numpy()
    excess = np.clip((field[:, :2] - 1 / 3) / (1 - 1 / 3), 0.0, 1.0)
    nothing, *hues = (np.array(to_rgb(one)) for one in (dark, style.POISONOUS, style.EDIBLE))
    colors = nothing + excess @ (np.array(hues) - nothing)
    assert np.median(np.abs(np.array(found["cells"]) - colors)) <= 2 / 255


def test_it_is_small(classifiers: dict[str, DriveClassifier]) -> None:
    assert kilobytes(made(classifiers).data) < 25


def test_bad_input_is_refused(classifiers: dict[str, DriveClassifier]) -> None:
    with pytest.raises(ValueError, match="at least one classifier"):
        made({})
    with pytest.raises(ValueError, match="an edible and a poisonous kind"):
        made(classifiers, kinds=("manchineel", "fig"))
    with pytest.raises(ValueError, match="names must hold at least two"):
        made(classifiers, names=("Ada",))
    with pytest.raises(ValueError, match="amount must be one of"):
        made(classifiers, amount="")
    with pytest.raises(ValueError, match="3 drives for smells of 384"):
        made({"small": DriveClassifier(2)})
    with pytest.raises(ValueError, match="half_width must"):
        data.drives(
            classifiers, CONFIG, SENSOR, kinds=("fig", "manchineel"), names=NAMES,
            amount="several fruit", half_width=-1.0,
        )  # fmt: skip
