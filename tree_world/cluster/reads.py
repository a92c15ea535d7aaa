"""Reads of a memory in shards: who is asked, and how their answers become one.

With a threshold those shards are asked whose boxes are within it. Without one that is asked first
which may have the most weight, and then those others that could still matter beside what it has
found: what they are left out for is less than the tail of the read.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from tree_world.cluster.held import names_of
from tree_world.cluster.whole import Whole, as_one_row
from tree_world.models.memory.kernel.affinity import limit_squared
from tree_world.models.memory.recall.kriging import MOST, NEAREST, NUGGET, Kriging, evidence
from tree_world.models.memory.recall.moments import Part, plane
from tree_world.models.memory.types import Read, ReadOptions


def recalled(whole: Whole, places: torch.Tensor, sds: torch.Tensor, how: ReadOptions) -> Read:
    """Read places that have been checked.

    Parameters
    ----------
    whole : Whole
    places, sds : torch.Tensor of shape (Q, location_dim)
    how : ReadOptions

    Returns
    -------
    Read
    """
    if how.order == "kriging":
        return _kriged(whole, places, how)
    reading = _Reading(whole, places.detach().cpu(), sds.detach().cpu(), how)
    reading.read()
    found = reading.answer
    projection = whole.common.projection
    if projection is None or not how.mean:
        return found
    mean = projection.decode(found.mean) * found.known.unsqueeze(-1)
    return dataclasses.replace(found, mean=mean)


class _Reading:
    """One read, and what shards have answered so far."""

    def __init__(
        self, whole: Whole, places: torch.Tensor, sds: torch.Tensor, how: ReadOptions
    ) -> None:
        self.whole, self.how = whole, how
        self.places, self.sds = places, sds
        self.where = places.double().numpy()
        self.variances = sds.double().square().numpy()
        number = len(places)
        width = whole.common.embed_dim if how.mean else 0
        blank = _unknown(number, width, how, whole.common.dtype)
        self.answer = dataclasses.replace(blank, order=how.order)

    def read(self) -> None:
        """Ask until all is answered."""
        holders = self.whole.those_with_any()
        if not holders or len(self.places) == 0:
            return
        summaries = [self.whole.summaries[shard] for shard in holders]
        if self.how.match_threshold is not None:
            limit = limit_squared(self.how.match_threshold, self.whole.common.dtype) * (1 + 1e-9)
            asked = np.stack([own.squares(self.where, limit) for own in summaries]) <= limit
            self._ask(holders, asked, np.zeros_like(asked))
            return
        most = np.stack([own.greatest_log_weight(self.where, self.variances) for own in summaries])
        first = np.arange(len(holders))[:, None] == most.argmax(axis=0)
        self._ask(holders, first, np.zeros_like(first))
        # What each of the others may be left out for: its share of the tail.
        least = self.answer.log_weight.numpy() + math.log(self.how.tail / len(holders))
        matters = most > least
        if self.how.support:
            nearest = self.answer.nearest_distance.double().numpy()
            apart = np.stack([own.squares(self.where) for own in summaries])
            matters |= apart <= np.square(nearest) * (1 + 1e-6)
        more = matters & ~first
        several = more.any(axis=0)
        if self.how.order == "linear":  # whose moments were not asked for
            self._ask(holders, (first & several) | more, np.zeros_like(first))
        else:
            self._ask(holders, more, first & several)

    def _ask(self, holders: list[int], asked: np.ndarray, known: np.ndarray) -> None:
        """Ask shards for some places, and join that with what is known of others.

        Parameters
        ----------
        holders : list of int
        asked, known : numpy.ndarray of bool, of shape (n_shards, n_places)
            Of whom a place is asked, and who has answered already.
        """
        shared = (asked.sum(axis=0) + known.sum(axis=0)) > 1
        requests: dict[int, tuple[Any, ...]] = {}
        shares: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for at, shard in enumerate(holders):
            own = np.flatnonzero(asked[at] & ~shared), np.flatnonzero(asked[at] & shared)
            both = np.concatenate(own)
            if len(both):
                shares[shard] = own
                sds = as_one_row(self.sds.numpy()[both])
                given = self.places.numpy()[both], sds, self.how, len(own[1])
                requests[shard] = "recall", *given
        answers = self.whole.ask(requests)
        places = np.flatnonzero(shared)
        parts: list[Read] = []
        if known.any() and len(places):
            parts.append(self._of(places))
        of_planes: list[Part] = []
        for shard, answer in answers.items():
            alone, others = shares[shard]
            own = answer.rows < len(alone)
            self._set(alone[answer.rows[own]], [each[own] for each in answer.arrays])
            where = np.searchsorted(places, others[answer.rows[~own] - len(alone)])
            arrays = [each[~own] for each in answer.arrays]
            parts.append(self._spread(len(places), where, arrays))
            if answer.moments is not None:
                of_planes.append((where, answer.moments._replace(mean=arrays[0])))
        if not parts or len(places) == 0:
            return
        joined = Read.joined(parts)
        if of_planes:
            sds = self.sds.numpy()[places]
            mean = torch.from_numpy(plane(of_planes, len(places), sds, self.how.ridge))
            joined = dataclasses.replace(joined, mean=mean.to(joined.mean.dtype))
        found = np.flatnonzero(joined.known.numpy())
        names = names_of(self.how)
        self._set(places[found], [getattr(joined, name).numpy()[found] for name in names])

    def _set(self, rows: np.ndarray, arrays: list[np.ndarray]) -> None:
        """Note what is read at places where anything matches."""
        self.answer.known.numpy()[rows] = True
        for name, values in zip(names_of(self.how), arrays, strict=True):
            getattr(self.answer, name).numpy()[rows] = values

    def _of(self, rows: np.ndarray) -> Read:
        where = torch.from_numpy(rows)
        return dataclasses.replace(self.answer.mapped(lambda own: own[where]), order="constant")

    def _spread(self, number: int, rows: np.ndarray, arrays: list[np.ndarray]) -> Read:
        """Put what a shard has read where it belongs, among places where it has nothing."""
        own = _unknown(number, arrays[0].shape[1], self.how, self.whole.common.dtype)
        own.known.numpy()[rows] = True
        for name, values in zip(names_of(self.how), arrays, strict=True):
            getattr(own, name).numpy()[rows] = values
        return own


def _unknown(number: int, width: int, how: ReadOptions, dtype: torch.dtype) -> Read:
    """Make what is read where nothing matches."""
    blank = torch.full((number,), torch.nan, dtype=dtype)
    far = torch.full_like(blank, torch.inf)
    return Read(
        torch.zeros((number, width), dtype=dtype),
        torch.zeros(number, dtype=torch.bool),
        torch.zeros_like(blank) if how.support else blank,
        (far if how.mean else blank).clone() if how.support else blank.clone(),
        far if how.support else blank.clone(),
        torch.full((number,), -torch.inf, dtype=torch.float64),
    )


# --- kriging -------------------------------------------------------------------------------------


def _kriged(whole: Whole, places: torch.Tensor, how: ReadOptions) -> Read:
    """Read by kriging from the nearest observations of all shards, solved once."""
    assert how.length is not None
    common = whole.common
    where = places.detach().cpu().double().numpy()
    nugget = NUGGET if how.nugget is None else how.nugget
    holders = whole.those_with_any()
    counts = whole.ask(dict.fromkeys(holders, ("number", how))) if how.by_time else {}
    counts = counts or {shard: whole.summaries[shard].size for shard in holders}
    everything = sum(counts.values())
    amplitude = how.amplitude if how.support else 1.0
    if amplitude is None and everything:
        amplitude = _amplitude(whole, counts, how, nugget)
    number = min(NEAREST if how.nearest is None else how.nearest, everything)
    prior = math.nan if amplitude is None else amplitude**2
    read = _unread(len(where), common.sensory_dim, prior if how.support else math.nan, places)
    if everything == 0 or len(where) == 0:
        return read
    squares, ids = _nearest_of_all(whole, where, number, how)
    limit = limit_squared(how.match_threshold, common.dtype)
    rows, own = np.unique(ids, return_inverse=True)
    there, senses = _contents(whole, rows)
    known = Kriging(there, senses, how.length, amplitude=amplitude, nugget=nugget)
    found = known.read_among(where, own.reshape(ids.shape), squares <= limit)
    read.mean[:], slope = _as(found.mean, read.mean), read.slope
    assert slope is not None
    assert read.variance is not None
    slope[:] = _as(found.slope, slope)
    read.nearest_distance[:] = _as(found.nearest_distance, read.mean)
    read.known[:] = torch.isfinite(read.nearest_distance)
    if how.support:
        read.variance[:] = _as(found.variance, read.mean)
    return read


def _as(array: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(array).to(like.dtype)


def _unread(number: int, width: int, variance: float, places: torch.Tensor) -> Read:
    kind = places.dtype
    none = torch.full((number,), torch.nan, dtype=kind)
    return Read(
        torch.zeros((number, width), dtype=kind),
        torch.zeros(number, dtype=torch.bool),
        none,
        none.clone(),
        torch.full((number,), torch.inf, dtype=kind),
        none.double(),
        "kriging",
        torch.full((number,), variance, dtype=kind),
        torch.zeros((number, width, places.shape[1]), dtype=kind),
    )


def _nearest_of_all(
    whole: Whole, where: np.ndarray, number: int, how: ReadOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the distances of the nearest, and their ids: first of the nearest shard."""
    holders = whole.those_with_any()
    apart = np.stack([whole.summaries[shard].squares(where) for shard in holders])
    squares = np.full((len(where), number), np.inf)
    ids = np.full((len(where), number), -1)
    first = np.arange(len(holders))[:, None] == apart.argmin(axis=0)
    for turn in range(2):
        asked = first if turn == 0 else ~first & (apart <= squares[:, -1] * (1 + 1e-9))
        own = {shard: np.flatnonzero(asked[at]) for at, shard in enumerate(holders)}
        own = {shard: rows for shard, rows in own.items() if len(rows)}
        requests = {s: ("nearest", where[rows], number, how) for s, rows in own.items()}
        for shard, (its_squares, its_ids) in whole.ask(requests).items():
            rows = own[shard]
            both = np.concatenate([squares[rows], its_squares], axis=1)
            names = np.concatenate([ids[rows], its_ids], axis=1)
            order = np.argsort(both, axis=1, kind="stable")[:, :number]
            squares[rows] = np.take_along_axis(both, order, axis=1)
            ids[rows] = np.take_along_axis(names, order, axis=1)
    return squares, ids


