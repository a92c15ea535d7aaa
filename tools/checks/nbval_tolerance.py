"""Run notebooks as readers get them, and compare: a plugin for pytest on top of nbval.

nbval runs each cell of a notebook where it lies, compares what it prints with what is stored, to
the letter, and leaves pictures out. Here the download is derived from each notebook, and run in a
folder that holds nothing else; numbers may differ a little, and pictures are compared:

- text must be the same, number by number and word by word. Whole numbers are compared exactly;
  another number may differ by ``RELATIVE_TOLERANCE`` of itself or by ``ABSOLUTE_TOLERANCE``,
  whichever is more;
- the values of expressions in prose, which nbval does not know of, are computed in the same kernel,
  each cell of prose at its place, and compared like text, but to ``RELATIVE_TOLERANCE`` alone: what
  is printed to two digits must keep them, however small it is;
- of the state of a figure that a reader can touch, words and whole numbers must be the same, and
  every other number to ``RELATIVE_TOLERANCE`` of the largest in its list;
- a picture must have the same size, and the root of the mean squared difference of its colour
  values (0 to 255) must not exceed ``PIXEL_TOLERANCE``.

Use: ``pytest --nbval -p tools.checks.nbval_tolerance book/notebooks``; reports name the references.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import nbformat
import numpy as np
import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError
from PIL import Image

from tools import computed, downloads, failures, myst, notebooks, settings
from tree_world.plotting.data.figure import MIME

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-6
PIXEL_TOLERANCE = 2.0

# A number, not a part of a word like "mp3"; thousands may be grouped by commas.
_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w])"
)
_WHOLE = re.compile(r"[-+−]?[\d,]+")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(parent: Any) -> Generator[None, list[Any], list[Any]]:
    """Collect notebooks as ours where nbval would."""
    collected = yield
    return [
        Notebook.made_from(parent, one.path) if type(one) is IPyNbFile else one for one in collected
    ]


def compare_text(stored: str, new: str, absolute: float = ABSOLUTE_TOLERANCE) -> str | None:
    """Compare two texts up to small differences of their numbers.

    Parameters
    ----------
    stored, new : str
    absolute : float, default=ABSOLUTE_TOLERANCE
        By how much a number that is not whole may differ, if that is more than the relative
        tolerance grants it.

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
            fault = _compare_numbers(stored_numbers[index], new_numbers[index], absolute)
            if fault:
                return fault
    if len(stored_words) != len(new_words):
        return f"{len(stored_numbers)} numbers became {len(new_numbers)}"
    return None


def _compare_numbers(stored: str, new: str, absolute: float) -> str | None:
    before, now = (float(text.replace(",", "").replace("−", "-")) for text in (stored, new))
    if _WHOLE.fullmatch(stored) or _WHOLE.fullmatch(new):
        if before == now:
            return None
        return f"number {stored} became {new}; whole numbers are compared exactly"
    if math.isclose(before, now, rel_tol=RELATIVE_TOLERANCE, abs_tol=absolute):
        return None
    return (
        f"number {stored} became {new}, more than the tolerance of {RELATIVE_TOLERANCE:g} "
        "relative" + (f" or {absolute:g} absolute" if absolute else "")
    )


def compare_value(stored: Any, new: Any) -> str | None:
    """Compare two values of an expression in prose.

    Parameters
    ----------
    stored, new : dict
        Entries as `tools.computed` describes them.

    Returns
    -------
    str or None
        What differs, in words; None if nothing does.
    """
    wrong = computed.fault(new)
    if wrong:
        return wrong
    if "result" not in stored:
        return "no value is stored. Run: make notebooks"
    before, now = (dict(one["result"].get("data", {})) for one in (stored, new))
    if sorted(before) != sorted(now):
        return f"{sorted(before)} became {sorted(now)}"
    for kind in sorted(before):
        texts = _joined(before[kind]), _joined(now[kind])
        fault = (
            compare_pictures(*texts) if kind == "image/png" else compare_text(*texts, absolute=0.0)
        )
        if fault:
            return f"{texts[0]} became {texts[1]}: {fault}" if kind == "text/plain" else fault
    return None


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


def compare_states(stored: str, new: str) -> str | None:
    """Compare two states of a figure that a reader can touch, given as JSON.

    Parameters
    ----------
    stored, new : str

    Returns
    -------
    str or None
        What differs, in words; None if nothing does.
    """
    before, now = (json.loads(text) for text in (stored, new))
    if before["name"] != now["name"]:
        return f"figure {before['name']} became {now['name']}"
    return _compare_parts(before["name"], json.loads(before["data"]), json.loads(now["data"]))


