"""Lives: ways, health, survival."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize

from tree_world.evaluation import SurvivalCurve
from tree_world.plotting.curves import LINES
from tree_world.plotting.maps import plot_world
from tree_world.plotting.panels import legend_below, map_axes
from tree_world.plotting.style import EDIBLE, INK, POISONOUS, SERIES, SOFT_INK, TEXT_WIDTH
from tree_world.simulation import Recording, TreeWorld


def plot_trajectory(
    recording: Recording,
    world: TreeWorld,
    ax: Axes | None = None,
    *,
    half_width: float = 500.0,
    colorbar: bool = True,
    title: str | None = None,
) -> Axes:
    """Draw a walk over the trees, coloured by health.

    Parameters
    ----------
    recording : Recording
    world : TreeWorld
        The world that was walked.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    half_width : float, default=500.0
        The map shows −half_width to +half_width on both axes, in metres.
    colorbar : bool, default=True
        Whether to explain the colours beside the map.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = map_axes(ax, half_width, title)
    segments = np.stack([recording.positions[:-1], recording.positions[1:]], axis=1)
    health = Normalize(0, world.config.max_health)
    walk = LineCollection(
        list(segments),
        array=recording.healths[1:],
        norm=health,
        linewidth=1.7,
        zorder=3,
        capstyle="round",
    )
    # Bright colours would fade into the paper without an edge.
    ax.plot(*recording.positions.T, color=SOFT_INK, linewidth=2.9, solid_capstyle="round", zorder=2)
    ax.add_collection(walk)
    for row, marker, label in ((0, "s", "start"), (-1, "D", "end")):
        ax.plot(
            *recording.positions[row],
            marker,
            markersize=6.5,
            color=INK,
            markeredgecolor="white",
            markeredgewidth=0.9,
            label=label,
            zorder=6,
        )
    plot_world(world, ax, half_width=half_width, legend=True)
    if colorbar:
        bar = ax.figure.colorbar(walk, ax=ax, shrink=0.7, aspect=28, pad=0.03)
        bar.set_label("health (points)")
        bar.outline.set_visible(False)
    return ax


def plot_health(recording: Recording, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw health over time, with a mark for every meal.

    Parameters
    ----------
    recording : Recording
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 2.9))
    ax.plot(np.arange(len(recording.healths)), recording.healths, color=INK, linewidth=1.4)
    for sign, marker, color, label in (
        (1, "o", EDIBLE, "edible fruit"),
        (-1, "X", POISONOUS, "poisonous fruit"),
    ):
        steps = recording.meal_steps[np.sign(recording.meal_healths) == sign]
        ax.scatter(
            steps,
            recording.healths[steps],
            s=34,
            marker=marker,
            color=color,
            edgecolor="white",
            linewidth=0.7,
            label=label,
            zorder=3,
        )
    ax.set(xlabel="time (steps)", ylabel="health (points)", ylim=(0, None), xlim=(0, None))
    ax.legend(loc="lower left")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_survival(
    curves: Mapping[str, SurvivalCurve],
    ax: Axes | None = None,
    *,
    until: float,
    title: str | None = None,
) -> Axes:
    """Draw shares still alive over time, with their confidence bands.

    Parameters
    ----------
    curves : mapping of str to SurvivalCurve
        What to call each curve, and the curve.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    until : float
        Last step to show.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.4))
    for style, color, (label, curve) in zip(LINES, SERIES, curves.items(), strict=False):
        times = np.append(curve.times, until)
        low, high = (np.append(edge, edge[-1]) for edge in (curve.low, curve.high))
        ax.fill_between(times, low, high, step="post", color=color, alpha=0.16, linewidth=0)
        share = np.append(curve.share, curve.share[-1])
        ax.step(times, share, where="post", color=color, linestyle=style, linewidth=2, label=label)
    ax.set(xlim=(0, until), ylim=(0, 1.04), xlabel="time (steps)", ylabel="share alive")
    legend_below(ax, bbox_to_anchor=(0.5, -0.2))
    if title is not None:
        ax.set_title(title)
    return ax
