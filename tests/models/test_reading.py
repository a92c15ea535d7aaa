"""All ways to read against the formula in double precision."""

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.killing import TORCH, lives
from tests.models import oracle
from tree_world.models.memory.index.cells import GridIndex
from tree_world.models.memory.kernel import bounds
from tree_world.models.memory.kernel.affinity import log_affinity
from tree_world.models.memory.recall import blocks, pairs, plan, reading, screening
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.types import MEMORY_LIMIT, Observations, ReadOptions

EXACT = ("dense", "chunked", "sparse", "auto")
BOUND = 1e-5  # stated: error of a read, relative to the greatest norm of a sense


def draw(seed, num_queries, num_observations, *, dim=2, spread=200.0, sds=(10.0, 10.0), away=0.0,
         sensory_dim=6):  # fmt: skip
    """Places, deviations and senses; deviations spread evenly on a logarithmic scale."""
    generator = torch.Generator().manual_seed(seed)

    def deviations(number):
        low, high = np.log(sds[0]), np.log(sds[1])
        return torch.exp(low + (high - low) * torch.rand(number, dim, generator=generator))

    places, locations = (
        (spread * torch.randn(number, dim, generator=generator) + away)
        for number in (num_queries, num_observations)
    )
    senses = torch.randn(num_observations, sensory_dim, generator=generator)
    return (
        places,
        deviations(num_queries),
        Observations(locations, deviations(num_observations), senses),
    )


def found_by(index, observations):
    """An index, with the bounds that a store keeps."""
    sds = observations.location_sds
    return pairs.Nearby(index.near_box, float(sds.min()), float(sds.max()))


def close(ours, expected, senses, bound=BOUND):
    scale = float(senses.norm(dim=-1).max()) if len(senses) else 1.0
    error = np.abs(ours.double().numpy() - expected).max(initial=0.0)
    assert error <= bound * scale, f"{error / scale:.2e} of the greatest sense"


@pytest.mark.parametrize("threshold", [None, 25.0])
def test_the_oracle_is_the_formula_pair_by_pair(threshold):
    places, sds, stored = draw(0, 5, 30, spread=20.0, sds=(1.0, 30.0))
    mean, size, spread, nearest = oracle.read(
        places, sds, stored.locations, stored.location_sds, stored.senses, threshold
    )
    for row, (place, sd) in enumerate(zip(places.tolist(), sds.tolist(), strict=True)):
        near = [
            (math.exp(oracle.log_affinity(place, sd, location, location_sd)), sense, distance)
            for location, location_sd, sense in zip(
                stored.locations.tolist(), stored.location_sds.tolist(), stored.senses.tolist(),
                strict=True,
            )
            if (distance := math.dist(place, location)) <= (threshold or math.inf)
        ]  # fmt: skip
        total = sum(weight for weight, _, _ in near)
        expected = [sum(w * sense[axis] for w, sense, _ in near) / total for axis in range(6)]
        np.testing.assert_allclose(mean[row], expected, rtol=1e-9, atol=1e-12)
        assert size[row] == pytest.approx(total**2 / sum(w**2 for w, _, _ in near))
        variance = sum(w * math.dist(sense, expected) ** 2 for w, sense, _ in near) / total
        assert spread[row] == pytest.approx(math.sqrt(variance))
        assert nearest[row] == min(distance for _, _, distance in near)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    num_queries=st.integers(1, 12),
    num_observations=st.integers(1, 40),
    dim=st.integers(1, 3),
    spread=st.sampled_from([1.0, 30.0, 300.0]),
    sds=st.sampled_from([(0.1, 0.1), (10.0, 10.0), (1000.0, 1000.0), (0.1, 1000.0)]),
    away=st.sampled_from([0.0, 1e6]),
    threshold=st.sampled_from([None, 25.0, 400.0]),
    method=st.sampled_from(EXACT),
    order=st.sampled_from(["constant", "linear"]),
)
def test_every_method_agrees_with_the_oracle(
    seed, num_queries, num_observations, dim, spread, sds, away, threshold, method, order
):
    places, deviations, observations = draw(
        seed, num_queries, num_observations, dim=dim, spread=spread, sds=sds, away=away
    )
    distances = torch.cdist(places.double(), observations.locations.double())
    if threshold is not None and bool(((distances - threshold).abs() < 1e-3).any()):
        return  # on the rim both answers are right
    options = ReadOptions(threshold, order, method, support=True)
    ours = read(places, deviations, observations, options)
    arrays = (places, deviations, observations.locations, observations.location_sds)
    mean, sample_size, spread_, nearest = oracle.read(*arrays, observations.senses, threshold)
    if order == "linear":
        mean = oracle.read_linear(*arrays, observations.senses, options.ridge, threshold)
    # A plane may reach beyond what was sensed: then the bound is relative to its own values.
    greatest = max(1.0, np.abs(mean).max() / float(observations.senses.norm(dim=-1).max()))
    close(ours.mean, mean, observations.senses, BOUND * greatest * (20 if order == "linear" else 1))
    np.testing.assert_allclose(ours.effective_sample_size, sample_size, rtol=1e-3)
    assert ours.known.tolist() == (sample_size > 0).tolist()
    np.testing.assert_allclose(ours.nearest_distance, nearest, rtol=1e-5, atol=1e-5)
    norm = float(observations.senses.norm(dim=-1).max())
    np.testing.assert_allclose(ours.spread, spread_, rtol=1e-3, atol=2e-3 * norm)


