"""What is known of a read after some of the observations: a fold over parts of them.

A part gives sums of weights, which are relative to a reference: the greatest log-affinity so far.
Where a later part has a greater one, all that came before is scaled down to it, as in a softmax
that runs along. Sums are kept in double precision, as many that are alike would lose digits.

References
----------
M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tree_world.models.memory.types import Read


@dataclass(frozen=True)
class Frame:
    """What the sums of all parts of one read have in common.

    Attributes
    ----------
    dtype : torch.dtype
        In which senses are averaged.
    order : {"constant", "linear"}
    in_double : bool
        Whether everything is computed in double precision.
    log_scale : float
        What is added to relative log-affinities, to make them those of the kernel.
    rounding : float
        Share of its parts, below which a difference of sums in double precision is rounding.
    origin : torch.Tensor of shape (sensory_dim,), optional
        From which senses are counted.
    """

    dtype: torch.dtype
    order: str
    in_double: bool
    log_scale: float
    rounding: float
    origin: torch.Tensor | None = None


@dataclass(frozen=True)
class Partial:
    """Sums over some of the observations, each for every query.

    Attributes
    ----------
    reference : torch.Tensor of shape (n_queries, 1)
        Log-affinity to which weights are relative; −∞ where nothing has matched so far.
    weight : torch.Tensor of shape (n_queries, 1)
        Sum of the weights.
    total : torch.Tensor of shape (n_queries, sensory_dim), optional
        Weighted sum of the senses; not there where it is not needed.
    nearest : torch.Tensor of shape (n_queries,), optional
        Distance of the nearest, in metres. It and what follows are there if support is asked for.
    weight_squared, square : torch.Tensor of shape (n_queries, 1), optional
        Sums of the squares of the weights, and weighted of those of the lengths of senses.
    moments : torch.Tensor of shape (n_queries, 1 + 2 * dim + dim**2), optional
        Weighted sums of one, places, variances and products of places, for slopes.
    """

    reference: torch.Tensor
    weight: torch.Tensor
    total: torch.Tensor | None = None
    nearest: torch.Tensor | None = None
    weight_squared: torch.Tensor | None = None
    square: torch.Tensor | None = None
    moments: torch.Tensor | None = None

    @classmethod
    def nothing(cls, like: torch.Tensor, dtype: torch.dtype) -> Partial:
        """Begin: what no observation adds to.

        Parameters
        ----------
        like : torch.Tensor of float64, of shape (n_queries, dim)
            Places of the queries.
        dtype : torch.dtype
            Of log-affinities.

        Returns
        -------
        Partial
        """
        reference = like.new_full((len(like), 1), -torch.inf, dtype=dtype)
        return cls(reference, like.new_zeros((len(like), 1)))

    def joined(self, other: Partial) -> Partial:
        """Take in a later part, whose reference is nowhere less than this one's.

        Parameters
        ----------
        other : Partial
            Its sum of senses may be used up.

        Returns
        -------
        Partial
        """
        if self.total is None and self.moments is None:
            return other
        scale = torch.exp((self.reference - finite(other.reference)).double())
        weight, total, moments = self.weight * scale + other.weight, other.total, other.moments
        if self.total is not None and total is not None:
            if total.requires_grad or self.total.requires_grad:
                total = torch.addcmul(total, self.total, scale)
            else:
                total = total.addcmul_(self.total, scale)
        if self.moments is not None and moments is not None:
            moments = self.moments * scale + moments
        if self.nearest is None or other.nearest is None:
            return Partial(other.reference, weight, total, moments=moments)
        assert self.weight_squared is not None
        assert other.weight_squared is not None
        assert self.square is not None
        assert other.square is not None
        return Partial(
            other.reference,
            weight,
            total,
            torch.minimum(self.nearest, other.nearest),
            self.weight_squared * scale.square() + other.weight_squared,
            self.square * scale + other.square,
            moments,
        )

    def finish(self, frame: Frame, linear: torch.Tensor | None = None) -> Read:
        """Divide by the weight.

        Parameters
        ----------
        frame : Frame
        linear : torch.Tensor of shape (n_queries, sensory_dim), optional
            Sum of the senses, weighted as for a locally linear read, if it is one. The spread is
            that around the weighted mean, whatever is read.

        Returns
        -------
        Read
        """
        total = self.total if linear is None else linear
        assert total is not None
        known = (self.weight > 0).squeeze(-1)
        mean = total / self._positive_weight()
        if frame.origin is not None:
            mean = torch.where(known.unsqueeze(-1), mean + frame.origin, 0.0)
        mean, log_weight = mean.to(frame.dtype), self._log_weight(frame)
        if self.nearest is None or self.weight_squared is None:
            missing = mean.detach().new_full((len(mean),), torch.nan)
            return Read(mean, known, missing, missing, missing, log_weight, frame.order)
        squares = torch.where(known, self.weight_squared.squeeze(-1), 1.0)
        sample_size = (self.weight.squeeze(-1).square() / squares).to(frame.dtype)
        spread, nearest = (each.to(frame.dtype) for each in (self.spread(frame), self.nearest))
        return Read(mean, known, sample_size, spread, nearest, log_weight, frame.order)

    def spread(self, frame: Frame) -> torch.Tensor:
        """Root of the variance, which is zero where it cannot be told from it.

        Parameters
        ----------
        frame : Frame

        Returns
        -------
        torch.Tensor of shape (n_queries,)
        """
        variance, offset = self._variance()
        positive = variance > (frame.rounding * offset if frame.in_double else 0.0)
        # The root of one where there is nothing to take a root of, as that of zero has no slope.
        root = torch.where(positive, variance, 1.0).sqrt()
        found = torch.where(positive, root, torch.zeros_like(root))
        return torch.where((self.weight > 0).squeeze(-1), found, torch.inf)

    def doubtful_spreads(self) -> torch.Tensor:
        """Find queries whose senses spread little for how far they are from the origin.

        Returns
        -------
        torch.Tensor of int64
        """
        variance, offset = self._variance()
        return ((variance < 0.1 * offset) & (self.weight > 0).squeeze(-1)).nonzero().squeeze(-1)

    def _positive_weight(self) -> torch.Tensor:
        return torch.where(self.weight > 0, self.weight, 1.0)

    def _log_weight(self, frame: Frame) -> torch.Tensor:
        scale = finite(self.reference).double() + frame.log_scale
        log_weight = self._positive_weight().log() + scale
        return torch.where(self.weight > 0, log_weight, -torch.inf).squeeze(-1)

    def _variance(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Variance of senses around their mean, and the square of that from the origin."""
        assert self.total is not None
        assert self.square is not None
        weight = self._positive_weight()
        offset = (self.total / weight).square().sum(dim=-1)
        return (self.square / weight).squeeze(-1) - offset, offset


def finite(reference: torch.Tensor) -> torch.Tensor:
    """Take zero for a reference where there is none, as less −∞ anything is nothing.

    Parameters
    ----------
    reference : torch.Tensor

    Returns
    -------
    torch.Tensor
    """
    return torch.where(torch.isinf(reference), torch.zeros_like(reference), reference)
