"""One memory, without a batch: (N, dim) in, (N, ...) out, by what the rooms below do."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from tree_world.checks import (
    PointsLike,
    SeedLike,
    as_deviations,
    positive_distance,
    positive_number,
    whole_number,
)
from tree_world.models.memory.changes import changing, reading
from tree_world.models.memory.common import Common, Shared
from tree_world.models.memory.drawing import drawn, ready_scores
from tree_world.models.memory.forget.consolidation import ConsolidationReport
from tree_world.models.memory.forget.leave_one_out import LeaveOneOut, leave_one_out
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.forgetting import Report, forget
from tree_world.models.memory.given import (
    checked_merging,
    checked_moves,
    checked_observations,
    checked_place,
    checked_places,
    checked_search,
    checked_senses,
    checked_times,
    encoded_key,
    numpy_generator,
    refuse_batches,
    whole_numbers,
)
from tree_world.models.memory.kernel.affinity import limit_squared, log_affinity
from tree_world.models.memory.kriged import kriged
from tree_world.models.memory.options import Consolidate, DrawOptions, Forgetting, Prune
from tree_world.models.memory.recall.location import Sensed, location_near, location_of
from tree_world.models.memory.recall.plan import asks_the_index, senses_by_the_index
from tree_world.models.memory.recall.reading import read_outside_autocast
from tree_world.models.memory.search.places import FoundPlaces, best_distinct_slots
from tree_world.models.memory.search.samples import Samples
from tree_world.models.memory.store.slots import Store
from tree_world.models.memory.store.task import Task
from tree_world.models.memory.tuning import Tuning, tune
from tree_world.models.memory.types import (
    NO_MEAN,
    Merging,
    Observations,
    Read,
    ReadOptions,
    Update,
)

DEFAULT_READ = ReadOptions()
DEFAULT_DRAW = DrawOptions()


class Contents(NamedTuple):
    """What a memory holds, the oldest first, as copies.

    Attributes
    ----------
    locations, location_sds : torch.Tensor of shape (n, location_dim)
        In metres.
    senses : torch.Tensor of shape (n, embed_dim), or (n, sensory_dim)
    ids, ages : torch.Tensor of int64, of shape (n,)
        Names of the observations, and how many were written since each.
    times : torch.Tensor of float64, of shape (n,)
        When each was sensed, as `write` was told; else how many were written or merged before.
    """

    locations: torch.Tensor
    location_sds: torch.Tensor
    senses: torch.Tensor
    ids: torch.Tensor
    ages: torch.Tensor
    times: torch.Tensor


class Memory:
    """One memory: what `SpatialMemory` is, without a batch.

    ``memory[b]`` of a `SpatialMemory` is one, and shares all with it: whatever is done to the one
    is done to the other. Threads may share it in the same way.

    Parameters
    ----------
    location_dim, sensory_dim, embed_dim, max_memory_size
        As of `SpatialMemory`.
    choices
        As of `SpatialMemory`.

    Examples
    --------
    >>> import torch
    >>> memory = Memory(location_dim=2, sensory_dim=3)
    >>> ids = memory.write([[0.0, 0.0], [100.0, 0.0]], 5.0, torch.eye(3)[:2])
    >>> memory.read([[50.0, 0.0]], 5.0)
    tensor([[0.5000, 0.5000, 0.0000]])
    """

    location_dim = Shared[int]()
    sensory_dim = Shared[int]()
    embed_dim = Shared[int]()
    max_memory_size = Shared[int]()
    device = Shared[torch.device]()
    dtype = Shared[torch.dtype]()
    storage_dtype = Shared[torch.dtype]()

    def __init__(
        self,
        location_dim: int,
        sensory_dim: int,
        embed_dim: int | None = None,
        max_memory_size: int = 1024,
        **choices: Any,
    ) -> None:
        self.common = Common(location_dim, sensory_dim, embed_dim, max_memory_size, **choices)
        self.index = 0

    @classmethod
    def of(cls, common: Common, index: int) -> Self:
        """Make the face of one store of a batch.

        Parameters
        ----------
        common : Common
        index : int
            From zero.

        Returns
        -------
        Memory
        """
        memory = cls.__new__(cls)
        memory.common, memory.index = common, index
        return memory

    @property
    def store(self) -> Store:
        """Where its observations are."""
        rows = self.common.rows
        # The batch may have become smaller since.
        return rows[self.index if self.index < len(rows) else self.common.index_of(self.index)]

    @reading
    def __len__(self) -> int:
        return len(self.store)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{self.common!r}>"

    # --- what is stored --------------------------------------------------------------------------

    @reading
    def observations(self, *, as_sensed: bool = False) -> Contents:
        """Copy what is in store, the oldest first.

        Parameters
        ----------
        as_sensed : bool, default=False
            Whether senses are given as they were sensed, if they are kept projected.

        Returns
        -------
        Contents
        """
        store = self.store
        slots = store.slots_by_age()
        own = self._taken(slots, as_sensed)
        ages = store.clock - 1 - store.written_at[slots]
        names = map(torch.from_numpy, (store.ids[slots], ages, store.times[slots]))
        return Contents(own.locations, own.location_sds, own.senses, *names)

    def _taken(self, slots: np.ndarray, as_sensed: bool = True) -> Observations:
        """Copy what is in some slots; the lock is held."""
        own = self.store.observations().take(torch.from_numpy(slots).to(self.device))
        senses, projection = own.senses.detach().to(self.dtype), self.common.projection
        if as_sensed and projection is not None:
            senses = projection.decode(senses)
        return Observations(own.locations.detach(), own.location_sds.detach(), senses)

    @reading
    def neighbours(self, location: PointsLike, radius: float) -> torch.Tensor:
        """Name the observations near a place.

        Parameters
        ----------
        location : array_like of shape (location_dim,)
            In metres.
        radius : float
            In metres. What lies at this very distance counts, as it does in reads.

        Returns
        -------
        torch.Tensor of int64, of shape (n,)
            Their ids, the oldest first.
        """
        place = checked_place(self.common, location, "location")
        radius = positive_distance("radius", radius)
        store, centre = self.store, place.detach().cpu().double().numpy()
        # As far as reads go, which round distances to the precision of places.
        reach = math.sqrt(limit_squared(radius, self.dtype))
        # Parameters may have moved since they were indexed.
        slots = store.neighbours(centre, reach, by_index=not self.common.requires_grad)
        return torch.from_numpy(store.ids[slots[np.argsort(store.written_at[slots])]])

    # --- changing --------------------------------------------------------------------------------

    @changing
    def write(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        senses: Any,
        update: Update = False,
        *,
        times: PointsLike | float | None = None,
        merge_distance: float | None = None,
        merge_sense_distance: float | None = None,
    ) -> torch.Tensor:
        """See `SpatialMemory.write`: here of shapes (N, dim) and (N,)."""
        common = self.common
        common.settle()
        merging = checked_merging(common, update, merge_distance, merge_sense_distance)
        places, sds, values = checked_observations(common, locations, location_sds, senses)
        refuse_batches("locations", places)
        when = checked_times(times, places)
        embeddings = common.encoded(values)
        self.store.reserve(len(places))
        ids = self.written(places, sds, embeddings, merging, when)
        common.follow()
        return torch.from_numpy(ids)

    def written(
        self,
        places: torch.Tensor,
        sds: torch.Tensor,
        embeddings: torch.Tensor,
        merging: Merging | None = None,
        times: np.ndarray | None = None,
    ) -> np.ndarray:
        """Write what has been checked and encoded; part of a change.

        Parameters
        ----------
        places, sds : torch.Tensor of shape (N, location_dim)
        embeddings : torch.Tensor of shape (N, embed_dim)
        merging : Merging, optional
            What is merged with what; nothing is by default.
        times : numpy.ndarray of float64, of shape (N,), optional
            The clock of the store by default.

        Returns
        -------
        numpy.ndarray of int64, of shape (N,)
        """
        store = self.store
        if merging is None:
            return store.append(places, sds, embeddings, times)
        ids = []
        for i, (place, sd, sense) in enumerate(zip(places, sds, embeddings, strict=True)):
            time = None if times is None else times[i : i + 1]
            when = None if time is None else float(time[0])
            merged = store.merge(place, sd, sense, merging, when)
            if merged is None:
                merged = int(store.append(place[None], sd[None], sense[None], time)[0])
            ids.append(merged)
        return np.array(ids, dtype=np.int64)

    @changing
    def delete(self, ids: torch.Tensor | list[int]) -> None:
        """See `SpatialMemory.delete`."""
        self.common.settle()
        self.store.delete(np.unique(whole_numbers("ids", ids)))
        self.common.follow()

    @changing
    def move(
        self,
        ids: torch.Tensor | list[int],
        locations: PointsLike,
        location_sds: PointsLike | float | None = None,
        *,
        location_covariances: PointsLike | None = None,
    ) -> None:
        """See `SpatialMemory.move`."""
        self.common.settle()
        given = locations, location_sds, location_covariances
        self.store.place(*checked_moves(self.common, ids, *given))
        self.common.follow()

    # --- reading ---------------------------------------------------------------------------------

    def read(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
        *,
        not_since: float | None = None,
        not_before: float | None = None,
        how: ReadOptions = DEFAULT_READ,
    ) -> torch.Tensor:
        """Read what would be sensed at some places.

        Parameters
        ----------
        locations : array_like of shape (location_dim,) or (Q, location_dim)
            In metres.
        location_sds : float or array_like, broadcast to the shape of `locations`
        match_threshold : float, optional
            Observations farther away than this, in metres, do not count. All count by default.
        not_since, not_before : float, optional
            Observations with this time or a later one, and with an earlier one, are left out: see
            `SpatialMemory.read`.
        how : ReadOptions, optional
            The rest of the choices, or all. It may not say otherwise than they do.

        Returns
        -------
        torch.Tensor of shape (sensory_dim,) or (Q, sensory_dim)
        """
        alone = ReadOptions(match_threshold, not_since=not_since, not_before=not_before)
        how = alone.together_with(how)
        if not how.mean:
            raise ValueError(NO_MEAN)
        return self._recall(locations, location_sds, how).mean

    def recall(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
        *,
        not_since: float | None = None,
        not_before: float | None = None,
        how: ReadOptions = DEFAULT_READ,
    ) -> Read:
        """Read, and say how well it is supported.

        Parameters
        ----------
        locations, location_sds, match_threshold, not_since, not_before, how
            As for `read`.

        Returns
        -------
        Read
        """
        alone = ReadOptions(
            match_threshold, support=True, not_since=not_since, not_before=not_before
        )
        return self._recall(locations, location_sds, alone.together_with(how))

    @reading
    def _recall(
        self, locations: PointsLike, location_sds: PointsLike | float, how: ReadOptions
    ) -> Read:
        places, sds = checked_places(self.common, locations, location_sds, how.order)
        refuse_batches("locations", places)
        if places.ndim == 2:
            return self.recalled(places, sds, how)
        found = self.recalled(places[None], sds[None], how)
        return found.mapped(lambda whole: whole.squeeze(0))

    def recalled(
        self,
        places: torch.Tensor,
        sds: torch.Tensor,
        how: ReadOptions,
        observations: Observations | None = None,
    ) -> Read:
        """Read at places that have been checked; the lock is held.

        Parameters
        ----------
        places, sds : torch.Tensor of shape (Q, location_dim)
        how : ReadOptions
        observations : Observations, optional
            Tensors to which gradients flow, if not those of the store.

        Returns
        -------
        Read
        """
        store, common = self.store, self.common
        if how.order == "kriging":
            return kriged(common, store, places, how, observations)
        exact = observations is not None or common.requires_grad
        if observations is None:
            observations = store.observations()
            if common.requires_grad:
                observations = Observations(*store.parameters(True))
        nearby = None
        if len(places) and len(observations) and not exact:
            greatest_sd = math.hypot(float(sds.max()), store.greatest_sd)
            if asks_the_index(len(places), len(observations), greatest_sd, how):
                nearby = store.nearby
        times = store.times[: store.used] if how.by_time else None
        found = read_outside_autocast(places, sds, observations, how, nearby, times)
        if common.projection is None or not how.mean:
            return found
        mean = common.projection.decode(found.mean) * found.known.unsqueeze(-1)
        return dataclasses.replace(found, mean=mean)

    @reading
    def get_location_affinity(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
    ) -> torch.Tensor:
        """See `SpatialMemory.get_location_affinity`: here of shape (Q, n)."""
        places, sds = checked_places(self.common, locations, location_sds)
        refuse_batches("locations", places)
        threshold = ReadOptions(match_threshold).match_threshold  # which checks it
        own = self.observations()
        return log_affinity(
            places.reshape(-1, self.location_dim),
            sds.reshape(-1, self.location_dim),
            own.locations,
            own.location_sds,
            threshold,
        )

    # --- searching -------------------------------------------------------------------------------

    def sample(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        *,
        how: DrawOptions = DEFAULT_DRAW,
        seed: SeedLike = 0,
    ) -> torch.Tensor:
        """Draw places that satisfy a search, near a place if one is given.

        Parameters
        ----------
        location : array_like of shape (location_dim,), or None
            Where the search is from, in metres; None for anywhere.
        location_sd : float or array_like, broadcast to the shape of `location`, or None
        search_key : array_like of shape (sensory_dim,)
        how : DrawOptions, optional
        seed : int or torch.Generator, default=0

        Returns
        -------
        torch.Tensor of shape (how.num_samples, location_dim)
        """
        return self._sample(location, location_sd, search_key, how, seed, False).places

    def draw(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        *,
        how: DrawOptions = DEFAULT_DRAW,
        seed: SeedLike = 0,
    ) -> Samples:
        """Draw places, and say from which observations and how likely these were.

        Parameters
        ----------
        location, location_sd, search_key, how, seed
            As for `sample`.

        Returns
        -------
        Samples
        """
        return self._sample(location, location_sd, search_key, how, seed, True)

    @reading
    def _sample(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        how: DrawOptions,
        seed: SeedLike,
        with_origin: bool,
    ) -> Samples:
        keys, places, sds = checked_search(self.common, location, location_sd, search_key, how)
        refuse_batches("search_key", keys, 1)
        if places is not None:
            refuse_batches("location", places, 1)
        generator = numpy_generator(seed)
        return drawn(
            self.common, self.store, keys, places, sds, how, generator, with_origin=with_origin
        )

    @reading
    def search(
        self,
        search_key: PointsLike,
        num_places: int = 10,
        location: PointsLike | None = None,
        *,
        separation: float = 50.0,
        match_threshold: float | None = None,
    ) -> FoundPlaces:
        """See `SpatialMemory.search`."""
        num_places = whole_number("num_places", num_places, 1)
        separation = positive_distance("separation", separation)
        key = checked_senses(self.common, search_key, "search_key")
        if key.ndim != 1:
            raise ValueError(
                f"search_key must have shape ({self.sensory_dim},), but one of shape "
                f"{tuple(key.shape)} was given: search for one after the other."
            )
        store = self.store
        encoded = encoded_key(self.common, key).detach().cpu().numpy()
        scores = ready_scores(self.common, store, encoded)
        slots = best_distinct_slots(store, encoded, num_places, separation, scores)
        where = torch.from_numpy(slots).to(self.device)
        places = store.locations[where].detach()
        options = ReadOptions(match_threshold, support=True)
        found = self.recalled(places, store.location_sds[where].detach(), options)
        distance = torch.full((len(slots),), torch.nan, dtype=self.dtype, device=self.device)
        if location is not None:
            from_here = checked_place(self.common, location, "location")
            distance = torch.linalg.vector_norm(places - from_here, dim=-1)
        return FoundPlaces(
            places,
            torch.from_numpy(store.ids[slots]),
            found.mean.detach() @ key,
            distance,
            found.effective_sample_size,
        )

    @reading
    def read_location(
        self,
        sense: PointsLike,
        guess: PointsLike,
        guess_sd: PointsLike | float,
        sense_sd: float = 0.1,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `SpatialMemory.read_location`."""
        value = checked_senses(self.common, sense, "sense").detach()
        if value.numel() != self.sensory_dim:
            raise ValueError(
                f"sense must be one, of shape ({self.sensory_dim},), but one of shape "
                f"{tuple(value.shape)} was given."
            )
        place = checked_place(self.common, guess, "guess")
        sd = as_deviations(guess_sd, place.shape, "guess_sd", self.dtype, self.device)
        sense_sd = positive_number("sense_sd", sense_sd, "distance between senses")
        sensed, store = Sensed(value.reshape(-1), place, sd, sense_sd), self.store
        found = None
        # Parameters may have moved since they were indexed.
        indexed = self.device.type == "cpu" and not self.common.requires_grad
        if indexed and senses_by_the_index(len(store)):
            found = location_near(self._taken, len(store), store.nearby, sensed)
        return found or location_of(self._taken, store.slots_by_age(), sensed)

    # --- forgetting ------------------------------------------------------------------------------

    @reading
    def leave_one_out(self, match_threshold: float | None = None) -> LeaveOneOut:
        """See `SpatialMemory.leave_one_out`."""
        slots = torch.from_numpy(self.store.slots_by_age()).to(self.device)
        threshold = ReadOptions(match_threshold).match_threshold  # which checks it
        return leave_one_out(self.store.observations().take(slots), threshold)

    def tune(self, deviations: PointsLike | None = None, **choices: Any) -> Tuning:
        """See `SpatialMemory.tune`."""
        own = self.observations(as_sensed=True)
        return tune(own.locations, own.senses, deviations=deviations, **choices)

    def forget(self, how: Forgetting, *, background: bool = False) -> Report | Task[Report]:
        """See `SpatialMemory.forget`."""
        return forget(self, how, [self.index], background=background)

    def prune(
        self, max_error_to_prune: float = 0.05, match_threshold: float | None = None, **choices: Any
    ) -> PruneReport:
        """See `Prune` for what can be chosen."""
        report = self.forget(Prune(max_error_to_prune, match_threshold, **choices))
        assert isinstance(report, PruneReport)
        return report

    def consolidate(
        self, target_size: int, match_threshold: float | None = None, **choices: Any
    ) -> ConsolidationReport:
        """See `Consolidate` for what can be chosen."""
        report = self.forget(Consolidate(target_size, match_threshold, **choices))
        assert isinstance(report, ConsolidationReport)
        return report
