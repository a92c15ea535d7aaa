"""Compilation of the loops over pairs of places, for which array operations are too coarse."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import platform
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar, cast

import llvmlite
import llvmlite.binding
import numba
import numpy as np
import platformdirs
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic, overload

P = ParamSpec("P")
R = TypeVar("R")

_config: Any = numba.config

# Sums may be taken in any order, so that they can be taken eight at a time. Infinities and NaN keep
# their meaning.
_FAST = {"contract", "reassoc", "nsz", "arcp"}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers on its first call; it then runs without the GIL.

    Machine code is kept in a folder of `cache_folder`, so that the next process need not compile.
    Where nothing can be written every process compiles anew.

    Parameters
    ----------
    function : callable
        What it takes from other modules must come from modules that have compiled functions
        themselves, as the name of the folder tells of changes in those alone.

    Returns
    -------
    callable
    """
    return _compiled(function, fastmath=_FAST)


def compiled_exactly(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function as `compiled` does, that rounds after each operation as it is written.

    So its results are the same to the last bit wherever it is called from, and on all processors.

    Parameters
    ----------
    function : callable
        As for `compiled`.

    Returns
    -------
    callable
    """
    return _compiled(function, fastmath=False)


def _compiled(function: Callable[P, R], *, fastmath: set[str] | bool) -> Callable[P, R]:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    folder = cache_folder()
    # A module that is loaded anew would put what it has become where what it was is looked for.
    if folder is None or _digest() != _DIGEST:
        return _adapted(njit(**options)(function))
    theirs = _config.CACHE_DIR
    _config.CACHE_DIR = str(folder)  # looked at here and not when compiling
    try:
        return _adapted(njit(cache=True, **options)(function))
    except RuntimeError:  # a function without a file
        return _adapted(njit(**options)(function))
    finally:
        _config.CACHE_DIR = theirs


def _adapted(dispatcher: Any) -> Callable[P, R]:
    """Have a function compiled once for all numbers, and never broken off meanwhile.

    Numba would compile it twice, for a 0 that stands in the code, as of a counter, and for all
    others. And an interrupt that comes while it loads or compiles can end the process.
    """
    if _config.DISABLE_JIT:
        return cast(Callable[P, R], dispatcher)
    compile_for, unliteral = dispatcher._compile_for_args, cast(Any, types.unliteral)
    theirs = dispatcher.get_call_template

    def get_call_template(given: Any, by_name: Any) -> Any:
        of_any = tuple(unliteral(kind) for kind in given)
        return theirs(of_any, {name: unliteral(kind) for name, kind in by_name.items()})

    def compile_for_args(*args: Any, **kwargs: Any) -> Any:
        with _interrupts_held_back():
            return compile_for(*args, **kwargs)

    dispatcher.get_call_template = get_call_template
    dispatcher._compile_for_args = compile_for_args
    return cast(Callable[P, R], dispatcher)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let handlers of signals, which may raise what they like, wait until this is over."""
    # Only the main thread is interrupted, and only it may say what a signal does.
    is_main = threading.current_thread() is threading.main_thread()
    everyone = signal.valid_signals() if is_main else set()
    theirs = {each: handler for each in everyone if callable(handler := signal.getsignal(each))}
    came: dict[int, FrameType | None] = {}
    for each in theirs:
        signal.signal(each, came.__setitem__)
    try:
        yield
    finally:
        for each, handler in theirs.items():
            signal.signal(each, handler)
        for number, frame in came.items():
            theirs[signal.Signals(number)](number, frame)


# --- where machine code is kept -------------------------------------------------------------------

_HERE = Path(__file__).resolve().parent
_VERSIONS = f"{sys.version} {numba.__version__} {llvmlite.__version__}"


def _with_compiled_functions() -> list[Path]:
    """List the modules that have compiled functions, and the one that compiles them."""
    own = Path(__file__).name
    try:
        paths = sorted(_HERE.rglob("*.py"))
        return [path for path in paths if path.name == own or b"@compiled" in path.read_bytes()]
    except OSError:
        return []


_MODULES = _with_compiled_functions()  # looked for once: each compiled function asks for the digest


def _digest() -> str:
    """Fingerprint of all modules that have compiled functions, and of what compiles them."""
    try:
        stats = [(path, path.stat()) for path in _MODULES]
    except OSError:
        return ""
    if not stats:
        return ""
    return _digest_of(tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats))


