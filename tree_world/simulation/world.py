"""The world: trees, the agent among them, and time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from tree_world.checks import (
    SeedLike,
    as_points,
    as_unit_vectors,
    make_generator,
    whole_number,
)
from tree_world.simulation import stepping
from tree_world.simulation.body import Agent, AgentModel, Body, Percept, Sight, acting
from tree_world.simulation.choices import (
    are_own_eyes,
    choices_of,
    is_own_nose,
    own_walker,
    write_sight,
    write_smell,
    write_walker,
)
from tree_world.simulation.config import TreeWorldConfig
from tree_world.simulation.recording import Recorder, Recording, recording_of
from tree_world.simulation.sensors import DirectionalSensor, Sensor, SimpleSensor
from tree_world.simulation.trees import Tree, Trees, draw_trees
from tree_world.simulation.walkers import Exploring, Resting

_NOTHING = np.empty(0, dtype=np.float32)  # where nobody smells
_STEPS_AT_ONCE = 4096


class WorldArrays(NamedTuple):
    """A world as arrays, in the order in which `stepping` takes them, which says more of each."""

    words: np.ndarray
    time: np.ndarray
    fruit_counts: np.ndarray
    regrows_at: np.ndarray
    fruit_values: np.ndarray
    locations: np.ndarray
    sources: np.ndarray
    position: np.ndarray
    heading: np.ndarray
    health: np.ndarray
    choices: np.ndarray


class TreeWorld:
    """Trees with scents and fruit, and at most one agent, in steps of discrete time.

    In each step the trees whose time has come regrow their fruit; then the agent smells and looks,
    eats one fruit if a bearing tree is within reach, chooses, and moves or rests. The steps of the
    walkers (`Exploring`, `Resting`) run in compiled code.

    Parameters
    ----------
    config : TreeWorldConfig
        The choices; a copy is kept, which cannot be changed, so that a world has one of them.
    locations : array_like of shape (num_trees, dim)
        Where the trees stand, in metres.
    kinds : sequence of str
        The kind of each tree, one of the kinds of `config`.
    tree_ids : sequence of str
        The name of each tree, all different.
    model : AgentModel, optional
        Decides what the agent does; `Exploring` by default.
    sensor : Sensor, optional
        The eyes of the agent; a `DirectionalSensor` by default.
    nose : Sensor, optional
        What the agent smells with; a `SimpleSensor` by default.
    seed : int or torch.Generator, default=0
        Seed of the agent's life: its first heading and all that its model draws. Of a generator
        one number is drawn, which the life starts from, so that what is drawn from it later is
        independent of the life.

    Attributes
    ----------
    config : TreeWorldConfig
    trees : Trees
        A sequence of `Tree`, which holds all that is known of the trees and their fruit.
    locations : torch.Tensor of shape (num_trees, dim)
        In metres.
    embeddings : torch.Tensor of shape (num_trees, embed_dim)
    is_poisonous : torch.Tensor of shape (num_trees,), bool
    fruit_counts : torch.Tensor of shape (num_trees,), int64
        Fruits that each tree bears now.
    tree_name_embeddings : dict of str to torch.Tensor of shape (embed_dim,)
        Unit embedding of every kind in `config`, in the world or not.
    agent : Agent
    time : int
        Steps taken since the last reset.

    Raises
    ------
    ValueError
        If lengths disagree, a kind is unknown, a name occurs twice, or a place is not finite.

    Examples
    --------
    >>> from tree_world.simulation import TreeWorld, TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> recording = world.run(100)
    >>> recording.positions.shape
    (101, 2)
    """

    @torch.inference_mode(False)  # what a world keeps outlives the mode in which it was made
    def __init__(
        self,
        config: TreeWorldConfig,
        locations: Any,
        kinds: Sequence[str],
        tree_ids: Sequence[str],
        *,
        model: AgentModel | None = None,
        sensor: Sensor | None = None,
        nose: Sensor | None = None,
        seed: SeedLike = 0,
    ) -> None:
        self.trees = Trees(config, locations, kinds, tree_ids)
        config = self.config
        self.agent = Agent(
            model=model or Exploring(config.max_step_length),
            sensor=sensor or DirectionalSensor.from_config(config),
            position=torch.zeros(self.dim, dtype=torch.float32),
            heading=torch.zeros(self.dim, dtype=torch.float32),
            health=config.max_health,
            nose=nose or SimpleSensor.from_config(config),
        )
        self._choices = choices_of(config)
        self._time = np.zeros(1, dtype=np.int64)
        self._life_at_start = _own_generator(seed).get_state()
        # The stream of random numbers, as `stream` reads it; a generator for models has its state.
        self._words = self._life_at_start.numpy().view(np.uint64).copy()
        self._for_models = torch.Generator()
        self.reset()

    @classmethod
    def random_from_config(
        cls,
        config: TreeWorldConfig,
        seed: SeedLike = 0,
        *,
        model: AgentModel | None = None,
        sensor: Sensor | None = None,
        nose: Sensor | None = None,
    ) -> Self:
        """Draw a world at random.

        Parameters
        ----------
        config : TreeWorldConfig
            What to draw from.
        seed : int or torch.Generator, default=0
            The same seed gives the same world and the same life in it. Drawing the trees comes
            first, so worlds of one seed have the same trees whatever the model and the sensor. A
            generator is advanced, so the next world that is drawn from it is another one.
        model, sensor, nose : optional
            As for `TreeWorld`.

        Returns
        -------
        TreeWorld
        """
        generator = make_generator(seed)
        drawn = draw_trees(config, generator)
        after_the_trees = generator.get_state()
        world = cls(config, *drawn, model=model, sensor=sensor, nose=nose, seed=generator)
        if not isinstance(seed, torch.Generator):
            # Nobody else draws from this generator, so the life goes on where the trees ended.
            world._life_at_start = after_the_trees
            world.reset()
        return world

    # --- trees and fruit -------------------------------------------------------------------------

    @property
    def config(self) -> TreeWorldConfig:
        """What the world was made with. It cannot be changed: make a new world."""
        return self.trees.config

    @property
    def dim(self) -> int:
        """Dimension of the world."""
        return self.trees.dim

    @property
    def locations(self) -> torch.Tensor:
        """Where the trees stand, in metres, of shape (num_trees, dim)."""
        return self.trees.locations

    @property
    def embeddings(self) -> torch.Tensor:
        """What they smell of, of shape (num_trees, embed_dim)."""
        return self.trees.embeddings

    @embeddings.setter
    def embeddings(self, vectors: torch.Tensor) -> None:
        self.trees.embeddings = vectors

    @property
    def is_poisonous(self) -> torch.Tensor:
        """Whether their fruit harms, of shape (num_trees,)."""
        return self.trees.is_poisonous

    @property
    def fruit_counts(self) -> torch.Tensor:
        """Fruits that each tree bears now, of shape (num_trees,), int64. May be written to."""
        return self.trees.fruit_counts

    @fruit_counts.setter
    def fruit_counts(self, counts: torch.Tensor) -> None:
        self.trees.fruit_counts = counts

    @property
    def tree_name_embeddings(self) -> dict[str, torch.Tensor]:
        """Unit embedding of every kind in `config`, in the world or not."""
        return self.trees.tree_name_embeddings

    @property
    def fruit_amount_embeddings(self) -> torch.Tensor:
        """Unit embeddings of the words for amounts of fruit, of shape (5, embed_dim)."""
        return self.trees.fruit_amount_embeddings

    @property
    def fruit_amount_indices(self) -> torch.Tensor:
        """Index into `vocabulary.FRUIT_AMOUNTS` for every tree, of shape (num_trees,)."""
        return self.trees.fruit_amount_indices

    @property
    def fruit_amount_one_hot(self) -> torch.Tensor:
        """The same as rows of a (num_trees, 5) matrix of zeros and ones."""
        return self.trees.fruit_amount_one_hot

    def trees_at(self, indices: torch.Tensor) -> Any:
        """Look trees up by index; see `Trees.trees_at`."""
        return self.trees.trees_at(indices)

    # --- time ------------------------------------------------------------------------------------

    @property
    def time(self) -> int:
        """Steps taken since the last reset."""
        return int(self._time[0])

    @property
    def _generator(self) -> torch.Generator:
        """The stream of random numbers as models draw from it."""
        self._for_models.set_state(torch.from_numpy(self._words.view(np.uint8)))
        return self._for_models

    @torch.inference_mode(False)
    def reset(self, seed: SeedLike | None = None) -> None:
        """Start a life: time zero, all trees full, the agent well and at the origin.

        Parameters
        ----------
        seed : int or torch.Generator, optional
            A new life in the same world; by default the same life again. A generator is advanced
            by one number, so that the next reset with it starts another life.

        Raises
        ------
        TypeError, ValueError
            If `seed` is none. Whatever is raised, nothing has changed, but what the model did.
        """
        start = self._life_at_start if seed is None else _own_generator(seed).get_state()
        with self._all_or_nothing():
            self._life_at_start = start
            self._words[:] = start.numpy().view(np.uint64)
            self._time[0] = 0
            self.trees.bear_all()
            body = self.agent.arrays
            body.position[:] = 0
            stepping.draw_heading(self._words, self._words.view(np.float64), body.heading)
            body.health[0] = self.config.max_health
            self.agent.model.reset()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Undo what was done to the world, whatever ends it early: an error, an interrupt."""
        fruit = self.trees.arrays
        changing = (
            *self.agent.arrays, self._time, self._words, fruit.fruit_counts, fruit.regrows_at
        )  # fmt: skip
        before = [array.copy() for array in changing]
        start = self._life_at_start
        try:
            yield
        except BaseException:
            self._life_at_start = start
            for array, copy in zip(changing, before, strict=True):
                array[:] = copy
            raise

    def step(self) -> tuple[Tree, float] | None:
        """Let one step of time pass.

        Returns
        -------
        (Tree, float) or None
            The tree that was eaten from and what its fruit was worth in health points.

        Raises
        ------
        RuntimeError
            If the agent is dead.
        ValueError
            If the model returns a step or a heading that the world does not allow. Whatever is
            raised, an interrupt too, the step has not been taken: nothing in the world has changed.
            What the model noted for itself stays.
        """
        if not self.agent.is_alive:
            raise RuntimeError(
                f"The agent died in step {self.time}. Call reset() to start another life."
            )
        if self.takes_steps_in_compiled_code():
            meals = np.empty(1, dtype=np.int64)
            self._live(meals)  # which cannot be interrupted
            eaten = int(meals[0])
        else:
            with self._all_or_nothing():
                eaten = self._step()
        if eaten == stepping.NONE:
            return None
        return self.trees[eaten], float(self.trees.arrays.fruit_values[eaten])

    def takes_steps_in_compiled_code(self) -> bool:
        """Write down what compiled code needs; say whether it can take the whole step."""
        agent, choices = self.agent, self._choices
        if are_own_eyes(agent.eyes):
            write_sight(agent.eyes, choices)
        if is_own_nose(agent.nose):
            write_smell(agent.nose, choices)
        walker = own_walker(agent.model)
        if walker is None or not are_own_eyes(agent.eyes):
            return False
        write_walker(walker, choices)
        # Longer steps are refused one by one, when they are taken.
        return isinstance(walker, Resting) or walker.max_step_length <= self.config.max_step_length

    @property
    def arrays(self) -> WorldArrays:
        """The state of the world, as arrays that compiled code changes in place."""
        fruit = self.trees.arrays
        return WorldArrays(
            self._words,
            self._time,
            fruit.fruit_counts,
            fruit.regrows_at,
            fruit.fruit_values,
            fruit.locations,
            fruit.sources,
            *self.agent.arrays,
            self._choices,
        )

    def _live(
        self,
        meals: np.ndarray,
        positions: np.ndarray | None = None,
        headings: np.ndarray | None = None,
        healths: np.ndarray | None = None,
    ) -> int:
        """Take as many steps as there is room for, in compiled code; see `stepping.live`."""
        return stepping.live(
            *self.arrays,
            _NOTHING,
            np.empty((1, self.dim), np.float32) if positions is None else positions,
            np.empty((1, self.dim), np.float32) if headings is None else headings,
            np.empty(1) if healths is None else healths,
            meals,
        )

    def _step(self) -> int:
        """Take a step that a model in Python decides; give the tree that was eaten from."""
        agent, fruit = self.agent, self.trees.arrays
        position, heading, health = agent.arrays
        act, smells = acting(agent.model)
        compiled_smell = smells and is_own_nose(agent.nose)
        scent = np.empty(fruit.sources.shape[1], np.float32) if compiled_smell else _NOTHING
        distances = np.empty(len(self.trees), np.float32)
        seen = stepping.perceive(
            self._time,
            fruit.fruit_counts,
            fruit.regrows_at,
            fruit.locations,
            fruit.sources,
            position,
            heading,
            self._choices,
            distances,
            np.empty(len(fruit.sources), np.float32),
            scent,
        )
        if are_own_eyes(agent.eyes):
            sight = self._sight_of(seen, distances, agent.eyes.can_see_fruit_distance)
        else:
            sight = Sight(*agent.perceive(self))
        smell = None
        if compiled_smell:
            smell = torch.from_numpy(scent)
        elif smells and agent.nose is not None:
            smell = agent.nose.sense(self, agent.position, agent.heading)[1]

        eaten = stepping.eat(
            self.time,
            distances,
            fruit.fruit_counts,
            fruit.regrows_at,
            fruit.fruit_values,
            health,
            self._choices,
        )
        if health[0] <= 0:  # a last, poisonous meal
            return eaten
        meal = None if eaten == stepping.NONE else float(fruit.fruit_values[eaten])
        body = Body(agent.position, agent.heading, agent.health, self.config.max_health)
        generator = self._generator
        action = act(Percept(smell, sight), body, meal, generator)
        self._words[:] = generator.get_state().numpy().view(np.uint64)
        self._move(*action)
        return eaten

    def _sight_of(self, seen: int, distances: np.ndarray, amount_distance: float) -> Sight:
        if seen == stepping.NONE:
            return Sight(None, None)
        fruit = self.trees.arrays
        embedding = fruit.sources[seen]
        if distances[seen] <= np.float32(amount_distance):
            word = stepping.amount_word(fruit.fruit_counts[seen])
            embedding = embedding + fruit.sources[len(self.trees) + word]
        else:
            embedding = embedding.copy()
        return Sight(torch.from_numpy(distances)[seen], torch.from_numpy(embedding))

    def _move(self, step: Any, heading: Any) -> None:
        """Do what a model in Python has decided, if the world allows it."""
        config, body = self.config, self.agent.arrays
        turned, moved = _plain(heading, self.dim), _plain(step, self.dim)
        # What is at all unusual is looked at more closely, and refused with reasons.
        if turned is None or not abs(stepping.length_of(turned) - 1) <= 1e-3:
            name = "the heading that the model returned"
            turned = as_unit_vectors(heading, self.dim, name).detach().numpy()
        if step is None:
            cost = config.rest_cost
        else:
            cost = config.move_cost
            if moved is None or not stepping.length_of(moved) <= config.max_step_length:
                moved = self._check_step(step).numpy()
        # The state is copied from what the model returned: its buffers are its own.
        body.heading[:] = turned
        if moved is not None:
            body.position[:] += moved
        body.health[0] = max(0.0, body.health[0] - cost)

    def run(self, num_steps: int, record: bool = True) -> Recording | None:
        """Let many steps pass, until the agent dies at the latest.

        Parameters
        ----------
        num_steps : int
            How many steps to take, zero or more.
        record : bool, default=True
            Whether to write the life down.

        Returns
        -------
        Recording or None
            From the present state on; None if `record` is False.

        Raises
        ------
        ValueError
            If `num_steps` is negative, or no whole number.
        """
        num_steps = whole_number("num_steps", num_steps, least=0)
        if not self.takes_steps_in_compiled_code():
            return self._run_by_model(num_steps, record)
        return self._run_compiled(num_steps, record)

    def _run_compiled(self, num_steps: int, record: bool) -> Recording | None:
        body, dim = self.agent.arrays, self.dim
        now = body.position[None].copy(), body.heading[None].copy(), body.health.copy()
        states: list[tuple[np.ndarray, ...]] = [now]
        meals = [np.empty(0, np.int64)]
        while num_steps > 0 and self.agent.is_alive:
            number = min(num_steps, _STEPS_AT_ONCE)
            rows = number if record else 1
            part = (
                np.empty((rows, dim), np.float32),
                np.empty((rows, dim), np.float32),
                np.empty(rows),
            )
            eaten = np.empty(number, np.int64)
            lived = self._live(eaten, *part)
            num_steps -= number
            if record:
                states.append(tuple(array[:lived] for array in part))
                meals.append(eaten[:lived])
        if not record:
            return None
        positions, headings, healths = (
            np.concatenate([part[which] for part in states]) for which in range(3)
        )
        return recording_of(
            positions, headings, healths, np.concatenate(meals), self.trees.arrays.fruit_values
        )

    def _run_by_model(self, num_steps: int, record: bool) -> Recording | None:
        recorder = Recorder()
        agent = self.agent
        recorder.add_state(agent.position, agent.heading, agent.health)
        for _ in range(num_steps):
            if not agent.is_alive:
                break
            meal = self.step()
            if record:
                if meal is not None:
                    recorder.add_meal(meal[0].index, meal[1])
                recorder.add_state(agent.position, agent.heading, agent.health)
        return recorder.finish() if record else None

    def _check_step(self, step: Any) -> torch.Tensor:
        checked = as_points(step, self.dim, "the step that the model returned").detach()
        length = float(torch.linalg.vector_norm(checked))
        if length > self.config.max_step_length * (1 + 1e-4):
            raise ValueError(
                f"The model returned a step of {length:.4g} m, but max_step_length is "
                f"{self.config.max_step_length:.4g} m. Shorten the step, or allow longer ones in "
                "the configuration."
            )
        return checked


def _plain(vector: Any, dim: int) -> np.ndarray | None:
    """Give the numbers of what is a tensor of the usual kind and shape; else None."""
    if (
        type(vector) is torch.Tensor
        and vector.dtype is torch.float32
        and vector.shape == (dim,)
        and vector.device.type == "cpu"
    ):
        return np.ascontiguousarray(vector.detach().numpy())
    return None


def _own_generator(seed: SeedLike) -> torch.Generator:
    """Give a life a generator of its own; of one that is given, draw a seed for it."""
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**63 - 1, (), generator=seed, device=seed.device))
    return make_generator(seed)
