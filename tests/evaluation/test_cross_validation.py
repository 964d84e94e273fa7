import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, KFold, RepeatedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import churnsurv as cs
from churnsurv.data import CustomerKFold
from churnsurv.exceptions import DataError, LeakageWarning, NotIdentifiedError, SmallSampleWarning
from tests.evaluation.samples import competing, entering_late, single

EVERYTHING = [
    "concordance", "uno", "auc", "brier", "integrated_brier", "ipa", "observed_expected", "calibration_slope",
]  # fmt: skip


def customer_sums(parts, groups, n):
    """Sum (rows, influence) over customers."""
    sums = np.zeros(n)
    for rows, influence in parts:
        np.add.at(sums, groups[rows], influence)
    return sums


def test_values_are_those_of_a_loop_by_hand_over_the_same_folds():
    X, y, groups = competing()
    found = cs.evaluation.cross_validate(
        cs.CauseSpecificCox(), X, y, groups=groups, horizons=[6, 12], metrics=EVERYTHING
    )
    by_hand = {name: [] for name in EVERYTHING}
    for train, test in CustomerKFold(5, random_state=0).split(X, y, groups):
        model, seen = cs.CauseSpecificCox().fit(X.iloc[train], y[train]), y[test]
        options = {"cause": "attrition", "cluster": groups[test]}
        curves = model.predict_curves(X.iloc[test], [6, 12])
        score = model.predict(X.iloc[test], cause="attrition")
        by_hand["concordance"].append(cs.metrics.concordance_index(seen, score, **options))
        by_hand["uno"].append(cs.metrics.concordance_index(seen, score, tau=12, weighting="n/G2", **options))
        by_hand["auc"].append(cs.metrics.cumulative_dynamic_auc(seen, curves, 12, **options))
        by_hand["brier"].append(cs.metrics.brier_score(seen, curves, 12, **options))
        by_hand["integrated_brier"].append(cs.metrics.integrated_brier_score(seen, curves, [6, 12], **options))
        by_hand["ipa"].append(cs.metrics.index_of_prediction_accuracy(seen, curves, 12, **options))
        calibration = cs.metrics.calibration(seen, curves, 12, cause="attrition", cluster=groups[test])
        by_hand["observed_expected"].append(calibration.observed_expected.value)
        by_hand["calibration_slope"].append(calibration.slope)
    folds = found.folds[(found.folds["cause"] == "attrition") & (found.folds["horizon"] != 6)]
    for name in EVERYTHING:
        of_metric = folds[folds["metric"] == name]
        assert of_metric["fold"].tolist() == [1, 2, 3, 4, 5]
        for (_, row), expected in zip(of_metric.iterrows(), by_hand[name], strict=True):
            if isinstance(expected, cs.Estimate):
                np.testing.assert_allclose(row["value"], expected.value, rtol=1e-9)
                fields = ("se",) if name == "calibration_slope" else ("se", "lower", "upper")
                rtol = 1e-6 if name == "calibration_slope" else 1e-9
                for field in fields:
                    np.testing.assert_allclose(row[field], getattr(expected, field), rtol=rtol)
                assert row["n_events"] == expected.n_events
            else:
                np.testing.assert_allclose(row["value"], expected, rtol=1e-9)


def test_a_pooled_estimate_weighs_the_folds_and_adds_their_variances():
    X, y, groups = competing()
    found = cs.evaluation.cross_validate(
        cs.CauseSpecificCox(), X, y, groups=groups, horizons=[12], cause="attrition", metrics=["concordance", "brier"]
    )
    for name, by_events in (("concordance", True), ("brier", False)):
        folds = found.folds[found.folds["metric"] == name]
        weight = (folds["n_events"] if by_events else folds["n"]).to_numpy(float)
        weight /= weight.sum()
        pooled = found.estimate(name)
        np.testing.assert_allclose(pooled.value, weight @ folds["value"], rtol=1e-12)
        # whole customers: folds are independent
        np.testing.assert_allclose(
            pooled.se, np.sqrt(weight**2 @ folds["se"] ** 2), rtol=1e-2 if name == "brier" else 1e-9
        )


