"""A function of seeds on the workers of a Dask cluster."""

from __future__ import annotations

import copy
import functools
import importlib.util
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tree_world.studies.code import Code, code_here, differences, name_of
from tree_world.studies.dask_client import connected
from tree_world.studies.threads import one_thread

if TYPE_CHECKING:
    import distributed


class OtherCode(RuntimeError):
    """Raised on a worker that would compute something else than this process."""


@dataclass(frozen=True)
class Failure:
    """What is left of a call that failed.

    Attributes
    ----------
    worker : str
        Its address.
    what : str
        The error in a line.
    told : str
        Its traceback.
    error : Exception or None
        None if it cannot be sent.
    """

    worker: str
    what: str
    told: str
    error: Exception | None


def on_workers(
    function: Callable[[Any], Any], seeds: Sequence[Any], client: distributed.Client | str
) -> Iterator[tuple[Any, Any]]:
    """Call a function with each of many seeds, and give results as they come.

    Dask gives the seeds of a worker that dies to others. A seed whose function raises an error is
    tried once more, on another worker where there is one.

    Parameters
    ----------
    function : callable
        Of a seed; sent by its name if it is in a module, else with all that it refers to.
    seeds : sequence
        All different, and hashable.
    client : distributed.Client or str
        See `tree_world.studies.dask_client.connected`.

    Yields
    ------
    seed, result

    Raises
    ------
    RuntimeError
        If a seed has failed twice, or a worker has died of it as often as Dask allows.
    ModuleNotFoundError
        If a worker has not this library.
    """
    with connected(client, "over_seeds with a client") as dask:
        import distributed
        from distributed.protocol import pickle

        _check_library(dask)
        # As bytes: a worker that cannot import what is in them says so, and goes on.
        call = functools.partial(_called, pickle.dumps(function), code_here(function))
        submit = functools.partial(_submitted, dask, call, name_of(function))
        waiting = {submit(seed): seed for seed in seeds}
        failed: dict[Any, Failure] = {}
        done = distributed.as_completed(
            list(waiting), loop=dask.loop, with_results=True, raise_errors=False
        )
        try:
            for future, result in done:
                seed = waiting.pop(future)
                if future.status != "finished":
                    raise _lost(seed, future)
                if not isinstance(result, Failure):
                    yield seed, result
                elif seed in failed:
                    raise _twice(seed, failed[seed], result)
                else:
                    failed[seed] = result
                    again = submit(seed, avoid=result.worker)
                    waiting[again] = seed
                    done.add(again)
        finally:
            if waiting:
                dask.cancel(list(waiting))


def _check_library(client: distributed.Client) -> None:
    """Refuse workers without this library, which otherwise would wait for ever."""
    found = client.run(importlib.util.find_spec, "tree_world")
    without = [worker for worker, spec in found.items() if spec is None]
    if without:
        raise ModuleNotFoundError(
            f"{', '.join(without)} cannot import tree_world. Install there what is installed here.",
            name="tree_world",
        )


def _submitted(
    client: distributed.Client,
    call: Callable[[Any], Any],
    name: str,
    seed: Any,
    avoid: str | None = None,
) -> distributed.Future[Any]:
    others = [worker for worker in client.nthreads() if worker != avoid] if avoid else []
    return client.submit(
        call,
        seed,
        # A name of its own, for what another call has computed may be of other code.
        key=f"{name}-{uuid.uuid4().hex}",
        workers=others or None,
        allow_other_workers=bool(others),  # if those die, too, it does not wait for them for ever
        priority=1 if avoid else 0,
    )


def _called(pickled: bytes, code: Code, seed: Any) -> Any:
    """Call the function on a worker."""
    import distributed
    from distributed.protocol import pickle

    worker = str(distributed.get_worker().address)
    try:
        function = pickle.loads(pickled)
        if other := differences(code):
            raise OtherCode(
                f"this worker has {' and '.join(other)}. Install there what is installed here, and "
                "start it again: client.restart()"
            )
        with one_thread():
            return function(seed)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        return Failure(worker, what, traceback.format_exc(), _sendable(error))


def _sendable(error: Exception) -> Exception | None:
    """Give an error without what it was raised by, if it can be made again from what it tells."""
    try:
        return copy.deepcopy(error).with_traceback(None)
    except Exception:
        return None


def _twice(seed: Any, first: Failure, second: Failure) -> RuntimeError:
    told = RuntimeError(
        f"with seed {seed!r}, tried on {first.worker} and on {second.worker}: {second.what}"
    )
    told.__cause__ = second.error
    if first.what != second.what:
        told.add_note(f"On {first.worker}:\n{first.told}")
    told.add_note(f"On {second.worker}:\n{second.told}")
    return told


def _lost(seed: Any, future: distributed.Future[Any]) -> RuntimeError:
    """Say what became of a seed of which no worker has told anything."""
    if future.status != "error":
        return RuntimeError(
            f"with seed {seed!r}: the scheduler has let go of it ({future.status}). Was it "
            "stopped, or the study cancelled? Call again; with resume, what is there is kept."
        )
    error = future.exception()
    told = RuntimeError(f"with seed {seed!r}: {type(error).__name__}: {error}")
    told.__cause__ = error
    return told
