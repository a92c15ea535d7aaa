"""The library's reference: every public name on a page, every link alive, and nothing else on it.

Its examples are those of the docstrings, which `tests/test_docstrings.py` runs.
"""

import ast
import html
import importlib
import inspect
import json
import pkgutil
import re
import types
from pathlib import Path

import pytest

import tree_world
from tools import commands, docstrings, myst, named, reference, settings
from tree_world.models.memory import SpatialMemory

MODULES = ["tree_world"] + [
    module.name for module in pkgutil.walk_packages(tree_world.__path__, "tree_world.")
]


@pytest.fixture(scope="module")
def library():
    return reference.Library(settings.ROOT)


@pytest.fixture(scope="module")
def pages(built_site):
    """The text of each page, as HTML."""
    slugs = ["reference", *(room.slug for room in reference.ROOMS)]
    return {slug: main_of(built_site, slug) for slug in slugs}


def main_of(built_site, slug):
    text = (built_site / slug / "index.html").read_text()
    return re.search(r"<main.*?</main>", text, re.DOTALL)[0]


def headings(main):
    found = re.findall(r'<h[23] id="(lib-[^"]+)">\s*<code>([^<]+)</code>', main)
    return {label: html.unescape(name) for label, name in found}


# --- what is public ------------------------------------------------------------------------------


def exported():
    for module in map(importlib.import_module, MODULES):
        for name in getattr(module, "__all__", []):
            if not isinstance(getattr(module, name), types.ModuleType):
                yield f"{module.__name__}.{name}"


def test_every_public_name_has_an_entry(library):
    assert len(list(exported())) > 250
    assert [path for path in exported() if library.resolve(path) is None] == []


def test_methods_of_private_bases_are_those_of_the_class(library):
    ours = {entry.name for entry in library.entries}
    for name, member in inspect.getmembers(SpatialMemory):
        if not name.startswith("_") and (inspect.isfunction(member) or inspect.ismethod(member)):
            assert f"SpatialMemory.{name}" in ours


def imports_of(code):
    """Names that are imported from the library, and attributes of its modules."""
    found = []
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tree_world"):
            found += [(node.module, one.name) for one in node.names]
    return found


def codes():
    for source in (*settings.chapters(), settings.ROOT / "README.md"):
        text = source.read_text()
        cells = [cell.code for cell in myst.read(text).cells]
        cells += re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        yield from ((source.name, code) for code in cells)
    for path in (settings.ROOT / "benchmarks").rglob("*.py"):
        yield path.name, path.read_text()


def is_public(library, module, name):
    thing = getattr(importlib.import_module(module), name, None)
    if thing is None or isinstance(thing, types.ModuleType):
        module_ = thing or importlib.import_module(f"{module}.{name}")
        return hasattr(module_, "__all__")
    return library.resolve(f"{module}.{name}") is not None


def test_what_is_imported_is_public(library):
    wanted = {(module, name, where) for where, code in codes() for module, name in imports_of(code)}
    assert len(wanted) > 200
    assert [one for one in sorted(wanted) if not is_public(library, *one[:2])] == []


# --- the pages -----------------------------------------------------------------------------------


def test_the_pages_hold_the_public_names_and_no_other(library, pages):
    for room in reference.ROOMS:
        ours = {entry.label: entry.name for entry in library.entries if entry.room is room}
        assert ours
        assert headings(pages[room.slug]) == ours
        for name in ours.values():
            assert not any(part.startswith("_") for part in name.split("."))


def test_the_page_of_the_command_line_shows_what_a_terminal_does(pages):
    shown = re.findall(r"<pre\b.*?</pre>", pages["reference-command"], flags=re.DOTALL)
    shown = [html.unescape(re.sub(r"<[^>]+>", "", text)) for text in shown]
    assert len(commands.helps()) >= 7
    for name, text in commands.helps().items():
        assert text.startswith(f"usage: {name} ")
        assert any(text in one for one in shown), name
        assert max(map(len, text.splitlines())) <= 88


def test_every_link_is_alive(pages, built_site):
    known = {}

    def ids(path):
        if path not in known:
            known[path] = set(re.findall(r'\bid="?([^"\s>]+)', path.read_text()))
        return known[path]

    links = 0
    for slug, main in pages.items():
        for href in re.findall(r'<a\b[^>]*?\bhref="([^"]+)"', main):
            target, _, place = href.partition("#")
            if ":" in target or not place:
                continue
            page = built_site / slug / (target or "index.html")
            assert place in ids(page.resolve()), (slug, href)
            links += 1
    assert links > 1500


def test_names_lead_to_where_the_book_derives_them(library, pages):
    derived = reference.derivations(library, settings.ROOT)
    assert len(derived) > 50
    links = {
        place for main in pages.values() for place in re.findall(r'href="[^"#]*#([^"]+)"', main)
    }
    for places in derived.values():
        assert set(places) <= links
    broken = {"models.memory.SpatialMemory.reed": "eq-read"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference.yaml, "safe_load", lambda text: broken)
        with pytest.raises(ValueError, match="reed, which is not public"):
            reference.derivations(library, settings.ROOT)


