"""Bias and variance of reads along a line, for any bandwidth, noise and number of observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    PointsLike,
    as_numbers,
    as_points,
    positive_distance,
    real_number,
    whole_number,
)
from tree_world.models.memory.kernel.affinity import log_affinity
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.data.scents import ScentBasis, trees_of
from tree_world.simulation import SimpleSensor, TreeWorld

Array: TypeAlias = npt.NDArray[np.float64]

RANGE, TRIED = (4.0, 45.0), 25  # bandwidths, in metres, and at how many of them curves are known
NUMBERS = (64, 128, 256, 512, 1024, 2048)
MOST_NOISE = 4.0  # times the noise at first
MARGIN, ON_THE_LINE = 60.0, 57  # metres between the line and the edge; places on the line


def bandwidth(
    world: TreeWorld,
    sensor: SimpleSensor,
    places: PointsLike,
    noise: PointsLike,
    *,
    noise_sd: float,
    bandwidth: float,
    half_width: float,
    numbers: Sequence[int] = NUMBERS,
) -> TouchableFigure:
    r"""Tell what it takes to see bias and variance of reads along a line.

    The line is the x axis, but for what is near the edge. With the weights w of a read, the bias is
    what is read without noise, less the truth, as a vector; and the variance is
    :math:`s^2 \sum_t w_t^2`, with :math:`s^2` for the expected square of the noise over all numbers
    of a smell. Both are means over the line. What is drawn along it is the number of a smell that
    varies most there.

    Parameters
    ----------
    world : TreeWorld
    sensor : SimpleSensor
    places : array_like of shape (n, 2)
        Of observations, in metres. The first ones are taken, as many as `numbers` say.
    noise : array_like of shape (n,)
        The noise of the number that is drawn, in its deviations.
    noise_sd : float
        Standard deviation of the noise of each number at first.
    bandwidth : float
        At first, in metres, from 4 to 45.
    half_width : float
        Half the side of the square about the origin in which observations lie, in metres.
    numbers : sequence of int, default=(64, 128, 256, 512, 1024, 2048)
        Of observations.

    Returns
    -------
    TouchableFigure

    Raises
    ------
    ValueError
        If there are too few places, or one outside of the square, shapes do not fit, or a number is
        out of its range.

    Examples
    --------
    >>> import torch
    >>> from tree_world.plotting import data
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> generator = torch.Generator().manual_seed(0)
    >>> places = 400 * torch.rand(64, 2, generator=generator) - 200
    >>> figure = data.bandwidth(
    ...     world, SimpleSensor(), places, torch.randn(64, generator=generator),
    ...     noise_sd=0.05, bandwidth=20.0, half_width=200.0, numbers=(32, 64),
    ... )
    >>> few, many = figure.data["squared_weights"]
    >>> few[0] > many[0] > many[-1]
    True
    """
    half_width = positive_distance("half_width", half_width)
    if half_width <= MARGIN:
        raise ValueError(
            f"half_width must be more than {MARGIN:g} m, which is left out at the edge, but is "
            f"{half_width:g} m."
        )
    low, high = RANGE
    begun = real_number("bandwidth", bandwidth)
    if not low <= begun <= high:
        raise ValueError(f"bandwidth must be from {low:g} to {high:g} m, but is {begun:g} m.")
    counts = [whole_number("numbers", number, least=1) for number in numbers]
    if not counts or counts != sorted(set(counts)):
        raise ValueError(f"numbers of observations must rise, but are {counts}.")
    scattered = as_points(places, 2, "places", torch.float64).detach()
    errors = as_numbers(noise, "noise", torch.float64).detach()
    if scattered.ndim != 2 or len(scattered) < counts[-1] or errors.shape != scattered.shape[:1]:
        raise ValueError(
            f"there must be at least {counts[-1]} places, of shape (n, 2), and a number of noise "
            f"for each, but the shapes are {tuple(scattered.shape)} and {tuple(errors.shape)}."
        )
    # A script has no more digits of the places than these.
    taken = torch.tensor(rounded(scattered[: counts[-1]]), dtype=torch.float64)
    if float(taken.abs().max()) > half_width:
        raise ValueError(
            f"places must lie in the square of ±{half_width:g} m, but one lies "
            f"{float(taken.abs().max()):g} m out."
        )
    basis = ScentBasis.of_world(world)
    line = torch.zeros(ON_THE_LINE, 2, dtype=torch.float64)
    line[:, 0] = torch.linspace(MARGIN - half_width, half_width - MARGIN, ON_THE_LINE)
    smelled = sensor.sense(world, taken.float()).embedding
    truth = sensor.sense(world, line.float()).embedding
    drawn = int(truth.double().var(dim=0).argmax())
    bandwidths = np.geomspace(low, high, TRIED)
    squared_bias, squared_weights = _curves(
        taken, line, basis.coordinates(smelled), basis.coordinates(truth), (bandwidths, counts)
    )
    return TouchableFigure(
        "bandwidth",
        {
            "places": taken.tolist(),
            "noise": rounded(errors[: counts[-1]], 3),
            "noise_sd": positive_distance("noise_sd", noise_sd),
            "most_noise": MOST_NOISE * noise_sd,
            "numbers_of_a_smell": smelled.shape[1],
            "half_width": half_width,
            "line": line.tolist(),
            "trees": trees_of(world, basis, sensor),
            "direction": rounded(basis.directions[:, drawn], 6),
            "bandwidth": begun,
            "bandwidths": rounded(bandwidths, 6),
            "numbers": counts,
            "squared_bias": rounded(squared_bias, 6),
            "squared_weights": rounded(squared_weights, 6),
        },
    )


def _curves(
    places: torch.Tensor,
    line: torch.Tensor,
    smelled: Array,
    truth: Array,
    tried: tuple[Array, list[int]],
) -> tuple[Array, Array]:
    """Mean squared bias, and mean sum of squared weights, for each number and bandwidth."""
    bandwidths, numbers = tried
    squared_bias, squared_weights = np.zeros((2, len(numbers), len(bandwidths)))
    for row, number in enumerate(numbers):
        known = places[:number]
        for column, width in enumerate(bandwidths):
            exact, wide = torch.zeros(len(known), 2).double(), torch.full((len(line), 2), width)
            affinity = log_affinity(line, wide.double(), known, exact)
            weights = affinity.softmax(dim=-1).numpy()
            bias = weights @ smelled[:number] - truth
            squared_bias[row, column] = (bias**2).sum(axis=1).mean()
            squared_weights[row, column] = (weights**2).sum(axis=1).mean()
    return squared_bias, squared_weights
