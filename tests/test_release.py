"""A release is refused until everything that it promises holds."""

import hashlib
import io
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from benchmarks import origins
from tools import release, settings

PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "tiny"
dynamic = ["version"]
readme = { text = "A tiny project.", content-type = "text/markdown" }
[tool.setuptools]
packages = ["tree_world"]
[tool.setuptools.dynamic]
version = { attr = "tree_world.__version__" }
"""
FILES = {
    "pyproject.toml": PROJECT,
    ".zenodo.json": '{"version": "0.2.0"}',
    "CITATION.cff": "version: 0.2.0\n",
    "book/reading.md": "# One\n\nVersion 0.2.0.\n",
    "tree_world/__init__.py": '__version__ = "0.2.0"\n',
    "CHANGELOG.md": "# Changes\n\n## 0.2.0 (2026-11-25)\n\n- One.\n\n## 0.1.0\n",
    "benchmarks/__init__.py": "",
    "benchmarks/study_tiny.py": "x = 1\n",
    ".gitignore": ".cache/\n__pycache__/\n",
}
RUNS = "import sys; sys.exit({})\n"


def git(root, *arguments):
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project that may be released."""
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    slow = (release.distributions, release.known_flaws, release.hashes)
    monkeypatch.setattr(release, "CHECKS", [one for one in release.CHECKS if one not in slow])
    monkeypatch.setattr(settings, "CONFIRMED", tmp_path / ".cache" / "confirmed.json")
    for name, text in (FILES | {"benchmarks/__main__.py": RUNS.format(0)}).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    store(tmp_path, git(tmp_path, "rev-parse", "--short=10", "HEAD"))
    commit(tmp_path)
    return tmp_path


def store(root, made):
    """Store a study that was made at that commit."""
    path = origins.results_file("tiny", root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"lives": {"origin": {"commit": made}}}))


def commit(root, **stamp):
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    known = {"commit": git(root, "rev-parse", "HEAD"), "clean": True, "date": "2026-11-25"}
    (root / ".cache").mkdir(exist_ok=True)
    (root / ".cache" / "confirmed.json").write_text(json.dumps(known | {"pages": {}} | stamp))


def test_what_is_right_can_be_released(project, capsys):
    assert release.main([]) == 0, capsys.readouterr().err
    assert "Version 0.2.0 at commit" in capsys.readouterr().out
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("CITATION.cff", "0.2", "0.1", "version: tree_world/__init__.py says 0.2.0, CITATION.cff"),
        (".zenodo.json", "0.2", "0.1", "version: tree_world/__init__.py says 0.2.0, .zenodo.json"),
        ("book/reading.md", "0.2", "0.1", "version: book/reading.md does not say Version 0.2.0"),
        ("CHANGELOG.md", "## 0.2.0", "## Next", "version: CHANGELOG.md begins with Next"),
        ("CHANGELOG.md", "## ", "", "version: CHANGELOG.md has no versions"),
        ("CHANGELOG.md", "2026-11-25", "Unreleased", "version: CHANGELOG.md does not say on which"),
        ("benchmarks/__main__.py", "(0)", "(1)", "studies: a short form does not agree"),
        (
            "tree_world/studies/results/tiny.json",
            '"commit"',
            '"date"',
            "studies: tiny: lives does not say",
        ),
    ],
)
def test_what_is_wrong_is_named(project, capsys, name, old, new, complaint):
    path = project / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    commit(project)
    assert release.main([]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert told[0].startswith(complaint)
    assert told[1] == "This cannot be released."


@pytest.mark.parametrize("made", ["0123456789", "{} and changes", "branch"])
def test_a_study_is_made_by_a_commit_of_this_history(project, capsys, made):
    git(project, "checkout", "-qb", "branch")
    git(project, "commit", "-qm", "two", "--allow-empty")
    branch = git(project, "rev-parse", "--short=10", "HEAD")
    git(project, "checkout", "-q", "-")
    made = branch if made == "branch" else made.format(git(project, "rev-parse", "HEAD")[:10])
    store(project, made)
    commit(project)
    assert release.main([]) == 1
    complaint = f"studies: tiny: lives was made at {made}, which is no commit of this history"
    assert complaint in capsys.readouterr().err


def test_changes_that_are_not_committed_are_named(project, capsys):
    (project / "README.md").write_text("new")
    assert release.main([]) == 1
    assert "clean tree: 1 files are not committed, such as README.md" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stamp", "complaint"),
    [
        ({"commit": "b" * 40}, "tests: they last passed on bbbbbbbbbb: run make test"),
        ({"clean": False}, "with changes: run make test"),
    ],
)
def test_tests_must_have_passed_on_this_very_commit(project, capsys, stamp, complaint):
    (project / "README.md").write_text("new")
    commit(project, **stamp)
    assert release.main([]) == 1
    assert complaint in capsys.readouterr().err
    settings.CONFIRMED.unlink()
    assert release.main([]) == 1
    assert "tests: all tests have still to pass here: run make test" in capsys.readouterr().err


