"""How wide is wide enough? As a walk found from a part of its smells says."""

import math

import numpy as np
import pytest

from tree_world.evaluation import coverage
from tree_world.models.places import holding
from tree_world.models.places.holding import calibrate_smoothing, differing
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.smoother import grown, prepared, settled, smooth

COMPASS = Odometry(0.1)
GYRO = Odometry(0.1, 0.01, 0.001)
TREES = np.random.default_rng(5).uniform(-80, 80, (8, 2))


def scents(places):
    squares = ((np.asarray(places)[..., None, :] - TREES) ** 2).sum(-1)
    return np.exp(-squares / (2 * 30.0**2))


def walked(odometry, seed=0, number=800):
    """Figures of eight, each a little other than the last, and what is believed of them."""
    angles = 2 * math.pi * np.arange(number + 1) / 100
    rng = np.random.default_rng(seed)
    knots = np.arange(0, number + 40, 40)
    reach = 60 + np.interp(np.arange(number + 1), knots, rng.normal(0, 5, len(knots)))
    true = np.stack([reach * np.sin(angles), 0.7 * reach * np.sin(2 * angles)], axis=-1)
    return odometry.drift(np.diff(true, axis=0), seed), scents(true[1:])


@pytest.mark.parametrize("odometry", [COMPASS, GYRO])
def test_a_part_and_all(odometry):
    moves, senses = walked(odometry)
    graph, matcher = prepared(moves, senses, odometry, length=30.0)
    parts, claimed, whole = differing(graph, matcher, odometry, 12)
    assert matcher.told.all()
    assert (np.linalg.eigvalsh(claimed) > 0).all()
    path = smooth(moves, senses, odometry, length=30.0, iterations=12)
    apart = np.linalg.norm(whole[:, None] - path.locations[graph.steps], axis=-1)
    assert len(whole) > 60
    np.testing.assert_allclose(apart.min(axis=1), 0.0, atol=1e-9)  # all: as `smooth` finds it
    assert 0.1 < np.median(np.linalg.norm(parts - whole, axis=-1)) < 30.0
    # The stretches that are held out do not matter to the part.
    held = np.arange(len(senses)) // 200 % 2 == 0
    other = np.where(held[:, None], np.roll(senses, 7, axis=0), senses)
    graph, matcher = prepared(moves, other, odometry, length=30.0)
    again, _, misled = differing(graph, matcher, odometry, 12)
    same = np.linalg.norm(again[:, None] - parts, axis=-1).min(axis=1) < 1e-6
    assert same.mean() > 0.8
    assert (np.linalg.norm(misled[:, None] - whole, axis=-1).min(axis=1) > 1e-3).mean() > 0.8
    # The difference is as unsure as what a part is less sure of.
    graph, matcher = prepared(moves, senses, odometry, length=30.0)
    matcher.told = ~held[4::5]
    state, closures = settled(graph, matcher, grown(graph, matcher, odometry)[0], 12)
    size = graph.by_keyframe
    for own in (30, 150):
        block = slice(size * own, size * own + 2)
        less = graph.covariance(state, closures)[block, block] - path.covariances[5 * own]
        if np.linalg.eigvalsh(less)[0] > 0.1:
            assert np.isclose(claimed, less, rtol=1e-4, atol=1e-4).all(axis=(1, 2)).any()


def test_the_least_width_that_holds(monkeypatch):
    moves, senses = walked(GYRO)

    def held(width):
        graph, matcher = prepared(moves, senses, GYRO, length=30.0, width=width)
        return coverage(*differing(graph, matcher, GYRO, 12), 0.9)

    widths = [4.0, 1 / 16, 1 / 64]
    shares = {width: held(width) for width in widths}
    enough = [width for width in widths if shares[width] >= 0.9]
    found = calibrate_smoothing(moves, senses, GYRO, length=30.0, widths=widths)
    assert found == (min(enough) if enough else max(widths, key=shares.get))
    assert shares[1 / 64] < shares[4.0]
    # Where all hold, the least is taken, in whatever order they are given.
    monkeypatch.setattr(holding, "coverage", lambda *_: 1.0)
    options = {"length": 30.0, "widths": widths[:2], "iterations": 1}
    assert calibrate_smoothing(moves, senses, GYRO, **options) == 1 / 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": []}, "widths must hold one"),
        ({"share": 1.0}, "share must lie strictly"),
        ({"iterations": 0}, "iterations must be"),
        ({"widths": [-1.0]}, "width must be positive"),
        ({"senses": np.zeros((200, 8))}, "no smell that was held out"),
    ],
)
def test_what_calibrates_nothing_is_refused(arguments, message):
    moves, senses = walked(COMPASS, number=200)
    given = {"displacements": moves, "senses": senses, "odometry": COMPASS, "length": 30.0}
    with pytest.raises(ValueError, match=message):
        calibrate_smoothing(**(given | arguments))
