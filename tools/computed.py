"""Values in prose: planned for each cell of a notebook, computed in its kernel, compared.

They are kept where JupyterLab's extension for MyST keeps them, in the metadata of cells:
``{"user_expressions": [{"expression": "…", "result": {"status": "ok", "data": {…}, …}}, …]}``. One
that a typed number repeats has ``"repeats": "the text that was typed"`` beside it.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from tools import myst

KEY = "user_expressions"

Entry = dict[str, Any]

_NUMBER = re.compile(r"(?<![\w.])(?P<sign>[-−+]?)(?P<digits>\d+(?:,\d{3})*)(?P<rest>\.\d+)?")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{4,}|(?<![\w.])/(?:home|tmp|root|usr|Users|var)/")


def entry(item: myst.Expression | myst.Repeat) -> Entry:
    """Plan to compute an expression: what is stored of it before it has a value."""
    if isinstance(item, myst.Repeat):
        return {"expression": item.code, "repeats": item.typed}
    return {"expression": item.code}


def entries(cell: Any) -> list[Entry]:
    """List the stored or planned values of a cell."""
    return list(cell.metadata.get(KEY, []))


def plain(entry: Entry) -> Entry:
    """Return an entry without its value: what was asked for."""
    return {key: value for key, value in entry.items() if key != "result"}


def requests(asked: list[Entry]) -> dict[str, str]:
    """User expressions for a request to the kernel, by their numbers."""
    return {
        str(number): _as_number(one["expression"]) if "repeats" in one else one["expression"]
        for number, one in enumerate(asked)
    }


def _as_number(code: str) -> str:
    # A number in full precision, whatever type it has; a text as it is.
    return f"[_ if isinstance(_, str) else float(_) for _ in [{code}]][0]"


def results(asked: list[Entry], reply: dict[str, Any]) -> list[Entry]:
    """Put the values that a kernel replied into entries."""
    values = reply.get(KEY) or {}
    lost = {"status": "error", "ename": "KernelError", "evalue": "the kernel gave no value"}
    return [
        {**plain(one), "result": _tidy(values.get(str(number), lost))}
        for number, one in enumerate(asked)
    ]


def _tidy(result: dict[str, Any]) -> dict[str, Any]:
    if result["status"] != "ok":
        return {key: result[key] for key in ("status", "ename", "evalue")}
    return {key: result[key] for key in ("status", "data", "metadata")}


def fault(done: Entry) -> str | None:
    """Say what is wrong with a value by itself: an error, or something of its time and place.

    Returns
    -------
    str or None
        In words; None if it can be stored.
    """
    code, result = done["expression"], done["result"]
    if result["status"] != "ok":
        return f"{code} failed: {result['ename']}: {result['evalue']}"
    text = shown(result)
    if _ADDRESS.search(text):
        return f"{code} is {text!r}, which is different in every run. Name the part that is meant"
    if "repeats" in done:
        return mismatch(done["repeats"], code, text)
    return None


def shown(result: dict[str, Any]) -> str:
    """Text of a value, as it is stored."""
    data = result.get("data", {})
    if "text/plain" in data:
        return str(data["text/plain"])
    return str(next(iter(data.values()), ""))


def mismatch(typed: str, code: str, text: str) -> str | None:
    """Compare a typed text with the value that it repeats.

    Parameters
    ----------
    typed : str
        As it stands in the chapter, with one number in it, for example ``"1,024 places"``.
    code : str
        The expression.
    text : str
        Its value, as Python prints it: a number or a text.

    Returns
    -------
    str or None
        What differs, in words; None if the value, formatted as it was typed, is what was typed.
    """
    value = ast.literal_eval(text) if text not in ("nan", "inf", "-inf") else float(text)
    if isinstance(value, str):
        formatted: str | None = value
    else:
        formatted = as_typed(typed, value)
        if formatted is None:
            return f"{typed!r} must hold exactly one number, for {code} is {value:g}"
    if formatted == typed:
        return None
    return f"{typed!r} was typed, but {code} is {formatted!r}"


def as_typed(typed: str, value: float) -> str | None:
    """Format a number as another was typed: sign, thousands, decimals, per cent.

    Returns
    -------
    str or None
        The text with the number in the place of the other; None if it holds not exactly one.
    """
    found = list(_NUMBER.finditer(typed))
    if len(found) != 1:
        return None
    match = found[0]
    if re.match(r"\s*%", typed[match.end() :]):
        value = value * 100
    decimals = len(match["rest"]) - 1 if match["rest"] else 0
    grouped = "," if "," in match["digits"] or len(match["digits"]) < 4 else ""
    number = format(abs(value), f"{grouped}.{decimals}f")
    sign = "" if value >= 0 else "-"
    if match["sign"] and (value < 0 or match["sign"] == "+"):
        sign = match["sign"]
    return typed[: match.start()] + sign + number + typed[match.end() :]


def names_something(code: str) -> bool:
    """Whether an expression depends on anything that a chapter computes."""
    try:
        tree = ast.parse(code.strip(), mode="eval")
    except SyntaxError:
        return True  # the kernel will say so
    return any(isinstance(node, ast.Name) for node in ast.walk(tree))
