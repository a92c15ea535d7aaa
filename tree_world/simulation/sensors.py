"""Smell and sight: what an agent perceives at a place."""

from __future__ import annotations

import math
from typing import Any, Protocol, Self

import numpy as np
import torch

from tree_world.checks import (
    PointsLike,
    as_points,
    as_unit_vectors,
    positive_distance,
    real_number,
)
from tree_world.precision import without_autocast
from tree_world.simulation.config import TreeWorldConfig


class Trees(Protocol):
    """What a sensor needs of a world: where its trees stand, what they smell of, what they bear."""

    @property
    def dim(self) -> int:
        """Number of coordinates of a place."""
        ...

    @property
    def locations(self) -> torch.Tensor:
        """Places of the trees in metres, of shape (n_trees, dim)."""
        ...

    @property
    def embeddings(self) -> torch.Tensor:
        """Vectors of their kinds and names, of shape (n_trees, embed_dim)."""
        ...

    @property
    def fruit_amount_embeddings(self) -> torch.Tensor:
        """Vectors of the amounts of fruit, of shape (n_amounts, embed_dim)."""
        ...

    @property
    def fruit_amount_indices(self) -> torch.Tensor:
        """Which amount each tree bears, of shape (n_trees,)."""
        ...

    @property
    def fruit_amount_one_hot(self) -> torch.Tensor:
        """The same as zeros and ones, of shape (n_trees, n_amounts)."""
        ...

    def trees_at(self, indices: torch.Tensor) -> Any:
        """Return the trees with these indices."""
        ...


class Sensor(Protocol):
    """What an agent needs of a sensor."""

    def sense(
        self, world: Trees, position: PointsLike, heading: PointsLike | None
    ) -> tuple[Any, Any, Any]:
        """Return the distance, the sensed vector and the tree."""
        ...


