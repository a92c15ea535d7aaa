"""Where to look for trees that nobody knows: what a find is worth, against the way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.spatial

from tree_world.agents.ground import Prospects
from tree_world.checks import positive_distance, positive_number, whole_number


class Looking(Protocol):
    """Looks for trees that nobody knows.

    Attributes
    ----------
    target : numpy.ndarray of shape (2,) or None
        Where it goes; whoever sets it to None has a place chosen anew.
    """

    target: np.ndarray | None

    def reset(self) -> None:
        """Begin a life."""
        ...

    def where(
        self,
        position: np.ndarray,
        time: int,
        state: object,
        prospects: Callable[[], Prospects],
        worth: Callable[[], tuple[float, float]],
        goal: np.ndarray | None,
    ) -> np.ndarray | None:
        """See `Frontier.where`: give the place to look at now."""
        ...


class Frontier:
    r"""Choose places to look at.

    A place where :math:`\lambda` unknown trees are expected within sight, of which a share f is
    food, is worth :math:`f (1 - e^{-\lambda}) \, N \, H`: the chance to find a tree and that it is
    food, times the harvests H of N rounds. It costs what the way round by it costs more than the
    way without. Of all places that with the most trees a metre is looked at, `head_start` being
    added to each way, and only if it is worth more than it costs.

    Parameters
    ----------
    rounds : float, default=40.0
        How many harvests of a tree are counted.
    patience : int, default=7
        Steps after which the choice is made anew on the way; and steps to look round at the place.
    searched_radius : float, default=30.0
        A place that was looked at in vain is not chosen again, nor those within so many metres.
    head_start : float, default=50.0
        Metres that are added to each way, so that not the nearest ones are looked at first of all.

    Raises
    ------
    ValueError
        If a parameter is not positive.
    """

    def __init__(
        self,
        rounds: float = 40.0,
        patience: int = 7,
        searched_radius: float = 30.0,
        head_start: float = 50.0,
    ) -> None:
        self.rounds = positive_number("rounds", rounds)
        self.patience = whole_number("patience", patience, least=1)
        self.searched_radius = positive_distance("searched_radius", searched_radius)
        self.head_start = positive_distance("head_start", head_start)
        self.reset()

    def reset(self) -> None:
        """Forget where it has looked."""
        self.target: np.ndarray | None = None
        self._searched: list[np.ndarray] = []
        self._choose_at = 0
        self._give_up_at = 0
        self._in_vain: object = None
        self._again_at = 0

    def where(
        self,
        position: np.ndarray,
        time: int,
        state: object,
        prospects: Callable[[], Prospects],
        worth: Callable[[], tuple[float, float]],
        goal: np.ndarray | None,
    ) -> np.ndarray | None:
        """Give the place to look at now.

        Parameters
        ----------
        position : numpy.ndarray of shape (2,)
        time : int
        state : object
            What the choice depends on; when nothing was worth while, it is not thought of again
            before this has changed.
        prospects : callable
            Gives what may be found.
        worth : callable
            Gives how much a tree of unknown kind is worth in a round, in health points, and what a
            metre costs.
        goal : numpy.ndarray of shape (2,) or None
            Where it would go otherwise.

        Returns
        -------
        numpy.ndarray of shape (2,) or None
            None if no place is worth its way.
        """
        if self.target is not None:
            if math.hypot(*(self.target - position)) > self.patience:
                if time < self._choose_at:
                    return self.target
            elif time < self._give_up_at:
                return self.target
            else:
                self._searched.append(position.copy())
                self.target = None
        if state == self._in_vain and time < self._again_at:
            return None
        self.target = self._best(position, time, prospects(), worth, goal)
        if self.target is None:
            self._in_vain, self._again_at = state, time + 200
        return self.target

    def _best(
        self,
        position: np.ndarray,
        time: int,
        found: Prospects,
        worth: Callable[[], tuple[float, float]],
        goal: np.ndarray | None,
    ) -> np.ndarray | None:
        places, trees = found
        if self._searched and len(places):
            away = scipy.spatial.distance.cdist(places, np.stack(self._searched)).min(axis=1)
            new = away >= self.searched_radius
            places, trees = places[new], trees[new]
        if len(places) == 0:
            return None
        there = np.hypot(*(places - position).T)
        way = there
        if goal is not None:
            way = there + np.hypot(*(places - goal).T) - math.hypot(*(goal - position))
        best = int((trees / (way + self.head_start)).argmax())
        gain, cost = worth()
        chance = 1 - math.exp(-trees[best])
        if chance * gain * self.rounds < cost * way[best]:
            return None
        self._choose_at = time + self.patience
        # Ten metres a step, and some to look round.
        self._give_up_at = time + math.ceil(there[best] / 10.0) + self.patience
        target: np.ndarray = places[best]
        return target


class Wandering:
    """Look for trees on courses that are drawn, without a map.

    Parameters
    ----------
    length : float, default=100.0
        Of a course, in metres.
    seed : int, default=0
        Of the courses, which are the same in each life.

    Attributes
    ----------
    target : numpy.ndarray of shape (2,) or None
        Where it goes.

    Raises
    ------
    ValueError
        If the length is not positive.

    Examples
    --------
    >>> wandering = Wandering(length=40.0)
    >>> target = wandering.where(np.zeros(2), 1, None, None, None, None)
    >>> round(float(np.hypot(*target)), 3)
    40.0
    """

    def __init__(self, length: float = 100.0, seed: int = 0) -> None:
        self.length = positive_distance("length", length)
        self.seed = seed
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.target: np.ndarray | None = None
        self._give_up_at = 0
        self._generator = np.random.default_rng(self.seed)

    def where(
        self,
        position: np.ndarray,
        time: int,
        state: object,
        prospects: Callable[[], Prospects],
        worth: Callable[[], tuple[float, float]],
        goal: np.ndarray | None,
    ) -> np.ndarray | None:
        """See `Frontier.where`, which takes the same; this one looks at nothing but its place."""
        arrived = self.target is not None and math.hypot(*(self.target - position)) < 1.0
        if self.target is None or arrived or time >= self._give_up_at:
            angle = self._generator.uniform(0, 2 * math.pi)
            self.target = position + self.length * np.array([math.cos(angle), math.sin(angle)])
            self._give_up_at = time + math.ceil(self.length / 10.0) + 5
        return self.target
