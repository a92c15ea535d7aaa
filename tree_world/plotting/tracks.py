"""Ways that were believed: where they lead, and how far off they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from tree_world.checks import as_points
from tree_world.plotting.curves import LINES
from tree_world.plotting.maps import plot_world
from tree_world.plotting.panels import (
    count_by_thousands,
    figure_of,
    legend_below,
    log_axes,
    map_axes,
)
from tree_world.plotting.style import (
    INK,
    SERIES,
    TEXT_WIDTH,
    UNKNOWN_FILL,
    UNKNOWN_HATCH,
    as_array,
    as_finite,
)
from tree_world.simulation import TreeWorld

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_MOST_IN_A_ROW = 4  # entries of a legend
_SINGLE_WALKS = 5  # that are drawn of each kind
_GUIDE = 8.0  # from end to beginning of a guide line
_BESIDE = 0.05  # of the height of the graph, from a curve to its guide line
_LEAST_APART = 14.0  # points from one label to the next
_LOWEST = 0.01  # share of errors that may lie below a logarithmic graph


def plot_paths(
    paths: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    half_width: float | None = None,
    world: TreeWorld | None = None,
    closures: ArrayLike | None = None,
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw a way on a map, and what others take it for.

    Parameters
    ----------
    paths : mapping of str to array_like of shape (n, 2)
        What to call each way, and its places, in metres. The first is the true one: a thin line in
        ink. The others have a colour and a dash each. A square marks where the first begins.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    half_width : float, optional
        The map shows −half_width to +half_width on both axes, in metres; by default a square that
        holds all ways.
    world : TreeWorld, optional
        Its trees are drawn faintly.
    closures : array_like of shape (k, 2, 2), optional
        For each pair of places that were found to be one, both of them, in metres; a thin line
        joins them.
    legend : bool, optional
        Whether to put a legend under the map; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no way, one has no place, shapes do not fit, or an entry is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world import plotting
    >>> true = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 40.0]])
    >>> ax = plotting.plot_paths({"true": true, "dead reckoning": 1.1 * true})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['true', 'dead reckoning', 'start']
    """
    ways = {label: _places(way, f"path {label!r}") for label, way in paths.items()}
    if not ways:
        raise ValueError("paths must hold a way to draw, the true one first, but it is empty.")
    pairs = None if closures is None else _pairs(closures)
    legend = ax is None if legend is None else legend
    every = np.concatenate(list(ways.values()))
    low, high = every.min(axis=0), every.max(axis=0)
    middle, half = (low + high) / 2, max(0.54 * float((high - low).max()), 1.0)
    if half_width is not None:
        middle, half = np.zeros(2), half_width
    ax = map_axes(ax, half, title)
    for number, (label, way) in enumerate(ways.items()):
        color, width = (INK, 1.0) if number == 0 else (SERIES[(number - 1) % len(SERIES)], 1.8)
        ax.plot(
            way[:, 0],
            way[:, 1],
            color=color,
            linestyle=LINES[number % len(LINES)],
            linewidth=width,
            label=label,
            zorder=5 if number == 0 else 3,
        )
    start = next(iter(ways.values()))[0]
    ax.plot(
        *start,
        "s",
        markersize=6.5,
        color=INK,
        markeredgecolor="white",
        markeredgewidth=0.9,
        label="start",
        zorder=6,
    )
    if pairs is not None and len(pairs):
        joined = LineCollection(
            list(pairs), color=SERIES[3], linewidth=1.0, label="closure", zorder=4
        )
        ax.add_collection(joined)
    if world is not None:
        before = len(ax.collections)
        plot_world(world, ax, half_width=half, legend=False)
        for trees in list(ax.collections)[before:]:
            trees.set(alpha=0.45, zorder=1)
    ax.set(
        xlim=(middle[0] - half, middle[0] + half),
        ylim=(middle[1] - half, middle[1] + half),
    )
    if legend:
        legend_below(ax, **_columns(ax))
    return ax


def _places(values: ArrayLike, name: str) -> np.ndarray:
    places = as_array(as_points(as_array(values), 2, name, torch.float64))
    if places.ndim != 2 or not len(places):
        raise ValueError(
            f"{name} must have shape (n, 2), in metres, with one place at least, but has shape "
            f"{places.shape}."
        )
    return places


def _pairs(values: ArrayLike) -> np.ndarray:
    given = as_array(values, dtype=np.float64)
    if given.size == 0:
        return np.zeros((0, 2, 2))
    if given.ndim != 3 or given.shape[1:] != (2, 2) or not np.isfinite(given).all():
        raise ValueError(
            "closures must have shape (k, 2, 2), the two ends of each in finite metres, but an "
            f"array of shape {given.shape} was given. For pairs of steps give path[pairs]."
        )
    return given


def _columns(ax: Axes) -> dict[str, int]:
    """Columns of a legend that would be too wide in one row."""
    number = len(ax.get_legend_handles_labels()[0])
    rows = math.ceil(number / _MOST_IN_A_ROW)
    return {"ncols": math.ceil(number / rows)} if rows > 1 else {}


