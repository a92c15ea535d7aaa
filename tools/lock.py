"""Choose versions for everything that pyproject.toml names, and write one lock for each group.

Usage: ``python -m tools.lock TORCH_VERSION [--keep]``

The groups are extras of the project, and each builds on the one before: what the book needs, what
its tests need beside that, what the benchmarks need beside those. Versions are chosen once, for
all of them together, for every Python and every system that is declared; markers tell them apart.
With ``--keep`` a version changes only where it must.

Hashes lie in a file of their own, as pip would refuse to install this project in place beside them:
``requirements/hashes.lock``, for all but PyTorch, whose build for the CPU comes from elsewhere.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tools import settings
from tree_world.files import write_atomically

GROUPS = {
    "book": "all that the book needs to be built",
    "test": "what the tests need beside the book",
    "bench": "what the benchmarks need beside the tests",
}
HASHES = settings.LOCKS / "hashes.lock"
_LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
_MACOS = {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}
_WINDOWS = {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}
SYSTEMS = {
    "Linux x86-64": ("x86_64-manylinux_2_28", _LINUX | {"platform_machine": "x86_64"}),
    "Linux aarch64": ("aarch64-manylinux_2_28", _LINUX | {"platform_machine": "aarch64"}),
    "macOS arm64": ("aarch64-apple-darwin", _MACOS | {"platform_machine": "arm64"}),
    "Windows x86-64": ("x86_64-pc-windows-msvc", _WINDOWS | {"platform_machine": "AMD64"}),
}
"""What the locks are for: the name that uv has for it, and what its markers say."""

_OLDEST_MACOS = "14.0"  # the first for which all wheels are made
_CUDA = re.compile(r"(nvidia|cuda|triton)\b")


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose versions, replace the locks, and check them."""
    parser = argparse.ArgumentParser("python -m tools.lock", description=__doc__)
    parser.add_argument("torch", help="version of PyTorch")
    parser.add_argument("--keep", action="store_true", help="change only versions that must change")
    given = parser.parse_args(arguments)
    print("Choosing versions ...", flush=True)
    # A newer PyTorch may come as a build with CUDA, which is gigabytes larger.
    constraints = [*settings.LOCK_CONSTRAINTS, f"torch=={given.torch}"]
    chosen = resolve(list(GROUPS), constraints, locked() if given.keep else [])
    groups, known, base = list(GROUPS), set[str](), ""
    locks = {}
    for number, group in enumerate(groups, start=1):
        pins = [pin for pin in resolve(groups[:number], chosen) if pin not in known]
        known.update(pins)
        header = f"# Exact versions of {GROUPS[group]}. Written by: make lock\n"
        locks[group] = header + base + "\n".join(pins) + "\n"
        base = f"--requirement {group}.lock\n"
    header = "# Hashes of all that the other locks name, but PyTorch. Written by: make lock\n"
    hashed = [pin for pin in resolve(groups, chosen, hashes=True) if _name(pin) != "torch"]
    for group, text in locks.items():
        write_atomically(settings.LOCKS / f"{group}.lock", text.encode())
    write_atomically(HASHES, (header + "\n".join(hashed) + "\n").encode())
    print(f"{len(known)} versions are in {', '.join(f'{group}.lock' for group in GROUPS)}.")
    found = []
    for check in CHECKS:
        print(f"Checking {(check.__doc__ or '').partition('.')[0].lower()} ...", flush=True)
        found += check()
    for complaint in found:
        print(complaint, file=sys.stderr)
    return 1 if found else 0


