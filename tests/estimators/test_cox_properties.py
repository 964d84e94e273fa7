"""Identities of the partial likelihood that any right fit satisfies, on data drawn with everything at once.

More of them, on fixed loans, are in test_cox.py; here strata, weights, late entry, clusters and offsets come together.
"""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.kernels.cox import gradient
from churnsurv.kernels.newton import evaluate, information_at
from tests.kernels.test_cox_kernel import as_problem, rows_with_everything

seeds = st.integers(0, 100_000)
ties_rules = st.sampled_from(["efron", "breslow"])
few = settings(max_examples=15, deadline=None)


def loans(seed, n=150):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "rate": rng.normal(0.5, 1, n),
            "score": rng.normal(650, 60, n),
            "region": rng.choice(["north", "south", "west"], n),
            "weight": rng.choice([0.5, 1.0, 2.0, 3.0], n),
            "customer": rng.integers(0, 40, n),
            "shift": rng.normal(0, 0.3, n),
        }
    )
    start = np.where(rng.random(n) < 0.3, 0, rng.integers(0, 8, n)).astype(float)
    stop = start + rng.geometric(np.clip(0.15 * np.exp(0.4 * X["rate"]), 0.01, 0.9))
    return X, cs.Outcome(stop, rng.integers(0, 2, n), start=start)


ROLES = {"strata": "region", "sample_weight": "weight", "cluster": "customer", "offset": "shift"}


def fitted(X, y, ties, roles=ROLES):
    named = list(roles.values())
    return cs.CoxPH(ties=ties).fit(X[["rate", "score", *named]], y, **roles)


