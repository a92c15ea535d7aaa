"""The same study with many seeds, in several processes, going on where it was interrupted."""

from __future__ import annotations

import hashlib
import multiprocessing
import numbers
import pickle
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from tree_world.checks import whole_number
from tree_world.files import write_atomically
from tree_world.studies.code import file_of, key_of, name_of
from tree_world.studies.on_workers import on_workers
from tree_world.studies.threads import one_thread

if TYPE_CHECKING:
    import distributed

Seed = TypeVar("Seed", bound=Hashable)
Result = TypeVar("Result")


def over_seeds(
    function: Callable[[Seed], Result],
    seeds: Iterable[Seed],
    *,
    processes: int = 2,
    client: distributed.Client | str | None = None,
    resume: Path | None = None,
    on_result: Callable[[Seed, Result], None] | None = None,
) -> list[Result]:
    """Call a function with each of many seeds.

    PyTorch, Numba and the linear algebra of NumPy have one thread meanwhile, wherever it is called,
    so that results are the same to the last bit with any number of processes or workers. Where
    somebody looks on, a bar on the standard error tells how far it is.

    Parameters
    ----------
    function : callable
        Of a seed. With more than one process, and with `resume`, it must be found by its name in a
        module that can be imported: no lambda, and nothing defined in a notebook. With a `client`
        and without `resume` it may be either. Its further arguments may be fixed by
        `functools.partial`. What it returns must be possible to pickle.
    seeds : iterable of int, str or tuple
        Each of them once: whole numbers, or whatever else tells one call from another, by texts or
        by tuples of numbers and texts, such as ``("15 trees", 7)``.
    processes : int, default=2
        How many work at a time on this machine; 1 calls the function in this process. Does not
        count with a `client`.
    client : distributed.Client or str, optional
        Work is done by the workers of this cluster of Dask instead: a client, or the address of a
        scheduler, such as ``"tcp://192.0.2.7:8786"``, of whatever has started one: `LocalCluster`,
        dask-jobqueue, Kubernetes, Coiled. Workers need this library and the function's module as
        they are here, and one that has another text or version refuses. Seeds of a worker that dies
        are taken over by others. Needs the extra ``cluster``.
    resume : pathlib.Path, optional
        A folder, made if need be, that keeps one file a seed, each written when its result is
        there, whole or not at all, by this process. After an interrupt or an error, call again, and
        only what is missing is computed, with or without `client`. A file is taken if its key and
        its seed are the same. The key is a digest of the function's name, the text of its module,
        its fixed arguments, all modules of this library, and the versions of Python, NumPy and
        PyTorch: so the function, changed, is called anew. What else the function imports does not
        count. The files are pickles: take none from strangers.
    on_result : callable, optional
        Called in this process with each seed and its result, when that is there; not with those
        that `resume` has kept.

    Returns
    -------
    list
        Results, in the order of the seeds.

    Raises
    ------
    ValueError
        If a seed is none, or occurs twice, or there is less than one process.
    TypeError
        If the function cannot be found by its name where it must be, or `client` is none.
    RuntimeError
        If the function raises an error, which is its cause; it names the seed. With a `client` that
        is so when it fails a second time, on another worker if there is one; then it names the
        workers, and notes hold their tracebacks. Results that were there before are kept in
        `resume`.
    ModuleNotFoundError
        If there is a `client`, but no Dask.

    Examples
    --------
    >>> import math
    >>> over_seeds(math.factorial, range(5), processes=1)
    [1, 1, 2, 6, 24]
    """
    checked: list[Any] = [_checked(seed) for seed in seeds]
    repeated = [seed for seed, times in Counter(checked).items() if times > 1]
    if repeated:
        raise ValueError(f"seeds must all differ, but {repeated} occur more than once.")
    processes = whole_number("processes", processes, least=1)
    if resume is not None or (processes > 1 and client is None):
        _check_name(function)
    kept = _Kept(resume, function) if resume is not None else None
    results = kept.load(checked) if kept is not None else {}
    missing = [seed for seed in checked if seed not in results]
    with tqdm(
        total=len(checked),
        initial=len(results),
        desc=name_of(function),
        disable=not sys.stderr.isatty(),
    ) as bar:
        for seed, result in _computed(function, missing, processes, client):
            if kept is not None:
                kept.store(seed, result)
            results[seed] = result
            if on_result is not None:
                on_result(seed, result)
            bar.update()
    return [results[seed] for seed in checked]


def _checked(seed: Any) -> Any:
    """Take a seed as what has the same text wherever it comes from."""
    if isinstance(seed, str):
        return str(seed)
    if isinstance(seed, tuple):
        return tuple(_checked_part(part) for part in seed)
    return whole_number("each of seeds", seed)


def _checked_part(part: Any) -> Any:
    if part is None or isinstance(part, bool):
        return part
    if isinstance(part, numbers.Real) and not isinstance(part, numbers.Integral):
        return float(part)
    return _checked(part)


def _computed(
    function: Callable[[Any], Any],
    seeds: list[Any],
    processes: int,
    client: distributed.Client | str | None,
) -> Iterator[tuple[Any, Any]]:
    if client is not None and seeds:
        return on_workers(function, seeds, client)
    workers = min(processes, len(seeds))
    return _in_processes(function, seeds, workers) if workers > 1 else _here(function, seeds)


def _here(function: Callable[[Any], Any], seeds: list[Any]) -> Iterator[tuple[Any, Any]]:
    for seed in seeds:
        try:
            result = _alone(function, seed)
        except Exception as error:
            raise _named(seed, error) from error
        yield seed, result


def _in_processes(
    function: Callable[[Any], Any], seeds: list[Any], workers: int
) -> Iterator[tuple[Any, Any]]:
    # A process that is forked would inherit threads and locks in a state of which nobody knows.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        futures = {pool.submit(_alone, function, seed): seed for seed in seeds}
        try:
            for future in as_completed(futures):
                try:
                    result = future.result()
                except Exception as error:
                    raise _named(futures[future], error) from error
                yield futures[future], result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _alone(function: Callable[[Any], Any], seed: Any) -> Any:
    with one_thread():
        return function(seed)


def _named(seed: Any, error: Exception) -> RuntimeError:
    return RuntimeError(f"with seed {seed!r}: {type(error).__name__}: {error}")


def _check_name(function: Any) -> None:
    try:
        pickle.dumps(function)
        found = file_of(function).exists()
    except Exception as error:
        raise TypeError(_NOT_FOUND.format(function)) from error
    if not found:
        raise TypeError(_NOT_FOUND.format(function))


_NOT_FOUND = (
    "function must be found by its name in a module, so that other processes can import it and "
    "changes of it are seen, but {!r} is not. Define it in a file beside, or give no resume, and "
    "processes=1 or a client."
)


class _Kept:
    """A folder of results, one file a seed."""

    def __init__(self, folder: Path, function: Any) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = key_of(function)
        self.name = name_of(function)

    def path(self, seed: Any) -> Path:
        # A text may hold what the name of a file cannot.
        named = seed if isinstance(seed, int) else _digest(repr(seed))
        return self.folder / f"{self.name}-{self.key[:16]}-seed-{named}.pickle"

    def load(self, seeds: list[Any]) -> dict[Any, Any]:
        found = {}
        for seed in seeds:
            try:
                key, told, result = pickle.loads(self.path(seed).read_bytes())
            except Exception:  # it is not there, or it is none of ours
                continue
            if (key, told) == (self.key, seed):
                found[seed] = result
        return found

    def store(self, seed: Any, result: Any) -> None:
        write_atomically(self.path(seed), pickle.dumps((self.key, seed, result)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
