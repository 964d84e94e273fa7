"""Interventions are assigned as stated, their true effects are those of forced worlds, naive comparisons mislead as told."""

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import build_spells, simulate
from churnsurv.data.synthetic.effects import true_effect
from churnsurv.data.synthetic.hazards import CAUSES
from churnsurv.data.synthetic.interventions import HORIZON, INTERVENTIONS
from churnsurv.data.synthetic.rules import INTERVENTIONS as INDICATORS
from churnsurv.data.synthetic.world import World

NAMES = [spec.name for spec in INTERVENTIONS]
BY_DESIGN = {
    d: [s.name for s in INTERVENTIONS if s.design == d] for d in ("randomised", "encouraged", "dated", "staggered")
}


@pytest.fixture(scope="module")
def portfolio():
    return simulate(10_000, seed=21)


@pytest.fixture(scope="module")
def spells(portfolio):
    return build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)


@pytest.fixture(scope="module")
def truth(portfolio):
    return portfolio.truth["interventions"]


def rows_of(portfolio, name):
    return portfolio.interventions.query("intervention == @name")


def test_every_intervention_of_the_catalogue_is_there(portfolio, truth):
    assert list(truth) == NAMES == list(INDICATORS)
    assert [what["reference"] for what in truth.values()] == [f"I{number}" for number in range(1, 12)]
    assert set(portfolio.interventions["intervention"]) == set(NAMES)
    assert not portfolio.interventions.duplicated(["loan_id", "intervention"]).any()
    assert not portfolio.interventions[["loan_id", "intervention", "assigned_on", "arm"]].isna().any(axis=None)


def test_the_offer_is_tossed_by_a_fair_coin_among_eligible_open_loans(portfolio, spells, truth):
    offers = rows_of(portfolio, "rate_offer")
    assert offers["assigned_on"].unique().tolist() == [pd.Timestamp("2025-09-30")]
    n, treated = len(offers), int((offers["arm"] == "offer").sum())
    assert n == truth["rate_offer"]["n_eligible"]
    assert abs(treated - n / 2) < 4 * np.sqrt(n / 4)
    cohort = spells.landmark("2025-09-30").frame.set_index("loan_id")
    assert set(offers["loan_id"]) <= set(cohort.index)
    here = cohort.loc[offers["loan_id"]]
    assert (here["age"] >= 6).all()
    assert (here["term"] - here["age"] >= 12).all()
    # the flag known at the date is the arm, and is 0 before and for everyone else
    arm = offers.set_index("loan_id")["arm"] == "offer"
    np.testing.assert_array_equal(cohort.loc[arm.index, "rate_offer"], arm)
    assert cohort.drop(arm.index)["rate_offer"].sum() == 0
    assert spells.frame.query("period < '2025-10-01'")["rate_offer"].fillna(0).sum() == 0


@pytest.mark.parametrize("name", BY_DESIGN["encouraged"])
def test_about_half_of_the_invited_take_part_and_nobody_else_can(portfolio, truth, name):
    invited = rows_of(portfolio, name).set_index("arm")
    n = invited.groupby("arm").size()
    assert abs(n["invited"] / n.sum() - 0.5) < 0.06
    assert invited.loc["not_invited", "uptake_on"].isna().all()
    assert 0.3 < invited.loc["invited", "uptake_on"].notna().mean() < 0.6
    assert 0.3 < truth[name]["uptake"] < 0.6
    wait = invited["uptake_on"].dt.to_period("M").astype("int64") - invited["assigned_on"].dt.to_period("M").astype(
        "int64"
    )
    assert set(wait[invited["uptake_on"].notna()]) == {0, 1, 2}
    # a customer is invited with all his loans
    customer = rows_of(portfolio, name)["loan_id"].map(portfolio.loans.set_index("loan_id")["customer_id"])
    assert rows_of(portfolio, name)["arm"].groupby(customer).nunique().max() == 1


def test_the_inclined_take_up_the_programme(portfolio):
    invited = rows_of(portfolio, "loyalty_programme").query("arm == 'invited'")
    rows = portfolio.performance
    then = rows[rows["month"] == pd.Timestamp("2025-03-31")].set_index("loan_id").loc[invited["loan_id"]]
    joined = invited["uptake_on"].notna().to_numpy()
    for name in ("loyalty_tier", "nps"):
        assert then[name][joined].mean() > then[name][~joined].mean()


@pytest.mark.parametrize("name", BY_DESIGN["dated"] + BY_DESIGN["staggered"])
def test_an_intervention_is_in_force_from_its_date_on(portfolio, name):
    dates = rows_of(portfolio, name).set_index("loan_id")["assigned_on"]
    rows = portfolio.performance[portfolio.performance["loan_id"].isin(dates.index)]
    since = rows["loan_id"].map(dates)
    np.testing.assert_array_equal(rows[name], rows["month"] >= since)
    # who is not listed met it in the month of the exit at most
    others = portfolio.performance[~portfolio.performance["loan_id"].isin(dates.index)]
    assert (others.loc[others[name] == 1, "status"] != "open").all()


