"""Checks at the public boundary: what was given, what was expected, what to do."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import torch

SeedLike: TypeAlias = "int | torch.Generator"
PointsLike: TypeAlias = "torch.Tensor | np.ndarray | list[float] | list[list[float]]"


def make_generator(seed: SeedLike) -> torch.Generator:
    """Turn a seed into a CPU generator, or pass a generator through.

    Parameters
    ----------
    seed : int or torch.Generator
        A whole number from 0 to 2⁶³ − 1, or a generator, which is used (and advanced) as it is.

    Returns
    -------
    torch.Generator
        A generator that owns its state. The global state of PyTorch is never touched.

    Raises
    ------
    TypeError
        If `seed` is neither a whole number nor a generator.
    ValueError
        If `seed` is negative or too large.
    """
    if isinstance(seed, torch.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(
            f"seed must be a whole number or a torch.Generator, but {seed!r} was given. "
            "There is no default source of randomness: choose a number, for example seed=0."
        )
    if not 0 <= int(seed) < 2**63:
        raise ValueError(f"seed must lie between 0 and 2**63 - 1, but {seed} was given.")
    return torch.Generator().manual_seed(int(seed))


def positive_distance(name: str, value: float) -> float:
    """Check that a distance in metres is positive and finite.

    Parameters
    ----------
    name : str
        What to call the argument in an error.
    value : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive, finite distance in metres, not {value}.")
    return float(value)


def as_points(
    points: PointsLike,
    dim: int,
    name: str = "positions",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Convert places in metres to a tensor whose last axis has `dim` entries.

    Parameters
    ----------
    points : array_like of shape (..., dim)
        One place or many, in metres. Any number of leading axes, of any length, zero included.
    dim : int
        The dimension of the world.
    name : str, default="positions"
        What to call the argument in an error.
    dtype : torch.dtype, default=torch.float32
    device : torch.device or str, default="cpu"

    Returns
    -------
    torch.Tensor of shape (..., dim)
        The argument itself where nothing had to be converted, so that gradients pass.

    Raises
    ------
    ValueError
        If the last axis has another length, or an entry is not finite.
    """
    tensor = torch.as_tensor(points, dtype=dtype, device=device)
    if tensor.ndim == 0 or tensor.shape[-1] != dim:
        raise ValueError(
            f"{name} must have shape (..., {dim}), one coordinate in metres for each axis of the "
            f"world, but an array of shape {tuple(tensor.shape)} was given."
        )
    if not bool(torch.isfinite(tensor).all()):
        first = torch.nonzero(~torch.isfinite(tensor))[0].tolist()
        raise ValueError(
            f"{name} must be finite, but entry {first} is {tensor[tuple(first)].item()}. "
            "Remove or repair such places before asking about them."
        )
    return tensor


def as_unit_vectors(vectors: PointsLike, dim: int, name: str = "heading") -> torch.Tensor:
    """Convert directions to a float32 tensor and check that each has length one.

    Parameters
    ----------
    vectors : array_like of shape (..., dim)
        One direction or many.
    dim : int
        The dimension of the world.
    name : str, default="heading"
        What to call the argument in an error.

    Returns
    -------
    torch.Tensor of shape (..., dim)

    Raises
    ------
    ValueError
        If the shape is wrong, an entry is not finite, or a length is not 1 to within 0.001.
    """
    tensor = as_points(vectors, dim, name)
    lengths = torch.linalg.vector_norm(tensor, dim=-1)
    if bool(((lengths - 1).abs() > 1e-3).any()):
        worst = lengths.flatten()[(lengths - 1).abs().argmax()].item()
        raise ValueError(
            f"{name} must be a unit vector, but one of length {worst:.4g} was given. "
            f"Divide it by its norm: {name} / torch.linalg.vector_norm({name}, dim=-1, "
            "keepdim=True)."
        )
    return tensor
