"""Write the reference notebooks: chapters as notebooks, with the outputs they should have.

Usage: ``python -m tools.notebooks [NAME ...]``, for example ``python -m tools.notebooks 03-drives``

The Markdown file of a chapter is its only source. Its notebook is executed again when its code
cells changed, or an expression in its prose did, or the library or the lock; when only words
changed, the outputs are kept.
"""

from __future__ import annotations

import base64
import bisect
import hashlib
import io
import itertools
import os
import re
import sys
import time
from pathlib import Path
from queue import Empty
from typing import Any

import jupytext
import nbclient
import nbformat
import numpy as np
import yaml
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import ensure_async
from jupytext.myst import MystMetadataParsingError, myst_to_notebook
from PIL import Image

from tools import computed, failures, myst, settings
from tools.myst import ChapterError
from tree_world.files import write_atomically

Notebook = Any

SKIP = myst.SKIP
PALETTE_ERROR = 1.0
"""How far a stored picture may be from what was drawn: half of what the comparison forgives."""

# Not allowed in YAML, or the end of a line to some tools, and to others not.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    """Bring all notebooks up to date, or those that are named, and say what was done."""
    environment = settings.kernel_environment()
    environment.pop("TREE_WORLD_FIGURE_DPI", None)  # reference figures have the library's default
    os.environ.clear()
    os.environ.update(environment)
    try:
        everything = settings.chapters()
        sources = chosen(sys.argv[1:], everything)
        digest = settings.library_digest()
        for source in sources:
            path = settings.NOTEBOOKS / f"{source.stem}.ipynb"
            started = time.monotonic()
            what = update(source, path, digest)
            print(f"{path.name}: {what} in {time.monotonic() - started:.0f} s", flush=True)
    except ChapterError as error:
        print(f"{error}\nNo other notebook was written.", file=sys.stderr)
        return 1
    if len(sources) == len(everything):
        for stray in stray_notebooks(sources):
            stray.unlink()
            print(f"{stray.name}: removed, as its chapter is gone")
    print(f"Up to date in book/notebooks: {len(sources)}")
    return 0


def chosen(names: list[str], sources: list[Path]) -> list[Path]:
    """Chapters by their names, with or without folder and ending; all, if none is named.

    Raises
    ------
    tools.myst.ChapterError
        If there is no such chapter; the message lists those that there are.
    """
    known = {source.stem: source for source in sources}
    wanted = [Path(name).name.removesuffix(".md") for name in names]
    if wanted == ["--one"]:
        raise ChapterError(f"Name a chapter: make chapter NAME=..., of {', '.join(known)}")
    for name in wanted:
        if name not in known:
            raise ChapterError(
                f"There is no chapter {name!r} in which something is computed. "
                f"There are: {', '.join(known)}"
            )
    return [known[name] for name in wanted] or sources


def stray_notebooks(sources: list[Path]) -> list[Path]:
    """Notebooks whose chapter does not exist."""
    names = {source.stem for source in sources}
    return [path for path in sorted(settings.NOTEBOOKS.glob("*.ipynb")) if path.stem not in names]


def update(source: Path, path: Path, digest: str) -> str:
    """Bring one notebook up to date.

    Parameters
    ----------
    source : pathlib.Path
        The chapter.
    path : pathlib.Path
        Its notebook; written whole or not at all.
    digest : str
        Digest of what the outputs depend on beside the code.

    Returns
    -------
    str
        What was done.

    Raises
    ------
    tools.myst.ChapterError
        If the chapter is refused, or a cell or an expression fails or takes too long; by line.
    """
    notebook = from_chapter(source)
    old = nbformat.read(path, as_version=4) if path.exists() else None
    reason = why_not_current(notebook, old, digest)
    if old is not None and reason is None:
        keep_results(notebook, old)
        check_values(notebook, source)
        what = "kept its outputs"
    else:
        print(f"{path.name}: executing, as {reason} ...", flush=True)
        execute(notebook, source)
        what = "executed"
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["tree_world"] = {"digest": digest}
    text = nbformat.writes(notebook) + "\n"
    if path.exists() and path.read_text() == text:
        return "unchanged"
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, text.encode())
    return what


