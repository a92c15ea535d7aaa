r"""Reads of each place from all other observations, for many deviations at once.

A memory is told how far off places may be, and seldom knows. It can ask itself: with every
observation and every query as uncertain as a deviation s says, how far is what it would read at the
place of each observation, *without having that one*, from what was sensed there? So with the kernel
of variance

.. math::

    v_{ta} = 2 s_a^2 + \sigma_{ta}^2

on axis a, :math:`\sigma_t` being what an observation is uncertain by itself, the value that is left
out at r is the read there of all :math:`t \ne r`, locally constant or linear. It is what a memory
would read that was built of the others, and would be written anew for each of n places and each
deviation; here neighbours are found once for all, in boxes as for any other read.

What is sensed deviates from what is read. Around the weighted mean, or around the plane, of which
the shares :math:`u_t` add up to one,

.. math::

    \hat s^2 = \frac{\sum_t w_t (z_t - \hat z(\ell_t))^2}{1 - \sum_t w_t^2}
    \left(1 + \sum_t u_t^2\right)

is the squared deviation that is to be expected, for each number of a sense, where neighbours are
independent of each other. It is what a curve over deviations is scored by, if not by the error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tree_world.compiling import compiled
from tree_world.models.memory.recall.kriging import Kriged, Kriging, Numbers
from tree_world.models.memory.recall.plan import OBSERVATIONS
from tree_world.models.memory.recall.planes import solve_positive
from tree_world.models.memory.recall.screening import Boxes, Groups, in_parallel

Array: TypeAlias = npt.NDArray[np.float64]

_TAIL = 1e-8  # share of all weight that may be left out
_LEAST = 1e-9  # share of the weight beside the first, below which nothing tells of a variance


@dataclass(frozen=True)
class LeftOut:
    """What is read at the places of observations from the others.

    Attributes
    ----------
    value : numpy.ndarray of float64, of shape (n_deviations, n_places, sensory_dim)
        Zeros where nothing is near enough.
    variance : numpy.ndarray of float64, of shape (n_deviations, n_places, sensory_dim)
        Squared deviation of what is sensed from it that is to be expected. Infinite where one
        observation has all the weight; empty, of sensory_dim 0, if it was not asked for.
    known : numpy.ndarray of bool, of shape (n_places,)
        Whether any other observation is within the threshold, which is so for every deviation.
    """

    value: Array
    variance: Array
    known: npt.NDArray[np.bool_]


def left_out(
    places: Array,
    own_variances: Array,
    senses: Array,
    deviations: Array,
    which: npt.NDArray[np.intp],
    *,
    is_linear: bool,
    ridge: float,
    limit: float = math.inf,
    apart: Array | None = None,
    with_variance: bool = False,
) -> LeftOut:
    """Read some places from all observations but the one there.

    Parameters
    ----------
    places : numpy.ndarray of float64, of shape (n_observations, dim)
        In metres.
    own_variances : numpy.ndarray of float64, of shape (n_observations, dim)
        Of the places, beside what the deviation says, in square metres.
    senses : numpy.ndarray of float64, of shape (n_observations, sensory_dim)
    deviations : numpy.ndarray of float64, of shape (n_deviations, dim)
        Of all observations and queries, in metres.
    which : numpy.ndarray of int, of shape (n_places,)
        The observations whose places are read.
    is_linear : bool
        Whether by a plane.
    ridge : float
        See `ReadOptions`.
    limit : float, optional
        Greatest squared distance of what counts, in square metres.
    apart : numpy.ndarray of float64, of shape (n_places,), optional
        Others that are nearer to each place than this, in metres, are left out, too.
    with_variance : bool, default=False

    Returns
    -------
    LeftOut

    Examples
    --------
    >>> import numpy as np
    >>> places, senses = np.array([[0.0], [1.0], [9.0]]), np.array([[1.0], [3.0], [5.0]])
    >>> found = left_out(
    ...     *(places, np.zeros((3, 1)), senses, np.array([[0.5], [50.0]]), np.arange(3)),
    ...     is_linear=False,
    ...     ridge=0.1,
    ... )
    >>> found.value[:, :, 0].round(2)
    array([[3.  , 1.  , 3.  ],
           [4.  , 2.99, 2.  ]])
    """
    groups = Groups.of_neighbours(places, OBSERVATIONS)
    boxes = Boxes.around(places, own_variances, groups)
    rows = groups.rows
    position = np.empty(len(places), np.intp)
    position[rows] = np.arange(len(rows))
    # In the order of the boxes, so that threads find what they need side by side.
    wanted = np.argsort(position[which])
    shape = (len(deviations), len(which), senses.shape[1])
    value = np.zeros(shape)
    variance = np.full(shape if with_variance else (*shape[:2], 0), np.inf)
    known = np.zeros(len(which), np.bool_)
    arrays = [np.ascontiguousarray(a) for a in (places[rows].T, own_variances[rows], senses[rows])]
    negligible = math.log(len(places) / _TAIL)

    nearer = np.zeros(len(which)) if apart is None else np.square(apart)
    squares, places_of = np.square(deviations), position[which]

    def fill(first: int, stride: int) -> None:
        _fill_left_out(
            first,
            stride,
            places_of,
            wanted,
            arrays[0],
            arrays[1],
            arrays[2],
            squares,
            groups.edges,
            boxes.low,
            boxes.high,
            boxes.least_variance,
            boxes.greatest_variance,
            limit,
            nearer,
            negligible,
            ridge,
            is_linear,
            value,
            variance,
            known,
        )

    work = float(len(places)) * len(which) * len(deviations)
    in_parallel(fill, len(which), work)
    return LeftOut(value, variance, known)


def kriged_left_out(
    known: Kriging, which: npt.NDArray[np.intp], apart: Array | None = None
) -> Kriged:
    """Read some places by kriging from the nearest of the other observations.

    Parameters
    ----------
    known : Kriging
    which : numpy.ndarray of int, of shape (n_places,)
        The observations whose places are read.
    apart : numpy.ndarray of float64, of shape (n_places,), optional
        Others that are nearer to each place than this, in its metres, are left out, too.

    Returns
    -------
    Kriged

    Examples
    --------
    >>> import numpy as np
    >>> known = Kriging([[0.0], [1.0], [5.0]], [[1.0], [2.0], [3.0]], 2.0)
    >>> kriged_left_out(known, np.arange(3)).nearest_distance
    array([1., 1., 4.])
    """
    nearer = np.zeros(len(which)) if apart is None else apart

    def left_out_too(query: Numbers, observation: Numbers) -> npt.NDArray[np.bool_]:
        steps = known.places[observation] - known.places[which[query]]
        distances = np.linalg.norm(steps, axis=-1)
        return np.asarray((observation == which[query]) | (distances < nearer[query]))

    return known.read(known.places[which], left_out_too)


# --- compiled ------------------------------------------------------------------------------------


@compiled
def _prepare(
    squares: np.ndarray,
    own_variances: np.ndarray,
    least: np.ndarray,
    greatest: np.ndarray,
    precisions: np.ndarray,
    norms: np.ndarray,
    box_precisions: np.ndarray,
    box_norms: np.ndarray,
) -> None:
    """Find what depends on the deviation alone: half the inverse variances, and half their logs."""
    dim = len(squares)
    for row in range(len(own_variances)):
        norms[row] = 0.0
        for axis in range(dim):
            variance = 2.0 * squares[axis] + own_variances[row, axis]
            precisions[axis, row] = 0.5 / variance
            norms[row] += 0.5 * math.log(variance)
    for box in range(len(least)):
        box_norms[box] = 0.0
        for axis in range(dim):
            box_precisions[axis, box] = 0.5 / (2.0 * squares[axis] + greatest[box, axis])
            box_norms[box] += 0.5 * math.log(2.0 * squares[axis] + least[box, axis])


@compiled
def _bound_boxes(
    place: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    precisions: np.ndarray,
    norms: np.ndarray,
    limit: float,
    uppers: np.ndarray,
) -> int:
    """Bound the affinities of all that is in each box from above; return the box of the best."""
    best = 0
    for box in range(len(norms)):
        total, distance = norms[box], 0.0
        for axis in range(len(place)):
            gap = max(low[box, axis] - place[axis], place[axis] - high[box, axis], 0.0)
            distance += gap * gap
            total += gap * gap * precisions[axis, box]
        uppers[box] = -total if distance <= limit else -np.inf
        if uppers[box] > uppers[best]:
            best = box
    return best


@compiled
def _gather(
    own: int,
    places: np.ndarray,
    precisions: np.ndarray,
    norms: np.ndarray,
    edges: np.ndarray,
    uppers: np.ndarray,
    first_box: int,
    limit: float,
    nearer: float,
    negligible: float,
    affinities: np.ndarray,
    distances: np.ndarray,
    near: np.ndarray,
    weights: np.ndarray,
) -> int:
    """Weigh all others that matter, so that weights sum to one; return how many there are."""
    dim, number, best = len(places), 0, -np.inf
    for turn in range(-1, len(edges) - 1):
        # What is likely to be near comes first, as it tells what need not be looked at.
        box = first_box if turn < 0 else turn
        if turn == first_box or uppers[box] == -np.inf or uppers[box] < best - negligible:
            continue
        start, many = edges[box], edges[box + 1] - edges[box]
        for j in range(many):
            affinities[j] = -norms[start + j]
            distances[j] = 0.0
        for axis in range(dim):
            here = places[axis, own]
            for j in range(many):
                step = places[axis, start + j] - here
                distances[j] += step * step
                affinities[j] -= step * step * precisions[axis, start + j]
        if start <= own < start + many:
            affinities[own - start] = -np.inf
        for j in range(many):
            affinity = affinities[j]
            is_within = nearer <= distances[j] <= limit and affinity > -np.inf
            if is_within and affinity >= best - negligible:
                best = max(best, affinity)
                near[number] = start + j
                weights[number] = affinity
                number += 1
    total, kept = 0.0, 0
    for j in range(number):
        if weights[j] >= best - negligible:
            near[kept] = near[j]
            weights[kept] = math.exp(weights[j] - best)
            total += weights[kept]
            kept += 1
    for j in range(kept):
        weights[j] /= total
    return kept


@compiled
def _average(
    own: int,
    places: np.ndarray,
    own_variances: np.ndarray,
    senses: np.ndarray,
    squares: np.ndarray,
    near: np.ndarray,
    weights: np.ndarray,
    number: int,
    ridge: float,
    is_linear: bool,
    with_variance: bool,
    value: np.ndarray,
    variance: np.ndarray,
    mean: np.ndarray,
    offset: np.ndarray,
    matrix: np.ndarray,
    root: np.ndarray,
    slopes: np.ndarray,
    rises: np.ndarray,
) -> None:
    """Take the weighted mean of senses, or the plane through them, and what is left of them."""
    dim, width = len(places), senses.shape[1]
    concentration = 0.0
    for j in range(number):
        concentration += weights[j] * weights[j]
        for k in range(width):
            value[k] += weights[j] * senses[near[j], k]
    shares = concentration
    if is_linear:
        mean[:] = 0.0
        matrix[:] = 0.0
        for j in range(number):
            for a in range(dim):
                mean[a] += weights[j] * (places[a, near[j]] - places[a, own])
        for j in range(number):
            for a in range(dim):
                offset[a] = places[a, near[j]] - places[a, own] - mean[a]
                ours = own_variances[near[j], a] + 2.0 * squares[a]
                matrix[a, a] += ridge * weights[j] * ours
                for b in range(a + 1):
                    matrix[a, b] += weights[j] * offset[a] * offset[b]
    if with_variance and 1.0 - concentration >= _LEAST:
        rises[:] = 0.0
        if is_linear:
            for j in range(number):
                for a in range(dim):
                    step = weights[j] * (places[a, near[j]] - places[a, own] - mean[a])
                    for k in range(width):
                        rises[a, k] += step * (senses[near[j], k] - value[k])
            root[:] = matrix
            solve_positive(root, rises)
        variance[:] = 0.0
        for j in range(number):
            for k in range(width):
                rest = senses[near[j], k] - value[k]
                for a in range(dim):
                    rest -= rises[a, k] * (places[a, near[j]] - places[a, own] - mean[a])
                variance[k] += weights[j] * rest * rest / (1.0 - concentration)
    if is_linear:
        slopes[:, 0] = mean
        solve_positive(matrix, slopes)
        shares = 0.0
        for j in range(number):
            factor = 0.0
            for a in range(dim):
                factor -= slopes[a, 0] * (places[a, near[j]] - places[a, own] - mean[a])
            shares += (weights[j] * (1.0 + factor)) ** 2
            for k in range(width):  # what the plane adds to the mean
                value[k] += weights[j] * factor * senses[near[j], k]
    for k in range(len(variance)):
        variance[k] *= 1.0 + shares


@compiled
def _fill_left_out(
    first: int,
    stride: int,
    positions: np.ndarray,
    wanted: np.ndarray,
    places: np.ndarray,
    own_variances: np.ndarray,
    senses: np.ndarray,
    all_squares: np.ndarray,
    edges: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    least: np.ndarray,
    greatest: np.ndarray,
    limit: float,
    nearer: np.ndarray,
    negligible: float,
    ridge: float,
    is_linear: bool,
    value: np.ndarray,
    variance: np.ndarray,
    known: np.ndarray,
) -> None:
    dim, number_of_all = places.shape
    num_boxes, width = len(edges) - 1, senses.shape[1]
    with_variance = variance.shape[2] > 0
    precisions, norms = np.empty((dim, number_of_all)), np.empty(number_of_all)
    box_precisions, box_norms = np.empty((dim, num_boxes)), np.empty(num_boxes)
    uppers, most = np.empty(num_boxes), 0
    for box in range(num_boxes):
        most = max(most, edges[box + 1] - edges[box])
    affinities, distances = np.empty(most), np.empty(most)
    near, weights = np.empty(number_of_all, np.int64), np.empty(number_of_all)
    mean, offset, place = np.empty(dim), np.empty(dim), np.empty(dim)
    matrix, root = np.empty((dim, dim)), np.empty((dim, dim))
    slopes, rises = np.empty((dim, 1)), np.empty((dim, width))
    for d in range(len(all_squares)):
        squares = all_squares[d]
        _prepare(
            *(squares, own_variances, least, greatest),
            *(precisions, norms, box_precisions, box_norms),
        )
        for turn in range(first, len(wanted), stride):
            at = wanted[turn]
            own = positions[at]
            for axis in range(dim):
                place[axis] = places[axis, own]
            nearest = _bound_boxes(place, low, high, box_precisions, box_norms, limit, uppers)
            number = _gather(
                *(
                    own,
                    places,
                    precisions,
                    norms,
                    edges,
                    uppers,
                    nearest,
                    limit,
                    nearer[at],
                    negligible,
                ),
                *(affinities, distances, near, weights),
            )
            if number == 0:
                continue
            known[at] = True
            _average(
                *(own, places, own_variances, senses, squares, near, weights, number),
                *(ridge, is_linear, with_variance, value[d, at], variance[d, at]),
                *(mean, offset, matrix, root, slopes, rises),
            )
