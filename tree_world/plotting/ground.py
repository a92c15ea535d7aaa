"""Measurements of somebody else's ground: where, how widely they are read, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tree_world.checks import positive_distance
from tree_world.evaluation import Estimate
from tree_world.plotting.curves import LINES, MARKS
from tree_world.plotting.panels import (
    count_by_thousands,
    figure_of,
    graph_panels,
    legend_below,
    legend_under_figure,
    map_axes,
)
from tree_world.plotting.style import (
    CLAY,
    INK,
    LINE,
    SERIES,
    SOFT_INK,
    TEXT_WIDTH,
    as_finite,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_AREA = 26.0  # square points of the disc of a station
_PLACES_ON_AXIS = 3  # numbers along each axis of a small map, at most, less one
_HEIGHT = 6.4  # inches, of four maps, and of two in a row half of it
_AROUND_ROW = 0.42  # inches
_ASIDE = 0.14  # of the distance of two claims, from one name to the next


def plot_stations(
    places: ArrayLike,
    senses: Mapping[str, ArrayLike],
    *,
    label: str,
    half_width: float,
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Draw what was measured at some places: a map for each quantity, two in a row, on one scale.

    Parameters
    ----------
    places : array_like of shape (n, 2)
        In metres, from the middle of the maps.
    senses : mapping of str to array_like of shape (n,)
        What to write above each map, and what was measured there.
    label : str
        What the numbers are, with their unit.
    half_width : float
        Of the maps, in metres.
    limits : (float, float), optional
        Ends of the scale; those of all numbers by default.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes, of shape (n_senses,)

    Raises
    ------
    ValueError
        If there is nothing to draw, shapes do not fit, or a number is not finite.

    Examples
    --------
    >>> from tree_world import plotting
    >>> maps = plotting.plot_stations(
    ...     [[0.0, 40.0], [-60.0, 10.0]],
    ...     {"lead": [5.2, 4.1], "zinc": [6.8, 5.9]},
    ...     label="ln mg/kg",
    ...     half_width=100.0,
    ... )
    >>> [ax.get_title() for ax in maps]
    ['lead', 'zinc']
    """
    positive_distance("half_width", half_width)
    where = as_finite(places, "places")
    if where.ndim != 2 or where.shape[1] != 2 or not len(where) or not senses:
        raise ValueError(
            "places must have shape (n, 2), and there must be something that was measured there, "
            f"but places have shape {where.shape}, and there are {len(senses)} senses."
        )
    numbers = {name: as_finite(values, f"senses of {name!r}") for name, values in senses.items()}
    for name, values in numbers.items():
        if values.shape != (len(where),):
            raise ValueError(
                f"senses of {name!r} must have shape ({len(where)},), one for each place, but have "
                f"shape {values.shape}."
            )
    low, high = limits or (
        min(values.min() for values in numbers.values()),
        max(values.max() for values in numbers.values()),
    )
    rows = math.ceil(len(numbers) / 2)
    columns = min(2, len(numbers))
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(TEXT_WIDTH, rows * _HEIGHT / 2 + _AROUND_ROW),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    maps = grid.ravel()
    for ax in maps[len(numbers) :]:
        ax.remove()
    maps = maps[: len(numbers)]
    for place, (ax, (name, values)) in enumerate(zip(maps, numbers.items(), strict=True)):
        map_axes(ax, half_width, name)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=_PLACES_ON_AXIS, steps=[1, 2, 5, 10]))
        if place + columns < len(numbers):
            ax.set_xlabel("")
        shown = ax.scatter(
            *where.T,
            c=values,
            s=_AREA,
            vmin=low,
            vmax=high,
            edgecolor=SOFT_INK,
            linewidth=0.4,
            zorder=3,
        )
    bar = figure.colorbar(shown, ax=list(maps), shrink=0.6, aspect=34, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)
    return np.asarray(maps)


