import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from tree_world.evaluation import (
    ClaimError,
    claim,
    mean_with_interval,
    paired_difference,
    reliability,
    survival_curve,
)

values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@given(values=values, confidence=st.floats(0.5, 0.999))
def test_the_interval_is_students(values, confidence):
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    quantile = scipy.stats.t(len(values) - 1).ppf(0.5 + confidence / 2)
    half = quantile * math.sqrt(variance / len(values))
    estimate = mean_with_interval(values, confidence)
    assert estimate.mean == pytest.approx(mean, rel=1e-9, abs=1e-6)
    assert estimate.half_width == pytest.approx(half, rel=1e-6, abs=1e-6)
    assert estimate.low <= estimate.mean <= estimate.high
    assert estimate.num_values == len(values)


def test_it_holds_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3.0, 2.0, size=(2000, 8))
    estimates = [mean_with_interval(row) for row in draws]
    hits = np.mean([estimate.low <= 3.0 <= estimate.high for estimate in estimates])
    assert abs(hits - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_pairing_removes_what_the_seeds_have_in_common():
    seeds = np.random.default_rng(1).normal(0, 100, size=20)
    estimate = paired_difference(seeds + 1.0, seeds)
    assert estimate.mean == pytest.approx(1.0)
    assert estimate.half_width < 1e-9


def test_formatting():
    estimate = mean_with_interval([1.0, 2.0, 3.0])
    assert f"{estimate:.2f}" == "2.00 ± 2.48"
    assert str(estimate) == "2 ± 2.48"


def test_survival_against_the_product_by_hand():
    """Five lives; two are still going on when we stop watching."""
    curve = survival_curve([2, 3, 3, 5, 8], [True, True, False, True, False])
    by_step = dict(zip(curve.times.tolist(), curve.share.tolist(), strict=True))
    assert by_step[0] == 1
    assert by_step[2] == pytest.approx(4 / 5)
    assert by_step[3] == pytest.approx(4 / 5 * 3 / 4)
    assert by_step[5] == pytest.approx(4 / 5 * 3 / 4 * 1 / 2)
    # The log-log interval at step 2, with Greenwood's variance 1 / (5 · 4) of the log.
    share, z = 4 / 5, scipy.stats.norm.ppf(0.975)
    spread = z * math.sqrt(1 / (5 * 4)) / abs(math.log(share))
    index = curve.times.tolist().index(2)
    assert curve.low[index] == pytest.approx(share ** math.exp(spread))
    assert curve.high[index] == pytest.approx(share ** math.exp(-spread))


def test_survival_of_all_and_of_none_is_silent(recwarn):
    everybody = survival_curve([10.0, 10.0, 10.0], [False] * 3)
    assert (everybody.share == 1).all()
    nobody = survival_curve([10.0, 10.0, 10.0], [True] * 3)
    assert nobody.share[-1] == nobody.low[-1] == nobody.high[-1] == 0
    assert len(recwarn) == 0


@given(
    lives=st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=2, max_size=30),
)
def test_survival_only_falls_and_lies_in_its_band(lives):
    curve = survival_curve([life[0] for life in lives], [life[1] for life in lives])
    assert (np.diff(curve.share) <= 1e-12).all()
    assert (curve.low <= curve.share + 1e-12).all()
    assert (curve.share <= curve.high + 1e-12).all()
    assert np.isfinite(curve.low).all()


def test_reliability_bins_by_forecast():
    bins = reliability([0.0, 0.04, 0.55, 0.55, 1.0], [0, 1, 1, 0.5, 1], num_bins=10)
    np.testing.assert_allclose(bins.forecast, [0.02, 0.55, 1.0])
    np.testing.assert_allclose(bins.observed, [0.5, 0.75, 1.0])
    assert bins.counts.tolist() == [2, 2, 1]
    assert bins.expected_calibration_error == pytest.approx((2 * 0.48 + 2 * 0.2 + 0) / 5)


