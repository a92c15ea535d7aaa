"""What is known of all shards together, and what keeps them so: borders, losses, checkpoints."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import filelock
import numpy as np
import torch

from tree_world.cluster.checkpoints import Checkpoint, complete, next_number, read_checkpoint
from tree_world.cluster.fleet import Fleet, Request, WritesLost
from tree_world.cluster.held import Held, rows_of
from tree_world.cluster.regions import END, Regions, along_curve, next_move
from tree_world.cluster.summaries import Summary
from tree_world.models.memory.common import Common
from tree_world.models.memory.saving import write_state

if TYPE_CHECKING:
    from distributed import Client

_LOG = logging.getLogger(__name__)
_FEWEST = 128  # observations, of which no shard is split
_TRIES = 8  # times that shards are restored for one call

Numbers = np.ndarray
_NOBODY = np.empty(0, dtype=np.int64)


class Written(NamedTuple):
    """What was written, or merged with, and where it is now, on the curve.

    Attributes
    ----------
    ids, codes, written_at : numpy.ndarray of int64, of shape (n,)
    """

    ids: Numbers
    codes: Numbers
    written_at: Numbers

    @classmethod
    def joined(cls, parts: list[Written]) -> Written:
        """Join several; of what is in more than one the last counts."""
        nothing = Written(*np.empty((3, 0), dtype=np.int64))
        ids, codes, written_at = map(np.concatenate, zip(nothing, *parts, strict=True))
        _, last = np.unique(ids[::-1], return_index=True)
        rows = len(ids) - 1 - last
        return cls(ids[rows], codes[rows], written_at[rows])


class Whole:
    """Shards, and what they are parts of.

    Parameters
    ----------
    common : Common
        An empty memory with the choices of the whole, of which projection and counters are used.
    capacity : int
        How many observations there may be.
    num_shards : int
    client : distributed.Client, str or None
    folder : pathlib.Path, optional
        For checkpoints.
    storage : pathlib.Path, optional
        For senses on disk.

    Attributes
    ----------
    share : int
        How many observations a shard holds if all is full and even.
    summaries : list of Summary
        One for each shard.
    regions : Regions
    checkpoint : Checkpoint or None
        The last that is complete.
    """

    def __init__(
        self,
        common: Common,
        capacity: int,
        num_shards: int,
        client: Client | str | None,
        folder: Path | None,
        storage: Path | None,
    ) -> None:
        self.common, self.folder, self.storage = common, folder, storage
        self.capacity, self.share = capacity, -(-capacity // num_shards)
        self.lock = threading.RLock()
        self.checkpoint: Checkpoint | None = None
        self.held = contextlib.ExitStack()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self.held.enter_context(filelock.FileLock(folder / "lock", timeout=0))
            except filelock.Timeout as error:
                raise OSError(
                    f"the folder {folder.name} is in use by another memory in shards: close that, "
                    "or give another folder."
                ) from error
        self.regions = Regions([0], [0])
        self.summaries = [Summary.of_nothing(common.location_dim)] * num_shards
        self.written: list[Written] = []  # since the checkpoint
        self.dropped: list[Numbers] = []  # ids that were deleted by name since
        self.pruned: list[Numbers] = []  # and those that went by pruning
        self.moved: list[Numbers] = []  # and those that merging has drawn across a border
        self.evicted = -1  # what was written no later than this had to make room
        self.lost: list[tuple[Numbers, int, list[int]]] = []
        self.folders: dict[int, Path] = {}
        self.fleet = Fleet(client, num_shards)
        self.closed = False
        try:
            everyone = list(range(num_shards))
            self.fleet.start(everyone, {shard: self._given(shard) for shard in everyone})
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the shards, and of what was started for them."""
        if not self.closed:
            self.closed = True
            self.fleet.close()
            for path in self.folders.values():
                shutil.rmtree(path, ignore_errors=True)
            self.held.close()

    def _given(self, shard: int) -> Request:
        """Say what a shard is made of."""
        common = self.common
        choices: dict[str, Any] = {"cell_size": common.cell_size, "dtype": common.dtype}
        if common.storage_dtype != common.dtype:
            choices["storage_dtype"] = common.storage_dtype
        if self.storage is not None:
            if shard in self.folders:
                shutil.rmtree(self.folders[shard], ignore_errors=True)
            self.folders[shard] = self.storage / f"shard-{shard}-{uuid.uuid4().hex[:8]}"
            choices["storage"] = str(self.folders[shard])
        dims = common.location_dim, common.embed_dim
        # Twice its share before it is split, and once what comes meanwhile; the rest is in hand.
        return dims, 5 * self.share + _FEWEST, choices

    # --- asking ----------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many observations there are."""
        return sum(summary.size for summary in self.summaries)

    def those_with_any(self) -> list[int]:
        """Shards that hold something."""
        return [shard for shard, own in enumerate(self.summaries) if own.size]

    def ask(self, requests: dict[int, Request]) -> dict[int, Any]:
        """Ask shards, restore those whose worker has died, and ask these again.

        Parameters
        ----------
        requests : dict of int to tuple

        Returns
        -------
        dict of int to object
            What each has answered.

        Raises
        ------
        Exception
            The first that one of them has raised.
        ConnectionError
            If workers die faster than shards are restored.
        """
        answers, error = self._asked(requests)
        if error is not None:
            raise error
        return answers

    def _asked(self, requests: dict[int, Request]) -> tuple[dict[int, Any], Exception | None]:
        """Ask shards; beside their answers comes the first error that one of them has raised."""
        answers: dict[int, Any] = {}
        waiting = requests
        for _ in range(_TRIES):
            found, errors, lost = self.fleet.ask(waiting)
            answers |= found
            for shard in self._restore(lost):
                answers.pop(shard, None)  # what it had done is lost, too
            if errors:
                return answers, next(iter(errors.values()))
            waiting = {shard: requests[shard] for shard in requests if shard not in answers}
            if not waiting:
                return answers, None
        raise ConnectionError(
            f"workers of the shards {sorted(waiting)} died {_TRIES} times during one call: look at "
            "their logs; they may lack memory. Then load the last checkpoint."
        )

    def tell(self, requests: dict[int, Request]) -> None:
        """Ask for changes, and note what shards hold then, though one of them fails."""
        answers, error = self._asked(requests)
        for shard, summary in answers.items():
            self.summaries[shard] = summary
        if error is not None:
            raise error

    # --- losses ----------------------------------------------------------------------------------

    def _restore(self, lost: set[int]) -> set[int]:
        """Make shards anew, and fill them from the checkpoint; say which."""
        tries = 0
        missing, restored = set(lost), set(lost)
        while missing:
            if tries == _TRIES:
                raise ConnectionError(
                    f"the shards {sorted(missing)} were restored {_TRIES} times, and their workers "
                    "died again: look at their logs, and load the last checkpoint."
                )
            tries += 1
            _LOG.warning("restoring the shards %s, as their worker has died", sorted(missing))
            shards = sorted(missing)
            self.fleet.start(shards, {shard: self._given(shard) for shard in shards})
            requests = {shard: self._from_checkpoint(shard, missing) for shard in shards}
            found, errors, others = self.fleet.ask(requests)
            if errors:
                raise next(iter(errors.values()))
            before = len(self.lost)
            for shard, summary in found.items():
                self._note_lost(shard, summary)
            names = np.concatenate([_NOBODY, *(ids for ids, _, _ in self.lost[before:])])
            missing = others | self._take_back(names, others)
            restored |= missing
        return restored

    def _take_back(self, ids: Numbers, dead: set[int]) -> set[int]:
        """Let the others have what merging has drawn from them to a shard that has died.

        Returns
        -------
        set of int
            Shards whose worker has died meanwhile.
        """
        back = np.intersect1d(ids, np.concatenate([_NOBODY, *self.moved]))
        if self.checkpoint is None or self.folder is None or len(back) == 0:
            return set()
        requests: dict[int, Request] = {}
        for shard in set(self.regions.shards) - dead:
            low, high = self.regions.of(shard)
            paths = self.checkpoint.paths_of(self.folder, low, high, END)
            without = np.concatenate([_NOBODY, *self.dropped])
            requests[shard] = "restore", paths, low, high, without, self.evicted, back
        found, errors, others = self.fleet.ask(requests)
        if errors:
            raise next(iter(errors.values()))
        for shard, summary in found.items():
            self.summaries[shard] = summary
        return others

    def _from_checkpoint(self, shard: int, missing: set[int]) -> Request:
        low, high = self.regions.of(shard)
        if self.checkpoint is None or self.folder is None:
            return ("summary",)
        paths = self.checkpoint.paths_of(self.folder, low, high, END)
        # Neither what was deleted since, nor what merging has drawn to shards that are there.
        since = Written.joined(self.written)
        elsewhere = since.ids[~np.isin(self.regions.shard_of(since.codes), list(missing))]
        without = np.concatenate([*self.dropped, elsewhere])
        return "restore", paths, low, high, without, self.evicted

    def _note_lost(self, shard: int, summary: Summary) -> None:
        low, high = self.regions.of(shard)
        number = self.summaries[shard].size
        ids = np.empty(0, dtype=np.int64)
        if self.folder is not None:
            since = Written.joined(self.written)
            here = (low <= since.codes) & (since.codes < high)
            gone = np.concatenate([*self.dropped, *self.pruned, ids])
            ids = np.setdiff1d(since.ids[here & (since.written_at > self.evicted)], gone)
            number = len(ids)
            self.written = [Written(*(each[~here] for each in since))]
        self.summaries[shard] = summary
        self.lost.append((ids, number, [shard]))

    def say_what_was_lost(self) -> WritesLost | None:
        """Make an error of what was lost since this was last asked; None if nothing was."""
        ids = np.concatenate([*(own for own, _, _ in self.lost), np.empty(0, dtype=np.int64)])
        number = sum(own for _, own, _ in self.lost)
        shards = sorted({shard for _, _, own in self.lost for shard in own})
        self.lost = []
        if number == 0:
            return None
        if self.folder is None:
            what = f"the {number} observations that they held are lost: give a folder, and call "
            what += "checkpoint() now and then"
        else:
            at = "there is none yet" if self.checkpoint is None else f"{self.checkpoint.number}"
            what = f"{number} observations that were written since the last checkpoint ({at}) are "
            what += "lost, and named in `ids`: write them again"
        return WritesLost(
            f"a worker died that had the shards {shards}, and {what}. The memory goes on without "
            "them; what this call returns is in `answer`.",
            torch.from_numpy(ids),
            number,
            shards,
        )

    # --- changes ---------------------------------------------------------------------------------

    def codes(self, places: Numbers) -> Numbers:
        """Tell where on the curve places are."""
        return along_curve(places, self.common.cell_size)

    def note_written(self, ids: Numbers, codes: Numbers, written_at: Numbers) -> None:
        """Note what would be lost if a worker died now."""
        if self.folder is not None:
            self.written.append(Written(ids, codes, written_at))

    def put(self, held: Held, codes: Numbers) -> None:
        """Send observations to whose they are, and note those that have come."""
        whose = self.regions.shard_of(codes)
        rows = {shard: np.flatnonzero(whose == shard) for shard in np.unique(whose).tolist()}
        requests = {shard: ("put", rows_of(held, own)) for shard, own in rows.items()}
        answers, error = self._asked(requests)
        for shard, summary in answers.items():
            self.summaries[shard], own = summary, rows[shard]
            self.note_written(held.ids[own], codes[own], held.written_at[own])
        if error is not None:
            raise error

    def make_room(self) -> None:
        """Let the oldest of all go, if there are more than there may be."""
        while (excess := self.size - self.capacity) > 0:
            holders = self.those_with_any()
            oldest = min(holders, key=lambda shard: self.summaries[shard].oldest)
            if excess == 1:
                self.evicted = self.summaries[oldest].oldest
                self.tell({oldest: ("drop_until", self.evicted)})
                continue
            offers = self.ask(dict.fromkeys(holders, ("oldest", excess)))
            last = int(np.sort(np.concatenate(list(offers.values())))[excess - 1])
            touched = [shard for shard, own in offers.items() if own[0] <= last]
            self.evicted = last
            self.tell(dict.fromkeys(touched, ("drop_until", last)))

    def spread_out(self) -> None:
        """Split shards that are full, and let small neighbours become one."""
        unsplit: set[int] = set()
        for _ in range(4 * len(self.summaries)):
            sizes = [summary.size for summary in self.summaries]
            move = next_move(self.regions, sizes, _FEWEST, unsplit)
            if move is None:
                return
            what, which = move
            if what == "merge":
                self._merge(which)
            elif not self._split(which):
                unsplit.add(which)

    def _split(self, shard: int) -> bool:
        """Give half of what a shard holds to one that has none; False if it cannot be split."""
        low, high = self.regions.of(shard)
        other = next(s for s in range(len(self.summaries)) if s not in self.regions.shards)
        border = self.ask({shard: ("median", low, high)})[shard]
        if border is None:
            return False
        held = self.ask({shard: ("held", border, high)})[shard]
        # Not before it is there is it his, and not before it is his does it go here.
        before = len(self.lost)
        self.tell({other: ("put", held)})
        if len(self.lost) > before:  # what was copied is no longer what is there
            self.tell({other: ("drop_region", 0, END)})
            return True
        self.regions.split(shard, border, other)
        self.tell({shard: ("drop_region", border, high)})
        return True

    def _merge(self, at: int) -> None:
        """Give a shard what the one after it holds."""
        first, second = self.regions.shards[at : at + 2]
        low, high = self.regions.of(second)
        held = self.ask({second: ("held", low, high)})[second]
        before = len(self.lost)
        self.tell({first: ("put", held)})
        if len(self.lost) > before:  # what was copied is no longer what is there
            self.tell({first: ("drop_region", low, high)})
            return
        self.regions.merge(at)
        self.tell({second: ("drop_region", low, high)})

    # --- checkpoints -----------------------------------------------------------------------------

    def save(self, folder: Path) -> Checkpoint:
        """Write a checkpoint to a folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        number = next_number(folder)
        files = [f"{number}-{at}.shard" for at in range(len(self.regions.shards))]
        whole = f"{number}-whole.shard"
        write_state(self.common, folder / whole, with_senses=True)
        pairs = zip(self.regions.shards, files, strict=True)
        self.ask({shard: ("save", str(folder / file)) for shard, file in pairs})
        sizes = [self.summaries[shard].size for shard in self.regions.shards]
        made = Checkpoint(
            number,
            whole,
            files,
            list(self.regions.first),
            sizes,
            len(self.summaries),
            self.capacity,
        )
        complete(folder, made)
        return made

    def make_checkpoint(self) -> None:
        """Write a checkpoint to the folder of this memory."""
        assert self.folder is not None
        self.checkpoint = self.save(self.folder)
        self.written, self.dropped, self.pruned, self.moved = [], [], [], []

    def fill(self, folder: Path) -> None:
        """Take in what a checkpoint holds; this must be empty."""
        found = read_checkpoint(folder)
        number = len(self.summaries)
        if self.folder is not None and folder.samefile(self.folder):
            self.checkpoint = found
        if len(found.files) <= number:
            self.regions = Regions(list(found.first), list(range(len(found.files))))
        nothing = np.empty(0, dtype=np.int64)
        requests: dict[int, Request] = {}
        for shard in self.regions.shards:
            low, high = self.regions.of(shard)
            paths = found.paths_of(folder, low, high, END)
            requests[shard] = "restore", paths, low, high, nothing, -1
        if len(found.files) <= number:
            self.tell(requests)
        else:  # as fewer shards have to divide it anew, one region after the other
            for path, low, high in zip(
                found.files, found.first, [*found.first[1:], END], strict=True
            ):
                request = "restore", [str(folder / path)], low, high, nothing, -1
                whose = int(self.regions.shard_of(np.array([low]))[0])
                self.tell({whose: request})
                self.spread_out()
        self.spread_out()


def as_one_row(sds: Numbers) -> Numbers:
    """Deviations, as one row where all are alike, which is less to send."""
    alike = len(sds) > 1 and bool((sds == sds[:1]).all())
    return np.ascontiguousarray(sds[:1] if alike else sds)
