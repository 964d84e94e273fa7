"""How exits are told: conditions on columns, stated censorings, purchases, one row per loan, rows that contradict."""

import pandas as pd
import pytest

from churnsurv.data import build_spells, check_tables
from churnsurv.exceptions import ConfigError, DataError
from tests.data.tables import RULES, loan_table, month, performance_table, rules


def endings(spells):
    return [(row.loan_id, row.start, row.stop, row.cause) for row in spells.frame.itertuples()]


def last(spells):
    return {row.loan_id: (row.stop, row.cause) for row in spells.frame.itertuples()}


BY_CODES = rules(
    status=None,
    open=[],
    matured=[],
    causes={},
    exits=[
        {"cause": "default", "when": [{"column": "code", "values": ["03", "09"]}]},
        {"cause": "default", "when": [{"column": "dpd", "at_least": 180}]},
        {"cause": "sold", "when": [{"column": "code", "values": ["15"]}]},
        {"cause": "attrition", "when": [{"column": "code", "values": ["01"]}, {"column": "balance", "at_most": 0}]},
        {"cause": "attrition", "when": [{"column": "paid_on", "present": True}]},
    ],
    censored={"sold": []},
    paid_at_term=["attrition"],
)


def coded(*rows):
    """Give a performance table from (loan, month, code, dpd, balance, paid_on)."""
    names = ["code", "dpd", "balance", "paid_on"]
    table = performance_table(*[(loan, number, "", 600) for loan, number, *_ in rows]).drop(columns="status")
    return table.assign(**{name: [row[2 + i] for row in rows] for i, name in enumerate(names)})


def test_zero_balance_codes_delinquency_dates_and_run_off_tell_exits():
    performance = coded(
        (1, 0, None, 0, 100.0, None),
        (1, 1, "01", 0, 0.0, None),
        (2, 0, "03", 0, 50.0, None),
        (3, 0, None, 0, 70.0, None),
        (3, 1, None, 190, 70.0, None),
        (4, 0, "15", 0, 80.0, None),
        (5, 0, None, 0, 80.0, None),
        (5, 1, None, 0, 80.0, "2024-02-11"),
        # a code of payment with a balance left is no exit
        (6, 0, "01", 0, 5.0, ""),
        (7, 1, "01", 0, 0.0, None),
    )
    loans = loan_table(*[(loan, 0, 2 if loan == 7 else 12) for loan in range(1, 8)])
    spells = build_spells(loans, performance, BY_CODES)
    assert last(spells) == {
        1: (2, "attrition"),
        2: (1, "default"),
        3: (2, "default"),
        4: (1, "sold"),
        5: (2, "attrition"),
        6: (1, "open"),
        # the code mixes early payment and maturity: in the last scheduled month it is the scheduled end
        7: (2, "matured"),
    }
    assert spells.y.causes == ("default", "attrition")
    assert spells.y.n_events == 4
    balance = spells.reconciliation.set_index("reason")["loans"]
    assert balance["sold"] == 1
    assert balance["loans in"] == balance.iloc[1:].sum() == 7


def test_the_first_condition_that_holds_counts_before_the_status():
    performance = performance_table((1, 0, "open", 600), (1, 1, "prepaid", 0)).assign(fraud=[0, 1])
    given = rules(exits=[{"cause": "fraud", "when": [{"column": "fraud", "values": [1]}]}])
    assert given.cause_names == ("attrition", "default", "fraud")
    assert last(build_spells(loan_table((1, 0, 12)), performance, given)) == {1: (2, "fraud")}


def test_a_stated_censoring_by_status_is_no_event_and_has_its_row_in_the_reconciliation():
    performance = performance_table((1, 0, "open", 600), (1, 1, "sold", 0), (1, 2, "open", 600), (2, 0, "open", 600))
    spells = build_spells(loan_table((1, 0, 12), (2, 0, 12)), performance, rules(censored={"sale": ["sold"]}))
    assert last(spells) == {1: (2, "sale"), 2: (1, "open")}
    assert spells.y.n_events == 0
    assert spells.reconciliation.set_index("reason").loc["sale", "loans"] == 1
    assert spells.cleaning.set_index("rule").loc["after the exit", "count"] == 1
    # a loan that was sold is not under observation any more
    assert spells.landmark("2024-01-31").frame["cause"].tolist() == ["sale", "open"]


