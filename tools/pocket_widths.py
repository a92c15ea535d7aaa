"""How wide formulas are, by estimate: a reader of EPUB cuts those that do not fit."""

from __future__ import annotations

from typing import Any

LINE = 20.0
"""Letters' heights that fit into a line of a small reader, beside the number of an equation."""
LEAST = 0.5
"""No formula is set in smaller letters than this share of the text's."""

_SCRIPT = 0.71  # how much smaller an index is
_LETTER = 0.53
_AROUND = 0.45  # what is left free around an operator
_BESIDE = {"msub", "msup", "msubsup"}
_ABOVE = {"munder", "mover", "munderover"}


def share(formula: Any) -> float:
    """Say how large a displayed formula may be, as a share of the text around it.

    Parameters
    ----------
    formula : Element
        MathML.

    Returns
    -------
    float
        One for a formula that fits a line of any reader.
    """
    return max(LEAST, min(1.0, LINE / max(width(formula), 1.0)))


def width(part: Any) -> float:
    """Estimate the width of a part of a formula, in heights of a letter."""
    name = part.tag.rpartition("}")[2]
    parts = [width(child) for child in part]
    if name in ("annotation", "annotation-xml"):
        return 0.0
    if name == "mspace":
        told = part.get("width", "")
        return float(told[:-2]) if told.endswith("em") else 0.0
    if not parts:
        text = (part.text or "").strip("\u2061\u200b")
        around = _AROUND if name == "mo" and len(text) == 1 and not text.isalpha() else 0.0
        return _LETTER * len(text) + (around if text not in ("(", ")", "[", "]", ",") else 0.0)
    if name in _BESIDE:
        return parts[0] + _SCRIPT * max(parts[1:])
    if name in _ABOVE:
        return max(parts[0], *(_SCRIPT * one for one in parts[1:]))
    if name == "mfrac":
        return max(parts) + 0.2
    if name == "mtable":
        return max(parts)
    if name == "mtr":
        return sum(parts) + 0.8 * (len(parts) - 1)
    return sum(parts)
