"""What changed in the reference notebooks is told by name, old and new."""

import copy
import subprocess
import sys

import nbformat
import numpy as np
import pytest

from tests.book.test_nbval_tolerance import encoded
from tools import diff, settings


def value(code, text):
    result = {"status": "ok", "data": {"text/plain": text}, "metadata": {}}
    return {"expression": code, "result": result}


@pytest.fixture
def notebook():
    prose = nbformat.v4.new_markdown_cell("Of {eval}`x` and {eval}`y`.")
    prose.metadata.user_expressions = [value("x", "25"), value("y", "'0.35'")]
    code = nbformat.v4.new_code_cell("import math\nprint(x)")
    code.outputs = [nbformat.v4.new_output("stream", name="stdout", text="a 1.0000\nb 2\n")]
    figure = nbformat.v4.new_code_cell("plot();", metadata={"label": "fig-one"})
    data = {"image/png": encoded(np.full((4, 6, 3), 200)), "text/plain": "<Figure>"}
    figure.outputs = [nbformat.v4.new_output("display_data", data=data)]
    return nbformat.v4.new_notebook(cells=[prose, code, figure])


def told(old, new):
    return [diff.as_text(change) for change in diff.changes(old, new)]


def test_nothing_is_told_of_what_is_the_same(notebook):
    other = copy.deepcopy(notebook)
    other.cells[1].outputs[0].text = "a 1.0001\nb 2\n"  # within the tolerance
    other.cells.insert(0, nbformat.v4.new_markdown_cell("Other words."))
    assert told(notebook, other) == []


def test_numbers_are_told_by_expression_and_by_cell(notebook):
    other = copy.deepcopy(notebook)
    other.cells[0].metadata.user_expressions = [
        *(value("x", "26"), value("z", "7"), value("y", "'0.35'")),
    ]
    other.cells[1].outputs[0].text = "a 1.5\nb 2\n"
    assert told(notebook, other) == [
        "  x: 25 → 26",
        "  z: (nothing) → 7",
        "  cell “print(x)”:\n    -a 1.0000\n    +a 1.5",
    ]
    assert told(other, None)[0] == "  x: 26 → (nothing)"


def test_pictures_stand_side_by_side(notebook):
    other = copy.deepcopy(notebook)
    other.cells[2].outputs[0].data["image/png"] = encoded(np.full((4, 6, 3), 90))
    (change,) = diff.changes(notebook, other)
    assert diff.as_text(change) == "  fig-one: picture changed"
    page = diff.as_page({"01-one": [change]}, "HEAD")
    before, now = (book.cells[2].outputs[0].data["image/png"].strip() for book in (notebook, other))
    assert page.index(before) < page.index(now)
    assert "http" not in page
    gone = diff.Change("fig-one", "image/png", before, None)
    assert "now: none" in diff.as_page({"01-one": [gone]}, "HEAD")


@pytest.fixture
def repository(tmp_path, monkeypatch, notebook):
    """A repository with one notebook in it, committed."""

    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True
        )

    path = tmp_path / "book" / "notebooks" / "01-one.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "NOTEBOOKS", path.parent)
    monkeypatch.setattr(settings, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(sys, "argv", ["diff"])
    return path


def test_the_last_commit_is_what_is_compared_with(repository, notebook, capsys, monkeypatch):
    assert diff.main() == 0
    assert capsys.readouterr().out == "Nothing changed in the reference notebooks since HEAD.\n"
    notebook.cells[0].metadata.user_expressions[0]["result"]["data"]["text/plain"] = "26"
    notebook.cells[2].outputs[0].data["image/png"] = encoded(np.full((4, 6, 3), 90))
    nbformat.write(notebook, repository)
    assert diff.main() == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "01-one: 2 changes",
        "  x: 25 → 26",
        "  fig-one: picture changed",
        "2 changes since HEAD; 1 pictures in _build/diff/index.html",
    ]
    repository.unlink()
    assert diff.main() == 0
    assert "picture gone" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["diff", "nowhere"])
    assert diff.main() == 1
    assert "no commit 'nowhere'" in capsys.readouterr().err


def test_ordinary_diffs_leave_the_notebooks_out():
    done = subprocess.run(
        ["git", "check-attr", "diff", "book/notebooks/01-simulation.ipynb"],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:  # outside a checkout there are no attributes
        assert done.stdout.strip().endswith("diff: unset")
