import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import churnsurv as cs
from churnsurv.data import build_spells, check_leakage, leakage, lint
from churnsurv.data.linting import material
from churnsurv.data.portfolio import Portfolio
from churnsurv.exceptions import DataError, LeakageError, LeakageWarning
from tests.data.leaks import LEAKS, base_of, changed, lean, lives, spells_of, spells_whole, unlagged
from tests.data.tables import RULES, loan_table, performance_table
from tests.shipped import shipped as of_shipped


def built(portfolio):
    return build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)


def signs(found):
    return found[found["level"] != "ok"]


#: columns of the portfolio that are the same everywhere in a month
NATIONAL = ("policy_rate", "negative_news_30d", "misconduct_event", "regulation_step", "regulatory_cost")


def surprises(found, strata=()):
    """Give the signs but the true ones: national columns within vintages, a scandal of which every later month knows."""
    expected = {("warning", "constant column", "misconduct_event")}
    if "vintage" in strata:
        expected |= {("warning", "calendar-only column", name) for name in NATIONAL}
    return told(found) - expected


def told(found):
    """Give the signs as (level, rule, columns)."""
    return {(line.level, line.rule, line.column) for line in signs(found).itertuples()}


@pytest.fixture(scope="module")
def shipped():
    return of_shipped()[0]


@pytest.fixture(scope="module")
def spells():
    return of_shipped()[1]


@pytest.fixture(scope="module")
def half(shipped):
    """Every second loan of the shipped portfolio."""
    kept = shipped.loans.iloc[::2]
    tables = {name: getattr(shipped, name) for name in ("performance", "interventions")}
    cut = {name: table[table["loan_id"].isin(kept["loan_id"])].reset_index(drop=True) for name, table in tables.items()}
    return Portfolio(loans=kept.reset_index(drop=True), macro=shipped.macro, truth=shipped.truth, **cut)


@pytest.fixture(scope="module")
def half_spells(half):
    return base_of(half)


@pytest.fixture(scope="module")
def few():
    """Three hundred loans."""
    return cs.data.simulate(300, seed=3)


@pytest.fixture(scope="module")
def few_spells(few):
    return base_of(few)


# no false alarm


@pytest.mark.parametrize(
    "strata", [(), ("product", "vintage"), *(pytest.param(s, marks=pytest.mark.slow) for s in ("vintage", ("branch",)))]
)
def test_the_shipped_portfolio_is_clean(shipped, spells, strata):
    found = lint(spells, interventions=shipped.interventions, strata=strata)
    assert surprises(found, strata) == set()
    assert found["rule"].nunique() == 11


def test_an_ok_without_the_table_of_interventions_says_so(half_spells):
    evidence = lint(half_spells).set_index("rule")["evidence"]
    assert evidence["immortal time"].startswith("no table of interventions was given")
    assert evidence["identifier"] == f"{len(half_spells.rules.covariate_names)} columns of {len(half_spells):,} spells"


@pytest.mark.parametrize(
    ("n_loans", "seed"),
    [(100, 8), (300, 5), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((300, 6), (1_000, 7), (5_000, 9)))],
)
def test_other_simulated_portfolios_are_clean_whole_complete_and_cut(n_loans, seed):
    portfolio = cs.data.simulate(n_loans, seed=seed)
    whole = built(portfolio)
    columns = [*whole.rules.covariate_names, "product", "segment", "region"]
    for some in (whole, whole.complete(), whole.until("2025-12-31"), whole.after("2025-03-31")):
        for strata in ((), "vintage"):
            found = lint(some, interventions=portfolio.interventions, strata=strata, columns=columns)
            assert surprises(found, strata) == set()


def test_only_the_calendar_column_is_told_of_where_strata_of_vintage_take_its_variation(shipped):
    national = {"policy_rate": shipped.macro.groupby("month")["market_rate"].transform("mean")}
    some = spells_of(shipped, macro=national)
    assert signs(lint(some, interventions=shipped.interventions)).empty
    assert told(lint(some, interventions=shipped.interventions, strata="vintage")) == {
        ("warning", "calendar-only column", "policy_rate")
    }


def test_news_that_differs_from_month_to_month_is_identified_within_yearly_vintages(shipped):
    months = shipped.macro["month"].unique()
    news = dict(zip(months, np.random.default_rng(1).poisson(2, len(months)), strict=True))
    some = spells_of(shipped, macro={"negative_news_30d": shipped.macro["month"].map(news).to_numpy()})
    assert signs(lint(some, strata="vintage")).empty


