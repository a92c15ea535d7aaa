"""The same study with many seeds, in several processes, going on where it was interrupted."""

from __future__ import annotations

import functools
import hashlib
import inspect
import multiprocessing
import pickle
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm import tqdm

import tree_world
from tree_world.checks import whole_number
from tree_world.files import write_atomically

Result = TypeVar("Result")


def over_seeds(
    function: Callable[[int], Result],
    seeds: Iterable[int],
    *,
    processes: int = 2,
    resume: Path | None = None,
) -> list[Result]:
    """Call a function with each of many seeds.

    PyTorch has one thread meanwhile, in each process, so that results are the same to the last bit
    with any number of processes. Where somebody looks on, a bar on the standard error tells how far
    it is.

    Parameters
    ----------
    function : callable
        Of a seed. With more than one process, and with `resume`, it must be found by its name in a
        module that can be imported: no lambda, and nothing defined in a notebook. Its further
        arguments may be fixed by `functools.partial`. What it returns must be possible to pickle.
    seeds : iterable of int
        Whole numbers, each of them once.
    processes : int, default=2
        How many work at a time; 1 calls the function in this process.
    resume : pathlib.Path, optional
        A folder, made if need be, that keeps one file a seed, each written when its result is
        there, whole or not at all. After an interrupt or an error, call again, and only what is
        missing is computed. A file is taken if its key and its seed are the same. The key is a
        digest of the function's name, the text of its module, its fixed arguments, all modules of
        this library, and the versions of Python, NumPy and PyTorch: so the function, changed, is
        called anew. What else the function imports does not count. The files are pickles: take
        none from strangers.

    Returns
    -------
    list
        Results, in the order of the seeds.

    Raises
    ------
    ValueError
        If a seed is no whole number or occurs twice, or there is less than one process.
    TypeError
        If the function cannot be found by its name where it must be.
    RuntimeError
        If the function raises an error, which is its cause; it names the seed. Results that were
        there before are kept in `resume`.

    Examples
    --------
    >>> import math
    >>> over_seeds(math.factorial, range(5), processes=1)
    [1, 1, 2, 6, 24]
    """
    numbers = [whole_number("each of seeds", seed) for seed in seeds]
    repeated = sorted({number for number in numbers if numbers.count(number) > 1})
    if repeated:
        raise ValueError(f"seeds must all differ, but {repeated} occur more than once.")
    processes = whole_number("processes", processes, least=1)
    if processes > 1 or resume is not None:
        _check_name(function)
    kept = _Kept(resume, function) if resume is not None else None
    results = kept.load(numbers) if kept is not None else {}
    missing = [number for number in numbers if number not in results]
    compute = _in_processes if min(processes, len(missing)) > 1 else _here
    with tqdm(
        total=len(numbers),
        initial=len(results),
        desc=_innermost(function).__name__,
        disable=not sys.stderr.isatty(),
    ) as bar:
        for number, result in compute(function, missing, processes):
            if kept is not None:
                kept.store(number, result)
            results[number] = result
            bar.update()
    return [results[number] for number in numbers]


def _here(
    function: Callable[[int], Result], seeds: list[int], processes: int
) -> Iterator[tuple[int, Result]]:
    for seed in seeds:
        with _one_thread():
            try:
                result = function(seed)
            except Exception as error:
                raise _named(seed, error) from error
        yield seed, result


def _in_processes(
    function: Callable[[int], Result], seeds: list[int], processes: int
) -> Iterator[tuple[int, Result]]:
    # A process that is forked would inherit threads and locks in a state of which nobody knows.
    context = multiprocessing.get_context("spawn")
    workers = min(processes, len(seeds))
    start: dict[str, Any] = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(workers, context, **start) as pool:
        futures = {pool.submit(function, seed): seed for seed in seeds}
        try:
            for future in as_completed(futures):
                try:
                    result = future.result()
                except Exception as error:
                    raise _named(futures[future], error) from error
                yield futures[future], result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _named(seed: int, error: Exception) -> RuntimeError:
    return RuntimeError(f"with seed {seed}: {type(error).__name__}: {error}")


# --- the function, and what it is known by --------------------------------------------------------


def _innermost(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _check_name(function: Any) -> None:
    inner = _innermost(function)
    try:
        pickle.dumps(function)
        found = Path(inspect.getfile(inspect.getmodule(inner) or inner)).exists()
    except Exception as error:
        raise TypeError(_NOT_FOUND.format(function)) from error
    if not found:
        raise TypeError(_NOT_FOUND.format(function))


_NOT_FOUND = (
    "function must be found by its name in a module, so that other processes can import it and "
    "changes of it are seen, but {!r} is not. Define it in a file beside, or give processes=1 and "
    "no resume."
)


def _key(function: Any) -> str:
    """Digest of all that a result depends on, but for the seed."""
    inner = _innermost(function)
    versions = (platform.python_version(), np.__version__, torch.__version__)
    digest = hashlib.sha256(f"{inner.__module__}.{inner.__qualname__} {versions}".encode())
    digest.update(_fixed(function))
    package = Path(tree_world.__file__).parent
    module = Path(inspect.getfile(inspect.getmodule(inner) or inner))
    for path in (module, *sorted(package.rglob("*.py"))):
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _fixed(function: Any) -> bytes:
    """Arguments that were fixed; the function itself is known by its name and text."""
    fixed = []
    while isinstance(function, functools.partial):
        fixed.append((function.args, sorted(function.keywords.items())))
        function = function.func
    return pickle.dumps(fixed, protocol=4)


class _Kept:
    """A folder of results, one file a seed."""

    def __init__(self, folder: Path, function: Any) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = _key(function)
        self.name = _innermost(function).__name__

    def path(self, seed: int) -> Path:
        return self.folder / f"{self.name}-{self.key[:16]}-seed-{seed}.pickle"

    def load(self, seeds: list[int]) -> dict[int, Any]:
        found = {}
        for seed in seeds:
            try:
                key, number, result = pickle.loads(self.path(seed).read_bytes())
            except Exception:  # it is not there, or it is none of ours
                continue
            if (key, number) == (self.key, seed):
                found[seed] = result
        return found

    def store(self, seed: int, result: Any) -> None:
        write_atomically(self.path(seed), pickle.dumps((self.key, seed, result)))
