"""Firth's penalised likelihood: its score by differences, its profile by brute force, and what it is for: separation."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

import churnsurv as cs
from churnsurv.exceptions import ConvergenceError, DataError, NotIdentifiedError, SeparationWarning
from churnsurv.kernels.firth import log_determinant_gradient, penalised
from churnsurv.kernels.newton import evaluate, information_at
from tests.kernels.test_cox_kernel import as_problem, rows_with_everything
from tests.textbook import numerical_gradient, partial_likelihood


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_half_the_log_determinant_is_its_numerical_derivative(ties, late, parts, seed):
    problem = as_problem(rows_with_everything(seed, late=late), ties == "efron", parts)
    beta = np.random.default_rng(seed).normal(scale=0.6, size=3)

    def half_log_determinant(b):
        return 0.5 * np.linalg.slogdet(information_at(problem, evaluate(problem, b)))[1]

    at = penalised(problem, beta, 1.0)
    expected = numerical_gradient(half_log_determinant, beta)
    np.testing.assert_allclose(log_determinant_gradient(problem, at.state, at.inverse), expected, rtol=1e-6, atol=1e-8)
    assert at.value == pytest.approx(at.state.log_likelihood + half_log_determinant(beta), rel=1e-12)


def loans(seed=0, n=70, p=2, late=True):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, p)), columns=[f"x{j}" for j in range(p)])
    X["never"] = (rng.random(n) < 0.2).astype(float)
    start = rng.integers(0, 4, n).astype(float) if late else np.zeros(n)
    stop = start + rng.integers(1, 9, n)
    event = (rng.random(n) < 0.5) & (X["never"] == 0)
    return X, cs.Outcome(stop, event, start=start)


def textbook(X, y, ties, weight=None, stratum=None):
    """The penalised log likelihood by its definition, the information by second differences of the likelihood's score."""
    x = X.to_numpy()
    weight = np.ones(len(x)) if weight is None else weight
    stratum = np.zeros(len(x)) if stratum is None else stratum
    efron = ties == "efron"

    def information(beta):
        r = weight * np.exp(x @ beta)
        total = np.zeros((x.shape[1],) * 2)
        for s in np.unique(stratum):
            for t in np.unique(y.stop[(y.event == 1) & (stratum == s)]):
                at_risk = (stratum == s) & (y.start < t) & (t <= y.stop)
                dead = (stratum == s) & (y.stop == t) & (y.event == 1)
                d = dead.sum()
                for k in range(d):
                    share = np.where(dead, 1 - (k / d if efron else 0.0), 1.0) * at_risk * r
                    mean = share @ x / share.sum()
                    total += weight[dead].mean() * ((x - mean).T * (share / share.sum())) @ (x - mean)
        return total

    def value(beta):
        likelihood = partial_likelihood(beta, x, y.start, y.stop, y.event, weight, stratum, ties)
        return likelihood + 0.5 * np.linalg.slogdet(information(beta))[1]

    return value


