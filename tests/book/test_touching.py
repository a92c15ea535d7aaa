"""Figures that a reader can touch: by pointer, touch and keys, and when something fails."""

import gzip
import json
import re

import pytest

from tests.book.conftest import DESK, PHONE
from tests.book.test_browser import CHAPTERS, FROM_DISK, PAGES
from tools import settings
from tree_world.plotting.data.figure import MIME

FIGURES = settings.BOOK / "figures"
PLAYED = {"life", "pruning", "unfolding", "walk"}  # by a button
CARRY_A_MEMORY = {"whereabouts", "pruning"}  # whole, so that more bytes are granted to them


def touched():
    """Names of pages and figures, as the reference notebooks hold them."""
    for chapter, path in CHAPTERS.items():
        notebook = settings.NOTEBOOKS / f"{path.stem}.ipynb"
        cells = json.loads(notebook.read_text())["cells"] if notebook.exists() else []
        for cell in cells:
            for output in cell.get("outputs", []):
                if MIME in output.get("data", {}):
                    yield chapter, output["data"][MIME]["name"]


IN_CHAPTERS = list(touched())
TOUCHED = [*IN_CHAPTERS, ("index", "walking")]  # the front page quotes one
EACH = pytest.mark.parametrize(("chapter", "name"), TOUCHED)
PLACE = ".touch[data-figure='{}']"


def bring(page, name):
    """Scroll to a figure, and wait until it can be touched."""
    place = page.locator(PLACE.format(name))
    place.scroll_into_view_if_needed()
    page.wait_for_selector(f"{PLACE.format(name)} canvas")
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(100)  # then it is drawn again
    return place


def told(place):
    return place.locator(".touch-told").inner_text()


def drawn(place):
    return place.locator("canvas").evaluate("(one) => one.toDataURL()")


def compressed(path):
    return len(gzip.compress(path.read_bytes(), 9)) / 1000


def test_every_script_is_used_in_a_chapter():
    assert {name for _, name in IN_CHAPTERS} == {path.stem for path in FIGURES.glob("*.mjs")}


def test_scripts_and_states_are_small(built_site):
    assets = built_site / "assets"
    scripts = {path.stem: compressed(path) for path in assets.glob("figures/*.js")}
    assert set(scripts) == {name for _, name in TOUCHED}
    assert max(scripts.values()) <= 15
    states = {path.stem: compressed(path) for path in assets.glob("states/*.js")}
    for chapter, name in TOUCHED:
        html = (built_site / PAGES[chapter]).read_text()
        (key,) = re.findall(rf'data-figure="{name}" data-key="(\w+)"', html)
        assert states[key] <= (70 if name in CARRY_A_MEMORY else 25), name
    assert sum(scripts.values()) + sum(states.values()) <= 400


@EACH
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_a_figure_comes_when_it_is_near_and_moves_nothing(open_page, chapter, name, viewport):
    page = open_page(PAGES[chapter], viewport=viewport)
    page.evaluate("document.fonts.ready")
    assert page.locator(f"script[src*='figures/{name}']").count() == 0
    height = page.evaluate("document.documentElement.scrollHeight")
    place = bring(page, name)
    now = page.evaluate("document.documentElement.scrollHeight")
    assert abs(now - height) <= 8
    picture = page.evaluate(
        """(name) => {
            const place = document.querySelector(`.touch[data-figure='${name}']`);
            const box = (part) => part.getBoundingClientRect().toJSON();
            const picture = place.closest("figure").querySelector("a:has(img)");
            return [box(picture), box(place.querySelector("canvas"))];
        }""",
        name,
    )
    for side in ("x", "y", "width", "height"):
        assert picture[0][side] == pytest.approx(picture[1][side], abs=1)
    assert place.locator(".touch-hint").inner_text()
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0


@EACH
@FROM_DISK
def test_keys_alone_do_everything(open_page, chapter, name):
    page = open_page(PAGES[chapter])
    place = bring(page, name)
    first = told(place)
    picture = drawn(place)
    moved = 0
    for control in place.locator("[role=slider], input[type=range]").all():
        control.focus()
        before = control.get_attribute("aria-valuetext")
        for key in ("Shift+ArrowRight", "Shift+ArrowUp", "ArrowLeft"):
            page.keyboard.press(key)
        page.wait_for_function("new Promise((done) => requestAnimationFrame(() => done(true)))")
        if control.get_attribute("aria-valuetext") != before:
            moved += 1
        page.keyboard.press("Escape")
        page.wait_for_function("new Promise((done) => requestAnimationFrame(() => done(true)))")
        assert control.get_attribute("aria-valuetext") == before
    assert moved > 0
    for choice in place.locator("select").all():
        choice.focus()
        page.keyboard.press("ArrowDown")
    for box in place.locator("input[type=checkbox]").all():
        box.focus()
        page.keyboard.press("Space")
    place.locator(".touch-reset").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(100)
    assert told(place) == first
    assert drawn(place) == picture


@EACH
@FROM_DISK
def test_what_is_moved_is_said_once_it_rests(open_page, chapter, name):
    page = open_page(PAGES[chapter])
    place = bring(page, name)
    spoken = place.locator(".touch-spoken")
    assert spoken.get_attribute("aria-live") == "polite"
    assert spoken.inner_text() == ""
    place.locator("[role=slider], input[type=range]").first.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function(
        f"document.querySelector(`{PLACE.format(name)} .touch-spoken`).textContent"
    )
    assert ":" in spoken.inner_text()


