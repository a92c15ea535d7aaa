"""The built book in a real browser: from disk and from a server, on a phone and on a desk.

Needs the system's Chromium.
"""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.book.conftest import PHONE
from tools import settings
from tools.browser import load_everything

# The engine names a page after its file, without the number that orders the files.
CHAPTERS = {re.sub(r"^\d+-", "", path.stem): path for path in settings.chapters()}
TOC = (settings.ROOT / "myst.yml").read_text()
NAMES = [re.sub(r"^\d+-", "", Path(file).stem) for file in re.findall(r"- file: (\S+)", TOC)]
PAGES = {name: "index.html" if name == "index" else f"{name}/index.html" for name in NAMES}
# Pages of the reference are made alike: the longest stands for all.
UNLIKE = {name: PAGES[name] for name in PAGES if not re.match(r"reference-(?!memory)", name)}
FROM_DISK = pytest.mark.parametrize("address", ["from disk"], indirect=True)


def follow(link, target):
    """Follow a link, and wait until the browser is there."""
    link.click()
    link.page.wait_for_url(lambda url: url.endswith(target), wait_until="load")


def wait_until_in_view(page, identifier):
    page.wait_for_function(
        """(id) => {
            const top = document.getElementById(id).getBoundingClientRect().top;
            return top >= -2 && top < innerHeight;
        }""",
        arg=identifier,
    )


def focused(page, attribute="textContent"):
    return page.evaluate(f"document.activeElement.{attribute}")


def test_the_pages_are_those_of_the_site(built_site):
    pages = {path.relative_to(built_site).as_posix() for path in built_site.rglob("*.html")}
    gone = {f"{old}/index.html" for old in settings.moved() if "#" not in old}
    assert pages == set(PAGES.values()) | gone | {"404.html"}


# --- ways through the book -----------------------------------------------------------------------


def test_readers_find_their_way(open_page, address):
    page = open_page("index.html")
    chapter, start = address + PAGES["simulation"], address + PAGES["index"]
    follow(page.locator(".sidebar").get_by_text("A world to remember"), chapter)
    assert page.locator("h1").inner_text() == "A world to remember"
    follow(page.locator("a[rel=prev]"), address + PAGES["reading"])
    follow(page.locator("a[rel=prev]"), start)
    follow(page.locator("a[rel=next]"), address + PAGES["reading"])
    follow(page.locator(".sidebar .brand"), start)
    follow(page.locator(".chapters").get_by_role("link", name="A world to remember"), chapter)
    follow(page.locator(".sidebar .brand"), start)
    follow(page.get_by_role("link", name="Start reading"), chapter)


def test_links_lead_to_their_places(open_page):
    page = open_page(PAGES["simulation"])
    for link, target in (
        (page.locator(".sidebar .sections a").nth(3), "sec-sight"),
        (page.locator("main a.reference[href='#fig-survival']").first, "fig-survival"),
        (page.locator("main a.citation").first, "ref-reimers2019"),
    ):
        follow(link, f"#{target}")
        wait_until_in_view(page, target)


@FROM_DISK
def test_the_list_of_figures_leads_to_the_figures(open_page):
    page = open_page(PAGES["figures"])
    follow(page.get_by_text("Figure 2.3."), "spatial-memory/index.html#fig-threshold")
    wait_until_in_view(page, "fig-threshold")


@FROM_DISK
def test_the_index_of_symbols_leads_to_the_equations(open_page):
    page = open_page(PAGES["symbols"])
    follow(page.get_by_role("link", name="(2.4)"), "spatial-memory/index.html#eq-effective")
    wait_until_in_view(page, "eq-effective")


@FROM_DISK
def test_the_outline_follows_the_reader(open_page):
    page = open_page(PAGES["simulation"])
    page.evaluate("document.getElementById('sec-sight').scrollIntoView()")
    page.wait_for_function(
        "document.querySelector('.sections .here')?.lastElementChild.textContent === 'Sight'"
    )


@FROM_DISK
def test_a_link_to_a_folded_place_opens_it(open_page):
    page = open_page(PAGES["simulation"])
    page.evaluate("document.querySelector('details.solution p').id = 'inside'")
    page.evaluate("location.hash = 'inside'")
    page.wait_for_selector("details.solution[open] #inside")


def test_the_place_in_the_book_is_kept(open_page):
    page = open_page("index.html")
    assert not page.locator(".resume").is_visible()
    follow(page.locator(".sidebar").get_by_text("A world to remember"), PAGES["simulation"])
    page.evaluate("document.getElementById('sec-sight').scrollIntoView()")
    follow(page.locator(".sidebar .brand"), "index.html")
    link = page.locator(".resume a")
    assert link.inner_text() == "A world to remember: 1.4 Sight"
    follow(link, "simulation/index.html#sec-sight")
    wait_until_in_view(page, "sec-sight")


