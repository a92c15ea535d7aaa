"""What lies over a page has no fault that axe-core can find, nor has the specimen.

The pages themselves are asked in `test_each_page.py`.
"""

import json

import pytest

from tests.book.conftest import PHONE
from tests.book.faults import DEVICES, NOTHING, violations, violations_by_device
from tests.book.test_browser import FROM_DISK, PAGES

SPECIMEN_PAGES = ("index.html", "cells/index.html", "trusted/index.html", "last/index.html")


@FROM_DISK
@pytest.mark.parametrize("device", DEVICES)
def test_what_lies_over_a_page(open_page, device):
    viewport, scheme = DEVICES[device]
    page = open_page(PAGES["drives"], viewport=viewport, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true })")
    page.keyboard.press("/")
    page.keyboard.type("kernel")
    page.locator(".results mark").first.wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.locator("a.enlarge").first.click()
    page.locator("dialog.enlarged img").wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.locator("main a.reference[href='#tab-verdicts']").first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.locator(".card-over table").wait_for()
    assert violations(page) == []


@pytest.mark.parametrize("path", SPECIMEN_PAGES)
def test_the_specimen(browser, specimen, path):
    page = browser.new_page(viewport=PHONE)
    page.goto((specimen / path).as_uri())
    assert violations_by_device(page) == NOTHING
    page.close()


@FROM_DISK
def test_axe_finds_faults(open_page):
    page = open_page("index.html")
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src>')")
    page.evaluate("document.querySelector('.lede').style.color = '#ddd'")
    found = {violation.partition(":")[0] for violation in violations(page)}
    assert found == {"image-alt", "color-contrast"}, json.dumps(sorted(found))


@FROM_DISK
def test_axe_finds_the_colours_of_one_among_many(open_page):
    page = open_page(PAGES["spatial-memory"])
    parts = {
        ".katex-html .mord": "#dddddd",
        "pre code .k2": "#ddddde",
        "p samp": "#dddddf",
        "td samp": "#ddddda",
        "p em": "#dddddb",
    }
    page.evaluate(
        """(parts) => Object.entries(parts).forEach(([part, pale]) => {
            const all = [...document.querySelectorAll(`main ${part}`)];
            // Of a single letter axe does not tell.
            const long = all.filter((one) => one.checkVisibility() && one.textContent.length > 2);
            long.at(-3).style.color = pale;
        })""",
        parts,
    )
    found = violations(page)
    assert {violation.partition(":")[0] for violation in found} == {"color-contrast"}
    assert {pale for pale in parts.values() if pale in " ".join(found)} == set(parts.values())
