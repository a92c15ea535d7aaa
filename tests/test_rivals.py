"""What reads are compared with computes the same reads, and counts what it holds."""

import itertools
import shutil

import numpy as np
import pytest
import torch

from benchmarks import rivals, study_rivals
from benchmarks.rival_attention import Formula
from benchmarks.rival_face import Blocks, DoesNotFit, NotHere, Pairs, nearby, together
from benchmarks.rival_problem import KERNELS, TAIL, Problem, exact, problem
from benchmarks.rival_trees import TAIL_LENGTH
from tree_world.models.memory import SpatialMemory

SIZE, ROOM = 600, 2 * TAIL_LENGTH + 40
SETTINGS = {"threshold": (10.0, 25.0), "narrow": (10.0, None), "wide": (30.0, None)}
COMPILED = ("PyKeOps", "PyKeOps by blocks", "FlexAttention")
NEED = {"FAISS": "faiss", "usearch": "usearch", "nanoflann": "pynanoflann", "PyKeOps": "pykeops"}
QUICK = [name for name in rivals.WAYS if name not in COMPILED]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler")


def given_problem(kernel="narrow"):
    generator = torch.Generator().manual_seed(4)
    senses = torch.randn(SIZE + ROOM, 24, generator=generator)
    senses = torch.nn.functional.normalize(senses, dim=1)
    places = 60 * torch.randn(SIZE + ROOM, 2, generator=generator)
    queries = 60 * torch.randn(40, 2, generator=generator)
    queries[0] = 260.0  # where nothing is near
    return Problem(places, senses, SIZE, queries, *SETTINGS[kernel])


def prepared(name, given):
    for start, package in NEED.items():
        if name.startswith(start):
            pytest.importorskip(package, reason="make setup installs what the benchmarks need")
    way = rivals.WAYS[name](given)
    if way.efforts:
        way.make_an_effort(way.efforts[-1])
    return way


def off(found, expected):
    return float((found.double().cpu() - expected).abs().max())


