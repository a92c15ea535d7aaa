"""The same figure in other colours: on dark paper, or on white.

Colours are replaced one by one, wherever they are. What fades into the paper is blended anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.collections import Collection
from matplotlib.colors import Colormap, ListedColormap, to_hex, to_rgba
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from tree_world.plotting import style


@dataclass(frozen=True)
class Paint:
    """What takes the place of each colour.

    Parameters
    ----------
    paper : str
        Colour of the paper.
    colors : mapping of str to str
        From a colour on the book's paper to the one that takes its place. All others stay.
    colormaps : mapping of str to matplotlib.colors.Colormap
        From the name of a map of colours to the one that takes its place.
    """

    paper: str
    colors: Mapping[str, str]
    colormaps: Mapping[str, Colormap]


@contextmanager
def repainted(figure: Figure, paint: Paint) -> Iterator[Figure]:
    """Change the colours of a figure for a while.

    Everything else stays, the layout as it was last drawn. At the end the figure looks as before.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        That was drawn or saved before.
    paint : Paint
        The colours to replace, and by which.

    Yields
    ------
    matplotlib.figure.Figure
        The same one, to be saved in the meantime.

    Examples
    --------
    >>> from tree_world import plotting
    >>> figure, axes = plotting.graph_panels(1)
    >>> line, = axes[0].plot([0, 1], [0, 1], color=style.INK)
    >>> with repainted(figure, Paint("#ffffff", {style.INK: "#ff0000"}, {})):
    ...     line.get_color()
    (1.0, 0.0, 0.0, 1.0)
    """
    by_hex = {to_hex(before): after for before, after in paint.colors.items()}
    undo: list[Callable[[], Any]] = [partial(figure.set_layout_engine, figure.get_layout_engine())]
    try:
        figure.set_layout_engine("none")  # another round of layout would move things by a dot
        figure.draw_without_rendering()  # ticks and their labels come into being
        for artist in figure.findobj():
            undo += _repaint(artist, paint, by_hex)
        yield figure
    finally:
        for step in reversed(undo):
            step()


def _repaint(
    artist: Artist, paint: Paint, by_hex: Mapping[str, str]
) -> Iterator[Callable[[], Any]]:
    """Change an artist, and yield what undoes each change."""
    repaint = getattr(artist, style.REPAINT, None)
    if repaint is not None:
        repaint(paint.paper)
        yield partial(repaint, style.PAPER)
    if isinstance(artist, ScalarMappable) and artist.get_array() is not None:
        yield from _repaint_map(artist, paint, by_hex)
        return
    for kind, names in (
        (Text, ("color",)),
        (Line2D, ("color", "markerfacecolor", "markeredgecolor")),
        (Patch, ("facecolor", "edgecolor")),
        (Collection, ("facecolor", "edgecolor")),
    ):
        if isinstance(artist, kind):
            for name in names:
                yield from _repaint_color(artist, name, by_hex)


def _repaint_color(
    artist: Artist, name: str, by_hex: Mapping[str, str]
) -> Iterator[Callable[[], Any]]:
    before = getattr(artist, f"get_{name}")()
    many = isinstance(artist, Collection)
    colors = [to_rgba(color) for color in before] if many else [to_rgba(before)]
    # Of what is transparent the colour does not matter, and must not come to show.
    after = [to_rgba(by_hex.get(to_hex(c), c), c[3]) if c[3] > 0 else c for c in colors]
    if after != colors:
        change = getattr(artist, f"set_{name}")
        change(after if many else after[0])
        yield partial(change, colors if many else colors[0])


def _repaint_map(
    artist: ScalarMappable, paint: Paint, by_hex: Mapping[str, str]
) -> Iterator[Callable[[], Any]]:
    before = artist.get_cmap()
    after = paint.colormaps.get(before.name)
    if isinstance(artist, ContourSet):  # each of one colour, from a map of these alone
        colors = before(np.arange(before.N))
        after = ListedColormap([by_hex.get(to_hex(color), tuple(color)) for color in colors])
    if after is not None:
        artist.set_cmap(after)
        yield partial(artist.set_cmap, before)
