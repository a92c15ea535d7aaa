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
        self._cells: dict[tuple[int, ...], _Cell] = {}

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
        if len(rows) == 1:
            self._cell(keys[0]).extend(rows, places)
            return
        different, members = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(members.ravel(), kind="stable")
        edges = np.cumsum(np.bincount(members.ravel(), minlength=len(different)))[:-1]
        for key, part in zip(different, np.split(order, edges), strict=True):
            self._cell(key).extend(rows[part], places[part])

    def remove(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Take rows away.

        Parameters
        ----------
        rows : numpy.ndarray of int, of shape (n,)
        places : numpy.ndarray of shape (n, dim)
            Where they were when they were added.
        """
        keys = np.floor(np.asarray(places, dtype=np.float64) / self.cell_size).astype(np.int64)
        for row, key in zip(rows, keys, strict=True):
            cell = self._cells[tuple(key.tolist())]
            cell.discard(int(row))
            if cell.size == 0:
                del self._cells[tuple(key.tolist())]

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

    def _overlapping(self, first: np.ndarray, last: np.ndarray) -> list[_Cell]:
        num_cells = math.prod((last - first + 1).tolist())
        if num_cells > len(self._cells):
            return [
                cell
                for key, cell in self._cells.items()
                if all(a <= k <= b for a, k, b in zip(first, key, last, strict=True))
            ]
        ranges = (range(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True))
        return [cell for key in itertools.product(*ranges) if (cell := self._cells.get(key))]

    def _cell(self, key: np.ndarray) -> _Cell:
        name = tuple(key.tolist())
        if name not in self._cells:
            self._cells[name] = _Cell(len(name))
        return self._cells[name]


class _Cell:
    """Rows of a cell and their places, in arrays with room to grow."""

    def __init__(self, dim: int) -> None:
        self.size = 0
        self.rows = np.empty(8, dtype=np.int64)
        self.places = np.empty((8, dim))

    def extend(self, rows: np.ndarray, places: np.ndarray) -> None:
        end = self.size + len(rows)
        if end > len(self.rows):
            room = max(end, 2 * len(self.rows))
            self.rows = np.resize(self.rows, room)
            self.places = np.resize(self.places, (room, self.places.shape[1]))
        self.rows[self.size : end] = rows
        self.places[self.size : end] = places
        self.size = end

    def discard(self, row: int) -> None:
        at = int(np.flatnonzero(self.rows[: self.size] == row)[0])
        self.size -= 1
        self.rows[at] = self.rows[self.size]
        self.places[at] = self.places[self.size]
