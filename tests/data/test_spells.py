import numpy as np
import pandas as pd
import pytest

from churnsurv.data import build_spells, check_tables
from churnsurv.exceptions import ConfigError, DataError
from tests.data.tables import RULES, loan_table, month, performance_table, rules


def ages_and_causes(spells):
    return [(row.start, row.stop, row.cause) for row in spells.frame.itertuples()]


def counts(spells):
    return dict(zip(spells.cleaning["rule"], spells.cleaning["count"], strict=True))


def test_a_loan_seen_from_origination_to_its_exit():
    performance = performance_table((1, 0, "open", 600), (1, 1, "open", 610), (1, 2, "prepaid", 0))
    spells = build_spells(loan_table((1, 0, 12)), performance, RULES)
    assert ages_and_causes(spells) == [(0, 1, "open"), (1, 2, "open"), (2, 3, "attrition")]
    # the score of each spell is the one at the end of the month before; the row of the exit is never used
    np.testing.assert_array_equal(spells.X["score"], [np.nan, 600, 610])
    np.testing.assert_array_equal(spells.X["amount"], [1000, 1000, 1000])
    np.testing.assert_array_equal(spells.y.event, [0, 0, 1])
    assert spells.y.causes == ("attrition", "default")
    assert spells.cleaning.empty


def test_a_loan_first_seen_at_age_five_enters_there():
    spells = build_spells(
        loan_table((1, -5, 24)), performance_table((1, 0, "open", 600), (1, 1, "charged off", 0)), RULES
    )
    assert ages_and_causes(spells) == [(5, 6, "open"), (6, 7, "default")]
    np.testing.assert_array_equal(spells.frame["entry"], [5, 5])
    assert counts(spells) == {"late entry": 1}


def test_complete_spells_begin_when_the_covariates_are_known():
    performance = performance_table((1, 0, "open", 600), (1, 1, "prepaid", 0), (2, 0, "prepaid", 0))
    spells = build_spells(loan_table((1, -5, 24), (2, -5, 24)), performance, RULES).complete()
    assert ages_and_causes(spells) == [(6, 7, "attrition")]
    assert spells.left_out == {"no spell with all covariates": 1}
    reconciled = spells.reconciliation.set_index("reason")["loans"]
    assert reconciled["loans in"] == 2
    assert reconciled["attrition"] == 1


def test_entry_and_exit_in_the_month_of_origination_is_a_spell_of_length_one():
    spells = build_spells(loan_table((1, 0, 12)), performance_table((1, 0, "prepaid", 0)), RULES)
    assert ages_and_causes(spells) == [(0, 1, "attrition")]


def test_a_loan_still_open_at_its_term_is_censored_there():
    rows = [(1, number, "open", 600) for number in range(5)]
    spells = build_spells(loan_table((1, 0, 3)), performance_table(*rows), RULES)
    assert ages_and_causes(spells) == [(0, 1, "open"), (1, 2, "open"), (2, 3, "matured")]
    assert spells.y.n_events == 0
    assert counts(spells) == {"past the scheduled end": 2}


def test_a_payoff_in_the_last_scheduled_month_is_maturity_only_where_the_rules_say_so():
    loans, performance = loan_table((1, 0, 2)), performance_table((1, 0, "open", 600), (1, 1, "prepaid", 0))
    assert ages_and_causes(build_spells(loans, performance, RULES))[-1] == (1, 2, "attrition")
    spells = build_spells(loans, performance, rules(paid_at_term=["attrition"]))
    assert ages_and_causes(spells)[-1] == (1, 2, "matured")
    assert counts(spells) == {"paid at term": 1}


def test_maturity_may_be_given_as_a_date():
    loans = loan_table((1, 0, 12)).assign(ends=month(2))
    rows = [(1, number, "open", 600) for number in range(4)]
    spells = build_spells(loans, performance_table(*rows), rules(term=None, maturity="ends"))
    assert ages_and_causes(spells) == [(0, 1, "open"), (1, 2, "matured")]


def test_a_month_that_is_missing_is_not_at_risk_and_yields_no_lagged_value():
    performance = performance_table((1, 0, "open", 600), (1, 1, "open", 610), (1, 4, "open", 640), (1, 5, "open", 650))
    spells = build_spells(loan_table((1, 0, 12)), performance, RULES)
    assert [(start, stop) for start, stop, _ in ages_and_causes(spells)] == [(0, 1), (1, 2), (4, 5), (5, 6)]
    np.testing.assert_array_equal(spells.X["score"], [np.nan, 600, np.nan, 640])
    assert counts(spells) == {"gap": 2}
    # observation begins anew after a gap
    np.testing.assert_array_equal(spells.frame["entry"], [0, 0, 4, 4])


