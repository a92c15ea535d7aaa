"""One's own place and those of things: as least squares find them, and as sure as they claim."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.models.places import Odometry, Tracker, within
from tree_world.models.places.arcs import WIDTH, Arc
from tree_world.models.places.landmarks import Landmarks

START = 0.01 * np.eye(2)


def walk(seed, number=40, things=3, share=0.1):
    """A walk among things: true and believed steps, where things are, and which is seen when."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=(number, 2)) * 4.0
    believed = Odometry(share).drift(steps, seed)
    places = generator.uniform(-30, 30, (things, 2))
    seen = generator.integers(-1, things, number)  # −1 is nothing
    return steps, believed, places, seen, generator


def filtered(seed, sd=(0.5, 2.0), **kinds):
    """A filter at the end of a walk, with all that it was told, and the truth."""
    steps, believed, places, seen, generator = walk(seed, **kinds)
    landmarks = Landmarks(Odometry(0.1), start_covariance=START, gate=math.inf)
    here, told = generator.multivariate_normal(np.zeros(2), START), []
    for step, move, thing in zip(steps, believed, seen, strict=True):
        here = here + step
        landmarks.step(move)
        if thing < 0:
            told.append(None)
            continue
        true = places[thing] - here
        along = true / np.linalg.norm(true)
        error = generator.normal(size=2) * sd
        offset = true + error[0] * along + error[1] * np.array([-along[1], along[0]])
        told.append((thing, offset))
        landmarks.see(offset, 10 * np.eye(len(places))[thing], sd=sd)
    return landmarks, believed, told, here, places


def least_squares(believed, told, sd=(0.5, 2.0), share=0.1):
    """Mean and covariance of the last place and of all things, from all that was told at once."""
    number, order = len(believed), []
    rows, values = [], []

    def add(blocks, value, covariance):
        white = np.linalg.inv(np.linalg.cholesky(covariance))
        row = np.zeros((2, 2 * (number + 1 + len(told))))
        for at, factor in blocks.items():
            row[:, 2 * at : 2 * at + 2] = factor * np.eye(2)
        rows.append(white @ row)
        values.append(white @ value)

    add({0: 1}, np.zeros(2), START)
    for at, (move, sight) in enumerate(zip(believed, told, strict=True), start=1):
        add({at: 1, at - 1: -1}, move, share**2 * (move @ move) * np.eye(2))
        if sight is None:
            continue
        thing, offset = sight
        if thing not in order:
            order.append(thing)
        x, y = offset / np.linalg.norm(offset)
        turn = np.array([[x, -y], [y, x]])
        noise = turn @ np.diag(np.square(sd)) @ turn.T
        add({number + 1 + order.index(thing): 1, at: -1}, offset, noise)
    size = 2 * (number + 1 + len(order))
    matrix, wanted = np.vstack(rows)[:, :size], np.concatenate(values)
    last = slice(2 * number, size)
    covariance = np.linalg.inv(matrix.T @ matrix)
    return (covariance @ matrix.T @ wanted)[last], covariance[last, last], order


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_it_finds_what_least_squares_over_all_find(seed, things):
    landmarks, believed, told, _, _ = filtered(seed, things=things)
    mean, covariance, order = least_squares(believed, told)
    np.testing.assert_allclose(landmarks.belief.mean, mean[:2], atol=1e-6)
    np.testing.assert_allclose(landmarks.places.reshape(-1), mean[2:], atol=1e-6)
    np.testing.assert_allclose(landmarks.belief.covariance, covariance[:2, :2], atol=1e-7)
    for number in range(len(order)):
        own = slice(2 + 2 * number, 4 + 2 * number)
        np.testing.assert_allclose(landmarks.covariances[number], covariance[own, own], atol=1e-7)
        apart = covariance[own, own] + covariance[:2, :2]
        apart = apart - covariance[own, :2] - covariance[:2, own]
        np.testing.assert_allclose(landmarks.offset_covariances[number], apart, atol=1e-7)
    np.testing.assert_array_equal(landmarks.senses, 10 * np.eye(things)[order])


