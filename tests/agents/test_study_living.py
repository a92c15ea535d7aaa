import re

import numpy as np
import pytest
import torch

from benchmarks import study_living
from benchmarks.studies import FleetingParts
from benchmarks.study_living import (
    FORAGERS,
    KINDS,
    WALKERS,
    Anything,
    Drifting,
    alive,
    drift,
    edible,
    live,
    made,
    parts,
    survival,
)
from tools import settings
from tree_world.agents import ByMouth
from tree_world.agents.worth import FOOD
from tree_world.models.drives import DRIVES
from tree_world.simulation import Action, TreeWorld, TreeWorldConfig

SEEDS = [2000, 2001]


@pytest.fixture(autouse=True)
def drives(classifier, monkeypatch):
    """Give each part the classifier that it would train."""
    monkeypatch.setattr(study_living, "train_drive_classifier", lambda config: (classifier, None))
    return classifier


def assert_lives(columns, steps):
    assert {len(column) for column in columns.values() if isinstance(column, list)} == {len(SEEDS)}
    assert columns["steps"] == [steps] * len(SEEDS)
    assert not any(columns["died"])
    assert columns["seconds_per_step"] > 0
    for lowest, mean, moved in zip(
        columns["lowest"], columns["mean"], columns["moved"], strict=True
    ):
        assert 0 < lowest <= mean <= 1000
        assert 0 <= moved <= 1


def test_the_chapter_names_what_the_study_was_done_with(classifier):
    text = (settings.BOOK / "08-living.md").read_text()

    def typed(name):
        """Numbers that the chapter's code gives to a name."""
        return [
            float(one)
            for one in re.findall(r"\d+(?:\.\d+)?", re.search(rf"^{name} = (.+)", text, re.M)[1])
        ]

    assert FORAGERS["no time"](classifier).constants.regrowth_steps == typed("SOON")[0]
    for name in ("by policy", "the newest"):
        forager = FORAGERS[f"256 observations, {name}"](classifier)
        assert [forager.max_smells, forager.max_sights] == typed("SMELLS_KEPT, TREES_KEPT")
    assert FORAGERS["a dull nose"](classifier).faintest == typed("DULL")[0]
    few = [KINDS[kind]["num_trees"] for kind in KINDS if "num_trees" in KINDS[kind]]
    assert few == typed("FEW")[:3]
    assert KINDS["spacing 150"]["tree_spacing"] == typed("WIDE")[0] * TreeWorldConfig().tree_spacing


def test_survival_tells_of_lives_in_each_kind_of_world(tmp_path):
    found = survival(FleetingParts(tmp_path), SEEDS, 200, ["default", "10 trees"])
    assert (found["seeds"], found["steps"]) == (SEEDS, 200)
    assert list(found["kinds"]) == ["default", "10 trees"]
    for kind, columns in found["kinds"].items():
        assert_lives(columns, 200)
        assert max(columns["edible"]) <= KINDS[kind].get("num_trees", 25)
        assert max(columns["known"]) >= 1
        assert min(columns["remembered"]) > max(columns["known"])


def test_lives_with_one_part_exchanged_are_told_beside_those_of_walkers(tmp_path):
    found = parts(FleetingParts(tmp_path), SEEDS, 200, ["all learned", "resting"])
    assert list(found["foragers"]) == ["all learned", "resting"]
    learned, resting = found["foragers"].values()
    assert_lives(learned, 200)
    assert_lives(resting, 200)
    assert resting["moved"] == [0, 0]
    assert resting["remembered"] == [0, 0]
    assert learned["edible"] == resting["edible"]  # the worlds are the same


def test_lives_are_the_same_however_many_are_lived_at_once(tmp_path):
    together = parts(FleetingParts(tmp_path), SEEDS, 40, ["learned"])["foragers"]["learned"]
    alone = [
        parts(FleetingParts(tmp_path), [seed], 40, ["learned"])["foragers"]["learned"]
        for seed in SEEDS
    ]
    for what in ("steps", "lowest", "known", "remembered"):
        assert together[what] == [one[what][0] for one in alone]


@pytest.mark.parametrize("name", [*FORAGERS, *WALKERS])
def test_every_name_lives(drives, name):
    life = live("default", made(name, drives, 2000), 2000, 20)
    assert (life["steps"], life["died"]) == (20, False)
    assert life["mean"] > 900


def test_whoever_drifts_errs_as_much_as_its_steps_are_long(drives):
    class Noting:
        """Walks on, and notes where it takes itself to be."""

        def __init__(self):
            self.places = []

        def reset(self):
            self.places.clear()

        def act(self, percept, body, meal, *, generator):
            self.places.append(body.position.double().numpy().copy())
            return Action(torch.tensor([4.0, 0.0]) if len(self.places) % 2 else None, body.heading)

    model = Drifting(Noting(), 0.1, seed=1)
    world = TreeWorld.random_from_config(TreeWorldConfig(), seed=2000, model=model)
    lived = world.run(400)
    errors = np.array(model.forager.places) - lived.positions[:-1]
    steps = np.diff(errors, axis=0)
    assert not errors[0].any()
    assert np.abs(steps[1::2]).max() < 1e-4  # of rests
    assert np.std(steps[::2]) == pytest.approx(0.4, rel=0.15)


def test_drift_is_told_for_each_share(tmp_path):
    found = drift(FleetingParts(tmp_path), SEEDS, 40, [0.0, 0.2])
    assert found["shares"] == [0.0, 0.2]
    exact, wrong = found["lives"]
    told = parts(FleetingParts(tmp_path), SEEDS, 40, ["told"])["foragers"]["told"]
    assert [exact[what] for what in ("lowest", "known")] == [told["lowest"], told["known"]]
    assert wrong["moved"] != exact["moved"] or wrong["known"] != exact["known"]


def test_who_is_alive_is_counted():
    columns = {"steps": [5000, 5000, 300, 1200], "died": [False, True, True, True]}
    assert [alive(columns, steps) for steps in (200, 300, 1199, 4999, 5000)] == [4, 3, 3, 2, 1]


def test_whoever_takes_anything_for_food_does_so_when_it_was_harmed():
    taste = Anything()
    taste.tasted(np.zeros(3), -25.0)
    assert taste.verdict(np.zeros(3)) == FOOD
    other = ByMouth()
    other.tasted(np.zeros(3), -25.0)
    assert other.verdict(np.zeros(3)) != FOOD


def test_the_key_is_what_sets_edible_trees_apart(drives):
    weight = drives.drive_embeddings.weight.detach().numpy()
    scores = weight @ edible(drives)
    assert scores.argmax() == DRIVES["edible"]
