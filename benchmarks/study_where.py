"""Where a body is that nobody tells: on a map, on no map, carried off, and how it lives by that.

Usage: ``python -m benchmarks.study_where [OPTION ...] [NAME ...]``, all by default; an hour on one
core. All worlds are those of the seeds 2,000 to 2,009, and for lives 2,000 to 2,047, on which
nothing was chosen.

``surveyed`` tells of trackers that know what it smells of in many places, ``remembered`` of walks
that are looked back upon, with their own memory alone, and of a tracker that trusts such a memory;
both also where smells are noisy, and where fruit is eaten meanwhile. ``kidnapped`` puts bodies
where they have never been told to be. ``believing`` lets foragers live on the places they believe
in.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.stats
import torch

from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.agents import ByDrive, Forager
from tree_world.agents.believing import Believing
from tree_world.models.drives import DriveClassifier, train_drive_classifier
from tree_world.models.memory.recall.kriging import NUGGET
from tree_world.models.places import (
    Finder,
    Odometry,
    Particles,
    Tracker,
    smooth,
    within,
)
from tree_world.simulation import (
    Action,
    Body,
    HomeRange,
    Percept,
    SimpleSensor,
    TreeWorld,
    TreeWorldConfig,
)

Array: TypeAlias = npt.NDArray[np.float64]

RESULTS = results_file("where")

SEEDS = range(2000, 2010)
LIVES = range(2000, 2048)
STEPS = 3000  # of a walk
LIFE = 5000
ODOMETRIES = {
    "compass": Odometry(0.075),
    "gyro": Odometry(0.075, math.radians(0.2), math.radians(0.02)),
}
CONDITIONS = ("exact", "noisy", "eaten")
NOISE = 0.05  # of the root mean square length of a smell
NUGGETS = {"exact": NUGGET, "noisy": NOISE, "eaten": NUGGET}  # of trackers, which know the noise
SURVEYED = 1024  # places
LEAST_SMELL = 0.05  # length of a smell, below which it is next to nothing
BOX = 420.0  # metres, half the side of what was surveyed: the walk stays within
HOWS = ("put", "carried")
DROPS = 10  # in each world
BEFORE = 100  # steps for which a body knows its place before it is carried off
SMELLING = 200  # steps that smell of something, within which it should be found
LONGEST = 1000  # steps of a search
SHARES = (0.05, 0.1, 0.2)  # of a step, by which a forager errs
AT_ONCE = 12  # lives in a part


# --- walks ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walk:
    """A walk, and what was smelled on it.

    Attributes
    ----------
    places : numpy.ndarray of float64, of shape (n_steps + 1, 2)
        In metres, from the start on.
    smells : numpy.ndarray of float64, of shape (n_steps, sensory_dim)
        After each step.
    survey, surveyed : numpy.ndarray of float64, of shapes (n, 2) and (n, sensory_dim)
        Places at which it is known what it smells of, and what.
    length : float
        Of the kernel, in metres.
    """

    places: Array
    smells: Array
    survey: Array
    surveyed: Array
    length: float


class Noting:
    """Takes steps that were chosen beforehand, and notes what it smells, and where."""

    def __init__(self, places: Array) -> None:
        self.steps = np.diff(places, axis=0).astype(np.float32)
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.places: list[Array] = []
        self.smells: list[Array] = []

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """See `AgentModel.act`."""
        assert percept.smell is not None
        self.places.append(body.position.double().numpy())
        self.smells.append(percept.smell.double().numpy())
        if len(self.places) > len(self.steps):
            return Action(None, body.heading)
        return Action(torch.from_numpy(self.steps[len(self.places) - 1]), body.heading)


def walk(seed: int, condition: str, steps: int) -> Walk:
    """Walk about in a world.

    Parameters
    ----------
    seed : int
        Of the world, the walk and all errors.
    condition : str
        Of `CONDITIONS`: smells are exact, or noisy, or fruit is eaten in passing.
    steps : int
    """
    costs = {"move_cost": 0.0, "rest_cost": 0.0, "poison_health": 0.0}  # it does not die
    costs["max_step_length"] = 1.001 * HomeRange().max_step_length  # for steps that were rounded
    config = TreeWorldConfig.model_validate(costs if condition == "eaten" else {})
    sensor = SimpleSensor.from_config(config)
    generator = np.random.default_rng(seed)
    survey = generator.uniform(-BOX, BOX, (SURVEYED, 2))
    if condition == "eaten":
        noting = Noting(HomeRange().walk(steps, seed))
        world = TreeWorld.random_from_config(config, seed=seed, model=noting)
        surveyed = _smelled(sensor, world, survey)
        world.run(steps + 1)
        places, smells = np.array(noting.places), np.array(noting.smells)[1:]
    else:
        world = TreeWorld.random_from_config(config, seed=seed)
        surveyed = _smelled(sensor, world, survey)
        places = HomeRange().walk(steps, seed)
        smells = _smelled(sensor, world, places[1:])
    if condition == "noisy":
        sd = NOISE * math.sqrt(float((smells**2).mean()))
        smells = smells + sd * generator.normal(size=smells.shape)
        surveyed = surveyed + sd * generator.normal(size=surveyed.shape)
    return Walk(places, smells, survey, surveyed, math.sqrt(2 * sensor.diffusion_time))


def _smelled(sensor: SimpleSensor, world: TreeWorld, places: Array) -> Array:
    smells: Array = sensor.sense(world, places).embedding.double().numpy()
    return smells


def _smells(walked: Walk) -> npt.NDArray[np.bool_]:
    """After which steps it smells of anything at all."""
    return np.asarray(np.linalg.norm(walked.smells, axis=1) >= LEAST_SMELL)


def _judged(means: Array, covariances: Array | None, walked: Walk) -> dict[str, Any]:
    """Compare places after each step with the truth."""
    errors = np.linalg.norm(means - walked.places[1:], axis=1)
    smelly = _smells(walked)
    found: dict[str, Any] = {
        "median": float(np.median(errors)),
        "high": float(np.quantile(errors, 0.95)),
        "smelling": _median(errors[smelly]),
        "nothing": _median(errors[~smelly]),
    }
    if covariances is not None:
        holds = within(means, covariances, walked.places[1:], 0.9)
        found["held"] = float(holds.mean())
        found["held_nothing"] = float(holds[~smelly].mean()) if not smelly.all() else None
    return found


def _median(errors: Array) -> float | None:
    return float(np.median(errors)) if len(errors) else None


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Put one row a world together as columns."""
    return {
        key: _columns([row[key] for row in rows])
        if isinstance(rows[0][key], dict)
        else [row[key] for row in rows]
        for key in rows[0]
    }


