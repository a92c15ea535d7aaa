r"""Space learned from numbers of actions and smells, by a body whose steps err.

Action k shifts the body by an unknown vector :math:`a_k`, the same each time, and by an error
besides, of standard deviation :math:`s \lVert a_k \rVert` along each axis. Sums of shifts then soon
lead away from where the body is: no stretch of many steps tells shifts exactly, and no loop closes
by itself. So

1. stretches of 16 steps, in which smells change as over a plane (`windows`), tell the number of
   dimensions, and shifts up to an affine map;
2. stretches of 100 steps, in which they are a smooth field at places that are the less sure the
   farther apart (`noisy_fields`), tell shifts and a metric;
3. with these as what the body believes of its steps, its walk is found as a whole, by what it
   smelled twice (`smoother`);
4. the smoothed steps, regressed on actions, tell better shifts: then 3 again.

Nobody tells whether that went well. So several signs are looked at, which do not hang together:
whether planes of two dimensions explain smells and those of one do not; whether a field over the
plane is more probable than over a line, and as probable as over space; whether the smoother trusts
its walk; whether shifts stay as they were learned; whether smells are told by those of other visits
to the same place; and whether each half of the smells, without the other, leads to the same walk.
"""

from __future__ import annotations

from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import PointsLike, SeedLike, checked_number, make_generator
from tree_world.models.memory.recall.kriging import NUGGET
from tree_world.models.places.directions import directions_of
from tree_world.models.places.fields import with_one_less
from tree_world.models.places.judging import procrustes
from tree_world.models.places.noisy_fields import refined_with_noise, scaled_with_noise
from tree_world.models.places.odometry import DEVIATION, Odometry
from tree_world.models.places.shifts import ShiftSpace, elbow, returns, too_high
from tree_world.models.places.smoother import Path, grown, prepared, settled, smooth
from tree_world.models.places.windows import (
    Windows,
    by_dimension,
    sloping,
    windows_of,
    with_smells,
)

Array: TypeAlias = npt.NDArray[np.float64]
Actions: TypeAlias = npt.NDArray[np.intp]

_PLANE_STEPS, _PLANES = 16, 300  # steps of a stretch through which a plane is laid, and how many
_MOST_DIMS, _ROOM = 6, 4  # dimensions to begin in from random shifts, the first time and later
_STARTS, _MOST_STARTS = 4, 12
_CLEAR = 1.1  # times the least loss: that of the right dimension is seldom more
_FIELDS = (100, 40, 2)  # steps of stretches in a field, how many, every how many steps one looks
_ITERATIONS = 60
_LENGTH = 66.0  # metres: the smoother's distances are meant for that, so all is scaled to it
_KEYFRAME = 5  # steps
_ROUNDS = 2  # of smoothing and learning again
# Shifts that are not yet exact are errors, too, which the smoother must be told of: as a share of a
# step, while shifts are learned, and in the end.
_LEAST_SD, _LEAST_SD_IN_THE_END = 0.05, 0.02
_STRETCH = 40  # keyframes that tell of one half of the walk
_SETTLING = 12  # steps of Gauss and Newton for a half
_RIDGE = 1e-9  # square metres: ways that lead nowhere are sure
_NOTHING = 1e-10  # of the mean square of smells: their variance, if they do not change
# What speaks against a space: see `_doubts`.
_OF_THE_PLANE = 0.2  # nats, for each number: by as much must a plane tell more than a line
_OF_SPACE = 0.03  # nats, for each number: by as much must space not tell more than a plane
_LARGEST_CHANGE = 0.05  # of the shifts, when they are learned again the last time
_RETURNS, _LEAST_R2 = 50, 0.95  # as many smells must be told by other visits, and so well
_LARGEST_DIFFERENCE = 0.1  # of the length, between the walks of two halves of the smells


