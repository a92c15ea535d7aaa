"""Ways into the book and out of it: source, reports, citations; and what machines are told."""

import datetime
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import xml.etree.ElementTree as ElementTree
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import yaml

from tests.book.conftest import DESK, QuietHandler, opening, parsed
from tests.book.test_pages import search_sections
from tools import editions, references, settings

HOME = "https://example.org/book/"
SOURCE = "https://github.com/some/where"
CITED = yaml.safe_load((settings.ROOT / "CITATION.cff").read_text())
CHAPTERS = [path for path in settings.pages() if re.match(r"\d", path.stem)]
SLUGS = [references.slug(path.stem) for path in settings.pages()]


def node(program, *arguments):
    """What a program prints that uses modules of the theme, as JSON."""
    environment = settings.site_environment() | {"BOOK_BINDINGS": "[]"}
    for name in ("BOOK_URL", "BOOK_SOURCE", "BOOK_PDF", "NODE_OPTIONS"):
        environment.pop(name, None)
    environment["BOOK_EDITION"] = json.dumps(
        {"commit": "c0ffee0123", "changed": False, "date": "5 November 2026"}
    )
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", program, *map(json.dumps, arguments)],
        cwd=settings.THEME,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


# --- the repository ------------------------------------------------------------------------------

REPOSITORY = """
import { repository } from "./source.mjs";
const told = JSON.parse(process.argv[1]).map((address) => {
    try {
        const at = repository(address);
        return at && {
            home: at.home, page: at.page("/book/01 a.md"), edit: at.edit("/book/01 a.md"),
            archive: at.archive("v0.1.0"), issue: at.issue("T & t", "one\\ntwo").address,
            field: at.issue("", "").field, binder: at.binder("/book/01 a.md"),
        };
    } catch (error) { return error.message; }
});
console.log(JSON.stringify(told));
"""
HOSTINGS = {
    "https://github.com/some/where": {
        "page": "https://github.com/some/where/blob/main/book/01%20a.md",
        "edit": "https://github.com/some/where/edit/main/book/01%20a.md",
        "archive": "https://github.com/some/where/archive/refs/tags/v0.1.0.tar.gz",
        "issue": "https://github.com/some/where/issues/new?title=T%20%26%20t&body=one%0Atwo",
        "field": "body",
        "binder": "https://mybinder.org/v2/gh/some/where/main"
        "?urlpath=lab%2Ftree%2Fbook%2F01%2520a.md",
    },
    "https://gitlab.com/group/some/where.git#a/b": {
        "page": "https://gitlab.com/group/some/where/-/blob/a/b/book/01%20a.md",
        "edit": "https://gitlab.com/group/some/where/-/edit/a/b/book/01%20a.md",
        "archive": "https://gitlab.com/group/some/where/-/archive/v0.1.0/where-v0.1.0.tar.gz",
        "issue": "https://gitlab.com/group/some/where/-/issues/new"
        "?issue%5Btitle%5D=T%20%26%20t&issue%5Bdescription%5D=one%0Atwo",
        "field": "issue[description]",
        "binder": "https://mybinder.org/v2/gl/group%2Fsome%2Fwhere/a%2Fb"
        "?urlpath=lab%2Ftree%2Fbook%2F01%2520a.md",
    },
    "https://codeberg.org/some/where/": {
        "page": "https://codeberg.org/some/where/src/branch/main/book/01%20a.md",
        "edit": "https://codeberg.org/some/where/_edit/main/book/01%20a.md",
        "archive": "https://codeberg.org/some/where/archive/v0.1.0.tar.gz",
        "issue": "https://codeberg.org/some/where/issues/new?title=T%20%26%20t&body=one%0Atwo",
        "field": "body",
        "binder": "https://mybinder.org/v2/git/https%3A%2F%2Fcodeberg.org%2Fsome%2Fwhere/main"
        "?urlpath=lab%2Ftree%2Fbook%2F01%2520a.md",
    },
    "forgejo+https://git.example.org/some/where": {
        "page": "https://git.example.org/some/where/src/branch/main/book/01%20a.md",
    },
    "gitlab+https://git.example.org/some/where": {
        "page": "https://git.example.org/some/where/-/blob/main/book/01%20a.md",
        "binder": "https://mybinder.org/v2/git/https%3A%2F%2Fgit.example.org%2Fsome%2Fwhere/main"
        "?urlpath=lab%2Ftree%2Fbook%2F01%2520a.md",
    },
}
NONE = [
    "https://example.org/some/where",
    "https://github.com/some",
    "some/where",
    "x+https://a/b/c",
]


