"""Who lives in a tree world: an agent, and models that decide what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from tree_world.checks import positive_distance, real_number
from tree_world.simulation.sensors import Sensor


class AgentModel(Protocol):
    """Decides what an agent does, from what it perceives."""

    def reset(self) -> None:
        """Forget everything that was learned in a life."""
        ...

    def get_action(
        self,
        distance: torch.Tensor | None,
        embedding: torch.Tensor | None,
        heading: torch.Tensor,
        health: float,
        *,
        position: torch.Tensor,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Choose a step and a heading.

        Parameters
        ----------
        distance : torch.Tensor of shape () or None
            Distance to the tree that is perceived, in metres.
        embedding : torch.Tensor of shape (embed_dim,) or None
            What is perceived.
        heading : torch.Tensor of shape (dim,)
            Where the agent looks, a unit vector.
        health : float
            Health as a share of the maximum, from 0 to 1.
        position : torch.Tensor of shape (dim,)
            Where the agent is, in metres.
        generator : torch.Generator
            The only source of randomness that a model may use.

        Returns
        -------
        step : torch.Tensor of shape (dim,) or None
            Displacement in metres, no longer than ``config.max_step_length``; None to rest.
        heading : torch.Tensor of shape (dim,)
            The new heading, a unit vector.
        """
        ...


class ExploringModel:
    r"""Walk straight on while a tree is in sight, else turn a little and take a random step.

    Without a tree in sight the heading turns by Gaussian noise,
    :math:`h' = (h + s\,\varepsilon) / \lVert h + s\,\varepsilon \rVert`, and the step is
    :math:`u\,L\,h'` with u uniform on [0, 1]. With a tree in sight it is :math:`\min(L, r)\,h`, r
    being the distance to the tree. No direction is preferred.

    Parameters
    ----------
    max_step_length : float, default=10.0
        Longest step L, in metres.
    turn_sd : float, default=0.5
        Standard deviation s of the noise on each component of the heading.
    uses_sight : bool, default=True
        Whether to heed what is perceived. False gives a wanderer, for comparison.

    Raises
    ------
    ValueError
        If a length is not positive or `turn_sd` is negative.

    Examples
    --------
    >>> import torch
    >>> model = ExploringModel()
    >>> step, heading = model.get_action(
    ...     torch.tensor(4.0), None, torch.tensor([1.0, 0.0]), 1.0,
    ...     position=torch.zeros(2), generator=torch.Generator().manual_seed(0),
    ... )
    >>> step
    tensor([4., 0.])
    """

    def __init__(
        self, max_step_length: float = 10.0, turn_sd: float = 0.5, uses_sight: bool = True
    ) -> None:
        self.max_step_length = positive_distance("max_step_length", max_step_length)
        self.turn_sd = real_number("turn_sd", turn_sd)
        if not 0 <= self.turn_sd < float("inf"):
            raise ValueError(f"turn_sd must be zero or more, and finite, not {turn_sd}.")
        self.uses_sight = uses_sight

    def reset(self) -> None:
        """Do nothing: this model learns nothing."""

    def get_action(
        self,
        distance: torch.Tensor | None,
        embedding: torch.Tensor | None,
        heading: torch.Tensor,
        health: float,
        *,
        position: torch.Tensor,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """See `AgentModel.get_action`."""
        if self.uses_sight and distance is not None:
            return heading * distance.clamp(max=self.max_step_length), heading
        noise = torch.randn(heading.shape, generator=generator, dtype=heading.dtype)
        turned = torch.nn.functional.normalize(heading + self.turn_sd * noise, dim=-1)
        length = self.max_step_length * torch.rand((), generator=generator, dtype=heading.dtype)
        return turned * length, turned


class RestingModel:
    """Never move. The yardstick that every forager has to beat."""

    def reset(self) -> None:
        """Do nothing: this model learns nothing."""

    def get_action(
        self,
        distance: torch.Tensor | None,
        embedding: torch.Tensor | None,
        heading: torch.Tensor,
        health: float,
        *,
        position: torch.Tensor,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """See `AgentModel.get_action`."""
        return None, heading


@dataclass
class Agent:
    """The state of an agent and the parts it is made of.

    Parameters
    ----------
    model : AgentModel
        Decides what to do.
    sensor : Sensor
        Tells what is perceived.
    position : torch.Tensor of shape (dim,)
        In metres.
    heading : torch.Tensor of shape (dim,)
        A unit vector.
    health : float
        In health points.
    """

    model: AgentModel
    sensor: Sensor
    position: torch.Tensor
    heading: torch.Tensor
    health: float

    @property
    def is_alive(self) -> bool:
        """Whether any health is left."""
        return self.health > 0

    def perceive(self, world: Any) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Distance and embedding of what the sensor tells at the agent's place and heading."""
        # Copies: what a sensor does to them does not move the agent.
        where, heading = self.position.clone(), self.heading.clone()
        distance, embedding, _ = self.sensor.sense(world, where, heading)
        return distance, embedding
