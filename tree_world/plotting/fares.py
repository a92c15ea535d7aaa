"""How agents fare: what they eat and spend, who of them lives, and what they learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.ticker import Locator, MaxNLocator

from tree_world.plotting.curves import LINES, MARKS
from tree_world.plotting.panels import count_by_thousands, figure_of, legend_below
from tree_world.plotting.style import (
    EDIBLE,
    INK,
    LINE,
    POISONOUS,
    SERIES,
    SOFT_INK,
    TEXT_WIDTH,
    as_array,
    keep_rows,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_BREAK = 50  # steps without a meal from a tree, after which another harvest begins
_LEAST_ROW = 13.0  # points from row to row, so that their numbers stand apart
_MOST_TICKS = 15  # counts up to which each has its number
_CONFIDENCE = 0.95


def plot_harvests(
    meal_steps: ArrayLike,
    meal_trees: ArrayLike,
    meal_healths: ArrayLike,
    regrowth_steps: float,
    until: float,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    """Draw when each tree fed an agent, and how long it bore nothing thereafter.

    Meals of a tree that are at most 50 steps apart are one harvest. Each has a mark at its first
    meal, and a bar from its last one for as long as the tree bears nothing.

    Parameters
    ----------
    meal_steps, meal_trees : array_like of shape (n,)
        In which step each meal was, in order, and from which tree.
    meal_healths : array_like of shape (n,)
        What it was worth, in health points: above 0 for food, below for poison.
    regrowth_steps : float
        How long a tree bears nothing after it was eaten from, in steps.
    until : float
        Last step to show.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not a step, a tree and a worth for each meal.
    """
    steps, trees = as_array(meal_steps), as_array(meal_trees)
    worth = as_array(meal_healths, dtype=np.float64)
    if not steps.shape == trees.shape == worth.shape == (len(steps),):
        raise ValueError(
            "each meal needs a step, a tree and a worth, but arrays of shapes "
            f"{steps.shape}, {trees.shape} and {worth.shape} were given."
        )
    shown = steps <= until
    steps, trees, worth = steps[shown], trees[shown], worth[shown]
    rows = list(dict.fromkeys(trees.tolist()))
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, max(2.2, 1.2 + 0.21 * len(rows))))
    marks: dict[bool, list[tuple[float, int]]] = {True: [], False: []}
    label: str | None = "bears nothing"
    for row, tree in enumerate(rows, start=1):
        when, value = steps[trees == tree], worth[trees == tree]
        cuts = np.flatnonzero(np.diff(when) > _BREAK) + 1
        # It may be come back to before it is empty.
        nexts = [*when[cuts].tolist(), until]
        for meals, gains, again in zip(
            np.split(when, cuts), np.split(value, cuts), nexts, strict=True
        ):
            end = min(float(meals[-1] + regrowth_steps), again)
            ax.barh(
                row,
                end - meals[-1],
                left=meals[-1],
                height=0.5,
                color=to_rgba(LINE, 0.4),
                label=label,
                zorder=1,
            )
            label = None
            is_food = bool(gains.sum() > 0)
            color = EDIBLE if is_food else POISONOUS
            ax.plot([meals[0], meals[-1]], [row, row], color=color, linewidth=2, zorder=2)
            marks[is_food].append((float(meals[0]), row))
    for is_food, marker, color, name in (
        (True, "o", EDIBLE, "edible fruit"),
        (False, "X", POISONOUS, "poisonous fruit"),
    ):
        if marks[is_food]:
            x, y = np.array(marks[is_food]).T
            ax.scatter(
                x,
                y,
                s=34,
                marker=marker,
                color=color,
                edgecolor="white",
                linewidth=0.7,
                label=name,
                clip_on=False,
                zorder=3,
            )
    ax.set(xlim=(0, until), ylim=(len(rows) + 0.6, 0.4), xlabel="time (steps)")
    ax.set_ylabel("tree, in the order\nof the first meal")
    ax.yaxis.set_major_locator(_Rows(ax, len(rows)))
    count_by_thousands(ax)
    if rows:
        legend_below(ax)
    if title is not None:
        ax.set_title(title)
    return ax


class _Rows(Locator):
    """Numbers rows from 1: each, or every few where they would not stand apart."""

    def __init__(self, ax: Axes, number: int) -> None:
        self._ax = ax
        self._number = number

    def __call__(self) -> list[float]:
        height = self._ax.get_window_extent().height * 72 / figure_of(self._ax).dpi
        apart = max(1, math.ceil(_LEAST_ROW * self._number / max(height, 1.0)))
        return [float(row) for row in range(1, self._number + 1, apart)]


def plot_ledger(
    healths: ArrayLike,
    meal_steps: ArrayLike,
    meal_healths: ArrayLike,
    costs: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    """Draw what an agent has eaten, spent, and lost because it was full, up to each step.

    Lost is what was eaten, less what was spent, less what health has grown by.

    Parameters
    ----------
    healths : array_like of shape (n + 1,)
        Before the first step and after each, in health points.
    meal_steps : array_like of shape (m,)
        In which step each meal was; the first is 1.
    meal_healths : array_like of shape (m,)
        What it was worth, in health points.
    costs : array_like of shape (n,)
        What each step cost, in health points.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not one cost for each step, a meal is in none of them, or health has grown by
        more than was eaten.
    """
    health, spent = as_array(healths, dtype=np.float64), as_array(costs, dtype=np.float64)
    steps, worth = as_array(meal_steps, dtype=np.int64), as_array(meal_healths, dtype=np.float64)
    number = len(spent)
    if health.shape != (number + 1,) or steps.shape != worth.shape:
        raise ValueError(
            f"{number} costs need {number + 1} healths, and each meal a step and a worth, but "
            f"arrays of shapes {health.shape}, {steps.shape} and {worth.shape} were given."
        )
    if len(steps) and not 1 <= steps.min() <= steps.max() <= number:
        raise ValueError(
            f"meals must be in the steps 1 to {number}, but are in {steps.min()} to {steps.max()}."
        )
    eaten = np.bincount(steps, weights=worth, minlength=number + 1)[1:]
    lost = eaten - spent - np.diff(health)
    # Who dies pays no more than is left.
    if (lost[health[1:] > 0] < -1e-3).any():
        step = int(np.argmin(np.where(health[1:] > 0, lost, 0.0))) + 1
        raise ValueError(
            f"in step {step} health grew by {-lost[step - 1]:g} points more than meal and cost "
            "tell. Give all meals, in the steps of `healths`, and what each step cost."
        )
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.2))
    for values, color, style, label in (
        (eaten, EDIBLE, LINES[0], "eaten"),
        (spent, SERIES[0], LINES[1], "spent"),
        (lost.clip(min=0.0), INK, LINES[2], "lost, being full"),
    ):
        summed = np.concatenate([[0.0], np.cumsum(values)])
        ax.plot(
            np.arange(number + 1),
            summed,
            color=color,
            linestyle=style,
            linewidth=1.8,
            drawstyle="steps-post",
            label=label,
        )
    ax.set(xlim=(0, max(number, 1)), xlabel="time (steps)", ylabel="so far (points of health)")
    if ax.get_ylim()[0] > -0.1 * ax.get_ylim()[1]:
        ax.set_ylim(bottom=0)
    count_by_thousands(ax, "xaxis", "yaxis")
    legend_below(ax)
    if title is not None:
        ax.set_title(title)
    return ax


def _share(alive: float, number: float) -> tuple[float, float, float]:
    """Share, and the ends of its interval after Clopper and Pearson."""
    if not 0 <= alive <= number or number < 1:
        raise ValueError(
            f"of {number:g} lives {alive:g} cannot be alive. Give how many of how many are alive."
        )
    from scipy.stats import binomtest  # not above, as it takes long to import

    low, high = binomtest(int(alive), int(number)).proportion_ci(_CONFIDENCE, method="exact")
    return alive / number, float(low), float(high)


def plot_alive_by_count(
    groups: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike]],
    ax: Axes | None = None,
    *,
    xlabel: str = "edible trees",
    title: str | None = None,
) -> Axes:
    """Draw the share of agents that are alive by a count, with 95 % Clopper–Pearson intervals.

    Parameters
    ----------
    groups : mapping of str to (array_like of shape (k,), three times)
        What to call each group; its counts, and how many of how many lives are alive at each.
        Groups stand side by side at each count.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel : str, default="edible trees"
        What is counted.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If more are alive than there were, or there was none.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.4))
    counts = np.unique(np.concatenate([as_array(group[0]) for group in groups.values()]))
    apart = 0.45 * float(np.diff(counts).min()) if len(counts) > 1 else 0.45
    for number, (label, (at, alive, of)) in enumerate(groups.items()):
        pairs = zip(as_array(alive).tolist(), as_array(of).tolist(), strict=True)
        share, low, high = np.array([_share(*pair) for pair in pairs]).T
        x = as_array(at) + apart * ((number + 0.5) / len(groups) - 0.5)
        color, style = SERIES[number % len(SERIES)], LINES[number % len(LINES)]
        ax.vlines(x, low, high, color=color, linewidth=1.4)
        ax.plot(x, share, color=color, linestyle=style, linewidth=0.8, alpha=0.6, clip_on=False)
        ax.plot(
            x,
            share,
            MARKS[number % len(MARKS)],
            color=color,
            markersize=6,
            label=label,
            clip_on=False,
            zorder=3,
        )
    ax.set(ylim=(0, 1), xlabel=xlabel, ylabel="share alive")
    if len(counts) <= _MOST_TICKS:
        ax.set_xticks(counts, [f"{count:,g}" for count in counts])
    ax.margins(x=0.04)
    legend_below(ax)
    if title is not None:
        ax.set_title(title)
    return ax


