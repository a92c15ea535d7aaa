"""Chapters and their notebooks do not drift apart."""

import base64
import io
import json
import re
import shutil
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest
from PIL import Image

from tools import computed, notebooks, settings
from tools.checks import nbval_tolerance
from tools.myst import ChapterError

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
    counts = [
        cell.execution_count
        for cell in cells
        if cell.cell_type == "code" and notebooks.SKIP not in cell.metadata.get("tags", [])
    ]
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
            for output in [
                *cell.get("outputs", []),
                *(one["result"] for one in computed.entries(cell)),
            ]
        ]
    )
    assert not re.search(r"0x[0-9a-f]{6,}", outputs), "a memory address"
    assert not re.search(r"/(home|tmp|root|usr|work|Users)/", outputs), "a path"
    assert str(Path.home()) not in outputs
    assert not re.search(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", outputs), "a time"
    assert "image/webp" not in outputs  # figures for the dark are drawn for the site alone


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_reference_notebook_is_small(chapter):
    assert notebook_of(chapter).stat().st_size <= 600_000


def picture(colors):
    file = io.BytesIO()
    Image.fromarray(colors.astype(np.uint8)).save(file, "png", dpi=(80, 80))
    return file.getvalue()


@pytest.mark.parametrize(("across", "mode"), [(15, "P"), (64, "RGB")])
def test_a_picture_is_kept_in_few_colours_if_that_is_as_good(across, mode):
    # Dots of so many reds and as many greens, opaque.
    drawn = np.full((192, 192, 4), 255)
    drawn[..., :2] = np.random.default_rng(0).integers(across, size=(192, 192, 2)) * 255 / across
    file = notebooks.slim(picture(drawn))
    stored = Image.open(io.BytesIO(file))
    error = np.asarray(stored.convert("RGB")) - drawn[..., :3].astype(float)
    assert (stored.mode, stored.size) == (mode, (192, 192))
    assert round(stored.info["dpi"][0]) == 80
    assert np.sqrt(np.mean(error**2)) <= (notebooks.PALETTE_ERROR if mode == "P" else 0)
    assert len(file) < len(picture(drawn))
    drawn[0, 0, 3] = 0  # one dot that one can see through
    assert notebooks.slim(picture(drawn)) == picture(drawn)


def test_a_picture_in_few_colours_leaves_room_for_other_processors():
    assert 2 * notebooks.PALETTE_ERROR <= nbval_tolerance.PIXEL_TOLERANCE


def test_pictures_of_cells_are_kept_small(pair):
    source, path = pair
    code = "import matplotlib.pyplot as plt\nplt.scatter(range(99), range(99), c=range(99));"
    source.write_text(CHAPTER.replace("print(2 + 3)", code))
    notebooks.update(source, path, "one")
    (cell,) = (one for one in nbformat.read(path, as_version=4).cells if "outputs" in one)
    (output,) = cell.outputs
    assert Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).mode == "P"


# --- how they are kept up to date ----------------------------------------------------------------


@pytest.fixture
def pair(tmp_path):
    source = tmp_path / "book" / "01-small.md"
    source.parent.mkdir()
    source.write_text(CHAPTER)
    return source, tmp_path / "book" / "notebooks" / "01-small.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Notebooks that were executed once, by the text of their chapters."""
    folder, made = tmp_path_factory.mktemp("executed"), {}
    for number, text in enumerate((CHAPTER, VALUES)):
        source, path = folder / f"0{number}-small.md", folder / f"0{number}-small.ipynb"
        source.write_text(text)
        assert notebooks.update(source, path, "one") == "executed"
        made[text] = path.read_bytes()
    return made


@pytest.fixture
def up_to_date(pair, executed):
    """Write a chapter, and beside it the notebook that was executed: both files."""

    def write(text):
        source, path = pair
        source.write_text(text)
        path.parent.mkdir()
        path.write_bytes(executed[text])
        return source, path

    return write


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


