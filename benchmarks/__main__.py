"""Run benchmarks, and all studies if asked to, and write the tables that the book draws.

Usage: ``python -m benchmarks [--full] [--cluster=ADDRESS] [options of pytest]``; some ten minutes,
or eight hours. The address is that of a scheduler of Dask, for the parts of studies that need not
wait for each other; what measures speeds runs here.
``python -m benchmarks --short`` stores nothing, but runs the short form of every study and says
whether it agrees with what is stored; some ten minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    study_crossings,
    study_day,
    study_forgetting,
    study_frames,
    study_ground,
    study_learning,
    study_living,
    study_omniscient,
    study_rivals,
    study_scale,
    study_seeds,
    study_sequences,
    study_shards,
    study_space,
    study_where,
)
from benchmarks.machine import machine
from benchmarks.origins import ROOT, NotCommitted, origin, results_file, speed_sources
from benchmarks.studies import write_whole

RESULTS = results_file("memory")
STUDIES: list[Callable[[list[str]], int]] = [
    study_rivals.main,
    study_forgetting.main,
    study_scale.main,
    study_seeds.main,
    study_crossings.main,
    study_day.main,
    study_learning.main,
    study_omniscient.main,
    study_living.main,
    study_where.main,
    study_space.main,
    study_sequences.main,
    study_shards.main,
    study_frames.main,
    study_ground.main,
]


def main() -> int:
    """Run, summarise, write, print."""
    options = sys.argv[1:]
    if "--short" in options:
        return max([study(["--short"]) for study in STUDIES])
    cluster = [option for option in options if option.startswith("--cluster=")]
    options = [option for option in options if option not in cluster]
    full = "--full" in options
    if full:
        options.remove("--full")
    try:
        made = origin(speed_sources())  # before, for the files may be edited meanwhile
    except NotCommitted as reason:
        print(reason)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.json"
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "benchmarks"),
            *(f"--benchmark-json={raw}", "--benchmark-columns=min,median,max", *options),
        ]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code != 0:
            return code
        measured = json.loads(raw.read_text())["benchmarks"]
    rows = summary({(b["extra_info"]["work"], b["extra_info"]["role"]): b for b in measured})
    found = {"machine": machine(), "origin": made, "rows": rows}
    write_whole(RESULTS, json.dumps(found, indent=1) + "\n")
    for row in rows:
        print(f"{row['work']:32} {row['measure']:44} {row['value']:10.4g}   bound {row['bound']:g}")
    print(f"Measured: {len(measured)} benchmarks; table in {RESULTS.relative_to(ROOT)}")
    if full:
        return max([study(cluster) for study in STUDIES])
    return study_rivals.main(["small"])


def summary(runs: dict[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """Form the ratios, each with the bound that it should keep."""

    def median(work: str, role: str = "ours") -> float:
        return float(runs[work, role]["stats"]["median"])

    def info(work: str, name: str) -> Any:
        return runs[work, "ours"]["extra_info"][name]

    query, write = "one query in a million", "one write into a million"
    here, here_small = "draw here of 1,000,000", "draw here of 10,000"
    anywhere = "draw anywhere of 1,000,000"
    life, life_with_smell = "steps of a life", "steps of a life with smell"
    many, noisy = "pruning 100,000", "pruning 100,000, all dimensions"
    beyond = median(query) - info(query, "gather_seconds")
    gathered = info(query, "gather_bytes") / info(query, "gather_seconds")
    writes = runs[write, "ours"]["stats"]
    rows: list[tuple[str, str, Any, float]] = [
        (
            "threshold",
            "times as fast as the dense formula",
            median("threshold", "compared with") / median("threshold"),
            100,
        ),
        ("threshold", "MB above the data", info("threshold", "peak_megabytes"), 100),
        ("threshold", "error against double precision", info("threshold", "error"), 1e-5),
        (
            "no threshold",
            "times as fast as the dense formula",
            median("no threshold", "compared with") / median("no threshold"),
            30,
        ),
        ("no threshold", "error against double precision", info("no threshold", "error"), 1e-5),
        (
            "wide",
            "times the bare matrix product",
            median("wide") / median("wide", "compared with"),
            1.5,
        ),
        ("wide", "MB above the data", info("wide", "peak_megabytes"), 300),
        (query, "ms beyond the gather of the neighbours", 1e3 * beyond, 2),
        (query, "neighbours", info(query, "neighbours"), 8000),
        (query, "gather, as a share of copying bandwidth", gathered / info(query, "bandwidth"), 1),
        (here, "ms", 1e3 * median(here), 5),
        (
            here,
            "times as fast as torch.multinomial over everything",
            median(here, "compared with") / median(here),
            1,
        ),
        (here, "times a draw from a hundredth of it", median(here) / median(here_small), 100),
        (anywhere, "ms", 1e3 * median(anywhere), 5),
        ("pruning 1,024", "seconds", median("pruning 1,024"), 0.5),
        (many, "seconds", median(many), 60),
        (many, "MB above the data", info(many, "peak_megabytes"), 1000),
        (many, "worst error, as a share of the tolerance", info(many, "worst_error"), 1),
        (noisy, "seconds", median(noisy), 60),
        (noisy, "MB above the data", info(noisy, "peak_megabytes"), 1000),
        (
            life,
            "times as fast as the plain loop",
            median(life, "compared with") / median(life),
            10,
        ),
        (
            life_with_smell,
            "times as fast as the plain loop, by a model in Python",
            median(life_with_smell, "compared with")
            / median(life_with_smell, "ours, a model in Python"),
            4,
        ),
        (
            life_with_smell,
            "a second, in 1000 worlds on 2 threads",
            1000 / median(life_with_smell, "ours, 1000 worlds on 2 threads"),
            200_000,
        ),
        (write, "ms, mean", 1e3 * writes["mean"], 1),
        (write, "ms, worst", 1e3 * writes["max"], 20),
    ]
    return [
        {"work": work, "measure": measure, "value": value, "bound": bound}
        for work, measure, value, bound in rows
        if value is not None
    ]


if __name__ == "__main__":
    sys.exit(main())
