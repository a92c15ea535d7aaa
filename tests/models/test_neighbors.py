"""The index finds what a look at everything finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.models.neighbors import GridIndex


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
