"""The pages of the built book keep to a budget, are valid, and bring what they promise."""

import itertools
import json
import platform
import re
import subprocess
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from tests.book.conftest import parsed
from tools import downloads, settings
from tools.checks import check_site

SCRIPT_AND_STYLE = 150_000
CHAPTER = 400_000
SYMBOL = 3_500  # a row of the index, with its formulas, each drawn for eyes and for screen readers
NOT_IN_TREES = ("references", "colophon", "take-it-with-you")  # headings that the theme makes
SEARCH_INDEX = 800_000  # a third of that compressed; it comes with the first search only


@pytest.fixture(scope="module")
def pages(built_site):
    return {path: parsed(path.read_text()) for path in sorted(built_site.rglob("index.html"))}


@pytest.fixture(scope="module")
def trees(built_site):
    """Syntax trees of the pages, as the engine wrote them, by slug."""
    folder = settings.CONTENT / "content"
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def text(element):
    return " ".join("".join(element.itertext()).split())


def page_of(pages, slug):
    return next(tree for path, tree in pages.items() if path.parent.name == slug)


def meta(tree, name):
    return [
        element.get("content")
        for element in tree.iter("meta")
        if name in (element.get("name"), element.get("property"))
    ]


# --- budget --------------------------------------------------------------------------------------


def test_scripts_and_styles_of_a_page_are_small(pages):
    for path, tree in pages.items():
        files = [link.get("href") for link in tree.iter("link") if link.get("rel") == "stylesheet"]
        files += [script.get("src") for script in tree.iter("script") if script.get("src")]
        assert len(files) == 3
        size = sum((path.parent / file).stat().st_size for file in files)
        size += sum(len(text(element)) for tag in ("script", "style") for element in tree.iter(tag))
        assert size <= SCRIPT_AND_STYLE, path


def test_pages_are_small(pages):
    assert len(pages) > 6
    rows = (settings.BOOK / "symbols.md").read_text().count("\n| $")
    assert rows > 150
    for path in pages:
        most = SYMBOL * rows if path.parent.name == "symbols" else CHAPTER
        assert path.stat().st_size <= most, path


def test_nothing_else_is_script_or_style(built_site):
    assets = built_site / "assets"
    # They come when the switch of a section is pressed, or when a figure that is touched is near.
    later = {assets / "numbers", assets / "figures", assets / "states"}
    names = {
        path.name
        for path in built_site.rglob("*")
        if path.suffix in (".js", ".mjs", ".css") and path.parent not in later
    }
    assert names == {"script.js", "style.css", "katex.css", "search-index.js"}
    assert (built_site / "assets" / "search-index.js").stat().st_size <= SEARCH_INDEX


def test_pictures_are_webp_or_svg_where_that_is_smaller(pages, built_site):
    shown = {
        (path.parent / image.get("src")).resolve()
        for path, tree in pages.items()
        for image in tree.iter("img")
    } | {
        (path.parent / narrow.get("srcset")).resolve()
        for path, tree in pages.items()
        for narrow in tree.iter("source")
    }
    assert len(shown) > 20
    assert shown == {path.resolve() for path in (built_site / "build").iterdir()}
    for path in shown:
        if path.suffix in (".webp", ".svg"):
            continue
        again = Path(f"{path}.webp")
        Image.open(path).save(again, lossless=True)
        size = again.stat().st_size
        again.unlink()
        assert path.stat().st_size <= size, path


def test_every_picture_has_a_size(pages):
    for tree in pages.values():
        for image in tree.iter("img"):
            assert int(image.get("width")) > 0
            assert int(image.get("height")) > 0


# --- validity ------------------------------------------------------------------------------------


