"""Walkers, which live without a memory: one that explores, and one that rests."""

from __future__ import annotations

import numpy as np
import torch

from tree_world.checks import positive_distance, real_number
from tree_world.simulation import stepping
from tree_world.simulation.body import Action, Body, Percept


class Exploring:
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
        Whether to heed what is seen. False gives a wanderer, for comparison.

    Raises
    ------
    ValueError
        If a length is not positive or `turn_sd` is negative.

    Examples
    --------
    >>> import torch
    >>> from tree_world.simulation import Body, Percept, Sight
    >>> body = Body(torch.zeros(2), torch.tensor([1.0, 0.0]), health=900.0, max_health=1000.0)
    >>> seen = Percept(smell=None, sight=Sight(torch.tensor(4.0), None))
    >>> Exploring().act(seen, body, None, generator=torch.Generator().manual_seed(0)).step
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

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """See `AgentModel.act`."""
        return self._walk(percept.sight.distance, body.heading, generator)

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
        """See `AgentModel`: as in version 0.1."""
        return self._walk(distance, heading, generator)

    def _walk(
        self, distance: torch.Tensor | None, heading: torch.Tensor, generator: torch.Generator
    ) -> Action:
        seen = float(distance) if self.uses_sight and distance is not None else -1.0
        turned = heading.numpy().astype(np.float32)
        step = np.empty_like(turned)
        words = generator.get_state().numpy().view(np.uint64)
        stepping.explore(
            words,
            words.view(np.float64),
            turned,
            np.float32(seen),
            self.max_step_length,
            self.turn_sd,
            step,
        )
        generator.set_state(torch.from_numpy(words.view(np.uint8)))
        return Action(torch.from_numpy(step), torch.from_numpy(turned))


class Resting:
    """Never move. The yardstick that every forager has to beat."""

    def reset(self) -> None:
        """Do nothing: this model learns nothing."""

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """See `AgentModel.act`."""
        return Action(None, body.heading)

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
        """See `AgentModel`: as in version 0.1."""
        return None, heading
