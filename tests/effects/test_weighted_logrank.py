"""Log-rank tests with other weights of time, with weighted rows and with clusters."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.effects import logrank_test
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.logrank import arm_counts, cluster_influences, fleming_harrington
from tests.effects import twins
from tests.effects.test_logrank import drawn, same, trial

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")


def test_named_weights_are_what_one_counts_by_hand():
    # as in test_logrank: d - expected in A is 1/2, -1/3, 1/2 with variances 1/4, 2/9, 1/4 at n = 4, 3, 2
    y, arm = cs.Outcome([1, 3, 2, 4], [1, 1, 1, 1]), ["A", "A", "B", "B"]
    difference, variance = np.array([1 / 2, -1 / 3, 1 / 2]), np.array([1 / 4, 2 / 9, 1 / 4])
    weights = {
        "gehan": np.array([4, 3, 2]),
        "tarone-ware": np.sqrt([4, 3, 2]),
        "peto-peto": np.cumprod([4 / 5, 3 / 4, 2 / 3]),
    }
    for name, w in weights.items():
        result = logrank_test(y, arm, weighting=name)
        assert result.statistic == pytest.approx((w @ difference) ** 2 / (w**2 @ variance))
    assert logrank_test(y, arm, weighting="gehan").name == "Gehan-Breslow test"
    assert "weights n(t)" in logrank_test(y, arm, weighting="gehan").method


def test_the_gehan_test_is_the_rank_sum_of_all_pairs_without_censoring():
    # U of Gehan (1965): pairs in which a customer of arm 0 outlives one of arm 1, less the others
    y, arm, _ = drawn(3)
    y = cs.Outcome(y.stop, np.ones(len(y)))
    counts = arm_counts(y.entry, y.stop, y.event, arm, 0 * arm, 2)
    n = counts.at_risk.sum(axis=0)
    score = n @ (counts.events[1] - counts.at_risk[1] * counts.events.sum(axis=0) / n)
    wins = np.sign(y.stop[arm == 0][:, None] - y.stop[arm == 1]).sum()
    assert score == pytest.approx(wins)


@settings(max_examples=30, deadline=None)
@given(trial(), st.sampled_from([(0, 0), (1, 0), (0, 1)]), st.randoms(use_true_random=False))
def test_influences_agree_with_their_definition_and_sum_to_the_statistic(columns, exponents, random):
    start, stop, event, arm, stratum = columns
    weight = np.array([random.choice([0.5, 1.0, 1.75]) for _ in stop])
    counts = arm_counts(start, stop, event, arm, stratum, 3, weight)
    w = fleming_harrington(counts, *exponents)
    rows = np.arange(len(stop))
    got = cluster_influences(counts, event, arm, weight, rows, len(rows), w)
    np.testing.assert_allclose(got, twins.influences(*columns, weight, 3, *exponents), atol=1e-12)
    n, d = counts.at_risk.sum(axis=0), counts.events.sum(axis=0)
    np.testing.assert_allclose(got.sum(axis=0), (counts.events - counts.at_risk * d / n) @ w, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(trial(), st.lists(st.integers(1, 3), min_size=24, max_size=24), st.booleans())
def test_case_weights_are_copies(columns, copies, stratified):
    start, stop, event, arm, stratum = columns
    copies = np.array(copies[: len(stop)])
    rows = np.repeat(np.arange(len(stop)), copies)
    options = [{"strata": s} if stratified else {} for s in (stratum, stratum[rows])]
    y = cs.Outcome(stop, event, start=start)
    try:
        one = logrank_test(y, arm, sample_weight=copies, weight_type="case", rho=1, **options[0])
    except NotIdentifiedError:
        with pytest.raises(NotIdentifiedError):
            logrank_test(cs.Outcome(stop[rows], event[rows], start=start[rows]), arm[rows], rho=1, **options[1])
        return
    same(one, logrank_test(cs.Outcome(stop[rows], event[rows], start=start[rows]), arm[rows], rho=1, **options[1]))


def weighted(seed=6):
    y, arm, rng = drawn(seed, arms=3)
    return y, arm, rng.uniform(0.5, 3, len(arm)), rng.integers(0, 60, len(arm)), rng


def test_the_unit_of_sampling_weights_changes_nothing():
    y, arm, weight, cluster, _ = weighted()
    for name in (None, "gehan", "peto-peto"):
        one = logrank_test(y, arm, sample_weight=weight, weighting=name)
        same(one, logrank_test(y, arm, sample_weight=1000 * weight, weighting=name))
    assert "weights taken as known" in one.method
    same(
        logrank_test(y, arm, sample_weight=weight, cluster=cluster),
        logrank_test(y, arm, sample_weight=7 * weight, cluster=cluster),
    )


def test_copies_within_a_cluster_are_weights_of_it():
    y, arm, _weight, cluster, rng = weighted()
    copies = rng.integers(1, 4, len(arm))
    rows = np.repeat(np.arange(len(arm)), copies)
    twice = cs.Outcome(y.stop[rows], y.event[rows], start=y.start[rows], causes=y.causes)
    same(
        logrank_test(y, arm, sample_weight=copies, cluster=cluster),
        logrank_test(twice, arm[rows], cluster=cluster[rows]),
    )


def test_splitting_rows_and_their_order_change_no_robust_test():
    y, arm, weight, cluster, rng = weighted()
    half = (y.start + y.stop) / 2
    split = cs.Outcome(
        np.concatenate((half, y.stop)),
        np.concatenate((0 * y.event, y.event)),
        start=np.concatenate((y.start, half)),
        subject=np.tile(np.arange(len(y)), 2),
        causes=y.causes,
    )
    order = rng.permutation(2 * len(y))
    one = logrank_test(y, arm, sample_weight=weight, rho=1)
    same(one, logrank_test(split[order], np.tile(arm, 2)[order], sample_weight=np.tile(weight, 2)[order], rho=1))
    one = logrank_test(y, arm, cluster=cluster, strata=cluster % 2)
    tiled = np.tile(cluster, 2)[order]
    same(one, logrank_test(split[order], np.tile(arm, 2)[order], cluster=tiled, strata=tiled % 2))


def test_splitting_the_heavy_rows_only_leaves_the_unit_of_the_weights():
    y, arm, weight, _, _ = weighted()
    heavy = np.flatnonzero(weight > 2)
    rows = np.concatenate((heavy, np.arange(len(y))))
    start, stop, event = y.start[rows], y.stop[rows], (y.event > 0)[rows]
    half = (y.start + y.stop)[heavy] / 2
    stop[: len(heavy)], event[: len(heavy)], start[len(heavy) + heavy] = half, False, half
    split = cs.Outcome(stop, event, start=start, subject=rows)
    for name in ("peto-peto", "gehan"):
        one = logrank_test(cs.Outcome(y.stop, y.event > 0, start=y.start), arm, sample_weight=weight, weighting=name)
        same(one, logrank_test(split, arm[rows], sample_weight=weight[rows], weighting=name))


def test_the_robust_test_of_two_arms_is_the_robust_score_of_cox():
    y, arm, weight, _, _ = weighted()
    y, arm, weight = y[arm < 2], arm[arm < 2], weight[arm < 2]
    model = cs.CoxPH(ties="breslow", weight_type="sampling", cause="default")
    model.fit(pd.DataFrame({"arm": arm}), y, sample_weight=weight)
    result = logrank_test(y, arm, sample_weight=weight, cause="default")
    assert result.statistic == pytest.approx(model.tests().loc["robust_score", "statistic"], rel=1e-9)


def test_trend_and_arms_follow_the_robust_variance():
    y, arm, weight, _, _ = weighted()
    two = arm < 2
    same(
        logrank_test(y[two], arm[two], sample_weight=weight[two], trend=True),
        logrank_test(y[two], arm[two], sample_weight=weight[two]),
    )
    assert logrank_test(y, arm, sample_weight=weight).df == 2


Y = cs.Outcome([1, 2, 3, 4, 5, 6], [1, 0, 1, 1, 1, 0])
ARM = ["A", "A", "A", "B", "B", "B"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weighting": "wilcoxon"}, "weighting='wilcoxon' is not known"),
        ({"weighting": "gehan", "rho": 1}, "two weights"),
        ({"sample_weight": [1, 1, 1, 1, 1, -1]}, r"negative value \(row 5"),
        ({"sample_weight": [1, 0, 1, 1, 1, 1]}, r"sample_weight is 0 in 1 row \(row 1\).*Leave them out"),
        ({"sample_weight": [1, np.nan, 1, 1, 1, 1]}, r"missing value \(row 1\)"),
        ({"sample_weight": [1, np.inf, 1, 1, 1, 1]}, r"infinite value \(row 1\)"),
        ({"sample_weight": [1, 2]}, r"sample_weight has shape \(2,\)"),
        ({"sample_weight": [1, 1.5, 1, 1, 1, 1], "weight_type": "case"}, "no whole number in 1 row.*'sampling'"),
        ({"weight_type": "probability"}, "weight_type='probability'"),
        ({"cluster": [1] * 6}, "one cluster"),
        ({"cluster": [1, 2, 3, 4, 4, 4]}, "Arm 'B' lies in one cluster"),
        ({"cluster": [1, 2]}, r"cluster has shape \(2,\)"),
    ],
)
def test_bad_weights_and_clusters_are_named(options, message):
    with pytest.raises(DataError, match=message):
        logrank_test(Y, ARM, **options)


def test_too_few_clusters_are_refused_or_warned_of():
    with pytest.raises(NotIdentifiedError, match="2 clusters cannot tell 2 arms apart"):
        logrank_test(Y, ARM, cluster=[1, 1, 2, 1, 2, 2])
    with pytest.warns(SmallSampleWarning, match="3 clusters: the robust variance is rough"):
        logrank_test(Y, ARM, cluster=[1, 2, 3, 1, 2, 3])


def test_an_arm_apart_from_the_others_drops_out_with_a_warning():
    y = cs.Outcome([2, 3, 4, 2, 3, 4, 7, 8, 9], [1] * 9, start=[0] * 6 + [5] * 3, causes=("attrition",))
    arm = [*ARM, "C", "C", "C"]
    with pytest.warns(SmallSampleWarning, match="Arm 'C' is never at risk together.*1 instead of 2 degrees"):
        result = logrank_test(y, arm)
    same(result, logrank_test(y[:6], ARM))
    with pytest.warns(SmallSampleWarning, match="Arm 'C' is never"):
        logrank_test(y, arm, sample_weight=np.linspace(0.3, 1.7, 9))


def test_weighted_arms_that_never_meet_cannot_be_compared():
    y = cs.Outcome([2, 3, 4, 7, 8, 9], [1] * 6, start=[0, 0, 0, 5, 5, 5])
    with pytest.raises(NotIdentifiedError, match="two arms at risk together"):
        logrank_test(y, ARM, sample_weight=[0.3, 0.7, 0.1, 0.2, 1.1, 0.9])
    with pytest.raises(NotIdentifiedError, match="in one stratum"):
        logrank_test(Y, ARM, strata=ARM, sample_weight=[0.3, 0.7, 0.1, 0.2, 1.1, 0.9])
