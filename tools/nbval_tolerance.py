"""Compare notebook outputs with a tolerance: a plugin for pytest on top of nbval.

nbval runs each cell of a notebook and compares what it prints with what is stored, to the letter,
and leaves pictures out. Here numbers may differ a little and pictures are compared:

- text must be the same, number by number and word by word; a number may differ by
  ``RELATIVE_TOLERANCE`` of itself or by ``ABSOLUTE_TOLERANCE``, whichever is more;
- a picture must have the same size, and the root of the mean squared difference of its colour
  values (0 to 255) must not exceed ``PIXEL_TOLERANCE``.

Use: ``pytest --nbval -p tools.nbval_tolerance book/notebooks``
"""

from __future__ import annotations

import base64
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell
from PIL import Image

from tools import settings

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-6
PIXEL_TOLERANCE = 2.0

# A number, not a part of a word like "mp3"; thousands may be grouped by commas.
_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w])"
)


def pytest_configure(config: pytest.Config) -> None:
    """Put the comparison, and the way to run a cell, in the place of nbval's."""
    IPyNbCell.compare_outputs = _compare_cell
    RunningKernel.execute_cell_input = _execute_cell
    RunningKernel.__init__ = _start_kernel


def compare_text(stored: str, new: str) -> str | None:
    """Compare two texts up to small differences of their numbers.

    Parameters
    ----------
    stored, new : str

    Returns
    -------
    str or None
        What differs, in words; None if nothing does.
    """
    stored_numbers, new_numbers = _NUMBER.findall(stored), _NUMBER.findall(new)
    stored_words, new_words = _NUMBER.split(stored), _NUMBER.split(new)
    for index, (before, now) in enumerate(zip(stored_words, new_words, strict=False)):
        if before != now:
            return f"text {before!r} became {now!r}"
        if index < min(len(stored_numbers), len(new_numbers)):
            fault = _compare_numbers(stored_numbers[index], new_numbers[index])
            if fault:
                return fault
    if len(stored_words) != len(new_words):
        return f"{len(stored_numbers)} numbers became {len(new_numbers)}"
    return None


def _compare_numbers(stored: str, new: str) -> str | None:
    before, now = (float(text.replace(",", "").replace("−", "-")) for text in (stored, new))
    if math.isclose(before, now, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE):
        return None
    return (
        f"number {stored} became {new}, more than the tolerance of {RELATIVE_TOLERANCE:g} "
        f"relative or {ABSOLUTE_TOLERANCE:g} absolute"
    )


def compare_pictures(stored: str, new: str) -> str | None:
    """Compare two PNG files, given in base64.

    Parameters
    ----------
    stored, new : str

    Returns
    -------
    str or None
        What differs, in words; None if nothing visible does.
    """
    before, now = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), dtype=np.float64)
        for data in (stored, new)
    )
    if before.shape != now.shape:
        return (
            f"a picture of {before.shape[1]} × {before.shape[0]} dots became one of "
            f"{now.shape[1]} × {now.shape[0]}"
        )
    difference = float(np.sqrt(np.mean((before - now) ** 2)))
    if difference <= PIXEL_TOLERANCE:
        return None
    return f"a picture differs by {difference:.2f} (RMS of 0 to 255), tolerance {PIXEL_TOLERANCE:g}"


def compare_outputs(stored: list[Any], new: list[Any]) -> str | None:
    """Compare all outputs of a cell.

    Parameters
    ----------
    stored, new : list of notebook outputs

    Returns
    -------
    str or None
        The first difference, in words; None if there is none.
    """
    stored, new = (_flat(outputs) for outputs in (stored, new))
    kinds_before, kinds_now = ([kind for kind, _ in outputs] for outputs in (stored, new))
    if kinds_before != kinds_now:
        return f"outputs {kinds_before} became {kinds_now}"
    for (kind, before), (_, now) in zip(stored, new, strict=True):
        compare = compare_pictures if kind == "image/png" else compare_text
        fault = compare(before, now)
        if fault:
            return f"{kind}: {fault}"
    return None


def _flat(outputs: list[Any]) -> list[tuple[str, str]]:
    """Pairs of a kind and its content. Streams are joined, as they may come in any portions."""
    flat: list[tuple[str, str]] = []
    for output in outputs:
        for kind, content in sorted(output.get("data", {}).items()):
            flat.append((kind, _joined(content)))
        if output["output_type"] == "stream":
            portion = _joined(output["text"])
            if flat and flat[-1][0] == output["name"]:
                portion = flat.pop()[1] + portion
            flat.append((output["name"], portion))
        if output["output_type"] == "error":
            flat.append(("error", f"{output['ename']}: {output['evalue']}"))
    return flat


def _joined(content: Any) -> str:
    return "".join(content) if isinstance(content, list) else str(content)


def _compare_cell(self: Any, test: list[Any], ref: list[Any], skip_compare: Any = None) -> bool:
    fault = compare_outputs(ref, test)
    self.comparison_traceback = [fault] if fault else []
    return fault is None


def _execute_cell(self: Any, cell_input: str, allow_stdin: bool | None = None) -> Any:
    # nbval stores no history, without which IPython does not see the semicolon that ends a cell.
    return self.kc.execute(
        cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False
    )


_start = RunningKernel.__init__


def _start_kernel(self: Any, kernel_name: str, cwd: str | None = None, **options: Any) -> None:
    # A chapter runs in the folder of its source, one above that of the reference notebooks.
    folder = Path(cwd) if cwd else None
    if folder is not None and folder.name == settings.NOTEBOOKS.name:
        folder = folder.parent
    _start(self, kernel_name, cwd=str(folder) if folder else None, **options)
