"""Check whether what is here may be released. Nothing is changed, and nothing is sent anywhere.

Usage: ``python -m tools.release [--tag]``

With ``--tag`` a commit that may be released gets the tag of its version, and what is to be pushed
is said.

A release is a commit on which all tests have passed, whose version is the same everywhere and told
in the change log, whose stored studies are borne out by their short forms, and from which a source
distribution and a wheel can be built.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from benchmarks import origins
from tools import lock, settings, wheel


def main(arguments: Sequence[str] | None = None) -> int:
    """Check everything, say all that is in the way, and tag the commit if that is asked for."""
    parser = argparse.ArgumentParser("python -m tools.release", description=__doc__)
    parser.add_argument("--tag", action="store_true", help="tag the commit if it can be released")
    tag = parser.parse_args(arguments).tag
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
    return add_tag() if tag else 0


def add_tag() -> int:
    """Tag the commit with its version, and say what remains to be done by hand."""
    name = f"v{_version()}"
    if _git("tag", "--list", name):
        print(f"There is a tag {name} already: give the release a new version.", file=sys.stderr)
        return 1
    command = ["git", "-C", str(settings.ROOT), "tag", "--annotate", name, "--message", name]
    if subprocess.run(command, check=False).returncode != 0:
        return 1
    print(f"It is tagged {name}, here alone. To publish it: git push origin main {name}")
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
        found.append(f"tree_world/__init__.py says {ours}, CITATION.cff says {cited}")
    archived = json.loads(_read(".zenodo.json") or "{}").get("version")
    if archived != ours:
        found.append(f"tree_world/__init__.py says {ours}, .zenodo.json says {archived}")
    if f"Version {ours}" not in _read("book/reading.md"):
        found.append(f"book/reading.md does not say Version {ours}")
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


def distributions() -> list[str]:
    """From what is committed come a source distribution and a wheel, sound and of this version."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        _git("clone", "--quiet", "--no-hardlinks", str(settings.ROOT), str(source))
        files, found = wheel.distributions(source, Path(folder) / "made")
        if not all(f"-{_version()}" in file.name for file in files):
            found.append(f"{', '.join(file.name for file in files)} are not of {_version()}")
        for path in [] if found else [file for file in files if file.suffix == ".whl"]:
            if told := wheel.failure(path, examples=True):
                found.append(f"the wheel does not work by itself: {told}")
    return found


def hashes() -> list[str]:
    """Files that are installed have the hashes that were locked."""
    return lock.check_hashes()


def known_flaws() -> list[str]:
    """No package in the locks has a flaw that is known to pip-audit."""
    if not shutil.which("pip-audit"):
        print("pip-audit was NOT run, known flaws were not looked for: pip install pip-audit")
        return []
    options = ["--no-deps", "--disable-pip", "--requirement"]
    told = wheel.complaint(["pip-audit", *options, str(settings.LOCKS / "bench.lock")])
    return [f"pip-audit says: {told}"] if told else []


CHECKS: list[Callable[[], list[str]]] = [
    *(clean_tree, version, tests, studies, hashes, distributions, known_flaws),
]


def _version() -> str:
    found = re.search(r'^__version__ = "(.+)"$', _read("tree_world/__init__.py"), re.MULTILINE)
    return found[1] if found else "without a version"


def _read(name: str) -> str:
    path = settings.ROOT / name
    return path.read_text() if path.exists() else ""


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(settings.ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
