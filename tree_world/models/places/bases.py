"""Bases of lattices: the points that sums of whole numbers of some vectors reach."""

from __future__ import annotations

import itertools
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

OFF = 0.3  # of the length: so far may a pair be from its point of the lattice
SHORTEST = 1.0  # of the length: what is nearer than that is the same place
_FITS = 3  # by least squares


def lattice_of(vectors: Array, length: float) -> Array:
    """Make the coarsest lattice that has all vectors, each of them but for some error.

    Parameters
    ----------
    vectors : numpy.ndarray of float64, of shape (n_vectors, dim)
    length : float
        Of the kernel: vectors that are shorter are not of a lattice.

    Returns
    -------
    numpy.ndarray of float64, of shape (k, dim)
        A basis: see `reduced`.

    Examples
    --------
    >>> lattice_of(np.array([[4.0, 0.0], [6.1, 0.0], [10.0, 5.0]]), 1.0).round(1) + 0.0
    array([[1.9, 0. ],
           [0.5, 5. ]])
    """
    waiting = sorted(vectors, key=lambda vector: -float(np.linalg.norm(vector)))
    basis = np.empty((0, vectors.shape[1]))
    while waiting:
        vector = waiting.pop()
        shares = vector @ np.linalg.pinv(basis)
        left = vector - np.rint(shares) @ basis
        if np.linalg.norm(vector - shares @ basis) > OFF * length:
            basis = reduced(np.concatenate([basis, vector[None]]))
        elif np.linalg.norm(left) > SHORTEST * length:  # of a lattice half as wide, or less
            place = np.abs(shares - np.rint(shares)).argmax()
            waiting.append(basis[place].copy())
            basis[place] = left
            basis = reduced(basis)
    return basis


def reduced(basis: Array) -> Array:
    """Make vectors of a basis of a lattice as short as can be by adding others.

    Parameters
    ----------
    basis : numpy.ndarray of float64, of shape (k, dim)
        Of full rank.

    Returns
    -------
    numpy.ndarray of float64, of shape (k, dim)
        A basis of the same lattice, the shortest first, of which none becomes shorter by adding
        each of the others once, or subtracting it, or neither. The greatest coordinate of each is
        positive.

    Examples
    --------
    >>> reduced(np.array([[2.0, 0.0], [5.0, 1.0]]))
    array([[ 1.,  1.],
           [ 1., -1.]])
    """
    rows = list(np.asarray(basis, np.float64))
    shorter = True
    while shorter:
        rows.sort(key=lambda row: float(np.linalg.norm(row)))
        shorter = False
        for place in range(len(rows) - 1, 0, -1):
            others = np.array(rows[:place] + rows[place + 1 :])
            signs = np.array(list(itertools.product((-1, 0, 1), repeat=len(others))))
            sums = rows[place] + signs @ others
            best = sums[np.linalg.norm(sums, axis=1).argmin()]
            if np.linalg.norm(best) < (1 - 1e-9) * np.linalg.norm(rows[place]):
                rows[place], shorter = best, True
                break
    turned = [row if row[np.abs(row).argmax()] > 0 else -row for row in rows]
    return np.array(turned).reshape(basis.shape)


def fitted(basis: Array, differences: Array, length: float) -> Array:
    """Fit a lattice to those differences that are near to its points, by least squares.

    Parameters
    ----------
    basis : numpy.ndarray of float64, of shape (k, dim)
    differences : numpy.ndarray of float64, of shape (n_pairs, dim)
    length : float
        Of the kernel.

    Returns
    -------
    numpy.ndarray of float64, of shape (k, dim)
        Reduced.
    """
    for _ in range(_FITS):
        numbers = np.rint(differences @ np.linalg.pinv(basis))
        near = np.linalg.norm(differences - numbers @ basis, axis=1) <= OFF * length
        if np.linalg.matrix_rank(numbers[near]) < len(basis):
            break
        basis = np.linalg.lstsq(numbers[near], differences[near], rcond=None)[0]
    return reduced(basis)


def around(basis: Array) -> Array:
    """Give the points of a lattice about its origin, without this and without opposites.

    Parameters
    ----------
    basis : numpy.ndarray of float64, of shape (k, dim)

    Returns
    -------
    numpy.ndarray of float64, of shape ((3ᵏ − 1) / 2, dim)
    """
    numbers = np.array(list(itertools.product((-1, 0, 1), repeat=len(basis))))
    return np.asarray(numbers[: len(numbers) // 2] @ basis)