def test_strong_but_honest_covariates_are_no_leaks(shipped):
    rng = np.random.default_rng(2)
    life = lives(shipped)
    # a score at origination with an area under the curve of about 0.9, and a rare flag with half of its loans leaving
    risk = rng.normal(0, 1, len(life)) + 1.8 * (life["status"] == "charged_off").to_numpy()
    flag = rng.random(len(life)) < np.where(life["status"] == "prepaid", 0.06, 0.02)
    some = spells_of(shipped, loans={"risk": risk, "broker": flag})
    assert signs(lint(some, interventions=shipped.interventions)).empty


def test_a_last_stage_before_the_exit_is_a_warning_when_it_is_lagged(shipped):
    performance = shipped.performance.sort_values(["loan_id", "month"])
    rng = np.random.default_rng(3)
    defaults = (performance["status"] == "charged_off").to_numpy()
    missed = np.zeros(len(performance))
    for back in (1, 2, 3):
        # three payments are missed before every default, and by as many loans that then recover
        before = np.flatnonzero(np.append(defaults[back:], np.zeros(back, bool)))
        missed[before] = 4 - back
    recovering = rng.choice(len(missed), 160, replace=False)
    missed[recovering] = 3
    table = replace(shipped, performance=performance)
    found = lint(spells_whole(table, performance={"missed_payments": missed}))
    assert "missed_payments" in set(found["column"])
    assert set(found["level"]) == {"warning", "ok"}


def test_a_lock_in_is_told_of_as_a_warning_only(shipped):
    young = shipped.loans["loan_id"].isin(lives(shipped).query("age < 9 and status == 'prepaid'").index)
    lock_in = (~young & (np.arange(len(young)) % 3 == 0)).astype(int)
    assert told(lint(spells_of(shipped, loans={"lock_in": lock_in}))) <= {("warning", "immortal time", "lock_in")}


def test_the_place_of_a_branch_in_the_rollout_is_known_beforehand(shipped):
    assigned = shipped.interventions.query("intervention == 'faster_service'")
    branch = shipped.loans.set_index("loan_id")["branch"]
    wave = assigned.groupby(assigned["loan_id"].map(branch))["assigned_on"].min().dt.strftime("%Y-%m")
    planned = shipped.loans["branch"].map(wave).fillna("never").to_numpy()
    arms = assigned.assign(arm=assigned["loan_id"].map(branch).map(wave))
    assert signs(lint(spells_of(shipped, loans={"wave": planned}), interventions=arms)).empty


def test_amounts_that_all_differ_are_no_identifiers(shipped):
    cents = np.random.default_rng(4).choice(4_000_000, len(shipped.loans), replace=False) + 100_000
    assert signs(lint(spells_of(shipped, loans={"collateral": cents}))).empty


def test_columns_known_ahead_may_have_lag_0(half, half_spells):
    some = unlagged(half, half_spells, "csat")
    honest = replace(some, rules=changed(some.rules, known_ahead=["csat"]))
    assert signs(lint(honest)).empty


def test_a_published_series_lagged_long_enough_is_honest(half_spells):
    assert signs(lint(half_spells, published_after={"unemployment_rate": 0})).empty


# no leak is missed


def test_columns_planted_beside_built_spells_are_those_that_are_built_with_them(few):
    rng = np.random.default_rng(5)
    more = {
        "loans": {"day": lives(few)["last"].to_numpy(), "word": rng.choice(["a", "b"], len(few.loans))},
        "performance": {
            "flag": rng.random(len(few.performance)) < 0.5,
            "number": rng.normal(size=len(few.performance)),
        },
        "macro": {"growth": rng.normal(size=len(few.macro))},
    }
    quick, whole = spells_of(few, **more), spells_whole(few, **more)
    pd.testing.assert_frame_equal(quick.frame, whole.frame)
    pd.testing.assert_frame_equal(quick.ahead, whole.ahead)
    assert quick.rules == whole.rules


@pytest.mark.parametrize("plant", LEAKS, ids=[plant.__name__ for plant in LEAKS])
def test_every_planted_leak_is_found_under_its_rule_and_no_other_column_is_accused(half, half_spells, plant):
    leak = plant(half, half_spells, np.random.default_rng(1))
    found = signs(lint(leak.spells, **leak.options))
    named = set(leak.column.split(", "))
    hits = found[[set(columns.split(", ")) == named for columns in found["column"]]]
    assert (leak.level, leak.rule) in set(zip(hits["level"], hits["rule"], strict=True))
    assert set(", ".join(found["column"]).split(", ")) <= named
    assert found[["evidence", "remedy"]].map(len).to_numpy().min() > 10


