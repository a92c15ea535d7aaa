"""What readers can take with them: names, sizes, and how it is packed.

A zip file is the same, byte for byte, whenever it is made of the same.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

FIRST_DAY = datetime(1980, 1, 1)
"""The earliest day that a zip file can name."""

PDF, EPUB, ARCHIVE = "tree-world.pdf", "tree-world.epub", "tree-world-site.zip"
TAKEN = (PDF, EPUB, ARCHIVE)
"""Names of the files in the site's folder of downloads that hold all of the book."""

PLACE = re.compile(r'(<div class="?take-away"?>).*?(</div>)', re.DOTALL)
"""Where the front page tells of them."""

# What is small already would only take time.
_COMPRESSED = {".png", ".jpg", ".webp", ".woff2", ".gz", ".epub", ".pdf", ".zip"}


def packed(files: Mapping[str, bytes], day: datetime, bare: Collection[str] = ()) -> bytes:
    """Pack files.

    Parameters
    ----------
    files : mapping of str to bytes
        By name, in the order in which they are packed.
    day : datetime.datetime
        Which all files are said to be of.
    bare : collection of str, optional
        Names of files that are not compressed; pictures and the like never are.

    Returns
    -------
    bytes
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            about = zipfile.ZipInfo(name, day.timetuple()[:6])
            about.external_attr = 0o644 << 16
            about.create_system = 3  # or it would depend on the machine
            small = name in bare or Path(name).suffix in _COMPRESSED
            about.compress_type = zipfile.ZIP_STORED if small else zipfile.ZIP_DEFLATED
            archive.writestr(about, content, compresslevel=9)
    return made.getvalue()


def emptied(html: str) -> str:
    """Take what the front page says of such files away: sizes and links hold on the site alone."""
    return PLACE.sub(r"\1\2", html)


def size(path: Path) -> str:
    """Say how large a file is, as a reader would want to know it."""
    megabytes = path.stat().st_size / 1e6
    return f"{megabytes:.1f} MB" if megabytes < 9.95 else f"{megabytes:.0f} MB"
