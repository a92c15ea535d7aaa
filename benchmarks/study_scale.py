"""Studies of memories of a million observations and more, which take too long for a chapter.

Usage: ``python -m benchmarks.study_scale [OPTION ...] [NAME ...]``, all by default. What is
compared is measured in one run, so that ratios hold whatever the machine; times are those of the
machine that is noted.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tqdm

from benchmarks.dense import read_densely
from benchmarks.machine import copy_bandwidth, peak_flops
from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.recall.plan import RUN

RESULTS = results_file("scale")

SENSORY = 384
SD = 10.0  # metres, of all observations and reads
THRESHOLD = 25.0  # metres
NUMBER = 64  # places that are drawn in a step
KEYS = 3  # drives that take turns
AT_A_TIME = 50_000  # observations in a write that fills a memory

MANY = 1_000_000
SPREAD = 200.0  # metres on each axis, of ten thousand observations; larger memories are as dense
SIZES = (10_000, 100_000, 1_000_000)
DISK_SIZE = 10_000_000
STEPS = 2000
QUERIES = 100_000
# What is read in half and in single precision: how observations spread, the deviation of all, the
# threshold, and how many places at once. The first is as dense as the crowded million.
HALVED = (
    ("thousands", SPREAD * math.sqrt(SIZES[1] / MANY), SD, THRESHOLD, 1),
    ("everything", SPREAD, SPREAD, None, 1),
    ("everything, many", SPREAD, SPREAD, None, 100),
)
WORLDS = {"crowded": SPREAD, "wide": SPREAD * math.sqrt(MANY / SIZES[0])}  # metres
# Floats for each pair in `benchmarks.dense`: differences 2, variances 2, squares 4, quotients 6,
# their sum 3, its half 2, logarithms 4, their sum 3, two subtractions 5, softmax 2, NaN to zero 2,
# product 1.
WRITTEN_AND_READ = 36


def step(part: Part, names: Sequence[str] = ("crowded", "wide")) -> dict[str, Any]:
    """Live in a full memory of a million: crowded, and as dense as ten thousand are elsewhere."""
    return {name: part(name, _life_in, MANY, WORLDS[name]) for name in names}


def growth(part: Part, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Live in memories of 10⁴, 10⁵ and 10⁶ observations that are as dense as each other."""
    lives = []
    for size in sizes:
        spread = SPREAD * math.sqrt(size / SIZES[0])
        lives.append({"size": size, **part(f"{size:,}", _life_in, size, spread)})
    return {
        "lives": lives,
        "growth": lives[-1]["median"] / lives[0]["median"],
    }


def overhead(part: Part, size: int = MANY) -> dict[str, Any]:
    """Count all that is kept beside the observations, with search tables of several keys."""
    return {
        world: part(world, _overhead, size, spread * math.sqrt(size / MANY))
        for world, spread in WORLDS.items()
    }


def _overhead(size: int, spread: float) -> dict[str, Any]:
    memory = _filled(size, spread, storage_dtype=torch.float16)
    for key in _keys():
        memory.sample([0.0, 0.0], SD, key, NUMBER, temperature=1.0)
    store = memory[0].store
    tree, searches = store.index.tree, [one.sums(1.0) for one in memory.common.searches.values()]
    nodes, buckets = int(tree.used[0]), int(tree.used[2])
    arrays = [
        *(store.ids, store.written_at, store.times),
        *(array[:nodes] for array in (tree.links, tree.splits, tree.changed)),
        *(array[:buckets] for array in (tree.rows, tree.places)),
        *(search.scores for search in searches),
        *(search.log_sums[:nodes] for search in searches),
        *(search.boxes[:nodes] for search in searches),
    ]
    each = sum(array.nbytes for array in arrays) / size
    places = 2 * 2 * 4
    return {
        "keys": len(searches),
        "bytes_each": each,
        "share_of_single_precision": each / (places + 4 * SENSORY),
        "share_of_half_precision": each / (places + 2 * SENSORY),
    }


