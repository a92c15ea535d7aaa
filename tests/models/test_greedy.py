"""What goes, and in which order, against all costs computed anew by the plain formula."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.models import oracle
from tests.models.remembered import ROUNDING, errors_of, observations, rows_of
from tree_world.models.memory import Prune, SpatialMemory
from tree_world.models.memory.forget import removal as removals
from tree_world.models.memory.forget.certificate import limits_of_what_stays, spoilt_kept
from tree_world.models.memory.forget.crowds import Crowds
from tree_world.models.memory.forget.neighbours import PRUNING_LIMIT
from tree_world.models.memory.forget.pruning import prune
from tree_world.models.memory.forget.removal import Removal
from tree_world.models.memory.types import Observations, Witnesses

GO_ON = np.zeros(1, dtype=np.bool_)
LEFT_TO_ROUNDING = 2e-4  # share of a limit within which either may be right


# --- the formula ---------------------------------------------------------------------------------


class Formula:
    """Errors of reads at all places from what is left, in double precision, by all pairs."""

    def __init__(self, everything, match_threshold):
        places, sds, self.senses = (
            getattr(everything, name).double().numpy()
            for name in ("locations", "location_sds", "senses")
        )
        variance = sds[:, None] ** 2 + sds[None] ** 2
        step = places[:, None] - places[None]
        log_k = -0.5 * (step**2 / variance + np.log(variance)).sum(axis=-1)
        far = np.sqrt((step**2).sum(axis=-1)) > (match_threshold or math.inf)
        self.log_k = np.where(far, -np.inf, log_k)

    def errors(self, left):
        """Infinite where nothing is read."""
        log_k = np.where(left, self.log_k, -np.inf)
        best = log_k.max(axis=1, keepdims=True)
        k = np.exp(log_k - np.where(np.isfinite(best), best, 0.0))
        weight = k.sum(axis=1)
        read = k @ self.senses / np.where(weight > 0, weight, 1.0)[:, None]
        return np.where(weight > 0, np.linalg.norm(read - self.senses, axis=1), np.inf)

    def choices(self, left, tolerance, limits_kept):
        """Of each that is left: what its going costs, and by how much it oversteps the limits."""
        before = (self.errors(left) ** 2).sum()
        costs, excess = np.full(len(left), np.inf), np.full(len(left), np.inf)
        for one in np.flatnonzero(left):
            without = left.copy()
            without[one] = False
            errors = self.errors(without)
            limits = np.where(without, limits_kept, tolerance)
            if np.isfinite(errors).all():
                costs[one] = (errors**2).sum() - before
                over = errors / np.maximum(limits, 1e-12)
                excess[one] = over[np.isfinite(limits)].max(initial=0.0)
        return costs, excess


def limits_by_formula(formula, tolerance, certify):
    """How far reads may be from what stays."""
    errors = formula.errors(np.ones(len(formula.senses), dtype=bool))
    if certify == "gone":
        return np.full(len(errors), np.inf)
    return np.where(errors <= tolerance, tolerance, errors * (1 + LEFT_TO_ROUNDING))


def remembered(number, seed, kind, spread):
    """Observations: smooth, noisy, with duplicates, or in clusters."""
    everything = observations(number, seed, spread=spread, smooth=kind != "noisy")
    generator = torch.Generator().manual_seed(seed)
    if kind == "duplicates":
        return everything.take(torch.randint(number, (number,), generator=generator))
    if kind == "clusters":
        centres = everything.locations[
            torch.randint(min(4, number), (number,), generator=generator)
        ]
        places = centres + 0.5 * torch.randn(number, 2, generator=generator)
        return Observations(places, everything.location_sds, everything.senses)
    return everything


def hilly(number, seed, spread):
    """Observations of senses that go up and down within the reach of reads."""
    everything = observations(number, seed, spread=spread)
    senses = torch.sin(everything.locations @ torch.tensor([[0.1, 0.0], [0.0, 0.12]]))
    return Observations(everything.locations, everything.location_sds, senses)


KINDS = st.sampled_from(["smooth", "noisy", "duplicates", "clusters"])


# --- the order -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    number=st.integers(4, 26),
    seed=st.integers(0, 10_000),
    kind=KINDS,
    spread=st.sampled_from([5.0, 20.0, 60.0]),
    match_threshold=st.sampled_from([None, 10.0, 25.0]),
    tolerance=st.sampled_from([0.05, 0.3, math.inf]),
    certify=st.sampled_from(["gone", "all"]),
)
@example(26, 1, "noisy", 20.0, 25.0, math.inf, "gone")
@example(26, 2, "smooth", 20.0, 25.0, 0.3, "gone")
@example(26, 3, "clusters", 20.0, 25.0, 0.3, "all")
@example(26, 4, "duplicates", 20.0, None, 0.3, "all")
def test_each_time_the_cheapest_of_all_that_may_go_goes(
    number, seed, kind, spread, match_threshold, tolerance, certify
):
    if match_threshold is None:  # else what counts least is left out
        spread = 5.0
    everything = remembered(number, seed, kind, spread)
    formula = Formula(everything, match_threshold)
    limits, limits_kept = np.full(number, tolerance), limits_by_formula(formula, tolerance, certify)
    scale = float(formula.senses.std()) ** 2 * number
    left = np.ones(number, dtype=bool)
    for size in range(number - 1, -1, -1):
        removal = Removal.of(
            everything, number, limits, match_threshold, PRUNING_LIMIT, limits_kept=limits_kept
        )
        removal.remove_greedily(1, size, GO_ON)  # from the beginning, so that sums grow old
        costs, excess = formula.choices(left, tolerance, limits_kept)
        surely = costs[excess < 1 - LEFT_TO_ROUNDING].min(initial=np.inf)
        gone = np.flatnonzero(left & ~removal.left)
        if len(gone) == 0:
            assert surely == np.inf
            break
        assert len(gone) == 1
        assert excess[gone[0]] <= 1
        assert costs[gone[0]] <= surely + 2e-5 * scale
        left = removal.left


def test_hundreds_go_in_the_order_of_the_formula():
    """Where there are no ties, the very same go, and not only such as cost as little."""
    everything = observations(130, 7, spread=30.0, smooth=False)
    formula, left = Formula(everything, 25.0), np.ones(130, dtype=bool)
    for _ in range(90):
        costs, _ = formula.choices(left, math.inf, np.full(130, np.inf))
        left[costs.argmin()] = False
    found = prune(everything, math.inf, 25.0, target_size=40)
    np.testing.assert_array_equal(found.kept, left)


def test_costs_that_have_fallen_are_noticed(monkeypatch):
    everything = observations(300, 3, spread=40.0)
    squared = {}
    for most in (5000, 0):
        monkeypatch.setattr(removals, "EXACT", most)
        kept = prune(everything, math.inf, 25.0, target_size=100).kept
        squared[most] = (Formula(everything, 25.0).errors(kept) ** 2).sum()
    assert squared[5000] < 0.95 * squared[0]


@pytest.mark.parametrize("places", ["one place", "all alike"])
def test_of_equal_costs_the_first_goes(places):
    spot = torch.zeros(5, 2) if places == "one place" else torch.arange(10.0).reshape(5, 2) * 1e-3
    everything = Observations(spot, torch.full((5, 2), 5.0), torch.ones(5, 3))
    for size in range(5):
        kept = prune(everything, 0.1, 25.0, target_size=size).kept
        assert np.flatnonzero(kept).tolist() == list(range(min(5 - max(size, 1), 4), 5))


def test_it_is_exact_up_to_a_number_that_fits(monkeypatch):
    def is_exact(number, match_threshold, memory_limit=PRUNING_LIMIT, spread=2.0):
        everything = observations(number, spread=spread)
        limits = np.full(number, 0.1)
        return Removal.of(everything, number, limits, match_threshold, memory_limit).is_exact

    assert is_exact(removals.EXACT, 5.0, spread=400.0)
    assert not is_exact(removals.EXACT + 1, 5.0, spread=400.0)
    assert is_exact(60, 25.0, 59 * 60 * 32)
    assert not is_exact(60, 25.0, 59 * 60 * 32 - 1)
    monkeypatch.setattr(removals, "CROWDED", 60 * 59**2)
    assert is_exact(60, 25.0)
    assert not is_exact(61, 25.0)


# --- what stays ----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    number=st.integers(1, 60),
    seed=st.integers(0, 10_000),
    kind=KINDS,
    spread=st.sampled_from([0.0, 5.0, 40.0, 200.0]),
    tolerance=st.sampled_from([0.0, 0.05, 0.3, 1.0, math.inf]),
    match_threshold=st.sampled_from([None, 3.0, 25.0]),
    certify=st.sampled_from(["gone", "all"]),
    most=st.sampled_from([5000, 0]),  # of which one is lazy
    memory_limit=st.sampled_from([PRUNING_LIMIT, 600]),  # of which one makes parts
    share_witnesses=st.sampled_from([0.0, 0.3]),
)
@example(60, 0, "smooth", 20.0, 0.3, 25.0, "all", 5000, PRUNING_LIMIT, 0.3)
@example(60, 0, "noisy", 20.0, 1.0, 25.0, "all", 0, PRUNING_LIMIT, 0.0)
@example(60, 0, "clusters", 40.0, 0.3, 25.0, "all", 5000, 600, 0.0)
def test_both_certificates_hold(
    number, seed, kind, spread, tolerance, match_threshold, certify, most, memory_limit,
    share_witnesses,
):  # fmt: skip
    everything = remembered(number, seed, kind, spread)
    earlier = np.random.default_rng(seed).random(number) < share_witnesses
    gone_before, stored = rows_of(everything, earlier), rows_of(everything, ~earlier)
    witnesses = Witnesses(gone_before, np.full(len(gone_before), tolerance))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(removals, "EXACT", most)
        found = prune(
            stored, tolerance, match_threshold, certify=certify, witnesses=witnesses,
            memory_limit=memory_limit,
        )  # fmt: skip
    left = rows_of(stored, found.kept)
    gone = rows_of(stored, ~found.kept).followed_by(rows_of(gone_before, found.witnesses_kept))
    assert (errors_of(gone, left, match_threshold) <= tolerance + ROUNDING).all()
    before, after = (errors_of(stored, some, match_threshold) for some in (stored, left))
    within = before <= tolerance
    if certify == "all":
        assert (after[within] <= tolerance + ROUNDING).all()
        worse = after[found.kept & ~within] - before[found.kept & ~within]
        assert (worse <= 2.1 * LEFT_TO_ROUNDING * before.max(initial=0.0) + ROUNDING).all()
    counted = [int((after[found.kept] <= tolerance + d).sum()) for d in (-ROUNDING, ROUNDING)]
    assert counted[0] <= found.report.num_kept_within <= counted[1]


@pytest.mark.parametrize("most", [5000, 0])
def test_less_can_go_where_what_stays_is_certified(monkeypatch, most):
    monkeypatch.setattr(removals, "EXACT", most)
    everything = hilly(300, 2, spread=80.0)
    before = errors_of(everything, everything, 25.0) <= 0.3
    spoilt, sizes = {}, {}
    for certify in ("gone", "all"):
        found = prune(everything, 0.3, 25.0, certify=certify)
        after = errors_of(everything, rows_of(everything, found.kept), 25.0)
        spoilt[certify], sizes[certify] = int((before & (after > 0.3)).sum()), found.kept.sum()
        assert found.report.num_kept_within == (after[found.kept] <= 0.3).sum()
    assert spoilt["all"] == 0 < spoilt["gone"]
    assert sizes["gone"] < sizes["all"] < 300


def test_nothing_more_may_go_where_all_is_certified():
    everything = observations(80, spread=15.0)
    kept = prune(everything, 0.3, 25.0, certify="all").kept
    formula = Formula(everything, 25.0)
    limits_kept = limits_by_formula(formula, 0.3, "all")
    assert (formula.choices(kept, 0.3, limits_kept)[1][kept] > 1 - LEFT_TO_ROUNDING).all()
    assert 10 < kept.sum() < 75


def test_what_rounding_spoils_of_what_stays_brings_its_neighbours_back(monkeypatch):
    """Pruning that heeds nothing of what stays is mended by reading at the end."""
    everything = hilly(300, 2, spread=80.0)
    starting = Removal.starting.__func__

    def heedless(cls, *arrays, limits_kept=None):
        return starting(cls, *arrays)

    monkeypatch.setattr(Removal, "starting", classmethod(heedless))
    found = prune(everything, 0.3, 25.0, certify="all")
    before = errors_of(everything, everything, 25.0)
    after = errors_of(everything, rows_of(everything, found.kept), 25.0)
    assert (after[before <= 0.3] <= 0.3 + ROUNDING).all()
    assert (after <= np.maximum(before * (1 + 3 * LEFT_TO_ROUNDING), 0.3 + ROUNDING)).all()
    assert (after[~found.kept] <= 0.3 + ROUNDING).all()


@pytest.mark.parametrize("memory_limit", [12 * 3000, 24])  # of which one never lets all be listed
@pytest.mark.parametrize(("noise", "least"), [(0.05, 350), (0.1, 0)])
def test_a_crowd_that_is_thinned_in_parts_keeps_both_promises(noise, least, memory_limit):
    generator = torch.Generator().manual_seed(0)
    places = torch.tensor([70.0, -20.0]) + 8 * torch.randn(700, 2, generator=generator)
    senses = torch.ones(700, 3) + noise * torch.randn(700, 3, generator=generator)
    everything = Observations(places, torch.full((700, 2), 10.0), senses)
    found = prune(everything, 0.3, 25.0, certify="all", memory_limit=memory_limit)
    formula = Formula(everything, 25.0)
    before, after = (formula.errors(left) for left in (np.ones(700, dtype=bool), found.kept))
    assert (after[before <= 0.3] <= 0.3 + ROUNDING).all()
    assert found.report.num_removed >= least


def test_a_crowd_that_is_settled_reads_what_stays_as_before():
    everything, never = hilly(300, 2, spread=80.0), np.full(300, math.inf)
    limits_kept = limits_of_what_stays(everything, 0.3, 25.0)
    crowd = Crowds(everything, 300, never, 25.0, GO_ON, limits_kept)
    crowd.kept = np.arange(300) % 10 > 0
    assert len(spoilt_kept(~crowd.kept, everything, limits_kept, 25.0)) > 0
    crowd.settle(everything)
    assert len(spoilt_kept(~crowd.kept, everything, limits_kept, 25.0)) == 0


def test_a_memory_can_be_asked_for_either():
    everything = hilly(200, 2, spread=40.0)
    reports = {}
    for certify in ("gone", "all"):
        memory = SpatialMemory(2, 2)
        memory.write(everything.locations, everything.location_sds, everything.senses)
        reports[certify] = memory.prune(0.1, 25.0, certify=certify)
        left = set(memory.ids[0].tolist())
        kept = np.array([i in left for i in range(200)])
        expected = prune(everything, 0.1, 25.0, certify=certify).kept
        np.testing.assert_array_equal(kept, expected)
    assert reports["gone"].num_kept < reports["all"].num_kept
    assert f"{reports['all'].num_kept_within} of those that stayed" in str(reports["all"])
    assert Prune().certify == "gone"
    with pytest.raises(ValueError, match="certify must be 'gone' or 'all', but is 'most'"):
        Prune(certify="most")
    with pytest.raises(ValueError, match="certify must be 'gone' or 'all', but is None"):
        prune(everything, certify=None)


def test_reports_of_a_batch_count_together():
    parts = [observations(50, seed) for seed in (1, 2)]
    memory = SpatialMemory(2, 5)
    names = ("locations", "location_sds", "senses")
    memory.write(*(torch.stack([getattr(part, n) for part in parts]) for n in names))
    report = memory.prune(0.2, 25.0, certify="all")
    assert report.num_kept_within == sum(row.num_kept_within for row in report.rows) > 0


def test_the_formula_is_that_of_the_oracle():
    everything = observations(30, 3)
    left = np.arange(30) % 3 > 0
    some = rows_of(everything, left)
    expected = oracle.read(
        everything.locations, everything.location_sds,
        some.locations, some.location_sds, some.senses, 25.0,
    )  # fmt: skip
    errors = np.linalg.norm(expected[0] - everything.senses.numpy(), axis=1)
    errors[expected[1] == 0] = np.inf
    np.testing.assert_allclose(Formula(everything, 25.0).errors(left), errors, atol=1e-9)
