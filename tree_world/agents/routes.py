"""Ways between trees that keep out of the reach of others.

Places to keep away from are discs. The shortest way round discs touches them; here each disc has
a regular polygon around it, and ways go straight from corner to corner where no disc is in between.
With twelve corners a way round is at most a twentieth longer than need be.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tree_world.checks import positive_distance
from tree_world.compiling import compiled_exactly

_CORNERS = 12
_WIDER = 1.0001 / math.cos(math.pi / _CORNERS)  # so that the sides, too, pass the disc by
_ANGLES = 64  # of the points at which an agent may stand to eat
_INNER = 0.98  # how far out they lie, as a share of the mouth's reach


class Routes:
    """Shortest ways to known places, round what is to be avoided.

    Parameters
    ----------
    places : array_like of shape (n, 2)
        Where one may want to go, in metres.
    avoid : array_like of shape (m, 2), optional
        What to keep away from.
    radius : float or array_like of shape (m,), default=10.5
        How far, in metres: from all, or from each.
    reach : float, default=10.0
        How near to a place one has to come, in metres.

    Attributes
    ----------
    places : numpy.ndarray of shape (n, 2)
    stands : numpy.ndarray of shape (n, 2)
        The point within reach of each place that is nearest to it and not to be avoided; NaN where
        there is none.
    avoid : numpy.ndarray of shape (m, 2)
    radii : numpy.ndarray of shape (m,)
    lengths : numpy.ndarray of shape (n, n)
        Of the ways between these points, in metres; infinite where there is no way.

    Raises
    ------
    ValueError
        If places do not lie in the plane, or a distance is not positive.

    Examples
    --------
    >>> routes = Routes([[0.0, 0.0], [100.0, 0.0]], avoid=[[50.0, 0.0]], radius=10.0)
    >>> bool(100 < routes.lengths[0, 1] < 105)
    True
    >>> float(np.hypot(*routes.step_towards(routes.places[0], routes.places[1], 10.0)).round(3))
    10.0
    """

    def __init__(
        self, places: Any, avoid: Any = None, *, radius: Any = 10.5, reach: float = 10.0
    ) -> None:
        self.places = _in_the_plane("places", places)
        self.avoid = _in_the_plane("avoid", () if avoid is None else avoid)
        self.radii = _radii(radius, len(self.avoid))
        self.reach = positive_distance("reach", reach)
        self.stands = np.empty_like(self.places)
        for index, place in enumerate(self.places):
            self.stands[index] = self._nearest_stand(place)
        corners = corners_around(self.avoid, self.radii)
        self._nodes = np.vstack([self.stands, corners])
        self._direct = direct_lengths(self._nodes, self.avoid, self.radii)
        self._to = shortest_lengths(self._direct, len(self.places))
        self.lengths = self._to[:, : len(self.places)].copy()

    def _nearest_stand(self, place: np.ndarray) -> np.ndarray:
        if is_free(place, self.avoid, self.radii):
            return place
        for share in np.linspace(0.1, 1.0, 10):
            ring = stands_around(place, share * _INNER * self.reach)
            free = [point for point in ring if is_free(point, self.avoid, self.radii)]
            if free:
                middle = np.mean(free, axis=0)
                return min(free, key=lambda point: float(np.hypot(*(point - middle))))
        return np.full(2, np.nan)

    def lengths_from(self, position: np.ndarray) -> np.ndarray:
        """Find how far all places are.

        Parameters
        ----------
        position : numpy.ndarray of shape (2,)
            One's own place, in metres.

        Returns
        -------
        numpy.ndarray of shape (n,)
            In metres, to where one would stand; infinite where there is no way.
        """
        at = np.asarray(position, dtype=np.float64)
        lengths: np.ndarray = lengths_from(at, self._nodes, self.avoid, self.radii, self._to)
        return lengths

    def stand_for(
        self,
        position: np.ndarray,
        index: int,
        afterwards: int | None = None,
        *,
        longest: float = 10.0,
    ) -> np.ndarray:
        """Find where to stand to eat, so that the way there and on is short.

        Parameters
        ----------
        position : numpy.ndarray of shape (2,)
            One's own place, in metres.
        index : int
            Of the place whose fruit is to be eaten.
        afterwards : int, optional
            Of the place to go to afterwards.
        longest : float, default=10.0
            Length of a step, in metres: what a last, shorter step would save is walked on.

        Returns
        -------
        numpy.ndarray of shape (2,)
        """
        at = np.asarray(position, dtype=np.float64)
        after = at if afterwards is None else self.stands[afterwards]
        ring = stands_around(self.places[index], _INNER * self.reach)
        best = best_stand(ring, at, after, longest, self.avoid, self.radii)
        stand: np.ndarray = ring[best] if best >= 0 else self.stands[index]
        return stand

    def step_towards(self, position: np.ndarray, goal: np.ndarray, longest: float) -> np.ndarray:
        """Take a step of the shortest way.

        Parameters
        ----------
        position, goal : numpy.ndarray of shape (2,)
            In metres.
        longest : float
            Length of the step, in metres; it is shorter at corners and at the end.

        Returns
        -------
        numpy.ndarray of shape (2,)
            The displacement; zero where there is no way.
        """
        at, to = np.asarray(position, np.float64), np.asarray(goal, np.float64)
        corners = self._nodes[len(self.places) :]
        direct = self._direct[len(self.places) :, len(self.places) :]
        point = first_corner(at, to, corners, direct, self.avoid, self.radii)
        offset = point - at
        length = float(np.hypot(offset[0], offset[1]))
        return offset if length <= longest else offset * (longest / length)


def _in_the_plane(name: str, points: Any) -> np.ndarray:
    found = np.asarray(points, dtype=np.float64)
    if found.size == 0:
        return np.empty((0, 2))
    if found.ndim != 2 or found.shape[1] != 2 or not np.isfinite(found).all():
        raise ValueError(
            f"{name} must be points of the plane, finite numbers of shape (n, 2), but an array of "
            f"shape {found.shape} was given. Ways round others are found in the plane alone."
        )
    return found


def _radii(radius: Any, number: int) -> np.ndarray:
    """Give a radius for each disc."""
    found = np.asarray(radius, dtype=np.float64)
    if found.shape not in ((), (number,)):
        raise ValueError(
            f"radius must be one number, or one for each of the {number} places to avoid, but an "
            f"array of shape {found.shape} was given."
        )
    for one in found.reshape(-1).tolist():
        positive_distance("radius", one)
    return np.broadcast_to(found, number).copy()


def stands_around(place: np.ndarray, distance: float) -> np.ndarray:
    """Give points all round a place.

    Parameters
    ----------
    place : numpy.ndarray of shape (2,)
    distance : float

    Returns
    -------
    numpy.ndarray of shape (64, 2)
    """
    angles = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
    return place + distance * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def corners_around(avoid: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Give the corners of polygons around discs, without those that lie in other discs.

    Parameters
    ----------
    avoid : numpy.ndarray of shape (m, 2)
    radii : numpy.ndarray of shape (m,)

    Returns
    -------
    numpy.ndarray of shape (at most 12 m, 2)
    """
    angles = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
    polygon = _WIDER * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners: np.ndarray = (avoid[:, None] + radii[:, None, None] * polygon).reshape(-1, 2)
    free = [is_free(corner, avoid, radii) for corner in corners]
    kept: np.ndarray = corners[np.array(free, dtype=bool)]
    return kept