# --- studies --------------------------------------------------------------------------------------


def surveyed(
    part: Part,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    conditions: Sequence[str] = CONDITIONS,
) -> dict[str, Any]:
    """Track walks by what was surveyed."""
    return _by_condition(part, "surveyed", on_a_survey, seeds, steps, conditions)


def remembered(
    part: Part,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    conditions: Sequence[str] = CONDITIONS,
) -> dict[str, Any]:
    """Look back upon walks, with their own memory alone."""
    return _by_condition(part, "remembered", on_its_own, seeds, steps, conditions)


def _by_condition(
    part: Part, name: str, work: Any, seeds: Sequence[int], steps: int, conditions: Sequence[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {"seeds": list(seeds), "steps": steps, "conditions": {}}
    for condition in conditions:
        calls = {
            f"{name}, {condition}, seed {seed}, {steps} steps": (seed, condition, steps)
            for seed in seeds
        }
        found["conditions"][condition] = _columns(part.each(work, calls))
    return found


def on_a_survey(seed: int, condition: str, steps: int) -> dict[str, Any]:
    """Track one walk by what was surveyed, with each odometry."""
    torch.set_num_threads(1)
    walked = walk(seed, condition, steps)
    found: dict[str, Any] = {"smelling": float(_smells(walked).mean())}
    for name, odometry in ODOMETRIES.items():
        moves = odometry.drift(np.diff(walked.places, axis=0), seed)
        tracker = Tracker(
            walked.survey,
            walked.surveyed,
            odometry,
            length=walked.length,
            nugget=NUGGETS[condition],
            start=walked.places[0],
        )
        started = time.process_time()
        track = tracker.follow(moves, walked.smells)
        seconds = time.process_time() - started
        found[name] = {
            "reckoned": _judged(walked.places[0] + moves.cumsum(axis=0), None, walked),
            "tracked": _judged(track.means, track.covariances, walked),
            "milliseconds": 1000 * seconds / steps,
        }
    return found


def on_its_own(seed: int, condition: str, steps: int) -> dict[str, Any]:
    """Look back upon one walk, with each odometry; and let a tracker trust its own memory."""
    torch.set_num_threads(1)
    walked = walk(seed, condition, steps)
    found: dict[str, Any] = {}
    for name, odometry in ODOMETRIES.items():
        moves = odometry.drift(np.diff(walked.places, axis=0), seed)
        started = time.process_time()
        path = smooth(
            moves,
            walked.smells,
            odometry,
            length=walked.length,
            nugget=NOISE if condition == "noisy" else None,  # which it knows
            start=walked.places[0],
        )
        seconds = time.process_time() - started
        found[name] = {
            "reckoned": _judged(walked.places[0] + moves.cumsum(axis=0), None, walked),
            "back": _judged(path.locations[1:], path.covariances[1:], walked),
            "online": _judged(path.online[1:], path.online_covariances[1:], walked),
            "trusted": path.trusted,
            "closures": len(path.closures.keyframes),
            "seconds": seconds,
            "deceived": _judged(*deceived(walked, moves, odometry, NUGGETS[condition]), walked),
        }
    return found


def deceived(
    walked: Walk,
    moves: Array,
    odometry: Odometry,
    nugget: float = NUGGET,
    every: int = 50,
    apart: int = 60,
) -> tuple[Array, Array]:
    """Track a walk by a memory that holds what the tracker itself believed.

    What is remembered of the last `apart` steps does not count, so that nothing confirms itself;
    the memory is looked at anew after each `every` steps.
    """
    means, covariances = np.zeros((0, 2)), np.zeros((0, 2, 2))
    tracker = Tracker(
        walked.places[:1],
        walked.smells[:1],
        odometry,
        length=walked.length,
        nugget=nugget,
        start=walked.places[0],
    )
    for first in range(0, len(moves), every):
        steps = slice(first, first + every)
        known = max(0, first - apart)
        if known:
            tracker = tracker.knowing(means[:known], walked.smells[:known])
            track = tracker.follow(moves[steps], walked.smells[steps])
        else:
            track = tracker.follow(moves[steps], [None] * len(moves[steps]))
        means = np.concatenate([means, track.means])
        covariances = np.concatenate([covariances, track.covariances])
    return means, covariances


# --- carried off ----------------------------------------------------------------------------------


def kidnapped(
    part: Part, seeds: Sequence[int] = SEEDS, drops: int = DROPS, steps: int = LONGEST
) -> dict[str, Any]:
    """Bodies that are put anywhere, and such as are carried off from a place that they know."""
    found: dict[str, Any] = {"seeds": list(seeds), "drops": drops, "steps": steps}
    for name in ODOMETRIES:
        for how in HOWS:
            calls = {
                f"{name}, {how}, seed {seed}, {drops} drops": (name, how, seed, drops, steps)
                for seed in seeds
            }
            found[f"{name}, {how}"] = _columns(part.each(lost, calls))
    return found


def lost(name: str, how: str, seed: int, drops: int, steps: int) -> dict[str, Any]:
    """Be put anywhere so many times with no idea where that is, or be carried off to there.

    Returns
    -------
    dict
        For each drop: how many steps that smell of something it took to be ``noticed`` and
        ``found`` (None if it was not), the ``error`` then in metres, the longer half axis of the
        ellipse of nine tenths (``radius``), and whether the one of 99 in 100 held the truth
        (``right``).
    """
    torch.set_num_threads(1)
    odometry = ODOMETRIES[name]
    config = TreeWorldConfig.model_validate({})
    sensor = SimpleSensor.from_config(config)
    world = TreeWorld.random_from_config(config, seed=seed)
    survey = np.random.default_rng(seed).uniform(-BOX, BOX, (SURVEYED, 2))
    known = survey, _smelled(sensor, world, survey), odometry
    length = math.sqrt(2 * sensor.diffusion_time)
    home = HomeRange()
    rows = []
    for drop in range(drops):
        own = 1000 * seed + drop
        there = np.random.default_rng(own).uniform(-home.reach, home.reach, 2)
        legs = [home.walk(steps, own, start=tuple(there))]
        if how == "carried":
            legs.insert(0, home.walk(BEFORE, own + DROPS))
        moves = odometry.drift(np.concatenate([np.diff(leg, axis=0) for leg in legs]), own)
        places = np.concatenate([leg[1:] for leg in legs])
        finder = Finder(Particles(*known, length=length, seed=own), Tracker(*known, length=length))
        if how == "carried":
            finder.reset(start=legs[0][0])
        rows.append(
            _search(finder, moves, places, _smelled(sensor, world, places), len(moves) - steps)
        )
    return _columns(rows)


def _search(
    finder: Finder, moves: Array, places: Array, smells: Array, carried_at: int
) -> dict[str, Any]:
    """Go until the place is found, and tell how that went."""
    smelling, noticed = 0, None
    for step, (move, smell) in enumerate(zip(moves, smells, strict=True)):
        belief = finder.step(move, smell)
        if step < carried_at:
            continue
        smelling += bool(np.linalg.norm(smell) >= LEAST_SMELL)
        if noticed is None and finder.lost:
            noticed = smelling
        if noticed is not None and belief.identifiable:
            break
    largest = float(np.linalg.eigvalsh(belief.covariance)[-1])
    right = within(belief.mean[None], belief.covariance[None], places[step][None], 0.99)
    found = None if noticed is None or not belief.identifiable else smelling
    if noticed is None and belief.identifiable and right[0]:
        found = 0  # it was carried next to where it was
    return {
        "noticed": noticed,
        "found": found,
        "sure": bool(belief.identifiable),
        "error": float(np.linalg.norm(belief.mean - places[step])),
        "radius": math.sqrt(largest * float(scipy.stats.chi2.ppf(0.9, 2))),
        "right": bool(right[0]),
    }


# --- lives ----------------------------------------------------------------------------------------


def believing(
    part: Part,
    seeds: Sequence[int] = LIVES,
    steps: int = LIFE,
    shares: Sequence[float] = SHARES,
) -> dict[str, Any]:
    """Lives of foragers on given places, and on believed ones, with and without correction."""
    found: dict[str, Any] = {"seeds": list(seeds), "steps": steps, "shares": list(shares)}
    kinds = [("given", 0.0, False)]
    kinds += [("reckoned", share, False) for share in shares]
    kinds += [("believed", share, True) for share in shares]
    groups = [list(seeds[first : first + AT_ONCE]) for first in range(0, len(seeds), AT_ONCE)]
    calls = {
        f"{name}, {share}, {steps} steps, seeds {some}": (share, corrects, some, steps)
        for name, share, corrects in kinds
        for some in groups
    }
    parts = iter(part.each(lives, calls))
    for name, _, _ in kinds:
        rows = [row for _ in groups for row in next(parts)]
        found.setdefault(name, []).append(_columns(rows))
    return found


def lives(share: float, corrects: bool, seeds: Sequence[int], steps: int) -> list[dict[str, Any]]:
    """Live once in each world."""
    torch.set_num_threads(1)
    drives, _ = train_drive_classifier(TreeWorldConfig.model_validate({}))
    return [live(drives, share, corrects, seed, steps) for seed in seeds]


def live(
    drives: DriveClassifier, share: float, corrects: bool, seed: int, steps: int
) -> dict[str, Any]:
    """Live once.

    Parameters
    ----------
    drives : DriveClassifier
    share : float
        Of a step, by which it errs; 0 for places that are given.
    corrects : bool
        Whether it finds its place by what it perceives.
    seed : int
    steps : int
        At most.

    Returns
    -------
    dict
        The number of ``steps``, whether it ``died``, its ``lowest`` health, meals of ``poison``,
        and where places are not given the median ``error`` in metres, the share of ellipses of
        nine tenths that ``held`` the truth, and CPU ``seconds``.
    """
    forager = Forager(lambda: ByDrive(drives))
    model = Believing(forager, Odometry(share), seed, corrects) if share else None
    config = TreeWorldConfig.model_validate({})
    world = TreeWorld.random_from_config(config, seed=seed, model=model or forager)
    started = time.process_time()
    life = world.run(steps)
    assert life is not None
    found: dict[str, Any] = {
        "steps": life.num_steps,
        "died": life.died,
        "lowest": float(np.asarray(life.healths).min()),
        "poison": int((np.asarray(life.meal_healths) < 0).sum()),
        "seconds": time.process_time() - started,
    }
    if model is not None:
        means = np.array([belief.mean for belief in model.beliefs])
        covariances = np.array([belief.covariance for belief in model.beliefs])
        truths = np.array(model.truths)
        found["error"] = float(np.median(np.linalg.norm(means - truths, axis=1)))
        found["held"] = float(within(means, covariances, truths, 0.9).mean())
    return found


_SHORT: list[int] = [SEEDS[0]]


STUDIES = {
    "surveyed": Study(
        surveyed,
        short=lambda part: {
            "conditions": surveyed(part, _SHORT, STEPS, CONDITIONS[:1])["conditions"]
        },
        agrees=[
            Same(f"conditions/exact/{name}/tracked/{what}", 0.02)
            for name in ODOMETRIES
            for what in ("median", "held")
        ],
    ),
    "remembered": Study(
        remembered,
        short=lambda part: {
            "conditions": remembered(part, _SHORT, STEPS, CONDITIONS[:1])["conditions"]
        },
        agrees=[
            Same(f"conditions/exact/{name}/{how}/median", 0.05)
            for name in ODOMETRIES
            for how in ("reckoned", "back", "online")
        ],
    ),
    "kidnapped": Study(
        kidnapped,
        short=lambda part: {
            "compass, put": {"found": [lost("compass", "put", SEEDS[0], 2, LONGEST)["found"]]}
        },
        agrees=[Same("compass, put/found")],
    ),
    "believing": Study(
        believing,
        short=lambda part: {
            name: found
            for name, found in believing(part, LIVES[:1], LIFE, SHARES[:1]).items()
            if name in ("given", "believed")
        },
        agrees=[
            Same(f"{name}/0/{what}")
            for name in ("given", "believed")
            for what in ("steps", "lowest", "poison")
        ],
    ),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
