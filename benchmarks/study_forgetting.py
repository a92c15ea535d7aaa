"""Studies of forgetting that take too long for a chapter, which draws them from their results.

Usage: ``python -m benchmarks.study_forgetting [NAME ...]``, all by default; options are those of
`benchmarks.studies`. What random numbers decide here is the same each time, but for last digits, by
which a fit ends elsewhere and one of two like observations goes; times and latencies are those of
the machine that is noted.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import tqdm

from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.policy import Forgetter, ForgettingPolicy
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

RESULTS = results_file("forgetting")

SENSORY = 384
SD = 10.0  # metres, of all observations and reads
THRESHOLD = 25.0  # metres

WORLDS = range(10)
NUMBER = 1024
SIZES = (614, 410, 307, 256, 204, 180)

LIVES = range(5)
STEPS = 100_000
RANGE = 150.0  # metres, standard deviation of where the agent is, in the long run
STRIDE = 7.0  # metres in a step and along an axis, standard deviation
POLICY = ForgettingPolicy(2000, 1000, 0.15, THRESHOLD, in_background=False)
RIVAL_SIZES = (2000, 5000)  # what the policy keeps at most; and that with its witnesses
LOOK_EVERY, SIZE_EVERY = 2000, 130  # steps; prunings fall on whole thousands
UNPRUNED = "policy before pruning"  # the policy's memory at a look, just before it is pruned

MANY = 100_000
PERIOD = 0.1  # seconds between two steps
SWAPS = 5
AROUND = 3.0  # seconds before and after
FIRST = 5  # steps that are not counted: the first draw with a key takes in the whole memory


def consolidation(
    part: Part, seeds: Sequence[int] = WORLDS, sizes: Sequence[int] = SIZES
) -> dict[str, Any]:
    """Held-out error of ten worlds, with everything and with few virtual observations."""
    found = [part(f"world {seed}", _consolidated, seed, list(sizes)) for seed in seeds]
    return {
        "everything": [one["everything"] for one in found],
        **{
            name: [list(column) for column in zip(*(one[name] for one in found), strict=True)]
            for name in ("sizes", "errors", "seconds")
        },
    }


def _consolidated(seed: int, sizes: list[int]) -> dict[str, Any]:
    world, generator = _world(seed)
    places = 100 * torch.randn(NUMBER, 2, generator=generator)
    new = 100 * torch.randn(2 * NUMBER, 2, generator=generator)
    senses, truth = _smell(world, places), _smell(world, new)
    found: dict[str, Any] = {"sizes": [], "errors": [], "seconds": []}
    found["everything"] = _mean(_errors(_memory(NUMBER, places, senses), new, truth)[0])
    for size in tqdm.tqdm(sizes, desc=f"consolidation, world {seed}", unit="size"):
        memory = _memory(NUMBER, places, senses)
        report = memory.consolidate(size, THRESHOLD, seed=seed)
        found["sizes"].append(len(memory))
        found["errors"].append(_mean(_errors(memory, new, truth)[0]))
        found["seconds"].append(report.seconds)
    return found


def long_life(part: Part, seeds: Sequence[int] = LIVES, steps: int = STEPS) -> dict[str, Any]:
    """Size and held-out error over 100,000 steps: by the policy, and by five simpler ways.

    At each look a pruning is due, and the policy is looked at just before and just after it. Of the
    places where errors are taken, some have nothing of the whole path in reach, so that no way to
    remember could tell them; errors at the others are given apart.
    """
    lives = part.each(_one_life, {f"life {seed}, {steps} steps": (seed, steps) for seed in seeds})
    return {
        "steps": list(range(LOOK_EVERY, steps + 1, LOOK_EVERY)),
        "size_every": SIZE_EVERY,
        "range": RANGE,
        "start_at": POLICY.start_at,
        "target_size": POLICY.target_size,
        "tolerance": POLICY.max_error_to_prune,
        "rival_sizes": list(RIVAL_SIZES),
        "sizes": lives[0]["sizes"],
        "sizes_with_witnesses": lives[0]["sizes_with_witnesses"],
        "greatest_size": max(life["greatest_size"] for life in lives),
        **{
            key: {name: [life[key][name] for life in lives] for name in lives[0][key]}
            for key in ("errors", "errors_where_reached", "told")
        },
        **{
            name: [life[name] for life in lives]
            for name in (
                "unreached",
                "most_with_witnesses",
                "mean_with_witnesses",
                "prunings",
                "worst_error",
                "witnesses_lost",
            )
        },
    }


def _one_life(seed: int, steps: int) -> dict[str, Any]:
    """Stroll so many steps of 100,000, and see what each way to remember makes of it."""
    world, generator = _world(seed)
    path = _stroll(generator)
    new = RANGE * torch.randn(1000, 2, generator=generator)
    truth = _smell(world, new)
    path = path[:steps]
    senses = torch.cat([_smell(world, part) for part in path.split(4096)])
    ours = SpatialMemory(2, SENSORY, max_memory_size=2 * POLICY.start_at)
    forgetter = Forgetter(ours, POLICY)
    reports: list[PruneReport] = []
    rivals: dict[str, _Everything | _Reservoir] = {
        "everything": _Everything(),
        **{f"reservoir of {size:,}": _Reservoir(size, seed) for size in RIVAL_SIZES},
        **{f"the last {size:,}": _Latest(size) for size in RIVAL_SIZES},
    }
    errors: dict[str, list[float]] = {name: [] for name in ("policy", UNPRUNED, *rivals)}
    where_reached: dict[str, list[float]] = {name: [] for name in errors}
    unreached: list[float] = []
    told: dict[str, list[float]] = {}
    sizes, in_use, most, most_rows, sum_of_rows = [], [], 0, 0, 0
    for step in tqdm.trange(steps, desc=f"life {seed}", unit="step"):
        one = slice(step, step + 1)
        ours.write(path[one], SD, senses[one])
        most, rows = max(most, len(ours)), len(ours) + ours.num_witnesses
        looks, ends = (step + 1) % LOOK_EVERY == 0, step + 1 == steps
        found = {UNPRUNED: _errors(ours, new, truth)} if looks else {}
        if ends:
            told[UNPRUNED] = _shares_told(ours, path, senses)
        report = forgetter.step()
        if isinstance(report, PruneReport):
            reports.append(report)
        assert isinstance(report, PruneReport) or not looks, "a look must fall on a pruning"
        most_rows, sum_of_rows = max(most_rows, rows), sum_of_rows + rows
        for rival in rivals.values():
            rival.meet(step)
        if (step + 1) % SIZE_EVERY == 0:
            sizes.append(len(ours))
            in_use.append(len(ours) + ours.num_witnesses)
        if looks:
            memories = {"policy": ours}
            for name, rival in rivals.items():
                which = torch.from_numpy(rival.kept())
                memories[name] = _memory(len(which), path[which], senses[which])
            for name, memory in memories.items():
                found[name] = _errors(memory, new, truth)
                if ends:
                    told[name] = _shares_told(memory, path, senses)
            reached = found["everything"][1]
            unreached.append(1 - _mean(reached))
            for name, (error, _) in found.items():
                errors[name].append(_mean(error))
                where_reached[name].append(_mean(error[reached]))
    return {
        "errors": errors,
        "errors_where_reached": where_reached,
        "unreached": unreached,
        "told": told,
        "sizes": sizes,
        "sizes_with_witnesses": in_use,
        "greatest_size": most,
        "most_with_witnesses": most_rows,
        "mean_with_witnesses": sum_of_rows / steps,
        "prunings": len(reports),
        "worst_error": max(report.worst_error for report in reports),
        "witnesses_lost": sum(report.num_lost_witnesses for report in reports),
    }


class _Everything:
    """Keeps all that it meets."""

    def __init__(self) -> None:
        self.number = 0

    def meet(self, step: int) -> None:
        self.number = step + 1

    def kept(self) -> np.ndarray:
        return np.arange(self.number)


class _Latest(_Everything):
    """First in, first out: drops the oldest."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def kept(self) -> np.ndarray:
        return np.arange(max(0, self.number - self.size), self.number)


