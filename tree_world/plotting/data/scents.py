"""Smells as a few exact coordinates, their colours, and the law by which trees smell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from tree_world.checks import as_numbers
from tree_world.plotting.data.figure import rounded
from tree_world.plotting.palette import CONES_TO_LAB, RGB_TO_CONES, ScentPalette
from tree_world.plotting.style import as_finite
from tree_world.simulation import SimpleSensor, TreeWorld

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_NEGLIGIBLE = 1e-5  # of a vector's length: what single precision leaves of one that is dependent


class ScentBasis:
    """Orthonormal directions that span some scents, so that a few numbers tell each exactly.

    Lengths, angles and means of coordinates are those of the scents. Directions are taken one
    scent after the other (Gram and Schmidt), so that they are the same on every processor.

    Parameters
    ----------
    scents : array_like of shape (n_scents, embed_dim)
        What the coordinates must be able to tell.

    Attributes
    ----------
    directions : numpy.ndarray of float64, of shape (rank, embed_dim)

    Raises
    ------
    ValueError
        If there is no scent, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> basis = ScentBasis([[3.0, 4.0, 0.0], [6.0, 8.0, 0.0]])
    >>> basis.coordinates([[3.0, 4.0, 0.0]])
    array([[5.]])
    """

    def __init__(self, scents: ArrayLike | torch.Tensor) -> None:
        given = as_finite(scents, "scents")
        if given.ndim != 2 or given.size == 0:
            raise ValueError(
                f"scents must be a matrix with a row for each, but have shape {given.shape}."
            )
        directions = np.empty((0, given.shape[1]))
        for scent in given:
            left = scent
            for _ in range(2):  # once more, against rounding
                left = left - directions.T @ (directions @ left)
            if np.linalg.norm(left) > _NEGLIGIBLE * np.linalg.norm(scent):
                directions = np.vstack([directions, left / np.linalg.norm(left)])
        self.directions = directions

    @classmethod
    def of_world(cls, world: TreeWorld) -> Self:
        """Span all that can be smelled in a world: its trees, and its words for amounts."""
        return cls(torch.cat([world.embeddings, world.fruit_amount_embeddings]))

    def coordinates(self, scents: ArrayLike | torch.Tensor) -> np.ndarray:
        """Tell scents by coordinates.

        Parameters
        ----------
        scents : array_like of shape (..., embed_dim)

        Returns
        -------
        numpy.ndarray of float64, of shape (..., rank)

        Raises
        ------
        ValueError
            If a scent lies outside of what the basis spans, so that something would be lost.
        """
        given = as_finite(scents, "scents")
        if given.shape[-1] != self.directions.shape[1]:
            raise ValueError(
                f"scents must have {self.directions.shape[1]} numbers, as those of the basis, but "
                f"have {given.shape[-1]}."
            )
        found = given @ self.directions.T
        lost = np.abs(found @ self.directions - given).max(initial=0.0)
        if lost > 1e-4 * np.abs(given).max(initial=0.0):
            raise ValueError(
                "scents must lie in the span of the basis, but up to "
                f"{lost:.3g} would be lost of one of their numbers. Make the basis of these, too."
            )
        return np.asarray(found)


def scent_palette(palette: ScentPalette, basis: ScentBasis) -> dict[str, Any]:
    """Tell how coordinates of scents are turned into colours, as `ScentPalette.colors` does.

    Parameters
    ----------
    palette : ScentPalette
    basis : ScentBasis

    Returns
    -------
    dict
        ``plane`` of shape (2, rank) and ``offset`` of shape (2,), which lead from a direction to
        the plane of hues; ``radius``, ``lightness``, ``chroma`` and ``full_strength``; and the
        matrices of OKLab.
    """
    return {
        "plane": rounded(palette.plane @ basis.directions.T, 6),
        "offset": rounded(palette.offset, 6),
        "radius": rounded(palette.radius, 6),
        "full_strength": rounded(palette.full_strength, 6),
        "lightness": palette.LIGHTNESS,
        "chroma": palette.CHROMA,
        "saturation": palette.SATURATION,
        "rgb_to_cones": RGB_TO_CONES.tolist(),
        "cones_to_lab": CONES_TO_LAB.tolist(),
    }


def trees_of(world: TreeWorld, basis: ScentBasis, sensor: SimpleSensor) -> dict[str, Any]:
    r"""Tell where trees stand, what they smell of, and how smells spread.

    At a distance r a tree smells of :math:`e^{-r^2 / 2t}` times its scent, to which that of its
    amount is added while r is at most ``can_see_fruit_distance``.

    Parameters
    ----------
    world : TreeWorld
        With its present amounts of fruit.
    basis : ScentBasis
        Of the world.
    sensor : SimpleSensor

    Returns
    -------
    dict
        ``places`` of shape (n_trees, dim), ``poisonous``, ``names``; ``scents`` of shape (n_trees,
        rank) and ``amount_scents`` of the same; ``diffusion_time``, ``can_see_fruit_distance``.

    Raises
    ------
    ValueError
        If the world repeats: a figure shows no images of trees.
    """
    if world.config.period is not None:
        raise ValueError(
            f"a figure tells the trees of a plane, but this world repeats every "
            f"{world.config.period:g} m."
        )
    amounts = world.fruit_amount_embeddings[world.fruit_amount_indices]
    return {
        "places": as_numbers(world.locations, "locations", torch.float64).tolist(),
        "poisonous": world.is_poisonous.tolist(),
        "names": [tree.name for tree in world.trees],
        "scents": rounded(basis.coordinates(world.embeddings), 5),
        "amount_scents": rounded(basis.coordinates(amounts), 5),
        "diffusion_time": sensor.diffusion_time,
        "can_see_fruit_distance": sensor.can_see_fruit_distance,
    }
