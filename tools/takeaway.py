"""The block "Take it with you" of the front page, and the files that it leads to.

Usage: ``python -m tools.takeaway``

The front page leaves a place for it, as sizes are known only when the site is built. So the build
fills it, and so do the tests when they have passed, as the pages then say so.
"""

from __future__ import annotations

import html
import sys

from tools import archive, editions, packing, pocket, settings
from tools.pocket_pages import PocketError
from tree_world.files import write_atomically

# Name of a file of downloads/, what it is, and what it is good for.
_OFFERS = (
    (packing.PDF, "PDF", "for paper, with page numbers"),
    (packing.EPUB, "EPUB", "for a reading device, in its own letters"),
    (
        packing.ARCHIVE,
        "Archive of these pages",
        "to be unpacked and read from disk: open index.html",
    ),
)


def renew() -> int:
    """Make EPUB and archive of the built site, and fill the block with links to what there is.

    Returns
    -------
    int
        To how many things it leads; 0 if the front page has no place for it.

    Raises
    ------
    PocketError
        If a page cannot be put into the EPUB.
    """
    pocket.make()
    archive.make()
    return fill()


def fill() -> int:
    """Fill the block with links to what lies in the site's folder of downloads."""
    path = settings.SITE / "index.html"
    before = path.read_text()
    place = packing.PLACE.search(before)
    if place is None:
        return 0
    found = offers()
    after = before[: place.start()] + f"{place[1]}{block(found)}{place[2]}" + before[place.end() :]
    if after != before:
        write_atomically(path, after.encode())
    return len(found)


def offers() -> list[tuple[str, str, str]]:
    """List what can be taken: address, name, and what is said of it."""
    folder = settings.SITE / "downloads"
    found = [
        (f"downloads/{name}", title, f"{packing.size(folder / name)}, {words}")
        for name, title, words in _OFFERS
        if (folder / name).exists()
    ]
    if home := editions.home(editions.source(settings.ROOT)):
        found.append((home, "Sources", "of the book and of the library"))
    return found


def block(found: list[tuple[str, str, str]]) -> str:
    """Write the block as HTML without a ``div``, which would end its place."""
    if not found:
        return ""
    entries = "".join(
        f'<li><a href="{html.escape(address)}"{_manner(address)}>{html.escape(title)}</a>'
        f"<span>{html.escape(words)}</span></li>"
        for address, title, words in found
    )
    return f'<h2 id="take-it-with-you">Take it with you</h2><ol class="others">{entries}</ol>'


def _manner(address: str) -> str:
    return ' rel="noreferrer"' if "://" in address else " download"


def main() -> int:
    """Make all anew, and say what the block leads to."""
    if not (settings.SITE / "index.html").exists():
        sys.exit("The book is not built: run make build first.")
    try:
        count = renew()
    except PocketError as error:
        sys.exit(f"The EPUB was not made: {error}.")
    print(f"Take it with you: {count} links")
    return 0


if __name__ == "__main__":
    sys.exit(main())
