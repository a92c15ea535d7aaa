"""Space learned from numbers of actions and smells: how exact it is, and when it is not found.

Usage: ``python -m benchmarks.study_space [OPTION ...] [NAME ...]``, all by default; half an hour on
one core. All worlds are those of the seeds 2,000 to 2,009, on which nothing was chosen.

``shifts`` tells of bodies whose actions shift them in the plane, of ways that they never went, and
of new worlds; ``dimensions`` of such in one dimension and in three; ``turning`` of bodies that step
and turn; ``noisy`` of bodies that err; ``periodic`` of worlds that come back to themselves; and
``through_the_read`` of shifts that are improved by how well a memory reads, and no more. What
networks make of the same walks is told by `study_sequences`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import r2_score

from benchmarks.lived import BODY, STEPS, WALK, Lived, lived
from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.evaluation import procrustes
from tree_world.models.memory import ReadOptions, SpatialMemory
from tree_world.models.memory.recall.kriging import NUGGET, Kriging
from tree_world.models.places import (
    NoisyShiftSpace,
    Odometry,
    ShiftSpace,
    StepTurnSpace,
    periods,
    smooth,
)
from tree_world.models.places.directions import directions_of
from tree_world.simulation import (
    ShiftBody,
    SimpleSensor,
    StepTurnBody,
    TreeWorld,
    TreeWorldConfig,
)

Array: TypeAlias = npt.NDArray[np.float64]

RESULTS = results_file("space")

SEEDS = range(2000, 2010)
NUM_ACTIONS = 6
APART = 100  # steps between the start of a way and the smells that tell of its end
REACHES = {1: 250.0, 3: 120.0}  # metres, in so many dimensions
NOISE = 0.075  # of a step
PERIOD, PERIODIC_REACH, PERIODIC_STEPS = 300.0, 900.0, 3000  # metres, and in steps
STARTS, IMPROVEMENTS, RATE, RECENT = 4, 300, 0.1, 20  # through the read
OBSERVATIONS, READ_SD = 500, 10.0  # a step, and in metres: through the read
STEP_RMS = 5.5  # metres: of shifts that are drawn


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Put one row a world together as columns."""
    return {key: [row[key] for row in rows] for key in rows[0]}


def _rows(
    part: Part, name: str, work: Callable[..., dict[str, Any]], seeds: Sequence[int], *given: Any
) -> dict[str, Any]:
    told = ", ".join([name, *map(str, given)])
    rows = part.each(work, {f"{told}, seed {seed}": (seed, *given) for seed in seeds})
    return {"seeds": list(seeds)} | _columns(rows)


def _fitted(space: Any, actions: npt.NDArray[np.intp], senses: Array) -> float:
    """Fit, and tell the seconds of a processor that it took."""
    torch.set_num_threads(1)
    started = time.process_time()
    space.fit(actions, senses)
    return time.process_time() - started


def _smelled(config: TreeWorldConfig, seed: int, places: Array) -> Array:
    world = TreeWorld.random_from_config(config, seed=seed)
    smells: Array = SimpleSensor.from_config(config).sense(world, places).embedding.double().numpy()
    return smells


def _of_space(space: Any, seconds: float) -> dict[str, Any]:
    return {
        "found": space.found_,
        "reason": space.reason_,
        "seconds": seconds,
    }


def _aligned(found: Array, true: Array) -> dict[str, Any]:
    """Compare places with the truth, in metres."""
    return {kind: procrustes(found, true, kind).rms for kind in ("affine", "similarity")}


# --- shifts ---------------------------------------------------------------------------------------


