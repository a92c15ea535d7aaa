"""The library imported anew, in a fork that has what takes seconds: PyTorch and the like."""

import importlib
import multiprocessing
import sys
import traceback
from collections.abc import Callable
from typing import Any

_PATIENCE = 300  # seconds


def imported_anew(work: Callable[[], Any], *, without: str = "tree_world") -> Any:
    """Forget a package in a fork of this process, do something there, and return its result.

    Parameters
    ----------
    work : callable
        Imports what it needs inside. Returns something that can be pickled.
    without : str
        Package that it has to import anew.

    Raises
    ------
    AssertionError
        With the traceback of what went wrong there.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def do() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == without]:
            del sys.modules[name]
        importlib.invalidate_caches()
        try:
            there.send((True, work()))
        except BaseException:
            there.send((False, traceback.format_exc()))

    process = context.Process(target=do)
    process.start()
    there.close()
    try:
        # A fork may wait for ever for a lock that a thread of this process had.
        assert here.poll(_PATIENCE), "nothing has come from the fork"
        done, result = here.recv()
    finally:
        process.kill()
        process.join()
    assert done, result
    return result
