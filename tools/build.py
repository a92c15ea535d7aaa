"""Make the website: run the engine, check the result.

Usage: ``python -m tools.build [--force]``

When nothing has changed since the site was built, there is nothing to do; ``--force`` builds it all
the same.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import origins
from tools import (
    browser,
    colophons,
    downloads,
    failures,
    notebooks,
    packing,
    paper,
    reference,
    settings,
    state,
    takeaway,
)
from tools.checks import check_site
from tools.engine import plain
from tools.pocket_pages import PocketError
from tools.printing import PrintError
from tree_world.files import write_atomically

ENGINE = ["jupyter", "book", "build", "--html", "--execute", "--strict"]

# The engine reports these and may still exit with 0.
_COMPLAINT = re.compile(r"⛔|🛑|⚠️|Cannot render|Traceback|ECONNREFUSED|Error:")


class BuildError(Exception):
    """The book could not be built. The message says why, and what the engine printed."""


def main() -> int:
    """Build and check the site, and say what was made."""
    started = time.monotonic()
    with _only_build():
        if "--force" not in sys.argv and _is_current():
            print("Nothing has changed since the last build. To build again: make build FORCE=1")
            return 0
        shutil.rmtree(settings.SITE, ignore_errors=True)
        try:
            executed = run_engine(for_paper=browser.find() is not None)
            colophons.renew()
            _renew_downloads()
            findings, summary = check_site.check_book()
            if findings:
                raise BuildError("\n".join(["The site has faults:", *map(str, findings)]))
            _renew_what_is_taken_along()
            write_atomically(_stamp(), state.site_digest().encode())
        except BaseException as error:
            # A site that failed must not be taken for one that did not.
            shutil.rmtree(settings.SITE, ignore_errors=True)
            if isinstance(error, BuildError):
                print(f"{error}\nThe book was not built.", file=sys.stderr)
                return 1
            raise
    seconds = time.monotonic() - started
    index = (settings.SITE / "index.html").relative_to(settings.ROOT)
    for study in origins.stored(settings.ROOT):
        if not study.current:
            print(f"Older than the code that makes it: the study {study}")
    print(f"Built {summary}, {executed} executed anew, in {seconds:.0f} s: {index}")
    return 0


def _is_current() -> bool:
    digest = state.site_digest() if _stamp().exists() else ""
    return bool(digest) and _stamp().read_text() == digest


def _stamp() -> Path:
    return settings.CACHE / "built"  # what the last build left: the state in which it was made


@contextmanager
def _only_build() -> Iterator[None]:
    settings.CACHE.mkdir(exist_ok=True)
    with (settings.CACHE / "build.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another build of this folder is under way. Wait for it, or stop it.")
        yield


def _renew_downloads() -> None:
    home = os.environ.get("BOOK_URL") or ".."
    try:
        downloads.renew(home.rstrip("/") + "/")
    except downloads.DownloadError as error:
        raise BuildError(f"A notebook could not be made ready to be downloaded: {error}") from error


def _renew_what_is_taken_along() -> None:
    try:
        paper.make()
        takeaway.renew()
    except PrintError as error:
        raise BuildError(f"The PDF could not be made: {error}") from error
    except PocketError as error:
        raise BuildError(f"The EPUB could not be made: {error}") from error


def theme_assets() -> None:
    """Fill the theme's ``public`` folder."""
    subprocess.run(
        ["npm", "run", "--silent", "assets"],
        cwd=settings.THEME,
        env=settings.site_environment(),
        check=True,
    )


def run_engine(*, for_paper: bool = False) -> int:
    """Run the engine, with progress, under a time limit.

    Parameters
    ----------
    for_paper : bool, optional
        Whether the theme writes the document for `tools.paper` as well.

    Returns
    -------
    int
        How many chapters were executed rather than taken from the cache.

    Raises
    ------
    BuildError
        If the engine fails, complains, or takes too long.
    """
    try:
        reference.make(settings.ROOT)
    except ValueError as error:
        raise BuildError(str(error)) from error
    sources = settings.pages()
    refused = [why for page in sources if page.exists() for why in notebooks.refusals(page)]
    if refused:
        raise BuildError("\n".join(refused))
    theme_assets()
    environment = settings.site_environment()
    if for_paper:
        environment["BOOK_PAPER"] = str(paper.source())
        environment["BOOK_PDF"] = f"downloads/{packing.PDF}"
    log = Path(environment["TREE_WORLD_CELL_LOG"])
    log.unlink(missing_ok=True)
    if not Path(environment["TREE_WORLD_CELL_TIMES"]).exists():
        # Outputs that were kept, but not their times, are made again.
        shutil.rmtree(settings.ROOT / "_build" / "execute", ignore_errors=True)
    engine = subprocess.Popen(
        ENGINE,
        cwd=settings.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that its servers and kernels can be ended with it
    )
    assert engine.stdout is not None
    late = threading.Event()

    def stop() -> None:
        late.set()
        end_group(engine.pid)

    watchdog = threading.Timer(settings.BUILD_TIMEOUT_SECONDS, stop)
    watchdog.start()
    printed: list[str] = []
    executed = 0
    try:
        for line in engine.stdout:
            printed.append(line.rstrip())
            if "Executing notebook" in line:
                executed += 1
                print(f"Executing {_between(line, '(', ')')} ...", flush=True)
            elif "📖 Built" in line:
                print(line.replace("📖", "").strip(), flush=True)
        code = engine.wait()
    finally:
        watchdog.cancel()
        watchdog.join()
        end_group(engine.pid)
    output, known = plain("\n".join(printed)), failures.of_pages(log, sources)
    if late.is_set():
        raise BuildError(
            f"{output}\nThe engine did not finish within {settings.BUILD_TIMEOUT_SECONDS} seconds."
        )
    if code != 0 and known:
        raise BuildError("\n".join(known))
    if code != 0:
        raise BuildError(f"{output}\nThe engine failed with exit status {code}.")
    complaints = [plain(line) for line in printed if _COMPLAINT.search(line)]
    if complaints:
        raise BuildError("\n".join([output, "The engine complained:", *complaints]))
    if not (settings.SITE / "index.html").exists():
        raise BuildError(f"{output}\nThe engine made no index.html.")
    return executed


def _between(line: str, left: str, right: str) -> str:
    return line.partition(left)[2].partition(right)[0]


def end_group(leader: int) -> None:
    """End a process that was started in a session of its own, with all that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader, sign)
        except ProcessLookupError:
            return
        time.sleep(0.3)


if __name__ == "__main__":
    sys.exit(main())
