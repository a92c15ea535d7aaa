"""What a body gets on a walk, and the space that it learns from that, on the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from tree_world.checks import as_points, positive_distance, whole_number
from tree_world.plotting.panels import (
    count_by_thousands,
    figure_of,
    legend_below,
    legend_under_figure,
    map_axes,
    map_panels,
    stacked_panels,
)
from tree_world.plotting.style import (
    BLUE_TO_ORANGE,
    CLAY,
    INK,
    LINE,
    SERIES,
    as_array,
    as_finite,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_MOST_NUMBERS = 12  # of a smell, that can be told apart in a strip
_TICK = 0.36  # half the height of a tick, in rows
_ROW = 0.2  # inches
_ABOVE, _BELOW = 0.15, 0.55  # inches: what stands around the rows
_SATURATED = 0.98  # share of the numbers of smells that are within the scale of colours
_IN_VIEW = 0.99  # share of differences
_MOST_RINGS = 1000
_AROUND = 0.54  # of the extent of what a map holds: half its width
_DISC, _RING = 72.0, 170.0  # square points, within the disc and its ring
_BAR = 0.6  # inches: by as much is a map narrower beside a bar of colours, and no higher
_WALK: dict[str, Any] = {"color": LINE, "solid_joinstyle": "round"}


def plot_what_it_gets(
    actions: ArrayLike,
    senses: ArrayLike,
    axes: Sequence[Axes] | None = None,
    *,
    num_actions: int | None = None,
    title: str | None = None,
) -> list[Axes]:
    """Draw all that a body gets: numbers of its actions, and numbers of what it smells.

    Above, each action has a row, with a tick at each step at which it was done. Below, each number
    of the smell has a row: the colour says how large it is, blue below zero and orange above it, on
    one scale for all, beyond which the largest fiftieth lies. Some 300 steps can be told apart.

    Parameters
    ----------
    actions : array_like of int, of shape (n,)
        From 0 on.
    senses : array_like of shape (n, k)
        What was smelled after each, at most twelve numbers: for smells of more, those that vary
        most, such as their leading principal components.
    axes : sequence of two matplotlib.axes.Axes, optional
        Where to draw, from the top; they should share their x axis. New ones by default.
    num_actions : int, optional
        How many rows there are above; as many as there are actions by default.
    title : str, optional

    Returns
    -------
    list of matplotlib.axes.Axes
        From the top.

    Raises
    ------
    ValueError
        If shapes do not fit, there are no steps, an action is out of range, there are too many
        numbers, one is not finite, or there are not two axes.

    Examples
    --------
    >>> from tree_world import plotting
    >>> above, below = plotting.plot_what_it_gets([0, 2, 2], [[0.1, 0.3], [0.2, 0.0], [0.4, -0.3]])
    >>> [label.get_text() for label in above.get_yticklabels()]
    ['0', '1', '2']
    >>> below.get_xlabel()
    'time (steps)'
    """
    done = as_array(actions)
    if done.ndim != 1 or done.dtype.kind not in "iu" or not len(done):
        raise ValueError(
            "actions must be whole numbers, of shape (n,), one at least, but an array of shape "
            f"{done.shape} and kind {done.dtype} was given."
        )
    least = int(done.max()) + 1
    number = least if num_actions is None else whole_number("num_actions", num_actions, least=1)
    if done.min() < 0 or number < least:
        raise ValueError(
            f"actions must be from 0 to {number - 1}, but they go from {done.min()} to "
            f"{done.max()}. Give num_actions."
        )
    smells = as_finite(senses, "senses")
    if smells.ndim != 2 or len(smells) != len(done) or not 1 <= smells.shape[1] <= _MOST_NUMBERS:
        raise ValueError(
            f"senses must have shape ({len(done)}, k), one after each action, with at most "
            f"{_MOST_NUMBERS} numbers, but have shape {smells.shape}. Give those that vary most."
        )
    if axes is None:
        rows = (number, smells.shape[1])
        around = (_ABOVE, _BELOW)
        _, axes = stacked_panels(
            [_ROW * row + more for row, more in zip(rows, around, strict=True)]
        )
    if len(axes) != 2:
        raise ValueError(f"axes must be two, for actions and for smells, but are {len(axes)}.")
    above, below = axes
    steps = np.arange(1, len(done) + 1)
    above.vlines(steps, done - _TICK, done + _TICK, color=INK, linewidth=0.7)
    above.set_yticks(range(number))
    above.set(ylim=(number - 0.4, -0.6), ylabel="action")
    scale = float(np.quantile(np.abs(smells), _SATURATED)) or float(np.abs(smells).max()) or 1.0
    below.imshow(
        smells.T,
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, len(done) + 0.5, smells.shape[1] + 0.5, 0.5),
        cmap=BLUE_TO_ORANGE,
        vmin=-scale,
        vmax=scale,
    )
    below.set_yticks(range(1, smells.shape[1] + 1))
    below.set(xlabel="time (steps)", ylabel="smell")
    count_by_thousands(below)
    for ax in axes:
        ax.set_xlim(0.5, len(done) + 0.5)
        ax.tick_params(axis="y", length=0, pad=5)
    above.tick_params(axis="x", length=0, labelbottom=False)
    above.spines["bottom"].set_visible(False)
    if title is not None:
        above.set_title(title)
    return list(axes)


def plot_differences(
    differences: ArrayLike,
    ax: Axes | None = None,
    *,
    vectors: ArrayLike | None = None,
    half_width: float | None = None,
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw differences of places that smell alike, and the lattice in which they lie.

    In a world that repeats, places that smell alike are whole numbers of two vectors apart.

    Parameters
    ----------
    differences : array_like of shape (n, 2)
        In metres.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    vectors : array_like of shape (2, 2), optional
        Two vectors, one a row, in metres: arrows. All their sums of whole numbers are ringed.
    half_width : float, optional
        The map shows −half_width to +half_width on both axes, in metres; by default as far as 99 of
        100 differences reach.
    legend : bool, optional
        Whether to put a legend under the map; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no difference, shapes do not fit, an entry is not finite, the vectors lie on one
        line, or are so short that more than 1,000 rings would be drawn.

    Examples
    --------
    >>> from tree_world import plotting
    >>> ax = plotting.plot_differences(
    ...     [[101.0, 2.0], [-1.0, 98.0]], vectors=[[100.0, 0.0], [0.0, 100.0]], half_width=150.0
    ... )
    >>> len(ax.lines[0].get_xdata())  # −1, 0 and 1 of each
    9
    """
    apart = _places(differences, "differences")
    if half_width is None:
        half = 1.05 * float(np.quantile(np.abs(apart).max(axis=1), _IN_VIEW)) or 1.0
    else:
        half = positive_distance("half_width", half_width)
    lattice = None if vectors is None else _lattice(vectors, half)
    legend = ax is None if legend is None else legend
    ax = map_axes(ax, half, title)
    ax.set_xlabel("difference of x (m)")
    if ax.get_ylabel():
        ax.set_ylabel("difference of y (m)")
    ax.scatter(apart[:, 0], apart[:, 1], s=9, color=SERIES[0], alpha=0.3, linewidth=0, zorder=2)
    ax.scatter([], [], s=18, color=SERIES[0], alpha=0.7, linewidth=0, label="two that smell alike")
    if lattice is not None:
        rows, points = lattice
        ax.plot(
            *points.T,
            "o",
            markersize=13,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=1.1,
            label="whole numbers of two vectors",
            zorder=3,
        )
        for row in rows:
            ax.add_patch(
                FancyArrowPatch(
                    (0.0, 0.0),
                    (float(row[0]), float(row[1])),
                    arrowstyle="-|>",
                    mutation_scale=13,
                    shrinkA=0,
                    shrinkB=0,
                    linewidth=1.8,
                    facecolor=CLAY,
                    edgecolor=CLAY,
                    zorder=4,
                )
            )
    if legend:
        legend_below(ax)
    return ax


