"""What the colophon of a built page says of its numbers: when confirmed, and from what studies.

Usage: ``python -m tools.colophons``

The theme leaves a place for it in each page. The build fills it, and so do the tests when they have
passed, so that the site that they looked at says so.
"""

from __future__ import annotations

import ast
import datetime
import html
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

from benchmarks.origins import Stored, stored
from tools import bindings, myst, settings
from tree_world.files import write_atomically

_PLACE = re.compile(r'(<p class="confirmed">).*?(</p>)', re.DOTALL)
READER = "stored_results"  # of tree_world.studies, which takes seconds to import
NOT_CONFIRMED = (
    "Its numbers are <em>not yet confirmed</em>: all tests have still to pass on what it computes."
)


def renew() -> int:
    """Fill the colophons of all pages of the built site.

    Returns
    -------
    int
        How many pages have one.
    """
    stamp, studies, filled = settings.confirmation(), stored(settings.ROOT), 0
    for tree in sorted((settings.CONTENT / "content").glob("*.json")):
        content = json.loads(tree.read_text())
        slug, source = content["slug"], settings.ROOT / content["location"].lstrip("/")
        home = "index.html" if slug == "index" else f"{slug}/index.html"
        path = settings.SITE / home
        if not path.exists() or not source.exists():
            continue
        before = path.read_text()
        place = _PLACE.search(before)
        if place is None:
            continue
        filled += 1
        words = f"{confirmed(source, stamp)} {drawn(source, studies)}".strip()
        after = before[: place.start()] + f"{place[1]}{words}{place[2]}" + before[place.end() :]
        if after != before:
            write_atomically(path, after.encode())
    return filled


def confirmed(source: Path, stamp: dict[str, Any]) -> str:
    """Say when all tests last passed on what a page computes.

    Parameters
    ----------
    source : pathlib.Path
        Of the page.
    stamp : dict
        As `settings.confirmation` reads it.

    Returns
    -------
    str
        HTML.
    """
    if stamp.get("pages", {}).get(source.stem) != settings.page_digest(source):
        return NOT_CONFIRMED
    commit = html.escape(str(stamp.get("commit", ""))[:10])
    where = f" at commit {commit}" if commit and stamp.get("clean") else ""
    if commit and not stamp.get("clean"):
        where = f" with changes to commit {commit}"
    return f"Its numbers were last confirmed on {_date(str(stamp.get('date', '')))}{where}."


def _date(text: str) -> str:
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        return "a day that is not known"
    return f"{day.day}\u00a0{day:%B} {day.year}"


def drawn(source: Path, studies: Iterable[Stored]) -> str:
    """Name the stored results that a page draws.

    Parameters
    ----------
    source : pathlib.Path
    studies : iterable of Stored

    Returns
    -------
    str
        HTML; empty if it draws none.
    """
    found = drawn_by(source, list(studies))
    if not found:
        return ""
    names = ", ".join(f"{html.escape(one.study)} {_from(one)}" for one in found)
    later = "" if all(one.current for one in found) else " †\u00a0By code that has changed since."
    return f"Drawn from stored studies: {names}.{later}"


def _from(one: Stored) -> str:
    commit = f"commit\u00a0{html.escape(one.commit)}" if one.commit else "commit not known"
    return f"({html.escape(one.date)}, {commit}{'' if one.current else '†'})"


def drawn_by(source: Path, studies: list[Stored]) -> list[Stored]:
    """List the stored results that a page reads.

    Parameters
    ----------
    source : pathlib.Path
    studies : list of Stored
        From which to choose.

    Returns
    -------
    list of Stored
        Those of the files that it names, and of these the studies that it names; all of a file if
        it names none of them.
    """
    nodes = list(_nodes(source))
    if not any(_is_reader(node) for node in nodes):
        return []
    texts = set(_texts(nodes))
    asked = {text for node in nodes if _reads(node) for text in _texts(node.args)}
    found = []
    for file in dict.fromkeys(one.file for one in studies):
        own = [one for one in studies if one.file == file]
        named = [one for one in own if one.name in texts]
        if file in asked:
            found += named or own
        elif file in texts:
            found += named
    return found


def _nodes(source: Path) -> Iterator[ast.AST]:
    """All that the code of a page is made of, in cells and in expressions."""
    chapter = myst.read(source.read_text())
    code = [cell.code for cell in chapter.cells] + [one.code for one in chapter.expressions]
    for tree in filter(None, map(bindings.parsed, code)):
        yield from ast.walk(tree)


def _is_reader(node: ast.AST) -> bool:
    """Whether it names the function that reads stored results."""
    named = getattr(node, "attr", getattr(node, "id", None))
    return isinstance(node, ast.Name | ast.Attribute) and named == READER


def _reads(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and _is_reader(node.func)


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def main() -> int:
    """Fill the colophons, and say so."""
    print(f"Colophons: {renew()} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
