"""Reads by Tree World and by others, measured in one run and against one oracle.

Usage: ``python -m benchmarks.study_rivals [OPTION ...] [small] [full]``, some ten minutes and more
than an hour, in parts of at most half an hour: one for each size and kernel, for reads and for the
steps of an agent, which writes and reads in each. All ways of a part are prepared first. Then they
take turns, in an order that is drawn anew for each round, so that all suffer alike from whatever
else the machine does. Where a GPU is present, the ways that can use it are measured there, too.
"""

from __future__ import annotations

import importlib.metadata
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numba
import numpy as np
import threadpoolctl
import torch
import tqdm

from benchmarks import rivals
from benchmarks.machine import peak_megabytes
from benchmarks.origins import results_file
from benchmarks.rival_face import THREADS, DoesNotFit, NotHere, Way
from benchmarks.rival_problem import KERNELS, Problem, exact, problem
from benchmarks.studies import Part, Study, run_studies

RESULTS = results_file("rivals")

SIZES = (1000, 10_000, 100_000, 1_000_000)
MANY = 1000  # queries that are read at once, all of which are compared with double precision
ACCURATE = 1e-5  # error of a number, where the norm of a sense is about two
FEW = 10  # queries by which the time of many is guessed
PATIENCE = 30.0  # seconds; what would take longer for all queries is not tried
SLOW = 1.0  # seconds of few, below which all are tried: few share less than many do
ROUNDS = 5
SINGLES, LONGEST_SINGLES = 40, 2.0  # single reads of a round, and seconds after which it has enough
STEPS, LONGEST_STEPS = 400, 4.0  # steps of a round, likewise
STEPPING = ("threshold", "narrow")  # kernels with which an agent reads
QUARTILES = (0.25, 0.5, 0.75)


def small(part: Part) -> dict[str, Any]:
    """Read from a thousand and ten thousand observations."""
    return _compare(part, SIZES[:2])


def full(part: Part) -> dict[str, Any]:
    """Read from a thousand to a million observations."""
    return _compare(part, SIZES)


