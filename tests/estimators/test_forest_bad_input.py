"""What a forest refuses, and how it says so."""

import warnings

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, UnseenCategoryError

N = 60


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x1": rng.normal(size=N), "x2": rng.normal(size=N), "segment": rng.choice(list("ABC"), N)})


@pytest.fixture(scope="module")
def y():
    rng = np.random.default_rng(1)
    return cs.Outcome(rng.integers(1, 20, N), rng.integers(0, 3, N), causes=("attrition", "default"))


def grown(X, y, **parameters):
    return cs.RandomSurvivalForest(**({"n_estimators": 2, "random_state": 0, "min_samples_leaf": 3} | parameters)).fit(
        X, y
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_estimators": 0}, "n_estimators=0: give a whole number of at least 1"),
        ({"n_estimators": 2.0}, "n_estimators=2.0"),
        ({"min_samples_leaf": 0}, "min_samples_leaf=0"),
        ({"max_depth": 0}, "max_depth=0"),
        ({"max_bins": 1}, "max_bins=1: give a whole number from 2 to 255"),
        ({"max_bins": 300}, "max_bins=300"),
        ({"time_bins": 0}, "time_bins=0"),
        ({"criterion": "gini"}, "criterion='gini'.*'logrank' or 'gray'"),
        ({"splitter": "worst"}, "splitter='worst'.*'best' or 'random'"),
        ({"cause": "death"}, r"cause='death': the causes of y are \['attrition', 'default'\]"),
        ({"cause": []}, r"cause=\[\]: the causes of y are"),
        ({"n_jobs": 0}, "n_jobs=0: give the number of threads"),
        ({"max_features": "all"}, "max_features='all'"),
        ({"max_features": 4}, r"max_features=4.*up to the 3 column\(s\)"),
        ({"max_features": 0.0}, "max_features=0.0"),
        ({"max_samples": N + 1}, f"max_samples={N + 1}: give a whole number up to the {N} subjects"),
        ({"max_samples": 1.5}, "max_samples=1.5"),
        ({"max_samples": 10, "bootstrap": False}, "max_samples=10 needs bootstrap=True"),
        ({"oob": True, "bootstrap": False}, "oob=True needs bootstrap=True"),
        ({"random_state": "x"}, "random_state='x': give a whole number from 0"),
        ({"random_state": -1}, "random_state=-1"),
    ],
    ids=lambda v: str(v) if isinstance(v, dict) else "",
)
def test_a_parameter_outside_its_range_is_named_with_the_remedy(parameters, message, X, y):
    with pytest.raises(DataError, match=message):
        cs.RandomSurvivalForest(**({"random_state": 0} | parameters)).fit(X, y)


def test_nobody_leaves(X):
    with pytest.raises(NoEventsError, match="No events among 60 rows"):
        grown(X, cs.Outcome(np.arange(1, N + 1), np.zeros(N, int)))


def test_events_of_weight_zero_are_no_events(X, y):
    with pytest.raises(NoEventsError):
        cs.RandomSurvivalForest(2).fit(X, y, sample_weight=(y.event == 0).astype(float))


def test_a_column_without_any_value_is_named(X, y):
    with pytest.raises(DataError, match="No row has a value in 1 column 'x1'"):
        grown(X.assign(x1=np.nan), y)


def test_a_cause_that_counts_needs_events(X, y):
    with pytest.raises(DataError, match="cause='default' has no event"):
        grown(X, cs.Outcome(y.stop, np.minimum(y.event, 1), causes=y.causes), cause="default")


def test_more_levels_than_cells_are_named(X, y):
    many = pd.DataFrame({"branch": [f"b{i % 255}" for i in range(600)]})
    outcome = cs.Outcome(np.arange(1, 601), np.ones(600, int))
    with pytest.raises(DataError, match="'branch' has 255 levels, a forest tells 254 apart"):
        grown(many, outcome)
    ordered = many["branch"].astype(pd.CategoricalDtype(many["branch"].unique(), ordered=True))
    assert grown(many.assign(branch=ordered), outcome).trees_["level_rank"].size == 0
    assert grown(many.replace("b254", "b0"), outcome).trees_["level_rank"].size == 2 * 254


def test_gray_needs_somebody_under_observation_between_the_exits(X):
    stop = np.r_[np.full(20, 3), np.full(20, 5), np.full(20, 9)]
    start, event = np.r_[np.zeros(40), np.full(20, 6)], np.r_[np.tile([1, 2], 10), np.zeros(20), np.tile([1, 2], 10)]
    y = cs.Outcome(stop, event.astype(int), start=start, causes=("attrition", "default"))
    with pytest.raises(NotIdentifiedError, match="Nobody was watched through the age of .*criterion='logrank'"):
        grown(X, y, criterion="gray")


def test_infinities_are_named_at_fit_and_at_prediction(X, y):
    infinite = X.copy()
    infinite.loc[4, "x2"] = -np.inf
    with pytest.raises(DataError, match=r"'x2' has 1 infinite value \(row 4\)"):
        grown(infinite, y)
    with pytest.raises(DataError, match=r"'x2' has 1 infinite value \(row 4\)"):
        grown(X, y).predict_curves(infinite)


