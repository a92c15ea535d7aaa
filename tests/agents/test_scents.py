"""Distances by smell: exact where all trees are known, and in doubt by what is left over."""

import numpy as np
import pytest
import torch

from tree_world.agents.scents import Scents
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS

CONFIG = TreeWorldConfig()
WORDS = np.stack([embed_text_sentence_transformers(word).numpy() for word in FRUIT_AMOUNTS])


@pytest.fixture
def world():
    return TreeWorld.random_from_config(CONFIG, seed=3)


def smelled(world, known, number=40):
    """Distances told at some places to some trees, the true ones, and their deviations."""
    scents, trees = Scents(WORDS), world.trees
    fruit = trees.fruit_amount_embeddings[trees.fruit_amount_indices]
    scents.know((trees.embeddings + fruit)[known].numpy())
    places = torch.from_numpy(np.random.default_rng(0).uniform(-300, 300, (number, 2))).float()
    smells = SimpleSensor.from_config(CONFIG).sense(world, places)[1].numpy()
    told = [scents.ranges(smell, 100.0) for smell in smells]
    true = torch.cdist(places.double(), trees.locations[known].double()).numpy()
    return np.array([each.distances for each in told]), true, np.array([each.sds for each in told])


def test_where_all_trees_are_known_distances_are_told(world):
    world.trees.fruit_counts[::3] = 0
    told, true, sds = smelled(world, list(range(25)))
    near = true < 150
    assert near.sum() > 50
    assert np.abs(told - true)[near].max() < 0.2
    assert sds[near].max() < 1.0
    assert np.isinf(told[true > 250]).all()
    assert np.isinf(sds[true > 250]).all()


def test_unknown_trees_bring_doubt(world):
    told, true, sds = smelled(world, list(range(18)))
    sure = sds < 3.0
    assert 10 < sure.sum() < (true < 150).sum()
    z = np.abs(told[sure] - true[sure]) / sds[sure]
    assert np.mean(z < 2) > 0.95
    assert sds[np.isfinite(sds)].max() > 3.0


def test_a_distance_is_as_unsure_as_its_strength():
    """By the difference quotient of the distance."""
    scents = Scents(np.eye(4)[:1])
    scents.know(np.eye(4)[1:2])
    strength, left = 0.3, 0.02
    found = scents.ranges(np.array([0.7, strength, left, 0.0]), reach=80.0)

    def distance(share):
        return 80.0 * np.sqrt(np.log(1 / share) / np.log(1 / 0.1))

    slope = (distance(strength - 1e-6) - distance(strength + 1e-6)) / 2e-6
    assert found.distances[0] == pytest.approx(distance(strength))
    assert found.sds[0] == pytest.approx(slope * (0.5 * left + 2e-5), rel=1e-6)


def test_at_a_tree_and_far_from_it():
    scents = Scents(np.eye(4)[:1])
    scents.know(np.eye(4)[1:3])
    distances, sds = scents.ranges(np.array([0.0, 1.0, 1e-6, 0.0]), reach=100.0)
    assert distances[0] == 0.0
    assert 0 < sds[0] < 1.0
    assert np.isinf(distances[1])


def test_words_for_amounts_do_not_count():
    scents = Scents(WORDS)
    tree = np.random.default_rng(0).normal(size=384)
    np.testing.assert_allclose(scents.bare(tree + 2 * WORDS[3]), scents.bare(tree), atol=1e-6)
    np.testing.assert_allclose(scents.bare(tree) @ WORDS.T, 0.0, atol=1e-6)
    assert len(scents.ranges(tree, 100.0).distances) == 0  # nothing is known yet


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="faintest"):
        Scents(WORDS, faintest=0.0)
    with pytest.raises(ValueError, match="reach"):
        Scents(WORDS).ranges(np.zeros(384), 0.0)
