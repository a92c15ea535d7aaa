"""Lives are those of version 0.1, to the last bit, whoever takes the steps."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tree_world.simulation import (
    Action,
    DirectionalSensor,
    Exploring,
    Resting,
    SimpleSensor,
    TreeWorld,
    TreeWorldConfig,
)

# Recorded with version 0.1: of each life a digest of all states, meals and of the stream of random
# numbers after it, and each hundredth position.
RECORDED = Path(__file__).with_name("lives-by-0.1.npz")
NUM_STEPS = 2000


class Blindfold:
    def sense(self, world, position, heading):
        return None, None, None


KINDS = {
    "explore": ({}, {}),
    "long": ({"max_health": 5000.0, "fruit_regrowth_steps": 100, "tree_spacing": 30.0}, {}),
    "nose": ({}, {"sensor": SimpleSensor()}),
    "blind": ({}, {"sensor": Blindfold()}),
    "turn": ({}, {"model": Exploring(turn_sd=0.1, max_step_length=7.3)}),
    "rest": ({"tree_spacing": 5.0}, {"model": Resting()}),
    "dim1": ({"dim": 1}, {}),
    "dim3": ({"dim": 3}, {}),
}


def make(name):
    kind, seed = name.split()
    choices, parts = KINDS[kind]
    return TreeWorld.random_from_config(TreeWorldConfig(**choices), seed=int(seed), **parts)


def digest(recording, drawn):
    names = ("positions", "headings", "healths", "meal_steps", "meal_trees", "meal_healths")
    parts = [getattr(recording, name).tobytes() for name in names]
    return hashlib.sha256(b"".join([*parts, drawn.numpy().tobytes()])).hexdigest()


def recorded(*kinds):
    kept = np.load(RECORDED)
    return [
        (str(name), int(lived), str(found), kept[f"positions {name}"])
        for name, lived, found in zip(kept["names"], kept["lived"], kept["digests"], strict=True)
        if name.split()[0] in (kinds or KINDS)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_lives_are_those_of_0_1(kind):
    lives = recorded(kind)
    assert len(lives) >= 6
    for name, lived, found, positions in lives:
        world = make(name)
        recording = world.run(NUM_STEPS)
        np.testing.assert_array_equal(recording.positions[::100], positions)
        assert recording.num_steps == lived
        assert digest(recording, world._generator.get_state()) == found


def test_lives_taken_step_by_step_are_the_same():
    for name, _, _, positions in recorded("long")[:3]:
        world, other = make(name), make(name)
        for step in range(301):
            if step % 100 == 0:
                np.testing.assert_array_equal(world.agent.position.numpy(), positions[step // 100])
            world.step()
        other.run(301)
        assert torch.equal(world.agent.position, other.agent.position)
        assert torch.equal(world._generator.get_state(), other._generator.get_state())


class ByHand:
    """Explores as version 0.1 did, in PyTorch."""

    def reset(self):
        pass

    def get_action(self, distance, embedding, heading, health, *, position, generator):
        if distance is not None:
            return heading * distance.clamp(max=10.0), heading
        noise = torch.randn(heading.shape, generator=generator, dtype=heading.dtype)
        turned = torch.nn.functional.normalize(heading + 0.5 * noise, dim=-1)
        return turned * (10.0 * torch.rand((), generator=generator)), turned


class AskedEachTime(Exploring):
    """A walker that compiled code does not know."""


class Handed(Exploring):
    """Explores by ``act`` of its own."""

    def act(self, percept, body, meal, *, generator):
        step, heading = self.get_action(
            *percept.sight, body.heading, body.share_of_health,
            position=body.position, generator=generator,
        )  # fmt: skip
        return Action(step, heading)


@pytest.mark.parametrize("model", [ByHand, AskedEachTime, Handed])
def test_a_model_in_python_lives_the_same_life_as_compiled_code(model):
    for name, lived, found, _ in recorded("explore")[:4]:
        world = make(name)
        world.agent.model = model()
        recording = world.run(NUM_STEPS)
        assert recording.num_steps == lived
        assert digest(recording, world._generator.get_state()) == found


def test_the_eyes_of_compiled_code_see_what_the_sensor_tells():
    """Replaced on the instance, the same method takes the way through Python."""
    for name, lived, found, _ in recorded("long")[:2]:
        world = make(name)
        eyes = DirectionalSensor.from_config(world.config)
        eyes.sense = lambda *given, eyes=eyes: DirectionalSensor.sense(eyes, *given)
        world.agent.eyes = eyes
        recording = world.run(NUM_STEPS)
        assert recording.num_steps == lived
        assert digest(recording, world._generator.get_state()) == found
