"""A memory in shards answers as one memory does."""

import numpy as np
import pytest
import scipy.stats
import torch

from tree_world.cluster import ShardedMemory
from tree_world.models.memory import DrawOptions, Memory, ReadOptions

DIM, SIZE, THRESHOLD = 6, 1200, 25.0
SUPPORT = ("effective_sample_size", "spread", "nearest_distance", "log_weight")


def field(places):
    """Senses that change smoothly from place to place."""
    x, y = places.unbind(-1)
    waves = [x / 40, y / 50, (x + y) / 70, (x - y) / 60, x / 90, y / 30]
    return torch.stack([torch.sin(wave + i) for i, wave in enumerate(waves)], dim=-1)


def observed(number=SIZE, seed=0, spread=120.0):
    """Places, deviations, and senses there."""
    generator = torch.Generator().manual_seed(seed)
    places = spread * torch.randn(number, 2, generator=generator)
    sds = 3 + 5 * torch.rand(number, 2, generator=generator)
    return places, sds, field(places) + 0.02 * torch.randn(number, DIM, generator=generator)


def certificate(memory, before, tolerance, threshold=THRESHOLD):
    """How much has gone, and how much of that is read with more than is tolerated."""
    gone = ~np.isin(before.ids.numpy(), memory.observations().ids.numpy())
    where = torch.from_numpy(np.flatnonzero(gone))
    read = memory.recall(before.locations[where], before.location_sds[where], threshold)
    errors = torch.linalg.vector_norm(read.mean - before.senses[where], dim=-1)
    return int(gone.sum()), int((errors > tolerance * (1 + 1e-5)).sum() + (~read.known).sum())


def same(found, wanted, share):
    torch.testing.assert_close(found, wanted, rtol=share, atol=share)


@pytest.fixture(scope="module")
def both(client):
    """One memory, and the same in eight shards, on workers that are processes."""
    places, sds, senses = observed()
    one = Memory(2, DIM, max_memory_size=SIZE)
    with ShardedMemory(2, DIM, max_memory_size=SIZE, num_shards=8, client=client) as shards:
        for start in range(0, SIZE, 400):
            part = slice(start, start + 400)
            ids = one.write(places[part], sds[part], senses[part])
            assert torch.equal(shards.write(places[part], sds[part], senses[part]), ids)
        yield one, shards


@pytest.fixture
def make(here):
    """Memories in shards, on workers that are threads."""
    made = []

    def new(size=SIZE, shards=4, **choices):
        made.append(
            ShardedMemory(2, DIM, max_memory_size=size, num_shards=shards, client=here, **choices)
        )
        return made[-1]

    yield new
    for memory in made:
        memory.close()


