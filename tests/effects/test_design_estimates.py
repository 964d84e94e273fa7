"""Influence of rows on a cumulative incidence: the derivative by the row's weight, whatever the entry, weights and clusters."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.effects import Randomised, logrank_test
from churnsurv.effects.design import StudyCohort
from churnsurv.effects.design_estimates import incidence_influence, risk_contrast, risk_difference_of

CAUSES = ("attrition", "default")


def incidence(y, code, horizon, weight):
    """The textbook Aalen-Johansen estimate of a cause, time by time."""
    stays, total = 1.0, 0.0
    for t in np.unique(y.stop[y.event > 0]):
        if t > horizon:
            break
        at_risk = weight[(y.entry < t) & (y.stop >= t)].sum()
        leaving = weight * ((y.stop == t) & (y.event > 0))
        total += stays * leaving[y.event == code].sum() / at_risk
        stays *= 1 - leaving.sum() / at_risk
    return total


def random_outcome(seed, n, late):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 5, n) * late
    stop = start + rng.integers(1, 9, n)
    return cs.Outcome(stop, rng.integers(0, 3, n), start=start if late else None, causes=CAUSES), rng


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(8, 30), st.booleans(), st.sampled_from([1, 2]))
def test_the_influence_of_a_row_is_the_derivative_by_its_weight(seed, n, late, code):
    y, rng = random_outcome(seed, n, late)
    weight = rng.uniform(0.5, 2, n)
    value, influence = incidence_influence(y, code, 7.0, weight)
    assert value == pytest.approx(incidence(y, code, 7.0, weight), abs=1e-12)
    for i in range(0, n, 3):
        step = np.zeros(n)
        step[i] = 1e-6
        slope = (incidence(y, code, 7.0, weight + step) - incidence(y, code, 7.0, weight - step)) / 2e-6
        assert influence[i] == pytest.approx(weight[i] * slope, abs=1e-7)


@pytest.mark.parametrize("late", [False, True])
def test_one_arm_has_the_robust_standard_error_of_aalen_and_johansen(late):
    y, rng = random_outcome(3, 200, late)
    cluster = rng.integers(0, 60, 200)
    fitted = cs.AalenJohansen().fit(y, cluster=cluster).table_
    row = fitted[(fitted["state"] == "attrition") & (fitted["time"] == 6)].iloc[0]
    value, influence = incidence_influence(y, 1, 6.0, np.ones(200))
    assert value == pytest.approx(row["estimate"], abs=1e-12)
    assert np.linalg.norm(np.bincount(cluster, influence)) == pytest.approx(row["se"], rel=1e-9)


def cohort_of(y, arm, cluster, strata=None):
    n = len(y)
    return StudyCohort(
        y=y, arm=np.asarray(arm, dtype=object), X=pd.DataFrame({"age": np.zeros(n)}),
        strata=np.full(n, "d") if strata is None else strata, cluster=cluster, calendar=np.zeros(n, dtype=np.int64),
        treated="a", control="b", estimand="a against b", counts={"given": n, "in the cohort": n},
    )  # fmt: skip


def test_the_variance_of_a_difference_is_that_of_both_arms_where_clusters_lie_within_arms():
    y, rng = random_outcome(5, 300, False)
    arm = np.where(rng.random(300) < 0.5, "a", "b")
    cohort = cohort_of(y, arm, np.arange(300))
    found = risk_difference_of(cohort, "attrition", 6, 0.95)
    curves = cs.AalenJohansen().fit(y, by=arm).table_.query("state == 'attrition' and time == 6").set_index("group")
    assert found.value == pytest.approx(curves.loc["a", "estimate"] - curves.loc["b", "estimate"], abs=1e-12)
    assert found.se == pytest.approx(np.hypot(*curves["se"]), rel=1e-9)
    assert found.upper - found.value == pytest.approx(1.959964 * found.se, rel=1e-6)


def test_a_customer_with_a_loan_in_each_arm_adds_nothing_to_a_difference_in_which_both_fare_alike():
    stop, event = np.tile([3.0, 5, 6, 7], 2), np.tile([1, 2, 0, 1], 2)
    y = cs.Outcome(stop, event, causes=CAUSES)
    contrast = risk_contrast(cohort_of(y, ["a"] * 4 + ["b"] * 4, np.tile(np.arange(4), 2)), "attrition", 6)
    assert contrast.value == pytest.approx(0)
    assert contrast.se(np.tile(np.arange(4), 2)) == pytest.approx(0, abs=1e-15)
    assert contrast.se(np.arange(8)) > 0.1


def test_loans_of_one_customer_that_fare_alike_count_once_in_the_log_rank_test_of_a_draw():
    y, rng = random_outcome(7, 120, False)
    arm, customer = np.where(rng.random(120) < 0.5, "a", "b"), np.arange(120)
    twice = np.repeat(customer, 2)
    design = Randomised(intervention="i", treated="a", control="b", follow_up=8, unit="customer")
    once = logrank_test(y, arm, cause="attrition", cluster=customer)
    doubled = cs.Outcome(y.stop[twice], y.event[twice], causes=CAUSES)
    found = design.estimate(cohort_of(doubled, arm[twice], twice)).tests["log-rank", "attrition"]
    assert found.statistic == pytest.approx(once.statistic, rel=1e-10)


@pytest.mark.slow
def test_intervals_of_a_risk_difference_cover_with_clusters_in_both_arms():
    # customers with two loans, half of them one in each arm; 3 Monte-Carlo errors of 2,000 runs: 0.9354 to 0.9646
    rng, covered, truth = np.random.default_rng(17), [], 0.0
    for _ in range(2_000):
        frailty = np.repeat(rng.gamma(2, 0.5, 200), 2)
        arm = np.where(rng.random(400) < 0.5, "a", "b")
        time = rng.exponential(1 / (0.1 * frailty))
        lost = rng.exponential(1 / (0.03 * frailty))
        end = rng.uniform(6, 20, 400)
        stop = np.minimum(np.minimum(time, lost), end)
        event = np.select([stop == end, stop == time], [0, 1], 2)
        cohort = cohort_of(cs.Outcome(stop, event, causes=CAUSES), arm, np.repeat(np.arange(200), 2))
        found = risk_difference_of(cohort, "attrition", 5, 0.95)
        covered.append(found.lower <= truth <= found.upper)
    assert abs(np.mean(covered) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 2_000)
