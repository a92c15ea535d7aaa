"""Reads and writes of the spatial memory, each beside what it is compared with.

Every benchmark stores what it needs for the table in its ``extra_info``; ratios are formed from
medians of one run.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from benchmarks.dense import read_densely
from benchmarks.machine import copy_bandwidth, peak_megabytes
from tree_world.models.memory import SpatialMemory

NUMBER = 10_000
MANY = 1_000_000
SENSORY = 384
SPREAD = 200.0
THRESHOLD = 25.0


@pytest.fixture(scope="module")
def data() -> dict[str, torch.Tensor]:
    """Places of queries and of observations, and senses of length one."""
    generator = torch.Generator().manual_seed(0)
    senses = torch.randn(NUMBER, SENSORY, generator=generator)
    return {
        "queries": SPREAD * torch.randn(NUMBER, 2, generator=generator),
        "locations": SPREAD * torch.randn(NUMBER, 2, generator=generator),
        "senses": torch.nn.functional.normalize(senses, dim=-1),
    }


def memory_of(data: dict[str, torch.Tensor], sd: float) -> SpatialMemory:
    """Fill a memory with the data."""
    memory = SpatialMemory(2, SENSORY, max_memory_size=NUMBER)
    memory.write(data["locations"], sd, data["senses"])
    return memory


def dense_read(data: dict[str, torch.Tensor], sd: float, threshold: float | None) -> torch.Tensor:
    """Read by the formula as printed."""
    sds = torch.full((NUMBER, 2), sd)
    return read_densely(data["queries"], sds, data["locations"], sds, data["senses"], threshold)


def error_of(data: dict[str, torch.Tensor], ours: torch.Tensor, sd: float, threshold: Any) -> float:
    """Greatest difference to the formula in double precision, at 500 of the places."""
    double = {name: tensor.double() for name, tensor in data.items()}
    sds = torch.full((NUMBER, 2), sd, dtype=torch.float64)
    exact = read_densely(
        double["queries"][:500], sds[:500], double["locations"], sds, double["senses"], threshold
    )
    return float((ours[:500] - exact).abs().max())


@pytest.mark.parametrize(
    ("name", "sd", "threshold"),
    [("threshold", 10.0, THRESHOLD), ("no threshold", 10.0, None), ("wide", 1000.0, None)],
)
def test_read(
    benchmark: Any, data: dict[str, torch.Tensor], name: str, sd: float, threshold: float | None
) -> None:
    """Read 10,000 places from 10,000 observations."""
    memory = memory_of(data, sd)

    def read() -> torch.Tensor:
        return memory.read(data["queries"], sd, threshold)

    ours = read()
    benchmark.extra_info |= {
        "work": name,
        "role": "ours",
        "error": error_of(data, ours, sd, threshold),
        "peak_megabytes": peak_megabytes(read),
    }
    benchmark.pedantic(read, rounds=9, warmup_rounds=2)


@pytest.mark.parametrize(("name", "threshold"), [("threshold", THRESHOLD), ("no threshold", None)])
def test_dense(
    benchmark: Any, data: dict[str, torch.Tensor], name: str, threshold: float | None
) -> None:
    """Read the same by the formula as printed."""
    benchmark.extra_info |= {
        "work": name,
        "role": "compared with",
        "peak_megabytes": peak_megabytes(lambda: dense_read(data, 10.0, threshold)),
    }
    benchmark.pedantic(lambda: dense_read(data, 10.0, threshold), rounds=3)


def test_bare_product(benchmark: Any, data: dict[str, torch.Tensor]) -> None:
    """Multiply weights that are there already with the senses."""
    weights = torch.softmax(torch.rand(NUMBER, NUMBER), dim=-1)
    benchmark.extra_info |= {"work": "wide", "role": "compared with"}
    benchmark.pedantic(lambda: weights @ data["senses"], rounds=9, warmup_rounds=2)


@pytest.fixture(scope="module")
def large() -> SpatialMemory:
    """Fill a memory with a million observations."""
    generator = torch.Generator().manual_seed(1)
    memory = SpatialMemory(2, SENSORY, max_memory_size=MANY)
    for _ in range(10):
        part = MANY // 10
        places = SPREAD * torch.randn(part, 2, generator=generator)
        memory.write(places, 10.0, torch.randn(part, SENSORY, generator=generator))
    return memory


def test_one_query_in_a_million(benchmark: Any, large: SpatialMemory) -> None:
    """Read the middle, where observations are densest."""
    place = torch.zeros(2)
    rows = large[0].store.index.near_box(place.numpy(), place.numpy(), THRESHOLD)
    senses, where = large[0].store.senses, torch.from_numpy(rows)
    gathers = []
    for _ in range(30):
        started = time.perf_counter()
        senses.index_select(0, where)
        gathers.append(time.perf_counter() - started)
    benchmark.extra_info |= {
        "work": "one query in a million",
        "role": "ours",
        "neighbours": len(rows),
        "gather_seconds": sorted(gathers)[len(gathers) // 2],
        "gather_bytes": len(rows) * SENSORY * 4,
        "bandwidth": copy_bandwidth(),
    }
    benchmark.pedantic(lambda: large.read(place, 10.0, THRESHOLD), rounds=50, warmup_rounds=5)


def test_one_write_into_a_million(benchmark: Any, large: SpatialMemory) -> None:
    """Write one observation more, for which the oldest makes room."""
    generator = torch.Generator().manual_seed(2)
    places = SPREAD * torch.randn(6000, 1, 2, generator=generator)
    sense = torch.randn(1, SENSORY, generator=generator)
    turn = iter(places)
    benchmark.extra_info |= {"work": "one write into a million", "role": "ours"}
    benchmark.pedantic(lambda: large.write(next(turn), 10.0, sense), rounds=5500, warmup_rounds=5)
