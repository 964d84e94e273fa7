"""Recalibration repairs what was spoilt on purpose, leaves alone what is right, and says which of its answers hold."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning, SupportWarning, TooFewEventsError
from churnsurv.kernels.pseudo import pseudo_values

CAUSES = ("attrition", "default")


def portfolio(seed, n=3_000, level=1.0, slope=1.0, late=False):
    """Draw monthly exits; `level` and `slope` change the hazards against those the models are fitted to."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"rate": rng.normal(size=n), "income": rng.normal(size=n), "customer": rng.integers(0, n // 2, n)})
    score = 0.7 * X["rate"] - 0.4 * X["income"]
    first = rng.exponential(60 / level * np.exp(-slope * score))
    second = rng.exponential(200 / level * np.exp(-slope * 0.6 * X["income"]))
    start = rng.integers(0, 10, n) if late else np.zeros(n)
    end = start + rng.integers(12, 37, n)
    months = start + np.ceil(np.minimum(first, second))  # hazards do not depend on age
    left = months <= end
    event = np.where(left, np.where(first < second, 1, 2), 0)
    y = cs.Outcome(np.where(left, months, end), event, start=start if late else None, causes=CAUSES)
    return X, y


@pytest.fixture(scope="module")
def model():
    X, y = portfolio(1, 40_000)  # so many that the model is as good as true
    return cs.CauseSpecificCox("rate + income").fit(X, y)


def covers(estimate, value):
    return estimate.lower <= value <= estimate.upper


@pytest.mark.parametrize(
    ("method", "change"),
    [("hazard", {"level": 2.0}), ("slope", {"level": 2.0, "slope": 0.5}), ("cloglog", {"level": 2.0, "slope": 0.5}),
     ("isotonic", {"level": 2.0})],
)  # fmt: skip
def test_a_spoilt_model_is_repaired_on_fresh_data(model, method, change):
    # every interval has 99 %, and there are eight of fresh data by method: by chance alone one in about 12 runs misses
    horizon = 12 if method in ("cloglog", "isotonic") else None
    X, y = portfolio(2, 6_000, **change)
    fresh, outcome = portfolio(3, 6_000, **change)
    before = model.predict_curves(fresh, [12])
    again = cs.Recalibrated(model, method=method, horizon=horizon).fit(X, y)
    after = again.predict_curves(fresh, [12])
    for cause in CAUSES:
        spoilt, repaired = (cs.metrics.calibration(outcome, c, 12, cause=cause, level=0.99) for c in (before, after))
        assert not covers(spoilt.observed_expected, 1)
        # the recalibration itself has an error as large as that of the fresh data
        error = np.sqrt(2) * (repaired.observed_expected.upper - repaired.observed_expected.lower) / 2
        assert abs(repaired.observed_expected.value - 1) < error
        if method != "isotonic":
            assert abs(repaired.slope.value - 1) < np.sqrt(2) * (repaired.slope.upper - repaired.slope.lower) / 2
    np.testing.assert_allclose(after.probability.sum(axis=1), 1, atol=1e-12)


def test_one_cause_keeps_its_ranks():
    X, y = portfolio(4)
    y = y.only("attrition")
    cox = cs.CoxPH("rate + income").fit(X, y)
    fresh, outcome = portfolio(5, level=2.0, slope=0.5)
    outcome = outcome.only("attrition")
    before = cs.metrics.concordance_index(outcome, cox.predict(fresh)).value
    for method in ("hazard", "slope", "cloglog"):
        horizon = 12 if method == "cloglog" else None
        again = cs.Recalibrated(cox, method=method, horizon=horizon).fit(fresh, outcome)
        risk = again.risk(fresh, "attrition", 12)
        assert cs.metrics.concordance_index(outcome, risk).value == pytest.approx(before, abs=1e-12)
        assert cs.metrics.concordance_index(outcome, again.predict(fresh)).value == before


@pytest.mark.parametrize("method", ["hazard", "slope", "cloglog"])
def test_a_model_that_is_right_is_left_within_noise(model, method):
    X, y = portfolio(6, 6_000)
    horizon = 12 if method == "cloglog" else None
    table = cs.Recalibrated(model, method=method, horizon=horizon, level=0.999).fit(X, y).recalibration_
    away = (table["value"] - table["null_value"]).abs()
    assert (away < (table["upper"] - table["lower"]) / 2).all()


