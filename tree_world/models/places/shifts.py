r"""Space learned from numbers of actions and smells: where each action leads.

A body does one of K actions at a time, and smells. Nobody tells it that there are places, how many
dimensions they have, or that an action shifts it; all it is held to is that each action k adds the
same unknown vector :math:`a_k` each time, and that smells are a smooth field over places. So a
place after t steps is :math:`c_t A`, with counts :math:`c_t` of actions and shifts A, and few
numbers have to be found. Stretches of the walk are looked at, longer and longer ones:

1. of 16 steps, in which smells change as over a plane (`windows`): that tells the number of
   dimensions, and shifts up to an affine map;
2. of 100 steps, in which they are a smooth field (`fields`): the most probable shifts;
3. of 400 steps, and the whole walk, whose loops close.

What can be known: smells at the learned places are the same after any affine map of these. The
kernel of the field, which is alike in all directions, tells a metric, up to turns and mirror
images, but weakly. So judge by an affine map (`procrustes`), and in metres.

A learned space holds in other worlds: `ShiftSpace.transform` tells places of any actions, and an
ordinary memory remembers what was smelled there.
"""

from __future__ import annotations

from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    PointsLike,
    SeedLike,
    as_numbers,
    as_points,
    as_senses,
    checked_actions,
    make_generator,
    positive_distance,
    whole_number,
)
from tree_world.models.memory.recall.kriging import NUGGET, Kriging
from tree_world.models.places.directions import directions_of
from tree_world.models.places.fields import (
    in_units_of_the_kernel,
    refined,
    refined_on_the_whole,
    with_one_less,
)
from tree_world.models.places.windows import by_dimension, sloping, windows_of, with_smells

__all__ = ["FIELDS", "LEAST_R2", "LONGER", "PLANE_STEPS", "ShiftSpace"]

Array: TypeAlias = npt.NDArray[np.float64]
Actions: TypeAlias = npt.NDArray[np.intp]

PLANE_STEPS = 16
"""Steps of a stretch through which a plane is laid."""

PLANES = 300
"""Through how many stretches a plane is laid."""

_ROOM = 4  # dimensions to begin in from random shifts
_RANDOM_STARTS = 3
_MOST_DIMS = 6
_FEWEST_STEPS = 200

FIELDS = (100, 20, 1)
"""Stretches that smell as a smooth field: steps, how many, and every how many steps one looks."""

LONGER = (400, 9, 2)
"""Longer ones, in the same order."""

_ITERATIONS, _LAST_ITERATIONS = 60, 20
_NOTHING = 1e-10  # of the mean square of smells: their variance, if they do not change
_NEARLY = 1.6  # times the least loss: dimensions that explain less are too few
_GAIN = 0.03  # nats, for each number: by as much must a further dimension make smells more probable
_LARGEST_LOSS = 0.25  # half of what places explain that tell nothing
_APART = 100  # steps between a smell and those that must tell it
_NEAR = 0.15  # of the kernel's length: so near must be one of those
_RETURNS = 50  # as many smells must there be that are told so
LEAST_R2 = 0.95  # of these