@pytest.mark.parametrize(
    "plant",
    [
        leak
        for leak in LEAKS
        if leak.__name__
        in ("status_at_extraction", "date_of_charge_off", "balance_of_the_same_month", "ever_offered", "date_last_seen")
    ],
    ids=lambda plant: plant.__name__,
)
def test_gross_leaks_are_found_in_300_loans(few, few_spells, plant):
    leak = plant(few, few_spells, np.random.default_rng(1))
    assert (leak.level, leak.rule, leak.column) in told(lint(leak.spells, **leak.options))


def test_the_evidence_counts_loans_and_names_examples(shipped):
    life = lives(shipped)
    written = life["last"].where(life["status"] == "charged_off").to_numpy()
    found = lint(spells_of(shipped, loans={"co_dt": written})).iloc[0]
    n = int((life["status"] == "charged_off").sum())
    assert found["evidence"].startswith(f"not missing in {n} loans, of which {n} of {n} (100.0%) ended by default")
    assert found["examples"] == tuple(life.index[life["status"] == "charged_off"][:5])


def test_the_combination_is_given_with_its_coefficients(half):
    amount = half.loans["amount"]
    third = np.round(np.random.default_rng(1).gamma(2, 500, len(amount)), 2)
    planted = spells_of(half, loans={"amount": amount, "other": third, "mix": 2 * amount - 0.5 * third + 7})
    evidence = signs(lint(planted))["evidence"].item()
    assert evidence in ("mix = 2 amount − 0.5 other + 7", "mix = −0.5 other + 2 amount + 7")


def test_the_remaining_term_is_the_term_minus_the_age(half_spells):
    frame = half_spells.frame.assign(remaining=half_spells.frame["term"] - half_spells.frame["start"])
    found = lint(replace(half_spells, frame=frame), columns=["term", "remaining", "csat"])
    assert signs(found)["evidence"].item() in ("remaining = term − start", "term = remaining + start")


def test_strata_of_monthly_vintages_make_the_incentive_and_the_own_rate_one(half):
    planted = spells_of(half, loans={"contract_rate": half.loans["contract_rate"]})
    opened = planted.frame["loan_id"].map(half.loans.set_index("loan_id")["origination_date"])
    month = planted.frame.assign(opened=opened.dt.to_period("M").astype(str))
    some = replace(planted, frame=month)
    assert signs(lint(some)).empty
    found = signs(lint(some, strata=["opened", "region"]))
    assert ("error", "collinear columns", "contract_rate, rate_incentive") in told(found) or (
        "error",
        "collinear columns",
        "rate_incentive, contract_rate",
    ) in told(found)
    # unemployment by region is the calendar alone once regions are strata too
    assert ("error", "calendar-only column", "unemployment_rate") in told(found)


def test_a_flag_that_is_on_for_a_few_misdated_loans_is_a_warning(half, half_spells):
    loans = half.interventions.query("intervention == 'rate_offer' and arm == 'offer'")["loan_id"]
    frame = half_spells.frame
    early = frame["loan_id"].isin(loans.iloc[:5]) & (frame["period"] == "2025-08-01")
    some = replace(half_spells, frame=frame.assign(rate_offer=frame["rate_offer"].mask(early, 1.0)))
    assert told(lint(some, interventions=half.interventions)) == {("warning", "immortal time", "rate_offer")}


# small and odd data


def tiny(**columns):
    """Five loans of which none leaves, with more columns of the loan table."""
    loans = loan_table(*[(loan, 0, 12) for loan in range(1, 6)]).assign(**columns)
    rows = [(loan, number, "open", 600 + 7 * number * loan) for loan in range(1, 6) for number in range(4)]
    rules = changed(RULES, covariates={"loans": ["amount", *columns], "performance": ["score"]})
    return build_spells(loans, performance_table(*rows), rules)


