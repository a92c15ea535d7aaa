"""What goes can be told from what stays: always, and against the original."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.models import oracle
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget import pruning
from tree_world.models.memory.forget.pruning import leave_one_out, prune
from tree_world.models.memory.kernel.affinity import beyond
from tree_world.models.memory.types import Observations, Witnesses

ROUNDING = 2e-5  # of reads in single precision, for senses of length about one


def observations(number, seed=0, *, spread=40.0, sensory_dim=5, dim=2, smooth=True):
    """Places, deviations, and senses that vary smoothly with place, or not at all smoothly."""
    generator = torch.Generator().manual_seed(seed)
    places = spread * torch.randn(number, dim, generator=generator)
    sds = 1.0 + 14.0 * torch.rand(number, dim, generator=generator)
    directions = torch.randn(dim, sensory_dim, generator=generator) / 30
    senses = torch.sin(places @ directions)
    if not smooth:
        senses = torch.randn(number, sensory_dim, generator=generator)
    return Observations(places, sds, senses)


def rows_of(everything, which):
    return everything.take(torch.from_numpy(np.flatnonzero(which)))


def errors_of(gone, left, match_threshold):
    """Errors of reads in double precision; infinite where nothing matches."""
    if len(gone) == 0:
        return np.empty(0)
    if len(left) == 0:
        return np.full(len(gone), np.inf)
    mean, size, _, _ = oracle.read(
        gone.locations, gone.location_sds, left.locations, left.location_sds, left.senses,
        match_threshold,
    )  # fmt: skip
    errors = np.linalg.norm(mean - gone.senses.numpy(), axis=1)
    return np.where(size > 0, errors, np.inf)


# --- leaving one out -----------------------------------------------------------------------------


@pytest.mark.parametrize("match_threshold", [None, 10.0, 25.0])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_leave_one_out_is_the_read_from_all_others(match_threshold, dim):
    everything = observations(40, dim=dim, smooth=False)
    found = leave_one_out(everything, match_threshold)
    for row in range(40):
        others = np.arange(40) != row
        own = rows_of(everything, ~others)
        mean, size, _, _ = oracle.read(
            own.locations, own.location_sds,
            *(getattr(rows_of(everything, others), n)
              for n in ("locations", "location_sds", "senses")),
            match_threshold,
        )  # fmt: skip
        np.testing.assert_allclose(found.value[row], mean[0], atol=ROUNDING)
        assert bool(found.isolated[row]) == (size[0] == 0)
        error = np.linalg.norm(mean[0] - own.senses[0].numpy()) if size[0] > 0 else np.inf
        assert float(found.error[row]) == pytest.approx(error, abs=ROUNDING)


def test_dependencies_are_the_weights_of_the_read():
    everything = observations(60, smooth=False)
    found = leave_one_out(everything, 25.0)
    weights = found.dependencies.toarray()
    np.testing.assert_array_equal(np.diag(weights), 0.0)
    np.testing.assert_allclose(weights @ everything.senses.numpy(), found.value, atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=1), ~found.isolated.numpy(), atol=1e-6)
    distances = torch.cdist(everything.locations, everything.locations).numpy()
    assert (weights[distances > 25.001] == 0).all()
    # Reading at r from t and at t from r weigh the same pair: entries are there for both or none.
    np.testing.assert_array_equal(weights > 0, weights.T > 0)


def test_neighbours_cost_memory_by_pairs_not_by_squares():
    number = 20_000
    places = 3000 * torch.rand(number, 2, generator=torch.Generator().manual_seed(0))
    everything = Observations(places, torch.full((number, 2), 10.0), torch.ones(number, 1))
    found = leave_one_out(everything, 25.0, memory_limit=8 * 2**20)  # all pairs: 1.6 GB
    assert found.dependencies.nnz < 1_000_000
    with pytest.raises(MemoryError, match="smaller match_threshold"):
        leave_one_out(everything, 250.0, memory_limit=8 * 2**20)


@pytest.mark.parametrize("match_threshold", [None, 1e15])
@pytest.mark.parametrize(
    ("dim", "sd", "spread"),
    [(200, 5.0, 50.0), (60, 1e-3, 1e-3), (60, 1e-3, 1.0), (30, 1e12, 1e12), (2, 1e-3, 1.0)],
)
def test_leaving_one_out_stays_in_the_range_of_numbers(dim, sd, spread, match_threshold):
    given = observations(30, dim=dim, spread=spread, smooth=False)
    everything = Observations(
        given.locations, torch.full_like(given.location_sds, sd), given.senses
    )
    found = leave_one_out(everything, match_threshold)
    assert not found.isolated.any()
    for row in range(30):
        others = np.arange(30) != row
        own, rest = rows_of(everything, ~others), rows_of(everything, others)
        expected = oracle.read(
            own.locations, own.location_sds, rest.locations, rest.location_sds, rest.senses
        )[0]
        np.testing.assert_allclose(found.value[row], expected[0], atol=2e-5)
    assert prune(everything, math.inf, match_threshold, target_size=10).report.num_kept < 20


def test_weights_far_from_a_cluster_keep_their_digits():
    generator = torch.Generator().manual_seed(0)
    places = 1e-3 * torch.randn(60, 2, generator=generator)
    places[0] = torch.tensor([24.0, 0.0])  # exponents of 10⁵ and more
    senses = torch.randn(60, 5, generator=generator)
    everything = Observations(places, torch.full((60, 2), 0.05), senses)
    own, rest = everything.take(torch.arange(1)), everything.take(torch.arange(1, 60))
    expected = oracle.read(
        own.locations, own.location_sds, rest.locations, rest.location_sds, rest.senses
    )[0]
    for match_threshold in (None, 25.0):
        found = leave_one_out(everything, match_threshold).value[0]
        np.testing.assert_allclose(found, expected[0], atol=1e-6)


def test_those_that_are_all_alike_are_told_by_each_other():
    sense = torch.tensor([0.3387, -1.7, 123.456])
    many = Observations(torch.zeros(3000, 2), torch.full((3000, 2), 5.0), sense.expand(3000, 3))
    found = leave_one_out(many, 25.0)
    torch.testing.assert_close(found.value, many.senses, rtol=1e-6, atol=0.0)


def test_leave_one_out_of_nearly_nothing():
    assert leave_one_out(observations(0), 25.0).value.shape == (0, 5)
    alone = leave_one_out(observations(1), None)
    assert bool(alone.isolated[0])
    assert float(alone.value.abs().sum()) == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("far", [0.0, 1e7, 1e18])
@pytest.mark.parametrize(
    ("places", "threshold"),
    [
        ([[0.0], [0.1], [0.2]], 0.1),  # of which the second is a hair farther in single precision
        ([[0.0, 0.0], [15.0, 20.0], [40.0, 20.0], [-24.9, 0.0], [-25.001, 0.0]], 25.0),
        ([[-1e-3, 7.0], [4096.0 - 1e-3, 7.0], [8192.0, 7.0]], 4096.0),
        ([[0.0, 0.0], [3e-200, 0.0], [1.0, 1.0]], 2e-200),
    ],
)
def test_who_counts_is_decided_as_in_reads(places, threshold, far, dtype):
    places = torch.tensor(places, dtype=dtype) + far
    everything = Observations(places, torch.full_like(places, 5.0), torch.ones_like(places))
    weights = leave_one_out(everything, threshold).dependencies
    counts = ~beyond(places, places, threshold)
    counts.fill_diagonal_(False)
    assert np.diff(weights.indptr).tolist() == counts.sum(dim=1).tolist()
    np.testing.assert_array_equal(weights.toarray() > 0, counts)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_in_many_dimensions_products_of_variances_leave_the_range_of_numbers(scale):
    everything = observations(12, dim=120, smooth=False)
    places, sds = scale * everything.locations, scale * everything.location_sds
    everything = Observations(places, sds, everything.senses)
    expected = leave_one_out(Observations(places / scale, sds / scale, everything.senses))
    torch.testing.assert_close(leave_one_out(everything).value, expected.value, atol=1e-4, rtol=0)


# --- the certificate -----------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    number=st.integers(0, 60),
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([0.0, 5.0, 40.0, 200.0, 5000.0]),
    tolerance=st.sampled_from([0.0, 0.01, 0.05, 0.3, 2.0, math.inf]),
    match_threshold=st.sampled_from([None, 3.0, 25.0, 1000.0]),
    target_size=st.integers(0, 30),
    smooth=st.booleans(),
    memory_limit=st.sampled_from([pruning.PRUNING_LIMIT, 600]),  # of which one makes parts
)
@example(40, 0, 40.0, 0.3, 25.0, 0, True, 2**30)
@example(40, 0, 40.0, 0.3, 25.0, 0, True, 0)
@example(2, 0, 0.0, 2.0, None, 0, True, 2**30)
def test_what_goes_is_told_by_what_stays(
    number, seed, spread, tolerance, match_threshold, target_size, smooth, memory_limit
):
    everything = observations(number, seed, spread=spread, smooth=smooth)
    found = prune(
        everything, tolerance, match_threshold, target_size=target_size, memory_limit=memory_limit
    )
    gone, left = rows_of(everything, ~found.kept), rows_of(everything, found.kept)
    errors = errors_of(gone, left, match_threshold)
    assert (errors <= tolerance + ROUNDING).all()
    assert len(left) >= min(target_size, number)
    assert found.report.num_removed == len(gone)
    if len(gone) > 0:
        assert np.isfinite(errors).all()
        assert found.report.worst_error == pytest.approx(errors.max(), abs=ROUNDING)
        assert found.report.mean_error == pytest.approx(errors.mean(), abs=ROUNDING)
    isolated = leave_one_out(everything, match_threshold).isolated.numpy()
    assert found.kept[isolated].all()


def test_pruning_ends_where_nothing_more_may_go():
    everything = observations(80, spread=15.0)
    found = prune(everything, 0.3, 25.0)
    assert 10 < found.report.num_removed < 75
    for row in np.flatnonzero(found.kept):
        without = found.kept.copy()
        without[row] = False
        errors = errors_of(rows_of(everything, ~without), rows_of(everything, without), 25.0)
        assert errors.max() > 0.3 * (1 - 2e-4)


def test_the_report_says_why_the_rest_stayed():
    # Two that stand alone; a line of three of which the middle is told by the others; one beside
    # them that smells of something else.
    places = torch.tensor([[500.0, 0], [-500.0, 0], [0.0, 0], [2.0, 0], [4.0, 0], [3.0, 2.0]])
    senses = torch.tensor([[1.0], [1.0], [0.0], [0.0], [0.0], [9.0]])
    everything = Observations(places, torch.full((6, 2), 2.0), senses)
    report = prune(everything, 3.0, 20.0).report
    assert (report.num_before, report.num_isolated) == (6, 2)
    assert report.num_isolated + report.num_own_error + report.num_needed == report.num_kept
    assert report.num_own_error >= 1
    assert report.num_kept >= 4
    assert "isolated" in str(report)
    assert f"{report.num_removed} of 6 observations went" in str(report)


def test_two_that_lean_on_each_other_do_not_both_go():
    places = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    everything = Observations(places, torch.full((2, 2), 5.0), torch.ones(2, 3))
    assert prune(everything, 0.05, 25.0).kept.sum() == 1


def test_what_goes_first_costs_least():
    everything = observations(30, 3)
    arrays = [
        getattr(everything, n).double().numpy() for n in ("locations", "location_sds", "senses")
    ]

    def squared_error(kept):
        left = [array[kept] for array in arrays]
        mean = oracle.read(arrays[0], arrays[1], *left, 25.0)[0]
        return ((mean - arrays[2]) ** 2).sum()

    alone = leave_one_out(everything, 25.0).isolated.numpy()
    costs = [
        np.inf if alone[row] else squared_error(np.arange(30) != row) - squared_error(slice(None))
        for row in range(30)
    ]
    found = prune(everything, math.inf, 25.0, target_size=29)
    assert np.flatnonzero(~found.kept).tolist() == [int(np.argmin(costs))]


@pytest.mark.parametrize("match_threshold", [25.0, None])
def test_costs_are_those_of_reading_with_and_without(match_threshold):
    """After some have gone, sums that were kept up to date agree with sums made anew."""
    everything = observations(60, 5, spread=20.0)
    state = pruning._State.of(everything, 60, np.full(60, math.inf), match_threshold, 2**30)
    pruning._remove_greedily(25, np.zeros(1, dtype=np.bool_), *state.arrays)
    arrays = [
        getattr(everything, n).double().numpy() for n in ("locations", "location_sds", "senses")
    ]

    def squares(kept):
        left = [array[kept] for array in arrays]
        mean = oracle.read(arrays[0], arrays[1], *left, match_threshold)[0]
        return ((mean - arrays[2]) ** 2).sum()

    kept = state.left
    assert kept.sum() == 25
    for row in range(60):
        assert state.counts[row] == state.kept[state.neighbours.of_row(row)].sum()
    scratch = np.empty(state.senses.shape[1], dtype=state.senses.dtype)
    compared = 0
    for row in np.flatnonzero(state.kept):
        cost, why = pruning._cost(int(row), scratch, *state.arrays)
        if why == pruning._MAY_GO:
            without = kept.copy()
            without[state.order[row]] = False
            assert cost == pytest.approx(squares(without) - squares(kept), abs=1e-4)
            compared += 1
    assert compared > 10


def test_the_last_that_tells_what_has_gone_has_to_stay():
    places = torch.tensor([[0.0, 0.0], [24.0, 0.0], [30.0, 0.0]])
    everything = Observations(places, torch.full((3, 2), 10.0), torch.ones(3, 4))
    state = pruning._State.of(everything, 3, np.full(3, math.inf), 25.0, 2**30)
    first, second, third = (int(np.flatnonzero(state.order == number)[0]) for number in range(3))
    scratch = np.empty(state.senses.shape[1], dtype=state.senses.dtype)
    assert pruning._cost(second, scratch, *state.arrays)[1] == pruning._MAY_GO
    pruning._remove(third, *state.arrays)
    assert pruning._cost(second, scratch, *state.arrays) == (math.inf, pruning._NEEDED)
    pruning._remove(second, *state.arrays)
    assert pruning._cost(first, scratch, *state.arrays) == (math.inf, pruning._ISOLATED)


def test_order_ids_and_ages_stay():
    memory = SpatialMemory(2, 5, max_memory_size=100)
    everything = observations(100, 1)
    memory.write(everything.locations, everything.location_sds, everything.senses)
    columns = zip(memory.ids[0], memory.ages[0], memory.memory_senses[0], strict=True)
    before = {int(identity): (int(age), sense) for identity, age, sense in columns}
    report = memory.prune(0.1, 25.0)
    assert 0 < report.num_kept < 100
    assert len(memory) == report.num_kept
    assert (memory.ids[0].diff() > 0).all()
    for identity, age, sense in zip(
        memory.ids[0], memory.ages[0], memory.memory_senses[0], strict=True
    ):
        assert before[int(identity)][0] == int(age)
        assert torch.equal(before[int(identity)][1], sense)
    oldest = int(memory.ids[0, 0])
    number = 101 - report.num_kept
    memory.write(torch.randn(number, 2), 5.0, torch.zeros(number, 5))
    assert oldest not in memory.ids[0].tolist()  # the oldest goes first, after pruning, too
    assert int(memory.ids.max()) == 100 + 101 - report.num_kept - 1


def test_rows_of_a_batch_are_pruned_each_by_itself():
    parts = [observations(50, seed) for seed in (1, 2)]
    parts[1] = Observations(parts[1].locations * 100, parts[1].location_sds, parts[1].senses)
    together = SpatialMemory(2, 5)
    names = ("locations", "location_sds", "senses")
    together.write(*(torch.stack([getattr(part, n) for part in parts]) for n in names))
    report = together.prune(0.2, 25.0)
    assert [row.num_before for row in report.rows] == [50, 50]
    assert report.num_removed == sum(row.num_removed for row in report.rows)
    assert report.worst_error == max(row.worst_error for row in report.rows)
    for index, part in enumerate(parts):
        alone = prune(part, 0.2, 25.0)
        expected = np.flatnonzero(alone.kept)
        ids = together.ids[index]
        np.testing.assert_array_equal(ids[ids >= 0], expected)
        assert report.rows[index].num_kept == len(expected)
    assert report.rows[1].num_kept == 50  # they are all isolated, and none is lost to padding


# --- pruning again and again ---------------------------------------------------------------------


def test_repeated_pruning_is_held_against_the_originals():
    """Pruning what was pruned lets errors add up; remembering originals forbids that."""
    everything = observations(150, 2, spread=30.0)
    originals, tolerance = everything, 0.1

    def repeatedly(max_witnesses):
        memory = SpatialMemory(2, 5, max_memory_size=1000)
        memory.write(everything.locations, everything.location_sds, everything.senses)
        for _ in range(12):
            memory.prune(tolerance, 15.0, max_witnesses=max_witnesses)
        ids = set(memory.ids[0].tolist())
        left = np.array([i in ids for i in range(150)])
        return errors_of(rows_of(originals, ~left), rows_of(originals, left), 15.0)

    assert repeatedly(None).max() <= tolerance + ROUNDING
    forgetful = repeatedly(0)
    assert forgetful.max() > 2 * tolerance


def test_new_observations_do_not_void_the_certificate():
    memory = SpatialMemory(2, 5, max_memory_size=1000)
    first, second = (observations(120, seed, spread=15.0) for seed in (1, 4))
    memory.write(first.locations, first.location_sds, first.senses)
    assert memory.prune(0.3, 25.0).num_removed > 20
    memory.write(second.locations[:20], second.location_sds[:20], second.senses[:20])
    contradicted = memory.prune(0.3, 25.0)
    assert contradicted.num_lost_witnesses > 0  # another field of smells: nothing can mend that
    assert contradicted.num_witnesses > 0
    again = memory.prune(0.3, 25.0)
    assert (again.num_lost_witnesses, again.num_removed) == (0, 0)
    assert (again.worst_error, again.mean_error) == (0.0, 0.0)  # of what went, not of witnesses
    assert again.num_witnesses == contradicted.num_witnesses + contradicted.num_removed


@pytest.mark.parametrize("strength", [1.0, 0.0])  # to read nothing is not to know of nothing
def test_witnesses_whose_support_was_deleted_are_counted_and_let_go(strength):
    memory = SpatialMemory(2, 2)
    senses = torch.full((3, 2), strength)
    memory.write([[0.0, 0.0], [1.0, 0.0], [50.0, 0.0]], 5.0, senses)
    assert memory.prune(0.05, 25.0).num_removed == 1
    kept = [i for i in memory.ids[0].tolist() if i < 2]
    memory.delete(kept)
    report = memory.prune(0.05, 25.0)
    assert (report.num_lost_witnesses, report.num_witnesses) == (1, 0)
    assert memory.prune(0.05, 25.0).num_lost_witnesses == 0


def test_witnesses_are_bounded_saved_and_expressed_anew(tmp_path):
    everything = observations(100, 1)
    memory = SpatialMemory(2, 5, 3, max_memory_size=100)
    memory.fit_projection(everything.senses)
    memory.write(everything.locations, everything.location_sds, everything.senses)
    report = memory.prune(0.3, 25.0, max_witnesses=7)
    assert report.num_removed > 7
    left = set(memory.ids[0].tolist())
    latest = [identity for identity in range(100) if identity not in left][-7:]
    assert torch.equal(
        memory._rows[0].witnesses.observations.locations, everything.locations[latest]
    )
    memory.save(tmp_path / "memory")
    again = SpatialMemory.load(tmp_path / "memory")
    for one in (memory, again):
        assert one.prune(0.3, 25.0).num_witnesses == 7
    gone = memory._rows[0].witnesses.observations
    decoded = memory.projection.decode(gone.senses)
    memory.fit_projection(torch.randn(50, 5, generator=torch.Generator().manual_seed(0)))
    assert not torch.allclose(memory._rows[0].witnesses.observations.senses, gone.senses)
    decoded_anew = memory.projection.decode(memory._rows[0].witnesses.observations.senses)
    kept = memory.projection.matrix.mT @ memory.projection.matrix
    expected = (decoded - memory.projection.mean) @ kept + memory.projection.mean
    torch.testing.assert_close(decoded_anew, expected, atol=1e-4, rtol=0)
    memory.to(dtype=torch.float64)
    assert memory._rows[0].witnesses.observations.senses.dtype == torch.float64
    memory.prune(0.3, 25.0)


def test_own_limits_of_witnesses_hold_where_the_tolerance_is_less():
    everything = observations(60, 8, spread=20.0)
    loose = prune(everything, 0.4, 25.0)
    gone, left = rows_of(everything, ~loose.kept), rows_of(everything, loose.kept)
    witnesses = Witnesses(gone, np.full(len(gone), 0.4))
    again = prune(left, 0.01, 25.0, witnesses=witnesses)
    assert again.witnesses_kept.all()
    tight = prune(left, 0.01, 25.0, witnesses=Witnesses(gone, np.full(len(gone), 0.01)))
    assert not tight.witnesses_kept.all()


# --- crowds --------------------------------------------------------------------------------------


def crowd(number, *, around=0.0, noise=0.0, sides=1, seed=0):
    """Who rests: nearly one place and one smell, or one for each of several sides in turn."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.tensor([70.0, -20.0]) + around * torch.randn(number, 2, generator=generator)
    senses = torch.nn.functional.one_hot(torch.arange(number) % sides, 3).float()
    senses = senses + noise / math.sqrt(3) * torch.randn(number, 3, generator=generator)
    return Observations(places, torch.full((number, 2), 10.0), senses)


