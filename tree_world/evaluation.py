"""What results are worth: means over seeds, survival, claims; places that were found.

A claim is a sentence that is asserted where its numbers are computed. Places are judged in metres:
after the best map onto the true ones (`procrustes`), and by how often ellipses hold what they claim
to (`coverage`).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    PointsLike,
    WrongKind,
    as_numbers,
    as_points,
    checked_number,
    whole_number,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "Alignment",
    "ClaimError",
    "Estimate",
    "Reliability",
    "SurvivalCurve",
    "claim",
    "coverage",
    "mean_with_interval",
    "paired_difference",
    "procrustes",
    "reliability",
    "survival_curve",
    "within",
]

Array: TypeAlias = npt.NDArray[np.float64]

_MAPS = ("affine", "similarity")
_FLAT = 1e-12  # of the greatest extent: what is thinner lies in a line


class ClaimError(AssertionError):
    """A sentence that the numbers do not bear out."""


def claim(text: str, holds: Any, margin: Any = None) -> None:
    """Assert that a sentence is true, where its numbers are computed.

    Parameters
    ----------
    text : str
        The sentence, as the reader finds it, or short for it.
    holds : bool
        Whether it is true: a bool, or an array or tensor of one bool.
    margin : float, optional
        How far it is from being false, in the unit of what it compares; above 0. Give it wherever
        numbers are compared, so that one sees which claims are close.

    Raises
    ------
    ClaimError
        If it is not true, or its margin is not above 0.
    TypeError
        If `holds` is not one bool, or `text` is not a sentence.

    Examples
    --------
    >>> claim("lives with sight are longer", 663 > 519, margin=663 - 519)
    >>> claim("lives with sight are shorter", 663 < 519, margin=519 - 663)
    Traceback (most recent call last):
    ...
    tree_world.evaluation.ClaimError: not borne out: lives with sight are shorter (margin -144)
    """
    if not isinstance(text, str) or not text.strip():
        raise TypeError(f"a claim is a sentence, but its text is {text!r}")
    truth = np.asarray(holds)
    if truth.dtype != bool or truth.size != 1 or np.ma.is_masked(holds):
        raise TypeError(
            f"{text!r} must be one bool, not {type(holds).__name__} of {truth.dtype} and shape "
            f"{truth.shape}. Reduce it with .all() or .any()"
        )
    distance = None if margin is None else float(margin)
    if not truth.item() or (
        distance is not None and not (distance > 0 and math.isfinite(distance))
    ):
        by = "" if distance is None else f" (margin {distance:g})"
        raise ClaimError(f"not borne out: {text}{by}")


@dataclass(frozen=True)
class Estimate:
    """A mean with its confidence interval.

    Attributes
    ----------
    mean : float
    low, high : float
        Ends of the interval, in the unit of the values.
    num_values : int
        How many values it rests on.
    """

    mean: float
    low: float
    high: float
    num_values: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}} ± {self.half_width:{spec}}"

    def __str__(self) -> str:
        return f"{self:.3g}"


def mean_with_interval(values: ArrayLike, confidence: float = 0.95) -> Estimate:
    r"""Mean over seeds with Student's interval.

    .. math:: \bar v \pm t_{n-1,\,(1+c)/2} \, \frac{s}{\sqrt n}

    Parameters
    ----------
    values : array_like of shape (num_seeds,)
        One value for each seed, at least two.
    confidence : float, default=0.95
        Probability c with which such an interval holds the true mean.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If there are fewer than two values, one is not finite, or `confidence` is not in (0, 1).

    Examples
    --------
    >>> print(mean_with_interval([1.0, 2.0, 3.0]))
    2 ± 2.48
    """
    array = _finite_vector(values)
    confidence = checked_number("confidence", confidence, "share")
    import scipy.stats  # not above: it takes as long to import as all the rest

    half = scipy.stats.t.ppf((1 + confidence) / 2, len(array) - 1) * scipy.stats.sem(array)
    mean = float(array.mean())
    return Estimate(mean, mean - float(half), mean + float(half), len(array))


def paired_difference(values: ArrayLike, baseline: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Mean of the differences between two treatments of the same seeds, with its interval.

    Parameters
    ----------
    values, baseline : array_like of shape (num_seeds,)
        Entry s of both comes from seed s.
    confidence : float, default=0.95
        As for `mean_with_interval`.

    Returns
    -------
    Estimate
        Of ``values - baseline``.

    Raises
    ------
    ValueError
        If the lengths differ, or as for `mean_with_interval`.

    Examples
    --------
    >>> print(paired_difference([3.0, 5.0, 4.0], [1.0, 2.0, 3.0]))
    2 ± 2.48
    """
    first, second = _finite_vector(values), _finite_vector(baseline, "baseline")
    if len(first) != len(second):
        raise ValueError(
            "paired values need one entry for each seed in both arrays, but "
            f"{len(first)} and {len(second)} were given."
        )
    return mean_with_interval(first - second, confidence)