def test_a_release_is_tagged_when_that_is_asked_for(project, tmp_path_factory, capsys, monkeypatch):
    """In a clone, and only where nothing is in the way."""
    (project / "README.md").write_text("new")
    assert release.main(["--tag"]) == 1
    assert git(project, "tag") == ""
    (project / "README.md").unlink()
    for name, value in (("user.name", "n"), ("user.email", "e@example.org")):
        git(project, "config", name, value)
    capsys.readouterr()
    assert release.main(["--tag"]) == 0
    assert "git push origin main v0.2.0" in capsys.readouterr().out
    assert git(project, "rev-parse", "v0.2.0^{commit}") == git(project, "rev-parse", "HEAD")
    assert release.main(["--tag"]) == 1
    assert "There is a tag v0.2.0 already" in capsys.readouterr().err


def test_a_source_distribution_and_a_wheel_are_built(project, monkeypatch):
    tried = []
    monkeypatch.setattr(
        release.wheel, "failure", lambda path, examples: tried.append(path.name) or ""
    )
    assert release.distributions() == []
    assert tried == ["tiny-0.2.0-py3-none-any.whl"]
    assert git(project, "status", "--porcelain") == ""
    (project / "pyproject.toml").write_text("[project]\n")
    commit(project)
    (complaint,) = release.distributions()
    assert complaint.startswith("they cannot be built: ")


def test_what_other_tools_find_is_told(project, capsys, monkeypatch):
    quiet = []

    def complaint(command):
        if "build" not in command:
            return "" if quiet else f"{command[-1]} is bad"
        made = Path(command[command.index("--outdir") + 1])
        made.mkdir()
        for name in ("tiny-0.2.0.tar.gz", "tiny-0.1.9-py3-none-any.whl"):
            (made / name).touch()
        return ""

    monkeypatch.setattr(release.wheel, "complaint", complaint)
    twine, contents, odd = release.distributions()
    assert odd == "tiny-0.1.9-py3-none-any.whl, tiny-0.2.0.tar.gz are not of 0.2.0"
    assert twine.startswith("twine says: ")
    assert contents.startswith("check-wheel-contents says: ")
    assert contents.endswith("whl is bad")
    monkeypatch.setattr(release.wheel, "failure", lambda path, examples: f"{path.name} has no font")
    monkeypatch.setattr(release, "_version", lambda: "")
    quiet.append(True)
    (useless,) = release.distributions()
    assert useless == "the wheel does not work by itself: tiny-0.1.9-py3-none-any.whl has no font"
    monkeypatch.setattr(release.shutil, "which", lambda name: None)
    assert release.known_flaws() == []
    assert "pip-audit was NOT run" in capsys.readouterr().out
    monkeypatch.setattr(release.shutil, "which", lambda name: name)
    quiet.clear()
    (flaws,) = release.known_flaws()
    assert flaws.startswith("pip-audit says: ")


def test_files_must_have_the_hashes_that_were_locked(monkeypatch, tmp_path):
    """Of a file that lies here, so that nothing is fetched."""
    (tmp_path / "tiny-1.0-py3-none-any.whl").write_bytes(wheel_of_nothing())
    lock = tmp_path / "hashes.lock"
    monkeypatch.setattr(release.lock, "HASHES", lock)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    lock.write_text(f"tiny==1.0 --hash=sha256:{hashlib.sha256(wheel_of_nothing()).hexdigest()}\n")
    assert release.hashes() == []
    lock.write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    (complaint,) = release.hashes()
    assert complaint.startswith("requirements/hashes.lock does not hold: ")
    assert "DO NOT MATCH" in complaint


def wheel_of_nothing():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as wheel:
        for name, text in (
            ("METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"),
            ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            # Of one day, so that the file is the same each time.
            wheel.writestr(zipfile.ZipInfo(f"tiny-1.0.dist-info/{name}"), text)
    return content.getvalue()
