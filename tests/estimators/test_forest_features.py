"""Missing values and unordered categories: where they go is what a brute-force search says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.estimators.forest_bags import training_bags
from churnsurv.exceptions import DataError, SmallSampleWarning, UnseenCategoryError
from churnsurv.kernels.forest_levels import rank_levels
from tests.estimators.forest_twins import at_risk, best_cut, level_ranks, logrank_statistics, walk
from tests.estimators.test_forest_exact import one_tree, small_data


def with_holes(kind, seed, n=60):
    """Small data in which "a" lacks some values, more often where customers leave late, and "d" is text, with holes too."""
    X, y = small_data(kind, seed, n)
    rng = np.random.default_rng(seed + 10)
    level = rng.integers(0, 6, n)
    X = X.assign(d=np.where(rng.uniform(size=n) < 0.15, None, np.array(list("qbxmca"))[level]))
    X.loc[(rng.uniform(size=n) < 0.1 + 0.3 * (y.stop > np.median(y.stop))), "a"] = np.nan
    used = np.any([at_risk(y, t) for t in y.stop[y.event > 0]], axis=0)
    return X[used].reset_index(drop=True), y[used]


@pytest.mark.parametrize("kind", ["right", "entry", "panel"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_split_is_the_best_over_both_sides_for_missing_values_and_all_cuts_of_the_ordered_levels(kind, seed):
    X, y = with_holes(kind, seed)
    y = cs.Outcome(y.stop, y.event > 0, start=None if y.from_origin else y.start, subject=y.subject)
    ranked = X.assign(d=X["d"].map(level_ranks(y, X["d"])))
    sides = set()
    for rows, column, left in walk(one_tree(min_samples_leaf=3).fit(X, y), X):
        best = best_cut(ranked.iloc[rows], y[rows], 3, logrank_statistics)
        if column is None:
            assert y[rows].n_subjects < 6 or best < 1e-9
            continue
        assert logrank_statistics(y[rows], left) == pytest.approx(best, rel=1e-9)
        missing = X[column].iloc[rows].isna().to_numpy()
        if missing.any():
            sides.add(bool(left[missing].all()))
            assert len(set(left[missing])) == 1
    assert sides


def test_missing_values_are_taken_as_a_value_where_the_fit_had_some():
    rng = np.random.default_rng(0)
    income, known = rng.normal(size=400), rng.uniform(size=400) < 0.7
    X = pd.DataFrame({"income": np.where(known, income, np.nan), "age": rng.normal(size=400)})
    y = cs.Outcome(np.ceil(rng.exponential(np.where(known, 5, 30))).clip(1, 60), np.ones(400, int))
    forest = cs.RandomSurvivalForest(20, max_features=None, random_state=0).fit(X, y)
    assert forest.missing_columns_ == ["income"]
    new = pd.DataFrame({"income": [0.0, np.nan, 0.0, np.nan], "age": [0.0, 0.0, np.nan, np.nan]})
    survival = forest.predict_curves(new, times=[10]).survival[:, 0]
    assert np.isnan(survival).tolist() == [False, False, True, True]
    assert survival[1] > survival[0] + 0.3
    assert np.isnan(forest.predict(new)).tolist() == [False, False, True, True]


def test_a_node_without_missing_values_sends_later_ones_to_its_larger_side():
    # the only missing value is not drawn by some trees; there every cut of column a must send it to the larger side
    X, y = small_data("right", n=80)
    X.loc[5, "a"] = np.nan
    forest = cs.RandomSurvivalForest(12, min_samples_leaf=6, max_features=None, random_state=2).fit(X[["a"]], y)
    bags = training_bags(forest, X[["a"]], y)
    seen = 0
    for tree in np.flatnonzero(bags.drawn[:, bags.unit[5]] == 0):
        copies = np.random.default_rng(forest.seeds_[tree]).integers(0, bags.drawn.shape[1] - 1, forest.n_drawn_)
        weight = np.bincount(copies, minlength=bags.drawn.shape[1])[bags.unit]
        for rows, column, left in walk(forest, X, tree):
            if column is not None and 5 in rows:
                others = rows != 5
                heavier = weight[rows[others & left]].sum() >= weight[rows[others & ~left]].sum()
                assert left[~others].tolist() == [heavier]
                seen += 1
    assert seen >= 5


@pytest.mark.parametrize("splitter", ["best", "random"])
def test_the_larger_side_counts_subjects_with_rows_on_both_sides_on_both(splitter):
    seen = 0
    for seed in range(12):
        X, y = small_data("panel", seed, n=80)
        used = np.any([at_risk(y, t) for t in y.stop[y.event > 0]], axis=0)
        X, y = X[used].reset_index(drop=True), y[used]
        forest = one_tree(min_samples_leaf=4, splitter=splitter).fit(X, y)
        # a later row without any value follows missing_left
        part = forest.trees_
        nodes = [(0, np.arange(len(X)))]
        while nodes:
            node, rows = nodes.pop()
            if part["feature"][node] < 0:
                continue
            column = forest.columns_[part["feature"][node]]
            edge = forest.bin_edges_[part["feature"][node]][part["cut"][node]]
            left = X[column].to_numpy()[rows] <= edge
            n_left, n_right = (len(np.unique(y.subject[rows[side]])) for side in (left, ~left))
            assert part["missing_left"][node] == (n_left >= n_right)
            seen += (n_left >= n_right) != (n_left >= len(np.unique(y.subject[rows])) - n_left)
            nodes += [(part["child"][node], rows[left]), (part["child"][node] + 1, rows[~left])]
    assert seen > 0


def test_missing_values_everywhere_but_in_one_row_still_part_from_the_known_ones():
    X = pd.DataFrame({"k": [np.nan] * 10 + [1.0] * 10})
    y = cs.Outcome([1] * 10 + [9] * 10, np.ones(20, int))
    tree = one_tree(min_samples_leaf=5).fit(X, y)
    assert tree.predict_curves(pd.DataFrame({"k": [np.nan, 1.0, -3.0]}), times=[1]).survival[:, 0].tolist() == [0, 1, 1]


def test_levels_go_by_what_happens_in_them_not_by_their_names():
    # in the order of the names the levels alternate, so that no single cut of it parts the early from the late
    level = np.tile(np.arange(8), 10)
    X, y = pd.DataFrame({"branch": [f"branch {v}" for v in level]}), cs.Outcome(1 + (level % 2) * 5, np.ones(80, int))
    stump = one_tree(max_depth=1).fit(X, y)
    late = stump.predict_curves(X, times=[3]).survival[:, 0]
    np.testing.assert_array_equal(late, level % 2)
    ordered = X["branch"].astype(pd.CategoricalDtype(sorted(set(X["branch"])), ordered=True)).to_frame()
    kept = one_tree(max_depth=1).fit(ordered, y)
    assert kept.trees_["level_rank"].size == 0
    assert len(set(kept.predict_curves(ordered, times=[3]).survival[:, 0])) == 2
    assert not np.array_equal(kept.predict_curves(ordered, times=[3]).survival[:, 0], level % 2)


@pytest.mark.parametrize("kind", ["right", "causes", "panel"])
def test_renaming_levels_changes_nothing(kind):
    X, y = with_holes(kind, 4)
    renamed = X.assign(d=X["d"].map(dict(zip("qbxmca", ["z9", "a1", "k", "w", "m", "b"], strict=True))))
    forest = cs.RandomSurvivalForest(10, min_samples_leaf=3, random_state=1)
    expected = forest.fit(X, y).predict_curves(X).probability
    assert (forest.trees_["feature"] == forest.columns_.index("d")).any()
    again = forest.fit(renamed, y).predict_curves(renamed).probability
    np.testing.assert_allclose(again, expected, atol=1e-12)
    order = np.random.default_rng(0).permutation(len(X))
    moved = cs.Outcome(
        y.stop[order], y.event[order], start=None if y.from_origin else y.start[order], subject=y.subject[order],
        causes=y.causes,
    )  # fmt: skip
    again = forest.fit(X.iloc[order, ::-1], moved).predict_curves(X).probability
    np.testing.assert_allclose(again, expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["right", "causes"])
def test_integer_weights_are_repeated_rows_with_missing_values_and_categories_too(kind):
    X, y = with_holes(kind, 1)
    weight = np.random.default_rng(3).integers(0, 4, len(X))
    rows = np.repeat(np.arange(len(X)), weight)
    repeated = cs.Outcome(y.stop[rows], y.event[rows], start=None if y.from_origin else y.start[rows], causes=y.causes)
    weighted = one_tree().fit(X, y, sample_weight=weight).predict_curves(X, times=[2, 5, 9])
    expected = one_tree().fit(X.iloc[rows], repeated).predict_curves(X, times=[2, 5, 9])
    np.testing.assert_allclose(weighted.probability, expected.probability, atol=1e-12)


def test_levels_that_a_tree_did_not_draw_rank_as_the_portfolio():
    # level 2 has no row; level 0 leaves more, level 1 less than expected
    parts = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.0]])
    # of the types that trees have, which are compiled already
    cause, weight = np.array([1, 0, 1], np.int32), np.ones(3)
    ranks = rank_levels(np.array([0, 1, 255], np.uint8), parts, cause, np.array([0]), weight, 3)
    assert ranks.tolist() == [2, 0, 1]


def test_with_two_causes_levels_are_ordered_along_their_largest_difference():
    # level by level the two causes take turns: 0, 1, 2, 3 in default against attrition, with equal exits of any cause
    parts = np.zeros((8, 4))
    cells = np.repeat(np.array([3, 1, 0, 2], np.uint8), 2)
    parts[:, 0] = np.repeat([-0.3, -0.1, 0.1, 0.3], 2)
    parts[:, 2] = -parts[:, 0]
    cause = np.tile(np.array([1, 2], np.int32), 4)
    ranks = rank_levels(cells, parts, cause, np.array([0, 1]), np.ones(8), 4).astype(int)
    assert ranks[[3, 1, 0, 2]].tolist() in ([0, 1, 2, 3], [3, 2, 1, 0])


def test_out_of_bag_curves_of_rows_with_missing_values_come_from_the_trees_that_did_not_draw_them():
    X, y = with_holes("causes", 2)
    forest = cs.RandomSurvivalForest(40, min_samples_leaf=3, oob=True, random_state=1).fit(X, y)
    bags = training_bags(forest, X, y)
    probability, _ = forest._answers(bags.numbers, forest.event_times_, y.start, bags.drawn, bags.unit)
    np.testing.assert_array_equal(probability, forest.oob_curves_.probability)
    assert np.isfinite(probability).all()


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_any_holes_and_levels_give_probabilities(data):
    n = data.draw(st.integers(2, 25))
    holes = st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=n, max_size=n)
    a, b = data.draw(holes), data.draw(holes)
    X = pd.DataFrame({"a": np.array(a, float), "b": [None if v is None else f"level {v}" for v in b], "c": range(n)})
    X = X.drop(columns=[c for c in X if X[c].isna().all()])
    # an event at the first time, so that all rows take part
    event = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    event[0] = 1
    stop = 1 + np.array(data.draw(st.lists(st.integers(0, 6), min_size=n, max_size=n)))
    stop[0] = 1
    y = cs.Outcome(stop, event, causes=("attrition", "default"))
    forest = cs.RandomSurvivalForest(
        3, min_samples_leaf=data.draw(st.integers(1, 4)), criterion=data.draw(st.sampled_from(["logrank", "gray"])),
        splitter=data.draw(st.sampled_from(["best", "random"])), max_features=None, random_state=0,
    ).fit(X, y)  # fmt: skip
    p = forest.predict_curves(X).probability
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert p.min() >= 0


def test_every_tree_may_draw_a_row(tmp_path):
    X, y = with_holes("right", 0)
    with pytest.warns(SmallSampleWarning, match="Every tree drew the subject"):
        forest = cs.RandomSurvivalForest(1, min_samples_leaf=3, oob=True, random_state=5).fit(X, y)
    again = cs.load(cs.save(forest, tmp_path / "forest"))
    np.testing.assert_array_equal(again.predict(X), forest.predict(X))


def test_columns_of_none_alone_are_missing_values_whatever_their_type():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=80), "b": rng.normal(size=80), "c": rng.choice(list("xy"), 80)})
    X.loc[:10, "a"], X.loc[5:20, "c"] = np.nan, None
    forest = cs.RandomSurvivalForest(10, random_state=0).fit(X, cs.Outcome(rng.integers(1, 9, 80), np.ones(80, int)))
    expected = forest.predict(pd.DataFrame({"a": [np.nan], "b": [1.0], "c": [np.nan]}))
    assert np.isfinite(expected).all()
    for nothing in (None, pd.NA):
        np.testing.assert_array_equal(forest.predict(pd.DataFrame([{"a": nothing, "b": 1.0, "c": nothing}])), expected)
    np.testing.assert_array_equal(forest.predict(np.array([[None, 1.0, None]], dtype=object)), expected)
    assert np.isnan(forest.predict(pd.DataFrame([{"a": 1.0, "b": None, "c": "x"}]))).all()


@pytest.mark.parametrize("splitter", ["best", "random"])
def test_rows_without_weight_take_no_part_in_levels_and_columns(splitter):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=120), "c": rng.choice(list("xyz"), 120)})
    y = cs.Outcome(rng.integers(1, 9, 120), rng.integers(0, 2, 120))
    weight = np.repeat([0.0, 1.0], [3, 117])
    X.loc[:2, "c"] = "ghost"
    forest = cs.RandomSurvivalForest(30, splitter=splitter, random_state=0, oob=True)
    forest.fit(X, y, sample_weight=weight)
    alone = cs.RandomSurvivalForest(30, splitter=splitter, random_state=0).fit(X[3:], y[np.arange(3, 120)])
    assert forest.levels_ == {"c": ["x", "y", "z"]}
    np.testing.assert_array_equal(forest.predict(X[3:]), alone.predict(X[3:]))
    with pytest.raises(UnseenCategoryError, match="ghost"):
        forest.predict(X)
    assert np.isnan(forest.oob_curves_.survival[:3]).all()
    assert forest.oob_score(X, y, sample_weight=weight).concordance == forest.oob_concordance_
    with pytest.raises(DataError, match="No row has a value in 1 column 'a'"):
        cs.RandomSurvivalForest(2).fit(X.assign(a=np.where(weight == 0, 1.0, np.nan)), y, sample_weight=weight)


@pytest.mark.parametrize("model", [cs.RandomSurvivalForest(5, random_state=0), cs.CoxPH()], ids=["forest", "Cox"])
def test_text_of_arrow_is_text(model):
    pa = pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=80), "c": rng.choice(list("xyz"), 80)})
    y = cs.Outcome(rng.integers(1, 9, 80), rng.integers(0, 2, 80))
    expected = model.fit(X, y).predict(X)
    kinds = [pd.ArrowDtype(t) for t in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()))]
    for arrow in [X.convert_dtypes(dtype_backend="pyarrow"), *(X.astype({"c": kind}) for kind in kinds)]:
        np.testing.assert_allclose(model.predict(arrow), expected)
        np.testing.assert_allclose(model.fit(arrow, y).predict(X), expected)
