r"""What a body believes of its own steps, and how far that drifts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    Number,
    PointsLike,
    SeedLike,
    as_points,
    checked_number,
    make_generator,
)

Array: TypeAlias = npt.NDArray[np.float64]

DEVIATION = Number(
    "be a standard deviation: zero or more, and finite",
    lambda x: 0 <= x < math.inf,
    "For a body that makes no such error give 0.",
)
ANGLE = Number("be an angle in radians, and finite", math.isfinite, "For 5° give 0.087.")


@dataclass(frozen=True)
class Odometry:
    r"""The sense of one's own steps, in the plane.

    A body that moves by :math:`u_t` believes that it has moved by

    .. math::

        m_t = R(\epsilon_t)\, u_t + s \lVert u_t \rVert \xi_t, \qquad
        \epsilon_t = \epsilon_{t-1} + b + w\, \eta_t, \quad \epsilon_0 = 0, \quad
        b \sim \mathcal N(0, \beta^2),

    where :math:`R(\epsilon)` turns by the angle ε against the clock, and :math:`\xi_t` (of two
    numbers) and :math:`\eta_t` are standard normal. With a compass, w = β = 0: then the error of
    the place grows as √t. A heading that walks adds one that grows as :math:`t^{3/2}`, and a bias
    one that grows as t².

    Parameters
    ----------
    relative_sd : float
        Standard deviation s of the error of a step along each axis, as a share of its length.
    heading_walk : float, default=0.0
        Standard deviation w of what is added to the heading error with each step, in radians.
    heading_bias_sd : float, default=0.0
        Standard deviation β of what is added with each step alike, in radians: a body has one bias
        for life.

    Raises
    ------
    ValueError
        If one of them is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> gyro = Odometry(0.075, heading_walk=np.radians(0.2), heading_bias_sd=np.radians(0.02))
    >>> believed = gyro.drift(np.tile([5.0, 0.0], (1000, 1)), seed=0)
    >>> believed.shape
    (1000, 2)
    >>> ahead, across = np.diag(Odometry(0.03, heading_walk=0.04).covariance([10.0, 0.0])) ** 0.5
    >>> print(f"{ahead:.2f} m ahead, {across:.2f} m across")
    0.30 m ahead, 0.50 m across
    """

    relative_sd: float
    heading_walk: float = 0.0
    heading_bias_sd: float = 0.0

    def __post_init__(self) -> None:
        for name in ("relative_sd", "heading_walk", "heading_bias_sd"):
            object.__setattr__(self, name, checked_number(name, getattr(self, name), DEVIATION))

    @property
    def has_compass(self) -> bool:
        """Whether the heading is known at all times."""
        return self.heading_walk == 0 and self.heading_bias_sd == 0

    def drift(self, displacements: PointsLike, seed: SeedLike) -> Array:
        """Draw what a body believes of a walk.

        Parameters
        ----------
        displacements : array_like of shape (n_steps, 2)
            What each step was in truth, in metres.
        seed : int or torch.Generator
            Of the errors. The same draws are used whatever the deviations are.

        Returns
        -------
        numpy.ndarray of float64, of shape (n_steps, 2)
            What each is believed to be, in metres. Their running sum is dead reckoning.

        Raises
        ------
        ValueError
            If the shape is wrong, or an entry is not finite.
        """
        true = _plane(displacements, "displacements")
        if true.ndim != 2:
            raise ValueError(
                "displacements must have shape (n_steps, 2), but an array of shape "
                f"{true.shape} was given."
            )
        generator = make_generator(seed)
        bias = torch.randn((), generator=generator, dtype=torch.float64)
        drawn = torch.randn(len(true), 3, generator=generator, dtype=torch.float64).numpy()
        added = self.heading_bias_sd * float(bias) + self.heading_walk * drawn[:, 0]
        lengths: Array = np.linalg.norm(true, axis=-1, keepdims=True)
        believed: Array = turned(true, np.cumsum(added)) + self.relative_sd * lengths * drawn[:, 1:]
        return believed

    def covariance(self, displacement: PointsLike) -> Array:
        r"""Tell how unsure a single step is, before which the heading was right.

        .. math::

            s^2 \lVert u \rVert^2 I + (w^2 + \beta^2)\, u_\perp u_\perp^\top

        to first order in the angles, with :math:`u_\perp` the step turned by a quarter.

        Parameters
        ----------
        displacement : array_like of shape (2,)
            In metres.

        Returns
        -------
        numpy.ndarray of float64, of shape (2, 2)
            In square metres.

        Raises
        ------
        ValueError
            If the shape is wrong, or an entry is not finite.
        """
        step = _plane(displacement, "displacement")
        if step.ndim != 1:
            raise ValueError(
                f"displacement must be one step, of shape (2,), but has shape {step.shape}."
            )
        across = np.array([-step[1], step[0]])
        angle = self.heading_walk**2 + self.heading_bias_sd**2
        alike = self.relative_sd**2 * float(step @ step) * np.eye(2)
        return np.asarray(alike + angle * np.outer(across, across))


def turned(steps: Array, angles: Array | float) -> Array:
    """Turn steps against the clock.

    Parameters
    ----------
    steps : numpy.ndarray of float64, of shape (..., 2)
    angles : numpy.ndarray of float64, of shape (...), or float
        In radians.

    Returns
    -------
    numpy.ndarray of float64, of shape (..., 2)

    Examples
    --------
    >>> import math
    >>> import numpy as np
    >>> turned(np.array([2.0, 0.0]), math.pi / 2).round(6)
    array([0., 2.])
    """
    cos, sin = np.cos(angles), np.sin(angles)
    x, y = steps[..., 0], steps[..., 1]
    return np.asarray(np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1))


def _plane(values: PointsLike, name: str) -> Array:
    array: Array = as_points(values, 2, name, torch.float64).detach().numpy()
    return array
