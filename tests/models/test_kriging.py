"""Reads that claim an error: as a plain Gaussian process does it, and true to what they claim."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.checks import WrongKind
from tree_world.models.memory.recall.kriging import Kriging, evidence, length_by_evidence
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig


def bumps(places, length=30.0, seed=0, dim=5, number=12, extent=100.0):
    """A smooth field of the kernel's kind, at some places."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-extent, extent, (number, places.shape[1]))
    strengths = rng.normal(size=(number, dim))
    squares = ((places[:, None] - centres) ** 2).sum(-1)
    return np.exp(-squares / length**2) @ strengths


def lived(number=60, dim=2, seed=0):
    places = np.random.default_rng(seed).uniform(-100, 100, (number, dim))
    return places, bumps(places, seed=seed)


def kernel(a, b, length):
    return np.exp([[-(math.dist(x, y) ** 2) / (2 * length**2) for y in b] for x in a])


def plain(places, senses, query, length, nugget):
    """The formulas as they are written, over all observations: for an amplitude of 1."""
    alike = kernel(places, places, length) + nugget**2 * np.eye(len(places))
    near = kernel(places, [query], length)[:, 0]
    slopes = near[:, None] * (places - query) / length**2
    inverse = np.linalg.inv(alike)
    return senses.T @ inverse @ near, 1 - near @ inverse @ near, senses.T @ inverse @ slopes


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_as_the_formula_says(dim):
    places, senses = lived(40, dim)
    known = Kriging(places, senses, 30.0, amplitude=2.0, nugget=0.05, nearest=40)
    queries = np.random.default_rng(1).uniform(-150, 150, (20, dim))
    found = known.read(queries)
    for i, query in enumerate(queries):
        mean, variance, slope = plain(places, senses, query, 30.0, 0.05)
        np.testing.assert_allclose(found.mean[i], mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found.variance[i], 4 * variance, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(found.slope[i], slope, rtol=1e-9, atol=1e-9)
        nearest = min(math.dist(query, place) for place in places)
        assert found.nearest_distance[i] == pytest.approx(nearest)


def test_the_nearest_tell_nearly_all():
    places, senses = lived(400)
    few = Kriging(places, senses, 40.0, amplitude=1.0).read(places[:50] + 3.0)
    everything = Kriging(places, senses, 40.0, amplitude=1.0, nearest=400).read(places[:50] + 3.0)
    apart = few.mean - everything.mean
    assert math.sqrt((apart**2).mean()) < 0.03 * senses.std()
    assert (few.variance >= everything.variance - 1e-12).all()  # who knows less is less sure
    assert len(Kriging(places, senses, 40.0, amplitude=1.0).read(places[0]).mean) == 1


def test_slopes_are_those_of_the_mean():
    places, senses = lived()
    known = Kriging(places, senses, 30.0, nearest=60)
    queries = np.random.default_rng(2).uniform(-90, 90, (10, 2))
    slope = known.read(queries).slope
    for axis in range(2):
        step = 1e-4 * np.eye(2)[axis]
        apart = known.read(queries + step).mean - known.read(queries - step).mean
        np.testing.assert_allclose(slope[..., axis], apart / 2e-4, rtol=1e-5, atol=1e-7)


def test_exact_at_observations_where_there_is_no_nugget():
    places = np.stack(np.meshgrid(*[25.0 * np.arange(6)] * 2), -1).reshape(-1, 2)
    senses = np.random.default_rng(0).normal(size=(36, 3))
    found = Kriging(places, senses, 30.0, nugget=0.0).read(places)
    np.testing.assert_allclose(found.mean, senses, atol=1e-6)
    assert found.variance.max() < 1e-6
    doubted = Kriging(places, senses, 30.0, nugget=0.1)
    assert np.abs(doubted.read(places).mean - senses).max() > 0.01
    assert doubted.nugget_variance == pytest.approx(0.01 * doubted.amplitude**2)


def test_variance_grows_with_distance():
    places, senses = lived(30)
    known = Kriging(places, senses, 30.0, amplitude=0.5)
    away = np.stack([np.linspace(100, 600, 50), np.zeros(50)], -1)
    found = known.read(away)
    assert (np.diff(found.variance) >= -1e-12).all()
    assert found.variance[-1] == pytest.approx(0.25)
    np.testing.assert_allclose(found.mean[-1], 0.0, atol=1e-9)
    np.testing.assert_allclose(found.slope[-1], 0.0, atol=1e-9)


def test_the_claimed_error_is_the_true_one():
    # Of a process that is drawn as the kernel says, at places of observations and others.
    rng, length, amplitude, dim = np.random.default_rng(0), 30.0, 0.7, 300
    places = rng.uniform(-60, 60, (80, 2))
    alike = kernel(places, places, length) + 1e-9 * np.eye(80)
    field = amplitude * np.linalg.cholesky(alike) @ rng.normal(size=(80, dim))
    sensed = field + 0.1 * amplitude * rng.normal(size=field.shape)
    known = Kriging(places[:50], sensed[:50], length, nugget=0.1)
    assert known.amplitude == pytest.approx(amplitude, rel=0.05)
    found = known.read(places[50:])
    squares = ((found.mean - field[50:]) ** 2).sum(-1)
    ratios = squares / (dim * found.variance)
    assert 0.9 < ratios.mean() < 1.1
    assert ratios.min() > 0.6
    assert ratios.max() < 1.5
    noisy = ((found.mean - sensed[50:]) ** 2).sum(-1)
    claimed = dim * (found.variance + known.nugget_variance)
    assert 0.9 < (noisy / claimed).mean() < 1.1


def test_what_is_excluded_is_as_if_it_were_not_there():
    places, senses = lived(80)
    options = {"length": 30.0, "amplitude": 1.0, "nearest": 10}
    queries = places[:20] + 1.0
    known = Kriging(places, senses, **options)
    rng = np.random.default_rng(3)
    each = rng.random((20, 80)) < 0.8
    each[0], each[1] = True, np.arange(80) > 0  # nothing left, and one alone
    found = known.read(queries, each)
    called = known.read(queries, lambda query, observation: each[query, observation])
    for i in range(1, 20):
        alone = Kriging(places[~each[i]], senses[~each[i]], **options).read(queries[i])
        for name in ("mean", "variance", "slope", "nearest_distance"):
            expected = getattr(alone, name)[0]
            np.testing.assert_allclose(getattr(found, name)[i], expected, rtol=1e-8, atol=1e-10)
            np.testing.assert_array_equal(getattr(called, name)[i], getattr(found, name)[i])
    assert not found.mean[0].any()
    assert not found.slope[0].any()
    assert (found.variance[0], found.nearest_distance[0]) == (1.0, math.inf)
    shared = rng.random(80) < 0.5
    some = Kriging(places[~shared], senses[~shared], **options).read(queries)
    np.testing.assert_allclose(known.read(queries, shared).mean, some.mean, atol=1e-10)


def test_queries_are_many_or_none():
    places, senses = lived(30)
    known = Kriging(places, senses, 30.0)
    queries = np.random.default_rng(4).uniform(-100, 100, (2100, 2))
    many = known.read(queries, lambda query, observation: (query + observation) % 3 == 0)
    last = np.array([(2099 + np.arange(30)) % 3 == 0])
    np.testing.assert_allclose(many.mean[-1], known.read(queries[-1], last).mean[0], atol=1e-12)
    none = known.read(np.zeros((0, 2)))
    assert (none.mean.shape, none.slope.shape) == ((0, 5), (0, 5, 2))
    assert none.variance.shape == none.nearest_distance.shape == (0,)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    angle=st.floats(0, 7),
    shift=st.tuples(*[st.floats(-1e5, 1e5)] * 2),
    scale=st.floats(0.01, 100),
)
def test_turned_shifted_and_in_other_units(seed, angle, shift, scale):
    places, senses = lived(20, seed=seed)
    queries = np.random.default_rng(seed).uniform(-100, 100, (5, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    here = Kriging(places, senses, 30.0, nearest=20)
    there = Kriging(scale * places @ turn.T + shift, 3 * senses, scale * 30.0, nearest=20)
    found, moved = here.read(queries), there.read(scale * queries @ turn.T + shift)
    close = {"rtol": 1e-3, "atol": 1e-4}
    assert there.amplitude == pytest.approx(3 * here.amplitude, rel=1e-3)
    np.testing.assert_allclose(moved.mean, 3 * found.mean, **close)
    np.testing.assert_allclose(moved.variance, 9 * found.variance, **close)
    np.testing.assert_allclose(scale * moved.slope, 3 * found.slope @ turn.T, **close)
    np.testing.assert_allclose(moved.nearest_distance, scale * found.nearest_distance, **close)


# --- the evidence ---------------------------------------------------------------------------------


def test_the_evidence_is_a_density():
    places, senses = lived(25)
    found = evidence(places, senses, 30.0, nugget=0.1)
    alike = kernel(places, places, 30.0) + 0.01 * np.eye(25)

    def log_density(amplitude):
        normal = torch.distributions.MultivariateNormal(
            torch.zeros(25, dtype=torch.float64), torch.from_numpy(amplitude**2 * alike)
        )
        return float(normal.log_prob(torch.from_numpy(senses.T)).sum())

    assert found.log_likelihood == pytest.approx(log_density(found.amplitude), rel=1e-9)
    assert found.per_number == pytest.approx(found.log_likelihood / senses.size, rel=1e-12)
    for factor in (0.98, 1.02):
        assert log_density(factor * found.amplitude) < found.log_likelihood


@given(seed=st.integers(0, 2**31), dim=st.integers(1, 3), mirrored=st.booleans())
def test_the_evidence_does_not_see_how_places_and_senses_lie(seed, dim, mirrored):
    """Turns, mirror images and shifts of places change nothing, nor do turns of senses."""
    random = np.random.default_rng(seed)
    places, senses = random.normal(size=(12, dim)), random.normal(size=(12, 4))
    turn, spin = (np.linalg.qr(random.normal(size=(n, n)))[0] for n in (dim, 4))
    turn[0] *= -1 if mirrored else 1
    found = evidence(places, senses, 1.5, nugget=0.1)
    moved = evidence(places @ turn + random.normal(size=dim), senses @ spin, 1.5, nugget=0.1)
    assert moved.per_number == pytest.approx(found.per_number, rel=1e-9, abs=1e-9)
    assert moved.amplitude == pytest.approx(found.amplitude, rel=1e-9)
    stretched = evidence(1.2 * places, senses, 1.5, nugget=0.1)
    assert stretched.per_number != pytest.approx(found.per_number, rel=1e-6)


def test_the_length_is_found():
    rng = np.random.default_rng(5)
    places = rng.uniform(-100, 100, (150, 2))
    alike = kernel(places, places, 40.0) + 0.02**2 * np.eye(150)
    senses = np.linalg.cholesky(alike) @ rng.normal(size=(150, 20))
    assert length_by_evidence(places, senses) == pytest.approx(40.0, rel=0.05)
    assert length_by_evidence(places, senses, candidates=[10.0, 40.0, 160.0]) == 40.0
    assert length_by_evidence(places, senses, bounds=(50.0, 90.0)) == pytest.approx(50.0, rel=0.01)
    assert length_by_evidence(places, senses, most=60) == pytest.approx(40.0, rel=0.15)


def test_scents_are_read_with_an_error_that_is_told():
    config = TreeWorldConfig()
    sensor = SimpleSensor.from_config(config)
    world = TreeWorld.random_from_config(config, seed=1)
    rng = np.random.default_rng(1)
    places, new = rng.uniform(-300, 300, (600, 2)), rng.uniform(-280, 280, (300, 2))
    senses, truth = (sensor.sense(world, x).embedding.numpy() for x in (places, new))
    known = Kriging(places, senses, math.sqrt(2 * sensor.diffusion_time))
    found = known.read(new)
    errors = np.linalg.norm(found.mean - truth, axis=-1)
    claimed = np.sqrt(senses.shape[1] * (found.variance + known.nugget_variance))
    assert np.median(errors) < 0.02 * np.linalg.norm(truth, axis=-1).max()
    assert (errors < 3 * claimed).mean() > 0.9


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"places": [[0.0, math.nan], [1.0, 1.0]]}, "places must be finite"),
        ({"senses": [[0.0], [math.inf]]}, "senses must be finite"),
        ({"senses": [[0.0]]}, "as many, but there are 2 and 1"),
        ({"places": [0.0, 1.0]}, r"places must have shape \(n_observations"),
        ({"places": np.zeros((0, 2)), "senses": np.zeros((0, 1))}, "at least one"),
        ({"senses": [["sweet"], ["sour"]]}, "senses must be"),
        ({"senses": [[0.0], [0.0]]}, "all senses are zero"),
        ({"length": 0.0}, "length must be a positive, finite distance"),
        ({"nugget": -0.1}, "nugget must be zero or more"),
        ({"nearest": 0}, "nearest must be a whole number of at least 1"),
        ({"amplitude": 0.0}, "amplitude must be positive"),
        ({"most": 1.5}, "most must be a whole number"),
    ],
)
def test_what_makes_no_memory_is_refused(arguments, message):
    given_ = {"places": [[0.0, 0.0], [1.0, 1.0]], "senses": [[0.0], [1.0]], "length": 10.0}
    with pytest.raises(ValueError, match=message):
        Kriging(**(given_ | arguments))