def test_addresses_are_those_of_the_hosting():
    told = node(REPOSITORY, [*HOSTINGS, "", *NONE])
    for (address, expected), found in zip(HOSTINGS.items(), told, strict=False):
        assert {name: found[name] for name in expected} == expected, address
        assert parse_qs(urlsplit(found["issue"]).query)[found["field"]] == ["one\ntwo"]
    assert told[len(HOSTINGS)] is None
    for address, message in zip(NONE, told[len(HOSTINGS) + 1 :], strict=True):
        assert message.startswith(f'BOOK_SOURCE is "{address}". It must be the address of')
        assert "forgejo+https://" in message


def test_hostings_are_named_in_one_place():
    for path in [*settings.THEME.glob("*.mjs"), *settings.THEME.glob("render/*.mjs")]:
        if path.name != "source.mjs":
            assert not re.search(
                r"(github|gitlab|codeberg|mybinder)\.(com|org)", path.read_text()
            ), path


def test_the_repository_is_a_setting(tmp_path, monkeypatch):
    monkeypatch.delenv("BOOK_SOURCE", raising=False)
    assert editions.source(tmp_path) == ""
    (tmp_path / "myst.yml").write_text(f"site:\n  options:\n    repository: {SOURCE}\n")
    assert editions.source(tmp_path) == SOURCE
    monkeypatch.setenv("BOOK_SOURCE", f"{SOURCE}#other")
    assert editions.source(tmp_path) == f"{SOURCE}#other"


# --- pages, with the settings and without --------------------------------------------------------

# The engine's trees are read from where it left them; a page is made from them in a moment.
PAGES = """
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { openBook } from "./book.mjs";
import { besidePages } from "./published.mjs";
import { citationFiles } from "./cite.mjs";
import { page } from "./page.mjs";
import { ownRepository } from "./source.mjs";
const folder = process.env.BOOK_CONTENT;
globalThis.fetch = async (address) => {
    const { pathname } = new URL(address);
    const places = [folder, path.join(folder, "public")].map((one) => path.join(one, pathname));
    const file = places.find((one) => existsSync(one));
    return file ? new Response(readFileSync(file)) : new Response("", { status: 404 });
};
const [slugs, variants] = process.argv.slice(1).map((text) => JSON.parse(text));
const book = await openBook("http://engine");
const made = Object.fromEntries(Object.entries(variants).map(([name, settings]) => {
    Object.assign(process.env, { BOOK_SOURCE: "", BOOK_URL: "", BOOK_PDF: "", ...settings });
    const pages = Object.fromEntries(slugs.map((slug) => [slug, page(book, slug, null).html]));
    return [name, { ...pages, ...besidePages(book), ...citationFiles(ownRepository()) }];
}));
console.log(JSON.stringify(made));
"""
MADE = ["index", "reading", "simulation", "changes", "cite"]
VARIANTS = {
    "alone": {},
    "with source": {"BOOK_SOURCE": SOURCE},
    "published": {"BOOK_URL": HOME.rstrip("/"), "BOOK_PDF": "downloads/tree-world.pdf"},
    "both": {"BOOK_URL": HOME, "BOOK_SOURCE": "https://codeberg.org/some/where"},
}


@pytest.fixture(scope="module")
def made(built_site):
    """HTML of some pages, and texts of other files, by variant and name."""
    return node(PAGES, MADE, VARIANTS)


