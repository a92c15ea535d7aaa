"""Compilation of the loops over pairs of places, for which array operations are too coarse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

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


# --- half precision, which Numba does not know on processors --------------------------------------


def value(number: Any) -> Any:
    """Take a number out of an array: itself, or single precision for the bits of half precision.

    Parameters
    ----------
    number : float, or numpy.uint16
        An entry of an array of floats, or of ``array.view(numpy.uint16)`` of one of half precision.

    Returns
    -------
    float

    Examples
    --------
    >>> value(np.array([1.5], dtype=np.float16).view(np.uint16)[0])
    np.float32(1.5)
    """
    is_half = isinstance(number, np.uint16)
    return np.float32(number.view(np.float16)) if is_half else number


@overload(value, inline="always", strict=False)
def _value(number: Any) -> Any:
    if number == types.uint16:
        return lambda number: _single_of_half(number)  # type: ignore[call-arg]
    return lambda number: number


@intrinsic
def _single_of_half(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        half = builder.bitcast(arguments[0], ir.HalfType())
        return builder.fpext(half, ir.FloatType())

    return types.float32(types.uint16), generate
