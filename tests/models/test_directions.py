"""Few numbers for a smell: as many as there are trees, with noise or without."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.models.places.directions import directions_of, outside
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.survey import Survey
from tree_world.models.places.tracker import Tracker

TREES = np.random.default_rng(5).uniform(-80, 80, (8, 2))
WORDS = np.linalg.qr(np.random.default_rng(6).normal(size=(384, 8)))[0].T
LENGTH = 30.0


def smells(places):
    """Smells in 384 numbers, of eight trees."""
    squares = ((np.asarray(places)[..., None, :] - TREES) ** 2).sum(-1)
    return np.exp(-squares / LENGTH**2) @ WORDS


def noisy(senses, share=0.05, seed=0):
    """Add a share of their size, spread evenly over all numbers."""
    size = share * np.sqrt((senses**2).sum(axis=-1).mean() / senses.shape[-1])
    return senses + size * np.random.default_rng(seed).normal(size=senses.shape)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=st.integers(1, 6))
def test_distances_stay(seed, rank):
    rng = np.random.default_rng(seed)
    senses = rng.normal(size=(30, rank)) @ np.linalg.qr(rng.normal(size=(20, rank)))[0].T
    for nugget in (0.0, 0.02):
        rows = directions_of(senses, nugget)
        np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-12)
        assert len(rows) <= rank
    whole = directions_of(senses)
    assert len(whole) == rank
    few = senses @ whole.T
    np.testing.assert_allclose(few @ few.T, senses @ senses.T, atol=1e-9)
    assert outside(senses, whole) == pytest.approx(0.0, abs=1e-12)
    part = whole[:-1]
    lost = ((senses - senses @ part.T @ part) ** 2).sum(axis=-1).mean()
    assert outside(senses, part) == pytest.approx(lost, abs=1e-12)


@pytest.mark.parametrize("number", [300, 1000])
def test_noise_has_no_directions(number):
    places = np.random.default_rng(number).uniform(-100, 100, (number, 2))
    exact, heard = smells(places), noisy(smells(places))
    assert len(directions_of(exact, 0.02)) == 8
    rows = directions_of(heard, 0.05)
    assert len(rows) == 8
    # They are those of the trees, nearly.
    np.testing.assert_allclose(np.linalg.norm(WORDS @ rows.T, axis=-1), 1.0, atol=0.01)
    assert len(directions_of(heard)) == min(number, 384)
    assert outside(heard, rows) == pytest.approx(0.05**2 * (exact**2).sum(-1).mean(), rel=0.2)


def test_a_tracker_and_a_survey_bear_noise():
    rng = np.random.default_rng(1)
    places = rng.uniform(-100, 100, (400, 2))
    steps = 3.0 * rng.normal(size=(150, 2))
    true = steps.cumsum(axis=0)
    odometry = Odometry(0.1)
    believed = odometry.drift(steps, 0)
    found = {}
    for name, heard in (("exact", lambda z, _: z), ("noisy", lambda z, seed: noisy(z, seed=seed))):
        known, sensed = heard(smells(places), 2), heard(smells(true), 3)
        tracker = Tracker(places, known, odometry, length=LENGTH / np.sqrt(2), nugget=0.05)
        track = tracker.follow(believed, sensed)
        found[name] = np.median(np.linalg.norm(track.means - true, axis=-1))
        survey = Survey(places, known, length=LENGTH / np.sqrt(2), nugget=0.05)
        best = survey.centres[[survey.fit_of_cells(one).argmax() for one in sensed[:20]]]
        assert np.median(np.linalg.norm(best - true[:20], axis=-1)) < 5.0
        # What noise adds outside of the directions is not held against a place.
        rows = directions_of(known, 0.05)
        inner = [survey.fit(true[i : i + 1], sensed[i] @ rows.T @ rows)[0] for i in range(20)]
        whole = [survey.fit(true[i : i + 1], sensed[i])[0] for i in range(20)]
        np.testing.assert_allclose(whole, inner, atol=0.1)
    assert found["exact"] < 1.0
    assert found["noisy"] < 1.5 * found["exact"]


def test_what_is_no_nugget_is_refused():
    with pytest.raises(ValueError, match="nugget must be zero or more"):
        directions_of(np.eye(2), -0.1)