def validate(*paths):
    """What html-validate finds against the standard: file, line, rule and message."""
    program = settings.THEME / "node_modules" / "html-validate" / "bin" / "html-validate.mjs"
    rules = settings.THEME / "html-validate.json"
    done = subprocess.run(
        ["node", program, "--config", rules, "--formatter", "json", *paths],
        env=settings.site_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        f"{Path(file['filePath']).parent.name}:{message['line']}: {message['message']}"
        for file in json.loads(done.stdout)
        for message in file["messages"]
    ]


def test_the_book_is_valid_html(built_site):
    assert validate(*built_site.rglob("*.html")) == []


def test_the_specimen_is_valid_html(specimen):
    assert validate(*specimen.rglob("*.html")) == []


def test_the_validator_finds_faults(built_site, tmp_path):
    page = (built_site / "index.html").read_text()
    for name, broken in {
        "nesting": page.replace("<h1>", "<p><div></div></p><h1>"),
        "name": page.replace("<h1>", '<h1 id="text">'),
        "tag": page.replace("<h1>", "<oddity></oddity><h1>"),
    }.items():
        (tmp_path / f"{name}.html").write_text(broken)
        assert validate(tmp_path / f"{name}.html"), name


# --- what a page says of itself ------------------------------------------------------------------


def test_pages_can_be_shared(pages, built_site):
    titles = set()
    for path, tree in pages.items():
        (title,), (description,), (image,) = (
            meta(tree, f"og:{name}") for name in ("title", "description", "image")
        )
        titles.add(title)
        assert meta(tree, "description") == [description]
        assert len(description) > 20
        picture = Image.open(path.parent / image)
        assert picture.size == (1200, 630)
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20  # not blank
    assert len(titles) == len(pages)


def test_chapters_share_their_own_figure(pages, trees):
    pictures = {
        path.parent.name: meta(tree, "og:image")[0].rsplit("/", 1)[1]
        for path, tree in pages.items()
    }
    chapters = [re.sub(r"^\d+-", "", path.stem) for path in settings.chapters()]
    with_figure = [name for name in chapters if figures_of({name: trees[name]})]
    assert len({pictures[name] for name in with_figure}) == len(with_figure) > 1


def test_the_colophon_says_what_a_chapter_was_made_with(pages):
    versions = settings.colophon()
    for source in settings.chapters():
        tree = page_of(pages, re.sub(r"^\d+-", "", source.stem))
        (colophon,) = (s for s in tree.iter("section") if s.get("class") == "colophon")
        words = text(colophon)
        for name in ("Python", "PyTorch", "tree_world", "Jupyter Book"):
            assert f"{name} {versions[name]}" in words
        assert versions["machine"] in words
        assert ("Seeds: " in words) == bool(
            re.search(r"^  seed:", source.read_text(), re.MULTILINE)
        )
        assert re.search(r"The (\d+ cells|only cell) took [\d.]+ (s|min) in all", words)


def test_slow_cells_say_how_long_they_took(pages):
    found = []
    for source in settings.chapters():
        tree = page_of(pages, re.sub(r"^\d+-", "", source.stem))
        times = [text(span) for span in tree.iter("span") if span.get("class") == "time"]
        assert all(re.fullmatch(r"[\d.]+ (s|min)", time) for time in times)
        found += times
    assert len(found) > 3  # a chapter may have no slow cell, the book has some


def test_times_are_nowhere_but_in_the_site():
    for path in settings.NOTEBOOKS.glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            assert "execution" not in cell["metadata"]


def test_nothing_tells_of_this_machine(built_site):
    secrets = [str(settings.ROOT), str(Path.home()), "localhost"]
    for path in built_site.rglob("*"):
        if path.suffix in (".html", ".js", ".css", ".txt", ".md", ".ipynb"):
            content = path.read_text()
            assert not [secret for secret in secrets if secret in content], path
    words = " ".join(settings.colophon().values()).split()
    assert platform.node() not in words