def test_a_longer_lag_reaches_further_back():
    performance = performance_table(*[(1, number, "open", 600 + number) for number in range(4)])
    spells = build_spells(loan_table((1, 0, 12)), performance, rules(lag=2))
    np.testing.assert_array_equal(spells.X["score"], [np.nan, np.nan, 600, 601])


def test_the_value_at_origination_stands_in_before_the_first_month_only_of_new_loans():
    loans = loan_table((1, 0, 12), (2, -3, 12)).assign(score_then=[555, 444])
    performance = performance_table(*[(loan, number, "open", 600) for loan in (1, 2) for number in (0, 1)])
    spells = build_spells(loans, performance, rules(at_origination={"score": "score_then"}))
    np.testing.assert_array_equal(spells.X["score"], [555, 600, np.nan, 600])


def test_rows_in_any_order_give_the_same_spells():
    rows = [(loan, number, "open", 600 + loan + number) for loan in (1, 2, 3) for number in range(4)]
    performance = performance_table(*rows)
    loans = loan_table((1, 0, 12), (2, -1, 12), (3, -2, 12))
    shuffled = performance.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(
        build_spells(loans, performance, RULES).frame, build_spells(loans, shuffled, RULES).frame
    )


def test_every_dirty_row_is_counted_under_its_rule():
    loans = loan_table((1, 0, 12), (2, 2, 12), (3, 0, 12), (4, 0, 12), (5, 0, -1)).astype({"opened": object})
    loans.loc[3, "opened"] = None
    loans = pd.concat([loans, loans.iloc[[0]]])
    performance = performance_table(
        *[(1, 0, "open", 600), (1, 0, "open", 600), (1, 1, "prepaid", 0), (1, 2, "open", 600)],
        *[(2, 1, "open", 600), (2, 2, "open", 600)],
        *[(4, 0, "open", 600), (5, 0, "open", 600), (9, 0, "open", 600), (9, 1, "open", 600)],
    )
    more = pd.DataFrame(
        {"loan_id": [2, 2, None], "month": [month(3), None, month(3)], "status": [None, "open", "open"], "score": 1.0}
    )
    spells = build_spells(loans, pd.concat([performance.astype({"loan_id": object}), more]), RULES)
    assert counts(spells) == {
        "exact duplicate": 1,
        "no valid term": 1,
        "missing loan id": 1,
        "unknown loan": 2,
        "missing period": 1,
        "missing status": 1,
        "origination unknown": 1,
        "before origination": 1,
        "after the exit": 1,
    }
    both_tables = spells.cleaning[spells.cleaning["rule"] == "exact duplicate"]
    assert both_tables["table"].tolist() == ["loans", "performance"]
    assert spells.left_out == {"origination unknown": 1, "not in the performance table": 1}
    reconciled = spells.reconciliation
    assert reconciled["loans"].iloc[0] == reconciled["loans"].iloc[1:].sum() == 5


def test_two_different_rows_of_one_loan_and_month_are_refused():
    performance = performance_table((1, 0, "open", 600), (1, 0, "prepaid", 600))
    with pytest.raises(DataError, match=r"1 loan-period .* has rows that differ \(loan 1, period 2024-01-01.*Keep one"):
        build_spells(loan_table((1, 0, 12)), performance, RULES)


def test_two_different_rows_of_one_loan_in_the_loan_table_are_refused():
    with pytest.raises(DataError, match=r"1 loan of the loan table have rows that differ \(loan 1\)"):
        build_spells(loan_table((1, 0, 12), (1, 1, 12)), performance_table((1, 0, "open", 600)), RULES)


def test_a_status_without_a_meaning_is_refused_with_its_rows():
    with pytest.raises(DataError, match=r"'status' holds 'sold' in 1 row \(loan 1\).*add it to open, matured"):
        build_spells(loan_table((1, 0, 12)), performance_table((1, 0, "open", 600), (1, 1, "sold", 0)), RULES)


def test_an_absent_column_is_named_with_the_nearest_one():
    performance = performance_table((1, 0, "open", 600)).rename(columns={"score": "scores"})
    with pytest.raises(DataError, match=r"performance table has no column 'score'.*Did you mean 'scores'"):
        build_spells(loan_table((1, 0, 12)), performance, RULES)


