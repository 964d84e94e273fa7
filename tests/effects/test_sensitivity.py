"""E-values, negative controls and delta-adjusted censoring: published values, identities, bad input."""

import warnings

import numpy as np
import pytest

import churnsurv as cs
from churnsurv import effects
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning
from tests.effects.test_effects import ARM, TWO, Y, close, trial

DROPPED = cs.Outcome([2, 4, 5, 8, 1, 2, 3, 6], [1, 0, 1, 1, 1, 1, 0, 1])

# ---- E-values ----


def test_the_e_value_is_that_of_the_published_example():
    # VanderWeele & Ding 2017, Ann. Intern. Med. 167: RR 3.9 (1.8 to 8.7) has the E-values 7.26 and 3.0
    found = effects.e_value(3.9, 1.8, 8.7, measure="risk ratio")
    assert (round(found.value, 2), round(found.limit, 1)) == (7.26, 3.0)


def test_protective_ratios_are_inverted():
    one, other = (effects.e_value(*v, measure="risk ratio") for v in ((0.5, 0.4, 0.8), (2, 1.25, 2.5)))
    assert (one.value, one.limit) == (pytest.approx(other.value), pytest.approx(other.limit))


def test_an_interval_that_includes_one_needs_no_confounding():
    assert effects.e_value(1.2, 0.9, 1.6, measure="risk ratio").limit == 1
    assert effects.e_value(0.8, 0.5, 1.1, measure="risk ratio").limit == 1
    assert effects.e_value(1, 0.8, 1.2, measure="risk ratio").value == 1


def test_hazard_ratios_of_common_outcomes_are_turned_into_risk_ratios():
    rare, common = (effects.e_value(0.56, 0.46, 0.69, measure="hazard ratio", common=c) for c in (False, True))
    assert rare.risk_ratio == 0.56
    assert common.risk_ratio == pytest.approx((1 - 0.5**0.56**0.5) / (1 - 0.5 ** (1 / 0.56) ** 0.5))
    assert 1 < common.value < rare.value
    assert common.lower < common.risk_ratio < common.upper < 1


def test_of_an_estimate_the_share_of_events_says_whether_leaving_is_common():
    y, arm = trial(1)
    ratio = effects.hazard_ratio(y, arm)
    assert ratio.n_events > 0.15 * ratio.n
    found = effects.e_value(ratio, measure="hazard ratio")
    assert found == effects.e_value(ratio.value, ratio.lower, ratio.upper, measure="hazard ratio", common=True)
    assert "more than 15 %" in found.method


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ((2.0,), {"measure": "risk ratio"}, "Give the interval too"),
        ((2.0, 2.5, 3.0), {"measure": "risk ratio"}, "0 < lower <= ratio <= upper"),
        ((2.0, -1, 3.0), {"measure": "risk ratio"}, "0 < lower"),
        ((np.nan, 1, 3.0), {"measure": "risk ratio"}, "ratio=nan is not a finite number"),
        ((2.0, 1.5, 3.0), {"measure": "odds ratio"}, "measure='odds ratio'"),
        ((2.0, 1.5, 3.0), {"measure": "hazard ratio"}, "common=True or False"),
    ],
)
def test_ratios_without_an_e_value_are_refused(given, options, message):
    with pytest.raises(DataError, match=message):
        effects.e_value(*given, **options)


# ---- negative controls ----


def test_a_control_outcome_is_the_same_effect_on_another_cause():
    y, arm = trial(2)
    control = effects.negative_control(y, arm, effect="risk_ratio", horizon=9, cause="default")
    ratio = effects.risk_ratio(y, arm, horizon=9, cause="default")
    close(control.estimate, ratio)
    assert control.test.statistic == pytest.approx((np.log(ratio.value) / (ratio.se / ratio.value)) ** 2)
    # the test and the interval agree about no effect
    assert (control.test.p_value < 0.05) == (not ratio.lower <= 1 <= ratio.upper)


