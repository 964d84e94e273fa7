"""Differences of restricted means: hand-worked values, identities, entry, what cannot be estimated."""

import numpy as np
import pytest
from scipy.stats import norm

import churnsurv as cs
from churnsurv.effects import rmst_difference
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning, TooFewEventsError

Y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
ARM = np.repeat(["offer", "none"], 4)


def test_the_difference_is_that_of_the_areas_with_both_variances():
    # none: everybody leaves by 6, mean 3, variance of the mean (4 + 1 + 0 + 9)/16 = 0.875
    # offer: S = 1, 3/4 from 2, 1/2 from 4; area to 6: 2 + 1.5 + 1 = 4.5; right of 2: 2.5, right of 4: 1;
    # Greenwood 2.5^2/12 + 1^2/6 = 0.6875
    gain = rmst_difference(Y, ARM, horizon=6)
    assert gain.value == pytest.approx(1.5)
    assert gain.se == pytest.approx((0.875 + 0.6875) ** 0.5)
    assert gain.upper - gain.value == pytest.approx(norm.ppf(0.975) * gain.se)
    assert (gain.n, gain.n_events) == (8, 6)
    assert gain.name == "Difference of restricted mean time within 6, offer - none"


def test_the_reference_is_subtracted():
    gain, loss = rmst_difference(Y, ARM, horizon=6), rmst_difference(Y, ARM, horizon=6, reference="offer", level=0.9)
    assert loss.value == pytest.approx(-gain.value)
    assert loss.se == pytest.approx(gain.se)
    assert loss.upper - loss.value == pytest.approx(norm.ppf(0.95) * gain.se)
    assert loss.name.endswith("none - offer")


def test_without_censoring_it_is_the_difference_of_means():
    rng = np.random.default_rng(0)
    stop, arm = rng.integers(1, 30, 200), rng.integers(0, 2, 200)
    gain = rmst_difference(cs.Outcome(stop, np.ones(200)), arm, horizon=30)
    one, other = stop[arm == 1], stop[arm == 0]
    assert gain.value == pytest.approx(one.mean() - other.mean())
    assert gain.se == pytest.approx((one.var() / len(one) + other.var() / len(other)) ** 0.5)


def test_any_cause_ends_the_time_as_a_customer():
    causes = cs.Outcome(Y.stop, Y.event * [1, 2, 1, 2, 1, 2, 1, 2], causes=("attrition", "default"))
    assert rmst_difference(causes, ARM, horizon=5).value == rmst_difference(Y, ARM, horizon=5).value


def test_with_entry_both_areas_begin_where_both_arms_are_at_risk():
    # arm 0 from 0, arm 1 from 2: arm 0 counts those still there at 2
    y = cs.Outcome([1, 4, 5, 7, 4, 6, 9], [1, 1, 1, 1, 1, 1, 1], start=[0, 0, 0, 0, 2, 2, 2])
    gain = rmst_difference(y, [0, 0, 0, 0, 1, 1, 1], horizon=5)
    assert gain.value == pytest.approx((2 + 4 + 5) / 3 - (2 + 3 + 5) / 3)
    assert "from 2" in gain.method
    assert gain.n == 6
    # two of each are at risk after 2 only, three of each too: the rule looks at both arms
    assert "from 2" in rmst_difference(y, [0, 0, 0, 0, 1, 1, 1], horizon=5, min_at_risk=3).method


def test_splitting_rows_changes_nothing():
    split = cs.Outcome(
        np.concatenate((Y.stop / 2, Y.stop)),
        np.concatenate((0 * Y.event, Y.event)),
        start=np.concatenate((0 * Y.stop, Y.stop / 2)),
        subject=np.tile(np.arange(8), 2),
    )
    one, other = rmst_difference(Y, ARM, horizon=6), rmst_difference(split, np.tile(ARM, 2), horizon=6)
    assert (other.value, other.se) == (pytest.approx(one.value), pytest.approx(one.se))
    assert (other.n, other.n_events) == (one.n, one.n_events)


def test_clusters_of_two_equal_rows_double_the_variance():
    twice = Y[np.repeat(np.arange(8), 2)]
    twice = cs.Outcome(twice.stop, twice.event)
    arm = np.repeat(ARM, 2)
    with pytest.warns(SmallSampleWarning, match="4 clusters"):
        clustered = rmst_difference(twice, arm, horizon=6, cluster=np.repeat(np.arange(8), 2))
    independent = rmst_difference(twice, arm, horizon=6)
    assert clustered.value == pytest.approx(independent.value)
    assert clustered.se == pytest.approx(2**0.5 * independent.se)