# --- from a chapter to a notebook ----------------------------------------------------------------


def from_chapter(source: Path) -> Notebook:
    """Convert a chapter by Jupytext, with all that is to be computed, but nothing of it yet.

    Parameters
    ----------
    source : pathlib.Path

    Returns
    -------
    notebook
        Its cells have ids that depend on the cells alone; cells whose prose holds values have
        these planned in their metadata.

    Raises
    ------
    tools.myst.ChapterError
        If engine and Jupytext would not read the same cells, or the chapter is otherwise refused.
    """
    text = _text_of(source)
    notebook = jupytext.reads(text, fmt="md:myst")
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        key = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:12]
        seen[key] = seen.get(key, 0) + 1
        cell["id"] = key if seen[key] == 1 else f"{key}-{seen[key]}"
    for index, items in enumerate(_values_by_cell(source, text)):
        if items:
            planned = [computed.entry(item) for item in items]
            notebook.cells[index].metadata[computed.KEY] = nbformat.from_dict(planned)
    return notebook


def _text_of(source: Path) -> str:
    """Text of a chapter that can be computed.

    Raises
    ------
    tools.myst.ChapterError
        If it cannot, with the first reason.
    """
    found = refusals(source)
    if found:
        raise ChapterError(found[0])
    return source.read_text()


def refusals(source: Path) -> list[str]:
    """Say why a page cannot be computed, each reason with its line and what to do.

    Parameters
    ----------
    source : pathlib.Path

    Returns
    -------
    list of str
        Empty for a page that is right, or on which nothing is computed.
    """

    def at(line: int, why: str) -> str:
        return f"{source.name}, line {line}: {why}"

    raw = source.read_bytes()
    if raw.startswith(b"\xef\xbb\xbf"):
        return [at(1, "the file begins with a byte order mark. Save it as UTF-8 without one")]
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return [at(line, "the file is not UTF-8. Save it as that")]
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # as every tool reads it
    if stray := _CONTROL.search(text):
        line = text.count("\n", 0, stray.start()) + 1
        return [at(line, f"it holds the control character U+{ord(stray[0]):04X}. Delete it")]
    chapter = myst.read(text)
    found = [at(line, why) for line, why in chapter.faults]
    if not chapter.cells and not chapter.expressions:
        return found
    if in_front := _kernel_faults(text):
        return [at(line, why) for line, why in in_front]
    if source.resolve().parent != settings.BOOK.resolve() and (
        settings.BOOK.resolve() in source.resolve().parents
    ):
        found.append(
            at(1, f"something is computed on it, so it must lie in {settings.BOOK.name}/ itself")
        )
    found += [at(line, why) for line, why in _cell_faults(text, chapter)]
    found += [at(line, why) for line, why in myst.option_faults(chapter)]
    for repeat in chapter.repeats:
        if not computed.names_something(repeat.code):
            found.append(
                at(
                    repeat.line,
                    f"{repeat.code} repeats nothing that the chapter computes. Name the variable",
                )
            )
    return found


def _kernel_faults(text: str) -> list[tuple[int, str]]:
    example = "kernelspec:\n  name: python3\n  display_name: Python 3"
    match = re.match(r"---\n(.*?)^---\s*$", text, re.DOTALL | re.MULTILINE)
    lines = match[1].split("\n") if match else []
    try:
        front = yaml.safe_load(match[1]) if match else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        return [(line, f"the front matter is no YAML: {getattr(error, 'problem', error)}")]
    spec = (front or {}).get("kernelspec") if isinstance(front, dict) else None
    if not isinstance(spec, dict) or not (spec.get("name") and spec.get("display_name")):
        return [
            (1, f"it has code, but its front matter names no kernel. Write there:\n{example}"),
        ]
    known = sorted(KernelSpecManager().find_kernel_specs())
    if spec["name"] != "python3":
        line = next((n for n, words in enumerate(lines, 2) if words.startswith("kernelspec")), 1)
        return [
            (
                line,
                f"the kernel {spec['name']!r} is not that of the book. Write `name: python3` "
                f"(installed: {', '.join(known)})",
            )
        ]
    return []