def _compare(
    part: Part,
    sizes: Sequence[int],
    left_out: Sequence[str] = (),
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows, steps = [], []
    for size in sizes:
        for kernel in KERNELS:
            for device in devices:
                name = f"{size:,} {kernel}" + (f" on {device}" if device != "cpu" else "")
                rows += part(name, reads, size, kernel, device, left_out, rounds)
        for kernel in STEPPING:
            name = f"{size:,} {kernel} in steps"
            steps += part(name, steps_of_an_agent, size, kernel, left_out, rounds)
    return {
        "versions": {name: importlib.metadata.version(name) for name in rivals.PACKAGES},
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": THREADS,
        "queries": MANY,
        "accurate": ACCURATE,
        "patience": PATIENCE,
        "rounds": rounds,
        "quartiles": QUARTILES,
        "rows": rows,
        "steps": steps,
    }


# --- reads ----------------------------------------------------------------------------------------


def reads(
    size: int, kernel: str, device: str, left_out: Sequence[str], rounds: int
) -> list[dict[str, Any]]:
    """Prepare all ways, then time them in turns.

    Parameters
    ----------
    size : int
        Number of observations.
    kernel : str
    device : str
    left_out : sequence of str
        Ways that are not tried.
    rounds : int

    Returns
    -------
    list of dict
        One for each way, with what was measured, or why it was not.
    """
    _set_threads()
    given = problem(size, kernel, MANY)
    expected = exact(given, given.queries)
    there = given.to(device)
    ways, rows = {}, []
    names = [name for name, way in rivals.WAYS.items() if device in way.devices]
    for name in tqdm.tqdm(_without(names, left_out), desc=f"{size:,} {kernel}", unit="way"):
        way, row = _prepared(name, there)
        rows.append({"size": size, "kernel": kernel, "way": name, "device": device, **row})
        if way is not None:
            rows[-1].update(_tried(way, expected))
            ways[name] = way
    by_name = {row["way"]: row for row in rows}
    single: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    many: dict[str, list[float]] = {name: [] for name in ways if "left_out" not in by_name[name]}
    for number in tqdm.trange(rounds, desc=f"{size:,} {kernel}", unit="round"):
        for name in order_of_round(list(ways), size, number):
            way = ways[name]
            places = there.queries[number * SINGLES % MANY :][:SINGLES]
            single[name].append(_each(way, places))
            if name in many:
                many[name].append(_seconds(partial(way.read_many, there.queries)))
    for name, way in ways.items():
        row = by_name[name]
        row.update(_summary("of_one", np.concatenate(single[name])))
        row["seconds_of_one_by_round"] = [float(np.median(one)) for one in single[name]]
        if name in many:
            row.update(_summary("of_many", np.array(many[name])))
            row["seconds_of_many_by_round"] = many[name]
            row["megabytes"] = _peak(way, there)
    return rows


def _prepared(name: str, given: Problem) -> tuple[Way | None, dict[str, Any]]:
    """Prepare a way, and read once and again, which tells what is compiled on the first read."""
    kind = rivals.WAYS[name]
    if kind.largest is not None and given.size > kind.largest:
        return None, {"left_out": f"up to {kind.largest:,} only"}
    started = time.perf_counter()
    try:
        way = kind(given)
        prepared = time.perf_counter() - started
        if kind.efforts:
            way.make_an_effort(kind.efforts[0])
        first = [_seconds(lambda: way.read_one(given.queries[0])) for _ in range(2)]
        first += [_seconds(lambda: way.read_many(given.queries[:FEW])) for _ in range(2)]
    except NotHere as reason:
        return None, {"left_out": str(reason)}
    return way, {
        "seconds_to_prepare": prepared,
        "seconds_to_compile": max(0.0, first[0] - first[1]) + max(0.0, first[2] - first[3]),
        "megabytes_held": way.num_bytes() / 2**20,
    }


def _tried(way: Way, expected: torch.Tensor) -> dict[str, Any]:
    """Read everything once, if there is patience for it.

    An approximate way makes more and more of an effort until it is accurate; if it never is, the
    least that most queries are accurate with.
    """
    best: dict[str, Any] = {}
    for effort in way.efforts or (0,):
        found = _read_all(way, effort, expected)
        if not best or found["share_accurate"] > best["share_accurate"]:
            best = found
        if found["error"] <= ACCURATE or "left_out" in found:
            break
    if best.get("effort"):
        way.make_an_effort(best["effort"])
    queries = way.problem.queries
    ones = torch.stack([way.read_one(queries[at]) for at in range(FEW)]).cpu()
    return best | {"error_of_one": float((ones - expected[:FEW]).abs().max())}


def _read_all(way: Way, effort: int, expected: torch.Tensor) -> dict[str, Any]:
    """Read everything, or few places where there is no patience or no room for all."""
    queries = way.problem.queries
    if effort:
        way.make_an_effort(effort)
    few = _seconds(lambda: way.read_many(queries[:FEW]))
    guess = few * len(queries) / FEW
    left_out: dict[str, Any] = {}
    if guess > PATIENCE and few > SLOW:
        queries, left_out = queries[:FEW], {"left_out": f"some {guess:.0f} s"}
    try:
        read = way.read_many(queries)
    except DoesNotFit as reason:
        queries, left_out = queries[:FEW], {"left_out": f"needs {reason}"}
        read = way.read_many(queries)
    apart = (read.cpu() - expected[: len(queries)]).abs().amax(dim=1)
    return {
        **({"effort": effort} if effort else {}),
        "error": float(apart.max()),
        "checked": len(queries),
        "share_accurate": float((apart <= ACCURATE).double().mean()),
        **left_out,
    }


def _peak(way: Way, given: Problem) -> float | None:
    """Megabytes that a read of many takes for a while."""
    if given.queries.device.type != "cuda":
        return peak_megabytes(lambda: way.read_many(given.queries))
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    way.read_many(given.queries)
    return float(torch.cuda.max_memory_allocated() - held) / 2**20


# --- steps ----------------------------------------------------------------------------------------


def steps_of_an_agent(
    size: int, kernel: str, left_out: Sequence[str], rounds: int
) -> list[dict[str, Any]]:
    """Write one observation and read where it was made, again and again.

    Parameters
    ----------
    size : int
        Number of observations before the first step.
    kernel : str
    left_out : sequence of str
        Ways that are not tried.
    rounds : int

    Returns
    -------
    list of dict
        One for each way that can be written to, with the times of its steps.
    """
    _set_threads()
    given = problem(size, kernel, MANY, room=rounds * STEPS + 1)
    ways, rows = {}, []
    names = [name for name, way in rivals.WAYS.items() if way.can_be_written_to]
    for name in tqdm.tqdm(_without(names, left_out), desc=f"{size:,} {kernel}, to write to"):
        way, row = _prepared(name, given)
        row = {key: row[key] for key in row if key in ("left_out", "seconds_to_prepare")}
        rows.append({"size": size, "kernel": kernel, "way": name, **row})
        if way is not None:
            _tried(way, exact(given, given.queries))
            _step(way, 0)
            ways[name] = way
    seconds: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for number in tqdm.trange(rounds, desc=f"{size:,} {kernel}, in steps", unit="round"):
        for name in order_of_round(list(ways), size, number):
            seconds[name].append(_stepped(ways[name]))
    by_name = {row["way"]: row for row in rows}
    for name, way in ways.items():
        took, row = np.concatenate(seconds[name]), by_name[name]
        written = way.number - size
        place = given.all_locations[way.number - 1]
        error = (way.read_one(place) - exact(given, place[None], written)[0]).abs().max()
        row |= {"written": written, "error": float(error)}
        for what, part in zip(("step", "write", "read"), (took.sum(axis=1), *took.T), strict=True):
            row |= _summary(f"of_{what}", part)
            row[f"mean_of_{what}"], row[f"worst_of_{what}"] = float(part.mean()), float(part.max())
        row["seconds_of_step_by_round"] = [
            float(np.median(one.sum(axis=1))) for one in seconds[name]
        ]
    return rows


def _step(way: Way, number: int) -> tuple[float, float]:
    """Take a step: seconds of its write and of its read."""
    place = way.problem.all_locations[way.problem.size + number]
    sense = way.problem.all_senses[way.problem.size + number]
    started = time.perf_counter()
    way.write(place, sense)
    written = time.perf_counter()
    way.read_one(place)
    return written - started, time.perf_counter() - written


def _stepped(way: Way) -> np.ndarray:
    """Take the steps of a round, as many as there is time for; of shape (n_steps, 2)."""
    took: list[tuple[float, float]] = []
    started = time.perf_counter()
    while len(took) < STEPS and time.perf_counter() - started < LONGEST_STEPS:
        took.append(_step(way, way.number - way.problem.size))
    return np.array(took)


# --- time -----------------------------------------------------------------------------------------


def _set_threads() -> None:
    torch.set_num_threads(THREADS)
    numba.set_num_threads(min(THREADS, numba.get_num_threads()))
    threadpoolctl.threadpool_limits(THREADS)


def _without(names: Sequence[str], left_out: Sequence[str]) -> list[str]:
    return [name for name in names if name not in left_out]


def order_of_round(names: list[str], size: int, number: int) -> list[str]:
    """Draw who is when in a round."""
    return [names[at] for at in np.random.default_rng([size, number]).permutation(len(names))]


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _each(way: Way, places: torch.Tensor) -> np.ndarray:
    """Time single reads, as many as there is time for, after one that is not timed."""
    way.read_one(places[0])
    seconds: list[float] = []
    for place in places:
        seconds.append(_seconds(partial(way.read_one, place)))
        if sum(seconds) > LONGEST_SINGLES:
            break
    return np.array(seconds)


def _summary(what: str, seconds: np.ndarray) -> dict[str, Any]:
    """Give the median of some times, how many they were, and their quartiles."""
    return {
        f"seconds_{what}": float(np.median(seconds)),
        f"number_{what}": len(seconds),
        f"quartiles_{what}": np.quantile(seconds, QUARTILES).tolist(),
    }


# --- confirming -----------------------------------------------------------------------------------


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
    # What is compiled first takes longer than all others together.
    compiled = ["PyKeOps", "PyKeOps by blocks", "FlexAttention"]
    return _compare(part, SIZES[:1], left_out=compiled, rounds=1)


STUDIES = {
    "small": Study(small, _short, [_as_accurate]),
    "full": Study(full, _short, [_as_accurate]),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
