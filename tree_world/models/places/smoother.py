r"""Looking back: a walk corrected by what its own memories have in common.

There is no survey. A body knows its steps, which drift, and what it smelled after each. Where it
came by a place twice, it smelled the same twice, and the steps between must close a loop. All of
the walk is found at once, as the most probable one of a graph (`PoseGraph`): so that a loop that
closes late corrects what was long before it, and no error is taken for a map.

*Closures* say where keyframes smell like others (see `matching`). All are found again before each
step of Gauss and Newton.

*Growing.* A walk that has drifted far closes no loop rightly. So it is made longer by a few
keyframes at a time, each time by steps that turn as the present estimate of heading and bias says.
What is then believed of the newest is what the body knows while it walks.

References
----------
F. Lu and E. Milios, "Globally consistent range scan alignment for environment mapping", 1997.
"""

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
    as_numbers,
    as_points,
    as_senses,
    checked_number,
    checked_numbers,
    positive_distance,
    whole_number,
)
from tree_world.models.memory.recall.kriging import NUGGET
from tree_world.models.places.directions import directions_of
from tree_world.models.places.graph import Closures, PoseGraph
from tree_world.models.places.matching import Matcher
from tree_world.models.places.odometry import Odometry

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.intp]

_NUGGET = Number("be zero or more, and finite", lambda x: 0 <= x < math.inf, "Give 0.02, or so.")
_WITHOUT_A_COMPASS = 0.05  # the nugget
_GROWTH = 8  # keyframes that are added at a time
_START_COVARIANCE = 0.01 * np.eye(2)  # of a place that is known to 0.1 m
_STILL = 0.01  # metres: when no keyframe moves farther, it is done
_LEAST_SHARE = 0.15  # of keyframes that are closed to some metres, for a walk that can be trusted
_CLOSED_SD = 10.0  # metres along one direction, at most, of a keyframe that is closed
_LARGEST_STRAIN = 1.5  # deviations, as a root mean square, by which the steps would be off
_LARGEST_REST = 0.6  # deviations of smells that no shift explains: root of the median square


@dataclass(frozen=True)
class Path:
    """A walk, looked back upon.

    Attributes
    ----------
    locations : numpy.ndarray of float64, of shape (n_steps + 1, 2)
        Where the body was, at the start and after each step, in metres.
    covariances : numpy.ndarray of float64, of shape (n_steps + 1, 2, 2)
        How unsure that is, in square metres; positive definite.
    online : numpy.ndarray of float64, of shape (n_steps + 1, 2)
        Where it believed to be while it walked: each place as it was found when at most eight
        keyframes had been added after it, in metres.
    online_covariances : numpy.ndarray of float64, of shape (n_steps + 1, 2, 2)
        How unsure it was of that, in square metres; positive definite.
    closures : Closures
        What held the walk together, in the end.
    bias : float
        Of the heading, in radians a step; 0 if the odometry has none.
    trusted : bool
        Whether there is no reason against it.
    reason : str
        Why not; empty if trusted.
    """

    locations: Array
    covariances: Array
    online: Array
    online_covariances: Array
    closures: Closures
    bias: float
    trusted: bool
    reason: str


