r"""How good places are that were found: after the best map onto the true ones; as they claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.stats
import torch

from tree_world.checks import PointsLike, as_numbers, as_points, checked_number

Array: TypeAlias = npt.NDArray[np.float64]

_KINDS = ("affine", "similarity")
_FLAT = 1e-12  # of the greatest extent: what is thinner lies in a line


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
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {_KINDS}, not {kind!r}.")
    found, wanted = _matrix(a, "a"), _matrix(b, "b")
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
    middle, true = _matrix(means, "means"), _matrix(truths, "truths")
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


def _matrix(values: PointsLike, name: str) -> Array:
    numbers = as_numbers(values, name, torch.float64).detach()
    if numbers.ndim != 2 or numbers.numel() == 0:
        raise ValueError(
            f"{name} must be places, of shape (n, dim), with at least one, but an array of shape "
            f"{tuple(numbers.shape)} was given."
        )
    array: Array = as_points(numbers, numbers.shape[1], name, torch.float64).numpy()
    return array