def test_a_crowd_is_pruned_whatever_its_size():
    """The lists of neighbours of ten thousand would take more than the default limit."""
    everything = crowd(10_000, around=0.05, noise=0.02)
    found = prune(everything, 0.2, 25.0)
    assert found.kept.sum() == 1
    some = rows_of(everything, ~found.kept).take(slice(0, 300))
    errors = errors_of(some, rows_of(everything, found.kept), 25.0)
    assert 0 < errors.max() <= 0.2


def test_without_a_threshold_a_crowd_is_recognised_before_all_pairs_are_looked_at(monkeypatch):
    everything = crowd(1000, around=0.05, noise=0.02)
    looked = []
    find_best = pruning._find_best
    monkeypatch.setattr(
        pruning, "_find_best", lambda *a: (looked.append(len(a[2])), find_best(*a))[1]
    )
    found = prune(everything, 0.2, None, memory_limit=12 * 10_000)
    assert found.kept.sum() == 1
    assert looked[0] <= pruning._PART  # parts first, and only what is left of them together
    errors = errors_of(rows_of(everything, ~found.kept), rows_of(everything, found.kept), None)
    assert errors.max() <= 0.2


@pytest.mark.parametrize("around", [0.0, 0.05, 15.0])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2, 0.6])
def test_crowds_in_parts_keep_the_promise(monkeypatch, around, noise):
    monkeypatch.setattr(pruning, "_PART", 50)
    others = observations(60, sensory_dim=3, spread=60.0)
    everything = crowd(300, around=around, noise=noise).followed_by(others)
    whole = prune(everything, 0.2, 25.0)
    found = prune(everything, 0.2, 25.0, memory_limit=12 * 3000)
    gone, left = rows_of(everything, ~found.kept), rows_of(everything, found.kept)
    errors = errors_of(gone, left, 25.0)
    assert (errors <= 0.2 + ROUNDING).all()
    assert found.report.worst_error == pytest.approx(errors.max(initial=0.0), abs=ROUNDING)
    assert found.report.num_removed == len(gone) > 0.5 * whole.report.num_removed
    reasons = (found.report.num_isolated, found.report.num_own_error, found.report.num_needed)
    assert sum(reasons) == found.report.num_kept


