"""A day at ten steps a second, lived twice: remembering everything, and forgetting.

Usage: ``python -m benchmarks.study_day [NAME ...]``, both by default; some two hours. The path, the
errors and the sizes are the same each time; latencies are those of the machine that is noted.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tqdm

from benchmarks.studies import run_studies
from tree_world.models.drives import train_drive_classifier
from tree_world.models.forgetting import Forgetter, ForgettingPolicy
from tree_world.models.memory import SpatialMemory
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

RESULTS = Path(__file__).resolve().parent / "results" / "day.json"

SENSORY = 384
SD = 10.0  # metres, of all observations and reads
THRESHOLD = 25.0  # metres
NUMBER = 64  # places that are drawn in a step
DRIVES = ("edible", "poison")  # what is searched for, in turns
TURN = 600  # steps

PERIOD = 0.1  # seconds between two steps
STEPS = 864_000
LOOKS = 48  # times that error is measured and latencies are summed up
PLACES = 1000  # new places that each look asks for

RANGE = 200.0  # metres, standard deviation of where the agent is, in the long run, on each axis
SPEED = 1.0  # metres a second, standard deviation on each axis
TURNING = 0.05  # a second; after 20 s little is left of the direction

POLICY = ForgettingPolicy(20_000, 10_000, max_error_to_prune=0.15)


def remembering() -> dict[str, Any]:
    """Keep all of the 864,000 observations."""
    return _live(SpatialMemory(2, SENSORY, max_memory_size=STEPS))


def forgetting() -> dict[str, Any]:
    """Keep at most some 20,000, by pruning in the background within a tolerance."""
    memory = SpatialMemory(2, SENSORY, max_memory_size=2 * POLICY.start_at)
    forgetter = Forgetter(memory, POLICY)
    found = _live(memory, forgetter.step)
    forgetter.finish()
    return {
        **found,
        "start_at": POLICY.start_at,
        "target_size": POLICY.target_size,
        "tolerance": POLICY.max_error_to_prune,
    }


def _live(memory: SpatialMemory, after_step: Callable[[], Any] | None = None) -> dict[str, Any]:
    """Write, read and draw in each step, as fast as that goes, and look up now and then."""
    config = TreeWorldConfig.model_validate({})
    world = TreeWorld.random_from_config(config, seed=0)
    sensor = SimpleSensor.from_config(config)
    classifier, _ = train_drive_classifier(config)
    keys = [classifier.search_key(drive) for drive in DRIVES]
    generator = torch.Generator().manual_seed(500)
    new = RANGE * torch.randn(PLACES, 2, generator=generator)
    truth = sensor.sense(world, new)[1]
    path = walk(STEPS, generator)
    each = STEPS // LOOKS
    looks: dict[str, list[Any]] = {name: [] for name in ("steps", "sizes", "errors", "known")}
    latencies: dict[str, list[list[float]]] = {
        name: [] for name in ("step", "write", "read", "sample")
    }
    slow = 0
    with tqdm.tqdm(total=STEPS, desc="a day", unit="step", mininterval=5) as bar:
        for number, places in enumerate(path.split(each)):
            senses = torch.cat([sensor.sense(world, part)[1] for part in places.split(4096)])
            times = np.empty((each, 4))
            for row in range(each):
                step, place = number * each + row, places[row]
                key = keys[step // TURN % len(keys)]
                times[row, 0] = time.perf_counter()
                memory.write(place[None], SD, senses[row : row + 1])
                times[row, 1] = time.perf_counter()
                memory.read(place, SD, THRESHOLD)
                times[row, 2] = time.perf_counter()
                memory.sample(
                    place, SD, key, NUMBER, temperature=1.0, location_temperature=100.0,
                    seed=generator, method="cells",
                )  # fmt: skip
                times[row, 3] = time.perf_counter()
                if after_step is not None:
                    after_step()
            bar.update(each)
            took = np.diff(times, axis=1)
            slow += int((took.sum(axis=1) > PERIOD).sum())
            parts = dict(zip(("write", "read", "sample"), took.T, strict=True))
            for name, values in {"step": took.sum(axis=1), **parts}.items():
                latencies[name].append([*np.quantile(values, [0.5, 0.99]).tolist(), values.max()])
            found = memory.read_with_support(new, SD, THRESHOLD)
            error = torch.linalg.vector_norm(found.mean - truth, dim=-1)
            looks["steps"].append((number + 1) * each)
            looks["sizes"].append(len(memory))
            looks["errors"].append(float(error.mean()))
            looks["known"].append(float(found.known.double().mean()))
    strides = torch.linalg.vector_norm(path.diff(dim=0).double(), dim=1)
    return {
        "range": RANGE,
        "kilometres": float(strides.sum()) / 1000,
        **looks,
        "latencies": {name: np.array(values).T.tolist() for name, values in latencies.items()},
        "quantiles": ["median", "p99", "worst"],
        "steps_above_period": slow,
    }


def walk(number: int, generator: torch.Generator) -> torch.Tensor:
    r"""Walk with an inertia, drawn home by a spring, ten steps a second.

    .. math::

        dv = -(\gamma v + \omega^2 x) \, dt + s \sqrt{2 \gamma} \, dW, \qquad dx = v \, dt

    In the long run, x is normal with deviation s/ω, and v with s.
    """
    kicks = torch.randn(number, 2, generator=generator, dtype=torch.float64).numpy()
    kicks *= SPEED * math.sqrt(2 * TURNING * PERIOD)
    home = (SPEED / RANGE) ** 2
    path, place, velocity = np.empty((number, 2), dtype=np.float32), np.zeros(2), np.zeros(2)
    for step, kick in enumerate(kicks):
        velocity = velocity - PERIOD * (TURNING * velocity + home * place) + kick
        place = place + PERIOD * velocity
        path[step] = place
    return torch.from_numpy(path)


STUDIES: dict[str, Callable[[], dict[str, Any]]] = {
    "remembering": remembering,
    "forgetting": forgetting,
}


def main(names: list[str]) -> int:
    """Run studies, all by default."""
    return run_studies(STUDIES, RESULTS, names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
