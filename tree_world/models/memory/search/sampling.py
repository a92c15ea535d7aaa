r"""Drawing remembered places that satisfy a search, from a mixture of Gaussians.

Each observation carries a weight that grows with the match of its sense to a search key and, where
a place is given, with its affinity to that place:

.. math:: w_t = \operatorname{softmax}_t \left( \frac{y \cdot z_t}{T}
    + \frac{\log k(\ell, \ell_t)}{T_\ell} \right)

A sample is Gaussian around the place of an observation that is drawn by these weights. Two ways to
draw it give the same distribution: `exact_log_weights` looks at every observation; `CellSearch`
looks at cells of the index, and only into those that are drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from tree_world.compiling import compiled
from tree_world.models.memory.index.cells import BUCKET, CHILD, COUNT, Tree
from tree_world.models.memory.kernel.affinity import (
    beyond,
    limit_squared,
    log_affinity,
    without_autocast,
)
from tree_world.models.memory.store.slots import Store

_NEGLIGIBLE = 40.0  # a weight smaller than the greatest by e to this power is zero
_COLDEST = 1e-30  # least temperature
_LEAST_VARIANCE = 1e-300  # of which there is still an inverse
_AT_A_TIME = 8192  # senses that are compared with a key
_CHANCES = 64  # random numbers with which a draw begins, beside those for each place
_HALVED_BEFORE = 64  # cells, from which a draw near a place begins


@dataclass(frozen=True)
class Samples:
    """Places that were drawn, and where they came from.

    Attributes
    ----------
    places : torch.Tensor of shape (..., num_samples, dim)
        In metres.
    ids : torch.Tensor of int64, of shape (..., num_samples)
        Of the observations around whose places they were drawn.
    log_probabilities : torch.Tensor of shape (..., num_samples)
        Natural logarithms of the weights of those observations.
    """

    places: torch.Tensor
    ids: torch.Tensor
    log_probabilities: torch.Tensor


@dataclass(frozen=True)
class Query:
    """What to draw for, checked.

    Attributes
    ----------
    search_key : numpy.ndarray of shape (embed_dim,)
    temperature : float
    location, location_sd : numpy.ndarray of shape (dim,), or None
        In metres; float64.
    location_temperature : float
    match_threshold : float or None
        In metres.

    Raises
    ------
    ValueError
        If a temperature is less than 1e-30, for which there is no softmax in double precision.
    """

    search_key: np.ndarray
    temperature: float
    location: np.ndarray | None = None
    location_sd: np.ndarray | None = None
    location_temperature: float = 1.0
    match_threshold: float | None = None

    def __post_init__(self) -> None:
        for name in ("temperature", "location_temperature"):
            if not getattr(self, name) >= _COLDEST:
                raise ValueError(
                    f"{name} must be at least {_COLDEST}, but {getattr(self, name)!r} was given. "
                    "To find what matches best, without any chance, use search."
                )


# --- all observations ----------------------------------------------------------------------------


@without_autocast
def exact_log_weights(store: Store, query: Query) -> np.ndarray:
    """Logarithm of the weight of every slot in use, unnormalised, in double precision.

    Parameters
    ----------
    store : Store
    query : Query

    Returns
    -------
    numpy.ndarray of shape (slots,)
        −∞ where a slot is free, or too far away.
    """
    everything = store.observations()
    key = torch.from_numpy(query.search_key).to(everything.senses.device, everything.precision)
    weights = _checked(scores_of(everything.senses.detach(), key).double() / query.temperature)
    if query.location is not None and query.location_sd is not None:
        places, sds = (
            torch.from_numpy(array)[None].to(weights)
            for array in (query.location, query.location_sd)
        )
        affinity = log_affinity(
            places, sds, everything.locations.detach().double(),
            everything.location_sds.detach().double(),
        )[0]  # fmt: skip
        weights = weights + affinity / query.location_temperature
        if query.match_threshold is not None:
            hidden = beyond(places, everything.locations, query.match_threshold)[0]
            weights = weights.masked_fill(hidden, -torch.inf)
    present = torch.from_numpy(store.written_at[: store.used] >= 0).to(weights.device)
    return weights.masked_fill(~present, -torch.inf).cpu().numpy()


def _checked(scores: torch.Tensor) -> torch.Tensor:
    """Scores that are finite."""
    if not bool(torch.isfinite(scores).all()):
        raise ValueError(
            "the products of search_key and senses, divided by temperature, leave the range of "
            f"{str(scores.dtype).removeprefix('torch.')}: divide search_key and temperature by the "
            "same number, or choose a higher temperature."
        )
    return scores


def scattered(
    locations: torch.Tensor, location_sds: torch.Tensor, sigma_scale: float, noise: torch.Tensor
) -> torch.Tensor:
    """Places beside those that were drawn.

    Parameters
    ----------
    locations, location_sds : torch.Tensor of shape (n, dim)
        In metres.
    sigma_scale : float
        How many of their deviations to go for a noise of one.
    noise : torch.Tensor of shape (n, dim)

    Returns
    -------
    torch.Tensor of shape (n, dim)
        In metres, and in the precision of the locations.

    Raises
    ------
    ValueError
        If one of them lies beyond all numbers.
    """
    places = locations + sigma_scale * location_sds * noise.to(location_sds)
    if not bool(torch.isfinite(places).all()):
        raise ValueError(
            f"sigma_scale is so large ({sigma_scale}) that places leave the range of "
            f"{str(places.dtype).removeprefix('torch.')}: choose one near 1."
        )
    return places


@without_autocast
def scores_of(senses: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Products of senses and a key, in the precision of the key.

    Parameters
    ----------
    senses : torch.Tensor of shape (n, embed_dim)
    key : torch.Tensor of shape (embed_dim,)

    Returns
    -------
    torch.Tensor of shape (n,)
    """
    if senses.dtype == key.dtype:
        return senses @ key
    parts = senses.split(_AT_A_TIME)
    return torch.cat([part.to(key.dtype) @ key for part in parts]) if parts else key.new_empty(0)


