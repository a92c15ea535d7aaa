"""What the README and the front page promise, works."""

import contextlib
import io
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import tree_world
from tree_world.simulation import TreeWorldConfig

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "book/reading.md")


@pytest.mark.parametrize("name", PAGES)
def test_the_python_runs(name):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    assert blocks
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for block in blocks:
            exec(block, {})
    if name == "README.md":
        promised = f"torch.Size([2, {TreeWorldConfig().sensory_embedding_dim}])"
        assert promised in printed.getvalue()
        assert f"# {promised}" in blocks[0]


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md"])
def test_every_command_exists(name):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = set(re.findall(r"\bmake ([a-z]+)\b(?=`|\s+#|\n)", (ROOT / name).read_text()))
    assert commands
    assert commands <= targets


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "book/_theme/README.md"]
)
def test_every_file_exists(name):
    text = (ROOT / name).read_text()
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (folder / target).exists(), target
    for target in re.findall(r"`((?:book|tree_world|tests|tools)/[\w./]*)`", text):
        assert (ROOT / target).exists(), target


def test_the_version_is_the_same_everywhere():
    version = tree_world.__version__
    taken = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]
    assert taken == {"version": {"attr": "tree_world.__version__"}}
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"Version {version}" in (ROOT / "book/reading.md").read_text()


def test_the_archive_is_told_the_same_as_the_citation():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert json.loads((ROOT / ".zenodo.json").read_text()) == {
        "upload_type": cited["type"],
        "title": cited["title"],
        "description": project["description"],
        "creators": cited["authors"],
        "version": cited["version"],
        "publication_date": cited["date-released"],
        "access_right": "open",
        "license": cited["license"],
        "keywords": cited["keywords"],
    }


def test_no_wheels_are_promised_where_there_are_none():
    """PyTorch, Numba and llvmlite have given up macOS on Intel."""
    for name in (*PAGES, "CONTRIBUTING.md"):
        text = " ".join((ROOT / name).read_text().split())
        for sentence in re.split(r"(?<=[.;:]) ", text):
            if re.search(r"\bmacOS\b|\bMacs?\b", sentence):
                assert "Apple silicon" in sentence, sentence
