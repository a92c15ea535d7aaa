"""One shard: a memory that is a part of a larger one, on a worker, and answers in sums.

What comes and goes are arrays of NumPy, which Dask sends as they are. Names, ages and times are
those of the whole, which gives them.
"""

from __future__ import annotations

import dataclasses
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.spatial
import torch

from tree_world.cluster.regions import Summary, along_curve
from tree_world.models.memory.changes import changing, reading
from tree_world.models.memory.drawing import log_total_weight, query_of, ready_scores
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.forgetting import Halo, prune_beside
from tree_world.models.memory.kernel.affinity import limit_squared
from tree_world.models.memory.memory import Memory
from tree_world.models.memory.options import DrawOptions, Prune
from tree_world.models.memory.recall.moments import moments
from tree_world.models.memory.saving import load, write_state
from tree_world.models.memory.search.exact import exact_log_weights
from tree_world.models.memory.search.places import best_distinct_slots
from tree_world.models.memory.search.query import Query
from tree_world.models.memory.types import Merging, Observations, Read, ReadOptions, Witnesses

_NEIGHBOURS = 1024  # places whose nearest observations are looked for at a time


class Held(NamedTuple):
    """Observations with their names, and witnesses of others, as arrays.

    Attributes
    ----------
    locations, location_sds : numpy.ndarray of shape (n, dim)
        In metres; one row of deviations may stand for all.
    senses : numpy.ndarray of shape (n, embed_dim)
    ids, written_at : numpy.ndarray of int64, of shape (n,)
    times : numpy.ndarray of float64, of shape (n,), or None
        None where they are the clock.
    witnesses : tuple of arrays, optional
        Places, deviations, senses, limits.
    """

    locations: np.ndarray
    location_sds: np.ndarray
    senses: np.ndarray
    ids: np.ndarray
    written_at: np.ndarray
    times: np.ndarray | None
    witnesses: tuple[np.ndarray, ...] | None = None


