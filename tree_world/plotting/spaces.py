"""How well a space that is learned explains what was smelled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from tree_world.checks import positive_number
from tree_world.plotting.curves import LINES, MARKS
from tree_world.plotting.panels import (
    figure_of,
    legend_below,
    legend_under_figure,
    log_axes,
)
from tree_world.plotting.style import (
    CLAY,
    INK,
    LEAST_SIZE,
    LINE,
    SERIES,
    SOFT_INK,
    TEXT_WIDTH,
    as_array,
    as_finite,
    keep_rows,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_NOTHING_EXPLAINED = 0.5
_PIECE = (7.0, 16.0, 25.0)  # points, from where a curve ends, of what stands before its name
_LEAST_APART = 13.0  # points from one label to the next
_ABOVE_A_WORD = 21.0  # points: of a title, where a line is named above the axes
_LEAST_LEFT, _MOST_LEFT = 1e-4, 10.0  # share left unexplained: what is beyond lies at the edge


def plot_losses(
    losses: Mapping[str, Sequence[Mapping[int, float]]],
    ax: Axes | None = None,
    *,
    true_dims: Mapping[str, int] | None = None,
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how badly planes of each number of dimensions explain smells of a few steps.

    Thin lines are single worlds, the strong one is their mean. A loss of ½ means that places tell
    nothing. The loss falls until the dimension is that of space.

    Parameters
    ----------
    losses : mapping of str to sequence of mapping of int to float
        What to call each kind of body or world, which stands at the end of its line; and for each
        world the loss by dimension, as in ``ShiftSpace.loss_by_dim_``. Within a kind all worlds
        have the same dimensions.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    true_dims : mapping of str to int, optional
        The dimension of space of each kind, where it is to be ringed.
    legend : bool, optional
        Whether to put a legend under the graph; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no kind or no world, worlds of a kind differ in dimensions, a loss is not from
        0 to 1, or a true dimension is of no kind, or none for which there is a loss.

    Examples
    --------
    >>> from tree_world import plotting
    >>> ax = plotting.plot_losses(
    ...     {"in the plane": [{1: 0.31, 2: 0.07, 3: 0.07}, {1: 0.35, 2: 0.09, 3: 0.09}]},
    ...     true_dims={"in the plane": 2},
    ... )
    >>> [text.get_text() for text in ax.texts]
    ['nothing explained', 'in the plane']
    """
    tables = {label: _by_world(label, worlds) for label, worlds in losses.items()}
    if not tables:
        raise ValueError("losses must hold a kind and its worlds, but are empty.")
    for label, dim in (true_dims or {}).items():
        if label not in tables or dim not in tables[label][0]:
            known = list(tables) if label not in tables else tables[label][0].tolist()
            raise ValueError(
                f"true_dims holds {label!r}: {dim}, but there are losses of {known} alone."
            )
    legend = ax is None if legend is None else legend
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.4))
    ax.axhline(_NOTHING_EXPLAINED, color=LINE, linewidth=1, zorder=1)
    means = {}
    for number, (label, (dims, table)) in enumerate(tables.items()):
        color, mean = SERIES[number % len(SERIES)], table.mean(axis=0)
        ax.plot(dims, table.T, color=color, linewidth=0.8, alpha=0.35, zorder=2)
        dash = LINES[number % len(LINES)]
        (line,) = ax.plot(
            dims,
            mean,
            color=color,
            linestyle=dash,
            marker=MARKS[number % len(MARKS)],
            markersize=5.5,
            linewidth=2.2,
            zorder=4,
        )
        means[label] = (line, dash)
        if true_dims and label in true_dims:
            ringed = mean[dims == true_dims[label]]
            ax.plot(
                [true_dims[label]],
                ringed,
                "o",
                markersize=13,
                markerfacecolor="none",
                markeredgecolor=INK,
                markeredgewidth=1.4,
                linestyle="none",
                zorder=5,
            )
    highest = max(float(table.max()) for _, table in tables.values())
    ax.set(xlabel="dimensions", ylabel="loss of planes")
    ax.set_ylim(0, max(1.14 * _NOTHING_EXPLAINED, 1.05 * highest))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _say_beside(ax, _NOTHING_EXPLAINED, "nothing explained")
    _name_ends(ax, means)
    # Of no kind's own colour, as the lines of all kinds are meant.
    ax.plot([], [], color=SOFT_INK, linewidth=0.8, label="a world")
    ax.plot([], [], color=SOFT_INK, linewidth=2.2, label="mean over worlds")
    if true_dims:
        ax.plot(
            [],
            [],
            "o",
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=1.4,
            label="dimension of space",
        )
    if legend:
        legend_below(ax)
    if title is not None:
        ax.set_title(title)
    return ax


