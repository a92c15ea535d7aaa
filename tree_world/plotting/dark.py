"""Figures for the dark: the same figure, drawn on dark paper.

What colours mean stays as it is: like smells mostly have like hues, strength says how much, paper
means nothing, hatching means unknown. Only paper, ink and what lies between them change. A picture
turned over dot by dot would show other hues, and weak smells as strong ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure

from tree_world.plotting import style
from tree_world.plotting.repaint import Paint, repainted

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
    >>> line.get_color()
    (0.12156862745098039, 0.14901960784313725, 0.13333333333333333, 1.0)
    """
    with repainted(figure, Paint(PAPER, COLORS, COLORMAPS)):
        yield figure
