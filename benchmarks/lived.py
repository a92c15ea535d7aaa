"""Walks of bodies that are told numbers of actions and smells, for studies of learned space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.simulation.hidden import ShiftBody
from tree_world.simulation.untaken import Shortcuts, shortcuts

Array: TypeAlias = npt.NDArray[np.float64]

STEPS, NEW_STEPS = 2000, 1500
BODY, WALK, NEW_WALK, NEW_WORLD = 100, 200, 300, 500  # added to the seed of a world


@dataclass(frozen=True)
class Lived:
    """A walk, and ways off it that were never gone.

    Attributes
    ----------
    body : ShiftBody
    actions : numpy.ndarray of int, of shape (n_steps,)
    places : numpy.ndarray of float64, of shape (n_steps + 1, dim)
        In metres, from the start on.
    senses : numpy.ndarray of float64, of shape (n_steps, sensory_dim)
        What was smelled after each action.
    ways : Shortcuts
        A way with ``starts[i] = s`` begins after s actions, where ``senses[s - 1]`` is smelled.
    at_ends : numpy.ndarray of float64, of shape (n_ways, sensory_dim)
        What would be smelled at their ends.
    """

    body: ShiftBody
    actions: npt.NDArray[np.intp]
    places: Array
    senses: Array
    ways: Shortcuts
    at_ends: Array


def lived(seed: int, *, new: bool = False, steps: int | None = None) -> Lived:
    """Walk in a world, or with the same body in a new one.

    Parameters
    ----------
    seed : int
        Of the world; what is added to it for the others is told above.
    new : bool, default=False
        Whether the world is a new one.
    steps : int, optional
        By default 2,000, and 1,500 in a new world.
    """
    body = ShiftBody(seed=seed + BODY)
    number = steps or (NEW_STEPS if new else STEPS)
    actions, places = body.walk(number, seed + (NEW_WALK if new else WALK))
    ways = shortcuts(body, places, seed=seed)
    world = seed + (NEW_WORLD if new else 0)
    return Lived(body, actions, places, smelled(world, places[1:]), ways, smelled(world, ways.ends))


def smelled(seed: int, places: Array) -> Array:
    """Smell at places of the world with a seed."""
    config = TreeWorldConfig.model_validate({})
    world = TreeWorld.random_from_config(config, seed=seed)
    smells: Array = SimpleSensor.from_config(config).sense(world, places).embedding.double().numpy()
    return smells
