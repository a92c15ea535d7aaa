"""What actions do, learned from smells: the evidence, what it cannot tell, what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.models.memory.recall.kriging import evidence
from tree_world.models.places.judging import procrustes
from tree_world.models.places.turn_windows import Windows
from tree_world.models.places.turns import (
    LEAST_JOINING,
    SAME_EVIDENCE,
    StepTurnSpace,
    agree,
    join,
    oriented,
    sizes_by_changes,
)
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.simulation.turning import StepTurnBody, follow

MOVES = np.array([[0.08, 0.0, 0.0], [0.01, -0.02, 0.4], [0.0, 0.0, -0.35]])


def some(seed, number=60, coordinates=4):
    generator = np.random.default_rng(seed)
    actions = generator.integers(0, 3, number)
    return actions, generator.normal(size=(number + 1, coordinates)).cumsum(axis=0)


def plainly(moves, actions, senses, count, every, nugget):
    """The evidence, one step and one window after the other, with dense inverses."""
    length = len(actions) // count
    squares = logarithms = numbers = 0.0
    for first in range(0, length * count, length):
        place, heading, places = np.zeros(2), 0.0, [np.zeros(2)]
        for action in actions[first : first + length]:
            cosine, sine = math.cos(heading), math.sin(heading)
            place = place + np.array([[cosine, -sine], [sine, cosine]]) @ moves[action, :2]
            heading += moves[action, 2]
            places.append(place)
        where = np.array(places)[::every]
        smelled = senses[first : first + length + 1][::every]
        apart = ((where[:, None] - where[None]) ** 2).sum(axis=-1)
        matrix = np.exp(-apart / 2) + nugget**2 * np.eye(len(where))
        squares += np.trace(smelled.T @ np.linalg.inv(matrix) @ smelled)
        logarithms += np.linalg.slogdet(matrix)[1]
        numbers += smelled.size
    density = -0.5 * numbers * (1 + math.log(2 * math.pi * squares / numbers))
    return (density - 0.5 * senses.shape[1] * logarithms) / numbers


@pytest.mark.parametrize(("count", "every"), [(1, 1), (3, 1), (3, 4), (7, 3)])
def test_evidence_is_that_of_the_plain_formula(count, every):
    actions, senses = some(0)
    windows = Windows(actions, senses, count, every, 0.1)
    many = np.stack([MOVES, 2 * MOVES, -MOVES[::-1]])
    wanted = [plainly(moves, actions, senses, count, every, 0.1) for moves in many]
    np.testing.assert_allclose(windows.evidence(many), wanted, rtol=1e-8)
    assert windows.with_slope(MOVES)[0] == pytest.approx(wanted[0], rel=1e-8)


def test_slopes_are_those_of_differences():
    actions, senses = some(1)
    windows = Windows(actions, senses, 3, 2, 0.1)
    _, slope = windows.with_slope(MOVES)
    for entry in np.ndindex(MOVES.shape):
        shift = np.zeros_like(MOVES)
        shift[entry] = 1e-5
        above, below = windows.evidence(np.stack([MOVES + shift, MOVES - shift]))
        assert slope[entry] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-6)


def test_what_cannot_be_told_is_as_bad_as_can_be():
    # With hardly any noise, all smells at one place have a matrix that has no inverse.
    actions, senses = some(2)
    windows = Windows(actions, senses, 1, 1, 1e-12)
    assert windows.evidence(0 * MOVES[None]).tolist() == [-math.inf]
    evidence, slope = windows.with_slope(0 * MOVES)
    assert evidence == -math.inf
    assert not slope.any()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    angle=st.floats(-math.pi, math.pi),
    mirrored=st.booleans(),
)
def test_a_body_that_is_turned_or_mirrored_is_as_probable(seed, angle, mirrored):
    actions, senses = some(seed)
    moves = np.random.default_rng(seed).normal(size=(3, 3)) * 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    other = np.column_stack([moves[:, :2] @ turn.T, moves[:, 2]])
    if mirrored:
        other *= [1.0, -1.0, -1.0]
    windows = Windows(actions, senses, 2, 1, 0.1)
    one, two = windows.evidence(np.stack([moves, other]))
    assert two == pytest.approx(one, rel=1e-8)
    np.testing.assert_allclose(oriented(other), oriented(moves), atol=1e-9)
    assert agree(moves, other)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    angle=st.floats(-math.pi, math.pi),
    shift=st.tuples(*[st.floats(-10, 10)] * 2),
)
def test_where_and_which_way_a_walk_begins_does_not_matter(seed, angle, shift):
    # A first action, before all windows, that leads to any place and heading.
    actions, senses = some(seed)
    moves = np.concatenate([MOVES, [[*shift, angle]]])
    begun = np.concatenate([[3], actions])
    places = follow(moves, begun)[0]
    wanted = evidence(places[1:], senses, length=1.0, nugget=0.1).log_likelihood / senses.size
    found = Windows(actions, senses, 1, 1, 0.1).evidence(MOVES[None])[0]
    assert found == pytest.approx(wanted, rel=1e-7)


def test_sizes_of_shifts_are_told_by_how_smells_change():
    # Smells that differ by what the kernel expects of shifts by 0.5, and of none.
    share = 1 - math.exp(-(0.5**2) / 2)
    senses = np.array([[1.0, 0.0], [1 - share, math.sqrt(1 - (1 - share) ** 2)]])
    senses = np.concatenate([senses, senses[1:]])
    np.testing.assert_allclose(sizes_by_changes(np.array([0, 1]), senses, 2), [0.5, 0.0])


@pytest.fixture(scope="module")
def walked():
    """A walk of known moves, and what is smelled on it, in a world."""
    config = TreeWorldConfig()
    body = StepTurnBody(seed=4)
    actions, places, headings = body.walk(1000, seed=104)
    world = TreeWorld.random_from_config(config, seed=4)
    smells = SimpleSensor.from_config(config).sense(world, places[1:]).embedding.numpy()
    return body, actions, places, headings, smells.astype(np.float64)


@pytest.fixture(scope="module")
def learned(walked):
    _, actions, _, _, smells = walked
    return StepTurnSpace(seed=0).fit(actions, smells)


def test_a_world_is_found_but_for_its_mirror_image_and_its_scale(walked, learned):
    body, actions, places, headings, smells = walked
    assert learned.found_, learned.reason_
    assert learned.reason_ == ""
    sign = np.sign(learned.moves_[1, 2])
    np.testing.assert_allclose(sign * learned.moves_[:, 2], body.moves[:, 2], atol=0.01)
    np.testing.assert_allclose(sign * learned.headings_, headings, atol=2.0)
    shifts = np.linalg.norm(learned.moves_[:, :2], axis=1)
    assert (shifts[1:] < 0.05 * shifts[0]).all()
    assert learned.locations_.shape == places.shape
    assert procrustes(learned.locations_, places, "similarity").r2 > 0.99
    assert (np.diff(learned.evidences_) <= 0).all()
    # In metres, where the length is: that of scents.
    length = math.sqrt(2 * SimpleSensor.from_config(TreeWorldConfig()).diffusion_time)
    again = StepTurnSpace(length=length, seed=0).fit(actions, smells)
    np.testing.assert_allclose(again.locations_, length * learned.locations_, rtol=1e-9)
    np.testing.assert_array_equal(again.headings_, learned.headings_)
    assert np.linalg.norm(again.moves_[0, :2]) == pytest.approx(body.moves[0, 0], rel=0.25)


def test_places_of_other_ways_are_told(walked, learned):
    """The same as of one's own, from any place and heading on."""
    _, actions, *_ = walked
    places, headings = learned.transform(actions)
    np.testing.assert_allclose(places, learned.locations_, atol=1e-12)
    np.testing.assert_allclose(headings, learned.headings_, atol=1e-12)
    place, heading = learned.transform(actions[:400])
    rest, turned = learned.transform(actions[400:], place[-1], heading[-1])
    np.testing.assert_allclose(rest, learned.locations_[400:], atol=1e-9)
    np.testing.assert_allclose(turned, learned.headings_[400:], atol=1e-9)
    assert learned.transform([], [1.0, 2.0], 3.0)[0].tolist() == [[1.0, 2.0]]
    assert learned.transform([], [1.0, 2.0], 3.0)[1].tolist() == [3.0]
    with pytest.raises(ValueError, match="from 0 to 2, but entry 1 is 3"):
        learned.transform([0, 3])
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        learned.transform([0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="heading must be a finite angle"):
        learned.transform([0], heading=math.inf)


def test_one_draw_too_few_is_not_found(walked):
    _, actions, *_, smells = walked
    unsure = StepTurnSpace(num_draws=3, seed=0).fit(actions, smells)
    assert not unsure.found_
    assert unsure.reason_
    with pytest.raises(RuntimeError, match=f"no space to tell places of: {unsure.reason_[:20]}"):
        unsure.transform(actions)
    with pytest.raises(RuntimeError, match="not called yet"):
        StepTurnSpace().transform(actions)


def test_pieces_that_do_not_fit_together_are_refused(walked):
    """Of walks between which the body was carried off and turned: all agree on the moves."""
    body, actions, places, _, smells = walked
    config = TreeWorldConfig()
    world = TreeWorld.random_from_config(config, seed=4)
    random = np.random.default_rng(0)
    carried = []
    for first in range(0, 1000, 100):
        piece = slice(first + 1, first + 101)
        angle = random.uniform(-math.pi, math.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        begin = places[random.integers(len(places))]
        carried.append(begin + (places[piece] - places[first + 1]) @ turn.T)
    sensor = SimpleSensor.from_config(config)
    sensed = sensor.sense(world, np.concatenate(carried)).embedding.numpy().astype(np.float64)
    moves = body.moves / [66.0, 66.0, 1.0]
    joined, apart, _ = join(moves, actions[1:], smells, 0.02)
    assert joined > apart + 1.5 * LEAST_JOINING
    joined, apart, _ = join(moves, actions[1:], sensed, 0.02)
    assert joined < apart + LEAST_JOINING
    learned = StepTurnSpace(seed=0, num_draws=300).fit(actions, sensed)
    assert not learned.found_
    assert "the pieces of the walk do not fit together" in learned.reason_
    # Nothing else speaks against them.
    assert learned.evidences_[2] > learned.evidences_[0] - SAME_EVIDENCE


def test_what_is_smelled_in_any_order_is_refused(walked):
    _, actions, *_, smells = walked
    shuffled = np.random.default_rng(0).permutation(smells)
    learned = StepTurnSpace(num_draws=300, seed=0).fit(actions, shuffled)
    assert not learned.found_
    assert "tell little" in learned.reason_


def test_actions_in_any_order_are_refused(walked):
    _, actions, *_, smells = walked
    shuffled = np.random.default_rng(0).permutation(actions)
    learned = StepTurnSpace(num_draws=300, seed=0).fit(shuffled, smells)
    assert not learned.found_


def test_actions_that_do_nothing_are_refused(walked):
    _, actions, *_, smells = walked
    learned = StepTurnSpace().fit(actions, np.tile(smells[:1], (len(smells), 1)))
    assert not learned.found_
    assert learned.reason_ == "no action changes what is smelled."
    assert np.isnan(learned.moves_).all()
    assert len(learned.evidences_) == 0


def test_noise_is_not_taken_for_what_actions_do(walked):
    _, actions, *_, smells = walked
    generator = np.random.default_rng(0)
    noisy = smells[:1, :5] + 0.02 * np.abs(smells).max() * generator.normal(size=(1000, 5))
    learned = StepTurnSpace(num_draws=300).fit(actions, noisy)
    assert not learned.found_
    assert "actions tell little" in learned.reason_


def test_no_smells_are_refused(walked):
    _, actions, *_, smells = walked
    learned = StepTurnSpace().fit(actions, 0 * smells)
    assert not learned.found_
    assert "nothing was smelled" in learned.reason_


def test_an_action_that_is_never_done_is_refused(walked):
    _, actions, *_, smells = walked
    learned = StepTurnSpace(4).fit(actions, smells)
    assert not learned.found_
    assert "actions [3]" in learned.reason_


@pytest.mark.parametrize(
    ("actions", "senses", "says"),
    [
        (np.zeros(400), np.ones((400, 2)), "whole numbers"),
        (np.zeros(299, int), np.ones((299, 2)), "at least 300"),
        (np.full(400, 3), np.ones((400, 2)), "from 0 to 2, but entry 0 is 3"),
        (np.full(400, -1), np.ones((400, 2)), "from 0 to 2, but entry 0 is -1"),
        (np.zeros(400, int), np.ones((401, 2)), r"\(400, sensory_dim\)"),
        (np.zeros(400, int), np.full((400, 2), np.nan), "finite"),
    ],
)
def test_what_does_not_fit_is_refused(actions, senses, says):
    with pytest.raises(ValueError, match=says):
        StepTurnSpace().fit(actions, senses)


@pytest.mark.parametrize(
    "given", [{"num_actions": 0}, {"num_draws": 2}, {"length": 0.0}, {"nugget": 0.0}]
)
def test_numbers_out_of_range_are_refused(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        StepTurnSpace(**given)
