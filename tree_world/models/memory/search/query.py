"""What to draw for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_COLDEST = 1e-30  # least temperature


@dataclass(frozen=True)
class Query:
    """What to draw for, checked.

    Attributes
    ----------
    search_key : numpy.ndarray of shape (embed_dim,)
    temperature : float
    location, location_sd : numpy.ndarray of shape (dim,), or None
        In metres; float64.
    location_temperature : float
    match_threshold : float or None
        In metres.

    Raises
    ------
    ValueError
        If a temperature is less than 1e-30, for which there is no softmax in double precision.
    """

    search_key: np.ndarray
    temperature: float
    location: np.ndarray | None = None
    location_sd: np.ndarray | None = None
    location_temperature: float = 1.0
    match_threshold: float | None = None

    def __post_init__(self) -> None:
        for name in ("temperature", "location_temperature"):
            if not getattr(self, name) >= _COLDEST:
                raise ValueError(
                    f"{name} must be at least {_COLDEST}, but {getattr(self, name)!r} was given. "
                    "To find what matches best, without any chance, use search."
                )


def nothing_matches(number: int, possible: int) -> str:
    """Say that there is too little to draw from.

    Parameters
    ----------
    number, possible : int
        How many were asked for, and how many there are.

    Returns
    -------
    str
    """
    return (
        f"{number} samples were asked for, but only {possible} observations match. Write more "
        "observations, ask for fewer samples, or widen match_threshold."
    )
