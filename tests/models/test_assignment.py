"""Assigning what is stored: checked, exchanged as one, and followed by gradients."""

import pytest
import torch

from tree_world.models.memory import SpatialMemory

DIM = 3
NAMES = ("memory_locations", "memory_location_sds", "memory_senses")


def made(number=20, **choices):
    generator = torch.Generator().manual_seed(0)
    memory = SpatialMemory(2, DIM, max_memory_size=64, **choices)
    memory.write(
        30 * torch.randn(number, 2, generator=generator),
        3.0,
        torch.randn(number, DIM, generator=generator),
    )
    return memory


def contents(memory):
    return [getattr(memory, name).clone() for name in NAMES]


def test_a_tensor_of_the_same_length_takes_its_place_at_once():
    memory = made()
    ids, moved = memory.ids.clone(), memory.memory_locations + 5.0
    memory.memory_locations = moved
    assert torch.equal(memory.memory_locations, moved)
    assert torch.equal(memory.ids, ids)
    other = SpatialMemory(2, DIM)
    other.write(moved[0], 3.0, memory.memory_senses[0])
    torch.testing.assert_close(memory.read([[0.0, 0.0]], 9.0), other.read([[0.0, 0.0]], 9.0))
    assert memory.neighbours(moved[0, 4], 0.1).tolist() == [4]  # the index knows


def test_three_tensors_of_another_length_are_one_exchange():
    memory, source = made(), made(50)
    before = contents(memory)
    some = [tensor[:, ::3] for tensor in contents(source)]
    memory.memory_locations = some[0]
    memory.memory_location_sds = some[1]
    for ask in (lambda: memory.read([0.0, 0.0], 1.0), lambda: memory.ids, lambda: len(memory)):
        with pytest.raises(ValueError, match=r"17 observations were assigned.*memory_senses of"):
            ask()
    memory.memory_senses = some[2]
    assert all(torch.equal(a, b) for a, b in zip(contents(memory), some, strict=True))
    assert memory.ids[0].tolist() == list(range(20, 37))  # new ones: ids are never given again
    assert len(before[0][0]) == 20


def test_reset_ends_an_exchange_that_was_not_completed():
    memory = made()
    memory.memory_senses = torch.ones(1, 5, DIM)
    memory.reset()
    assert len(memory) == 0
    memory.write([[0.0, 0.0]], 1.0, torch.ones(1, DIM))
    assert len(memory) == 1


def test_another_length_begins_the_exchange_anew():
    memory, source = made(), made(50)
    memory.memory_locations = source.memory_locations[:, :7]
    for name in NAMES:
        setattr(memory, name, getattr(source, name)[:, :9])
    assert len(memory) == 9


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("memory_locations", torch.full((1, 20, 2), torch.nan), "finite"),
        ("memory_location_sds", torch.zeros(1, 20, 2), "positive"),
        ("memory_senses", torch.ones(1, 20, DIM + 1), "shape"),
        ("memory_senses", torch.ones(2, 20, DIM), r"shape \(1, n, 3\)"),
        ("memory_senses", torch.ones(1, 65, DIM), "room for 64"),
        ("memory_senses", None, "memory_senses"),
    ],
)
def test_what_could_not_be_written_cannot_be_assigned(name, value, message):
    memory = made()
    before = contents(memory)
    with pytest.raises(ValueError, match=message):
        setattr(memory, name, value)
    assert all(torch.equal(a, b) for a, b in zip(contents(memory), before, strict=True))


def test_a_memory_with_parameters_handed_out_takes_no_others():
    memory = made().requires_grad_()
    with pytest.raises(ValueError, match="requires_grad_"):
        memory.memory_senses = torch.ones(1, 20, DIM)


def test_gradients_flow_to_what_was_assigned_where_a_read_lets_them():
    memory = made()
    leaves = [torch.nn.Parameter(tensor) for tensor in contents(memory)]
    for name, leaf in zip(NAMES, leaves, strict=True):
        setattr(memory, name, leaf)
    places = torch.tensor([[[0.0, 0.0], [20.0, 5.0]]])
    assert not memory.read(places, 9.0).requires_grad
    memory.read(places, 9.0, detach_senses=False).sum().backward()
    assert leaves[2].grad.abs().sum() > 0
    assert leaves[0].grad is None
    memory.read(places, 9.0, 80.0, detach_senses=False, detach_locations=False).norm().backward()
    assert all(leaf.grad.abs().sum() > 0 for leaf in leaves)


