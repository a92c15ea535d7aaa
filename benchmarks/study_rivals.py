"""Reads by Tree World and by others, measured in one run and against one oracle.

Usage: ``python -m benchmarks.study_rivals [OPTION ...] [small] [full]``, a few minutes and more
than half an hour, in a part for each size and kernel. Where a GPU is present, the ways that can use
it are measured there, too.
"""

from __future__ import annotations

import importlib.metadata
import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import tqdm

from benchmarks import rivals
from benchmarks.machine import peak_megabytes
from benchmarks.origins import results_file
from benchmarks.rivals import Problem, Reader
from benchmarks.studies import Part, Study, run_studies

RESULTS = results_file("rivals")

SENSORY = 384
SIZES = (1000, 10_000, 100_000, 1_000_000)
SPREAD = 200.0  # metres, of ten thousand observations; the density is the same for all sizes
MANY = 1000  # queries that are read at once
CHECKED = 64  # of them, against double precision
ACCURATE = 1e-5  # error, where the norm of each sense is one
NEIGHBOURS = (64, 256, 1024, 2048)  # that FAISS is asked for, until the read is accurate
PATIENCE = 30.0  # seconds; what would take longer for all queries is not tried
ROUNDS, LONG = 7, 3.0  # repetitions, and after how many seconds there are no more

# Deviation of all observations and queries, as a function of how they spread, and the threshold.
KERNELS: dict[str, tuple[Callable[[float], float], float | None]] = {
    "threshold": (lambda spread: 10.0, 25.0),
    "narrow": (lambda spread: 10.0, None),
    "wide": (lambda spread: spread / 2, None),
}


def small(part: Part) -> dict[str, Any]:
    """Read from a thousand and ten thousand observations."""
    return _compare(part, SIZES[:2])


def full(part: Part) -> dict[str, Any]:
    """Read from a thousand to a million observations."""
    return _compare(part, SIZES)


def _compare(
    part: Part, sizes: Sequence[int], left_out: Sequence[str] = (), rounds: int = ROUNDS
) -> dict[str, Any]:
    packages = ("faiss-cpu", "pykeops", "scipy", "scikit-learn")
    rows = []
    for size in sizes:
        for kernel in KERNELS:
            rows += part(f"{size:,} {kernel}", _exact_ways, size, kernel, left_out, rounds)
        rows += part(f"{size:,} by the nearest", _nearest_ways, size, rounds)
    return {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "queries": MANY,
        "accurate": ACCURATE,
        "patience": PATIENCE,
        "rows": rows,
    }


def _exact_ways(
    size: int, kernel: str, left_out: Sequence[str], rounds: int
) -> list[dict[str, Any]]:
    problem, rows = _problems(size)[kernel], []
    expected = rivals.exact(problem, CHECKED)
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        for name, prepare in tqdm.tqdm(rivals.EXACT.items(), desc=f"{size:,} {kernel}", unit="way"):
            if name in left_out or (device != "cpu" and name not in rivals.ON_DEVICE):
                continue
            found = _measured(prepare, problem.to(device), expected, rounds)
            rows.append({"size": size, "kernel": kernel, "way": name, "device": device, **found})
    return rows


def _nearest_ways(size: int, rounds: int) -> list[dict[str, Any]]:
    problems, rows = _problems(size), []
    expected = {kernel: rivals.exact(problem, CHECKED) for kernel, problem in problems.items()}
    for name, build in tqdm.tqdm(rivals.NEAREST.items(), desc=f"{size:,} nearest", unit="way"):
        started = time.perf_counter()
        index = build(problems["threshold"].locations.numpy())
        seconds = time.perf_counter() - started
        for kernel, problem in problems.items():
            found = _nearest(problem, index, expected[kernel], rounds)
            key = {"size": size, "kernel": kernel, "way": name, "device": "cpu"}
            rows.append({**key, **found, "seconds_to_prepare": seconds})
    return rows


