"""The tree world as an environment of Gymnasium, ``TreeWorld-v0``.

Importing this module registers it. Gymnasium is not installed with the library: ``pip install
"tree-world[rl]"`` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tree_world.checks import whole_number
from tree_world.simulation.config import TreeWorldConfig
from tree_world.simulation.lives import NUM_ACTIONS, Lives, Senses
from tree_world.simulation.picture import picture_of
from tree_world.simulation.world import TreeWorld

__all__ = ["TreeWorldEnv", "TreeWorldVectorEnv"]

try:
    import gymnasium
    from gymnasium import spaces
    from gymnasium.utils import seeding
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"tree_world.simulation.environment needs Gymnasium, and there is no {error.name}. Install "
        'it: pip install "tree-world[rl]", or pip install gymnasium.',
        name=error.name,
    ) from error

ID = "TreeWorld-v0"
"""By which `gymnasium.make` knows the environment."""

FIRST_DRAWN_SEED = 10_000
"""Worlds of lower seeds are never drawn by chance, and so are free to judge with."""

Observation = dict[str, np.ndarray]


class TreeWorldEnv(gymnasium.Env[Observation, np.ndarray]):
    r"""Live among fruit trees that smell like words, and stay alive.

    **The world.** Some trees bear food, some poison; which is which, and how much they bear, can be
    smelled and seen. An agent eats what is within its reach, whether it wants to or not, one fruit
    a step. A tree that was eaten from is full again a thousand steps after. Moving and resting cost
    health. It is the world of `TreeWorld`, to the last bit: in each step trees regrow, the agent
    perceives, eats, decides, moves. So an observation is what a model is given in `TreeWorld`, the
    meal of the same step included; an action is what it would answer.

    **Observations.** A `gymnasium.spaces.Dict`, of single precision, with finite bounds.
    What lies outside of them is clipped.

    ==========  ===========  ===================================================================
    Key         Shape        What it says
    ==========  ===========  ===================================================================
    smell       (width,)     The scent at the agent's place.
    sight       (width,)     What the tree is like that is seen, the nearest in the cone of
                             sight; zeros where none is.
    sees        (1,)         Whether one is: 0 or 1.
    distance    (1,)         How far it is, as a share of the reach of the eyes; 1 where none is.
    health      (1,)         Health as a share of the greatest.
    heading     (2,)         Where the agent looks: a unit vector, east and north.
    place       (2,)         Where it is, east and north of where it began, in units of 5 standard
                             deviations of where trees stand (1000 m by default). At the bound,
                             from −1 to 1, the place is clipped: the world goes on, but how far
                             beyond the bound it is, is not told.
    meal        (1,)         What was eaten in this step, from poison, −1, to food, 1 (for one
                             whose worth is the greater); 0 for nothing.
    ==========  ===========  ===================================================================

    Scents have three numbers with ``senses="scores"``: how much they hold of poison, of food, of
    emptiness (`lives.word_scores`), or the products with `scores`. With ``senses="embeddings"``
    they have the width of the language model, 384. An observation holds no tree, no kind, and no
    count of fruit, other than by scents. The dead smell and see nothing.

    **Actions.** ``MultiDiscrete([9, 8])``: what to do, and where to look. The first number is 0 to
    rest, or 1 to 8 for a step of the greatest length, to the east, the north-east, and so on
    against the clock. The second is the direction of the new heading, 0 to 7 likewise. A step and
    a look are independent of each other.

    **Reward.** The change of health, in health points, from the observation that was acted on to
    the next one: what the action cost, and what was eaten then. With a discount γ < 1 the rewards
    to come add up to (1 − γ) times the discounted sum of all healths to come, zero after death,
    less the health that there is: whoever lives well and long gets most, and each meal counts when
    it is eaten. (Without a discount all lives that end in death are worth the same.)

    **Start.** A life begins at the origin, in full health and with full trees, looking anywhere.

    **End.** `terminated` when health is zero; `truncated` when `max_steps` actions were taken.

    **Info.** ``steps`` and ``meals`` so far, ``poisonous_meals`` among them, and ``end``: how the
    life has ended, "starved", "poisoned" (by a last meal), "max_steps", or "" while it lasts.

    **Versions.** v0: the first.

    Parameters
    ----------
    config : TreeWorldConfig, optional
        What worlds are drawn from, of two dimensions; the default one by default.
    senses : {"scores", "embeddings"}, default="scores"
        How scents are told.
    scores : array_like of shape (num_scores, embed_dim), optional
        Directions that scents are multiplied by, such as the embeddings of a `DriveClassifier`,
        with ``senses="scores"``. By default those of the words themselves.
    max_steps : int, default=5000
        After so many actions a life is truncated.
    render_mode : {None, "rgb_array"}
        Whether `render` draws, an array of shape (500, 500, 3).

    Raises
    ------
    ValueError
        If an argument is none of these.
    ModuleNotFoundError
        If Gymnasium is not installed, when this module is imported.

    Examples
    --------
    >>> import gymnasium
    >>> import tree_world.simulation.environment
    >>> env = gymnasium.make("TreeWorld-v0", max_steps=100)
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step([0, 3])  # rest, look north-west
    >>> observation["health"], reward, info["meals"]
    (array([0.999], dtype=float32), -1.0, 0)
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        config: TreeWorldConfig | None = None,
        *,
        senses: Senses = "scores",
        scores: Any = None,
        max_steps: int = 5000,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode = _as_render_mode(render_mode)
        self._lives = _lives(config, senses, scores, max_steps)
        self.observation_space = _observation_space(self._lives)
        self.action_space = spaces.MultiDiscrete([*NUM_ACTIONS])
        self._is_on = False

    @property
    def config(self) -> TreeWorldConfig:
        """What worlds are drawn from."""
        return self._lives.config

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a life.

        Parameters
        ----------
        seed : int, optional
            The life is that in ``TreeWorld.random_from_config(config, seed)``. Without a seed, one
            from `FIRST_DRAWN_SEED` on is drawn by the environment's own generator.
        options : dict, optional
            ``{"world": world}`` for a life in a world of the same configuration, from its present
            state on; it stays as it is.

        Returns
        -------
        observation, info : dict
        """
        super().reset(seed=seed)
        world = _option("world", options)
        if world is None:
            world = _drawn(self.config, seed, self.np_random)
        self._lives.begin([world])
        self._is_on = True
        return self._told()

    def step(
        self, action: np.ndarray | Sequence[int]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act, and perceive what comes of it.

        Parameters
        ----------
        action : array_like of shape (2,), int
            What to do, from 0 to 8, and where to look, from 0 to 7.

        Returns
        -------
        observation : dict
        reward : float
        terminated, truncated : bool
        info : dict

        Raises
        ------
        gymnasium.error.ResetNeeded
            If no life has begun, or it has ended.
        ValueError
            If there is no such action.
        """
        if not self._is_on:
            raise gymnasium.error.ResetNeeded("there is no life to go on with. Call reset() first.")
        rewards, terminated, truncated = self._lives.step(np.asarray(action)[None])
        observation, info = self._told()
        self._is_on = not (terminated[0] or truncated[0])
        return observation, float(rewards[0]), bool(terminated[0]), bool(truncated[0]), info

    def _told(self) -> tuple[Observation, dict[str, Any]]:
        observation = {name: part[0] for name, part in self._lives.observe().items()}
        return observation, {name: part[0] for name, part in _plain(self._lives.infos()).items()}

    def render(self) -> np.ndarray | None:
        """Draw the world, if the environment was made to; see `picture.picture_of`."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() draws nothing: make it with render_mode='rgb_array'.")
            return None
        if not hasattr(self._lives, "worlds"):
            raise gymnasium.error.ResetNeeded("there is no world to draw. Call reset() first.")
        return picture_of(self._lives.worlds, 0, _half_width(self.config))


class TreeWorldVectorEnv(VectorEnv[Observation, np.ndarray, np.ndarray]):
    """Many lives side by side, in compiled code: `TreeWorldEnv`, as `Worlds` runs them.

    Each life is, to the last bit, the one that a `TreeWorldEnv` of the same seed and actions gives.
    A life that has ended is followed by another one, in another world. When, is said by
    `autoreset_mode`, as for `gymnasium.vector.SyncVectorEnv`:

    - ``NEXT_STEP``: in the next step, whose action is not heeded, whose reward is 0, and whose
      observation is the first of the next life.
    - ``SAME_STEP``: at once. The step's observation and info are the first of the next life, and
      the last of the one that ended are ``final_obs`` and ``final_info`` of the info.

    Each life has its own generator, from which the seeds of the worlds that follow are drawn.

    Parameters
    ----------
    num_envs : int, default=1
        How many live side by side.
    config, senses, scores, max_steps, render_mode
        As for `TreeWorldEnv`.
    autoreset_mode : gymnasium.vector.AutoresetMode or str, default="NextStep"
        ``NEXT_STEP`` or ``SAME_STEP``.
    threads : int, default=1
        How many threads share the worlds. It makes no difference to what is computed.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Examples
    --------
    >>> import gymnasium
    >>> import tree_world.simulation.environment
    >>> envs = gymnasium.make_vec("TreeWorld-v0", 3, vectorization_mode="vector_entry_point")
    >>> observations, infos = envs.reset(seed=0)  # worlds 0, 1 and 2
    >>> observations["smell"].shape
    (3, 3)
    """

    metadata: dict[str, Any] = TreeWorldEnv.metadata  # each has a copy of its own

    def __init__(
        self,
        num_envs: int = 1,
        config: TreeWorldConfig | None = None,
        *,
        senses: Senses = "scores",
        scores: Any = None,
        max_steps: int = 5000,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int = 1,
    ) -> None:
        super().__init__()
        self.num_envs = whole_number("num_envs", num_envs, least=1)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if self.autoreset_mode is AutoresetMode.DISABLED:
            raise ValueError("a life that has ended must be followed by another: name another mode")
        self.metadata = self.metadata | {"autoreset_mode": self.autoreset_mode}
        self.render_mode = _as_render_mode(render_mode)
        self._lives = _lives(config, senses, scores, max_steps, threads)
        self.single_observation_space = _observation_space(self._lives)
        self.single_action_space = spaces.MultiDiscrete([*NUM_ACTIONS])
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._generators = [seeding.np_random()[0] for _ in range(self.num_envs)]
        self._has_ended: np.ndarray | None = None  # None before the first reset

    @property
    def config(self) -> TreeWorldConfig:
        """What worlds are drawn from."""
        return self._lives.config

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,  # as that of SyncVectorEnv
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin all lives.

        Parameters
        ----------
        seed : int or sequence of int, optional
            That of the first world, which those of the others follow, or one a world.
        options : dict, optional
            ``{"worlds": worlds}`` for lives in these, one each, as for `TreeWorldEnv`.

        Returns
        -------
        observations, infos : dict

        Raises
        ------
        ValueError
            If there are more or fewer seeds, or worlds, than lives.
        """
        seeds = [seed] * self.num_envs if seed is None else seed
        if isinstance(seeds, (int, np.integer)):
            seeds = [int(seeds) + index for index in range(self.num_envs)]
        worlds = _option("worlds", options)
        for name, given in (("seeds", seeds), ("worlds", worlds)):
            if given is not None and len(given) != self.num_envs:
                raise ValueError(f"{len(given)} {name} were given for {self.num_envs} lives.")
        for index, one in enumerate(seeds):
            if one is not None:
                self._generators[index] = seeding.np_random(one)[0]
        if worlds is None:
            worlds = [
                _drawn(self.config, one, generator)
                for one, generator in zip(seeds, self._generators, strict=True)
            ]
        self._lives.begin(worlds)
        self._has_ended = np.zeros(self.num_envs, dtype=np.bool_)
        return self._lives.observe(), self._masked(self._lives.infos())

    def step(
        self, actions: np.ndarray
    ) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Act in all lives, and perceive what comes of it.

        Parameters
        ----------
        actions : numpy.ndarray of shape (num_envs, 2), int

        Returns
        -------
        observations : dict
        rewards : numpy.ndarray of shape (num_envs,), float64
        terminations, truncations : numpy.ndarray of shape (num_envs,), bool
        infos : dict

        Raises
        ------
        gymnasium.error.ResetNeeded
            If no life has begun.
        ValueError
            If there is no such action.
        """
        if self._has_ended is None:
            raise gymnasium.error.ResetNeeded("no life has begun. Call reset() first.")
        lives, infos = self._lives, dict[str, Any]()
        rewards, terminated, truncated = lives.step(actions)
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            anew = self._has_ended
            rewards[anew], terminated[anew], truncated[anew] = 0.0, False, False
            self._has_ended = terminated | truncated
        else:
            anew = terminated | truncated
            if anew.any():
                infos = self._last_of(anew)
        for index in np.flatnonzero(anew).tolist():
            lives.renew(index, _drawn(self.config, None, self._generators[index]))
        infos |= self._masked(lives.infos())
        return lives.observe(), rewards, terminated, truncated, infos

    def _last_of(self, ended: np.ndarray) -> dict[str, Any]:
        """Tell the last observations and infos of lives that have ended."""
        observations = self._lives.observe()
        last = np.full(self.num_envs, None, dtype=object)
        for index in np.flatnonzero(ended):
            last[index] = {name: part[index].copy() for name, part in observations.items()}
        infos = self._lives.infos()
        for part in infos.values():
            part[~ended] = None if part.dtype == object else 0
        return {
            "final_obs": last,
            "_final_obs": ended.copy(),
            "final_info": self._masked(infos, ended),
            "_final_info": ended.copy(),
        }

    def _masked(
        self, infos: dict[str, np.ndarray], which: np.ndarray | None = None
    ) -> dict[str, Any]:
        """Say beside each info for whom it is, as Gymnasium does."""
        whose = np.ones(self.num_envs, dtype=np.bool_) if which is None else which
        return infos | {f"_{name}": whose.copy() for name in infos}

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Draw all worlds, if the environment was made to; see `picture.picture_of`."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() draws nothing: make it with render_mode='rgb_array'.")
            return None
        if self._has_ended is None:
            raise gymnasium.error.ResetNeeded("there is no world to draw. Call reset() first.")
        width = _half_width(self.config)
        return tuple(picture_of(self._lives.worlds, index, width) for index in range(self.num_envs))


def _as_render_mode(mode: str | None) -> str | None:
    if mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode must be None or 'rgb_array', not {mode!r}.")
    return mode


def _lives(
    config: TreeWorldConfig | None, senses: Senses, scores: Any, max_steps: int, threads: int = 1
) -> Lives:
    return Lives(
        config or TreeWorldConfig.model_validate({}),
        senses=senses,
        scores=scores,
        max_steps=whole_number("max_steps", max_steps, least=1),
        threads=threads,
    )


def _observation_space(lives: Lives) -> Any:
    boxes = {name: spaces.Box(*bounds, dtype=np.float32) for name, bounds in lives.bounds.items()}
    return spaces.Dict({**boxes, "sees": spaces.MultiBinary(1)})


def _drawn(config: TreeWorldConfig, seed: int | None, generator: np.random.Generator) -> TreeWorld:
    if seed is None:
        seed = int(generator.integers(FIRST_DRAWN_SEED, 2**31))
    return TreeWorld.random_from_config(config, seed)


def _option(name: str, options: dict[str, Any] | None) -> Any:
    unknown = sorted(set(options or {}) - {name})
    if unknown:
        raise ValueError(f"there is one option, {name!r}, but {unknown} were given.")
    return (options or {}).get(name)


def _half_width(config: TreeWorldConfig) -> float:
    """Tell how far a picture reaches: two and a half standard deviations of the trees."""
    return 2.5 * config.tree_spacing * config.dim


def _plain(infos: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    return {name: part.tolist() for name, part in infos.items()}


gymnasium.register(
    id=ID,
    entry_point=f"{__name__}:TreeWorldEnv",
    vector_entry_point=f"{__name__}:TreeWorldVectorEnv",
)