def batch(part: Part, names: Sequence[str] = ("crowded", "wide")) -> dict[str, Any]:
    """Read 100,000 places at once from a million observations."""
    return {name: part(name, _batch, name) for name in names}


def _batch(name: str) -> dict[str, Any]:
    spread = WORLDS[name]
    memory = _filled(MANY, spread)
    generator = torch.Generator().manual_seed(2)
    number = QUERIES if name == "wide" else QUERIES // 50
    queries = spread * torch.randn(number, 2, generator=generator)
    store = memory[0].store
    few = queries[:500].numpy()
    neighbours = np.mean([len(store.index.near_box(place, place, THRESHOLD)) for place in few])
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        memory.read(queries, SD, THRESHOLD)
        seconds.append(time.perf_counter() - started)
    gathered = float(neighbours) * number * SENSORY * 4
    bandwidth = copy_bandwidth()
    return {
        "queries": number,
        "neighbours": float(neighbours),
        "seconds": min(seconds),
        "bytes_a_second": gathered / min(seconds),
        "bandwidth": bandwidth,
        "share": gathered / min(seconds) / bandwidth,
    }


def half(part: Part, rounds: int = 20) -> dict[str, Any]:
    """Read from smells in half precision and in single precision, in turns."""
    found: dict[str, Any] = {"size": SIZES[1]}
    for name, spread, sd, threshold, queries in HALVED:
        found[name] = part(name, _half, spread, sd, threshold, queries, rounds)
    return found


def _half(
    spread: float, sd: float, threshold: float | None, queries: int, rounds: int
) -> dict[str, Any]:
    single = _filled(SIZES[1], spread)
    halved = _filled(SIZES[1], spread, storage_dtype=torch.float16)
    # Near the middle, where thousands are within the threshold.
    places = 10.0 * torch.randn(queries, 2, generator=torch.Generator().manual_seed(2))
    near = len(single[0].store.index.near_box(*2 * (places[0].numpy(),), threshold or np.inf))

    def seconds_of(memory: SpatialMemory) -> float:
        seconds = []
        for _ in range(3):  # of which the least is the one that was disturbed least
            started = time.perf_counter()
            memory.read(places, sd, threshold)
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    lost = halved.read(places, sd, threshold) - single.read(places, sd, threshold)
    pairs = [(seconds_of(single), seconds_of(halved)) for _ in range(rounds)]
    return {
        "queries": queries,
        "neighbours": near,
        "seconds": np.median(pairs, axis=0).tolist(),
        "ratios": [later / first for first, later in pairs],
        "lost": float(torch.linalg.vector_norm(lost, dim=-1).max()),
    }


def roofline(part: Part, rounds: int = 50) -> dict[str, Any]:
    """Set what reads do and move against what the machine can do."""
    return {**part("machine", _machine), "points": part("reads", _points, rounds)}


def _machine() -> dict[str, Any]:
    return {
        "peak_flops": peak_flops(),
        "bandwidth": copy_bandwidth(),
        "floats_a_pair": WRITTEN_AND_READ,
    }