class Shard:
    """A memory that is a part of a larger one.

    Parameters
    ----------
    dims : tuple of int
        Of places, and of senses as they are kept.
    capacity : int
        How many observations there may be here.
    choices : dict
        Of `Memory`.
    """

    def __init__(self, dims: tuple[int, int], capacity: int, choices: dict[str, Any]) -> None:
        self.memory = Memory(*dims, max_memory_size=capacity, **choices)
        self.last: tuple[int, tuple[bool, Any]] = -1, (True, None)

    @property
    def common(self) -> Any:
        """What the memory is made of."""
        return self.memory.common

    def do(self, number: int, name: str, *given: Any) -> tuple[bool, Any]:
        """Do one of what follows, once.

        Parameters
        ----------
        number : int
            Of the call: what was done is not done again, and the answer is the same.
        name : str
        given
            What it is given.

        Returns
        -------
        done, answer : bool and object
            What it returns, or the error that it has raised: so that whatever else is raised
            elsewhere says that the worker has not answered.
        """
        if number != self.last[0]:
            try:
                answer = True, getattr(self, name)(*given)
            except Exception as error:
                error.add_note("in a shard:\n" + "".join(traceback.format_tb(error.__traceback__)))
                answer = False, error
            self.last = number, answer
        return self.last[1]

    # --- what is here ----------------------------------------------------------------------------

    @reading
    def summary(self) -> Summary:
        """Say what is here, in few numbers."""
        return self._summary()

    def _summary(self) -> Summary:
        store = self.memory.store
        slots = np.flatnonzero(store.written_at[: store.used] >= 0)
        if len(slots) == 0:
            empty = Summary.of_nothing(store.locations.shape[1])
            return empty._replace(witnesses=len(store.witnesses))
        own = store.observations()
        where = torch.from_numpy(slots)
        places, sds = own.locations[where].double(), own.location_sds[where]
        return Summary(
            len(slots),
            places.amin(dim=0).numpy(),
            places.amax(dim=0).numpy(),
            float(sds.min()),
            float(sds.max()),
            int(store.written_at[slots].min()),
            len(store.witnesses),
        )

    @reading
    def held(self, low: int, high: int) -> Held:
        """Copy what is in a stretch of the curve, with witnesses that are there."""
        slots, gone = self._in_region(low, high)
        witnesses = self.memory.store.witnesses.take(gone)
        return self._copied(slots, _as_arrays(witnesses))

    @reading
    def halo(self, low: np.ndarray, high: np.ndarray, distance: float) -> Held:
        """Copy what is near a box: observations twice as far as witnesses."""
        store = self.memory.store
        slots = store.index.near_box(low, high, 2 * distance)
        places = store.locations[torch.from_numpy(slots)].double().numpy()
        slots = np.sort(slots[_from_box(places, low, high) <= 2 * distance])
        gone = store.witnesses.observations.locations.double().numpy()
        rows = np.flatnonzero(_from_box(gone, low, high) <= distance)
        return self._copied(slots, _as_arrays(store.witnesses.take(rows)))

    @reading
    def has(self, ids: np.ndarray) -> np.ndarray:
        """Tell which of some ids are here."""
        return np.isin(ids, self._ids())

    @reading
    def oldest(self, number: int) -> np.ndarray:
        """When the oldest were written, in increasing order."""
        store = self.memory.store
        times = store.written_at[: store.used]
        times = times[times >= 0]
        if number < len(times):
            times = np.partition(times, number)[:number]
        return np.asarray(np.sort(times))

    @reading
    def median(self, low: int, high: int) -> int | None:
        """Find where half of what is here lies before, on the curve; None if there is none."""
        store = self.memory.store
        slots, _ = self._in_region(low, high)
        places = store.locations[torch.from_numpy(slots)].numpy()
        codes = np.sort(along_curve(places, store.cell_size))
        later = codes[codes > codes[0]] if len(codes) else codes
        return int(max(codes[len(codes) // 2], later[0])) if len(later) else None

    @reading
    def spread(self, number: int, how: ReadOptions) -> tuple[np.ndarray, np.ndarray]:
        """Places and senses of some that count by their times, evenly spread over their ages."""
        slots = self._timely(how)
        rows = np.unique(np.linspace(0, max(len(slots) - 1, 0), min(number, len(slots))).round())
        own = self._copied(slots[rows.astype(np.int64)])
        return own.locations, own.senses

    @reading
    def number(self, how: ReadOptions) -> int:
        """How many count by their times."""
        return len(self._timely(how))

    def _ids(self) -> np.ndarray:
        store = self.memory.store
        return np.asarray(store.ids[: store.used][store.written_at[: store.used] >= 0])

    def _timely(self, how: ReadOptions) -> np.ndarray:
        store = self.memory.store
        slots = store.slots_by_age()
        early = -np.inf if how.not_before is None else how.not_before
        late = np.inf if how.not_since is None else how.not_since
        return np.asarray(slots[(early <= store.times[slots]) & (store.times[slots] < late)])

    def _in_region(self, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
        store = self.memory.store
        slots = store.slots_by_age()

        def within(places: torch.Tensor) -> np.ndarray:
            codes = along_curve(places.numpy(), store.cell_size)
            return np.asarray((low <= codes) & (codes < high))

        gone = np.flatnonzero(within(store.witnesses.observations.locations))
        return slots[within(store.locations[torch.from_numpy(slots)])], gone

    def _copied(self, slots: np.ndarray, witnesses: tuple[np.ndarray, ...] | None = None) -> Held:
        store = self.memory.store
        where = torch.from_numpy(slots)
        arrays = (store.locations[where], store.location_sds[where], store.senses[where])
        names = store.ids[slots], store.written_at[slots], store.times[slots]
        places, sds, senses = (each.numpy() for each in arrays)
        return Held(places, sds, senses, *names, witnesses)

    # --- changes ---------------------------------------------------------------------------------

    @changing
    def put(self, held: Held) -> Summary:
        """Take in observations that have names."""
        return self._put(held)

    def _put(self, held: Held) -> Summary:
        store = self.memory.store
        number = len(held.ids)
        if len(store) + number > store.capacity:
            raise ValueError(
                f"{len(store) + number} observations lie so near each other that one shard would "
                f"have to hold them, but {store.capacity} fit in: give a smaller cell_size, so "
                "that they can be told apart, or fewer shards."
            )
        sds = np.broadcast_to(held.location_sds, held.locations.shape)
        times = held.written_at.astype(np.float64) if held.times is None else held.times
        own = Observations(_tensor(held.locations), _tensor(sds), _tensor(held.senses))
        store.fill(own, held.ids, held.written_at, times)
        if number:
            store.next_id = max(store.next_id, int(held.ids.max()) + 1)
            store.clock = max(store.clock, int(held.written_at.max()) + 1)
        if held.witnesses is not None and len(held.witnesses[-1]):
            more, limits = _as_witnesses(held.witnesses)
            before = store.witnesses
            everyone = before.observations.followed_by(more)
            store.witnesses = Witnesses(everyone, np.concatenate([before.limits, limits]))
        return self._summary()

    @reading
    def agreeing(
        self, place: np.ndarray, sd: np.ndarray, sense: np.ndarray, how: Merging
    ) -> float | None:
        """How far away the nearest is with which an observation would be merged."""
        here, own, sensed = (each.astype(np.float64) for each in (place, sd, sense))
        found = self.memory.store.agreeing(here, own, sensed, how)
        return None if found is None else found[1]

    @changing
    def merge(
        self, held: Held, how: Merging, low: int, high: int
    ) -> tuple[np.ndarray, Held, Summary]:
        """Take in observations, or merge each with what is like it.

        Returns
        -------
        ids : numpy.ndarray of int64
        elsewhere : Held
            What was drawn out of this region on the way, and is no longer here.
        summary : Summary
        """
        store = self.memory.store
        found = []
        sds = np.broadcast_to(held.location_sds, held.locations.shape)
        arrays = [_tensor(each) for each in (held.locations, sds, held.senses)]
        for row, name in enumerate(held.ids):
            store.clock = int(held.written_at[row])
            place, sd, sense = (array[row] for array in arrays)
            time = None if held.times is None else float(held.times[row])
            merged = store.merge(place, sd, sense, how, time)
            if merged is None:
                store.next_id, merged = int(name), int(name)
                own = Observations(place[None], sd[None], sense[None])
                when = np.array([float(store.clock) if time is None else time])
                store.fill(own, np.array([name]), np.array([store.clock]), when)
                store.next_id = merged + 1
            store.clock = int(held.written_at[row]) + 1
            found.append(merged)
        away = np.setdiff1d(store.slots_by_age(), self._in_region(low, high)[0])
        elsewhere = self._copied(away)
        if len(away):
            store.delete(store.ids[away])
        return np.array(found, dtype=np.int64), elsewhere, self._summary()

    @changing
    def drop(self, ids: np.ndarray) -> Summary:
        """Let go of what has some ids, as far as it is here."""
        store = self.memory.store
        store.delete(np.unique(ids[np.isin(ids, self._ids())]))
        return self._summary()

    @changing
    def drop_until(self, written_at: int) -> Summary:
        """Let go of what was written no later than a time by the clock of the whole."""
        store = self.memory.store
        times = store.written_at[: store.used]
        store.discard(np.flatnonzero((times >= 0) & (times <= written_at)))
        return self._summary()

    @changing
    def drop_region(self, low: int, high: int) -> Summary:
        """Let go of what is in a stretch of the curve, and of witnesses that are there."""
        store = self.memory.store
        slots, gone = self._in_region(low, high)
        store.discard(slots)
        still = np.setdiff1d(np.arange(len(store.witnesses)), gone)
        store.witnesses = store.witnesses.take(still)
        return self._summary()

    @changing
    def keep_witnesses(self, number: int) -> Summary:
        """Let go of all witnesses but the latest."""
        store = self.memory.store
        first = max(0, len(store.witnesses) - number)
        store.witnesses = store.witnesses.take(np.arange(first, len(store.witnesses)))
        return self._summary()

    def prune(self, how: Prune, halo: Held) -> tuple[PruneReport, np.ndarray, Summary]:
        """Prune what is here, beside what is around it.

        Returns
        -------
        report : PruneReport
        gone : numpy.ndarray of int64
            Ids of what went.
        summary : Summary
        """
        before = self._ids()
        senses = _tensor(halo.senses).to(self.common.dtype)
        observations = Observations(_tensor(halo.locations), _tensor(halo.location_sds), senses)
        assert halo.witnesses is not None
        around = Witnesses(*_as_witnesses(halo.witnesses))
        report = prune_beside(self.memory, how, Halo(observations, around))
        return report, np.setdiff1d(before, self._ids()), self._summary()

    # --- files -----------------------------------------------------------------------------------

    @reading
    def save(self, path: str) -> int:
        """Write everything to a file; say how many bytes it has."""
        write_state(self.common, Path(path), with_senses=True)
        return Path(path).stat().st_size

    @changing
    def restore(self, paths: list[str], low: int, high: int, without: np.ndarray) -> Summary:
        """Take in what files hold of a stretch of the curve, but for what has some ids."""
        for path in paths:
            other = Shard.__new__(Shard)
            other.memory = Memory.of(load(Path(path), torch.device("cpu")), 0)
            own = other.held(low, high)
            if len(own.ids) and len(without):
                own = rows_of(own, np.flatnonzero(~np.isin(own.ids, without)))
            self._put(own)
        return self._summary()

    # --- reading ---------------------------------------------------------------------------------

    @reading
    def recall(
        self,
        places: np.ndarray,
        sds: np.ndarray,
        how: ReadOptions,
        shared: int,
        centre: np.ndarray | None,
    ) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...] | None]:
        """Read some places.

        Parameters
        ----------
        places, sds : numpy.ndarray of shape (n, dim)
            One row of deviations may stand for all.
        how : ReadOptions
        shared : int
            How many of them, at the end, other shards are asked for as well.
        centre : numpy.ndarray of shape (dim,), or None
            What moments of these are relative to, for a locally linear read.

        Returns
        -------
        read, moments : tuple of numpy.ndarray
            See `arrays_of`; for a locally linear read the former is as constant where shared.
        """
        where = _tensor(places)
        deviations = _tensor(np.broadcast_to(sds, places.shape))
        if how.order != "linear" or shared == 0:
            return arrays_of(self.memory.recalled(where, deviations, how), how.support), None
        assert centre is not None
        alone = len(places) - shared
        constant = dataclasses.replace(how, order="constant", ridge=ReadOptions().ridge)
        reads = [self.memory.recalled(where[alone:], deviations[alone:], constant)]
        if alone:
            first = self.memory.recalled(where[:alone], deviations[:alone], how)
            reads = [dataclasses.replace(first, order="constant"), *reads]
        parts = [arrays_of(read, how.support) for read in reads]
        store = self.memory.store
        times = store.times[: store.used] if how.by_time else None
        bare = dataclasses.replace(how, support=False)
        given = store.observations(), bare, store.nearby, _tensor(centre), times
        found = moments(where[alone:], deviations[alone:], *given)
        joint = tuple(np.concatenate(each) for each in zip(*parts, strict=True))
        return joint, arrays_of(found, False)

    @reading
    def nearest(
        self, places: np.ndarray, number: int, how: ReadOptions
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest observations that count by their times.

        Returns
        -------
        squares : numpy.ndarray of shape (n, k)
            Of their distances in metres; infinite where there are not as many.
        ids : numpy.ndarray of int64, of shape (n, k)
        """
        slots, store = self._timely(how), self.memory.store
        there = store.locations[torch.from_numpy(slots)].double().numpy()
        squares = np.full((len(places), number), np.inf)
        ids = np.full((len(places), number), -1)
        wanted = min(number, len(slots))
        if wanted == 0:
            return squares, ids
        tree = scipy.spatial.cKDTree(there)
        for start in range(0, len(places), _NEIGHBOURS):
            part = slice(start, start + _NEIGHBOURS)
            which = tree.query(places[part], k=wanted)[1].reshape(-1, wanted)
            # Formed as the kernel forms them, so that what is at the very threshold counts.
            apart = np.square(there[which] - places[part, None]).sum(axis=-1)
            squares[part, :wanted], ids[part, :wanted] = apart, store.ids[slots[which]]
        return squares, ids

    @reading
    def contents(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places and senses of what has some ids."""
        own = self._copied(self.memory.store.slots_of(ids))
        return own.locations, own.senses

    @reading
    def neighbours(self, place: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """Ids of what is within a distance of a place, and when it was written."""
        store = self.memory.store
        reach = float(np.sqrt(limit_squared(radius, self.common.dtype)))
        slots = store.neighbours(place, reach)
        return store.ids[slots], store.written_at[slots]

    # --- searching -------------------------------------------------------------------------------

    def _query(
        self, key: np.ndarray, place: np.ndarray | None, sd: np.ndarray | None, how: DrawOptions
    ) -> Query:
        where, deviations = (None if each is None else _tensor(each) for each in (place, sd))
        return query_of(self.common, _tensor(key), where, deviations, how)

    @reading
    def log_total(
        self, key: np.ndarray, place: np.ndarray | None, sd: np.ndarray | None, how: DrawOptions
    ) -> float:
        """Logarithm of the sum of the weights of what is here."""
        query = self._query(key, place, sd, how)
        return log_total_weight(self.common, self.memory.store, query)

    def draw(
        self,
        key: np.ndarray,
        place: np.ndarray | None,
        sd: np.ndarray | None,
        how: DrawOptions,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw places, ids, and logarithms of their shares of the weight of what is here."""
        found = self.memory.draw(place, sd, key, how=how, seed=seed)
        return found.places.numpy(), found.ids.numpy(), found.log_probabilities.numpy()

    @reading
    def perturbed(
        self,
        key: np.ndarray,
        place: np.ndarray | None,
        sd: np.ndarray | None,
        how: DrawOptions,
        seed: int,
    ) -> tuple[np.ndarray, ...]:
        """Draw without replacement: the greatest perturbed logarithms of weights.

        Returns
        -------
        perturbed, log_weights : numpy.ndarray of shape (n,)
            At most as many as are to be drawn.
        places, sds : numpy.ndarray of shape (n, dim)
        ids : numpy.ndarray of int64, of shape (n,)
        """
        store, generator = self.memory.store, np.random.default_rng(seed)
        weights = exact_log_weights(store, self._query(key, place, sd, how))
        perturbed = weights + generator.gumbel(size=len(weights))
        possible = np.flatnonzero(np.isfinite(weights))
        best = possible[np.argsort(-perturbed[possible])[: how.num_samples]]
        own = self._copied(best)
        return perturbed[best], weights[best], own.locations, own.location_sds, own.ids

    @reading
    def best(
        self, key: np.ndarray, number: int, separation: float, struck: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Find the best distinct places that are not near some others.

        Parameters
        ----------
        key : numpy.ndarray of shape (embed_dim,)
        number : int
        separation : float
            In metres.
        struck : numpy.ndarray of float64, of shape (n_others, dim)

        Returns
        -------
        scores : numpy.ndarray of shape (n,)
        places, sds : numpy.ndarray of shape (n, dim)
        ids : numpy.ndarray of int64, of shape (n,)
        """
        store = self.memory.store
        scores = ready_scores(self.common, store, key)
        if scores is None:
            scores = exact_log_weights(store, Query(key, 1.0))
        for place in struck:
            scores[store.neighbours(place, separation)] = -np.inf
        known = scores.copy()
        slots = best_distinct_slots(store, key, number, separation, scores)
        own = self._copied(slots)
        return known[slots], own.locations, own.location_sds, own.ids


def rows_of(held: Held, rows: np.ndarray) -> Held:
    """Take some observations, with all witnesses; deviations that are all alike stay one row.

    Parameters
    ----------
    held : Held
    rows : numpy.ndarray of int

    Returns
    -------
    Held
    """
    return Held(
        held.locations[rows],
        held.location_sds if len(held.location_sds) == 1 else held.location_sds[rows],
        held.senses[rows],
        held.ids[rows],
        held.written_at[rows],
        None if held.times is None else held.times[rows],
        held.witnesses,
    )


def arrays_of(read: Read, support: bool) -> tuple[np.ndarray, ...]:
    """Take a read apart: mean, known and log weight, and support if it is asked for."""
    names = ["mean", "known", "log_weight"]
    if support:
        names += ["effective_sample_size", "spread", "nearest_distance"]
    return tuple(getattr(read, name).numpy() for name in names)


def _from_box(places: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    gaps = np.maximum(np.maximum(low - places, places - high), 0.0)
    return np.asarray(np.sqrt(np.square(gaps).sum(axis=-1)))


def _as_arrays(witnesses: Witnesses) -> tuple[np.ndarray, ...]:
    own = witnesses.observations
    arrays = (own.locations, own.location_sds, own.senses)
    return (*(each.numpy() for each in arrays), witnesses.limits)


def _as_witnesses(arrays: tuple[np.ndarray, ...]) -> tuple[Observations, np.ndarray]:
    return Observations(*(_tensor(each) for each in arrays[:3])), np.array(arrays[3])


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Make a tensor of what came over the wire, which may be read-only."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
