"""Finding the observations near a place, in a memory that grows by one each step."""

from __future__ import annotations

import itertools
import math

import numpy as np

from tree_world.validation import positive_distance


class GridIndex:
    """A grid of square cells, each with a list of the rows that lie in it.

    Adding a row, or taking one away, touches one cell, so no step ever waits for the index to be
    built anew, which trees would need. A search looks at the cells that overlap it.

    Parameters
    ----------
    cell_size : float, default=25.0
        Side of a cell in metres: about the distance that is usually asked for.

    Attributes
    ----------
    cells : dict of tuple of int to Cell
        Those that hold any row, by their number along each axis.
    changes : int
        How often rows were added or taken away.

    Raises
    ------
    ValueError
        If the cells have no size.

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
        self.cells: dict[tuple[int, ...], Cell] = {}
        self.changes = 0

    def add(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Add rows.

        Parameters
        ----------
        rows : numpy.ndarray of int, of shape (n,)
            None of them in the index yet.
        places : numpy.ndarray of shape (n, dim)
            In metres.
        """
        keys = np.floor(np.asarray(places, dtype=np.float64) / self.cell_size).astype(np.int64)
        if len(rows) == 0:
            return
        self.changes += 1
        if len(rows) == 1:
            self._cell(keys[0]).extend(rows, places, self.changes)
            return
        different, members = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(members.ravel(), kind="stable")
        edges = np.cumsum(np.bincount(members.ravel(), minlength=len(different)))[:-1]
        for key, part in zip(different, np.split(order, edges), strict=True):
            self._cell(key).extend(rows[part], places[part], self.changes)

    def remove(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Take rows away.

        Parameters
        ----------
        rows : numpy.ndarray of int, of shape (n,)
        places : numpy.ndarray of shape (n, dim)
            Where they were when they were added.
        """
        keys = np.floor(np.asarray(places, dtype=np.float64) / self.cell_size).astype(np.int64)
        self.changes += 1
        for row, key in zip(rows, keys, strict=True):
            cell = self.cells[tuple(key.tolist())]
            cell.discard(int(row), self.changes)
            if cell.size == 0:
                del self.cells[tuple(key.tolist())]

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
        reach = distance * (1 + 1e-6)
        first = np.floor((low - reach) / self.cell_size).astype(np.int64)
        last = np.floor((high + reach) / self.cell_size).astype(np.int64)
        found, places = [], []
        for cell in self._overlapping(first, last):
            found.append(cell.rows[: cell.size])
            places.append(cell.places[: cell.size])
        if not found:
            return np.empty(0, dtype=np.int64)
        candidates, where = np.concatenate(found), np.concatenate(places)
        squares = np.zeros(len(candidates))
        for axis in range(where.shape[1]):  # along the last, short axis NumPy would be slow
            along = where[:, axis]
            gaps = np.maximum(np.maximum(low[axis] - along, along - high[axis]), 0.0)
            squares += np.square(gaps)
        return np.compress(squares <= reach**2, candidates)

    def _overlapping(self, first: np.ndarray, last: np.ndarray) -> list[Cell]:
        num_cells = math.prod((last - first + 1).tolist())
        if num_cells > len(self.cells):
            return [
                cell
                for key, cell in self.cells.items()
                if all(a <= k <= b for a, k, b in zip(first, key, last, strict=True))
            ]
        ranges = (range(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True))
        return [cell for key in itertools.product(*ranges) if (cell := self.cells.get(key))]

    def _cell(self, key: np.ndarray) -> Cell:
        name = tuple(key.tolist())
        if name not in self.cells:
            self.cells[name] = Cell(len(name))
        return self.cells[name]


class Cell:
    """Rows of a cell and their places, in arrays with room to grow.

    Attributes
    ----------
    size : int
        How many rows there are; the arrays may be longer.
    rows : numpy.ndarray of int
    places : numpy.ndarray of shape (room, dim)
        In metres.
    changed_at : int
        Which of the changes of the index was the last to touch this cell.
    """

    def __init__(self, dim: int) -> None:
        self.size = 0
        self.changed_at = 0
        self.rows = np.empty(8, dtype=np.int64)
        self.places = np.empty((8, dim))

    def extend(self, rows: np.ndarray, places: np.ndarray, change: int) -> None:
        """Add rows."""
        self.changed_at = change
        end = self.size + len(rows)
        if end > len(self.rows):
            room = max(end, 2 * len(self.rows))
            self.rows = np.resize(self.rows, room)
            self.places = np.resize(self.places, (room, self.places.shape[1]))
        self.rows[self.size : end] = rows
        self.places[self.size : end] = places
        self.size = end

    def discard(self, row: int, change: int) -> None:
        """Take a row away; the last one moves into its place."""
        self.changed_at = change
        at = int(np.flatnonzero(self.rows[: self.size] == row)[0])
        self.size -= 1
        self.rows[at] = self.rows[self.size]
        self.places[at] = self.places[self.size]
