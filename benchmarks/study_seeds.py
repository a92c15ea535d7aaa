"""What a cluster makes of a study with many seeds: 64 lives, by one worker and by two.

Usage: ``python -m benchmarks.study_seeds [OPTION ...]``; some minutes. Workers are processes of
this machine, with a thread each. Both numbers of workers take turns, in both orders, after each
worker has lived a little, so that all is loaded. Where others use the processors meanwhile, a ratio
of times says little. So beside it stands that of the seconds of a processor that the one worker
took, and the busier of two: what two idle processors would make of it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.origins import results_file
from benchmarks.studies import Part, Study, run_studies
from tree_world.agents import ByDrive, Forager
from tree_world.models.drives import DriveClassifier, train_drive_classifier
from tree_world.simulation import TreeWorld, TreeWorldConfig
from tree_world.studies import over_seeds

RESULTS = results_file("seeds")

SEEDS = range(64)
STEPS = 100
TURNS = (1, 2, 2, 1)  # workers


def lives(
    part: Part,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    turns: Sequence[int] = TURNS,
) -> dict[str, Any]:
    """Live with each seed, by one worker and by two.

    Returns
    -------
    dict
        For each of the ``turns`` its ``workers``, ``seconds`` by the clock, ``cpu`` seconds of each
        worker, and ``load``, how many wanted a processor when it began. Digests of all lives in a
        turn, each once (``bits``), how many times as fast two workers are, by the clock and by the
        seconds of a processor, in a pair of turns, and how long one worker's turn was.
    """
    told: list[dict[str, Any]] = part("turns", taken, list(seeds), steps, list(turns))
    pairs = [
        sorted(told[at : at + 2], key=lambda turn: len(turn["cpu"]))
        for at in range(0, len(told), 2)
    ]
    return {
        "lives": len(seeds),
        "steps": steps,
        "turns": [{key: turn[key] for key in turn if key != "bits"} for turn in told],
        "bits": sorted({turn["bits"] for turn in told}),
        "times_as_fast": [one["seconds"] / two["seconds"] for one, two in pairs],
        "times_as_fast_by_cpu": [max(one["cpu"]) / max(two["cpu"]) for one, two in pairs],
    }


def taken(seeds: list[int], steps: int, turns: list[int]) -> list[dict[str, Any]]:
    """Take turns, each with its number of workers."""
    import distributed

    found = []
    with ExitStack() as stack:
        clients = {}
        for number in sorted(set(turns)):
            cluster = distributed.LocalCluster(
                n_workers=number, threads_per_worker=1, dashboard_address=":0"
            )
            stack.enter_context(cluster)
            client = distributed.Client(cluster, set_as_default=False)
            clients[number] = stack.enter_context(client)
            client.run(live, STEPS, 0)
        for number in turns:
            before = clients[number].run(time.process_time)
            load, started = os.getloadavg()[0], time.perf_counter()
            bits = over_seeds(functools.partial(live, steps), seeds, client=clients[number])
            seconds = time.perf_counter() - started
            after = clients[number].run(time.process_time)
            found.append(
                {
                    "workers": number,
                    "seconds": seconds,
                    "cpu": [after[worker] - before[worker] for worker in before],
                    "load": load,
                    "bits": hashlib.sha256("".join(bits).encode()).hexdigest()[:16],
                }
            )
    return found


def live(steps: int, seed: int) -> str:
    """Live as a forager, and give a digest of all that happened."""
    config = TreeWorldConfig.model_validate({})
    forager = Forager(lambda: ByDrive(drives()))
    life = TreeWorld.random_from_config(config, seed=seed, model=forager).run(steps)
    assert life is not None
    digest = hashlib.sha256()
    for column in (life.positions, life.healths, life.meal_healths):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


@functools.cache
def drives() -> DriveClassifier:
    """Train once in a process."""
    return train_drive_classifier(TreeWorldConfig.model_validate({}))[0]


def _same_bits(short: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Hold that lives are as long, and that all turns give the same bits, in each of the two."""
    if short["steps"] != stored["steps"]:
        return [f"lives have {short['steps']} steps, and {stored['steps']} in what is stored"]
    counts = [len(found["bits"]) for found in (short, stored)]
    return [] if counts == [1, 1] else [f"there are {counts} different bits, not one and one"]


STUDIES = {
    "lives": Study(
        lives,
        short=lambda part: lives(part, SEEDS[:4], 100, TURNS[:2]),
        agrees=[_same_bits],
    ),
}


def main(options: list[str]) -> int:
    """Run the study; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