def _by_world(label: str, worlds: Sequence[Mapping[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Dimensions, and losses of shape (n_worlds, n_dims)."""
    if isinstance(worlds, Mapping) or not len(worlds) or not worlds[0]:
        raise ValueError(
            f"losses of {label!r} must be a sequence with a mapping of dimension to loss for each "
            f"world, one at least, but are {worlds!r}."
        )
    dims = sorted(worlds[0])
    for number, world in enumerate(worlds):
        if sorted(world) != dims:
            raise ValueError(
                f"worlds of {label!r} must have losses for the same dimensions, but world 0 has "
                f"{dims}, and world {number} {sorted(world)}."
            )
    table = as_finite([[world[dim] for dim in dims] for world in worlds], f"losses of {label!r}")
    if table.min() < 0 or table.max() > 1:
        raise ValueError(
            f"losses of {label!r} must be from 0 to 1, but go from {table.min():g} to "
            f"{table.max():g}."
        )
    return np.array(dims), table


def _say_beside(ax: Axes, height: float, text: str) -> None:
    """Write what a level line means, above its right end."""
    ax.annotate(
        text,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        color=SOFT_INK,
        fontsize=LEAST_SIZE,
    )


def _name_ends(ax: Axes, curves: Mapping[str, tuple[Line2D, Any]]) -> None:
    """Write the name of each curve to the right of where it ends, one above the other.

    Curves may end together: a piece of each, with its dash, stands before its name.
    """
    low, high = ax.get_ylim()
    figure = figure_of(ax)
    points = ax.get_window_extent().height * 72 / figure.dpi / (high - low)
    ends = {
        label: np.asarray(curve.get_xydata())[-1].tolist() for label, (curve, _) in curves.items()
    }
    labels = sorted(curves, key=lambda label: ends[label][1])
    wanted = np.array([ends[label][1] * points for label in labels])
    moved = pushed_apart(wanted, _LEAST_APART) - wanted
    for label, higher in zip(labels, moved, strict=True):
        (curve, dash), (x, y) = curves[label], ends[label]
        ax.annotate(
            label,
            (x, y),
            xytext=(_PIECE[-1] + 5, higher),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=LEAST_SIZE,
            annotation_clip=False,
        )
        at = ScaledTranslation(x, y, ax.transData)  # type: ignore[arg-type]  # logarithms will do
        piece = Line2D(
            np.array(_PIECE) / 72,
            np.full(len(_PIECE), higher / 72),
            transform=figure.dpi_scale_trans + at,
            color=curve.get_color(),
            linestyle=dash,
            linewidth=curve.get_linewidth(),
            marker=curve.get_marker(),
            markersize=curve.get_markersize(),
            markevery=[1],
            clip_on=False,
        )
        ax.add_artist(piece)


def pushed_apart(wanted: np.ndarray, apart: float) -> np.ndarray:
    """Move rising numbers as little as need be, by least squares, so that they lie apart.

    Parameters
    ----------
    wanted : numpy.ndarray of float64, of shape (n,)
        Not falling.
    apart : float
        From one to the next, at least.

    Returns
    -------
    numpy.ndarray of float64, of shape (n,)

    Examples
    --------
    >>> pushed_apart(np.array([0.0, 1.0, 9.0]), 3.0).tolist()
    [-1.0, 2.0, 9.0]
    """
    groups: list[list[float]] = []  # each of neighbours that touch: the mean of those moved, size
    for value in wanted - apart * np.arange(len(wanted)):
        groups.append([float(value), 1.0])
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (one, few), (other, more) = groups[-2:]
            groups[-2:] = [[(one * few + other * more) / (few + more), few + more]]
    levels = np.repeat([mean for mean, _ in groups], [int(size) for _, size in groups])
    return np.asarray(levels + apart * np.arange(len(wanted)))


def plot_occam(
    scales: ArrayLike,
    terms: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    best: float | None = None,
    xlabel: str = "scale of the shifts",
    title: str | None = None,
) -> Axes:
    """Draw what makes a scale probable: terms that pull two ways, and their sum.

    Parameters
    ----------
    scales : array_like of shape (n,)
        Above 0 and rising; the axis is logarithmic.
    terms : mapping of str to array_like of shape (n,)
        What to call each term, and its values, in nats for each number that was smelled. The last
        is their sum: a strong line.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    best : float, optional
        The most probable scale: a thin line.
    xlabel : str, default="scale of the shifts"
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If scales do not rise from above 0, there is no term, shapes do not fit, or a number is not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world import plotting
    >>> scales = np.geomspace(0.1, 10, 21)
    >>> fit, size = -scales, np.log(scales)
    >>> ax = plotting.plot_occam(
    ...     scales, {"fit": fit, "log-determinant": size, "evidence": fit + size}, best=1.0
    ... )
    >>> sorted(text.get_text() for text in ax.texts)
    ['evidence', 'fit', 'log-determinant', 'most probable']
    """
    where = as_finite(scales, "scales")
    if where.ndim != 1 or len(where) < 2 or where[0] <= 0 or (np.diff(where) <= 0).any():
        raise ValueError(
            "scales must be two or more, above 0 and rising, but an array of shape "
            f"{where.shape} was given"
            + (f" that begins with {where[:3].tolist()}." if where.ndim == 1 else ".")
        )
    curves = {label: as_finite(values, f"term {label!r}") for label, values in terms.items()}
    if not curves:
        raise ValueError("terms must hold a term, the sum last, but are empty.")
    for label, curve in curves.items():
        if curve.shape != where.shape:
            raise ValueError(
                f"term {label!r} must have one value for each of {len(where)} scales, but has "
                f"shape {curve.shape}."
            )
    chosen = None if best is None else positive_number("best", best)
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.4))
    drawn = {}
    for number, (label, curve) in enumerate(curves.items()):
        last = number == len(curves) - 1
        dash = "-" if last else LINES[(number + 1) % len(LINES)]
        (line,) = ax.plot(
            where,
            curve,
            color=INK if last else SERIES[number % len(SERIES)],
            linestyle=dash,
            linewidth=2.6 if last else 1.6,
            label=label,
            zorder=4 if last else 3,
        )
        drawn[label] = (line, dash)
    ax.set(xlabel=xlabel, ylabel="nats for each number", xscale="log")
    ax.set_xlim(where[0], where[-1])
    log_axes(ax, "xaxis")
    if chosen is not None:
        ax.axvline(chosen, color=CLAY, linewidth=1, zorder=1)
        ax.annotate(
            "most probable",
            (chosen, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=CLAY,
            fontsize=LEAST_SIZE,
            annotation_clip=False,
        )
    _name_ends(ax, drawn)
    if title is not None:
        ax.set_title(title, pad=_ABOVE_A_WORD if chosen is not None else None)
    return ax


def plot_unexplained(
    groups: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    label: str = "share left unexplained",
    labels: bool = True,
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw which share of a variance was left unexplained, 1 − R², in each of many worlds.

    Each group has a row: a dot for each world, and a diamond for their median. On the thin line
    smells are told no better than by their mean. The axis is logarithmic, from 0.0001 to 10: what
    is beyond is a triangle at its edge.

    Parameters
    ----------
    groups : mapping of str to array_like of shape (n_worlds,)
        What to call each group, the topmost first, and its R² in each world. Those that are None
        or not a number, where there is none, are left out; a row may be empty.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    label : str, default="share left unexplained"
        For the axis of x.
    labels : bool, default=True
        Whether to name the rows. Of panels with the same rows side by side, name those of the left;
        in a narrow column all are named.
    legend : bool, optional
        Whether to put a legend under the figure; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no group, none has a number, shapes do not fit, or an R² is greater than 1 or
        infinite.

    Examples
    --------
    >>> from tree_world import plotting
    >>> ax = plotting.plot_unexplained({"shifts": [0.99, 0.98, None], "sequences": [0.3, -0.2]})
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['shifts', 'sequences']
    """
    rows = {name: _left_unexplained(name, values) for name, values in groups.items()}
    if not sum(map(len, rows.values())):
        raise ValueError(
            f"groups must hold an R² at least, but of {len(rows)} groups none holds a number."
        )
    height = 1.05 + 0.36 * len(rows)
    legend = ax is None if legend is None else legend
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, height))
    ax.axvline(1, color=CLAY, linewidth=1.2, zorder=1)
    for row, left in enumerate(rows.values()):
        # Dots of like worlds lie beside each other, always in the same way.
        aside = row + 0.44 * ((np.arange(len(left)) * 0.618034) % 1 - 0.5)
        for marker, which in (
            ("<", left < _LEAST_LEFT),
            ("o", (left >= _LEAST_LEFT) & (left <= _MOST_LEFT)),
            (">", left > _MOST_LEFT),
        ):
            ax.scatter(
                left[which].clip(_LEAST_LEFT, _MOST_LEFT),
                aside[which],
                s=14 if marker == "o" else 30,
                marker=marker,
                color=SERIES[0],
                alpha=0.7,
                linewidth=0,
                clip_on=False,
                zorder=2,
            )
        if len(left):
            ax.plot(
                np.median(left).clip(_LEAST_LEFT, _MOST_LEFT),
                row,
                "D",
                color=INK,
                markeredgecolor="white",
                markeredgewidth=0.8,
                markersize=6.5,
                clip_on=False,
                zorder=5,
            )
    ax.scatter([], [], s=14, color=SERIES[0], alpha=0.7, linewidth=0, label="a world")
    ax.plot(
        [], [], "D", color=INK, markeredgecolor="white", markersize=6.5, label="median over worlds"
    )
    ax.set(xlim=(_LEAST_LEFT, _MOST_LEFT), ylim=(len(rows) - 0.4, -0.6), xlabel=label)
    log_axes(ax, "xaxis")
    # Every other power has a number, so that they do not meet those of a panel beside it.
    ax.set_xticks([1e-4, 1e-2, 1.0])
    ax.set_xticks([1e-3, 1e-1, 10.0], [""] * 3, minor=True)
    ax.annotate(
        "the mean smell",
        (1, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=CLAY,
        fontsize=LEAST_SIZE,
    )
    ax.set_yticks(range(len(rows)), list(rows))
    ax.tick_params(axis="y", length=0, pad=7, labelleft=labels)
    keep_rows(figure_of(ax), height)
    if legend:  # under the axes it would take room from beside them
        legend_under_figure(figure_of(ax), *ax.get_legend_handles_labels())
    if title is not None:
        ax.set_title(title, pad=_ABOVE_A_WORD)
    return ax


def _left_unexplained(name: str, values: ArrayLike) -> np.ndarray:
    told = as_array(values, dtype=np.float64)
    if told.ndim != 1:
        raise ValueError(
            f"R² of {name!r} must be one for each world, of shape (n_worlds,), but an array of "
            f"shape {told.shape} was given."
        )
    known = told[~np.isnan(told)]
    if len(known) and (known.max() > 1 or not math.isfinite(known.min())):
        raise ValueError(
            f"R² of {name!r} must be finite, and 1 at most, but go from {known.min():g} to "
            f"{known.max():g}. Leave out, or give None, where there is none."
        )
    return np.asarray(1 - known)


def plot_fits(
    evidences: ArrayLike,
    errors: ArrayLike,
    ax: Axes | None = None,
    *,
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how probable each fit is against how wrong it is.

    If evidence can be trusted, the fits far up, whose turns are wrong, lie to the left of the best.

    Parameters
    ----------
    evidences : array_like of shape (n,)
        Of each fit, in nats for each number that was smelled. The greatest is the best: a filled
        mark.
    errors : array_like of shape (n,)
        How far off the turns of each are, in radians, above 0; the axis is logarithmic.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    legend : bool, optional
        Whether to put a legend under the graph; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If shapes differ, there is no fit, a number is not finite, or an error is not above 0.

    Examples
    --------
    >>> from tree_world import plotting
    >>> ax = plotting.plot_fits([1.2, 1.9, 0.7], [0.8, 0.002, 1.4])
    >>> ax.lines[0].get_xydata().tolist()
    [[1.9, 0.002]]
    """
    told, off = as_finite(evidences, "evidences"), as_finite(errors, "errors")
    if told.ndim != 1 or told.shape != off.shape or not len(told):
        raise ValueError(
            "evidences and errors must be equally many, one at least, but have shapes "
            f"{told.shape} and {off.shape}."
        )
    if off.min() <= 0:
        raise ValueError(
            f"errors must be above 0, as their axis is logarithmic, but the least is {off.min():g}."
        )
    legend = ax is None if legend is None else legend
    if ax is None:
        _, ax = plt.subplots(figsize=(0.75 * TEXT_WIDTH, 3.6))
    best = int(told.argmax())
    others = np.arange(len(told)) != best
    ax.scatter(
        told[others],
        off[others],
        s=30,
        facecolor=to_rgba(SERIES[0], 0.15),  # which tells where many lie
        edgecolor=SERIES[0],
        linewidth=1.1,
        label="a fit",
        zorder=2,
    )
    ax.plot(
        told[best],
        off[best],
        "D",
        color=SERIES[1],
        markersize=8,
        markeredgecolor="white",
        markeredgewidth=0.9,
        linestyle="none",
        label="the most probable",
        zorder=3,
    )
    ax.set(xlabel="evidence (nats for each number)", ylabel="error of turns (rad)", yscale="log")
    log_axes(ax, "yaxis")
    if legend:
        legend_below(ax)
    if title is not None:
        ax.set_title(title)
    return ax