class NoisyShiftSpace(ShiftSpace):
    r"""Places of a body that knows numbers of actions, and smells, and that its steps err.

    Parameters
    ----------
    num_actions : int
        How many actions K the body has, at least three.
    dim : {None, 2}, default=None
        Dimension of space; by default found. Walks with errors are found in the plane alone.
    relative_sd : float
        Standard deviation s of the error of a step along each axis, as a share of its length; with
        0 all is as in `ShiftSpace`.
    length : float, optional
        Length of the kernel, in metres, if it is known: for scents √2 times the standard deviation
        of a bump. By default learned places are in units of this length. Smells tell it roughly.
    nugget : float, default=0.02
        Standard deviation of what a smooth field does not explain of smells, as a share of its own.
        Where smells are noisy, give no less than their noise.
    seed : int or torch.Generator, default=0
        Of the shifts from which it begins.

    Attributes
    ----------
    shifts_ : numpy.ndarray of float64, of shape (num_actions, dim_)
        Where each action leads, but for errors; zeros if space was not found.
    locations_ : numpy.ndarray of float64, of shape (n + 1, dim_)
        Where the body was, the start, which is the origin, first. They are smoothed, and not the
        sums of shifts, which `transform` tells.
    covariances_ : numpy.ndarray of float64, of shape (n + 1, dim_, dim_)
        How unsure each place is, if shifts and metric are right, from the start on. Not a number if
        space was not found; zeros if `relative_sd` is 0.
    dim_, loss_by_dim_, r2_, found_, reason_
        As for `ShiftSpace`.
    evidence_ : float
        Mean log density of a number of the smells of stretches of 100 steps, in nats; with
        `relative_sd` 0 as for `ShiftSpace`. NaN if not found.
    halves_ : float
        Root of the mean squared distance between the walks that two halves of the smells lead to,
        after the best affine map, in the unit of places; NaN where that was not tried.
    stages_ : dict of str to numpy.ndarray of float64, of shape (num_actions, dim_)
        Shifts as they were known after each stage, in the units of `shifts_`: "planes", "fields",
        "smoothed". Empty if space was not found.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Notes
    -----
    A metric is told weakly, by the kernel alone: judge by an affine map (`procrustes`).

    Examples
    --------
    >>> from tree_world.models.places.judging import procrustes
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> from tree_world.simulation.hidden import ShiftBody
    >>> config = TreeWorldConfig()
    >>> world = TreeWorld.random_from_config(config, seed=3)
    >>> body = ShiftBody(seed=3, reach=150.0, motor_noise=0.075)
    >>> actions, places = body.walk(800, seed=3)
    >>> senses = SimpleSensor.from_config(config).sense(world, places[1:]).embedding
    >>> space = NoisyShiftSpace(num_actions=6, relative_sd=0.075).fit(actions, senses)
    >>> space.found_, space.dim_
    (True, 2)
    >>> bool(procrustes(space.locations_, places).rms < 4)  # metres
    True
    """

    def __init__(
        self,
        num_actions: int,
        dim: int | None = None,
        *,
        relative_sd: float,
        length: float | None = None,
        nugget: float = NUGGET,
        seed: SeedLike = 0,
    ) -> None:
        super().__init__(num_actions, dim, length=length, nugget=nugget, seed=seed)
        self.relative_sd = checked_number("relative_sd", relative_sd, DEVIATION)
        if self.relative_sd and (self.dim not in (None, 2) or self.num_actions < 3):
            raise ValueError(
                "walks with errors are found in the plane alone, which takes three actions, but "
                f"dim is {dim} and num_actions is {num_actions}. Give dim=2 or None, or "
                "relative_sd=0 for a body that makes no errors."
            )

    def fit(self, actions: npt.ArrayLike, senses: PointsLike) -> Self:
        """Find where actions lead, and where the body was.

        Parameters
        ----------
        actions : array_like of int, of shape (n,)
            From 0 to K − 1; at least 200.
        senses : array_like of shape (n, sensory_dim)
            What was smelled after each.

        Returns
        -------
        NoisyShiftSpace
            Itself. Look whether it was `found_`.

        Raises
        ------
        ValueError
            If shapes do not fit, there are too few steps, an action is none of the body's, or an
            entry is not finite.
        """
        self.halves_ = float("nan")
        self.stages_: dict[str, Array] = {}
        super().fit(actions, senses)
        number, dim = self.locations_.shape
        if not self.found_:
            self.stages_ = {}
            self.covariances_ = np.full((number, dim, dim), np.nan)
        elif not self.relative_sd:
            self.covariances_ = np.zeros((number, dim, dim))
        return self

    def _learn(self, done: Actions, senses: Array) -> str:
        """Learn, and say what speaks against it, if anything does."""
        if not self.relative_sd:
            return super()._learn(done, senses)
        if senses.var(axis=0).sum() <= _NOTHING * (senses**2).sum(axis=1).mean():
            return "smells never change: there are none, or actions do nothing."
        sensed = senses @ directions_of(senses, self.nugget).T
        few = with_smells(windows_of(done, sensed, self.num_actions, _PLANE_STEPS, _PLANES))
        self.loss_by_dim_, planes = curve_of(few, make_generator(self.seed))
        dim, reason = elbow(self.loss_by_dim_)
        if self.dim is not None:
            dim, reason = 2, too_high(self.loss_by_dim_, 2)
        if reason:
            return reason
        if dim != 2:
            return (
                f"smells of a few steps change as in a space of {dim} dimensions, and walks with "
                "errors are found in the plane alone."
            )
        return self._learn_in_the_plane(done, sensed, few, planes)

    def _learn_in_the_plane(
        self, done: Actions, sensed: Array, few: Windows, planes: dict[int, torch.Tensor]
    ) -> str:
        part = windows_of(done, sensed, self.num_actions, *_FIELDS)
        begun: dict[int, torch.Tensor] = {}
        fits: dict[int, tuple[torch.Tensor, float]] = {}
        told = self.nugget, self.relative_sd
        for dim in (1, 2, 3) if 3 in planes else (1, 2):
            squares, directions = sloping(few, planes[dim])
            even = planes[dim] @ directions * squares.sqrt()  # smells slope alike along all axes
            begun[dim] = scaled_with_noise(part, even, *told)
            fits[dim] = refined_with_noise(part, begun[dim], *told, _ITERATIONS)
        if 3 in fits:
            lowered = refined_with_noise(part, with_one_less(part, fits[3][0]), *told, _ITERATIONS)
            fits[2] = max(fits[2], lowered, key=lambda fit: fit[1])
        evidences = {dim: evidence for dim, (_, evidence) in fits.items()}
        shifts = _LENGTH * fits[2][0].numpy()
        stages = {"planes": _LENGTH * begun[2].numpy(), "fields": shifts}
        change = np.inf
        for _ in range(_ROUNDS):
            path = self._smoothed(done, sensed, shifts, _LEAST_SD)
            better = learned_again(done, path.locations, shifts)
            change = float(np.linalg.norm(better - shifts) / np.linalg.norm(shifts))
            shifts = better
        path = self._smoothed(done, sensed, shifts, _LEAST_SD_IN_THE_END)
        stages["smoothed"] = shifts
        number, self.r2_ = returns(path.locations[1:] / _LENGTH, sensed, self.nugget)
        apart = self._difference_of_halves(done, sensed, shifts)
        unit = (self.length or 1.0) / _LENGTH
        self.halves_ = unit * apart
        if reason := _doubts(evidences, path, change, number, self.r2_, apart):
            return reason
        self.dim_, self.evidence_ = 2, evidences[2]
        self.stages_ = {name: unit * learned for name, learned in stages.items()}
        self._set(self.stages_["smoothed"], done)
        self.locations_ = unit * (path.locations - path.locations[0])
        self.covariances_ = unit**2 * path.covariances
        return ""

    def _smoothed(self, done: Actions, senses: Array, shifts: Array, least_sd: float) -> Path:
        odometry = Odometry(max(self.relative_sd, least_sd))
        return smooth(
            shifts[done],
            senses,
            odometry,
            length=_LENGTH,
            nugget=self.nugget,
            keyframe=_KEYFRAME,
        )

    def _difference_of_halves(self, done: Actions, senses: Array, shifts: Array) -> float:
        """Tell how far apart walks are that stretches of smells lead to, every other of them."""
        odometry = Odometry(max(self.relative_sd, _LEAST_SD_IN_THE_END))
        graph, matcher = prepared(
            shifts[done],
            senses,
            odometry,
            length=_LENGTH,
            nugget=self.nugget,
            keyframe=_KEYFRAME,
        )
        odd = np.arange(len(matcher.told)) // _STRETCH % 2 == 1
        walks = []
        for told in (odd, ~odd):
            matcher.told = told
            state, _ = grown(graph, matcher, odometry)
            walks.append(graph.places(settled(graph, matcher, state, _SETTLING)[0]))
        return procrustes(walks[0], walks[1]).rms


