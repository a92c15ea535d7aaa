"""Drawing places: the sampler against its density, and cells against everything."""

import copy
import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models import oracle
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.index.cells import BUCKET, CHILD, COUNT
from tree_world.models.memory.search import cells, exact
from tree_world.models.memory.search.cells import CellSearch, target_of
from tree_world.models.memory.search.exact import draw, exact_log_weights, scores_of
from tree_world.models.memory.search.query import Query
from tree_world.models.memory.search.sums import bound

WAYS = ("exact", "cells")


def filled(number=300, seed=0, dim=2, sensory_dim=5, sds=(2.0, 20.0), **choices):
    generator = torch.Generator().manual_seed(seed)
    memory = SpatialMemory(dim, sensory_dim, max_memory_size=max(number, 1), **choices)
    places = 60 * torch.randn(number, dim, generator=generator)
    spread = sds[0] + (sds[1] - sds[0]) * torch.rand(number, dim, generator=generator)
    memory.write(places, spread, torch.randn(number, sensory_dim, generator=generator))
    return memory


def weights_by_hand(memory, key, temperature, location=None, sd=None, loc_temperature=1.0,
                    threshold=None):  # fmt: skip
    logs = []
    for place, spread, sense in zip(
        memory.memory_locations[0].tolist(), memory.memory_location_sds[0].tolist(),
        memory.memory_senses[0].double(), strict=True,
    ):  # fmt: skip
        value = float(sense @ key.double()) / temperature
        if location is not None:
            value += oracle.log_affinity(location, sd, place, spread) / loc_temperature
            if threshold is not None and math.dist(location, place) > threshold:
                value = -math.inf
        logs.append(value)
    weights = np.exp(np.array(logs) - max(logs))
    return weights / weights.sum()


def ids_to_columns(memory, ids):
    column = {identity: i for i, identity in enumerate(memory.ids[0].tolist())}
    return np.array([column[identity] for identity in ids.tolist()])


CASES = [
    {},
    {"location": [10.0, -20.0], "sd": [5.0, 9.0]},
    {"location": [10.0, -20.0], "sd": [5.0, 9.0], "loc_temperature": 8.0},
    {"location": [0.0, 0.0], "sd": [2.0, 2.0], "threshold": 40.0},
]


@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_slots_are_drawn_by_their_weights(method, case, temperature):
    memory = filled()
    key = torch.randn(5, generator=torch.Generator().manual_seed(9))
    expected = weights_by_hand(memory, key, temperature, **case)
    number = 20_000
    samples = memory.sample_with_origin(
        case.get("location"), case.get("sd"), key, number, temperature=temperature,
        match_threshold=case.get("threshold"),
        location_temperature=case.get("loc_temperature", 1.0), seed=1, method=method,
    )  # fmt: skip
    columns = ids_to_columns(memory, samples.ids)
    np.testing.assert_allclose(samples.log_probabilities.exp(), expected[columns], rtol=1e-4)
    counts = np.bincount(columns, minlength=len(expected))
    assert counts[expected == 0].sum() == 0
    often = expected * number >= 5
    observed = np.append(counts[often], counts[~often].sum())
    wanted = np.append(expected[often], expected[~often].sum()) * number
    kept = wanted > 0
    assert scipy.stats.chisquare(observed[kept], wanted[kept]).pvalue > 1e-3


