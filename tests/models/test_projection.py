"""Projections keep what they are given to keep, and nobody else's numbers."""

import math

import pytest
import torch

from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.projection import Projection


def senses(number, dim=6, seed=0):
    return torch.randn(number, dim, generator=torch.Generator().manual_seed(seed))


def test_a_projection_is_its_own():
    matrix, mean = torch.eye(3, 6), torch.ones(6)
    projection = Projection(matrix, mean)
    memory = SpatialMemory(2, 6, 3, projection=matrix)
    matrix.mul_(10)
    mean.zero_()
    assert torch.equal(projection.matrix, torch.eye(3, 6))
    assert torch.equal(projection.mean, torch.ones(6))
    memory.write([[0.0, 0.0]], 1.0, torch.ones(1, 6))
    assert memory.memory_senses.tolist() == [[[1.0, 1.0, 1.0]]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [1, 2, 20])
@pytest.mark.parametrize("value", [0.0, 0.1, -3e5])
def test_senses_that_are_all_alike_lose_nothing(number, value):
    alike = torch.full((number, 6), value)
    memory = SpatialMemory(2, 6, 1)
    assert memory.fit_projection(alike) == 1.0
    memory.write(1e3 * torch.arange(number)[:, None].expand(-1, 2), 1.0, alike)
    torch.testing.assert_close(memory.read([[0.0, 0.0]], 1.0), alike[:1])
    assert memory.fit_projection(alike) == 1.0


@pytest.mark.filterwarnings("error")
def test_the_share_of_the_variance_is_that_of_the_definition():
    values = senses(40) + 100.0
    projection = Projection.from_senses(values, 2)
    matrix, mean = projection.matrix.double(), projection.mean.double()
    lost = (values - mean) - (values - mean) @ matrix.T @ matrix
    around = values.double() - values.double().mean(dim=0)
    expected = 1 - float(lost.square().sum() / around.square().sum())
    assert projection.variance_kept(values) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_projection_needs_finite_numbers(wrong):
    matrix = torch.eye(2, 4)
    matrix[0, 1] = wrong
    with pytest.raises(ValueError, match="finite"):
        Projection(matrix)
    with pytest.raises(ValueError, match="projection must be finite"):
        SpatialMemory(2, 4, 2, projection=matrix)


def test_learning_needs_as_many_senses_as_components():
    projection = Projection.from_senses(senses(10), 4)
    with pytest.raises(ValueError, match="at least as many senses, but 3 were given"):
        projection.updated(senses(3))


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("storage", [False, True])
def test_what_was_stored_in_full_is_expressed_anew_when_a_projection_is_fitted(
    tmp_path, deleted, storage
):
    memory = SpatialMemory(2, 4, storage=tmp_path / "m" if storage else None)
    places = 1e3 * torch.arange(8.0)[:, None].expand(-1, 2)
    values = senses(8, 4)
    memory.write(places, 1.0, values)
    memory.prune(math.inf, None, target_size=6)
    if deleted:
        memory.delete(memory.ids[0, :2])
    before = memory.read(memory.memory_locations[0], 1.0)
    gone = memory[0].store.witnesses.observations.senses
    assert memory.fit_projection(senses(20, 4, seed=1) + 3.0) == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(memory.read(memory.memory_locations[0], 1.0), before)
    anew = memory.projection.decode(memory[0].store.witnesses.observations.senses)
    torch.testing.assert_close(anew, gone)
