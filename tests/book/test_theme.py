"""Every construct of the specimen arrives on the page, and nothing arrives that should not."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.book.conftest import parsed
from tools import build, settings
from tools.checks import check_site


@pytest.fixture(scope="module")
def pages(specimen):
    return {
        name: parsed((specimen / name).read_text())
        for name in ("index.html", "cells/index.html", "trusted/index.html", "last/index.html")
    }


def text(element):
    """Text of an element, with a space between the texts of its parts."""
    return " ".join(" ".join(element.itertext()).split())


def squeezed(string):
    return "".join(string.split())


def having(tree, tag, css_class=""):
    return [
        element
        for element in tree.iter(tag)
        if css_class in (element.get("class") or "").split() or not css_class
    ]


def test_the_specimen_passes_the_check_but_for_what_is_wrong_on_purpose(specimen):
    findings = check_site.check_site(specimen, ["index", "cells", "trusted", "last"])
    faults = sorted({finding.fault for finding in findings})
    assert faults == ["a figure without a caption", "a link to a file that does not exist"]
    assert {finding.page for finding in findings} == {"cells/index.html"}


@pytest.mark.parametrize(
    ("tag", "css_class", "expected"),
    [
        ("em", "", "emphasised"),
        ("strong", "", "strong"),
        ("del", "", "struck"),
        ("sub", "", "low"),
        ("sup", "", "high"),
        ("kbd", "", "Ctrl"),
        ("u", "", "under"),
        ("span", "smallcaps", "small"),
        ("abbr", "", "OKLab"),
        ("dt", "", "A term"),
        ("dd", "", "Its description."),
        ("blockquote", "", "Quoted words."),
        ("div", "admonition", "Note A plain note."),
        ("div", "warning", "Mind the step A warning with a title."),
        ("details", "tip", "Open me Hidden until opened, with (1)."),
        ("details", "dropdown", "More of it A dropdown."),
        ("div", "margin", "In the margin."),
        ("div", "theorem", "Theorem 1 · Of means The mean is between the least and the greatest."),
        ("div", "exercise", "Exercise 1 · Try it Prove Theorem 1."),
        ("details", "solution", "Solution Average the bounds."),
        ("figcaption", "", "Table 1. Small numbers."),
        ("figcaption", "", "Table 2. Another way."),
        ("div", "tab", "First One."),
        ("div", "card", "Another Without. At its foot"),
        ("h1", "", "Words & signs"),
        ("h2", "", "1.1 Lists#"),
        ("h3", "", "1.2.1 Deep down#"),
        ("pre", "", "no language & <tags>"),
        ("pre", "", "flowchart LR smell --> memory"),
        ("dt", "", "Affinity"),
        ("li", "", "Figure 1. A line, with x2x2 and Section 1.1."),
        ("title", "", "Specimen"),
    ],
)
def test_prose_arrives(pages, tag, css_class, expected):
    elements = having(pages["index.html"], tag, css_class)
    assert squeezed(expected) in [squeezed(text(element)) for element in elements]


def test_lists_keep_their_kind_and_their_start(pages):
    ordered = having(pages["index.html"], "ol")
    assert "5" in [element.get("start") for element in ordered]
    items = [text(element) for element in having(pages["index.html"], "li")]
    assert {"one", "two two and one two and two", "five"} <= set(items)


def test_tables_have_heads_and_alignment(pages):
    first, second, third = having(pages["index.html"], "table")
    assert [th.get("scope") for th in first.iter("th")] == ["col"] * 3
    assert [td.get("class") for td in first.iter("td")] == [
        "align-left",
        "align-center",
        "align-right",
    ]
    assert [text(th) for th in second.iter("th")] == ["one", "two"]
    assert [(text(th), th.get("colspan")) for th in third.iter("th")] == [
        ("Kind", None),
        ("Where and when", "2"),
    ]
    assert [text(td) for td in third.iter("td") if td.get("rowspan") == "2"] == ["both"]


def test_equations_are_typeset_numbered_and_referred_to(pages):
    (equation,) = having(pages["index.html"], "div", "equation")
    assert equation.get("id") == "eq-one"
    assert having(equation, "span", "katex-display")
    assert text(having(equation, "a", "number")[0]) == "(1)"
    links = [a.get("href") for a in having(pages["index.html"], "a", "reference")]
    assert links.count("#eq-one") == 3
    # One copy for the eye, one for the ear.
    (formula,) = equation.iter("{http://www.w3.org/1998/Math/MathML}math")
    assert squeezed(text(formula)).startswith("eiπ+1=0")


def colour_of(span):
    """The class or the style that gives a piece of code its colour."""
    kind = re.fullmatch(r"k\d", span.get("class") or "")
    return kind[0] if kind else (span.get("style") or "")


def test_code_is_highlighted(pages):
    blocks = [pre for pre in having(pages["index.html"], "pre") if "def square" in text(pre)]
    colours = {colour_of(span) for span in blocks[0].iter("span") if colour_of(span)}
    assert len(colours) > 3
    style = (settings.THEME / "style.css").read_text()
    for colour in colours:
        assert f".{colour} {{ color: light-dark(" in style


def test_a_full_stop_stays_with_its_formula(pages):
    spans = having(pages["index.html"], "span", "tied")
    ends = [list(span.itertext())[-1] for span in spans]
    assert ends == [".", "-means", "."]  # in the first paragraphs and in a footnote


def test_seeds_and_times_are_in_the_colophon(pages):
    (colophon,) = having(pages["cells/index.html"], "section", "colophon")
    assert "Seeds: 7 for everything." in text(colophon)
    assert re.search(r"The \d+ cells took [\d.]+ s in all", text(colophon))
    (colophon,) = having(pages["trusted/index.html"], "section", "colophon")
    assert "takes its seed in the cell" in text(colophon)
    assert not having(pages["last/index.html"], "section", "colophon")


def test_references_to_other_pages_bring_their_cards(pages):
    tree = pages["last/index.html"]
    cards = {template.get("id"): template for template in tree.iter("template")}
    links = {a.get("href"): a.get("data-card") for a in having(tree, "a", "reference")}
    for link, words in (
        ("../index.html#sec-lists", "Lists"),
        ("../cells/index.html#fig-line", "A line, with"),
        ("../index.html#eq-one", "iπ"),
    ):
        card = cards[links[link]]
        assert words in text(card)
        assert not list(card.iter("a"))
        assert not [element for element in list(card.iter())[1:] if element.get("id")]


def test_citations_lead_to_references_and_notes_back_to_the_text(pages):
    tree = pages["index.html"]
    (references,) = having(tree, "section", "references")
    assert [text(li)[:8] for li in references.iter("li")] == ["Nadaraya", "Watson, "]
    citations = [(text(a), a.get("href")) for a in having(tree, "a", "citation")]
    assert ("Watson (1964)", "#ref-watson1964") in citations
    (notes,) = having(tree, "section", "footnotes")
    assert [li.get("id") for li in notes.iter("li")] == ["fn-one", "fn-two"]
    marks = [a.get("id") for sup in having(tree, "sup", "footnote") for a in sup.iter("a")]
    assert marks == ["fnref-one", "fnref-one-2", "fnref-two"]


def test_addresses_are_relative_from_every_depth(pages):
    for name, up in (("index.html", ""), ("cells/index.html", "../"), ("last/index.html", "../")):
        styles = [link.get("href") for link in pages[name].iter("link")]
        assert f"{up}assets/style.css" in styles
    links = {a.get("href") for a in pages["last/index.html"].iter("a")}
    assert {
        "../index.html",
        "../index.html#sec-lists",
        "../cells/index.html#fig-line",
        "../index.html#eq-one",
    } <= links


def test_contents_know_parts_and_neighbours(pages):
    (sidebar,) = having(pages["cells/index.html"], "nav", "sidebar")
    assert [text(li) for li in having(sidebar, "li", "part")] == ["More"]
    current = [a for a in sidebar.iter("a") if a.get("aria-current") == "page"]
    assert [text(a) for a in current] == ["2 Cells"]
    rel = {a.get("rel"): a.get("href") for a in pages["cells/index.html"].iter("a")}
    assert rel["prev"] == "../index.html"
    assert rel["next"] == "../index.html"  # it is the last chapter; the others are at the back
    rel = {a.get("rel"): a.get("href") for a in pages["trusted/index.html"].iter("a")}
    assert rel["next"] == "../last/index.html"
    assert "prev" not in rel


# --- cells ---------------------------------------------------------------------------------------


def test_outputs_follow_their_code(pages):
    tree = pages["cells/index.html"]
    assert [text(pre) for pre in having(tree, "pre", "result")] == ["42"]
    printed = [text(pre) for pre in having(tree, "pre", "stdout")]
    assert printed == [
        "to stdout in red & <not a tag>",
        "input folded",
        "input removed",
        "output folded",
        " ".join(["wide"] * 60),
    ]
    assert [text(pre) for pre in having(tree, "pre", "stderr")] == ["to stderr"]


def test_colours_of_a_terminal_are_kept(pages):
    tree = pages["cells/index.html"]
    (trace,) = having(tree, "pre", "traceback")
    assert "expected" in trace.get("class")
    assert squeezed("ValueError: on purpose") in squeezed(text(trace))
    assert "\x1b" not in text(trace)
    printed = having(tree, "pre", "stdout")[0]
    for pre, word in ((trace, "ValueError"), (printed, "in red")):
        coloured = [span for span in pre.iter("span") if colour_of(span)]
        assert word in " ".join(text(span) for span in coloured)


def test_cells_are_folded_and_left_out_as_they_ask(pages):
    tree = pages["cells/index.html"]
    folded, below_figure, _ = having(tree, "details", "folded")
    assert "input folded" in text(folded)
    assert text(below_figure.find("summary")).startswith("Code")
    (output,) = having(tree, "details", "output")
    assert text(output) == "Output output folded"
    sources = " ".join(text(code) for code in tree.iter("code"))
    assert "input removed" not in sources
    assert "output removed" in sources


def test_output_cannot_bring_a_script_or_a_foreign_address(pages):
    (output,) = having(pages["cells/index.html"], "div", "html")
    assert not list(output.iter("script"))
    for element in output.iter():
        assert not any(name.startswith("on") for name in element.attrib)
        assert "url(" not in (element.get("style") or "")
    assert [text(td) for td in output.iter("td")] == ["cell"]
    assert [td.get("style") for td in output.iter("td")] == ["text-align:right"]


def test_output_with_a_script_gets_a_frame_of_its_own(pages):
    (frame,) = having(pages["cells/index.html"], "iframe")
    assert frame.get("sandbox") == "allow-scripts"
    assert "default-src 'none'" in frame.get("srcdoc")
    assert not having(pages["trusted/index.html"], "iframe")


def test_pictures_of_cells_are_described_and_cannot_run_anything(pages):
    tree = pages["cells/index.html"]
    (disc,) = (image for image in tree.iter("img") if image.get("alt") == "A red disc.")
    assert disc.get("src").startswith("data:image/svg+xml,")
    assert (disc.get("width"), disc.get("height")) == ("40", "40")
    assert not list(tree.iter("circle"))


def test_expressions_are_text_and_not_markup(pages):
    words = ["".join(p.itertext()) for p in pages["cells/index.html"].iter("p")]
    assert "The value is 42, and a wall is 42\u00a0m long, and a text is <b>bold</b>." in words


def test_a_figure_has_its_number_caption_description_size_and_code(pages):
    (figure,) = (f for f in pages["cells/index.html"].iter("figure") if f.get("id") == "fig-line")
    image, dark = figure.iter("img")
    assert [picture.get("class") for picture in (image, dark)] == [
        "plot for-light",
        "plot for-dark",
    ]
    for same in ("alt", "width", "height", "style"):
        assert image.get(same) == dark.get(same)
    assert image.get("alt") == "A line that rises."
    assert int(image.get("width")) > int(image.get("height")) > 50
    # 3.7 inches, less what the tight border cuts off, however many dots an inch has.
    assert float(re.search(r"--inches:([\d.]+)", image.get("style")).group(1)) < 3.7
    caption = text(figure.find("figcaption"))
    assert caption.startswith("Figure 1. A line, with")
    (code,) = having(figure, "details", "folded")
    assert "plt.plot" in text(code)
    assert re.search(r"Code [\d.]+ s", text(code))  # the first plot loads Matplotlib


def test_a_figure_comes_on_light_and_on_dark_paper(pages, specimen):
    figures = [f for f in pages["cells/index.html"].iter("figure") if f.get("id") == "fig-line"]
    light, dark = (
        np.asarray(Image.open(specimen / "cells" / image.get("src")).convert("RGB"))
        for image in figures[0].iter("img")
    )
    assert light.shape == dark.shape
    np.testing.assert_array_equal(light[0, 0], [255, 255, 255])  # without the style of the book
    np.testing.assert_array_equal(dark[0, 0], [20, 24, 22])


def test_a_figure_of_another_page_can_be_shown_and_leads_there(pages):
    (figure,) = having(pages["last/index.html"], "figure", "frontispiece")
    (link,) = list(figure.iter("a"))
    assert link.get("href") == "../cells/index.html#fig-line"
    assert [image.get("alt") for image in link.iter("img")] == ["A line that rises."] * 2
    assert text(figure.find("figcaption")).startswith("Figure 1. A line, with")
    assert not [element for element in figure.iter() if element.get("id")]


def test_what_belongs_together_is_not_parted_at_the_end_of_a_line(pages):
    words = "".join(pages["index.html"].itertext())
    for unit in (
        "100\u00a0×\u00a0100\u00a0m",
        "0.4\u00a0±\u00a02.1\u00a0ms",
        "20\u00a0%",
        "5 models",
    ):
        assert unit in words
    (tied,) = [
        span for span in having(pages["index.html"], "span", "tied") if "means" in text(span)
    ]
    assert "".join(tied.itertext()).endswith("-means")
    evaluated = "".join(pages["cells/index.html"].itertext())
    assert "42\u00a0m long" in evaluated  # across a value and the text after it


# --- limits --------------------------------------------------------------------------------------


def test_the_engine_leaves_no_paths_of_this_machine(specimen):
    for path in specimen.rglob("*"):
        if path.is_file() and path.suffix in (".html", ".json", ".js", ".css", ".txt", ".xml"):
            content = path.read_text()
            assert str(specimen.parents[1]) not in content, path
            assert "localhost" not in content, path


def test_an_unknown_construct_stops_the_build_by_name(small_project):
    folder, _ = small_project
    (folder / "odd.mjs").write_text(
        "const role = { name: 'odd', body: { type: String, required: true },"
        " run: () => [{ type: 'oddity', value: 'x' }] };\n"
        "export default { name: 'Odd', roles: [role] };\n"
    )
    settings_file = folder / "myst.yml"
    settings_file.write_text(
        settings_file.read_text().replace("  toc:", "  plugins:\n    - odd.mjs\n  toc:")
    )
    (folder / "chapter.md").write_text("# Odd\n\nSome words.\n\nAn {odd}`one`.\n")
    with pytest.raises(build.BuildError, match=r'kind "oddity" \(/chapter.md, line 5\)'):
        build.run_engine()


def test_a_figure_that_is_nowhere_stops_the_build(small_project):
    folder, _ = small_project
    (folder / "chapter.md").write_text("# One\n\n:::{div}\n:class: frontispiece fig-none\n:::\n")
    with pytest.raises(build.BuildError, match=r"no figure fig-none .*\(/chapter.md"):
        build.run_engine()


def test_an_expression_that_the_engine_leaves_alone_stops_the_build(small_project):
    folder, _ = small_project
    (folder / "chapter.md").write_text(
        "---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n# One\n\n"
        "```{code-cell} python\n---\n"
        'label: fig-one\ncaption: "It is {eval}`1 + 1`."\n---\nprint(2)\n```\n'
    )
    with pytest.raises(
        build.BuildError, match="line 11: the engine computes nothing in the caption"
    ):
        build.run_engine()


FIGURE = """\
---
kernelspec:
  name: python3
  display_name: Python 3
---
# One

```{code-cell} python
#| alt: A line.
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()
```
"""


def test_a_picture_to_share_has_a_whole_address_where_the_book_has_one(small_project):
    folder, patch = small_project
    (folder / "chapter.md").write_text(FIGURE)
    patch.setenv("BOOK_URL", "https://example.org/book")
    build.run_engine()
    page = (settings.SITE / "index.html").read_text()
    name = re.search(r'og:image" content="https://example.org/book/(shared/\w+.png)"', page)[1]
    assert (settings.SITE / name).exists()


def test_an_output_that_cannot_be_shown_stops_the_build(small_project):
    folder, _ = small_project
    (folder / "chapter.md").write_text(
        "---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n"
        "# One\n\n```{code-cell} python\n"
        "from IPython.display import display\n"
        'display({"application/x-odd": "x"}, raw=True)\n```\n'
    )
    with pytest.raises(build.BuildError, match=r"only application/x-odd\. Give .* \(/chapter.md"):
        build.run_engine()
