"""On what something is measured, and how much memory it takes."""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any


def machine() -> dict[str, str]:
    """Say on what, with what and when this was measured."""
    packages = ("torch", "numpy", "numba")
    return {
        "processor": platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name).split("+")[0] for name in packages},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def peak_megabytes(work: Callable[[], Any]) -> float | None:
    """Greatest resident memory above what was held before, where the system tells (Linux)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def field(name: str) -> float:
        line = next(line for line in status.read_text().splitlines() if line.startswith(name))
        return float(line.split()[1]) / 1024

    try:
        ctypes.CDLL(None).malloc_trim(0)  # else freed memory that is still held would hide the peak
        reset.write_text("5")
        before = field("VmRSS")
        result = work()
        peak = field("VmHWM") - before
        del result
    except (OSError, AttributeError, StopIteration):
        return None
    return peak
