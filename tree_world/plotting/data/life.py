"""A life, step by step: where the agent was, what trees bore then, and its ledger."""

from __future__ import annotations

from typing import Any

import numpy as np

from tree_world.agents.diary import Diary
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.simulation import Recording, TreeWorld, TreeWorldConfig


def life(
    recording: Recording,
    world: TreeWorld,
    diary: Diary | None = None,
    *,
    half_width: float = 500.0,
) -> TouchableFigure:
    r"""Tell a life, so that a reader can go through it.

    All that is told are the meals, and the places of those steps in which the agent moved. Health
    and fruit follow from these by the rules of the world: in step t, with the meal :math:`v_t` (0
    without one) and the cost :math:`b_t` of a move or a rest,

    .. math::

        q_t = \max\bigl(0,\, \min(\max(0, q_{t-1} + v_t),\, q_{\max}) - b_t\bigr),

    and a tree is full again a number of steps after it was eaten from last. That the former gives
    the health that was recorded is checked.

    Parameters
    ----------
    recording : Recording
        Of a whole life in the plane, from its first step on.
    world : TreeWorld
        In which it was lived. Its present fruit does not matter.
    diary : Diary, optional
        What the agent knew and sought in that life.
    half_width : float, default=500.0
        The map shows −half_width to +half_width on both axes, in metres.

    Returns
    -------
    TouchableFigure
        ``way`` of shape (n_moves + 1, 2), in metres, with the steps ``moved`` (from 1) after which
        the agent stood there, but for the first, its start. ``meals`` has ``steps``, ``trees`` and
        ``healths``, one for each. ``trees`` has ``places`` and ``poisonous``. With a diary,
        ``known`` has ``steps``, ``trees``, ``places``, ``sds`` and ``verdicts`` (None where a tree
        is forgotten), and ``aims`` has ``steps``, ``trees`` and ``places`` (None where there is
        none), one for each change.

    Raises
    ------
    ValueError
        If the world is no plane or repeats, a meal is of no tree of this world, the recorded
        health is not what moves, rests and meals make of it, or the diary goes beyond the life.

    Examples
    --------
    >>> from tree_world.plotting.data.life import life
    >>> from tree_world.simulation import TreeWorld, TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> figure = life(world.run(100), world)
    >>> figure.data["num_steps"], len(figure.data["way"])
    (100, 101)
    """
    config = world.config
    if world.dim != 2 or config.period is not None:
        raise ValueError(
            "a life is shown in a plane that does not repeat, but this world has "
            f"{world.dim} dimensions and the period {config.period}."
        )
    steps, eaten_from = recording.meal_steps, recording.meal_trees
    trees, last = len(world.trees), recording.num_steps
    if not ((eaten_from >= 0) & (eaten_from < trees)).all():
        raise ValueError(
            f"meals must be of the trees of the world, 0 to {trees - 1}, but are of "
            f"{eaten_from.min()} to {eaten_from.max()}. Give the world that was lived in."
        )
    if not ((steps >= 1) & (steps <= last)).all() or not (np.diff(steps) > 0).all():
        raise ValueError(
            f"meals must be in steps that rise from 1 to {last}, one in each, but are in {steps}."
        )
    moved = (np.diff(recording.positions, axis=0) != 0).any(axis=1)
    _check_healths(recording, moved, config)
    data: dict[str, Any] = {
        "half_width": float(half_width),
        "num_steps": last,
        "max_health": config.max_health,
        "start_health": float(recording.healths[0]),
        "move_cost": config.move_cost,
        "rest_cost": config.rest_cost,
        "max_fruit": config.max_fruit,
        "regrowth_steps": config.fruit_regrowth_steps,
        "trees": {
            "places": rounded(world.locations),
            "poisonous": world.is_poisonous.tolist(),
        },
        "moved": (np.flatnonzero(moved) + 1).tolist(),
        "way": rounded(recording.positions[np.concatenate([[True], moved])]),
        "meals": {
            "steps": steps.tolist(),
            "trees": eaten_from.tolist(),
            "healths": recording.meal_healths.tolist(),
        },
    }
    if diary is not None:
        data |= _kept(diary, last)
    return TouchableFigure("life", data)


def _kept(diary: Diary, last: int) -> dict[str, Any]:
    """Tell what a diary of so many steps says, in columns."""
    known, aims = diary.known, diary.aims
    latest = max([note.step for note in known] + [aim.step for aim in aims], default=0)
    if latest > last:
        raise ValueError(
            f"a diary must be of the life that is told, of {last} steps, but it goes to step "
            f"{latest}. Begin a new one with each life."
        )
    sought = iter(
        rounded(np.reshape([aim.place for aim in aims if aim.place is not None], (-1, 2)))
    )
    return {
        "known": {
            "steps": [note.step for note in known],
            "trees": [note.tree for note in known],
            "places": rounded(np.reshape([note.place for note in known], (-1, 2))),
            "sds": rounded([note.sd for note in known]),
            "verdicts": [note.verdict for note in known],
        },
        "aims": {
            "steps": [aim.step for aim in aims],
            "trees": [aim.tree for aim in aims],
            "places": [None if aim.place is None else next(sought) for aim in aims],
        },
    }


def _check_healths(recording: Recording, moved: np.ndarray, config: TreeWorldConfig) -> None:
    """Refuse healths that do not follow from moves, rests and meals."""
    meals = np.zeros(recording.num_steps)
    meals[recording.meal_steps - 1] = recording.meal_healths
    before = recording.healths[:-1] + meals
    costs = np.where(moved, config.move_cost, config.rest_cost)
    after = np.clip(before, 0.0, config.max_health) - costs
    wrong = np.flatnonzero(np.abs(np.maximum(after, 0.0) - recording.healths[1:]) > 1e-6)
    if len(wrong):
        step = int(wrong[0]) + 1
        raise ValueError(
            "healths must be what moves, rests and meals make of them, but after step "
            f"{step} it is {recording.healths[step]:g} where {max(0.0, after[step - 1]):g} follows."
            " Give the whole recording, and the world that was lived in."
        )