@functools.lru_cache(maxsize=2)
def _digest_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256(_VERSIONS.encode())
    for path, _, _ in files:
        digest.update(str(path.relative_to(_HERE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


_DIGEST = _digest()


@functools.cache
def cache_folder() -> Path | None:
    """Folder of the machine code that belongs to this very version of the package.

    Compiled functions hold constants and functions of other modules, and Numba itself looks for
    changes in a function's own file alone. So the name of the folder is a digest of all modules
    that have compiled functions, and of the versions of Python, Numba and llvmlite: whatever
    changes, what was compiled before is not found any more. The folders of earlier versions of the
    same installation are removed; a process that still uses one compiles anew.

    Returns
    -------
    pathlib.Path or None
        In ``NUMBA_CACHE_DIR`` if that is set; else in ``__pycache__`` beside the modules; else, if
        that cannot be written, in the user's cache folder. None if none of them can be written.
    """
    installation = hashlib.sha256(str(_HERE).encode()).hexdigest()[:8]
    kind = f"compiled-{installation}-py{sys.version_info[0]}{sys.version_info[1]}-"
    if not _DIGEST:
        return None
    chosen = str(_config.CACHE_DIR)
    beside = _HERE / "__pycache__"
    of_user = Path(platformdirs.user_cache_dir("tree-world"))
    for parent in [Path(chosen)] if chosen else [beside, of_user]:
        folder = parent / (kind + _DIGEST)
        try:
            is_new = not folder.is_dir()
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError:
            continue
        if is_new:
            _sweep(parent, kind, folder)
        return folder
    return None


def _sweep(parent: Path, kind: str, kept: Path) -> None:
    """Remove what earlier versions have compiled; another process may do so at the same time."""
    for old in parent.glob(kind + "*"):
        if old != kept:
            shutil.rmtree(old, ignore_errors=True)
    for pattern in ("*.nbi", "*.nbc"):  # where version 0.1 kept it
        for file in (_HERE / "models" / "__pycache__").glob(pattern):
            file.unlink(missing_ok=True)


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


CONVERTS_HALF = _converts_half()
"""Whether half precision is converted by an instruction, or by shifting bits."""


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
        if CONVERTS_HALF:
            half = builder.bitcast(arguments[0], ir.HalfType())
            return builder.fpext(half, ir.FloatType())
        return _single_by_bits(builder, arguments[0])

    return types.float32(types.uint16), generate


# --- a product and a sum, rounded once ------------------------------------------------------------


def fused(a: Any, b: Any, c: Any) -> Any:
    """Compute a b + c with a single rounding, on processors without such an instruction, too.

    Parameters
    ----------
    a, b, c : numpy.float32

    Returns
    -------
    numpy.float32

    Examples
    --------
    >>> fused(np.float32(3.0), np.float32(2.0), np.float32(0.5))
    np.float32(6.5)
    """
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))  # nearly always the same


@overload(fused, inline="always", strict=False)
def _fused(a: Any, b: Any, c: Any) -> Any:
    return lambda a, b, c: _fused_singles(a, b, c)  # type: ignore[call-arg]


@intrinsic
def _fused_singles(context: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


# --- arrays that grow -----------------------------------------------------------------------------


@compiled
def twice_as_long(array: np.ndarray) -> np.ndarray:
    """Copy an array into one with room for twice as many.

    ``numpy.concatenate`` does so, too, and takes seconds to compile.

    Parameters
    ----------
    array : numpy.ndarray of shape (n,)

    Returns
    -------
    numpy.ndarray of shape (2 n,)
        What lies beyond the first n means nothing.

    Examples
    --------
    >>> twice_as_long(np.arange(3))[:3]
    array([0, 1, 2])
    """
    longer = np.empty(2 * len(array), array.dtype)
    for i in range(len(array)):
        longer[i] = array[i]
    return longer


# --- products of variances, which leave the range of numbers in many dimensions -------------------


@compiled
def times(product: float, logarithm: float, factor: float) -> tuple[float, float]:
    """Multiply a number that is kept as a product and a logarithm, for few logarithms in all.

    Parameters
    ----------
    product, logarithm : float
        The number is the product times e to the logarithm; begin with 1 and 0.
    factor : float
        Positive.

    Returns
    -------
    product, logarithm : float

    Examples
    --------
    >>> product, logarithm = times(1.0, 0.0, 1e-200)
    >>> round(math.log(product) + logarithm, 3)
    -460.517
    """
    if not 1e-100 < factor < 1e100:
        return product, logarithm + math.log(factor)
    product *= factor
    if not 1e-100 < product < 1e100:
        return 1.0, logarithm + math.log(product)
    return product, logarithm