def cut(html, beginning, end):
    """A part of a page, which is read much faster than the whole."""
    return parsed(html[html.index(beginning) : html.index(end, html.index(beginning))] + end)


def words(element):
    return " ".join("".join(element.itertext()).split())


def having(tree, tag, css_class):
    return [one for one in tree.iter(tag) if css_class in (one.get("class") or "").split()]


def foot(html):
    """Links at the foot of a page, by their words."""
    (footer,) = cut(html, '<footer class="ways"', "</footer>").iter("footer")
    return {words(link): link.get("href") for link in footer.iter("a")}


def test_without_a_repository_no_page_leads_to_one(made):
    for variant in ("alone", "published"):
        for slug in MADE:
            assert set(foot(made[variant][slug])) <= {"How to cite", "How to cite this chapter"}
            assert "mybinder" not in made[variant][slug]


def test_with_a_repository_each_page_leads_to_its_source(made):
    for slug in MADE:
        links = foot(made["with source"][slug])
        source = next(path for path in settings.pages() if references.slug(path.stem) == slug)
        name = source.relative_to(settings.ROOT).as_posix()
        assert links["Source of this page"] == f"{SOURCE}/blob/main/{name}"
        assert links["Edit it"] == f"{SOURCE}/edit/main/{name}"
        assert ("Open in Binder" in links) == settings.computes(source)
        if settings.computes(source):
            query = parse_qs(urlsplit(links["Open in Binder"]).query)
            assert query == {"urlpath": [f"lab/tree/{name}"]}


def test_a_report_says_page_and_edition(made):
    for variant, form in (
        ("with source", f"{SOURCE}/issues/new"),
        ("both", "https://codeberg.org/some/where/issues/new"),
    ):
        address = urlsplit(foot(made[variant]["simulation"])["Report an error"])
        assert address._replace(query="").geturl() == form
        told = {name: value for name, (value,) in parse_qs(address.query).items()}
        assert told["title"] == "Error in: Chapter 1, A world to remember"
        assert told["body"].splitlines()[:2] == [
            "Page: Chapter 1, A world to remember",
            f"Edition: Version {CITED['version']}, commit c0ffee0123, built on 5 November 2026",
        ]
    address = foot(made["with source"]["reading"])["Report an error"]
    assert "Error%20in%3A%20How%20to%20read%20this%20book&" in address


def test_every_page_tells_its_edition_once(made, built_site):
    for slug in MADE:
        (told,) = cut(made["alone"][slug], '<p class="edition"', "</p>").iter("p")
        version = f"Version {CITED['version']}, "
        assert words(told) == f"{version}commit c0ffee0123, built on 5 November 2026."
    for slug in SLUGS:
        html = (built_site / ("" if slug == "index" else slug) / "index.html").read_text()
        assert html.count('<p class="edition"') == 1
        # Where there is a colophon, it is in it.
        colophon = '<section class="colophon"'
        tree = (
            cut(html, colophon, "</section>")
            if colophon in html
            else cut(html, "<footer", "</footer>")
        )
        (told,) = having(tree, "p", "edition")
        assert re.search(r"built on \d{1,2} \w+ \d{4}\.$", words(told))


def test_an_edition_is_a_commit_and_a_day(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1793836800")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert editions.edition(tmp_path) == {
        "commit": "",
        "changed": False,
        "date": "5 November 2026",
    }

    def git(*arguments):
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "one").write_text("1")
    git("init")
    git("add", "one")
    git("commit", "-m", "One")
    found = editions.edition(tmp_path)
    assert re.fullmatch("[0-9a-f]{10}", found["commit"])
    assert not found["changed"]
    (tmp_path / "one").write_text("2")
    assert editions.edition(tmp_path)["changed"]
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    day = datetime.datetime.now(datetime.UTC)
    assert editions.edition(tmp_path)["date"].endswith(f"{day:%B %Y}")


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture
def with_source(built_site, made, tmp_path):
    """A copy of the site in which the first chapter has the foot of one with a repository."""
    for one in built_site.iterdir():
        if one.name != "simulation":
            (tmp_path / one.name).symlink_to(one)
    (tmp_path / "simulation").mkdir()
    pattern = re.compile('<footer class="ways".*?</footer>', re.DOTALL)
    footer = pattern.search(made["with source"]["simulation"])[0]
    html = (built_site / "simulation" / "index.html").read_text()
    (tmp_path / "simulation" / "index.html").write_text(pattern.sub(lambda _: footer, html))
    return tmp_path