class SimpleSensor:
    r"""Smell: scents diffuse from the trees and add up.

    .. math::

        z(x) = \sum_i z_i(x) \, e^{-\lVert x - \ell_i \rVert^2 / 2t},
        \qquad t = \frac{M^2}{2 \ln(1/a)}

    where :math:`\ell_i` is the place of tree i and :math:`z_i(x)` its embedding, to which that of
    its amount of fruit is added within `can_see_fruit_distance`. The kernel solves the heat
    equation :math:`\partial_t u = \frac12 \Delta u` up to its amplitude; :math:`\sqrt t` is its
    standard deviation in metres.

    Parameters
    ----------
    max_sense_distance : float, default=100.0
        Distance M in metres at which a scent has fallen to `edge_strength`.
    edge_strength : float, default=0.1
        The share a, strictly between 0 and 1.
    can_see_fruit_distance : float, default=100.0
        Distance in metres within which the amount of fruit is perceived.

    Attributes
    ----------
    diffusion_time : float
        t, in square metres.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> distance, scent, tree = SimpleSensor().sense(world, [0.0, 0.0])
    >>> scent.shape
    torch.Size([384])
    """

    def __init__(
        self,
        max_sense_distance: float = 100.0,
        edge_strength: float = 0.1,
        can_see_fruit_distance: float = 100.0,
    ) -> None:
        self.max_sense_distance = positive_distance("max_sense_distance", max_sense_distance)
        self.edge_strength = real_number("edge_strength", edge_strength)
        if not 0 < self.edge_strength < 1:
            raise ValueError(
                "edge_strength must lie strictly between 0 and 1, the share of a scent that is "
                f"left at max_sense_distance, but {edge_strength} was given."
            )
        self.can_see_fruit_distance = _not_negative(
            "can_see_fruit_distance", can_see_fruit_distance
        )

    @classmethod
    def from_config(cls, config: TreeWorldConfig) -> Self:
        """Make the sensor that a configuration describes."""
        return cls(config.max_sense_distance, config.edge_strength, config.can_see_fruit_distance)

    @property
    def diffusion_time(self) -> float:
        """Diffusion time t = M² / (2 ln(1/a)), in square metres."""
        return self.max_sense_distance**2 / (2 * math.log(1 / self.edge_strength))

    def strength(self, distance: torch.Tensor) -> torch.Tensor:
        """Share of a scent that is left at a distance: exp(−r² / 2t).

        Parameters
        ----------
        distance : torch.Tensor
            Distances r in metres, of any shape.

        Returns
        -------
        torch.Tensor
            Of the same shape; 1 at the tree, `edge_strength` at `max_sense_distance`.
        """
        return torch.exp(-distance.square() / (2 * self.diffusion_time))

    @without_autocast
    def sense(
        self, world: Trees, position: PointsLike, heading: PointsLike | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Smell at one place or at many.

        Parameters
        ----------
        world : TreeWorld
            The world to smell, with its present amounts of fruit.
        position : array_like of shape (..., dim)
            Places in metres.
        heading : object, optional
            Ignored: a smell comes from everywhere.

        Returns
        -------
        distance : torch.Tensor of shape (...)
            Distance to the nearest tree, in metres.
        scent : torch.Tensor of shape (..., embed_dim)
            The sum z(x).
        tree : Tree, or numpy.ndarray of Tree of shape (...)
            The nearest tree; a single tree for a single place.

        Raises
        ------
        ValueError
            If a place has another dimension than the world, or is not finite.
        """
        places = as_points(position, world.dim, "position")
        distances = distances_to_trees(places, world)
        strength = self.strength(distances)
        perceived = strength * (distances <= self.can_see_fruit_distance)
        # Trees with the same amount smell of the same word, so the amounts need one column a word.
        amounts = perceived @ world.fruit_amount_one_hot
        sources = torch.cat([world.embeddings, world.fruit_amount_embeddings])
        scent = torch.cat([strength, amounts], dim=-1) @ sources
        nearest = distances.min(dim=-1)
        return nearest.values, scent, world.trees_at(nearest.indices)


class DirectionalSensor:
    r"""Sight: the nearest tree within reach and within a cone around the heading.

    Tree i is seen from x under heading h if :math:`\lVert \ell_i - x \rVert \le M` and
    :math:`h \cdot (\ell_i - x) / \lVert \ell_i - x \rVert >` `heading_tolerance`. A tree at the
    very place of the agent is seen.

    Parameters
    ----------
    max_sense_distance : float, default=100.0
        Reach M in metres.
    heading_tolerance : float, default=0.9
        Cosine of half the angle of the cone, from −1 (all round) to just under 1.
    can_see_fruit_distance : float, default=100.0
        Distance in metres within which the amount of fruit is perceived.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from tree_world.simulation import DirectionalSensor, TreeWorld, TreeWorldConfig
    >>> world = TreeWorld.random_from_config(TreeWorldConfig(), seed=0)
    >>> distance, embedding, tree = DirectionalSensor().sense(world, [0.0, 0.0], [1.0, 0.0])
    """

    def __init__(
        self,
        max_sense_distance: float = 100.0,
        heading_tolerance: float = 0.9,
        can_see_fruit_distance: float = 100.0,
    ) -> None:
        self.max_sense_distance = positive_distance("max_sense_distance", max_sense_distance)
        self.heading_tolerance = real_number("heading_tolerance", heading_tolerance)
        if not -1 <= self.heading_tolerance < 1:
            raise ValueError(
                "heading_tolerance is the cosine of half the angle of the cone of sight and must "
                f"lie in [-1, 1), but {heading_tolerance} was given."
            )
        self.can_see_fruit_distance = _not_negative(
            "can_see_fruit_distance", can_see_fruit_distance
        )

    @classmethod
    def from_config(cls, config: TreeWorldConfig) -> Self:
        """Make the sensor that a configuration describes."""
        return cls(
            config.max_sense_distance, config.heading_tolerance, config.can_see_fruit_distance
        )

    def sense(
        self, world: Trees, position: PointsLike, heading: PointsLike | None
    ) -> tuple[Any, Any, Any]:
        """Look from one place or from many.

        Parameters
        ----------
        world : TreeWorld
            The world to look at, with its present amounts of fruit.
        position : array_like of shape (..., dim)
            Places in metres.
        heading : array_like of shape (dim,) or (..., dim)
            Unit vectors: one for all places, or one for each.

        Returns
        -------
        distance : torch.Tensor of shape (...), or None
            Distance in metres to the tree that is seen; infinite where none is.
        embedding : torch.Tensor of shape (..., embed_dim), or None
            Its embedding, with that of its amount of fruit if it is near enough; zeros where no
            tree is seen.
        tree : Tree, numpy.ndarray of Tree or None of shape (...), or None
            The tree itself. For a single place from which no tree is seen, all three are None.

        Raises
        ------
        ValueError
            If shapes do not fit the world or each other, an entry is not finite, or a heading is
            missing or not of unit length.
        """
        places = as_points(position, world.dim, "position")
        if heading is None:
            raise ValueError(
                "heading must be a unit vector, but None was given: sight needs a direction."
            )
        headings = as_unit_vectors(heading, world.dim)
        if headings.ndim > 1 and headings.shape != places.shape:
            raise ValueError(
                "heading must be one unit vector, or one for each position: positions have shape "
                f"{tuple(places.shape)}, headings {tuple(headings.shape)}."
            )
        distances = distances_to_trees(places, world)
        towards = world.locations - places.unsqueeze(-2)
        along = (towards * headings.unsqueeze(-2)).sum(dim=-1)
        in_cone = (along > self.heading_tolerance * distances) | (distances == 0)
        visible = in_cone & (distances <= self.max_sense_distance)
        seen = torch.where(visible, distances, torch.inf).min(dim=-1)
        found = torch.isfinite(seen.values)
        if places.ndim == 1 and not bool(found):
            return None, None, None

        near_enough = seen.values <= self.can_see_fruit_distance
        amounts = world.fruit_amount_embeddings[world.fruit_amount_indices[seen.indices]]
        embedding = world.embeddings[seen.indices] + near_enough.unsqueeze(-1) * amounts
        embedding = embedding * found.unsqueeze(-1)
        trees = world.trees_at(seen.indices)
        if places.ndim > 1:
            trees[~found.numpy()] = None
        return seen.values, embedding, trees


def distances_to_trees(places: torch.Tensor, world: Trees) -> torch.Tensor:
    """Distance from every place to every tree.

    Parameters
    ----------
    places : torch.Tensor of shape (..., dim)
        Places in metres.
    world : TreeWorld
        The world whose trees are meant.

    Returns
    -------
    torch.Tensor of shape (..., num_trees)
        Distances in metres, from differences of coordinates: the shortcut through the scalar
        product loses all digits far from the origin.
    """
    flat = places.reshape(-1, world.dim)
    distances = torch.cdist(flat, world.locations, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.reshape(*places.shape[:-1], len(world.locations))


def _not_negative(name: str, value: float) -> float:
    number = real_number(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be a finite distance in metres, zero or more, not {number}.")
    return number


def as_tree_array(trees: tuple[Any, ...]) -> np.ndarray:
    """Array of objects, which NumPy would otherwise try to look into."""
    array = np.empty(len(trees), dtype=object)
    array[:] = trees
    return array
