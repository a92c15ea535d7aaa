"""Finds the system's Chromium, for the tests of the site and for pictures of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

# The first ones draw pages and no window around them, which takes half of the time or less.
NAMES = (
    *("chromium-headless-shell", "chrome-headless-shell"),
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
)
MISSING = "Chromium is not installed. On Debian: apt-get install chromium-headless-shell"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def find() -> str | None:
    """Path of the browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright) -> Browser:
    """Start the browser without a window.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    path = find()
    if path is None:
        raise FileNotFoundError(MISSING)
    return playwright.chromium.launch(executable_path=path, args=OPTIONS)


def load_everything(page: Page) -> None:
    """Let fonts, and pictures below the fold, load too."""
    page.evaluate(
        """async () => {
            const shown = [...document.images].filter((image) => image.checkVisibility());
            for (const image of shown) image.loading = "eager";
            await Promise.all(shown.map((image) => image.decode()));
            await document.fonts.ready;
        }"""
    )
