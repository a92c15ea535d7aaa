"""The few directions in which senses differ, so that a sense takes few numbers."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tree_world.checks import Number, checked_number

__all__ = ["directions_of"]

Array: TypeAlias = npt.NDArray[np.float64]

_RANK = 1e-5  # of the greatest singular value: smells come in single precision
_FAINT = 0.5  # of the nugget: what noise adds to each of many numbers is less than that
_SHARE = Number("be zero or more, and finite", lambda x: 0 <= x < math.inf, "Give 0.02, or so.")


def directions_of(senses: Array, nugget: float = 0.0) -> Array:
    r"""Find orthonormal rows that span senses, but for what is noise.

    With the singular values :math:`s_1 \ge s_2 \ge …` of all senses, those directions are kept in
    which :math:`s_i > \tfrac12 \nu\, s_1`. Noise that is spread evenly over hundreds of numbers is
    faint in each direction, and left out with all directions in which there is little else.
    Distances between senses, and their lengths, are nearly the same in these few numbers.

    Parameters
    ----------
    senses : numpy.ndarray of shape (n, sensory_dim)
    nugget : float, default=0.0
        ν. With 0, directions are left out in which all of them hardly differ from zero.

    Returns
    -------
    numpy.ndarray of shape (rank, sensory_dim)
        At least one.

    Raises
    ------
    ValueError
        If the nugget is negative or not finite.

    Examples
    --------
    >>> senses = np.array([[3.0, 0.0, 4.0], [6.0, 0.01, 8.0]])
    >>> rows = directions_of(senses, 0.02)
    >>> rows.shape, np.abs(rows).round(1).tolist()
    ((1, 3), [[0.6, 0.0, 0.8]])
    >>> directions_of(senses).shape
    (2, 3)
    """
    share = max(_RANK, _FAINT * checked_number("nugget", nugget, _SHARE))
    _, sizes, rows = np.linalg.svd(senses, full_matrices=False)
    return np.asarray(rows[: max(1, int((sizes > share * sizes[0]).sum()))])


def outside(senses: Array, directions: Array) -> float:
    """Tell what is left of senses outside of their directions, as a mean square.

    Parameters
    ----------
    senses : numpy.ndarray of shape (n, sensory_dim)
    directions : numpy.ndarray of shape (rank, sensory_dim)
        Orthonormal.

    Returns
    -------
    float
        In squared units of senses.

    Examples
    --------
    >>> outside(np.array([[3.0, 4.0], [5.0, 0.0]]), np.array([[1.0, 0.0]]))
    8.0
    """
    return max(float((senses**2).sum() - ((senses @ directions.T) ** 2).sum()) / len(senses), 0.0)
