"""What a page may refer to: labelled places of all pages, with their numbers, and cited works.

The engine numbers them when it builds the site. A notebook is made without it, so the numbers are
counted here, from the sources alone; a test compares them with those of the site.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools import myst

NUMBERED = {"exercise": "exercise", "figure": "figure", "math": "equation", "table": "table"}
"""Directives that are numbered, and what the engine calls what they make."""

_FRONT = re.compile(r"\A---\n(.*?)^---\s*$", re.DOTALL | re.MULTILINE)
_ACCENTS = {
    '"': "\u0308",
    "'": "\u0301",
    "`": "\u0300",
    "^": "\u0302",
    "~": "\u0303",
    "=": "\u0304",
    "c": "\u0327",
    "v": "\u030c",
    ".": "\u0307",
    "r": "\u030a",
}


@dataclass(frozen=True)
class Target:
    """A labelled place.

    Attributes
    ----------
    page : str
        Name of its file, without ending.
    kind : str
        What it is: page, section, figure, table, equation or exercise.
    name : str
        Its title, if it is a page or a section, else its number, as in "2.7".
    """

    page: str
    kind: str
    name: str

    @property
    def words(self) -> str:
        """What to call it in a sentence."""
        if self.kind in ("page", "section"):
            return f"“{self.name}”"
        if self.kind == "equation":
            return f"equation ({self.name})"
        return f"{self.kind.capitalize()} {self.name}"


def front_matter(text: str) -> dict[str, Any]:
    """Read the front matter of a page; empty if it has none."""
    match = _FRONT.match(text)
    return (yaml.safe_load(match[1]) if match else None) or {}


def slug(page: str) -> str:
    """Name of a page in addresses, by that of its file: without its number."""
    return re.sub(r"^\d+-", "", page)


def targets(sources: Iterable[Path]) -> dict[str, Target]:
    """List what can be referred to, by labels.

    Parameters
    ----------
    sources : iterable of pathlib.Path
        Of the pages. Nothing else is read.

    Returns
    -------
    dict of str to Target
    """
    found: dict[str, Target] = {}
    for source in sources:
        text = source.read_text()
        front = front_matter(text)
        found[source.stem] = Target(source.stem, "page", str(front.get("title", source.stem)))
        if "label" in front:
            found[front["label"]] = found[source.stem]
        numbering = front.get("numbering") or {}
        counted: Counter[str] = Counter()
        for kind, label, name in _places(text):
            if kind != "section":
                counted[kind] += 1
                name = _enumerator(numbering, kind) % counted[kind]
            if label:
                found[label] = Target(source.stem, kind, name)
    return found


def _enumerator(numbering: dict[str, Any], kind: str) -> str:
    chosen = numbering.get(kind)
    return str(chosen.get("enumerator", "%s")) if isinstance(chosen, dict) else "%s"


@functools.lru_cache(maxsize=64)  # for tests and builds, which ask for each page again and again
def _places(text: str) -> list[tuple[str, str, str]]:
    return list(_places_in(text))


def _places_in(text: str) -> Iterator[tuple[str, str, str]]:
    """Kind, label and title of all that may be numbered or has a name, in order."""
    waiting = ""
    tokens = myst.parser().parse(text)
    for index, token in enumerate(tokens):
        if token.type == "myst_target":
            waiting = token.content
        elif token.type == "heading_open":
            yield "section", waiting, tokens[index + 1].content
            waiting = ""
        elif token.type == "math_block_label":
            yield "equation", token.info, ""
        elif found := myst.directive(token):
            label = str(found.option("label") or found.option("name") or "")
            if found.name == myst.CODE_CELL and found.option("caption"):
                yield "figure", label, ""
            elif found.name in NUMBERED and found.option("enumerated") != "false":
                yield NUMBERED[found.name], label, ""
            if found.name not in ("math", myst.CODE_CELL):
                yield from _places_in(found.body)


# --- works ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """A work that can be cited: who wrote it, when, and how it is listed."""

    authors: str
    year: str
    entry: str


def works(text: str) -> dict[str, Work]:
    """Read a file of BibTeX.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict of str to Work
        By their keys.
    """
    return {
        match[1]: _work(dict(_fields(text[match.end() : _end(text, match.end())])))
        for match in re.finditer(r"^@\w+\{([^,\s]+),", text, re.MULTILINE)
    }


def _end(text: str, start: int) -> int:
    """Where a brace closes that was opened before."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return len(text)


def _fields(entry: str) -> Iterator[tuple[str, str]]:
    at = 0
    while match := re.compile(r"(\w+)\s*=\s*\{").search(entry, at):
        at = _end(entry, match.end())
        yield match[1].lower(), entry[match.end() : at]


def _work(fields: dict[str, str]) -> Work:
    by = next((who for who in ("author", "editor") if fields.get(who, "").strip()), None)
    if by is None:
        title = _plain(fields.get("title", "")) or "without a title"
        raise ValueError(f"Give the work {title!r} of the bibliography an author or an editor.")
    names = re.split(r"\s+and\s+", " ".join(fields[by].split()))
    family = [_plain(name.split(",")[0] if "," in name else name.split()[-1]) for name in names]
    short = f"{family[0]} *et al.*" if len(family) > 2 else " & ".join(family)
    plain = {key: _plain(value) for key, value in fields.items()}
    authors = "; ".join(map(_plain, names))
    if by == "editor":
        authors += " (ed.)" if len(names) == 1 else " (eds.)"
    venues = ("journal", "booktitle", "publisher", "institution")
    where = [plain[key] for key in venues if key in plain]
    volume = plain.get("volume", "") + (f"({plain['number']})" if "number" in plain else "")
    parts = [*where, volume, plain.get("pages", "")]
    entry = f"{authors} ({plain.get('year', '')}). *{plain.get('title', '')}*. "
    entry += ", ".join(part for part in parts if part)
    if "doi" in fields:
        entry += f". <https://doi.org/{fields['doi']}>"
    elif "url" in fields:
        entry += f". <{fields['url']}>"
    return Work(short, plain.get("year", ""), entry)


def _plain(text: str) -> str:
    """Words without the marks of TeX."""
    accents = "".join(re.escape(mark) for mark in _ACCENTS)
    text = re.sub(
        rf"\{{?\\([{accents}])\s*\{{?(\w)\}}?\}}?",
        lambda match: unicodedata.normalize("NFC", match[2] + _ACCENTS[match[1]]),
        text,
    )
    text = text.replace("\\&", "&").replace("---", "—").replace("--", "–").replace("~", " ")
    return " ".join(re.sub(r"[{}]", "", text).split())