@pytest.mark.parametrize(
    "values",
    [
        [1, 1, 0, 0, 0],
        [True, False, True, False, False],
        ["a", "b", "c", "d", "e"],
        ["a", "a", None, "b", ""],
        [None, 1.5, 2.5, np.inf, np.nan],
        pd.Categorical(["x", "y", "x", None, "x"]),
        pd.Categorical([1, 2, 1, 2, 3]),
        pd.array([1, None, 2, 3, 4], dtype="Int64"),
        pd.array([True, None, False, True, True], dtype="boolean"),
        pd.array(["u", "v", None, "u", "v"], dtype="string"),
        pd.to_datetime(["2024-01-01", "2024-02-01", None, "2024-01-05", "2023-01-01"]),
        pd.to_datetime(["2024-01-01", "2024-02-01", None, "2024-01-05", "2023-01-01"]).tz_localize("Europe/Berlin"),
        pd.period_range("2024-01", periods=5, freq="M"),
        [pd.Timestamp("2024-01-01").date(), None, pd.Timestamp("2025-01-01").date(), None, None],
        [1, "a", 2.5, None, True],
    ],
    ids=lambda values: f"{type(values).__name__} {getattr(values, 'dtype', values[:2])}",
)
def test_no_type_of_column_crashes_the_linter_or_alarms_it_in_five_loans(values):
    assert signs(lint(tiny(extra=values), strata="vintage")).empty


@pytest.mark.parametrize("values", [pd.to_timedelta([1, 2, 3, 4, None], unit="D"), [[1], [2], [1], None, [3]]])
def test_types_that_no_spell_has_do_not_crash_the_linter(values):
    spells = tiny()
    by_loan = dict(zip(range(1, 6), values, strict=True))
    odd = replace(spells, frame=spells.frame.assign(extra=spells.frame["loan_id"].map(by_loan)))
    assert signs(lint(odd, columns=["extra"])).empty


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NaT])
def test_a_column_without_any_value_is_said_to_be_so(nothing):
    found = lint(tiny(extra=[nothing] * 5))
    assert told(found) == {("warning", "constant column", "extra")}
    assert signs(found)["evidence"].item() == "no value in 20 spells"


def test_blank_text_is_a_value_beside_others_and_none_beside_exits(half):
    assert signs(lint(tiny(extra=["", "yes", "", "yes", ""]))).empty
    left = lives(half)["status"] == "charged_off"
    found = lint(spells_of(half, loans={"note": np.where(left, "sent to the lawyers", "")}))
    assert ("error", "post-outcome column", "note") in told(found)


@pytest.mark.parametrize("status", ["open", "prepaid", "charged off", "done"])
def test_five_loans_that_end_alike_alarm_nobody(status):
    rows = [(loan, number, "open", 600 + number) for loan in range(1, 6) for number in range(3)]
    rows += [(loan, 3, status, 0) for loan in range(1, 6)]
    some = build_spells(loan_table(*[(loan, 0, 12) for loan in range(1, 6)]), performance_table(*rows), RULES)
    assert signs(lint(some)).empty


def test_one_loan_with_one_spell_is_looked_at():
    some = build_spells(loan_table((1, 0, 12)), performance_table((1, 0, "prepaid", 600)), RULES)
    found = signs(lint(some, strata="vintage"))
    assert set(found["rule"]) == {"constant column"}


def test_a_portfolio_with_one_cause_is_looked_at(half):
    rules = changed(
        lean(half.rules), causes={"attrition": ["prepaid"]}, matured=["matured", "charged_off", "refinanced"]
    )
    some = build_spells(half.loans, half.performance, rules, macro=half.macro)
    assert signs(lint(some, interventions=half.interventions)).empty


def test_assignments_of_loans_without_spells_are_passed_over(half, half_spells):
    other = half.interventions.assign(loan_id=half.interventions["loan_id"] + 10_000_000)
    assert signs(lint(half_spells, interventions=pd.concat([half.interventions, other]))).empty


