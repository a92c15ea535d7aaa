"""List what the chapters claim, and try whether a claim that is false is noticed.

Usage: ``python -m tools.checks.claims [book/03-drives.md ...] [--negate N] [--seed S]``

A claim is a call of ``tree_world.evaluation.claim`` in a cell. ``--negate`` draws some at random,
turns each into its opposite in a copy of its chapter, runs the copy up to there, and says whether
that failed as it must.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import nbclient
from IPython.core.inputtransformer2 import TransformerManager

from tools import myst, notebooks, settings


@dataclass(frozen=True)
class Claim:
    """A claim: its chapter, line, text, the number of its cell, and where its truth is computed."""

    chapter: Path
    line: int
    text: str
    cell: int
    holds: ast.expr

    def __str__(self) -> str:
        return f"{self.chapter.name}:{self.line}: {self.text}"


def claims_of(chapter: Path) -> list[Claim]:
    """All claims of a chapter, in order.

    Parameters
    ----------
    chapter : pathlib.Path

    Returns
    -------
    list of Claim

    Raises
    ------
    tools.myst.ChapterError
        If the text of a claim is no literal, or it says not whether it holds.
    """
    found = []
    for number, cell in enumerate(myst.read(chapter.read_text()).cells):
        if "claim" not in cell.code:
            continue
        for call in ast.walk(_parsed(chapter, cell)):
            if not isinstance(call, ast.Call) or _name(call.func) != "claim":
                continue
            line = cell.first + call.lineno - 1
            given = dict(zip(("text", "holds"), call.args, strict=False))
            given |= {word.arg: word.value for word in call.keywords if word.arg}
            text, holds = given.get("text"), given.get("holds")
            if not isinstance(text, ast.Constant) or not isinstance(text.value, str):
                raise myst.ChapterError(
                    f"{chapter.name}:{line}: the text of a claim must be a literal, so that it can "
                    f"be listed, but it is {ast.unparse(text) if text else 'missing'}"
                )
            if holds is None:
                raise myst.ChapterError(f"{chapter.name}:{line}: the claim says not what must hold")
            found.append(Claim(chapter, line, text.value, number, holds))
    return sorted(found, key=lambda claim: claim.line)


def _parsed(chapter: Path, cell: myst.Cell) -> ast.Module:
    try:
        return ast.parse(TransformerManager().transform_cell(cell.code))
    except SyntaxError as error:
        line = cell.first + (error.lineno or 1) - 1
        raise myst.ChapterError(f"{chapter.name}:{line}: {error.msg}") from None


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def negated(claim: Claim, code: str) -> str:
    """Code of a cell in which one claim says the opposite."""
    lines = [line.encode() for line in code.split("\n")]  # columns count bytes
    start, end = claim.holds.lineno - 1, (claim.holds.end_lineno or 0) - 1
    last = claim.holds.end_col_offset or 0
    lines[end] = lines[end][:last] + b")" + lines[end][last:]
    first = claim.holds.col_offset
    lines[start] = lines[start][:first] + b"not (" + lines[start][first:]
    return b"\n".join(lines).decode()


def is_noticed(claim: Claim) -> bool:
    """Whether a chapter fails for the right reason when one of its claims is negated."""
    notebook = notebooks.from_chapter(claim.chapter)
    code = [number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    last = code[claim.cell]
    cell = notebook.cells[last]
    cell.source = negated(claim, cell.source)
    del notebook.cells[last + 1 :]
    client = nbclient.NotebookClient(
        notebook,
        timeout=settings.CELL_TIMEOUT_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(claim.chapter.parent)}},
    )
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        return error.ename == "ClaimError" and claim.text in error.evalue
    return False


def main() -> int:
    """List claims, or negate some of them."""
    parser = argparse.ArgumentParser(description="List claims, or try whether they are checked.")
    parser.add_argument("chapters", nargs="*", type=Path, help="files; all, if none is given")
    parser.add_argument("--negate", type=int, default=0, metavar="N", help="negate N at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    chosen = parser.parse_args()
    chapters = [path.resolve() for path in chosen.chapters] or settings.chapters()
    try:
        claims = [claim for chapter in chapters for claim in claims_of(chapter)]
    except myst.ChapterError as error:
        print(error, file=sys.stderr)
        return 1
    if not chosen.negate:
        for claim in claims:
            print(claim)
        print(f"{len(claims)} claims in {len(chapters)} chapters")
        return 0
    os.environ.update(settings.kernel_environment())
    drawn = random.Random(chosen.seed).sample(claims, min(chosen.negate, len(claims)))
    missed = 0
    for claim in sorted(drawn, key=str):
        noticed = is_noticed(claim)
        missed += not noticed
        print("red " if noticed else "GREEN", claim, flush=True)
    print(f"{len(drawn) - missed} of {len(drawn)} negated claims were noticed (seed {chosen.seed})")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