def smooth(
    displacements: PointsLike,
    senses: PointsLike,
    odometry: Odometry,
    *,
    length: float,
    nugget: float | None = None,
    keyframe: int = 5,
    nearest: int = 24,
    within: float = 80.0,
    apart: int = 60,
    width: float = 8.0,
    robust: float = 1.0,
    iterations: int = 20,
    start: PointsLike | tuple[float, float] = (0.0, 0.0),
) -> Path:
    r"""Find where a body was, from its steps and smells alone.

    Parameters
    ----------
    displacements : array_like of shape (n_steps, 2)
        What the body believes of its steps, in metres.
    senses : array_like of shape (n_steps, sensory_dim)
        What it smelled after each. They are expressed in as few numbers as they have directions.
    odometry : Odometry
        What it knows of the errors of its steps.
    length : float
        Of the kernel, in metres; see `Kriging`.
    nugget : float, optional
        As for `Kriging`; by default 0.02 with a compass, and 0.05 without one, as small misfits of
        smells then turn the whole walk. Where smells are noisy, give no less than their noise.
    keyframe : int, default=5
        Steps between places that are sought. Those between are found by the steps.
    nearest : int, default=24
        How many other keyframes tell what it smells of at a place.
    within : float, default=80.0
        How far they may be, in metres.
    apart : int, default=60
        How many steps must lie between two keyframes, for one to tell of the other.
    width : float, default=8.0
        κ: by how much a closure counts less for being like the last. With 4 a walk is as near to
        the truth, and its ellipses hold it less often; with 16, more often.
    robust : float, default=1.0
        ρ: root of the mean square, in standard deviations, of what no shift explains, beyond which
        a closure counts less.
    iterations : int, default=20
        Steps of Gauss and Newton over the whole walk, at most.
    start : array_like of shape (2,), default=(0.0, 0.0)
        Where the walk began, in metres; known to 0.1 m, as is its heading.

    Returns
    -------
    Path
        Look whether it is trusted.

    Raises
    ------
    TypeError
        If `odometry` is none.
    ValueError
        If shapes do not fit, an entry is not finite, or a number is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> config = TreeWorldConfig()
    >>> sensor, world = SimpleSensor.from_config(config), TreeWorld.random_from_config(config, 0)
    >>> angles = np.linspace(0, 8 * np.pi, 600)
    >>> true = np.stack([100 * np.sin(angles), 50 * np.sin(2 * angles)], -1)
    >>> odometry = Odometry(0.1)
    >>> believed = odometry.drift(np.diff(true, axis=0), seed=0)
    >>> length = (2 * sensor.diffusion_time) ** 0.5
    >>> path = smooth(believed, sensor.sense(world, true[1:])[1], odometry, length=length)
    >>> for found in (believed.cumsum(axis=0), path.locations[1:]):
    ...     print(f"{np.median(np.linalg.norm(found - true[1:], axis=-1)):.1f} m")
    7.5 m
    2.4 m
    """
    graph, matcher = prepared(
        displacements,
        senses,
        odometry,
        length=length,
        nugget=nugget,
        keyframe=keyframe,
        nearest=nearest,
        within=within,
        apart=apart,
        width=width,
        robust=robust,
        start=start,
    )
    turns = whole_number("iterations", iterations, 1)
    state, online = grown(graph, matcher, odometry)
    state, closures = settled(graph, matcher, state, turns)
    found = _between(graph, state, graph.covariance(state, closures), odometry)
    reason = _doubts(graph, state, closures, matcher)
    return Path(*found, *online, closures, graph.bias(state), not reason, reason)


def prepared(
    displacements: PointsLike,
    senses: PointsLike,
    odometry: Odometry,
    *,
    length: float,
    nugget: float | None = None,
    keyframe: int = 5,
    nearest: int = 24,
    within: float = 80.0,
    apart: int = 60,
    width: float = 8.0,
    robust: float = 1.0,
    start: PointsLike | tuple[float, float] = (0.0, 0.0),
) -> tuple[PoseGraph, Matcher]:
    """Check what `smooth` is given, and make the graph of its steps and the matcher of its smells.

    Parameters
    ----------
    displacements, senses, odometry, length, nugget, keyframe, nearest, within, apart, width, robust
        As for `smooth`.
    start
        As for `smooth`.

    Returns
    -------
    graph : PoseGraph
    matcher : Matcher

    Raises
    ------
    TypeError, ValueError
        As `smooth` does.
    """
    kinds = {"width": "positive", "robust": "positive", "within": "distance"}
    number = checked_numbers({"width": width, "robust": robust, "within": within}, kinds)
    if not isinstance(odometry, Odometry):
        raise TypeError(f"odometry must be an Odometry, not {type(odometry).__name__}.")
    usual = NUGGET if odometry.has_compass else _WITHOUT_A_COMPASS
    share = usual if nugget is None else checked_number("nugget", nugget, _NUGGET)
    moves, smells = _walked(displacements, senses, share)
    given = list(start) if isinstance(start, tuple) else start
    begin: Array = as_points(given, 2, "start", torch.float64).detach().numpy()
    if begin.shape != (2,):
        raise ValueError(f"start must be one place, of shape (2,), but has shape {begin.shape}.")
    graph = PoseGraph(moves, whole_number("keyframe", keyframe, 1), odometry, begin)
    matcher = Matcher(
        graph.steps,
        smells[graph.steps[1:] - 1],
        positive_distance("length", length),
        nugget=share,
        nearest=whole_number("nearest", nearest, 1),
        within=number["within"],
        apart=whole_number("apart", apart, 1),
        width=number["width"],
        robust=number["robust"],
    )
    return graph, matcher


def settled(
    graph: PoseGraph, matcher: Matcher, state: Array, iterations: int
) -> tuple[Array, Closures]:
    """Improve a whole walk until it stays, or so many times.

    Parameters
    ----------
    graph : PoseGraph
    matcher : Matcher
    state : numpy.ndarray of float64, of shape (n_unknown,)
    iterations : int

    Returns
    -------
    state : numpy.ndarray of float64, of shape (n_unknown,)
    closures : Closures
        As seen from it.
    """
    closures = matcher.closures(graph.places(state))
    for _ in range(iterations):
        before = graph.places(state)
        state = graph.improved(state, closures)
        moved = graph.places(state)
        closures = matcher.closures(moved)
        if np.abs(moved - before).max() < _STILL:
            break
    return state, closures


