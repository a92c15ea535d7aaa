"""Say which page and cell failed in a build, by what the kernels wrote down (``cell_log.py``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools import myst

DIED = (
    "the kernel died. The memory of the machine may not have been enough, or compiled code failed"
)
DIED_OR_STOPPED = "the kernel died, or was stopped as another had"


def of_pages(log: Path, pages: Iterable[Path]) -> list[str]:
    """List what failed.

    Parameters
    ----------
    log : pathlib.Path
        What the kernels wrote; need not exist.
    pages : iterable of pathlib.Path
        Sources of the pages that were built.

    Returns
    -------
    list of str
        Page, line, cell and cause of each failure.
    """
    if not log.exists():
        return []
    notes = [json.loads(line) for line in log.read_text().splitlines()]
    chapters = [(page, myst.read(page.read_text())) for page in pages if page.exists()]
    running: dict[int, dict[str, Any]] = {}
    found = []
    for note in notes:
        if note["event"] == "start":
            running[note["kernel"]] = note
            continue
        running.pop(note["kernel"], None)
        if "error" in note:
            found += _told(note, chapters)
    cause = DIED if len(running) == 1 else DIED_OR_STOPPED
    for note in running.values():
        found += _told({**note, "error": cause}, chapters)
    return list(dict.fromkeys(found))


def _told(note: dict[str, Any], chapters: list[tuple[Path, myst.Chapter]]) -> list[str]:
    found = []
    for page, chapter in chapters:
        digest, number = hashlib.sha256(), -1
        for item in chapter.root.items():
            if isinstance(item, myst.Cell) and item.code.strip() and not item.skipped:
                number += 1
                digest.update(_run(item)[0].encode() + b"\0")
            if digest.hexdigest() != note["cell"]:
                continue
            if isinstance(item, myst.Cell) and "expression" not in note:
                if "raises-exception" in item.tags:
                    return []
                code, options = _run(item)
                lines, at = code.split("\n"), note.get("line", 0)
                line, words = item.line, next(line for line in lines if line.strip())
                if 0 < at <= len(lines):
                    line, words = item.first + options + at - 1, lines[at - 1]
                where = f"line {line}, code cell {number} ({words.strip()[:60]})"
                found.append(f"{page.name}, {where}: {note['error'].rstrip('.')}.{_cure(note)}")
            if isinstance(item, myst.Expression) and item.code == note.get("expression"):
                failed = f"{item.code} failed: {note['error'].rstrip('.')}."
                cure = " Mend it, or the cell that computes what it names."
                found.append(f"{page.name}, line {item.line}: {failed}{cure}")
    return found


def _run(cell: myst.Cell) -> tuple[str, int]:
    """Return what the kernel gets of a cell, and how many lines of options it does not get."""
    lines = cell.code.split("\n")
    options = next((n for n, line in enumerate(lines) if not line.startswith("#|")), len(lines))
    return "\n".join(lines[options:]), options


def _cure(note: dict[str, Any]) -> str:
    if note["error"] in (DIED, DIED_OR_STOPPED):
        return " Run the cell by itself, in a smaller case."
    if "magic function" in note["error"]:
        return " Leave the magic out, or load the extension that brings it."
    if note["error"].startswith("ModuleNotFoundError"):
        return " Is it spelt so, and in requirements/book.lock?"
    return " Mend the cell; make live shows the page meanwhile."