class _Reservoir:
    """Keeps as many at random, of all that it has met, each with the same probability.

    Once it is full, what comes n-th takes the place of one of those kept with probability size / n.

    References
    ----------
    J. S. Vitter, "Random sampling with a reservoir", ACM Transactions on Mathematical Software
    11 (1985), algorithm R.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.steps: list[int] = []
        self.generator = np.random.default_rng(700 + seed)

    def meet(self, step: int) -> None:
        if len(self.steps) < self.size:
            self.steps.append(step)
            return
        place = int(self.generator.integers(step + 1))
        if place < self.size:
            self.steps[place] = step

    def kept(self) -> np.ndarray:
        return np.sort(self.steps)


def hot_swap(part: Part, swaps: int = SWAPS) -> dict[str, Any]:
    """Let an agent live at 10 Hz, while 100,000 observations are pruned and exchanged."""
    found: dict[str, Any] = part(f"{swaps} swaps", _swaps, swaps)
    return found


def _swaps(swaps: int) -> dict[str, Any]:
    world, generator = _world(0)
    places = 200 * torch.randn(MANY, 2, generator=generator)
    senses = torch.cat([_smell(world, part) for part in places.split(4096)])
    shown: list[_Step] = []
    alone: list[float] = []
    firsts: list[float] = []
    latencies: list[float] = []
    rounds = []
    for number in range(swaps):
        life = _LifeAtTenHertz(_memory(MANY + 10_000, places, senses), world, senses[0], generator)
        first = [life.step() for _ in range(FIRST)]
        life.origin = time.perf_counter()
        before = life.go_on(AROUND)
        began = life.now()
        task = life.memory.prune_in_background(0.05, THRESHOLD)
        during = []
        while not task.done():
            during.append(life.step())
        report = task.result()
        after = life.go_on(AROUND)
        steps = [*before, *during, *after]
        # Nothing is lost: what was written since the snapshot is there beside what was kept.
        since = MANY + len(first) + len(steps) - report.num_before
        assert len(life.memory) == report.num_kept + since
        swapped = next(step.started for step in steps if step.size < MANY)
        rounds.append({"began": began, "swapped": swapped, "num_kept": report.num_kept})
        alone += [step.latency for step in before]
        firsts += [step.latency for step in first]
        latencies += [step.latency for step in during]
        shown = shown or steps
        print(f"swap {number + 1} of {swaps}: {report}", flush=True)
    return {
        "times": [step.started for step in shown],
        "latencies": [step.latency for step in shown],
        "sizes": [step.size for step in shown],
        "rounds": rounds,
        "steps_during": len(latencies),
        "median": float(np.median(latencies)),
        "p99": float(np.quantile(latencies, 0.99)),
        "worst": max(latencies),
        "alone": float(np.median(alone)),
        "worst_first": max(firsts),
    }


@dataclass(frozen=True)
class _Step:
    started: float  # seconds since the life began
    latency: float  # seconds
    size: int  # observations in memory


class _LifeAtTenHertz:
    """Writes one, reads one and draws 64 near by in each step, and waits for the next."""

    def __init__(
        self, memory: SpatialMemory, world: TreeWorld, key: torch.Tensor, generator: torch.Generator
    ) -> None:
        self.memory, self.world, self.key, self.generator = memory, world, key, generator
        self.place = torch.zeros(2)
        self.origin = time.perf_counter()

    def now(self) -> float:
        return time.perf_counter() - self.origin

    def step(self) -> _Step:
        self.place = self.place + 0.5 * torch.randn(2, generator=self.generator)
        smell = _smell(self.world, self.place[None])
        started = self.now()
        self.memory.write(self.place[None], SD, smell)
        self.memory.read(self.place, SD, THRESHOLD)
        self.memory.sample(
            self.place, SD, self.key, 64, location_temperature=100.0, seed=self.generator
        )
        latency = self.now() - started
        time.sleep(max(0.0, PERIOD - latency))
        return _Step(started, latency, len(self.memory))

    def go_on(self, seconds: float) -> list[_Step]:
        until, steps = self.now() + seconds, []
        while self.now() < until:
            steps.append(self.step())
        return steps


def _world(seed: int) -> tuple[TreeWorld, torch.Generator]:
    world = TreeWorld.random_from_config(TreeWorldConfig.model_validate({}), seed=seed)
    return world, torch.Generator().manual_seed(500 + seed)


def _smell(world: TreeWorld, places: torch.Tensor) -> torch.Tensor:
    sensor = SimpleSensor.from_config(TreeWorldConfig.model_validate({}))
    return sensor.sense(world, places, None)[1]


def _memory(capacity: int, places: torch.Tensor, senses: torch.Tensor) -> SpatialMemory:
    memory = SpatialMemory(2, SENSORY, max_memory_size=capacity)
    memory.write(places, SD, senses)
    return memory


def _stroll(generator: torch.Generator) -> torch.Tensor:
    """Walk at random, but drawn home, so that all of the surroundings are visited again."""
    steps = STRIDE * torch.randn(STEPS, 2, generator=generator, dtype=torch.float64).numpy()
    homing = math.sqrt(1 - (STRIDE / RANGE) ** 2)
    path, place = np.empty((STEPS, 2), dtype=np.float32), np.zeros(2)
    for number, step in enumerate(steps):
        place = homing * place + step
        path[number] = place
    return torch.from_numpy(path)


def _errors(
    memory: SpatialMemory, places: torch.Tensor, truth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Error of the read at each place, and whether anything is known there."""
    found = memory.read_with_support(places, SD, THRESHOLD)
    return torch.linalg.vector_norm(found.mean - truth, dim=-1), found.known


