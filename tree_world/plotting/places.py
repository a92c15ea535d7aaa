"""What a memory holds, where it looks, and where it takes itself to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes

from tree_world.checks import PointsLike, as_points
from tree_world.plotting.maps import hatch_everything
from tree_world.plotting.panels import MapGrid, map_axes
from tree_world.plotting.style import (
    CLAY,
    DENSITY_SHARES,
    INK,
    LINE,
    PAPER,
    PAPER_TO_LEAF,
    POISONOUS,
    SERIES,
    as_array,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tree_world.models.places.localiser import Posterior


def plot_observations(
    locations: torch.Tensor,
    ax: Axes,
    *,
    weights: torch.Tensor | None = None,
    label: str = "observation",
) -> Axes:
    """Draw the places of observations onto a map, as large as their weights if these are given.

    Parameters
    ----------
    locations : torch.Tensor of shape (n, 2)
        In metres.
    ax : matplotlib.axes.Axes
        The map to draw on.
    weights : torch.Tensor of shape (n,), optional
        Not negative; the greatest is drawn as a disc of 12 points across.
    label : str, default="observation"
        For the legend.

    Returns
    -------
    matplotlib.axes.Axes
    """
    places = as_array(locations)
    if weights is None:
        ax.scatter(places[:, 0], places[:, 1], s=5, color=INK, linewidth=0, label=label, zorder=4)
        return ax
    sizes = as_array(weights)
    shares = sizes / max(float(sizes.max()), 1e-30)
    ax.scatter(places[:, 0], places[:, 1], s=5, color=LINE, linewidth=0, zorder=3)
    ax.scatter(
        places[:, 0],
        places[:, 1],
        s=144 * shares,
        color=SERIES[0],
        alpha=0.5,
        linewidth=0,
        label=label,
        zorder=4,
    )
    return ax


def plot_forgotten(
    places: torch.Tensor,
    kept: torch.Tensor,
    ax: Axes,
    *,
    spoilt: torch.Tensor | None = None,
    half_width: float = 300.0,
    title: str | None = None,
) -> Axes:
    """Draw which observations are left, which have gone, and which of these are no longer told.

    Parameters
    ----------
    places : torch.Tensor of shape (n, 2)
        In metres.
    kept : torch.Tensor of bool, of shape (n,)
    ax : matplotlib.axes.Axes
        Where to draw.
    spoilt : torch.Tensor of bool, of shape (n,), optional
        Of those that have gone; drawn as crosses.
    half_width : float, default=300.0
        Of the map, in metres.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    map_axes(ax, half_width, title)
    where, stays = as_array(places), as_array(kept)
    lost = np.zeros(len(where), dtype=bool) if spoilt is None else as_array(spoilt)
    told = ~stays & ~lost
    ax.scatter(
        where[told, 0],
        where[told, 1],
        s=16,
        facecolor="none",
        edgecolor=SERIES[5],
        linewidth=0.9,
        label="gone, and told by the rest",
        zorder=3,
    )
    ax.scatter(
        where[stays, 0], where[stays, 1], s=9, color=INK, linewidth=0, label="left", zorder=4
    )
    if lost.any():
        ax.scatter(
            where[lost, 0],
            where[lost, 1],
            s=20,
            marker="x",
            color=POISONOUS,
            linewidth=1.2,
            label="gone, and no longer told",
            zorder=5,
        )
    return ax


