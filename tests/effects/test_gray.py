"""Gray's test: its twin, identities, late entry, what it refuses. R's numbers are in the oracles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import churnsurv as cs
from churnsurv.effects import gray_test, logrank_test
from churnsurv.exceptions import DataError, NoEventsError, NotIdentifiedError, SmallSampleWarning
from churnsurv.kernels.gray import gray
from churnsurv.kernels.logrank import log_rank
from tests.effects import twins
from tests.effects.test_logrank import drawn, same

pytestmark = pytest.mark.filterwarnings("ignore::churnsurv.exceptions.SmallSampleWarning")


@st.composite
def competing(draw, n_arms=3):
    """Columns start, stop, state, arm with ties and late entry; each arm has two rows at risk from 0 to the end."""
    n = draw(st.integers(4 * n_arms, 30))

    def column(low, high):
        return np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)))

    arm, start, state = column(0, n_arms - 1), column(0, 3) * draw(st.integers(0, 1)), column(0, 2)
    stop = start + column(1, 5)
    kept = np.arange(2 * n_arms)
    arm[kept], start[kept], stop[kept], state[kept] = np.repeat(np.arange(n_arms), 2), 0, 8, 0
    state[-1] = 1
    return start.astype(float), stop.astype(float), state, arm


@settings(max_examples=60, deadline=None)
@given(competing(), st.sampled_from([0.0, 1.0, 2.5]))
def test_the_kernel_agrees_with_the_loop_over_times(columns, rho):
    got = gray(*columns, 3, rho=rho)
    score, covariance = twins.gray(*columns, 3, rho)
    np.testing.assert_allclose(got.score, score, atol=1e-12)
    np.testing.assert_allclose(got.covariance, covariance, atol=1e-12)
    np.testing.assert_allclose(got.covariance.sum(axis=0), 0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(competing())
def test_with_one_cause_the_score_is_that_of_the_log_rank_test_also_with_late_entry(columns):
    start, stop, state, arm = columns
    event = (state > 0).astype(int)
    want = log_rank(start, stop, event, arm, 0 * arm, 3)
    np.testing.assert_allclose(gray(start, stop, event, arm, 3).score, want.observed - want.expected, atol=1e-12)


def answer(*args, **kwargs):
    try:
        return gray_test(*args, **kwargs)
    except NotIdentifiedError:
        return None


@settings(max_examples=20, deadline=None)
@given(competing(), st.randoms(use_true_random=False))
def test_neither_order_nor_splits_nor_labels_change_the_test(columns, random):
    start, stop, state, arm = columns
    y = cs.Outcome(stop, state, start=start, causes=("attrition", "default"))
    one = answer(y, arm, cause="attrition")
    order = np.array(random.sample(range(len(stop)), len(stop)))
    cut = (start + stop) / 2
    split = cs.Outcome(
        np.concatenate((cut, stop)),
        np.concatenate((0 * state, state)),
        start=np.concatenate((start, cut)),
        subject=np.tile(np.arange(len(stop)), 2),
        causes=("attrition", "default"),
    )
    for other in (
        answer(y[order], arm[order], cause="attrition"),
        answer(split, np.tile(arm, 2), cause="attrition"),
        answer(y, np.array(["z", "y", "x"])[arm], cause="attrition"),
    ):
        if one is None:
            assert other is None
        else:
            same(one, other)


def closed(seed, arms=2):
    y, arm, rng = drawn(seed, arms=arms)
    return cs.Outcome(y.stop, y.event, causes=y.causes), arm, rng


def test_two_copies_as_two_strata_double_the_statistic_and_one_stratum_is_none():
    y, arm, _ = closed(0, arms=3)
    one = gray_test(y, arm, cause="default", rho=1)
    twice = cs.Outcome(np.tile(y.stop, 2), np.tile(y.event, 2), causes=y.causes)
    result = gray_test(twice, np.tile(arm, 2), cause="default", rho=1, strata=np.repeat([0, 1], len(arm)))
    assert result.statistic == pytest.approx(2 * one.statistic)
    same(one, gray_test(y, arm, cause="default", rho=1, strata=np.ones(len(arm))))
    assert (one.df, one.name) == (2, "Gray's test")
    assert "default" in one.estimand
    assert one.n_events == np.count_nonzero(y.event == 2)


def test_a_stratum_of_one_arm_adds_nothing():
    y, arm, _ = closed(1)
    stratum = np.zeros(len(arm))
    stratum[np.flatnonzero(arm == 0)[:20]] = 1
    rest = stratum == 0
    same(gray_test(y, arm, cause="attrition", strata=stratum), gray_test(y[rest], arm[rest], cause="attrition"))


def test_late_entry_begins_where_all_arms_are_at_risk():
    y, arm, _ = drawn(2)
    late = cs.Outcome(y.stop + 5 * arm, y.event, start=y.start + 5 * arm, causes=y.causes)
    result = gray_test(late, arm, cause="attrition")
    assert "from 5" in result.method
    assert "delayed entry" in result.method
    kept = late.stop > 5
    again = cs.Outcome(late.stop[kept], late.event[kept], start=np.maximum(late.start, 5)[kept], causes=y.causes)
    same(result, gray_test(again, arm[kept], cause="attrition"))


def test_a_risk_set_that_empties_is_refused_with_the_remedy():
    start, stop = [0, 0, 0, 0, 3, 3, 3, 3], [2, 2, 4, 5, 6, 7, 6, 7]
    arm = [0, 0, 1, 1, 0, 0, 1, 1]
    y = cs.Outcome(stop, [1, 1, 1, 0, 1, 2, 1, 1], start=start, causes=("attrition", "default"))
    with pytest.raises(NotIdentifiedError, match=r"In arm 0 everybody of a small early risk set left.*min_at_risk"):
        gray_test(y, arm, cause="attrition")
    z = cs.Outcome([*stop, 9], [1, 1, 1, 0, 1, 2, 1, 1, 1], start=[*start, 3], causes=("attrition", "default"))
    assert "from 3" in gray_test(z, [*arm, 0], cause="attrition", min_at_risk=3).method


def test_an_incidence_differs_where_only_the_competing_hazard_does():
    # the hazard of default is the same in both arms, but in arm 1 most have left before they can default
    rng = np.random.default_rng(3)
    arm = np.repeat([0, 1], 1500)
    leave, default = rng.exponential(np.where(arm == 1, 4, 40)), rng.exponential(20, 3000)
    stop, first = np.minimum(leave, default), np.where(leave < default, 1, 2)
    until = rng.uniform(5, 15, 3000)
    y = cs.Outcome(np.minimum(stop, until), first * (stop <= until), causes=("attrition", "default"))
    assert gray_test(y, arm, cause="default").p_value < 1e-6
    assert logrank_test(y, arm, cause="default").p_value > 1e-3


Y = cs.Outcome([1, 2, 3, 4, 5, 6], [1, 0, 1, 2, 1, 0], causes=("attrition", "default"))


@pytest.mark.parametrize(
    ("arm", "options", "message"),
    [
        ([0] * 6, {}, "All rows are in arm"),
        ([0, 0, 0, 0, 0, 1], {}, "one customer only"),
        ([0, 0, None, 1, 1, 1], {}, "missing value"),
        ([0, 0, 0, 1, 1, 1], {"cause": "renewed"}, "Cause 'renewed' is unknown"),
        ([0, 0, 0, 1, 1, 1], {"cause": None}, "Cause None is unknown"),
        ([0, 0, 0, 1, 1, 1], {"rho": -1}, "rho=-1"),
        ([0, 0, 0, 1, 1, 1], {"rho": np.nan}, "rho=nan"),
        ([0, 0, 0, 1, 1, 1], {"min_at_risk": 0}, "min_at_risk=0"),
        ([0, 0, 0, 1, 1, 1], {"strata": [1, 2]}, "strata has shape"),
    ],
)
def test_bad_arguments_are_named(arm, options, message):
    with pytest.raises(DataError, match=message):
        gray_test(Y, arm, **{"cause": "attrition", **options})


def test_what_has_no_theory_is_refused_with_the_remedy():
    arm = [0, 0, 0, 1, 1, 1]
    for name in ("sample_weight", "cluster"):
        with pytest.raises(NotIdentifiedError, match=rf"no variance with {name}.*FineGray\('attrition'\)"):
            gray_test(Y, arm, cause="attrition", **{name: [1] * 6})
    recurrent = cs.Outcome([2, 5, 6, 6], [1, 1, 0, 0], start=[0, 2, 0, 0], subject=[1, 1, 2, 3], recurrent=True)
    with pytest.raises(NotIdentifiedError, match="Gray's test .* recurrent events"):
        gray_test(recurrent, [0, 0, 1, 1], cause="event")
    apart = cs.Outcome([2, 3, 7, 8], [1, 1, 1, 1], start=[0, 0, 5, 5])
    with pytest.raises(NotIdentifiedError, match="at risk together with the other arms"):
        gray_test(apart, [0, 0, 1, 1], cause="event")
    alone = cs.Outcome([1, 2, 3, 4], [1, 1, 1, 1])
    with pytest.raises(NotIdentifiedError, match="in one stratum"):
        gray_test(alone, [0, 0, 1, 1], cause="event", strata=[0, 0, 1, 1])
    with pytest.raises(NoEventsError, match="cause 'default'"):
        gray_test(cs.Outcome([1, 2, 3, 4], [1, 1, 0, 1], causes=Y.causes), [0, 0, 1, 1], cause="default")


@pytest.mark.filterwarnings("default")
def test_an_arm_without_events_of_the_cause_is_tested_with_a_warning():
    with pytest.warns(SmallSampleWarning, match="Arm 1 has no event"):
        gray_test(Y, [0, 0, 0, 1, 0, 1], cause="attrition")
