"""Networks that learn sequences: GRU, LSTM, and a transformer with recurrent positions (TEM-t).

All are told actions and smells, and predict smells after actions at which they smell nothing. For
how they are trained see `benchmarks.sequence_training`.

References
----------
J. Whittington, J. Warren and T. Behrens, "Relating transformers to models and neural
representations of the hippocampal formation", ICLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.lived import Lived
from tree_world.simulation import TreeWorld, TreeWorldConfig

Array: TypeAlias = npt.NDArray[np.float64]

SHORTEST, LONGEST = 8, 40  # actions at which nothing is smelled, as on shortcuts
FEWEST_RETURNS = 20  # steps, by which a network is judged; or else by all
LARGEST_PRODUCTS = 16  # size of positions up to which products of matrices are faster
STRETCH = 40  # steps whose matrices are multiplied one after the other
SIZE_OF_SMELLS = 8.0  # mean square length of a smell, as the networks are told it
_VOCABULARY_WORLDS = range(30)  # in which all words occur
_RANK = 1e-5  # of the greatest singular value


@dataclass(frozen=True)
class Walked:
    """A walk as networks are told it.

    Attributes
    ----------
    actions : torch.Tensor of int64, of shape (n,)
    smells : torch.Tensor of float32, of shape (n, width)
        After each action.
    returns : torch.Tensor of bool, of shape (n,)
        Whether that was within 8 m of where the body had been more than 100 steps before: held-out
        steps are judged there, as shortcuts are. No network is told.
    """

    actions: torch.Tensor
    smells: torch.Tensor
    returns: torch.Tensor


class Nose:
    """Expresses smells in few numbers, by which distances between them stay what they are.

    Directions are those of all smells of all worlds. What is told is centred, and scaled by one
    number for all directions.

    Parameters
    ----------
    walks : sequence of numpy.ndarray of shape (n, sensory_dim)
        Smells of training, by which it is centred and scaled.
    """

    def __init__(self, walks: Sequence[Array]) -> None:
        self.directions = _directions()
        told = np.concatenate(walks) @ self.directions.T
        self.mean = told.mean(axis=0)
        self.unit = math.sqrt(float(((told - self.mean) ** 2).sum(axis=1).mean()) / SIZE_OF_SMELLS)

    def express(self, smells: Array) -> torch.Tensor:
        """Express smells as networks are told them."""
        told = (smells @ self.directions.T - self.mean) / self.unit
        return torch.from_numpy(told.astype(np.float32))

    def walked(self, actions: npt.NDArray[np.intp], places: Array, smells: Array) -> Walked:
        """Tell of a walk, with one place more than there are actions and smells."""
        places = places[1:]
        returns = [
            bool((np.linalg.norm(places[: max(0, step - 100)] - place, axis=1) < 8).any())
            for step, place in enumerate(places)
        ]
        return Walked(
            torch.from_numpy(actions.astype(np.int64)),
            self.express(smells),
            torch.tensor(returns),
        )


def _directions() -> Array:
    config = TreeWorldConfig.model_validate({})
    worlds = [TreeWorld.random_from_config(config, seed=seed) for seed in _VOCABULARY_WORLDS]
    sources = np.concatenate([world.trees.sources.double().numpy() for world in worlds])
    _, sizes, rows = np.linalg.svd(sources, full_matrices=False)
    return np.asarray(rows[sizes > _RANK * sizes[0]])


def r_squared(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Share of the variance of true smells, over all numbers together, that is predicted.

    Examples
    --------
    >>> r_squared([[0.0, 1.0], [2.0, 1.0]], [[0.0, 1.0], [2.0, 1.0]])
    1.0
    >>> r_squared([[1.0], [1.0]], [[0.0], [2.0]])
    0.0
    """
    told, truth = np.asarray(predicted, dtype=float), np.asarray(true, dtype=float)
    return float(1 - ((told - truth) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum())


# --- GRU and LSTM ---------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """A GRU or an LSTM that is told an action, and the smell before it or that there is none.

    Parameters
    ----------
    kind : {"GRU", "LSTM"}
    width : int
        Numbers of a smell.
    size : int
        Of the hidden state.
    dropout : float
        Between the hidden state and what is predicted.
    context : int
        Steps of a walk that it reads before it predicts without smells.
    num_actions : int, default=6
    """

    def __init__(
        self, kind: str, width: int, size: int, dropout: float, context: int, num_actions: int = 6
    ) -> None:
        super().__init__()
        self.context, self.num_actions = context, num_actions
        core = {"GRU": nn.GRU, "LSTM": nn.LSTM}[kind]
        self.core = core(num_actions + width + 1, size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(size, width)

    def forward(
        self, actions: torch.Tensor, before: torch.Tensor, told: torch.Tensor
    ) -> torch.Tensor:
        """Predict the smell after each action.

        Parameters
        ----------
        actions : torch.Tensor of int64, of shape (batch, n)
        before : torch.Tensor of shape (batch, n, width)
            Smells before each action.
        told : torch.Tensor of shape (batch, n)
            1 where the smell before is told, or else 0.

        Returns
        -------
        torch.Tensor of shape (batch, n, width)
        """
        hot = nn.functional.one_hot(actions, self.num_actions).to(before.dtype)
        states, _ = self.core(torch.cat([hot, before * told[..., None], told[..., None]], dim=-1))
        predicted: torch.Tensor = self.out(self.dropout(states))
        return predicted

    @torch.no_grad()
    def ahead(self, walk: Walked, first: int) -> tuple[float, float]:
        """Judge steps of a walk from `first` on.

        Returns
        -------
        held_out : float
            R² after 8 to 40 actions without smells, where the body returned to.
        one : float
            R² one action ahead.
        """
        starts = torch.arange(max(first, self.context + 1), len(walk.actions) - LONGEST + 1, 4)
        steps = starts[:, None] + torch.arange(-self.context, LONGEST)
        told = torch.ones(steps.shape)
        told[:, self.context + 1 :] = 0
        predicted = self(walk.actions[steps], walk.smells[steps - 1], told)
        at = steps[:, self.context + SHORTEST - 1 :]
        returned = walk.returns[at]
        if returned.sum() < FEWEST_RETURNS:
            returned = torch.ones_like(returned)
        late = predicted[:, self.context + SHORTEST - 1 :]
        now = steps[:, self.context]
        return (
            r_squared(late[returned], walk.smells[at][returned]),
            r_squared(predicted[:, self.context], walk.smells[now]),
        )

    @torch.no_grad()
    def at_ends(self, walk: Walked, life: Lived) -> torch.Tensor:
        """Predict smells at the ends of ways off a walk.

        Returns
        -------
        torch.Tensor of shape (n_ways, width)
        """
        ways = life.ways
        shape = len(ways.starts), self.context + max(map(len, ways.actions))
        actions = torch.zeros(shape, dtype=torch.int64)
        before, told = torch.zeros(*shape, walk.smells.shape[1]), torch.zeros(shape)
        ends = []
        for row, (start, way) in enumerate(zip(ways.starts.tolist(), ways.actions, strict=True)):
            read = min(self.context, start - 1)
            actions[row, :read] = walk.actions[start - read : start]
            actions[row, read : read + len(way)] = torch.from_numpy(way)
            before[row, : read + 1] = walk.smells[start - read - 1 : start]
            told[row, : read + 1] = 1
            ends.append(read + len(way) - 1)
        predicted = self(actions, before, told)
        at_ends: torch.Tensor = predicted[torch.arange(len(ends)), torch.tensor(ends)]
        return at_ends


# --- recurrent positions and attention ------------------------------------------------------------


def first_skews(
    size: int, angle: float, commuting: bool, generator: torch.Generator, num_actions: int = 6
) -> torch.Tensor:
    """Draw matrices S with which positions are turned at first, by exp(S − Sᵀ).

    Parameters
    ----------
    size : int
    angle : float
        By how much about, in radians.
    commuting : bool
        Whether all turn the same planes, each by angles of its own.
    generator : torch.Generator
    num_actions : int, default=6

    Returns
    -------
    torch.Tensor of shape (num_actions, size, size)
    """
    if not commuting:
        drawn = torch.randn(num_actions, size, size, generator=generator)
        return drawn * angle / math.sqrt(size)
    axes, _ = torch.linalg.qr(torch.randn(size, size, generator=generator))
    one, other = axes[:, 0 : 2 * (size // 2) : 2], axes[:, 1::2]
    angles = angle * torch.randn(num_actions, size // 2, generator=generator)
    return torch.einsum("kj,ij,lj->kil", angles, one, other)


class PositionMemory(nn.Module):
    r"""A transformer whose positions are led by actions, and whose memory is the walk (TEM-t).

    Each action a has a matrix :math:`W_a`, by which a position is led on,
    :math:`e_{t+1} = \sigma(e_t W_a)`. Keys and queries are positions, values are smells:

    .. math::

        \hat z(e) = \sum_s \mathrm{softmax}_s(\beta\, e \cdot e_s)\, z_s.

    With ``"rotation"``, :math:`W_a = \exp(S_a - S_a^\top)` and σ changes nothing: lengths stay 1.
    With ``"tanh"``, matrices are free.

    Parameters
    ----------
    kind : {"rotation", "tanh"}
    size : int
        Of a position.
    skews : torch.Tensor of shape (num_actions, size, size)
        S at first; see `first_skews`.
    sharpness : float
        β at first.
    start : {"learned", "random"}
        Position at which a sequence begins in training. One of those that are judged begins at the
        one that was learned, or drawn once.
    generator : torch.Generator
        Of that position.
    """

    def __init__(
        self,
        kind: str,
        size: int,
        skews: torch.Tensor,
        sharpness: float,
        start: str,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.kind, self.size, self.num_actions = kind, size, len(skews)
        free = torch.matrix_exp(skews - skews.mT)
        self.led = nn.Parameter(skews if kind == "rotation" else free)
        self.learns_start = start == "learned"
        self.first = nn.Parameter(torch.randn(size, generator=generator))
        self.first.requires_grad_(self.learns_start)
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(sharpness)))

    def begin(self, batch: int) -> torch.Tensor:
        """Give positions to begin with, of shape (batch, size)."""
        if self.learns_start or not self.training:
            first = self.first.expand(batch, -1)
        else:
            first = torch.randn(batch, self.size)
        unit: torch.Tensor = first / first.norm(dim=-1, keepdim=True)
        return unit

    def lead(self, actions: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Lead positions along actions.

        Parameters
        ----------
        actions : torch.Tensor of int64, of shape (batch, n)
        positions : torch.Tensor of shape (batch, size)

        Returns
        -------
        torch.Tensor of shape (batch, n, size)
            After each action.
        """
        if self.kind == "tanh" or self.size > LARGEST_PRODUCTS:
            return self._by_steps(actions, positions)
        return self._by_products(actions, positions)

    def _matrices(self) -> torch.Tensor:
        return torch.matrix_exp(self.led - self.led.mT) if self.kind == "rotation" else self.led

    def _by_steps(self, actions: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        beside = self._matrices().permute(1, 0, 2).reshape(self.size, -1)
        hot = nn.functional.one_hot(actions, self.num_actions).to(positions.dtype)[..., None]
        found = []
        for step in range(actions.shape[1]):
            all_led = (positions @ beside).view(-1, self.num_actions, self.size)
            positions = (all_led * hot[:, step]).sum(dim=1)
            if self.kind == "tanh":
                positions = torch.tanh(positions)
            found.append(positions)
        return torch.stack(found, dim=1)

    def _by_products(self, actions: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Multiply matrices of many stretches of a walk side by side, which is faster."""
        batch, length = actions.shape
        padded = nn.functional.pad(actions, (0, -length % STRETCH))
        stretches = padded.shape[1] // STRETCH
        matrices = self._matrices()
        hot = nn.functional.one_hot(padded, self.num_actions).to(positions.dtype)
        steps = (hot @ matrices.flatten(1)).view(batch * stretches, STRETCH, self.size, self.size)
        products = [steps[:, 0]]
        for step in range(1, STRETCH):
            products.append(products[-1] @ steps[:, step])
        led = torch.stack(products, dim=1).view(batch, stretches, STRETCH, self.size, self.size)
        starts = [positions[:, None]]
        for stretch in range(stretches - 1):
            starts.append(starts[-1] @ led[:, stretch, -1])
        found = (torch.stack(starts, dim=1)[:, :, None] @ led)[..., 0, :]
        return found.reshape(batch, -1, self.size)[:, :length]

    def read(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        open_to: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attend to remembered positions, to those alone that are open to a query, if told."""
        weights = self.log_sharpness.exp() * (queries @ keys.mT)
        if open_to is not None:
            weights = weights.masked_fill(~open_to, -1e9)
        told: torch.Tensor = torch.softmax(weights, dim=-1) @ values
        return told

    def remembered(self, walk: Walked) -> torch.Tensor:
        """Positions after each step of a walk, of shape (n, size)."""
        return self.lead(walk.actions[None], self.begin(1))[0]

    @torch.no_grad()
    def ahead(self, walk: Walked, first: int) -> tuple[float, float]:
        """Judge steps of a walk from `first` on; see `Recurrent.ahead`."""
        positions = self.remembered(walk)
        steps = torch.arange(len(positions))
        late = steps[first:]
        returned = walk.returns[first:]
        if returned.sum() < FEWEST_RETURNS:
            returned = torch.ones_like(returned)

        def judged(gap: int, at: torch.Tensor) -> float:
            open_to = late[:, None] - steps >= gap
            predicted = self.read(positions[late], positions, walk.smells, open_to)
            return r_squared(predicted[at], walk.smells[late][at])

        gaps = range(SHORTEST, LONGEST + 1, SHORTEST)
        held_out = float(np.mean([judged(gap, returned) for gap in gaps]))
        return held_out, judged(1, torch.ones_like(returned))

    @torch.no_grad()
    def at_ends(self, walk: Walked, life: Lived) -> torch.Tensor:
        """Predict smells at the ends of ways off a walk, all of which is remembered."""
        positions = self.remembered(walk)
        ways = life.ways
        longest = max(map(len, ways.actions))
        padded = torch.zeros(len(ways.starts), longest, dtype=torch.int64)
        for row, way in zip(padded, ways.actions, strict=True):
            row[: len(way)] = torch.from_numpy(way)
        led = self.lead(padded, positions[torch.from_numpy(ways.starts) - 1])
        ends = torch.tensor([len(way) - 1 for way in ways.actions])
        return self.read(led[torch.arange(len(ends)), ends], positions, walk.smells)
