"""Many worlds side by side, as arrays, stepped together in compiled code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from threading import Thread
from typing import Any, Self

import numpy as np
import torch

from tree_world.checks import SeedLike, as_points, as_unit_vectors, whole_number
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
    `Resting`), or agents for which one function decides, for all of them at a time.

    Parameters
    ----------
    worlds : sequence of TreeWorld
        Where they begin, as they are now. They are copied, and stay as they are. Their eyes and
        noses must be the library's own, `DirectionalSensor` and `SimpleSensor`.
    smells : bool, default=True
        Whether to compute what the agents smell, which takes most of the time.
    threads : int, default=1
        How many threads share the worlds. It makes no difference to what is computed.

    Attributes
    ----------
    arrays : WorldArrays
        The state of all, with an axis for the worlds before the others.

    Raises
    ------
    ValueError
        If there is no world, or two differ in shape.
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
        self, worlds: Sequence[TreeWorld], *, smells: bool = True, threads: int = 1
    ) -> None:
        if len(worlds) == 0:
            raise ValueError("worlds must hold at least one world.")
        for index, world in enumerate(worlds):
            _check_world(world, worlds[0], index)
        walk = [world.takes_steps_in_compiled_code() for world in worlds]
        self._first_without_walker = None if all(walk) else walk.index(False)
        parts = [world.arrays for world in worlds]
        self.arrays = WorldArrays(*(np.stack(arrays) for arrays in zip(*parts, strict=True)))
        self._is_poisonous = torch.stack([world.is_poisonous for world in worlds])
        self._longest = torch.tensor([world.config.max_step_length for world in worlds])
        number = len(worlds)
        width = self.arrays.sources.shape[2] if smells else 0
        self._scents = np.zeros((number, width), dtype=np.float32)
        self._seen = np.full(number, stepping.NONE, dtype=np.int64)
        self._seen_distances = np.full(number, -1.0, dtype=np.float32)
        self._meals = np.full(number, stepping.NONE, dtype=np.int64)
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
        smells, threads
            As for `Worlds`.

        Returns
        -------
        Worlds
        """
        worlds = [TreeWorld.random_from_config(config, seed, model=model) for seed in seeds]
        return cls(worlds, smells=smells, threads=threads)

    def __len__(self) -> int:
        return len(self.arrays.time)

    @property
    def locations(self) -> torch.Tensor:
        """Where the trees stand, in metres, of shape (num_worlds, num_trees, dim)."""
        return torch.from_numpy(self.arrays.locations)

    @property
    def is_poisonous(self) -> torch.Tensor:
        """Whether their fruit harms, of shape (num_worlds, num_trees)."""
        return self._is_poisonous

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
        """What the living smelled in the last step, of shape (num_worlds, embed_dim)."""
        return torch.from_numpy(self._scents)

    @property
    def seen(self) -> torch.Tensor:
        """Index of the tree that each saw in the last step, −1 for none, of shape (num_worlds,)."""
        return torch.from_numpy(self._seen)

    @property
    def meals(self) -> torch.Tensor:
        """Index of the tree that each ate from in it, −1 for none, of shape (num_worlds,)."""
        return torch.from_numpy(self._meals)

    # --- time ------------------------------------------------------------------------------------

    def step(self, decide: Decide | None = None) -> None:
        """Let one step of time pass in all worlds whose agent lives.

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
        """
        if decide is None:
            self._walkers_only()
            self._share(lambda first, last: self._pass(True, first, last))
            return
        arrays = self.arrays
        body = arrays.position, arrays.heading, arrays.health
        changing = (*body, arrays.time, arrays.fruit_counts, arrays.regrows_at)
        before = [array.copy() for array in changing]
        try:
            self._share(lambda first, last: self._pass(False, first, last))
            stepping.move_all(*body, arrays.choices, *self._checked(*decide(self)))
        except BaseException:
            for array, copy in zip(changing, before, strict=True):
                array[:] = copy
            raise

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
        too_long = moves.norm(dim=-1) > self._longest * (1 + 1e-4)
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
        """
        number = whole_number("num_steps", num_steps, least=0)
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
        if self._first_without_walker is not None:
            raise TypeError(
                f"the model of world {self._first_without_walker} is none of the walkers Exploring "
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


def _check_world(world: TreeWorld, first: TreeWorld, index: int) -> None:
    if not (are_own_eyes(world.agent.eyes) and is_own_nose(world.agent.nose)):
        raise TypeError(
            f"world {index} has eyes or a nose that are none of the library's own. Many worlds "
            "side by side have a DirectionalSensor and a SimpleSensor; others live in a TreeWorld."
        )
    for array, other in zip(world.arrays, first.arrays, strict=True):
        if array.shape != other.shape:
            raise ValueError(
                "worlds must be alike in their dimension, in the number of their trees and in the "
                f"width of their embeddings, but world {index} has an array of shape {array.shape} "
                f"where world 0 has {other.shape}."
            )