def _starts(text: str) -> list[int]:
    """Lines, from 0, on which the content of each cell begins for Jupytext."""
    return list(myst_to_notebook(text, add_source_map=True).metadata["source_map"])


def _cell_faults(text: str, chapter: myst.Chapter) -> list[tuple[int, str]]:
    """Cells on which the engine and Jupytext do not agree."""
    tagged = [
        (cell.line, "the tags of a code cell must be a list. Write, say, :tags: [hide-input]")
        for cell in chapter.cells
        if isinstance(tags := cell.options.get("tags", "["), str) and not tags.startswith("[")
    ]
    if tagged:
        return tagged
    try:
        pairs = zip(myst_to_notebook(text).cells, _starts(text), strict=True)
    except (MystMetadataParsingError, nbformat.ValidationError) as error:
        line = re.search(r"at line (\d+)", str(error))
        return [(int(line[1]) if line else 1, f"Jupytext cannot read it: {error}")]
    theirs = {start for cell, start in pairs if cell.cell_type == "code"}
    right = "Write ```{code-cell} python, without a blank, at the beginning of a line"
    faults = []
    for cell in chapter.cells:
        if cell.nested:
            faults.append((cell.line, f"a code cell inside a list or another block. {right}"))
        elif cell.line not in theirs:
            faults.append(
                (cell.line, f"notebooks cannot hold a code cell that is fenced so. {right}")
            )
    ours = {cell.line for cell in chapter.cells}
    faults += [
        (line, f"a code cell that the engine takes for something else. {right}")
        for line in sorted(theirs - ours)
    ]
    return faults


def _values_by_cell(source: Path, text: str) -> list[list[myst.Expression | myst.Repeat]]:
    """For each cell of the notebook, the values of its prose, in the engine's order.

    Raises
    ------
    tools.myst.ChapterError
        If the engine computes one at another place than where it stands.
    """
    chapter, starts = myst.read(text), _starts(text)
    kinds = [cell.cell_type for cell in myst_to_notebook(text).cells]
    found: list[list[myst.Expression | myst.Repeat]] = [[] for _ in starts]
    num_cells = 0
    for item in chapter.root.items():
        if isinstance(item, myst.Cell):
            num_cells += 1
        if isinstance(item, myst.Expression):
            index = bisect.bisect_right(starts, item.line - 1) - 1
            if kinds[:index].count("code") != num_cells:
                raise ChapterError(
                    f"{source.name}, line {item.line}: {{eval}}`{item.code}` would be computed at "
                    "the end of the page, as footnotes are. Put it into the text"
                )
            found[index].append(item)
    for repeat in chapter.repeats:
        found[bisect.bisect_right(starts, repeat.line - 1) - 1].append(repeat)
    return found


def value_lines(source: Path) -> list[list[int]]:
    """Lines of a chapter on which the values of each cell stand, in the order of its entries."""
    return [[item.line for item in items] for items in _values_by_cell(source, source.read_text())]


def cell_lines(source: Path) -> list[int]:
    """Lines of a chapter on which the content of each cell begins."""
    return [start + 1 for start in _starts(source.read_text())]


# --- running it ----------------------------------------------------------------------------------


def execute(notebook: Notebook, source: Path) -> None:
    """Run a notebook in place: its cells, and between them the values of its prose.

    Parameters
    ----------
    notebook : notebook
        As `from_chapter` returns it.
    source : pathlib.Path
        The chapter, for the folder in which it runs and for messages.

    Raises
    ------
    tools.myst.ChapterError
        If something fails: page, line, what, and why.
    """
    client = _Client(
        notebook,
        timeout=settings.CELL_TIMEOUT_SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(source.parent)}},
    )
    client.chapter = source
    client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                png = slim(base64.b64decode(data["image/png"]))
                data["image/png"] = base64.b64encode(png).decode()
    check_values(notebook, source)