def _mean(values: torch.Tensor) -> float:
    return float(values.double().mean())


def _shares_told(memory: SpatialMemory, path: torch.Tensor, senses: torch.Tensor) -> list[float]:
    """Of all that was ever sensed: shares read back in and out of tolerance, and not at all."""
    errors, known = [], []
    for places, truth in zip(path.split(8192), senses.split(8192), strict=True):
        error, there = _errors(memory, places, truth)
        errors.append(error)
        known.append(there)
    error, there = torch.cat(errors), torch.cat(known)
    within = _mean(there & (error <= POLICY.max_error_to_prune))
    reached = _mean(there)
    return [within, reached - within, 1 - reached]


STUDIES = {
    "consolidation": Study(
        consolidation,
        short=lambda part: consolidation(part, seeds=[0], sizes=SIZES[:2]),
        # Where a fit ends depends on the processor.
        agrees=[Same("everything"), Same("sizes"), Same("errors", tolerance=0.05)],
    ),
    "long life": Study(
        long_life,
        short=lambda part: long_life(part, seeds=[0], steps=2 * LOOK_EVERY),
        # Of two that cost the same, rounding decides which one goes.
        agrees=[
            Same("errors/everything"),
            Same("errors/reservoir of 2,000"),
            Same("errors/reservoir of 5,000"),
            Same("errors/the last 2,000"),
            Same("errors/policy", tolerance=0.05),
            Same(f"errors/{UNPRUNED}", tolerance=0.05),
            Same("errors_where_reached/everything"),
            Same("unreached"),
            Same("sizes", tolerance=0.02),
            Same("sizes_with_witnesses", tolerance=0.02),
        ],
    ),
    "hot swap": Study(
        hot_swap,
        short=lambda part: hot_swap(part, swaps=1),
        # How many steps it has made before decides a few observations.
        agrees=[Same("rounds/0/num_kept", tolerance=0.01)],
    ),
}


def main(options: list[str]) -> int:
    """Run studies, all by default."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
