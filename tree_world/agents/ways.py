"""Ways between what is known: round poison, as far off as its place is unsure."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from tree_world.agents.chart import Chart
from tree_world.agents.constants import Constants
from tree_world.agents.escape import step_out
from tree_world.agents.routes import Routes
from tree_world.agents.worth import FOOD, POISON

MOST_UNSURE = 8.0
"""No more than this is added to a disc for a place that is unsure, in metres."""

_SHORT = 1 - 1e-6  # by which steps are shorter than they may be, as they are rounded


class Ways:
    """Finds ways between the trees of a chart, and keeps them while what is known stays.

    Parameters
    ----------
    chart : Chart
    constants : Constants
    max_step_length : float
        In metres.
    margin : float
        How far to keep out of the reach of poison, in metres, beside what its place is unsure.
    goes_round : bool
        Whether poison is kept away from at all.

    Attributes
    ----------
    food : list of int
        The ids of the trees that ways lead to.
    routes : Routes
        Between them.
    """

    def __init__(
        self,
        chart: Chart,
        constants: Constants,
        max_step_length: float,
        margin: float,
        goes_round: bool,
    ) -> None:
        self.chart, self.constants = chart, constants
        self.max_step_length, self.margin = max_step_length, margin
        self.goes_round = goes_round
        self.food: list[int] = []
        self.routes = Routes([])
        self._made_for: tuple[list[int], np.ndarray, np.ndarray] | None = None
        self._version = -1

    @property
    def keep_off(self) -> float:
        """How far to keep from what must not feed, in metres, with no margin."""
        return min(self.constants.keep_off, 2 * self.max_step_length)

    def look_up(self, barred: Collection[int]) -> bool:
        """Find ways anew if trees have become known, or moved, or turned out to be something.

        Parameters
        ----------
        barred : collection of int
            The ids of trees that no way is wanted to.

        Returns
        -------
        bool
            Whether they have changed.
        """
        chart = self.chart
        if chart.version == self._version and not barred and self._made_for is not None:
            return False
        self._version = chart.version
        edible = np.flatnonzero(chart.verdicts == FOOD).tolist()
        food = [number for number in edible if chart.ids[number] not in barred]
        poison = (chart.verdicts == POISON) & self.goes_round
        unsure = np.minimum(MOST_UNSURE, chart.sds[poison]).round()
        # What moves by less than half a metre is left where it was.
        names = [chart.ids[number] for number in food]
        places = np.vstack([chart.places[food], chart.places[poison]]).round()
        if self._made_for is not None:
            names_then, places_then, unsure_then = self._made_for
            if (
                names == names_then
                and np.array_equal(places, places_then)
                and np.array_equal(unsure, unsure_then)
            ):
                return False
        self._made_for, self.food = (names, places, unsure), names
        self.routes = Routes(
            chart.places[food],
            chart.places[poison],
            radius=self.keep_off + self.margin + unsure,
            reach=max(1.0, 0.8 * self.constants.mouth_reach),
        )
        return True

    def forget(self) -> None:
        """Find ways anew the next time."""
        self._made_for = None

    def step_to(self, position: np.ndarray, point: np.ndarray) -> np.ndarray | None:
        """Take a step of the way to a point; None if one is there."""
        if math.hypot(*(point - position)) < 0.05:
            return None
        longest = self.max_step_length * _SHORT
        step = self.routes.step_towards(position, point, longest)
        if step.any():
            return step
        return step_out(position, point, longest, self.routes.avoid, self.routes.radii)

    def outside(self, points: np.ndarray) -> np.ndarray:
        """Move points out of what is kept away from, the shortest way out of each disc."""
        for place, radius in zip(self.routes.avoid, self.routes.radii, strict=True):
            off = points - place
            length = np.hypot(*off.T)[:, None]
            course = np.where(length > 1e-6, off / np.maximum(length, 1e-6), [1.0, 0.0])
            points = np.where(length < radius, place + (radius + 0.5) * course, points)
        return points
