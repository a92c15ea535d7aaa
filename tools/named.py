"""Which names in the cells of a page are the library's: what it imports, and what hangs on that.

Only what is sure is named: an imported name or module and its attributes, as long as no cell binds
the name to something else.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools import bindings, myst

Resolve = Callable[[str], str | None]
"""From a dotted path to the address of its entry."""

Place = tuple[int, int, str]
"""Where a name begins and ends in the code of its cell, in characters, and its address."""


_OPTIONS = re.compile(r"\A(?:#\|.*\n)+")  # which the engine takes out of a cell

Places = dict[str, list[Place]]


def listed(sources: Sequence[Path], resolve: Resolve, root: Path) -> dict[str, Places]:
    """List the names in the cells of pages: by page, then by digest of the cell.

    Parameters
    ----------
    sources : sequence of pathlib.Path
    resolve : callable
        Gives the address of the entry of a dotted path, or None.
    root : pathlib.Path
        Pages are named from here.

    Returns
    -------
    dict of str to dict
    """
    found = {}
    for source in sources:
        cells = myst.read(source.read_text()).cells
        steps = [(_OPTIONS.sub("", cell.code), "hide-input" in cell.tags) for cell in cells]
        own = {
            digest_of(code): places
            for (code, _), places in zip(steps, places_of(steps, resolve), strict=True)
            if places
        }
        if own:
            found[source.relative_to(root).as_posix()] = own
    return found


def digest_of(code: str) -> str:
    """Name of a cell among those of its page: from its code, as the theme names it."""
    return hashlib.sha256(code.encode()).hexdigest()[:8]


def places_of(
    cells: Sequence[tuple[str, bool]], resolve: Resolve, known: dict[str, str] | None = None
) -> list[list[Place]]:
    """Find the names in each cell, the first time that each stands there.

    Parameters
    ----------
    cells : sequence of (str, bool)
        Their code, in the order in which they are executed, and whether they are folded: in these
        only what no cell above has named is found, since pages have a limit.
    resolve : callable
    known : dict of str to str, optional
        What is imported before the first cell: names, and their paths.

    Returns
    -------
    list of list of (int, int, str)
    """
    imported = dict(known or {})
    named: set[str] = set()
    found: list[list[Place]] = []
    for code, is_folded in cells:
        tree = bindings.parsed(code)
        if tree is None:
            found.append([])
            continue
        own = _imports(tree)
        bound = {name for name, _ in bindings.changes(code)}
        for name in bound - own.keys():
            imported.pop(name, None)
        imported |= own
        local = _locals(tree)
        places: dict[str, Place] = {}
        starts = _starts(code)
        for line, column, text, path in _mentions(tree, code, imported, local):
            address = resolve(path)
            if address and address not in places and not (is_folded and address in named):
                begin = _at(code, starts, line, column)
                places[address] = begin, begin + len(text), address
        named |= places.keys()
        found.append(sorted(places.values()))
    return found


def _imports(tree: ast.Module) -> dict[str, str]:
    made: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            made |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return {name: path for name, path in made.items() if path.startswith("tree_world.")}


def _locals(tree: ast.Module) -> set[str]:
    """Arguments and variables of functions, which may have an imported name for themselves."""
    taken = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            taken.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            taken.add(node.id)
    return taken


def _mentions(
    tree: ast.Module, code: str, imported: dict[str, str], local: set[str]
) -> Iterator[tuple[int, int, str, str]]:
    """Find lines, columns (in bytes), letters and paths of all that could be of the library."""
    lines = code.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for one in node.names:
                yield one.lineno, one.col_offset, one.name, f"{node.module}.{one.name}"
        elif isinstance(node, ast.Name) and node.id in imported and node.id not in local:
            yield node.lineno, node.col_offset, node.id, imported[node.id]
        elif isinstance(node, ast.Attribute) and node.end_lineno is not None:
            chain = _chain(node)
            if chain and chain[0] in imported and chain[0] not in local:
                path = ".".join([imported[chain[0]], *chain[1:]])
                column = (node.end_col_offset or 0) - len(node.attr.encode())
                if lines[node.end_lineno - 1].isascii() or column >= 0:
                    yield node.end_lineno, column, node.attr, path


def _chain(node: ast.expr) -> list[str]:
    """Names of ``a.b.c``; empty for what is none."""
    if isinstance(node, ast.Name):
        return [node.id]
    inner = _chain(node.value) if isinstance(node, ast.Attribute) else []
    return [*inner, node.attr] if inner and isinstance(node, ast.Attribute) else []


def _starts(code: str) -> list[int]:
    starts = [0]
    for line in code.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


def _at(code: str, starts: list[int], line: int, column: int) -> int:
    """Place of a line and a column in bytes, in characters."""
    text = code[starts[line - 1] :].encode()[:column].decode()
    return starts[line - 1] + len(text)
