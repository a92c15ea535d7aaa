"""The figure of a walk says, moment by moment, what the library believes."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import scipy.stats

from tests.figures.node import answers, kilobytes
from tree_world.models.places import Finder, Odometry, Particles, Track, Tracker
from tree_world.plotting.data.walk import Walked, walk
from tree_world.simulation import HomeRange, SimpleSensor, TreeWorld, TreeWorldConfig

SENSOR = SimpleSensor()
WORLD = TreeWorld.random_from_config(TreeWorldConfig(), seed=14)
LENGTH = math.sqrt(2 * SENSOR.diffusion_time)
GYRO = Odometry(0.075, heading_walk=math.radians(0.2), heading_bias_sd=math.radians(0.02))
MOMENTS, EVERY, AWAY = 150, 4, 50
SHARE = 0.9


def smell(places):
    return SENSOR.sense(WORLD, places).embedding.double().numpy()


@cache
def told() -> tuple[dict[str, Walked], Tracker]:
    """A walk, and one on which the body is carried off; followed by the library."""
    survey = np.random.default_rng(14).uniform(-420, 420, (400, 2))
    known = (survey, smell(survey), GYRO)
    places = HomeRange().walk(MOMENTS * EVERY, seed=5)
    felt = GYRO.drift(np.diff(places, axis=0), seed=5)
    tracker = Tracker(*known, length=LENGTH)
    track = tracker.follow(felt, smell(places[1:]))

    put = HomeRange().walk(MOMENTS - AWAY, seed=5, start=(60.0, -100.0))
    carried = np.concatenate([places[: AWAY + 1], put[1:]])
    taken = np.diff(carried, axis=0)
    taken[AWAY] = 0.0
    moves = GYRO.drift(taken, seed=5)
    finder = Finder(
        Particles(*known, length=LENGTH, seed=0, num_particles=500), Tracker(*known, length=LENGTH)
    )
    finder.reset((0.0, 0.0))
    found = finder.follow(moves, smell(carried[1:]))
    walks = {
        "as it walked": Walked(places, felt, track, every=EVERY),
        "carried off": Walked(carried, moves, found),
    }
    return walks, tracker


@cache
def states():
    """All moments of both walks, with smells and without: settings, and answers of the script."""
    walks, tracker = told()
    settings = [
        {"walk": str(number), "moment": moment, "forget": forget}
        for number in range(len(walks))
        for moment in range(1, MOMENTS + 1)
        for forget in (False, True)
    ]
    return settings, answers("walk", walk(walks, tracker, WORLD, share=SHARE).data, settings)


def expected(setting):
    """The walk of a setting, the step of its moment, and what the library believes then."""
    one = list(told()[0].values())[int(setting["walk"])]
    step = setting["moment"] * one.every
    track = one.track
    if setting["forget"]:
        track = reckoned(int(setting["walk"]))
    return one, step, track.means[step - 1], track.covariances[step - 1]


@cache
def reckoned(number: int) -> Track:
    """What a body believes that smells nothing."""
    one = list(told()[0].values())[number]
    tracker = Tracker([[0.0, 0.0]], [[1.0]], GYRO, length=LENGTH)
    return tracker.follow(one.displacements, [None] * len(one.displacements))


def test_places_errors_and_ellipses_are_those_of_the_library() -> None:
    scale = math.sqrt(scipy.stats.chi2.ppf(SHARE, 2))
    unequal = 0
    for setting, answer in zip(*states(), strict=True):
        one, step, mean, covariance = expected(setting)
        true = one.places[step]
        off = np.hypot(*(mean - true))
        assert answer["step"] == step
        np.testing.assert_allclose(answer["place"], true, atol=0.051)
        np.testing.assert_allclose(answer["believed"], mean, atol=0.1)
        assert answer["off"] == pytest.approx(off, rel=1e-3, abs=0.01)
        squares, directions = np.linalg.eigh(covariance)
        axes = scale * np.sqrt(squares[::-1])
        np.testing.assert_allclose(answer["axes"], axes, rtol=2e-3, atol=0.03)
        if axes[0] > 1.2 * axes[1] > 1:  # else no direction is told
            longer = [math.cos(answer["angle"]), math.sin(answer["angle"])]
            assert abs(directions[:, 1] @ longer) > 0.995
        away = (mean - true) @ np.linalg.solve(covariance, mean - true)
        unequal += answer["held"] != (away <= scale**2)
        if abs(away / scale**2 - 1) > 0.02:
            assert answer["held"] == (away <= scale**2)
    assert unequal <= 0.02 * len(states()[0])


def test_dead_reckoning_is_the_sum_of_the_steps() -> None:
    for setting, answer in zip(*states(), strict=True):
        if setting["forget"]:
            one, step, _, _ = expected(setting)
            summed = np.asarray(one.displacements)[:step].sum(axis=0)
            np.testing.assert_allclose(answer["believed"], summed, atol=0.1)
            assert answer["slopes"] is None
            assert not answer["told"]


def test_slopes_are_those_of_what_is_read_there() -> None:
    _, tracker = told()
    pairs = [pair for pair in zip(*states(), strict=True) if not pair[0]["forget"]]
    means = np.stack([expected(setting)[2] for setting, _ in pairs])
    slopes = tracker.known.read(means).slope
    largest = np.linalg.svd(slopes, compute_uv=False).max()
    for (_, answer), slope in zip(pairs, slopes, strict=True):
        _, sizes, directions = np.linalg.svd(slope, full_matrices=False)
        np.testing.assert_allclose(answer["slopes"], sizes, atol=0.005 * largest)
        if sizes[0] > 0.1 * largest and sizes[0] > 1.2 * sizes[1]:
            steep = [math.cos(answer["steep"]), math.sin(answer["steep"])]
            assert abs(directions[0] @ steep) > 0.995


def test_it_is_sure_where_the_library_says_so_and_all_is_in_view() -> None:
    seen = set()
    for setting, answer in zip(*states(), strict=True):
        one, step, _, _ = expected(setting)
        if not setting["forget"]:
            assert answer["told"] == one.track.identifiable[step - 1]
            seen.add((setting["walk"], answer["told"]))
        assert answer["view"] >= min(800, max(answer["off"], answer["axes"][0]))
    assert len(seen) == 4  # it is sure, and it is not, on both walks


def test_the_figure_begins_at_the_end_of_the_first_walk() -> None:
    walks, tracker = told()
    first = answers("walk", walk(walks, tracker, WORLD).data, [{}])[0]
    settings, given = states()
    last = settings.index({"walk": "0", "moment": MOMENTS, "forget": False})
    assert first == given[last]


def test_the_tracker_is_left_as_it_is() -> None:
    walks, tracker = told()
    before = tracker.belief
    walk(walks, tracker, WORLD)
    np.testing.assert_array_equal(tracker.belief.mean, before.mean)
    np.testing.assert_array_equal(tracker.belief.covariance, before.covariance)


def test_what_does_not_fit_is_refused() -> None:
    walks, tracker = told()
    one, other = walks.values()
    with pytest.raises(ValueError, match="it is empty"):
        walk({}, tracker, WORLD)
    with pytest.raises(ValueError, match="equally many moments"):
        walk({"a": one, "b": other._replace(every=2)}, tracker, WORLD)
    with pytest.raises(ValueError, match="every must divide"):
        walk({"a": one._replace(every=7)}, tracker, WORLD)
    with pytest.raises(ValueError, match="as many displacements"):
        walk({"a": one._replace(displacements=other.displacements)}, tracker, WORLD)
    with pytest.raises(ValueError, match="share"):
        walk(walks, tracker, WORLD, share=1.5)
    endless = TreeWorld.random_from_config(TreeWorldConfig(period=1000.0), seed=0)
    with pytest.raises(ValueError, match="does not repeat"):
        walk(walks, tracker, endless)


def test_it_is_small() -> None:
    walks, tracker = told()
    assert kilobytes(walk(walks, tracker, WORLD).data) <= 25 * MOMENTS / 250
