"""A life that a reader leads, beside those of agents in the same world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tree_world.checks import positive_distance, whole_number
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.data.scents import ScentBasis, scent_palette, trees_of
from tree_world.plotting.palette import ScentPalette
from tree_world.simulation import DirectionalSensor, Recording, SimpleSensor, TreeWorld, vocabulary
from tree_world.simulation.lives import DIRECTIONS

RULES = (
    "max_fruit",
    "fruit_regrowth_steps",
    "eat_distance",
    "max_step_length",
    "max_health",
    "move_cost",
    "rest_cost",
    "edible_health",
    "poison_health",
)
"""What the configuration says of bodies and fruit, by its own names."""

PATH_EVERY, HEALTH_EVERY = 5, 50
"""Steps from one place, and from one health, that is told to the next."""


def living(
    world: TreeWorld,
    nose: SimpleSensor,
    eyes: DirectionalSensor,
    lives: Mapping[str, Sequence[Recording]],
    lifetimes: Mapping[str, float],
    *,
    lived_here: int,
    half_width: float = 500.0,
) -> TouchableFigure:
    """Tell a world with all its rules, to live in, and how others lived in it and elsewhere.

    Steps are those of ``TreeWorld-v0`` (`tree_world.simulation.environment`): a rest, or a step of
    the greatest length in one of eight directions. Nothing is drawn by chance but the world.

    Parameters
    ----------
    world : TreeWorld
        In the plane, at the beginning of a life.
    nose : SimpleSensor
    eyes : DirectionalSensor
    lives : mapping of str to sequence of Recording
        For each kind of agent a life in each of some worlds.
    lifetimes : mapping of str to float
        Of the same kinds of agents, in steps, on average.
    lived_here : int
        Which life of each sequence was lived in this world.
    half_width : float, default=500.0
        Of the map, in metres.

    Returns
    -------
    TouchableFigure
        The rules, by their names in `TreeWorldConfig`; the ``directions`` of steps, of shape (8,
        2); the first ``heading``; ``eyes``, ``trees``, ``amounts`` of shape (5, rank) with their
        ``phrases``, ``palette``, ``half_width``; and ``lives``, each with a ``name``, a mean
        ``lifetime``, the ``path`` that it took here, and ``num_steps`` and ``healths`` of all
        worlds, of which it is the one ``shown``: a place every ``path_every`` steps, a health every
        ``health_every`` steps and at the end.

    Raises
    ------
    ValueError
        If the world has not two dimensions or some time has passed in it, if lives are missing, or
        one was not lived in this world.

    Examples
    --------
    >>> from tree_world.plotting import data
    >>> from tree_world.simulation import TreeWorldConfig, TreeWorld
    >>> from tree_world.simulation import DirectionalSensor, SimpleSensor
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> life = world.run(20)
    >>> world.reset()
    >>> figure = data.living(
    ...     world,
    ...     SimpleSensor(),
    ...     DirectionalSensor(),
    ...     {"explores": [life]},
    ...     {"explores": 20.0},
    ...     lived_here=0,
    ... )
    >>> figure.data["move_cost"], len(figure.data["lives"][0]["path"])
    (2.0, 5)
    """
    config = world.config
    if world.dim != 2:
        raise ValueError(f"a map has two dimensions, but this world has {world.dim}.")
    if world.time > 0:
        raise ValueError(
            f"a reader lives from the beginning, but in this world {world.time} steps have passed. "
            "Reset it."
        )
    if not lives or set(lives) != set(lifetimes):
        raise ValueError(
            f"lives and lifetimes must name the same kinds of agents, at least one, but lives are "
            f"of {sorted(lives)} and lifetimes of {sorted(lifetimes)}."
        )
    basis = ScentBasis.of_world(world)
    return TouchableFigure(
        "living",
        {
            **{rule: getattr(config, rule) for rule in RULES},
            "half_width": positive_distance("half_width", half_width),
            "directions": DIRECTIONS.astype(np.float64).tolist(),
            "heading": world.agent.heading.double().tolist(),
            "eyes": {
                "max_sense_distance": eyes.max_sense_distance,
                "heading_tolerance": eyes.heading_tolerance,
            },
            "trees": trees_of(world, basis, nose),
            "amounts": rounded(basis.coordinates(world.fruit_amount_embeddings), 5),
            "phrases": list(vocabulary.FRUIT_AMOUNTS),
            "palette": scent_palette(ScentPalette.from_world(world), basis),
            "path_every": PATH_EVERY,
            "health_every": HEALTH_EVERY,
            "lives": [
                _life(world, name, of_worlds, lifetimes[name], lived_here)
                for name, of_worlds in lives.items()
            ],
        },
    )


def _life(
    world: TreeWorld, name: str, of_worlds: Sequence[Recording], lifetime: float, lived_here: int
) -> dict[str, Any]:
    """Tell how agents of a kind have lived."""
    which = whole_number("lived_here", lived_here, least=0)
    if which >= len(of_worlds):
        raise ValueError(
            f"lived_here is {which}, counted from zero, but there are {len(of_worlds)} lives of "
            f"{name!r}."
        )
    here = of_worlds[which]
    # A meal is eaten before the step, at the place of the row before.
    trees = world.locations.numpy()[here.meal_trees]
    away = np.linalg.norm(here.positions[here.meal_steps - 1] - trees, axis=1)
    if (away > world.config.eat_distance * (1 + 1e-4)).any():
        raise ValueError(
            f"life {which} of {name!r} was not lived in this world: it has a meal {away.max():.0f} "
            "m away from the tree."
        )
    return {
        "name": name,
        "lifetime": rounded(lifetime),
        "shown": which,
        "num_steps": [life.num_steps for life in of_worlds],
        "path": rounded(here.positions[::PATH_EVERY]),
        "healths": [rounded(_thinned(life.healths)) for life in of_worlds],
    }


def _thinned(healths: np.ndarray) -> np.ndarray:
    """Keep some healths of a life, and the last one."""
    last = len(healths) - 1
    return healths[np.r_[0:last:HEALTH_EVERY, last]]
