"""The world: trees on a plane, their fruit, and the agent among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch

from tree_world.checks import (
    SeedLike,
    as_points,
    as_unit_vectors,
    make_generator,
    whole_number,
)
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.simulation import vocabulary
from tree_world.simulation.agents import Agent, AgentModel, ExploringModel
from tree_world.simulation.config import TreeWorldConfig
from tree_world.simulation.recording import Recorder, Recording
from tree_world.simulation.sensors import (
    DirectionalSensor,
    Sensor,
    as_tree_array,
    distances_to_trees,
)


@dataclass(frozen=True, eq=False)
class Tree:
    """What is fixed about a tree. How much fruit it bears is in `TreeWorld.fruit_counts`.

    Attributes
    ----------
    index : int
        Its place in ``world.trees`` and in every array of the world.
    tree_id : str
        Its first name, which no other tree of the world has.
    name : str
        Its kind of fruit.
    location : torch.Tensor of shape (dim,)
        In metres.
    embedding : torch.Tensor of shape (embed_dim,)
        Unit embedding of its kind plus unit embedding of its name.
    is_poisonous : bool
        Whether its fruit harms.
    """

    index: int
    tree_id: str
    name: str
    location: torch.Tensor
    embedding: torch.Tensor
    is_poisonous: bool

    def __repr__(self) -> str:
        place = ", ".join(f"{coordinate:.1f}" for coordinate in self.location.tolist())
        kind = "poisonous" if self.is_poisonous else "edible"
        return f"Tree({self.tree_id!r}, {self.name!r}, at ({place}) m, {kind})"


class TreeWorld:
    """Trees with scents and fruit, and at most one agent, in steps of discrete time.

    In each step the trees whose time has come regrow their fruit; then the agent perceives, eats
    one fruit if a bearing tree is within reach, chooses, and moves or rests.

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
        Decides what the agent does; an `ExploringModel` by default.
    sensor : Sensor, optional
        What the agent perceives with; a `DirectionalSensor` by default.
    seed : int or torch.Generator, default=0
        Seed of the agent's life: its first heading and all that its model draws. Of a generator
        one number is drawn, which the life starts from, so that what is drawn from it later is
        independent of the life.

    Attributes
    ----------
    config : TreeWorldConfig
    trees : tuple of Tree
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
        seed: SeedLike = 0,
    ) -> None:
        self._config = config.of_a_world()
        self.locations = as_points(locations, self.dim, "locations").clone()
        _check_trees(self.config, self.locations, kinds, tree_ids)

        words = _embed_words(self.config, tree_ids)
        all_kinds = self.config.edible_kinds + self.config.poisonous_kinds
        self.tree_name_embeddings = {kind: words[kind] for kind in all_kinds}
        self.embeddings = torch.stack(
            [words[kind] + words[tree_id] for kind, tree_id in zip(kinds, tree_ids, strict=True)]
        )
        self.fruit_amount_embeddings = torch.stack(
            [words[amount] for amount in vocabulary.FRUIT_AMOUNTS]
        )
        self.is_poisonous = torch.tensor([kind in self.config.poisonous_kinds for kind in kinds])
        self.trees = tuple(
            # Copies: whoever changes what a tree says of itself does not move or mend the tree.
            Tree(index, tree_id, kind, location.clone(), embedding.clone(), bool(is_poisonous))
            for index, (tree_id, kind, location, embedding, is_poisonous) in enumerate(
                zip(
                    tree_ids, kinds, self.locations, self.embeddings, self.is_poisonous, strict=True
                )
            )
        )
        self._tree_array = as_tree_array(self.trees)
        self._fruit_values = [
            self.config.poison_health if tree.is_poisonous else self.config.edible_health
            for tree in self.trees
        ]
        self._life_at_start = _own_generator(seed).get_state()
        self._generator = torch.Generator()
        self.agent = Agent(
            model=model or ExploringModel(self.config.max_step_length),
            sensor=sensor or DirectionalSensor.from_config(self.config),
            position=torch.zeros(self.dim, dtype=torch.float32),
            heading=torch.zeros(self.dim, dtype=torch.float32),
            health=self.config.max_health,
        )
        self.reset()

    @classmethod
    def random_from_config(
        cls,
        config: TreeWorldConfig,
        seed: SeedLike = 0,
        *,
        model: AgentModel | None = None,
        sensor: Sensor | None = None,
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
        model, sensor : optional
            As for `TreeWorld`.

        Returns
        -------
        TreeWorld
        """
        generator = make_generator(seed)
        spread = config.tree_spacing * config.dim
        number, single = config.num_trees, torch.float32
        locations = spread * torch.randn((number, config.dim), generator=generator, dtype=single)
        poisonous = (
            torch.rand(number, generator=generator, dtype=single) < config.poison_probability
        )
        which = torch.rand(number, generator=generator, dtype=single)
        kinds = []
        for is_poisonous, share in zip(poisonous.tolist(), which.tolist(), strict=True):
            choices = config.poisonous_kinds if is_poisonous else config.edible_kinds
            kinds.append(choices[int(share * len(choices))])
        order = torch.randperm(len(config.tree_ids), generator=generator)[: config.num_trees]
        tree_ids = [config.tree_ids[index] for index in order.tolist()]
        after_the_trees = generator.get_state()
        world = cls(config, locations, kinds, tree_ids, model=model, sensor=sensor, seed=generator)
        if not isinstance(seed, torch.Generator):
            # Nobody else draws from this generator, so the life goes on where the trees ended.
            world._life_at_start = after_the_trees
            world.reset()
        return world

    # --- trees and fruit -------------------------------------------------------------------------

    @property
    def config(self) -> TreeWorldConfig:
        """What the world was made with. It cannot be changed: make a new world."""
        return self._config

    @property
    def dim(self) -> int:
        """Dimension of the world."""
        return self.config.dim

    @property
    def fruit_amount_indices(self) -> torch.Tensor:
        """Index into `vocabulary.FRUIT_AMOUNTS` for every tree, of shape (num_trees,)."""
        # The words change at 1, 2, 3 and 6 fruits.
        return torch.bucketize(self.fruit_counts, torch.tensor([1, 2, 3, 6]), right=True)

    @property
    def fruit_amount_one_hot(self) -> torch.Tensor:
        """The same as rows of a (num_trees, 5) matrix of zeros and ones."""
        num_words = len(vocabulary.FRUIT_AMOUNTS)
        return torch.nn.functional.one_hot(self.fruit_amount_indices, num_words).float()

    def trees_at(self, indices: torch.Tensor) -> Any:
        """Look trees up by index.

        Parameters
        ----------
        indices : torch.Tensor of int, of shape (...)
            Indices into `trees`.

        Returns
        -------
        Tree or numpy.ndarray of Tree
            A single tree for a single index, else a new array of the same shape.
        """
        return self._tree_array[indices.numpy()]

    # --- time ------------------------------------------------------------------------------------

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
            self._generator.set_state(start)
            self.time = 0
            num_trees = len(self.trees)
            self.fruit_counts = torch.full((num_trees,), self.config.max_fruit)
            self._regrows_at = torch.full((num_trees,), torch.iinfo(torch.int64).max)
            self.agent.position = torch.zeros(self.dim, dtype=torch.float32)
            direction = torch.randn(self.dim, generator=self._generator, dtype=torch.float32)
            self.agent.heading = torch.nn.functional.normalize(direction, dim=-1)
            self.agent.health = self.config.max_health
            self.agent.model.reset()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Undo what was done to the world, whatever ends it early: an error, an interrupt."""
        if not hasattr(self, "time"):  # it is being made
            yield
            return
        agent = self.agent
        mine = {name: getattr(self, name) for name in ("_life_at_start", "time")}
        with torch.inference_mode(False):  # what is put back can be changed in any mode
            arrays = {n: getattr(self, n).clone() for n in ("fruit_counts", "_regrows_at")}
        its = {name: getattr(agent, name) for name in ("position", "heading", "health")}
        drawn = self._generator.get_state()
        try:
            yield
        except BaseException:
            for name, value in (mine | arrays).items():
                setattr(self, name, value)
            for name, value in its.items():
                setattr(agent, name, value)
            self._generator.set_state(drawn)
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
        with self._all_or_nothing():
            return self._step()

    def _step(self) -> tuple[Tree, float] | None:
        agent, config = self.agent, self.config
        self.time += 1
        self._regrow()
        distance, embedding = agent.perceive(self)
        meal = self._eat()
        if agent.health <= 0:  # a last, poisonous meal
            return meal
        # The model gets copies, and what it returns is copied: its buffers are its own.
        step, heading = agent.model.get_action(
            distance,
            embedding,
            agent.heading.clone(),
            agent.health / config.max_health,
            position=agent.position.clone(),
            generator=self._generator,
        )
        heading = as_unit_vectors(heading, self.dim, "the heading that the model returned").detach()
        checked = None if step is None else self._check_step(step)
        with torch.inference_mode(False):
            agent.heading = heading.clone()
            if checked is not None:
                agent.position = agent.position + checked
        agent.health = max(
            0.0, agent.health - (config.rest_cost if step is None else config.move_cost)
        )
        return meal

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

    def _regrow(self) -> None:
        due = self._regrows_at <= self.time
        self.fruit_counts[due] = self.config.max_fruit
        self._regrows_at[due] = torch.iinfo(torch.int64).max

    def _eat(self) -> tuple[Tree, float] | None:
        distances = distances_to_trees(self.agent.position, self)
        in_reach = (distances <= self.config.eat_distance) & (self.fruit_counts > 0)
        nearest = torch.where(in_reach, distances, torch.inf).min(dim=-1)
        if not bool(torch.isfinite(nearest.values)):
            return None
        index = int(nearest.indices)
        value = self._fruit_values[index]
        self.fruit_counts[index] -= 1
        self._regrows_at[index] = self.time + self.config.fruit_regrowth_steps
        self.agent.health = min(max(0.0, self.agent.health + value), self.config.max_health)
        return self.trees[index], value

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


def _own_generator(seed: SeedLike) -> torch.Generator:
    """Give a life a generator of its own; of one that is given, draw a seed for it."""
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**63 - 1, (), generator=seed, device=seed.device))
    return make_generator(seed)