def test_the_order_of_the_rows_changes_nothing(half, half_spells):
    leak = LEAKS[0](half, half_spells, np.random.default_rng(1)).spells
    shuffled = replace(leak, frame=leak.frame.sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(
        lint(leak, interventions=half.interventions)[["level", "rule", "column", "evidence"]],
        lint(shuffled, interventions=half.interventions)[["level", "rule", "column", "evidence"]],
    )


def test_large_portfolios_are_sampled_by_loan_and_say_so(shipped, monkeypatch):
    monkeypatch.setattr(material, "MOST_SPELLS", 60_000)
    leak = LEAKS[0](shipped, base_of(shipped), np.random.default_rng(1)).spells
    first, second = lint(leak), lint(leak)
    pd.testing.assert_frame_equal(first, second)
    assert first["column"].iloc[0] == "recoveries"
    assert first["evidence"].str.contains(r"\(in a sample of [23],\d{3} of 5,000 loans\)").all()


# the gate in front of a fit


def test_the_gate_lets_clean_spells_pass_without_a_warning(half, half_spells):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = check_leakage(half_spells, interventions=half.interventions)
    pd.testing.assert_frame_equal(found, lint(half_spells, interventions=half.interventions))


def test_the_gate_raises_all_errors_in_one_message_with_loans_and_remedies(half):
    life = lives(half)
    columns = {"code": (life["status"] == "prepaid").to_numpy(), "n_rows": life["months"].to_numpy()}
    planted = spells_of(half, loans=columns)
    with pytest.raises(LeakageError) as caught:
        check_leakage(planted)
    message = str(caught.value)
    assert message.startswith("2 signs of leakage:\n- post-outcome column, 'code': ")
    assert "\n- lifetime aggregate, 'n_rows': equals the periods observed in" in message
    assert message.count("(e.g. loans 1") == message.count("Remedy: leave it out") == 2


def test_the_gate_warns_of_warnings_and_gives_the_table(half, half_spells):
    some = unlagged(half, half_spells, "csat")
    with pytest.warns(LeakageWarning, match=r"unlagged column, 'csat': lag 0; changes in .* Remedy: give it a lag"):
        found = check_leakage(some)
    assert told(found) == {("warning", "unlagged column", "csat")}


def test_errors_come_before_warnings_and_count_them(half, half_spells):
    some = unlagged(half, unlagged(half, half_spells, "csat"), "balance")
    some = replace(some, rules=changed(some.rules, lags={"csat": 0, "balance": 0}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(LeakageError, match=r"(?s)^2 signs of leakage:.*Besides, lint\(\) tells 2 warnings\.$"):
            check_leakage(some)


def test_accepted_signs_pass_the_gate(half, half_spells):
    some = unlagged(half, half_spells, "balance")
    accepted = {
        "changes at exit": ["balance"],
        "post-outcome column": ["balance"],
        "unlagged column": "balance",
    }
    assert signs(check_leakage(some, accepted=accepted)).empty
    del accepted["changes at exit"]
    with pytest.raises(LeakageError, match="1 sign of leakage:\n- changes at exit, 'balance'"):
        check_leakage(some, accepted=accepted)


def test_a_sign_of_several_columns_is_accepted_when_all_are(half):
    amount = half.loans["amount"]
    planted = spells_of(half, loans={"amount": amount, "double": 2 * amount})
    with pytest.raises(LeakageError, match="collinear columns"):
        check_leakage(planted, accepted={"collinear columns": ["double"]})
    assert signs(check_leakage(planted, accepted={"collinear columns": ["double", "amount"]})).empty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["csta"]}, r"columns names 'csta', which is no column of the spells. Did you mean 'csat'\?"),
        ({"columns": "csat"}, r"columns='csat' is one name; give a list, \['csat'\]"),
        ({"strata": "vintag"}, r"strata names 'vintag'.*Did you mean 'vintage'\?"),
        ({"interventions": pd.DataFrame({"loan_id": [1]})}, "interventions table has no column 'intervention'"),
        ({"published_after": {"gdp": 1}}, "published_after names 'gdp', which is no macro column of the rules"),
        ({"published_after": {"unemployment_rate": 0.5}}, "0.5; give a whole number of periods from 0"),
        (
            {"accepted": {"immortal": ["csat"]}},
            r"accepted names 'immortal', which is no rule. Did you mean 'immortal time'\?",
        ),
    ],
)
def test_options_that_name_nothing_are_refused(half_spells, options, message):
    with pytest.raises(DataError, match=message):
        check_leakage(half_spells, **options)


def test_identifiers_of_another_type_are_refused(half, half_spells):
    text = half.interventions.assign(loan_id=half.interventions["loan_id"].astype(str))
    with pytest.raises(DataError, match="'loan_id' is text in the interventions table .* number in the spells table"):
        lint(half_spells, interventions=text)


def test_a_frame_is_not_taken_for_spells(half_spells):
    with pytest.raises(DataError, match="spells is a DataFrame; give what churnsurv.data.build_spells returns"):
        lint(half_spells.frame)


def test_the_guide_has_a_section_for_every_rule():
    guide = (Path(__file__).parents[2] / "docs" / "leakage.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (.*)$", guide, re.MULTILINE) == list(leakage.RULES)
