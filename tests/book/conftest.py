"""Fixtures for what is built from the book."""

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools import build, settings

SPECIMEN = Path(__file__).with_name("specimen")


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
        yield patch


@pytest.fixture(scope="session")
def specimen(tmp_path_factory):
    """Build a small book with everything that a chapter may hold; the folder of its site."""
    folder = tmp_path_factory.mktemp("specimen")
    shutil.copytree(SPECIMEN, folder, dirs_exist_ok=True)
    with project(folder):
        assert build.run_engine() == 1
        build.tidy()
        yield settings.SITE


@pytest.fixture
def small_project(tmp_path):
    """A book of one chapter, ``chapter.md``, to be broken by the test; with the settings' patch."""
    (tmp_path / "myst.yml").write_text(
        "version: 1\nproject:\n  title: Small\n  toc:\n    - file: chapter.md\n"
        "site:\n  template: THEME\n"
    )
    with project(tmp_path) as patch:
        yield tmp_path, patch