def one_by_one(believed, told, sd=(0.5, 2.0)):
    """The same without what errs alike: own place and things as if they knew nothing in common."""
    mean, spread, things = np.zeros(2), START.copy(), {}
    for move, sight in zip(believed, told, strict=True):
        mean, spread = mean + move, spread + 0.01 * (move @ move) * np.eye(2)
        if sight is None:
            continue
        thing, offset = sight
        x, y = offset / np.linalg.norm(offset)
        turn = np.array([[x, -y], [y, x]])
        noise = turn @ np.diag(np.square(sd)) @ turn.T
        if thing not in things:
            things[thing] = mean + offset, spread + noise
            continue
        place, unsure = things[thing]
        total = np.linalg.inv(spread + unsure + noise)
        off = offset - (place - mean)
        things[thing] = place + unsure @ total @ off, unsure - unsure @ total @ unsure
        mean, spread = mean - spread @ total @ off, spread - spread @ total @ spread
    return mean, spread


def test_ellipses_hold_the_truth_and_need_what_errs_alike():
    ours, things, alone = [], [], []
    for seed in range(300):
        landmarks, believed, told, here, places = filtered(seed, sd=(1.0, 1.0))
        belief = landmarks.belief
        ours.append(within(belief.mean[None], belief.covariance[None], here[None], 0.9)[0])
        which = landmarks.senses.argmax(axis=1)
        things += within(landmarks.places, landmarks.covariances, places[which], 0.9).tolist()
        mean, spread = one_by_one(believed, told, sd=(1.0, 1.0))
        alone.append(within(mean[None], spread[None], here[None], 0.9)[0])
    assert 0.85 < np.mean(ours) < 0.95
    assert 0.85 < np.mean(things) < 0.95
    assert np.mean(alone) < 0.7


# --- distances alone -----------------------------------------------------------------------------


def ranging(seed, share=0.1, number=150, nu=0.1):
    """A walk that is told distances to things, each of which was seen in a cone at first."""
    generator = np.random.default_rng(seed)
    places = generator.uniform(-120, 120, (8, 2))
    landmarks = Landmarks(Odometry(share), start_covariance=START, gate=math.inf, likeness=0.5)
    here, half = np.zeros(2), math.acos(0.9)
    beliefs, truths, reckoned = [], [], np.zeros(2)
    known = {}
    heading = 0.0
    for _ in range(number):
        heading += generator.normal() * 0.5 - 0.2 * math.sin(
            heading - math.atan2(-here[1], -here[0])
        )
        step = generator.uniform(0, 8) * np.array([math.cos(heading), math.sin(heading)])
        move = step + share * np.linalg.norm(step) * generator.normal(size=2)
        here, reckoned = here + step, reckoned + move
        landmarks.step(move)
        far = np.linalg.norm(places - here, axis=1)
        near = [thing for thing in known if far[thing] < 100]
        told = far[near] + nu * generator.normal(size=len(near))
        landmarks.measure([known[thing] for thing in near], np.abs(told), nu)
        look = generator.uniform(0, 2 * math.pi)
        course = np.array([math.cos(look), math.sin(look)])
        inside = ((places - here) @ course > 0.9 * far) & (far < 100)
        if inside.any():
            thing = int(np.where(inside, far, np.inf).argmin())
            if thing in known:
                landmarks.within_cone(known[thing], course, half)
            else:
                known[thing] = landmarks.spot(far[thing], course, half, np.eye(8)[thing])
        beliefs.append(landmarks.belief)
        truths.append(here)
    return landmarks, beliefs, np.array(truths), reckoned, places, known


def test_distances_correct_and_claim_no_more_than_they_know():
    ours, things, apart, better = [], [], [], []
    for seed in range(60):
        landmarks, beliefs, truths, reckoned, places, known = ranging(seed)
        belief = beliefs[-1]
        ours.append(within(belief.mean[None], belief.covariance[None], truths[-1:], 0.9)[0])
        which = [thing for name in landmarks.names for thing in known if known[thing] == name]
        things += within(landmarks.places, landmarks.covariances, places[which], 0.9).tolist()
        off = landmarks.places - belief.mean - (places[which] - truths[-1])
        apart += np.linalg.norm(off, axis=1).tolist()
        better.append(
            [np.linalg.norm(belief.mean - truths[-1]), np.linalg.norm(reckoned - truths[-1])]
        )
    corrected, uncorrected = np.mean(better, axis=0)
    assert corrected < 0.5 * uncorrected
    # What is around is known far better than where all of it is.
    assert np.median(apart) < 0.5 * corrected
    assert 0.85 < np.mean(ours) <= 1.0
    assert 0.85 < np.mean(things) <= 1.0


