"""How long a figure that can be touched takes for a frame, in a browser.

Usage: ``python -m benchmarks.study_frames --anew``; three minutes, after ``make build``. Options
are those of `benchmarks.studies`; parts are kept for this code, whatever the scripts of the figures
are, hence ``--anew``. A frame is all that a script does from one picture to the next: it computes
what is shown, draws it, and writes the numbers below it.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.origins import ROOT, results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tools import browser

RESULTS = results_file("frames")
SITE = ROOT / "_build" / "html"

WIDTHS = (390, 1440)  # CSS pixels, of a phone and of a desk
MOVES = 40  # of each control

# What a page waits for to draw is timed by its own clock.
TIMED = """
globalThis.frames = [];
const wait = requestAnimationFrame;
globalThis.requestAnimationFrame = (draw) => wait((time) => {
  const since = performance.now();
  draw(time);
  globalThis.frames.push(performance.now() - since);
});
"""
AFTER_A_FRAME = "new Promise((done) => setTimeout(() => requestAnimationFrame(done), 30))"


def frames(part: Part, names: Sequence[str] = (), moves: int = MOVES) -> dict[str, Any]:
    """Milliseconds of a frame of each figure, while one control after the other is moved."""
    found = {name: path for name, path in figures() if not names or name in names}
    return {
        "moves": moves,
        "figures": sorted(found),
        "widths": {
            str(width): {
                name: part(f"{name}, {width} pixels", moved, found[name], name, width, moves)
                for name in sorted(found)
            }
            for width in WIDTHS
        },
    }


def figures() -> Iterator[tuple[str, Path]]:
    """Names of the figures of the chapters, and the pages that they are on.

    Raises
    ------
    FileNotFoundError
        If the book is not built.
    """
    if not (SITE / "index.html").exists():
        raise FileNotFoundError(f"{SITE / 'index.html'} is missing: run make build first")
    for path in sorted(SITE.glob("*/index.html")):
        for name in re.findall(r'class="touch" data-figure="(\w+)"', path.read_text()):
            yield name, path


def moved(path: Path, name: str, width: int, moves: int) -> dict[str, Any]:
    """Move each control of a figure by keys.

    Returns
    -------
    dict
        For each control, by its name, the ``median`` and the ``longest`` frame in ms.
    """
    with sync_playwright() as playwright:
        chromium = browser.launch(playwright)
        page = chromium.new_page(viewport={"width": width, "height": 900})
        page.add_init_script(TIMED)
        page.goto(path.as_uri())
        place = page.locator(f".touch[data-figure='{name}']")
        place.scroll_into_view_if_needed()
        place.locator("canvas").wait_for()
        found = {}
        for control in place.locator("[role=slider], input[type=range]").all():
            control.focus()
            page.evaluate(AFTER_A_FRAME)
            page.evaluate("globalThis.frames.length = 0")
            for key in ("ArrowRight", "Shift+ArrowRight", "Shift+ArrowUp", "ArrowLeft"):
                _press(page, key, moves // 4)
            times = [time for time in page.evaluate("globalThis.frames") if time > 0]
            label = control.evaluate("(one) => one.ariaLabel ?? one.labels[0].textContent")
            found[label] = {"median": statistics.median(times), "longest": max(times)}
        chromium.close()
    return found


def _press(page: Page, key: str, times: int) -> None:
    for _ in range(times):
        page.keyboard.press(key)
        page.evaluate(AFTER_A_FRAME)


STUDIES = {
    "frames": Study(
        frames,
        short=lambda part: frames(part, moves=4),
        agrees=[Same("figures")],
    )
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
