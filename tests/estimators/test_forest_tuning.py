"""Tuning a forest: candidates are compared on rows their trees did not see, alike, and the simpler one is named."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, UnseenCategoryError

CAUSES = ("attrition", "default")
N = 300
ATTRITION = cs.scorer("concordance", cause="attrition")


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(N, 4)), columns=["rate", "score", "noise", "more"])


@pytest.fixture(scope="module")
def y(X):
    rng = np.random.default_rng(1)
    month = np.ceil(rng.exponential(15 * np.exp(-0.8 * X["rate"])))
    cause = np.where(rng.uniform(size=N) < 0.7, 1, 2)
    return cs.Outcome(np.minimum(month, 30), np.where(month <= 30, cause, 0), causes=CAUSES)


def tune(X, y, **options):
    given = {"scoring": ATTRITION, "forest": cs.RandomSurvivalForest(25), "random_state": 3, "progress": False}
    return cs.tune_forest(X, y, **(given | options))


def of_candidate(tuned, parameters):
    rows = tuned.table
    for name, value in parameters.items():
        rows = rows[[v == value and type(v) is type(value) for v in rows[name]]]
    assert len(rows) == 1
    return rows.iloc[0]


def test_out_of_bag_scores_are_those_of_the_out_of_bag_curves(X, y):
    times = [6, 12, 18]
    scoring = cs.scorer("integrated_brier", cause="default", times=times)
    tuned = tune(X, y, scoring=scoring, search={"min_samples_leaf": [5, 40]}, forest=cs.RandomSurvivalForest(40))
    seed = tuned.random_state
    for leaf in (5, 15, 40):
        forest = cs.RandomSurvivalForest(40, min_samples_leaf=leaf, oob=True, random_state=seed).fit(X, y)
        risk = np.column_stack([forest.oob_curves_.risk("default", t) for t in times])
        expected = cs.metrics.integrated_brier_score(y, risk, times, cause="default")
        found = of_candidate(tuned, {"min_samples_leaf": leaf})
        assert found["score"] == pytest.approx(-expected.value, abs=1e-14)
        assert found["se"] == pytest.approx(expected.se, rel=1e-12)
        assert found["leaves"] == forest.trees_["leaf_begin"][-1] / 40
    assert (tuned.n, tuned.n_events) == (N, np.count_nonzero(y.event == 2))


def test_an_out_of_bag_concordance_is_far_below_that_of_the_rows_trees_saw(X, y):
    noise = pd.DataFrame(np.random.default_rng(7).normal(size=(N, 4)), columns=list("abcd"))
    tuned = tune(noise, y, search={"min_samples_leaf": [5]}, n_candidates=None)
    # nothing can be learnt here, but the trees know the rows they drew
    fitted = cs.RandomSurvivalForest(25, min_samples_leaf=5, random_state=tuned.random_state).fit(noise, y)
    assert fitted.score(noise, y, cause="attrition") > 0.75
    row = of_candidate(tuned, {"min_samples_leaf": 5})
    assert abs(row["score"] - 0.5) < 4 * row["se"]


def test_folds_keep_customers_whole_and_score_the_left_out_ones(X, y):
    customer = np.arange(N) // 3
    tuned = tune(X, y, search={"max_depth": [2, None]}, groups=customer, folds=4)
    by_column = tune(X.assign(customer=customer), y, search={"max_depth": [2, None]}, groups="customer", folds=4)
    np.testing.assert_array_equal(by_column.table["score"], tuned.table["score"])
    seed = tuned.random_state
    scores = []
    for train, test in cs.data.CustomerKFold(4, random_state=seed).split(y, y, customer):
        assert not set(customer[train]) & set(customer[test])
        forest = cs.RandomSurvivalForest(25, max_depth=2, random_state=seed).fit(X.iloc[train], y[train])
        scores.append(forest.score(X.iloc[test], y[test], cause="attrition"))
    found = of_candidate(tuned, {"max_depth": 2})
    assert found["score"] == pytest.approx(np.mean(scores), abs=1e-14)
    assert found["se"] == pytest.approx(np.std(scores, ddof=1) / 2, abs=1e-14)
    assert tuned.method.startswith("4 folds of whole customers")
    assert tune(X, y, search={"max_depth": [2]}, groups=customer).method.startswith("5 folds")
    assert tune(X, y, search={"max_depth": [2]}, folds=2).method.startswith("2 folds of whole subjects")


def test_copies_of_customers_flatter_out_of_bag_scores_but_not_folds_of_customers(X, y):
    noise = pd.DataFrame(np.random.default_rng(7).normal(size=(100, 4)), columns=list("abcd"))
    twice, both = pd.concat([noise, noise], ignore_index=True), np.tile(np.arange(100), 2)
    copies = cs.Outcome(np.tile(y.stop[:100], 2), np.tile(y.event[:100], 2), causes=CAUSES)
    search = {"min_samples_leaf": [5]}
    flattered, honest = (tune(twice, copies, search=search, groups=groups) for groups in (None, both))
    assert of_candidate(flattered, {"min_samples_leaf": 5})["score"] > 0.75
    assert of_candidate(honest, {"min_samples_leaf": 5})["score"] < 0.65


def test_the_smallest_forest_within_one_standard_error_is_named(X, y):
    tuned = tune(X, y, search={"min_samples_leaf": [2, 5, 10, 20, 40, 140]}, n_candidates=None)
    table = tuned.table
    assert (np.diff(table["score"]) <= 0).all()
    best = table.iloc[0]
    assert tuned.best_parameters == {"min_samples_leaf": best["min_samples_leaf"]}
    within = table["score"] >= best["score"] - best["se"]
    np.testing.assert_array_equal(table["within_one_se"], within)
    assert not within.all()
    smallest = table[within].sort_values("leaves").iloc[0]
    assert tuned.one_se_parameters == {"min_samples_leaf": smallest["min_samples_leaf"]}
    assert clone(cs.RandomSurvivalForest(5)).set_params(**tuned.one_se_parameters).fit(X, y).n_subjects_ == N


def test_the_same_seed_gives_the_same_candidates_and_scores_whatever_the_threads(X, y):
    one, two = (tune(X, y, n_candidates=5, n_jobs=n_jobs) for n_jobs in (1, 2))
    pd.testing.assert_frame_equal(one.table.drop(columns="seconds"), two.table.drop(columns="seconds"))
    other = tune(X, y, n_candidates=5, random_state=4)
    assert not np.array_equal(other.table["score"], one.table["score"])


def test_the_forest_as_given_is_a_candidate_and_keeps_its_other_parameters(X, y):
    forest = cs.RandomSurvivalForest(25, min_samples_leaf=33, max_depth=3)
    tuned = tune(X, y, forest=forest, search={"min_samples_leaf": [5, 33]}, n_candidates=None)
    assert sorted(tuned.table["min_samples_leaf"]) == [5, 33]
    assert tuned.table.loc[tuned.table["default"], "min_samples_leaf"].tolist() == [33]
    assert tuned.table["leaves"].max() <= 2**3
    assert forest.get_params() == cs.RandomSurvivalForest(25, min_samples_leaf=33, max_depth=3).get_params()
    assert not hasattr(forest, "trees_")


def test_candidates_are_drawn_without_repetition_and_up_to_all(X, y):
    search = {"min_samples_leaf": [5, 10], "max_depth": [2, 3, None]}
    everything = tune(X, y, search=search, n_candidates=None).table
    assert len(everything) == 2 * 3 + 1  # the default leaf of 15 is not among them
    drawn = tune(X, y, search=search, n_candidates=4).table
    pairs = list(zip(drawn["min_samples_leaf"], drawn["max_depth"], strict=True))
    assert len(set(pairs)) == len(pairs) == 5
    default = tune(X, y, n_candidates=6).table
    assert {"min_samples_leaf", "max_features", "max_depth", "max_samples"} <= set(default.columns)
    assert default["min_samples_leaf"].min() >= 5


def test_weights_count_in_fits_and_scores(X, y):
    weight = np.where(np.arange(N) < 150, 1.0, 0.0)
    search = {"min_samples_leaf": [5, 30]}
    weighted = tune(X, y, search=search, sample_weight=weight)
    half = tune(X.iloc[:150], y[:150], search=search)
    np.testing.assert_allclose(weighted.table["score"], half.table["score"], rtol=1e-12)
    named = tune(X.assign(w=weight), y, search=search, sample_weight="w", folds=3)
    by_array = tune(X, y, search=search, sample_weight=weight, folds=3)
    np.testing.assert_array_equal(named.table["score"], by_array.table["score"])


def test_a_bar_is_shown_unless_it_is_not_wanted(X, y, capsys):
    tune(X, y, search={"max_depth": [2]}, progress=True)
    shown = capsys.readouterr().err
    assert "Tuning" in shown
    assert "best=" in shown
    tune(X, y, search={"max_depth": [2]})
    assert capsys.readouterr().err == ""


def test_late_entry_is_tuned_by_concordance(X, y):
    late = cs.Outcome(y.stop + 5, y.event, start=np.arange(N) % 5, causes=CAUSES)
    assert tune(X, late, search={"max_depth": [2]}).table["score"].min() > 0.5
    with pytest.raises(NotIdentifiedError, match="landmark cohort"):
        tune(X, late, scoring=cs.scorer("brier", cause="default", horizon=12), search={"max_depth": [2]})


def test_the_record_is_frozen(X, y):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tune(X, y, search={"max_depth": [2]}).n = 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scoring": "concordance"}, "name the one to be measured"),
        ({"scoring": "accuracy"}, "'accuracy' is not known"),
        ({"scoring": "uno"}, "pass folds=5"),
        ({"forest": cs.CoxPH()}, "forest is a CoxPH"),
        ({"search": {}}, "search is empty"),
        ({"search": {"leaf": [1]}}, "search names"),
        ({"search": {"random_state": [1]}}, "search names"),
        ({"search": {"max_depth": []}}, "give a list of values"),
        ({"search": {"max_features": "sqrt"}}, "give a list of values"),
        ({"search": {"max_depth": 3}}, "give a list of values"),
        ({"search": {"max_depth": [0]}}, "max_depth=0"),
        ({"n_candidates": 0}, "n_candidates=0"),
        ({"n_candidates": 2.5}, "n_candidates=2.5"),
        ({"folds": 1}, "n_splits=1"),
        ({"groups": "owner"}, "No column 'owner'"),
        ({"groups": np.zeros(N)}, "one customer"),
        ({"groups": np.arange(3)}, "groups has shape"),
    ],
)
def test_what_cannot_be_tuned_is_refused(options, words, X, y):
    with pytest.raises(DataError, match=words):
        tune(X, y, **options)


def test_out_of_bag_scores_need_bags(X, y):
    with pytest.raises(NotIdentifiedError, match="bootstrap=False"):
        tune(X, y, forest=cs.RandomSurvivalForest(5, bootstrap=False), search={"max_depth": [2]})
    by_folds = tune(X, y, forest=cs.RandomSurvivalForest(5, bootstrap=False), search={"max_depth": [2]}, folds=2)
    assert np.isfinite(by_folds.table["score"]).all()


def test_what_is_in_one_fold_alone_is_said_with_the_fold_and_a_remedy(X, y):
    rare = X.assign(segment=np.where(np.arange(N) == 5, "rare", np.where(np.arange(N) % 2, "a", "b")))
    with pytest.raises(UnseenCategoryError, match=r"Fold \d of 3 .*'rare'.* join rare levels"):
        tune(rare, y, search={"max_depth": [2]}, folds=3)
    hole = X.assign(rate=X["rate"].where(X.index != 7))
    with pytest.raises(DataError, match=r"Fold \d of 3 .*missing in 'rate'.* fill in rare missing values"):
        tune(hole, y, search={"max_depth": [2]}, folds=3)
    assert np.isfinite(tune(rare, y, search={"max_depth": [2]}).table["score"]).all()
