import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tree_world.embeddings import DEFAULT_MODEL
from tree_world.simulation import TreeWorldConfig


def test_defaults_are_those_of_the_book():
    config = TreeWorldConfig()
    assert (config.dim, config.num_trees, config.tree_spacing) == (2, 25, 100.0)
    assert (config.max_sense_distance, config.edge_strength) == (100.0, 0.1)
    assert (config.max_health, config.move_cost, config.rest_cost) == (1000.0, 2.0, 1.0)
    assert (config.edible_health, config.poison_health) == (25.0, -25.0)
    assert config.embedding_model == DEFAULT_MODEL
    assert config.sensory_embedding_dim == 384


positive = st.floats(min_value=1e-3, max_value=1e6)


@given(
    num_trees=st.integers(1, 84),
    spacing=positive,
    poison=st.floats(0, 1),
    edge=st.floats(0.001, 0.999),
    tolerance=st.floats(-1, 0.999),
    embed_dim=st.none() | st.integers(1, 4096),
    kinds=st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=1, unique=True),
)
def test_json_round_trip(num_trees, spacing, poison, edge, tolerance, embed_dim, kinds):
    poisonous = TreeWorldConfig().poisonous_kinds
    config = TreeWorldConfig(
        num_trees=num_trees,
        tree_spacing=spacing,
        poison_probability=poison,
        edge_strength=edge,
        heading_tolerance=tolerance,
        embed_dim=embed_dim,
        edible_kinds=[kind for kind in kinds if kind not in poisonous] or ["apple"],
    )
    assert TreeWorldConfig.model_validate_json(config.model_dump_json()) == config


BAD_VALUES = [
    ("dim", 0),
    ("num_trees", 0),
    ("tree_spacing", 0.0),
    ("tree_spacing", float("nan")),
    ("poison_probability", 1.5),
    ("edible_kinds", ()),
    ("edible_kinds", ("apple", "apple")),
    ("edible_kinds", ("nightshade",)),
    ("edible_kinds", ("  ",)),
    ("tree_ids", ("Ada", "Ada")),
    ("max_fruit", -1),
    ("fruit_regrowth_steps", 0),
    ("max_sense_distance", -1.0),
    ("max_sense_distance", float("inf")),
    ("edge_strength", 0.0),
    ("edge_strength", 1.0),
    ("can_see_fruit_distance", -1.0),
    ("heading_tolerance", 1.0),
    ("heading_tolerance", -1.1),
    ("max_health", 0.0),
    ("move_cost", -1.0),
    ("max_step_length", 0.0),
    ("edible_health", -1.0),
    ("poison_health", 1.0),
    ("embedding_model", ""),
    ("embed_dim", 0),
    ("num_trees", True),
    ("tree_spacing", True),
    ("move_cost", np.bool_(False)),
]


@pytest.mark.parametrize(("field", "value"), BAD_VALUES)
def test_bad_values_are_refused_at_the_start_and_on_assignment(field, value):
    with pytest.raises(pydantic.ValidationError):
        TreeWorldConfig(**{field: value})
    config = TreeWorldConfig()
    before = config.model_copy(deep=True)
    with pytest.raises(pydantic.ValidationError):
        setattr(config, field, value)
    assert config == before, "a refused value must leave the old one"


def test_unknown_fields_are_refused():
    with pytest.raises(pydantic.ValidationError, match="tree_count"):
        TreeWorldConfig(tree_count=3)
    config = TreeWorldConfig()
    with pytest.raises(pydantic.ValidationError, match="tree_count"):
        config.tree_count = 3


def test_too_few_names_say_what_to_do():
    with pytest.raises(ValueError, match=r"num_trees is 3, but tree_ids holds 2 names"):
        TreeWorldConfig(num_trees=3, tree_ids=("Ada", "Bram"))


def test_a_kind_cannot_be_food_and_poison():
    with pytest.raises(ValueError, match=r"\['apple'\] stand in edible_kinds and in"):
        TreeWorldConfig(poisonous_kinds=("apple",))
