"""Bad input to Cox models gets an error that names column, rows and remedy, or a warning where the answer is valid."""

import warnings

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import (
    CollinearityError,
    ConvergenceError,
    DataError,
    MissingDataWarning,
    NoEventsError,
    SeparationWarning,
    SmallSampleWarning,
    TooFewEventsError,
    UnseenCategoryError,
)

N = 300


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x1": rng.normal(size=N), "x2": rng.normal(size=N), "segment": rng.choice(list("ABC"), N)})


@pytest.fixture(scope="module")
def times():
    return np.ceil(np.random.default_rng(1).exponential(10, N))


@pytest.fixture(scope="module")
def event():
    return np.random.default_rng(2).integers(0, 2, N)


@pytest.fixture(scope="module")
def y(times, event):
    return cs.Outcome(times, event)


def with_value(X, column, row, value):
    out = X.copy()
    out.loc[row, column] = value
    return out


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda X: with_value(X, "x1", 3, np.nan), DataError, r"'x1' has 1 missing value \(row 3\).*missing='drop'"),
        (lambda X: with_value(X, "segment", 3, None), DataError, r"'segment' has 1 missing value \(row 3\)"),
        (lambda X: with_value(X, "x1", 3, np.inf), DataError, r"'x1' has 1 infinite value \(row 3\)"),
        (lambda X: X.assign(k=0.1), DataError, "'k' is constant"),
        (lambda X: X.assign(x3=X["x1"] - 2 * X["x2"]), CollinearityError, "'x3' is a linear combination of 'x1', 'x2'"),
        (lambda X: X.assign(x1=X["x1"].astype(str)), DataError, "'x1' holds numbers as text.*pd.to_numeric"),
        (lambda X: X.assign(d=pd.Timestamp("2026-01-01", tz="UTC")), DataError, "'d' is datetime64"),
        (lambda X: X.iloc[:0], DataError, "0 rows"),
        (lambda X: X.iloc[:5], DataError, "5 rows, y has 300"),
        (lambda X: X[[]], DataError, "no covariate"),
    ],
)
def test_covariates_that_cannot_be_used_are_named(change, error, words, X, y):
    with pytest.raises(error, match=words):
        cs.CoxPH().fit(change(X), y)


def test_rows_with_missing_covariates_are_dropped_when_asked_and_counted(X, y):
    with pytest.warns(MissingDataWarning, match=r"1 row of 300 dropped: column 'x1' has 1 missing value \(row 3\)"):
        model = cs.CoxPH(missing="drop").fit(with_value(X, "x1", 3, np.nan), y)
    kept = np.arange(N) != 3
    pd.testing.assert_series_equal(model.coef_, cs.CoxPH().fit(X[kept], y[kept]).coef_)
    assert model.n_dropped_ == 1


def test_without_events_nothing_is_estimated(X, times):
    with pytest.raises(NoEventsError, match="No 'event' event among 300 rows"):
        cs.CoxPH().fit(X, cs.Outcome(times, np.zeros(N, int)))
    with pytest.raises(NoEventsError, match="No 'default' event"):
        cs.CauseSpecificCox().fit(X, cs.Outcome(times, np.ones(N, int), causes=("attrition", "default")))


def test_fewer_events_than_coefficients_are_refused(X, times):
    one = np.zeros(N, int)
    one[5] = 1
    with pytest.raises(TooFewEventsError, match="1 event for 2 coefficients"):
        cs.CoxPH().fit(X[["x1", "x2"]], cs.Outcome(times, one))


def test_several_causes_need_a_name(X, times):
    y = cs.Outcome(times, np.random.default_rng(0).integers(0, 3, N), causes=("attrition", "default"))
    with pytest.raises(DataError, match=r"2 causes.*CoxPH\(cause='attrition'\).*CauseSpecificCox"):
        cs.CoxPH().fit(X, y)
    with pytest.raises(DataError, match="'churn' is unknown"):
        cs.CoxPH(cause="churn").fit(X, y)


def test_complete_separation_is_a_warning_that_names_the_column(X, event, y):
    with pytest.warns(SeparationWarning, match=r"monotone in 'knows' \(knows: \d+ events of \d+\).*likelihood-ratio"):
        model = cs.CoxPH().fit(X.assign(knows=(event == 1) * 1.0), y)
    assert model.coef_["knows"] > 10


def test_a_level_without_events_is_named_with_its_counts(X, times, event):
    kept = np.where(X["segment"] == "C", 0, event)
    n = int((X["segment"] == "C").sum())
    with pytest.warns(SeparationWarning, match=rf"'segment\[T.C\]' \(segment\[T.C\]: 0 events of {n}\)"):
        cs.CoxPH().fit(X, cs.Outcome(times, kept))


def test_a_stratum_without_events_is_named_and_the_fit_goes_on(X, times, event):
    kept = np.where(X["segment"] == "C", 0, event)
    n = int((X["segment"] == "C").sum())
    with pytest.warns(SmallSampleWarning, match=f"C: 0 events of {n}"):
        model = cs.CoxPH().fit(X, cs.Outcome(times, kept), strata="segment")
    others = X["segment"] != "C"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reference = cs.CoxPH().fit(X[others], cs.Outcome(times, kept)[others.to_numpy()], strata="segment")
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-9)


