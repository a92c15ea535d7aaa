"""The built book in a real browser: from disk and from a server, on a phone and on a desk.

Needs the system's Chromium. Pictures of all pages are left in ``tests/artifacts``.
"""

import functools
import http.server
import math
import re
import shutil
import threading
from pathlib import Path

import nbformat
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from tools import settings

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
# The engine names a page after its file, without the number that orders the files.
CHAPTERS = {re.sub(r"^\d+-", "", path.stem): path for path in settings.chapters()}
PAGES = {"index": "index.html"} | {name: f"{name}/index.html" for name in CHAPTERS}
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
TILE = 8000  # Chromium leaves blank what is longer than 16384 dots


@pytest.fixture(scope="module")
def browser(unavailable):
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        unavailable("Chromium is not installed. On Debian: apt-get install chromium")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def served(built_site, tmp_path_factory):
    """Address of the book on a server, two folders below its root."""
    root = tmp_path_factory.mktemp("server")
    (root / "some").mkdir()
    (root / "some" / "where").symlink_to(built_site)
    handler = functools.partial(QuietHandler, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/where/"
        server.shutdown()


@pytest.fixture(params=["from disk", "from a server"])
def address(request, built_site):
    """Where the book is, with a slash at the end."""
    if request.param == "from disk":
        return built_site.as_uri() + "/"
    return request.getfixturevalue("served")


@pytest.fixture
def open_page(browser, address):
    """Open a page of the book; at the end, nothing may have gone wrong on any of them."""
    problems = []
    contexts = []

    def watch(page):
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))

        def on_failure(request):
            # A reader who is quick leaves a page before its icon has come.
            if request.failure != "net::ERR_ABORTED":
                problems.append(f"failed: {request.url}: {request.failure}")

        page.on("requestfailed", on_failure)

        def on_console(message):
            if message.type in ("error", "warning"):
                problems.append(f"console: {message.text}")

        def on_response(response):
            if response.status >= 400:
                problems.append(f"status {response.status}: {response.url}")

        def on_request(request):
            if not request.url.startswith((address, "data:")):
                problems.append(f"foreign: {request.url}")

        page.on("console", on_console)
        page.on("response", on_response)
        page.on("request", on_request)
        return page

    def open_(name, **options):
        contexts.append(browser.new_context(**({"viewport": DESK} | options)))
        page = watch(contexts[-1].new_page())
        page.goto(address + PAGES[name])
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


def follow(link, target):
    """Follow a link, and wait until the browser is there."""
    link.click()
    link.page.wait_for_url(lambda url: url.endswith(target), wait_until="load")


def load_everything(page):
    """Let pictures below the fold load, too."""
    page.evaluate(
        """async () => {
            for (const image of document.images) image.loading = "eager";
            await Promise.all([...document.images].map((image) => image.decode()));
            await document.fonts.ready;
        }"""
    )


def test_the_pages_are_those_of_the_site(built_site):
    pages = {path.relative_to(built_site).as_posix() for path in built_site.rglob("*.html")}
    assert pages == set(PAGES.values())


def count_figures(name):
    """Pictures that the reference notebook of a page holds."""
    if name not in CHAPTERS:
        return 0
    notebook = nbformat.read(settings.NOTEBOOKS / f"{CHAPTERS[name].stem}.ipynb", as_version=4)
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("name", PAGES)
def test_everything_on_a_page_loads(open_page, name):
    page = open_page(name)
    load_everything(page)
    widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert all(width > 100 for width in widths)
    assert len(widths) == count_figures(name)
    loaded = page.evaluate(
        "[...document.fonts].filter((f) => f.status === 'loaded').map((f) => f.family)"
    )
    families = {family.strip('"') for family in loaded}
    assert {"Source Serif", "Inter UI"} <= families
    if name in CHAPTERS:
        assert {"KaTeX_Main", "KaTeX_Math", "JB Mono"} <= families
        assert page.locator(".equation .katex-display").count() > 0


def test_readers_find_their_way(open_page, address):
    page = open_page("index")
    chapter, start = address + PAGES["simulation"], address + PAGES["index"]
    follow(page.locator(".sidebar").get_by_text("A world to remember"), chapter)
    assert page.locator("h1").inner_text() == "A world to remember"
    follow(page.locator("a[rel=prev]"), start)
    follow(page.locator("a[rel=next]"), chapter)
    follow(page.locator(".sidebar .brand"), start)
    follow(page.locator("main").get_by_role("link", name="A world to remember").first, chapter)


