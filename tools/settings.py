"""Paths, limits and the environment in which chapters run: the one place for each."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import platform
import re
import sys
import tomllib
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from tools import editions, myst
from tree_world.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
NOTEBOOKS = BOOK / "notebooks"
LOCKS = ROOT / "requirements"
THEME = BOOK / "_theme"
BINDINGS = Path(__file__).with_name("bindings.py")
BUILD = ROOT / "_build"
SITE = BUILD / "html"
CONTENT = BUILD / "site"
CACHE = ROOT / ".cache"
CONFIRMED = CACHE / "confirmed.json"
"""What ``make test`` leaves when it is green: the state of every page that it confirmed."""

_declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = _declared["project"]
_chosen = _declared["tool"]["tree-world"]
CELL_TIMEOUT_SECONDS = int(_chosen["cell-timeout-seconds"])
BUILD_TIMEOUT_SECONDS = int(_chosen["build-timeout-seconds"])
LOCK_CONSTRAINTS: list[str] = _chosen["constraints"]
SOURCE_ONLY: list[str] = _chosen["source-only"]

SITE_DPI = 160
"""Resolution of the figures on the site; in the reference notebooks it is the library's default."""


# What lies in the folder of the chapters and is not read by their cells.
_NOT_READ_FOLDERS = {"notebooks", "reference", "figures", "_theme", "_build", "__pycache__"}
_NOT_READ_ENDINGS = (".md", ".bib")
_NOT_READ_NAMES = {"preview.webp"}


def chapters(book: Path = BOOK) -> list[Path]:
    """Markdown files of the book in which something is computed, in order."""
    return [path for path in sorted(book.glob("*.md")) if computes(path)]


def pages(root: Path | None = None) -> list[Path]:
    """List the sources of the pages that the contents in ``myst.yml`` name."""
    root = ROOT if root is None else root
    found: list[Path] = []

    def add(entries: list[Any]) -> None:
        for entry in entries:
            if "file" in entry:
                found.append(root / entry["file"])
            add(entry.get("children", []))

    contents = yaml.safe_load((root / "myst.yml").read_text())
    add(contents.get("project", {}).get("toc", []))
    return found


def computes(path: Path) -> bool:
    """Whether a page has code cells or computed numbers."""
    return _computes(path.read_text())


@functools.lru_cache(maxsize=64)  # for tests, which ask again and again
def _computes(text: str) -> bool:
    if "code-cell" not in text and "{eval}" not in text:
        return False
    chapter = myst.read(text)
    return bool(chapter.cells or chapter.expressions)


