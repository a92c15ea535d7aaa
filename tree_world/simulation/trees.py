"""Where trees stand, what they smell of, and what they bear. Trees know of no agent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np
import torch

from tree_world.checks import as_points
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.simulation import vocabulary
from tree_world.simulation.config import TreeWorldConfig
from tree_world.simulation.stepping import NEVER


@dataclass(frozen=True, eq=False)
class Tree:
    """What is fixed about a tree. How much fruit it bears is in `Trees.fruit_counts`.

    Attributes
    ----------
    index : int
        Its place in ``world.trees`` and in every array of the world.
    tree_id : str
        Its first name, which no other tree of the world has.
    name : str
        Its kind of fruit.
    location : torch.Tensor of shape (dim,)
        In metres.
    embedding : torch.Tensor of shape (embed_dim,)
        Unit embedding of its kind plus unit embedding of its name.
    is_poisonous : bool
        Whether its fruit harms.
    """

    index: int
    tree_id: str
    name: str
    location: torch.Tensor
    embedding: torch.Tensor
    is_poisonous: bool

    def __repr__(self) -> str:
        place = ", ".join(f"{coordinate:.1f}" for coordinate in self.location.tolist())
        kind = "poisonous" if self.is_poisonous else "edible"
        return f"Tree({self.tree_id!r}, {self.name!r}, at ({place}) m, {kind})"


class Trees(Sequence["Tree"]):
    """The trees of a world with their fruit; as a sequence, what is fixed about each.

    Parameters
    ----------
    config : TreeWorldConfig
        The choices; a copy is kept, which cannot be changed.
    locations : array_like of shape (num_trees, dim)
        Where the trees stand, in metres.
    kinds : sequence of str
        The kind of each tree, one of the kinds of `config`.
    tree_ids : sequence of str
        The name of each tree, all different.

    Attributes
    ----------
    config : TreeWorldConfig
    is_poisonous : torch.Tensor of shape (num_trees,), bool
    tree_name_embeddings : dict of str to torch.Tensor of shape (embed_dim,)
        Unit embedding of every kind in `config`, among the trees or not.

    Raises
    ------
    ValueError
        If lengths disagree, a kind is unknown, a name occurs twice, or a place is not finite or
        outside the square of a world with a period.

    Examples
    --------
    >>> from tree_world.simulation import TreeWorldConfig
    >>> places = [[0.0, 50.0], [30.0, 0.0]]
    >>> trees = Trees(TreeWorldConfig(), places, ["fig", "apple"], ["Ada", "Bram"])
    >>> trees[1]
    Tree('Bram', 'apple', at (30.0, 0.0) m, edible)
    >>> trees.fruit_counts
    tensor([5, 5])
    """

    @torch.inference_mode(False)  # what is kept outlives the mode in which it was made
    def __init__(
        self, config: TreeWorldConfig, locations: Any, kinds: Sequence[str], tree_ids: Sequence[str]
    ) -> None:
        self.config = config.of_a_world()
        places = as_points(locations, self.dim, "locations").detach()
        _check_trees(self.config, places, kinds, tree_ids)

        words = _embed_words(self.config, tree_ids)
        all_kinds = self.config.edible_kinds + self.config.poisonous_kinds
        self.tree_name_embeddings = {kind: words[kind] for kind in all_kinds}
        self.is_poisonous = torch.tensor([kind in self.config.poisonous_kinds for kind in kinds])
        own = [words[kind] + words[tree_id] for kind, tree_id in zip(kinds, tree_ids, strict=True)]
        amounts = [words[amount] for amount in vocabulary.FRUIT_AMOUNTS]
        # Arrays that compiled code reads and changes; what is handed out as tensors shares them.
        self.arrays = TreeArrays(
            locations=places.numpy().copy(),
            sources=torch.stack([*own, *amounts]).numpy(),
            fruit_counts=np.empty(len(places), dtype=np.int64),
            regrows_at=np.empty(len(places), dtype=np.int64),
            fruit_values=np.where(
                self.is_poisonous.numpy(), self.config.poison_health, self.config.edible_health
            ),
        )
        self._trees = tuple(
            # Copies: whoever changes what a tree says of itself does not move or mend the tree.
            Tree(index, tree_id, kind, location.clone(), embedding.clone(), bool(is_poisonous))
            for index, (tree_id, kind, location, embedding, is_poisonous) in enumerate(
                zip(
                    tree_ids, kinds, self.locations, self.embeddings, self.is_poisonous, strict=True
                )
            )
        )
        self._tree_array = as_tree_array(self._trees)
        self.bear_all()

    @classmethod
    def random_from_config(cls, config: TreeWorldConfig, generator: torch.Generator) -> Self:
        """Draw trees at random.

        Parameters
        ----------
        config : TreeWorldConfig
            What to draw from.
        generator : torch.Generator
            On the CPU. It is advanced.

        Returns
        -------
        Trees
        """
        return cls(config, *draw_trees(config, generator))

    # --- a sequence ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.arrays.locations)

    @overload
    def __getitem__(self, index: int) -> Tree: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Tree, ...]: ...

    def __getitem__(self, index: int | slice) -> Tree | tuple[Tree, ...]:
        return self._trees[index]

    def __iter__(self) -> Iterator[Tree]:
        return iter(self._trees)

    def trees_at(self, indices: torch.Tensor) -> Any:
        """Look trees up by index.

        Parameters
        ----------
        indices : torch.Tensor of int, of shape (...)
            Indices of trees.

        Returns
        -------
        Tree or numpy.ndarray of Tree
            A single tree for a single index, else a new array of the same shape.
        """
        return self._tree_array[indices.numpy()]

    # --- where they stand, and what they smell of ------------------------------------------------

    @property
    def dim(self) -> int:
        """Number of coordinates of a place."""
        return self.config.dim

    @property
    def locations(self) -> torch.Tensor:
        """Places in metres, of shape (num_trees, dim)."""
        return torch.from_numpy(self.arrays.locations)

    @locations.setter
    def locations(self, places: torch.Tensor) -> None:
        self.arrays.locations[:] = places.detach().numpy()

    @property
    def embeddings(self) -> torch.Tensor:
        """Vectors of their kinds and names, of shape (num_trees, embed_dim)."""
        return torch.from_numpy(self.arrays.sources)[: len(self)]

    @embeddings.setter
    def embeddings(self, vectors: torch.Tensor) -> None:
        self.arrays.sources[: len(self)] = vectors.detach().numpy()

    @property
    def fruit_amount_embeddings(self) -> torch.Tensor:
        """Vectors of the words for amounts of fruit, of shape (5, embed_dim)."""
        return torch.from_numpy(self.arrays.sources)[len(self) :]

    @property
    def sources(self) -> torch.Tensor:
        """Both, one after the other, of shape (num_trees + 5, embed_dim)."""
        return torch.from_numpy(self.arrays.sources)

    # --- fruit -----------------------------------------------------------------------------------

    @property
    def fruit_counts(self) -> torch.Tensor:
        """Fruits that each tree bears now, of shape (num_trees,), int64. May be written to."""
        return torch.from_numpy(self.arrays.fruit_counts)

    @fruit_counts.setter
    def fruit_counts(self, counts: torch.Tensor) -> None:
        self.arrays.fruit_counts[:] = counts.numpy()

    @property
    def fruit_amount_indices(self) -> torch.Tensor:
        """Index into `vocabulary.FRUIT_AMOUNTS` for every tree, of shape (num_trees,)."""
        # The words change at 1, 2, 3 and 6 fruits.
        return torch.bucketize(self.fruit_counts, torch.tensor([1, 2, 3, 6]), right=True)

    @property
    def fruit_amount_one_hot(self) -> torch.Tensor:
        """The same as rows of a (num_trees, 5) matrix of zeros and ones."""
        num_words = len(vocabulary.FRUIT_AMOUNTS)
        return torch.nn.functional.one_hot(self.fruit_amount_indices, num_words).float()

    def bear_all(self) -> None:
        """Make all trees full, with none to regrow."""
        self.arrays.fruit_counts[:] = self.config.max_fruit
        self.arrays.regrows_at[:] = NEVER


@dataclass(frozen=True)
class TreeArrays:
    """What compiled code reads of trees, and changes of their fruit."""

    locations: np.ndarray
    sources: np.ndarray
    fruit_counts: np.ndarray
    regrows_at: np.ndarray
    fruit_values: np.ndarray


def draw_trees(
    config: TreeWorldConfig, generator: torch.Generator
) -> tuple[torch.Tensor, list[str], list[str]]:
    """Draw where trees stand, their kinds and their names.

    Parameters
    ----------
    config : TreeWorldConfig
        What to draw from.
    generator : torch.Generator
        On the CPU. It is advanced.

    Returns
    -------
    locations : torch.Tensor of shape (num_trees, dim)
        In metres; wrapped into the square of a world with a period.
    kinds, tree_ids : list of str
    """
    spread = config.tree_spacing * config.dim
    number, single = config.num_trees, torch.float32
    locations = spread * torch.randn((number, config.dim), generator=generator, dtype=single)
    locations = nearest_image(locations, config.period)
    poisonous = torch.rand(number, generator=generator, dtype=single) < config.poison_probability
    which = torch.rand(number, generator=generator, dtype=single)
    kinds = []
    for is_poisonous, share in zip(poisonous.tolist(), which.tolist(), strict=True):
        choices = config.poisonous_kinds if is_poisonous else config.edible_kinds
        kinds.append(choices[int(share * len(choices))])
    order = torch.randperm(len(config.tree_ids), generator=generator)[: config.num_trees]
    tree_ids = [config.tree_ids[index] for index in order.tolist()]
    return locations, kinds, tree_ids


def nearest_image(offsets: torch.Tensor, period: float | None) -> torch.Tensor:
    r"""Shorten offsets by whole periods: :math:`d - p \lfloor d / p + 1/2 \rfloor`.

    Parameters
    ----------
    offsets : torch.Tensor
        Along the axes, in metres, of any shape.
    period : float, optional
        Distance p in metres after which the world repeats, if it does.

    Returns
    -------
    torch.Tensor
        Of the same shape, from −p / 2 to below p / 2; the offsets themselves without a period.

    Examples
    --------
    >>> nearest_image(torch.tensor([100.0, 200.0, 450.0]), 300.0)
    tensor([ 100., -100., -150.])
    """
    if period is None:
        return offsets
    wide = offsets.double()
    return (wide - period * torch.floor(wide / period + 0.5)).to(offsets.dtype)


def images_of(
    locations: np.ndarray, period: float | None, half_width: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find all images of trees on a map.

    Parameters
    ----------
    locations : numpy.ndarray of shape (num_trees, dim)
        In metres.
    period : float, optional
        Distance in metres after which the world repeats, if it does.
    half_width : float
        The map shows −half_width to half_width along each axis.

    Returns
    -------
    which : numpy.ndarray of shape (num_images,), int64
        Indices of trees.
    places : numpy.ndarray of shape (num_images, dim)
        Without a period, where all trees stand, on the map or not.
    """
    number, dim = locations.shape
    if period is None:
        return np.arange(number), locations
    most = math.ceil(half_width / period + 0.5)
    shifts = period * np.indices((2 * most + 1,) * dim).reshape(dim, -1).T - period * most
    places = (locations[:, None] + shifts).reshape(-1, dim)
    which = np.repeat(np.arange(number), len(shifts))
    shown = (np.abs(places) <= half_width).all(axis=1)
    return which[shown], places[shown]


