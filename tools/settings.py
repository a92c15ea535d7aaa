"""Paths, limits and the environment in which chapters run: the one place for each."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import tomllib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
NOTEBOOKS = BOOK / "notebooks"
THEME = BOOK / "_theme"
BUILD = ROOT / "_build"
SITE = BUILD / "html"
CONTENT = BUILD / "site"
CACHE = ROOT / ".cache"

_chosen = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["tree-world"]
CELL_TIMEOUT_SECONDS = int(_chosen["cell-timeout-seconds"])
BUILD_TIMEOUT_SECONDS = int(_chosen["build-timeout-seconds"])
LOCK_CONSTRAINTS: list[str] = _chosen["constraints"]

SITE_DPI = 160
"""Resolution of the figures on the site; in the reference notebooks it is the library's default."""


def chapters(book: Path = BOOK) -> list[Path]:
    """Markdown files of the book that have code cells, in order."""
    return [path for path in sorted(book.glob("*.md")) if "```{code-cell}" in path.read_text()]


def library_digest(root: Path = ROOT) -> str:
    """Digest of all that the outputs of a chapter depend on, beside its own code.

    Parameters
    ----------
    root : pathlib.Path
        The folder that holds ``tree_world``, ``benchmarks/results`` and ``requirements.lock``.

    Returns
    -------
    str
        Changes when a file of the library, a result of the benchmarks or the lock changes, and with
        nothing else.
    """
    digest = hashlib.sha256()
    files = sorted(
        path
        for path in (root / "tree_world").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    # Chapters draw what the benchmarks wrote down.
    results = sorted((root / "benchmarks" / "results").glob("*.json"))
    for path in [*files, *results, root / "requirements.lock"]:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


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
    (jupyter / "jupyter_server_config.json").write_text(json.dumps(server))
    quiet = {"IPKernelApp": {"log_level": logging.ERROR}}
    (startup.parent / "ipython_kernel_config.json").write_text(json.dumps(quiet))
    for name in ("cell_time_limit.py", "cell_times.py", "dark_figures.py"):
        (startup / name).write_text(Path(__file__).with_name(name).read_text())
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
    # Chapters run side by side: threads that wait must not keep the others from working.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    return environment


def site_environment() -> dict[str, str]:
    """Environment for the engine and the theme: that of the kernels, and what the pages say of it.

    Returns
    -------
    dict of str to str
    """
    return {
        **kernel_environment(),
        "TREE_WORLD_FIGURE_DPI": str(SITE_DPI),
        "TREE_WORLD_DARK_FIGURES": "1",
        "TREE_WORLD_CELL_TIMES": str(CACHE / "cell-times.txt"),
        "BOOK_ROOT": str(ROOT),
        "BOOK_CACHE": str(CACHE),
        "BOOK_COLOPHON": json.dumps(colophon()),
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