def test_the_level_is_observed_over_expected_with_its_variance():
    X, y = portfolio(18, late=True)
    model = cs.CauseSpecificCox("rate + income").fit(X, y)
    X, y = portfolio(7, late=True)
    table = cs.Recalibrated(model).fit(X, y, cluster="customer").recalibration_
    curves = model.predict_curves(X, start=y.start)
    for k, cause in enumerate(CAUSES, 1):
        expected = np.zeros(len(y))
        for i in range(len(y)):  # the hazard summed month by month
            stay = np.concatenate(([1.0], curves.survival[i, :-1]))
            steps = np.diff(curves.cumulative_incidence(cause)[i], prepend=0.0) / stay
            expected[i] = steps[curves.times <= y.stop[i]].sum()
        observed = (y.event == k).astype(float)
        ratio = observed.sum() / expected.sum()
        row = table[table["cause"] == cause].iloc[0]
        assert row["value"] == pytest.approx(np.log(ratio), rel=1e-9)
        by_customer = pd.Series(observed - ratio * expected).groupby(X["customer"].to_numpy()).sum()
        n = len(by_customer)
        assert row["se"] == pytest.approx(np.sqrt((by_customer**2).sum() * n / (n - 1)) / observed.sum(), rel=1e-9)
        # and close to that of a Poisson count
        assert row["se"] == pytest.approx(1 / np.sqrt(observed.sum()), rel=0.15)
        assert poisson.interval(0.9999, expected.sum() * ratio)[0] <= observed.sum()


def test_factors_multiply_the_hazards_of_their_band(model):
    X, y = portfolio(8)
    again = cs.Recalibrated(model, bands=[6, 18]).fit(X, y)
    row = X.iloc[[5]]
    before, after = model.predict_curves(row), again.predict_curves(row)
    factors = np.exp(again.recalibration_["value"].to_numpy().reshape(2, 3))
    band = np.searchsorted([6, 18], before.times, side="left")
    stay, left = 1.0, np.zeros(2)
    survival = np.concatenate(([1.0], before.survival[0]))
    for t in range(len(before.times)):  # the product integral by hand
        steps = np.array([np.diff(before.cumulative_incidence(c)[0], prepend=0.0)[t] for c in CAUSES]) / survival[t]
        steps = steps * factors[:, band[t]]
        left, stay = left + stay * steps, stay * (1 - steps.sum())
        np.testing.assert_allclose(after.probability[0, :, t], [stay, *left], rtol=1e-9)
    assert np.all(np.diff(after.probability[0, 1:], axis=1) >= 0)


def test_a_slope_is_the_coefficient_of_the_linear_predictor():
    X, y = portfolio(9)
    y = y.only("attrition")
    cox = cs.CoxPH("rate + income").fit(X, y)
    fresh, outcome = portfolio(10, slope=0.5)
    outcome = outcome.only("attrition")
    table = cs.Recalibrated(cox, method="slope").fit(fresh, outcome).recalibration_.set_index("parameter")
    # a Cox model of the linear predictor estimates the same slope, with a baseline of its own
    line = cs.CoxPH().fit(pd.DataFrame({"lp": cox.predict(fresh)}), outcome).summary()
    assert table.loc["slope", "value"] == pytest.approx(line["coef"].iloc[0], abs=0.5 * line["se"].iloc[0])
    assert table.loc["slope", "se"] == pytest.approx(line["se"].iloc[0], rel=0.25)


def test_rows_cut_into_pieces_change_nothing(model):
    X, y = portfolio(11, 800)
    cut = np.flatnonzero(y.stop > 6)
    pieces = cs.Outcome(
        np.concatenate((np.minimum(y.stop, 6), y.stop[cut])),
        np.concatenate((np.where(y.stop > 6, 0, y.event), y.event[cut])),
        start=np.concatenate((np.zeros(len(y)), np.full(len(cut), 6.0))),
        subject=np.concatenate((np.arange(len(y)), cut)),
        causes=CAUSES,
    )
    frame = pd.concat((X, X.iloc[cut]))
    for method in ("hazard", "slope"):
        whole = cs.Recalibrated(model, method=method).fit(X, y).recalibration_
        cut_up = cs.Recalibrated(model, method=method).fit(frame, pieces).recalibration_
        np.testing.assert_allclose(cut_up[["value", "se"]], whole[["value", "se"]], rtol=1e-6)


