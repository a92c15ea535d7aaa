"""Observations that go: the script says what certified pruning and reads of the library say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.figures.node import answers, kilobytes
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget.greedy import ISOLATED, MAY_GO, NEEDED, OWN_ERROR
from tree_world.models.memory.forget.neighbours import PRUNING_LIMIT, Places
from tree_world.models.memory.forget.removal import Removal, in_few_axes
from tree_world.models.memory.types import Observations
from tree_world.plotting import data
from tree_world.plotting.data.pruning import NUMBER, TOLERANCES
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

SD, THRESHOLD, TOLERANCE = 10.0, 25.0, 0.16
STATES = 240
REASONS = {"may go": MAY_GO, "alone": ISOLATED, "not told": OWN_ERROR, "needed": NEEDED}
CLEAR = 0.005  # share of the tolerance by which an error is clearly on one side of it


def remembered(places: torch.Tensor, senses: torch.Tensor) -> SpatialMemory:
    memory = SpatialMemory(2, senses.shape[1], max_memory_size=len(places))
    memory.write(places, SD, senses)
    return memory


class Scene:
    """What the figure of the chapter shows, and its answers for states drawn by a seed."""

    def __init__(self) -> None:
        config = TreeWorldConfig()
        world = TreeWorld.random_from_config(config, seed=14)
        generator = torch.Generator().manual_seed(514)
        places = 100 * torch.randn(1024, 2, generator=generator)
        senses = SimpleSensor.from_config(config).sense(world, places)[1]
        memory = remembered(places, senses)
        self.world, self.memory = world, memory
        self.figure = data.pruning(memory, world, tolerance=TOLERANCE, match_threshold=THRESHOLD)
        nearest = places.norm(dim=1).argsort(stable=True)[:NUMBER].sort().values
        self.places, self.senses = places[nearest], senses[nearest]
        self.settings = self._drawn()
        self.found = answers("pruning", self.figure.data, self.settings)
        # What is drawn: the same, but for the last digits, which may decide who goes first.
        self.drawn_places = torch.tensor(self.figure.data["places"])
        self.drawn_scents = torch.tensor(self.figure.data["scents"])
        self.largest = float(self.senses.norm(dim=1).max())

    def _drawn(self) -> list[dict[str, Any]]:
        random = np.random.default_rng(5)
        low, high = np.log(TOLERANCES)
        settings: list[dict[str, Any]] = [
            {},
            {"steps": 0},
            {"steps": 0, "gone": list(range(NUMBER))},
            {"tolerance": TOLERANCES[0]},
            {"tolerance": TOLERANCES[1]},
            {"asked": [-80.0, 80.0], "gone": [0]},
        ]
        while len(settings) < STATES:
            by_hand = random.choice(NUMBER, random.integers(0, 30), replace=False)
            settings.append(
                {
                    "tolerance": float(np.exp(random.uniform(low, high))),
                    "steps": int(random.choice([0, NUMBER, random.integers(0, NUMBER + 1)])),
                    "gone": sorted(by_hand.tolist()) if random.random() < 0.7 else [],
                    "asked": random.uniform(-80, 80, 2).tolist(),
                }
            )
        return settings

    def each(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """States with all values, and answers."""
        start = {"tolerance": TOLERANCE, "steps": NUMBER, "gone": [], "asked": [0.0, 0.0]}
        return [
            (start | values, found) for values, found in zip(self.settings, self.found, strict=True)
        ]

    def errors(self, kept: np.ndarray) -> np.ndarray:
        """Of reads from what is left at all places; infinite where nothing is read."""
        if not kept.any():
            return np.full(len(kept), np.inf)
        left = torch.from_numpy(kept)
        read = remembered(self.places[left], self.senses[left]).read_with_support(
            self.places, SD, THRESHOLD
        )
        error = (read.mean - self.senses).norm(dim=1)
        return error.masked_fill(~read.known, torch.inf).numpy()


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def as_numbers(errors: list[float | None]) -> np.ndarray:
    return np.array([np.inf if error is None else error for error in errors])


def differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Infinity is no different from infinity."""
    assert (np.isinf(one) == np.isinf(other)).all()
    known = np.isfinite(one)
    return np.abs(one[known] - other[known])


def test_the_rule_takes_away_what_the_library_does(scene: Scene) -> None:
    other = 0
    for values, found in scene.each():
        memory = remembered(scene.drawn_places, scene.drawn_scents)
        memory.prune(values["tolerance"], THRESHOLD, target_size=NUMBER - values["steps"])
        left = set(range(NUMBER)) - set(found["byRule"])
        other += left != set(memory.ids[0].tolist())
    assert other <= 0.02 * STATES


def test_from_smells_in_full_as_many_go(scene: Scene) -> None:
    """Digits decide who goes first now and then, and little hangs on that."""
    kept = {}
    for tolerance in (*TOLERANCES, TOLERANCE):
        memory = remembered(scene.places, scene.senses)
        kept[tolerance] = memory.prune(tolerance, THRESHOLD).num_kept
    found = answers("pruning", scene.figure.data, [{"tolerance": one} for one in kept])
    assert [NUMBER - one["canGo"] for one in found] == list(kept.values())


