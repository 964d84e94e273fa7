"""Calibration: against R, by its definition, under known truth, and its errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, TooFewEventsError
from churnsurv.kernels.pseudo import pseudo_values
from churnsurv.metrics.recalibration import fit_link, inverse_link, link
from tests.metrics.test_brier import CAUSES, cohorts, constant_curves
from tests.metrics.test_oracles import expected_of, input_of

calibration = cs.metrics.calibration


def draw(n, rng, stretch=1.0, shift=0.0):
    """Give a cohort of two causes and its predictions of attrition by 12, right when stretch = 1 and shift = 0."""
    x = rng.normal(size=n)
    rate = 0.05 * np.exp(0.7 * x)
    leaves, other, censored = rng.exponential(1 / rate), rng.exponential(60, n), rng.uniform(5, 40, n)
    stop = np.minimum.reduce([leaves, other, censored])
    event = np.where(stop == leaves, 1, np.where(stop == other, 2, 0))
    total = rate + 1 / 60
    right = rate / total * -np.expm1(-12 * total)
    return cs.Outcome(stop, event, causes=CAUSES), inverse_link(shift + stretch * link(right))


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")
@settings(max_examples=50, deadline=None)
@given(cohorts(), st.integers(1, 8))
def test_pseudo_values_are_those_of_leaving_out_one_customer(drawn, t):
    y, _, weight = drawn
    t = min(t, int(y.stop.max()))

    def incidence(w):
        table = cs.AalenJohansen().fit(y, sample_weight=w).table_
        found = table[(table["state"] == CAUSES[1]) & (table["time"] <= t)]
        return found["estimate"].iloc[-1] if len(found) else 0.0

    total = weight.sum()
    expected = np.full(len(y), np.nan)
    for i in range(len(y)):
        # a customer whose leaving out leaves nobody at risk at a later time of events changes the estimate's support
        without = weight - (np.arange(len(y)) == i)
        if without[i] > 0 or (y.stop[np.arange(len(y)) != i].max() >= t):
            expected[i] = total * incidence(weight) - (total - 1) * incidence(without)
    found = pseudo_values(y.stop, y.event, weight, 2, float(t))
    known = np.isfinite(expected)
    np.testing.assert_allclose(found[known], expected[known], atol=1e-10)


def test_of_one_cause_it_is_rs():
    expected = expected_of("score_gbsg")
    frame = input_of("score_gbsg").query("set == 'test'")
    y = cs.Outcome(frame["time"], frame["event"])
    values = pseudo_values(y.stop, y.event, np.ones(len(y)), 1, 3.0)
    np.testing.assert_allclose(1 - values[:20], expected["pseudo_values_t3_first20"], rtol=1e-8)
    found = calibration(y, np.array(expected["risk_model1"])[:, 2], 3, bins=5)
    table = pd.DataFrame(expected["calibration_quintiles_t3"])
    assert found.table["bin"].tolist() == table["group"].tolist()
    for column in ("n", "mean_predicted", "observed", "se", "lower", "upper"):
        np.testing.assert_allclose(found.table[column], table[column], rtol=1e-8)
    large = expected["calibration_in_the_large_t3"]
    assert found.observed_expected.value == pytest.approx(large["oe_ratio"], rel=1e-8)


def test_without_censoring_the_regressions_are_those_of_the_events_themselves():
    rng = np.random.default_rng(1)
    risk = rng.uniform(0.05, 0.7, 400)
    left = rng.random(400) < risk
    y = cs.Outcome(np.where(left, 1.0, 2.0), np.ones(400))
    found = calibration(y, risk, 1.5)
    unit = np.arange(400)
    both = fit_link(
        left.astype(float),
        np.column_stack((np.ones(400), link(risk))),
        np.zeros(400),
        np.ones(400),
        unit,
        np.array([0.0, 1.0]),
    )
    assert found.slope.value == pytest.approx(both.coef[1], abs=1e-7)
    assert found.slope.se == pytest.approx(np.sqrt(both.covariance[1, 1]), rel=1e-6)
    # least squares: the residuals are orthogonal to the slopes of the mean
    eta = both.coef[0] + both.coef[1] * link(risk)
    assert abs((left - inverse_link(eta)) @ np.exp(eta - np.exp(eta))) < 1e-5


def test_a_stretched_and_shifted_prediction_is_told_by_its_slope_and_intercept():
    y, risk = draw(20_000, np.random.default_rng(2), stretch=1.5)
    found = calibration(y, risk, 12, cause="attrition")
    assert abs(found.slope.value - 1 / 1.5) < 3 * found.slope.se
    y, risk = draw(20_000, np.random.default_rng(3), shift=-0.4)
    found = calibration(y, risk, 12, cause="attrition")
    assert abs(found.intercept.value - 0.4) < 3 * found.intercept.se
    assert found.observed_expected.lower > 1.2
    assert found.ici.lower > 0.03
    inside = found.curve[(found.curve["predicted"] > 0.2) & (found.curve["predicted"] < 0.5)]
    assert (inside["lower"] > inside["predicted"]).all()


def test_curves_weights_and_the_order_of_rows():
    y, risk = draw(300, np.random.default_rng(4))
    plain = calibration(y, risk, 12, cause="attrition")
    curves = cs.Curves(
        np.array([12.0]),
        np.stack([1 - risk, risk, 0 * risk], axis=1)[:, :, None],
        np.zeros(300),
        np.full(300, 40.0),
        CAUSES,
        pd.RangeIndex(300),
    )
    pd.testing.assert_frame_equal(calibration(y, curves, 12, cause="attrition").summary(), plain.summary())
    order = np.random.default_rng(5).permutation(300)
    shuffled = calibration(y[order], risk[order], 12, cause="attrition")
    np.testing.assert_allclose(shuffled.summary()["value"], plain.summary()["value"], rtol=1e-6)
    pd.testing.assert_frame_equal(shuffled.table, plain.table)
    weight = np.r_[np.full(100, 2.0), np.ones(200)]
    twice = np.r_[np.arange(100), np.arange(300)]
    weighted = calibration(y, risk, 12, cause="attrition", sample_weight=weight)
    copied = calibration(cs.Outcome(y.stop[twice], y.event[twice], causes=CAUSES), risk[twice], 12, cause="attrition")
    for name in ("observed_expected", "slope", "intercept"):
        assert getattr(weighted, name).value == pytest.approx(getattr(copied, name).value, rel=1e-6)


def test_clusters_widen_what_copies_would_narrow():
    y, risk = draw(200, np.random.default_rng(6))
    single = calibration(y, risk, 12, cause="attrition")
    four = np.tile(np.arange(200), 4)
    copies = cs.Outcome(y.stop[four], y.event[four], causes=CAUSES)
    clustered = calibration(copies, risk[four], 12, cause="attrition", cluster=four)
    assert clustered.slope.se == pytest.approx(single.slope.se, rel=0.02)
    assert calibration(copies, risk[four], 12, cause="attrition").slope.se == pytest.approx(
        single.slope.se / 2, rel=0.02
    )


def test_predictions_that_are_the_same_for_all_have_no_slope():
    y, _ = draw(200, np.random.default_rng(7))
    found = calibration(y, np.full(200, 0.35), 12, cause="attrition")
    assert np.isnan(found.slope.value)
    assert "all predictions are the same" in found.slope.method
    assert len(found.table) == 1
    assert found.ici.value == pytest.approx(abs(found.curve["observed"].iloc[0] - 0.35))


def test_what_cannot_be_judged_is_said():
    y, risk = draw(100, np.random.default_rng(8))
    with pytest.raises(DataError, match="past the last observed time"):
        calibration(y, risk, 100, cause="attrition")
    with pytest.raises(NoEventsError, match="No event of 'attrition' by"):
        calibration(y, risk, 1e-4, cause="attrition")
    with pytest.raises(DataError, match="name the one to be measured"):
        calibration(y, risk, 12)
    with pytest.raises(DataError, match=r"outside 0…1"):
        calibration(y, risk * 10, 12, cause="attrition")
    with pytest.raises(DataError, match="missing"):
        calibration(y, np.where(risk > np.median(risk), np.nan, risk), 12, cause="attrition")
    with pytest.raises(DataError, match="bins=0"):
        calibration(y, risk, 12, cause="attrition", bins=0)
    with pytest.raises(DataError, match="horizon='12'"):
        calibration(y, risk, "12", cause="attrition")
    with pytest.raises(DataError, match="All predictions are 0"):
        calibration(y, np.zeros(100), 12, cause="attrition")
    with pytest.raises(NotIdentifiedError, match="landmark cohort"):
        calibration(cs.Outcome([3, 5, 8], [1, 1, 0], start=[0, 1, 2]), [0.1, 0.2, 0.3], 4)
    with pytest.raises(TooFewEventsError, match="2 events of 'event' by 4"):
        calibration(cs.Outcome([3, 4, 8], [1, 1, 0]), constant_curves([[0.1], [0.2], [0.3]], [4]), 4)


@pytest.mark.slow
def test_intervals_of_a_right_model_cover():
    rng = np.random.default_rng(9)
    covered = []
    for _ in range(1_000):
        y, risk = draw(500, rng)
        found = calibration(y, risk, 12, cause="attrition", bins=1)
        covered.append(
            [
                (e.lower <= truth <= e.upper)
                for e, truth in ((found.observed_expected, 1), (found.slope, 1), (found.intercept, 0))
            ]
        )
    # 3 Monte-Carlo errors of 1,000 repetitions
    np.testing.assert_allclose(np.mean(covered, axis=0), 0.95, atol=3 * np.sqrt(0.95 * 0.05 / 1_000))


def test_observed_over_expected_varies_as_the_difference_of_outcome_and_prediction():
    # uncensored: (sum of outcomes) / (sum of predictions), whose delta-method variance is of D − ratio p
    rng = np.random.default_rng(11)
    risk = rng.beta(0.5, 0.5, 2_000)
    left = rng.random(2_000) < risk
    found = calibration(cs.Outcome(np.where(left, 1.0, 2.0), left.astype(int)), risk, 1.0, bins=1).observed_expected
    residual = left - found.value * risk
    assert found.value == pytest.approx(left.mean() / risk.mean(), rel=1e-12)
    assert found.se == pytest.approx(residual.std(ddof=1) / np.sqrt(2_000) / risk.mean(), rel=1e-9)
    # the error of the share alone is nearly twice as large where predictions are sharp
    assert found.se < 0.75 * np.sqrt(left.mean() * (1 - left.mean()) / 2_000) / risk.mean()