def known_at(place, covariance, own=1e-6):
    """One thing whose place is known so well, from the origin."""
    landmarks = Landmarks(Odometry(0.0), start_covariance=own * np.eye(2))
    along, across = np.sqrt(np.diag(covariance))
    landmarks.see(place, [1.0], sd=(along, across))
    return landmarks


def test_a_distance_tells_what_its_slope_says():
    """Where the bend is nothing, it is the update of a filter with the slope u."""
    landmarks = known_at([300.0, 400.0], np.diag([4.0, 0.25]), own=1.0)
    landmarks.measure([0], [503.0], 0.5)
    u = np.array([0.6, 0.8, -0.6, -0.8])[[2, 3, 0, 1]]
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    there = turn @ np.diag([4.0, 0.25]) @ turn.T + np.eye(2)
    before = np.block([[np.eye(2), np.eye(2)], [np.eye(2), there]])
    gain = before @ u / (u @ before @ u + 0.25)
    after = before - np.outer(gain, gain) * (u @ before @ u + 0.25)
    mean = np.array([0.0, 0.0, 300.0, 400.0]) + 3.0 * gain
    np.testing.assert_allclose(landmarks.belief.mean, mean[:2], atol=1e-2)
    np.testing.assert_allclose(landmarks.places[0], mean[2:], atol=1e-2)
    np.testing.assert_allclose(landmarks.belief.covariance, after[:2, :2], atol=1e-3)
    np.testing.assert_allclose(landmarks.covariances[0], after[2:, 2:], atol=1e-3)


def test_what_is_unsure_across_is_farther_than_its_middle():
    draws = np.random.default_rng(0).normal(size=(200_000, 2)) * [0.5, 8.0] + [40.0, 0.0]
    expected = np.linalg.norm(draws, axis=1).mean()
    assert expected > 40.7
    landmarks = known_at([40.0, 0.0], np.diag([0.25, 64.0]))
    landmarks.measure([0], [expected], 0.01)  # no surprise
    np.testing.assert_allclose(landmarks.places[0], [40.0, 0.0], atol=2e-3)
    landmarks = known_at([40.0, 0.0], np.diag([0.25, 64.0]))
    landmarks.measure([0], [40.0], 0.01)  # nearer than expected
    assert landmarks.places[0, 0] < 39.99


def test_what_is_far_off_is_not_believed_to_the_letter():
    trusting, startled = known_at([50.0, 0.0], np.eye(2)), known_at([50.0, 0.0], np.eye(2))
    trusting.measure([0], [52.0], 0.1)
    startled.measure([0], [90.0], 0.1)
    assert abs(trusting.places[0, 0] - 52.0) < 0.1
    assert startled.places[0, 0] < 70.0
    assert startled.covariances[0, 0, 0] > 10 * trusting.covariances[0, 0, 0]


# --- cones ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0.0, 3.0, -9.0])
def test_a_cone_cuts_the_belief_off(side):
    landmarks = known_at([40.0, side], np.diag([1e-4, 100.0]))
    before = landmarks.covariances[0]
    half = 0.3
    offset = np.array([40.0, side])
    limit = np.linalg.norm(offset) * math.sin(half)
    sd = math.sqrt(before[1, 1])
    y = np.linspace(-limit, limit, 20_001)
    weight = np.exp(-((y - side) ** 2) / (2 * sd**2))
    mean = (weight * y).sum() / weight.sum()
    variance = (weight * (y - mean) ** 2).sum() / weight.sum()
    landmarks.within_cone(0, [1.0, 0.0], half)
    assert landmarks.places[0, 1] == pytest.approx(mean, abs=1e-2)
    assert landmarks.covariances[0, 1, 1] == pytest.approx(variance, rel=1e-3)


