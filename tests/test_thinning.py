"""Simpler ways to keep less, against plain loops."""

import itertools
import math

import numpy as np
import pytest
import torch

from tests.models import oracle
from tree_world import thinning


@pytest.fixture
def observed():
    generator = torch.Generator().manual_seed(3)
    return 20 * torch.randn(24, 2, generator=generator), torch.randn(24, 5, generator=generator)


def test_farthest_points_are_farthest_from_all_before(observed):
    places, _ = observed
    chosen = thinning.farthest_points(places, 9).tolist()
    assert chosen[0] == min(range(24), key=lambda row: math.hypot(*places[row].tolist()))
    for number in range(1, 9):
        apart = [
            min(math.dist(places[row], places[other]) for other in chosen[:number])
            for row in range(24)
        ]
        assert apart[chosen[number]] == pytest.approx(max(apart), rel=1e-6)
    assert sorted(thinning.farthest_points(places, 24).tolist()) == list(range(24))


def test_cluster_means_are_means_of_nearest_centres(observed):
    places, senses = observed
    where, what = thinning.cluster_means(places, senses, 4, seed=1)
    nearest = torch.cdist(places, where).argmin(dim=1)
    for cluster in range(4):
        own = nearest == cluster
        assert own.any()
        torch.testing.assert_close(where[cluster], places[own].mean(dim=0))
        torch.testing.assert_close(what[cluster], senses[own].mean(dim=0))


def test_cheapest_first_takes_the_best_step_each_time(observed):
    sd, threshold, tolerance = 10.0, 25.0, 2.2
    squared = thinning.cheapest_first(
        observed[0], sd, observed[1], tolerance=tolerance, match_threshold=threshold
    )
    places, senses = (array.double().numpy() for array in observed)

    def errors(left):
        sds = np.full_like(places, sd)
        rows = list(left)
        mean, size, _, _ = oracle.read(
            places, sds, places[rows], sds[rows], senses[rows], threshold
        )
        error = np.linalg.norm(mean - senses, axis=1)
        return np.where(size > 0, error, np.inf)

    left = tuple(range(24))
    assert squared.pop(24) == pytest.approx((errors(left) ** 2).sum())
    for size, expected in squared.items():
        best = math.inf
        for fewer in itertools.combinations(left, len(left) - 1):
            error = errors(fewer)
            gone = np.setdiff1d(range(24), fewer)
            if (error[gone] <= tolerance).all() and (error**2).sum() < best:
                best, rest = (error**2).sum(), fewer
        left = rest
        assert len(left) == size
        assert best == pytest.approx(expected)
    assert 2 < len(squared) < 20
    for fewer in itertools.combinations(left, len(left) - 1):
        assert not (errors(fewer)[np.setdiff1d(range(24), fewer)] <= tolerance).all()


@pytest.mark.parametrize("size", [0, 25])
def test_no_more_is_kept_than_there_is(observed, size):
    places, senses = observed
    with pytest.raises(ValueError, match=r"size|cannot be kept"):
        thinning.farthest_points(places, size)
    with pytest.raises(ValueError, match=r"size|cannot be kept"):
        thinning.cluster_means(places, senses, size, seed=0)
