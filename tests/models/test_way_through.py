"""How far a place goes through the library: few modules, one after the other."""

import sys

import pytest
import torch

from tree_world.models.memory import SpatialMemory

# Stays and returns, for each way to read and write; these numbers may only become smaller.
MOST = {
    "few": (18, 5),
    "index": (29, 14),
    "dense": (33, 19),
    "chunked": (36, 21),
    "write": (19, 10),
}
NUMBERS = {"few": 200, "index": 3000}


def stays_and_returns(call):
    """Count runs of frames in one module, and how many are in one that was left before."""
    modules = []

    def note(frame, what, _):
        name = frame.f_globals.get("__name__", "")
        if what == "call" and name.startswith("tree_world") and modules[-1:] != [name]:
            modules.append(name)

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return len(modules), len(modules) - len(set(modules))


@pytest.mark.parametrize("way", MOST)
def test_a_place_goes_no_longer_way_than_before(way):
    generator = torch.Generator().manual_seed(0)
    number = NUMBERS.get(way, 1000)
    memory = SpatialMemory(2, 8, max_memory_size=number + 10)
    places = 300 * torch.rand(number, 2, generator=generator)
    memory.write(places, 1.0, torch.randn(number, 8, generator=generator))
    method = way if way in ("dense", "chunked") else "auto"

    def call():
        if way == "write":
            memory.write(places[:1], 1.0, torch.ones(1, 8))
        else:
            memory.read(places[:1], 1.0, 25.0, method=method)

    call()  # what is made once, as an index, is made now
    found, most = stays_and_returns(call), MOST[way]
    assert found == most, f"{found}: if that is more, do less on the way; else write it down here"