@compiled_exactly
def is_free(point: np.ndarray, avoid: np.ndarray, radii: np.ndarray) -> bool:
    """Say whether a point lies in no disc."""
    for disc in range(len(avoid)):
        across, along = point[0] - avoid[disc, 0], point[1] - avoid[disc, 1]
        if across * across + along * along <= radii[disc] * radii[disc]:
            return False
    return True


@compiled_exactly
def best_stand(
    ring: np.ndarray,
    start: np.ndarray,
    after: np.ndarray,
    longest: float,
    avoid: np.ndarray,
    radii: np.ndarray,
) -> int:
    """Find the point that is best to pass on the way to another.

    Parameters
    ----------
    ring : numpy.ndarray of shape (k, 2)
        Points to choose from.
    start, after : numpy.ndarray of shape (2,)
        Where one comes from, and goes afterwards.
    longest : float
        Length of a step; a shorter one counts as much.
    avoid : numpy.ndarray of shape (m, 2)
    radii : numpy.ndarray of shape (m,)

    Returns
    -------
    int
        −1 if none is free, or can be gone straight at.
    """
    best, least = -1, np.inf
    for point in range(len(ring)):
        x, y = ring[point, 0] - start[0], ring[point, 1] - start[1]
        on_x, on_y = ring[point, 0] - after[0], ring[point, 1] - after[1]
        steps = math.ceil(math.sqrt(x * x + y * y) / longest - 1e-4)
        length = steps * longest + math.sqrt(on_x * on_x + on_y * on_y)
        is_better = length < least and is_free(ring[point], avoid, radii)
        if is_better and is_clear(start, ring[point], avoid, radii):
            best, least = point, length
    return best


@compiled_exactly
def is_clear(start: np.ndarray, end: np.ndarray, avoid: np.ndarray, radii: np.ndarray) -> bool:
    """Say whether the way straight on meets no disc, and leads out of such as one stands in.

    Parameters
    ----------
    start, end : numpy.ndarray of shape (2,)
    avoid : numpy.ndarray of shape (m, 2)
    radii : numpy.ndarray of shape (m,)
    """
    x, y = end[0] - start[0], end[1] - start[1]
    square = x * x + y * y
    for disc in range(len(avoid)):
        to_x, to_y = avoid[disc, 0] - start[0], avoid[disc, 1] - start[1]
        if to_x * to_x + to_y * to_y <= radii[disc] * radii[disc]:
            if to_x * x + to_y * y > 0:
                return False
            continue
        share = 0.0
        if square > 0:
            share = min(max((to_x * x + to_y * y) / square, 0.0), 1.0)
        off_x, off_y = to_x - share * x, to_y - share * y
        if off_x * off_x + off_y * off_y <= radii[disc] * radii[disc]:
            return False
    return True


