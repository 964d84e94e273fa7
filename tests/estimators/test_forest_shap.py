"""SHAP values of a forest: additive, equal to Shapley's formula, and plain about what they explain."""

import itertools
import math
import sys

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.estimators.forest_inputs import numeric_columns
from churnsurv.exceptions import ChurnSurvError, DataError, NotIdentifiedError, UnseenCategoryError

N = 300


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    grade = pd.Categorical(rng.choice(list("CAB"), N), categories=["C", "A", "B"], ordered=True)
    rate = np.where(rng.uniform(size=N) < 0.2, np.nan, rng.normal(size=N))
    segment = rng.choice(["private", "retail", "sme", None], N)
    return pd.DataFrame({"rate": rate, "score": rng.integers(500, 800, N), "segment": segment, "grade": grade})


@pytest.fixture(scope="module")
def forest(X):
    rng = np.random.default_rng(1)
    effect = X["rate"].fillna(1.0) + (X["segment"] == "sme") - 0.005 * (X["score"] - 650) + 0.5 * (X["grade"] == "A")
    start = rng.integers(0, 6, N)
    months = np.ceil(rng.exponential(20 * np.exp(-effect)))
    cause = np.where(months <= 24, rng.integers(1, 3, N), 0)
    y = cs.Outcome(start + np.minimum(months, 24), cause, start=start, causes=("attrition", "default"))
    return cs.RandomSurvivalForest(12, min_samples_leaf=5, random_state=0).fit(X, y)


@pytest.fixture(scope="module", autouse=True)
def _shap():
    pytest.importorskip("shap")


def mean_of_trees(forest, X, horizon, cause, start=None):
    """The mean risk of forests of one tree each: the kernel of predictions, with all other trees taken out."""
    numbers = numeric_columns(X, forest.columns_, forest.levels_)
    k = forest.causes_.index(cause) + 1
    begin = None if start is None else np.full(len(X), float(start))
    total = np.zeros(len(X))
    for tree in range(forest.n_estimators):
        others = np.ones((forest.n_estimators, 1), np.uint8)
        others[tree] = 0
        at = np.array([horizon + (0.0 if start is None else start)])
        total += forest._answers(numbers, at, begin, others, np.zeros(len(X), np.int32))[0][:, k, 0]
    return total / forest.n_estimators


@pytest.mark.parametrize(("cause", "start"), [("attrition", None), ("default", 6)])
def test_the_values_add_up_to_the_mean_risk_of_the_trees(cause, start, forest, X):
    result = forest.shap_values(X.iloc[:60], horizon=12, cause=cause, start=start, background=X.iloc[100:170])
    expected = mean_of_trees(forest, X.iloc[:60], 12, cause, start)
    np.testing.assert_allclose(result.base_value + result.values.sum(axis=1), expected, atol=1e-6)
    np.testing.assert_allclose(result.explained, expected, atol=1e-12)
    assert result.base_value == pytest.approx(mean_of_trees(forest, X.iloc[100:170], 12, cause, start).mean())
    curves = forest.predict_curves(X.iloc[:60], start=start)
    np.testing.assert_allclose(result.pooled, curves.risk(cause, 12))
    assert (result.cause, result.horizon, result.n_background) == (cause, 12, 70)


def test_the_values_are_those_of_shapleys_formula(forest, X):
    rows, background = X.iloc[:6], X.iloc[50:59]
    result = forest.shap_values(rows, horizon=12, cause="attrition", background=background)
    p = X.shape[1]

    def worth(row, columns):
        mixed = background.copy()
        for column in columns:
            mixed[column] = pd.concat([row[column]] * len(background)).set_axis(background.index)
        return mean_of_trees(forest, mixed, 12, "attrition").mean()

    for i in range(len(rows)):
        row = rows.iloc[[i]]
        value = {s: worth(row, s) for k in range(p + 1) for s in itertools.combinations(X.columns, k)}
        for j, column in enumerate(X.columns):
            rest = [c for c in X.columns if c != column]
            expected = sum(
                math.factorial(k) * math.factorial(p - k - 1) / math.factorial(p)
                * (value[tuple(c for c in X.columns if c in {*s, column})] - value[s])
                for k in range(p) for s in itertools.combinations(rest, k)
            )  # fmt: skip
            assert result.values[i, j] == pytest.approx(expected, abs=1e-8)


