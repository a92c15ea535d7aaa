"""Reads without each observation, for many deviations: as n memories would read, and as quick."""

import math
import time

import numpy as np
import pytest
import scipy.spatial
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import oracle
from tree_world.models.memory import ReadOptions, SpatialMemory
from tree_world.models.memory.recall.kriging import Kriging
from tree_world.models.memory.recall.left_out import kriged_left_out, left_out
from tree_world.models.memory.tuning import distances_of_queries, tune, usual_deviations

RIDGE = ReadOptions().ridge


def ground(number, dim=2, width=3, seed=0, side=100.0):
    generator = np.random.default_rng(seed)
    places = generator.uniform(0, side, (number, dim))
    senses = np.sin(places @ generator.normal(0, 0.1, (dim, width)))
    return places, senses + generator.normal(0, 0.2, (number, width)) + 5


@pytest.mark.parametrize("match_threshold", [None, 25.0])
@pytest.mark.parametrize("order", ["constant", "linear"])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_each_place_is_read_as_by_a_memory_of_the_others(order, dim, match_threshold):
    number = 60
    places, senses = ground(number, dim)
    own = np.random.default_rng(1).uniform(0.1, 3.0, (number, dim))
    deviations = np.random.default_rng(2).uniform(1.0, 15.0, (3, dim))
    found = tune(
        *(places, senses),
        order=order,
        deviations=deviations,
        location_sds=own,
        match_threshold=match_threshold,
    )
    for row in range(0, number, 5):
        others = np.arange(number) != row
        for which, deviation in enumerate(deviations):
            memory = SpatialMemory(dim, 3, max_memory_size=number, dtype=torch.float64)
            sds = np.hypot(own[others], deviation)
            memory.write(places[others], sds, senses[others])
            how = ReadOptions(match_threshold, order, tail=1e-12)
            read = memory.recall(places[[row]], deviation[None], how=how).mean[0]
            np.testing.assert_allclose(found.value[which, row], read, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    number=st.integers(2, 40),
    dim=st.integers(1, 4),
    scale=st.floats(-3, 5),
    at=st.floats(-1e6, 1e6),
    seed=st.integers(0, 10**6),
    is_linear=st.booleans(),
)
def test_what_is_read_is_the_formula_whatever_the_places(number, dim, scale, at, seed, is_linear):
    generator = np.random.default_rng(seed)
    size = 10.0**scale
    places = at + size * generator.normal(size=(number, dim))
    places[generator.integers(number)] = places[0]  # some stand on each other
    own = np.square(size * generator.uniform(0, 0.3, (number, dim)))
    senses = generator.normal(size=(number, 2))
    deviations = size * generator.uniform(0.05, 3.0, (2, dim))
    found = left_out(
        *(places, own, senses, deviations, np.arange(number)),
        is_linear=is_linear,
        ridge=RIDGE,
        with_variance=True,
    )
    for row in range(number):
        others = np.arange(number) != row
        for which, deviation in enumerate(deviations):
            sds = np.sqrt(own[others] + deviation**2)
            here = (places[[row]], deviation[None], places[others], sds, senses[others])
            expected = oracle.read_linear(*here, RIDGE) if is_linear else oracle.read(*here)[0]
            # Places of millions of metres have lost digits before anything is read.
            slack = 1e-6 + 1e-13 * abs(at) / size * 1e3
            np.testing.assert_allclose(found.value[which, [row]], expected, atol=slack)


def test_variances_are_those_of_a_weighted_regression():
    """Locally constant: of the weighted mean; linear, without a ridge to speak of: of a plane."""
    places, senses = ground(40, width=2)
    deviation = np.array([9.0, 14.0])
    for is_linear in (False, True):
        found = left_out(
            *(places, np.zeros((40, 2)), senses, deviation[None], np.arange(40)),
            is_linear=is_linear,
            ridge=1e-12,
            with_variance=True,
        )
        for row in range(0, 40, 7):
            others = np.arange(40) != row
            step = places[others] - places[row]
            weights = np.exp(-0.25 * np.square(step / deviation).sum(axis=1))
            weights /= weights.sum()
            design = np.ones((39, 1)) if not is_linear else np.column_stack([np.ones(39), step])
            normal = design.T @ (weights[:, None] * design)
            shares = np.linalg.solve(normal, design.T * weights)  # row 0 reads at the place
            fitted = design @ (shares @ senses[others])
            left = weights @ np.square(senses[others] - fitted) / (1 - np.square(weights).sum())
            expected = left * (1 + np.square(shares[0]).sum())
            np.testing.assert_allclose(found.variance[0, row], expected, rtol=1e-6)


