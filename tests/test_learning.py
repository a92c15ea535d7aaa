"""Learners that live side by side: what they are told, and how their lives are judged."""

import itertools

import numpy as np
import pytest

from benchmarks import study_learning
from benchmarks.study_learning import judgement
from tree_world.simulation import TreeWorldConfig
from tree_world.simulation.environment import TreeWorldEnv, TreeWorldVectorEnv

pytest.importorskip("sb3_contrib", reason="make setup installs what the benchmarks need")

from benchmarks import learners

DENSE = TreeWorldConfig(tree_spacing=15.0, fruit_regrowth_steps=30, max_health=60.0)


def many(number, **choices):
    return TreeWorldVectorEnv(number, DENSE, autoreset_mode="SameStep", **choices)


def test_worlds_side_by_side_are_told_as_stable_baselines_knows_them():
    worlds = learners.SideBySide(many(2, max_steps=40), unit=25.0)
    worlds.seed(5)
    alone = [TreeWorldEnv(DENSE, max_steps=40) for _ in range(2)]
    told = [learners.flat(env.reset(seed=5 + n)[0]) for n, env in enumerate(alone)]
    np.testing.assert_array_equal(worlds.reset(), told)
    assert worlds.observation_space.shape == (14,)
    generator, ends = np.random.default_rng(0), set()
    for _ in range(120):
        actions = generator.integers(0, [9, 8], (2, 2))
        observations, rewards, ended, infos = worlds.step(actions)
        assert all(one in worlds.observation_space for one in observations)
        for index, env in enumerate(alone):
            last, reward, terminated, truncated, _ = env.step(actions[index])
            assert ended[index] == (terminated or truncated)
            assert rewards[index] == np.float32(reward / 25)
            if ended[index]:
                ends.add(truncated)
                np.testing.assert_array_equal(
                    infos[index]["terminal_observation"], learners.flat(last)
                )
                assert infos[index]["TimeLimit.truncated"] == truncated
                last, _ = env.reset()
            np.testing.assert_array_equal(observations[index], learners.flat(last))
    assert ends == {True, False}
    with pytest.raises(ValueError, match="SAME_STEP"):
        learners.SideBySide(TreeWorldVectorEnv(2, DENSE), unit=1.0)


@pytest.mark.parametrize("algorithm", learners.ALGORITHMS)
def test_a_learner_learns_within_its_budget_and_again_the_same(algorithm):
    settings = study_learning.SETTINGS[algorithm] | {"n_steps": 16, "batch_size": 32}

    def learn():
        return learners.learn(
            algorithm,
            many(4),
            settings,
            learners.Budget(seconds=1e9, steps=128, looks=3),
            lambda model: learners.live(model, many(3), [1, 2, 3], greedy=False)["steps"],
            unit=25.0,
            seed=0,
            first_world=10_000,
        )

    (model, watch), (_, again) = learn(), learn()
    steps = [one["steps"] for one in watch.curve]
    assert steps[0] == 0
    assert steps[-1] == 128
    assert [one["lives"] for one in watch.curve] == [one["lives"] for one in again.curve]
    assert watch.curve[0]["lives"] != watch.curve[-1]["lives"]
    greedy = learners.live(model, many(3), [1, 2, 3], greedy=True)
    assert greedy == learners.live(model, many(3), [1, 2, 3], greedy=True, seed=1)


def test_a_learner_stops_when_its_time_is_over(monkeypatch):
    ticks = itertools.count(1.0, 0.01)  # so that it does not matter what else the machine does
    monkeypatch.setattr(learners.time, "process_time", lambda: next(ticks))
    settings = study_learning.SETTINGS["PPO"] | {"n_steps": 16, "batch_size": 64}
    budget = learners.Budget(seconds=1.0, steps=10**8, looks=4)
    _, watch = learners.learn(
        "PPO", many(4), settings, budget, lambda model: [], unit=1.0, seed=0, first_world=0
    )
    seconds = [one["seconds"] for one in watch.curve]
    assert seconds[0] == 0
    assert all(abs(at - n / 4) < 0.2 for n, at in enumerate(seconds[:4]))
    assert 1 <= seconds[-1] < 1.1
    assert 300 < watch.curve[-1]["steps"] <= 400  # four at a time, at a tick each


class Resting:
    def predict(self, observations, state, episode_start, deterministic):
        return np.zeros((len(observations), 2), dtype=int), state


def test_a_life_is_counted_to_its_end_and_no_further():
    config = TreeWorldConfig(max_health=30.0, tree_spacing=1e6)
    envs = TreeWorldVectorEnv(2, config, autoreset_mode="SameStep", max_steps=50)
    lives = learners.live(Resting(), envs, [0, 1], greedy=True)
    assert lives == {
        "steps": [30, 30], "meals": [0, 0], "poisonous_meals": [0, 0], "died": [True, True]
    }  # fmt: skip
    envs = TreeWorldVectorEnv(2, config, autoreset_mode="SameStep", max_steps=20)
    assert learners.live(Resting(), envs, [0, 1], greedy=True)["died"] == [False, False]


def test_lives_are_summed_up():
    lives = {
        "steps": [5000, 1500, 1501, 1999],
        "died": [False, True, True, True],
        "meals": [9, 1, 2, 3],
        "poisonous_meals": [1, 1, 2, 1],
    }
    assert judgement(lives) == {
        "lives": lives["steps"],
        "alive": {"1500": 3, "5000": 1},
        "meals": lives["meals"],
        "poison_per_1000_steps": 0.5,
    }
