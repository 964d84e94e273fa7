"""Risks, times lost, medians, hazard ratios: by hand, identities, entry, strata, weights, clusters, bad input."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import churnsurv as cs
from churnsurv import effects
from churnsurv.exceptions import ChurnSurvError, DataError, NotIdentifiedError, SmallSampleWarning, TooFewEventsError

Z = norm.ppf(0.975)
Y = cs.Outcome(stop=[2, 4, 5, 8, 1, 2, 3, 6], event=[1, 1, 0, 1, 1, 1, 1, 1])
ARM = np.repeat(["offer", "none"], 4)
TWO = cs.Outcome(Y.stop, Y.event * [1, 2, 1, 1, 1, 2, 1, 1], causes=("attrition", "default"))
AT_HORIZON = {
    "risk_difference": effects.risk_difference,
    "risk_ratio": effects.risk_ratio,
    "rmst_difference": effects.rmst_difference,
    "rmst_ratio": effects.rmst_ratio,
    "rmtl_difference": effects.rmtl_difference,
    "rmtl_ratio": effects.rmtl_ratio,
    "retained_months": effects.retained_months,
}
PER_CAUSE = [name for name in AT_HORIZON if not name.startswith("rmst")]


def trial(seed=0, n=300, late=False, causes=True, months=True):
    """Two arms, two causes, drop-out; optionally entry after time zero."""
    rng = np.random.default_rng(seed)
    arm = rng.permutation(np.repeat(["none", "offer"], n // 2))
    to_attrition, to_default = rng.exponential(np.where(arm == "offer", 30, 18)), rng.exponential(60, n)
    leave, censored = np.minimum(to_attrition, to_default), rng.uniform(6, 40, n)
    stop = np.minimum(leave, censored)
    event = np.where(leave <= censored, np.where(to_attrition <= to_default, 1, 2), 0)
    if months:
        stop = np.ceil(stop)
    start = np.where(rng.random(n) < 0.3, np.floor(stop * rng.random(n) * 0.5), 0.0) if late else None
    if not causes:
        return cs.Outcome(stop, event > 0, start), arm
    return cs.Outcome(stop, event, start, causes=("attrition", "default")), arm


def close(one, other):
    for name in ("value", "se", "lower", "upper", "level", "n", "n_events"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-8, nan_ok=True), name


# ---- values by hand ----


def test_risks_are_those_of_the_two_curves_with_greenwoods_variance():
    # within 5: offer S = 3/4 · 2/3 = 1/2, Greenwood S² (1/(4·3) + 1/(3·2)) = 1/16; none 3 of 4, p(1 − p)/4 = 3/64
    less = effects.risk_difference(Y, ARM, horizon=5)
    assert less.value == pytest.approx(0.5 - 0.75)
    assert less.se == pytest.approx((1 / 16 + 3 / 64) ** 0.5)
    assert (less.lower, less.upper) == (
        pytest.approx(less.value - Z * less.se),
        pytest.approx(less.value + Z * less.se),
    )
    assert (less.n, less.n_events) == (8, 5)
    assert less.name == "Difference of the risk of leaving within 5, offer - none"
    ratio = effects.risk_ratio(Y, ARM, horizon=5)
    log_se = (1 / 16 / 0.25 + 3 / 64 / 0.5625) ** 0.5
    assert ratio.value == pytest.approx(2 / 3)
    assert ratio.se == pytest.approx(2 / 3 * log_se)
    assert ratio.upper == pytest.approx(2 / 3 * np.exp(Z * log_se))


def test_a_cause_among_several_has_its_cumulative_incidence_not_one_minus_its_kaplan_meier():
    # offer: attrition 1/4 at 2, default at 4 of 3 left: 3/4 · 1/3; none: attrition at 1 and 3, default at 2: 1/4 each
    less = effects.risk_difference(TWO, ARM, horizon=5, cause="attrition")
    assert less.value == pytest.approx(1 / 4 - 1 / 2)
    lost = effects.rmtl_difference(TWO, ARM, horizon=5, cause="attrition")
    assert lost.value == pytest.approx(3 / 4 - (4 + 2) / 4)
    assert "Aalen-Johansen" in lost.method
    assert "infinitesimal-jackknife" in lost.method
    # no censoring within 5: the jackknife variance of a proportion
    assert less.se == pytest.approx((0.25 * 0.75 / 4 + 0.5 * 0.5 / 4) ** 0.5)


def test_restricted_times_have_their_ratio_on_the_log_scale():
    ratio = effects.rmst_ratio(Y, ARM, horizon=6)
    assert ratio.value == pytest.approx(4.5 / 3)
    log_se = (0.6875 / 4.5**2 + 0.875 / 3**2) ** 0.5
    assert (ratio.lower, ratio.upper) == (
        pytest.approx(1.5 * np.exp(-Z * log_se)),
        pytest.approx(1.5 * np.exp(Z * log_se)),
    )
    assert effects.rmtl_ratio(Y, ARM, horizon=6).value == pytest.approx(1.5 / 3)


def test_the_number_needed_to_treat_inverts_the_interval_of_the_difference():
    y = cs.Outcome([12] * 30 + [3] * 10 + [12] * 12 + [3] * 28, [0] * 30 + [1] * 10 + [0] * 12 + [1] * 28)
    arm = np.repeat(["offer", "none"], 40)
    less, nnt = (f(y, arm, horizon=6) for f in (effects.risk_difference, effects.number_needed_to_treat))
    assert nnt.value == pytest.approx(-1 / less.value)
    assert (nnt.lower, nnt.upper) == (pytest.approx(-1 / less.lower), pytest.approx(-1 / less.upper))
    assert nnt.lower < nnt.value < nnt.upper
    harm = effects.number_needed_to_treat(y, arm, horizon=6, reference="offer")
    assert (harm.value, harm.lower, harm.upper) == tuple(pytest.approx(-v) for v in (nnt.value, nnt.upper, nnt.lower))


def test_a_number_needed_to_treat_through_infinity_says_so():
    less = effects.risk_difference(Y, ARM, horizon=5)
    with pytest.warns(SmallSampleWarning, match="through infinity"):
        nnt = effects.number_needed_to_treat(Y, ARM, horizon=5)
    assert (nnt.value, nnt.lower, nnt.upper) == (pytest.approx(4), -np.inf, np.inf)
    assert (
        f"disjoint: {-1 / less.lower:.4g} or more to prevent one or {1 / less.upper:.4g} or more to cause one"
        in nnt.method
    )
    equal = cs.Outcome([1, 2, 3, 1, 2, 3], [1, 1, 0, 1, 1, 0])
    with pytest.warns(SmallSampleWarning):
        assert effects.number_needed_to_treat(equal, list("aaabbb"), horizon=2).value == np.inf


def test_medians_and_their_interval_are_made_of_the_arms_own():
    y, arm = trial(3, causes=False)
    later = effects.median_difference(y, arm)
    km = cs.KaplanMeier().fit(y, by=arm, conf_type="log-log").median()
    base, other = km["none"], km["offer"]
    assert later.value == other.value - base.value
    assert later.lower == pytest.approx(later.value - np.hypot(other.value - other.lower, base.upper - base.value))
    assert later.upper == pytest.approx(later.value + np.hypot(other.upper - other.value, base.value - base.lower))
    quarter = effects.median_difference(y, arm, share=0.25)
    assert quarter.name == "Difference of the time by which 25% have left, offer - none"


def test_a_median_that_an_arm_does_not_reach_is_refused_and_an_open_end_is_infinite():
    y = cs.Outcome([1, 2, 9, 9, 9, 1, 2, 3, 4, 9], [1, 1, 0, 0, 0, 1, 1, 1, 1, 0])
    with pytest.raises(DataError, match=r"Only 40.0% of arm 'a' have left .* smaller share"):
        effects.median_difference(y, list("aaaaabbbbb"))
    # the bound of a's curve never falls to 0.6: its own interval has no upper end
    b_later = effects.median_difference(y, list("aaaaabbbbb"), share=0.4)
    assert b_later.lower == -np.inf
    assert np.isfinite(b_later.upper)
    assert effects.median_difference(y, list("aaaaabbbbb"), share=0.4, reference="b").upper == np.inf


def test_retained_months_are_the_time_not_lost_and_add_up_over_customers():
    lost = effects.rmtl_difference(TWO, ARM, horizon=5, cause="attrition")
    each = effects.retained_months(TWO, ARM, horizon=5, cause="attrition")
    total = effects.retained_months(TWO, ARM, horizon=5, cause="attrition", customers=200)
    assert (each.value, each.se, each.lower) == (
        pytest.approx(-lost.value),
        pytest.approx(lost.se),
        pytest.approx(-lost.upper),
    )
    assert (total.value, total.se, total.upper) == tuple(
        pytest.approx(200 * v) for v in (each.value, each.se, each.upper)
    )
    assert effects.retained_months(Y, ARM, horizon=6).value == effects.rmst_difference(Y, ARM, horizon=6).value
    assert total.name.endswith("in 200 customers, offer - none")


def test_the_retained_balance_is_the_mean_balance_still_there():
    balance = np.array([100.0, 300, 200, 400, 100, 200, 300, 400])
    kept = effects.retained_balance(Y, ARM, balance, horizon=3)
    # nobody is censored by 3: shares of the arms' balance still there, times the mean balance of all
    assert kept.value == pytest.approx(250 * (900 / 1000 - 400 / 1000))
    total = effects.retained_balance(Y, ARM, balance, horizon=3, customers=40)
    assert (total.value, total.se) == (pytest.approx(40 * kept.value), pytest.approx(40 * kept.se))
    alike = effects.retained_balance(Y, ARM, np.full(8, 50.0), horizon=5)
    less = effects.risk_difference(Y, ARM, horizon=5, sample_weight=np.ones(8))
    assert (alike.value, alike.se) == (pytest.approx(-50 * less.value), pytest.approx(50 * less.se))


def test_hazard_ratios_are_those_of_the_models():
    y, arm = trial(1)
    X = pd.DataFrame({"offer": (arm == "offer").astype(float)})
    ours = effects.hazard_ratio(y, arm, cause="attrition")
    row = cs.CoxPH(cause="attrition").fit(X, y).summary().loc["offer"]
    assert (ours.value, ours.lower, ours.upper) == tuple(
        pytest.approx(row[c]) for c in ("hazard_ratio", "hr_lower", "hr_upper")
    )
    assert ours.se == pytest.approx(row["hazard_ratio"] * row["se"])
    ours = effects.subdistribution_hazard_ratio(y, arm, cause="attrition")
    row = cs.FineGray("attrition").fit(X, y).summary().loc["offer"]
    assert (ours.value, ours.lower, ours.upper) == tuple(
        pytest.approx(row[c]) for c in ("hazard_ratio", "hr_lower", "hr_upper")
    )
    any_cause = effects.hazard_ratio(y, arm)
    close(any_cause, effects.hazard_ratio(cs.Outcome(y.stop, y.event > 0), arm))
    assert (any_cause.n, any_cause.n_events) == (300, y.n_events)


# ---- identities ----


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(sorted(AT_HORIZON)), late=st.booleans())
def test_row_order_splitting_and_the_unit_of_time_change_nothing(seed, name, late):
    y, arm = trial(seed, 120, late)
    assume(effects.risk_difference(y, arm, horizon=3).n_events > 4)
    effect, options = AT_HORIZON[name], {"horizon": 6.0} | ({"cause": "attrition"} if name in PER_CAUSE else {})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            base = effect(y, arm, **options)
            order = np.random.default_rng(seed).permutation(len(y))
            close(effect(y[order], arm[order], **options), base)
            middle = (y.start + y.stop) / 2
            split = cs.Outcome(
                np.concatenate((middle, y.stop)),
                np.concatenate((0 * y.event, y.event)),
                np.concatenate((y.start, middle)),
                np.tile(np.arange(len(y)), 2),
                y.causes,
            )
            close(effect(split, np.tile(arm, 2), **options), base)
            days = cs.Outcome(y.stop * 30, y.event, y.start * 30 if late else None, causes=y.causes)
            in_days = effect(days, arm, **{**options, "horizon": 180.0})
    except ChurnSurvError:
        assume(False)
    unit = 1 if name.endswith("ratio") or name.startswith("risk") else 30
    assert (in_days.value, in_days.se) == (pytest.approx(unit * base.value), pytest.approx(unit * base.se))


@pytest.mark.parametrize("name", sorted(AT_HORIZON))
def test_weights_of_one_give_the_jackknife_and_their_scale_does_not_matter(name):
    y, arm = trial(4)
    options = {"horizon": 9.0} | ({"cause": "attrition"} if name in PER_CAUSE else {})
    one = AT_HORIZON[name](y, arm, sample_weight=np.ones(300), **options)
    close(AT_HORIZON[name](y, arm, sample_weight=np.full(300, 2.5), **options), one)
    close(AT_HORIZON[name](y, arm, cluster=np.arange(300), **options), one)
    plain = AT_HORIZON[name](y, arm, **options)
    assert one.value == pytest.approx(plain.value)
    assert one.se == pytest.approx(plain.se, rel=0.02)
    # whole weights are sampling weights too: the value of replicated rows, not their variance
    double = AT_HORIZON[name](y, arm, sample_weight=np.where(np.arange(300) % 3 == 0, 2, 1), **options)
    copies = y.resample(np.concatenate((np.arange(300), np.arange(0, 300, 3))))
    labels = np.concatenate((arm, arm[::3]))
    again = AT_HORIZON[name](copies, labels, **options)
    assert double.value == pytest.approx(again.value)
    twins = np.concatenate((np.arange(300), np.arange(0, 300, 3)))
    assert double.se == pytest.approx(AT_HORIZON[name](copies, labels, cluster=twins, **options).se)


def test_causes_add_up_to_any_cause():
    y, arm = trial(5, late=True)
    for effect in (effects.risk_difference, effects.rmtl_difference):
        parts = [effect(y, arm, horizon=9, cause=cause).value for cause in y.causes]
        assert sum(parts) == pytest.approx(effect(y, arm, horizon=9).value)
    assert effects.rmst_difference(y, arm, horizon=9).value == pytest.approx(
        -effects.rmtl_difference(y, arm, horizon=9).value
    )


def test_one_cause_alone_is_any_cause():
    y, arm = trial(6, causes=False)
    close(effects.risk_difference(y, arm, horizon=9, cause="event"), effects.risk_difference(y, arm, horizon=9))


@pytest.mark.parametrize("name", sorted(AT_HORIZON))
def test_strata_are_averaged_by_their_shares_of_all_customers(name):
    y, arm = trial(7, 400)
    stratum = np.random.default_rng(7).choice(["east", "north", "west"], 400, p=[0.2, 0.5, 0.3])
    options = {"horizon": 9.0} | ({"cause": "attrition"} if name in PER_CAUSE else {})
    found = AT_HORIZON[name](y, arm, strata=stratum, **options)
    assert "standardised to the shares of 3 strata" in found.method
    assert (found.n, found.n_events) == tuple(
        getattr(AT_HORIZON[name](y, arm, **options), part) for part in ("n", "n_events")
    )
    one = AT_HORIZON[name](y, arm, strata=np.repeat("all", 400), **options)
    close(one, AT_HORIZON[name](y, arm, **options))
    if name.endswith("ratio"):
        return
    parts = [AT_HORIZON[name](y[stratum == s], arm[stratum == s], **options) for s in np.unique(stratum)]
    shares = np.unique(stratum, return_counts=True)[1] / 400
    assert found.value == pytest.approx(np.dot(shares, [p.value for p in parts]))
    assert found.se == pytest.approx(np.dot(shares**2, [p.se**2 for p in parts]) ** 0.5)


def test_a_customer_with_loans_in_two_strata_counts_as_one_unit():
    y, arm = trial(8, 200)
    twice = cs.Outcome(np.tile(y.stop, 2), np.tile(y.event, 2), causes=y.causes)
    options = {"horizon": 9, "cause": "attrition", "strata": np.repeat(["car", "home"], 200)}
    found = effects.risk_difference(twice, np.tile(arm, 2), cluster=np.tile(np.arange(200), 2), **options)
    assert found.se == pytest.approx(effects.risk_difference(y, arm, horizon=9, cause="attrition").se)
    assert found.n == 400  # loans, as everywhere


def test_stratified_arms_begin_at_one_origin():
    y = cs.Outcome([5, 6, 7, 8, 5, 6, 7, 9], [1] * 8, start=[0, 0, 2, 2, 1, 1, 0, 0])
    arm, stratum = list("aabbaabb"), [1, 1, 1, 1, 2, 2, 2, 2]
    assert "from 2" in effects.risk_difference(y, arm, horizon=5, strata=stratum).method


def test_late_entry_conditions_on_being_there():
    # arm b is seen from 2 on: the horizon begins at 2 for both
    y = cs.Outcome([1, 4, 5, 7, 4, 6, 9], [1] * 7, start=[0, 0, 0, 0, 2, 2, 2])
    less = effects.risk_difference(y, list("aaaabbb"), horizon=3)
    assert less.value == pytest.approx(1 / 3 - 2 / 3)
    assert "delayed entry, from 2" in less.method


def test_few_clusters_are_pointed_out():
    y, arm = trial(9, 120)
    with pytest.warns(SmallSampleWarning, match="6 clusters.*too short"):
        effects.risk_difference(y, arm, horizon=6, cluster=np.arange(120) % 6 + 10 * (arm == "offer"))


# ---- bad input ----


@pytest.mark.parametrize("name", [*sorted(AT_HORIZON), "hazard_ratio", "median_difference", "number_needed_to_treat"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arm": np.repeat("offer", 8)}, "All rows are in arm 'offer'"),
        ({"arm": np.repeat(["offer", "none"], [7, 1])}, "Arm 'none' has one customer only"),
        ({"arm": ["a"] * 4 + ["b"] * 3 + [None]}, r"arm has 1 missing value \(row 7\)"),
        ({"arm": ["a", "b", "c", "a", "b", "c", "a", "b"]}, "There are 3 arms"),
        ({"arm": ["offer"]}, "arm has shape"),
        ({"reference": "control"}, "reference='control' is no arm"),
        ({"sample_weight": [1, 1, 1, 0, 1, 1, 1, 1]}, r"sample_weight is 0 in 1 row \(row 3\)"),
        ({"sample_weight": [1, 1, 1, -2, 1, 1, 1, 1]}, "negative value"),
        ({"sample_weight": [1, 1, 1, np.nan, 1, 1, 1, 1]}, "missing value"),
        ({"sample_weight": [1, 1]}, "sample_weight has shape"),
        ({"level": 95}, "level=95 is no confidence level"),
    ],
)
def test_bad_arguments_are_named(name, change, message):
    options = {"horizon": 5} if name in AT_HORIZON or name == "number_needed_to_treat" else {}
    options |= change
    with pytest.raises(DataError, match=message):
        getattr(effects, name)(Y, options.pop("arm", ARM), **options)


@pytest.mark.parametrize("name", [*sorted(AT_HORIZON), "number_needed_to_treat"])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"horizon": 0}, DataError, "positive number"),
        ({"horizon": -3}, DataError, "positive number"),
        ({"horizon": "a"}, DataError, "horizon='a' is not a finite number"),
        ({"horizon": 5, "min_at_risk": 2.5}, DataError, "min_at_risk=2.5"),
        ({"horizon": 5, "strata": list("aaabcccc")}, DataError, "fewer than two customers of arm"),
        ({"horizon": 5, "strata": [1, 1, 2, 2]}, DataError, "strata has shape"),
        ({"horizon": 0.5}, TooFewEventsError, "Arm 'none', 'offer' has no event within 0.5"),
        ({"horizon": 1.5}, TooFewEventsError, "Arm 'offer' has no event within 1.5"),
    ],
)
def test_bad_horizons_and_strata_are_named(name, options, error, message):
    with pytest.raises(error, match=message):
        AT_HORIZON.get(name, effects.number_needed_to_treat)(Y, ARM, **options)


def test_a_horizon_beyond_the_support_of_an_arm_or_a_stratum_is_refused():
    y = cs.Outcome([1, 3, 5, 2, 6, 9], [1, 1, 0, 1, 1, 0])
    with pytest.raises(DataError, match="arm 'a' .* Ask for at most 5"):
        effects.risk_difference(y, list("aaabbb"), horizon=7)
    y, arm = trial(2)
    early = np.where(np.arange(300) % 3 == 0, "new", "old")
    stop = np.where(early == "new", np.minimum(y.stop, 4), y.stop)
    cut = cs.Outcome(stop, np.where(stop < y.stop, 0, y.event), causes=y.causes)
    with pytest.raises(DataError, match="arm 'none' in stratum 'new' .* Ask for at most 4"):
        effects.risk_difference(cut, arm, horizon=9, strata=early)


def test_a_cause_that_an_arm_does_not_have_is_refused():
    y = cs.Outcome([1, 2, 3, 4, 1, 2, 3, 4], [1, 1, 2, 0, 1, 1, 0, 0], causes=("attrition", "default"))
    arm = np.repeat(["a", "b"], 4)
    for effect in (effects.risk_difference, effects.rmtl_ratio):
        with pytest.raises(TooFewEventsError, match="Arm 'b' has no event of cause 'default' within 4"):
            effect(y, arm, horizon=4, cause="default")
        with pytest.raises(DataError, match="Cause 'death' is unknown"):
            effect(y, arm, horizon=4, cause="death")
    for effect in (effects.hazard_ratio, effects.subdistribution_hazard_ratio):
        with pytest.raises(TooFewEventsError, match="Arm 'b' has no event of cause 'default'"):
            effect(y, arm, cause="default")
        with pytest.raises(DataError, match="'death'"):
            effect(y, arm, cause="death")


def test_subjects_across_arms_or_strata_and_recurrent_events_are_refused():
    y = cs.Outcome([2, 5, 4, 6, 7, 3], [0, 1, 1, 1, 0, 1], start=[0, 2, 0, 0, 0, 0], subject=[1, 1, 2, 3, 4, 5])
    with pytest.raises(DataError, match="1 subject with rows in both arms"):
        effects.risk_difference(y, list("abaabb"), horizon=4)
    with pytest.raises(DataError, match="1 subject with rows in several strata .*time zero"):
        effects.risk_difference(y, list("aaaabb"), horizon=4, strata=list("xyxyxy"))
    again = cs.Outcome([2, 5, 6, 6], [1, 1, 0, 0], start=[0, 2, 0, 0], subject=[1, 1, 2, 3], recurrent=True)
    for effect in (effects.risk_ratio, effects.retained_months):
        with pytest.raises(NotIdentifiedError, match="recurrent events"):
            effect(again, [0, 0, 1, 1], horizon=2)
    for effect in (effects.hazard_ratio, effects.median_difference):
        with pytest.raises(NotIdentifiedError, match="recurrent events"):
            effect(again, [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ([100] * 7 + [0], r"balance is 0 in 1 row \(row 7\)"),
        ([100] * 7 + [-5], "balance has 1 negative value"),
        ([100] * 3, "balance has shape"),
        (["much"] * 8, "not numeric"),
    ],
)
def test_balances_that_cannot_be_are_refused(balance, message):
    with pytest.raises(DataError, match=message):
        effects.retained_balance(Y, ARM, balance, horizon=3)


def test_balances_that_change_within_a_subject_are_refused():
    y = cs.Outcome([2, 5, 4, 6, 7], [0, 1, 1, 1, 0], start=[0, 2, 0, 0, 0], subject=[1, 1, 2, 3, 4])
    with pytest.raises(DataError, match="balance changes within 1 subject .* at time zero"):
        effects.retained_balance(y, list("aaabb"), [5, 4, 5, 5, 5], horizon=4)
    with pytest.raises(DataError, match="customers=0"):
        effects.retained_months(Y, ARM, horizon=4, customers=0)
