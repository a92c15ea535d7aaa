"""What MyST and Jupyter put on a page arrives there, or is refused by name, place and cure.

The page is ``specimen/kinds.md``, built once with the specimen. What stops a build is tested on the
nodes that the engine makes of it, without the engine.
"""

import html
import json
import re
import subprocess

import html5lib
import pytest

from tests.book.conftest import parsed
from tests.book.test_theme import having, squeezed, text
from tools import myst, settings, terminal
from tools.checks import agreement, check_site


@pytest.fixture(scope="module")
def source(specimen):
    return (specimen / "kinds" / "index.html").read_text()


@pytest.fixture(scope="module")
def page(source):
    return parsed(source)


@pytest.fixture(scope="module")
def cells(page):
    """Outputs by a word of their code."""
    frames = [*having(page, "div", "cell"), *having(page, "details", "cell")]

    def of(word):
        (found,) = (f for f in frames if squeezed(word) in squeezed(text(f.find(".//pre"))))
        return found

    return of


def javascript(code):
    """What a module says that may import from the theme."""
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code],
        cwd=settings.THEME,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- outputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "kind", "end"),
    [
        ('"the end"', "stdout", "the end"),
        ("the last warning", "stderr", "the last warning"),
        ("the cause", "traceback", "the cause"),
    ],
)
def test_long_outputs_are_whole_and_folded(cells, word, kind, end):
    (pre,) = having(cells(word), "pre", kind)
    shown = "".join(pre.itertext())
    assert len(shown) > 25_000
    assert shown.rstrip().endswith(end)
    assert pre in list(having(cells(word), "details", "long")[0])


def test_styles_of_html_outputs_hold_inside_them_alone(page, cells):
    table = cells("Shown(text__html").find(".//table")
    around = cells("Shown(text__html").find(".//div[@id]")
    assert squeezed(text(around)) == "styledredgreen"
    (style,) = page.iter("style")
    assert style.text.startswith(f"#{around.get('id')}{{")
    cell = next(td for td in table.iter("td") if text(td) == "red")
    assert f"#{cell.get('id')} {{ color: #b00020" in style.text
    assert "url(" not in style.text


def test_what_cleaning_would_take_away_gets_a_frame(cells):
    (frame,) = cells("<audio").iter("iframe")
    assert "<circle" in frame.get("srcdoc")
    assert "<audio" in frame.get("srcdoc")


def test_streams_end_as_a_terminal_shows_them(cells):
    (printed,) = having(cells('"\\rstep"'), "pre", "stdout")
    assert "".join(printed.itertext()) == "step 2         , up\na link, ac, red"
    assert [text(pre) for pre in having(cells("clear_output(wait"), "pre", "stdout")] == ["kept"]
    assert [text(pre) for pre in having(cells("handle.update"), "pre", "result")] == ["'second'"]