def test_unseen_categories_are_named(X, y):
    forest = grown(X, y)
    new = X.copy()
    new.loc[2, "segment"] = "Z"
    with pytest.raises(UnseenCategoryError, match=r"'segment' has 'Z' in 1 row \(row 2\).*known: A, B, C"):
        forest.predict_curves(new)
    with pytest.raises(UnseenCategoryError, match="'segment'"):
        forest.predict_curves(X.assign(segment=1))


def test_missing_columns_and_text_for_numbers_are_named_at_prediction(X, y):
    forest = grown(X, y)
    with pytest.raises(DataError, match="Missing 1 column 'x2' in X"):
        forest.predict_curves(X.drop(columns="x2"))
    with pytest.raises(DataError, match=r"'x2' is object, not numeric|'x2' is str"):
        forest.predict_curves(X.assign(x2="high"))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.date_range("2024-01-01", periods=N, tz="UTC"), r"'bad' is datetime64.*months since"),
        (pd.to_timedelta(np.arange(N), unit="D"), r"'bad' is timedelta64.*pd.Timedelta"),
        ([str(i) for i in range(N)], "'bad' holds numbers as text.*pd.to_numeric"),
    ],
)
def test_columns_that_are_neither_numbers_nor_categories_are_named(column, message, X, y):
    with pytest.raises(DataError, match=message):
        grown(X.assign(bad=column), y)


def test_nothing_to_learn_from(X, y):
    with pytest.raises(DataError, match="0 rows"):
        grown(X.iloc[:0], y)
    with pytest.raises(DataError, match="no covariate"):
        grown(X[[]], y)
    with pytest.raises(DataError, match="X has 59 rows, y has 60"):
        grown(X.iloc[1:], y)
    with pytest.raises(DataError, match="not an Outcome"):
        grown(X, y.event)


def test_weights_are_checked(X, y):
    weight = np.ones(N)
    weight[3] = -1
    with pytest.raises(DataError, match=r"sample_weight has 1 negative value \(row 3"):
        cs.RandomSurvivalForest(2).fit(X, y, sample_weight=weight)


def test_recurrent_events_are_not_identified(X):
    y = cs.Outcome(np.arange(1, N + 1), np.ones(N, int), start=np.arange(N), subject=np.zeros(N), recurrent=True)
    with pytest.raises(NotIdentifiedError, match="one exit per subject"):
        grown(X, y)


def test_a_cause_is_named_when_there_are_several(X, y):
    forest = grown(X, y)
    with pytest.raises(DataError, match=r"Name the cause: one of \['attrition', 'default'\]"):
        forest.predict(X)
    with pytest.raises(DataError, match="'death' is unknown"):
        forest.predict(X, cause="death")


def test_times_and_starts_that_are_no_ages(X, y):
    forest = grown(X, y)
    with pytest.raises(DataError, match="times must be finite"):
        forest.predict_curves(X, times=[5, np.nan])
    with pytest.raises(DataError, match=r"start is not a finite age >= 0 in 60 rows"):
        forest.predict_curves(X, start=-1)
    with pytest.raises(DataError, match=r"'times' is .*, not numeric"):
        forest.predict_curves(X, times="a")
    with pytest.raises(DataError, match=r"'start' is .*, not numeric"):
        forest.predict_curves(X, start="x")
    with pytest.raises(DataError, match=r"start has shape \(2,\), X has 60 rows"):
        forest.predict_curves(X, start=[1, 2])


def test_curves_that_would_fill_the_memory_are_refused(X, y):
    forest = grown(X, y)
    with pytest.raises(DataError, match=r"Pass times="):
        forest.predict_curves(X.iloc[np.zeros(1_000_000, int)])


def test_out_of_bag_curves_that_would_fill_the_memory_are_refused_with_their_own_remedy(X, y, monkeypatch):
    monkeypatch.setattr("churnsurv.estimators.forest_inputs.SIZE_LIMIT", 8 * N * 3 * 10)
    with pytest.raises(
        DataError, match=r"oob=True: out-of-bag curves of 60 rows x 3 states x 1\d times.*Set time_bins"
    ):
        grown(X, y, oob=True, n_estimators=30)
    # what is counted is the grid, which time_bins limits, not the distinct event times
    assert len(grown(X, y, oob=True, n_estimators=30, time_bins=10).oob_curves_.times) == 10


def test_a_fit_that_would_fill_the_memory_is_refused_before_it_begins(X, y, monkeypatch):
    monkeypatch.setattr("churnsurv.estimators.forest_memory.available_memory", lambda: 2**20)
    with pytest.raises(DataError, match=r"may take .* GB, and 0.0 GB are available.*Raise min_samples_leaf"):
        grown(X, y, n_estimators=10_000)
    assert grown(X, y, n_estimators=1).n_events_ > 0


def test_memory_grows_with_rows_trees_and_threads_and_shrinks_with_the_sample():
    def needed(n_rows=100_000, **parameters):
        return cs.RandomSurvivalForest(**({"n_estimators": 50} | parameters)).fit_memory(n_rows, 10)

    assert needed(200_000) > 1.9 * needed()
    assert needed(n_estimators=100) > 1.5 * needed()
    assert needed(max_samples=0.1) < 0.5 * needed()
    assert needed(min_samples_leaf=100) < needed()


