"""Draws from the mixture over a memory, beside `torch.multinomial` over everything."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tree_world.models.memory import SpatialMemory

SENSORY = 384
SPREAD = 200.0
NUMBER = 64


@pytest.fixture(scope="module", params=[10_000, 1_000_000])
def memory(request: pytest.FixtureRequest) -> SpatialMemory:
    """Fill a memory with so many observations."""
    size = request.param
    generator = torch.Generator().manual_seed(3)
    memory = SpatialMemory(2, SENSORY, max_memory_size=size)
    for _ in range(10):
        places = SPREAD * torch.randn(size // 10, 2, generator=generator)
        memory.write(places, 10.0, torch.randn(size // 10, SENSORY, generator=generator))
    return memory


@pytest.mark.parametrize("where", ["here", "anywhere"])
def test_draw(benchmark: Any, memory: SpatialMemory, where: str) -> None:
    """Draw 64 places for a search key that is known."""
    generator = torch.Generator().manual_seed(4)
    key = 0.1 * torch.randn(SENSORY, generator=generator)
    place, sd = (None, None) if where == "anywhere" else (torch.zeros(2), 10.0)

    def draw() -> torch.Tensor:
        return memory.sample(
            place, sd, key, NUMBER, temperature=1.0, seed=generator, method="cells"
        )

    draw()
    benchmark.extra_info |= {"work": f"draw {where} of {len(memory):,}", "role": "ours"}
    benchmark.pedantic(draw, rounds=50, warmup_rounds=3)


def test_multinomial(benchmark: Any, memory: SpatialMemory) -> None:
    """Draw the same by the weights of all observations, their scores known, too."""
    generator = torch.Generator().manual_seed(4)
    scores = memory.memory_senses[0] @ (0.1 * torch.randn(SENSORY, generator=generator))
    place, sd = torch.zeros(2), torch.full((2,), 10.0)
    locations, sds = memory.memory_locations[0], memory.memory_location_sds[0]

    def draw() -> torch.Tensor:
        variances = sd**2 + sds**2
        log_k = -0.5 * ((place - locations) ** 2 / variances + variances.log()).sum(dim=-1)
        weights = torch.softmax(scores + log_k, dim=0)
        slots = torch.multinomial(weights, NUMBER, replacement=True, generator=generator)
        return locations[slots] + sds[slots] * torch.randn(NUMBER, 2, generator=generator)

    benchmark.extra_info |= {"work": f"draw here of {len(memory):,}", "role": "compared with"}
    benchmark.pedantic(draw, rounds=15, warmup_rounds=2)