def slim(png: bytes) -> bytes:
    """Make a picture smaller without making it worse to look at.

    Edges that are smoothed make thousands of colours, and most of the bytes. 256 colours do as
    well, and take a third; where they do not, as in maps of scents, all colours stay.

    Parameters
    ----------
    png : bytes
        A PNG file.

    Returns
    -------
    bytes
        A PNG file of the same size in dots, which differs by at most `PALETTE_ERROR`, as root of
        the mean square of its colour values (0 to 255); the same file, if one can see through it.
    """
    drawn = Image.open(io.BytesIO(png))
    if drawn.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        return png
    exact = drawn.convert("RGB")
    few = exact.quantize(256, Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE)
    error = np.asarray(few.convert("RGB"), dtype=np.float64) - np.asarray(exact)
    stored = few if np.sqrt(np.mean(error**2)) <= PALETTE_ERROR else exact
    file = io.BytesIO()
    stored.save(file, "png", optimize=True, dpi=drawn.info.get("dpi"))
    return file.getvalue()


class _Client(nbclient.NotebookClient):
    chapter: Path

    async def async_execute_cell(
        self, cell: Any, cell_index: int, *positional: Any, **named: Any
    ) -> Any:
        try:
            await super().async_execute_cell(cell, cell_index, *positional, **named)
            asked = computed.entries(cell)
            if asked and SKIP not in cell.metadata.get("tags", []):
                done = computed.results(asked, await self._values(asked))
                cell.metadata[computed.KEY] = nbformat.from_dict(done)
        except nbclient.exceptions.CellExecutionError as error:
            raise ChapterError(self._place(cell_index) + _cause(error)) from None
        except nbclient.exceptions.CellTimeoutError:
            raise ChapterError(
                f"{self._place(cell_index)} it ran for more than {self.timeout} seconds. Make it "
                "quicker, or raise cell-timeout-seconds in pyproject.toml"
            ) from None
        except nbclient.exceptions.DeadKernelError:
            raise ChapterError(f"{self._place(cell_index)} {failures.DIED}") from None
        return cell

    def _place(self, index: int) -> str:
        cell = self.nb.cells[index]
        line = cell_lines(self.chapter)[index]
        number = sum(one.cell_type == "code" for one in self.nb.cells[:index])
        first = next((words for words in cell.source.split("\n") if words.strip()), "")
        what = f"code cell {number}" if cell.cell_type == "code" else "the prose"
        return f"{self.chapter.name}, line {line}, {what} ({first.strip()[:60]}):"

    async def _values(self, asked: list[computed.Entry]) -> dict[str, Any]:
        kernel: Any = self.kc
        sent = kernel.execute(
            "", store_history=False, user_expressions=computed.requests(asked), allow_stdin=False
        )
        deadline = time.monotonic() + settings.CELL_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                reply = await kernel.get_shell_msg(timeout=1)
            except Empty:
                manager: Any = self.km
                if not await ensure_async(manager.is_alive()):
                    raise nbclient.exceptions.DeadKernelError from None
                continue
            if reply["parent_header"].get("msg_id") == sent:
                return dict(reply["content"])
        raise nbclient.exceptions.CellTimeoutError("the prose", self.timeout)


def _cause(error: nbclient.exceptions.CellExecutionError) -> str:
    """Say what a failed cell says: the error, and its trace without colours."""
    trace = _COLOURS.sub("", str(error.traceback or "")).strip()
    trace = re.sub(r"\AAn error occurred.*?^-+$.*?^-+$", "", trace, flags=re.DOTALL | re.MULTILINE)
    if error.ename in ("", "<Error>", None) or not trace:
        # IPython prints its own complaints, such as of magics that it does not know.
        printed = _COLOURS.sub("", str(error)).strip().splitlines()
        return " " + next((line for line in printed if "Error" in line), "it failed")
    value = _COLOURS.sub("", str(error.evalue))
    return f" {error.ename}: {value}".rstrip(": ") + f"\n\n{trace.strip()}"