# --- search --------------------------------------------------------------------------------------


def test_search_finds_a_word_on_another_page_and_lands_on_it(open_page):
    page = open_page(PAGES["simulation"])
    page.keyboard.press("/")
    page.wait_for_selector(".search-panel[open]")
    page.keyboard.type("reproduces")
    first = page.locator(".results a").first
    first.wait_for()
    assert "Remembering where" in first.locator(".where").inner_text()
    title = re.search(r"^\(sec-linear\)=\n## (.+)$", CHAPTERS["spatial-memory"].read_text(), re.M)[
        1
    ]
    assert first.locator(".what").inner_text() == f"2.5 {title}"
    assert first.locator(".excerpt mark").first.inner_text() == "reproduces"
    page.keyboard.press("ArrowDown")
    assert page.locator(".results a:focus").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_url("**/spatial-memory/index.html#sec-linear", wait_until="load")
    found = """() => {
        const inView = [...CSS.highlights.get("found") ?? []].find((range) => {
            const { top, bottom } = range.getBoundingClientRect();
            return top > 0 && bottom < innerHeight;
        });
        return inView?.toString();
    }"""
    page.wait_for_function(found)
    assert page.evaluate(found) == "reproduces"


@FROM_DISK
def test_search_forgives_and_completes(open_page):
    page = open_page("index.html")
    page.keyboard.press("Control+k")
    for typed in ("neighbourhod", "neighbourh"):
        page.locator(".search-panel input").fill(typed)
        page.locator(".results mark", has_text="neighbourhood").first.wait_for()


@FROM_DISK
def test_search_says_what_it_found_and_closes(open_page):
    page = open_page("index.html")
    page.get_by_role("button", name="Search").first.click()
    field = page.get_by_label("Search the book")
    field.fill("xylophone")
    page.get_by_text("Nothing found for “xylophone”.").wait_for()
    field.fill("")
    page.wait_for_function("document.querySelector('.search-panel .status').textContent === ''")
    page.keyboard.type("/ is a letter here")
    assert field.input_value() == "/ is a letter here"
    page.keyboard.press("Escape")
    assert not field.is_visible()
    assert "Search" in focused(page)


# --- cards ---------------------------------------------------------------------------------------


@FROM_DISK
def test_a_card_shows_an_equation_of_the_same_page(open_page):
    page = open_page(PAGES["spatial-memory"])
    page.locator("main a.reference[href='#eq-kernel']").first.hover()
    card = page.locator(".card-over")
    card.locator(".katex-display").wait_for()
    assert "ℓ" in card.inner_text()
    card.hover()  # the card itself may be read, and stays
    page.wait_for_timeout(400)
    assert card.is_visible()
    page.keyboard.press("Escape")
    assert not card.is_visible()


def test_a_card_shows_an_equation_of_another_page(open_page):
    page = open_page(PAGES["sampling"])
    link = page.locator("main a.reference[href='../drives/index.html#eq-key']").first
    link.hover()
    card = page.locator(".card-over")
    card.locator(".katex-display").wait_for()
    assert page.locator(".card-over a, .card-over [id]").count() == 0
    page.mouse.move(0, 0)
    card.wait_for(state="hidden")


@FROM_DISK
def test_a_card_opens_for_the_keyboard_and_is_described(open_page):
    page = open_page(PAGES["spatial-memory"])
    link = page.locator("main a.reference[href='#fig-weights']").first
    link.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    card = page.locator(".card-over")
    card.locator("img:visible").wait_for()
    assert "Figure\xa02.1" in card.inner_text()
    assert link.get_attribute("aria-describedby") == card.get_attribute("id")
    page.keyboard.press("Tab")
    assert not card.is_visible()
    assert link.get_attribute("aria-describedby") is None


@pytest.mark.parametrize(
    ("name", "selector", "words"),
    [
        ("simulation", "a.citation", "Sentence-BERT"),
        ("sampling", "a.reference[href$='#tab-speed']", "Table 2.3"),
        ("spatial-memory", "a.reference[href$='simulation/index.html#fig-scents']", "Figure 1.4"),
    ],
)
def test_cards_show_what_is_referred_to(open_page, name, selector, words):
    page = open_page(PAGES[name])
    page.locator(f"main {selector}").first.hover()
    page.locator(".card-over").get_by_text(words).first.wait_for()


# --- figures, code, files ------------------------------------------------------------------------


