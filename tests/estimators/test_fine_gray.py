"""Fine–Gray models against row expansion, numerical derivatives, and the models they must coincide with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from tests.estimators.fine_gray_twins import CAUSES, data, expanded, influence


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("months", [True, False])
@pytest.mark.parametrize("entry", [True, False])
def test_fit_is_the_weighted_cox_fit_of_the_expanded_rows(entry: bool, months: bool, ties: str) -> None:
    x, y = data(3, 120, entry=entry, months=months)
    model = cs.FineGray("attrition", ties=ties, variance="known weights").fit(x, y)
    wide, outcome, weight, source = expanded(x, y, "attrition")
    twin = cs.CoxPH(ties=ties).fit(wide, outcome, sample_weight=weight, cluster=source)
    np.testing.assert_allclose(model.coef_, twin.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.covariance_, twin.covariance_, rtol=1e-8)
    np.testing.assert_allclose(model.naive_covariance_, twin.naive_covariance_, rtol=1e-8)
    assert model.log_likelihood_ == pytest.approx(twin.log_likelihood_, rel=1e-11)
    ours, theirs = model.baseline_cumulative_hazard_, twin.baseline_cumulative_hazard_
    np.testing.assert_allclose(ours["time"] + 1, theirs["time"])
    np.testing.assert_allclose(ours["hazard"], theirs["hazard"], rtol=1e-9)
    np.testing.assert_allclose(model.tests().loc["robust_score"], twin.tests().loc["robust_score"], rtol=1e-8)


@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=25, deadline=None)
def test_any_fit_is_that_of_the_expanded_rows(seed: int, entry: bool, by_group: bool, weighted: bool) -> None:
    rng = np.random.default_rng(seed + 1_000_000)
    x, y = data(seed, 60, entry=entry)
    group = rng.integers(0, 2, len(y)) if by_group else None
    weight = rng.integers(1, 4, len(y)) * 1.0 if weighted else np.ones(len(y))
    strata = rng.integers(0, 2, len(y))
    model = cs.FineGray("default", variance="known weights")
    try:
        model.fit(x, y, sample_weight=weight, strata=strata, censoring_strata=group)
    except cs.exceptions.NotIdentifiedError:
        return  # an age that nobody was watched through: tested below
    wide, outcome, weights, source = expanded(x, y, "default", weight, group)
    twin = cs.CoxPH().fit(wide, outcome, sample_weight=weights, cluster=source, strata=strata[source])
    np.testing.assert_allclose(model.coef_, twin.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(model.covariance_, twin.covariance_, rtol=1e-6)
    np.testing.assert_allclose(model.log_likelihood_, twin.log_likelihood_, rtol=1e-10)


@pytest.mark.parametrize("entry", [True, False])
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_full_variance_is_the_infinitesimal_jackknife(entry: bool, ties: str) -> None:
    x, y = data(5, 50, entry=entry)
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(y))
    group, strata = np.arange(len(y)) % 2, np.arange(len(y)) // 2 % 2

    def coef(w: np.ndarray) -> pd.Series:
        model = cs.FineGray("attrition", ties=ties).fit(x, y, sample_weight=w, censoring_strata=group, strata=strata)
        return model.coef_

    model = cs.FineGray("attrition", ties=ties).fit(x, y, sample_weight=weight, censoring_strata=group, strata=strata)
    twin = influence(x, y, coef, weight)
    np.testing.assert_allclose(model.covariance_, twin.T @ twin, rtol=1e-5)
    known = cs.FineGray("attrition", ties=ties, variance="known weights")
    known.fit(x, y, sample_weight=weight, censoring_strata=group, strata=strata)
    assert not np.allclose(known.covariance_, model.covariance_, rtol=1e-3)
    customer = np.arange(len(y)) // 3
    model.fit(x, y, sample_weight=weight, censoring_strata=group, strata=strata, cluster=customer)
    summed = np.array([twin[customer == c].sum(axis=0) for c in range(customer.max() + 1)])
    np.testing.assert_allclose(model.covariance_, summed.T @ summed, rtol=1e-5)


@pytest.mark.parametrize("entry", [True, False])
def test_bounds_of_the_incidence_are_those_of_the_infinitesimal_jackknife(entry: bool) -> None:
    x, y = data(6, 50, entry=entry)
    weight = np.random.default_rng(1).uniform(0.5, 1.5, len(y))
    strata = np.arange(len(y)) % 2
    new, at = x.iloc[:2], [6.0, 10.0]

    def fitted(w: np.ndarray) -> cs.FineGray:
        return cs.FineGray("attrition").fit(x, y, sample_weight=w, strata=strata)

    def log_hazard(w: np.ndarray) -> np.ndarray:
        incidence = fitted(w).predict_curves(new, at, strata=[0, 1]).cumulative_incidence()
        return np.log(-np.log1p(-incidence))

    curves = fitted(weight).predict_curves(new, at, strata=[0, 1], level=0.9)
    twin = influence(x, y, log_hazard, weight)
    se = np.sqrt((twin**2).sum(axis=0))
    hazard = -np.log1p(-curves.cumulative_incidence())
    for bound, sign in ((curves.lower, -1), (curves.upper, 1)):
        np.testing.assert_allclose(bound[:, 0], -np.expm1(-hazard * np.exp(sign * 1.6448536269514722 * se)), rtol=1e-5)
    assert curves.level == 0.9


def test_without_censoring_it_is_the_cox_model_with_competing_rows_kept_at_risk() -> None:
    x, y = data(7, 100)
    y = cs.Outcome(y.stop, np.where(y.event == 0, 2, y.event), causes=CAUSES)
    model = cs.FineGray("attrition").fit(x, y)
    stay = np.where(y.event == 1, y.stop, y.stop.max() + 1)
    twin = cs.CoxPH().fit(x, cs.Outcome(stay, y.event == 1), cluster=np.arange(len(y)))
    np.testing.assert_allclose(model.coef_, twin.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.covariance_, twin.covariance_, rtol=1e-9)


def test_with_one_cause_it_is_the_cox_model_and_predicts_whole_curves() -> None:
    x, y = data(8, 100, entry=True)
    y = cs.Outcome(y.stop, y.event > 0, start=y.start)
    model = cs.FineGray("event").fit(x, y)
    twin = cs.CoxPH().fit(x, y, cluster=np.arange(len(y)))
    np.testing.assert_allclose(model.coef_, twin.coef_, rtol=1e-10)
    np.testing.assert_allclose(model.covariance_, twin.covariance_, rtol=1e-9)
    curves = model.predict_curves(x.iloc[:3], level=0.95)
    np.testing.assert_allclose(curves.survival, twin.predict_curves(x.iloc[:3]).survival, rtol=1e-9)
    assert np.all(curves.lower[:, 0] <= curves.survival + 1e-12)
    np.testing.assert_allclose(curves.lower[:, 0] + curves.upper[:, 1], 1.0)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_order_units_splits_and_replication_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed + 1_000_000)
    x, y = data(seed, 70)
    reference = cs.FineGray("attrition").fit(x, y)
    order = rng.permutation(len(y))
    np.testing.assert_allclose(
        cs.FineGray("attrition").fit(x.iloc[order], y[order]).covariance_, reference.covariance_, rtol=1e-7
    )
    shifted = cs.FineGray("attrition").fit(x * [1e6, 1] + [1e9, 0], y)
    np.testing.assert_allclose(shifted.coef_ * [1e6, 1], reference.coef_, rtol=1e-6, atol=1e-8)
    # every spell cut in the middle of a month that it passes
    cut = np.floor(y.stop / 2) + 0.5
    split = y.stop > cut
    start = np.concatenate((np.zeros(len(y)), cut[split]))
    stop = np.concatenate((np.where(split, cut, y.stop), y.stop[split]))
    event = np.concatenate((np.where(split, 0, y.event), y.event[split]))
    subject = np.concatenate((np.arange(len(y)), np.flatnonzero(split)))
    pieces = cs.Outcome(stop, event, start=start, subject=subject, causes=CAUSES)
    whole = pd.concat([x, x[split]], ignore_index=True)
    again = cs.FineGray("attrition").fit(whole, pieces)
    np.testing.assert_allclose(again.coef_, reference.coef_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(again.covariance_, reference.covariance_, rtol=1e-7)
    weight = rng.integers(1, 4, len(y))
    rows = np.repeat(np.arange(len(y)), weight)
    copies = cs.Outcome(y.stop[rows], y.event[rows], causes=CAUSES)
    doubled = cs.FineGray("attrition", ties="breslow").fit(x.iloc[rows], copies, cluster=rows)
    weighted = cs.FineGray("attrition", ties="breslow").fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(weighted.coef_, doubled.coef_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(weighted.covariance_, doubled.covariance_, rtol=1e-7)


def test_incidence_is_bounded_monotone_and_incomplete() -> None:
    x, y = data(9, 150, entry=True)
    model = cs.FineGray("default").fit(x, y)
    far = pd.concat([x.iloc[:5], x.iloc[:1] * 1e4, x.iloc[:1] * -1e4])
    curves = model.predict_curves(far, level=0.95)
    incidence = curves.cumulative_incidence("default")
    known = ~np.isnan(incidence)
    np.testing.assert_array_equal(np.isnan(curves.lower[:, 0]), ~known)
    assert np.all((incidence[known] >= 0) & (incidence[known] <= 1))
    assert np.all(np.diff(incidence, axis=1)[known[:, 1:]] >= 0)
    assert np.all((curves.lower[:, 0] <= incidence + 1e-12)[known])
    assert np.all((curves.upper[:, 0] >= incidence - 1e-12)[known])
    with pytest.raises(cs.exceptions.NotIdentifiedError):
        _ = curves.survival
    np.testing.assert_allclose(curves.risk("default", 3.0)[:5], curves.at([3.0]).cumulative_incidence()[:5, 0])


def test_later_start_is_refused_and_the_first_age_is_not() -> None:
    x, y = data(10)
    model = cs.FineGray("attrition").fit(x, y)
    with pytest.raises(cs.exceptions.NotIdentifiedError, match="CauseSpecificCox"):
        model.predict_curves(x, start=3.0)
    np.testing.assert_array_equal(model.predict_curves(x, start=0.0).probability, model.predict_curves(x).probability)


def test_columns_name_the_roles_and_are_remembered() -> None:
    x, y = data(11, 100)
    vintage, customer = np.arange(len(y)) % 3, np.arange(len(y)) // 2
    named = x.assign(vintage=vintage, customer=customer)
    model = cs.FineGray("attrition").fit(named, y, strata="vintage", cluster="customer")
    twin = cs.FineGray("attrition").fit(x, y, strata=vintage, cluster=customer)
    np.testing.assert_allclose(model.covariance_, twin.covariance_)
    assert list(model.coef_.index) == ["a", "b"]
    np.testing.assert_allclose(
        model.predict_curves(named).probability, twin.predict_curves(x, strata=vintage).probability
    )


def test_dropped_rows_are_those_of_the_censoring_strata_too() -> None:
    x, y = data(12, 90)
    group = np.arange(len(y)) % 2
    holes = x.copy()
    holes.loc[::7, "a"] = np.nan
    kept = holes["a"].notna().to_numpy()
    with pytest.warns(cs.exceptions.MissingDataWarning):
        model = cs.FineGray("attrition", missing="drop").fit(holes, y, censoring_strata=group)
    twin = cs.FineGray("attrition").fit(x[kept], y[kept], censoring_strata=group[kept])
    np.testing.assert_allclose(model.coef_, twin.coef_, rtol=1e-12)


def test_saved_model_predicts_the_same_with_bounds(tmp_path) -> None:
    x, y = data(13)
    model = cs.FineGray("attrition").fit(x, y)
    again = cs.load(cs.save(model, tmp_path / "m.churnsurv"))
    ours, theirs = model.predict_curves(x, level=0.95), again.predict_curves(x, level=0.95)
    np.testing.assert_allclose(ours.upper, theirs.upper, rtol=1e-13)
    pd.testing.assert_frame_equal(model.summary(), again.summary())


def test_errors_interpolated_between_event_times_are_close_to_those_kept_at_all(monkeypatch) -> None:
    x, y = data(14, 400, months=False)
    exact = cs.FineGray("attrition").fit(x, y).predict_curves(x.iloc[:4], level=0.95)
    monkeypatch.setattr("churnsurv.estimators.fine_gray_fit.KNOTS", 40)
    near = cs.FineGray("attrition").fit(x, y).predict_curves(x.iloc[:4], level=0.95)
    assert len(exact.times) > 100
    np.testing.assert_array_equal(near.probability, exact.probability)
    np.testing.assert_allclose(near.upper - near.lower, exact.upper - exact.lower, rtol=0.02, atol=1e-3)
    assert np.abs(near.upper - exact.upper).max() > 0


def test_offset_that_is_constant_in_each_stratum_changes_nothing_however_large() -> None:
    x, y = data(15, 150, entry=True)
    strata = np.arange(len(y)) % 2
    plain = cs.FineGray("attrition").fit(x, y, strata=strata)
    moved = cs.FineGray("attrition").fit(x, y, strata=strata, offset=800.0 * strata)
    np.testing.assert_allclose(moved.coef_, plain.coef_, rtol=1e-8)
    np.testing.assert_allclose(moved.covariance_, plain.covariance_, rtol=1e-8)
    new = {"strata": strata[:4], "level": 0.95}
    ours, theirs = moved.predict_curves(x[:4], offset=800.0 * strata[:4], **new), plain.predict_curves(x[:4], **new)
    np.testing.assert_allclose(ours.upper, theirs.upper, rtol=1e-8)


def test_rows_of_weight_zero_are_left_out() -> None:
    x, y = data(16, 150, entry=True)
    weight = (np.arange(len(y)) % 5 > 0).astype(float)
    model = cs.FineGray("attrition").fit(x, y, sample_weight=weight)
    twin = cs.FineGray("attrition").fit(x[weight > 0], y[weight > 0])
    np.testing.assert_allclose(model.coef_, twin.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.covariance_, twin.covariance_, rtol=1e-9)
    ours, theirs = (m.predict_curves(x[:3], [6.0], level=0.95) for m in (model, twin))
    np.testing.assert_allclose(ours.lower, theirs.lower, rtol=1e-9)