@pytest.mark.parametrize("name", BY_DESIGN["staggered"])
def test_units_switch_as_a_whole_in_waves_and_some_never(portfolio, truth, name):
    unit = truth[name]["unit"]
    rows = portfolio.performance.merge(portfolio.loans[["loan_id", unit]], on="loan_id")
    switch = rows[rows[name] == 1].groupby(unit)["month"].min().reindex(rows[unit].unique())
    spec = INTERVENTIONS[NAMES.index(name)]
    assert switch.value_counts().max() - switch.value_counts().min() <= 1
    assert switch.nunique() == len(spec.waves)
    assert 0 < switch.isna().sum() <= np.ceil(len(switch) / (len(spec.waves) + 1))
    assert switch.min() == pd.Timestamp(truth[name]["time_zero"])
    later = rows["month"] >= rows[unit].map(switch)
    np.testing.assert_array_equal(rows[name], later)


def test_what_works_through_columns_moves_them(portfolio, truth):
    rows = portfolio.performance.merge(portfolio.loans[["loan_id", "branch"]], on="loan_id")
    for name, what in truth.items():
        for moved in what["moves"]:
            if what["unit"] != "branch" or moved["column"] == "complaints_12m":
                continue
            mean = rows.groupby(["branch", name])[moved["column"]].mean().unstack().dropna()
            change = (mean[1] / mean[0]).mean() if moved["factor"] != 1 else (mean[1] - mean[0]).mean()
            expected = moved["factor"] if moved["factor"] != 1 else moved["shift"]
            # reached over some months, and opinions are asked for now and then
            assert abs(change - expected) < 0.35 * max(abs(expected), 0.4) + 0.05, moved
    contact = rows.groupby("proactive_contact")["months_since_contact"].mean()
    assert contact[1] < contact[0] / 1.5


def test_forced_arms_differ_as_the_coefficients_say(truth):
    for name, what in truth.items():
        for group, effect in what["effects"].items():
            assert effect["risk_difference"]["attrition"] < 0, (name, group)
            assert effect["rmst_difference"] > 0
            treated, control = effect["risk"]["treated"], effect["risk"]["control"]
            assert all(0 < risk < 0.5 for risk in [*treated.values(), *control.values()])
            difference = {cause: treated[cause] - control[cause] for cause in treated}
            assert difference == pytest.approx(effect["risk_difference"], abs=2e-6)
    # without anything in between, the ratio of the arms is the coefficient, less what mixing hazards takes off
    offer = truth["rate_offer"]
    marginal = offer["effects"]["eligible"]["marginal_log_hazard_ratio"]
    conditional = offer["conditional_log_hazard_ratio"]
    assert conditional["attrition"] < marginal["attrition"] < 0.9 * conditional["attrition"]
    assert marginal["default"] == pytest.approx(0, abs=0.02)
    # what also works through columns does more than its coefficient says
    for name in ("faster_service", "new_app", "proactive_contact", "feedback_action"):
        total = truth[name]["effects"]["eligible"]["marginal_log_hazard_ratio"]["attrition"]
        assert total < truth[name]["conditional_log_hazard_ratio"]["attrition"] < 0
    # the invitation does what it does through those who take part
    programme = truth["loyalty_programme"]
    whole, part = (programme["effects"][group]["risk_difference"]["attrition"] for group in ("eligible", "compliers"))
    assert whole == pytest.approx(part * programme["uptake"], abs=1e-5)
    # those in distress have most to gain where default is concerned
    deferral = truth["deferral"]["effects"]
    gain = {group: deferral[group]["risk_difference"]["default"] for group in ("eligible", "treated")}
    assert gain["treated"] < 2 * gain["eligible"] < 0


def naive_ratio(spells, column, cause):
    """Fit a Cox model of the indicator alone; give log hazard ratio and standard error."""
    model = cs.CoxPH(cause=cause).fit(spells.complete().X[[column]], spells.complete().y)
    return model.coef_[column], np.sqrt(model.covariance_.loc[column, column])


def test_deferral_looks_harmful_until_distress_is_adjusted_for(portfolio, spells, truth):
    naive, error = naive_ratio(spells, "deferral", "default")
    assert naive - 3 * error > 0
    complete = spells.complete()
    adjusted = cs.CoxPH(portfolio.truth["formulas"]["default"], cause="default").fit(complete.X, complete.y)
    error = np.sqrt(adjusted.covariance_.loc["deferral", "deferral"])
    conditional = truth["deferral"]["conditional_log_hazard_ratio"]["default"]
    assert abs(adjusted.coef_["deferral"] - conditional) < 3.5 * error
    assert adjusted.coef_["deferral"] < 0


def test_ever_contacted_looks_like_a_shield_against_default_which_contact_does_not_touch(portfolio, spells, truth):
    effect = truth["proactive_contact"]["effects"]["eligible"]["marginal_log_hazard_ratio"]["default"]
    assert abs(effect) < 0.1
    cohort = spells.landmark(truth["proactive_contact"]["time_zero"]).frame
    contacted = rows_of(portfolio, "proactive_contact")["loan_id"]
    ever = pd.DataFrame({"ever": cohort["loan_id"].isin(contacted).astype(float)})
    y = spells.landmark(truth["proactive_contact"]["time_zero"]).y
    for cause, true in (("default", effect), ("attrition", -0.3)):
        model = cs.CoxPH(cause=cause).fit(ever, y)
        error = np.sqrt(model.covariance_.loc["ever", "ever"])
        assert model.coef_["ever"] + 2 * error < true, cause