@pytest.mark.parametrize("method", WAYS)
def test_places_are_gaussian_around_their_observations(method):
    memory = filled(40)
    key = torch.randn(5, generator=torch.Generator().manual_seed(9))
    samples = memory.sample_with_origin(
        None, None, key, 5000, sigma_scale=1.7, temperature=2.0, seed=3, method=method
    )
    columns = ids_to_columns(memory, samples.ids)
    steps = (samples.places - memory.memory_locations[0][columns]) / (
        1.7 * memory.memory_location_sds[0][columns]
    )
    for axis in range(2):
        assert scipy.stats.kstest(steps[:, axis].numpy(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(steps.numpy().T)[0, 1]) < 0.05


@pytest.mark.parametrize("method", WAYS)
def test_the_marginal_is_the_mixture(method):
    memory = filled(60)
    key = torch.randn(5, generator=torch.Generator().manual_seed(2))
    location, sd = [20.0, 5.0], [15.0, 15.0]
    weights = weights_by_hand(memory, key, 1.5, location, sd, 3.0)
    means = memory.memory_locations[0][:, 0].numpy()
    deviations = memory.memory_location_sds[0][:, 0].numpy()

    def distribution(x):
        return (weights * scipy.stats.norm.cdf(np.asarray(x)[:, None], means, deviations)).sum(1)

    drawn = memory.sample(
        location, sd, key, 5000, temperature=1.5, location_temperature=3.0, seed=4, method=method
    )
    assert scipy.stats.kstest(drawn[:, 0].numpy(), distribution).pvalue > 1e-3


@pytest.mark.parametrize("method", WAYS)
def test_without_replacement_each_is_drawn_once_in_the_right_order(method):
    memory = filled(12)
    key = torch.randn(5, generator=torch.Generator().manual_seed(5))
    weights = weights_by_hand(memory, key, 2.0, [0.0, 0.0], [30.0, 30.0])
    generator = torch.Generator().manual_seed(0)
    pairs = np.zeros((12, 12))
    for _ in range(3000):
        samples = memory.sample_with_origin(
            [0.0, 0.0], 30.0, key, 2, temperature=2.0, replacement=False, seed=generator,
            method=method,
        )  # fmt: skip
        first, second = ids_to_columns(memory, samples.ids)
        pairs[first, second] += 1
    assert np.trace(pairs) == 0
    expected = weights[:, None] * weights / (1 - weights[:, None])
    np.fill_diagonal(expected, 0.0)
    expected *= 3000
    often = expected >= 5
    observed = np.append(pairs[often], pairs[~often].sum())
    wanted = np.append(expected[often], expected[~often].sum())
    assert scipy.stats.chisquare(observed, wanted).pvalue > 1e-3
    everything = memory.sample_with_origin(
        None, None, key, 12, temperature=2.0, replacement=False, method=method
    )
    assert sorted(everything.ids.tolist()) == list(range(12))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_cells_follow_every_change(data):
    memory = SpatialMemory(2, 3, max_memory_size=25, cell_size=20.0)
    key = torch.tensor([1.0, -0.5, 0.2])
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    memory.write(30 * torch.randn(5, 2, generator=generator), 5.0,
                 torch.randn(5, 3, generator=generator))  # fmt: skip
    for _ in range(data.draw(st.integers(1, 8))):
        change = data.draw(st.sampled_from(["write", "merge", "delete"]))
        if change == "delete" and len(memory) > 1:
            memory.delete([memory.ids[0, data.draw(st.integers(0, len(memory) - 1))].item()])
        else:
            number = data.draw(st.integers(1, 9))
            memory.write(
                30 * torch.randn(number, 2, generator=generator), 5.0,
                0.03 * torch.randn(number, 3, generator=generator), update=change == "merge",
            )  # fmt: skip
        expected = weights_by_hand(memory, key, 0.7, [5.0, 5.0], [20.0, 20.0])
        samples = memory.sample_with_origin(
            [5.0, 5.0], 20.0, key, 50, temperature=0.7, method="cells", seed=generator
        )
        columns = ids_to_columns(memory, samples.ids)
        np.testing.assert_allclose(samples.log_probabilities.exp(), expected[columns], rtol=1e-3)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    sds=st.sampled_from([(0.1, 0.1), (0.5, 60.0)]),
    location_sd=st.sampled_from([0.1, 5.0, 100.0]),
    location_temperature=st.sampled_from([0.3, 1.0, 30.0]),
    threshold=st.sampled_from([None, 50.0]),
)
def test_no_cell_weighs_more_than_its_bound(
    seed, sds, location_sd, location_temperature, threshold
):
    memory = filled(80, seed=seed, sds=sds, cell_size=40.0)
    key = torch.randn(5, generator=torch.Generator().manual_seed(seed)).numpy()
    store = memory[0].store
    query = Query(key, 0.8, np.array([3.0, -8.0]), np.full(2, location_sd), location_temperature,
                  threshold)  # fmt: skip
    sums, tree, target = CellSearch(store, key).sums(0.8), store.index.tree, target_of(query, store)
    weights = exact_log_weights(store, query)

    def rows_in(node):
        child = tree.links[node, CHILD]
        if child >= 0:
            return rows_in(child) + rows_in(child + 1)
        return tree.rows[tree.links[node, BUCKET], : tree.links[node, COUNT]].tolist()

    nodes = [0]
    for node in nodes:
        rows = rows_in(node)
        assert len(rows) == tree.links[node, COUNT]
        assert np.logaddexp.reduce(weights[rows], initial=-np.inf) <= (
            bound(sums, target, node) + 1e-5
        )
        if (child := tree.links[node, CHILD]) >= 0:
            nodes += [child, child + 1]
    assert len(nodes) > 1


