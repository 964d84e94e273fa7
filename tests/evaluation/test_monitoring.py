"""Drift of performance, control charts and vintages rolled forward: against the long way, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nbinom, norm, poisson

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SupportWarning
from churnsurv.kernels.chart_limits import chart_limits, moving_average, tails
from tests.evaluation.simulate_monitoring import cohort
from tests.shipped import shipped

CAUSES = ("attrition", "default")


@pytest.fixture(scope="module")
def spells():
    return shipped()[1]


@pytest.fixture(scope="module")
def rolled(spells):
    development, later = cs.data.out_of_time(spells, "2025-09-30", horizon=6)
    model = cs.CauseSpecificCox(formula="rate_incentive + fee_gap")
    model.fit(development.frame[["rate_incentive", "fee_gap"]], development.y)
    with pytest.warns(SupportWarning, match="30 loans of 2,164"):
        return model, later, cs.evaluation.roll_forward(model, later, horizon=6)


@pytest.fixture(scope="module")
def development():
    return cs.evaluation.performance(*cohort(np.random.default_rng(1), 1500), 12)


def loan_quarters(rng, n, hazards):
    """Rows of one quarter each: outcome, period and customer."""
    quarter = np.repeat(np.arange(len(hazards)), n)
    event = (rng.random(len(quarter)) < np.asarray(hazards)[quarter]).astype(int)
    dates = pd.period_range("2024Q1", periods=len(hazards), freq="Q").start_time
    return cs.Outcome(np.ones(len(event)), event), dates[quarter]


# ---------------------------------------------------------------- performance


def test_each_difference_is_of_the_measures_themselves(development):
    y, risk = cohort(np.random.default_rng(2), 1200)
    table = cs.evaluation.performance_drift(y, risk, 12, development, adjust="bonferroni").table.set_index("measure")
    now = cs.metrics.concordance_index(y, risk, tau=12)
    then = development["concordance"]
    assert table.loc["concordance", "value"] == pytest.approx(now.value - then.value)
    assert table.loc["concordance", "se"] == pytest.approx(np.hypot(now.se, then.se))
    judged = cs.metrics.calibration(y, risk, 12).observed_expected
    assert table.loc["observed_expected", "value"] == pytest.approx(
        judged.value / development["observed_expected"].value
    )
    z = (norm.ppf(1 - 0.05 / 10) + norm.ppf(0.8)) * table.loc["brier", "se"]
    assert table.loc["brier", "detectable"] == pytest.approx(z)
    assert table.loc["brier", "threshold_upper"] == pytest.approx(norm.ppf(1 - 0.05 / 10) * table.loc["brier", "se"])
    assert not table["alarm"].any()


def test_alarms_are_the_values_outside_their_thresholds(development):
    drift = cs.evaluation.performance_drift(*cohort(np.random.default_rng(3), 2000, more=1.6), 12, development)
    table = drift.to_frame()
    outside = (table["value"] < table["threshold_lower"]) | (table["value"] > table["threshold_upper"])
    assert (outside == table["alarm"]).all()
    assert "observed_expected" in drift.alarms["measure"].tolist()
    assert "concordance" not in drift.alarms["measure"].tolist()


def test_a_fixed_target_has_no_error_of_its_own(development):
    y, risk = cohort(np.random.default_rng(4), 800)
    target = cs.Estimate("target", 0.70, 0.0, 0.70, 0.70, 0.95, 0, 0, "policy")
    found = cs.evaluation.performance_drift(y, risk, 12, {"concordance": target}).table.iloc[0]
    assert found["se"] == pytest.approx(cs.metrics.concordance_index(y, risk, tau=12).se)


def test_what_cannot_be_compared_with_the_development_is_refused(development):
    y, risk = cohort(np.random.default_rng(5), 400)
    with pytest.raises(DataError, match="Did you mean 'brier'"):
        cs.evaluation.performance_drift(y, risk, 12, {"briar": development["brier"]})
    with pytest.raises(DataError, match="no Estimate"):
        cs.evaluation.performance_drift(y, risk, 12, {"brier": 0.1})
    with pytest.raises(DataError, match="mapping"):
        cs.evaluation.performance_drift(y, risk, 12, 0.7)
    with pytest.raises(DataError, match="No measure"):
        cs.evaluation.performance_drift(y, risk, 12, {})
    # one risk for all: there is no slope
    with pytest.raises(NotIdentifiedError, match="'slope'"):
        cs.evaluation.performance_drift(y, np.full(400, 0.2), 12, {"slope": development["slope"]})


# ---------------------------------------------------------------- control chart


def test_limits_are_exact_poisson_and_the_chart_alarms_at_the_stated_rate():
    limits = chart_limits(np.full(8, 30.0), 1.0, np.inf, 0.2, 0.05, seed=1)
    assert limits.rate == pytest.approx(0.05, abs=0.003)
    low, high = limits.lower[0], limits.upper[0]
    inside = [k for k in range(200) if 2 * min(poisson.cdf(k, 30), poisson.sf(k - 1, 30)) > limits.tail]
    assert (low, high) == (inside[0], inside[-1])
    assert limits.run_length == pytest.approx(8 / -np.log(1 - limits.rate))
    # other charts than those the limits were found with
    rng = np.random.default_rng(2)
    counts = rng.poisson(30.0, (20_000, 8)).astype(float)
    point = (tails(counts, poisson(30.0)) <= limits.tail).any(axis=1)
    lasting = (np.abs(moving_average((counts - 30) / np.sqrt(30), 0.2)) > limits.ewma).any(axis=1)
    assert np.mean(point | lasting) == pytest.approx(0.05, abs=3 * np.sqrt(2 * 0.05 * 0.95 / 20_000))


def test_a_short_baseline_and_dispersion_widen_the_limits():
    mean = np.full(6, 40.0)
    known, short, spread = (chart_limits(mean, *given, 0.2, 0.05, 1) for given in ((1, np.inf), (1, 100), (2, np.inf)))
    assert (short.upper > known.upper).all()
    assert (spread.upper > known.upper).all()
    assert (spread.lower < known.lower).all()
    tail = 2 * nbinom.sf(spread.upper[0] - 1, 40, 0.5)
    assert tail > spread.tail >= 2 * nbinom.sf(spread.upper[0], 40, 0.5)


def test_the_moving_average_has_unit_variance_at_every_point():
    z = np.random.default_rng(3).normal(size=(40_000, 6))
    np.testing.assert_allclose(moving_average(z, 0.3).std(axis=0), 1, atol=0.015)


def test_expected_counts_are_the_baseline_rate_times_the_exposure(spells):
    chart = cs.evaluation.control_chart(spells, by="quarter", baseline="2025-06-30", cause="attrition")
    frame = spells.frame
    base = frame["period"] < "2025-07-01"
    rate = (frame.loc[base, "cause"] == "attrition").sum() / base.sum()
    last = chart.table.iloc[-1]
    quarter = frame["period"] >= "2026-07-01"
    assert str(last["period"]) == "2026Q3"
    assert last["expected"] == pytest.approx(rate * quarter.sum())
    assert last["observed"] == (frame.loc[quarter, "cause"] == "attrition").sum()
    assert chart.table["baseline"].sum() == 10
    assert chart.table.loc[chart.table["baseline"], "lower"].isna().all()


def test_a_model_s_expectation_is_taken_as_it_is_or_scaled_to_the_baseline():
    rng = np.random.default_rng(6)
    y, period = loan_quarters(rng, 800, [0.05] * 8)
    model = {"event": np.full(len(y), 0.04)}
    plain = cs.evaluation.control_chart(y, by="quarter", period=period, expected=model).table
    scaled = cs.evaluation.control_chart(y, by="quarter", period=period, expected=model, baseline="2024-12-31").table
    assert plain["expected"].tolist() == pytest.approx([32.0] * 8)
    assert scaled["expected"].tolist() == pytest.approx([y.event[: 4 * 800].sum() / 4] * 8)
    assert plain["alarm"].any()  # a quarter more than the model says


def test_customers_who_leave_with_all_their_loans_are_dispersion():
    rng = np.random.default_rng(7)
    y, period = loan_quarters(rng, 2000, [0.03] * 8)
    twice = cs.Outcome(np.ones(2 * len(y)), np.repeat(y.event, 2))
    groups, days = np.repeat(np.arange(len(y)), 2), np.repeat(period, 2)
    options = {"by": "quarter", "period": days, "baseline": "2024-12-31"}
    assert cs.evaluation.control_chart(twice, groups=groups, **options).summary["dispersion"].item() == pytest.approx(
        2, abs=0.1
    )
    assert cs.evaluation.control_chart(twice, **options).summary["dispersion"].item() == 1


def test_a_lasting_shift_is_found_by_the_moving_average():
    rng = np.random.default_rng(8)
    y, period = loan_quarters(rng, 2000, [0.03] * 12 + [0.04] * 8)
    chart = cs.evaluation.control_chart(y, by="quarter", period=period, baseline="2026-12-31")
    assert chart.alarms["alarm_by"].isin(["ewma", "both"]).any()
    assert chart.summary["n_alarms"].item() == len(chart.alarms)


def test_dispersion_between_periods_sees_common_shocks():
    rng = np.random.default_rng(9)
    shocks = 0.03 * np.exp(0.3 * rng.normal(size=12))
    y, period = loan_quarters(rng, 2000, shocks)
    options = {"by": "quarter", "period": period, "baseline": "2025-12-31"}
    between = cs.evaluation.control_chart(y, dispersion="periods", **options).summary["dispersion"].item()
    within = cs.evaluation.control_chart(y, **options).summary["dispersion"].item()
    assert between > 2 > within


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"baseline": None}, DataError, "Nothing says what to expect"),
        ({"baseline": "2030-01-01"}, DataError, "no period to monitor"),
        ({"baseline": "2020-01-01"}, DataError, "no period to learn from"),
        ({"period": None}, DataError, "period= is missing"),
        ({"period": [None] * 1600}, DataError, "missing value"),
        ({"period": ["soon"] * 1600}, DataError, "no date"),
        ({"by": "week"}, DataError, "by='week'"),
        ({"weight": 0}, DataError, "moving average"),
        ({"cause": "fraud"}, DataError, "Cause 'fraud' is unknown"),
        ({"expected": {"event": [-1.0] * 1600}}, DataError, "negative"),
        ({"expected": {"fraud": [1.0] * 1600}}, DataError, "nothing of 'event'"),
        ({"dispersion": "periods"}, DataError, "at least 5"),
    ],
)
def test_charts_that_mean_nothing_are_refused(change, error, match):
    y, period = loan_quarters(np.random.default_rng(1), 200, [0.05] * 8)
    with pytest.raises(error, match=match):
        cs.evaluation.control_chart(y, **({"by": "quarter", "period": period, "baseline": "2024-12-31"} | change))


def test_a_baseline_without_exits_is_refused():
    y, period = loan_quarters(np.random.default_rng(1), 200, [0.0] * 4 + [0.1] * 4)
    with pytest.raises(NoEventsError, match="No exit by 'event'"):
        cs.evaluation.control_chart(y, by="quarter", period=period, baseline="2024-12-31")


# ---------------------------------------------------------------- roll-forward


def test_vintages_are_predicted_by_the_curves_and_observed_by_aalen_johansen(rolled):
    model, later, found = rolled
    line = (
        found.table[(found.table["vintage"] == "2023") & (found.table["cause"] == "attrition")]
        .set_index("horizon")
        .loc[6]
    )
    rows = (later.frame["vintage"] == 2023).to_numpy()
    age = later.frame["age"].to_numpy()[rows]
    curves = cs.predict_curves(model, later.frame[rows], np.arange(1, 70), start=age)
    assert line["predicted"] == pytest.approx(curves.risk("attrition", 6).mean())
    y = later.y[rows]
    fit = cs.AalenJohansen().fit(y, cluster=later.groups[rows]).table_
    own = fit[(fit["state"] == "attrition") & (fit["time"] <= 6)].iloc[-1]
    assert line["observed"] == pytest.approx(own["estimate"])
    assert line["se"] == pytest.approx(own["se"])


def test_expected_events_are_the_hazards_while_the_loans_are_watched(rolled):
    model, later, found = rolled
    lines = found.table[(found.table["vintage"] == "2024") & (found.table["cause"] == "default")].set_index("horizon")
    rows = np.flatnonzero(later.frame["vintage"] == 2024)
    total = 0.0
    for row in rows:
        age, stop = later.frame["age"].iloc[row], later.y.stop[row]
        curve = cs.predict_curves(model, later.frame.iloc[[row]], np.arange(1, 70), start=[age])
        for month in range(1, int(min(stop, 3)) + 1):
            risk = [curve.risk("default", month)[0], curve.risk("default", month - 1)[0] if month > 1 else 0.0]
            left = sum(curve.risk(cause, month - 1)[0] for cause in curve.causes) if month > 1 else 0.0
            total += (risk[0] - risk[1]) / (1 - left)
    assert lines.loc[3, "expected"] == pytest.approx(total, rel=1e-9)
    code = later.y.cause_code("default")
    assert lines.loc[3, "events"] == np.sum((later.y.event[rows] == code) & (later.y.stop[rows] <= 3))


def test_vintages_add_up_and_small_cells_are_marked_and_not_tested(rolled):
    found = rolled[2]
    table = found.table[found.table["horizon"] == 6]
    parts = table[table["vintage"] != "all"].groupby("cause")[["events", "expected", "n"]].sum()
    whole = table[table["vintage"] == "all"].set_index("cause")[["events", "expected", "n"]]
    pd.testing.assert_frame_equal(parts.loc[whole.index], whole, check_dtype=False)
    assert found.summary.loc[found.summary["small"], "p_adjusted"].isna().all()
    assert found.summary["value"].equals(found.summary["ratio"].rename("value"))
    assert {"name", "false_alarm_rate", "alarm", "method"} <= set(found.summary.columns)
    assert (found.summary["small"] == (found.summary["expected"] < 5) | (found.summary["n"] < 5)).all()
    assert found.left_out == 30
    assert set(found.alarms["vintage"]) <= {"2021", "2022", "2023", "2024", "2025"}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"horizon": 60}, "past the 6 periods"),
        ({"horizon": 0}, "horizon=0"),
        ({"clock": "calendar"}, "clock="),
        ({"by": "colour"}, "no column 'colour'"),
        ({"cause": "fraud"}, "fraud"),
    ],
)
def test_what_cannot_be_rolled_forward_is_refused(rolled, change, match):
    model, later, _ = rolled
    with pytest.raises(DataError, match=match):
        cs.evaluation.roll_forward(model, later, **({"horizon": 6} | change))


def test_a_model_of_one_cause_is_refused(spells):
    development, later = cs.data.out_of_time(spells, "2025-09-30", horizon=3)
    model = cs.CoxPH(cause="attrition").fit(development.frame[["rate_incentive"]], development.y)
    with pytest.raises(NotIdentifiedError, match="alone"):
        cs.evaluation.roll_forward(model, later, horizon=3)


# ---------------------------------------------------------------- planted and found


@pytest.mark.parametrize("drift", [None, "population"])
def test_drift_planted_by_the_simulator_is_found_and_a_quiet_quarter_is_quiet(drift):
    portfolio = cs.data.simulate(3000, seed=3, drift=drift, truth_of_effects=False)
    spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    before, now = spells.landmark("2026-06-30"), spells.landmark("2026-09-30")
    columns = ["credit_score", "debt_to_income", "csat", "segment", "region"]
    found = cs.evaluation.characteristic_stability(before.frame, now.frame, columns, groups=(before.groups, now.groups))
    alarms = {one.name for one in found.alarms}
    # the drift moves three covariates and the segments of new loans; regions stay
    assert alarms == (set() if drift is None else {"credit_score", "debt_to_income", "csat", "segment"})