def test_shards_are_even_and_all_is_there(both):
    one, shards = both
    sizes = shards.sizes
    assert sum(sizes) == len(shards) == SIZE
    assert max(sizes) <= 2 * SIZE / 8
    assert min(sizes) > 0
    for own, other in zip(shards.observations(), one.observations(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("threshold", [THRESHOLD, 60.0, None])
@pytest.mark.parametrize("order", ["constant", "linear"])
def test_reads_are_those_of_one_memory(both, threshold, order):
    one, shards = both
    where = 130 * torch.randn(300, 2, generator=torch.Generator().manual_seed(1))
    # By a tail of a millionth, which each leaves out of its own, planes differ by 2e-5.
    how = ReadOptions(order=order, tail=1e-9)
    wanted = one.recall(where, 6.0, threshold, how=how)
    found = shards.recall(where, 6.0, threshold, how=how)
    largest = torch.linalg.vector_norm(one.observations().senses, dim=-1).max()
    assert (found.mean - wanted.mean).norm(dim=-1).max() <= 1e-5 * largest
    assert torch.equal(found.known, wanted.known)
    assert found.order == order
    for name in SUPPORT:  # of one observation alone, spreads are what rounding leaves
        same(getattr(found, name), getattr(wanted, name), 1e-3 if name == "spread" else 1e-4)
    torch.testing.assert_close(
        shards.read(where, 6.0, threshold, how=how), found.mean, rtol=1e-5, atol=1e-5
    )
    alone = shards.read(where[0], 6.0, threshold, how=how)
    torch.testing.assert_close(alone, found.mean[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threshold", [THRESHOLD, None])
def test_kriging_is_that_of_one_memory(both, threshold):
    one, shards = both
    where = 130 * torch.randn(200, 2, generator=torch.Generator().manual_seed(2))
    how = ReadOptions(threshold, order="kriging", length=60.0, amplitude=1.0)
    wanted, found = one.recall(where, 0.0, how=how), shards.recall(where, 0.0, how=how)
    for name in ("mean", "variance", "slope", "nearest_distance", "known"):
        torch.testing.assert_close(
            getattr(found, name), getattr(wanted, name), rtol=1e-5, atol=1e-5
        )


def test_reads_by_time_leave_the_same_out(both):
    one, shards = both
    where = 130 * torch.randn(50, 2, generator=torch.Generator().manual_seed(3))
    given = {"not_since": 900.0, "not_before": 100.0}
    wanted = one.recall(where, 6.0, THRESHOLD, **given)
    found = shards.recall(where, 6.0, THRESHOLD, **given)
    torch.testing.assert_close(found.mean, wanted.mean, rtol=1e-5, atol=1e-5)
    bare = ReadOptions(mean=False)
    assert shards.recall(where, 6.0, THRESHOLD, how=bare).mean.shape == (50, 0)


@pytest.mark.parametrize("location", [[20.0, 0.0], None])
@pytest.mark.parametrize("replacement", [True, False])
def test_draws_have_the_distribution_of_one_memory(both, location, replacement):
    one, shards = both
    key = field(torch.tensor([10.0, 5.0]))
    number = 4000 if replacement else 40
    how = DrawOptions(number, 0.0, 0.5, replacement=replacement)
    given = location, None if location is None else 20.0, key
    weights = one.draw(*given, how=DrawOptions(SIZE, 0.0, 0.5, replacement=False))
    log_p = dict(zip(weights.ids.tolist(), weights.log_probabilities.tolist(), strict=True))
    rounds = 1 if replacement else 25
    drawn = [shards.draw(*given, how=how, seed=seed) for seed in range(rounds)]
    for samples in drawn:
        wanted = torch.tensor([log_p[name] for name in samples.ids.tolist()])
        torch.testing.assert_close(samples.log_probabilities.float(), wanted, rtol=1e-4, atol=1e-4)
        assert replacement or len(samples.ids.unique()) == number
    if replacement:
        expected = number * np.exp([log_p.get(i, -np.inf) for i in range(SIZE)])
        counts = np.bincount(drawn[0].ids.numpy(), minlength=SIZE).astype(float)
        order = np.argsort(-expected)
        groups = np.array_split(
            order, np.searchsorted(np.cumsum(expected[order]), [*np.arange(200, number - 100, 200)])
        )
        seen, wanted = (
            np.array([each[group].sum() for group in groups if len(group)])
            for each in (counts, expected)
        )
        assert scipy.stats.chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue > 1e-3
    else:  # how often the likeliest come first
        first = np.array([samples.ids[0].item() for samples in drawn])
        heavy = np.argsort([-log_p.get(i, -np.inf) for i in range(SIZE)])[:200]
        share = np.exp([log_p[i] for i in heavy]).sum()
        assert scipy.stats.binomtest(int(np.isin(first, heavy).sum()), rounds, share).pvalue > 1e-3


def test_draws_with_a_threshold_and_nothing_near(both):
    _, shards = both
    key = field(torch.tensor([0.0, 0.0]))
    how = DrawOptions(50, 0.0, match_threshold=30.0)
    places = shards.sample([60.0, 0.0], 10.0, key, how=how)
    assert (places - torch.tensor([60.0, 0.0])).norm(dim=-1).max() <= 30
    with pytest.raises(ValueError, match="match"):
        shards.sample([1e6, 0.0], 10.0, key, how=how)


def test_searches_and_neighbours_are_those_of_one_memory(both):
    one, shards = both
    for seed in range(5):
        key = torch.randn(DIM, generator=torch.Generator().manual_seed(seed))
        wanted, found = (m.search(key, 12, [1.0, 2.0], separation=40.0) for m in both)
        assert torch.equal(found.ids, wanted.ids)
        torch.testing.assert_close(found.places, wanted.places)
        torch.testing.assert_close(found.match, wanted.match, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.distance, wanted.distance)
        here = 100 * key[:2]
        assert torch.equal(shards.neighbours(here, 40.0), one.neighbours(here, 40.0))


def test_what_is_deleted_is_gone_and_what_is_not_there_is_named(make):
    memory = make()
    ids = memory.write(*observed())
    memory.delete(ids[::3])
    assert torch.equal(memory.observations().ids, ids[torch.arange(SIZE) % 3 != 0])
    with pytest.raises(KeyError, match=r"\[0, 3\]"):
        memory.delete([0, 1, 3])
    assert len(memory) == SIZE - SIZE // 3
    memory.delete([])


@pytest.mark.parametrize("batch", [1, 37, 700])
def test_the_oldest_of_all_make_room(make, batch):
    size = 300
    memory, one = make(size), Memory(2, DIM, max_memory_size=size)
    places, sds, senses = observed(size + (10 if batch == 1 else 900))
    start = 0
    while start < len(places):
        step = size if batch == 1 and start == 0 else batch
        part = slice(start, start + step)
        for each in (memory, one):
            each.write(places[part], sds[part], senses[part])
        assert torch.equal(memory.observations().ids, one.observations().ids)
        start += step
    for own, other in zip(memory.observations(), one.observations(), strict=True):
        assert torch.equal(own, other)


def test_what_is_alike_is_merged_across_borders(make):
    memory, one = make(), Memory(2, DIM, max_memory_size=SIZE)
    places, sds, senses = observed(300)
    again = places[::5] + 1.0, sds[::5], senses[::5]
    for each in (memory, one):
        each.write(places, sds, senses)
        ids = each.write(*again, update=True, merge_distance=0.5)
        assert len(ids) == 60
    own, other = memory.observations(), one.observations()
    assert len(own.ids) == len(other.ids)
    for name in ("locations", "location_sds", "senses", "ages", "times"):
        torch.testing.assert_close(getattr(own, name), getattr(other, name))
    whole = memory._whole  # and whoever has something is whose it is
    for shard in whole.those_with_any():
        held = whole.ask({shard: ("held", *whole.regions.of(shard))})[shard]
        assert len(held.ids) == whole.summaries[shard].size


def test_the_certificate_holds_across_borders(make):
    memory = make(shards=8)
    memory.write(*observed(2 * SIZE // 3, spread=80.0))
    before = memory.observations()
    report = memory.prune(0.15, THRESHOLD)
    assert report.num_before == len(before.ids)
    assert report.num_kept == len(memory)
    gone, above = certificate(memory, before, 0.15)
    assert gone == report.num_removed > 100
    assert above == 0
    # What went is still held against what goes later, also that of other shards.
    memory.prune(0.15, THRESHOLD)
    assert certificate(memory, before, 0.15)[1] == 0


def test_a_halo_that_is_too_narrow_would_be_found(make, monkeypatch):
    """That the test above can fail."""
    from tree_world.cluster import sharded

    def without(whole, shard, threshold):
        return whole.ask({shard: ("held", 0, 0)})[shard]

    monkeypatch.setattr(sharded, "halos", without)
    memory = make(shards=8)
    memory.write(*observed(2 * SIZE // 3, spread=80.0))
    before = memory.observations()
    memory.prune(0.15, THRESHOLD)
    assert certificate(memory, before, 0.15)[1] > 0


def test_pruning_with_certify_all_spoils_nothing(make):
    memory = make(shards=8)
    memory.write(*observed(SIZE // 2, spread=80.0))
    before = memory.observations()

    def errors():
        read = memory.read(before.locations, before.location_sds, THRESHOLD)
        return torch.linalg.vector_norm(read - before.senses, dim=-1)

    earlier = errors()
    memory.prune(0.2, THRESHOLD, certify="all")
    later = errors()
    allowed = torch.where(earlier <= 0.2, torch.full_like(earlier, 0.2), earlier)
    assert (later <= allowed * (1 + 1e-3)).all()
    assert len(memory) < len(before.ids)


def test_pruning_to_a_size_and_with_few_witnesses(make):
    memory = make()
    memory.write(*observed(400))
    report = memory.prune(np.inf, THRESHOLD, target_size=200, max_witnesses=20)
    assert 200 <= report.num_kept < 300
    assert sum(summary.witnesses for summary in memory._whole.summaries) <= 20
    with pytest.raises(ValueError, match="match_threshold"):
        memory.prune(0.1)


@pytest.mark.parametrize("number", [1, 4, 9])
def test_what_is_saved_comes_back_in_as_many_shards_as_asked(make, here, tmp_path, number):
    memory = make(merge_distance=0.7)
    memory.write(*observed(500))
    memory.prune(0.1, THRESHOLD)
    memory.save(tmp_path / "saved")
    with ShardedMemory.load(tmp_path / "saved", client=here, num_shards=number) as again:
        assert again.num_shards == number
        for own, other in zip(again.observations(), memory.observations(), strict=True):
            assert torch.equal(own, other)
        witnesses = [sum(s.witnesses for s in m._whole.summaries) for m in (again, memory)]
        assert witnesses[0] == witnesses[1] > 0
        assert again._whole.common.merge_distance == 0.7
        assert again.write([[0.0, 0.0]], 1.0, torch.ones(1, DIM)).tolist() == [500]


def test_senses_are_kept_projected_in_half_precision_and_on_disk(make, tmp_path):
    places, sds, senses = observed(500)
    choices = {"embed_dim": 4, "storage_dtype": torch.float16}
    memory = make(storage=tmp_path, **choices)
    one = Memory(2, DIM, max_memory_size=SIZE, **choices)
    for each in (memory, one):
        each.write(places, sds, senses)
    where = 100 * torch.randn(60, 2, generator=torch.Generator().manual_seed(4))
    for how in (ReadOptions(THRESHOLD), ReadOptions(THRESHOLD, order="linear")):
        torch.testing.assert_close(
            memory.read(where, 6.0, how=how), one.read(where, 6.0, how=how), rtol=1e-4, atol=1e-4
        )
    krige = ReadOptions(order="kriging", length=50.0)
    torch.testing.assert_close(
        memory.read(where, 0.0, how=krige), one.read(where, 0.0, how=krige), rtol=1e-4, atol=1e-4
    )
    key = senses[0]
    assert torch.equal(memory.search(key, 5).ids, one.search(key, 5).ids)
    folders = list(tmp_path.iterdir())
    assert len(folders) == 4
    memory.close()
    assert not any(folder.exists() for folder in folders)


def test_an_empty_memory_answers(make):
    memory = make()
    read = memory.recall([[0.0, 0.0]], 1.0)
    assert not read.known.any()
    assert read.mean.tolist() == [[0.0] * DIM]
    kriging = ReadOptions(order="kriging", length=3.0)
    assert not memory.recall([[0.0, 0.0]], 0.0, how=kriging).known.any()
    assert len(memory.search(torch.ones(DIM)).ids) == 0
    assert len(memory.neighbours([0.0, 0.0], 5.0)) == len(memory.observations().ids) == 0
    assert memory.prune(0.1, THRESHOLD).num_before == 0
    assert "0 of at most" in repr(memory)
    with pytest.raises(ValueError, match="Write more"):
        memory.sample(None, None, torch.ones(DIM))


def test_errors_say_what_to_do(make, here, tmp_path):
    memory = make(folder=tmp_path / "own")
    with pytest.raises(ValueError, match="senses"):
        memory.write([[0.0, 0.0]], 1.0, torch.ones(1, DIM + 1))
    with pytest.raises(OSError, match="in use"):
        make(folder=tmp_path / "own")
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        ShardedMemory.load(tmp_path, client=here)
    with pytest.raises(ValueError, match="folder"):
        make().checkpoint()
    with pytest.raises(ValueError, match="num_shards"):
        make(shards=0)
    with pytest.raises(ValueError, match="near each other"):
        make(4000, 8).write(torch.zeros(4000, 2), 1.0, torch.ones(4000, DIM))
    (tmp_path / "checkpoint.json").write_text('{"format": "later"}')
    with pytest.raises(ValueError, match="version"):
        ShardedMemory.load(tmp_path, client=here)
    memory.close()
    with pytest.raises(ValueError, match="closed"):
        memory.read([[0.0, 0.0]], 1.0)
