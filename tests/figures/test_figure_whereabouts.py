"""The figure of whereabouts answers as the localiser does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.figures.node import answers, kilobytes
from tree_world.models.memory import SpatialMemory
from tree_world.models.places.localiser import Localiser, Posterior
from tree_world.plotting import PAPER_TO_LEAF, dark
from tree_world.plotting.data import TouchableFigure
from tree_world.plotting.data.whereabouts import whereabouts
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

STATES = 220
SD, READ_SD, THRESHOLD = 10.0, 5.0, 50.0
CONFIG = TreeWorldConfig()
SENSOR = SimpleSensor.from_config(CONFIG)


class Case:
    """A world, its memory and localiser, what the figure is given, and what both answer."""

    def __init__(self) -> None:
        self.world = TreeWorld.random_from_config(CONFIG, seed=14)
        generator = torch.Generator().manual_seed(214)
        self.memory = self.remembering(130 * torch.randn(600, 2, generator=generator))
        self.localiser = self.located_by(self.memory)
        self.figure = self.make()
        self.settings = settings()
        self.answers = answers("whereabouts", self.figure.data, self.settings)
        places = self.localiser.places.double().numpy().round(2)
        self.order = np.lexsort((places[:, 0], places[:, 1]))  # row by row, as the figure's
        self.wanted = [self.posterior(setting) for setting in self.settings]

    def remembering(self, places: torch.Tensor) -> SpatialMemory:
        memory = SpatialMemory(2, CONFIG.sensory_embedding_dim)
        memory.write(places, SD, SENSOR.sense(self.world, places).embedding)
        return memory

    def located_by(self, memory: SpatialMemory, **changed: Any) -> Localiser:
        return Localiser(memory, **{"location_sd": READ_SD, "match_threshold": THRESHOLD} | changed)

    def make(self, **changed: Any) -> TouchableFigure:
        given = {
            "localiser": self.localiser,
            "memory": self.memory,
            "world": self.world,
            "sensor": SENSOR,
            "place": [60.0, -40.0],
            "location_sd": READ_SD,
            "match_threshold": THRESHOLD,
        }
        return whereabouts(**given | changed)

    def posterior(self, setting: dict[str, Any]) -> Posterior:
        smell = SENSOR.sense(self.world, setting["place"]).embedding
        if not setting["guessed"]:
            return self.localiser.locate(smell)
        normals, sd = np.array(self.figure.data["guess_normals"]), setting["guess_sd"]
        return self.localiser.locate(smell, np.array(setting["place"]) + sd * normals, sd)


def settings() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"place": [x, y], "guessed": guessed, "guess_sd": sd}
        for x, y in ((60.0, -40.0), (500.0, -500.0), (-500.0, 0.0))
        for guessed, sd in ((False, 30.0), (True, 10.0), (True, 200.0))
    ]
    generator = np.random.default_rng(5)
    while len(found) < STATES:
        wide, guessed = generator.integers(2, size=2)
        place = generator.uniform(-500, 500, 2) if wide else 130 * generator.standard_normal(2)
        sd = float(np.exp(generator.uniform(np.log(10), np.log(200))))
        found.append({"place": place.tolist(), "guessed": bool(guessed), "guess_sd": sd})
    return found


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


def test_the_posterior_is_that_of_the_localiser(case: Case) -> None:
    assert len(case.answers) == STATES
    for setting, answer, wanted in zip(case.settings, case.answers, case.wanted, strict=True):
        p = wanted.probabilities.double().numpy()[case.order]
        assert len(answer["probabilities"]) == len(p)  # the same cells are known
        assert np.abs(p - answer["probabilities"]).max() < 0.005 * p.max(), setting
        assert answer["entropy"] == pytest.approx(wanted.entropy, abs=0.01)


def test_cells_have_the_colours_of_the_chapter_s_figure(case: Case) -> None:
    dark_paper = case.figure.data["colours"]["dark"]["paper"]
    on_dark = answers(
        "whereabouts", case.figure.data, [one | {"paper": dark_paper} for one in case.settings[:20]]
    )
    for given, scale in (
        (case.answers, PAPER_TO_LEAF),
        (on_dark, dark.COLORMAPS[PAPER_TO_LEAF.name]),
    ):
        for answer in given:
            p = np.array(answer["probabilities"])
            drawn = scale(p / p.max())[:, :3]
            assert np.abs(drawn - answer["colours"]).max() <= 2 / 255


def test_the_single_answer_is_that_of_the_localiser(case: Case) -> None:
    unsure = 0
    for setting, answer, wanted in zip(case.settings, case.answers, case.wanted, strict=True):
        second, first = np.sort(wanted.probabilities.double().numpy())[-2:]
        if first - second < 0.005 * first:  # either may be the most probable cell
            unsure += 1
            continue
        assert np.abs(wanted.peak.numpy() - answer["peak"]).max() < 0.1, setting
        to_truth = float((wanted.peak.double() - torch.tensor(setting["place"])).norm())
        assert answer["error"] == pytest.approx(to_truth, abs=0.15)
    assert unsure <= 0.02 * STATES


def differing(case: Case, tells: Callable[[Any, Any, Posterior], bool]) -> int:
    """In how many states figure and localiser disagree."""
    pairs = zip(case.settings, case.answers, case.wanted, strict=True)
    return sum(not tells(setting, answer, wanted) for setting, answer, wanted in pairs)


def test_the_region_is_that_of_the_localiser(case: Case) -> None:
    for answer, wanted in zip(case.answers, case.wanted, strict=True):
        region = wanted.region.numpy()[case.order]
        p = wanted.probabilities.double().numpy()[case.order]
        # Of the last cells that are let in, some are as probable as those that are not.
        unlike = np.array(answer["region"]) != region
        assert (np.abs(p[unlike] - p[region].min()) < 0.005 * p.max()).all()
        assert answer["area"] == pytest.approx(wanted.area, rel=0.02, abs=150)
    assert differing(case, lambda _, answer, wanted: answer["area"] == wanted.area) < 0.1 * STATES


def test_verdicts_are_those_of_the_localiser(case: Case) -> None:
    def told(_: Any, answer: dict[str, Any], wanted: Posterior) -> bool:
        return answer["identifiable"] == wanted.identifiable

    def held(setting: dict[str, Any], answer: dict[str, Any], wanted: Posterior) -> bool:
        return answer["holds"] == case.localiser.holds(wanted, setting["place"])

    verdicts = [answer["identifiable"] for answer in case.answers]
    assert 20 < sum(verdicts) < STATES - 20  # both kinds are met
    assert 20 < sum(answer["holds"] for answer in case.answers) < STATES - 20
    assert differing(case, told) <= 0.02 * STATES
    assert differing(case, held) <= 0.02 * STATES


def test_the_state_is_small(case: Case) -> None:
    assert kilobytes(case.figure.data) < 70


def test_bad_input_is_refused(case: Case) -> None:
    generator = torch.Generator().manual_seed(1)
    places = 50 * torch.randn(60, 2, generator=generator)
    other = case.remembering(places)
    for changed in (
        {"memory": other},
        {"location_sd": 2 * READ_SD},
        {"match_threshold": THRESHOLD + 50.0},
        {"localiser": case.located_by(case.memory, order="constant")},
    ):
        with pytest.raises(ValueError, match="answers otherwise"):
            case.make(**changed)
    wrong = SpatialMemory(2, CONFIG.sensory_embedding_dim)
    wrong.write(places, SD, SENSOR.sense(case.world, places).embedding + 0.1)
    with pytest.raises(ValueError, match="smells again"):
        case.make(memory=wrong)
    uneven = SpatialMemory(2, CONFIG.sensory_embedding_dim)
    sds = torch.tensor([[5.0, 6.0]]).expand(60, 2)
    uneven.write(places, sds, SENSOR.sense(case.world, places).embedding)
    with pytest.raises(ValueError, match="one deviation"):
        case.make(memory=uneven)
    for name in ("location_sd", "match_threshold", "guess_sd", "half_width"):
        with pytest.raises(ValueError, match=name):
            case.make(**{name: 0.0})
    with pytest.raises(ValueError, match="place"):
        case.make(place=[0.0, 1.0, 2.0])
