import pytest

from tree_world.simulation.vocabulary import (
    EDIBLE_KINDS,
    FRUIT_AMOUNTS,
    POISONOUS_KINDS,
    TREE_IDS,
    fruit_amount_index,
)


def test_words_are_distinct_and_enough():
    for words in (EDIBLE_KINDS, POISONOUS_KINDS, TREE_IDS, FRUIT_AMOUNTS):
        assert len(set(words)) == len(words)
    assert not set(EDIBLE_KINDS) & set(POISONOUS_KINDS)
    assert len(TREE_IDS) >= 75, "three times the default number of trees"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        *((0, "no fruit"), (1, "one fruit"), (2, "two fruit"), (3, "several fruit")),
        *((5, "several fruit"), (6, "many fruit"), (100, "many fruit")),
    ],
)
def test_amounts_in_words(count, words):
    assert FRUIT_AMOUNTS[fruit_amount_index(count)] == words


def test_negative_amounts_are_refused():
    with pytest.raises(ValueError, match="-1 was given"):
        fruit_amount_index(-1)
