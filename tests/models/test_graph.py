"""A walk as a graph: as a solver of the same squares says; as unsure as an inverse says."""

import math

import numpy as np
import pytest
import scipy.optimize

from tree_world.models.places.graph import Closures, PoseGraph
from tree_world.models.places.odometry import Odometry

COMPASS = Odometry(0.1)
GYRO = Odometry(0.05, 0.03, 0.005)
ALL = [COMPASS, GYRO, Odometry(0.05, 0.03), Odometry(0.05, 0.0, 0.005)]
START = np.array([3.0, -2.0])


def rounds(number=47, size=5.0):
    """A walk in circles of sixteen steps."""
    angles = 2 * math.pi * np.arange(number) / 16
    return size * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def some_closures(keyframes, number=6, seed=0):
    """Closures of some strength, between some keyframes, half of no information in one way."""
    true = np.vstack([[0.0, 0.0], rounds().cumsum(axis=0)])[[*range(0, 47, 5), 47]]
    rng = np.random.default_rng(seed)
    own = rng.integers(keyframes // 2, keyframes, number)
    anchors = rng.integers(0, keyframes // 2, (number, 3))
    weights = rng.dirichlet(np.ones(3), number)
    slopes = rng.normal(size=(number, 4, 2))
    slopes[: number // 2, :, 1] = 0.0
    meant = (weights[..., None] * true[anchors]).sum(axis=1)
    offsets = true[own] - meant + 0.5 * rng.normal(size=(number, 2))
    information = np.swapaxes(slopes, 1, 2) @ slopes
    return Closures(own, anchors, weights, offsets, information, np.zeros((number, 2), np.intp))


def solved(graph, closures, turns=30):
    state = graph.reckoned(graph.begun(), len(graph.steps))
    for _ in range(turns):
        state = graph.improved(state, closures)
    return state


@pytest.mark.parametrize("odometry", ALL)
def test_as_another_solver_finds_it(odometry):
    graph = PoseGraph(odometry.drift(rounds(), 1), 5, odometry, START)
    closures = some_closures(len(graph.steps))
    state = solved(graph, closures)
    begun = graph.reckoned(graph.begun(), len(graph.steps))
    other = scipy.optimize.least_squares(
        graph.residuals,
        begun,
        lambda *given: graph.jacobian(*given).toarray(),
        x_scale="jac",
        xtol=1e-12,
        ftol=1e-15,
        gtol=None,
        args=(closures,),
    )
    np.testing.assert_allclose(state, other.x, rtol=1e-4, atol=1e-4)
    assert (graph.residuals(state, closures) ** 2).sum() == pytest.approx(2 * other.cost, rel=1e-6)
    assert np.abs(state - begun).max() > 0.1


@pytest.mark.parametrize("odometry", ALL)
def test_slopes_are_those_of_the_residuals(odometry):
    graph = PoseGraph(odometry.drift(rounds(), 1), 5, odometry, START)
    closures = some_closures(len(graph.steps))
    state = graph.reckoned(graph.begun(), len(graph.steps))
    state = state + 0.1 * np.random.default_rng(2).normal(size=len(state))
    h = 1e-6
    expected = [
        (graph.residuals(state + d, closures) - graph.residuals(state - d, closures)) / (2 * h)
        for d in h * np.eye(len(state))
    ]
    found = graph.jacobian(state, closures).toarray()
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("odometry", ALL)
def test_as_unsure_as_an_inverse_says(odometry):
    graph = PoseGraph(odometry.drift(rounds(), 1), 5, odometry, START)
    closures = some_closures(len(graph.steps))
    state = solved(graph, closures)
    slopes = graph.jacobian(state, closures).toarray()
    scale = np.sqrt((slopes**2).sum(axis=0))
    expected = np.linalg.inv((slopes / scale).T @ (slopes / scale)) / np.outer(scale, scale)
    found = graph.covariance(state, closures)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    alone = graph.covariance(state, Closures.none())
    assert (np.diag(found)[-3:-1] < np.diag(alone)[-3:-1]).all()


@pytest.mark.parametrize("odometry", ALL)
@pytest.mark.parametrize("newest", [0, 1, 4])
def test_the_newest_are_as_unsure_without_a_whole_inverse(odometry, newest):
    graph = PoseGraph(odometry.drift(rounds(), 1), 5, odometry, START)
    closures = some_closures(len(graph.steps))
    state = solved(graph, closures)
    end = graph.by_keyframe * len(graph.steps)
    those = slice(end - newest * graph.by_keyframe, end)
    improved, found = graph.improved_and_newest(state, closures, newest)
    expected = graph.covariance(state, closures)[those, those]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)
    np.testing.assert_array_equal(improved, graph.improved(state, closures))


@pytest.mark.parametrize("odometry", ALL)
def test_without_closures_it_is_reckoning(odometry):
    moves = odometry.drift(rounds(), 1)
    graph = PoseGraph(moves, 5, odometry, START)
    np.testing.assert_array_equal(graph.steps, [*range(0, 46, 5), 47])
    state = solved(graph, Closures.none(3), 3)
    expected = START + np.vstack([[0.0, 0.0], moves.cumsum(axis=0)])[graph.steps]
    np.testing.assert_allclose(graph.places(state), expected, atol=1e-6)
    np.testing.assert_allclose(graph.headings(state), 0.0, atol=1e-9)
    assert graph.bias(state) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("odometry", ALL)
def test_it_drifts_as_bodies_do(odometry):
    steps = rounds(22)
    graph = PoseGraph(steps, 5, odometry, START)
    state = graph.reckoned(graph.begun(), len(graph.steps))
    size = graph.by_keyframe
    last = slice(size * (len(graph.steps) - 1), size * (len(graph.steps) - 1) + 2)
    claimed = graph.covariance(state, Closures.none())[last, last] - 0.01 * np.eye(2)
    ends = [odometry.drift(steps, seed).sum(axis=0) for seed in range(1500)]
    drifted = np.cov(np.transpose(ends))
    np.testing.assert_allclose(claimed, drifted, atol=0.12 * np.trace(drifted))


@pytest.mark.parametrize("odometry", [GYRO, Odometry(0.05, 0.0, 0.005)])
def test_turned_by_heading_and_bias(odometry):
    """With the right headings, steps without errors lead to the right places, at every length."""
    steps, bias = rounds(), 0.01
    angles = bias * np.arange(1, len(steps) + 1)
    cos, sin = np.cos(angles), np.sin(angles)
    believed = np.stack(
        [cos * steps[:, 0] - sin * steps[:, 1], sin * steps[:, 0] + cos * steps[:, 1]], axis=-1
    )
    graph = PoseGraph(believed, 5, odometry, START)
    state = graph.begun()
    state[-1] = bias
    for number in (4, 5, len(graph.steps)):
        state = graph.reckoned(state, number)
    expected = START + np.vstack([[0.0, 0.0], steps.cumsum(axis=0)])
    np.testing.assert_allclose(graph.places(state), expected[graph.steps], atol=1e-9)
    np.testing.assert_allclose(graph.headings(state), bias * graph.steps, atol=1e-12)
    np.testing.assert_allclose(graph.odometry_residuals(state), 0.0, atol=1e-6)
    np.testing.assert_allclose(graph.between(state, 3), steps[15:20], atol=1e-9)
    np.testing.assert_allclose(graph.between(state, 9), steps[45:], atol=1e-9)
