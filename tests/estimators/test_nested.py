"""Likelihood-ratio comparison of nested Cox models, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, kstest

import churnsurv as cs
from churnsurv.exceptions import DataError, NotIdentifiedError


def loans(seed=0, n=300):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["rate", "income"])
    X = X.assign(grade=rng.choice(list("ABC"), n), pool=rng.integers(0, 3, n))
    start = rng.integers(0, 4, n).astype(float)
    y = cs.Outcome(start + np.ceil(rng.exponential(10 * np.exp(-0.5 * X["rate"]))), rng.integers(0, 2, n), start=start)
    return X, y


def pair(X, y, small="rate", large="rate + income + grade", **arguments):
    return cs.CoxPH(small).fit(X, y, **arguments), cs.CoxPH(large).fit(X, y, **arguments)


def test_the_statistic_is_twice_the_difference_of_log_likelihoods():
    small, large = pair(*loans())
    result = cs.compare_nested(small, large)
    assert result.statistic == pytest.approx(2 * (large.log_likelihood_ - small.log_likelihood_))
    assert result.df == 3
    assert result.p_value == pytest.approx(chi2.sf(result.statistic, 3))
    assert (result.n, result.n_events) == (large.n_observations_, large.n_events_)
    assert "income" in result.estimand


def test_adding_terms_in_two_steps_adds_the_statistics():
    X, y = loans(1)
    a, b, c = (cs.CoxPH(f).fit(X, y) for f in ("rate", "rate + income", "rate + income + grade"))
    whole = cs.compare_nested(a, c)
    parts = [cs.compare_nested(a, b), cs.compare_nested(b, c)]
    assert whole.statistic == pytest.approx(sum(p.statistic for p in parts))
    assert whole.df == sum(p.df for p in parts)


def test_strata_weights_and_offset_are_respected():
    X, y = loans(2)
    rng = np.random.default_rng(0)
    arguments = {"strata": "pool", "sample_weight": rng.uniform(0.5, 2, len(X)), "offset": rng.normal(size=len(X))}
    small, large = pair(X, y, **arguments)
    assert cs.compare_nested(small, large).statistic == pytest.approx(
        2 * (large.log_likelihood_ - small.log_likelihood_)
    )


def test_robust_fits_are_compared_by_wald_on_what_is_added():
    X, y = loans(3)
    small, large = pair(X, y, cluster=np.arange(len(X)) // 3)
    result = cs.compare_nested(small, large)
    assert result.statistic == pytest.approx(large.wald_test("income, grade[T.B], grade[T.C]").statistic, rel=1e-9)
    assert "Wald" in result.name
    assert "sandwich" in result.method


def test_one_robust_fit_and_one_that_is_not_are_refused():
    X, y = loans(3)
    small, large = cs.CoxPH("rate").fit(X, y), cs.CoxPH("rate + income").fit(X, y, cluster=np.arange(len(X)))
    with pytest.raises(NotIdentifiedError, match="One fit is robust"):
        cs.compare_nested(small, large)


def test_models_of_other_rows_strata_weights_or_ties_are_refused():
    X, y = loans(4)
    large = cs.CoxPH("rate + income").fit(X, y)
    swapped = y[np.r_[1, 0, 2 : len(y)]]
    others = {
        "number of rows": cs.CoxPH("rate").fit(X.iloc[:-5], y[:-5]),
        "tie rule": cs.CoxPH("rate", ties="breslow").fit(X, y),
        "strata": cs.CoxPH("rate").fit(X, y, strata="pool"),
        "null likelihoods": cs.CoxPH("rate").fit(X, y, sample_weight=np.linspace(1, 2, len(X))),
    }
    for what, small in others.items():
        with pytest.raises(DataError, match=what):
            cs.compare_nested(small, large)
    # the same risk sets with covariates of other customers are beyond what two fitted models can tell
    assert cs.CoxPH("rate").fit(X, swapped).null_log_likelihood_ == pytest.approx(large.null_log_likelihood_)


def test_rows_dropped_for_missing_covariates_are_told():
    X, y = loans(5)
    X.loc[:9, "income"] = np.nan
    small = cs.CoxPH("rate").fit(X, y)
    with pytest.warns(cs.exceptions.MissingDataWarning):
        large = cs.CoxPH("rate + income", missing="drop").fit(X, y)
    with pytest.raises(DataError, match="missing values drops rows"):
        cs.compare_nested(small, large)


def test_models_that_are_not_nested_are_refused():
    X, y = loans(6)
    fits = {f: cs.CoxPH(f).fit(X, y) for f in ("rate", "income", "rate + income", "grade", "grade + rate")}
    for small, large in (("income", "rate"), ("rate + income", "rate"), ("rate", "rate"), ("grade", "rate + income")):
        with pytest.raises(DataError, match="nested|same terms"):
            cs.compare_nested(fits[small], fits[large])
    other = X.assign(grade=pd.Categorical(X["grade"], categories=["B", "A", "C"]))
    with pytest.raises(DataError):
        cs.compare_nested(fits["grade"], cs.CoxPH("grade + rate").fit(other, y))


def test_with_the_covariates_a_line_is_nested_in_a_spline_and_a_category_in_a_finer_one():
    X, y = loans(9)
    X["coarse"] = X["grade"].replace({"B": "A"})
    for small, large, df in (("rate", "cs(rate, df=4)", 3), ("coarse + rate", "rate * grade", 3)):
        a, b = cs.CoxPH(small).fit(X, y), cs.CoxPH(large).fit(X, y)
        with pytest.raises(DataError, match="pass X too"):
            cs.compare_nested(a, b)
        result = cs.compare_nested(a, b, X)
        assert result.df == df
        assert result.statistic == pytest.approx(2 * (b.log_likelihood_ - a.log_likelihood_))
    for not_nested in (
        ("income", "cs(rate, df=4)"),
        ("cs(rate, df=4)", "rate + income + grade + pool"),
        ("rate", "rate"),
    ):
        with pytest.raises(DataError, match="not nested|nothing is added"):
            cs.compare_nested(*(cs.CoxPH(f).fit(X, y) for f in not_nested), X)


def test_by_name_or_by_columns_the_robust_test_is_the_same():
    X, y = loans(10)
    small, large = pair(X, y, small="rate + grade", large="rate * grade", cluster=np.arange(len(X)) // 2)
    a, b = cs.compare_nested(small, large), cs.compare_nested(small, large, X)
    assert a.statistic == pytest.approx(b.statistic, rel=1e-8)
    assert a.df == b.df == 2
    # the same hypothesis in another basis: slopes of rate by grade, all alike
    slopes = cs.CoxPH("grade + rate:grade").fit(X, y, cluster=np.arange(len(X)) // 2)
    assert cs.compare_nested(small, slopes, X).statistic == pytest.approx(a.statistic, rel=1e-7)


def test_another_cause_is_another_model():
    X, y = loans(7)
    rng = np.random.default_rng(0)
    two = cs.Outcome(y.stop, np.where(y.event == 1, rng.integers(1, 3, len(y)), 0), start=y.start, causes=("a", "b"))
    small, large = cs.CoxPH("rate", cause="a").fit(X, two), cs.CoxPH("rate + income", cause="b").fit(X, two)
    with pytest.raises(DataError, match="cause"):
        cs.compare_nested(small, large)


def test_the_models_of_one_cause_are_compared_not_the_collection_of_all():
    X, y = loans(8)
    small, large = cs.CauseSpecificCox("rate").fit(X, y), cs.CauseSpecificCox("rate + income").fit(X, y)
    with pytest.raises(DataError, match=r"compare its models_\[cause\]"):
        cs.compare_nested(small, large)
    assert cs.compare_nested(small.models_["event"], large.models_["event"]).df == 1


@pytest.mark.slow
def test_p_values_are_uniform_when_nothing_is_added():
    p_values = []
    for seed in range(500):
        X, y = loans(seed)
        p_values.append(cs.compare_nested(*pair(X, y)).p_value)
    assert kstest(p_values, "uniform").pvalue > 0.001
