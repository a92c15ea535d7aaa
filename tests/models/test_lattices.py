"""Whether a world repeats, from places that were learned, and smells."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tree_world.models.memory.recall.kriging import Kriging
from tree_world.models.places.bases import around, fitted, lattice_of, reduced
from tree_world.models.places.judging import procrustes
from tree_world.models.places.lattices import (
    Periods,
    pairs_alike,
    periods,
    piles_of,
    told_across,
    with_parts,
)
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.simulation.hidden import ShiftBody

seeds = st.integers(0, 2**31)
PERIOD = 300.0
LENGTH = 66.0  # metres, of the kernel of scents


def made_up(basis, seed, places, width=1.0, number=12, senses=6):
    """Smells of bumps on a lattice, of the nearest images; width is half of their length²."""
    random = np.random.default_rng(seed)
    basis = np.asarray(basis, np.float64)
    middles = random.uniform(-0.5, 0.5, (number, len(basis))) @ basis
    across = random.uniform(-3, 3, (number, basis.shape[1]))
    middles += across - across @ np.linalg.pinv(basis) @ basis
    kinds = random.normal(size=(number, senses))
    shifts = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=len(basis)))) @ basis
    apart = places - np.floor(places @ np.linalg.pinv(basis) + 0.5) @ basis
    squares = ((apart[:, None, None] - middles[:, None] - shifts) ** 2).sum(axis=-1).min(axis=-1)
    return np.exp(-squares / (2 * width)) @ kinds


def wandering(seed, number=2500, dim=2, size=0.25):
    """A walk that goes on the same way for a while."""
    random = np.random.default_rng(seed)
    ways = random.normal(size=(number // 5 + 1, dim)).repeat(5, axis=0)[:number]
    return (size * ways).cumsum(axis=0)


def same_lattice(found, wanted, tolerance):
    """Whether vectors are, to within a tolerance, another basis of the wanted lattice."""
    numbers = np.rint(found @ np.linalg.pinv(wanted))
    near = np.linalg.norm(found - numbers @ wanted, axis=1) <= tolerance
    return (
        found.shape == wanted.shape
        and near.all()
        and abs(np.linalg.det(numbers)) > 0.5 > (abs(abs(np.linalg.det(numbers)) - 1))
    )


@pytest.fixture(scope="module")
def torus():
    """A walk over a torus, smells, and places as they are learned: up to a map, with errors."""
    config = TreeWorldConfig(period=PERIOD)
    world = TreeWorld.random_from_config(config, seed=2)
    _, places = ShiftBody(6, 2, seed=102, reach=700.0).walk(2000, seed=202)
    senses = SimpleSensor.from_config(config).sense(world, places[1:]).embedding
    drift = np.random.default_rng(0).normal(size=places.shape).cumsum(axis=0)
    learned = places @ np.array([[0.7, 0.6], [-0.7, 1.0]]) + 0.1 * drift
    return places, senses.numpy().astype(np.float64), learned


@pytest.fixture(scope="module")
def torus_found(torus):
    _, senses, learned = torus
    return periods(learned[1:], senses, length=LENGTH)


# --- lattices ---


@st.composite
def lattices(draw, most=3):
    """A reduced basis of which no vector is short, and integers of a matrix of determinant 1."""
    dim = draw(st.integers(1, most))
    random = np.random.default_rng(draw(seeds))
    basis = reduced(random.normal(size=(dim, dim)) * 6)
    assume(abs(np.linalg.det(basis)) > 4**dim)
    assume(np.linalg.norm(basis, axis=1).min() > 3)
    lower = np.tril(random.integers(-3, 4, (dim, dim)), -1) + np.eye(dim)
    upper = np.triu(random.integers(-3, 4, (dim, dim)), 1) + np.eye(dim)
    return basis, lower @ upper


@given(lattice=lattices())
def test_a_reduced_basis_is_of_the_same_lattice_and_as_short_as_can_be(lattice):
    basis, mixed = lattice
    found = reduced(mixed @ basis)
    assert same_lattice(found, basis, 1e-6)
    lengths = np.linalg.norm(found, axis=1)
    assert (np.diff(lengths) >= -1e-9).all()
    assert (found[np.arange(len(found)), np.abs(found).argmax(axis=1)] > 0).all()
    # By trying all points near the origin: the shortest is the first, and no other is shorter.
    numbers = np.array(list(itertools.product(range(-3, 4), repeat=len(basis))))
    every = np.linalg.norm(numbers[numbers.any(axis=1)] @ basis, axis=1)
    assert lengths[0] == pytest.approx(every.min())


@given(lattice=lattices(), seed=seeds)
def test_a_lattice_is_made_of_some_of_its_points_with_errors(lattice, seed):
    """Of as many as generate it, and others, in any order."""
    basis, mixed = lattice
    random = np.random.default_rng(seed)
    others = random.integers(-2, 3, (4, len(basis)))
    points = np.concatenate([mixed, others[others.any(axis=1)]]) @ basis
    error = 1e-4
    points = random.permutation(points) + error * random.normal(size=points.shape)
    # As many points are added up for one vector of the basis as the inverse of the mixture says.
    added_up = np.abs(np.linalg.inv(mixed)).sum(axis=1).max()
    assert same_lattice(lattice_of(points, 1.0), basis, max(0.02, 10 * error * added_up))


def test_what_generates_a_coarser_lattice_makes_that_one():
    points = np.array([[4.0, 0.0], [0.0, 4.0], [8.0, 4.0]])
    assert same_lattice(lattice_of(points, 1.0), 4 * np.eye(2), 1e-9)
    finer = lattice_of(np.concatenate([points, [[6.0, 4.0]]]), 1.0)
    assert same_lattice(finer, np.diag([2.0, 4.0]), 1e-9)


@given(lattice=lattices(2), seed=seeds)
def test_fits_are_those_of_least_squares_without_what_is_off(lattice, seed):
    basis, _ = lattice
    random = np.random.default_rng(seed)
    numbers = np.concatenate([np.eye(len(basis)), random.integers(-3, 4, (30, len(basis)))])
    differences = numbers @ basis + 0.02 * random.normal(size=(len(numbers), len(basis)))
    wanted = np.linalg.inv(numbers.T @ numbers) @ numbers.T @ differences
    off = np.array([0.5 * basis[0], 1.5 * basis[-1]])
    found = fitted(basis + 0.01, np.concatenate([differences, off]), 1.0)
    assert same_lattice(found, wanted, 1e-6)


def test_points_around_the_origin_are_one_of_each_two_opposites():
    found = around(np.array([[1.0, 0.0], [0.0, 10.0]]))
    both = np.concatenate([found, -found])
    expected = set(itertools.product((-1.0, 0.0, 1.0), (-10.0, 0.0, 10.0))) - {(0.0, 0.0)}
    assert {tuple(point) for point in both + 0.0} == expected
    assert len(both) == 8


# --- pairs and piles ---


@given(seed=seeds, apart=st.integers(0, 20))
def test_pairs_are_those_of_all_distances(seed, apart):
    random = np.random.default_rng(seed)
    senses = random.normal(size=(60, 2)).round(1) * random.integers(0, 2, (60, 1))
    norms = np.linalg.norm(senses, axis=1)
    usual = np.sqrt((norms**2).mean())
    strong = [i for i in range(60) if norms[i] >= 0.5 * usual and norms[i] > 0]
    nearest = {}
    for one in strong:
        others = [
            (np.linalg.norm(senses[one] - senses[other]), other)
            for other in strong
            if abs(one - other) > apart
        ]
        close = [pair for pair in others if pair[0] <= 0.1 * usual]
        if close:
            least = min(close)[0]
            nearest[one] = {other for distance, other in close if distance <= least + 1e-6}
    found = pairs_alike(senses, apart)
    assert (found[:, 0] < found[:, 1]).all()
    # Of several that are as near, any will do.
    for one, other in found:
        assert other in nearest.get(one, ()) or one in nearest.get(other, ())
    assert set(nearest) <= set(found.ravel())


def test_few_differences_and_near_ones_make_no_pile():
    random = np.random.default_rng(0)
    near = random.uniform(-0.6, 0.6, (500, 2))
    few = np.repeat([[5.0, 5.0]], 9, axis=0)
    assert piles_of(np.concatenate([near, few]), 1.0).shape == (0, 2)
    assert piles_of(np.concatenate([near, few, -few[:1]]), 1.0).tolist() == [[5.0, 5.0]]
    assert piles_of(np.empty((0, 3)), 1.0).shape == (0, 3)


def test_periods_tell_smells_and_other_shifts_do_not():
    places = wandering(0)
    known = Kriging(places, made_up(5 * np.eye(2), 0, places), 1.0)
    number, r2, reason = told_across(known, np.array([[5.0, 0.0]]))
    sizes = np.linalg.norm(known.senses, axis=1)
    strong = places[sizes >= 0.5 * np.sqrt((sizes**2).mean())]
    shift = np.array([5.0, 0.0])
    apart = [np.linalg.norm(places - place, axis=1).min() for place in strong + shift]
    back = [np.linalg.norm(places - place, axis=1).min() for place in strong - shift]
    assert number == (np.array(apart) < 0.15).sum() + (np.array(back) < 0.15).sum()
    assert number > 300
    assert r2 > 0.98
    assert reason == ""
    for other in ([2.5, 0.0], [3.0, 4.0], [1.1, 0.0]):
        assert "an R² of" in told_across(known, np.array([other]))[2]
    # A wrong one is not hidden by right ones.
    assert told_across(known, np.array([[5.0, 0.0], [0.0, 5.0], [2.5, 2.5]]))[2]
    assert "only 0 strong smells" in told_across(known, np.array([[1000.0, 0.0]]))[2]


def test_halves_and_thirds_of_periods_are_tried():
    places = wandering(0)
    known = Kriging(places, made_up(5 * np.eye(2), 0, places), 1.0)
    for coarse in ([[10.0, 0.0], [0.0, 5.0]], [[5.0, 5.0], [5.0, -5.0]], [[5.0, 0.0], [5.0, 15.0]]):
        assert same_lattice(with_parts(known, np.array(coarse)), 5 * np.eye(2), 1e-6)


def test_a_few_places_of_one_part_of_space_are_not_enough():
    """Two sides of one tree smell the same along straight ways, as if the one were the other."""
    along = np.linspace(-1.0, 1.0, 200)
    ways = [np.stack([along, np.full(200, side)], axis=1) for side in (-1.5, 1.5)]
    far = np.stack([np.linspace(10, 20, 400), np.linspace(10, 30, 400)], axis=1)
    places = np.concatenate([ways[0], far, ways[1]])
    senses = np.exp(-(places**2).sum(axis=1) / 2)[:, None]
    found = periods(places, senses)
    assert not found.found
    assert "parts of space" in found.reason


def test_a_field_that_changes_slowly_has_no_short_period():
    """Though a place nearby tells nearly all of its variance."""
    places = wandering(3, size=0.5)
    assert np.ptp(places, axis=0).min() > 20
    found = periods(places, places, apart=20)
    assert not found.found
    assert len(piles_of(found.differences, 1.0)) > 0
    # All are off by as much as the shift is long.
    assert 1 - 1.2**2 / places.var(axis=0).sum() > 0.9
    assert told_across(Kriging(places, places, 1.0), np.array([[1.2, 0.0]]))[1] < 0.5


# --- worlds ---


@pytest.mark.parametrize(
    "basis",
    [
        [[7.0]],
        [[5.0, 0.0], [0.0, 5.0]],
        [[5.0, 0.0], [2.5, 4.5]],
        [[0.0, 6.0]],
        [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [1.0, 1.0, 4.0]],
    ],
)
def test_lattices_of_made_up_worlds_are_found(basis):
    basis = np.array(basis)
    dim = basis.shape[1]
    places = wandering(1, 3000 if dim == 3 else 2000, dim)
    if dim == 3:  # a walk that goes on and on comes to no place in space twice
        places = 6 * np.sin(places / 6)
    if len(basis) < dim:
        places[:, 0] = 3 * np.sin(places[:, 0] / 3)
    found = periods(places, made_up(basis, 1, places))
    assert found.found, found.reason
    assert found.reason == ""
    assert same_lattice(found.vectors, basis, 0.1)
    assert found.r2 > 0.97
    assert found.steps.shape == (len(found.twins), len(basis))
    there = places[found.twins[:, 1]] - places[found.twins[:, 0]]
    assert np.linalg.norm(there - found.steps @ found.vectors, axis=1).max() <= 0.3
    assert 0 < found.at_home.sum() < len(found.twins)


def test_a_period_is_read_off_from_what_was_learned(torus, torus_found):
    """As the places are right up to an affine map, so are the vectors."""
    places, _, learned = torus
    assert torus_found.found, torus_found.reason
    matrix = procrustes(learned, places).matrix
    assert same_lattice(torus_found.vectors @ matrix.T, PERIOD * np.eye(2), 0.02 * PERIOD)


def test_twins_are_told_from_home(torus, torus_found):
    places, _, learned = torus
    twins = torus_found.twins
    apart = places[1:][twins[:, 1]] - places[1:][twins[:, 0]]
    true = np.rint(apart / PERIOD)
    basis = np.rint(torus_found.vectors @ procrustes(learned, places).matrix.T / PERIOD)
    assert len(twins) > 500
    assert ((torus_found.steps @ basis) == true).all(axis=1).mean() >= 0.99
    assert (torus_found.at_home == ~true.any(axis=1)).mean() >= 0.99
    assert 0 < torus_found.at_home.mean() < 0.5
    assert (twins[:, 0] < twins[:, 1]).all()
    assert len(torus_found.differences) >= len(twins)


def test_a_memory_of_folded_places_knows_what_is_smelled_a_period_away(torus, torus_found):
    """What was smelled in the first half of a walk tells the other half, where it was not yet."""
    _, senses, learned = torus
    half = len(senses) // 2
    where, wanted = learned[1:][half:], senses[half:]
    new = Kriging(learned[1:][:half], senses[:half], LENGTH).read(where).nearest_distance > 60
    which, images = torus_found.images(learned[1:][:half], 60.0)
    folded = Kriging(images, senses[:half][which], LENGTH).read(torus_found.fold(where))
    near = new & (folded.nearest_distance < 15)
    assert near.sum() > 100
    left = ((folded.mean - wanted)[near] ** 2).sum()
    assert 1 - left / ((wanted[near] - wanted[near].mean(axis=0)) ** 2).sum() > 0.97


@pytest.mark.parametrize("seed", range(4))
def test_an_ordinary_world_does_not_repeat(seed):
    config = TreeWorldConfig()
    world = TreeWorld.random_from_config(config, seed=seed)
    _, places = ShiftBody(6, 2, seed=seed, reach=250.0).walk(1500, seed=seed)
    senses = SimpleSensor.from_config(config).sense(world, places[1:]).embedding
    found = periods(places[1:], senses, length=LENGTH)
    assert not found.found
    assert found.reason
    assert found.vectors.shape == (0, 2)
    assert np.isnan(found.r2)
    assert found.at_home.all()
    assert len(found.at_home) > 100
    assert np.array_equal(found.fold(places), places)


@pytest.mark.parametrize("change", ["nothing", "one smell", "shuffled"])
def test_where_smells_tell_nothing_there_is_no_period(change):
    places = wandering(2, 1500)
    senses = made_up(5 * np.eye(2), 2, places)
    senses = {
        "nothing": 0 * senses,
        "one smell": np.ones_like(senses),
        "shuffled": np.random.default_rng(0).permutation(senses),
    }[change]
    found = periods(places, senses)
    assert not found.found
    assert found.reason


@given(lattice=lattices(2), seed=seeds)
def test_folding_shifts_by_whole_periods_into_one_cell(lattice, seed):
    basis, _ = lattice
    random = np.random.default_rng(seed)
    found = with_vectors(basis)
    places = random.normal(size=(3, 5, len(basis))) * 30
    folded = found.fold(places)
    numbers = (places - folded) @ np.linalg.inv(basis)
    np.testing.assert_allclose(numbers, np.rint(numbers), atol=1e-9)
    assert np.abs(folded @ np.linalg.inv(basis)).max() <= 0.5 + 1e-9
    moved = places + random.integers(-5, 6, (3, 5, len(basis))) @ basis
    away = found.fold(moved) - folded  # the same but on the border
    wrapped = away - np.rint(away @ np.linalg.inv(basis)) @ basis
    np.testing.assert_allclose(wrapped, 0.0, atol=1e-9)
    np.testing.assert_allclose(found.fold(folded), folded, atol=1e-9)


@given(lattice=lattices(2), seed=seeds, share=st.floats(0.05, 0.45))
def test_images_surround_the_cell_as_far_as_the_margin(lattice, seed, share):
    """All that lies within it of a place of the cell, among all images, is there."""
    basis, _ = lattice
    random = np.random.default_rng(seed)
    found, margin = with_vectors(basis), share * float(np.linalg.norm(basis[0]))
    places = random.normal(size=(30, len(basis))) * 30
    which, images = found.images(places, margin)
    folded = found.fold(places)
    assert np.array_equal(which[:30], np.arange(30))
    assert np.array_equal(images[:30], folded)
    query = found.fold(random.normal(size=(1, len(basis))) * 30)
    shifts = np.array(list(itertools.product(range(-3, 4), repeat=len(basis)))) @ basis
    every = (folded[:, None] + shifts).reshape(-1, len(basis))
    wanted = np.sort(np.linalg.norm(every - query, axis=1))
    got = np.sort(np.linalg.norm(images - query, axis=1))
    near = wanted[wanted < margin * (1 - 1e-9)]
    np.testing.assert_allclose(got[: len(near)], near, atol=1e-9)


def with_vectors(basis):
    dim = basis.shape[1]
    none = np.empty((0, 2), int)
    return Periods(basis, True, "", none, np.empty((0, len(basis)), int), np.empty((0, dim)), 1.0)


# --- what is refused ---


@pytest.mark.parametrize(
    ("places", "senses", "choices", "message"),
    [
        (np.zeros((5, 2)), np.zeros((4, 3)), {}, r"\(5, 2\) and \(4, 3\)"),
        (np.zeros(5), np.zeros((5, 3)), {}, "must have shapes"),
        (np.zeros((0, 2)), np.zeros((0, 3)), {}, "must have shapes"),
        (np.full((5, 2), np.nan), np.zeros((5, 3)), {}, "places must be finite"),
        (np.zeros((5, 2)), np.full((5, 3), np.inf), {}, "senses must be finite"),
        (np.zeros((5, 2)), np.zeros((5, 3)), {"length": 0.0}, "length must"),
        (np.zeros((5, 2)), np.zeros((5, 3)), {"nugget": -1.0}, "nugget must"),
        (np.zeros((5, 2)), np.zeros((5, 3)), {"apart": -1}, "apart must"),
    ],
)
def test_what_does_not_fit_is_refused(places, senses, choices, message):
    with pytest.raises(ValueError, match=message):
        periods(places, senses, **choices)


def test_margins_that_are_too_wide_are_refused():
    found = with_vectors(np.diag([3.0, 4.0]))
    with pytest.raises(ValueError, match="less than the shortest period, 3, but is 3"):
        found.images(np.zeros((1, 2)), 3.0)
    with pytest.raises(ValueError, match="margin must"):
        found.images(np.zeros((1, 2)), 0.0)
    with pytest.raises(ValueError, match="places"):
        found.fold(np.zeros((1, 3)))