def highest(value, p, fixed=None, at=0.0):
    free = [j for j in range(p) if j != fixed]

    def negative(b):
        beta = np.full(p, at)
        beta[free] = b
        return -value(beta)

    found = minimize(negative, np.zeros(len(free)), method="BFGS", options={"gtol": 1e-8})
    return found.x, -found.fun


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_estimate_likelihoods_tests_and_intervals_are_those_of_the_definition(ties):
    X, y = loans(1, p=1)
    rng = np.random.default_rng(0)
    weight, stratum = rng.choice([0.5, 1.0, 2.0], len(X)), rng.integers(0, 2, len(X))
    model = cs.CoxPH(penalty="firth", ties=ties).fit(X, y, sample_weight=weight, strata=stratum)
    value = textbook(X, y, ties, weight, stratum)
    beta, top = highest(value, 2)
    np.testing.assert_allclose(model.coef_, beta, atol=1e-5)
    assert model.log_likelihood_ == pytest.approx(top, rel=1e-9)
    assert model.null_log_likelihood_ == pytest.approx(value(np.zeros(2)), rel=1e-9)
    assert model.tests().loc["likelihood_ratio", "statistic"] == pytest.approx(2 * (top - value(np.zeros(2))), rel=1e-6)
    table = model.summary(0.9)
    for j, term in enumerate(X.columns):
        without = 2 * (top - highest(value, 2, j, 0.0)[1])
        assert table.loc[term, "statistic"] ** 2 == pytest.approx(without, rel=1e-5, abs=1e-8)
        assert table.loc[term, "p_value"] == pytest.approx(chi2.sf(without, 1), rel=1e-5)

        def fall(theta, j=j):
            return 2 * (top - highest(value, 2, j, theta)[1]) - chi2.ppf(0.9, 1)

        lower, upper = brentq(fall, beta[j] - 15, beta[j]), brentq(fall, beta[j], beta[j] + 15)
        np.testing.assert_allclose(
            np.log(table.loc[term, ["hr_lower", "hr_upper"]].astype(float)), [lower, upper], atol=1e-5
        )


def test_one_covariate_without_ties_by_hand():
    # x = 1, 0, 0: deaths at 1 (x=1) and 2 (x=0), the third row censored at 3. With q = e^b / (e^b + 2):
    # l = log q + log(1/2), I = q (1 − q) (the second risk set has no variance), so that l* = 1.5 log q + .5 log(1 − q) + c,
    # highest where 1.5 (1 − q) = .5 q: q = 3/4, e^b = 6
    X = pd.DataFrame({"x": [1.0, 0.0, 0.0]})
    model = cs.CoxPH(penalty="firth").fit(X, cs.Outcome([1, 2, 3], [1, 1, 0]))
    assert model.coef_["x"] == pytest.approx(np.log(6), rel=1e-9)
    assert model.covariance_.iloc[0, 0] == pytest.approx(1 / (0.75 * 0.25), rel=1e-8)


def test_separation_has_a_finite_estimate_and_a_profile_interval_that_wald_misses():
    X, y = loans(2)
    with pytest.warns(SeparationWarning, match="'never'.*penalty='firth'"):
        cs.CoxPH().fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = cs.CoxPH(penalty="firth").fit(X, y)
    row = model.summary().loc["never"]
    assert -5 < row["coef"] < -1
    assert 0 < row["hr_lower"] < row["hazard_ratio"] < row["hr_upper"] < 1
    assert np.exp(row["coef"] + 1.96 * row["se"]) > 1
    assert list(model.tests().index) == ["likelihood_ratio"]


def test_a_separating_combination_is_named_and_solved():
    X, y = loans(3, p=1)
    z = np.random.default_rng(33).normal(size=len(X))
    # neither column separates, their difference does
    both = pd.DataFrame({"x": X["x0"], "u": z + X["never"], "v": z})
    with pytest.warns(SeparationWarning, match="monotone in 'u', 'v', alone or in combination"):
        cs.CoxPH().fit(both, y)
    model = cs.CoxPH(penalty="firth").fit(both, y)
    apart = cs.CoxPH(penalty="firth").fit(X.assign(v=z), y)
    # the same model in other coordinates
    assert model.log_likelihood_ == pytest.approx(apart.log_likelihood_, rel=1e-9)
    assert model.coef_["u"] == pytest.approx(apart.coef_["never"], rel=1e-6)
    np.testing.assert_allclose(
        model.summary().loc["u", ["hr_lower", "hr_upper"]].astype(float),
        apart.summary().loc["never", ["hr_lower", "hr_upper"]].astype(float),
        rtol=1e-5,
    )


