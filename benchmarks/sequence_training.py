"""How networks that learn sequences are trained: batches, budgets, and which weights are kept.

Each is trained for what it is asked later: smells 8 to 40 actions after the last that it was told.
Adam, gradients clipped to a length of 1, a warm-up; with a budget of seconds alone, the rate falls
along half a cosine to zero, and with patience, it is halved where held-out steps are told no
better, until nothing helps any more.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from benchmarks.sequence_models import (
    LONGEST,
    SHORTEST,
    PositionMemory,
    Recurrent,
    Walked,
    first_skews,
)

WARM_UP = 50  # updates
CLIPPED = 1.0
HALVINGS = 2  # of the rate, after which nothing helps any more
SHOWN = (5, 60)  # steps for which smells are told between two stretches without
WEIGHT_SHOWN = 0.3  # of an error one step ahead, while smells are told
SHARPNESS_RATE = 0.01


@dataclass(frozen=True)
class RecurrentSetting:
    """How a GRU or an LSTM is made and trained; see `Recurrent`.

    Attributes
    ----------
    kind : {"GRU", "LSTM"}
    size : int
    rate : float
        At most, of learning.
    dropout : float, default=0.0
    weight_decay : float, default=0.01
        Of AdamW.
    noise : float, default=0.0
        Standard deviation of what is added to each number of smells that are told in training.
    context : int, default=100
        Steps.
    batch, length : int
        Stretches of an update, and their steps.
    """

    kind: str
    size: int
    rate: float
    dropout: float = 0.0
    weight_decay: float = 0.01
    noise: float = 0.0
    context: int = 100
    batch: int = 32
    length: int = 150

    def make(self, width: int, seed: int) -> Recurrent:
        """Make a network that has learned nothing."""
        torch.manual_seed(seed)
        return Recurrent(self.kind, width, self.size, self.dropout, self.context)

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser."""
        return torch.optim.AdamW(network.parameters(), self.rate, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class PositionSetting:
    """How TEM-t is made and trained; see `PositionMemory`.

    Attributes
    ----------
    kind : {"rotation", "tanh"}
    size : int
    rate : float
        At most, of learning.
    angle, sharpness : float
        At first.
    start : {"learned", "random"}
    batch, length : int
        Stretches of an update, and their steps.
    queries : int, default=400
        So many steps of a stretch are asked for.
    least_gap : int, default=8
        What is fewer steps before or after than a gap that is drawn for each of them, between this
        and 40 and evenly in its logarithm, is closed to it.
    both_ways : bool, default=True
        Whether in training what comes later is open, too.
    commuting : bool, default=False
        Whether matrices of all actions commute at first.
    """

    kind: str
    size: int
    rate: float
    angle: float
    sharpness: float
    start: str
    batch: int
    length: int
    queries: int = 400
    least_gap: int = SHORTEST
    both_ways: bool = True
    commuting: bool = False

    def make(self, width: int, seed: int) -> PositionMemory:
        """Make a network that has learned nothing."""
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        return PositionMemory(
            self.kind,
            self.size,
            first_skews(self.size, self.angle, self.commuting, generator),
            self.sharpness,
            self.start,
            generator,
        )

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser."""
        assert isinstance(network, PositionMemory)
        sharpness = network.log_sharpness
        others = [one for one in network.parameters() if one is not sharpness and one.requires_grad]
        return torch.optim.Adam(
            [{"params": others, "lr": self.rate}, {"params": [sharpness], "lr": SHARPNESS_RATE}]
        )


Setting: TypeAlias = RecurrentSetting | PositionSetting
Network: TypeAlias = Recurrent | PositionMemory


@dataclass(frozen=True)
class Budget:
    """When to stop.

    Attributes
    ----------
    seconds : float
        Of a processor, for training; to look at held-out steps costs nothing.
    patience : int, optional
        So many looks without a better one, and the rate is halved. By default it falls by itself.
    look_every : float, default=5.0
        Seconds.
    updates : int, optional
        At most so many.
    """

    seconds: float
    patience: int | None = None
    look_every: float = 5.0
    updates: int | None = None


@dataclass(frozen=True)
class Trained:
    """A network, and how it was trained.

    Attributes
    ----------
    network : Recurrent or PositionMemory
        With weights that tell held-out steps best.
    last : Recurrent or PositionMemory
        With those at the end.
    told : dict
        CPU ``seconds``, number of ``updates``, and after how many the weights were ``kept_at``;
        R² ``held_out`` and ``one`` step ahead with these.
    """

    network: Network
    last: Network
    told: dict[str, Any]


def train(
    setting: Setting,
    walks: Sequence[Walked],
    until: int,
    held_out: Sequence[tuple[Walked, int]],
    budget: Budget,
    seed: int,
) -> Trained:
    """Train a network.

    Parameters
    ----------
    setting : RecurrentSetting or PositionSetting
    walks : sequence of Walked
        It is trained on these.
    until : int
        It is trained on their steps before this one.
    held_out : sequence of (Walked, int)
        Walks, and from which step on they are held out.
    budget : Budget
    seed : int
        Of all that is drawn.

    Returns
    -------
    Trained
    """
    network = setting.make(walks[0].smells.shape[1], seed)
    optimiser = setting.optimiser(network)
    rates = [group["lr"] for group in optimiser.param_groups]
    random = np.random.default_rng(seed)
    used, updates, next_look = 0.0, 0, budget.look_every
    best, best_at, best_weights = (-math.inf, -math.inf), 0, copy.deepcopy(network.state_dict())
    factor, looks_since, halvings = 1.0, 0, 0
    while used < budget.seconds and halvings <= HALVINGS:
        started = time.process_time()
        if budget.patience is None:
            factor = 0.5 * (1 + math.cos(math.pi * used / budget.seconds))
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * factor * min(1.0, (updates + 1) / WARM_UP)
        loss = _loss(setting, network, walks, until, random)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIPPED)
        optimiser.step()
        used += time.process_time() - started
        updates += 1
        last = updates == budget.updates or used >= budget.seconds
        if used >= next_look or last:
            next_look = used + budget.look_every
            looked = _looked(network, held_out)
            if looked[0] > best[0]:
                best, best_at, looks_since = looked, updates, 0
                best_weights = copy.deepcopy(network.state_dict())
            else:
                looks_since += 1
            if budget.patience is not None and looks_since >= budget.patience:
                factor, looks_since, halvings = factor / 2, 0, halvings + 1
        if last:
            break
    kept = copy.deepcopy(network)
    kept.load_state_dict(best_weights)
    told = {
        "seconds": used,
        "updates": updates,
        "kept_at": best_at,
        "held_out": best[0],
        "one": best[1],
        "setting": asdict(setting),
    }
    return Trained(kept.eval(), network.eval(), told)


def _looked(network: Network, held_out: Sequence[tuple[Walked, int]]) -> tuple[float, float]:
    network.eval()
    judged = np.mean([network.ahead(walk, first) for walk, first in held_out], axis=0)
    network.train()
    return float(judged[0]), float(judged[1])


def _loss(
    setting: Setting,
    network: Network,
    walks: Sequence[Walked],
    until: int,
    random: np.random.Generator,
) -> torch.Tensor:
    number, length = setting.batch, min(setting.length, until - 1)
    which = random.integers(len(walks), size=number)
    starts = random.integers(1, until - length + 1, size=number)
    pairs = [(walks[one], start) for one, start in zip(which, starts.tolist(), strict=True)]
    actions = torch.stack([walk.actions[start : start + length] for walk, start in pairs])
    smells = torch.stack([walk.smells[start - 1 : start + length] for walk, start in pairs])
    if isinstance(setting, RecurrentSetting):
        assert isinstance(network, Recurrent)
        told = told_in_stretches(number, length, random)
        heard = smells[:, :-1] + setting.noise * torch.randn(smells[:, :-1].shape)
        errors = (network(actions, heard, told) - smells[:, 1:]).square().sum(dim=-1)
        weights = torch.where(told > 0, WEIGHT_SHOWN, 1.0)
    else:
        assert isinstance(network, PositionMemory)
        positions = network.lead(actions, network.begin(number))
        asked = torch.from_numpy(random.permutation(length)[: setting.queries])
        low, high = math.log(setting.least_gap), math.log(LONGEST + 1)
        drawn = np.exp(random.uniform(low, high, (len(asked), 1)))
        gaps = torch.from_numpy(drawn.astype(np.int64))
        before = asked[:, None] - torch.arange(length)
        open_to = (before.abs() if setting.both_ways else before) >= gaps
        predicted = network.read(positions[:, asked], positions, smells[:, 1:], open_to)
        errors = (predicted - smells[:, 1:][:, asked]).square().sum(dim=-1)
        weights = open_to.any(dim=-1).to(errors.dtype).expand(number, -1)
    loss: torch.Tensor = (errors * weights).sum() / weights.sum()
    return loss


def told_in_stretches(number: int, length: int, random: np.random.Generator) -> torch.Tensor:
    """Draw at which steps the smell before them is told.

    Returns
    -------
    torch.Tensor of shape (number, length)
        1 for 5 to 59 steps, then for one more, after which 7 to 39 without follow, and so on: the
        last of these is 8 to 40 actions after the last smell.
    """
    told = np.ones((number, length), np.float32)
    for row in told:
        step = int(random.integers(*SHOWN))
        while step < length:
            without = int(random.integers(SHORTEST, LONGEST + 1))
            row[step + 1 : step + without] = 0
            step += without + int(random.integers(*SHOWN))
    return torch.from_numpy(told)