@dataclass(frozen=True)
class SurvivalCurve:
    """Share still alive over time.

    Attributes
    ----------
    times : numpy.ndarray of shape (num_times,)
        Steps at which the estimate changes, 0 first.
    share : numpy.ndarray of shape (num_times,)
        Share alive from that step on.
    low, high : numpy.ndarray of shape (num_times,)
        Pointwise confidence interval. Where everybody is still alive, or nobody, the formula has
        no value and the interval is the point itself.
    """

    times: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def survival_curve(
    lifetimes: ArrayLike, died: ArrayLike, confidence: float = 0.95
) -> SurvivalCurve:
    """Kaplan–Meier estimate of survival, with log-log Greenwood intervals, by SciPy.

    Parameters
    ----------
    lifetimes : array_like of shape (num_lives,)
        Steps lived.
    died : array_like of bool of shape (num_lives,)
        False where the life was still going on when we stopped watching.
    confidence : float, default=0.95
        Of the pointwise interval.

    Returns
    -------
    SurvivalCurve

    Raises
    ------
    ValueError
        If the shapes differ, a lifetime is negative, or `confidence` is not in (0, 1).
    """
    steps = _finite_vector(lifetimes, "lifetimes")
    confidence = checked_number("confidence", confidence, "share")
    ended = _numbers(died, "died")
    if not np.isin(ended, (0, 1)).all():
        raise WrongKind("died must hold a truth value for each life, but there are others.")
    ended = ended == 1
    if ended.shape != steps.shape:
        raise ValueError(
            "lifetimes and died must have one entry for each life, but their shapes are "
            f"{steps.shape} and {ended.shape}."
        )
    if (steps < 0).any():
        raise ValueError(f"lifetimes must not be negative, but {steps.min():g} was given.")
    import scipy.stats

    data = scipy.stats.CensoredData(uncensored=steps[ended], right=steps[~ended])
    survival = scipy.stats.ecdf(data).sf
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Where nobody has died, or all have, the formula has no value: the interval is a point.
        warnings.simplefilter("ignore", RuntimeWarning)
        interval: Any = survival.confidence_interval(confidence, method="log-log")
    share = survival.probabilities
    low, high = (
        np.where(np.isnan(edge.probabilities), share, edge.probabilities)
        for edge in (interval.low, interval.high)
    )
    return SurvivalCurve(
        times=np.concatenate([[0.0], survival.quantiles]),
        share=np.concatenate([[1.0], share]),
        low=np.concatenate([[1.0], low]),
        high=np.concatenate([[1.0], high]),
    )


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Numbers of any kind, also tensors with gradients, in double precision."""
    return np.asarray(as_numbers(values, name, torch.float64).detach().numpy())


def _finite_vector(values: ArrayLike, name: str = "values") -> np.ndarray:
    array = _numbers(values, name)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(
            "an interval needs a vector of at least two values, one for each seed, but an array "
            f"of shape {array.shape} was given."
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be finite, but value {int(np.argmin(np.isfinite(array)))} is not."
        )
    return array


@dataclass(frozen=True)
class Reliability:
    """Forecast probabilities beside what came of them.

    Attributes
    ----------
    forecast, observed : numpy.ndarray of shape (num_bins,)
        Mean forecast and mean outcome of each bin that is not empty.
    counts : numpy.ndarray of shape (num_bins,)
        Forecasts in it.
    """

    forecast: np.ndarray
    observed: np.ndarray
    counts: np.ndarray

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance between forecast and outcome, each bin weighted by its forecasts."""
        return float(np.average(np.abs(self.forecast - self.observed), weights=self.counts))


