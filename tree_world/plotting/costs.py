"""What work costs: time, memory, and how they grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from tree_world.plotting.curves import LINES, MARKS
from tree_world.plotting.style import (
    LEAF,
    LEAST_SIZE,
    POISONOUS,
    SERIES,
    TEXT_WIDTH,
    UNKNOWN_FILL,
    as_array,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def plot_size(times: ArrayLike, sizes: ArrayLike, ax: Axes, *, title: str | None = None) -> Axes:
    """Draw how many observations a memory holds over time.

    Parameters
    ----------
    times, sizes : array_like of shape (n,)
        In order of time.
    ax : matplotlib.axes.Axes
        Where to draw.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    when, number = as_array(times), as_array(sizes)
    ax.fill_between(when, number, step="post", color=LEAF, alpha=0.14, linewidth=0)
    ax.step(when, number, where="post", color=LEAF, linewidth=1.4)
    ax.set(ylim=(0, 1.12 * number.max()), ylabel="observations", xlim=(when[0], when[-1]))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_latencies(
    times: ArrayLike,
    latencies: ArrayLike,
    ax: Axes,
    *,
    limit: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how long each step took, as a stem.

    Parameters
    ----------
    times : array_like of shape (n,)
        When each step began, in seconds.
    latencies : array_like of shape (n,)
        In milliseconds.
    ax : matplotlib.axes.Axes
        Where to draw.
    limit : float, optional
        A line to stay under, in milliseconds.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax.vlines(as_array(times), 0, as_array(latencies), color=SERIES[0], linewidth=1.3)
    if limit is not None:
        ax.axhline(limit, color=POISONOUS, linewidth=1, linestyle=LINES[1])
    ax.set(ylim=(0, None), xlabel="time (s)", ylabel="a step (ms)")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_growth(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    ax: Axes | None = None,
    *,
    xlabel: str = "observations",
    ylabel: str,
    emphasis: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how something grows with a size, on logarithmic axes, where a power is a straight line.

    Parameters
    ----------
    curves : mapping of str to (array_like of shape (n,), array_like of shape (n,))
        What to call each curve; sizes and values. NaN is left out. The mark and the colour of a
        curve tell its place in the order.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel, ylabel : str
        What is drawn, with units.
    emphasis : str, optional
        A curve that is drawn heavier than the others.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.6))
    for number, (label, (sizes, values)) in enumerate(curves.items()):
        heavy = label == emphasis
        ax.plot(
            as_array(sizes, dtype=np.float64),
            as_array(values, dtype=np.float64),
            color=LEAF if heavy else SERIES[number % len(SERIES)],
            marker=MARKS[number],
            linewidth=2.6 if heavy else 1.2,
            markersize=5 if heavy else 4,
            linestyle="-" if heavy else LINES[number % len(LINES)],
            zorder=3 if heavy else 2,
            label=label,
        )
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    ax.grid(True, which="major", color=UNKNOWN_FILL, linewidth=0.7)
    ax.minorticks_off()
    if title is not None:
        ax.set_title(title)
    return ax


def plot_roofline(
    points: Mapping[str, tuple[float, float]],
    peak_flops: float,
    bandwidth: float,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    r"""Draw the speed of works under what the machine allows.

    .. math:: P(I) = \min(P_{\max}, B \, I)

    Parameters
    ----------
    points : mapping of str to (float, float)
        What to call each work; its operations for each byte that it moves, and its operations a
        second.
    peak_flops : float
        Greatest number :math:`P_{\max}` of operations a second.
    bandwidth : float
        Bytes B a second between memory and processor.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 4.0))
    ridge = peak_flops / bandwidth
    intensities = [intensity for intensity, _ in points.values()]
    left, right = min(*intensities, ridge) / 4, max(*intensities, ridge) * 8
    roof = np.array([left, ridge, right])
    heights = np.minimum(peak_flops, bandwidth * roof) / 1e9
    ax.fill_between(roof, heights, 1e-6, color=LEAF, alpha=0.07, linewidth=0)
    ax.plot(roof, heights, color=LEAF, linewidth=2)
    for number, (label, (intensity, speed)) in enumerate(points.items()):
        ax.plot(
            intensity,
            speed / 1e9,
            MARKS[number],
            color=SERIES[number % len(SERIES)],
            markersize=8,
            linestyle="none",
            label=label,
            zorder=3,
        )
    ax.annotate(
        f"{peak_flops / 1e9:,.0f} Gflop/s",
        (right, peak_flops / 1e9),
        xytext=(-4, 5),
        textcoords="offset points",
        ha="right",
        color=LEAF,
        fontsize=LEAST_SIZE,
    )
    ax.annotate(
        f"{bandwidth / 1e9:,.0f} GB/s",
        (ridge / 4, bandwidth * ridge / 4e9),
        xytext=(-6, 6),
        textcoords="offset points",
        ha="right",
        color=LEAF,
        fontsize=LEAST_SIZE,
    )
    lowest = min(bandwidth * left, *(speed for _, speed in points.values())) / 1e9
    ax.set(
        xscale="log",
        yscale="log",
        xlim=(left, right),
        ylim=(lowest / 2, 3 * peak_flops / 1e9),
        xlabel="operations for each byte that is moved",
        ylabel="Gflop/s",
    )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.minorticks_off()
    ax.legend(loc="lower right")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_percentiles(
    times: ArrayLike,
    curves: Mapping[str, ArrayLike],
    ax: Axes,
    *,
    ylabel: str,
    limit: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how median, percentiles and extremes change in time, on a logarithmic scale.

    Parameters
    ----------
    times : array_like of shape (n,)
        In order.
    curves : mapping of str to array_like of shape (n,)
        What to call each curve, from the lowest to the highest.
    ax : matplotlib.axes.Axes
        Where to draw.
    ylabel : str
        What is drawn, with units.
    limit : float, optional
        A line to stay under.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    strengths = np.linspace(1.0, 0.35, len(curves))
    for (label, values), strength, style in zip(curves.items(), strengths, LINES, strict=False):
        ax.plot(
            as_array(times),
            as_array(values),
            color=SERIES[0],
            alpha=float(strength),
            linewidth=1.5,
            linestyle=style,
            label=label,
        )
    if limit is not None:
        ax.axhline(limit, color=POISONOUS, linewidth=1, linestyle=LINES[1])
    ax.set(yscale="log", ylabel=ylabel)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.minorticks_off()
    if title is not None:
        ax.set_title(title)
    return ax
