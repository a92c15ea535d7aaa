"""Learners of Stable-Baselines3 in many tree worlds at once, and how well they live.

Imported when something is learned, as only ``make setup`` installs what it needs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from tree_world.simulation.environment import TreeWorldVectorEnv

ALGORITHMS = {"PPO": PPO, "RecurrentPPO": RecurrentPPO}


def flat(observations: dict[str, np.ndarray]) -> np.ndarray:
    """Put the parts of observations beside each other, in the order of their names."""
    parts = [observations[name] for name in sorted(observations)]
    return np.concatenate(parts, axis=-1, dtype=np.float32)


class SideBySide(VecEnv):
    """`TreeWorldVectorEnv` as Stable-Baselines3 knows many environments.

    Observations are one array each. A life that ends is followed by the next one at once.

    Parameters
    ----------
    envs : TreeWorldVectorEnv
        Whose mode is ``SAME_STEP``.
    unit : float
        What rewards are divided by, in health points.
    """

    def __init__(self, envs: TreeWorldVectorEnv, unit: float) -> None:
        if envs.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError("a life must be followed by the next one at once: SAME_STEP")
        self.envs, self.unit = envs, unit
        box: Any = gymnasium.spaces.flatten_space(envs.single_observation_space)
        low, high = np.float32(box.low), np.float32(box.high)
        space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        super().__init__(envs.num_envs, space, envs.single_action_space)
        self.first_seed: int | None = None
        self._actions = np.zeros((envs.num_envs, 2), dtype=np.int64)

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Say from which worlds the next `reset` begins."""
        self.first_seed = seed
        return [None if seed is None else seed + index for index in range(self.num_envs)]

    def reset(self) -> np.ndarray:
        """Begin all lives."""
        observations, _ = self.envs.reset(seed=self.first_seed)
        self.first_seed = None
        return flat(observations)

    def step_async(self, actions: np.ndarray) -> None:
        """Note what is to be done."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Do it."""
        observations, rewards, terminated, truncated, told = self.envs.step(self._actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = terminated | truncated
        for index in np.flatnonzero(ended).tolist():
            infos[index] = {
                "terminal_observation": flat(told["final_obs"][index]),
                "TimeLimit.truncated": bool(truncated[index]),
            }
        return flat(observations), (rewards / self.unit).astype(np.float32), ended, infos

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Give what all have alike."""
        return [getattr(self.envs, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: worlds side by side are no objects of their own."""
        raise NotImplementedError("worlds side by side have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> Any:
        """Refuse, likewise."""
        raise NotImplementedError("worlds side by side have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Say that none is."""
        return [False] * len(list(self._get_indices(indices)))


@dataclass(frozen=True)
class Budget:
    """When to stop, and how often to look.

    Attributes
    ----------
    seconds : float
        Of a processor, for learning; looking in between is not counted.
    steps : int
        In all worlds together; no more than this.
    looks : int
        How often the learner lives in the validation worlds, evenly over what seconds there are,
        beside the first time, before it has learned anything.
    """

    seconds: float
    steps: int
    looks: int


class Watch(BaseCallback):
    """Looks how well a learner lives, now and then, and ends its learning in time."""

    def __init__(self, budget: Budget, look: Any) -> None:
        super().__init__()
        self.budget, self.look = budget, look
        self.curve: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._since = 0.0

    def _on_training_start(self) -> None:
        self._look()

    def _on_rollout_start(self) -> None:
        # Here, weights have just been changed.
        if self._learned() >= len(self.curve) * self.budget.seconds / self.budget.looks:
            self._look()

    def _on_step(self) -> bool:
        return self._learned() < self.budget.seconds

    def _on_training_end(self) -> None:
        self._look()

    def _learned(self) -> float:
        return self.seconds + time.process_time() - self._since if self._since else 0.0

    def _look(self) -> None:
        self.seconds = self._learned()
        found = {"steps": self.num_timesteps, "seconds": self.seconds}
        # What is drawn for a look takes nothing from what learning draws.
        with torch.random.fork_rng():
            self.curve.append({**found, "lives": self.look(self.model)})
        self._since = time.process_time()


def learn(
    algorithm: str,
    envs: TreeWorldVectorEnv,
    settings: dict[str, Any],
    budget: Budget,
    look: Any,
    *,
    unit: float,
    seed: int,
    first_world: int,
) -> tuple[Any, Watch]:
    """Let a learner learn.

    Parameters
    ----------
    algorithm : str
        One of `ALGORITHMS`.
    envs : TreeWorldVectorEnv
        Where it lives.
    settings : dict
        As the algorithm takes them.
    budget : Budget
    look : callable
        Of the learner: what is noted of it now and then.
    unit : float
        What rewards are divided by.
    seed, first_world : int
        Of the learner, and of the first worlds; those that follow are drawn.

    Returns
    -------
    model, watch
        The learner, and what was noted.
    """
    set_random_seed(seed)
    worlds = SideBySide(envs, unit)
    model = ALGORITHMS[algorithm]("MlpLstmPolicy" if algorithm == "RecurrentPPO" else "MlpPolicy",
                                  worlds, seed=seed, device="cpu", **settings)  # fmt: skip
    worlds.seed(first_world)  # after the model, which sets the seed of its worlds, too
    watch = Watch(budget, look)
    model.learn(budget.steps, callback=watch)
    return model, watch


def live(
    model: Any,
    envs: TreeWorldVectorEnv,
    worlds: Sequence[int],
    *,
    greedy: bool,
    seed: int = 0,
) -> dict[str, list[Any]]:
    """Let a learner live a life in each of some worlds, and learn nothing.

    Parameters
    ----------
    model : PPO or RecurrentPPO
    envs : TreeWorldVectorEnv
        With as many lives as there are worlds.
    worlds : sequence of int
        Their seeds.
    greedy : bool
        Whether it does what it thinks best, or draws what it does.
    seed : int, default=0
        Of what is drawn.

    Returns
    -------
    dict
        For each world: the ``steps`` that were lived, whether it ``died``, and how many ``meals``
        and ``poisonous_meals`` it had.
    """
    torch.manual_seed(seed)
    observations, _ = envs.reset(seed=list(worlds))
    number = len(worlds)
    state, starts = None, np.ones(number, dtype=bool)
    names = ("steps", "meals", "poisonous_meals")
    found: dict[str, list[Any]] = {name: [0] * number for name in (*names, "died")}
    on = np.ones(number, dtype=bool)
    while on.any():
        actions, state = model.predict(
            flat(observations), state=state, episode_start=starts, deterministic=greedy
        )
        observations, _, terminated, truncated, told = envs.step(actions)
        starts = terminated | truncated
        last = told.get("final_info", {})
        for index in np.flatnonzero(starts & on).tolist():
            found["died"][index] = bool(terminated[index])
            for name in names:
                found[name][index] = int(last[name][index])
        on &= ~starts
    return found
