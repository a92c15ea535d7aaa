r"""How wide is wide enough? Asked of a walk itself, with smells that are held out.

`smooth` counts a closure κ times less for being like the last. Where nobody knows the truth, a walk
can still be asked: the smells of every other stretch are held out, so that they close nothing, and
the walk is found by the rest. What is found from a part of the observations, :math:`x'`, differs
from what is found from all of them, x, with the covariance

.. math::

    \operatorname{Cov}(x' - x) = P' - P

if both are as unsure as they claim: what has been left out is all that they differ by. Where
closures count for too much, walks lie farther apart than that. So the least κ is taken with which
the ellipses of :math:`P' - P` hold the differences as often as they should.

This finds errors that closures of different stretches do not share. What all of them share, such
as a pull towards what is known, it cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tree_world.checks import PointsLike, checked_number, whole_number
from tree_world.evaluation import coverage
from tree_world.models.places.graph import PoseGraph
from tree_world.models.places.matching import Matcher
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.smoother import grown, prepared, settled

Array: TypeAlias = npt.NDArray[np.float64]

WIDTHS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Widths that `calibrate_smoothing` tries."""

_STRETCH = 40  # keyframes that are held out together
_LEAST = 0.01  # of P', below which P' − P is not told from rounding


def calibrate_smoothing(
    displacements: PointsLike,
    senses: PointsLike,
    odometry: Odometry,
    *,
    share: float = 0.9,
    widths: Sequence[float] = WIDTHS,
    iterations: int = 12,
    **options: Any,
) -> float:
    """Find the least width with which a part of the smells leads to nearly the same walk.

    Parameters
    ----------
    displacements, senses, odometry, iterations
        As for `smooth`.
    share : float, default=0.9
        How often the walk of all smells must lie within the ellipses that hold so many.
    widths : sequence of float, optional
        Those to try; by default `WIDTHS`. Each takes twice as long as `smooth`.
    **options
        As for `smooth`: `length`, and whatever else is to be other than there by default.

    Returns
    -------
    float
        If no width is wide enough, the one that comes nearest.

    Raises
    ------
    TypeError, ValueError
        As `smooth` does; or if there is no width, or no smell that was held out tells anything.

    Examples
    --------
    >>> import numpy as np
    >>> angles = np.linspace(0, 16 * np.pi, 800)
    >>> true = np.stack([60 * np.sin(angles), 40 * np.sin(2 * angles)], -1)
    >>> trees = np.random.default_rng(0).uniform(-80, 80, (8, 2))
    >>> smells = np.exp(-((true[1:, None] - trees) ** 2).sum(-1) / 30**2 / 2)
    >>> odometry = Odometry(0.1)
    >>> believed = odometry.drift(np.diff(true, axis=0), seed=0)
    >>> calibrate_smoothing(believed, smells, odometry, length=30.0, widths=[4.0, 16.0])
    16.0
    """
    wanted = checked_number("share", share, "share")
    turns = whole_number("iterations", iterations, 1)
    if not len(widths):
        raise ValueError("widths must hold one to try, but it is empty.")
    held: dict[float, float] = {}
    for width in sorted(widths):
        graph, matcher = prepared(displacements, senses, odometry, **{**options, "width": width})
        parts, claimed, whole = differing(graph, matcher, odometry, turns)
        if not len(parts):
            raise ValueError(
                "no smell that was held out tells of a place that was passed twice: the walk is "
                "too short, or smells of too little."
            )
        held[width] = coverage(parts, claimed, whole, wanted)
        if held[width] >= wanted:
            return width
    return max(held, key=lambda width: held[width])


def differing(
    graph: PoseGraph, matcher: Matcher, odometry: Odometry, iterations: int
) -> tuple[Array, Array, Array]:
    """Find a walk by a part of its smells, and by all.

    Parameters
    ----------
    graph : PoseGraph
    matcher : Matcher
    odometry : Odometry
    iterations : int

    Returns
    -------
    parts : numpy.ndarray of float64, of shape (n_asked, 2)
        Places of keyframes as the part has them, in metres; of those of which all tell more.
    claimed : numpy.ndarray of float64, of shape (n_asked, 2, 2)
        Covariances of the difference, in square metres.
    whole : numpy.ndarray of float64, of shape (n_asked, 2)
        The places as all have them.
    """
    stretches = np.arange(len(matcher.told)) // _STRETCH
    places, covariances = [], []
    for told in (stretches % 2 == 1, stretches >= 0):
        matcher.told = told
        state, _ = grown(graph, matcher, odometry)
        state, closures = settled(graph, matcher, state, iterations)
        covariance, size = graph.covariance(state, closures), graph.by_keyframe
        own = size * np.arange(len(graph.steps))[:, None] + np.arange(2)
        places.append(graph.places(state))
        covariances.append(covariance[own[:, :, None], own[:, None]])
    claimed = covariances[0] - covariances[1]
    least = [np.linalg.eigvalsh(covariance)[:, 0] for covariance in (claimed, covariances[0])]
    tells = least[0] > _LEAST * least[1]
    return places[0][tells], claimed[tells], places[1][tells]