def test_comparing_text_with_a_number_is_refused():
    performance = performance_table((1, 0, "open", 600)).assign(dpd="none")
    given = rules(exits=[{"cause": "default", "when": [{"column": "dpd", "at_least": 90}]}])
    with pytest.raises(DataError, match="exits compare column 'dpd' with a number, but it is string"):
        build_spells(loan_table((1, 0, 12)), performance, given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exits": [{"cause": "default", "when": []}]}, "when"),
        ({"exits": [{"cause": "default", "when": [{"column": "x"}]}]}, "asks nothing"),
        ({"status": None, "open": [], "matured": [], "causes": {"attrition": []}}, "nothing tells exits"),
        ({"censored": {"default": ["sold"]}}, "'default' is a cause and in censored"),
        ({"rows": "loan"}, "covariates.performance names 'score', but with rows = 'loan'"),
        ({"dates": {"month": "%m"}}, r"dates.month = '%m': give a form with a year"),
        ({"keep": ["age"]}, "'age' is taken by a column"),
    ],
)
def test_rules_of_exits_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        rules(**changes)


def test_loans_are_at_risk_from_their_acquisition_and_know_what_was_before():
    performance = performance_table(*[(1, number, "open", 600 + number) for number in range(5)])
    loans = loan_table((1, 0, 12), (2, 0, 12)).assign(bought=[month(2), None])
    performance = pd.concat([performance, performance_table((2, 0, "open", 500), (2, 1, "prepaid", 0))])
    spells = build_spells(loans, performance, rules(acquired="bought"))
    assert endings(spells)[:3] == [(1, 2, 3, "open"), (1, 3, 4, "open"), (1, 4, 5, "open")]
    # the month before the purchase is known, though not at risk
    assert spells.frame["score"].tolist()[:3] == [601, 602, 603]
    assert spells.frame["entry"].tolist() == [2, 2, 2, 0, 0]
    assert spells.cleaning.set_index("rule").loc["late entry", "count"] == 1


def test_a_loan_that_left_before_its_acquisition_has_no_spell():
    loans = loan_table((1, 0, 12), (2, 0, 12)).assign(bought=[month(4), month(0)])
    performance = performance_table((1, 0, "open", 600), (1, 1, "prepaid", 0), (2, 0, "open", 600))
    spells = build_spells(loans, performance, rules(acquired="bought"))
    assert endings(spells) == [(2, 0, 1, "open")]
    assert spells.left_out == {"left before its acquisition": 1}
    assert spells.reconciliation["loans"].iloc[0] == spells.reconciliation["loans"].iloc[1:].sum() == 2


PER_LOAN = rules(rows="loan", observed="last", covariates={"loans": ["amount"]}, paid_at_term=["attrition"])


def per_loan(*loans):
    """Give a table with one row per loan from (loan, month of origination, term, last month, status)."""
    table = loan_table(*[(loan, opened, term) for loan, opened, term, _, _ in loans])
    return table.assign(last=[month(n) for *_, n, _ in loans], status=[status for *_, status in loans])


def test_a_table_of_one_row_per_loan_gives_a_spell_for_every_period():
    table = per_loan(
        (1, 0, 12, 2, "prepaid"),
        (2, 1, 12, 1, "charged off"),
        (3, 0, 3, 5, "prepaid"),
        (4, 0, 12, -1, "prepaid"),
        (5, 0, 4, 3, "prepaid"),
    )
    spells = build_spells(table, table, PER_LOAN)
    assert endings(spells) == [
        *[(1, 0, 1, "open"), (1, 1, 2, "open"), (1, 2, 3, "attrition")],
        (2, 0, 1, "default"),
        # paid after the scheduled end: matured there
        *[(3, 0, 1, "open"), (3, 1, 2, "open"), (3, 2, 3, "matured")],
        *[(5, 0, 1, "open"), (5, 1, 2, "open"), (5, 2, 3, "open"), (5, 3, 4, "matured")],
    ]
    counts = spells.cleaning.set_index("rule")[["count", "unit"]]
    assert counts.loc["before origination"].tolist() == [1, "loan"]
    assert counts.loc["past the scheduled end"].tolist() == [1, "loan"]
    assert counts.loc["paid at term"].tolist() == [1, "loan"]
    assert counts.loc["same-period entry and exit"].tolist() == [1, "loan"]
    assert spells.left_out == {"no usable row": 1}


