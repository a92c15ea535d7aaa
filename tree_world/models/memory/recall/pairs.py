"""Reads that take the observations of each query one by one, and only those that matter to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tree_world.compiling import compiled, value
from tree_world.models.memory.kernel.affinity import (
    LEAST_VARIANCE,
    LOG_TWO_PI,
    limit_squared,
    log_affinities,
    log_affinities_within,
    prepare_affinities,
)
from tree_world.models.memory.recall.plan import BYTES, QUERIES, WEIGHT, group_size
from tree_world.models.memory.recall.planes import solve_positive
from tree_world.models.memory.recall.screening import (
    Boxes,
    Groups,
    boxes_that_matter,
    grouped,
    in_parallel,
)
from tree_world.models.memory.types import Observations, Read, ReadOptions


class TooManyPairs(Exception):
    """More pairs can matter than are worth being read one by one."""


@dataclass(frozen=True)
class Nearby:
    """How to find observations by their places.

    Attributes
    ----------
    rows : callable
        Of the observations within a distance of a box: (low corner, high corner, distance) -> rows.
    least_sd, greatest_sd : float
        Bounds of the deviations of all observations, in metres.
    """

    rows: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    least_sd: float
    greatest_sd: float


_USUAL_REACH = 6.0  # deviations, beyond which there is little weight

_LEVELS = 256  # steps of weight, each √e times the next, in which the least weights are summed


_Reach = Callable[[np.ndarray, np.ndarray], float]
"""How far from a box observations can matter, in metres: (low corner, high corner)."""

_ALONE = np.arange(2)  # edges of a box that is alone


def reach_of_weight(
    nearby: Nearby,
    variances: np.ndarray,
    observations: Observations,
    tail: float,
    with_nearest: bool,
) -> _Reach:
    r"""Find how far to look so that all that is farther away weighs less than the tail.

    Whatever lies within a doubling distance of the box bounds the best affinity from below, and the
    deviations bound that of all that is farther than R from above, by
    :math:`-R^2 / 2 v - \frac12 \sum_i \log v_i`, of as many observations as there are.

    Parameters
    ----------
    nearby : Nearby
    variances : numpy.ndarray of shape (n_queries, dim)
    observations : Observations
    tail : float
    with_nearest : bool
        Whether the nearest must be found, however little it weighs.
    """
    arrays = (observations.locations, observations.location_sds)
    locations, sds = (array.detach().numpy() for array in arrays)
    least, greatest = variances.min(axis=0), variances.max(axis=0)
    widest = float(greatest.max()) + nearby.greatest_sd * nearby.greatest_sd
    narrowest = np.maximum(least + nearby.least_sd * nearby.least_sd, LEAST_VARIANCE)
    above = math.log(len(observations)) - 0.5 * float(np.log(narrowest).sum()) - math.log(tail)
    start = math.sqrt(widest)

    def reach(low: np.ndarray, high: np.ndarray) -> float:
        distance, rows = start, np.empty(0, dtype=np.int64)
        while len(rows) == 0:
            if math.isinf(distance):
                return distance  # nothing is there
            rows = nearby.rows(low, high, distance)
            distance *= 2
        rows = rows[:: max(1, len(rows) // 64)]
        places, own = locations[rows].astype(np.float64), np.square(sds[rows].astype(np.float64))
        far = np.maximum(np.abs(places - low), np.abs(high - places))
        least_variances = np.maximum(least + own, LEAST_VARIANCE)
        affinity = -0.5 * (far**2 / least_variances + np.log(greatest + own)).sum(axis=1)
        found = math.sqrt(max(0.0, 2 * widest * (above - float(affinity.max()))))
        diagonal = float(np.linalg.norm(high - low))
        return max(found, distance / 2 + diagonal) if with_nearest else found

    return reach


@dataclass(frozen=True)
class _Candidates:
    """What can matter to which queries.

    Group g of queries may read the boxes ``boxes[box_edges[g]:box_edges[g + 1]]``, and box b holds
    the observations ``rows[edges[b]:edges[b + 1]]``.
    """

    groups: Groups
    boxes: np.ndarray
    box_edges: np.ndarray
    rows: np.ndarray
    edges: np.ndarray

    @property
    def numbers(self) -> np.ndarray:
        """How many observations each group of queries may read."""
        if len(self.boxes) == len(self.groups) == 1:
            return self.edges[1:]
        ends = np.concatenate([[0], np.cumsum(np.diff(self.edges)[self.boxes])])
        return np.diff(ends[self.box_edges])

    @classmethod
    def in_boxes(
        cls,
        places: np.ndarray,
        variances: np.ndarray,
        observations: Observations,
        options: ReadOptions,
    ) -> _Candidates:
        """Gather queries and observations into groups, and compare the boxes around them."""
        groups = Groups.of_neighbours(places, QUERIES)
        rows, parts, boxes = grouped(observations)
        own, tail = Boxes.around(places, variances, groups), options.tail / 2
        kept = boxes_that_matter(
            own, boxes, parts.sizes, options.match_threshold, tail, options.support
        )
        box_edges = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        return cls(groups, np.nonzero(kept)[1], box_edges, rows, parts.edges)

    @classmethod
    def near(
        cls,
        places: np.ndarray,
        nearby: Nearby,
        reach: _Reach,
        together: int,
        memory_limit: int,
    ) -> Iterator[_Candidates]:
        """Find what is within reach of groups, of as many at a time as the limit allows."""
        groups = Groups.of_neighbours(places, together)
        if len(groups) == 1:  # as in a step of a life, where each call counts
            low, high = places.min(axis=0), places.max(axis=0)
            rows = nearby.rows(low, high, reach(low, high))
            yield cls(groups, _ALONE[:-1], _ALONE, rows, np.array([0, len(rows)]))
            return
        own, starts, last_of_all = places[groups.rows], groups.edges[:-1], len(groups.edges) - 2
        low, high = np.minimum.reduceat(own, starts), np.maximum.reduceat(own, starts)
        found: list[np.ndarray] = []
        number, first = 0, 0
        for last in range(last_of_all + 1):
            rows = nearby.rows(low[last], high[last], reach(low[last], high[last]))
            found.append(rows)
            number += len(rows)
            if last == last_of_all or 2 * number * rows.itemsize > memory_limit // 2:
                count = len(found)
                edges = np.concatenate([[0], np.cumsum(list(map(len, found)))])
                run = Groups(groups.rows, groups.edges[first : last + 2])
                alone = np.arange(count + 1)
                yield cls(run, alone[:-1], alone, np.concatenate(found), edges)
                found, number, first = [], 0, last + 1


def read_pairs(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    nearby: Nearby | None = None,
    most: float = math.inf,
) -> Read | None:
    """Read locally constant means, or planes, on the CPU.

    Boxes around groups of neighbours, or the index, tell which observations can matter to which
    queries. A compiled loop then goes through those of each query: affinities in double precision,
    weights relative to the greatest, and the weighted sum of all but the least weights.

    Parameters
    ----------
    places, sds, observations, options
        As for `tree_world.models.memory.recall.reading.read`.
    nearby : Nearby, optional
        Finds the observations that can matter, so that no groups of them need be formed.
    most : float, optional
        Number of pairs beyond which not to read.

    Returns
    -------
    Read or None
        None where the memory limit is too low.

    Raises
    ------
    TooManyPairs
        If more pairs than `most` can matter.
    """
    queries = places.detach().numpy().astype(np.float64)
    variances = np.square(sds.detach().numpy().astype(np.float64))
    arrays = (observations.locations, observations.location_sds, observations.senses)
    locations, location_sds, senses = (array.detach().numpy() for array in arrays)
    if nearby is not None:
        if options.match_threshold is None:
            reach = reach_of_weight(
                nearby, variances, observations, options.tail / 2, options.support
            )
            usual_reach = _USUAL_REACH * math.hypot(
                math.sqrt(float(variances.max())), nearby.greatest_sd
            )
        else:
            threshold = usual_reach = options.match_threshold

            def reach(low: np.ndarray, high: np.ndarray) -> float:
                return threshold

        together = group_size(queries, locations, usual_reach)
        runs = _Candidates.near(queries, nearby, reach, together, options.memory_limit)
    else:
        runs = iter([_Candidates.in_boxes(queries, variances, observations, options)])
    dtype = torch.empty(0, dtype=observations.precision).numpy().dtype
    if senses.dtype == np.float16:
        senses = senses.view(np.uint16)  # as compiled functions know it
    # By NumPy: PyTorch's threads, which fill large arrays, go on spinning where ours want to work.
    mean = np.zeros((len(queries), senses.shape[1]), dtype=dtype)
    known = np.zeros(len(queries), dtype=np.bool_)
    support = np.empty((3, len(queries)), dtype=dtype)
    support[:] = np.array([[0.0], [np.inf], [np.inf]]) if options.support else np.nan
    log_weight = np.full(len(queries), -np.inf)
    limit = limit_squared(options.match_threshold, observations.locations.dtype)

    for candidates in runs:
        numbers = candidates.numbers
        pairs = float(candidates.groups.sizes @ numbers)
        threads = options.memory_limit // (BYTES * max(int(numbers.max()), 1))
        if pairs > most * candidates.groups.sizes.sum() / len(queries):
            raise TooManyPairs
        if threads == 0:
            return None

        def fill(first: int, stride: int, own: _Candidates = candidates) -> None:
            _fill_reads(
                first,
                stride,
                queries,
                variances,
                own.groups.rows,
                own.groups.edges,
                own.boxes,
                own.box_edges,
                own.rows,
                own.edges,
                locations,
                location_sds,
                senses,
                limit,
                options.tail / 2,
                options.support,
                options.order == "linear",
                options.ridge,
                mean,
                known,
                support,
                log_weight,
            )

        in_parallel(fill, len(numbers), pairs * max(senses.shape[1], WEIGHT), threads)
    sample_size, spread, nearest = (torch.from_numpy(array) for array in support)
    return Read(
        torch.from_numpy(mean),
        torch.from_numpy(known),
        sample_size,
        spread,
        nearest,
        torch.from_numpy(log_weight),
        options.order,
    )


# --- compiled ------------------------------------------------------------------------------------


@compiled
def _add_weighted(
    mean: np.ndarray,
    sums: np.ndarray,
    shares: np.ndarray,
    matching: np.ndarray,
    number: int,
    senses: np.ndarray,
) -> None:
    """Add up weighted senses, eight at a time, so that the sum is read and written less often.

    After some dozens the sum goes on from zero, and what it was into one in double precision: many
    that are alike would lose digits.

    Nowhere is a row taken out of `senses`: that would count references to it, and threads that
    count the same ones wait for each other.
    """
    width = senses.shape[1]
    sums[:] = 0.0
    j = 0
    while j + 8 <= number:
        a, b, c, d = matching[j], matching[j + 1], matching[j + 2], matching[j + 3]
        e, f, g, h = matching[j + 4], matching[j + 5], matching[j + 6], matching[j + 7]
        p, q, r, s = shares[j], shares[j + 1], shares[j + 2], shares[j + 3]
        t, u, v, w = shares[j + 4], shares[j + 5], shares[j + 6], shares[j + 7]
        for k in range(width):
            first = p * value(senses[a, k]) + q * value(senses[b, k])
            second = r * value(senses[c, k]) + s * value(senses[d, k])
            third = t * value(senses[e, k]) + u * value(senses[f, k])
            fourth = v * value(senses[g, k]) + w * value(senses[h, k])
            mean[k] += (first + second) + (third + fourth)
        j += 8
        if j % 64 == 0:
            for k in range(width):
                sums[k] += mean[k]
                mean[k] = 0.0
    while j < number:
        a, p = matching[j], shares[j]
        for k in range(width):
            mean[k] += p * value(senses[a, k])
        j += 1
    if number >= 64:
        for k in range(width):
            mean[k] += sums[k]


@compiled
def _variance(
    mean: np.ndarray,
    sums: np.ndarray,
    shares: np.ndarray,
    matching: np.ndarray,
    number: int,
    senses: np.ndarray,
) -> float:
    """Variance around the mean, which loses what rounding has done to it on the way."""
    variance, moved = 0.0, 0.0
    sums[:] = 0.0
    for j in range(number):
        row, square, share = matching[j], 0.0, np.float64(shares[j])
        for k in range(len(mean)):
            step = np.float64(value(senses[row, k])) - mean[k]
            square += step * step
            sums[k] += share * step
        variance += share * square
    for k in range(len(mean)):
        moved += sums[k] * sums[k]
        mean[k] += sums[k]
    # Of senses that are all alike nothing is left but the rounding of their shares.
    return variance - moved if variance - moved > 1e-6 * moved else 0.0


@compiled
def _find_slopes(
    place: np.ndarray,
    variances: np.ndarray,
    locations: np.ndarray,
    location_sds: np.ndarray,
    matching: np.ndarray,
    weights: np.ndarray,
    number: int,
    total: float,
    ridge: float,
    centre: np.ndarray,
    matrix: np.ndarray,
    slopes: np.ndarray,
) -> None:
    """Find the mean of the places around one, and how much their planes rise from there to it."""
    dim = len(place)
    centre[:] = 0.0
    matrix[:] = 0.0
    for j in range(number):
        row, share = matching[j], weights[j] / total
        for a in range(dim):
            centre[a] += share * (np.float64(locations[row, a]) - place[a])
    for j in range(number):
        row, share = matching[j], weights[j] / total
        for a in range(dim):
            step = np.float64(locations[row, a]) - place[a] - centre[a]
            own = np.float64(location_sds[row, a])
            matrix[a, a] += ridge * share * (own * own + variances[a])
            for b in range(a + 1):
                other = np.float64(locations[row, b]) - place[b] - centre[b]
                matrix[a, b] += share * step * other
    for a in range(dim):
        slopes[a, 0] = centre[a]
    solve_positive(matrix, slopes)


@compiled
def _tilt(
    place: np.ndarray,
    locations: np.ndarray,
    senses: np.ndarray,
    matching: np.ndarray,
    weights: np.ndarray,
    number: int,
    total: float,
    centre: np.ndarray,
    slopes: np.ndarray,
    sums: np.ndarray,
    mean: np.ndarray,
) -> None:
    """Add to the mean what the plane through the senses differs from it at the place."""
    sums[:] = 0.0
    for j in range(number):
        row, factor = matching[j], 0.0
        for a in range(len(place)):
            factor -= slopes[a, 0] * (np.float64(locations[row, a]) - place[a] - centre[a])
        factor *= weights[j] / total
        for k in range(len(mean)):
            sums[k] += factor * value(senses[row, k])
    for k in range(len(mean)):
        mean[k] += sums[k]


@compiled
def _fill_reads(
    first: int,
    stride: int,
    queries: np.ndarray,
    query_variances: np.ndarray,
    query_rows: np.ndarray,
    query_edges: np.ndarray,
    boxes: np.ndarray,
    box_edges: np.ndarray,
    rows: np.ndarray,
    edges: np.ndarray,
    locations: np.ndarray,
    location_sds: np.ndarray,
    senses: np.ndarray,
    threshold_squared: float,
    tail: float,
    with_support: bool,
    is_linear: bool,
    ridge: float,
    mean: np.ndarray,
    known: np.ndarray,
    support: np.ndarray,
    log_weight: np.ndarray,
) -> None:
    dim = queries.shape[1]
    room = 1
    for group in range(first, len(query_edges) - 1, stride):
        number = 0
        for at in range(box_edges[group], box_edges[group + 1]):
            number += edges[boxes[at] + 1] - edges[boxes[at]]
        room = max(room, number)
    chosen, within = np.empty(room, np.int64), np.empty(room, np.int64)
    places, precisions = np.empty((dim, room)), np.empty((dim, room))
    norms, affinities, distances = np.empty(room), np.empty(room), np.empty(room)
    matching, levels = np.empty(room, np.int64), np.empty(room, np.int64)
    weights = np.empty(room)
    shares = np.empty(room, mean.dtype)
    sums = np.empty(mean.shape[1])
    centre, matrix, slopes = np.empty(dim), np.empty((dim, dim)), np.empty((dim, 1))
    steps = np.zeros(_LEVELS)
    for group in range(first, len(query_edges) - 1, stride):
        number = 0
        for at in range(box_edges[group], box_edges[group + 1]):
            for row in range(edges[boxes[at]], edges[boxes[at] + 1]):
                chosen[number] = rows[row]
                number += 1
        before = -1
        for position in range(query_edges[group], query_edges[group + 1]):
            query = query_rows[position]
            own = query if len(query_variances) > 1 else 0
            if own != before:
                before = own
                prepare_affinities(
                    query_variances[own],
                    locations,
                    location_sds,
                    chosen,
                    number,
                    places,
                    precisions,
                    norms,
                )
            if threshold_squared == np.inf:
                log_affinities(
                    queries[query], places, precisions, norms, number, affinities, distances
                )
                near, num_near = chosen, number
            else:
                num_near = log_affinities_within(
                    queries[query],
                    places,
                    precisions,
                    norms,
                    number,
                    threshold_squared,
                    chosen,
                    affinities,
                    distances,
                    within,
                )
                near = within
            best = -np.inf
            for j in range(num_near):
                best = max(best, affinities[j])
            if best == -np.inf:
                continue
            # Weights so small that all of them together could not matter are not computed.
            least = best + math.log(tail / (2 * num_near))
            count, total, deepest = 0, 0.0, 0
            for j in range(num_near):
                if affinities[j] >= least:
                    weight = math.exp(affinities[j] - best)
                    level = min(int(2.0 * (best - affinities[j])), _LEVELS - 1)
                    steps[level] += weight
                    deepest = max(deepest, level)
                    total += weight
                    matching[count] = near[j]
                    levels[count] = level
                    weights[count] = weight
                    count += 1
            # With what goes below, as its weight is known.
            log_weight[query] = best + math.log(total) - 0.5 * dim * LOG_TWO_PI
            # Of the rest, the least go as long as what goes stays below the tail.
            level, dropped = deepest, steps[deepest]
            while level > 0 and dropped <= 0.5 * tail * total:
                level -= 1
                dropped += steps[level]
            steps[: deepest + 1] = 0.0
            total = 0.0
            number_kept = 0
            for j in range(count):
                if levels[j] <= level:
                    matching[number_kept] = matching[j]
                    weights[number_kept] = weights[j]
                    total += weights[j]
                    number_kept += 1
            for j in range(number_kept):
                shares[j] = weights[j] / total
            known[query] = True
            _add_weighted(mean[query], sums, shares, matching, number_kept, senses)
            if with_support:
                squares, nearest = 0.0, np.inf
                for j in range(number_kept):
                    squares += (weights[j] / total) ** 2
                for j in range(num_near):
                    if affinities[j] > -np.inf:
                        nearest = min(nearest, distances[j])
                support[0, query] = 1.0 / squares
                support[1, query] = math.sqrt(
                    _variance(mean[query], sums, shares, matching, number_kept, senses)
                )
                support[2, query] = math.sqrt(nearest)
            if is_linear:
                _find_slopes(
                    queries[query],
                    query_variances[own],
                    locations,
                    location_sds,
                    matching,
                    weights,
                    number_kept,
                    total,
                    ridge,
                    centre,
                    matrix,
                    slopes,
                )
                _tilt(
                    queries[query],
                    locations,
                    senses,
                    matching,
                    weights,
                    number_kept,
                    total,
                    centre,
                    slopes,
                    sums,
                    mean[query],
                )