def _compare_parts(where: str, before: Any, now: Any) -> str | None:
    if isinstance(before, dict) and isinstance(now, dict) and sorted(before) == sorted(now):
        faults = (_compare_parts(f"{where}/{key}", before[key], now[key]) for key in before)
        return next(filter(None, faults), None)
    old, new = (_numbers(one) for one in (before, now))
    if old is not None and new is not None and old.shape == new.shape:
        if old.dtype.kind == new.dtype.kind == "i":
            away, allowed = float(np.abs(old - new).max(initial=0)), 0.0
        else:
            away = float(np.abs(old - new).max(initial=0.0))
            allowed = RELATIVE_TOLERANCE * float(np.abs(old).max(initial=0.0))
        return f"{where} differs by {away:g}, allowed are {allowed:g}" if away > allowed else None
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        faults = (_compare_parts(f"{where}/{index}", *pair) for index, pair in pairs)
        return next(filter(None, faults), None)
    return None if before == now else f"{where}: {before!r:.60} became {now!r:.60}"


def _numbers(value: Any) -> np.ndarray | None:
    """Numbers of a value as an array, if it holds nothing else."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    return array if array.dtype.kind in "if" and array.size else None


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
    stored, new = (flat(outputs) for outputs in (stored, new))
    kinds_before, kinds_now = ([kind for kind, _ in outputs] for outputs in (stored, new))
    if kinds_before != kinds_now:
        return f"outputs {kinds_before} became {kinds_now}"
    for (kind, before), (_, now) in zip(stored, new, strict=True):
        fault = _COMPARE.get(kind, compare_text)(before, now)
        if fault:
            return f"{kind}: {fault}"
    return None


_COMPARE = {"image/png": compare_pictures, MIME: compare_states}


def flat(outputs: list[Any]) -> list[tuple[str, str]]:
    """List kinds and contents. Streams are joined, as they may come in any portions."""
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
    if isinstance(content, dict):  # kept as JSON
        return json.dumps(content)
    return "".join(content) if isinstance(content, list) else str(content)


# --- notebooks, their kernels and their cells ----------------------------------------------------


class Notebook(IPyNbFile):  # type: ignore[misc]
    """The download of a notebook: its cells and, between them, the values of its prose."""

    download: Path
    broken: Exception | None = None

    @classmethod
    def made_from(cls, parent: Any, reference: Path) -> Notebook:
        """Derive the download of a notebook into an empty folder. Reports name the reference."""
        made: Notebook = cls.from_parent(parent, path=reference)
        folder = tempfile.TemporaryDirectory()
        parent.config.add_cleanup(folder.cleanup)
        made.download = Path(folder.name).resolve() / reference.name
        try:
            made.download.write_bytes(downloads.as_file(downloads.of(reference)))
        except (downloads.DownloadError, nbformat.ValidationError) as error:
            made.broken = error
        return made

    @property
    def fspath(self) -> Path:
        """Where nbval reads the notebook."""
        return self.download

    def setup(self) -> None:
        """Start a kernel where the download is, and nothing else."""
        if self.broken:
            return
        choice = self.config.option
        stored = self.nb.metadata.get("kernelspec", {}).get("name", "python")
        name = CURRENT_ENV_KERNEL_NAME if choice.nbval_current_env else choice.nbval_kernel_name
        timeout = choice.nbval_kernel_startup_timeout
        folder = str(self.download.parent)
        self.kernel = Kernel(name or stored, cwd=folder, startup_timeout=timeout)

    def collect(self) -> Iterator[pytest.Item]:
        """Collect what is to be run and compared, in its order."""
        if self.broken:
            yield Broken.from_parent(self, name="Download")
            return
        cells = {id(item.cell): item for item in super().collect()}
        lines = lines_of_values(self.path, self.nb)
        number = 0
        for index, cell in enumerate(self.nb.cells):
            skipped = notebooks.SKIP in cell.metadata.get("tags", [])
            if id(cell) in cells:
                item = cells[id(cell)]
                item.options["skip"] |= skipped
                parts = {name: getattr(item, name) for name in ("cell_num", "cell", "options")}
                yield Cell.from_parent(self, name=item.name, **parts)
                number += 1
            if lines[index] and not skipped:
                name = f"Values after Cell {number - 1}" if number else "Values at the beginning"
                if cell.cell_type == "code":
                    name = f"Repeats of Cell {number - 1}"
                name = f"{name} ({index})"
                yield Values.from_parent(self, name=name, cell=cell, lines=lines[index])


class Broken(pytest.Item):
    """What no reader can run, as it cannot be derived."""

    def runtest(self) -> None:
        """Fail by the reason."""
        assert isinstance(self.parent, Notebook)
        assert self.parent.broken is not None
        raise self.parent.broken

    def repr_failure(self, excinfo: Any, style: Any = None) -> str:
        """Say the reason, and nothing of how it was found."""
        return str(excinfo.value)


class Kernel(RunningKernel):  # type: ignore[misc]
    """A kernel that says when it has died."""

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> Any:
        """Run a cell. Without history, IPython does not see the semicolon that ends it."""
        return self.kc.execute(
            cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False
        )

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Wait for a reply, as long as the kernel lives."""
        self.reply_to(msg_id, math.inf if timeout is None else timeout)

    def reply_to(self, sent: str, timeout: float) -> dict[str, Any]:
        """Wait for a reply, as long as the kernel lives, and return what it holds.

        Parameters
        ----------
        sent : str
            Number of the message.
        timeout : float
            In seconds.

        Returns
        -------
        dict

        Raises
        ------
        queue.Empty
            If no reply comes in time.
        DeadError
            If the kernel dies.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                message = self.kc.get_shell_msg(timeout=1)
            except Empty:
                if not self.is_alive():
                    raise DeadError from None
                continue
            if message["parent_header"].get("msg_id") == sent:
                return dict(message["content"])
        raise Empty


class DeadError(Exception):
    """A kernel that died, in the cell that killed it or in one before."""


def _stop_if_dead(item: Any) -> None:
    died = getattr(item.parent, "died_in", None)
    if died:
        raise DeadError(f"Not run, as the kernel died in {died}.")


class Cell(IPyNbCell):  # type: ignore[misc]
    """A cell of code. Its outputs are compared with a tolerance."""

    def runtest(self) -> None:
        """Run the cell; say so if it kills the kernel."""
        try:
            _stop_if_dead(self)
            super().runtest()
        except DeadError as error:
            if not str(error):
                self.parent.died_in = f"Cell {self.cell_num}"
                error = DeadError(f"In this cell {failures.DIED}.")
            raise NbCellError(self.cell_num, str(error), self.cell.source) from None

    def compare_outputs(self, test: list[Any], ref: list[Any], skip_compare: Any = None) -> bool:
        """Compare what came with what is stored, and keep what differs for the report."""
        fault = compare_outputs(ref, test)
        self.comparison_traceback = [fault] if fault else []
        return fault is None

    def reportinfo(self) -> tuple[Path, int, str]:
        """Name the cell in reports."""
        return self.path, 0, f"{self.path.name}::{self.name}"


# --- values in prose -----------------------------------------------------------------------------


def lines_of_values(path: Path, download: Any) -> list[list[tuple[int, computed.Entry]]]:
    """List what must be compared of the prose of each cell, with lines of its chapter.

    Parameters
    ----------
    path : pathlib.Path
        The reference notebook; its chapter lies in the folder above, or beside it.
    download : notebook
        What was derived from it.

    Returns
    -------
    list of list of (int, dict)
        For each cell of the download its entries, without their values. Without a chapter, or with
        another, the lines are 0.
    """
    wanted = [[dict(computed.plain(one)) for one in computed.entries(c)] for c in download.cells]
    for folder in (path.parent.parent, path.parent):
        source = folder / f"{path.stem}.md"
        if source.exists():
            try:
                lines = iter([one for one in notebooks.value_lines(source) if one])
            except myst.ChapterError:
                break
            numbers = [next(lines, []) if one else [] for one in wanted]
            if [*map(len, numbers), sum(map(len, lines))] == [*map(len, wanted), 0]:
                pairs = zip(numbers, wanted, strict=True)
                return [list(zip(*pair, strict=True)) for pair in pairs]
    return [[(0, one) for one in cell] for cell in wanted]


class ValuesError(Exception):
    """Values that differ. The message names each: chapter, line, expression, old and new."""


class Values(pytest.Item):
    """The values of one cell of prose, or of what the caption of a code cell repeats."""

    def __init__(self, *, cell: Any, lines: Any, **options: Any) -> None:
        super().__init__(**options)
        self.cell = cell
        self.lines = lines

    def runtest(self) -> None:
        """Compute all values of the cell at this place, and compare each."""
        kernel: Any = getattr(self.parent, "kernel")  # noqa: B009
        _stop_if_dead(self)
        asked = [one for _, one in self.lines]
        sent = kernel.kc.execute(
            "", store_history=False, allow_stdin=False, user_expressions=computed.requests(asked)
        )
        reply = kernel.reply_to(sent, settings.CELL_TIMEOUT_SECONDS)
        stored = computed.entries(self.cell)
        faults = []
        for position, new in enumerate(computed.results(asked, reply)):
            line, one = self.lines[position]
            fault = compare_value(stored[position], new)
            if fault:
                where = f"{self.path.stem}.md" + (f", line {line}" if line else "")
                faults.append(f"{where}, {one['expression']}: {fault}")
        if faults:
            raise ValuesError("\n".join(faults))

    def repr_failure(self, excinfo: Any, style: Any = None) -> str:
        """Say what differs, and nothing of how it was found."""
        if isinstance(excinfo.value, ValuesError | DeadError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Name the item in reports."""
        return self.path, 0, f"{self.path.name}::{self.name}"