def test_downloads_are_the_sources_and_what_is_derived_from_the_notebooks(built_site):
    for source in settings.chapters():
        found = built_site / "downloads" / source.name
        assert found.read_bytes() == source.read_bytes()
        found = found.with_suffix(".ipynb")
        made = downloads.of(settings.NOTEBOOKS / found.name)
        # The address of the site in it is that which the site was built for.
        ours, theirs = (one.cells[1:] for one in (made, nbformat.read(found, as_version=4)))
        assert [_addressless(one) for one in ours] == [_addressless(one) for one in theirs]


def _addressless(cell):
    return cell | {"source": re.sub(r"\]\([^)]*/([\w-]+/index\.html)", r"](\1", cell.source)}


# --- lists at the back, and search ---------------------------------------------------------------


def figures_of(trees):
    return {
        node["identifier"]
        for tree in trees.values()
        for node in check_site.walk(tree["mdast"])
        if node["type"] == "container" and node.get("kind") == "figure"
    }


def test_the_list_of_figures_is_complete_and_in_order(pages, trees):
    (tree,) = (tree for path, tree in pages.items() if path.parent.name == "figures")
    lists = [ol for ol in tree.iter("ol") if ol.get("class") == "figure-list"]
    links = [a.get("href") for ol in lists for a in ol.iter("a")]
    assert {link.partition("#")[2] for link in links} == figures_of(trees)
    assert len(links) == len(set(links)) == len(figures_of(trees)) > 20
    labels = [
        text(span) for ol in lists for span in ol.iter("span") if span.get("class") == "number"
    ]
    numbers = [re.search(r"(\w+)\.(\d+)", label).groups() for label in labels]
    chapters = list(dict.fromkeys(chapter for chapter, _ in numbers))
    digits = [chapter for chapter in chapters if chapter.isdigit()]
    assert chapters[: len(digits)] == sorted(digits, key=int)  # letters come at the back
    places = [(chapters.index(chapter), int(number)) for chapter, number in numbers]
    assert places == sorted(places)
    assert len(places) == len(links)


def search_sections(built_site):
    script = (built_site / "assets" / "search-index.js").read_text()
    index = json.loads(script.removeprefix("globalThis.bookIndex=").rstrip().removesuffix(";"))
    sections = []
    for page in index["pages"]:
        for values in page["entries"]:
            told = dict(itertools.zip_longest(index["fields"], values, fillvalue=""))
            told["title"] = told["title"] or f"{told['kind']} {told['number']}"
            address = "#".join(filter(None, (page["address"], told["id"])))
            sections.append({**told, "page": page["page"], "address": address})
        owner = ""
        for line in page.get("names", "").splitlines():
            name, said, place = (*line.split("\t"), "", "")[:3]
            owner, title = (owner, owner + name) if name.startswith(".") else (name, name)
            place = place or f"lib-{re.sub('[._]+', '-', title.lower()).strip('-')}"
            told = {"title": title, "text": said, "code": "", "page": page["page"]}
            sections.append({**told, "address": f"{page['address']}#{place}"})
    return sections


def test_search_knows_every_section(pages, built_site):
    sections = search_sections(built_site)
    known = {section["address"] for section in sections}
    assert len(known) == len(sections)
    for path, tree in pages.items():
        page = path.relative_to(built_site).as_posix()
        assert page in known
        for tag in ("h2", "h3"):
            for heading in tree.iter(tag):
                name = heading.get("id")
                if name and name not in NOT_IN_TREES:
                    assert f"{page}#{name}" in known


def test_search_knows_the_words(built_site):
    words = " ".join(f"{s['title']} {s['text']} {s['code']}" for s in search_sections(built_site))
    for expected in (
        "wake on a plain",  # a paragraph
        "whether anything matched",  # prose, across emphasis
        "sight-guided, resting",  # a cell of a table
        "Figure 1.1. The cosine between the embeddings",  # a caption
        "read_by_hand(places, sd",  # code
        "σt,i",  # mathematics, as it is read
    ):
        assert expected in words
