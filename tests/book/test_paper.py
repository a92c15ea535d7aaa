"""The book as a PDF: numbers of pages, bookmarks, links, fonts, pictures, how full pages are."""

import functools
import io
import re
import shutil
import subprocess

import html5lib
import numpy as np
import psutil
import pypdf
import pytest
from PIL import Image

from tools import browser, paper, settings
from tools.printing import Printer, PrintError

LARGEST = 12_000_000
INCH = 72  # points
RESOLUTION = 12  # dots per inch, to see how full pages are


@pytest.fixture(scope="module")
def pdf(unavailable):
    if browser.find() is None:
        unavailable(browser.MISSING)
    path = settings.BUILD / "book.pdf"
    if not path.exists():
        unavailable("the book is not printed: run make build")
    return pypdf.PdfReader(path)


@pytest.fixture(scope="module")
def document(pdf):
    """The document that was printed, as a tree."""
    text = (paper.source() / "index.html").read_text()
    return html5lib.parse(text, namespaceHTMLElements=False)


@pytest.fixture(scope="module")
def places(pdf):
    return paper.places((settings.BUILD / "book.pdf").read_bytes())


@pytest.fixture(scope="module")
def texts(pdf):
    """Text of a page: pypdf takes long, and is asked for what is needed, if there is no other."""
    if shutil.which("pdftotext"):
        command = ["pdftotext", "-layout", settings.BUILD / "book.pdf", "-"]
        pages = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return lambda number: pages.split("\f")[number - 1]
    return functools.cache(lambda number: pdf.pages[number - 1].extract_text())


def with_class(tree, name):
    return [node for node in tree.iter() if name in node.get("class", "").split()]


def letters(node):
    return "".join(node.itertext())


def squeezed(text):
    return re.sub(r"\s+", "", text)


def bookmarks(pdf):
    """Titles with the numbers of their pages."""
    found = []

    def walk(items):
        for item in items:
            if isinstance(item, list):
                walk(item)
            else:
                found.append((squeezed(item.title), pdf.get_destination_page_number(item) + 1))

    walk(pdf.outline)
    return found


def test_every_chapter_and_section_has_a_bookmark(pdf, document):
    titles = {title for title, _ in bookmarks(pdf)}
    headings = [node for node in document.iter() if node.tag in ("h1", "h2")]
    assert len(headings) > 150
    missing = [
        letters(node)
        for node in headings
        # What is drawn as a formula has other letters in a bookmark.
        if not with_class(node, "katex") and squeezed(letters(node)) not in titles
    ]
    assert missing == []


def test_every_link_leads_to_a_place_of_the_document(document, places):
    names = [node.get("id") for node in document.iter() if node.get("id")]
    assert len(names) == len(set(names))
    links = [node.get("href", "") for node in document.iter("a")]
    wanted = {link[1:] for link in links if link.startswith("#")}
    assert len(wanted) > 400
    assert wanted <= set(names)
    assert wanted <= set(places)


def test_links_of_the_pdf_lead_somewhere(pdf, places):
    count = 0
    for page in pdf.pages:
        for note in page.get("/Annots", []):
            note = note.get_object()
            if "/Dest" in note:
                count += 1
                assert str(note["/Dest"]).removeprefix("/") in places
            elif "/URI" in note.get("/A", {}):
                assert re.match(r"https?://|mailto:", note["/A"]["/URI"]), note["/A"]["/URI"]
    assert count > 1000


def test_contents_name_the_pages_on_which_chapters_begin(document, places, texts, pdf):
    [contents] = with_class(document, "contents-page")
    entries = [node.get("href")[1:] for node in with_class(contents, "entry")]
    chapters = [name for name in entries if "--" not in name]
    assert len(chapters) > 16
    first = places[chapters[0]]
    start = next(number for title, number in bookmarks(pdf) if title == "Contents")
    printed = re.findall(r"\d+", "\n".join(texts(number) for number in range(start, first)))
    # Chapters and sections in order, each with its page.
    at = 0
    for name in entries:
        at = printed.index(str(places[name]), at) + 1
    for name in chapters:
        title = letters(next(node for node in document.iter("h1") if node.get("id") == name))
        assert squeezed(title) in squeezed(texts(places[name]))
        # Its number, at its foot, is the one of the contents.
        assert str(places[name]) in texts(places[name]).split()


