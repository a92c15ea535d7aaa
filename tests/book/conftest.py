"""Fixtures for what is built from the book."""

import functools
import http.server
import os
import shutil
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tools import browser as system_browser
from tools import build, notebooks, settings

SPECIMEN = Path(__file__).with_name("specimen")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def unavailable():
    """Skip a test where something is missing, but never let it pass unnoticed in CI."""

    def stop(reason):
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    return stop


@pytest.fixture(scope="session")
def built_site(unavailable):
    """The website, as ``make build`` leaves it."""
    if not (settings.SITE / "index.html").exists():
        unavailable("the book is not built: run make build")
    return settings.SITE


@contextmanager
def project(folder):
    """Let the build work on another folder than this repository."""
    contents = folder / "myst.yml"
    theme = os.path.relpath(settings.THEME, folder)
    contents.write_text(contents.read_text().replace("THEME", theme))
    with pytest.MonkeyPatch.context() as patch:
        binaries = str(Path(sys.executable).parent)
        patch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
        patch.setattr(settings, "ROOT", folder)
        patch.setattr(settings, "SITE", folder / "_build" / "html")
        patch.setattr(settings, "CONTENT", folder / "_build" / "site")
        patch.setattr(settings, "CACHE", folder / ".cache")
        yield patch


@pytest.fixture(scope="session")
def specimen(tmp_path_factory):
    """Build a small book with everything that a chapter may hold; the folder of its site."""
    folder = tmp_path_factory.mktemp("specimen")
    shutil.copytree(SPECIMEN, folder, dirs_exist_ok=True)
    with project(folder):
        # Its notebook is not executed: that it can be taken along is all that is asked of it.
        (folder / "notebooks").mkdir()
        notebook = notebooks.nbformat.writes(notebooks.from_chapter(folder / "cells.md"))
        (folder / "notebooks" / "cells.ipynb").write_text(notebook)
        assert build.run_engine() == 2
        return settings.SITE


@pytest.fixture(scope="session")
def theme_assets():
    """Fill the theme's ``public`` folder once for all builds."""
    build.theme_assets()


@pytest.fixture
def small_project(tmp_path, theme_assets):
    """A book of one chapter, ``chapter.md``, to be broken by the test; with the settings' patch."""
    (tmp_path / "myst.yml").write_text(
        "version: 1\nproject:\n  title: Small\n  toc:\n    - file: chapter.md\n"
        "site:\n  template: THEME\n"
    )
    with project(tmp_path) as patch:
        patch.setattr(build, "theme_assets", lambda: None)
        yield tmp_path, patch


# --- a browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser(unavailable):
    if system_browser.find() is None:
        unavailable(system_browser.MISSING)
    with sync_playwright() as playwright:
        browser = system_browser.launch(playwright)
        yield browser
        browser.close()


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


@pytest.fixture
def open_page(browser, address):
    """Open a page of the book; at the end, nothing may have gone wrong on any of them."""
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

    yield open_
    for context in contexts:
        context.close()
    assert problems == []