class ShiftSpace:
    r"""Places of a body that knows numbers of actions, and smells.

    Parameters
    ----------
    num_actions : int
        How many actions K the body has, at least two.
    dim : int, optional
        Dimension of space, less than K. By default found.
    length : float, optional
        Length of the kernel, in metres, if it is known: for scents √2 times the standard deviation
        of a bump. By default learned places are in units of this length. Smells tell it roughly:
        among trees, learned places come out about one and a half times too large.
    nugget : float, default=0.02
        Standard deviation of what a smooth field does not explain of smells, as a share of its own.
        Where smells are noisy, give no less than their noise.
    seed : int or torch.Generator, default=0
        Of the shifts from which it begins.

    Attributes
    ----------
    shifts_ : numpy.ndarray of float64, of shape (num_actions, dim_)
        Where each action leads; zeros if space was not found.
    locations_ : numpy.ndarray of float64, of shape (n + 1, dim_)
        Where the body was, the start, which is the origin, first.
    dim_ : int
        Dimension of space; 0 if it was neither found nor given.
    stages_ : dict of str to numpy.ndarray of float64, of shape (num_actions, dim_)
        Shifts as they were known after each stage, in the units of `shifts_`: "planes", scaled as
        a field needs them; "fields", of 100 steps; "longer", of 400 steps, where the walk is longer
        than that; "whole". Empty if space was not found.
    loss_by_dim_ : dict of int to float
        How badly planes of each number of dimensions explain smells of a few steps, from 0 to 1;
        ½ if not at all. It falls until the dimension is that of space.
    evidence_ : float
        Mean log density of a number of the smells of the whole walk, in nats, each told by few
        others: see `tree_world.models.places.fields`. NaN if not found.
    r2_ : float
        How well smells are told where the body came back after more than 100 steps, as the share
        of their variance that is explained; NaN where that was not tried.
    found_ : bool
        Whether there is no reason against what was found.
    reason_ : str
        Why not; empty if found.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    B. Ferris, D. Fox and N. Lawrence, "WiFi-SLAM using Gaussian process latent variable models",
    2007.

    Examples
    --------
    >>> from tree_world.models.places.judging import procrustes
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> from tree_world.simulation.hidden import ShiftBody
    >>> config = TreeWorldConfig()
    >>> world = TreeWorld.random_from_config(config, seed=3)
    >>> actions, places = ShiftBody(seed=3, reach=150.0).walk(800, seed=3)
    >>> senses = SimpleSensor.from_config(config).sense(world, places[1:]).embedding
    >>> space = ShiftSpace(num_actions=6).fit(actions, senses)
    >>> space.found_, space.dim_
    (True, 2)
    >>> bool(procrustes(space.locations_, places).rms < 3)  # metres
    True
    """

    def __init__(
        self,
        num_actions: int,
        dim: int | None = None,
        *,
        length: float | None = None,
        nugget: float = NUGGET,
        seed: SeedLike = 0,
    ) -> None:
        self.num_actions = whole_number("num_actions", num_actions, least=2)
        self.dim = None if dim is None else whole_number("dim", dim, least=1)
        if self.dim is not None and self.dim >= self.num_actions:
            raise ValueError(
                f"{self.num_actions} actions can bring a body home from everywhere in at most "
                f"{self.num_actions - 1} dimensions, but dim is {dim}."
            )
        self.length = None if length is None else positive_distance("length", length)
        self.nugget = positive_distance("nugget", nugget)
        self.seed = seed
        make_generator(seed)

    def fit(self, actions: npt.ArrayLike, senses: PointsLike) -> Self:
        """Find where actions lead.

        Parameters
        ----------
        actions : array_like of int, of shape (n,)
            From 0 to K − 1; at least 200.
        senses : array_like of shape (n, sensory_dim)
            What was smelled after each.

        Returns
        -------
        ShiftSpace
            Itself. Look whether it was `found_`.

        Raises
        ------
        ValueError
            If shapes do not fit, there are too few steps, an action is none of the body's, or an
            entry is not finite.
        """
        done, sensed = self._walked(actions, senses)
        self.dim_ = self.dim or 0
        self.stages_: dict[str, Array] = {}
        self.loss_by_dim_: dict[int, float] = {}
        self.evidence_ = self.r2_ = float("nan")
        self._set(np.zeros((self.num_actions, self.dim_)), done)
        self.reason_ = self._learn(done, sensed)
        self.found_ = not self.reason_
        if not self.found_:
            self.stages_ = {}
            self._set(np.zeros((self.num_actions, self.dim_)), done)
        return self

    def transform(self, actions: npt.ArrayLike, start: PointsLike | None = None) -> Array:
        """Tell where actions lead, in this world or another.

        Parameters
        ----------
        actions : array_like of int, of shape (n,)
            From 0 to K − 1.
        start : array_like of shape (dim_,), optional
            A learned place; by default the origin.

        Returns
        -------
        numpy.ndarray of float64, of shape (n + 1, dim_)
            The start first.

        Raises
        ------
        RuntimeError
            If `fit` was not called, or found no space.
        ValueError
            If an action is none of the body's, or `start` no place.
        """
        if not getattr(self, "found_", False):
            reason = getattr(self, "reason_", "fit was not called yet.")
            raise RuntimeError(f"there is no space to tell places of: {reason}")
        done = checked_actions(actions, self.num_actions)
        begin = np.zeros(self.dim_)
        if start is not None:
            begin = as_points(start, self.dim_, "start", torch.float64).detach().numpy()
            if begin.ndim != 1:
                raise ValueError(
                    f"start must be one place, of shape ({self.dim_},), but one of shape "
                    f"{begin.shape} was given."
                )
        return np.concatenate([begin[None], begin + self.shifts_[done].cumsum(axis=0)])

    def _walked(self, actions: npt.ArrayLike, senses: PointsLike) -> tuple[Actions, Array]:
        done = checked_actions(actions, self.num_actions)
        sensed = as_numbers(senses, "senses", torch.float64).detach()
        if sensed.ndim != 2 or len(sensed) != len(done) or not sensed.shape[1]:
            raise ValueError(
                "senses must have shape (n, sensory_dim), one after each of n actions, but the "
                f"shapes are {tuple(sensed.shape)} and {done.shape}."
            )
        if len(done) < _FEWEST_STEPS:
            raise ValueError(
                f"space is learned from at least {_FEWEST_STEPS} steps, but there are {len(done)}. "
                "Walk on."
            )
        every: Array = as_senses(sensed, sensed.shape[1], "senses", torch.float64).numpy()
        return done, every

    def _set(self, shifts: Array, done: Actions) -> None:
        self.shifts_ = shifts
        self.locations_ = np.zeros((len(done) + 1, shifts.shape[1]))
        self.locations_[1:] = shifts[done].cumsum(axis=0)

    def _learn(self, done: Actions, senses: Array) -> str:
        """Learn, and say what speaks against it, if anything does."""
        if senses.var(axis=0).sum() <= _NOTHING * (senses**2).sum(axis=1).mean():
            return "smells never change: there are none, or actions do nothing."
        sensed = senses @ directions_of(senses, self.nugget).T
        few = with_smells(windows_of(done, sensed, self.num_actions, PLANE_STEPS, PLANES))
        shifts, generator = {}, make_generator(self.seed)
        everything = min(self.num_actions, _MOST_DIMS)
        for dims in (everything, *[min(_ROOM, everything)] * _RANDOM_STARTS):
            for dim, (loss, found) in by_dimension(few, dims, generator).items():
                if loss < self.loss_by_dim_.get(dim, np.inf):
                    self.loss_by_dim_[dim], shifts[dim] = loss, found
        self.loss_by_dim_ = dict(sorted(self.loss_by_dim_.items()))
        part = windows_of(done, sensed, self.num_actions, *FIELDS)
        begun: dict[int, torch.Tensor] = {}

        def in_a_field(dim: int) -> tuple[torch.Tensor, float]:
            squares, directions = sloping(few, shifts[dim])
            even = shifts[dim] @ directions * squares.sqrt()  # smells slope alike along all axes
            begun[dim] = in_units_of_the_kernel(part, even, self.nugget)
            return refined(part, begun[dim], self.nugget, _ITERATIONS)

        if self.dim is None:
            dim, reason = elbow(self.loss_by_dim_)
        else:
            dim, reason = self.dim, too_high(self.loss_by_dim_, self.dim)
        if reason:
            return reason
        best, evidence = in_a_field(dim)
        while self.dim is None and dim + 1 in shifts:
            higher = in_a_field(dim + 1)
            lowered = refined(part, with_one_less(part, higher[0]), self.nugget, _ITERATIONS)
            best, evidence = max((best, evidence), lowered, key=lambda found: found[1])
            if higher[1] < evidence + _GAIN:
                break
            dim, (best, evidence) = dim + 1, higher
        if self.dim is None and dim == max(shifts):
            return no_elbow(self.loss_by_dim_)
        stages = {"planes": begun[dim], "fields": best}
        if len(done) > LONGER[0]:
            part = windows_of(done, sensed, self.num_actions, *LONGER)
            best, _ = refined(part, best, self.nugget, _ITERATIONS)
            stages["longer"] = best
        whole = windows_of(done, sensed, self.num_actions, len(done), 1)
        best, evidence = refined_on_the_whole(
            whole.counts[0], whole.senses[0], best, self.nugget, _LAST_ITERATIONS, generator
        )
        stages["whole"] = best
        self._set(best.numpy(), done)
        number, r2 = returns(self.locations_[1:], sensed, self.nugget)
        if number < _RETURNS:
            return (
                f"only {number} smells are from where the body came back to after {_APART} steps, "
                f"and {_RETURNS} are needed to tell whether the space is right. Walk on."
            )
        self.r2_ = r2
        if r2 < LEAST_R2:
            return (
                f"where the body would have come back, an R² of {r2:.2f} of the smells is as "
                f"before, and {LEAST_R2:g} is the least: loops do not close."
            )
        self.dim_, self.evidence_ = dim, evidence
        unit = self.length or 1.0
        self.stages_ = {name: unit * found.numpy() for name, found in stages.items()}
        self._set(self.stages_["whole"], done)
        return ""