def test_customers_held_out_repeatedly_are_one_unit():
    X, y = single(150)
    options = {"metrics": ["concordance"]}
    parts = list(KFold(3, shuffle=True, random_state=1).split(X))
    once = cs.evaluation.cross_validate(cs.CoxPH(), X, y, cv=parts, **options).estimate("concordance")
    twice = cs.evaluation.cross_validate(cs.CoxPH(), X, y, cv=parts + parts, **options).estimate("concordance")
    np.testing.assert_allclose([twice.value, twice.se], [once.value, once.se], rtol=1e-12)
    assert (twice.n, twice.n_events) == (once.n, once.n_events) == (150, y.n_events)
    repeated = cs.evaluation.cross_validate(cs.CoxPH(), X, y, cv=RepeatedKFold(n_splits=3, random_state=1), **options)
    assert repeated.estimate("concordance").se > once.se / 2


def test_predictions_are_out_of_fold_and_give_the_estimates_back():
    X, y, groups = competing()
    found = cs.evaluation.cross_validate(cs.CauseSpecificCox(), X, y, groups=groups, horizons=[12], metrics="brier")
    given = found.predictions_
    assert sorted(given.loc[given["cause"] == "default", "row"]) == list(range(len(X)))
    fold = given[(given["fold"] == 2) & (given["cause"] == "default")]
    rows = fold["row"].to_numpy()
    again = cs.metrics.brier_score(y[rows], fold["risk_12"].to_numpy(), 12, cause="default", cluster=groups[rows])
    row = found.folds[(found.folds["fold"] == 2) & (found.folds["cause"] == "default")].iloc[0]
    np.testing.assert_allclose([row["value"], row["se"]], [again.value, again.se], rtol=1e-12)


def test_late_entry_is_judged_by_concordance_alone():
    X, y = entering_late()
    found = cs.evaluation.cross_validate(cs.CoxPH(), X, y)
    values = []
    for train, test in CustomerKFold(5, random_state=0).split(X, y, y.subject):
        model = cs.CoxPH().fit(X.iloc[train], y[train])
        values.append(cs.metrics.concordance_index(y[test], model.predict(X.iloc[test])))
    assert found.table["metric"].tolist() == ["concordance"]
    np.testing.assert_allclose(found.folds["value"], [v.value for v in values], rtol=1e-12)
    np.testing.assert_allclose(found.folds["se"], [v.se for v in values], rtol=1e-12)
    for metric in ("auc", "uno", "brier"):
        with pytest.raises(NotIdentifiedError, match="landmark"):
            cs.evaluation.cross_validate(cs.CoxPH(), X, y, horizons=[12], metrics=[metric])


def test_weights_count_like_copies():
    X, y = single(200)
    weight = np.random.default_rng(1).integers(1, 4, len(X)).astype(float)
    parts = list(KFold(4).split(X))
    copies = np.repeat(np.arange(len(X)), weight.astype(int))
    whole = cs.Outcome(y.stop[copies], y.event[copies], subject=np.arange(len(copies)))
    copied = [(np.flatnonzero(np.isin(copies, a)), np.flatnonzero(np.isin(copies, b))) for a, b in parts]
    options = {"horizons": [12], "metrics": ["concordance", "auc", "brier", "ipa", "observed_expected"]}
    model = cs.CoxPH(ties="breslow")
    weighted = cs.evaluation.cross_validate(model, X, y, cv=parts, sample_weight=weight, **options)
    repeated = cs.evaluation.cross_validate(model, X.iloc[copies], whole, cv=copied, groups=copies, **options)
    for field in ("value", "se"):
        np.testing.assert_allclose(weighted.table[field], repeated.table[field], rtol=1e-7)
    zero = np.where(np.arange(len(X)) % 10 == 0, 0.0, 1.0)
    left_out = cs.evaluation.cross_validate(model, X, y, cv=parts, sample_weight=zero, **options)
    assert left_out.estimate("brier").n == int(zero.sum())


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_the_answer_does_not_depend_on_the_number_of_processes(backend):
    X, y, groups = competing(200)
    model = cs.RandomSurvivalForest(5)  # its seed is left open
    options = {"groups": groups, "horizons": [12], "cv": 2, "metrics": ["concordance", "brier"]}
    one = cs.evaluation.cross_validate(model, X, y, **options)
    with parallel_config(backend=backend):
        two = cs.evaluation.cross_validate(model, X, y, n_jobs=2, **options)
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)
    pd.testing.assert_frame_equal(one.predictions_, two.predictions_, check_exact=True)


