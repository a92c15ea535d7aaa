"""Figures that a reader can touch: by pointer, touch and keys, and when something fails.

A page takes a second to load, so that tests which leave a figure as it was share one.
"""

import base64
import gzip
import io
import itertools
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.book.conftest import PHONE, opening
from tests.book.test_browser import CHAPTERS, FROM_DISK, PAGES
from tools import settings
from tools.checks.nbval_tolerance import compare_pictures
from tree_world.plotting.data.figure import MIME

FIGURES = settings.BOOK / "figures"
PICTURES = Path(__file__).with_name("touched")
WIDE_DESK = {"width": 1440, "height": 900}
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
NEXT_FRAME = """() => new Promise((done) => {
    requestAnimationFrame(() => requestAnimationFrame(done));
})"""


@dataclass
class Shown:
    """A figure that has come on its page, and what was found when it came."""

    chapter: str
    name: str
    page: Any
    place: Any
    arrival: dict[str, Any]

    def told(self):
        return self.place.locator(".touch-told").inner_text()

    def drawn(self):
        """The canvas, as a PNG file in base64."""
        address = self.place.locator("canvas").evaluate("(one) => one.toDataURL()")
        return address.partition(",")[2]

    def movable(self):
        return self.place.locator("[role=slider], input[type=range]").all()

    def next_frame(self):
        """Wait until what has changed is drawn: it asks for a frame, and is drawn in that."""
        self.page.evaluate(NEXT_FRAME)

    def reset(self):
        self.place.locator(".touch-reset").click()
        self.page.evaluate("document.activeElement.blur()")
        self.next_frame()


def bring(page, name):
    """Scroll to a figure, and wait until it can be touched."""
    place = page.locator(PLACE.format(name))
    place.scroll_into_view_if_needed()
    page.wait_for_selector(f"{PLACE.format(name)} canvas")
    page.evaluate("document.fonts.ready")
    page.evaluate(NEXT_FRAME)  # then it is drawn again
    return place


@contextmanager
def coming(browser, address, chapter, name, **options):
    """Open a page, and let its figure come."""
    with opening(browser, address) as open_:
        page = open_(PAGES[chapter], **options)
        page.evaluate("document.fonts.ready")
        arrival = {
            "scripts before": page.locator(f"script[src*='figures/{name}']").count(),
            "height before": page.evaluate("document.documentElement.scrollHeight"),
        }
        place = bring(page, name)
        arrival["height"] = page.evaluate("document.documentElement.scrollHeight")
        arrival["spoken"] = place.locator(".touch-spoken").inner_text()
        yield Shown(chapter, name, page, place, arrival)


@pytest.fixture(scope="module", params=TOUCHED, ids="-".join)
def of_a_desk(request, browser, built_site):
    with coming(browser, f"{built_site.as_uri()}/", *request.param, viewport=WIDE_DESK) as shown:
        yield shown


@pytest.fixture(scope="module", params=TOUCHED, ids="-".join)
def of_a_phone(request, browser, built_site):
    options = {"viewport": PHONE, "has_touch": True}
    with coming(browser, f"{built_site.as_uri()}/", *request.param, **options) as shown:
        yield shown


@pytest.fixture
def on_a_desk(of_a_desk):
    """A figure, as it is at first."""
    of_a_desk.page.emulate_media(
        media="screen", color_scheme="light", reduced_motion="no-preference"
    )
    of_a_desk.reset()
    return of_a_desk


@pytest.fixture
def on_a_phone(of_a_phone):
    """A figure, as it is at first."""
    of_a_phone.page.emulate_media(color_scheme="light")
    of_a_phone.reset()
    return of_a_phone


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


def nothing_has_moved(shown):
    arrival = shown.arrival
    assert arrival["scripts before"] == 0
    assert abs(arrival["height"] - arrival["height before"]) <= 8
    assert arrival["spoken"] == ""
    picture, canvas = shown.page.evaluate(
        """(name) => {
            const place = document.querySelector(`.touch[data-figure='${name}']`);
            const box = (part) => part.getBoundingClientRect().toJSON();
            const picture = place.closest("figure").querySelector("a:has(img)");
            return [box(picture), box(place.querySelector("canvas"))];
        }""",
        shown.name,
    )
    for side in ("x", "y", "width", "height"):
        assert picture[side] == pytest.approx(canvas[side], abs=1)
    assert shown.place.locator(".touch-hint").inner_text()
    assert shown.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_figure_comes_when_it_is_near_and_moves_nothing(on_a_desk):
    nothing_has_moved(on_a_desk)


