"""Cox fits on numbers of extreme size: units, offsets, weights, many strata, late masses, outliers, separation."""

import warnings

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.exceptions import DataError, SeparationWarning

N = 400


@pytest.fixture(scope="module")
def X():
    return pd.DataFrame(np.random.default_rng(0).normal(size=(N, 2)), columns=["a", "b"])


@pytest.fixture(scope="module")
def y(X):
    rng = np.random.default_rng(1)
    start = rng.integers(0, 8, N).astype(float)
    stop = start + np.ceil(rng.exponential(8 * np.exp(-0.5 * X["a"])))
    return cs.Outcome(stop, (rng.random(N) < 0.6).astype(int), start=start)


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("unit", [1e-12, 1e-9, 1e9, 1e12])
def test_covariates_in_any_unit(unit, X, y):
    np.testing.assert_allclose(
        cs.CoxPH().fit(X * [unit, 1], y).coef_ * [unit, 1], cs.CoxPH().fit(X, y).coef_, rtol=1e-12
    )


def test_a_covariate_far_from_zero_keeps_the_digits_it_has(X, y):
    np.testing.assert_allclose(cs.CoxPH().fit(X + np.array([1e9, 0]), y).coef_, cs.CoxPH().fit(X, y).coef_, rtol=1e-6)


@pytest.mark.parametrize("shift", [1e3, -1e8])
def test_an_offset_that_is_the_same_for_all_changes_nothing(shift, X, y):
    np.testing.assert_allclose(
        cs.CoxPH().fit(X, y, offset=np.full(N, shift)).coef_, cs.CoxPH().fit(X, y).coef_, rtol=1e-12
    )


def test_offsets_of_strata_that_lie_a_thousand_apart_cancel(X, y):
    stratum = np.arange(N) % 3
    a = cs.CoxPH().fit(X, y, strata=stratum)
    b = cs.CoxPH().fit(X, y, strata=stratum, offset=np.array([-1e3, 0.0, 1e3])[stratum])
    np.testing.assert_allclose(b.coef_, a.coef_, rtol=1e-11)
    assert b.log_likelihood_ == pytest.approx(a.log_likelihood_, rel=1e-11)


def test_rows_with_no_hazard_to_speak_of_are_as_if_absent(X, y):
    event = np.where(np.arange(N) < 100, 0, y.event)
    offset = np.where(np.arange(N) < 100, -1e3, 0.0)
    a = cs.CoxPH().fit(X, cs.Outcome(y.stop, event, start=y.start), offset=offset)
    b = cs.CoxPH().fit(X[100:], y[100:])
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-11)


def test_an_offset_that_no_double_holds_is_refused(X, y):
    with pytest.raises(DataError, match="offset differs by so much.*scale of the logarithm"):
        cs.CoxPH().fit(X, y, offset=np.where(np.arange(N) < 5, 1e3, 0.0))


@pytest.mark.parametrize("small", [1e-12, 1e-30])
def test_weights_of_next_to_nothing_are_as_if_absent(small, X, y):
    # under Breslow's rule: Efron's counts tied deaths, whatever they weigh
    heavy = np.random.default_rng(2).random(N) < 0.5
    a = cs.CoxPH(ties="breslow").fit(X, y, sample_weight=np.where(heavy, 1.0, small))
    b = cs.CoxPH(ties="breslow").fit(X[heavy], y[heavy])
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-8)
    np.testing.assert_allclose(a.covariance_, b.covariance_, rtol=1e-8)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_times_in_any_unit(factor, X, y):
    a, b = cs.CoxPH().fit(X, y), cs.CoxPH().fit(X, cs.Outcome(y.stop * factor, y.event, start=y.start * factor))
    np.testing.assert_array_equal(b.coef_, a.coef_)
    np.testing.assert_array_equal(b.centred_hazard_["hazard"], a.centred_hazard_["hazard"])


def test_a_mass_of_late_entries_leaves_the_few_before_it_their_digits():
    rng = np.random.default_rng(3)
    n, early = 20_000, np.arange(20_000) < 30
    X = pd.DataFrame({"a": rng.normal(size=n) + np.where(early, 0, 50.0), "b": rng.normal(size=n)})
    stop = np.where(early, rng.integers(1, 50, n), 50 + rng.integers(1, 30, n))
    y = cs.Outcome(stop, np.ones(n, int), start=np.where(early, 0.0, 50.0))
    # the two periods share no risk set: they are strata
    a, b = cs.CoxPH().fit(X, y), cs.CoxPH().fit(X, y, strata=early)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=1e-10)
    assert a.log_likelihood_ == pytest.approx(b.log_likelihood_, rel=1e-13)


