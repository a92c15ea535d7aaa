"""A download is derived: its chapter in plain Markdown, with the values that were stored."""

import ast
import copy
import importlib.metadata
import json
import re
import sys
import tomllib

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import computed, downloads, myst, notebooks, references, settings
from tools.downloads import Around, DownloadError
from tools.references import Target, Work

CHAPTERS = [
    source
    for source in settings.chapters()
    if (settings.NOTEBOOKS / f"{source.stem}.ipynb").exists()
]
each_chapter = pytest.mark.parametrize("source", CHAPTERS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def made():
    """Reference notebook and download of each chapter."""
    paths = [settings.NOTEBOOKS / f"{source.stem}.ipynb" for source in CHAPTERS]
    return {path.stem: (nbformat.read(path, as_version=4), downloads.of(path)) for path in paths}


def without_code(text):
    """Markdown without what it quotes as code, which may be anything."""
    return re.sub(r"(?s)(`+)(?!`).+?(?<!`)\1(?!`)", "CODE", text)


def prose(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


# --- of every chapter ----------------------------------------------------------------------------


@each_chapter
def test_no_myst_is_left(made, source):
    for cell in prose(made[source.stem][1]):
        words = without_code(cell.source)
        found = re.search(
            r"\{[a-z][a-z:-]*\}CODE|:::|```\{|\]\(#|\]\([^)]*\.md|^%|^\(.*\)=$", words, re.M
        )
        assert not found, cell.source
        assert "{eval}" not in words


@each_chapter
def test_code_outputs_and_values_are_those_of_the_reference(made, source):
    reference, download = made[source.stem]
    ours, theirs = (
        [cell for cell in one.cells if cell.cell_type == "code"] for one in (download, reference)
    )
    assert ours == theirs
    values = [
        [one for cell in n.cells for one in computed.entries(cell)] for n in made[source.stem]
    ]
    assert values[0] == values[1]
    assert download.metadata == reference.metadata


@each_chapter
def test_numbers_in_prose_are_the_stored_ones_in_their_order(made, source):
    reference, download = made[source.stem]
    shown = {cell.id: cell.source for cell in prose(download)}
    count = 0
    for cell in prose(reference):
        at = 0
        values = {one["expression"]: one.get("result") for one in computed.entries(cell)}
        for one in myst.read(cell.source).expressions:
            text = re.sub(r"([\\`*_\[\]<|$~])", r"\\\1", as_shown(values[one.code]["data"]))
            at = shown[cell.id].index(text, at) + len(text)
            count += 1
    assert count == len(myst.read(source.read_text()).expressions)


def as_shown(data):
    text = data["text/plain"]
    value = ast.literal_eval(text) if text[0] in "'\"" else text
    return str(value)


@each_chapter
def test_it_is_a_notebook_that_says_what_it_is_and_how_to_run_it(made, source):
    download = made[source.stem][1]
    nbformat.validate(download)
    front = references.front_matter(source.read_text())
    head = download.cells[0].source
    assert head.startswith(f"# {front['title']}\n")
    assert f"(../{references.slug(source.stem)}/index.html)" in head
    assert "\n    pip install " in head


@each_chapter
def test_captions_follow_their_figures(made, source):
    reference, download = made[source.stem]
    captioned = [cell.id for cell in reference.cells if "caption" in cell.metadata]
    ids = [cell.id for cell in download.cells]
    for name in captioned:
        after = download.cells[ids.index(name) + 1]
        assert re.match(r"\*\*Figure (\d+|[A-Z])\.\d+\.\*\* \S", after.source)


@each_chapter
def test_nothing_but_what_is_given_counts(made, source):
    reference = copy.deepcopy(made[source.stem][0])
    path = settings.NOTEBOOKS / f"{source.stem}.ipynb"
    assert downloads.as_file(downloads.of(path)) == downloads.as_file(made[source.stem][1])
    assert made[source.stem][0] == reference


@each_chapter
def test_cells_import_only_what_the_install_line_names(made, source):
    """In the tests it runs beside more than that: the packages of the tests and benchmarks."""
    project = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())["project"]
    name, group = re.search(r'"([\w-]+)\[(\w+)\]"', downloads.INSTALL).groups()
    assert name == project["name"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][group]]
    names = {canonicalize_name(Requirement(one).name) for one in [name, *wanted]}
    provided = importlib.metadata.packages_distributions()  # a package may give other modules
    for cell in made[source.stem][1].cells:
        for module in imported(cell.source) if cell.cell_type == "code" else ():
            by = {canonicalize_name(one) for one in provided.get(module, [])}
            assert module in sys.stdlib_module_names or by & names, (module, by)


