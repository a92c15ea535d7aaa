"""Lists at the back are complete and in order, and terms lead to where they are explained."""

import json
import re

import pytest

from tests.book.conftest import parsed
from tools import settings
from tools.checks import check_site


@pytest.fixture(scope="module")
def trees():
    """Syntax trees of the pages, as the engine wrote them, by slug."""
    folder = settings.CONTENT / "content"
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.fixture(scope="module")
def page(built_site):
    return lambda slug: parsed((built_site / slug / "index.html").read_text())


def text(element):
    return " ".join("".join(element.itertext()).split())


def numbered(trees, type_, kind=None):
    return {
        (node.get("html_id") or node["identifier"]): node["enumerator"]
        for tree in trees.values()
        for node in check_site.walk(tree["mdast"])
        if node["type"] == type_ and node.get("kind") == kind and node.get("enumerator")
    }


@pytest.mark.parametrize(
    ("slug", "type_", "kind", "word"),
    [("tables", "container", "table", "Table"), ("exercises", "exercise", None, "Exercise")],
)
def test_the_list_is_complete_and_in_order(built_site, trees, page, slug, type_, kind, word):
    lists = [ol for ol in page(slug).iter("ol") if ol.get("class") == "numbered-list"]
    links = [a for ol in lists for a in ol.iter("a")]
    wanted = numbered(trees, type_, kind)
    assert len(wanted) > 20
    assert {a.get("href").partition("#")[2] for a in links} == set(wanted)
    numbers = [re.match(rf"{word} (\w+)\.(\d+)\.", text(a)).groups() for a in links]
    order = [(not chapter.isdigit(), chapter.zfill(3), int(number)) for chapter, number in numbers]
    assert order == sorted(set(order))
    for a in links:
        assert len(text(a)) > len("Exercise 10.10.") + 20, f"{text(a)} says nothing"
        target = built_site / slug / a.get("href").partition("#")[0]
        assert f'id="{a.get("href").partition("#")[2]}"' in target.read_text()


# --- terms ---------------------------------------------------------------------------------------


def explained(tree):
    """Each term with what explains it."""
    (glossary,) = (
        node for node in check_site.walk(tree["mdast"]) if node["type"] == "definitionList"
    )
    terms, descriptions = glossary["children"][::2], glossary["children"][1::2]
    return [(words(term), body) for term, body in zip(terms, descriptions, strict=True)]


def words(node):
    own = [node["value"]] if "value" in node and node["type"] != "inlineMath" else []
    return " ".join([*own, *(words(child) for child in node.get("children", []))]).strip()


def text_at(trees, node):
    """What stands where a reference leads: on a page, or in a section."""
    if node["type"] == "link":
        return words(trees[node["url"].strip("/")]["mdast"])
    return section(trees, node["identifier"])


def section(trees, identifier):
    """What stands below a heading, down to the next one of its depth."""
    for tree in trees.values():
        flow = [
            node
            for block in tree["mdast"]["children"]
            for node in (block["children"] if block["type"] == "block" else [block])
        ]
        for place, node in enumerate(flow):
            if node["type"] == "heading" and node.get("identifier") == identifier:
                below = flow[place + 1 :]
                ends = (n for n, one in enumerate(below) if one.get("depth", 9) <= node["depth"])
                return words({"children": [node, *below[: next(ends, None)]], "type": "section"})
    return ""


def stem(term):
    """What all forms of a word have in common, roughly."""
    return re.sub(r"(ing|ation|s|y|e)$", "", term.lower().split()[-1])


def test_terms_are_in_order_and_said_once(trees):
    terms = [term.lower() for term, _ in explained(trees["terms"])]
    assert len(terms) > 40
    assert terms == sorted(set(terms))


def test_terms_are_used_where_they_lead(trees):
    for term, body in explained(trees["terms"]):
        places = {
            node.get("identifier") or node["url"]: text_at(trees, node)
            for node in check_site.walk(body)
            if node["type"] == "crossReference" or (node["type"] == "link" and node["internal"])
        }
        assert places, f"{term} leads nowhere"
        for place, said in places.items():
            assert stem(term) in said.lower(), f"{place} does not speak of {term}"