def test_on_a_phone_as_well(on_a_phone):
    nothing_has_moved(on_a_phone)


@EACH
def test_from_a_server_as_well(browser, served, chapter, name):
    with coming(browser, served, chapter, name) as shown:
        nothing_has_moved(shown)


def test_keys_alone_do_everything(on_a_desk):
    page, place = on_a_desk.page, on_a_desk.place
    first, picture = on_a_desk.told(), on_a_desk.drawn()
    moved = 0
    for control in on_a_desk.movable():
        control.focus()
        before = control.get_attribute("aria-valuetext")
        for key in ("Shift+ArrowRight", "Shift+ArrowUp", "ArrowLeft"):
            page.keyboard.press(key)
        on_a_desk.next_frame()
        if control.get_attribute("aria-valuetext") != before:
            moved += 1
        page.keyboard.press("Escape")
        on_a_desk.next_frame()
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
    on_a_desk.next_frame()
    assert on_a_desk.told() == first
    assert on_a_desk.drawn() == picture


def test_what_is_moved_is_said_once_it_rests(on_a_desk):
    page = on_a_desk.page
    spoken = on_a_desk.place.locator(".touch-spoken")
    assert spoken.get_attribute("aria-live") == "polite"
    spoken.evaluate("(one) => { one.textContent = ''; }")
    on_a_desk.movable()[0].focus()
    page.keyboard.press("Shift+ArrowRight")
    on_a_desk.next_frame()
    assert spoken.inner_text() == ""
    selector = f"{PLACE.format(on_a_desk.name)} .touch-spoken"
    page.wait_for_function("(one) => document.querySelector(one).textContent", arg=selector)
    assert ":" in spoken.inner_text()


def test_nothing_starts_by_itself(on_a_desk):
    before, picture = on_a_desk.told(), on_a_desk.drawn()
    on_a_desk.page.wait_for_timeout(400)
    assert on_a_desk.told() == before
    assert on_a_desk.drawn() == picture


WATCH = """(selector) => {
    const slider = document.querySelector(selector);
    let last = slider.value;
    globalThis.changes = 0;
    globalThis.watching = setInterval(() => {
        if (slider.value !== last) globalThis.changes += 1;
        last = slider.value;
    }, 10);
}"""


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_who_wants_little_motion_gets_one_picture_a_second(on_a_desk, motion):
    page, place = on_a_desk.page, on_a_desk.place
    play = place.get_by_role("button", name="Play")
    if on_a_desk.name not in PLAYED:
        assert play.count() == 0
        return
    page.emulate_media(reduced_motion=motion)
    place.locator(".touch-time input").focus()
    page.keyboard.press("Home")
    on_a_desk.next_frame()
    page.evaluate(WATCH, f"{PLACE.format(on_a_desk.name)} .touch-time input")
    play.click()
    if motion == "reduce":
        page.wait_for_timeout(2500)
        assert 1 <= page.evaluate("globalThis.changes") <= 3
    else:
        page.wait_for_function("globalThis.changes > 3", timeout=2500)
    place.get_by_role("button", name="Stop").click()
    page.evaluate("clearInterval(globalThis.watching)")


# Axe looks through a whole page before it judges a part of it. So the rest of the text is taken
# away, and put back afterwards; what the text is in stays, or the figure would have another shape.
# `test_access.py` judges whole pages.
JUDGE = """async (selector) => {
    const away = [];
    const figure = document.querySelector(selector).closest("figure");
    for (let one = figure; !one.matches("main"); one = one.parentElement)
        for (const other of [...one.parentElement.childNodes]) {
            // By its title scripts know the page.
            if (other === one || other.querySelector?.("h1")) continue;
            away.push([other, document.createComment("")]);
            other.replaceWith(away.at(-1)[1]);
        }
    let found = await axe.run(selector, { preload: false });
    for (const [other, stead] of away) stead.replaceWith(other);
    // Where it cannot tell a colour without the text around, it is asked again with it.
    if (found.incomplete.some((rule) => rule.id === "color-contrast"))
        found = await axe.run(selector, { preload: false });
    return found.violations.map((rule) => [rule.id, rule.nodes[0].html]);
}"""


def unheard(shown):
    """Run axe on a figure, and list what it finds."""
    page = shown.page
    if not page.evaluate("'axe' in globalThis"):
        page.evaluate((settings.THEME / "node_modules" / "axe-core" / "axe.min.js").read_text())
    return page.evaluate(JUDGE, PLACE.format(shown.name))