def test_a_figure_opens_and_closes_by_keyboard(open_page):
    page = open_page(PAGES["spatial-memory"])
    link = page.locator("#fig-reads a.enlarge")
    link.focus()
    page.keyboard.press("Enter")
    picture = page.locator("dialog.enlarged[open] img")
    picture.wait_for()
    page.wait_for_function("document.querySelector('dialog.enlarged img').naturalWidth > 100")
    shown = page.locator("#fig-reads img:visible")
    assert picture.bounding_box()["width"] > shown.bounding_box()["width"]
    assert "Figure\xa02.2." in page.locator("dialog.enlarged .caption").inner_text()
    page.keyboard.press("Escape")
    assert not picture.is_visible()
    assert focused(page, "className") == "enlarge"


def picture_of(page, selector):
    load_everything(page)
    shot = page.locator(selector).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=float)


@FROM_DISK
@pytest.mark.parametrize(
    ("scheme", "shown", "hidden"),
    [("light", "for-light", "for-dark"), ("dark", "for-dark", "for-light")],
)
def test_a_figure_is_on_the_paper_of_its_page(open_page, scheme, shown, hidden):
    page = open_page(PAGES["simulation"], color_scheme=scheme)
    picture = picture_of(page, f"#fig-scents img.{shown}")
    np.testing.assert_allclose(picture[0, 0], paper(page), atol=1)
    np.testing.assert_allclose(picture[-1, -1], paper(page), atol=1)
    other = page.locator(f"img.{hidden}")
    assert other.count() == page.locator(f"img.{shown}").count()
    assert not any(image.is_visible() for image in other.all())
    # What is not shown costs nothing.
    assert page.evaluate(
        f"[...document.querySelectorAll('img.{hidden}')].every((image) => !image.naturalWidth)"
    )


@FROM_DISK
def test_figures_change_with_the_page(open_page):
    page = open_page(PAGES["simulation"], color_scheme="light")
    light = paper(page)
    page.get_by_role("button", name="switch to dark").click()
    assert max(paper(page)) < min(light)
    np.testing.assert_allclose(
        picture_of(page, "#fig-scents img:visible")[0, 0], paper(page), atol=1
    )
    link = page.locator("#fig-scents a.enlarge")
    link.click()
    enlarged = page.locator("dialog.enlarged img")
    assert enlarged.get_attribute("src") == link.locator("img.for-dark").get_attribute("src")


