"""How uncertain places should count as: the curve of what is read without each observation.

A memory weighs observations by how uncertain places are. Where they are known exactly, as on a map
of somebody else, that uncertainty is a width: over which distance senses are alike. It is found by
trying: for each deviation every place is read without its own observation, and what was sensed
there says how good that was. Nothing is chosen by a rule of thumb, and nothing by what is to be
predicted later.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.spatial
import torch

from tree_world.checks import PointsLike, as_deviations, as_numbers, whole_number
from tree_world.models.memory.kernel.affinity import limit_squared
from tree_world.models.memory.recall.kriging import (
    Array,
    Kriging,
    as_observations,
    evenly_spread,
)
from tree_world.models.memory.recall.left_out import kriged_left_out, left_out
from tree_world.models.memory.types import ReadOptions

__all__ = ["STEP", "Tuning", "distances_of_queries", "tune", "usual_deviations"]

Bools: TypeAlias = npt.NDArray[np.bool_]

MOST = 1000
"""Places that are read at most for each deviation, unless told otherwise."""

STEP = 2 ** (1 / 3)  # from one deviation to the next
_WIDEST = 2.0  # of the extent of all places,
_CROWD = 2000  # or half the distance of so many neighbours, whose mean is as good as that of more
_POINTS, _LEAST_POINTS = 8, 2000  # for each place, at which the nearest is looked up; or in all
_LOST = 64  # others that a place may lose
_CHANCE = 1.0  # places by which the shares may differ
_SOME = 200  # places at which that distance is looked up
_NARROWEST = 0.125  # of the median distance to the nearest other place
SCORES = ("squared error", "log score")


@dataclass(frozen=True)
class Tuning:
    r"""What is read without each observation, for several deviations.

    Attributes
    ----------
    order : {"constant", "linear", "kriging"}
    deviations : numpy.ndarray of float64, of shape (n_deviations, location_dim)
        Those tried, in metres, on each axis.
    value : numpy.ndarray of float64, of shape (n_deviations, n_places, sensory_dim)
        What was read.
    variance : numpy.ndarray of float64, of shape (n_deviations, n_places, sensory_dim)
        Squared deviation that each read claims; empty, of sensory_dim 0, unless it was asked for.
    sensed : numpy.ndarray of float64, of shape (n_places, sensory_dim)
        What was sensed there.
    which : numpy.ndarray of int, of shape (n_places,)
        Which of the observations were left out, one at a time, the oldest being 0.
    known : numpy.ndarray of bool, of shape (n_places,)
        Whether any other is within the threshold. Where none is, nothing is scored.
    """

    order: str
    deviations: Array
    value: Array
    variance: Array
    sensed: Array
    which: npt.NDArray[np.intp]
    known: Bools

    @property
    def squared_errors(self) -> Array:
        """Mean squared error of each number, of shape (n_deviations, sensory_dim)."""
        step = self.value[:, self.known] - self.sensed[self.known]
        return np.asarray(np.square(step).mean(axis=1))

    @property
    def log_scores(self) -> Array:
        """Mean log density of each number, in nats, of shape (n_deviations, sensory_dim)."""
        if self.variance.shape[2] == 0:
            raise ValueError("variances were not asked for: tune by score='log score'.")
        step = self.value[:, self.known] - self.sensed[self.known]
        variance = self.variance[:, self.known]
        floor = 1e-12 * np.maximum(self.sensed[self.known].var(axis=0), np.finfo(float).tiny)
        variance = np.maximum(variance, floor)
        with np.errstate(invalid="ignore"):
            density = -0.5 * (np.square(step) / variance + np.log(2 * math.pi * variance))
        density[np.isinf(variance)] = -np.inf
        return np.asarray(density.mean(axis=1))

    def losses(self, score: str = "squared error") -> Array:
        """Sum up what is to be small, for each deviation: one number for all of the senses.

        Parameters
        ----------
        score : {"squared error", "log score"}
            Squared errors are those of numbers that were divided by their deviations, so that none
            counts more for its unit; of log scores the negative sum is taken.

        Returns
        -------
        numpy.ndarray of float64, of shape (n_deviations,)
        """
        if _checked(score) == "log score":
            return np.asarray(-self.log_scores.sum(axis=1))
        variance = self.sensed[self.known].var(axis=0)
        changing = variance > 0
        share = self.squared_errors[:, changing] / variance[changing]
        return np.asarray(share.mean(axis=1) if changing.any() else np.zeros(len(share)))

    def best(self, score: str = "squared error") -> Array:
        """Deviation with the least loss, of shape (location_dim,), in metres."""
        return np.asarray(self.deviations[int(np.argmin(self.losses(score)))])

    def best_of_each(self, score: str = "squared error") -> Array:
        """Best deviations for each number of a sense, of shape (sensory_dim, location_dim)."""
        by_number = self.squared_errors if _checked(score) == SCORES[0] else -self.log_scores
        return np.asarray(self.deviations[np.argmin(by_number, axis=0)])


def tune(
    places: PointsLike,
    senses: PointsLike,
    *,
    order: str = "constant",
    deviations: PointsLike | None = None,
    score: str = "squared error",
    location_sds: PointsLike | float | None = None,
    match_threshold: float | None = None,
    nugget: float | None = None,
    most: int = MOST,
    apart: PointsLike | None = None,
) -> Tuning:
    r"""Read each place without its observation, for several deviations.

    With a deviation s every observation and every query is as uncertain as s on each axis, so that
    the kernel between two of them has the width :math:`\sqrt 2 s`; by kriging that is the length of
    the field.

    Parameters
    ----------
    places : array_like of shape (n_observations, location_dim)
        In metres.
    senses : array_like of shape (n_observations, sensory_dim)
    order : {"constant", "linear", "kriging"}, default="constant"
        How to read: see `ReadOptions`.
    deviations : array_like of shape (n_deviations,) or (n_deviations, location_dim), optional
        To be tried, in metres. By default those of `usual_deviations`.
    score : {"squared error", "log score"}, default="squared error"
        Whether variances are computed, too, which a log score needs.
    location_sds : float or array_like that broadcasts to (n_observations, location_dim), optional
        What observations are uncertain beside that, in metres; by default nothing. By kriging
        places are exact.
    match_threshold : float, optional
        Observations farther away than this, in metres, do not count; not for kriging.
    nugget : float, optional
        For kriging: see `ReadOptions`.
    most : int, default=1000
        How many places are read, evenly spread over their order; all others are read from.
    apart : array_like of shape (n_places,), optional
        Others that are nearer than this to each place that is read, in metres, are left out, too:
        see `distances_of_queries`. None are by default.

    Returns
    -------
    Tuning

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of its range, there are fewer than two observations,
        or a choice is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> generator = np.random.default_rng(0)
    >>> places = generator.uniform(0, 100, (200, 2))
    >>> hills = np.sin(places[:, :1] / 20) + generator.normal(0, 0.2, (200, 1))
    >>> found = tune(places, hills, order="linear", deviations=[1.0, 8.0, 60.0])
    >>> found.best()
    array([8., 8.])
    """
    there, sensed = as_observations(places, senses)
    if len(there) < 2:
        raise ValueError("to leave one out takes two observations, but there is only one.")
    _checked(score)
    # Which checks them.
    length = 1.0 if order == "kriging" else None
    how = ReadOptions(match_threshold, order, length=length, nugget=nugget)
    if order == "kriging" and match_threshold is not None:
        raise ValueError("match_threshold is not for order='kriging': leave it out.")
    tried = _as_tried(usual_deviations(there) if deviations is None else deviations, there.shape[1])
    which = evenly_spread(len(there), whole_number("most", most, 1))
    if apart is not None:
        apart = as_numbers(apart, "apart", torch.float64).detach().numpy()
        if apart.shape != which.shape or not (apart >= 0).all():
            raise ValueError(
                f"apart must hold {len(which)} distances, one for each place that is read, but has "
                f"shape {apart.shape}, or one is negative."
            )
    with_variance = score == "log score"
    if order == "kriging":
        value, variance = _kriged(there, sensed, tried, which, apart, how)
        known = np.ones(len(which), np.bool_)
    else:
        own = np.zeros(there.shape)
        if location_sds is not None:
            sds = as_deviations(location_sds, torch.Size(there.shape), dtype=torch.float64)
            own = np.square(sds.numpy())
        found = left_out(
            *(there, own, sensed, tried, which),
            is_linear=order == "linear",
            ridge=how.ridge,
            limit=limit_squared(match_threshold, torch.float64),
            apart=apart,
            with_variance=with_variance,
        )
        value, variance, known = found.value, found.variance, found.known
    if not with_variance:
        variance = variance[:, :, :0]
    return Tuning(order, tried, value, variance, sensed[which], which, known)


def usual_deviations(places: PointsLike, step: float = STEP) -> Array:
    """Propose deviations from much less than the distance of neighbours to more than the extent.

    Of more than 2000 places they end where thousands of neighbours count: the noise of their mean
    is a fiftieth of that of one, and to read wider takes longer and tells less of the place.

    Parameters
    ----------
    places : array_like of shape (n_observations, location_dim)
        In metres.
    step : float, default=2 ** (1 / 3)
        From one to the next.

    Returns
    -------
    numpy.ndarray of float64, of shape (n_deviations,)
        In metres; a single 1.0 where all places are the same.

    Examples
    --------
    >>> usual_deviations([[0.0, 0.0], [0.0, 8.0], [8.0, 0.0], [8.0, 8.0]], step=2.0)
    array([ 1.,  2.,  4.,  8., 16.])
    """
    there, _ = as_observations(places, places)
    extent = float(np.ptp(there, axis=0).max())
    if extent == 0.0:
        return np.ones(1)
    tree = scipy.spatial.cKDTree(there)
    apart = tree.query(there, k=2)[0][:, 1]
    nearest = float(np.median(apart[apart > 0])) if (apart > 0).any() else extent
    widest = _WIDEST * extent
    if len(there) > _CROWD:
        some = there[evenly_spread(len(there), _SOME)]
        widest = float(np.median(tree.query(some, k=[_CROWD])[0])) / 2 or widest
    number = math.log(max(widest / (_NARROWEST * nearest), 1.0)) / math.log(step)
    return np.asarray(_NARROWEST * nearest * step ** np.arange(math.floor(number + 1e-9) + 1))


def distances_of_queries(places: Array, which: npt.NDArray[np.intp]) -> Array:
    r"""Find how near others may be, so that leaving out is like asking anywhere.

    Who measures where something was found stands in crowds there: each place is soon read from the
    next, and a width that is found so is too narrow for the ground between the crowds. Anywhere in
    the ground, which is the hull of all places, the nearest is within r with a probability
    :math:`G(r)`. Of places whose nearest other is within r, more than that share lose it, from the
    nearest to the farthest, until the shares agree; no place loses more than half of all others.
    Where places are spread by chance hardly any is lost.

    Parameters
    ----------
    places : numpy.ndarray of float64, of shape (n_observations, dim)
        In metres.
    which : numpy.ndarray of int, of shape (n_places,)
        Those that are left out, one at a time.

    Returns
    -------
    numpy.ndarray of float64, of shape (n_places,)
        Distances, nearer than which others are not to count, in metres. Zeros in more than three
        dimensions, or where all places lie on a line.

    References
    ----------
    C. Milà, J. Mateu, E. Pebesma and H. Meyer, "Nearest neighbour distance matching leave-one-out
    cross-validation for map validation", 2022.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> anywhere = generator.uniform(0, 100, (100, 2))
    >>> crowds = np.repeat(anywhere[:25], 4, axis=0) + generator.normal(0, 0.1, (100, 2))
    >>> everyone = np.arange(100)
    >>> for places in (anywhere, crowds):
    ...     print(f"{np.median(distances_of_queries(places, everyone)):.1f} m")
    0.0 m
    10.6 m
    """
    nothing = np.zeros(len(which))
    points = _points_between(places, _POINTS * len(which))
    if points is None:
        return nothing
    tree = scipy.spatial.cKDTree(places)
    anywhere = np.sort(tree.query(points)[0])
    number = min(len(places), _LOST + 2)
    # Of each place the distances of the others, the nearest first: itself is at zero.
    others = np.sort(tree.query(places[which], k=number)[0], axis=1)[:, 1:]
    most = min(others.shape[1] - 1, len(places) // 2)
    lost = np.zeros(len(which), np.intp)
    waiting = [(float(distance), row) for row, distance in enumerate(others[:, 0])]
    heapq.heapify(waiting)
    settled = 0
    while waiting:
        distance, row = heapq.heappop(waiting)
        share = np.searchsorted(anywhere, distance, side="right") / len(anywhere)
        if (settled + 1) / len(which) > share + _CHANCE / len(which) and lost[row] < most:
            lost[row] += 1
            heapq.heappush(waiting, (float(others[row, lost[row]]), row))
        else:
            settled += 1
    found = others[np.arange(len(which)), lost]
    return np.where(lost > 0, found * (1 - 1e-9), 0.0)


def _points_between(places: Array, number: int) -> Array | None:
    """Spread points evenly over the hull of places, if there is one."""
    dim = places.shape[1]
    if not 2 <= dim <= 3 or len(places) <= dim + 1:
        return None
    try:
        triangles = scipy.spatial.Delaunay(places)
    except scipy.spatial.QhullError:  # all on a line, or on a plane
        return None
    from scipy.stats import qmc  # not above: it takes as long to import as all the rest

    points = qmc.Halton(dim, scramble=False).random(max(number, _LEAST_POINTS))
    low, high = places.min(axis=0), places.max(axis=0)
    points = low + points * (high - low)
    inside = points[triangles.find_simplex(points) >= 0]
    return inside if len(inside) else None


def _as_tried(deviations: PointsLike, dim: int) -> Array:
    given = np.asarray(deviations, dtype=float)
    if given.ndim == 0 or given.size == 0 or given.ndim > 2:
        raise ValueError(
            "deviations must have shape (n_deviations,), or (n_deviations, location_dim) for one "
            f"on each axis, with one deviation at least, but have shape {given.shape}."
        )
    columns = given[:, None] if given.ndim == 1 else given
    sds = as_deviations(columns, torch.Size((len(given), dim)), "deviations", dtype=torch.float64)
    return np.array(sds.numpy())


def _kriged(
    places: Array,
    senses: Array,
    tried: Array,
    which: npt.NDArray[np.intp],
    apart: Array | None,
    how: ReadOptions,
) -> tuple[Array, Array]:
    """Read by kriging around the mean: on axes that are stretched, so that the length is one."""
    mean, shape = senses.mean(axis=0), (len(tried), len(which), senses.shape[1])
    value, variance = np.empty(shape), np.empty(shape)
    chosen: dict[str, Any] = {} if how.nugget is None else {"nugget": how.nugget}
    if not (senses - mean).any():
        return np.broadcast_to(mean, shape), np.zeros(shape)
    for row, deviation in enumerate(tried):
        scale = math.sqrt(2) * deviation
        known = Kriging(places / scale, senses - mean, 1.0, **chosen)
        # On axes that are stretched differently, by what they are on the mean.
        nearer = None if apart is None else apart / math.exp(np.log(scale).mean())
        found = kriged_left_out(known, which, nearer)
        value[row] = found.mean + mean
        variance[row] = (found.variance + known.nugget_variance)[:, None]
    return value, variance


def _checked(score: str) -> str:
    if score not in SCORES:
        raise ValueError(f"score must be one of {SCORES}, but {score!r} was given.")
    return score
