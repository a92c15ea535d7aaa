"""Pages of the site, made into pages of an EPUB.

A reader of EPUB runs no scripts, opens no folds, and may know neither WebP nor KaTeX. So formulas
become MathML alone, pictures those on light paper, and what is folded on the site, code, hints and
solutions, goes to the end of its page, with links there and back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import html5lib

from tools import packing, pocket_widths

XHTML = "http://www.w3.org/1999/xhtml"
OPS = "http://www.idpf.org/2007/ops"
MATHML = "http://www.w3.org/1998/Math/MathML"

Part = Element | str

# What is for a screen: switches, self-made links, times, and what a script would fill.
_LEFT_OUT = {
    *("anchor", "meta", "minutes", "neighbours", "time", "cell-head", "touch", "for-dark"),
    *("katex-html", "picture", "take-away", "taken", "ways", "edition"),
}
# Of these only what is inside is taken.
_OPENED = {"samp", "picture", "main"}
_OPENED_CLASSES = {"katex", "katex-mathml", "katex-display", "enlarge", "hung"}
_KEPT = {
    *("id", "href", "src", "alt", "colspan", "rowspan", "scope", "lang", "start", "title"),
    "aria-label",
}
_MANY_COLUMNS = 6
_EMPHASISED = {"k1": "b", "k5": "b", "k6": "i"}
_DRAWN = re.compile(r'<span class="?katex-html\b[^>]*>')
_SPAN = re.compile(r"</?span\b[^>]*>")
_CODE = re.compile(r"k\d")
_WORDS = re.compile(r"[\w\s]+")


class PocketError(Exception):
    """Something that an EPUB cannot hold. The message names page, what it is, and what to do."""


@dataclass
class Page:
    """A page of the EPUB.

    Attributes
    ----------
    slug : str
    title : str
    body : list of Element
        In XHTML without namespaces, but for MathML.
    sections : list of tuple of (int, str, str)
        Headings, as level, words and name.
    figures : list of tuple of (str, str)
        Captions and names.
    """

    slug: str
    title: str = ""
    body: list[Element] = field(default_factory=list)
    sections: list[tuple[int, str, str]] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)


def element(tag: str, *parts: Part, **attributes: str) -> Element:
    """Make an element; ``class_`` stands for ``class`` and ``epub_type`` for ``epub:type``."""
    names = {"class_": "class", "epub_type": "epub:type", "aria_label": "aria-label"}
    made = Element(tag, {names.get(name, name): value for name, value in attributes.items()})
    fill(made, parts)
    return made


def fill(parent: Element, parts: Iterable[Part]) -> None:
    """Append elements and texts."""
    for part in parts:
        if isinstance(part, Element):
            parent.append(part)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + part
        else:
            parent.text = (parent.text or "") + part


def words(found: Any) -> str:
    """All text inside an element, in one line."""
    return " ".join("".join(found.itertext()).split())


def classes(found: Any) -> list[str]:
    """Names of the classes of an element."""
    return (found.get("class") or "").split()


def main_of(html: str) -> str:
    """Cut the text out of a page of the site, without what the front page says of files.

    Formulas are left as MathML alone: as they are drawn for eyes, they are half of a page.
    """
    end = "</main>"
    text = packing.emptied(html[html.index("<main") : html.index(end)] + end)
    kept, at = [], 0
    for drawn in _DRAWN.finditer(text):
        kept.append(text[at : drawn.start()])
        depth = 1
        for tag in _SPAN.finditer(text, drawn.end()):
            depth += -1 if tag[0].startswith("</") else 1
            if depth == 0:
                at = tag.end()
                break
    return "".join([*kept, text[at:]])


def convert(slug: str, html: str, picture: Callable[[str], str], slugs: set[str]) -> Page:
    """Make a page of the EPUB from one of the site.

    Parameters
    ----------
    slug : str
        Of the page.
    html : str
        The text of the page of the site, as `main_of` cuts it out.
    picture : callable
        Takes the address of a picture on the page, and says under which it is in the EPUB.
    slugs : set of str
        All pages that links may lead to.

    Returns
    -------
    Page

    Raises
    ------
    PocketError
    """
    tree = html5lib.parseFragment(html, namespaceHTMLElements=False)
    return _Conversion(slug, picture, slugs).page(tree.find("main"))


@dataclass
class _Folded:
    """What a page keeps for its end: a title, and entries that lead back."""

    name: str
    title: str
    entries: list[Element] = field(default_factory=list)


class _Conversion:
    def __init__(self, slug: str, picture: Callable[[str], str], slugs: set[str]) -> None:
        self.slug = slug
        self.picture = picture
        self.slugs = slugs
        self.made = Page(slug)
        self.hints = _Folded("hints", "Hints")
        self.solutions = _Folded("solutions", "Solutions")
        self.code = _Folded("code", "Code that is not shown in the text")
        self.place = ""  # what a fold belongs to: a figure, a solution or a section
        self.exercise: tuple[str, str, Element] | None = None  # name, title, its row of links
        self.figure_list = False

    def page(self, main: Any) -> Page:
        """Convert all of a page, and put what was folded before its references."""
        self.made.title = words(main.find(".//h1"))
        self.place = self.made.title
        body = [part for part in self.inside(main) if isinstance(part, Element)]
        end = next((i for i, one in enumerate(body) if one.tag == "section"), len(body))
        folded = [
            element(
                "section",
                element("h2", one.title, id=one.name),
                *one.entries,
                class_=f"folded {one.name}",
            )
            for one in (self.hints, self.solutions, self.code)
            if one.entries
        ]
        self.made.body = [*body[:end], *folded, *body[end:]]
        for one in self.made.body:
            self.list_places(one)
        return self.made

    def list_places(self, part: Element) -> None:
        """Write down headings and figures, for the contents."""
        for found in part.iter():
            if found.tag in ("h2", "h3", "h4"):
                if not found.get("id"):
                    found.set("id", f"part-{len(self.made.sections) + 1}")
                level = int(found.tag[1])
                self.made.sections.append((level, words(found), found.get("id", "")))
            if found.tag == "figure" and "figure" in classes(found) and found.get("id"):
                caption = found.find("figcaption/p")
                if caption is not None:
                    self.made.figures.append((words(caption), found.get("id", "")))

    def inside(self, found: Any) -> Iterator[Part]:
        """Convert what is inside an element."""
        if found.text:
            yield found.text
        for child in found:
            yield from self.one(child)
            if child.tail:
                yield child.tail

    def one(self, found: Any) -> Iterator[Part]:
        """Convert an element; of some nothing is left, of others only what is inside."""
        tag, kinds = found.tag, classes(found)
        if not isinstance(tag, str) or tag in ("source", "script", "style"):
            return
        if _LEFT_OUT.intersection(kinds) or (self.figure_list and "themed" in kinds):
            return
        if tag == f"{{{MATHML}}}math":
            yield math(found)
        elif tag in ("iframe", "video", "audio", "object", "svg") or tag.startswith("{"):
            raise PocketError(
                f"{self.slug}: an EPUB cannot hold <{tag.rpartition('}')[2]}>. "
                "Give the page a picture instead"
            )
        elif tag == "details":
            yield from self.opened(found, kinds)
        elif tag == "a":
            yield from self.link(found, kinds)
        elif tag == "img":
            yield self.image(found)
        elif tag in _OPENED or _OPENED_CLASSES.intersection(kinds):
            yield from self.inside(found)
        elif tag == "span" and kinds and _CODE.fullmatch(kinds[0]):
            yield from self.highlighted(found, kinds[0])
        elif "footnotes" in kinds:
            yield element("section", *self.footnotes(found), class_="footnotes")
        else:
            yield self.copied(found, kinds)

    def copied(self, found: Any, kinds: list[str]) -> Element:
        """Copy an element with what is inside, and remember where it is."""
        attributes = {name: value for name, value in found.attrib.items() if name in _KEPT}
        if kinds:
            attributes["class"] = " ".join(kinds)
        made = Element(found.tag, attributes)
        if "formula" in kinds:
            shares = [pocket_widths.share(one) for one in found.iter(f"{{{MATHML}}}math")]
            if shares and min(shares) < 1:
                made.set("style", f"font-size: {100 * min(shares):.0f}%")
        elif found.tag == "table" and len(found.find(".//tr")) >= _MANY_COLUMNS:
            made.set("class", "many-columns")
        before = self.place
        if found.tag == "h2":
            self.place = words(_without(found, "anchor"))
        elif found.tag == "figure":
            number = found.find(".//*[@class='number']")
            self.place = before if number is None else words(number).rstrip(".")
        if "figure-list" in kinds:
            self.figure_list = True
        if "exercise" in kinds:
            self.begin_exercise(found)
        fill(made, self.inside(found))
        if "exercise" in kinds and self.exercise:
            made.append(self.exercise[2])
        if found.tag == "figure":
            self.place = before
        if "figure-list" in kinds:
            self.figure_list = False
        return made

    def link(self, found: Any, kinds: list[str]) -> Iterator[Part]:
        """Links lead to pages of the EPUB, or away; those to files of the site lead nowhere."""
        href = found.get("href") or ""
        if "enlarge" in kinds:
            yield from self.inside(found)
            return
        if "number" in kinds or href == "":
            yield element("span", *self.inside(found), class_="number")
            return
        parts = urlsplit(href)
        if not parts.scheme and parts.path:
            target = _page_of(parts.path)
            if target not in self.slugs:
                yield from self.inside(found)
                return
            href = f"{target}.xhtml" + (f"#{parts.fragment}" if parts.fragment else "")
        made = element("a", href=href)
        for name in ("id", "aria-label"):
            if found.get(name):
                made.set(name, found.get(name))
        if href.startswith("#fn-"):
            made.set("epub:type", "noteref")
        inner = list(self.inside(found))
        number = next((one for one in self.numbers(inner) if self.figure_list), None)
        if number is None:
            fill(made, inner)
            yield made
        else:  # a whole caption underlined would be hard to read
            fill(made, [number.text or ""])
            number.text = None
            number.append(made)
            yield from inner

    @staticmethod
    def numbers(parts: Iterable[Part]) -> Iterator[Element]:
        """List elements that hold the number of something."""
        for part in parts:
            if isinstance(part, Element):
                yield from (one for one in part.iter() if "number" in classes(one))

    def image(self, found: Any) -> Element:
        """Show a picture on light paper, at the size at which it was drawn."""
        made = element("img", src=self.picture(found.get("src") or ""), alt=found.get("alt") or "")
        inches = re.search(r"--inches:([\d.]+)", found.get("style") or "")
        if inches:
            made.set("style", f"width: {inches[1]}in")
        return made

    def highlighted(self, found: Any, kind: str) -> Iterator[Part]:
        """Code in black and white: words of the language in bold, comments in italics."""
        inner = list(self.inside(found))
        tag = _EMPHASISED.get(kind)
        text = "".join(found.itertext())
        if tag is None or not text.strip() or (tag == "b" and not _WORDS.fullmatch(text)):
            yield from inner
            return
        if len(inner) == 1 and isinstance(inner[0], str):  # blanks need no weight
            bare = text.strip()
            before, _, after = text.partition(bare)
            yield from (before, element(tag, bare), after)
        else:
            yield element(tag, *inner)

    def opened(self, found: Any, kinds: list[str]) -> Iterator[Part]:
        """Put code, hints and solutions to the end of the page, and open other folds."""
        summary = found.find("summary")
        title = words(_without(summary, "time")) if summary is not None else ""
        if "hint" in kinds and self.exercise:
            self.answer(self.hints, "hint", self.within(found))
        elif "solution" in kinds and self.exercise:
            before, self.place = self.place, f"Solution of {_lowered(self.exercise[1])}"
            answer = self.answer(self.solutions, "solution", self.within(found))
            if found.get("id"):
                answer.insert(0, element("span", id=found.get("id")))
            self.place = before
        elif "cell" in kinds and "folded" in kinds:
            yield self.put_away(found, title)
        else:
            kept = [kind for kind in kinds if kind != "dropdown"]
            made = element("div", class_=" ".join(kept or ["opened"]))
            if found.get("id"):
                made.set("id", found.get("id"))
            fill(made, [element("p", title, class_="title"), *self.within(found)])
            yield made

    def within(self, found: Any) -> list[Part]:
        """Convert what a fold holds, without its summary."""
        inner = [child for child in found if child.tag != "summary"]
        return [part for child in inner for part in [*self.one(child), child.tail or ""]]

    def put_away(self, found: Any, title: str) -> Element:
        number = len(self.code.entries) + 1
        back, name = f"folded-{number}", f"code-{number}"
        place = f"{self.place}: {_lowered(title)}" if title.startswith("Set-up") else self.place
        entry = element(
            "div",
            element("p", element("a", place, href=f"#{back}"), class_="title"),
            id=name,
            class_="cell",
        )
        if found.get("id"):
            entry.insert(0, element("span", id=found.get("id")))
        self.code.entries.append(entry)
        fill(entry, self.within(found))
        word = title if title != "Show cell" else "Code"
        return element("p", element("a", word, href=f"#{name}", id=back), class_="ways")

    def begin_exercise(self, found: Any) -> None:
        name = found.get("id") or f"exercise-{len(self.solutions.entries) + 1}"
        found.set("id", name)
        number = found.find(".//*[@class='number']")
        title = "Exercise" if number is None else words(number)
        self.exercise = (name, title, element("p", class_="ways"))

    def answer(self, folded: _Folded, kind: str, parts: list[Part]) -> Element:
        """Put a hint or a solution to the end, with links there and back."""
        assert self.exercise
        name, title, row = self.exercise
        if len(row):
            fill(row, [" · "])
        row.append(element("a", kind.capitalize(), href=f"#{kind}-{name}"))
        entry = element(
            "div",
            element("p", element("a", title, href=f"#{name}"), class_="title"),
            id=f"{kind}-{name}",
            class_="answer",
        )
        fill(entry, parts)
        folded.entries.append(entry)
        return entry

    def footnotes(self, found: Any) -> Iterator[Part]:
        for note in found.iter("li"):
            made = element("aside", id=note.get("id"), class_="footnote", epub_type="footnote")
            fill(made, self.inside(note))
            yield made


def math(found: Any) -> Element:
    """Take the MathML of a formula without its source, which some readers would show, too."""
    made = Element("math", {"xmlns": MATHML})
    if found.get("display") == "block":
        made.set("display", "block")
    source = found.find(f".//{{{MATHML}}}annotation")
    made.set("alttext", words(found) if source is None else words(source))
    semantics = found.find(f"{{{MATHML}}}semantics")
    for child in found if semantics is None else semantics:
        if not child.tag.endswith("}annotation"):
            made.append(_without_namespace(child))
    return made


def _without_namespace(found: Any) -> Element:
    made = Element(found.tag.rpartition("}")[2], dict(found.attrib))
    made.text, made.tail = found.text, found.tail
    for child in found:
        made.append(_without_namespace(child))
    return made


def _without(found: Any, kind: str) -> Element:
    """Copy an element's words, without children of a class."""
    made = Element("span")
    fill(made, [found.text or ""])
    for child in found:
        if kind not in classes(child):
            fill(made, [words(child)])
        fill(made, [child.tail or ""])
    return made


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _page_of(path: str) -> str:
    """Name the page that a relative address leads to."""
    steps = [step for step in path.split("/") if step not in ("", ".", "..")]
    if steps and steps[-1] == "index.html":
        steps.pop()
    return "/".join(steps) or "index"


def document(
    title: str, body: Iterable[Element], kind: str = "", style: str = "style.css"
) -> bytes:
    """Write a page as XHTML.

    Parameters
    ----------
    title : str
    body : iterable of Element
    kind : str, optional
        What the page is in the book, as EPUB's vocabulary has it.
    style : str, optional
        Address of the stylesheet.

    Returns
    -------
    bytes
    """
    language = {"xmlns": XHTML, "xmlns:epub": OPS, "lang": "en", "xml:lang": "en"}
    root = Element("html", language)
    head = element("head", element("title", title))
    head.append(element("link", rel="stylesheet", type="text/css", href=style))
    inner = element("body", *body)
    if kind:
        inner.set("epub:type", kind)
    fill(root, [head, inner])
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n{text}\n'.encode()
