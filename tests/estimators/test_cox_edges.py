"""Cox models at the edges: odd inputs of other libraries, late entry, few clusters, recurrent events, extreme numbers."""

import copy
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning, SupportWarning

N = 400


@pytest.fixture(scope="module")
def X():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(N, 12)), columns=[f"c{i}" for i in range(12)])


@pytest.fixture(scope="module")
def y(X):
    t = np.ceil(np.random.default_rng(1).exponential(10 * np.exp(-X["c2"])))
    return cs.Outcome(np.minimum(t, 20), t <= 20)


@pytest.mark.parametrize(
    "estimator", [cs.CoxPH(), cs.CauseSpecificCox(), cs.FineGray("event")], ids=lambda e: type(e).__name__
)
def test_arrays_are_taken_by_position_and_named_tables_by_name(estimator, X, y):
    two = X[["c2", "c1"]]
    model = estimator.fit(two, y)
    expected = model.predict_curves(two, times=[5]).survival
    table = pa.Table.from_pandas(two[["c1", "c2"]])
    for same in (two.to_numpy(), two[["c1", "c2"]], table):
        np.testing.assert_allclose(model.predict_curves(same, times=[5]).survival, expected)
        np.testing.assert_allclose(model.predict(same), model.predict(two))
    with pytest.raises(DataError, match=r"3 columns without names, the fit had 2 \(c2, c1\)"):
        model.predict_curves(X.to_numpy()[:, :3], times=[5])
    with pytest.raises(DataError, match="'c2'"):
        model.predict_curves(table.rename_columns(["c1", "other"]), times=[5])


def test_numbers_as_column_names_are_names(X, y):
    model = cs.CoxPH().fit(pd.DataFrame(X.to_numpy()), y)
    np.testing.assert_allclose(model.coef_.to_numpy(), cs.CoxPH().fit(X, y).coef_.to_numpy())
    assert list(model.coef_.index) == [str(i) for i in range(12)]


ORDERED = pd.CategoricalDtype(["low", "mid", "high"], ordered=True)


@pytest.mark.parametrize(
    ("levels", "dtype"),
    [
        (["low", "mid", "high"], pd.CategoricalDtype(["low", "mid", "high"])),
        (["low", "mid", "high"], ORDERED),
        ([12, 24, 36], pd.CategoricalDtype([36, 24, 12])),
        ([True, False], pd.CategoricalDtype([True, False])),
    ],
    ids=["text", "ordered", "numbers", "booleans"],
)
@pytest.mark.parametrize("formula", [None, "g * x", "C(g) + x"])
def test_copies_of_a_model_know_the_order_of_its_categories(levels, dtype, formula, X, y, tmp_path):
    rng = np.random.default_rng(2)
    plain = pd.DataFrame({"g": rng.choice(levels, N), "x": X["c2"]})
    frame = plain.assign(g=pd.Series(plain["g"]).astype(dtype))
    model = cs.CoxPH(formula).fit(frame, y)
    expected = model.predict(frame)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), cs.load(cs.save(model, tmp_path / "model"))]
    for again in copies:
        np.testing.assert_array_equal(again.predict(frame), expected)
        # the same values however they are stored, as after a CSV file
        np.testing.assert_array_equal(again.predict(plain), expected)


def test_one_column_is_not_a_number_and_a_category_at_once(X, y):
    frame = X[["c1"]].assign(term=np.random.default_rng(0).choice([12, 24, 36], N))
    with pytest.raises(DataError, match="'term' as a number and.*second column"):
        cs.CoxPH("term + C(term)").fit(frame, y)
    assert list(cs.CoxPH("c1 + C(term)").fit(frame, y).coef_.index) == ["c1", "C(term)[T.24]", "C(term)[T.36]"]


def late(X, first=24.0):
    start = np.random.default_rng(3).uniform(first, 36, N)
    start[0] = first
    return cs.Outcome(start + np.random.default_rng(4).exponential(10 * np.exp(-X["c2"])), np.ones(N, int), start=start)


