"""Check whether what is here may be released. Nothing is changed, and nothing is sent anywhere.

Usage: ``python -m tools.release``

A release is a commit on which all tests have passed, whose version is the same everywhere and told
in the change log, and whose stored studies are borne out by their short forms.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable

import yaml

from benchmarks import origins
from tools import settings


def main() -> int:
    """Check everything, and say all that is in the way."""
    found = []
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        print(f"Checking {name} ...", flush=True)
        found += [f"{name}: {complaint}" for complaint in check()]
    for complaint in found:
        print(complaint, file=sys.stderr)
    if found:
        print("This cannot be released.", file=sys.stderr)
        return 1
    print(
        f"Version {_version()} at commit {_git('rev-parse', '--short=10', 'HEAD')} can be released."
    )
    return 0


def clean_tree() -> list[str]:
    """Everything is committed."""
    if not _git("rev-parse", "HEAD"):
        return ["this is no checkout with a commit"]
    changed = _git("status", "--porcelain").splitlines()
    return [f"{len(changed)} files are not committed, such as {changed[0][3:]}"] if changed else []


def version() -> list[str]:
    """Whatever names the version names the same, and the change log has it, with its date."""
    ours, found = _version(), []
    cited = yaml.safe_load(_read("CITATION.cff") or "{}").get("version")
    if cited != ours:
        found.append(f"pyproject.toml says {ours}, CITATION.cff says {cited}")
    if f"Version {ours}" not in _read("book/reading.md"):
        found.append(f"book/reading.md does not say Version {ours}")
    if f'__version__ = "{ours}"' not in _read("tree_world/__init__.py"):
        found.append(f"tree_world/__init__.py does not say that __version__ is {ours}")
    head = re.search(r"^## +\[?v?([^\s\],]+)(.*)", _read("CHANGELOG.md"), re.MULTILINE)
    if not head or head[1] != ours:
        first = f"begins with {head[1]}" if head else "has no versions"
        found.append(f"CHANGELOG.md {first}, and not with ## {ours}")
    elif not re.search(r"\d{4}-\d\d-\d\d", head[2]):
        found.append(f"CHANGELOG.md does not say on which day {ours} is released")
    return found


def tests() -> list[str]:
    """All tests have passed on this commit."""
    stamp = settings.confirmation()
    commit = _git("rev-parse", "HEAD")
    if not stamp:
        return ["all tests have still to pass here: run make test"]
    if stamp.get("commit") != commit or not stamp.get("clean"):
        at = str(stamp.get("commit", ""))[:10] + ("" if stamp.get("clean") else " with changes")
        return [f"they last passed on {at or 'another state'}: run make test"]
    return []


def studies() -> list[str]:
    """Each stored study was made by a commit of this history, and its short form agrees."""
    found = []
    for study in origins.stored(settings.ROOT):
        if not study.commit:
            found.append(f"{study.study} does not say by which commit it was made")
        elif not _git("merge-base", study.commit, "HEAD").startswith(study.commit):
            found.append(
                f"{study.study} was made at {study.commit}, which is no commit of this history: "
                "run it again (parts of the same code are kept)"
            )
    command = [sys.executable, "-m", "benchmarks", "--short"]
    if subprocess.run(command, cwd=settings.ROOT, check=False).returncode != 0:
        found.append("a short form does not agree with what is stored (see above): study it anew")
    return found


CHECKS: list[Callable[[], list[str]]] = [clean_tree, version, tests, studies]


def _version() -> str:
    return str(tomllib.loads(_read("pyproject.toml"))["project"]["version"])


def _read(name: str) -> str:
    path = settings.ROOT / name
    return path.read_text() if path.exists() else ""


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(settings.ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
