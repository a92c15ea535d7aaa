"""The figure of a life that a reader leads: script and library live by the same rules."""

import json
import subprocess

import numpy as np
import pytest

from tests.figures.node import FIGURES, answers, kilobytes
from tree_world.plotting import ScentPalette, data
from tree_world.plotting.data import ScentBasis
from tree_world.simulation import (
    DirectionalSensor,
    Resting,
    SimpleSensor,
    TreeWorld,
    TreeWorldConfig,
)
from tree_world.simulation.lives import DIRECTIONS, ENDS, Lives

NOSE, EYES = SimpleSensor(), DirectionalSensor()
SEEDS = (14, 0, 1, 2, 3, 5, 8, 13)
NUM_LIVES, NUM_STEPS = 26, 1500
LOOKS = len(DIRECTIONS)


def world_of(seed, **choices):
    return TreeWorld.random_from_config(TreeWorldConfig(**choices), seed)


def state_of(seed, **choices):
    life = world_of(seed, **choices).run(100)
    config = TreeWorldConfig(**choices)
    return data.living(
        world_of(seed, **choices),
        SimpleSensor.from_config(config),
        DirectionalSensor.from_config(config),
        {"explores": [life]},
        {"explores": 100.0},
        lived_here=0,
    ).data


def towards(way):
    return int((DIRECTIONS @ way).argmax())


class Reader:
    """Somebody who decides at random, or goes for food or for poison, and rests now and then."""

    def __init__(self, kind, seed):
        self.kind, self.random = kind, np.random.default_rng(seed)
        self.direction = int(self.random.integers(LOOKS))
        self.rests = self.random.choice([0.0, 0.1, 0.5])

    def __call__(self, lives, index):
        random, arrays = self.random, lives.worlds.arrays
        if random.random() < self.rests:
            return [0, int(random.integers(LOOKS))]
        if self.kind == 0:
            return [int(random.integers(1 + LOOKS)), int(random.integers(LOOKS))]
        if self.kind == 1:
            if random.random() < 0.1:
                self.direction = int(random.integers(LOOKS))
            return [1 + self.direction, int(random.integers(LOOKS))]
        wanted = arrays.fruit_values[index] * (1 if self.kind == 2 else -1) > 0
        if self.kind == 2 and arrays.health[index, 0] > 975:
            return [0, self.direction]
        ways = arrays.locations[index] - arrays.position[index]
        far = np.linalg.norm(ways, axis=1)
        far[~(wanted & (arrays.fruit_counts[index] > 0))] = np.inf
        tree = int(far.argmin())
        if far[tree] == np.inf:
            return [0, self.direction]
        self.direction = towards(ways[tree])
        return [1 + self.direction, self.direction] if far[tree] > 7 else [0, self.direction]


def led(seed, **choices):
    """Lives by the library: what readers did, and all that came of it."""
    world = world_of(seed, **choices)
    lives = Lives(world.config, senses="embeddings", scores=None, max_steps=10**9)
    lives.begin([world] * NUM_LIVES)
    readers = [Reader(which % 4, 100 * seed + which) for which in range(NUM_LIVES)]
    actions, healths, eaten, ended_at = [], [], [], np.full(NUM_LIVES, NUM_STEPS)

    def note():
        healths.append(lives.worlds.arrays.health[:, 0].copy())
        eaten.append(lives.worlds.meals.numpy().copy())

    note()
    kept = [None] * NUM_LIVES
    lengths = np.random.default_rng(seed).integers(0, 300, NUM_LIVES)
    lengths[:16], lengths[-1] = NUM_STEPS, 0  # the others are looked at on the way
    for step in range(NUM_STEPS + 1):
        for which in np.flatnonzero(lengths == step):
            seen = {name: part[which].copy() for name, part in lives.observe().items()}
            told = {name: part[which] for name, part in lives.infos().items()}
            arrays = lives.worlds.arrays
            kept[which] = (
                seen
                | told
                | {
                    "position": arrays.position[which].copy(),
                    "fruit": arrays.fruit_counts[which].copy(),
                    "tree": int(lives.worlds.seen[which]),
                }
            )
        if step == NUM_STEPS:
            break
        now = np.array([reader(lives, index) for index, reader in enumerate(readers)])
        actions.append(now)
        _, dead, _ = lives.step(now)
        ended_at[dead & (ended_at == NUM_STEPS)] = step + 1
        note()
    return np.array(actions), np.array(healths), np.array(eaten), kept, lengths, ended_at


