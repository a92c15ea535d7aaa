"""What is compiled beforehand need not be compiled when it is called."""

import subprocess
import sys

import torch
from numba.core import event

from tree_world import compile as beforehand
from tree_world.compiling import compiled
from tree_world.models.memory import SpatialMemory


def compiled_in(work):
    """Names of the functions, but for Numba's own, that some work compiles."""
    with event.install_recorder("numba:compile") as recorder:
        work()
    functions = (found.data["dispatcher"].py_func for _, found in recorder.buffer)
    return {one.__name__ for one in functions if not one.__module__.startswith("numba")}


def test_after_it_nothing_is_compiled():
    for work in beforehand.WORK.values():
        work()
    generator = torch.Generator().manual_seed(0)
    places = 500 * torch.rand(5000, 2, generator=generator)
    memory = SpatialMemory(2, 384, max_memory_size=6000)
    memory.write(places, 2.0, torch.randn(5000, 384, generator=generator))
    place, key = places[:1], torch.ones(384)

    def ordinary_life():
        memory.write(place, 2.0, key[None])
        memory.read(places[:300], 1.0, match_threshold=25.0)
        memory.read(place, 1.0)
        memory.sample(None, None, key, 5)
        memory.sample(place[0], 3.0, key, 5)
        memory.prune(match_threshold=25.0)

    assert compiled_in(ordinary_life) == set()


def test_work_that_was_not_done_before_is_told():
    # Without a file, so that nothing of it is kept from the last time.
    names = {"__name__": "of_no_file"}
    exec("def add(a, b):\n    return a + b", names)
    add = compiled(names["add"])
    assert compiled_in(lambda: add(1, 2)) == {"add"}


def test_the_command_says_what_it_does():
    done = subprocess.run(
        [sys.executable, "-m", "tree_world.compile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(" ...")[0] for line in lines] == [f"Compiling {n}" for n in beforehand.WORK]
    assert all(line.endswith(" s") for line in lines)


def test_it_says_that_nothing_can_be_kept(monkeypatch, capsys):
    monkeypatch.setattr(beforehand, "cache_folder", lambda: None)
    assert beforehand.main() == 1
    assert "NUMBA_CACHE_DIR" in capsys.readouterr().out