def test_a_column_that_is_there_twice_is_refused():
    performance = performance_table((1, 0, "open", 600))
    with pytest.raises(DataError, match="2 columns called 'score'"):
        build_spells(loan_table((1, 0, 12)), pd.concat([performance, performance[["score"]]], axis=1), RULES)


def test_tables_without_a_usable_row_are_refused_with_the_reasons():
    with pytest.raises(DataError, match="No row of the performance table is usable .*unknown loan: 1"):
        build_spells(loan_table((1, 0, 12)), performance_table((2, 0, "open", 600)), RULES)


def test_zeros_and_implausible_values_become_missing_and_are_counted():
    performance = performance_table((1, 0, "open", 0), (1, 1, "open", 9999), (1, 2, "open", 600), (1, 3, "open", 610))
    spells = build_spells(
        loan_table((1, 0, 12)), performance, rules(zero_is_missing=["score"], plausible={"score": [300, 850]})
    )
    np.testing.assert_array_equal(spells.X["score"], [np.nan, np.nan, np.nan, 600])
    assert counts(spells) == {"zero means missing": 1, "not plausible": 1}


def test_a_panel_serves_as_both_tables_and_loans_whose_static_columns_move_are_counted():
    panel = performance_table((1, 0, "open", 600), (1, 1, "open", 610), (2, 0, "open", 620), (2, 1, "prepaid", 0))
    panel = panel.assign(opened=month(0), term=12, amount=[10.0, 10.0, 20.0, 25.0]).iloc[::-1]
    spells = build_spells(None, panel, RULES)
    np.testing.assert_array_equal(spells.frame.sort_values(["loan_id", "start"])["amount"], [10, 10, 20, 20])
    assert counts(spells) == {"static column moves": 1}


def test_columns_kept_by_the_rules_and_the_customers_travel_along():
    loans = loan_table((1, 0, 12), (2, 0, 12)).assign(branch=["B1", "B2"], customer=["c", "c"])
    performance = performance_table((1, 0, "open", 600), (2, 0, "open", 600))
    spells = build_spells(loans, performance, rules(keep=["branch"], customer_id="customer"))
    assert spells.frame["branch"].tolist() == ["B1", "B2"]
    assert spells.groups.tolist() == ["c", "c"]
    assert spells.frame["vintage"].tolist() == [2024, 2024]
    assert "branch" not in spells.X


def test_progress_is_shown_when_asked_for(capsys, monkeypatch):
    monkeypatch.setattr("churnsurv.data.engine.SECONDS_WITHOUT_BAR", 0)
    build_spells(loan_table((1, 0, 12)), performance_table((1, 0, "open", 600)), RULES)
    assert capsys.readouterr().err == ""
    build_spells(loan_table((1, 0, 12)), performance_table((1, 0, "open", 600)), RULES, progress=True)
    assert "spells" in capsys.readouterr().err


def test_different_rows_of_one_month_on_different_days_are_refused():
    performance = performance_table((1, 0, "open", 600), (1, 1, "prepaid", 0), (1, 1, "open", 99))
    performance.loc[2, "month"] += pd.Timedelta(days=20)
    message = r"1 loan-period .* rows that differ \(loan 1, period 2024-02-01, 2024-02-21\)"
    with pytest.raises(DataError, match=message):
        build_spells(loan_table((1, 0, 12)), performance, RULES)
    checks = check_tables(loan_table((1, 0, 12)), performance, RULES)
    assert checks.loc[checks["status"] == "error", "remedy"].str.contains(message).tolist() == [True]


def test_equal_rows_of_one_month_on_different_days_are_copies():
    performance = performance_table((1, 0, "open", 600), (1, 1, "prepaid", 0), (1, 1, "prepaid", 0))
    performance.loc[2, "month"] += pd.Timedelta(days=20)
    spells = build_spells(loan_table((1, 0, 12)), performance, RULES)
    assert counts(spells) == {"exact duplicate": 1}
    assert spells.frame["cause"].tolist() == ["open", "attrition"]


def test_monthly_rows_under_quarterly_rules_are_told_so():
    performance = performance_table(*[(1, number, "open", 600 + number) for number in range(6)])
    with pytest.raises(DataError, match="2 loan-periods .*one row per month, set period = 'month'"):
        build_spells(loan_table((1, 0, 12)), performance, rules(period="quarter"))


def test_quarterly_rows_under_monthly_rules_are_told_so():
    performance = performance_table(*[(1, 3 * number, "open", 600) for number in range(13)])
    with pytest.raises(DataError, match="lie 3 months apart .*'month'.*Set period = 'quarter'"):
        build_spells(loan_table((1, 0, 60)), performance, RULES)
    assert len(build_spells(loan_table((1, 0, 60)), performance, rules(period="quarter"))) == 13