def _walked(displacements: PointsLike, senses: PointsLike, nugget: float) -> tuple[Array, Array]:
    """Check steps and smells; express the latter in as few numbers as they have directions."""
    moves: Array = as_points(displacements, 2, "displacements", torch.float64).detach().numpy()
    sensed = as_numbers(senses, "senses", torch.float64).detach()
    if moves.ndim != 2 or sensed.ndim != 2 or len(moves) != len(sensed) or not sensed.numel():
        raise ValueError(
            "displacements must have shape (n_steps, 2) and senses (n_steps, sensory_dim), of at "
            f"least one step, but the shapes are {moves.shape} and {tuple(sensed.shape)}."
        )
    every: Array = as_senses(sensed, sensed.shape[1], "senses", torch.float64).numpy()
    return moves, every @ directions_of(every, nugget).T


def grown(
    graph: PoseGraph, matcher: Matcher, odometry: Odometry
) -> tuple[Array, tuple[Array, Array]]:
    """Walk along, a few keyframes at a time; tell what was believed of the newest each time.

    Parameters
    ----------
    graph : PoseGraph
    matcher : Matcher
    odometry : Odometry

    Returns
    -------
    state : numpy.ndarray of float64, of shape (n_unknown,)
        Of the whole walk.
    online : tuple of numpy.ndarray
        `Path.online` and `Path.online_covariances`.
    """
    state, total = graph.begun(), len(graph.steps)
    locations, covariances = [graph.places(state)], [_START_COVARIANCE[None]]
    while (before := graph.keyframes(state)) < total:
        have = min(before + _GROWTH, total)
        state = graph.reckoned(state, have)
        closures = matcher.closures(graph.places(state))
        state, covariance = graph.improved_and_newest(state, closures, have - before + 1)
        found = _between(graph, state, covariance, odometry, before - 1)
        locations.append(found[0][1:])
        covariances.append(found[1][1:])
    return state, (np.concatenate(locations), np.concatenate(covariances))


def _between(
    graph: PoseGraph, state: Array, covariance: Array, odometry: Odometry, begin: int = 0
) -> tuple[Array, Array]:
    """Tell places and covariances after all steps from those of keyframes, from one of them on."""
    places, size = graph.places(state)[begin:], graph.by_keyframe
    locations, covariances = [places[:1]], [covariance[None, :2, :2]]
    for way in range(len(places) - 1):
        steps = graph.between(state, begin + way)
        squares = (steps**2).sum(axis=-1)
        whole = float(squares.sum())
        done = (
            squares.cumsum() / whole if whole > 0 else np.arange(1, len(steps) + 1) / len(steps)
        )[:, None]
        reckoned = places[way] + steps.cumsum(axis=0)
        locations.append(reckoned + done * (places[way + 1] - reckoned[-1]))
        one = slice(size * way, size * way + 2)
        other = slice(size * way + size, size * way + size + 2)
        cross = covariance[one, other] + covariance[other, one]
        left = done[..., None]
        bridge = odometry.relative_sd**2 * whole * np.eye(2)
        covariances.append(
            (1 - left) ** 2 * covariance[one, one]
            + left**2 * covariance[other, other]
            + left * (1 - left) * (cross + bridge)
        )
    return np.concatenate(locations), np.concatenate(covariances)


def _doubts(graph: PoseGraph, state: Array, closures: Closures, matcher: Matcher) -> str:
    """Say why a walk cannot be trusted, if so."""
    closed = np.trace(closures.information, axis1=1, axis2=2) > 1 / _CLOSED_SD**2
    needed = max(1, round(_LEAST_SHARE * (len(graph.steps) - 1)))
    if closed.sum() < needed:
        return (
            f"only {closed.sum()} of {len(graph.steps) - 1} keyframes are closed to within "
            f"{_CLOSED_SD:g} m, but {needed} must be: the walk is little more than reckoned."
        )
    strain = float(np.sqrt((graph.odometry_residuals(state) ** 2).mean()))
    if strain > _LARGEST_STRAIN:
        return (
            f"the steps would be off by {strain:.1f} of the deviations that the odometry claims, "
            f"as a root mean square, and {_LARGEST_STRAIN:g} is the most: smells do not fit them."
        )
    rest = float(np.sqrt(np.median(matcher.left)))
    if rest > _LARGEST_REST:
        return (
            f"of smells, {rest:.2f} deviations are left that no shift explains, as a root of the "
            f"median square, and {_LARGEST_REST:g} is the most: what was sensed is no field of "
            "smells, or the walk is wrong."
        )
    return ""
