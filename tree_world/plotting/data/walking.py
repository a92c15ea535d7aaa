"""A plain that nobody knows, and a memory that grows along a walk."""

from __future__ import annotations

import numpy as np

from tree_world.checks import PointsLike, as_points, positive_distance, whole_number
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.data.scents import ScentBasis, scent_palette, trees_of
from tree_world.plotting.palette import ScentPalette
from tree_world.plotting.panels import MapGrid
from tree_world.simulation import SimpleSensor, TreeWorld


def walking(
    world: TreeWorld,
    sensor: SimpleSensor,
    walk: PointsLike,
    *,
    sd: float,
    match_threshold: float,
    max_memory_size: int,
    grid: MapGrid,
) -> TouchableFigure:
    """Tell a world, and a walk along which it was smelled, to be gone on with.

    Parameters
    ----------
    world : TreeWorld
    sensor : SimpleSensor
    walk : array_like of shape (n_places, 2)
        Where it was smelled, in metres, one place after the other at even distances.
    sd : float
        Deviation of what is written and of what is asked, in metres.
    match_threshold : float
        In metres.
    max_memory_size : int
        So many places are remembered; then the oldest is forgotten.
    grid : MapGrid
        Of the map.

    Returns
    -------
    TouchableFigure
        The ``walk``, the ``spacing`` of its places, ``sd``, ``match_threshold``,
        ``max_memory_size``, ``half_width`` and ``cells_per_axis`` of the map, ``trees`` and
        ``palette``.

    Raises
    ------
    ValueError
        If the walk has not at least two places, or more than are remembered.

    Examples
    --------
    >>> from tree_world.plotting import MapGrid, data
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> walk = [[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]]
    >>> options = {"sd": 10.0, "match_threshold": 50.0, "max_memory_size": 400}
    >>> figure = data.walking(world, SimpleSensor(), walk, **options, grid=MapGrid(500.0, 50))
    >>> figure.data["spacing"]
    10.0
    """
    places = np.asarray(as_points(walk, 2, "walk"), dtype=np.float64)
    if places.ndim != 2 or len(places) < 2:
        raise ValueError(f"a walk has at least two places, but has shape {places.shape}.")
    whole_number("max_memory_size", max_memory_size, least=1)
    if len(places) > max_memory_size:
        raise ValueError(
            f"the walk has {len(places)} places, but only {max_memory_size} are remembered. Give "
            "the last ones."
        )
    basis = ScentBasis.of_world(world)
    spacing = float(np.median(np.linalg.norm(np.diff(places, axis=0), axis=1)))
    return TouchableFigure(
        "walking",
        {
            "walk": rounded(places),
            "spacing": positive_distance("the distance between places of a walk", spacing),
            "sd": positive_distance("sd", sd),
            "match_threshold": positive_distance("match_threshold", match_threshold),
            "max_memory_size": max_memory_size,
            "half_width": grid.half_width,
            "cells_per_axis": grid.cells_per_axis,
            "trees": trees_of(world, basis, sensor),
            "palette": scent_palette(ScentPalette.from_world(world), basis),
        },
    )
