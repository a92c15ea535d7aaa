"""What networks that learn sequences know of ways that were never gone.

Usage: ``python -m benchmarks.study_sequences [OPTION ...] [NAME ...]``, all by default; five hours,
in parts for each network and world. A GRU, an LSTM and a transformer with recurrent positions
(TEM-t) are trained on a walk of 2,000 steps to predict smells 8 to 40 actions ahead. They are asked
what it smells of at the ends of ways off that walk, and off a walk of the same body in a new world,
which they read and are not trained on. Settings were chosen in other worlds, of seeds below 1,000.

``short`` gives each a minute of a processor and the whole walk. ``long`` trains as long as steps
that are held out are told better. ``many`` trains on walks of one body in a hundred worlds, as long
as worlds that are held out are told better, and asks in worlds that were not among them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from benchmarks.lived import BODY, NEW_WORLD, STEPS, WALK, Array, Lived, lived, smelled
from benchmarks.origins import results_file
from benchmarks.sequence_models import Nose, Walked, r_squared
from benchmarks.sequence_training import (
    Budget,
    PositionSetting,
    RecurrentSetting,
    Setting,
    Trained,
    train,
)
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.models.memory.recall.kriging import Kriging
from tree_world.simulation import SimpleSensor, TreeWorldConfig
from tree_world.simulation.hidden import ShiftBody
from tree_world.simulation.untaken import shortcuts

RESULTS = results_file("sequences")

SEEDS = range(2000, 2010)
WORLDS = range(100, 200)  # of which the last are held out
HELD_OUT_WORLDS = 5
HELD_OUT = 0.2  # of a walk, its last steps
SHORT = Budget(60.0)
RECENT = 100  # steps
LONG = Budget(1500.0, patience=5, look_every=10.0)

TEM_T = PositionSetting(*("rotation", 64, 1e-4, 0.02, 150.0, "learned", 2, 400), both_ways=False)
SETTINGS: dict[str, Setting] = {
    "GRU": RecurrentSetting("GRU", 64, 3e-3),
    "LSTM": RecurrentSetting("LSTM", 64, 3e-3),
    "TEM-t": TEM_T,
}
MANY: dict[str, Setting] = {"GRU": RecurrentSetting("GRU", 256, 1e-3), "TEM-t": TEM_T}


# --- one world ------------------------------------------------------------------------------------


def short(
    part: Part, seeds: Sequence[int] = SEEDS, budget: Budget = SHORT, steps: int = STEPS
) -> dict[str, Any]:
    """Networks that are trained in one world for a minute."""
    found: dict[str, Any] = one_world(part, seeds, budget, steps)
    calls = {f"guesses, seed {seed}, {steps} steps": (seed, steps) for seed in seeds}
    rows = part.each(guesses, calls)
    return {**found, "guesses": _columns(rows)}


def long(
    part: Part, seeds: Sequence[int] = SEEDS, budget: Budget = LONG, steps: int = STEPS
) -> dict[str, Any]:
    """Networks that are trained in one world until held-out steps are told no better."""
    return one_world(part, seeds, budget, steps)


def one_world(part: Part, seeds: Sequence[int], budget: Budget, steps: int) -> dict[str, Any]:
    """Train each network in each world."""
    found: dict[str, Any] = {
        "seeds": list(seeds),
        "steps": steps,
        "budget": asdict(budget),
        "settings": {name: asdict(setting) for name, setting in SETTINGS.items()},
        "networks": {},
    }
    for name in SETTINGS:
        calls = {
            f"{name}, seed {seed}, {steps} steps": (name, seed, budget, steps) for seed in seeds
        }
        found["networks"][name] = _columns(part.each(trained_on_one, calls))
    return found


def trained_on_one(name: str, seed: int, budget: Budget, steps: int) -> dict[str, Any]:
    """Train a network on one walk.

    Returns
    -------
    dict
        R² at the ends of ``shortcuts``, and in the ``new`` world, with weights that were kept by
        held-out steps, and those with the ``last`` weights; and what `Trained` tells.
    """
    torch.set_num_threads(1)
    life, new = lived(seed, steps=steps), lived(seed, new=True)
    first = int(steps * (1 - HELD_OUT))
    until = steps if budget.patience is None else first  # nothing is held out that stops nothing
    nose = Nose([life.senses[:first]])
    walk = _walked(nose, life)
    trained = train(SETTINGS[name], [walk], until, [(walk, first)], budget, seed)
    return {
        **_asked(trained, nose, {"shortcuts": life, "new": new}),
        **{key: value for key, value in trained.told.items() if key != "setting"},
    }


def guesses(seed: int, steps: int) -> dict[str, Any]:
    """R² of what takes no training.

    Returns
    -------
    dict
        For ``shortcuts`` and the ``new`` world: the ``last`` smell repeated, the ``mean`` of the
        walk, and what true places tell of the ``recent`` steps alone, as many as a recurrent
        network reads.
    """
    found = {}
    for name, life in (("shortcuts", lived(seed, steps=steps)), ("new", lived(seed, new=True))):
        mean = life.senses.mean(axis=0)[None].repeat(len(life.at_ends), axis=0)
        found[name] = {
            "last": r_squared(life.senses[life.ways.starts - 1], life.at_ends),
            "mean": r_squared(mean, life.at_ends),
            "recent": r_squared(by_recent(life), life.at_ends),
        }
    return found


def by_recent(life: Lived, steps: int = RECENT) -> Array:
    """Predict smells at the ends of ways from the last steps before them, at their true places."""
    sensor = SimpleSensor.from_config(TreeWorldConfig.model_validate({}))
    length = math.sqrt(2 * sensor.diffusion_time)  # as far as smells are alike
    read = []
    for start, end in zip(life.ways.starts, life.ways.ends, strict=True):
        last = slice(max(0, start - steps), start)
        known = Kriging(life.places[1:][last], life.senses[last], length)
        read.append(known.read(end).mean[0])
    return np.stack(read)


def _walked(nose: Nose, life: Lived) -> Walked:
    return nose.walked(life.actions, life.places, life.senses)


def _asked(trained: Trained, nose: Nose, lives: dict[str, Lived]) -> dict[str, Any]:
    found: dict[str, Any] = {"last": {}}
    for name, life in lives.items():
        walk, true = _walked(nose, life), nose.express(life.at_ends)
        found[name] = r_squared(trained.network.at_ends(walk, life), true)
        found["last"][name] = r_squared(trained.last.at_ends(walk, life), true)
    return found


# --- many worlds ----------------------------------------------------------------------------------


def many(
    part: Part,
    body: int = SEEDS[0],
    worlds: Sequence[int] = WORLDS,
    seeds: Sequence[int] = SEEDS,
    budget: Budget = LONG,
) -> dict[str, Any]:
    """Networks that are trained in many worlds, with one body, and asked in worlds of the seeds."""
    names = {
        name: f"{name}, body {body}, {len(worlds)} worlds, seeds {list(seeds)}" for name in MANY
    }
    trained = part.each(
        trained_on_many,
        {told: (name, body, worlds, seeds, budget) for name, told in names.items()},
    )
    return {
        "body": body,
        "worlds": list(worlds),
        "seeds": list(seeds),
        "budget": asdict(budget),
        "settings": {name: asdict(setting) for name, setting in MANY.items()},
        "networks": dict(zip(MANY, trained, strict=True)),
    }


def trained_on_many(
    name: str, body: int, worlds: Sequence[int], seeds: Sequence[int], budget: Budget
) -> dict[str, Any]:
    """Train a network on walks of one body in many worlds, the last of which are held out.

    Returns
    -------
    dict
        For each seed, R² in that world (``shortcuts``) and in one more (``new``), none of which it
        was trained in; and what `Trained` tells.
    """
    torch.set_num_threads(1)
    own = ShiftBody(seed=body + BODY)
    lives = [_life(own, world) for world in worlds]
    nose = Nose([life.senses for life in lives])
    walks = [_walked(nose, life) for life in lives]
    few = min(HELD_OUT_WORLDS, len(walks) - 1)
    held_out = [(walk, STEPS // 2) for walk in walks[-few:]]
    trained = train(MANY[name], walks[:-few], STEPS, held_out, budget, body)
    rows = [
        _asked(trained, nose, {"shortcuts": _life(own, seed), "new": _life(own, seed + NEW_WORLD)})
        for seed in seeds
    ]
    return {
        **_columns(rows),
        **{key: value for key, value in trained.told.items() if key != "setting"},
    }


def _life(body: ShiftBody, world: int) -> Lived:
    """Walk in a world with a body that is not its own."""
    actions, places = body.walk(STEPS, world + WALK)
    ways = shortcuts(body, places, seed=world)
    return Lived(
        *(body, actions, places, smelled(world, places[1:])), ways, smelled(world, ways.ends)
    )


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Put one row a world together as columns."""
    return {
        key: _columns([row[key] for row in rows])
        if isinstance(rows[0][key], dict)
        else [row[key] for row in rows]
        for key in rows[0]
    }


# --- what is run ----------------------------------------------------------------------------------

_GLIMPSE = Budget(60.0, updates=2)  # how long a training takes depends on the machine


def _short_of_many(part: Part) -> dict[str, Any]:
    glimpse = replace(_GLIMPSE, patience=LONG.patience)
    found = many(part, SEEDS[0], WORLDS[:2], SEEDS[:1], glimpse)
    return {key: found[key] for key in ("body", "settings", "networks")}


STUDIES = {
    "short": Study(
        short,
        short=lambda part: short(part, SEEDS[:1], _GLIMPSE),
        agrees=[Same("guesses"), Same("settings")],
    ),
    "long": Study(
        long,
        short=lambda part: long(part, SEEDS[:1], replace(_GLIMPSE, patience=LONG.patience)),
        agrees=[Same("settings"), Same("steps")],
    ),
    "many": Study(many, short=_short_of_many, agrees=[Same("settings"), Same("body")]),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
