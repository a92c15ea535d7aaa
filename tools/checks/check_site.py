"""Check the built site for what the engine lets pass.

Usage: ``python -m tools.checks.check_site``

The engine's syntax trees say what each page was meant to hold, the HTML says what it holds, and the
reference notebooks say which cells print something. Every finding names its page and its place.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import html5lib

from tools import settings

Node = dict[str, Any]

# An address of a resource that a page loads, as opposed to one that a reader may follow.
_LOADS = (
    ("link", "href"),
    ("script", "src"),
    ("img", "src"),
    ("img", "srcset"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
    ("audio", "src"),
    ("object", "data"),
    ("use", "href"),
)
_ELSEWHERE = re.compile(r"^(https?:)?//", re.IGNORECASE)
_CSS_ADDRESS = re.compile(
    r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""", re.IGNORECASE
)


_MATHML_PARTS = {
    "mfrac": 2,
    "mroot": 2,
    "msub": 2,
    "msup": 2,
    "munder": 2,
    "mover": 2,
    "msubsup": 3,
    "munderover": 3,
}


@dataclass(frozen=True)
class Finding:
    """One fault: the page, the place on it, and what is wrong."""

    page: str
    place: str
    fault: str

    def __str__(self) -> str:
        return f"{self.page}: {self.fault} ({self.place})"


def check_book() -> tuple[list[Finding], str]:
    """Check everything that the build made.

    Returns
    -------
    findings : list of Finding
    summary : str
        What was checked, for example "2 pages with 8 figures".
    """
    trees = {
        page["slug"]: page
        for page in (
            json.loads(path.read_text())
            for path in sorted((settings.CONTENT / "content").glob("*.json"))
        )
    }
    config = json.loads((settings.CONTENT / "config.json").read_text())
    project = config["projects"][0]
    wanted = [project["index"], *(page["slug"] for page in project["pages"] if page.get("slug"))]

    gone = [old for old in settings.moved() if "#" not in old]
    findings = check_site(settings.SITE, [*wanted, *gone])
    for slug in wanted:
        if slug not in trees:
            findings.append(Finding(slug, "contents of myst.yml", "the engine made no such page"))
            continue
        findings += check_tree(trees[slug], reference_outputs(trees[slug]["location"]))
    num_figures = sum(
        node.get("kind") == "figure"
        for tree in trees.values()
        for node in walk(tree["mdast"])
        if node["type"] == "container"
    )
    pages = "page" if len(wanted) == 1 else "pages"
    return findings, f"{len(wanted)} {pages} with {num_figures} figures"


# --- what the pages were meant to hold -----------------------------------------------------------


def walk(node: Node) -> Iterator[Node]:
    """All nodes of a syntax tree, parents first."""
    yield node
    for child in node.get("children") or []:
        yield from walk(child)


def reference_outputs(location: str) -> list[bool] | None:
    """Which code cells of a chapter print something, by its reference notebook."""
    path = settings.NOTEBOOKS / f"{Path(location).stem}.ipynb"
    if not path.exists():
        return None
    cells = json.loads(path.read_text())["cells"]
    return [bool(cell["outputs"]) for cell in cells if cell["cell_type"] == "code"]


def check_tree(page: Node, expected: list[bool] | None) -> list[Finding]:
    """Check the syntax tree of a page.

    Parameters
    ----------
    page : dict
        As the engine writes it: location, frontmatter and mdast.
    expected : list of bool, optional
        For each code cell whether it prints something; None for a page without a notebook.

    Returns
    -------
    list of Finding
    """
    name = page["location"].lstrip("/")
    findings = []

    def add(node: Node, fault: str) -> None:
        findings.append(Finding(name, _place(node), fault))

    cells = []
    for node in walk(page["mdast"]):
        kind = node["type"]
        if node.get("kind") == "notebook-code":
            cells.append(node)
        if kind == "crossReference" and not node.get("resolved"):
            add(node, f"unresolved reference to {node.get('label') or node.get('identifier')!r}")
        if kind == "cite" and (node.get("error") or not node.get("children")):
            add(node, f"unresolved citation {node.get('label')!r}")
        if kind == "link" and node.get("error"):
            add(node, f"unresolved link {node.get('url')!r}")
        if kind == "inlineExpression" and (node.get("result") or {}).get("status") != "ok":
            add(node, f"the expression {node.get('value')!r} has no value")
        if kind == "container":
            label = node.get("label") or "without a label"
            parts = [child["type"] for child in node.get("children", [])]
            if "caption" not in parts:
                add(node, f"{node.get('kind', 'figure')} {label} has no caption")
            if not node.get("enumerator"):
                add(node, f"{node.get('kind', 'figure')} {label} has no number")

    if cells and expected is None:
        add(cells[0], "the page has code cells but no reference notebook: run make notebooks")
    for index, cell in enumerate(cells):
        outputs = [node for node in walk(cell) if node["type"] == "output"]
        for output in outputs:
            failed = output.get("jupyter_data", {}).get("output_type") == "error"
            if failed and "raises-exception" not in (cell.get("data") or {}).get("tags", []):
                add(cell, f"code cell {index} ends in an error")
        if expected is not None and index < len(expected) and expected[index] and not outputs:
            add(cell, f"code cell {index} has no output, but its reference notebook has")
    if expected is not None and len(expected) != len(cells):
        add(
            page["mdast"], f"{len(cells)} code cells, but {len(expected)} in the reference notebook"
        )
    if cells:
        known = (page["frontmatter"].get("execute") or {}).get("depends_on_env") or []
        missing = {"TREE_WORLD_DIGEST", "TREE_WORLD_FIGURE_DPI"} - set(known)
        if missing:
            add(
                page["mdast"],
                f"execute.depends_on_env in the front matter lacks {', '.join(sorted(missing))}, "
                "so that a change of the library would leave stale outputs",
            )
    return findings


