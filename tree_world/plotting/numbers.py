"""What a figure shows, as numbers: read from its lines, marks, bars, bands and levels.

A reader who wants to draw a figure anew, or to compare with it, need not measure it with a ruler.
The numbers are those that Matplotlib draws, in the units of the axes. What stands beside the axes,
as words and arrows do, shows none.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import (
    Collection,
    FillBetweenPolyCollection,
    LineCollection,
    PathCollection,
    QuadMesh,
)
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import Transform

MOST_CELLS = 2500
"""Cells of a field whose values are listed; of a larger one only its size is told."""
NUMBERS = ("x", "y", "x_low", "x_high", "y_low", "y_high", "value", "size")
"""Names of what a series may hold, each an array."""
WORDS = ("x_name", "y_name")
"""Names of what a series may hold, each a list of texts: what an axis says instead of a number."""

_DIGITS = 7
_NO_LINE = ("None", "none", " ", "")
_Series = dict[str, Any]


def figure_numbers(figure: Figure) -> list[_Series]:
    """Read the numbers that a figure shows.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Any figure. It stays as it is.

    Returns
    -------
    list of dict
        One for each series: ``panel``, its title or number; ``series``, as the legend calls it;
        ``shows``, such as ``"line"`` or ``"band"``; ``x_label`` and ``y_label``, with their units;
        and arrays of one length, as far as there are such: ``x``, ``y``, the ends of intervals
        ``x_low``, ``x_high``, ``y_low`` and ``y_high``, ``value`` and ``size``, and lists of words
        ``x_name`` and ``y_name`` where an axis has names. Of a field too large to be listed ``x``
        is None, and ``note`` says what it is.

    Examples
    --------
    >>> from tree_world import plotting
    >>> figure, (ax,) = plotting.graph_panels(1)
    >>> line, = ax.plot([0.0, 1.0], [2.0, 4.0], label="health")
    >>> text = ax.set(xlabel="time (steps)", ylabel="health (points)")
    >>> (series,) = figure_numbers(figure)
    >>> series["series"], series["x_label"], series["y"]
    ('health', 'time (steps)', array([2., 4.]))
    """
    panels = [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]
    found = []
    for number, ax in enumerate(panels, start=1):
        title = ax.get_title("left") or ax.get_title("center") or ax.get_title("right")
        panel = title or (f"panel {number}" if len(panels) > 1 else "")
        seen: dict[str, int] = {}
        for artist, series in _of_axes(ax):
            shows = series["shows"]
            seen[shows] = seen.get(shows, 0) + 1
            label = _label_of(artist, ax) or f"{shows} {seen[shows]}"
            words = {"x_label": ax.get_xlabel(), "y_label": ax.get_ylabel()}
            found.append({"panel": panel, "series": label, **words, **series, **_names(series, ax)})
    return found


def as_csv(numbers: Sequence[_Series]) -> str:
    """Write what `figure_numbers` has read as a table, one row a point.

    Parameters
    ----------
    numbers : sequence of dict
        What `figure_numbers` returns.

    Returns
    -------
    str
        A row of names, and rows of numbers of seven digits; before them, after ``#``, what is not
        listed, and what all axes measure. Empty if no number is shown.

    Examples
    --------
    >>> from tree_world import plotting
    >>> figure, (ax,) = plotting.graph_panels(1)
    >>> line, = ax.plot([0.0, 1.0], [0.5, 2.0], label="health")
    >>> print(as_csv(figure_numbers(figure)), end="")
    series,shows,x,y
    health,line,0,0.5
    health,line,1,2
    """
    listed = [series for series in numbers if "note" not in series]
    if not listed:
        return ""
    remarks = [
        ": ".join(part for part in (series["panel"], series["note"]) if part)
        for series in numbers
        if "note" in series
    ]
    told = ["panel", "series", "shows"]
    for name in ("x_label", "y_label"):
        labels = {series[name] for series in listed}
        if len(labels) > 1:
            told.append(name)
        elif labels != {""}:
            remarks.append(f"{name.replace('_', ' ')}: {labels.pop()}")
    columns = [
        *(name for name in told if any(series[name] for series in listed)),
        *(name for name in (*WORDS, *NUMBERS) if any(name in series for series in listed)),
    ]
    written = io.StringIO()
    written.writelines(f"# {_one_line(remark)}\n" for remark in remarks)
    table = csv.writer(written, lineterminator="\n")
    table.writerow([name.replace("_", " ") for name in columns])
    for series in listed:
        length = max(len(series[name]) for name in NUMBERS if name in series)
        table.writerows(
            [_cell(series.get(name, ""), row) for name in columns] for row in range(length)
        )
    return written.getvalue()


def _cell(value: Any, row: int) -> str:
    if isinstance(value, str):
        return _one_line(value)
    one = value[row]
    if isinstance(one, str):
        return _one_line(one)
    return "" if math.isnan(one) else f"{one:.{_DIGITS}g}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- what is on axes -----------------------------------------------------------------------------


def _of_axes(ax: Axes) -> Iterator[tuple[Any, _Series]]:
    """Yield whatever shows numbers on axes, each with these."""
    taken: set[Artist] = set()
    for container in ax.containers:
        if isinstance(container, ErrorbarContainer):
            data, caps, bars = container.lines
            taken |= {*caps, *bars} | ({data} if data is not None else set())
            yield container, _errors(data, bars)
        elif isinstance(container, BarContainer):
            taken |= set(container.patches)
            yield container, _bars(container)
    for artist in (*ax.images, *ax.patches, *ax.collections, *ax.lines):
        if artist in taken or not artist.get_visible():
            continue
        series = _of_artist(artist, ax)
        if series is not None:
            yield artist, series


def _of_artist(artist: Artist, ax: Axes) -> _Series | None:
    if isinstance(artist, AxesImage):
        return _image(artist)
    if isinstance(artist, Line2D):
        return _line(artist, ax)
    if isinstance(artist, Patch):
        return _patch(artist, ax)
    if isinstance(artist, Collection):
        return _collection(artist, ax)
    return None


def _in_data(transform: Transform, ax: Axes) -> tuple[bool, bool]:
    """Whether x and y are measured by the axes, not by their frame."""
    x, y = transform.contains_branch_seperately(ax.transData)
    return bool(x), bool(y)


def _floats(values: Any) -> np.ndarray:
    """Give numbers as an array; what is masked is none."""
    return np.asarray(np.ma.filled(np.ma.asarray(values, float), np.nan))


def _series(shows: str, **arrays: Any) -> _Series:
    return {"shows": shows, **{name: np.asarray(one, float) for name, one in arrays.items()}}


def _line(line: Line2D, ax: Axes) -> _Series | None:
    in_x, in_y = _in_data(line.get_transform(), ax)
    x, y = (_floats(one) for one in line.get_data(orig=False))
    if len(x) == 0 or not (in_x or in_y):
        return None
    if not in_x:
        return _series("level", y=np.unique(y))
    if not in_y:
        return _series("level", x=np.unique(x))
    if line.get_linestyle() in _NO_LINE:
        return None if line.get_marker() in (None, *_NO_LINE) else _series("points", x=x, y=y)
    drawn = line.get_drawstyle()
    return _series("line" if drawn == "default" else drawn.replace("steps-", "steps, "), x=x, y=y)


def _errors(data: Line2D | None, bars: Sequence[LineCollection]) -> _Series:
    ends: dict[str, np.ndarray] = {}
    middle = np.empty((0, 2))
    for bar in bars:
        segments = np.array(bar.get_segments(), float).reshape(-1, 2, 2)
        along = "x" if np.all(segments[:, 0, 1] == segments[:, 1, 1]) else "y"
        low, high = np.sort(segments[:, :, 0 if along == "x" else 1], axis=1).T
        ends |= {f"{along}_low": low, f"{along}_high": high}
        middle = segments.mean(axis=1)
    if data is None:  # then what is in the middle is not shown, but across the interval it is known
        x, y = middle.T
        across = {} if "x_low" in ends else {"x": x}
        return _series("interval", **across, **({} if "y_low" in ends else {"y": y}), **ends)
    x, y = (_floats(one) for one in data.get_data(orig=False))
    return _series("points, intervals", x=x, y=y, **ends)


def _bars(container: BarContainer) -> _Series:
    boxes = [(*bar.get_xy(), bar.get_width(), bar.get_height()) for bar in container.patches]
    x, y, width, height = np.array(boxes, float).reshape(-1, 4).T
    if container.orientation == "horizontal":
        return _series("bars", x=x + width, y=y + height / 2, x_low=x, x_high=x + width)
    return _series("bars", x=x + width / 2, y=y + height, y_low=y, y_high=y + height)


def _patch(patch: Patch, ax: Axes) -> _Series | None:
    in_x, in_y = _in_data(patch.get_transform(), ax)
    if isinstance(patch, (FancyArrowPatch, FancyBboxPatch)) or not (in_x or in_y):
        return None
    if isinstance(patch, Rectangle) and patch.get_angle() == 0:
        box = patch.get_bbox()
        sides = {"x_low": [box.xmin], "x_high": [box.xmax]} if in_x else {}
        return _series(
            "area", **sides, **({"y_low": [box.ymin], "y_high": [box.ymax]} if in_y else {})
        )
    if not (in_x and in_y):
        return None
    # Drawn on the screen, a curve becomes as many short lines as can be seen.
    outlines = patch.get_path().to_polygons(patch.get_transform(), closed_only=False)
    x, y = _joined([ax.transData.inverted().transform(outline) for outline in outlines])
    return _series("outline", x=x, y=y)


def _collection(made: Collection, ax: Axes) -> _Series | None:
    if isinstance(made, ContourSet):
        return _contours(made)
    if isinstance(made, QuadMesh):
        return _mesh(made)
    if isinstance(made, PathCollection):
        return _marks(made, ax)
    in_x, in_y = _in_data(made.get_transform(), ax)
    if isinstance(made, FillBetweenPolyCollection) and in_x and in_y:
        return _band(made)
    if isinstance(made, LineCollection):
        return _segments([np.asarray(one, float) for one in made.get_segments()], in_x, in_y)
    return None


def _marks(made: PathCollection, ax: Axes) -> _Series | None:
    in_x, in_y = _in_data(made.get_offset_transform(), ax)
    places = _floats(made.get_offsets())
    if len(places) == 0 or not (in_x or in_y):
        return None
    shown = {**({"x": places[:, 0]} if in_x else {}), **({"y": places[:, 1]} if in_y else {})}
    values, sizes = made.get_array(), made.get_sizes()
    if values is not None and np.shape(values) == (len(places),):
        shown["value"] = _floats(values)
    if len(sizes) == len(places) and len(np.unique(sizes)) > 1:
        shown["size"] = sizes
    return _series("points", **shown)


def _band(made: FillBetweenPolyCollection) -> _Series:
    """Take a band apart: its outline runs along one side, and back along the other."""
    upright = made.t_direction == "x"  # type: ignore[attr-defined]
    parts = []
    for path in made.get_paths():
        outline = np.asarray(path.vertices, float)
        if not upright:
            outline = outline[:, ::-1]
        count = (len(outline) - 3) // 2
        there, back = outline[1 : count + 1], outline[count + 2 : 2 * count + 2][::-1]
        ends = np.sort(np.stack([there[:, 1], back[:, 1]]), axis=0)
        parts.append(np.column_stack([there[:, 0], *ends]))
    across, low, high = _joined(parts, width=3)
    if upright:
        return _series("band", x=across, y_low=low, y_high=high)
    return _series("band", y=across, x_low=low, x_high=high)


def _segments(segments: list[np.ndarray], in_x: bool, in_y: bool) -> _Series | None:
    if not segments or not (in_x or in_y):
        return None
    if all(len(one) == 2 for one in segments):
        ends = np.stack(segments)
        for along, across in ((1, 0), (0, 1)):
            if np.all(ends[:, 0, across] == ends[:, 1, across]):
                low, high = np.sort(ends[:, :, along], axis=1).T
                name, other = "xy"[along], "xy"[across]
                shown = {other: ends[:, 0, across]} if (in_x, in_y)[across] else {}
                if (in_x, in_y)[along]:
                    shown |= {f"{name}_low": low, f"{name}_high": high}
                return _series("interval", **shown)
    if not (in_x and in_y):
        return None
    x, y = _joined(segments)
    return _series("line", x=x, y=y)


def _joined(parts: Sequence[np.ndarray], width: int = 2) -> np.ndarray:
    """Put lines one after another, with a row of nothing between them; its columns."""
    gap = np.full((1, width), np.nan)
    rows = [row for part in parts for row in (part, gap)][:-1]
    return np.concatenate(rows or [np.empty((0, width))]).T


def _pieces(path: Path) -> list[np.ndarray]:
    """Cut a path of straight lines wherever the pen was lifted."""
    points = np.array(path.vertices, float)
    if path.codes is None or len(points) == 0:
        return [points] if len(points) else []
    starts = np.flatnonzero(path.codes == Path.MOVETO)
    for closing in np.flatnonzero(path.codes == Path.CLOSEPOLY):
        points[closing] = points[starts[starts < closing][-1]]
    return np.split(points, starts[1:])


def _contours(made: ContourSet) -> _Series | None:
    if made.filled:
        return _field("areas between levels", made.levels)
    lines = [
        (level, _pieces(path)) for level, path in zip(made.levels, made.get_paths(), strict=True)
    ]
    parts = [
        np.column_stack([one, np.full(len(one), level)]) for level, all_ in lines for one in all_
    ]
    if not parts:
        return None
    x, y, value = _joined(parts, width=3)
    return _series("level lines", x=x, y=y, value=value)


def _image(image: AxesImage) -> _Series:
    values: Any = image.get_array()
    left, right, bottom, top = image.get_extent()
    if values.ndim != 2 or values.size > MOST_CELLS:
        return _field_of(values, (left, right), (bottom, top))
    rows, columns = values.shape
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    if image.origin == "upper":
        y = y[::-1]
    across, up = np.meshgrid(x, y)
    return _cells(across, up, values)


def _mesh(mesh: QuadMesh) -> _Series:
    corners = np.asarray(mesh.get_coordinates(), float)
    values: Any = mesh.get_array()
    if values.size > MOST_CELLS or values.size != np.prod(np.array(corners.shape[:2]) - 1):
        ends = [(corners[..., side].min(), corners[..., side].max()) for side in (0, 1)]
        return _field_of(values, ends[0], ends[1])
    centres = (corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:] + corners[1:, 1:]) / 4
    return _cells(centres[..., 0], centres[..., 1], values)


def _cells(x: np.ndarray, y: np.ndarray, values: Any) -> _Series:
    return _series("cells", x=x.ravel(), y=y.ravel(), value=_floats(values).ravel())


def _field_of(values: Any, x: tuple[float, float], y: tuple[float, float]) -> _Series:
    what = "values" if values.ndim == 2 else "colours"
    size = " × ".join(f"{side}" for side in values.shape[:2])
    ranges = f"x from {x[0]:.6g} to {x[1]:.6g} and y from {y[0]:.6g} to {y[1]:.6g}"
    return _field(f"a field of {size} {what}, {ranges}", None)


def _field(what: str, levels: Any) -> _Series:
    at = "" if levels is None else f" at {', '.join(f'{level:.6g}' for level in levels)}"
    return {"shows": "field", "x": None, "y": None, "note": f"{what}{at}, not listed here"}


# --- what they are called ------------------------------------------------------------------------


def _label_of(artist: Any, ax: Axes) -> str:
    label = str(artist.get_label() or "")
    if label and not label.startswith("_"):
        return label
    figure = ax.get_figure()
    owners: list[Axes | Figure] = [*figure.axes, figure] if isinstance(figure, Figure) else [ax]
    entries = [entry for owner in owners for entry in _entries(owner)]
    looks = _looks(artist)
    alike = {text for handle, text in entries if looks is not None and _looks(handle) == looks}
    if not alike and looks is not None and looks[0] == "around":  # of that which has its colour
        alike = {text for handle, text in entries if (_looks(handle) or ("", ""))[1] == looks[1]}
    return alike.pop() if len(alike) == 1 else ""


def _entries(owner: Axes | Figure) -> list[tuple[Any, str]]:
    legends = [owner.get_legend()] if isinstance(owner, Axes) else owner.legends
    return [
        (handle, text.get_text())
        for legend in legends
        if legend is not None
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=False)
    ]


def _looks(artist: Any) -> tuple[str, ...] | None:
    """Say how lines and marks look, by which a legend can be asked for what it calls them."""
    color: Any
    if isinstance(artist, Line2D):
        color, marker = artist.get_color(), artist.get_marker()
        marked = "" if marker in (None, *_NO_LINE) else str(marker)
        return ("line", to_hex(color), str(artist.get_linestyle()), marked)
    if isinstance(artist, PathCollection):
        color = artist.get_facecolor()
        return ("marks", to_hex(color[0])) if len(color) else None
    if isinstance(artist, (LineCollection, FillBetweenPolyCollection)):
        is_line = isinstance(artist, LineCollection)
        color = artist.get_edgecolor() if is_line else artist.get_facecolor()
        return ("around", to_hex(color[0])) if len(color) else None
    return None


def _names(series: _Series, ax: Axes) -> dict[str, list[str]]:
    """Words that an axis has instead of numbers, for each point the nearest."""
    found = {}
    for side, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        words = _words_of(axis)
        if words and series.get(side) is not None:
            places = np.array(list(words))
            nearest = [int(np.abs(places - one).argmin()) for one in series[side] if one == one]
            if len(nearest) == len(series[side]):
                found[f"{side}_name"] = [words[places[one]] for one in nearest]
    return found


def _words_of(axis: Axis) -> dict[float, str]:
    locator = axis.get_major_locator()
    if not isinstance(locator, FixedLocator):
        return {}
    places = np.asarray(locator(), float)
    texts = axis.get_major_formatter().format_ticks(places.tolist())
    words = {float(place): text for place, text in zip(places, texts, strict=True) if text}
    return {} if any(_is_number(text) for text in words.values()) else words


def _is_number(text: str) -> bool:
    if text.startswith("$"):  # as powers of ten are written
        return True
    try:
        float(text.replace("\N{MINUS SIGN}", "-").replace(",", "").strip(" %$"))
    except ValueError:
        return False
    return True