def _points(rounds: int) -> list[dict[str, Any]]:
    """Count operations and bytes of reads, and time them.

    Counted are the products of weights and senses, and the bytes of senses that must come from
    memory if none is found in a cache. For the formula as printed, which writes all pairs down,
    each of its passes over pairs counts as well.
    """
    few = max(1, rounds // 10)
    points: list[dict[str, Any]] = []

    def add(name: str, seconds: float, pairs: float, moved: float) -> None:
        flops = 2 * pairs * SENSORY
        points.append({"name": name, "seconds": seconds, "flops": flops, "bytes": moved})

    row = 4 * SENSORY
    place = torch.zeros(2)
    for spread in (SPREAD, SPREAD * math.sqrt(MANY / SIZES[0])):
        memory = _filled(MANY, spread)
        near = len(memory[0].store.index.near_box(place.numpy(), place.numpy(), THRESHOLD))
        seconds = _median(partial(memory.read, place, SD, THRESHOLD), rounds)
        add(f"one read of {near:,}", seconds, near, near * row)
    generator = torch.Generator().manual_seed(2)
    queries = spread * torch.randn(QUERIES, 2, generator=generator)
    index = memory[0].store.index
    found = [len(index.near_box(place, place, THRESHOLD)) for place in queries[:1000].numpy()]
    pairs = QUERIES * float(np.mean(found))
    seconds = _median(lambda: memory.read(queries, SD, THRESHOLD), few)
    add("100,000 reads", seconds, pairs, pairs * row)
    # A deviation like the spread: everything weighs, and nothing can be left out.
    seconds = _median(lambda: memory.read(place, spread), few)
    add("one read of everything", seconds, MANY, MANY * row)
    del memory
    size, number = SIZES[1], 1000
    memory = _filled(size, SPREAD)
    places = SPREAD * torch.randn(number, 2, generator=generator)
    seconds, runs = _median(lambda: memory.read(places, SPREAD), few), math.ceil(number / RUN)
    add("1,000 reads of everything", seconds, number * size, runs * size * row)
    size = SIZES[0]
    memory = _filled(size, SPREAD)
    arrays = (
        *(places, torch.full((number, 2), SPREAD)),
        *(memory.memory_locations[0], memory.memory_location_sds[0], memory.memory_senses[0]),
    )
    seconds, passes = _median(lambda: read_densely(*arrays), few), WRITTEN_AND_READ
    moved = number * size * 4 * passes + size * row
    add("1,000 reads as printed", seconds, number * size, moved)
    return points


def disk(part: Part, size: int = DISK_SIZE, steps: int = STEPS) -> dict[str, Any]:
    """Live in a memory of ten million on disk, in half precision; stop, and start again."""
    found: dict[str, Any] = part(f"{size:,}", _disk, size, steps)
    return found


def _disk(size: int, steps: int) -> dict[str, Any]:
    spread = SPREAD * math.sqrt(size / SIZES[0])
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        folder = Path(scratch) / "memory"
        before, started = _anonymous_bytes(), time.perf_counter()
        memory = _filled(size, spread, storage=folder, storage_dtype=torch.float16)
        filled = time.perf_counter()
        memory.checkpoint()
        checkpointed = time.perf_counter()
        life = _life(memory, spread, steps)
        again = time.perf_counter()
        memory.checkpoint()
        again = time.perf_counter() - again
        used = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
        del memory
        loading = time.perf_counter()
        memory = SpatialMemory.load(folder)
        loading = time.perf_counter() - loading
        return {
            "size": len(memory),
            **life,
            "seconds_to_fill": filled - started,
            "seconds_of_first_checkpoint": checkpointed - filled,
            "seconds_of_checkpoint": again,
            "seconds_to_load": loading,
            "bytes_on_disk": used,
            "bytes_without_files_each": (_anonymous_bytes() - before) / len(memory),
        }


def _anonymous_bytes() -> int:
    """Memory of this process that is not a part of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1])


def _filled(number: int, spread: float, **choices: Any) -> SpatialMemory:
    """Fill a memory to the brim, so that each write makes the oldest give way."""
    generator = torch.Generator().manual_seed(0)
    memory = SpatialMemory(2, SENSORY, max_memory_size=number, **choices)
    senses = _senses(AT_A_TIME, generator)  # in another order each time, as drawing takes long
    for start in tqdm.trange(0, number, AT_A_TIME, desc=f"filling {number:,}", unit="write"):
        part = min(AT_A_TIME, number - start)
        order = torch.randperm(AT_A_TIME, generator=generator)[:part]
        places = spread * torch.randn(part, 2, generator=generator)
        memory.write(places, SD, senses[order])
    return memory


def _senses(number: int, generator: torch.Generator) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(number, SENSORY, generator=generator), dim=-1)


def _median(work: Callable[[], Any], rounds: int) -> float:
    work()
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def _keys() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [5 * torch.randn(SENSORY, generator=generator) for _ in range(KEYS)]


def _life_in(size: int, spread: float) -> dict[str, Any]:
    return _life(_filled(size, spread), spread)


def _life(memory: SpatialMemory, spread: float, steps: int = STEPS) -> dict[str, Any]:
    """Walk about the middle, where it is densest, and time each step after the first hundred."""
    generator = torch.Generator().manual_seed(3)
    keys, place = _keys(), torch.zeros(2)
    latencies: list[float] = []
    parts: list[list[float]] = []
    for number in tqdm.trange(steps + 100, desc=f"life in {len(memory):,}", unit="step"):
        place = 0.995 * place + 0.02 * SPREAD * torch.randn(2, generator=generator)
        sense, key = _senses(1, generator), keys[number // 100 % KEYS]
        times = [time.perf_counter()]
        memory.write(place[None], SD, sense)
        times.append(time.perf_counter())
        memory.read(place, SD, THRESHOLD)
        times.append(time.perf_counter())
        # By cells whatever the size: to look at everything, as small memories do, takes longer.
        memory.sample(
            place,
            SD,
            key,
            NUMBER,
            temperature=1.0,
            location_temperature=100.0,
            seed=generator,
            method="cells",
        )
        times.append(time.perf_counter())
        if number >= 100:
            parts.append(np.diff(times).tolist())
            latencies.append(times[-1] - times[0])
    columns = zip(("write", "read", "sample"), np.median(parts, axis=0).tolist(), strict=True)
    return {
        "spread": spread,
        "neighbours": len(memory[0].store.index.near_box(place.numpy(), place.numpy(), THRESHOLD)),
        "steps": len(latencies),
        "median": float(np.median(latencies)),
        "p99": float(np.quantile(latencies, 0.99)),
        "worst": max(latencies),
        **dict(columns),
    }


def _same_work(short: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Compare what reads do and move; their speeds may differ."""
    return [
        f"{ours['name']}: {name} is {ours[name]}, stored {theirs[name]}"
        for ours, theirs in zip(short["points"], stored["points"], strict=True)
        for name in ("name", "flops", "bytes")
        if ours[name] != theirs[name]
        and not math.isclose(float(ours[name]), float(theirs[name]), rel_tol=1e-3)
    ]


def _same_bytes(short: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Compare what an observation takes on disk, in memories of any size."""
    ours, theirs = (one["bytes_on_disk"] / one["size"] for one in (short, stored))
    if math.isclose(ours, theirs, rel_tol=0.1):
        return []
    return [f"an observation takes {ours:.0f} bytes on disk, stored {theirs:.0f}"]


STUDIES = {
    "step": Study(
        step,
        lambda part: step(part, ["crowded"]),
        [Same(f"crowded/{name}") for name in ("spread", "neighbours", "steps")],
    ),
    "growth": Study(
        growth,
        lambda part: growth(part, SIZES[:1]),
        [Same(f"lives/0/{name}") for name in ("size", "spread", "neighbours", "steps")],
    ),
    "overhead": Study(
        overhead,
        lambda part: overhead(part, SIZES[1]),
        [
            Same(f"{world}/{name}", tolerance=0.1)
            for world in WORLDS
            for name in ("keys", "bytes_each")
        ],
    ),
    "batch": Study(
        batch,
        lambda part: batch(part, ["wide"]),
        [Same("wide/queries"), Same("wide/neighbours")],
    ),
    "half": Study(
        half,
        lambda part: half(part, rounds=2),
        [
            Same("size"),
            *(Same(f"{name}/neighbours") for name, *_ in HALVED),
            *(Same(f"{name}/lost", tolerance=0.1) for name, *_ in HALVED),
        ],
    ),
    "roofline": Study(
        roofline,
        lambda part: roofline(part, rounds=1),
        [Same("floats_a_pair"), _same_work],
    ),
    "disk": Study(
        disk,
        lambda part: disk(part, MANY, steps=100),
        [_same_bytes],
    ),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