def test_the_steps_are_an_isotonic_regression_of_pseudo_values(model):
    X, y = portfolio(12)
    again = cs.Recalibrated(model, method="isotonic", horizon=12).fit(X, y)
    risk = model.predict_curves(X, [12]).cumulative_incidence("attrition")[:, 0]
    outcome = pseudo_values(y.stop, y.event, np.ones(len(y)), 1, 12.0)
    expected = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(risk, outcome).predict(risk)
    # a risk at the very edge of a step may fall to either side by rounding
    assert np.mean(np.abs(again.risk(X, "attrition") - expected) > 1e-9) < 0.002


def test_by_folds_no_customer_judges_a_model_that_saw_him():
    X, y = portfolio(13, 600)
    flat = X[["rate"]].assign(**{f"noise{j}": np.random.default_rng(100 + j).normal(size=len(X)) for j in range(25)})
    inner = cs.DiscreteHazard()
    y = y.only("attrition")
    honest = cs.Recalibrated(inner, method="slope", cv=4).fit(flat, y).recalibration_
    seen = cs.Recalibrated(clone(inner).fit(flat, y), method="slope").fit(flat, y).recalibration_
    slopes = [t.loc[(t["parameter"] == "slope") & (t["cause"] == "attrition"), "value"].iloc[0] for t in (honest, seen)]
    # 26 coefficients of some 300 exits: the rows of the fit say nothing is wrong
    assert abs(slopes[1] - 1) < 0.05
    assert slopes[0] < 0.9


def test_it_works_on_pipelines_and_forests_and_survives_a_file(tmp_path):
    X, y = portfolio(14, 600)
    fresh, outcome = portfolio(15, 600, level=2.0)
    columns = ["rate", "income"]
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), cs.CauseSpecificCox()).fit(X[columns], y)
    forest = cs.RandomSurvivalForest(n_estimators=10, random_state=0).fit(X[columns], y)
    for inner in (pipeline, forest):
        for options in ({}, {"method": "slope"}, {"method": "cloglog", "horizon": 12}):
            again = cs.Recalibrated(inner, **options).fit(fresh[columns], outcome)
            risk = again.risk(fresh[columns], "attrition", 12)
            assert np.mean(risk) > np.mean(cs.predict_curves(inner, fresh[columns]).risk("attrition", 12))
    again = cs.Recalibrated(forest, bands=(12,)).fit(fresh[columns], outcome)
    loaded = cs.load(cs.save(again, tmp_path / "recalibrated.churnsurv"))
    np.testing.assert_allclose(
        loaded.predict_curves(fresh[columns]).probability, again.predict_curves(fresh[columns]).probability
    )
    mapped = cs.Recalibrated(forest, method="isotonic", horizon=12).fit(fresh[columns], outcome)
    loaded = cs.load(cs.save(mapped, tmp_path / "mapped.churnsurv"))
    np.testing.assert_allclose(loaded.risk(fresh[columns], "default"), mapped.risk(fresh[columns], "default"))


def test_late_entry_counts_from_the_current_age(model):
    X, y = portfolio(16, late=True)
    again = cs.Recalibrated(model, method="cloglog", horizon=12).fit(X, y)
    risk = again.risk(X, "attrition", start=y.start)
    own = model.predict_curves(X, start=y.start).risk("attrition", 12)
    np.testing.assert_array_equal(np.argsort(risk), np.argsort(own))
    with pytest.raises(NotIdentifiedError, match="different ages"):
        again.predict_curves(X, start=y.start)
    assert again.predict_curves(X, start=5).times.tolist() == [17]


def test_a_slope_that_turns_the_order_round_is_warned_of(model):
    X, y = portfolio(19, 1_000)
    for options in ({"method": "slope"}, {"method": "cloglog", "horizon": 12}):
        with pytest.warns(SmallSampleWarning, match="turned round"):
            cs.Recalibrated(model, **options).fit(X.assign(rate=-X["rate"], income=-X["income"]), y)


