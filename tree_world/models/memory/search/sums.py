"""What a search knows of the cells of the index: sums of weights, and bounds of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tree_world.compiling import compiled, twice_as_long
from tree_world.models.memory.index.cells import BUCKET, CHILD, COUNT, Tree
from tree_world.models.memory.kernel.affinity import log_affinity_of
from tree_world.models.memory.kernel.bounds import greatest_log_affinity


class Sums(NamedTuple):
    """What a search knows of each slot, and of each node of the index, at a temperature.

    Attributes
    ----------
    scores : numpy.ndarray of shape (capacity,)
        Products of senses and key.
    temperature : float
        As the precision of the scores has it.
    log_sums : numpy.ndarray of shape (nodes,)
        Logarithms of the sums of e to the scores over the temperature.
    boxes : numpy.ndarray of shape (nodes, 4, dim)
        Least and greatest place, least and greatest variance.
    """

    scores: np.ndarray
    temperature: float
    log_sums: np.ndarray
    boxes: np.ndarray


class Target(NamedTuple):
    """A place to draw near, as compiled functions take it.

    Attributes
    ----------
    here : bool
        Whether there is one.
    location, variance : numpy.ndarray of shape (dim,)
    temperature, threshold_squared : float
    """

    here: bool
    location: np.ndarray
    variance: np.ndarray
    temperature: float
    threshold_squared: float


@compiled
def changed_nodes(tree: Tree, seen: int) -> np.ndarray:
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
            found = twice_as_long(found)
        for node in range(child, child + 2):
            if tree.changed[node] > seen:
                found[number] = node
                number += 1
    return found[:number]


@compiled
def rows_written_since(
    tree: Tree, nodes: np.ndarray, written_at: np.ndarray, clock: int
) -> np.ndarray:
    """Rows in the finest of some nodes that were written at a time or later."""
    found, number = np.empty(64, np.int64), 0
    for node in nodes:
        if tree.links[node, CHILD] >= 0:
            continue
        while number + tree.rows.shape[1] > len(found):
            found = twice_as_long(found)
        for i in range(tree.links[node, COUNT]):
            row = tree.rows[tree.links[node, BUCKET], i]
            if written_at[row] >= clock:
                found[number] = row
                number += 1
    return found[:number]


@compiled
def box_up(tree: Tree, nodes: np.ndarray, boxes: np.ndarray, sds: np.ndarray) -> None:
    """Bring the boxes around nodes up to date, those below first."""
    links, dim = tree.links, sds.shape[1]
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
            continue
        bucket = links[node, BUCKET]
        for i in range(links[node, COUNT]):
            row = tree.rows[bucket, i]
            for axis in range(dim):
                place, sd = np.float64(tree.places[bucket, i, axis]), np.float64(sds[row, axis])
                boxes[node, 0, axis] = min(boxes[node, 0, axis], place)
                boxes[node, 1, axis] = max(boxes[node, 1, axis], place)
                boxes[node, 2, axis] = min(boxes[node, 2, axis], sd * sd)
                boxes[node, 3, axis] = max(boxes[node, 3, axis], sd * sd)


@compiled
def tempered(sums: Sums, row: int) -> float:
    """Score of a slot over the temperature, rounded to the precision of scores."""
    scores = sums.scores
    return float(scores.dtype.type(np.float64(scores[row]) / sums.temperature))


@compiled
def sum_up(tree: Tree, nodes: np.ndarray, sums: Sums) -> None:
    """Bring the sums of nodes up to date, those below first."""
    links, log_sums, own = tree.links, sums.log_sums, np.empty(tree.rows.shape[1])
    for at in range(len(nodes) - 1, -1, -1):
        node = nodes[at]
        if links[node, CHILD] >= 0:
            pair = links[node, CHILD]
            log_sums[node] = np.logaddexp(log_sums[pair], log_sums[pair + 1])
            continue
        count, bucket = links[node, COUNT], links[node, BUCKET]
        greatest, total = -np.inf, 0.0
        for i in range(count):
            own[i] = tempered(sums, tree.rows[bucket, i])
            greatest = max(greatest, own[i])
        for i in range(count):
            total += math.exp(own[i] - greatest)
        log_sums[node] = greatest + math.log(total) if count > 0 else -np.inf


@compiled
def log_affinity(target: Target, place: np.ndarray, sd: np.ndarray) -> float:
    """Log-affinity of an observation over the temperature of the location; 0 without one."""
    if not target.here:
        return 0.0
    limit = target.threshold_squared
    own = log_affinity_of(target.location, target.variance, place, sd, limit)
    return own / target.temperature


@compiled
def greatest_affinity(target: Target, box: np.ndarray) -> float:
    """Upper bound of the log-affinities of all observations in a box, over the temperature."""
    if not target.here:
        return 0.0
    limit = target.threshold_squared
    return greatest_log_affinity(target.location, target.variance, box, limit) / target.temperature


@compiled
def bound(sums: Sums, target: Target, node: int) -> float:
    """Upper bound of the logarithm of the weight of a cell."""
    if sums.log_sums[node] == -np.inf:
        return -np.inf
    return float(sums.log_sums[node]) + greatest_affinity(target, sums.boxes[node])


@compiled
def weigh(
    tree: Tree, sums: Sums, sds: np.ndarray, target: Target, node: int, weights: np.ndarray
) -> float:
    """Compute the logarithms of all weights in one of the finest cells, and of their sum."""
    bucket, count = tree.links[node, BUCKET], tree.links[node, COUNT]
    for i in range(count):
        row = tree.rows[bucket, i]
        weights[i] = tempered(sums, row) + log_affinity(target, tree.places[bucket, i], sds[row])
    return log_sum(weights[:count])


@compiled
def log_sum(weights: np.ndarray) -> float:
    """Logarithm of the sum of e to some weights."""
    greatest, total = -np.inf, 0.0
    for weight in weights:
        greatest = max(greatest, weight)
    if greatest == -np.inf:
        return -np.inf
    for weight in weights:
        total += math.exp(weight - greatest)
    return greatest + math.log(total)
