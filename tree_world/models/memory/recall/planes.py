"""Small systems of equations of locally linear reads, one for each query."""

from __future__ import annotations

import math

import numpy as np

from tree_world.compiling import compiled


@compiled
def solve_positive(matrix: np.ndarray, right: np.ndarray) -> None:
    """Solve a small positive definite system in place, by Cholesky's root.

    Parameters
    ----------
    matrix : numpy.ndarray of float64, of shape (dim, dim)
        Of which the lower half is looked at, and used up.
    right : numpy.ndarray of float64, of shape (dim, n_sides)
        Becomes the solution.

    Examples
    --------
    >>> right = np.array([[4.0], [9.0]])
    >>> solve_positive(np.array([[2.0, 0.0], [0.0, 3.0]]), right)
    >>> right.ravel()
    array([2., 3.])
    """
    dim, number = right.shape
    for a in range(dim):
        for b in range(a + 1):
            total = matrix[a, b]
            for c in range(b):
                total -= matrix[a, c] * matrix[b, c]
            matrix[a, b] = math.sqrt(max(total, 1e-300)) if a == b else total / matrix[b, b]
    for k in range(number):
        for a in range(dim):
            total = right[a, k]
            for c in range(a):
                total -= matrix[a, c] * right[c, k]
            right[a, k] = total / matrix[a, a]
        for a in range(dim - 1, -1, -1):
            total = right[a, k]
            for c in range(a + 1, dim):
                total -= matrix[c, a] * right[c, k]
            right[a, k] = total / matrix[a, a]
