"""What goes into a read of a spatial memory, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from tree_world.checks import real_number, whole_number

METHODS = ("auto", "dense", "chunked", "sparse", "attention")
ORDERS = ("constant", "linear")

MEMORY_LIMIT = 64 * 2**20
"""Default bound, in bytes, on what a read allocates beside its inputs and its result."""

TAIL = 1e-6
"""Default bound on the share of all weight that a sparse read may leave out."""

RIDGE = 0.1
"""Default ridge of locally linear reads, as a share of the kernel's variance."""


@dataclass(frozen=True)
class Read:
    r"""What a memory expects at some places, and how well it is supported.

    Attributes
    ----------
    mean : torch.Tensor of shape (..., sensory_dim)
        The expected sense; zeros where nothing matches.
    known : torch.Tensor of shape (...), bool
        Whether anything matches.
    effective_sample_size : torch.Tensor of shape (...)
        :math:`(\sum_t w_t)^2 / \sum_t w_t^2`, how many equally weighted observations the mean is
        worth; zero where nothing matches.
    spread : torch.Tensor of shape (...)
        Weighted standard deviation of the senses around their mean,
        :math:`\sqrt{\sum_t w_t \lVert z_t - \bar z \rVert^2}`; infinite where nothing matches.
        Where it is zero or infinite its gradient is zero.
    nearest_distance : torch.Tensor of shape (...)
        Distance in metres to the nearest matching observation; infinite where nothing matches. It
        has no gradient.
    """

    mean: torch.Tensor
    known: torch.Tensor
    effective_sample_size: torch.Tensor
    spread: torch.Tensor
    nearest_distance: torch.Tensor


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
    order : {"constant", "linear"}, default="constant"
        "constant" takes the weighted mean. "linear" fits a plane to the neighbourhood and reads it
        at the place, which removes the bias where observations lie to one side.
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
    """

    match_threshold: float | None = None
    order: str = "constant"
    method: str = "auto"
    memory_limit: int = MEMORY_LIMIT
    tail: float = TAIL
    ridge: float = RIDGE
    support: bool = False

    def __post_init__(self) -> None:
        # Numbers come in any precision, and are those of Python from here on.
        for name in ("match_threshold", "tail", "ridge"):
            if getattr(self, name) is not None or name != "match_threshold":
                object.__setattr__(self, name, real_number(name, getattr(self, name)))
        object.__setattr__(self, "memory_limit", whole_number("memory_limit", self.memory_limit))
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


def nothing(places: torch.Tensor, observations: Observations) -> Read:
    """Read places where nothing matches."""
    senses = observations.senses.detach()
    empty = torch.empty(0, dtype=observations.precision, device=senses.device)
    infinite = empty.new_full((len(places),), torch.inf)
    return Read(
        empty.new_zeros((len(places), senses.shape[-1])),
        torch.zeros(len(places), dtype=torch.bool, device=senses.device),
        empty.new_zeros(len(places)),
        infinite,
        infinite.clone(),
    )


def joined(parts: list[Read], order: torch.Tensor | None = None) -> Read:
    """Put the reads of parts together, and each row where it belongs."""

    def join(name: str) -> torch.Tensor:
        values = [getattr(part, name) for part in parts]
        if order is None or any(value.requires_grad for value in values):
            whole = torch.cat(values)
            return whole if order is None else torch.empty_like(whole).index_copy(0, order, whole)
        # Straight to where they belong: the reads may be as large as all that was read.
        joint: torch.Tensor = values[0].new_empty((len(order), *values[0].shape[1:]))
        for value, rows in zip(values, order.split([len(value) for value in values]), strict=True):
            joint.index_copy_(0, rows, value)
        return joint

    return Read(*(join(field.name) for field in fields(Read)))
