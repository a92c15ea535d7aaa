"""What fails in a page is told by page, line and cause, with what to do, and without raw traces."""

import hashlib
import json

import pytest

from tools import build, failures, settings
from tools.engine import plain

FRONT = "---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n# One\n\n"
CELL = "```{code-cell} python\n%s\n```\n\n"
PAGES = {
    "value.md": (
        FRONT + CELL % "x = 1" + "It is {eval}`x / 0`.\n",
        "value.md, line 12: x / 0 failed: ZeroDivisionError: division by zero. Mend it, or",
    ),
    "cell.md": (
        FRONT
        + CELL % "#| alt: One.\nx = 1"
        + CELL % "#| alt: A line.\ndef f():\n    return 1 / 0\n\nf()",
        "cell.md, line 16, code cell 1 (return 1 / 0): ZeroDivisionError: division by zero. M",
    ),
    "magic.md": (
        FRONT + CELL % "%nomagic 3",
        "magic.md, line 9, code cell 0 (%nomagic 3): UsageError: Line magic function "
        "`%nomagic` not found. Leave the magic out, or load",
    ),
    "syntax.md": (
        FRONT + CELL % "x = 1\ny = (",
        "syntax.md, line 10, code cell 0 (y = (): SyntaxError: incomplete input. Mend",
    ),
    "bare.md": (
        FRONT + CELL % "raise ValueError",
        "bare.md, line 9, code cell 0 (raise ValueError): ValueError. Mend",
    ),
    "coloured.md": (
        FRONT + CELL % "raise ValueError('\\x1b[31mtoo\\x1b[0m\\nlong')",
        "coloured.md, line 9, code cell 0 (raise ValueError('\\x1b[31mtoo\\x1b[0m\\nlong')): "
        "ValueError: too long. Mend",
    ),
    "module.md": (
        FRONT + CELL % ":tags: [hide-input]\nimport nothing_such",
        "module.md, line 10, code cell 0 (import nothing_such): ModuleNotFoundError: No module "
        "named 'nothing_such'. Is it spelt so",
    ),
    "expected.md": (
        FRONT + CELL % ":tags: [raises-exception]\n1 / 0",
        None,
    ),
    "hanging.md": (
        FRONT + CELL % "import time; time.sleep(60)",
        "hanging.md, line 9, code cell 0 (import time; time.sleep(60)): "
        "TimeoutError: This cell ran for more than 5 seconds",
    ),
}


def told(folder):
    with pytest.raises(build.BuildError) as raised:
        build.run_engine()
    text = str(raised.value)
    assert "\x1b" not in text
    assert "Traceback" not in text
    assert "jupyter-book.cjs" not in text
    assert str(folder) not in text
    return text.splitlines()


def test_what_fails_in_cells_and_sentences_is_told_by_its_place(small_project):
    folder, patch = small_project
    patch.setattr(settings, "CELL_TIMEOUT_SECONDS", 5)
    contents = folder / "myst.yml"
    files = "".join(f"    - file: {name}\n" for name in PAGES)
    contents.write_text(contents.read_text().replace("    - file: chapter.md\n", files))
    for name, (text, _) in PAGES.items():
        (folder / name).write_text(text)
    lines = told(folder)
    expected = [message for _, message in PAGES.values() if message]
    assert len(lines) == len(expected), "\n".join(lines)
    for message in expected:
        assert [line for line in lines if line.startswith(message)], message


def test_a_kernel_that_dies_in_a_cell_is_told_by_its_place(small_project):
    folder, _ = small_project
    (folder / "chapter.md").write_text(FRONT + CELL % "import os; os._exit(1)")
    (line,) = told(folder)
    place = "chapter.md, line 8, code cell 0 (import os; os._exit(1))"
    assert line.startswith(f"{place}: the kernel died")
    assert "another" not in line


def test_kernels_that_ran_when_one_died_are_not_said_to_have_died(tmp_path):
    """The engine stops at it, and with it all the others; who was first is not known."""
    log, pages = tmp_path / "log", []
    notes = []
    for kernel, name in enumerate(("one.md", "other.md")):
        page, code = tmp_path / name, f"print({kernel})"
        page.write_text(FRONT + CELL % code)
        cell = hashlib.sha256(code.encode() + b"\0").hexdigest()
        notes.append(json.dumps({"kernel": kernel, "cell": cell, "event": "start"}))
        pages.append(page)
    log.write_text("\n".join(notes))
    for line, name in zip(failures.of_pages(log, pages), ("one.md", "other.md"), strict=True):
        assert name in line
        assert "died, or was stopped as another had" in line


def test_a_kernel_that_dies_in_a_sentence_is_told_by_its_place(small_project):
    folder, _ = small_project
    (folder / "chapter.md").write_text(FRONT + CELL % "import os" + "It is {eval}`os._exit(1)`.\n")
    (line,) = told(folder)
    assert line.startswith("chapter.md, line 12: os._exit(1) failed: the kernel died")


def test_what_the_engine_says_of_itself_is_left_out():
    said = (
        "building myst-cli session with API URL: https://x\n\x1b[31m⛔️ a.md wrong\x1b[39m\n"
        "/x/jupyter-book.cjs:294707\n    throw Error(`x`);\n          ^\n\n"
        "Error: no\n    at load (/x/jupyter-book.cjs:1:2)\n    at /x/jupyter-book.cjs:1:2\n"
        "Node.js v24.19.0\n at noon it rained\n"
    )
    assert plain(said) == "⛔️ a.md wrong\nError: no\n at noon it rained"
