"""Space learned from numbers of actions and smells."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.recall.kriging import Kriging, evidence
from tree_world.models.places.fields import (
    chain_of,
    chained_evidence,
    in_units_of_the_kernel,
    mean_evidence,
    refined,
    refined_on_the_whole,
)
from tree_world.models.places.judging import procrustes
from tree_world.models.places.shifts import ShiftSpace, elbow, returns
from tree_world.models.places.windows import (
    Windows,
    by_dimension,
    gauged,
    plane_loss,
    planes,
    sloping,
    windows_of,
    with_smells,
)
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.simulation.hidden import ShiftBody

seeds = st.integers(0, 2**31)


def made_up(seed, windows=5, steps=9, num_actions=5, senses=3):
    """Counts and senses of no world."""
    random = np.random.default_rng(seed)
    actions = random.integers(0, num_actions, (windows, steps))
    counts = np.eye(num_actions)[actions].cumsum(axis=1)
    smells = random.normal(size=(windows, steps, senses))
    return Windows(torch.from_numpy(counts), torch.from_numpy(smells))


def bumps(places, seed, width=60.0, reach=150.0, number=40, senses=8):
    """A smooth field of some smells."""
    random = np.random.default_rng(seed)
    middles = random.uniform(-reach, reach, (number, places.shape[1]))
    kinds = random.normal(size=(number, senses))
    squares = ((places[:, None] - middles) ** 2).sum(axis=-1)
    return np.exp(-squares / width**2 / 2) @ kinds


def walked(num_actions, dim, steps, world=0):
    """A body, what it did, where it was, and what it smelled."""
    body = ShiftBody(num_actions, dim, seed=world, reach=120.0)
    actions, places = body.walk(steps, seed=world)
    return body, actions, places, bumps(places[1:], world)


@functools.cache
def learned(dim):
    """The same of a body, and what it learned; fitted once for all tests."""
    body, actions, places, senses = walked(*((6, 2, 900) if dim == 2 else (3, 1, 450)))
    space = ShiftSpace(body.num_actions).fit(actions, senses)
    return body, actions, places, senses, space


def refused(dim, change):
    """Learn of a body with few actions, after some change to what it did and smelled."""
    _, actions, _, senses = walked(3, 2, 300)
    space = ShiftSpace(3, dim).fit(*change(actions, senses))
    assert not space.found_
    assert not space.shifts_.any()
    assert space.stages_ == {}
    assert len(space.locations_) == 301
    return space.reason_


# --- planes ---


def test_windows_are_stretches_of_the_walk():
    actions = np.random.default_rng(0).integers(0, 3, 50)
    senses = np.arange(50.0)[:, None]
    found = windows_of(actions, senses, 3, steps=7, most=4, every=3)
    assert found.counts.shape == (4, 3, 3)
    assert found.senses.shape == (4, 3, 1)
    for counts, smells in zip(found.counts.numpy(), found.senses.numpy(), strict=True):
        first = int(smells[0, 0])
        assert smells[:, 0].tolist() == [first, first + 3, first + 6]
        for row, after in zip(counts, (1, 4, 7), strict=True):
            assert row.tolist() == np.bincount(actions[first : first + after], minlength=3).tolist()
    assert found.senses[0, 0, 0] == 0
    assert found.senses[-1, -1, 0] == 49


@given(seed=seeds, dim=st.integers(1, 3))
def test_residuals_are_those_of_planes_without_the_smell(seed, dim):
    """Each is left out in turn, and a plane is laid through the others."""
    windows = made_up(seed, windows=2)
    shifts = torch.from_numpy(np.random.default_rng(seed + 1).normal(size=(5, dim)))
    left, slopes = planes(windows, shifts)
    for number in range(2):
        places = windows.counts[number].numpy() @ shifts.numpy()
        senses = windows.senses[number].numpy()
        places, total = places - places.mean(axis=0), 0.0
        for out in range(len(places)):
            kept = np.arange(len(places)) != out
            # The ridge is on slopes alone, about the middle of all places.
            rows = np.concatenate([places[kept], math.sqrt(1e-3) * np.eye(dim)])
            ones = np.r_[np.ones(kept.sum()), np.zeros(dim)]
            wanted = np.concatenate([senses[kept], np.zeros((dim, senses.shape[1]))])
            fit = np.linalg.lstsq(np.c_[ones, rows], wanted, rcond=None)[0]
            total += ((senses[out] - np.r_[1, places[out]] @ fit) ** 2).sum()
        assert float(left[number]) == pytest.approx(total, rel=1e-6)
    assert slopes.shape == (2, dim, 3)


@given(seed=seeds, dim=st.integers(1, 3))
def test_the_gauge_does_not_matter(seed, dim):
    random = np.random.default_rng(seed)
    windows = made_up(seed)
    shifts = torch.from_numpy(random.normal(size=(5, dim)))
    mixed = shifts @ torch.from_numpy(random.normal(size=(dim, dim)) + 3 * np.eye(dim))
    right = gauged(mixed)
    assert torch.allclose(right.T @ right, torch.eye(dim, dtype=torch.float64), atol=1e-9)
    # Up to the ridge, which is small and the same for all turned alike.
    losses = [float(plane_loss(windows, given)) for given in (shifts, mixed, right)]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


def test_slopes_of_the_loss_are_finite_where_singular_values_are_alike():
    windows = made_up(0)
    sought = torch.eye(5, 2, dtype=torch.float64).requires_grad_()
    plane_loss(windows, sought).backward()
    assert torch.isfinite(sought.grad).all()
    assert sought.grad.abs().max() > 0


def test_a_loss_is_a_half_where_places_tell_nothing_and_none_on_a_plane():
    windows = made_up(0, windows=400, steps=16)
    shifts = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 2)))
    assert 0.5 < float(plane_loss(windows, shifts)) < 0.65
    flat = windows.counts @ shifts @ torch.ones(2, 3, dtype=torch.float64)
    assert float(plane_loss(Windows(windows.counts, flat), shifts)) < 1e-3


def test_the_direction_in_which_smells_change_least_is_told():
    windows = made_up(0, windows=50, steps=16)
    shifts = gauged(torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3))))
    places = windows.counts @ shifts
    along = Windows(windows.counts, places * torch.tensor([1.0, 0.01, 0.2], dtype=torch.float64))
    squares, directions = sloping(along, shifts)
    assert (squares.diff() > 0).all()
    assert directions.abs().argmax(dim=0).tolist() == [1, 2, 0]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_curve_falls_until_the_dimension_of_space(dim):
    body = ShiftBody(6, dim, seed=dim, reach=100.0)
    actions, places = body.walk(1500, seed=dim)
    senses = bumps(places[1:], dim, width=80.0, reach=120.0)
    windows = with_smells(windows_of(actions, senses, 6, 16, 300))
    losses = {d: loss for d, (loss, _) in by_dimension(windows, 6, torch.Generator()).items()}
    assert sorted(losses) == [1, 2, 3, 4, 5, 6]
    assert losses[dim] < 0.6 * (losses[dim - 1] if dim > 1 else 0.5)
    assert losses[dim] < 1.6 * min(losses.values())


def test_windows_without_smells_are_left_out():
    windows = made_up(0)
    windows.senses[2] = 1.0
    kept = with_smells(windows)
    assert torch.equal(kept.senses, windows.senses[[0, 1, 3, 4]])
    assert torch.equal(kept.counts, windows.counts[[0, 1, 3, 4]])


def test_elbows():
    assert elbow({1: 0.05, 2: 0.051, 3: 0.049}) == (1, "")
    assert elbow({1: 0.3, 2: 0.2, 3: 0.08, 4: 0.079}) == (3, "")
    for losses in ({1: 0.2, 2: 0.16, 3: 0.09}, {1: 0.3, 2: 0.2, 3: 0.1}, {1: 0.1}):
        assert "no elbow" in elbow(losses)[1]
    assert "0.25 is the most" in elbow({1: 0.49, 2: 0.5, 3: 0.55})[1]


# --- fields ---


def density(places, senses, nugget):
    """Mean log density of a number, by dense kernels, determinants and inverses."""
    kernels = [
        np.exp(-((own[:, None] - own) ** 2).sum(axis=-1) / 2) + nugget**2 * np.eye(len(own))
        for own in places
    ]
    inverses = [np.linalg.inv(kernel) for kernel in kernels]
    pairs = zip(inverses, senses, strict=True)
    covariance = sum(z.T @ inverse @ z for inverse, z in pairs) / (
        places.shape[0] * places.shape[1]
    )
    dim = len(covariance)
    covariance = (covariance + 1e-3 * np.trace(covariance) / dim * np.eye(dim)) / 1.001
    half = 0.5 * np.linalg.slogdet(covariance)[1] / dim
    rate = sum(0.5 * np.linalg.slogdet(kernel)[1] / len(kernel) for kernel in kernels)
    return -0.5 * (1 + np.log(2 * np.pi)) - half - rate / len(kernels)


@given(seed=seeds, dim=st.integers(1, 3), nugget=st.sampled_from([0.02, 0.3]))
def test_evidence_is_that_of_the_formula(seed, dim, nugget):
    random = np.random.default_rng(seed)
    places, senses = random.normal(size=(3, 12, dim)), random.normal(size=(3, 12, 4))
    found = float(mean_evidence(torch.from_numpy(places), torch.from_numpy(senses), nugget))
    assert found == pytest.approx(density(places, senses, nugget), rel=1e-6, abs=1e-6)
    one = mean_evidence(torch.from_numpy(places[:1]), torch.from_numpy(senses[:1, :, :1]), nugget)
    kriged = evidence(places[0], senses[0, :, :1], 1.0, nugget=nugget).per_number
    assert float(one) == pytest.approx(kriged, rel=1e-6, abs=1e-6)


@given(seed=seeds)
def test_faint_smells_tell_as_much_as_strong_ones(seed):
    """Places are compared alike, whatever units each smell is in, and however they are mixed."""
    random = np.random.default_rng(seed)
    places = torch.from_numpy(random.normal(size=(2, 1, 30, 2)))
    senses = torch.from_numpy(random.normal(size=(1, 30, 4)))
    turn = np.linalg.qr(random.normal(size=(4, 4)))[0]
    mixed = senses @ torch.from_numpy(turn * random.uniform(0.3, 3, 4))
    gains = [
        float(mean_evidence(places[0], given, 0.1) - mean_evidence(places[1], given, 0.1))
        for given in (senses, mixed)
    ]
    assert gains[0] == pytest.approx(gains[1], abs=0.03)  # but for what is spread evenly


@given(seed=seeds, number=st.integers(7, 60), nearest=st.integers(1, 6))
def test_each_observation_is_told_by_near_ones_that_come_before(seed, number, nearest):
    random = np.random.default_rng(seed)
    places, order = random.normal(size=(number, 2)), random.permutation(number)
    chain = chain_of(places, order, nearest)
    assert np.array_equal(chain[:, -1], order[nearest:])
    rank = np.argsort(order)
    for row in chain:
        *others, own = row.tolist()
        assert len(set(others)) == nearest
        assert max(rank[others]) < rank[own]
        # None of the first 8/9 of those that come before is nearer than these.
        earlier = order[: max(nearest, math.floor(rank[own] * 8 / 9))]
        apart = np.linalg.norm(places - places[own], axis=1)
        assert apart[others].max() <= np.sort(apart[earlier])[nearest - 1] + 1e-12


@given(seed=seeds, nugget=st.sampled_from([0.02, 0.3]))
def test_a_chain_of_all_observations_tells_the_evidence(seed, nugget):
    """That of each is conditional on those before it: their product is the whole."""
    random = np.random.default_rng(seed)
    places, senses = random.normal(size=(12, 2)), random.normal(size=(12, 3))
    order = random.permutation(12)
    chain = np.tile(order, (1, 1))  # the last is told by all others
    given = torch.from_numpy(places), torch.from_numpy(senses)
    found = float(chained_evidence(*given, order, chain, nugget))
    assert found == pytest.approx(density(places[None], senses[None], nugget), rel=1e-6, abs=1e-6)


def test_few_neighbours_tell_nearly_as_much_as_all():
    random = np.random.default_rng(0)
    places = random.uniform(0, 8, (250, 2))
    senses = bumps(places, 0, width=1.0, reach=8.0)
    order = random.permutation(250)
    exact = density(places[None], senses[None], 0.1)

    def off(nearest):
        chain = chain_of(places, order, nearest)
        given = torch.from_numpy(places), torch.from_numpy(senses)
        return abs(float(chained_evidence(*given, order, chain, 0.1)) - exact)

    assert off(30) < off(10) < off(3)
    assert off(30) < 0.1


def test_refining_makes_smells_more_probable_and_finds_the_shifts():
    body = ShiftBody(5, 2, seed=0, reach=100.0)
    actions, places = body.walk(600, seed=0)
    windows = windows_of(actions, bumps(places[1:], 0), 5, 100, 6)
    random = np.random.default_rng(0)
    rough = torch.from_numpy(body.shifts + 0.3 * random.normal(size=(5, 2)))
    begun = in_units_of_the_kernel(windows, rough, 0.02)
    scale = float(rough.norm() / begun.norm())
    assert 30 < scale < 120  # the field's length is 60 m
    before = float(mean_evidence(windows.counts @ begun, windows.senses, 0.02))
    found, after = refined(windows, begun, 0.02, 60)
    assert after > before + 0.1
    assert after == pytest.approx(
        float(mean_evidence(windows.counts @ found, windows.senses, 0.02))
    )
    shown = windows.counts[0].numpy() @ body.shifts
    assert procrustes(windows.counts[0].numpy() @ found.numpy(), shown).rms < 1.0


def test_all_steps_of_a_walk_make_shifts_exact():
    """From shifts that a walk of hundreds of metres shows to be wrong."""
    body = ShiftBody(5, 2, seed=1, reach=100.0)
    actions, places = body.walk(600, seed=1)
    senses = bumps(places[1:], 1) * np.geomspace(1, 0.03, 8)
    counts = torch.from_numpy(np.eye(5)[actions].cumsum(axis=0))
    random = np.random.default_rng(1)
    rough = torch.from_numpy(body.shifts + 0.05 * random.normal(size=(5, 2))) / 60
    assert procrustes((counts @ rough).numpy(), places[1:]).rms > 2.0
    given = counts, torch.from_numpy(senses), rough, 0.02, 20
    found, after = refined_on_the_whole(*given, torch.Generator().manual_seed(0))
    assert procrustes((counts @ found).numpy(), places[1:]).rms < 0.05
    again, same = refined_on_the_whole(*given, torch.Generator().manual_seed(0))
    assert torch.equal(again, found)
    assert same == after
    _, before = refined_on_the_whole(*given[:4], 1, torch.Generator().manual_seed(0))
    assert after > before


def test_an_action_that_was_never_done_stays_as_it_was():
    windows = made_up(0)
    windows.counts[..., 3] = 0
    begun = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 2)))
    found, _ = refined(windows, begun, 0.1, 20)
    assert torch.allclose(found[3], begun[3])
    assert not torch.allclose(found, begun)


# --- space ---


@pytest.mark.parametrize("dim", [1, 2])
def test_space_is_found(dim):
    body, actions, places, _, space = learned(dim)
    assert space.found_
    assert space.reason_ == ""
    assert space.dim_ == dim
    assert space.shifts_.shape == body.shifts.shape
    assert space.locations_.shape == places.shape
    assert procrustes(space.locations_, places).rms < 0.1
    assert space.r2_ > 0.99
    matrix = procrustes(space.locations_, places).matrix
    assert np.allclose(space.shifts_ @ matrix.T, body.shifts, atol=0.05)
    assert np.allclose(space.transform(actions), space.locations_)


def test_each_stage_tells_the_walk_better():
    _, _, places, _, space = learned(2)
    assert list(space.stages_) == ["planes", "fields", "longer", "whole"]
    assert np.array_equal(space.stages_["whole"], space.shifts_)
    counts = np.eye(6)[learned(2)[1]].cumsum(axis=0)
    errors = [procrustes(counts @ shifts, places[1:]).rms for shifts in space.stages_.values()]
    assert errors[0] > errors[1] > errors[-1]
    assert errors[0] > 5 * errors[-1]


def test_what_is_learned_holds_in_another_world():
    """Smells at learned places tell those at the end of ways that it never went."""
    body, _, _, _, space = learned(2)
    actions, places = body.walk(800, seed=50)
    there = space.transform(actions)
    senses = bumps(places[1:], seed=51)
    known = Kriging(there[1:], senses, 1.0)
    random = np.random.default_rng(0)
    turn, way = 400, random.integers(0, 6, (400, 10))
    ends = places[turn] + body.shifts[way].sum(axis=1)
    inside = np.linalg.norm(ends[:, None] - places[1:], axis=-1).min(axis=1) < 8  # known there
    wanted = bumps(ends[inside], seed=51)
    learned_ends = np.array([space.transform(one, there[turn])[-1] for one in way])[inside]
    told = known.read(learned_ends).mean
    spread = ((wanted - wanted.mean(axis=0)) ** 2).sum()
    assert inside.sum() > 50
    assert 1 - ((told - wanted) ** 2).sum() / spread > 0.95


def test_trees_are_enough():
    config = TreeWorldConfig()
    world = TreeWorld.random_from_config(config, seed=3)
    actions, places = ShiftBody(3, seed=3, reach=100.0).walk(400, seed=3)
    senses = SimpleSensor.from_config(config).sense(world, places[1:]).embedding
    space = ShiftSpace(3, 2, length=66.0).fit(actions, senses)
    assert space.found_
    assert space.dim_ == 2
    assert procrustes(space.locations_, places).rms < 0.3
    assert procrustes(space.locations_, places, "similarity").rms < 30.0
    size = np.linalg.norm(np.diff(space.locations_, axis=0), axis=-1).mean()
    assert 0.5 < size / np.linalg.norm(np.diff(places, axis=0), axis=-1).mean() < 2


def test_a_memory_keeps_what_was_smelled_at_learned_places():
    _, _, _, senses, space = learned(2)
    memory = SpatialMemory(space.dim_, senses.shape[1])
    memory.write(space.locations_[1:-1], 0.05, senses[:-1])
    told = memory.read(space.locations_[-1:], 0.05).numpy()[0]
    usual = np.linalg.norm(senses - senses[-1], axis=-1).mean()
    assert np.linalg.norm(told - senses[-1]) < 0.3 * usual


def test_the_same_seed_learns_the_same_and_a_length_gives_metres():
    _, actions, _, senses, space = learned(1)
    again = ShiftSpace(3, length=60.0).fit(actions, senses)
    assert again.loss_by_dim_ == space.loss_by_dim_
    assert np.array_equal(again.shifts_, 60 * space.shifts_)
    assert np.array_equal(again.stages_["planes"], 60 * space.stages_["planes"])
    assert np.allclose(again.locations_, 60 * space.locations_)


@pytest.mark.parametrize("dim", [None, 2])
def test_shuffled_smells_are_refused(dim):
    def shuffled(actions, senses):
        return actions, np.random.default_rng(0).permutation(senses)

    assert "loss" in refused(dim, shuffled)


@pytest.mark.parametrize("dim", [None, 2])
def test_other_actions_are_refused(dim):
    """Smells of a walk of which the body did not choose the steps."""

    def chosen_by_another(actions, senses):
        return np.random.default_rng(0).permutation(actions), senses

    assert refused(dim, chosen_by_another)


@pytest.mark.parametrize("dim", [None, 2])
def test_actions_that_do_nothing_are_refused(dim):
    """With a smell that stays, one with noise, and one that changes by itself."""
    noise = np.random.default_rng(0).normal(size=(300, 8))
    reason = refused(dim, lambda actions, senses: (actions, np.tile(senses[:1], (300, 1))))
    assert "never change" in reason
    assert refused(dim, lambda actions, senses: (actions, senses[0] + 0.01 * noise))
    assert refused(dim, lambda actions, _: (actions, noise.cumsum(axis=0)))


def test_a_world_without_smells_is_refused():
    assert "never change" in refused(None, lambda actions, senses: (actions, 0 * senses))


def test_a_wrong_dimension_is_not_found():
    _, actions, _, senses = walked(3, 2, 300)
    too_few = ShiftSpace(3, 1).fit(actions, senses)
    assert not too_few.found_
    assert too_few.reason_
    with pytest.raises(RuntimeError, match="no space to tell places of"):
        too_few.transform(actions)


def test_returns_tell_right_places_from_wrong_ones():
    _, _, places, senses, _ = learned(2)
    number, r2 = returns(places[1:] / 60, senses, 0.02)
    assert number > 400
    assert r2 > 0.99
    assert returns(np.random.default_rng(0).permutation(places[1:] / 60), senses, 0.02)[1] < 0.5
    assert returns(np.arange(900.0)[:, None], senses, 0.02)[0] == 0


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"num_actions": 1}, "num_actions must be"),
        ({"dim": 6}, "at most 5 dimensions"),
        ({"dim": 0}, "dim must be"),
        ({"length": 0.0}, "length must be"),
        ({"nugget": 0.0}, "nugget must be"),
        ({"seed": -1}, "seed must lie"),
    ],
)
def test_wrong_choices_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        ShiftSpace(**{"num_actions": 6, **choices})


@pytest.mark.parametrize(
    ("actions", "senses", "message"),
    [
        (np.zeros(300, int), np.zeros((299, 3)), "one after each of n actions"),
        (np.zeros(100, int), np.zeros((100, 3)), "at least 200 steps"),
        (np.full(300, 6), np.zeros((300, 3)), "from 0 to 5"),
        (np.zeros(300, int), np.full((300, 3), np.nan), "must be finite"),
    ],
)
def test_wrong_walks_are_refused(actions, senses, message):
    with pytest.raises(ValueError, match=message):
        ShiftSpace(6).fit(actions, senses)


def test_transform_before_fit():
    with pytest.raises(RuntimeError, match="fit was not called"):
        ShiftSpace(6).transform([0])
    space = learned(2)[-1]
    with pytest.raises(ValueError, match="start must be one place"):
        space.transform([0], [[0.0, 0.0]])
    assert space.transform([], [1.0, 2.0]).tolist() == [[1.0, 2.0]]