def plot_widths(
    deviations: ArrayLike,
    errors: Mapping[str, Mapping[str, ArrayLike]],
    *,
    ylabel: str,
    xlabel: str = "deviation (m)",
) -> list[Axes]:
    """Draw errors against deviations: a graph for each quantity, a curve for each way to read.

    Rings mark the least of each curve.

    Parameters
    ----------
    deviations : array_like of shape (n,)
        In metres, above 0.
    errors : mapping of str to mapping of str to array_like of shape (n,)
        What to write above each graph; for each, what to call each curve, and its errors.
    ylabel : str
        What the errors are, with their unit.
    xlabel : str, default="deviation (m)"

    Returns
    -------
    list of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is nothing to draw, shapes do not fit, or a number is not finite.

    Examples
    --------
    >>> from tree_world import plotting
    >>> (ax,) = plotting.plot_widths(
    ...     [10.0, 40.0, 160.0], {"zinc": {"linear": [0.7, 0.4, 0.6]}}, ylabel="error"
    ... )
    >>> ax.get_xscale()
    'log'
    """
    tried = as_finite(deviations, "deviations")
    if tried.ndim != 1 or not len(tried) or tried.min() <= 0 or not errors:
        raise ValueError(
            "deviations must be a list of distances above 0, with errors of something, but have "
            f"shape {tried.shape}, and errors are of {len(errors)} quantities."
        )
    _, axes = graph_panels(len(errors))
    for ax, (name, curves) in zip(axes, errors.items(), strict=True):
        for number, (label, values) in enumerate(curves.items()):
            curve = as_finite(values, f"errors of {name!r}, {label!r}")
            if curve.shape != tried.shape:
                raise ValueError(
                    f"errors of {name!r}, {label!r} must have shape {tried.shape}, one for each "
                    f"deviation, but have shape {curve.shape}."
                )
            color = SERIES[number % len(SERIES)]
            ax.plot(
                tried,
                curve,
                color=color,
                linestyle=LINES[number % len(LINES)],
                linewidth=1.8,
                label=label,
            )
            least = int(np.argmin(curve))
            ax.plot(
                tried[least],
                curve[least],
                "o",
                markersize=9,
                markerfacecolor="none",
                markeredgecolor=INK,
                markeredgewidth=1.3,
                label="least" if number == len(curves) - 1 else None,
                zorder=5,
            )
        ax.set(title=name, xlabel=xlabel)
        ax.set_xscale("log")
        # At the ends of narrow graphs numbers would meet those of the next.
        inside = 10.0 ** np.arange(*np.ceil(np.log10([1.5 * tried.min(), tried.max() / 1.5])))
        count_by_thousands(ax)
        ax.set_xticks(inside if len(inside) else tried[[0, -1]])
        ax.minorticks_off()
    axes[0].set_ylabel(ylabel)
    legend_under_figure(figure_of(axes[0]), *axes[0].get_legend_handles_labels())
    return axes


def plot_held(
    claimed: Sequence[float],
    held: Mapping[str, Sequence[Estimate]],
    ax: Axes | None = None,
    *,
    ylabel: str = "held in truth (%)",
    title: str | None = None,
) -> Axes:
    """Draw which share of truths intervals hold, beside the share that they claim to hold.

    Short lines are the claims: whoever is on them is honest, above them too modest, and below them
    too sure.

    Parameters
    ----------
    claimed : sequence of float
        Shares, from 0 to 1.
    held : mapping of str to sequence of Estimate
        What to call each, and the shares that it held, one for each claim.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    ylabel : str, default="held in truth (%)"
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If a share is not from 0 to 1, or there is not one for each claim.

    Examples
    --------
    >>> from tree_world import plotting
    >>> from tree_world.evaluation import mean_with_interval
    >>> ax = plotting.plot_held([0.5, 0.9], {"zinc": [mean_with_interval([0.5, 0.6, 0.5])] * 2})
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['50', '90']
    """
    said = as_finite(claimed, "claimed")
    if said.ndim != 1 or not len(said) or said.min() < 0 or said.max() > 1:
        raise ValueError(f"claimed must be shares from 0 to 1, but {list(claimed)} were given.")
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.4))
    at = np.arange(len(said))
    for place, share in zip(at, said, strict=True):
        ax.plot(
            [place - 0.4, place + 0.4],
            [100 * share] * 2,
            color=CLAY,
            linewidth=1.4,
            label=None if place else "claimed",
            zorder=2,
        )
    middle = (len(held) - 1) / 2
    for number, (label, shares) in enumerate(held.items()):
        if len(shares) != len(said):
            raise ValueError(
                f"held must have {len(said)} shares of {label!r}, one for each claim, but has "
                f"{len(shares)}."
            )
        means = 100 * np.array([share.mean for share in shares])
        # An interval of shares ends where shares do.
        ends = 100 * np.clip([[share.low, share.high] for share in shares], 0.0, 1.0)
        ax.errorbar(
            at + _ASIDE * (number - middle),
            means,
            yerr=np.abs(ends.T - means),
            fmt=MARKS[number % len(MARKS)],
            color=SERIES[number % len(SERIES)],
            markersize=6,
            elinewidth=1.4,
            label=label,
            zorder=3,
        )
    ax.set_xticks(at, [f"{100 * share:g}" for share in said])
    ax.set(xlabel="claimed (%)", ylabel=ylabel)
    ax.grid(axis="y", color=LINE, linewidth=0.4, alpha=0.5)
    legend_below(ax)
    if title is not None:
        ax.set_title(title)
    return ax