def test_a_projection_does_not_change_what_is_looked_for():
    memory = filled(200, sensory_dim=6, embed_dim=6)
    key = torch.randn(6, generator=torch.Generator().manual_seed(1))
    matrix = torch.randn(6, 6, generator=torch.Generator().manual_seed(2))
    projected = SpatialMemory(2, 6, max_memory_size=200, projection=matrix)
    projected.write(memory.memory_locations[0], memory.memory_location_sds[0],
                    memory.memory_senses[0])  # fmt: skip
    for method in WAYS:
        one, two = (
            m.sample_with_origin(None, None, key, 50, temperature=0.5, seed=3, method=method)
            for m in (memory, projected)
        )
        torch.testing.assert_close(one.log_probabilities, two.log_probabilities, rtol=1e-3,
                                   atol=1e-3)  # fmt: skip
        assert torch.equal(one.ids, two.ids)


def test_cells_draw_by_weight_where_there_are_many_cells():
    memory = filled(5000, sds=(5.0, 20.0))
    key = 0.5 * torch.randn(5, generator=torch.Generator().manual_seed(9))
    for row in range(300):  # rewritten here and there, the oldest giving way
        memory.write([[row % 17 * 9.0, row % 23 * -6.0]], 4.0, [[0.1 * (row % 7)] * 5])
    for case in CASES:
        expected = weights_by_hand(memory, key, 1.0, **case)
        samples = memory.sample_with_origin(
            case.get("location"), case.get("sd"), key, 50_000, temperature=1.0,
            match_threshold=case.get("threshold"),
            location_temperature=case.get("loc_temperature", 1.0), seed=1, method="cells",
        )  # fmt: skip
        columns = ids_to_columns(memory, samples.ids)
        np.testing.assert_allclose(samples.log_probabilities.exp(), expected[columns], rtol=1e-3)
        counts = np.bincount(columns, minlength=len(expected))
        often = expected * 50_000 >= 5
        observed = np.append(counts[often], counts[~often].sum())
        wanted = np.append(expected[often], expected[~often].sum()) * 50_000
        kept = wanted > 0
        assert scipy.stats.chisquare(observed[kept], wanted[kept]).pvalue > 1e-3
    alone = memory.sample_with_origin(
        [0.0, 0.0], 9.0, key, 3000, temperature=1.0, replacement=False, method="cells"
    )
    assert len(set(alone.ids.tolist())) == 3000


def test_there_is_no_limit_to_the_number_of_categories():
    number = 2**24 + 1000
    logs = np.full(number, -50.0)
    logs[-3] = 0.0
    assert draw(logs, 5, True, np.random.default_rng(0)).tolist() == [number - 3] * 5


def test_shapes_and_seeds():
    memory = filled(50)
    key = torch.ones(5)
    one = memory.sample([0.0, 0.0], 10.0, key, 7, seed=1)
    assert one.shape == (7, 2)
    assert torch.equal(one, memory.sample([0.0, 0.0], 10.0, key, 7, seed=1))
    assert not torch.equal(one, memory.sample([0.0, 0.0], 10.0, key, 7, seed=2))
    assert torch.equal(one, memory.sample_with_origin([0.0, 0.0], 10.0, key, 7, seed=1).places)
    # The way in which the source calls it.
    batched = memory.sample(torch.zeros(1, 2), torch.full((1, 2), 10.0), key[None], num_samples=7,
                            sigma_scale=1.0, temperature=1.0, match_threshold=None,
                            location_temperature=100.0)  # fmt: skip
    assert batched.shape == (1, 7, 2)
    pair = SpatialMemory(2, 5)
    pair.write(torch.randn(2, 30, 2), 5.0, torch.randn(2, 30, 5))
    assert pair.sample(None, None, key, 4).shape == (2, 4, 2)
    assert pair.sample(torch.zeros(2, 2), 5.0, torch.ones(2, 5), 4).shape == (2, 4, 2)