@pytest.mark.parametrize("sds", [(0.1, 0.1), (3.0, 3.0), (10.0, 10.0), (1.0, 60.0), (500.0, 500.0)])
@pytest.mark.parametrize("threshold", [None, 25.0])
@pytest.mark.parametrize("support", [False, True])
def test_large_reads_take_their_own_ways_to_the_same_end(sds, threshold, support):
    places, deviations, observations = draw(7, 700, 3000, sds=sds)
    if sds[0] == sds[1]:
        deviations = deviations[:1]
    expected = oracle.read(
        *(t.expand(700, 2)[:20] if t is deviations else t[:20] for t in (places, deviations)),
        observations.locations, observations.location_sds, observations.senses, threshold,
    )  # fmt: skip
    for method in ("auto", "sparse", "chunked"):
        options = ReadOptions(threshold, method=method, support=support)
        ours = read(places, deviations, observations, options)
        close(ours.mean[:20], expected[0], observations.senses)
        if support:
            np.testing.assert_allclose(ours.nearest_distance[:20], expected[3], rtol=1e-5)
            np.testing.assert_allclose(ours.effective_sample_size[:20], expected[1], rtol=1e-3)
        else:
            assert ours.spread.isnan().all()


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    sds=st.sampled_from([(30.0, 30.0), (1000.0, 1000.0), (20.0, 200.0)]),
    offset=st.sampled_from([0.0, 300.0, 30_000.0, 300_000.0]),
)
def test_rounding_stays_within_its_bound(seed, sds, offset):
    places, deviations, observations = draw(seed, 40, 300, sds=sds)
    deviations, places = deviations[:1], places + offset
    arrays = (places, deviations, observations.locations, observations.location_sds)
    expected, *_ = oracle.read(
        places, deviations.expand(40, 2), *arrays[2:], observations.senses, None
    )
    single = blocks.Precision(single=True, by_features=True)
    ours = blocks.read_blocks(
        places, deviations, observations, ReadOptions(), [slice(None)], single
    )
    error = np.abs(ours.mean.double().numpy() - expected).max(axis=1)
    greatest = float(observations.senses.abs().max())
    bound = 20 * torch.finfo(torch.float32).eps * (bounds.exponent_of_rounding(*arrays) + 1)
    assert error.max() <= bound * greatest


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    kernel=st.sampled_from(
        [
            (200.0, (500.0, 500.0)),
            (200.0, (400.0, 900.0)),
            (1.0, (9e16, 1.1e17)),  # whose squared weights single precision could not hold
            (0.01, (0.03, 0.05)),
        ]
    ),
    shared=st.booleans(),
    order=st.sampled_from(["constant", "linear"]),
    absent=st.booleans(),
)
def test_log_affinities_that_are_alike_share_one_scale(seed, kernel, shared, order, absent):
    spread, sds = kernel
    places, deviations, observations = draw(seed, 12, 3000, spread=spread, sds=sds)
    if shared:
        deviations = deviations[:1]
    if absent:  # the whole first block, and some more
        observations.location_sds[:2100] = torch.inf
    arrays = (observations.locations, observations.location_sds)
    options = ReadOptions(method="chunked", order=order, support=True)
    level = blocks.Precision.that_will_do(places, deviations, *arrays, options).level
    assert level is not None
    every = deviations.expand(12, 2)
    found = log_affinity(places.double(), every.double(), *(array.double() for array in arrays))
    present = found[torch.isfinite(found)]
    assert level - plan.ALIKE <= float(present.min())
    assert float(present.max()) <= level + 1e-9
    ours = read(places, deviations, observations, options)
    there = torch.isfinite(observations.location_sds[:, 0])
    few = Observations(*(array[there] for array in (*arrays, observations.senses)))
    exact = read(places.double(), every.double(), Observations(*(
        array.double() for array in (few.locations, few.location_sds, few.senses)
    )), ReadOptions(method="dense", order=order, support=True))  # fmt: skip
    scale = float(few.senses.norm(dim=-1).max())
    assert float((ours.mean - exact.mean).abs().max()) <= BOUND * scale
    torch.testing.assert_close(
        ours.effective_sample_size.double(), exact.effective_sample_size, rtol=1e-4, atol=1e-6
    )
    assert bool(ours.known.all())


