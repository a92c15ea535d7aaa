import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.agents.ground import OWN_SHARE, Ground
from tree_world.embeddings import embed_text_sentence_transformers as embed
from tree_world.models.memory import Memory
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig, vocabulary

WORDS = np.stack([embed(word).numpy() for word in vocabulary.FRUIT_AMOUNTS])
REACH = 100.0


def ground_of(places, smells):
    ground = Ground(Memory(2, smells.shape[1]), WORDS)
    for place, smell in zip(places, smells, strict=True):
        ground.pass_by(np.asarray(place, float), smell, time=0)
    return ground


def smelled(seed, places):
    world = TreeWorld.random_from_config(TreeWorldConfig(), seed=seed)
    return world, SimpleSensor().sense(world, places)[1]


def test_the_distance_of_a_strength_is_that_of_the_nose():
    ground = Ground(Memory(2, 3), WORDS[:, :3])
    distances = torch.linspace(1.0, 250.0, 50, dtype=torch.float64)
    found = ground.distance_of(SimpleSensor().strength(distances).numpy(), REACH)
    np.testing.assert_allclose(found, distances, rtol=1e-9)
    assert ground.distance_of(np.array([1.5]), REACH) == 0.0


@given(st.integers(0, 50), st.integers(0, 20))
@settings(deadline=None, max_examples=20)
def test_what_is_unexplained_is_what_least_squares_leaves(seed, number):
    generator = np.random.default_rng(seed)
    smells, senses = generator.normal(size=(7, 384)), generator.normal(size=(number, 384))
    found = Ground(Memory(2, 384), WORDS).unexplained(smells, senses)
    known = np.vstack([WORDS, senses]).astype(np.float64)
    best = np.linalg.lstsq(known.T, smells.T, rcond=None)[0]
    np.testing.assert_allclose(found, np.linalg.norm(smells.T - known.T @ best, axis=0))


@given(st.integers(0, 200), st.integers(0, 25))
@settings(deadline=None, max_examples=10)
def test_ground_that_is_known_holds_no_unknown_tree(seed, number):
    places = 400 * np.random.default_rng(seed).normal(size=(25, 2)) / 2
    world, smells = smelled(seed, places)
    known, unknown = world.locations[:number], world.locations[number:].double().numpy()
    senses = world.trees.embeddings[:number].numpy()
    ground = ground_of(places, smells)
    stored = ground.smells.observations()
    been = stored.locations.double().numpy()
    left = ground.unexplained(stored.senses.double().numpy(), senses)
    clear = ground.distance_of(np.maximum(left / OWN_SHARE[0], ground.faintest), REACH)
    if len(unknown):
        nearest = np.hypot(*(been[:, None] - unknown[None]).transpose(2, 0, 1)).min(axis=1)
        assert (nearest >= clear - 1e-6).all()
        strange = left > 2 * ground.faintest
        most = len(unknown) * OWN_SHARE[1]
        farthest = ground.distance_of(np.maximum(left / most, 1e-12), REACH)
        assert (nearest[strange] <= farthest[strange] + 1e-6).all()
    found = ground.prospects(places[0], REACH, known.double().numpy(), senses)
    assert np.isfinite(found.trees).all()
    assert (found.trees >= 0).all()
    away = np.hypot(*(found.places[:, None] - been[None]).transpose(2, 0, 1))
    assert (away >= clear).all()  # none of them is known ground


def test_a_strange_smell_tells_of_a_tree_around():
    config = TreeWorldConfig(num_trees=1)
    world = TreeWorld(config, [[150.0, 0.0]], ["apple"], ["Ada"])
    places = np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 30.0]])
    smells = SimpleSensor().sense(world, places)[1]
    found = ground_of(places, smells).prospects(places[-1], REACH, np.empty((0, 2)), WORDS[:0])
    best = found.places[found.trees.argmax()]
    assert np.hypot(*(best - [150.0, 0.0])) < 100.0
    assert found.trees.max() > 0.5


def test_an_explained_smell_tells_of_none():
    config = TreeWorldConfig(num_trees=1)
    world = TreeWorld(config, [[50.0, 0.0]], ["apple"], ["Ada"])
    places = np.array([[0.0, 0.0], [20.0, 0.0]])
    smells = SimpleSensor().sense(world, places)[1]
    ground = ground_of(places, smells)
    trees, senses = np.array([[50.0, 0.0]]), world.trees.embeddings.numpy()
    found = ground.prospects(places[0], REACH, trees, senses)
    assert np.hypot(*found.places.T).min() > 150.0  # far around nothing is left to find
    assert found.trees.max() < 0.5


def test_a_smell_is_written_where_none_is_near():
    ground = Ground(Memory(2, 3), WORDS[:, :3], spacing=10.0)
    for x in (0.0, 0.0, 5.0, 10.0, 10.5, 14.0, 21.0):
        ground.pass_by(np.array([x, 0.0]), torch.ones(3), time=0)
    assert ground.smells.observations().locations[:, 0].tolist() == [0.0, 10.5, 21.0]


@pytest.mark.parametrize("name", ["edge_strength", "faintest", "spacing", "cell", "prior_spread"])
def test_what_it_is_made_with_is_checked(name):
    with pytest.raises(ValueError, match=name):
        Ground(Memory(2, 3), WORDS[:, :3], **{name: 0.0})
