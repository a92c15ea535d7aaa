"""Compilation of the loops over pairs of places, for which array operations are too coarse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

# Sums may be taken in any order, so that they can be taken eight at a time. Infinities and NaN keep
# their meaning.
_FAST = {"contract", "reassoc", "nsz", "arcp"}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers on its first call; it then runs without the GIL.

    Machine code is kept beside Python's own bytecode, in ``__pycache__`` or where the environment
    variable ``NUMBA_CACHE_DIR`` says. Where nothing can be written every process compiles anew.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _FAST}
    try:
        compiled_function = njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write
        compiled_function = njit(**options)(function)
    return cast(Callable[P, R], compiled_function)
