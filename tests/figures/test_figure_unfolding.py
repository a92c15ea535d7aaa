"""The figure of a walk that unfolds: script and library say the same."""

import numpy as np
import pytest
import torch

from tests.figures.node import answers, kilobytes
from tree_world.evaluation import procrustes
from tree_world.models.places.directions import directions_of
from tree_world.models.places.fields import mean_evidence
from tree_world.plotting import data
from tree_world.plotting.data.unfolding import BETWEEN
from tree_world.simulation import ShiftBody, SimpleSensor, TreeWorld, TreeWorldConfig

UNIT, NUGGET, EVIDENCE_OFF = 40.0, 0.02, 0.005
BODY = ShiftBody(seed=14)
ACTIONS, PLACES = BODY.walk(2000, seed=14)
WORLD = TreeWorld.random_from_config(TreeWorldConfig(), seed=14)
SENSES = SimpleSensor().sense(WORLD, PLACES[1:]).embedding.double().numpy()


def made_up_stages():
    """Shifts as they are learned, in a space that is turned and mirrored, nearer and nearer."""
    random = np.random.default_rng(0)
    sheared = np.array([[0.8, 0.6], [0.5, -0.9]])
    return {
        name: (BODY.shifts + random.normal(0, off, BODY.shifts.shape)) @ sheared / UNIT
        for name, off in (("planes", 0.5), ("fields", 0.02), ("longer", 0.002), ("whole", 1e-3))
    }


STAGES = made_up_stages()


@pytest.fixture(scope="module")
def figure():
    return data.unfolding(STAGES, ACTIONS, PLACES, SENSES, nugget=NUGGET)


def settings(number):
    random = np.random.default_rng(1)
    last = (len(STAGES) - 1) * BETWEEN
    ends = [
        {"step": step, "map": kind, "action": action, "turn": turn}
        for step in (*range(0, last + 1, BETWEEN), 7, last - 1)
        for kind in ("affine", "similarity")
        for action, turn in ((0, 0.0), (0, -6.0), (5, 6.0))
    ]
    drawn = [
        {
            "step": int(random.integers(last + 1)),
            "map": str(random.choice(["affine", "similarity"])),
            "action": int(random.integers(6)),
            "turn": float(random.uniform(-6, 6)),
        }
        for _ in range(number - len(ends))
    ]
    return ends + drawn


def blended(values, turn):
    """Shifts of a state, by a plain formula; they are turned in the frame of the figure."""
    each = [shifts @ turn.T for shifts in STAGES.values()]
    begun = min(values["step"] // BETWEEN, len(each) - 2)
    share = values["step"] / BETWEEN - begun
    shifts = (1 - share) * each[begun] + share * each[begun + 1]
    angle = np.radians(values["turn"])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shifts[values["action"]] = rotation @ shifts[values["action"]]
    return shifts


def test_every_answer_is_that_of_the_library(figure):
    asked = settings(260)
    counts = np.eye(6)[ACTIONS].cumsum(axis=0)
    matrix = procrustes(counts @ STAGES["whole"], PLACES[1:], "similarity").matrix
    turn = matrix / np.sqrt(abs(np.linalg.det(matrix)))
    judged = np.array(figure.data["judged"])
    numbers = torch.from_numpy(SENSES[judged] @ directions_of(SENSES, NUGGET).T)[None]
    for values, found in zip(asked, answers("unfolding", figure.data, asked), strict=True):
        shifts = blended(values, turn)
        np.testing.assert_allclose(found["shifts"], shifts, atol=1e-7)
        learned = counts @ shifts
        nearest = procrustes(learned, PLACES[1:], values["map"])
        np.testing.assert_allclose(found["places"], nearest.places, atol=1e-3)  # metres
        assert abs(found["off"] - nearest.rms) <= 1e-4 + 1e-4 * nearest.rms
        np.testing.assert_allclose(found["shifts_in_metres"], shifts @ nearest.matrix.T, atol=1e-5)
        told = float(mean_evidence(torch.from_numpy(learned[judged])[None], numbers, NUGGET))
        assert abs(found["evidence"] - told) <= EVIDENCE_OFF


def test_curves_are_what_is_computed_at_each_step(figure):
    asked = [{"step": step} for step in range(len(figure.data["off"]))]
    found = answers("unfolding", figure.data, asked)
    np.testing.assert_allclose([one["off"] for one in found], figure.data["off"], rtol=5e-3)
    np.testing.assert_allclose(
        [one["evidence"] for one in found], figure.data["evidence"], atol=EVIDENCE_OFF
    )


def test_the_frame_of_the_learned_space_does_not_matter(figure):
    mirrored = {name: shifts[:, ::-1] for name, shifts in STAGES.items()}
    other = data.unfolding(mirrored, ACTIONS, PLACES, -SENSES, nugget=NUGGET)
    np.testing.assert_allclose(other.data["stages"], figure.data["stages"], atol=1e-8)
    assert other.data["smells"] == figure.data["smells"]


def test_a_mirrored_stage_is_mirrored_back():
    stages = {"mirrored": STAGES["fields"] * [1.0, -1.2], "whole": STAGES["whole"]}
    figure = data.unfolding(stages, ACTIONS, PLACES, SENSES, nugget=NUGGET)
    asked = [{"step": step, "map": "similarity"} for step in (0, 1, 5, 15, BETWEEN)]
    each = np.array(figure.data["stages"])
    for values, found in zip(asked, answers("unfolding", figure.data, asked), strict=True):
        share = values["step"] / BETWEEN
        learned = np.eye(6)[ACTIONS].cumsum(axis=0) @ ((1 - share) * each[0] + share * each[1])
        nearest = procrustes(learned, PLACES[1:], "similarity")
        np.testing.assert_allclose(found["places"], nearest.places, atol=1e-3)  # metres
        assert found["off"] == pytest.approx(nearest.rms, rel=1e-4)


def test_the_state_is_small(figure):
    assert kilobytes(figure.data) <= 25


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"stages": {"one": STAGES["whole"]}}, "two stages at least"),
        ({"stages": {**STAGES, "few": STAGES["whole"][:4]}}, "a shift for each action"),
        ({"stages": {**STAGES, "flat": STAGES["whole"] * [1, 0]}}, "two dimensions"),
        ({"places": PLACES[1:]}, r"shape \(n \+ 1, 2\)"),
        ({"places": PLACES[:, None]}, r"shape \(n, 2\)"),
        ({"places": PLACES + np.random.default_rng(0).normal(size=PLACES.shape)}, "sums of shifts"),
        ({"actions": ACTIONS[:90], "places": PLACES[:91], "senses": SENSES[:90]}, "200 steps"),
        ({"actions": np.zeros(2000, int)}, "never were"),
        ({"nugget": 0.0}, "nugget"),
    ],
)
def test_what_cannot_be_shown_is_refused(changed, told):
    given = {"stages": STAGES, "actions": ACTIONS, "places": PLACES, "senses": SENSES} | changed
    with pytest.raises(ValueError, match=told):
        data.unfolding(**given)
