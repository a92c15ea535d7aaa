"""What is remembered anywhere, from observations that a reader can take away."""

from __future__ import annotations

import numpy as np
import torch

from tree_world.checks import PointsLike, as_points, positive_distance
from tree_world.models.memory import SpatialMemory
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.data.scents import ScentBasis, scent_palette, trees_of
from tree_world.plotting.palette import ScentPalette
from tree_world.simulation import SimpleSensor, TreeWorld


def read(
    memory: SpatialMemory,
    world: TreeWorld,
    sensor: SimpleSensor,
    query: PointsLike,
    *,
    match_threshold: float,
    half_width: float = 500.0,
) -> TouchableFigure:
    """Tell what a memory of smells holds, to be read at any place with any deviation.

    Parameters
    ----------
    memory : SpatialMemory
        Of two dimensions, all written with one deviation; its smells are of the world.
    world : TreeWorld
    sensor : SimpleSensor
        By which the truth is known.
    query : array_like of shape (2,)
        The place that is asked for at first, in metres.
    match_threshold : float
        At first, in metres.
    half_width : float, default=500.0
        Of the map, in metres.

    Returns
    -------
    TouchableFigure
        The ``places`` of observations, their ``senses`` as coordinates, the deviation ``sd`` at
        first, ``match_threshold``, ``query``, ``half_width``, ``trees`` and ``palette``.

    Raises
    ------
    ValueError
        If the memory is empty, has not two dimensions, or holds more than one deviation.

    Examples
    --------
    >>> from tree_world.models.memory import SpatialMemory
    >>> from tree_world.plotting import data
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> world, sensor = TreeWorld.random_from_config(TreeWorldConfig(), seed=0), SimpleSensor()
    >>> memory = SpatialMemory(2, 384)
    >>> _ = memory.write([[0.0, 0.0]], 10.0, sensor.sense(world, [[0.0, 0.0]]).embedding)
    >>> figure = data.read(memory, world, sensor, [0.0, 5.0], match_threshold=50.0)
    >>> figure.data["places"], figure.data["sd"]
    ([[0.0, 0.0]], 10.0)
    """
    held = memory.observations()
    if len(held.locations) == 0 or held.locations.shape[1] != 2:
        raise ValueError(
            "a figure shows a memory of some places of the plane, but this one holds "
            f"{len(held.locations)} places of {memory.location_dim} dimensions."
        )
    deviations = held.location_sds.double()
    if not torch.allclose(deviations, deviations[0, 0].expand_as(deviations)):
        raise ValueError(
            "all observations of the figure must have one deviation, which a reader turns, but "
            f"they have {deviations.min():g} to {deviations.max():g} m."
        )
    basis = ScentBasis.of_world(world)
    half_width = positive_distance("half_width", half_width)
    return TouchableFigure(
        "read",
        {
            "half_width": half_width,
            "places": rounded(held.locations, 5),
            "senses": rounded(basis.coordinates(held.senses), 5),
            "sd": float(deviations[0, 0]),
            "match_threshold": positive_distance("match_threshold", match_threshold),
            "query": np.asarray(as_points(query, 2, "query")).tolist(),
            "trees": trees_of(world, basis, sensor),
            "palette": scent_palette(ScentPalette.from_world(world), basis),
        },
    )