def _lattice(vectors: ArrayLike, half: float) -> tuple[np.ndarray, np.ndarray]:
    """Two vectors, and their sums of whole numbers that are in view."""
    rows = as_finite(vectors, "vectors")
    if rows.shape != (2, 2):
        raise ValueError(f"vectors must have shape (2, 2), one a row, but have {rows.shape}.")
    longest = float(np.linalg.norm(rows, axis=1).max())
    area = abs(float(np.linalg.det(rows)))
    if area <= 1e-6 * longest**2:
        raise ValueError(
            f"vectors must span a plane, but {rows.tolist()} lie on one line. Give two that differ "
            "in direction."
        )
    if (2 * half) ** 2 > _MOST_RINGS * area:
        raise ValueError(
            f"vectors must be so long that a map of {2 * half:g} m holds at most {_MOST_RINGS:,} "
            f"of their sums, but {rows.tolist()} were given. Give a smaller half_width."
        )
    # The corners of the map, in numbers of vectors, bound all that is in view.
    corners = half * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) @ np.linalg.inv(rows)
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    counts = [np.arange(first, last + 1) for first, last in zip(low, high, strict=True)]
    every = np.stack(np.meshgrid(*counts, indexing="ij"), axis=-1).reshape(-1, 2) @ rows
    return rows, every[(np.abs(every) <= half).all(axis=1)]