def curve_of(
    windows: Windows, generator: torch.Generator
) -> tuple[dict[int, float], dict[int, torch.Tensor]]:
    """Find the best planes of each number of dimensions, from several random shifts.

    It begins four times; and again, up to twelve times, while the dimension that the curve's elbow
    tells explains smells less well than higher ones do, which tells of a bad end.

    Parameters
    ----------
    windows : Windows
    generator : torch.Generator

    Returns
    -------
    losses : dict of int to float
        How badly they explain smells, for 1, 2, … dimensions; see `plane_loss`.
    shifts : dict of int to torch.Tensor of float64, of shape (num_actions, dim)
        With the gauge fixed.
    """
    most = min(windows.counts.shape[-1], _MOST_DIMS)
    losses: dict[int, float] = {}
    shifts: dict[int, torch.Tensor] = {}
    for start in range(_MOST_STARTS):
        if start >= _STARTS and losses[elbow(losses)[0]] <= _CLEAR * min(losses.values()):
            break
        dims = min(_ROOM, most) if start else most
        for dim, (loss, found) in by_dimension(windows, dims, generator).items():
            if loss < losses.get(dim, np.inf):
                losses[dim], shifts[dim] = loss, found
    return dict(sorted(losses.items())), dict(sorted(shifts.items()))


