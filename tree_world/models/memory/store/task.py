"""Work that goes on in a thread of its own, and that can be told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Cancelled(RuntimeError):
    """Raised by work that was told to stop; nothing was changed."""


class Task(Generic[T]):
    """Work that goes on in a thread of its own.

    Parameters
    ----------
    work : callable
        Takes an array of one bool, which becomes true when it should stop.

    Examples
    --------
    >>> task = Task(lambda stop: 6 * 7)
    >>> task.result()
    42
    """

    def __init__(self, work: Callable[[np.ndarray], T]) -> None:
        self._stop = np.zeros(1, dtype=np.bool_)
        self._future: Future[T] = Future()
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[np.ndarray], T]) -> None:
        try:
            self._future.set_result(work(self._stop))
        except BaseException as error:  # it is raised where the result is asked for
            self._future.set_exception(error)

    def done(self) -> bool:
        """Tell whether it has ended, well or badly."""
        return self._future.done()

    def cancel(self) -> None:
        """Ask it to stop; the memory then stays as it is, unless it has just been swapped."""
        self._stop[0] = True

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        object
            What the work returned.

        Raises
        ------
        TimeoutError
            If it takes longer.
        Cancelled
            If it was cancelled in time.
        tree_world.models.memory.store.exchange.Superseded
            If the memory became another meanwhile.
        """
        return self._future.result(timeout)


def stop_if_asked(stop: np.ndarray) -> None:
    """Raise `Cancelled` if work was told to stop."""
    if stop[0]:
        raise Cancelled("forgetting was cancelled; the memory is as it was.")
