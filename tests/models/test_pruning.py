"""What goes can be told from what stays: always, and against the original."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.models import oracle
from tests.models.remembered import ROUNDING, errors_of, observations, rows_of
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.forget import crowds, neighbours
from tree_world.models.memory.forget import removal as removals
from tree_world.models.memory.forget.certificate import put_back_spoilt
from tree_world.models.memory.forget.greedy import ISOLATED, MAY_GO, NEEDED
from tree_world.models.memory.forget.leave_one_out import leave_one_out
from tree_world.models.memory.forget.neighbours import PRUNING_LIMIT, Places
from tree_world.models.memory.forget.pruning import prune
from tree_world.models.memory.forget.removal import Removal, in_few_axes
from tree_world.models.memory.types import Observations, Witnesses

GO_ON = np.zeros(1, dtype=np.bool_)

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
    memory_limit=st.sampled_from([PRUNING_LIMIT, 600]),  # of which one makes parts
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


def starting(everything, kept, limits, match_threshold=25.0):
    """What is left where some have gone already."""
    places, senses = Places.of(everything), in_few_axes(everything.senses)
    arrays = (places, senses, kept, len(kept), limits)
    return Removal.starting(*arrays, match_threshold, PRUNING_LIMIT)


@pytest.mark.parametrize("match_threshold", [25.0, None])
def test_costs_are_those_of_reading_with_and_without(match_threshold):
    """After some have gone, sums that were kept up to date agree with sums made anew."""
    everything, limits = observations(60, 5, spread=20.0), np.full(60, math.inf)
    removal = Removal.of(everything, 60, limits, match_threshold, PRUNING_LIMIT)
    removal.remove_greedily(1, 25, GO_ON)
    arrays = [
        getattr(everything, n).double().numpy() for n in ("locations", "location_sds", "senses")
    ]

    def squares(kept):
        left = [array[kept] for array in arrays]
        mean = oracle.read(arrays[0], arrays[1], *left, match_threshold)[0]
        return ((mean - arrays[2]) ** 2).sum()

    kept = removal.left
    assert kept.sum() == 25
    costs, reasons = removal.costs()
    anew, reasons_anew = starting(everything, kept, limits, match_threshold).costs()
    np.testing.assert_array_equal(reasons, reasons_anew)
    may_go = kept & (reasons == MAY_GO)
    np.testing.assert_allclose(costs[may_go], anew[may_go], atol=1e-4)
    assert np.isinf(costs[~may_go]).all()
    assert may_go.sum() > 10
    for row in np.flatnonzero(may_go):
        without = kept.copy()
        without[row] = False
        assert costs[row] == pytest.approx(squares(without) - squares(kept), abs=1e-4)


def test_the_last_that_tells_what_has_gone_has_to_stay():
    places = torch.tensor([[0.0, 0.0], [24.0, 0.0], [30.0, 0.0]])
    everything = Observations(places, torch.full((3, 2), 10.0), torch.ones(3, 4))

    def reason_of(number, *left):
        kept = np.isin(np.arange(3), left)
        costs, reasons = starting(everything, kept, np.full(3, math.inf)).costs()
        assert np.isinf(costs[number]) == (reasons[number] != MAY_GO)
        return reasons[number]

    assert reason_of(1, 0, 1, 2) == MAY_GO
    assert reason_of(1, 0, 1) == NEEDED
    assert reason_of(0, 0) == ISOLATED


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
        memory[0].store.witnesses.observations.locations, everything.locations[latest]
    )
    memory.save(tmp_path / "memory")
    again = SpatialMemory.load(tmp_path / "memory")
    for one in (memory, again):
        assert one.prune(0.3, 25.0).num_witnesses == 7
    gone = memory[0].store.witnesses.observations
    decoded = memory.projection.decode(gone.senses)
    memory.fit_projection(torch.randn(50, 5, generator=torch.Generator().manual_seed(0)))
    assert not torch.allclose(memory[0].store.witnesses.observations.senses, gone.senses)
    decoded_anew = memory.projection.decode(memory[0].store.witnesses.observations.senses)
    kept = memory.projection.matrix.mT @ memory.projection.matrix
    expected = (decoded - memory.projection.mean) @ kept + memory.projection.mean
    torch.testing.assert_close(decoded_anew, expected, atol=1e-4, rtol=0)
    memory.to(dtype=torch.float64)
    assert memory[0].store.witnesses.observations.senses.dtype == torch.float64
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
    """The lists of neighbours of all would take 60 MB."""
    everything = crowd(2500, around=0.05, noise=0.02)
    found = prune(everything, 0.2, 25.0, memory_limit=2**24)
    assert found.kept.sum() == 1
    some = rows_of(everything, ~found.kept).take(slice(0, 300))
    errors = errors_of(some, rows_of(everything, found.kept), 25.0)
    assert 0 < errors.max() <= 0.2


def test_without_a_threshold_a_crowd_is_recognised_before_all_pairs_are_looked_at(monkeypatch):
    everything = crowd(1000, around=0.05, noise=0.02)
    monkeypatch.setattr(neighbours, "FEW", 0)  # parts are looked at as many are
    looked = []
    find_best = neighbours.find_best
    monkeypatch.setattr(
        neighbours, "find_best", lambda places: (looked.append(len(places)), find_best(places))[1]
    )
    found = prune(everything, 0.2, None, memory_limit=12 * 10_000)
    assert found.kept.sum() == 1
    assert looked[0] <= crowds.PART  # parts first, and only what is left of them together
    errors = errors_of(rows_of(everything, ~found.kept), rows_of(everything, found.kept), None)
    assert errors.max() <= 0.2


@pytest.mark.parametrize("around", [0.0, 0.05, 15.0])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2, 0.6])
def test_crowds_in_parts_keep_the_promise(monkeypatch, around, noise):
    monkeypatch.setattr(crowds, "PART", 50)
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
    monkeypatch.setattr(crowds, "PART", 50)
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


def test_more_passes_let_more_go_where_the_order_is_lazy(monkeypatch):
    monkeypatch.setattr(removals, "EXACT", 0)
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
    everything, limits = observations(50, 1, spread=15.0), np.full(50, 0.4)
    removal = starting(everything, np.arange(50) % 2 > 0, limits)  # more have gone than may
    errors = put_back_spoilt(removal, everything, limits, 25.0, GO_ON)
    left = removal.left
    assert 25 < left.sum() < 50
    assert errors.max() <= 0.4
    found = errors_of(rows_of(everything, ~left), rows_of(everything, left), 25.0)
    np.testing.assert_allclose(np.sort(found), np.sort(errors), atol=ROUNDING)


def test_senses_in_few_axes_keep_their_distances():
    generator = torch.Generator().manual_seed(0)
    senses = torch.randn(200, 7, generator=generator) @ torch.randn(7, 64, generator=generator)
    few = torch.from_numpy(in_few_axes(senses))
    assert few.shape == (200, 7)
    distances = [torch.cdist(z.double(), z.double()) for z in (few, senses)]
    torch.testing.assert_close(*distances, atol=1e-4, rtol=1e-5)
    full = torch.randn(100, 9, generator=generator)
    assert np.array_equal(in_few_axes(full), full.numpy())
    assert in_few_axes(torch.zeros(3, 4)).shape == (3, 1)
