"""Compile beforehand what would be compiled when it is first called.

Usage: ``python -m tree_world.compile``

Large memories, their draws, pruning, tuning, worlds that are stepped, and plans run in loops that
Numba compiles on their first call, which takes seconds; it keeps the machine code, so that this is
so once for each version of the package on a machine. This does it ahead of time: in an image, on a
machine that is to answer at once. It is never done on import.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from tree_world.agents.bounds import upper_bound
from tree_world.agents.omniscient import Omniscient
from tree_world.compiling import cache_folder
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget.removal import EXACT
from tree_world.simulation import HomeRange, TreeWorld, TreeWorldConfig

_MANY = 3000  # observations, of which draws go by cells and reads by the index
_SIDE = 400.0  # metres, in which a place has some neighbours


def main() -> int:
    """Compile everything, and say what took how long."""
    folder = cache_folder()
    if folder is None:
        print(
            "Nothing can be kept: no folder for machine code can be written. Set NUMBA_CACHE_DIR."
        )
        return 1
    for name, work in WORK.items():
        print(f"Compiling {name} ...", end=" ", flush=True)
        started = time.perf_counter()
        work()
        print(f"{time.perf_counter() - started:.1f} s")
    return 0


def read() -> None:
    """Read places from a memory of many, with and without a threshold."""
    memory, places = _memory(_MANY)
    for threshold in (25.0, None):
        memory.recall(places[:100], 1.0, threshold)
        memory.recall(places[:2], 1.0, threshold)
    memory.delete(memory.ids.flatten()[:3])


def draw() -> None:
    """Draw from a memory of many, anywhere and near a place."""
    memory, places = _memory(_MANY)
    key = torch.ones(memory.sensory_dim)
    memory.sample(None, None, key, 10)
    memory.sample(places[0], 5.0, key, 10, match_threshold=50.0)
    memory.sample(places[0], 5.0, key, 10, replacement=False)


def forget() -> None:
    """Prune a memory of more than a thousand, and one that is pruned lazily."""
    for number, threshold in ((1200, 25.0), (1200, None), (EXACT + 1, 25.0)):
        memory, _ = _memory(number)
        memory.prune(match_threshold=threshold)


def tune() -> None:
    """Leave out observations, one at a time."""
    memory, _ = _memory(100)
    for order in ("constant", "linear"):
        memory.tune([5.0], order=order, score="log score")


def live() -> None:
    """Step a world with the walkers that are built in, and walk without one."""
    world = TreeWorld.random_from_config(TreeWorldConfig.model_validate({}), seed=0)
    world.run(2)
    HomeRange().walk(1, seed=0)


def plan() -> None:
    """Plan where to eat, round poison, and say how long one may live at most."""
    world = TreeWorld.random_from_config(TreeWorldConfig.model_validate({"num_trees": 10}), seed=0)
    upper_bound(world.locations[~world.is_poisonous])
    world.agent.model = Omniscient(world)
    world.run(2)


WORK: dict[str, Callable[[], None]] = {
    "reads": read,
    "draws": draw,
    "pruning": forget,
    "tuning": tune,
    "worlds": live,
    "plans": plan,
}
"""What is compiled, by calling it."""


def _memory(number: int) -> tuple[SpatialMemory, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    places = _SIDE * torch.rand(number, 2, generator=generator)
    memory = SpatialMemory(2, 8, max_memory_size=number)
    memory.write(places, 1.0, torch.randn(number, 8, generator=generator))
    return memory, places


if __name__ == "__main__":
    raise SystemExit(main())
