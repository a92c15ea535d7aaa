"""The front page, and how chapters begin: what is folded, what is asked and given."""

import itertools
import json
import re
import subprocess

import nbformat
import pytest
import yaml

from tests.book.conftest import parsed
from tools import myst, settings

CHAPTERS = {
    path: re.search(r"equation:\n +enumerator: (\d+)\.%s", path.read_text())
    for path in settings.chapters()
}
CHAPTERS = {path: match[1] for path, match in CHAPTERS.items() if match}
BY_CHAPTER = pytest.mark.parametrize("source", CHAPTERS, ids=lambda path: path.stem)


def slug(source):
    return re.sub(r"^\d+-", "", source.stem)


def front_matter(source):
    return yaml.safe_load(source.read_text().split("---\n")[1])


def page(built_site, name):
    return parsed((built_site / name / "index.html").read_text())


def having(tree, tag, css_class):
    return [e for e in tree.iter(tag) if css_class in (e.get("class") or "").split()]


def words(element):
    return " ".join(" ".join(element.itertext()).split())


# --- what hangs on what --------------------------------------------------------------------------


def cell(name, hidden=True, outputs=()):
    visibility = "hide" if hidden else "show"
    code = {"type": "code", "executable": True, "value": name, "visibility": visibility}
    children = [{"type": "output", "name": one} for one in outputs]
    return {
        "type": "block",
        "kind": "notebook-code",
        "children": [code, {"type": "outputs", "children": children}],
    }


def text_block(*children):
    return {"type": "block", "children": list(children)}


def figure(kind="figure", own=None):
    code = [{"type": "code", "executable": True, "value": own}] if own else []
    return {"type": "container", "kind": kind, "children": [*code, {"type": "caption"}]}


PARAGRAPH, HEADING = {"type": "paragraph"}, {"type": "heading"}
EXERCISE, SOLUTION = {"type": "exercise"}, {"type": "solution", "children": [PARAGRAPH]}


def hung(*blocks):
    """Kinds of nodes in the order of the page, with the cells that hang on each."""
    program = """
        import { hangCells } from "./book/_theme/folding.mjs";
        const tree = JSON.parse(process.argv[1]);
        hangCells(tree);
        console.log(JSON.stringify(tree));
    """
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", program, json.dumps({"children": blocks})],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    flow = [child for block in json.loads(ran.stdout)["children"] for child in block["children"]]
    return [
        node["type"]
        if node["type"] not in ("hungCells", "container", "code", "solution")
        else (
            node["type"],
            *(
                one.get("value", one["type"])
                for part in node.get("children", [node])
                for one in part.get("children", [part])
            ),
        )
        for node in flow
    ]


@pytest.mark.parametrize(
    ("blocks", "found"),
    [
        ([cell("a"), text_block(PARAGRAPH)], ["paragraph", ("hungCells", "a")]),
        (
            [cell("a"), cell("b"), text_block(PARAGRAPH, HEADING)],
            ["paragraph", ("hungCells", "a", "b"), "heading"],
        ),
        (
            [cell("a"), text_block(figure(own="own"))],
            [("container", "own", "caption", "a")],
        ),
        ([cell("a"), text_block(figure("table"))], [("container", "caption", "a")]),
        (
            [cell("a"), cell("b", outputs=["1"])],
            [("code", "b"), "outputs", ("hungCells", "a")],
        ),
        ([cell("a"), text_block(HEADING)], [("hungCells", "a"), "heading"]),
        ([cell("a"), text_block(EXERCISE)], [("hungCells", "a"), "exercise"]),
        # What a solution computes may tell it, and is folded with it.
        (
            [text_block(EXERCISE), cell("a"), cell("b"), text_block(SOLUTION, EXERCISE)],
            ["exercise", ("solution", "paragraph", "a", "b"), "exercise"],
        ),
        ([text_block(PARAGRAPH), cell("a")], ["paragraph", ("hungCells", "a")]),
        (
            [cell("a"), cell("b", hidden=False)],
            [("hungCells", "a"), ("code", "b"), "outputs"],
        ),
        # A folded cell that shows something keeps its place.
        (
            [cell("a", outputs=["1"]), text_block(PARAGRAPH)],
            [("code", "a"), "outputs", "paragraph"],
        ),
    ],
)
def test_silent_cells_hang_on_what_follows(blocks, found):
    assert hung(*blocks) == found


@pytest.mark.parametrize(
    ("first", "folded"),
    [
        (cell("import os\nx = 1", hidden=False), True),
        (cell("from a import b", hidden=False), True),
        (cell("x = 1", hidden=False), False),
        (cell("import os", hidden=False, outputs=["1"]), False),
    ],
)
def test_a_first_cell_that_imports_is_folded(first, folded):
    found = hung(text_block(PARAGRAPH), first, text_block(HEADING))
    kinds = [one[0] if isinstance(one, tuple) else one for one in found]
    assert ("hungCells" in kinds) == folded
    # Only the first: what is imported later is part of the text.
    later = hung(cell("y = 2", hidden=False), first, text_block(HEADING))
    assert not any(isinstance(one, tuple) and one[0] == "hungCells" for one in later)


