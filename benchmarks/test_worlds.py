"""Steps of lives: in compiled code, by models in Python, and of many worlds side by side.

All are compared with `step_plainly`, a life written down as it is defined, in PyTorch, of which the
speed is that of version 0.1.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tree_world.simulation import (
    Action,
    Body,
    DirectionalSensor,
    Exploring,
    Percept,
    SimpleSensor,
    TreeWorld,
    TreeWorldConfig,
    Worlds,
)

MANY = 1000
STEPS = 20
# A body that does not starve, and fruit that is soon back, so that it goes on eating.
CONFIG = TreeWorldConfig.model_validate({"max_health": 1e9, "fruit_regrowth_steps": 100})


class Plain:
    """A life in PyTorch, without the checks of the library."""

    def __init__(self, world: TreeWorld, smells: bool = False) -> None:
        self.world, self.config = world, world.config
        self.nose = SimpleSensor.from_config(self.config) if smells else None
        self.eyes = DirectionalSensor.from_config(self.config)
        self.model = Exploring()
        self.position, self.heading = torch.zeros(2), world.agent.heading
        self.counts = world.fruit_counts.clone()
        self.due = torch.full_like(self.counts, 2**62)
        self.health, self.time = self.config.max_health, 0
        self.generator = torch.Generator().manual_seed(0)

    def explore(self, distance: torch.Tensor | None) -> torch.Tensor:
        """Choose a step, as version 0.1 did."""
        if distance is not None:
            return self.heading * distance.clamp(max=10.0)
        noise = torch.randn(2, generator=self.generator)
        self.heading = torch.nn.functional.normalize(self.heading + 0.5 * noise, dim=-1)
        return self.heading * (10.0 * torch.rand((), generator=self.generator))

    def step(self) -> None:
        """Take a step."""
        self.time += 1
        back = self.due <= self.time
        self.counts[back], self.due[back] = self.config.max_fruit, 2**62
        if self.nose is not None:
            self.nose.sense(self.world, self.position)
        distance = self.eyes.sense(self.world, self.position, self.heading).distance
        offsets = self.world.locations - self.position
        distances = torch.linalg.vector_norm(offsets, dim=-1)
        in_reach = (distances <= self.config.eat_distance) & (self.counts > 0)
        nearest = torch.where(in_reach, distances, torch.inf).min(dim=-1)
        if bool(torch.isfinite(nearest.values)):
            tree = int(nearest.indices)
            self.counts[tree] -= 1
            self.due[tree] = self.time + self.config.fruit_regrowth_steps
            self.health = min(self.health + 25.0, self.config.max_health)
        self.position = self.position + self.explore(distance)
        self.health -= self.config.move_cost


class Straight:
    """A model in Python that hardly thinks."""

    def reset(self) -> None:
        """Do nothing."""

    def act(
        self, percept: Percept, body: Body, meal: float | None, *, generator: torch.Generator
    ) -> Action:
        """Go on."""
        return Action(0.5 * body.heading, body.heading)


def world_of(seed: int, model: Any = None) -> TreeWorld:
    """Draw a world."""
    return TreeWorld.random_from_config(CONFIG, seed, model=model)


@pytest.fixture(scope="module")
def many() -> list[TreeWorld]:
    """Draw the worlds that live side by side."""
    return [world_of(seed) for seed in range(MANY)]


def measure(benchmark: Any, work: str, role: str, steps: int, act: Any) -> None:
    """Time so many agent-steps."""
    act()
    benchmark.extra_info |= {"work": work, "role": role, "agent_steps": steps}
    benchmark.pedantic(act, rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("smells", [False, True])
def test_plain_steps(benchmark: Any, smells: bool) -> None:
    """Twenty steps of one life as it is defined."""
    life = Plain(world_of(0), smells)
    work = "steps of a life with smell" if smells else "steps of a life"

    def act() -> None:
        for _ in range(STEPS):
            life.step()

    measure(benchmark, work, "compared with", STEPS, act)


def test_steps_of_a_walker(benchmark: Any) -> None:
    """Twenty single steps of a walker."""
    world = world_of(0)

    def act() -> None:
        for _ in range(STEPS):
            world.step()

    measure(benchmark, "steps of a life", "ours", STEPS, act)


def test_a_run_of_a_walker(benchmark: Any) -> None:
    """A recorded run of a walker."""
    world = world_of(0)
    measure(
        benchmark, "steps of a life", "ours, as a run", STEPS * 50, lambda: world.run(STEPS * 50)
    )


def test_steps_of_a_model_in_python(benchmark: Any) -> None:
    """Twenty steps that a model in Python decides, which smells and sees."""
    world = world_of(0, Straight())

    def act() -> None:
        for _ in range(STEPS):
            world.step()

    measure(benchmark, "steps of a life with smell", "ours, a model in Python", STEPS, act)


@pytest.mark.parametrize("threads", [1, 2])
def test_steps_of_many_worlds(benchmark: Any, many: list[TreeWorld], threads: int) -> None:
    """One step of a thousand walkers, all smells written."""
    worlds = Worlds(many, threads=threads)
    role = f"ours, {MANY} worlds on {threads} threads"
    measure(benchmark, "steps of a life with smell", role, MANY, worlds.step)
