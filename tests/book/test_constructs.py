"""What pages may hold, in a browser: outputs with scripts, tabs, long tables."""

import pytest

from tests.book.conftest import DESK, PHONE


@pytest.fixture
def open_specimen(browser, specimen):
    contexts = []

    def open_(path, **options):
        contexts.append(browser.new_context(**({"viewport": DESK} | options)))
        page = contexts[-1].new_page()
        page.requested = []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
        page.goto((specimen / path).as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()


def test_scripts_in_outputs_run_apart_from_the_page(open_specimen):
    page = open_specimen("cells/index.html")
    page.locator("iframe.html").scroll_into_view_if_needed()
    frame = page.frame_locator("iframe.html")
    assert frame.locator("#told").inner_text() == "run in null"  # an origin that is nobody's
    assert page.title().startswith("Cells")
    assert not [url for url in page.requested if url.startswith("http")]


def test_scripts_in_outputs_run_in_the_page_where_the_chapter_allows_it(open_specimen):
    page = open_specimen("trusted/index.html")
    assert page.locator("#told").inner_text() == "run"


def test_tabs_are_tabs_for_mouse_and_keyboard(open_specimen):
    page = open_specimen("index.html")
    first, second = page.get_by_role("tab").all()
    panel = page.get_by_role("tabpanel")
    assert panel.inner_text() == "One."
    second.click()
    assert panel.inner_text() == "Two."
    page.keyboard.press("ArrowLeft")
    assert panel.inner_text() == "One."
    assert first.get_attribute("aria-selected") == "true"


def test_tabs_are_read_one_by_one_without_scripts(open_specimen):
    page = open_specimen("index.html", java_script_enabled=False)
    assert page.locator(".tab").all_inner_texts() == ["First\n\nOne.", "Second\n\nTwo."]


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_the_header_of_a_long_table_stays_in_view(open_specimen, viewport):
    page = open_specimen("last/index.html", viewport=viewport)
    box = page.locator("#tab-long .table-scroll")
    box.evaluate("element => element.scrollTop = 600")
    top = box.bounding_box()["y"]
    header = page.locator("#tab-long th").first.bounding_box()
    assert abs(header["y"] - top) < 2
    covered = page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y).tagName", [header["x"] + 5, header["y"] + 8]
    )
    assert covered == "TH"


def test_wide_output_scrolls_in_itself(open_specimen):
    page = open_specimen("cells/index.html", viewport=PHONE)
    wide = page.locator("pre", has_text="wide wide")
    assert wide.evaluate("element => element.scrollWidth > element.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_inputs_and_outputs_look_different(open_specimen):
    page = open_specimen("cells/index.html")
    cell = page.locator(".cell", has_text="value = 6 * 7").first
    background = "element => getComputedStyle(element).backgroundColor"
    assert cell.evaluate(background) != cell.locator(".outputs").evaluate(background)


def test_a_footnote_is_read_where_its_mark_stands(open_specimen):
    page = open_specimen("index.html")
    page.locator(".footnote a").first.hover()
    card = page.locator(".card-over")
    card.get_by_text("The first note").wait_for()
    assert "↩" not in card.inner_text()