def test_by_kriging_it_is_what_the_others_say():
    places, senses = ground(50)
    deviations = np.array([[5.0, 5.0], [8.0, 20.0]])
    found = tune(
        *(places, senses),
        order="kriging",
        deviations=deviations,
        score="log score",
        nugget=0.3,
    )
    for row in range(0, 50, 6):
        others = np.arange(50) != row
        for which, deviation in enumerate(deviations):
            scale = math.sqrt(2) * deviation
            mean = senses.mean(axis=0)
            whole = Kriging(places / scale, senses - mean, 1.0, nugget=0.3)
            known = Kriging(
                *(places[others] / scale, senses[others] - mean, 1.0),
                nugget=0.3,
                amplitude=whole.amplitude,
            )
            read = known.read(places[row] / scale)
            np.testing.assert_allclose(found.value[which, row], read.mean[0] + mean, rtol=1e-9)
            variance = read.variance[0] + known.nugget_variance
            np.testing.assert_allclose(found.variance[which, row], variance, rtol=1e-9)


def test_where_several_stand_at_one_place_only_itself_is_left_out():
    places = np.repeat([[0.0, 0.0], [50.0, 0.0]], 30, axis=0)
    senses = np.arange(60.0)[:, None]
    known = Kriging(places, senses, 10.0, nearest=4, nugget=0.5)
    read = kriged_left_out(known, np.arange(60))
    assert (read.nearest_distance == 0).all()
    others = np.arange(60) != 0
    first = Kriging(
        *(places[others], senses[others], 10.0), nearest=29, nugget=0.5, amplitude=known.amplitude
    )
    all_of_them = Kriging(places, senses, 10.0, nearest=29, nugget=0.5, amplitude=known.amplitude)
    again = kriged_left_out(all_of_them, np.array([0]))
    np.testing.assert_allclose(again.mean[0], first.read(places[0]).mean[0])


def test_a_log_score_is_the_density_of_a_normal_distribution():
    places, senses = ground(80, width=2)
    found = tune(places, senses, order="linear", deviations=[6.0, 12.0], score="log score")
    assert found.variance.shape == (2, 80, 2)
    for which in range(2):
        density = torch.distributions.Normal(
            torch.from_numpy(found.value[which]), torch.from_numpy(found.variance[which]).sqrt()
        ).log_prob(torch.from_numpy(senses))
        np.testing.assert_allclose(found.log_scores[which], density.mean(dim=0))
    np.testing.assert_allclose(found.losses("log score"), -found.log_scores.sum(axis=1))
    best = found.best("log score")
    np.testing.assert_array_equal(best, found.deviations[found.losses("log score").argmin()])


def test_each_sense_has_the_width_that_suits_it():
    generator = np.random.default_rng(0)
    places = generator.uniform(0, 100, (400, 2))
    fast, slow = np.sin(places[:, 0] / 4), np.sin(places[:, 0] / 30)
    noise = generator.normal(0, 0.3, (400, 2))
    found = tune(places, np.stack([fast, slow], -1) + noise, order="linear")
    best = found.best_of_each()[:, 0]
    assert best[1] > 2 * best[0]
    with pytest.raises(ValueError, match="score='log score'"):
        found.best_of_each("log score")


def test_a_memory_tunes_itself():
    places, senses = ground(60)
    memory = SpatialMemory(2, 3, max_memory_size=60, dtype=torch.float64)
    memory.write(places, 1.0, senses)
    ours = memory.tune(order="linear")
    np.testing.assert_allclose(ours.value, tune(places, senses, order="linear").value)
    np.testing.assert_allclose(memory[0].tune(order="linear").best(), ours.best())
    two = SpatialMemory(2, 3, max_memory_size=60)
    two.write(torch.zeros(2, 5, 2), 1.0, torch.ones(2, 5, 3))
    with pytest.raises(ValueError, match="batch of 2"):
        two.tune()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"order": "cubic"}, "order must be one of"),
        ({"score": "luck"}, "score must be one of"),
        ({"deviations": []}, "with one deviation at least"),
        ({"deviations": [-1.0]}, "positive"),
        ({"deviations": [[1.0, 2.0, 3.0]]}, "deviations"),
        ({"order": "kriging", "match_threshold": 5.0}, "leave it out"),
        ({"nugget": 0.1}, "order='kriging'"),
        ({"match_threshold": -5.0}, "match_threshold"),
        ({"location_sds": 0.0}, "location_sds"),
        ({"most": 0}, "most"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong, complaint):
    places, senses = ground(10)
    with pytest.raises(ValueError, match=complaint):
        tune(places, senses, **wrong)