def imported(code):
    for node in ast.walk(ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", code))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


# --- of anything that a chapter may hold ---------------------------------------------------------

AROUND = Around(
    {
        "eq-a": Target("01-one", "equation", "1.1"),
        "eq-b": Target("02-two", "equation", "2.3"),
        "fig-a": Target("01-one", "figure", "1.2"),
        "tab-a": Target("01-one", "table", "1.3"),
        "ex-a": Target("01-one", "exercise", "1.4"),
        "sec-a": Target("01-one", "section", "A *section*"),
        "02-two": Target("02-two", "page", "Two"),
    },
    {"one2000": Work("One & Two", "2000", "One, Two (2000). *Title*.")},
    "https://example.org/",
)


def derived(text, **values):
    cell = nbformat.v4.new_markdown_cell(text)
    data = {"metadata": {}, "status": "ok"}
    cell.metadata[computed.KEY] = [
        {"expression": code, "result": {**data, "data": {"text/plain": repr(value)}}}
        for code, value in values.items()
    ]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    return downloads.derive(notebook, "01-one", AROUND).cells[1].source


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("By [](#eq-a).", "By equation (1.1)."),
        ("[](#eq-a) says it.", "Equation (1.1) says it."),
        ("It is. [](#eq-a) says it.", "It is. Equation (1.1) says it."),
        ("In equation [](#eq-a).", "In equation (1.1)."),
        ("By [](#eq-b).", "By [equation (2.3)](https://example.org/two/index.html#eq-b)."),
        ("([](#fig-a), [](#tab-a))", "(Figure 1.2, Table 1.3)"),
        ("See [](#sec-a) and [below](#sec-a).", "See “A *section*” and below."),
        ("[two](./02-two.md)", "[two](https://example.org/two/index.html)"),
        ("[x](https://a.org/b)", "[x](https://a.org/b)"),
        ("{cite:p}`one2000`, {cite:t}`one2000`", "(One & Two, 2000), One & Two (2000)"),
        ("`[](#eq-a)` and ``{eval}`x` ``", "`[](#eq-a)` and ``{eval}`x` ``"),
        ("$[a](#b)$ \\{eval}", "$[a](#b)$ \\{eval}"),
        ("```\n[](#eq-a)\n```", "```\n[](#eq-a)\n```"),
        ("A.\n\n% repeats 5: x\n\nB.", "A.\n\nB."),
        ("(sec-x)=\n## Head of [](#eq-a)", "## Head of equation (1.1)"),
        ("A:\n```{math}\n:label: eq-a\nx\n\ny\n```\nB", "A:\n\n$$\nx\ny\n\\tag{1.1}\n$$\n\nB"),
        ("$$ x $$ (eq-a)", "$$\n x \n\\tag{1.1}\n$$"),
        ("- a\n\n  ```{math}\n  x\n  ```", "- a\n\n  $$\n  x\n  $$"),
        (":::{aside}\nA $x\ny$ b\nc\n:::", "> A $x y$ b\n> c"),
        (":::{note} Mind\nThis.\n:::", "> **Mind**\n>\n> This."),
        (":::{tip}\nThis.\n:::", "> **Tip**\n>\n> This."),
        (
            "::::{exercise}\n:label: ex-a\nWhy?\n\n:::{hint}\n:class: dropdown\nSo.\n:::\n::::",
            "**Exercise 1.4.** Why?\n\n<details><summary>Hint</summary>\n\nSo.\n\n</details>",
        ),
        (":::{solution} ex-a\nSo.\n:::", "**Solution of Exercise 1.4**\n\nSo."),
        (":::{div}\n:class: a\n:::\n\nB", "B"),
        (":::{exercise}\n:label: ex-a\nWhy?\n:::", "**Exercise 1.4.** Why?"),
        (
            ":::{solution} ex-a\n:class: dropdown\n\nSo.\n:::",
            "<details><summary>Solution of Exercise 1.4</summary>\n\nSo.\n\n</details>",
        ),
        (
            ":::{table} By [](#eq-a).\n:label: tab-a\n% repeats 5: x\n\n| a | b |\n| - | - |\n"
            "| [](#fig-a) | $x$ |\n:::",
            "**Table 1.3.** By equation (1.1).\n\n| a | b |\n| - | - |\n| Figure 1.2 | $x$ |",
        ),
    ],
)
def test_it_is_written_in_plain_markdown(text, wanted):
    assert derived(text) == wanted


def test_values_are_written_so_that_they_stay_what_they_are():
    text = "It is {eval}`x`, {eval}`f'{y}'`.\n\n| a |\n| - |\n| {eval}`x` |"
    assert derived(text, x=2.5, **{"f'{y}'": "2 * 3 | a_b"}) == (
        "It is 2.5, 2 \\* 3 \\| a\\_b.\n\n| a |\n| - |\n| 2.5 |"
    )


