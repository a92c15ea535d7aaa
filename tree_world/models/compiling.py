"""Compilation of the loops over pairs of places, for which array operations are too coarse."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config, njit, types
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


def _converts_half() -> bool:
    """Say whether the processor that is compiled for has an instruction for it."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    features = getattr(config, "CPU_FEATURES", None)  # none of them with a generic processor
    if features is None:
        features = llvmlite.binding.get_host_cpu_features().flatten()
    return "+f16c" in features.split(",")


_CONVERTS_HALF = _converts_half()


def _single_by_bits(builder: Any, bits: Any) -> Any:
    """Shift exponent and mantissa to where single precision has them; then scale, which is exact.

    Without the instruction LLVM would call a function of compilers that is not there.
    """
    word, single = ir.IntType(32), ir.FloatType()
    wide = builder.zext(bits, word)
    size = builder.and_(wide, ir.Constant(word, 0x7FFF))
    shifted = builder.shl(size, ir.Constant(word, 13))
    scaled = builder.fmul(builder.bitcast(shifted, single), ir.Constant(single, 2.0**112))
    endless = builder.or_(shifted, ir.Constant(word, 0x7F800000))  # infinity, NaN
    is_endless = builder.icmp_unsigned(">=", size, ir.Constant(word, 0x7C00))
    found = builder.select(is_endless, endless, builder.bitcast(scaled, word))
    sign = builder.shl(builder.and_(wide, ir.Constant(word, 0x8000)), ir.Constant(word, 16))
    return builder.bitcast(builder.or_(found, sign), single)


@intrinsic
def _single_of_half(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if _CONVERTS_HALF:
            half = builder.bitcast(arguments[0], ir.HalfType())
            return builder.fpext(half, ir.FloatType())
        return _single_by_bits(builder, arguments[0])

    return types.float32(types.uint16), generate