def test_one_observation_cannot_be_left_out():
    with pytest.raises(ValueError, match="only one"):
        tune([[0.0, 0.0]], [[1.0]])


def test_usual_deviations_go_from_neighbours_to_the_extent_or_a_crowd():
    places, _ = ground(200)
    usual = usual_deviations(places)
    assert usual[0] < 1.0
    assert 150.0 < usual[-1] <= 200.0
    np.testing.assert_array_equal(usual_deviations(np.zeros((5, 2))), [1.0])
    many, _ = ground(20_000)
    assert usual_deviations(many)[-1] < 20.0  # metres, in which there are 2,500 of them


@pytest.mark.parametrize("order", ["constant", "linear", "kriging"])
def test_one_deviation_takes_no_longer_than_three_reads_of_all_places(order):
    number, sd = 3000, 2.0
    places, senses = ground(number)
    memory = SpatialMemory(2, 3, max_memory_size=number, dtype=torch.float64)
    memory.write(places, sd, senses)
    deviations = np.full(4, sd) * [0.9, 1.0, 1.1, 1.2]
    kriging = {"order": order, "length": math.sqrt(2) * sd}
    how = ReadOptions(**kriging) if order == "kriging" else ReadOptions(order=order)
    seconds = {"read": math.inf, "tune": math.inf}
    for _ in range(4):
        for name, work in (
            ("read", lambda: memory.recall(places, 0.0 if order == "kriging" else sd, how=how)),
            ("tune", lambda: memory.tune(deviations, order=order, most=number)),
        ):
            started = time.perf_counter()
            work()
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    assert seconds["tune"] / len(deviations) <= 3 * seconds["read"]


@pytest.mark.parametrize("order", ["constant", "linear", "kriging"])
def test_others_that_are_too_near_are_left_out_too(order):
    places, senses = ground(50)
    apart = np.random.default_rng(3).uniform(0, 25, 50)
    choices = {"order": order, "deviations": [8.0]}
    found = tune(places, senses, apart=apart, **choices)
    for row in range(0, 50, 7):
        kept = np.linalg.norm(places - places[row], axis=1) >= apart[row]
        kept[row] = True
        alone = tune(places[kept], senses[kept], **choices)
        own = int(np.flatnonzero(np.flatnonzero(kept) == row)[0])
        if order == "kriging":  # whose mean and amplitude are those of all
            mean = senses.mean(axis=0)
            scale = 8.0 * math.sqrt(2)
            kept[row] = False
            known = Kriging(places[kept] / scale, senses[kept] - mean, 1.0)
            expected = known.read(places[row] / scale).mean[0] + mean
        else:
            expected = alone.value[0, own]
        np.testing.assert_allclose(found.value[0, row], expected, atol=1e-9)
    with pytest.raises(ValueError, match="apart must hold 50 distances"):
        tune(places, senses, apart=apart[:7])


def test_to_leave_out_of_crowds_is_as_to_ask_anywhere():
    """The nearest that is left is as far as from a place anywhere: to a few per cent of places."""
    generator = np.random.default_rng(0)
    spread = generator.uniform(0, 100, (200, 2))
    crowds = np.repeat(spread[:50], 4, axis=0) + generator.normal(0, 1.0, (200, 2))
    for places, is_crowded in ((spread, False), (crowds, True)):
        apart = distances_of_queries(places, np.arange(200))
        assert (np.mean(apart > 0) > 0.5) == is_crowded
        distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
        np.fill_diagonal(distances, np.inf)
        nearest = np.where(distances >= apart[:, None], distances, np.inf).min(axis=1)
        hull = scipy.spatial.Delaunay(places)
        asked = generator.uniform(0, 100, (20_000, 2))
        asked = asked[hull.find_simplex(asked) >= 0]
        anywhere = scipy.spatial.cKDTree(places).query(asked)[0]
        assert scipy.stats.ks_2samp(nearest, anywhere).statistic < 0.12
        if is_crowded:
            before = distances.min(axis=1)
            assert scipy.stats.ks_2samp(before, anywhere).statistic > 0.5


@pytest.mark.parametrize("places", [np.arange(9.0)[:, None], np.zeros((9, 2)), np.eye(5)])
def test_where_there_is_no_ground_nothing_is_lost(places):
    number = len(places)
    np.testing.assert_array_equal(distances_of_queries(places, np.arange(number)), np.zeros(number))
