"""How wide is wide enough? As smells that were held out say, and no other."""

import math

import numpy as np
import pytest
import scipy.stats

from tree_world.models.places.holding import calibrate_smoothing, deviations
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.smoother import grown, prepared, settled

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
def test_the_least_width_that_holds(odometry):
    moves, senses = walked(odometry)
    bound = math.sqrt(scipy.stats.chi2.ppf(0.9, 1))

    def held(width, smells=senses):
        graph, matcher = prepared(moves, smells, odometry, length=30.0, width=width)
        off = deviations(graph, matcher, odometry, 12)
        assert matcher.told.all()
        return (abs(off) <= bound).mean()

    widths = [4.0, 1 / 64]
    expected = [width for width in widths if held(width) >= 0.9]
    found = calibrate_smoothing(moves, senses, odometry, length=30.0, widths=widths)
    assert found == (min(expected) if expected else max(widths, key=held))
    # A walk that believes too much is found out: smells that say otherwise lie outside.
    assert held(4.0) > 0.8
    other = np.where(np.arange(len(senses))[:, None] // 40 % 4 == 3, np.roll(senses, 7, 0), senses)
    assert held(4.0, other) < held(4.0) - 0.1


@pytest.mark.parametrize("odometry", [COMPASS, GYRO])
def test_how_far_off_what_was_held_out_lies(odometry):
    moves, senses = walked(odometry, number=400)
    graph, matcher = prepared(moves, senses, odometry, length=30.0, width=4.0)
    found = deviations(graph, matcher, odometry, 5)
    held = np.arange(80) // 8 % 4 == 3
    matcher.told = ~held
    state, closures = settled(graph, matcher, grown(graph, matcher, odometry)[0], 5)
    covariance, places = graph.covariance(state, closures), graph.places(state)
    asked, size, expected = matcher.closures(places, held), graph.by_keyframe, []
    for i, keyframe in enumerate(asked.keyframes):
        values, vectors = np.linalg.eigh(4.0 * asked.information[i])
        if values[1] > 0.01:
            way = np.zeros(len(state))
            way[size * keyframe : size * keyframe + 2] += vectors[:, 1]
            for anchor, weight in zip(asked.anchors[i], asked.weights[i], strict=True):
                way[size * anchor : size * anchor + 2] -= weight * vectors[:, 1]
            off = way @ state - vectors[:, 1] @ asked.offsets[i]
            expected.append(off / math.sqrt(way @ covariance @ way + 1 / values[1]))
    assert len(expected) > 10
    np.testing.assert_allclose(abs(found), np.abs(expected), rtol=1e-6, atol=1e-9)


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
