"""Figures for the dark: the same figure, drawn on dark paper.

What colours mean stays as it is: like smells mostly have like hues, strength says how much, paper
means nothing, hatching means unknown. Only paper, ink and what lies between them change. A picture
turned over dot by dot would show other hues, and weak smells as strong ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.collections import Collection
from matplotlib.colors import (
    Colormap,
    LinearSegmentedColormap,
    ListedColormap,
    to_hex,
    to_rgba,
)
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from tree_world.plotting import style

PAPER = "#141816"
INK = "#dfe4df"
LEAF = "#86c9a4"

COLORS = {
    "white": PAPER,
    "black": INK,
    style.PAPER: PAPER,
    style.INK: INK,
    style.SOFT_INK: "#95a199",
    style.LINE: "#6f7a73",
    style.LEAF: LEAF,
    style.CLAY: "#e79a7c",
    style.UNKNOWN_FILL: "#222825",
    style.UNKNOWN_HATCH: "#3b443f",
    style.SERIES[0]: "#2b8ccb",  # the other curves are bright enough
}
"""From a colour on light paper to the one that takes its place. All others stay."""

COLORMAPS: dict[str, Colormap] = {
    style.PAPER_TO_LEAF.name: LinearSegmentedColormap.from_list(
        style.PAPER_TO_LEAF.name, [PAPER, "#3c6b52", LEAF]
    ),
    style.BLUE_TO_ORANGE.name: LinearSegmentedColormap.from_list(
        style.BLUE_TO_ORANGE.name,
        [
            *("#6dbfff", "#3f91d1", "#1d669a", "#1a3d59", PAPER),
            *("#533017", "#8f4e18", "#c47438", "#f5a166"),
        ],
    ),
}

_BY_HEX = {to_hex(light): dark for light, dark in COLORS.items()}


@contextmanager
def drawn_for_dark(figure: Figure) -> Iterator[Figure]:
    """Change a figure to dark paper for a while.

    Colours of `COLORS` are replaced, wherever they are. What fades into the paper, as scents do in
    `tree_world.plotting.plot_scent_field`, is blended anew. Everything else stays, the layout as it
    was last drawn. At the end the figure looks as before.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        That was drawn or saved before, on light paper.

    Yields
    ------
    matplotlib.figure.Figure
        The same one, to be saved in the meantime.

    Examples
    --------
    >>> import io
    >>> from tree_world import plotting
    >>> figure, axes = plotting.graph_panels(1)
    >>> line, = axes[0].plot([0, 1], [0, 1], color=style.INK)
    >>> figure.savefig(io.BytesIO())
    >>> with drawn_for_dark(figure):
    ...     figure.savefig(io.BytesIO())
    ...     line.get_color()
    (0.8745098039215686, 0.8941176470588236, 0.8745098039215686, 1.0)
    >>> line.get_color() == to_rgba(style.INK)
    True
    """
    undo: list[Callable[[], Any]] = [partial(figure.set_layout_engine, figure.get_layout_engine())]
    try:
        figure.set_layout_engine("none")  # another round of layout would move things by a dot
        figure.draw_without_rendering()  # ticks and their labels come into being
        for artist in figure.findobj():
            undo += _darken(artist)
        yield figure
    finally:
        for step in reversed(undo):
            step()


def _darken(artist: Artist) -> Iterator[Callable[[], Any]]:
    """Change an artist, and yield what undoes each change."""
    repaint = getattr(artist, style.REPAINT, None)
    if repaint is not None:
        repaint(PAPER)
        yield partial(repaint, style.PAPER)
    if isinstance(artist, ScalarMappable) and artist.get_array() is not None:
        yield from _darken_map(artist)
        return
    for kind, names in (
        (Text, ("color",)),
        (Line2D, ("color", "markerfacecolor", "markeredgecolor")),
        (Patch, ("facecolor", "edgecolor")),
        (Collection, ("facecolor", "edgecolor")),
    ):
        if isinstance(artist, kind):
            for name in names:
                yield from _darken_color(artist, name)


def _darken_color(artist: Artist, name: str) -> Iterator[Callable[[], Any]]:
    before = getattr(artist, f"get_{name}")()
    many = isinstance(artist, Collection)
    colors = [to_rgba(color) for color in before] if many else [to_rgba(before)]
    # Of what is transparent the colour does not matter, and must not come to show.
    after = [to_rgba(_BY_HEX.get(to_hex(c), c), c[3]) if c[3] > 0 else c for c in colors]
    if after != colors:
        change = getattr(artist, f"set_{name}")
        change(after if many else after[0])
        yield partial(change, colors if many else colors[0])


def _darken_map(artist: ScalarMappable) -> Iterator[Callable[[], Any]]:
    before = artist.get_cmap()
    after = COLORMAPS.get(before.name)
    if isinstance(artist, ContourSet):  # each of one colour, from a map of these alone
        colors = before(np.arange(before.N))
        after = ListedColormap([_BY_HEX.get(to_hex(color), tuple(color)) for color in colors])
    if after is not None:
        artist.set_cmap(after)
        yield partial(artist.set_cmap, before)
