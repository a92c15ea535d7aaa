"""The few directions in which senses differ, so that a sense takes few numbers."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

_RANK = 1e-5  # of the greatest singular value: smells come in single precision


def directions_of(senses: Array) -> Array:
    """Find orthonormal rows that span senses.

    Distances between senses, and their lengths, are the same in these few numbers.

    Parameters
    ----------
    senses : numpy.ndarray of shape (n, sensory_dim)

    Returns
    -------
    numpy.ndarray of shape (rank, sensory_dim)
        At least one; directions in which all of them hardly differ from zero are left out.

    Examples
    --------
    >>> rows = directions_of(np.array([[3.0, 0.0, 4.0], [6.0, 0.0, 8.0]]))
    >>> rows.shape, np.abs(rows).round(1).tolist()
    ((1, 3), [[0.6, 0.0, 0.8]])
    """
    _, sizes, rows = np.linalg.svd(senses, full_matrices=False)
    return np.asarray(rows[: max(1, int((sizes > _RANK * sizes[0]).sum()))])