def test_spread_is_measured_across_samples():
    # A line of samples 1 km long is 289 m wide on each axis, not 0.
    memory = SpatialMemory(2, 1)
    line = torch.linspace(0.0, 1000.0, 200)
    memory.write(torch.stack([line, line], dim=-1), 1e-3, torch.ones(200, 1))
    drawn = memory.sample(None, None, [1.0], 2000, seed=0)
    assert drawn.std(dim=0).tolist() == pytest.approx([289, 289], rel=0.1)


def test_temperatures_act_apart():
    memory = filled(400)
    key = torch.randn(5, generator=torch.Generator().manual_seed(1))

    def summary(temperature, location_temperature):
        samples = memory.sample_with_origin(
            [50.0, 0.0], 10.0, key, 2000, temperature=temperature, sigma_scale=0.0,
            location_temperature=location_temperature, seed=2,
        )  # fmt: skip
        columns = ids_to_columns(memory, samples.ids)
        match = (memory.memory_senses[0][columns] @ key).mean()
        distance = (samples.places - torch.tensor([50.0, 0.0])).norm(dim=-1).mean()
        return float(match), float(distance)

    assert summary(0.3, 20.0)[0] > summary(3.0, 20.0)[0] + 0.5
    assert summary(3.0, 1.0)[1] < summary(3.0, 50.0)[1] - 20
    # Near the place, good matches are preferred, not punished.
    near = memory.sample_with_origin([50.0, 0.0], 10.0, key, 2000, temperature=0.3, seed=2)
    indifferent = memory.sample_with_origin([50.0, 0.0], 10.0, key, 2000, temperature=1e6, seed=2)
    scores = memory.memory_senses[0] @ key
    better, worse = (scores[ids_to_columns(memory, s.ids)].mean() for s in (near, indifferent))
    assert better > worse + 0.5


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"location_temperature": -1.0}, "location_temperature must be positive"),
        ({"sigma_scale": -1.0}, "sigma_scale must not be negative"),
        ({"temperature": 1e-320}, "temperature must be at least 1e-30"),
        ({"location_temperature": 1e-320}, "location_temperature must be at least 1e-30"),
        ({"sigma_scale": 1e38}, "sigma_scale is so large"),
        ({"search_key": torch.full((5,), 1e38), "temperature": 1e-3}, "products of search_key"),
        ({"num_samples": 0}, "num_samples must be positive"),
        ({"method": "guess"}, "method must be"),
        ({"location_sd": None}, "location_sd"),
        ({"location_sd": 0.0}, "positive, finite standard deviations"),
        ({"location": None, "match_threshold": 5.0}, "distance from location"),
        ({"search_key": torch.ones(4)}, "search_key must have shape"),
        ({"match_threshold": 1e-6}, "0 observations match"),
        ({"num_samples": 51, "replacement": False}, "only 50 observations match"),
    ],
)
@pytest.mark.parametrize("method", WAYS)
def test_what_cannot_be_drawn_is_refused(choices, message, method):
    arguments = {"location": [0.0, 0.0], "location_sd": 10.0, "search_key": torch.ones(5),
                 "num_samples": 3, "method": method} | choices  # fmt: skip
    with pytest.raises(ValueError, match=message):
        filled(50).sample(**arguments)


@pytest.mark.parametrize("method", WAYS)
def test_nothing_can_be_drawn_from_nothing(method):
    with pytest.raises(ValueError, match="only 0 observations"):
        SpatialMemory(2, 5).sample(None, None, torch.ones(5), method=method)


@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize(
    "choices",
    [
        {"temperature": 1e-30},
        {"temperature": 1e300, "location_temperature": 1e300},
        {"location_temperature": 1e-30},
        {"search_key": 1e30 * torch.ones(5)},
        {"search_key": torch.zeros(5)},
    ],
)
def test_log_probabilities_are_numbers_wherever_temperatures_go(method, choices):
    arguments = {"search_key": torch.ones(5), "temperature": 1.0, "method": method} | choices
    samples = filled(50).sample_with_origin([0.0, 0.0], 10.0, num_samples=5, **arguments)
    assert not samples.log_probabilities.isnan().any()
    assert (samples.log_probabilities <= 1e-6).all()
    assert samples.places.isfinite().all()


