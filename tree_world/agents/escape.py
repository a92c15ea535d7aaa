"""A step out of what is to be avoided, where no way leads any more."""

from __future__ import annotations

import math

import numpy as np

_ANGLES = np.arange(24) * (2 * math.pi / 24)
_COURSES = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def step_out(
    position: np.ndarray, target: np.ndarray, longest: float, avoid: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """Choose the step that leads least deep into discs, and of those the one nearest to a target.

    Parameters
    ----------
    position, target : numpy.ndarray of shape (2,)
        In metres.
    longest : float
        Length of the step, in metres, if the target is not nearer.
    avoid : numpy.ndarray of shape (n, 2)
        Middles of the discs.
    radii : numpy.ndarray of shape (n,)
        Of the discs, in metres.

    Returns
    -------
    numpy.ndarray of shape (2,)

    Examples
    --------
    >>> avoid, radii = np.array([[-4.0, 0.0]]), np.array([12.0])
    >>> step_out(np.zeros(2), np.array([15.0, 0.0]), 10.0, avoid, radii)
    array([10.,  0.])
    """
    way = target - position
    far = math.hypot(*way)
    steps = np.vstack([way * min(1.0, longest / max(far, 1e-9)), longest * _COURSES])
    ends = position + steps
    away = np.hypot(*(ends[:, None, :] - avoid[None]).transpose(2, 0, 1))
    depth = np.maximum(0.0, radii - away).sum(axis=1)
    left = np.hypot(*(target - ends).T)
    best: np.ndarray = steps[np.lexsort((left, depth.round(3)))[0]]
    return best