@pytest.mark.parametrize(
    "estimator", [cs.CoxPH(), cs.CauseSpecificCox(), cs.FineGray("event")], ids=lambda e: type(e).__name__
)
def test_nothing_is_predicted_for_ages_at_which_nobody_was_watched(estimator, X):
    x = X[["c2"]]
    model = estimator.fit(x, late(X))
    curves = model.predict_curves(x[:3])
    np.testing.assert_array_equal(curves.origin, 24.0)
    np.testing.assert_allclose(curves.risk(horizon=6), model.predict_curves(x[:3], start=24.0).risk(horizon=6))
    with pytest.raises(NotIdentifiedError, match="nobody was watched before the age of 24"):
        model.predict_curves(x[:3], start=12)
    assert (curves.rmst(6) < 6).all()


def test_the_first_age_is_that_of_the_stratum_and_of_rows_that_count(X):
    y = late(X)
    group = np.where(np.arange(N) < 200, "a", "b")
    weight = np.ones(N)
    weight[0] = 0
    model = cs.CoxPH().fit(X[["c2"]], y, strata=group, sample_weight=weight)
    assert model.first_ == [y.start[1:200].min(), y.start[200:].min()]
    assert model.last_[0] == y.stop[1:200].max()


def test_one_cluster_is_refused_and_few_are_said_to_be_too_few(X, y):
    three = X[["c1", "c2", "c3"]]
    with pytest.raises(DataError, match="one cluster.*at least two"):
        cs.CoxPH().fit(three, y, cluster=np.zeros(N))
    with pytest.warns(SmallSampleWarning, match="rank 1 for 3 coefficients"):
        model = cs.CoxPH().fit(three, y, cluster=np.arange(N) % 2)
    assert model.tests().loc[["wald", "robust_score"], "p_value"].isna().all()
    assert model.tests().loc[["likelihood_ratio", "score"], "p_value"].notna().all()


def test_recurrent_events_give_a_mean_number_of_events_and_no_probability():
    rng = np.random.default_rng(5)
    subject = np.repeat(np.arange(100), 2)
    start = np.tile([0.0, 5.0], 100)
    y = cs.Outcome(start + rng.integers(1, 6, 200), np.ones(200, int), start=start, subject=subject, recurrent=True)
    X = pd.DataFrame({"x": np.repeat(rng.normal(size=100), 2)})
    model = cs.CoxPH().fit(X, y)
    assert model.is_robust_
    np.testing.assert_allclose(model.covariance_, cs.CoxPH().fit(X, y, cluster=subject).covariance_)
    curves = model.predict_curves(X[:2])
    assert (curves.cumulative_hazard()[:, -1] > 0).all()
    with pytest.raises(NotIdentifiedError, match="recurrent"):
        _ = curves.survival
    with pytest.raises(NotIdentifiedError, match="recurrent"):
        cs.CauseSpecificCox().fit(X, y).predict_curves(X)


@pytest.mark.parametrize("factor", [1e-10, 1e-3, 1e14])
def test_weights_of_any_unit_give_the_same_coefficients(factor, X, y):
    weight = np.random.default_rng(6).uniform(0.5, 2, N)
    a, b = (cs.CoxPH().fit(X[["c2"]], y, sample_weight=w) for w in (weight, factor * weight))
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-9)
    np.testing.assert_allclose(a.covariance_, factor * b.covariance_, rtol=1e-8)
    dead = (weight * (y.event == 1)).sum()
    assert b.log_likelihood_ == pytest.approx(factor * (a.log_likelihood_ - np.log(factor) * dead), rel=1e-9)
    np.testing.assert_allclose(a.tests()["statistic"] * factor, b.tests()["statistic"], rtol=1e-7)


@pytest.mark.parametrize(
    "estimator", [cs.CoxPH(), cs.CauseSpecificCox(), cs.FineGray("event")], ids=lambda e: type(e).__name__
)
def test_extreme_linear_predictors_leave_for_certain(estimator, X, y):
    model = estimator.fit(X[["c2"]], y)
    curves = model.predict_curves(pd.DataFrame({"c2": [1e4, -1e4]}))
    assert np.isfinite(curves.probability).all()
    assert curves.survival[0, -1] == 0
    assert curves.survival[1, -1] == 1


