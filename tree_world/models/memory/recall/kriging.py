r"""A read that knows its error: kriging, or regression by a Gaussian process, among neighbours.

Each coordinate of a sense is held to be a smooth random field over the plane, of which nothing is
known but that values at two places x, y are alike as

.. math::

    k(x, y) = \exp\left(-\frac{\lVert x - y \rVert^2}{2 \ell^2}\right), \qquad
    \operatorname{E} f(x) = 0, \quad \operatorname{E} f(x) f(y) = a^2 k(x, y),

with a length :math:`\ell` and an amplitude a that all coordinates share. The field of scents is of
this kind: a sum of bumps :math:`e^{-r^2/2t}` has the length :math:`\sqrt{2t}`. What was sensed is
the field plus a deviation of its own, of standard deviation :math:`\nu a`: the nugget. With the
matrix :math:`K_{ij} = k(x_i, x_j) + \nu^2 \delta_{ij}` of the nearest observations, their senses Z
and :math:`k_i = k(x, x_i)`, it follows for a place x that

.. math::

    \bar z = Z^\top K^{-1} k, \qquad
    \frac{\partial \bar z}{\partial x} = Z^\top K^{-1} \frac{\partial k}{\partial x}, \qquad
    v = a^2 \left(1 - k^\top K^{-1} k\right).

The variance v is that of *one coordinate* of the field, in squared units of senses: of D
coordinates, the squared distance between the mean and the true value is D v on average. Far from
all observations the mean is nothing, and v is a².

References
----------
C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006, chapters 2
and 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.optimize
import scipy.spatial
import torch

from tree_world.checks import (
    Number,
    PointsLike,
    as_numbers,
    as_points,
    as_senses,
    checked_number,
    positive_distance,
    whole_number,
)

__all__ = ["NEAREST", "NUGGET", "Evidence", "Kriged", "Kriging", "evidence", "length_by_evidence"]

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.intp]
Bools: TypeAlias = npt.NDArray[np.bool_]
Rule: TypeAlias = Callable[[Numbers, Numbers], Bools]
Excluded: TypeAlias = Bools | Rule
"""Which observations do not count for which queries: see `Kriging.read`."""

NUGGET = 0.02  # of the amplitude: what is left of the jump of smells where fruit comes into reach
NEAREST = 24  # observations that tell of a place
MOST = 500  # observations from which an amplitude or a length is learned, unless told otherwise
_ROUNDING = 1e-10  # a share of a² on the diagonal, without which places that are near are as one
_AT_ONCE = 1024  # queries whose matrices are held at a time
_LENGTHS = 16  # tried before the best of them is refined
_SHARE = Number("be zero or more, and finite", lambda x: 0 <= x < math.inf, "Give 0.02, or so.")


@dataclass(frozen=True)
class Kriged:
    """What is read at some places, and how far it may be off.

    Attributes
    ----------
    mean : numpy.ndarray of float64, of shape (n_queries, sensory_dim)
        The sense that is expected; zeros far from all observations.
    variance : numpy.ndarray of float64, of shape (n_queries,)
        Of one coordinate of the smooth field there, given the observations, in squared units of
        senses. Times `sensory_dim`, it is the mean squared distance to the true value. What is
        sensed deviates by the nugget on top of that: see `Kriging.nugget_variance`.
    slope : numpy.ndarray of float64, of shape (n_queries, sensory_dim, dim)
        Derivatives of the mean by the place, in units of senses per metre.
    nearest_distance : numpy.ndarray of float64, of shape (n_queries,)
        To the nearest observation that counts, in metres; infinite where there is none.
    """

    mean: Array
    variance: Array
    slope: Array
    nearest_distance: Array


@dataclass(frozen=True)
class Evidence:
    """How probable senses are under a length.

    Attributes
    ----------
    log_likelihood : float
        Logarithm of the density of all senses, in nats, at the best amplitude.
    amplitude : float
        That amplitude, in units of senses.
    per_number : float
        The same logarithm for each number: over the n D numbers that were sensed, in nats.
    """

    log_likelihood: float
    amplitude: float
    per_number: float


class Kriging:
    r"""Observations that can be read with a claimed error.

    Parameters
    ----------
    places : array_like of shape (n_observations, dim)
        Where something was sensed, in metres.
    senses : array_like of shape (n_observations, sensory_dim)
        What was sensed there.
    length : float
        The length :math:`\ell` of the kernel, in metres; for scents √2 times the standard deviation
        of a bump. `length_by_evidence` finds it.
    amplitude : float, optional
        Standard deviation a of a coordinate, in units of senses. By default the most probable one,
        by at most `most` of the observations: see `evidence`.
    nugget : float, default=0.02
        Standard deviation ν of what the field does not explain, as a share of the amplitude.
    nearest : int, default=24
        How many of the observations tell of a place: those that are nearest.
    most : int, default=500
        How many observations the amplitude is learned from.

    Attributes
    ----------
    amplitude : float
        In units of senses.
    nugget_variance : float
        Of what is sensed around the field, for each coordinate, in squared units of senses.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of its range, or all senses are zero and no amplitude
        is given.

    Examples
    --------
    >>> places = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]
    >>> senses = [[0.0], [1.0], [0.0], [1.0]]
    >>> known = Kriging(places, senses, length=20.0, amplitude=1.0)
    >>> found = known.read([[5.0, 5.0], [100.0, 0.0]])
    >>> print(f"{found.mean[0, 0]:.2f}, rising by {found.slope[0, 0, 0]:.2f} per metre")
    0.53, rising by 0.11 per metre
    >>> print(f"variances {found.variance[0]:.3f} and {found.variance[1]:.3f}")
    variances 0.004 and 1.000
    """

    def __init__(
        self,
        places: PointsLike,
        senses: PointsLike,
        length: float,
        *,
        amplitude: float | None = None,
        nugget: float = NUGGET,
        nearest: int = NEAREST,
        most: int = MOST,
    ) -> None:
        self.places, self.senses = as_observations(places, senses)
        self.length = positive_distance("length", length)
        self.nugget = checked_number("nugget", nugget, _SHARE)
        self.nearest = whole_number("nearest", nearest, 1)
        if amplitude is None:
            which = evenly_spread(len(self.places), whole_number("most", most, 1))
            squares = _squares(self.places[which])
            self.amplitude = _evidence(squares, self.senses[which], length, self.nugget).amplitude
        else:
            self.amplitude = checked_number("amplitude", amplitude, "positive")
        self._tree = scipy.spatial.cKDTree(self.places)

    @property
    def nugget_variance(self) -> float:
        """Variance (ν a)² of a coordinate that is sensed around the field, in squared senses."""
        return (self.nugget * self.amplitude) ** 2

    def read(self, queries: PointsLike, excluded: Excluded | None = None) -> Kriged:
        """Read at some places.

        Parameters
        ----------
        queries : array_like of shape (n_queries, dim) or (dim,)
            In metres; a single place counts as one query.
        excluded : array_like of bool, of shape (n_observations,) or (n_queries, n_observations), \
