"""The world as Gymnasium knows it: the lives of `TreeWorld`, one or many, to the last bit."""

import importlib
import sys
import tomllib
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from tests.forking import imported_anew
from tree_world.models.drives import DRIVES, DriveClassifier, drive_examples
from tree_world.simulation import Action, SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.simulation.environment import (
    FIRST_DRAWN_SEED,
    ID,
    TreeWorldEnv,
    TreeWorldVectorEnv,
)
from tree_world.simulation.lives import DIRECTIONS, word_scores

ROOT = Path(__file__).resolve().parents[2]

# In which much happens soon: trees are near, full again soon, and kill.
DENSE = TreeWorldConfig(
    tree_spacing=15.0, fruit_regrowth_steps=30, max_health=60.0, poison_probability=0.4
)
PARTS = {"smell", "sight", "sees", "distance", "health", "heading", "place", "meal"}


def actions(seed, number, *shape):
    """Some of them rest."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, [9, 8], (number, *shape, 2))


def same(one, other):
    """Whether two observations, infos or the like are alike to the last bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype == object and one.ndim:
        return len(one) == len(other) and all(map(same, one, other))
    return one.dtype == other.dtype and one.shape == other.shape and (one == other).all()


# --- the rules of Gymnasium ----------------------------------------------------------------------


@pytest.mark.parametrize("senses", ["scores", "embeddings"])
def test_gymnasium_finds_nothing_to_say(senses):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(ID, senses=senses, render_mode="rgb_array")
        check_env(env.unwrapped)
        envs = gymnasium.make_vec(ID, 2, vectorization_mode="vector_entry_point", senses=senses)
    assert isinstance(env.unwrapped, TreeWorldEnv)
    assert isinstance(envs, TreeWorldVectorEnv)
    assert envs.single_observation_space == env.observation_space
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP


@pytest.mark.parametrize("senses", ["scores", "embeddings"])
@pytest.mark.parametrize("config", [DENSE, TreeWorldConfig(edible_health=0, poison_health=0)])
def test_all_that_is_observed_lies_within_finite_bounds(senses, config):
    env = TreeWorldEnv(config, senses=senses, max_steps=300)
    boxes = [box for box in env.observation_space.values() if hasattr(box, "low")]
    assert all(np.isfinite([box.low, box.high]).all() for box in boxes)
    observation, _ = env.reset(seed=1)
    ended = False
    for action in actions(1, 300):
        assert observation in env.observation_space
        if ended:
            break
        observation, _, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
    assert ended


# --- the lives of TreeWorld ----------------------------------------------------------------------


class Scripted:
    """Does what is written, and notes what it is told."""

    def __init__(self, script):
        self.script = script
        self.told = []

    def reset(self):
        self.told.clear()

    def act(self, percept, body, meal, *, generator):
        move, look = self.script[len(self.told)]
        self.told.append((percept, body, meal))
        step = None if move == 0 else torch.from_numpy(10.0 * DIRECTIONS[move - 1])
        return Action(step, torch.from_numpy(DIRECTIONS[look]))