def coded(actions):
    return (actions[:, 0] * LOOKS + actions[:, 1]).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_life_is_the_same_at_each_step(seed):
    actions, healths, eaten, kept, lengths, ended_at = led(seed)
    state = state_of(seed)
    asked = [{"actions": coded(actions[: lengths[i], i])} for i in range(NUM_LIVES)]
    found = answers("living", state, asked)
    basis, palette = ScentBasis.of_world(world_of(seed)), ScentPalette.from_world(world_of(seed))
    largest = max(float(np.linalg.norm(one["smell"])) for one in kept)
    ends = set()
    for which, (one, told) in enumerate(zip(found, kept, strict=True)):
        steps = min(int(lengths[which]), int(ended_at[which]))
        assert one["steps"] == steps
        assert np.abs(np.array(one["healths"]) - healths[: steps + 1, which]).max() <= 1e-4
        assert one["eaten"] == eaten[: steps + 1, which].tolist()
        # The dead stay as they are.
        assert (healths[steps : lengths[which] + 1, which] == one["health"]).all()
        assert one["place"] == pytest.approx(told["position"].tolist(), abs=1e-4)
        assert one["heading"] == pytest.approx(told["heading"].tolist(), abs=1e-6)
        assert one["fruit"] == told["fruit"].tolist()
        assert (one["meals"], one["poisonous_meals"]) == (told["meals"], told["poisonous_meals"])
        assert one["end"] == told["end"]
        assert one["alive"] == (told["end"] == "")
        ends.add(one["end"])
        assert (one["sees"] >= 0) == bool(told["sees"][0])
        if one["sees"] >= 0:
            assert one["sees"] == told["tree"]
            assert one["distance"] == pytest.approx(
                float(told["distance"][0]) * EYES.max_sense_distance, abs=1e-3
            )
        smell = np.array(one["smell"]) @ basis.directions
        assert np.linalg.norm(smell - told["smell"]) <= 0.005 * largest
        assert (
            np.abs(np.array(one["colour"]) - palette.colors(told["smell"][None])[0]).max()
            <= 2 / 255
        )
    assert "starved" in ends
    assert (eaten >= 0).any()


def test_who_eats_poison_dies_of_it_and_fruit_grows_again():
    choices = {
        "poison_health": -400.0,
        "fruit_regrowth_steps": 40,
        "move_cost": 1.5,
        "eat_distance": 25.0,
        "heading_tolerance": 0.5,
        "max_step_length": 7.0,
    }
    actions, healths, eaten, kept, lengths, ended_at = led(14, **choices)
    found = answers(
        "living",
        state_of(14, **choices),
        [{"actions": coded(actions[: lengths[i], i])} for i in range(NUM_LIVES)],
    )
    for which, (one, told) in enumerate(zip(found, kept, strict=True)):
        steps = min(int(lengths[which]), int(ended_at[which]))
        assert np.abs(np.array(one["healths"]) - healths[: steps + 1, which]).max() <= 1e-4
        assert one["eaten"] == eaten[: steps + 1, which].tolist()
        assert one["end"] == told["end"]
    assert {one["end"] for one in found} >= set(ENDS[1:3])
    meals = [eaten[:, which][eaten[:, which] >= 0] for which in range(NUM_LIVES)]
    assert max(np.bincount(of_life).max() for of_life in meals if len(of_life)) > 10


