"""On small data the forest is held to textbook formulas and to exact identities."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.estimators import forest_fit
from churnsurv.estimators.forest_rows import training_rows
from churnsurv.exceptions import NotIdentifiedError, SmallSampleWarning, SupportWarning
from churnsurv.kernels.forest_bins import bin_codes, bin_edges, cut_values, grid_positions
from churnsurv.kernels.forest_scores import Criterion, new_times, node_times
from tests.estimators.forest_twins import aalen_johansen, at_risk, best_cut, logrank_statistics, walk


def one_tree(**parameters):
    return cs.RandomSurvivalForest(
        1, **({"min_samples_leaf": 4, "max_features": None, "bootstrap": False, "random_state": 0} | parameters)
    )


def small_data(kind, seed=0, n=60):
    """Whole months with ties; "entry": late entry; "causes": two causes too; "panel": (start, stop] rows of subjects."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 4, n), "c": rng.integers(0, 2, n)})
    length = np.ceil(rng.exponential(8 * np.exp(-0.7 * X["a"] + 0.5 * X["c"]).to_numpy())).clip(1, 15)
    event = rng.integers(0, 2 if kind in ("right", "entry") else 3, n)
    causes = ("attrition",) if kind in ("right", "entry") else ("attrition", "default")
    if kind == "right":
        return X, cs.Outcome(length, event, causes=causes)
    start = rng.integers(0, 6, n)
    if kind != "panel":
        return X, cs.Outcome(start + length, event, start=start, causes=causes)
    subject = np.repeat(np.arange(n // 2), 2)
    length[1::2] = np.ceil(length[1::2] / 2)
    start = np.where(np.arange(n) % 2, np.roll(start + length, 1), start)
    event = np.where(np.arange(n) % 2, event, 0)
    return X, cs.Outcome(start + length, event, start=start, subject=subject, causes=causes)


KINDS = ["right", "entry", "causes", "panel"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_split_is_the_best_of_a_brute_force_search(kind, seed):
    X, y = small_data(kind, seed)
    # rows between two event times take no part, nor do they count for the size of a leaf
    used = np.any([at_risk(y, t) for t in y.stop[y.event > 0]], axis=0)
    X, y = X.iloc[used], y[used]
    n_splits = 0
    for rows, column, left in walk(one_tree().fit(X, y), X):
        inside, outcome = X.iloc[rows], y[rows]
        best = best_cut(inside, outcome, 4, logrank_statistics)
        if column is None:
            assert outcome.n_subjects < 8 or best < 1e-9
        else:
            assert logrank_statistics(outcome, left) == pytest.approx(best, rel=1e-9)
            n_splits += 1
    assert n_splits >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_leafs_curve_is_the_aalen_johansen_estimate_of_its_rows(kind):
    X, y = small_data(kind)
    tree = one_tree().fit(X, y)
    curves = tree.predict_curves(X)
    for rows, column, _ in walk(tree, X):
        if column is None:
            expected = aalen_johansen(y[rows], tree.event_times_)
            known = np.isfinite(expected[0])
            for row in rows:
                np.testing.assert_allclose(curves.probability[row][:, known], expected[:, known], atol=1e-12)


def test_a_forest_of_stumps_without_cuts_is_the_aalen_johansen_estimate_of_the_portfolio():
    X, y = small_data("causes")
    forest = cs.RandomSurvivalForest(3, min_samples_leaf=len(X), bootstrap=False).fit(X, y)
    expected = cs.AalenJohansen().fit(y).curves_.at(forest.event_times_).probability[0]
    np.testing.assert_allclose(forest.predict_curves(X).probability[7], expected, atol=1e-12)


def test_where_no_neighbour_is_at_risk_the_portfolios_hazard_applies():
    # column k parts three loans that leave at 1, 1 and are censored at 2 from three that leave at 1, 3 and stay to 4
    X = pd.DataFrame({"k": [0, 0, 0, 1, 1, 1]})
    y = cs.Outcome([1, 1, 2, 1, 3, 4], [1, 1, 0, 1, 1, 0])
    tree = one_tree(min_samples_leaf=3).fit(X, y)
    survival = tree.predict_curves(pd.DataFrame({"k": [0, 1]}), times=[1, 3]).survival
    # left leaf: 1 − 2/3 at 1; at 3 nobody is left in it, of the portfolio 1 of 2 leaves. Right leaf: 2/3, then 1 of 2
    np.testing.assert_allclose(survival, [[1 / 3, 1 / 6], [2 / 3, 1 / 3]], atol=1e-12)


def test_leaves_with_less_than_one_customer_at_risk_are_topped_up_with_the_portfolio():
    # 2 trees; x's leaf of one holds a customer at risk at 3, the other none: Y = 1 of 2, d = 1; the portfolio's hazard is 1/2
    X = pd.DataFrame({"k": [0, 0, 0, 1, 1, 1]})
    y = cs.Outcome([1, 1, 2, 1, 3, 4], [1, 1, 0, 1, 1, 0])
    cut, whole = one_tree(min_samples_leaf=3).fit(X, y), one_tree(min_samples_leaf=6).fit(X, y)
    trees = [tuple(forest.trees_[name] for name in forest_fit.TREE_ARRAYS) for forest in (cut, whole)]
    cut.trees_ = forest_fit.flat_forest(trees[:1], cut.trees_["level_begin"])
    np.testing.assert_allclose(cut.predict_curves(X.iloc[:1]).survival[0], [1 / 3, 1 / 6], atol=1e-12)
    cut.trees_ = forest_fit.flat_forest(trees, cut.trees_["level_begin"])
    # leaves at 1: 3 and 6 at risk, 2 + 3 events; at 3: 0 and 2 at risk, 0 + 1 events, so no topping up: 1/2
    np.testing.assert_allclose(cut.predict_curves(X.iloc[:1]).survival[0], [4 / 9, 4 / 9 * 1 / 2], atol=1e-12)
    cut.trees_ = forest_fit.flat_forest([*3 * trees[:1], trees[1]], cut.trees_["level_begin"])
    # at 3: Y = 2, d = 1 over four trees, topped up by 2 customers of hazard 1/2: (1 + 1) / 4
    assert cut.predict_curves(X.iloc[:1]).survival[0, 1] == pytest.approx((1 - 9 / 15) / 2)
    assert whole.predict_curves(X.iloc[:1]).survival[0, 1] == pytest.approx(1 / 4)


def test_mortality_is_the_number_of_events_expected_with_the_rows_hazard():
    X, y = small_data("causes")
    forest = one_tree(min_samples_leaf=len(X)).fit(X, y)
    # with the hazard of the whole portfolio: the events that happened
    for cause in y.causes:
        assert forest.predict(X.iloc[:1], cause=cause)[0] == pytest.approx((y.event == y.cause_code(cause)).sum())


@pytest.mark.parametrize("kind", ["right", "causes"])
def test_integer_weights_are_repeated_rows(kind):
    X, y = small_data(kind)
    weight = np.random.default_rng(3).integers(0, 4, len(X))
    rows = np.repeat(np.arange(len(X)), weight)
    repeated = cs.Outcome(y.stop[rows], y.event[rows], start=None if y.from_origin else y.start[rows], causes=y.causes)
    weighted = one_tree().fit(X, y, sample_weight=weight).predict_curves(X, times=[2, 5, 9])
    expected = one_tree().fit(X.iloc[rows], repeated).predict_curves(X, times=[2, 5, 9])
    np.testing.assert_allclose(weighted.probability, expected.probability, atol=1e-12)


@pytest.mark.parametrize("kind", ["right", "causes", "panel"])
def test_weights_that_are_no_counts_may_be_given_in_any_unit(kind):
    X, y = small_data(kind)
    # the same for all rows of a subject
    weight = np.random.default_rng(3).uniform(0.5, 2, len(X))[np.unique(y.subject, return_inverse=True)[1]]
    expected = one_tree().fit(X, y, sample_weight=weight)
    assert len(expected.trees_["feature"]) > 4
    for unit in (1 / weight.sum(), 1e-9, 0.37, 1e6):
        again = one_tree().fit(X, y, sample_weight=weight * unit)
        np.testing.assert_array_equal(again.trees_["feature"], expected.trees_["feature"])
        np.testing.assert_allclose(again.predict_curves(X), expected.predict_curves(X), atol=1e-12)
        for cause in y.causes:
            np.testing.assert_allclose(again.predict(X, cause=cause), expected.predict(X, cause=cause), rtol=1e-9)


def test_equal_weights_that_sum_to_one_are_no_weights():
    X, y = small_data("causes")
    equal = one_tree().fit(X, y, sample_weight=np.full(len(X), 1 / len(X)))
    plain = one_tree().fit(X, y)
    assert (plain.trees_["feature"] >= 0).any()
    np.testing.assert_array_equal(equal.trees_["feature"], plain.trees_["feature"])
    np.testing.assert_allclose(equal.predict_curves(X), plain.predict_curves(X), atol=1e-12)


def test_the_last_fractions_of_customers_at_risk_do_not_decide_a_cut():
    # when 1 + 1e-9 customers are at risk, d (Y - d) / (Y - 1) of half a customer is 2.5e8; the variance stays below d
    X, y = pd.DataFrame({"k": [0, 1, 0, 1]}), cs.Outcome([1, 2, 3, 4], [1, 1, 1, 1])
    change, events = np.array([1.0 + 1e-9, -0.5, -0.5 - 1e-9]), np.array([[0.5, 0.5]])
    times = new_times(1, 2)
    assert node_times(change, events, Criterion(np.array([0]), np.zeros(2), np.zeros(2), False), times) == 2
    np.testing.assert_allclose(times.hazard, [[0, 0.5, 1.5]], rtol=1e-8)
    np.testing.assert_allclose(times.slope, [[0, 0.5, 0.5]], rtol=1e-8)
    # and of weights of very different size, sums that fall short by rounding do not divide by zero
    tiny = np.array([1e20, 1e20, 1.0, 1e-3])
    survival = one_tree(min_samples_leaf=1).fit(X, y, sample_weight=tiny).predict_curves(X).survival
    assert np.isfinite(survival).all()
    assert (np.diff(survival) <= 0).all()


@pytest.mark.parametrize("oob", [False, True])
def test_rows_of_weight_zero_take_no_part(oob):
    X, y = small_data("entry")
    wild = cs.Outcome(np.append(y.stop + 3, [1, 90]), np.append(y.event, [0, 1]), start=np.append(y.start + 3, [0, 50]))
    rows, weight = pd.concat([X, X.iloc[:2]], ignore_index=True), np.append(np.ones(len(X)), [0, 0])
    parameters = {"min_samples_leaf": 3, "max_samples": 0.5, "random_state": 1, "oob": oob}
    forest = cs.RandomSurvivalForest(30, **parameters).fit(rows, wild, sample_weight=weight)
    plain = cs.RandomSurvivalForest(30, **parameters).fit(X, wild[: len(X)])
    for name in ("first_entry_", "last_", "n_events_", "n_subjects_", "n_observations_"):
        assert getattr(forest, name) == getattr(plain, name)
    np.testing.assert_array_equal(forest.predict_curves(X), plain.predict_curves(X))
    with pytest.raises(NotIdentifiedError, match="nobody was watched before the age of 3"):
        forest.predict_curves(X, start=2)
    with pytest.warns(SupportWarning, match="past the last time known"):
        assert np.isnan(forest.predict_curves(X, times=[80])).all()
    if oob:
        np.testing.assert_array_equal(forest.oob_curves_[: len(X)], plain.oob_curves_)
        assert forest.oob_curves_.origin.min() == 3


def test_weights_may_be_a_column_which_then_is_no_covariate():
    X, y = small_data("right")
    named = one_tree().fit(X.assign(w=2.0), y, sample_weight="w")
    assert named.columns_ == ["a", "b", "c"]
    np.testing.assert_array_equal(named.predict(X), one_tree().fit(X, y, sample_weight=np.full(len(X), 2)).predict(X))


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_rows_and_columns_and_labels_of_subjects_change_nothing(kind):
    X, y = small_data(kind)
    forest = cs.RandomSurvivalForest(10, min_samples_leaf=3, random_state=1)
    expected = forest.fit(X, y).predict_curves(X).probability
    order = np.random.default_rng(0).permutation(len(X))
    moved = cs.Outcome(
        y.stop[order], y.event[order], start=None if y.from_origin else y.start[order],
        subject=[f"loan {1000 - s}" for s in y.subject[order]], causes=y.causes,
    )  # fmt: skip
    again = forest.fit(X.iloc[order, ::-1], moved).predict_curves(X).probability
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("weight", [np.ones(60), np.linspace(0.5, 2, 60)], ids=["equal", "fractional"])
def test_splitting_a_spell_changes_nothing(weight):
    X, y = small_data("causes")
    middle = np.floor((y.start + y.stop) / 2)
    cut = np.flatnonzero((y.start < middle) & (middle < y.stop))
    stop, event = y.stop.copy(), y.event.copy()
    stop[cut], event[cut] = middle[cut], 0
    halves = cs.Outcome(
        np.append(stop, y.stop[cut]), np.append(event, y.event[cut]), start=np.append(y.start, middle[cut]),
        subject=np.append(y.subject, y.subject[cut]), causes=y.causes,
    )  # fmt: skip
    forest = cs.RandomSurvivalForest(10, min_samples_leaf=3, random_state=1)
    expected = forest.fit(X, y, sample_weight=weight).predict_curves(X).probability
    both = np.append(weight, weight[cut])
    again = forest.fit(pd.concat([X, X.iloc[cut]]), halves, sample_weight=both).predict_curves(X).probability
    np.testing.assert_allclose(again, expected, atol=1e-12)


def test_a_row_never_at_risk_at_an_event_time_changes_nothing():
    X, y = small_data("entry")
    top = y.stop[y.event > 0].max()
    wild = cs.Outcome(np.append(y.stop, top + 9), np.append(y.event, 0), start=np.append(y.start, top + 5))
    forest = cs.RandomSurvivalForest(10, min_samples_leaf=3, random_state=1)
    expected = forest.fit(X, y).predict(X)
    again = forest.fit(pd.concat([X, X.iloc[:1] * 0 + 500]), wild).predict(X)
    np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("kind", ["right", "panel"])
def test_out_of_bag_curves_come_from_the_trees_that_did_not_draw_the_subject(kind):
    X, y = small_data(kind)
    with pytest.warns(SmallSampleWarning, match="Every tree drew the subject"):
        tree = cs.RandomSurvivalForest(1, min_samples_leaf=4, oob=True, random_state=5).fit(X, y)
    seed = int(np.random.RandomState(5).randint(0, np.iinfo(np.int32).max, 1)[0])
    rows = training_rows(X[["a", "b", "c"]].to_numpy(float), y, None, 255, None, np.zeros(4, np.int32))
    drawn = np.append(forest_fit.draw_counts(rows.n_subjects, rows.n_subjects, seed), 0)[rows.unit] > 0
    assert 0.4 < drawn.mean() < 0.85
    assert np.isnan(tree.oob_curves_.probability[drawn]).all()
    expected = tree.predict_curves(X, start=None if y.from_origin else y.start)
    np.testing.assert_allclose(tree.oob_curves_.probability[~drawn], expected.probability[~drawn], atol=1e-12)
    np.testing.assert_array_equal(tree.oob_curves_.origin, y.start)
    for subject in np.unique(y.subject):
        assert len(set(drawn[y.subject == subject])) == 1


def test_bins_are_all_values_when_few_and_quantiles_when_many():
    values = np.array([1.0, 1, 1, 1, 2, 3, 4, 9])
    assert cut_values(values, np.ones(8), 5).tolist() == [1, 2, 3, 4, 9]
    # shares of weight up to 1: 1/2, 2: 5/8, 3: 6/8, 4: 7/8; a third, two thirds, all are reached at 1, 3, 9
    assert cut_values(values, np.ones(8), 3).tolist() == [1, 3, 9]
    assert bin_edges(values, np.ones(8), 3).tolist() == [1.5, 3.5]
    assert bin_codes(values, np.array([1.5, 3.5])).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert len(bin_edges(np.ones(4), np.ones(4), 3)) == 0


def test_neighbouring_doubles_stay_apart():
    values = np.array([1.0, np.nextafter(1.0, 2)])
    assert bin_codes(values, bin_edges(values, np.ones(2), 255)).tolist() == [0, 1]


def test_an_event_between_two_grid_times_counts_at_the_next_one():
    grid = np.array([2.0, 5.0])
    entry, stop = np.array([-np.inf, -np.inf, 2.0, 3.0]), np.array([4.0, 4.0, 5.0, 4.0])
    first, last = grid_positions(grid, entry, stop, np.array([True, False, False, True]))
    # row 0 leaves at 4: counted at 5. Row 1 is censored at 4: at risk at 2 only. Row 2 enters at 2: at risk at 5 only
    assert list(zip(first.tolist(), last.tolist(), strict=True)) == [(0, 2), (0, 1), (1, 2), (1, 2)]


def test_continuous_times_are_put_on_a_grid_of_event_quantiles():
    rng = np.random.default_rng(0)
    X, stop = pd.DataFrame({"a": rng.normal(size=200)}), rng.exponential(size=200)
    y = cs.Outcome(stop, np.ones(200, int))
    forest = cs.RandomSurvivalForest(2, time_bins=20, min_samples_leaf=200, bootstrap=False).fit(X, y)
    assert len(forest.event_times_) == 20
    assert np.isin(forest.event_times_, y.stop).all()
    survival = forest.predict_curves(X.iloc[:1]).survival[0]
    np.testing.assert_allclose(survival, [(y.stop > t).mean() for t in forest.event_times_], atol=1e-12)
