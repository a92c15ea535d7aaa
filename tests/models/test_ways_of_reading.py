"""All ways to read are one: a plain computation in double precision, wherever numbers go."""

import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.index.cells import GridIndex
from tree_world.models.memory.kernel.affinity import limit_squared, log_affinity
from tree_world.models.memory.recall import pairs
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.types import Observations, ReadOptions

EXACT = ("dense", "chunked", "sparse", "auto")


def by_formula(places, sds, observations, threshold=None):
    """Mean, spread, effective size, distance and log-weight of each place."""
    arrays = (places, sds, observations.locations, observations.location_sds, observations.senses)
    x, s, y, t, z = (np.asarray(array.detach().double()) for array in arrays)
    there = np.isfinite(t).all(axis=1)
    y, t, z = y[there], t[there], z[there]
    means, spreads, sizes, nearest, log_weights = [], [], [], [], []
    for place, sd in zip(x, np.broadcast_to(s, x.shape), strict=True):
        deviations = np.hypot(sd, t)
        logs = -(0.5 * np.square((place - y) / deviations) + np.log(deviations)).sum(axis=1)
        logs -= 0.5 * x.shape[1] * math.log(2 * math.pi)
        distances = np.sqrt(np.square(place - y).sum(axis=1))
        # A distance counts that is the threshold, as far as places can tell.
        kept = np.ones(len(y), dtype=bool)
        if threshold is not None:
            kept = distances <= threshold * (1 + 1e-15)
        if not kept.any():
            means.append(np.zeros(z.shape[1]))
            spreads.append(math.inf)
            sizes.append(0.0)
            nearest.append(math.inf)
            log_weights.append(-math.inf)
            continue
        weights = np.exp(logs[kept] - logs[kept].max())
        log_weights.append(logs[kept].max() + math.log(weights.sum()))
        weights /= weights.sum()
        means.append(weights @ z[kept])
        steps = z[kept] - means[-1]
        spreads.append(math.sqrt(max(0.0, weights @ np.square(steps).sum(axis=1))))
        sizes.append(1 / np.square(weights).sum())
        nearest.append(distances[kept].min())
    columns = (means, spreads, sizes, nearest, log_weights)
    return [np.array(column) for column in columns]


def index_of(observations):
    rows = np.flatnonzero(torch.isfinite(observations.location_sds).all(dim=1).numpy())
    index = GridIndex(25.0)
    index.add(rows, observations.locations.numpy()[rows])
    sds = observations.location_sds[torch.from_numpy(rows)]
    return pairs.Nearby(index.near_box, float(sds.min()), float(sds.max()))


def every_way(places, sds, observations, threshold=None):
    """Names and reads."""
    tail = 1e-12
    for method in EXACT:
        options = ReadOptions(threshold, method=method, support=True, tail=tail)
        yield method, read(places, sds, observations, options)
        plain = ReadOptions(threshold, method=method, tail=tail)
        yield method + " without support", read(places, sds, observations, plain)
    if bool(torch.isfinite(observations.location_sds).any()):
        options = ReadOptions(threshold, support=True, tail=tail)
        yield "index", read(places, sds, observations, options, index_of(observations))
    if len(sds) == 1:
        options = ReadOptions(threshold, method="attention")
        yield "attention", read(places, sds, observations, options)


