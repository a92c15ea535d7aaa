"""Chapters and their notebooks do not drift apart."""

import json
import re
import shutil
from pathlib import Path

import jupytext
import nbclient
import nbformat
import pytest

from tools import notebooks, settings

CHAPTER = """\
---
title: Small
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

Some words.

```{code-cell} python
:tags: [hide-input]
print(2 + 3)
```
"""
CHAPTERS = settings.chapters()


def notebook_of(chapter):
    return settings.NOTEBOOKS / f"{chapter.stem}.ipynb"


# --- the book ------------------------------------------------------------------------------------


def test_there_are_chapters():
    assert [chapter.name for chapter in CHAPTERS][:1] == ["01-simulation.md"]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_chapter_and_its_notebook_agree(chapter):
    difference = notebooks.first_difference(chapter, notebook_of(chapter))
    assert difference is None, f"{difference}. Run: make notebooks"


def test_no_notebook_is_left_over():
    assert notebooks.stray_notebooks(CHAPTERS) == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_reference_notebook_was_executed_whole(chapter):
    # nbval compares nothing in a cell without a count.
    cells = nbformat.read(notebook_of(chapter), as_version=4).cells
    counts = [cell.execution_count for cell in cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    errors = [
        output
        for cell in cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert errors == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_reference_notebook_holds_nothing_of_its_time_and_place(chapter):
    path = notebook_of(chapter)
    notebook = nbformat.read(path, as_version=4)
    assert all("execution" not in cell.metadata for cell in notebook.cells)
    outputs = json.dumps(
        [
            {key: value for key, value in output.get("data", output).items() if key != "image/png"}
            for cell in notebook.cells
            for output in cell.get("outputs", [])
        ]
    )
    assert not re.search(r"0x[0-9a-f]{6,}", outputs), "a memory address"
    assert not re.search(r"/(home|tmp|root|usr|work|Users)/", outputs), "a path"
    assert str(Path.home()) not in outputs
    assert not re.search(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", outputs), "a time"
    assert "image/webp" not in outputs  # figures for the dark are drawn for the site alone
    assert path.stat().st_size < 1_000_000


# --- how they are kept up to date ----------------------------------------------------------------


@pytest.fixture
def pair(tmp_path):
    source = tmp_path / "book" / "01-small.md"
    source.parent.mkdir()
    source.write_text(CHAPTER)
    return source, tmp_path / "book" / "notebooks" / "01-small.ipynb"


def printed(path):
    notebook = nbformat.read(path, as_version=4)
    return [cell.outputs[0].text for cell in notebook.cells if cell.cell_type == "code"]


def test_only_what_changed_is_executed(pair):
    source, path = pair
    assert notebooks.first_difference(source, path) == "01-small.md has no notebook"
    assert notebooks.update(source, path, "one") == "executed"
    assert printed(path) == ["5\n"]
    assert notebooks.first_difference(source, path) is None
    first = path.read_bytes()

    assert notebooks.update(source, path, "one") == "unchanged"
    assert path.read_bytes() == first

    # Outputs that nobody could have computed show that nothing was executed.
    path.write_text(path.read_text().replace('"5\\n"', '"five\\n"'))
    source.write_text(CHAPTER.replace("Some words", "Other words"))
    assert "cell 0 of 01-small.ipynb is not that" in notebooks.first_difference(source, path)
    assert notebooks.update(source, path, "one") == "kept its outputs"
    assert printed(path) == ["five\n"]
    assert notebooks.first_difference(source, path) is None

    assert notebooks.update(source, path, "two") == "executed"  # the library changed
    assert printed(path) == ["5\n"]

    source.write_text(CHAPTER.replace("2 + 3", "2 + 4"))
    assert notebooks.update(source, path, "two") == "executed"  # the code changed
    assert printed(path) == ["6\n"]


def test_options_and_missing_cells_are_differences(pair):
    source, path = pair
    notebooks.update(source, path, "one")
    source.write_text(CHAPTER.replace("[hide-input]", "[hide-output]"))
    assert "other options" in notebooks.first_difference(source, path)
    source.write_text(CHAPTER + "\n```{code-cell} python\nprint(1)\n```\n")
    assert "has 3 cells, 01-small.ipynb has 2" in notebooks.first_difference(source, path)


def test_a_failing_chapter_leaves_its_notebook_as_it_was(pair):
    source, path = pair
    notebooks.update(source, path, "one")
    before = path.read_bytes()
    source.write_text(CHAPTER.replace("2 + 3", "2 / 0"))
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
        notebooks.update(source, path, "one")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_cells_have_the_same_names_in_every_run(pair):
    source, _ = pair
    source.write_text(CHAPTER + "\n" + CHAPTER[CHAPTER.index("```") :])
    first, second = (notebooks.from_chapter(source) for _ in range(2))
    names = [cell.id for cell in first.cells]
    assert names == [cell.id for cell in second.cells]
    assert len(set(names)) == len(names) == 3


def test_a_notebook_without_a_chapter_is_found(pair, monkeypatch):
    source, path = pair
    notebooks.update(source, path, "one")
    monkeypatch.setattr(settings, "NOTEBOOKS", path.parent)
    assert notebooks.stray_notebooks([source]) == []
    assert notebooks.stray_notebooks([]) == [path]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_chapter_saved_from_jupyterlab_loses_nothing(chapter, tmp_path):
    shutil.copy(settings.ROOT / "pyproject.toml", tmp_path)  # where Jupytext's settings are
    (tmp_path / "book").mkdir()
    copy = tmp_path / "book" / chapter.name
    shutil.copy(chapter, copy)
    manager = jupytext.TextFileContentsManager(root_dir=str(tmp_path))
    model = manager.get(f"book/{chapter.name}", type="notebook")
    model["content"]["cells"][0]["source"] += " More."
    manager.save({"type": "notebook", "content": model["content"]}, f"book/{chapter.name}")
    saved = copy.read_text()
    assert "jupytext_version" not in saved
    before, after = (notebooks.from_chapter(path) for path in (chapter, copy))
    before.cells[0].source += " More."
    assert after.metadata == before.metadata
    assert [(c.cell_type, c.source, c.metadata) for c in after.cells] == [
        (c.cell_type, c.source, c.metadata) for c in before.cells
    ]
