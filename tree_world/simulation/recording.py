"""What is written down while a world runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass(frozen=True)
class Recording:
    """A stretch of a life, as arrays.

    Row 0 of `positions`, `headings` and `healths` is the state before the first step, row s the
    state after step s.

    Attributes
    ----------
    positions : numpy.ndarray of shape (num_steps + 1, dim)
        In metres.
    headings : numpy.ndarray of shape (num_steps + 1, dim)
        Unit vectors.
    healths : numpy.ndarray of shape (num_steps + 1,)
        In health points.
    meal_steps : numpy.ndarray of shape (num_meals,)
        The step (from 1) in which each meal was eaten.
    meal_trees : numpy.ndarray of shape (num_meals,)
        Index of the tree it came from.
    meal_healths : numpy.ndarray of shape (num_meals,)
        What the fruit was worth, in health points, before the cap at the maximum.
    """

    positions: np.ndarray
    headings: np.ndarray
    healths: np.ndarray
    meal_steps: np.ndarray
    meal_trees: np.ndarray
    meal_healths: np.ndarray

    @property
    def num_steps(self) -> int:
        """Steps lived: fewer than asked for if the agent died."""
        return len(self.healths) - 1

    @property
    def died(self) -> bool:
        """Whether the agent's health reached zero."""
        return bool(self.healths[-1] <= 0)


@dataclass
class Recorder:
    """Collects states and meals, and makes a `Recording` of them."""

    positions: list[np.ndarray] = field(default_factory=list)
    headings: list[np.ndarray] = field(default_factory=list)
    healths: list[float] = field(default_factory=list)
    meals: list[tuple[int, int, float]] = field(default_factory=list)

    def add_state(self, position: torch.Tensor, heading: torch.Tensor, health: float) -> None:
        """Append one row."""
        self.positions.append(position.numpy().copy())
        self.headings.append(heading.numpy().copy())
        self.healths.append(health)

    def add_meal(self, tree_index: int, health: float) -> None:
        """Note a meal in the step that is under way."""
        self.meals.append((len(self.healths), tree_index, health))

    def finish(self) -> Recording:
        """Turn what was collected into arrays."""
        return Recording(
            positions=np.stack(self.positions),
            headings=np.stack(self.headings),
            healths=np.array(self.healths, dtype=np.float64),
            meal_steps=np.array([meal[0] for meal in self.meals], dtype=np.int64),
            meal_trees=np.array([meal[1] for meal in self.meals], dtype=np.int64),
            meal_healths=np.array([meal[2] for meal in self.meals], dtype=np.float64),
        )


def recording_of(
    positions: np.ndarray,
    headings: np.ndarray,
    healths: np.ndarray,
    meals: np.ndarray,
    fruit_values: np.ndarray,
) -> Recording:
    """Make a `Recording` of what compiled code has written.

    Parameters
    ----------
    positions, headings : numpy.ndarray of shape (num_steps + 1, dim)
    healths : numpy.ndarray of shape (num_steps + 1,)
    meals : numpy.ndarray of shape (num_steps,)
        The tree that was eaten from in each step, negative where none was.
    fruit_values : numpy.ndarray of shape (num_trees,)
        What a fruit of each tree is worth, in health points.

    Returns
    -------
    Recording
    """
    steps = np.flatnonzero(meals >= 0)
    return Recording(
        positions=positions,
        headings=headings,
        healths=healths,
        meal_steps=steps + 1,
        meal_trees=meals[steps],
        meal_healths=fruit_values[meals[steps]],
    )


def joined(parts: Sequence[Recording]) -> Recording:
    """Join recordings of one life, each of which goes on where the one before ended.

    Parameters
    ----------
    parts : sequence of Recording
        One or more.

    Returns
    -------
    Recording
        As if the life had been recorded at once.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> from tree_world.simulation import TreeWorld, TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> joined([world.run(30), world.run(20)]).num_steps
    50
    """
    if not parts:
        raise ValueError("at least one recording is needed, but none was given.")
    begins = np.cumsum([0, *(part.num_steps for part in parts[:-1])])
    states = {
        name: np.concatenate(
            [getattr(parts[0], name)[:1], *(getattr(part, name)[1:] for part in parts)]
        )
        for name in ("positions", "headings", "healths")
    }
    meals = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("meal_trees", "meal_healths")
    }
    steps = [part.meal_steps + begin for part, begin in zip(parts, begins, strict=True)]
    return Recording(**states, meal_steps=np.concatenate(steps), **meals)
