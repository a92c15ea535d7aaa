"""The picture in the README shows the book as it is."""

import numpy as np
from PIL import Image

from tools import screenshots


def pixels(picture):
    """A small copy, in which letters that are drawn a little otherwise do not count."""
    return np.asarray(picture.convert("RGB").resize((360, 250)), dtype=float)


def test_the_picture_in_the_readme_is_current(built_site, browser):
    now = pixels(screenshots.preview(browser))
    stored = pixels(Image.open(screenshots.PREVIEW))
    assert np.abs(now - stored).mean() < 4, "Look at the book, then run: make screenshots"
    assert (
        f"({screenshots.PREVIEW.relative_to(screenshots.settings.ROOT)})"
        in (screenshots.settings.ROOT / "README.md").read_text()
    )


def test_a_page_is_pictured_from_top_to_end(built_site, browser, tmp_path, monkeypatch):
    monkeypatch.setattr(screenshots, "ARTIFACTS", tmp_path)
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((built_site / "simulation" / "index.html").as_uri())
    height = page.evaluate("document.documentElement.scrollHeight")
    number = screenshots.whole_page(page, "simulation")
    page.close()
    parts = [Image.open(path) for path in sorted(tmp_path.glob("*.png"))]
    assert len(parts) == number > 1
    assert abs(sum(part.height for part in parts) - height) < 4
    assert all(sum(map(bool, part.convert("L").histogram())) > 50 for part in parts)  # not blank
