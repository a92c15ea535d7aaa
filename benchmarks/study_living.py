"""How long an agent lives by its memory, in which worlds, and what each part of it is worth.

Usage: ``python -m benchmarks.study_living [OPTION ...] [NAME ...]``, all by default; an hour and a
half on one core. Foragers live in real worlds, by real memories. All worlds are those of the seeds
2,000 to 2,047, on which nothing was chosen.

``survival`` tells of lives in five kinds of worlds, ``long`` of lives of 100,000 steps, ``parts``
of foragers with one part exchanged, and of those of the first chapter beside them, ``drift`` of
foragers that are wrong about where they are.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.agents import (
    ByDrive,
    ByMouth,
    Drawn,
    Forager,
    Habits,
    Learned,
    Nearest,
    Told,
    Wandering,
)
from tree_world.agents.worth import FOOD
from tree_world.models.drives import DRIVES, DriveClassifier, train_drive_classifier
from tree_world.models.memory.policy import ForgettingPolicy
from tree_world.simulation import (
    Action,
    Body,
    Exploring,
    Percept,
    Resting,
    TreeWorld,
    TreeWorldConfig,
)

RESULTS = results_file("living")

SEEDS = range(2000, 2048)
STEPS = 5000
LONG = 100_000
AT_ONCE = 12  # lives in a part
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)  # of a step, by which it errs
DRIFT = "drift "  # begins the name of who errs, before the share

KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "15 trees": {"num_trees": 15},
    "12 trees": {"num_trees": 12},
    "10 trees": {"num_trees": 10},
    "spacing 150": {"tree_spacing": 150.0},
}
SMALL = ForgettingPolicy(208, 160, 0.5, 25.0, in_background=False)
"""With 48 sights, no more than 256 observations are kept."""


class Anything(ByMouth):
    """Takes every tree for food, until that one has harmed: it learns nothing of the others."""

    def tasted(self, sense: np.ndarray, worth: float) -> None:
        """Learn nothing."""


def edible(classifier: DriveClassifier) -> np.ndarray:
    """Give what sets edible trees apart, to a classifier."""
    weight = classifier.drive_embeddings.weight.detach().numpy()
    others = np.delete(weight, DRIVES["edible"], axis=0)
    difference: np.ndarray = weight[DRIVES["edible"]] - others.mean(axis=0)
    return difference


FORAGERS: dict[str, Callable[[DriveClassifier], Forager]] = {
    "told": lambda drives: Forager(lambda: ByDrive(drives)),
    "learned": lambda drives: Forager(lambda: ByDrive(drives), Learned),
    "poison by mouth": lambda drives: Forager(ByMouth),
    "all learned": lambda drives: Forager(ByMouth, Learned),
    "every tree is food": lambda drives: Forager(Anything),
    "no map": lambda drives: Forager(lambda: ByDrive(drives), exploring=Wandering()),
    "a dull nose": lambda drives: Forager(lambda: ByDrive(drives), faintest=0.3),
    "no time": lambda drives: Forager(lambda: ByDrive(drives), lambda: Told(regrowth_steps=60)),
    "to the nearest": lambda drives: Forager(lambda: ByDrive(drives), choosing=Nearest()),
    "to a place drawn": lambda drives: Forager(
        lambda: ByDrive(drives), choosing=Drawn(edible(drives))
    ),
    "straight on": lambda drives: Forager(lambda: ByDrive(drives), habits=Habits(goes_round=False)),
    "256 observations, by policy": lambda drives: Forager(
        lambda: ByDrive(drives), max_smells=208, max_sights=48, forgetting=SMALL
    ),
    "256 observations, the newest": lambda drives: Forager(
        lambda: ByDrive(drives), max_smells=208, max_sights=48
    ),
}


class Drifting:
    r"""An agent whose own place is what it makes of its steps, each of which errs.

    Of a step :math:`\Delta` it notes :math:`\Delta + p \lVert \Delta \rVert \varepsilon`, ε being
    standard normal in the plane. Nothing corrects its place, but that it starts at the right one.

    Parameters
    ----------
    forager : Forager
    share : float
        The share p of a step by which it errs.
    seed : int
        Of the errors.
    """

    def __init__(self, forager: Forager, share: float, seed: int) -> None:
        self.forager, self.share, self.seed = forager, share, seed
        self.reset()

    def reset(self) -> None:
        """Begin a life where it is."""
        self.forager.reset()
        self._generator = torch.Generator().manual_seed(self.seed)
        self._was: torch.Tensor | None = None
        self._error = torch.zeros(2)

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """See `AgentModel.act`."""
        if self._was is not None:
            length = torch.linalg.vector_norm(body.position - self._was)
            self._error += self.share * length * torch.randn(2, generator=self._generator)
        self._was = body.position
        body = dataclasses.replace(body, position=body.position + self._error)
        return self.forager.act(percept, body, meal, generator=generator)


Model = Forager | Drifting | Resting | Exploring

WALKERS: dict[str, Callable[[], Resting | Exploring]] = {"resting": Resting, "exploring": Exploring}
PARTS = [name for name in FORAGERS if name != "told"]


def survival(
    part: Part,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    kinds: Sequence[str] = tuple(KINDS),
) -> dict[str, Any]:
    """Lives of foragers that are told the constants of their worlds."""
    return {
        "seeds": list(seeds),
        "steps": steps,
        "kinds": _lives(part, {kind: (kind, "told") for kind in kinds}, seeds, steps),
    }


def parts(
    part: Part,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    names: Sequence[str] = (*PARTS, *WALKERS),
) -> dict[str, Any]:
    """Lives of foragers with one part exchanged, in default worlds."""
    return {
        "seeds": list(seeds),
        "steps": steps,
        "foragers": _lives(part, {name: ("default", name) for name in names}, seeds, steps),
    }


def long(part: Part, seeds: Sequence[int] = SEEDS, steps: int = LONG) -> dict[str, Any]:
    """Long lives in default worlds."""
    found = _lives(part, {"told": ("default", "told")}, seeds, steps, 4)
    return {"seeds": list(seeds), "steps": steps} | found["told"]


def drift(
    part: Part,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    shares: Sequence[float] = SHARES,
) -> dict[str, Any]:
    """Lives in default worlds of foragers whose steps err by so much."""
    who = {share: ("default", f"{DRIFT}{share}") for share in shares}
    return {
        "seeds": list(seeds),
        "steps": steps,
        "shares": list(shares),
        "lives": list(_lives(part, who, seeds, steps).values()),
    }


def _lives(
    part: Part,
    who: Mapping[Any, tuple[str, str]],
    seeds: Sequence[int],
    steps: int,
    at_once: int = AT_ONCE,
) -> dict[Any, dict[str, Any]]:
    """Live in all worlds of a kind by a name, in parts of so many.

    Columns hold a number for each world.
    """
    groups = [list(seeds[first : first + at_once]) for first in range(0, len(seeds), at_once)]
    calls = {
        f"{kind}, {name}, {steps} steps, seeds {some}": (kind, name, some, steps)
        for kind, name in who.values()
        for some in groups
    }
    rows = iter(part.each(lives, calls))
    found = {}
    for key in who:
        lived = [life for _ in groups for life in next(rows)]
        columns = {what: [life[what] for life in lived] for what in lived[0]}
        columns["seconds_per_step"] = sum(columns.pop("seconds")) / sum(columns["steps"])
        found[key] = columns
    return found


def lives(kind: str, name: str, seeds: Sequence[int], steps: int) -> list[dict[str, Any]]:
    """Live once in each world."""
    torch.set_num_threads(1)
    drives, _ = train_drive_classifier(TreeWorldConfig.model_validate({}))
    return [live(kind, made(name, drives, seed), seed, steps) for seed in seeds]


def made(name: str, drives: DriveClassifier, seed: int) -> Model:
    """Make an agent by its name: of `FORAGERS`, of `WALKERS`, or one that drifts."""
    if name in WALKERS:
        return WALKERS[name]()
    if name.startswith(DRIFT):
        return Drifting(FORAGERS["told"](drives), float(name.removeprefix(DRIFT)), seed)
    return FORAGERS[name](drives)


def live(kind: str, model: Model, seed: int, steps: int) -> dict[str, Any]:
    """Live once.

    Parameters
    ----------
    kind : str
        Of `KINDS`.
    model : Forager, Drifting, Resting or Exploring
    seed : int
    steps : int
        At most.

    Returns
    -------
    dict
        The number of ``steps``, whether it ``died``, its ``lowest`` and ``mean`` health, meals of
        ``food`` and of ``poison``, the share of steps in which it ``moved``, edible trees that
        there are (``edible``) and that it knows (``known``), smells and sights that it remembers
        (``remembered``), and CPU ``seconds``.
    """
    config = TreeWorldConfig.model_validate(KINDS[kind])
    world = TreeWorld.random_from_config(config, seed=seed, model=model)
    started = time.process_time()
    life = world.run(steps)
    assert life is not None
    seconds = time.process_time() - started
    moved = np.hypot(*np.diff(np.asarray(life.positions), axis=0).T) > 0
    meals, healths = np.asarray(life.meal_healths), np.asarray(life.healths)
    known = remembered = 0
    forager = model.forager if isinstance(model, Drifting) else model
    if isinstance(forager, Forager):
        known = int((forager.chart.verdicts == FOOD).sum())
        remembered = len(forager.ground.smells) + len(forager.chart)
    return {
        "steps": life.num_steps,
        "died": life.died,
        "lowest": float(healths.min()),
        "mean": float(healths.mean()),
        "food": int((meals > 0).sum()),
        "poison": int((meals < 0).sum()),
        "moved": float(moved.mean()),
        "edible": int((~world.is_poisonous).sum()),
        "known": known,
        "remembered": remembered,
        "seconds": seconds,
    }


def alive(columns: dict[str, Any], steps: int) -> int:
    """Count who is alive after so many steps.

    Parameters
    ----------
    columns : dict
        As a study stores them, with ``steps`` and ``died`` of each life.
    steps : int

    Returns
    -------
    int
    """
    pairs = zip(columns["steps"], columns["died"], strict=True)
    return sum(not died or lived > steps for lived, died in pairs)


_SHORT: list[int] = list(SEEDS[:3])
_SAME = ("steps", "food", "poison", "edible", "known")


def _same_first_drift(short: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Compare the life in the first world that errs the most."""
    ours, theirs = short["first"]["steps"][0], stored["lives"][-1]["steps"][0]
    return [] if ours == theirs else [f"it lives for {ours} steps, but {theirs} are stored"]


STUDIES = {
    "survival": Study(
        survival,
        short=lambda part: {
            "kinds": survival(part, _SHORT, STEPS, ["default", "15 trees"])["kinds"]
        },
        agrees=[Same(f"kinds/{kind}/{what}") for kind in ("default", "15 trees") for what in _SAME],
    ),
    "parts": Study(
        parts,
        short=lambda part: {
            "foragers": parts(part, _SHORT[:1], STEPS, ["all learned", *WALKERS])["foragers"]
        },
        agrees=[
            Same(f"foragers/{name}/{what}") for name in ("all learned", *WALKERS) for what in _SAME
        ],
    ),
    "drift": Study(
        drift,
        short=lambda part: {"first": drift(part, _SHORT[:1], STEPS, SHARES[-1:])["lives"][0]},
        agrees=[_same_first_drift],
    ),
    "long": Study(
        long,
        short=lambda part: {"edible": long(part, _SHORT, 1)["edible"]},
        agrees=[Same("edible")],
    ),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
