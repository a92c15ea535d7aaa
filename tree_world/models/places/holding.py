r"""How wide is wide enough? Asked of a walk itself, of smells that were held out.

`smooth` counts a closure κ times less for being like the last. Where nobody knows the truth, a walk
can still be asked: the smells of some stretches are held out, so that they close nothing, and the
walk is found by all others. Each smell that was held out then says by itself how far the keyframe
lies from where the others have it: by a residual r along the direction of which it tells most,
:math:`\hat v`. If the walk is as unsure as it claims, its variance is

.. math::

    \hat v^\top P\, \hat v + \frac{1}{\lambda},

with the claimed covariance P of the keyframe relative to those that it is compared with, and the
information λ of the one smell along :math:`\hat v`, not divided by κ.

This asks how the parts of a walk lie to each other, where it came by twice. It cannot tell whether
the walk as a whole is turned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.stats

from tree_world.checks import PointsLike, checked_number, whole_number
from tree_world.models.places.graph import Closures, PoseGraph
from tree_world.models.places.matching import Matcher
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.smoother import grown, prepared, settled

Array: TypeAlias = npt.NDArray[np.float64]

WIDTHS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Widths that `calibrate_smoothing` tries."""

_STRETCH = 8  # keyframes that are held out together
_OF = 4  # of so many stretches one is held out
_LARGEST_SD = 10.0  # metres: what a smell tells less well than that is not asked


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
    """Find the least width with which smells that are held out lie where the walk has them.

    Parameters
    ----------
    displacements, senses, odometry, iterations
        As for `smooth`.
    share : float, default=0.9
        How often they must lie within the bounds that hold so many.
    widths : sequence of float, optional
        Those to try; by default `WIDTHS`. Each takes as long as `smooth`.
    **options
        As for `smooth`: `length`, and whatever else is to be other than there by default.

    Returns
    -------
    float
        If no width is wide enough, the one that comes nearest.

    Raises
    ------
    TypeError, ValueError
        As `smooth` does; or if there is no width, or nothing that was held out tells of a place.

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
    4.0
    """
    wanted = checked_number("share", share, "share")
    turns = whole_number("iterations", iterations, 1)
    if not len(widths):
        raise ValueError("widths must hold one to try, but it is empty.")
    bound = math.sqrt(float(scipy.stats.chi2.ppf(wanted, 1)))
    held: dict[float, float] = {}
    for width in sorted(widths):
        options["width"] = width
        graph, matcher = prepared(displacements, senses, odometry, **options)
        off = deviations(graph, matcher, odometry, turns)
        if not len(off):
            raise ValueError(
                "no smell that was held out tells of a place that was passed twice: the walk is "
                "too short, or smells of too little."
            )
        held[width] = float((abs(off) <= bound).mean())
        if held[width] >= wanted:
            return width
    return max(held, key=lambda width: held[width])


def deviations(graph: PoseGraph, matcher: Matcher, odometry: Odometry, iterations: int) -> Array:
    """Hold out stretches of a walk; tell how far off they lie.

    Parameters
    ----------
    graph : PoseGraph
    matcher : Matcher
    odometry : Odometry
    iterations : int

    Returns
    -------
    numpy.ndarray of float64, of shape (n_asked,)
        In standard deviations that the walk claims.
    """
    matcher.told = np.arange(len(matcher.told)) // _STRETCH % _OF != _OF - 1
    state, _ = grown(graph, matcher, odometry)
    state, closures = settled(graph, matcher, state, iterations)
    covariance = graph.covariance(state, closures)
    asked = matcher.closures(graph.places(state), ~matcher.told)
    matcher.told = np.ones(len(matcher.told), bool)
    values, vectors = np.linalg.eigh(asked.information * matcher.width)
    tells = values[:, 1] > 1 / _LARGEST_SD**2
    along, information = vectors[tells, :, 1], values[tells, 1]
    to = _differences(graph, asked, len(covariance))[np.repeat(tells, 2)]
    off = (to @ state).reshape(-1, 2) - asked.offsets[tells]
    # Each row of `to` times the covariance, of which two by two entries are needed.
    spread = np.asarray(to @ covariance).reshape(-1, 2, len(covariance))
    blocks = np.einsum("nis,njs->nij", spread, to.toarray().reshape(-1, 2, len(covariance)))
    variance = np.einsum("ni,nij,nj->n", along, blocks, along) + 1 / information
    return np.asarray((off * along).sum(axis=1) / np.sqrt(variance))


def _differences(graph: PoseGraph, closures: Closures, number: int) -> scipy.sparse.csr_matrix:
    """Tell how a state is read for keyframes relative to their anchors, two rows a closure."""
    size, count = graph.by_keyframe, len(closures.keyframes)
    which = np.concatenate([closures.keyframes[:, None], closures.anchors], axis=1)
    values = np.concatenate([np.ones((count, 1)), -closures.weights], axis=1)
    rows = 2 * np.arange(count)[:, None] + np.zeros_like(which)
    parts = [
        (values.ravel(), ((rows + axis).ravel(), (size * which + axis).ravel()))
        for axis in range(2)
    ]
    shape = (2 * count, number)
    return sum(scipy.sparse.csr_matrix(part, shape=shape) for part in parts)