def plot_drift(
    times: ArrayLike,
    errors: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    powers: Mapping[str, float],
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    r"""Draw how errors grow with time, beside the powers of time that they should follow.

    Both axes are logarithmic, so that a power p is a straight line of slope p. Strong is the root
    of the mean square over walks, thin are some single walks. A dashed line beside each curve rises
    as its power; it says nothing of the height.

    Parameters
    ----------
    times : array_like of shape (n_times,)
        In steps, above 0 and rising.
    errors : mapping of str to array_like of shape (n_walks, n_times)
        What to call each kind, and how far off each walk was at each time, in metres.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    powers : mapping of str to float
        For each kind the power of time to compare with; those that are not named have none.
    legend : bool, optional
        Whether to put a legend under the graph; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If times do not rise from above 0, shapes do not fit, an error is negative or not finite,
        all of a kind are 0, or a power is of no kind that is given.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world import plotting
    >>> times = np.array([1.0, 10.0, 100.0])
    >>> walks = np.outer([0.8, 1.2], np.sqrt(times))
    >>> ax = plotting.plot_drift(times, {"compass": walks}, powers={"compass": 0.5})
    >>> ax.texts[0].get_text()
    '$\\sqrt{t}$'
    """
    when = as_finite(times, "times")
    if when.ndim != 1 or len(when) < 2 or when[0] <= 0 or (np.diff(when) <= 0).any():
        raise ValueError(
            "times must be two or more, above 0 and rising, as on a logarithmic axis there is no "
            f"0, but an array of shape {when.shape} was given"
            + (f" that begins with {when[:3].tolist()}." if when.ndim == 1 else ".")
        )
    if not set(powers) <= set(errors):
        raise ValueError(f"powers are of {list(powers)}, but errors of {list(errors)} alone.")
    each = {label: _walks(label, walks, len(when)) for label, walks in errors.items()}
    legend = ax is None if legend is None else legend
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.8))
    roots = {label: np.sqrt((walks**2).mean(axis=0)) for label, walks in each.items()}
    for number, (label, walks) in enumerate(each.items()):
        color = SERIES[number % len(SERIES)]
        some = np.linspace(0, len(walks) - 1, min(_SINGLE_WALKS, len(walks))).astype(int)
        for walk in walks[some]:
            shown = np.where(walk > 0, walk, np.nan)
            ax.plot(when, shown, color=color, linewidth=0.7, alpha=0.4, zorder=2)
        ax.plot(
            when,
            np.where(roots[label] > 0, roots[label], np.nan),
            color=color,
            linestyle=LINES[number % len(LINES)],
            linewidth=2.4,
            label=label,
            zorder=3,
        )
    ax.set(xlabel="time (steps)", ylabel="error (m)", xscale="log", yscale="log")
    ax.set_xlim(when[0], when[-1])
    _guides(ax, when, roots, powers)
    log_axes(ax, "xaxis", "yaxis")
    if legend:
        legend_below(ax, **_columns(ax))
    if title is not None:
        ax.set_title(title)
    return ax


def _walks(label: str, values: ArrayLike, number: int) -> np.ndarray:
    walks = as_finite(values, f"errors of {label!r}")
    if walks.ndim != 2 or walks.shape[1] != number or not len(walks):
        raise ValueError(
            f"errors of {label!r} must have shape (n_walks, {number}), as there are {number} "
            f"times, but have shape {walks.shape}."
        )
    if (walks < 0).any() or not walks[:, -1].any():
        raise ValueError(
            f"errors of {label!r} must be distances, some above 0 at the last time, but are from "
            f"{walks.min():g} to {walks.max():g}."
        )
    return walks


def _guides(
    ax: Axes, times: np.ndarray, roots: Mapping[str, np.ndarray], powers: Mapping[str, float]
) -> None:
    """Draw a line of the right slope beside each curve, with its power at the right end."""
    beside = math.exp(_BESIDE * float(np.ptp(np.log(ax.get_ylim()))))
    colors = {label: SERIES[number % len(SERIES)] for number, label in enumerate(roots)}
    late = times >= times[-1] / _GUIDE
    late[-2:] = True
    lowest = min(powers, key=lambda label: roots[label][-1], default=None)
    ends = {}
    for label, power in powers.items():
        rise = (times[late] / times[-1]) ** power
        heights = roots[label][late] / rise
        # Between two curves there is room for one line: the lowest has its own below.
        below = label == lowest and len(roots) > 1
        ends[label] = heights[heights > 0].min() / beside if below else heights.max() * beside
        ax.plot(
            times[late],
            ends[label] * rise,
            color=colors[label],
            linestyle=(0, (3, 3)),
            linewidth=1.2,
            zorder=4,
        )
    low, high = np.log(ax.get_ylim())
    figure = figure_of(ax)
    points = ax.get_window_extent().height * 72 / figure.dpi / (high - low)
    taken = -math.inf
    for label in sorted(ends, key=lambda label: ends[label]):
        height = (math.log(ends[label]) - low) * points
        taken = max(height, taken + _LEAST_APART)
        ax.annotate(
            _power(powers[label]),
            (times[-1], ends[label]),
            xytext=(5, taken - height),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=11,
            annotation_clip=False,
        )