def test_rows_that_differ_only_in_what_no_rule_names_are_copies():
    performance = performance_table((1, 0, "open", 600), (1, 0, "open", 600)).assign(notes=[["a"], ["b"]])
    loans = loan_table((1, 0, 12), (1, 0, 12)).assign(tags=[["x"], "y"])
    spells = build_spells(loans, performance, RULES)
    assert spells.cleaning[["rule", "count"]].to_numpy().tolist() == [["exact duplicate", 1]] * 2
    with pytest.raises(DataError, match="rows that differ"):
        build_spells(loans, performance.assign(score=[600, 601]), RULES)


@pytest.mark.parametrize(("convert", "remedy"), [("performance", "str"), ("loans", "int")])
def test_numbers_against_text_as_identifiers_are_refused_with_both_types(convert, remedy):
    tables = {"loans": loan_table((1, 0, 12)), "performance": performance_table((1, 0, "open", 600))}
    text, number = ("performance", "loans") if convert == "loans" else ("loans", "performance")
    tables[text] = tables[text].astype({"loan_id": str})
    message = rf"'loan_id' is (number|text) in the performance table .* and .* in the loans table .*astype\({remedy}\)"
    with pytest.raises(DataError, match=message) as refused:
        build_spells(tables["loans"], tables["performance"], RULES)
    assert f"{text} table (string)" in str(refused.value)
    assert f"{number} table (int64)" in str(refused.value)


@pytest.mark.parametrize("table", ["loans", "performance"])
def test_identifiers_that_doubles_cannot_tell_apart_are_refused(table):
    tables = {"loans": loan_table((1, 0, 12)), "performance": performance_table((1, 0, "open", 600))}
    tables[table] = tables[table].assign(loan_id=[2.0**53 + 2])
    with pytest.raises(DataError, match=rf"'loan_id' of the {table} table is float64 .*1 identifier above 2\*\*53"):
        build_spells(tables["loans"], tables["performance"], RULES)


def test_rules_about_columns_that_no_table_has_are_refused_with_the_nearest_name():
    tables = loan_table((1, 0, 12)), performance_table((1, 0, "open", 600))
    for key, value in {"plausible": {"scores": [300, 850]}, "zero_is_missing": ["scores"]}.items():
        with pytest.raises(DataError, match=f"{key} names 'scores'.*Did you mean 'score'"):
            build_spells(*tables, rules(**{key: value}))


def test_rules_may_be_a_mapping_and_tables_must_be_tables():
    tables = loan_table((1, 0, 12)), performance_table((1, 0, "open", 600))
    plain = RULES.model_dump(exclude_none=True)
    assert build_spells(*tables, plain).frame.equals(build_spells(*tables, RULES).frame)
    assert set(check_tables(*tables, plain)["status"]) <= {"ok", "warning"}
    with pytest.raises(ConfigError, match="rules is a str; give SpellRules"):
        build_spells(*tables, "rules.toml")
    for wrong in ({"loans": b"loans"}, {"performance": [1, 2]}, {"macro": 3}):
        given = {"loans": tables[0], "performance": tables[1], "macro": None} | wrong
        for function in (build_spells, check_tables):
            with pytest.raises(DataError, match=f"The {next(iter(wrong))} table is a .*; give a DataFrame"):
                function(**given, rules=RULES)


def test_an_empty_table_is_named():
    with pytest.raises(DataError, match=r"performance table is usable \(it has 0 rows\)"):
        build_spells(loan_table((1, 0, 12)), performance_table((1, 0, "open", 600)).iloc[:0], RULES)


def test_lists_are_no_statuses_and_no_identifiers():
    loans, performance = loan_table((1, 0, 12)), performance_table((1, 0, "open", 600))
    for column in ("status", "loan_id"):
        with pytest.raises(DataError, match=f"'{column}' of the performance table holds a list"):
            build_spells(loans, performance.assign(**{column: [["open"]]}), RULES)
    checks = check_tables(loans, performance.assign(status=[["open"]]), RULES)
    assert checks.loc[checks["status"] == "error", "remedy"].str.contains("'status' .* holds a list").tolist() == [True]


def test_customers_that_doubles_cannot_tell_apart_are_refused():
    loans = loan_table((1, 0, 12)).assign(customer=2.0**53 + 2)
    with pytest.raises(DataError, match=r"'customer' of the loans table .*2\*\*53"):
        build_spells(loans, performance_table((1, 0, "open", 600)), rules(customer_id="customer"))
