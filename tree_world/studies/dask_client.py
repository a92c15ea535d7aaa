"""A client of Dask, from what was given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tree_world.optional import from_extra

if TYPE_CHECKING:
    import distributed


@contextmanager
def connected(client: distributed.Client | str, needed_by: str) -> Iterator[distributed.Client]:
    """Give a client, and close it afterwards if it was made here.

    Parameters
    ----------
    client : distributed.Client or str
        A client, which stays open, or the address of a scheduler, such as
        ``"tcp://192.0.2.7:8786"``.
    needed_by : str
        What asks for it, for an error.

    Yields
    ------
    distributed.Client

    Raises
    ------
    ModuleNotFoundError
        If Dask is not installed.
    TypeError
        If it is neither.
    OSError
        If no scheduler answers at the address.

    Examples
    --------
    >>> with connected(8786, "this example"):
    ...     pass
    Traceback (most recent call last):
    TypeError: client must be a distributed.Client or the address of a scheduler, such as \
"tcp://192.0.2.7:8786", not an int.
    """
    with from_extra("cluster", needed_by):
        import distributed
    if isinstance(client, str):
        with distributed.Client(client, set_as_default=False) as opened:
            yield opened
        return
    if not isinstance(client, distributed.Client):
        raise TypeError(
            "client must be a distributed.Client or the address of a scheduler, such as "
            f'"tcp://192.0.2.7:8786", not an {type(client).__name__}.'
        )
    if client.asynchronous:
        raise TypeError("client must wait for its results: make it without asynchronous=True.")
    yield client
