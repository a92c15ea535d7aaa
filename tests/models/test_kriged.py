"""A memory that is read by kriging: what `Kriging` reads of what it holds, and nothing else."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.models.memory import Memory, ReadOptions, SpatialMemory
from tree_world.models.memory.recall.kriging import Kriging
from tree_world.models.memory.recall.reading import read
from tree_world.models.memory.types import TENSORS, Observations, Read

DIM = 6
LENGTH = 25.0
SMOOTH = ReadOptions(order="kriging", length=LENGTH)
NAN = ("effective_sample_size", "spread", "log_weight")


def observations(number, seed=0, spread=40.0, dim=2):
    """Places, and senses of a field that changes over some dozens of metres; times in no order."""
    generator = torch.Generator().manual_seed(seed)
    places = spread * torch.randn(number, dim, generator=generator)
    waves = torch.randn(dim, DIM, generator=generator) / 30
    times = torch.randperm(number, generator=generator).double()
    return places, torch.sin(places @ waves), times


def queries(number=20, dim=2):
    return observations(number, seed=1, spread=60.0, dim=dim)[0]


def written(number=200, **choices):
    """A memory with free slots, and others that were taken again."""
    places, senses, times = observations(number)
    memory = SpatialMemory(2, DIM, max_memory_size=number + 40, **choices)
    ids = memory.write(places, 3.0, senses, times=times)
    memory.delete(ids[5::7])
    more, other, _ = observations(10, seed=2)
    memory.write(more, 3.0, other, times=torch.arange(10.0) + 500)
    return memory


def kriged(memory, where, *, excluded=None, **choices):
    held = memory.observations(as_sensed=True)
    return Kriging(held.locations, held.senses, LENGTH, **choices).read(where, excluded)


def agree(found, expected, rtol=1e-4, atol=1e-5):
    np.testing.assert_allclose(found.mean, expected.mean, rtol=rtol, atol=atol)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=rtol, atol=atol)
    np.testing.assert_allclose(found.slope, expected.slope, rtol=rtol, atol=atol)
    np.testing.assert_allclose(found.nearest_distance, expected.nearest_distance, rtol=1e-6)


def oracle(where, places, senses, amplitude, nugget):
    """The formula, from all observations: means, variances, and slopes."""
    where, places, senses = (np.asarray(a, dtype=np.float64) for a in (where, places, senses))

    def alike(a, b):
        squares = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
        return np.exp(-squares / (2 * LENGTH**2))

    inverse = np.linalg.inv(alike(places, places) + nugget**2 * np.eye(len(places)))
    to_places = alike(where, places)
    mean = to_places @ inverse @ senses
    explained = np.einsum("qi,ij,qj->q", to_places, inverse, to_places)
    steps = (places[None] - where[:, None]) / LENGTH**2
    slope = np.einsum("qi,qia,ij,jd->qda", to_places, steps, inverse, senses)
    return mean, amplitude**2 * (1 - explained), slope


@pytest.mark.parametrize("kind", ["single", "double", "half", "projected", "disk"])
def test_a_read_is_what_kriging_reads_of_what_is_stored(kind, tmp_path):
    choices = {
        "single": {},
        "double": {"dtype": torch.float64},
        "half": {"storage_dtype": torch.float16},
        "projected": {"embed_dim": 3},
        "disk": {"storage": tmp_path / "folder"},
    }[kind]
    memory = written(**choices)
    where = queries().to(memory.dtype)
    found = memory.recall(where, 0.0, how=SMOOTH)
    agree(found, kriged(memory, where))
    assert found.order == "kriging"
    assert found.mean.dtype == found.variance.dtype == found.slope.dtype == memory.dtype
    assert found.slope.shape == (20, DIM, 2)
    assert found.known.all()
    for name in NAN:
        assert getattr(found, name).isnan().all()
        assert getattr(found, name).shape == (20,)
    assert torch.equal(memory.read(where, 0.0, how=SMOOTH), found.mean)
    assert torch.equal(memory[0].recall(where, 0.0, how=SMOOTH).slope, found.slope)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_read_is_the_formula(dim):
    places, senses, _ = observations(40, dim=dim)
    memory = Memory(dim, DIM, dtype=torch.float64)
    memory.write(places, 3.0, senses)
    how = ReadOptions(order="kriging", length=LENGTH, amplitude=0.7, nugget=0.3, nearest=40)
    where = queries(dim=dim)
    found = memory.recall(where, 0.0, how=how)
    mean, variance, slope = oracle(where, places, senses, 0.7, 0.3)
    np.testing.assert_allclose(found.mean, mean, atol=1e-9)
    np.testing.assert_allclose(found.variance, variance, atol=1e-9)
    np.testing.assert_allclose(found.slope, slope, atol=1e-9)


def test_slopes_are_differences_of_means():
    memory = written(dtype=torch.float64)
    where = queries().double()
    how = ReadOptions(order="kriging", length=LENGTH, nearest=300)
    slope = memory.recall(where, 0.0, how=how).slope
    for axis in range(2):
        step = 1e-3 * torch.eye(2, dtype=torch.float64)[axis]
        above, below = (memory.read(where + sign * step, 0.0, how=how) for sign in (1, -1))
        torch.testing.assert_close(slope[..., axis], (above - below) / 2e-3, rtol=1e-4, atol=1e-7)


def test_errors_are_as_large_as_is_claimed():
    """Fields are drawn from the prior: squared distances are D v on average."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(20):
        places = rng.uniform(-60, 60, (120, 2))
        squares = ((places[:, None] - places[None]) ** 2).sum(axis=-1)
        root = np.linalg.cholesky(np.exp(-squares / (2 * LENGTH**2)) + 1e-9 * np.eye(120))
        senses = 0.5 * root @ rng.standard_normal((120, DIM))
        sensed = senses + 0.05 * rng.standard_normal(senses.shape)
        memory = Memory(2, DIM)
        memory.write(places[:90], 1.0, sensed[:90])
        how = ReadOptions(order="kriging", length=LENGTH, nugget=0.1)
        found = memory.recall(places[90:], 0.0, how=how)
        errors = ((found.mean.numpy() - senses[90:]) ** 2).sum(axis=1)
        shares.append(errors.mean() / (DIM * found.variance.numpy()).mean())
    assert 0.8 < np.mean(shares) < 1.25


