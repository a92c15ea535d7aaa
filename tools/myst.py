"""Read a chapter as the engine of the book reads it: cells, computed numbers, prose.

The engine is written in JavaScript and offers no parser to Python. So this is one, built from the
same parts: markdown-it with the same rules, and the engine's own for roles and directives. A test
compares it with what the engine makes of every page.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote

import yaml
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

CODE_CELL = "code-cell"
SKIP = "skip-execution"

# Directives whose body is not read as MyST, and those whose argument is not.
_PLAIN_BODIES = {
    *("code", "code-block", "sourcecode", CODE_CELL, "csv-table", "index", "math", "mermaid"),
    *("myst", "mdast", "raw", "raw:latex", "raw:tex", "raw:typst", "raw:typ", "anywidget"),
    *("include", "literalinclude", "image", "embed", "bibliography", "toc", "show-index"),
    *("genindex", "toctree", "tableofcontents", "table-of-contents", "contents"),
}
_PLAIN_ARGUMENTS = {
    *(_PLAIN_BODIES - {"csv-table", "toc", "tableofcontents", "table-of-contents", "contents"}),
    *("figure", "iframe", "grid", "solution", "solution-start", "div", "glossary"),
    *("blockquote", "epigraph", "pull-quote", "grid-item", "tab-set"),
}
_TITLES = {"tab-item", "tabItem", "tab"}  # arguments that are shown, but hold no roles
# Options that a reader sees, beside headers and footers, which are read as MyST.
_SHOWN_OPTIONS = {"alt", "caption", "title", "placeholder"}
# Roles whose content is read as MyST, and those that show it as it is.
_PARSED_ROLES = {
    *("span", "delete", "del", "strike", "smallcaps", "sc", "subscript", "sub"),
    *("superscript", "sup", "underline", "u"),
}
_WORD_ROLES = {"abbreviation", "abbr", "button", "download"}

_FENCE = re.compile(r"^\s*\{\s*([^}]+)\s*\}\s*(.*)$")
_ROLE = re.compile(r"\{\s*([^}]+?)\s*\}(`+)(?!`)(.+?)(?<!`)\2(?!`)", re.DOTALL)
_OPTION = re.compile(r"^:(?P<name>[^:\s]+?):(\s*(?P<value>.*))?\s*$")
_TAG = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)
_HEAD = re.compile(r"^#\s?\| ")  # of a cell: its options
_ALT = re.compile(r"^#\|\s*alt:\s*(.*)$")
_REPEATS = re.compile(r"^\s*repeats\b\s*(.*)$")
_LABEL = re.compile(r"[a-zA-Z0-9|@<>*./_\-+:]{1,100}")  # one that the engine reads
_CITATION = re.compile(r"(?<![A-Za-z0-9])@[\w{][\w:.#$%&\-+?~/}]*")


class ChapterError(Exception):
    """A chapter that cannot be read or computed. The message names file, line, cause, and cure."""


@dataclass(frozen=True)
class Expression:
    """A computed value in prose: ``{eval}`…` ``, and the line on which it stands."""

    line: int
    code: str


@dataclass(frozen=True)
class Repeat:
    """A typed number that is named: ``% repeats TEXT: EXPRESSION``."""

    line: int
    typed: str
    code: str


@dataclass(frozen=True)
class Piece:
    """Words that a reader sees, without what is computed, quoted as code, or mathematics."""

    line: int
    text: str


@dataclass(frozen=True)
class Cell:
    """A code cell as the engine sees it: the lines of its fence and of its code."""

    line: int
    first: int
    code: str
    options: dict[str, Any]
    nested: bool

    @property
    def tags(self) -> list[str]:
        """Tags, given as a list or as words."""
        tags = self.options.get("tags") or []
        return re.split(r"[,\s]+", tags.strip("[] ")) if isinstance(tags, str) else list(tags)

    @property
    def skipped(self) -> bool:
        """Whether it is shown, but not run."""
        return SKIP in self.tags


@dataclass
class Block:
    """A paragraph, a list, a table, a directive … with what it holds, in the engine's order."""

    kind: str
    line: int
    parts: list[Expression | Piece | Cell | Block] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)

    def walk(self) -> Iterator[Block]:
        """Itself and all blocks inside it."""
        yield self
        for part in self.parts:
            if isinstance(part, Block):
                yield from part.walk()

    def items(self) -> Iterator[Expression | Piece | Cell]:
        """All that it holds, in order, whatever block it is in."""
        for part in self.parts:
            if isinstance(part, Block):
                yield from part.items()
            else:
                yield part