def draw(
    log_weights: np.ndarray, number: int, replacement: bool, generator: np.random.Generator
) -> np.ndarray:
    """Draw positions with probabilities in proportion to the weights.

    Double precision throughout and no table of categories, hence no limit to their number.

    Parameters
    ----------
    log_weights : numpy.ndarray of shape (n,)
    number : int
    replacement : bool
        Without, each draw is from what is left, which taking the greatest of perturbed logarithms
        does at once (Gumbel's trick).
    generator : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of int, of shape (number,)

    Raises
    ------
    ValueError
        If there is nothing to draw from, or too little without replacement.

    References
    ----------
    W. Kool, H. van Hoof, M. Welling, "Stochastic beams and where to find them", 2019.
    """
    possible = int(np.isfinite(log_weights).sum())
    if possible == 0 or (not replacement and possible < number):
        raise ValueError(_nothing_matches(number, possible))
    if not replacement:
        perturbed = log_weights + generator.gumbel(size=len(log_weights))
        chosen = np.argpartition(-perturbed, number - 1)[:number]
        return chosen[np.argsort(-perturbed[chosen])]
    sums = np.cumsum(np.exp(log_weights - log_weights.max()))
    at = np.searchsorted(sums, generator.random(number) * sums[-1], side="right")
    return np.asarray(np.minimum(at, np.searchsorted(sums, sums[-1])))


# --- cells of the index --------------------------------------------------------------------------


class _Sums(NamedTuple):
    """What a search knows of each node of the index, and of each slot.

    Attributes
    ----------
    scores : numpy.ndarray of shape (capacity,)
        Products of senses and key, over the temperature.
    log_sums : numpy.ndarray of shape (nodes,)
        Logarithms of the sums of e to the scores.
    boxes : numpy.ndarray of shape (nodes, 4, dim)
        Least and greatest place, least and greatest variance.
    """

    scores: np.ndarray
    log_sums: np.ndarray
    boxes: np.ndarray


class _Target(NamedTuple):
    """A query as compiled functions take it; without a location `here` is false."""

    here: bool
    location: np.ndarray
    variance: np.ndarray
    temperature: float
    threshold_squared: float


