"""What an agent takes the world's constants to be: told, or learned in its life."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from tree_world.checks import positive_distance, positive_number, whole_number


class Constants(Protocol):
    """What an agent believes of its world, and how it learns.

    Attributes
    ----------
    regrowth_steps : int
        After how many steps since its last meal a tree is taken to be full.
    regrowth_is_known : bool
        Whether that is more than a guess.
    are_told : bool
        Whether there is nothing to learn.
    fruit_health : float
        What a fruit is worth that does good, in health points.
    max_fruit : int
        Fruits on a full tree.
    mouth_reach : float
        How near a tree has to be to eat from it, in metres.
    keep_off : float
        How far it has to be so as not to, in metres.
    sight_reach : float
        How far eyes and nose reach, in metres.
    """

    @property
    def regrowth_steps(self) -> int: ...  # noqa: D102
    @property
    def fruit_health(self) -> float: ...  # noqa: D102
    @property
    def max_fruit(self) -> int: ...  # noqa: D102
    @property
    def mouth_reach(self) -> float: ...  # noqa: D102
    @property
    def keep_off(self) -> float: ...  # noqa: D102
    @property
    def sight_reach(self) -> float: ...  # noqa: D102

    @property
    def regrowth_is_known(self) -> bool: ...  # noqa: D102
    @property
    def are_told(self) -> bool: ...  # noqa: D102

    def saw(self, tree: int, distance: float, bears: bool, fed: bool) -> None:
        """Learn from a tree that is seen.

        Parameters
        ----------
        tree : int
            Its id.
        distance : float
            How far it is, in metres.
        bears : bool
            Whether it bears fruit.
        fed : bool
            Whether it fed just now.
        """
        ...

    def saw_again(self, tree: int, steps: int, bears: bool) -> None:
        """Learn from a tree so many steps after it was emptied, whether it bears or does not."""
        ...

    def ate(self, worth: float) -> None:
        """Learn from a fruit what it was worth."""
        ...

    def emptied(self, number: int) -> None:
        """Learn from a tree that it is empty after so many fruits."""
        ...


@dataclass(frozen=True)
class Told:
    """Constants that the agent is given; it learns nothing about them.

    Parameters
    ----------
    regrowth_steps : int, default=1000
    fruit_health : float, default=25.0
        In health points.
    max_fruit : int, default=5
    mouth_reach, sight_reach : float, default=10.0 and 100.0
        In metres.

    Raises
    ------
    ValueError
        If one is not positive.

    Examples
    --------
    >>> Told(mouth_reach=8.0).keep_off
    8.0
    """

    regrowth_steps: int = 1000
    fruit_health: float = 25.0
    max_fruit: int = 5
    mouth_reach: float = 10.0
    sight_reach: float = 100.0

    def __post_init__(self) -> None:
        whole_number("regrowth_steps", self.regrowth_steps, least=1)
        positive_number("fruit_health", self.fruit_health)
        whole_number("max_fruit", self.max_fruit, least=1)
        positive_distance("mouth_reach", self.mouth_reach)
        positive_distance("sight_reach", self.sight_reach)

    @property
    def keep_off(self) -> float:
        """As `mouth_reach`, which is known exactly."""
        return self.mouth_reach

    @property
    def regrowth_is_known(self) -> bool:
        """It was told."""
        return True

    @property
    def are_told(self) -> bool:
        """They are."""
        return True

    def saw(self, tree: int, distance: float, bears: bool, fed: bool) -> None:
        """Do nothing."""

    def saw_again(self, tree: int, steps: int, bears: bool) -> None:
        """Do nothing."""

    def ate(self, worth: float) -> None:
        """Do nothing."""

    def emptied(self, number: int) -> None:
        """Do nothing."""


class Threshold:
    """A number that is learned from what was below it and what was not.

    Experience errs now and then: a meal is laid to the charge of the wrong tree. So each tree has a
    say, and of all numbers between those that were met that is taken which contradicts the fewest.

    Attributes
    ----------
    bounds : (float, float)
        The greatest number below it, and the least that is not; 0 and infinite before any.

    Examples
    --------
    >>> threshold = Threshold()
    >>> for tree, number in enumerate([3.0, 7.0, 50.0]):
    ...     threshold.is_below(tree, number)
    >>> for tree, number in enumerate([9.0, 12.0, 20.0]):
    ...     threshold.is_not_below(tree, number)
    >>> threshold.bounds  # one of the six must have been an error
    (7.0, 9.0)
    """

    def __init__(self) -> None:
        self._below: dict[int, float] = {}
        self._beyond: dict[int, float] = {}
        self.bounds: tuple[float, float] = (0.0, math.inf)

    def is_below(self, tree: int, number: float) -> None:
        """Note a number that is below it, as a tree has shown."""
        if number > self._below.get(tree, 0.0):
            self._below[tree] = number
            self._draw()

    def is_not_below(self, tree: int, number: float) -> None:
        """Note a number that is as great, or greater."""
        if number < self._beyond.get(tree, math.inf):
            self._beyond[tree] = number
            self._draw()

    def _draw(self) -> None:
        below, beyond = sorted(self._below.values()), sorted(self._beyond.values())
        fewest, least = math.inf, math.inf
        for number in [*beyond, math.inf]:
            wrong = sum(one >= number for one in below) + sum(one < number for one in beyond)
            if wrong < fewest:
                fewest, least = wrong, number
        self.bounds = max([0.0, *(one for one in below if one < least)]), least


class Learned:
    """Constants as far as a life has shown them: bounds that experience draws together.

    Parameters
    ----------
    first_fruit : float, default=20.0
        What a fruit is taken to be worth before one was eaten, in health points.
    first_max_fruit : int, default=10
        How many fruits a tree is taken to bear before one was emptied.
    first_regrowth : int, default=10000
        After how many steps a tree is taken to bear again before one did: it is not counted on.
    boldness : float, default=0.8
        An emptied tree is tried again after this share of the time after which one bore.

    Raises
    ------
    ValueError
        If one is not positive.

    Examples
    --------
    >>> learned = Learned()
    >>> learned.saw_again(0, 1000, bears=True)
    >>> learned.regrowth_steps
    800
    >>> learned.saw_again(1, 800, bears=False)
    >>> learned.regrowth_steps
    1000
    """

    def __init__(
        self,
        first_fruit: float = 20.0,
        first_max_fruit: int = 10,
        first_regrowth: int = 10_000,
        boldness: float = 0.8,
    ) -> None:
        self.first_max_fruit = whole_number("first_max_fruit", first_max_fruit, least=1)
        self.first_regrowth = whole_number("first_regrowth", first_regrowth, least=1)
        self.boldness = positive_number("boldness", boldness)
        self._fruit = positive_number("first_fruit", first_fruit)
        self._regrowth, self._mouth = Threshold(), Threshold()
        self._most = 0
        self._farthest = 1.0

    @property
    def are_told(self) -> bool:
        """They are not."""
        return False

    @property
    def regrowth_is_known(self) -> bool:
        """Whether a tree bore again."""
        return self._regrowth.bounds[1] < math.inf

    @property
    def regrowth_steps(self) -> int:
        """The least after which a tree bore again, or less, if that was not in vain."""
        if not self.regrowth_is_known:
            return self.first_regrowth
        in_vain, bore = self._regrowth.bounds
        return math.ceil(min(bore, max(self.boldness * bore, in_vain / self.boldness)))

    @property
    def fruit_health(self) -> float:
        """What the last one was worth that did good."""
        return self._fruit

    @property
    def max_fruit(self) -> int:
        """The most that a tree gave that was emptied."""
        return self._most or self.first_max_fruit

    @property
    def mouth_reach(self) -> float:
        """The greatest distance of a tree that fed it."""
        return self._mouth.bounds[0]

    @property
    def keep_off(self) -> float:
        """The least distance of a tree that bore, and did not feed it."""
        return self._mouth.bounds[1]

    @property
    def sight_reach(self) -> float:
        """The greatest distance of a tree that was seen."""
        return self._farthest

    def saw(self, tree: int, distance: float, bears: bool, fed: bool) -> None:
        """See `Constants.saw`."""
        self._farthest = max(self._farthest, distance)
        if fed:
            self._mouth.is_below(tree, distance)
        elif bears:
            self._mouth.is_not_below(tree, distance)

    def saw_again(self, tree: int, steps: int, bears: bool) -> None:
        """See `Constants.saw_again`."""
        if bears:
            self._regrowth.is_not_below(tree, steps)
        else:
            self._regrowth.is_below(tree, steps)

    def ate(self, worth: float) -> None:
        """See `Constants.ate`."""
        if worth > 0:
            self._fruit = worth

    def emptied(self, number: int) -> None:
        """See `Constants.emptied`."""
        self._most = max(self._most, number)