def shifts(part: Part, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Learn where actions lead; ask for ways never gone, there and in a new world."""
    return _rows(part, "shifts", shifted, seeds)


def shifted(seed: int) -> dict[str, Any]:
    """Learn from one walk.

    Returns
    -------
    dict
        Among others the ``affine`` and ``similarity`` error in metres, by stage; the losses by
        dimension; and R² of the smells at ends of ways that were never gone, in this world
        (``shortcuts``) and a ``new`` one, each for ``learned`` and ``true`` places, for the
        ordinary ``memory`` at learned places, and for the ``last`` smell.
    """
    walked, new = lived(seed), lived(seed, new=True)
    space = ShiftSpace(NUM_ACTIONS)
    seconds = _fitted(space, walked.actions, walked.senses)
    told = _of_space(space, seconds) | {
        "dim": space.dim_,
        "returns": space.r2_,
        "losses": [space.loss_by_dim_[dim] for dim in sorted(space.loss_by_dim_)],
        "stages": {},
        "shortcuts": None,
        "new": None,
    }
    if not space.found_ or space.dim_ != walked.body.dim:
        return told
    counts = np.eye(NUM_ACTIONS)[walked.actions].cumsum(axis=0)
    told["stages"] = {
        name: _aligned(counts @ each, walked.places[1:]) for name, each in space.stages_.items()
    }
    told |= _aligned(space.locations_, walked.places)
    told["shortcuts"] = explained(space, walked, space.locations_)
    told["new"] = explained(space, new, space.transform(new.actions))
    return told


def explained(space: ShiftSpace, walked: Lived, places: Array) -> dict[str, float]:
    """Tell how much of the smells at ends of ways is explained."""
    starts = walked.ways.starts
    ends = np.array(
        [
            places[start] + space.shifts_[way].sum(axis=0)
            for start, way in zip(starts, walked.ways.actions, strict=True)
        ]
    )

    def same_visit(query: npt.NDArray[np.intp], observation: npt.NDArray[np.intp]) -> Any:
        return np.abs(starts[query] - 1 - observation) <= APART

    length = math.sqrt(2 * SimpleSensor().diffusion_time)
    memory = SpatialMemory(2, walked.senses.shape[1], max_memory_size=len(walked.senses))
    memory.write(places[1:], NUGGET, walked.senses)
    reads = {
        "learned": Kriging(places[1:], walked.senses, 1.0).read(ends, same_visit).mean,
        "true": Kriging(walked.places[1:], walked.senses, length)
        .read(walked.ways.ends, same_visit)
        .mean,
        "memory": memory.read(ends, 0.0, how=ReadOptions(order="kriging", length=1.0)).numpy(),
        "last": walked.senses[starts - 1],
    }
    return {
        name: float(r2_score(walked.at_ends, read, multioutput="variance_weighted"))
        for name, read in reads.items()
    }


# --- dimensions -----------------------------------------------------------------------------------


def dimensions(
    part: Part, seeds: Sequence[int] = SEEDS, dims: Sequence[int] = (1, 3)
) -> dict[str, Any]:
    """Find the dimension of worlds that are no plane."""
    return {f"{dim}": _rows(part, f"{dim}-dimensional", in_so_many, seeds, dim) for dim in dims}


def in_so_many(seed: int, dim: int) -> dict[str, Any]:
    """Learn space in a world of so many dimensions."""
    body = ShiftBody(NUM_ACTIONS, dim, seed=seed + BODY, reach=REACHES[dim])
    actions, places = body.walk(STEPS, seed + WALK)
    senses = _smelled(TreeWorldConfig.model_validate({"dim": dim}), seed, places[1:])
    space = ShiftSpace(NUM_ACTIONS)
    seconds = _fitted(space, actions, senses)
    right = space.found_ and space.dim_ == dim
    return _of_space(space, seconds) | {
        "dim": space.dim_,
        "losses": [space.loss_by_dim_[one] for one in sorted(space.loss_by_dim_)],
        "affine": procrustes(space.locations_, places).rms if right else None,
    }


# --- turning --------------------------------------------------------------------------------------


def turning(part: Part, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Learn what steps and turns do."""
    return _rows(part, "turning", turned, seeds)


def turned(seed: int) -> dict[str, Any]:
    """Learn from one walk of a body that steps and turns."""
    body = StepTurnBody(seed=seed + BODY)
    actions, places, _ = body.walk(STEPS, seed=seed + WALK)
    senses = _smelled(TreeWorldConfig.model_validate({}), seed, places[1:])
    space = StepTurnSpace(3)
    seconds = _fitted(space, actions, senses)
    told = _of_space(space, seconds) | {"off": None, "affine": None, "similarity": None}
    if space.found_:
        turns = body.moves[:, 2]
        off = min(np.abs(sign * space.moves_[:, 2] - turns).max() for sign in (1, -1))
        told |= {"off": float(off)} | _aligned(space.locations_, places)
    return told


# --- noise ----------------------------------------------------------------------------------------


def noisy(part: Part, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Learn where actions lead that err each time."""
    return _rows(part, "noisy", erring, seeds)


def erring(seed: int) -> dict[str, Any]:
    """Learn from one walk whose steps err.

    Returns
    -------
    dict
        Among others the ``affine`` error in metres; that ``in the open``, by adding up what was
        learned; and that of the true shifts, added up (``reckoned``) and looked back upon
        (``told``).
    """
    body = ShiftBody(NUM_ACTIONS, seed=seed + BODY, motor_noise=NOISE)
    actions, places = body.walk(STEPS, seed + WALK)
    senses = _smelled(TreeWorldConfig.model_validate({}), seed, places[1:])
    space = NoisyShiftSpace(NUM_ACTIONS, relative_sd=NOISE)
    seconds = _fitted(space, actions, senses)
    steps = body.shifts[actions]
    length = math.sqrt(2 * SimpleSensor().diffusion_time)
    path = smooth(steps, senses, Odometry(NOISE), length=length)
    told = _of_space(space, seconds) | {
        "dim": space.dim_,
        "affine": None,
        "open": None,
        "reckoned": procrustes(steps.cumsum(axis=0), places[1:]).rms,
        "told": procrustes(path.locations, places).rms,
    }
    if space.found_ and space.dim_ == 2:
        told["affine"] = procrustes(space.locations_, places).rms
        told["open"] = procrustes(space.transform(actions), places).rms
    return told


# --- a world with a period ------------------------------------------------------------------------


def periodic(part: Part, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Learn space where the world comes back to itself, and where it does not."""
    return {
        "period": PERIOD,
        "torus": _rows(part, "torus", repeating, seeds, PERIOD),
        "plane": _rows(part, "plane", repeating, seeds, None),
    }


def repeating(seed: int, period: float | None) -> dict[str, Any]:
    """Learn from one walk, and ask whether the world has a period.

    Returns
    -------
    dict
        Among others ``off``: how far the worst of the two vectors of the lattice is off, as a
        share of the period, after the affine map of places; and of twins, which smell the same,
        the number, the share ``elsewhere`` than at home, and that ``rightly`` told from home.
    """
    reach = PERIODIC_REACH if period else 250.0
    body = ShiftBody(NUM_ACTIONS, seed=seed + BODY, reach=reach)
    actions, places = body.walk(PERIODIC_STEPS, seed + WALK)
    senses = _smelled(TreeWorldConfig.model_validate({"period": period}), seed, places[1:])
    space = ShiftSpace(NUM_ACTIONS)
    seconds = _fitted(space, actions, senses)
    told = _of_space(space, seconds) | {
        "repeats": None,
        "off": None,
        "twins": None,
        "elsewhere": None,
        "rightly": None,
    }
    if not space.found_:
        return told
    found = periods(space.locations_[1:], senses, length=1.0)
    told["repeats"] = bool(found.found)
    if not (period and found.found):
        return told
    matrix = procrustes(space.locations_, places).matrix
    vectors = found.vectors @ matrix.T / period
    whole = np.round(vectors)
    is_basis = abs(round(float(np.linalg.det(whole)))) == 1
    told["off"] = float(np.linalg.norm(vectors - whole, axis=1).max()) if is_basis else math.inf
    apart = np.diff(places[1:][found.twins], axis=1)[:, 0] / period
    elsewhere = np.abs(np.round(apart)).any(axis=1)
    return told | {
        "twins": len(found.twins),
        "elsewhere": float(elsewhere.mean()),
        "rightly": float((elsewhere == ~found.at_home).mean()),
    }


# --- through the read -----------------------------------------------------------------------------


def through_the_read(part: Part, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """Improve shifts by how well smells are read at the places to which they lead."""
    return _rows(part, "through the read", by_reading, seeds)


def by_reading(seed: int) -> dict[str, Any]:
    """Improve random shifts, and the true ones.

    Returns
    -------
    dict
        The affine error in metres and the loss, a share of the variance of smells, of the best of
        four random starts (``random``), of the true shifts (``true``), and of what becomes of
        these (``improved``).
    """
    torch.set_num_threads(1)
    walked = lived(seed)
    senses = torch.from_numpy(walked.senses @ directions_of(walked.senses, NUGGET).T)
    counts = torch.from_numpy(np.eye(NUM_ACTIONS)[walked.actions].cumsum(axis=0))
    true = torch.from_numpy(walked.body.shifts)
    generator = torch.Generator().manual_seed(seed)

    def row(found: torch.Tensor) -> dict[str, float]:
        with torch.no_grad():
            loss = float(_misread(counts, senses, found, torch.arange(0, len(counts), 2)))
        rms = procrustes((counts @ found).numpy(), walked.places[1:]).rms
        return {"loss": loss, "affine": rms}

    started = time.process_time()
    drawn = (
        STEP_RMS
        * torch.randn(STARTS, NUM_ACTIONS, 2, generator=generator, dtype=torch.float64)
        / math.sqrt(2)
    )
    tried = [row(_improved(counts, senses, one, RATE, generator)) for one in drawn]
    seconds = (time.process_time() - started) / STARTS
    return {
        "random": min(tried, key=lambda one: one["loss"]),
        "true": row(true),
        "improved": row(_improved(counts, senses, true, RATE / 10, generator)),
        "seconds": seconds,
    }


def _misread(
    counts: torch.Tensor, senses: torch.Tensor, each: torch.Tensor, which: torch.Tensor
) -> torch.Tensor:
    """Tell how badly smells are read from others, as a share of their variance.

    It is the read of an ordinary memory, of all observations but those of the last steps.
    """
    places = counts[which] @ each
    squares = (places[:, None] - places).square().sum(dim=-1)
    recent = (which[:, None] - which).abs() <= RECENT
    logits = (-squares / (4 * READ_SD**2)).masked_fill(recent, -math.inf)
    read = torch.softmax(logits, dim=-1) @ senses[which]
    missed = (read - senses[which]).square().sum(dim=1).mean()
    return missed / senses.var(dim=0).sum()


def _improved(
    counts: torch.Tensor,
    senses: torch.Tensor,
    begun: torch.Tensor,
    rate: float,
    generator: torch.Generator,
) -> torch.Tensor:
    sought = begun.clone().requires_grad_()
    optimiser = torch.optim.Adam([sought], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, IMPROVEMENTS)
    for _ in range(IMPROVEMENTS):
        which = torch.randperm(len(counts), generator=generator)[:OBSERVATIONS].sort().values
        optimiser.zero_grad()
        _misread(counts, senses, sought, which).backward()
        optimiser.step()
        schedule.step()
    return sought.detach()


_SHORT: list[int] = [SEEDS[0]]


STUDIES = {
    "shifts": Study(
        shifts,
        short=lambda part: shifts(part, _SHORT),
        agrees=[Same("dim"), Same("returns", 0.01)],
    ),
    "dimensions": Study(
        dimensions,
        short=lambda part: dimensions(part, _SHORT),
        agrees=[Same("1/dim"), Same("3/dim")],
    ),
    "turning": Study(
        turning,
        short=lambda part: turning(part, _SHORT),
        agrees=[Same("similarity", 0.2)],
    ),
    "noisy": Study(
        noisy,
        short=lambda part: noisy(part, _SHORT),
        agrees=[Same("reckoned")],
    ),
    "periodic": Study(
        periodic,
        short=lambda part: periodic(part, _SHORT),
        agrees=[Same("torus/twins", 0.05)],
    ),
    "through_the_read": Study(
        through_the_read,
        short=lambda part: through_the_read(part, _SHORT),
        agrees=[Same("true/0/loss"), Same("random/0/loss", 0.05)],
    ),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
