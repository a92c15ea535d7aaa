"""The memory keeps what it should, forgets what it should, and says what it knows."""

import copy
import math
import os
import pickle
import tempfile
import time
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.killing import TORCH, lives
from tests.models import oracle
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.types import Read, Witnesses
from tree_world.models.places.localiser import Localiser

SENSORY = 3


def observations(number, seed=0, *, spread=50.0, batch=()):
    generator = torch.Generator().manual_seed(seed)
    places = spread * torch.randn(*batch, number, 2, generator=generator)
    sds = 1.0 + 9.0 * torch.rand(*batch, number, 2, generator=generator)
    return places, sds, torch.randn(*batch, number, SENSORY, generator=generator)


def filled(number=20, seed=0, **options):
    memory = SpatialMemory(2, SENSORY, **options)
    memory.write(*observations(number, seed))
    return memory


# --- side by side with a list --------------------------------------------------------------------


class NaiveMemory:
    """The same memory as a list of dictionaries."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.entries = []  # the oldest first
        self.next_id = 0

    def write(self, place, sd, sense):
        self.entries.append({"id": self.next_id, "place": place, "sd": sd, "sense": sense})
        self.next_id += 1
        del self.entries[: max(0, len(self.entries) - self.capacity)]
        return self.next_id - 1

    def merge(self, place, sd, sense, replaces=False):
        best, best_away = None, 1.0
        for entry in self.entries:
            away = (((place - entry["place"]) ** 2) / (sd**2 + entry["sd"] ** 2)).sum()
            alike = np.linalg.norm(sense - entry["sense"]) <= 0.1
            if alike and away <= best_away:
                best, best_away = entry, away
        if best is None:
            return self.write(place, sd, sense)
        own, old = 1 / sd**2, 1 / best["sd"] ** 2
        share = own.mean() / (own + old).mean()
        best["place"] = (own * place + old * best["place"]) / (own + old)
        best["sd"] = np.sqrt(1 / (own + old))
        best["sense"] = sense if replaces else share * sense + (1 - share) * best["sense"]
        self.entries.remove(best)
        self.entries.append(best)
        return best["id"]

    def delete(self, identity):
        self.entries = [entry for entry in self.entries if entry["id"] != identity]

    def column(self, name):
        shape = (0, {"place": 2, "sd": 2, "sense": SENSORY}[name])
        return np.array([entry[name] for entry in self.entries]).reshape(-1, *shape[1:])


places = st.tuples(*[st.integers(-40, 40)] * 2).map(lambda p: np.array(p, dtype=float))
deviations = st.tuples(*[st.sampled_from([0.5, 2.0, 15.0])] * 2).map(np.array)
senses = st.integers(0, 2).map(lambda i: np.eye(SENSORY)[i])


class MemoryMachine(RuleBasedStateMachine):
    @initialize(capacity=st.integers(1, 12))
    def start(self, capacity):
        self.memory = SpatialMemory(2, SENSORY, max_memory_size=capacity, dtype=torch.float64)
        self.naive = NaiveMemory(capacity)

    @rule(place=places, sd=deviations, sense=senses)
    def write(self, place, sd, sense):
        ids = self.memory.write(place[None], sd, sense[None])
        assert ids.tolist() == [self.naive.write(place, sd, sense)]

    @rule(number=st.integers(2, 20), seed=st.integers(0, 99))
    def write_many(self, number, seed):
        many = [tensor.double() for tensor in observations(number, seed)]
        ids = self.memory.write(*many)
        expected = [self.naive.write(*(t.numpy() for t in one)) for one in zip(*many, strict=True)]
        assert ids.tolist() == expected

    @rule(place=places, sd=deviations, sense=senses)
    def update(self, place, sd, sense):
        ids = self.memory.write(place[None], sd, sense[None], update=True)
        assert ids.tolist() == [self.naive.merge(place, sd, sense)]

    @rule(place=places, sd=deviations, sense=senses)
    def replace(self, place, sd, sense):
        ids = self.memory.write(place[None], sd, 0.96 * sense[None], update="replace")
        assert ids.tolist() == [self.naive.merge(place, sd, 0.96 * sense, replaces=True)]

    @rule(data=st.data())
    def delete(self, data):
        if self.naive.entries:
            identity = data.draw(st.sampled_from([entry["id"] for entry in self.naive.entries]))
            self.memory.delete([identity])
            self.naive.delete(identity)

    @rule()
    def save_and_load(self):
        with tempfile.TemporaryDirectory() as folder:
            self.memory.save(f"{folder}/memory.safetensors")
            self.memory = SpatialMemory.load(f"{folder}/memory.safetensors")

    @invariant()
    def same_contents(self):
        if not hasattr(self, "memory"):
            return
        assert len(self.memory) == len(self.naive.entries) <= self.naive.capacity
        assert self.memory.ids[0].tolist() == [entry["id"] for entry in self.naive.entries]
        np.testing.assert_allclose(self.memory.memory_locations[0], self.naive.column("place"))
        np.testing.assert_allclose(self.memory.memory_location_sds[0], self.naive.column("sd"))
        np.testing.assert_allclose(
            self.memory.memory_senses[0], self.naive.column("sense"), atol=1e-12
        )
        ages = self.memory.ages[0].tolist()
        assert ages == sorted(ages, reverse=True)

    @invariant()
    def same_reads(self):
        if not hasattr(self, "memory"):
            return
        queries = np.array([[0.0, 0.0], [13.3, -7.1], [-40.2, 90.4]])
        sds = np.full((3, 2), 4.0)
        columns = [self.naive.column(name) for name in ("place", "sd", "sense")]
        for threshold in (None, 30.05):
            ours = self.memory.read_with_support(queries, sds, threshold, tail=1e-12)
            mean, size, spread, nearest = oracle.read(queries, sds, *columns, threshold)
            np.testing.assert_allclose(ours.mean, mean, atol=1e-9)
            np.testing.assert_allclose(ours.effective_sample_size, size, rtol=1e-9)
            np.testing.assert_allclose(ours.nearest_distance, nearest, rtol=1e-9)
            np.testing.assert_allclose(ours.spread, spread, rtol=1e-6, atol=1e-6)


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=40, stateful_step_count=25)


# --- capacity, ids, ages -------------------------------------------------------------------------


def test_capacity_holds_even_for_the_first_write():
    memory = filled(50, max_memory_size=8)
    assert len(memory) == 8
    assert memory.memory_senses.shape == (1, 8, SENSORY)
    assert memory.ids[0].tolist() == list(range(42, 50))
    torch.testing.assert_close(memory.memory_locations[0], observations(50)[0][-8:])


def test_ids_are_never_given_again_and_ages_count_writes():
    memory = filled(5, max_memory_size=8)
    memory.delete([1, 3])
    assert memory.write([[0.0, 0.0]], 1.0, [[0.0] * SENSORY]).tolist() == [5]
    assert memory.ids[0].tolist() == [0, 2, 4, 5]
    assert memory.ages[0].tolist() == [5, 3, 1, 0]


def test_deleting_what_is_not_there_deletes_nothing():
    memory = filled(3)
    with pytest.raises(KeyError, match=r"\[7\]"):
        memory.delete([0, 7])
    assert len(memory) == 3


def test_a_large_memory_forgets_the_oldest_one_by_one():
    memory = SpatialMemory(2, 1, max_memory_size=6000)
    generator = torch.Generator().manual_seed(0)
    memory.write(torch.randn(6000, 2, generator=generator), 1.0, torch.zeros(6000, 1))
    for step in range(5000):
        memory.write([[float(step), 0.0]], 1.0, [[1.0]])
    assert memory.ids[0].tolist() == list(range(5000, 11000))


def test_reset_forgets_all():
    memory = filled(4)
    memory.reset()
    assert len(memory) == 0
    assert not memory.read_with_support([[0.0, 0.0]], 1.0).known.any()
    assert memory.write([[0.0, 0.0]], 1.0, [[0.0] * SENSORY]).tolist() == [0]


# --- merging -------------------------------------------------------------------------------------


def test_merging_needs_place_and_sense():
    memory = SpatialMemory(2, 2)
    memory.write([[0.0, 0.0]], 1.0, [[1.0, 0.0]])
    for place, sense in (([0.5, 0.0], [0.0, 1.0]), ([300.0, 0.0], [1.0, 0.0])):
        memory.write([place], 1.0, [sense], update=True)
    assert len(memory) == 3
    assert memory.write([[0.5, 0.0]], 1.0, [[1.0, 0.0]], update=True).tolist() == [0]
    assert len(memory) == 3


def test_merging_weighs_by_inverse_variances():
    memory = SpatialMemory(2, 1, merge_distance=3.0)
    memory.write([[0.0, 0.0]], [[1.0, 2.0]], [[0.0]])
    memory.write([[3.0, 3.0]], [[2.0, 1.0]], [[0.05]], update=True)
    torch.testing.assert_close(memory.memory_locations[0], torch.tensor([[0.6, 2.4]]))
    torch.testing.assert_close(memory.memory_location_sds[0], torch.full((1, 2), 0.8**0.5))
    torch.testing.assert_close(memory.memory_senses[0], torch.tensor([[0.025]]))


def test_an_observation_is_merged_once_into_the_nearest():
    memory = SpatialMemory(2, 1, merge_distance=3.0)
    memory.write([[0.0, 0.0], [2.0, 0.0]], 1.0, [[0.0], [0.0]])
    assert memory.write([[1.6, 0.0]], 1.0, [[0.0]], update=True).tolist() == [1]
    torch.testing.assert_close(memory.memory_locations[0, :, 0], torch.tensor([0.0, 1.8]))


# --- shapes --------------------------------------------------------------------------------------


def test_one_place_many_and_batches():
    memory = filled(12)
    one = memory.read([3.0, 4.0], 2.0)
    many = memory.read([[3.0, 4.0], [0.0, 0.0]], 2.0)
    batch = memory.read(torch.tensor([[[3.0, 4.0], [0.0, 0.0]]] * 3), 2.0)
    assert (one.shape, many.shape, batch.shape) == ((3,), (2, 3), (3, 2, 3))
    torch.testing.assert_close(many[0], one)
    torch.testing.assert_close(batch[2], many)
    assert memory.read(torch.empty(0, 2), 1.0).shape == (0, 3)


def test_rows_of_a_batch_are_memories_of_their_own():
    places, sds, values = observations(9, batch=(2,))
    memory = SpatialMemory(2, SENSORY)
    ids = memory.write(places, sds, values)
    assert ids.tolist() == [list(range(9))] * 2
    memory[1].delete([0, 4])
    assert memory.memory_locations.shape == (2, 9, 2)
    assert memory.memory_location_sds[1, -2:].isinf().all()
    assert memory.ids[1].tolist() == [1, 2, 3, 5, 6, 7, 8, -1, -1]
    together = memory.read(torch.zeros(4, 2), 5.0)
    assert together.shape == (2, 4, SENSORY)
    for row in range(2):
        alone = SpatialMemory(2, SENSORY)
        alone.write(places[row], sds[row], values[row])
        if row == 1:
            alone.delete([0, 4])
        torch.testing.assert_close(together[row], alone.read(torch.zeros(4, 2), 5.0))
    affinity = memory.get_location_affinity(torch.zeros(4, 2), 5.0)
    assert affinity.shape == (2, 4, 9)
    assert affinity[1, :, -2:].isinf().all()
    with pytest.raises(ValueError, match="batch of 2, but a batch of 3"):
        memory.read(torch.zeros(3, 4, 2), 5.0)
    with pytest.raises(ValueError, match="batch of 2, but a batch of 1"):
        memory.write([[0.0, 0.0]], 1.0, [[0.0] * SENSORY])


def test_affinities_make_the_read():
    memory = filled(15)
    queries = torch.tensor([[0.0, 0.0], [20.0, -30.0]])
    weights = memory.get_location_affinity(queries, 3.0, 60.0).softmax(dim=-1)
    torch.testing.assert_close(
        (weights @ memory.memory_senses)[0], memory.read(queries, 3.0, 60.0), rtol=1e-5, atol=1e-6
    )


# --- unknown is not nothing ----------------------------------------------------------------------


def test_nothing_smelled_and_nothing_known_read_the_same_and_are_told_apart():
    memory = SpatialMemory(2, SENSORY)
    memory.write([[0.0, 0.0]], 1.0, [[0.0] * SENSORY])
    found = memory.read_with_support([[1.0, 0.0], [500.0, 0.0]], 1.0, match_threshold=50.0)
    assert found.mean.tolist() == [[0.0] * SENSORY] * 2
    assert found.known.tolist() == [True, False]
    assert found.effective_sample_size.tolist() == [1.0, 0.0]
    assert found.nearest_distance.tolist() == [1.0, math.inf]
    assert found.spread.tolist() == [0.0, math.inf]


def test_agreement_and_disagreement_have_different_spreads():
    memory = SpatialMemory(2, 2)
    memory.write([[-5.0, 0.0], [5.0, 0.0]], 5.0, [[1.0, 0.0], [0.0, 1.0]])
    memory.write([[95.0, 0.0], [105.0, 0.0]], 5.0, [[1.0, 0.0], [1.0, 0.0]])
    found = memory.read_with_support([[0.0, 0.0], [100.0, 0.0]], 1.0)
    torch.testing.assert_close(found.spread, torch.tensor([0.5**0.5, 0.0]), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found.effective_sample_size, torch.tensor([2.0, 2.0]))


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.0, 0.0, 0.0]], 1.0, [[0.0] * 3]), r"\(\.\.\., 2\)"),
        (([[0.0, 0.0]], 1.0, [[0.0] * 4]), r"\(\.\.\., 3\)"),
        (([[0.0, 0.0]], 0.0, [[0.0] * 3]), "positive, finite"),
        (([[0.0, 0.0]], -1.0, [[0.0] * 3]), "positive, finite"),
        (([[0.0, 0.0]], math.inf, [[0.0] * 3]), "positive, finite"),
        (([[0.0, 0.0]], math.nan, [[0.0] * 3]), "positive, finite"),
        (([[0.0, math.nan]], 1.0, [[0.0] * 3]), "finite"),
        (([[0.0, 0.0]], 1.0, [[0.0, 0.0, math.nan]]), "senses must be finite"),
        (([[0.0, 0.0]], [[1.0] * 3], [[0.0] * 3]), "broadcast"),
        (([[0.0, 0.0]] * 2, 1.0, [[0.0] * 3]), "equally many"),
        ((torch.zeros(1, 1, 1, 2), 1.0, torch.zeros(1, 1, 1, 3)), "batch, N"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_is_stored(arguments, message):
    memory = filled(4)
    before = memory.memory_senses.clone()
    with pytest.raises(ValueError, match=message):
        memory.write(*arguments)
    torch.testing.assert_close(memory.memory_senses, before)


@pytest.mark.parametrize(
    "options",
    [
        {"max_memory_size": 0},
        {"embed_dim": 9},
        {"embed_dim": 0},
        {"merge_distance": 0.0},
        {"cell_size": -1.0},
        {"projection": torch.zeros(2, 2)},
    ],
)
def test_wrong_sizes_are_refused(options):
    with pytest.raises(ValueError, match="must"):
        SpatialMemory(2, SENSORY, **options)


@pytest.mark.parametrize("sds", [0.0, -1.0, math.nan])
def test_queries_need_deviations(sds):
    with pytest.raises(ValueError, match="positive, finite"):
        filled(3).read([[0.0, 0.0]], sds)


# --- projection ----------------------------------------------------------------------------------


def test_senses_come_back_from_a_projection_as_far_as_they_were_kept():
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(4, 30, generator=generator)
    values = torch.randn(100, 4, generator=generator) @ basis + 0.3
    places = 1000.0 * torch.arange(100.0)[:, None] * torch.ones(2)  # each place by itself
    memory = SpatialMemory(2, 30, embed_dim=4)
    memory.write(places, 1.0, values)
    assert memory.memory_senses.shape == (1, 100, 4)
    torch.testing.assert_close(memory.read(places, 1.0), values, rtol=1e-3, atol=1e-3)
    assert memory.fit_projection(values) == pytest.approx(1.0, abs=1e-5)
    unknown = memory.read([[1e6, -1e6]], 1.0, match_threshold=10.0)
    assert unknown.tolist() == [[0.0] * 30]


def test_what_is_stored_is_expressed_anew_when_the_projection_learns():
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(60, 3, generator=generator) @ torch.randn(3, 12, generator=generator)
    places = 1000.0 * torch.arange(60.0)[:, None] * torch.ones(2)
    memory = SpatialMemory(2, 12, embed_dim=6)
    memory.write(places, 1.0, values)
    memory.fit_projection(torch.randn(200, 12, generator=generator) + 5.0)
    read = memory.read(places, 1.0)
    assert (read - values).norm() / values.norm() < 0.9  # lossy now, yet of the same senses
    assert torch.cosine_similarity(read.flatten(), values.flatten(), dim=0) > 0.6


def test_principal_components_keep_more_than_a_random_projection():
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(300, 8, generator=generator) @ torch.randn(8, 64, generator=generator)
    values += 0.05 * torch.randn(300, 64, generator=generator)
    learned = SpatialMemory(2, 64, embed_dim=8).fit_projection(values)
    random_rows = torch.linalg.qr(torch.randn(64, 8, generator=generator))[0].T
    memory = SpatialMemory(2, 64, embed_dim=8, projection=random_rows)
    assert learned > 0.99
    assert memory.projection.variance_kept(values) < 0.3


def test_a_projection_needs_enough_senses_and_full_rank():
    with pytest.raises(ValueError, match="at least as many senses"):
        SpatialMemory(2, 12, embed_dim=6).write([[0.0, 0.0]], 1.0, torch.ones(1, 12))
    with pytest.raises(ValueError, match="full rank"):
        SpatialMemory(2, 4, embed_dim=2, projection=torch.ones(2, 4))


# --- what is asked of a batch --------------------------------------------------------------------


def test_a_batch_wants_to_know_which_row_is_meant():
    memory = SpatialMemory(2, SENSORY)
    memory.write(*observations(59, batch=(2,)))
    key = torch.ones(SENSORY)
    asked = {
        "search": lambda **row: memory.search(key, **row),
        "leave_one_out": lambda **row: memory.leave_one_out(**row),
        "read_location": lambda **row: memory.read_location(key, [0.0, 0.0], 5.0, **row),
        "delete": lambda **row: memory.delete([0], **row),
        "Localiser": lambda **row: Localiser(memory, **row),
    }
    for ask in asked.values():
        with pytest.raises(
            ValueError, match=r"batch of 2: say which one is meant, .*memory\[0\] to"
        ):
            ask()
        with pytest.warns(DeprecationWarning, match=r"call the method of memory\[1\]"):
            ask(row=np.int8(1))
    for row in (2, -1, 5):
        with pytest.raises(IndexError, match=rf"no memory\[{row}\]: .* from memory\[0\] to"):
            memory[row]
    for row in (True, 0.0, "0"):
        with pytest.raises(ValueError, match="row must be a whole number"):
            memory[row]
    assert memory.ids[:, -1].tolist() == [58, -1]
    with pytest.raises(ValueError, match="batch of 2, but a batch of 3 was given"):
        memory.get_location_affinity(torch.zeros(3, 4, 2), 5.0)
    alone = filled(3)
    for row in (None, 0):
        alone.delete(alone.ids[0, :1], row)


# --- ids and other whole numbers -----------------------------------------------------------------


@pytest.mark.parametrize(
    "ids", [torch.tensor([True, False, True]), [True], [2.9], [2.0], torch.tensor([1.0]),
            np.array([0.5]), ["1"], [None], [[0.0]], np.array([False]), 1.0,
            np.ma.masked_array([1, 2], mask=[True, False])],
)  # fmt: skip
def test_what_is_no_id_deletes_nothing(ids):
    memory = filled(3)
    with pytest.raises(ValueError, match="ids must be"):
        memory.delete(ids)
    assert memory.ids[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "ids", [[], [1, 2], (2, 1), np.array([1, 2], dtype=">i2"), torch.tensor([[1], [2]]),
            range(1, 3), [np.uint8(1), torch.tensor(2)], 1, torch.empty(0).long()],
)  # fmt: skip
def test_ids_come_in_any_width_and_shape(ids):
    memory = filled(3)
    memory.delete(ids)
    assert memory.ids[0].tolist() in ([0], [0, 1, 2], [0, 2])


@pytest.mark.parametrize(
    "ids", [[2**63], [-(2**63) - 1], [2**70], np.array([2**64 - 1], np.uint64)]
)
def test_numbers_beyond_all_ids_are_not_in_store(ids):
    memory = filled(3)
    with pytest.raises(KeyError, match="no observations with the ids"):
        memory.delete(ids)
    assert len(memory) == 3


COUNTS = {
    "location_dim": lambda number: SpatialMemory(number, SENSORY),
    "sensory_dim": lambda number: SpatialMemory(2, number),
    "embed_dim": lambda number: SpatialMemory(2, SENSORY, number),
    "max_memory_size": lambda number: SpatialMemory(2, SENSORY, max_memory_size=number),
    "num_samples": lambda number: filled(5).sample(None, None, [1.0] * SENSORY, number),
    "num_places": lambda number: filled(5).search([1.0] * SENSORY, number),
    "max_prune_steps": lambda number: filled(5).prune(max_prune_steps=number),
    "target_size": lambda number: filled(5).prune(target_size=number),
    "max_witnesses": lambda number: filled(5).prune(max_witnesses=number),
    "num_steps": lambda number: filled(5).consolidate(2, num_steps=number),
    "batch_size": lambda number: filled(5).consolidate(2, num_steps=2, batch_size=number),
    "memory_limit": lambda number: filled(5).read([0.0, 0.0], 1.0, memory_limit=number),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_whole_numbers(name):
    for wrong in (2.5, 2.0, True, "2", None if name != "embed_dim" else "2"):
        if wrong is None and name in ("max_witnesses", "batch_size"):
            continue
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            COUNTS[name](wrong)
    COUNTS[name](np.int32(2**17) if name == "memory_limit" else np.int64(2))


NUMBERS = {
    "match_threshold": lambda value: filled(5).read([0.0, 0.0], 1.0, value),
    "merge_distance": lambda value: SpatialMemory(2, SENSORY, merge_distance=value),
    "merge_sense_distance": lambda value: SpatialMemory(2, SENSORY, merge_sense_distance=value),
    "cell_size": lambda value: SpatialMemory(2, SENSORY, cell_size=value),
    "temperature": lambda value: filled(5).sample(
        None, None, [1.0] * SENSORY, temperature=value, replacement=True
    ),
    "location_temperature": lambda value: filled(5).sample(
        [0.0, 0.0], 5.0, [1.0] * SENSORY, location_temperature=value
    ),
    "sigma_scale": lambda value: filled(5).sample(None, None, [1.0] * SENSORY, sigma_scale=value),
    "separation": lambda value: filled(5).search([1.0] * SENSORY, separation=value),
    "sense_sd": lambda value: filled(5).read_location([1.0] * SENSORY, [0.0, 0.0], 5.0, value),
    "max_error_to_prune": lambda value: filled(5).prune(value),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_come_in_any_precision_and_mean_the_same(name):
    expected = NUMBERS[name](25.0)
    for number in (np.int8(25), np.float16(25), torch.tensor(25), Fraction(25), np.array(25)):
        found = NUMBERS[name](number)
        if isinstance(found, torch.Tensor):
            assert torch.equal(found, expected)
        if isinstance(found, SpatialMemory):
            assert type(getattr(found, name)) is float
    for wrong in (True, "25", 25j, [25.0], np.ones(1)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            NUMBERS[name](wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [("location_dim", 3), ("sensory_dim", 9), ("embed_dim", 2), ("max_memory_size", 5),
     ("cell_size", 1e308), ("device", "cpu"), ("dtype", torch.float64),
     ("storage_dtype", torch.float16)],
)  # fmt: skip
def test_what_a_memory_was_made_with_cannot_be_changed(name, value):
    memory = filled()
    before = getattr(memory, name)
    with pytest.raises(AttributeError, match=f"{name} cannot be set to .* was made with"):
        setattr(memory, name, value)
    assert getattr(memory, name) == before
    assert memory.to(dtype=torch.float64).dtype == torch.float64
    for copied in (copy.deepcopy(memory), pickle.loads(pickle.dumps(memory))):
        with pytest.raises(AttributeError, match="was made with"):
            setattr(copied, name, value)


@pytest.mark.parametrize("name", ["merge_distance", "merge_sense_distance"])
def test_distances_of_merging_may_be_changed_to_what_they_can_be(name):
    memory = filled()
    setattr(memory, name, np.int8(100))
    assert type(getattr(memory, name)) is float
    for wrong in (-1, 0, math.nan, "far", True):
        with pytest.raises(ValueError, match=f"{name} must be"):
            setattr(memory, name, wrong)
    assert getattr(memory, name) == 100.0


def test_distances_may_be_as_great_as_numbers_can_be():
    memory = filled(merge_distance=1e308, merge_sense_distance=1e308)
    assert len(memory.search([1.0] * SENSORY, 5, separation=1e308).places) == 1
    memory.write([[1e30, -1e30]], 1.0, [[1.0] * SENSORY], update=True)
    assert len(memory) == 20
    here, key = [0.0, 0.0], [1.0] * SENSORY
    for sense_sd in (1e308, 1e-308, 5e-324):
        for found in memory.read_location(key, here, 5.0, sense_sd):
            assert bool(torch.isfinite(found).all())


def test_what_an_empty_memory_makes_of_a_guess_is_a_copy_of_it():
    guess, sd = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    for found in SpatialMemory(2, SENSORY).read_location([0.0] * SENSORY, guess, sd):
        found.zero_()
    assert (guess.tolist(), sd.tolist()) == ([1.0, 2.0], [3.0, 4.0])


def test_only_distances_in_the_world_are_in_metres():
    for name in ("merge_distance", "merge_sense_distance", "sense_sd"):
        with pytest.raises(ValueError, match=f"{name} must be a positive") as caught:
            NUMBERS[name](-1.0)
        assert "metres" not in str(caught.value)
    with pytest.raises(ValueError, match="search_key must have shape") as caught:
        filled(3).search([1.0])
    assert "metres" not in str(caught.value)
    with pytest.raises(ValueError, match="senses must have shape") as caught:
        filled(3).write([[0.0, 0.0]], 1.0, [[0.0]])
    assert "metres" not in str(caught.value)


def test_a_memory_says_what_it_holds(tmp_path):
    assert "3 of at most 1024 observations" in repr(filled(3))
    memory = SpatialMemory(2, SENSORY, 2, storage_dtype=torch.float16, storage=tmp_path / "m")
    memory.write(*observations(4, batch=(2,)))
    told = repr(memory)
    for part in ("4 of", "each of 2 rows", "embed_dim=2", "float16", "the folder m", "cpu"):
        assert part in told


# --- merging the same again and again ------------------------------------------------------------


@pytest.mark.parametrize("times", [1000])
@pytest.mark.parametrize("storage_dtype", [None, torch.float16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_written_again_and_again_stays_what_was_written(times, storage_dtype, dtype):
    place = torch.tensor([[1000.3, -77777.7]], dtype=dtype)
    sense = torch.tensor([[0.3387, -123.456, 1e-4]], dtype=dtype)
    memory = SpatialMemory(2, 3, storage_dtype=storage_dtype, dtype=dtype)
    memory.write(place, 0.05, sense)
    first = memory.memory_senses.clone()
    memory.write(place.expand(times, 2), 0.05, sense.expand(times, 3), update=True)
    assert len(memory) == 1
    assert torch.equal(memory.memory_locations[0], place)
    assert torch.equal(memory.memory_senses, first)
    expected = torch.full((1, 2), 0.05 / math.sqrt(times + 1), dtype=dtype)
    torch.testing.assert_close(memory.memory_location_sds[0], expected, rtol=1e-5, atol=0)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    half=st.booleans(),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e4]),
)
def test_what_is_merged_lies_between_what_was_written(seed, half, scale):
    generator = torch.Generator().manual_seed(seed)
    places = 500.0 + scale * torch.randn(40, 2, generator=generator)
    sds = scale * (0.5 + torch.rand(40, 2, generator=generator))
    values = 0.01 * torch.randn(40, 3, generator=generator) + 0.3
    memory = SpatialMemory(2, 3, merge_distance=1e6, merge_sense_distance=10.0,
                           storage_dtype=torch.float16 if half else None)  # fmt: skip
    memory.write(places, sds, values, update=True)
    assert len(memory) == 1
    kept = values.half().float() if half else values
    for found, written in ((memory.memory_locations, places), (memory.memory_senses, kept)):
        assert (found[0, 0] >= written.amin(dim=0)).all()
        assert (found[0, 0] <= written.amax(dim=0)).all()
    precision = sds.double().reciprocal().square().sum(dim=0)
    torch.testing.assert_close(
        memory.memory_location_sds[0, 0].double(), precision.rsqrt(), rtol=1e-4, atol=0
    )


# --- parameters ----------------------------------------------------------------------------------


def test_parameters_are_what_is_stored_and_nothing_else():
    memory = filled(20)
    for tensor, own in zip(
        memory.parameters(),
        (memory.memory_locations, memory.memory_location_sds, memory.memory_senses),
        strict=True,
    ):
        assert tensor.shape == own[0].shape
        assert torch.equal(tensor.sort(dim=0).values, own[0].sort(dim=0).values)
    memory.delete([3, 19])
    memory.write(*observations(1, seed=4))
    memory.delete([0])
    assert [len(tensor) for tensor in memory.parameters()] == [18] * 3
    assert all(tensor.isfinite().all() for tensor in memory.parameters())
    penalty = sum(tensor.square().sum() for tensor in memory.requires_grad_().parameters())
    penalty.backward()
    assert bool(penalty.isfinite())
    assert all(tensor.grad.isfinite().all() for tensor in memory.parameters())


def test_parameters_go_on_being_what_is_stored():
    memory = filled(6, max_memory_size=8, dtype=torch.float64).requires_grad_()
    places, _, values = memory.parameters()
    optimiser = torch.optim.SGD([values], lr=0.1)
    for step in range(6):
        memory.write(*(t.double() for t in observations(1, seed=step)))
        if step == 3:
            memory.delete(memory.ids[0, :2])
        optimiser.zero_grad()
        memory.read([[0.0, 0.0]], 30.0).square().sum().backward()
        assert values.grad.shape == values.shape == (len(memory), SENSORY)
        before = values.detach().clone()
        optimiser.step()
        assert not torch.equal(before, values)
        expected = values.detach().sort(dim=0).values
        assert torch.equal(memory.memory_senses[0].detach().sort(dim=0).values, expected)
    assert memory.parameters()[0] is places


def reference(memory):
    """The same observations in a new memory."""
    other = SpatialMemory(2, SENSORY, max_memory_size=memory.max_memory_size)
    arrays = (memory.memory_locations, memory.memory_location_sds, memory.memory_senses)
    other.write(*(array[0].detach() for array in arrays))
    return other


@pytest.mark.parametrize("still", [True, False])
def test_what_an_optimiser_has_moved_is_found_where_it_is(still):
    memory = filled(60, max_memory_size=60)
    memory.sample(None, None, torch.ones(SENSORY), 3, method="cells")
    memory.requires_grad_()
    places, sds, values = memory.parameters()
    optimiser = torch.optim.Adam(memory.parameters(), lr=30.0)
    for _ in range(3):
        optimiser.zero_grad()
        (places.square().sum() + values.sum()).backward()
        optimiser.step()
    with torch.no_grad():
        sds.add_(0.5)
    if not still:
        memory.requires_grad_(False)
    other = reference(memory)
    queries = torch.cat([memory.memory_locations[0].detach(), torch.randn(200, 2)])
    for method in ("auto", "dense", "sparse", "chunked"):
        found, expected = (m.read(queries, 3.0, 25.0, method=method) for m in (memory, other))
        torch.testing.assert_close(found.detach(), expected, rtol=1e-4, atol=1e-3)
    key = torch.ones(SENSORY)
    assert torch.equal(memory.search(key, 5).places, other.search(key, 5).places)
    if not still:
        draws = memory.sample(None, None, key, 500, 0.0, 0.05, method="cells", seed=1)
        best = memory.memory_locations[0, (memory.memory_senses[0] @ key).argmax()]
        assert bool((draws == best).all(dim=-1).float().mean() > 0.9)
    memory.delete(memory.ids[0, :5])
    memory.write(*observations(30, seed=3))
    memory.write(*observations(30, seed=3), update=True)
    assert len(memory) == 60
    memory.requires_grad_(False)
    memory.delete(memory.ids[0])
    assert len(memory) == 0


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("way", ["data", "other data", "numpy"])
def test_what_pytorch_does_not_count_is_taken_over_too(way, gradients):
    memory = filled(300, max_memory_size=300)
    memory.requires_grad_(gradients)
    places, sds, _ = memory.parameters()
    memory.write(*observations(3, seed=3))  # what was changed until now is taken over
    if way == "data":
        places.data.add_(500.0)
        sds.data.mul_(20.0)
    elif way == "other data":
        places.data, sds.data = places.data + 500.0, 20.0 * sds.data
    else:
        for tensor, change in ((places, np.add), (sds, np.multiply)):
            array = tensor.detach().numpy()
            change(array, 500.0 if tensor is places else 20.0, out=array)
    queries = memory.memory_locations[0, :5].detach()
    assert bool((queries > 300.0).all())
    expected = reference(memory)
    for threshold in (None, 25.0):
        found = memory.read(queries, 3.0, threshold).detach()
        torch.testing.assert_close(found, expected.read(queries, 3.0, threshold))
    memory.delete(memory.ids[0, :5])
    memory.write(*observations(30, seed=4))
    memory.requires_grad_(False)
    memory.delete(memory.ids[0])
    assert len(memory) == 0


def test_parameters_hold_what_fits():
    memory = filled(5)
    places = memory.parameters()[0]
    places.data = places.data[:3]
    for _ in range(2):
        with pytest.raises(ValueError, match=r"locations was given data of shape \(3, 2\)"):
            memory.read([[0.0, 0.0]], 1.0)
    places.data = filled(5).memory_locations[0]
    same(memory, filled(5))


@pytest.mark.parametrize(("name", "at", "value"), [
    ("location_sds", 1, 0.0), ("location_sds", 1, -0.1), ("location_sds", 1, math.nan),
    ("locations", 0, math.inf), ("senses", 2, math.nan),
])  # fmt: skip
def test_what_an_optimiser_has_spoilt_is_told_by_name(tmp_path, name, at, value):
    memory = filled(6)
    memory.requires_grad_()
    tensor = memory.parameters()[at]
    with torch.no_grad():
        good = tensor[4, 1].clone()
        tensor[4, 1] = value
    for ask in (
        lambda: memory.requires_grad_(False),
        lambda: memory.read([[0.0, 0.0]], 1.0),
        lambda: memory.write(*observations(1)),
        lambda: memory.delete([0]),
        lambda: memory.sample(None, None, torch.ones(SENSORY)),
        lambda: memory.leave_one_out(),
        lambda: memory.get_location_affinity([[0.0, 0.0]], 1.0),
        lambda: memory.save(tmp_path / "spoilt"),  # which could not be loaded
        lambda: copy.deepcopy(memory),
    ):
        with pytest.raises(ValueError, match=f"{name} must be .* with the id 4"):
            ask()
    with torch.no_grad():
        tensor[4, 1] = good
    memory.requires_grad_(False)
    same(memory, filled(6))


@pytest.mark.parametrize(
    ("name", "places", "sds", "values"),
    [("locations", 1e300, 1.0, 1.0), ("location_sds", 1.0, 1e-300, 1.0),
     ("location_sds", 1.0, 1e300, 1.0), ("senses", 1.0, 1.0, -1e300)],
)  # fmt: skip
@pytest.mark.parametrize("witness", [False, True])
def test_what_another_precision_cannot_hold_is_refused_before_anything_moves(
    name, places, sds, values, witness
):
    memory = SpatialMemory(2, 1, dtype=torch.float64)
    memory.write([[5.0, 0.0]], 1.0, [[0.0]])
    memory.write([[places, 0.0]], sds, [[values]])
    memory.delete([0])
    if witness:
        gone = memory[0].store.observations()
        slots = torch.from_numpy(memory[0].store.slots_by_age())
        memory[0].store.witnesses = Witnesses(gone.take(slots), np.ones(1))
        memory.delete([1])
    with pytest.raises(ValueError, match=f"one of the .*{name} is .* nothing was moved"):
        memory.to(torch.device("cpu"), torch.float32)
    assert memory.dtype == memory.storage_dtype == torch.float64
    assert memory[0].store.locations.dtype == torch.float64
    assert len(memory) == 1 - witness


def test_places_are_found_after_they_were_rounded():
    generator = torch.Generator().manual_seed(0)
    places = torch.cat([25.0 * torch.arange(40.0).double() - 1e-9 for _ in range(2)]).reshape(-1, 2)
    memory = SpatialMemory(2, 1, dtype=torch.float64)
    memory.write(places, 1.0, torch.randn(40, 1, generator=generator).double())
    memory.to(dtype=torch.float32)
    memory.delete(memory.ids[0])
    assert len(memory) == 0


# --- gradients, precision, files -----------------------------------------------------------------


def test_gradients_reach_what_is_stored_and_writing_goes_on():
    memory = filled(6, dtype=torch.float64).requires_grad_()
    query = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    memory.read(query, 5.0).square().sum().backward()
    assert query.grad.abs().sum() > 0
    assert all(tensor.grad[:6].abs().sum() > 0 for tensor in memory.parameters())
    optimiser = torch.optim.Adam([memory.parameters()[2]], lr=0.1)
    target = torch.ones(1, SENSORY, dtype=torch.float64)
    for _ in range(200):
        optimiser.zero_grad()
        loss = (memory.read(query.detach(), 5.0) - target).square().sum()
        loss.backward()
        optimiser.step()
    assert loss.item() < 1e-3
    memory.write([[0.0, 0.0]], 1.0, [[0.0] * SENSORY])
    memory.requires_grad_(False)
    assert not memory.read(query.detach(), 5.0).requires_grad
    memory.write([[0.0, 0.0]], 1.0, [[0.0] * SENSORY])
    assert len(memory) == 8


def test_a_memory_in_double_precision_reads_to_double_precision():
    memory = filled(30).to(dtype=torch.float64)
    arrays = (memory.memory_locations[0], memory.memory_location_sds[0], memory.memory_senses[0])
    queries, sds = torch.randn(5, 2).double() * 30, torch.full((5, 2), 2.0).double()
    expected = oracle.read(queries, sds, *arrays)[0]
    np.testing.assert_allclose(memory.read(queries, sds), expected, rtol=1e-12, atol=1e-13)


def same(one, other):
    for name in ("ids", "ages", "memory_locations", "memory_location_sds", "memory_senses"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0)


def test_a_saved_memory_comes_back_whole(tmp_path):
    memory = SpatialMemory(2, SENSORY, embed_dim=2, max_memory_size=10, merge_distance=2.0)
    memory.write(*observations(14, batch=(2,)))
    memory[1].delete([7, 9])
    memory.save(tmp_path / "memory.safetensors")
    loaded = SpatialMemory.load(tmp_path / "memory.safetensors")
    same(memory, loaded)
    queries = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded.read(queries, 5.0, 80.0), memory.read(queries, 5.0, 80.0))
    for one in (memory, loaded):
        one.write(*observations(3, seed=5, batch=(2,)))
    same(memory, loaded)
    assert [path.name for path in tmp_path.iterdir()] == ["memory.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "other", "empty", "version"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "memory.safetensors"
    filled(5).save(path)
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "other": b"not a memory at all, but some text",
            "empty": b"",
            "version": content.replace(b"tree-world-memory-3", b"tree-world-memory-9"),
        }[damage]
    )
    with pytest.raises(ValueError, match=r"memory\.safetensors is not a spatial memory"):
        SpatialMemory.load(path)
    with pytest.raises(FileNotFoundError, match="no file gone"):
        SpatialMemory.load(tmp_path / "gone")


def test_a_killed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "memory.safetensors"
    filled(5).save(path)
    before = SpatialMemory.load(path)
    once = f"""{TORCH}
from tree_world.models.memory import SpatialMemory
memory = SpatialMemory(2, 64, max_memory_size=20_000)
memory.write(torch.zeros(20_000, 2), 1.0, torch.zeros(20_000, 64))
"""
    saves = """
memory.save(argument + ".other")
print("from now on", flush=True)
while True:
    memory.save(argument)
"""
    with lives(once, saves) as life:
        for delay in np.linspace(0.0, 0.06, 25):
            life.begin(path)
            life.line()
            time.sleep(delay)
            life.kill()
            after = SpatialMemory.load(path)
            if len(after) == 5:
                same(before, after)
            else:
                assert len(after) == 20_000


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "memory.safetensors"
    filled(5).save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        filled(6).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_reads_are_reads():
    assert isinstance(filled(3).read_with_support([[0.0, 0.0]], 1.0), Read)