@given(
    forecast=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    num_bins=st.integers(1, 20),
)
def test_forecasts_that_come_true_are_reliable(forecast, num_bins):
    bins = reliability(forecast, forecast, num_bins)
    assert bins.expected_calibration_error == pytest.approx(0.0, abs=1e-12)
    assert bins.counts.sum() == len(forecast)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_with_interval([1.0]), r"at least two values.*\(1,\)"),
        (lambda: mean_with_interval([[1.0, 2.0]]), "vector"),
        (lambda: mean_with_interval([1.0, math.nan]), "value 1 is not"),
        (lambda: mean_with_interval([1.0, 2.0], confidence=1.0), "confidence"),
        (lambda: paired_difference([1.0, 2.0], [1.0, 2.0, 3.0]), "2 and 3 were given"),
        (lambda: survival_curve([1.0, 2.0], [True]), "shapes"),
        (lambda: reliability([0.5], [1.0, 0.0]), "one length"),
        (lambda: reliability([1.5], [1.0]), "between 0 and 1"),
        (lambda: reliability([math.nan], [1.0]), "between 0 and 1"),
        (lambda: reliability([0.5], [1.0], num_bins=0), "num_bins"),
        (lambda: reliability([0.5], [1.0], num_bins=2.5), "num_bins must be a whole number"),
        (lambda: reliability([0.5], [1.0], num_bins=True), "num_bins must be a whole number"),
        (lambda: reliability([0.5, 0.2], [1.0, 2.0]), "pair 1: 0.2 and 2"),
        (lambda: survival_curve([-1.0, 2.0], [True, True]), "-1 was given"),
        (lambda: survival_curve([1.0, 2.0], ["False", "True"]), "died must be real numbers"),
        (lambda: survival_curve([1.0, 2.0], [0.5, 1.0]), "died must hold a truth value"),
        (lambda: survival_curve([1.0, 2.0], [math.nan, 1.0]), "died must hold a truth value"),
        (lambda: mean_with_interval([1.0, 2.0j]), "values must be real numbers"),
        (lambda: mean_with_interval(np.ma.masked_array([1.0, 2.0], [True, False])), "masked"),
        (lambda: mean_with_interval([1.0, None]), "values must be numbers"),
        (lambda: mean_with_interval([1.0, 2.0], confidence="0.9"), "confidence must be a real"),
        (lambda: paired_difference([1.0, 2.0], "ab"), "baseline must be real numbers"),
        (lambda: reliability(torch.tensor([0.5j]), [1.0]), "forecast must be real numbers"),
        (lambda: reliability([0.5], np.ma.masked_array([1.0], [True])), "outcome must be numbers"),
        (lambda: survival_curve([1.0, 2.0], [True, True], confidence=0), "confidence"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numbers_come_in_any_kind():
    expected = mean_with_interval([1.0, 2.0, 4.0], 0.5)
    for values in (
        torch.tensor([1.0, 2.0, 4.0], requires_grad=True),
        np.array([1, 2, 4], dtype=">i2"),
        torch.tensor([1.0, 2.0, 4.0], dtype=torch.bfloat16),
        [Fraction(1), 2, torch.tensor(4)],
    ):
        assert mean_with_interval(values, np.float16(0.5)) == expected
    died = survival_curve([3.0, 5.0, 9.0], [True, False, True]).share.tolist()
    assert survival_curve([3, 5, 9], torch.tensor([1, 0, 1])).share.tolist() == died


@pytest.mark.parametrize("holds", [True, np.bool_(True), np.array([True]), torch.tensor(True)])
def test_a_claim_that_holds_says_nothing(holds, capsys):
    assert claim("it is so", holds, margin=1e-9) is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("holds", "margin"),
    [(False, None), (False, 3.0), (True, 0.0), (True, -1.0), (True, math.nan), (True, math.inf)],
)
def test_a_claim_that_does_not_hold_is_an_error_that_names_it(holds, margin):
    with pytest.raises(ClaimError, match="not borne out: sight helps"):
        claim("sight helps", holds, margin)
    assert issubclass(ClaimError, AssertionError)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("many", np.array([True, True])),
        ("none", np.array([], dtype=bool)),
        ("a number", 1.0),
        ("nothing", None),
        ("masked", np.ma.masked_array([True], [True])),
        ("", True),
        (None, True),
    ],
)
def test_a_claim_is_one_sentence_and_one_truth(text, holds):
    with pytest.raises(TypeError):
        claim(text, holds)
