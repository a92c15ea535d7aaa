"""From a sense to a place: calibrated, better than the nearest sense, and honest."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from tree_world.evaluation import paired_difference
from tree_world.models.memory import SpatialMemory
from tree_world.models.places.localiser import Localiser
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


def test_six_worlds():
    coverage, ours, nearest, gains = [], [], [], []
    for seed in range(6):
        memory, places, senses = lived(seed)
        # Cells that are fewer by half.
        localiser = Localiser(memory, spacing=15.0, match_threshold=50.0)
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
    return Localiser(lived(0)[0], match_threshold=50.0)


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


def around(number=300, seed=0):
    return 100 * torch.randn(number, 2, generator=torch.Generator().manual_seed(seed))


def taught(places, senses, **options):
    memory = SpatialMemory(2, senses.shape[-1], max_memory_size=1000, **options)
    memory.write(places, 5.0, senses)
    return memory


def test_numbers_come_in_any_precision_and_mean_the_same():
    places = around()
    memory = taught(places, torch.cat([(places / 50).sin(), (places / 50).cos()], dim=-1))
    names = ("spacing", "match_threshold", "location_sd", "largest_area")
    expected = Localiser(memory, **dict.fromkeys(names, 25.0), credibility=0.5)
    sense, guess = [0.1, 0.2, 0.9, 0.9], [10.0, 20.0]
    told = expected.locate(sense, guess, [25.0, 25.0])
    for number in (np.int8(25), np.float16(25), torch.tensor(25.0), Fraction(25), Decimal(25)):
        half = {"credibility": Fraction(1, 2)}
        found = Localiser(memory, **dict.fromkeys(names, number), **half)
        assert torch.equal(found.places, expected.places)
        assert (found.width, found.largest_area) == (expected.width, expected.largest_area)
        for sd in (number, [number] * 2, np.array([25, 25], dtype=">f8")):
            again = found.locate(sense, guess, sd)
            assert torch.equal(again.probabilities, told.probabilities)


@pytest.mark.parametrize("name", ["spacing", "match_threshold", "credibility", "largest_area"])
def test_what_is_no_number_is_refused_by_name(name):
    memory = taught(around(60), around(60))
    for wrong in (True, "25", 25j, [1.0, 2.0], math.nan, -1.0, None):
        if wrong is None and name in ("match_threshold", "largest_area"):
            continue
        with pytest.raises(ValueError, match=f"{name} must"):
            Localiser(memory, **{name: wrong})


def test_what_is_no_deviation_of_a_guess_is_refused():
    localiser = Localiser(taught(around(60), around(60)), match_threshold=50.0)
    for wrong in (
        0.0,
        -1.0,
        math.nan,
        math.inf,
        "far",
        5j,
        True,
        np.ma.masked_array([5.0, 5.0], mask=[True, False]),
    ):
        with pytest.raises(ValueError, match="guess_sd must be"):
            localiser.locate([0.0, 0.0], [0.0, 0.0], wrong)
    with pytest.raises(ValueError, match="one number for each of the 2 dimensions of senses"):
        localiser.locate([0.0, 0.0, 0.0])


@pytest.mark.parametrize("sense", [[0.0, 0.0, 0.0], [0.3, -7.1, 1e3], [1e-9, 0.0, 0.0]])
@pytest.mark.parametrize("order", ["constant", "linear"])
def test_where_all_smells_alike_all_places_are_equally_probable(sense, order):
    memory = taught(around(), torch.tensor(sense).expand(300, 3))
    localiser = Localiser(memory, order=order, match_threshold=50.0)
    for smell in (sense, [5.0, 5.0, 5.0]):
        posterior = localiser.locate(smell)
        number = len(localiser.places)
        torch.testing.assert_close(posterior.probabilities, torch.full((number,), 1 / number))
        assert posterior.entropy == pytest.approx(np.log2(number), abs=1e-6)
        assert not posterior.identifiable
        torch.testing.assert_close(posterior.mean, localiser.places.mean(dim=0), atol=0.1, rtol=0)
    guessed = localiser.locate(sense, [20.0, 10.0], 10.0)
    assert guessed.identifiable  # by the guess
    torch.testing.assert_close(guessed.peak, torch.tensor([20.0, 10.0]), atol=1.0, rtol=0)


def test_all_alike_is_not_told_however_small_the_memory_is():
    memory = taught(around() / 100, torch.ones(300, 3))
    posterior = Localiser(memory, match_threshold=50.0).locate([1.0, 1.0, 1.0])
    assert not posterior.identifiable


def test_without_a_threshold_all_of_the_box_is_told_of():
    places = around()
    places = places[places.norm(dim=-1) > 60.0]  # there is a hole in the middle
    memory = taught(places, torch.cat([(places / 50).sin(), (places / 50).cos()], dim=-1))
    everywhere, near = Localiser(memory), Localiser(memory, match_threshold=15.0)
    span = places.amax(dim=0) - places.amin(dim=0)
    assert len(everywhere.places) == (span / 10.0 + 1).ceil().prod()
    assert everywhere.places.norm(dim=-1).min() < 10.0
    assert near.places.norm(dim=-1).min() > 40.0
    assert len(near.places) < len(everywhere.places)
    posterior = everywhere.locate(memory.memory_senses[0, 7])
    assert posterior.places is everywhere.places
    assert posterior.spacing == 10.0


def test_neighbours_that_are_all_alike_tell_their_half():
    """No read has any spread: the smell is one of two, far from each other."""
    places = around() * 0.2
    left = torch.arange(300) < 150
    places[left] -= 500.0
    senses = torch.where(left[:, None], torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    localiser = Localiser(taught(places, senses), match_threshold=50.0)
    posterior = localiser.locate([1.0, 0.0])
    assert torch.isfinite(posterior.probabilities).all()
    there = localiser.places[:, 0] < -250
    assert posterior.probabilities[there].sum() > 0.999
    assert posterior.probabilities[there].max() < 2 / there.sum()
    assert torch.isfinite(localiser.locate([0.5, 0.5]).probabilities).all()
    assert torch.isfinite(localiser.locate([100.0, -100.0]).probabilities).all()


@pytest.fixture(scope="module")
def located():
    """Places, what is sensed there, and where the eighth sense is located."""
    places = around()
    senses = torch.stack([f(places / 50) for f in (torch.sin, torch.cos)], dim=1).flatten(1)
    senses = torch.cat([senses, senses[:, :1] - senses[:, 1:2]], dim=1)  # four numbers in five
    return places, senses, Localiser(taught(places, senses), match_threshold=50.0).locate(senses[7])


@pytest.mark.parametrize("default", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(
    "kind",
    [{}, {"dtype": torch.float64}, {"storage_dtype": torch.float16}, {"embed_dim": 4}],
    ids=str,
)
def test_precision_is_that_of_the_memory(located, default, inference, kind):
    places, senses, expected = located
    torch.set_default_dtype(default)
    try:
        with torch.inference_mode(inference):
            localiser = Localiser(taught(places, senses, **kind))
            posterior = localiser.locate(senses[7])
            guessed = localiser.locate(senses[7].tolist(), places[7].tolist(), 20.0)
            assert localiser.holds(posterior, places[7].tolist())
    finally:
        torch.set_default_dtype(torch.float32)
    wanted = kind.get("dtype", torch.float32)
    for tensor in (localiser.places, posterior.probabilities, posterior.mean, guessed.peak):
        assert tensor.dtype == wanted
    assert (guessed.peak - places[7]).norm() < 20.0
    torch.testing.assert_close(posterior.peak.float(), expected.peak, atol=3.0, rtol=0)


def test_of_a_batch_one_row_is_meant():
    places, others = around(), around(seed=1) + 1000.0
    senses = torch.cat([(places / 50).sin(), (places / 50).cos()], dim=-1)
    batch = taught(torch.stack([places, others]), torch.stack([senses, senses]))
    batch[1].delete(batch.ids[1][200:])
    for row, alone in enumerate(
        (taught(places, senses), taught(others[:200], senses[:200])),
    ):
        expected, found = (
            Localiser(alone, match_threshold=50.0),
            Localiser(batch[row], match_threshold=50.0),
        )
        torch.testing.assert_close(found.places, expected.places)
        assert found.width == expected.width
        torch.testing.assert_close(
            found.locate(senses[3]).probabilities, expected.locate(senses[3]).probabilities
        )
    batch[1].delete(batch.ids[1][40:200])
    with pytest.raises(ValueError, match="but there are 40"):
        Localiser(batch[1])


def test_wrong_input_is_refused(localiser):
    with pytest.raises(ValueError, match="sense must have shape"):
        localiser.locate(torch.zeros(3))
    with pytest.raises(ValueError, match="guess_sd"):
        localiser.locate(torch.zeros(384), [0.0, 0.0])
    with pytest.raises(ValueError, match="none was given"):
        localiser.locate(torch.zeros(384), None, 3.0)
    with pytest.raises(ValueError, match="one sense"):
        localiser.locate(torch.zeros(2, 384))
    with pytest.raises(ValueError, match="guess must be one place"):
        localiser.locate(torch.zeros(384), [[0.0, 0.0], [1.0, 1.0]], 3.0)
    with pytest.raises(ValueError, match="guess must be one place"):
        localiser.locate(torch.zeros(384), [0.0, 0.0], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="no number can say"):
        localiser.locate(torch.zeros(384), [1e200, 0.0], 1e-200)
    with pytest.raises(ValueError, match="guess_sd must be positive"):
        localiser.locate(torch.zeros(384), [0.0, 0.0], 0.0)
    few = SpatialMemory(2, 3)
    few.write(torch.randn(10, 2), 1.0, torch.randn(10, 3))
    with pytest.raises(ValueError, match="at least 50"):
        Localiser(few)
    few.write(torch.randn(90, 2), 1.0, torch.randn(90, 3))
    with pytest.raises(ValueError, match="credibility"):
        Localiser(few, credibility=1.0)
    with pytest.raises(ValueError, match=r"within match_threshold, 0.001 m.*cell of 10.0 m"):
        Localiser(few, match_threshold=1e-3)


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


def test_a_sense_far_from_all_leaves_a_guess_its_digits():
    memory = taught(around(), torch.ones(len(around()), 4))
    guess, sd = [3.0, -2.0], 5.0
    localiser = Localiser(memory, match_threshold=50.0)
    expected = (
        memory.read_location(torch.ones(4), guess, sd),
        localiser.locate(torch.ones(4), guess, sd),
    )
    for far in (1e9, 1e18):
        found = memory.read_location(far * torch.ones(4), guess, sd)
        torch.testing.assert_close(found, expected[0])
        posterior = localiser.locate(far * torch.ones(4), guess, sd)
        torch.testing.assert_close(posterior.probabilities, expected[1].probabilities)


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
    guess = torch.tensor([5.0, 1.0])
    empty.read_location([0.0], guess, 3.0)[0].zero_()
    assert guess.tolist() == [5.0, 1.0]
