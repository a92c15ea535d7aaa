"""What a reader downloads: a reference notebook in words that any notebook program shows.

A reference notebook holds a chapter as it is written, in MyST Markdown. Notebook programs know
plain Markdown and mathematics alone. So a download is derived from it: numbers stand where
expressions stood, words where references did, and what directives made is set in plain Markdown.
Code, outputs and stored values are left as they are. The build puts the downloads into the site,
and the tests run them, in empty folders, as a reader would.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from tools import computed, myst, references, settings
from tools.references import Target, Work
from tree_world.files import write_atomically

INSTALL = 'pip install "tree-world[book]"'

_ADMONITIONS = {
    *("admonition", "attention", "caution", "danger", "error", "hint", "important", "note"),
    *("seealso", "tip", "topic", "warning"),
}
_HTML_ROLES = {
    "sub": "sub",
    "subscript": "sub",
    "sup": "sup",
    "superscript": "sup",
    "u": "u",
    "underline": "u",
    "del": "del",
    "strike": "del",
    "delete": "del",
}
# What stands in a line, first come first served, as Markdown has it: roles, code, formulas, links.
_INLINE = re.compile(
    r"(?P<escaped>\\.)"
    r"|\{\s*(?P<role>[^{}`]+?)\s*\}(?P<fence>`+)(?!`)(?P<content>.+?)(?<!`)(?P=fence)(?!`)"
    r"|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
    r"|\$\$.+?\$\$|\$(?!\s)(?:\\.|[^$\\])+?(?<!\s)\$(?!\d)"
    r"|(?P<image>!)?\[(?P<text>(?:\\.|[^\[\]\\])*)\]\((?P<address>[^()\s]*)\)",
    re.DOTALL,
)
_FORMULA = re.compile(r"\\.|\$\$.+?\$\$|\$(?!\s)(?:\\.|[^$\\])+?(?<!\s)\$(?!\d)", re.DOTALL)
_MARKS = re.compile(r"([\\`*_\[\]<|$~])")


class DownloadError(Exception):
    """A notebook that cannot be read without MyST. The message says which, what, and why."""


@dataclass(frozen=True)
class Around:
    """What a download takes from outside its notebook.

    Attributes
    ----------
    targets : mapping of str to Target
        What the pages may refer to.
    works : mapping of str to Work
        What they may cite.
    home : str
        Address of the site, with a slash at its end.
    """

    targets: Mapping[str, Target]
    works: Mapping[str, Work]
    home: str = "../"

    def page(self, name: str, label: str = "") -> str:
        """Address of a page, or of a place on it."""
        place = f"#{label}" if label else ""
        return f"{self.home}{references.slug(name)}/index.html{place}"


def derive(notebook: Any, page: str, around: Around) -> Any:
    """Make a download of a reference notebook. It depends on nothing but what is given.

    Parameters
    ----------
    notebook : notebook
        With its outputs and values; it is left as it is.
    page : str
        Name of its file, without ending.
    around : Around

    Returns
    -------
    notebook
        Code cells are those of the reference. Cells of prose keep their values and are in plain
        Markdown; captions follow their figures.

    Raises
    ------
    DownloadError
        If a value is not stored, or something could not be shown.
    """
    made = copy.deepcopy(notebook)
    cited: dict[str, None] = {}
    cells = [_prose(_head(notebook, page, around), "download-head")]
    for cell in made.cells:
        stored = {one["expression"]: one for one in computed.entries(cell) if "repeats" not in one}
        writer = _Writer(page, around, stored, cited)
        cells.append(cell)
        if cell.cell_type == "markdown":
            cell.source = writer.blocks(cell.source).strip("\n")
            if unused := set(stored) - writer.used:
                raise DownloadError(f"{page}: a value of {min(unused)} is stored for no place")
        elif "caption" in cell.metadata:
            caption = writer.captioned(cell.metadata.get("label"), cell.metadata["caption"])
            cells.append(_prose(caption, f"{cell.id[:48]}-caption"))
    if cited:
        entries = "\n".join(f"- {around.works[key].entry}" for key in cited)
        cells.append(_prose(f"## References\n\n{entries}", "download-references"))
    made.cells = cells
    return made


def _prose(source: str, name: str) -> Any:
    cell = nbformat.v4.new_markdown_cell(source)
    cell["id"] = name
    return cell


def _head(notebook: Any, page: str, around: Around) -> str:
    front = notebook.metadata
    lines = [f"# {front.get('title', page)}", front.get("description", "")]
    lines.append(
        f"This is [a chapter]({around.page(page)}) of [Tree World]({around.home}index.html), as a "
        f"notebook. It runs in any folder, once its packages are installed:\n\n    {INSTALL}"
    )
    return "\n\n".join(line for line in lines if line)


@dataclass
class _Writer:
    """Turns MyST into plain Markdown, for one cell."""

    page: str
    around: Around
    stored: Mapping[str, computed.Entry]
    cited: dict[str, None]
    used: set[str] = field(default_factory=set)

    def refuse(self, why: str) -> DownloadError:
        return DownloadError(f"{self.page}: {why}")

    # Blocks

    def blocks(self, text: str) -> str:
        """Rewrite paragraphs, tables and directives; leave code."""
        lines = text.split("\n")
        edits: list[tuple[int, int, str]] = []  # of lines
        blocks: list[tuple[int, int, str]] = []  # which have an empty line around them
        tables = 0
        for token in myst.parser().parse(text):
            tables += {"table_open": 1, "table_close": -1}.get(token.type, 0)
            if token.map is None:
                continue
            start, end = token.map
            there = "\n".join(lines[start:end])
            if token.type in ("myst_line_comment", "myst_target", "myst_block_break"):
                blocks.append((start, end, ""))
            elif token.type == "tr_open":
                edits.append((start, end, self.row(there)))
            elif token.type == "inline" and not tables:
                edits.append((start, end, self.words(there)))
            elif token.type == "math_block_label":
                blocks.append((start, end, self.formula(token.content, token.info)))
            elif found := myst.directive(token):
                blocks.append((start, end, _indented(self.directive(found), lines[start])))
        edits += [(start, end, new) for start, end, new in blocks]
        for start, end, new in sorted(edits, reverse=True):
            if (start, end, new) in blocks:
                before, after = _trimmed(lines[:start]), _trimmed(lines[end:][::-1])[::-1]
                parts = ["\n".join(before), new, "\n".join(after)]
                lines = "\n\n".join(part for part in parts if part).split("\n")
            else:
                lines[start:end] = [new]
        return "\n".join(lines)

    def row(self, line: str) -> str:
        return "|".join(self.words(part) for part in re.split(r"(?<!\\)\|", line))

    def directive(self, found: myst.Directive) -> str:
        name, label = found.name, found.option("label") or found.option("name")
        if name == "math":
            return self.formula(found.body, label)
        body = self.blocks(found.body).strip("\n")
        if name == "table":
            return f"{self.captioned(label, found.argument)}\n\n{body}"
        if name == "exercise":
            return f"{self.captioned(label, found.argument)} {body}"
        if name in ("aside", "solution") or name in _ADMONITIONS:
            title = self.title(found)
            if "dropdown" in str(found.option("class") or "").split():
                return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
            titled = f"**{title}**\n\n{body}" if title else body
            return titled if name == "solution" else _quoted(titled)
        if name == "div":
            return body
        raise self.refuse(f"tools/downloads.py does not know how to write {{{name}}} as Markdown")

    def title(self, found: myst.Directive) -> str:
        """Name what stands aside, or is folded: as it says, or by what it is."""
        if found.name == "solution":
            target = self.around.targets.get(found.argument)
            return f"Solution of {target.words}" if target else "Solution"
        plain = found.name in ("aside", "admonition")
        return self.words(found.argument) or ("" if plain else found.name.capitalize())

    def captioned(self, label: str | None, title: str) -> str:
        """Write number and title of what has both."""
        target = self.around.targets.get(label or "")
        number = f"**{target.words}.** " if target else ""
        return f"{number}{self.words(title)}".strip()

    def formula(self, body: str, label: str | None) -> str:
        # Notebook programs take an empty line for the end of a formula.
        inner = "\n".join(line for line in body.split("\n") if line.strip())
        target = self.around.targets.get(label or "")
        tag = f"\n\\tag{{{target.name}}}" if target else ""
        return f"$$\n{inner}{tag}\n$$"

    # Words

    def words(self, text: str) -> str:
        """Rewrite roles and links; leave code and formulas."""
        return _INLINE.sub(lambda match: self._inline(match, text), text)

    def _inline(self, match: re.Match[str], text: str) -> str:
        if match["role"] is not None:
            return self._role(match["role"], match["content"])
        if match["image"] and not match["address"].startswith("https://"):
            raise self.refuse(f"the picture {match['address']} would not come with the notebook")
        if match["address"] is not None and not match["image"]:
            return self._link(match["text"], match["address"], text[: match.start()])
        return match[0]

    def _role(self, info: str, content: str) -> str:
        name = re.split(r"[\s.#]", info)[0]
        if name == "eval":
            return self._value(content)
        if name.startswith("cite"):
            return self._citation(content, narrative=name in ("cite:t", "cite"))
        if name in _HTML_ROLES:
            tag = _HTML_ROLES[name]
            return f"<{tag}>{self.words(content)}</{tag}>"
        if name == "math":
            return f"${content}$"
        if name in ("abbr", "abbreviation"):
            return re.sub(r"\s*\(.*\)$", "", content)
        raise self.refuse(f"tools/downloads.py does not know how to write {{{name}}} as Markdown")

    def _value(self, code: str) -> str:
        done = self.stored.get(code, {})
        if done.get("result", {}).get("status") != "ok":
            raise self.refuse(f"no value of {code} is stored. Run: make notebooks")
        self.used.add(code)
        return _MARKS.sub(r"\\\1", as_text(done["result"]))

    def _citation(self, content: str, narrative: bool) -> str:
        found = []
        for key in re.split(r"\s*[,;]\s*", content.strip()):
            if key not in self.around.works:
                raise self.refuse(f"{key} is cited, and not in the list of references")
            self.cited[key] = None
            work = self.around.works[key]
            found.append(
                f"{work.authors} ({work.year})" if narrative else f"{work.authors}, {work.year}"
            )
        return "; ".join(found) if narrative else f"({'; '.join(found)})"

    def _link(self, text: str, address: str, before: str) -> str:
        if re.match(r"[a-z]+:", address):
            return f"[{self.words(text)}]({address})"
        path, _, label = address.partition("#")
        if path and not path.endswith(".md"):
            raise self.refuse(f"the file {path} would not come with the notebook")
        key = label or Path(path).stem
        if key not in self.around.targets:
            raise self.refuse(f"{address} leads nowhere")
        target = self.around.targets[key]
        words = self.words(text) or _in_sentence(target, before)
        if target.page == self.page:
            return words
        return f"[{words}]({self.around.page(target.page, '' if target.kind == 'page' else key)})"


def _in_sentence(target: Target, before: str) -> str:
    """Say what to call something after the words before it."""
    if target.kind != "equation":
        return target.words
    if re.search(r"\bequations?\s+$", before, re.IGNORECASE):
        return f"({target.name})"
    begins = re.search(r"(^|[.?!]\)?\s+|\n\n)[\s>*-]*$", before)
    return target.words.capitalize() if begins else target.words


def _trimmed(lines: list[str]) -> list[str]:
    """Leave out empty lines at the end."""
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _quoted(text: str) -> str:
    # The marks of a quotation must not get into a formula.
    whole = _FORMULA.sub(lambda match: " ".join(match[0].split()), text)
    return "\n".join(f"> {line}".rstrip() for line in whole.split("\n"))


def _indented(text: str, first: str) -> str:
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join(indent + line if line else line for line in text.split("\n"))


def as_text(result: Mapping[str, Any]) -> str:
    """Text of a value as the site shows it: a text without its quotation marks."""
    text = computed.shown(dict(result))
    if text[:1] in "'\"" and text[-1:] == text[:1]:
        return str(ast.literal_eval(text))
    return text


# --- of the book ---------------------------------------------------------------------------------


def of(path: Path, home: str = "../") -> Any:
    """Derive the download of a reference notebook from it and from the sources of the book.

    Parameters
    ----------
    path : pathlib.Path
        Of a notebook in ``book/notebooks``, or of one that is a book of its own, beside its source.
    home : str
        Address of the site.

    Returns
    -------
    notebook

    Raises
    ------
    DownloadError
    """
    notebook = nbformat.read(path, as_version=4)
    if path.parent == settings.NOTEBOOKS:
        sources = [source for source in settings.pages() if source.exists()]
    else:
        sources = [path.with_suffix(".md")] if path.with_suffix(".md").exists() else []
    bibliography = settings.BOOK / "references.bib"
    works = references.works(bibliography.read_text()) if bibliography.exists() else {}
    return derive(notebook, path.stem, Around(references.targets(sources), works, home))


def as_file(notebook: Any) -> bytes:
    """Bytes of a notebook."""
    text: str = nbformat.writes(notebook)
    return (text + "\n").encode()


def renew(home: str = "../") -> int:
    """Put the downloads of the chapters where the built site has copies of their notebooks.

    Returns
    -------
    int
        How many there are.

    Raises
    ------
    DownloadError
    """
    places = sorted((settings.SITE / "downloads").glob("*.ipynb"))
    ours = [place for place in places if (settings.NOTEBOOKS / place.name).exists()]
    for place in ours:
        write_atomically(place, as_file(of(settings.NOTEBOOKS / place.name, home)))
    return len(ours)