def test_row_order_changes_nothing_beyond_rounding():
    X, y, groups = competing(300)
    order = np.random.default_rng(3).permutation(len(X))
    options = {"horizons": [12], "metrics": EVERYTHING[:4]}
    one = cs.evaluation.cross_validate(cs.CauseSpecificCox(), X, y, groups=groups, **options)
    other = cs.evaluation.cross_validate(
        cs.CauseSpecificCox(), X.iloc[order], y[order], groups=groups[order], **options
    )
    np.testing.assert_allclose(one.table["value"], other.table["value"], rtol=1e-8)
    np.testing.assert_allclose(one.table["se"], other.table["se"], rtol=1e-8)


def test_pipelines_searches_columns_and_structured_arrays_are_taken():
    X, y = single(200)
    plain = cs.evaluation.cross_validate(cs.CoxPH(), X, y, metrics="concordance")
    scaled = cs.evaluation.cross_validate(make_pipeline(StandardScaler(), cs.CoxPH()), X, y, metrics="concordance")
    np.testing.assert_allclose(plain.table["value"], scaled.table["value"], rtol=1e-9)
    structured = cs.evaluation.cross_validate(cs.CoxPH(), X, y.to_sksurv(), metrics="concordance")
    np.testing.assert_allclose(plain.table["value"], structured.table["value"], rtol=1e-12)
    search = GridSearchCV(cs.CoxPH(), {"ties": ["efron", "breslow"]}, cv=2, scoring=cs.scorer("concordance"))
    searched = cs.evaluation.cross_validate(search, X, y, cv=2, horizons=12, metrics=["concordance", "brier"])
    assert searched.table["value"].notna().all()
    named = X.assign(customer=np.arange(len(X)) // 2, weight=1.0)
    by_name = cs.evaluation.cross_validate(cs.CoxPH(), named, y, groups="customer", sample_weight="weight")
    by_array = cs.evaluation.cross_validate(cs.CoxPH(), X, y, groups=named["customer"])
    np.testing.assert_allclose(by_name.table["value"], by_array.table["value"], rtol=1e-9)


def test_strata_are_passed_to_the_fit_by_name():
    X, y = single(300)
    X = X.assign(vintage=np.arange(len(X)) % 3)
    found = cs.evaluation.cross_validate(
        cs.CoxPH(), X, y, horizons=[12], metrics="brier", fit_params={"strata": "vintage"}
    )
    train, test = next(CustomerKFold(5, random_state=0).split(X, y, y.subject))
    model = cs.CoxPH().fit(X.iloc[train], y[train], strata="vintage")
    expected = cs.metrics.brier_score(y[test], model.predict_curves(X.iloc[test], [12]), 12)
    np.testing.assert_allclose(found.folds["value"].iloc[0], expected.value, rtol=1e-12)


def test_functions_are_metrics_with_an_interval_where_they_give_the_influence():
    X, y = single(200)

    def brier(y, risk, *, cause, horizon, sample_weight):
        estimate = cs.metrics.brier_score(y, risk, horizon, cause=cause, sample_weight=sample_weight)
        return estimate.value

    def mean_risk(y, risk, *, cause, horizon, sample_weight):
        share = sample_weight / sample_weight.sum()
        return float(share @ risk), share * (risk - share @ risk)

    found = cs.evaluation.cross_validate(
        cs.CoxPH(), X, y, horizons=[12], metrics=["brier", brier_with(brier), mean_risk]
    )
    table = found.table.set_index("metric")
    np.testing.assert_allclose(table.loc["own", "value"], table.loc["brier", "value"])
    assert np.isnan(table.loc["own", ["se", "lower", "upper"]].astype(float)).all()
    assert table.loc["mean_risk", "lower"] < table.loc["mean_risk", "value"] < table.loc["mean_risk", "upper"]
    with pytest.raises(DataError, match="return a number"):
        cs.evaluation.cross_validate(cs.CoxPH(), X, y, horizons=[12], metrics=[lambda y, risk, **_: (1.0, [2.0])])


def brier_with(function):
    def own(y, risk, **options):
        return function(y, risk, **options)

    return own


def test_a_leaking_column_is_suspected():
    X, y = single(200)
    leaking = X.assign(closed_in=np.log(y.stop) + np.random.default_rng(0).normal(0, 0.02, len(X)))
    with pytest.warns(LeakageWarning, match="above 0.97"):
        cs.evaluation.cross_validate(cs.CoxPH(), leaking, y, metrics="concordance")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cs.evaluation.cross_validate(cs.CoxPH(), X, y)


def test_customers_on_both_sides_are_warned_of():
    X, y, groups = competing(200)
    with pytest.warns(LeakageWarning, match="on both sides"):
        cs.evaluation.cross_validate(cs.CoxPH(cause="attrition"), X, y, groups=groups, cv=KFold(3))
    X, y = entering_late(60)
    with pytest.warns(LeakageWarning, match="on both sides"):
        cs.evaluation.cross_validate(cs.CoxPH(), X, y, cv=KFold(3, shuffle=True, random_state=0))


def test_development_later_than_the_test_is_warned_of():
    X, y = single(90)
    dates = pd.date_range("2024-01-31", periods=len(X), freq="D")
    with pytest.warns(LeakageWarning, match="first date"):
        cs.evaluation.cross_validate(cs.CoxPH(), X, y, dates=dates, cv=KFold(3))
    earlier = [(np.arange(60), np.arange(60, 90))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cs.evaluation.cross_validate(cs.CoxPH(), X, y, dates=dates, cv=earlier)


class Failing(BaseEstimator):
    def __init__(self, error=None):
        self.error = error

    def fit(self, X, y):
        raise self.error


def test_a_fit_that_fails_names_its_fold():
    X, y = single(60)
    with pytest.raises(DataError, match=r"Fold 1 of 5, CoxPH .*nope"):
        cs.evaluation.cross_validate(cs.CoxPH("nope"), X, y)
    with pytest.raises(DataError, match="Fold 1 of 5, Failing failed: RuntimeError: no") as caught:
        cs.evaluation.cross_validate(Failing(RuntimeError("no")), X, y)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(KeyboardInterrupt):
        cs.evaluation.cross_validate(Failing(KeyboardInterrupt()), X, y)
    assert cs.evaluation.cross_validate(cs.CoxPH(), X, y).table["folds"].tolist() == [5]


def test_a_fold_without_the_event_says_nothing_and_is_left_out():
    X, y = single(100)
    event = np.array(y.event)
    event[:50] = 0
    y = cs.Outcome(y.stop, event)
    parts = [(np.arange(50, 100), np.arange(50)), (np.r_[0:50, 50:75], np.arange(75, 100))]
    found = cs.evaluation.cross_validate(cs.CoxPH(), X, y, cv=parts)
    assert found.table["folds"].tolist() == [1]
    assert found.folds["reason"].str.contains("No event").tolist() == [True, False]
    np.testing.assert_allclose(found.table["value"][0], found.folds["value"][1])
    with pytest.raises(DataError, match="Nothing could be measured"):
        cs.evaluation.cross_validate(cs.CoxPH(), X, y, cv=parts[:1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metrics": ["accuracy"]}, "choose among"),
        ({"metrics": ["brier"]}, "needs horizons"),
        ({"metrics": ["integrated_brier"], "horizons": [6]}, "two or more"),
        ({"horizons": [12, 6]}, "increase"),
        ({"horizons": [0, 6]}, "positive"),
        ({"horizons": [1e6]}, "past the last observed time|past the last time known"),
        ({"cause": "sold"}, "unknown"),
        ({"cv": 1}, "2 or more"),
        ({"cv": None}, "number of folds"),
        ({"cv": [([0, 1], [1, 2])]}, "on both sides"),
        ({"cv": [([0, 1], [])]}, "no test rows"),
        ({"cv": [([0, 1], [500])]}, "names test rows"),
        ({"random_state": -1}, "0 or more"),
        ({"level": 2}, "no confidence level"),
        ({"fit_params": {"sample_weight": 1}}, "pass it to the evaluation"),
        ({"metrics": ["concordance", "concordance"]}, "twice"),
    ],
)
def test_bad_arguments_are_refused_in_words(options, words):
    X, y = single(60)
    with pytest.raises(DataError, match=words):
        cs.evaluation.cross_validate(
            cs.CoxPH(), X, y, **({"metrics": ["brier"]} if "horizons" in options else {}) | options
        )


def test_results_read_well():
    X, y, groups = competing(200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        found = cs.evaluation.cross_validate(cs.CauseSpecificCox(), X, y, groups=groups, horizons=[12], cv=2)
    assert "Harrell's C" in repr(found)
    assert "<table" in found._repr_html_()
    assert found.to_frame(wide=True).shape == (2, 6)
    estimate = found.estimate("auc", cause="attrition")
    assert estimate.lower < estimate.value < estimate.upper
    with pytest.raises(DataError, match="rows of the table fit"):
        found.estimate("auc")
