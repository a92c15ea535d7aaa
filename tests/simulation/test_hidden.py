"""A body whose actions shift it by amounts that nobody is told."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.checks import checked_actions
from tree_world.simulation.hidden import ShiftBody

dims = st.integers(1, 3)
seeds = st.integers(0, 2**31)


@settings(max_examples=40, deadline=None)
@given(dim=dims, extra=st.integers(3, 8), seed=seeds)
def test_shifts_are_as_long_as_said_and_lead_everywhere(dim, extra, seed):
    body = ShiftBody(dim + extra, dim, seed=seed, shortest=2.0, longest=5.0)
    lengths = np.linalg.norm(body.shifts, axis=-1)
    assert body.shifts.shape == (dim + extra, dim)
    assert lengths.min() >= 2
    assert lengths.max() <= 5
    wanted = np.random.default_rng(seed).normal(size=(500, dim))
    wanted /= np.linalg.norm(wanted, axis=-1, keepdims=True)
    cosines = (wanted @ (body.shifts / lengths[:, None]).T).max(axis=-1)
    assert cosines.min() > {1: 0.99, 2: 0.38, 3: 0.1}[dim]


def test_lengths_are_drawn_evenly():
    lengths = [np.linalg.norm(ShiftBody(seed=seed).shifts, axis=-1) for seed in range(60)]
    assert scipy.stats.kstest(np.ravel(lengths), scipy.stats.uniform(3, 5).cdf).pvalue > 0.01


@settings(max_examples=20, deadline=None)
@given(dim=dims, seed=seeds, noise=st.sampled_from([0.0, 0.1]))
def test_each_step_is_the_shift_of_its_action(dim, seed, noise):
    body = ShiftBody(6, dim, seed=seed, motor_noise=noise)
    actions, places = body.walk(400, seed)
    assert actions.shape == (400,)
    assert places.shape == (401, dim)
    off = np.diff(places, axis=0) - body.shifts[actions]
    relative = off / np.linalg.norm(body.shifts, axis=-1)[actions, None]
    if noise:
        assert abs(relative.std() / noise - 1) < 0.2
        assert abs(relative.mean()) < 0.3 * noise
    else:
        assert np.abs(off).max() < 1e-9


@settings(max_examples=20, deadline=None)
@given(dim=dims, seed=seeds, reach=st.floats(60, 300))
def test_it_gets_home(dim, seed, reach):
    """Never farther out than it was from a point of the square when it turned to it."""
    body = ShiftBody(6, dim, seed=seed, reach=reach)
    _, places = body.walk(1500, seed)
    away = np.abs(places).max(axis=1)
    assert away.max() < (1 + 2 * math.sqrt(dim)) * (reach + 8)
    assert (away <= reach).mean() > 0.7


def test_it_goes_about_the_square():
    places = np.concatenate([ShiftBody(seed=seed).walk(3000, seed)[1] for seed in range(8)])
    shares = np.histogram2d(*places.T, bins=2, range=[[-250, 250]] * 2)[0] / len(places)
    assert shares.min() > 0.1


def test_it_does_the_same_again_as_often_as_said():
    body = ShiftBody(4, seed=0, reach=1e6, persistence=0.5)
    actions, _ = body.walk(8000, seed=0)
    assert abs((actions[1:] == actions[:-1]).mean() - (0.5 + 0.5 / 4)) < 0.02
    assert scipy.stats.chisquare(np.bincount(actions[::20], minlength=4)).pvalue > 0.001


def test_moves_are_those_of_walks():
    body = ShiftBody(5, 3, seed=2)
    actions, places = body.walk(200, seed=1, start=[1.0, 2.0, 3.0])
    assert np.allclose(body.move(actions, [1.0, 2.0, 3.0]), places)
    assert body.move([]).tolist() == [[0.0, 0.0, 0.0]]
    noisy = ShiftBody(5, 3, seed=2, motor_noise=0.1)
    assert np.array_equal(noisy.shifts, body.shifts)
    drawn = [noisy.move(actions, seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2])


def test_a_seed_is_a_body_and_a_walk():
    one, same, other = (ShiftBody(seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.shifts, same.shifts)
    assert not np.allclose(one.shifts, other.shifts)
    for here, there in zip(one.walk(300, 5), same.walk(300, 5), strict=True):
        assert np.array_equal(here, there)
    assert not np.array_equal(one.walk(300, 5)[0], one.walk(300, 6)[0])
    generator = torch.Generator().manual_seed(5)
    assert np.array_equal(one.walk(300, generator)[0], one.walk(300, 5)[0])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"num_actions": 2}, "at least 3 actions"),
        ({"dim": 0}, "dim must be"),
        ({"shortest": 9.0}, "shortest must not exceed longest"),
        ({"longest": math.inf}, "longest must be"),
        ({"reach": -1.0}, "reach must be"),
        ({"persistence": 1.0}, "persistence must be a chance"),
        ({"motor_noise": -0.1}, "motor_noise must be a standard deviation"),
        ({"seed": -1}, "seed must lie"),
    ],
)
def test_a_wrong_body_is_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        ShiftBody(**{"seed": 0, **choices})


@pytest.mark.parametrize("actions", [[0.5], [[0]], [4], [-1], ["left"]])
def test_actions_that_it_does_not_have_are_refused(actions):
    with pytest.raises(ValueError, match="actions must be whole numbers"):
        checked_actions(actions, 4)


def test_a_start_that_is_no_place_is_refused():
    body = ShiftBody(seed=0)
    with pytest.raises(ValueError, match="start must be one place"):
        body.walk(3, 0, start=[[0.0, 0.0]])
    with pytest.raises(ValueError, match="num_steps"):
        body.walk(-1, 0)