@dataclass
class Chapter:
    """What a chapter holds.

    Attributes
    ----------
    root : Block
        Everything, nested as it is written.
    faults : list of (int, str)
        Lines that the tools refuse, and why.
    """

    root: Block
    faults: list[tuple[int, str]]

    @property
    def cells(self) -> list[Cell]:
        """Code cells, in order."""
        return [item for item in self.root.items() if isinstance(item, Cell)]

    @property
    def expressions(self) -> list[Expression]:
        """Computed values in prose, in the order in which the engine computes them."""
        return [item for item in self.root.items() if isinstance(item, Expression)]

    @property
    def repeats(self) -> list[Repeat]:
        """Named exceptions, in order of their lines."""
        found = [repeat for block in self.root.walk() for repeat in block.repeats]
        return sorted(found, key=lambda repeat: repeat.line)


def read(text: str) -> Chapter:
    """Read a chapter.

    Parameters
    ----------
    text : str
        The whole file.

    Returns
    -------
    Chapter
    """
    chapter = Chapter(Block("root", 1), [])
    _Reader(chapter).fill(chapter.root, text, line=1, nested=False)
    return chapter


@cache
def parser() -> MarkdownIt:
    """Make a parser with the engine's rules."""
    parser = (
        MarkdownIt("commonmark")
        .enable("table")
        .use(front_matter_plugin)
        .use(myst_block_plugin)
        .use(colon_fence_plugin)
        .use(footnote_plugin, inline=False)
        .use(dollarmath_plugin, allow_labels=True, double_inline=True)
        .use(amsmath_plugin)
        .use(deflist_plugin)
        .use(tasklists_plugin)
    )
    parser.inline.ruler.before("backticks", "myst_role", _role)
    return parser


def _role(state: StateInline, silent: bool) -> bool:
    if state.pos and state.src[state.pos - 1] == "\\":
        return False
    match = _ROLE.match(state.src, state.pos)
    if match is None:
        return False
    if not silent:
        token = state.push("role", "", 0)
        token.info = match[1]
        token.content = match[3]
        token.meta = {"lines": state.src.count("\n", 0, state.pos)}
    state.pos = match.end()
    return True


@dataclass(frozen=True)
class Directive:
    """A directive as it is written.

    Attributes
    ----------
    name, argument, body : str
    options : dict of str to (value, int)
        Each with the line on which it stands, counted from that of the fence.
    offset : int
        The line on which the body begins, counted likewise.
    """

    name: str
    argument: str
    options: dict[str, tuple[Any, int]]
    body: str
    offset: int

    def option(self, name: str) -> Any:
        """Value of an option; None if it has none."""
        return self.options.get(name, (None, 0))[0]


def directive(token: Token) -> Directive | None:
    """Read a token as a directive; None if it is none."""
    match = _FENCE.match(token.info) if token.type in ("fence", "colon_fence") else None
    if match is None:
        return None
    lines = token.content.split("\n") if token.content.strip() else []
    options, body, offset = _options(lines)
    while body and not body[0].strip():
        body, offset = body[1:], offset + 1
    name = re.split(r"[\s.#]", match[1].strip())[0] or "div"
    return Directive(name, match[2].strip(), options, "\n".join(body).rstrip(), offset)