def test_choices_are_those_of_kriging():
    memory, where = written(), queries()
    usual = memory.recall(where, 0.0, how=SMOOTH)
    for choices in ({"nugget": 0.5}, {"nearest": 3}, {"amplitude": 2.0}):
        how = ReadOptions(order="kriging", length=LENGTH, **choices)
        found = memory.recall(where, 0.0, how=how)
        agree(found, kriged(memory, where, **choices))
        assert not torch.equal(found.variance, usual.variance)
    other = ReadOptions(order="kriging", length=2 * LENGTH)
    assert not torch.equal(memory.read(where, 0.0, how=other), usual.mean)


def test_the_amplitude_is_learned_of_some_that_are_spread_over_all():
    memory = written(1500)
    where = queries(5)
    agree(memory.recall(where, 0.0, how=SMOOTH), kriged(memory, where))


def test_many_places_are_read_in_parts():
    memory, where = written(), queries(2500)
    agree(memory.recall(where, 0.0, how=SMOOTH), kriged(memory, where))


# --- what counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bounds", [{"not_since": 90.0}, {"not_before": 90.0}, {"not_before": 40.0, "not_since": 150.0}]
)
def test_what_is_left_out_by_its_time_is_as_if_it_were_not_there(bounds):
    memory, where = written(), queries()
    held = memory.observations()
    early, late = bounds.get("not_before", -math.inf), bounds.get("not_since", math.inf)
    counts = (held.times >= early) & (held.times < late)
    few = SpatialMemory(2, DIM)
    few.write(held.locations[counts], 3.0, held.senses[counts])
    found = memory.recall(where, 0.0, how=SMOOTH, **bounds)
    agree(found, kriged(few, where))
    excluded = ~counts.numpy()
    amplitude = Kriging(held.locations[counts], held.senses[counts], LENGTH).amplitude
    agree(found, kriged(memory, where, excluded=excluded, amplitude=amplitude))
    assert not torch.equal(found.mean, memory.read(where, 0.0, how=SMOOTH))


