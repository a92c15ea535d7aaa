"""Choose versions for everything that pyproject.toml names, and write one lock for each group.

Usage: ``python -m tools.lock TORCH_VERSION``

The groups are extras of the project, and each builds on the one before: what the book needs, what
its tests need beside that, what the benchmarks need beside those. Versions are chosen once, for
all of them together.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools import settings
from tree_world.files import write_atomically

GROUPS = {
    "book": "all that the book needs to be built",
    "test": "what the tests need beside the book",
    "bench": "what the benchmarks need beside the tests",
}


def main() -> int:
    """Resolve with pip-tools and replace the locks."""
    print("Choosing versions ...", flush=True)
    # A newer PyTorch may come as a build with CUDA, which is gigabytes larger.
    chosen = resolve(list(GROUPS), [*settings.LOCK_CONSTRAINTS, f"torch=={sys.argv[1]}"])
    groups, known, base = list(GROUPS), set[str](), ""
    locks = {}
    for number, group in enumerate(groups, start=1):
        pins = [pin for pin in resolve(groups[:number], chosen) if pin not in known]
        known.update(pins)
        header = f"# Exact versions of {GROUPS[group]}. Written by: make lock\n"
        locks[group] = header + base + "\n".join(pins) + "\n"
        base = f"--requirement {group}.lock\n"
    for group, text in locks.items():
        write_atomically(settings.LOCKS / f"{group}.lock", text.encode())
    print(f"{len(known)} versions are in {', '.join(f'{group}.lock' for group in GROUPS)}.")
    return 0


def resolve(extras: Sequence[str], constraints: Sequence[str]) -> list[str]:
    """List the pins of everything that the project and some of its extras lead to."""
    with tempfile.TemporaryDirectory() as folder:
        output, bounds = Path(folder) / "requirements.txt", Path(folder) / "constraints.txt"
        bounds.write_text("\n".join(constraints) + "\n")
        options = "--strip-extras --allow-unsafe --no-header --no-annotate --quiet"
        options += " --no-emit-index-url --no-emit-find-links --no-emit-trusted-host"
        subprocess.run(
            [
                *(sys.executable, "-m", "piptools", "compile", "pyproject.toml"),
                *(f"--extra={extra}" for extra in extras),
                *options.split(),
                *("--constraint", str(bounds), "--output-file", str(output)),
            ],
            cwd=settings.ROOT,
            check=True,
        )
        # Builds for the CPU alone carry a local version that other indexes do not have.
        written = re.sub(r"\+cpu$", "", output.read_text(), flags=re.MULTILINE)
        return [line for line in written.splitlines() if line and not line.startswith("#")]


if __name__ == "__main__":
    sys.exit(main())
