"""What learners by reinforcement make of a tree world, in ten minutes.

Usage: ``python -m benchmarks.study_learning [OPTION ...] [NAME ...]``, all by default; an hour and
more, in a part for each learner and seed. A learner is told what a forager is: scores of what is
smelled and seen, how far that is, its health, its heading, its place and its meal. It is given ten
minutes of one core, one setting, which was not tuned, and no memory but what it may learn to have.
So this says what that buys, and not what learning can do.

It learns in worlds whose seeds are drawn from 10,000 on, is looked at in the worlds 9,000 to 9,023
meanwhile, and is judged once, at the end, in the worlds 2,000 to 2,047.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.models.drives import train_drive_classifier
from tree_world.simulation import TreeWorldConfig

RESULTS = results_file("learning")

SEEDS = (0, 1, 2)
SECONDS = 10 * 60.0  # of a processor, for learning
MOST_STEPS = 10**8  # which nobody takes in that time
LOOKS = 10
AT_ONCE = 32  # worlds in which it learns
FIRST_WORLD = 10_000  # of the first that a learner of seed 0 lives in
VALIDATION = range(9000, 9024)
TEST = range(2000, 2048)
LONGEST = 5000  # steps
LOOK_STEPS = 1500  # of a life in a validation world
ALIVE_AT = (1500, 5000)
UNIT = 25.0  # health points of a fruit, by which rewards are divided

# Those of Stable-Baselines3 but for these: a life is long, and a meal may be far away.
COMMON = {"gamma": 0.997, "gae_lambda": 0.95, "ent_coef": 0.01, "learning_rate": 3e-4}
SETTINGS: dict[str, dict[str, Any]] = {
    "PPO": {**COMMON, "n_steps": 256, "batch_size": 512, "n_epochs": 5},
    "RecurrentPPO": {
        **COMMON,
        "n_steps": 128,
        "batch_size": 512,
        "n_epochs": 4,
        "policy_kwargs": {"lstm_hidden_size": 64},
    },
}


def learned(
    part: Part,
    algorithm: str,
    seeds: Sequence[int] = SEEDS,
    seconds: float = SECONDS,
    steps: int = MOST_STEPS,
    test: Sequence[int] = TEST,
) -> dict[str, Any]:
    """Let a learner of each seed learn, and judge it."""
    found = part.each(
        _learned,
        {f"seed {seed}": (algorithm, seed, seconds, steps, list(test)) for seed in seeds},
    )
    packages = ("gymnasium", "stable-baselines3", "sb3-contrib")
    return {
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "settings": {**SETTINGS[algorithm], "worlds at once": AT_ONCE, "unit": UNIT},
        "seconds": seconds,
        "seeds": list(seeds),
        "validation": {"first": VALIDATION[0], "last": VALIDATION[-1], "steps": LOOK_STEPS},
        "test": {"first": test[0], "last": test[-1], "steps": LONGEST},
        "learners": found,
    }


def _learned(
    algorithm: str, seed: int, seconds: float, steps: int, test: list[int]
) -> dict[str, Any]:
    from benchmarks import learners
    from tree_world.simulation.environment import TreeWorldVectorEnv

    torch.set_num_threads(1)
    config = TreeWorldConfig.model_validate({})
    classifier, _ = train_drive_classifier(config)
    scores = classifier.drive_embeddings.weight.detach()

    def worlds(number: int, longest: int = LONGEST) -> TreeWorldVectorEnv:
        return TreeWorldVectorEnv(
            number, config, scores=scores, max_steps=longest, autoreset_mode="SameStep"
        )

    def look(model: Any) -> list[int]:
        validation = worlds(len(VALIDATION), LOOK_STEPS)
        return learners.live(model, validation, VALIDATION, greedy=False)["steps"]

    model, watch = learners.learn(
        algorithm,
        worlds(AT_ONCE),
        SETTINGS[algorithm],
        learners.Budget(seconds, steps, LOOKS),
        look,
        unit=UNIT,
        seed=seed,
        first_world=FIRST_WORLD + AT_ONCE * seed,
    )
    judged = {}
    for name, greedy in (("sampled", False), ("greedy", True)):
        lives = learners.live(model, worlds(len(test)), test, greedy=greedy)
        judged[name] = judgement(lives)
    return {
        "steps": watch.curve[-1]["steps"],
        "seconds": watch.curve[-1]["seconds"],
        "curve": watch.curve,
        "judged": judged,
    }


def judgement(lives: dict[str, list[Any]]) -> dict[str, Any]:
    """Sum up lives: how many live for how long, and how much poison they eat.

    Parameters
    ----------
    lives : dict
        As `learners.live` tells them.

    Returns
    -------
    dict
        The ``lives`` in steps, how many are ``alive`` after so many steps as `ALIVE_AT` says, and
        poisonous meals in a thousand steps, of all together.
    """
    steps, died = np.array(lives["steps"]), np.array(lives["died"])
    return {
        "lives": lives["steps"],
        "alive": {str(at): int(((steps > at) | ~died).sum()) for at in ALIVE_AT},
        "meals": lives["meals"],
        "poison_per_1000_steps": 1000 * sum(lives["poisonous_meals"]) / int(steps.sum()),
    }


def _same_before_learning(short: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Compare how learners live that have learned nothing yet; what they learn takes too long."""
    ours, theirs = (one["learners"][0]["curve"][0]["lives"] for one in (short, stored))
    apart = abs(float(np.mean(ours)) - float(np.mean(theirs)))
    reach = 0.01 * float(np.mean(theirs))  # another processor may draw another action
    if apart <= reach:
        return []
    return [f"lives before learning differ by {apart:.4g} steps, by {reach:.4g} at most allowed"]


def _study(algorithm: str) -> Study:
    return Study(
        lambda part: learned(part, algorithm),
        short=lambda part: learned(part, algorithm, SEEDS[:1], 5.0, test=TEST[:4]),
        agrees=[_same_before_learning, Same("settings"), Same("validation"), Same("test/steps")],
    )


STUDIES = {name: _study(name) for name in SETTINGS}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
