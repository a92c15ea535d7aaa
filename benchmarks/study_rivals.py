"""Reads by Tree World and by others, measured in one run and against one oracle.

Usage: ``python -m benchmarks.study_rivals [small] [full]``, a few minutes and more than half an
hour. Where a GPU is present, the ways that can use it are measured there, too.
"""

from __future__ import annotations

import importlib.metadata
import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tqdm

from benchmarks import rivals
from benchmarks.machine import peak_megabytes
from benchmarks.rivals import Problem, Reader
from benchmarks.studies import run_studies

RESULTS = Path(__file__).resolve().parent / "results" / "rivals.json"

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


def small() -> dict[str, Any]:
    """Read from a thousand and ten thousand observations."""
    return _compare(SIZES[:2])


def full() -> dict[str, Any]:
    """Read from a thousand to a million observations."""
    return _compare(SIZES)


def _compare(sizes: tuple[int, ...]) -> dict[str, Any]:
    packages = ("faiss-cpu", "pykeops", "scipy", "scikit-learn")
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows = []
    number = len(sizes) * (len(KERNELS) * len(rivals.EXACT) + len(rivals.NEAREST))
    with tqdm.tqdm(total=number, unit="way") as bar:
        for size in sizes:
            problems = _problems(size)
            expected = {k: rivals.exact(problem, CHECKED) for k, problem in problems.items()}
            for device in devices:
                for kernel, problem in problems.items():
                    for name, prepare in rivals.EXACT.items():
                        if device != "cpu" and name not in rivals.ON_DEVICE:
                            continue
                        bar.set_description(f"{size:,} {kernel}: {name}")
                        found = _measured(prepare, problem.to(device), expected[kernel])
                        key = {"size": size, "kernel": kernel, "way": name, "device": device}
                        rows.append({**key, **found})
                        bar.update(device == "cpu")
            for name, build in rivals.NEAREST.items():
                bar.set_description(f"{size:,}: {name}")
                started = time.perf_counter()
                index = build(problems["threshold"].locations.numpy())
                seconds = time.perf_counter() - started
                for kernel, problem in problems.items():
                    found = _nearest(problem, index, expected[kernel])
                    key = {"size": size, "kernel": kernel, "way": name, "device": "cpu"}
                    rows.append({**key, **found, "seconds_to_prepare": seconds})
                bar.update()
    return {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "queries": MANY,
        "accurate": ACCURATE,
        "patience": PATIENCE,
        "rows": rows,
    }


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


def _nearest(problem: Problem, index: Any, expected: torch.Tensor) -> dict[str, Any]:
    """Ask for more neighbours until the read is accurate, or for as many as are found."""
    for number in NEIGHBOURS:
        read = rivals.by_nearest(problem, index, number)
        error = _error(read, problem, expected)
        if error <= ACCURATE or number >= len(problem.locations):
            break
    return {"neighbours": number, **_timed(read, problem), "error": error}


def _measured(
    prepare: Callable[[Problem], Reader], problem: Problem, expected: torch.Tensor
) -> dict[str, Any]:
    if prepare is rivals.keops and shutil.which("g++") is None and shutil.which("clang++") is None:
        return {"left_out": "no compiler"}
    started = time.perf_counter()
    read = prepare(problem)
    seconds = time.perf_counter() - started
    try:
        timed = _timed(read, problem)
        error = _error(read, problem, expected)
    except rivals.DoesNotFit as reason:
        one = _seconds([lambda: read(problem.queries[:1])])
        return {"left_out": f"needs {reason}", "seconds_of_one": one}
    return {"seconds_to_prepare": seconds, **timed, "error": error}


def _error(read: Reader, problem: Problem, expected: torch.Tensor) -> float:
    found = torch.cat([read(part) for part in problem.queries[:CHECKED].split(16)])
    return float((found.cpu() - expected).abs().max())


def _timed(read: Reader, problem: Problem) -> dict[str, Any]:
    places, device = problem.queries, problem.senses.device
    read(places[:2])  # compiles what is to be compiled
    single = [partial(read, places[at : at + 1]) for at in range(2, 102)]
    found: dict[str, Any] = {"seconds_of_one": _seconds(single)}
    few = _seconds([lambda: read(places[:10])])
    # Ten at a time share less than a thousand do, so that what is quick is tried all the same.
    if few * len(places) / 10 > PATIENCE and few > 1.0:
        return {**found, "left_out": f"some {few * len(places) / 10:.0f} s"}
    found["seconds_of_many"] = _seconds([lambda: read(places)] * ROUNDS)
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


STUDIES: dict[str, Callable[[], dict[str, Any]]] = {"small": small, "full": full}


def main(names: list[str]) -> int:
    """Run studies, all by default."""
    return run_studies(STUDIES, RESULTS, names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