class _Reader:
    """Turns tokens into blocks."""

    def __init__(self, chapter: Chapter) -> None:
        self.chapter = chapter
        self.title: Block | None = None  # where the page has its title from

    def refuse(self, line: int, why: str) -> None:
        self.chapter.faults.append((line, why))

    def fill(self, block: Block, text: str, line: int, nested: bool) -> None:
        """Read a text that starts on a line into a block."""
        stack = [block]
        for token in parser().parse(text):
            at = line + (token.map[0] if token.map else 0)
            if token.type == "front_matter" and re.search(r"(?m)^title:", token.content):
                self.title = block
            if token.type.startswith("footnote_block") or token.type == "footnote_anchor":
                continue
            if token.nesting == 1:
                inner = Block(token.type.removesuffix("_open"), at)
                if token.tag == "h1" and self.title is None:
                    self.title = inner
                stack[-1].parts.append(inner)
                stack.append(inner)
            elif token.nesting == -1:
                stack.pop()
            elif token.type == "inline":
                self._refuse_lost(stack[-1], token, at)
                words = self._inline(stack[-1], token.children or [], at)
                if words.strip("… \n"):
                    stack[-1].parts.append(Piece(at, _CITATION.sub(_as_lines, words)))
            elif found := directive(token):
                self._directive(stack[-1], found, at, nested or len(stack) > 1)
            elif token.type == "html_block":
                words = _TAG.sub(_as_lines, token.content)
                stack[-1].parts.append(Block("html", at, [Piece(at, words)]))
            elif token.type == "myst_target" and not _LABEL.fullmatch(token.content):
                self.refuse(
                    at,
                    f"the engine shows the label ({token.content})= as text. Name the place with "
                    "letters of English, digits and -_.:/",
                )
            elif token.type == "myst_line_comment":
                self._comment(stack[-1], token.content, at)

    def _refuse_lost(self, block: Block, token: Token, line: int) -> None:
        parts = token.children or []
        for part in parts:
            address = str(part.attrs.get("href") or part.attrs.get("src") or "")
            if "%" in address and not re.match(r"[a-z]+:|//", address, re.IGNORECASE):
                self.refuse(
                    line,
                    f"the engine does not find {unquote(address)}. Name files and places with "
                    "letters of English, digits and -_. alone",
                )
        if block is self.title and any(part.type.startswith("math_inline") for part in parts):
            self.refuse(
                line,
                "the engine drops formulas from a title that is a heading. Write it into the front "
                "matter, title: …",
            )

    def _inline(self, block: Block, tokens: list[Token], line: int) -> str:
        """Add the expressions of a line of text to a block; the words, with … for the rest."""
        text = ""
        is_address = False
        for token in tokens:
            if token.type in ("link_open", "link_close"):
                is_address = token.type == "link_open" and token.markup == "autolink"
            elif token.type == "text":
                text += "…" if is_address else token.content
            elif token.type in ("softbreak", "hardbreak"):
                text += "\n"
            elif token.type == "image":
                text += token.content
            elif token.type == "code_inline" or token.type.startswith("math_inline"):
                text += "…" + "\n" * token.content.count("\n")
            elif token.type == "role":
                text += "\n" * (token.meta["lines"] - text.count("\n"))  # of wrapped code, say
                at = line + token.meta["lines"]
                name = re.split(r"[\s.#]", token.info.strip())[0]
                if name == "eval":
                    block.parts.append(Expression(at, token.content))
                if name in _PARSED_ROLES:
                    (inner,) = parser().parseInline(token.content)
                    text += self._inline(block, inner.children or [], at)
                elif name in _WORD_ROLES:
                    text += re.sub(r"<[^>]*>$", "", token.content)
                else:
                    text += "…" + "\n" * token.content.count("\n")
        return text

    def _comment(self, block: Block, content: str, line: int) -> None:
        before = [part for part in block.parts if isinstance(part, Block) and part.kind != "target"]
        owner = before[-1] if before else block
        for offset, text in enumerate(content.split("\n")):
            self._repeat(owner, text, line + offset)

    def _repeat(self, owner: Block, comment: str, line: int) -> None:
        match = _REPEATS.match(comment)
        if match is None:
            return
        typed, colon, code = match[1].partition(": ")
        if not colon or not typed.strip() or not code.strip():
            self.refuse(
                line, "write it as “repeats TEXT: EXPRESSION”, with a blank after the colon"
            )
            return
        owner.repeats.append(Repeat(line, typed.strip(), code.strip()))

    def _directive(self, block: Block, found: Directive, line: int, nested: bool) -> None:
        name, argument, options = found.name, found.argument, found.options
        text, offset = found.body, found.offset
        if name == CODE_CELL:
            self._cell(block, found, line, nested)
            return
        inner = Block(name, line)
        block.parts.append(inner)
        if argument and name in _TITLES:
            inner.parts.append(Piece(line, argument))
        elif argument and name not in _PLAIN_ARGUMENTS:
            self.fill(inner, argument, line, nested=True)
        for option, (value, at) in options.items():
            if option == "header" and isinstance(value, str):
                self.fill(inner, value, line + at, nested=True)
            elif option in _SHOWN_OPTIONS and isinstance(value, str):
                inner.parts.append(Piece(line + at, value))
        # What was read so far is the head: a comment that comes first in the body speaks of it.
        if name not in _PLAIN_BODIES and text:
            head = Block("head", line, inner.parts)
            inner.parts = [head] if head.parts else []
            self.fill(inner, text, line + offset, nested=True)
        if isinstance(footer := options.get("footer", ("", 0))[0], str):
            self.fill(inner, footer, line, nested=True)

    def _cell(self, block: Block, found: Directive, line: int, nested: bool) -> None:
        options, text, offset = found.options, found.body, found.offset
        plain = {name: value for name, (value, _) in options.items()}
        block.parts.append(Cell(line, line + offset, text, plain, nested))
        around = Block("cell", line)
        block.parts.append(around)
        if "caption" in options:
            caption, at = options["caption"]
            self.fill(around, str(caption), line + at, nested=True)
            for item in list(around.items()):
                if isinstance(item, Expression):
                    self.refuse(
                        line + at,
                        "the engine computes nothing in the caption of a code cell: type the "
                        "number and name it by “# repeats TEXT: EXPRESSION” in the cell",
                    )
            around.parts = [item for item in around.items() if isinstance(item, Piece)]
        for number, code in enumerate(text.split("\n")):
            if match := _ALT.match(code):
                around.parts.append(Piece(line + offset + number, match[1]))
            elif code.lstrip().startswith("#"):
                self._repeat(around, code.lstrip()[1:], line + offset + number)


