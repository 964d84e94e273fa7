"""Permutation importance: what is permuted, what is measured, and what its intervals cover."""

import itertools

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.estimators.importance import _Judged, _Subjects
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SmallSampleWarning, SupportWarning
from churnsurv.metrics.scorers import brier_scorer, concordance_scorer


def customers(rng, n, entry=True):
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "noise": rng.normal(size=n)})
    start = rng.integers(0, 5, n) if entry else np.zeros(n, int)
    months = start + np.ceil(rng.exponential(15 * np.exp(-0.8 * X["a"] - 0.3 * X["b"])))
    cause = np.where(months <= 36, rng.integers(1, 3, n), 0)
    return X, cs.Outcome(np.minimum(months, 36), cause, start=start, causes=("attrition", "default"))


@pytest.fixture(scope="module")
def data():
    return customers(np.random.default_rng(0), 300)


@pytest.fixture(scope="module")
def forest(data):
    return cs.RandomSurvivalForest(30, random_state=0).fit(*data)


def importance(forest, X, y, **options):
    return forest.permutation_importance(X, y, **({"cause": "attrition", "random_state": 1} | options))


def test_what_drives_exits_is_found_and_what_does_not_is_not(forest, data):
    result = importance(forest, *data)
    table = result.to_frame()
    assert list(table.columns) == ["importance", "se", "lower", "upper"]
    assert table.index[0] == "a"
    assert table.loc["a", "lower"] > 0
    assert table.loc["noise", "lower"] < 0
    assert (np.diff(table["importance"]) <= 0).all()
    np.testing.assert_allclose(result.repeats.mean(axis=1), result.value)
    assert "noise" in repr(result)


def test_the_mean_fall_is_that_over_all_pairs_of_givers():
    # exactly: of a comparable pair (i, j) the givers are any two different customers, with equal probability
    rng = np.random.default_rng(3)
    forest = cs.RandomSurvivalForest(10, min_samples_leaf=5, random_state=0).fit(*customers(rng, 150))
    X, y = customers(rng, 14)
    scores = np.stack([forest.predict(X.assign(a=value), cause="default") for value in X["a"]], axis=1)
    pairs = [
        (i, j)
        for i, j in itertools.permutations(range(len(y)), 2)
        if y.event[i] == 2
        and y.start[j] < y.stop[i]
        and (y.stop[j] > y.stop[i] or (y.stop[j] == y.stop[i] and y.event[j] != 2))
    ]
    givers = list(itertools.permutations(range(len(y)), 2))
    expected = np.mean([np.mean([np.sign(scores[i, k] - scores[j, m]) / 2 + 0.5 for k, m in givers]) for i, j in pairs])
    result = importance(forest, X, y, cause="default", groups={"a": "a"}, out_of_bag=False, n_repeats=400)
    # four Monte-Carlo standard errors
    error = 4 * result.repeats.std() / np.sqrt(400)
    assert result.baseline.value - result.value[0] == pytest.approx(expected, abs=error)


def test_out_of_bag_it_judges_the_out_of_bag_predictions():
    X, y = customers(np.random.default_rng(5), 200, entry=False)
    forest = cs.RandomSurvivalForest(50, oob=True, random_state=0).fit(X, y)
    result = importance(forest, X, y, metric="brier", horizon=12)
    expected = cs.metrics.brier_score(y, forest.oob_curves_, 12, cause="attrition")
    assert result.baseline.value == pytest.approx(expected.value)
    assert result.baseline.se == pytest.approx(expected.se)
    assert result.method.startswith("10 permutations of the values among 200 subjects, predictions out of bag")


def test_training_rows_judged_as_new_ones_seem_to_matter_more(forest, data):
    honest, naive = (importance(forest, *data, out_of_bag=flag).to_frame() for flag in (True, False))
    assert naive.loc["noise", "importance"] > 5 * abs(honest.loc["noise", "importance"])


