"""From a sense to a place: calibrated, better than the nearest sense, and honest."""

import numpy as np
import pytest
import torch

from tree_world.evaluation import paired_difference
from tree_world.models.localisation import Localiser
from tree_world.models.memory import SpatialMemory
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

CONFIG = TreeWorldConfig()
SENSOR = SimpleSensor.from_config(CONFIG)


def lived(seed, number=1024):
    """A memory of one world, and places and senses that it has not seen."""
    world = TreeWorld.random_from_config(CONFIG, seed=seed)
    generator = torch.Generator().manual_seed(100 + seed)
    visited, new = (150 * torch.randn(n, 2, generator=generator) for n in (number, 100))
    memory = SpatialMemory(2, CONFIG.sensory_embedding_dim, max_memory_size=number)
    memory.write(visited, 10.0, SENSOR.sense(world, visited)[1])
    return memory, new, SENSOR.sense(world, new)[1]


def test_ten_worlds():
    coverage, ours, nearest, gains = [], [], [], []
    for seed in range(10):
        memory, places, senses = lived(seed)
        localiser = Localiser(memory)
        posteriors = [localiser.locate(sense) for sense in senses]
        coverage.append(
            np.mean([localiser.holds(p, x) for p, x in zip(posteriors, places, strict=True)])
        )
        peaks = torch.stack([p.peak for p in posteriors])
        ours.append(float((peaks - places).norm(dim=-1).median()))
        closest = torch.cdist(senses, memory.memory_senses[0]).argmin(dim=-1)
        nearest.append(float((memory.memory_locations[0][closest] - places).norm(dim=-1).median()))
        told = np.array([p.identifiable for p in posteriors])
        errors = (peaks - places).norm(dim=-1).numpy()
        gains.append(errors[~told].mean() - errors[told].mean())
    assert 0.85 <= np.mean(coverage) <= 0.95
    assert paired_difference(ours, nearest).high < 0
    assert np.mean(gains) > 20  # metres that the verdict is worth


@pytest.fixture(scope="module")
def localiser():
    return Localiser(lived(0)[0])


def test_a_posterior_is_one(localiser):
    _, _, senses = lived(0)
    posterior = localiser.locate(senses[0])
    p = posterior.probabilities.double()
    squares = torch.cdist(senses[:1], localiser._means)[0].double().square()
    tau = localiser._taus.double()
    log_p = -squares / (2 * (localiser.width * tau) ** 2) - 2 * tau.log()
    torch.testing.assert_close(p, log_p.softmax(dim=0), atol=1e-5, rtol=1e-2)
    assert p.sum() == pytest.approx(1.0, abs=1e-4)
    assert p[posterior.region].sum() >= 0.9 - 1e-4
    smallest_in, greatest_out = p[posterior.region].min(), p[~posterior.region].max()
    assert smallest_in >= greatest_out
    assert p[posterior.region].sum() - smallest_in < 0.9 + 1e-4  # no cell too many
    torch.testing.assert_close(
        posterior.mean.double(), p @ localiser.places.double(), atol=0.1, rtol=1e-3
    )
    assert posterior.area == float(posterior.region.sum()) * 100.0
    assert 0 <= posterior.entropy <= np.log2(len(p))
    best = localiser.places[int(p.argmax())]
    near = (localiser.places - best).norm(dim=-1) <= 25.0
    expected = (p[near, None] * localiser.places[near].double()).sum(0) / p[near].sum()
    torch.testing.assert_close(posterior.peak.double(), expected, atol=1e-2, rtol=1e-3)


def test_a_smell_of_nothing_cannot_be_told(localiser):
    nowhere = localiser.locate(torch.zeros(384))
    assert not nowhere.identifiable
    _, places, senses = lived(0)
    strongest = int(senses.norm(dim=-1).argmax())
    there = localiser.locate(senses[strongest])
    assert there.identifiable
    assert there.entropy < nowhere.entropy
    assert (there.peak - places[strongest]).norm() < 30


def test_a_guess_is_a_prior(localiser):
    nothing = torch.zeros(384)
    guessed = localiser.locate(nothing, [100.0, 50.0], 20.0)
    free = localiser.locate(nothing)
    assert guessed.entropy < free.entropy
    p = free.probabilities.double()
    steps = (localiser.places - torch.tensor([100.0, 50.0])).double()
    expected = p * torch.exp(-0.5 * (steps / 20.0).square().sum(dim=-1))
    torch.testing.assert_close(
        guessed.probabilities.double(), expected / expected.sum(), atol=1e-5, rtol=1e-2
    )


def test_wrong_input_is_refused(localiser):
    with pytest.raises(ValueError, match="sense must have shape"):
        localiser.locate(torch.zeros(3))
    with pytest.raises(ValueError, match="guess_sd"):
        localiser.locate(torch.zeros(384), [0.0, 0.0])
    with pytest.raises(ValueError, match="guess_sd must be positive"):
        localiser.locate(torch.zeros(384), [0.0, 0.0], 0.0)
    few = SpatialMemory(2, 3)
    few.write(torch.randn(10, 2), 1.0, torch.randn(10, 3))
    with pytest.raises(ValueError, match="at least 50"):
        Localiser(few)
    few.write(torch.randn(90, 2), 1.0, torch.randn(90, 3))
    with pytest.raises(ValueError, match="credibility"):
        Localiser(few, credibility=1.0)


def test_a_guess_is_corrected_by_a_sense():
    memory, places, senses = lived(3)
    strong = senses.norm(dim=-1) > 0.5
    generator = torch.Generator().manual_seed(0)
    guesses = places + 30 * torch.randn(len(places), 2, generator=generator)
    corrected = torch.stack(
        [memory.read_location(z, g, 30.0)[0] for z, g in zip(senses, guesses, strict=True)]
    )
    before, after = ((x - places)[strong].norm(dim=-1).median() for x in (guesses, corrected))
    assert after < 0.6 * before


def test_read_location_is_a_weighted_mean():
    memory = SpatialMemory(2, 1)
    memory.write([[0.0, 0.0], [10.0, 0.0]], 1.0, [[0.0], [1.0]])
    place, sd = memory.read_location([0.5], [5.0, 0.0], 3.0, sense_sd=1.0)
    torch.testing.assert_close(place, torch.tensor([5.0, 0.0]))
    torch.testing.assert_close(sd, torch.tensor([26.0**0.5, 1.0]))
    share = 1 / (1 + np.exp(-0.5 / 0.2**2))
    place, _ = memory.read_location([0.0], [5.0, 0.0], 3.0, sense_sd=0.2)
    torch.testing.assert_close(place, torch.tensor([10.0 * (1 - share), 0.0], dtype=torch.float32))
    empty = SpatialMemory(2, 1)
    place, sd = empty.read_location([0.0], [5.0, 1.0], 3.0)
    assert place.tolist() == [5.0, 1.0]
    assert sd.tolist() == [3.0, 3.0]