def test_those_of_a_crowd_that_contradict_each_other_all_stay():
    everything = crowd(400, sides=2)
    for limit in (2**30, 1000):
        found = prune(everything, 0.2, 25.0, memory_limit=limit)
        assert found.kept.all()
        assert found.report.num_own_error == 400
    one_against_many = crowd(400)
    one_against_many.senses[7] = torch.tensor([0.0, 0.0, 3.0])
    for limit in (2**30, 1000):
        found = prune(one_against_many, 0.2, 25.0, memory_limit=limit)
        assert found.kept[7]
        gone, left = rows_of(one_against_many, ~found.kept), rows_of(one_against_many, found.kept)
        assert errors_of(gone, left, 25.0).max() <= 0.2 + ROUNDING
        assert len(gone) > 300


@pytest.mark.parametrize("target_size", [200, 37, 0])
def test_a_crowd_goes_down_to_a_size_whatever_it_costs(target_size):
    everything = crowd(700, around=8.0, noise=1.0)
    found = prune(everything, math.inf, 25.0, target_size=target_size, memory_limit=12 * 3000)
    if target_size > 0:
        assert found.report.num_kept == target_size
        return
    # Whatever has gone must have something in reach: then nothing more can go.
    gone, left = rows_of(everything, ~found.kept), rows_of(everything, found.kept)
    witnesses = Witnesses(gone, np.full(len(gone), math.inf))
    again = prune(left, math.inf, 25.0, target_size=0, witnesses=witnesses)
    assert again.report.num_removed == 0
    assert 0 < found.report.num_kept < 10
    assert np.isfinite(errors_of(gone, left, 25.0)).all()


