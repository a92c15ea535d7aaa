"""Lives of those who learn: what they are told, what they may do, what it is worth to them.

What `environment` shows to Gymnasium, without Gymnasium: many lives side by side, as arrays. Who
learns is told what there is, and then says what to do; a step of `Worlds` has these two in the
other order. So each life is always in the middle of a step: it has perceived and eaten, and waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tree_world import embeddings
from tree_world.checks import as_senses
from tree_world.simulation import stepping, vocabulary
from tree_world.simulation.config import TreeWorldConfig
from tree_world.simulation.world import TreeWorld
from tree_world.simulation.worlds import Worlds

Senses = Literal["scores", "embeddings"]

HALF = np.sqrt(np.float32(0.5))
DIRECTIONS = np.array(
    [[1, 0], [HALF, HALF], [0, 1], [-HALF, HALF], [-1, 0], [-HALF, -HALF], [0, -1], [HALF, -HALF]],
    dtype=np.float32,
)
"""East, north-east and so on, against the clock."""

NUM_ACTIONS = (1 + len(DIRECTIONS), len(DIRECTIONS))
"""Rest or a step in a direction; a direction to look."""

ENDS = ("", "starved", "poisoned", "max_steps")
"""How a life may have ended; empty while it lasts."""

STARVED, POISONED, MAX_STEPS = 1, 2, 3


def word_scores(config: TreeWorldConfig) -> np.ndarray:
    """Find how much a scent holds of poison, of food and of emptiness.

    These are the shortest vectors whose products with the words of a world are what the words say:
    one for each kind that is poisonous, or edible; for the amounts of fruit from one, for none, to
    zero, for many; and zero for all other words, the names among them. Rows are in the order of
    `tree_world.models.drives.DRIVES`, and scores mean much the same as those of a classifier of
    drives that has been taught all words; but nothing is learned here.

    Parameters
    ----------
    config : TreeWorldConfig

    Returns
    -------
    numpy.ndarray of shape (3, embed_dim), float64

    Examples
    --------
    >>> word_scores(TreeWorldConfig()).shape
    (3, 384)
    """
    empty = np.linspace(1, 0, len(vocabulary.FRUIT_AMOUNTS))
    words: dict[str, tuple[float, float, float]] = dict.fromkeys(config.tree_ids, (0.0, 0.0, 0.0))
    words |= dict.fromkeys(config.poisonous_kinds, (1.0, 0.0, 0.0))
    words |= dict.fromkeys(config.edible_kinds, (0.0, 1.0, 0.0))
    words |= {
        word: (0.0, 0.0, share)
        for word, share in zip(vocabulary.FRUIT_AMOUNTS, empty.tolist(), strict=True)
    }
    vectors = embeddings.embed_text_sentence_transformers(list(words), config.embedding_model)
    found: np.ndarray = np.linalg.pinv(vectors.double().numpy()) @ np.array(list(words.values()))
    return found.T


class Lives:
    """Lives side by side, each in the middle of a step.

    Parameters
    ----------
    config : TreeWorldConfig
        Of all worlds. They must have two dimensions.
    senses : {"scores", "embeddings"}
        Whether scents are told by scores, or as they are.
    scores : array_like of shape (num_scores, embed_dim), optional
        What scents are multiplied by; `word_scores` by default.
    max_steps : int
        After so many steps a life ends in any case.
    threads : int, default=1
        As for `Worlds`.

    Attributes
    ----------
    bounds : dict of str to (numpy.ndarray, numpy.ndarray)
        The least and the greatest that may be observed, for each part of an observation.
    worlds : Worlds
        There after `begin`.

    Raises
    ------
    ValueError
        If the world has not two dimensions, or senses and scores do not fit.
    """

    worlds: Worlds

    def __init__(
        self,
        config: TreeWorldConfig,
        *,
        senses: Senses,
        scores: Any,
        max_steps: int,
        threads: int = 1,
    ) -> None:
        if config.dim != len(DIRECTIONS[0]):
            raise ValueError(
                f"the directions of an action are those of the plane, but this world has "
                f"{config.dim} dimensions. Give a configuration with dim=2."
            )
        if senses not in ("scores", "embeddings"):
            raise ValueError(f"senses must be 'scores' or 'embeddings', not {senses!r}.")
        if senses == "embeddings" and scores is not None:
            raise ValueError("scores are given, but senses='embeddings' tells scents as they are.")
        self.config = config.of_a_world()
        self.max_steps = max_steps
        self.threads = threads
        width = config.sensory_embedding_dim
        self._scores: np.ndarray | None = None
        lengths = np.ones(width)
        if senses == "scores":
            chosen = word_scores(config) if scores is None else scores
            self._scores = np.atleast_2d(as_senses(chosen, width, "scores").detach().numpy())
            lengths = np.linalg.norm(self._scores.astype(np.float64), axis=1)
        self.bounds = self._bounds(lengths)
        self._place_bound = 5 * config.tree_spacing * config.dim
        self._meal_bound = max(config.edible_health, -config.poison_health) or 1.0

    def _bounds(self, lengths: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        # A tree smells of three words at most: unit vectors, at a strength of one.
        most = {
            "smell": 3 * self.config.num_trees * lengths,
            "sight": 3 * lengths,
            "distance": np.ones(1),
            "health": np.ones(1),
            "heading": np.ones(2),
            "place": np.ones(2),
            "meal": np.ones(1),
        }
        from_zero = ("distance", "health")
        single = {name: bound.astype(np.float32) for name, bound in most.items()}
        return {
            name: (0 * bound if name in from_zero else -bound, bound)
            for name, bound in single.items()
        }

    # --- living ----------------------------------------------------------------------------------

    def begin(self, worlds: Sequence[TreeWorld]) -> None:
        """Begin a life in each of some worlds, and the first step of it."""
        for world in worlds:
            self._check(world)
        self.worlds = Worlds(worlds, scores=self._scores, threads=self.threads)
        number = len(worlds)
        self._starts = self.worlds.arrays.position.copy()
        self.steps, self.meals, self.poisonous_meals, self._ends = np.zeros((4, number), np.int64)
        self.worlds.perceive()
        self._note(slice(None))

    def renew(self, index: int, world: TreeWorld) -> None:
        """Begin another life, in another world, in the place of one."""
        self._check(world)
        self.worlds.renew(index, world)
        self._starts[index] = self.worlds.arrays.position[index]
        for counts in (self.steps, self.meals, self.poisonous_meals, self._ends):
            counts[index] = 0
        self._note(slice(index, index + 1))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Do what was decided, and perceive and eat in the next step.

        Parameters
        ----------
        actions : numpy.ndarray of int, of shape (num_lives, 2)
            What to do, and where to look, as `NUM_ACTIONS` says.

        Returns
        -------
        rewards : numpy.ndarray of shape (num_lives,), float64
            The change of health, in health points.
        terminated, truncated : numpy.ndarray of shape (num_lives,), bool
            Who is dead; who lives, but has come to the last step.
        """
        steps, headings, rests = self._decided(actions)
        healths = self.worlds.arrays.health[:, 0]
        before = healths.copy()
        self.worlds.act(steps, headings, rests)
        self._ends[(healths <= 0) & (self._ends == 0)] = STARVED
        self.worlds.perceive()
        self._note(slice(None))
        self.steps += 1
        terminated = healths <= 0
        truncated = ~terminated & (self.steps >= self.max_steps)
        self._ends[truncated] = MAX_STEPS
        return healths - before, terminated, truncated

    def _decided(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        given = np.asarray(actions)
        shape = (len(self.worlds), len(NUM_ACTIONS))
        whole = given.shape == shape and np.issubdtype(given.dtype, np.integer)
        if not whole or (given < 0).any() or (given >= NUM_ACTIONS).any():
            raise ValueError(
                f"an action is two whole numbers: 0 to rest or 1 to {NUM_ACTIONS[0] - 1} for a "
                f"step, and 0 to {NUM_ACTIONS[1] - 1} for where to look; for {shape[0]} at a time, "
                f"of shape {shape}. {actions!r} was given."
            )
        moves, looks = given.T
        steps = np.float32(self.config.max_step_length) * DIRECTIONS[moves - 1]
        return steps, DIRECTIONS[looks], moves == 0

    def _note(self, which: slice) -> None:
        """Count the meals of the step that has begun, and those that it has killed."""
        arrays, eaten = self.worlds.arrays, self.worlds.meals.numpy()[which]
        fed = eaten != stepping.NONE
        values = np.take_along_axis(arrays.fruit_values[which], eaten[:, None], axis=1)[:, 0]
        self.meals[which] += fed
        self.poisonous_meals[which] += fed & (values < 0)
        self._ends[which][(arrays.health[which, 0] <= 0) & (self._ends[which] == 0)] = POISONED

    def _check(self, world: TreeWorld) -> None:
        if world.config != self.config:
            raise ValueError(
                "the world was made with another configuration than the environment, whose bounds "
                "come from its own. Make the environment with config=world.config."
            )

    # --- telling ---------------------------------------------------------------------------------

    def observe(self) -> dict[str, np.ndarray]:
        """Tell all what they perceive, each part of shape (num_lives, …); new arrays."""
        worlds, arrays = self.worlds, self.worlds.arrays
        alive = arrays.health > 0
        sees = alive & (worlds.seen.numpy() != stepping.NONE)[:, None]
        eaten = worlds.meals.numpy()[:, None]
        values = np.take_along_axis(arrays.fruit_values, eaten, axis=1)
        reach = arrays.choices[:, [stepping.SIGHT_REACH]]
        told = {
            # The dead smell and see nothing.
            "smell": np.where(alive, worlds.scents.numpy(), np.float32(0)),
            "sight": np.where(sees, worlds.sights.numpy(), np.float32(0)),
            "distance": np.where(sees, worlds.seen_distances.numpy()[:, None] / reach, 1.0),
            "health": arrays.health / arrays.choices[:, [stepping.MAX_HEALTH]],
            "heading": arrays.heading,
            "place": (arrays.position - self._starts) / self._place_bound,
            "meal": np.where(eaten == stepping.NONE, 0.0, values) / self._meal_bound,
        }
        found = {
            name: np.clip(part, *self.bounds[name]).astype(np.float32)
            for name, part in told.items()
        }
        return found | {"sees": sees.astype(np.int8)}

    def infos(self) -> dict[str, np.ndarray]:
        """Tell whoever watches how the lives went so far; new arrays."""
        return {
            "steps": self.steps.copy(),
            "meals": self.meals.copy(),
            "poisonous_meals": self.poisonous_meals.copy(),
            "end": np.array(ENDS, dtype=object)[self._ends],
        }
