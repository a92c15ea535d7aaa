"""What an agent knows of its world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.patches import Circle

from tree_world.plotting.maps import hatch_everything
from tree_world.plotting.panels import MapGrid, legend_below, map_axes, map_panels
from tree_world.plotting.style import (
    CLAY,
    EDIBLE,
    INK,
    LEAST_SIZE,
    LINE,
    PAPER,
    POISONOUS,
    SERIES,
    SOFT_INK,
    as_array,
    when_paper_changes,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_TREES: dict[int, tuple[str, dict[str, Any]]] = {
    1: ("edible", {"s": 46, "marker": "o", "color": EDIBLE, "edgecolor": "white"}),
    -1: ("poisonous", {"s": 56, "marker": "X", "color": POISONOUS, "edgecolor": "white"}),
    0: ("not judged", {"s": 24, "marker": "o", "facecolor": PAPER, "edgecolor": SOFT_INK}),
}
"""By verdict: what to call such trees, and how they are drawn in every map."""
_FLATTEST = 0.6  # height of a map of sightings, as a share of its width, at least


def plot_known_ground(
    known: ArrayLike,
    grid: MapGrid,
    ax: Axes | None = None,
    *,
    way: ArrayLike | None = None,
    places: ArrayLike | None = None,
    verdicts: ArrayLike | None = None,
    position: ArrayLike | None = None,
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw which ground an agent knows, and the trees that it has found there.

    What is not known is hatched, known ground is paper.

    Parameters
    ----------
    known : array_like of bool, of shape (cells²,)
        Whether the ground is known, at ``grid.points``.
    grid : MapGrid
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    way : array_like of shape (n, 2), optional
        Where the agent has been, in metres.
    places : array_like of shape (m, 2), optional
        Of the trees that it knows, in metres.
    verdicts : array_like of shape (m,), optional
        What it takes each of them for: 1 is food, −1 poison, 0 not judged. All 0 by default.
    position : array_like of shape (2,), optional
        Where the agent is, in metres.
    legend : bool, optional
        Whether to put a legend under the map; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not one value for each cell, or not one verdict of the three for each tree.
    """
    ground = grid.image(as_array(known, dtype=bool).astype(float))
    legend = ax is None if legend is None else legend
    ax = map_axes(ax, grid.half_width, title)

    def painted(paper: str) -> np.ndarray:
        colors = np.broadcast_to(to_rgb(paper), (*ground.shape, 3))
        return np.concatenate([colors, ground[..., None]], axis=-1)

    image = ax.imshow(
        painted(PAPER), origin="lower", extent=grid.extent, interpolation="nearest", zorder=1
    )
    when_paper_changes(image, lambda paper: image.set_data(painted(paper)))
    if way is not None:
        x, y = as_array(way, dtype=np.float64).T
        ax.plot(x, y, color=SOFT_INK, linewidth=0.9, label="way", zorder=2)
    if places is not None:
        _trees(ax, as_array(places, dtype=np.float64).reshape(-1, 2), verdicts)
    if position is not None:
        x, y = as_array(position, dtype=np.float64)
        ax.plot(
            x,
            y,
            "s",
            markersize=6.5,
            color=INK,
            markeredgecolor="white",
            markeredgewidth=0.9,
            label="agent",
            zorder=6,
        )
    hatch_everything(ax, grid)
    ax.patches[-1].set_label("unknown")
    if legend:
        legend_below(ax, ncols=3)
    return ax


def _trees(ax: Axes, places: np.ndarray, verdicts: ArrayLike | None) -> None:
    """Draw trees by what they are taken for; kinds that are not there get no entry in a legend."""
    judged = np.zeros(len(places)) if verdicts is None else as_array(verdicts)
    if judged.shape != (len(places),) or not np.isin(judged, list(_TREES)).all():
        raise ValueError(
            f"verdicts must be 1, −1 or 0 for each of the {len(places)} places, but an array of "
            f"shape {judged.shape} with the values {np.unique(judged).tolist()} was given."
        )
    for verdict, (label, style) in _TREES.items():
        found = places[judged == verdict]
        if len(found):
            ax.scatter(found[:, 0], found[:, 1], linewidth=0.9, label=label, zorder=4, **style)