def _as_lines(match: re.Match[str]) -> str:
    return "…" + "\n" * match[0].count("\n")


def _options(lines: list[str]) -> tuple[dict[str, tuple[Any, int]], list[str], int]:
    """Options of a directive with the lines they stand on, its body, and where that begins."""
    options: dict[str, tuple[Any, int]] = {}
    if lines and lines[0].rstrip() == "---":
        ends = [number for number, line in enumerate(lines) if number and line.rstrip() == "---"]
        end = ends[0] if ends else len(lines)
        try:
            given = yaml.safe_load("\n".join(lines[1:end]))
        except yaml.YAMLError:
            given = None
        for name, value in (given if isinstance(given, dict) else {}).items():
            at = next(
                (
                    n
                    for n in range(1, end)
                    if re.match(rf"\s*[\"']?{re.escape(str(name))}\b", lines[n])
                ),
                1,
            )
            options[str(name)] = (value, at + 1)
        return options, lines[end + 1 :], end + 2
    count = 0
    while count < len(lines) and (match := _OPTION.match(lines[count])):
        value = (match["value"] or "").strip()
        options.setdefault(match["name"], (value or True, count + 1))
        count += 1
    return options, lines[count:], count + 1


def option_faults(chapter: Chapter) -> list[tuple[int, str]]:
    """Find options at the head of a cell, as a figure's description, that are not what they seem.

    Parameters
    ----------
    chapter : Chapter

    Returns
    -------
    list of (int, str)
        Lines and reasons.
    """
    faults = []
    for cell in chapter.cells:
        head = itertools.takewhile(
            lambda line: not line or _HEAD.match(line), cell.code.split("\n")
        )
        options = [_HEAD.sub("", line) for line in head]
        try:
            yaml.safe_load("\n".join(options))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            why = "the options of a cell are no YAML. Write no colon inside of them, or use quotes"
            faults.append((cell.first + (mark.line if mark else 0), why))
    return faults
