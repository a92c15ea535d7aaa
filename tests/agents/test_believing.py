"""A forager that finds its place: with no errors it lives as ever; with errors it knows them."""

import dataclasses

import numpy as np
import pytest
import torch

from tree_world.agents import ByDrive, Forager
from tree_world.agents.believing import Believing
from tree_world.models.places import Odometry, coverage
from tree_world.simulation import Action, TreeWorld, TreeWorldConfig

CONFIG = TreeWorldConfig()
STEPS = 800


class Strolling(Forager):
    """Goes a way that is set, and notes where it is told to be."""

    def reset(self):
        super().reset()
        self.told = []

    def act(self, percept, body, meal, *, generator):
        self.told.append(body.position.double().numpy())
        action = super().act(percept, body, meal, generator=generator)
        angle = torch.tensor(0.05 * len(self.told))
        step = 4.0 * torch.stack([torch.cos(angle), torch.sin(angle)])
        return Action(step if len(self.told) % 3 else None, action.heading)


@pytest.fixture(scope="module")
def taste(classifier):
    return lambda: ByDrive(classifier)


def life(model, seed, steps=STEPS):
    world = TreeWorld.random_from_config(CONFIG, seed=seed, model=model)
    return world.run(steps), world


@pytest.fixture(scope="module")
def lived(taste):
    model = Believing(Forager(taste), Odometry(0.1), seed=7)
    found, world = life(model, seed=2)
    return model, found, world


def means(model):
    return np.array([belief.mean for belief in model.beliefs])


def test_without_errors_and_corrections_it_lives_as_the_forager(taste):
    forager = Forager(taste)
    expected, _ = life(forager, seed=5, steps=400)
    found, _ = life(Believing(Forager(taste), Odometry(0.0), 0, corrects=False), seed=5, steps=400)
    for field in dataclasses.fields(expected):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))


@pytest.mark.parametrize("corrects", [False, True])
def test_it_is_told_what_it_believes(taste, corrects):
    model = Believing(Strolling(taste), Odometry(0.1), 3, corrects=corrects)
    life(model, seed=1, steps=100)
    np.testing.assert_allclose(model.forager.told, means(model), atol=1e-4)


def test_without_corrections_its_place_is_the_sum_of_its_steps(taste):
    walks = {}
    for share in (0.1, 0.2):
        model = Believing(Strolling(taste), Odometry(share), 3, corrects=False)
        life(model, seed=1, steps=100)
        truths = np.array(model.truths)
        walks[share] = means(model) - truths
        steps = np.diff(means(model), axis=0)
        spread = 1e-4 + share**2 * (steps**2).sum()
        assert model.beliefs[-1].covariance[0, 0] == pytest.approx(spread, rel=1e-6)
    # The same draws, in other units.
    np.testing.assert_allclose(2 * walks[0.1], walks[0.2], atol=1e-4)
    assert np.abs(walks[0.1][-1]).max() > 0.5
    np.testing.assert_allclose(walks[0.1][0], 0.0, atol=1e-6)


def test_a_life_is_that_of_its_seed(taste):
    model = Believing(Strolling(taste), Odometry(0.1), 3)
    life(model, seed=1, steps=60)
    first = means(model)
    model.reset()
    life(model, seed=1, steps=60)
    np.testing.assert_array_equal(means(model), first)
    other = Believing(Strolling(taste), Odometry(0.1), 4)
    life(other, seed=1, steps=60)
    assert np.abs(means(other) - first).max() > 0.1


def test_it_finds_its_place(lived, taste):
    model, found, _ = lived
    off = np.linalg.norm(means(model) - np.array(model.truths), axis=1)
    astray = Believing(Forager(taste), Odometry(0.1), seed=7, corrects=False)
    life(astray, seed=2)
    reckoned = np.linalg.norm(means(astray) - np.array(astray.truths), axis=1)
    assert not found.died
    assert np.median(off[-200:]) < 0.3 * np.median(reckoned[-200:])
    assert coverage(means(model), np.array([b.covariance for b in model.beliefs]), model.truths) > (
        0.8
    )


def test_trees_lie_to_each_other_as_they_do(lived):
    """The place of all may be off; that makes no difference to a life."""
    model, _, world = lived
    chart, trees = model.forager.chart, world.trees
    offsets = chart.places[:, None] - trees.locations.double().numpy()[None]
    away = np.linalg.norm(offsets, axis=2)
    assert len(chart) > 5
    off = offsets[np.arange(len(chart)), away.argmin(axis=1)]
    assert np.median(np.linalg.norm(off - np.median(off, axis=0), axis=1)) < 0.5
    assert len(set(away.argmin(axis=1).tolist())) == len(chart)  # no tree is known twice


def test_the_memory_holds_what_the_chart_says(lived):
    chart = lived[0].forager.chart
    stored = chart.sights.observations()
    order = np.argsort(stored.ids.numpy())
    np.testing.assert_array_equal(stored.ids.numpy()[order], chart.ids)
    np.testing.assert_allclose(stored.locations.numpy()[order], chart.places, atol=1e-3)
    np.testing.assert_allclose(stored.location_sds.numpy()[order, 0], chart.sds, rtol=1e-4)


def test_a_tree_that_was_taken_for_a_new_one_is_known_once(taste):
    model = Believing(Forager(taste), Odometry(0.1), seed=7)
    life(model, seed=2, steps=60)
    forager, chart = model.forager, model.forager.chart
    name, landmark = next(iter(model._on_chart.items()))
    sense = torch.from_numpy(chart.senses[chart.ids.index(name)])
    ids = list(chart.ids)
    forager.time += 1
    chart.see(np.array([5000.0, 0.0]), np.array([1.0, 0.0]), 9.0, sense, forager.time)
    assert len(chart) == len(ids) + 1
    model._recognise(landmark)
    assert chart.ids == ids


def test_sight_alone_corrects_less(lived, taste):
    model = Believing(Forager(taste), Odometry(0.1), seed=7, by_smell=False)
    life(model, seed=2)
    sighted, smelled = (
        np.median([belief.covariance[0, 0] for belief in each.beliefs])
        for each in (model, lived[0])
    )
    assert smelled < sighted


def test_it_needs_a_compass(taste):
    with pytest.raises(ValueError, match="compass"):
        Believing(Forager(taste), Odometry(0.1, heading_walk=0.01), 0)
