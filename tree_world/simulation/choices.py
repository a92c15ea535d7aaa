"""What a world, its sensors and a walker were made with, as the row of numbers compiled code reads.

`stepping` names the columns.
"""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

from tree_world.simulation import stepping
from tree_world.simulation.config import TreeWorldConfig
from tree_world.simulation.sensors import DirectionalSensor, SimpleSensor
from tree_world.simulation.walkers import Exploring, Resting


def choices_of(config: TreeWorldConfig) -> np.ndarray:
    """Make a row of a configuration; what it says of sensors and walkers is still to be written.

    Parameters
    ----------
    config : TreeWorldConfig

    Returns
    -------
    numpy.ndarray of shape (NUM_CHOICES,), float64
    """
    choices = np.zeros(stepping.NUM_CHOICES)
    choices[stepping.MAX_FRUIT] = config.max_fruit
    choices[stepping.REGROWTH_STEPS] = config.fruit_regrowth_steps
    choices[stepping.EAT_DISTANCE] = config.eat_distance
    choices[stepping.MAX_HEALTH] = config.max_health
    choices[stepping.MOVE_COST] = config.move_cost
    choices[stepping.REST_COST] = config.rest_cost
    choices[stepping.PERIOD] = config.period or 0.0
    return choices


def write_sight(eyes: DirectionalSensor, choices: np.ndarray) -> None:
    """Write down what eyes are like, if they may look in such a world."""
    eyes.check(choices[stepping.PERIOD] or None)
    choices[stepping.SIGHT_REACH] = eyes.max_sense_distance
    choices[stepping.TOLERANCE] = eyes.heading_tolerance


def write_smell(nose: SimpleSensor, choices: np.ndarray) -> None:
    """Write down what a nose is like, if it may smell in such a world."""
    nose.check(choices[stepping.PERIOD] or None)
    choices[stepping.TWICE_TIME] = 2 * nose.diffusion_time
    choices[stepping.AMOUNT_DISTANCE] = nose.can_see_fruit_distance


def write_walker(walker: Exploring | Resting, choices: np.ndarray) -> None:
    """Write down what a walker is like."""
    choices[stepping.WALKS] = isinstance(walker, Exploring)
    if isinstance(walker, Exploring):
        choices[stepping.HEEDS_SIGHT] = walker.uses_sight
        choices[stepping.LONGEST_STEP] = walker.max_step_length
        choices[stepping.TURN_SD] = walker.turn_sd


def are_own_eyes(sensor: object) -> TypeGuard[DirectionalSensor]:
    """Say whether eyes are the library's own, of which nothing was replaced."""
    return type(sensor) is DirectionalSensor and "sense" not in vars(sensor)


def is_own_nose(sensor: object) -> TypeGuard[SimpleSensor]:
    """Say whether a nose is the library's own, of which nothing was replaced."""
    return type(sensor) is SimpleSensor and "sense" not in vars(sensor)


def own_walker(model: object) -> Exploring | Resting | None:
    """Give a model if it is one of the walkers, of which nothing was replaced.

    Parameters
    ----------
    model : AgentModel

    Returns
    -------
    Exploring or Resting or None
        One whose steps compiled code may take.
    """
    if not isinstance(model, (Exploring, Resting)) or type(model) not in (Exploring, Resting):
        return None
    return None if {"act", "get_action", "_walk"} & set(vars(model)) else model