def test_nothing_is_hidden_from_those_who_hear_it(on_a_desk):
    on_a_desk.page.emulate_media(color_scheme="dark")
    on_a_desk.next_frame()
    assert unheard(on_a_desk) == []


def test_nothing_is_hidden_on_a_phone(on_a_phone):
    assert unheard(on_a_phone) == []


def test_a_finger_scrolls_the_page_unless_it_holds_a_handle(on_a_phone):
    place = on_a_phone.place
    stage = place.locator(".touch-stage")
    assert stage.evaluate("(one) => getComputedStyle(one).touchAction") == "auto"
    for handle in place.locator(".touch-handle").all():
        box = handle.bounding_box()
        assert min(box["width"], box["height"]) >= 43.9
        assert handle.evaluate("(one) => getComputedStyle(one).touchAction") == "none"
    targets = place.locator("button, select, input[type=range]").all()
    assert all(one.bounding_box()["height"] >= 43.9 for one in targets)


# What holds a figure up is the same for all: each fails in one way, and each way fails somewhere.
WAYS_TO_FAIL = [
    (*one, broken)
    for one, broken in zip(TOUCHED, itertools.cycle(["canvas", "state", "script"]), strict=False)
]


@FROM_DISK
@pytest.mark.parametrize(("chapter", "name", "broken"), WAYS_TO_FAIL)
def test_the_picture_stays_if_anything_fails(browser, address, chapter, name, broken):
    context = browser.new_context(viewport=WIDE_DESK)
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


def test_on_paper_there_is_the_picture(on_a_desk):
    on_a_desk.page.emulate_media(media="print")
    assert not on_a_desk.place.is_visible()
    figure = on_a_desk.page.locator(
        "figure", has=on_a_desk.page.locator(PLACE.format(on_a_desk.name))
    )
    assert figure.locator("a img:visible").count() == 1


def test_the_picture_can_be_called_back(on_a_desk):
    place = on_a_desk.place
    place.get_by_role("button", name="Show the picture").click()
    assert not place.locator("canvas").is_visible()
    place.get_by_role("button", name="Touch it again").click()
    assert place.locator("canvas").is_visible()


PAPER = {"light": (251, 250, 246), "dark": (20, 24, 22)}


CLEARLY = 48  # of 255, by which a dot of another colour differs
FEW = 0.003  # of all dots, where letters are smoothed in another way


def moved_a_little(shown):
    """The canvas, once its first control was moved by three large steps, one way or the other."""
    first = shown.drawn()
    shown.movable()[0].focus()
    for key in ("Shift+ArrowRight", "Shift+ArrowLeft"):
        for _ in range(3):
            shown.page.keyboard.press(key)
        shown.next_frame()
        drawn = shown.drawn()
        if drawn != first:
            return drawn
    raise AssertionError("the first control moves nothing")


def dots(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"), dtype=int)


def is_drawn_as_stored(shown, scheme, renewed):
    """Compare a canvas with a stored picture: as a whole, and dot by dot, for what is thin."""
    shown.page.emulate_media(color_scheme=scheme)
    shown.next_frame()
    drawn = moved_a_little(shown)
    assert tuple(dots(drawn)[1, 1]) == PAPER[scheme]
    width = shown.page.viewport_size["width"]
    path = PICTURES / f"{shown.chapter}-{shown.name}-{width}-{scheme}.png"
    if renewed:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(drawn))
    assert path.exists(), "nothing is stored: look at it, and run pytest with --renew-pictures"
    stored = base64.b64encode(path.read_bytes()).decode()
    assert compare_pictures(stored, drawn) is None
    differs = np.abs(dots(stored) - dots(drawn)).max(axis=2) > CLEARLY
    assert differs.mean() <= FEW


@pytest.mark.parametrize("scheme", PAPER)
def test_a_figure_is_drawn_as_it_was(on_a_desk, scheme, renewed):
    is_drawn_as_stored(on_a_desk, scheme, renewed)


@pytest.mark.parametrize("scheme", PAPER)
def test_on_a_phone_it_is_drawn_as_it_was(on_a_phone, scheme, renewed):
    is_drawn_as_stored(on_a_phone, scheme, renewed)


def test_no_picture_is_left_over():
    names = {
        f"{chapter}-{name}-{viewport['width']}-{scheme}.png"
        for chapter, name in TOUCHED
        for viewport in (PHONE, WIDE_DESK)
        for scheme in PAPER
    }
    assert {path.name for path in PICTURES.iterdir()} == names
