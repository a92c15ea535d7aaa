"""What goes into a read of a spatial memory, and what comes out."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import torch

from tree_world.checks import (
    Number,
    WrongKind,
    checked_number,
    positive_distance,
    real_number,
    whole_number,
)

METHODS = ("auto", "dense", "chunked", "sparse", "attention")
ORDERS = ("constant", "linear", "kriging")

MEMORY_LIMIT = 64 * 2**20
"""Default bound, in bytes, on what a read allocates beside its inputs and its result."""

TAIL = 1e-6
"""Default bound on the share of all weight that a sparse read may leave out."""

RIDGE = 0.1
"""Default ridge of locally linear reads, as a share of the kernel's variance."""


Update: TypeAlias = bool | Literal["replace"]
"""What becomes of an observation like one in store: it is stored, merged, or takes its place."""

_TIME = Number("be a finite time", math.isfinite, "To leave nothing out, give none.")
_SHARE = Number("be zero or more, and finite", lambda x: 0 <= x < math.inf, "Give 0.02, or so.")
_FOR_KRIGING = ("length", "amplitude", "nugget", "nearest")


@dataclass(frozen=True)
class Read:
    r"""What a memory expects at some places, and how well it is supported.

    Attributes
    ----------
    mean : torch.Tensor of shape (..., sensory_dim)
        The expected sense; zeros where nothing matches. Of shape (..., 0) where it was not asked
        for, by ``ReadOptions(mean=False)``.
    known : torch.Tensor of shape (...), bool
        Whether anything matches.
    effective_sample_size : torch.Tensor of shape (...)
        :math:`(\sum_t w_t)^2 / \sum_t w_t^2`, how many equally weighted observations the mean is
        worth; zero where nothing matches.
    spread : torch.Tensor of shape (...)
        Weighted standard deviation of the senses around their mean,
        :math:`\sqrt{\sum_t w_t \lVert z_t - \bar z \rVert^2}`; infinite where nothing matches.
        Where it is zero or infinite its gradient is zero. NaN without a mean.
    nearest_distance : torch.Tensor of shape (...)
        Distance in metres to the nearest matching observation; infinite where nothing matches. It
        has no gradient.
    log_weight : torch.Tensor of float64, of shape (...)
        :math:`\log \sum_t k(\ell, \ell_t)` over all that match, in natural logarithms: how much
        speaks for ever having been there. −∞ where nothing matches. It is right to about 1e-6, and
        low by at most the tail where a sparse read leaves that out.
    order : {"constant", "linear", "kriging"}, default="constant"
        How it was read: see `ReadOptions`. By kriging `known` says whether any observation counts,
        and `variance` how much that tells; `effective_sample_size`, `spread` and `log_weight` are
        NaN, as its weights may be negative and add up to anything.
    variance : torch.Tensor of shape (...), optional
        By kriging: of one coordinate of the sense, in squared units of senses; times `sensory_dim`
        it is the mean squared distance to the true one. None for the other orders.
    slope : torch.Tensor of shape (..., sensory_dim, location_dim), optional
        By kriging: derivatives of the mean by the place, per metre. None for the other orders.
    """

    mean: torch.Tensor
    known: torch.Tensor
    effective_sample_size: torch.Tensor
    spread: torch.Tensor
    nearest_distance: torch.Tensor
    log_weight: torch.Tensor
    order: str = "constant"
    variance: torch.Tensor | None = None
    slope: torch.Tensor | None = None

    def mapped(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        """Make the same of every tensor in it.

        Parameters
        ----------
        function : callable

        Returns
        -------
        Read
        """
        own: dict[str, Any] = {name: function(getattr(self, name)) for name in self._tensors}
        return replace(self, **own)

    @property
    def _tensors(self) -> tuple[str, ...]:
        return TENSORS if self.order != "kriging" else (*TENSORS, *OF_KRIGING)

    @classmethod
    def stacked(cls, reads: Sequence[Self]) -> Self:
        """Put reads of equally many places beside each other, along a new first axis.

        Parameters
        ----------
        reads : sequence of Read
            At least one.

        Returns
        -------
        Read
        """
        stacked: dict[str, Any] = {
            name: torch.stack([getattr(read, name) for read in reads]) for name in reads[0]._tensors
        }
        return replace(reads[0], **stacked)

    @classmethod
    def joined(cls, reads: Sequence[Self]) -> Self:
        r"""Join reads of the same places from disjoint parts of a memory.

        What comes is the read from all parts together, in whatever order they stand. With
        :math:`W_i = e^{\text{log\_weight}_i}` and the shares :math:`p_i = W_i / \sum_j W_j`

        .. math::

            \bar z = \sum_i p_i \bar z_i, \qquad
            \frac1n = \sum_i \frac{p_i^2}{n_i}, \qquad
            s^2 = \sum_i p_i \bigl( s_i^2 + \lVert \bar z_i - \bar z \rVert^2 \bigr)

        for mean, effective sample size and spread. It is done in double precision, two by two, so
        that a part where nothing matches changes nothing: see `nothing`.

        Parameters
        ----------
        reads : sequence of Read
            At least one. Support comes out NaN where it was not asked for.

        Returns
        -------
        Read

        Raises
        ------
        ValueError
            If there are none, if they are of different shapes, or if one of several is locally
            linear or by kriging: a plane through all parts is not to be had from the planes through
            each, and neither is a smooth field.

        Examples
        --------
        >>> import torch
        >>> from tree_world.models.memory.recall.reading import read
        >>> places, sds = torch.tensor([[0.0], [1.0], [5.0]]), torch.ones(3, 1)
        >>> all_of_them = Observations(places, sds, torch.eye(3))
        >>> parts = [all_of_them.take(slice(0, 1)), all_of_them.take(slice(1, 3))]
        >>> here = torch.zeros(1, 1), torch.ones(1, 1)
        >>> found = Read.joined([read(*here, part) for part in parts])
        >>> bool((found.mean - read(*here, all_of_them).mean).abs().max() < 1e-6)
        True
        """
        if len(reads) == 0:
            raise ValueError("there are no reads to join: give one at least.")
        if len(reads) == 1:
            return reads[0]
        for order, what in (("linear", "plane"), ("kriging", "field")):
            if any(read.order == order for read in reads):
                raise ValueError(
                    f"reads with order={order!r} cannot be joined, as the {what} through all "
                    "observations is not to be had from those through each part. Read with "
                    "order='constant', or read all observations at once."
                )
        shapes = sorted({tuple(read.mean.shape) for read in reads})
        if len(shapes) > 1:
            raise ValueError(
                f"reads to be joined must be of the same places, but their means have shapes "
                f"{' and '.join(map(str, shapes))}."
            )
        whole = functools.reduce(_Moments.joined, map(_Moments.of, reads))
        return replace(reads[0], **vars(whole.finished(reads[0].mean.dtype)))


OF_KRIGING = ("variance", "slope")
"""Names of the tensors that are in a read by kriging alone."""

TENSORS = tuple(one.name for one in fields(Read) if one.name not in ("order", *OF_KRIGING))
"""Names of the tensors in every read."""


@dataclass(frozen=True)
class _Moments:
    """What two reads are joined by, in double precision: finite wherever nothing matches."""

    mean: torch.Tensor
    known: torch.Tensor
    inverse_size: torch.Tensor
    variance: torch.Tensor
    nearest_distance: torch.Tensor
    log_weight: torch.Tensor

    @classmethod
    def of(cls, read: Read) -> _Moments:
        known, log_weight = read.known, read.log_weight.double()
        size = torch.where(known, read.effective_sample_size, 1.0).double()
        spread = torch.where(known, read.spread, 0.0).double()
        nearest = torch.where(known, read.nearest_distance, torch.inf)
        return cls(read.mean.double(), known, 1 / size, spread.square(), nearest, log_weight)

    def joined(self, other: _Moments) -> _Moments:
        known = self.known | other.known
        ours, theirs = (
            torch.where(known, each.log_weight, 0.0) for each in (self, other)
        )  # as −∞ less −∞ is nothing
        total = torch.logaddexp(ours, theirs)
        own, share = torch.exp(ours - total), torch.exp(theirs - total)
        step = other.mean - self.mean
        # Neither more nor less than one of them where the other has no share.
        return _Moments(
            self.mean + share.unsqueeze(-1) * step,
            known,
            own.square() * self.inverse_size + share.square() * other.inverse_size,
            own * self.variance + share * other.variance + own * share * step.square().sum(dim=-1),
            torch.minimum(self.nearest_distance, other.nearest_distance),
            torch.where(known, total, -torch.inf),
        )

    def finished(self, dtype: torch.dtype) -> Read:
        size = torch.where(self.known, 1 / self.inverse_size, 0.0)
        positive = (self.variance > 0) | self.variance.isnan()
        # The root of one where there is nothing to take a root of, as that of zero has no slope.
        root = torch.where(positive, self.variance, 1.0).sqrt()
        spread = torch.where(self.known, torch.where(positive, root, 0.0), torch.inf)
        mean, size, spread = (each.to(dtype) for each in (self.mean, size, spread))
        return Read(mean, self.known, size, spread, self.nearest_distance, self.log_weight)


@dataclass(frozen=True)
class Observations:
    """What a read reads from.

    Attributes
    ----------
    locations, location_sds : torch.Tensor of shape (n_observations, dim)
        In metres. A row with infinite deviations is passed over.
    senses : torch.Tensor of shape (n_observations, sensory_dim)
        Where they are in half precision, what is taken of them is in that of the locations.
    """

    locations: torch.Tensor
    location_sds: torch.Tensor
    senses: torch.Tensor

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def precision(self) -> torch.dtype:
        """In which senses are averaged: their own, if it is not half of that of the locations."""
        half = self.senses.dtype == torch.float16
        return self.locations.dtype if half else self.senses.dtype

    def followed_by(self, others: Observations) -> Observations:
        """Put others behind these."""
        names = ("locations", "location_sds", "senses")
        return Observations(*(torch.cat([getattr(self, n), getattr(others, n)]) for n in names))

    def take(self, rows: torch.Tensor | slice) -> Observations:
        """Take some of the observations."""
        arrays = (self.locations, self.location_sds, self.senses)
        if isinstance(rows, slice):
            locations, sds, senses = (array[rows] for array in arrays)
        else:
            locations, sds, senses = (array.index_select(0, rows) for array in arrays)
        return Observations(locations, sds, senses.to(self.precision))


@dataclass(frozen=True)
class Merging:
    """What is merged with what, and how.

    Attributes
    ----------
    distance : float
        Greatest distance between the places, in combined standard deviations.
    sense_distance : float
        Greatest distance between the senses.
    replaces : bool, default=False
        Whether the new sense and its time take the place of the old ones, instead of a mean of both
        senses and the newer time.
    """

    distance: float
    sense_distance: float
    replaces: bool = False


@dataclass(frozen=True)
class Witnesses:
    """Observations that are gone as others replace them, and against which these are still held.

    Attributes
    ----------
    observations : Observations
        In the order in which they went.
    limits : numpy.ndarray of shape (n_witnesses,)
        How far reads at their places may be from what was sensed there.
    """

    observations: Observations
    limits: np.ndarray

    def __len__(self) -> int:
        return len(self.limits)

    def take(self, rows: np.ndarray) -> Witnesses:
        """Take some of the witnesses."""
        where = torch.from_numpy(rows).to(self.observations.senses.device)
        return Witnesses(self.observations.take(where), self.limits[rows])


@dataclass(frozen=True)
class ReadOptions:
    """How to read.

    Attributes
    ----------
    match_threshold : float, optional
        Observations farther away than this, in metres, do not count; all count by default. Which
        are is the same for every method: see `limit_squared` of the kernel.
    order : {"constant", "linear", "kriging"}, default="constant"
        "constant" takes the weighted mean. "linear" fits a plane to the neighbourhood and reads it
        at the place, which removes the bias where observations lie to one side. "kriging" reads a
        smooth field that goes through what was sensed, with its slope and a claimed error: see
        `tree_world.models.memory.recall.kriging`. Places are then as if known exactly: those that
        are read must have the deviation 0.0, those of observations are not looked at. Each call
        looks through all places in store, so ask for many at a time. It has no gradients.
    method : {"auto", "dense", "chunked", "sparse", "attention"}, default="auto"
        All agree to 1e-6 of the greatest sense, but for "attention", which adds up in single
        precision in kernels that are not ours: to 4e-5 as a rule, and to 2e-4 where a hundred
        thousand observations count alike.
    memory_limit : int, default=64 MiB
        Bytes that "chunked" and "sparse" may allocate beside their inputs and their result.
    tail : float, default=1e-6
        The share of all weight that "sparse" may leave out. The error that this makes is at most
        2 · tail times the largest norm of a sense.
    ridge : float, default=0.1
        Holds the slope of linear reads back where few observations carry it, as a share of the
        kernel's variance. Towards infinity the read becomes constant.
    support : bool, default=False
        Whether to compute more than the mean.
    not_since : float, optional
        Observations with this time or a later one are left out, as if they were not in the memory;
        none are by default. Only reads of a memory know times.
    not_before : float, optional
        Observations with an earlier time than this are left out in the same way.
    mean : bool, default=True
        Whether to average senses. Without, a `recall` looks at no sense, which is quicker: all that
        it says of places and weights is the same, `mean` is empty and `spread` NaN.
    length : float, optional
        For kriging, and needed there: over which distance the field changes, in metres; see
        `length_by_evidence` there.
    amplitude : float, optional
        For kriging: standard deviation of a coordinate of the field, in units of senses. By default
        the most probable one, which each `recall` finds anew from what counts by its time, of five
        hundred observations at most.
    nugget, nearest : float and int, optional
        For kriging: what the field does not explain, as a share of the amplitude, and how many
        observations tell of a place. By default those of `Kriging`.

    Attributes
    ----------
    by_time : bool
        Whether any observations are left out for their times.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    match_threshold: float | None = None
    order: str = "constant"
    method: str = "auto"
    memory_limit: int = MEMORY_LIMIT
    tail: float = TAIL
    ridge: float = RIDGE
    support: bool = False
    not_since: float | None = None
    not_before: float | None = None
    mean: bool = True
    length: float | None = None
    amplitude: float | None = None
    nugget: float | None = None
    nearest: int | None = None
    by_time: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Numbers come in any precision, and are those of Python from here on.
        for name in ("match_threshold", "tail", "ridge"):
            if getattr(self, name) is not None or name != "match_threshold":
                object.__setattr__(self, name, real_number(name, getattr(self, name)))
        for name in ("not_since", "not_before"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked_number(name, getattr(self, name), _TIME))
        timely = self.not_since is not None or self.not_before is not None
        object.__setattr__(self, "by_time", timely)
        object.__setattr__(self, "memory_limit", whole_number("memory_limit", self.memory_limit))
        if not isinstance(self.mean, bool):
            raise WrongKind(f"mean must be True or False, but {self.mean!r} was given.")
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}, but {self.method!r} was given.")
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {ORDERS}, but {self.order!r} was given.")
        if self.match_threshold is not None and not self.match_threshold > 0:
            raise ValueError(
                "match_threshold must be a positive distance in metres, or None for no threshold, "
                f"but {self.match_threshold} was given."
            )
        if not 0 < self.tail < 1:
            raise ValueError(f"tail must lie strictly between 0 and 1, but is {self.tail}.")
        if not self.ridge > 0:
            raise ValueError(f"ridge must be positive, but is {self.ridge}.")
        if self.memory_limit < 2**16:
            raise ValueError(
                f"memory_limit must be at least 65536 bytes, but is {self.memory_limit}."
            )
        if self.order == "linear" and self.method == "attention":
            raise ValueError(
                "attention reads are constant: choose another method for order='linear'."
            )
        if self.order == "kriging":
            self._check_kriging()
        else:
            for name in _FOR_KRIGING:
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name} is for order='kriging', but the order is {self.order!r}: choose "
                        f"that order, or leave {name} out."
                    )

    def _check_kriging(self) -> None:
        if self.length is None:
            raise ValueError(
                "order='kriging' needs the length over which senses change, in metres: give "
                "how=ReadOptions(order='kriging', length=...). length_by_evidence of "
                "tree_world.models.memory.recall.kriging finds one."
            )
        if self.method != "auto" or not self.mean:
            name = "mean=False" if not self.mean else f"method={self.method!r}"
            raise ValueError(f"order='kriging' has one way, which reads senses: leave out {name}.")
        checks: dict[str, Callable[[str, Any], float]] = {
            "length": positive_distance,
            "amplitude": functools.partial(checked_number, kind="positive"),
            "nugget": functools.partial(checked_number, kind=_SHARE),
            "nearest": functools.partial(whole_number, least=1),
        }
        for name in _FOR_KRIGING:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checks[name](name, getattr(self, name)))

    def together_with(self, how: ReadOptions | None) -> ReadOptions:
        """Take from others what is not chosen here; what is not the default counts as chosen.

        But for support, which is not taken from others.

        Parameters
        ----------
        how : ReadOptions, optional

        Returns
        -------
        ReadOptions

        Raises
        ------
        ValueError
            If both choose, and not the same.

        Examples
        --------
        >>> ReadOptions(25.0).together_with(ReadOptions(order="linear")).match_threshold
        25.0
        """
        if how is None or how == _DEFAULT:
            return self
        chosen: dict[str, Any] = {}
        for one in fields(self):
            if one.name == "support" or not one.init:
                continue
            own, other = getattr(self, one.name), getattr(how, one.name)
            if own == one.default:
                chosen[one.name] = other
            elif other not in (one.default, own):
                raise ValueError(
                    f"{one.name} is given twice: {own!r} by itself and {other!r} in how. Give "
                    "one of them."
                )
        return replace(self, **chosen)


_DEFAULT = ReadOptions()

NO_MEAN = (
    "read gives nothing but the mean, which mean=False leaves out: call recall for what is known."
)


def nothing(places: torch.Tensor, observations: Observations) -> Read:
    """Read places where nothing matches; joined with another read, it changes nothing.

    Parameters
    ----------
    places : torch.Tensor of shape (n_places, dim)
    observations : Observations
        None of which matches.

    Returns
    -------
    Read
    """
    senses = observations.senses.detach()
    empty = torch.empty(0, dtype=observations.precision, device=senses.device)
    infinite = empty.new_full((len(places),), torch.inf)
    return Read(
        empty.new_zeros((len(places), senses.shape[-1])),
        torch.zeros(len(places), dtype=torch.bool, device=senses.device),
        empty.new_zeros(len(places)),
        infinite,
        infinite.clone(),
        infinite.double().neg(),
    )


def concatenated(parts: list[Read], order: torch.Tensor | None = None) -> Read:
    """Put reads of different places one after the other, and each row where it belongs.

    Parameters
    ----------
    parts : list of Read
        At least one.
    order : torch.Tensor of int64, of shape (n_places,), optional
        Row to which each place goes.

    Returns
    -------
    Read
    """

    def concatenate(name: str) -> torch.Tensor:
        values = [getattr(part, name) for part in parts]
        if order is None or any(value.requires_grad for value in values):
            whole = torch.cat(values)
            return whole if order is None else torch.empty_like(whole).index_copy(0, order, whole)
        # Straight to where they belong: the reads may be as large as all that was read.
        joint: torch.Tensor = values[0].new_empty((len(order), *values[0].shape[1:]))
        for value, rows in zip(values, order.split([len(value) for value in values]), strict=True):
            joint.index_copy_(0, rows, value)
        return joint

    whole: dict[str, Any] = {name: concatenate(name) for name in TENSORS}
    return replace(parts[0], **whole)
