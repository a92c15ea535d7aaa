"""Pruning of a thousand and of a hundred thousand."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.machine import peak_megabytes
from benchmarks.test_memory import SENSORY, SPREAD, THRESHOLD
from tree_world.models.memory import SpatialMemory
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

THOUSAND, HUNDRED_THOUSAND = 1024, 100_000
TOLERANCE = 0.05


def remembered(number: int, spread: float, noise: float = 0.0) -> SpatialMemory:
    """Smells of a world, at places around its middle; noise gives them all dimensions."""
    config = TreeWorldConfig.model_validate({})
    world = TreeWorld.random_from_config(config, seed=0)
    generator = torch.Generator().manual_seed(3)
    places = spread * torch.randn(number, 2, generator=generator)
    _, senses, _ = SimpleSensor.from_config(config).sense(world, places, None)
    senses = senses + noise * torch.randn(senses.shape, generator=generator)
    memory = SpatialMemory(2, SENSORY, max_memory_size=number + 10_000)
    memory.write(places, 10.0, senses)
    return memory


def prune(benchmark: Any, work: str, memory: SpatialMemory, rounds: int) -> None:
    """Prune copies of what a memory holds."""
    everything = (memory.memory_locations[0], 10.0, memory.memory_senses[0])

    def setup() -> tuple[tuple[SpatialMemory], dict[str, Any]]:
        copy = SpatialMemory(2, SENSORY, max_memory_size=memory.max_memory_size)
        copy.write(*everything)
        return (copy,), {}

    (first,), _ = setup()
    reports = []
    megabytes = peak_megabytes(lambda: reports.append(first.prune(TOLERANCE, THRESHOLD)))
    benchmark.extra_info |= {
        "work": work,
        "role": "ours",
        "peak_megabytes": megabytes,
        "kept": reports[0].num_kept / reports[0].num_before,
        "worst_error": reports[0].worst_error / TOLERANCE,
    }
    benchmark.pedantic(lambda copy: copy.prune(TOLERANCE, THRESHOLD), setup=setup, rounds=rounds)


def test_prune_a_thousand(benchmark: Any) -> None:
    """Prune 1,024 smells of a world."""
    prune(benchmark, "pruning 1,024", remembered(THOUSAND, 100.0), 9)


def test_prune_a_hundred_thousand(benchmark: Any) -> None:
    """Prune 100,000 smells of a world, which have few dimensions."""
    prune(benchmark, "pruning 100,000", remembered(HUNDRED_THOUSAND, SPREAD), 1)


def test_prune_a_hundred_thousand_with_noise(benchmark: Any) -> None:
    """Prune 100,000 smells that need all of their 384 dimensions."""
    memory = remembered(HUNDRED_THOUSAND, SPREAD, 0.001)
    prune(benchmark, "pruning 100,000, all dimensions", memory, 1)
