"""What readers can take along: figures as SVG and as numbers, tables as CSV."""

import csv
import json
import re
from xml.etree import ElementTree

import pytest

from tests.book.test_kinds import javascript
from tools import settings
from tools.checks import agreement

SIZE = 600_000  # bytes of an SVG file, at most


def taken(figure, page):
    """Links of a figure by their word: what they say, and the file to which they lead."""
    row = re.search(r'<p class="taken">(.*?)</p>', figure, re.DOTALL)
    found = {}
    for attributes, word in re.findall(r"<a ([^>]*)>([^<]*)</a>", row[1] if row else ""):
        said = dict(re.findall(r'([\w-]+)="([^"]*)"', attributes))
        found[word] = said | {"file": (page.parent / said["href"]).resolve()}
    return found


@pytest.fixture(scope="module")
def numbered(built_site):
    """Figures and tables with numbers: what they are called, their HTML, and their links."""
    found = []
    for page in sorted(built_site.rglob("index.html")):
        text = re.sub(r"<template.*?</template>", "", page.read_text(), flags=re.DOTALL)
        for figure in re.findall(r"<figure\b.*?</figure>", text, re.DOTALL):
            number = re.search(r'class="number"[^>]*>((?:Figure|Table)\s[^<]+)\.</a>', figure)
            if number:
                found.append((re.sub(r"\s", " ", number[1]), figure, taken(figure, page)))
    return found


def table_of(path):
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# Tree World, (Figure|Table) \S+, version \S+. Cite as: .*", first)
    return list(csv.reader(line for line in lines if not line.startswith("# ")))


def test_every_figure_that_a_cell_drew_can_be_taken_as_svg(numbered):
    drawn = [(name, links) for name, figure, links in numbered if "plot for-light" in figure]
    assert len(drawn) > 70
    for name, links in drawn:
        link, path = links["SVG"], links["SVG"]["file"]
        assert link["aria-label"] == f"{name} as SVG"
        assert link["title"] == f"{round(path.stat().st_size / 1000)} kB"
        svg = path.read_text(encoding="utf-8")
        assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert f"<!-- Tree World, {name}, version" in svg
        assert not re.search(r"<metadata|<dc:date|\b20\d\d-\d\d-\d\d\b|DOCTYPE", svg)
        assert str(settings.ROOT) not in svg
        assert path.stat().st_size <= SIZE, name


def test_what_lines_and_points_show_can_be_taken_as_numbers(numbered):
    with_numbers = [(name, links) for name, _, links in numbered if "data (CSV)" in links]
    assert len(with_numbers) > 60
    for name, links in with_numbers:
        assert links["data (CSV)"]["aria-label"] == f"{name}, data (CSV)"
        head, *rows = table_of(links["data (CSV)"]["file"])
        assert {"series", "shows"} <= set(head)
        assert rows
        assert all(len(row) == len(head) for row in rows)
        numbers = [at for at, column in enumerate(head) if re.match(r"[xy]( low| high)?$", column)]
        assert numbers
        assert [float(row[at]) for row in rows for at in numbers if row[at]]


def test_every_table_can_be_taken_as_csv_with_all_its_rows(numbered):
    tables = [entry for entry in numbered if entry[0].startswith("Table")]
    assert len(tables) > 40
    for name, figure, links in tables:
        assert links["CSV"]["aria-label"] == f"{name} as CSV"
        rows = table_of(links["CSV"]["file"])
        on_page = figure.split("<tr")[1:]
        assert len(rows) == len(on_page), name
        width = max(len(re.findall(r"<t[hd][ >]", line)) for line in on_page)
        assert {len(row) for row in rows} == {width}, name
        assert "\N{MINUS SIGN}" not in "".join(cell for row in rows for cell in row)


def test_links_are_for_the_screen_and_for_the_figure_itself(built_site):
    style = (settings.THEME / "style.css").read_text()
    assert ".taken" in style[style.index("@media print") :]
    for page in sorted(built_site.rglob("index.html")):
        for card in re.findall(r"<template.*?</template>", page.read_text(), re.DOTALL):
            assert 'class="taken"' not in card
    assert 'class="taken"' not in (built_site / "figures" / "index.html").read_text()


def test_a_short_figure_of_the_specimen_has_a_file_too(specimen):
    page = specimen / "cells" / "index.html"
    (figure,) = re.findall(r'<figure [^>]*id="fig-line".*?</figure>', page.read_text(), re.DOTALL)
    links = taken(figure, page)
    assert list(links) == ["SVG", "data (CSV)"]
    assert ElementTree.fromstring(links["SVG"]["file"].read_text()).get("width")
    numbers = links["data (CSV)"]["file"].read_text().splitlines()
    head, *rows = csv.reader(line for line in numbers if line[0] != "#")
    assert head == ["series", "shows", "x", "y"]
    assert [row[2:] for row in rows] == [[str(step), str(step)] for step in range(len(rows))]


def test_reference_notebooks_hold_neither():
    for path in settings.NOTEBOOKS.glob("*.ipynb"):
        text = path.read_text()
        assert "image/svg+xml+paper" not in text
        assert agreement.NUMBERS not in text


def cell(*children, **properties):
    return {"type": "tableCell", "children": list(children), **properties}


def words(value):
    return {"type": "text", "value": value}


def formula(value):
    return {"type": "inlineMath", "value": value}


def csv_of(*lines):
    table = {"type": "table", "children": [{"type": "tableRow", "children": row} for row in lines]}
    made = javascript(
        "import { csvOf } from './csv.mjs';"
        f"console.log(JSON.stringify(csvOf({json.dumps(table)})))"
    )
    return list(csv.reader(made.splitlines(keepends=True)))


def test_cells_become_plain_text():
    note = {"type": "footnoteReference", "identifier": "a"}
    strong = {"type": "strong", "children": [words("bold, “quoted”")]}
    made = csv_of(
        [cell(words("share "), formula("p")), cell(words('a "name"'))],
        [cell(words("\u22121.6\u00a0±\u202f1.5")), cell(formula("-0.5"))],
        [cell(strong, note), cell({"type": "break"}, words("next"))],
    )
    assert made == [
        ["share $p$", 'a "name"'],
        ["-1.6 ± 1.5", "-0.5"],
        ["bold, “quoted”", "next"],
    ]


def test_cells_that_span_others_leave_these_empty():
    made = csv_of(
        [cell(words("a"), colspan=2), cell(words("b"))],
        [cell(words("c"), rowspan=2), cell(words("d")), cell(words("e"))],
        [cell(words("f")), cell(words("g"))],
        [cell(words("h"))],
    )
    assert made == [["a", "", "b"], ["c", "d", "e"], ["", "f", "g"], ["h", "", ""]]
