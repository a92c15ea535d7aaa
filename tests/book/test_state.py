"""A build that has nothing to do says so; whatever it depends on makes it begin."""

import os
import subprocess

import pytest

from tools import build, settings, state


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout with a site, as a build leaves it."""
    root = tmp_path / "project"
    locks, site = root / "requirements", root / "_build" / "html"
    for name, value in {
        "ROOT": root,
        "LOCKS": locks,
        "SITE": site,
        "CACHE": root / ".cache",
    }.items():
        monkeypatch.setattr(settings, name, value)
    for name in ("BOOK_URL", "BOOK_SOURCE", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    for folder in (locks, site, root / ".cache"):
        folder.mkdir(parents=True)
    (locks / "book.lock").write_text("numpy==1.0\nnever-heard-of==2\n")
    (root / "page.md").write_text("# One\n")
    (root / ".gitignore").write_text("_build/\n.cache/\n")
    (site / "index.html").write_text("<h1>One</h1>")
    git(root, "init", "--quiet")
    commit(root)
    (root / ".cache" / "built").write_text(state.site_digest())
    return root


def git(root, *words):
    subprocess.run(["git", *words], cwd=root, check=True)


def commit(root):
    git(root, "add", "--all")
    who = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    git(root, *who, "commit", "--quiet", "--allow-empty", "--message", "one")


def test_nothing_to_do_is_told(project, capsys):
    assert build.main() == 0
    assert capsys.readouterr().out.startswith("Nothing has changed since the last build.")
    assert (settings.SITE / "index.html").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda root, patch: (root / "page.md").write_text("# Two\n"),
        lambda root, patch: (root / "new.md").write_text("# New\n"),
        lambda root, patch: commit(root),
        lambda root, patch: (settings.SITE / "index.html").unlink(),
        lambda root, patch: (settings.SITE / "more.html").write_text("more"),
        lambda root, patch: os.utime(settings.SITE / "index.html", (1, 1)),
        lambda root, patch: patch.setenv("BOOK_URL", "https://example.org/book/"),
        lambda root, patch: patch.setattr(state.browser, "find", lambda: "/another/browser"),
        lambda root, patch: patch.setattr(state, "_version", lambda name: "another"),
        lambda root, patch: (root / ".cache" / "built").unlink(),
    ],
)
def test_a_change_makes_it_begin(project, monkeypatch, change):
    change(project, monkeypatch)
    begun = []
    monkeypatch.setattr(build, "run_engine", lambda **_: begun.append(1) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build.main()
    assert begun


def test_it_begins_where_it_is_told_to(project, monkeypatch):
    monkeypatch.setattr(build.sys, "argv", ["build", "--force"])
    monkeypatch.setattr(build, "run_engine", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build.main()


def test_outside_a_checkout_nothing_is_known(project, monkeypatch):
    monkeypatch.setattr(state.editions, "git", lambda *words: "")
    assert state.project_digest() == state.site_digest() == ""
    (project / ".cache" / "built").write_text("")
    monkeypatch.setattr(build, "run_engine", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build.main()