class CellSearch:
    r"""Draws for one search key without looking at every observation.

    For each cell of the index, from the whole down to the finest, it keeps the sum of
    :math:`e^{y \cdot z_t / T}` and the box around its observations. The box bounds the affinity to
    any place from above, so the product bounds the weight of the cell. Cells are drawn by their
    bounds, beginning with a few dozen, and an observation in each; it is accepted with the ratio of
    its affinity to the bound. Where it is refused, the two halves of the cell take its place; one
    of the finest is opened: all its weights are computed, and from then on its bound is their sum.
    What is accepted has exactly the distribution of the mixture.

    When the memory has changed, only the cells that changed are looked at again.

    Parameters
    ----------
    store : Store
    search_key : numpy.ndarray of shape (embed_dim,)
    temperature : float
    """

    def __init__(self, store: Store, search_key: np.ndarray, temperature: float) -> None:
        self._store = store
        self._key = torch.from_numpy(search_key).to(store.senses.device)
        self._temperature = temperature
        self._chances_each = 32.0  # random numbers for a draw, as a guess
        self._start()

    def moved_to(self, store: Store) -> CellSearch:
        """Begin the same search in another store, so that the first draw there need not wait."""
        search = CellSearch(store, self._key.cpu().numpy(), self._temperature)
        search._follow()
        return search

    def _start(self) -> None:
        store = self._store
        self._generation, self._seen, self._clock = store.generation, -1, 0
        room = np.empty(len(store.senses), dtype=self._key.numpy().dtype)
        self._sums = _Sums(room, np.empty(0), np.empty((0, 4, store.locations.shape[1])))

    @without_autocast
    def _follow(self) -> None:
        """Take in what has changed since the last time."""
        store, index = self._store, self._store.index
        if store.generation != self._generation:
            self._start()
        if index.changes == self._seen:
            return
        nodes = len(index.tree.links)
        scores, log_sums, boxes = self._sums
        if len(log_sums) < nodes:
            known = len(log_sums)
            log_sums = np.concatenate([log_sums, np.empty(nodes - known)])
            boxes = np.concatenate([boxes, np.empty((nodes - known, *boxes.shape[1:]))])
            self._sums = _Sums(scores, log_sums, boxes)
        changed = _changed_nodes(index.tree, self._seen)
        stale = _rows_written_since(index.tree, changed, store.written_at, self._clock)
        senses = store.senses[: store.used].detach()
        if len(stale) > store.used // 2:  # most of them: in a row, without a copy
            own = scores_of(senses, self._key) / self._temperature
            scores[: store.used] = _checked(own).numpy()
        else:
            own = scores_of(senses[torch.from_numpy(stale)], self._key) / self._temperature
            scores[stale] = _checked(own).numpy()
        _sum_up(index.tree, changed, self._sums, store.location_sds.detach().numpy())
        self._seen, self._clock = index.changes, store.clock

    def draw(
        self,
        query: Query,
        number: int,
        replacement: bool,
        generator: np.random.Generator,
        with_total: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw slots.

        Parameters
        ----------
        query : Query
            With the key and the temperature of this search.
        number : int
        replacement : bool
        generator : numpy.random.Generator
        with_total : bool
            Whether to normalise the weights, for which every cell of any weight must be opened.

        Returns
        -------
        slots : numpy.ndarray of int, of shape (number,)
        log_probabilities : numpy.ndarray of shape (number,)
            NaN unless they are asked for.
        """
        self._follow()
        tree, target = self._store.index.tree, self._target(query)
        sds = self._store.location_sds.detach().numpy()
        slots, log_weights = np.empty(number, dtype=np.int64), np.empty(number)
        done = 0
        if tree.links[0, COUNT] > 0:
            # Compiled code gets plain arrays: a generator in there does not outlive interrupts.
            state, room = generator.bit_generator.state, _CHANCES + int(self._chances_each * number)
            while True:
                chances = generator.random(room)
                generator.bit_generator.state = state
                done, used = _draw(
                    tree, self._sums, sds, target, replacement, chances, slots, log_weights
                )
                if used <= room:
                    break
                room *= 4  # and once more from the beginning, with the same chances and others
            generator.random(used)  # as if they had been drawn one by one
            self._chances_each = max(4.0, 1.5 * used / number)
        if done < number:
            raise ValueError(_nothing_matches(number, done))
        total = _log_total(tree, self._sums, sds, target) if with_total else math.nan
        return slots, log_weights - total

    def _target(self, query: Query) -> _Target:
        dim = self._store.locations.shape[1]
        if query.location is None or query.location_sd is None:
            return _Target(False, np.zeros(dim), np.ones(dim), 1.0, math.inf)
        limit = limit_squared(query.match_threshold, self._store.locations.dtype)
        return _Target(
            True, query.location, np.square(query.location_sd), query.location_temperature, limit
        )


def _nothing_matches(number: int, possible: int) -> str:
    return (
        f"{number} samples were asked for, but only {possible} observations match. Write more "
        "observations, ask for fewer samples, or widen match_threshold."
    )


@compiled
def _changed_nodes(tree: Tree, seen: int) -> np.ndarray:
    """Nodes that a later change has touched, each before those below it."""
    found, number = np.zeros(64, np.int64), 0
    if tree.changed[0] <= seen:
        return found[:0]
    found[0], number, at = 0, 1, 0
    while at < number:
        child = tree.links[found[at], CHILD]
        at += 1
        if child < 0:
            continue
        if number + 2 > len(found):
            found = np.concatenate((found, found))
        for node in range(child, child + 2):
            if tree.changed[node] > seen:
                found[number] = node
                number += 1
    return found[:number]


@compiled
def _rows_written_since(
    tree: Tree, nodes: np.ndarray, written_at: np.ndarray, clock: int
) -> np.ndarray:
    found, number = np.empty(64, np.int64), 0
    for node in nodes:
        if tree.links[node, CHILD] >= 0:
            continue
        if number + tree.rows.shape[1] > len(found):
            found = np.concatenate(
                (found, np.empty_like(found), np.empty(tree.rows.shape[1], np.int64))
            )
        for i in range(tree.links[node, COUNT]):
            row = tree.rows[tree.links[node, BUCKET], i]
            if written_at[row] >= clock:
                found[number] = row
                number += 1
    return found[:number]


@compiled
def _sum_up(tree: Tree, nodes: np.ndarray, sums: _Sums, sds: np.ndarray) -> None:
    """Bring the sums and boxes of nodes up to date, those below first."""
    links, boxes, log_sums, dim = tree.links, sums.boxes, sums.log_sums, sds.shape[1]
    for at in range(len(nodes) - 1, -1, -1):
        node = nodes[at]
        boxes[node, 0::2] = np.inf
        boxes[node, 1::2] = -np.inf
        if links[node, CHILD] >= 0:
            pair = links[node, CHILD]
            for child in range(pair, pair + 2):
                for axis in range(dim):
                    for part in range(4):
                        own, its = boxes[node, part, axis], boxes[child, part, axis]
                        boxes[node, part, axis] = min(own, its) if part % 2 == 0 else max(own, its)
            log_sums[node] = np.logaddexp(log_sums[pair], log_sums[pair + 1])
            continue
        count, bucket = links[node, COUNT], links[node, BUCKET]
        greatest, total = -np.inf, 0.0
        for i in range(count):
            row = tree.rows[bucket, i]
            greatest = max(greatest, np.float64(sums.scores[row]))
            for axis in range(dim):
                place, sd = np.float64(tree.places[bucket, i, axis]), np.float64(sds[row, axis])
                boxes[node, 0, axis] = min(boxes[node, 0, axis], place)
                boxes[node, 1, axis] = max(boxes[node, 1, axis], place)
                boxes[node, 2, axis] = min(boxes[node, 2, axis], sd * sd)
                boxes[node, 3, axis] = max(boxes[node, 3, axis], sd * sd)
        for i in range(count):
            total += math.exp(sums.scores[tree.rows[bucket, i]] - greatest)
        log_sums[node] = greatest + math.log(total) if count > 0 else -np.inf


@compiled
def _log_affinity(target: _Target, place: np.ndarray, sd: np.ndarray) -> float:
    """Log-affinity of an observation over the temperature of the location; 0 without one."""
    if not target.here:
        return 0.0
    squared, doubled = 0.0, 0.0
    for axis in range(len(place)):
        step = target.location[axis] - np.float64(place[axis])
        variance = target.variance[axis] + np.float64(sd[axis]) * np.float64(sd[axis])
        variance = max(variance, _LEAST_VARIANCE)
        squared += step * step
        doubled += step * step / variance + math.log(2.0 * math.pi * variance)
    return -0.5 * doubled / target.temperature if squared <= target.threshold_squared else -np.inf


@compiled
def _greatest_affinity(target: _Target, box: np.ndarray) -> float:
    """Upper bound of the log-affinities of all observations in a box, over the temperature."""
    if not target.here:
        return 0.0
    squared, doubled = 0.0, 0.0
    for axis in range(box.shape[1]):
        here = target.location[axis]
        gap = max(box[0, axis] - here, here - box[1, axis], 0.0)
        squared += gap * gap
        doubled += gap * gap / max(target.variance[axis] + box[3, axis], _LEAST_VARIANCE)
        least = max(target.variance[axis] + box[2, axis], _LEAST_VARIANCE)
        doubled += math.log(2.0 * math.pi * least)
    far = squared > target.threshold_squared * (1.0 + 1e-9)
    return -np.inf if far else -0.5 * doubled / target.temperature


@compiled
def _bound(sums: _Sums, target: _Target, node: int) -> float:
    """Upper bound of the logarithm of the weight of a cell."""
    if sums.log_sums[node] == -np.inf:
        return -np.inf
    return float(sums.log_sums[node]) + _greatest_affinity(target, sums.boxes[node])


@compiled
def _weigh(
    tree: Tree, sums: _Sums, sds: np.ndarray, target: _Target, node: int, weights: np.ndarray
) -> float:
    """Compute the logarithms of all weights in one of the finest cells, and of their sum."""
    bucket, count = tree.links[node, BUCKET], tree.links[node, COUNT]
    for i in range(count):
        row = tree.rows[bucket, i]
        weights[i] = sums.scores[row] + _log_affinity(target, tree.places[bucket, i], sds[row])
    return _log_sum(weights[:count])


@compiled
def _log_sum(weights: np.ndarray) -> float:
    greatest, total = -np.inf, 0.0
    for weight in weights:
        greatest = max(greatest, weight)
    if greatest == -np.inf:
        return -np.inf
    for weight in weights:
        total += math.exp(weight - greatest)
    return greatest + math.log(total)


@compiled
def _pick(weights: np.ndarray, log_sum: float, chance: float) -> int:
    """Which of the weights a chance from 0 to 1 falls on."""
    picked = 0
    for i in range(len(weights)):
        if weights[i] > -np.inf:
            picked = i
            chance -= math.exp(weights[i] - log_sum)
            if chance < 0.0:
                break
    return picked


@compiled
def _halve(
    tree: Tree,
    sums: _Sums,
    target: _Target,
    nodes: np.ndarray,
    bounds: np.ndarray,
    at: int,
    number: int,
) -> None:
    """Put the first half of a cell in its place, and the second at the end."""
    child = tree.links[nodes[at], CHILD]
    nodes[at], bounds[at] = child, _bound(sums, target, child)
    nodes[number], bounds[number] = child + 1, _bound(sums, target, child + 1)


@compiled
def _draw(
    tree: Tree,
    sums: _Sums,
    sds: np.ndarray,
    target: _Target,
    replacement: bool,
    chances: np.ndarray,
    slots: np.ndarray,
    log_weights: np.ndarray,
) -> tuple[int, int]:
    """Fill the slots and their weights, and say how many could be drawn, with how many chances.

    If more chances would have been needed than there are, what was drawn means nothing.
    """
    links, dim = tree.links, sds.shape[1]
    used, last = 0, len(chances) - 1
    # Cells that together hold everything; which of them are opened, and then where their weights
    # are; which are to be halved or opened before the next draws.
    nodes, bounds = np.empty(256, np.int64), np.empty(256)
    opened, refused = np.full(256, -1), np.zeros(256, np.bool_)
    nodes[0], bounds[0], number = 0, _bound(sums, target, 0), 1
    # What is drawn by the bound of a wide cell is refused as a rule: halve the heaviest before.
    while target.here and number < _HALVED_BEFORE:
        at = int(np.argmax(bounds[:number]))
        if links[nodes[at], CHILD] < 0 or bounds[at] == -np.inf:
            break
        _halve(tree, sums, target, nodes, bounds, at, number)
        number += 1
    weights, num_opened = np.empty((8, tree.rows.shape[1])), 0
    places, scores = np.empty(dim), np.empty(tree.rows.shape[1])
    done = 0
    while done < len(slots):
        greatest = bounds[:number].max()
        if greatest == -np.inf:
            return done, used
        running = np.cumsum(np.exp(bounds[:number] - greatest))
        # Without replacement every draw changes the weights of the next.
        for _ in range(len(slots) - done if replacement else 1):
            if used > last:
                return done, used + 1
            chance = chances[used] * running[-1]
            used += 1
            at = int(np.searchsorted(running, chance, side="right"))
            at = min(at, int(np.searchsorted(running, running[-1])))
            if opened[at] >= 0:
                own, bucket = weights[opened[at]], links[nodes[at], BUCKET]
                i = _pick(own[: links[nodes[at], COUNT]], bounds[at], chances[min(used, last)])
                used += 1
                slots[done], log_weights[done] = tree.rows[bucket, i], own[i]
                done += 1
                if not replacement:
                    own[i] = -np.inf
                    bounds[at] = _log_sum(own[: links[nodes[at], COUNT]])
                continue
            if replacement:
                node = nodes[at]
                while links[node, CHILD] >= 0:
                    child = links[node, CHILD]
                    first = math.exp(sums.log_sums[child] - sums.log_sums[node])
                    node = child if chances[min(used, last)] < first else child + 1
                    used += 1
                count, bucket = links[node, COUNT], links[node, BUCKET]
                for i in range(count):
                    scores[i] = sums.scores[tree.rows[bucket, i]]
                i = _pick(scores[:count], sums.log_sums[node], chances[min(used, last)])
                used += 1
                row = tree.rows[bucket, i]
                for axis in range(dim):
                    places[axis] = tree.places[bucket, i, axis]
                affinity = _log_affinity(target, places, sds[row])
                # The bound is the greatest affinity beside the sum of the other factors.
                slack = bounds[at] - sums.log_sums[nodes[at]]
                used += 1
                if chances[min(used - 1, last)] < math.exp(affinity - slack):
                    slots[done], log_weights[done] = row, scores[i] + affinity
                    done += 1
                    continue
            refused[at] = True
        for at in range(number):
            if not refused[at]:
                continue
            refused[at] = False
            if links[nodes[at], CHILD] < 0:
                if num_opened == len(weights):
                    weights = np.concatenate((weights, weights))
                bounds[at] = _weigh(tree, sums, sds, target, nodes[at], weights[num_opened])
                opened[at] = num_opened
                num_opened += 1
                continue
            if number == len(nodes):
                nodes, bounds = np.concatenate((nodes, nodes)), np.concatenate((bounds, bounds))
                opened = np.concatenate((opened, np.full(number, -1)))
                refused = np.concatenate((refused, np.zeros(number, np.bool_)))
            _halve(tree, sums, target, nodes, bounds, at, number)
            number += 1
    return done, used


@compiled
def _log_total(tree: Tree, sums: _Sums, sds: np.ndarray, target: _Target) -> float:
    """Logarithm of the sum of all weights, but for cells that are negligible beside the rest."""
    if not target.here:
        return float(sums.log_sums[0])
    total = -np.inf
    weights = np.empty(tree.rows.shape[1])
    waiting = np.zeros(64, np.int64)
    left = 1
    while left > 0:
        left -= 1
        node = waiting[left]
        bound = _bound(sums, target, node)
        if bound == -np.inf or bound < total - _NEGLIGIBLE:
            continue
        child = tree.links[node, CHILD]
        if child < 0:
            total = np.logaddexp(total, _weigh(tree, sums, sds, target, node, weights))
            continue
        if left + 2 > len(waiting):
            waiting = np.concatenate((waiting, waiting))
        # The greater half first: the other may then be negligible.
        second = 1 if _bound(sums, target, child) < _bound(sums, target, child + 1) else 0
        waiting[left], waiting[left + 1] = child + 1 - second, child + second
        left += 2
    return total


# --- the best distinct places --------------------------------------------------------------------


@dataclass(frozen=True)
class FoundPlaces:
    """Remembered places that match a search key best, the best first.

    Attributes
    ----------
    places : torch.Tensor of shape (n, dim)
        In metres.
    ids : torch.Tensor of int64, of shape (n,)
        Of the observations made there.
    match : torch.Tensor of shape (n,)
        Product of the search key with what the memory reads there.
    distance : torch.Tensor of shape (n,)
        In metres, from the place that was given; NaN without one.
    support : torch.Tensor of shape (n,)
        Effective number of observations behind the match.
    """

    places: torch.Tensor
    ids: torch.Tensor
    match: torch.Tensor
    distance: torch.Tensor
    support: torch.Tensor


def best_distinct_slots(
    store: Store, search_key: np.ndarray, number: int, separation: float
) -> np.ndarray:
    """Slots whose senses match a key best, no two of them near each other.

    The best is taken, all within the separation of it are struck out, and so on.

    Parameters
    ----------
    store : Store
    search_key : numpy.ndarray of shape (embed_dim,)
    number : int
        How many at most; fewer if nothing is left.
    separation : float
        Least distance in metres.

    Returns
    -------
    numpy.ndarray of int
    """
    scores = exact_log_weights(store, Query(search_key, 1.0))
    locations = store.locations[: store.used].detach().cpu().double().numpy()
    found: list[int] = []
    while len(found) < min(number, len(scores)):
        best = int(scores.argmax())
        if scores[best] == -math.inf:
            break
        found.append(best)
        near = np.square(locations - locations[best]).sum(axis=1) <= separation * separation
        scores[near] = -math.inf
    return np.array(found, dtype=np.int64)