def test_a_notebook_that_was_copied_is_that_of_its_chapter(up_to_date):
    source, path = up_to_date(CHAPTER)
    assert printed(path) == ["5\n"]
    assert notebooks.update(source, path, "one") == "unchanged"


def test_options_and_missing_cells_are_differences(up_to_date):
    source, path = up_to_date(CHAPTER)
    source.write_text(CHAPTER.replace("[hide-input]", "[hide-output]"))
    assert "other options" in notebooks.first_difference(source, path)
    source.write_text(CHAPTER + "\n```{code-cell} python\nprint(1)\n```\n")
    assert "has 3 cells, 01-small.ipynb has 2" in notebooks.first_difference(source, path)


def test_a_failing_chapter_leaves_its_notebook_as_it_was(up_to_date):
    source, path = up_to_date(CHAPTER)
    before = path.read_bytes()
    source.write_text(CHAPTER.replace("2 + 3", "2 / 0"))
    with pytest.raises(ChapterError, match=r"01-small\.md, line 12, .*ZeroDivisionError"):
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


def test_a_notebook_without_a_chapter_is_found(up_to_date, monkeypatch):
    source, path = up_to_date(CHAPTER)
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
    for cell in model["content"]["cells"]:  # as an extension of JupyterLab leaves them
        cell["metadata"]["user_expressions"] = [{"expression": "1", "result": {}}]
    manager.save({"type": "notebook", "content": model["content"]}, f"book/{chapter.name}")
    saved = copy.read_text()
    assert "jupytext_version" not in saved
    assert "user_expressions" not in saved
    before, after = (notebooks.from_chapter(path) for path in (chapter, copy))
    before.cells[0].source += " More."
    assert after.metadata == before.metadata
    assert [(c.cell_type, c.source, c.metadata) for c in after.cells] == [
        (c.cell_type, c.source, c.metadata) for c in before.cells
    ]


# --- values in prose -----------------------------------------------------------------------------

HEAD = CHAPTER[: CHAPTER.index("Some words")]
VALUES = (
    HEAD
    + """\
Before all cells {eval}`1 + 1`.

```{code-cell} python
x = 25
share = 0.954
```

:::{note} A title with {eval}`x`
Text {eval}`f"{share:.0%}"`.
:::

We have 25 trees and 95 % of them.

% repeats 25 trees: x
% repeats 95 %: share

```{code-cell} python
:tags: [hide-input]
# repeats 1,026: x
# the caption would hold it
x = 1026
```

After it, {eval}`x`.
"""
)


def stored(path):
    return [
        (one["expression"], one["result"].get("data", {}).get("text/plain"))
        for cell in nbformat.read(path, as_version=4).cells
        for one in computed.entries(cell)
    ]


def test_values_are_those_of_their_place_in_the_chapter(up_to_date):
    source, path = up_to_date(VALUES)
    assert stored(path) == [
        ("1 + 1", "2"),
        ("x", "25"),
        ('f"{share:.0%}"', "'95%'"),
        ("x", "25.0"),
        ("share", "0.954"),
        ("x", "1026.0"),
        ("x", "1026"),
    ]
    assert notebooks.first_difference(source, path) is None