@pytest.mark.parametrize("threshold", [5.0, 20.0, 60.0])
def test_what_is_beyond_the_threshold_does_not_count(threshold):
    memory, where = written(), queries(40)
    held = memory.observations().locations.double().numpy()
    far = np.linalg.norm(where.double().numpy()[:, None] - held, axis=-1) > threshold
    found = memory.recall(where, 0.0, threshold, how=SMOOTH)
    agree(found, kriged(memory, where, excluded=far))
    assert found.known.tolist() == (~far).any(axis=1).tolist()
    unknown = ~found.known
    if threshold == 5.0:
        assert unknown.any()
    assert not found.mean[unknown].any()
    assert found.nearest_distance[unknown].isinf().all()
    prior = Kriging(held, memory.observations().senses, LENGTH).amplitude ** 2
    np.testing.assert_allclose(found.variance[unknown], prior, rtol=1e-5)


def test_what_lies_at_the_very_threshold_counts():
    memory = SpatialMemory(2, 1)
    memory.write([[15.0, 20.0]], 1.0, [[1.0]])
    how = ReadOptions(25.0, order="kriging", length=50.0)
    assert memory.recall([0.0, 0.0], 0.0, how=how).known
    memory.move([0], [[0.0, 0.1]])
    assert memory.recall([0.0, 0.0], 0.0, 0.1, how=ReadOptions(order="kriging", length=5.0)).known


@settings(max_examples=30)
@given(
    number=st.integers(1, 50),
    deleted=st.integers(0, 60),
    not_since=st.integers(-5, 55),
    threshold=st.sampled_from([None, 10.0, 40.0, 1e4]),
    nearest=st.integers(1, 60),
    amplitude=st.sampled_from([None, 0.3]),
)
def test_any_number_may_count(number, deleted, not_since, threshold, nearest, amplitude):
    places, senses, times = observations(number)
    memory = SpatialMemory(2, DIM, max_memory_size=number)
    ids = memory.write(places, 3.0, senses, times=times)
    memory.delete(ids[:deleted])
    where = queries(7)
    choices = {"amplitude": amplitude, "nearest": nearest}
    how = ReadOptions(threshold, order="kriging", length=LENGTH, not_since=not_since, **choices)
    found = memory.recall(where, 0.0, how=how)
    counts = (times < not_since) & (torch.arange(number) >= deleted)
    if not counts.any():
        assert not found.known.any()
        assert not found.mean.any()
        assert not found.slope.any()
        assert found.nearest_distance.isinf().all()
        prior = torch.full((7,), math.nan if amplitude is None else amplitude**2)
        torch.testing.assert_close(found.variance, prior, equal_nan=True)
        return
    own = Kriging(places[counts], senses[counts], LENGTH, **choices)
    apart = np.linalg.norm(where.double().numpy()[:, None] - own.places, axis=-1)
    agree(found, own.read(where, apart > (threshold or math.inf)), rtol=1e-3, atol=1e-4)


def test_far_from_all_nothing_is_expected_also_of_what_is_projected():
    memory = written(embed_dim=2)
    far = memory.recall([[1e6, 0.0]], 0.0, how=SMOOTH)
    assert memory.projection.mean.any()
    assert not far.mean.any()
    near = memory.recall(queries(), 0.0, how=SMOOTH)
    assert float(far.variance) >= float(near.variance.max())


