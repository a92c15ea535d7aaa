"""Which cell a computed number comes from: the last above that binds a name of its expression.

Usage: ``python tools/bindings.py``, by the theme. It reads pages from standard input as JSON, each
a list of ``{"cell": code}`` and ``{"expression": code}`` in the order in which they are executed,
and writes for each page a list that holds for each expression the number of a cell, or null.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator

Step = dict[str, str]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def origins(steps: Iterable[Step]) -> list[int | None]:
    """Find the origin of each expression of a page.

    Parameters
    ----------
    steps : iterable of dict
        ``{"cell": code}`` or ``{"expression": code}``, in the order in which they are executed.

    Returns
    -------
    list of int or None
        For each expression the number of a cell, from 0 on; None if no cell binds any of its names.
    """
    bound_by: dict[str, int] = {}
    found: list[int | None] = []
    cells = 0
    for step in steps:
        if "cell" in step:
            for name, binds in changes(step["cell"]):
                if binds:
                    bound_by[name] = cells
                else:
                    bound_by.pop(name, None)
            cells += 1
        else:
            known = [bound_by[name] for name in names_of(step["expression"]) if name in bound_by]
            found.append(max(known, default=None))
    return found


def changes(code: str) -> list[tuple[str, bool]]:
    """Names that a cell binds (True) or unbinds (False), in order.

    Parameters
    ----------
    code : str
        As IPython runs it; code that it would not run changes nothing.

    Returns
    -------
    list of tuple of str and bool
        A name is bound by an assignment of any kind, also to an item or an attribute of it; by an
        import, a definition, a loop, a ``with``, a pattern, a walrus. What is local to a function,
        a class or a comprehension is not bound.
    """
    tree = parsed(code)
    if tree is None:
        return []
    return list(_changes(tree))


def parsed(code: str) -> ast.Module | None:
    """Parse code as IPython runs it; None if it would not."""
    try:
        return ast.parse(code)
    except SyntaxError:
        pass
    magic = re.match(r"\s*%%\w+.*\n", code)  # of a cell: what follows is run, or it is not Python
    if magic:
        return parsed(code[magic.end() :])
    from IPython.core.inputtransformer2 import TransformerManager  # slow, and seldom needed

    try:
        return ast.parse(TransformerManager().transform_cell(code))
    except SyntaxError:
        return None


def _changes(node: ast.AST, scope: frozenset[str] | None = None) -> Iterator[tuple[str, bool]]:
    """Find changes of global names by a node; in a function only of those in `scope`."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield from _told([node.id], scope, isinstance(node.ctx, ast.Store))
    elif isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
        yield from _told(_root(node), scope)
        yield from _within(node, scope)
    elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        yield from _assigned(node, scope)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.asname or alias.name.partition(".")[0] for alias in node.names]
        yield from _told(names, scope)
    elif isinstance(node, ast.For | ast.AsyncFor):  # the target after what is looped over
        for part in (node.iter, node.target, *node.body, *node.orelse):
            yield from _changes(part, scope)
    elif isinstance(node, ast.ExceptHandler):  # its name is gone at its end
        yield from _within(node, scope)
        yield from _told([node.name] if node.name else [], scope, False)
    elif isinstance(node, ast.MatchAs | ast.MatchStar):
        yield from _within(node, scope)
        yield from _told([node.name] if node.name else [], scope)
    elif isinstance(node, ast.MatchMapping):
        yield from _within(node, scope)
        yield from _told([node.rest] if node.rest else [], scope)
    elif isinstance(node, _COMPREHENSIONS):  # its variables are its own, but a walrus is not
        for part in ast.walk(node):
            if isinstance(part, ast.NamedExpr):
                yield from _told([part.target.id], scope)
    elif isinstance(node, _SCOPES):
        yield from _defined(node, scope)
    else:
        yield from _within(node, scope)


def _within(node: ast.AST, scope: frozenset[str] | None) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        yield from _changes(child, scope)


def _told(
    names: Iterable[str], scope: frozenset[str] | None, binds: bool = True
) -> Iterator[tuple[str, bool]]:
    yield from ((name, binds) for name in names if scope is None or name in scope)


def _root(node: ast.AST) -> list[str]:
    """Name of the object of which an item or attribute is set: ``a`` of ``a.b[0].c``."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return [node.id] if isinstance(node, ast.Name) else []


def _assigned(
    node: ast.Assign | ast.AugAssign | ast.AnnAssign, scope: frozenset[str] | None
) -> Iterator[tuple[str, bool]]:
    if node.value is None:  # an annotation alone binds nothing
        return
    yield from _changes(node.value, scope)
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        yield from _changes(target, scope)


def _defined(node: ast.AST, scope: frozenset[str] | None) -> Iterator[tuple[str, bool]]:
    """Find what a definition binds: its own name, and what its body declares to be global."""
    assert isinstance(node, _SCOPES)
    if not isinstance(node, ast.Lambda):
        for part in node.decorator_list:
            yield from _changes(part, scope)
        declared = {
            name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names
        }
        for statement in node.body:
            yield from _changes(statement, frozenset(declared))
        yield from _told([node.name], scope)


def names_of(expression: str) -> set[str]:
    """Global names that an expression reads; the variables of its own comprehensions are not.

    Parameters
    ----------
    expression : str

    Returns
    -------
    set of str
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except SyntaxError:
        return set()
    return set(_read(tree.body, frozenset()))


def _read(node: ast.AST, own: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load) and node.id not in own:
            yield node.id
    elif isinstance(node, _COMPREHENSIONS):
        yield from _read(node.generators[0].iter, own)  # which is evaluated outside
        inner = own | {
            part.id
            for generator in node.generators
            for part in ast.walk(generator.target)
            if isinstance(part, ast.Name)
        }
        parts = [child for child in ast.iter_child_nodes(node) if child not in node.generators]
        for generator in node.generators:
            parts += [generator.iter, *generator.ifs]
        parts.remove(node.generators[0].iter)
        for part in parts:
            yield from _read(part, inner)
    elif isinstance(node, ast.Lambda):
        arguments = node.args
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                yield from _read(default, own)
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        stars = [one for one in (arguments.vararg, arguments.kwarg) if one]
        yield from _read(node.body, own | {one.arg for one in (*given, *stars)})
    else:
        for child in ast.iter_child_nodes(node):
            yield from _read(child, own)


def main() -> int:
    """Answer for pages on standard input."""
    pages = json.load(sys.stdin)
    json.dump([origins(page) for page in pages], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
