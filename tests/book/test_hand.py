"""The book in the hand: what is too wide for a phone, the bar, keys, sheets, and the way back."""

import re

import pytest

from tests.book.conftest import PHONE
from tests.book.test_browser import FROM_DISK, PAGES, follow, wait_until_in_view

TOUCH = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
SETTLED = """async () => {
    await document.fonts.ready;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


# --- nothing vanishes ----------------------------------------------------------------------------


@FROM_DISK
def test_displays_break_between_their_parts(open_page):
    page = open_page(PAGES["spatial-memory"], viewport={"width": 360, "height": 800})
    page.evaluate(SETTLED)
    for display in page.locator(".equation:has(.row ~ .row)").all():
        tops = [row.bounding_box()["y"] for row in display.locator(".row").all()]
        assert tops == sorted(tops)
        assert len({round(top) for top in tops}) > 1
        number, formula = (display.locator(part).bounding_box() for part in (".number", ".formula"))
        assert number["y"] >= formula["y"] + formula["height"] - 1


@FROM_DISK
def test_what_scrolls_fades_on_the_side_that_is_hidden(open_page):
    page = open_page(PAGES["spatial-memory"], **TOUCH)
    box = page.locator("main pre.cut-right:visible").first
    box.wait_for()
    assert "cut-left" not in box.get_attribute("class")
    handle = box.element_handle()
    handle.evaluate("box => { box.scrollLeft = 1e6 }")
    page.wait_for_function("box => box.matches('.cut-left:not(.cut-right)')", arg=handle)


@FROM_DISK
def test_a_table_that_does_not_fit_becomes_rows_and_is_a_table_again(open_page):
    page = open_page(PAGES["scale"], viewport={"width": 360, "height": 800})
    page.evaluate(SETTLED)
    table = page.locator("table.stacked").first
    names = table.locator("thead th, thead td").all_text_contents()
    row = table.locator("tbody tr").first
    assert row.get_by_role("cell").count() == len(names) - row.get_by_role("rowheader").count()
    assert row.locator(".label").all_text_contents() == names[1:]
    assert table.get_by_role("columnheader").count() > 0
    page.set_viewport_size({"width": 1440, "height": 900})
    page.wait_for_function("!document.querySelector('table.stacked, .label, main table[role]')")


# --- the bar -------------------------------------------------------------------------------------


def scroll_to(page, top):
    page.evaluate("(top) => scrollTo(0, top)", top)


@FROM_DISK
@pytest.mark.parametrize("width", [320, 820])
def test_the_bar_goes_while_one_reads_on_and_comes_back(open_page, width):
    page = open_page(PAGES["simulation"], viewport={"width": width, "height": 700})
    bar = page.locator("header.bar")
    assert bar.bounding_box()["height"] < 60  # one row
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    scroll_to(page, 3000)
    page.wait_for_function("document.querySelector('.bar').getBoundingClientRect().bottom <= 0")
    scroll_to(page, 2800)
    page.wait_for_function("document.querySelector('.bar').getBoundingClientRect().top === 0")
    assert "A world to remember" in bar.locator(".chapter").inner_text()
    section = page.evaluate(
        """() => [...document.querySelectorAll("main > h2")]
            .findLast((one) => one.getBoundingClientRect().top < innerHeight * 0.3).textContent"""
    )
    assert bar.locator(".section").inner_text() in section
    assert (
        0
        < float(page.evaluate("document.querySelector('.bar').style.getPropertyValue('--read')"))
        < 1
    )


@FROM_DISK
def test_the_menu_closes_when_something_is_chosen(open_page):
    page = open_page(PAGES["simulation"], **TOUCH)
    page.locator(".menu summary").tap()
    page.locator(".menu .sections a").nth(3).tap()
    wait_until_in_view(page, "sec-sight")
    assert not page.locator(".menu nav").is_visible()
    page.locator(".menu").evaluate("menu => { menu.open = true }")
    page.wait_for_selector(".menu .sections .here")
    number, title = (
        page.locator(f".menu .sections .here span:{which}-child").bounding_box()
        for which in ("first", "last")
    )
    assert number["x"] + number["width"] <= title["x"]  # side by side, as all entries
    page.keyboard.press("Escape")
    assert not page.locator(".menu nav").is_visible()


@FROM_DISK
def test_the_outline_has_numbers_and_keeps_the_current_entry_in_view(open_page):
    page = open_page(PAGES["scale"], viewport={"width": 1280, "height": 420})
    numbers = page.locator(".sidebar .sections .number").all_text_contents()
    assert numbers == [f"{numbers[0].split('.')[0]}.{n}" for n in range(1, len(numbers) + 1)]
    page.evaluate("document.querySelector('main > h2:last-of-type').scrollIntoView()")
    page.evaluate("[...document.querySelectorAll('main > h2[id]')].at(-3).scrollIntoView()")
    page.wait_for_function(
        """() => {
            const entry = document.querySelector(".sidebar .here")?.getBoundingClientRect();
            return entry && entry.top >= 0 && entry.bottom <= innerHeight;
        }"""
    )


# --- keys ----------------------------------------------------------------------------------------


@FROM_DISK
def test_keys_turn_pages_and_are_listed(open_page):
    page = open_page(PAGES["simulation"])
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/{PAGES['spatial-memory']}")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**/{PAGES['simulation']}")
    page.keyboard.press("?")
    listed = page.locator("dialog.keys kbd").all_text_contents()
    assert {"←", "→", "/", "t", "?"} <= set(listed)
    page.keyboard.press("Escape")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.keyboard.press("/")
    page.keyboard.type("t?")  # letters, where one types
    assert page.get_by_label("Search the book").input_value() == "t?"
    assert not page.locator("dialog.keys").is_visible()


@FROM_DISK
def test_arrows_scroll_what_has_the_focus(open_page):
    page = open_page(PAGES["simulation"], viewport=PHONE)
    page.locator("main pre[tabindex='0']:visible").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert page.url.endswith(PAGES["simulation"])


# --- references ----------------------------------------------------------------------------------


@FROM_DISK
def test_a_tap_on_a_reference_shows_it_and_a_second_one_goes_there(open_page):
    page = open_page(PAGES["spatial-memory"], **TOUCH)
    page.locator("main a.reference[href='#eq-kernel']").first.tap()
    sheet = page.locator("dialog.sheet")
    sheet.locator(".katex-display").wait_for()
    assert "#eq-kernel" not in page.url
    sheet.get_by_text("Close").tap()
    assert not sheet.is_visible()
    page.locator("main a.reference[href='#eq-kernel']").first.tap()
    sheet.get_by_text("Go there").tap()
    page.wait_for_url("**#eq-kernel")
    assert not sheet.is_visible()
    wait_until_in_view(page, "eq-kernel")


@FROM_DISK
def test_where_a_link_has_led_to_is_marked_for_a_moment(open_page):
    page = open_page(PAGES["spatial-memory"])
    page.locator("main a.reference[href='#eq-kernel']").first.click()
    page.wait_for_selector("#eq-kernel.arrived")
    page.wait_for_selector("#eq-kernel:not(.arrived)")


@FROM_DISK
def test_far_places_are_reached_at_once(open_page):
    page = open_page(PAGES["scale"])
    page.evaluate("location.hash = [...document.querySelectorAll('main > h2[id]')].at(-2).id")
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    page.evaluate("document.getElementById(location.hash.slice(1)).dataset.here = 'yes'")
    top = page.evaluate("document.querySelector('[data-here]').getBoundingClientRect().top")
    assert 0 <= top < 100


@FROM_DISK
def test_references_lead_back_to_each_place_that_cites_them(open_page):
    page = open_page(PAGES["spatial-memory"])
    cited = page.locator("main a.citation[href='#ref-ruppert1994']")
    entry = page.locator("#ref-ruppert1994")
    assert entry.locator(".back a").count() == cited.count() > 1
    follow(entry.locator(".back a").nth(1), f"#{cited.nth(1).get_attribute('id')}")
    wait_until_in_view(page, cited.nth(1).get_attribute("id"))


@FROM_DISK
def test_what_has_a_number_has_an_address(open_page):
    for name in ("simulation", "pruning"):
        page = open_page(PAGES[name])
        for kind in ("figure[id]:not(.frontispiece)", ".exercise", ".equation:has(.number)"):
            assert page.locator(f"main {kind}").count() > 0
            for own in page.locator(f"main {kind}").all():
                link = own.locator("a.number").first
                assert link.get_attribute("href") == f"#{own.get_attribute('id')}"
    page = open_page(PAGES["simulation"], **TOUCH)
    assert page.locator("main h2 .anchor").first.evaluate("a => getComputedStyle(a).opacity") == "1"


@FROM_DISK
def test_the_last_chapter_leads_to_the_first_page(open_page):
    page = open_page("index.html")
    chapters = page.locator(".sidebar .contents > li:has(.number:not(:empty)) > a")
    chapters.last.click()
    step = page.locator("a[rel=next]")
    assert "The last chapter ends here" in step.inner_text()
    follow(step, PAGES["index"])


# --- come back tomorrow --------------------------------------------------------------------------


@FROM_DISK
def test_reading_goes_on_at_the_paragraph_from_any_page(open_page):
    page = open_page(PAGES["spatial-memory"])
    paragraph = "[...document.querySelectorAll('#sec-linear ~ p')][4]"
    page.evaluate(f"{paragraph}.scrollIntoView({{ block: 'start' }})")
    text = page.evaluate(f"{paragraph}.textContent")
    page.wait_for_function("localStorage.getItem('tree-world-place')")
    page.goto(page.url.replace(PAGES["spatial-memory"], PAGES["symbols"]).split("#")[0])
    link = page.locator(".resume a")
    assert "Remembering where" in link.inner_text()
    link.click()
    page.wait_for_url("**/spatial-memory/index.html#*")
    page.wait_for_function(
        """(text) => [...document.querySelectorAll("main > p")].some((p) => {
            const { top } = p.getBoundingClientRect();
            return p.textContent === text && top >= -2 && top < innerHeight / 2;
        })""",
        arg=text,
    )


@FROM_DISK
def test_who_only_looks_in_does_not_lose_the_place(open_page):
    page = open_page(PAGES["spatial-memory"])
    scroll_to(page, 5000)
    page.wait_for_function("localStorage.getItem('tree-world-place')")
    kept = page.evaluate("localStorage.getItem('tree-world-place')")
    page.goto(page.url.replace(PAGES["spatial-memory"], PAGES["drives"]))
    page.goto(page.url.replace(PAGES["drives"], PAGES["errata"]))
    assert page.evaluate("localStorage.getItem('tree-world-place')") == kept


# --- copies --------------------------------------------------------------------------------------


@FROM_DISK
def test_formulas_are_copied_once_as_they_were_written(open_page):
    page = open_page(PAGES["spatial-memory"])
    copied = page.evaluate(
        """() => {
            const text = document.querySelector("#eq-kernel").previousElementSibling;
            getSelection().selectAllChildren(text);
            const data = new DataTransfer();
            const kind = { clipboardData: data, bubbles: true, cancelable: true };
            document.dispatchEvent(new ClipboardEvent("copy", kind));
            return data.getData("text/plain");
        }"""
    )
    assert re.search(r"\$[^$]*\\ell", copied)
    assert "ℓ" not in copied
