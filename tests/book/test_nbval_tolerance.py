"""A stored output that is wrong makes the check of the notebooks fail, and a rounding does not."""

import base64
import collections
import copy
import dataclasses
import io
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import nbformat
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tools import computed, downloads, myst, notebooks, settings
from tools.checks import nbval_tolerance
from tools.checks.nbval_tolerance import (
    compare_outputs,
    compare_pictures,
    compare_states,
    compare_text,
)
from tree_world.plotting.data.figure import MIME

CHAPTER = """\
---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

```{code-cell} python
import math  # and not the library, for which each kernel would take some seconds

import matplotlib.pyplot as plt
```

```{code-cell} python
print(f"the deviation is {math.sqrt(2171.47):.6f} metres")
```

```{code-cell} python
print("apples are edible")
```

```{code-cell} python
plt.plot([0, 3, 1, 2]);
```

```{code-cell} python
threshold = 25
tiny = 3.21e-7
```

Within {eval}`threshold` m, {eval}`f"{tiny:.2e}"` of {eval}`f"{threshold * 0.1:.1f}"`, 25 metres.

% repeats 25 metres: threshold
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A reference notebook, made as those of the book are."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "small.md").write_text(CHAPTER)
    notebooks.update(folder / "small.md", folder / "small.ipynb", "digest")
    return nbformat.read(folder / "small.ipynb", as_version=4)


def with_patch(data, size=40, shade=0):
    """The same picture with a small dark square in it."""
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    image.paste((shade, shade, shade), (60, 60, 60 + size, 60 + size))
    with io.BytesIO() as file:
        image.save(file, format="PNG")
        return base64.b64encode(file.getvalue()).decode()


# What is done to the notebook, by names of files.


def slightly_other(notebook):
    stream = notebook.cells[1].outputs[0]
    assert "46.599" in stream.text
    stream.text = stream.text.replace("46.599", "46.601")
    picture = notebook.cells[3].outputs[0].data
    picture["image/png"] = with_patch(picture["image/png"], size=2)


def stored_wrong(notebook):
    notebook.cells[1].outputs[0].text = "the deviation is 47.065 metres\n"  # by one per cent
    notebook.cells[2].outputs[0].text = "apples are poisonous\n"
    picture = notebook.cells[3].outputs[0].data
    picture["image/png"] = with_patch(picture["image/png"])
    values = notebook.cells[-1].metadata.user_expressions
    assert [one.result.data["text/plain"] for one in values] == [
        *("25", "'3.21e-07'", "'2.5'", "25.0"),
    ]
    values[0].result.data["text/plain"] = "35"
    values[1].result.data["text/plain"] = "'4.21e-07'"


def not_compared(notebook):
    notebook.cells[1].source += "\n# NBVAL_IGNORE_OUTPUT"
    notebook.cells[1].outputs[0].text = "the deviation is 47.065 metres\n"
    notebook.cells[2].source = "# NBVAL_IGNORE_OUTPUT\nraise ValueError('it does not hold')"
    notebook.cells[3].source = "raise ValueError('it is not run')"
    notebook.cells[3].metadata.tags = ["skip-execution"]


def other_code(notebook):
    notebook.cells[4].source = notebook.cells[4].source.replace("threshold = 25", "threshold = 26")
    notebook.cells[4].source = notebook.cells[4].source.replace("tiny =", "other =")


def not_stored(notebook):
    notebook.cells[-1].metadata.user_expressions.pop(1)


def not_alone(notebook):
    """What lies beside the reference does not come with the download."""
    notebook.cells[0].source += "\nassert len(list(__import__('pathlib').Path().iterdir())) > 1"


def dead(notebook):
    notebook.cells[0].source = "import os; os._exit(1)"


CHANGES = (slightly_other, stored_wrong, not_compared, other_code, not_stored, not_alone, dead)


@dataclasses.dataclass
class Checked:
    """What came of one notebook."""

    items: int = 0
    failed: list = dataclasses.field(default_factory=list)
    values: list = dataclasses.field(default_factory=list)
    skipped: int = 0
    printed: str = ""


@pytest.fixture(scope="module")
def checked(executed, tmp_path_factory):
    """Run nbval with the plugin, once, on all these notebooks: what came of each, by its change."""
    folder = tmp_path_factory.mktemp("checked")
    for change in CHANGES:
        notebook = copy.deepcopy(executed)
        change(notebook)
        nbformat.write(notebook, folder / f"{change.__name__}.ipynb")
        (folder / f"{change.__name__}.md").write_text(CHAPTER)
    plugin = "tools.checks.nbval_tolerance"
    command = [sys.executable, "-m", "pytest", "-p", plugin, "--nbval", "-q"]
    result = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--color=no", f"--junitxml={folder / 'xml'}", folder],
        cwd=settings.ROOT,
        env=settings.kernel_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    found = collections.defaultdict(Checked)
    for case in ElementTree.parse(folder / "xml").iter("testcase"):
        one = found[case.get("classname").split(".")[-2]]
        one.items += 1
        one.skipped += case.find("skipped") is not None
        failure = case.find("failure")
        if failure is None:
            continue
        one.printed += f"{case.get('name')}\n{failure.text}\n"
        cell = re.fullmatch(r"Cell (\d+)", case.get("name"))
        if cell:
            one.failed.append(int(cell[1]))
        else:
            one.values.append(case.get("name"))
    items = {name: one.items for name, one in found.items()}
    assert items == {change.__name__: 6 for change in CHANGES} | {not_stored.__name__: 1}
    return {change: found[change.__name__] for change in CHANGES}


def test_a_small_difference_passes(checked):
    assert checked[slightly_other] == Checked(items=6)


def test_whatever_is_stored_wrong_fails_and_is_named(checked):
    """A number, a word, a picture, and values in prose: by cell, or by line and expression."""
    found = checked[stored_wrong]
    assert found.failed == [1, 2, 3], found.printed
    assert re.search(
        r"number 47\.065 became 46\.59\d+, more than the tolerance of 0\.001 relative",
        found.printed,
    )
    assert "'apples are poisonous\\n' became 'apples are edible\\n'" in found.printed
    assert re.search(
        r"a picture differs by \d+\.\d+ \(RMS of 0 to 255\), tolerance 2", found.printed
    )
    for cell in (1, 2, 3):
        assert f"Cell {cell}" in found.printed
    assert 'print(f"the deviation' in found.printed
    assert found.values == ["Values after Cell 4 (6)"]
    line = next(n for n, words in enumerate(CHAPTER.split("\n"), 1) if words.startswith("Within"))
    said = f"stored_wrong.md, line {line}, threshold: 35 became 25: number 35 became 25"
    assert said in found.printed
    assert f"line {line}, f\"{{tiny:.2e}}\": '4.21e-07' became '3.21e-07'" in found.printed
    assert "2.5'" not in found.printed


def test_an_output_that_depends_on_the_processor_is_run_and_not_compared(checked):
    found = checked[not_compared]
    assert found.failed == [2], found.printed
    assert found.skipped == 1


def test_code_behind_a_value_that_changed_fails(checked):
    """So does an expression that raises; each is named by the line of its chapter."""
    found = checked[other_code]
    assert found.failed == []
    assert found.values == ["Values after Cell 4 (6)"]
    line = CHAPTER.split("\n").index("% repeats 25 metres: threshold") + 1
    for fault in (
        f"other_code.md, line {line - 2}, threshold: 25 became 26",
        "name 'tiny' is not defined",
        f"other_code.md, line {line}, threshold: '25 metres' was typed, but threshold is",
    ):
        assert fault in found.printed


def test_a_value_that_is_not_stored_fails_by_its_expression(checked):
    assert checked[not_stored].values == ["Download"]
    assert (
        checked[not_stored]
        .printed.strip()
        .endswith('not_stored: no value of f"{tiny:.2e}" is stored. Run: make notebooks')
    )


def test_a_notebook_runs_where_nothing_else_is(checked):
    assert checked[not_alone].failed == [0], checked[not_alone].printed


def test_a_kernel_that_dies_is_told_once_and_nothing_hangs(checked):
    found = checked[dead]
    assert found.failed == [0, 1, 2, 3, 4]
    assert found.values == ["Values after Cell 4 (6)"]
    assert "In this cell the kernel died" in found.printed
    assert found.printed.count("Not run, as the kernel died in Cell 0") >= 5


@pytest.mark.parametrize("source", settings.chapters(), ids=lambda path: path.stem)
def test_what_is_not_compared_is_asserted_instead(source):
    """A cell whose output depends on the processor says so, and what must hold is asserted."""
    cells = myst.read(source.read_text()).cells
    ignored = [number for number, cell in enumerate(cells) if "NBVAL_" in cell.code.upper()]
    for number in ignored:
        assert "# NBVAL_IGNORE_OUTPUT" in cells[number].code.split("\n"), "no other way is meant"
        around = "".join(cell.code for cell in cells[max(0, number - 1) : number + 2])
        assert re.search(r"^\s*(assert|claim\(|torch\.testing\.assert)", around, re.MULTILINE)
    assert not any("nbval" in str(cell.options).lower() for cell in cells)
    assert len(ignored) <= 2  # the exception, not the rule


# --- the book's own outputs ----------------------------------------------------------------------


def outputs_of_the_book():
    for path in sorted(settings.NOTEBOOKS.glob("*.ipynb")):
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if cell.get("outputs"):
                yield pytest.param(cell.outputs, id=f"{path.stem}-{number}")


def larger(match):
    """A number that is one per cent, or one millionth and a half, off."""
    number = float(match[0].replace(",", "").replace("−", "-"))
    return repr(number * 1.01 + math.copysign(1.5e-6, number))


def other_palette(outputs, index):
    state = outputs[index].data[MIME]
    data = json.loads(state["data"])
    data["colours"]["light"]["ink"] = "#000000"
    state["data"] = json.dumps(data)
    return outputs


@pytest.mark.parametrize("outputs", list(outputs_of_the_book()))
def test_no_output_of_the_book_could_change_unnoticed(outputs):
    assert compare_outputs(outputs, outputs) is None
    assert compare_outputs(outputs, []) is not None
    for index, output in enumerate(outputs):
        changed = copy.deepcopy(outputs)
        if "image/png" in output.get("data", {}):
            data = changed[index].data
            data["image/png"] = with_patch(data["image/png"], size=80)
            assert "picture differs" in compare_outputs(outputs, changed)
            continue
        if MIME in output.get("data", {}):
            assert compare_outputs(outputs, other_palette(changed, index)) is not None
            continue
        holder, key = (
            (changed[index], "text") if "text" in output else (changed[index].data, "text/plain")
        )
        content = holder[key]
        for match in nbval_tolerance._NUMBER.finditer(content):
            holder[key] = content[: match.start()] + larger(match) + content[match.end() :]
            assert "number" in compare_outputs(outputs, changed), holder[key]
        for match in re.finditer(r"[A-Za-z]{2,}", content):
            holder[key] = content[: match.start()] + "WORD" + content[match.end() :]
            assert compare_outputs(outputs, changed) is not None, holder[key]


def values_of(path):
    """Values of prose that a notebook holds."""
    for cell in nbformat.read(path, as_version=4).cells:
        yield from computed.entries(cell)


def changed_first_digit(text):
    """A text whose first digit is another one; without a digit, its first letter."""
    digit = re.search(r"\d", text)
    if digit:
        return text[: digit.start()] + str((int(digit[0]) + 1) % 10 or 1) + text[digit.end() :]
    letter = re.search(r"[^\W_]|$", text)
    return text[: letter.start()] + ("x" if letter[0] != "x" else "y") + text[letter.end() :]


@pytest.mark.parametrize("source", settings.chapters(), ids=lambda path: path.stem)
def test_no_value_in_the_prose_of_the_book_could_change_unnoticed(source):
    """The first digit of every stored value is changed, and each time the comparison fails."""
    number = 0
    for one in values_of(settings.NOTEBOOKS / f"{source.stem}.ipynb"):
        number += 1
        assert nbval_tolerance.compare_value(one, one) is None
        for kind, text in one["result"]["data"].items():
            if kind.startswith("image/"):  # pictures are tried below
                continue
            wrong = copy.deepcopy(one)
            wrong["result"]["data"][kind] = changed_first_digit(text)
            fault = nbval_tolerance.compare_value(wrong, one)
            assert fault is not None, f"{one['expression']}: {text}"
    chapter = myst.read(source.read_text())
    assert number == len(chapter.expressions) + len(chapter.repeats)


@pytest.mark.parametrize("source", settings.chapters(), ids=lambda path: path.stem)
def test_every_value_in_the_prose_of_the_book_is_compared(source, pytestconfig):
    """What a run of the notebooks collects holds each expression of the chapter, once, in order."""
    path = settings.NOTEBOOKS / f"{source.stem}.ipynb"
    lines = nbval_tolerance.lines_of_values(path, downloads.of(path))
    chapter = myst.read(source.read_text())
    found = sorted((line, one["expression"]) for cell in lines for line, one in cell)
    wanted = [(item.line, item.code) for item in (*chapter.expressions, *chapter.repeats)]
    assert found == sorted(wanted)


# --- numbers and words ---------------------------------------------------------------------------


@given(st.text(max_size=60))
@example("1.2.3 -4e5 1,234.5 0x1f v2 .5 1e999 ½")
def test_every_text_is_itself(text):
    assert compare_text(text, text) is None


numbers = st.floats(-1e12, 1e12, allow_subnormal=False)


@given(numbers, st.floats(-1e-3, 1e-3))
def test_numbers_within_the_tolerance_are_the_same(number, change):
    near = number * (1 + 0.99 * change)
    assert compare_text(f"x = {number!r} m", f"x = {near!r} m") is None


@given(numbers, st.floats(2e-3, 10.0), st.sampled_from([-1, 1]))
def test_numbers_beyond_the_tolerance_differ(number, change, sign):
    assume(abs(number) > 1e-3)
    far = number * (1 + sign * change)
    fault = compare_text(f"x = {number!r} m", f"x = {far!r} m")
    assert fault is not None
    assert "tolerance" in fault


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("1,234 steps", "1234 steps"),
        ("1,234.5 steps", "1,235.1 steps"),
        ("12 of 34", "12.0 of 34."),
        ("−5.0", "-5.0000001"),
        ("1e-09", "0.0"),
        ("tensor([0.1000, 2.])", "tensor([0.10001, 2.0])"),
    ],
)
def test_the_same_number_may_be_written_otherwise(stored, new):
    assert compare_text(stored, new) is None


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("apple 1", "pear 1"),
        ("5 apples", "5 pears"),
        ("5 apples", "6 apples"),
        ("1,234 steps", "1,235 steps"),
        ("10234", "10235"),
        ("35%", "36%"),
        ("4 ± 1", "4 ± 2"),
        ("−12", "12"),
        ("7", "7.001"),
        ("-5", "5"),
        ("1 2", "1"),
        ("1", "1 2"),
        ("1", ""),
        ("v2", "v3"),
        ("Size([3, 4])", "Size([4, 3])"),
        ("1.0", "nan"),
        ("1.0", "inf"),
        ("1e5", "1e6"),
        ("a  b", "a b"),
    ],
)
def test_what_differs_is_seen(stored, new):
    assert compare_text(stored, new) is not None


# --- pictures ------------------------------------------------------------------------------------


def encoded(array, **options):
    with io.BytesIO() as file:
        Image.fromarray(array.astype(np.uint8)).save(file, format="PNG", **options)
        return base64.b64encode(file.getvalue()).decode()


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 6.0))
def test_the_difference_of_pictures_is_the_root_mean_square(seed, scale):
    rng = np.random.default_rng(seed)
    first = rng.integers(20, 230, size=(9, 7, 3))
    second = first + np.round(rng.normal(0, scale, first.shape)).clip(-20, 20).astype(int)
    pairs = zip(first.flat, second.flat, strict=True)
    expected = math.sqrt(sum(int(a - b) ** 2 for a, b in pairs) / first.size)
    fault = compare_pictures(encoded(first), encoded(second))
    if expected <= nbval_tolerance.PIXEL_TOLERANCE:
        assert fault is None
    else:
        assert f"{expected:.2f}" in fault


def test_only_what_is_seen_of_a_picture_counts():
    array = np.full((4, 6, 3), 200)
    note = PngImagePlugin.PngInfo()
    note.add_text("Software", "another version")
    assert compare_pictures(encoded(array), encoded(array, pnginfo=note)) is None
    fault = compare_pictures(encoded(array), encoded(array[:, :5]))
    assert fault == "a picture of 6 × 4 dots became one of 5 × 4"


# --- states of figures that can be touched -------------------------------------------------------

DATA = {"sd": 10.0, "places": [[0.5, 40.0], [1, -2.0]], "trees": [3, 4]}


def state_of(data, name="read"):
    return json.dumps({"name": name, "data": json.dumps(data)})


def with_value(where, value):
    data = copy.deepcopy(DATA)
    *path, last = where
    holder = data
    for key in path:
        holder = holder[key]
    holder[last] = value
    return state_of(data)


@pytest.mark.parametrize(
    ("where", "value", "same"),
    [
        (("sd",), 10.005, True),
        (("sd",), 10.02, False),
        (("places", 0, 0), 0.53, True),  # a thousandth of the largest
        (("places", 0, 0), 0.55, False),
        (("places", 0, 0), None, False),
        (("places", 0), [0.5], False),
        (("trees", 1), 5, False),
        (("more",), 1, False),
        (("sd",), "ten", False),
    ],
)
def test_numbers_of_a_state_are_compared_with_the_largest_of_their_list(where, value, same):
    fault = compare_states(state_of(DATA), with_value(where, value))
    assert (fault is None) == same
    if not same:
        assert fault.startswith("read")
    assert compare_states(state_of(DATA), state_of(DATA, "walk")) is not None


def test_streams_may_come_in_any_portions():
    def stream(text):
        return nbformat.v4.new_output("stream", name="stdout", text=text)

    assert compare_outputs([stream("a\n"), stream("b\n")], [stream("a\nb\n")]) is None
    assert "outputs" in compare_outputs([stream("a\n")], [])
