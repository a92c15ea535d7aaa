"""Maps of a world: its trees, scents, values and drives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle, Wedge

from tree_world.checks import PointsLike, as_points, as_unit_vectors
from tree_world.plotting.palette import ScentPalette
from tree_world.plotting.panels import MapGrid, legend_below, map_axes
from tree_world.plotting.style import (
    EDIBLE,
    INK,
    LEAF,
    LEAST_SIZE,
    PAPER,
    POISONOUS,
    SOFT_INK,
    UNKNOWN_FILL,
    UNKNOWN_HATCH,
    as_array,
    when_paper_changes,
)
from tree_world.simulation import DirectionalSensor, TreeWorld
from tree_world.simulation.trees import images_of


def plot_world(
    world: TreeWorld,
    ax: Axes | None = None,
    *,
    half_width: float = 500.0,
    label_kinds: bool = False,
    legend: bool = True,
    title: str | None = None,
) -> Axes:
    """Draw the trees: green discs for edible, orange crosses for poisonous.

    Parameters
    ----------
    world : TreeWorld
        A world of two dimensions. If it has a period, all images of a tree are shown.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    half_width : float, default=500.0
        The map shows −half_width to +half_width on both axes, in metres.
    label_kinds : bool, default=False
        Whether to write the kind of each tree beside it.
    legend : bool, default=True
        Whether to put a legend under the map.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the world has not two dimensions.
    """
    if world.dim != 2:
        raise ValueError(f"a map shows a world of 2 dimensions, but this one has {world.dim}.")
    ax = map_axes(ax, half_width, title)
    which, images = images_of(as_array(world.locations), world.config.period, half_width)
    is_poisonous = as_array(world.is_poisonous)[which]
    for poisonous, marker, color, label, size in (
        (False, "o", EDIBLE, "edible", 46),
        (True, "X", POISONOUS, "poisonous", 56),
    ):
        places = images[is_poisonous == poisonous]
        ax.scatter(
            places[:, 0],
            places[:, 1],
            s=size,
            marker=marker,
            color=color,
            edgecolor="white",
            linewidth=0.9,
            label=label,
            zorder=4,
        )
    if label_kinds:
        _label_trees(ax, world, half_width)
    if legend:
        legend_below(ax)
    return ax


def _label_trees(ax: Axes, world: TreeWorld, half_width: float) -> None:
    # A label goes to the side of its tree with more room, away from the nearest neighbour.
    which, places = images_of(as_array(world.locations), world.config.period, half_width)
    names = [world.trees[tree].name for tree in which.tolist()]
    for index, (name, place) in enumerate(zip(names, places, strict=True)):
        if np.abs(place).max() > half_width:
            continue
        offsets = np.delete(places, index, axis=0) - place
        close = offsets[np.abs(offsets[:, 1]) < 0.05 * half_width]
        room = {
            side: np.abs(beside[:, 0]).min() if len(beside) else np.inf
            for side, beside in (
                ("right", close[close[:, 0] > 0]),
                ("left", close[close[:, 0] <= 0]),
            )
        }
        at_the_edge = abs(place[0]) > 0.75 * half_width
        to_the_right = place[0] < 0 if at_the_edge else room["right"] >= room["left"]
        ax.annotate(
            name,
            place,
            xytext=(6 if to_the_right else -6, 0),
            textcoords="offset points",
            ha="left" if to_the_right else "right",
            va="center",
            fontsize=LEAST_SIZE,
            color=SOFT_INK,
            zorder=5,
            annotation_clip=True,
        )


def plot_scent_field(
    values: torch.Tensor,
    grid: MapGrid,
    palette: ScentPalette,
    ax: Axes | None = None,
    *,
    known: torch.Tensor | np.ndarray | None = None,
    title: str | None = None,
) -> Axes:
    """Draw what is smelled on a grid; hatched where it is not known.

    Parameters
    ----------
    values : torch.Tensor of shape (cells², embed_dim)
        Scents at ``grid.points``.
    grid : MapGrid
    palette : ScentPalette
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    known : array of bool of shape (cells²,), optional
        Where anything is known at all; everywhere by default. A known nothing is paper, the
        unknown is hatched.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not one value for each cell.
    """
    ax = map_axes(ax, grid.half_width, title)
    opaque = np.ones(grid.cells_per_axis**2) if known is None else as_array(known, dtype=float)
    if known is not None:
        hatch_everything(ax, grid)
    _show_colors(ax, grid, lambda paper: palette.colors(values, paper), opaque)
    return ax


def _show_colors(
    ax: Axes, grid: MapGrid, colors: Callable[[str], np.ndarray], opaque: np.ndarray
) -> None:
    """Draw a map of colours that fade into the paper."""

    def painted(paper: str) -> np.ndarray:
        layers = (grid.image(colors(paper)), grid.image(opaque)[..., None])
        return np.concatenate(layers, axis=-1).clip(0, 1)

    image = ax.imshow(
        painted(PAPER), origin="lower", extent=grid.extent, interpolation="nearest", zorder=1
    )
    when_paper_changes(image, lambda paper: image.set_data(painted(paper)))


def hatch_everything(ax: Axes, grid: MapGrid, centre: Sequence[float] = (0.0, 0.0)) -> None:
    """Hatch the ground of a grid, over which what is known is drawn."""
    ax.add_patch(
        Rectangle(
            (centre[0] - grid.half_width, centre[1] - grid.half_width),
            2 * grid.half_width,
            2 * grid.half_width,
            facecolor=UNKNOWN_FILL,
            edgecolor=UNKNOWN_HATCH,
            hatch="////",
            linewidth=0,
            zorder=0,
        )
    )


def plot_value_field(
    values: torch.Tensor,
    grid: MapGrid,
    ax: Axes | None = None,
    *,
    label: str,
    known: torch.Tensor | np.ndarray | None = None,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
) -> Axes:
    """Draw one number for each cell of a map; hatched where it is not known.

    Parameters
    ----------
    values : torch.Tensor of shape (cells²,)
        Numbers at ``grid.points``.
    grid : MapGrid
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    label : str
        What the numbers are, with their unit.
    known : array of bool of shape (cells²,), optional
        Where there is a number at all; everywhere by default.
    limits : (float, float), optional
        Ends of the scale; those of the known numbers by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not one value for each cell.
    """
    ax = map_axes(ax, grid.half_width, title)
    numbers = as_array(values, dtype=np.float64)
    shown = numbers if known is None else np.where(as_array(known), numbers, np.nan)
    if known is not None:
        hatch_everything(ax, grid)
    low, high = limits or (None, None)
    image = ax.imshow(
        grid.image(shown),
        origin="lower",
        extent=grid.extent,
        interpolation="nearest",
        zorder=1,
        vmin=low,
        vmax=high,
    )
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.7, aspect=28, pad=0.03)
    bar.set_label(label)
    bar.outline.set_visible(False)
    return ax


def plot_drive_field(
    probabilities: torch.Tensor,
    grid: MapGrid,
    ax: Axes | None = None,
    *,
    support: torch.Tensor | np.ndarray | None = None,
    title: str | None = None,
) -> Axes:
    """Draw what places are worth: green for food, orange for poison, hatched where unknown.

    A drive is drawn as strongly as its probability exceeds that of a guess. Paper is neutral, or
    undecided.

    Parameters
    ----------
    probabilities : torch.Tensor of shape (cells², 3)
        Of poison, edible and neutral at ``grid.points``.
    grid : MapGrid
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    support : array of shape (cells²,), optional
        From 0, unknown, to 1, sure; 1 by default. The hatching of the unknown shows through.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there are not three probabilities for each cell.
    """
    chances = as_array(probabilities, dtype=np.float64)
    if chances.ndim != 2 or chances.shape[1] != 3:
        raise ValueError(
            f"probabilities must have shape (cells², 3), but have shape {chances.shape}."
        )
    ax = map_axes(ax, grid.half_width, title)
    excess = np.clip((chances[:, :2] - 1 / 3) / (1 - 1 / 3), 0.0, 1.0)
    hues = np.array([to_rgb(color) for color in (POISONOUS, EDIBLE)])
    opaque = np.ones(len(chances)) if support is None else as_array(support, dtype=np.float64)
    if support is not None:
        hatch_everything(ax, grid)

    def colors(paper: str) -> np.ndarray:
        nothing = np.array(to_rgb(paper))
        return np.asarray(nothing + excess @ (hues - nothing))

    _show_colors(ax, grid, colors, opaque)
    return ax


def plot_sight(
    sensor: DirectionalSensor,
    position: PointsLike,
    heading: PointsLike,
    ax: Axes,
) -> Axes:
    """Draw the cone of sight of a sensor onto a map.

    Parameters
    ----------
    sensor : DirectionalSensor
    position : array_like of shape (2,)
        Where the eye is, in metres.
    heading : array_like of shape (2,)
        Where it looks, a unit vector.
    ax : matplotlib.axes.Axes
        The map to draw on.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the place or the heading is not one vector of the plane.
    """
    x, y = as_points(position, 2, "position").tolist()
    direction = math.degrees(math.atan2(*reversed(as_unit_vectors(heading, 2).tolist())))
    half_angle = math.degrees(math.acos(sensor.heading_tolerance))
    ax.add_patch(
        Wedge(
            (x, y),
            sensor.max_sense_distance,
            direction - half_angle,
            direction + half_angle,
            facecolor=LEAF,
            edgecolor=LEAF,
            alpha=0.22,
            linewidth=1,
            zorder=2,
            label="in sight",
        )
    )
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
    return ax