def plot_sightings(
    stands: ArrayLike,
    estimates: ArrayLike,
    sds: ArrayLike,
    truth: ArrayLike,
    ax: Axes | None = None,
    *,
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how the remembered place of a tree closes in on the true one.

    Parameters
    ----------
    stands : array_like of shape (n, 2)
        Where the agent stood at each sighting, in metres.
    estimates : array_like of shape (n, 2)
        The place that it remembered after each, in metres.
    sds : array_like of shape (n,)
        Standard deviation of that place, in metres: the radius of a circle around it. Later
        circles are drawn stronger; first and last are numbered, and others where there is room.
    truth : array_like of shape (2,)
        Where the tree stands, in metres.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    legend : bool, optional
        Whether to put a legend under the map; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no sighting, or not one stand, place and deviation for each.
    """
    seen_from, told = (as_array(one, dtype=np.float64) for one in (stands, estimates))
    radii, tree = as_array(sds, dtype=np.float64), as_array(truth, dtype=np.float64)
    if not len(radii) or seen_from.shape != (len(radii), 2) or told.shape != (len(radii), 2):
        raise ValueError(
            "each sighting needs a stand, an estimate and a deviation, but arrays of shapes "
            f"{seen_from.shape}, {told.shape} and {radii.shape} were given."
        )
    legend = ax is None if legend is None else legend
    edges = (seen_from, told - radii[:, None], told + radii[:, None], tree[None])
    low, high = (getattr(np.concatenate(edges), end)(axis=0) for end in ("min", "max"))
    middle, half = (low + high) / 2, 0.56 * (high - low)
    half[0] = max(half.max(), 1.0)
    half[1] = max(half[1], _FLATTEST * half[0])
    if ax is None:
        figure, (ax,) = map_panels()
        figure.set_figheight(figure.get_figwidth() * half[1] / half[0] + 0.45)
    map_axes(ax, 1.0, title).set(
        xlim=(middle[0] - half[0], middle[0] + half[0]),
        ylim=(middle[1] - half[1], middle[1] + half[1]),
    )
    for x, y in seen_from:
        ax.plot([x, tree[0]], [y, tree[1]], color=LINE, linewidth=0.7, zorder=1)
    ax.scatter(
        seen_from[:, 0],
        seen_from[:, 1],
        s=16,
        color=INK,
        linewidth=0,
        label="seen from",
        zorder=3,
    )
    strengths = np.linspace(0.3, 1.0, len(radii)) if len(radii) > 1 else [1.0]
    for place, radius, strength in zip(told, radii, strengths, strict=True):
        circle = Circle(
            tuple(place),
            radius,
            facecolor=to_rgba(SERIES[0], 0.1 * strength),
            edgecolor=to_rgba(SERIES[0], strength),
            linewidth=0.8 + strength,
            zorder=2 + strength,
        )
        ax.add_patch(circle)
    ax.plot(
        [],
        [],
        "o",
        color=SERIES[0],
        markeredgecolor=SERIES[0],
        markerfacecolor=to_rgba(SERIES[0], 0.1),
        markeredgewidth=1.4,
        markersize=10,
        label="remembered place",
    )
    ax.plot(
        tree[0],
        tree[1],
        "+",
        color=CLAY,
        markersize=12,
        markeredgewidth=2,
        label="true place",
        zorder=6,
    )
    _number_sightings(ax, seen_from, told, radii, tree)
    if legend:
        legend_below(ax)
    return ax


def _number_sightings(
    ax: Axes, stands: np.ndarray, places: np.ndarray, radii: np.ndarray, tree: np.ndarray
) -> None:
    """Write numbers beside stands and circles: those of the first and last, others with room."""
    west, east = ax.get_xlim()
    room = 0.055 * (east - west)  # what a number of two digits takes, in a narrow figure, too
    taken = [tree]
    last = len(places) - 1
    dots = np.zeros(len(radii))
    for number in dict.fromkeys([last, 0, *range(last)]):
        others = np.arange(len(radii)) != number
        towards = np.arctan2(*(tree - stands[number])[::-1])
        for centres, sizes, start, color in (
            (places, radii, towards, SERIES[0]),
            (stands, dots, towards + np.pi, INK),
        ):
            turns = start + np.pi / 4 * np.array([0, 1, -1, 2, -2, 3, -3, 4])
            around = np.stack([np.cos(turns), np.sin(turns)], axis=1)
            spots = centres[number] + (sizes[number] + 0.6 * room) * around
            apart = np.linalg.norm(spots[:, None] - np.array(taken), axis=-1)
            free = np.flatnonzero((apart > room).all(axis=1))
            # A number belongs to the nearest circle or dot.
            rims = np.linalg.norm(spots[:, None] - centres[others], axis=-1) - sizes[others]
            clear = np.abs(rims).min(axis=1, initial=0.9 * room)
            if not len(free) or (number not in (0, last) and clear[free].max() < 0.9 * room):
                continue
            spot = spots[free[clear[free].argmax()]]
            taken.append(spot)
            ax.text(
                spot[0],
                spot[1],
                f"{number + 1}",
                ha="center",
                va="center",
                fontsize=LEAST_SIZE,
                color=color,
                zorder=5,
            )