def reliability(forecast: ArrayLike, outcome: ArrayLike, num_bins: int = 10) -> Reliability:
    """Compare forecast probabilities with outcomes, in bins of equal width.

    Parameters
    ----------
    forecast : array_like of shape (n,)
        From 0 to 1.
    outcome : array_like of shape (n,)
        What happened: 0 or 1, or a probability where that is all that is known.
    num_bins : int, default=10

    Returns
    -------
    Reliability

    Raises
    ------
    ValueError
        If shapes differ, a number does not lie between 0 and 1, or `num_bins` is not a whole
        number of at least one.

    References
    ----------
    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning", 2015.

    Examples
    --------
    >>> reliability([0.75, 0.75, 0.25, 0.25], [1, 1, 0, 0]).expected_calibration_error
    0.25
    """
    given, happened = _numbers(forecast, "forecast"), _numbers(outcome, "outcome")
    if given.ndim != 1 or given.shape != happened.shape or len(given) == 0:
        raise ValueError(
            "forecast and outcome must be vectors of one length, but have shapes "
            f"{given.shape} and {happened.shape}."
        )
    inside = (given >= 0) & (given <= 1) & (happened >= 0) & (happened <= 1)
    if not inside.all():
        first = int(np.argmin(inside))
        raise ValueError(
            f"forecasts and outcomes must lie between 0 and 1, but {int((~inside).sum())} pairs do "
            f"not, the first of them pair {first}: {given[first]:g} and {happened[first]:g}."
        )
    num_bins = whole_number("num_bins", num_bins, least=1)
    bins = np.minimum((given * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    filled = counts > 0
    forecast_mean, observed_mean = (
        np.bincount(bins, values, num_bins)[filled] / counts[filled] for values in (given, happened)
    )
    return Reliability(forecast_mean, observed_mean, counts[filled])


# --- places ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alignment:
    r"""Places after the map that brings them nearest to others.

    Attributes
    ----------
    places : numpy.ndarray of float64, of shape (n_places, dim)
        M a + c for each place a, in metres.
    rms : float
        Root of the mean squared distance that is left, in metres.
    r2 : float
        Share of the variance that is explained: 1 − Σ‖b − M a − c‖² / Σ‖b − b̄‖². It flatters: in
        an arena of 500 m, 0.98 is 20 m.
    matrix : numpy.ndarray of float64, of shape (dim, dim_of_a)
        M.
    shift : numpy.ndarray of float64, of shape (dim,)
        c, in metres.
    """

    places: Array
    rms: float
    r2: float
    matrix: Array
    shift: Array


def procrustes(a: PointsLike, b: PointsLike, kind: str = "affine") -> Alignment:
    r"""Map places onto others as well as can be, and tell what is left.

    Sought are M and c with the least :math:`\sum_i \lVert b_i - M a_i - c \rVert^2`. An *affine*
    map may have any matrix M. A *similarity* has :math:`M = s\,Q` with a factor s ≥ 0 and
    :math:`Q^\top Q = I`: it may turn, mirror, and change the scale, but keeps all angles.

    Parameters
    ----------
    a : array_like of shape (n_places, dim_of_a)
        Places that were found, in any unit.
    b : array_like of shape (n_places, dim)
        Those they should be, in metres.
    kind : {"affine", "similarity"}, default="affine"
        A similarity needs as many coordinates of both.

    Returns
    -------
    Alignment

    Raises
    ------
    ValueError
        If shapes do not fit, there are too few places to tell anything (an affine map fits
        `dim_of_a` + 1 of them always), or all places of `b` are the same.

    References
    ----------
    P. H. Schönemann, "A generalized solution of the orthogonal Procrustes problem", 1966.

    Examples
    --------
    >>> square = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    >>> sheared = [[0.0, 0.0], [20.0, 0.0], [30.0, 10.0], [10.0, 10.0]]
    >>> for kind in ("affine", "similarity"):
    ...     found = procrustes(square, sheared, kind)
    ...     print(f"{kind}: {found.rms:.1f} m, R² {found.r2:.2f}")
    affine: 0.0 m, R² 1.00
    similarity: 5.0 m, R² 0.83
    """
    if kind not in _MAPS:
        raise ValueError(f"kind must be one of {_MAPS}, not {kind!r}.")
    found, wanted = _places(a, "a"), _places(b, "b")
    if len(found) != len(wanted):
        raise ValueError(
            f"a and b must be as many places, but there are {len(found)} and {len(wanted)}."
        )
    if kind == "similarity" and found.shape != wanted.shape:
        raise ValueError(
            "a similarity maps places onto such of as many coordinates, but a has "
            f"{found.shape[1]} and b {wanted.shape[1]}. Choose kind='affine'."
        )
    least = found.shape[1] + 2 if kind == "affine" else 3
    if len(found) < least:
        raise ValueError(
            f"to tell anything takes {least} places, but there are {len(found)}: fewer fit always."
        )
    middle_a, middle_b = found.mean(axis=0), wanted.mean(axis=0)
    from_a, from_b = found - middle_a, wanted - middle_b
    total = float((from_b**2).sum())
    if total == 0:
        raise ValueError("all places of b are the same, so that there is nothing to explain.")
    if kind == "affine":
        matrix = np.linalg.lstsq(from_a, from_b, rcond=_FLAT)[0].T
    else:
        left, singular, right = np.linalg.svd(from_b.T @ from_a)
        extent = float((from_a**2).sum())
        scale = float(singular.sum()) / extent if extent > 0 else 0.0
        matrix = scale * left @ right
    mapped = from_a @ matrix.T
    rest = float(((from_b - mapped) ** 2).sum())
    rms, r2 = float(np.sqrt(rest / len(wanted))), 1 - rest / total
    return Alignment(mapped + middle_b, rms, r2, matrix, middle_b - matrix @ middle_a)


def within(
    means: PointsLike, covariances: PointsLike, truths: PointsLike, share: float
) -> npt.NDArray[np.bool_]:
    r"""Tell which ellipses hold the truth.

    The ellipse of a share q is that of all x with :math:`(x - \mu)^\top C^{-1} (x - \mu) \le
    \chi^2_{d, q}`: it holds a Gaussian of this mean and covariance with probability q.

    Parameters
    ----------
    means : array_like of shape (n, dim)
        In metres.
    covariances : array_like of shape (n, dim, dim)
        In square metres; symmetric and positive definite.
    truths : array_like of shape (n, dim)
        In metres.
    share : float
        q, strictly between 0 and 1.

    Returns
    -------
    numpy.ndarray of bool, of shape (n,)

    Raises
    ------
    ValueError
        If shapes do not fit, a covariance is not positive definite, or `share` is none.
    """
    quantile = float(checked_number("share", share, "share"))
    middle, true = _places(means, "means"), _places(truths, "truths")
    number, dim = middle.shape
    spread = as_numbers(covariances, "covariances", torch.float64).detach().numpy()
    if true.shape != middle.shape or spread.shape != (number, dim, dim):
        raise ValueError(
            "means and truths must have one shape, (n, dim), and covariances the shape "
            f"(n, dim, dim), but they have {middle.shape}, {true.shape} and {spread.shape}."
        )
    try:
        if not np.isfinite(spread).all() or not np.allclose(
            spread, np.swapaxes(spread, -1, -2), rtol=1e-6
        ):
            raise np.linalg.LinAlgError
        lower = np.linalg.cholesky(spread)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "covariances must be symmetric and positive definite, but some are not: an ellipse "
            "of no width holds nothing."
        ) from error
    white = np.linalg.solve(lower, (true - middle)[..., None])[..., 0]
    import scipy.stats

    return np.asarray((white**2).sum(axis=-1) <= scipy.stats.chi2.ppf(quantile, dim))


def coverage(
    means: PointsLike, covariances: PointsLike, truths: PointsLike, share: float = 0.9
) -> float:
    """Share of ellipses that hold the truth: of those that are honest, as many as they claim.

    Parameters
    ----------
    means, covariances, truths
        As for `within`.
    share : float, default=0.9
        Which each ellipse claims to hold.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        As `within` does.

    Examples
    --------
    >>> import numpy as np
    >>> truths = np.random.default_rng(0).normal(size=(10_000, 2))
    >>> print(f"{coverage(0 * truths, np.tile(np.eye(2), (10_000, 1, 1)), truths):.2f}")
    0.90
    """
    return float(within(means, covariances, truths, share).mean())


def _places(values: PointsLike, name: str) -> Array:
    numbers = as_numbers(values, name, torch.float64).detach()
    if numbers.ndim != 2 or numbers.numel() == 0:
        raise ValueError(
            f"{name} must be places, of shape (n, dim), with at least one, but an array of shape "
            f"{tuple(numbers.shape)} was given."
        )
    array: Array = as_points(numbers, numbers.shape[1], name, torch.float64).numpy()
    return array
