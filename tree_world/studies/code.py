"""By which code a function computes: what its results are known by, and what a worker must have."""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
import platform
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import tree_world

_VERSIONS = (platform.python_version(), np.__version__, torch.__version__)


def innermost(function: Any) -> Any:
    """Give the function that `functools.partial` has fixed arguments of."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def name_of(function: Any) -> str:
    """Say what a function is called."""
    inner = innermost(function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def file_of(function: Any) -> Path:
    """Name the file that a function is defined in; it need not exist.

    Raises
    ------
    TypeError
        If it is defined in none.
    """
    inner = innermost(function)
    return Path(inspect.getfile(inspect.getmodule(inner) or inner))


def key_of(function: Any) -> str:
    """Digest of all that a result depends on, but for the seed."""
    inner = innermost(function)
    digest = hashlib.sha256(f"{inner.__module__}.{inner.__qualname__} {_VERSIONS}".encode())
    digest.update(_fixed(function))
    for path in (file_of(function), *_library()):
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _fixed(function: Any) -> bytes:
    """Arguments that were fixed; the function itself is known by its name and text."""
    fixed = []
    while isinstance(function, functools.partial):
        fixed.append((function.args, sorted(function.keywords.items())))
        function = function.func
    return pickle.dumps(fixed, protocol=4)


def _library() -> list[Path]:
    return sorted(Path(tree_world.__file__).parent.rglob("*.py"))


class Code(NamedTuple):
    """What another process must have so that it computes the same.

    Attributes
    ----------
    versions : str
        Of Python, NumPy and PyTorch.
    library : str
        Digest of all modules of this library.
    modules : dict
        Digest of each module that the function and those given to it are defined in, by its name,
        but for those that are sent with all that they need, as they are of a notebook or a script.
    """

    versions: str
    library: str
    modules: dict[str, str]


def code_here(function: Any) -> Code:
    """Tell of a function what it computes by in this process, now."""
    texts = {name: _text(name) for name in _modules_of(function)}
    return Code(
        _versions(),
        _digest(_library()),
        {name: text for name, text in texts.items() if text is not None},
    )


def differences(wanted: Code) -> list[str]:
    """Name what this process has otherwise; what it once had it is taken to have still.

    For a module that is imported stays as it was, whatever becomes of its file.

    Parameters
    ----------
    wanted : Code
        What the process that asks has.

    Returns
    -------
    list of str
    """
    found = []
    if (versions := _versions()) != wanted.versions:
        found.append(f"{versions} instead of {wanted.versions}")
    if _library_once() != wanted.library:
        found.append("another text of tree_world")
    for name, text in wanted.modules.items():
        if _text_once(name) not in (text, None):
            found.append(f"another text of {name}")
    return found


def _modules_of(function: Any) -> set[str]:
    found = set()
    while isinstance(function, functools.partial):
        for given in (*function.args, *function.keywords.values()):
            if callable(given):
                found |= _modules_of(given)
        function = function.func
    return found | {getattr(function, "__module__", None) or "__main__"}


def _versions() -> str:
    return "Python {}, NumPy {}, PyTorch {}".format(*_VERSIONS)


def _text(module: str) -> str | None:
    path = getattr(sys.modules.get(module), "__file__", None)
    if module == "__main__" or path is None or not Path(path).exists():
        return None
    return _digest([Path(path)])


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _library_once() -> str:
    return _digest(_library())


_text_once = functools.cache(_text)
