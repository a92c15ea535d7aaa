"""Numbers of actions, each of which is one of those that a body has."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Actions: TypeAlias = npt.NDArray[np.intp]


def checked_actions(actions: npt.ArrayLike, num_actions: int) -> Actions:
    """Take numbers of actions as an array.

    Parameters
    ----------
    actions : array_like of int, of shape (n,)
    num_actions : int
        How many a body has.

    Returns
    -------
    numpy.ndarray of int, of shape (n,)

    Raises
    ------
    ValueError
        If they have another shape, are not whole numbers, or are none of the body's.

    Examples
    --------
    >>> checked_actions([0, 5], 5)
    Traceback (most recent call last):
    ...
    ValueError: actions must be whole numbers from 0 to 4, but entry 1 is 5.
    """
    done = np.asarray(actions)
    if done.size == 0 and done.ndim == 1:
        return np.zeros(0, np.intp)
    if done.ndim != 1 or not np.issubdtype(done.dtype, np.integer):
        raise ValueError(
            "actions must be whole numbers, of shape (n,), but an array of shape "
            f"{done.shape} and kind {done.dtype} was given."
        )
    wrong = np.flatnonzero((done < 0) | (done >= num_actions))
    if len(wrong):
        raise ValueError(
            f"actions must be whole numbers from 0 to {num_actions - 1}, but entry {wrong[0]} is "
            f"{done[wrong[0]]}."
        )
    return done.astype(np.intp)