def check(places, sds, observations, threshold=None, bound=1e-6):
    mean, spread, size, nearest, log_weight = by_formula(places, sds, observations, threshold)
    scale = float(observations.senses.norm(dim=-1).max())
    for name, ours in every_way(places, sds, observations, threshold):
        error = np.abs(ours.mean.double().numpy() - mean).max()
        own = 4e-5 if name == "attention" else bound  # as `exponent_of_rounding` promises
        assert error <= own * scale, f"{name}: {error / scale:.1e} of the greatest sense"
        assert ours.known.tolist() == (size > 0).tolist(), name
        np.testing.assert_allclose(ours.log_weight, log_weight, rtol=1e-6, atol=1e-6, err_msg=name)
        if "without" in name or name == "attention":
            assert (ours.spread.isnan() | ~ours.known).all()
            continue
        np.testing.assert_allclose(ours.spread, spread, rtol=1e-4, atol=3e-6 * scale, err_msg=name)
        np.testing.assert_allclose(ours.effective_sample_size, size, rtol=1e-4, err_msg=name)
        np.testing.assert_allclose(ours.nearest_distance, nearest, rtol=2e-6, err_msg=name)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6),
    num_queries=st.sampled_from([1, 9, 40]),
    number=st.sampled_from([1, 30, 600]),
    dim=st.sampled_from([1, 2, 3, 60, 200]),
    sd=st.sampled_from([1e-12, 1e-3, 1.0, 1e3, 1e12]),
    world=st.sampled_from([0.5, 5.0, 1e4]),  # in deviations
    away=st.sampled_from([0.0, 1e3]),  # in deviations
    alike=st.booleans(),
    offset=st.sampled_from([0.0, 1e4]),
    duplicates=st.booleans(),
    absent=st.sampled_from([None, 0.3, 1.0]),
    on_the_rim=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_every_way_is_the_formula(
    seed, num_queries, number, dim, sd, world, away, alike, offset, duplicates, absent, on_the_rim,
    dtype,
):  # fmt: skip
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    locations = world * normal(number, dim) + away
    senses = normal(number, 3) + offset
    sds = torch.ones(number, dim)
    if not alike:
        sds = sds * 0.5 + torch.rand(number, dim, generator=generator)
    if duplicates:
        half = number // 2
        locations[:half], senses[:half], sds[:half] = locations[0], senses[0], sds[0]
    near = torch.randint(number, (num_queries,), generator=generator)
    places = locations[near] + (0.0 if duplicates else 1.0) * normal(num_queries, dim)
    if absent is not None:
        sds[torch.rand(number, generator=generator) < absent] = torch.inf
    places, locations, sds = ((sd * t.double()).to(dtype) for t in (places, locations, sds))
    observations = Observations(locations, sds, senses.to(dtype))
    own = torch.full((1, dim), sd, dtype=dtype) * (0.7 if alike else 1.0)
    if not alike and seed % 2:
        own = own.expand(num_queries, dim) * (0.5 + torch.rand(num_queries, 1, generator=generator))
        own = own.to(dtype)
    threshold = None
    if on_the_rim:
        # The distance of one of the pairs: it counts.
        other = torch.randint(number, (1,), generator=generator)
        steps = places[0].double() - locations[other[0]].double()
        threshold = max(float(steps.norm()), 1e-20)
    check(places, own, observations, threshold)