@pytest.mark.parametrize(("config", "seed"), [(DENSE, 0), (DENSE, 3), (TreeWorldConfig(), 5)])
def test_a_life_is_that_of_a_model_that_does_the_same(config, seed):
    script = actions(seed, 400)
    model = Scripted(script)
    world = TreeWorld.random_from_config(config, seed, model=model)
    recording = world.run(400)
    env = TreeWorldEnv(config, senses="embeddings", max_steps=400)
    observation, info = env.reset(seed=seed)
    told, rewards = [observation], []
    for action in script:
        observation, reward, terminated, truncated, info = env.step(action)
        told.append(observation)
        rewards.append(reward)
        if terminated or truncated:
            break

    assert terminated == recording.died
    for one, (percept, body, meal) in zip(told, model.told, strict=False):
        assert same(one["smell"], percept.smell.numpy())
        assert one["sees"] == (percept.sight.distance is not None)
        if one["sees"]:
            assert same(one["sight"], percept.sight.embedding.numpy())
            assert one["distance"] == np.float32(float(percept.sight.distance) / 100)
        else:
            assert one["distance"] == 1
            assert not one["sight"].any()
        assert one["health"] == np.float32(body.share_of_health)
        assert same(one["heading"], body.heading.numpy())
        bound = 5 * 2 * config.tree_spacing
        assert same(one["place"], np.clip(body.position.numpy() / np.float32(bound), -1, 1))
        assert one["meal"] == (0 if meal is None else meal / 25)
    # After its last action it was told once more.
    assert len(told) == len(model.told) + 1
    assert rewards[:-1] == list(np.diff([body.health for _, body, _ in model.told]))
    last = model.told[-1][1].health + rewards[-1]
    assert told[-1]["health"] == np.float32(last / config.max_health)
    if terminated:
        assert info["meals"] == len(recording.meal_steps) >= info["poisonous_meals"]
        assert info["poisonous_meals"] == (recording.meal_healths < 0).sum()


def test_lives_end_in_each_way_and_the_info_says_so():
    ends = {}
    for seed in range(30):
        env = TreeWorldEnv(DENSE, max_steps=60)
        env.reset(seed=seed)
        for number, action in enumerate(actions(seed, 60), start=1):
            observation, _, terminated, truncated, info = env.step(action)
            assert info["steps"] == number
            if terminated or truncated:
                break
            assert info["end"] == ""
        ends.setdefault(info["end"], []).append((observation, terminated, truncated, number))
    assert set(ends) == {"starved", "poisoned", "max_steps"}
    for end, lives in ends.items():
        for observation, terminated, truncated, number in lives:
            assert (terminated, truncated) == (end != "max_steps", end == "max_steps")
            assert (number == 60) or terminated
            assert (observation["health"] == 0) == terminated
            assert (observation["meal"] < 0) or end != "poisoned"
            if terminated:  # the dead smell and see nothing
                assert not observation["smell"].any()
                assert not observation["sees"]


def test_a_first_meal_may_kill(make_world):
    world = make_world([[0.0, 0.0]], kinds=["nightshade"], max_health=20.0)
    env = TreeWorldEnv(world.config)
    observation, info = env.reset(options={"world": world})
    assert observation["health"] == 0
    assert info == {"steps": 0, "meals": 1, "poisonous_meals": 1, "end": "poisoned"}
    assert env.step([1, 0])[1:4] == (0.0, True, False)


def test_a_place_far_away_is_clipped_and_the_world_goes_on():
    env = TreeWorldEnv(TreeWorldConfig(tree_spacing=1.0))
    env.reset(seed=0)
    places = [env.step([1, 0])[0]["place"].tolist() for _ in range(4)]
    assert places == [[1.0, 0.0]] * 4
    assert env.step([5, 0])[0]["place"].tolist() == [1.0, 0.0]  # it was 4 steps away, now 3


def test_worlds_are_drawn_from_seeds_that_nobody_judges_with():
    env = TreeWorldEnv(max_steps=1)
    first = env.reset(seed=3)[0]
    drawn = [env.reset()[0] for _ in range(3)]
    assert same(first, env.reset(seed=3)[0])
    assert all(same(one, env.reset()[0]) for one in drawn)
    assert not same(drawn[0], drawn[1])
    seeds = np.random.default_rng(3)
    seed = int(seeds.integers(FIRST_DRAWN_SEED, 2**31))
    assert same(drawn[0], env.reset(seed=seed)[0])


