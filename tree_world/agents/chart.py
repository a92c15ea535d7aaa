"""The trees that are remembered: what was seen of each, and what happened there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from tree_world.agents.constants import Constants
from tree_world.agents.worth import FOOD, NOTHING, POISON, Taste
from tree_world.models.memory import Memory

__all__ = ["KNOWN_SD"]

MERGE_DISTANCE = 3.0
"""Two sightings may be of one tree within so many combined deviations: 99 in 100 are."""

MERGE_SENSE_DISTANCE = 0.8
"""And if what was seen differs no more than that: one tree's fruit does by 0.79, names by 0.83."""

SAME_SENSE = 1e-3
"""Difference of any number above which what is seen has changed."""

KNOWN_SD = 1.5
"""Deviation below which a tree's place is known well enough, in metres."""

SAME_HARVEST = 50
"""Meals of one tree belong to one harvest if no more steps lie between them."""

FARTHEST_MEAL = 20.0
"""Who does not know yet how far it reaches takes it for no more than this, in metres."""

NEVER = -(10**9)
"""When a tree fed last that never did."""


@dataclass
class Story:
    """What happened at a tree.

    Attributes
    ----------
    verdict : int
        Food, poison, or nothing that is known.
    last_meal : int
        When it fed last.
    eaten : int
        How many of its fruits were eaten since it was full.
    looks : list of numpy.ndarray of shape (4,)
        From where and in which direction it was seen.
    seen_at : int
        When it was seen last.
    """

    verdict: int = NOTHING
    last_meal: int = NEVER
    eaten: int = 0
    looks: list[np.ndarray] = field(default_factory=list)
    seen_at: int = NEVER