def test_what_cannot_be_read_is_refused():
    known = Kriging([[0.0, 0.0], [1.0, 1.0]], [[0.0], [1.0]], 10.0)
    with pytest.raises(ValueError, match=r"queries must have shape \(\.\.\., 2\)"):
        known.read([[0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match=r"bools of shape \(2,\), for all queries, or \(1, 2\)"):
        known.read([0.0, 0.0], np.array([True]))
    with pytest.raises(ValueError, match="and kind int64"):
        known.read([0.0, 0.0], np.array([0, 1]))
    with pytest.raises(ValueError, match=r"must return bools of shape \(1, 2\)"):
        known.read([0.0, 0.0], lambda query, observation: np.array([[True]]))
    with pytest.raises(WrongKind):
        known.read("here")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"candidates": []}, "candidates must hold a length"),
        ({"candidates": [-1.0]}, "candidates must be a positive"),
        ({"bounds": (2.0, 1.0)}, "two distances that grow"),
        ({"bounds": (0.0, 1.0)}, r"bounds\[0\] must be a positive"),
        ({"candidates": [1.0], "bounds": (1.0, 2.0)}, "not both"),
        ({"places": np.zeros((3, 2))}, "all places are the same"),
        ({"places": np.eye(2), "senses": np.eye(2)}, "at least three observations"),
    ],
)
def test_what_tells_no_length_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        length_by_evidence(**({"places": np.eye(3), "senses": np.eye(3)} | arguments))


def test_from_observations_that_are_chosen():
    places, senses = lived()
    known = Kriging(places, senses, 30.0, nearest=7)
    queries = np.random.default_rng(3).uniform(-100, 100, (9, 2))
    excluded = np.random.default_rng(4).random((9, 60)) < 0.3
    expected = known.read(queries, excluded)
    away = np.linalg.norm(queries[:, None] - places, axis=-1)
    which = np.argsort(np.where(excluded, np.inf, away), axis=1)[:, :9]
    found = known.read_among(queries, which, np.arange(9) < np.full((9, 1), 7))
    for name in ("mean", "variance", "slope", "nearest_distance"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-9)
    with pytest.raises(ValueError, match="which and counts"):
        known.read_among(queries, which[:3], which[:3] >= 0)
    with pytest.raises(ValueError, match="which and counts"):
        known.read_among(queries, which, which[:, :3] >= 0)