@pytest.mark.parametrize(("number", "num_queries"), [(8_000, 100), (200_000, 10)])
def test_many_that_are_alike_are_read_as_one(number, num_queries):
    values = 0.3387 * torch.linspace(1, 2, 50)  # each is rounded otherwise in a running sum
    locations, senses = torch.zeros(number, 2), values.repeat(number, 1)
    apart = number // 2
    observations = Observations(locations, torch.full((number, 2), 10.0), senses)

    def check_all_alike(places, expected, size):
        for name, ours in every_way(places, torch.full((1, 2), 10.0), observations):
            greatest, bound = senses.abs().amax(dim=0), 1e-6
            if name == "attention" and len(expected.unique(dim=0)) > 1 and len(places) > 12:
                bound = 4e-5  # as `exponent_of_rounding` promises
            assert ((ours.mean - expected).abs() <= bound * greatest).all(), name
            if "without" not in name and name != "attention":
                assert ours.spread.tolist() == [0.0] * len(places), name
                torch.testing.assert_close(
                    ours.effective_sample_size, torch.full((len(places),), float(size))
                )

    for places in (torch.zeros(1, 2), torch.full((num_queries, 2), 3.0)):
        check_all_alike(places, values.expand(len(places), -1), number)
    # Two crowds, of whom each query sees one.
    locations[:apart], senses[:apart] = 500.0, -3 * values
    places = torch.tensor([[0.0, 0.0], [500.0, 500.0]]).repeat(num_queries // 2, 1)
    check_all_alike(places, senses[[-1, 0]].repeat(num_queries // 2, 1), number // 2)


@pytest.mark.parametrize("num_queries", [5, 20, 100])
def test_two_crowds_at_one_place_are_weighed_exactly(num_queries):
    number, first = 100_000, 2048
    values = 0.3387 * torch.linspace(1, 2, 20)
    senses = values.repeat(number, 1)
    senses[:first] = -3.0
    observations = Observations(torch.zeros(number, 2), torch.full((number, 2), 5.0), senses)
    share = first / number
    mean = (1 - share) * values.double() - 3.0 * share
    spread = math.sqrt(share * (1 - share)) * float((values.double() + 3.0).norm())
    for name, ours in every_way(torch.ones(num_queries, 2), torch.full((1, 2), 5.0), observations):
        bound = 2e-4 if name == "attention" else 1e-6  # fused kernels add up in single precision
        assert (ours.mean - mean).abs().max() <= 3.0 * bound, name
        if "without" not in name and name != "attention":
            assert (ours.spread - spread).abs().max() <= 1e-6 * spread, name


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e4, 1e5])
def test_a_spread_is_the_same_wherever_senses_lie(offset):
    generator = torch.Generator().manual_seed(0)
    senses = torch.randn(500, 4, generator=generator) + offset
    locations = 5 * torch.randn(500, 2, generator=generator)
    observations = Observations(locations, torch.full((500, 2), 10.0), senses)
    for places in (locations[:1], locations[:40]):
        sds = torch.full((1, 2), 10.0)
        _, expected, *_ = by_formula(places, sds, observations)
        for order in ("constant", "linear"):
            for method in EXACT:
                options = ReadOptions(order=order, method=method, support=True)
                ours = read(places, sds, observations, options).spread
                np.testing.assert_allclose(ours, expected, rtol=2e-5)


@pytest.mark.parametrize("queries", [1, 9, 40])
@pytest.mark.parametrize("threshold", [None, 25.0])
@pytest.mark.parametrize("order", ["constant", "linear"])
def test_where_everything_was_deleted_nothing_is_known(queries, threshold, order):
    observations = Observations(
        torch.randn(3000, 2), torch.full((3000, 2), torch.inf), torch.randn(3000, 4)
    )
    methods = (*EXACT, "attention") if order == "constant" else EXACT
    for method in methods:
        for support in (False, True) if method != "attention" else (False,):
            options = ReadOptions(threshold, order, method, support=support)
            ours = read(torch.zeros(queries, 2), torch.ones(1, 2), observations, options)
            assert ours.mean.tolist() == [[0.0] * 4] * queries
            assert not ours.known.any()
    for dim in (2, 60):
        memory = SpatialMemory(dim, 2, max_memory_size=200)
        memory.write(torch.randn(100, dim), 1.0, torch.randn(100, 2))
        memory.delete(memory.ids[0])
        assert memory.read(torch.zeros(queries, dim), 1.0, threshold, order=order).eq(0).all()


def test_one_emptied_row_of_a_batch_is_zero_and_the_others_as_before():
    memory = SpatialMemory(2, 3)
    memory.write(torch.randn(2, 600, 2), 1.0, torch.randn(2, 600, 3))
    places = torch.randn(500, 2)
    before = memory.read(places, 1.0)
    memory[1].store.delete(memory[1].store.ids[:600].copy())
    after = memory.read_with_support(places, 1.0)
    torch.testing.assert_close(after.mean[0], before[0])
    assert after.mean[1].eq(0).all()
    assert after.known[0].all()
    assert not after.known[1].any()


# --- the threshold -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_place_at_the_very_threshold_counts_and_one_beyond_it_does_not(dtype):
    kind = np.dtype(str(dtype).removeprefix("torch."))
    for threshold in (0.3, 5.0, 25.0, 1e-9, 3e7):
        exact = kind.type(threshold)
        # On the axis, and on a slope by a triangle of whole sides.
        at = [[exact, 0.0], [-exact, 0.0]]
        if threshold in (5.0, 25.0):
            at.append([0.6 * threshold, 0.8 * threshold])
        above = [[np.nextafter(exact, kind.type(np.inf)), 0.0]] if dtype == torch.float32 else []
        above.append([exact * kind.type(1.00001), 0.0])
        for locations, counts in ((at, True), (above, False)):
            locations = torch.tensor(np.array(locations, dtype=kind))
            ones = torch.full_like(locations, threshold)
            observations = Observations(locations, ones, torch.ones(len(locations), 1, dtype=dtype))
            for number in (1, 40):
                places = torch.zeros(number, 2, dtype=dtype)
                for name, ours in every_way(places, ones[:1], observations, threshold):
                    assert ours.known.tolist() == [counts] * number, name
            affinity = log_affinity(places[:1], ones[:1], locations, ones, threshold)
            assert torch.isfinite(affinity).eq(counts).all()
        memory = SpatialMemory(2, 1, dtype=dtype)
        memory.write(torch.tensor(np.array(at[:1], dtype=kind)), threshold, [[1.0]])
        for method in ("exact", "cells"):
            memory.sample([0.0, 0.0], threshold, [1.0], 1, match_threshold=threshold, method=method)


def test_a_lattice_whose_step_is_the_threshold():
    line = torch.arange(20.0)
    lattice = torch.cartesian_prod(line, line) * 0.5 + 1000.0
    observations = Observations(lattice, torch.full((400, 2), 0.5), torch.eye(400)[:, :40])
    check(lattice[::9], torch.full((1, 2), 0.5), observations, 1.5)
    check(lattice[::9], torch.full((1, 2), 0.5), observations, 2.5)


def test_without_a_threshold_all_count():
    assert limit_squared(None, torch.float32) == math.inf
    assert limit_squared(1e300, torch.float32) == math.inf
    assert 625 < limit_squared(25.0, torch.float64) < limit_squared(25.0, torch.float32) < 625.0001


# --- attention -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [None, 30.0])
def test_attention_keeps_its_digits_where_clusters_are_far_apart(threshold):
    generator = torch.Generator().manual_seed(0)
    middles = torch.tensor([[0.0, 0.0], [1e5, 0.0], [0.0, 3e6], [-1e4, 1e4], [2e7, -2e7]])
    locations = middles.repeat_interleave(60, dim=0)
    locations = locations + 50 * torch.randn(300, 2, generator=generator)
    observations = Observations(
        locations, torch.full((300, 2), 10.0), torch.randn(300, 4, generator=generator)
    )
    places = locations[::3] + torch.randn(100, 2, generator=generator)
    sds = torch.full((1, 2), 10.0)
    mean, _, size, *_ = by_formula(places, sds, observations, threshold)
    ours = read(places, sds, observations, ReadOptions(threshold, method="attention"))
    np.testing.assert_allclose(ours.mean, mean, atol=4e-5)
    assert ours.known.tolist() == (size > 0).tolist()


# --- precision and gradients ---------------------------------------------------------------------


@pytest.mark.parametrize("method", [*EXACT, "attention"])
def test_automatic_casts_change_nothing(method):
    generator = torch.Generator().manual_seed(0)
    places = 10 * torch.randn(40, 2, generator=generator)
    observations = Observations(
        10 * torch.randn(700, 2, generator=generator), torch.full((700, 2), 10.0),
        torch.randn(700, 4, generator=generator),
    )  # fmt: skip
    arguments = (places, torch.full((1, 2), 10.0), observations, ReadOptions(method=method))
    expected = read(*arguments).mean
    memory = SpatialMemory(2, 4, max_memory_size=700)
    memory.write(observations.locations, 10.0, observations.senses)

    def draw(way):
        return memory.sample([0.0, 0.0], 10.0, torch.ones(4), 20, seed=0, method=way)

    drawn = [draw(way) for way in ("exact", "cells")]
    memory.common.searches.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = read(*arguments).mean
        again = [draw(way) for way in ("exact", "cells")]
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, expected, rtol=0, atol=0)
    for one, other in zip(drawn, again, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("method", [*EXACT, "attention"])
def test_the_default_precision_changes_nothing(method):
    observations = Observations(torch.randn(700, 2), torch.ones(700, 2), torch.randn(700, 4))
    arguments = (torch.randn(40, 2), torch.ones(1, 2), observations)
    options = ReadOptions(2.0, method=method, support=method != "attention")
    expected = read(*arguments, options)
    torch.set_default_dtype(torch.float64)
    try:
        ours = read(*arguments, options)
    finally:
        torch.set_default_dtype(torch.float32)
    for name in ("mean", "spread", "effective_sample_size", "nearest_distance"):
        torch.testing.assert_close(
            getattr(ours, name), getattr(expected, name), rtol=0, atol=0, equal_nan=True
        )


@pytest.mark.parametrize("method", ["dense", "chunked", "sparse"])
@pytest.mark.parametrize("order", ["constant", "linear"])
def test_the_spread_has_the_gradient_of_the_spread(method, order):
    generator = torch.Generator().manual_seed(3)
    inputs = [
        tensor.double().requires_grad_()
        for tensor in (
            torch.randn(3, 2, generator=generator), 1 + torch.rand(1, 2, generator=generator),
            torch.randn(7, 2, generator=generator), 1 + torch.rand(7, 2, generator=generator),
            torch.randn(7, 2, generator=generator),
        )
    ]  # fmt: skip

    def spread(places, sds, locations, location_sds, senses):
        options = ReadOptions(method=method, order=order, support=True)
        found = read(places, sds, Observations(locations, location_sds, senses), options)
        return found.spread, found.effective_sample_size

    assert torch.autograd.gradcheck(spread, inputs, atol=1e-5)


@pytest.mark.parametrize("method", ["auto", "dense", "chunked", "sparse"])
def test_gradients_are_finite_where_there_is_no_spread(method):
    memory = SpatialMemory(2, 2)
    locations, sds = torch.tensor([[0.0, 0.0], [1e4, 0.0], [1e4, 1.0]]), torch.ones(3, 2)
    senses = torch.tensor([[1.0, 2.0], [3.0, 5.0], [-1.0, 0.5]])
    memory.write(locations, 1.0, senses)
    memory.requires_grad_(True)
    # At a stored place, beside two, far off, and where nothing matches.
    places = torch.tensor([[0.0, 0.0], [1e4, 0.4], [1e6, 1e6], [500.0, 0.0]], requires_grad=True)
    deviation = torch.tensor(1.0, requires_grad=True)
    for threshold, dull in ((None, [0, 2]), (25.0, [0, 2, 3])):
        observations = Observations(
            *(tensor.clone().requires_grad_() for tensor in (locations, sds, senses))
        )
        options = ReadOptions(threshold, method=method, support=True)
        found = read(places, deviation.expand(4, 2), observations, options)
        assert not found.nearest_distance.requires_grad
        kept = torch.isfinite(found.spread)
        alone = torch.autograd.grad(
            found.spread[1], (places, deviation, observations.senses), retain_graph=True
        )
        together = torch.autograd.grad(
            torch.where(kept, found.spread, 0.0).sum() + found.mean.sum() * 0,
            (places, deviation, observations.senses, observations.location_sds),
        )
        assert all(torch.isfinite(one).all() for one in together)
        assert together[0][dull].eq(0).all() or threshold is None
        assert together[0][0].eq(0).all()
        torch.testing.assert_close(together[0][1], alone[0][1])
        if threshold is not None:
            torch.testing.assert_close(together[1], alone[1])
        assert alone[0][1].norm() > 0


@pytest.mark.parametrize("method", ["auto", *EXACT[:3], "attention"])
@pytest.mark.parametrize("number", [0, 1, 300])
def test_where_nothing_matches_gradients_are_zero(method, number):
    places = torch.tensor([[1e5, 0.0]] * 9, requires_grad=True)
    sds = torch.ones(1, 2, requires_grad=True)
    of_the_stored = (
        torch.zeros(number, 2),
        torch.full((number, 2), torch.inf),
        torch.ones(number, 3),
    )
    for deviations in of_the_stored[1], torch.ones(number, 2):
        arrays = (of_the_stored[0], deviations, of_the_stored[2])
        observations = Observations(*(array.clone().requires_grad_() for array in arrays))
        found = read(places, sds, observations, ReadOptions(25.0, method=method))
        assert found.mean.tolist() == [[0.0] * 3] * 9
        assert not found.known.any()
        given = (places, sds, *vars(observations).values())
        for gradient in torch.autograd.grad(found.mean.sum(), given, materialize_grads=True):
            assert not gradient.any()
