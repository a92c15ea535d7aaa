"""What a reader needs to ask a memory where it smells like this."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tree_world.checks import PointsLike, SeedLike, as_points, make_generator, positive_distance
from tree_world.models.memory.types import RIDGE
from tree_world.models.places.localiser import AROUND, LEAST_TAU
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.data.scents import ScentBasis, trees_of

if TYPE_CHECKING:
    from tree_world.models.memory import SpatialMemory
    from tree_world.models.memory.memory import Contents
    from tree_world.models.memory.types import Read
    from tree_world.models.places.localiser import Localiser
    from tree_world.simulation import SimpleSensor, TreeWorld


def whereabouts(
    localiser: Localiser,
    memory: SpatialMemory,
    world: TreeWorld,
    sensor: SimpleSensor,
    place: PointsLike,
    *,
    location_sd: float,
    match_threshold: float,
    guess_sd: float = 30.0,
    half_width: float = 500.0,
    seed: SeedLike = 0,
) -> TouchableFigure:
    """Tell what it takes to locate any smell of a world, as a localiser does.

    All that the memory holds are places: what it smelled there follows from the trees, and what it
    reads elsewhere from that. So the state is small, however many numbers a smell has.

    Parameters
    ----------
    localiser : Localiser
        Of that memory, with reads of order "linear".
    memory : SpatialMemory
        Of two dimensions, whose observations have one deviation, and smell as the world does.
    world : TreeWorld
    sensor : SimpleSensor
        By which the memory smelled it.
    place : array_like of shape (2,)
        Where the agent smells at first, in metres.
    location_sd, match_threshold : float
        Those of the localiser, in metres.
    guess_sd : float, default=30.0
        Standard deviation of a guess at first, in metres.
    half_width : float, default=500.0
        Of the map, in metres.
    seed : int or torch.Generator, default=0
        By which it is drawn how far a guess is off, in its deviations.

    Returns
    -------
    TouchableFigure
        The ``places`` of observations and their deviation ``sd``; ``corner``, ``columns`` and
        ``rows``, the grid of cells; ``width``, ``credibility``, ``largest_area``, ``around``,
        ``ridge`` and ``least_tau`` of the localiser; ``guess_normals``, ``trees``, and what was
        given.

    Raises
    ------
    ValueError
        If the memory is a batch, has not two dimensions, holds more than one deviation, or smells
        that the world has not; if the localiser answers otherwise than by this memory with these
        numbers; if a number is out of its range.

    Examples
    --------
    >>> import torch
    >>> from tree_world.models.memory import SpatialMemory
    >>> from tree_world.models.places.localiser import Localiser
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> world, sensor = TreeWorld.random_from_config(TreeWorldConfig(), seed=0), SimpleSensor()
    >>> places = 50 * torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> memory = SpatialMemory(2, 384)
    >>> _ = memory.write(places, 10.0, sensor.sense(world, places).embedding)
    >>> localiser = Localiser(memory, match_threshold=50.0)
    >>> figure = whereabouts(
    ...     localiser, memory, world, sensor, [0.0, 0.0], location_sd=5.0, match_threshold=50.0
    ... )
    >>> len(figure.data["places"]), figure.data["credibility"]
    (60, 0.9)
    """
    location_sd = positive_distance("location_sd", location_sd)
    match_threshold = positive_distance("match_threshold", match_threshold)
    held = memory.observations(as_sensed=True)
    _check_observations(held, world, sensor)
    senses = held.senses.double()
    around = senses - senses.mean(dim=0)
    least_tau = LEAST_TAU * float(around.square().sum(dim=-1).mean().sqrt())
    corner, last = localiser.places.amin(dim=0), localiser.places.amax(dim=0)
    columns, rows = (((last - corner) / localiser.spacing).round().int() + 1).tolist()
    cells = torch.cartesian_prod(torch.arange(columns), torch.arange(rows)).to(corner)
    read = memory.read_with_support(
        corner + localiser.spacing * cells, location_sd, match_threshold, order="linear"
    )
    _check_answer(localiser, read, least_tau, held.senses[0])
    generator = make_generator(seed)
    where = as_points(place, 2, "place").reshape(2).tolist()
    return TouchableFigure(
        "whereabouts",
        {
            "half_width": positive_distance("half_width", half_width),
            "place": where,
            "guess_sd": positive_distance("guess_sd", guess_sd),
            "guess_normals": rounded(torch.randn(2, generator=generator, dtype=torch.float64)),
            "places": rounded(held.locations, 6),
            "sd": float(held.location_sds.max()),
            "location_sd": location_sd,
            "match_threshold": match_threshold,
            "corner": rounded(corner, 6),
            "columns": columns,
            "rows": rows,
            "spacing": localiser.spacing,
            "width": localiser.width,
            "credibility": localiser.credibility,
            "largest_area": localiser.largest_area,
            "around": AROUND,
            "ridge": RIDGE,
            "least_tau": rounded(least_tau),
            "trees": trees_of(world, ScentBasis.of_world(world), sensor),
        },
    )


def _check_observations(held: Contents, world: TreeWorld, sensor: SimpleSensor) -> None:
    if held.locations.shape[1] != 2:
        raise ValueError(
            f"the figure shows places of the plane, but these have {held.locations.shape[1]} "
            "dimensions."
        )
    if float(held.location_sds.min()) != float(held.location_sds.max()):
        raise ValueError(
            "all observations must have one deviation, but theirs go from "
            f"{float(held.location_sds.min()):g} to {float(held.location_sds.max()):g} m."
        )
    off = (sensor.sense(world, held.locations).embedding - held.senses).abs().max()
    if float(off) > 1e-3:
        raise ValueError(
            "the figure smells again what the memory holds, so that it must hold the world's "
            f"smells as they are now, but one is off by {float(off):.2g}."
        )


def _check_answer(localiser: Localiser, read: Read, least_tau: float, sense: torch.Tensor) -> None:
    """Refuse a localiser that does not answer by this read of its grid, as the figure will."""
    known = read.known
    spread, number = read.spread[known].double(), read.effective_sample_size[known].double()
    tau = (spread.square() + spread.median().square() / number).sqrt().clamp_min(least_tau)
    squares = ((read.mean[known].double() - sense.double()).norm(dim=-1) / tau).square()
    p = (-squares / (2 * localiser.width**2) - 2 * tau.log()).softmax(dim=-1)
    wanted = localiser.locate(sense).probabilities.double()
    if p.shape != wanted.shape or float((p - wanted).abs().max()) > 0.01 * float(wanted.max()):
        raise ValueError(
            "the localiser answers otherwise than this memory with this location_sd and "
            "match_threshold, read by order 'linear': give what it was made of."
        )