def resolve(
    extras: Sequence[str],
    constraints: Sequence[str],
    preferred: Sequence[str] = (),
    hashes: bool = False,
) -> list[str]:
    """List the pins of everything that the project and some of its extras lead to."""
    with tempfile.TemporaryDirectory() as folder:
        output, bounds = Path(folder) / "requirements.txt", Path(folder) / "constraints.txt"
        bounds.write_text("\n".join(constraints) + "\n")
        output.write_text("".join(f"{pin}\n" for pin in preferred))
        options = "--universal --fork-strategy fewest --no-header --no-annotate"
        options += " --quiet --no-emit-index-url --no-emit-find-links"
        options += " --generate-hashes" if hashes else ""
        subprocess.run(
            [
                *("uv", "pip", "compile", "pyproject.toml"),
                *(f"--extra={extra}" for extra in extras),
                *options.split(),
                *("--python-version", pythons()[0]),
                *("--constraint", str(bounds), "--output-file", str(output)),
            ],
            cwd=settings.ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        # Builds for the CPU alone carry a local version that other indexes do not have.
        written = re.sub(r"\+cpu\b", "", output.read_text())
        # A pin goes on in the next line where hashes follow.
        pins = re.findall(r"^(?=\w)(?:.*\\\n)*.*", written, flags=re.MULTILINE)
        # On Linux PyTorch asks for CUDA, and pip sees to that where a build with CUDA is installed.
        return [_for_all_declared(pin) for pin in pins if not _CUDA.match(pin) and wanted_by(pin)]


def pythons() -> list[str]:
    """List the Pythons that the project declares to work with, the oldest first."""
    declared = SpecifierSet(settings.PROJECT["requires-python"])
    return [f"3.{minor}" for minor in range(100) if declared.contains(f"3.{minor}")]


def declared() -> list[dict[str, str]]:
    """List what the markers of each Python on each system say."""
    return [
        {
            **markers,
            "python_version": python,
            "python_full_version": f"{python}.9",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "extra": "",
        }
        for python in pythons()
        for _, markers in SYSTEMS.values()
    ]


def wanted_by(pin: str) -> list[dict[str, str]]:
    """List those of the declared Pythons and systems on which a pin is installed."""
    marker = _requirement(pin).marker
    return [each for each in declared() if marker is None or marker.evaluate(each)]


def locked() -> list[str]:
    """List the pins of all locks."""
    texts = [(settings.LOCKS / f"{group}.lock").read_text() for group in GROUPS]
    return [line for text in texts for line in text.splitlines() if re.match(r"[\w.-]+==", line)]


def check_hashes() -> list[str]:
    """Hashes: the files that this Python would install have them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        told = complaint_of([*command, "--require-hashes", "-r", str(HASHES), "--dest", folder])
    return [f"requirements/hashes.lock does not hold: {told}"] if told else []


def check_wheels() -> list[str]:
    """Wheels: there is one of each version for each Python and system."""
    pins = [pin for pin in locked() if _name(pin) not in settings.SOURCE_ONLY]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requirements.txt"
        path.write_text("\n".join(pins) + "\n")
        # As if it were installed; nothing is.
        command = [*("uv", "pip", "install", "--dry-run", "--quiet", "--no-deps")]
        command += ["--only-binary", ":all:", "--target", folder, "--requirement", str(path)]
        for system, (name, _) in SYSTEMS.items():
            for python in pythons():
                options = ["--python-platform", name, "--python-version", python]
                if told := complaint_of([*command, *options]):
                    found.append(f"Python {python} on {system}: {told}")
    return found


CHECKS: list[Callable[[], list[str]]] = [check_hashes, check_wheels]


def complaint_of(command: list[str]) -> str:
    """Say how a command fails; nothing if it does not."""
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": _OLDEST_MACOS}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    told = " ".join((result.stdout + result.stderr).split())
    return "" if result.returncode == 0 else told or "it failed"


def _name(pin: str) -> str:
    return _requirement(pin).name


def _for_all_declared(pin: str) -> str:
    """Leave out a marker that holds on every declared Python and system."""
    if len(wanted_by(pin)) < len(declared()):
        return pin
    return re.sub(r" ;.*?(?= \\\n|$)", "", pin, count=1)


def _requirement(pin: str) -> Requirement:
    return Requirement(pin.partition("\\")[0])  # hashes may follow


if __name__ == "__main__":
    sys.exit(main())
