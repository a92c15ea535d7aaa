"""Fixtures for what is built from the book."""

import fcntl
import functools
import http.server
import os
import shutil
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import html5lib
import pytest

from tools import build, notebooks, settings

SPECIMEN = Path(__file__).with_name("specimen")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@functools.cache
def parsed(html):
    """A page as a tree, which all tests of a process share: they look at it, and change nothing."""
    return html5lib.parse(html, namespaceHTMLElements=False)


@pytest.fixture(scope="session")
def built_site(unavailable):
    """The website, as ``make build`` leaves it."""
    if not (settings.SITE / "index.html").exists():
        unavailable("the book is not built: run make build")
    return settings.SITE


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A folder that all processes of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def once(run_folder):
    """Let one process of this run make something, and the others wait for it."""

    def once_(name, make):
        made = run_folder / f"{name}.made"
        with (run_folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                make()
                made.touch()

    return once_


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """What builds may take over from earlier ones, as an author's do: fonts, and compiled scripts.

    Each process has its own, as two builds of one folder never run side by side.
    """
    folder = tmp_path_factory.mktemp("kept")
    (folder / "images").mkdir()
    return folder


@contextmanager
def project(folder, kept):
    """Let the build work on another folder than this repository."""
    contents = folder / "myst.yml"
    theme = os.path.relpath(settings.THEME, folder)
    contents.write_text(contents.read_text().replace("THEME", theme))
    (folder / ".cache").mkdir(exist_ok=True)
    (folder / ".cache" / "images").symlink_to(kept / "images")
    with pytest.MonkeyPatch.context() as patch:
        binaries = str(Path(sys.executable).parent)
        patch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("NODE_COMPILE_CACHE", str(kept / "scripts"))
        patch.setattr(settings, "ROOT", folder)
        patch.setattr(settings, "SITE", folder / "_build" / "html")
        patch.setattr(settings, "CONTENT", folder / "_build" / "site")
        patch.setattr(settings, "CACHE", folder / ".cache")
        yield patch


@pytest.fixture(scope="session")
def theme_assets(once):
    """Fill the theme's ``public`` folder once for all builds."""
    once("theme_assets", build.theme_assets)


@pytest.fixture(scope="session")
def specimen(run_folder, once, kept, theme_assets):
    """Build a small book with everything that a chapter may hold; the folder of its site."""
    folder = run_folder / "specimen"

    def make():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SPECIMEN, folder)
        with project(folder, kept) as patch:
            patch.setattr(build, "theme_assets", lambda: None)
            # Its notebook is not executed: that it can be taken along is all that is asked of it.
            (folder / "notebooks").mkdir()
            notebook = notebooks.nbformat.writes(notebooks.from_chapter(folder / "cells.md"))
            (folder / "notebooks" / "cells.ipynb").write_text(notebook)
            assert build.run_engine(for_paper=True) == 3

    once("specimen", make)
    return folder / "_build" / "html"


@contextmanager
def one_chapter(folder, kept):
    """A book of one chapter, ``chapter.md``, that is yet to be written."""
    (folder / "myst.yml").write_text(
        "version: 1\nproject:\n  title: Small\n  toc:\n    - file: chapter.md\n"
        "site:\n  template: THEME\n"
    )
    with project(folder, kept) as patch:
        patch.setattr(build, "theme_assets", lambda: None)
        patch.setattr(build.paper, "make", lambda: None)
        yield patch


@pytest.fixture
def small_project(tmp_path, theme_assets, kept):
    """A book of one chapter, ``chapter.md``, to be broken by the test; with the settings' patch."""
    with one_chapter(tmp_path, kept) as patch:
        yield tmp_path, patch


# --- a browser -----------------------------------------------------------------------------------


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def served(built_site, tmp_path_factory):
    """Address of the book on a server, two folders below its root."""
    root = tmp_path_factory.mktemp("server")
    (root / "some").mkdir()
    (root / "some" / "where").symlink_to(built_site)
    handler = functools.partial(QuietHandler, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/where/"
        server.shutdown()


@pytest.fixture(params=["from disk", "from a server"])
def address(request, built_site):
    """Where the book is, with a slash at the end."""
    if request.param == "from disk":
        return built_site.as_uri() + "/"
    return request.getfixturevalue("served")


@contextmanager
def opening(browser, address):
    """Open pages of the book; at the end, nothing may have gone wrong on any of them."""
    problems = []
    contexts = []

    def watch(page):
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))

        def on_failure(request):
            # A reader who is quick leaves a page before its icon has come.
            if request.failure != "net::ERR_ABORTED":
                problems.append(f"failed: {request.url}: {request.failure}")

        page.on("requestfailed", on_failure)

        def on_console(message):
            if message.type in ("error", "warning"):
                problems.append(f"console: {message.text}")

        def on_response(response):
            if response.status >= 400:
                problems.append(f"status {response.status}: {response.url}")

        def on_request(request):
            if not request.url.startswith((address, "data:")):
                problems.append(f"foreign: {request.url}")

        page.on("console", on_console)
        page.on("response", on_response)
        page.on("request", on_request)
        return page

    def open_(path, **options):
        contexts.append(browser.new_context(**({"viewport": DESK} | options)))
        page = watch(contexts[-1].new_page())
        page.goto(address + path)
        return page

    try:
        yield open_
    finally:
        for context in contexts:
            context.close()
    assert problems == []


@pytest.fixture
def open_page(browser, address):
    """Open a page of the book; at the end, nothing may have gone wrong on any of them."""
    with opening(browser, address) as open_:
        yield open_