def test_earlier_witnesses_are_told_by_what_is_left_of_a_crowd(monkeypatch):
    monkeypatch.setattr(pruning, "_PART", 50)
    first, second = crowd(200, around=4.0, noise=0.1), crowd(300, around=4.0, noise=0.1, seed=1)
    loose = prune(first, 0.2, 25.0)
    gone, left = rows_of(first, ~loose.kept), rows_of(first, loose.kept)
    assert len(gone) > 150
    everything = left.followed_by(second)
    found = prune(
        everything, 0.2, 25.0, witnesses=Witnesses(gone, np.full(len(gone), 0.2)),
        memory_limit=12 * 3000,
    )  # fmt: skip
    assert found.report.num_removed > 100
    kept = rows_of(everything, found.kept)
    everyone = rows_of(gone, found.witnesses_kept).followed_by(rows_of(everything, ~found.kept))
    assert found.witnesses_kept.sum() > 100
    assert errors_of(everyone, kept, 25.0).max() <= 0.2 + ROUNDING


def test_who_stays_is_not_told():
    """What the certificate does not say: reads where observations stay may come to be anything."""
    angle = torch.arange(8) * (2 * math.pi / 8)
    ring = 3 * torch.stack([angle.cos(), angle.sin()], dim=1)
    places = torch.cat([torch.zeros(1, 2), ring])
    senses = torch.tensor([[1.0]] + [[0.0]] * 8)
    everything = Observations(places, torch.full((9, 2), 10.0), senses)
    found = prune(everything, 0.05, 25.0)
    left = rows_of(everything, found.kept)
    assert found.kept[0]
    assert errors_of(rows_of(everything, ~found.kept), left, 25.0).max(initial=0.0) <= 0.05
    assert errors_of(everything.take(slice(0, 1)), left, 25.0).max() > 0.8


