"""A memory in shards, over the workers of a Dask cluster."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

import numpy as np
import torch

from tree_world.checks import PointsLike, SeedLike, positive_distance, whole_number
from tree_world.cluster.checkpoints import read_checkpoint
from tree_world.cluster.held import Held, rows_of
from tree_world.cluster.reads import recalled
from tree_world.cluster.searches import best_distinct, drawn
from tree_world.cluster.whole import Whole, as_one_row
from tree_world.cluster.writes import forget_witnesses, halos, merged
from tree_world.models.memory.common import Common
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.given import (
    checked_merging,
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
from tree_world.models.memory.memory import Contents
from tree_world.models.memory.options import DrawOptions, Prune
from tree_world.models.memory.saving import load
from tree_world.models.memory.search.places import FoundPlaces
from tree_world.models.memory.search.samples import Samples
from tree_world.models.memory.types import NO_MEAN, Read, ReadOptions, Update

if TYPE_CHECKING:
    from distributed import Client

P = ParamSpec("P")
R = TypeVar("R")

_DEFAULT_READ = ReadOptions()
_DEFAULT_DRAW = DrawOptions()


def _verb(method: Callable[P, R]) -> Callable[P, R]:
    """Do one thing at a time, and say what was lost meanwhile."""

    @functools.wraps(method)
    def done(*args: P.args, **kwargs: P.kwargs) -> R:
        memory: Any = args[0]
        whole: Whole = memory._whole
        with whole.lock, torch.no_grad():
            if whole.closed:
                raise ValueError(
                    "this memory in shards was closed: load its last checkpoint, or make another."
                )
            try:
                answer = method(*args, **kwargs)
            except Exception as error:
                if (lost := whole.say_what_was_lost()) is not None:
                    raise lost from error
                raise
            if (lost := whole.say_what_was_lost()) is not None:
                lost.answer = answer
                raise lost
            return answer

    return done


class ShardedMemory:
    """One memory that many machines hold together.

    It has the verbs of `Memory`, takes what those take and answers as they do; see there, and
    `SpatialMemory`. Each shard is a `Memory` on a worker of a Dask cluster, and has a region of the
    world, in one piece; those that are full are split. Reads are joined by `Read.joined`, and equal
    those of one memory as its ways of reading equal each other. So are draws in their distribution.

    When a worker dies, its shards are made anew on others, from the last checkpoint in `folder`. If
    anything was written to them since, the call that meets with this raises `WritesLost`, which
    names it, when all else is done. What was pruned since may be there again, and a promise of
    pruning holds again once all is pruned once more. What was deleted by its id, or had to make
    room, does not come back. A worker is held to be dead when the scheduler no longer sees it, or
    when connections to it break again and again, though it may only be cut off.

    Use it in a ``with`` block, or call `close`: that ends the shards, and what is in them.

    Parameters
    ----------
    location_dim, sensory_dim, embed_dim, max_memory_size
        As of `SpatialMemory`. The size is that of all shards together.
    num_shards : int, default=8
    client : distributed.Client or str, optional
        A client of a cluster, or the address of its scheduler. By default a cluster of processes on
        this machine, which ends with this memory.
    folder : path-like, optional
        Where to write checkpoints to; all workers must see it under this name. Without one, what a
        worker holds dies with it.
    storage : path-like, optional
        A folder for senses on disk, which each worker may have for itself. What is there is removed
        in the end: `save`, or `checkpoint`, are what lasts.
    choices
        As of `SpatialMemory`; devices are those of the workers' processors.

    Raises
    ------
    ModuleNotFoundError
        If Dask is not installed.
    OSError
        If the folder is in use.
    ConnectionError
        If there is no worker.

    Examples
    --------
    >>> import torch
    >>> from distributed import Client
    >>> here = Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0")
    >>> with here, ShardedMemory(2, 3, num_shards=2, client=here) as memory:
    ...     ids = memory.write([[0.0, 0.0], [100.0, 0.0]], 5.0, torch.eye(3)[:2])
    ...     memory.read([[50.0, 0.0]], 5.0)
    tensor([[0.5000, 0.5000, 0.0000]])
    """

    def __init__(
        self,
        location_dim: int,
        sensory_dim: int,
        embed_dim: int | None = None,
        max_memory_size: int = 1024,
        *,
        num_shards: int = 8,
        client: Client | str | None = None,
        folder: str | os.PathLike[str] | None = None,
        storage: str | os.PathLike[str] | None = None,
        **choices: Any,
    ) -> None:
        num_shards = whole_number("num_shards", num_shards, 1)
        capacity = whole_number("max_memory_size", max_memory_size, 1)
        common = Common(location_dim, sensory_dim, embed_dim, 1, **choices)
        if common.device.type != "cpu":
            raise ValueError(
                f"shards are on the processors of their workers, but device={common.device} was "
                "given: leave it out."
            )
        self._whole = Whole(
            common, capacity, num_shards, client, _path_of(folder), _path_of(storage)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the shards, with all that they hold, and a cluster that was started for them."""
        self._whole.close()

    def __len__(self) -> int:
        return self._whole.size

    def __repr__(self) -> str:
        whole = self._whole
        common = whole.common
        sizes = ", ".join(map(str, self.sizes))
        return (
            f"<{type(self).__name__}({common.location_dim}, {common.sensory_dim}): {len(self)} of "
            f"at most {whole.capacity} observations in shards of {sizes}>"
        )

    @property
    def num_shards(self) -> int:
        """Among how many shards it is divided."""
        return len(self._whole.summaries)

    @property
    def sizes(self) -> list[int]:
        """How many observations each shard holds."""
        return [summary.size for summary in self._whole.summaries]

    # --- what is stored --------------------------------------------------------------------------

    @_verb
    def observations(self) -> Contents:
        """Copy what is in store, the oldest first, with senses as they are kept.

        Returns
        -------
        Contents
        """
        whole = self._whole
        regions = {shard: whole.regions.of(shard) for shard in whole.regions.shards}
        answers = whole.ask({shard: ("held", *region) for shard, region in regions.items()})
        parts = [[torch.from_numpy(np.array(each)) for each in own[:6]] for own in answers.values()]
        places, sds, senses, ids, written_at, times = (
            torch.cat(arrays) for arrays in zip(*parts, strict=True)
        )
        order = written_at.argsort()
        ages = whole.common.rows[0].clock - 1 - written_at[order]
        own = (places[order], sds[order], senses[order].to(whole.common.dtype), ids[order])
        return Contents(*own, ages, times[order])

    @_verb
    def neighbours(self, location: PointsLike, radius: float) -> torch.Tensor:
        """See `Memory.neighbours`."""
        whole = self._whole
        place = checked_place(whole.common, location, "location").double().numpy()
        radius = positive_distance("radius", radius)
        apart = {s: whole.summaries[s].squares(place[None])[0] for s in whole.those_with_any()}
        near = [s for s, square in apart.items() if square <= radius**2 * (1 + 1e-6)]
        answers = whole.ask(dict.fromkeys(near, ("neighbours", place, radius))).values()
        nobody = np.empty(0, dtype=np.int64)
        ids = np.concatenate([nobody, *(own for own, _ in answers)])
        written_at = np.concatenate([nobody, *(times for _, times in answers)])
        return torch.from_numpy(ids[np.argsort(written_at)])

    # --- changing --------------------------------------------------------------------------------

    @_verb
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
        """See `SpatialMemory.write`: here of shapes (N, dim) and (N,).

        Where observations are merged, those that were have ids of others, and their own are given
        to none.
        """
        whole = self._whole
        merging = checked_merging(whole.common, update, merge_distance, merge_sense_distance)
        places, sds, values = checked_observations(whole.common, locations, location_sds, senses)
        refuse_batches("locations", places)
        when = checked_times(times, places)
        kept = whole.common.encoded(values).to(whole.common.storage_dtype).numpy()
        own = whole.common.rows[0]
        ids = np.arange(own.next_id, own.next_id + len(places))
        own.next_id += len(places)
        # What would have to make room at once is not sent at all.
        first = 0 if merging is not None else max(0, len(places) - whole.capacity)
        written_at = np.arange(own.clock, own.clock + len(places) - first)
        own.clock += len(places) - first
        arrays = (places.numpy()[first:], as_one_row(sds.numpy()[first:]), kept[first:])
        held = Held(*arrays, ids[first:], written_at, None if when is None else when[first:])
        codes = whole.codes(held.locations)
        for start in range(0, len(held.ids), whole.share):
            rows = np.arange(start, min(start + whole.share, len(held.ids)))
            part = rows_of(held, rows)
            if merging is None:
                whole.put(part, codes[rows])
            else:
                ids[first + rows] = merged(whole, part, codes[rows], merging)
            whole.make_room()
            whole.spread_out()
        return torch.from_numpy(ids)

    @_verb
    def delete(self, ids: torch.Tensor | list[int]) -> None:
        """See `Memory.delete`."""
        whole = self._whole
        names = np.unique(whole_numbers("ids", ids))
        if len(names) == 0:
            return
        has = whole.ask(dict.fromkeys(whole.those_with_any(), ("has", names)))
        missing = names[~np.logical_or.reduce([np.zeros(len(names), bool), *has.values()])]
        if len(missing):
            raise KeyError(
                f"there are no observations with the ids {missing[:10].tolist()}: they were never "
                "given, or the observations have been deleted, pruned, replaced or lost since. "
                "`observations` has all."
            )
        if whole.folder is not None:
            whole.dropped.append(names)
        whole.tell({shard: ("drop", names[own]) for shard, own in has.items() if own.any()})
        whole.spread_out()

    @_verb
    def prune(
        self, max_error_to_prune: float = 0.05, match_threshold: float | None = None, **choices: Any
    ) -> PruneReport:
        """Prune shard by shard; see `Prune` for what can be chosen.

        Around each shard goes along what others hold within twice the threshold: it is read, and
        stays; and so do witnesses within the threshold, which must still be told. So the promise
        holds across borders. With a `target_size` each shard keeps its share of that.

        Parameters
        ----------
        max_error_to_prune, match_threshold, choices
            As of `Prune`. A threshold is needed: without one, everything is near all borders.

        Returns
        -------
        PruneReport
            Sums, and the report of each shard in its `rows`.
        """
        whole, how = self._whole, Prune(max_error_to_prune, match_threshold, **choices)
        if how.match_threshold is None:
            raise ValueError(
                "a memory in shards is pruned with a threshold, beyond which nothing has to do "
                "with a shard: give match_threshold, in metres."
            )
        reports = []
        everything, most = len(self), how.max_witnesses
        for shard in whole.those_with_any():
            size = whole.summaries[shard].size
            target = -(-how.target_size * size // max(everything, 1))
            own = dataclasses.replace(how, target_size=target, max_witnesses=None)
            halo = halos(whole, shard, how.match_threshold)
            report, gone, summary = whole.ask({shard: ("prune", own, halo)})[shard]
            whole.summaries[shard] = summary
            whole.pruned.append(gone)
            reports.append(report)
        forget_witnesses(whole, whole.capacity - len(self) if most is None else most)
        whole.spread_out()
        if not reports:
            return PruneReport(0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, how.max_error_to_prune, 0.0)
        return PruneReport.joined(reports)

    # --- reading ---------------------------------------------------------------------------------

    @_verb
    def read(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
        *,
        not_since: float | None = None,
        not_before: float | None = None,
        how: ReadOptions = _DEFAULT_READ,
    ) -> torch.Tensor:
        """See `Memory.read`; there are no gradients."""
        alone = ReadOptions(match_threshold, not_since=not_since, not_before=not_before)
        how = alone.together_with(how)
        if not how.mean:
            raise ValueError(NO_MEAN)
        return self._recall(locations, location_sds, how).mean

    @_verb
    def recall(
        self,
        locations: PointsLike,
        location_sds: PointsLike | float,
        match_threshold: float | None = None,
        *,
        not_since: float | None = None,
        not_before: float | None = None,
        how: ReadOptions = _DEFAULT_READ,
    ) -> Read:
        """See `Memory.recall`; there are no gradients.

        By kriging, where no amplitude is given, each shard has its share in those observations from
        which it is learned, so that variances are not quite those of one memory.
        """
        alone = ReadOptions(
            match_threshold, support=True, not_since=not_since, not_before=not_before
        )
        return self._recall(locations, location_sds, alone.together_with(how))

    def _recall(
        self, locations: PointsLike, location_sds: PointsLike | float, how: ReadOptions
    ) -> Read:
        places, sds = checked_places(self._whole.common, locations, location_sds, how.order)
        refuse_batches("locations", places)
        if places.ndim == 2:
            return recalled(self._whole, places, sds, how)
        found = recalled(self._whole, places[None], sds[None], how)
        return found.mapped(lambda whole: whole.squeeze(0))

    # --- searching -------------------------------------------------------------------------------

    @_verb
    def sample(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        *,
        how: DrawOptions = _DEFAULT_DRAW,
        seed: SeedLike = 0,
    ) -> torch.Tensor:
        """See `Memory.sample`. The same seed gives other places than there."""
        return self._draw(location, location_sd, search_key, how, seed).places

    @_verb
    def draw(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        *,
        how: DrawOptions = _DEFAULT_DRAW,
        seed: SeedLike = 0,
    ) -> Samples:
        """See `Memory.draw`. The same seed gives other places than there."""
        return self._draw(location, location_sd, search_key, how, seed)

    def _draw(
        self,
        location: PointsLike | None,
        location_sd: PointsLike | float | None,
        search_key: PointsLike,
        how: DrawOptions,
        seed: SeedLike,
    ) -> Samples:
        common = self._whole.common
        key, place, sd = checked_search(common, location, location_sd, search_key, how)
        refuse_batches("search_key", key, 1)
        if place is not None:
            refuse_batches("location", place, 1)
        return drawn(self._whole, key, place, sd, how, numpy_generator(seed))

    @_verb
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
        common = self._whole.common
        num_places = whole_number("num_places", num_places, 1)
        separation = positive_distance("separation", separation)
        key = checked_senses(common, search_key, "search_key")
        refuse_batches("search_key", key, 1)
        encoded = encoded_key(common, key).numpy()
        found = best_distinct(self._whole, encoded, num_places, separation)
        places, sds = (torch.from_numpy(each).to(common.dtype) for each in found[:2])
        options = ReadOptions(match_threshold, support=True)
        read = recalled(self._whole, places, sds, options)
        distance = torch.full((len(places),), torch.nan, dtype=common.dtype)
        if location is not None:
            from_here = checked_place(common, location, "location")
            distance = torch.linalg.vector_norm(places - from_here, dim=-1)
        ids, size = torch.from_numpy(found[2]), read.effective_sample_size
        return FoundPlaces(places, ids, read.mean @ key, distance, size)

    # --- files -----------------------------------------------------------------------------------

    @_verb
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a folder, whole or not at all.

        Parameters
        ----------
        path : path-like
            A folder, which all workers must see under this name; it is made if it is not there.

        Raises
        ------
        OSError
            If something cannot be written. What was saved there before is left as it was.
        """
        folder = _path_of(path)
        assert folder is not None
        if self._whole.folder is not None and folder == self._whole.folder:
            self._whole.make_checkpoint()
        else:
            self._whole.save(folder)

    @_verb
    def checkpoint(self) -> None:
        """Make what is in store now what is found again when a worker dies, or all is loaded.

        It is that of one moment. Whatever dies after this has returned, nothing of it is lost; if
        something dies before, the checkpoint before this is found.

        Raises
        ------
        ValueError
            If no folder was given.
        OSError
            If something cannot be written. The last checkpoint is left as it was.
        """
        if self._whole.folder is None:
            raise ValueError(
                "checkpoints need a folder: make the memory with folder=..., or call save."
            )
        self._whole.make_checkpoint()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        num_shards: int | None = None,
        client: Client | str | None = None,
        folder: str | os.PathLike[str] | None = None,
        storage: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Read what `save` or `checkpoint` wrote.

        Parameters
        ----------
        path : path-like
            The folder.
        num_shards : int, optional
            As many as there were by default. What is there is divided anew where they are others.
        client, folder, storage
            As when a memory is made. To go on with checkpoints in the same folder, name it again.

        Returns
        -------
        ShardedMemory

        Raises
        ------
        FileNotFoundError
            If there is no checkpoint in the folder.
        ValueError
            If a file is damaged, or of a later version.
        """
        source = _path_of(path)
        assert source is not None
        found = read_checkpoint(source)
        number = found.num_shards if num_shards is None else num_shards
        number = whole_number("num_shards", number, 1)
        common = load(source / found.whole, torch.device("cpu"))
        memory = cls.__new__(cls)
        own = common, found.max_memory_size, number, client
        memory._whole = Whole(*own, _path_of(folder), _path_of(storage))
        try:
            memory._whole.fill(source)
        except BaseException:
            memory.close()
            raise
        return memory


def _path_of(path: str | os.PathLike[str] | None) -> Path | None:
    # By its whole name, as workers may be in other folders.
    return None if path is None else Path(path).expanduser().resolve()
