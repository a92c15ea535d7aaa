"""What a memory does, on the device that ``pytest --device`` names; on the CPU by default."""

import numpy as np
import pytest
import torch

from tests.models import oracle
from tree_world.models.memory import SpatialMemory
from tree_world.models.places.localiser import Localiser

NUMBER, DIM, SD, THRESHOLD = 60, 6, 8.0, 40.0


def made(device, number=NUMBER):
    """A memory of a field that changes over some dozens of metres; its contents; places to ask."""
    generator = torch.Generator().manual_seed(0)
    places = 50 * torch.randn(number, 2, generator=generator)
    waves = torch.randn(2, DIM, generator=generator) / 40
    senses = torch.sin(places @ waves)
    memory = SpatialMemory(2, DIM, max_memory_size=2 * number, device=device)
    memory.write(places, SD, senses)
    queries = 60 * torch.randn(9, 2, generator=generator)
    return memory, places, senses, queries


def expected(places, senses, queries, threshold):
    sds = np.full((len(queries), 2), SD)
    return oracle.read(queries, sds, places, np.full(places.shape, SD), senses, threshold)


def on(tensor, device):
    """Say whether a tensor is on a device; ``cuda`` means any of them."""
    return tensor.device.type == torch.device(device).type


@pytest.mark.parametrize("threshold", [None, THRESHOLD])
@pytest.mark.parametrize("method", ["auto", "dense", "chunked", "sparse"])
def test_reads(device, method, threshold):
    memory, places, senses, queries = made(device)
    found = memory.recall(queries, SD, threshold, method=method)
    mean, size, spread, nearest = expected(places, senses, queries, threshold)
    assert on(found.mean, device)
    np.testing.assert_allclose(found.mean.cpu(), mean, atol=1e-5)
    np.testing.assert_allclose(found.effective_sample_size.cpu(), size, rtol=1e-4)
    np.testing.assert_allclose(found.spread.cpu(), spread, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.nearest_distance.cpu(), nearest, rtol=1e-5)


def test_linear_reads(device):
    memory, places, senses, queries = made(device)
    found = memory.read(queries, SD, THRESHOLD, order="linear", ridge=0.1)
    wanted = oracle.read_linear(
        queries,
        np.full((len(queries), 2), SD),
        places,
        np.full(places.shape, SD),
        senses,
        0.1,
        THRESHOLD,
    )
    np.testing.assert_allclose(found.cpu(), np.array(wanted), atol=1e-3)


def test_gradients_flow_to_what_is_stored(device):
    memory, *_, queries = made(device)
    memory.requires_grad_()
    memory.read(queries, SD).square().sum().backward()
    gradients = [parameter.grad for parameter in memory.parameters()]
    assert all(on(own, device) and bool(own.any()) for own in gradients)


def test_what_is_written_merged_and_deleted(device):
    memory, places, senses, _ = made(device)
    assert memory.write(places[:1], SD, senses[:1], update=True).tolist() == [0]
    memory.delete([1, 2])
    there = memory.observations()
    assert on(there.senses, device)
    assert sorted(there.ids.tolist()) == [0, *range(3, NUMBER)]
    np.testing.assert_allclose(there.senses.cpu(), senses[there.ids.cpu()], atol=1e-6)


def test_what_was_moved_is_found_where_it_is_now(device):
    memory, places, senses, queries = made(device)
    moved = places.flip(0) + 9.0
    memory.move(list(range(NUMBER)), moved, SD)
    assert on(memory.memory_locations, device)
    mean, *_ = expected(moved, senses, queries, THRESHOLD)
    np.testing.assert_allclose(memory.read(queries, SD, THRESHOLD).cpu(), mean, atol=1e-5)


@pytest.mark.parametrize("method", ["auto", "exact"])
def test_places_are_drawn_by_their_weights(device, method):
    memory, places, senses, _ = made(device)
    key = torch.ones(DIM)
    drawn = memory.draw(places[0], SD, key, 20_000, 0.0, 2.0, location_temperature=4.0, seed=1)
    assert on(drawn.places, device)
    distances = np.array([oracle.log_affinity(places[0], [SD] * 2, p, [SD] * 2) for p in places])
    logits = (senses.double() @ key.double()).numpy() / 2.0 + distances / 4.0
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    counts = np.bincount(drawn.ids.cpu(), minlength=NUMBER) / 20_000
    assert np.abs(counts - chances).max() < 5 * np.sqrt(0.25 / 20_000)
    likely = drawn.log_probabilities.cpu().double().exp().numpy()
    np.testing.assert_allclose(likely, chances[drawn.ids.cpu()], rtol=1e-3)


def test_what_goes_is_told_by_what_stays(device):
    memory, places, senses, _ = made(device, number=200)
    memory.prune(0.5, THRESHOLD)
    kept = memory.ids[0].cpu()
    assert len(kept) < 150
    gone = np.setdiff1d(np.arange(200), kept)
    mean, *_ = expected(places[kept], senses[kept], places[gone], THRESHOLD)
    assert (np.linalg.norm(mean - senses[gone].numpy(), axis=1) <= 0.5 + 1e-4).all()


def test_a_place_is_found_by_its_smell(device):
    memory, places, senses, _ = made(device, number=200)
    posterior = Localiser(memory, match_threshold=THRESHOLD).locate(senses[0])
    assert posterior.probabilities.sum().item() == pytest.approx(1.0, abs=1e-4)
    where, _ = memory.read_location(senses[0], places[0], SD)
    assert on(where, device)
    assert bool(torch.isfinite(where).all())


def test_a_memory_moves_and_is_saved(device, tmp_path):
    memory, *_, queries = made("cpu")
    before = memory.read(queries, SD)
    memory.to(device)
    assert on(memory.memory_senses, device)
    memory.save(tmp_path / "memory.safetensors")
    again = SpatialMemory.load(tmp_path / "memory.safetensors", device=device)
    for one in (memory, again):
        np.testing.assert_allclose(one.read(queries, SD).cpu(), before, atol=1e-5)