def test_what_an_optimiser_does_to_what_was_assigned_is_taken_over():
    memory = made()
    leaf = torch.nn.Parameter(memory.memory_senses.clone())
    target = torch.zeros(1, 2, DIM)
    places = torch.tensor([[[0.0, 0.0], [20.0, 5.0]]])
    optimiser = torch.optim.SGD([leaf], 1.0)
    errors = []
    for _ in range(5):
        memory.memory_senses = leaf
        error = (memory.read(places, 9.0, detach_senses=False) - target).square().sum()
        errors.append(float(error.detach()))
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    assert errors[-1] < errors[0]
    assert torch.equal(memory.memory_senses, leaf.detach())
    memory.write([[0.0, 0.0]], 1.0, torch.ones(1, DIM))  # from now on it is the memory's own
    with torch.no_grad():
        leaf.zero_()
    assert memory.memory_senses.abs().sum() > 0


def test_an_optimiser_that_breaks_a_deviation_is_told():
    memory = made()
    leaf = torch.nn.Parameter(memory.memory_location_sds.clone())
    memory.memory_location_sds = leaf
    with torch.no_grad():
        leaf[0, 3] = -1.0
    with pytest.raises(ValueError, match="positive"):
        memory.read([0.0, 0.0], 1.0)
    with torch.no_grad():
        leaf[0, 3] = 2.0
    assert memory.memory_location_sds[0, 3].tolist() == [2.0, 2.0]


def test_the_calls_of_a_first_notebook_are_accepted_in_their_form():
    """Made, written, read, sampled, thinned and fitted, with a batch of one throughout."""
    generator = torch.Generator().manual_seed(4)
    memory = SpatialMemory(location_dim=2, sensory_dim=8, embed_dim=8, max_memory_size=1024)
    memory.reset()
    places = 60 * torch.randn(1, 300, 2, generator=generator)
    sds, senses = torch.full_like(places, 5.0), torch.randn(1, 300, 8, generator=generator)
    memory.write(places, sds, senses)
    grid = 40 * torch.randn(25, 2, generator=generator)
    read = memory.read(
        grid[None, ...], torch.full_like(grid[None, ...], 10.0), match_threshold=25.0
    )
    assert read.shape == (1, 25, 8)
    key = torch.randn(8, generator=generator)
    drawn = memory.sample(
        torch.zeros(1, 2),
        torch.full((1, 2), 10.0),
        key[None, ...],
        num_samples=250,
        sigma_scale=1.0,
        temperature=1.0,
        match_threshold=None,
        location_temperature=100.0,
    )
    assert drawn.squeeze().shape == (250, 2)
    assert memory.memory_locations.shape[1] == 300
    thinned = [tensor[:, ::2] for tensor in contents(memory)]
    memory.memory_locations, memory.memory_location_sds, memory.memory_senses = thinned
    assert memory.memory_locations.shape[1] == 150

    class Regressor(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, tensor in zip(NAMES, thinned, strict=True):
                setattr(self, name, torch.nn.Parameter(tensor))

        def forward(self, locations, location_sds):
            for name in NAMES:
                setattr(memory, name, getattr(self, name))
            return memory.read(
                locations,
                location_sds,
                match_threshold=25.0,
                detach_senses=False,
                detach_locations=False,
            )

    regressor = Regressor()
    optimiser = torch.optim.Adam(regressor.parameters(), lr=0.05)
    errors = []
    for _ in range(30):
        optimiser.zero_grad()
        found = regressor(grid[None], torch.full_like(grid[None], 10.0))
        error = torch.norm(found - read, dim=-1).pow(2).mean()
        errors.append(float(error.detach()))
        error.backward()
        optimiser.step()
    assert errors[-1] < 0.7 * errors[0]
    after = memory.read(grid[None], torch.full_like(grid[None], 10.0), match_threshold=25.0)
    assert not after.requires_grad
    assert float(torch.norm(after - read, dim=-1).pow(2).mean()) < 0.7 * errors[0]