def plot_parts(
    alive: Mapping[str, int],
    number: int,
    lowest: Mapping[str, ArrayLike],
    axes: Sequence[Axes] | None = None,
    *,
    reference: str | None = None,
) -> list[Axes]:
    """Draw how agents fare that differ in a part each: who lives, and how low their health fell.

    On the left the share alive, with its 95 % Clopper–Pearson interval; on the right the lowest
    health in each life as a dot, and their median as a bar.

    Parameters
    ----------
    alive : mapping of str to int
        What to call each kind of agent, the topmost first, and how many of them are alive.
    number : int
        How many of each kind there were.
    lowest : mapping of str to array_like of shape (n,)
        For each kind the lowest health in each life, in health points.
    axes : two matplotlib.axes.Axes, optional
        Where to draw, from the left; new axes by default.
    reference : str, optional
        The kind to compare with: lines through both panels show its share and its median.

    Returns
    -------
    list of two matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If both mappings, or they and the reference, do not name the same kinds.
    """
    labels = list(alive)
    if set(labels) != set(lowest) or (reference is not None and reference not in labels):
        raise ValueError(
            f"alive, lowest and reference must name the same kinds, but name {labels}, "
            f"{list(lowest)} and {reference!r}."
        )
    if axes is None:
        size = (TEXT_WIDTH, 0.75 + 0.3 * len(labels))
        _, axes = plt.subplots(1, 2, figsize=size, sharey=True)
    left, right = axes
    for row, label in enumerate(labels):
        color = INK if label == reference else SERIES[0]
        share, low, high = _share(alive[label], number)
        left.plot([low, high], [row, row], color=color, linewidth=1.6, zorder=2)
        left.plot(share, row, "o", color=color, markersize=5.5, clip_on=False, zorder=3)
        values = as_array(lowest[label], dtype=np.float64)
        # Dots of like lives lie beside each other, always in the same way.
        aside = 0.5 * ((np.arange(len(values)) * 0.618034) % 1 - 0.5)
        right.scatter(
            values,
            row + aside,
            s=7,
            color=color,
            alpha=0.4,
            linewidth=0,
            clip_on=False,
            zorder=2,
        )
        middle = float(np.median(values))
        right.plot([middle] * 2, [row - 0.38, row + 0.38], color=color, linewidth=2.4, zorder=3)
        if label == reference:
            for ax, value in ((left, share), (right, middle)):
                ax.axvline(value, color=LINE, linewidth=0.8, zorder=1)
    left.set(xlim=(0, 1), xlabel="share alive")
    right.set(xlim=(0, None), xlabel="lowest health (points)")
    for ax in (left, right):
        ax.set_ylim(len(labels) - 0.4, -0.6)
        ax.set_yticks(range(len(labels)), labels)
        ax.tick_params(axis="y", length=0, pad=7)
    right.tick_params(axis="y", labelleft=False)
    keep_rows(figure_of(left), 0.75 + 0.23 * len(labels))
    return [left, right]


