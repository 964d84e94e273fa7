"""The log-rank test: hand-worked values, the definition, identities, what cannot be tested."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

import churnsurv as cs
from churnsurv.effects import logrank_test
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.logrank import log_rank
from tests import nonparametric_twins as twin

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")


@st.composite
def trial(draw, n_arms=3):
    """Columns start, stop, event, arm, stratum of a small trial with entry and ties; at least two rows per arm."""
    n = draw(st.integers(2 * n_arms, 24))

    def column(low, high):
        return np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)))

    start = column(0, 3) * draw(st.integers(0, 1))
    stop = start + column(1, 5)
    arm = np.concatenate((np.repeat(np.arange(n_arms), 2), column(0, n_arms - 1)[2 * n_arms :]))
    event = column(0, 1)
    event[0] = 1
    return start.astype(float), stop.astype(float), event, arm, column(0, 2)


def test_the_statistic_is_what_one_counts_by_hand():
    # arm A leaves at 1, 3; arm B at 2 and 4 (twice censored: none). At risk (A, B): 1: (2, 2), 2: (1, 2), 3: (1, 1)
    # expected in A: 1/2 + 1/3 + 1/2 + 0 = 4/3; Var: 1/4 + 2/9 + 1/4 = 13/18
    y = cs.Outcome([1, 3, 2, 4], [1, 1, 1, 1])
    result = logrank_test(y, ["A", "A", "B", "B"])
    assert result.statistic == pytest.approx((2 - 4 / 3) ** 2 / (13 / 18))
    assert result.df == 1
    assert result.p_value == pytest.approx(chi2.sf(result.statistic, 1))
    assert (result.name, result.n, result.n_events) == ("Log-rank test", 4, 4)
    # G(1, 0): weights 1, 3/4, 1/2 before the events
    weighted = logrank_test(y, ["A", "A", "B", "B"], rho=1)
    difference = 1 * (1 - 1 / 2) + 3 / 4 * (0 - 1 / 3) + 1 / 2 * (1 - 1 / 2)
    variance = 1 / 4 + (3 / 4) ** 2 * 2 / 9 + (1 / 2) ** 2 / 4
    assert weighted.statistic == pytest.approx(difference**2 / variance)
    assert weighted.name == "Fleming-Harrington G(1, 0) test"


@settings(max_examples=40, deadline=None)
@given(trial(), st.sampled_from([(0, 0), (1, 0), (0, 1), (0.5, 2)]))
def test_the_kernel_agrees_with_the_definition(columns, exponents):
    start, stop, event, arm, stratum = columns
    want = twin.log_rank(start, stop, event, arm, stratum, *exponents)
    got = log_rank(start, stop, event, arm, stratum, 3, rho=exponents[0], gamma=exponents[1])
    np.testing.assert_allclose(got.observed - got.expected, want[0], atol=1e-12)
    np.testing.assert_allclose(got.covariance, want[1], atol=1e-12)


def same(one, other):
    assert one.statistic == pytest.approx(other.statistic, rel=1e-9, abs=1e-9)
    assert one.df == other.df


def answer(*args, **kwargs):
    try:
        return logrank_test(*args, **kwargs)
    except NotIdentifiedError:
        return None


@settings(max_examples=30, deadline=None)
@given(trial(), st.randoms(use_true_random=False))
def test_neither_order_nor_splits_nor_labels_change_the_test(columns, random):
    start, stop, event, arm, stratum = columns
    one = answer(cs.Outcome(stop, event, start=start), arm, strata=stratum, rho=1)
    order = np.array(random.sample(range(len(stop)), len(stop)))
    cut = (start + stop) / 2
    split = cs.Outcome(
        np.concatenate((cut, stop)),
        np.concatenate((0 * event, event)),
        start=np.concatenate((start, cut)),
        subject=np.tile(np.arange(len(stop)), 2),
    )
    others = (
        answer(cs.Outcome(stop, event, start=start)[order], arm[order], strata=stratum[order], rho=1),
        answer(split, np.tile(arm, 2), strata=np.tile(stratum, 2), rho=1),
        answer(cs.Outcome(stop, event, start=start), np.array(["z", "y", "x"])[arm], strata=stratum, rho=1),
    )
    for other in others:
        if one is None:
            assert other is None
        else:
            same(one, other)


def drawn(seed, n=300, arms=2):
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, arms, n)
    start = rng.integers(0, 6, n)
    stop = start + np.ceil(rng.exponential(8 + 3 * arm))
    return cs.Outcome(stop, rng.integers(0, 3, n), start=start, causes=("attrition", "default")), arm, rng


def test_two_copies_as_two_strata_double_the_statistic():
    y, arm, _ = drawn(0)
    twice = cs.Outcome(np.tile(y.stop, 2), np.tile(y.event, 2), start=np.tile(y.start, 2), causes=y.causes)
    result = logrank_test(twice, np.tile(arm, 2), strata=np.repeat([0, 1], len(arm)))
    assert result.statistic == pytest.approx(2 * logrank_test(y, arm).statistic)


def test_one_stratum_is_no_stratum_and_frames_give_strata():
    y, arm, rng = drawn(1)
    same(logrank_test(y, arm, strata=np.ones(len(arm))), logrank_test(y, arm))
    frame = pd.DataFrame({"a": rng.integers(0, 2, len(arm)), "b": rng.integers(0, 3, len(arm))})
    same(logrank_test(y, arm, strata=frame), logrank_test(y, arm, strata=3 * frame["a"] + frame["b"]))


def test_a_cause_is_tested_with_the_others_censored():
    y, arm, _ = drawn(2)
    result = logrank_test(y, arm, cause="default")
    same(result, logrank_test(y.only("default"), arm))
    assert "default" in result.estimand
    assert result.n_events == np.count_nonzero(y.event == 2)


def test_the_trend_test_of_two_arms_is_the_log_rank_test():
    y, arm, _ = drawn(3)
    same(logrank_test(y, arm, trend=True), logrank_test(y, arm))
    # scores are the numbers of the arms; a shift or a unit changes nothing
    y, dose, _ = drawn(4, arms=4)
    same(logrank_test(y, dose, trend=True), logrank_test(y, 10 * dose + 5, trend=True))
    same(logrank_test(y, dose, trend=True), logrank_test(y, np.array(list("abcd"))[dose], trend=True))
    parts = log_rank(y.entry, y.stop, (y.event > 0).astype(int), dose, np.zeros(len(dose), int), 4)
    score = np.array([0, 1, 2, 3])
    want = (score @ (parts.observed - parts.expected)) ** 2 / (score @ parts.covariance @ score)
    assert logrank_test(y, dose, trend=True).statistic == pytest.approx(want)


def test_delayed_entry_is_said():
    y, arm, _ = drawn(5)
    assert "delayed entry" in logrank_test(y, arm).method
    assert "delayed entry" not in logrank_test(cs.Outcome(y.stop, y.event, causes=y.causes), arm).method


Y = cs.Outcome([1, 2, 3, 4], [1, 0, 1, 1])


@pytest.mark.parametrize(
    ("arm", "options", "message"),
    [
        (["A"] * 4, {}, "All rows are in arm 'A'"),
        (["A", "A", "A", "B"], {}, "Arm 'B' has one customer only"),
        (["A", "B"], {}, r"arm has shape \(2,\), the outcome has 4 rows"),
        (["A", "A", None, "B"], {}, r"arm has 1 missing value \(row 2\)"),
        (["A", "A", "B", "B"], {"strata": [1, 2]}, r"strata has shape \(2,\)"),
        (["A", "A", "B", "B"], {"strata": [1, np.nan, 1, 1]}, r"strata has 1 missing value \(row 1\)"),
        (["A", "A", "B", "B"], {"rho": -1}, "rho=-1"),
        (["A", "A", "B", "B"], {"gamma": np.nan}, "gamma=nan"),
        (["A", "A", "B", "B"], {"rho": "a"}, "rho='a' is not a finite number"),
        (["A", "A", "B", "B"], {"gamma": None}, "gamma=None is not a finite number"),
        (["A", "A", "B", "B"], {"cause": "default"}, "Cause 'default' is unknown"),
    ],
)
def test_bad_arguments_are_named(arm, options, message):
    with pytest.raises(DataError, match=message):
        logrank_test(Y, arm, **options)


def test_without_events_there_is_nothing_to_test():
    with pytest.raises(NoEventsError, match="No event among 4 rows"):
        logrank_test(cs.Outcome([1, 2, 3, 4], [0, 0, 0, 0]), [0, 0, 1, 1])
    y = cs.Outcome([1, 2, 3, 4], [1, 0, 1, 1], causes=("attrition", "default"))
    with pytest.raises(NoEventsError, match="cause 'default'"):
        logrank_test(y, [0, 0, 1, 1], cause="default")


def test_arms_that_never_meet_cannot_be_compared():
    y = cs.Outcome([2, 3, 7, 8], [1, 1, 1, 1], start=[0, 0, 5, 5])
    with pytest.raises(NotIdentifiedError, match="two arms at risk together"):
        logrank_test(y, [0, 0, 1, 1])
    with pytest.raises(NotIdentifiedError, match="in one stratum"):
        logrank_test(Y, [0, 0, 1, 1], strata=[0, 0, 1, 1], trend=True)


def test_recurrent_events_are_refused_with_the_remedy():
    y = cs.Outcome([2, 5, 6, 6], [1, 1, 0, 0], start=[0, 2, 0, 0], subject=[1, 1, 2, 3], recurrent=True)
    with pytest.raises(NotIdentifiedError, match="log-rank test .* recurrent events.*CoxPH"):
        logrank_test(y, [0, 0, 1, 1])


@pytest.mark.filterwarnings("default")
def test_an_arm_without_events_is_tested_with_a_warning():
    with pytest.warns(SmallSampleWarning, match="Arm 'B' has no event"):
        result = logrank_test(cs.Outcome([1, 2, 3, 4], [1, 1, 0, 0]), ["A", "A", "B", "B"])
    # expected in A: 2/4 + 1/3, Var: 1/4 + 2/9
    assert result.statistic == pytest.approx((2 - 5 / 6) ** 2 / (17 / 36))


@pytest.mark.slow
def test_under_equal_hazards_the_test_keeps_its_level_with_entry_and_strata():
    rng = np.random.default_rng(11)
    p_values = []
    for _ in range(1000):
        n = 200
        stratum, arm, entry = rng.integers(0, 3, n), rng.integers(0, 3, n), rng.uniform(0, 5, n)
        leave = np.ceil(entry + rng.exponential(5 + 5 * stratum))
        censored = np.ceil(entry + rng.uniform(1, 20, n))
        y = cs.Outcome(np.minimum(leave, censored), leave <= censored, start=entry)
        p_values.append(logrank_test(y, arm, strata=stratum).p_value)
    # 3 Monte-Carlo errors of 5 %
    assert abs(np.mean(np.array(p_values) < 0.05) - 0.05) < 3 * (0.05 * 0.95 / 1000) ** 0.5
