"""What every page of the built book is asked, in a real browser.

A page takes a second to load, so that it is opened once, on a narrow phone, and then shown as other
devices would. What needs scripts to be off, or a server, opens it anew.
"""

import nbformat
import pytest

from tests.book.conftest import DESK, PHONE, opening
from tests.book.faults import NOTHING, violations_by_device
from tests.book.test_browser import CHAPTERS, FROM_DISK, UNLIKE
from tests.book.test_front import CHAPTERS as NUMBERED
from tests.book.test_front import slug
from tools import settings
from tools.browser import load_everything
from tree_world.plotting.style import LEAST_SIZE

NARROW = {"width": 360, "height": 800}
FIGURED = {slug(source) for source in NUMBERED}  # the other chapters are at the back
SETTLED = """async () => {
    await document.fonts.ready;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
# Without what scripts have made.
TEXTS = """() => {
    const main = document.querySelector("main").cloneNode(true);
    for (const made of main.querySelectorAll(".copy, .card-over, .numbers, .label")) made.remove();
    return [...main.children].filter((one) => !one.matches(".masthead"))
        .map((one) => one.textContent);
}"""


@pytest.fixture(scope="module", params=UNLIKE)
def shown(request, browser, built_site):
    """Name of a page, the page from disk, and its texts; at the end nothing may have gone wrong."""
    with opening(browser, f"{built_site.as_uri()}/") as open_:
        page = open_(UNLIKE[request.param], viewport=NARROW)
        yield request.param, page, page.evaluate(TEXTS)


@pytest.fixture(scope="module")
def passed():
    """Kinds of elements whose colours axe has judged on the pages before."""
    return set()


def show(page, viewport, scheme="light"):
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)
    page.evaluate(SETTLED)


# --- nothing vanishes ----------------------------------------------------------------------------

# What a reader could miss: something that ends beyond its box without a sign, a box that scrolls
# down in a page that does, and a page that is wider than the screen.
HIDDEN = """() => {
    const faults = [];
    const name = (part) => part.closest("[id]")?.id + " " + (part.className || part.tagName);
    const fades = (box) => box.matches(".cut-right") && getComputedStyle(box).maskImage !== "none";
    for (const box of document.querySelectorAll("main *")) {
        if (!box.checkVisibility()) continue;
        const { overflowX, overflowY } = getComputedStyle(box);
        const clips = overflowX !== "visible" && box.clientWidth > 1;
        const wide = clips && box.scrollWidth > box.clientWidth + 1;
        if (wide && !fades(box)) faults.push("cut: " + name(box));
        const down = ["auto", "scroll"].includes(overflowY) && box.clientHeight > 1;
        if (down && box.scrollHeight > box.clientHeight + 1) faults.push("scrolls: " + name(box));
    }
    const right = (part) => part.getBoundingClientRect().right;
    for (const formula of document.querySelectorAll(".formula")) {
        const end = Math.max(...[...formula.querySelectorAll(".base")].map(right));
        if (end > right(formula) + 1 && !fades(formula)) faults.push("ends: " + name(formula));
    }
    if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the screen");
    return faults;
}"""


# What is too wide for the screen, and cannot be scrolled to either.
STICKS_OUT = """() => {
    const scrolls = (element) => {
        for (let e = element.parentElement; e; e = e.parentElement) {
            if (getComputedStyle(e).overflowX !== "visible") return true;
        }
        return false;
    };
    return [...document.querySelectorAll("main *")]
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
        .filter((element) => !scrolls(element) && !element.closest(".katex-mathml"))
        .map((element) => element.outerHTML.slice(0, 80));
}"""


def test_nothing_is_cut_without_a_sign_and_nothing_sticks_out(shown):
    _, page, _ = shown
    for width in (360, 390, 820):
        show(page, {"width": width, "height": 800})
        assert page.evaluate(HIDDEN) == [], width
    page.set_viewport_size(PHONE)
    opened = page.evaluate_handle(
        """() => [...document.querySelectorAll("main details:not([open])")]
            .map((one) => { one.open = true; return one; })"""
    )
    page.evaluate(SETTLED)
    assert page.evaluate(STICKS_OUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    opened.evaluate("(all) => all.forEach((one) => { one.open = false; })")


# Dots of the screen for each dot of the picture that is shown, whichever it is.
SCALES = """() => [...document.querySelectorAll("main img.plot")]
    .filter((image) => image.checkVisibility())
    .map((image) => {
        const narrow = image.parentElement.querySelector("source");
        const shown = narrow && matchMedia(narrow.media).matches ? narrow : image;
        return image.clientWidth / Number(shown.getAttribute("width"));
    })"""


def test_letters_of_figures_can_be_read(shown):
    """They are large enough, on a phone and on a desk."""
    name, page, _ = shown
    letter = LEAST_SIZE / 72 * settings.SITE_DPI
    for width, least in ((PHONE["width"], 9), (1440, 11)):
        page.set_viewport_size({"width": width, "height": 900})
        scales = page.evaluate(SCALES)
        if name in FIGURED:
            assert scales
            assert min(scales) * letter >= least, width


# --- everything is there -------------------------------------------------------------------------

WIDTHS_SHOWN = """[...document.images].filter((image) => image.checkVisibility())
    .map((image) => image.naturalWidth)"""
HEIGHT = "document.documentElement.scrollHeight"


def count_figures(name):
    """Pictures that the reference notebook of a page holds; the list of figures holds all."""
    if name == "index":
        return 2 + len(NUMBERED)  # two frontispieces, and one for each chapter
    if name == "figures":
        return sum(map(count_figures, CHAPTERS))
    if name not in CHAPTERS:
        return 0
    notebook = nbformat.read(settings.NOTEBOOKS / f"{CHAPTERS[name].stem}.ipynb", as_version=4)
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return sum("image/png" in output.get("data", {}) for output in outputs)


def nothing_moves_when_all_loads(page):
    """Pictures that come late find their place kept for them."""
    height = page.evaluate(HEIGHT)
    load_everything(page)
    assert page.evaluate(HEIGHT) == height


def everything_is_there(page, name):
    sizes = "[...document.images].every((i) => i.getAttribute('width') && i.getAttribute('height'))"
    assert page.evaluate(sizes)
    widths = page.evaluate(WIDTHS_SHOWN)
    assert all(width > 100 for width in widths)
    assert len(widths) == count_figures(name)
    loaded = page.evaluate(
        "[...document.fonts].filter((f) => f.status === 'loaded').map((f) => f.family)"
    )
    families = {family.strip('"') for family in loaded}
    assert {"Source Serif", "Inter UI"} <= families
    if name in CHAPTERS:
        assert "JB Mono" in families
        equations = page.locator(".equation .katex-display").count()
        assert bool(equations) == ("{math}\n:label:" in CHAPTERS[name].read_text())
        assert {"KaTeX_Main", "KaTeX_Math"} <= families or not equations


def test_everything_on_a_page_loads_from_disk(shown):
    name, page, _ = shown
    for viewport in (PHONE, DESK):
        show(page, viewport)
        nothing_moves_when_all_loads(page)
    everything_is_there(page, name)


@pytest.mark.parametrize("address", ["from a server"], indirect=True)
@pytest.mark.parametrize("name", UNLIKE)
def test_everything_on_a_page_loads_from_a_server(open_page, name):
    page = open_page(UNLIKE[name])
    nothing_moves_when_all_loads(page)
    everything_is_there(page, name)


# --- for everybody -------------------------------------------------------------------------------


def test_axe_finds_no_fault(shown, passed):
    _, page, _ = shown
    assert violations_by_device(page, passed) == NOTHING


@FROM_DISK
def test_the_book_can_be_read_without_scripts(open_page, shown):
    name, _, with_scripts = shown
    page = open_page(UNLIKE[name], java_script_enabled=False)
    texts = page.locator("main > :not(.masthead)").all_text_contents()
    assert len(texts) > 3
    assert texts == with_scripts
    for button in ("button.theme", "button.search"):
        assert not page.locator(button).first.is_visible()
    assert page.locator(".touch:visible").count() == 0  # there is the picture
    links = page.locator("main a[href$='index.html']:visible, main a[href*='index.html#']:visible")
    if links.count():
        target = links.first.get_attribute("href").removeprefix("../")
        links.first.click()
        page.wait_for_url(lambda url: url.endswith(target), wait_until="commit")
        page.locator("h1").wait_for()
