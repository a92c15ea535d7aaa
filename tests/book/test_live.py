"""An author sees changes at once, and what is wrong by file and line."""

import re
import signal
import subprocess
import sys

import pytest
from playwright.sync_api import TimeoutError

from tests.book.conftest import one_chapter
from tools import build

PROGRAM = """\
from pathlib import Path
from tools import live, settings
settings.ROOT = Path({root!r})
settings.CACHE = settings.ROOT / ".cache"
live.main()
"""
FIRST = "# One\n\nThe first words.\n"
ODD = """\
const role = { name: "odd", body: { type: String, required: true },
  run: () => [{ type: "oddity", value: "x" }] };
export default { name: "Odd", roles: [role] };
"""


@pytest.fixture(scope="module")
def live_book(tmp_path_factory, theme_assets, kept):
    """A book that is being served: the file of its chapter, and its address."""
    folder = tmp_path_factory.mktemp("live")
    with one_chapter(folder, kept):
        (folder / "odd.mjs").write_text(ODD)
        contents = folder / "myst.yml"
        odd = contents.read_text().replace("  toc:", "  plugins:\n    - odd.mjs\n  toc:")
        contents.write_text(odd)
        chapter = folder / "chapter.md"
        chapter.write_text(FIRST)
        server = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(root=str(folder))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            for line in server.stdout:
                if found := re.search(r"http://localhost:\d+", line):
                    break
            else:
                pytest.fail("the server did not start")
            yield chapter, found[0]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(20)
            build.end_group(server.pid)


@pytest.fixture
def page(live_book, browser):
    """The book in a browser, with the chapter as it was first."""
    chapter, address = live_book
    chapter.write_text(FIRST)
    page = browser.new_page()
    for _ in range(30):  # opened before the engine has seen the change, it shows the old text
        page.goto(address)
        if page.get_by_text("The first words.").is_visible():
            break
        page.wait_for_timeout(1000)
    page.get_by_text("The first words.").wait_for()
    yield page
    page.close()


def test_a_page_reloads_and_names_what_is_wrong(live_book, page):
    chapter, _ = live_book
    chapter.write_text("# One\n\nOther words.\n")
    page.get_by_text("Other words.").wait_for()

    chapter.write_text("# One\n\nSome words.\n\nAn {odd}`one`.\n")
    page.get_by_role("heading", name="This page cannot be shown").wait_for()
    message = page.locator("main").inner_text()
    assert 'a node of kind "oddity"' in message
    assert "/chapter.md, line 5" in message
    assert "no function in render/" in message

    chapter.write_text("# One\n\nMended words about pears.\n")
    page.get_by_text("Mended words").wait_for()
    for tries_left in (2, 1, 0):  # a page that reloads once more closes its search
        page.keyboard.press("/")
        page.keyboard.type("pears")
        try:
            page.locator(".results mark", has_text="pears").wait_for(timeout=10_000)
            break
        except TimeoutError:
            if not tries_left:
                raise
            page.reload()


def test_the_book_comes_back_when_its_contents_are_mended(live_book, page):
    chapter, _ = live_book
    page.set_default_timeout(90_000)  # the engine starts anew
    contents = chapter.with_name("myst.yml")
    good = contents.read_text()
    wrong = ("version: 1\nproject: [\n", good.replace("chapter.md", "gone.md"))
    for text, cause in zip(wrong, ("flow collection", "gone.md"), strict=True):
        contents.write_text(text)
        page.get_by_role("heading", name="The book cannot be shown").wait_for()
        said = page.locator("main").inner_text()
        assert cause in said
        assert str(chapter.parent) not in said
        assert "jupyter-book.cjs" not in said
        contents.write_text(good)
        page.get_by_text("The first words.").wait_for()
    contents.unlink()  # as some editors do before they write
    page.get_by_role("heading", name="The book cannot be shown").wait_for()
    contents.write_text(good.replace("title: Small", "title: Renamed"))
    page.get_by_text("The first words.").wait_for()
    assert "Renamed" in page.title()