def elbow(losses: dict[int, float]) -> tuple[int, str]:
    """Find the fewest dimensions that explain nearly as much as any number of them.

    Parameters
    ----------
    losses : dict of int to float
        For 1, 2, … dimensions.

    Returns
    -------
    dim : int
    reason : str
        Why it cannot be told; empty if it can.

    Examples
    --------
    >>> elbow({1: 0.215, 2: 0.070, 3: 0.071, 4: 0.074})
    (2, '')
    >>> elbow({1: 0.22, 2: 0.18, 3: 0.09, 4: 0.05})[1]
    'the curve of losses has no elbow: 0.220, 0.180, 0.090, 0.050 for 1 to 4 dimensions.'
    """
    least = min(losses.values())
    dim = next(dim for dim in sorted(losses) if losses[dim] <= _NEARLY * least)
    if reason := too_high(losses, dim):
        return dim, reason
    return dim, no_elbow(losses) if dim == max(losses) else ""


def no_elbow(losses: dict[int, float]) -> str:
    """Say that losses fall until the end.

    Parameters
    ----------
    losses : dict of int to float

    Returns
    -------
    str
    """
    told = ", ".join(f"{losses[dim]:.3f}" for dim in sorted(losses))
    return f"the curve of losses has no elbow: {told} for 1 to {max(losses)} dimensions."


