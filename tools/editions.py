"""What pages say of their edition: which it is, how it is cited, and where its sources are.

Nothing here is read by a chapter: commit and day change with every build.
"""

from __future__ import annotations

import datetime
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml


def citation(root: Path) -> dict[str, Any]:
    """Read ``CITATION.cff``.

    Parameters
    ----------
    root : pathlib.Path
        The folder that holds it.

    Returns
    -------
    dict
        Its text as ``file``, and what it ``says``, dates as texts; empty if there is none.
    """
    path = root / "CITATION.cff"
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    # The basic loader makes texts of all, days and numbers among them.
    return {"file": text, "says": yaml.load(text, Loader=yaml.BaseLoader)}


def edition(root: Path) -> dict[str, Any]:
    """Say of which commit this build is, and of which day.

    Parameters
    ----------
    root : pathlib.Path
        The folder of the repository.

    Returns
    -------
    dict
        ``commit``, empty where there is none; whether files were ``changed`` since; and the
        ``date``, which is that of ``SOURCE_DATE_EPOCH`` where this is set, as for builds that are
        to be the same to the byte.
    """
    commit = git(root, "rev-parse", "--short=10", "HEAD")
    now = os.environ.get("SOURCE_DATE_EPOCH")
    moment = (
        datetime.datetime.fromtimestamp(int(now), datetime.UTC)
        if now
        else datetime.datetime.now(datetime.UTC)
    )
    return {
        "commit": commit,
        "changed": bool(commit and git(root, "status", "--porcelain")),
        "date": f"{moment.day} {moment:%B %Y}",
    }


def source(root: Path) -> str:
    """Find the address of the repository.

    Parameters
    ----------
    root : pathlib.Path
        The folder of ``myst.yml``.

    Returns
    -------
    str
        That of ``BOOK_SOURCE``, or else of ``site.options.repository``; empty if there is none.
    """
    path = root / "myst.yml"
    settings = yaml.safe_load(path.read_text()) if path.exists() else {}
    options = (settings.get("site") or {}).get("options") or {}
    return os.environ.get("BOOK_SOURCE") or str(options.get("repository") or "")


def home(source: str) -> str:
    """Take from what `source` found the address that a reader may follow.

    Parameters
    ----------
    source : str
        It may name the scheme of the hosting before the address, and a branch behind it.

    Returns
    -------
    str
        Empty if it is no address of a page.
    """
    found = re.fullmatch(r"(?:\w+\+)?(https?://[^#]+?)(?:\.git)?/?(?:#.+)?", source)
    return found[1] if found else ""


def git(root: Path, *words: str) -> str:
    """Ask git of a folder; empty where it has no answer, as outside a checkout."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