def test_the_estimate_covers_the_forest_that_comes_out():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(3_000, 4)))
    y = cs.Outcome(rng.integers(1, 100, 3_000), rng.integers(0, 2, 3_000))
    forest = cs.RandomSurvivalForest(20, min_samples_leaf=5, random_state=0).fit(X, y)
    size = sum(part.nbytes for part in forest.trees_.values())
    assert size < forest.fit_memory(3_000, 4) < 20 * size


def test_a_fit_that_fails_leaves_the_forest_as_it_was(X, y):
    forest = grown(X[["x1", "x2"]], y, oob=True, n_estimators=30)
    before = forest.predict(X, cause="attrition")
    with pytest.raises(NoEventsError):
        forest.fit(X[["x2", "segment"]], cs.Outcome(y.stop, np.zeros(N, int), causes=y.causes))
    assert list(forest.feature_names_in_) == ["x1", "x2"]
    np.testing.assert_array_equal(forest.predict(X, cause="attrition"), before)
    assert "attrition" in forest.oob_concordance_
    unfitted = cs.RandomSurvivalForest(2)
    with pytest.raises(NoEventsError):
        unfitted.fit(X, cs.Outcome(y.stop, np.zeros(N, int)))
    assert not [name for name in vars(unfitted) if name.endswith("_")]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda X, y: grown(X.assign(d=[[1]] * N), y), "Column 'd' holds values that are neither numbers nor levels"),
        (lambda X, y: grown(X.assign(d=[{}] * N), y), r"Column 'd' holds .*\(e.g. \{\}\)"),
        (lambda X, y: grown(X, y).predict(X.assign(segment=[[1]] * N), cause="default"), "Column 'segment' holds"),
        (lambda X, y: grown(X, y).set_params(n_jobs=0).predict(X, cause="default"), "n_jobs=0: give the number"),
        (
            lambda X, y: grown(X, y, n_estimators=30).permutation_importance(X, y, cause="default", n_jobs=0),
            "n_jobs=0: give the number",
        ),
        (lambda X, y: grown(X, y).permutation_importance(X, y, groups={"g": 5}), r"groups\['g'\]=5: give the name"),
        (lambda X, y: grown(X, y, cause=5), "cause=5: the causes of y are"),
        (lambda X, y: cs.tune_forest(X, y, random_state="a"), "random_state='a': give a whole number"),
        (lambda X, y: cs.tune_forest(X, y, scoring=5), "scoring=5: give 'concordance'"),
        (lambda X, y: cs.partial_dependence(grown(X, y), X, ["x1", "x2"], horizon=5), r"No column \['x1', 'x2'\]"),
        (lambda X, y: cs.RandomSurvivalForest(max_samples=5).fit_memory(0, 1), "n_rows=0: give a whole number"),
        (lambda X, y: grown(X, y, min_samples_leaf=2**70), "min_samples_leaf=.*at most 2,147,483,647"),
        (lambda X, y: grown(X, y, max_depth=2**40), "max_depth=.*at most 2,147,483,647"),
        (
            lambda X, y: cs.RandomSurvivalForest(2).fit(X, y, sample_weight=np.full(N, 1e300)),
            "sample_weight sums to 6e.301",
        ),
    ],
)
def test_arguments_of_another_kind_are_refused_by_name(ask, message, X, y):
    with pytest.raises(DataError, match=message):
        ask(X, y)


def test_out_of_bag_answers_count_in_the_memory(X, y, monkeypatch):
    plain, judged = cs.RandomSurvivalForest(time_bins=100), cs.RandomSurvivalForest(time_bins=100, oob=True)
    # curves of 3 states and 100 times
    assert judged.fit_memory(10_000, 5, n_causes=2) - plain.fit_memory(10_000, 5, n_causes=2) > 8 * 10_000 * 300
    needed = grown(X, y).fit_memory(*X.shape, n_causes=2)
    monkeypatch.setattr("churnsurv.estimators.forest_memory.available_memory", lambda: needed / 0.9 + 1)
    grown(X, y)
    with pytest.raises(DataError, match="Growing this forest may take"):
        grown(X, y, oob=True)


def test_a_column_of_numbers_and_text_is_said_to_mix_them(X, y):
    for number in (1, 1.5):
        with pytest.raises(DataError, match=r"Column 'd' mixes numbers and text \(e.g. 'n/a'\)"):
            grown(X.assign(d=[number, "n/a"] * (N // 2)), y)
    with pytest.raises(DataError, match=r"times=0, 3: give positive numbers"):
        cs.scorer("integrated_brier", times=[0, 3])


def test_the_largest_numbers_are_cut_without_a_warning(X, y):
    X = X.assign(x1=np.where(X["x1"] > 0, 1.7e308, -1.7e308))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forest = grown(X, y)
    np.testing.assert_array_equal(forest.bin_edges_[forest.columns_.index("x1")], [0.0])