def test_a_life_that_goes_on_is_the_one_that_is_led_again():
    script = f"""
        import {{ readFileSync }} from "node:fs";
        import figure from {json.dumps((FIGURES / "living.mjs").as_uri())};
        const {{ data, actions }} = JSON.parse(readFileSync(0, "utf8"));
        const kept = figure.prepare(data);
        const numbers = [0, 1, 2, 50, 51, 400, 401, 30, 31, 0];
        const lives = numbers.map((number) => actions.slice(0, number));
        lives.push([...actions].reverse(), actions); // of the same length, and not the same
        const same = lives.map((some) => {{
          const values = {{ actions: some }};
          const fresh = figure.compute(figure.prepare(data), values);
          return JSON.stringify(figure.compute(kept, values)) === JSON.stringify(fresh);
        }});
        console.log(JSON.stringify(same));
    """
    actions = np.random.default_rng(0).integers(0, 9 * LOOKS, 401).tolist()
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps({"data": state_of(14), "actions": actions}).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == [True] * 12


def test_a_tap_leads_there():
    script = f"""
        import {{ readFileSync }} from "node:fs";
        import {{ wayTo }} from {json.dumps((FIGURES / "living.mjs").as_uri())};
        const {{ data, goals }} = JSON.parse(readFileSync(0, "utf8"));
        console.log(JSON.stringify(goals.map((goal) => wayTo(data, [0, 0], goal))));
    """
    goals = np.random.default_rng(0).uniform(-500, 500, (100, 2))
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps({"data": state_of(14), "goals": goals.tolist()}).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    for goal, actions in zip(goals, json.loads(done.stdout), strict=True):
        ways = 10 * DIRECTIONS[[action // LOOKS - 1 for action in actions]]
        assert np.linalg.norm(ways.sum(axis=0) - goal) < 10
        assert 10 * len(actions) <= 1.1 * np.linalg.norm(goal) + 20


def chapters_lives():
    model = Resting()
    walked = [world_of(seed).run(3000) for seed in range(24)]
    rested = [
        TreeWorld.random_from_config(TreeWorldConfig(), seed, model=model).run(3000)
        for seed in range(24)
    ]
    return {"explores": walked, "rests": rested}


def test_what_is_told_of_others_are_their_lives():
    lives = chapters_lives()
    lifetimes = dict.fromkeys(lives, 650.25)
    figure = data.living(world_of(14), NOSE, EYES, lives, lifetimes, lived_here=14)
    for told, (name, recordings) in zip(figure.data["lives"], lives.items(), strict=True):
        here = recordings[14]
        assert (told["name"], told["shown"], told["lifetime"]) == (name, 14, 650.2)
        assert told["num_steps"] == [life.num_steps for life in recordings]
        assert np.abs(np.array(told["path"]) - here.positions[::5]).max() < 0.1
        for healths, life in zip(told["healths"], recordings, strict=True):
            assert healths[-1] == life.healths[-1] == 0
            assert healths[:-1] == life.healths[:-1:50].tolist()
    assert kilobytes(figure.data) <= 25


def test_what_cannot_be_shown_is_refused():
    life = {"explores": [world_of(14).run(500)]}
    lifetimes = {"explores": 500.0}

    def living(world, lives=life, lifetimes=lifetimes, which=0):
        return data.living(world, NOSE, EYES, lives, lifetimes, lived_here=which)

    begun = world_of(14)
    begun.run(3)
    with pytest.raises(ValueError, match="3 steps have passed"):
        living(begun)
    with pytest.raises(ValueError, match="not lived in this world"):
        living(world_of(1))
    with pytest.raises(ValueError, match="lived_here is 1"):
        living(world_of(14), which=1)
    with pytest.raises(ValueError, match="same kinds of agents"):
        living(world_of(14), lifetimes={})
    with pytest.raises(ValueError, match="two dimensions"):
        living(world_of(14, dim=3))
    with pytest.raises(ValueError, match="repeats"):
        living(world_of(14, period=1000.0), {"explores": [world_of(14, period=1000.0).run(9)]})