def learned_again(actions: Actions, places: Array, shifts: Array) -> Array:
    r"""Learn shifts from a walk that was smoothed with others.

    Between keyframes i and j, actions were done :math:`c_{ij}` times. Sought are the shifts A with
    the least

    .. math::

        \sum_{ij} \frac{\lVert x_j - x_i - c_{ij} A \rVert^2}{\sum_k c_{ijk} \lVert a_k \rVert^2},

    for errors add up so, with the shifts a of before. Closures tell little of the metric: smoothed
    walks are drawn together a little, each time anew. So what is learned is mapped back onto the
    shifts of before, as well as a linear map can.

    Parameters
    ----------
    actions : numpy.ndarray of int, of shape (n,)
    places : numpy.ndarray of float64, of shape (n + 1, dim)
        In any unit, the start first.
    shifts : numpy.ndarray of float64, of shape (num_actions, dim)
        Of before, in the same.

    Returns
    -------
    numpy.ndarray of float64, of shape (num_actions, dim)
        Zeros for an action that was not done.

    Examples
    --------
    >>> import numpy as np
    >>> true = np.array([[3.0, 0.0], [0.0, 4.0], [-2.0, -2.0], [3.0, 4.0]])
    >>> actions = np.random.default_rng(0).integers(0, 4, 60)
    >>> places = np.concatenate([np.zeros((1, 2)), true[actions].cumsum(axis=0)])
    >>> better = learned_again(actions, places, true + [[0.3, 0.0], [0, 0.1], [0, 0], [0, 0]])
    >>> bool(np.allclose(better[0] + better[1], better[3]))
    True
    """
    ends = np.unique(np.append(np.arange(0, len(actions), _KEYFRAME), len(actions)))
    counts = np.add.reduceat(np.eye(len(shifts))[actions], ends[:-1])
    squares = counts @ (shifts**2).sum(axis=1)
    weights = 1 / np.sqrt(squares + _RIDGE)[:, None]
    ways = np.diff(places[ends], axis=0)
    found = np.linalg.lstsq(weights * counts, weights * ways, rcond=None)[0]
    return np.asarray(found @ np.linalg.lstsq(found, shifts, rcond=None)[0])


def _doubts(
    evidences: dict[int, float], path: Path, change: float, number: int, r2: float, apart: float
) -> str:
    """Say what speaks against a space of a walk, if anything does; lengths are in `_LENGTH`."""
    if evidences[2] < evidences[1] + _OF_THE_PLANE:
        return (
            f"smells are told by places in a plane at {evidences[2]:.2f} nats a number, but on a "
            f"line at {evidences[1]:.2f}: the plane must have {_OF_THE_PLANE:g} more."
        )
    if evidences.get(3, -np.inf) > evidences[2] + _OF_SPACE:
        return (
            f"smells are told by places in a plane at {evidences[2]:.2f} nats a number, but in "
            f"space at {evidences[3]:.2f}: that must not be {_OF_SPACE:g} more."
        )
    if not path.trusted:
        return f"the walk as it was smoothed is not to be trusted: {path.reason}"
    if change > _LARGEST_CHANGE:
        return (
            f"shifts that were learned again changed by {change:.0%}, and {_LARGEST_CHANGE:.0%} is "
            "the most: they do not stay."
        )
    if number < _RETURNS:
        return (
            f"only {number} smells are from where the body came back to, and {_RETURNS} are needed "
            "to tell whether the space is right. Walk on."
        )
    if r2 < _LEAST_R2:
        return (
            f"where the body would have come back, an R² of {r2:.2f} of the smells is as before, "
            f"and {_LEAST_R2:g} is the least: loops do not close."
        )
    if apart > _LARGEST_DIFFERENCE * _LENGTH:
        return (
            f"two halves of the smells lead to walks that differ by {apart / _LENGTH:.2f} of the "
            f"kernel's length, and {_LARGEST_DIFFERENCE:g} is the most."
        )
    return ""
