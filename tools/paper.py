"""Print the whole book as one PDF, ``_build/book.pdf``.

Usage: ``python -m tools.paper``

The theme writes the book as one document when the site is built (``book/_theme/paper.mjs``). A
browser lays it out, by ``book/_theme/paper-layout.js``, and prints it. Which page a place is on is
read from what was printed, written where a reference leads there, and printed again until no place
has moved.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pypdf

from tools import browser, packing, settings
from tools.printing import Printer, PrintError
from tree_world.files import write_atomically

LAYOUT = settings.THEME / "paper-layout.js"
WIDTH = 469
"""Of the text, in pixels: 124 mm."""
MOST_PASSES = 4
_KEPT = 3  # documents, in the cache


def main() -> int:
    """Print the book, and say what was made."""
    started = time.monotonic()
    try:
        made = make()
    except PrintError as error:
        print(f"{error}\nThe book was not printed.", file=sys.stderr)
        return 1
    if made is None:
        return 1
    pages = len(pypdf.PdfReader(made).pages)
    size = made.stat().st_size / 1e6
    seconds = time.monotonic() - started
    print(f"Printed {pages} pages, {size:.1f} MB, in {seconds:.0f} s: {made}")
    return 0


def source() -> Path:
    """Folder of the document that is printed, beside the site."""
    return settings.SITE.parent / "paper"


def make() -> Path | None:
    """Print the book that was built, unless it has been printed before.

    Returns
    -------
    pathlib.Path or None
        The PDF; it lies among the site's downloads, too. None without a browser, and then a line
        says so.

    Raises
    ------
    tools.printing.PrintError
        If the book is not built, or cannot be printed.
    """
    program = browser.find()
    if program is None:
        print(f"The book is not printed as PDF. {browser.MISSING}")
        return None
    if not (source() / "index.html").exists():
        raise PrintError("There is no book to print: run make build first.")
    kept = settings.CACHE / "paper" / f"{digest(program)}.pdf"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, printed(program))
    kept.touch()
    for old in sorted(kept.parent.glob("*.pdf"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
        old.unlink()
    made = settings.SITE.parent / "book.pdf"
    shutil.copyfile(kept, made)
    (settings.SITE / "downloads").mkdir(exist_ok=True)
    shutil.copyfile(kept, settings.SITE / "downloads" / packing.PDF)
    return made


def digest(program: str) -> str:
    """Digest of all that the PDF depends on: the document, its style, its pictures, the browser."""
    made = hashlib.sha256()
    assets = settings.SITE / "assets"
    styles = [assets / "style.css", assets / "katex.css", LAYOUT, Path(__file__)]
    pictures = [path for path in sorted(source().rglob("*")) if path.is_file()]
    for path in [*styles, *sorted(assets.glob("fonts/KaTeX*")), *pictures]:
        made.update(path.name.encode() + b"\0")
        made.update(hashlib.sha256(path.read_bytes()).digest())
    # A browser that is renewed is another file; to ask for its version would start it.
    real = Path(program).resolve()
    made.update(f"{real.name} {real.stat().st_size} {real.stat().st_mtime_ns}".encode())
    return made.hexdigest()[:20]


def printed(program: str) -> bytes:
    """Lay the document out and print it."""
    with Printer(program) as printer:
        printer.open(source() / "index.html", WIDTH)
        printer.run(f"{LAYOUT.read_text()};null")
        laid = printer.run("paper.layOut()")
        if laid["wide"]:
            faults = [f"{text!r}, by {over:.0f} pixels" for text, over in laid["wide"]]
            raise PrintError("\n".join(["Too wide for a page of the PDF:", *faults]))

        def write_and_print(pages: Mapping[str, int]) -> bytes:
            missing = printer.run(f"paper.write({json.dumps(pages)})")
            if missing:
                raise PrintError(f"The PDF has no place for links to {', '.join(missing)}.")
            return printer.print()

        return settled(write_and_print, laid["pages"])


def settled(
    write_and_print: Callable[[Mapping[str, int]], bytes], guess: Mapping[str, int]
) -> bytes:
    """Print with page numbers until they are those of the pages.

    Parameters
    ----------
    write_and_print : callable
        Takes the page of each place, and returns the PDF with these numbers.
    guess : mapping of str to int
        The pages to begin with.

    Returns
    -------
    bytes
        A PDF in which each place is on the page that is printed for it.

    Raises
    ------
    tools.printing.PrintError
        If places still move after some passes.
    """
    pages = dict(guess)
    moved: list[str] = []
    for _ in range(MOST_PASSES):
        data = write_and_print(pages)
        found = places(data)
        moved = [name for name, page in found.items() if pages.get(name) != page]
        if not moved:
            return data
        pages |= found
    raise PrintError(
        f"The pages of the PDF do not settle: after {MOST_PASSES} passes these places still move: "
        f"{', '.join(sorted(moved)[:5])}."
    )


def places(data: bytes) -> dict[str, int]:
    """Find the page of each place that something in a PDF leads to, the first page being 1."""
    reader = pypdf.PdfReader(io.BytesIO(data))
    numbers = {
        page.indirect_reference.idnum: number
        for number, page in enumerate(reader.pages, 1)
        if page.indirect_reference is not None
    }
    return {
        name.removeprefix("/"): numbers[target.raw_get("/Page").idnum]
        for name, target in reader.named_destinations.items()
    }


if __name__ == "__main__":
    sys.exit(main())