@compiled_exactly
def direct_lengths(nodes: np.ndarray, avoid: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Measure the ways straight on between nodes.

    Parameters
    ----------
    nodes : numpy.ndarray of shape (k, 2)
    avoid : numpy.ndarray of shape (m, 2)
    radii : numpy.ndarray of shape (m,)

    Returns
    -------
    numpy.ndarray of shape (k, k)
        Infinite where a disc is in between, or a node is not a number.
    """
    number = len(nodes)
    lengths = np.full((number, number), np.inf)
    for one in range(number):
        if np.isnan(nodes[one, 0]):
            continue
        lengths[one, one] = 0.0
        for other in range(one):
            x, y = nodes[one, 0] - nodes[other, 0], nodes[one, 1] - nodes[other, 1]
            length = math.sqrt(x * x + y * y)
            if length >= 0 and is_clear(nodes[one], nodes[other], avoid, radii):
                lengths[one, other] = lengths[other, one] = length
    return lengths


@compiled_exactly
def settle(far: np.ndarray, direct: np.ndarray) -> None:
    """Shorten ways to nodes by going over other nodes, until no way is shorter (Dijkstra).

    Parameters
    ----------
    far : numpy.ndarray of shape (k,)
        Ways straight on; changed in place.
    direct : numpy.ndarray of shape (k, k)
    """
    number = len(far)
    settled = np.zeros(number, dtype=np.bool_)
    for _ in range(number):
        nearest, least = -1, np.inf
        for node in range(number):
            if not settled[node] and far[node] < least:
                nearest, least = node, far[node]
        if nearest < 0:
            return
        settled[nearest] = True
        for node in range(number):
            far[node] = min(far[node], least + direct[nearest, node])


@compiled_exactly
def shortest_lengths(direct: np.ndarray, first: int) -> np.ndarray:
    """Find the shortest ways from the first nodes to all.

    Parameters
    ----------
    direct : numpy.ndarray of shape (k, k)
    first : int
        How many nodes ways begin at.

    Returns
    -------
    numpy.ndarray of shape (first, k)
    """
    lengths = np.full((first, len(direct)), np.inf)
    for start in range(first):
        for node in range(len(direct)):
            lengths[start, node] = direct[start, node]
        settle(lengths[start], direct)
    return lengths


@compiled_exactly
def lengths_from(
    position: np.ndarray, nodes: np.ndarray, avoid: np.ndarray, radii: np.ndarray, to: np.ndarray
) -> np.ndarray:
    """Find the shortest ways from a position, over the node that is best to go to first.

    Parameters
    ----------
    position : numpy.ndarray of shape (2,)
    nodes : numpy.ndarray of shape (k, 2)
    avoid : numpy.ndarray of shape (m, 2)
    radii : numpy.ndarray of shape (m,)
    to : numpy.ndarray of shape (n, k)
        Shortest ways between the first n nodes and all.

    Returns
    -------
    numpy.ndarray of shape (n,)
    """
    number = len(to)
    lengths = np.full(number, np.inf)
    for node in range(len(nodes)):
        x, y = nodes[node, 0] - position[0], nodes[node, 1] - position[1]
        length = math.sqrt(x * x + y * y)
        if length >= 0 and is_clear(position, nodes[node], avoid, radii):
            for goal in range(number):
                lengths[goal] = min(lengths[goal], length + to[goal, node])
    return lengths


@compiled_exactly
def first_corner(
    position: np.ndarray,
    goal: np.ndarray,
    corners: np.ndarray,
    direct: np.ndarray,
    avoid: np.ndarray,
    radii: np.ndarray,
) -> np.ndarray:
    """Find what to go straight at: the goal, or the first corner of the shortest way.

    Parameters
    ----------
    position, goal : numpy.ndarray of shape (2,)
    corners : numpy.ndarray of shape (k, 2)
    direct : numpy.ndarray of shape (k, k)
        Ways straight on between corners.
    avoid : numpy.ndarray of shape (m, 2)
    radii : numpy.ndarray of shape (m,)

    Returns
    -------
    numpy.ndarray of shape (2,)
        The position itself where there is no way.
    """
    if is_clear(position, goal, avoid, radii):
        return goal.copy()
    number = len(corners)
    far = np.full(number, np.inf)
    for corner in range(number):
        if is_clear(corners[corner], goal, avoid, radii):
            x, y = corners[corner, 0] - goal[0], corners[corner, 1] - goal[1]
            far[corner] = math.sqrt(x * x + y * y)
    settle(far, direct)
    best, least = -1, np.inf
    for corner in range(number):
        x, y = corners[corner, 0] - position[0], corners[corner, 1] - position[1]
        length = math.sqrt(x * x + y * y)
        # A corner that has been reached is not gone to again.
        is_better = length > 1e-3 and length + far[corner] < least
        if is_better and is_clear(position, corners[corner], avoid, radii):
            best, least = corner, length + far[corner]
    chosen: np.ndarray = position if best < 0 else corners[best]
    return chosen.copy()
