"""No page has a fault that axe-core can find: in light and dark, on a phone and on a desk."""

import json

import pytest

from tests.book.conftest import DESK, PHONE
from tests.book.test_browser import BY_NAME, FROM_DISK, PAGES
from tools import settings

# Colours are the same on a phone and on a desk, and what is there is the same by day and by night.
DEVICES = {"phone, light": (PHONE, "light"), "desk, dark": (DESK, "dark")}
SPECIMEN_PAGES = ("index.html", "cells/index.html", "trusted/index.html", "last/index.html")


@pytest.fixture(scope="module")
def axe():
    return (settings.THEME / "node_modules" / "axe-core" / "axe.min.js").read_text()


# Of thousands of formulas, values and words of code that look alike, axe need judge the colours of
# one of each kind: in an element of the same kind, of the same class and in the same colours. What
# names a link, a heading or the like stays, as axe looks for its name.
HIDE_WHAT_LOOKS_ALIKE = """() => {
    document.querySelectorAll("[data-alike]").forEach((one) => one.removeAttribute("data-alike"));
    const kinds = new Map();
    const kind = (one) => {
        if (!one) return "";
        if (!kinds.has(one)) {
            const { color, backgroundColor, opacity } = getComputedStyle(one);
            const inside = one.matches(".katex-html") ? one.querySelectorAll("[style*=color]") : [];
            const own = [one.tagName, one.className, color, backgroundColor, opacity,
                ...[...inside].map((part) => part.style.color)];
            kinds.set(one, `${kind(one.parentElement)}>${own.join()}`);
        }
        return kinds.get(one);
    };
    const named = "a, button, summary, th, h1, h2, h3, h4, label, dt";
    const words = `main :is(samp, em, code):not(:has(*), :is(${named}) *)`;
    const parts = document.querySelectorAll(
        `main .katex-html, main pre code span:not(:has(*)), ${words}`);
    const shown = [...parts].filter((one) => one.checkVisibility());
    const first = new Map(shown.map((one) => [kind(one), one]).reverse());
    for (const one of shown) if (first.get(kind(one)) !== one) one.dataset.alike = "";
    document.getElementById("alike") ?? document.head.insertAdjacentHTML(
        "beforeend", "<style id=alike>[data-alike] { visibility: hidden }</style>");
}"""


def violations(page, axe):
    """Rule, element and message of everything that axe finds."""
    page.evaluate(HIDE_WHAT_LOOKS_ALIKE)
    page.evaluate(axe)
    options = {"resultTypes": ["violations"], "preload": False}
    found = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {node['html'][:120]}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def turn_into(page, device):
    """Show a page that is open as another device does, and wait until colours have changed."""
    viewport, scheme = DEVICES[device]
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)
    page.evaluate(
        """async () => {
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            await Promise.all(document.getAnimations().map((one) => one.finished));
        }"""
    )


def violations_by_device(page, axe):
    """Faults on a phone by day and on a desk by night, of a page that is open."""
    found = {}
    for device in DEVICES:
        turn_into(page, device)
        found[device] = violations(page, axe)
    return found


NOTHING = {device: [] for device in DEVICES}


@FROM_DISK
@BY_NAME
def test_pages(open_page, axe, path):
    assert violations_by_device(open_page(path, viewport=PHONE), axe) == NOTHING


@FROM_DISK
@pytest.mark.parametrize("device", DEVICES)
def test_what_lies_over_a_page(open_page, axe, device):
    viewport, scheme = DEVICES[device]
    page = open_page(PAGES["drives"], viewport=viewport, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true })")
    page.keyboard.press("/")
    page.keyboard.type("kernel")
    page.locator(".results mark").first.wait_for()
    assert violations(page, axe) == []
    page.keyboard.press("Escape")
    page.locator("a.enlarge").first.click()
    page.locator("dialog.enlarged img").wait_for()
    assert violations(page, axe) == []
    page.keyboard.press("Escape")
    page.locator("main a.reference[href='#tab-verdicts']").first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.locator(".card-over table").wait_for()
    assert violations(page, axe) == []


@pytest.mark.parametrize("path", SPECIMEN_PAGES)
def test_the_specimen(browser, specimen, axe, path):
    page = browser.new_page(viewport=PHONE)
    page.goto((specimen / path).as_uri())
    assert violations_by_device(page, axe) == NOTHING
    page.close()


@FROM_DISK
def test_axe_finds_faults(open_page, axe):
    page = open_page("index.html")
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src>')")
    page.evaluate("document.querySelector('.lede').style.color = '#ddd'")
    found = {violation.partition(":")[0] for violation in violations(page, axe)}
    assert found == {"image-alt", "color-contrast"}, json.dumps(sorted(found))


@FROM_DISK
def test_axe_finds_the_colours_of_one_among_many(open_page, axe):
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
    found = violations(page, axe)
    assert {violation.partition(":")[0] for violation in found} == {"color-contrast"}
    assert {pale for pale in parts.values() if pale in " ".join(found)} == set(parts.values())
