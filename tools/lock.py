"""Choose versions for everything that pyproject.toml names, and write requirements.lock.

Usage: ``python -m tools.lock TORCH_VERSION``
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import settings

HEADER = "# Exact versions of everything that build and test install. Written by: make lock\n"


def main() -> int:
    """Resolve with pip-tools and replace the lock."""
    print("Choosing versions ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "requirements.txt"
        constraints = Path(folder) / "constraints.txt"
        # A newer PyTorch may come as a build with CUDA, which is gigabytes larger.
        pinned = [*settings.LOCK_CONSTRAINTS, f"torch=={sys.argv[1]}"]
        constraints.write_text("\n".join(pinned) + "\n")
        options = "--strip-extras --allow-unsafe --no-header --no-annotate --quiet"
        options += " --no-emit-index-url --no-emit-find-links --no-emit-trusted-host"
        subprocess.run(
            [
                *(sys.executable, "-m", "piptools", "compile", "pyproject.toml"),
                *("--extra", "book", "--extra", "test", "--extra", "bench", *options.split()),
                *("--constraint", str(constraints), "--output-file", str(output)),
            ],
            cwd=settings.ROOT,
            check=True,
        )
        pins = output.read_text()
    # Builds for the CPU alone carry a local version that other indexes do not have.
    lock = settings.ROOT / "requirements.lock"
    lock.write_text(HEADER + re.sub(r"\+cpu$", "", pins, flags=re.MULTILINE))
    print(f"{pins.count('==')} versions are in requirements.lock.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
