"""Draws that look at cells of the index, and only into those that are drawn."""

from __future__ import annotations

import math

import numpy as np
import torch

from tree_world.compiling import compiled, twice_as_long
from tree_world.models.memory.index.cells import BUCKET, CHILD, COUNT, Tree
from tree_world.models.memory.kernel.affinity import limit_squared, without_autocast
from tree_world.models.memory.search.exact import all_finite, checked, scores_of
from tree_world.models.memory.search.query import Query, nothing_matches
from tree_world.models.memory.search.sums import (
    Sums,
    Target,
    bound,
    box_up,
    changed_nodes,
    log_affinity,
    log_sum,
    rows_written_since,
    sum_up,
    tempered,
    weigh,
)
from tree_world.models.memory.store.slots import Store

_NEGLIGIBLE = 40.0  # a weight smaller than the greatest by e to this power is zero
_CHANCES = 64  # random numbers with which a draw begins, beside those for each place
_HALVED_BEFORE = 64  # cells, from which a draw near a place begins
_TEMPERATURES = 4  # whose sums are kept for a key


class CellSearch:
    r"""Draws for one search key without looking at every observation.

    Of each observation it keeps the score :math:`y \cdot z_t`, and of each cell of the index, from
    the whole down to the finest, the box around its observations; for each temperature that was
    asked for of late also the sums of :math:`e^{y \cdot z_t / T}` over cells. The box bounds the
    affinity to any place from above, so the product bounds the weight of the cell. Cells are drawn
    by their bounds, beginning with a few dozen, and an observation in each; it is accepted with the
    ratio of its affinity to the bound. Where it is refused, the two halves of the cell take its
    place; one of the finest is opened: all its weights are computed, and from then on its bound is
    their sum. What is accepted has exactly the distribution of the mixture.

    When the memory has changed, only the cells that changed are looked at again.

    Parameters
    ----------
    store : Store
    search_key : numpy.ndarray of shape (embed_dim,)

    Attributes
    ----------
    chances_each : float
        How many random numbers a draw is thought to need. With too few at hand it begins again,
        with the same result.
    """

    def __init__(self, store: Store, search_key: np.ndarray) -> None:
        self._store = store
        self._key = torch.from_numpy(search_key).to(store.senses.device)
        self.chances_each = 32.0
        self._start()

    def moved_to(self, store: Store) -> CellSearch:
        """Begin the same search in another store, so that the first draw there need not wait."""
        search = CellSearch(store, self._key.cpu().numpy())
        search.scores()  # for a key that is searched for, and not drawn by
        for temperature in self._sums:
            search.sums(temperature)
        return search

    def _start(self) -> None:
        store = self._store
        self._generation, self._since = store.generation, (-1, 0)
        self._scores = np.zeros(len(store.senses), dtype=self._key.numpy().dtype)
        self._boxes = np.empty((0, 4, store.locations.shape[1]))
        self._sums: dict[float, tuple[int, np.ndarray]] = {}  # as of a change of the index

    @without_autocast
    def sums(self, temperature: float) -> Sums:
        """Bring the sums at a temperature up to what is stored now.

        Parameters
        ----------
        temperature : float

        Returns
        -------
        Sums

        Raises
        ------
        ValueError
            If a score over the temperature leaves the range of numbers.
        """
        before, anew = self._refresh()
        index = self._store.index
        since, log_sums = self._sums.pop(temperature, (-1, np.empty(0)))
        log_sums = _with_room(log_sums, len(index.tree.links))
        rounded = float(torch.tensor(temperature, dtype=self._key.dtype))  # infinite, if too great
        sums = Sums(self._scores, rounded, log_sums, self._boxes)
        if since != index.changes:
            nodes = changed_nodes(index.tree, since)
            self._check(anew if since == before else slice(self._store.used), temperature)
            sum_up(index.tree, nodes, sums)
        while len(self._sums) >= _TEMPERATURES:
            self._sums.pop(next(iter(self._sums)))  # the one that was used first
        self._sums[temperature] = index.changes, log_sums
        return sums

    @without_autocast
    def scores(self) -> np.ndarray:
        """Bring the scores up to what is stored now.

        Returns
        -------
        numpy.ndarray of shape (slots,)
            −∞ where a slot is free.

        Raises
        ------
        ValueError
            If one leaves the range of numbers.
        """
        self._refresh()
        used = slice(self._store.used)
        self._check(used, 1.0)
        free = self._store.written_at[used] < 0
        scores: np.ndarray = np.where(free, self._scores.dtype.type(-np.inf), self._scores[used])
        return scores

    def _refresh(self) -> tuple[int, slice | np.ndarray]:
        """Bring scores and boxes up to what is stored now; say since when, and which are new."""
        store, index = self._store, self._store.index
        if store.generation != self._generation:
            self._start()
        before = self._since[0]
        anew: slice | np.ndarray = slice(store.used)
        if index.changes != before:
            nodes = changed_nodes(index.tree, before)
            stale = rows_written_since(index.tree, nodes, store.written_at, self._since[1])
            self._boxes = _with_room(self._boxes, len(index.tree.links))
            senses = store.senses[: store.used].detach()
            if len(stale) <= store.used // 2:
                senses, anew = senses[torch.from_numpy(stale)], stale
            # Else most of them: in a row, without a copy.
            self._scores[anew] = scores_of(senses, self._key).numpy()
            box_up(index.tree, nodes, self._boxes, store.location_sds.detach().numpy())
            self._since = index.changes, store.clock
        return before, anew

    def _check(self, slots: slice | np.ndarray, temperature: float) -> None:
        """Raise ValueError if a score over the temperature leaves the range of numbers."""
        scores = torch.from_numpy(self._scores[slots])
        extremes = torch.stack(scores.aminmax()) if len(scores) else scores
        if not all_finite(extremes / temperature):
            present = torch.from_numpy(self._store.written_at[slots] >= 0)
            checked(scores[present] / temperature)

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
            With the key of this search.
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

        Raises
        ------
        ValueError
            If too little matches, or a number leaves its range.
        """
        sums, target = self.sums(query.temperature), target_of(query, self._store)
        tree = self._store.index.tree
        sds = self._store.location_sds.detach().numpy()
        slots, log_weights = np.empty(number, dtype=np.int64), np.empty(number)
        done = 0
        if tree.links[0, COUNT] > 0:
            # Compiled code gets plain arrays: a generator in there does not outlive interrupts.
            state, room = generator.bit_generator.state, _CHANCES + int(self.chances_each * number)
            while True:
                chances = generator.random(room)
                generator.bit_generator.state = state
                done, used = _draw(
                    tree, sums, sds, target, replacement, chances, slots, log_weights
                )
                if used <= room:
                    break
                room *= 4  # and once more from the beginning, with the same chances and others
            generator.random(used)  # as if they had been drawn one by one
            self.chances_each = max(4.0, 1.5 * used / number)
        if done < number:
            raise ValueError(nothing_matches(number, done))
        total = _log_total(tree, sums, sds, target) if with_total else math.nan
        return slots, log_weights - total

    def log_total(self, query: Query) -> float:
        """Logarithm of the sum of all weights, unnormalised.

        Parameters
        ----------
        query : Query
            With the key of this search.

        Returns
        -------
        float
            −∞ if nothing matches.
        """
        sums, target = self.sums(query.temperature), target_of(query, self._store)
        tree = self._store.index.tree
        if tree.links[0, COUNT] == 0:
            return -math.inf
        return float(_log_total(tree, sums, self._store.location_sds.detach().numpy(), target))


def target_of(query: Query, store: Store) -> Target:
    """Take the place of a query as compiled functions do.

    Parameters
    ----------
    query : Query
    store : Store
        Where to draw from.

    Returns
    -------
    Target
    """
    dim = store.locations.shape[1]
    if query.location is None or query.location_sd is None:
        return Target(False, np.zeros(dim), np.ones(dim), 1.0, math.inf)
    return Target(
        True,
        query.location,
        np.square(query.location_sd),
        query.location_temperature,
        limit_squared(query.match_threshold, store.locations.dtype),
    )


def _with_room(array: np.ndarray, number: int) -> np.ndarray:
    """Copy an array into one with more rows, if it has too few."""
    more = number - len(array)
    return array if more <= 0 else np.concatenate([array, np.empty((more, *array.shape[1:]))])


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
def _greatest(bounds: np.ndarray, number: int) -> int:
    """Which of the first so many is the greatest."""
    at = 0
    for other in range(1, number):
        if bounds[other] > bounds[at]:
            at = other
    return at


@compiled
def _first_above(running: np.ndarray, number: int, chance: float) -> int:
    """Which of some running sums is the first above a chance, or the first as great as the last."""
    low, high = 0, number - 1
    while low < high:
        middle = (low + high) // 2
        if running[middle] > chance or running[middle] == running[number - 1]:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _halve(
    tree: Tree,
    sums: Sums,
    target: Target,
    nodes: np.ndarray,
    bounds: np.ndarray,
    at: int,
    number: int,
) -> None:
    """Put the first half of a cell in its place, and the second at the end."""
    child = tree.links[nodes[at], CHILD]
    nodes[at], bounds[at] = child, bound(sums, target, child)
    nodes[number], bounds[number] = child + 1, bound(sums, target, child + 1)


@compiled
def _draw(
    tree: Tree,
    sums: Sums,
    sds: np.ndarray,
    target: Target,
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
    nodes[0], bounds[0], number = 0, bound(sums, target, 0), 1
    # What is drawn by the bound of a wide cell is refused as a rule: halve the heaviest before.
    while target.here and number < _HALVED_BEFORE:
        at = _greatest(bounds, number)
        if links[nodes[at], CHILD] < 0 or bounds[at] == -np.inf:
            break
        _halve(tree, sums, target, nodes, bounds, at, number)
        number += 1
    weights, num_opened = np.empty((8, tree.rows.shape[1])), 0
    places, scores = np.empty(dim), np.empty(tree.rows.shape[1])
    running = np.empty(256)
    done = 0
    while done < len(slots):
        greatest, total = bounds[_greatest(bounds, number)], 0.0
        if greatest == -np.inf:
            return done, used
        if number > len(running):
            running = np.empty(len(nodes))
        for at in range(number):
            total += math.exp(bounds[at] - greatest)
            running[at] = total
        # Without replacement every draw changes the weights of the next.
        for _ in range(len(slots) - done if replacement else 1):
            if used > last:
                return done, used + 1
            at = _first_above(running, number, chances[used] * total)
            used += 1
            if opened[at] >= 0:
                own, bucket = weights[opened[at]], links[nodes[at], BUCKET]
                i = _pick(own[: links[nodes[at], COUNT]], bounds[at], chances[min(used, last)])
                used += 1
                slots[done], log_weights[done] = tree.rows[bucket, i], own[i]
                done += 1
                if not replacement:
                    own[i] = -np.inf
                    bounds[at] = log_sum(own[: links[nodes[at], COUNT]])
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
                    scores[i] = tempered(sums, tree.rows[bucket, i])
                i = _pick(scores[:count], sums.log_sums[node], chances[min(used, last)])
                used += 1
                row = tree.rows[bucket, i]
                for axis in range(dim):
                    places[axis] = tree.places[bucket, i, axis]
                affinity = log_affinity(target, places, sds[row])
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
                bounds[at] = weigh(tree, sums, sds, target, nodes[at], weights[num_opened])
                opened[at] = num_opened
                num_opened += 1
                continue
            if number == len(nodes):
                nodes, bounds = twice_as_long(nodes), twice_as_long(bounds)
                opened, refused = twice_as_long(opened), twice_as_long(refused)
                opened[number:], refused[number:] = -1, False
            _halve(tree, sums, target, nodes, bounds, at, number)
            number += 1
    return done, used


@compiled
def _log_total(tree: Tree, sums: Sums, sds: np.ndarray, target: Target) -> float:
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
        greatest = bound(sums, target, node)
        if greatest == -np.inf or greatest < total - _NEGLIGIBLE:
            continue
        child = tree.links[node, CHILD]
        if child < 0:
            total = np.logaddexp(total, weigh(tree, sums, sds, target, node, weights))
            continue
        if left + 2 > len(waiting):
            waiting = twice_as_long(waiting)
        # The greater half first: the other may then be negligible.
        second = 1 if bound(sums, target, child) < bound(sums, target, child + 1) else 0
        waiting[left], waiting[left + 1] = child + 1 - second, child + second
        left += 2
    return total