SCROLLED = """(dots) => new Promise((done) => {
    addEventListener("scrollend", () => done(), { once: true });
    scrollBy(0, dots);
})"""


# Marks a paragraph, and tells its first words and its first formula.
MARKED = """(selector) => {
    const paragraph = document.querySelector(selector);
    getSelection().selectAllChildren(paragraph);
    const formula = paragraph.querySelector("annotation").textContent;
    return [paragraph.firstChild.textContent.trim(), formula];
}"""


def report(page):
    """What the form would hold if the link were followed now: its lines."""
    page.locator("a.report").dispatch_event("pointerdown")
    address = page.locator("a.report").get_attribute("href")
    return parse_qs(urlsplit(address).query)["body"][0].splitlines()


def test_a_report_says_where_the_reader_was(browser, with_source):
    with opening(browser, with_source.as_uri() + "/") as open_page:
        page = open_page("simulation/index.html#sec-sight")
        heading = page.locator("#sec-sight").inner_text().removesuffix("#").strip()
        page.wait_for_function("scrollY > 0")
        page.evaluate(SCROLLED, 1)
        # The end of the page is further down, and is not what is reported.
        page.evaluate(SCROLLED, 1e6)
        assert report(page)[1] == f"Section: {heading}"
        # Words that are marked tell more, and say of which section they are.
        start, formula = page.evaluate(MARKED, "#sec-smell ~ p:has(.katex)")
        first, section, marked, *_ = report(page)
        assert first == "Page: Chapter 1, A world to remember"
        assert page.locator("#sec-smell").inner_text().removesuffix("#").strip() in section
        # A formula is quoted once, as it was written.
        rest = marked.removeprefix(f"Words: “{start} {formula}")
        assert rest != marked
        assert not rest.startswith(formula)
        assert len(marked) <= len("Words: “…”") + 400


def test_the_page_for_lost_readers_finds_the_book(browser, built_site, tmp_path):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "where").symlink_to(built_site)

    class StaticHost(QuietHandler):
        def send_error(self, code, message=None, explain=None):
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write((built_site / "404.html").read_bytes())

    handler = functools.partial(StaticHost, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}/some/where/"
        context = browser.new_context(viewport=DESK)
        page = context.new_page()
        for path in ("no-such-page", "errata/a/b/c.html?q#x"):
            page.goto(home + path)
            link = page.get_by_role("link", name="Errata")
            page.wait_for_function(
                "(link) => link.href.includes('/some/where/errata/')", arg=link.element_handle()
            )
            assert link.evaluate("(link) => link.href") == f"{home}errata/index.html"
            page.wait_for_function(
                "getComputedStyle(document.body).fontFamily.includes('Source Serif')"
            )
        page.get_by_role("button", name="Search the book").click()
        page.keyboard.type("Figure 2.3")
        page.locator(".results a").first.click()
        page.wait_for_url(f"{home}spatial-memory/index.html#fig-threshold")
        context.close()
        server.shutdown()


def test_it_does_so_from_disk(browser, built_site):
    with opening(browser, built_site.as_uri() + "/") as open_page:
        page = open_page("404.html")
        page.wait_for_selector(".scripted")
        page.get_by_role("link", name="The first page of Tree World").click()
        page.wait_for_url("**/index.html")
        assert page.locator("h1").inner_text() == "Tree World"


# --- for machines --------------------------------------------------------------------------------