def plot_ways(
    places: ArrayLike,
    ways: Sequence[ArrayLike],
    predicted: ArrayLike,
    true: ArrayLike,
    ax: Axes | None = None,
    *,
    half_width: float | None = None,
    label: str | None = None,
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw ways that were never gone, and what is smelled at their ends.

    At the end of each way is a disc in a ring. The disc has the colour of the number that was
    predicted, the ring that of the true one: blue below zero, and orange above it. Where both
    agree, they look as one.

    Parameters
    ----------
    places : array_like of shape (n, 2)
        Where the body was, in metres: a faint line.
    ways : sequence of array_like of shape (m, 2)
        Places of each way, the start first, in metres.
    predicted, true : array_like of shape (n_ways,)
        A number of the smell at the end of each.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    half_width : float, optional
        The map shows −half_width to +half_width on both axes, in metres; by default a square that
        holds the walk and all ways.
    label : str, optional
        What the numbers are: beside a bar of colours. Without it there is none.
    legend : bool, optional
        Whether to put a legend under the figure; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no place or no way, shapes do not fit, or an entry is not finite.

    Examples
    --------
    >>> from tree_world import plotting
    >>> walk = [[0.0, 0.0], [50.0, 0.0], [50.0, 50.0]]
    >>> ax = plotting.plot_ways(walk, [[[0.0, 0.0], [48.0, 52.0]]], [0.4], [0.5])
    >>> ax.get_legend_handles_labels()[1]
    ['walk', 'way never gone', 'predicted, in a ring of the true']
    """
    walk = _places(places, "places")
    novel = [_places(way, f"way {number}") for number, way in enumerate(ways)]
    told, smelled = as_finite(predicted, "predicted"), as_finite(true, "true")
    if not len(novel) or not told.shape == smelled.shape == (len(novel),):
        raise ValueError(
            "predicted and true must have a number for each way, one at least, but there are "
            f"{len(novel)} ways, and the shapes are {told.shape} and {smelled.shape}."
        )
    alone = ax is None
    legend = alone if legend is None else legend
    xlim, ylim = _square(np.concatenate([walk, *novel]), half_width)
    ax = map_axes(ax, (xlim[1] - xlim[0]) / 2, title)
    ax.set(xlim=xlim, ylim=ylim)
    ax.plot(*walk.T, linewidth=0.7, alpha=0.6, label="walk", zorder=2, **_WALK)
    for number, way in enumerate(novel):
        ax.plot(
            *way.T,
            color=INK,
            linewidth=1.5,
            marker="o",
            markevery=[0],
            markersize=5,
            label=None if number else "way never gone",
            zorder=3,
        )
    scale = float(np.abs([told, smelled]).max()) or 1.0
    ends = np.array([way[-1] for way in novel])
    look: dict[str, Any] = {"cmap": BLUE_TO_ORANGE, "vmin": -scale, "vmax": scale, "linewidth": 0}
    # For each end by itself, so that where two overlap no disc lies on a foreign ring.
    for number, (end, inner, outer) in enumerate(zip(ends, told, smelled, strict=True)):
        order = 4 + number / len(novel)
        x, y = end
        ax.scatter(x, y, s=_RING, c=[outer], zorder=order, **look)
        shown = ax.scatter(x, y, s=_DISC, c=[inner], zorder=order, **look)
        ax.scatter(x, y, s=_RING, facecolor="none", edgecolor=INK, linewidth=0.9, zorder=order)
    ax.plot(
        [],
        [],
        "o",
        color=SERIES[1],
        markersize=9,
        markeredgecolor=SERIES[0],
        markeredgewidth=2.6,
        label="predicted, in a ring of the true",
    )
    if label is not None:
        if alone:
            figure_of(ax).set_figheight(figure_of(ax).get_figheight() - _BAR)
        bar = figure_of(ax).colorbar(shown, ax=ax, shrink=0.7, aspect=28, pad=0.03)
        bar.set_label(label)
        bar.outline.set_visible(False)
    if legend:  # under the axes it would be out of the middle, beside a bar
        legend_under_figure(figure_of(ax), *ax.get_legend_handles_labels())
    return ax


def plot_unfolding(
    stages: Mapping[str, ArrayLike],
    true: ArrayLike,
    axes: Sequence[Axes] | None = None,
    *,
    half_width: float | None = None,
    legend: bool | None = None,
) -> list[Axes]:
    """Draw what a walk was taken for, stage by stage, on where it was.

    Parameters
    ----------
    stages : mapping of str to array_like of shape (n, 2)
        The title of each panel, and the places of its stage, in metres: already mapped onto the
        true ones, as learned places are known up to such a map.
    true : array_like of shape (n, 2)
        Where the body was, in metres: a broad faint line beneath.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each stage; new ones side by side by default.
    half_width : float, optional
        The maps show −half_width to +half_width on both axes, in metres; by default a square that
        holds the true places. What is beyond it is cut off.
    legend : bool, optional
        Whether to put a legend under the figure; by default where its axes are new.

    Returns
    -------
    list of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no stage or no place, shapes do not fit, an entry is not finite, or there is
        not one panel for each stage.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world import plotting
    >>> true = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 40.0]])
    >>> axes = plotting.plot_unfolding({"planes": 1.2 * true, "fields": true + 1.0}, true)
    >>> [line.get_label() for line in axes[0].lines]
    ['where it was', 'as learned']
    """
    walk = _places(true, "true")
    each = {name: _places(stage, f"stage {name!r}") for name, stage in stages.items()}
    if not each or (axes is not None and len(axes) != len(each)):
        raise ValueError(
            f"there must be a stage, and a panel for each, but there are {len(each)} stages"
            + ("." if axes is None else f" and {len(axes)} axes.")
        )
    legend = axes is None if legend is None else legend
    axes = map_panels(len(each))[1] if axes is None else list(axes)
    xlim, ylim = _square(walk, half_width)
    for ax, (name, stage) in zip(axes, each.items(), strict=True):
        map_axes(ax, (xlim[1] - xlim[0]) / 2, name)
        ax.set(xlim=xlim, ylim=ylim)
        ax.plot(*walk.T, linewidth=2.3, alpha=0.4, label="where it was", zorder=2, **_WALK)
        ax.plot(*stage.T, color=SERIES[0], linewidth=0.8, label="as learned", zorder=3)
    if legend:
        legend_under_figure(figure_of(axes[0]), *axes[0].get_legend_handles_labels())
    return axes


def _places(values: ArrayLike, name: str) -> np.ndarray:
    places = as_array(as_points(as_array(values), 2, name, torch.float64))
    if places.ndim != 2 or not len(places):
        raise ValueError(
            f"{name} must have shape (n, 2), in metres, with one place at least, but has shape "
            f"{places.shape}."
        )
    return places


def _square(
    places: np.ndarray, half_width: float | None
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of x and y of a square that holds places, or of one about the origin."""
    if half_width is not None:
        half = positive_distance("half_width", half_width)
        return (-half, half), (-half, half)
    low, high = places.min(axis=0), places.max(axis=0)
    half = max(_AROUND * float((high - low).max()), 1.0)
    x, y = (low + high) / 2
    return (float(x) - half, float(x) + half), (float(y) - half, float(y) + half)
