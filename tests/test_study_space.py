"""The study of learned space: what it counts, and what it goes downhill in."""

import numpy as np
import pytest
import torch

from benchmarks import study_space
from benchmarks.lived import lived
from benchmarks.studies import FleetingParts
from tree_world.models.places import ShiftSpace

SEED = 3  # on which nothing is judged


def test_what_a_read_misses_is_that_of_the_formula():
    random = np.random.default_rng(0)
    counts, each = random.integers(0, 9, (60, 4)).astype(float), random.normal(size=(4, 2))
    senses = random.normal(size=(60, 3))
    which = np.arange(0, 60, 2)
    places, left = counts[which] @ each, 0.0
    for place, step, sense in zip(places, which, senses[which], strict=True):
        squares = ((places - place) ** 2).sum(axis=1)
        weights = np.exp(-squares / (4 * study_space.READ_SD**2))
        weights[np.abs(which - step) <= study_space.RECENT] = 0.0
        left += ((weights @ senses[which] / weights.sum() - sense) ** 2).sum()
    expected = left / len(which) / senses.var(axis=0, ddof=1).sum()
    found = study_space._misread(
        *(torch.from_numpy(one) for one in (counts, senses, each, which)),
    )
    assert float(found) == pytest.approx(expected)


def test_going_downhill_misses_less():
    walked = lived(SEED, steps=600)
    senses = torch.from_numpy(walked.senses[:, :8])
    counts = torch.from_numpy(np.eye(6)[walked.actions].cumsum(axis=0))
    begun = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 2)))
    generator = torch.Generator().manual_seed(0)
    found = study_space._improved(counts, senses, begun, 0.1, generator)
    every = torch.arange(len(counts))
    before, after = (study_space._misread(counts, senses, one, every) for one in (begun, found))
    assert after < before


def test_true_shifts_explain_the_ends_of_ways():
    walked = lived(SEED, steps=900)
    space = ShiftSpace(6, dim=2)
    space.shifts_ = walked.body.shifts / 66.0
    found = study_space.explained(space, walked, walked.places / 66.0)
    assert found["learned"] == pytest.approx(found["true"], abs=0.01)
    assert min(found["learned"], found["memory"]) > 0.95 > found["last"]
    space.shifts_ = space.shifts_[::-1]
    assert study_space.explained(space, walked, walked.places / 66.0)["learned"] < 0.9


def test_rows_of_worlds_become_columns(tmp_path):
    found = study_space.turning(FleetingParts(tmp_path), [SEED])
    assert found["seeds"] == [SEED]
    assert found["found"] == [True]
    assert found["off"][0] < 0.01
    assert found["similarity"][0] >= found["affine"][0]
