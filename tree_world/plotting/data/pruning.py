"""Observations that a reader takes away, and what those that are left still tell."""

from __future__ import annotations

import torch

from tree_world.checks import positive_distance, real_number, whole_number
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget.removal import MARGIN
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.data.scents import ScentBasis
from tree_world.simulation import TreeWorld

NUMBER = 240
"""Observations that are shown: so many have room for a finger each."""

TOLERANCES = (0.02, 0.5)
"""Least and greatest that can be chosen."""


def pruning(
    memory: SpatialMemory,
    world: TreeWorld,
    *,
    tolerance: float,
    match_threshold: float,
    number: int = NUMBER,
) -> TouchableFigure:
    r"""Tell of some observations where they were made and what was smelled there.

    The script lets them go by the order of `SpatialMemory.prune`, or by hand, and shows how well
    each place is read from what is left, what may still go, and what vetoes the rest.

    Parameters
    ----------
    memory : SpatialMemory
        Of two dimensions, all written with one deviation. The observations nearest to the origin
        are taken, as if nothing else had been observed.
    world : TreeWorld
        In which they were made.
    tolerance : float
        From which a reader starts, from 0.02 to 0.5.
    match_threshold : float
        Of all reads, in metres.
    number : int, default=NUMBER
        How many to take; all, if there are fewer.

    Returns
    -------
    TouchableFigure
        ``places`` of shape (n, 2); ``scents`` of shape (n, rank), in the basis of the world; ``sd``
        and ``match_threshold``; ``tolerance`` and ``tolerances``; ``margin``, the share of the
        tolerance that the library leaves to rounding; ``half_width`` of a map of them.

    Raises
    ------
    ValueError
        If the memory has not two dimensions, holds fewer than two observations or more than one
        deviation, or a number is out of its range.

    Examples
    --------
    >>> import torch
    >>> from tree_world.models.memory import SpatialMemory
    >>> from tree_world.plotting import data
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=14)
    >>> places = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    >>> memory = SpatialMemory(2, 384)
    >>> ids = memory.write(places, 10.0, SimpleSensor().sense(world, places)[1])
    >>> figure = data.pruning(memory, world, tolerance=0.1, match_threshold=25.0, number=2)
    >>> figure.data["places"]
    [[0.0, 0.0], [9.0, 0.0]]
    """
    held = memory.observations()
    if len(held.locations) < 2 or held.locations.shape[1] != 2:
        raise ValueError(
            "the figure lets some observations of the plane go, at least two, but this memory "
            f"holds {len(held.locations)}, of {held.locations.shape[1]} dimensions."
        )
    sds = held.location_sds.double()
    if not torch.allclose(sds, sds[0, 0].expand_as(sds)):
        raise ValueError(
            "all observations of the figure must have one deviation, but they have "
            f"{sds.min():g} to {sds.max():g} m."
        )
    tolerance = real_number("tolerance", tolerance)
    if not TOLERANCES[0] <= tolerance <= TOLERANCES[1]:
        raise ValueError(
            f"tolerance must be from {TOLERANCES[0]} to {TOLERANCES[1]}, as the slider of the "
            f"figure is, but is {tolerance}."
        )
    number = whole_number("number", number, 2)
    # Those nearest to the origin, in the order in which they were written.
    nearest = held.locations.norm(dim=1).argsort(stable=True)[:number].sort().values
    places = held.locations[nearest]
    coordinates = ScentBasis.of_world(world).coordinates(held.senses[nearest])
    return TouchableFigure(
        "pruning",
        {
            "places": rounded(places, 5),
            "scents": rounded(coordinates, 5),
            "sd": float(sds[0, 0]),
            "match_threshold": positive_distance("match_threshold", match_threshold),
            "tolerance": tolerance,
            "tolerances": list(TOLERANCES),
            "margin": MARGIN,
            "half_width": rounded(1.06 * places.abs().max(), 3),
        },
    )
