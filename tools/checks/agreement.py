"""Compare what a built page shows with what its reference notebook stores.

The site is computed by the engine, the notebook by ``make notebooks``: by the same code, in kernels
of their own. What is compared is text; pictures are drawn otherwise for the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tools import computed, myst, settings, terminal
from tools.checks.check_site import Finding, Node, walk
from tools.checks.nbval_tolerance import compare_outputs, compare_value

CLEARED = "application/vnd.tree-world.cleared"  # from kernel/cleared_outputs.py
NUMBERS = "text/csv+numbers"  # from kernel/figures.py; of figures, and for the site alone
_NOT_COMPARED = re.compile(r"#\s*NBVAL_IGNORE_OUTPUT")


def disagreements(page: Node, notebook: Any) -> list[Finding]:
    """List where a page does not show what its notebook stores.

    Parameters
    ----------
    page : dict
        Syntax tree of the page, as the engine writes it.
    notebook : notebook
        The reference notebook of its chapter.

    Returns
    -------
    list of Finding
        In order: of code cells their texts, of prose its values.
    """
    name = page["location"].lstrip("/")
    findings = []

    def add(place: str, fault: str) -> None:
        findings.append(Finding(name, place, f"{fault}; the notebook stores another"))

    shown = [node for node in walk(page["mdast"]) if node["type"] == "inlineExpression"]
    stored = [
        one
        for cell in notebook.cells
        for one in computed.entries(cell)
        if "repeats" not in one  # those are typed on the page
    ]
    if [node["value"] for node in shown] != [one["expression"] for one in stored]:
        return [Finding(name, "whole page", "its expressions are not those of the notebook")]
    for node, one in zip(shown, stored, strict=True):
        new = {"expression": node["value"], "result": node.get("result") or {"status": "error"}}
        if new["result"]["status"] != "ok":
            add(node["value"], "the site has no value")
        elif fault := compare_value(one, new):
            add(node["value"], fault)

    blocks = [node for node in walk(page["mdast"]) if node.get("kind") == "notebook-code"]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if len(blocks) != len(cells):
        return [Finding(name, "whole page", "its code cells are not those of the notebook")]
    for number, (block, cell) in enumerate(zip(blocks, cells, strict=True)):
        tags = cell.metadata.get("tags", [])
        if myst.SKIP in tags or "remove-output" in tags or _NOT_COMPARED.search(cell.source):
            continue
        outputs = [_whole(node) for node in walk(block) if node["type"] == "output"]
        if fault := compare_outputs(as_shown(cell.outputs), as_shown(outputs)):
            add(f"code cell {number}", fault)
    return findings


def _whole(node: Node) -> dict[str, Any]:
    """Output of the engine as one of a notebook; what is long it keeps in files."""
    output = dict(node.get("jupyter_data") or {})

    def content(of: dict[str, Any], key: str) -> str:
        if "path" in of and not str(of.get("content_type", "")).startswith("image/"):
            return (settings.CONTENT / "public" / Path(of["path"]).name).read_text()
        return str(of.get(key, ""))

    if "data" in output:
        output["data"] = {kind: content(one, "content") for kind, one in output["data"].items()}
    if output.get("output_type") == "stream":
        output["text"] = content(output, "text")
    return output


def as_shown(outputs: list[Any]) -> list[dict[str, Any]]:
    """Leave of outputs what a reader sees in the end: not what was cleared or written over."""
    left: list[dict[str, Any]] = []
    waits = False
    for output in outputs:
        cleared = output.get("data", {}).get(CLEARED)
        if cleared == "wait":
            waits = True
        elif cleared or waits:
            left, waits = [] if cleared else [_texts(output)], False
        else:
            left.append(_texts(output))
    return [_on_screen(one) for one in _joined_streams(left)]


def _joined_streams(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join what came of a stream in portions, for a terminal knows none."""
    joined: list[dict[str, Any]] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output["output_type"] == "stream" and last.get("name") == output["name"]:
            joined[-1] = {**last, "text": "".join(last["text"]) + "".join(output["text"])}
        else:
            joined.append(output)
    return joined


def _on_screen(output: dict[str, Any]) -> dict[str, Any]:
    if output["output_type"] != "stream":
        return output
    return {**output, "text": terminal.screen("".join(output["text"]))}


def _texts(output: Any) -> dict[str, Any]:
    """Leave out pictures, and the words and numbers that stand for them where there are none.

    Of Markdown, the site alone has HTML, too (``kernel/markdown.py``).
    """
    data = dict(output.get("data", {}))
    if "text/markdown" in data:
        data.pop("text/html", None)
    if any(kind.startswith("image/") for kind in data):
        data = {kind: one for kind, one in data.items() if not kind.startswith("image/")}
        data.pop("text/plain", None)
        data.pop(NUMBERS, None)
    return {**output, "data": data} if "data" in output else dict(output)
