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

import numpy as np
import torch

from tree_world.models.affinity import log_affinity
from tree_world.models.compiling import compiled
from tree_world.models.neighbors import Cell
from tree_world.models.store import Store

_NEGLIGIBLE = 40.0  # a weight smaller than the greatest by e to this power is zero


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
    """

    search_key: np.ndarray
    temperature: float
    location: np.ndarray | None = None
    location_sd: np.ndarray | None = None
    location_temperature: float = 1.0
    match_threshold: float | None = None


# --- all observations ----------------------------------------------------------------------------


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
    key = torch.from_numpy(query.search_key).to(everything.senses)
    weights = (everything.senses.detach() @ key).double() / query.temperature
    if query.location is not None and query.location_sd is not None:
        places, sds = (
            torch.from_numpy(array)[None].to(weights)
            for array in (query.location, query.location_sd)
        )
        affinity = log_affinity(
            places, sds, everything.locations.detach().double(),
            everything.location_sds.detach().double(), query.match_threshold,
        )  # fmt: skip
        weights = weights + affinity[0] / query.location_temperature
    present = torch.from_numpy(store.written_at[: store.used] >= 0).to(weights.device)
    return weights.masked_fill(~present, -torch.inf).cpu().numpy()


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


@dataclass(frozen=True)
class _Contents:
    """What a search keeps of a cell: scores over the temperature, running sums of weights, σ²."""

    scores: np.ndarray
    sums: np.ndarray
    variances: np.ndarray


_NOTHING = _Contents(np.empty(0), np.empty(0), np.empty((0, 0)))


class _Opened:
    """A cell with the true weights of its observations."""

    def __init__(self, rows: np.ndarray, weights: np.ndarray) -> None:
        self.rows, self.weights = rows, weights
        self._sum_up()

    def _sum_up(self) -> None:
        greatest = float(self.weights.max())
        if greatest == -math.inf:
            self.log_sum = greatest
            return
        self._sums = np.cumsum(np.exp(self.weights - greatest))
        self.log_sum = greatest + math.log(self._sums[-1])

    def draw(self, generator: np.random.Generator) -> tuple[int, float]:
        """Slot and logarithm of the weight of one of the observations."""
        at = int(np.searchsorted(self._sums, generator.random() * self._sums[-1], side="right"))
        self._last = min(at, len(self.rows) - 1)
        return int(self.rows[self._last]), float(self.weights[self._last])

    def take_away(self) -> None:
        """Take away the observation that was drawn last."""
        self.weights[self._last] = -math.inf
        self._sum_up()


class CellSearch:
    r"""Draws for one search key without looking at every observation.

    For each cell of the index it keeps the sum of :math:`e^{y \cdot z_t / T}` and the box around
    its observations. The box bounds the affinity to any place from above, so the product bounds the
    weight of the cell. Cells are drawn by their bounds, and an observation in each; it is accepted
    with the ratio of its affinity to the bound. Where it is refused, the cell is opened: all its
    weights are computed, and from then on its bound is their sum. What is accepted has exactly the
    distribution of the mixture.

    When the memory has changed, only the cells that changed are looked at again.

    Parameters
    ----------
    store : Store
    search_key : numpy.ndarray of shape (embed_dim,)
    temperature : float
    """

    def __init__(self, store: Store, search_key: np.ndarray, temperature: float) -> None:
        self._store = store
        self._key = torch.from_numpy(search_key).to(store.senses)
        self._temperature = temperature
        self._dim = store.locations.shape[1]
        self._start()

    def moved_to(self, store: Store) -> CellSearch:
        """Begin the same search in another store, so that the first draw there need not wait."""
        search = CellSearch(store, self._key.cpu().numpy(), self._temperature)
        search._follow()
        return search

    def _start(self) -> None:
        store = self._store
        self._generation = store.generation
        self._scores = np.empty(store.capacity)
        self._scored_at = np.full(store.capacity, -2)
        used = slice(0, store.used)
        self._scores[used] = (store.senses[used].detach() @ self._key).numpy()
        self._scored_at[used] = store.written_at[used]
        self._cells: list[Cell] = []
        self._contents: list[_Contents] = []
        self._position: dict[tuple[int, ...], int] = {}
        self._seen = -1
        self._log_sums = np.empty(0)
        self._boxes = np.empty((0, 4, self._dim))

    def _follow(self) -> None:
        """Take in what has changed since the last time."""
        store = self._store
        if store.generation != self._generation:
            self._start()
        index = store.index
        if index.changes == self._seen:
            return
        for name, cell in index.cells.items():
            if cell.changed_at > self._seen:
                self._take_in(name, cell)
        if len(self._cells) > len(index.cells):
            kept = [at for name, at in self._position.items() if name in index.cells]
            names = [name for name in self._position if name in index.cells]
            self._cells = [self._cells[at] for at in kept]
            self._contents = [self._contents[at] for at in kept]
            self._log_sums, self._boxes = self._log_sums[kept], self._boxes[kept]
            self._position = {name: at for at, name in enumerate(names)}
        self._seen = index.changes

    def _take_in(self, name: tuple[int, ...], cell: Cell) -> None:
        store, rows = self._store, cell.rows[: cell.size]
        stale = rows[self._scored_at[rows] != store.written_at[rows]]
        if len(stale):
            senses = store.senses[torch.from_numpy(stale)].detach()
            self._scores[stale] = (senses @ self._key).numpy()
            self._scored_at[stale] = store.written_at[stale]
        at = self._position.setdefault(name, len(self._cells))
        if at == len(self._cells):
            self._cells.append(cell)
            self._contents.append(_NOTHING)
            if at == len(self._log_sums):
                room = max(64, 2 * at)
                self._log_sums = np.resize(self._log_sums, room)
                self._boxes = np.resize(self._boxes, (room, 4, self._dim))
        self._cells[at] = cell
        sds = store.location_sds.detach().numpy()
        scores = self._scores[rows] / self._temperature
        greatest = scores.max()
        sums = np.cumsum(np.exp(scores - greatest))
        variances = np.square(sds[rows].astype(np.float64))
        self._contents[at] = _Contents(scores, sums, variances)
        self._log_sums[at] = greatest + math.log(sums[-1])
        places = cell.places[: cell.size]
        self._boxes[at] = (
            places.min(axis=0), places.max(axis=0), variances.min(axis=0), variances.max(axis=0)
        )  # fmt: skip

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
        count = len(self._cells)
        if count == 0:
            raise ValueError(_nothing_matches(number, 0))
        bounds = self._bounds(query, count)
        opened: dict[int, _Opened] = {}

        def open_cell(at: int) -> float:
            if at not in opened:
                opened[at] = self._open(query, at)
                bounds[at] = opened[at].log_sum
            return float(bounds[at])

        total = math.nan
        if with_total:
            # The greatest bounds first: what could matter beside the sum so far is opened.
            sum_so_far = -math.inf
            for at in np.argsort(-bounds):
                if bounds[at] < sum_so_far - _NEGLIGIBLE or bounds[at] == -math.inf:
                    break
                sum_so_far = float(np.logaddexp(sum_so_far, open_cell(int(at))))
            total = sum_so_far
        slots = np.empty(number, dtype=np.int64)
        log_weights = np.empty(number)
        done = 0
        while done < number:
            # Without replacement every draw changes the weights of the next.
            wanted = number - done if replacement else 1
            if bounds.max() == -math.inf:
                raise ValueError(_nothing_matches(number, done))
            cells = draw(bounds, wanted, True, generator)
            before = bounds[cells]
            if replacement:
                found, weights, chances = self._members(query, cells, before, opened, generator)
            else:
                found, weights = np.full(wanted, -1), np.full(wanted, math.nan)
                chances = np.zeros(wanted)
            accepted = generator.random(wanted) < chances
            # Where a member is refused the cell is opened, and from now on bounded by its weight.
            refused = cells[~accepted]
            for at in refused:
                open_cell(int(at))
            if not replacement and math.log(generator.random()) < bounds[cells[0]] - before[0]:
                cell = opened[int(cells[0])]
                found[0], weights[0] = cell.draw(generator)
                accepted[0] = True
                cell.take_away()
                bounds[cells[0]] = cell.log_sum
            new = slice(done, done + int(accepted.sum()))
            slots[new], log_weights[new] = found[accepted], weights[accepted]
            done = new.stop
        return slots, log_weights - total

    def _members(
        self,
        query: Query,
        cells: np.ndarray,
        bounds: np.ndarray,
        opened: dict[int, _Opened],
        generator: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw one observation from each cell, and say with which chance to accept it."""
        count = len(cells)
        slots, log_weights = np.empty(count, dtype=np.int64), np.empty(count)
        chances = np.ones(count)
        closed = np.array([int(at) not in opened for at in cells])
        for i in np.flatnonzero(~closed):
            slots[i], log_weights[i] = opened[int(cells[i])].draw(generator)
        for i in np.flatnonzero(closed):
            cell, sums = self._cells[cells[i]], self._contents[cells[i]].sums
            member = int(np.searchsorted(sums, generator.random() * sums[-1], side="right"))
            slots[i] = cell.rows[min(member, cell.size - 1)]
        own = slots[closed]
        log_weights[closed] = self._scores[own] / self._temperature + self._affinity(query, own)
        # The bound of a cell is its greatest affinity beside the sum of its other factors.
        slack = bounds[closed] - self._log_sums[cells[closed]]
        chances[closed] = np.exp(self._affinity(query, own) - slack)
        return slots, log_weights, chances

    def _affinity(self, query: Query, slots: np.ndarray) -> np.ndarray:
        """Log-affinities of observations over the temperature of the location; 0 without one."""
        if query.location is None or query.location_sd is None:
            return np.zeros(len(slots))
        where = torch.from_numpy(slots)
        locations = self._store.locations.detach()[where].double()
        sds = self._store.location_sds.detach()[where].double()
        place, sd = (torch.from_numpy(a)[None] for a in (query.location, query.location_sd))
        affinity = log_affinity(place, sd, locations, sds, query.match_threshold)[0]
        return affinity.numpy() / query.location_temperature

    def _bounds(self, query: Query, count: int) -> np.ndarray:
        """Upper bounds of the logarithms of the weights of the cells."""
        bounds = self._log_sums[:count].copy()
        if query.location is None or query.location_sd is None:
            return bounds
        low, high, least, greatest = (self._boxes[:count, part] for part in range(4))
        gaps = np.maximum(np.maximum(low - query.location, query.location - high), 0.0)
        variance = np.square(query.location_sd)
        affinity = -0.5 * (
            np.square(gaps) / (greatest + variance) + np.log(2 * math.pi * (least + variance))
        ).sum(axis=1)
        bounds += affinity / query.location_temperature
        if query.match_threshold is not None:
            far = np.square(gaps).sum(axis=1) > query.match_threshold**2 * (1 + 1e-9)
            bounds[far] = -math.inf
        return bounds

    def _open(self, query: Query, at: int) -> _Opened:
        cell = self._cells[at]
        rows = cell.rows[: cell.size]
        contents = self._contents[at]
        weights = contents.scores.copy()
        if query.location is not None and query.location_sd is not None:
            threshold = math.inf if query.match_threshold is None else query.match_threshold
            _add_affinity(
                weights, cell.places, contents.variances, query.location,
                np.square(query.location_sd), query.location_temperature, threshold**2,
            )  # fmt: skip
        return _Opened(rows, weights)


def _nothing_matches(number: int, possible: int) -> str:
    return (
        f"{number} samples were asked for, but only {possible} observations match. Write more "
        "observations, ask for fewer samples, or widen match_threshold."
    )


@compiled
def _add_affinity(
    weights: np.ndarray,
    places: np.ndarray,
    variances: np.ndarray,
    location: np.ndarray,
    location_variance: np.ndarray,
    location_temperature: float,
    threshold_squared: float,
) -> None:
    dim = places.shape[1]
    for j in range(len(weights)):
        squared, exponent, volume = 0.0, 0.0, 1.0
        for axis in range(dim):
            step = location[axis] - places[j, axis]
            variance = location_variance[axis] + variances[j, axis]
            squared += step * step
            exponent += step * step / variance
            volume *= 2.0 * math.pi * variance
        if squared <= threshold_squared:
            weights[j] -= 0.5 * (exponent + math.log(volume)) / location_temperature
        else:
            weights[j] = -np.inf


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
        near = np.square(locations - locations[best]).sum(axis=1) <= separation**2
        scores[near] = -math.inf
    return np.array(found, dtype=np.int64)