class Chart:
    r"""What is known of trees.

    What they are like and where they stand is in a memory, into which sightings are merged: places
    by their uncertainty, senses by the newest, so that an emptied tree is not half full. A sighting
    tells the distance r to a tree, and its direction as exactly as the cone of sight is narrow; so
    it is written at :math:`x + r h` with deviation :math:`1 + r \varphi / \sqrt 3`, φ being half
    the angle of the cone. What the agent did there is kept beside, by the id in the memory.

    Parameters
    ----------
    sights : Memory
        In two dimensions, empty.
    taste : Taste
    constants : Constants
    half_cone : float, default=arccos(0.9)
        In radians.

    Attributes
    ----------
    ids : list of int
    places : numpy.ndarray of shape (m, 2)
        In metres.
    sds : numpy.ndarray of shape (m,)
        Their deviations, in metres.
    senses : numpy.ndarray of shape (m, sensory_dim)
    version : int
        Greater after each change of what there is, where, and what it is worth.

    Examples
    --------
    >>> from tree_world.agents.constants import Told
    >>> from tree_world.agents.worth import ByMouth
    >>> chart = Chart(Memory(2, 3), ByMouth(), Told())
    >>> chart.see(np.zeros(2), np.array([1.0, 0.0]), 8.0, torch.tensor([1.0, 0.0, 0.5]), time=1)
    0
    >>> chart.feed(np.zeros(2), 25.0, time=2)  # it is the tree that fed
    0
    >>> chart.places, chart.eaten
    (array([[8., 0.]]), array([1]))
    """

    def __init__(
        self,
        sights: Memory,
        taste: Taste,
        constants: Constants,
        half_cone: float = math.acos(0.9),
    ) -> None:
        self.sights, self.taste, self.constants = sights, taste, constants
        self.spread = half_cone / math.sqrt(3)
        self.version = 0
        self._stories: dict[int, Story] = {}
        self._orphans: list[tuple[int, np.ndarray, float]] = []
        self._read()

    def __len__(self) -> int:
        return len(self.ids)

    def _read(self) -> None:
        """Look at what the memory holds now."""
        stored = self.sights.observations()
        order = np.argsort(stored.ids.numpy())
        self.ids: list[int] = stored.ids.numpy()[order].tolist()
        self.places = stored.locations.double().numpy()[order]
        self.sds = stored.location_sds.double().numpy()[order].max(axis=1, initial=0.0)
        self.senses = stored.senses.numpy()[order]
        self._stories = {name: self._stories.get(name, Story()) for name in self.ids}
        self._take_stories()

    def _take_stories(self) -> None:
        stories = self._stories.values()
        self.verdicts = np.array([story.verdict for story in stories], dtype=np.int64)
        self.last_meals = np.array([story.last_meal for story in stories], dtype=np.int64)
        self.eaten = np.array([story.eaten for story in stories], dtype=np.int64)
        self.version += 1

    def number_of(self, name: int | None) -> int | None:
        """Find a tree in these arrays by its id; None if there is no such tree any more."""
        return self.ids.index(name) if name in self._stories else None

    def story_of(self, number: int) -> Story:
        """Tell what happened at a tree."""
        return self._stories[self.ids[number]]

    # --- sightings -------------------------------------------------------------------------------

    def see(
        self,
        position: np.ndarray,
        heading: np.ndarray,
        distance: float,
        sense: torch.Tensor,
        time: int,
    ) -> int:
        """Take note of a tree that is seen.

        It is written if it is new, if it has changed, or if it is seen from another side than
        before and its place is not known well: the same look again tells nothing, and its error is
        the same.

        Parameters
        ----------
        position, heading : numpy.ndarray of shape (2,)
        distance : float
            In metres.
        sense : torch.Tensor of shape (sensory_dim,)
        time : int

        Returns
        -------
        int
            The number of the tree.
        """
        place, sd = position + distance * heading, 1.0 + self.spread * distance
        seen = sense.numpy()
        number = self.recognise(place, sd, seen)
        look = np.array([*position, *heading])
        if number is None or self._tells_more(number, seen, look, distance):
            where = torch.from_numpy(place).float()[None]
            name = int(
                self.sights.write(
                    where,
                    sd,
                    sense[None],
                    update="replace",
                    times=float(time),
                    merge_distance=MERGE_DISTANCE,
                    merge_sense_distance=MERGE_SENSE_DISTANCE,
                )[0]
            )
            self._read()
            number = self.ids.index(name)
            self._stories[name].looks.append(look)
            self._adopt(number)
        story = self.story_of(number)
        if story.verdict == NOTHING:
            verdict = self.taste.verdict(seen)
            if verdict != NOTHING:
                story.verdict = verdict
                self._take_stories()
        story.seen_at = time
        return number

    def recognise(self, place: np.ndarray, sd: float, sense: np.ndarray) -> int | None:
        """Find which tree is seen, as the memory does that merges sightings.

        Parameters
        ----------
        place : numpy.ndarray of shape (2,)
            Where it seems to be.
        sd : float
        sense : numpy.ndarray of shape (sensory_dim,)

        Returns
        -------
        int or None
            Its number; None if it is new.
        """
        if not self.ids:
            return None
        offsets = self.places - place
        away = (offsets * offsets).sum(axis=1) / (self.sds**2 + sd**2)
        near = np.flatnonzero(away <= MERGE_DISTANCE**2)
        different = self.senses[near] - sense
        near = near[np.einsum("ij,ij->i", different, different) <= MERGE_SENSE_DISTANCE**2]
        return int(near[away[near].argmin()]) if len(near) else None

    def _tells_more(self, number: int, seen: np.ndarray, look: np.ndarray, distance: float) -> bool:
        if np.abs(self.senses[number] - seen).max() > SAME_SENSE:
            return True
        looks = self.story_of(number).looks
        if self.sds[number] <= KNOWN_SD:
            return False
        for other in looks[-30:]:
            moved = np.abs(other[:2] - look[:2]).max() >= 0.2 * distance
            turned = np.abs(other[2:] - look[2:]).max() >= 0.2
            if not (moved or turned):
                return False
        return True

    def remove(self, number: int) -> None:
        """Forget a tree: there is none."""
        self.sights.delete([self.ids[number]])
        self._read()

    def replace(self, ids: Sequence[int], places: np.ndarray, sds: np.ndarray) -> None:
        """Put trees where they are known better to be. What happened there stays theirs.

        Parameters
        ----------
        ids : sequence of int
        places : numpy.ndarray of shape (n, 2)
            In metres.
        sds : numpy.ndarray of shape (n,)
            Their deviations, in metres.

        Raises
        ------
        KeyError
            If there is no such tree.
        """
        each = torch.from_numpy(sds).float()[:, None].expand(-1, 2)
        self.sights.move(list(ids), torch.from_numpy(places).float(), each)
        numbers = [self.ids.index(name) for name in ids]
        self.places[numbers], self.sds[numbers] = places, sds
        self.version += 1

    # --- fruit -----------------------------------------------------------------------------------

    def is_full(self, time: int) -> np.ndarray:
        """Which trees are taken to bear all their fruit."""
        full: np.ndarray = time - self.last_meals >= self.constants.regrowth_steps
        return full

    def bears(self, time: int) -> np.ndarray:
        """Which trees are taken to bear any fruit."""
        bears: np.ndarray = self.is_full(time) | (self.eaten < self.constants.max_fruit)
        return bears

    def feed(self, position: np.ndarray, worth: float, time: int) -> int | None:
        """Find out which tree has fed, and take note.

        Parameters
        ----------
        position : numpy.ndarray of shape (2,)
        worth : float
            What the fruit was worth, in health points.
        time : int

        Returns
        -------
        int or None
            Its number; None if no tree is known to be there.
        """
        if self.ids:
            away = np.hypot(*(self.places - position).T)
            fits = away <= self._mouth + 3 * self.sds
            other = POISON if worth > 0 else FOOD
            away[self.verdicts == other] += 1000.0
            away[~self.bears(time)] += 500.0  # as far as is believed
            away[~fits] = np.inf
            number = int(away.argmin())
            if math.isfinite(away[number]):
                self._fed(number, worth, time)
                return self._felt(number, position, time)
        # Whose fruit that was is seen later.
        self._orphans = [*self._orphans[-20:], (time, position.copy(), worth)]
        return None

    def _felt(self, number: int, position: np.ndarray, time: int) -> int:
        """Take a meal for a sighting, if that tells more: the tree is within the mouth's reach."""
        name, sd = self.ids[number], self._mouth / 2
        if sd < self.sds[number]:
            self.sights.write(
                torch.from_numpy(position).float()[None],
                sd,
                torch.from_numpy(self.senses[number])[None],
                update="replace",
                times=float(time),
                merge_distance=2 * MERGE_DISTANCE,
                merge_sense_distance=SAME_SENSE,
            )
            self._read()
        return self.ids.index(name)

    @property
    def owes_poison(self) -> bool:
        """Whether poison was eaten of a tree that nobody has seen yet."""
        return any(worth < 0 for _, _, worth in self._orphans)

    @property
    def _mouth(self) -> float:
        """How far off a tree that fed it may be."""
        return min(self.constants.keep_off, FARTHEST_MEAL)

    def _fed(self, number: int, worth: float, time: int) -> None:
        story = self.story_of(number)
        age = time - story.last_meal
        if age >= self.constants.regrowth_steps or age > SAME_HARVEST:
            if story.last_meal != NEVER and story.eaten >= self.constants.max_fruit:
                self.constants.saw_again(self.ids[number], age, True)
            story.eaten = 0
        story.eaten += 1
        story.last_meal = time
        story.verdict = FOOD if worth > 0 else POISON
        self.taste.tasted(self.senses[number], worth)
        self.constants.ate(worth)
        self._take_stories()

    def _adopt(self, number: int) -> None:
        """Lay meals to the charge of a tree that had not been seen when they were eaten."""
        left = []
        for time, position, worth in self._orphans:
            away = math.hypot(*(self.places[number] - position))
            near = away <= self._mouth + 3 * self.sds[number]
            if near and time > self.story_of(number).last_meal:
                self._fed(number, worth, time)
            else:
                left.append((time, position, worth))
        self._orphans = left

    def emptied(self, number: int) -> None:
        """Note that a tree has no more fruit, for it fed just now, and does not any more."""
        story = self.story_of(number)
        self.constants.emptied(story.eaten)
        story.eaten = max(story.eaten, self.constants.max_fruit)
        self._take_stories()

    def look_about(self, position: np.ndarray, time: int) -> None:
        """Note that trees within reach which were emptied do not bear yet, when none feeds."""
        if not self.ids:
            return
        surely = (
            np.hypot(*(self.places - position).T) + 2 * self.sds + 1 < self.constants.mouth_reach
        )
        for number in np.flatnonzero(surely & (self.last_meals != NEVER)).tolist():
            story = self.story_of(number)
            if story.eaten >= self.constants.max_fruit:
                self.constants.saw_again(self.ids[number], time - story.last_meal, False)

    def correct(self, number: int, bears: bool, time: int) -> None:
        """Believe one's eyes about the fruit of a tree.

        Parameters
        ----------
        number : int
        bears : bool
            Whether it was seen, or found in vain, to bear.
        time : int
        """
        story, age = self.story_of(number), time - self.story_of(number).last_meal
        if story.last_meal != NEVER:
            self.constants.saw_again(self.ids[number], age, bears)
        if bears and not self.bears(time)[number]:
            story.last_meal, story.eaten = NEVER, 0
        elif not bears and self.bears(time)[number]:
            if age >= self.constants.regrowth_steps:
                story.last_meal = time
            story.eaten = self.constants.max_fruit
        else:
            return
        self._take_stories()
