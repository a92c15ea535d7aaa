"""Space learned by a body whose steps err."""

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tree_world.models.places.fields import mean_evidence
from tree_world.models.places.graph import Closures
from tree_world.models.places.judging import coverage, procrustes
from tree_world.models.places.noisy_fields import (
    mean_kernel,
    noisy_evidence,
    refined_with_noise,
    scaled_with_noise,
)
from tree_world.models.places.noisy_shifts import (
    NoisyShiftSpace,
    _doubts,
    curve_of,
    learned_again,
)
from tree_world.models.places.shifts import ShiftSpace
from tree_world.models.places.smoother import Path
from tree_world.models.places.windows import Windows, windows_of
from tree_world.simulation.hidden import ShiftBody

seeds = st.integers(0, 2**31)
NOISE = 0.075


def made_up(seed, windows=3, steps=12, num_actions=5, senses=4):
    """Counts and senses of no world."""
    random = np.random.default_rng(seed)
    actions = random.integers(0, num_actions, (windows, steps))
    counts = np.eye(num_actions)[actions].cumsum(axis=1)
    smells = random.normal(size=(windows, steps, senses))
    return actions, Windows(torch.from_numpy(counts), torch.from_numpy(smells))


def bumps(places, seed, width=60.0, reach=150.0, number=40, senses=5):
    """A smooth field of some smells."""
    random = np.random.default_rng(seed)
    middles = random.uniform(-reach, reach, (number, places.shape[1]))
    kinds = random.normal(size=(number, senses))
    squares = ((places[:, None] - middles) ** 2).sum(axis=-1)
    return np.exp(-squares / width**2 / 2) @ kinds


def walked(dim=2, noise=NOISE):
    """A body, what it did, where it was, what it smelled."""
    body = ShiftBody(4, dim, seed=0, reach=100.0, motor_noise=noise)
    actions, places = body.walk(500, seed=0)
    return body, actions, places, bumps(places[1:], 0)


@functools.cache
def learned():
    """A body, what it did, where it was, what it smelled, and what it learned of it."""
    body, actions, places, senses = walked()
    space = NoisyShiftSpace(4, relative_sd=NOISE, length=60.0)
    return body, actions, places, senses, space.fit(actions, senses)


# --- fields ---