def test_a_huge_constant_offset_changes_no_prediction(X, y):
    x = X[["c2"]]
    plain = cs.CoxPH().fit(x, y).predict_curves(x[:5], times=[5]).survival
    model = cs.CoxPH().fit(x, y, offset=np.full(N, 1e6))
    shifted = model.predict_curves(x[:5], times=[5], offset=np.full(5, 1e6)).survival
    np.testing.assert_allclose(shifted, plain, rtol=1e-9)
    with pytest.raises(NotIdentifiedError, match="Centre"):
        _ = model.baseline_cumulative_hazard_


@pytest.mark.parametrize(
    "estimator", [cs.CoxPH(), cs.CauseSpecificCox(), cs.FineGray("event")], ids=lambda e: type(e).__name__
)
def test_starts_offsets_and_strata_of_the_wrong_length_or_kind_are_refused(estimator, X, y):
    x = X[["c2"]]
    model = estimator.fit(x, y, strata=np.arange(N) % 2)
    strata = np.zeros(3, int)
    with pytest.raises(DataError, match=r"start has shape \(2,\), X has 3 rows"):
        model.predict_curves(x[:3], start=[1, 2], strata=strata)
    with pytest.raises(DataError, match="'start'"):
        model.predict_curves(x[:3], start="c1", strata=strata)
    with pytest.raises(DataError, match="'times'"):
        model.predict_curves(x[:3], times="a", strata=strata)
    with pytest.raises(DataError, match="times has 2 dimensions"):
        model.predict_curves(x[:3], times=[[1, 2]], strata=strata)
    with pytest.raises(DataError, match="offset has shape"):
        model.predict_curves(x[:3], offset=0.1, strata=strata)
    many = pd.concat([x] * 6)[:2048]
    with pytest.raises(DataError, match=r"strata has shape \(3000,\)"):
        model.predict_curves(many, times=[5], strata=np.zeros(3000, int))


def test_months_as_years_give_the_risks_of_months():
    y = cs.Outcome(np.repeat(np.arange(1, 41), 10), np.ones(400, int))
    x = pd.DataFrame({"x": np.random.default_rng(0).normal(size=400)})
    in_years = cs.Outcome(y.stop / 12, y.event)
    months, years = (cs.CoxPH().fit(x, outcome) for outcome in (y, in_years))
    ages = np.arange(1, 25)
    for age in ages:
        in_months = months.predict_curves(x[:1], start=age).risk(horizon=12)
        assert years.predict_curves(x[:1], start=age / 12).risk(horizon=1) == pytest.approx(in_months, rel=1e-9)


@pytest.mark.parametrize("level", ["a", None, True, 0, 1, 95])
def test_levels_that_are_none_are_refused(level, X, y):
    with pytest.raises(DataError, match="confidence level"):
        cs.CoxPH().fit(X[["c2"]], y).summary(level)


@pytest.mark.parametrize(
    "estimator", [cs.CoxPH(), cs.CauseSpecificCox(), cs.FineGray("event")], ids=lambda e: type(e).__name__
)
def test_a_grid_that_holds_every_step_is_read_like_the_steps(estimator, X, y):
    x = X[["c2"]]
    model = estimator.fit(x, y)
    whole, grid = model.predict_curves(x[:5]), model.predict_curves(x[:5], times=np.arange(0, 13))
    np.testing.assert_allclose(grid.rmst(12), whole.rmst(12))
    np.testing.assert_allclose(grid.risk(horizon=7), whole.risk(horizon=7))
    np.testing.assert_array_equal(grid.at([6.5]).survival, whole.at([6.5]).survival)
    with pytest.warns(SupportWarning, match="past the last time known"):
        assert np.isnan(grid.at([15]).survival).all()
    with pytest.raises(DataError, match="evaluated at 6, 12 only; 9 is not among them"):
        model.predict_curves(x[:5], times=[6, 12]).risk(horizon=9)
