"""How long an agent lives by its memory, in which worlds, and what each part of it is worth.

Usage: ``python -m benchmarks.study_living [OPTION ...] [NAME ...]``, all by default; an hour and a
half on one core. Foragers live in real worlds, by real memories. All worlds are those of the seeds
2,000 to 2,047, on which nothing was chosen.

``survival`` tells of lives in five kinds of worlds, ``long`` of lives of 100,000 steps, ``parts``
of foragers with one part exchanged, and of those of the first chapter beside them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
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
from tree_world.simulation import Exploring, Resting, TreeWorld, TreeWorldConfig

RESULTS = results_file("living")

SEEDS = range(2000, 2048)
STEPS = 5000
LONG = 100_000
AT_ONCE = 12  # lives in a part

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
    """Takes every tree for food, whatever it tasted like."""

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
        "kinds": {kind: _lives(part, kind, "told", seeds, steps) for kind in kinds},
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
        "foragers": {name: _lives(part, "default", name, seeds, steps) for name in names},
    }


def long(part: Part, seeds: Sequence[int] = SEEDS, steps: int = LONG) -> dict[str, Any]:
    """Long lives in default worlds."""
    return {"seeds": list(seeds), "steps": steps} | _lives(part, "default", "told", seeds, steps, 4)


def _lives(
    part: Part, kind: str, name: str, seeds: Sequence[int], steps: int, at_once: int = AT_ONCE
) -> dict[str, Any]:
    """Live in all worlds, in parts of so many; columns hold a number for each world."""
    found: list[dict[str, Any]] = []
    for first in range(0, len(seeds), at_once):
        some = list(seeds[first : first + at_once])
        found += part(
            f"{kind}, {name}, {steps} steps, seeds {some}", lives, kind, name, some, steps
        )
    columns = {key: [life[key] for life in found] for key in found[0]}
    columns["seconds_per_step"] = sum(columns.pop("seconds")) / sum(columns["steps"])
    return columns


def lives(kind: str, name: str, seeds: Sequence[int], steps: int) -> list[dict[str, Any]]:
    """Live once in each world."""
    torch.set_num_threads(1)
    drives, _ = train_drive_classifier(TreeWorldConfig.model_validate({}))
    return [live(kind, name, drives, seed, steps) for seed in seeds]


def live(kind: str, name: str, drives: DriveClassifier, seed: int, steps: int) -> dict[str, Any]:
    """Live once.

    Parameters
    ----------
    kind : str
        Of `KINDS`.
    name : str
        Of `FORAGERS` or `WALKERS`.
    drives : DriveClassifier
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
    model = WALKERS[name]() if name in WALKERS else FORAGERS[name](drives)
    world = TreeWorld.random_from_config(config, seed=seed, model=model)
    started = time.process_time()
    life = world.run(steps)
    assert life is not None
    seconds = time.process_time() - started
    moved = np.hypot(*np.diff(np.asarray(life.positions), axis=0).T) > 0
    meals, healths = np.asarray(life.meal_healths), np.asarray(life.healths)
    known = remembered = 0
    if isinstance(model, Forager):
        known = int((model.chart.verdicts == FOOD).sum())
        remembered = len(model.ground.smells) + len(model.chart)
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
