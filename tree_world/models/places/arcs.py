r"""A thing of which the distance is known, and the direction hardly: somewhere on an arc."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tree_world.checks import PointsLike, as_unit_vectors, checked_number, positive_distance

Array: TypeAlias = npt.NDArray[np.float64]

WIDTH = 4.0
"""How many distances in a row err alike, as they begin at one place."""

_DIRECTIONS = 121  # on an arc


class Arc:
    r"""Where a thing may be that was seen once, in a cone of sight.

    It stands at :math:`a + r\,(\cos\theta, \sin\theta)`, a being the place from where it was seen,
    r its distance, and θ one of many directions within the cone, all alike at first. Each distance
    :math:`\rho` that is told later, at x, makes some more likely than others:

    .. math:: \log w_\theta \mathrel{-}= \frac{1}{2\kappa} \left[
        \frac{(\rho - \lVert d_\theta \rVert)^2}{v_\theta} + \log v_\theta \right],
        \qquad d_\theta = a + r\,(\cos\theta, \sin\theta) - x,

    with the variance v along :math:`d_\theta` of what is unsure of :math:`a - x`, and of the
    distance. The width κ stands for that distances err alike, as all of them begin at a.

    Parameters
    ----------
    distance : float
        r, in metres.
    heading : array_like of shape (2,)
        The middle of the cone, a unit vector.
    half_cone : float
        Half its angle, in radians, no more than half a circle.

    Attributes
    ----------
    distance : float

    Raises
    ------
    ValueError
        If the distance is not positive, the heading no unit vector, or the angle out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> arc = Arc(50.0, [1.0, 0.0], np.radians(25))
    >>> print(f"{arc.across:.0f} m across")
    12 m across
    >>> for y in (3.0, 6.0, 9.0, 12.0):  # the distance falls while one goes to the left
    ...     arc.tell(np.array([0.0, -y]), 0.01 * y * np.eye(2), np.hypot(48.0, 14.0 - y), 0.1)
    >>> arc.mean.round(), arc.is_settled
    (array([48., 14.]), True)
    """

    def __init__(self, distance: float, heading: PointsLike, half_cone: float) -> None:
        self.distance = positive_distance("distance", distance)
        x, y = as_unit_vectors(heading, 2).tolist()
        half = checked_number("half_cone", half_cone, "positive")
        if half > math.pi:
            raise ValueError(f"half_cone must be at most π, in radians, but {half} was given.")
        self._spacing = 2 * half / _DIRECTIONS
        inside = (np.arange(_DIRECTIONS) + 0.5) * self._spacing - half
        angles = math.atan2(y, x) + inside
        self._inside, self._headings = inside, np.stack([np.cos(angles), np.sin(angles)], axis=1)
        self._logs = np.zeros(_DIRECTIONS)
        self._summed()

    def _summed(self) -> None:
        self._logs -= self._logs.max()
        weights = np.exp(self._logs)
        weights /= weights.sum()
        places = self.distance * self._headings
        self.mean: Array = weights @ places
        off = places - self.mean
        step = self.distance * self._spacing  # what lies between two directions is not told apart
        self.covariance: Array = (off * weights[:, None]).T @ off + step**2 / 4 * np.eye(2)
        self.across = math.sqrt(float(np.linalg.eigvalsh(self.covariance)[1]))

    @property
    def is_settled(self) -> bool:
        """Whether the direction is known so well that the arc is as good as straight."""
        return self.across <= 0.5 + 0.05 * self.distance

    def tell(self, apart: Array, covariance: Array, distance: float, sd: float) -> None:
        """Take note of a distance that is told at another place.

        Parameters
        ----------
        apart : numpy.ndarray of float64, of shape (2,)
            Where the arc begins, from there: a − x, in metres.
        covariance : numpy.ndarray of float64, of shape (2, 2)
            How unsure that is, in square metres.
        distance, sd : float
            Of the thing, in metres.
        """
        offsets = apart + self.distance * self._headings
        far = np.maximum(np.hypot(*offsets.T), 1e-3)
        along = offsets / far[:, None]
        # Between two directions a distance changes by up to so much.
        grain = (self.distance * self._spacing / 2) ** 2
        variances = np.einsum("ki,ij,kj->k", along, covariance, along) + sd**2 + grain
        off = distance - far
        self._logs -= (off * off / variances + np.log(variances)) / (2 * WIDTH)
        self._summed()

    def tell_cone(self, apart: Array, heading: Array, half_cone: float, sd: float) -> None:
        """Take note that the thing is within a cone from another place.

        Parameters
        ----------
        apart : numpy.ndarray of float64, of shape (2,)
            Where the arc begins, from there, in metres.
        heading : numpy.ndarray of float64, of shape (2,)
        half_cone : float
            In radians.
        sd : float
            How unsure that offset is, in metres.
        """
        offsets = apart + self.distance * self._headings
        far = np.maximum(np.hypot(*offsets.T), 1e-3)
        angles = np.abs(
            np.arctan2(heading[0] * offsets[:, 1] - heading[1] * offsets[:, 0], offsets @ heading)
        )
        beyond = np.maximum(angles - half_cone, 0.0) * far / (sd + self.distance * self._spacing)
        self._logs -= np.minimum(beyond * beyond / 2, 50.0)
        self._summed()
