"""Every fault that the check is there for is made on purpose, and found."""

import copy
import json

import pytest

from tools import myst, settings
from tools.checks import check_site

FIRST = """<!doctype html><html lang="en"><head><title>First</title>
<link rel="stylesheet" href="assets/style.css"><script src="assets/script.js"></script>
<body><h1 id="top">First</h1>
<p>See <a href="second/index.html#part">the second page</a>, <a href="#top">above</a>,
<a href="https://example.org/">elsewhere</a> and <a href="mailto:a@example.org">write</a>.</p>
<figure id="fig"><img src="build/plot.png" alt="A line that rises.">
<figcaption>Figure 1.</figcaption></figure>
<p><a class="reference" href="#fig">Figure 1</a></p><pre>1.5</pre>
</body></html>"""
SECOND = """<!doctype html><html lang="en"><head><title>Second</title>
<link rel="stylesheet" href="../assets/style.css"><body><h1>Second</h1><h2 id="part">Part</h2>
<p><a href="../index.html">back</a></p></body></html>"""
STYLE = "body { background: url(paper.png); color: black }"


@pytest.fixture
def site(tmp_path):
    """Make a small site without a fault."""
    for name, text in {
        "index.html": FIRST,
        "second/index.html": SECOND,
        "assets/style.css": STYLE,
        "assets/script.js": "",
        "build/plot.png": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_good_site_has_no_faults(site):
    assert check_site.check_site(site, ["index", "second"]) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("<title>First</title>", "", "no title"),
        ("<title>First</title>", "<title> </title>", "no title"),
        ("<h1 id", "<h1 data-error id", "could not render"),
        ("<pre>1.5", "<pre>Traceback (most recent call last): boom", "a traceback"),
        ("<pre>1.5", '<pre class="traceback">boom', "a traceback"),
        (' alt="A line that rises."', "", "without a description"),
        ("A line that rises.", "  ", "without a description"),
        (' src="build/plot.png"', "", "without a source"),
        ("build/plot.png", "build/gone.png", "a file that does not exist"),
        ("<figcaption>Figure 1.</figcaption>", "", "without a caption"),
        ("second/index.html#part", "third/index.html", "a file that does not exist"),
        ("second/index.html#part", "second/", "a file that does not exist"),
        ("second/index.html#part", "second/index.html#gone", "a place that does not exist"),
        ('href="#top"', 'href="#bottom"', "a place that does not exist"),
        ('href="#top"', 'href="#"', "a link to nowhere"),
        ('href="#top"', 'href=""', "a link to nowhere"),
        ('href="#top"', 'href="/second/index.html"', "not relative"),
        ('href="#top"', 'href="../outside.html"', "a file that does not exist"),
        ('"assets/script.js"', '"/assets/script.js"', "not relative"),
        ('"assets/script.js"', '"https://example.org/a.js"', "<script> loads from another host"),
        ('"assets/script.js"', '"//example.org/a.js"', "<script> loads from another host"),
        ('"assets/style.css"', '"https://example.org/a.css"', "<link> loads from another host"),
        ("build/plot.png", "HTTPS://example.org/a.png", "<img> loads from another host"),
        ("<pre>1.5", "<style>@import '//example.org/a.css'</style><pre>", "another host"),
        ("<pre>1.5", '<pre style="background:url(https://example.org/x.png)">', "another host"),
        ("<pre>1.5", '<iframe src="https://example.org/"></iframe><pre>', "another host"),
        (">Figure 1</a>", "></a>", "a reference without a text"),
        (">Figure 1</a>", ">??</a>", "a reference without a text"),
    ],
)
def test_a_fault_is_found_and_named(site, old, new, fault):
    path = site / "index.html"
    assert old in FIRST
    path.write_text(FIRST.replace(old, new))
    findings = check_site.check_site(site, ["index", "second"])
    assert len(findings) == 1, findings
    assert findings[0].page == "index.html"
    assert findings[0].place
    assert fault in findings[0].fault
    assert str(findings[0]).startswith("index.html: ")


def test_a_missing_page_is_found(site):
    (finding,) = check_site.check_site(site, ["index", "second", "third"])
    assert finding.page == "third"
    assert "missing" in finding.fault


def test_a_stylesheet_from_another_host_is_found(site):
    for rule in ('@import "https://example.org/a.css";', "p { src: url('//example.org/f.woff2') }"):
        (site / "assets/style.css").write_text(STYLE + rule)
        (finding,) = check_site.check_site(site, ["index"])
        assert finding.page == "assets/style.css"
        assert "example.org" in finding.place


def test_an_anchor_on_another_page_counts_there_only(site):
    (site / "second/index.html").write_text(SECOND.replace('id="part"', 'id="top"'))
    faults = [f.fault for f in check_site.check_site(site, ["index"])]
    assert faults == ["a link to a place that does not exist"]


# --- what the pages were meant to hold -----------------------------------------------------------

