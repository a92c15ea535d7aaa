"""What an agent is made of, what it gets in a step, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from tree_world.simulation.sensors import Sensor


class Sight(NamedTuple):
    """What the eyes tell: both None where nothing is seen.

    Attributes
    ----------
    distance : torch.Tensor of shape () or None
        Distance to the tree that is seen, in metres.
    embedding : torch.Tensor of shape (embed_dim,) or None
        What it is like.
    """

    distance: torch.Tensor | None
    embedding: torch.Tensor | None


class Percept(NamedTuple):
    """What an agent gets of its world in a step, before it eats.

    Attributes
    ----------
    smell : torch.Tensor of shape (embed_dim,) or None
        The scent at its place; None without a nose.
    sight : Sight
        The nearest tree that it sees.
    """

    smell: torch.Tensor | None
    sight: Sight


class Action(NamedTuple):
    """What an agent does.

    Attributes
    ----------
    step : torch.Tensor of shape (dim,) or None
        Displacement in metres, no longer than ``config.max_step_length``; None to rest.
    heading : torch.Tensor of shape (dim,)
        The new heading, a unit vector.
    """

    step: torch.Tensor | None
    heading: torch.Tensor


@dataclass(frozen=True)
class Body:
    """What an agent knows of itself: copies, so that a model cannot move it.

    Attributes
    ----------
    position : torch.Tensor of shape (dim,)
        In metres.
    heading : torch.Tensor of shape (dim,)
        A unit vector.
    health, max_health : float
        In health points.
    """

    position: torch.Tensor
    heading: torch.Tensor
    health: float
    max_health: float

    @property
    def share_of_health(self) -> float:
        """Health as a share of the maximum, from 0 to 1."""
        return self.health / self.max_health


class AgentModel(Protocol):
    """Decides what an agent does, from what it perceives.

    A model that has ``get_action`` of version 0.1 in place of ``act`` is taken, too, and is told
    what the eyes see: ``get_action(distance, embedding, heading, health, *, position, generator)``
    gives a step or None, and a heading; health is a share of the maximum there.
    """

    def reset(self) -> None:
        """Forget everything that was learned in a life."""
        ...

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """Choose a step and a heading.

        Parameters
        ----------
        percept : Percept
            What is smelled and seen.
        body : Body
            Where the agent is, where it looks and how well it is, after its meal.
        meal : float or None
            What the fruit was worth, in health points, that was eaten in this step.
        generator : torch.Generator
            The only source of randomness that a model may use.

        Returns
        -------
        Action
        """
        ...


class Agent:
    """A body, a nose, a pair of eyes, and a model.

    Parameters
    ----------
    model : AgentModel
        Decides what to do.
    sensor : Sensor or None
        The eyes; any sensor may stand in for them.
    position : torch.Tensor of shape (dim,)
        In metres.
    heading : torch.Tensor of shape (dim,)
        A unit vector.
    health : float
        In health points.
    nose : Sensor, optional
        Tells what is smelled; without one nothing is.

    Attributes
    ----------
    model : AgentModel
    eyes, nose : Sensor or None
    """

    def __init__(
        self,
        model: Any,
        sensor: Sensor | None,
        position: torch.Tensor,
        heading: torch.Tensor,
        health: float,
        *,
        nose: Sensor | None = None,
    ) -> None:
        self.model = model
        self.eyes = sensor
        self.nose = nose
        # What compiled code reads and changes.
        self.arrays = BodyArrays(
            np.array(position.tolist(), dtype=np.float32),
            np.array(heading.tolist(), dtype=np.float32),
            np.array([health], dtype=np.float64),
        )

    @property
    def sensor(self) -> Sensor | None:
        """The eyes, under their name of version 0.1."""
        return self.eyes

    @sensor.setter
    def sensor(self, sensor: Sensor | None) -> None:
        self.eyes = sensor

    @property
    def position(self) -> torch.Tensor:
        """Where it is, in metres; a copy of shape (dim,)."""
        return torch.from_numpy(self.arrays.position.copy())

    @position.setter
    def position(self, position: torch.Tensor) -> None:
        self.arrays.position[:] = torch.as_tensor(position).numpy()

    @property
    def heading(self) -> torch.Tensor:
        """Where it looks, a unit vector; a copy of shape (dim,)."""
        return torch.from_numpy(self.arrays.heading.copy())

    @heading.setter
    def heading(self, heading: torch.Tensor) -> None:
        self.arrays.heading[:] = torch.as_tensor(heading).numpy()

    @property
    def health(self) -> float:
        """In health points."""
        return float(self.arrays.health[0])

    @health.setter
    def health(self, health: float) -> None:
        self.arrays.health[0] = health

    @property
    def is_alive(self) -> bool:
        """Whether any health is left."""
        return bool(self.arrays.health[0] > 0)

    def perceive(self, world: Any) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Distance and embedding of what the eyes see at the agent's place and heading."""
        if self.eyes is None:
            return None, None
        # Copies: what a sensor does to them does not move the agent.
        distance, embedding, _ = self.eyes.sense(world, self.position, self.heading)
        return distance, embedding


class BodyArrays(NamedTuple):
    """The state of a body, as arrays that are changed in place.

    Attributes
    ----------
    position, heading : numpy.ndarray of shape (dim,), float32
    health : numpy.ndarray of shape (1,), float64
    """

    position: np.ndarray
    heading: np.ndarray
    health: np.ndarray


Acting = Callable[[Percept, Body, float | None, torch.Generator], Action]


def acting(model: Any) -> tuple[Acting, bool]:
    """Find how a model acts: by ``act``, or by ``get_action`` of version 0.1.

    Of a class that has both, such as a walker whose ``get_action`` was replaced, the one counts
    that was defined last.

    Parameters
    ----------
    model : AgentModel

    Returns
    -------
    act : callable
        Of a percept, a body, a meal and a generator.
    smells : bool
        Whether it heeds what is smelled.

    Raises
    ------
    TypeError
        If the model has neither.
    """
    for scope in (
        vars(model) if hasattr(model, "__dict__") else {},
        *map(vars, type(model).__mro__),
    ):
        if "act" in scope:
            return _by_act(model), True
        if "get_action" in scope:
            return _by_get_action(model), False
    if hasattr(model, "act"):
        return _by_act(model), True
    if hasattr(model, "get_action"):
        return _by_get_action(model), False
    raise TypeError(
        f"a model must have a method act(percept, body, meal, *, generator), but {model!r} has "
        "none. See tree_world.simulation.AgentModel."
    )


def _by_act(model: Any) -> Acting:
    return lambda percept, body, meal, generator: model.act(
        percept, body, meal, generator=generator
    )


def _by_get_action(model: Any) -> Acting:
    def act(percept: Percept, body: Body, meal: float | None, generator: torch.Generator) -> Action:
        step, heading = model.get_action(
            *percept.sight,
            body.heading,
            body.share_of_health,
            position=body.position,
            generator=generator,
        )
        return Action(step, heading)

    return act
