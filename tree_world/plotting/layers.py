"""What rests on what, in rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import fsum
from typing import TypeAlias

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from tree_world.plotting.style import INK, LEAF, LEAST_SIZE, LINE, PAPER, TEXT_WIDTH, keep_wide

Link: TypeAlias = tuple[str, str]

_ROW = 0.78  # inches from one row to the next
_BOX = 0.3  # inches, height of a box
_LETTER = 0.075  # inches, of a name at 9 points
_LEAST_GAP = 0.22  # inches, between boxes
_GAP_NAME = "\0"  # begins the names of gaps that arrows go through
_SWEEPS = 8  # over all rows, to have few arrows cross


def plot_layers(
    uses: Mapping[str, Iterable[str]], ax: Axes | None = None, *, title: str | None = None
) -> Axes:
    """Draw what uses what as boxes in rows, each above all that it uses.

    An arrow that a way along others says already is left out.

    Parameters
    ----------
    uses : mapping of str to iterable of str
        For each name those that it uses. Names that stand only there are drawn, too.
    ax : matplotlib.axes.Axes, optional
        Where to draw, in inches from the lower left; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the uses lead in a circle, or there are none.

    Examples
    --------
    >>> ax = plot_layers({"plots": ["models", "files"], "models": ["files"]})
    >>> [text.get_text() for text in ax.texts]
    ['plots', 'models', 'files']
    """
    arrows = {one: set(others) - {one} for one, others in uses.items()}
    for other in set().union(*arrows.values()) - arrows.keys():
        arrows[other] = set()
    if not arrows:
        raise ValueError("there is nothing to draw: give for each name those that it uses.")
    rows = _rows(arrows)
    ways = {
        (one, other): _way(one, other, rows)
        for one, others in sorted(_shortened(arrows).items())
        for other in sorted(others)
    }
    height = _ROW * len(rows)
    if ax is None:
        figure, ax = plt.subplots(figsize=(TEXT_WIDTH, height + 0.1))
        keep_wide(figure)  # names would not fit into boxes that are narrower
    ax.set(xlim=(0, TEXT_WIDTH), ylim=(0, height))
    ax.axis("off")
    middles = {
        name: height - _ROW * (number + 0.5) for number, row in enumerate(rows) for name in row
    }
    places = _places(rows, ways)
    for (one, other), points in _lines(ways, places, middles).items():
        codes = [Path.MOVETO, *([Path.CURVE4] * (len(points) - 1))]
        arrow = FancyArrowPatch(
            path=Path(points, codes),
            arrowstyle="-|>",
            mutation_scale=8,
            color=LINE,
            linewidth=1,
            zorder=1,
            gid=f"{one} uses {other}",
        )
        ax.add_patch(arrow)
    for name in (name for row in rows for name in row if name in arrows):
        x, y, width = places[name], middles[name], _width(name)
        box = FancyBboxPatch(
            (x - width / 2, y - _BOX / 2),
            width,
            _BOX,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor=PAPER,
            edgecolor=LEAF,
            linewidth=1.2,
            zorder=2,
        )
        ax.add_patch(box)
        ax.text(
            x, y - 0.01, name, ha="center", va="center", color=INK, fontsize=LEAST_SIZE, zorder=3
        )
    if title is not None:
        ax.set_title(title)
    return ax


def _rows(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Names in rows from the top: each in the lowest row that is above all that it uses."""
    rows: list[list[str]] = []
    left = set(arrows)
    while left:
        lowest = {name for name in left if not arrows[name] & left}
        if not lowest:
            raise ValueError(
                f"{', '.join(sorted(left))} lead in a circle, which has no rows: take one of the "
                "uses away."
            )
        rows.insert(0, sorted(lowest))
        left -= lowest
    return rows


def _shortened(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Leave out what is said by a way along other arrows."""

    def reached(start: str) -> set[str]:
        return set().union(arrows[start], *(reached(name) for name in arrows[start]))

    return {
        name: others - set().union(*(reached(other) for other in others))
        for name, others in arrows.items()
    }


def _way(one: str, other: str, rows: list[list[str]]) -> list[str]:
    """Names of an arrow's ends and, between them, of the gaps that it goes through: put in rows."""
    first, last = (
        next(number for number, row in enumerate(rows) if name in row) for name in (one, other)
    )
    gaps = [f"{_GAP_NAME}{one} {other} {number}" for number in range(first + 1, last)]
    for number, gap in enumerate(gaps, start=first + 1):
        rows[number].append(gap)
    return [one, *gaps, other]


def _places(rows: list[list[str]], ways: Mapping[Link, list[str]]) -> dict[str, float]:
    """Where each name stands across the page, near those that it has arrows with."""
    beside: dict[str, list[str]] = defaultdict(list)
    for way in ways.values():
        for one, other in pairwise(way):
            beside[one].append(other)
            beside[other].append(one)
    places: dict[str, float] = {}
    for row in rows:
        places |= _spread(dict.fromkeys(row, TEXT_WIDTH / 2))
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            near = {name: [places[other] for other in beside[name] or [name]] for name in row}
            places |= _spread({name: fsum(xs) / len(xs) for name, xs in near.items()})
    return places


def _spread(wanted: Mapping[str, float]) -> dict[str, float]:
    """Put the boxes of a row side by side, in the order of the places that they want."""
    names = sorted(wanted, key=lambda name: (wanted[name], name))
    widths = [_width(name) for name in names]
    gap = max(_LEAST_GAP, (TEXT_WIDTH - fsum(widths)) / (len(names) + 1))
    left, places = (TEXT_WIDTH - fsum(widths) - gap * (len(names) - 1)) / 2, {}
    for name, width in zip(names, widths, strict=True):
        places[name] = left + width / 2
        left += width + gap
    return places


def _lines(
    ways: Mapping[Link, list[str]], places: Mapping[str, float], middles: Mapping[str, float]
) -> dict[Link, list[tuple[float, float]]]:
    """Points of the curve of each arrow. At a box, arrows stand side by side."""
    lines = {}
    for link, way in ways.items():
        xs = [places[name] for name in way]
        for end, step in ((0, 1), (-1, -2)):
            own = [other for other in ways.values() if other[end] == way[end]]
            own.sort(key=lambda other: places[other[step]])
            along = (own.index(way) + 0.5) / len(own) - 0.5
            xs[end] += 0.8 * along * _width(way[end])
        ys = [middles[name] for name in way]
        points = [(xs[0], ys[0] - _BOX / 2)]
        for (x, y), (next_x, next_y) in pairwise(zip(xs, ys, strict=True)):
            start, end_y = y - _BOX / 2, next_y + _BOX / 2 + 0.02
            bend = (start - end_y) / 2
            points += [(x, start - bend), (next_x, end_y + bend), (next_x, end_y)]
            if next_y != ys[-1]:  # straight on, through the gap between two boxes
                points += [(next_x, next_y)] * 2 + [(next_x, next_y - _BOX / 2)]
        lines[link] = points
    return lines


def _width(name: str) -> float:
    return 0.08 if name.startswith(_GAP_NAME) else _LETTER * len(name) + 0.2