def test_the_page_for_lost_readers_knows_all_pages(made, built_site):
    tree = parsed((built_site / "404.html").read_text())
    assert {unquote(a.get("data-to")) for a in tree.iter("a")} == {
        "index.html" if slug == "index" else f"{slug}/index.html" for slug in SLUGS
    }
    # Without scripts, links lead into the book wherever the page is shown, if its address is known.
    links = {a.get("href") for a in parsed(made["published"]["404.html"]).iter("a")}
    assert f"{HOME}simulation/index.html" in links
    assert all(link.startswith(HOME) for link in links)


def test_a_map_of_the_site_is_complete_where_its_address_is_known(made):
    assert "sitemap.xml" not in made["alone"]
    assert "Sitemap" not in made["alone"]["robots.txt"]
    assert made["published"]["robots.txt"].splitlines()[-1] == f"Sitemap: {HOME}sitemap.xml"
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    root = ElementTree.fromstring(made["published"]["sitemap.xml"])
    assert root.tag == f"{space}urlset"
    places = [place.text for place in root.iter(f"{space}loc")]
    assert sorted(places) == sorted(HOME if slug == "index" else f"{HOME}{slug}/" for slug in SLUGS)


def head(html):
    """Names and contents of what the head says in `meta`, relations and addresses of its links."""
    tree = cut(html, "<!doctype", "<body>").find("head")
    told = {}
    for one in tree.iter("meta"):
        told.setdefault(one.get("name"), []).append(one.get("content"))
    links = {link.get("rel"): link.get("href") for link in tree.iter("link")}
    (script,) = (s for s in tree.iter("script") if s.get("type") == "application/ld+json")
    return told, links, json.loads(script.text)


def test_a_page_says_how_it_is_cited(made):
    day = str(CITED["date-released"])
    authors = [author["name"] for author in CITED["authors"]]
    for variant in VARIANTS:
        told, _, _ = head(made[variant]["simulation"])
        assert told["citation_title"] == ["A world to remember"]
        assert told["citation_inbook_title"] == [CITED["title"]]
        assert told["citation_author"] == authors
        assert told["citation_publication_date"] == [day.replace("-", "/")]
        assert told["citation_language"] == ["en"]
        pdf = told.get("citation_pdf_url")
        assert pdf == ([f"{HOME}downloads/tree-world.pdf"] if variant == "published" else None)
    told, _, _ = head(made["alone"]["index"])
    assert told["citation_title"] == [CITED["title"]]
    assert "citation_inbook_title" not in told
    assert "citation_inbook_title" not in head(made["alone"]["cite"])[0]


def test_a_page_says_what_it_is(made):
    _, _, book = head(made["alone"]["index"])
    assert book["@context"] == "https://schema.org"
    assert book["@type"] == "Book"
    assert book["name"] == CITED["title"]
    assert book["version"] == str(CITED["version"])
    assert book["datePublished"] == str(CITED["date-released"])
    assert book["license"]["name"] == CITED["license"]
    assert [author["name"] for author in book["author"]] == [a["name"] for a in CITED["authors"]]
    assert "url" not in book
    _, _, chapter = head(made["published"]["simulation"])
    assert (chapter["@type"], chapter["position"]) == ("Chapter", "1")
    assert chapter["url"] == f"{HOME}simulation/"
    whole = chapter["isPartOf"]
    assert (whole["@type"], whole["name"], whole["url"]) == ("Book", CITED["title"], HOME)
    assert head(made["alone"]["cite"])[2]["@type"] == "WebPage"


def test_a_page_names_its_address_and_its_neighbours(made):
    for variant in VARIANTS:
        _, links, _ = head(made[variant]["simulation"])
        published = variant in ("published", "both")
        assert links.get("canonical") == (f"{HOME}simulation/" if published else None)
        assert links["prev"] == "../reading/index.html"
        assert links["next"] == "../spatial-memory/index.html"
    _, links, _ = head(made["published"]["index"])
    assert links["canonical"] == HOME
    assert "prev" not in links


