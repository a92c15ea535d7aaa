"""Docstrings as the book's Markdown: what numpydoc writes, in MyST.

griffe takes a docstring apart; what is left is text, with formulas, names and lists as in Sphinx.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

from griffe import Docstring, DocstringSectionKind

Link = Callable[[str], str | None]
"""From a name in backticks to the label of its entry; None for what has no entry."""

_INLINE = re.compile(
    r"""
    ``(?P<code>.+?)``                    # code
    | :math:`(?P<math>[^`]+)`            # a formula
    | :\w+:`~?(?P<role>[^`]+)`           # a name, told of its kind
    | `(?P<name>[^`]+)`                  # a name
    | \[(?P<cited>\d+)\]_                # a work, by its number in the list
    | (?P<strong>\*{1,2}\w[^*]*\*{1,2})  # emphasis
    """,
    re.VERBOSE | re.DOTALL,
)
_SPECIAL = re.compile(r"([\\*_$<>{}\[\]|@#~^])")
_ITEM = re.compile(r"(?:[-*]|\d+\.) ")


def markdown(text: str, link: Link) -> str:
    """Turn the text of a docstring into MyST Markdown.

    Parameters
    ----------
    text : str
        Without the sections that griffe takes out of it.
    link : callable
        Gives the label of a name in backticks, or None.

    Returns
    -------
    str
    """
    blocks: list[str] = []
    for paragraph in _paragraphs(text):
        first, _, rest = paragraph.partition("\n")
        if first.startswith(".. math::"):
            formula = f"{first.removeprefix('.. math::').strip()}\n{textwrap.dedent(rest)}".strip()
            blocks.append(f"```{{math}}\n:enumerated: false\n{formula}\n```")
        elif re.fullmatch(r"=+( +=+)*", first):
            blocks.append(_table(paragraph, link))
        elif first.startswith("    "):
            blocks.append(f"```text\n{textwrap.dedent(paragraph)}\n```")
        elif first.startswith(".. ["):
            works = re.split(r"^\.\. \[\d+\] ", paragraph, flags=re.MULTILINE)[1:]
            blocks.append("\n".join(f"1. {_flowed(inline(work, link))}" for work in works))
        elif _ITEM.match(first):
            items = re.split(r"\n(?=(?:[-*]|\d+\.) )", paragraph)
            marks = [_ITEM.match(item) for item in items]
            blocks.append(
                "\n".join(
                    f"{mark[0]}{_flowed(inline(item[mark.end() :], link))}"
                    for item, mark in zip(items, marks, strict=True)
                    if mark
                )
            )
        else:
            blocks.append(_flowed(inline(re.sub(r"::$", ":", paragraph), link)))
    return "\n\n".join(blocks)


def _paragraphs(text: str) -> list[str]:
    """Cut at blank lines; what is indented below a directive or ``::`` stays with it, or whole."""
    found: list[str] = []
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        indented = part.startswith("    ")
        if indented and found and found[-1].startswith((".. math::", "    ")):
            found[-1] += f"\n\n{part}" if found[-1].startswith("    ") else f"\n{part}"
        elif part.strip():
            found.append(part if indented else part.strip())
    return found


def _flowed(text: str) -> str:
    """Join lines: a line that began with a number or a mark would be taken for something else."""
    return re.sub(r"\s*\n\s*", " ", text).strip()


def _table(text: str, link: Link) -> str:
    """Write a simple table, whose columns begin where its rules do, as a list."""
    lines = text.splitlines()
    start = lines[0].rindex(" =") + 1
    rows: list[tuple[str, str]] = []
    for line in lines:
        if set(line) <= {"=", " "}:
            continue
        left, right = line[:start].strip(), line[start:].strip()
        if left or not rows:
            rows.append((left, right))
        else:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {right}")
    return "\n".join(f"- {inline(left, link)}: {inline(right, link)}" for left, right in rows)


def inline(text: str, link: Link) -> str:
    """Turn a phrase into Markdown: code, formulas, names, and letters that Markdown would read."""
    made, end = [], 0
    for match in _INLINE.finditer(text):
        made += [escaped(text[end : match.start()]), _marked(match, link)]
        end = match.end()
    return "".join([*made, escaped(text[end:])])


def escaped(text: str) -> str:
    """Text as it is, whatever Markdown would make of it."""
    return _SPECIAL.sub(r"\\\1", text)


def _marked(match: re.Match[str], link: Link) -> str:
    if match["code"]:
        return f"`{_flowed(match['code'])}`"
    if match["math"]:
        return f"${_flowed(match['math'])}$"
    if match["cited"]:
        return f"\\[{match['cited']}\\]"
    if match["strong"]:
        return match["strong"]
    name = _flowed(match["role"] or match["name"])
    label = link(name)
    return f"[`{name}`](#{label})" if label else f"`{name}`"


# --- sections ------------------------------------------------------------------------------------

_TITLES = {
    DocstringSectionKind.parameters: "Parameters",
    DocstringSectionKind.other_parameters: "Other parameters",
    DocstringSectionKind.attributes: "Attributes",
    DocstringSectionKind.returns: "Returns",
    DocstringSectionKind.yields: "Yields",
    DocstringSectionKind.raises: "Raises",
    DocstringSectionKind.warns: "Warns",
}


def sections(docstring: Docstring, link: Link) -> list[str]:
    """Write all that a docstring says.

    Parameters
    ----------
    docstring : griffe.Docstring
    link : callable
        Gives the label of a name in backticks, or None.

    Returns
    -------
    list of str
        The text, and each section, in their order.
    """
    found = []
    for section in _parsed(docstring):
        if section.kind is DocstringSectionKind.text:
            found.append(markdown(section.value, link))
        elif section.kind is DocstringSectionKind.examples:
            found.append(f"{titled('Example')}\n\n{examples(section.value, link)}")
        elif section.kind is DocstringSectionKind.admonition:
            found.append(
                f"{titled(str(section.title))}\n\n{markdown(section.value.contents, link)}"
            )
        else:
            title = _TITLES[section.kind]
            found.append(f"{titled(title)}\n\n{definitions(section.value, link)}")
    return found


def _parsed(docstring: Docstring) -> list[Any]:
    """Take a docstring apart. What it does not say of types, the signature does."""
    alone = Docstring(docstring.value)
    return alone.parse("numpy", warn_unknown_params=False, warnings=False)


def codes(docstring: Docstring) -> list[str]:
    """List the pieces of code in the examples of a docstring, as they are written on the page."""
    return [
        text
        for section in _parsed(docstring)
        if section.kind is DocstringSectionKind.examples
        for kind, value in section.value
        if kind is DocstringSectionKind.examples
        for is_code, text in _steps(value)
        if is_code
    ]


def summary(docstring: Docstring | None, link: Link) -> str:
    """First sentence of a docstring, as Markdown on one line."""
    if docstring is None:
        return "—"
    first = _flowed(re.split(r"\n\s*\n", docstring.value.strip())[0])
    return inline(re.sub(r"(?<=\w\.)\s[A-Z].*$|::?$", "", first), link)


def titled(title: str) -> str:
    """Write a small title, which is no heading: the contents name entries alone."""
    return f":::{{div}}\n:class: entry-title\n{title}\n:::"


def definitions(items: Iterable[Any], link: Link) -> str:
    """Write parameters, returns or errors as a list of terms and what they mean.

    Those that are told together, as ``a, b : float``, stand together.
    """
    made = []
    for _, group in groupby(items, key=lambda item: (_kind(item), item.description)):
        same = list(group)
        names = ", ".join(f"`{item.name}`" for item in same if getattr(item, "name", ""))
        kind = _typed(_kind(same[0]), link)
        term = " ".join(part for part in (names, kind) if part)
        told = markdown(same[0].description, link) or "—"
        made.append(f"{term}\n: {textwrap.indent(told, '  ').strip()}")
    return ":::{div}\n:class: entry-list\n" + "\n\n".join(made) + "\n:::"


def _kind(item: Any) -> str:
    return "" if item.annotation is None else str(item.annotation)


def _typed(kind: str, link: Link) -> str:
    """Write a type as docstrings say it, in which names lead to their entries."""
    parts = re.split(r"(``[^`]+``|`[^`]+`|[A-Za-z_][\w.]*)", kind)
    made = []
    for index, part in enumerate(parts):
        if index % 2 == 0:
            made.append(escaped(part))
        elif part.startswith("`"):
            made.append(inline(part, link))
        elif part[0].isupper() or "." in part:
            label = link(part)
            made.append(f"[{escaped(part)}](#{label})" if label else escaped(part))
        else:
            made.append(escaped(part))
    return "".join(made)


def examples(parts: Iterable[tuple[DocstringSectionKind, str]], link: Link) -> str:
    """Write examples as code and, below it, what it prints."""
    made = []
    for kind, value in parts:
        if kind is DocstringSectionKind.text:
            made.append(markdown(value, link))
            continue
        frames = "\n\n".join(
            f"```{'python' if is_code else 'text'}\n{text}\n```" for is_code, text in _steps(value)
        )
        made.append(f"::::{{div}}\n:class: entry-example\n{frames}\n::::")
    return "\n\n".join(made)


def _steps(value: str) -> list[tuple[bool, str]]:
    """Take code and outputs of a doctest apart, without prompts, directives and tracebacks."""
    steps: list[tuple[bool, str]] = []
    value = re.sub(r"^Traceback .*\n(?: .*\n)*", "", value, flags=re.MULTILINE)
    for line in value.splitlines():
        is_code = line.startswith((">>>", "..."))
        text = re.sub(r"\s*# doctest: .*", "", line[4:]) if is_code else line
        if steps and steps[-1][0] == is_code:
            steps[-1] = (is_code, f"{steps[-1][1]}\n{text}")
        else:
            steps.append((is_code, text))
    return [(is_code, text.strip("\n")) for is_code, text in steps if text.strip()]
