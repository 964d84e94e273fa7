"""Designs line loans up at time zero, count who is left out, and refuse what cannot be lined up."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.effects import (
    Encouragement,
    Landmark,
    Randomised,
    StaggeredRollout,
    TimeVaryingTreatment,
    treatment_episodes,
)
from churnsurv.effects import design_estimates as of
from churnsurv.exceptions import (
    DataError,
    ImmortalTimeError,
    NotIdentifiedError,
    SmallSampleWarning,
    TooFewEventsError,
)
from tests.effects.lender import assigned, day, random_loans, spells_of

ZERO = day("2025-01")


@pytest.fixture(scope="module")
def loans():
    return random_loans(240, seed=5)


@pytest.fixture(scope="module")
def spells(loans):
    return spells_of(loans)


@pytest.fixture(scope="module")
def trial(loans):
    """A draw by loan in January 2025, to which loans that had left before were invited too."""
    arm = np.where(np.random.default_rng(1).random(len(loans)) < 0.5, "offer", "none")
    return assigned(loans["loan_id"], "offer", ZERO, arm)


@pytest.fixture(scope="module")
def calls(loans):
    """Calls of a third of the loans, each at a date of its own while the loan was there."""
    rng = np.random.default_rng(2)
    rows = []
    for loan in loans.sample(frac=0.4, random_state=3).itertuples():
        month = pd.Period("2025-01", "M") + int(rng.integers(0, 9))
        if (loan.exit is None or loan.exit > month) and pd.Period(loan.opened, "M") < pd.Period("2025-01", "M"):
            rows.append((loan.loan_id, month.end_time.normalize()))
    table = pd.DataFrame(rows, columns=["loan_id", "assigned_on"])
    return table.assign(intervention="call", arm="call")


RANDOMISED = Randomised(intervention="offer", treated="offer", control="none", follow_up=10)


# what is lined up


def test_loans_are_followed_from_their_assignment_and_the_others_are_counted(loans, spells, trial):
    cohort = RANDOMISED.cohort(spells, trial)
    there = loans[[e is None or e > pd.Period("2025-01", "M") for e in loans["exit"]]]
    assert len(cohort) == len(there)
    flow = cohort.flow().set_index("step")["loans"]
    assert flow["assigned"] == 240 == flow.iloc[1:].sum()
    assert flow["left or last observed before time zero"] == 240 - len(there)
    months = [10 if e is None else min((e - pd.Period("2025-01", "M")).n, 10) for e in there["exit"]]
    np.testing.assert_array_equal(cohort.y.stop, months)
    left = [e is not None and (e - pd.Period("2025-01", "M")).n <= 10 for e in there["exit"]]
    np.testing.assert_array_equal(cohort.y.event > 0, left)
    kinds = np.where(left, np.where(there["kind"] == "gone", "attrition", "default"), "")
    np.testing.assert_array_equal([("", *cohort.y.causes)[k] for k in cohort.y.event], kinds)
    ages = [(pd.Period("2025-02", "M") - pd.Period(o, "M")).n for o in there["opened"]]
    np.testing.assert_array_equal(cohort.X["age"], ages)
    arms = trial.set_index("loan_id")["arm"].reindex(there["loan_id"])
    np.testing.assert_array_equal(cohort.arm, arms)


def test_a_cohort_is_frozen_and_knows_no_identifier_nor_the_interventions_own_column(spells, trial):
    cohort = RANDOMISED.cohort(spells, trial)
    with pytest.raises(FrozenInstanceError):
        cohort.arm = None
    with pytest.raises(ValueError, match="read-only"):
        cohort.arm[0] = "offer"
    assert "offer" not in cohort.X.columns
    assert not {"loan_id", "customer_id"} & set(cohort.X.columns)
    assert cohort.y.subject.max() < 240
    assert cohort.cluster.max() < 120


def test_the_order_of_the_assignments_changes_nothing(spells, trial):
    one = RANDOMISED.estimate(RANDOMISED.cohort(spells, trial)).to_frame()
    other = RANDOMISED.estimate(RANDOMISED.cohort(spells, trial.sample(frac=1, random_state=9))).to_frame()
    pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_the_cohort_fits_the_tests_and_effects_of_the_package(spells, trial):
    cohort = RANDOMISED.cohort(spells, trial)
    assert cs.effects.logrank_test(cohort.y, cohort.arm, strata=cohort.strata).df == 1
    result = RANDOMISED.estimate(cohort)
    again = cs.CoxPH(cause="attrition").fit(pd.DataFrame({"t": cohort.is_treated}), cohort.y, cluster=cohort.cluster)
    assert result["hazard_ratio", "attrition"].value == pytest.approx(np.exp(again.coef_["t"]), rel=1e-12)
    assert result["hazard_ratio", "attrition"].lower == pytest.approx(again.summary()["hr_lower"].iloc[0], rel=1e-9)
    assert set(result.effects) == {
        (m, c) for m in ("hazard_ratio", "risk_difference") for c in ("attrition", "default")
    }
    adjusted = RANDOMISED.estimate(cohort, adjust=["age", "segment"])
    assert "adjusted for age, segment" in adjusted["hazard_ratio", "attrition"].method
    one, listed = (RANDOMISED.estimate(cohort, adjust=a)["hazard_ratio", "attrition"] for a in ("age", ["age"]))
    assert (one.value, one.method) == (listed.value, listed.method)


def test_draws_at_several_dates_are_strata(spells, loans):
    half = loans["loan_id"] % 4 < 2
    arm = np.where(loans["loan_id"] % 2 == 0, "offer", "none")
    table = assigned(loans["loan_id"], "offer", np.where(half, ZERO, day("2025-03")), arm)
    cohort = RANDOMISED.cohort(spells, table)
    assert sorted(set(cohort.strata)) == ["2025-01-31", "2025-03-31"]
    assert "stratified" in RANDOMISED.estimate(cohort)["hazard_ratio", "attrition"].method


def test_a_draw_that_goes_on_for_months_is_stratified_by_the_month(spells, loans):
    rng = np.random.default_rng(11)
    arm = np.where(rng.random(len(loans)) < 0.5, "offer", "none")
    date = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 119, len(loans)), unit="D")
    rolling = assigned(loans["loan_id"], "offer", date, arm)
    cohort = RANDOMISED.cohort(spells, rolling)
    assert sorted(set(cohort.strata)) == ["2024-12-31", "2025-01-31", "2025-02-28", "2025-03-31"]
    # as if all had been drawn at the end of the month before
    before = (date + pd.Timedelta(days=1)).to_period("M").start_time - pd.Timedelta(days=1)
    other = RANDOMISED.cohort(spells, rolling.assign(assigned_on=before))
    np.testing.assert_array_equal(cohort.strata, other.strata)
    np.testing.assert_array_equal(cohort.y.stop, other.y.stop)
    assert RANDOMISED.estimate(cohort, safety=None)["hazard_ratio", "attrition"].value > 0
    # a loan by itself in its month was drawn to one arm, as it must; it compares nothing
    alone = rolling.assign(assigned_on=date.where(loans["loan_id"] != 7, pd.Timestamp("2025-06-15")))
    RANDOMISED.cohort(spells, alone)
    offers_later = rolling.assign(assigned_on=date + pd.to_timedelta(np.where(arm == "offer", 150, 0), unit="D"))
    with pytest.raises(ImmortalTimeError, match="In the month after .* one arm only"):
        RANDOMISED.cohort(spells, offers_later)


def test_eligibility_is_what_was_known_at_time_zero(spells, trial):
    cohort = replace(RANDOMISED, eligible="age >= 10 and segment == 'young'").cohort(spells, trial)
    assert cohort.X["age"].min() >= 10
    assert set(cohort.X["segment"]) == {"young"}
    assert cohort.flow().set_index("step")["loans"]["not eligible"] > 0


def test_the_baseline_table_compares_means_and_shares(spells, trial):
    cohort = RANDOMISED.cohort(spells, trial)
    table = cohort.baseline_table(["age", "segment"])
    x, z = (cohort.X["age"][cohort.arm == arm] for arm in ("offer", "none"))
    expected = (x.mean() - z.mean()) / np.sqrt((x.var(ddof=0) + z.var(ddof=0)) / 2)
    assert table.loc["age", "standardised_difference"] == pytest.approx(expected)
    young = cohort.X["segment"] == "young"
    assert table.loc["segment=young", "mean_offer"] == pytest.approx(young[cohort.arm == "offer"].mean())


def test_treated_time_begins_with_the_first_month_after_the_treatment(loans, spells, calls):
    cohort = TimeVaryingTreatment(intervention="call", since=day("2024-12")).cohort(spells, calls)
    dates = calls.set_index("loan_id")["assigned_on"]
    frame = spells.frame[spells.frame["period"] >= "2025-01-01"]
    treated = (frame["period"] > frame["loan_id"].map(dates)).to_numpy()
    np.testing.assert_array_equal(cohort.is_treated, treated)
    month = (frame["period"].dt.to_period("M").astype("int64") - pd.Period("2024-12", "M").ordinal).to_numpy()
    np.testing.assert_array_equal(cohort.y.stop, month)
    # late ones enter late: nobody is at risk before he is there
    assert (cohort.y.start == cohort.y.stop - 1).all()


def test_loans_treated_at_time_zero_are_treated_from_the_beginning(loans, spells, calls):
    cohort = TimeVaryingTreatment(intervention="call", since=ZERO, prevalent="leave out").cohort(spells, calls)
    assert np.sum(cohort.is_treated[cohort.y.start == 0]) == (calls["assigned_on"] == ZERO).sum() > 0
    # a loan that comes with the treatment has no untreated time, nor was anybody there to see it leave
    late = loans[[pd.Period(o, "M") > pd.Period("2024-10", "M") for o in loans["opened"]]].iloc[:3]
    with_late = pd.concat([calls, assigned(late["loan_id"], "call", late["opened"] - pd.offsets.MonthEnd(1), "call")])
    design = TimeVaryingTreatment(intervention="call", since=day("2024-09"))
    with pytest.raises(DataError, match="3 loans treated by 'call' before time zero or before they enter"):
        design.cohort(spells, with_late)


def test_after_the_follow_up_a_treated_loan_says_nothing_more(spells, calls):
    design = TimeVaryingTreatment(intervention="call", since=day("2024-12"))
    everything, short = (replace(design, follow_up=k).cohort(spells, calls) for k in (None, 3))
    n = pd.Series(short.is_treated).groupby(short.y.subject).sum()
    assert n.max() == 3
    assert (everything.is_treated == 0).sum() == (short.is_treated == 0).sum()


def test_a_landmark_compares_the_treated_by_the_date_with_those_who_wait_until_they_are_treated(loans, spells, calls):
    design = Landmark(intervention="call", dates=[day("2025-02"), day("2025-05")], follow_up=6)
    cohort = design.cohort(spells, calls)
    dates = calls.set_index("loan_id")["assigned_on"].dt.to_period("M")
    for zero in ("2025-02", "2025-05"):
        month = pd.Period(zero, "M")
        here = np.char.startswith(cohort.strata.astype(str), str(month.end_time.date()))
        assert np.sum(here & (cohort.is_treated == 1)) == (dates == month).sum()
        there = loans[[pd.Period(o, "M") <= month for o in loans["opened"]]]
        there = there[[e is None or e > month for e in there["exit"]]].set_index("loan_id")
        earlier = dates.reindex(there.index) < month
        assert here.sum() == len(there) - earlier.sum()
        # a control's time ends with its own treatment
        wait = (dates.reindex(there.index[~earlier]) - month).map(lambda d: getattr(d, "n", np.nan)).astype(float)
        until = np.where(wait > 0, wait, 6).clip(max=6)
        assert (cohort.y.stop[here] <= until).all()


def test_a_landmark_with_a_horizon_compares_risks_at_the_dates_of_the_treated(spells, calls):
    design = Landmark(intervention="call", dates=[day("2025-02"), day("2025-05")], follow_up=6, age_band=6)
    cohort = design.cohort(spells, calls)
    found = design.estimate(cohort, horizon=5, safety=None)["risk_difference", "attrition"]
    weight = np.ones(len(cohort))
    for zero in np.unique(cohort.strata):
        n = [np.sum((cohort.strata == zero) & (cohort.is_treated == k)) for k in (0, 1)]
        weight[(cohort.strata == zero) & (cohort.is_treated == 0)] = n[1] / n[0] if n[0] else 0
        weight[(cohort.strata == zero) & (cohort.is_treated == 1)] = n[0] > 0
    curves = cs.AalenJohansen().fit(cohort.y, by=cohort.arm, sample_weight=weight).curves_
    risk = dict(zip(curves.index, curves.at([5]).cumulative_incidence("attrition")[:, 0], strict=True))
    assert found.value == pytest.approx(risk["call"] - risk["untreated"], abs=1e-12)


def test_weights_of_ones_are_no_weights(spells, calls):
    design = Landmark(intervention="call", dates=[day("2025-02"), day("2025-05")], follow_up=6)
    cohort = design.cohort(spells, calls)
    plain = design.estimate(cohort, safety=None, horizon=5)
    ones = design.estimate(cohort, safety=None, horizon=5, sample_weight=np.ones(len(cohort)))
    for key in plain.effects:
        assert ones[key].value == pytest.approx(plain[key].value, rel=1e-10)
        assert ones[key].se == pytest.approx(plain[key].se, rel=1e-8)
    scaled = design.estimate(cohort, safety=None, horizon=5, sample_weight=np.where(cohort.arm == "call", 3.0, 0.5))
    key = ("risk_difference", "attrition")
    assert scaled[key].value == pytest.approx(plain[key].value, rel=1e-10)
    assert scaled[key].se == pytest.approx(plain[key].se, rel=1e-10)


# an invitation


@pytest.fixture(scope="module")
def invited(loans, trial):
    rng = np.random.default_rng(4)
    customer = dict(zip(loans["customer_id"].unique(), rng.random(120) < 0.5, strict=True))
    arm = loans["customer_id"].map(customer)
    joins = arm & (rng.random(len(loans)) < 0.6)
    table = assigned(loans["loan_id"], "advice", ZERO, np.where(arm, "invited", "not"))
    return table.assign(uptake_on=pd.Series(day("2025-02"), table.index).where(joins))


ENCOURAGED = Encouragement(intervention="advice", treated="invited", control="not", follow_up=10)


def test_the_effect_on_compliers_is_the_ratio_of_the_differences(spells, invited):
    cohort = ENCOURAGED.cohort(spells, invited)
    result = ENCOURAGED.estimate(cohort, safety=None)
    share = np.isfinite(cohort.uptake[cohort.arm == "invited"]).mean()
    assert not np.isfinite(cohort.uptake[cohort.arm == "not"]).any()
    assert result["first_stage", "uptake"].value == pytest.approx(share)
    itt, complier = (result[m, "attrition"] for m in ("risk_difference", "complier_risk_difference"))
    assert complier.value == pytest.approx(itt.value / share)
    assert complier.lower < complier.value < complier.upper
    # with so strong a first stage the interval is near the one by the delta method
    assert complier.upper - complier.lower == pytest.approx(2 * 1.96 * complier.se, rel=0.1)


def test_the_first_stage_weights_the_uninvited_to_the_dates_of_the_invited(spells, invited):
    # a date at which nearly all were invited and many took part anyway, and one at which hardly anybody did either
    cohort = ENCOURAGED.cohort(spells, invited)
    n, rng = len(cohort), np.random.default_rng(6)
    date, u = rng.random(n) < 0.5, rng.random(n)
    arm = np.where(rng.random(n) < np.where(date, 0.85, 0.15), "invited", "not").astype(object)
    uptake = _uptake(u < np.where(date, 0.6, 0.05) + 0.3 * (arm == "invited"))
    drawn = replace(cohort, arm=arm, strata=np.where(date, "d1", "d2"), uptake=uptake)
    found = ENCOURAGED.estimate(drawn, safety=None)
    share = pd.DataFrame({"date": date, "arm": arm, "took": u < np.where(date, 0.6, 0.05) + 0.3 * (arm == "invited")})
    by_date = share.pivot_table(index="date", columns="arm", values="took")
    invited_at = pd.Series(date[arm == "invited"]).value_counts(normalize=True)
    expected = ((by_date["invited"] - by_date["not"]) * invited_at).sum()
    assert found["first_stage", "uptake"].value == pytest.approx(expected, rel=1e-10)
    itt, complier = (found[m, "attrition"] for m in ("risk_difference", "complier_risk_difference"))
    assert complier.value == pytest.approx(itt.value / expected, rel=1e-10)


def _uptake(took):
    return np.where(took, 1.0, np.inf)


def test_uptake_that_the_data_do_not_reach_is_censored_and_the_horizon_holds_for_it(spells, invited):
    cohort = ENCOURAGED.cohort(spells, invited)
    # everybody who is invited takes part in the fourth month unless gone; half are seen for two months only
    short = np.arange(len(cohort)) % 2 == 0
    stop, event = (np.where(short, short_one, long) for short_one, long in (
        (np.minimum(cohort.y.stop, 2), cohort.y.stop), (np.where(cohort.y.stop > 2, 0, cohort.y.event), cohort.y.event)
    ))  # fmt: skip
    y = cs.Outcome(stop, event, subject=cohort.y.subject, causes=cohort.y.causes)
    uptake = np.where(cohort.arm == "invited", 4.0, np.inf)
    cohort = replace(cohort, y=y, uptake=uptake)
    found = ENCOURAGED.estimate(cohort, safety=None)["first_stage", "uptake"]
    rows = cohort.arm == "invited"
    first = cs.Outcome(
        np.minimum(stop, uptake), np.where(uptake <= stop, 1, np.where(event > 0, 2, 0)), causes=("uptake", "left")
    )[rows]
    table = cs.AalenJohansen().fit(first, cluster=cohort.cluster[rows]).table_.query("state == 'uptake' and time == 4")
    assert found.value == pytest.approx(table["estimate"].iloc[0], rel=1e-10)
    assert found.se == pytest.approx(table["se"].iloc[0], rel=1e-8)
    # of those who are still there in the fourth month all take part; a count would make it half as many
    assert found.value > 1.5 * np.mean(uptake[rows] <= stop[rows])
    with pytest.raises(NotIdentifiedError, match="no first stage"):
        ENCOURAGED.estimate(cohort, safety=None, horizon=3)


def test_everybody_and_only_the_invited_taking_part_leaves_the_effect_of_the_invitation(spells, invited):
    cohort = ENCOURAGED.cohort(spells, invited)
    cohort = replace(cohort, uptake=_uptake(cohort.arm == "invited"))
    gone = cohort.y.stop == 0
    cohort = of.part_of(cohort, ~gone)
    found = ENCOURAGED.estimate(cohort, safety=None)
    assert (found["first_stage", "uptake"].value, found["first_stage", "uptake"].se) == (1, 0)
    itt, complier = (found[m, "attrition"] for m in ("risk_difference", "complier_risk_difference"))
    for end in ("value", "se", "lower", "upper"):
        assert getattr(complier, end) == pytest.approx(getattr(itt, end), rel=1e-9)


def test_uptake_without_times_is_refused(spells, invited):
    cohort = ENCOURAGED.cohort(spells, invited)
    with pytest.raises(DataError, match="uptake is bool: give the periods"):
        replace(cohort, uptake=np.isfinite(cohort.uptake))


def test_the_interval_of_a_ratio_holds_what_the_test_of_anderson_and_rubin_does_not_reject():
    from churnsurv.effects.design_encouragement import fieller

    lower, upper = fieller(-0.03, 0.4, 0.012**2, 0.00002, 0.05**2, 1.96)
    for end in (lower, upper):
        variance = 0.012**2 - 2 * end * 0.00002 + end**2 * 0.05**2
        assert (-0.03 - end * 0.4) ** 2 == pytest.approx(1.96**2 * variance, rel=1e-9)
    assert lower < -0.075 < upper


def test_a_weak_first_stage_is_said_and_none_is_refused(spells, loans, invited):
    few = invited["arm"].eq("invited") & (invited.groupby("arm").cumcount() < 12)
    table = invited.assign(uptake_on=pd.Series(day("2025-02"), invited.index).where(few))
    cohort = ENCOURAGED.cohort(spells, table)
    with pytest.warns(SmallSampleWarning, match="first stage is weak"):
        ENCOURAGED.estimate(cohort, safety=None)
    everywhere = invited["loan_id"] % 3 == 0
    table = invited.assign(uptake_on=pd.Series(day("2025-02"), invited.index).where(everywhere))
    with pytest.raises(NotIdentifiedError, match="no first stage"):
        ENCOURAGED.estimate(ENCOURAGED.cohort(spells, table), safety=None)
    nobody = invited.assign(uptake_on=pd.NaT)
    with pytest.raises(NotIdentifiedError, match="no first stage"):
        ENCOURAGED.estimate(ENCOURAGED.cohort(spells, nobody), safety=None)


def test_taking_part_before_the_invitation_or_without_a_date_column_is_refused(spells, invited):
    with pytest.raises(DataError, match="before the invitation"):
        ENCOURAGED.cohort(spells, invited.assign(uptake_on=day("2024-11")))
    with pytest.raises(DataError, match="no column 'uptake_on'"):
        ENCOURAGED.cohort(spells, invited.drop(columns="uptake_on"))


# refusals


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda t: t.assign(arm=t["arm"].replace("none", "hold_out")), DataError, "arm 'hold_out'.*does not know"),
        (lambda t: t[t["arm"] == "offer"], DataError, "Nobody was assigned to arm 'none'.*TimeVaryingTreatment"),
        (lambda t: t.assign(arm=t["arm"].where(t["loan_id"] > 3)), DataError, "'arm'.*missing in 3 rows"),
        (lambda t: t[(t["arm"] == "none") | (t["loan_id"] == t.loc[t["arm"] == "offer", "loan_id"].iloc[-1])],
         DataError, "one customer only|No loan is in arm"),
        (lambda t: pd.concat([t, t.iloc[:2]]), DataError, "2 loans assigned to 'offer' more than once"),
        (lambda t: t.assign(assigned_on=day("2023-06")), DataError, "outside the observed time"),
        (lambda t: t.assign(assigned_on=day("2026-06")), DataError, "outside the observed time"),
        (lambda t: t.assign(intervention="letter"), DataError, "No row of the interventions table is of 'offer'"),
        (lambda t: t.assign(assigned_on=np.where(t["arm"] == "offer", day("2025-03"), ZERO)), ImmortalTimeError,
         "one arm only.*TimeVaryingTreatment"),
    ],
)  # fmt: skip
def test_a_draw_that_cannot_be_one_is_refused(spells, trial, change, error, words):
    with pytest.raises(error, match=words):
        RANDOMISED.cohort(spells, change(trial))


def test_arms_that_date_from_after_time_zero_are_refused_with_the_remedy(spells, trial):
    with pytest.raises(ImmortalTimeError, match=r"after time zero 2024-12-31.*TimeVaryingTreatment or Landmark"):
        replace(RANDOMISED, time_zero="2024-12-31").cohort(spells, trial)
    with pytest.raises(DataError, match="before time zero 2025-02-28"):
        replace(RANDOMISED, time_zero="2025-02-28").cohort(spells, trial)


def test_customers_in_both_arms_are_refused_when_the_coin_was_tossed_by_customer(spells, trial):
    with pytest.raises(DataError, match="with loans in both arms"):
        replace(RANDOMISED, unit="customer").cohort(spells, trial)


@pytest.mark.parametrize(
    ("eligible", "words"),
    [
        ("age > 900", "leaves nobody"),
        ("ages > 9", "cannot be evaluated"),
        ("age + 1", "is no condition"),
        ("age >", "cannot be evaluated"),
    ],
)
def test_an_eligibility_that_cannot_be_used_is_refused(spells, trial, eligible, words):
    with pytest.raises(DataError, match=words):
        replace(RANDOMISED, eligible=eligible).cohort(spells, trial)


@pytest.mark.parametrize("eligible", ["stop > 6", "cause != 'attrition'", "age > 3 and stop > age"])
def test_an_eligibility_may_not_use_what_came_after_time_zero(spells, trial, invited, calls, eligible):
    for design, table in (
        (RANDOMISED, trial),
        (ENCOURAGED, invited),
        (TimeVaryingTreatment(intervention="call", since=day("2024-12")), calls),
        (Landmark(intervention="call", dates=ZERO, follow_up=6), calls),
        (StaggeredRollout(intervention="app", unit="branch", follow_up=6), {"B1": day("2025-01")}),
    ):
        with pytest.raises(ImmortalTimeError, match="not among what was known at time zero.*Use age, vintage, branch"):
            replace(design, eligible=eligible).cohort(spells, table)


def test_arms_and_dates_of_treatment_make_nobody_eligible(spells, calls, invited):
    for eligible in ("arm == 'invited' or age > 3", "uptake_on == uptake_on"):
        with pytest.raises(ImmortalTimeError, match="not among what was known"):
            replace(ENCOURAGED, eligible=eligible).cohort(spells, invited)
    design = TimeVaryingTreatment(intervention="call", since=day("2024-12"), eligible="since > 99")
    with pytest.raises(ImmortalTimeError, match="uses 'since'"):
        design.cohort(spells, calls)


def test_a_cohort_of_another_design_is_refused(spells, trial, invited, calls):
    dated = TimeVaryingTreatment(intervention="call", since=day("2024-12"))
    rollout = StaggeredRollout(intervention="app", unit="branch", follow_up=6)
    marks = Landmark(intervention="call", dates=ZERO, follow_up=6)
    tables = ((RANDOMISED, trial), (ENCOURAGED, invited), (dated, calls), (marks, calls))
    tables += ((rollout, {"B1": day("2025-01"), "B2": day("2025-03")}),)
    cohorts = [(design, design.cohort(spells, table)) for design, table in tables]
    for design, _ in cohorts:
        for other, cohort in cohorts:
            if other is not design:
                with pytest.raises(
                    DataError, match=f"lined up by {type(other).__name__} and .* by {type(design).__name__}"
                ):
                    design.estimate(cohort)
    with pytest.raises(DataError, match="with intervention='offer' and is to be estimated with intervention='letter'"):
        replace(RANDOMISED, intervention="letter").estimate(cohorts[0][1])
    with pytest.raises(DataError, match="The cohort is a DataFrame"):
        RANDOMISED.estimate(trial)
    # another horizon is asked of the same rows
    assert replace(RANDOMISED, follow_up=6).estimate(cohorts[0][1]).effects


def test_an_arm_without_exit_is_refused_and_of_the_safety_endpoint_said(spells, trial, loans):
    cohort = RANDOMISED.cohort(spells, trial)
    spared = replace(cohort, y=_without(cohort, "default"))
    with pytest.warns(SmallSampleWarning, match="Safety endpoint: No default in arm 'offer'"):
        result = RANDOMISED.estimate(spared)
    assert ("hazard_ratio", "default") not in result.effects
    assert result["risk_difference", "default"].value < 0
    with pytest.raises(TooFewEventsError, match="No attrition in arm 'offer'"):
        RANDOMISED.estimate(replace(cohort, y=_without(cohort, "attrition")))


def _without(cohort, cause):
    y, code = cohort.y, cohort.y.cause_code(cause)
    event = np.where((y.event == code) & (cohort.arm == "offer"), 0, y.event)
    return cs.Outcome(y.stop, event, subject=y.subject, causes=y.causes)


def test_a_horizon_beyond_the_data_and_unknown_names_are_refused(spells, trial):
    cohort = RANDOMISED.cohort(spells, trial)
    with pytest.raises(DataError, match="Horizon 36 is past"):
        RANDOMISED.estimate(cohort, horizon=36)
    with pytest.raises(DataError, match="No column 'ages'"):
        RANDOMISED.estimate(cohort, adjust=["ages"])
    with pytest.raises(DataError, match="renewed"):
        RANDOMISED.estimate(cohort, cause="renewed")
    with pytest.raises(DataError, match="No effect"):
        RANDOMISED.estimate(cohort)["odds_ratio", "attrition"]


@pytest.mark.parametrize(
    "wrong",
    [{"follow_up": 0}, {"follow_up": True}, {"follow_up": 2.5}, {"unit": "branch"}, {"control": "offer"}],
)
def test_a_specification_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(DataError):
        replace(RANDOMISED, **wrong)


def test_a_draw_of_whole_branches_is_pointed_to_the_rollout():
    with pytest.raises(DataError, match="unit='branch' is not known.*use StaggeredRollout"):
        replace(RANDOMISED, unit="branch")


def test_treatment_before_entry_and_after_the_exit_is_refused(loans, spells, calls):
    design = TimeVaryingTreatment(intervention="call", since=day("2025-03"))
    with pytest.raises(DataError, match="before time zero or before they enter.*prevalent='leave out'"):
        design.cohort(spells, calls)
    left_out = replace(design, prevalent="leave out").cohort(spells, calls)
    assert left_out.flow().set_index("step")["loans"]["treated before they enter"] > 0
    gone = loans[[e is not None and e < pd.Period("2025-04", "M") for e in loans["exit"]]]["loan_id"].iloc[0]
    late = pd.concat([calls[calls["loan_id"] != gone], assigned([gone], "call", day("2025-08"), ["call"])])
    for chosen in (replace(design, prevalent="leave out"), Landmark(intervention="call", dates=ZERO, follow_up=6)):
        with pytest.raises(DataError, match="treated by 'call' after it had left"):
            chosen.cohort(spells, late)


def test_nobody_untreated_nobody_treated_and_a_time_zero_outside_the_data_are_refused(loans, spells, calls):
    with pytest.raises(DataError, match="lies outside the observed time"):
        TimeVaryingTreatment(intervention="call", since="2026-03-31").cohort(spells, calls)
    with pytest.raises(DataError, match="lies outside the observed time"):
        Landmark(intervention="call", dates="2022-03-31", follow_up=6).cohort(spells, calls)
    with pytest.raises(DataError, match="No loan is in arm 'call'"):
        TimeVaryingTreatment(intervention="call", since="2025-11-30", prevalent="leave out").cohort(spells, calls)
    there = loans[[e is None or e > pd.Period("2025-01", "M") for e in loans["exit"]]]["loan_id"]
    everyone = assigned(there, "call", ZERO, "call")
    with pytest.raises(DataError, match="No loan is in arm 'untreated'"):
        Landmark(intervention="call", dates=ZERO, follow_up=6).cohort(spells, everyone)


def test_arms_sorted_by_what_came_after_the_landmark_are_refused(loans, spells, calls):
    listed = assigned(loans["loan_id"], "call", ZERO, "never")
    listed = pd.concat([calls, listed[~listed["loan_id"].isin(calls["loan_id"])]])
    with pytest.raises(ImmortalTimeError, match="by what happened after the landmark 2025-01-31"):
        Landmark(intervention="call", dates=ZERO, follow_up=6).cohort(spells, listed)


def test_several_arms_have_no_place_where_the_treated_alone_are_listed(spells, calls):
    arm = np.where(calls["loan_id"] % 2, "letter", "phone")
    with pytest.raises(DataError, match="has the arms 'letter', 'phone'"):
        TimeVaryingTreatment(intervention="call", since=day("2024-12")).cohort(spells, calls.assign(arm=arm))


# episodes of rows in hand


def test_rows_are_cut_at_the_treatment_and_nothing_is_lost():
    X = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]})
    y = cs.Outcome(stop=[4, 5, 9, 6], event=[1, 2, 0, 1], start=[0, 2, 3, 0], causes=("a", "b"))
    frame, coded, treated = treatment_episodes(X, y, [np.nan, 4, 3, 6])
    assert coded.start.tolist() == [0, 2, 4, 3, 0]
    assert coded.stop.tolist() == [4, 4, 5, 9, 6]
    assert coded.event.tolist() == [1, 0, 2, 0, 1]
    # an exit at the time of the treatment is one of the untreated: the treatment acts afterwards
    assert treated.tolist() == [False, False, True, True, False]
    assert frame["x"].tolist() == [1, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("start", "arm", "error", "words"),
    [
        ([np.nan, 1, 6], None, DataError, "1 subject treated before entry"),
        ([6, 4, np.nan], None, DataError, "1 subject treated after the exit"),
        ([np.nan, np.nan, np.nan], None, DataError, "Nobody is treated while at risk"),
        ([0, 2, 5], None, DataError, "Nobody is untreated"),
        ([1, 2], None, DataError, "one per row"),
        ([1, 3, np.nan], ["ever", "ever", "never"], ImmortalTimeError, "2 rows .*treated only after time zero"),
        ([1, 3, np.nan], ["ever", "ever", "ever"], DataError, "control='never' is no arm"),
    ],
)
def test_treatments_that_cannot_be_coded_are_refused(start, arm, error, words):
    X = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    y = cs.Outcome(stop=[4, 5, 9], event=[1, 1, 0], start=[0, 2, 5])
    with pytest.raises(error, match=words):
        treatment_episodes(X, y, start, arm=arm, control="never")


def test_episodes_of_a_list_are_refused():
    with pytest.raises(DataError, match="X is a list: give a DataFrame"):
        treatment_episodes([[1.0], [2.0]], cs.Outcome(stop=[4, 9], event=[0, 1]), [2, np.nan])


def test_rows_of_a_subject_must_agree_on_the_treatment():
    X = pd.DataFrame({"x": [1.0, 2.0]})
    y = cs.Outcome(stop=[4, 9], event=[0, 1], start=[0, 4], subject=["a", "a"])
    with pytest.raises(DataError, match="differs between the rows of 1 subject"):
        treatment_episodes(X, y, [5, 6])