def test_a_column_of_the_calendar_alone_is_refused_under_strata_of_vintage(times, event):
    vintage = np.repeat(np.arange(10), N // 10)
    # on the scale of loan age each risk set of a vintage is one calendar month
    rate = np.random.default_rng(0).normal(size=200)
    start = times - 1
    X = pd.DataFrame({"market_rate": [rate[int(v + t)] for v, t in zip(vintage, times, strict=True)]})
    y = cs.Outcome(times, event, start=start)
    with pytest.raises(DataError, match="'market_rate' is constant within every risk set.*coarser strata"):
        cs.CoxPH().fit(X, y, strata=vintage)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (-1.0, r"sample_weight has 1 negative value \(row 3; -1\)"),
        (np.nan, r"sample_weight has 1 missing value \(row 3\)"),
        (np.inf, r"sample_weight has 1 infinite value \(row 3\)"),
    ],
)
def test_weights_that_are_no_weights_are_refused(weight, words, X, y):
    weights = np.ones(N)
    weights[3] = weight
    with pytest.raises(DataError, match=words):
        cs.CoxPH().fit(X, y, sample_weight=weights)


def test_weights_of_zero_leave_rows_out_and_all_zero_is_refused(X, y):
    weights = np.ones(N)
    weights[:50] = 0
    a, b = cs.CoxPH().fit(X, y, sample_weight=weights), cs.CoxPH().fit(X.iloc[50:], y[50:])
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-9)
    assert a.n_events_ == b.n_events_
    with pytest.raises(DataError, match="zero: no row"):
        cs.CoxPH().fit(X, y, sample_weight=np.zeros(N))


@pytest.mark.parametrize("argument", ["strata", "cluster", "offset", "sample_weight"])
def test_row_arguments_of_the_wrong_length_or_name_are_refused(argument, X, y):
    with pytest.raises(DataError, match=argument):
        cs.CoxPH().fit(X, y, **{argument: np.ones(5)})
    with pytest.raises(DataError, match="No column 'absent' in X"):
        cs.CoxPH().fit(X, y, **{argument: "absent"})


def test_new_rows_with_unseen_levels_or_strata_or_without_a_column_are_refused(X, y):
    model = cs.CoxPH().fit(X, y)
    with pytest.raises(UnseenCategoryError, match=r"'segment' has 'Z'.*known: A, B, C"):
        model.predict(X.assign(segment="Z"))
    with pytest.raises(DataError, match="Missing 1 column 'x2'"):
        model.predict(X.drop(columns="x2"))
    stratified = cs.CoxPH().fit(X, y, strata="segment")
    with pytest.raises(UnseenCategoryError, match=r"strata 'Z'.*known: A, B, C"):
        stratified.predict_curves(X.assign(segment="Z"))
    with pytest.raises(DataError, match="'segment', which was strata in the fit"):
        stratified.predict_curves(X.drop(columns="segment"))
    by_array = cs.CoxPH().fit(X[["x1"]], y, strata=X["segment"])
    with pytest.raises(DataError, match="pass strata= for the new rows"):
        by_array.predict_curves(X[["x1"]])


@pytest.mark.parametrize(
    "arguments", [{"ties": "exact"}, {"weight_type": "frequency"}, {"missing": "ignore"}], ids=lambda a: next(iter(a))
)
def test_unknown_options_list_the_known_ones(arguments, X, y):
    with pytest.raises(DataError, match="use one of"):
        cs.CoxPH(**arguments).fit(X, y)


def test_too_few_iterations_are_an_error(X, y):
    with pytest.raises(ConvergenceError, match="1 iteration"):
        cs.CoxPH(max_iter=1).fit(X, y)


@pytest.mark.parametrize("arguments", [{"times": [np.nan]}, {"times": [-1]}, {"start": -2}, {"start": np.nan}])
def test_times_and_ages_to_predict_must_be_ages(arguments, X, y):
    with pytest.raises(DataError, match=next(iter(arguments))):
        cs.CoxPH().fit(X, y).predict_curves(X, **arguments)


def test_a_level_of_confidence_is_between_zero_and_one(X, y):
    with pytest.raises(DataError, match=r"level=95.*0\.95"):
        cs.CoxPH().fit(X, y).summary(level=95)


def test_an_outcome_is_needed(X):
    with pytest.raises(DataError, match=r"not an Outcome.*Outcome\.from_frame"):
        cs.CoxPH().fit(X, np.ones(N))


def test_formulas_by_cause_must_name_causes(X, times):
    y = cs.Outcome(times, np.random.default_rng(0).integers(0, 3, N), causes=("attrition", "default"))
    with pytest.raises(DataError, match="'churn'"):
        cs.CauseSpecificCox({"churn": "x1"}).fit(X, y)


def test_an_unfitted_model_says_so(X):
    with pytest.raises(Exception, match="not fitted"):
        cs.CoxPH().predict(X)
