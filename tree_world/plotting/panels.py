"""Axes for maps and graphs, and what stands beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from tree_world.checks import positive_distance, whole_number
from tree_world.plotting.style import (
    CLAY,
    INSIDE,
    LEAST_SIZE,
    TEXT_WIDTH,
    as_array,
    when_columns_change,
)

_LEGEND_HEIGHT = 0.35  # inches
_FEW_NUMBERS = 150.0  # from end to end of a logarithmic axis, up to which 2 and 5 are numbered
_BELOW = 0.5  # inches from axes to a legend below them, past the label of x


@dataclass(frozen=True)
class MapGrid:
    """The centres of square cells that tile a square map around the origin.

    The one place that knows how a list of values becomes an upright picture.

    Parameters
    ----------
    half_width : float, default=500.0
        The map reaches from −half_width to +half_width on both axes, in metres.
    cells_per_axis : int, default=100
        Cells along each axis.

    Raises
    ------
    ValueError
        If one of them is not positive.

    Examples
    --------
    >>> grid = MapGrid(half_width=100.0, cells_per_axis=2)
    >>> grid.points
    tensor([[-50., -50.],
            [ 50., -50.],
            [-50.,  50.],
            [ 50.,  50.]])
    """

    half_width: float = 500.0
    cells_per_axis: int = 100

    def __post_init__(self) -> None:
        positive_distance("half_width of a map", self.half_width)
        whole_number("cells_per_axis of a map", self.cells_per_axis, least=1)

    @property
    def points(self) -> torch.Tensor:
        """Cell centres, of shape (cells², 2), row by row from the south, west to east."""
        cell = 2 * self.half_width / self.cells_per_axis
        centres = -self.half_width + cell * (
            torch.arange(self.cells_per_axis, dtype=torch.float32) + 0.5
        )
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return torch.stack([x, y], dim=-1).reshape(-1, 2)

    def image(self, values: torch.Tensor | np.ndarray) -> np.ndarray:
        """Arrange one value for each point as an image whose first row is the south.

        Parameters
        ----------
        values : array of shape (cells², ...)
            In the order of `points`.

        Returns
        -------
        numpy.ndarray of shape (cells, cells, ...)
            For ``imshow(..., origin="lower", extent=grid.extent)``.

        Raises
        ------
        ValueError
            If there is not one value for each point.
        """
        array = as_array(values)
        expected = self.cells_per_axis**2
        if array.ndim == 0 or len(array) != expected:
            raise ValueError(
                f"a map of {self.cells_per_axis} × {self.cells_per_axis} cells needs {expected} "
                f"values, but an array of shape {array.shape} was given. Ask for the values at "
                "grid.points."
            )
        return array.reshape(self.cells_per_axis, self.cells_per_axis, *array.shape[1:])

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, east, south and north edge, in metres."""
        return (-self.half_width, self.half_width, -self.half_width, self.half_width)


def map_panels(num_panels: int = 1, *, share: bool = True) -> tuple[Figure, list[Axes]]:
    """Make a figure for one map, or for several side by side.

    Parameters
    ----------
    num_panels : int, default=1
        How many maps.
    share : bool, default=True
        Whether all show the same part of the world.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no panel to make.
    """
    num_panels = whole_number("num_panels of a figure", num_panels, least=1)
    width = TEXT_WIDTH if num_panels > 1 else 0.8 * TEXT_WIDTH
    figure, axes = plt.subplots(
        1,
        num_panels,
        figsize=(width, width / num_panels + 0.45),
        sharey=share,
        squeeze=False,
        layout=ConstrainedLayoutEngine(compress=True, wspace=0.06),
    )
    return figure, list(axes[0])


def graph_panels(num_panels: int, *, height: float = 2.9) -> tuple[Figure, list[Axes]]:
    """Make a figure for several graphs side by side, with one scale of y.

    Parameters
    ----------
    num_panels : int
        How many graphs.
    height : float, default=2.9
        Of the figure, in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes
    """
    figure, axes = plt.subplots(
        1, num_panels, figsize=(TEXT_WIDTH, height), sharey=True, squeeze=False
    )
    return figure, list(axes[0])