@pytest.mark.parametrize("mode", ["inference", "float64 by default"])
def test_it_works_in_every_mode_of_torch(mode):
    everything = observations(80, spread=20.0)
    expected = prune(everything, 0.3, 25.0).kept
    if mode == "inference":
        with torch.inference_mode():
            found = prune(everything.take(slice(None)), 0.3, 25.0)
            leave_one_out(observations(30), 25.0)
            prune(crowd(60), 0.3, 25.0, memory_limit=100)
        made_there = prune(_made_in_inference_mode(), 0.3, 25.0)
        np.testing.assert_array_equal(made_there.kept, expected)
    else:
        torch.set_default_dtype(torch.float64)
        try:
            found = prune(everything, 0.3, 25.0)
            prune(crowd(60), 0.3, 25.0, memory_limit=100)
        finally:
            torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found.kept, expected)


def _made_in_inference_mode():
    with torch.inference_mode():
        return observations(80, spread=20.0)


# --- choices and errors --------------------------------------------------------------------------


def test_prunes_to_a_size():
    everything = observations(100, 2, spread=25.0)
    found = prune(everything, math.inf, 25.0, target_size=30)
    assert found.report.num_kept == 30
    within = prune(everything, 0.01, 25.0, target_size=30)
    assert within.report.num_kept > 30  # the tolerance goes before the size