def as_tree_array(trees: tuple[Any, ...]) -> np.ndarray:
    """Array of objects, which NumPy would otherwise try to look into."""
    array = np.empty(len(trees), dtype=object)
    array[:] = trees
    return array


def _embed_words(config: TreeWorldConfig, tree_ids: Sequence[str]) -> dict[str, torch.Tensor]:
    # All the words that any world of this configuration needs, so that the next one needs no model.
    words = dict.fromkeys(
        (
            *config.edible_kinds,
            *config.poisonous_kinds,
            *vocabulary.FRUIT_AMOUNTS,
            *config.tree_ids,
            *tree_ids,
        )
    )
    vectors = embed_text_sentence_transformers(list(words), config.embedding_model)
    return dict(zip(words, vectors, strict=True))


def _check_trees(
    config: TreeWorldConfig,
    locations: torch.Tensor,
    kinds: Sequence[str],
    tree_ids: Sequence[str],
) -> None:
    if locations.ndim != 2 or len(locations) == 0:
        raise ValueError(
            f"locations must have shape (num_trees, {config.dim}) with at least one tree, not "
            f"{tuple(locations.shape)}."
        )
    if config.period is not None:
        half = torch.tensor(config.period / 2, dtype=locations.dtype)
        outside = (locations.abs() > half).any(dim=-1).nonzero().flatten()
        if len(outside):
            raise ValueError(
                f"in a world with a period, trees stand from {-half:.6g} to {half:.6g} m along "
                f"each axis, but tree {int(outside[0])} stands at "
                f"{locations[outside[0]].tolist()}. Give the place of its image there, or a longer "
                "period."
            )
    if not len(locations) == len(kinds) == len(tree_ids):
        raise ValueError(
            "locations, kinds and tree_ids must be of one length, but "
            f"{len(locations)}, {len(kinds)} and {len(tree_ids)} were given."
        )
    allowed = config.edible_kinds + config.poisonous_kinds
    unknown = sorted(set(kinds) - set(allowed))
    if unknown:
        raise ValueError(
            f"kinds must be among those of the configuration, but {unknown} are not. Add them to "
            "edible_kinds or to poisonous_kinds."
        )
    if len(set(tree_ids)) < len(tree_ids):
        repeated = sorted({name for name in tree_ids if list(tree_ids).count(name) > 1})
        raise ValueError(f"tree_ids must all differ, but {repeated} occur more than once.")