def plot_reads_on_a_line(
    x: ArrayLike,
    reads: Mapping[str, ArrayLike],
    places: ArrayLike,
    senses: ArrayLike,
    kept: ArrayLike,
    ax: Axes,
    *,
    at_places: ArrayLike,
    title: str | None = None,
) -> Axes:
    """Draw what a memory on a line says, and how far that is from what has gone.

    Parameters
    ----------
    x : array_like of shape (n,)
        Places where it was read, in metres.
    reads : mapping of str to array_like of shape (n,)
        What to call each read, and the read. The first is drawn in the background.
    places, senses : array_like of shape (n_observations,)
        Of the observations.
    kept : array_like of bool, of shape (n_observations,)
        Whether each is left; the others are drawn hollow.
    ax : matplotlib.axes.Axes
        Where to draw.
    at_places : array_like of shape (n_observations,)
        The last read, at the places of observations; a line leads from there to what has gone.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    where, values, stays = as_array(places), as_array(senses), as_array(kept)
    for number, (label, read) in enumerate(reads.items()):
        color, width = (LINE, 1.2) if number == 0 else (SERIES[0], 2.0)
        ax.plot(as_array(x), as_array(read), color=color, linewidth=width, label=label)
    for place, sense, told in zip(
        where[~stays], values[~stays], as_array(at_places)[~stays], strict=True
    ):
        ax.plot([place, place], [told, sense], color=POISONOUS, linewidth=1.6, zorder=3)
    ax.plot(where[stays], values[stays], "o", color=INK, markersize=6, label="left", zorder=4)
    ax.plot(
        where[~stays],
        values[~stays],
        "o",
        color=POISONOUS,
        markerfacecolor=PAPER,
        markersize=6.5,
        markeredgewidth=1.5,
        label="gone",
        zorder=4,
    )
    ax.set(xlabel="x (m)")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_samples(
    places: torch.Tensor, ax: Axes, *, agent: PointsLike | None = None, label: str = "sample"
) -> Axes:
    """Draw places that were drawn, as triangles, and the agent that asked, as a square.

    Parameters
    ----------
    places : torch.Tensor of shape (n, 2)
        In metres.
    ax : matplotlib.axes.Axes
        The map to draw on.
    agent : array_like of shape (2,), optional
        In metres.
    label : str, default="sample"
        For the legend.

    Returns
    -------
    matplotlib.axes.Axes
    """
    drawn = as_array(places)
    ax.scatter(
        drawn[:, 0],
        drawn[:, 1],
        s=22,
        marker="^",
        color=SERIES[0],
        edgecolor="white",
        linewidth=0.5,
        label=label,
        zorder=5,
    )
    if agent is not None:
        where = as_points(agent, 2, "agent")
        ax.plot(*where.tolist(), "s", color=CLAY, markersize=6, label="agent", zorder=6)
    return ax


def plot_density(density: torch.Tensor, grid: MapGrid, ax: Axes) -> Axes:
    """Draw contours of a density on a map: within them lie `DENSITY_SHARES` of it.

    Parameters
    ----------
    density : torch.Tensor of shape (cells²,)
        At ``grid.points``; not negative.
    grid : MapGrid
    ax : matplotlib.axes.Axes
        The map to draw on.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the density is nowhere positive.
    """
    values = as_array(density, dtype=np.float64)
    if not values.sum() > 0:
        raise ValueError("a density must be positive somewhere on the map, but this one is not.")
    ordered = np.sort(values)[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    levels = sorted({float(ordered[np.searchsorted(held, share)]) for share in DENSITY_SHARES})
    cell = 2 * grid.half_width / grid.cells_per_axis
    centres = np.linspace(
        -grid.half_width + cell / 2, grid.half_width - cell / 2, grid.cells_per_axis
    )
    ax.contour(
        centres, centres, grid.image(values), levels=levels, colors=INK, linewidths=0.9, zorder=3
    )
    return ax


def plot_posterior(
    posterior: Posterior,
    ax: Axes,
    *,
    truth: PointsLike | None = None,
    half_width: float = 500.0,
    centre: Sequence[float] = (0.0, 0.0),
    title: str | None = None,
) -> Axes:
    """Draw where something may have been smelled: green cells are probable, hatched ones unknown.

    Parameters
    ----------
    posterior : tree_world.models.places.localiser.Posterior
        Over places of two dimensions. Its credible region is outlined.
    ax : matplotlib.axes.Axes
        The map to draw on.
    truth : array_like of shape (2,), optional
        Where it was, in metres.
    half_width : float, default=500.0
        Of the map, in metres.
    centre : sequence of two floats, default=(0, 0)
        Of the map, in metres.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    map_axes(ax, half_width, title)
    middle = [float(coordinate) for coordinate in centre]
    cells, spacing = as_array(posterior.places, dtype=np.float64), posterior.spacing
    first = cells.min(axis=0)
    # Counted in cells: there may be none in a whole column.
    columns, rows = np.rint((cells - first) / spacing).astype(int).T
    image = np.full((rows.max() + 1, columns.max() + 1), np.nan)
    inside = np.zeros(image.shape)
    image[rows, columns] = as_array(posterior.probabilities)
    inside[rows, columns] = as_array(posterior.region, dtype=np.float64)
    left, bottom = first - spacing / 2
    extent = (left, left + spacing * image.shape[1], bottom, bottom + spacing * image.shape[0])
    hatch_everything(ax, MapGrid(half_width, 2), middle)
    ax.imshow(
        image / np.nanmax(image),
        origin="lower",
        extent=extent,
        interpolation="nearest",
        cmap=PAPER_TO_LEAF,
        vmin=0,
        vmax=1,
        zorder=1,
    )
    # In parts of cells, the line follows their edges; around them all, it is closed.
    parts = 10
    fine = np.kron(np.pad(inside, 1), np.ones((parts, parts)))
    x, y = (
        start - spacing + spacing / parts * (np.arange(number) + 0.5)
        for start, number in ((left, fine.shape[1]), (bottom, fine.shape[0]))
    )
    ax.contour(x, y, fine, levels=[0.5], colors=CLAY, linewidths=1.2, zorder=3)
    ax.plot(*posterior.peak.tolist(), "o", color=INK, markersize=5, zorder=5, label="told")
    if truth is not None:
        where = as_points(truth, 2, "truth")
        ax.plot(
            *where.tolist(),
            "+",
            color=CLAY,
            markersize=12,
            markeredgewidth=2,
            zorder=6,
            label="truth",
        )
    xlim, ylim = ((m - half_width, m + half_width) for m in middle)
    ax.set(xlim=xlim, ylim=ylim)
    return ax