def test_a_world_may_be_given(random_world):
    world = random_world(4)
    world.run(30)
    places = world.agent.position
    env = TreeWorldEnv()
    observation, _ = env.reset(options={"world": world})
    assert same(observation["health"], np.float32([world.agent.health / 1000]))
    assert observation["place"].tolist() == [0, 0]
    env.step([2, 2])
    assert torch.equal(world.agent.position, places)  # it stays as it is
    with pytest.raises(ValueError, match="another configuration"):
        env.reset(options={"world": random_world(4, max_fruit=3)})
    with pytest.raises(ValueError, match=r"one option, 'world', but \['worlds'\]"):
        env.reset(options={"worlds": []})


# --- scores --------------------------------------------------------------------------------------


def test_words_score_what_they_say():
    config = TreeWorldConfig()
    examples = drive_examples(config, names=["Ada", "Zeno"])
    scores = examples.senses.double().numpy() @ word_scores(config).T
    amounts = {"": 0, "no fruit": 1, "one fruit": 0.75, "two fruit": 0.5}
    amounts |= {"several fruit": 0.25, "many fruit": 0}
    poisonous = examples.is_poisonous.numpy()
    expected = [poisonous, ~poisonous, [amounts[word] for word in examples.amounts]]
    np.testing.assert_allclose(scores, np.array(expected, dtype=float).T, atol=1e-5)
    assert [*DRIVES] == ["poison", "edible", "neutral"]


def test_scores_are_products_with_scents():
    config = TreeWorldConfig()
    classifier = DriveClassifier(config.sensory_embedding_dim)
    generator = torch.Generator().manual_seed(0)
    classifier.drive_embeddings.weight.data = torch.randn(3, 384, generator=generator)
    told = [
        TreeWorldEnv(config, senses="embeddings"),
        TreeWorldEnv(config, scores=classifier.drive_embeddings.weight),
    ]
    for env in told:
        env.reset(seed=2)
    seen = 0
    for action in actions(2, 200):
        scents, scores = (env.step(action)[0] for env in told)
        seen += scents["sees"].item()
        for name in ("smell", "sight"):
            wanted = classifier.scores(scents[name]).numpy()
            np.testing.assert_allclose(scores[name], wanted, rtol=1e-4, atol=1e-4)
        assert all(same(scores[name], scents[name]) for name in PARTS - {"smell", "sight"})
    assert seen > 10


# --- many ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("senses", ["scores", "embeddings"])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_many_lives_are_those_that_are_lived_alone(senses, mode):
    """Gymnasium's own way to run many environments tells what they must be."""
    choices = {"config": DENSE, "senses": senses, "max_steps": 50}
    alone = gymnasium.make_vec(
        ID, 5, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **choices
    )
    together = gymnasium.make_vec(
        ID, 5, vectorization_mode="vector_entry_point", autoreset_mode=mode, threads=2, **choices
    )
    assert together.observation_space == alone.observation_space
    assert together.action_space == alone.action_space
    assert same(together.reset(seed=7), alone.reset(seed=7))
    ends = 0
    for both in actions(7, 200, 5):
        one, other = together.step(both), alone.step(both)
        for mine, theirs in zip(one, other, strict=True):
            assert same(mine, theirs)
        assert one[0] in together.observation_space
        ends += int((one[2] | one[3]).sum())
    assert ends > 15


def test_many_lives_may_have_seeds_or_worlds_of_their_own(random_world):
    envs = TreeWorldVectorEnv(2)
    one, _ = envs.reset(seed=[3, 8])
    other, _ = envs.reset(options={"worlds": [random_world(3), random_world(8)]})
    assert same(one, other)
    assert same({k: part[1] for k, part in one.items()}, TreeWorldEnv().reset(seed=8)[0])
    with pytest.raises(ValueError, match="3 seeds were given for 2 lives"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="1 worlds were given for 2 lives"):
        envs.reset(options={"worlds": [random_world(3)]})