def test_a_control_period_keeps_what_happens_in_it():
    y, arm = trial(3, late=True)
    control = effects.negative_control(y, arm, effect="risk_difference", period=(2, 5), horizon=3)
    keep = (y.stop > 2) & (y.start < 5)
    event = np.where(y.stop <= 5, y.event, 0)[keep]
    cut = cs.Outcome(np.minimum(y.stop, 5)[keep], event, np.maximum(y.start, 2)[keep], causes=y.causes)
    close(control.estimate, effects.risk_difference(cut, arm[keep], horizon=3))
    assert "from 2" in control.estimate.method


def test_a_period_from_time_zero_cuts_weights_along():
    y, arm = trial(4)
    weight = np.random.default_rng(0).uniform(1, 2, len(y))
    control = effects.negative_control(y, arm, effect="risk_difference", period=(0, 6), horizon=6, sample_weight=weight)
    close(control.estimate, effects.risk_difference(y, arm, horizon=6, sample_weight=weight))


def test_arms_that_differ_before_the_intervention_are_found():
    rng = np.random.default_rng(5)
    arm = rng.integers(0, 2, 2000)
    leave = rng.exponential(np.where(arm == 1, 10, 30))
    y = cs.Outcome(np.minimum(leave, 24), leave <= 24)
    assert effects.negative_control(y, arm, effect="hazard_ratio", period=(0, 3)).test.p_value < 1e-6


@pytest.mark.parametrize(
    ("period", "message"),
    [((5, 2), "0 <= from < to"), ((-1, 2), "0 <= from"), ((50, 60), "Nobody is watched"), (("a", 2), "period='a'")],
)
def test_odd_periods_are_refused(period, message):
    with pytest.raises(DataError, match=message):
        effects.negative_control(Y, ARM, effect="hazard_ratio", period=period)


# ---- delta-adjusted censoring ----


@pytest.mark.parametrize("cause", [None, "attrition"])
@pytest.mark.parametrize("late", [False, True])
def test_a_delta_of_one_is_the_usual_estimate(cause, late):
    y, arm = trial(6, late=late)
    shifted = effects.delta_adjusted(y, arm, horizon=9, delta={}, cause=cause)
    close(shifted, effects.risk_difference(y, arm, horizon=9, cause=cause, sample_weight=np.ones(len(y))))


def test_the_censored_leave_as_often_as_told():
    # offer: 4 watched, one leaves at 2, one is lost at 4, at 5 one of two leaves: 1 - h = 1/2, for the lost one (1/2)^delta
    usual = effects.risk_difference(DROPPED, ARM, horizon=5).value
    for delta in (0.0, 2.0):
        shifted = effects.delta_adjusted(DROPPED, ARM, horizon=5, delta={"offer": delta}).value
        assert shifted - usual == pytest.approx((1 - 0.5**delta) / 4 - 0.5 / 4)


def test_a_larger_delta_gives_a_larger_risk_in_its_arm():
    y, arm = trial(7)
    risks = [
        effects.delta_adjusted(y, arm, horizon=9, delta={"offer": d}, cause="attrition").value
        for d in (0, 0.5, 1, 2, 8)
    ]
    assert np.all(np.diff(risks) > 0)
    other = [effects.delta_adjusted(y, arm, horizon=9, delta={"none": d}, cause="attrition").value for d in (0.5, 1, 2)]
    assert np.all(np.diff(other) < 0)


def test_only_censorings_at_issue_are_shifted():
    y, arm = trial(8)
    none = np.zeros(len(y), dtype=bool)
    options = {"horizon": 9, "delta": {"offer": 5}, "cause": "attrition"}
    usual = effects.risk_difference(y, arm, horizon=9, cause="attrition")
    assert effects.delta_adjusted(y, arm, informative=none, **options).value == pytest.approx(usual.value)
    some = (y.event == 0) & (np.arange(len(y)) % 2 == 0)
    all_of_them = effects.delta_adjusted(y, arm, **options).value
    assert usual.value < effects.delta_adjusted(y, arm, informative=some, **options).value < all_of_them


def test_splitting_rows_changes_no_shifted_risk():
    y, arm = trial(9, late=True)
    middle = (y.start + y.stop) / 2
    split = cs.Outcome(
        np.concatenate((middle, y.stop)),
        np.concatenate((0 * y.event, y.event)),
        np.concatenate((y.start, middle)),
        np.tile(np.arange(len(y)), 2),
        y.causes,
    )
    options = {"horizon": 9, "delta": {"offer": 3}, "cause": "attrition"}
    close(effects.delta_adjusted(split, np.tile(arm, 2), **options), effects.delta_adjusted(y, arm, **options))


