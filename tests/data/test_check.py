import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnsurv.data import check_tables
from tests.data.tables import RULES, loan_table, performance_table, rules
from tests.depth import examples

LOANS = loan_table((1, 0, 12), (2, 0, 12))
PERFORMANCE = performance_table(*[(loan, number, "open", 600 + number) for loan in (1, 2) for number in range(4)])


def lines(checks, status):
    return checks[checks["status"] == status]


def test_clean_tables_have_no_warnings_and_no_errors():
    checks = check_tables(LOANS, PERFORMANCE, RULES)
    assert set(checks["status"]) == {"ok"}
    assert list(checks.columns) == ["status", "table", "column", "rule", "count", "examples", "remedy"]


def test_every_absent_column_is_an_error_with_the_nearest_name():
    checks = check_tables(
        LOANS.drop(columns="term"), PERFORMANCE.rename(columns={"score": "scores", "status": "state"}), RULES
    )
    errors = lines(checks, "error")
    assert errors["column"].tolist() == ["term", "status", "score"]
    assert errors["remedy"].str.contains("Did you mean 'scores'").any()


def test_every_status_without_a_meaning_is_an_error_with_its_loans():
    performance = PERFORMANCE.copy()
    performance.loc[[1, 6], "status"] = ["sold", "lost"]
    errors = lines(check_tables(LOANS, performance, RULES), "error")
    assert errors["rule"].tolist() == ["status 'lost' has a meaning", "status 'sold' has a meaning"]
    assert errors["examples"].tolist() == ["2", "1"]


def test_dates_that_cannot_be_read_are_errors():
    performance = PERFORMANCE.assign(month=["soon"] + ["2024-01-01"] * 7)
    errors = lines(check_tables(LOANS, performance, RULES), "error")
    assert errors[["column", "rule"]].to_numpy().tolist() == [["month", "periods can be read"]]
    assert "'soon'" in errors["remedy"].iloc[0]


def test_infinite_values_are_errors_and_missing_ones_warnings_with_the_loans():
    performance = PERFORMANCE.copy()
    performance.loc[0, "score"] = np.inf
    performance.loc[5, "score"] = np.nan
    checks = check_tables(LOANS, performance, RULES)
    assert lines(checks, "error")[["column", "count", "examples"]].to_numpy().tolist() == [["score", 1, "1"]]
    assert lines(checks, "warning")[["column", "count", "examples"]].to_numpy().tolist() == [["score", 1, "2"]]


def test_a_constant_column_and_numbers_as_text_are_warnings():
    performance = PERFORMANCE.assign(score=PERFORMANCE["score"].astype(str))
    checks = check_tables(LOANS.assign(amount=5.0), performance, RULES)
    assert lines(checks, "warning")["rule"].tolist() == ["numbers stored as text", "constant column"]


def test_what_the_clean_up_counts_is_a_warning_with_a_remedy():
    performance = pd.concat([PERFORMANCE, PERFORMANCE.iloc[[0]]]).drop(index=2)
    warnings = lines(check_tables(LOANS, performance, RULES), "warning").set_index("rule")
    assert warnings.loc["exact duplicate", "count"] == 1
    assert warnings.loc["gap", ["count", "examples"]].tolist() == [1, "1"]
    assert warnings["remedy"].str.len().gt(0).all()


def test_rows_that_contradict_each_other_are_an_error():
    performance = pd.concat([PERFORMANCE, PERFORMANCE.iloc[[0]].assign(score=1.0)])
    errors = lines(check_tables(LOANS, performance, RULES), "error")
    assert "rows that differ" in errors["remedy"].iloc[0]


def test_a_macro_table_that_is_needed_but_not_given_is_an_error():
    with_macro = rules(covariates={"macro": ["unemployment_rate"]}, macro={"period": "month"})
    errors = lines(check_tables(LOANS, PERFORMANCE, with_macro), "error")
    assert errors["table"].tolist() == ["macro"]


def test_empty_tables_are_errors():
    errors = lines(check_tables(LOANS.iloc[:0], PERFORMANCE.iloc[:0], RULES), "error")
    assert errors["rule"].tolist() == ["table has rows", "table has rows"]


VALUES = st.sampled_from(
    [None, np.nan, "", "x", -1, 0, 2.5, np.inf, "2024-01-01", pd.Timestamp("2024-01-01"), True, [1]]
)


CELLS = st.lists(
    st.tuples(st.sampled_from(["loans", "performance"]), st.integers(0, 7), st.integers(0, 3), VALUES), max_size=5
)


@examples(10, 100)
@given(CELLS)
def test_no_cell_crashes_the_check(cells):
    tables = {"loans": LOANS.astype(object), "performance": PERFORMANCE.astype(object)}
    for table, row, column, value in cells:
        tables[table].iat[row % len(tables[table]), column] = value
    checks = check_tables(tables["loans"], tables["performance"], RULES)
    assert set(checks["status"]) <= {"ok", "warning", "error"}


@pytest.mark.parametrize("table", ["loans", "performance"])
def test_a_table_without_columns_does_not_crash_the_check(table):
    given = {"loans": LOANS, "performance": PERFORMANCE} | {table: pd.DataFrame()}
    assert not lines(check_tables(given["loans"], given["performance"], RULES), "error").empty