@given(dim=st.integers(1, 2), square=st.floats(0, 9), variance=st.floats(0, 4))
def test_a_mean_kernel_is_a_mean_over_errors(dim, square, variance):
    """By the quadrature of Gauss and Hermite, along each axis."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    wanted = 1.0
    for axis in range(dim):  # the distance lies along the first
        apart = (math.sqrt(square) if axis == 0 else 0.0) + math.sqrt(variance) * nodes
        wanted *= float(weights @ np.exp(-(apart**2) / 2))
    found = mean_kernel(torch.tensor(square).double(), torch.tensor(variance).double(), dim)
    assert float(found) == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@given(seed=seeds, dim=st.integers(1, 3), relative_sd=st.sampled_from([0.0, 0.1, 0.4]))
def test_evidence_is_that_of_the_formula(seed, dim, relative_sd):
    """In dense double precision, step by step, with a determinant and an inverse."""
    actions, windows = made_up(seed)
    shifts = np.random.default_rng(seed + 1).normal(size=(5, dim))
    square, log_determinant, senses = 0.0, 0.0, windows.senses.numpy()
    for done, smelled in zip(actions, senses, strict=True):
        kernel = np.zeros((12, 12))
        for i in range(12):
            for j in range(12):
                between = shifts[done[min(i, j) + 1 : max(i, j) + 1]]
                wide = 1 + relative_sd**2 * (between**2).sum()
                far = (between.sum(axis=0) ** 2).sum()
                kernel[i, j] = wide ** (-dim / 2) * math.exp(-far / wide / 2)
        kernel += 0.1**2 * np.eye(12)
        square += np.trace(smelled.T @ np.linalg.inv(kernel) @ smelled) / senses.size
        log_determinant += np.linalg.slogdet(kernel)[1] / (3 * 12)
    wanted = -0.5 * (1 + math.log(2 * math.pi * square)) - 0.5 * log_determinant
    found = float(noisy_evidence(windows, torch.from_numpy(shifts), 0.1, relative_sd))
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@given(seed=seeds, angle=st.floats(0, 6), relative_sd=st.floats(0, 0.5))
def test_evidence_stays_under_turns_and_mirror_images(seed, angle, relative_sd):
    _, windows = made_up(seed)
    shifts = torch.from_numpy(np.random.default_rng(seed).normal(size=(5, 2)))
    cos, sin = math.cos(angle), math.sin(angle)
    turned = shifts @ torch.tensor([[cos, sin], [sin, -cos]], dtype=torch.float64)
    found = [float(noisy_evidence(windows, those, 0.1, relative_sd)) for those in (shifts, turned)]
    assert found[0] == pytest.approx(found[1], rel=1e-8, abs=1e-8)


def test_without_errors_evidence_is_that_of_a_field():
    # Of one number: of several, each has an amplitude of its own there, and here all have one.
    _, windows = made_up(0)
    single = Windows(windows.counts, windows.senses[..., :1])
    shifts = torch.from_numpy(np.random.default_rng(1).normal(size=(5, 2)))
    wanted = mean_evidence(single.counts @ shifts, single.senses, 0.02)
    assert torch.allclose(noisy_evidence(single, shifts, 0.02, 0.0), wanted)


def test_to_know_of_errors_brings_shifts_nearer_to_the_truth():
    """On walks of two bodies, from the same rough shifts."""
    off = []
    for seed in range(2):
        body = ShiftBody(5, 2, seed=seed, reach=100.0, motor_noise=0.1)
        actions, places = body.walk(800, seed=seed)
        windows = windows_of(actions, bumps(places[1:], seed), 5, 80, 8, 2)
        random = np.random.default_rng(seed)
        rough = torch.from_numpy(body.shifts / 60 * (1 + 0.1 * random.normal(size=(5, 2))))
        both = np.concatenate([body.shifts, -body.shifts])
        for told in (0.0, 0.1):
            begun = scaled_with_noise(windows, rough, 0.02, told)
            found, evidence = refined_with_noise(windows, begun, 0.02, told, 30)
            assert evidence > float(noisy_evidence(windows, begun, 0.02, told))
            off.append(procrustes(np.concatenate([found, -found]), both).rms)
    unaware, aware = np.reshape(off, (2, 2)).mean(axis=0)
    assert aware < 0.8 * unaware


# --- the walk ---


@given(seed=seeds)
def test_shifts_are_learned_again_up_to_a_linear_map(seed):
    random = np.random.default_rng(seed)
    true = random.normal(size=(5, 2)) + 3 * np.eye(5, 2)
    actions = random.integers(0, 5, 203)
    actions[:5] = range(5)
    places = np.concatenate([np.ones((1, 2)), 1 + true[actions].cumsum(axis=0)])
    rough = true + 0.1 * random.normal(size=(5, 2))
    found = learned_again(actions, places, rough)
    matrix = np.linalg.lstsq(true, rough, rcond=None)[0]
    assert np.allclose(found, true @ matrix, atol=1e-8)


def test_of_shifts_that_are_learned_again_ways_count_by_their_errors():
    """Against a regression of the ways between keyframes, each divided by its deviation."""
    random = np.random.default_rng(0)
    shifts = random.normal(size=(4, 2)) * [[1], [1], [6], [6]]
    actions = random.integers(0, 4, 300)
    steps = shifts[actions] * (1 + random.normal(size=(300, 2)))
    places = np.concatenate([np.zeros((1, 2)), steps.cumsum(axis=0)])
    counts = np.eye(4)[actions].reshape(60, 5, 4).sum(axis=1)
    spread = np.sqrt(counts @ (shifts**2).sum(axis=1))
    ways = np.diff(places[::5], axis=0)
    plain = np.linalg.pinv(counts / spread[:, None]) @ (ways / spread[:, None])
    wanted = plain @ np.linalg.pinv(plain) @ shifts
    assert np.allclose(learned_again(actions, places, shifts), wanted)


@pytest.mark.parametrize(("best", "starts"), [(0.10, 4), (0.14, 12)])
def test_a_curve_keeps_the_best_of_several_starts(monkeypatch, best, starts):
    """And begins again while the loss of the plane is greater than that of higher dimensions."""
    ends = []

    def end(windows, dims, generator):
        plane = best if len(ends) == 1 else 0.15
        ends.append({1: (0.3, f"line {len(ends)}"), 2: (plane, len(ends)), 3: (0.10, "space")})
        return ends[-1]

    monkeypatch.setattr("tree_world.models.places.noisy_shifts.by_dimension", end)
    losses, shifts = curve_of(made_up(0)[1], torch.Generator())
    assert len(ends) == starts
    assert losses == {1: 0.3, 2: best, 3: 0.10}
    assert shifts == {1: "line 0", 2: 1, 3: "space"}


def path(trusted=True):
    """A walk that is trusted, or not."""
    zeros = np.zeros((3, 2)), np.zeros((3, 2, 2))
    return Path(*zeros, *zeros, Closures.none(), 0.0, trusted, "" if trusted else "it is wrong")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, ""),
        ({"evidences": {1: 1.0, 2: 2.0}}, ""),
        ({"evidences": {1: 1.9, 2: 2.0, 3: 2.0}}, "on a line at 1.90"),
        ({"evidences": {1: 1.0, 2: 2.0, 3: 2.1}}, "in space at 2.10"),
        ({"path": path(trusted=False)}, "it is wrong"),
        ({"change": 0.2}, "changed by 20%"),
        ({"number": 3}, "only 3 smells"),
        ({"r2": 0.8}, "an R² of 0.80"),
        ({"apart": 33.0}, "differ by 0.50"),
    ],
)
def test_each_sign_can_speak_against_a_space(changed, message):
    good = {
        "evidences": {1: 1.0, 2: 2.0, 3: 2.0},
        "path": path(),
        "change": 0.01,
        "number": 500,
        "r2": 0.99,
        "apart": 3.0,
    }
    reason = _doubts(**{**good, **changed})
    assert message in reason
    assert bool(reason) == bool(message)


# --- space ---


def test_space_is_found():
    body, actions, places, _, space = learned()
    assert space.found_, space.reason_
    steps = np.linalg.lstsq(np.eye(4)[actions], np.diff(space.locations_, axis=0), rcond=None)[0]
    assert np.allclose(space.shifts_, steps, atol=0.3)  # of one unit
    assert space.dim_ == 2
    assert space.reason_ == ""
    assert space.locations_.shape == (501, 2)
    assert not space.locations_[0].any()
    found = procrustes(space.locations_, places)
    assert found.rms < 2
    assert np.allclose(space.shifts_ @ found.matrix.T, body.shifts, atol=0.7)
    assert 0.8 < np.linalg.norm(space.shifts_) / np.linalg.norm(body.shifts) < 1.25
    reckoned = space.transform(actions)
    assert reckoned.shape == (501, 2)
    assert procrustes(reckoned, places).rms > found.rms
    assert space.loss_by_dim_[2] < 0.6 * space.loss_by_dim_[1]
    assert space.r2_ > 0.98
    assert 0 < space.halves_ < 9
    assert list(space.stages_) == ["planes", "fields", "smoothed"]
    assert np.array_equal(space.stages_["smoothed"], space.shifts_)


def test_how_unsure_places_are():
    _, _, places, _, space = learned()
    assert space.covariances_.shape == (501, 2, 2)
    matrix = procrustes(space.locations_, places).matrix
    aligned = procrustes(space.locations_, places).places
    assert (np.linalg.eigvalsh(space.covariances_) > 0).all()
    begun = 0.1 * 60 / 66  # where it began is known to 0.1 m where the length is 66 m
    assert np.allclose(space.covariances_[0], begun**2 * np.eye(2), rtol=0.05, atol=1e-4)
    claimed = matrix @ space.covariances_ @ matrix.T
    assert coverage(aligned, claimed, places) > 0.8


def test_a_body_without_errors_learns_as_a_sure_one(monkeypatch):
    monkeypatch.setattr(ShiftSpace, "_learn", lambda self, done, senses: f"{len(done)} steps.")
    _, actions, _, senses = walked()
    assert NoisyShiftSpace(4, relative_sd=0.0).fit(actions, senses).reason_ == "500 steps."
    assert NoisyShiftSpace(4, 3, relative_sd=0.0).dim == 3
    assert NoisyShiftSpace(4, relative_sd=0.1).fit(actions, 0 * senses).reason_ != "500 steps."


def test_of_a_sure_walk_it_learns_the_same_space():
    """Whether it is told that there are no errors, or small ones."""
    _, actions, places, senses = walked(noise=0.0)
    actions, places, senses = actions[:300], places[:301], senses[:300]
    none = NoisyShiftSpace(4, relative_sd=0.0, length=60.0).fit(actions, senses)
    assert none.found_
    assert procrustes(none.locations_, places).rms < 0.5
    assert none.covariances_.shape == (301, 2, 2)
    assert not none.covariances_.any()
    few = NoisyShiftSpace(4, relative_sd=0.01, length=60.0).fit(actions, senses)
    assert few.found_, few.reason_
    assert procrustes(few.locations_, none.locations_).rms < 0.5


def test_shuffled_smells_are_refused():
    _, actions, _, senses = walked()
    shuffled = np.random.default_rng(0).permutation(senses)
    space = NoisyShiftSpace(4, relative_sd=NOISE).fit(actions, shuffled)
    assert not space.found_
    assert "loss" in space.reason_
    assert not space.shifts_.any()
    assert not space.locations_.any()
    assert np.isnan(space.covariances_).all()
    assert space.stages_ == {}
    with pytest.raises(RuntimeError, match="no space to tell places of"):
        space.transform(actions)


def test_a_world_without_smells_is_refused():
    _, actions, _, senses = walked()
    space = NoisyShiftSpace(4, relative_sd=NOISE).fit(actions, 0 * senses)
    assert not space.found_
    assert space.dim_ == 0
    assert "never change" in space.reason_
    assert space.covariances_.shape == (501, 0, 0)


def test_other_actions_are_refused():
    """Smells of a walk of which the body did not choose the steps."""
    _, actions, _, senses = walked()
    others = np.random.default_rng(0).permutation(actions)
    space = NoisyShiftSpace(4, relative_sd=NOISE).fit(others, senses)
    assert not space.found_
    assert space.reason_


def test_a_line_is_refused():
    _, actions, _, senses = walked(dim=1)
    space = NoisyShiftSpace(4, relative_sd=NOISE).fit(actions, senses)
    assert not space.found_
    assert "of 1 dimensions" in space.reason_


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"relative_sd": -0.1}, "relative_sd must be"),
        ({"relative_sd": math.nan}, "relative_sd must be"),
        ({"dim": 1}, "in the plane alone"),
        ({"dim": 3}, "in the plane alone"),
        ({"num_actions": 2}, "takes three actions"),
        ({"length": 0.0}, "length must be"),
        ({"nugget": 0.0}, "nugget must be"),
        ({"seed": -1}, "seed must lie"),
    ],
)
def test_wrong_choices_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        NoisyShiftSpace(**{"num_actions": 6, "relative_sd": NOISE, **choices})


@pytest.mark.parametrize(
    ("actions", "senses", "message"),
    [
        (np.zeros(300, int), np.zeros((299, 3)), "one after each of n actions"),
        (np.zeros(100, int), np.zeros((100, 3)), "at least 200 steps"),
        (np.full(300, 4), np.zeros((300, 3)), "from 0 to 3"),
        (np.zeros(300, int), np.full((300, 3), np.nan), "must be finite"),
    ],
)
def test_wrong_walks_are_refused(actions, senses, message):
    with pytest.raises(ValueError, match=message):
        NoisyShiftSpace(4, relative_sd=NOISE).fit(actions, senses)