def _problems(size: int) -> dict[str, Problem]:
    generator = torch.Generator().manual_seed(size)
    spread = SPREAD * math.sqrt(size / 10_000)
    locations = spread * torch.randn(size, 2, generator=generator)
    queries = spread * torch.randn(MANY, 2, generator=generator)
    senses = torch.nn.functional.normalize(torch.randn(size, SENSORY, generator=generator), dim=-1)
    return {
        name: Problem(locations, senses, queries, deviation(spread), threshold)
        for name, (deviation, threshold) in KERNELS.items()
    }


def _nearest(problem: Problem, index: Any, expected: torch.Tensor, rounds: int) -> dict[str, Any]:
    """Ask for more neighbours until the read is accurate, or for as many as are found."""
    for number in NEIGHBOURS:
        read = rivals.by_nearest(problem, index, number)
        error = _error(read, problem, expected)
        if error <= ACCURATE or number >= len(problem.locations):
            break
    return {"neighbours": number, **_timed(read, problem, rounds), "error": error}


def _measured(
    prepare: Callable[[Problem], Reader], problem: Problem, expected: torch.Tensor, rounds: int
) -> dict[str, Any]:
    if prepare is rivals.keops and shutil.which("g++") is None and shutil.which("clang++") is None:
        return {"left_out": "no compiler"}
    started = time.perf_counter()
    read = prepare(problem)
    seconds = time.perf_counter() - started
    try:
        timed = _timed(read, problem, rounds)
        error = _error(read, problem, expected)
    except rivals.DoesNotFit as reason:
        one = _seconds([lambda: read(problem.queries[:1])])
        return {"left_out": f"needs {reason}", "seconds_of_one": one}
    return {"seconds_to_prepare": seconds, **timed, "error": error}


def _error(read: Reader, problem: Problem, expected: torch.Tensor) -> float:
    found = torch.cat([read(part) for part in problem.queries[:CHECKED].split(16)])
    return float((found.cpu() - expected).abs().max())


def _timed(read: Reader, problem: Problem, rounds: int) -> dict[str, Any]:
    places, device = problem.queries, problem.senses.device
    read(places[:2])  # compiles what is to be compiled
    single = [partial(read, places[at : at + 1]) for at in range(2, 102)]
    found: dict[str, Any] = {"seconds_of_one": _seconds(single)}
    few = _seconds([lambda: read(places[:10])])
    # Ten at a time share less than a thousand do, so that what is quick is tried all the same.
    if few * len(places) / 10 > PATIENCE and few > 1.0:
        return {**found, "left_out": f"some {few * len(places) / 10:.0f} s"}
    found["seconds_of_many"] = _seconds([lambda: read(places)] * rounds)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        read(places)
        return {**found, "megabytes": (torch.cuda.max_memory_allocated() - held) / 2**20}
    return {**found, "megabytes": peak_megabytes(lambda: read(places))}


def _seconds(works: Sequence[Callable[[], Any]]) -> float:
    """Median time of pieces of work, of as many as there is patience for."""
    seconds: list[float] = []
    for work in works:
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        if sum(seconds) > LONG and len(seconds) >= 2:
            break
    return float(np.median(seconds))


def _as_accurate(short: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Compare which ways are accurate; how quick they are depends on the machine."""

    def verdicts(result: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
        return {
            (row["way"], row["kernel"], row["size"]): row["error"] <= result["accurate"]
            for row in result["rows"]
            if row["device"] == "cpu" and "error" in row
        }

    theirs = verdicts(stored)
    return [
        f"{way}, {kernel}, {size:,}: accurate is {ours}, stored {theirs.get((way, kernel, size))}"
        for (way, kernel, size), ours in verdicts(short).items()
        if ours != theirs.get((way, kernel, size))
    ]


def _short(part: Part) -> dict[str, Any]:
    # PyKeOps compiles for longer than all others take.
    return _compare(part, SIZES[:1], left_out=["PyKeOps"], rounds=1)


STUDIES = {
    "small": Study(small, _short, [_as_accurate]),
    "full": Study(full, _short, [_as_accurate]),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