def test_more_passes_let_more_go():
    counts = [prune(observations(300, 6), 0.05, 25.0, steps).report.num_kept for steps in (1, 10)]
    assert counts[1] < counts[0]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"max_error_to_prune": -0.1}, "at least 0, but is -0.1"),
        ({"max_error_to_prune": math.nan}, "at least 0, but is nan"),
        ({"max_prune_steps": 0}, "max_prune_steps must be at least 1"),
        ({"target_size": -1}, "target_size must not be negative"),
        ({"match_threshold": 0.0}, "match_threshold must be a positive distance"),
    ],
)
def test_what_is_out_of_range_is_refused(choices, message):
    memory = SpatialMemory(2, 5)
    everything = observations(10)
    memory.write(everything.locations, everything.location_sds, everything.senses)
    with pytest.raises(ValueError, match=message):
        memory.prune(**choices)
    assert len(memory) == 10


def test_numbers_come_in_any_precision_and_are_whole_where_they_count():
    everything = observations(60)
    kept = prune(everything, 1.0, 25.0, 3, target_size=20).kept
    value = leave_one_out(everything, 25.0).value
    for distance in (np.int8(25), torch.tensor(25), Fraction(25)):
        found = prune(everything, np.float16(1), distance, np.int8(3), target_size=np.uint8(20))
        assert np.array_equal(found.kept, kept)
        assert torch.equal(leave_one_out(everything, distance).value, value)
    for name in ("max_prune_steps", "target_size", "memory_limit"):
        for wrong in (2.5, True, "2"):
            with pytest.raises(ValueError, match=f"{name} must be a whole number"):
                prune(everything, **{name: wrong})
    for name in ("max_error_to_prune", "match_threshold"):
        for wrong in (True, "25", 25j):
            with pytest.raises(ValueError, match=f"{name} must be a real number"):
                prune(everything, **{name: wrong})