WRITTEN = [
    "plain\nlines\n",
    "a\rb\n\rcd\r\x1b[K",
    "1234\x1b[2Dx\x1b[1K|\x1b[0Ky",
    "one\ntwo\nthree\x1b[2A\x1b[5Gup\x1b[B\x1b[Cdown",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J\x1b[Hhome\x08\x08\x1b[?25l",
    "tab\tbell\x07é\U0001f333\x1b[D!",
    "10%|#  |\r\x1b[32m100%|###|\x1b[0m\n\x1b[1A\x1b[2K\rdone\n",
]


def test_theme_and_comparison_know_the_same_terminal():
    ours = [terminal.screen(written) for written in WRITTEN]
    theirs = javascript(
        "import { screen } from './render/terminal.mjs';"
        f"console.log(JSON.stringify({json.dumps(WRITTEN)}.map(screen)))"
    )
    assert ours == [re.sub(r"\x1b\[[0-9;]*m", "", shown) for shown in theirs]
    assert ours[1] == "b\n"
    assert ours[3] == "one up\ntwo    down\nthree"
    assert ours[6] == "done\n"


def test_site_and_notebook_are_compared_as_they_are_shown():
    def printed(*portions):
        return [{"output_type": "stream", "name": "stdout", "text": one} for one in portions]

    cleared = {"output_type": "display_data", "data": {agreement.CLEARED: "wait"}}
    site = [*printed("old"), cleared, *printed("\r10 %", "\r20 %\n")]
    assert agreement.as_shown(site) == agreement.as_shown(printed("\r20 %\n"))
    assert agreement.as_shown(site) != agreement.as_shown(printed("\r21 %\n"))
    assert agreement.as_shown([*printed("old"), cleared]) == printed("old")


def test_formulas_markdown_and_json_are_shown_as_such(page, cells):
    outputs = cells("display(Math(")
    assert [text(h4) for h4 in outputs.iter("h4")] == ["A heading"]
    assert "Markdown" in [text(em) for em in outputs.iter("em")]
    assert [text(td) for td in outputs.iter("td")] == ["1", "2"]
    assert len(having(outputs, "span", "katex")) == 3
    assert '"two"' in text(having(outputs, "pre", "result")[0])
    assert "IPython" not in text(having(outputs, "div", "outputs")[0])


def test_one_fold_holds_a_cell_or_its_outputs_pictures_and_all(page, cells):
    folded = cells("in a folded cell")
    assert folded.tag == "details"
    assert [text(pre) for pre in having(folded, "pre", "stdout")] == ["in a folded cell"]
    figure = next(f for f in page.iter("figure") if f.get("id") == "kind-figure")
    (fold,) = having(figure, "details", "output")
    (picture,) = fold.iter("img")
    assert picture.get("alt") == "A leaf, folded."
    assert picture.get("style") == "width:30px"
    assert len(list(figure.iter("img"))) == 1


def test_values_in_sentences_are_rich_and_numbers_are_numbers(page):
    sentence = next(p for p in page.iter("p") if text(p).startswith("In sentences"))
    values = list(sentence.iter("samp"))
    assert [child.tag for child in (values[0][0], values[1][0], values[2][0])] == [
        "b",
        "span",
        "em",
    ]
    assert [text(value) for value in values[3:5]] == ["0.1", "(3, [1.5])"]
    assert html.unescape(html5lib.serialize(values[5], tree="etree")).count("<br") == 1
    assert text(values[5]) == "one two it's"


# --- constructs ----------------------------------------------------------------------------------


def test_whatever_has_a_name_is_found_by_it(page):
    ids = {element.get("id"): element.tag for element in page.iter() if element.get("id")}
    named = {
        "kind-paragraph": "p",
        "kind-note": "div",
        "kind-quote": "blockquote",
        "kind-list": "ul",
        "kind-code": "div",
        "term-distance": "dt",
        "term-odd-term": "dt",
        "kind-listing": "figure",
        "kind-csv": "figure",
    }
    assert named.items() <= ids.items()


def test_a_formula_in_a_title_is_one_everywhere(page, specimen):
    assert text(page.find(".//title")) == "Kinds of x2 and code · Specimen"
    places = [page.find(".//h1")]
    for tree in (
        page,
        parsed((specimen / "last/index.html").read_text()),
    ):
        places += [
            a for a in tree.iter("a") if text(a).replace("5", "").strip().startswith("Kinds of")
        ]
    assert len(places) == 5  # heading, two contents on each page
    for place in places:
        assert len(having(place, "span", "katex")) == 1
        assert "$" not in text(place)
    outline = [a for a in page.iter("a") if "a formula" in text(a)]
    assert len(outline) == 3  # in both contents, and in the list of the text
    assert all(having(a, "span", "katex") for a in outline)
    found = (specimen / "assets" / "search-index.js").read_text()
    assert '"page":"Kinds of x2 and code"' in found
    assert ',"Kinds of x2 and code",' in found  # its title
    (colophon,) = having(page, "section", "colophon")
    assert "Seeds: seed=3 for all." in text(colophon)


def test_what_directives_are_told_is_shown(page):
    marks = [span.get("aria-label") for span in having(page, "span", "mark")]
    assert marks == ["To do", "Done"]
    lines = [
        (span.get("data-line"), span.get("class"))
        for span in page.iter("span")
        if span.get("data-line")
    ]
    assert lines == [("5", "line"), ("6", "line emphasised"), ("7", "line")]
    assert "hello.py" in [text(head) for head in having(page, "div", "cell-head")]
    (leaf,) = (image for image in page.iter("img") if image.get("title") == "A leaf")
    assert (leaf.get("style"), leaf.get("class")) == ("height:30px", "put-right")
    assert [text(p) for p in having(page, "div", "kept")] == ["In a block with a class."]
    titles = [text(aside.find("p")) for aside in having(page, "div", "margin")]
    assert titles == ["A sidebar", "A topic", "An aside with a title", "In the margin."]
    assert [squeezed(text(span)) for span in having(page, "span", "chem")] == ["H2SO4", "Ca2+"]


def test_formulas_have_as_many_parts_as_mathml_allows(page):
    few = {"msub": 2, "msup": 2, "msubsup": 3}
    seen = 0
    for element in page.iter():
        name = str(element.tag).rpartition("}")[2]
        if name in few:
            assert len(element) == few[name], text(element)
            seen += 1
    assert seen > 5


@pytest.mark.parametrize(("operator", "faults"), [("", 0), ("<mo>\u2061</mo>", 1)])
def test_the_check_finds_formulas_that_are_no_mathml(tmp_path, operator, faults):
    formula = f"<math><msub><mi>a</mi><mi>max</mi>{operator}</msub></math>"
    page = f"<!doctype html><html lang=en><title>One</title><p>{formula}</p>"
    (tmp_path / "index.html").write_text(page)
    found = [finding.fault for finding in check_site.check_site(tmp_path, ["index"])]
    assert found == ["invalid MathML, a <msub> of 3 parts instead of 2"] * faults


def test_a_reference_in_brackets_brings_none(page):
    sentence = next(p for p in page.iter("p") if text(p).startswith("In brackets"))
    assert "".join(sentence.itertext()) == (
        "In brackets (1), (1 and 1), and with others (see (1))."
    )


def luminance(colour):
    shares = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_soft_text_has_a_contrast_of_seven_on_every_ground(scheme):
    style = (settings.THEME / "style.css").read_text()
    tokens = {
        name: pair[scheme]
        for name, *pair in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", style)
    }
    for ground in ("paper", "panel", "leaf-bg", "code", "clay-bg"):
        pair = sorted((luminance(tokens["soft"]), luminance(tokens[ground])))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 7, ground


# --- what stops a build --------------------------------------------------------------------------

POSITION = {"position": {"start": {"line": 7}}}


def displayed(**kinds):
    data = {kind.replace("__", "/"): {"content": content} for kind, content in kinds.items()}
    return {"type": "output", "jupyter_data": {"output_type": "display_data", "data": data}}


REFUSED = [
    ({"type": "image", "url": "x.png", "rotated": "90"}, 'the property "rotated"'),
    ({"type": "oddity"}, 'kind "oddity"'),
    ({"type": "mystDirectiveError", "message": "it says why"}, "it says why"),
    ({"type": "raw", "lang": "latex", "value": "x"}, "raw latex .* by {math}"),
    ({"type": "anywidget"}, "a widget needs .*HTML"),
    ({"type": "iframe", "src": "https://example.org/"}, "loads nothing .*by a link"),
    ({"type": "html", "value": "<video></video>"}, "<video> cannot be shown here"),
    ({"type": "html", "value": "<p>x</p>", "phrase": True}, "<p> cannot .* a sentence"),
    (displayed(text__plain="<object at 0x7f01>"), "a cell ends in .* semicolon"),
    (displayed(text__plain="<a.B object>", a__b="x"), "no way to show an output of a/b"),
    (displayed(**{"application/vnd.plotly.v1+json": "{}"}), "to_html"),
    (displayed(text__html="<script src='https://x.org/a.js'></script>"), "loads <script> from"),
    (displayed(text__html="<style>a { b }} c {</style>"), "a brace too many"),
    (displayed(text__latex="$\\nonsense$"), "cannot be drawn"),
]


@pytest.fixture(scope="module")
def refusals():
    nodes = [{"type": "block", "children": [node], **POSITION} for node, _ in REFUSED]
    return javascript(
        "import { render } from './render/index.mjs';"
        f"const nodes = {json.dumps(nodes)};"
        "const context = () => ({ source: '/a.md', book: { files: new Map() }, used: new Set(),"
        " outputs: { count: 0, styles: [] } });"
        "const said = (node) => { try { render(node, context()); return ''; }"
        " catch (error) { return error.message; } };"
        "console.log(JSON.stringify(nodes.map(said)))"
    )


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_cannot_be_shown_is_refused_with_place_and_cure(refusals, number):
    assert re.search(REFUSED[number][1], refusals[number]), refusals[number]
    assert refusals[number].endswith("(/a.md, line 7)")


@pytest.mark.parametrize(
    ("written", "line", "why"),
    [
        ("# One\n\n(sec-日本)=\n## Two\n", 3, "shows the label"),
        ("Words\n(in text)= here\n(sec-и)=\nmore\n", 3, "shows the label"),
        ("# One\n\nSee\n[](#sec-日本).\n", 3, "does not find #sec-日本"),
        ("# One\n\n![A leaf](<ein Blatt é.png>)\n", 3, "does not find ein Blatt é.png"),
        ("---\nlabel: one\n---\n\n# Of $x$\n", 5, "drops formulas"),
    ],
)
def test_what_the_engine_would_lose_is_refused_by_line(written, line, why):
    ((found, said),) = myst.read(written).faults
    assert found == line
    assert why in said


def test_formulas_in_headings_below_a_title_are_fine():
    assert myst.read("---\ntitle: A $x$\n---\n\n# Of $x$\n\n(sec-a)=\n## $y$\n").faults == []


def test_works_alike_in_author_and_year_get_letters_and_latex_is_refused():
    def work(title):
        return {"html": f"Smith, A. (2020). <i>{title}</i>."}

    def cite(label, words):
        return {"type": "cite", "label": label, "children": [{"type": "text", "value": words}]}

    cites = [cite("z", "Smith, 2020"), cite("y", "Smith (2020)"), cite("x", "Jones, 2020")]
    works = {"z": work("Beta"), "y": work("Alpha"), "x": work("Gamma")}
    data = {
        "mdast": {"type": "root", "children": cites},
        "references": {"cite": {"order": ["z", "y", "x"], "data": works}},
    }
    odd = {"cite": {"order": ["q"], "data": {"q": {"html": r"\AAberg (2020)."}}}}
    told, said = javascript(
        "import { tellCitations } from './render/bibliography.mjs';"
        f"const data = {json.dumps(data)}; tellCitations(data); let said = '';"
        "try { tellCitations({ mdast: { type: 'root' }, location: '/a.md', references: "
        f"{json.dumps(odd)} }}) }} catch (error) {{ said = error.message }}"
        "console.log(JSON.stringify([data, said]))"
    )
    shown = [node["children"][0]["value"] for node in told["mdast"]["children"]]
    assert shown == ["Smith, 2020b", "Smith (2020a)", "Jones, 2020"]
    html_of = {key: work["html"] for key, work in told["references"]["cite"]["data"].items()}
    assert "(2020a). <i>Alpha" in html_of["y"]
    assert "(2020b). <i>Beta" in html_of["z"]
    assert "(2020). <i>Gamma" in html_of["x"]
    assert re.search(r"the reference q holds \\AAberg.*\(/a.md\)", said)
