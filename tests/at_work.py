"""What the workers of a cluster are told to do; light, for each of them imports it."""

import os
import signal
import sys
import time

import distributed
import numba
import threadpoolctl
import torch

from tree_world.simulation import TreeWorld, TreeWorldConfig


def life(seed):
    recording = TreeWorld.random_from_config(TreeWorldConfig(), seed=seed).run(200)
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(300, 300, generator=generator)
    total = (matrix @ matrix).exp().sum() + float((matrix.numpy() @ matrix.numpy()).sum())
    return recording.positions, float(total), threads()


def threads():
    """How many threads each library has, in this thread."""
    pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
    return torch.get_num_threads(), numba.get_num_threads(), pools


def pid(seed):
    time.sleep(0.05)
    return os.getpid()


def shown(seed):
    return repr(seed)


def noted(folder, what):
    """Note that something was done here, once a line, and say how often it was before."""
    path = folder / f"{what}"
    with path.open("a") as file:
        file.write(f"{distributed.get_worker().address}\n")
    return len(path.read_text().split()) - 1


def fails_at_three(folder, times, seed):
    if seed == 3 and noted(folder, "three") < times:
        raise ValueError(f"no {seed}")
    return seed


class Odd(Exception):
    """One that cannot be made again from what it tells."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def raises_odd(seed):
    raise Odd(1, seed)


def slow(folder, seed):
    time.sleep(0.02 if seed < 2 else 0.2)
    noted(folder, seed)
    return seed


def all_but_one(folder, seed):
    if seed == 0:
        raise ValueError("no 0")
    time.sleep(0.1)
    noted(folder, seed)


def goes_by(folder):
    sys.path.insert(0, folder)


def one_life(seed, steps):
    return {"seed": seed, "steps": steps, "sum": torch.rand(5, dtype=torch.float64).sum() * 0}


def killed_at_three(folder, seed):
    if seed == 3 and noted(folder, "three") == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    noted(folder, seed)
    return seed