def test_log_affinities_that_differ_much_share_none():
    places, deviations, observations = draw(4, 300, 2000, sds=(20.0, 20.0))
    arrays = (places, deviations[:1], observations.locations, observations.location_sds)
    assert blocks.Precision.that_will_do(*arrays, ReadOptions()).level is None
    # By their deviations alone: all are at one place.
    here, deviations = torch.zeros(2000, 2), torch.full((2000, 2), 1e-3)
    deviations[0] = 1e3
    arrays = (here[:300], torch.full((1, 2), 1e-3), here, deviations)
    assert bounds.greatest_exponent(*arrays) == 0
    assert blocks.Precision.that_will_do(*arrays, ReadOptions()).level is None


def test_a_group_of_queries_that_nothing_is_near_to_is_read_as_nothing():
    places, deviations, observations = draw(6, 200, 300)
    places[:100] += 1e4
    options = ReadOptions(25.0, method="sparse", order="linear")  # by groups
    found = read(places, deviations, observations, options)
    expected = read(
        places, deviations, observations, ReadOptions(25.0, method="dense", order="linear")
    )
    assert not found.known[:100].any()
    assert found.known[100:].any()
    torch.testing.assert_close(found.mean, expected.mean, rtol=1e-4, atol=1e-4)


def test_single_precision_is_taken_where_its_rounding_is_small_and_only_there():
    places, deviations, observations = draw(3, 600, 2000, sds=(60.0, 60.0))
    arrays = (observations.locations, observations.location_sds)

    def chosen(places, **options):
        return blocks.Precision.that_will_do(
            places, deviations[:1], *arrays, ReadOptions(**options)
        )

    near = places[places.norm(dim=1) < 60]
    assert bounds.greatest_exponent(near, deviations[:1], *arrays) > plan.SINGLE
    assert chosen(near).single
    assert not chosen(near + 3000).single
    assert not chosen(near.double()).single
    assert not chosen(near, order="linear").single
    assert not chosen(near, match_threshold=25.0).single
    # So far away that only double precision can tell which of the observations is next.
    far = torch.tensor([[40_000.0, 30_000.0]]).expand(300, 2)
    expected, *_ = oracle.read(far[:1], deviations[:1], *arrays, observations.senses, None)
    ours = read(far, deviations[:1], observations, ReadOptions(method="chunked"))
    close(ours.mean[:1], expected, observations.senses, 1e-6)


def test_each_way_is_taken_where_it_should(monkeypatch):
    taken = []

    def watch(module, name):
        original = getattr(module, name)

        def wrapped(*args, **kwargs):
            result = original(*args, **kwargs)
            taken.append((name, result is not None))
            return result

        monkeypatch.setattr(reading, name, wrapped)

    for module, name in (
        (pairs, "read_pairs"),
        (blocks, "read_groups"),
        (blocks, "read_runs"),
    ):
        watch(module, name)

    def way(threshold=None, order="constant", memory_limit=MEMORY_LIMIT, **choices):
        taken.clear()
        places, deviations, observations = draw(0, **choices)
        options = ReadOptions(threshold, order, memory_limit=memory_limit)
        read(places, deviations[:1], observations, options)
        return [name for name, answered in taken if answered]

    assert way(num_queries=10, num_observations=10) == []  # dense
    assert way(num_queries=600, num_observations=3000, threshold=25.0) == ["read_pairs"]
    assert way(num_queries=3000, num_observations=6000, sds=(4.0, 4.0)) == ["read_pairs"]
    linear = {"num_queries": 3000, "num_observations": 6000, "order": "linear"}
    assert way(sds=(4.0, 4.0), **linear) == ["read_pairs"]
    assert way(num_queries=600, num_observations=3000, threshold=900.0) == ["read_pairs"]
    wide = {"sds": (60.0, 60.0), "threshold": 2000.0}
    assert way(num_queries=600, num_observations=3000, **wide) == ["read_runs"]
    assert way(num_queries=600, num_observations=3000, sds=(1e3, 1e3)) == ["read_runs"]
    assert way(sds=(1e3, 1e3), **linear) == ["read_runs"]
    tight = {"num_queries": 600, "num_observations": 3000, "memory_limit": 2**16}
    assert way(threshold=200.0, **tight) != ["read_pairs"]


