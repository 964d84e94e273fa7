"""The kernels' sums over all horizons and strata at once against the definitions row by row, and their properties."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

import churnsurv as cs
from churnsurv.exceptions import NotIdentifiedError
from tests.metrics import slow
from tests.metrics.test_brier import CAUSES, cohorts
from tests.metrics.test_concordance import follow_ups

auc, brier, concordance = cs.metrics.cumulative_dynamic_auc, cs.metrics.brier_score, cs.metrics.concordance_index
WEIGHTINGS = ("n", "n/G2", "S", "S/G", "I")


def error_of(influence, unit):
    """Give the standard error of a sum of independent units."""
    sums = np.array([influence[unit == u].sum() for u in np.unique(unit)])
    return np.sqrt(len(sums) / (len(sums) - 1) * (sums @ sums))


@settings(max_examples=30, deadline=None)
@given(cohorts(), st.permutations([2, 4, 5, 7]), st.sampled_from((1, 2)), st.booleans())
def test_brier_scores_of_all_horizons_are_the_definition_with_its_influence(drawn, times, code, clustered):
    y, risk, weight = drawn
    times = [t for t in times if t <= y.stop.max()]
    assume(times and np.any((y.event == code) & (y.stop <= min(times))))
    unit = np.arange(len(y)) // 2 if clustered else np.arange(len(y))
    assume(unit.max() > 0)
    risks = np.column_stack([risk ** (1 + k / 3) for k in range(len(times))])
    cluster = unit if clustered else None
    found = brier(y, risks, times, cause=CAUSES[code - 1], sample_weight=weight, cluster=cluster)
    for k, t in enumerate(times):
        value = slow.brier(y.stop, y.event, risks[:, k], t, code, weight)
        influence = slow.brier_influence(y.stop, y.event, risks[:, k], t, code, weight)
        assert found["value"][k] == pytest.approx(value, abs=1e-12)
        assert found["se"][k] == pytest.approx(error_of(influence, unit), abs=1e-12)
        assert found["n_events"][k] == np.sum((y.event == code) & (y.stop <= t))


@settings(max_examples=30, deadline=None)
@given(cohorts(), st.permutations([2, 3, 5, 6]), st.sampled_from(("one", "one order", "other ties", "any order")))
def test_aucs_of_all_horizons_are_the_definition_with_its_influence(drawn, times, kind):
    y, score, weight = drawn
    times = [t for t in times if t < y.stop.max()]
    cases = [(y.event == 1) & (y.stop <= t) for t in times]
    others = [((y.event == 2) & (y.stop <= t)) | (y.stop > t) for t in times]
    assume(times and all(c.any() and o.any() for c, o in zip(cases, others, strict=True)))
    by_time = {
        "one": lambda k: score,
        "one order": lambda k: score * (1 + k),
        "other ties": lambda k: np.minimum(score, 0.3 + k / 4),
        "any order": lambda k: np.roll(score, k),
    }[kind]
    columns = [by_time(k) for k in range(len(times))]
    given_scores = score if kind == "one" else np.column_stack(columns)
    given_scores = columns[0] if len(times) == 1 else given_scores
    found = auc(y, given_scores, times, cause=CAUSES[0], sample_weight=weight)
    for k, t in enumerate(times):
        influence = slow.auc_influence(y.stop, y.event, columns[k], t, 1, weight)
        assert found["value"][k] == pytest.approx(slow.auc(y.stop, y.event, columns[k], t, weight=weight), abs=1e-12)
        assert found["se"][k] == pytest.approx(error_of(influence, np.arange(len(y))), abs=1e-12)


def test_a_horizon_at_the_end_of_follow_up_and_others_are_scored_together_as_alone():
    rng = np.random.default_rng(12)
    y = cs.Outcome(np.minimum(rng.integers(1, 15, 120), 12), rng.integers(0, 3, 120), causes=CAUSES)
    risk, times = np.sort(rng.random((120, 3)), axis=1), [12, 4, 8]
    for metric, prediction in ((brier, risk), (auc, risk)):
        together = metric(y, prediction, times, cause="default")
        for k, t in enumerate(times):
            alone = metric(y, prediction[:, k], t, cause="default")
            assert (together["value"][k], together["se"][k]) == (
                pytest.approx(alone.value, abs=1e-14),
                pytest.approx(alone.se, abs=1e-14),
            )


@settings(max_examples=40, deadline=None)
@given(follow_ups(late=True, causes=2), st.sampled_from(WEIGHTINGS), st.booleans())
def test_every_weighting_with_entry_strata_and_weights_is_all_pairs_written_out(drawn, weighting, stratified):
    y, score, weight = drawn
    if "G" in weighting:  # not identified with delayed entry
        y = cs.Outcome(y.stop, y.event, causes=y.causes)
    stratum = np.arange(len(y)) % 2 if stratified else np.zeros(len(y), int)
    entry, pairs, factor = y.entry, [], np.zeros(len(y))
    for s in np.unique(stratum):
        rows = np.flatnonzero(stratum == s)
        table = slow.pair_table(entry[rows], y.stop[rows], y.event[rows] == 1, score[rows])
        pairs += [(rows[i], rows[j], sign) for i, j, sign in table]
        factor[rows] = slow.time_weights(entry[rows], y.stop[rows], y.event[rows], weight[rows], weighting)
    # survival may be 0 before the pairs, see below
    assume({sign for i, _, sign in pairs if factor[i] > 0} not in (set(), {1.0}, {-1.0}))
    strata = stratum if stratified else None
    found = concordance(y, score, cause="a", weighting=weighting, sample_weight=weight, strata=strata)
    assert found.value == pytest.approx(slow.concordance(pairs, weight, factor), abs=1e-12)
    expected = slow.jackknife_se(lambda w: slow.concordance(pairs, w, factor), weight)
    assert found.se == pytest.approx(expected, abs=1e-7)


def test_pairs_after_everybody_left_have_no_weight_by_the_survival_and_that_is_said():
    y = cs.Outcome([1, 5, 6], [1, 1, 0], start=[0, 2, 2])
    assert concordance(y, [3, 2, 2]).value == 0.5
    with pytest.raises(NotIdentifiedError, match="weighting='S' gives no pair a weight"):
        concordance(y, [3, 2, 2], weighting="S")


def numbers(y, score, risk, **given):
    """Give values and standard errors of all metrics: every weighting, AUC and Brier score at 8."""
    found = [concordance(y, score, weighting=w, **given) for w in WEIGHTINGS]
    found += [
        metric(y, prediction, 8 * given_scale(y), **given) for metric, prediction in ((auc, score), (brier, risk))
    ]
    return np.array([(estimate.value, estimate.se) for estimate in found])


def given_scale(y):
    """Give the length of a month on the scale of the outcome, whose last month is 20."""
    return y.stop.max() / 20


@pytest.fixture
def portfolio():
    rng = np.random.default_rng(9)
    stop = np.append(rng.integers(1, 20, 79), 20)
    return stop, rng.integers(0, 2, 80), rng.integers(0, 9, 80) / 10.0, rng.random(80)


@pytest.mark.parametrize("scale", [0.25, 7.0, 1 / 12])
def test_the_unit_of_time_changes_nothing(portfolio, scale):
    stop, event, score, risk = portfolio
    plain, scaled = cs.Outcome(stop, event), cs.Outcome(stop * scale, event)
    np.testing.assert_allclose(numbers(scaled, score, risk), numbers(plain, score, risk), rtol=1e-9)


def test_a_later_start_of_the_clock_changes_no_concordance(portfolio):
    stop, event, score, _ = portfolio
    for weighting in ("n", "S", "I"):
        found = [
            concordance(cs.Outcome(stop + 12 + by, event, start=np.full(80, 12.0 + by)), score, weighting=weighting)
            for by in (0, 100)
        ]
        assert found[0].value == pytest.approx(found[1].value, abs=1e-14)
        assert found[0].se == pytest.approx(found[1].se, abs=1e-14)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(80)))
def test_row_order_changes_nothing_beyond_rounding(order):
    rng = np.random.default_rng(9)
    stop, event, score, risk = np.append(rng.integers(1, 20, 79), 20), rng.integers(0, 2, 80), *rng.random((2, 80))
    score = np.round(score, 1)
    order = np.array(order)
    found = numbers(cs.Outcome(stop[order], event[order]), score[order], risk[order])
    np.testing.assert_allclose(found, numbers(cs.Outcome(stop, event), score, risk), rtol=1e-10)


def test_whole_weights_are_copies_of_customers(portfolio):
    stop, event, score, risk = portfolio
    weight = 1 + np.arange(80) % 3
    copies = np.repeat(np.arange(80), weight)
    weighted = numbers(cs.Outcome(stop, event), score, risk, sample_weight=weight)
    repeated = numbers(cs.Outcome(stop[copies], event[copies]), score[copies], risk[copies], cluster=copies)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-10)


def test_a_constant_score_is_one_half_without_error(portfolio):
    stop, event, _, risk = portfolio
    found = numbers(cs.Outcome(stop, event), np.full(80, 0.3), risk)[:-1]
    np.testing.assert_array_equal(found[:, 0], 0.5)
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-12)


def test_without_censoring_the_metrics_are_those_of_ordinary_statistics(portfolio):
    stop, _, score, risk = portfolio
    y, left = cs.Outcome(stop, np.ones(80)), stop <= 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = numbers(y, score, risk)[:, 0]
    wins = mannwhitneyu(score[left], score[~left]).statistic / (left.sum() * (~left).sum())
    np.testing.assert_allclose(found[1:4], found[0], rtol=1e-12)
    np.testing.assert_allclose(found[5:], [wins, np.mean((left - risk) ** 2)], rtol=1e-12)
