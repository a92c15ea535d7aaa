"""The figure of bias and variance: script and library say the same."""

import math

import numpy as np
import pytest
import torch

from tests.figures.node import answers, kilobytes
from tree_world.models.memory import SpatialMemory
from tree_world.plotting import data
from tree_world.plotting.data.bandwidth import MOST_NOISE, NUMBERS, RANGE
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

HALF_WIDTH, NOISE_SD, STORED_SD = 200.0, 0.05, 1.0
SENSOR = SimpleSensor()
WORLD = TreeWorld.random_from_config(TreeWorldConfig(), seed=14)
GENERATOR = torch.Generator().manual_seed(200)
PLACES = HALF_WIDTH * (2 * torch.rand(max(NUMBERS), 2, generator=GENERATOR) - 1)
NOISE = torch.randn(max(NUMBERS), generator=GENERATOR)


def made(**changed):
    given = {"places": PLACES, "noise": NOISE, "noise_sd": NOISE_SD, "bandwidth": 13.0}
    return data.bandwidth(WORLD, SENSOR, **given | {"half_width": HALF_WIDTH} | changed)


@pytest.fixture(scope="module")
def figure():
    return made()


def settings(number):
    random = np.random.default_rng(0)
    ends = [
        {"bandwidth": bandwidth, "number": index, "noise": noise}
        for bandwidth in (RANGE[0], 13.0, RANGE[1])
        for index in range(len(NUMBERS))
        for noise in (0.0, MOST_NOISE * NOISE_SD)
    ]
    drawn = [
        {
            "bandwidth": float(np.exp(random.uniform(*np.log(RANGE)))),
            "number": int(random.integers(len(NUMBERS))),
            "noise": float(random.uniform(0, MOST_NOISE * NOISE_SD)),
        }
        for _ in range(number - len(ends))
    ]
    return ends + drawn


def test_every_answer_is_that_of_the_library(figure):
    asked = settings(210)
    places, line = (torch.tensor(figure.data[name]) for name in ("places", "line"))
    noise = torch.tensor(figure.data["noise"], dtype=torch.float64)
    smelled, truth = (SENSOR.sense(WORLD, there).embedding for there in (places, line))
    drawn = int(truth.double().var(dim=0).argmax())
    noisy = torch.cat([smelled, noise[:, None].float()], dim=-1)  # the noise is read as well
    memories = []
    for number in NUMBERS:
        memory = SpatialMemory(2, noisy.shape[1], max_memory_size=number)
        memory.write(places[:number], STORED_SD, noisy[:number])
        memories.append(memory)
    for values, found in zip(asked, answers("bandwidth", figure.data, asked), strict=True):
        memory = memories[values["number"]]
        sd = math.sqrt(values["bandwidth"] ** 2 - STORED_SD**2)
        read = memory.read_with_support(line, sd)
        mean, of_noise = read.mean[:, :-1].double(), read.mean[:, -1].double()
        squared_weights = 1 / read.effective_sample_size.double()
        bias = mean - truth
        largest = float(truth.double()[:, drawn].abs().max())
        one = mean[:, drawn].numpy()
        np.testing.assert_allclose(found["truth"], truth[:, drawn], atol=1e-3 * largest)
        np.testing.assert_allclose(found["expected"], one, atol=1e-3 * largest)
        by_noise = values["noise"] * of_noise.numpy()
        np.testing.assert_allclose(found["read"], one + by_noise, atol=2e-3 * largest)
        deviation = values["noise"] * squared_weights.sqrt().numpy()
        np.testing.assert_allclose(found["sd"], deviation, rtol=1e-3)
        squared_bias = float(bias.square().sum(dim=-1).mean())
        assert found["squared_bias"] == pytest.approx(squared_bias, rel=2e-3)
        variance = smelled.shape[1] * values["noise"] ** 2 * float(squared_weights.mean())
        assert found["variance"] == pytest.approx(variance, rel=1e-3)
        assert found["error"] == pytest.approx(math.sqrt(squared_bias + variance), rel=2e-3)
        assert found["effective_number"] == pytest.approx(
            1 / float(squared_weights.mean()), rel=1e-3
        )
        by_formula = len(memory) * 4 * math.pi * values["bandwidth"] ** 2 / (2 * HALF_WIDTH) ** 2
        assert found["effective_by_formula"] == pytest.approx(by_formula)


def test_the_points_lie_on_the_curves(figure):
    state = figure.data
    asked = [
        {"bandwidth": bandwidth, "number": number}
        for number in range(len(state["numbers"]))
        for bandwidth in state["bandwidths"]
    ]
    found = answers("bandwidth", state, asked)
    s2 = state["numbers_of_a_smell"] * NOISE_SD**2
    np.testing.assert_allclose(
        [one["squared_bias"] for one in found], np.ravel(state["squared_bias"]), rtol=2e-3
    )
    np.testing.assert_allclose(
        [one["variance"] for one in found], s2 * np.ravel(state["squared_weights"]), rtol=2e-3
    )


def test_many_draws_of_noise_vary_as_is_said(figure):
    """Of whole smells with noise in each number: bias² and variance add up to the mean error."""
    values = {"bandwidth": 9.0, "number": 2, "noise": 0.1}
    (found,) = answers("bandwidth", figure.data, [values])
    places, line = (torch.tensor(figure.data[name]) for name in ("places", "line"))
    places = places[: NUMBERS[values["number"]]]
    smelled, truth = (SENSOR.sense(WORLD, there).embedding for there in (places, line))
    generator = torch.Generator().manual_seed(0)
    errors = []
    for _ in range(60):
        memory = SpatialMemory(2, smelled.shape[1])
        noise = values["noise"] * torch.randn(smelled.shape, generator=generator)
        memory.write(places, STORED_SD, smelled + noise)
        read = memory.read(line, math.sqrt(values["bandwidth"] ** 2 - STORED_SD**2))
        errors.append(float((read - truth).square().sum(dim=-1).mean()))
    spread = 4 * np.std(errors) / math.sqrt(len(errors))
    assert abs(np.mean(errors) - found["squared_bias"] - found["variance"]) < spread


def test_the_state_is_small(figure):
    assert kilobytes(figure.data) <= 25


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"places": PLACES[:100]}, "at least 2048 places"),
        ({"noise": NOISE[:7]}, "a number of noise for each"),
        ({"places": 1.1 * PLACES}, "square of"),
        ({"half_width": 50.0}, "half_width must be more than 60 m"),
        ({"bandwidth": 3.0}, "from 4 to 45 m"),
        ({"numbers": (64, 64)}, "must rise"),
        ({"numbers": ()}, "must rise"),
        ({"noise_sd": 0.0}, "noise_sd"),
    ],
)
def test_what_cannot_be_shown_is_refused(changed, told):
    with pytest.raises(ValueError, match=told):
        made(**changed)
