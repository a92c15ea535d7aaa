"""What a reader needs to draw places from a memory anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tree_world.checks import (
    PointsLike,
    SeedLike,
    as_points,
    make_generator,
    positive_distance,
    positive_number,
    whole_number,
)
from tree_world.models.drives import DRIVES
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.data.scents import ScentBasis, trees_of
from tree_world.plotting.style import DENSITY_SHARES, as_array

if TYPE_CHECKING:
    from tree_world.models.drives import DriveClassifier
    from tree_world.models.memory import SpatialMemory
    from tree_world.simulation import SimpleSensor, TreeWorld

_BAND = 40.0  # metres: width of the bands in which observations stand one after the other


def proposals(
    world: TreeWorld,
    memory: SpatialMemory,
    classifier: DriveClassifier,
    key: torch.Tensor,
    *,
    sensor: SimpleSensor,
    agent: PointsLike,
    location_sd: float,
    within: float,
    temperature: float = 1.0,
    location_temperature: float = 30.0,
    number: int = 250,
    half_width: float = 400.0,
    seed: SeedLike = 0,
) -> TouchableFigure:
    """Tell what it takes to draw places from the mixture of a memory, at any temperatures.

    Matches, places and deviations give the weights. Samples invert their running sum at uniform
    numbers that are drawn here, and go on by normal ones: with other temperatures the same numbers
    give neighbouring places. For that, observations stand in the order of a walk over the plain, up
    one band and down the next. What places are worth is told by the trees, each by what its
    scent adds to the scores of the drives.

    Parameters
    ----------
    world : TreeWorld
        Whose trees judge the proposals.
    memory : SpatialMemory
        One row, whose observations all have one deviation on both axes.
    classifier : DriveClassifier
        Of the drives of `DRIVES`.
    key : torch.Tensor of shape (sensory_dim,)
        What is searched for.
    sensor : SimpleSensor
        Which smells the trees.
    agent : array_like of shape (2,)
        Where it stands at first, in metres.
    location_sd : float
        Of its place, in metres.
    within : float
        How near to food a find is, in metres.
    temperature, location_temperature : float, default=1.0 and 30.0
        Those at first.
    number : int, default=250
        Of samples.
    half_width : float, default=400.0
        Of the map, in metres.
    seed : int or torch.Generator, default=0
        Of the uniform and normal numbers.

    Returns
    -------
    TouchableFigure

    Raises
    ------
    ValueError
        If the memory is a batch, is empty, or its deviations differ; if the key is no sense, the
        world has a period, or a number is out of its range.

    Examples
    --------
    >>> import torch
    >>> from tree_world.models.drives import DriveClassifier
    >>> from tree_world.models.memory import SpatialMemory
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> places, sensor = torch.tensor([[0.0, 0.0], [50.0, 0.0]]), SimpleSensor()
    >>> memory = SpatialMemory(2, 384)
    >>> _ = memory.write(places, 10.0, sensor.sense(world, places).embedding)
    >>> figure = proposals(
    ...     world, memory, DriveClassifier(384), torch.ones(384), sensor=sensor, agent=[0.0, 0.0],
    ...     location_sd=10.0, within=30.0, number=3,
    ... )
    >>> figure.data["places"], len(figure.data["uniforms"])
    ([[0.0, 0.0], [50.0, 0.0]], 3)
    """
    number = whole_number("number of samples", number, least=1)
    places, sd, senses = _observations(memory)
    key = torch.as_tensor(key).detach()
    if key.shape != senses.shape[1:]:
        raise ValueError(
            f"key must be one sense, of shape {tuple(senses.shape[1:])}, not {tuple(key.shape)}."
        )
    order = _walk(as_array(places))
    matches = senses.double() @ key.double()
    generator = make_generator(seed)
    uniforms = torch.rand(number, generator=generator, dtype=torch.float64)
    normals = torch.randn(number, 2, generator=generator, dtype=torch.float64)
    return TouchableFigure(
        "proposals",
        {
            "half_width": positive_distance("half_width", half_width),
            "agent": as_points(agent, 2, "agent").reshape(2).tolist(),
            "temperature": positive_number("temperature", temperature),
            "location_temperature": positive_number("location_temperature", location_temperature),
            "location_sd": positive_distance("location_sd", location_sd),
            "within": positive_distance("within", within),
            "places": rounded(as_array(places)[order], digits=5),
            "sd": sd,
            "matches": rounded(as_array(matches)[order], digits=6),
            "uniforms": rounded(uniforms),
            "normals": rounded(normals),
            "shares": list(DENSITY_SHARES),
            "drives": dict(DRIVES),
            "trees": _scores_of_trees(world, classifier, sensor),
        },
    )


def _observations(memory: SpatialMemory) -> tuple[torch.Tensor, float, torch.Tensor]:
    if len(memory.memory_locations) != 1:
        raise ValueError("the figure draws from one memory, but a batch was given: take one row.")
    places, sds = memory.memory_locations[0].detach(), memory.memory_location_sds[0].detach()
    if len(places) == 0:
        raise ValueError("there is nothing to draw from: the memory is empty.")
    if float(sds.min()) != float(sds.max()):
        raise ValueError(
            "all observations must have one deviation on both axes, but theirs go from "
            f"{float(sds.min()):g} to {float(sds.max()):g} m."
        )
    return places, float(sds.max()), memory.memory_senses[0].detach()


def _walk(places: np.ndarray) -> np.ndarray:
    """Order places as on a walk, up one band of the plain and down the next."""
    band = np.floor(places[:, 0] / _BAND)
    along = np.where(band % 2 == 0, places[:, 1], -places[:, 1])
    return np.lexsort((along, band))


def _scores_of_trees(
    world: TreeWorld, classifier: DriveClassifier, sensor: SimpleSensor
) -> dict[str, Any]:
    """Tell how trees smell, by what their scents add to the scores of the drives."""
    amounts = world.fruit_amount_embeddings[world.fruit_amount_indices]
    scores = classifier.scores(torch.cat([world.embeddings, amounts]))
    own, of_amounts = scores.split(len(world.locations))
    return {
        **trees_of(world, ScentBasis.of_world(world), sensor),
        "scents": rounded(own, digits=5),
        "amount_scents": rounded(of_amounts, digits=5),
    }