def _contents(whole: Whole, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places and senses of what has some ids, wherever it is."""
    holders = whole.those_with_any()
    has = whole.ask(dict.fromkeys(holders, ("has", ids)))
    own = {shard: np.flatnonzero(mask) for shard, mask in has.items() if mask.any()}
    # What is lost in between stays not a number.
    there = np.full((len(ids), whole.common.location_dim), np.nan)
    senses = np.full((len(ids), whole.common.sensory_dim), np.nan)
    requests = {shard: ("contents", ids[rows]) for shard, rows in own.items()}
    for shard, (places, values) in whole.ask(requests).items():
        there[own[shard]] = places
        senses[own[shard]] = _as_sensed(whole, values)
    return there, senses


def _as_sensed(whole: Whole, values: np.ndarray) -> np.ndarray:
    senses = torch.from_numpy(np.array(values)).to(whole.common.dtype)
    if whole.common.projection is not None:
        senses = whole.common.projection.decode(senses)
    return np.asarray(senses.double().numpy())


def _amplitude(whole: Whole, counts: dict[int, int], how: ReadOptions, nugget: float) -> float:
    """Find the most probable amplitude, from some of each shard, each its share."""
    everything = sum(counts.values())
    most = min(MOST, everything)
    shares = {s: -(-most * own // everything) for s, own in counts.items() if own}
    answers = whole.ask({shard: ("spread", share, how) for shard, share in shares.items()})
    there = np.concatenate([places for places, _ in answers.values()]).astype(np.float64)
    senses = np.concatenate([_as_sensed(whole, values) for _, values in answers.values()])
    assert how.length is not None
    return evidence(there, senses, how.length, nugget=nugget).amplitude
