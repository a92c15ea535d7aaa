"""The EPUB holds all of the book, and keeps to what readers of EPUB may ask."""

import io
import json
import posixpath
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest

from tools import cover, packing, pocket, pocket_pages, pocket_widths, settings
from tools.checks.check_site import walk

X = "{http://www.w3.org/1999/xhtml}"
MATH = "{http://www.w3.org/1998/Math/MathML}math"
TYPE = "{http://www.idpf.org/2007/ops}type"
EPUB = settings.CONTENT.parent / "book.epub"
MOST = 12_000_000


@pytest.fixture(scope="module")
def files(built_site, unavailable):
    """What the EPUB holds, by name, in its order."""
    if not EPUB.exists():
        unavailable(f"there is no EPUB in {built_site.parent.name}: run make build")
    with zipfile.ZipFile(EPUB) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


@pytest.fixture(scope="module")
def documents(files):
    """Its pages, parsed, by name; those that are no XML cannot be."""
    return {
        name: ElementTree.fromstring(content)
        for name, content in files.items()
        if name.endswith(".xhtml")
    }


@pytest.fixture(scope="module")
def trees(built_site):
    """Syntax trees of the pages, as the engine wrote them, by slug."""
    folder = settings.CONTENT / "content"
    trees = {path.stem: json.loads(path.read_text())["mdast"] for path in folder.glob("*.json")}
    return {slug: tree for slug, tree in trees.items() if not pocket.is_left_out(slug)}


def words(element):
    return " ".join("".join(element.itertext()).split())


def by_id(document):
    return {element.get("id"): element for element in document.iter() if element.get("id")}


def page(slug):
    return f"EPUB/{slug}.xhtml"


def test_what_is_looked_up_and_not_read_is_on_the_site_alone(documents, trees):
    pages = {name.removeprefix("EPUB/").removesuffix(".xhtml") for name in documents}
    everything = {path.stem for path in (settings.CONTENT / "content").glob("*.json")}
    assert pages == set(trees) | {"cover", "nav"}
    assert {"changes", "cite", "reference", "reference-memory"} <= everything - pages


# --- as a whole ----------------------------------------------------------------------------------


