"""A batch of memories that can be read and searched."""

from __future__ import annotations

from typing import Any, cast

import torch

from tree_world.checks import PointsLike, SeedLike
from tree_world.models.memory.changes import reading
from tree_world.models.memory.common import TENSORS
from tree_world.models.memory.drawing import drawn
from tree_world.models.memory.forget.leave_one_out import LeaveOneOut
from tree_world.models.memory.given import checked_places, checked_search, numpy_generator
from tree_world.models.memory.kernel.affinity import log_affinity
from tree_world.models.memory.memory import Memory
from tree_world.models.memory.options import DrawOptions
from tree_world.models.memory.search.places import FoundPlaces
from tree_world.models.memory.search.samples import Samples
from tree_world.models.memory.stored_batch import StoredBatch
from tree_world.models.memory.tuning import Tuning
from tree_world.models.memory.types import (
    MEMORY_LIMIT,
    NO_MEAN,
    RIDGE,
    TAIL,
    Observations,
    Read,
    ReadOptions,
)


class ReadableBatch(StoredBatch):
    """A batch of memories, with what reads and searches them."""

    # --- reading ---------------------------------------------------------------------------------

    def read(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
        *,
        order: str = "constant",
        method: str = "auto",
        memory_limit: int = MEMORY_LIMIT,
        tail: float = TAIL,
        ridge: float = RIDGE,
        not_since: float | None = None,
        not_before: float | None = None,
        how: ReadOptions | None = None,
        detach_locations: bool | None = None,
        detach_senses: bool | None = None,
    ) -> torch.Tensor:
        """Read what would be sensed at some places.

        Parameters
        ----------
        locations : array_like of shape (location_dim,), (Q, location_dim) or (batch, Q, ...)
            Where, in metres.
        location_sds : float or array_like, broadcast to the shape of `locations`
            How sure the places are, in metres; positive and finite.
        match_threshold : float, optional
            Observations farther away than this, in metres, do not count. All count by default.
        order, method, memory_limit, tail, ridge
            How to read: see `ReadOptions`.
        not_since : float, optional
            Observations with this time or a later one are left out, as if they were not in the
            memory: so that nothing confirms itself. In the unit of the `times` of `write`; none are
            left out by default. Where the index finds what is near, only that is looked at; else
            times are, all of them, and deviations are copied, but never senses, unless gradients
            are asked for: then all that is older is copied.
        not_before : float, optional
            Observations with an earlier time than this are left out, in the same way: with both,
            what counts is from this time on, and before that one.
        how : ReadOptions, optional
            Any of these options together. It may not say otherwise than those given by themselves.
        detach_locations, detach_senses : bool, optional
            Whether gradients stay away from places, and from senses. By default they do unless
            `requires_grad_` was called.

        Returns
        -------
        torch.Tensor of shape (..., sensory_dim)
            As many leading axes as `locations` has, and one more for the batch if only the memory
            has it. Zeros where nothing matches: `read_with_support` tells that from a smell of
            nothing.

        Raises
        ------
        ValueError
            If shapes do not fit, an entry is not finite, an option is out of its range or at odds
            with `how`.

        Examples
        --------
        >>> import torch
        >>> from tree_world.models.memory import SpatialMemory
        >>> memory = SpatialMemory(location_dim=2, sensory_dim=3)
        >>> ids = memory.write(torch.zeros(2, 2), 5.0, torch.eye(3)[:2], times=[10.0, 20.0])
        >>> memory.read([0.0, 0.0], 5.0, not_since=20.0)
        tensor([1., 0., 0.])
        """
        given = match_threshold, order, method, memory_limit, tail, ridge, False
        alone = ReadOptions(*given, not_since, not_before)
        how = alone if how is None else alone.together_with(how)
        if not how.mean:
            raise ValueError(NO_MEAN)
        return self._read(locations, location_sds, how, detach_locations, detach_senses).mean

    def recall(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
        *,
        order: str = "constant",
        method: str = "auto",
        memory_limit: int = MEMORY_LIMIT,
        tail: float = TAIL,
        ridge: float = RIDGE,
        not_since: float | None = None,
        not_before: float | None = None,
        how: ReadOptions | None = None,
        detach_locations: bool | None = None,
        detach_senses: bool | None = None,
    ) -> Read:
        """Read, and say how well it is supported.

        Parameters
        ----------
        locations, location_sds, match_threshold, order, method, memory_limit, tail, ridge
            As for `read`.
        not_since, not_before, how, detach_locations, detach_senses
            As for `read`. With ``how=ReadOptions(mean=False)`` no sense is looked at, which is
            quicker where only what is known of places is asked: `mean` is empty then.

        Returns
        -------
        Read
            The mean, whether anything matches, the effective number of observations, their spread,
            the distance to the nearest, and the weight of all. By kriging: the mean, its slope and
            its variance.

        Examples
        --------
        >>> from tree_world.models.memory import ReadOptions, SpatialMemory
        >>> memory = SpatialMemory(location_dim=2, sensory_dim=3)
        >>> ids = memory.write([[0.0, 0.0]], 5.0, [[1.0, 0.0, 0.0]])
        >>> been = memory.recall([[3.0, 4.0], [300.0, 0.0]], 5.0, 70.0, how=ReadOptions(mean=False))
        >>> been.known, been.nearest_distance
        (tensor([ True, False]), tensor([5., inf]))

        A smooth field through what was sensed, and how far it may be off:

        >>> ids = memory.write([[20.0, 0.0]], 5.0, [[0.0, 1.0, 0.0]])
        >>> smooth = ReadOptions(order="kriging", length=20.0, amplitude=1.0)
        >>> found = memory.recall([[10.0, 0.0], [300.0, 0.0]], 0.0, how=smooth)
        >>> found.mean[0], found.variance
        (tensor([0.5492, 0.5492, 0.0000]), tensor([0.0307, 1.0000]))
        >>> found.slope[0, :, 0]  # per metre of the first axis
        tensor([-0.0560,  0.0560,  0.0000])
        """
        given = match_threshold, order, method, memory_limit, tail, ridge, True
        alone = ReadOptions(*given, not_since, not_before)
        how = alone if how is None else alone.together_with(how)
        return self._read(locations, location_sds, how, detach_locations, detach_senses)

    read_with_support = recall

    @reading
    def _read(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        how: ReadOptions,
        detach_locations: bool | None,
        detach_senses: bool | None,
    ) -> Read:
        common = self.common
        places, sds = checked_places(common, locations, location_sds, how.order)
        as_usual = detach_locations is None and detach_senses is None
        if len(common.rows) == 1 and places.ndim < 3:
            leaves = None if as_usual else self._leaves(0, detach_locations, detach_senses)
            memory = Memory.of(common, 0)
            if places.ndim == 2:
                return memory.recalled(places, sds, how, leaves)
            found = memory.recalled(places[None], sds[None], how, leaves)
            return found.mapped(lambda own: own.squeeze(0))
        missing = (None,) * (3 - places.ndim)
        queries, deviations = places[missing], sds[missing]
        self._check_batch(len(queries), writing=False)
        parts = []
        for index in range(max(len(queries), self.batch_size)):
            own, which = index % self.batch_size, index % len(queries)
            leaves = None if as_usual else self._leaves(own, detach_locations, detach_senses)
            parts.append(self[own].recalled(queries[which], deviations[which], how, leaves))
        whole = Read.stacked(parts)
        return whole.mapped(lambda own: own.squeeze(1)) if places.ndim == 1 else whole

    def _leaves(
        self, index: int, detach_locations: bool | None, detach_senses: bool | None
    ) -> Observations:
        """Tensors to which gradients flow, where a call asks for other than is usual."""
        common, store = self.common, self.common.rows[index]
        if common.requires_grad:
            own = dict(zip(TENSORS, store.parameters(True), strict=True))
        else:
            stored = store.observations()
            own = {name: getattr(stored, name) for name in TENSORS}
            for name, tensor in common.assigned.items():
                own[name] = tensor if tensor.ndim == 2 else tensor[index]
        detached = {
            name: not common.requires_grad if asked is None else asked
            for name, asked in zip(
                TENSORS, (detach_locations, detach_locations, detach_senses), strict=True
            )
        }
        return Observations(
            *(own[name].detach() if detached[name] else own[name] for name in TENSORS)
        )

    @reading
    def get_location_affinity(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
    ) -> torch.Tensor:
        """Log-affinity of places to all observations in store.

        Parameters
        ----------
        locations, location_sds, match_threshold
            As for `read`.

        Returns
        -------
        torch.Tensor of shape (batch, Q, slots)
            In natural logarithms, in the order of `memory_locations`.
        """
        places, sds = checked_places(self.common, locations, location_sds)
        if places.ndim == 1:
            places, sds = places[None], sds[None]
        threshold = ReadOptions(match_threshold).match_threshold  # which checks it
        self._check_batch(len(places) if places.ndim == 3 else 1, writing=False)
        return log_affinity(places, sds, self.memory_locations, self.memory_location_sds, threshold)

    # --- searching -------------------------------------------------------------------------------

    def sample(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        num_samples: int = 1,
        sigma_scale: float = 1.0,
        temperature: float | None = None,
        match_threshold: float | None = None,
        location_temperature: float = 1.0,
        *,
        replacement: bool = True,
        seed: SeedLike = 0,
        method: str = "auto",
    ) -> torch.Tensor:
        r"""Draw places that satisfy a search, near a place if one is given.

        .. math::

            \ell \sim \sum_t w_t \, \mathcal N(\ell_t, (c\,\sigma_t)^2), \qquad
            w_t = \operatorname{softmax}_t \left( \frac{y \cdot z_t}{T}
            + \frac{\log k(\ell_0, \ell_t)}{T_\ell} \right)

        Parameters
        ----------
        location : array_like of shape (location_dim,) or (batch, location_dim), or None
            Where the search is from, in metres; None for anywhere.
        location_sd : float or array_like, broadcast to the shape of `location`, or None
            In metres.
        search_key : array_like of shape (sensory_dim,) or (batch, sensory_dim)
            The direction y of the senses that are looked for, as of
            `tree_world.models.drives.DriveClassifier.search_key`.
        num_samples : int, default=1
        sigma_scale : float, default=1.0
            The factor c; zero gives the places of observations themselves.
        temperature : float, optional
            T: low ones pick the best matches. √sensory_dim by default.
        match_threshold : float, optional
            Observations farther away than this from `location`, in metres, are never drawn.
        location_temperature : float, default=1.0
            :math:`T_\ell`: high ones reach far. Independent of T.
        replacement : bool, default=True
            Whether an observation may be drawn more than once.
        seed : int or torch.Generator, default=0
        method : {"auto", "exact", "cells"}, default="auto"
            Whether to look at all observations, or only at cells of the index. Both have the same
            distribution; "auto" chooses by size.

        Returns
        -------
        torch.Tensor of shape (num_samples, location_dim) or (batch, num_samples, location_dim)

        Raises
        ------
        ValueError
            If no observation matches, or without replacement fewer than `num_samples`; if shapes do
            not fit or a number is out of its range.
        """
        how = DrawOptions(
            num_samples,
            sigma_scale,
            temperature,
            match_threshold,
            location_temperature,
            replacement,
            method,
        )
        return self._sample(location, location_sd, search_key, how, seed, False).places

    def draw(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        num_samples: int = 1,
        sigma_scale: float = 1.0,
        temperature: float | None = None,
        match_threshold: float | None = None,
        location_temperature: float = 1.0,
        *,
        replacement: bool = True,
        seed: SeedLike = 0,
        method: str = "auto",
    ) -> Samples:
        """Draw places, and say from which observations and how likely these were.

        Parameters
        ----------
        location, location_sd, search_key, num_samples, sigma_scale, temperature, match_threshold
            As for `sample`.
        location_temperature, replacement, seed, method
            As for `sample`. With "exact", the same seed gives the same places as there; with
            "cells", places of the same distribution.

        Returns
        -------
        Samples
        """
        how = DrawOptions(
            num_samples,
            sigma_scale,
            temperature,
            match_threshold,
            location_temperature,
            replacement,
            method,
        )
        return self._sample(location, location_sd, search_key, how, seed, True)

    sample_with_origin = draw

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
        given = checked_search(self.common, location, location_sd, search_key, how)
        batched = [tensor for tensor in given if tensor is not None and tensor.ndim == 2]
        batch = max(self.batch_size, *(len(tensor) for tensor in batched), 1)
        self._check_batch(batch, writing=False)
        generator = numpy_generator(seed)
        parts = []
        for index in range(batch):
            key, place, sd = (
                tensor if tensor is None or tensor.ndim == 1 else tensor[index % len(tensor)]
                for tensor in given
            )
            store = self.common.rows[index % self.batch_size]
            parts.append(
                drawn(
                    self.common,
                    store,
                    cast("torch.Tensor", key),
                    place,
                    sd,
                    how,
                    generator,
                    with_origin=with_origin,
                )
            )
        alone = batch == 1 and not batched
        columns = ([getattr(p, n) for p in parts] for n in ("places", "ids", "log_probabilities"))
        return Samples(*(column[0] if alone else torch.stack(column) for column in columns))

    def search(
        self,
        search_key: PointsLike,
        num_places: int = 10,
        location: PointsLike | None = None,
        *,
        separation: float = 50.0,
        match_threshold: float | None = None,
        row: int | None = None,
    ) -> FoundPlaces:
        """Find the remembered places that match a search best, apart from each other.

        Parameters
        ----------
        search_key : array_like of shape (sensory_dim,)
            As for `sample`.
        num_places : int, default=10
            How many at most.
        location : array_like of shape (location_dim,), optional
            From where to measure distances, in metres.
        separation : float, default=50.0
            Least distance between two of the places, in metres.
        match_threshold : float, optional
            Of the reads that tell match and support, in metres; none by default.
        row : int, optional
            Deprecated: use ``memory[row]``, which must be said if there is more than one.

        Returns
        -------
        FoundPlaces
            The best first; fewer than `num_places` where the memory has no more.

        Raises
        ------
        ValueError
            If shapes do not fit, a number is out of its range, or the row is not said.
        IndexError
            If there is no such row.
        """
        return self.one(row).search(
            search_key, num_places, location, separation=separation, match_threshold=match_threshold
        )

    def read_location(
        self,
        sense: PointsLike,
        guess: PointsLike,
        guess_sd: PointsLike | float,
        sense_sd: float = 0.1,
        *,
        row: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Correct a guess of a place by what is sensed there.

        The mean of the remembered places, weighted by how well they agree with the guess and with
        the sense. `tree_world.models.places.Localiser` says more: a posterior, and whether the
        place can be told at all.

        Parameters
        ----------
        sense : array_like of shape (sensory_dim,)
        guess : array_like of shape (location_dim,)
            In metres.
        guess_sd : float or array_like of shape (location_dim,)
            In metres.
        sense_sd : float, default=0.1
            How much senses differ at one place: the deviation of their distance.
        row : int, optional
            Deprecated: use ``memory[row]``, which must be said if there is more than one.

        Returns
        -------
        location, location_sd : torch.Tensor of shape (location_dim,)
            In metres; the guess itself from an empty memory.

        Raises
        ------
        ValueError
            If shapes do not fit, a number is out of its range, or the row is not said.
        IndexError
            If there is no such row.
        """
        return self.one(row).read_location(sense, guess, guess_sd, sense_sd)

    def leave_one_out(
        self, match_threshold: float | None = None, row: int | None = None
    ) -> LeaveOneOut:
        """Read the place of each observation from all others.

        Parameters
        ----------
        match_threshold : float, optional
            Observations farther away than this, in metres, do not count. All count by default.
        row : int, optional
            Deprecated: use ``memory[row]``, which must be said if there is more than one.

        Returns
        -------
        LeaveOneOut
            Values, errors and dependencies, in the order of `memory_locations`. Values and errors
            are those of what is stored: projected, if it is.

        Raises
        ------
        ValueError
            If the threshold is not positive, or the row is not said.
        IndexError
            If there is no such row.
        """
        return self.one(row).leave_one_out(match_threshold)

    def tune(self, deviations: PointsLike | None = None, **choices: Any) -> Tuning:
        """Try how uncertain places should count as, by reading each without its observation.

        Deviations that are in store are not looked at, and nothing is changed: write observations
        anew with the best, and read with it. For one memory; of a batch ask ``memory[b]``.

        Parameters
        ----------
        deviations : array_like of shape (n_deviations,) or (n_deviations, location_dim), optional
            To be tried, in metres, on each axis if there are several.
        choices
            As for `tree_world.models.memory.tuning.tune`: ``order``, ``score``, ``location_sds``,
            ``match_threshold``, ``nugget``, ``most``.

        Returns
        -------
        Tuning
            The curve of errors over deviations, what was read at each place, and the best.

        Raises
        ------
        ValueError
            If a number is out of its range, there are fewer than two observations, or more than one
            memory.

        Examples
        --------
        >>> import torch
        >>> from tree_world.models.memory import SpatialMemory
        >>> memory = SpatialMemory(location_dim=1, sensory_dim=1)
        >>> places = torch.arange(40.0)[:, None]
        >>> ids = memory.write(places, 1.0, torch.sin(places / 5))
        >>> memory.tune([0.5, 1.0, 20.0], order="linear").best()
        array([0.5])
        """
        return self.one(None).tune(deviations, **choices)
