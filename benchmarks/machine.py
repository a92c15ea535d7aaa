"""On what something is measured, and how much memory it takes."""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, str]:
    """Say on what, with what and when this was measured."""
    packages = ("torch", "numpy", "numba")
    return {
        "processor": platform.machine(),
        "model": _model(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name).split("+")[0] for name in packages},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _model() -> str:
    """Say what the system calls its processor; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")


def peak_megabytes(work: Callable[[], Any]) -> float | None:
    """Greatest resident memory above what was held before, where the system tells (Linux)."""
    reset = Path("/proc/self/clear_refs")
    try:
        ctypes.CDLL(None).malloc_trim(0)  # else freed memory that is still held would hide the peak
        reset.write_text("5")
        before = _status("VmRSS")
        result = work()
        peak = _status("VmHWM") - before
        del result
    except (OSError, AttributeError, StopIteration):
        return None
    return peak / 2**20


def copy_bandwidth() -> float:
    """Bytes a second that this machine reads and writes when it copies 256 MiB."""
    source = torch.zeros(2**26)
    target = torch.empty_like(source)
    times = []
    for _ in range(7):
        started = time.perf_counter()
        target.copy_(source)
        times.append(time.perf_counter() - started)
    return 2 * source.numel() * 4 / sorted(times)[3]


def peak_flops() -> float:
    """Floating-point operations a second of a product of large matrices in single precision."""
    matrix = torch.rand(3072, 3072)
    times = []
    for _ in range(7):
        started = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - started)
    return float(2 * len(matrix) ** 3 / sorted(times)[3])


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