def test_a_stratum_per_pair_is_a_conditional_logistic_regression(X):
    # two rows of which the first leaves: l = −Σ log(1 + exp((x2 − x1)'β)), a logistic regression without constant
    pair = np.arange(N) // 2
    y = cs.Outcome(np.tile([1.0, 2.0], N // 2), np.tile([1, 0], N // 2))
    shifted = X + np.tile([0.4, 0.0], N // 2)[:, None]
    model = cs.CoxPH().fit(shifted, y, strata=pair)
    difference = shifted.to_numpy()[0::2] - shifted.to_numpy()[1::2]
    beta = np.zeros(2)
    for _ in range(30):
        p = 1 / (1 + np.exp(difference @ beta))
        beta += np.linalg.solve((difference.T * (p * (1 - p))) @ difference, difference.T @ p)
    np.testing.assert_allclose(model.coef_, beta, rtol=1e-10)


def test_one_row_per_stratum_identifies_nothing(X, y):
    with pytest.raises(DataError, match="constant within every risk set"):
        cs.CoxPH().fit(X, y, strata=np.arange(N))


def test_a_row_far_out_that_stays_is_no_separation(X, y):
    # the hazard of the outlier goes to zero, and with it nearly all information of its column at β = 0; those who leave set
    # the coefficient nevertheless
    rng = np.random.default_rng(4)
    for size in 10.0 ** rng.uniform(3, 6, 10):
        wild = X.copy()
        wild.iloc[0, 0] = -size
        event = np.where(np.arange(N) == 0, 0, y.event)
        model = cs.CoxPH(max_iter=100).fit(wild, cs.Outcome(y.stop, event, start=y.start))
        assert np.isfinite(model.coef_).all()


def separated(seed, late, weighted):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(N, 4)), columns=["a", "b", "c", "d"])
    X["never"] = (rng.random(N) < 0.2).astype(float)
    X["nor"] = ((rng.random(N) < 0.2) & (X["never"] == 0)).astype(float)
    start = rng.integers(0, 5, N).astype(float) if late else np.zeros(N)
    event = (rng.random(N) < 0.5) & (X["never"] == 0) & (X["nor"] == 0)
    y = cs.Outcome(start + np.ceil(rng.exponential(8 * np.exp(-0.5 * X["a"]))), event, start=start)
    weight = 10.0 ** rng.uniform(-3, 3, N) if weighted else None
    return X, y, weight, rng.integers(0, 4, N)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("stratified", [False, True])
def test_several_separated_columns_are_all_named_and_no_other(late, weighted, stratified):
    X, y, weight, stratum = separated(5, late, weighted)
    with pytest.warns(
        SeparationWarning, match=r"monotone in 'never', 'nor', alone or in combination \(never: 0 events of"
    ):
        model = cs.CoxPH().fit(X, y, sample_weight=weight, strata=stratum if stratified else None)
    # the other coefficients are those of a fit without the rows that never leave
    kept = (X["never"] + X["nor"] == 0).to_numpy()
    rest = cs.CoxPH().fit(
        X.loc[kept, ["a", "b", "c", "d"]],
        y[kept],
        sample_weight=None if weight is None else weight[kept],
        strata=stratum[kept] if stratified else None,
    )
    np.testing.assert_allclose(model.coef_[rest.coef_.index], rest.coef_, rtol=1e-3, atol=1e-4)


def test_a_separating_combination_is_named_by_its_columns():
    X, y, _, _ = separated(6, False, False)
    z = np.random.default_rng(7).normal(size=N)
    mixed = X[["a", "b"]].assign(u=z + X["never"], v=z)
    with pytest.warns(SeparationWarning, match="monotone in 'u', 'v', alone or in combination"):
        cs.CoxPH().fit(mixed, y)


def test_a_perfect_order_of_leaving_is_separation():
    rng = np.random.default_rng(8)
    X = pd.DataFrame(rng.normal(size=(80, 3)), columns=["a", "b", "c"])
    first_the_largest = np.argsort(np.argsort(-(X["a"] - X["b"]))) + 1
    with pytest.warns(SeparationWarning, match="'a', 'b'"):
        cs.CoxPH().fit(X, cs.Outcome(first_the_largest, np.ones(80, int)))


def test_a_hundred_thousand_strata(X):
    rng = np.random.default_rng(9)
    n = 200_000
    many = pd.DataFrame({"a": rng.normal(size=n)})
    stop = np.ceil(rng.exponential(20 * np.exp(-0.5 * many["a"])))
    y = cs.Outcome(stop, np.ones(n, int))
    model = cs.CoxPH().fit(many, y, strata=np.arange(n) // 2)
    assert model.coef_["a"] == pytest.approx(0.5, abs=0.05)
    assert len(model.strata_) == 100_000