def test_errors_are_those_of_reads(scene: Scene) -> None:
    worst = 0.0
    for values, found in scene.each():
        kept = np.array(found["kept"], dtype=bool)
        expected = np.ones(NUMBER, dtype=bool)
        expected[found["byRule"] + values["gone"]] = False
        assert (kept == expected).all()
        errors, theirs = scene.errors(kept), as_numbers(found["errors"])
        worst = max(worst, differences(theirs, errors).max(initial=0.0))
        if kept.all():
            assert found["worst"] == -1
        else:
            greatest = errors[~kept].max()
            assert not kept[found["worst"]]
            assert np.isclose(errors[found["worst"]], greatest, atol=1e-3)
    assert worst < 1e-3 * scene.largest


def test_what_may_go_and_why_the_rest_stays(scene: Scene) -> None:
    """Reasons are those that the library itself works with."""
    sds = torch.full_like(scene.drawn_places, SD)
    everything = Observations(scene.drawn_places, sds, scene.drawn_scents)
    places, senses = Places.of(everything), in_few_axes(everything.senses)
    other = 0
    for values, found in scene.each():
        kept = np.array(found["kept"], dtype=bool)
        limits = np.full(NUMBER, values["tolerance"])
        removal = Removal.starting(places, senses, kept, NUMBER, limits, THRESHOLD, PRUNING_LIMIT)
        reasons = removal.costs()[1]
        theirs = np.array([REASONS.get(reason, -1) for reason in found["reasons"]])
        assert ((theirs == -1) == ~kept).all()
        differs = np.flatnonzero(kept & (theirs != reasons))
        other += len(differs) > 0
        assert all(is_close(scene, kept, at, values["tolerance"]) for at in differs.tolist())
    assert other <= 0.02 * STATES


def is_close(scene: Scene, kept: np.ndarray, at: int, tolerance: float) -> bool:
    """Whether an error without it is so near to the tolerance that digits decide."""
    without = kept.copy()
    without[at] = False
    errors = scene.errors(without)[~without]
    return bool((np.abs(errors / tolerance - 1) < CLEAR).any())


def test_witnesses_are_told_worst(scene: Scene) -> None:
    random = np.random.default_rng(6)
    asked = 0
    for values, found in scene.each():
        kept = np.array(found["kept"], dtype=bool)
        needed = np.flatnonzero(np.array(found["reasons"]) == "needed")
        assert all((found["witnesses"][t] >= 0) == (t in needed) for t in range(NUMBER))
        for t in random.permutation(needed)[:3].tolist():
            without = kept.copy()
            without[t] = False
            errors = scene.errors(without)
            near = (scene.places - scene.places[t]).norm(dim=1).numpy() <= THRESHOLD
            of_witness = as_numbers([found["witnessErrors"][t]])[0]
            witness = found["witnesses"][t]
            assert not kept[witness]
            assert near[witness]
            assert np.isclose(errors[witness], of_witness, rtol=5e-3, atol=1e-4)
            greatest = errors[near & ~kept].max()
            assert np.isclose(greatest, of_witness, rtol=5e-3, atol=1e-4)
            assert greatest > (1 - CLEAR) * values["tolerance"]
            asked += 1
    assert asked > 200


def test_the_nearest_is_asked(scene: Scene) -> None:
    for values, found in scene.each():
        distance = (scene.places - torch.tensor(values["asked"])).norm(dim=1)
        assert float(distance[found["asked"]]) == pytest.approx(float(distance.min()), abs=1e-2)


def test_it_is_small(scene: Scene) -> None:
    assert kilobytes(scene.figure.data) < 25


def refused(memory: SpatialMemory, world: TreeWorld, words: str, **changed: float) -> None:
    given: dict[str, Any] = {"tolerance": 0.1, "match_threshold": 25.0} | changed
    with pytest.raises(ValueError, match=words):
        data.pruning(memory, world, **given)


def test_bad_input_is_refused(scene: Scene) -> None:
    refused(scene.memory, scene.world, "tolerance must be from", tolerance=0.7)
    refused(scene.memory, scene.world, "match_threshold must", match_threshold=-1.0)
    refused(scene.memory, scene.world, "number must", number=1)
    refused(remembered(scene.places[:1], scene.senses[:1]), scene.world, "holds 1, of 2")
    two = SpatialMemory(2, 384)
    two.write(scene.places[:2], [[SD], [3.0]], scene.senses[:2])
    refused(two, scene.world, "one deviation")
    line = SpatialMemory(1, 384)
    line.write([[0.0], [1.0]], SD, scene.senses[:2])
    refused(line, scene.world, "1 dimensions")
    other = scene.senses[:2] + torch.eye(384)[:2]
    refused(remembered(scene.places[:2], other), scene.world, "span of the basis")
