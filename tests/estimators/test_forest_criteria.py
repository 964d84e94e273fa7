"""Gray's criterion, causes that count, random cuts, and the fast scan: each against a slow twin."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config

import churnsurv as cs
from churnsurv.kernels.forest_bounds import best_bounded_cut, lay_bounds, new_bounds, own_fates
from churnsurv.kernels.forest_scores import (
    Criterion,
    Sample,
    fates,
    new_rows,
    new_times,
    node_counts,
    node_rows,
    node_times,
)
from churnsurv.kernels.forest_split import N_CELLS, best_cut, new_scan
from tests.estimators.forest_twins import best_cut as brute_force
from tests.estimators.forest_twins import cuts, logrank_statistics, under_observation, walk
from tests.estimators.test_forest_exact import one_tree, small_data


def graded(kind, seed):
    """Small data of two causes with its A(t); "right": from the origin."""
    X, y = small_data("causes", seed)
    if kind == "right":
        y = cs.Outcome(y.stop - y.start, y.event, causes=y.causes)
    else:
        # somebody under observation throughout
        start, stop, event = y.start.copy(), y.stop.copy(), y.event.copy()
        start[:6], stop[:6], event[:6] = 0, 30, [1, 2, 0, 1, 2, 1]
        y = cs.Outcome(stop, event, start=start, causes=y.causes)
    return X, y, {t: under_observation(y, t) for t in np.unique(y.stop)}


@pytest.mark.parametrize("kind", ["right", "entry"])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("cause", [None, "default"])
def test_every_split_of_grays_criterion_is_the_best_of_a_brute_force_search(kind, seed, cause):
    X, y, weights = graded(kind, seed)
    counted = [1, 2] if cause is None else [2]

    def statistic(outcome, left):
        return logrank_statistics(outcome, left, counted, weights)

    used = (
        (y.entry[:, None] < np.unique(y.stop[y.event > 0])) & (y.stop[:, None] >= np.unique(y.stop[y.event > 0]))
    ).any(1)
    X, y = X[used], y[used]
    n_splits = 0
    for rows, column, left in walk(one_tree(criterion="gray", cause=cause).fit(X, y), X):
        best = brute_force(X.iloc[rows], y[rows], 4, statistic)
        if column is None:
            assert len(rows) < 8 or best < 1e-9
        else:
            assert statistic(y[rows], left) == pytest.approx(best, rel=1e-8)
            n_splits += 1
    assert n_splits >= 3


def test_gray_finds_what_moves_the_probability_and_logrank_what_moves_the_hazard():
    # z takes attrition's hazard to default and leaves the probability of attrition; w halves default's hazard only
    rng = np.random.default_rng(0)
    n = 6_000
    X = pd.DataFrame({"w": rng.integers(0, 2, n)})
    default = rng.exponential(np.where(X["w"] == 1, 1e9, 10))
    attrition = rng.exponential(20, n)
    month = np.ceil(np.minimum(default, attrition)).clip(1, 60)
    event = np.where(np.minimum(default, attrition) > 60, 0, np.where(attrition < default, 1, 2))
    y = cs.Outcome(month, event, causes=("attrition", "default"))
    stump = {"max_depth": 1, "min_samples_leaf": 100, "cause": "attrition"}
    assert one_tree(criterion="gray", **stump).fit(X, y).trees_["feature"][0] == 0
    left = (X["w"] == 0).to_numpy()
    weights = dict.fromkeys(np.unique(y.stop), 1.0)
    # attrition's hazard is the same in both groups: 3.84 is the 95 % point of chi-squared; its probability is not
    assert logrank_statistics(y, left, [1]) < 3.84
    assert logrank_statistics(y, left, [1], weights) > 100


def test_with_one_cause_gray_is_logrank():
    X, y = small_data("entry")
    for name, part in one_tree(criterion="gray").fit(X, y).trees_.items():
        np.testing.assert_array_equal(part, one_tree().fit(X, y).trees_[name])


def test_only_the_causes_asked_for_count():
    X, y = small_data("causes", 1)
    expected = one_tree().fit(X, cs.Outcome(y.stop, y.event == 2, start=y.start))
    tree = one_tree(cause="default").fit(X, y)
    np.testing.assert_array_equal(tree.trees_["feature"], expected.trees_["feature"])
    np.testing.assert_array_equal(
        one_tree(cause=["default", "attrition"]).fit(X, y).trees_["cut"], one_tree().fit(X, y).trees_["cut"]
    )
    assert tree.predict_curves(X).cumulative_incidence("attrition")[:, -1].max() > 0


@pytest.mark.parametrize("criterion", ["logrank", "gray"])
def test_random_cuts_are_legal_cuts_of_positive_score_and_those_of_the_seed(criterion):
    X, y, weights = graded("right", 1)
    X.loc[X.index[::7], "a"] = np.nan
    grown = {}
    for seed in (0, 1):
        tree = one_tree(splitter="random", criterion=criterion, random_state=seed).fit(X, y)
        grown[seed] = tree.trees_
        for rows, column, left in walk(tree, X):
            if column is not None:
                assert min(left.sum(), (~left).sum()) >= 4
                assert logrank_statistics(y[rows], left, [1, 2], weights if criterion == "gray" else None) > 0
                assert any(np.array_equal(left, cut) for cut in cuts(X[[column]].iloc[rows]))
    again = one_tree(splitter="random", criterion=criterion, random_state=0).fit(X, y).trees_
    for name, part in grown[0].items():
        np.testing.assert_array_equal(again[name], part)
    assert not np.array_equal(grown[0]["feature"], grown[1]["feature"])


def test_random_cuts_are_uniform_over_the_cells():
    X = pd.DataFrame({"k": np.repeat(np.arange(5), 8)})
    y = cs.Outcome(1 + X["k"].to_numpy(), np.ones(40, int))
    forest = cs.RandomSurvivalForest(
        1_000, splitter="random", max_depth=1, min_samples_leaf=1, bootstrap=False, random_state=0
    ).fit(X, y)
    counts = np.bincount(forest.trees_["cut"][forest.trees_["feature"] == 0], minlength=4)
    # binomial(1000, 1/4): standard deviation 13.7; four of them
    assert np.abs(counts - 250).max() < 55


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_ruling_cuts_out_by_bounds_finds_what_scoring_all_of_them_finds(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    n, n_times, n_causes = data.draw(st.integers(2, 80)), data.draw(st.integers(1, 40)), data.draw(st.integers(1, 3))
    min_leaf = data.draw(st.integers(1, 6))
    cause = rng.integers(0, n_causes + 1, n).astype(np.int32)
    weight = rng.integers(1, 4, n).astype(float) if data.draw(st.booleans()) else rng.uniform(0.2, 3, n)
    last = np.ceil(n_times * rng.uniform(size=n) ** data.draw(st.integers(1, 4))).clip(1, n_times).astype(np.int32)
    codes = rng.integers(0, data.draw(st.integers(2, 255)), (1, n)).astype(np.uint8)
    sample = Sample(codes, np.zeros(n, np.int32), last, cause, np.arange(n, dtype=np.int32), weight, True)
    criterion = Criterion(np.arange(n_causes), np.zeros(n_times), np.zeros(n_times), False)
    times, node = new_times(n_causes, n_times), new_rows(n, n_causes, n_causes, n_times)
    scan, bounds = new_scan(n, n_causes, n_times, False), new_bounds(n, n_causes, n_causes, n_times)
    rows = np.arange(n, dtype=np.int32)
    change, events = np.zeros(n_times + 1), np.zeros((n_causes, n_times))
    node_counts(rows, sample, fates(last, cause, n_times), False, change, events, node)
    m = node_times(change, events, criterion, times)
    node_rows(rows, sample, criterion, times, m, node)
    found = []
    for fast in (False, True):
        scan.cell[:] = codes[0]
        scan.place[:] = np.bincount(codes[0], minlength=N_CELLS)
        if fast:
            lay_bounds(times, m, n_causes, criterion.causes, bounds)
            own_fates(n, node.fate, times.position, n_causes, bounds)
            found.append(
                best_bounded_cut(
                    n, weight.sum(), min_leaf, 0, 0.0, times.curvature, m, scan.cell, scan.place, node.weight,
                    bounds,
                )
            )  # fmt: skip
        else:
            found.append(best_cut(n, weight.sum(), min_leaf, 0, True, criterion.causes, times, m, node, scan))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-8, abs=1e-12)
    assert (found[1][1] < 0) == (found[0][1] < 0)


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_the_same_seed_gives_the_same_forest_by_any_backend(backend):
    X, y, _ = graded("entry", 0)
    X = X.assign(d=np.where(X["b"] > 2, None, "level " + X["b"].astype(str)))
    forest = cs.RandomSurvivalForest(6, min_samples_leaf=3, criterion="gray", random_state=1)
    expected = forest.fit(X, y).trees_
    # every array of more than 100 bytes goes to the processes as a read-only memory map
    limit = {} if backend == "threading" else {"max_nbytes": 100}
    with parallel_config(backend=backend, n_jobs=2, **limit):
        again = forest.fit(X, y).trees_
        answers = forest.predict_curves(X)
    for name, part in expected.items():
        np.testing.assert_array_equal(again[name], part)
    np.testing.assert_array_equal(answers, forest.predict_curves(X))