def _power(power: float) -> str:
    """Write a power of t as a formula."""
    nearest = Fraction(power).limit_denominator(9)
    if abs(float(nearest) - power) > 1e-9:
        return f"$t^{{{power:.2g}}}$"
    if nearest == Fraction(1, 2):
        return r"$\sqrt{t}$"
    return "$t$" if nearest == 1 else f"$t^{{{nearest}}}$"


def plot_errors_in_time(
    errors: ArrayLike,
    claimed: ArrayLike,
    ax: Axes | None = None,
    *,
    nothing: ArrayLike | None = None,
    times: ArrayLike | None = None,
    log: bool = False,
    label: str | None = None,
    claimed_label: str = "claimed radius",
    legend: bool = True,
    title: str | None = None,
) -> Axes:
    """Draw how far off a belief is as time goes by, and how far off it takes itself to be.

    Parameters
    ----------
    errors : array_like of shape (n,)
        Distance from what is believed to the truth, in metres.
    claimed : array_like of shape (n,)
        The radius within which the truth is claimed to lie, such as of nine tenths, in metres: the
        edge of a band.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    nothing : array_like of bool, of shape (n,), optional
        When nothing was smelled; such times are hatched, as what is unknown is.
    times : array_like of shape (n,), optional
        In steps, rising; 1 to n by default.
    log : bool, default=False
        Whether metres are logarithmic. Then the lowest hundredth of what is drawn may lie below the
        graph.
    label : str, default="error"
        What to call the errors.
    claimed_label : str, default="claimed radius"
        What to call the band.
    legend : bool, default=True
        Whether to put a legend under the graph.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If shapes differ, a distance is negative or not finite, times do not rise, or on a
        logarithmic axis there is none above 0.

    Examples
    --------
    >>> from tree_world import plotting
    >>> ax = plotting.plot_errors_in_time([1.0, 2.0, 4.0], [3.0, 3.0, 3.0], nothing=[0, 1, 1])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['error', 'claimed radius', 'nothing smelled']
    """
    off, radius = (
        as_finite(values, name) for values, name in ((errors, "errors"), (claimed, "claimed"))
    )
    when = np.arange(1.0, len(off) + 1) if times is None else as_array(times, dtype=np.float64)
    silent = np.zeros(len(off), bool) if nothing is None else as_array(nothing, dtype=bool)
    if not (len(off),) == off.shape == radius.shape == when.shape == silent.shape or not len(off):
        raise ValueError(
            "errors, claimed, nothing and times must be equally many, one at least, but have "
            f"shapes {off.shape}, {radius.shape}, {silent.shape} and {when.shape}."
        )
    if min(off.min(), radius.min()) < 0 or not (np.diff(when) > 0).all():
        raise ValueError(
            "errors and claimed must be distances, 0 or more, and times must rise, but the least "
            f"are {off.min():g} m, {radius.min():g} m and {np.diff(when).min(initial=1):g} steps."
        )
    both = np.concatenate([off[off > 0], radius[radius > 0]])
    if log and not len(both):
        raise ValueError("on a logarithmic axis nothing of 0 m can be drawn: leave out log=True.")
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 2.9))
    floor = float(np.quantile(both, _LOWEST)) / 1.5 if log else 0.0
    band = np.maximum(radius, floor)
    ax.plot(when, np.maximum(off, floor), color=INK, linewidth=1.3, label=label or "error")
    ax.fill_between(when, floor, band, color=SERIES[0], alpha=0.16, linewidth=0, zorder=1)
    ax.plot(when, band, color=SERIES[0], linestyle=LINES[1], linewidth=1.5, label=claimed_label)
    _hatch_times(ax, when, silent)
    ax.set(xlabel="time (steps)", ylabel="error (m)")
    ax.set_xlim(when[0], when[-1] if len(when) > 1 else when[0] + 1)
    if log:
        ax.set(yscale="log", ylim=(floor, None))
        log_axes(ax, "yaxis")
    else:
        ax.set_ylim(0, None)
    count_by_thousands(ax)
    if legend:
        legend_below(ax)
    if title is not None:
        ax.set_title(title)
    return ax


def _hatch_times(ax: Axes, times: np.ndarray, which: np.ndarray) -> None:
    """Hatch stretches of time, from half a step before the first of each to half after the last."""
    if len(times) == 1:
        edges = times[0] + np.array([-0.5, 0.5])
    else:
        between = (times[1:] + times[:-1]) / 2
        edges = np.concatenate([times[:1], between, times[-1:]])
    turns = np.flatnonzero(np.diff(np.concatenate([[False], which, [False]])))
    label: str | None = "nothing smelled"
    for first, after in turns.reshape(-1, 2):
        ax.axvspan(
            edges[first],
            edges[after],
            facecolor=UNKNOWN_FILL,
            edgecolor=UNKNOWN_HATCH,
            hatch="////",
            linewidth=0,
            label=label,
            zorder=0,
        )
        label = None
