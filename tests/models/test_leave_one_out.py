"""What a memory says at the place of each observation without having it, and who counts there."""

import math

import numpy as np
import pytest
import torch

from tests.models import oracle
from tests.models.remembered import ROUNDING, observations, rows_of
from tree_world.models.memory.forget.leave_one_out import leave_one_out
from tree_world.models.memory.forget.pruning import prune
from tree_world.models.memory.kernel.affinity import beyond
from tree_world.models.memory.types import Observations


@pytest.mark.parametrize("match_threshold", [None, 10.0, 25.0])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_leave_one_out_is_the_read_from_all_others(match_threshold, dim):
    everything = observations(40, dim=dim, smooth=False)
    found = leave_one_out(everything, match_threshold)
    for row in range(40):
        others = np.arange(40) != row
        own = rows_of(everything, ~others)
        mean, size, _, _ = oracle.read(
            own.locations, own.location_sds,
            *(getattr(rows_of(everything, others), n)
              for n in ("locations", "location_sds", "senses")),
            match_threshold,
        )  # fmt: skip
        np.testing.assert_allclose(found.value[row], mean[0], atol=ROUNDING)
        assert bool(found.isolated[row]) == (size[0] == 0)
        error = np.linalg.norm(mean[0] - own.senses[0].numpy()) if size[0] > 0 else np.inf
        assert float(found.error[row]) == pytest.approx(error, abs=ROUNDING)


def test_dependencies_are_the_weights_of_the_read():
    everything = observations(60, smooth=False)
    found = leave_one_out(everything, 25.0)
    weights = found.dependencies.toarray()
    np.testing.assert_array_equal(np.diag(weights), 0.0)
    np.testing.assert_allclose(weights @ everything.senses.numpy(), found.value, atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=1), ~found.isolated.numpy(), atol=1e-6)
    distances = torch.cdist(everything.locations, everything.locations).numpy()
    assert (weights[distances > 25.001] == 0).all()
    # Reading at r from t and at t from r weigh the same pair: entries are there for both or none.
    np.testing.assert_array_equal(weights > 0, weights.T > 0)


def test_neighbours_cost_memory_by_pairs_not_by_squares():
    number = 20_000
    places = 3000 * torch.rand(number, 2, generator=torch.Generator().manual_seed(0))
    everything = Observations(places, torch.full((number, 2), 10.0), torch.ones(number, 1))
    found = leave_one_out(everything, 25.0, memory_limit=8 * 2**20)  # all pairs: 1.6 GB
    assert found.dependencies.nnz < 1_000_000
    with pytest.raises(MemoryError, match="smaller match_threshold"):
        leave_one_out(everything, 250.0, memory_limit=8 * 2**20)


@pytest.mark.parametrize("match_threshold", [None, 1e15])
@pytest.mark.parametrize(
    ("dim", "sd", "spread"),
    [(200, 5.0, 50.0), (60, 1e-3, 1e-3), (60, 1e-3, 1.0), (30, 1e12, 1e12), (2, 1e-3, 1.0)],
)
def test_leaving_one_out_stays_in_the_range_of_numbers(dim, sd, spread, match_threshold):
    given = observations(30, dim=dim, spread=spread, smooth=False)
    everything = Observations(
        given.locations, torch.full_like(given.location_sds, sd), given.senses
    )
    found = leave_one_out(everything, match_threshold)
    assert not found.isolated.any()
    for row in range(30):
        others = np.arange(30) != row
        own, rest = rows_of(everything, ~others), rows_of(everything, others)
        expected = oracle.read(
            own.locations, own.location_sds, rest.locations, rest.location_sds, rest.senses
        )[0]
        np.testing.assert_allclose(found.value[row], expected[0], atol=2e-5)
    assert prune(everything, math.inf, match_threshold, target_size=10).report.num_kept < 20


def test_weights_far_from_a_cluster_keep_their_digits():
    generator = torch.Generator().manual_seed(0)
    places = 1e-3 * torch.randn(60, 2, generator=generator)
    places[0] = torch.tensor([24.0, 0.0])  # exponents of 10⁵ and more
    senses = torch.randn(60, 5, generator=generator)
    everything = Observations(places, torch.full((60, 2), 0.05), senses)
    own, rest = everything.take(torch.arange(1)), everything.take(torch.arange(1, 60))
    expected = oracle.read(
        own.locations, own.location_sds, rest.locations, rest.location_sds, rest.senses
    )[0]
    for match_threshold in (None, 25.0):
        found = leave_one_out(everything, match_threshold).value[0]
        np.testing.assert_allclose(found, expected[0], atol=1e-6)


def test_those_that_are_all_alike_are_told_by_each_other():
    sense = torch.tensor([0.3387, -1.7, 123.456])
    many = Observations(torch.zeros(3000, 2), torch.full((3000, 2), 5.0), sense.expand(3000, 3))
    found = leave_one_out(many, 25.0)
    torch.testing.assert_close(found.value, many.senses, rtol=1e-6, atol=0.0)


def test_leave_one_out_of_nearly_nothing():
    assert leave_one_out(observations(0), 25.0).value.shape == (0, 5)
    alone = leave_one_out(observations(1), None)
    assert bool(alone.isolated[0])
    assert float(alone.value.abs().sum()) == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("far", [0.0, 1e7, 1e18])
@pytest.mark.parametrize(
    ("places", "threshold"),
    [
        ([[0.0], [0.1], [0.2]], 0.1),  # of which the second is a hair farther in single precision
        ([[0.0, 0.0], [15.0, 20.0], [40.0, 20.0], [-24.9, 0.0], [-25.001, 0.0]], 25.0),
        ([[-1e-3, 7.0], [4096.0 - 1e-3, 7.0], [8192.0, 7.0]], 4096.0),
        ([[0.0, 0.0], [3e-200, 0.0], [1.0, 1.0]], 2e-200),
    ],
)
def test_who_counts_is_decided_as_in_reads(places, threshold, far, dtype):
    places = torch.tensor(places, dtype=dtype) + far
    everything = Observations(places, torch.full_like(places, 5.0), torch.ones_like(places))
    weights = leave_one_out(everything, threshold).dependencies
    counts = ~beyond(places, places, threshold)
    counts.fill_diagonal_(False)
    assert np.diff(weights.indptr).tolist() == counts.sum(dim=1).tolist()
    np.testing.assert_array_equal(weights.toarray() > 0, counts)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_in_many_dimensions_products_of_variances_leave_the_range_of_numbers(scale):
    everything = observations(12, dim=120, smooth=False)
    places, sds = scale * everything.locations, scale * everything.location_sds
    everything = Observations(places, sds, everything.senses)
    expected = leave_one_out(Observations(places / scale, sds / scale, everything.senses))
    torch.testing.assert_close(leave_one_out(everything).value, expected.value, atol=1e-4, rtol=0)


def test_leaving_one_out_of_a_crowd_is_refused_by_its_size():
    everything = observations(100, spread=1.0)
    assert leave_one_out(everything, 25.0, memory_limit=12 * 9900).dependencies.nnz == 9900
    with pytest.raises(MemoryError, match="100 observations have more than 4949 pairs"):
        leave_one_out(everything, 25.0, memory_limit=12 * 9899)
