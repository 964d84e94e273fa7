"""Episodes: the same likelihood after any cut, and effects that change with time as R's tt() and survSplit() give them."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.data import count_episodes, split_episodes, time_interaction
from churnsurv.exceptions import DataError, ZeroDurationWarning


def loans(seed=0, n=80, late=True):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"rate": rng.normal(size=n), "pool": rng.choice(["a", "b"], n)})
    start = rng.integers(0, 5, n).astype(float) if late else None
    stop = (0 if start is None else start) + rng.integers(1, 12, n)
    return X, cs.Outcome(stop, rng.integers(0, 3, n), start=start, causes=("attrition", "default"))


def fit(X, y, **arguments):
    return cs.CoxPH("rate", cause="attrition").fit(X, y, **arguments)


def split_one_by_one(y, cuts_of_row):
    """Cut row by row, as one would by hand: (row, start, stop, event)."""
    rows = []
    for i in range(len(y)):
        borders = [y.start[i], *[c for c in cuts_of_row(i) if y.start[i] < c < y.stop[i]], y.stop[i]]
        for k, (a, b) in enumerate(pairwise(borders)):
            rows.append((i, a, b, y.event[i] if k == len(borders) - 2 else 0))
    return np.array(rows, dtype=float)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), late=st.booleans())
def test_episodes_are_those_of_cutting_row_by_row(seed, late):
    X, y = loans(seed, 30, late)
    every = np.unique(y.stop[y.event > 0])
    cuts = np.sort(np.random.default_rng(seed).uniform(0, 15, 3))
    for at, of_row in (("events", lambda i: every), (cuts, lambda i: cuts)):
        made = split_episodes(X, y, at)
        expected = split_one_by_one(y, of_row)
        ours = np.column_stack([made.rows, made.y.start, made.y.stop, made.y.event])
        np.testing.assert_allclose(ours, expected)
        assert count_episodes(y, at) == len(expected)
        np.testing.assert_array_equal(made.y.subject, y.subject[made.rows])
        pd.testing.assert_frame_equal(made.X, X.iloc[made.rows].reset_index(drop=True))


def test_within_strata_rows_are_cut_at_events_of_their_own_stratum_only():
    X, y = loans(1)
    of_stratum = {p: np.unique(y.stop[(X["pool"] == p) & (y.event == 1)]) for p in "ab"}
    expected = split_one_by_one(y, lambda i: of_stratum[X["pool"][i]])
    for strata in ("pool", ["pool"], X["pool"].to_numpy()):
        made = split_episodes(X, y, "events", strata=strata, cause="attrition")
        np.testing.assert_allclose(np.column_stack([made.rows, made.y.start, made.y.stop, made.y.event]), expected)
    assert count_episodes(y, strata=X["pool"], cause="attrition") == len(expected) < count_episodes(y)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_fit_changes_when_rows_are_split(seed):
    X, y = loans(seed % 7)
    weight = np.random.default_rng(seed).uniform(0.5, 2, len(X))
    cuts = np.random.default_rng(seed).uniform(0, 15, 4)
    whole = fit(X, y, strata="pool", sample_weight=weight, cluster=np.arange(len(X)))
    for at in ("events", cuts):
        made = split_episodes(X, y, at)
        parts = fit(made.X, made.y, strata="pool", sample_weight=weight[made.rows], cluster=made.rows)
        np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-9)
        np.testing.assert_allclose(parts.covariance_, whole.covariance_, rtol=1e-8)
        assert parts.log_likelihood_ == pytest.approx(whole.log_likelihood_, rel=1e-11)


def test_a_function_of_time_takes_its_value_of_the_risk_set_in_every_risk_set():
    X, y = loans(3, 60)
    y, weight = y.only("attrition"), np.random.default_rng(3).uniform(0.5, 2, 60)
    made = time_interaction(X, y, "rate", np.log1p, name="log", strata="pool")
    model = cs.CoxPH(ties="breslow").fit(made.X, made.y, strata="pool", sample_weight=weight[made.rows])
    assert list(model.coef_.index) == ["rate", "rate_log"]
    # Breslow's likelihood by its definition, the covariate evaluated at the death
    rate, b, total = X["rate"].to_numpy(), model.coef_.to_numpy(), 0.0
    for pool in "ab":
        inside = X["pool"].to_numpy() == pool
        for t in np.unique(y.stop[inside & (y.event == 1)]):
            eta = rate * (b[0] + b[1] * np.log1p(t))
            dead, at_risk = inside & (y.stop == t) & (y.event == 1), inside & (y.start < t) & (y.stop >= t)
            risk = (weight * np.exp(eta))[at_risk].sum()
            total += (weight * eta)[dead].sum() - weight[dead].sum() * np.log(risk)
    assert model.log_likelihood_ == pytest.approx(total, rel=1e-11)


def test_one_coefficient_per_period_is_the_fit_of_each_period_alone():
    X, y = loans(4)
    X, y = X[["rate"]], y.only("attrition")
    made = time_interaction(X, y, "rate", [4, 8])
    assert list(made.X) == ["rate_0_4", "rate_4_8", "rate_8_on"]
    model = cs.CoxPH().fit(made.X, made.y)
    for low, high, name in ((0, 4, "rate_0_4"), (4, 8, "rate_4_8"), (8, 99, "rate_8_on")):
        here = (y.start < high) & (y.stop > low)
        stop = np.minimum(y.stop, high)[here]
        event = np.where(y.stop <= high, y.event, 0)[here]
        alone = cs.CoxPH().fit(X[here], cs.Outcome(stop, event, start=np.maximum(y.start, low)[here]))
        assert model.coef_[name] == pytest.approx(alone.coef_["rate"], rel=1e-8)
        assert model.summary().loc[name, "se"] == pytest.approx(alone.summary().loc["rate", "se"], rel=1e-8)


def test_cuts_that_are_times_of_the_data_up_to_rounding_cut_nothing():
    y = cs.Outcome(stop=np.array([1 / 12 + 8 / 12, 2.0]), event=[1, 1])
    assert count_episodes(y, [9 / 12]) == 3  # the second row only
    assert split_episodes(pd.DataFrame({"x": [1.0, 2.0]}), y, [9 / 12]).y.stop[1] == y.stop[0]


def test_a_missing_covariate_stays_missing_in_every_period():
    y = cs.Outcome(stop=[5, 6], event=[1, 1])
    made = time_interaction(pd.DataFrame({"x": [np.nan, 1.0]}), y, "x", [3])
    assert made.X[made.rows == 0].isna().all(axis=None)
    assert made.X[made.rows == 1].to_numpy().tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_split_that_would_not_fit_is_refused_with_its_size_before_it_is_made():
    n = 40_000
    y = cs.Outcome(stop=np.arange(1.0, n + 1), event=np.ones(n))
    with pytest.raises(DataError, match=r"makes 800,020,000 rows of 40,000 \(\d+\.\d GB\).*max_rows"):
        split_episodes(np.zeros((n, 2)), y)


def test_events_at_time_zero_cannot_be_split_and_rows_without_time_are_left_out():
    X = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    with pytest.warns(ZeroDurationWarning):
        dead = cs.Outcome(stop=[0, 5, 6], event=[1, 1, 0])
    with pytest.raises(DataError, match=r"1 event at time 0 \(row 0\)"):
        split_episodes(X, dead, [3])
    assert split_episodes(X, cs.Outcome(stop=[0, 5, 6], event=[0, 1, 0]), [3]).rows.tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X, y: split_episodes(X, y, "months"), "use 'events'"),
        (lambda X, y: split_episodes(X, y, [np.inf]), "not finite"),
        (lambda X, y: split_episodes(X, y, []), "no time"),
        (lambda X, y: split_episodes(X, y, ["a"]), "not numeric"),
        (lambda X, y: split_episodes(X.iloc[1:], y, [3]), "match row for row"),
        (lambda X, y: split_episodes(X, y, strata=["nowhere"]), "No column 'nowhere'"),
        (lambda X, y: split_episodes(X, y, cause="sold"), "Cause 'sold' is unknown"),
        (lambda X, y: time_interaction(X, y, "rat", np.log), "No column 'rat'"),
        (lambda X, y: time_interaction(X, y, "pool", np.log), "not numeric"),
        (lambda X, y: time_interaction(X, y, "rate", lambda t: np.log(t - 3)), "g is not finite at time"),
        (lambda X, y: time_interaction(X.assign(rate_t=1), y, "rate", lambda t: t), "column 'rate_t' already"),
    ],
)
def test_what_cannot_be_split_is_refused_with_words(call, message):
    X, y = loans(5)
    with pytest.raises(DataError, match=message):
        call(X, y)
