"""Everything that can be chosen about a tree world, in one validated object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    field_validator,
    model_validator,
)

from tree_world import embeddings
from tree_world.simulation import vocabulary

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


def check_reach(name: str, reach: float, period: float | None) -> None:
    """Refuse a reach within which a tree might be met twice.

    Parameters
    ----------
    name : str
        What the reach is called, for the message.
    reach : float
        In metres.
    period : float, optional
        Distance in metres after which the world repeats, if it does.

    Raises
    ------
    ValueError
        If it is more than half of the period.
    """
    if period is not None and reach > period / 2:
        raise ValueError(
            f"{name} must be at most half of the period, {period / 2:.6g} m, as nothing is met but "
            f"the nearest image of a tree, but it is {reach:.6g} m. Shorten it, or give a longer "
            "period."
        )


class TreeWorldConfig(BaseModel):
    """Choices that define a tree world, its sensors and its agent.

    Values are checked when the object is made and whenever a field is assigned; a field that does
    not exist is refused. That of a world (``world.config``) cannot be changed any more.
    ``config.model_dump_json()`` and ``TreeWorldConfig.model_validate_json(text)`` write and read
    it.

    Parameters
    ----------
    dim : int, default=2
        Dimension of the world. The figures need 2.
    num_trees : int, default=25
        How many trees stand in the world.
    tree_spacing : float, default=100.0
        Scale of the tree positions, in metres. Each coordinate of a tree is Gaussian with mean 0
        and standard deviation `tree_spacing` × `dim`, hence 200 m in the plane.
    period : float, optional
        Distance in metres after which the world repeats along each axis; by default it does not.
        Trees stand in the square from −period / 2 to period / 2, wrapped into it where they are
        drawn outside of it, and are smelled, seen and eaten from by way of the nearest of their
        images. Places of bodies are not wrapped. No reach may exceed half of the period. In the
        plane trees are spread evenly, to within 3 %, where the period is at most twice their
        standard deviation.
    poison_probability : float, default=0.3
        Chance that a tree is poisonous.
    edible_kinds, poisonous_kinds : tuple of str
        Kinds of fruit. No kind may be in both.
    tree_ids : tuple of str
        First names, drawn without replacement, so at least `num_trees` of them.
    max_fruit : int, default=5
        Fruits on a full tree.
    fruit_regrowth_steps : int, default=1000
        Steps after its last harvest at which a tree is full again.
    max_sense_distance : float, default=100.0
        Reach M of both sensors, in metres.
    edge_strength : float, default=0.1
        Strength of a scent at `max_sense_distance`, as a share of its strength at the tree.
    can_see_fruit_distance : float, default=100.0
        Distance in metres within which the amount of fruit is perceived.
    heading_tolerance : float, default=0.9
        Cosine of half the angle of the cone of sight, hence 25.8° to each side.
    max_health : float, default=1000.0
        Health of an agent at the start and at most, in health points.
    move_cost, rest_cost : float, default=2.0 and 1.0
        Health points that a step costs when the agent moves, and when it rests.
    max_step_length : float, default=10.0
        How far an agent can move in one step, in metres.
    eat_distance : float, default=10.0
        Distance to a tree within which the agent eats from it, in metres.
    edible_health, poison_health : float, default=25.0 and -25.0
        Health points gained by one edible and by one poisonous fruit.
    embedding_model : str, default="all-MiniLM-L6-v2"
        See `tree_world.embeddings.embed_text_sentence_transformers`.
    embed_dim : int, optional
        Width of the embedding that a memory of this world keeps; by default that of the senses.

    Raises
    ------
    pydantic.ValidationError
        A ValueError that names each field, the value given, and what is allowed.
    AttributeError
        If a field of a world's configuration is assigned.

    Examples
    --------
    >>> config = TreeWorldConfig(num_trees=10)
    >>> TreeWorldConfig.model_validate_json(config.model_dump_json()) == config
    True
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)

    dim: int = Field(2, ge=1)
    num_trees: int = Field(25, ge=1)
    tree_spacing: Positive = 100.0
    period: Positive | None = None
    poison_probability: float = Field(0.3, ge=0, le=1)
    edible_kinds: tuple[Word, ...] = Field(vocabulary.EDIBLE_KINDS, min_length=1)
    poisonous_kinds: tuple[Word, ...] = Field(vocabulary.POISONOUS_KINDS, min_length=1)
    tree_ids: tuple[Word, ...] = vocabulary.TREE_IDS
    max_fruit: int = Field(5, ge=0)
    fruit_regrowth_steps: int = Field(1000, ge=1)

    max_sense_distance: Positive = 100.0
    edge_strength: float = Field(0.1, gt=0, lt=1)
    can_see_fruit_distance: NonNegative = 100.0
    heading_tolerance: float = Field(0.9, ge=-1, lt=1)

    max_health: Positive = 1000.0
    move_cost: NonNegative = 2.0
    rest_cost: NonNegative = 1.0
    max_step_length: Positive = 10.0
    eat_distance: NonNegative = 10.0
    edible_health: NonNegative = 25.0
    poison_health: float = Field(-25.0, le=0)

    embedding_model: Word = embeddings.DEFAULT_MODEL
    embed_dim: int | None = Field(None, ge=1)

    _is_of_a_world: bool = PrivateAttr(False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any) -> Any:
        if isinstance(value, (bool, np.bool_)):
            raise ValueError(f"{value} is a truth value, and no field takes one. Give a number.")
        return value

    @model_validator(mode="after")
    def _words_must_fit(self) -> Self:
        for field in ("edible_kinds", "poisonous_kinds", "tree_ids"):
            words = getattr(self, field)
            repeated = sorted({word for word in words if words.count(word) > 1})
            if repeated:
                raise ValueError(f"{field} must not repeat a word, but {repeated} occur twice.")
        both = sorted(set(self.edible_kinds) & set(self.poisonous_kinds))
        if both:
            raise ValueError(
                f"a kind is edible or poisonous, but {both} stand in edible_kinds and in "
                "poisonous_kinds. Remove them from one."
            )
        if self.num_trees > len(self.tree_ids):
            raise ValueError(
                f"every tree needs a name of its own: num_trees is {self.num_trees}, but tree_ids "
                f"holds {len(self.tree_ids)} names. Plant fewer trees or give more names."
            )
        return self

    @model_validator(mode="after")
    def _reaches_must_fit(self) -> Self:
        for field in ("max_sense_distance", "can_see_fruit_distance", "eat_distance"):
            check_reach(field, getattr(self, field), self.period)
        return self

    def of_a_world(self) -> Self:
        """Copy the configuration for a world, which is made of it once and for all.

        Returns
        -------
        TreeWorldConfig
            Equal to this one, but its fields cannot be assigned.
        """
        copy = self.model_copy(deep=True)
        copy._is_of_a_world = True
        return copy

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the configuration, with other values for some fields.

        Parameters
        ----------
        update : mapping of str to value, optional
            Fields that the copy has otherwise. They are checked, other than in pydantic.
        deep : bool, default=False
            Makes no difference, as no value can be changed in place.

        Returns
        -------
        TreeWorldConfig
            Which can be changed, even where this one is that of a world.

        Raises
        ------
        pydantic.ValidationError
            If a value is not allowed, or there is no such field.
        """
        return type(self).model_validate(self.model_dump() | dict(update or {}))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeWorldConfig):
            return NotImplemented
        return type(self) is type(other) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]  # as it can be changed

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a configuration needs its {name}: assign another value instead.")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
            return
        if self._is_of_a_world:
            raise AttributeError(
                f"{name} cannot be set to {value!r}: the world was made with "
                f"{getattr(self, name, 'another value')!r}. Make a new world: "
                f"TreeWorld.random_from_config(world.config.model_copy(update={{{name!r}: ...}}))."
            )
        # Pydantic checks fields against each other only after it has stored the new value. Try it
        # on a copy, so that a refused value leaves the old one.
        type(self).model_validate(self.model_dump() | {name: value})
        super().__setattr__(name, value)

    @property
    def sensory_embedding_dim(self) -> int:
        """Dimension of what the sensors return: that of the embedding model."""
        word = self.edible_kinds[0]
        return embeddings.embed_text_sentence_transformers(word, self.embedding_model).shape[-1]
