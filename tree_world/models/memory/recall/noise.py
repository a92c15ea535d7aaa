r"""How smooth a field is, in which direction, and how much of it is noise: by evidence.

Kriging needs a length and a nugget. Where senses are measured by people, the nugget is no small
share of the amplitude: it is what lies between two stations that stand side by side. And along a
river, or along a range of mountains, a field changes more slowly than across it. With axes that are
turned by an angle, and stretched by factors whose product is one, places are told so that the field
is alike in all directions; with the kernel matrix :math:`K` there, of length :math:`\ell`, the
evidence of one number z of the senses, at the amplitude that suits it best, is

.. math::

    \log p(z) = -\frac{n}{2} \left(1 + \log 2 \pi a^2\right)
    - \frac12 \log \lvert K + \nu^2 I \rvert, \qquad
    a^2 = \frac1n z^\top (K + \nu^2 I)^{-1} z.

Length and nugget :math:`\nu` are those for which it is greatest, over a grid and then around its
best. So are stretches and angle, for which it may be great twice, at a long length and at a short
one: they are looked for from where nothing is stretched, and from the best of a coarse grid. But
they are taken only where they raise the evidence by more than half a :math:`\log n` for each of
them, which is what a free parameter raises it by for nothing (the Bayesian information criterion).
In the plane both are one symmetric matrix without trace, which is zero where the field is alike in
all directions: nothing jumps where an angle comes round.

References
----------
C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006, chapter 5.
G. Schwarz, "Estimating the dimension of a model", 1978.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.spatial

from tree_world.models.memory.recall.kriging import MOST, Array, evenly_spread

__all__ = ["Smoothness", "smoothness", "turned"]

AXES = ("alike", "own", "turned")
"""Whether a field may reach farther along one axis, and whether the axes may be turned."""

_LENGTHS = 16
_NUGGETS = np.geomspace(0.02, 20.0, 19)  # of the amplitude
_LEAST_NUGGET, _MOST_NUGGET = 1e-3, 1e3
_LEAST = 1e-12  # share of the variance that counts as none
_MOST_AXES = 5  # up to which each may have its own
_MANY = 16  # numbers of a sense, of more than which all are held to change in the same way
_SOME = 300  # observations from which axes are learned
_MOST_STRETCH = math.log(5.0)  # of one axis against the mean of all
_BEGUN_STRETCH = math.log(2.0)  # likewise, of the grid
_BEGUN_TURNS, _BEGUN_LENGTHS = 8, 8
_STEPS = 400  # of the simplex


@dataclass(frozen=True)
class Smoothness:
    """How each number of the senses changes over space.

    Attributes
    ----------
    length : numpy.ndarray of float64, of shape (sensory_dim,)
        Of the field, in metres: the geometric mean of that along all axes.
    nugget : numpy.ndarray of float64, of shape (sensory_dim,)
        Standard deviation of what the field does not explain, as a share of the amplitude.
    amplitude : numpy.ndarray of float64, of shape (sensory_dim,)
        Standard deviation of the field around its mean, in units of senses; 0 if it never changes.
    mean : numpy.ndarray of float64, of shape (sensory_dim,)
        Of what was sensed.
    stretch : numpy.ndarray of float64, of shape (sensory_dim, dim)
        How much farther than its mean the length is along each axis. Their product is one.
    turn : numpy.ndarray of float64, of shape (sensory_dim,)
        By which the axes are turned, from the first to the second, in radians.
    """

    length: Array
    nugget: Array
    amplitude: Array
    mean: Array
    stretch: Array
    turn: Array

    @property
    def alike(self) -> list[list[int]]:
        """Numbers of the senses that change over space in the same way, and change at all."""
        kinds: dict[tuple[float, ...], list[int]] = {}
        for number in np.flatnonzero(self.amplitude).tolist():
            own = (self.length[number], self.nugget[number], self.turn[number])
            kinds.setdefault((*own, *self.stretch[number]), []).append(number)
        return list(kinds.values())


def turned(places: Array, turn: float) -> Array:
    """Tell places by axes that are turned.

    Parameters
    ----------
    places : numpy.ndarray of float64, of shape (n_places, dim)
    turn : float
        From the first axis to the second, in radians.

    Returns
    -------
    numpy.ndarray of float64, of shape (n_places, dim)

    Examples
    --------
    >>> turned(np.array([[1.0, 1.0]]), np.pi / 4).round(3)
    array([[1.414, 0.   ]])
    """
    if turn == 0.0:
        return places
    cosine, sine = math.cos(turn), math.sin(turn)
    return np.asarray(places @ np.array([[cosine, -sine], [sine, cosine]]))


def smoothness(places: Array, senses: Array, axes: str = "turned", most: int = MOST) -> Smoothness:
    """Find what makes the senses most probable.

    Parameters
    ----------
    places : numpy.ndarray of float64, of shape (n_observations, dim)
        In metres.
    senses : numpy.ndarray of float64, of shape (n_observations, sensory_dim)
    axes : {"turned", "own", "alike"}, default="turned"
        Whether the field may reach farther along one axis, in up to five dimensions, and whether
        the axes may be turned, in two. Of senses of more than sixteen numbers all share one length
        and one nugget, and axes are alike.
    most : int, default=500
        How many of the observations are looked at, evenly spread over their order.

    Returns
    -------
    Smoothness

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> places = generator.uniform(0, 100, (300, 2))
    >>> hills = np.sin(places[:, :1] / 15) + np.sin(places[:, 1:] / 15)
    >>> found = smoothness(places, hills + generator.normal(0, 0.3, (300, 1)))
    >>> noise = found.nugget * found.amplitude
    >>> print(f"length {found.length[0]:.0f} m, noise {noise[0]:.2f}")
    length 33 m, noise 0.28
    """
    which = evenly_spread(len(places), most)
    there, sensed = places[which], senses[which]
    width, dim = sensed.shape[1], there.shape[1]
    mean = sensed.mean(axis=0)
    rest = sensed - mean
    extent = float(np.ptp(there, axis=0).max())
    changing = np.square(rest).mean(axis=0) > _LEAST * np.square(sensed).mean(axis=0)
    found = Smoothness(
        np.full(width, extent or 1.0),
        np.full(width, _NUGGETS[0]),
        np.where(changing, rest.std(axis=0), 0.0),
        mean,
        np.ones((width, dim)),
        np.zeros(width),
    )
    if extent == 0.0 or len(there) < 3:
        return found
    _fill_alike(there, rest, changing, found)
    if axes != "alike" and 1 < dim <= _MOST_AXES and width <= _MANY:
        some = evenly_spread(len(there), _SOME)
        numbers = np.flatnonzero(changing)
        starts = _stretched(there[some], rest[np.ix_(some, numbers)], axes)
        for number, start in zip(numbers.tolist(), starts, strict=True):
            _fill_axes(there[some], rest[some, number], found, number, start)
    return found


def _fill_alike(places: Array, rest: Array, changing: np.ndarray, found: Smoothness) -> None:
    """Find lengths and nuggets of fields that are alike in all directions, of all at once."""
    best = np.full(rest.shape[1], -np.inf)
    for length, nugget, score, amplitude in _over_grid(places, rest, _LENGTHS):
        if len(score) > _MANY:
            score = np.full(len(score), score[changing].sum())
        better = changing & (score > best)
        best[better], found.length[better] = score[better], length
        found.nugget[better], found.amplitude[better] = nugget, amplitude[better]


def _over_grid(
    places: Array, rest: Array, lengths: int
) -> Iterator[tuple[float, float, Array, Array]]:
    """Give lengths and nuggets, and of each number the evidence there, and the best amplitude.

    One decomposition of the kernel matrix for each length serves all nuggets, and all numbers.
    """
    squares = scipy.spatial.distance.cdist(places, places, "sqeuclidean")
    apart = scipy.spatial.cKDTree(places).query(places, k=2)[0][:, 1]
    extent = float(np.ptp(places, axis=0).max())
    shortest = max(float(np.median(apart)) / 2, 1e-3 * extent)
    for length in np.geomspace(shortest, 2 * extent, lengths):
        values, vectors = scipy.linalg.eigh(np.exp(squares * (-0.5 / length**2)))
        turned_senses = np.square(vectors.T @ rest)
        for nugget in _NUGGETS:
            scales = np.maximum(values, 0.0) + nugget**2
            power = (turned_senses / scales[:, None]).mean(axis=0)
            with np.errstate(divide="ignore"):
                score = -0.5 * (len(places) * np.log(power) + np.log(scales).sum())
            yield float(length), float(nugget), score, np.sqrt(power)


def _stretched(places: Array, rest: Array, axes: str) -> Array:
    """Find the best of a coarse grid whose axes are stretched: a point of the search each."""
    dim = places.shape[1]
    if axes == "turned" and dim == 2:
        angles = np.arange(_BEGUN_TURNS) * (2 * math.pi / _BEGUN_TURNS)
        shapes = np.column_stack([np.cos(angles), np.sin(angles)])
    else:  # one axis longer or shorter than all others
        single = (np.eye(dim) - 1 / dim) / (1 - 1 / dim)
        shapes = np.concatenate([single, -single])[:, :-1]
    best = np.full(rest.shape[1], -np.inf)
    points = np.zeros((rest.shape[1], 2 + shapes.shape[1]))
    for shape in _BEGUN_STRETCH * shapes:
        _, _, stretch, turn = _told(np.array([0.0, 0.0, *shape]), dim)
        told = turned(places, turn) / stretch
        for length, nugget, score, _ in _over_grid(told, rest, _BEGUN_LENGTHS):
            better = score > best
            best[better] = score[better]
            points[better] = [math.log(length), math.log(nugget), *shape]
    return points


def _fill_axes(
    places: Array, rest: Array, found: Smoothness, number: int, stretched: Array
) -> None:
    """Refine what was found of one number, and stretch the axes if that is worth it."""
    dim, extra = places.shape[1], len(stretched) - 2
    start = np.array([math.log(found.length[number]), math.log(found.nugget[number])])
    round_one = _most_probable(places, rest, start)
    longer = min(
        (
            _most_probable(places, rest, begun)
            for begun in (np.append(round_one.x, np.zeros(extra)), stretched)
        ),
        key=lambda one: float(one.fun),
    )
    is_worth_it = round_one.fun - longer.fun > 0.5 * extra * math.log(len(places))
    best = longer if is_worth_it else round_one
    length, nugget, stretch, turn = _told(best.x, dim)
    found.length[number], found.nugget[number] = length, nugget
    found.stretch[number], found.turn[number] = stretch, turn
    found.amplitude[number] = _log_evidence(places, rest, length, nugget, stretch, turn)[1]


def _most_probable(places: Array, rest: Array, start: Array) -> scipy.optimize.OptimizeResult:
    def loss(point: Array) -> float:
        length, nugget, stretch, turn = _told(point, places.shape[1])
        if not _LEAST_NUGGET <= nugget <= _MOST_NUGGET:
            return math.inf
        if np.abs(np.log(stretch)).max() > _MOST_STRETCH:
            return math.inf
        return -_log_evidence(places, rest, length, nugget, stretch, turn)[0]

    simplex = np.vstack([start, start + 0.5 * np.eye(len(start))])
    options = {"initial_simplex": simplex, "xatol": 0.01, "fatol": 0.01, "maxfev": _STEPS}
    return scipy.optimize.minimize(loss, start, method="Nelder-Mead", options=options)


def _told(point: Array, dim: int) -> tuple[float, float, Array, float]:
    """Tell length, nugget, stretches and angle from the numbers that are searched over."""
    length, nugget, rest = math.exp(point[0]), math.exp(point[1]), point[2:]
    if len(rest) == 0:
        return length, nugget, np.ones(dim), 0.0
    if dim == 2 and len(rest) == 2:  # of the matrix ((u, v), (v, -u)), half the angle of (u, v)
        size = math.hypot(*rest)
        return length, nugget, np.exp([size, -size]), 0.5 * math.atan2(rest[1], rest[0])
    return length, nugget, np.exp(np.append(rest, -rest.sum())), 0.0


def _log_evidence(
    places: Array, rest: Array, length: float, nugget: float, stretch: Array, turn: float
) -> tuple[float, float]:
    """Logarithm of the evidence, but for a constant, and the best amplitude."""
    told = turned(places, turn) / stretch
    squares = scipy.spatial.distance.cdist(told, told, "sqeuclidean")
    matrix = np.exp(squares * (-0.5 / length**2))
    matrix[np.diag_indices_from(matrix)] += nugget**2
    lower = scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    white = scipy.linalg.solve_triangular(lower, rest, lower=True, check_finite=False)
    power = float(white @ white) / len(rest)
    log_determinant = 2 * float(np.log(np.diag(lower)).sum())
    return -0.5 * (len(rest) * math.log(power) + log_determinant), math.sqrt(power)