def test_what_is_not_known_is_refused(model):
    X, y = portfolio(17, 300)
    fit = cs.Recalibrated(model, method="cloglog", horizon=12).fit
    for options, words in (
        ({"method": "platt"}, "platt"),
        ({"method": "cloglog"}, "horizon"),
        ({"horizon": 12}, "horizon"),
        ({"method": "slope", "bands": [3]}, "bands"),
        ({"bands": [6, 3]}, "increasing"),
    ):
        with pytest.raises(DataError, match=words):
            cs.Recalibrated(model, **options).fit(X, y)
    with pytest.raises(NotFittedError, match="cv="):
        cs.Recalibrated(cs.CauseSpecificCox()).fit(X, y)
    with pytest.raises(NotIdentifiedError, match="within 12"):
        fit(X, y).risk(X, "attrition", 24)
    with pytest.raises(NotIdentifiedError, match="by 12"):
        fit(X, y).predict_curves(X, [6, 12])
    with pytest.raises(NotIdentifiedError, match="alone"):
        cs.Recalibrated(cs.CoxPH("rate", cause="attrition").fit(X, y)).fit(X, y)
    with pytest.raises(DataError, match="causes"):
        cs.Recalibrated(model).fit(X, y.only("attrition"))
    with pytest.raises(TooFewEventsError, match="wider bands"):
        cs.Recalibrated(model, bands=[1, 500]).fit(X, y)
    with pytest.raises(NotIdentifiedError, match="everybody"):
        cs.Recalibrated(cs.NullModel().fit(X, y), method="slope").fit(X, y)
    with pytest.raises(DataError, match="missing"):
        cs.Recalibrated(model).fit(X.assign(rate=np.nan), y)
    with pytest.raises(DataError, match="one cluster"):
        cs.Recalibrated(model).fit(X, y, cluster=np.zeros(len(X)))
    pairs = cs.Outcome([6, 9] * 150, [0, 1] * 150, start=[0, 6] * 150, subject=np.arange(300) // 2, causes=CAUSES)
    with pytest.raises(NotIdentifiedError, match="one row each"):
        fit(X, pairs)
    later = cs.Outcome(np.where(y.event == 1, y.stop + 100, y.stop), y.event, causes=CAUSES)
    half = np.where(np.arange(len(y)) < 150, later.stop, y.stop)
    with pytest.warns(SupportWarning, match="left out"):
        cs.Recalibrated(model).fit(X, cs.Outcome(half, y.event, causes=CAUSES))


@pytest.mark.slow
def test_intervals_of_the_level_and_the_slope_cover_by_customer():
    # 300 cohorts of 1,000 rows with two loans per customer whose exits depend on each other, judged by a model that is
    # true; with a true coverage of 95 % the share has a standard error of 1.3 points; band ± 3
    n_runs = 300
    rng = np.random.default_rng(5)

    def cohort(n, frailty):
        customer = np.repeat(np.arange(n // 2), 2)
        x = rng.normal(size=n)
        own = np.exp(frailty * rng.normal(size=n // 2) - frailty**2 / 2)[customer]
        time, end = rng.exponential(np.exp(-0.7 * x) / (0.02 * own)), rng.uniform(6, 25, n)
        return pd.DataFrame({"x": x}), cs.Outcome(np.minimum(time, end), time <= end), customer

    X, y, _ = cohort(60_000, 0.0)
    model = cs.DiscreteHazard().fit(X, cs.Outcome(np.ceil(y.stop), y.event))
    truth = None
    X, y, _ = cohort(400_000, 0.8)
    table = cs.Recalibrated(model, method="slope").fit(X, cs.Outcome(np.ceil(y.stop), y.event)).recalibration_
    truth = table["value"].to_numpy()  # what the frailty makes of level and slope, to 0.004
    covered = np.zeros((n_runs, 2), dtype=bool)
    for run in range(n_runs):
        X, y, customer = cohort(1_000, 0.8)
        months = cs.Outcome(np.ceil(y.stop), y.event)
        found = cs.Recalibrated(model, method="slope").fit(X, months, cluster=customer).recalibration_
        covered[run] = (found["lower"] <= truth) & (truth <= found["upper"])
    share = covered.mean(axis=0)
    assert np.all(np.abs(share - 0.95) < 3 * np.sqrt(0.95 * 0.05 / n_runs)), share
