"""The switch of a section marks its computed numbers, and each leads to where it comes from."""

import json

import pytest

from tests.book.conftest import DESK, PHONE
from tests.book.faults import violations

EXPRESSIONS = {  # in the section on numbers of the specimen; what each leads to
    'speed[large, "ms"]': 'speed[large, "ms"] = 0.25',
    "large": "speed, large = {}, 2",
    "len(small)": None,  # its cell shows no code
    "2 * large": "speed, large = {}, 2",
    "large + 1": "speed, large = {}, 2",
}
MARKED = "main .computed"
TOPS = """() => [...document.querySelectorAll("main *:not(.card-over, .card-over *, .computed)")]
    .map((element) => element.getBoundingClientRect())
    .filter(({ width, height }) => width || height)
    .map(({ left, top, width, height }) => [left, top + scrollY, width, height].map(Math.round))"""


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def page(browser, specimen, request):
    context = browser.new_context(viewport=request.param, reduced_motion="reduce")
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto((specimen / "cells/index.html").as_uri())
    yield page
    assert page.problems == []
    context.close()


def switches(page):
    return page.get_by_role("button", name="show where")


def press(page, number=-1):
    page.wait_for_load_state("load")
    list(switches(page).all())[number].click()
    page.wait_for_function("document.querySelector('[aria-pressed=true]')")


def test_without_the_switch_numbers_are_text(page):
    assert page.locator(MARKED).count() == 0
    paragraph = page.locator("main p", has_text="It takes").first
    assert paragraph.inner_text().startswith("It takes 0.25\u00a0ms, for 2 of them")
    assert paragraph.locator("a:not([href='#fig-line'], [href^='#fn-'])").count() == 0


def test_each_section_has_one_switch_and_marks_its_own_numbers(page):
    names = [switch.get_attribute("aria-label") for switch in switches(page).all()]
    assert names == [
        "3 numbers of this section: show where they come from",
        "9 numbers of this section: show where they come from",
    ]
    for number, count in ((0, 3), (1, 12)):
        press(page, number)
        page.wait_for_function(
            "(count) => document.querySelectorAll('main .computed').length === count", arg=count
        )
    list(switches(page).all())[1].click()
    assert page.locator(MARKED).count() == 3
    assert page.locator(".footnotes samp .computed").count() == 0


def test_the_switch_moves_nothing(page):
    before = page.evaluate(TOPS)
    press(page)
    page.wait_for_selector(MARKED)
    assert page.evaluate(TOPS) == before
    list(switches(page).all())[-1].click()
    assert page.locator(MARKED).count() == 0
    assert page.evaluate(TOPS) == before


def test_a_switch_is_not_part_of_its_heading(page):
    assert page.get_by_role("heading", name="2.2 Where numbers come from", exact=False).count() == 1
    heading = page.locator("h2", has_text="Where numbers")
    assert "numbers of this" not in heading.inner_html()


def test_every_number_names_its_expression_and_leads_to_its_cell(page):
    press(page)
    page.wait_for_selector(MARKED)
    told = {}
    for mark in page.locator("main a.computed").all():
        target = page.locator(mark.get_attribute("href"))
        assert target.count() == 1
        code = target.locator(":scope > pre > code")
        told[mark.get_attribute("aria-description")] = (
            code.text_content().strip() if code.count() else None
        )
    assert told == EXPRESSIONS
    for text, expression in (("2", "1 + 1"), ("2", "large")):  # of no cell, and inside of a link
        mark = page.locator(f"main span.computed[title='{expression}']")
        assert mark.inner_text() == text


def test_a_folded_cell_opens_when_it_is_led_to(page):
    press(page)
    page.wait_for_selector(MARKED)
    folded = page.locator("details.cell.folded", has_text="speed, large")
    number = page.locator("td a.computed").first
    for _ in range(2):  # also when it was led to before
        assert folded.get_attribute("open") is None
        number.click()
        folded.locator("pre").wait_for(state="visible")
        page.wait_for_function(
            """() => {
                const { top, bottom } = document.querySelector(":target").getBoundingClientRect();
                return top > -1 && bottom < innerHeight;
            }"""
        )
        folded.locator("summary").click()


def test_the_keyboard_can_do_all_of_it(page):
    switch = list(switches(page).all())[-1]
    switch.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(MARKED)
    assert switch.get_attribute("aria-pressed") == "true"
    page.locator("td a.computed").first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    card = page.get_by_role("tooltip")
    card.wait_for()
    assert card.locator("p").first.inner_text() == "large"
    assert "speed, large = {}, 2" in card.inner_text()
    described = page.evaluate("document.activeElement.getAttribute('aria-describedby')")
    assert page.locator(f"#{described}").inner_text() == "large"
    page.keyboard.press("Escape")
    card.wait_for(state="hidden")
    page.keyboard.press("Enter")
    page.locator("details.cell.folded[open]", has_text="speed, large").wait_for()
    switch.focus()
    page.keyboard.press("Space")
    assert page.locator(MARKED).count() == 0


def test_a_card_holds_numbers_as_text(page):
    press(page)
    page.wait_for_selector(MARKED)
    page.locator("main a.reference[href='#tab-computed']").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    card = page.get_by_role("tooltip")
    card.locator("table").wait_for()
    assert card.locator("a").count() == 0
    assert "A table of 2 columns." in card.inner_text()


def test_axe_finds_nothing(page):
    # Colours are the same on both, and what is there is the same by day and by night.
    page.emulate_media(color_scheme="dark" if page.viewport_size == DESK else "light")
    press(page)
    page.wait_for_selector(MARKED)
    page.locator("td a.computed").first.click()
    assert violations(page) == []


def test_what_the_script_asks_for_is_small_and_whole(specimen):
    text = (specimen / "assets/numbers/cells.js").read_text()
    numbers = json.loads(text.removeprefix("globalThis.pageNumbers=").rstrip(";\n"))
    assert len(numbers) == 12
    html = (specimen / "cells/index.html").read_text()
    assert all(f'id="{cell}"' in html for _, cell in numbers if cell)
    assert "data-numbers" not in (specimen / "index.html").read_text()
    assert not (specimen / "assets/numbers/index.js").exists()