@FROM_DISK
def test_an_enlarged_figure_has_its_size_on_a_phone(open_page):
    page = open_page(PAGES["spatial-memory"], viewport=PHONE)
    page.locator("#fig-reads a.enlarge").click()
    picture = page.locator("dialog.enlarged img")
    assert picture.bounding_box()["width"] > 1.5 * PHONE["width"]
    page.evaluate("document.querySelector('dialog .stage').scrollTo(10_000, 0)")
    right = picture.bounding_box()["x"] + picture.bounding_box()["width"]
    assert right <= PHONE["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_code_can_be_copied(open_page):
    page = open_page(PAGES["simulation"])
    page.locator("details.cell.folded summary").first.click()
    page.locator("button.copy").first.click()
    page.locator("button.copy").first.get_by_text("Copied").wait_for()
    page.keyboard.press("/")
    page.keyboard.press("Control+v")
    pasted = page.get_by_label("Search the book").input_value()
    assert pasted.startswith("import math")
    assert "import torch" in pasted


@pytest.mark.parametrize("address", ["from a server"], indirect=True)
@pytest.mark.parametrize("label", ["Notebook", "Markdown"])
def test_a_chapter_can_be_downloaded(open_page, label):
    page = open_page(PAGES["drives"])
    with page.expect_download() as download:
        page.locator(".meta").get_by_role("link", name=label).click()
    source = settings.BOOK / (
        "notebooks/03-drives.ipynb" if label == "Notebook" else "03-drives.md"
    )
    assert download.value.suggested_filename == source.name
    offered = settings.SITE / "downloads" / source.name
    assert download.value.path().read_bytes() == offered.read_bytes()


@FROM_DISK
def test_what_can_be_downloaded_lies_beside_the_pages(open_page):
    page = open_page(PAGES["drives"])
    link = page.locator(".meta").get_by_role("link", name="Notebook")
    path = settings.SITE / "drives" / link.get_attribute("href")
    assert path.resolve() == (settings.SITE / "downloads" / "03-drives.ipynb").resolve()
    assert path.exists()


# --- how it looks --------------------------------------------------------------------------------


def paper(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [int(part) for part in re.findall(r"\d+", colour)[:3]]


def background(page):
    return sum(paper(page)) / 3


def test_the_choice_of_colours_is_kept(open_page):
    page = open_page("index.html", color_scheme="light")
    assert background(page) > 200
    page.get_by_role("button", name="Dark").click()
    assert background(page) < 60
    follow(page.locator("a[rel=next]"), PAGES["reading"])
    assert background(page) < 60
    page.reload()
    assert background(page) < 60
    page.get_by_role("button", name="Light").click()
    assert background(page) > 200


@FROM_DISK
def test_colours_follow_the_system_unless_chosen(open_page):
    assert background(open_page("index.html", color_scheme="dark")) < 60


@FROM_DISK
@pytest.mark.parametrize("width", [820, 1280, 1920])
def test_lines_have_65_to_75_characters(open_page, width):
    page = open_page(PAGES["reading"], viewport={"width": width, "height": 900})
    page.evaluate("document.fonts.ready")
    lengths = page.evaluate(
        """() => [...document.querySelectorAll("main > p")].flatMap((paragraph) => {
            const lines = [0];
            const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
            let last;
            while (walker.nextNode()) {
                for (let at = 0; at < walker.currentNode.length; at++) {
                    const range = new Range();
                    range.setStart(walker.currentNode, at);
                    range.setEnd(walker.currentNode, at + 1);
                    const top = range.getClientRects()[0]?.top;
                    if (top === undefined) continue;
                    if (top - last > 10) lines.push(0);
                    lines[lines.length - 1]++;
                    last = top;
                }
            }
            return lines.slice(0, -1);
        })"""
    )
    assert len(lengths) > 15
    assert 65 <= np.mean(lengths) <= 75
    assert 65 <= np.median(lengths) <= 75


@FROM_DISK
def test_a_phone_has_a_menu(open_page):
    page = open_page("index.html", viewport=PHONE)
    assert not page.locator(".sidebar").is_visible()
    page.locator(".menu summary").click()
    follow(page.locator(".menu").get_by_text("A world to remember"), PAGES["simulation"])
    page.locator("header").get_by_role("button", name="Search").click()
    assert page.get_by_label("Search the book").is_visible()


@FROM_DISK
def test_paper_holds_the_text_and_nothing_else(open_page):
    page = open_page(PAGES["simulation"], color_scheme="dark")
    page.emulate_media(media="print")
    assert background(page) == 255
    for gone in (".sidebar", "header.bar", ".copy", ".neighbours", ".anchor"):
        assert not page.locator(gone).first.is_visible(), gone
    assert page.locator("details.solution p").first.is_visible()
    assert page.locator("#fig-scents img.for-light").is_visible()
    assert not page.locator("#fig-scents img.for-dark").is_visible()
    assert Image.open(io.BytesIO(page.screenshot())).width  # a page that can be drawn
    assert len(page.pdf()) > 100_000


# --- without scripts, without a mouse ------------------------------------------------------------


@FROM_DISK
def test_figures_and_folds_work_without_scripts(open_page):
    page = open_page(PAGES["simulation"], java_script_enabled=False)
    page.locator("details.solution summary").first.click()
    assert page.locator("details.solution p").first.is_visible()
    picture = page.locator("#fig-scents img:visible")
    picture.scroll_into_view_if_needed()
    assert Image.open(io.BytesIO(picture.screenshot())).width > 300
    page.locator("#fig-scents a.enlarge").click()
    page.wait_for_url("**/build/*.webp")


@FROM_DISK
def test_the_keyboard_reaches_the_text_first(open_page):
    page = open_page(PAGES["simulation"])
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the text"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    page.wait_for_url("**/*#text")


@FROM_DISK
def test_whatever_has_the_focus_shows_it(open_page):
    page = open_page(PAGES["simulation"])
    for _ in range(40):
        page.keyboard.press("Tab")
        style = page.evaluate(
            """() => {
                const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
                return [document.activeElement.outerHTML.slice(0, 80), outlineStyle, outlineWidth];
            }"""
        )
        assert style[1:] == ["solid", "2px"], style


@FROM_DISK
def test_boxes_are_stops_for_the_keyboard_only_where_they_scroll(open_page):
    page = open_page(PAGES["simulation"], viewport=PHONE)
    stops = """() => [...document.querySelectorAll("main pre")]
        .filter((box) => !box.closest("details:not([open])"))
        .map((box) => [box.tabIndex === 0, box.scrollWidth > box.clientWidth + 1])"""
    page.wait_for_function("document.querySelector('main pre[tabindex]')")
    states = page.evaluate(stops)
    assert {True, False} == {scrolls for _, scrolls in states}
    assert all(stop == scrolls for stop, scrolls in states)