@pytest.mark.parametrize("tail", [1e-2, 1e-4, 1e-6])
def test_what_a_sparse_read_leaves_out_is_bounded(tail):
    places, deviations, observations = draw(3, 300, 2000, sds=(5.0, 80.0))
    ours = read(places, deviations, observations, ReadOptions(method="sparse", tail=tail)).mean
    exact = read(places, deviations, observations, ReadOptions(method="dense")).mean
    norm = float(observations.senses.norm(dim=-1).max())
    assert (ours - exact).norm(dim=-1).max() <= (2 * tail + BOUND) * norm


def test_the_nearest_counts_for_its_distance_however_little_it_weighs():
    _, _, many = draw(8, 1, 3000, spread=50.0, sds=(1.0, 1.0))
    apart = many.locations[many.locations.norm(dim=-1) > 4.0]
    locations = torch.cat([apart, torch.tensor([[1.0, 0.0]])])
    sds = torch.ones_like(locations)
    sds[-1] = 1e5  # a blunt one, at hand
    observations = Observations(locations, sds, torch.ones(len(locations), 1))
    options = ReadOptions(method="sparse", support=True)
    found = read(torch.zeros(1, 2), torch.ones(1, 2), observations, options)
    assert found.nearest_distance.tolist() == [1.0]


@pytest.mark.parametrize("sds", [(4.0, 5.0), (1.0, 90.0)])
@pytest.mark.parametrize("threshold", [None, 60.0])
def test_boxes_leave_out_much_and_never_too_much(sds, threshold):
    places, deviations, observations = draw(5, 1500, 4000, sds=sds)
    positions = places.double().numpy()
    groups = screening.Groups.of_neighbours(positions, 32)
    rows, parts, boxes = screening.grouped(observations)
    kept = screening.boxes_that_matter(
        screening.Boxes.around(positions, deviations.double().square().numpy(), groups), boxes,
        parts.sizes, threshold, 1e-6, with_nearest=True,
    )  # fmt: skip
    affinity = log_affinity(
        places.double(), deviations.double(), observations.locations.double(),
        observations.location_sds.double(), threshold,
    )  # fmt: skip
    shares = torch.softmax(affinity, dim=-1).nan_to_num().numpy()
    nearest = torch.cdist(places.double(), observations.locations.double()).argmin(dim=-1).numpy()
    for group, matters in zip(groups, kept, strict=True):
        chosen = rows[np.repeat(matters, parts.sizes)]
        assert np.delete(shares[group], chosen, axis=1).sum(axis=1).max() <= 1e-6
        if threshold is None:
            assert set(nearest[group].tolist()) <= set(chosen.tolist())
    if threshold is not None or sds == (4.0, 5.0):
        assert kept.mean() < 0.6


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**31),
    num_queries=st.integers(1, 6),
    num_observations=st.integers(1, 30),
    sds=st.sampled_from([(1.0, 1.0), (0.5, 30.0), (5.0, 15.0)]),
    threshold=st.sampled_from([None, 10.0, 40.0]),
    tail=st.sampled_from([0.5, 0.1, 1e-3]),
    with_nearest=st.booleans(),
)
def test_boxes_leave_out_no_more_than_the_tail(
    seed, num_queries, num_observations, sds, threshold, tail, with_nearest
):
    places, deviations, observations = draw(
        seed, num_queries, num_observations, spread=20.0, sds=sds
    )
    positions, variances = places.double().numpy(), deviations.double().square().numpy()
    groups = screening.Groups.of_neighbours(positions, 2)
    others = observations.locations.double().numpy()
    parts = screening.Groups.of_neighbours(others, 3)
    spread = observations.location_sds.double().square().numpy()
    kept = screening.boxes_that_matter(
        screening.Boxes.around(positions, variances, groups),
        screening.Boxes.around(others, spread, parts), parts.sizes, threshold, tail, with_nearest,
    )  # fmt: skip
    affinity = log_affinity(
        places.double(), deviations.double(), observations.locations.double(),
        observations.location_sds.double(), threshold,
    )  # fmt: skip
    shares = torch.softmax(affinity, dim=-1).nan_to_num().numpy()
    distances = torch.cdist(places.double(), observations.locations.double()).numpy()
    for group, matters in zip(groups, kept, strict=True):
        chosen = parts.rows[np.repeat(matters, parts.sizes)]
        for query in group:
            assert np.delete(shares[query], chosen).sum() <= tail + 1e-9
            nearest = int(distances[query].argmin())
            if with_nearest and (threshold is None or distances[query, nearest] <= threshold):
                assert nearest in chosen


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_groups_hold_every_row_once_and_are_small(dim):
    places = np.random.default_rng(0).normal(size=(1001, dim))
    groups = screening.Groups.of_neighbours(places, 96)
    assert sorted(np.concatenate(list(groups))) == list(range(1001))
    assert max(len(group) for group in groups) == groups.sizes.max() == 96
    assert len(list(groups)) == len(groups)


