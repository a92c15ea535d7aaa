"""Ask the script of a figure what it computes, by Node, as a browser would."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "book" / "figures"
SECONDS = 120


def answers(
    name: str, data: Mapping[str, Any], settings: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Run ``compute`` of a figure for each setting; what a setting leaves out is as at first."""
    module = (FIGURES / f"{name}.mjs").as_uri()
    asked = json.dumps({"module": module, "data": data, "settings": list(settings)})
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("answer.mjs"))],
        input=asked.encode(),
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(found) == len(settings)
    return found


def kilobytes(data: Mapping[str, Any]) -> float:
    """Size of a state as it is sent, in kB."""
    return len(gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 9)) / 1000