def test_values_are_computed_again_when_they_are_new_or_moved(up_to_date):
    source, path = up_to_date(VALUES)
    written = path.read_text()
    path.write_text(written.replace("'95%'", "'ninety'"))

    source.write_text(VALUES.replace("Text", "Other words"))
    assert notebooks.update(source, path, "one") == "kept its outputs"
    assert ('f"{share:.0%}"', "'ninety'") in stored(path)

    def why(text):
        source.write_text(text)
        old = nbformat.read(path, as_version=4)
        return notebooks.why_not_current(notebooks.from_chapter(source), old, "one")

    assert why(VALUES.replace("{eval}`1 + 1`", "{eval}`1 + 2`")) == (
        "an expression in its prose is new: 1 + 2"
    )
    first, second = "Before all cells {eval}`1 + 1`.", "After it, {eval}`x`."
    swapped = VALUES.replace(first, "HERE").replace(second, first).replace("HERE", second)
    assert why(swapped) == "an expression in its prose went or moved"
    assert why(VALUES.replace("25 trees: x", "25 trees: x + 0")).startswith("an expression")
    assert why(VALUES.replace("share = 0.954", "share = 0.95")) == "its code changed"
    assert why(VALUES) is None
    assert notebooks.why_not_current(notebooks.from_chapter(source), None, "one") == "it is new"
    path.write_text(
        re.sub(r'"result": \{.*?"status": "ok"\s*\}', '"other": 1', written, flags=re.S)
    )
    assert why(VALUES) == "an expression in its prose was never computed"
    assert "line 9: the value of 1 + 1 is not stored" in notebooks.first_difference(source, path)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("{eval}`1 + 1`", "{eval}`y`", "line 9: y failed: NameError: name 'y' is not defined"),
        ("{eval}`1 + 1`", "{eval}`object()`", "which is different in every run"),
        ("{eval}`x`.\n", "{eval}`(`.\n", r"line \d+: \( failed: SyntaxError"),
        (
            "25 trees: x",
            "25 trees: x + 1",
            "line 22: '25 trees' was typed, but x \\+ 1 is '26 trees'",
        ),
        ("95 %: share", "95 %: 0.95", "line 23: 0.95 repeats nothing that the chapter computes"),
        ("95 %: share", "95 %:share", "line 23: write it as"),
        ("# repeats 1,026: x", "# repeats 1,027: x", "'1,027' was typed, but x is '1,026'"),
        (
            "x = 25\n",
            "import os; os._exit(1)\n",
            r"line 12, code cell 0 \(import os.*\): the kernel died",
        ),
        ("x = 25\n", "%nosuchmagic\n", r"line 12, .*nosuchmagic.*UsageError: Line magic function"),
        ("x = 25\n", "x = (\n", r"line 12, .*SyntaxError"),
        ("x = 25\n", "raise ValueError\n", r"line 12, code cell 0 .*: ValueError\n"),
        (
            "x = 25\n",
            "raise ValueError('\\x1b[31mred\\x1b[0m')\n",
            r"line 12, .*: ValueError: red\n",
        ),
    ],
)
def test_a_chapter_that_fails_is_named_with_line_and_cause(pair, before, after, message):
    source, path = pair
    source.write_text(VALUES.replace(before, after))
    assert before in VALUES
    with pytest.raises(ChapterError, match=message) as caught:
        notebooks.update(source, path, "one")
    assert "01-small.md, line " in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\ufeff" + VALUES, "line 1: the file begins with a byte order mark"),
        (
            VALUES[VALUES.index("Before") :],
            "line 1: it has code, but its front matter names no kernel",
        ),
        (
            VALUES.replace("  display_name: Python 3\n", ""),
            "line 1: it has code, but its front matter names no kernel. Write there",
        ),
        (VALUES.replace("name: python3", "name: julia"), "line 3: the kernel 'julia' is not that"),
        (VALUES.replace("title: Small", "title: [Small"), "the front matter is no YAML"),
        (
            VALUES.replace("```{code-cell} python\n:tags", "``` {code-cell} python\n:tags"),
            "fenced so",
        ),
        (VALUES + "\n:::{code-cell} python\nx\n:::\n", "line 34: notebooks cannot hold"),
        (
            VALUES + "\n- a list\n\n  ```{code-cell} python\n  x\n  ```\n",
            "line 36: a code cell inside",
        ),
        (
            VALUES + "\n::::{note}\n```{code-cell} python\nx\n```\n::::\n",
            "line 35: a code cell inside",
        ),
        (
            VALUES + "\nA note.[^1]\n\n[^1]: Of {eval}`x`.\n\n```{code-cell} python\n```\n",
            "line 36: .*at the end of the page",
        ),
        (
            VALUES.replace(":tags: [hide-input]", ':caption: "Of {eval}`x`"'),
            "in the caption of a code cell",
        ),
    ],
)
def test_what_engine_and_notebook_would_read_otherwise_is_refused_by_line(pair, text, message):
    source, path = pair
    source.write_text(text)
    with pytest.raises(ChapterError, match=message) as caught:
        notebooks.update(source, path, "one")
    assert "01-small.md, line " in str(caught.value)
    assert not path.exists()