def test_references_name_the_pages_of_their_goals(document, places, texts, pdf):
    """Of one chapter all that is printed: its text says `p. 41` only where something is."""
    first, after = places["lifetime"], places["scale"]
    goals = {
        places[node.get("data-to")]
        for node in with_class(document, "page-reference")
        if node.get("data-to")
    }
    said = set()
    for number in range(first + 1, after):
        on_page = {int(found) for found in re.findall(r"p\.\s(\d+)", texts(number))}
        assert number not in on_page  # what is on the same page has no number
        said |= on_page
    assert len(said) > 3
    assert said <= goals


def test_every_numbered_equation_is_printed(document, places, texts):
    equations = [node for node in with_class(document, "equation") if with_class(node, "number")]
    assert len(equations) > 80
    linked = [node for node in equations if node.get("id") in places]
    assert len(linked) > 0.9 * len(equations)
    for node in linked:
        [number] = with_class(node, "number")
        page = places[node.get("id")]
        # A place is that of the whole; its number may be below, on the next page.
        assert squeezed(letters(number)) in squeezed(texts(page)), letters(number)
        assert "\ufffd" not in texts(page)


def test_every_exercise_has_its_answer_and_says_where(document, places):
    exercises = with_class(document, "exercise")
    assert len(exercises) > 40
    for node in exercises:
        answer = f"{node.get('id')}--answer"
        assert [link.get("href") for link in node.iter("a")][-1] == f"#{answer}"
        assert places[answer] > places[node.get("id")]


def test_nothing_of_the_screen_is_left(document):
    for name in ("touch", "folded", "anchor", "copy", "back", "for-dark", "take-away"):
        assert with_class(document, name) == []
    tags = {node.tag for node in document.iter()}
    assert not tags & {"details", "summary", "button", "script", "iframe", "template"}


def test_fonts_are_embedded_and_no_letter_is_missing(pdf):
    fonts = {}
    for page in pdf.pages:
        named = page["/Resources"].get("/Font", {})
        fonts |= {str(named.raw_get(name)): named[name] for name in named}
    seen = set()
    for font in fonts.values():
        assert font["/Subtype"] == "/Type0", "a variable font, which is drawn letter by letter"
        [descendant] = font["/DescendantFonts"]
        assert "/FontFile2" in descendant.get_object()["/FontDescriptor"]
        seen.add(str(font["/BaseFont"]).partition("+")[2])
    assert {"SourceSerif4-Regular", "Inter-Regular", "JetBrainsMono-Regular"} <= seen


def test_pictures_are_sharp(pdf, document):
    """At least 150 dots per inch, at the size that they have on the page."""
    measure = 124 / 25.4
    for picture in document.iter("img"):
        inches = re.search(r"--inches:([\d.]+)", picture.get("style", ""))
        if picture.get("src", "").endswith(".svg") or not inches:
            continue
        on_page = min(float(inches[1]) / 7.4, 1) * measure
        assert int(picture.get("width")) / on_page >= 150


def test_the_file_is_small_enough():
    assert (settings.BUILD / "book.pdf").stat().st_size <= LARGEST


def test_pages_are_full(pdf, tmp_path, unavailable):
    """All but the last ones of chapters, of their text and of their answers, are half full."""
    if shutil.which("pdftoppm") is None:
        unavailable("pdftoppm is not installed. On Debian: apt-get install poppler-utils")
    command = ["pdftoppm", "-r", str(RESOLUTION), "-gray", settings.BUILD / "book.pdf"]
    subprocess.run([*command, tmp_path / "page"], check=True)
    ends = {page - 1 for title, page in bookmarks(pdf) if title == "Hintsandsolutions"}
    tops = [item for item in pdf.outline if not isinstance(item, list)]
    ends |= {pdf.get_destination_page_number(item) for item in tops}
    ends.add(len(pdf.pages))
    for number, path in enumerate(sorted(tmp_path.glob("page-*.pgm")), 1):
        if number in ends:
            continue
        dots = np.asarray(Image.open(path))
        top, bottom = (round(len(dots) * at / 240) for at in (19, 215))
        inked = np.flatnonzero((dots[top:bottom] < 240).any(axis=1))
        assert max(inked, default=0) > (bottom - top) / 2, f"page {number}"
    assert number == len(pdf.pages)


