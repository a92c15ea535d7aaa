"""The index finds what a look at everything finds."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.index import cells as neighbours
from tree_world.models.memory.index.cells import BUCKET, CHILD, COUNT, FULL, GridIndex
from tree_world.models.memory.store import arrays
from tree_world.models.memory.store.slots import Store


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    dim=st.integers(1, 3),
    number=st.integers(0, 200),
    cell_size=st.sampled_from([0.5, 10.0, 1e4]),
    distance=st.floats(0.01, 300.0),
    removed=st.floats(0.0, 1.0),
)
def test_against_a_look_at_everything(seed, dim, number, cell_size, distance, removed):
    rng = np.random.default_rng(seed)
    places = rng.normal(scale=40.0, size=(number, dim))
    index = GridIndex(cell_size)
    half = number // 2
    index.add(np.arange(half), places[:half])
    for row in range(half, number):
        index.add(np.array([row]), places[row : row + 1])
    gone = rng.permutation(number)[: int(removed * number)]
    index.remove(gone, places[gone])
    low = rng.normal(scale=40.0, size=dim)
    high = low + rng.random(dim) * 20
    gaps = np.maximum(np.maximum(low - places, places - high), 0.0)
    distances = np.linalg.norm(gaps, axis=-1)
    expected = np.setdiff1d(np.flatnonzero(distances <= distance), gone)
    found = index.near_box(low, high, distance)
    on_the_rim = np.flatnonzero(np.abs(distances - distance) < 1e-5 * distance)
    assert np.setdiff1d(np.setxor1d(found, expected), on_the_rim).size == 0
    assert len(np.unique(found)) == len(found)


def test_a_place_may_be_used_again():
    index = GridIndex(10.0)
    for _ in range(3):
        index.add(np.array([0]), np.array([[5.0, 5.0]]))
        index.remove(np.array([0]), np.array([[5.0, 5.0]]))
    assert index.near_box(np.zeros(2), np.zeros(2), 100.0).size == 0


@pytest.mark.parametrize("cell_size", [0.0, -1.0, np.nan, np.inf])
def test_cells_need_a_size(cell_size):
    with pytest.raises(ValueError, match="cell_size"):
        GridIndex(cell_size)


def depth_of(index):
    """Levels of the tree, whose links are checked on the way."""
    tree, deepest = index.tree, 0
    waiting, rows, buckets = [(0, 1)], [], []
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        child, count = tree.links[node, CHILD], tree.links[node, COUNT]
        if child >= 0:
            assert count == tree.links[child, COUNT] + tree.links[child + 1, COUNT] > FULL // 2
            assert tree.changed[node] >= max(tree.changed[child], tree.changed[child + 1])
            waiting += [(child, depth + 1), (child + 1, depth + 1)]
        else:
            assert count <= FULL
            if count:
                buckets.append(tree.links[node, BUCKET])
                rows += tree.rows[buckets[-1], :count].tolist()
    assert len(set(rows)) == len(rows) == tree.links[0, COUNT]
    assert len(set(buckets)) == len(buckets)
    return deepest


def test_a_straight_walk_and_a_long_rest_make_no_long_branches():
    walk = np.stack([np.arange(20_000.0), np.zeros(20_000)], axis=-1)
    index = GridIndex(25.0)
    for row in range(20_000):
        index.add(np.array([row]), walk[row : row + 1])
    assert depth_of(index) < 30
    resting = GridIndex(25.0)
    resting.add(np.arange(20_000), np.full((20_000, 2), 7.5, dtype=np.float32))
    assert depth_of(resting) < 30
    found = resting.near_box(np.array([7.0, 7.0]), np.array([7.0, 7.0]), 1.0)
    assert sorted(found.tolist()) == list(range(20_000))
    for one, places in ((index, walk), (resting, np.full((20_000, 2), 7.5))):
        one.remove(np.arange(19_990), places[:19_990])
        assert depth_of(one) == 1
        one.remove(np.arange(19_990, 20_000), places[19_990:])
        assert one.near_box(np.full(2, -1e9), np.full(2, 1e9), 1.0).size == 0


def test_the_index_takes_no_more_room_when_rows_come_and_go():
    rng = np.random.default_rng(0)
    index, places = GridIndex(10.0), rng.normal(scale=300.0, size=(40_000, 2))
    index.add(np.arange(2000), places[:2000])
    sizes = []
    for row in range(2000, 40_000):
        index.remove(np.array([(row - 2000) % 2000]), places[row - 2000 : row - 1999])
        index.add(np.array([row % 2000]), places[row : row + 1])
        sizes.append(index.tree.used[2])
    depth_of(index)
    assert max(sizes) < 2000 // FULL * 4


def test_places_may_be_as_far_as_numbers_go():
    places = np.array([[0.0, 0.0], [3e38, -3e38], [1.0, 1.0], [-3e38, 2.0]], dtype=np.float32)
    places = np.concatenate([places, np.float32(1e3) * np.ones((100, 2), np.float32)])
    index = GridIndex(25.0)
    for row in range(len(places)):
        index.add(np.array([row]), places[row : row + 1])
    depth_of(index)
    for row in range(len(places)):
        place = places[row].astype(float)
        assert row in index.near_box(place, place, 1.0)
    index.remove(np.arange(len(places)), places)
    assert index.tree.links[0, COUNT] == 0


def test_what_is_not_there_cannot_be_taken_away():
    index = GridIndex(10.0)
    index.add(np.array([3]), np.array([[5.0, 5.0]]))
    with pytest.raises(KeyError, match=r"row 4 is not in the index at \[5\.0, 5\.0\]"):
        index.remove(np.array([4]), np.array([[5.0, 5.0]]))
    assert index.near_box(np.zeros(2), np.zeros(2), 100.0).tolist() == [3]


@pytest.mark.parametrize("cell_size", [1e308, 1e-320, 1e31, 1e-31])
def test_cells_of_no_use_are_refused(cell_size):
    with pytest.raises(ValueError, match="cell_size must lie between 1e-30 and 1e"):
        GridIndex(cell_size)


@pytest.mark.parametrize("cell_size", [1e-30, 25.0, 1e30])
def test_every_loop_ends_wherever_places_are(cell_size):
    far = np.finfo(np.float64).max
    places = np.array(
        [[0.0, 0.0], [far, -far], [-far, far], [1e-320, 1.0], [np.inf, -np.inf], [np.nan, 0.0]]
    )
    index = GridIndex(cell_size)
    for row in range(len(places)):
        index.add(np.array([row]), places[row : row + 1])
    for row in range(4):
        assert row in index.near_box(places[row], places[row], 1.0)
    index.remove(np.arange(len(places)), places)
    assert index.tree.links[0, COUNT] == 0


def test_the_size_of_cells_is_that_of_their_arrays(monkeypatch):
    # An index that was pickled by another version may have others.
    monkeypatch.setattr(neighbours, "FULL", 16)
    index, places = GridIndex(1.0), np.random.default_rng(0).normal(size=(300, 2))
    index.add(np.arange(300), places)
    monkeypatch.undo()
    index.add(np.arange(300, 2000), np.concatenate([places] * 6)[:1700])
    assert index.tree.rows.shape[1] == 16
    assert len(index.near_box(np.zeros(2), np.zeros(2), 100.0)) == 2000
    index.remove(np.arange(300), places)
    assert len(index.near_box(np.zeros(2), np.zeros(2), 100.0)) == 1700


def points(number, seed):
    return 50 * torch.randn(number, 2, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000), number=st.sampled_from([60, 2500]), radius=st.floats(0.0, 200.0)
)
def test_neighbours_are_those_within_the_radius(seed, number, radius):
    cpu, single = torch.device("cpu"), torch.float32
    store = Store(2, 3, 5000, 25.0, cpu, single, single)
    ids = store.append(points(number, seed), torch.full((number, 2), 5.0), torch.ones(number, 3))
    store.delete(ids[:: number // 50])
    place = np.random.default_rng(seed).normal(scale=50.0, size=2)
    places = store.locations[: store.used].double().numpy()
    near = np.square(places - place).sum(axis=1) <= radius * radius
    expected = np.flatnonzero(near & (store.written_at[: store.used] >= 0))
    assert store.neighbours(place, radius).tolist() == expected.tolist()
    at = places[expected[0]] if len(expected) else place  # on the rim, to the last digit
    assert np.isin(expected[:1], store.neighbours(at, 0.0)).all()


def test_merges_are_the_same_with_the_index_and_without(monkeypatch):
    """Which way is taken depends on sizes alone, and both find the same, ties among it."""
    merged = []
    for few in (arrays.FEW, 0):
        monkeypatch.setattr(arrays, "FEW", few)
        memory = SpatialMemory(2, 3)
        memory.write(points(300, 1), 5.0, torch.ones(300, 3))
        memory.delete(memory.ids[0, ::7])
        generator = torch.Generator().manual_seed(3)
        places = torch.cat([memory.memory_locations[0, :40]] * 2)  # each is there twice
        memory.write(places[:40], 5.0, torch.ones(40, 3))
        ids = [
            memory.write(places, 5.0, 1 + 0.02 * torch.randn(80, 3, generator=generator), True)
            for _ in range(2)
        ]
        merged.append((torch.cat(ids), memory.memory_locations, memory.memory_senses))
    for one, other in zip(*merged, strict=True):
        assert torch.equal(one, other)


COLD = """
import torch
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.index import cells
generator = torch.Generator().manual_seed(0)
memory = SpatialMemory(2, 3, max_memory_size=2000)
senses = torch.randn(2000, 3, generator=generator)
memory.write(torch.randn(2000, 2, generator=generator), 1.0, senses)
memory.write(torch.zeros(9, 2), 1.0, torch.zeros(9, 3), update=True)
memory.sample([0.0, 0.0], 5.0, [1.0, 0.0, 0.0], 5)
memory.read_location([1.0, 0.0, 0.0], [0.0, 0.0], 5.0)
memory.delete(memory.ids[0, -3:])
everything = [f for f in vars(cells).values() if hasattr(f, "signatures")]
print(len(everything), sum(len(f.signatures) for f in everything))
"""


def test_little_is_written_merged_and_drawn_without_compiling():
    result = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    number, compiled = map(int, result.stdout.split())
    assert number > 5
    assert compiled == 0
