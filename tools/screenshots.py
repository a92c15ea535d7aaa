"""Take pictures of the built book: of all pages, to look at, and one for the README.

Usage: ``python -m tools.screenshots``

Each page is taken on a phone, a tablet and a desk, in light and in dark, into
``tests/artifacts``. Long pages come in parts.
"""

from __future__ import annotations

import io
import math
import sys

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tools import browser, settings

WIDTHS = {390: 844, 820: 1180, 1440: 900}
TILE = 8000  # Chromium leaves blank what is longer than 16384 dots
ARTIFACTS = settings.ROOT / "tests" / "artifacts"
PREVIEW = settings.BOOK / "preview.webp"


def main() -> int:
    """Take all pictures."""
    if not (settings.SITE / "index.html").exists():
        print("The book is not built: run make build", file=sys.stderr)
        return 1
    ARTIFACTS.mkdir(exist_ok=True)
    for old in ARTIFACTS.glob("*.png"):
        old.unlink()
    # The first page comes first: after others it would offer to go on reading there.
    found = [path.relative_to(settings.SITE) for path in settings.SITE.rglob("*.html")]
    pages = sorted(found, key=lambda path: (len(path.parts), path))
    taken = 0
    with sync_playwright() as playwright:
        chromium = browser.launch(playwright)
        for width, height in WIDTHS.items():
            for scheme in ("light", "dark"):
                page = chromium.new_page(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                )
                for path in pages:
                    page.goto((settings.SITE / path).as_uri())
                    name = path.parent.name or "index"
                    taken += whole_page(page, f"{name}-{width}-{scheme}")
                page.close()
        preview(chromium).save(PREVIEW, quality=82, method=6)
        chromium.close()
    print(f"{taken} pictures in tests/artifacts, and {PREVIEW.relative_to(settings.ROOT)}")
    return 0


def whole_page(page: Page, name: str) -> int:
    """Take a picture of a page from top to end, in as many parts as it needs."""
    browser.load_everything(page)
    height = page.evaluate("document.documentElement.scrollHeight")
    width = page.evaluate("innerWidth")
    tile = math.ceil(height / math.ceil(height / TILE))
    tops = range(0, height, tile)
    for number, top in enumerate(tops, start=1):
        clip = {"x": 0, "y": top, "width": width, "height": min(tile, height - top)}
        path = ARTIFACTS / f"{name}-{number}.png"
        page.screenshot(path=path, full_page=True, clip=clip)  # type: ignore[arg-type]
    return len(tops)


def preview(chromium: Browser) -> Image.Image:
    """Take the picture for the README: a figure of the second chapter, with what is around it."""
    page = chromium.new_page(viewport={"width": 1440, "height": 1000}, color_scheme="light")
    page.goto((settings.SITE / "spatial-memory" / "index.html").as_uri())
    browser.load_everything(page)
    page.evaluate(
        """() => {
            document.getElementById("fig-reads").scrollIntoView({ block: "center" });
        }"""
    )
    page.wait_for_function("document.querySelector('.sections .here')")
    picture = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    return picture


if __name__ == "__main__":
    sys.exit(main())
