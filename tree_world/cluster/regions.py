"""Which shard has which part of the world: regions of a curve that fills it.

Places are in squares of a grid, and the curve of Hilbert goes through all squares so that those
that follow each other are neighbours. A region is a stretch of it, and so a part of the world in
one piece, and it can be split anywhere.

References
----------
J. Skilling, "Programming the Hilbert curve", AIP Conference Proceedings 707, 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["along_curve"]

_BITS = 62  # of a number on the curve
_AXES = 3  # that the curve goes along; regions are slabs along others
_FINER = 16  # squares of the grid in a cell of the index, on each axis
END = 2**_BITS
"""A number beyond all on the curve."""


def along_curve(places: np.ndarray, cell_size: float) -> np.ndarray:
    """Tell where on the curve places are.

    Parameters
    ----------
    places : numpy.ndarray of shape (n, dim)
        In metres.
    cell_size : float
        In metres; the grid is sixteen times as fine.

    Returns
    -------
    numpy.ndarray of int64, of shape (n,)
        From zero to below `END`.

    Examples
    --------
    >>> square = [[0.1, 0.1], [1.1, 0.1], [1.1, 1.1], [0.1, 1.1]]
    >>> np.abs(np.diff(along_curve(np.array(square), 16.0)))  # once around
    array([1, 1, 1])
    """
    axes = min(places.shape[1], _AXES)
    bits = _BITS // axes
    half = 2 ** (bits - 1)
    squares = np.floor(places[:, :axes].astype(np.float64) * (_FINER / cell_size))
    turned = (np.clip(squares, -half, half - 1).astype(np.int64) + half).T.copy()
    for shift in range(bits - 1, 0, -1):
        below = (1 << shift) - 1
        for axis in range(axes):
            inverted = (turned[axis] >> shift) & 1 == 1
            swapped = np.where(inverted, 0, (turned[0] ^ turned[axis]) & below)
            turned[0] ^= np.where(inverted, below, swapped)
            turned[axis] ^= swapped
    for axis in range(1, axes):
        turned[axis] ^= turned[axis - 1]
    flips = np.zeros_like(turned[0])
    for shift in range(bits - 1, 0, -1):
        flips ^= np.where((turned[-1] >> shift) & 1 == 1, (1 << shift) - 1, 0)
    turned ^= flips
    found = np.zeros_like(turned[0])
    for shift in range(bits - 1, -1, -1):
        for axis in range(axes):
            found = (found << 1) | ((turned[axis] >> shift) & 1)
    return np.asarray(found)


@dataclass
class Regions:
    """Stretches of the curve, and which shard has each.

    Attributes
    ----------
    first : list of int
        Where each begins, in increasing order; the first at zero. Each ends where the next begins.
    shards : list of int
        Which has it; none has two.
    """

    first: list[int]
    shards: list[int]

    def shard_of(self, codes: np.ndarray) -> np.ndarray:
        """Tell whose some numbers on the curve are.

        Parameters
        ----------
        codes : numpy.ndarray of int64

        Returns
        -------
        numpy.ndarray of int64
        """
        at = np.searchsorted(np.array(self.first), codes, side="right") - 1
        return np.array(self.shards)[at]

    def of(self, shard: int) -> tuple[int, int]:
        """Tell where the region of a shard begins, and where the next does; twice zero for none."""
        if shard not in self.shards:
            return 0, 0
        at = self.shards.index(shard)
        return self.first[at], (*self.first, END)[at + 1]

    def split(self, shard: int, border: int, other: int) -> None:
        """Give another shard, which has none, what lies from a border on."""
        at = self.shards.index(shard)
        self.first.insert(at + 1, border)
        self.shards.insert(at + 1, other)

    def merge(self, at: int) -> None:
        """Give a region and the one after it to the shard of the former."""
        del self.first[at + 1], self.shards[at + 1]


def next_move(
    regions: Regions, sizes: list[int], least: int, unsplit: set[int]
) -> tuple[str, int] | None:
    """Say what would spread observations more evenly.

    As long as a shard has no region, one that holds more than half as much again as its share is
    split. When all have one, and one holds more than twice its share, two neighbours that together
    hold less than half as much again as a share become one, so that there is a shard without a
    region. With less than five shards there may be no such two, and none holds five shares.

    Parameters
    ----------
    regions : Regions
    sizes : list of int
        How many observations each shard holds.
    least : int
        So few are never split.
    unsplit : set of int
        Shards that cannot be split, as all they hold is at one place.

    Returns
    -------
    tuple of str and int, or None
        ``("split", shard)``, or ``("merge", at)`` for the regions at a number and the one after.
    """
    share = sum(sizes) / len(sizes)
    whose = [shard for shard in regions.shards if shard not in unsplit]
    if not whose:
        return None
    largest = max(whose, key=lambda shard: sizes[shard])
    spare = len(regions.shards) < len(sizes)
    if sizes[largest] <= max(least, (1.5 if spare else 2.0) * share):
        return None
    if spare:
        return "split", largest
    pairs = [sizes[a] + sizes[b] for a, b in zip(regions.shards, regions.shards[1:], strict=False)]
    fitting = [at for at, both in enumerate(pairs) if both < 1.5 * share]
    return ("merge", min(fitting, key=lambda at: pairs[at])) if fitting else None
