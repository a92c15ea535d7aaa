"""Studies: what takes too long for a chapter, which draws it from the results that are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

_LIST_OF_NUMBERS = re.compile(r"\[[-+.e\d,\s]+\]")  # on one line it is easier to read


def run_studies(
    studies: Mapping[str, Callable[[], dict[str, Any]]], results: Path, names: list[str]
) -> int:
    """Run studies, all by default, and write each one's results in place of its last."""
    unknown = sorted(set(names) - set(studies))
    if unknown:
        print(f"There is no study named {', '.join(unknown)}; there are {', '.join(studies)}.")
        return 2
    for name in names or studies:
        found = {"machine": machine(), **studies[name]()}
        kept = json.loads(results.read_text()) if results.exists() else {}
        kept[name] = found
        text = json.dumps(_rounded(kept), indent=1)
        text = _LIST_OF_NUMBERS.sub(lambda found: " ".join(found[0].split()), text)
        results.write_text(text + "\n")
    print(f"Studied: {', '.join(names or studies)}; written to benchmarks/results/{results.name}")
    return 0


def _rounded(value: Any) -> Any:
    """Keep five digits of each number, which is more than they are good for."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value
