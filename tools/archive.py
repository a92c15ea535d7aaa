"""Pack the site into one file, to be read from disk.

Usage: ``python -m tools.archive``

PDF and EPUB are not in it: they hold the same book once more, and each can be taken by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools import packing, pocket, settings
from tree_world.files import write_atomically

FOLDER = "tree-world"
"""What it unpacks to."""


def make() -> Path:
    """Pack the built site.

    Returns
    -------
    pathlib.Path
        Of the archive, in the site: the same for the same site.
    """
    path = settings.SITE / "downloads" / packing.ARCHIVE
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, packing.packed(contents(), pocket.day(settings.imprint(settings.ROOT))))
    return path


def contents() -> dict[str, bytes]:
    """Files of the site by their names in the archive, without what can be taken with you."""
    files = {}
    left_out = {settings.SITE / "downloads" / name for name in packing.TAKEN}
    for path in sorted(settings.SITE.rglob("*")):
        if path.is_file() and path not in left_out:
            content = path.read_bytes()
            if path == settings.SITE / "index.html":
                content = packing.emptied(content.decode()).encode()
            files[f"{FOLDER}/{path.relative_to(settings.SITE).as_posix()}"] = content
    return files


def main() -> int:
    """Pack the site, and say how large it became."""
    if not (settings.SITE / "index.html").exists():
        sys.exit("The book is not built: run make build first.")
    path = make()
    print(f"Archive: {packing.size(path)}, {path.relative_to(settings.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