def test_attention_is_the_kernel():
    places, deviations, observations = draw(1, 40, 300, spread=100.0)
    expected = oracle.read(
        places, deviations[:1].expand(40, 2), observations.locations, observations.location_sds,
        observations.senses,
    )[0]  # fmt: skip
    ours = read(places, deviations[:1], observations, ReadOptions(method="attention")).mean
    close(ours, expected, observations.senses, 1e-4)
    double = Observations(
        observations.locations.double(), observations.location_sds.double(),
        observations.senses.double(),
    )  # fmt: skip
    ours = read(
        places.double(), deviations[:1].double(), double, ReadOptions(method="attention")
    ).mean
    close(ours, expected, observations.senses, 1e-12)
    near = ReadOptions(match_threshold=30.0, method="attention")
    ours = read(places, deviations[:1], observations, near)
    expected, size, _, _ = oracle.read(
        places, deviations[:1].expand(40, 2), observations.locations, observations.location_sds,
        observations.senses, 30.0,
    )  # fmt: skip
    close(ours.mean, expected, observations.senses, 1e-4)
    assert ours.known.tolist() == (size > 0).tolist()


def test_attention_needs_one_deviation():
    places, deviations, observations = draw(1, 4, 5, sds=(1.0, 9.0))
    with pytest.raises(ValueError, match="all queries share"):
        read(places, deviations, observations, ReadOptions(method="attention"))
    with pytest.raises(ValueError, match="mean alone"):
        read(places, deviations[:1], observations, ReadOptions(method="attention", support=True))


@pytest.mark.parametrize("method", [*EXACT, "attention"])
def test_slots_that_are_free_are_passed_over(method):
    places, deviations, observations = draw(2, 300, 1500)
    location_sds = observations.location_sds.clone()
    location_sds[::3] = torch.inf
    holed = Observations(observations.locations, location_sds, observations.senses)
    kept = torch.arange(1500) % 3 != 0
    whole = observations.take(kept.nonzero().squeeze(-1))
    support = method != "attention"
    for threshold in (None, 40.0):
        options = ReadOptions(threshold, method=method, support=support)
        ours = read(places, deviations[:1], holed, options)
        expected = read(places, deviations[:1], whole, ReadOptions(threshold, method="dense",
                                                                   support=True))  # fmt: skip
        bound = 1e-3 if method == "attention" else BOUND
        close(ours.mean, expected.mean.double().numpy(), whole.senses, bound)
        if support:
            torch.testing.assert_close(ours.nearest_distance, expected.nearest_distance)


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("order", ["constant", "linear"])
def test_nothing_in_store_is_nothing_known(method, order):
    empty = Observations(torch.empty(0, 2), torch.empty(0, 2), torch.empty(0, 4))
    options = ReadOptions(order=order, method=method, support=True)
    ours = read(torch.zeros(3, 2), torch.ones(3, 2), empty, options)
    assert ours.mean.tolist() == [[0.0] * 4] * 3
    assert not ours.known.any()
    assert ours.spread.isinf().all()
    assert ours.nearest_distance.isinf().all()


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from(EXACT), st.sampled_from([None, 30.0]))
def test_a_constant_field_is_read_as_it_is(seed, method, threshold):
    places, deviations, observations = draw(seed, 300, 1000, sds=(5.0, 30.0))
    constant = Observations(
        observations.locations, observations.location_sds, torch.full((1000, 2), 3.25)
    )
    for order in ("constant", "linear"):
        ours = read(
            places, deviations, constant, ReadOptions(threshold, order, method, support=True)
        )
        torch.testing.assert_close(
            ours.mean[ours.known], torch.full_like(ours.mean, 3.25)[ours.known]
        )