def figure_of(ax: Axes) -> Figure:
    """Tell the figure that holds some axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes that are drawn on have one
    return figure


def count_by_thousands(ax: Axes, *axes: str) -> None:
    """Write numbers of these axes in groups of three digits; those of x by default."""
    for axis in (getattr(ax, name) for name in axes or ("xaxis",)):
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}".replace("-", "−"))


def _on_log_axis(value: float, _: object) -> str:
    power = round(math.log10(value))
    if -5 < power < 7 or not math.isclose(value, 10.0**power):
        return f"{value:,.10g}".replace("-", "−")
    return f"$10^{{{power}}}$"


def log_axes(ax: Axes, *axes: str) -> None:
    """Make these axes, "xaxis" or "yaxis", logarithmic, once all is drawn."""
    for name in axes:
        getattr(ax, f"set_{name[0]}scale")("log")
        low, high = getattr(ax, f"get_{name[0]}lim")()
        subs = (1.0,) if high / low > _FEW_NUMBERS else (1.0, 2.0, 5.0)
        axis = getattr(ax, name)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(_on_log_axis)


def map_axes(ax: Axes | None, half_width: float, title: str | None) -> Axes:
    """Set the extent and the title of a map; without axes, on new ones."""
    if ax is None:
        ax = map_panels()[1][0]
    ax.set(xlim=(-half_width, half_width), ylim=(-half_width, half_width), aspect="equal")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2.5, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2.5, 5, 10]))
    ax.set_xlabel("x (m)")
    place = ax.get_subplotspec()
    if place is None or place.is_first_col():
        ax.set_ylabel("y (m)")
    if title is not None:
        ax.set_title(title)
    return ax


def legend_below(ax: Axes, **options: object) -> Legend:
    """Put the legend of some axes under them, in one row; in a narrow figure in more, if need be.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    **options
        Passed on to ``Axes.legend``.

    Returns
    -------
    matplotlib.legend.Legend
    """
    handles, _ = ax.get_legend_handles_labels()
    figure = figure_of(ax)
    below = ScaledTranslation(0, -_BELOW, figure.dpi_scale_trans)
    chosen: dict[str, object] = {
        "loc": "upper center",
        "bbox_to_anchor": (0.5, 0.0),
        "bbox_transform": ax.transAxes + below,
        "ncols": max(1, len(handles)),
        "handletextpad": 0.3,
        "columnspacing": 1.6,
    }
    return _made_in_columns(lambda columns: ax.legend(**(chosen | options | columns)))


def legend_within(ax: Axes, *, num_columns: int, **options: Any) -> Legend:
    """Put the legend of some axes inside of them, in columns; in a narrow figure in fewer.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    num_columns : int
    **options
        Passed on to ``Axes.legend``.

    Returns
    -------
    matplotlib.legend.Legend
    """
    chosen = {"ncols": num_columns} | options

    def make(columns: dict[str, Any]) -> Legend:
        legend = ax.legend(**(chosen | columns))
        setattr(legend, INSIDE, True)
        return legend

    return _made_in_columns(make)


def legend_under_figure(
    figure: Figure,
    handles: Sequence[Any],
    labels: Sequence[str],
    *,
    num_columns: int | None = None,
    **options: Any,
) -> Legend:
    """Put one legend for all panels under a figure, which grows by as much.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    handles : sequence of matplotlib.artist.Artist
    labels : sequence of str
    num_columns : int, optional
        Of the legend; as many as there are labels by default.
    **options
        Passed on to ``Figure.legend``.

    Returns
    -------
    matplotlib.legend.Legend
    """
    columns = num_columns or len(labels)
    rows = math.ceil(len(labels) / columns)
    figure.set_figheight(figure.get_figheight() + _LEGEND_HEIGHT * rows)
    chosen: dict[str, Any] = {"loc": "outside lower center", "ncols": columns, "columnspacing": 1.6}
    return _made_in_columns(
        lambda other: figure.legend(handles, labels, **(chosen | options | other))
    )


def _made_in_columns(make: Callable[[dict[str, Any]], Legend]) -> Legend:
    """Make a legend, and let it know how it would be made with fewer columns."""
    legend = make({})
    when_columns_change(legend, lambda columns: make({"ncols": columns}))
    return legend


def stacked_panels(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Make panels above each other that share their x axis.

    Parameters
    ----------
    heights : sequence of float
        Of the panels, in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes
        From the top.
    """
    figure, axes = plt.subplots(
        len(heights),
        1,
        figsize=(TEXT_WIDTH, sum(heights)),
        sharex=True,
        squeeze=False,
        height_ratios=list(heights),
    )
    return figure, list(axes[:, 0])


def mark_times(marks: Mapping[str, float], axes: Sequence[Axes]) -> None:
    """Mark moments across panels that share their x axis, and name them in the topmost.

    Parameters
    ----------
    marks : mapping of str to float
        What to write, and when.
    axes : sequence of matplotlib.axes.Axes
        From the top.
    """
    for label, when in marks.items():
        for ax in axes:
            ax.axvline(when, color=CLAY, linewidth=1, zorder=1)
        axes[0].annotate(
            label,
            (when, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -3),
            textcoords="offset points",
            va="top",
            color=CLAY,
            fontsize=LEAST_SIZE,
        )