def test_epubcheck_finds_nothing(files, unavailable):
    if shutil.which("java") is None:
        pytest.skip("Java is not installed")
    program = shutil.which("epubcheck")
    if program is None:
        unavailable("epubcheck is not installed. On Debian: apt-get install epubcheck")
    # Debian's is a Java archive, which not every kernel starts by itself.
    is_archive = Path(program).read_bytes()[:2] == b"PK"
    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar"]
    command = [*java, program] if is_archive else [program]
    ran = subprocess.run([*command, EPUB], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "0 fatals / 0 errors / 0 warnings" in ran.stdout


def test_it_is_small_and_told_by_its_first_bytes(files):
    assert EPUB.stat().st_size <= MOST
    assert EPUB.read_bytes()[30:58] == b"mimetypeapplication/epub+zip"


def test_the_same_book_has_the_same_bytes(files):
    assert pocket.bound(pocket.read()) == EPUB.read_bytes()


def test_it_is_made_again_only_if_something_has_changed(files, monkeypatch):
    def never(book):
        raise AssertionError("made again")

    monkeypatch.setattr(pocket, "bound", never)
    assert pocket.make().read_bytes() == EPUB.read_bytes()
    monkeypatch.setattr(pocket, "STYLE", settings.BOOK / "index.md")
    with pytest.raises(AssertionError, match="made again"):
        pocket.make()


def test_nothing_leads_nowhere(documents, files):
    names = {name: set(by_id(document)) for name, document in documents.items()}
    links = 0
    for name, document in documents.items():
        ids = [element.get("id") for element in document.iter() if element.get("id")]
        assert len(ids) == len(set(ids)), name
        for element in document.iter():
            for address in filter(None, map(element.get, ("href", "src"))):
                parts = urlsplit(address)
                if parts.scheme:
                    assert (element.tag, parts.scheme) == (f"{X}a", "https"), address
                    continue
                folder = posixpath.dirname(name)
                target = posixpath.normpath(posixpath.join(folder, parts.path))
                target = target if parts.path else name
                assert target in files, (name, address)
                if parts.fragment:
                    assert unquote(parts.fragment) in names[target], (name, address)
                links += 1
    assert links > 1000


def test_the_package_says_what_it_is_and_who_can_read_it(files):
    package = ElementTree.fromstring(files["EPUB/package.opf"])
    said = [(words(one), one.get("property") or one.tag.rpartition("}")[2]) for one in package[0]]
    imprint = settings.imprint()
    assert ("Tree World", "title") in said
    assert ("en", "language") in said
    assert [name for name, kind in said if kind == "creator"] == imprint["authors"]
    assert (imprint["version"], "schema:version") in said
    assert ("textual", "schema:accessModeSufficient") in said
    features = [name for name, kind in said if kind == "schema:accessibilityFeature"]
    assert {"alternativeText", "MathML", "tableOfContents"} <= set(features)
    (cover_image,) = [one for one in package[1] if one.get("properties") == "cover-image"]
    assert files[f"EPUB/{cover_image.get('href')}"].startswith(b"\xff\xd8\xff")
    # All pages, in the order of the contents, after the cover.
    order = [one.get("idref") for one in package[2]]
    names = ["index" if one.stem == "index" else one.stem for one in settings.pages()]
    slugs = [re.sub(r"^\d+-", "", name) for name in names]
    slugs = [slug for slug in slugs if not pocket.is_left_out(slug)]
    wanted = ["cover", "index", "nav", *slugs[1:]]
    assert order == [f"file-{slug}-xhtml" for slug in wanted]


# --- nothing is missing --------------------------------------------------------------------------


def numbered(tree):
    """What has a number: its kind, its name, and its number."""
    for node in walk(tree):
        kind = node.get("kind") if node["type"] == "container" else node["type"]
        if node.get("enumerator") and kind in ("figure", "table", "exercise", "math"):
            yield kind, node.get("html_id") or node.get("identifier"), node["enumerator"]


def test_everything_that_has_a_number_is_in_it(documents, trees):
    kinds = []
    for slug, tree in trees.items():
        known = by_id(documents[page(slug)])
        for kind, name, number in numbered(tree):
            shown = f"({number})" if kind == "math" else f"{kind.capitalize()} {number}"
            assert re.search(rf"{re.escape(shown)}(?!\d)", words(known[name])), (slug, name)
            kinds.append(kind)
    assert {kind: kinds.count(kind) > 40 for kind in set(kinds)} == dict.fromkeys(
        ("figure", "table", "exercise", "math"), True
    )


def test_every_formula_is_mathml_alone(documents, built_site, trees):
    for slug in trees:
        site = built_site / ("" if slug == "index" else slug) / "index.html"
        document = documents[page(slug)]
        formulas = list(document.iter(MATH))
        assert len(formulas) == pocket_pages.main_of(site.read_text()).count("<math")
        for formula in formulas:
            assert formula.get("alttext")
            assert words(formula)
            assert not [one for one in formula.iter() if one.tag.endswith("annotation")]
        assert "katex" not in ElementTree.tostring(document, encoding="unicode")


def test_all_code_is_in_it_to_the_letter(documents, trees):
    count = 0
    for slug, tree in trees.items():
        shown = {"".join(one.itertext()).strip() for one in documents[page(slug)].iter(f"{X}pre")}
        for node in walk(tree):
            if node["type"] == "code" and node.get("visibility") != "remove":
                assert node["value"].strip() in shown, (slug, node["value"][:60])
                count += 1
    assert count > 300


def test_pictures_are_there_and_described(documents, files):
    shown = [
        (name, image) for name, document in documents.items() for image in document.iter(f"{X}img")
    ]
    assert len(shown) > 80
    for name, image in shown:
        assert image.get("alt"), name
        assert image.get("src").endswith((".png", ".svg", "cover.jpg")), name
    pictures = {name for name in files if name.startswith("EPUB/images/")}
    assert pictures == {f"EPUB/{image.get('src')}" for _, image in shown} - {"EPUB/cover.jpg"}
    for name in pictures - {name for name in pictures if name.endswith(".svg")}:
        assert files[name].startswith(b"\x89PNG"), name


def test_the_contents_list_every_section_and_figure(documents, files):
    navigation = documents["EPUB/nav.xhtml"]
    lists = {nav.get(TYPE): nav for nav in navigation.iter(f"{X}nav")}
    assert set(lists) == {"toc", "loi", "landmarks"}
    listed = [link.get("href") for link in lists["toc"].iter(f"{X}a")]
    figures = [link.get("href") for link in lists["loi"].iter(f"{X}a")]
    for name, document in documents.items():
        short = posixpath.basename(name)
        if short in ("cover.xhtml", "nav.xhtml"):
            continue
        assert short in listed
        for element in document.iter():
            if element.tag in (f"{X}h2", f"{X}h3") and short != "index.xhtml":
                assert f"{short}#{element.get('id')}" in listed
            if element.tag == f"{X}figure" and element.get("class") == "figure":
                assert f"{short}#{element.get('id')}" in figures
    # Sections of a chapter are inside its entry, and the pages at the back below their name.
    (entry,) = [one for one in lists["toc"].iter(f"{X}li") if one[0].get("href") == "drives.xhtml"]
    assert entry.find(f".//{X}a[@href='drives.xhtml#sec-softmax']") is not None
    (back,) = [one for one in lists["toc"].iter(f"{X}li") if one[0].text == "At the back"]
    assert "symbols.xhtml" in {link.get("href") for link in back.iter(f"{X}a")}


def test_exercises_lead_to_their_solutions_and_back(documents, trees):
    count = 0
    for slug, tree in trees.items():
        document = documents[page(slug)]
        known = by_id(document)
        for node in walk(tree):
            if node["type"] != "exercise":
                continue
            name = node.get("html_id") or node["identifier"]
            links = {link.get("href") for link in known[name].iter(f"{X}a")}
            for kind in ("hint", "solution"):
                assert f"#{kind}-{name}" in links
                answer = known[f"{kind}-{name}"]
                back = answer.find(f".//{X}a")
                assert back.get("href") == f"#{name}"
                assert words(back) == f"Exercise {node['enumerator']}"
                assert len(words(answer)) > len(words(back)) + 10
            count += 1
        sections = [words(one) for one in document.iter(f"{X}h2")]
        if "Hints" in sections:
            assert sections.index("Hints") + 1 == sections.index("Solutions")
    assert count > 40


def test_nothing_is_left_that_only_a_screen_can_do(documents):
    forbidden = {"details", "summary", "button", "script", "iframe", "samp", "source", "template"}
    screens = {"touch", "anchor", "enlarge", "for-dark", "neighbours", "time", "take-away"}
    for name, document in documents.items():
        for element in document.iter():
            assert element.tag.rpartition("}")[2] not in forbidden, name
            assert not screens.intersection((element.get("class") or "").split()), name
            assert not [key for key in element.attrib if key.startswith(("data-", "on"))], name


@pytest.mark.parametrize("slug", ["where", "drives"])
def test_formulas_tables_and_pictures_fit_a_small_reader(files, browser, tmp_path, slug):
    """In letters of 16 on a page of 480: no reader breaks a formula, and few let it be moved."""
    folder = tmp_path / "EPUB"
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    page = browser.new_page(viewport={"width": 480, "height": 640})
    page.goto((folder / f"{slug}.xhtml").as_uri())
    wide = page.evaluate(
        "() => [...document.querySelectorAll('math, table, pre, img')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth + 1)"
        ".map((one) => `${one.tagName} ${one.closest('[id]').id}`)"
    )
    page.close()
    assert wide == []


# --- what the pages of the book do not have ------------------------------------------------------


def converted(html):
    text = pocket_pages.main_of(f"<main><h1>One</h1>{html}</main>")
    made = pocket_pages.convert("one", text, lambda address: f"images/{address}", {"two"})
    return ElementTree.fromstring(pocket_pages.document("One", made.body))


def test_footnotes_are_footnotes():
    made = converted(
        '<p>Word<sup class="footnote"><a id="fnref-a" href="#fn-a">1</a></sup></p>'
        '<section class="footnotes"><ol><li id="fn-a">Note. <a href="#fnref-a">↩</a></li></ol>'
        "</section>"
    )
    assert made.find(f".//{X}a[@id='fnref-a']").get(TYPE) == "noteref"
    (note,) = made.iter(f"{X}aside")
    assert (note.get(TYPE), note.get("id"), words(note)) == ("footnote", "fn-a", "Note. ↩")


def test_other_folds_are_opened():
    made = converted(
        "<details class=dropdown id=more><summary>More</summary><p>Inside.</p></details>"
    )
    assert [words(one) for one in by_id(made)["more"]] == ["More", "Inside."]


def test_code_that_was_folded_stands_at_the_end_and_leads_back():
    made = converted(
        '<h2 id="a">Here</h2><details class="cell folded" id="cell-1"><summary>Code'
        '<span class="time">2 s</span></summary>'
        '<pre><code><span class="k1">import</span> x</code></pre></details>'
        '<p>After.</p><section class="references"><h2>References</h2></section>'
    )
    known = by_id(made)
    link = known["folded-1"]
    assert (link.text, link.get("href")) == ("Code", "#code-1")
    assert words(known["code-1"]).startswith("Here")
    assert known["code-1"].find(f".//{X}a").get("href") == "#folded-1"
    assert known["code-1"].find(f".//{X}b").text == "import"
    assert "cell-1" in known
    assert [words(one) for one in made.iter(f"{X}h2")] == [
        "Here",
        "Code that is not shown in the text",
        "References",
    ]


@pytest.mark.parametrize(
    ("html", "leads"),
    [
        ('<a href="../two/index.html#x">y</a>', "two.xhtml#x"),
        ('<a href="../two/">y</a>', "two.xhtml"),
        ('<a href="../downloads/two.md">y</a>', None),
        ('<a class="number" href="#x">y</a>', None),
        ('<a href="https://example.org/">y</a>', "https://example.org/"),
    ],
)
def test_links_lead_to_pages_of_the_epub_or_away(html, leads):
    made = converted(f"<p>{html}</p>")
    assert "y" in words(made)
    assert [link.get("href") for link in made.iter(f"{X}a")] == ([leads] if leads else [])


def test_what_cannot_be_held_is_refused():
    with pytest.raises(pocket_pages.PocketError, match="one: an EPUB cannot hold <iframe>"):
        converted("<iframe></iframe>")


def test_a_picture_that_readers_may_not_know_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "SITE", tmp_path)
    monkeypatch.setattr(settings, "CONTENT", tmp_path)
    book = pocket.Book("A", "", {}, [], {})
    (tmp_path / "leaf.webp").touch()
    (tmp_path / "leaf.gif").write_bytes(b"GIF89a")
    keep = pocket._pictures(book, "one")
    with pytest.raises(pocket_pages.PocketError, match=r"one: the picture \.\./leaf\.webp cannot"):
        keep("../leaf.webp")
    assert keep("../leaf.gif") == "images/leaf.gif"
    assert book.pictures == {"leaf.gif": b"GIF89a"}