@pytest.mark.parametrize(
    "choices", [{"temperature": 1e-20}, {"location_temperature": 1e-20}, {"location": [1e30, 0.0]}]
)
def test_chances_of_those_that_are_alike_are_alike_however_large_weights_are(choices):
    memory = SpatialMemory(2, 5)
    memory.write(torch.zeros(40, 2), 5.0, torch.ones(40, 5))
    arguments = {"location": [3.0, 0.0], "location_sd": 10.0, "search_key": torch.ones(5),
                 "num_samples": 9, "method": "exact"} | choices  # fmt: skip
    found = memory.sample_with_origin(**arguments).log_probabilities
    torch.testing.assert_close(found, torch.full_like(found, -math.log(40)))


def test_each_temperature_follows_every_change_for_itself():
    """Scores are shared by temperatures, sums are not; those asked for long ago are made anew."""
    memory = filled(3000, sds=(5.0, 5.0))
    key = torch.randn(5, generator=torch.Generator().manual_seed(2))
    for step, temperature in enumerate([1.0, 0.5, 2.0, 1.0, 3.0, 4.0, 5.0, 0.5, 1.0, 0.5]):
        if step % 3 == 1:
            memory.write([[step * 3.0, 1.0]], 4.0, [[0.3 * step] * 5])
            memory.delete(memory.ids[0, ::500])
        place = ([5.0, 5.0], [9.0, 9.0]) if step % 2 else (None, None)
        expected = weights_by_hand(memory, key, temperature, *place)
        samples = memory.sample_with_origin(
            *place, key, 200, temperature=temperature, method="cells", seed=step
        )
        columns = ids_to_columns(memory, samples.ids)
        np.testing.assert_allclose(samples.log_probabilities.exp(), expected[columns], rtol=1e-3)


def test_the_temperature_is_no_part_of_what_is_kept_for_a_key():
    memory = filled(3000)
    key = torch.randn(5, generator=torch.Generator().manual_seed(2))
    kept = []
    for order in ([0.7, 1.9], [1.9, 0.7]):
        copied = copy.deepcopy(memory)
        drawn = {t: copied.sample([3.0, 1.0], 9.0, key, 50, temperature=t, seed=4) for t in order}
        kept.append(drawn)
    for temperature in (0.7, 1.9):
        assert torch.equal(kept[0][temperature], kept[1][temperature])


def test_with_few_chances_at_first_the_draw_is_the_same():
    memory = filled(3000, sds=(5.0, 5.0))
    store, key = memory[0].store, np.ones(5, dtype=np.float32)
    query = Query(key, 1.0, np.zeros(2), np.full(2, 5.0))
    drawn = []
    for each in (0.0, 32.0):
        search = CellSearch(store, key)
        search.chances_each = each
        generator = np.random.default_rng(0)
        slots, _ = search.draw(query, 500, True, generator, False)
        drawn.append((slots.tolist(), generator.random()))
    assert drawn[0] == drawn[1]


# --- search --------------------------------------------------------------------------------------


def test_the_best_distinct_places_are_found():
    memory = filled(500, sds=(5.0, 5.0))
    key = torch.randn(5, generator=torch.Generator().manual_seed(4))
    found = memory.search(key, 6, [10.0, 0.0], separation=40.0, match_threshold=25.0)
    assert found.places.shape == (6, 2)
    apart = torch.cdist(found.places, found.places) + 1e9 * torch.eye(6)
    assert apart.min() > 40.0
    scores = memory.memory_senses[0] @ key
    kept, expected = np.ones(500, dtype=bool), []
    locations = memory.memory_locations[0]
    for _ in range(6):
        best = int(np.where(kept, scores, -np.inf).argmax())
        expected.append(int(memory.ids[0, best]))
        kept &= ((locations - locations[best]).norm(dim=-1) > 40.0).numpy()
    assert found.ids.tolist() == expected
    read = memory.read_with_support(found.places, 5.0, 25.0)
    torch.testing.assert_close(found.match, read.mean @ key)
    torch.testing.assert_close(found.support, read.effective_sample_size)
    torch.testing.assert_close(
        found.distance, (found.places - torch.tensor([10.0, 0])).norm(dim=-1)
    )
    assert len(memory.search(key, 10_000, separation=40.0).places) < 60
    assert memory.search(key, 1).distance.isnan().all()
    assert len(SpatialMemory(2, 5).search(key).places) == 0


