"""Reads of any width through what was sensed, and the error of each where one is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tree_world.checks import PointsLike, real_number
from tree_world.models.memory.recall.kriging import as_observations
from tree_world.models.memory.tuning import usual_deviations
from tree_world.models.memory.types import RIDGE
from tree_world.plotting.data.figure import TouchableFigure, rounded

Array: TypeAlias = npt.NDArray[np.float64]

MOST = 300
"""Observations at most: a map of more takes longer than a frame."""

ORDERS = ("constant", "linear")


def width(
    places: PointsLike,
    senses: PointsLike,
    names: Sequence[str],
    deviations: PointsLike | None = None,
    *,
    deviation: float | None = None,
    order: str = "constant",
    place: PointsLike | None = None,
) -> TouchableFigure:
    r"""Tell of some observations where they were made and what was sensed there.

    The script reads a field through one number of the senses, with every observation and the place
    that is asked for as uncertain as a deviation s, so that the kernel has the width
    :math:`\sqrt 2 s`; and it reads each place without its own observation, for several deviations,
    as `tree_world.models.memory.tune` does. On the map places are told from the middle of
    them all.

    Parameters
    ----------
    places : array_like of shape (n_observations, 2)
        In metres; from 3 to 300 of them.
    senses : array_like of shape (n_observations, sensory_dim)
    names : sequence of str, of length sensory_dim
        Of the numbers of a sense, for those who choose one.
    deviations : array_like of shape (n_deviations,), optional
        At which the curves are known, in metres, rising; the slider goes from the first to the
        last. By default those of `usual_deviations`.
    deviation : float, optional
        At first, in metres; by default the one in the middle of `deviations`.
    order : {"constant", "linear"}, default="constant"
        How reads are made at first.
    place : array_like of shape (2,), optional
        That is asked for at first, in metres; by default the middle.

    Returns
    -------
    TouchableFigure
        ``places`` and ``place``, from the middle; ``senses``, ``names``, and with how many
        ``digits`` each is written; ``deviations``, ``deviation`` and ``order``; the ``ridge`` of
        linear reads, and ``width_per_deviation``; ``half_width`` of a map of all.

    Raises
    ------
    ValueError
        If shapes do not fit, there are too few or too many observations, places are all the same,
        a number of the senses does not vary, or something is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world.plotting import data
    >>> generator = np.random.default_rng(0)
    >>> places = generator.uniform(0, 100, (60, 2))
    >>> hills = np.sin(places[:, :1] / 20)
    >>> figure = data.width(places, hills, ["height"], [2.0, 8.0, 32.0])
    >>> figure.data["deviation"], figure.data["digits"]
    (8.0, [3])
    """
    there, sensed = as_observations(places, senses)
    if there.shape[1] != 2 or not 3 <= len(there) <= MOST:
        raise ValueError(
            f"there must be from 3 to {MOST} places of the plane, but they have the shape "
            f"{there.shape}. Thin them, or take some."
        )
    low, high = there.min(axis=0), there.max(axis=0)
    half_width = 0.525 * float((high - low).max())
    if half_width == 0:
        raise ValueError("places must differ, but all are the same.")
    called = _as_names(names, sensed)
    # Three for an error that is as large as the deviation of what was sensed.
    digits = [2 - math.floor(math.log10(sd)) for sd in sensed.std(axis=0)]
    tried = _as_rising(usual_deviations(there) if deviations is None else deviations)
    begun = float(tried[len(tried) // 2]) if deviation is None else deviation
    begun = real_number("deviation", begun)
    if not tried[0] <= begun <= tried[-1]:
        raise ValueError(
            f"deviation must be from {tried[0]:g} to {tried[-1]:g} m, as the slider of the figure "
            f"is, but is {begun:g} m."
        )
    if order not in ORDERS:
        raise ValueError(f"order must be one of {ORDERS}, but {order!r} was given.")
    middle = (low + high) / 2
    asked = middle if place is None else np.asarray(place, dtype=float)
    if asked.shape != (2,) or not (np.abs(asked - middle) <= half_width).all():
        raise ValueError(
            f"place must be two numbers within {half_width:g} m of the middle of all places, "
            f"{middle.tolist()}, but is {place}."
        )
    return TouchableFigure(
        "width",
        {
            "places": rounded(there - middle, 5),
            "place": rounded(asked - middle),
            "senses": _in_steps(sensed, digits),
            "names": called,
            "digits": [max(number, 0) for number in digits],
            "deviations": rounded(tried, 7),
            "deviation": begun,
            "order": order,
            "ridge": RIDGE,
            "width_per_deviation": math.sqrt(2),
            "half_width": rounded(half_width),
        },
    )


def _as_names(names: Sequence[str], senses: Array) -> list[str]:
    called = [names] if isinstance(names, str) else list(names)
    if len(called) != senses.shape[1] or len(set(called)) != len(called) or "" in called:
        raise ValueError(
            f"names must be {senses.shape[1]}, one for each number of a sense, and differ, but are "
            f"{called}."
        )
    still = [name for name, column in zip(called, senses.T, strict=True) if np.ptp(column) == 0]
    if still:
        raise ValueError(f"{', '.join(still)} must vary, but is the same at all places.")
    return called


def _as_rising(deviations: PointsLike) -> Array:
    tried = np.asarray(deviations, dtype=float)
    finite = tried.ndim == 1 and len(tried) >= 2 and np.isfinite(tried).all()
    if not finite or tried[0] <= 0 or not (np.diff(tried) > 0).all():
        raise ValueError(
            "deviations must be two or more positive distances in metres that rise, but are "
            f"{tried.tolist()}."
        )
    return tried


def _in_steps(senses: Array, digits: Sequence[int]) -> list[list[float]]:
    """Round each number to a thousandth of its deviation, or less, whatever it is at the middle."""
    columns = [np.round(column, one + 2) for column, one in zip(senses.T, digits, strict=True)]
    rows: list[list[float]] = (np.column_stack(columns) + 0.0).tolist()  # no minus before a zero
    return rows