def test_lists_nest_even_where_a_level_is_left_out():
    made = pocket._nested([(1, "a", "a"), (3, "b", "b"), (2, "c", ""), (1, "d", "d")])
    text = ElementTree.tostring(made, encoding="unicode")
    assert text == (
        '<ol><li><a href="a">a</a><ol><li><a href="b">b</a></li><li><span>c</span></li></ol></li>'
        '<li><a href="d">d</a></li></ol>'
    )


def test_the_cover_has_the_colours_of_the_figures_and_the_shape_of_a_book():
    from PIL import Image

    from tree_world.plotting import style

    for name in ("PAPER", "INK", "SOFT_INK", "LEAF"):
        assert getattr(cover, name) == getattr(style, name)
    bare = cover.draw("Title", "A promise.", [], None)
    with Image.open(io.BytesIO(bare)) as image:
        assert image.size == (cover.WIDTH, cover.HEIGHT)


def formula(inner, kind="mrow"):
    namespace = "http://www.w3.org/1998/Math/MathML"
    return ElementTree.fromstring(f'<math xmlns="{namespace}"><{kind}>{inner}</{kind}></math>')


def test_long_formulas_are_set_small():
    letter = "<mi>x</mi>"
    assert pocket_widths.share(formula(letter * 20)) == 1
    assert pocket_widths.LEAST < pocket_widths.share(formula(letter * 60)) < 1
    assert pocket_widths.share(formula(letter * 200)) == pocket_widths.LEAST
    one = pocket_widths.width(formula(letter))
    assert pocket_widths.width(formula("<mo>+</mo>")) > one
    assert one < pocket_widths.width(formula(letter * 2, "msub")) < 2 * one
    assert pocket_widths.width(formula(letter * 2, "mfrac")) < 2 * one
    assert pocket_widths.width(formula(letter * 3, "munderover")) == one
    assert pocket_widths.width(formula('<mspace width="2em"/>')) == 2
    cells = f"<mtr><mtd>{letter}</mtd><mtd>{letter}</mtd></mtr>"
    assert 2 * one < pocket_widths.width(formula(cells * 2, "mtable")) < 4 * one
    assert pocket_widths.width(formula(f"{letter}<annotation>x_1</annotation>", "semantics")) == one


def test_packing_depends_on_nothing_but_what_is_packed():
    day = pocket.day({"date": "23 November 2026"})
    one = packing.packed({"a.txt": b"a" * 99, "b.png": b"b"}, day)
    assert one == packing.packed({"a.txt": b"a" * 99, "b.png": b"b"}, day)
    assert one != packing.packed({"a.txt": b"a" * 99, "b.png": b"b"}, pocket.day({}))