def test_links_lead_to_their_places(open_page):
    page = open_page("simulation")
    for link, target in (
        (page.locator(".sidebar .sections a").nth(3), "sec-sight"),
        (page.locator("main a.reference[href='#fig-survival']").first, "fig-survival"),
        (page.locator("main a.citation").first, "ref-reimers2019"),
    ):
        follow(link, f"#{target}")
        page.wait_for_function(
            """(id) => {
                const top = document.getElementById(id).getBoundingClientRect().top;
                return top >= -2 && top < innerHeight;
            }""",
            arg=target,
        )


def test_the_outline_follows_the_reader(open_page):
    page = open_page("simulation")
    page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    page.evaluate("document.getElementById('sec-sight').scrollIntoView()")
    page.wait_for_function("document.querySelector('.sections .here')?.textContent === 'Sight'")


def test_a_link_to_a_folded_place_opens_it(open_page):
    page = open_page("simulation")
    page.evaluate("document.querySelector('details.solution p').id = 'inside'")
    page.evaluate("location.hash = 'inside'")
    page.wait_for_selector("details.solution[open] #inside")


def background(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_the_choice_of_colours_is_kept(open_page):
    page = open_page("index", color_scheme="light")
    assert background(page) > 200
    page.get_by_role("button", name="Switch to dark colours").click()
    assert background(page) < 60
    follow(page.locator("a[rel=next]"), PAGES["simulation"])
    assert background(page) < 60
    page.reload()
    assert background(page) < 60
    page.get_by_role("button", name="Switch to light colours").click()
    assert background(page) > 200


def test_colours_follow_the_system_unless_chosen(open_page):
    assert background(open_page("index", color_scheme="dark")) < 60


@pytest.mark.parametrize("address", ["from a server"], indirect=True)  # no clipboard from disk
def test_code_can_be_copied(open_page):
    page = open_page("simulation", permissions=["clipboard-read", "clipboard-write"])
    page.locator("button.copy").first.click()
    page.locator("button.copy").first.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("import math\n\nimport torch")


@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_on_a_phone(open_page, name):
    page = open_page(name, viewport=PHONE)
    for details in page.locator("main details").all():
        details.evaluate("element => element.open = true")
    wide = page.evaluate(
        """() => {
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
    )
    assert wide == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_phone_has_a_menu(open_page):
    page = open_page("index", viewport=PHONE)
    assert not page.locator(".sidebar").is_visible()
    page.locator(".menu summary").click()
    follow(page.locator(".menu").get_by_text("A world to remember"), PAGES["simulation"])


def test_the_book_can_be_read_without_scripts(open_page):
    page = open_page("index", java_script_enabled=False)
    assert not page.locator("button.theme").is_visible()
    follow(page.locator("a[rel=next]"), PAGES["simulation"])
    page.locator("details.solution summary").first.click()
    assert page.locator("details.solution").first.get_attribute("open") is not None


def test_the_keyboard_reaches_the_text_first(open_page):
    page = open_page("simulation")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the text"
    page.keyboard.press("Enter")
    page.wait_for_url("**/*#text")


@pytest.mark.parametrize("address", ["from disk"], indirect=True)
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "viewport"), [("390", PHONE), ("1280", DESK)])
def test_pictures_are_kept(open_page, name, scheme, device, viewport):
    page = open_page(name, viewport=viewport, color_scheme=scheme)
    load_everything(page)
    ARTIFACTS.mkdir(exist_ok=True)
    height = page.evaluate("document.documentElement.scrollHeight")
    width = viewport["width"]
    tile = math.ceil(height / math.ceil(height / TILE))
    for number, top in enumerate(range(0, height, tile), start=1):
        path = ARTIFACTS / f"{name}-{device}-{scheme}-{number}.png"
        clip = {"x": 0, "y": top, "width": width, "height": min(tile, height - top)}
        page.screenshot(path=path, full_page=True, clip=clip)
        assert sum(map(bool, Image.open(path).convert("L").histogram())) > 50  # not blank