def test_of_one_tree_the_prediction_itself_is_explained(X):
    y = cs.Outcome(np.arange(1, N + 1), np.ones(N, int))
    tree = cs.RandomSurvivalForest(1, random_state=0).fit(X, y)
    result = tree.shap_values(X.iloc[:40], horizon=100)
    np.testing.assert_allclose(result.explained, result.pooled, atol=1e-12)
    assert result.mean_absolute_difference == pytest.approx(0, abs=1e-12)
    assert result.correlation == pytest.approx(1)


def test_it_says_how_far_what_is_explained_is_from_the_prediction(forest, X):
    result = forest.shap_values(X, horizon=12, cause="attrition")
    assert result.n_background == 100
    assert result.mean_absolute_difference == pytest.approx(np.abs(result.explained - result.pooled).mean())
    assert result.correlation == pytest.approx(np.corrcoef(result.explained, result.pooled)[0, 1])
    assert f"correlates {result.correlation:.4f}" in repr(result)
    assert result.to_frame().columns.tolist() == X.columns.tolist()
    assert result.mean_absolute().is_monotonic_decreasing
    assert result.mean_absolute()["rate"] == pytest.approx(np.abs(result.values[:, 0]).mean())


def test_it_becomes_an_explanation_of_shap(forest, X):
    result = forest.shap_values(X.iloc[:5], horizon=12, cause="attrition", background=X.iloc[5:20])
    explanation = result.to_explanation()
    assert explanation.feature_names == X.columns.tolist()
    np.testing.assert_array_equal(explanation.values, result.values)
    np.testing.assert_array_equal(explanation.base_values, np.full(5, result.base_value))
    assert explanation.data[0, 1] == X["score"].iloc[0]


def test_the_order_of_columns_and_of_the_background_does_not_matter(forest, X):
    options = {"horizon": 12, "cause": "attrition"}
    one = forest.shap_values(X.iloc[:9], **options, background=X.iloc[20:60])
    other = forest.shap_values(X.iloc[:9, ::-1].assign(more=1), **options, background=X.iloc[20:60].iloc[::-1, ::-1])
    np.testing.assert_allclose(other.values, one.values, atol=1e-12)


def test_a_row_without_a_prediction_has_no_values(forest, X):
    rows = X.iloc[:4].astype({"score": float})
    rows.iloc[2, 1] = np.nan
    result = forest.shap_values(rows, horizon=12, cause="attrition", background=X.iloc[50:70])
    assert np.isnan(result.values).all(axis=1).tolist() == [False, False, True, False]
    assert np.isnan(result.explained).tolist() == [False, False, True, False]
    assert np.isfinite(result.mean_absolute_difference)


def test_what_cannot_be_explained_is_refused(forest, X):
    late = {"horizon": 12, "cause": "attrition"}
    for options, error, message in (
        ({}, DataError, "X has 3 rows with a prediction.* pass background="),
        ({"horizon": 99}, DataError, "past the last time known"),
        ({"horizon": "year"}, DataError, "horizon='year'"),
        ({"cause": None}, DataError, "Name the cause"),
        ({"start": [1, 2]}, DataError, "start="),
        ({"background": pd.concat([X] * 4)}, DataError, "at most 1,000"),
        ({"background": X.assign(score=np.nan)}, DataError, "background lacks values in 'score'"),
        ({"background": X.assign(segment="public")}, UnseenCategoryError, "'public'"),
    ):
        with pytest.raises(error, match=message):
            forest.shap_values(X.iloc[:3], **(late | options))
    y = cs.Outcome(np.arange(11, N + 11), np.ones(N, int), start=np.full(N, 10))
    with pytest.raises(NotIdentifiedError, match="nobody was watched"):
        cs.RandomSurvivalForest(2, random_state=0).fit(X, y).shap_values(X, horizon=5, start=3)


def test_rows_without_a_prediction_alone_are_nan(forest, X):
    lacking = next(column for column in X.columns if column not in forest.missing_columns_)
    for rows in (X.iloc[:2], X.iloc[:30]):
        result = forest.shap_values(rows.assign(**{lacking: None}), horizon=12, cause="attrition")
        assert np.isnan(result.values).all()
        assert result.values.shape == (len(rows), X.shape[1])
        assert np.isnan(result.correlation)
        assert np.isnan(result.mean_absolute_difference)
        assert "0, base nan" in repr(result)


def test_without_shap_the_remedy_is_named(forest, X, monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(ChurnSurvError, match=r"pip install 'churnsurv\[explain\]'"):
        forest.shap_values(X.iloc[:3], horizon=12, cause="attrition")
