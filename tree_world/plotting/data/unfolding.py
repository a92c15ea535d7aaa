"""A walk that unfolds, stage by stage, as its six shifts are learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import PointsLike, as_numbers, as_points, checked_actions, positive_distance
from tree_world.evaluation import procrustes
from tree_world.models.memory.recall.kriging import NUGGET
from tree_world.models.places.directions import directions_of
from tree_world.models.places.fields import mean_evidence
from tree_world.plotting.data.figure import TouchableFigure, rounded

Array: TypeAlias = npt.NDArray[np.float64]

RUNS, RUN = 20, 10  # stretches of the walk whose smells are judged, and how many smells in each
BETWEEN = 20  # blends from one stage to the next, at which the curves are known
EVENLY = 1e-3  # of the covariance of smells, in all directions: as `mean_evidence` has it
_AS_SUMS = 1e-6  # metres by which a place may differ from a sum of shifts
_MOST_DIGITS = 9  # of shifts: thousands of them are added up
_DIGITS = 6  # of smells, whose faint directions count as much as the strong ones


def unfolding(
    stages: Mapping[str, PointsLike],
    actions: npt.ArrayLike,
    places: PointsLike,
    senses: PointsLike,
    *,
    nugget: float = NUGGET,
) -> TouchableFigure:
    """Tell what it takes to unfold a learned plane: the shifts of each stage, and the walk.

    Between two stages shifts are blended evenly, and each action can be turned a little. Places
    are the sums of shifts, mapped onto the true ones (`tree_world.evaluation.procrustes`); the
    evidence is that of some smells of the walk
    (`tree_world.models.places.fields.mean_evidence`).

    Parameters
    ----------
    stages : mapping of str to array_like of shape (num_actions, 2)
        What to call each stage, and where each action leads by it, in units of the kernel's length:
        as ``ShiftSpace.stages_`` has them. All are turned, or mirrored, as one, so that the last
        lies as the truth does: which no smell tells, and no number of the figure depends on.
    actions : array_like of int, of shape (n,)
        What the body did. Every action must have been done.
    places : array_like of shape (n + 1, 2)
        Where it was, in metres, the start first.
    senses : array_like of shape (n, sensory_dim)
        What it smelled after each action. Those of twenty stretches of ten are kept, spread evenly
        over the walk.
    nugget : float, default=0.02
        Standard deviation of what a smooth field does not explain, as a share of its own.

    Returns
    -------
    TouchableFigure

    Raises
    ------
    ValueError
        If there are fewer than two stages, shapes do not fit, the walk is too short, an action was
        never done, or places are not sums of shifts.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world.plotting import data
    >>> from tree_world.simulation import ShiftBody
    >>> body = ShiftBody(seed=3, reach=100.0)
    >>> actions, places = body.walk(400, seed=3)
    >>> senses = np.sin(places[1:] / 40)
    >>> stages = {"guessed": body.shifts**3 / 2000, "known": body.shifts / 40}
    >>> figure = data.unfolding(stages, actions, places, senses)
    >>> figure.data["names"], [round(off, 6) for off in figure.data["off"][-1:]]
    (['guessed', 'known'], [0.0])
    """
    names = list(stages)
    if len(names) < 2:
        raise ValueError(
            f"to unfold takes two stages at least, but there are {len(names)}. Was space found?"
        )
    each = [_places_of(shifts, f"stage {name!r}") for name, shifts in stages.items()]
    num_actions = len(each[0])
    if any(len(shifts) != num_actions for shifts in each):
        raise ValueError(
            f"all stages must have a shift for each action, but have {[*map(len, each)]} of them."
        )
    flat = [name for name, one in zip(names, each, strict=True) if np.linalg.matrix_rank(one) < 2]
    if flat:
        raise ValueError(f"shifts must lead along two dimensions, but those of {flat} do not.")
    done = checked_actions(actions, num_actions)
    walk = _places_of(places, "places")
    smelled = as_numbers(senses, "senses", torch.float64).detach().numpy()
    if len(walk) != len(done) + 1 or smelled.ndim != 2 or len(smelled) != len(done):
        raise ValueError(
            "places must have shape (n + 1, 2) and senses (n, sensory_dim) for n actions, but the "
            f"shapes are {walk.shape}, {smelled.shape} and {done.shape}."
        )
    if len(done) < RUNS * RUN:
        raise ValueError(
            f"the walk must have {RUNS * RUN} steps at least, but has {len(done)}. Walk on."
        )
    true = _true_shifts(done, walk, num_actions)
    nugget = positive_distance("nugget", nugget)
    counts = np.eye(num_actions)[done].cumsum(axis=0)
    last = procrustes(counts @ each[-1], walk[1:], "similarity").matrix
    turn = last / np.sqrt(abs(np.linalg.det(last)))
    each = [shifts @ turn.T for shifts in each]
    judged = _spread(len(done))
    rows = directions_of(smelled, nugget)
    numbers = _with_fixed_signs(smelled[judged] @ rows.T)
    off, evidence = _along(each, counts, walk, (judged, numbers), nugget)
    return TouchableFigure(
        "unfolding",
        {
            "names": names,
            "stages": rounded(np.stack(each), digits=_MOST_DIGITS),
            "actions": done.tolist(),
            "start": rounded(walk[0], digits=_MOST_DIGITS),
            "true_shifts": rounded(true, digits=_MOST_DIGITS),
            "judged": judged.tolist(),
            "smells": rounded(numbers, digits=_DIGITS),
            "nugget": nugget,
            "evenly": EVENLY,
            "between": BETWEEN,
            "off": rounded(off, digits=_DIGITS),
            "evidence": rounded(evidence, digits=_DIGITS),
        },
    )


def _places_of(values: PointsLike, name: str) -> Array:
    places: Array = as_points(values, 2, name, torch.float64).detach().numpy()
    if places.ndim != 2:
        raise ValueError(f"{name} must have shape (n, 2), but has shape {places.shape}.")
    return places


def _true_shifts(done: npt.NDArray[np.intp], walk: Array, num_actions: int) -> Array:
    steps = np.diff(walk, axis=0)
    first = [np.flatnonzero(done == action)[:1] for action in range(num_actions)]
    never = [action for action, when in enumerate(first) if not len(when)]
    if never:
        raise ValueError(f"every action must have been done, but {never} never were. Walk on.")
    shifts: Array = steps[np.concatenate(first)]
    sums = walk[0] + shifts[done].cumsum(axis=0)
    if np.abs(sums - walk[1:]).max() > _AS_SUMS * max(1.0, float(np.abs(walk).max())):
        raise ValueError(
            "places must be sums of shifts, the same each time an action is done, but they are "
            "not. Give the walk of a body that does not err."
        )
    return shifts


def _spread(number: int) -> npt.NDArray[np.intp]:
    """Numbers of steps in stretches that are spread evenly over a walk."""
    apart = number // RUNS
    return (np.arange(RUNS)[:, None] * apart + np.arange(RUN)).ravel()


def _with_fixed_signs(numbers: Array) -> Array:
    """Turn each column so that its largest entry is positive: signs of components are chance."""
    largest = np.take_along_axis(numbers, np.abs(numbers).argmax(axis=0)[None], axis=0)
    return np.asarray(numbers * np.where(largest < 0, -1.0, 1.0))


def _along(
    stages: list[Array],
    counts: Array,
    walk: Array,
    judged: tuple[npt.NDArray[np.intp], Array],
    nugget: float,
) -> tuple[Array, Array]:
    """How far places are off, and the evidence, from stage to stage."""
    steps, numbers = judged
    smells = torch.from_numpy(numbers)[None]
    off, evidence = [], []
    for at in range((len(stages) - 1) * BETWEEN + 1):
        begun, part = min(at // BETWEEN, len(stages) - 2), at / BETWEEN
        share = part - begun
        shifts = (1 - share) * stages[begun] + share * stages[begun + 1]
        learned = counts @ shifts
        off.append(procrustes(learned, walk[1:]).rms)
        there = torch.from_numpy(learned[steps])[None]
        evidence.append(float(mean_evidence(there, smells, nugget)))
    return np.array(off), np.array(evidence)
