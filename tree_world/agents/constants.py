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

    def saw(self, distance: float, bears: bool, ate: bool) -> None:
        """Learn from a tree that is seen: how far it is, whether it bears, and whether one ate."""
        ...

    def saw_again(self, steps: int, bears: bool) -> None:
        """Learn from a tree so many steps after it was emptied, whether it bears or does not."""
        ...

    def ate(self, worth: float, number: int) -> None:
        """Learn from a fruit, what it was worth, and that it was the so-many-th of its tree."""
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

    def saw(self, distance: float, bears: bool, ate: bool) -> None:
        """Do nothing."""

    def saw_again(self, steps: int, bears: bool) -> None:
        """Do nothing."""

    def ate(self, worth: float, number: int) -> None:
        """Do nothing."""


class Learned:
    """Constants as far as a life has shown them: bounds that experience draws together.

    Parameters
    ----------
    first_fruit : float, default=20.0
        What a fruit is taken to be worth before one was eaten, in health points.
    first_regrowth : int, default=100
        After how many steps a tree is looked at again before it is known to be in vain.
    patience : float, default=1.25
        By how much longer it is waited after it was in vain.

    Examples
    --------
    >>> learned = Learned()
    >>> learned.saw_again(400, bears=False)
    >>> learned.regrowth_steps
    500
    >>> learned.saw_again(480, bears=True)
    >>> learned.regrowth_steps
    480
    """

    def __init__(
        self, first_fruit: float = 20.0, first_regrowth: int = 100, patience: float = 1.25
    ) -> None:
        self.patience = positive_number("patience", patience)
        self._fruit = positive_number("first_fruit", first_fruit)
        self._still_empty = whole_number("first_regrowth", first_regrowth, least=1) / patience
        self._full_again = math.inf
        self._most = 1
        self._ate_at, self._went_hungry_at = 0.0, math.inf
        self._farthest = 1.0

    @property
    def regrowth_steps(self) -> int:
        """The least after which a tree bore again, or longer than was ever in vain."""
        return math.ceil(min(self._full_again, self.patience * self._still_empty))

    @property
    def fruit_health(self) -> float:
        """What the last one was worth that did good."""
        return self._fruit

    @property
    def max_fruit(self) -> int:
        """The most that a tree gave."""
        return self._most

    @property
    def mouth_reach(self) -> float:
        """The greatest distance of a tree that fed it."""
        return self._ate_at

    @property
    def keep_off(self) -> float:
        """The least distance of a tree that bore, and did not feed it."""
        return self._went_hungry_at

    @property
    def sight_reach(self) -> float:
        """The greatest distance of a tree that was seen."""
        return self._farthest

    def saw(self, distance: float, bears: bool, ate: bool) -> None:
        """See `Constants.saw`: of who ate while it saw an empty tree nothing can be told."""
        self._farthest = max(self._farthest, distance)
        if ate and bears and distance < self._went_hungry_at:
            self._ate_at = max(self._ate_at, distance)
        elif bears and not ate and distance > self._ate_at:
            self._went_hungry_at = min(self._went_hungry_at, distance)

    def saw_again(self, steps: int, bears: bool) -> None:
        """See `Constants.saw_again`."""
        if bears:
            self._full_again = min(self._full_again, steps)
        else:
            self._still_empty = max(self._still_empty, steps)

    def ate(self, worth: float, number: int) -> None:
        """See `Constants.ate`."""
        if worth > 0:
            self._fruit = worth
            self._most = max(self._most, number)
