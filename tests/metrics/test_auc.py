"""The cumulative/dynamic AUC: by hand, against the definition, R, scikit-survival, its standard error, and its errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError
from tests.metrics import slow
from tests.metrics.test_brier import CAUSES, cohorts, constant_curves
from tests.metrics.test_oracles import expected_of, input_of

auc = cs.metrics.cumulative_dynamic_auc


def test_four_customers_by_hand():
    # cases 3 and 5 against the controls 8 and 12: 0.9 above both, 0.2 above 0.1 only
    y = cs.Outcome([3, 5, 8, 12], [1, 1, 0, 1])
    assert auc(y, [0.9, 0.2, 0.3, 0.1], 6).value == 0.75
    assert auc(y, [0.9, 0.3, 0.3, 0.1], 6).value == 0.875


@settings(max_examples=60, deadline=None)
@given(cohorts(), st.integers(2, 7))
def test_it_is_the_definition_and_its_error_the_numerical_derivative(drawn, t):
    y, score, weight = drawn
    case = (y.event == 1) & (y.stop <= t)
    known_other = (y.event == 2) & (y.stop <= t) | (y.stop > t)
    assume(case.any() and known_other.any() and t < y.stop.max())
    found = auc(y, score, t, cause=CAUSES[0], sample_weight=weight)

    def definition(w):
        return slow.auc(y.stop, y.event, score, t, weight=w)

    assert found.value == pytest.approx(definition(weight), abs=1e-12)
    as_copies = np.repeat(np.arange(len(y)), weight.astype(int))
    copies = auc(y.resample(y.subject[as_copies]), score[as_copies], t, cause=CAUSES[0])
    assert copies.value == pytest.approx(found.value, abs=1e-12)


def test_the_standard_error_is_the_jackknifes_without_ties_of_censoring_and_events():
    rng = np.random.default_rng(4)
    n = 60
    y = cs.Outcome(rng.permutation(n) + 1.0, rng.integers(0, 3, n), causes=CAUSES)
    score = rng.integers(0, 12, n) - 0.1 * y.stop
    found = auc(y, score, 30, cause="default")
    n_free = slow.jackknife_se(lambda w: slow.auc(y.stop, y.event, score, 30, code=2, weight=w), np.ones(n))
    # riskRegression counts who leaves among those at risk of censoring: without ties the same up to O(1/n)
    assert found.se == pytest.approx(n_free, rel=0.03)


def test_the_error_for_causes_but_the_first_is_that_of_leaving_rows_out_and_not_riskregressions():
    expected = expected_of("score_cr_mgus2")
    frame = input_of("score_cr_mgus2").query("set == 'test'")
    y = cs.Outcome(frame["time"], frame["cause"], causes=("progression", "death"))
    risk, rows = np.array(expected["cause2"]["risk"])[:, 1], np.arange(len(y))
    without = [auc(y[rows != i], risk[rows != i], 120, cause="death").value for i in rows]
    jackknife = np.sqrt((len(y) - 1) * np.var(without))
    assert auc(y, risk, 120, cause="death").se == pytest.approx(jackknife, rel=0.01)
    # riskRegression 2022.11 gives three times that, for causes but the first
    assert expected["cause2"]["auc"]["se"][1] > 3 * jackknife


def test_curves_scores_per_time_and_one_score_are_read():
    rng = np.random.default_rng(6)
    y = cs.Outcome(rng.integers(1, 30, 80), rng.integers(0, 2, 80))
    risk = np.sort(rng.random((80, 2)), axis=1)
    by_array = auc(y, risk, [10, 20])
    by_curves = auc(y, constant_curves(risk, [10, 20]), [10, 20])
    pd.testing.assert_frame_equal(by_array, by_curves)
    one = auc(y, risk[:, 0], [10, 20])
    assert one["value"][0] == by_array["value"][0]
    assert one["value"][1] == auc(y, risk[:, 0], 20).value
    monotone = auc(y, np.exp(5 * risk[:, 0]), [10, 20])
    np.testing.assert_allclose(monotone["value"], one["value"])
    reverse = auc(y, -risk[:, 0], 10)
    assert reverse.value == pytest.approx(1 - one["value"][0])
    assert reverse.se == pytest.approx(one["se"][0])


def test_clusters_copies_and_constant_scores():
    rng = np.random.default_rng(7)
    y = cs.Outcome(rng.integers(1, 30, 60), rng.integers(0, 2, 60))
    score = rng.random(60)
    twice = np.tile(np.arange(60), 2)
    single = auc(y, score, 15)
    doubled = auc(cs.Outcome(y.stop[twice], y.event[twice]), score[twice], 15, cluster=twice)
    assert doubled.value == pytest.approx(single.value)
    assert doubled.se == pytest.approx(single.se, rel=1e-9)
    constant = auc(y, np.ones(60), 15)
    assert (constant.value, round(constant.se, 12)) == (0.5, 0.0)


def test_what_is_not_identified_or_cannot_be_used_is_said():
    y = cs.Outcome([3, 5, 8, 12], [1, 1, 0, 1])
    with pytest.raises(NoEventsError, match="No event of 'event' by 2"):
        auc(y, [1, 2, 3, 4], 2)
    with pytest.raises(DataError, match="past the last observed time"):
        auc(y, [1, 2, 3, 4], 20)
    with pytest.raises(NotIdentifiedError, match="nobody to compare with"):
        auc(cs.Outcome([1, 2, 3], [1, 1, 1]), [1, 2, 3], 3)
    with pytest.raises(NotIdentifiedError, match="landmark cohort"):
        auc(cs.Outcome([3, 5, 8], [1, 1, 0], start=[0, 1, 2]), [1, 2, 3], 4)
    with pytest.raises(DataError, match=r"score.*missing"):
        auc(y, [1, np.nan, 3, 4], 6)
    with pytest.raises(DataError, match="4"):
        auc(y, [1, 2, 3], 6)
    with pytest.raises(NoEventsError, match="all are censored"):
        auc(cs.Outcome([1, 2, 3], [0, 0, 0]), [1, 2, 3], 2)


@pytest.mark.slow
def test_intervals_cover_the_truth_with_competing_causes():
    rng = np.random.default_rng(8)

    def draw(n):
        x = rng.normal(size=n)
        leaves, other = rng.exponential(30 * np.exp(-0.7 * x)), rng.exponential(80, n)
        censored = rng.uniform(5, 60, n)
        stop = np.minimum.reduce([leaves, other, censored])
        event = np.where(stop == leaves, 1, np.where(stop == other, 2, 0))
        return x, np.ceil(stop), event, (leaves <= 20) & (leaves < other)

    x, _, _, case = draw(2_000_000)
    order = np.argsort(x)
    rank = np.empty(len(x))
    rank[order] = np.arange(len(x))
    truth = (rank[case].mean() - (case.sum() - 1) / 2) / (~case).sum()
    covered = []
    for _ in range(1_000):
        score, stop, event, _ = draw(400)
        found = auc(cs.Outcome(stop, event, causes=CAUSES), score, 20, cause="attrition")
        covered.append(found.lower <= truth <= found.upper)
    # 3 Monte-Carlo errors of 1,000 repetitions
    assert abs(np.mean(covered) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 1_000)