@pytest.mark.parametrize(
    ("text", "values", "why"),
    [
        ("{eval}`x`", {}, "01-one: no value of x is stored"),
        ("Words.", {"x": 1}, "01-one: a value of x is stored for no place"),
        (":::{grid}\n:::", {}, r"does not know how to write \{grid\}"),
        ("{button}`Go <https://a.org>`", {}, r"does not know how to write \{button\}"),
        ("{cite:p}`two2000`", {}, "two2000 is cited"),
        ("[](#eq-c)", {}, "#eq-c leads nowhere"),
        ("![a](b.png)", {}, "the picture b.png would not come"),
        ("[a](data.csv)", {}, "the file data.csv would not come"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(text, values, why):
    with pytest.raises(DownloadError, match=why):
        derived(text, **values)


def test_cited_works_are_listed_at_the_end():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("{cite:t}`one2000`")])
    made = downloads.derive(notebook, "01-one", AROUND)
    assert made.cells[-1].source == "## References\n\n- One, Two (2000). *Title*."


# --- numbers of places, and works ----------------------------------------------------------------


def test_places_have_the_numbers_of_the_site(built_site):
    """Each reference on the site, as the engine has written it, and as we would."""
    targets = references.targets(settings.pages())
    seen = set()
    for path in sorted((settings.CONTENT / "content").glob("*.json")):
        for node in walk(json.loads(path.read_text())["mdast"]):
            label = node.get("label") or node.get("identifier")
            kind = node.get("kind") if node["type"] == "container" else node["type"]
            kind = {"math": "equation"}.get(kind, kind)
            if kind in ("equation", "figure", "table", "exercise") and label in targets:
                assert (targets[label].kind, targets[label].name) == (kind, node["enumerator"])
                seen.add(label)
    numbered = {name for name, one in targets.items() if one.kind not in ("page", "section")}
    assert numbered <= seen


def walk(node):
    yield node
    for child in node.get("children") or []:
        yield from walk(child)


def test_a_work_is_named_by_its_authors():
    found = references.works(
        '@article{a,\n  author = {M{\\"o}bius, A. and {van} Beta, B.},\n'
        "  title = {On {One--Two}},\n  journal = {Sankhy{\\=a}},\n  volume = {3}, number = {1},\n"
        "  year = {1999},\n  doi = {10.1/x}\n}\n\n"
        "@book{b, author = {A, A and B, B and C, C}, title = {T}, year = {2001}}\n"
    )
    assert (found["a"].authors, found["b"].authors) == ("Möbius & van Beta", "A *et al.*")
    assert found["a"].entry == (
        "Möbius, A.; van Beta, B. (1999). *On One–Two*. Sankhyā, 3(1). <https://doi.org/10.1/x>"
    )


def test_a_work_without_authors_is_named_by_its_editors():
    found = references.works(
        "@book{a, editor = {Beta, B.}, title = {T}, publisher = {P}, year = {2003}}\n"
        "@techreport{b, editor = {A, A and B, B}, title = {T}, institution = {I}, year = {2005}}\n"
    )
    assert found["a"] == Work("Beta", "2003", "Beta, B. (ed.) (2003). *T*. P")
    assert found["b"] == Work("A & B", "2005", "A, A; B, B (eds.) (2005). *T*. I")


def test_a_work_by_nobody_is_refused():
    with pytest.raises(ValueError, match="'On Nothing' of the bibliography an author or an editor"):
        references.works("@book{a, title = {On {Nothing}}, year = {2003}}")


def test_every_work_of_the_book_can_be_listed():
    text = (settings.BOOK / "references.bib").read_text()
    found = references.works(text)
    assert len(found) == len(re.findall(r"^@", text, re.M))
    for work in found.values():
        assert work.authors
        assert re.fullmatch(r"\d{4}", work.year)
        assert not re.search(r"[{}\\]", work.entry)


# --- in the site ---------------------------------------------------------------------------------


def test_the_build_puts_downloads_where_notebooks_were(tmp_path, monkeypatch):
    folder = tmp_path / "site" / "downloads"
    folder.mkdir(parents=True)
    monkeypatch.setattr(settings, "SITE", folder.parent)
    name = f"{CHAPTERS[0].stem}.ipynb"
    for one in (name, "99-other.ipynb"):
        (folder / one).write_bytes((settings.NOTEBOOKS / name).read_bytes())
    assert downloads.renew("https://example.org/") == 1
    head = nbformat.read(folder / name, as_version=4).cells[0].source
    assert f"(https://example.org/{references.slug(CHAPTERS[0].stem)}/index.html)" in head
    other = nbformat.read(folder / "99-other.ipynb", as_version=4)
    assert notebooks.computed_of(other) == notebooks.computed_of(
        nbformat.read(settings.NOTEBOOKS / name, as_version=4)
    )
    assert other == nbformat.read(settings.NOTEBOOKS / name, as_version=4)
