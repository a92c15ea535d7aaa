"""Studies of a memory in shards beside one memory: work, bytes, halos, deaths, and larger ones.

Usage: ``python -m benchmarks.study_shards [OPTION ...] [NAME ...]``, all by default. Shards are on
two workers of a cluster on this machine. Work is counted in seconds of processors, of all processes
together, as the machine has fewer processors than there are shards.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.origins import results_file
from benchmarks.studies import Part, Same, Study, run_studies
from tree_world.cluster import ShardedMemory, WritesLost
from tree_world.models.memory import Memory, Prune, ReadOptions

RESULTS = results_file("shards")

SHARDS = 8
SENSORY = 384
SHORTER = 64  # numbers of a sense where there are many
SD = 10.0  # metres, of all observations and reads
THRESHOLD = 25.0  # metres
BATCH = 1000  # places that are read at once
MANY = 1_000_000
DISK_SIZE = 10_000_000
LARGEST = 100_000_000
DENSE = 200.0  # metres on each axis, of ten thousand observations; larger memories are as dense
AT_A_TIME = 25_000  # observations in a write that fills a memory
TOLERANCE = 0.1
# A network between machines: what is usual in one hall.
BANDWIDTH = 1.25e9  # bytes a second
ROUND_TRIP = 2e-4  # seconds


@contextlib.contextmanager
def cluster(workers: int = 2) -> Iterator[Any]:
    """Start workers on this machine, and give a client."""
    import distributed

    own: Any = distributed.LocalCluster
    connect: Any = distributed.Client
    with (
        own(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as processes,
        connect(processes, direct_to_workers=True, set_as_default=False) as client,
    ):
        yield client


class Mortals:
    """Workers that are started again by whoever kills them, as nannies sometimes do not.

    Parameters
    ----------
    number : int
        How many there are to be.
    """

    def __init__(self, number: int) -> None:
        import distributed

        own: Any = distributed.LocalCluster
        connect: Any = distributed.Client
        self.number, self.alive = number, list[subprocess.Popen[bytes]]()
        self.cluster = own(n_workers=0, dashboard_address=":0")
        self.client = connect(self.cluster, direct_to_workers=True, set_as_default=False)

    def all_there(self) -> None:
        """Start as many as are missing, and wait for them."""
        self.alive = [process for process in self.alive if process.poll() is None]
        command = [
            sys.executable,
            "-m",
            "distributed.cli.dask_worker",
            self.cluster.scheduler_address,
        ]
        command += ["--no-nanny", "--nthreads=1", "--no-dashboard"]
        while len(self.alive) < self.number:
            self.alive.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        wanted = {process.pid for process in self.alive}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if wanted <= set(self.client.run(os.getpid, on_error="ignore").values()):
                    return
            time.sleep(0.2)
        raise TimeoutError("workers did not start within a minute.")

    def kill_soon(self, chances: random.Random) -> threading.Timer:
        """Kill one of them within the next moment."""
        victim = chances.choice(self.alive)
        timer = threading.Timer(chances.uniform(0, 0.15), victim.kill)
        timer.start()
        return timer

    def close(self) -> None:
        """End them all."""
        self.client.close()
        for process in self.alive:
            process.kill()
        self.cluster.close()


def spread_of(size: int) -> float:
    """How far observations spread, so that larger memories are as dense."""
    return DENSE * math.sqrt(size / 10_000)


def observations(size: int, width: int) -> Iterator[tuple[torch.Tensor, float, torch.Tensor]]:
    """Observations, as many at a time as are written at once."""
    generator = torch.Generator().manual_seed(0)
    for start in range(0, size, AT_A_TIME):
        number = min(AT_A_TIME, size - start)
        places = spread_of(size) * torch.randn(number, 2, generator=generator)
        yield places, SD, torch.randn(number, width, generator=generator)


def places_to_read(size: int, batches: int) -> list[torch.Tensor]:
    """Places in batches, spread as the observations are."""
    generator = torch.Generator().manual_seed(1)
    return [spread_of(size) * torch.randn(BATCH, 2, generator=generator) for _ in range(batches)]


def seconds_of(client: Any | None) -> float:
    """Seconds of processors that this process, and workers, have taken."""
    workers = () if client is None else client.run(_seconds_here).values()
    return _seconds_here() + sum(workers)


def _seconds_here() -> float:
    own = psutil.Process().cpu_times()
    return float(own.user + own.system)


def _count_bytes(dask_worker: Any = None) -> None:
    """Count what this process sends from now on, of calls of actors and of their answers."""
    from distributed.comm import tcp

    kept: Any = tcp.TCP
    if hasattr(kept, "counted"):
        kept.counted.clear()
        return
    kept.counted = Counter()
    write = kept.write

    async def counting(self: Any, msg: Any, *given: Any, **choices: Any) -> Any:
        sent = await write(self, msg, *given, **choices)
        if isinstance(msg, dict) and msg.get("op") == "actor_execute":
            kept.counted.update(calls=1, asked=sent)
        elif isinstance(msg, dict) and set(msg) == {"status", "result"}:
            kept.counted.update(answered=sent)
        return sent

    kept.write = counting


def _bytes_here() -> dict[str, int]:
    from distributed.comm import tcp

    kept: Any = tcp.TCP
    return dict(kept.counted)


def bytes_of(client: Any) -> dict[str, int]:
    """Bytes that have been sent since they are counted, from here and from workers."""
    total = Counter(_bytes_here())
    for own in client.run(_bytes_here).values():
        total.update(own)
    return {name: total[name] for name in ("calls", "asked", "answered")}


# --- reads ----------------------------------------------------------------------------------------


def reads(part: Part, size: int = MANY, batches: int = 20) -> dict[str, Any]:
    """Read batches of a thousand places from a million, in eight shards and in one memory."""
    one = part(f"one of {size:,}", _one, size, SENSORY, batches)
    shards = part(f"{SHARDS} shards of {size:,}", _shards, size, SENSORY, batches, None)
    first = torch.tensor(one.pop("first")), torch.tensor(shards.pop("first"))
    largest = float(torch.linalg.vector_norm(first[0], dim=-1).max())
    difference = float(torch.linalg.vector_norm(first[0] - first[1], dim=-1).max()) / largest
    return {
        "size": size,
        "batch": BATCH,
        "num_shards": SHARDS,
        "one": one,
        "shards": shards,
        "work": {o: shards[o]["seconds"] / one[o]["seconds"] for o in ("constant", "linear")},
        "difference": difference,
    }


def _one(size: int, width: int, batches: int) -> dict[str, Any]:
    memory = Memory(2, width, max_memory_size=size)
    for written in observations(size, width):
        memory.write(*written)
    return _read(memory, size, batches, None)


def _shards(size: int, width: int, batches: int, storage: str | None) -> dict[str, Any]:
    with (
        cluster() as client,
        ShardedMemory(
            2, width, max_memory_size=size, num_shards=SHARDS, client=client, storage=storage
        ) as memory,
    ):
        begun = time.perf_counter()
        for written in observations(size, width):
            memory.write(*written)
        found = _read(memory, size, batches, client)
        return {
            **found,
            "sizes": sorted(memory.sizes),
            "total_seconds": time.perf_counter() - begun,
        }


def _read(
    memory: Memory | ShardedMemory, size: int, batches: int, client: Any | None
) -> dict[str, Any]:
    places = places_to_read(size, batches)
    found: dict[str, Any] = {}
    for order in ("constant", "linear"):
        how = ReadOptions(THRESHOLD, order=order)
        # Whatever is compiled on the first call is compiled; so is the index.
        found["first"] = memory.read(places[0][:200], SD, how=how)
        if client is not None:
            _count_bytes()
            client.run(_count_bytes)
        before, begun = seconds_of(client), time.perf_counter()
        for batch in places:
            memory.read(batch, SD, how=how)
        taken = (seconds_of(client) - before) / batches
        found[order] = {"seconds": taken, "elapsed": (time.perf_counter() - begun) / batches}
        if client is not None:
            sent = bytes_of(client)
            width = found["first"].shape[1]
            answers = batches * BATCH * width * 4
            calls = sent["calls"]
            found[order] |= {
                "calls": calls / batches,
                "bytes": (sent["asked"] + sent["answered"]) / batches,
                "bytes_of_means": answers / batches,
                "bytes_beside_a_call": (sent["asked"] + sent["answered"] - answers) / calls,
                "asked_a_call": sent["asked"] / calls,
            }
    return found


# --- pruning --------------------------------------------------------------------------------------


def halo(part: Part, size: int = 50_000) -> dict[str, Any]:
    """Prune eight shards, each with what is around it, and one memory."""
    return {"size": size, "num_shards": SHARDS, **part(f"prune {size:,}", _halo, size)}


def _field(places: torch.Tensor) -> torch.Tensor:
    """Senses that change smoothly, so that much can go."""
    generator = torch.Generator().manual_seed(2)
    waves = places @ torch.randn(2, 16, generator=generator) / 100
    return torch.sin(waves + torch.arange(16))


def _halo(size: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    places = spread_of(size) * torch.randn(size, 2, generator=generator)
    senses = _field(places) + 0.02 * torch.randn(size, 16, generator=generator)
    how = Prune(TOLERANCE, THRESHOLD)
    first = Memory(2, 16, max_memory_size=size)
    first.write(places, SD, senses)
    first.forget(how)  # so that it is compiled
    one = Memory(2, 16, max_memory_size=size)
    one.write(places, SD, senses)
    before = seconds_of(None)
    report = one.prune(TOLERANCE, THRESHOLD)
    own_seconds = seconds_of(None) - before
    choices: dict[str, Any] = {"max_memory_size": size, "num_shards": SHARDS}
    with cluster() as client, ShardedMemory(2, 16, client=client, **choices) as memory:
        with ShardedMemory(2, 16, client=client, **choices) as other:  # so that it is compiled
            other.write(places, SD, senses)
            other.prune(TOLERANCE, THRESHOLD)
        memory.write(places, SD, senses)
        everything = memory.observations()
        memory.read(places[:10], SD, THRESHOLD)
        before = seconds_of(client)
        shards = memory.prune(TOLERANCE, THRESHOLD)
        seconds = seconds_of(client) - before
        gone = ~torch.isin(everything.ids, memory.observations().ids)
        read = memory.recall(everything.locations[gone], SD, THRESHOLD)
        errors = torch.linalg.vector_norm(read.mean - everything.senses[gone], dim=-1)
        above = int((errors > TOLERANCE * (1 + 1e-5)).sum() + (~read.known).sum())
    return {
        "tolerance": TOLERANCE,
        "threshold": THRESHOLD,
        "one": {"seconds": own_seconds, "kept": report.num_kept},
        "shards": {"seconds": seconds, "kept": shards.num_kept},
        "above_tolerance": above,
        "worst_error": float(errors.max()),
    }


# --- deaths ---------------------------------------------------------------------------------------

_ACTS = ("write", "read", "checkpoint")


def kills(part: Part, number: int = 100) -> dict[str, Any]:
    """Kill a worker again and again, in the middle of writes, reads and checkpoints."""
    each = 25
    parts = [
        part(f"kills from {start}", _kills, start, min(each, number - start))
        for start in range(0, number, each)
    ]
    outcomes: Counter[str] = Counter()
    for one in parts:
        outcomes.update(one["outcomes"])
    return {
        "number": number,
        "outcomes": dict(sorted(outcomes.items())),
        "lost_of_a_checkpoint": sum(one["lost_of_a_checkpoint"] for one in parts),
        "unclear": sum(one["unclear"] for one in parts),
        "longest_seconds": max(one["longest_seconds"] for one in parts),
    }


def _ids_of(memory: ShardedMemory) -> torch.Tensor:
    """Whatever is there; a death that is met with here was that of the call before."""
    with contextlib.suppress(WritesLost):
        return memory.observations().ids
    return memory.observations().ids


def _kills(first: int, number: int) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    lost = unclear = 0
    longest = 0.0
    chances = random.Random(first)
    generator = torch.Generator().manual_seed(first)
    with contextlib.closing(Mortals(2)) as workers, tempfile.TemporaryDirectory() as folder:
        workers.all_there()
        choices: dict[str, Any] = {"client": workers.client, "folder": Path(folder) / "own"}
        with ShardedMemory(2, 8, max_memory_size=20_000, num_shards=4, **choices) as memory:
            memory.write(100 * torch.randn(2000, 2, generator=generator), SD, torch.ones(2000, 8))
            memory.checkpoint()
            held = _ids_of(memory)
            for turn in range(first, first + number):
                workers.all_there()
                places = 100 * torch.randn(1000, 2, generator=generator)
                act = _ACTS[turn % len(_ACTS)]
                begun = time.perf_counter()
                timer = workers.kill_soon(chances)
                try:
                    if act == "write":
                        memory.write(places, SD, torch.ones(1000, 8))
                    elif act == "read":
                        for _ in range(5):
                            memory.read(places, SD, THRESHOLD)
                    else:
                        memory.checkpoint()
                        held = _ids_of(memory)
                    outcomes[f"{act}: answered"] += 1
                except WritesLost:
                    outcomes[f"{act}: told what is lost"] += 1
                except Exception as error:
                    print(f"{act}: {error!r}", flush=True)
                    unclear += 1
                timer.join()
                there = _ids_of(memory)
                longest = max(longest, time.perf_counter() - begun)
                # What had to make room is the oldest of all, and is not lost.
                still = held[held >= there.min()] if len(there) == 20_000 else held
                lost += int((~torch.isin(still, there)).sum())
    return {
        "outcomes": outcomes,
        "lost_of_a_checkpoint": lost,
        "unclear": unclear,
        "longest_seconds": longest,
    }


# --- larger ---------------------------------------------------------------------------------------


def larger(
    part: Part, size: int = DISK_SIZE, batches: int = 10, largest: int = LARGEST
) -> dict[str, Any]:
    """Say what a hundred million would cost, and hold the way to say it against ten million.

    What a read costs a shard is measured on one memory of the size of a shard, as dense as it would
    be; what a call costs, on shards that hold little. Both are added up for the shards asked, and
    for the network its time is added.
    """
    own = size // SHARDS
    alone = part(f"a shard of {own:,}", _alone, own, batches)
    calls = part("calls", _calls, batches)
    run = part(f"{SHARDS} shards of {size:,} on disk", _on_disk, size, batches)
    found: dict[str, Any] = {
        "size": size,
        "num_shards": SHARDS,
        "width": SHORTER,
        "alone": alone,
        "seconds_a_call": calls["seconds"],
        "bytes_beside_a_call": run["constant"]["bytes_beside_a_call"],
        "run": run,
    }
    found["predicted_seconds"] = alone["seconds"] + SHARDS * calls["seconds"]
    found["measured_seconds"] = run["constant"]["seconds"]
    shards = largest // own
    # Shards work side by side; the answers come to one machine, one after the other.
    sent = BATCH * SHORTER * 4 + shards * found["bytes_beside_a_call"]
    busy = alone["seconds"] / shards + calls["seconds"]
    found["largest"] = {
        "size": largest,
        "num_shards": shards,
        "network": {"bytes_a_second": BANDWIDTH, "round_trip": ROUND_TRIP},
        "bytes": sent,
        "work_seconds": alone["seconds"] + shards * calls["seconds"],
        "elapsed_seconds": busy + shards * calls["seconds"] / 2 + ROUND_TRIP + sent / BANDWIDTH,
    }
    return found


def _alone(size: int, batches: int) -> dict[str, Any]:
    memory = Memory(2, SHORTER, max_memory_size=size, storage_dtype=torch.float16)
    for written in observations(size, SHORTER):
        memory.write(*written)
    places = places_to_read(size, batches)
    memory.read(places[0], SD, THRESHOLD)
    before = seconds_of(None)
    for batch in places:
        memory.read(batch, SD, THRESHOLD)
    return {"size": size, "seconds": (seconds_of(None) - before) / batches}


def _calls(batches: int) -> dict[str, Any]:
    """Measure what a call of a shard costs that has hardly anything to do."""
    with (
        cluster() as client,
        ShardedMemory(2, SHORTER, max_memory_size=4000, num_shards=SHARDS, client=client) as memory,
    ):
        for written in observations(4000, SHORTER):
            memory.write(*written)
        # Hardly anything to read, of all shards.
        few = memory.observations().locations[:: 4000 // 64]
        memory.read(few, SD, THRESHOLD)
        _count_bytes()
        client.run(_count_bytes)
        before = seconds_of(client)
        for _ in range(10 * batches):
            memory.read(few, SD, THRESHOLD)
        return {"seconds": (seconds_of(client) - before) / bytes_of(client)["calls"]}


def _on_disk(size: int, batches: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as storage,
        cluster() as client,
        ShardedMemory(
            *(2, SHORTER),
            max_memory_size=size,
            num_shards=SHARDS,
            client=client,
            storage=storage,
            storage_dtype=torch.float16,
        ) as memory,
    ):
        begun = time.perf_counter()
        for written in observations(size, SHORTER):
            memory.write(*written)
        filled = time.perf_counter() - begun
        found = _read(memory, size, batches, client)
        found.pop("first")
        return {**found, "sizes": sorted(memory.sizes), "seconds_to_fill": filled}


# --- all ------------------------------------------------------------------------------------------


def _exact(short: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """Complain if either differs from one memory by more than a hundred-thousandth."""
    far = [one["difference"] for one in (short, stored) if not one["difference"] <= 1e-5]
    return [f"reads differ from those of one memory by {far[0]:.2g}"] if far else []


STUDIES = {
    "reads": Study(
        reads,
        lambda part: reads(part, 20_000, batches=2),
        [_exact, Same("num_shards"), Same("batch")],
    ),
    "halo": Study(
        halo, lambda part: halo(part, 3000), [Same("above_tolerance"), Same("num_shards")]
    ),
    "kills": Study(
        kills,
        lambda part: kills(part, 3),
        [Same("lost_of_a_checkpoint"), Same("unclear")],
    ),
    "larger": Study(
        larger,
        lambda part: larger(part, 40_000, batches=2, largest=400_000),
        [Same("num_shards"), Same("width")],
    ),
}


def main(options: list[str]) -> int:
    """Run studies, all by default; for the options see `benchmarks.studies`."""
    return run_studies(STUDIES, RESULTS, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
