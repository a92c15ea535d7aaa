"""One thread for all that computes, so that results do not depend on how many there are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import threadpoolctl
import torch

_own = threading.local()  # whether this thread is inside
_lock = threading.Lock()
_inside = 0  # threads of this process that are inside
_before: dict[str, Any] = {}  # what the first of them has found, and the last one puts back


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch, Numba, OpenMP and the linear algebra of NumPy have one thread meanwhile.

    Several threads may be inside at a time. What counts for the whole process is put back when the
    last one leaves.

    Examples
    --------
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    """
    if getattr(_own, "inside", False):
        yield
        return
    before = _enter()
    numba_before = numba.get_num_threads()  # each thread has its own
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    _own.inside = True
    try:
        yield
    finally:
        _own.inside = False
        torch.set_num_threads(before)
        numba.set_num_threads(numba_before)
        _leave()


def _enter() -> int:
    global _inside
    with _lock:
        if _inside == 0:
            _before["torch"] = torch.get_num_threads()
            _before["limits"] = threadpoolctl.threadpool_limits(1)
        _inside += 1
        return int(_before["torch"])


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0:
            _before["limits"].restore_original_limits()
