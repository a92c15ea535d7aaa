"""What was measured once comes with the library, and is read by its name."""

import json
import re
import subprocess
import sys
import zipfile

import pytest

from benchmarks import origins
from tree_world.studies import stored_results

FILES = sorted((origins.ROOT / origins.RESULTS).glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_results_are_found_where_the_benchmarks_put_them(path):
    assert origins.results_file(path.stem) == path
    assert origins.root_of(path) == origins.ROOT
    assert stored_results(path.stem) == json.loads(path.read_text())


def test_each_call_gives_results_of_its_own():
    name = FILES[0].stem
    stored_results(name).clear()
    assert stored_results(name)


def test_what_is_not_stored_is_told_with_what_is():
    names = ", ".join(path.stem for path in FILES)
    with pytest.raises(ValueError, match=re.escape(f"'../{FILES[0].stem}'. Name one of {names}")):
        stored_results(f"../{FILES[0].stem}")


def test_they_and_all_other_files_come_with_the_installed_library(tmp_path):
    """The wheel is made of a copy, for setuptools leaves what it builds beside the sources."""
    source, wheels = tmp_path / "project", tmp_path / "wheels"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "tree_world"):
        (source / name).symlink_to(origins.ROOT / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", wheels, source], check=True)
    (wheel,) = wheels.glob("*.whl")
    kept = set(zipfile.ZipFile(wheel).namelist())
    ours = {path for path in (origins.ROOT / "tree_world").rglob("*") if path.is_file()}
    names = {
        one.relative_to(origins.ROOT).as_posix() for one in ours if "__pycache__" not in one.parts
    }
    assert {f"{origins.RESULTS.as_posix()}/{path.name}" for path in FILES} <= names
    assert sorted(names - kept) == []
