"""Digests that tell whether the project has changed, or the site that was built from it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import sys
from pathlib import Path

from tools import browser, editions, settings

_SETTINGS = ("BOOK_URL", "BOOK_SOURCE", "SOURCE_DATE_EPOCH")


def project_digest() -> str:
    """Digest of every file of the project that git does not ignore; empty outside a checkout."""
    listing = editions.git(settings.ROOT, "ls-files", "-co", "--exclude-standard", "-z")
    if not listing:
        return ""
    digest = hashlib.sha256()
    for name in sorted(set(listing.split("\0"))):
        path = settings.ROOT / Path(name)
        if path.is_file():
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def site_digest() -> str:
    """Digest of the built site and of all that it depends on; empty outside a checkout.

    Returns
    -------
    str
        Changes with a file of the project, its commit, a package that builds the book, the browser,
        a setting, or a file of the site, as names, sizes and times tell.
    """
    project, commit = project_digest(), editions.git(settings.ROOT, "rev-parse", "HEAD")
    if not project:
        return ""
    made_by = [sys.version, browser.find(), *_packages(), *map(os.environ.get, _SETTINGS)]
    files = [
        (path.relative_to(settings.SITE).as_posix(), stat.st_size, stat.st_mtime_ns)
        for path in sorted(settings.SITE.rglob("*"))
        if (stat := path.stat()) and path.is_file()
    ]
    state = json.dumps([project, commit, made_by, files])
    return hashlib.sha256(state.encode()).hexdigest()


def _packages() -> list[str]:
    """Versions of what is installed, of all that the book's lock names."""
    lock = (settings.LOCKS / "book.lock").read_text()
    names = re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)
    return [f"{name} {_version(name)}" for name in names]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