def test_the_front_page_does_not_follow_the_last_chapter(built_site):
    html = (built_site / references.slug(CHAPTERS[-1].stem) / "index.html").read_text()
    assert "next" not in head(html)[1]


# --- citations -----------------------------------------------------------------------------------


def bibtex(text):
    """Read BibTeX strictly: kind, key and fields of each entry, braces in pairs, nothing beside."""
    found = []
    while text.strip():
        entry = re.match(r"\s*@(\w+)\{([\w-]+),\n", text)
        assert entry, text
        at, fields = entry.end(), {}
        while not text.startswith("}\n", at):
            field = re.compile(r"  (\w+) *= (?:(\w+)|(?=\{))").match(text, at)
            assert field, text[at:]
            at, value = field.end(), field[2]
            if value is None:
                depth, start = 0, at
                while True:
                    escaped = text[at - 1] == "\\"
                    depth += 0 if escaped else {"{": 1, "}": -1}.get(text[at], 0)
                    at += 1
                    if depth == 0:
                        break
                value = text[start + 1 : at - 1]
                assert not re.search(r"(?<!\\)[&%$#_]", value), value
            fields[field[1]] = value
            end = re.compile(r",?\n").match(text, at)
            assert end, text[at:]
            at = end.end()
        found.append((entry[1], entry[2], fields))
        text = text[at + 2 :]
    return found


def ris(text):
    """Read RIS strictly: tags and values, in order."""
    lines = text.splitlines()
    assert text.endswith("\n")
    found = [re.fullmatch(r"([A-Z][A-Z0-9])  - (.*)", line) for line in lines]
    assert all(found), lines
    tags = [(one[1], one[2]) for one in found]
    assert tags[0][0] == "TY"
    assert tags[-1] == ("ER", "")
    return tags


def test_files_to_cite_by_say_what_the_citation_file_says(built_site):
    folder = built_site / "downloads"
    ((kind, _, fields),) = bibtex((folder / "tree-world.bib").read_text())
    year = str(CITED["date-released"])[:4]
    assert kind == "book"
    assert fields["title"] == f"{{{CITED['title']}}}"
    assert fields["author"] == f"{{{CITED['authors'][0]['name']}}}"
    assert (fields["year"], fields["note"]) == (year, f"Version {CITED['version']}")
    (work,) = references.works((folder / "tree-world.bib").read_text()).values()
    assert CITED["title"] in work.entry
    text = (folder / "tree-world.ris").read_bytes().decode()
    assert text.count("\r\n") == text.count("\n")
    told = ris(text)
    assert dict(told) | {"KW": ""} == {
        "TY": "BOOK",
        "AU": CITED["authors"][0]["name"],
        "TI": CITED["title"],
        "PY": year,
        "DA": str(CITED["date-released"]).replace("-", "/"),
        "ET": f"Version {CITED['version']}",
        "LA": "en",
        "KW": "",
        "ER": "",
    } | ({"UR": dict(told)["UR"]} if "UR" in dict(told) else {})
    assert [word for tag, word in told if tag == "KW"] == CITED["keywords"]


def test_addresses_are_cited_where_they_are_known(made):
    for variant, settings_ in VARIANTS.items():
        file = yaml.safe_load(made[variant]["CITATION.cff"])
        source = settings_.get("BOOK_SOURCE")
        known = {"url": HOME} if "BOOK_URL" in settings_ else {}
        assert file == CITED | known | ({"repository-code": source} if source else {})
        (_, _, fields) = bibtex(made[variant]["tree-world.bib"])[0]
        assert fields.get("url") == known.get("url")
        assert dict(ris(made[variant]["tree-world.ris"])).get("UR") == known.get("url")


def texts(tree):
    """Texts to be copied, by what stands above them."""
    return {words(cell[0][0]): "".join(cell.find("pre").itertext()) for cell in tree}


