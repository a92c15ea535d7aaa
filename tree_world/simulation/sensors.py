"""Smell and sight: what an agent perceives at a place."""

from __future__ import annotations

import math
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar, cast

import torch

from tree_world import moved
from tree_world.checks import (
    PointsLike,
    as_points,
    as_unit_vectors,
    positive_distance,
    real_number,
)
from tree_world.precision import without_autocast
from tree_world.simulation.config import TreeWorldConfig, check_reach
from tree_world.simulation.trees import Trees, nearest_image

Part = TypeVar("Part")


class Sensed(NamedTuple, Generic[Part]):
    """What a sensor tells.

    Attributes
    ----------
    distance : torch.Tensor or None
        In metres.
    embedding : torch.Tensor or None
        What it is like.
    tree : Tree, numpy.ndarray of Tree, or None
        Which tree it is. An agent is not told.
    """

    distance: Part
    embedding: Part
    tree: Any


class HasTrees(Protocol):
    """A world, of which a sensor needs the trees alone."""

    @property
    def trees(self) -> Trees:
        """Its trees."""
        ...


class Sensor(Protocol):
    """What an agent needs of a sensor."""

    def sense(
        self, world: Any, position: torch.Tensor, heading: torch.Tensor | None
    ) -> tuple[Any, Any, Any]:
        """Return the distance, the sensed vector and the tree, as `Sensed` holds them."""
        ...


class SimpleSensor:
    r"""Smell: scents diffuse from the trees and add up.

    .. math::

        z(x) = \sum_i z_i(x) \, e^{-\lVert x - \ell_i \rVert^2 / 2t},
        \qquad t = \frac{M^2}{2 \ln(1/a)}

    where :math:`\ell_i` is the place of tree i and :math:`z_i(x)` its embedding, to which that of
    its amount of fruit is added within `can_see_fruit_distance`. The kernel solves the heat
    equation :math:`\partial_t u = \frac12 \Delta u` up to its amplitude; :math:`\sqrt t` is its
    standard deviation in metres. In a world with a period, :math:`x - \ell_i` goes to the nearest
    image of the tree; what comes from the others, at most a share a each, is left out.

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

    def check(self, period: float | None) -> None:
        """Refuse a world that repeats within the reach; see `config.check_reach`."""
        check_reach("max_sense_distance", self.max_sense_distance, period)
        check_reach("can_see_fruit_distance", self.can_see_fruit_distance, period)

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
        self, world: HasTrees | Trees, position: PointsLike, heading: PointsLike | None = None
    ) -> Sensed[torch.Tensor]:
        """Smell at one place or at many.

        Parameters
        ----------
        world : TreeWorld or Trees
            What to smell, with its present amounts of fruit.
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
            If a place has another dimension than the world, or is not finite, or the nose reaches
            farther than half of the world's period.
        """
        trees = trees_of(world)
        self.check(trees.config.period)
        places = as_points(position, trees.dim, "position")
        distances = distances_to_trees(places, trees)
        strength = self.strength(distances)
        perceived = strength * (distances <= self.can_see_fruit_distance)
        # Trees with the same amount smell of the same word, so the amounts need one column a word.
        amounts = perceived @ trees.fruit_amount_one_hot
        scent = torch.cat([strength, amounts], dim=-1) @ trees.sources
        nearest = distances.min(dim=-1)
        return Sensed(nearest.values, scent, trees.trees_at(nearest.indices))


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

    def check(self, period: float | None) -> None:
        """Refuse a world that repeats within the reach; see `config.check_reach`."""
        check_reach("max_sense_distance", self.max_sense_distance, period)
        check_reach("can_see_fruit_distance", self.can_see_fruit_distance, period)

    def sense(
        self, world: HasTrees | Trees, position: PointsLike, heading: PointsLike | None
    ) -> Sensed[Any]:
        """Look from one place or from many.

        Parameters
        ----------
        world : TreeWorld or Trees
            What to look at, with its present amounts of fruit.
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
            If shapes do not fit the world or each other, an entry is not finite, a heading is
            missing or not of unit length, or the eyes reach farther than half of the world's
            period.
        """
        trees = trees_of(world)
        self.check(trees.config.period)
        places = as_points(position, trees.dim, "position")
        if heading is None:
            raise ValueError(
                "heading must be a unit vector, but None was given: sight needs a direction."
            )
        headings = as_unit_vectors(heading, trees.dim)
        if headings.ndim > 1 and headings.shape != places.shape:
            raise ValueError(
                "heading must be one unit vector, or one for each position: positions have shape "
                f"{tuple(places.shape)}, headings {tuple(headings.shape)}."
            )
        distances = distances_to_trees(places, trees)
        towards = offsets_to_trees(places, trees)
        along = (towards * headings.unsqueeze(-2)).sum(dim=-1)
        in_cone = (along > self.heading_tolerance * distances) | (distances == 0)
        visible = in_cone & (distances <= self.max_sense_distance)
        seen = torch.where(visible, distances, torch.inf).min(dim=-1)
        found = torch.isfinite(seen.values)
        if places.ndim == 1 and not bool(found):
            return Sensed(None, None, None)

        near_enough = seen.values <= self.can_see_fruit_distance
        amounts = trees.fruit_amount_embeddings[trees.fruit_amount_indices[seen.indices]]
        embedding = trees.embeddings[seen.indices] + near_enough.unsqueeze(-1) * amounts
        embedding = embedding * found.unsqueeze(-1)
        which = trees.trees_at(seen.indices)
        if places.ndim > 1:
            which[~found.numpy()] = None
        return Sensed(seen.values, embedding, which)


def distances_to_trees(places: torch.Tensor, world: HasTrees | Trees) -> torch.Tensor:
    """Distance from every place to every tree.

    Parameters
    ----------
    places : torch.Tensor of shape (..., dim)
        Places in metres.
    world : TreeWorld or Trees
        Whose trees are meant.

    Returns
    -------
    torch.Tensor of shape (..., num_trees)
        Distances in metres, to the nearest image in a world with a period; from differences of
        coordinates: the shortcut through the scalar product loses all digits far from the origin.
    """
    trees = trees_of(world)
    if trees.config.period is not None:
        wrapped: torch.Tensor = offsets_to_trees(places, trees).norm(dim=-1)
        return wrapped
    flat = places.reshape(-1, trees.dim)
    distances = torch.cdist(flat, trees.locations, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.reshape(*places.shape[:-1], len(trees.locations))


def offsets_to_trees(places: torch.Tensor, world: HasTrees | Trees) -> torch.Tensor:
    """Ways from every place to every tree.

    Parameters
    ----------
    places : torch.Tensor of shape (..., dim)
        Places in metres.
    world : TreeWorld or Trees
        Whose trees are meant.

    Returns
    -------
    torch.Tensor of shape (..., num_trees, dim)
        In metres, to the nearest image in a world with a period.
    """
    trees = trees_of(world)
    period, here = trees.config.period, places.unsqueeze(-2)
    if period is None:
        return trees.locations - here
    # In double precision, so that a place far away is as good as its image.
    offsets = trees.locations.double() - here.double()
    return nearest_image(offsets, period).to(places.dtype)


def trees_of(world: HasTrees | Trees) -> Trees:
    """Take the trees of a world; trees themselves stay."""
    return cast(Trees, getattr(world, "trees", world))


def _not_negative(name: str, value: float) -> float:
    number = real_number(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be a finite distance in metres, zero or more, not {number}.")
    return number


__getattr__ = moved.names_of(__name__)