@pytest.mark.parametrize("kernel", SETTINGS)
@pytest.mark.parametrize("number", [0, 100])
def test_the_oracle_is_the_formula(kernel, number):
    given = given_problem(kernel)
    found = exact(given, given.queries, number)
    locations, senses = (
        one[: SIZE + number].double().numpy() for one in (given.all_locations, given.all_senses)
    )
    for query, ours in zip(given.queries.double().numpy(), found.numpy(), strict=True):
        squares = np.square(locations - query).sum(axis=1)
        near = squares <= (given.match_threshold or np.inf) ** 2
        if not near.any():
            assert not ours.any()
            continue
        exponents = -squares[near] / (4 * given.sd**2)
        weights = np.exp(exponents - exponents.max())
        mean = weights @ senses[near] / weights.sum()
        np.testing.assert_allclose(ours, mean, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kernel", SETTINGS)
@pytest.mark.parametrize("name", QUICK)
def test_every_way_reads_the_same(name, kernel):
    given = given_problem(kernel)
    way = prepared(name, given)
    expected = exact(given, given.queries)
    if name == "FAISS HNSW" and kernel != "threshold":
        found = way.read_many(given.queries[1:])  # a graph may lead nowhere
        assert ((found - expected[1:]).abs().amax(dim=1) < 1e-5).double().mean() > 0.5
        return
    assert off(way.read_many(given.queries), expected) < 1e-5
    ones = torch.stack([way.read_one(query) for query in given.queries])
    assert off(ones, expected) < 1e-5


@needs_compiler
def test_a_loop_that_is_compiled_reads_the_same():
    given = given_problem("threshold")  # one kernel, for to compile takes longer than all others
    expected = exact(given, given.queries)
    for name in COMPILED[:2]:
        assert off(prepared(name, given).read_many(given.queries), expected) < 1e-5


@pytest.mark.parametrize(
    "name", [name for name in QUICK if rivals.WAYS[name].can_be_written_to and "IVF" not in name]
)
def test_what_is_written_is_read(name):
    given = given_problem("threshold")
    truth = [exact(given, given.queries, number) for number in (1, ROOM)]
    later = given.all_locations[SIZE:].clone(), given.all_senses[SIZE:].clone()
    given.all_locations[SIZE:] = given.all_senses[SIZE:] = 0.0
    way = prepared(name, given)
    for number, (place, sense) in enumerate(zip(*later, strict=True)):
        way.write(place, sense)
        if number == 0:
            assert off(way.read_many(given.queries), truth[0]) < 1e-5
            assert off(way.read_many(given.queries), exact(given, given.queries)) > 1e-5
    assert way.number == SIZE + ROOM
    assert off(way.read_many(given.queries), truth[1]) < 1e-5
    ones = torch.stack([way.read_one(query) for query in given.queries])
    assert off(ones, truth[1]) < 1e-5


def test_trees_are_joined_as_they_become_as_large_as_what_is_before_them():
    given = given_problem()
    way, sizes = rivals.WAYS["SciPy tree, gathered"](given), []
    for number in range(ROOM):
        way.write(given.all_locations[SIZE + number], given.all_senses[SIZE + number])
        sizes.append([part.stop - part.first for part in way.parts])
    assert sizes[TAIL_LENGTH - 2] == [SIZE]
    assert sizes[TAIL_LENGTH - 1] == [SIZE, TAIL_LENGTH]
    assert sizes[-1] == [SIZE, 2 * TAIL_LENGTH]
    assert way.number - way.indexed == ROOM - 2 * TAIL_LENGTH


def test_the_nearest_alone_do_not_do():
    given = given_problem("threshold")
    way, expected = prepared("usearch", given), exact(given, given.queries)
    way.make_an_effort(3)
    assert off(way.read_many(given.queries), expected) > 1e-3


def test_pairs_of_several_indexes_are_those_of_one():
    generator = np.random.default_rng(0)
    places, points = generator.normal(size=(7, 2)), generator.normal(size=(50, 2))
    every = nearby(places, points, 0.8)
    cuts = [0, 20, 20, 50]
    parts = [
        (nearby(places, points[first:stop], 0.8), first) for first, stop in itertools.pairwise(cuts)
    ]
    joined = together(parts)
    assert isinstance(joined, Pairs)
    assert joined.ends.tolist() == every.ends.tolist()
    assert joined.columns.tolist() == every.columns.tolist()


def test_blocks_hold_each_point_once_in_a_box_around_it():
    points = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    blocks = Blocks(points, 64)
    assert blocks.order.sort().values.tolist() == list(range(1000))
    for at, (start, stop) in enumerate(zip(blocks.starts, blocks.stops, strict=True)):
        own = points[blocks.order[start:stop]]
        assert (blocks.low[at] == own.amin(dim=0)).all()
        assert (blocks.high[at] == own.amax(dim=0)).all()
        gaps = blocks.gaps(points[:5], points[:5])[:, at]
        assert (gaps <= torch.cdist(points[:5], own).amin(dim=1) + 1e-6).all()
    sides = (blocks.high - blocks.low).prod(dim=1)
    assert sides.median() < 0.1 * (points.amax(dim=0) - points.amin(dim=0)).prod()
    reaches = blocks.reaches(points[:5], points[blocks.order], 3.0)
    torch.testing.assert_close(reaches, torch.full((5,), 3.0))  # each is the nearest to itself


def test_observations_are_those_of_trees():
    given = problem(2000, "narrow", 10, room=30)
    assert given.senses.shape == (2000, 384)
    assert given.all_senses.shape == (2030, 384)
    norms = given.senses.norm(dim=1)
    assert norms.min() > 1.0
    assert norms.max() < 3.0  # of a kind, a name and an amount
    assert len(given.senses.unique(dim=0)) < 400
    strides = given.all_locations[2000:].diff(dim=0).norm(dim=1)
    torch.testing.assert_close(strides, torch.ones(29), rtol=0, atol=1e-3)
    for kernel in KERNELS:
        other = problem(2000, kernel, 10)
        assert torch.equal(other.locations, given.locations)
        assert other.match_threshold or np.exp(
            -(other.reach**2) / (2 * other.variance)
        ) == pytest.approx(TAIL)


@pytest.mark.parametrize("name", QUICK)
def test_a_way_holds_at_least_what_it_reads(name):
    given = problem(1000, "threshold", 4)
    way = prepared(name, given)
    observations = 1000 * (2 + 384) * 4
    assert observations <= way.num_bytes() < 1.5 * observations + 2**24  # usearch asks ahead


def test_what_does_not_fit_is_refused_before_it_is_tried():
    way = Formula(given_problem())
    way.limit = 1e5
    with pytest.raises(DoesNotFit, match="GB"):
        way.read_many(way.problem.queries)


@pytest.mark.parametrize("name", COMPILED)
def test_what_must_be_compiled_says_that_it_cannot(name, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NotHere, match="no compiler"):
        rivals.WAYS[name](given_problem())


# --- the study -----------------------------------------------------------------------------------


def test_a_study_keeps_all_times_and_their_quartiles(monkeypatch):
    ways = {name: rivals.WAYS[name] for name in ("tree_world", "attention", "scikit-learn")}
    monkeypatch.setattr(rivals, "WAYS", ways)
    monkeypatch.setattr(study_rivals, "MANY", 50)
    monkeypatch.setattr(study_rivals, "STEPS", 20)
    rows = study_rivals.reads(300, "threshold", "cpu", [], 5)
    assert [row["way"] for row in rows] == list(ways)
    for row in rows:
        assert row["error"] <= study_rivals.ACCURATE
        assert row["error_of_one"] <= study_rivals.ACCURATE
        assert row["checked"] == 50
        assert row["share_accurate"] == 1.0
        assert len(row["seconds_of_many_by_round"]) == row["number_of_many"] == 5
        assert row["seconds_of_many"] == np.median(row["seconds_of_many_by_round"])
        assert row["quartiles_of_many"] == sorted(row["quartiles_of_many"])
        assert row["number_of_one"] >= 25
        assert row["megabytes_held"] > 300 * 386 * 4 / 2**20
    steps = study_rivals.steps_of_an_agent(300, "threshold", ["attention"], 2)
    (row,) = steps
    assert (row["way"], row["written"]) == ("tree_world", 41)
    assert row["error"] <= study_rivals.ACCURATE
    assert row["worst_of_step"] >= row["quartiles_of_step"][2] >= row["seconds_of_write"] > 0


def test_a_way_that_takes_too_long_is_tried_with_few(monkeypatch):
    class Slow(Formula):
        def read_many(self, places):
            study_rivals.time.sleep(0.06)
            return super().read_many(places)

    monkeypatch.setattr(study_rivals, "SLOW", 0.05)
    monkeypatch.setattr(study_rivals, "PATIENCE", 5.0)
    given = problem(200, "threshold", 1000)
    found = study_rivals._tried(Slow(given), exact(given, given.queries))
    assert found["left_out"].startswith("some ")
    assert found["checked"] == study_rivals.FEW
    assert found["error"] <= study_rivals.ACCURATE


def test_the_turns_are_drawn_anew_for_each_round():
    names = list("abcdefgh")
    orders = [study_rivals.order_of_round(names, 1000, number) for number in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    assert all(sorted(order) == names for order in orders)
    assert orders[1] == study_rivals.order_of_round(names, 1000, 1)


# --- where there is a GPU ------------------------------------------------------------------------


@needs_gpu
@pytest.mark.parametrize("kernel", SETTINGS)
@pytest.mark.parametrize("name", [n for n, way in rivals.WAYS.items() if "cuda" in way.devices])
def test_a_gpu_reads_the_same(name, kernel):
    given = given_problem(kernel)
    there = given.to("cuda")
    found = rivals.WAYS[name](there).read_many(there.queries[1:])
    assert off(found, exact(given, given.queries)[1:]) < 2e-5


@needs_gpu
def test_a_memory_moves_to_a_gpu_and_back_and_reads_the_same():
    given = given_problem()
    memory = SpatialMemory(2, 24, max_memory_size=SIZE)
    memory.write(given.locations, given.sd, given.senses)
    before = memory.read(given.queries, given.sd)
    there = memory.to("cuda").read(given.queries.to("cuda"), given.sd).cpu()
    after = memory.to("cpu").read(given.queries, given.sd)
    torch.testing.assert_close(there, before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after, before)