def _embed_words(config: TreeWorldConfig, tree_ids: Sequence[str]) -> dict[str, torch.Tensor]:
    # All the words that any world of this configuration needs, so that the next one needs no model.
    words = dict.fromkeys(
        (
            *config.edible_kinds,
            *config.poisonous_kinds,
            *vocabulary.FRUIT_AMOUNTS,
            *config.tree_ids,
            *tree_ids,
        )
    )
    vectors = embed_text_sentence_transformers(list(words), config.embedding_model)
    return dict(zip(words, vectors, strict=True))


def _check_trees(
    config: TreeWorldConfig,
    locations: torch.Tensor,
    kinds: Sequence[str],
    tree_ids: Sequence[str],
) -> None:
    if locations.ndim != 2 or len(locations) == 0:
        raise ValueError(
            f"locations must have shape (num_trees, {config.dim}) with at least one tree, not "
            f"{tuple(locations.shape)}."
        )
    if not len(locations) == len(kinds) == len(tree_ids):
        raise ValueError(
            "locations, kinds and tree_ids must be of one length, but "
            f"{len(locations)}, {len(kinds)} and {len(tree_ids)} were given."
        )
    allowed = config.edible_kinds + config.poisonous_kinds
    unknown = sorted(set(kinds) - set(allowed))
    if unknown:
        raise ValueError(
            f"kinds must be among those of the configuration, but {unknown} are not. Add them to "
            "edible_kinds or to poisonous_kinds."
        )
    if len(set(tree_ids)) < len(tree_ids):
        repeated = sorted({name for name in tree_ids if list(tree_ids).count(name) > 1})
        raise ValueError(f"tree_ids must all differ, but {repeated} occur more than once.")
