"""The study of believed places: what it walks, whom it asks, and what it counts."""

import re

import numpy as np
import pytest

from benchmarks import study_where
from benchmarks.studies import FleetingParts
from benchmarks.study_where import (
    BOX,
    CONDITIONS,
    NOISE,
    ODOMETRIES,
    SMELLING,
    SURVEYED,
    believing,
    deceived,
    lost,
    remembered,
    surveyed,
    walk,
)
from tools import settings

SEEDS = [3, 4]  # on which nothing is judged


def test_walks_are_the_same_whatever_smells():
    exact, noisy, eaten = (walk(3, condition, 700) for condition in CONDITIONS)
    for other in (noisy, eaten):
        np.testing.assert_allclose(other.places, exact.places, atol=0.05)
        assert other.smells.shape == exact.smells.shape == (700, 384)
    off = np.linalg.norm(noisy.smells - exact.smells, axis=1)
    root_mean_square = np.sqrt((exact.smells**2).sum(axis=1).mean())
    assert np.sqrt((off**2).mean()) == pytest.approx(NOISE * root_mean_square, rel=0.02)
    changed = np.linalg.norm(eaten.smells - exact.smells, axis=1) > 1e-3
    assert 0 < changed.mean() < 0.5
    np.testing.assert_allclose(eaten.surveyed, exact.surveyed, atol=1e-6)
    assert exact.survey.shape == (SURVEYED, 2)
    assert np.abs(exact.places).max() < BOX


def test_trackers_and_walks_that_are_looked_back_upon(tmp_path):
    part = FleetingParts(tmp_path)
    on_map = surveyed(part, SEEDS, 400, ["exact"])
    own = remembered(part, SEEDS, 400, ["exact"])
    assert on_map["seeds"] == own["seeds"] == SEEDS
    for name in ODOMETRIES:
        tracked = on_map["conditions"]["exact"][name]
        back = own["conditions"]["exact"][name]
        assert tracked["reckoned"]["median"] == back["reckoned"]["median"]
        assert max(tracked["tracked"]["median"]) < 10
        for how in ("back", "online", "deceived"):
            assert len(back[how]["median"]) == len(SEEDS)
            assert all(0 <= held <= 1 for held in back[how]["held"])


def test_who_trusts_its_own_map_reckons_at_first():
    """Until something is remembered that is old enough."""
    walked, odometry = walk(3, "exact", 150), ODOMETRIES["compass"]
    moves = odometry.drift(np.diff(walked.places, axis=0), 3)
    means, covariances = deceived(walked, moves, odometry, every=50, apart=120)
    reckoned = walked.places[0] + moves.cumsum(axis=0)
    np.testing.assert_allclose(means, reckoned, atol=1e-9)
    assert covariances.shape == (150, 2, 2)
    closer, _ = deceived(walked, moves, odometry, every=50, apart=20)
    np.testing.assert_allclose(closer[:50], reckoned[:50], atol=1e-9)
    assert np.abs(closer[50:] - reckoned[50:]).max() > 0.01


@pytest.mark.parametrize("how", ["put", "carried"])
def test_who_is_lost_is_found(how):
    found = lost("compass", how, 3, 2, 300)
    assert {len(column) for column in found.values()} == {2}
    for noticed, steps, error, right in zip(
        found["noticed"], found["found"], found["error"], found["right"], strict=True
    ):
        assert steps is not None
        assert right
        assert error < 20
        if how == "put":
            assert noticed <= 1
        else:
            assert steps == 0 or noticed < steps


def test_lives_on_believed_places(tmp_path):
    found = believing(FleetingParts(tmp_path), [3], 150, [0.1])
    assert list(found) == ["seeds", "steps", "shares", "given", "reckoned", "believed"]
    for name in ("given", "reckoned", "believed"):
        (columns,) = found[name]
        assert columns["steps"] == [150]
        assert 0 < columns["lowest"][0] <= 1000
    assert found["believed"][0]["error"][0] < found["reckoned"][0]["error"][0]
    assert "error" not in found["given"][0]


def test_the_chapter_names_what_the_study_was_done_with():
    text = (settings.BOOK / "09-where.md").read_text()
    typed = {
        name: float(re.search(rf"^{name} = ([\d.]+)", text, re.M)[1])
        for name in ("WITHIN, SHORT", "LEAST_SMELL", "NOISE")
    }
    assert typed["WITHIN, SHORT"] == SMELLING
    assert typed["LEAST_SMELL"] == study_where.LEAST_SMELL
    assert typed["NOISE"] == NOISE
    assert f"SURVEYED, BOX = {SURVEYED}, {BOX}" in text
    assert "uniform(-BOX, BOX, (SURVEYED, 2))" in text
    assert "Odometry(relative_sd=0.075)" in text
