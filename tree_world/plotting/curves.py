"""Curves, intervals and distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from tree_world.evaluation import Estimate, Reliability
from tree_world.plotting.style import (
    INK,
    LEAF,
    LEAST_SIZE,
    LINE,
    PAPER,
    SERIES,
    SOFT_INK,
    TEXT_WIDTH,
    as_array,
)
from tree_world.simulation import SimpleSensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def plot_frontier(
    curves: Mapping[str, tuple[Sequence[Estimate], Sequence[Estimate], Sequence[str]]],
    points: Mapping[str, tuple[Estimate, Estimate]] | None = None,
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str,
    title: str | None = None,
) -> Axes:
    """Draw what is gained on one axis for what is paid on the other, as a setting changes.

    Parameters
    ----------
    curves : mapping of str to (sequence of Estimate, sequence of Estimate, sequence of str)
        What to call each curve; x, y, and what to write at each point.
    points : mapping of str to (Estimate, Estimate), optional
        Single points to compare with.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel, ylabel : str
        What is drawn, with units.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.8))

    def cross(x: Estimate, y: Estimate, color: str) -> None:
        ax.plot([x.low, x.high], [y.mean] * 2, color=color, linewidth=0.8, alpha=0.6)
        ax.plot([x.mean] * 2, [y.low, y.high], color=color, linewidth=0.8, alpha=0.6)

    for number, (label, (x, y, names)) in enumerate(curves.items()):
        color = SERIES[number % len(SERIES)]
        ax.plot(
            [e.mean for e in x],
            [e.mean for e in y],
            color=color,
            linewidth=1.8,
            marker="o",
            markersize=4,
            linestyle=LINES[number % len(LINES)],
            label=label,
        )
        for one, other, name in zip(x, y, names, strict=True):
            cross(one, other, color)
            # Curves may meet: the labels of every other one stand on the other side.
            side, across, along = (1, "left", "bottom") if number % 2 == 0 else (-1, "right", "top")
            ax.annotate(
                name,
                (one.mean, other.mean),
                xytext=(4 * side, 4 * side),
                ha=across,
                va=along,
                textcoords="offset points",
                fontsize=LEAST_SIZE,
                color=SOFT_INK,
            )
    for marker, (label, (one, other)) in zip("sDPv", (points or {}).items(), strict=False):
        ax.plot(
            one.mean,
            other.mean,
            marker,
            color=INK,
            markersize=7,
            linestyle="none",
            label=label,
            clip_on=False,
            zorder=3,
        )
        cross(one, other, INK)
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(0, None), ylim=(0, None))
    ax.legend()
    if title is not None:
        ax.set_title(title)
    return ax


