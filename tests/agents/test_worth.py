import numpy as np
import pytest

from tree_world.agents.worth import FOOD, NOTHING, POISON, ByDrive, ByMouth
from tree_world.embeddings import embed_text_sentence_transformers as embed
from tree_world.models.drives import train_drive_classifier
from tree_world.simulation import TreeWorldConfig, vocabulary

CONFIG = TreeWorldConfig()
KINDS = [*CONFIG.edible_kinds, *CONFIG.poisonous_kinds]


def sight(kind, name, amount):
    return (embed(kind) + embed(name) + embed(amount)).numpy()


@pytest.fixture(scope="module")
def trained():
    return ByDrive(train_drive_classifier(CONFIG)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_tells_each_tree_that_bears(trained, kind):
    taste, expected = trained, FOOD if kind in CONFIG.edible_kinds else POISON
    for name in vocabulary.TREE_IDS:
        assert taste.verdict(sight(kind, name, "several fruit")) == expected
        assert taste.verdict(sight(kind, name, "no fruit")) == NOTHING


def test_by_mouth_everything_is_food_until_it_harms():
    taste = ByMouth()
    first = sight("nightshade", "Ada", "several fruit")
    assert taste.verdict(first) == FOOD
    taste.tasted(first, -25.0)
    assert taste.verdict(first) == POISON
    assert taste.verdict(sight("nightshade", "Bram", "several fruit")) == POISON
    assert taste.verdict(sight("apple", "Bram", "several fruit")) == FOOD


def test_what_is_most_alike_counts():
    taste = ByMouth(alike=10.0)
    taste.tasted(np.array([0.0, 0.0]), -1.0)
    taste.tasted(np.array([1.0, 0.0]), 1.0)
    assert [taste.verdict(np.array([x, 0.0])) for x in (0.4, 0.6)] == [POISON, FOOD]


def test_a_measure_of_likeness_is_checked():
    with pytest.raises(ValueError, match="alike must be"):
        ByMouth(alike=-1.0)
