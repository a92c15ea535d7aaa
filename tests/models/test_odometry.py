"""What a body believes of its steps: right on average, and as wrong as it says."""

import math

import numpy as np
import pytest
import torch

from tree_world.models.places.odometry import Odometry, turned

STEPS = np.random.default_rng(0).normal(size=(200, 2)) * [4.0, 6.0]


def ends(odometry, steps, number=1500):
    """Where believed walks end, by as many bodies."""
    generator = torch.Generator().manual_seed(0)
    return np.array([odometry.drift(steps, generator).sum(axis=0) for _ in range(number)])


def test_without_errors_it_is_exact():
    np.testing.assert_array_equal(Odometry(0.0).drift(STEPS, 3), STEPS)
    assert not Odometry(0.0).covariance([3.0, 4.0]).any()
    assert Odometry(0.1).has_compass
    assert not Odometry(0.1, 0.01).has_compass
    assert not Odometry(0.1, 0.0, 0.01).has_compass


def test_draws_are_those_of_the_seed():
    odometry = Odometry(0.1, 0.01, 0.001)
    np.testing.assert_array_equal(odometry.drift(STEPS, 3), odometry.drift(STEPS, 3))
    assert (odometry.drift(STEPS, 3) != odometry.drift(STEPS, 4)).all()
    assert odometry.drift(np.zeros((0, 2)), 0).shape == (0, 2)
    # The same draws, in other units.
    errors = [Odometry(sd).drift(STEPS, 3) - STEPS for sd in (0.1, 0.2)]
    np.testing.assert_allclose(2 * errors[0], errors[1])


def test_it_is_a_process_of_turns_and_errors():
    odometry = Odometry(0.1, 0.02, 0.01)
    generator = torch.Generator().manual_seed(5)
    bias = 0.01 * float(torch.randn((), generator=generator, dtype=torch.float64))
    drawn = torch.randn(len(STEPS), 3, generator=generator, dtype=torch.float64).tolist()
    angle, believed = 0.0, []
    for (x, y), (walk, *error) in zip(STEPS, drawn, strict=True):
        angle += bias + 0.02 * walk
        across = (
            math.cos(angle) * x - math.sin(angle) * y,
            math.sin(angle) * x + math.cos(angle) * y,
        )
        believed.append(
            [a + 0.1 * math.hypot(x, y) * e for a, e in zip(across, error, strict=True)]
        )
    np.testing.assert_allclose(odometry.drift(STEPS, 5), believed, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("odometry", [Odometry(0.1), Odometry(0.05, 0.03, 0.04)])
def test_the_covariance_is_that_of_one_step(odometry):
    step = np.array([6.0, 8.0])
    found = ends(odometry, step[None], 5000)
    np.testing.assert_allclose(found.mean(axis=0), step, atol=0.05)
    expected = odometry.covariance(step)
    np.testing.assert_allclose(np.cov(found.T), expected, atol=0.05 * np.trace(expected))


def spread_after(odometry, number):
    """How far believed ends of a straight walk lie from the truth, as a root mean square."""
    steps = np.tile([5.0, 0.0], (number, 1))
    apart = ends(odometry, steps, 800) - steps.sum(axis=0)
    return math.sqrt((apart**2).sum(axis=-1).mean())


@pytest.mark.parametrize(
    ("odometry", "power"),
    [(Odometry(0.1), 0.5), (Odometry(0.0, 1e-3), 1.5), (Odometry(0.0, 0.0, 1e-5), 2.0)],
)
def test_how_errors_grow(odometry, power):
    short, long = (spread_after(odometry, number) for number in (50, 200))
    assert math.log(long / short) / math.log(4) == pytest.approx(power, abs=0.07)


def test_compass_errors_are_as_large_as_they_must():
    assert spread_after(Odometry(0.1), 100) == pytest.approx(0.5 * math.sqrt(200), rel=0.05)


def test_turned():
    np.testing.assert_allclose(
        turned(np.array([[1.0, 0.0]]), math.pi / 2), [[0.0, 1.0]], atol=1e-15
    )
    there = turned(STEPS, np.arange(200.0))
    np.testing.assert_allclose(turned(there, -np.arange(200.0)), STEPS, atol=1e-12)


@pytest.mark.parametrize("name", ["relative_sd", "heading_walk", "heading_bias_sd"])
@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan, "much", True])
def test_what_is_no_deviation_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a"):
        Odometry(**({"relative_sd": 0.1} | {name: value}))


def test_what_is_no_walk_is_refused():
    with pytest.raises(ValueError, match=r"displacements must have shape \(n_steps, 2\)"):
        Odometry(0.1).drift([1.0, 2.0], 0)
    with pytest.raises(ValueError, match=r"displacements must have shape \(\.\.\., 2\)"):
        Odometry(0.1).drift(np.zeros((4, 3)), 0)
    with pytest.raises(ValueError, match="displacements must be finite"):
        Odometry(0.1).drift([[math.nan, 0.0]], 0)
    with pytest.raises(ValueError, match=r"one step, of shape \(2,\), but has shape \(3, 2\)"):
        Odometry(0.1).covariance(np.zeros((3, 2)))
    with pytest.raises(TypeError, match="seed must be"):
        Odometry(0.1).drift(STEPS, None)
