"""Doubly robust effects: against the formula with leave-one-out curves, and right when one of the models is wrong."""

import warnings

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.effects import doubly_robust_effect, propensity, standardised_effect, weighted_effect
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning, TooFewEventsError
from tests.effects.simulate_confounding import HORIZON, draw, truth
from tests.effects.simulate_doubly_robust import simulate
from tests.oracle_cases import input_of

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.PositivityWarning")
EFFECTS = ("risk_difference", "risk_ratio", "rmst_difference", "rmtl_difference")


def sample(n=120, seed=0):
    X, y = draw(seed, n)
    return X, cs.Outcome(np.ceil(y.stop), y.event, causes=y.causes)


def curve_value(y, effect, cause):
    """Risk by 9 months, or an area up to then, of one arm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        curves = (cs.AalenJohansen().fit(y)).curves_
    risks = [
        1 - curves.at([m]).survival[0, 0] if cause is None else curves.at([m]).cumulative_incidence(cause)[0, 0]
        for m in range(1, 10)
    ]
    return {"rmst": 9 - sum(risks[:-1]), "rmtl": sum(risks[:-1])}.get(effect.split("_")[0], risks[-1])


def predicted(curves, effect, cause):
    if effect.startswith("risk"):
        return 1 - curves.at([9]).survival[:, 0] if cause is None else curves.risk(cause, 9)
    if effect.startswith("rmst"):
        return curves.rmst(9)
    return 9 - curves.rmst(9) if cause is None else sum(curves.risk(cause, m) for m in range(1, 9))


@pytest.mark.parametrize(
    ("effect", "cause"),
    [(e, c) for e in EFFECTS for c in (None, "attrition") if not (e.startswith("rmst") and c)],
)
def test_it_is_the_augmented_estimator_on_leave_one_out_pseudo_values(effect, cause):
    X, y = sample(60)
    fitted, ps = cs.CauseSpecificCox().fit(X, y), propensity(X[["z", "f"]], X["deferral"])
    summands = []
    for k in (0, 1):
        inside = np.flatnonzero(X["deferral"] == k)
        part = y[inside]
        n, whole = len(part), curve_value(part, effect, cause)
        pseudo = [n * whole - (n - 1) * curve_value(part[np.arange(n) != i], effect, cause) for i in range(n)]
        m = predicted(fitted.predict_curves(X.assign(deferral=k)), effect, cause)
        value = m.copy()
        value[inside] += (pseudo - m[inside]) / ps.probability[inside, k]
        summands.append(value)
    none, deferral = (s.mean() for s in summands)
    found = doubly_robust_effect(cs.CauseSpecificCox(), X, y, "deferral", effect=effect, horizon=9, cause=cause)
    if effect == "risk_ratio":
        part = (summands[1] / deferral - summands[0] / none) * deferral / none
        assert found.value == pytest.approx(deferral / none)
    else:
        part = summands[1] - summands[0]
        assert found.value == pytest.approx(deferral - none)
    assert found.se == pytest.approx(part.std(ddof=1) / np.sqrt(60))


def test_without_censoring_pseudo_values_are_what_happened():
    X, y = sample()
    y = cs.Outcome(y.stop, np.ones(120))
    model, e = cs.CoxPH().fit(X, y), propensity(X[["z", "f"]], X["deferral"]).score
    left, arm = y.stop <= 9, X["deferral"] == 1
    m = [1 - model.predict_curves(X.assign(deferral=a), [9]).survival[:, 0] for a in (0, 1)]
    value = np.mean(m[1] + arm * (left - m[1]) / e - m[0] - ~arm * (left - m[0]) / (1 - e))
    assert doubly_robust_effect(cs.CoxPH(), X, y, "deferral", horizon=9).value == pytest.approx(value)


def test_loans_of_a_customer_are_summed():
    X, y = sample()
    twice = pd.concat([X, X], ignore_index=True)
    again = cs.Outcome(np.r_[y.stop, y.stop], np.r_[y.event, y.event], causes=y.causes)
    one = doubly_robust_effect(cs.CauseSpecificCox(), twice, again, "deferral", horizon=9)
    both = doubly_robust_effect(
        cs.CauseSpecificCox(), twice, again, "deferral", horizon=9, cluster=np.tile(np.arange(120), 2)
    )
    assert both.value == pytest.approx(one.value)
    # clusters of two equal rows: √2 times the error, but for n/(n − 1)
    assert both.se == pytest.approx(one.se * np.sqrt(2 * 239 / 240 * 120 / 119), rel=1e-9)


def test_models_are_cross_fitted_in_the_folds_of_the_propensity():
    X, y = sample()
    found = doubly_robust_effect(cs.CoxPH(), X, y, "deferral", horizon=9, folds=4, random_state=3)
    assert "cross-fitted in 4 folds" in found.method
    ps = propensity(X[["z", "f"]], X["deferral"], folds=4, random_state=3)
    assert found.value != doubly_robust_effect(cs.CoxPH(), X, y, "deferral", horizon=9).value
    assert found.value == pytest.approx(
        doubly_robust_effect(cs.CoxPH(), X, y, "deferral", horizon=9, folds=4, random_state=3).value
    )
    assert ps.probability.shape == (120, 2)


def test_it_agrees_with_the_singly_robust_estimates_of_a_large_study():
    data = input_of("iptw_rotterdam")
    X, y = data.drop(columns=["id", "time", "event"]), cs.Outcome(data["time"], data["event"])
    both = doubly_robust_effect(cs.CoxPH(), X, y, "hormon", horizon=5)
    weights = weighted_effect(y, X["hormon"], X.drop(columns="hormon"), horizon=5, variance="robust")
    model = standardised_effect(cs.CoxPH(), X, y, "hormon", horizon=5)
    assert abs(both.value - model.value) < 2 * both.se
    assert abs(both.value - weights.value) < 2 * both.se
    # the residuals of a model vary less than what is weighted
    assert model.se < both.se < weights.se


def test_one_wrong_model_does_no_harm():
    # 20 portfolios, three Monte-Carlo errors
    table = simulate(20)
    assert (abs(table["mean"] - table["truth"]) < 3 * table["mean_error"]).all(), table
    # the wrong propensity by itself misleads by more than that
    alone = []
    for seed in range(20):
        X, y = draw(seed)
        options = {"formula": "f", "horizon": HORIZON, "cause": "attrition", "variance": "robust"}
        alone.append(weighted_effect(y, X["deferral"], X[["z", "f"]], **options).value)
    assert abs(np.mean(alone) - truth()["risk_difference"]) > 3 * np.std(alone, ddof=1) / np.sqrt(20)


@pytest.mark.slow
def test_the_interval_covers():
    # 300 portfolios: three Monte-Carlo errors are 3.8 points; with a wrong model the variance is not that of theory
    table = simulate(300, n_jobs=2)
    miss = abs(table["coverage"] - 0.95)
    assert miss["both models right"] <= 3 * table["coverage_error"].iloc[0], table
    assert (miss <= 0.06).all(), table


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"arm": "offer"}, DataError, "no column of X"),
        ({"horizon": 99}, DataError, "past the last time"),
        ({"horizon": 0.5}, TooFewEventsError, "has no event"),
        ({"effect": "hazard_ratio"}, DataError, "hazard_ratio"),
        ({"effect": "rmst_difference", "cause": "default"}, DataError, "rmtl_difference"),
        ({"treated": 5}, DataError, "treated=5 is no arm"),
        ({"folds": 0}, DataError, "folds=0"),
    ],
)
def test_bad_input_is_refused(options, error, message):
    X, y = sample()
    options = {"arm": "deferral", "horizon": 9, **options}
    with pytest.raises(error, match=message):
        doubly_robust_effect(cs.CauseSpecificCox(), X, y, options.pop("arm"), **options)


def test_late_entry_and_separated_arms_are_refused():
    X, y = sample()
    late = cs.Outcome(y.stop + 1, y.event, start=np.arange(120) % 2, causes=y.causes)
    with pytest.raises(NotIdentifiedError, match="doubly robust effect"):
        doubly_robust_effect(cs.CauseSpecificCox(), X, late, "deferral", horizon=9)
    with pytest.raises(NotIdentifiedError, match="'rule' separates"):
        doubly_robust_effect(cs.CauseSpecificCox(), X.assign(rule=X["deferral"] * 2), y, "deferral", horizon=9)