def test_at_the_tipping_point_the_interval_reaches_zero():
    y, arm = trial(10, 600)
    tip = effects.tipping_point(y, arm, horizon=24, cause="attrition")
    assert 1 < tip.delta < 20
    assert tip.arm == "offer"
    assert tip.estimate.upper == pytest.approx(0, abs=1e-6)
    again = effects.delta_adjusted(y, arm, horizon=24, cause="attrition", delta={"offer": tip.delta})
    close(again, tip.estimate)
    # told the other way round it is the same point
    turned = effects.tipping_point(y, arm, horizon=24, cause="attrition", reference="offer")
    assert (turned.delta, turned.arm) == (pytest.approx(tip.delta, rel=1e-5), "offer")


def test_without_an_effect_there_is_nothing_to_tip_and_a_strong_one_may_not_tip():
    y, arm = trial(10, 600)
    same = np.where(np.arange(600) % 2 == 0, "a", "b")
    assert effects.tipping_point(y, same, horizon=9).delta == 1
    assert effects.tipping_point(y, arm, horizon=9, cause="attrition", most=1.01).delta == np.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": {"other": 2}}, "delta is given for 'other', which is no arm"),
        ({"delta": {"offer": -1}}, "a factor on a hazard is 0 or more"),
        ({"delta": {"offer": "a"}}, "is not a finite number"),
        ({"delta": 2}, "give a factor per arm"),
        ({"delta": {}, "informative": [True] * 3}, "informative has shape"),
        ({"delta": {}, "informative": ["a"] * 8}, "give True or False"),
        ({"delta": {}, "informative": [True] * 8}, "informative marks 6 rows .* nobody is lost there"),
        ({"delta": {}, "horizon": 20}, "past the last time with data"),
        ({"delta": {}, "horizon": -1}, "positive number"),
        ({"delta": {}, "cause": "death"}, "'death'"),
    ],
)
def test_odd_deltas_are_refused(options, message):
    options = {"horizon": 5, **options}
    y = cs.Outcome([2, 4, 5, 8, 1, 2, 3, 6], [1, 0, 1, 1, 1, 1, 0, 1], causes=("attrition", "default"))
    y = cs.Outcome(y.stop, [1, 0, 1, 1, 1, 1, 0, 1]) if "cause" not in options else y
    if options["horizon"] == 20:
        y = cs.Outcome(y.stop, [1, 1, 1, 0, 1, 1, 1, 0])
    with pytest.raises(DataError, match=message):
        effects.delta_adjusted(y, ARM, **options)


def test_warnings_point_to_the_line_of_the_call():
    y, arm = trial(9, 120)
    cluster = np.arange(120) % 6 + 10 * (arm == "offer")
    for effect, options in (
        (effects.risk_ratio, {}),
        (effects.retained_balance, {"balance": np.ones(120)}),
        (effects.delta_adjusted, {"delta": {}}),
        (effects.tipping_point, {}),
        (effects.median_difference, {}),
        (effects.hazard_ratio, {}),
        (effects.subdistribution_hazard_ratio, {"cause": "attrition"}),
    ):
        options |= {} if effect.__name__.endswith(("median_difference", "hazard_ratio")) else {"horizon": 6}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            effect(y, arm, cluster=cluster, **options)
        assert {(w.category, w.filename) for w in caught} == {(SmallSampleWarning, __file__)}


def test_recurrent_events_and_an_odd_search_are_refused():
    again = cs.Outcome([2, 5, 6, 6], [1, 1, 0, 0], start=[0, 2, 0, 0], subject=[1, 1, 2, 3], recurrent=True)
    with pytest.raises(NotIdentifiedError, match="recurrent"):
        effects.delta_adjusted(again, [0, 0, 1, 1], horizon=2, delta={})
    with pytest.raises(DataError, match="most=1"):
        effects.tipping_point(TWO, ARM, horizon=5, most=1)