def test_a_look_at_what_is_known_to_be_there_tells_nothing():
    landmarks = known_at([40.0, 0.0], np.diag([1.0, 4.0]))
    before = landmarks.covariances
    for _ in range(5):
        landmarks.within_cone(0, [1.0, 0.0], 0.45)
    np.testing.assert_array_equal(landmarks.covariances, before)


def test_a_look_from_which_a_thing_should_not_be_seen_moves_it():
    landmarks = known_at([0.0, 40.0], np.eye(2))
    before = landmarks.covariances
    landmarks.within_cone(0, [1.0, 0.0], 0.45)
    assert landmarks.places[0, 1] == pytest.approx(40.0 * math.sin(0.45))
    np.testing.assert_allclose(landmarks.covariances, before)


# --- arcs ----------------------------------------------------------------------------------------


def test_an_arc_is_as_wide_as_its_cone():
    arc, half = Arc(50.0, [0.6, 0.8], 0.4), 0.4
    # In the frame of the heading, by the moments of a uniform angle.
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    expected = 50 * np.array([math.sin(half) / half, 0.0])
    np.testing.assert_allclose(turn @ arc.mean, expected, atol=1e-2)
    across = 50**2 * (0.5 - math.sin(2 * half) / (4 * half))
    spread = turn @ arc.covariance @ turn.T
    assert spread[1, 1] == pytest.approx(across, rel=0.01)
    assert abs(spread[0, 1]) < 1e-4
    assert not arc.is_settled


