"""What is known of places, without a look at what was sensed."""

import pytest
import torch

from tree_world.models.memory import Memory, Read, ReadOptions, SpatialMemory

DIM = 5
KNOWN = ReadOptions(mean=False)
SAME = ("known", "log_weight", "effective_sample_size", "nearest_distance")


def filled(number, seed=0, batch=(), sd=None, **choices):
    generator = torch.Generator().manual_seed(seed)
    places = 150 * torch.randn(*batch, number, 2, generator=generator)
    sds = 2 + 8 * torch.rand(*batch, number, 2, generator=generator) if sd is None else sd
    memory = SpatialMemory(2, DIM, max_memory_size=20000, **choices)
    memory.write(places, sds, torch.randn(*batch, number, DIM, generator=generator))
    if not batch:
        memory.delete([1, number // 2])  # so that there are gaps
    return memory


def asked(number, seed=9):
    return 200 * torch.randn(number, 2, generator=torch.Generator().manual_seed(seed))


def agrees(found, full, rtol=0.0):
    """Compare all but what senses make; bit by bit by default."""
    assert found.mean.shape == (*full.mean.shape[:-1], 0)
    assert found.mean.dtype == full.mean.dtype
    assert found.spread.shape == full.spread.shape
    assert found.spread.isnan().all()
    assert found.order == full.order
    for name in SAME:
        one, two = getattr(found, name), getattr(full, name)
        assert one.dtype == two.dtype
        torch.testing.assert_close(one, two, rtol=rtol, atol=rtol)


SIZES = pytest.mark.parametrize(
    ("number", "places"), [(1, 1), (40, 3), (300, 5), (300, 961), (900, 700), (3000, 4)]
)


@SIZES
@pytest.mark.parametrize("threshold", [None, 70.0, 3.0])
@pytest.mark.parametrize("order", ["constant", "linear"])
@pytest.mark.parametrize("method", ["dense", "chunked", "sparse"])
def test_each_way_knows_the_same_to_the_bit(method, order, threshold, number, places):
    memory, where = filled(max(number, 3), seed=number), asked(places)
    how = {"match_threshold": threshold, "method": method, "order": order}
    found = memory.recall(where, 4.0, how=ReadOptions(**how, mean=False))
    agrees(found, memory.recall(where, 4.0, how=ReadOptions(**how)))


@SIZES
@pytest.mark.parametrize("threshold", [None, 70.0, 3.0])
@pytest.mark.parametrize("sd", [None, 300.0])  # which lets all matter to all
def test_the_quickest_way_knows_the_same(sd, threshold, number, places):
    memory, where = filled(max(number, 3), seed=number, sd=sd), asked(places)
    found = memory.recall(where, 4.0, threshold, how=KNOWN)
    full = memory.recall(where, 4.0, threshold)
    agrees(found, full, rtol=2e-6)
    assert torch.equal(found.known, full.known)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"dtype": torch.float64},
        {"storage_dtype": torch.float16},
        {"embed_dim": 2},
        {"storage": "senses"},
    ],
)
def test_no_sense_is_looked_at(choices, tmp_path):
    if "storage" in choices:
        choices = {"storage": tmp_path / "senses"}
    memory = filled(300, **choices)
    for where in (asked(3), asked(500), asked(1)[0]):
        for order in ("constant", "linear"):
            how = ReadOptions(mean=False, order=order, not_since=200.0)
            full = memory.recall(where, 4.0, 70.0, order=order, not_since=200.0)
            kept = memory[0].store.senses.clone()
            memory[0].store.senses.fill_(torch.nan)
            agrees(memory.recall(where, 4.0, 70.0, how=how), full, rtol=2e-6)
            memory[0].store.senses.copy_(kept)


def test_of_a_batch_of_one_memory_and_of_none():
    memory, where = filled(60, batch=(3,)), asked(7)
    agrees(memory.recall(where, 4.0, how=KNOWN), memory.recall(where, 4.0), rtol=2e-6)
    agrees(memory[1].recall(where, 4.0, how=KNOWN), memory[1].recall(where, 4.0), rtol=2e-6)
    agrees(memory.recall(where[0], 4.0, how=KNOWN), memory.recall(where[0], 4.0), rtol=2e-6)
    empty = Memory(2, DIM)
    agrees(empty.recall(where, 4.0, how=KNOWN), empty.recall(where, 4.0))
    assert not empty.recall(where, 4.0, how=KNOWN).known.any()


def test_reads_of_parts_are_joined():
    one, two, where = filled(60, seed=1), filled(90, seed=2), asked(50)
    parts = [[m.recall(where, 4.0, 70.0, how=how) for m in (one, two)] for how in (None, KNOWN)]
    full, found = (Read.joined(reads) for reads in parts)
    for name in SAME:
        torch.testing.assert_close(
            getattr(found, name), getattr(full, name), rtol=2e-6, atol=2e-6, equal_nan=False
        )


@pytest.mark.parametrize("threshold", [None, 70.0])
def test_gradients_flow_to_places(threshold):
    slopes = []
    for how in (None, KNOWN):
        memory = filled(50).requires_grad_()
        where = asked(20).requires_grad_()
        found = memory.recall(where, 4.0, threshold, how=how)
        of_places, of_sds, of_senses = memory.parameters()
        torch.where(found.known, found.log_weight, 0.0).sum().backward()
        slopes.append([where.grad, of_places.grad, of_sds.grad])
        assert of_senses.grad is None or not of_senses.grad.any()
        assert where.grad.any()
    for one, two in zip(*slopes, strict=True):
        torch.testing.assert_close(one, two)


def test_a_read_gives_nothing_but_the_mean():
    memory = filled(10)
    for one in (memory, memory[0]):
        with pytest.raises(ValueError, match="mean=False leaves out: call recall"):
            one.read([0.0, 0.0], 4.0, how=KNOWN)
    with pytest.raises(ValueError, match="mean must be True or False, but 0 was given"):
        ReadOptions(mean=0)
    assert ReadOptions(70.0).together_with(KNOWN) == ReadOptions(70.0, mean=False)