def test_the_order_of_rows_and_columns_and_the_number_of_threads_do_not_matter(forest, data):
    X, y = data
    shuffled = np.random.default_rng(2).permutation(len(X))
    expected = importance(forest, X, y).to_frame()
    for rows, columns, n_jobs in ((shuffled, ["noise", "b", "a"], None), (np.arange(len(X)), list(X.columns), 2)):
        again = importance(forest, X[columns].iloc[rows], y[rows], n_jobs=n_jobs).to_frame()
        pd.testing.assert_frame_equal(again, expected, rtol=1e-9)
    assert forest.n_jobs is None


@pytest.mark.parametrize("out_of_bag", [True, False])
def test_columns_no_tree_uses_have_exactly_none(out_of_bag):
    for seed in range(3):
        X, y = customers(np.random.default_rng(seed), 200)
        X = X.assign(constant=1.0)
        forest = cs.RandomSurvivalForest(20, random_state=0).fit(X, y)
        table = importance(forest, X, y, groups={"constant": "constant"}, out_of_bag=out_of_bag).to_frame()
        assert table.loc["constant"].tolist() == [0, 0, 0, 0]


def test_two_columns_that_tell_the_same_matter_together(data):
    X, y = data
    X = X.assign(again=X["a"])
    forest = cs.RandomSurvivalForest(30, random_state=0).fit(X, y)
    groups = {"first": ["a"], "second": ["again"], "both": ["a", "again"]}
    table = importance(forest, X, y, groups=groups).to_frame()
    assert table.index[0] == "both"
    assert table.loc["both", "importance"] > table.loc[["first", "second"], "importance"].sum()


def test_equal_weights_change_nothing_and_weight_zero_leaves_out(forest):
    rng = np.random.default_rng(8)
    new, outcome = customers(rng, 80)
    plain = importance(forest, new, outcome, out_of_bag=False)
    twice = importance(forest, new, outcome, out_of_bag=False, sample_weight=np.full(80, 2.0))
    np.testing.assert_allclose(twice.value, plain.value)
    half = np.repeat([1.0, 0.0], 40)
    some = importance(forest, new.assign(w=half), outcome, out_of_bag=False, sample_weight="w")
    alone = importance(forest, new.iloc[:40], outcome[np.arange(40)], out_of_bag=False)
    np.testing.assert_allclose(some.value, alone.value)
    weighted = importance(forest, new, outcome, out_of_bag=False, sample_weight=rng.integers(1, 4, 80))
    assert not np.allclose(weighted.value, plain.value)


def test_out_of_bag_the_weights_are_those_of_the_fit(data):
    X, y = data
    X = X.assign(w=np.random.default_rng(6).integers(0, 4, len(X)))
    forest = cs.RandomSurvivalForest(30, random_state=0).fit(X, y, sample_weight="w")
    result = importance(forest, X, y, sample_weight="w")
    assert set(result.groups) == {"a", "b", "noise"}
    assert result.n == np.count_nonzero(X["w"])
    with pytest.raises(DataError, match="sample_weight must be the same"):
        importance(forest, X, y)


def test_values_are_given_in_proportion_to_weight():
    y = cs.Outcome(np.arange(1, 21), np.ones(20, int))
    weight = np.repeat([1.0, 3.0], 10)
    subjects = _Subjects(_Judged(np.arange(20.0)[:, None], y, weight, {}))
    given = np.concatenate([subjects.donors(np.random.default_rng(seed))[0] for seed in range(300)])
    # 6000 draws of probability 3/4: within four standard errors
    assert np.mean(given >= 10) == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 6000))


def test_paths_of_time_varying_values_are_given_together_at_the_same_time():
    # twelve loans, the i-th observed in the quarters from i % 3 on, for 2 + i % 4 quarters
    rows = [(i, i % 3 + j) for i in range(12) for j in range(2 + i % 4)]
    loan, quarter = map(np.array, zip(*rows, strict=True))
    shuffled = np.random.default_rng(0).permutation(len(loan))
    loan, quarter = loan[shuffled], quarter[shuffled]
    y = cs.Outcome(quarter + 1, np.zeros(len(loan), int), start=quarter, subject=loan)
    subjects = _Subjects(_Judged(np.column_stack([loan, quarter]).astype(float), y, np.ones(len(loan)), {}))
    giver, row = subjects.donors(np.random.default_rng(1))
    assert sorted(giver) == list(range(12))
    code = pd.factorize(loan)[0]
    assert all(len(set(loan[row[code == c]])) == 1 for c in range(12))
    for receives, gives in enumerate(row):
        own = quarter[loan == loan[gives]]
        assert quarter[gives] == np.clip(quarter[receives], own.min(), own.max())


