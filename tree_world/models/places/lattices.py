r"""Whether a world repeats, and after which shifts: read off from learned places and smells.

On a torus, places that were learned from actions go on and on, over a plane that covers the torus
many times, while smells repeat. So places that smell the same differ by a point of a *lattice*,

.. math::

    x_j - x_i \approx \sum_{a=1}^{k} n_a v_a, \qquad n_a \in \mathbb{Z},

which is all zero where they are one place. Differences of such pairs pile up at these points, and
the periods v are read off there:

1. Each strong smell is paired with the one most like it, of those more than `apart` steps away.
2. Where differences of their places are densest, there may be a period.
3. It is one if smells are told by those a period away: of all strong smells, at places x for which
   the body has been near x + v or x − v, whatever it smelled there, that must tell at least an R²
   of 0.9; and these places must be many, in some parts of space. A plane does not pass in which two
   trees smell alike, or two sides of one.
4. Of all periods, the shortest lattice is made that has them all, and fitted to all pairs by least
   squares, with whole numbers n that are told anew from the last fit.

What can be known: as far as places are right up to an affine map, so is the lattice.

References
----------
C. L. Lawson and R. J. Hanson, "Solving Least Squares Problems", 1974, for the fit; H. Minkowski,
"Geometrie der Zahlen", 1910, for the basis, of which no vector can be made shorter by others.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.spatial
import torch

from tree_world.checks import (
    PointsLike,
    as_numbers,
    as_points,
    as_senses,
    checked_number,
    positive_distance,
    whole_number,
)
from tree_world.models.memory.recall.kriging import NUGGET, Kriging, evenly_spread
from tree_world.models.places.bases import OFF, SHORTEST, around, fitted, lattice_of
from tree_world.models.places.directions import directions_of

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.intp]
Bools: TypeAlias = npt.NDArray[np.bool_]

_STRONG = 0.5  # of the root mean square of smells: less than that smells of little
_SAME = 0.1  # of it: the distance of smells that are the same
_PILE = 10  # pairs, of which a pile has at least as many
_PILES = 30  # of which one asks whether they are periods, the highest first
_NEAR = 0.15  # of the length: so near to a place a period away must the body have been
_ASKED = 300  # such places, at most, of which smells are told
_RETURNS = 50  # so many there must be
_PARTS = 5  # of space, a length from each other, in which they must lie
_LEAST_R2 = 0.9  # of these
_AT_ONCE = 4_000_000  # distances of smells that are held at a time


@dataclass(frozen=True)
class Periods:
    """After which shifts a world repeats, and which smells were of the same place.

    Attributes
    ----------
    vectors : numpy.ndarray of float64, of shape (k, dim)
        A basis of the lattice, in units of the places; the shortest first, and none of them can be
        made shorter by adding others. Of no rows if no period was found; of fewer than `dim` if
        along some direction the body was never a period away, or there is none.
    found : bool
        Whether there is a period.
    reason : str
        Why not; empty if there is.
    twins : numpy.ndarray of int, of shape (n_twins, 2)
        Numbers of two observations that smell the same, the earlier first, of which places differ
        by a point of the lattice.
    steps : numpy.ndarray of int, of shape (n_twins, k)
        That point: how many of each of the vectors lead from the first of them to the second.
    differences : numpy.ndarray of float64, of shape (n_pairs, dim)
        Of places of all pairs that smell the same, on the lattice or not: the second less the
        first. They show the lattice.
    r2 : float
        How well smells are told by those a period away, as the share of their variance that is
        explained; not a number if no period was found.
    """

    vectors: Array
    found: bool
    reason: str
    twins: Numbers
    steps: Numbers
    differences: Array
    r2: float

    @property
    def at_home(self) -> Bools:
        """Which twins are one place in the covering space, too: of shape (n_twins,)."""
        return np.asarray(~self.steps.any(axis=1))

    def fold(self, places: PointsLike) -> Array:
        r"""Shift places by whole periods into one cell about the origin.

        With :math:`x = \sum_a c_a v_a`, they are those with :math:`-\frac12 \le c_a < \frac12`.
        What lies across all vectors stays as it is. Twins come to lie side by side, so that an
        ordinary memory takes them for one place, but for those on either side of the border of the
        cell: see `images`.

        Parameters
        ----------
        places : array_like of shape (..., dim)

        Returns
        -------
        numpy.ndarray of float64, of shape (..., dim)
            As they are, if there is no period.

        Raises
        ------
        ValueError
            If they have another dimension, or are not finite.

        Examples
        --------
        >>> nothing = np.empty((0, 2), int)
        >>> vectors = np.array([[3.0, 0.0], [1.0, 4.0]])
        >>> found = Periods(vectors, True, "", nothing, nothing, np.empty((0, 2)), 1.0)
        >>> found.fold([[0.5, 1.0], [3.5, 1.0], [4.5, 5.0]]).tolist()
        [[0.5, 1.0], [0.5, 1.0], [0.5, 1.0]]
        """
        where = as_points(places, self.vectors.shape[1], "places", torch.float64).detach().numpy()
        return np.asarray(where - np.floor(self._shares(where) + 0.5) @ self.vectors)

    def images(self, places: PointsLike, margin: float) -> tuple[Numbers, Array]:
        """Fold places, and add those of their images that lie just outside of the cell.

        A memory in which all images are written is read rightly at folded places up to the border
        of the cell, if the margin is as far as it reads.

        Parameters
        ----------
        places : array_like of shape (n_places, dim)
        margin : float
            How far outside of the cell, in units of the places: less than the shortest vector.

        Returns
        -------
        which : numpy.ndarray of int, of shape (n_images,)
            Of which place each is an image; each place is among them once for itself, in order.
        images : numpy.ndarray of float64, of shape (n_images, dim)

        Raises
        ------
        ValueError
            If shapes do not fit, or the margin is no positive distance, or as long as a period.

        Examples
        --------
        >>> nothing = np.empty((0, 1), int)
        >>> vectors = np.array([[10.0]])
        >>> found = Periods(vectors, True, "", np.empty((0, 2), int), nothing, vectors, 1.0)
        >>> which, images = found.images([[1.0], [14.0]], margin=2.0)
        >>> which.tolist(), images.ravel().tolist()
        ([0, 1, 1], [1.0, 4.0, -6.0])
        """
        positive_distance("margin", margin)
        folded = self.fold(places).reshape(-1, self.vectors.shape[1])
        which = np.arange(len(folded))
        if not len(self.vectors):
            return which, folded
        if margin >= np.linalg.norm(self.vectors, axis=1).min():
            raise ValueError(
                "margin must be less than the shortest period, "
                f"{np.linalg.norm(self.vectors, axis=1).min():.6g}, but is {margin}."
            )
        numbers = np.array(list(itertools.product((-1, 0, 1), repeat=len(self.vectors))))
        numbers = numbers[numbers.any(axis=1)]
        moved = folded[:, None] + numbers @ self.vectors
        # Borders of the cell along a lie as far apart as one over the length of its dual vector.
        wide = margin * np.linalg.norm(np.linalg.pinv(self.vectors), axis=0)
        near = (np.abs(self._shares(moved)) <= 0.5 + wide).all(axis=-1)
        again = np.broadcast_to(which[:, None], near.shape)[near]
        return np.concatenate([which, again]), np.concatenate([folded, moved[near]])

    def _shares(self, places: Array) -> Array:
        """Coordinates c along the vectors."""
        return np.asarray(places @ np.linalg.pinv(self.vectors))


def periods(
    places: PointsLike,
    senses: PointsLike,
    *,
    length: float = 1.0,
    nugget: float = NUGGET,
    apart: int = 100,
) -> Periods:
    r"""Find out whether a world repeats.

    Parameters
    ----------
    places : array_like of shape (n, dim)
        Of a body, in any unit: as learned, up to an affine map, such as the later n of
        `ShiftSpace.locations_`.
    senses : array_like of shape (n, sensory_dim)
        What was smelled there, in the order in which it was.
    length : float, default=1.0
        Length of the kernel, in units of the places: that which was given to `ShiftSpace`, or one.
        Periods that are no longer than this are not found.
    nugget : float, default=0.02
        Standard deviation of what a smooth field does not explain of smells, as a share of its own.
    apart : int, default=100
        Steps between two smells that are compared, zero or more.

    Returns
    -------
    Periods

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of its range, or an entry is not finite.

    Examples
    --------
    Smells that repeat after 8 in one direction, and after 9 in the other:

    >>> random = np.random.default_rng(0)
    >>> places = random.normal(scale=0.5, size=(2000, 2)).cumsum(axis=0)
    >>> angles = 2 * np.pi * places / [8.0, 9.0]
    >>> senses = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    >>> found = periods(places, senses)
    >>> found.found, np.abs(found.vectors).round(1).tolist()
    (True, [[8.0, 0.0], [0.0, 9.0]])
    >>> periods(places, np.sin(places / 30)).found  # not within 40 of the origin
    False
    """
    where, smelled = _checked(places, senses)
    unit = positive_distance("length", length)
    noise = checked_number("nugget", nugget, "share")
    steps = whole_number("apart", apart, least=0)
    dim = where.shape[1]
    sensed = smelled @ directions_of(smelled, noise).T if smelled.any() else smelled
    pairs = pairs_alike(sensed, steps)
    differences = where[pairs[:, 1]] - where[pairs[:, 0]]
    vectors, r2, reason = np.empty((0, dim)), math.nan, ""
    piles = piles_of(differences, unit)
    if not len(piles):
        reason = "no two smells are the same that were smelled a period apart."
    else:
        known = Kriging(where, sensed, unit, nugget=max(noise, 1e-4))
        right = np.array([told_across(known, pile[None])[2] == "" for pile in piles])
        if right.any():
            vectors = with_parts(known, lattice_of(piles[right], unit))
            vectors = fitted(vectors, differences, unit)
            _, r2, reason = told_across(known, around(vectors))
            if np.linalg.norm(vectors, axis=1).min() <= SHORTEST * unit:
                reason = "periods that were found are not of one lattice."
        else:
            reason = told_across(known, piles[:1])[2]
    if reason:
        vectors, r2 = np.empty((0, dim)), math.nan
    numbers = np.rint(differences @ np.linalg.pinv(vectors))
    off = np.linalg.norm(differences - numbers @ vectors, axis=1)
    kept = off <= OFF * unit
    return Periods(
        vectors, not reason, reason, pairs[kept], numbers[kept].astype(np.intp), differences, r2
    )


def pairs_alike(senses: Array, apart: int) -> Numbers:
    """Pair each strong smell with the one most like it, if they are the same.

    Parameters
    ----------
    senses : numpy.ndarray of float64, of shape (n, sensory_dim)
        In the order in which they were smelled.
    apart : int
        More than so many steps lie between the two.

    Returns
    -------
    numpy.ndarray of int, of shape (n_pairs, 2)
        The earlier first; each pair once.

    Examples
    --------
    >>> pairs_alike(np.array([[1.0], [2.0], [0.0], [0.0], [2.01], [2.0]]), apart=2).tolist()
    [[1, 4], [1, 5]]
    """
    squares = (senses**2).sum(axis=1)
    most = _SAME**2 * squares.mean()
    strong = np.flatnonzero(is_strong(senses))
    found = []
    rows = max(1, _AT_ONCE // max(1, len(strong)))
    for start in range(0, len(strong), rows):
        one = strong[start : start + rows]
        between = squares[one, None] + squares[strong] - 2 * senses[one] @ senses[strong].T
        between[np.abs(one[:, None] - strong) <= apart] = math.inf
        nearest = between.argmin(axis=1)
        same = between[np.arange(len(one)), nearest] <= most
        found.append(np.stack([one[same], strong[nearest[same]]], axis=1))
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.intp)
    return np.unique(np.sort(pairs, axis=1), axis=0).astype(np.intp)


def is_strong(senses: Array) -> Bools:
    """Tell which smells are at least half as strong as is usual, and not nothing.

    Parameters
    ----------
    senses : numpy.ndarray of float64, of shape (n, sensory_dim)

    Returns
    -------
    numpy.ndarray of bool, of shape (n,)
    """
    squares = (senses**2).sum(axis=1)
    return np.asarray((squares >= _STRONG**2 * squares.mean()) & (squares > 0))


def piles_of(differences: Array, length: float) -> Array:
    """Find where differences are dense, other than near zero.

    Parameters
    ----------
    differences : numpy.ndarray of float64, of shape (n_pairs, dim)
        Each counts for its opposite, too.
    length : float
        Of the kernel.

    Returns
    -------
    numpy.ndarray of float64, of shape (n_piles, dim)
        The middle of each, the highest first; of a pile and its opposite only one.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> piles = np.repeat([[0.0, 0.0], [5.0, 0.0], [-5.0, 0.0], [0.0, 7.0]], 20, axis=0)
    >>> piles_of(piles + 0.01 * random.normal(size=piles.shape), 1.0).round(1) + 0.0
    array([[5., 0.],
           [0., 7.]])
    """
    far = differences[np.linalg.norm(differences, axis=1) > SHORTEST * length]
    # Of the two, that of which the first coordinate that is not near zero is positive.
    for axis in range(far.shape[1] - 1, -1, -1):
        told = np.abs(far[:, axis]) > OFF * length
        far = np.where((told & (far[:, axis] < 0))[:, None], -far, far)
    found: list[Array] = []
    while len(far) >= _PILE and len(found) < _PILES:
        tree = scipy.spatial.cKDTree(far)
        heights = tree.query_ball_point(far, OFF * length, return_length=True)
        if heights.max() < _PILE:
            break
        highest = far[heights.argmax()]
        members = np.linalg.norm(far - highest, axis=1) <= OFF * length
        found.append(np.median(far[members], axis=0))
        far = far[np.linalg.norm(far - highest, axis=1) > 2 * OFF * length]
    return np.array(found).reshape(-1, differences.shape[1])


def told_across(known: Kriging, vectors: Array) -> tuple[int, float, str]:
    """Tell how well strong smells are told by those at places that lie beyond some vectors.

    Parameters
    ----------
    known : Kriging
        What was smelled where.
    vectors : numpy.ndarray of float64, of shape (n_vectors, dim)
        In units of the places.

    Returns
    -------
    number : int
        Of strong smells of which places the body was near, but for one of the vectors, there or
        back.
    r2 : float
        Share of the variance of at most 300 of them that is explained; NaN if there are no two.
    reason : str
        What speaks against all vectors being periods; empty if nothing does.
    """
    strong = np.flatnonzero(is_strong(known.senses))
    there = np.concatenate(
        [known.places[strong] + sign * vector for vector in vectors for sign in (1, -1)]
    )
    tree = scipy.spatial.cKDTree(known.places)
    distances, _ = tree.query(there, distance_upper_bound=_NEAR * known.length)
    which = np.flatnonzero(np.isfinite(distances))
    number, here = len(which), np.tile(strong, 2 * len(vectors))[which]
    if number < _RETURNS:
        return (
            number,
            math.nan,
            f"only {number} strong smells are from where the body was a period away, and "
            f"{_RETURNS} are needed to tell whether the world repeats. Walk on.",
        )
    parts = _parts(known.places[here], known.length)
    some = evenly_spread(number, _ASKED)
    smelled = known.senses[here[some]]
    left = ((smelled - known.read(there[which[some]]).mean) ** 2).sum(axis=1).mean()
    spread = ((smelled - smelled.mean(axis=0)) ** 2).sum(axis=1).mean()
    spread = min(spread, _change(known, here[some]))
    r2 = float(1 - left / spread) if spread > 0 else math.nan
    if not r2 >= _LEAST_R2:
        reason = (
            f"a period away, an R² of {r2:.2f} of the smells is the same, and {_LEAST_R2:g} is the "
            "least: the world does not repeat."
        )
    elif parts < _PARTS:
        reason = (
            f"the body was a period away in only {parts} parts of space, and {_PARTS} are needed "
            "to tell whether the world repeats. Walk on."
        )
    else:
        reason = ""
    return number, r2, reason


def _change(known: Kriging, which: Numbers) -> float:
    """Tell how much smells change on the way on, over a length, as the mean of squared norms."""
    later = 1
    while later < len(known.places) // 2:
        begun = which[which < len(known.places) - later]
        way = np.linalg.norm(known.places[begun + later] - known.places[begun], axis=1)
        if len(begun) < 2 or np.median(way) >= known.length:
            break
        later *= 2
    else:
        return math.inf
    if len(begun) < 2:
        return math.inf
    return float(((known.senses[begun + later] - known.senses[begun]) ** 2).sum(axis=1).mean())


def _parts(places: Array, length: float) -> int:
    """Count places that lie more than a length from each other, up to as many as are needed."""
    number = 0
    while len(places) and number < _PARTS:
        places = places[np.linalg.norm(places - places[0], axis=1) > length]
        number += 1
    return number


def with_parts(known: Kriging, basis: Array) -> Array:
    """Make a lattice finer where halves or thirds of its points are periods as well.

    Parameters
    ----------
    known : Kriging
        What was smelled where.
    basis : numpy.ndarray of float64, of shape (k, dim)

    Returns
    -------
    numpy.ndarray of float64, of shape (k, dim)
    """
    finer = True
    while finer:
        finer = False
        for parts in (2, 3):
            for numbers in itertools.product(range(parts), repeat=len(basis)):
                shares = np.array(numbers) / parts
                part = (shares - np.rint(shares)) @ basis
                if np.linalg.norm(part) <= SHORTEST * known.length:
                    continue
                if not told_across(known, part[None])[2]:
                    basis = lattice_of(np.concatenate([part[None], basis]), known.length)
                    finer = True
                    break
    return basis


def _checked(places: PointsLike, senses: PointsLike) -> tuple[Array, Array]:
    where = as_numbers(places, "places", torch.float64).detach()
    smelled = as_numbers(senses, "senses", torch.float64).detach()
    shapes = tuple(where.shape), tuple(smelled.shape)
    if where.ndim != 2 or smelled.ndim != 2 or len(where) != len(smelled) or 0 in sum(shapes, ()):
        raise ValueError(
            "places and senses must have shapes (n, dim) and (n, sensory_dim), one sense for each "
            f"place, but they have {shapes[0]} and {shapes[1]}."
        )
    as_points(where, where.shape[1], "places", torch.float64)
    as_senses(smelled, smelled.shape[1], "senses", torch.float64)
    return where.numpy(), smelled.numpy()
