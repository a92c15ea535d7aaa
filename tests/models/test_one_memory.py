"""One memory without a batch: alone, and as one of a batch."""

import numpy as np
import pytest
import torch

from tree_world.models.memory import Consolidate, DrawOptions, Memory, Prune, SpatialMemory
from tree_world.models.memory.types import ReadOptions

DIM = 4


def observations(number=60, seed=0, batch=()):
    generator = torch.Generator().manual_seed(seed)
    places = 40 * torch.randn(*batch, number, 2, generator=generator)
    return places, 3.0, torch.randn(*batch, number, DIM, generator=generator)


def both(**choices):
    """The same observations in one memory alone, and as the second of a batch."""
    alone, batch = Memory(2, DIM, **choices), SpatialMemory(2, DIM, **choices)
    places, sd, senses = observations(batch=(3,))
    batch.write(places, sd, senses)
    alone.write(places[1], sd, senses[1])
    return alone, batch


KEY = torch.tensor([1.0, -0.5, 0.25, 0.0])
VERBS = {
    "read": lambda memory: memory.read([[1.0, 2.0], [9.0, 9.0]], 4.0),
    "read one": lambda memory: memory.read([1.0, 2.0], 4.0, 30.0),
    "recall": lambda memory: memory.recall([1.0, 2.0], 4.0).log_weight,
    "linear": lambda memory: memory.read([[1.0, 2.0]], 4.0, how=ReadOptions(order="linear")),
    "affinity": lambda memory: memory.get_location_affinity([[0.0, 0.0]], 2.0),
    "sample": lambda memory: memory.sample([0.0, 0.0], 9.0, KEY, how=DrawOptions(5), seed=3),
    "draw": lambda memory: memory.draw(None, None, KEY, how=DrawOptions(5)).log_probabilities,
    "search": lambda memory: memory.search(KEY, 4, match_threshold=25.0).match,
    "location": lambda memory: memory.read_location(KEY, [0.0, 0.0], 5.0, 1.0)[0],
    "left out": lambda memory: memory.leave_one_out(30.0).error,
    "neighbours": lambda memory: memory.neighbours([0.0, 0.0], 30.0),
}


@pytest.mark.parametrize("verb", VERBS)
def test_one_of_a_batch_is_what_it_is_alone(verb):
    alone, batch = both()
    expected, found = VERBS[verb](alone), VERBS[verb](batch[1])
    assert torch.equal(expected, found)
    assert not torch.equal(VERBS[verb](batch[0]), expected)


def test_the_face_of_one_is_the_one():
    places, sd, senses = observations()
    face = SpatialMemory(2, DIM)
    ids = face[0].write(places, sd, senses)
    assert face.ids[0].tolist() == ids.tolist()
    assert torch.equal(face.read(places, sd), face[0].read(places, sd))
    face[0].delete(ids[:10])
    assert len(face) == len(face[0]) == 50
    assert torch.equal(face.observations().senses, face.memory_senses[0])
    assert [len(one) for one in face] == [50]


def test_changes_of_one_leave_the_others():
    _, batch = both()
    before = [one.observations() for one in batch]
    report = batch[1].prune(1.5, 50.0)
    assert report.num_kept == len(batch[1]) < 60
    batch[1].write(*observations(3, seed=5))
    batch[2].forget(Consolidate(20, 50.0, num_steps=3))
    assert torch.equal(batch[0].observations().locations, before[0].locations)
    assert len(batch[2]) < 60
    task = batch[0].forget(Prune(1.5, 50.0), background=True)
    assert task.result(60).num_kept == len(batch[0]) < 60


def test_one_memory_takes_no_batch():
    memory = Memory(2, DIM)
    places, sd, senses = observations(batch=(1,))
    with pytest.raises(ValueError, match=r"locations has a batch, of shape \(1, 60, 2\)"):
        memory.write(places, sd, senses)
    memory.write(places[0], sd, senses[0])
    with pytest.raises(ValueError, match="has a batch"):
        memory.read(places, sd)
    with pytest.raises(ValueError, match="search_key has a batch"):
        memory.sample(None, None, KEY[None])
    assert len(memory) == 60


def test_a_batch_that_is_no_more_is_told():
    _, batch = both()
    third = batch[2]
    batch.reset()
    with pytest.raises(IndexError, match=r"no memory\[2\]"):
        third.read([0.0, 0.0], 1.0)
    assert batch.batch_size == 1


