"""Draws in compiled code are PyTorch's own, to the last bit."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.simulation import stream

DRAWS = {
    "normal": lambda generator: torch.randn(1, generator=generator).item(),
    "pair": lambda generator: torch.randn(2, generator=generator).tolist(),
    "uniform": lambda generator: torch.rand((), generator=generator).item(),
}


def drawn(words, kind):
    doubles = words.view(np.float64)
    if kind == "uniform":
        return float(stream.draw_uniform(words))
    if kind == "normal":
        return float(stream.draw_normal(words, doubles))
    return [float(stream.draw_normal(words, doubles)) for _ in range(2)]


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**63 - 1),
    kinds=st.lists(st.sampled_from(sorted(DRAWS)), min_size=1, max_size=12),
    repeats=st.integers(1, 60),
)
def test_draws_and_the_state_after_them_are_those_of_pytorch(seed, kinds, repeats):
    generator = torch.Generator().manual_seed(seed)
    words = generator.get_state().numpy().view(np.uint64).copy()
    for kind in kinds * repeats:
        assert drawn(words, kind) == DRAWS[kind](generator)
    assert np.array_equal(words.view(np.uint8), generator.get_state().numpy())
    # And PyTorch goes on from there.
    other = torch.Generator()
    other.set_state(torch.from_numpy(words.view(np.uint8)))
    expected = torch.randn(3, generator=generator)
    assert torch.equal(torch.randn(3, generator=other), expected)
