"""The forest's contract: probabilities, conditioning, columns, scikit-learn's conventions."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import churnsurv as cs
from churnsurv.exceptions import NotIdentifiedError


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    n = 400
    return pd.DataFrame(
        {
            "rate": rng.normal(size=n),
            "score": rng.integers(500, 800, n),
            "segment": rng.choice(["retail", "sme", "private"], n),
            "online": rng.integers(0, 2, n).astype(bool),
        }
    )


@pytest.fixture(scope="module")
def y(X):
    rng = np.random.default_rng(1)
    hazard = np.exp(0.8 * X["rate"] + 0.6 * (X["segment"] == "sme")).to_numpy()
    month = np.ceil(rng.exponential(20 / hazard))
    start = rng.integers(0, 6, len(X))
    stop = start + np.minimum(month, 24)
    return cs.Outcome(
        stop, np.where(month <= 24, rng.integers(1, 3, len(X)), 0), start=start, causes=("attrition", "default")
    )


@pytest.fixture(scope="module")
def forest(X, y):
    return cs.RandomSurvivalForest(20, random_state=0).fit(X, y)


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_probabilities_sum_to_one_and_move_one_way(data):
    n = data.draw(st.integers(2, 25))
    numbers = st.lists(st.integers(0, 6), min_size=n, max_size=n)
    start = np.array(data.draw(numbers))
    stop = start + 1 + np.array(data.draw(numbers))
    event = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    event[0] = 1
    y = cs.Outcome(stop, event, start=start, causes=("attrition", "default"))
    X = pd.DataFrame({"a": data.draw(numbers), "b": data.draw(numbers)})
    weight = 1 + np.array(data.draw(numbers)) / 3
    forest = cs.RandomSurvivalForest(
        3, min_samples_leaf=data.draw(st.integers(1, 5)), bootstrap=data.draw(st.booleans()), random_state=0
    ).fit(X, y, sample_weight=weight)
    ages = start.min() + np.array(data.draw(numbers))
    p = forest.predict_curves(X, times=np.arange(stop.max() + 1), start=ages).probability
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert p.min() >= 0
    assert p.max() <= 1 + 1e-12
    assert (np.diff(p[:, 1:], axis=2) >= -1e-12).all()
    for cause in y.causes:
        assert (forest.predict(X, cause=cause) >= 0).all()


def test_curves_from_a_current_age_are_conditional_on_being_a_customer_then(forest, X):
    times = np.array([6.0, 9.0, 15.0])
    whole, later = forest.predict_curves(X, times), forest.predict_curves(X, times, start=6)
    np.testing.assert_allclose(later.survival, whole.survival / whole.survival[:, :1], atol=1e-12)
    np.testing.assert_array_equal(later.probability[:, 1:, 0], 0)
    np.testing.assert_array_equal(later.origin, 6)
    of_each = forest.predict_curves(X.iloc[:2], times, start=[6, 9])
    np.testing.assert_array_equal(of_each.probability[0], later.probability[0])
    assert of_each.survival[1, 1] == 1


def test_curves_at_times_asked_for_are_those_of_the_whole_grid(forest, X):
    whole = forest.predict_curves(X)
    np.testing.assert_array_equal(whole.times, forest.event_times_)
    asked = forest.predict_curves(X, times=[12.5, 0, 7])
    np.testing.assert_array_equal(asked.probability, whole.at([0, 7, 12.5]).probability)
    assert (asked.survival[:, 0] == 1).all()


def test_only_curves_on_the_whole_grid_can_be_read_in_between(forest, X, y):
    assert forest.predict_curves(X.iloc[:1]).steps
    asked = forest.predict_curves(X.iloc[:1], times=[12])
    assert not asked.steps
    with pytest.raises(cs.exceptions.DataError, match="evaluated at 12 only"):
        asked.at(7)
    assert cs.RandomSurvivalForest(30, oob=True, random_state=0).fit(X, y).oob_curves_.steps


def test_times_and_starts_are_read_up_to_rounding():
    # ages in years, of loans that leave in months 8, 20, 32, ...: 8/12 + 1 falls short of 20/12 in doubles
    month = np.tile([8, 20, 32, 44], 10)
    assert 8 / 12 + 1 < 20 / 12
    X, y = pd.DataFrame({"a": np.arange(40)}), cs.Outcome(month / 12, np.ones(40, int))
    forest = cs.RandomSurvivalForest(1, min_samples_leaf=40, bootstrap=False).fit(X, y)
    assert forest.predict_curves(X.iloc[:1], times=[8 / 12 + 1]).survival[0, 0] == pytest.approx(1 / 2)
    later = forest.predict_curves(X.iloc[:1], times=[20 / 12, 32 / 12], start=8 / 12 + 1)
    np.testing.assert_allclose(later.survival, [[1, 1 / 2]])


def test_nothing_of_an_earlier_fit_stays(X, y):
    forest = cs.RandomSurvivalForest(30, oob=True, random_state=0).fit(X, y)
    forest.set_params(oob=False).fit(X.iloc[:100], y[:100])
    assert not hasattr(forest, "oob_curves_")


def test_a_start_before_anyone_was_observed_is_not_identified(X, y):
    late = cs.Outcome(y.stop + 10, y.event, start=y.start + 10, causes=y.causes)
    forest = cs.RandomSurvivalForest(3, random_state=0).fit(X, late)
    assert (forest.predict_curves(X).origin == 10).all()
    with pytest.raises(
        NotIdentifiedError, match=r"start is 2 in 1 row \(row 1\), but nobody was watched before the age of 10"
    ):
        forest.predict_curves(X.iloc[:2], start=[11, 2])


def test_exits_at_time_zero_count_from_the_closed_origin():
    X = pd.DataFrame({"a": range(6)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = cs.Outcome([0, 0, 3, 4, 5, 6], [1, 0, 1, 0, 1, 0])
    forest = cs.RandomSurvivalForest(1, min_samples_leaf=6, bootstrap=False).fit(X, y)
    assert forest.predict_curves(X.iloc[:1], times=[0]).survival[0, 0] == pytest.approx(5 / 6)
    assert forest.predict_curves(X.iloc[:1], times=[0], start=0).survival[0, 0] == 1


@pytest.mark.parametrize("n_jobs", [2, -1])
def test_the_same_seed_gives_the_same_forest_whatever_the_number_of_threads(n_jobs, X, y):
    one = cs.RandomSurvivalForest(30, random_state=3, oob=True, n_jobs=1).fit(X, y)
    many = cs.RandomSurvivalForest(30, random_state=3, oob=True, n_jobs=n_jobs).fit(X, y)
    for name, part in one.trees_.items():
        np.testing.assert_array_equal(many.trees_[name], part)
    np.testing.assert_array_equal(many.oob_curves_.probability, one.oob_curves_.probability)
    np.testing.assert_array_equal(many.predict(X, cause="default"), one.predict(X, cause="default"))
    other = cs.RandomSurvivalForest(30, random_state=4).fit(X, y)
    assert not np.array_equal(other.predict(X, cause="default"), one.predict(X, cause="default"))


def test_more_trees_continue_the_same_forest(X, y):
    few, more = (cs.RandomSurvivalForest(n, random_state=3).fit(X, y) for n in (3, 6))
    n_nodes = few.trees_["node_begin"][-1]
    np.testing.assert_array_equal(more.trees_["feature"][:n_nodes], few.trees_["feature"])


def test_a_covariate_with_opposite_effects_on_two_causes_is_found():
    # all-cause hazards are equal in both groups, so that a log-rank test of all exits together sees nothing
    rng = np.random.default_rng(0)
    n = 400
    X = pd.DataFrame({"noise": rng.normal(size=n), "group": rng.integers(0, 2, n)})
    cause = np.where(rng.uniform(size=n) < np.where(X["group"] == 1, 0.9, 0.1), 1, 2)
    y = cs.Outcome(np.ceil(rng.exponential(10, n)), cause, causes=("attrition", "default"))
    stump = cs.RandomSurvivalForest(1, max_depth=1, max_features=None, bootstrap=False).fit(X, y)
    assert stump.columns_[stump.trees_["feature"][0]] == "group"


def test_columns_are_found_by_name_and_arrays_by_place(forest, X, y):
    expected = forest.predict(X, cause="default")
    np.testing.assert_array_equal(forest.predict(X.iloc[:, ::-1].assign(more=1), cause="default"), expected)
    assert forest.feature_names_in_.tolist() == list(X.columns)
    assert forest.n_features_in_ == 4


@pytest.fixture(scope="module")
def twelve(y):
    """Twelve columns, of which the third decides; as text "x10" comes before "x2"."""
    X = pd.DataFrame(np.random.default_rng(5).normal(size=(len(y), 12)), columns=[f"x{i}" for i in range(12)])
    return X, cs.Outcome(np.ceil(20 * np.exp(-X["x2"])), np.ones(len(y), int))


def test_an_array_is_read_in_the_order_of_the_training_columns(twelve):
    X, y = twelve
    forest = cs.RandomSurvivalForest(10, random_state=0)
    expected = forest.fit(X, y).predict(X)
    assert cs.metrics.concordance_index(y, expected).value > 0.8
    np.testing.assert_array_equal(forest.predict(X.to_numpy()), expected)
    forest.fit(X.to_numpy(), y)
    np.testing.assert_array_equal(forest.predict(X.to_numpy()), expected)
    np.testing.assert_array_equal(forest.predict_curves(X.to_numpy()), forest.predict_curves(X))
    pipeline = make_pipeline(StandardScaler(), forest).fit(X, y)
    np.testing.assert_array_equal(pipeline.predict(X), expected)
    swapped = forest.fit(X[["x2", "x1"]], y)
    assert swapped.feature_names_in_.tolist() == ["x2", "x1"]
    np.testing.assert_array_equal(swapped.predict(X[["x2", "x1"]].to_numpy()), swapped.predict(X))
    with pytest.raises(cs.exceptions.DataError, match="X has 3 columns without names, the fit had 2"):
        swapped.predict(X.to_numpy()[:, :3])


def test_named_tables_of_other_libraries_are_read_by_name(twelve):
    X, y = twelve
    forest = cs.RandomSurvivalForest(3, random_state=0).fit(X, y)
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pandas(X.iloc[:, ::-1], preserve_index=False)
    np.testing.assert_array_equal(forest.predict(table), forest.predict(X))


def test_columns_numbered_instead_of_named_are_read_by_number(twelve):
    X, y = twelve
    numbered = X.set_axis(range(12), axis=1)
    forest = cs.RandomSurvivalForest(3, random_state=0).fit(numbered, y)
    np.testing.assert_array_equal(forest.predict(numbered.iloc[:, ::-1]), forest.predict(numbered))
    np.testing.assert_array_equal(forest.predict(numbered.to_numpy()), forest.predict(numbered))


def test_how_a_category_is_stored_changes_nothing(forest, X):
    stored = X.assign(segment=X["segment"].astype("category"), online=X["online"].astype(int))
    np.testing.assert_array_equal(forest.predict(stored, cause="default"), forest.predict(X, cause="default"))
    assert forest.levels_ == {"segment": ["private", "retail", "sme"]}


def test_the_order_of_a_categoricals_levels_is_kept(X, y):
    ordered = pd.Categorical(X["segment"], categories=["sme", "retail", "private", "never seen"], ordered=True)
    forest = cs.RandomSurvivalForest(2, random_state=0).fit(X.assign(segment=ordered), y)
    assert forest.levels_ == {"segment": ["sme", "retail", "private"]}


def test_a_missing_value_in_a_row_to_predict_gives_nan_for_that_row(forest, X):
    rows = X.iloc[:4].astype({"segment": object})
    rows.iloc[1, 0], rows.iloc[2, 2] = np.nan, None
    survival = forest.predict_curves(rows, times=[5]).survival[:, 0]
    assert np.isnan(survival).tolist() == [False, True, True, False]
    assert np.isnan(forest.predict(rows, cause="default")).tolist() == [False, True, True, False]
    assert survival[0] == forest.predict_curves(X.iloc[:1], times=[5]).survival[0, 0]


def test_clone_pickle_pipeline_and_labels_of_rows(forest, X, y):
    assert clone(forest).get_params() == forest.get_params()
    again = pickle.loads(pickle.dumps(forest))
    np.testing.assert_array_equal(again.predict(X, cause="default"), forest.predict(X, cause="default"))
    pipeline = make_pipeline(StandardScaler(), cs.RandomSurvivalForest(3, random_state=0))
    numbers = X[["rate", "score"]].set_axis(X.index + 100)
    curves = cs.predict_curves(pipeline.fit(numbers, y), numbers, times=[12])
    assert curves.index.equals(numbers.index)


def test_scikit_survivals_outcome_is_accepted(X):
    y = cs.Outcome(np.arange(1, len(X) + 1), np.ones(len(X), int))
    ours = cs.RandomSurvivalForest(3, random_state=0).fit(X, y)
    theirs = cs.RandomSurvivalForest(3, random_state=0).fit(X, y.to_sksurv())
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_one_event_is_enough_and_a_cause_may_have_none(X):
    event = np.zeros(len(X), int)
    event[7] = 1
    y = cs.Outcome(np.arange(1, len(X) + 1), event, causes=("attrition", "default"))
    curves = cs.RandomSurvivalForest(30, random_state=0).fit(X, y).predict_curves(X)
    assert (curves.cumulative_incidence("default") == 0).all()
    assert (curves.cumulative_incidence("attrition") > 0).any()


def test_constant_columns_are_never_cut(X, y):
    constant = pd.DataFrame({"k": 1.0, "one": "only"}, index=X.index)
    forest = cs.RandomSurvivalForest(5, random_state=0).fit(constant, y)
    assert (forest.trees_["feature"] == -1).all()
    both = cs.RandomSurvivalForest(5, max_features=1, random_state=0).fit(X.assign(k=1.0), y)
    assert both.columns_.index("k") not in both.trees_["feature"]


def test_depth_leaves_and_samples_keep_their_limits(X, y):
    # without entry a leaf's only increase of the number at risk is its size, at the first event time
    closed = cs.Outcome(y.stop, y.event > 0)

    def leaf_sizes(**parameters):
        trees = cs.RandomSurvivalForest(4, random_state=0, **parameters).fit(X, closed).trees_
        return [
            trees["risk_change"][a:b][trees["risk_change"][a:b] > 0].sum()
            for a, b in zip(trees["risk_begin"][:-1], trees["risk_begin"][1:], strict=True)
        ]

    assert len(leaf_sizes(max_depth=2)) <= 4 * 4
    assert min(leaf_sizes(min_samples_leaf=30)) >= 30
    assert sum(leaf_sizes(max_samples=100)) == 4 * 100
    assert sum(leaf_sizes(max_samples=0.5)) == 4 * 200
    assert sum(leaf_sizes()) == 4 * 400


def test_the_fitted_state_is_plain_and_holds_no_training_rows(forest, X):
    sizes = [part.size for part in forest.trees_.values()]
    assert all(isinstance(part, np.ndarray) and part.dtype != object for part in forest.trees_.values())
    assert max(sizes) < 20 * 2 * len(X)
    fitted = [value for name, value in vars(forest).items() if name.endswith("_")]
    assert all(isinstance(v, np.ndarray | list | dict | str | int | float) for v in fitted)
    for column in ("rate", "score"):
        edges = forest.bin_edges_[forest.columns_.index(column)]
        assert not np.isin(X[column], edges).all()


def test_progress_is_shown_when_asked_for(X, y, capsys):
    cs.RandomSurvivalForest(2, random_state=0, verbose=1).fit(X, y)
    assert "Growing trees" in capsys.readouterr().err
    cs.RandomSurvivalForest(2, random_state=0).fit(X, y)
    assert capsys.readouterr().err == ""