@EACH
@FROM_DISK
def test_nothing_starts_by_itself(open_page, chapter, name):
    page = open_page(PAGES[chapter])
    place = bring(page, name)
    before = told(place)
    picture = drawn(place)
    page.wait_for_timeout(400)
    assert told(place) == before
    assert drawn(place) == picture


@FROM_DISK
@pytest.mark.parametrize(("chapter", "name"), [one for one in TOUCHED if one[1] in PLAYED])
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_who_wants_little_motion_gets_one_picture_a_second(open_page, chapter, name, motion):
    page = open_page(PAGES[chapter], reduced_motion=motion)
    place = bring(page, name)
    slider = place.locator(".touch-time input")
    slider.focus()
    page.keyboard.press("Home")
    slider.evaluate("(one) => { globalThis.changes = 0; globalThis.last = one.value; }")
    page.evaluate(
        """(selector) => {
            const slider = document.querySelector(selector);
            globalThis.watching = setInterval(() => {
                if (slider.value !== globalThis.last) globalThis.changes += 1;
                globalThis.last = slider.value;
            }, 10);
        }""",
        f"{PLACE.format(name)} .touch-time input",
    )
    place.get_by_role("button", name="Play").click()
    page.wait_for_timeout(2500)
    changes = page.evaluate("globalThis.changes")
    assert (1 <= changes <= 3) == (motion == "reduce")
    place.get_by_role("button", name="Stop").click()


@EACH
@FROM_DISK
def test_nothing_is_hidden_from_those_who_hear_it(open_page, chapter, name):
    axe = (settings.THEME / "node_modules" / "axe-core" / "axe.min.js").read_text()
    for viewport, scheme in ((PHONE, "light"), (DESK, "dark")):
        page = open_page(PAGES[chapter], viewport=viewport, color_scheme=scheme)
        bring(page, name)
        page.evaluate(axe)
        found = page.evaluate(
            "(selector) => axe.run(selector, {resultTypes: ['violations'], preload: false})",
            PLACE.format(name),
        )
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []


@EACH
@FROM_DISK
def test_a_finger_scrolls_the_page_unless_it_holds_a_handle(open_page, chapter, name):
    page = open_page(PAGES[chapter], viewport=PHONE, has_touch=True)
    place = bring(page, name)
    stage = place.locator(".touch-stage")
    assert stage.evaluate("(one) => getComputedStyle(one).touchAction") == "auto"
    for handle in place.locator(".touch-handle").all():
        box = handle.bounding_box()
        assert min(box["width"], box["height"]) >= 43.9
        assert handle.evaluate("(one) => getComputedStyle(one).touchAction") == "none"
    targets = place.locator("button, select, input[type=range]").all()
    assert all(one.bounding_box()["height"] >= 43.9 for one in targets)


@EACH
@FROM_DISK
@pytest.mark.parametrize("broken", ["canvas", "state", "script"])
def test_the_picture_stays_if_anything_fails(browser, address, chapter, name, broken):
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    if broken == "canvas":
        page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    else:
        pattern = {"state": "**/assets/states/*", "script": "**/assets/figures/*"}[broken]
        page.route(pattern, lambda route: route.abort())
    page.goto(address + PAGES[chapter])
    place = page.locator(PLACE.format(name))
    place.scroll_into_view_if_needed()
    page.wait_for_selector(f"{PLACE.format(name)} .touch-failed")
    figure = page.locator("figure", has=place)
    assert "alive" not in figure.get_attribute("class")
    assert figure.locator("a img:visible").count() == 1
    assert place.locator("canvas").count() == 0
    context.close()


@EACH
@FROM_DISK
def test_on_paper_and_without_scripts_there_is_the_picture(open_page, chapter, name):
    page = open_page(PAGES[chapter], java_script_enabled=False)
    assert not page.locator(PLACE.format(name)).is_visible()
    page = open_page(PAGES[chapter])
    place = bring(page, name)
    page.emulate_media(media="print")
    assert not place.is_visible()
    figure = page.locator("figure", has=page.locator(PLACE.format(name)))
    assert figure.locator("a img:visible").count() == 1


@EACH
@FROM_DISK
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_figure_is_drawn_for_light_and_for_dark(open_page, chapter, name, scheme):
    page = open_page(PAGES[chapter], color_scheme=scheme)
    place = bring(page, name)
    corner = place.locator("canvas").evaluate(
        "(one) => [...one.getContext('2d').getImageData(1, 1, 1, 1).data].slice(0, 3)"
    )
    paper = {"light": [251, 250, 246], "dark": [20, 24, 22]}[scheme]
    assert corner == paper


@EACH
@FROM_DISK
def test_the_picture_can_be_called_back(open_page, chapter, name):
    page = open_page(PAGES[chapter])
    place = bring(page, name)
    place.get_by_role("button", name="Show the picture").click()
    assert not place.locator("canvas").is_visible()
    place.get_by_role("button", name="Touch it again").click()
    assert place.locator("canvas").is_visible()
