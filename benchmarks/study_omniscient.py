"""How many worlds can be lived in: by those who know all trees, and by anybody at all.

Usage: ``python -m benchmarks.study_omniscient [NAME ...]``; options are those of
`benchmarks.studies`. Nothing here is left to chance; seconds are those of the machine that is
noted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.agents.bounds import upper_bound
from tree_world.agents.omniscient import Omniscient
from tree_world.simulation import Resting, TreeWorld, TreeWorldConfig

RESULTS = results_file("omniscient")

SEEDS = range(2000, 2048)
STEPS = 20_000
KINDS: dict[str, dict[str, Any]] = {
    "default": {},
    "15 trees": {"num_trees": 15},
    "12 trees": {"num_trees": 12},
    "10 trees": {"num_trees": 10},
    "spacing 150": {"tree_spacing": 150.0},
}
AGENTS = {"greedy": False, "planning": True}  # whether it plans


def lives(
    part: Part,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    kinds: Sequence[str] = tuple(KINDS),
) -> dict[str, Any]:
    """Lives of the omniscient in worlds from rich to poor, and what bounds any life there."""
    at = {kind: f"{kind}, seeds {min(seeds)} to {max(seeds)}" for kind in kinds}
    found = part.each(bounds, {f"bounds, {at[kind]}": (kind, seeds) for kind in kinds})
    lived = iter(
        part.each(
            live,
            {
                f"{agent}, {at[kind]}, {steps} steps": (kind, agent, seeds, steps)
                for kind in kinds
                for agent in AGENTS
            },
        )
    )
    return {
        "seeds": list(seeds),
        "steps": steps,
        "kinds": {
            kind: bound | {agent: next(lived) for agent in AGENTS}
            for kind, bound in zip(kinds, found, strict=True)
        },
    }


def world_of(kind: str, seed: int) -> TreeWorld:
    """Draw a world of a kind, for one who needs no nose."""
    config = TreeWorldConfig.model_validate(KINDS[kind])
    world = TreeWorld.random_from_config(config, seed=seed)
    world.agent.nose = None
    return world


def bounds(kind: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Count edible trees, and bound each life: steps, or None where none is known."""
    edible, longest = [], []
    for seed in seeds:
        world = world_of(kind, seed)
        places = world.locations[~world.is_poisonous].numpy()
        bound = upper_bound(places)
        edible.append(len(places))
        longest.append(None if bound.longest_life == float("inf") else bound.longest_life)
    return {"edible": edible, "longest_life": longest}


def live(kind: str, agent: str, seeds: Sequence[int], steps: int) -> dict[str, Any]:
    """Live once in each world.

    Gives steps lived, None for who is alive at the end, the lowest health, and meals of poison.
    """
    torch.set_num_threads(1)
    found: dict[str, Any] = {"lived": [], "lowest_health": [], "poison": []}
    number, started = 0, time.process_time()
    for seed in seeds:
        world = world_of(kind, seed)
        lived, lowest, poison = one_life(world, Omniscient(world, plans=AGENTS[agent]), steps)
        number += lived
        found["lived"].append(None if world.agent.is_alive else lived)
        found["lowest_health"].append(lowest)
        found["poison"].append(poison)
    return found | {"seconds_per_step": (time.process_time() - started) / number}


def one_life(world: TreeWorld, model: Omniscient, steps: int) -> tuple[int, float, int]:
    """Let an omniscient agent live, with its rests in compiled code, which is the same life.

    Parameters
    ----------
    world : TreeWorld
    model : Omniscient
        Of this world.
    steps : int
        At most.

    Returns
    -------
    lived : int
        Steps.
    lowest : float
        Health.
    poison : int
        Meals of poison.
    """
    lowest, poison = world.agent.health, 0
    while world.agent.is_alive and world.time < steps:
        world.agent.model = model
        meal = world.step()
        poison += meal is not None and meal[1] < 0
        lowest = min(lowest, world.agent.health)
        rests = min(model.rests_for(), steps - world.time) if world.agent.is_alive else 0
        if rests > 0:
            world.agent.model = Resting()
            world.run(rests, record=False)
            lowest = min(lowest, world.agent.health)  # which falls while it rests
    return world.time, lowest, poison


def alive_at(lives: Sequence[float | None], steps: int) -> int:
    """Count who is alive after so many steps.

    Parameters
    ----------
    lives : sequence of int or None
        Steps until death; None where it is not known to come.
    steps : int

    Returns
    -------
    int
    """
    return sum(lived is None or lived > steps for lived in lives)


STUDIES = {
    "lives": Study(
        lives,
        short=lambda part: {
            "kinds": lives(part, SEEDS[:3], STEPS, ["12 trees", "10 trees"])["kinds"]
        },
        agrees=[
            Same(f"kinds/{kind}/{what}")
            for kind in ("12 trees", "10 trees")
            for what in ("edible", "longest_life", "greedy/lived", "planning/lived")
        ],
    ),
}


def main(options: list[str]) -> int:
    """Run the study; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
