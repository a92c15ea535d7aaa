"""What is like something in store is merged with it, or takes its place."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.models.memory import Memory, SpatialMemory, forgetting
from tree_world.models.memory.store.exchange import Superseded
from tree_world.models.memory.store.task import Task
from tree_world.simulation.vocabulary import (
    EDIBLE_KINDS,
    FRUIT_AMOUNTS,
    POISONOUS_KINDS,
    TREE_IDS,
)

DIM = 3
FULL, EMPTY = [1.0, 0.0, 0.0], [0.7, 0.6, 0.0]  # as one tree smells, 0.67 apart
APART = 0.8


# --- the same by plain loops ---------------------------------------------------------------------


class Naive:
    """A list of what is in store, the oldest first, in double precision."""

    def __init__(self):
        self.entries, self.next_id, self.clock = [], 0, 0

    def write(self, place, sd, sense, time, how, distance, sense_distance):
        """Write one observation; its id."""
        place, sd, sense = (np.asarray(a, dtype=np.float64) for a in (place, sd, sense))
        near = []
        for entry in self.entries if how else ():
            away = math.sqrt((((place - entry["place"]) ** 2) / (sd**2 + entry["sd"] ** 2)).sum())
            if away <= distance and math.dist(sense, entry["sense"]) <= sense_distance:
                near.append((away, entry))
        time = self.clock if time is None else time
        if not near:
            new = {"id": self.next_id, "place": place, "sd": sd, "sense": sense, "time": time}
            self.next_id += 1
        else:
            _, old = min(near, key=lambda one: one[0])
            self.entries.remove(old)
            own, other = sd**-2, old["sd"] ** -2
            share = own.mean() / (own + other).mean()
            new = {
                "id": old["id"],
                "place": (own * place + other * old["place"]) / (own + other),
                "sd": (own + other) ** -0.5,
                "sense": sense if how == "replace" else share * sense + (1 - share) * old["sense"],
                "time": time if how == "replace" else max(time, old["time"]),
            }
        self.entries.append(new)
        self.clock += 1
        return new["id"]

    def column(self, name):
        return np.array([entry[name] for entry in self.entries])


def agrees(one, naive, *, senses=1e-9):
    """Compare a memory with the list."""
    held = one.observations()
    assert held.ids.tolist() == naive.column("id").tolist()
    np.testing.assert_allclose(held.locations, naive.column("place"), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(held.location_sds, naive.column("sd"), rtol=1e-9)
    np.testing.assert_allclose(held.senses, naive.column("sense"), atol=senses)
    assert held.times.tolist() == naive.column("time").tolist()
    assert held.ages.tolist() == sorted(held.ages.tolist(), reverse=True)


def sightings(number, seed, side=30.0):
    """Observations of a few trees, fuller or emptier, none as far from a limit as rounding is."""
    drawn = np.random.default_rng(seed)
    places = drawn.uniform(-side, side, (number, 2))
    sds = drawn.uniform(1.0, 12.0, (number, 2))
    senses = np.eye(DIM)[drawn.integers(0, DIM, number)]
    return places, sds, senses + drawn.normal(0.0, 0.2, (number, DIM))


WAYS = st.sampled_from([False, True, "replace"])


@settings(max_examples=60)
@given(
    steps=st.lists(st.tuples(WAYS, st.integers(1, 4), st.booleans()), min_size=1, max_size=12),
    seed=st.integers(0, 10**6),
    distance=st.sampled_from([0.5, 1.0, 3.0]),
    sense_distance=st.sampled_from([0.3, APART, 2.0]),
    by_call=st.booleans(),
)
def test_a_memory_is_that_list(steps, seed, distance, sense_distance, by_call):
    choices = {"merge_distance": distance, "merge_sense_distance": sense_distance}
    memory = SpatialMemory(2, DIM, dtype=torch.float64, **({} if by_call else choices))
    naive, drawn = Naive(), np.random.default_rng(seed)
    for step, (how, number, timed) in enumerate(steps):
        places, sds, senses = sightings(number, seed + step)
        times = drawn.uniform(-50, 50, number) if timed else None
        own = choices if by_call and how is not False else {}
        ids = memory.write(places, sds, senses, how, times=times, **own)
        each = [None] * number if times is None else times
        rows = zip(places, sds, senses, each, strict=True)
        assert ids.tolist() == [naive.write(*row, how, distance, sense_distance) for row in rows]
        agrees(memory, naive)


@pytest.mark.parametrize("how", [True, "replace"])
@pytest.mark.parametrize("kind", ["batch", "disk", "half", "projected", "alone", "large"])
def test_every_kind_of_memory_merges_alike(kind, how, tmp_path):
    number, wide = (2400 if kind == "large" else 120), APART
    places, sds, senses = sightings(number, 5, side=30.0 * math.sqrt(number / 100))
    choices = {"merge_distance": 1.5, "merge_sense_distance": wide, "max_memory_size": 4000}
    choices["dtype"] = torch.float64
    stored, precise = senses, 1e-9
    if kind == "disk":
        choices["storage"] = tmp_path / "senses"
    if kind == "half":
        choices["storage_dtype"], precise = torch.float16, 2e-3
    if kind == "projected":
        choices |= {"embed_dim": 2, "projection": torch.eye(DIM)[:2].double()}
        stored = senses[:, :2]
    memory = Memory(2, DIM, **choices) if kind == "alone" else SpatialMemory(2, DIM, **choices)
    naive, rows = Naive(), range(number)
    start = number - 100  # what is there before
    if kind == "batch":
        other = sightings(number, 6)
        both = [np.stack(pair) for pair in zip((places, sds, senses), other, strict=True)]
        memory.write(*(part[:, :start] for part in both))
        memory.write(*(part[:, start:] for part in both), how)
        row = memory[0]
    else:
        memory.write(places[:start], sds[:start], senses[:start])
        if kind == "disk":
            memory.checkpoint()  # whose slots are left as they are
        memory.write(places[start:], sds[start:], senses[start:], how)
        row = memory if kind == "alone" else memory[0]
    for i in rows:
        naive.write(places[i], sds[i], stored[i], None, i >= start and how, 1.5, wide)
    assert len(row) < number - 40
    agrees(row, naive, senses=precise)
    if kind == "disk":
        memory.checkpoint()
        before = row.observations()
        del memory, row
        for one, two in zip(
            SpatialMemory.load(tmp_path / "senses").observations(), before, strict=True
        ):
            assert torch.equal(one, two)


# --- an emptied tree -----------------------------------------------------------------------------


def tree(sense=FULL, **choices):
    memory = SpatialMemory(2, DIM, merge_sense_distance=APART, **choices)
    memory.write([[0.0, 0.0]], 4.0, [sense], times=10.0)
    return memory


def test_an_emptied_tree_is_not_half_full():
    merged, replaced = tree(), tree()
    for memory, how in ((merged, True), (replaced, "replace")):
        assert memory.write([[2.0, 0.0]], 4.0, [EMPTY], how, times=20.0).tolist() == [0]
        assert len(memory) == 1
    assert torch.equal(replaced.memory_senses[0, 0], torch.tensor(EMPTY))
    assert torch.equal(replaced.memory_locations, merged.memory_locations)
    assert torch.equal(replaced.memory_location_sds, merged.memory_location_sds)
    torch.testing.assert_close(
        merged.memory_senses[0, 0], torch.tensor([FULL, EMPTY]).mean(dim=0), rtol=0, atol=1e-6
    )


def test_the_time_is_that_of_the_sense():
    memory = tree()
    memory.write([[0.0, 0.0]], 4.0, [EMPTY], "replace", times=3.0)  # what is told late
    assert memory.times.tolist() == [[3.0]]
    memory.write([[0.0, 0.0]], 4.0, [FULL], "replace")  # counted: two were written before
    assert memory.times.tolist() == [[2.0]]
    assert memory.ages.tolist() == [[0]]


def test_with_nothing_to_replace_it_is_stored():
    memory = tree()
    ids = memory.write([[0.0, 0.0], [300.0, 0.0]], 4.0, [[0.0, 0.0, 1.0], FULL], "replace")
    assert ids.tolist() == [1, 2]
    assert torch.equal(memory.memory_senses[0, 0], torch.tensor(FULL))


def test_a_broken_off_replacement_leaves_the_old_sense(monkeypatch):
    memory = tree()
    monkeypatch.setattr(type(memory.common), "follow", lambda _: 1 / 0)  # when all is done
    with pytest.raises(ZeroDivisionError):
        memory.write([[0.0, 0.0]], 4.0, [EMPTY], "replace")
    monkeypatch.undo()
    assert memory.memory_senses.tolist() == [[FULL]]
    assert memory.times.tolist() == [[10.0]]


@pytest.mark.parametrize("update", ["merge", "", None, 1, 0, 2.0, ["replace"], torch.tensor(True)])
def test_what_to_do_must_be_one_of_three(update):
    for memory in (tree(), tree()[0], Memory(2, DIM)):
        number = len(memory)
        with pytest.raises(ValueError, match="update must be False, to store all; True"):
            memory.write([[0.0, 0.0]], 4.0, [EMPTY], update)
        assert len(memory) == number
    assert len(tree().write([[0.0, 0.0]], 4.0, [FULL], np.bool_(True))) == 1


# --- distances by the call -----------------------------------------------------------------------


@pytest.mark.parametrize("how", [True, "replace"])
def test_distances_may_be_those_of_one_call(how):
    far, both = [[3.0, 0.0]], {"merge_distance": 2.2, "merge_sense_distance": APART}
    for sense, choices, expected in (
        (FULL, {"merge_distance": 2.2}, 0),
        (FULL, {"merge_distance": 2.1}, 1),  # 3 m are 2.12 deviations of both together
        (EMPTY, {"merge_distance": 2.2}, 1),
        (EMPTY, both, 0),
        (FULL, {"merge_sense_distance": APART}, 1),
    ):
        for memory in (SpatialMemory(2, DIM), Memory(2, DIM)):
            memory.write([[0.0, 0.0]], 1.0, [FULL])
            assert memory.write(far, 1.0, [sense], how, **choices).tolist() == [expected]
            assert memory.common.merge_distance == 1.0  # as before
            assert memory.common.merge_sense_distance == 0.1


@pytest.mark.parametrize("name", ["merge_distance", "merge_sense_distance"])
def test_distances_of_one_call_are_checked(name):
    memory = tree()
    for wrong in (0.0, -1.0, math.inf, math.nan, "near", True):
        with pytest.raises(ValueError, match=f"{name} must be"):
            memory.write([[0.0, 0.0]], 4.0, [FULL], True, **{name: wrong})
    for one in (memory, memory[0]):
        with pytest.raises(ValueError, match=f"{name} says what is merged, but with update=False"):
            one.write([[0.0, 0.0]], 4.0, [FULL], **{name: 1.0})
    assert len(memory) == 1


# --- what keeps one tree one ---------------------------------------------------------------------


@pytest.mark.parametrize("distance", [1.0, 2.0, 3.0])
def test_how_many_pairs_a_distance_leaves_apart(distance):
    number, drawn = 1500, np.random.default_rng(7)
    spots = np.stack([1e4 * np.arange(number), np.zeros(number)], axis=1)
    sds = drawn.uniform(1.0, 25.0, (2, number, 2))
    places = spots + sds * drawn.standard_normal((2, number, 2))
    memory = SpatialMemory(2, 1, max_memory_size=2 * number, dtype=torch.float64)
    memory.write(places[0], sds[0], np.zeros((number, 1)))
    memory.write(places[1], sds[1], np.zeros((number, 1)), True, merge_distance=distance)
    share = math.exp(-(distance**2) / 2)
    apart = len(memory) - number
    assert abs(apart - number * share) < 4 * math.sqrt(number * share * (1 - share))
    said = {1.0: "61 %", 2.0: "14 %", 3.0: "1.1 %"}[distance]
    assert f"{100 * share:.{1 if share < 0.02 else 0}f} %" == said
    text = " ".join(SpatialMemory.__doc__.split())
    assert f"{distance} leaves {said}" in text


def test_one_tree_is_told_from_others_of_another_name():
    kinds, names, amounts = (
        embed_text_sentence_transformers(list(words))
        for words in (EDIBLE_KINDS + POISONOUS_KINDS, TREE_IDS, FRUIT_AMOUNTS)
    )
    # Sights: the kind and the name of a tree, and how much it bears.
    sights = names[:, None, None] + kinds[:, None] + amounts
    one_tree = torch.cdist(amounts, amounts).max()
    sights = sights.flatten(1, 2)
    others = min(
        float(torch.cdist(own, sights[i + 1 :].flatten(0, 1)).min())
        for i, own in enumerate(sights[:-1])
    )
    assert (f"{one_tree:.3f}", f"{others:.3f}") == ("0.789", "0.828")
    assert one_tree < APART < others
    for number in ("0.789", "0.828", str(APART)):
        assert number in SpatialMemory.__doc__


# --- forgetting in between -----------------------------------------------------------------------


def crowd(how=None):
    """Two sightings of one tree, of which pruning leaves one; and another tree."""
    memory = SpatialMemory(2, DIM, merge_distance=3.0, merge_sense_distance=APART)
    memory.write([[0.0, 0.0], [1.0, 0.0], [200.0, 0.0]], 4.0, [FULL, FULL, FULL])
    assert memory.prune(0.05, 25.0).num_kept == 2
    assert memory.num_witnesses == 1
    if how is not None:
        memory.write([[0.5, 0.0]], 4.0, [EMPTY], how)
        assert len(memory) == 2
    return memory


@pytest.mark.parametrize(("how", "lost"), [(None, 0), (True, 1), ("replace", 1)])
def test_what_the_old_sense_told_is_let_go(how, lost):
    memory = crowd(how)
    report = memory.prune(0.05, 25.0)
    assert (report.num_lost_witnesses, report.num_witnesses) == (lost, 1 - lost)
    assert report.num_kept == 2
    assert memory.num_witnesses == 1 - lost


def test_what_is_still_told_is_held():
    memory = crowd()
    alike = [0.97, 0.0, 0.0]
    memory.write([[0.5, 0.0]], 4.0, [alike], "replace")
    report = memory.prune(0.05, 25.0)
    assert (report.num_lost_witnesses, report.num_witnesses) == (0, 1)


def gated(monkeypatch, name, meanwhile):
    """Let something happen to the memory when work on its copy is done."""
    original = getattr(forgetting, name)

    def work(*args, **kwargs):
        found = original(*args, **kwargs)
        meanwhile()
        return found

    monkeypatch.setattr(forgetting, name, work)


@pytest.mark.parametrize("how", [True, "replace"])
def test_pruning_under_way_keeps_the_new_sense(monkeypatch, how):
    memory = SpatialMemory(2, DIM, merge_distance=3.0, merge_sense_distance=APART)
    memory.write([[0.0, 0.0], [0.1, 0.0], [200.0, 0.0]], 4.0, [FULL, FULL, FULL], times=1.0)
    ids = []
    gated(
        monkeypatch,
        "prune",
        lambda: ids.extend(memory.write([[0.1, 0.0]], 0.01, [EMPTY], how, times=2.0).tolist()),
    )
    task = memory.prune_in_background(0.05, 25.0)
    assert isinstance(task, Task)
    assert task.result(60).num_kept == 2
    monkeypatch.undo()
    held = memory.observations()
    at = held.ids.tolist().index(ids[0])
    torch.testing.assert_close(held.senses[at], torch.tensor(EMPTY), atol=1e-4, rtol=0)
    assert held.times[at] == 2.0
    # One of the two sightings has gone because the other told it, which may be the one that has
    # another sense now: nothing is told of a tree that is not so.
    assert memory.prune(0.05, 25.0).num_lost_witnesses == 1
    assert memory.num_witnesses == 0


def test_virtual_observations_do_not_bring_the_old_sense_back(monkeypatch):
    memory = tree(max_memory_size=100)
    memory.write([[60.0, 0.0], [61.0, 0.0]], 4.0, [FULL, FULL])

    def consolidated(how):
        place = memory.memory_locations[0, :1]
        gated(monkeypatch, "consolidate", lambda: memory.write(place, 0.1, [EMPTY], how))
        try:
            return memory.consolidate_in_background(2, 25.0, num_steps=3).result(60)
        finally:
            monkeypatch.undo()

    with pytest.raises(Superseded, match="or their senses replaced"):
        consolidated("replace")
    assert len(memory) == 3
    torch.testing.assert_close(memory.read([0.0, 0.0], 4.0, 25.0), torch.tensor(EMPTY))
    assert consolidated(True).num_after == 2  # a mean stands for what was sensed before, too
