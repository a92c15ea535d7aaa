"""Find numbers that were typed by hand where a reader takes them for computed ones.

Usage: ``python -m tools.checks.prose book/03-drives.md ...``

Numbers in sentences are computed: ``{eval}`…` ``. A typed one may be wrong, and nobody notices.
One that repeats what the chapter computes is named, by ``% repeats 25 m: threshold`` after its
paragraph or by ``# repeats 25 m: threshold`` in the cell of its caption, and is compared with it. A
few others, such as years, are nobody's measurement.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tools import myst, settings

MOST_UNNAMED = 5
"""How many typed numbers a chapter may have that repeat nothing."""

NUMBER = re.compile(r"\d+(?:[.,\u202f]\d+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?:|])\s+")


@dataclass(frozen=True)
class Typed:
    """A number that was typed: its line, the number, and the sentence around it."""

    line: int
    number: str
    sentence: str


def typed_numbers(text: str) -> list[Typed]:
    """Typed numbers of a chapter that no ``repeats`` names.

    Parameters
    ----------
    text : str
        The chapter.

    Returns
    -------
    list of Typed
        In order. What is no prose does not count: code, mathematics, targets of links, citations,
        labels, options of directives but captions and descriptions, front matter, comments.
    """
    found: list[Typed] = []
    _search(myst.read(text).root, [], found)
    return sorted(found, key=lambda typed: typed.line)


def _search(block: myst.Block, named: list[str], found: list[Typed]) -> None:
    named = named + [repeat.typed for repeat in block.repeats]
    for part in block.parts:
        if isinstance(part, myst.Block):
            _search(part, named, found)
        elif isinstance(part, myst.Piece):
            excused = [span for typed in named for span in occurrences(typed, part.text)]
            for match in NUMBER.finditer(part.text):
                if not any(start <= match.start() < end for start, end in excused):
                    line = part.line + part.text.count("\n", 0, match.start())
                    found.append(Typed(line, match[0], _sentence(part.text, match.start())))


def occurrences(typed: str, text: str) -> list[tuple[int, int]]:
    """Where a text stands as such, neither within a longer number nor a longer word."""
    words = r"\s+".join(re.escape(word) for word in typed.split())
    before = r"(?<![\w])(?<!\d[.,])" if typed[0].isalnum() else ""
    after = r"(?![\w])(?![.,]\d)" if typed[-1].isalnum() else ""
    return [match.span() for match in re.finditer(before + words + after, text)]


def _sentence(text: str, position: int) -> str:
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if match.start() > position:
            return " ".join(text[start : match.start()].split())
        start = match.end()
    return " ".join(text[start:].split())


def unused_repeats(text: str) -> list[myst.Repeat]:
    """Named exceptions whose text does not stand where they say it does."""
    return [
        repeat
        for block in myst.read(text).root.walk()
        for repeat in block.repeats
        if not any(
            occurrences(repeat.typed, item.text)
            for item in block.items()
            if isinstance(item, myst.Piece)
        )
    ]


def main() -> int:
    """Print what is typed in some chapters, or in all."""
    paths = [Path(name) for name in sys.argv[1:]] or settings.chapters()
    bad = False
    for path in paths:
        text = path.read_text()
        typed, unused = typed_numbers(text), unused_repeats(text)
        for one in typed:
            print(f"{path.name}:{one.line}: {one.number:>7}   {one.sentence}")
        for repeat in unused:
            print(f"{path.name}:{repeat.line}: {repeat.typed!r} is named, but not typed there")
        for line, fault in myst.read(text).faults:
            print(f"{path.name}:{line}: {fault}")
        named = len(myst.read(text).repeats)
        print(f"{path.name}: {len(typed)} typed numbers (at most {MOST_UNNAMED}), {named} named\n")
        bad |= len(typed) > MOST_UNNAMED or bool(unused)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