def test_the_page_shows_what_the_files_hold(made):
    for variant in VARIANTS:
        tree = parsed(made[variant]["cite"])
        main = next(tree.iter("main"))
        told = texts([one for one in main if "cell" in (one.get("class") or "").split()])
        assert list(told) == ["In words", "BibTeX", "RIS", "CFF"]
        assert f"{told['BibTeX']}\n" == made[variant]["tree-world.bib"]
        assert f"{told['RIS']}\n" == made[variant]["tree-world.ris"].replace("\r\n", "\n")
        assert f"{told['CFF']}\n" == made[variant]["CITATION.cff"]
        files = [a.get("href") for a in main.iter("a") if a.get("download") is not None]
        for name in ("tree-world.bib", "tree-world.ris", "CITATION.cff"):
            assert f"../downloads/{name}" in files


def test_how_to_read_says_the_same(made):
    main = next(parsed(made["alone"]["cite"]).iter("main"))
    said = texts(having(main, "div", "in-words")[:1])["In words"]
    assert f"\n> {said}\n" in (settings.BOOK / "reading.md").read_text().replace("*", "")


def test_each_chapter_can_be_cited(made, built_site):
    tree = parsed(made["published"]["cite"])
    found = having(tree, "details", "cite")
    assert len(found) == len(CHAPTERS)
    for number, (source, one) in enumerate(zip(CHAPTERS, found, strict=True), 1):
        slug = references.slug(source.stem)
        title = yaml.safe_load(source.read_text().split("---")[1])["title"]
        assert one.get("id") == f"cite-{slug}"
        told = texts(having(one, "div", "cell"))
        ((kind, key, fields),) = bibtex(f"{told['BibTeX']}\n")
        assert (kind, fields["chapter"]) == ("incollection", str(number))
        assert key.endswith(f"chapter{number}")
        assert fields["title"] == f"{{{title}}}"
        assert fields["booktitle"] == f"{{{CITED['title']}}}"
        assert fields["url"] == f"{HOME}{slug}/"
        tags = dict(ris(f"{told['RIS']}\n"))
        assert (tags["TY"], tags["SE"], tags["TI"]) == ("CHAP", str(number), title)
        assert title in told["In words"]
        assert f"chapter {number}. Version" in told["In words"]
        links = foot((built_site / slug / "index.html").read_text())
        assert links["How to cite this chapter"] == f"../cite/index.html#cite-{slug}"


ODD = """
import { bibtex, chapterOf, ris, sentence, workOf } from "./cite.mjs";
const says = JSON.parse(process.argv[1]);
const work = workOf({ says });
const chapter = chapterOf(work, { title: "Is *this* 50 % of {it}?", enumerator: "3", slug: "it" });
const formats = (one) => [bibtex(one), ris(one), sentence(one).join("")];
console.log(JSON.stringify([work, chapter].map(formats)));
"""


def test_people_and_signs_are_written_as_each_format_wants():
    says = {
        "title": "Ends & means_1",
        "version": "2.0",
        "date-released": "2027-02-03",
        "license": "MIT",
        "authors": [{"family-names": "Doe", "given-names": "J. Q."}, {"name": "A & B"}],
    }
    (book, chapter) = node(ODD, says)
    ((_, _, fields),) = bibtex(book[0])
    assert fields["author"] == r"Doe, J. Q. and {A \& B}"
    assert fields["title"] == r"{Ends \& means\_1}"
    assert (fields["year"], fields["month"]) == ("2027", "feb")
    assert [value for tag, value in ris(book[1]) if tag == "AU"] == ["Doe, J. Q.", "A & B"]
    assert book[2] == "Doe, J. Q.; A & B (2027). Ends & means_1. Version 2.0."
    ((_, _, fields),) = bibtex(chapter[0])
    assert fields["title"] == r"{Is this 50 \% of \{it\}?}"
    assert chapter[2] == (
        "Doe, J. Q.; A & B (2027). Is this 50 % of {it}? In Ends & means_1, chapter 3. Version 2.0."
    )


