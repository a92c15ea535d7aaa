"""Changes that concern more than one shard: what is merged, and what pruning needs of others."""

from __future__ import annotations

from typing import Any

import numpy as np

from tree_world.cluster.held import Held, rows_of
from tree_world.cluster.whole import Whole
from tree_world.models.memory.types import Merging


def merged(whole: Whole, held: Held, codes: np.ndarray, how: Merging) -> np.ndarray:
    """Write observations one after the other, each merged with what is like it.

    What cannot be near anything of another shard waits, and goes there together; before one that
    can, all that waits is written.

    Parameters
    ----------
    whole : Whole
    held : Held
    codes : numpy.ndarray of int64, of shape (n,)
    how : Merging

    Returns
    -------
    numpy.ndarray of int64, of shape (n,)
        Ids: of what they were merged with, or their own.
    """
    ids = held.ids.copy()
    waiting: dict[int, list[int]] = {}

    def write(requests: dict[int, list[int]]) -> None:
        asked: dict[int, tuple[Any, ...]] = {}
        for shard, rows in requests.items():
            low, high = whole.regions.of(shard)
            asked[shard] = "merge", rows_of(held, np.array(rows)), how, low, high
        for shard, (names, at, elsewhere, summary) in whole.ask(asked).items():
            ids[requests[shard]] = names
            whole.summaries[shard] = summary
            whole.note_written(names, at, held.written_at[requests[shard]])
            if len(elsewhere.ids):  # merging has drawn it across a border
                whole.moved.append(elsewhere.ids)
                whole.put(elsewhere, whole.codes(elsewhere.locations))

    home = whole.regions.shard_of(codes).tolist()
    sds = np.broadcast_to(held.location_sds, held.locations.shape).astype(np.float64)
    places = held.locations.astype(np.float64)
    widest = sds.max(initial=0.0)
    # Places that are written meanwhile are within the box of all these.
    for row in range(len(ids)):
        near = [home[row]]
        for shard in whole.regions.shards:
            if shard == home[row]:
                continue
            own = whole.summaries[shard]
            reach = how.distance * float(np.hypot(sds[row].max(), max(own.greatest_sd, widest)))
            boxes = own.squares(places[row : row + 1])[0] <= reach**2 * (1 + 1e-6)
            rows = waiting.get(shard, [])
            beside = np.square(places[rows] - places[row]).sum(axis=1) <= reach**2 * (1 + 1e-6)
            if boxes or beside.any():
                near.append(shard)
        if len(near) == 1:
            waiting.setdefault(home[row], []).append(row)
            continue
        write(waiting)
        waiting = {}
        given = places[row], sds[row], held.senses[row], how
        found = whole.ask(dict.fromkeys(near, ("agreeing", *given)))
        away = {shard: own for shard, own in found.items() if own is not None}
        write({min(away, key=away.__getitem__) if away else home[row]: [row]})
    write(waiting)
    return ids


def halos(whole: Whole, shard: int, threshold: float) -> Held:
    """Gather what lies around a shard, as pruning it needs to know.

    Parameters
    ----------
    whole : Whole
    shard : int
    threshold : float
        In metres.

    Returns
    -------
    Held
        Observations of others within twice that of its boxes, and witnesses within it.
    """
    box = whole.summaries[shard]
    near = []
    for other, own in enumerate(whole.summaries):
        if other == shard:
            continue
        gaps = (
            np.maximum(np.maximum(low - box.high, box.low - high), 0.0)
            for low, high in zip(own.low, own.high, strict=True)
        )
        is_near = any((np.square(each).sum(axis=1) <= 4.1 * threshold**2).any() for each in gaps)
        # Witnesses may lie beyond the boxes of what is left.
        if own.witnesses or is_near:
            near.append(other)
    given = box.low, box.high, threshold
    answers = list(whole.ask(dict.fromkeys(near, ("halo", *given))).values())
    if not answers:
        answers = list(whole.ask({shard: ("held", 0, 0)}).values())
    witnesses = zip(*(own.witnesses for own in answers if own.witnesses is not None), strict=True)
    return Held(
        np.concatenate([own.locations for own in answers]),
        np.concatenate([own.location_sds for own in answers]),
        np.concatenate([own.senses for own in answers]),
        np.concatenate([own.ids for own in answers]),
        np.concatenate([own.written_at for own in answers]),
        None,
        tuple(np.concatenate(arrays) for arrays in witnesses),
    )


def forget_witnesses(whole: Whole, most: int) -> None:
    """Let go of witnesses, if there are too many; each shard keeps its share.

    Parameters
    ----------
    whole : Whole
    most : int
    """
    numbers = {shard: own.witnesses for shard, own in enumerate(whole.summaries) if own.witnesses}
    everyone = sum(numbers.values())
    if everyone > most:
        shares = {shard: max(0, most) * own // everyone for shard, own in numbers.items()}
        whole.tell({shard: ("keep_witnesses", share) for shard, share in shares.items()})