def test_loans_of_one_row_each_are_at_risk_from_their_acquisition():
    table = per_loan((1, 0, 24, 4, "prepaid")).assign(bought=month(3))
    spells = build_spells(table, table, PER_LOAN.model_copy(update={"acquired": "bought"}))
    assert endings(spells) == [(1, 3, 4, "open"), (1, 4, 5, "attrition")]


def test_two_different_rows_of_a_loan_are_left_out_or_refused():
    table = per_loan((1, 0, 12, 2, "prepaid"), (1, 0, 12, 3, "prepaid"), (2, 0, 12, 1, "open"))
    with pytest.raises(DataError, match=r"1 loan of the loan table have rows that differ"):
        build_spells(table.assign(amount=[1, 2, 3]), table, PER_LOAN)
    loans = loan_table((1, 0, 12), (2, 0, 12))
    with pytest.raises(DataError, match=r"1 loan of the performance table has rows that differ \(loan 1"):
        build_spells(loans, table, PER_LOAN)
    left_out = build_spells(loans, table, PER_LOAN.model_copy(update={"conflicts": "leave out"}))
    assert endings(left_out) == [(2, 0, 1, "open"), (2, 1, 2, "open")]
    assert left_out.cleaning.set_index("rule").loc["contradicting rows", "count"] == 1


def test_contradicting_rows_are_left_out_where_the_rules_say_so():
    performance = performance_table((1, 0, "open", 600), (1, 1, "open", 1), (1, 1, "open", 2), (1, 2, "open", 3))
    performance = pd.concat([performance, performance_table((2, 0, "open", 600), (2, 0, "open", 600))])
    loans = pd.concat([loan_table((1, 0, 12), (2, 0, 12), (3, 0, 12)), loan_table((3, 1, 12))])
    given = rules(conflicts="leave out")
    spells = build_spells(loans, pd.concat([performance, performance_table((3, 1, "open", 600))]), given)
    assert endings(spells) == [(1, 0, 1, "open"), (1, 2, 3, "open"), (2, 0, 1, "open")]
    counts = spells.cleaning.set_index("rule")["count"]
    assert counts["contradicting rows"] == 2
    assert counts["exact duplicate"] == 1
    assert spells.left_out == {"contradicting rows in the loan table": 1}
    assert spells.reconciliation["loans"].iloc[0] == 3


def test_excluded_loans_are_counted_by_the_column_that_excludes_them():
    loans = loan_table((1, 0, 12), (2, 0, 12), (3, 0, 12)).assign(source=["all", "closed only", "all"])
    performance = performance_table(*[(loan, 0, "open", 600) for loan in (1, 2, 3)])
    spells = build_spells(loans, performance, rules(exclude={"source": ["closed only"]}))
    assert spells.frame["loan_id"].tolist() == [1, 3]
    assert spells.left_out == {"excluded by source": 1}
    assert spells.cleaning.empty
    checks = check_tables(loans, performance, rules(exclude={"source": ["closed only"]}))
    assert "loan without spells: excluded by source" in set(checks["rule"])


def test_a_term_written_as_text_is_read_as_a_number():
    loans = loan_table((1, 0, 2)).assign(term=" 2 months")
    performance = performance_table((1, 0, "open", 600), (1, 1, "open", 600))
    with pytest.raises(DataError, match="'term' of the loans table is string, not numeric.*numbers = "):
        build_spells(loans, performance, RULES)
    assert last(build_spells(loans, performance, rules(numbers=["term"]))) == {1: (2, "matured")}
    with pytest.raises(DataError, match=r"'term' holds 1 text without a number \(loan 1, e.g. 'long'\)"):
        build_spells(loans.assign(term="long"), performance, rules(numbers=["term"]))


@pytest.mark.parametrize(
    ("form", "written"),
    [("%Y%m", 202401), ("%Y%m", "202401"), ("%m%Y", "012024"), ("%d.%m.%Y", "31.01.2024"), ("%b-%Y", "Jan-2024")],
)
def test_dates_in_other_forms_are_read_where_the_rules_name_them(form, written):
    loans = loan_table((1, 0, 12))
    performance = performance_table((1, 0, "open", 600)).assign(month=written)
    spells = build_spells(loans, performance, rules(dates={"month": form}))
    assert spells.frame["period"].tolist() == [month(0)]
    with pytest.raises(DataError, match=r"'month' holds 1 value that is no date .*text of the form"):
        build_spells(loans, performance.assign(month="31.31.2024"), rules(dates={"month": form}))