def test_paths_of_subjects_with_many_rows_are_judged(data):
    X, y = (
        data[0].round(1),
        data[1],
    )  # few values, so that the cells of the features do not depend on the number of rows
    middle = (y.start + y.stop) // 2
    split = middle > y.start
    rows = np.concatenate([np.flatnonzero(split), np.arange(len(y))])
    cut = split.sum()
    parts = cs.Outcome(
        np.concatenate([middle[split], y.stop]),
        np.concatenate([np.zeros(cut, int), y.event]),
        start=np.concatenate([y.start[split], np.where(split, middle, y.start)]),
        subject=rows,
        causes=y.causes,
    )
    whole, spells = X.iloc[rows].reset_index(drop=True), parts
    one, many = (
        importance(cs.RandomSurvivalForest(30, random_state=0).fit(*rows), *rows) for rows in ((X, y), (whole, spells))
    )
    # splitting a spell changes neither the forest, nor who gives to whom, nor the variance by subject
    np.testing.assert_allclose(many.value, one.value)
    np.testing.assert_allclose(many.se, one.se)
    assert many.n == one.n == len(y)


def test_scores_of_many_predictions_are_those_of_the_metrics(data):
    rng, y = np.random.default_rng(4), data[1]
    weight, score = rng.integers(1, 4, len(y)).astype(float), rng.normal(size=len(y))
    value, influence = concordance_scorer(y, "default", weight)(score)
    expected = cs.metrics.concordance_index(y, score, cause="default", sample_weight=weight)
    assert (value, np.sqrt(influence @ influence)) == pytest.approx((expected.value, expected.se))
    _, cohort = customers(rng, 100, entry=False)
    risk, weight = rng.uniform(size=100), rng.integers(1, 4, 100).astype(float)
    value, influence = brier_scorer(cohort, 12, "default", weight)(risk)
    expected = cs.metrics.brier_score(cohort, risk, 12, cause="default", sample_weight=weight)
    assert (value, np.sqrt(100 / 99 * influence @ influence)) == pytest.approx((expected.value, expected.se))


def falls_of_new_samples(n_samples, n, metric, horizon):
    """Importances in many samples of new customers, for one forest: estimates, standard errors, and the truth."""
    rng = np.random.default_rng(11)
    entry = metric == "concordance"
    forest = cs.RandomSurvivalForest(20, random_state=0).fit(*customers(rng, 200, entry))
    options = {"out_of_bag": False, "metric": metric, "horizon": horizon}
    truth = importance(forest, *customers(rng, 20_000, entry), **options, n_repeats=2).to_frame()
    found = [
        importance(forest, *customers(rng, n, entry), **options).to_frame().loc[truth.index] for _ in range(n_samples)
    ]
    return *(np.stack([f[c] for f in found]) for c in ("importance", "se", "lower", "upper")), truth[
        "importance"
    ].to_numpy()


@pytest.mark.parametrize(("metric", "horizon"), [("concordance", None), ("brier", 12)])
def test_standard_errors_are_those_of_new_samples(metric, horizon):
    value, se, *_ = falls_of_new_samples(60, 150, metric, horizon)
    # a standard deviation of 60 draws is known to 9 %; three of that
    np.testing.assert_allclose(se.mean(axis=0), value.std(axis=0, ddof=1), rtol=0.27)


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "horizon"), [("concordance", None), ("brier", 12)])
def test_intervals_cover_the_importance_of_the_forest(metric, horizon):
    # bands set after a pilot
    # B = 400: 92 to 95 % ± 3 Monte-Carlo standard errors of 1.1 points, for a column that matters, one that does less, and none
    *_, lower, upper, truth = falls_of_new_samples(400, 400, metric, horizon)
    covered = ((lower <= truth) & (truth <= upper)).mean(axis=0)
    assert ((covered >= 0.887) & (covered <= 0.983)).all(), covered