CELL = {
    "type": "block",
    "kind": "notebook-code",
    "children": [
        {"type": "code", "value": "print(1)", "position": {"start": {"line": 7}}},
        {
            "type": "outputs",
            "children": [{"type": "output", "jupyter_data": {"output_type": "stream"}}],
        },
    ],
}
SILENT_CELL = {
    "type": "block",
    "kind": "notebook-code",
    "children": [{"type": "code", "value": "x = 1"}, {"type": "outputs", "children": []}],
}
FIGURE = {
    "type": "container",
    "kind": "figure",
    "label": "fig-one",
    "enumerator": "1.1",
    "children": [{"type": "image"}, {"type": "caption", "children": []}],
}
WORDS = {
    "type": "paragraph",
    "position": {"start": {"line": 12}},
    "children": [
        {"type": "crossReference", "identifier": "fig-one", "resolved": True},
        {"type": "cite", "label": "smith", "children": [{"type": "text", "value": "Smith"}]},
        {"type": "link", "url": "https://example.org"},
        {"type": "inlineExpression", "value": "1 + 1", "result": {"status": "ok"}},
    ],
}
PAGE = {
    "location": "/book/01-one.md",
    "frontmatter": {"execute": {"depends_on_env": ["TREE_WORLD_DIGEST", "TREE_WORLD_FIGURE_DPI"]}},
    "mdast": {"type": "root", "children": [CELL, SILENT_CELL, FIGURE, WORDS]},
}
EXPECTED = [True, False]


def test_a_good_tree_has_no_faults():
    assert check_site.check_tree(PAGE, EXPECTED) == []


def edit(path, value):
    """Copy the good page with the item at a path replaced."""
    page = copy.deepcopy(PAGE)
    item = page
    for key in path[:-1]:
        item = item[key]
    item[path[-1]] = value
    return page


AT = ("mdast", "children")


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ((*AT, 3, "children", 0, "resolved"), False, "unresolved reference to 'fig-one'"),
        ((*AT, 3, "children", 1, "error"), True, "unresolved citation 'smith'"),
        ((*AT, 3, "children", 1, "children"), [], "unresolved citation 'smith'"),
        ((*AT, 3, "children", 2, "error"), True, "unresolved link"),
        ((*AT, 3, "children", 3, "result"), {"status": "error"}, "'1 + 1' has no value"),
        ((*AT, 3, "children", 3, "result"), None, "'1 + 1' has no value"),
        ((*AT, 2, "children"), [{"type": "image"}], "figure fig-one has no caption"),
        ((*AT, 2, "enumerator"), None, "figure fig-one has no number"),
        ((*AT, 0, "children", 1, "children"), [], "code cell 0 has no output"),
        (
            (*AT, 0, "children", 1, "children", 0, "jupyter_data"),
            {"output_type": "error"},
            "code cell 0 ends in an error",
        ),
        (("frontmatter",), {}, "depends_on_env"),
        (
            ("frontmatter", "execute", "depends_on_env"),
            ["TREE_WORLD_DIGEST"],
            "lacks TREE_WORLD_FIGURE_DPI",
        ),
    ],
)
def test_a_fault_of_the_tree_is_found_and_named(path, value, fault):
    (finding,) = check_site.check_tree(edit(path, value), EXPECTED)
    assert fault in finding.fault
    assert finding.page == "book/01-one.md"


def test_places_are_lines_of_the_source():
    page = edit((*AT, 0, "children", 1, "children"), [])
    (finding,) = check_site.check_tree(page, EXPECTED)
    assert finding.place == "line 7"


def test_a_chapter_needs_its_notebook():
    (finding,) = check_site.check_tree(PAGE, None)
    assert "no reference notebook" in finding.fault
    (finding,) = check_site.check_tree(PAGE, [True, False, True])
    assert "2 code cells, but 3" in finding.fault


# --- the book itself -----------------------------------------------------------------------------


def test_what_the_notebooks_print_is_known():
    for chapter in settings.chapters():
        prints = check_site.reference_outputs(f"/book/{chapter.name}")
        assert prints is not None
        assert len(prints) == len(myst.read(chapter.read_text()).cells)
    assert check_site.reference_outputs("/book/index.md") is None


def test_the_built_book_is_checked_whole(built_site, monkeypatch, tmp_path):
    """It has no fault but for a page that the contents name and the engine did not make."""
    config = json.loads((settings.CONTENT / "config.json").read_text())
    written = [page for page in config["projects"][0]["pages"] if page.get("slug")]
    config["projects"][0]["pages"].append({"slug": "gone", "title": "Gone"})
    content = tmp_path / "site"
    (content / "content").mkdir(parents=True)
    (content / "config.json").write_text(json.dumps(config))
    for path in (settings.CONTENT / "content").glob("*.json"):
        (content / "content" / path.name).write_text(path.read_text())
    monkeypatch.setattr(settings, "CONTENT", content)
    findings, summary = check_site.check_book()
    faults = sorted(finding.fault for finding in findings)
    assert faults == ["the engine made no such page", "the page is missing"]
    assert summary.startswith(f"{2 + len(written)} pages")
