"""Many worlds side by side, as arrays, stepped together in compiled code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from threading import Thread
from typing import Any, Self

import numpy as np
import torch

from tree_world.checks import SeedLike, as_points, as_senses, as_unit_vectors, whole_number
from tree_world.simulation import stepping
from tree_world.simulation.choices import are_own_eyes, is_own_nose
from tree_world.simulation.config import TreeWorldConfig
from tree_world.simulation.recording import Recording, recording_of
from tree_world.simulation.world import TreeWorld, WorldArrays

Decide = Callable[["Worlds"], tuple[Any, Any, Any]]


class Worlds:
    """Worlds in which walkers live, each by itself, all at the same pace.

    Each lives the life that it would live alone, to the last bit. Worlds may differ in all but the
    number of trees and the widths of places and scents. Who lives there are walkers (`Exploring`,
    `Resting`), or agents for which one function decides, for all of them at a time. Who would
    rather be asked than give a function takes a step in its two halves, `perceive` and `act`.

    Parameters
    ----------
    worlds : sequence of TreeWorld
        Where they begin, as they are now. They are copied, and stay as they are. Their eyes and
        noses must be the library's own, `DirectionalSensor` and `SimpleSensor`.
    smells : bool, default=True
        Whether to compute what the agents smell, which takes most of the time.
    scores : array_like of shape (num_scores, embed_dim), optional
        Directions, such as the embeddings of drives. With them, all that is smelled and seen is
        told by its products with these, `num_scores` numbers in place of `embed_dim`. What is
        smelled is a sum, so that only its parts are scored, once.
    threads : int, default=1
        How many threads share the worlds. It makes no difference to what is computed.

    Attributes
    ----------
    arrays : WorldArrays
        The state of all, with an axis for the worlds before the others.

    Raises
    ------
    ValueError
        If there is no world, two differ in shape, or `scores` have another width than scents.
    TypeError
        If a sensor is none of the library's own.

    Examples
    --------
    >>> from tree_world.simulation import TreeWorldConfig
    >>> worlds = Worlds.random_from_config(TreeWorldConfig(), seeds=range(3))
    >>> for _ in range(100):
    ...     worlds.step()
    >>> worlds.positions.shape, worlds.scents.shape
    (torch.Size([3, 2]), torch.Size([3, 384]))
    """

    def __init__(
        self,
        worlds: Sequence[TreeWorld],
        *,
        smells: bool = True,
        scores: Any = None,
        threads: int = 1,
    ) -> None:
        if len(worlds) == 0:
            raise ValueError("worlds must hold at least one world.")
        self._scores = None if scores is None else _as_scores(scores, worlds[0])
        parts = [self._arrays_of(world, index) for index, world in enumerate(worlds)]
        for index, part in enumerate(parts):
            _check_shapes(part, parts[0], index)
        self.arrays = WorldArrays(*(np.stack(arrays) for arrays in zip(*parts, strict=True)))
        self._walks = np.array([world.takes_steps_in_compiled_code() for world in worlds])
        self._is_poisonous = np.stack([world.is_poisonous.numpy() for world in worlds])
        self._longest = np.array([_longest_step(world) for world in worlds])
        self._amount_distances = np.array([_amount_distance(world) for world in worlds])
        number = len(worlds)
        width = self.arrays.sources.shape[2] if smells else 0
        self._scents = np.zeros((number, width), dtype=np.float32)
        self._seen = np.full(number, stepping.NONE, dtype=np.int64)
        self._seen_distances = np.full(number, -1.0, dtype=np.float32)
        self._meals = np.full(number, stepping.NONE, dtype=np.int64)
        self._is_begun = np.zeros(1, dtype=np.bool_)  # whether a step waits for its second half
        threads = min(whole_number("threads", threads, least=1), number)
        edges = [number * part // threads for part in range(threads + 1)]
        self._ranges = list(pairwise(edges))

    @classmethod
    def random_from_config(
        cls,
        config: TreeWorldConfig,
        seeds: Iterable[SeedLike],
        *,
        model: Any = None,
        smells: bool = True,
        scores: Any = None,
        threads: int = 1,
    ) -> Self:
        """Draw worlds at random, one a seed.

        Parameters
        ----------
        config : TreeWorldConfig
            What to draw from.
        seeds : iterable of int or torch.Generator
            As for `TreeWorld.random_from_config`.
        model : Exploring or Resting, optional
            Who lives in them.
        smells, scores, threads
            As for `Worlds`.

        Returns
        -------
        Worlds
        """
        worlds = [TreeWorld.random_from_config(config, seed, model=model) for seed in seeds]
        return cls(worlds, smells=smells, scores=scores, threads=threads)

    def __len__(self) -> int:
        return len(self.arrays.time)

    @property
    def locations(self) -> torch.Tensor:
        """Where the trees stand, in metres, of shape (num_worlds, num_trees, dim)."""
        return torch.from_numpy(self.arrays.locations)

    @property
    def is_poisonous(self) -> torch.Tensor:
        """Whether their fruit harms, of shape (num_worlds, num_trees)."""
        return torch.from_numpy(self._is_poisonous)

    # --- what there is now: the next step writes over it -----------------------------------------

    @property
    def times(self) -> torch.Tensor:
        """Steps that each agent has lived, of shape (num_worlds,)."""
        return torch.from_numpy(self.arrays.time)[:, 0]

    @property
    def positions(self) -> torch.Tensor:
        """Where the agents are, in metres, of shape (num_worlds, dim)."""
        return torch.from_numpy(self.arrays.position)

    @property
    def headings(self) -> torch.Tensor:
        """Where they look, unit vectors of shape (num_worlds, dim)."""
        return torch.from_numpy(self.arrays.heading)

    @property
    def healths(self) -> torch.Tensor:
        """In health points, of shape (num_worlds,), float64; zero for the dead."""
        return torch.from_numpy(self.arrays.health)[:, 0]

    @property
    def fruit_counts(self) -> torch.Tensor:
        """Fruits that the trees bear, of shape (num_worlds, num_trees)."""
        return torch.from_numpy(self.arrays.fruit_counts)

    @property
    def scents(self) -> torch.Tensor:
        """What the living smelled in the last step, of shape (num_worlds, embed_dim).

        Or (num_worlds, num_scores), where scents are scored.
        """
        return torch.from_numpy(self._scents)

    @property
    def seen(self) -> torch.Tensor:
        """Index of the tree that each saw in the last step, −1 for none, of shape (num_worlds,)."""
        return torch.from_numpy(self._seen)

    @property
    def seen_distances(self) -> torch.Tensor:
        """How far it was, in metres, −1 for none, of shape (num_worlds,)."""
        return torch.from_numpy(self._seen_distances)

    @property
    def sights(self) -> torch.Tensor:
        """What it was like, zeros for none, of the shape of `scents`: a new tensor."""
        worlds = np.flatnonzero(self._seen != stepping.NONE)
        trees = self._seen[worlds]
        sources, counts = self.arrays.sources, self.arrays.fruit_counts
        # Who looks has not eaten yet.
        then = counts[worlds, trees] + (self._meals[worlds] == trees)
        words = counts.shape[1] + np.array([stepping.amount_word(n) for n in then], dtype=np.int64)
        near = self._seen_distances[worlds] <= self._amount_distances[worlds]
        sights = np.zeros((len(self), sources.shape[2]), dtype=np.float32)
        sights[worlds] = sources[worlds, trees]
        sights[worlds[near]] += sources[worlds[near], words[near]]
        return torch.from_numpy(sights)

    @property
    def meals(self) -> torch.Tensor:
        """Index of the tree that each ate from in it, −1 for none, of shape (num_worlds,)."""
        return torch.from_numpy(self._meals)

    # --- time ------------------------------------------------------------------------------------

    def step(self, decide: Decide | None = None) -> None:
        """Let one step of time pass in all worlds whose agent lives.

        With a function that decides, the same as `perceive`, and then `act` with what it gives.

        Parameters
        ----------
        decide : callable, optional
            Called with these worlds when the agents have perceived and eaten. It gives their steps
            in metres and their headings, both of shape (num_worlds, dim), and who of them rests, of
            shape (num_worlds,); what it says for the dead is not heeded. By default the walkers
            walk.

        Raises
        ------
        TypeError
            If nobody decides, and a model is no walker.
        ValueError
            If a step or a heading is not allowed. Whatever is raised, an interrupt too, the step
            has been taken in all worlds or in none.
        RuntimeError
            If a step has been begun, by `perceive`.
        """
        self._check_begun(False)
        if decide is None:
            self._walkers_only()
            self._share(lambda first, last: self._pass(True, first, last))
            return
        with _all_or_nothing(*self._changing()):
            self._begin()
            self._end(*decide(self))

    def perceive(self) -> None:
        """Take the first half of a step: time passes, fruit regrows, agents perceive and eat.

        Then `scents`, `seen`, `sights` and `meals` tell what there was, the others what there is,
        and the step waits for `act`.

        Raises
        ------
        RuntimeError
            If a step has been begun. Whatever is raised, all agents have perceived, or none.
        """
        self._check_begun(False)
        with _all_or_nothing(*self._changing()):
            self._begin()

    def act(self, steps: Any, headings: Any, rests: Any) -> None:
        """Take the second half: agents move or rest, turn, and pay for it.

        Parameters
        ----------
        steps, headings : array_like of shape (num_worlds, dim)
            In metres; unit vectors. What is said for the dead is not heeded.
        rests : array_like of shape (num_worlds,), bool
            Who rests, whatever its step is.

        Raises
        ------
        ValueError
            If a step or a heading is not allowed.
        RuntimeError
            If no step has been begun. Whatever is raised, all agents have acted, or none.
        """
        self._check_begun(True)
        with _all_or_nothing(*self._changing()):
            self._end(steps, headings, rests)

    def renew(self, index: int, world: TreeWorld) -> None:
        """Put another world in the place of one, such as one whose agent has died.

        Where a step has been begun, it is begun in the new world, too, so that all are level.

        Parameters
        ----------
        index : int
            Of the world that goes.
        world : TreeWorld
            What comes, as it is now. It is copied, and stays as it is.

        Raises
        ------
        IndexError
            If there is no such world.
        ValueError, TypeError
            If the new world could not have stood beside the others. Whatever is raised, it has
            come, or nothing has changed.
        """
        index = whole_number("index", index)
        if not 0 <= index < len(self):
            raise IndexError(f"there is no world {index}: there are {len(self)}, from 0 on.")
        part = self._arrays_of(world, index)
        _check_shapes(part, WorldArrays(*(array[index] for array in self.arrays)), index)
        states = (
            *self.arrays,
            *(self._walks, self._is_poisonous, self._longest, self._amount_distances),
            *(self._scents, self._seen, self._seen_distances, self._meals),
        )
        with _all_or_nothing(*(state[index : index + 1] for state in states)):
            for array, new in zip(self.arrays, part, strict=True):
                array[index] = new
            self._walks[index] = world.takes_steps_in_compiled_code()
            self._is_poisonous[index] = world.is_poisonous.numpy()
            self._longest[index] = _longest_step(world)
            self._amount_distances[index] = _amount_distance(world)
            self._scents[index] = 0
            self._seen[index], self._meals[index] = stepping.NONE, stepping.NONE
            self._seen_distances[index] = -1.0
            if self._is_begun[0]:
                self._pass(False, index, index + 1)

    def _begin(self) -> None:
        self._share(lambda first, last: self._pass(False, first, last))
        self._is_begun[0] = True

    def _end(self, steps: Any, headings: Any, rests: Any) -> None:
        arrays = self.arrays
        decided = self._checked(steps, headings, rests)
        body = arrays.position, arrays.heading, arrays.health
        stepping.move_all(*body, arrays.choices, *decided)
        self._is_begun[0] = False

    def _check_begun(self, begun: bool) -> None:
        if bool(self._is_begun[0]) == begun:
            return
        if begun:
            raise RuntimeError(
                "act() ends a step that perceive() has begun. Call perceive() first."
            )
        raise RuntimeError("perceive() has begun a step. Call act(...) to end it first.")

    def _changing(self) -> list[np.ndarray]:
        """List what a step changes."""
        arrays = self.arrays
        body = arrays.position, arrays.heading, arrays.health
        return [*body, arrays.time, arrays.fruit_counts, arrays.regrows_at, self._is_begun]

    def _arrays_of(self, world: TreeWorld, index: int) -> WorldArrays:
        """Give the arrays of a world that may stand at a place among these, scored if need be."""
        if not (are_own_eyes(world.agent.eyes) and is_own_nose(world.agent.nose)):
            raise TypeError(
                f"world {index} has eyes or a nose that are none of the library's own. Many worlds "
                "side by side have a DirectionalSensor and a SimpleSensor; others live in a "
                "TreeWorld."
            )
        arrays = world.arrays
        # Before their choices are read, the world writes them down.
        world.takes_steps_in_compiled_code()
        if self._scores is None:
            return arrays
        # In double precision, so that the order in which products are added leaves no trace.
        scored = arrays.sources.astype(np.float64) @ self._scores.T
        return arrays._replace(sources=scored.astype(np.float32))

    def _pass(self, walkers_walk: bool, first: int, last: int) -> None:
        """Let a step pass in some of the worlds, or its beginning."""
        stepping.step_all(
            *self.arrays,
            self._scents,
            self._seen,
            self._seen_distances,
            self._meals,
            walkers_walk,
            first,
            last,
        )

    def _checked(
        self, steps: Any, headings: Any, rests: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shape = self.arrays.position.shape
        moves = as_points(steps, shape[1], "steps").detach()
        turned = as_unit_vectors(headings, shape[1], "headings").detach()
        rest = torch.as_tensor(rests, dtype=torch.bool)
        if not moves.shape == turned.shape == shape or rest.shape != shape[:1]:
            raise ValueError(
                f"steps and headings must have shape {shape} and rests {shape[:1]}, but "
                f"{tuple(moves.shape)}, {tuple(turned.shape)} and {tuple(rest.shape)} were given."
            )
        too_long = moves.norm(dim=-1) > torch.from_numpy(self._longest) * (1 + 1e-4)
        if bool(too_long.any()):
            world = int(too_long.nonzero()[0])
            raise ValueError(
                f"The step in world {world} has {moves[world].norm():.4g} m, but max_step_length "
                f"is {self._longest[world]:.4g} m. Shorten the step, or allow longer ones in the "
                "configuration."
            )
        found = (np.ascontiguousarray(part.numpy()) for part in (moves, turned, rest))
        return next(found), next(found), next(found)

    def run(self, num_steps: int, decide: Decide | None = None) -> list[Recording]:
        """Let many steps pass in each world, until its agent dies at the latest.

        Worlds of walkers are taken one after the other, which is faster than step by step; an
        interrupt leaves some of them ahead of others.

        Parameters
        ----------
        num_steps : int
            How many steps to take, zero or more.
        decide : callable, optional
            As for `step`.

        Returns
        -------
        list of Recording
            One a world, from its present state on.

        Raises
        ------
        ValueError
            If `num_steps` is negative, or no whole number.
        RuntimeError
            If a step has been begun, by `perceive`.
        """
        number = whole_number("num_steps", num_steps, least=0)
        self._check_begun(False)
        if decide is not None:
            return self._run_by(decide, number)
        self._walkers_only()
        recordings: list[Recording | None] = [None] * len(self)

        def work(first: int, last: int) -> None:
            for index in range(first, last):
                recordings[index] = self._live(index, number)

        self._share(work)
        return [recording for recording in recordings if recording is not None]

    def _run_by(self, decide: Decide, num_steps: int) -> list[Recording]:
        arrays = self.arrays
        body = arrays.position, arrays.heading, arrays.health
        states = [[part.copy() for part in body]]
        meals: list[np.ndarray] = [np.empty(len(self), np.int64)]
        lived = np.zeros(len(self), dtype=np.int64)
        for _ in range(num_steps):
            alive = arrays.health[:, 0] > 0
            if not alive.any():
                break
            lived += alive
            self.step(decide)
            states.append([part.copy() for part in body])
            meals.append(self._meals.copy())
        positions, headings, healths = (np.stack(parts) for parts in zip(*states, strict=True))
        eaten = np.stack(meals)[1:]
        return [
            recording_of(
                positions[: last + 1, index].copy(),
                headings[: last + 1, index].copy(),
                healths[: last + 1, index, 0].copy(),
                eaten[:last, index],
                arrays.fruit_values[index],
            )
            for index, last in enumerate(lived.tolist())
        ]

    def _walkers_only(self) -> None:
        if not self._walks.all():
            raise TypeError(
                f"the model of world {int(self._walks.argmin())} is none of the walkers Exploring "
                "and Resting, or its steps are longer than the world allows. Give decide, a "
                "function that decides for all agents, or let the model live in a TreeWorld."
            )

    def _live(self, index: int, num_steps: int) -> Recording:
        one = WorldArrays(*(array[index] for array in self.arrays))
        dim = len(one.position)
        positions, headings = np.empty((2, num_steps + 1, dim), np.float32)
        healths, meals = np.empty(num_steps + 1), np.empty(num_steps, np.int64)
        positions[0], headings[0], healths[0] = one.position, one.heading, one.health[0]
        lived = 0
        if num_steps > 0:
            lived = stepping.live(
                *one, self._scents[index], positions[1:], headings[1:], healths[1:], meals
            )
        end = lived + 1
        return recording_of(
            positions[:end].copy(),
            headings[:end].copy(),
            healths[:end].copy(),
            meals[:lived],
            one.fruit_values,
        )

    def _share(self, work: Callable[[int, int], None]) -> None:
        """Let each thread do its part of the worlds, all of them even if there is an interrupt."""
        if len(self._ranges) == 1:
            work(*self._ranges[0])
            return
        threads = [Thread(target=work, args=part) for part in self._ranges]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            for thread in threads:
                if thread.ident is None:
                    thread.start()
                thread.join()
            raise


@contextmanager
def _all_or_nothing(*changing: np.ndarray) -> Iterator[None]:
    """Undo what was done to arrays, whatever ends it early: an error, an interrupt."""
    before = [array.copy() for array in changing]
    try:
        yield
    except BaseException:
        for array, copy in zip(changing, before, strict=True):
            array[:] = copy
        raise


def _as_scores(scores: Any, world: TreeWorld) -> np.ndarray:
    width = world.arrays.sources.shape[1]
    checked = as_senses(scores, width, "scores").detach()
    if checked.ndim != 2 or len(checked) == 0:
        raise ValueError(
            f"scores must have shape (num_scores, {width}), with at least one row, but "
            f"{tuple(checked.shape)} was given."
        )
    return checked.numpy().astype(np.float64)


def _longest_step(world: TreeWorld) -> np.float32:
    return np.float32(world.config.max_step_length)


def _amount_distance(world: TreeWorld) -> np.float32:
    """Give the distance within which the eyes see how much fruit there is."""
    eyes = world.agent.eyes
    assert are_own_eyes(eyes)
    return np.float32(eyes.can_see_fruit_distance)


def _check_shapes(arrays: WorldArrays, first: WorldArrays, index: int) -> None:
    for array, other in zip(arrays, first, strict=True):
        if array.shape != other.shape:
            raise ValueError(
                "worlds must be alike in their dimension, in the number of their trees and in the "
                f"width of their embeddings, but world {index} has an array of shape {array.shape} "
                f"where another has {other.shape}."
            )
