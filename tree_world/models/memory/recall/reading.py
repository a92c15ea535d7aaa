"""Reads of a spatial memory: one formula, several ways to compute it.

For a place ℓ with deviation σ a read is the mean of what was sensed elsewhere, weighted by the
kernel of `tree_world.models.memory.kernel.affinity`: the estimator of Nadaraya and Watson for
uncertain places.

=============  =====================================================================================
method         how
=============  =====================================================================================
``dense``      all weights at once; simple, and the one to compare with
``chunked``    queries and observations in blocks, with a running softmax, under a memory limit
``sparse``     queries in groups of neighbours; only the observations that matter to them are read
``attention``  scaled dot-product attention over the exact features of the kernel
``auto``       dense if that is little work, chunked where nearly all matters to all, else sparse
=============  =====================================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from tree_world.models.memory.recall.attention import read_by_attention
from tree_world.models.memory.recall.blocks import (
    read_dense,
    read_groups,
    read_runs,
)
from tree_world.models.memory.recall.few import read_few
from tree_world.models.memory.recall.pairs import Nearby, TooManyPairs, read_pairs
from tree_world.models.memory.recall.plan import MANY, best_method, can_read_pairs
from tree_world.models.memory.types import Observations, Read, ReadOptions, nothing
from tree_world.precision import without_autocast

__all__ = ["read"]


@dataclass(frozen=True)
class Timely:
    """What is of the times asked for: all that a read may look at.

    Attributes
    ----------
    times : numpy.ndarray of float64, of shape (n_observations,)
    not_before, not_since : float
        Infinite where there is no such bound.
    """

    times: np.ndarray
    not_before: float
    not_since: float

    @classmethod
    def as_asked(
        cls, times: np.ndarray | None, options: ReadOptions, observations: Observations
    ) -> Timely:
        """Take what options ask for; raise ValueError if times are missing."""
        if times is None or len(times) != len(observations):
            given = "none were" if times is None else f"{len(times)} were"
            name = "not_before" if options.not_since is None else "not_since"
            raise ValueError(
                f"{name} asks for times of the {len(observations)} observations, but {given} "
                "given. Read from a memory, which knows them."
            )
        before = -math.inf if options.not_before is None else options.not_before
        return cls(times, before, math.inf if options.not_since is None else options.not_since)

    def counts(self, times: np.ndarray) -> np.ndarray:
        """Tell which of some times are asked for; infinite ones, of free slots, never are."""
        return np.asarray((self.not_before <= times) & (times < self.not_since))

    def any(self) -> bool:
        """Say whether there is anything."""
        return bool(self.counts(self.times).any())

    def among(self, nearby: Nearby) -> Nearby:
        """Find only what is timely: what is found is looked at, and no more."""

        def rows(low: np.ndarray, high: np.ndarray, distance: float) -> np.ndarray:
            found = nearby.rows(low, high, distance)
            return np.asarray(found[self.counts(self.times[found])])

        return replace(nearby, rows=rows)

    def of(self, observations: Observations) -> Observations:
        """Give what is not timely infinite deviations, which every read passes over.

        So of all arrays deviations alone are copied.

        Parameters
        ----------
        observations : Observations

        Returns
        -------
        Observations
        """
        others = torch.from_numpy(~self.counts(self.times))
        if not bool(others.any()):
            return observations
        sds = observations.location_sds
        masked = sds.masked_fill(others.to(sds.device).unsqueeze(-1), torch.inf)
        return replace(observations, location_sds=masked)


@without_autocast
def read(
    query_locations: torch.Tensor,
    query_sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions | None = None,
    nearby: Nearby | None = None,
    times: np.ndarray | None = None,
) -> Read:
    r"""Read what would be sensed at some places.

    .. math::

        \hat z(\ell) = \sum_t w_t z_t, \qquad
        w_t = \frac{k(\ell, \ell_t)}{\sum_s k(\ell, \ell_s)}

    with the kernel of `tree_world.models.memory.kernel.affinity`. Affinities are computed in
    double precision unless single precision is known to do; senses are averaged in their own.

    Parameters
    ----------
    query_locations : torch.Tensor of shape (n_queries, dim)
        In metres.
    query_sds : torch.Tensor of shape (n_queries, dim) or (1, dim)
        In metres, positive.
    observations : Observations
    options : ReadOptions, optional
    nearby : Nearby, optional
        Finds observations near a box, so that a sparse read need not look at all.
    times : numpy.ndarray of float64, of shape (n_observations,), optional
        Of the observations; infinite for what is to be passed over. Needed for
        ``options.not_since`` and ``not_before``. What the index finds is sifted by them. Where it
        is not asked, they are looked at once, and deviations are copied; with gradients, all that
        is timely is.

    Returns
    -------
    Read
        Everything but `mean` and `known` is NaN unless support is asked for.

    Raises
    ------
    ValueError
        If there are no times where they are needed, or by kriging, which memories do.

    References
    ----------
    E. A. Nadaraya, "On estimating regression", 1964; G. S. Watson, "Smooth regression analysis",
    1964; M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018.
    """
    return read_outside_autocast(
        query_locations, query_sds, observations, options or ReadOptions(), nearby, times
    )


def read_outside_autocast(
    query_locations: torch.Tensor,
    query_sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby | None = None,
    times: np.ndarray | None = None,
) -> Read:
    """As `read`, for who has left ``torch.autocast`` already.

    Parameters
    ----------
    query_locations, query_sds, observations, options, nearby, times
        As for `read`.

    Returns
    -------
    Read
    """
    if options.order == "kriging":
        raise ValueError(
            "order='kriging' is for reads of a memory: call its recall, or read observations by "
            "tree_world.models.memory.recall.kriging.Kriging."
        )
    if not options.mean:  # all ways add up senses of no numbers then
        observations = replace(observations, senses=observations.senses[:, :0])
    arrays = (query_locations, query_sds, *vars(observations).values())
    differentiable = torch.is_grad_enabled() and any(array.requires_grad for array in arrays)
    timely = None
    if options.by_time:
        timely = Timely.as_asked(times, options, observations)
        nearby = None if nearby is None else timely.among(nearby)
        if differentiable or not _by_index_alone(observations, options, nearby):
            observations, timely = timely.of(observations), None
        elif options.match_threshold is None and not timely.any():
            return nothing(query_locations, observations)  # a search for it would not end soon
    if differentiable:
        present = torch.isfinite(observations.location_sds.detach()).all(dim=-1)
        if not bool(present.all()):
            # An infinite deviation has no slope: what is absent is left out, and gets none.
            observations, nearby = observations.take(present.nonzero().squeeze(-1)), None
    task = (query_locations, query_sds, observations, options)
    found = _read(*task, nearby, timely, differentiable)
    if differentiable and not found.mean.requires_grad:
        # Nothing matched: the gradient is zero then, and not an error.
        none_of_them = [array.flatten()[:0].sum() for array in arrays if array.requires_grad]
        found = replace(found, mean=found.mean + sum(none_of_them))
    if not options.mean:
        found = replace(
            found, spread=torch.full_like(found.log_weight, torch.nan, dtype=observations.precision)
        )
    return found


def _read(
    query_locations: torch.Tensor,
    query_sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby | None,
    timely: Timely | None,
    differentiable: bool,
) -> Read:
    sds = query_sds
    if len(sds) > 1 and bool((sds == sds[:1]).all()):
        sds = sds[:1]  # one row for all: a third of the work
    if len(observations.locations) == 0 or len(query_locations) == 0:
        return nothing(query_locations, observations)
    task = (query_locations, sds, observations, options)
    method = options.method
    if method == "auto":
        has_index = nearby is not None
        method = best_method(*task, has_index=has_index, needs_gradient=differentiable)
    if timely is not None and method != "sparse":
        task = (query_locations, sds, timely.of(observations), options)
    if method in ("attention", "sparse") and nearby is None and not _any_present(observations):
        return nothing(query_locations, observations)
    if method == "attention":
        return read_by_attention(*task)
    if method == "few":
        return read_few(*task)
    if method == "dense":
        return read_dense(*task)
    if method == "sparse":
        pairs = len(query_locations) * len(observations.locations)
        most = MANY * pairs if options.method == "auto" else math.inf
        try:
            found = None
            if can_read_pairs(observations, options) and not differentiable:
                found = read_pairs(*task, nearby, most)
            if found is not None:
                return found
            if timely is not None and options.match_threshold is None:
                task = (query_locations, sds, timely.of(observations), options)
            return read_groups(*task, nearby, most)
        except TooManyPairs:
            pass  # nearly everything matters, and then it is quicker to leave nothing out
    if timely is not None:
        task = (query_locations, sds, timely.of(observations), options)
    return read_runs(*task)


def _by_index_alone(
    observations: Observations, options: ReadOptions, nearby: Nearby | None
) -> bool:
    """Tell whether a read without gradients begins with what the index finds, and nothing else."""
    if nearby is None or options.method not in ("auto", "sparse"):
        return False
    return options.match_threshold is not None or can_read_pairs(observations, options)


def _any_present(observations: Observations) -> bool:
    return bool(torch.isfinite(observations.location_sds.detach()).all(dim=-1).any())
