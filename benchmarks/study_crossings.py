"""Where one way to read becomes quicker than another: the crossings of the plan, found again.

Usage: ``python -m benchmarks.study_crossings [OPTION ...] [sizes]``, some minutes on an idle
machine. `tree_world.models.memory.recall.plan` decides by numbers which way a read takes. For sizes
around each of them, both ways are timed in turns, by setting the number so that the one or the
other is taken; where they take as long is the crossing that this machine would choose.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
import tqdm

from benchmarks.origins import results_file
from benchmarks.studies import Part, Study, run_studies
from tree_world.models.memory import Observations, ReadOptions, SpatialMemory
from tree_world.models.memory.recall import plan
from tree_world.models.memory.recall.reading import read

RESULTS = results_file("crossings")

SENSORY = 384
SPREAD = 200.0  # metres, of ten thousand observations; the density is the same for all sizes
SD = 10.0  # metres, of all observations and reads
THRESHOLD = 25.0  # metres
LARGE = 100_000  # observations, where queries are what is counted
ROUNDS = 7

Work = Callable[[], Any]


@dataclass(frozen=True)
class Crossing:
    """A number of the plan, and what it stands between.

    Attributes
    ----------
    name : str
        In `plan`.
    ways : (str, str)
        What is done with smaller sizes, and with larger ones.
    sizes : sequence of int
        That are tried, in order.
    prepare : callable
        Makes of a size the read that is timed.
    values : (float, float)
        Of the number, so that the one or the other way is taken at any size.
    of_size : callable
        The number that puts the crossing at a size.
    """

    name: str
    ways: tuple[str, str]
    sizes: Sequence[int]
    prepare: Callable[[int], Work]
    values: tuple[float, float] = (math.inf, 0.0)
    of_size: Callable[[float], float] = float


def _places(number: int, spread: float, seed: int) -> torch.Tensor:
    return spread * torch.randn(number, 2, generator=torch.Generator().manual_seed(seed))


def _senses(number: int) -> torch.Tensor:
    return torch.randn(number, SENSORY, generator=torch.Generator().manual_seed(1))


def _spread(number: int) -> float:
    return SPREAD * math.sqrt(number / 10_000)


def _alone(queries: int, number: int) -> Work:
    """Read from observations that no memory holds, so that there is no index."""
    spread, sds = _spread(number), torch.full((number, 2), SD)
    observations = Observations(_places(number, spread, 0), sds, _senses(number))
    places = _places(queries, spread, 2)
    return lambda: read(places, sds[:1], observations, ReadOptions())


def _of_memory(queries: int, number: int, threshold: float | None) -> Work:
    """Read from a memory."""
    spread = _spread(number)
    memory = SpatialMemory(2, SENSORY, max_memory_size=number)
    memory.write(_places(number, spread, 0), SD, _senses(number))
    places = _places(queries, spread, 2)
    return lambda: memory.read(places, SD, threshold)


def _of_a_sense(number: int) -> Work:
    """Ask where something was sensed, from a guess."""
    spread, senses = _spread(number), _senses(number)
    memory = SpatialMemory(2, SENSORY, max_memory_size=number)
    places = _places(number, spread, 0)
    memory.write(places, SD, senses)
    return lambda: memory.read_location(senses[0], places[0], SD)


CROSSINGS = (
    Crossing(
        "VERY_FEW_PAIRS",
        ("arrays of all pairs", "what the index finds, compiled"),
        [125, 250, 500, 1000, 2000, 4000, 8000, 16_000],
        lambda number: _of_memory(1, number, THRESHOLD),
    ),
    Crossing(
        "FEW_PAIRS",
        ("all pairs at once", "what matters, or in blocks"),
        [2**power for power in range(14, 23)],
        lambda pairs: _alone(64, pairs // 64),
    ),
    Crossing(
        "NOT_WORTH_LEAVING_OUT",
        ("all, in blocks", "what matters"),
        [128, 256, 512, 1024, 2048, 4096],
        lambda number: _alone(4096, number),
    ),
    Crossing(
        "FEW_TO_READ",
        ("all observations", "what the index finds"),
        [500, 1000, 2000, 4000, 8000, 16_000],
        lambda number: _of_memory(1, number, None),
    ),
    Crossing(
        "FEW_TO_SENSE",
        ("all observations", "what the index finds"),
        [500, 1000, 2000, 4000, 8000, 16_000],
        _of_a_sense,
    ),
    Crossing(
        "FOR_EACH_PLACE",
        ("what the index finds", "groups that are formed for the read"),
        [125, 250, 500, 1000, 2000, 4000],
        lambda queries: _of_memory(queries, LARGE, None),
        values=(1, LARGE),
        of_size=lambda queries: LARGE / queries,
    ),
    Crossing(
        "SMALL",
        ("groups that are formed for the read", "what the index finds"),
        [12_500, 25_000, 50_000, 100_000, 200_000],
        lambda number: _of_memory(number // 50, number, THRESHOLD),
    ),
)


def sizes(part: Part, most: int | None = None, rounds: int = ROUNDS) -> dict[str, Any]:
    """Time both ways on each side of each crossing, and find where they take as long."""
    found = []
    for crossing in CROSSINGS:
        tried = list(crossing.sizes[:most])
        seconds = [
            part(f"{crossing.name} {size}", seconds_of, crossing, size, rounds) for size in tried
        ]
        at = meeting_point(tried, seconds)
        found.append(
            {
                "name": crossing.name,
                "ways": list(crossing.ways),
                "sizes": tried,
                "seconds": seconds,
                "in_the_plan": float(getattr(plan, crossing.name)),
                "here": None if at is None else crossing.of_size(at),
            }
        )
    for one in found:
        print(f"{one['name']:24} in the plan {one['in_the_plan']:>10,.0f}   here {_told(one):>20}")
    return {"crossings": found}


def _told(one: dict[str, Any]) -> str:
    """Say where a crossing is, or on which side of all sizes."""
    if one["here"] is not None:
        return f"{one['here']:,.0f}"
    first, second = one["seconds"][-1]
    size, side = (one["sizes"][0], "below") if second < first else (one["sizes"][-1], "above")
    return f"{side} size {size:,}"


def seconds_of(crossing: Crossing, size: int, rounds: int) -> list[float]:
    """Time both ways, which take turns, and keep the least times."""
    work = crossing.prepare(size)
    least = [math.inf, math.inf]
    title = f"{crossing.name}, {size:,}"
    for number in tqdm.trange(rounds + 1, desc=title, unit="round", leave=False):
        for way, value in enumerate(crossing.values):
            with mock.patch.object(plan, crossing.name, value):
                started = time.perf_counter()
                work()
                took = time.perf_counter() - started
            if number > 0:  # the first compiles, and fills caches
                least[way] = min(least[way], took)
    return least


def meeting_point(sizes: Sequence[float], seconds: Sequence[Sequence[float]]) -> float | None:
    """Find the size from which on the second way is quicker than the first.

    Parameters
    ----------
    sizes : sequence of float
        In order.
    seconds : sequence of (float, float)
        That both ways take, for each size.

    Returns
    -------
    float or None
        Between two sizes along straight lines of the logarithms; the last such place, if there
        are many. None if the second way is quicker at all sizes, or is not at the last.

    Examples
    --------
    >>> meeting_point([1, 2, 8, 32], [(1, 4), (1, 2), (2, 1), (4, 1)])
    4.0
    """
    ahead = np.array([math.log(first / second) for first, second in seconds])
    if ahead[-1] <= 0 or (ahead > 0).all():
        return None
    last = int(np.flatnonzero(ahead <= 0)[-1])
    share = ahead[last] / (ahead[last] - ahead[last + 1])
    low, high = math.log(sizes[last]), math.log(sizes[last + 1])
    return float(f"{math.exp(low + share * (high - low)):.6g}")


def _same_sizes(short: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Compare which crossings there are, and where they stand in the plan."""
    theirs = {one["name"]: one for one in stored["crossings"]}
    return [
        f"{one['name']}: {key} is {one[key]}, stored {theirs.get(one['name'], {}).get(key)}"
        for one in short["crossings"]
        for key in ("ways", "in_the_plan")
        if one[key] != theirs.get(one["name"], {}).get(key)
    ]


STUDIES = {
    "sizes": Study(sizes, lambda part: sizes(part, 2, rounds=1), [_same_sizes]),
}


def main(options: list[str]) -> int:
    """Find the crossings; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
