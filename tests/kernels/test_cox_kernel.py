"""The linear-time Cox kernel against the definition of the partial likelihood, and its sums over shards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnsurv.kernels.buckets import lay_buckets
from churnsurv.kernels.cox import GramArg, Shard, SumsArg, bucket_sums, cumulated, gradient, gram, one_shard, risk_sums
from churnsurv.kernels.cox_rows import row_bounds
from churnsurv.kernels.newton import Problem, evaluate, information_at, maximise
from tests.textbook import numerical_gradient, partial_likelihood


def rows_with_everything(seed, n=120, p=3, n_strata=2, late=True):
    rng = np.random.default_rng(seed)
    start = np.where(rng.random(n) < 0.5, 0.0, rng.integers(0, 6, n)) if late else np.zeros(n)
    stop = start + rng.integers(1, 9, n)
    event = rng.random(n) < 0.5
    event[:2] = True
    return {
        "x": rng.normal(size=(n, p)),
        "start": start.astype(float),
        "stop": stop.astype(float),
        "event": event,
        "weight": rng.choice([0.0, 0.5, 1.0, 2.5], n),
        "stratum": rng.integers(0, n_strata, n).astype(np.int64),
    }


def as_problem(rows, efron, parts=1):
    n_strata = int(rows["stratum"].max()) + 1
    buckets, first, last, death = lay_buckets(rows["start"], rows["stop"], rows["event"], rows["stratum"], n_strata)
    n = len(rows["x"])
    shard = Shard(np.ascontiguousarray(rows["x"]), first, last, death, rows["weight"], np.zeros(n))
    shards = [Shard(*[array[part] for array in shard]) for part in np.array_split(np.arange(n), parts)]

    def mr(kernel, arg):
        reduced = [kernel(part, arg) for part in shards]
        return tuple(sum(values[1:], values[0]) for values in zip(*reduced, strict=True))

    if parts == 1:
        mr = one_shard(shard)
    return Problem(mr, buckets, efron, rows["x"].shape[1], *mr(row_bounds, None))


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_likelihood_gradient_and_information_follow_the_definition(ties, late, seed):
    rows = rows_with_everything(seed, late=late)
    problem = as_problem(rows, ties == "efron")
    beta = np.random.default_rng(seed + 100).normal(scale=0.5, size=3)

    def definition(b):
        return partial_likelihood(
            b, rows["x"], rows["start"], rows["stop"], rows["event"], rows["weight"], rows["stratum"], ties
        )

    state = evaluate(problem, beta)
    assert state.log_likelihood == pytest.approx(definition(beta), rel=1e-12)
    score = gradient(state.sums, state.terms)
    np.testing.assert_allclose(score, numerical_gradient(definition, beta), rtol=1e-6, atol=1e-6)

    def score_at(b):
        at = evaluate(problem, b)
        return gradient(at.sums, at.terms)

    numerical = -np.array([(score_at(beta + e) - score_at(beta - e)) / 2e-5 for e in np.eye(3) * 1e-5])
    np.testing.assert_allclose(information_at(problem, state), numerical, rtol=1e-6, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), parts=st.integers(2, 7))
def test_shards_of_rows_give_the_sums_of_the_whole(seed, parts):
    rows = rows_with_everything(seed, n=60)
    whole, sharded = as_problem(rows, True), as_problem(rows, True, parts)
    beta = np.array([0.3, -0.2, 0.1])
    a, b = evaluate(whole, beta), evaluate(sharded, beta)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=1e-12)
    np.testing.assert_allclose(information_at(whole, a), information_at(sharded, b), rtol=1e-10, atol=1e-10)


def test_a_mass_of_late_entries_does_not_cancel_the_small_risk_sets_before_it():
    # two rows die at 1 and 2; a million-fold weight enters at 2: S0(1) = r1 + r2 must keep its digits
    start, stop = np.array([0.0, 0.0, 2.0]), np.array([1.0, 2.0, 3.0])
    event = np.array([True, True, True])
    x = np.array([[0.3], [-0.4], [40.0]])
    buckets, first, last, death = lay_buckets(start, stop, event, None, 1)
    shard = Shard(x, first, last, death, np.array([1e-3, 1e-3, 1e6]), np.zeros(3))
    sums = risk_sums(bucket_sums(shard, SumsArg(np.array([1.0]), np.zeros(1), buckets)), buckets)
    assert sums.risk[0, 0] == pytest.approx(1e-3 * (np.exp(0.3) + np.exp(-0.4)), rel=1e-14)


def test_huge_linear_predictors_do_not_overflow():
    rows = rows_with_everything(5)
    rows["x"][:, 0] += 2_000.0
    problem = as_problem(rows, True)
    beta = np.array([1.0, 0.2, 0.1])
    centred = rows | {"x": rows["x"] - [2_000.0, 0, 0]}
    assert evaluate(problem, beta).log_likelihood == pytest.approx(
        evaluate(as_problem(centred, True), beta).log_likelihood, rel=1e-9
    )


def test_breslow_and_efron_agree_without_ties():
    rng = np.random.default_rng(3)
    rows = rows_with_everything(3)
    rows["stop"] = rows["start"] + rng.uniform(0.1, 5.0, len(rows["start"]))
    rows["weight"] = np.ones(len(rows["start"]))
    estimates = [maximise(as_problem(rows, efron), 50, 1e-10).state.beta for efron in (True, False)]
    np.testing.assert_allclose(*estimates, rtol=1e-9)


def test_rows_are_located_the_same_by_the_month_table_and_by_search():
    rng = np.random.default_rng(0)
    n = 3_000
    start = rng.integers(0, 20, n).astype(float)
    start[:500] = -np.inf
    stop = np.maximum(start, 0) + rng.integers(1, 30, n)
    event = rng.random(n) < 0.3
    stratum = rng.integers(0, 3, n).astype(np.int64)
    by_table = lay_buckets(start, stop, event, stratum, 3)
    # a third of a month is not whole: this goes through the search
    by_search = lay_buckets(start + 1 / 3, stop + 1 / 3, event, stratum, 3)
    for a, b in zip(by_table[1:], by_search[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_cumulated_restarts_in_each_stratum():
    running = cumulated(np.array([1.0, 2.0, 5.0]), np.array([0, 2, 3], dtype=np.int32))
    np.testing.assert_array_equal(running, [0, 1, 3, 0, 5])


def test_gram_matrix_equals_its_definition():
    rows = rows_with_everything(8)
    problem = as_problem(rows, False)
    state = evaluate(problem, np.zeros(3))
    hazard = cumulated(state.terms.e0, problem.buckets.begin)
    (total,) = problem.mr(gram, GramArg(state.beta, state.shift, problem.buckets, hazard, state.terms.e1))
    # Breslow at β = 0: v_i = w_i Σ_{deaths at t, start < t ≤ stop} w / S0(t)
    expected = np.zeros((3, 3))
    for s in np.unique(rows["stratum"]):
        for t in np.unique(rows["stop"][rows["event"] & (rows["stratum"] == s)]):
            at_risk = (rows["stratum"] == s) & (rows["start"] < t) & (t <= rows["stop"])
            dead = rows["event"] & (rows["stop"] == t) & (rows["stratum"] == s)
            w, x = rows["weight"][at_risk], rows["x"][at_risk]
            if rows["weight"][dead].sum() > 0:
                expected += rows["weight"][dead].sum() / w.sum() * (x.T * w) @ x
    np.testing.assert_allclose(total, expected, rtol=1e-10)