def plot_learning(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    references: Mapping[str, float],
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str = "mean life (steps)",
    title: str | None = None,
) -> Axes:
    """Draw how learners get on: a thin line for each seed, a strong one for their mean.

    Parameters
    ----------
    curves : mapping of str to (array_like of shape (k,), array_like of shape (seeds, k))
        What to call each learner; where it was measured, and how it did there with each seed.
    references : mapping of str to float
        What to compare with, as lines across.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel : str
        What x is, with its unit.
    ylabel : str, default="mean life (steps)"
        What is drawn, with its unit.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not a value for each seed at each x.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.6))
    right = 0.0
    for number, (label, (x, values)) in enumerate(curves.items()):
        where, each = as_array(x, dtype=np.float64), as_array(values, dtype=np.float64)
        if each.ndim != 2 or each.shape[1:] != where.shape:
            raise ValueError(
                f"the values of {label!r} must have shape (seeds, {len(where)}), as it was "
                f"measured at {len(where)} places, but have shape {each.shape}."
            )
        color = SERIES[number % len(SERIES)]
        for of_seed in each:
            ax.plot(where, of_seed, color=color, linewidth=0.8, alpha=0.5)
        ax.plot(
            where,
            each.mean(axis=0),
            color=color,
            linestyle=LINES[number % len(LINES)],
            linewidth=2.4,
            label=label,
            zorder=3,
        )
        right = max(right, float(where.max(initial=0.0)))
    for number, (label, value) in enumerate(references.items()):
        style = LINES[number % len(LINES)]
        ax.axhline(value, color=SOFT_INK, linestyle=style, linewidth=1.1, label=label, zorder=1)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.set(xlim=(0, right or None), ylim=(0, None), xlabel=xlabel, ylabel=ylabel)
    count_by_thousands(ax, "xaxis", "yaxis")
    legend_below(ax, **({"ncols": 3} if len(curves) + len(references) > 4 else {}))
    if title is not None:
        ax.set_title(title)
    return ax
