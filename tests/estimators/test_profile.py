"""Profile-likelihood intervals against their definition: refits with the coefficient held at the end of the interval."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError, SeparationWarning


def loans(seed=0, n=120, late=True):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"rate": rng.normal(size=n), "income": rng.normal(3, 2, n), "new": rng.integers(0, 2, n) * 1.0})
    start = rng.integers(0, 4, n).astype(float) if late else None
    stop = (0 if start is None else start) + np.ceil(rng.exponential(8 * np.exp(-0.7 * X["rate"])))
    return X, cs.Outcome(stop, rng.integers(0, 2, n), start=start)


def held(X, y, term, theta, ties="efron", **arguments):
    """Log likelihood maximised over the other coefficients, `term` held at theta."""
    offset = theta * X[term].to_numpy() + arguments.pop("offset", 0.0)
    return cs.CoxPH(ties=ties).fit(X.drop(columns=term), y, offset=offset, **arguments).log_likelihood_


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("late", [False, True])
def test_twice_the_fall_of_the_likelihood_at_the_ends_is_the_quantile_of_chi_square(ties, late):
    X, y = loans(late=late)
    model = cs.CoxPH(ties=ties).fit(X, y)
    intervals = cs.profile_intervals(model, X, y, level=0.9)
    for term, row in intervals.iterrows():
        for end in ("lower", "upper"):
            fall = 2 * (model.log_likelihood_ - held(X, y, term, row[end], ties))
            assert fall == pytest.approx(chi2.ppf(0.9, 1), rel=1e-6)
        assert row["lower"] < row["coef"] < row["upper"]
        np.testing.assert_allclose(row["hr_upper"], np.exp(row["upper"]))


def test_the_p_value_is_that_of_the_fit_without_the_term():
    X, y = loans(1)
    model = cs.CoxPH().fit(X, y)
    intervals = cs.profile_intervals(model, X, y)
    for term in X:
        comparison = cs.compare_nested(cs.CoxPH().fit(X.drop(columns=term), y), model)
        assert intervals.loc[term, "statistic"] == pytest.approx(comparison.statistic, rel=1e-7)
        assert intervals.loc[term, "p_value"] == pytest.approx(comparison.p_value, rel=1e-6)


def test_strata_weights_and_offsets_of_the_fit_are_used():
    X, y = loans(2)
    rng = np.random.default_rng(0)
    pool, weight, offset = rng.integers(0, 3, len(X)), rng.uniform(0.2, 3, len(X)), rng.normal(size=len(X))
    data = X.assign(pool=pool)
    model = cs.CoxPH().fit(data, y, strata="pool", sample_weight=weight, offset=offset)
    row = cs.profile_intervals(model, data, y, terms="rate", sample_weight=weight, offset=offset).loc["rate"]
    at_end = held(X, y, "rate", row["upper"], strata=pool, sample_weight=weight, offset=offset)
    assert 2 * (model.log_likelihood_ - at_end) == pytest.approx(chi2.ppf(0.95, 1), rel=1e-6)


def test_one_covariate_has_no_others_to_maximise_over():
    X, y = loans(3)
    model = cs.CoxPH().fit(X[["rate"]], y)
    row = cs.profile_intervals(model, X[["rate"]], y).loc["rate"]
    assert row["statistic"] == pytest.approx(model.tests().loc["likelihood_ratio", "statistic"], rel=1e-8)


def test_with_many_events_the_interval_is_near_walds():
    X, y = loans(4, n=20_000)
    model = cs.CoxPH().fit(X, y)
    intervals, summary = cs.profile_intervals(model, X, y), model.summary()
    width = summary["hr_upper"] - summary["hr_lower"]
    assert (np.abs(intervals["hr_lower"] - summary["hr_lower"]) < 0.02 * width).all()
    assert (np.abs(intervals["hr_upper"] - summary["hr_upper"]) < 0.02 * width).all()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_under_separation_one_end_is_infinite_and_the_other_is_where_the_supremum_falls_by_the_quantile(sign):
    X, y = loans(5)
    # nobody of these leaves
    X["new"] = sign * np.where(y.event == 1, 0.0, X["new"])
    with pytest.warns(SeparationWarning):
        model = cs.CoxPH().fit(X, y)
    row = cs.profile_intervals(model, X, y, terms=["new"]).loc["new"]
    finite, infinite = ("upper", "lower") if sign > 0 else ("lower", "upper")
    assert row[infinite] == -sign * np.inf
    assert row["hr_lower" if sign > 0 else "hr_upper"] == (0.0 if sign > 0 else np.inf)
    # at the supremum those customers are out of the risk sets
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeparationWarning)
        supremum = held(X, y, "new", -sign * 60.0)
        fall = 2 * (supremum - held(X, y, "new", row[finite]))
    assert fall == pytest.approx(chi2.ppf(0.95, 1), rel=1e-5)
    assert row["p_value"] < 0.05


def small_sample(seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(12, 40)
    X = pd.DataFrame({"a": rng.integers(0, 2, n) * 1.0, "b": rng.integers(0, 2, n) * 1.0, "c": rng.standard_t(1.5, n)})
    return X, cs.Outcome(np.ceil(rng.exponential(5, n)), rng.integers(0, 2, n))


@pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SeparationWarning")
@pytest.mark.parametrize("seed", [3, 9, 14, 20, 34, 41])
def test_in_small_samples_with_several_separated_columns_ends_and_statistics_are_those_of_refits(seed):
    X, y = small_sample(seed)
    model = cs.CoxPH().fit(X, y)
    intervals = cs.profile_intervals(model, X, y)
    for term, row in intervals.iterrows():
        without = cs.CoxPH().fit(X.drop(columns=term), y)
        assert row["statistic"] == pytest.approx(2 * (model.log_likelihood_ - without.log_likelihood_), abs=1e-5)
        for sign, end in ((-1, "lower"), (1, "upper")):
            theta = row[end] if np.isfinite(row[end]) else sign * 60 / np.ptp(X[term])
            try:
                fall = 2 * (model.log_likelihood_ - held(X, y, term, theta))
            except DataError:  # so far out nothing is left for another column to explain: a fit of its own is refused
                continue
            quantile = chi2.ppf(0.95, 1)
            assert fall == pytest.approx(quantile, abs=1e-5) if np.isfinite(row[end]) else fall < quantile


def test_two_columns_that_grow_together_have_infinite_upper_ends():
    # the likelihood rises along a = b − 0.29: held far out, one column must follow the other
    X, y = small_sample(34)
    with pytest.warns(SeparationWarning):
        model = cs.CoxPH().fit(X, y)
    intervals = cs.profile_intervals(model, X, y)
    assert (intervals.loc[["a", "b"], "upper"] == np.inf).all()
    assert np.isfinite(intervals.loc[["a", "b", "c"], "lower"]).all()


def test_a_covariate_in_any_unit_has_the_interval_in_that_unit():
    X, y = loans(6)
    a = cs.profile_intervals(cs.CoxPH().fit(X, y), X, y).loc["rate"]
    moved = X.assign(rate=X["rate"] * 1e6 + 5e6)
    b = cs.profile_intervals(cs.CoxPH().fit(moved, y), moved, y).loc["rate"]
    np.testing.assert_allclose(b[["lower", "upper"]] * 1e6, a[["lower", "upper"]], rtol=1e-6)


def test_the_order_of_rows_changes_nothing():
    X, y = loans(7)
    order = np.random.default_rng(0).permutation(len(X))
    model = cs.CoxPH().fit(X, y)
    a = cs.profile_intervals(model, X, y)
    b = cs.profile_intervals(model, X.iloc[order], y[order])
    np.testing.assert_allclose(a, b, rtol=1e-7)


def test_other_rows_robust_fits_and_unknown_terms_are_refused():
    X, y = loans(8)
    model = cs.CoxPH().fit(X, y)
    with pytest.raises(DataError, match="not those of the fit"):
        cs.profile_intervals(model, X.iloc[5:], y[5:])
    with pytest.raises(DataError, match="Did you mean 'rate'"):
        cs.profile_intervals(model, X, y, terms="rat")
    with pytest.raises(DataError, match="confidence level"):
        cs.profile_intervals(model, X, y, level=95)
    data = X.assign(customer=np.arange(len(X)) // 2)
    for cluster in ("customer", data["customer"].to_numpy()):
        robust = cs.CoxPH("rate + income + new").fit(data, y, cluster=cluster)
        with pytest.raises(NotIdentifiedError, match="independent rows"):
            cs.profile_intervals(robust, data, y)