# --- shapes, and other orders --------------------------------------------------------------------


def test_one_place_and_a_batch():
    memory, where = written(), queries(3)
    whole = memory.recall(where, 0.0, how=SMOOTH)
    for i in range(3):
        for face in (memory, memory[0]):
            one = face.recall(where[i], 0.0, how=SMOOTH)
            assert one.mean.shape == (DIM,)
            assert one.variance.shape == ()
            assert one.slope.shape == (DIM, 2)
            torch.testing.assert_close(one.slope, whole.slope[i])
            torch.testing.assert_close(one.variance, whole.variance[i])
    places, senses, _ = observations(60)
    batch = SpatialMemory(2, DIM)
    batch.write(places.reshape(2, 30, 2), 3.0, senses.reshape(2, 30, DIM))
    both = batch.recall(where, 0.0, how=SMOOTH)
    assert both.slope.shape == (2, 3, DIM, 2)
    for own, variance in zip(batch, both.variance, strict=True):
        torch.testing.assert_close(own.recall(where, 0.0, how=SMOOTH).variance, variance)
    assert batch.recall(where[0], 0.0, how=SMOOTH).slope.shape == (2, DIM, 2)


def test_other_orders_have_neither_variance_nor_slope():
    memory, where = written(), queries(3)
    for order in ("constant", "linear"):
        found = memory.recall(where, 3.0, order=order)
        assert found.variance is None
        assert found.slope is None
        assert Read.stacked([found, found]).slope is None


def test_an_empty_memory_knows_nothing():
    memory = SpatialMemory(2, DIM)
    found = memory.recall([[0.0, 0.0]], 0.0, how=SMOOTH)
    assert not found.known.any()
    assert found.variance.isnan().all()
    how = ReadOptions(order="kriging", length=LENGTH, amplitude=0.5)
    assert memory.recall([0.0, 0.0], 0.0, how=how).variance.item() == 0.25
    memory.write(torch.zeros(3, 2), 1.0, torch.ones(3, DIM))
    assert memory.recall(torch.empty(0, 2), 0.0, how=SMOOTH).slope.shape == (0, DIM, 2)


def test_reads_follow_what_is_moved():
    memory, where = written(dtype=torch.float64), queries().double()
    before = memory.recall(where, 0.0, how=SMOOTH)
    held = memory.observations()
    memory.move(held.ids, held.locations + 128.0)
    after = memory.recall(where + 128.0, 0.0, how=SMOOTH)
    agree(after, before)


# --- what it does not do -------------------------------------------------------------------------


@pytest.mark.parametrize("sds", [3.0, [0.0, 1e-3], math.nan, [[0.0], [2.0]]])
def test_uncertain_places_are_refused(sds):
    memory = written()
    for face in (memory, memory[0]):
        for verb in (face.read, face.recall):
            with pytest.raises(ValueError, match=r"location_sds must be 0\.0"):
                verb(queries(2), sds, how=SMOOTH)


def test_deviations_of_known_places_broadcast():
    memory = written()
    for sds in (0, 0.0, [0.0, 0.0], torch.zeros(3, 2), np.zeros((3, 1))):
        memory.read(queries(3), sds, how=SMOOTH)
    with pytest.raises(ValueError, match="broadcast to the shape"):
        memory.read(queries(3), [0.0, 0.0, 0.0, 0.0], how=SMOOTH)
    with pytest.raises(ValueError, match="location_sds must be positive"):
        memory.read(queries(3), 0.0)