def test_a_linear_read_has_no_bias_on_a_plane_and_a_constant_one_has():
    generator = torch.Generator().manual_seed(0)
    locations = torch.rand(400, 2, generator=generator) * 100
    senses = locations @ torch.tensor([[0.03, -0.01], [0.02, 0.05]]) + 1.0
    observations = Observations(locations, torch.full((400, 2), 5.0), senses)
    rim = torch.tensor([[0.0, 50.0], [100.0, 100.0]])  # neighbours on one side only
    truth = rim @ torch.tensor([[0.03, -0.01], [0.02, 0.05]]) + 1.0
    sds = torch.full((1, 2), 5.0)

    def error(**options):
        return (read(rim, sds, observations, ReadOptions(**options)).mean - truth).norm().item()

    constant = error()
    assert error(order="linear", ridge=1e-6) < 1e-3 * constant
    assert error(order="linear", ridge=1e9) == pytest.approx(constant, rel=1e-4)


@pytest.mark.parametrize("method", ["dense", "chunked", "sparse", "attention"])
@pytest.mark.parametrize("order", ["constant", "linear"])
def test_gradients_flow_to_everything(method, order):
    if (method, order) == ("attention", "linear"):
        with pytest.raises(ValueError, match="constant"):
            ReadOptions(method=method, order=order)
        return
    places, deviations, observations = draw(4, 3, 7, spread=5.0, sensory_dim=2)
    inputs = [
        tensor.double().requires_grad_()
        for tensor in (
            places, deviations[:1], observations.locations, observations.location_sds,
            observations.senses,
        )
    ]  # fmt: skip

    def mean(queries, sds, locations, location_sds, senses):
        options = ReadOptions(order=order, method=method)
        return read(queries, sds, Observations(locations, location_sds, senses), options).mean

    assert torch.autograd.gradcheck(mean, inputs, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method must be one of"),
        ({"order": "cubic"}, "order must be one of"),
        ({"match_threshold": 0.0}, "positive distance"),
        ({"match_threshold": float("nan")}, "positive distance"),
        ({"tail": 0.0}, "tail"),
        ({"ridge": 0.0}, "ridge"),
        ({"memory_limit": 10}, "65536"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ReadOptions(**options)


def test_the_index_may_answer_for_all_observations():
    places, deviations, observations = draw(6, 30, 2000)
    index = GridIndex(25.0)
    index.add(np.arange(2000), observations.locations.numpy())
    options = ReadOptions(30.0, support=True)
    with_index = read(places, deviations[:1], observations, options, found_by(index, observations))
    without = read(places, deviations[:1], observations, options)
    torch.testing.assert_close(with_index.mean, without.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(with_index.nearest_distance, without.nearest_distance)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    number=st.sampled_from([1, 64, 65, 200]),
    sds=st.sampled_from([(2.0, 2.0), (10.0, 10.0), (3.0, 30.0), (1000.0, 1000.0)]),
    away=st.sampled_from([0.0, 2000.0]),
    tail=st.sampled_from([1e-2, 1e-6]),
)
def test_without_a_threshold_the_index_finds_all_that_weighs(seed, number, sds, away, tail):
    places, deviations, observations = draw(seed, number, 2000, sds=sds)
    index = GridIndex(25.0)
    index.add(np.arange(2000), observations.locations.numpy())
    looked_at = []

    def rows(low, high, distance):
        found = index.near_box(low, high, distance)
        looked_at.append(len(found))
        return found

    nearby = pairs.Nearby(rows, *(float(sd) for sd in observations.location_sds.aminmax()))
    arrays = (observations.locations, observations.location_sds, observations.senses)
    places = places + away
    few = slice(0, 20)
    mean, _, _, nearest = oracle.read(places[few], deviations[few], *arrays, None)
    options = ReadOptions(support=True, tail=tail)
    found = pairs.read_pairs(places, deviations, observations, options, nearby)
    close(found.mean[few], mean, observations.senses, 2 * tail + 1e-6)
    np.testing.assert_allclose(found.nearest_distance[few], nearest, rtol=1e-5)
    if number == 1 and sds[0] == sds[1] <= 10.0 and away == 0.0:
        assert max(looked_at) < 1500  # and not at everything


def test_a_read_does_not_depend_on_those_before_it():
    places, deviations, observations = draw(0, 40, 2000, sds=(10.0, 10.0))
    index = GridIndex(25.0)
    index.add(np.arange(2000), observations.locations.numpy())
    nearby = found_by(index, observations)
    options = ReadOptions(tail=1e-2)  # much is left out, and what is shows
    together = pairs.read_pairs(places, deviations, observations, options, nearby).mean
    alone = [
        pairs.read_pairs(place[None], sd[None], observations, options, nearby).mean
        for place, sd in zip(places, deviations, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=0)


def test_an_index_serves_tensors_that_could_have_gradients():
    places, deviations, observations = draw(0, 5, 2000, sds=(10.0, 10.0))
    index = GridIndex(25.0)
    index.add(np.arange(2000), observations.locations.numpy())
    nearby = found_by(index, observations)
    expected = read(places, deviations, observations, ReadOptions(), nearby).mean
    observations.locations.requires_grad_()
    observations.location_sds.requires_grad_()
    with torch.no_grad():
        found = read(places, deviations, observations, ReadOptions(), nearby).mean
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_queries_that_are_far_apart_search_alone():
    generator = torch.Generator().manual_seed(1)
    locations = 2000 * torch.randn(20_000, 2, generator=generator).numpy()
    few, many = locations[:64], np.repeat(locations, 500, axis=0)
    assert plan.group_size(few, np.repeat(locations, 50, axis=0), 25.0) == 1
    assert plan.group_size(locations[:1000], np.repeat(locations, 50, axis=0), 25.0) == 1
    assert plan.group_size(many, locations, 25.0) == plan.QUERIES
    together = np.zeros((1000, 2))
    assert plan.group_size(together, locations, 25.0) == plan.QUERIES


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    number=st.sampled_from([1, 64, 65, 200]),
    threshold=st.sampled_from([3.0, 20.0, 500.0]),
    memory_limit=st.sampled_from([2**17, 2**26]),
)
def test_many_queries_find_by_the_index_what_the_oracle_reads(
    seed, number, threshold, memory_limit
):
    places, deviations, observations = draw(seed, number, 300)
    index = GridIndex(25.0)
    index.add(np.arange(300), observations.locations.numpy())
    arrays = (observations.locations, observations.location_sds, observations.senses)
    mean, size, _, nearest = oracle.read(places, deviations, *arrays, threshold)
    options = ReadOptions(threshold, method="sparse", support=True, tail=1e-12,
                          memory_limit=memory_limit)  # fmt: skip
    found = read(places, deviations, observations, options, found_by(index, observations))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.effective_sample_size, size, rtol=1e-4)
    np.testing.assert_allclose(found.nearest_distance, nearest, rtol=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
def test_reads_stay_within_their_memory():
    # All weights at once would take 2000 · 20,000 · 8 bytes = 305 MiB, several times over. Each
    # way is a process of its own, forked from one that has imported everything.
    once = f"""{TORCH}
import os, resource
from tree_world.models.memory.types import MEMORY_LIMIT, Observations, ReadOptions
from tree_world.models.memory.recall.reading import read
"""
    life = """
torch.set_num_threads(2)  # each takes some
generator = torch.Generator().manual_seed(0)
places = 100 * torch.randn(2000, 2, generator=generator)
locations = 100 * torch.randn(20_000, 2, generator=generator)
observations = Observations(locations, torch.full((20_000, 2), 30.0), torch.randn(20_000, 8))
options = ReadOptions(method=argument, memory_limit=2**23)
read(places[:50], torch.full((1, 2), 30.0), observations, options)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read(places, torch.full((1, 2), 30.0), observations, options)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, flush=True)
"""
    with lives(once, life) as begun:
        for method in ("chunked", "sparse"):
            begun.begin(method)
            # Eight MiB, what the index of groups takes, and slack.
            assert float(begun.line()) < 100, method
            begun.end()
