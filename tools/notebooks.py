"""Write the reference notebooks: chapters as notebooks, with the outputs they should have.

Usage: ``python -m tools.notebooks``

The Markdown file of a chapter is its only source. Its notebook is executed again when its code
cells changed, or the library or the lock did; when only the prose changed, the outputs are kept.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import jupytext
import nbclient
import nbformat

from tools import settings

Notebook = Any


def main() -> int:
    """Bring all notebooks up to date, and say what was done."""
    digest = settings.library_digest()
    environment = settings.kernel_environment()
    environment.pop("TREE_WORLD_FIGURE_DPI", None)  # reference figures have the library's default
    os.environ.clear()
    os.environ.update(environment)
    sources = settings.chapters()
    for source in sources:
        path = settings.NOTEBOOKS / f"{source.stem}.ipynb"
        started = time.monotonic()
        try:
            what = update(source, path, digest)
        except nbclient.exceptions.CellExecutionError as error:
            print(f"{source.name} failed; its notebook is as before.\n{error}", file=sys.stderr)
            return 1
        print(f"{path.name}: {what} in {time.monotonic() - started:.0f} s", flush=True)
    for stray in stray_notebooks(sources):
        stray.unlink()
        print(f"{stray.name}: removed, as its chapter is gone")
    print(f"Up to date in book/notebooks: {len(sources)}")
    return 0


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
    nbclient.exceptions.CellExecutionError
        If a cell fails or runs too long.
    """
    notebook = from_chapter(source)
    old = nbformat.read(path, as_version=4) if path.exists() else None
    if old is not None and is_current(notebook, old, digest):
        outputs = (cell for cell in old.cells if cell.cell_type == "code")
        for cell in notebook.cells:
            if cell.cell_type == "code":
                done = next(outputs)
                cell.outputs, cell.execution_count = done.outputs, done.execution_count
        what = "kept its outputs"
    else:
        print(f"{path.name}: executing ...", flush=True)
        client = nbclient.NotebookClient(
            notebook,
            timeout=settings.CELL_TIMEOUT_SECONDS,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(source.parent)}},
        )
        client.execute()
        what = "executed"
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["tree_world"] = {"digest": digest}
    text = nbformat.writes(notebook) + "\n"
    if path.exists() and path.read_text() == text:
        return "unchanged"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)
    return what


def from_chapter(source: Path) -> Notebook:
    """Convert a chapter by Jupytext, with cell ids that depend on the cells alone."""
    notebook = jupytext.read(source, fmt="md:myst")
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        key = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:12]
        seen[key] = seen.get(key, 0) + 1
        cell["id"] = key if seen[key] == 1 else f"{key}-{seen[key]}"
    return notebook


def code_of(notebook: Notebook) -> list[str]:
    """List the sources of the code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def is_current(new: Notebook, old: Notebook, digest: str) -> bool:
    """Whether the outputs of an old notebook still belong to a chapter."""
    executed = all(
        cell.execution_count is not None
        for cell in old.cells
        if cell.cell_type == "code" and cell.source.strip()
    )
    same_library = old.metadata.get("tree_world", {}).get("digest") == digest
    return executed and same_library and code_of(new) == code_of(old)


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
    for number, (ours, theirs) in enumerate(zip(new.cells, old.cells, strict=False)):
        if (ours.cell_type, ours.source) != (theirs.cell_type, theirs.source):
            return (
                f"cell {number} of {path.name} is not that of {source.name}: {theirs.source[:80]!r}"
            )
        if ours.metadata != theirs.metadata:
            return f"cell {number} of {path.name} has other options than in {source.name}"
    if len(new.cells) != len(old.cells):
        return f"{source.name} has {len(new.cells)} cells, {path.name} has {len(old.cells)}"
    return None


if __name__ == "__main__":
    sys.exit(main())
