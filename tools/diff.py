"""Show what changed in the reference notebooks since a commit.

Usage: ``python -m tools.diff [COMMIT]``, by default since the last one

Values in prose, by their expressions, and printed outputs, by their cells, old and new, in the
terminal; pictures side by side in ``_build/diff/index.html``. What differs by less than the
tolerance of the check is left out.
"""

from __future__ import annotations

import difflib
import html
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from tools import computed, settings
from tools.checks import nbval_tolerance
from tree_world.files import write_atomically
from tree_world.plotting.data.figure import MIME

PICTURE = "image/png"


@dataclass(frozen=True)
class Change:
    """One change: what it is of, the kind of output, old and new; None where there was none."""

    name: str
    kind: str
    old: str | None
    new: str | None


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *words], cwd=settings.ROOT, capture_output=True, text=True, check=False
    )


def at_commit(commit: str, path: Path) -> Any | None:
    """Read a notebook as it was at a commit; None if it was not there."""
    done = _git("show", f"{commit}:{path.relative_to(settings.ROOT).as_posix()}")
    return nbformat.reads(done.stdout, as_version=4) if done.returncode == 0 else None


def changes(old: Any | None, new: Any | None) -> Iterator[Change]:
    """List what changed between two versions of a notebook.

    Parameters
    ----------
    old, new : notebook or None

    Yields
    ------
    Change
        Values in the order of the chapter, then outputs. Cells are matched by their label or
        their code, and what is in the same place of a cell by that place; so what only moved is
        no change.
    """
    yield from _matched(_values(old), _values(new), _value_changed)
    yield from _matched(_outputs(old), _outputs(new), _output_changed)


Found = list[tuple[str, str, str]]  # name, kind, content


def _values(notebook: Any | None) -> Found:
    return [
        (_named(one), kind, str(content))
        for cell in ([] if notebook is None else notebook.cells)
        for one in computed.entries(cell)
        for kind, content in sorted(one.get("result", {}).get("data", {}).items())
    ]


def _named(one: computed.Entry) -> str:
    words = " ".join(one["expression"].split())
    return f"{words} (for {one['repeats']!r})" if "repeats" in one else words


def _outputs(notebook: Any | None) -> Found:
    found = []
    code = [cell for cell in ([] if notebook is None else notebook.cells) if "outputs" in cell]
    for cell in code:
        name = cell.metadata.get("label") or _first_line(cell.source)
        for kind, content in nbval_tolerance.flat(cell.outputs):
            found.append((name, kind, content))
    return found


def _first_line(source: str) -> str:
    lines = [line.strip() for line in source.split("\n") if line.strip()]
    said = [line for line in lines if not line.startswith(("#", "import ", "from "))]
    return f"cell “{(said or lines or [''])[0][:60]}”"


def _value_changed(kind: str, old: str, new: str) -> bool:
    return _output_changed(kind, old, new, absolute=0.0)


def _output_changed(
    kind: str, old: str, new: str, absolute: float = nbval_tolerance.ABSOLUTE_TOLERANCE
) -> bool:
    if old == new:
        return False
    if kind == PICTURE:
        return nbval_tolerance.compare_pictures(old, new) is not None
    if kind == MIME:
        return nbval_tolerance.compare_states(old, new) is not None
    return nbval_tolerance.compare_text(old, new, absolute) is not None


def _matched(old: Found, new: Found, changed: Any) -> Iterator[Change]:
    """Match things of the same name and kind in their order."""
    names_old, names_new = ([(name, kind) for name, kind, _ in found] for found in (old, new))
    matcher = difflib.SequenceMatcher(None, names_old, names_new, autojunk=False)
    for action, a, b, c, d in matcher.get_opcodes():
        if action == "equal":
            for (name, kind, before), (_, _, after) in zip(old[a:b], new[c:d], strict=True):
                if changed(kind, before, after):
                    yield Change(name, kind, before, after)
            continue
        for name, kind, before in old[a:b]:
            yield Change(name, kind, before, None)
        for name, kind, after in new[c:d]:
            yield Change(name, kind, None, after)


# --- how it is shown -----------------------------------------------------------------------------


def as_text(change: Change) -> str:
    """Tell a change in a line, or in several if it has several lines."""
    if change.kind == PICTURE:
        how = {True: "new", False: "gone"}.get(change.old is None, "")
        return f"  {change.name}: picture {how if None in (change.old, change.new) else 'changed'}"
    if change.kind == MIME:  # too long to be read
        if change.old is None or change.new is None:
            how = "new" if change.old is None else "gone"
        else:
            how = f"changed: {nbval_tolerance.compare_states(change.old, change.new)}"
        return f"  {change.name}: what can be touched {how}"
    old, new = (_lines(text) for text in (change.old, change.new))
    if len(old) <= 1 and len(new) <= 1:
        before = old[0] if old else "(nothing)"
        after = new[0] if new else "(nothing)"
        return f"  {change.name}: {before} → {after}"
    lines = difflib.unified_diff(old, new, lineterm="", n=0)
    told = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n".join([f"  {change.name}:", *(f"    {line}" for line in told)])


def _lines(text: str | None) -> list[str]:
    return [] if text is None else text.strip("\n").split("\n")


def as_page(pictures: dict[str, list[Change]], commit: str) -> str:
    """Show pictures side by side: a page that needs nothing else."""
    rows = []
    for chapter, found in pictures.items():
        rows.append(f"<h2>{html.escape(chapter)}</h2>")
        for change in found:
            images = "".join(
                f'<img alt="{word}" src="data:image/png;base64,{"".join(data.split())}">'
                if data
                else f"<p>{word}: none</p>"
                for word, data in (("before", change.old), ("now", change.new))
            )
            rows.append(f"<h3>{html.escape(change.name)}</h3><div>{images}</div>")
    body = "\n".join(rows) or "<p>No picture changed.</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>What changed</title><style>'
        "body{font-family:system-ui,sans-serif;margin:2rem}div{display:grid;gap:1rem;"
        "grid-template-columns:1fr 1fr}img{max-width:100%;border:1px solid #ccc}</style>"
        f"<h1>Pictures since {html.escape(commit)}: before, and now</h1>{body}</html>\n"
    )


def main() -> int:
    """Tell what changed, and write the page of pictures."""
    commit = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    if _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").returncode != 0:
        print(f"There is no commit {commit!r}. Name one: make diff SINCE=HEAD~1", file=sys.stderr)
        return 1
    pictures: dict[str, list[Change]] = {}
    total = 0
    listed = _git("ls-tree", "--name-only", commit, "book/notebooks/")
    paths = {settings.ROOT / name for name in listed.stdout.split() if name.endswith(".ipynb")}
    for path in sorted(paths | set(settings.NOTEBOOKS.glob("*.ipynb"))):
        new = nbformat.read(path, as_version=4) if path.exists() else None
        found = list(changes(at_commit(commit, path), new))
        if not found:
            continue
        total += len(found)
        print(f"{path.stem}: {len(found)} changes")
        for change in found:
            print(as_text(change))
        if any(change.kind == PICTURE for change in found):
            pictures[path.stem] = [change for change in found if change.kind == PICTURE]
    if not total:
        print(f"Nothing changed in the reference notebooks since {commit}.")
        return 0
    page = settings.BUILD / "diff" / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(page, as_page(pictures, commit).encode())
    shown = sum(map(len, pictures.values()))
    print(f"{total} changes since {commit}; {shown} pictures in {page.relative_to(settings.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
