"""The walker that stays about its home."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tree_world.simulation import Body, HomeRange, Percept, Sight, TreeWorld, TreeWorldConfig

NOTHING = Percept(None, Sight(None, None))

coordinates = st.floats(-600, 600, width=32)
places = st.tuples(coordinates, coordinates)


def step_by_formula(place, heading, generator, *, home, reach, longest, turn_sd):
    """A step and a heading in double precision, from the same draws."""
    place, home = np.array(place, dtype=np.float64), np.array(home, dtype=np.float64)
    if np.abs(place - home).max() > reach:
        target = home + reach * (
            2 * np.array([float(torch.rand((), generator=generator)) for _ in range(2)]) - 1
        )
        turned = (target - place) / np.linalg.norm(target - place)
    else:
        angle = turn_sd * float(torch.randn((), generator=generator))
        cos, sin = math.cos(angle), math.sin(angle)
        turned = np.array([[cos, -sin], [sin, cos]]) @ heading
    return longest * float(torch.rand((), generator=generator)) * turned, turned


@given(
    place=places,
    home=places,
    angle=st.floats(0, 2 * math.pi),
    reach=st.floats(1, 500),
    longest=st.floats(0.1, 100),
    turn_sd=st.floats(0, 3),
    seed=st.integers(0, 2**31),
)
def test_a_step_is_that_of_the_rule(place, home, angle, reach, longest, turn_sd, seed):
    beyond = np.abs(np.subtract(place, home)).max() - reach
    assume(abs(beyond) > 1e-3)  # where rounding decides
    heading = np.array([math.cos(angle), math.sin(angle)])
    walker = HomeRange(reach, home=home, max_step_length=longest, turn_sd=turn_sd)
    body = Body(torch.tensor(place), torch.tensor(heading, dtype=torch.float32), 1.0, 1.0)
    own, theirs = (torch.Generator().manual_seed(seed) for _ in range(2))
    step, turned = walker.act(NOTHING, body, None, generator=own)
    chosen = {"home": home, "reach": reach, "longest": longest, "turn_sd": turn_sd}
    expected_step, expected = step_by_formula(place, heading, theirs, **chosen)
    # A target may be drawn close by, towards which single precision knows the way less well.
    np.testing.assert_allclose(turned.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(step.numpy(), expected_step, atol=1e-4 * longest)
    assert torch.equal(own.get_state(), theirs.get_state())


def test_turns_are_gaussian_and_steps_uniform():
    walker = HomeRange(reach=1e6)  # of which the end is not reached
    steps = np.diff(walker.walk(20_000, seed=0), axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    clear = lengths > 0.5  # shorter ones tell no direction in single precision
    headings = np.arctan2(*steps.T[::-1])
    turns = np.diff(headings)[clear[1:] & clear[:-1]]
    turns = (turns + math.pi) % (2 * math.pi) - math.pi
    assert scipy.stats.kstest(turns, scipy.stats.norm(0, 0.3).cdf).pvalue > 0.01
    assert scipy.stats.kstest(lengths, scipy.stats.uniform(0, 10).cdf).pvalue > 0.01
    assert abs(np.corrcoef(turns[1:], turns[:-1])[0, 1]) < 4 / math.sqrt(len(turns))


def test_first_headings_have_no_preference():
    first = [HomeRange().walk(1, seed)[1] for seed in range(400)]
    angles = np.arctan2(*np.transpose(first)[::-1])
    assert scipy.stats.kstest(angles, scipy.stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 0.01


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    home=places,
    reach=st.floats(0.5, 500),
    longest=st.floats(0.1, 100),
    turn_sd=st.floats(0, 3),
)
def test_it_stays_about_its_home(seed, home, reach, longest, turn_sd):
    walker = HomeRange(reach, home=home, max_step_length=longest, turn_sd=turn_sd)
    away = np.abs(walker.walk(2000, seed, start=home) - np.float32(home))
    assert away.max() <= (reach + longest) * (1 + 1e-6) + 1e-3


def test_it_goes_where_it_may_and_is_seldom_out():
    """Everywhere in the square, corners least: it comes back by many ways, and at once."""
    places = HomeRange().walk(1_000_000, seed=0)
    assert np.abs(places).max() > 405
    assert 0 < (np.abs(places) > 400).any(axis=1).mean() < 0.02
    inside = np.histogram2d(*places.T, bins=4, range=[[-400, 400]] * 2)[0]
    inside *= 16 / inside.sum()
    assert 0.8 < inside.min() < inside.max() < 1.2


def test_from_outside_it_goes_home():
    places = HomeRange(100.0, home=(50.0, 0.0)).walk(2000, seed=1, start=(-3000.0, 2000.0))
    away = np.abs(places - [50.0, 0.0]).max(axis=1)
    arrived = int((away <= 100).argmax())
    assert 0 < arrived < 1000
    assert (away[arrived:] <= 110).all()
    assert places[0].tolist() == [-3000.0, 2000.0]


@pytest.mark.parametrize("seed", range(3))
def test_a_walk_is_the_life_in_a_world(seed):
    """With trees about, which it eats from."""
    config = TreeWorldConfig(tree_spacing=20.0, move_cost=0.0, poison_probability=0.0)
    walker = HomeRange(60.0, home=(20.0, 0.0))
    drawn = TreeWorld.random_from_config(config, seed=7)
    kinds, names = ([getattr(tree, name) for tree in drawn.trees] for name in ("name", "tree_id"))
    world = TreeWorld(config, drawn.locations, kinds, names, model=walker, seed=seed)
    life = world.run(500)
    assert np.array_equal(life.positions, walker.walk(500, seed))
    assert np.abs(life.positions - [20.0, 0.0]).max() > 60
    assert len(life.meal_steps) > 5
    world.reset()
    assert np.array_equal(world.run(500).positions, life.positions)


def test_a_seed_is_a_walk_and_a_generator_goes_on():
    walker = HomeRange()
    assert np.array_equal(walker.walk(100, 5), walker.walk(100, 5))
    assert np.array_equal(walker.walk(100, 5)[:51], walker.walk(50, 5))
    assert not np.array_equal(walker.walk(100, 5), walker.walk(100, 6))
    generator = torch.Generator().manual_seed(5)
    first, second = (walker.walk(100, generator) for _ in range(2))
    assert np.array_equal(first, walker.walk(100, 5))
    assert not np.array_equal(first, second)
    assert walker.walk(0, 5, start=(1.0, 2.0)).tolist() == [[1.0, 2.0]]


def test_what_is_told_of_home_is_a_copy():
    walker = HomeRange(home=(3.0, 4.0))
    walker.home[0] = 100.0
    assert walker.home.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"reach": 0.0}, "reach must be"),
        ({"reach": math.inf}, "reach must be"),
        ({"max_step_length": -1.0}, "max_step_length must be"),
        ({"turn_sd": -0.1}, "turn_sd must be zero or more, and finite, not -0.1"),
        ({"turn_sd": math.nan}, "turn_sd must be"),
        ({"home": [1.0, 2.0, 3.0]}, "home"),
        ({"home": [[1.0, 2.0]]}, r"home must be one place in the plane, of shape \(2,\)"),
        ({"home": [math.nan, 0.0]}, "home"),
    ],
)
def test_bad_walkers(choices, message):
    with pytest.raises(ValueError, match=message):
        HomeRange(**choices)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0), "num_steps must be"),
        ((1.5, 0), "num_steps must be"),
        ((1, 0, [0.0]), "start"),
        ((1, 0, [[0.0, 0.0]]), "start must be one place"),
        ((1, -1), "seed must lie between"),
    ],
)
def test_bad_walks(arguments, message):
    with pytest.raises(ValueError, match=message):
        HomeRange().walk(*arguments)


def test_it_walks_in_the_plane(make_world):
    world = make_world([[50.0, 0.0, 0.0]], model=HomeRange())
    with pytest.raises(ValueError, match=r"walks in the plane, but this world has 3 dimensions"):
        world.step()
    assert world.time == 0


def test_a_world_refuses_steps_that_are_too_long(make_world):
    world = make_world([[50.0, 0.0]], model=HomeRange(max_step_length=50.0))
    with pytest.raises(ValueError, match="max_step_length is 10 m"):
        world.run(100)
