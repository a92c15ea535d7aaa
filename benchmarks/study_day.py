"""A day at ten steps a second, lived twice: remembering everything, and forgetting.

Usage: ``python -m benchmarks.study_day [OPTION ...] [NAME ...]``, both by default; some two hours,
in parts of some minutes. Steps are taken as fast as they go. While something is forgotten in the
background they are taken at ten a second, so that a pruning of s seconds is handed over after
⌈10 s⌉ of them, as it would be in a day that lasts a day. The path is the same each time, and so is
what is remembered, but for the steps in which a pruning comes to its end; latencies are those of
the machine that is noted.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tqdm

from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.models.drives import train_drive_classifier
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.policy import Forgetter, ForgettingPolicy
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

RESULTS = results_file("day")

SENSORY = 384
SD = 10.0  # metres, of all observations and reads
THRESHOLD = 25.0  # metres
NUMBER = 64  # places that are drawn in a step
DRIVES = ("edible", "poison")  # what is searched for, in turns
TURN = 600  # steps

PERIOD = 0.1  # seconds between two steps
STEPS = 864_000
LOOKS = 48  # times that error is measured and latencies are summed up
PARTS = 16  # of three looks each, with a memory that is saved in between
PLACES = 1000  # new places that each look asks for
TIMED = ("step", "write", "read", "sample", "forget")
MINUTE = 600  # steps; so often the size is noted, which goes up and down some three times an hour
LOG = ("begun", "ended", "size", "before", "after", "witnesses", "seconds", "worst_error")

RANGE = 200.0  # metres, standard deviation of where the agent is, in the long run, on each axis
SPEED = 1.0  # metres a second, standard deviation on each axis
TURNING = 0.05  # a second; after 20 s little is left of the direction

POLICY = ForgettingPolicy(20_000, 10_000, 0.15, 25.0)


def remembering(part: Part, **smaller: Any) -> dict[str, Any]:
    """Keep all of the 864,000 observations."""
    return _day(part, None, **smaller)


def forgetting(part: Part, **smaller: Any) -> dict[str, Any]:
    """Keep at most some 20,000, by pruning in the background within a tolerance."""
    return {
        **_day(part, POLICY, **smaller),
        "start_at": POLICY.start_at,
        "target_size": POLICY.target_size,
        "tolerance": POLICY.max_error_to_prune,
    }


def _day(
    part: Part,
    policy: ForgettingPolicy | None,
    parts: int = PARTS,
    looks: int = LOOKS // PARTS,
    timed: bool = True,
) -> dict[str, Any]:
    """Live a day in parts, each of which goes on with the memory that the last one left."""
    hours = [
        part(f"part {number + 1} of {parts}", _live, part.folder, policy, number, looks, timed)
        for number in range(parts)
    ]
    strides = torch.linalg.vector_norm(_path().diff(dim=0).double(), dim=1)

    def joined(name: str) -> list[Any]:
        return [one for hour in hours for one in hour[name]]

    latencies = {
        name: np.concatenate([hour["latencies"][name] for hour in hours]).T.tolist()
        for name in TIMED
    }
    return {
        "range": RANGE,
        "kilometres": float(strides.sum()) / 1000,
        **{name: joined(name) for name in ("steps", "sizes", "errors", "known")},
        "sizes_by_minute": joined("sizes_by_minute"),
        "forgettings": {
            name: [one for hour in hours for one in hour["forgettings"][name]] for name in LOG
        },
        "last_look": hours[-1]["last_look"],
        "latencies": latencies,
        "quantiles": ["median", "p99", "worst"],
        "steps_above_period": sum(hour["slow"] for hour in hours),
    }


def _live(
    folder: Path, policy: ForgettingPolicy | None, number: int, count: int, timed: bool
) -> dict[str, Any]:
    """Write, read and draw in each step, as fast as that goes, and look up now and then.

    What is read and drawn in a step is timed, and has no other effect. The time of a step does not
    contain what is waited for while something is forgotten.
    """
    config = TreeWorldConfig.model_validate({})
    world = TreeWorld.random_from_config(config, seed=0)
    sensor = SimpleSensor.from_config(config)
    classifier, _ = train_drive_classifier(config)
    keys = [classifier.search_key(drive) for drive in DRIVES]
    new = RANGE * torch.randn(PLACES, 2, generator=torch.Generator().manual_seed(500))
    truth = sensor.sense(world, new)[1]
    generator = torch.Generator().manual_seed(600 + number)
    memory = _memory(folder, policy, number, keys, generator)
    paced = Paced(memory, policy) if policy else None
    each = STEPS // LOOKS
    names = ("steps", "sizes", "errors", "known", "sizes_by_minute")
    found: dict[str, list[Any]] = {name: [] for name in names}
    latencies: dict[str, list[list[float]]] = {name: [] for name in TIMED}
    slow, first = 0, number * count
    chunks = _path().split(each)[first : first + count]
    with tqdm.tqdm(total=count * each, desc="a day", unit="step", mininterval=5) as bar:
        for look, places in enumerate(chunks, start=first):
            senses = torch.cat([sensor.sense(world, part)[1] for part in places.split(4096)])
            times = np.empty((each, 5))
            for row in range(each):
                step = look * each + row  # so many are done
                key, place = keys[step // TURN % len(keys)], places[row]
                times[row, 0] = time.perf_counter()
                memory.write(place[None], SD, senses[row : row + 1])
                times[row, 1] = time.perf_counter()
                if timed:
                    memory.read(place, SD, THRESHOLD)
                times[row, 2] = time.perf_counter()
                if timed:
                    _draw(memory, place, key, generator)
                times[row, 3] = time.perf_counter()
                waited = 0.0
                if paced is not None:
                    waited = paced.step(step + 1, may_begin=row + 1 < each)
                times[row, 4] = time.perf_counter() - waited
                if (step + 1) % MINUTE == 0:
                    found["sizes_by_minute"].append(len(memory))
            bar.update(each)
            took = np.diff(times, axis=1)
            slow += int((took.sum(axis=1) > PERIOD).sum())
            parts = dict(zip(TIMED[1:], took.T, strict=True))
            for name, values in {TIMED[0]: took.sum(axis=1), **parts}.items():
                latencies[name].append([*np.quantile(values, [0.5, 0.99]).tolist(), values.max()])
            support = memory.read_with_support(new, SD, THRESHOLD)
            error = torch.linalg.vector_norm(support.mean - truth, dim=-1)
            found["steps"].append((look + 1) * each)
            found["sizes"].append(len(memory))
            found["errors"].append(float(error.mean()))
            found["known"].append(float(support.known.double().mean()))
    if paced is not None:
        paced.finish(found["steps"][-1])
    memory.save(_file(folder, number + 1))
    if number > 0:
        _file(folder, number - 1).unlink(missing_ok=True)  # a gigabyte; only the last is needed
    return {
        **found,
        "forgettings": paced.log if paced is not None else {name: [] for name in LOG},
        "last_look": {"errors": error, "known": support.known.int()},
        "latencies": latencies,
        "slow": slow,
    }


class Paced:
    """Forgets by a policy, and makes steps last a tenth of a second while it does so.

    A pruning in the background that takes s seconds is then handed over after ⌈s / `PERIOD`⌉ steps,
    however quick the steps would be without it.

    Parameters
    ----------
    memory : SpatialMemory
    policy : ForgettingPolicy

    Attributes
    ----------
    log : dict of str to list
        Of each forgetting: the steps that were done when it was begun and ended; the sizes then,
        the latter just before and just after what went was gone; witnesses that are kept from then
        on; seconds of the pruning itself; the worst error of what went.
    """

    def __init__(self, memory: SpatialMemory, policy: ForgettingPolicy) -> None:
        self.log: dict[str, list[Any]] = {name: [] for name in LOG}
        self._memory = memory
        self._forgetter = Forgetter(memory, policy)
        self._begun: tuple[int, int, float] | None = None  # step, size, time

    def step(self, number: int, may_begin: bool = True) -> float:
        """Do what is due when so many steps are done.

        Returns
        -------
        float
            Seconds that were waited for the end of a tenth of a second.
        """
        waited = 0.0
        if self._begun is not None:
            begun, _, since = self._begun
            waited = max(0.0, since + PERIOD * (number - begun) - time.perf_counter())
            time.sleep(waited)
        elif not may_begin:  # it would end in the next part, with another memory
            return 0.0
        size, now = len(self._memory), time.perf_counter()
        report = self._forgetter.step()
        if self._begun is None and (self._forgetter.busy or report is not None):
            self._begun = number, size, now
        self._note(number, report)
        return waited

    def finish(self, number: int) -> None:
        """Wait for what is being forgotten."""
        self._note(number, self._forgetter.finish())

    def _note(self, number: int, report: Any) -> None:
        if report is not None and self._begun is not None:
            begun, size, _ = self._begun
            values = {
                "begun": begun,
                "ended": number,
                "size": size,
                "before": size + number - begun,  # each step has written one
                "after": len(self._memory),
                "witnesses": self._memory.num_witnesses,
                "seconds": report.seconds,
                "worst_error": report.worst_error,
            }
            for name, value in values.items():
                self.log[name].append(value)
        if not self._forgetter.busy:
            self._begun = None


def _memory(
    folder: Path,
    policy: ForgettingPolicy | None,
    number: int,
    keys: list[torch.Tensor],
    generator: torch.Generator,
) -> SpatialMemory:
    """Begin a memory, or go on with the one that the part before has left."""
    if number == 0:
        capacity = 2 * policy.start_at if policy else STEPS
        return SpatialMemory(2, SENSORY, max_memory_size=capacity)
    memory = SpatialMemory.load(_file(folder, number))
    for key in keys:  # the first draw with a key takes in the whole memory, once a life
        _draw(memory, torch.zeros(2), key, generator)
    return memory


def _file(folder: Path, number: int) -> Path:
    return folder / f"memory-{number}.safetensors"


def _draw(
    memory: SpatialMemory, place: torch.Tensor, key: torch.Tensor, generator: torch.Generator
) -> None:
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


def _path() -> torch.Tensor:
    generator = torch.Generator().manual_seed(500)
    torch.randn(PLACES, 2, generator=generator)  # the places that looks ask for come first
    return walk(STEPS, generator)


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


# An hour. The second part begins with what the first one left.
SHORT: dict[str, Any] = {"parts": 2, "looks": 1, "timed": False}
# In which step a pruning comes to its end depends on the speed, and moves errors a little.
STUDIES = {
    "remembering": Study(
        remembering,
        lambda part: remembering(part, **SHORT),
        [Same("steps"), Same("sizes"), Same("errors"), Same("known"), Same("kilometres")],
    ),
    "forgetting": Study(
        forgetting,
        lambda part: forgetting(part, **SHORT),
        [
            *(Same("steps"), Same("sizes", tolerance=0.01)),
            *(Same(name, tolerance=0.02) for name in ("errors", "known")),
        ],
    ),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