def test_distances_weigh_directions_as_the_formula_says():
    arc = Arc(50.0, [1.0, 0.0], 0.4)
    apart, covariance = np.array([-3.0, -12.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    arc.tell(apart, covariance, 47.0, 0.3)
    angles = (np.arange(121) + 0.5) * 0.8 / 121 - 0.4
    weights = []
    for angle in angles:
        offset = apart + 50 * np.array([math.cos(angle), math.sin(angle)])
        u = offset / np.linalg.norm(offset)
        variance = u @ covariance @ u + 0.09 + (25 * 0.8 / 121) ** 2
        off = 47.0 - np.linalg.norm(offset)
        weights.append(math.exp(-(off**2 / variance + math.log(variance)) / (2 * WIDTH)))
    weights = np.array(weights) / sum(weights)
    expected = 50 * weights @ np.stack([np.cos(angles), np.sin(angles)], axis=1)
    np.testing.assert_allclose(arc.mean, expected, atol=1e-6)


def test_two_images_of_one_thing_are_not_settled():
    """On a straight way towards the middle, left and right are the same."""
    arc = Arc(60.0, [1.0, 0.0], 0.45)
    true = 60 * np.array([math.cos(0.3), math.sin(0.3)])
    for x in range(2, 40, 2):
        here = np.array([float(x), 0.0])
        arc.tell(-here, 1e-4 * np.eye(2), float(np.linalg.norm(true - here)), 0.05)
    assert not arc.is_settled
    arc.tell_cone(np.array([-38.0, 0.0]), np.array([0.6, 0.8]), 0.45, 0.1)
    np.testing.assert_allclose(arc.mean, true, atol=0.5)
    assert arc.is_settled


def test_what_is_on_an_arc_tells_nothing_of_ones_own_place():
    landmarks = Landmarks(Odometry(0.1))
    name = landmarks.spot(60.0, [1.0, 0.0], 0.45, [1.0])
    assert landmarks.covariances[0, 1, 1] > 100
    for _ in range(5):
        landmarks.step([0.0, 4.0])
    before = landmarks.belief
    true = 60 * np.array([math.cos(0.2), math.sin(0.2)])
    landmarks.measure([name], [float(np.linalg.norm(true - [0.0, 20.0]))], 0.1)
    np.testing.assert_array_equal(landmarks.belief.covariance, before.covariance)
    for _ in range(20):
        landmarks.step([0.0, 4.0])
        here = landmarks.belief.mean
        landmarks.measure([name], [float(np.linalg.norm(true - here))], 0.1)
    assert np.linalg.norm(landmarks.places[0] - true) < 3
    assert landmarks.covariances[0, 1, 1] < 25


# --- names, and what is refused ------------------------------------------------------------------


def test_things_are_told_apart_by_place_and_by_what_they_are_like():
    landmarks = Landmarks(Odometry(0.1))
    ash, beech = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert landmarks.see([30.0, 0.0], ash, sd=0.5) == 0
    assert landmarks.see([30.0, 0.0], beech, sd=0.5) == 1
    assert landmarks.see([-30.0, 0.0], ash, sd=0.5) == 2
    assert landmarks.recognise([30.5, 0.0], beech, sd=0.5) == 1
    assert landmarks.recognise([-30.0, 0.5], 0.9 * ash, sd=0.5) == 2
    assert landmarks.recognise([0.0, 30.0], ash, sd=0.5) is None
    assert landmarks.recognise([30.0, 0.0], -ash, sd=0.5) is None
    assert len(landmarks) == 3
    anywhere = Landmarks(Odometry(0.1), gate=math.inf)
    anywhere.see([30.0, 0.0], ash, sd=0.5)
    assert anywhere.recognise([0.0, 900.0], ash, sd=0.5) == 0


def test_who_forgets_a_thing_keeps_what_it_told():
    landmarks, _, _, _, _ = filtered(3)
    belief, places, names = landmarks.belief, landmarks.places, list(landmarks.names)
    covariances = landmarks.covariances
    landmarks.forget(names[1])
    assert landmarks.names == [names[0], *names[2:]]
    np.testing.assert_array_equal(landmarks.belief.mean, belief.mean)
    np.testing.assert_array_equal(landmarks.belief.covariance, belief.covariance)
    np.testing.assert_array_equal(landmarks.places, np.delete(places, 1, axis=0))
    np.testing.assert_array_equal(landmarks.covariances, np.delete(covariances, 1, axis=0))
    new = landmarks.see([500.0, 0.0], np.full(3, 70.0), sd=1.0)
    assert new == len(names)  # no name is used twice


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="compass"):
        Landmarks(Odometry(0.1, heading_walk=0.01))
    with pytest.raises(TypeError, match="Odometry"):
        Landmarks(Tracker)
    for wrong in (
        {"gate": 0.0},
        {"likeness": -1.0},
        {"start": [0.0, 0.0, 0.0]},
        {"start_covariance": [[1.0, 2.0], [2.0, 1.0]]},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Landmarks(Odometry(0.1), **wrong)
    landmarks = known_at([40.0, 0.0], np.eye(2))
    with pytest.raises(ValueError, match="offset"):
        landmarks.see([1.0, 2.0, 3.0], [1.0], sd=1.0)
    with pytest.raises(ValueError, match="sense"):
        landmarks.see([1.0, 2.0], [1.0, 2.0], sd=1.0)
    for sd in (0.0, (1.0, -1.0), (1.0, 2.0, 3.0)):
        with pytest.raises(ValueError, match="sd"):
            landmarks.see([1.0, 2.0], [1.0], sd=sd)
    with pytest.raises(KeyError, match="no landmark 7"):
        landmarks.forget(7)
    with pytest.raises(KeyError, match="no landmark 7"):
        landmarks.measure([7], [1.0], 1.0)
    with pytest.raises(ValueError, match="shape"):
        landmarks.measure([0], [1.0, 2.0], 1.0)
    with pytest.raises(ValueError, match="distances must be"):
        landmarks.measure([0], [-1.0], 1.0)
    with pytest.raises(ValueError, match="sds must be"):
        landmarks.measure([0], [1.0], 0.0)
    with pytest.raises(ValueError, match="half_cone"):
        landmarks.within_cone(0, [1.0, 0.0], 2.0)
    with pytest.raises(ValueError, match="unit"):
        landmarks.within_cone(0, [2.0, 0.0], 0.4)
    with pytest.raises(ValueError, match="distance"):
        landmarks.spot(0.0, [1.0, 0.0], 0.4, [1.0])
    with pytest.raises(ValueError, match="half_cone"):
        Arc(10.0, [1.0, 0.0], 4.0)
    assert len(landmarks) == 1
