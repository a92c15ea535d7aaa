"""Run everything that checks the project.

Usage: ``python -m tools.run_tests [--force]``

When nothing has changed since the last green run, there is nothing to do; ``--force`` or the
environment variable ``CI`` runs everything all the same.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

from tools import colophons, editions, settings, takeaway
from tools.state import project_digest
from tree_world.files import write_atomically

REPORT = settings.CACHE / "pytest.xml"
STAMP = settings.CACHE / "tested"

PYTEST = [
    *(sys.executable, "-m", "pytest", "--no-header", f"--junitxml={REPORT}"),
    *("-p", "tools.checks.nbval_tolerance", "--nbval"),
    # Two at a time, each file in one process: the cells of a notebook share a kernel. It runs as
    # readers get it, in an empty folder.
    *("--numprocesses=2", "--dist=loadfile"),
    # What takes longest comes first: the notebooks, and then as `tests/conftest.py` sorts.
    *("--no-loadscope-reorder", f"--nbval-cell-timeout={settings.CELL_TIMEOUT_SECONDS}"),
    *("book/notebooks", "tests"),
]
STEPS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy", "--no-error-summary"],
    "book": [sys.executable, "-m", "tools.build"],
    "tests": PYTEST,
}


# Runs while the next one does, as the build keeps one processor busy.
BESIDE = {"types"}


def main() -> int:
    """Run all steps, and say in one line what came of it."""
    started = time.monotonic()
    state = project_digest()
    forced = "--force" in sys.argv or bool(os.environ.get("CI"))
    if not forced and state and STAMP.exists() and STAMP.read_text() == state:
        print("Nothing has changed since the last green run. To run it again: make test FORCE=1")
        return 0
    for path in (STAMP, REPORT, settings.CONFIRMED):
        path.unlink(missing_ok=True)
    failed = []
    environment = settings.kernel_environment()
    beside = {}
    for name, command in STEPS.items():
        print(f"Checking {name} ...", flush=True)
        kept_back = subprocess.PIPE if name in BESIDE else None
        begun = subprocess.Popen(
            command,
            cwd=settings.ROOT,
            env=environment,
            stdout=kept_back,
            stderr=kept_back and subprocess.STDOUT,
        )
        if name in BESIDE:
            beside[name] = begun
            continue
        failed += _ended({name: begun, **beside})
        beside = {}
    failed += _ended(beside)
    seconds = time.monotonic() - started
    if failed:
        print(f"Failed: {', '.join(failed)} ({count_tests()}, {seconds:.0f} s).", file=sys.stderr)
        return 1
    if state == project_digest():  # else somebody edited while we were busy
        write_atomically(STAMP, state.encode())
        confirm()
        colophons.renew()
        takeaway.renew()
    print(f"Tested: style, types, book, {count_tests()} in {seconds:.0f} s; site in _build/html")
    return 0


def _ended(processes: dict[str, subprocess.Popen[bytes]]) -> list[str]:
    """Wait for processes, show what they kept back, and name those that failed."""
    for process in processes.values():
        said, _ = process.communicate()
        if said:
            print(said.decode(), end="", flush=True)
    return [name for name, process in processes.items() if process.returncode != 0]


def confirm() -> None:
    """Write down what was tested: the state of each page, for its colophon to say when."""
    pages = {path.stem: settings.page_digest(path) for path in sorted(settings.BOOK.glob("*.md"))}
    changes = editions.git(settings.ROOT, "status", "--porcelain")
    stamp = {
        "commit": editions.git(settings.ROOT, "rev-parse", "HEAD"),
        "clean": not changes,
        "date": datetime.date.today().isoformat(),
        "pages": pages,
    }
    write_atomically(settings.CONFIRMED, (json.dumps(stamp, indent=1) + "\n").encode())


def count_tests() -> str:
    """Say how many tests were run, by pytest's report."""
    if not REPORT.exists():
        return "no tests run"
    suites = list(ElementTree.parse(REPORT).getroot().iter("testsuite"))
    total, failures, errors, skipped = (
        sum(int(suite.get(key, 0)) for suite in suites)
        for key in ("tests", "failures", "errors", "skipped")
    )
    text = f"{total - failures - errors - skipped} tests passed"
    if failures + errors:
        text += f", {failures + errors} failed"
    return text + (f", {skipped} skipped" if skipped else "")


if __name__ == "__main__":
    sys.exit(main())
