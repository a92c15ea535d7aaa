"""Which part may use which."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import tree_world
from tree_world.moved import MODULES, home_of

TYPES_OF_WORLD = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from tree_world.simulation.world import TreeWorld
"""

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(tree_world.__file__).parent


def linted(folder):
    """Hold the package in a folder against the contracts in pyproject.toml."""
    return subprocess.run(
        ["lint-imports", "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_point_one_way():
    result = linted(PACKAGE.parent)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("files.py", "from tree_world import embeddings", "Parts"),
        ("models/memory/index/cells.py", "from tree_world.models.memory import store", "Memory"),
        ("plotting/style.py", "from tree_world.plotting import panels", "Plotting"),
        # What is imported for its types alone counts, too.
        ("simulation/sensors.py", TYPES_OF_WORLD, "Simulation"),
        ("models/memory/types.py", "from tree_world.models import places", "No circles"),
        ("new.py", "", "Parts"),
    ],
)
def test_an_import_that_points_elsewhere_is_found(tmp_path, module, line, broken):
    copy = tmp_path / "tree_world"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "fonts"))
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")
    result = linted(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{broken} BROKEN" in result.stdout


PUBLIC = (ROOT / "tests" / "public-names-of-0.1.txt").read_text().split()


@pytest.mark.parametrize("then", PUBLIC)
def test_public_names_of_0_1_are_found_where_they_were(then):
    home, _, name = then.rpartition(".")
    now = home_of(home, name)
    if now is None:  # as it is where it was
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            getattr(importlib.import_module(home), name)
        return
    with pytest.warns(DeprecationWarning, match=re.escape(f"{now}, and will not")):
        found = getattr(importlib.import_module(home), name)
    new_home, _, new_name = now.rpartition(".")
    assert found is getattr(importlib.import_module(new_home), new_name)
    assert new_home not in MODULES


def test_a_warning_of_a_moved_name_points_at_who_used_it():
    with pytest.warns(DeprecationWarning, match="kernel") as told:
        from tree_world.models.affinity import log_affinity  # noqa: F401
    assert told[0].filename == __file__


def test_names_that_never_were_are_not_found():
    with pytest.raises(ImportError, match="nobody"):
        from tree_world.models.affinity import nobody  # noqa: F401
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tree_world.models.nothing")


HEAVY = ["distributed", "sentence_transformers", "transformers", "sklearn", "scipy.stats", "pandas"]


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("tree_world.simulation", [*HEAVY, "matplotlib", "scipy.linalg"]),
        ("tree_world.agents, tree_world.studies, tree_world.evaluation", [*HEAVY, "matplotlib"]),
        ("tree_world.models.memory, tree_world.models.places", [*HEAVY, "matplotlib"]),
        ("tree_world.plotting", HEAVY),
    ],
)
def test_heavy_packages_are_imported_when_they_are_used(modules, heavy):
    code = f"""
import sys
import {modules}
print([name for name in {heavy!r} if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