or callable, optional
            Observations that do not count, so that nothing confirms itself. A callable gets numbers
            of queries, of shape (q, 1), and of observations, of shape (q, m), and returns which of
            these pairs do not count, of shape (q, m). It is asked about the nearest alone.

        Returns
        -------
        Kriged

        Raises
        ------
        ValueError
            If shapes do not fit, or a place is not finite.

        Examples
        --------
        What lies within five steps does not count:

        >>> import numpy as np
        >>> steps = np.arange(100)
        >>> known = Kriging(np.stack([steps, 0 * steps], -1), np.sin(steps / 9)[:, None], 10.0)
        >>> near = lambda query, observation: abs(steps[query] - steps[observation]) < 5
        >>> known.read(known.places[:3], near).nearest_distance
        array([5., 5., 5.])
        """
        dim = self.places.shape[1]
        where = as_points(queries, dim, "queries", torch.float64).detach().numpy().reshape(-1, dim)
        rule = self._rule(excluded, len(where))
        parts = [
            self._read(where, np.arange(start, min(start + _AT_ONCE, len(where))), rule)
            for start in range(0, len(where), _AT_ONCE)
        ] or [self._read(where, np.arange(0), rule)]
        return Kriged(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _rule(self, excluded: Excluded | None, number: int) -> Rule | None:
        if excluded is None or callable(excluded):
            return excluded
        mask = np.asarray(excluded)
        shapes = ((len(self.places),), (number, len(self.places)))
        if mask.dtype != bool or mask.shape not in shapes:
            raise ValueError(
                f"excluded must be bools of shape {shapes[0]}, for all queries, or {shapes[1]}, "
                f"for each, but has shape {mask.shape} and kind {mask.dtype}."
            )
        if mask.ndim == 1:
            return lambda _, observation: mask[observation]
        return lambda query, observation: mask[query, observation]

    def _read(
        self, where: Array, rows: Numbers, rule: Rule | None
    ) -> tuple[Array, Array, Array, Array]:
        which, counts, _ = self._neighbours(where, rows, rule)
        return self._among(where[rows], which, counts)

    def read_among(self, queries: PointsLike, which: Numbers, counts: Bools) -> Kriged:
        """Read at some places from observations that are chosen for each.

        Parameters
        ----------
        queries : array_like of shape (n_queries, dim)
            In metres.
        which : numpy.ndarray of int, of shape (n_queries, n_chosen)
            Numbers of the observations that tell of each.
        counts : numpy.ndarray of bool, of shape (n_queries, n_chosen)
            Whether each counts, for where there are not as many.

        Returns
        -------
        Kriged

        Raises
        ------
        ValueError
            If shapes do not fit, or a place is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> known = Kriging([[0.0], [1.0], [5.0]], [[1.0], [2.0], [3.0]], 2.0)
        >>> chosen = np.array([[0, 2]]), np.array([[True, False]])
        >>> known.read_among([[1.0]], *chosen).nearest_distance
        array([1.])
        """
        dim = self.places.shape[1]
        where = as_points(queries, dim, "queries", torch.float64).detach().numpy()
        if where.ndim != 2 or len(which) != len(where) or which.shape != counts.shape:
            raise ValueError(
                "queries must have shape (n_queries, dim), and which and counts (n_queries, "
                f"n_chosen), but they have {where.shape}, {which.shape} and {counts.shape}."
            )
        return Kriged(*self._among(where, which, counts))

    def _among(
        self, where: Array, which: Numbers, counts: Bools
    ) -> tuple[Array, Array, Array, Array]:
        # Relative to the query: far from the origin digits are few.
        offsets = self.places[which] - where[:, None]
        distances = np.linalg.norm(offsets, axis=-1)
        scale = -0.5 / self.length**2
        alike = np.exp(scale * _squares(offsets))
        to_query = np.exp(scale * distances**2)
        if not counts.all():  # what does not count is far from everything
            alike *= counts[:, :, None] & counts[:, None]
            to_query *= counts
        diagonal = np.arange(which.shape[1])
        alike[:, diagonal, diagonal] = 1 + max(self.nugget**2, _ROUNDING)
        right = np.empty((*which.shape, 1 + offsets.shape[-1]))
        right[..., 0] = to_query
        right[..., 1:] = to_query[..., None] * offsets / self.length**2
        weights = np.linalg.solve(alike, right)
        found = np.matmul(np.swapaxes(self.senses[which], -1, -2), weights)
        explained = np.einsum("qk,qk->q", to_query, weights[..., 0])
        variance = self.amplitude**2 * np.clip(1 - explained, 0.0, 1.0)
        nearest = np.where(counts, distances, np.inf).min(axis=-1)
        return found[..., 0], variance, found[..., 1:], nearest

    def _neighbours(
        self, where: Array, rows: Numbers, rule: Rule | None
    ) -> tuple[Numbers, Bools, Array]:
        """Find the nearest observations, whether each counts, and how far each is."""
        everything = len(self.places)
        wanted = number = min(self.nearest, everything)
        which = np.zeros((len(rows), wanted), np.intp)
        counts = np.ones((len(rows), wanted), bool)
        distances = np.zeros((len(rows), wanted))
        waiting = np.arange(len(rows))
        while len(waiting):
            apart, found = self._tree.query(where[rows[waiting]], k=number)
            apart, found = apart.reshape(-1, number), found.reshape(-1, number)
            if rule is None:
                return found, counts, apart
            right = ~np.asarray(rule(rows[waiting, None], found), bool)
            if right.shape != found.shape:
                raise ValueError(
                    f"excluded must return bools of shape {found.shape}, one for each pair that it "
                    f"is asked about, but returned shape {right.shape}."
                )
            done = (right.sum(axis=1) >= wanted) | (number == everything)
            first = np.argsort(~right, axis=1, kind="stable")[done, :wanted]
            own = waiting[done]
            for whole, part in ((which, found), (counts, right), (distances, apart)):
                whole[own] = np.take_along_axis(part[done], first, axis=1)
            waiting, number = waiting[~done], min(2 * number, everything)
        return which, counts, distances


def evidence(
    places: PointsLike, senses: PointsLike, length: float, *, nugget: float = NUGGET
) -> Evidence:
    r"""Tell how probable senses are under a length, at the amplitude that suits it best.

    .. math::

        \log p(Z) = -\frac{n D}{2} \left(1 + \log 2 \pi a^2\right) - \frac{D}{2} \log \lvert K
        \rvert, \qquad a^2 = \frac{\operatorname{tr} Z^\top K^{-1} Z}{n D}

    The first term says how well senses are explained. The determinant is what places pay for what
    they could explain, Occam's term: it is small where they are near each other, and tell of each
    other. Places that fly apart explain any senses, and none of them well. Turns, mirror images
    and shifts of the places change nothing, nor do turns of the senses.

    Parameters
    ----------
    places : array_like of shape (n_observations, dim)
        In metres. Time grows with the cube of their number.
    senses : array_like of shape (n_observations, sensory_dim)
    length : float
        In metres.
    nugget : float, default=0.02
        As for `Kriging`.

    Returns
    -------
    Evidence

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of its range, or all senses are zero.

    Examples
    --------
    >>> import numpy as np
    >>> places = 5.0 * np.arange(20)[:, None]
    >>> senses = np.sin(places / 20)
    >>> best = evidence(places, senses, length=20.0)
    >>> best.log_likelihood > evidence(places, senses, length=2.0).log_likelihood
    True

    Places that were learned are judged in nats for each number, as walks differ in length:

    >>> shuffled = np.random.default_rng(0).permutation(places)
    >>> wrong = evidence(shuffled, senses, length=20.0)
    >>> print(f"{best.per_number:.2f} nats, and {wrong.per_number:.2f} where places are wrong")
    2.07 nats, and -2.40 where places are wrong
    """
    there, sensed = as_observations(places, senses)
    length = positive_distance("length", length)
    return _evidence(_squares(there), sensed, length, checked_number("nugget", nugget, _SHARE))


def length_by_evidence(
    places: PointsLike,
    senses: PointsLike,
    *,
    candidates: Iterable[float] | None = None,
    bounds: tuple[float, float] | None = None,
    nugget: float = NUGGET,
    most: int = 300,
) -> float:
    """Find the length under which senses are most probable.

    Parameters
    ----------
    places : array_like of shape (n_observations, dim)
        In metres.
    senses : array_like of shape (n_observations, sensory_dim)
    candidates : iterable of float, optional
        Lengths in metres to choose among.
    bounds : tuple of two floats, optional
        Least and greatest length in metres, between which all are candidates. By default from half
        the median distance of nearest neighbours to the width of all places.
    nugget : float, default=0.02
        As for `Kriging`.
    most : int, default=300
        How many observations are looked at; of more than these, as many that are evenly spread
        over their order.

    Returns
    -------
    float
        In metres.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than three observations, all senses are zero,
        candidates and bounds are both given, or one is no distance.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> config = TreeWorldConfig()
    >>> sensor = SimpleSensor.from_config(config)
    >>> world = TreeWorld.random_from_config(config, seed=0)
    >>> places = np.random.default_rng(0).uniform(-300, 300, (300, 2))
    >>> length = length_by_evidence(places, sensor.sense(world, places).embedding)
    >>> print(f"{length:.0f} m, and √(2t) is {(2 * sensor.diffusion_time) ** 0.5:.0f} m")
    70 m, and √(2t) is 66 m
    """
    there, sensed = as_observations(places, senses)
    if len(there) < 3:
        raise ValueError(f"a length needs at least three observations, but there are {len(there)}.")
    share = checked_number("nugget", nugget, _SHARE)
    which = evenly_spread(len(there), whole_number("most", most, 3))
    there, sensed = there[which], sensed[which]
    squares = _squares(there)

    def score(length: float) -> float:
        return _evidence(squares, sensed, length, share).log_likelihood

    if candidates is not None:
        if bounds is not None:
            raise ValueError("give candidates or bounds, but not both.")
        lengths = [positive_distance("candidates", length) for length in candidates]
        if not lengths:
            raise ValueError("candidates must hold a length, but it is empty.")
        return max(lengths, key=score)
    low, high = _bounds(there) if bounds is None else bounds
    low, high = positive_distance("bounds[0]", low), positive_distance("bounds[1]", high)
    if low >= high:
        raise ValueError(f"bounds must be two distances that grow, but {(low, high)} was given.")
    tried = np.geomspace(low, high, _LENGTHS)
    best = int(np.argmax([score(length) for length in tried]))
    around = (tried[max(best - 1, 0)], tried[min(best + 1, _LENGTHS - 1)])
    found = scipy.optimize.minimize_scalar(
        lambda log_length: -score(math.exp(log_length)),
        bounds=(math.log(around[0]), math.log(around[1])),
        method="bounded",
        options={"xatol": 1e-3},
    )
    refined = math.exp(found.x)
    return refined if -found.fun >= score(tried[best]) else float(tried[best])


def _evidence(squares: Array, senses: Array, length: float, nugget: float) -> Evidence:
    alike = np.exp(squares * (-0.5 / length**2))
    alike[np.diag_indices_from(alike)] += max(nugget**2, _ROUNDING)
    lower = scipy.linalg.cholesky(alike, lower=True, overwrite_a=True, check_finite=False)
    white = scipy.linalg.solve_triangular(lower, senses, lower=True, check_finite=False)
    amplitude = math.sqrt(float(np.vdot(white, white)) / senses.size)
    if amplitude == 0:
        raise ValueError(
            "all senses are zero, so that they tell of no amplitude and no length: give some that "
            "were sensed near trees, or an amplitude."
        )
    log_determinant = 2 * float(np.log(np.diag(lower)).sum())
    constant = senses.size * (1 + math.log(2 * math.pi * amplitude**2))
    total = -0.5 * (constant + senses.shape[1] * log_determinant)
    return Evidence(total, amplitude, total / senses.size)


def _squares(places: Array) -> Array:
    """Squared distances of all pairs, from places (..., n, dim) to (..., n, n)."""
    apart = places[..., :, None, 0] - places[..., None, :, 0]
    total = apart * apart
    for axis in range(1, places.shape[-1]):
        apart = places[..., :, None, axis] - places[..., None, :, axis]
        total += apart * apart
    return total


def _bounds(places: Array) -> tuple[float, float]:
    spread = float(np.ptp(places, axis=0).max())
    nearest = float(np.median(scipy.spatial.cKDTree(places).query(places, k=2)[0][:, 1]))
    if spread == 0:
        raise ValueError("all places are the same, so that nothing tells of a length.")
    return max(nearest / 2, 1e-3 * spread), spread


def evenly_spread(number: int, most: int) -> Numbers:
    """Choose all observations, or some that are evenly spread over their order.

    Parameters
    ----------
    number, most : int
        How many there are, and how many may be chosen.

    Returns
    -------
    numpy.ndarray of int
        In increasing order.

    Examples
    --------
    >>> evenly_spread(9, 3)
    array([0, 4, 8])
    """
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(np.intp))


def as_observations(places: PointsLike, senses: PointsLike) -> tuple[Array, Array]:
    """Check places and what was sensed there, and copy both.

    Parameters
    ----------
    places : array_like of shape (n_observations, dim)
        In metres.
    senses : array_like of shape (n_observations, sensory_dim)

    Returns
    -------
    places, senses : numpy.ndarray of float64

    Raises
    ------
    ValueError
        If they are empty, not as many, or not finite.
    """
    there, sensed = _matrix(places, "places"), _matrix(senses, "senses")
    if len(there) != len(sensed):
        raise ValueError(
            f"places and senses must be as many, but there are {len(there)} and {len(sensed)}."
        )
    return there, sensed


def _matrix(values: PointsLike, name: str) -> Array:
    numbers = as_numbers(values, name, torch.float64).detach()
    if numbers.ndim != 2 or numbers.numel() == 0:
        raise ValueError(
            f"{name} must have shape (n_observations, number of coordinates), with at least one of "
            f"both, but an array of shape {tuple(numbers.shape)} was given."
        )
    check = as_points if name == "places" else as_senses
    # A copy, as what is given may be changed later.
    return np.array(check(numbers, numbers.shape[1], name, torch.float64).numpy())
