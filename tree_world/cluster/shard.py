"""One shard: a memory that is a part of a larger one, on a worker, and answers in sums.

What comes and goes are arrays of NumPy, which Dask sends as they are. Names, ages and times are
those of the whole, which gives them.
"""

from __future__ import annotations

import dataclasses
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import scipy.spatial
import torch

from tree_world.cluster.held import (
    Answer,
    Held,
    arrays_of_witnesses,
    as_tensor,
    as_witnesses,
    copied,
    rows_of,
)
from tree_world.cluster.regions import along_curve
from tree_world.cluster.searched import Searched
from tree_world.cluster.summaries import Boxes, Summary, squares_from_boxes
from tree_world.models.memory.changes import changing, reading
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.forgetting import Halo, prune_beside
from tree_world.models.memory.kernel.affinity import limit_squared
from tree_world.models.memory.memory import Memory
from tree_world.models.memory.options import Prune
from tree_world.models.memory.recall.moments import Moments, moments
from tree_world.models.memory.saving import load, write_state
from tree_world.models.memory.types import Merging, Observations, ReadOptions, Witnesses

_NEIGHBOURS = 1024  # places whose nearest observations are looked for at a time


class Shard(Searched):
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
        super().__init__(Memory(*dims, max_memory_size=capacity, **choices))
        self.boxes = Boxes(dims[0])
        self.last: tuple[int, tuple[bool, Any]] = -1, (True, None)

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
        store, boxes = self.memory.store, self.boxes
        written_at = store.written_at[: store.used]
        written_at = written_at[written_at >= 0]
        if len(written_at) == 0:
            return Summary.of_nothing(store.locations.shape[1], len(store.witnesses))
        return Summary(
            len(written_at),
            boxes.low.copy(),  # as in a process of this machine it would change under its reader
            boxes.high.copy(),
            boxes.numbers.copy(),
            boxes.least_sds.copy(),
            boxes.greatest_sds.copy(),
            int(written_at.min()),
            len(store.witnesses),
        )

    def _noted(self, changes: int, slots: np.ndarray | None = None) -> Summary:
        """Keep the boxes up: so many came or went, and some have come to these slots."""
        store = self.memory.store
        if self.boxes.change(changes):
            everyone = np.flatnonzero(store.written_at[: store.used] >= 0)
            self.boxes.anew(*self._in_double(everyone))
        elif slots is not None and len(slots):
            self.boxes.grow(*self._in_double(slots))
        return self._summary()

    def _in_double(self, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        store, where = self.memory.store, torch.from_numpy(slots)
        own = store.locations[where], store.location_sds[where]
        places, sds = (each.double().numpy() for each in own)
        return places, sds

    @reading
    def held(self, low: int, high: int) -> Held:
        """Copy what is in a stretch of the curve, with witnesses that are there."""
        slots, gone = self._in_region(low, high)
        witnesses = self.memory.store.witnesses.take(gone)
        return copied(self.memory.store, slots, arrays_of_witnesses(witnesses))

    @reading
    def halo(self, low: np.ndarray, high: np.ndarray, distance: float) -> Held:
        """Copy what is near some boxes: observations twice as far as witnesses."""
        store = self.memory.store
        # Rather a little more than a little less: who counts for whom is decided later.
        most = np.square(np.array([1.0, 2.0]) * distance) * (1 + 1e-5)
        slots = np.sort(store.index.near_box(low.min(axis=0), high.max(axis=0), 2.1 * distance))
        places = store.locations[torch.from_numpy(slots)].double().numpy()
        slots = slots[squares_from_boxes(places, low, high) <= most[1]]
        gone = store.witnesses.observations.locations.double().numpy()
        rows = np.flatnonzero(squares_from_boxes(gone, low, high) <= most[0])
        return copied(self.memory.store, slots, arrays_of_witnesses(store.witnesses.take(rows)))

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
        own = copied(self.memory.store, slots[rows.astype(np.int64)])
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
        own = Observations(as_tensor(held.locations), as_tensor(sds), as_tensor(held.senses))
        store.fill(own, held.ids, held.written_at, times)
        if number:
            store.next_id = max(store.next_id, int(held.ids.max()) + 1)
            store.clock = max(store.clock, int(held.written_at.max()) + 1)
        if held.witnesses is not None and len(held.witnesses[-1]):
            more, limits = as_witnesses(held.witnesses)
            before = store.witnesses
            everyone = before.observations.followed_by(more)
            store.witnesses = Witnesses(everyone, np.concatenate([before.limits, limits]))
        return self._noted(number, store.slots_of(held.ids))

    @reading
    def agreeing(
        self, place: np.ndarray, sd: np.ndarray, sense: np.ndarray, how: Merging
    ) -> float | None:
        """How far away the nearest is with which an observation would be merged.

        Parameters
        ----------
        place, sd : numpy.ndarray of shape (dim,)
        sense : numpy.ndarray of shape (embed_dim,)
        how : Merging

        Returns
        -------
        float or None
            The square of a number of combined deviations; None if there is none.
        """
        here, own, sensed = (each.astype(np.float64) for each in (place, sd, sense))
        found = self.memory.store.agreeing(here, own, sensed, how)
        return None if found is None else found[1]

    @changing
    def merge(
        self, held: Held, how: Merging, low: int, high: int
    ) -> tuple[np.ndarray, np.ndarray, Held, Summary]:
        """Take in observations, or merge each with what is like it.

        Parameters
        ----------
        held : Held
        how : Merging
        low, high : int
            The region of this shard.

        Returns
        -------
        ids : numpy.ndarray of int64
        codes : numpy.ndarray of int64
            Where these are now, on the curve.
        elsewhere : Held
            What was drawn out of this region on the way, and is no longer here.
        summary : Summary
        """
        store = self.memory.store
        found = []
        sds = np.broadcast_to(held.location_sds, held.locations.shape)
        arrays = [as_tensor(each) for each in (held.locations, sds, held.senses)]
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
        slots = store.slots_of(np.array(found, dtype=np.int64))
        codes = along_curve(store.locations[torch.from_numpy(slots)].numpy(), store.cell_size)
        away = np.setdiff1d(store.slots_by_age(), self._in_region(low, high)[0])
        elsewhere = copied(self.memory.store, away)
        if len(away):
            store.delete(store.ids[away])
        names = np.setdiff1d(found, elsewhere.ids)
        summary = self._noted(len(found) + len(away), store.slots_of(names))
        return np.array(found, dtype=np.int64), codes, elsewhere, summary

    @changing
    def drop(self, ids: np.ndarray) -> Summary:
        """Let go of what has some ids, as far as it is here."""
        store = self.memory.store
        own = np.unique(ids[np.isin(ids, self._ids())])
        store.delete(own)
        return self._noted(len(own))

    @changing
    def drop_until(self, written_at: int) -> Summary:
        """Let go of what was written no later than a time by the clock of the whole."""
        store = self.memory.store
        times = store.written_at[: store.used]
        slots = np.flatnonzero((times >= 0) & (times <= written_at))
        store.discard(slots)
        return self._noted(len(slots))

    @changing
    def drop_region(self, low: int, high: int) -> Summary:
        """Let go of what is in a stretch of the curve, and of witnesses that are there."""
        store = self.memory.store
        slots, gone = self._in_region(low, high)
        store.discard(slots)
        still = np.setdiff1d(np.arange(len(store.witnesses)), gone)
        store.witnesses = store.witnesses.take(still)
        return self._noted(len(slots))

    @changing
    def keep_witnesses(self, number: int) -> Summary:
        """Let go of all witnesses but the latest."""
        store = self.memory.store
        first = max(0, len(store.witnesses) - number)
        store.witnesses = store.witnesses.take(np.arange(first, len(store.witnesses)))
        return self._summary()

    def prune(self, how: Prune, halo: Held) -> tuple[PruneReport, np.ndarray, Summary]:
        """Prune what is here, beside what is around it.

        Parameters
        ----------
        how : Prune
        halo : Held

        Returns
        -------
        report : PruneReport
        gone : numpy.ndarray of int64
            Ids of what went.
        summary : Summary
        """
        before = self._ids()
        senses = as_tensor(halo.senses).to(self.common.dtype)
        observations = Observations(as_tensor(halo.locations), as_tensor(halo.location_sds), senses)
        assert halo.witnesses is not None
        around = Witnesses(*as_witnesses(halo.witnesses))
        report = prune_beside(self.memory, how, Halo(observations, around))
        gone = np.setdiff1d(before, self._ids())
        return report, gone, self._noted(len(gone))

    # --- files -----------------------------------------------------------------------------------

    @reading
    def save(self, path: str) -> int:
        """Write everything to a file; say how many bytes it has."""
        write_state(self.common, Path(path), with_senses=True)
        return Path(path).stat().st_size

    @changing
    def restore(
        self,
        paths: list[str],
        low: int,
        high: int,
        without: np.ndarray,
        evicted: int,
        only: np.ndarray | None = None,
    ) -> Summary:
        """Take in what files hold of a stretch of the curve.

        Parameters
        ----------
        paths : list of str
        low, high : int
            The stretch.
        without : numpy.ndarray of int64
            Ids of what is not taken in.
        evicted : int
            Neither is what was written no later than this.
        only : numpy.ndarray of int64, optional
            Ids, of which it takes in those that are not here, and no witnesses.

        Returns
        -------
        Summary
        """
        for path in paths:
            other = Shard.__new__(Shard)
            other.memory = Memory.of(load(Path(path), torch.device("cpu")), 0)
            own = other.held(low, high)
            counts = ~np.isin(own.ids, without) & (own.written_at > evicted)
            if only is not None:
                counts &= np.isin(own.ids, only) & ~np.isin(own.ids, self._ids())
                own = own._replace(witnesses=None)
            own = rows_of(own, np.flatnonzero(counts))
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
    ) -> Answer:
        """Read some places.

        Parameters
        ----------
        places, sds : numpy.ndarray of shape (n, dim)
            One row of deviations may stand for all.
        how : ReadOptions
        shared : int
            How many of them, at the end, other shards are asked for as well: of these a locally
            linear read gives moments, and what else is asked for as a locally constant one.

        Returns
        -------
        Answer
        """
        where = as_tensor(places)
        deviations = as_tensor(np.broadcast_to(sds, places.shape))
        if how.order != "linear" or shared == 0 or not how.mean:
            return Answer.of(self.memory.recalled(where, deviations, how), how)
        alone = len(places) - shared
        store = self.memory.store
        times = store.times[: store.used] if how.by_time else None
        given = store.observations(), how, store.nearby, times
        found = moments(where[alone:], deviations[alone:], *given)
        # As they are centred, they may be as precise as senses are.
        kind = torch.empty(0, dtype=self.common.dtype).numpy().dtype
        found = Moments(found.log_weight, *(each.astype(kind) for each in found[1:]))
        if how.support:
            constant = dataclasses.replace(how, order="constant", ridge=ReadOptions().ridge)
            read = self.memory.recalled(where[alone:], deviations[alone:], constant)
            answers = [Answer.of(read, how)]
            own = found.take(answers[0].rows)
        else:
            known = np.flatnonzero(np.isfinite(found.log_weight))
            own = found.take(known)
            answers = [Answer(known, (own.mean, own.log_weight), None)]
        rows = answers[0].rows + alone
        if alone:
            first = self.memory.recalled(where[:alone], deviations[:alone], how)
            answers.insert(0, Answer.of(first, how))
            rows = np.concatenate([answers[0].rows, rows])
        arrays = zip(*(answer.arrays for answer in answers), strict=True)
        rest = own._replace(mean=own.mean[:, :0])  # which is in the arrays
        return Answer(rows, tuple(map(np.concatenate, arrays)), rest)

    @reading
    def nearest(
        self, places: np.ndarray, number: int, how: ReadOptions
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest observations that count by their times.

        Parameters
        ----------
        places : numpy.ndarray of shape (n, dim)
        number : int
            How many for each place.
        how : ReadOptions

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
        own = copied(self.memory.store, self.memory.store.slots_of(ids))
        return own.locations, own.senses

    @reading
    def neighbours(self, place: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """Ids of what is within a distance of a place, and when it was written."""
        store = self.memory.store
        reach = float(np.sqrt(limit_squared(radius, self.common.dtype)))
        slots = store.neighbours(place, reach)
        return store.ids[slots], store.written_at[slots]
