"""Shards on the workers of a Dask cluster: who is asked, and who does not answer any more.

A shard is an actor of Dask: an object on one worker, whose methods are called from here. When its
worker dies, Dask does not make it anew; so this does, on another worker, and whose fleet it is
fills it from a checkpoint. An actor whose worker dies in the middle of a call may never answer. So
nothing here waits without looking, again and again, whether the worker is still there.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tree_world.cluster.shard import Shard
from tree_world.optional import from_extra

if TYPE_CHECKING:
    from distributed import Client

_LOG = logging.getLogger(__name__)
_LOOK = 0.5  # seconds, after which to look whether a worker that has not answered is there
_ASKED_AGAIN = 20  # times, where a connection breaks and the worker is there
_PATIENCE = 60.0  # seconds to wait for a worker, where there is none

Request = tuple[Any, ...]
"""Name of a method of `Shard`, and what it is given."""


class WritesLost(RuntimeError):
    """A worker died, and with it what was written since the last checkpoint.

    The memory goes on with what the checkpoint holds, and the call that met with this was done
    nevertheless.

    Attributes
    ----------
    ids : torch.Tensor of int64, of shape (n,)
        Observations that were written since, and are lost. One with which others were merged is
        there as the checkpoint has it, if that has it. Empty if no folder was given for
        checkpoints, as then it is not noted what is written where.
    number : int
        How many are lost.
    shards : list of int
        Which shards the worker had.
    answer : object
        What the call would have returned; None if it failed.
    """

    def __init__(self, message: str, ids: torch.Tensor, number: int, shards: list[int]) -> None:
        super().__init__(message)
        self.ids, self.number, self.shards = ids, number, shards
        self.answer: Any = None


@dataclass
class _Place:
    """Where a shard is.

    Attributes
    ----------
    address : str
        Of the worker.
    future : distributed.Future
        Of the actor; as long as it is held, Dask keeps the actor.
    actor : distributed.Actor
    """

    address: str
    future: Any
    actor: Any


class _Gone(Exception):
    """A worker does not answer any more."""


class Fleet:
    """Actors on workers, by number.

    Parameters
    ----------
    client : distributed.Client, str or None
        A client, the address of a scheduler, or None for a cluster of processes on this machine
        that ends with this.
    number : int
        How many shards there are to be.
    """

    def __init__(self, client: Client | str | None, number: int) -> None:
        with from_extra("cluster", "ShardedMemory"):
            from distributed import Client, LocalCluster
        self.cluster: Any = None
        self.owned = not isinstance(client, Client)
        connect: Any = Client
        address: Any = client
        if client is None:
            own_cluster: Any = LocalCluster
            workers = max(1, min(number, os.cpu_count() or 1))
            self.cluster = address = own_cluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0"
            )
        if self.owned:
            address = connect(address, set_as_default=False, direct_to_workers=True)
        self.client: Any = address
        self.places: dict[int, _Place] = {}
        self.number = 0  # of the calls so far

    def close(self) -> None:
        """Let go of all shards, and of what was started for them."""
        self.places.clear()
        if self.owned:
            self.client.close()
        if self.cluster is not None:
            self.cluster.close()

    def workers(self) -> set[str]:
        """Addresses of all workers that the scheduler knows.

        Raises
        ------
        ConnectionError
            If the scheduler does not answer.
        """
        try:
            return set(self.client.nthreads())
        except (OSError, TimeoutError, RuntimeError) as error:
            raise ConnectionError(
                f"the scheduler of the cluster does not answer ({error}): start it again, and load "
                "the last checkpoint."
            ) from error

    def start(self, shards: list[int], given: dict[int, Request]) -> None:
        """Make shards anew, each on the worker that has the fewest.

        Parameters
        ----------
        shards : list of int
        given : dict of int to tuple
            What each is made of.

        Raises
        ------
        ConnectionError
            If there is no worker for a minute.
        """
        for shard in shards:
            self.places.pop(shard, None)
        started = time.monotonic()
        missing = list(shards)
        while missing:
            loads = dict.fromkeys(self.workers(), 0)
            for place in self.places.values():
                if place.address in loads:
                    loads[place.address] += 1
            if loads:
                asked = {}
                for shard in missing:
                    address = min(sorted(loads), key=loads.__getitem__)
                    loads[address] += 1
                    asked[shard] = address, self._submit(address, given[shard])
                for shard, (address, future) in asked.items():
                    actor = self._actor(address, future)
                    if actor is not None:
                        self.places[shard] = _Place(address, future, actor)
                missing = [shard for shard in missing if shard not in self.places]
            if missing and time.monotonic() - started > _PATIENCE:
                raise ConnectionError(
                    f"the cluster has had no worker for shard {missing[0]} for {_PATIENCE:.0f} "
                    "seconds: start workers, and load the last checkpoint."
                )
            if missing:
                time.sleep(_LOOK)

    def _submit(self, address: str, given: Request) -> Any:
        return self.client.submit(
            Shard,
            *given,
            actor=True,
            workers=[address],
            allow_other_workers=False,
            pure=False,
            key=f"shard-{uuid.uuid4().hex}",
        )

    def _actor(self, address: str, future: Any) -> Any:
        """Wait until an actor is there; None if its worker is gone before."""
        while True:
            try:
                with self.client.as_current():
                    return future.result(timeout=_LOOK)
            except TimeoutError:
                if address not in self.workers():
                    return None
            except Exception:
                if future.status == "error" and address in self.workers():
                    raise  # it cannot be made
                return None

    def ask(
        self, requests: dict[int, Request]
    ) -> tuple[dict[int, Any], dict[int, Exception], set[int]]:
        """Ask several shards at once.

        Parameters
        ----------
        requests : dict of int to tuple

        Returns
        -------
        answers : dict of int to object
        errors : dict of int to Exception
            What shards have raised.
        lost : set of int
            Shards whose worker does not answer any more, and all others that it had.
        """
        answers: dict[int, Any] = {}
        errors: dict[int, Exception] = {}
        gone: set[str] = set()
        self.number += 1
        with self.client.as_current():
            calls = {shard: self._call(shard, request) for shard, request in requests.items()}
            for shard, call in calls.items():
                place = self.places[shard]
                try:
                    done, answer = self._answer(shard, requests[shard], call)
                except _Gone as error:
                    _LOG.warning("%s does not answer: %s", place.address, error)
                    gone.add(place.address)
                    continue
                if done:
                    answers[shard] = answer
                else:
                    errors[shard] = answer
        lost = {shard for shard, place in self.places.items() if place.address in gone}
        answers = {shard: answer for shard, answer in answers.items() if shard not in lost}
        return answers, errors, lost

    def _call(self, shard: int, request: Request) -> Any:
        """Begin a call; None if Dask knows already that the worker is gone."""
        try:
            return self.places[shard].actor.do(self.number, *request)
        except (RuntimeError, OSError):
            return None

    def _answer(self, shard: int, request: Request, call: Any) -> tuple[bool, Any]:
        """Wait for an answer, as long as the worker is there.

        Where a connection breaks, the same is asked again: by its number a shard knows what it has
        done already.
        """
        place, tries = self.places[shard], 0
        while True:
            try:
                if call is not None:
                    done, answer = call.result(timeout=_LOOK)
                    return bool(done), answer
                broken: Exception = OSError("its actor is lost")
            except TimeoutError as error:
                broken = error
            except (OSError, RuntimeError, LookupError) as error:
                broken = error
            if place.future.status != "finished" or place.address not in self.workers():
                raise _Gone(f"its worker is gone ({broken})")
            if call is None or not isinstance(broken, TimeoutError) or call.done():
                tries += 1
                if tries > _ASKED_AGAIN:
                    raise _Gone(f"{broken!r}, {tries} times")
                time.sleep(_LOOK)
                call = self._call(shard, request)