def test_nothing_is_wider_than_a_page(pdf):
    """Formulas, tables, code and pictures, measured in the browser."""
    with Printer(browser.find()) as printer:
        printer.open(paper.source() / "index.html", paper.WIDTH)
        printer.run(f"{paper.LAYOUT.read_text()};null")
        assert printer.run("paper.fit()") == []
        cut = printer.run(
            """[...document.querySelectorAll(".base, td, th, pre, img, p, li")]
            .filter((node) => !node.closest(".cover"))
            .map((node) => [node.textContent.slice(0, 40), node.getBoundingClientRect()])
            .filter(([, box]) => box.height && (box.right > 470 || box.left < -1))
            .map(([text, box]) => [text, box.left, box.right])"""
        )
    assert cut == []


# --- numbers that move what they tell of ----------------------------------------------------------


def a_pdf(**pages):
    """A PDF with a place on each page that is named."""
    writer = pypdf.PdfWriter()
    for _ in range(max(pages.values())):
        writer.add_blank_page(100, 100)
    for name, page in pages.items():
        writer.add_named_destination(name, page - 1)
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


def test_it_is_printed_once_where_the_guess_is_right():
    asked = []

    def write_and_print(pages):
        asked.append(dict(pages))
        return a_pdf(a=1, b=3)

    assert paper.places(paper.settled(write_and_print, {"a": 1, "b": 3})) == {"a": 1, "b": 3}
    assert asked == [{"a": 1, "b": 3}]


def test_it_is_printed_again_until_no_place_moves():
    asked = []

    def write_and_print(pages):
        asked.append(dict(pages))
        return a_pdf(a=1, b=2 if pages["b"] == 1 else 3)

    assert paper.places(paper.settled(write_and_print, {"a": 1, "b": 1}))["b"] == 3
    assert [pages["b"] for pages in asked] == [1, 2, 3]


def test_pages_that_never_settle_are_an_error():
    with pytest.raises(PrintError, match=r"after 4 passes these places still move: b\."):
        paper.settled(lambda pages: a_pdf(a=1, b=5 - pages["b"]), {"a": 1, "b": 2})


def test_without_a_browser_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(browser, "find", lambda: None)
    assert paper.make() is None
    assert capsys.readouterr().out == f"The book is not printed as PDF. {browser.MISSING}\n"


def test_it_is_printed_only_if_something_has_changed(monkeypatch, tmp_path):
    """Of the document, its style and its pictures."""
    monkeypatch.setattr(settings, "SITE", tmp_path / "html")
    monkeypatch.setattr(settings, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(browser, "find", lambda: "/bin/sh")
    with pytest.raises(PrintError, match="There is no book to print: run make build first"):
        paper.make()
    for name in (
        "html/assets/style.css",
        "html/assets/katex.css",
        "paper/index.html",
        "paper/a.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    printed = []
    monkeypatch.setattr(paper, "printed", lambda program: printed.append(program) or b"a PDF")
    assert paper.make() == tmp_path / "book.pdf"
    assert (tmp_path / "html/downloads/tree-world.pdf").read_bytes() == b"a PDF"
    paper.make()
    assert len(printed) == 1
    (tmp_path / "paper/a.png").write_text("another picture")
    paper.make()
    assert len(printed) == 2


def test_a_script_that_fails_is_told(pdf, tmp_path):
    (tmp_path / "page.html").write_text("<!doctype html><title>One</title><p>Words.")
    with Printer(browser.find()) as printer:
        printer.open(tmp_path / "page.html", 400)
        assert printer.run("document.title") == "One"
        with pytest.raises(
            PrintError, match="A script failed in the page to be printed: Error: no"
        ):
            printer.run("(() => { throw new Error('no') })()")
        with pytest.raises(PrintError, match=r"The browser refused Page\.fly"):
            printer.ask("Page.fly")
        assert printer.print().startswith(b"%PDF")


def test_a_browser_that_says_nothing_is_given_up(tmp_path):
    silent, told = tmp_path / "browser", tmp_path / "pid"
    silent.write_text(f"#!/bin/sh\necho $$ > {told}\nexec sleep 60\n")
    silent.chmod(0o700)
    with (
        pytest.raises(PrintError, match=r"has said nothing for 0\.5 seconds"),
        Printer(str(silent), patience=0.5),
    ):
        pass
    assert not psutil.pid_exists(int(told.read_text()))
