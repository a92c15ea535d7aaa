"""The kernel of the memory against loops in double precision."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.stats import norm

from tests.models import oracle
from tree_world.models.memory.kernel.affinity import (
    dot_product_features,
    limit_squared,
    log_affinity,
)

coordinates = st.floats(-1e3, 1e3)
deviations = st.floats(0.1, 1e3)


@given(st.data(), st.integers(1, 3))
def test_against_the_loop(data, dim):
    place, location = (
        data.draw(st.lists(coordinates, min_size=dim, max_size=dim)) for _ in range(2)
    )
    sd, location_sd = (
        data.draw(st.lists(deviations, min_size=dim, max_size=dim)) for _ in range(2)
    )
    vectors = [torch.tensor([v], dtype=torch.float64) for v in (place, sd, location, location_sd)]
    expected = oracle.log_affinity(place, sd, location, location_sd)
    assert log_affinity(*vectors).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    features = dot_product_features(vectors[0], vectors[1][0], vectors[2], vectors[3])
    # The features are as large as the squared coordinates in deviations, and so is what they lose.
    largest = sum((x * x + y * y) / (s * s) for x, y, s in zip(place, location, sd, strict=True))
    lost = 1e-15 * (1 + largest)
    assert (features[0] @ features[1].T).item() == pytest.approx(expected, abs=10 * lost)


def test_it_is_the_density_of_the_difference_of_two_gaussians():
    # With the ½ in front of the logarithms: without it, this does not come out at all.
    sd, location_sd, gap = 0.7, 1.6, 0.9
    by_integration, _ = dblquad(
        lambda x, y: norm.pdf(x, 0, sd) * norm.pdf(y, gap, location_sd) * norm.pdf(x - y, 0, 1e-2),
        -9,
        9,
        lambda y: max(-9, y - 0.1),
        lambda y: min(9, y + 0.1),
        epsabs=1e-8,
    )
    one = torch.float64
    ours = log_affinity(
        torch.zeros(1, 1, dtype=one),
        torch.full((1, 1), sd, dtype=one),
        torch.full((1, 1), gap, dtype=one),
        torch.full((1, 1), location_sd, dtype=one),
    )
    assert math.exp(ours.item()) == pytest.approx(by_integration, rel=1e-3)


def test_sharp_and_blunt_observations_are_weighed_by_their_densities():
    # Side by side, sds of 10 and 1 m: the densities at the place differ by (v₁ / v₀) = 100.5 / 1.5.
    place = torch.zeros(1, 2)
    affinity = log_affinity(
        place,
        torch.full((1, 2), 0.5**0.5),
        torch.zeros(2, 2),
        torch.tensor([[1.0], [10.0]]).expand(2, 2),
    )[0]
    assert (affinity[0] - affinity[1]).exp().item() == pytest.approx(100.5 / 1.5, rel=1e-5)


def test_beyond_the_threshold_there_is_none():
    places = torch.tensor([[0.0, 0.0]])
    locations = torch.tensor([[3.0, 4.0], [3.0, 4.1]])
    affinity = log_affinity(places, torch.ones(1, 2), locations, torch.ones(2, 2), 5.0)
    assert torch.isfinite(affinity).tolist() == [[True, False]]


def test_an_infinite_deviation_gives_none():
    affinity = log_affinity(
        torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(1, 2), torch.full((1, 2), torch.inf)
    )
    assert affinity.item() == -math.inf


def test_one_row_of_deviations_serves_all_queries_and_batches_pass():
    generator = torch.Generator().manual_seed(0)
    places, locations = (torch.randn(3, 5, 2, generator=generator) for _ in range(2))
    sds = torch.rand(3, 5, 2, generator=generator) + 0.5
    whole = log_affinity(places, sds[:, :1].expand(3, 5, 2), locations, sds)
    torch.testing.assert_close(log_affinity(places, sds[:, :1], locations, sds), whole)
    torch.testing.assert_close(log_affinity(places[1], sds[1, :1], locations[1], sds[1]), whole[1])


@pytest.mark.parametrize("away", [0.0, 1e4, 1e6])
def test_differences_keep_their_digits_far_from_the_origin_and_features_do_not(away):
    generator = torch.Generator().manual_seed(1)
    # Whole metres, so that single precision holds the places themselves exactly.
    places, locations = (
        torch.randint(-50, 50, (20, 2), generator=generator).float() + away for _ in range(2)
    )
    sd = torch.full((1, 2), 10.0)
    sds = torch.full((20, 2), 10.0)
    exact = log_affinity(*(t.double() for t in (places, sd, locations, sds)))
    ours = log_affinity(places, sd, locations, sds)
    np.testing.assert_allclose(ours, exact, rtol=1e-6)
    queries, keys = dot_product_features(places, sd[0], locations, sds)
    lost = (queries @ keys.T - exact).abs().max().item()
    assert (lost < 1e-4) == (away == 0.0)


@given(distance=st.floats(1e-12, 1e12), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_a_distance_at_the_threshold_counts_however_the_threshold_is_rounded(distance, dtype):
    assert limit_squared(distance, dtype) >= distance**2
    assert limit_squared(distance, dtype) <= (distance * (1 + 16 * torch.finfo(dtype).eps)) ** 2