def test_leaving_one_out_of_a_crowd_is_refused_by_its_size():
    everything = observations(100, spread=1.0)
    assert leave_one_out(everything, 25.0, memory_limit=12 * 9900).dependencies.nnz == 9900
    with pytest.raises(MemoryError, match="100 observations have more than 4949 pairs"):
        leave_one_out(everything, 25.0, memory_limit=12 * 9899)


def test_a_memory_with_gradients_does_not_forget():
    memory = SpatialMemory(2, 5)
    everything = observations(10)
    memory.write(everything.locations, everything.location_sds, everything.senses)
    memory.requires_grad_()
    with pytest.raises(ValueError, match=r"requires_grad_\(False\) first"):
        memory.prune()
    memory.requires_grad_(False)
    memory.prune()


def test_an_empty_memory_has_nothing_to_prune():
    report = SpatialMemory(2, 5).prune()
    assert (report.num_before, report.num_removed, report.worst_error) == (0, 0, 0.0)


def test_what_rounding_spoils_is_put_back():
    everything = observations(50, 1, spread=15.0)
    limits = np.full(50, 0.4)
    state = pruning._State.of(everything, 50, limits, 25.0, 2**30)
    state.kept[::2] = False  # more than may go
    errors = pruning._put_back(state, everything, limits, 25.0, np.zeros(1, dtype=np.bool_))
    assert 25 < state.kept.sum() < 50
    assert errors.max() <= 0.4
    left = state.left
    found = errors_of(rows_of(everything, ~left), rows_of(everything, left), 25.0)
    np.testing.assert_allclose(np.sort(found), np.sort(errors), atol=ROUNDING)


def test_senses_in_few_axes_keep_their_distances():
    generator = torch.Generator().manual_seed(0)
    senses = torch.randn(200, 7, generator=generator) @ torch.randn(7, 64, generator=generator)
    few = torch.from_numpy(pruning._in_few_axes(senses))
    assert few.shape == (200, 7)
    distances = [torch.cdist(z.double(), z.double()) for z in (few, senses)]
    torch.testing.assert_close(*distances, atol=1e-4, rtol=1e-5)
    full = torch.randn(100, 9, generator=generator)
    assert np.array_equal(pruning._in_few_axes(full), full.numpy())
    assert pruning._in_few_axes(torch.zeros(3, 4)).shape == (3, 1)