def test_a_place_is_told_from_where_its_own_life_began(random_world):
    worlds = [random_world(3), random_world(8)]
    for world in worlds:
        world.run(40)
        assert world.agent.position.norm() > 10
    envs = TreeWorldVectorEnv(2, max_steps=1)
    assert not envs.reset(options={"worlds": worlds})[0]["place"].any()
    envs.step(np.zeros((2, 2), dtype=int))
    assert not envs.step(np.zeros((2, 2), dtype=int))[0]["place"].any()  # those of the next lives


# --- pictures ------------------------------------------------------------------------------------


def test_a_picture_shows_what_there_is():
    env = TreeWorldEnv(DENSE, render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    assert before.shape == (500, 500, 3)
    assert before.dtype == np.uint8
    assert same(before, env.render())
    env.step([1, 4])
    changed = (env.render() != before).any(axis=-1)
    assert 0.001 < changed.mean() < 0.5
    envs = TreeWorldVectorEnv(2, DENSE, render_mode="rgb_array")
    envs.reset(seed=0)
    first, second = envs.render()
    assert same(first, before)
    assert not same(second, before)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [TreeWorldEnv, lambda **given: TreeWorldVectorEnv(2, **given)])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"config": TreeWorldConfig(dim=3)}, "dim=2"),
        ({"senses": "smell"}, "'scores' or 'embeddings', not 'smell'"),
        ({"senses": "embeddings", "scores": [[0.0] * 384]}, "as they are"),
        ({"scores": [[0.0] * 3]}, "scores"),
        ({"max_steps": 0}, "max_steps"),
        ({"render_mode": "human"}, "not 'human'"),
    ],
)
def test_what_cannot_be_made_is_refused(make, given, message):
    with pytest.raises(ValueError, match=message):
        make(**given)


def test_modes_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="name another mode"):
        TreeWorldVectorEnv(2, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ValueError, match="num_envs"):
        TreeWorldVectorEnv(0)


def test_actions_that_are_not_there_are_refused_and_nothing_happens():
    env, envs = TreeWorldEnv(), TreeWorldVectorEnv(2)
    for one, action in ((env, [0, 0]), (envs, np.zeros((2, 2), int))):
        with pytest.raises(gymnasium.error.ResetNeeded):
            one.step(action)
    before, _ = env.reset(seed=1)
    for action in ([9, 0], [0, 8], [-1, 0], [0.5, 1.0], [1], 3):
        with pytest.raises(ValueError, match="an action is two whole numbers"):
            env.step(action)
    after = env.step([0, 0])[0]
    assert after["health"] == np.float32(0.999)
    assert same(after["place"], before["place"])
    envs.reset(seed=1)
    with pytest.raises(ValueError, match=r"of shape \(2, 2\)"):
        envs.step([0, 0])


def test_a_life_that_has_ended_does_not_go_on():
    env = TreeWorldEnv(max_steps=1)
    env.reset(seed=0)
    assert env.step([0, 0])[3]
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step([0, 0])


def test_who_draws_nothing_is_told_so():
    env = TreeWorldEnv(render_mode="rgb_array")
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.render()
    with pytest.warns(UserWarning, match="draws nothing"):
        assert TreeWorldEnv().render() is None


def test_worlds_with_senses_of_their_own_are_refused(random_world):
    world = random_world(1)
    world.agent.eyes = SimpleSensor()
    with pytest.raises(TypeError, match="eyes or a nose"):
        TreeWorldEnv().reset(options={"world": world})


# --- without Gymnasium ---------------------------------------------------------------------------


def test_the_library_does_without_gymnasium_and_says_what_to_install():
    def life():
        sys.modules["gymnasium"] = None
        for name in ("simulation", "models.memory", "plotting", "studies"):
            importlib.import_module(f"tree_world.{name}")
        with pytest.raises(ModuleNotFoundError) as told:
            importlib.import_module("tree_world.simulation.environment")
        return str(told.value)

    assert 'pip install "tree-world[rl]"' in imported_anew(life)


def test_who_learns_installs_what_the_tests_test():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(extras["rl"]) <= set(extras["test"])