@BY_CHAPTER
def test_no_two_marks_of_code_stand_in_a_row(built_site, source):
    main = next(page(built_site, slug(source)).iter("main"))
    marks = [
        "hung" in (part.get("class") or "").split() or "folded" in (part.get("class") or "").split()
        for part in main
    ]
    assert any(marks)
    assert not any(one and two for one, two in itertools.pairwise(marks))


@BY_CHAPTER
def test_all_code_of_a_chapter_is_there_and_the_first_is_its_set_up(built_site, source):
    tree = page(built_site, slug(source))
    notebook = nbformat.read(settings.NOTEBOOKS / f"{source.stem}.ipynb", as_version=4)
    cells = [one for one in notebook.cells if one.cell_type == "code"]
    shown = [one for one in cells if "remove-input" not in one.metadata.get("tags", [])]
    frames = [e for e in tree.iter() if (e.get("id") or "").startswith("cell-")]
    assert len(frames) == len(shown)
    first = having(tree, "details", "folded")[0]
    told = re.match(r"Set-up, (\d+) lines", words(first.find("summary")))
    # Another cell that shows nothing may have joined it.
    assert int(told[1]) >= len(cells[0].source.splitlines())
    assert cells[0].source.splitlines()[0] in words(first)


# --- the front page ------------------------------------------------------------------------------


def test_the_front_page_says_what_the_book_is(built_site):
    tree = page(built_site, ".")
    cited = yaml.safe_load((settings.ROOT / "CITATION.cff").read_text())
    assert next(tree.iter("h1")).text == "Tree World"
    (imprint,) = having(tree, "p", "imprint")
    told = words(imprint)
    assert cited["version"] in told
    assert all(author["name"] in told for author in cited["authors"])
    assert str(cited["date-released"])[:4] in told
    (start,) = having(tree, "a", "start")
    assert start.get("href") == f"{slug(next(iter(CHAPTERS)))}/index.html"
    assert having(tree, "figure", "frontispiece")


def test_each_chapter_has_its_card(built_site):
    (cards,) = having(page(built_site, "."), "ol", "chapters")
    assert len(cards) == len(CHAPTERS)
    for (source, number), card in zip(CHAPTERS.items(), cards, strict=True):
        front = front_matter(source)
        described = f"{number} {front['title']} {front['description']}"
        assert described in words(card).replace("\xa0", " ")
        assert card.find(".//a").get("href") == f"{slug(source)}/index.html"
        assert re.search(r"\d+ min$", words(card))
        pictures = list(card.iter("img"))
        assert pictures
        assert all(picture.get("alt") for picture in pictures)


def test_pages_at_the_back_are_told_on_the_front_page(built_site):
    lists = having(page(built_site, "."), "ol", "others")
    assert {
        "List of figures",
        "List of tables",
        "List of exercises",
        "Index of symbols",
        "Terms",
        "Errata",
    } <= {a.text for others in lists for a in others.iter("a")}


# --- what a chapter asks and gives ---------------------------------------------------------------


@BY_CHAPTER
def test_a_chapter_says_what_it_asks_and_gives(built_site, source):
    site = front_matter(source)["site"]
    (about,) = having(page(built_site, slug(source)), "dl", "about")
    gives = site["gives"][0].lower() + site["gives"][1:]
    assert words(about) == f"You need {site['asks']} Afterwards you can {gives}"


@BY_CHAPTER
def test_exercises_have_a_level_a_hint_and_a_solution(built_site, source):
    tree = page(built_site, slug(source))
    exercises = having(tree, "div", "exercise")
    assert exercises
    assert len(having(tree, "details", "solution")) == len(exercises)
    for exercise in exercises:
        (level,) = having(exercise, "span", "level")
        assert level.text in ("easy", "medium", "hard")
        assert having(exercise, "details", "hint")


@BY_CHAPTER
def test_no_code_before_an_exercise_or_outside_a_solution_tells_its_answer(source):
    # A folded cell goes into the solution that follows it, and stays outside of anything else.
    parts = []
    for part in myst.read(source.read_text()).root.parts:
        if isinstance(part, myst.Cell):
            parts.append("folded" if "hide-input" in part.tags else "open")
        elif part.kind != "cell":
            parts.append(part.kind)
    for before, after in itertools.pairwise(parts):
        assert (before, after) != ("folded", "exercise")
        assert before != "exercise" or after in ("folded", "solution")
    for before, after in itertools.pairwise(parts[parts.index("exercise") :]):
        assert before != "folded" or after in ("folded", "solution")