def _place(node: Node) -> str:
    for inner in walk(node):
        line = ((inner.get("position") or {}).get("start") or {}).get("line")
        if line:
            return f"line {line}"
    source = next((n["value"] for n in walk(node) if n["type"] == "code"), "")
    return repr(source.splitlines()[0]) if source else "whole page"


# --- what the pages hold -------------------------------------------------------------------------


def check_site(site: Path, wanted: list[str]) -> list[Finding]:
    """Check the HTML of a site and its stylesheets.

    Parameters
    ----------
    site : pathlib.Path
        The folder with ``index.html``.
    wanted : list of str
        Slugs of the pages that must be there; "index" is the first page.

    Returns
    -------
    list of Finding
    """
    findings = []
    for slug in wanted:
        path = site / "index.html" if slug == "index" else site / slug / "index.html"
        if not path.exists():
            findings.append(Finding(slug, "contents of myst.yml", "the page is missing"))
    pages = {path: _parse(path) for path in sorted(site.rglob("*.html"))}
    anchors = {
        path: {value for element in tree.iter() if (value := element.get("id"))}
        for path, tree in pages.items()
    }
    for path, tree in pages.items():
        findings += _check_page(site, path, tree, anchors)
    for path in sorted(site.rglob("*.css")):
        for address in _CSS_ADDRESS.findall(path.read_text()):
            page = path.relative_to(site).as_posix()
            findings.append(Finding(page, address, "the stylesheet loads from another host"))
    return findings


def _parse(path: Path) -> Any:
    return html5lib.parse(path.read_text(), namespaceHTMLElements=False)


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _check_page(
    site: Path, path: Path, tree: Any, anchors: dict[Path, set[str]]
) -> Iterator[Finding]:
    page = path.relative_to(site).as_posix()

    def found(place: str, fault: str) -> Finding:
        return Finding(page, place[:100], fault)

    title = tree.find(".//title")
    if title is None or not _text(title):
        yield found("head", "the page has no title")
    for element in tree.iter():
        tag = element.tag if isinstance(element.tag, str) else ""
        classes = (element.get("class") or "").split()
        if element.get("data-error") is not None:
            yield found(_text(element), "the theme could not render the page")
        shows_trace = "traceback" in classes or "Traceback (most recent" in _text(element)
        if tag == "pre" and shows_trace and "expected" not in classes:
            yield found(_text(element), "a traceback")
        name = tag.rpartition("}")[2]
        if len(element) != _MATHML_PARTS.get(name, len(element)):
            parts = f"{len(element)} parts instead of {_MATHML_PARTS[name]}"
            yield found(_text(element), f"invalid MathML, a <{name}> of {parts}")
        if tag == "img":
            if not (element.get("alt") or "").strip():
                yield found(str(element.get("src")), "an image without a description (alt)")
            if not element.get("src"):
                yield found("img", "an image without a source")
        if tag == "figure" and element.find(".//figcaption") is None:
            image = element.find(".//img")
            source = "figure" if image is None else str(image.get("src"))
            yield found(_text(element) or source, "a figure without a caption")
        if "reference" in classes and _text(element) in ("", "??"):
            yield found(str(element.get("href")), "a reference without a text")
        for name, attribute in _LOADS:
            address = element.get(attribute) if tag == name else None
            if element.get("rel") == "canonical":
                continue  # the page's own address, which no browser loads
            if address and _ELSEWHERE.match(address):
                yield found(address, f"<{tag}> loads from another host")
            elif address and not address.startswith("data:"):
                yield from _check_address(site, path, address, anchors, found)
        if tag == "meta" and (element.get("http-equiv") or "").lower() == "refresh":
            address = (element.get("content") or "").partition("url=")[2]
            yield from _check_address(site, path, address, anchors, found)
        href = element.get("href") if tag == "a" else None
        if href is not None and not urlsplit(href).scheme and not href.startswith("//"):
            yield from _check_address(site, path, href, anchors, found)
        styles = [element.get("style") or "", _text(element) if tag == "style" else ""]
        for address in (match for style in styles for match in _CSS_ADDRESS.findall(style)):
            yield found(address, "a style loads from another host")


def _check_address(
    site: Path, path: Path, address: str, anchors: dict[Path, set[str]], found: Any
) -> Iterator[Finding]:
    parts = urlsplit(address)
    if address.startswith("/"):
        yield found(address, "an address that is not relative, which fails from disk")
        return
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_relative_to(site.resolve()) or not target.is_file():
        yield found(address, "a link to a file that does not exist")
    elif parts.fragment and target.suffix == ".html":
        known = anchors.get(target, anchors.get(path, set()) if target == path else set())
        if unquote(parts.fragment) not in known:
            yield found(address, "a link to a place that does not exist")
    elif address in ("", "#"):
        yield found(address or '""', "a link to nowhere")


def main() -> int:
    """Print all findings; the exit status says whether there are any."""
    findings, summary = check_book()
    for finding in findings:
        print(finding)
    print(f"Checked {summary}: {len(findings)} faults.")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
