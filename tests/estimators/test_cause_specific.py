"""Cause-specific Cox models: formulas by cause, and bounds of the state probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.estimators.cox_state import seen
from tests.estimators.fine_gray_twins import CAUSES, data, influence


def half_width(lower: np.ndarray, upper: np.ndarray, estimate: np.ndarray, z: float) -> np.ndarray:
    """Give the standard error back from bounds on the log(−log) scale."""
    scale = np.abs(estimate * np.log(estimate))
    return (np.log(-np.log(lower)) - np.log(-np.log(upper))) / (2 * z) * scale


def test_formula_by_cause_gives_each_cause_its_covariates() -> None:
    x, y = data(1, 150)
    model = cs.CauseSpecificCox({"attrition": "a", "default": "a + b"}).fit(x, y)
    assert [list(m.coef_.index) for m in model.models_.values()] == [["a"], ["a", "b"]]
    np.testing.assert_allclose(model.models_["attrition"].coef_, cs.CoxPH("a").fit(x, y.only("attrition")).coef_)
    np.testing.assert_allclose(model.predict_curves(x, level=0.95).probability.sum(axis=1), 1.0)
    with pytest.raises(cs.exceptions.DataError, match="death"):
        cs.CauseSpecificCox({"death": "a"}).fit(x, y)


@pytest.mark.parametrize("entry", [True, False])
def test_bounds_after_clusters_are_those_of_the_infinitesimal_jackknife(entry: bool) -> None:
    x, y = data(2, 110, entry=entry)
    weight = np.random.default_rng(1).uniform(0.5, 1.5, len(y))
    strata, customer = np.arange(len(y)) % 2, np.arange(len(y)) // 2
    new, at, start = x.iloc[:2], [6.0, 9.0], [1.0, 2.0]
    formula = {"attrition": "a", "default": "a + b"}

    def predicted(w: np.ndarray, **options: float) -> cs.Curves:
        model = cs.CauseSpecificCox(formula).fit(x, y, sample_weight=w, strata=strata, cluster=customer)
        return model.predict_curves(new, at, strata=[0, 1], start=start, **options)

    curves = predicted(weight, level=0.95)
    twin = influence(x, y, lambda w: predicted(w).probability, weight)
    summed = np.array([twin[customer == c].sum(axis=0) for c in range(customer.max() + 1)])
    se = half_width(curves.lower, curves.upper, curves.probability, 1.959963984540054)
    np.testing.assert_allclose(se, np.sqrt((summed**2).sum(axis=0)), rtol=1e-5)


def test_bounds_without_clusters_are_the_delta_method_on_uncorrelated_hazards() -> None:
    x, y = data(3, 80)
    model = cs.CauseSpecificCox().fit(x, y)
    new, horizon = x.iloc[:1], 8.0
    curves = model.predict_curves(new, [horizon], level=0.9)
    models = list(model.models_.values())
    away = [new.to_numpy()[0] - m.center_.to_numpy() for m in models]
    steps = np.unique(np.concatenate([m.event_times_ for m in models]))
    steps = steps[steps <= horizon]

    def risk(increments: np.ndarray) -> np.ndarray:
        left = np.concatenate(([1.0], np.cumprod(1 - increments.sum(axis=0))))
        return np.array([left[-1], *(left[:-1] * increments).sum(axis=1)])

    # baseline increments at the centre, their model variances d / S0² (Efron: over the tied denominators), by the definition
    base, spread, slope = [], [], []
    for m, cause in zip(models, (1, 2), strict=True):
        z = x.to_numpy() - m.center_.to_numpy()
        r = np.exp(z @ m.coef_.to_numpy())
        rows = []
        for t in steps:
            at_risk, died = y.stop >= t, (y.stop == t) & (y.event == cause)
            d = int(died.sum())
            den = [r[at_risk].sum() - j / d * r[died].sum() for j in range(d)]
            mean = [(r[at_risk] @ z[at_risk] - j / d * (r[died] @ z[died])) / den[j] for j in range(d)]
            gain = sum((v / q for v, q in zip(mean, den, strict=True)), np.zeros(2))
            rows.append((sum(1 / q for q in den), sum(1 / q**2 for q in den), -gain))
        base.append([row[0] for row in rows])
        spread.append([row[1] for row in rows])
        slope.append([row[2] for row in rows])
    base, spread = np.array(base), np.array(spread)
    ratio = np.exp([a @ m.coef_.to_numpy() for a, m in zip(away, models, strict=True)])
    increments = base * ratio[:, None]
    np.testing.assert_allclose(risk(increments), curves.probability[0, :, 0], rtol=1e-10)
    variance = np.zeros(3)
    for c, m in enumerate(models):
        through = np.zeros((2, 3))
        for u in range(len(steps)):
            moved = increments.copy()
            moved[c, u] += 1e-6
            back = increments.copy()
            back[c, u] -= 1e-6
            g = (risk(moved) - risk(back)) / 2e-6
            variance += g**2 * ratio[c] ** 2 * spread[c, u]
            through += np.outer(ratio[c] * (base[c, u] * away[c] + slope[c][u]), g)
        variance += np.einsum("ps,pq,qs->s", through, m.covariance_.to_numpy(), through)
    se = half_width(curves.lower, curves.upper, curves.probability, 1.6448536269514722)[0, :, 0]
    np.testing.assert_allclose(se, np.sqrt(variance), rtol=1e-6)
    assert curves.level == 0.9


def test_bounds_contain_the_curves_survive_selection_and_saving(tmp_path) -> None:
    x, y = data(4, 120, entry=True)
    strata = np.arange(len(y)) % 2
    model = cs.CauseSpecificCox().fit(x, y, strata=strata)
    curves = model.predict_curves(x, strata=strata, level=0.95)
    known = ~(np.isnan(curves.probability) | np.isnan(curves.lower))
    assert known.mean() > 0.5
    assert np.all((curves.lower <= curves.probability + 1e-12)[known])
    assert np.all((curves.upper >= curves.probability - 1e-12)[known])
    # conditional on a later age nothing is uncertain until then
    later = model.predict_curves(x.iloc[:1], [5.0, 8.0], strata=strata[:1], start=5.0, level=0.95)
    np.testing.assert_allclose(later.lower[0, :, 0], [1, 0, 0])
    np.testing.assert_allclose(later.upper[0, :, 0], [1, 0, 0])
    part = curves[[3, 5]].at([6.0])
    direct = model.predict_curves(x.iloc[[3, 5]], [6.0], strata=strata[[3, 5]], level=0.95)
    np.testing.assert_allclose(part.upper, direct.upper, rtol=1e-12)
    assert {"lower", "upper"} <= set(curves.to_frame().columns)
    again = cs.load(cs.save(model, tmp_path / "m.churnsurv"))
    np.testing.assert_allclose(again.predict_curves(x, strata=strata, level=0.95).lower, curves.lower, rtol=1e-13)


def test_without_covariate_effects_bounds_are_those_of_aalen_johansen() -> None:
    # a covariate unrelated to anything: at its mean the prediction and its error approach the covariate-free estimator's
    rng = np.random.default_rng(0)
    x, y = data(5, 4000)
    x = pd.DataFrame({"noise": rng.normal(size=len(y))})
    model = cs.CauseSpecificCox(ties="breslow").fit(x, y)
    curves = model.predict_curves(x.mean().to_frame().T, [6.0], level=0.95)
    table = cs.AalenJohansen().fit(y, variance="aalen", conf_type="log-log").table_
    for state, name in enumerate(("customer", *CAUSES)):
        row = table[(table["state"] == name) & (table["time"] == 6.0)].iloc[0]
        assert curves.probability[0, state, 0] == pytest.approx(row["estimate"], abs=0.002)
        width = curves.upper[0, state, 0] - curves.lower[0, state, 0]
        assert width == pytest.approx(row["upper"] - row["lower"], rel=0.1)


def test_rows_with_missing_values_are_reported_once_per_cause_and_bounds_are_of_the_rest() -> None:
    x, y = data(6, 120)
    holes = x.copy()
    holes.loc[::9, "a"] = np.nan
    kept = holes["a"].notna().to_numpy()
    customer = np.arange(len(y)) // 2
    with pytest.warns(cs.exceptions.MissingDataWarning) as caught:
        model = cs.CauseSpecificCox(missing="drop").fit(holes, y, cluster=customer)
    assert len(caught) == 2
    twin = cs.CauseSpecificCox().fit(x[kept], y[kept], cluster=customer[kept])
    ours, theirs = (m.predict_curves(x.iloc[:2], [6.0], level=0.95) for m in (model, twin))
    np.testing.assert_allclose(ours.upper, theirs.upper, rtol=1e-10)


def test_far_covariates_give_bounds_within_0_and_1_or_none() -> None:
    x, y = data(7, 120)
    model = cs.CauseSpecificCox().fit(x, y)
    far = pd.concat([x.iloc[:1] * 1e4, x.iloc[:1] * -1e4, x.iloc[:1] + 50, x.iloc[:1] - 50])
    curves = model.predict_curves(far, level=0.95)
    for bound in (curves.lower, curves.upper):
        known = ~np.isnan(bound)
        assert np.all((bound[known] >= 0) & (bound[known] <= 1))
    assert np.isfinite(curves.probability).any(axis=(1, 2)).all()


def test_a_warning_of_one_of_the_models_names_its_cause():
    rng = np.random.default_rng(3)
    event = rng.integers(0, 3, 400)
    offer = rng.integers(0, 2, 400) * (event != 2)
    y = cs.Outcome(stop=rng.integers(1, 30, 400), event=event, causes=("attrition", "default"))
    with pytest.warns(
        cs.exceptions.SeparationWarning, match="^Model of default: The likelihood is monotone in 'offer'"
    ) as told:
        cs.CauseSpecificCox().fit(pd.DataFrame({"offer": offer, "score": rng.normal(size=400)}), y)
    assert [w.filename for w in told] == [__file__]


@pytest.mark.parametrize("clustered", [False, True])
def test_causes_that_share_a_design_have_the_variances_of_causes_that_do_not(
    clustered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # after the last exit of a cause its rows at risk, and so its centre, are others than the other cause's
    rng = np.random.default_rng(7)
    X = pd.DataFrame({"rate": rng.normal(size=120), "score": rng.normal(5, 2, 120)})
    start = rng.integers(0, 9, 120).astype(float)
    stop = start + rng.integers(1, 12, 120)
    event = np.where(stop < 6, rng.integers(0, 3, 120), rng.integers(0, 2, 120))
    y = cs.Outcome(stop, event, start=start, causes=("attrition", "default"))
    cluster = np.arange(120) // 2 if clustered else None
    shared = cs.CauseSpecificCox().fit(X, y, cluster=cluster)
    centres = [m.center_.to_numpy() for m in shared.models_.values()]
    assert not np.allclose(*centres)

    def alone(*args: Any, **options: Any) -> Any:
        return seen(*args, **{**options, "like": None})

    monkeypatch.setattr("churnsurv.estimators.cause_specific_bounds.seen", alone)
    apart = cs.CauseSpecificCox().fit(X, y, cluster=cluster)
    for a, b in zip(shared.variance_parts_["increments"], apart.variance_parts_["increments"], strict=True):
        for name in ("hazard", "slope", "variance"):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-8, atol=1e-12)
    for name in ("own", "cross"):
        if clustered:
            np.testing.assert_allclose(
                shared.variance_parts_[name][0], apart.variance_parts_[name][0], rtol=1e-8, atol=1e-13
            )