def too_high(losses: dict[int, float], dim: int) -> str:
    """Say so if places of so many dimensions do not explain smells.

    Parameters
    ----------
    losses : dict of int to float
    dim : int

    Returns
    -------
    str
        Empty if they do.

    Examples
    --------
    >>> too_high({1: 0.48}, 1)
    'planes of 1 dimensions leave a loss of 0.48 in smells of a few steps, and 0.25 is the most.'
    """
    if losses[dim] <= _LARGEST_LOSS:
        return ""
    return (
        f"planes of {dim} dimensions leave a loss of {losses[dim]:.2f} in smells of a few steps, "
        f"and {_LARGEST_LOSS:g} is the most."
    )


def returns(places: Array, senses: Array, nugget: float) -> tuple[int, float]:
    """Tell how well smells are told by those of other visits to the same places.

    Parameters
    ----------
    places : numpy.ndarray of float64, of shape (n, dim)
        In units of the kernel's length.
    senses : numpy.ndarray of float64, of shape (n, sensory_dim)
        In the order in which they were smelled.
    nugget : float

    Returns
    -------
    number : int
        Of smells for which there are others from near by, more than 100 steps apart.
    r2 : float
        Share of their variance that is explained by reading these; NaN if there are no two.
    """
    read = Kriging(places, senses, 1.0, nugget=max(nugget, 1e-4)).read(
        places, lambda query, observation: np.abs(query - observation) <= _APART
    )
    again = read.nearest_distance < _NEAR
    number = int(again.sum())
    if number < 2:
        return number, float("nan")
    smelled = senses[again]
    spread = ((smelled - smelled.mean(axis=0)) ** 2).sum()
    left = ((smelled - read.mean[again]) ** 2).sum()
    return number, float(1 - left / spread) if spread > 0 else float("nan")