def test_options_that_are_no_yaml_are_refused_by_line(pair):
    source, _ = pair
    cell = "```{code-cell} python\n#| label: fig-a\n#| alt: Two dots. Left: one of them.\n7\n```\n"
    source.write_text(HEAD + "\nWords.\n\n" + cell)
    line = source.read_text().split("\n").index("#| alt: Two dots. Left: one of them.") + 1
    (found,) = notebooks.refusals(source)
    assert found.startswith(f"01-small.md, line {line}: the options of a cell are no YAML")
    source.write_text(source.read_text().replace("Left: one", "Left, one"))
    assert notebooks.refusals(source) == []


@pytest.mark.parametrize("stray", ["\x00", "\x0c", "\x1b", "\x85", "\u2028"])
def test_what_ends_lines_for_some_tools_only_is_refused(pair, stray):
    source, _ = pair
    source.write_text(VALUES.replace("Before all", f"Before{stray}all"))
    line = VALUES[: VALUES.index("Before all")].count("\n") + 1
    assert notebooks.refusals(source) == [
        f"01-small.md, line {line}: it holds the control character U+{ord(stray):04X}. Delete it"
    ]


def test_chapters_may_have_the_line_ends_of_other_systems(pair):
    source, path = pair
    source.write_bytes(HEAD.encode().replace(b"\n", b"\r\n") + b"```{code-cell}\r\nprint(7)\r\n```")
    notebooks.update(source, path, "one")
    assert printed(path) == ["7\n"]


def test_other_fences_are_cells_too(pair):
    source, path = pair
    source.write_text(
        HEAD + "~~~{code-cell} python\nprint(7)\n~~~\n\n````{code-cell}\nprint(8)\n````\n"
    )
    notebooks.update(source, path, "one")
    assert printed(path) == ["7\n", "8\n"]


def test_a_page_with_code_in_a_subfolder_is_refused(pair, monkeypatch):
    source, _ = pair
    monkeypatch.setattr(settings, "BOOK", source.parent)
    (source.parent / "more").mkdir()
    deep = source.parent / "more" / "02-deep.md"
    deep.write_text(CHAPTER)
    assert notebooks.refusals(deep) == [
        "02-deep.md, line 1: something is computed on it, so it must lie in book/ itself"
    ]
    assert notebooks.refusals(source) == []


def test_cells_that_are_skipped_are_not_waited_for(pair):
    source, path = pair
    tags = ("[skip-execution]", "[hide-input, skip-execution]")
    cells = [f"\n```{{code-cell}} python\n:tags: {some}\n1 / 0\n```\n" for some in tags]
    source.write_text(CHAPTER + "".join(cells))
    assert notebooks.update(source, path, "one") == "executed"
    assert notebooks.update(source, path, "one") == "unchanged"


def test_one_chapter_can_be_named(pair):
    source, _ = pair
    other = source.with_name("02-other.md")
    assert notebooks.chosen([], [source, other]) == [source, other]
    for name in ("02-other", "02-other.md", "book/02-other.md"):
        assert notebooks.chosen([name], [source, other]) == [other]
    with pytest.raises(ChapterError, match=r"no chapter '2'.*There are: 01-small, 02-other"):
        notebooks.chosen(["2"], [source, other])


@pytest.mark.parametrize("page", sorted(settings.BOOK.glob("*.md")), ids=lambda page: page.stem)
def test_no_page_of_the_book_is_refused(page):
    assert notebooks.refusals(page) == []
