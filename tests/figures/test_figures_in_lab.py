"""The same figures in JupyterLab, through anywidget: moved by keys there, and from Python."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

from tools import lab, notebooks, settings
from tree_world.plotting.data import TouchableFigure
from tree_world.plotting.data.figure import SCRIPTS

CHAPTER = settings.BOOK / "02-spatial-memory.md"

PATIENCE = 180  # seconds, for a machine with much to do


def beginning_of_a_chapter():
    """The cells of a chapter up to a figure that can be touched."""
    whole = notebooks.from_chapter(CHAPTER)
    code = [cell for cell in whole.cells if cell.cell_type == "code"]
    last = next(n for n, cell in enumerate(code) if "data.read(" in cell.source)
    needed = [
        cell for cell in code[: last + 1] if "hide-input" not in cell.metadata.get("tags", [])
    ]
    notebook = nbformat.v4.new_notebook(cells=needed, metadata=whole.metadata)
    return nbformat.writes(notebook)


@contextlib.contextmanager
def laboratory(folder):
    """JupyterLab as `make lab` starts it, in a folder; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        *("--no-browser", "--allow-root", f"--ServerApp.port={port}", "--IdentityProvider.token="),
        *(f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"),
    ]
    command = [sys.executable, "-m", "tools.lab", *options]
    with subprocess.Popen(
        command,
        cwd=settings.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            address = f"http://127.0.0.1:{port}/"
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{address}api")
                    break
                assert server.poll() is None, "JupyterLab has ended"
                assert time.monotonic() < deadline
                time.sleep(0.5)
            yield address
        finally:
            os.killpg(server.pid, 15)


def test_a_figure_of_a_chapter_is_moved_in_jupyterlab(tmp_path, browser):
    (tmp_path / "chapter.ipynb").write_text(beginning_of_a_chapter())
    with laboratory(tmp_path) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{address}lab/tree/chapter.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.isReady")
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        figure = page.locator(".jp-OutputArea-output .touch")
        figure.locator("canvas").wait_for()
        figure.scroll_into_view_if_needed()
        told = figure.locator(".touch-told").inner_text()
        assert "effective number" in told
        handle = figure.locator(".touch-handle").bounding_box()
        assert min(handle["width"], handle["height"]) >= 43.9  # so the style has come, too
        figure.locator("input[type=range]").first.focus()
        page.keyboard.press("Shift+ArrowRight")
        page.wait_for_function(
            "(before) => document.querySelector('.touch-told').innerText !== before", arg=told
        )
        page.close()


@pytest.fixture(scope="module")
def scripts():
    return lab.bundled_figures()


FIGURE = TouchableFigure("read", {"query": [0.0, 0.0]})


def test_a_widget_is_moved_from_python(scripts):
    widget = FIGURE.widget(scripts)
    assert widget.data == FIGURE.data
    state = widget.get_state()
    assert "touch-stage" in state["_esm"]
    assert ".touch-stage" in state["_css"]
    widget.move(sd=20.0)
    widget.move(query=[0.0, 50.0])
    assert widget.values == {"sd": 20.0, "query": [0.0, 50.0]}


def test_what_is_missing_is_said(scripts, tmp_path, monkeypatch):
    monkeypatch.delenv(SCRIPTS, raising=False)
    with pytest.raises(FileNotFoundError, match="make lab"):
        FIGURE.widget()
    with pytest.raises(FileNotFoundError, match=r"no script read\.js"):
        FIGURE.widget(tmp_path)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "tree_world.plotting.data.widget", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"tree-world\[interactive\]"):
        FIGURE.widget(scripts)