def library_digest(root: Path = ROOT) -> str:
    """Digest of all that the outputs of a chapter depend on, beside its own code.

    Parameters
    ----------
    root : pathlib.Path
        The folder that holds ``tree_world``, ``requirements/book.lock`` and ``book``, in which
        chapters may have files beside them.

    Returns
    -------
    str
        Changes when a file of the library, stored results among them, the lock or a file beside the
        chapters changes, and with nothing else.
    """
    digest = hashlib.sha256()
    files = sorted(
        path
        for path in (root / "tree_world").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    lock = root / "requirements" / "book.lock"
    for path in [*files, lock, *_beside_chapters(root / "book")]:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _beside_chapters(book: Path) -> list[Path]:
    """List data and modules that a cell may read: neither text, nor made, nor the theme's."""
    found = []
    for folder, folders, names in os.walk(book):
        folders[:] = [
            name for name in folders if not name.startswith(".") and name not in _NOT_READ_FOLDERS
        ]
        found += [Path(folder) / name for name in names if _is_read(name)]
    return sorted(found)


def _is_read(name: str) -> bool:
    return not (
        name.startswith(".") or name.endswith(("~", *_NOT_READ_ENDINGS)) or name in _NOT_READ_NAMES
    )


def page_digest(source: Path) -> str:
    """Digest of all that the numbers of a page depend on. Nothing is executed for it.

    Parameters
    ----------
    source : pathlib.Path
        The page's file.

    Returns
    -------
    str
        Changes with the library, the files beside the chapters, and what the page computes, in its
        order; not with its prose.
    """
    chapter = myst.read(source.read_text())
    computed: list[Any] = []
    for item in chapter.root.items():
        if isinstance(item, myst.Cell):
            computed.append(["cell", item.code, item.tags])
        elif isinstance(item, myst.Expression):
            computed.append(["eval", item.code])
    named = [[repeat.typed, repeat.code] for repeat in chapter.repeats]
    state = json.dumps([library_digest(), computed, named])
    return hashlib.sha256(state.encode()).hexdigest()[:16]


def confirmation() -> dict[str, Any]:
    """Read what the last green run of all tests confirmed; empty if there was none."""
    try:
        stamp = json.loads(CONFIRMED.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def kernel_environment() -> dict[str, str]:
    """Environment for programs that run chapters: this virtual environment, offline, time limits.

    Returns
    -------
    dict of str to str
    """
    jupyter = CACHE / "jupyter"
    ipython = CACHE / "ipython"
    startup = ipython / "profile_default" / "startup"
    for folder in (jupyter, startup):
        folder.mkdir(parents=True, exist_ok=True)
    # A server that runs as root, as in containers, refuses to start unless told otherwise.
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    server = {"ServerApp": {"allow_root": as_root}}
    write_atomically(jupyter / "jupyter_server_config.json", json.dumps(server).encode())
    quiet = {"IPKernelApp": {"log_level": logging.ERROR}}
    write_atomically(startup.parent / "ipython_kernel_config.json", json.dumps(quiet).encode())
    for path in (Path(__file__).parent / "kernel").glob("[a-z]*.py"):
        write_atomically(startup / path.name, path.read_bytes())
    environment = {
        **os.environ,
        "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "JUPYTER_CONFIG_PATH": str(jupyter),
        "IPYTHONDIR": str(ipython),
        "NO_COLOR": "1",
        "TREE_WORLD_CELL_TIMEOUT": str(CELL_TIMEOUT_SECONDS),
        "TREE_WORLD_DIGEST": library_digest(),
    }
    environment.setdefault("HF_HUB_OFFLINE", "1")
    # Chapters run side by side, one on each processor: more threads would wait for each other, and
    # sums would depend on their number.
    environment.setdefault("OMP_NUM_THREADS", "1")
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    return environment


def site_environment() -> dict[str, str]:
    """Environment for the engine and the theme: that of the kernels, and what the pages say of it.

    Returns
    -------
    dict of str to str
    """
    preload = f'--require "{Path(__file__).with_name("all_processors.cjs")}"'
    return {
        **kernel_environment(),
        "NODE_OPTIONS": f"{os.environ.get('NODE_OPTIONS', '')} {preload}".strip(),
        "TREE_WORLD_FIGURE_DPI": str(SITE_DPI),
        "TREE_WORLD_DARK_FIGURES": "1",
        "TREE_WORLD_FOR_SITE": "1",
        "TREE_WORLD_CELL_TIMES": str(CACHE / "cell-times.txt"),
        "TREE_WORLD_CELL_LOG": str(CACHE / "cell-log.txt"),
        "BOOK_ROOT": str(ROOT),
        "BOOK_CACHE": str(CACHE),
        "BOOK_CONTENT": str(ROOT / "_build" / "site"),  # where the engine writes that runs in ROOT
        "BOOK_MOVED": json.dumps(moved()),
        "BOOK_BINDINGS": json.dumps([sys.executable, str(BINDINGS)]),
        "BOOK_NAMES": str(ROOT / "book" / "reference" / "names.json"),
        "BOOK_COLOPHON": json.dumps(colophon()),
        "BOOK_IMPRINT": json.dumps(imprint()),
        "BOOK_CITATION": json.dumps(editions.citation(ROOT)),
        "BOOK_EDITION": json.dumps(editions.edition(ROOT)),
        "BOOK_SOURCE": editions.source(ROOT),
    }


def moved() -> dict[str, str]:
    """Read ``moved.yml``: where pages and places once were, and where they are now.

    Returns
    -------
    dict of str to str
        Addresses as "page" or "page#place".

    Raises
    ------
    ValueError
        If the file is not such a table.
    """
    path = ROOT / "moved.yml"
    if not path.exists():
        return {}
    try:
        table = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"moved.yml is not YAML: {error}") from error
    address = re.compile(r"[\w./-]+(#[^#\s]+)?")
    if not isinstance(table, dict) or not all(
        isinstance(one, str) and address.fullmatch(one) for pair in table.items() for one in pair
    ):
        raise ValueError(
            "moved.yml must be a table of addresses, `old: new`, each like page or page#place"
        )
    return table


def imprint(root: Path = ROOT) -> dict[str, object]:
    """Who made the book, which version it is, and of when, as ``CITATION.cff`` says."""
    path = root / "CITATION.cff"
    if not path.exists():
        return {}
    cited = yaml.safe_load(path.read_text(encoding="utf-8"))
    names = [
        one.get("name") or f"{one['given-names']} {one['family-names']}"
        for one in cited.get("authors", [])
    ]
    day = date.fromisoformat(str(cited["date-released"]))
    return {
        "authors": names,
        "version": str(cited["version"]),
        "date": f"{day.day} {day:%B %Y}",
    }


def colophon() -> dict[str, str]:
    """Versions and kind of machine for the pages to name; no paths and no host names."""
    return {
        "Python": platform.python_version(),
        "PyTorch": version("torch").partition("+")[0],
        "tree_world": version("tree-world"),
        "Jupyter Book": version("jupyter-book"),
        "machine": f"{platform.system()}, {platform.machine()}, {os.cpu_count()} cores",
    }