def test_nothing_is_left_of_what_docstrings_are_written_in(pages):
    for slug, main in pages.items():
        words = re.sub(r"<(math|annotation|pre)\b.*?</\1>", "", main, flags=re.DOTALL)
        words = html.unescape(re.sub(r"<[^>]+>", "", words))
        for left in (":math:", ".. math", "``", ">>> ", "]_", ":class:"):
            assert left not in words, (slug, left)
        assert re.search(r"\\[\[*_$]", words) is None, slug


def test_a_room_is_found_by_the_longest_part_of_its_name():
    assert reference.room_of("tree_world.models.memory.recall.kriging").name == "kernel"
    assert reference.room_of("tree_world.models.memory").name == "memory"
    assert reference.room_of("tree_world.files").name == "evaluation"


def test_pages_are_written_once(library, tmp_path, monkeypatch):
    folder = tmp_path / "book" / "reference"
    folder.mkdir(parents=True)
    (tmp_path / "myst.yml").write_text(
        "project:\n  toc:\n    - file: book/reference/reference.md\n"
    )
    monkeypatch.setattr(reference, "Library", lambda root: library)
    assert len(reference.make(tmp_path)) == len(reference.ROOMS) + 2
    assert reference.make(tmp_path) == []
    (tmp_path / "myst.yml").write_text("project:\n  toc:\n    - file: book/index.md\n")
    (folder / "reference.md").unlink()
    assert reference.make(tmp_path) == []


# --- docstrings ----------------------------------------------------------------------------------


def test_text_of_docstrings_becomes_markdown():
    made = docstrings.markdown(
        "A `read` of :math:`k^2` with ``x * y`` and a_b [1]_::\n\n    as it is\n\n"
        ".. math::\n\n    a = b\n\n- one\n  of two\n- two",
        {"read": "lib-read"}.get,
    )
    assert made.split("\n\n") == [
        "A [`read`](#lib-read) of $k^2$ with `x * y` and a\\_b \\[1\\]:",
        "```text\nas it is\n```",
        "```{math}\n:enumerated: false\na = b\n```",
        "- one of two\n- two",
    ]


def test_examples_are_code_and_what_it_prints():
    value = (
        ">>> for x in y:\n...     f(x)  # doctest: +SKIP\n1\n"
        ">>> g()\nTraceback (most):\n    ...\nE: no"
    )
    made = docstrings.examples([(docstrings.DocstringSectionKind.examples, value)], lambda _: None)
    assert "```python\nfor x in y:\n    f(x)\n```\n\n```text\n1\n```" in made
    assert "```python\ng()\n```\n\n```text\nE: no\n```" in made


def test_signatures_are_short_lines(library):
    for entry in library.entries:
        lines = reference.signature(entry).splitlines()
        assert lines
        assert len(lines) == 1 or max(map(len, lines)) <= 130, entry.path
    read = reference.signature(library.by_path["tree_world.models.memory.SpatialMemory.read"])
    assert "tail: float = 1e-" in read
    assert "self" not in read


# --- names in cells ------------------------------------------------------------------------------


def places(*cells):
    paths = {"tree_world.a.F": "f", "tree_world.b": None, "tree_world.b.g": "g"}
    return [
        [code[begin:end] for begin, end, _ in found]
        for (code, _), found in zip(cells, named.places_of(cells, paths.get), strict=True)
    ]


def test_only_sure_names_are_found():
    use = ("é = F(b.g(1), F)", False)
    start = ("from tree_world.a import F\nfrom tree_world import b", False)
    assert places(start, use) == [["F"], ["F", "g"]]
    assert places(start, ("F = 1", False), use)[2] == ["g"]
    assert places(start, ("def f(F):\n    return F", False))[1] == []
    assert places(start, ("x.g, g", False))[1] == []
    assert places(start, ("F", True))[1] == []  # folded, and named above


def test_names_in_cells_lead_to_their_entries(built_site, library):
    listed = json.loads((settings.ROOT / reference.FOLDER / "names.json").read_text())
    labels = {entry.label for entry in library.entries}
    assert len(listed) >= len(settings.chapters())
    for page, cells in listed.items():
        slug = re.sub(r"^\d+-", "", Path(page).stem)
        main = main_of(built_site, slug)
        code = "".join(re.findall(r"<pre\b.*?</pre>", main, re.DOTALL))
        shown = re.findall(r'<a href="[^"#]+#([^"]+)"', code)
        wanted = [place for found in cells.values() for place in found]
        assert len(shown) >= 0.9 * len(wanted) > 0, page
        assert set(shown) <= labels
