"""What version 0.1 has written loads for good."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tree_world.models.memory import SpatialMemory

WRITTEN = Path(__file__).parent / "written-by-0.1"
EXPECTED = json.loads((WRITTEN / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_it_loads_and_reads_as_it_did(name, tmp_path):
    expected = EXPECTED[name]
    source, copy = WRITTEN / name, tmp_path / name  # a folder that is loaded is written to
    shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    memory = SpatialMemory.load(copy)
    assert memory.ids.tolist() == expected["ids"]
    assert memory.ages.tolist() == expected["ages"]
    assert memory.num_writes == expected["num_writes"]
    assert memory.max_memory_size == expected["max_memory_size"]
    for found, wanted in (
        (memory.memory_locations, "locations"),
        (memory.memory_location_sds, "location_sds"),
        (memory.memory_senses, "senses"),
    ):
        assert found.tolist() == expected[wanted]
    for found, wanted in (
        (memory.read(expected["places"], 5.0), "read"),
        (memory.read(expected["places"], 5.0, 40.0), "read_within_40"),
    ):
        torch.testing.assert_close(found, torch.tensor(expected[wanted], dtype=memory.dtype))


@pytest.mark.parametrize("name", EXPECTED)
def test_it_goes_on(name, tmp_path):
    source, copy = WRITTEN / name, tmp_path / name
    shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    memory = SpatialMemory.load(copy)
    shape = (memory.batch_size, 2) if memory.batch_size > 1 else (2,)
    ids = memory.write(torch.zeros(*shape, 2), 1.0, torch.ones(*shape, 6))
    assert ids.min() == EXPECTED[name]["num_writes"]
    if source.is_dir():
        memory.checkpoint()
    else:
        memory.save(copy)
    places = memory.memory_locations
    del memory
    assert torch.equal(SpatialMemory.load(copy).memory_locations, places)
