"""Risks as functions of the hazards: influence by brute force, variances of the estimators, delta-adjusted risks."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.kernels import hazard_functions as kernel
from churnsurv.kernels.nonparametric import kaplan_meier, risk_table

EVERY = np.array([True, True])


def sample(seed, n=60, late=True, ties=True):
    rng = np.random.default_rng(seed)
    stop = rng.integers(2, 12, n).astype(float) if ties else rng.uniform(1, 12, n)
    entry = np.where(rng.random(n) < 0.4, np.floor(stop * rng.random(n) * 0.6), 0.0) if late else np.zeros(n)
    return entry, stop, rng.choice([0, 1, 2], n, p=[0.35, 0.4, 0.25]), rng.uniform(0.5, 2, n)


def table_of(entry, stop, event, weight, n_causes=2):
    return risk_table(entry, stop, event, weight, n_causes, np.zeros(len(stop), dtype=bool))


def by_brute_force(estimate, weight, step=1e-5):
    """Derivative by each row's weight, times the weight; central differences."""
    found = np.empty(len(weight))
    for i in range(len(weight)):
        shift = np.zeros(len(weight))
        shift[i] = weight[i] * step
        found[i] = (estimate(weight + shift) - estimate(weight - shift)) / (2 * step)
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), end=st.floats(3, 9), area=st.booleans(), causes=st.sampled_from([(0, 1), (1, 1)]))
def test_the_influence_is_the_derivative_by_the_weights(seed, end, area, causes):
    entry, stop, event, weight = sample(seed)
    counts = np.array(causes, dtype=bool)

    def number(w):
        table = table_of(entry, stop, event, w)
        return kernel.risk_or_time_lost(table, kaplan_meier(table).survival, counts, end, area=area)[0]

    table = table_of(entry, stop, event, weight)
    _, slopes = kernel.risk_or_time_lost(table, kaplan_meier(table).survival, counts, end, area=area)
    assume(not table.emptied[:-1].any())  # an early risk set that empties has no derivative
    found = kernel.row_influence(table, slopes, event, weight)
    assert found == pytest.approx(by_brute_force(number, weight), abs=1e-7)
    assert found.sum() == pytest.approx(0, abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    end=st.floats(3, 9),
    delta=st.sampled_from([0.5, 1.0, 2.0]),
    cause=st.integers(0, 1),
)
def test_the_influence_of_a_shifted_risk_is_the_derivative_by_the_weights(seed, end, delta, cause):
    entry, stop, event, weight = sample(seed)
    kinds = np.where(event == 0, 3, event)

    def number(w):
        return kernel.shifted_risk(table_of(entry, stop, kinds, w, 3), cause, delta, end)[0]

    table = table_of(entry, stop, kinds, weight, 3)
    leaving = table.n_event[:-1].sum(axis=0)
    assume(not np.any((leaving >= table.n_risk * (1 - 1e-12)) & (table.times < end)))
    _, slopes = kernel.shifted_risk(table, cause, delta, end)
    found = kernel.shifted_influence(table, slopes, kinds, weight)
    assert found == pytest.approx(by_brute_force(number, weight), abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), end=st.floats(3, 11))
def test_without_a_shift_the_risk_is_aalen_johansens(seed, end):
    entry, stop, event, weight = sample(seed)
    table = table_of(entry, stop, event, weight)
    marked = table_of(entry, stop, np.where(event == 0, 3, event), weight, 3)
    for cause in (0, 1):
        usual, slopes = kernel.risk_or_time_lost(
            table, kaplan_meier(table).survival, np.arange(2) == cause, end, area=False
        )
        shifted, of_shifted = kernel.shifted_risk(marked, cause, 1.0, end)
        assert shifted == pytest.approx(usual)
        if not table.emptied[table.times < end].any():
            kinds = np.where(event == 0, 3, event)
            ours = kernel.shifted_influence(marked, of_shifted, kinds, weight)
            assert ours == pytest.approx(kernel.row_influence(table, slopes, event, weight), abs=1e-9)


def test_a_shifted_risk_is_the_expected_share_that_leaves():
    # two stay watched, one is lost at 1: S = (2/3)(1/2)... by hand: watched 3; at 1 one lost, at 2 one of two leaves;
    # the lost one leaves at 2 with 1 - (1/2)^2 = 3/4: risk (1 + 3/4)/3
    table = table_of(np.zeros(3), np.array([1.0, 2, 3]), np.array([2, 1, 0]), np.ones(3), 2)
    assert kernel.shifted_risk(table, 0, 2.0, 2.5)[0] == pytest.approx((1 + 0.75) / 3)
    assert kernel.shifted_risk(table, 0, 0.0, 2.5)[0] == pytest.approx(1 / 3)


@pytest.mark.parametrize("late", [False, True])
def test_variances_are_those_of_the_estimators(late):
    entry, stop, event, weight = sample(5, 200, late)
    y = cs.Outcome(stop, event, entry, causes=("attrition", "default"))
    ones, end = np.ones(200), 7.0
    table = table_of(y.entry, stop, event, ones)
    survival = kaplan_meier(table).survival
    for area in (False, True):
        _, slopes = kernel.risk_or_time_lost(table, survival, EVERY, end, area=area)
        km = cs.KaplanMeier().fit(y)
        expected = km.rmst(end).se if area else km.table_.query("time <= 7")["se"].iloc[-1]
        assert kernel.multinomial_variance(table, slopes) ** 0.5 == pytest.approx(expected, rel=1e-9)
    weighted = table_of(y.entry, stop, event, weight)
    for cause in (1, 2):
        of_cause = np.arange(2) == cause - 1
        for w, t, variance in ((ones, table, "greenwood"), (ones, table, "robust"), (weight, weighted, "robust")):
            fit = cs.AalenJohansen().fit(y, sample_weight=None if w is ones else w, variance=variance)
            expected = fit.table_.query("state == @y.causes[@cause - 1] and time <= 7")["se"].iloc[-1]
            _, slopes = kernel.risk_or_time_lost(t, kaplan_meier(t).survival, of_cause, end, area=False)
            ours = (
                kernel.multinomial_variance(t, slopes)
                if variance == "greenwood"
                else np.sum(kernel.row_influence(t, slopes, event, w) ** 2)
            )
            assert ours**0.5 == pytest.approx(expected, rel=1e-9)