def test_case_weights_are_replicated_rows_and_units_do_not_matter():
    X, y = loans(4)
    weight = np.random.default_rng(0).integers(1, 4, len(X))
    copies = np.repeat(np.arange(len(X)), weight)
    a = cs.CoxPH(penalty="firth", ties="breslow").fit(X, y, sample_weight=weight)
    b = cs.CoxPH(penalty="firth", ties="breslow").fit(X.iloc[copies], y[copies])
    np.testing.assert_allclose(a.summary(), b.summary(), rtol=1e-7)
    assert a.log_likelihood_ == pytest.approx(b.log_likelihood_, rel=1e-10)
    wide = cs.CoxPH(penalty="firth").fit(X.assign(x0=1e6 + 1e4 * X["x0"]), y)
    plain = cs.CoxPH(penalty="firth").fit(X, y)
    np.testing.assert_allclose(wide.summary()["statistic"], plain.summary()["statistic"], rtol=1e-6)
    np.testing.assert_allclose(
        np.log(wide.summary()["hr_upper"]).loc["x0"] * 1e4, np.log(plain.summary()["hr_upper"]).loc["x0"], rtol=1e-6
    )


def test_with_many_events_the_penalty_fades():
    rng = np.random.default_rng(5)
    X = pd.DataFrame(rng.normal(size=(4_000, 2)), columns=["a", "b"])
    y = cs.Outcome(np.ceil(rng.exponential(20 * np.exp(-0.5 * X["a"]))), np.ones(4_000, int))
    firth, plain = cs.CoxPH(penalty="firth").fit(X, y), cs.CoxPH().fit(X, y)
    np.testing.assert_allclose(firth.coef_, plain.coef_, atol=2e-3)
    np.testing.assert_allclose(firth.summary()["hr_upper"], plain.summary()["hr_upper"], rtol=2e-3)


def test_what_has_no_penalised_likelihood_is_refused():
    X, y = loans(6)
    with pytest.raises(NotIdentifiedError, match="Firth.*clusters"):
        cs.CoxPH(penalty="firth").fit(X, y, cluster=np.arange(len(X)) // 2)
    with pytest.raises(NotIdentifiedError, match="sampling weights"):
        cs.CoxPH(penalty="firth", weight_type="sampling").fit(X, y)
    for penalty in (0.5, "ridge", -1, True, None):
        with pytest.raises(DataError, match=r"use 0\.0 .*or 'firth'"):
            cs.CoxPH(penalty=penalty).fit(X, y)
    with pytest.raises(DataError, match=r"levels 0\.9, 0\.95, 0\.99"):
        cs.CoxPH(penalty="firth").fit(X, y).summary(0.8)
    with pytest.raises(ConvergenceError, match="1 iteration"):
        cs.CoxPH(penalty="firth", max_iter=1).fit(X, y)
    with pytest.raises(DataError, match="fit in memory"):
        cs.CoxPH(penalty="firth").fit_stream("loans.parquet", stop="stop", event="event")


def test_a_firth_fit_predicts_and_survives_saving_and_a_refit_without_it_forgets_it(tmp_path):
    X, y = loans(7)
    model = cs.CoxPH(penalty="firth").fit(X, y)
    again = cs.load(cs.save(model, tmp_path / "model"))
    pd.testing.assert_frame_equal(again.summary(), model.summary())
    curves = model.predict_curves(X.iloc[:3], times=[4.0])
    assert ((curves.survival > 0) & (curves.survival < 1)).all()
    plain = model.set_params(penalty=0.0).fit(X[["x0"]], y)
    assert "wald" in plain.tests().index


@pytest.mark.slow
def test_the_bias_of_the_maximum_likelihood_with_few_events_is_reduced():
    estimates = {"firth": [], 0.0: []}
    rng = np.random.default_rng(0)
    for _ in range(400):
        X = pd.DataFrame({"x": rng.normal(size=20)})
        y = cs.Outcome(rng.exponential(np.exp(-X["x"])), np.ones(20, int))
        for penalty, found in estimates.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SeparationWarning)
                found.append(cs.CoxPH(penalty=penalty).fit(X, y).coef_["x"])
    bias = {penalty: abs(np.mean(found) - 1) for penalty, found in estimates.items()}
    assert bias["firth"] < 0.7 * bias[0.0]