def best_distinct(memory, key, number, separation):
    """Ids of the best distinct places, by a plain loop; of those that match equally the oldest."""
    held = memory.observations()
    places, scores = held.locations.double().numpy(), (held.senses @ key).double().numpy()
    found = []
    while len(found) < number and scores.max(initial=-np.inf) > -np.inf:
        best = int(np.flatnonzero(scores == scores.max())[0])
        found.append(int(held.ids[best]))
        scores[np.hypot(*(places - places[best]).T) <= separation] = -np.inf
    return found


def of_whole_numbers(number, seed, **choices):
    """A memory in which many match a key equally, and many places are as far as can be told."""
    generator = torch.Generator().manual_seed(seed)
    memory = SpatialMemory(2, 3, max_memory_size=number + 100, **choices)
    places = torch.randint(-40, 40, (number, 2), generator=generator).float()
    memory.write(places, 5.0, torch.randint(-3, 4, (number, 3), generator=generator).float())
    return memory


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    number=st.sampled_from([1, 60, 2500]),
    separation=st.sampled_from([0.5, 5.0, 20.0, 1e6]),
)
def test_places_are_the_same_however_they_are_found(seed, number, separation):
    memory = of_whole_numbers(number, seed)
    key = torch.randint(-3, 4, (3,), generator=torch.Generator().manual_seed(seed)).float()
    for _ in range(2):  # the second time the key is ready
        found = memory.search(key, 12, separation=separation).ids.tolist()
        assert found == best_distinct(memory, key, 12, separation)
    memory.delete(found)
    assert memory.search(key, 12, separation=separation).ids.tolist() == best_distinct(
        memory, key, 12, separation
    )
    memory.memory_senses = -memory.memory_senses
    memory.memory_locations = memory.memory_locations.flip(-1) + 3.0
    found = memory.search(key, 12, separation=separation).ids.tolist()
    assert found == best_distinct(memory, key, 12, separation)


@pytest.mark.parametrize("first", ["search", "sample"])
def test_a_key_that_is_ready_is_not_compared_again(monkeypatch, first):
    memory, key = of_whole_numbers(2500, 0), torch.tensor([1.0, 2.0, 0.0])
    seen = []

    def compared(senses, key):
        seen.append(len(senses))
        return scores_of(senses, key)

    for module in (cells, exact):
        monkeypatch.setattr(module, "scores_of", compared)
    if first == "search":
        memory.search(key)
    else:
        memory.sample(None, None, key, 5)
    assert memory.search(key, 12).ids.tolist() == best_distinct(memory, key, 12, 50.0)
    memory.sample(None, None, key, 5)
    assert seen == [2500]
    memory.write([[500.0, 0.0]], 1.0, [[9.0, 9.0, 9.0]])
    assert memory.search(key, 1).ids.tolist() == [2500]
    assert max(seen[1:]) < 200


def test_a_key_whose_products_leave_the_range_of_numbers_is_told_every_time():
    memory = of_whole_numbers(2500, 0)
    for _ in range(2):
        with pytest.raises(ValueError, match="leave the range of float32"):
            memory.search([3e38, 3e38, 3e38])
    memory.sample(None, None, [1e30, 0.0, 0.0], 5, temperature=1e30)
    memory.write([[0.0, 0.0]], 1.0, [[1e20, 0.0, 0.0]])
    with pytest.raises(ValueError, match="leave the range of float32"):
        memory.search([1e30, 0.0, 0.0])


def test_places_that_an_optimiser_has_moved_are_struck_out_where_they_are():
    memory = of_whole_numbers(2500, 0)
    key = torch.tensor([1.0, 2.0, 0.0])
    memory.search(key)
    memory.requires_grad_()
    memory.search(key)
    with torch.no_grad():
        memory.parameters()[0].mul_(7.0)
        memory.parameters()[2].neg_()
    found = memory.search(key, 12, separation=20.0).ids.tolist()
    assert found == best_distinct(memory, key, 12, 20.0)
