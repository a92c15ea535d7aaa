"""Figures as vectors: the same figure on white, as an SVG file for print and for slides.

Lines stay lines, and text stays text: the file brings those letters of its fonts that it uses.
Fields, and marks in thousands, are dots within it, or it would be very large. The layout is that of
the PNG. The same figure gives the same file: it names no date, no program and no place.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.collections import Collection, PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from tree_world.plotting import style
from tree_world.plotting.repaint import Paint, repainted

WHITE = "#ffffff"
RASTER_DPI = 220.0
"""Dots per inch of what is not drawn as vectors."""
MOST_MARKS = 2000
"""Marks of one kind and size that are drawn as vectors; more of them become dots."""
_OWN_OUTLINE = 6  # times as long in a file is a mark that is as large as no other

ON_WHITE = Paint(
    WHITE,
    {style.PAPER: WHITE},
    {made.name: made for made in (style.paper_to_leaf(WHITE), style.blue_to_orange(WHITE))},
)

_SVG = "{http://www.w3.org/2000/svg}"
_GENERIC = {"STIXGeneral": "'STIX Two Math', serif"}


@contextmanager
def drawn_as_vectors(figure: Figure) -> Iterator[Figure]:
    """Put a figure on white for a while, with marks in thousands and meshes as dots.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        That was drawn or saved before, on the paper of the book.

    Yields
    ------
    matplotlib.figure.Figure
        The same one, to be saved as SVG in the meantime. At the end it looks as before.

    Examples
    --------
    >>> from tree_world import plotting
    >>> figure, axes = plotting.graph_panels(1)
    >>> with drawn_as_vectors(figure):
    ...     figure.get_facecolor()
    (1.0, 1.0, 1.0, 1.0)
    """
    undo: list[Callable[[], Any]] = []
    with repainted(figure, ON_WHITE):
        try:
            for artist in figure.findobj(_is_dense):
                undo.append(partial(artist.set_rasterized, artist.get_rasterized()))
                artist.set_rasterized(True)
            yield figure
        finally:
            for step in undo:
                step()


def as_svg(figure: Figure) -> str:
    """Draw a figure as an SVG file, as large as its PNG.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        That was saved before, so that its layout is known.

    Returns
    -------
    str
        The same for figures that were made, and drawn, in the same way.

    Examples
    --------
    >>> from tree_world import plotting
    >>> figure, axes = plotting.graph_panels(1)
    >>> figure.canvas.draw()
    >>> as_svg(figure).startswith("<?xml")
    True
    """
    drawn = io.StringIO()
    with drawn_as_vectors(figure):
        # How much of the figure is shown is measured by the letters of the PNG.
        shown = figure.get_tightbbox().padded(mpl.rcParams["savefig.pad_inches"])
        shown = Bbox(np.round(shown.get_points(), 3))  # inches; less is noise of the last drawing
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tree-world"}):
            figure.savefig(
                drawn,
                format="svg",
                dpi=RASTER_DPI,
                bbox_inches=shown,
                facecolor=figure.get_facecolor(),
                metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
            )
    return _with_fonts(_named_in_order(drawn.getvalue()))


def _is_dense(artist: Artist) -> bool:
    """Whether an artist has so many marks that a file of their outlines would be very large."""
    if isinstance(artist, QuadMesh):
        return True
    if isinstance(artist, PathCollection):
        each = _OWN_OUTLINE if len(artist.get_sizes()) > 1 else 1
        return bool(np.shape(artist.get_offsets())[0] * each > MOST_MARKS)
    if isinstance(artist, Collection):
        return len(artist.get_paths()) > MOST_MARKS
    if isinstance(artist, Line2D):
        marked = artist.get_marker() not in (None, "", " ", "None", "none")
        return marked and np.size(artist.get_xdata(orig=False)) > MOST_MARKS
    return False


def _named_in_order(svg: str) -> str:
    """Name the parts of a file by their order, as Matplotlib names them by noise of its drawing.

    No two files have names in common, so that both can stand in one page.
    """
    order: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        return f"part-{order.setdefault(found[0], len(order))}"

    svg = re.sub(r"(?<=[\"#])[a-z][0-9a-f]{10}(?=[\")])", numbered, svg)
    digest = hashlib.sha256(svg.encode()).hexdigest()[:8]
    return re.sub(r"(?<=[\"#])part-(?=\d+[\")])", f"part-{digest}-", svg)


# --- fonts ---------------------------------------------------------------------------------------

_Font = tuple[str, str, Any]  # family, weight, style


def _with_fonts(svg: str) -> str:
    """Put the fonts of a file into it, cut down to the letters that it has."""
    letters: dict[_Font, set[str]] = {}
    _collect(ElementTree.fromstring(svg), "", letters)
    faces = [_face(font, frozenset(used)) for font, used in sorted(letters.items())]
    for family in {family for family, _, _ in letters}:
        svg = svg.replace(f"'{family}'", f"'{family}', {_GENERIC.get(family, 'sans-serif')}")
    return svg.replace("</style>", "\n" + "\n".join(faces) + "\n</style>", 1)


def _collect(element: ElementTree.Element, inherited: str, letters: dict[_Font, set[str]]) -> None:
    """Add the letters of an element, and of those in it, to those of their fonts."""
    css = f"{inherited};{element.get('style', '')}"
    if element.tag in (f"{_SVG}text", f"{_SVG}tspan") and (element.text or "").strip():
        family = _last(r"font-family:\s*['\"]?([^'\",;]+)", css, "")
        font = (
            family,
            _last(r"font-weight:\s*(\w+)", css, "400"),
            _last(r"font-style:\s*(\w+)", css, "normal"),
        )
        letters.setdefault(font, set()).update(element.text or "")
    for child in element:
        _collect(child, css, letters)


def _last(pattern: str, css: str, default: str) -> str:
    found = re.findall(pattern, css)
    return str(found[-1]).strip() if found else default


@functools.lru_cache(maxsize=256)
def _face(font: _Font, letters: frozenset[str]) -> str:
    """Write the letters of a font as a font of their own, for a stylesheet."""
    family, weight, slant = font
    wanted = font_manager.FontProperties(family=[family], weight=int(weight), style=slant)
    whole = TTFont(font_manager.findfont(wanted), recalcTimestamp=False)
    # Matplotlib sets letters at their own widths, closed up in pairs, and knows no other feature.
    options = subset.Options(
        drop_tables=["FFTM"], layout_features=["kern"], hinting=False, notdef_outline=True
    )
    cutter = subset.Subsetter(options)
    cutter.populate(text="".join(sorted(letters)))
    cutter.subset(whole)
    whole.flavor = "woff"
    written = io.BytesIO()
    whole.save(written)
    data = base64.b64encode(written.getvalue()).decode()
    return (
        f"@font-face{{font-family:'{family}';font-weight:{weight};font-style:{slant};"
        f"src:url(data:font/woff;base64,{data})}}"
    )
