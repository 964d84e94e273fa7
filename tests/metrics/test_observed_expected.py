from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, poisson

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError
from tests.metrics.test_oracles import expected_of, input_of

observed_expected, d_calibration = cs.metrics.observed_expected, cs.metrics.d_calibration


def cohort(n, rng, factor=1.0):
    """Give an outcome with exponential exits of known rates, late entry, and the true cumulative hazards."""
    rate = 0.05 * np.exp(0.5 * rng.normal(size=n))
    entry = rng.uniform(0, 5, n)
    leaves, censored = entry + rng.exponential(1 / (factor * rate)), rng.uniform(10, 30, n)
    return cs.Outcome(np.minimum(leaves, censored), leaves <= censored, start=entry), rate


def test_counts_intervals_and_p_values_are_the_exact_poisson_ones():
    rng = np.random.default_rng(1)
    y, rate = cohort(400, rng)
    expected = rate * (y.stop - y.start)
    segment = np.where(rate > 0.05, "high", "low")
    table = observed_expected(y, expected, by=segment).set_index("segment")
    assert list(table.index) == ["all", "high", "low"]
    for name, inside in (("all", rate > 0), ("high", segment == "high")):
        d, e = int((y.event[inside] > 0).sum()), expected[inside].sum()
        row = table.loc[name]
        assert (row["observed"], row["n"]) == (d, inside.sum())
        assert row["ratio"] == pytest.approx(d / e)
        assert row["lower"] == pytest.approx(chi2.ppf(0.025, 2 * d) / 2 / e)
        assert row["upper"] == pytest.approx(chi2.ppf(0.975, 2 * d + 2) / 2 / e)
        tail = min(poisson.cdf(d, e), 1 - poisson.cdf(d - 1, e))
        assert row["p_value"] == pytest.approx(min(1, 2 * tail))


def test_external_validation_is_rs_poisson_regression():
    expected = expected_of("score_gbsg")
    frame = input_of("score_gbsg")
    train, test = frame.query("set == 'train'"), frame.query("set == 'test'")
    columns = ["age", "log_nodes", "pgr100", "grade3", "hormon"]
    model = cs.CoxPH().fit(train[columns], cs.Outcome(train["time"], train["event"]))
    y = cs.Outcome(test["time"], test["event"])
    row = observed_expected(y, model.expected_events(test[columns], y.stop)["estimate"]).iloc[0]
    block = expected["poisson_calibration"]
    assert row["observed"] == block["observed"]
    assert row["expected"] == pytest.approx(block["expected"], rel=1e-8)
    assert np.log(row["ratio"]) == pytest.approx(block["log_oe"], rel=1e-7)


def test_splitting_rows_changes_nothing_and_empty_segments_are_said():
    y = cs.Outcome([3, 5, 3, 8], [0, 1, 0, 1], start=[0, 3, 0, 3], subject=["a", "a", "b", "b"])
    table = observed_expected(y, [0.1, 0.2, 0.3, 0.4])
    whole = observed_expected(cs.Outcome([5, 8], [1, 1]), [0.3, 0.7])
    np.testing.assert_allclose(table.iloc[0, 1:].astype(float), whole.iloc[0, 1:].astype(float))
    nobody = observed_expected(cs.Outcome([5, 8], [1, 0]), [0.5, 0.0], by=["x", "z"])
    assert np.isnan(nobody["ratio"].iloc[2])
    with pytest.raises(DataError, match=r"1 event where 0 are expected"):
        observed_expected(cs.Outcome([5, 8], [1, 0]), [0.0, 0.0])
    with pytest.raises(DataError, match="fewer than 0"):
        observed_expected(cs.Outcome([5, 8], [1, 0]), [0.5, -0.1])
    with pytest.raises(NotIdentifiedError):
        observed_expected(cs.Outcome([5, 8], [1, 1], start=[0, 5], subject=[1, 1], recurrent=True), [0.5, 0.1])


def exponential_curves(rate, y, step):
    times = np.arange(step, 40, step)
    survival = np.exp(-np.outer(rate, times) + np.where(y.start > 0, rate * y.start, 0)[:, None])
    survival = np.minimum(survival, 1.0)
    n = len(rate)
    return cs.Curves(
        times, np.stack([survival, 1 - survival], axis=1), y.start, np.full(n, 40.0), ("event",), np.arange(n)
    )


@pytest.mark.parametrize("step", [0.02, 1.0])
def test_right_curves_are_even_and_wrong_ones_not(step):
    rng = np.random.default_rng(3)
    n = 3_000
    rate = 0.1 * np.exp(0.5 * rng.normal(size=n))
    leaves, censored = rng.exponential(1 / rate), rng.uniform(5, 35, n)
    stop = np.ceil(np.minimum(leaves, censored) / step) * step
    y = cs.Outcome(stop, leaves <= censored)
    right = d_calibration(y, exponential_curves(rate, y, step))
    assert right.df == 9
    assert right.p_value > 0.01
    assert d_calibration(y, exponential_curves(1.3 * rate, y, step)).p_value < 1e-4


def test_with_late_entry_the_curves_begin_at_it():
    rng = np.random.default_rng(4)
    y, rate = cohort(2_000, rng)
    entered = exponential_curves(rate, y, 0.01)
    assert d_calibration(y, entered).p_value > 0.001
    with pytest.raises(DataError, match="start elsewhere than their rows"):
        d_calibration(y, exponential_curves(rate, cs.Outcome(y.stop, y.event), 0.01))


def test_shares_add_up_by_hand():
    # one customer censored with S = 0.5: half of it in each of the two lower of four bins; one leaves in the step 0.5 -> 0.25
    times = np.array([1.0, 2.0])
    survival = np.array([[0.5, 0.25], [0.5, 0.25]])
    curves = cs.Curves(
        times, np.stack([survival, 1 - survival], axis=1), np.zeros(2), np.full(2, 2.0), ("event",), np.arange(2)
    )
    y = cs.Outcome([1, 2], [0, 1])
    # bins (0, .25], (.25, .5], …: 0.5, 0.5 + 1, 0, 0, expected 0.5 each
    assert d_calibration(y, curves, bins=4).statistic == pytest.approx((0 + 1 + 0.25 + 0.25) / 0.5)


def test_curves_that_cannot_be_judged_are_refused():
    y = cs.Outcome([1, 2], [0, 1])
    curves = cs.KaplanMeier().fit(y).curves_[np.zeros(2, dtype=int)]
    with pytest.raises(DataError, match="1 row, the outcome has 2"):
        d_calibration(y, curves[[0]])
    with pytest.raises(DataError, match="evaluated at some times only"):
        d_calibration(y, curves.at([1]))
    with pytest.raises(DataError, match="bins=1"):
        d_calibration(y, curves, bins=1)
    with pytest.raises(NoEventsError):
        d_calibration(cs.Outcome([1, 2], [0, 0]), curves)
    with pytest.raises(DataError, match="no prediction at their exit"):
        d_calibration(cs.Outcome([1, 9], [0, 1]), curves)