@pytest.mark.slow
def test_out_of_bag_intervals_hold_the_nothing_of_a_column_that_does_nothing():
    # B = 300: 95 % ± 3 Monte-Carlo standard errors of 1.26 points; every sample grows its own forest
    rng = np.random.default_rng(12)
    hits = []
    for seed in range(300):
        X, y = customers(rng, 400)
        forest = cs.RandomSurvivalForest(60, random_state=seed).fit(X, y)
        row = importance(forest, X, y, groups={"noise": "noise"}, random_state=seed).to_frame().loc["noise"]
        hits.append(row["lower"] <= 0 <= row["upper"])
    assert abs(np.mean(hits) - 0.95) <= 0.038, np.mean(hits)


def test_rows_every_tree_drew_are_left_out_with_a_warning(data):
    X, y = data
    forest = cs.RandomSurvivalForest(2, random_state=0).fit(X, y)
    with pytest.warns(SmallSampleWarning, match="Every tree drew"):
        result = importance(forest, X, y)
    assert result.n < len(y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {"rates": ["a", "spread"]}}, "Group 'rates' holds 'spread', which the forest does not have"),
        ({"groups": {"rates": []}}, "Group 'rates' holds no column"),
        ({"groups": ["a"]}, "give a mapping"),
        ({"n_repeats": 1}, "n_repeats=1"),
        ({"metric": "auc"}, "metric='auc'"),
        ({"metric": "brier"}, "needs horizon="),
        ({"horizon": 12}, "horizon is for metric='brier'"),
        ({"cause": None}, "name the one to be measured"),
        ({"cause": "sale"}, "sale"),
        ({"level": 95}, "level=95"),
        ({"random_state": -1}, "random_state=-1"),
    ],
)
def test_wrong_options_are_refused(options, message, forest, data):
    with pytest.raises(DataError, match=message):
        importance(forest, *data, **options)


def test_other_rows_few_rows_and_forests_without_bags_are_refused(forest, data):
    X, y = data
    with pytest.raises(DataError, match="not the rows the forest was fitted on"):
        importance(forest, X.iloc[:50], y[:50])
    with pytest.raises(DataError, match="5 subjects can be judged"):
        importance(forest, X.iloc[:5], y[:5], out_of_bag=False)
    with pytest.raises(DataError, match="the forest has"):
        importance(forest, X, cs.Outcome(y.stop, y.event > 0), out_of_bag=False)
    with pytest.raises(NoEventsError):
        importance(forest, X, cs.Outcome(y.stop, 0 * y.event, causes=y.causes), out_of_bag=False)
    with pytest.raises(NotIdentifiedError, match="bootstrap=False"):
        importance(cs.RandomSurvivalForest(2, bootstrap=False).fit(X, y), X, y)
    with pytest.raises(NotIdentifiedError, match="begin after time 0"):
        importance(forest, X, y, metric="brier", horizon=12)


def test_rows_that_took_no_part_and_lack_a_value_are_left_out_with_a_warning_and_new_ones_refused(data):
    X, y = customers(np.random.default_rng(0), 120, entry=False)
    stop, event = y.stop.astype(float), y.event.copy()
    stop[0], event[0] = 0.5, 0
    X.loc[0, "b"] = np.nan
    y = cs.Outcome(stop, event, causes=y.causes)
    forest = cs.RandomSurvivalForest(30, random_state=0).fit(X, y)
    assert forest.missing_columns_ == []
    with pytest.warns(SupportWarning, match=r"1 row \(row 0\) without a prediction: a value is missing in 'b'"):
        result = importance(forest, X, y)
    assert result.n == 119
    with pytest.raises(DataError, match=r"1 row \(row 0\) without a prediction: a value is missing in 'b'"):
        importance(forest, X, y, out_of_bag=False)