def assert_same(a, b, rtol=1e-9):
    np.testing.assert_allclose(b.coef_, a.coef_, rtol=rtol, atol=1e-11)
    np.testing.assert_allclose(b.covariance_, a.covariance_, rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(b.naive_covariance_, a.naive_covariance_, rtol=1e-7, atol=1e-14)
    assert b.log_likelihood_ == pytest.approx(a.log_likelihood_, rel=1e-10)


@few
@given(seed=seeds, ties=ties_rules)
def test_the_order_of_rows_and_the_labels_of_clusters_and_strata_change_nothing(seed, ties):
    X, y = loans(seed)
    order = np.random.default_rng(seed).permutation(len(X))
    renamed = X.assign(customer=1000 - X["customer"], region=X["region"].map({"north": "c", "south": "a", "west": "b"}))
    assert_same(fitted(X, y, ties), fitted(renamed.iloc[order], y[order], ties))


@few
@given(seed=seeds, ties=ties_rules, shift=st.floats(0, 1000), factor=st.sampled_from([1e-9, 1e-3, 7.0, 1e9]))
def test_the_unit_and_origin_of_time_change_nothing(seed, ties, shift, factor):
    X, y = loans(seed)
    moved = cs.Outcome((y.stop + shift) * factor, y.event, start=(y.start + shift) * factor)
    assert_same(fitted(X, y, ties), fitted(X, moved, ties))


@few
@given(seed=seeds, ties=ties_rules, scale=st.sampled_from([1e-9, -3.0, 1e9]), offset=st.sampled_from([0.0, 5.0]))
def test_the_unit_of_a_covariate_changes_its_coefficient_only(seed, ties, scale, offset):
    X, y = loans(seed)
    a, b = fitted(X, y, ties), fitted(X.assign(rate=scale * (X["rate"] + offset)), y, ties)
    assert b.coef_["rate"] * scale == pytest.approx(a.coef_["rate"], rel=1e-8, abs=1e-11)
    assert b.coef_["score"] == pytest.approx(a.coef_["score"], rel=1e-8, abs=1e-12)
    assert b.log_likelihood_ == pytest.approx(a.log_likelihood_, rel=1e-10)
    se = np.sqrt(np.diag(b.covariance_)) * [abs(scale), 1]
    np.testing.assert_allclose(se, np.sqrt(np.diag(a.covariance_)), rtol=1e-7)


@few
@given(seed=seeds)
def test_whole_weights_are_replicated_rows_under_breslow_also_in_the_sandwich(seed):
    X, y = loans(seed)
    weight = np.random.default_rng(seed).integers(1, 4, len(X))
    copies = np.repeat(np.arange(len(X)), weight)
    X = X.assign(weight=weight.astype(float))
    without = {name: column for name, column in ROLES.items() if name != "sample_weight"}
    assert_same(fitted(X, y, "breslow"), fitted(X.iloc[copies], y[copies], "breslow", without))


@few
@given(seed=seeds, ties=ties_rules)
def test_splitting_spells_changes_nothing_with_the_sandwich_by_loan(seed, ties):
    X, y = loans(seed)
    rng = np.random.default_rng(seed)
    cut = np.round(rng.uniform(y.start, y.stop), 1)
    inside = np.flatnonzero((cut > y.start) & (cut < y.stop))
    rows = np.concatenate([np.arange(len(X)), inside])
    start, stop, event = np.concatenate([y.start, cut[inside]]), y.stop[rows].copy(), y.event[rows].copy()
    stop[inside], event[inside] = cut[inside], 0
    X = X.assign(customer=np.arange(len(X)))
    split = cs.Outcome(stop, event, start=start, subject=rows)
    assert_same(fitted(X, y, ties), fitted(X.iloc[rows], split, ties))


@few
@given(seed=seeds, ties=ties_rules, wild=st.sampled_from([500.0, 1e6]))
def test_a_row_at_risk_at_no_event_changes_nothing_however_wild(seed, ties, wild):
    X, y = loans(seed)
    # between two months there is no event
    extra = X.iloc[:1].assign(rate=wild, score=-wild, customer=X["customer"].max() + 1)
    longer = cs.Outcome(np.append(y.stop, 2.9), np.append(y.event, 0), start=np.append(y.start, 2.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a, b = fitted(X, y, ties), fitted(pd.concat([X, extra]), longer, ties)
    np.testing.assert_allclose(b.coef_, a.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(b.covariance_, a.covariance_, rtol=1e-5)


@few
@given(seed=seeds, ties=ties_rules)
def test_the_likelihood_of_strata_is_the_sum_of_those_of_each(seed, ties):
    rows = rows_with_everything(seed, n_strata=3)
    beta = np.random.default_rng(seed).normal(scale=0.5, size=3)
    joint = evaluate(as_problem(rows, ties == "efron"), beta)
    total, score = 0.0, np.zeros(3)
    for s in range(3):
        mine = rows["stratum"] == s
        if not rows["event"][mine].any():
            continue
        alone = {name: values[mine] for name, values in rows.items()} | {
            "stratum": np.zeros(mine.sum(), dtype=np.int64)
        }
        state = evaluate(as_problem(alone, ties == "efron"), beta)
        total, score = total + state.log_likelihood, score + gradient(state.sums, state.terms)
    assert joint.log_likelihood == pytest.approx(total, rel=1e-11)
    np.testing.assert_allclose(gradient(joint.sums, joint.terms), score, rtol=1e-9, atol=1e-9)


@few
@given(seed=seeds, efron=st.booleans(), parts=st.integers(1, 5))
def test_gradient_and_information_are_the_differences_of_the_likelihood_for_any_shards(seed, efron, parts):
    problem = as_problem(rows_with_everything(seed, n=60), efron, parts)
    beta = np.random.default_rng(seed).normal(scale=0.7, size=3)

    def likelihood(b):
        return evaluate(problem, b).log_likelihood

    def score(b):
        state = evaluate(problem, b)
        return gradient(state.sums, state.terms)

    steps = 1e-5 * np.eye(3)
    by_value = np.array([(likelihood(beta + e) - likelihood(beta - e)) / 2e-5 for e in steps])
    by_score = -np.array([(score(beta + e) - score(beta - e)) / 2e-5 for e in steps])
    np.testing.assert_allclose(score(beta), by_value, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(information_at(problem, evaluate(problem, beta)), by_score, rtol=1e-5, atol=1e-5)


@few
@given(seed=seeds)
def test_without_ties_the_rules_of_ties_agree(seed):
    X, y = loans(seed)
    rng = np.random.default_rng(seed)
    apart = cs.Outcome(y.stop + rng.permutation(len(X)) / (2 * len(X)), y.event, start=y.start)
    assert_same(fitted(X, apart, "efron"), fitted(X, apart, "breslow"))


@few
@given(seed=seeds, ties=ties_rules, size=st.integers(20, 200))
def test_batches_give_the_fit_of_the_whole(seed, ties, size):
    X, y = loans(seed)
    table = pa.Table.from_pandas(X.assign(start=y.start, stop=y.stop, left=y.event))
    streamed = cs.CoxPH(ties=ties).fit_stream(
        table, columns=["rate", "score"], stop="stop", event="left", start="start", batch_size=size, **ROLES
    )
    assert_same(fitted(X, y, ties), streamed, rtol=1e-10)


@few
@given(seed=seeds, ties=ties_rules)
def test_a_saved_and_a_second_fit_are_the_same_to_the_bit(seed, ties, tmp_path_factory):
    X, y = loans(seed)
    model, second = fitted(X, y, ties), fitted(X, y, ties)
    again = cs.load(cs.save(model, tmp_path_factory.mktemp("models") / "model"))
    for other in (second, again):
        np.testing.assert_array_equal(other.coef_, model.coef_)
        np.testing.assert_array_equal(other.covariance_, model.covariance_)
        assert other.log_likelihood_ == model.log_likelihood_