def test_a_citation_is_copied_and_found_from_its_chapter(browser, built_site):
    with opening(browser, built_site.as_uri() + "/") as open_page:
        page = open_page("space/index.html")
        page.get_by_role("link", name="How to cite this chapter").click()
        page.wait_for_url("**/cite/index.html#cite-space")
        opened = page.locator("details.cite[open]")
        assert opened.count() == 1
        assert opened.get_by_role("button", name="Copy").count() == 3
        page.evaluate(
            "document.execCommand = () => !!(globalThis.copied = document.activeElement.value)"
        )
        page.evaluate(
            "navigator.clipboard.writeText = async (text) => { globalThis.copied = text }"
        )
        opened.get_by_role("button", name="Copy").nth(1).click()
        page.wait_for_function("globalThis.copied")
        ((kind, _, fields),) = bibtex(page.evaluate("globalThis.copied") + "\n")
        assert (kind, fields["chapter"]) == ("incollection", "10")


# --- what changed --------------------------------------------------------------------------------


def test_changes_are_a_page_of_the_book(made, built_site):
    tree = parsed((built_site / "changes" / "index.html").read_text())
    log = (settings.ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.+)$", log, re.MULTILINE)
    main = next(tree.iter("main"))
    assert [words(h).removesuffix("#") for h in main.iter("h2")][: len(versions)] == versions
    assert len(list(main.iter("h1"))) == 1
    items = [words(item)[:30] for item in main.iter("li")]
    assert "Chapter 11, Other people's gr" in " ".join(items).replace("’", "'")
    # A link of the file leads on as it does in the repository.
    assert "../errata/index.html" in {a.get("href") for a in main.iter("a")}
    assert "(book/errata.md)" in log


def test_earlier_editions_are_reached_by_their_tag(made):
    for variant, link in (
        ("alone", None),
        ("with source", f"{SOURCE}/archive/refs/tags/v0.1.0.tar.gz"),
        ("both", "https://codeberg.org/some/where/archive/v0.1.0.tar.gz"),
    ):
        (archive,) = having(parsed(made[variant]["changes"]), "div", "archive")
        assert "git archive" in words(archive)
        links = [a.get("href") for a in archive.iter("a")]
        assert [one for one in links if "archive" in one] == ([link] if link else [])


def test_the_search_finds_changes_and_how_to_cite(built_site):
    found = {(entry["page"], entry["title"]) for entry in search_sections(built_site)}
    assert ("How to cite", "The book and its library") in found
    assert any(page == "What changed" and "0.1.0" in title for page, title in found)


# --- in the cloud --------------------------------------------------------------------------------


def test_binder_would_open_chapters_as_notebooks(tmp_path):
    """It installs `environment.yml`, then runs `postBuild`; only the latter can be tried here."""
    wanted = yaml.safe_load((settings.ROOT / "environment.yml").read_text())["dependencies"][-1]
    assert "--requirement requirements/book.lock" in wanted["pip"]
    lock = (settings.LOCKS / "book.lock").read_text()
    for name in ("jupyterlab", "jupytext", "ipykernel"):
        assert re.search(rf"^{name}==", lock, re.MULTILINE)
    assert not (settings.ROOT / "binder").exists()  # it would hide both
    script = settings.ROOT / "postBuild"
    assert os.access(script, os.X_OK)
    environment = settings.kernel_environment() | {"HOME": str(tmp_path)}
    environment |= {"JUPYTER_CONFIG_DIR": str(tmp_path / ".jupyter")}
    environment.pop("JUPYTER_CONFIG_PATH", None)
    subprocess.run([shutil.which("sh"), script], env=environment, cwd=tmp_path, check=True)
    (chosen,) = tmp_path.rglob("default_setting_overrides.json")
    viewers = json.loads(chosen.read_text())["@jupyterlab/docmanager-extension:plugin"]
    assert viewers["defaultViewers"]["markdown"] == "Jupytext Notebook"