def test_gradients_are_refused_where_they_are_asked_for():
    memory = written()
    where = queries(3)
    expected = memory.read(where, 0.0, how=SMOOTH)
    with pytest.raises(ValueError, match="has no gradients"):
        memory.read(where.clone().requires_grad_(), 0.0, how=SMOOTH)
    with torch.no_grad():
        memory.read(where.clone().requires_grad_(), 0.0, how=SMOOTH)
    memory.requires_grad_()
    for face in (memory, memory[0]):
        with pytest.raises(ValueError, match="has no gradients"):
            face.read(where, 0.0, how=SMOOTH)
    with torch.no_grad():
        found = memory.read(where, 0.0, how=SMOOTH)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    detached = {"detach_locations": True, "detach_senses": True}
    assert not memory.read(where, 0.0, how=SMOOTH, **detached).requires_grad
    with pytest.raises(ValueError, match="has no gradients"):
        memory.read(where, 0.0, how=SMOOTH, detach_locations=True)


def test_reads_are_not_joined():
    found = written().recall(queries(3), 0.0, how=SMOOTH)
    with pytest.raises(ValueError, match="order='kriging' cannot be joined, as the field"):
        Read.joined([found, found])
    assert Read.joined([found]) is found


def test_only_memories_are_read_so():
    places, senses, _ = observations(3)
    here = Observations(places, torch.ones(3, 2), senses)
    with pytest.raises(ValueError, match="reads of a memory"):
        read(places, torch.ones(1, 2), here, SMOOTH)


@pytest.mark.parametrize(
    ("choices", "match"),
    [
        ({"order": "kriging"}, "needs the length"),
        ({"order": "kriging", "length": 0.0}, "length must be"),
        ({"order": "kriging", "length": math.inf}, "length must be"),
        ({"order": "kriging", "length": LENGTH, "amplitude": 0.0}, "amplitude must be"),
        ({"order": "kriging", "length": LENGTH, "nugget": -0.1}, "nugget must be"),
        ({"order": "kriging", "length": LENGTH, "nearest": 0}, "nearest must be"),
        ({"order": "kriging", "length": LENGTH, "nearest": 2.5}, "nearest must be"),
        ({"order": "kriging", "length": LENGTH, "method": "dense"}, "leave out method='dense'"),
        ({"order": "kriging", "length": LENGTH, "mean": False}, "leave out mean=False"),
        ({"length": LENGTH}, "length is for order='kriging', but the order is 'constant'"),
        ({"order": "linear", "nearest": 3}, "nearest is for order='kriging'"),
        ({"order": "cubic"}, "order must be one of"),
    ],
)
def test_options_that_do_not_fit_are_told(choices, match):
    with pytest.raises(ValueError, match=match):
        ReadOptions(**choices)


def test_options_may_come_in_parts():
    memory, where = written(), queries(3)
    found = memory.recall(where, 0.0, 20.0, not_since=90.0, how=SMOOTH)
    whole = ReadOptions(20.0, order="kriging", length=LENGTH, not_since=90.0)
    for name in (*TENSORS, "variance", "slope"):
        own, expected = (
            getattr(one, name) for one in (found, memory.recall(where, 0.0, how=whole))
        )
        torch.testing.assert_close(own, expected, rtol=0, atol=0, equal_nan=True)
    with pytest.raises(ValueError, match="order is given twice"):
        memory.recall(where, 0.0, order="linear", how=SMOOTH)


def test_senses_of_nothing_but_zeros_tell_no_amplitude():
    memory = SpatialMemory(2, DIM)
    memory.write(torch.zeros(3, 2), 1.0, torch.zeros(3, DIM))
    with pytest.raises(ValueError, match="or an amplitude"):
        memory.recall([0.0, 0.0], 0.0, how=SMOOTH)
    assert not memory.read([0.0, 0.0], 0.0, how=SMOOTH).any()  # which needs none


def test_contexts_of_pytorch_change_nothing():
    memory, where = written(embed_dim=3), queries(3)
    expected = memory.recall(where, 0.0, how=SMOOTH)
    for context in (torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16)):
        with context:
            found = memory.recall(where, 0.0, how=SMOOTH)
        for name in ("mean", "variance", "slope"):
            assert torch.equal(getattr(found, name), getattr(expected, name))