def check_values(notebook: Notebook, source: Path) -> None:
    """Check that all values of a notebook can be stored.

    Raises
    ------
    tools.myst.ChapterError
        For the first that cannot: page, line, expression, why.
    """
    for cell, lines in zip(notebook.cells, value_lines(source), strict=True):
        if SKIP in cell.metadata.get("tags", []):
            continue
        for done, line in zip(computed.entries(cell), lines, strict=True):
            why = computed.fault(done)
            if why:
                raise ChapterError(f"{source.name}, line {line}: {why}")


# --- what is still right -------------------------------------------------------------------------


def computed_of(notebook: Notebook) -> list[tuple[str, Any]]:
    """List all that is computed, in order: the code of cells, and what is asked for in prose."""
    found: list[tuple[str, Any]] = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            found.append(("cell", (cell.source, SKIP in cell.metadata.get("tags", []))))
        found += [("value", dict(computed.plain(one))) for one in computed.entries(cell)]
    return found


def keep_results(new: Notebook, old: Notebook) -> None:
    """Take outputs and values from a notebook in which the same things were computed."""
    outputs = (cell for cell in old.cells if cell.cell_type == "code")
    values = (one for cell in old.cells for one in computed.entries(cell))
    for cell in new.cells:
        if cell.cell_type == "code":
            done = next(outputs)
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
        if computed.entries(cell):
            cell.metadata[computed.KEY] = [next(values) for _ in computed.entries(cell)]


def why_not_current(new: Notebook, old: Notebook | None, digest: str) -> str | None:
    """Say why a notebook has to be executed.

    Returns
    -------
    str or None
        The reason, in words; None if the outputs of the old notebook still belong to the chapter.
    """
    if old is None:
        return "it is new"
    if old.metadata.get("tree_world", {}).get("digest") != digest:
        return "the library or what it depends on changed"
    for cell in old.cells:
        skipped = SKIP in cell.metadata.get("tags", [])
        if skipped:
            continue
        if cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None:
            return "a cell was never executed"
        if any("result" not in one for one in computed.entries(cell)):
            return "an expression in its prose was never computed"
    before, now = computed_of(old), computed_of(new)
    if before == now:
        return None
    if [what for what in before if what[0] == "cell"] != [
        what for what in now if what[0] == "cell"
    ]:
        return "its code changed"
    changed = next((what for what in now if what not in before), None)
    if changed is not None:
        return f"an expression in its prose is new: {changed[1]['expression']}"
    return "an expression in its prose went or moved"


def is_current(new: Notebook, old: Notebook, digest: str) -> bool:
    """Whether the outputs of an old notebook still belong to a chapter."""
    return why_not_current(new, old, digest) is None


def first_difference(source: Path, path: Path) -> str | None:
    """Say where a notebook differs from its chapter, in anything but outputs.

    Returns
    -------
    str or None
        The first difference, in words; None if there is none.
    """
    if not path.exists():
        return f"{source.name} has no notebook"
    new, old = from_chapter(source), nbformat.read(path, as_version=4)
    lines = value_lines(source)
    for number, (ours, theirs) in enumerate(zip(new.cells, old.cells, strict=False)):
        if (ours.cell_type, ours.source) != (theirs.cell_type, theirs.source):
            return (
                f"cell {number} of {path.name} is not that of {source.name}: {theirs.source[:80]!r}"
            )
        if _options(ours) != _options(theirs):
            return f"cell {number} of {path.name} has other options than in {source.name}"
        wanted = [dict(one) for one in computed.entries(ours)]
        stored = [dict(computed.plain(one)) for one in computed.entries(theirs)]
        for one, other, line in itertools.zip_longest(wanted, stored, lines[number]):
            if one is None:
                return f"{path.name} holds a value of {other['expression']}, {source.name} does not"
            if one != other:
                return (
                    f"{source.name}, line {line}: the value of {one['expression']} is not stored "
                    f"in {path.name}"
                )
    if len(new.cells) != len(old.cells):
        return f"{source.name} has {len(new.cells)} cells, {path.name} has {len(old.cells)}"
    return None


def _options(cell: Any) -> dict[str, Any]:
    return {key: value for key, value in cell.metadata.items() if key != computed.KEY}


if __name__ == "__main__":
    sys.exit(main())