@pytest.mark.parametrize("storage_dtype", [None, torch.float16])
def test_observations_are_copies_of_what_is_stored(storage_dtype):
    memory = SpatialMemory(2, DIM, max_memory_size=50, storage_dtype=storage_dtype)
    memory.write(*observations())
    memory.delete(memory.ids[0, [3, 7]])
    held = memory.observations()
    names = ("memory_locations", "memory_location_sds", "memory_senses", "ids", "ages", "times")
    for own, name in zip(held, names, strict=True):
        assert torch.equal(own, getattr(memory, name)[0])
    held.locations.fill_(0.0)
    held.senses.fill_(0.0)
    assert memory.memory_locations.abs().min() > 0
    memory.memory_senses.fill_(0.0)
    assert memory.memory_senses.abs().max() > 0


def test_observations_as_they_were_sensed():
    memory = SpatialMemory(2, DIM, 2)
    _, _, senses = observations()
    flat = senses[:, :2] @ torch.randn(2, DIM, generator=torch.Generator().manual_seed(1))
    memory.write(observations()[0], 3.0, flat)
    assert memory.observations().senses.shape == (60, 2)
    torch.testing.assert_close(
        memory.observations(as_sensed=True).senses, flat, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("device_of_grad", [False, True])
def test_neighbours_are_all_that_are_so_near(device_of_grad):
    memory = SpatialMemory(2, DIM, max_memory_size=400)
    places, sd, senses = observations(450)
    memory.write(places, sd, senses)
    memory.delete(memory.ids[0, ::7])
    if device_of_grad:
        memory.requires_grad_()
    held = memory.observations()
    for centre, radius in (([0.0, 0.0], 25.0), ([30.0, -20.0], 3.0), ([1e4, 0.0], 5.0)):
        away = np.linalg.norm(held.locations.double().numpy() - np.array(centre), axis=1)
        expected = held.ids[torch.from_numpy(away <= radius)]
        assert memory.neighbours(centre, radius).tolist() == expected.tolist()
    with pytest.raises(ValueError, match="radius"):
        memory.neighbours([0.0, 0.0], -1.0)


@pytest.mark.parametrize("number", [60, 2500])
def test_neighbours_of_few_need_no_index_and_get_what_many_get(number):
    memory = SpatialMemory(2, DIM, max_memory_size=number)
    memory.write(*observations(number))
    memory.delete(memory.ids[0, ::7])
    memory.write(*observations(9, seed=4))  # into slots that were free: the youngest come last
    held = memory.observations()
    assert memory.usage()["index"] == 0 or number > 60
    away = np.linalg.norm(held.locations.double().numpy(), axis=1)
    assert memory.neighbours([0.0, 0.0], 25.0).tolist() == held.ids[away <= 25.0].tolist()
    assert (memory.usage()["index"] > 0) == (number > 60)


def test_neighbours_are_where_an_optimiser_has_moved_them():
    memory = SpatialMemory(2, DIM, max_memory_size=2500)
    memory.write(*observations(2500))
    memory.requires_grad_()
    memory.neighbours([0.0, 0.0], 25.0)
    with torch.no_grad():
        memory.parameters()[0][9] = 9e5
    assert memory.neighbours([9e5, 9e5], 1.0).tolist() == [9]


def test_what_lies_at_the_very_radius_is_a_neighbour():
    memory = SpatialMemory(2, DIM)
    memory.write([[15.0, 20.0], [15.0, 20.01]], 1.0, torch.ones(2, DIM))
    assert memory.neighbours([0.0, 0.0], 25.0).tolist() == [0]
    memory.write([[0.0, 0.1]], 1.0, torch.ones(1, DIM))  # 0.1 is more than this in single precision
    assert memory.neighbours([0.0, 0.0], 0.1).tolist() == [2]


def test_usage_says_what_room_is_taken(tmp_path):
    memory = SpatialMemory(2, DIM, storage_dtype=torch.float16)
    memory.write(*observations(60))
    usage = memory.usage()
    assert usage["locations"] == usage["location_sds"] == 60 * 2 * 4
    assert usage["senses"] == 60 * DIM * 2
    assert usage["disk"] == usage["witnesses"] == 0
    assert usage["names and ages"] == 60 * 3 * 8  # and times
    memory.prune(10.0, 50.0)
    assert memory.usage()["witnesses"] > 0
    disk = SpatialMemory(2, DIM, storage=tmp_path / "disk")
    disk.write(*observations(60))
    assert disk.usage()["disk"] == 60 * DIM * 4
    assert disk.usage()["senses"] == 0
