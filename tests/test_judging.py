"""What is left after the best map, and whether ellipses hold as often as they say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes as standardised

from tree_world.evaluation import coverage, procrustes, within

TURN = np.array([[0.6, -0.8], [0.8, 0.6]])
MIRROR = np.diag([1.0, -1.0])


def some(seed, number=12, dim=2):
    return np.random.default_rng(seed).normal(size=(number, dim)) * 50


@pytest.mark.parametrize("kind", ["affine", "similarity"])
@pytest.mark.parametrize("matrix", [TURN, 3 * TURN, 0.1 * MIRROR @ TURN])
def test_what_is_turned_scaled_and_mirrored_is_the_same(kind, matrix):
    a = some(0)
    found = procrustes(a, a @ matrix.T + [100.0, -7.0], kind)
    np.testing.assert_allclose(found.places, a @ matrix.T + [100.0, -7.0])
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-12)
    np.testing.assert_allclose(found.shift, [100.0, -7.0])
    assert found.rms == pytest.approx(0.0, abs=1e-9)
    assert found.r2 == pytest.approx(1.0)


def test_what_is_sheared_is_the_same_up_to_an_affine_map_alone():
    a = some(1)
    b = a @ np.array([[1.0, 0.5], [0.0, 1.0]])
    assert procrustes(a, b).rms == pytest.approx(0.0, abs=1e-9)
    assert procrustes(a, b, "similarity").rms > 1.0


def test_a_case_by_hand():
    # A square onto an oblong: the best factor is 1.5, and each corner is 1/2 metre off, both ways.
    square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0], [-1.0, 1.0]])
    found = procrustes(square, square * [1.0, 2.0] + 5.0, "similarity")
    assert abs(found.matrix) == pytest.approx(1.5 * np.eye(2))
    assert found.rms == pytest.approx(math.sqrt(0.5))
    assert found.r2 == pytest.approx(0.9)


def test_affine_maps_may_change_the_dimension():
    a = some(2, dim=3)
    found = procrustes(a, a[:, :2] * 2 + 1)
    assert found.rms == pytest.approx(0.0, abs=1e-9)
    assert found.matrix.shape == (2, 3)


def test_nothing_explains_nothing():
    same = procrustes(np.ones((12, 2)), some(3), "similarity")
    assert same.r2 == pytest.approx(0.0)
    assert procrustes(np.ones((12, 2)), some(3)).rms == pytest.approx(same.rms)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    angle=st.floats(0, 7),
    scale=st.floats(0.01, 100),
    shift=st.tuples(*[st.floats(-1e4, 1e4)] * 2),
    kind=st.sampled_from(["affine", "similarity"]),
)
def test_what_is_left_does_not_hang_on_how_places_are_given(seed, angle, scale, shift, kind):
    a, b = some(seed), some(seed + 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = procrustes(a, b, kind)
    moved = procrustes(scale * a @ turn.T + shift, b, kind)
    assert moved.rms == pytest.approx(found.rms, rel=1e-6)
    assert moved.r2 == pytest.approx(found.r2, abs=1e-6)
    turned = procrustes(a, scale * b @ turn.T + shift, kind)  # of metres, there are more
    assert turned.rms == pytest.approx(scale * found.rms, rel=1e-6)
    assert 0 <= found.r2 <= 1
    assert procrustes(a, b).rms <= procrustes(a, b, "similarity").rms + 1e-9
    assert found.rms == pytest.approx(math.sqrt(((found.places - b) ** 2).sum(-1).mean()))
    np.testing.assert_allclose(a @ found.matrix.T + found.shift, found.places, atol=1e-9)
    if kind == "similarity":
        assert 1 - found.r2 == pytest.approx(standardised(b, a)[2], rel=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "kind", "message"),
    [
        (some(0), some(0), "rigid", "kind must be one of"),
        (some(0), some(0, 11), "affine", "as many places, but there are 12 and 11"),
        (some(0, dim=3), some(0), "similarity", "a has 3 and b 2"),
        (some(0, 3), some(0, 3), "affine", "takes 4 places, but there are 3"),
        (some(0, 2), some(0, 2), "similarity", "takes 3 places"),
        (some(0), np.ones((12, 2)), "affine", "all places of b are the same"),
        ([1.0, 2.0], some(0), "affine", "a must be places"),
        (some(0), np.full((12, 2), np.nan), "affine", "b must be finite"),
    ],
)
def test_what_cannot_be_mapped_is_refused(a, b, kind, message):
    with pytest.raises(ValueError, match=message):
        procrustes(a, b, kind)


# --- ellipses -------------------------------------------------------------------------------------

NINE_TENTHS = math.sqrt(-2 * math.log(0.1))  # deviations, in the plane


def test_a_circle_holds_what_is_within():
    covariances = np.tile(4.0 * np.eye(2), (2, 1, 1))
    truths = [[2 * NINE_TENTHS * 0.999, 0.0], [0.0, 2 * NINE_TENTHS * 1.001]]
    assert within(np.zeros((2, 2)), covariances, truths, 0.9).tolist() == [True, False]
    assert coverage(np.zeros((2, 2)), covariances, truths) == 0.5


def test_an_ellipse_is_long_along_its_axis():
    along = TURN @ np.diag([100.0, 1.0]) @ TURN.T
    truths = np.array([[20.0, 0.0], [0.0, 20.0]]) @ TURN.T
    assert within(np.zeros((2, 2)), [along, along], truths, 0.9).tolist() == [True, False]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0.05, 0.95),
    entries=st.lists(st.floats(-3, 3), min_size=4, max_size=4),
    dim=st.sampled_from([1, 2, 3]),
)
def test_coverage_is_the_share_and_the_same_in_all_coordinates(seed, share, entries, dim):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(dim, dim)) + 3 * np.eye(dim)
    covariances = np.tile(factor @ factor.T, (2000, 1, 1))
    means = rng.normal(size=(2000, dim)) * 10
    truths = means + rng.normal(size=(2000, dim)) @ factor.T
    found = within(means, covariances, truths, share)
    assert found.mean() == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / 2000))
    other = np.diag(1 + np.abs(entries[:dim])) + entries[3] * np.triu(np.ones((dim, dim)), 1)
    moved = other @ covariances @ other.T
    again = within(means @ other.T, moved, truths @ other.T, share)
    assert (again != found).sum() <= 1  # on the very edge, by rounding


@pytest.mark.parametrize(
    ("covariances", "truths", "share", "message"),
    [
        (np.zeros((1, 2, 2)), [[0.0, 0.0]], 0.9, "positive definite"),
        ([[[1.0, 0.5], [0.0, 1.0]]], [[0.0, 0.0]], 0.9, "symmetric"),
        (np.full((1, 2, 2), np.inf), [[0.0, 0.0]], 0.9, "positive definite"),
        (np.eye(2), [[0.0, 0.0]], 0.9, r"covariances the shape \(n, dim, dim\)"),
        (np.eye(2)[None], [[0.0]], 0.9, "one shape"),
        (np.eye(2)[None], [[0.0, 0.0]], 1.0, "share must lie strictly"),
    ],
)
def test_what_is_no_ellipse_is_refused(covariances, truths, share, message):
    with pytest.raises(ValueError, match=message):
        within([[0.0, 0.0]], covariances, truths, share)