@pytest.mark.parametrize(
    ("arm", "options", "message"),
    [
        (np.repeat("offer", 8), {}, "All rows are in arm 'offer'"),
        (np.repeat([1, 2], [7, 1]), {}, "Arm 2 has one customer only"),
        (["offer"], {}, r"arm has shape \(1,\), the outcome has 8 rows"),
        (["a"] * 4 + ["b"] * 3 + [None], {}, r"arm has 1 missing value \(row 7\)"),
        (np.repeat([1, 2, 3, 4], 2), {}, "There are 4 arms"),
        (ARM, {"reference": "control"}, "reference='control' is no arm"),
        (ARM, {"horizon": 0}, "positive number"),
        (ARM, {"horizon": "a"}, "horizon='a' is not a finite number"),
        (ARM, {"horizon": None}, "horizon=None is not a finite number"),
        (ARM, {"level": "a"}, "level='a' is no confidence level"),
        (ARM, {"min_at_risk": None}, "min_at_risk=None is not a finite number"),
        (ARM, {"cluster": [1, 2, 3, 4, 5, 5, 5, 5]}, "Arm 'none' lies in one cluster"),
    ],
)
def test_bad_arguments_are_named(arm, options, message):
    with pytest.raises(DataError, match=message):
        rmst_difference(Y, arm, **{"horizon": 5, **options})


def test_a_horizon_beyond_an_arms_data_is_refused_with_the_longest_possible():
    y = cs.Outcome([1, 3, 5, 2, 6, 9], [1, 1, 0, 1, 1, 0])
    with pytest.raises(DataError, match="arm 0 .* Ask for at most 5"):
        rmst_difference(y, [0, 0, 0, 1, 1, 1], horizon=7)
    # arm "none" has left altogether by 6: what follows is known
    assert rmst_difference(Y, ARM, horizon=8).value == pytest.approx(5.5 - 3)


def test_a_horizon_that_is_the_last_time_up_to_rounding_is_within_the_data():
    y = cs.Outcome([0.1, 0.3, 0.3, 0.1, 0.3, 0.3], [1, 1, 0, 1, 0, 0])
    exact, rounded = (rmst_difference(y, list("aaabbb"), horizon=h) for h in (0.3, 0.1 + 0.2))
    assert rounded.value == pytest.approx(exact.value)
    assert rounded.n_events == exact.n_events == 3
    # and a last event a rounding later than the horizon counts
    later = cs.Outcome([0.1, 0.1 + 0.2, 0.1 + 0.2, 0.1, 0.1 + 0.2, 0.1 + 0.2], [1, 1, 0, 1, 0, 0])
    assert rmst_difference(later, list("aaabbb"), horizon=0.3).n_events == 3


def test_recurrent_events_are_refused_with_the_remedy():
    y = cs.Outcome([2, 5, 6, 6], [1, 1, 0, 0], start=[0, 2, 0, 0], subject=[1, 1, 2, 3], recurrent=True)
    with pytest.raises(NotIdentifiedError, match="restricted mean time .* recurrent events"):
        rmst_difference(y, [0, 0, 1, 1], horizon=2)


def test_an_arm_without_events_has_no_variance():
    y = cs.Outcome([1, 3, 5, 2, 6, 9], [1, 1, 0, 0, 0, 0])
    with pytest.raises(TooFewEventsError, match="Arm 'b' has no event within 4"):
        rmst_difference(y, list("aaabbb"), horizon=4)


def test_a_subject_that_changes_its_arm_is_refused():
    y = cs.Outcome([2, 5, 4, 6, 7], [0, 1, 1, 1, 0], start=[0, 2, 0, 0, 0], subject=[1, 1, 2, 3, 4])
    with pytest.raises(DataError, match="1 subject with rows in both arms .*time zero"):
        rmst_difference(y, [0, 1, 0, 1, 1], horizon=4)


def test_an_early_risk_set_that_empties_is_pointed_out():
    y = cs.Outcome([1, 5, 6, 8, 4, 6], [1, 1, 0, 1, 1, 1], start=[0, 2, 2, 2, 0, 0])
    with pytest.warns(SmallSampleWarning, match="in arm 'a'.*min_at_risk"):
        assert rmst_difference(y, list("aaaabb"), horizon=4).value == pytest.approx(4 - 1)


@pytest.mark.slow
def test_the_interval_covers_the_difference_of_two_exponential_arms():
    rng = np.random.default_rng(3)
    horizon, means = 24, (20, 30)
    truth = np.diff([m * (1 - np.exp(-horizon / m)) for m in means])[0]
    covered = []
    for _ in range(1000):
        arm = np.repeat([0, 1], 250)
        leave, censored = rng.exponential(np.take(means, arm)), rng.uniform(12, 60, 500)
        y = cs.Outcome(np.minimum(leave, censored), leave <= censored)
        gain = rmst_difference(y, arm, horizon=horizon)
        covered.append(gain.lower <= truth <= gain.upper)
    assert abs(np.mean(covered) - 0.95) < 3 * (0.95 * 0.05 / 1000) ** 0.5