def plot_kernel_profile(
    sensor: SimpleSensor, ax: Axes | None = None, *, title: str | None = None
) -> Axes:
    """Draw the strength of a scent against distance, with its deviation and its reach marked.

    Parameters
    ----------
    sensor : SimpleSensor
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.1))
    reach = sensor.max_sense_distance
    distances = torch.linspace(0, 1.6 * reach, 400, dtype=torch.float32)
    ax.plot(as_array(distances), as_array(sensor.strength(distances)), color=LEAF, linewidth=2)
    deviation = sensor.diffusion_time**0.5
    for distance, text in (
        (deviation, rf"$\sqrt{{t}}$ = {deviation:.1f} m"),
        (reach, f"M = {reach:g} m"),
    ):
        height = float(sensor.strength(torch.tensor(distance, dtype=torch.float32)))
        ax.plot([distance, distance], [0, height], color=LINE, linewidth=0.9, linestyle=(0, (3, 3)))
        ax.plot([0, distance], [height, height], color=LINE, linewidth=0.9, linestyle=(0, (3, 3)))
        ax.plot(distance, height, "o", color=LEAF, markersize=6, markeredgecolor=PAPER)
        ax.annotate(
            f"{text}, strength {height:.2f}",
            (distance, height),
            xytext=(9, 5),
            textcoords="offset points",
            color=INK,
            fontsize=LEAST_SIZE,
        )
    ax.set(xlim=(0, 1.6 * reach), ylim=(0, 1.04))
    ax.set(xlabel="distance from the tree (m)", ylabel="strength")
    if title is not None:
        ax.set_title(title)
    return ax


MARKS = "osD^vPX*<>"  # of curves and points, beside their colours
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (8, 2)))
_MOST_MARKERS = 20  # points of a curve, up to which each is marked


def plot_estimates(
    positions: ArrayLike | Mapping[str, ArrayLike],
    curves: Mapping[str, Sequence[Estimate]],
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str,
    log: bool = True,
    title: str | None = None,
) -> Axes:
    """Draw means over seeds against a quantity, each with the band of its interval.

    Parameters
    ----------
    positions : array_like of shape (n,), or mapping of str to such
        The quantity, for all curves or for each.
    curves : mapping of str to sequence of Estimate
        What to call each curve, and its n means.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel, ylabel : str
        What is drawn, with units.
    log : bool, default=True
        Whether both axes are logarithmic, so that a power is a straight line.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.4))
    each = positions if isinstance(positions, Mapping) else dict.fromkeys(curves, positions)
    for number, (label, estimates) in enumerate(curves.items()):
        x = as_array(each[label], dtype=np.float64)
        color, style = SERIES[number % len(SERIES)], LINES[number % len(LINES)]
        low, mean, high = (
            np.array([getattr(estimate, part) for estimate in estimates])
            for part in ("low", "mean", "high")
        )
        ax.fill_between(x, low, high, color=color, alpha=0.16, linewidth=0)
        marker = "o" if len(x) <= _MOST_MARKERS else ""
        ax.plot(
            x,
            mean,
            color=color,
            linestyle=style,
            linewidth=1.8,
            marker=marker,
            markersize=4,
            label=label,
        )
    if log:
        ax.set(xscale="log", yscale="log")
        ticks = np.unique(np.concatenate([np.ravel(one) for one in each.values()]))
        ax.set_xticks(ticks, [f"{position:,g}" for position in ticks])
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.minorticks_off()
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(curves) > 1:
        ax.legend()
    if title is not None:
        ax.set_title(title)
    return ax


def plot_distributions(
    values: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    xlabel: str,
    title: str | None = None,
) -> Axes:
    """Draw for each group of values which share of them is at most how large.

    Parameters
    ----------
    values : mapping of str to array_like of shape (n,)
        What to call each group, and its values.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel : str
        What the values are, with their unit.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.2))
    for number, (label, group) in enumerate(values.items()):
        ordered = np.sort(as_array(group, dtype=np.float64))
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        ax.plot(
            ordered,
            share,
            color=SERIES[number % len(SERIES)],
            linestyle=LINES[number % len(LINES)],
            linewidth=1.8,
            label=label,
        )
    ax.set(xlabel=xlabel, ylabel="share of places", ylim=(0, 1.02), xlim=(0, None))
    ax.legend(loc="lower right")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_reliability(
    curves: Mapping[str, Reliability], ax: Axes | None = None, *, title: str | None = None
) -> Axes:
    """Draw what came of forecasts against what was forecast; on the diagonal both agree.

    Parameters
    ----------
    curves : mapping of str to Reliability
        What to call each, and the bins. Discs are as large as the share of forecasts in them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(4.2, 4.2))
    ax.plot([0, 1], [0, 1], color=LINE, linewidth=1)
    for number, (label, bins) in enumerate(curves.items()):
        color = SERIES[number % len(SERIES)]
        ax.plot(
            bins.forecast,
            bins.observed,
            color=color,
            linestyle=LINES[number % len(LINES)],
            linewidth=1.8,
            label=label,
        )
        sizes = 12 + 160 * bins.counts / bins.counts.sum()
        ax.scatter(bins.forecast, bins.observed, s=sizes, color=color, alpha=0.55, linewidth=0)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="forecast", ylabel="outcome")
    ax.legend(loc="upper left")
    if title is not None:
        ax.set_title(title)
    return ax
