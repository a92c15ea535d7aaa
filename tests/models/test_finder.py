"""Found only after a trial, and with the heading that was known before it was misled."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.models.places.finder import Finder
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.particles import Particles, half_freed
from tree_world.models.places.tracker import Belief, Tracker
from tree_world.simulation import HomeRange, SimpleSensor, TreeWorld, TreeWorldConfig

COMPASS = Odometry(0.075)
GYRO = Odometry(0.075, math.radians(0.2), math.radians(0.02))
HERE = np.array([20.0, 5.0])
TREES = ((0.0, 0.0), (40.0, 10.0), (-20.0, 30.0))


def scents(places):
    squares = ((np.asarray(places)[..., None, :] - np.asarray(TREES)) ** 2).sum(-1)
    return np.exp(-squares / 30.0**2)


PLACES = np.random.default_rng(0).uniform(-60, 60, (200, 2))
PARTICLES = {
    odometry: Particles(
        PLACES, scents(PLACES), odometry, length=30.0, region=[[-60, -60], [60, 60]], spacing=10.0
    )
    for odometry in (COMPASS, GYRO)
}


def finder(odometry=COMPASS, **options):
    tracker = Tracker(PLACES, scents(PLACES), odometry, length=30.0)
    return Finder(PARTICLES[odometry], tracker, **options)


def scripted(found, surprises, headings=None):
    """Let the tracker of a finder be surprised, and turn its heading, as it is told."""
    script = iter(surprises)
    turns = iter(headings if headings is not None else ())

    def step(displacement, sense):
        belief = Tracker.step(found.tracker, displacement, sense)
        if headings is not None:
            found.tracker.reset(belief.mean, belief.covariance, *next(turns))
        found.tracker.surprise = next(script)
        return belief

    return step


# --- on trial -------------------------------------------------------------------------------------


def searched(surprises, monkeypatch, held=None, **options):
    """Let guesses tell a place at once; return after how many smells it counts as told, if so."""
    found = finder(**options)
    covariance = np.array([[4.0, 1.0], [1.0, 9.0]])
    anew = []
    keeps, now = iter(held or [9] * 99), {}

    def guess(*_):
        now["held"] = next(keeps)
        return Belief(HERE, covariance, True)

    monkeypatch.setattr(Particles, "held", property(lambda _: now["held"]))

    monkeypatch.setattr(found.particles, "step", guess)
    monkeypatch.setattr(found.particles, "reset", lambda *heading: anew.append(heading))
    take = scripted(found, surprises)
    tracked = []
    monkeypatch.setattr(
        found.tracker, "step", lambda *step: tracked.append(take(*step)) or tracked[-1]
    )
    belief = found.step([0.0, 0.0], scents(HERE))
    assert not belief.identifiable
    np.testing.assert_array_equal(found.tracker.belief.mean, HERE)
    np.testing.assert_allclose(found.tracker.belief.covariance, 9 * covariance)
    for number in range(1, len(surprises) + 1):
        assert found.lost
        belief = found.step([0.0, 0.0], scents(HERE))
        if belief.identifiable:
            assert not found.lost
            for one in (belief, found.belief):  # as wide as a mixture of both
                np.testing.assert_allclose(one.mean, (HERE + tracked[-1].mean) / 2)
                apart = HERE - tracked[-1].mean
                mixed = (covariance + tracked[-1].covariance) / 2 + np.outer(apart, apart) / 4
                np.testing.assert_allclose(one.covariance, mixed)
            return number, len(anew)
        assert not found.belief.identifiable
    return None, len(anew)


def test_a_place_counts_as_told_after_so_many_smells_that_did_not_surprise(monkeypatch):
    assert searched([0.5] * 40, monkeypatch) == (15, 0)
    assert searched([0.5] * 40, monkeypatch, trial=4) == (4, 0)
    # In the median: seven of fifteen may. Steps that smell of nothing do not count.
    assert searched([5.0] * 7 + [0.5] * 33, monkeypatch) == (15, 0)
    assert searched([None, 0.5] * 20, monkeypatch) == (30, 0)


def test_headings_are_mixed_as_places_are():
    found = finder(GYRO)
    found.particles.reset()
    found.particles._heading = np.where(np.arange(2000) % 2, 0.1, 0.3)  # 0.2 ± 0.1
    found.tracker.reset(HERE, np.eye(2), 0.8, 0.2)
    found._agreed(Belief(HERE, np.eye(2), True), found.tracker.belief)
    assert found.tracker.heading_error == pytest.approx(0.5)
    assert found.tracker.heading_sd == pytest.approx(math.sqrt((0.1**2 + 0.2**2) / 2 + 0.3**2))


def test_a_place_that_smells_otherwise_is_given_up(monkeypatch):
    # Eight of fifteen surprise it: it begins anew, and a trial begins one step later.
    assert searched([0.5] * 7 + [5.0] * 8 + [0.5] * 25, monkeypatch) == (15 + 1 + 15, 1)
    # By more than half of what makes it lost.
    assert searched([1.1] * 40, monkeypatch)[0] is None
    assert searched([1.1] * 40, monkeypatch, surprise=2.4) == (15, 0)
    assert searched([5.0] * 40, monkeypatch)[0] is None


def test_a_trial_ends_where_the_guesses_fall_apart(monkeypatch):
    held = [9] * 10 + [0] + [9] * 40  # and another begins one step later
    assert searched([0.5] * 40, monkeypatch, held) == (10 + 15, 0)


# --- the heading ----------------------------------------------------------------------------------


def heading_before(surprises, headings, window, odometry):
    """By the formula: the heading of so many smells before the sum was zero for the last time."""
    excess, noted, kept = 0.0, [], (0.0, 0.0, 0)
    for step, (surprise, (heading, sd)) in enumerate(zip(surprises, headings, strict=True), 1):
        if surprise is None:
            continue
        noted.append((heading, sd**2, step))
        excess = max(0.0, excess + min(surprise, 4.0) - 1.0)
        if excess == 0.0 and len(noted) >= window:
            kept = noted[-window]
        last = sorted([one for one in surprises[:step] if one is not None][-window:])
        if len(last) == window and (last[window // 2] > 2.0):
            steps = step - kept[2]
            added = steps * odometry.heading_walk**2 + (steps * odometry.heading_bias_sd) ** 2
            return step, kept[0], math.sqrt(kept[1] + added)
    return None


@settings(max_examples=20, deadline=None)
@given(
    calm=st.lists(st.one_of(st.none(), st.floats(0, 1.8)), min_size=0, max_size=30),
    window=st.sampled_from([3, 5, 9]),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_looks_with_the_heading_of_before_it_was_surprised(calm, window, seed):
    rng = np.random.default_rng(seed)
    surprises = [*calm, *rng.uniform(1.5, 6.0, 40)]
    headings = list(zip(rng.normal(size=200), rng.uniform(0.01, 0.2, 200), strict=True))
    headings = headings[: len(surprises)]
    expected = heading_before(surprises, headings, window, GYRO)
    found = finder(GYRO, window=window)
    found.reset(start=HERE)
    given_back = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found.tracker, "step", scripted(found, surprises, headings))
        patch.setattr(found.particles, "reset", lambda *heading: given_back.append(heading))
        patch.setattr(found.particles, "step", lambda *_: Belief(HERE, np.eye(2), True))
        steps = 0
        while not found.lost:
            found.step([0.0, 0.0], scents(HERE))
            steps += 1
    assert expected is not None
    assert steps == expected[0]
    assert given_back == [pytest.approx(expected[1:])]


def carried(seed, drop):
    """A default world, and a walk that goes on elsewhere after a hundred steps."""
    config = TreeWorldConfig()
    sensor = SimpleSensor.from_config(config)
    world = TreeWorld.random_from_config(config, seed=seed)
    survey = np.random.default_rng(seed).uniform(-420, 420, (1024, 2))
    home, own = HomeRange(), 1000 * seed + drop
    there = np.random.default_rng(own).uniform(-home.reach, home.reach, 2)
    legs = [home.walk(100, own + 10), home.walk(200, own, start=tuple(there))]
    places = np.concatenate([leg[1:] for leg in legs])
    moves = GYRO.drift(np.concatenate([np.diff(leg, axis=0) for leg in legs]), own)
    smells = sensor.sense(world, places)[1].double().numpy()
    known = survey, sensor.sense(world, survey)[1], GYRO
    return known, math.sqrt(2 * sensor.diffusion_time), legs, moves, smells


@pytest.mark.parametrize(("seed", "drop"), [(2, 5), (3, 5), (3, 7)])
def test_a_heading_learned_while_it_was_misled_is_forgotten(seed, drop):
    known, length, legs, moves, smells = carried(seed, drop)
    found = Finder(Particles(*known, length=length, spacing=20.0), Tracker(*known, length=length))
    found.reset(start=legs[0][0])
    number = 0
    while not found.lost:
        found.step(moves[number], smells[number])
        number += 1
    assert number > 100
    true = np.concatenate([np.diff(leg, axis=0) for leg in legs])[:number]
    turns = np.arctan2(*moves[:number].T[::-1]) - np.arctan2(*true.T[::-1])
    weights = np.linalg.norm(true, axis=1)[-20:]  # the mean of the last errors, for steps err, too
    error = float(np.angle((weights * np.exp(1j * turns[-20:])).sum()))
    learned, sd = found.particles.heading_error, found.particles.heading_sd
    assert abs(learned - error) < 3 * sd
    assert sd < math.radians(8)
    # What the tracker had learned by then was wrong.
    assert abs(found.tracker.heading_error - error) > math.radians(8)
    assert abs(found.tracker.heading_error - error) > 4 * found.tracker.heading_sd


# --- guesses and trackers that are told of a heading ----------------------------------------------


def test_guesses_begin_with_a_heading_that_is_told():
    particles = PARTICLES[GYRO]
    particles.reset(0.5, 0.1)
    assert particles.heading_error == pytest.approx(0.5, abs=0.01)
    assert particles.heading_sd == pytest.approx(0.1, rel=0.1)
    particles.reset(0.5)
    np.testing.assert_array_equal(particles._heading, 0.5)
    particles.reset()
    assert particles.heading_error == particles.heading_sd == 0.0


def test_half_of_the_last_guesses_are_set_free():
    random = np.random.default_rng(0)
    held, free = np.full((2000, 2), -9.0), random.normal(size=(50, 2))
    found = half_freed(held, free, 400, random.uniform(size=(1600, 2)))
    np.testing.assert_array_equal(found[:400], -9.0)
    replaced = (found != -9.0).all(axis=1)
    assert replaced[400:].mean() == pytest.approx(0.5, abs=0.05)
    pairs = {tuple(row) for row in found[replaced]}  # heading and bias stay together
    assert pairs == {tuple(row) for row in free}


def test_a_tracker_goes_on_with_a_heading_that_is_told():
    tracker = Tracker(PLACES, scents(PLACES), Odometry(0.1, 0.02, 0.03), length=30.0)
    tracker.reset(HERE, 4.0 * np.eye(2), 0.5, 0.2)
    assert (tracker.heading_error, tracker.heading_sd) == (0.5, 0.2)
    belief = tracker.step([3.0, 4.0])
    move = np.array([[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]]) @ [3.0, 4.0]
    across = np.array([move[1], -move[0]])
    angle = 0.2**2 + 0.02**2 + 0.03**2
    np.testing.assert_allclose(belief.mean, HERE + move)
    expected = (4.0 + 0.1**2 * 25.0) * np.eye(2) + angle * np.outer(across, across)
    np.testing.assert_allclose(belief.covariance, expected)
    assert tracker.heading_sd == pytest.approx(math.sqrt(angle))
    tracker.reset()
    assert (tracker.heading_error, tracker.heading_sd) == (0.0, 0.0)


@pytest.mark.parametrize("thing", [PARTICLES[GYRO], Tracker([[0, 0]], [[1]], GYRO, length=9.0)])
@pytest.mark.parametrize(
    ("heading", "message"),
    [
        ({"heading_error": math.inf}, "heading_error must be an angle in radians"),
        ({"heading_sd": -0.1}, "heading_sd must be a standard deviation"),
    ],
)
def test_what_is_no_heading_is_refused(thing, heading, message):
    with pytest.raises(ValueError, match=message):
        thing.reset(**heading)


def test_a_compass_is_always_right():
    particles = PARTICLES[COMPASS]
    particles.reset(0.5, 0.1)
    assert particles.heading_error == particles.heading_sd == 0.0
    with pytest.raises(ValueError, match="trial must be"):
        finder(trial=0)
