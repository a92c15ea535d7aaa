"""Finding the observations near a place, in a memory that grows by one each step."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tree_world.checks import positive_distance
from tree_world.compiling import compiled, twice_as_long

FULL = 64
"""Most rows in a cell. Compiled functions take it from the shape of `Tree.rows`."""

_LEAST_SIZE, _GREATEST_SIZE = 1e-30, 1e30  # of cells; beyond, numbers would soon end
_FINEST = 16  # cells are halved in space down to this part of `cell_size`, then by row number

CHILD, BUCKET, COUNT, AXIS = range(4)
"""Columns of `Tree.links`: first of two children, bucket, rows below, axis of the split."""

_GREATEST = 1.7e308  # nearly the greatest number there is

_NODES, _FREE_NODES, _BUCKETS, _FREE_BUCKETS = range(4)  # of `Tree.used`


class Tree(NamedTuple):
    """The arrays of a `GridIndex`, as compiled functions take them. Node 0 is the root.

    Attributes
    ----------
    links : numpy.ndarray of int32, of shape (room, 4)
        −1 where a node has no children, or no bucket.
    splits : numpy.ndarray of shape (room,)
        Where the cell of a node is halved: what lies at or above it is in the second child.
    changed : numpy.ndarray of int64, of shape (room,)
        Which of the changes of the index was the last to touch a node, or a node below it.
    rows : numpy.ndarray of int32, of shape (buckets, FULL)
    places : numpy.ndarray of shape (buckets, FULL, dim)
        Of the rows, in metres.
    frame : numpy.ndarray of shape (2, dim)
        Low and high corner of the root's cell.
    used : numpy.ndarray of int64, of shape (4,)
        How many nodes and buckets were ever used, and the first of those that are free again.
    """

    links: np.ndarray
    splits: np.ndarray
    changed: np.ndarray
    rows: np.ndarray
    places: np.ndarray
    frame: np.ndarray
    used: np.ndarray


class GridIndex:
    """A grid that is the finer, the more there is: cells that are full are halved.

    Adding a row, or taking one away, touches the cells around one place, from the whole down to the
    finest, so no step ever waits for the index to be built anew. What is where alone decides how
    deep that goes, not the order in which it came, so a straight walk makes no long branches. Where
    hundreds of rows lie in one spot, which cannot be halved, their numbers are.

    Parameters
    ----------
    cell_size : float, default=25.0
        A distance in metres that is usually asked for. Cells are halved down to a sixteenth of it.

    Attributes
    ----------
    tree : Tree
        All cells.
    changes : int
        How often rows were added or taken away.

    Raises
    ------
    ValueError
        If `cell_size` is not from 1e-30 to 1e30 metres.

    Examples
    --------
    >>> import numpy as np
    >>> index = GridIndex(cell_size=10.0)
    >>> index.add(np.array([0, 1]), np.array([[0.0, 0.0], [30.0, 0.0]]))
    >>> index.near_box(np.array([1.0, 1.0]), np.array([2.0, 2.0]), 5.0)
    array([0])
    """

    def __init__(self, cell_size: float = 25.0) -> None:
        self.cell_size = positive_distance("cell_size", cell_size)
        if not _LEAST_SIZE <= self.cell_size <= _GREATEST_SIZE:
            raise ValueError(
                f"cell_size must lie between {_LEAST_SIZE} and {_GREATEST_SIZE} metres, but "
                f"{cell_size} was given. Choose a distance that is usually asked for, such as 25.0."
            )
        self.changes = 0
        self.tree = _empty(1, np.dtype(np.float64))

    def add(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Add rows.

        Parameters
        ----------
        rows : numpy.ndarray of int, of shape (n,)
            None of them in the index yet; each less than 2³¹.
        places : numpy.ndarray of shape (n, dim)
            In metres. Those of the first call say in which precision places are kept.
        """
        if len(rows) == 0:
            return
        if self.changes == 0:
            self.tree = _empty(places.shape[1], places.dtype)
        self.changes += 1
        places = np.ascontiguousarray(places, dtype=self.tree.places.dtype)
        done = 0
        while done < len(rows):
            done = _insert_all(self.tree, rows, places, done, self.changes, self._least_side)
            if done < len(rows):
                self.tree = _with_more_room(self.tree, len(rows) - done)

    def remove(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Take rows away.

        Parameters
        ----------
        rows : numpy.ndarray of int, of shape (n,)
        places : numpy.ndarray of shape (n, dim)
            Where they were when they were added.

        Raises
        ------
        KeyError
            If a row is not there; those before it are gone then.
        """
        if len(rows) == 0:
            return
        self.changes += 1
        places = np.ascontiguousarray(places, dtype=self.tree.places.dtype)
        done = _remove_all(self.tree, rows, places, self.changes)
        if done < len(rows):
            raise KeyError(
                f"row {rows[done]} is not in the index at {places[done].tolist()}: it was never "
                "added, or its place has been changed since."
            )

    def near_box(self, low: np.ndarray, high: np.ndarray, distance: float) -> np.ndarray:
        """Rows within a distance of a box.

        Parameters
        ----------
        low, high : numpy.ndarray of shape (dim,)
            Corners of the box, in metres; equal for a single place.
        distance : float
            In metres.

        Returns
        -------
        numpy.ndarray of int
            In no particular order.
        """
        if self.tree.links[0, COUNT] == 0:
            return np.empty(0, dtype=np.int64)
        low, high = (np.asarray(corner, dtype=np.float64) for corner in (low, high))
        return near_box(self.tree, low, high, distance * (1 + 1e-6))

    @property
    def nbytes(self) -> int:
        """Bytes of the cells that are in use."""
        nodes, buckets = int(self.tree.used[_NODES]), int(self.tree.used[_BUCKETS])
        by_node = (self.tree.links, self.tree.splits, self.tree.changed)
        by_bucket = (self.tree.rows, self.tree.places)
        return sum(a[:nodes].nbytes for a in by_node) + sum(a[:buckets].nbytes for a in by_bucket)

    @property
    def _least_side(self) -> float:
        return self.cell_size / _FINEST


def _empty(dim: int, dtype: np.dtype) -> Tree:
    kept = dtype if dtype in (np.float32, np.float64) else np.dtype(np.float64)
    tree = _of_size(64, 8, FULL, dim, kept)
    tree.links[0] = (-1, -1, 0, 0)
    tree.changed[0] = 0
    tree.frame[:] = 0.0
    tree.used[:] = (1, -1, 0, -1)
    return tree


def _of_size(nodes: int, buckets: int, full: int, dim: int, dtype: np.dtype) -> Tree:
    # What is not used yet takes no memory.
    return Tree(
        np.empty((nodes, 4), dtype=np.int32),
        np.empty(nodes),
        np.empty(nodes, dtype=np.int64),
        np.empty((buckets, full), dtype=np.int32),
        np.empty((buckets, full, dim), dtype=dtype),
        np.empty((2, dim)),
        np.empty(4, dtype=np.int64),
    )


def _with_more_room(tree: Tree, number: int) -> Tree:
    """Copy a tree into larger arrays, with room for some more rows at least."""
    full = tree.rows.shape[1]
    more = number // (full // 2)
    nodes, buckets = 2 * len(tree.links) + 2 * more, 2 * len(tree.rows) + more
    larger = _of_size(nodes, buckets, full, tree.frame.shape[1], tree.places.dtype)
    for new, old in zip(larger, tree, strict=True):
        new[: len(old)] = old
    return larger


# --- compiled ------------------------------------------------------------------------------------


@compiled
def _insert_all(
    tree: Tree, rows: np.ndarray, places: np.ndarray, first: int, change: int, least_side: float
) -> int:
    """Insert rows from the first on, as long as there is room, and say how far that went."""
    for i in range(first, len(rows)):
        if tree.links[0, COUNT] == 0:  # begin with one cell around the first place
            for axis in range(places.shape[1]):
                side = 16.0 * least_side
                low = math.floor(places[i, axis] / side) * side
                tree.frame[0, axis] = min(low, np.float64(places[i, axis]))
                tree.frame[1, axis] = max(low + side, np.nextafter(places[i, axis], np.inf))
        if not _has_room(tree, places[i], least_side):
            return i
        _widen(tree, places[i], change)
        _insert(tree, rows[i], places[i], change, least_side)
    return len(rows)


@compiled
def _has_room(tree: Tree, place: np.ndarray, least_side: float) -> bool:
    """Tell whether there is room for all nodes that one more row could ask for."""
    levels = 64.0
    for axis in range(len(place)):
        side = max(tree.frame[1, axis], place[axis]) - min(tree.frame[0, axis], place[axis])
        side = min(side, _GREATEST)  # which may have overflowed
        levels += 2.0 * max(0.0, 2.0 + math.log2(side) - math.log2(least_side))
    used = tree.used
    room = used[_NODES] + 2 * levels <= len(tree.links) and used[_BUCKETS] + 2 <= len(tree.rows)
    return bool(room)


@compiled
def _widen(tree: Tree, place: np.ndarray, change: int) -> None:
    """Double the cell of the root, axis by axis, until a place lies in it.

    Or until the cell has no end on that side, for which 2,100 doublings do.
    """
    links, frame = tree.links, tree.frame
    for axis in range(len(place)):
        while not frame[0, axis] <= place[axis] < frame[1, axis]:
            below = place[axis] < frame[0, axis]
            if np.isinf(frame[0, axis] if below else frame[1, axis]):
                break
            side = frame[1, axis] - frame[0, axis]
            edge = frame[0, axis] if below else frame[1, axis]
            if below:
                frame[0, axis] -= side
            else:
                frame[1, axis] += side
            if links[0, CHILD] < 0:
                continue
            pair = _new_pair(tree, change)  # the root becomes one half of a new root
            old = pair + 1 if below else pair
            for column in range(links.shape[1]):
                links[old, column] = links[0, column]
            tree.splits[old] = tree.splits[0]
            links[0, CHILD], links[0, AXIS] = pair, axis
            tree.splits[0] = edge


@compiled
def _insert(tree: Tree, row: int, place: np.ndarray, change: int, least_side: float) -> None:
    links, dim = tree.links, len(place)
    low, high = tree.frame[0].copy(), tree.frame[1].copy()
    bit = 0  # of row numbers, by which to halve next
    node = 0
    while True:
        tree.changed[node] = change
        if links[node, CHILD] < 0:
            if links[node, COUNT] < tree.rows.shape[1]:
                break
            _split(tree, node, low, high, bit, change, least_side)
        links[node, COUNT] += 1
        axis, upper = links[node, AXIS], _half(tree, node, row, place)
        if axis >= dim:
            bit = axis - dim + 1
        elif upper == 1:
            low[axis] = tree.splits[node]
        else:
            high[axis] = tree.splits[node]
        node = links[node, CHILD] + upper
    if links[node, BUCKET] < 0:
        links[node, BUCKET] = _new_bucket(tree)
    _append(tree, node, row, place)


@compiled
def _half(tree: Tree, node: int, row: int, place: np.ndarray) -> int:
    """In which child of a node a row belongs: 0 or 1."""
    axis = tree.links[node, AXIS]
    if axis < len(place):
        return 1 if place[axis] >= tree.splits[node] else 0
    return int((row >> (axis - len(place))) & 1)


@compiled
def _append(tree: Tree, node: int, row: int, place: np.ndarray) -> None:
    bucket, at = tree.links[node, BUCKET], tree.links[node, COUNT]
    tree.rows[bucket, at] = row
    for axis in range(len(place)):
        tree.places[bucket, at, axis] = place[axis]
    tree.links[node, COUNT] = at + 1


@compiled
def _split(
    tree: Tree,
    node: int,
    low: np.ndarray,
    high: np.ndarray,
    bit: int,
    change: int,
    least_side: float,
) -> None:
    """Halve a full cell along its longest side, or by row numbers where it is too small."""
    links, dim = tree.links, len(low)
    axis = 0
    for other in range(dim):
        if high[other] - low[other] > high[axis] - low[axis]:
            axis = other
    middle = 0.5 * low[axis] + 0.5 * high[axis]
    if high[axis] - low[axis] <= least_side or not low[axis] < middle < high[axis]:
        axis = dim + bit
    links[node, AXIS] = axis
    tree.splits[node] = middle
    pair, bucket = _new_pair(tree, change), links[node, BUCKET]
    links[node, CHILD], links[node, BUCKET] = pair, -1
    links[pair, BUCKET], links[pair + 1, BUCKET] = bucket, _new_bucket(tree)
    for i in range(tree.rows.shape[1]):  # the first child goes on with the bucket
        row, place = tree.rows[bucket, i], tree.places[bucket, i]
        _append(tree, pair + _half(tree, node, row, place), row, place)
    for child in range(pair, pair + 2):
        if links[child, COUNT] == 0:
            _free_bucket(tree, child)


@compiled
def _new_pair(tree: Tree, change: int) -> int:
    used = tree.used
    pair = int(used[_FREE_NODES])
    if pair >= 0:
        used[_FREE_NODES] = tree.links[pair, CHILD]
    else:
        pair = int(used[_NODES])
        used[_NODES] += 2
    for node in range(pair, pair + 2):
        tree.links[node, CHILD], tree.links[node, BUCKET] = -1, -1
        tree.links[node, COUNT], tree.links[node, AXIS] = 0, 0
        tree.changed[node] = change
    return pair


@compiled
def _new_bucket(tree: Tree) -> int:
    used = tree.used
    bucket = int(used[_FREE_BUCKETS])
    if bucket >= 0:
        used[_FREE_BUCKETS] = tree.rows[bucket, 0]
    else:
        bucket = int(used[_BUCKETS])
        used[_BUCKETS] += 1
    return bucket


@compiled
def _free_bucket(tree: Tree, node: int) -> None:
    bucket = tree.links[node, BUCKET]
    tree.rows[bucket, 0] = tree.used[_FREE_BUCKETS]
    tree.used[_FREE_BUCKETS] = bucket
    tree.links[node, BUCKET] = -1


@compiled
def _remove_all(tree: Tree, rows: np.ndarray, places: np.ndarray, change: int) -> int:
    """Take rows away up to the first that is not there, and say how far that went."""
    for i in range(len(rows)):
        if not _remove(tree, rows[i], places[i], change):
            return i
    return len(rows)


@compiled
def _remove(tree: Tree, row: int, place: np.ndarray, change: int) -> bool:
    links = tree.links
    node = 0
    while links[node, CHILD] >= 0:
        node = links[node, CHILD] + _half(tree, node, row, place)
    bucket, last = links[node, BUCKET], links[node, COUNT] - 1
    at = 0
    while at <= last and tree.rows[bucket, at] != row:
        at += 1
    if at > last:
        return False
    tree.rows[bucket, at] = tree.rows[bucket, last]
    for axis in range(len(place)):
        tree.places[bucket, at, axis] = tree.places[bucket, last, axis]
    node, joined = 0, -1
    while True:
        links[node, COUNT] -= 1
        tree.changed[node] = change
        if links[node, CHILD] < 0:
            break
        # Cells that together hold so few become one again.
        if joined < 0 and links[node, COUNT] <= tree.rows.shape[1] // 2:
            joined = node
        node = links[node, CHILD] + _half(tree, node, row, place)
    if last == 0:
        _free_bucket(tree, node)
    if joined >= 0:
        _join(tree, joined)
    return True


@compiled
def _join(tree: Tree, node: int) -> None:
    """Make a cell whole again."""
    links = tree.links
    waiting = np.empty(64, np.int64)
    waiting[0], number = links[node, CHILD], 1
    links[node, CHILD], links[node, COUNT] = -1, 0
    links[node, BUCKET] = _new_bucket(tree)
    while number > 0:
        number -= 1
        pair = waiting[number]
        for child in range(pair, pair + 2):
            if links[child, CHILD] >= 0:
                if number == len(waiting):
                    waiting = twice_as_long(waiting)
                waiting[number] = links[child, CHILD]
                number += 1
            elif links[child, COUNT] > 0:
                bucket = links[child, BUCKET]
                for i in range(links[child, COUNT]):
                    _append(tree, node, tree.rows[bucket, i], tree.places[bucket, i])
                _free_bucket(tree, child)
        links[pair, CHILD] = tree.used[_FREE_NODES]
        tree.used[_FREE_NODES] = pair
    if links[node, COUNT] == 0:
        _free_bucket(tree, node)


@compiled
def near_box(tree: Tree, low: np.ndarray, high: np.ndarray, reach: float) -> np.ndarray:
    """Rows within a distance of a box; see `GridIndex.near_box`."""
    links, dim = tree.links, len(low)
    found, number = np.empty(256, np.int64), 0
    waiting = np.empty(64, np.int64)
    waiting[0], left = 0, 1
    while left > 0:
        left -= 1
        node = waiting[left]
        while links[node, CHILD] >= 0:
            axis, first, second = links[node, AXIS], True, True
            if axis < dim:
                first = low[axis] - reach < tree.splits[node]
                second = high[axis] + reach >= tree.splits[node]
            child = links[node, CHILD]
            if first and second:
                if left == len(waiting):
                    waiting = twice_as_long(waiting)
                waiting[left] = child + 1
                left += 1
            node = child if first else child + 1
        count, bucket = links[node, COUNT], links[node, BUCKET]
        if number + count > len(found):
            found = twice_as_long(found)
        for i in range(count):
            square = 0.0
            for axis in range(dim):
                along = np.float64(tree.places[bucket, i, axis])
                gap = max(low[axis] - along, along - high[axis], 0.0)
                square += gap * gap
            if square <= reach * reach:
                found[number] = tree.rows[bucket, i]
                number += 1
    return found[:number].copy()
