"""Where am I? As a plain Kalman filter does it; in the world, far better than reckoning."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.evaluation import coverage
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.tracker import Tracker, calibrate_width
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

CONFIG = TreeWorldConfig()
SENSOR = SimpleSensor.from_config(CONFIG)
LENGTH = math.sqrt(2 * SENSOR.diffusion_time)
COMPASS = Odometry(0.075)
GYRO = Odometry(0.075, math.radians(0.2), math.radians(0.02))
NEVER = 1e9  # a gate that nothing is too far for


def scents(places, trees=((0.0, 0.0), (40.0, 10.0), (-20.0, 30.0)), length=30.0):
    """Smells of some trees, each of its own kind."""
    squares = ((np.asarray(places)[..., None, :] - np.asarray(trees)) ** 2).sum(-1)
    return np.exp(-squares / length**2)


def surveyed(number=200, seed=0, reach=60.0, **trees):
    places = np.random.default_rng(seed).uniform(-reach, reach, (number, 2))
    return places, scents(places, **trees)


def walk(seed, number=60, size=2.0):
    steps = size * np.random.default_rng(seed).normal(size=(number, 2))
    return steps, steps.cumsum(axis=0)


# --- against the textbook -------------------------------------------------------------------------


class Plain:
    """An extended Kalman filter with gains, on reads by an inverse, over all observations."""

    def __init__(self, places, senses, odometry, *, length, nugget, amplitude, width):
        self.places, self.senses, self.odometry = places, senses, odometry
        self.length, self.amplitude, self.width = length, amplitude, width
        self.nugget = nugget
        alike = self.alike(places) + nugget**2 * np.eye(len(places))
        self.inverse = np.linalg.inv(alike)
        self.mean, self.covariance = np.zeros(4), np.diag([0.01, 0.01, 0.0, 0.0])
        self.covariance[3, 3] = odometry.heading_bias_sd**2

    def alike(self, queries):
        squares = ((queries[:, None] - self.places) ** 2).sum(-1)
        return np.exp(-squares / (2 * self.length**2))

    @staticmethod
    def moved(state, move, walked=0.0):
        x, y, error, bias = state
        error = error + bias + walked
        cos, sin = math.cos(-error), math.sin(-error)
        return np.array(
            [x + cos * move[0] - sin * move[1], y + sin * move[0] + cos * move[1], error, bias]
        )

    def step(self, move, sense):
        h = 1e-6
        carry = np.array(
            [
                (self.moved(self.mean + d, move) - self.moved(self.mean - d, move)) / (2 * h)
                for d in h * np.eye(4)
            ]
        ).T
        walked = (self.moved(self.mean, move, h) - self.moved(self.mean, move, -h)) / (2 * h)
        self.mean = self.moved(self.mean, move)
        noise = np.diag([1.0, 1.0, 0.0, 0.0]) * self.odometry.relative_sd**2 * (move @ move)
        noise += self.odometry.heading_walk**2 * np.outer(walked, walked)
        self.covariance = carry @ self.covariance @ carry.T + noise

        place = self.mean[:2]
        near = self.alike(place[None])[0]
        slopes = near[:, None] * (self.places - place) / self.length**2
        slope = np.zeros((self.senses.shape[1], 4))
        slope[:, :2] = self.senses.T @ self.inverse @ slopes
        variance = 1 - near @ self.inverse @ near + self.nugget**2
        variance += 0.75 * (np.trace(self.covariance[:2, :2]) / self.length**2) ** 2
        variance *= self.width * self.amplitude**2
        innovation = slope @ self.covariance @ slope.T + variance * np.eye(len(slope))
        gain = self.covariance @ slope.T @ np.linalg.inv(innovation)
        self.mean = self.mean + gain @ (sense - self.senses.T @ self.inverse @ near)
        self.covariance = (np.eye(4) - gain @ slope) @ self.covariance


@pytest.mark.parametrize("odometry", [Odometry(0.1), Odometry(0.1, 0.02, 0.01)])
def test_as_the_textbook_says(odometry):
    places, senses = surveyed(60)
    options = {"length": 30.0, "nugget": 0.05, "amplitude": 0.5, "width": 3.0}
    tracker = Tracker(places, senses, odometry, nearest=60, gate=NEVER, **options)
    plain = Plain(places, senses, odometry, **options)
    steps, true = walk(1)
    for move, sense in zip(odometry.drift(steps, 1), scents(true), strict=True):
        belief = tracker.step(move, sense)
        plain.step(move, sense)
        np.testing.assert_allclose(belief.mean, plain.mean[:2], rtol=1e-6, atol=1e-6)
        expected = plain.covariance[:2, :2]
        np.testing.assert_allclose(belief.covariance, expected, rtol=1e-5, atol=1e-8)
        assert tracker.heading_error == pytest.approx(plain.mean[2], abs=1e-6)
    assert not np.allclose(belief.mean, true[-1], atol=1e-6)


@pytest.mark.parametrize("odometry", [Odometry(0.1), Odometry(0.05, 0.03, 0.005)])
def test_what_is_reckoned_is_as_unsure_as_it_says(odometry):
    steps, true = walk(2, 25, 5.0)
    generator = torch.Generator().manual_seed(0)
    means, covariances = [], []
    for _ in range(200):
        tracker = Tracker([[0.0, 0.0]], [[1.0]], odometry, length=30.0)
        track = tracker.follow(odometry.drift(steps, generator), [None] * 25)
        means.append(track.means[-1])
        covariances.append(track.covariances[-1])
        assert not track.identifiable.any()
    assert coverage(means, covariances, np.tile(true[-1], (200, 1))) == pytest.approx(0.9, abs=0.06)


def test_around_a_lone_tree_the_distance_alone_is_told():
    places, senses = surveyed(trees=[(0.0, 0.0)])
    spread = 25.0 * np.eye(2)
    options = {"length": 30.0, "start_covariance": spread, "gate": NEVER}
    tracker = Tracker(places, senses, COMPASS, start=[15.0, 15.0], **options)
    covariance = tracker.step([0.0, 0.0], scents([15.0, 15.0], trees=[(0.0, 0.0)])).covariance
    outwards, across = np.array([1.0, 1.0]) / math.sqrt(2), np.array([1.0, -1.0]) / math.sqrt(2)
    assert outwards @ covariance @ outwards < 5.0
    assert across @ covariance @ across > 23.0


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    angle=st.floats(0, 7),
    shift=st.tuples(*[st.floats(-1e4, 1e4)] * 2),
    odometry=st.sampled_from([Odometry(0.1), Odometry(0.1, 0.02, 0.01)]),
)
def test_turned_and_shifted(seed, angle, shift, odometry):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places, senses = surveyed(60)
    steps, true = walk(seed, 20)
    moves = odometry.drift(steps, seed)
    here = Tracker(places, senses, odometry, length=30.0).follow(moves, scents(true))
    there = Tracker(places @ turn.T + shift, senses, odometry, length=30.0, start=shift)
    moved = there.follow(moves @ turn.T, scents(true))
    np.testing.assert_allclose(moved.means, here.means @ turn.T + shift, atol=1e-4)
    expected = turn @ here.covariances @ turn.T
    np.testing.assert_allclose(moved.covariances, expected, rtol=1e-3, atol=1e-6)


def test_senses_may_be_written_in_any_number_of_numbers():
    places, senses = surveyed()
    steps, true = walk(3)
    wide = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 3)))[0].T
    few = Tracker(places, senses, COMPASS, length=30.0).follow(steps, scents(true))
    many = Tracker(places, senses @ wide, COMPASS, length=30.0).follow(steps, scents(true) @ wide)
    np.testing.assert_allclose(many.means, few.means, atol=1e-6)
    np.testing.assert_allclose(many.covariances, few.covariances, rtol=1e-5)


# --- what it is worth -----------------------------------------------------------------------------


def lived(seed, number=500):
    """A survey of a default world, and a walk in it."""
    world = TreeWorld.random_from_config(CONFIG, seed=seed)
    rng = np.random.default_rng(seed)
    places = rng.uniform(-400, 400, (1024, 2))
    headings = rng.uniform(0, 2 * math.pi) + np.cumsum(0.3 * rng.normal(size=number))
    steps = np.stack([np.cos(headings), np.sin(headings)], -1) * rng.uniform(0, 10, (number, 1))
    true = np.cumsum(steps, axis=0)
    # Mirrored where it would leave.
    true = 390 - abs((true + 390) % 1560 - 780)
    steps = np.diff(true, axis=0, prepend=true[:1])
    return places, SENSOR.sense(world, places)[1], steps, true, SENSOR.sense(world, true)[1]


@pytest.mark.parametrize("odometry", [COMPASS, GYRO])
def test_in_a_world(odometry):
    held, ours, reckoned = [], [], []
    for seed in range(2):
        places, senses, steps, true, smells = lived(seed)
        moves = odometry.drift(steps, seed)
        tracker = Tracker(places, senses, odometry, length=LENGTH, start=true[0])
        track = tracker.follow(moves, smells)
        ours.append(np.linalg.norm(track.means - true, axis=-1))
        reckoned.append(np.linalg.norm(true[0] + moves.cumsum(axis=0) - true, axis=-1))
        held.append(coverage(track.means, track.covariances, true))
        assert track.identifiable.any()
        told = ours[-1][track.identifiable]
        assert np.median(told) <= np.median(ours[-1])
    assert np.median(ours) < np.median(reckoned) / 3
    assert np.median(ours) < 4.0
    assert 0.8 < np.mean(held) < 1.0


# --- what can go wrong ----------------------------------------------------------------------------


def test_a_smell_that_cannot_be_counts_little():
    places, senses = surveyed()
    tracker = Tracker(places, senses, COMPASS, length=30.0, start_covariance=np.eye(2))
    right, other = scents([1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    wrong = right + other
    gated = tracker.step([0.0, 0.0], wrong)
    tracker.reset()
    believed = tracker.step([0.0, 0.0], right)
    easy = Tracker(places, senses, COMPASS, length=30.0, start_covariance=np.eye(2), gate=NEVER)
    misled = easy.step([0.0, 0.0], wrong)
    assert np.linalg.norm(gated.mean) < np.linalg.norm(misled.mean) / 3
    told = [1 - np.linalg.det(belief.covariance) for belief in (gated, believed)]
    assert 0 < told[0] < told[1] / 20
    # Nor does one that is like nothing that is known.
    wide = np.concatenate([senses, 0 * senses], axis=-1)
    new = np.concatenate([right, [2.0, 0.0, 0.0]])
    tracker = Tracker(places, wide, COMPASS, length=30.0, start_covariance=np.eye(2))
    assert np.linalg.norm(tracker.step([0.0, 0.0], new).mean) < np.linalg.norm(believed.mean)


def test_a_smell_that_an_unsure_belief_explains_counts():
    places, senses = surveyed()
    options = {"length": 30.0, "start_covariance": 9.0 * np.eye(2)}
    found = [
        Tracker(places, senses, COMPASS, gate=gate, **options).step([0.0, 0.0], scents([2.4, 1.8]))
        for gate in (0.5, NEVER)
    ]
    np.testing.assert_allclose(found[0].mean, found[1].mean, rtol=0.1)
    assert np.linalg.norm(found[0].mean - [2.4, 1.8]) < 1.0


def test_whether_the_place_can_be_told():
    places, senses = surveyed()
    options = {"length": 30.0}
    assert (
        Tracker(places, senses, COMPASS, **options)
        .step([1.0, 0.0], scents([1.0, 0.0]))
        .identifiable
    )
    tracker = Tracker(places, senses, COMPASS, **options)
    assert not tracker.belief.identifiable  # nothing was smelled yet
    assert not tracker.step([1.0, 0.0]).identifiable
    assert not tracker.step([0.0, 0.0], [0.0, 0.0, 0.0]).identifiable
    assert tracker.step([0.0, 0.0], scents([1.0, 0.0])).identifiable
    far = Tracker(places, senses, COMPASS, start=[200.0, 0.0], **options)
    assert not far.step([1.0, 0.0], scents([1.0, 0.0])).identifiable
    strict = Tracker(places, senses, COMPASS, largest_area=1e-6, **options)
    assert not strict.step([1.0, 0.0], scents([1.0, 0.0])).identifiable


def test_far_from_all_that_is_known_it_reckons():
    places, senses = surveyed()
    tracker = Tracker(places, senses, COMPASS, length=30.0, start=[1000.0, 0.0])
    belief = tracker.step([3.0, 4.0], [0.0, 0.0, 0.0])
    np.testing.assert_allclose(belief.mean, [1003.0, 4.0])
    np.testing.assert_allclose(belief.covariance, (0.01 + 0.375**2) * np.eye(2))


def test_steps_one_by_one_and_anew():
    places, senses = surveyed()
    steps, true = walk(4)
    tracker = Tracker(places, senses, GYRO, length=30.0, start=[1.0, 2.0])
    track = tracker.follow(steps, scents(true))
    wide = tracker.with_width(64.0)
    np.testing.assert_array_equal(wide.belief.mean, track.means[-1])
    tracker.reset()
    np.testing.assert_array_equal(tracker.belief.mean, [1.0, 2.0])
    for i in range(len(steps)):
        belief = tracker.step(steps[i], scents(true)[i])
        np.testing.assert_array_equal(belief.mean, track.means[i])
        np.testing.assert_array_equal(belief.covariance, track.covariances[i])
    np.testing.assert_array_equal(wide.belief.mean, track.means[-1])  # it goes its own way
    belief.mean[:] = 0.0
    np.testing.assert_array_equal(tracker.belief.mean, track.means[-1])
    tracker.reset([5.0, 6.0], 4.0 * np.eye(2))
    tracker.reset()
    np.testing.assert_array_equal(tracker.belief.covariance, 4.0 * np.eye(2))
    assert tracker.follow(np.zeros((0, 2)), []).means.shape == (0, 2)


# --- the width ------------------------------------------------------------------------------------


def test_the_width_is_the_least_that_holds():
    places, senses = surveyed(80)
    odometry = Odometry(0.3)
    walks = [walk(seed, 50) for seed in range(2)]
    moves = np.stack([odometry.drift(steps, i) for i, (steps, _) in enumerate(walks)])
    true = np.stack([places for _, places in walks])
    tracker = Tracker(places, senses, odometry, length=30.0)

    def held(width):
        tracks = []
        for own, there in zip(moves, true, strict=True):
            other = tracker.with_width(width)
            track = other.follow(own, scents(there))
            tracks.append(coverage(track.means, track.covariances, there, 0.8))
        return np.mean(tracks)

    widths = [16.0, 1.0, 1 / 4, 1 / 64]
    found = calibrate_width(tracker, moves, scents(true), true, share=0.8, widths=widths)
    enough = [width for width in widths if held(width) >= 0.8]
    assert 1 / 64 < found == min(enough)
    np.testing.assert_array_equal(tracker.belief.mean, [0.0, 0.0])
    assert tracker.width == 16.0
    one = calibrate_width(tracker, moves[0], scents(true[0]), true[0], share=0.8, widths=widths)
    assert one in widths
    # Far from where it was, no ellipse holds: the best there is.
    assert calibrate_width(tracker, moves, scents(true), true + 50.0, widths=[1.0, 2.0]) == 1.0


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"places": [[0.0], [1.0]]}, r"places must have shape \(\.\.\., 2\)"),
        ({"senses": [1.0, 2.0]}, r"senses must have shape \(n_observations"),
        ({"senses": [[1.0], [math.nan]]}, "senses must be finite"),
        ({"senses": [[1.0]]}, "as many, but there are 2 and 1"),
        ({"length": -1.0}, "length must be a positive"),
        ({"width": 0.0}, "width must be positive"),
        ({"gate": math.inf}, "gate must be positive"),
        ({"largest_area": -1.0}, "largest_area must be positive"),
        ({"start": [0.0, 0.0, 0.0]}, r"start must have shape \(\.\.\., 2\)"),
        ({"start": [[0.0, 0.0]]}, r"start must be one, of shape \(2,\)"),
        ({"start_covariance": np.zeros((2, 2))}, "symmetric and positive definite"),
        ({"start_covariance": [[1.0, 0.5], [0.0, 1.0]]}, "symmetric and positive definite"),
        ({"start_covariance": [1.0, 1.0]}, r"of shape \(2, 2\), in square metres"),
    ],
)
def test_what_makes_no_tracker_is_refused(arguments, message):
    given_ = {"places": np.eye(2), "senses": np.ones((2, 1)), "odometry": COMPASS, "length": 9.0}
    with pytest.raises(ValueError, match=message):
        Tracker(**(given_ | arguments))


def test_what_is_no_step_is_refused():
    with pytest.raises(TypeError, match="odometry must be an Odometry, not float"):
        Tracker(np.eye(2), np.ones((2, 1)), 0.1, length=9.0)
    tracker = Tracker(np.eye(2), np.ones((2, 1)), COMPASS, length=9.0)
    with pytest.raises(ValueError, match="displacement must be one"):
        tracker.step([[0.0, 1.0]])
    with pytest.raises(ValueError, match=r"sense must be one, of shape \(1,\)"):
        tracker.step([0.0, 1.0], [[1.0]])
    with pytest.raises(ValueError, match=r"sense must have shape \(\.\.\., 1\)"):
        tracker.step([0.0, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="as many senses"):
        tracker.follow([[0.0, 1.0]], [])
    np.testing.assert_array_equal(tracker.belief.mean, [0.0, 0.0])
    with pytest.raises(ValueError, match="width must be positive"):
        tracker.with_width(0.0)


def test_what_calibrates_nothing_is_refused():
    tracker = Tracker(np.eye(2), np.ones((2, 1)), COMPASS, length=9.0)
    walked = np.zeros((3, 2))
    with pytest.raises(ValueError, match="must have one shape"):
        calibrate_width(tracker, walked, np.ones((3, 1)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="senses as many steps"):
        calibrate_width(tracker, walked, np.ones((2, 1)), walked)
    with pytest.raises(ValueError, match="widths must hold one"):
        calibrate_width(tracker, walked, np.ones((3, 1)), walked, widths=[])
    with pytest.raises(ValueError, match="share must lie strictly"):
        calibrate_width(tracker, walked, np.ones((3, 1)), walked, share=1.0)
