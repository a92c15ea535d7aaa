"""Walks whose steps drift: where the body is, and where it believes to be, moment by moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from tree_world.checks import as_points, checked_number, whole_number
from tree_world.models.places import Track, Tracker
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.style import as_array
from tree_world.simulation import TreeWorld

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class Walked(NamedTuple):
    """A walk, and what a body believed of it.

    Attributes
    ----------
    places : array_like of shape (n_steps + 1, 2)
        Where it was, its start included, in metres.
    displacements : array_like of shape (n_steps, 2)
        What it believed of its steps, in metres.
    track : Track
        Its belief after each step.
    every : int, default=1
        Of how many steps one is shown. It divides the number of steps.
    """

    places: ArrayLike
    displacements: ArrayLike
    track: Track
    every: int = 1


def walk(
    walks: Mapping[str, Walked],
    tracker: Tracker,
    world: TreeWorld,
    *,
    share: float = 0.9,
    half_width: float = 420.0,
) -> TouchableFigure:
    r"""Tell walks with what was believed of them, so that a reader can go through them.

    Beside each belief stands what the body would believe that forgets all smells: the sum of the
    steps that it felt, with the covariance that the odometry of the tracker gives these. And what a
    smell tells at the believed place: :math:`J^\top J`, for the slope J of smells that is read
    there. The roots of its eigenvalues say how fast smells change along its directions, per metre.

    Parameters
    ----------
    walks : mapping of str to Walked
        What to call each, and the walk. All are told at equally many moments. The first is shown
        at first.
    tracker : Tracker
        With the odometry of the body, and what it knows of smells. It is left as it is.
    world : TreeWorld
        In which it walks: its trees are drawn.
    share : float, default=0.9
        What ellipses claim to hold.
    half_width : float, default=420.0
        The map shows −half_width to +half_width on both axes, in metres.

    Returns
    -------
    TouchableFigure
        For each walk ``every``, the ``true`` places, and ``slopes``; for ``believed`` and
        ``reckoned`` each, the ``errors`` (believed less true place) and the ``factors`` of
        covariances. A factor, of :math:`J^\top J` too, is the lower triangular L of :math:`L
        L^\top`, given by its three numbers, row by row. ``told`` says of each belief whether the
        body took its place for known.

    Raises
    ------
    ValueError
        If there is no walk, shapes do not fit, walks have not equally many moments, or the world is
        no plane or repeats.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world.models.places import Odometry, Tracker
    >>> from tree_world.plotting.data.walk import Walked, walk
    >>> from tree_world.simulation import HomeRange, SimpleSensor, TreeWorld, TreeWorldConfig
    >>> sensor, world = SimpleSensor(), TreeWorld.random_from_config(TreeWorldConfig(), seed=14)
    >>> known, odometry = np.random.default_rng(0).uniform(-200, 200, (200, 2)), Odometry(0.1)
    >>> length = (2 * sensor.diffusion_time) ** 0.5
    >>> tracker = Tracker(known, sensor.sense(world, known)[1], odometry, length=length)
    >>> places = HomeRange().walk(60, seed=5)
    >>> steps = odometry.drift(np.diff(places, axis=0), seed=5)
    >>> track = tracker.follow(steps, sensor.sense(world, places[1:])[1])
    >>> figure = walk({"as it walked": Walked(places, steps, track, every=2)}, tracker, world)
    >>> figure.data["moments"], figure.data["walks"][0]["every"]
    (30, 2)
    """
    if world.dim != 2 or world.config.period is not None:
        raise ValueError(
            "a walk is shown in a plane that does not repeat, but this world has "
            f"{world.dim} dimensions and the period {world.config.period}."
        )
    if not walks:
        raise ValueError("walks must hold one to show, but it is empty.")
    told = [{"name": name, **_told(name, one, tracker)} for name, one in walks.items()]
    moments = {one["name"]: len(one["true"]) for one in told}
    if len(set(moments.values())) > 1:
        raise ValueError(
            f"all walks must be told at equally many moments, but they are {moments}. Choose "
            "`every` of each so that they are."
        )
    data: dict[str, Any] = {
        "half_width": float(half_width),
        "share": checked_number("share", share, "share"),
        "moments": len(told[0]["true"]),
        "trees": {
            "places": rounded(world.locations),
            "poisonous": world.is_poisonous.tolist(),
        },
        "walks": told,
    }
    return TouchableFigure("walk", data)


def _told(name: str, walked: Walked, tracker: Tracker) -> dict[str, Any]:
    """Tell one walk at its moments."""
    places = as_array(as_points(as_array(walked.places), 2, f"places of {name!r}", torch.float64))
    felt = as_array(walked.displacements, dtype=np.float64)
    track, every = walked.track, whole_number("every", walked.every, least=1)
    number = len(places) - 1
    if felt.shape != (number, 2) or track.means.shape != (number, 2) or number < 1:
        raise ValueError(
            f"the walk {name!r} must have as many displacements and beliefs as steps, and a place "
            f"more, one step at least, but has {felt.shape[0]}, {len(track.means)} and "
            f"{len(places)}."
        )
    if number % every:
        raise ValueError(f"every must divide the {number} steps of {name!r}, but is {every}.")
    forgetful = tracker.with_width(tracker.width)  # a copy
    forgetful.reset(places[0])
    reckoned = forgetful.follow(felt, [None] * number)
    shown = slice(every - 1, None, every)
    true = places[1:][shown]
    return {
        "every": every,
        "true": rounded(true),
        "told": track.identifiable[shown].astype(int).tolist(),
        "slopes": _three(_factors_of_slopes(tracker.known.read(track.means[shown]).slope), 4),
        "believed": _beliefs(track, true, shown),
        "reckoned": _beliefs(reckoned, true, shown),
    }


def _beliefs(track: Track, true: np.ndarray, shown: slice) -> dict[str, Any]:
    """Tell how far beliefs are off, and their covariances."""
    # Roots of five digits are right to a centimetre, where squares of as many are not.
    return {
        "errors": rounded(track.means[shown] - true, 5),
        "factors": _three(np.linalg.cholesky(track.covariances[shown]), 5),
    }


def _factors_of_slopes(slopes: np.ndarray) -> np.ndarray:
    """Find the lower triangular L of J^T J = L L^T, with no number below zero on its diagonal."""
    with_two_rows = np.concatenate([slopes, np.zeros((len(slopes), 1, 2))], axis=1)
    upper = np.linalg.qr(with_two_rows, mode="r")
    signs = np.where(np.diagonal(upper, axis1=1, axis2=2) < 0, -1.0, 1.0)
    return np.asarray(np.swapaxes(signs[:, :, None] * upper, 1, 2))


def _three(factors: np.ndarray, digits: int) -> Any:
    """Tell lower triangular 2 × 2 matrices by three numbers each, row by row."""
    return rounded(factors[:, [0, 1, 1], [0, 0, 1]], digits)