def test_who_takes_part_would_have_stayed_anyway(portfolio, spells, truth):
    trial = rows_of(portfolio, "loyalty_programme").set_index("loan_id")
    effects = truth["loyalty_programme"]["effects"]
    # even without the programme, those who would join leave less often than the others
    assert effects["compliers"]["risk"]["control"]["attrition"] < effects["eligible"]["risk"]["control"]["attrition"]
    cohort = spells.landmark("2025-03-31")
    arm = cohort.frame["loan_id"].map(trial["arm"])
    invited = (arm == "invited").to_numpy()
    joined = cohort.frame["loan_id"].map(trial["uptake_on"]).notna().astype(float).to_numpy()
    as_treated = cs.CoxPH(cause="attrition").fit(pd.DataFrame({"joined": joined[invited]}), cohort.y[invited])
    assert as_treated.coef_["joined"] < effects["compliers"]["marginal_log_hazard_ratio"]["attrition"]


def test_the_trial_of_the_offer_estimates_its_true_effect(portfolio, spells, truth):
    offers = rows_of(portfolio, "rate_offer").set_index("loan_id")["arm"]
    cohort = spells.landmark("2025-09-30")
    arm = cohort.frame["loan_id"].map(offers)
    inside = arm.notna().to_numpy()
    treated = pd.DataFrame({"offer": (arm[inside] == "offer").astype(float)})
    model = cs.CoxPH(cause="attrition").fit(treated, cohort.y[inside])
    effect = truth["rate_offer"]["effects"]["eligible"]
    error = np.sqrt(model.covariance_.loc["offer", "offer"])
    assert abs(model.coef_["offer"] - effect["marginal_log_hazard_ratio"]["attrition"]) < 3.5 * error
    gained = cs.effects.rmst_difference(cohort.y[inside], arm[inside], horizon=12, reference="hold_out")
    assert abs(gained.value - effect["rmst_difference"]) < 3.5 * gained.se


def lived_through(seed, n_loans, name, forced):
    """Live through a world where the arm is forced; give codes and months of the exits of those eligible at time zero."""
    world = World(seed, n_loans, forced={} if forced is None else {name: forced})
    programme, seen, record = world.programmes[name], {}, {}

    def look(month):
        if month == programme.zero:
            seen["loans"] = world.sight(programme, month).loans
            if forced is None:
                record["truth"] = true_effect(world, programme.spec)

    left = np.zeros(len(world.exit), np.int64)
    for month in range(programme.zero + HORIZON + 1):
        world.live(month, look)
        left[(left == 0) & (world.exit != 0)] = month
        if forced is None and "truth" in record:
            return record["truth"], seen["loans"]
    loans = seen["loans"]
    takes = programme.takes[world.unit(programme.spec.unit, loans)]
    # who reaches the scheduled end does so with the horizon, and has stayed
    ends = np.where(world.exit[loans] > len(CAUSES), 0, world.exit[loans])
    return ends, left[loans] - programme.zero, takes, loans


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_integrated_hazards_are_the_frequencies_of_a_world_where_the_arm_is_forced(name):
    # of some 130 differences in eleven interventions, one beyond 4.2 errors comes by chance once in 250 runs
    truth, eligible = lived_through(7, 60_000, name, None)
    arms = {arm: lived_through(7, 60_000, name, arm == "treated") for arm in ("treated", "control")}
    for group in ("eligible", *(["compliers"] if "compliers" in truth["effects"] else [])):
        effect, stacked = truth["effects"][group], []
        for arm, (ends, month, takes, loans) in arms.items():
            np.testing.assert_array_equal(loans, eligible)
            inside = takes if group == "compliers" else np.ones(len(ends), bool)
            n = inside.sum()
            for code, cause in enumerate(CAUSES, start=1):
                risk = effect["risk"][arm][cause]
                share = np.mean(ends[inside] == code)
                assert abs(share - risk) < 4.2 * np.sqrt(risk * (1 - risk) / n), (group, arm, cause)
            stays = np.where(ends == 0, HORIZON, month)[inside]
            assert abs(stays.mean() - effect["months_retained"][arm]) < 4.2 * stays.std() / np.sqrt(n)
            stacked.append(pd.DataFrame({"stop": stays, "end": ends[inside], "arm": float(arm == "treated")}))
        frame = pd.concat(stacked)
        y = cs.Outcome(frame["stop"], frame["end"], causes=CAUSES)
        for cause in CAUSES:
            model = cs.CoxPH(cause=cause).fit(frame[["arm"]], y)
            error = np.sqrt(model.covariance_.loc["arm", "arm"])
            assert abs(model.coef_["arm"] - effect["marginal_log_hazard_ratio"][cause]) < 4.2 * error, (group, cause)
