import numpy as np
import pandas as pd
import pytest

from churnsurv.data import check_tables
from churnsurv.data.assignments import read_assignments
from churnsurv.exceptions import DataError
from tests.data.tables import RULES, loan_table, performance_table, rules

LOANS = loan_table((1, 0, 12), (2, 0, 12))
PERFORMANCE = performance_table(*[(loan, number, "open", 600 + number) for loan in (1, 2) for number in range(4)])
ASSIGNED = pd.DataFrame(
    {"loan_id": [1, 2], "intervention": "offer", "assigned_on": ["2024-02-29", "2024-03-31"], "arm": [1.0, 0.0]}
)


def test_assignments_are_read_with_days_and_arms_as_text():
    read = read_assignments(ASSIGNED, RULES, LOANS)
    assert list(read.columns) == ["loan_id", "intervention", "assigned_on", "arm"]
    assert read["assigned_on"].tolist() == [pd.Timestamp("2024-02-29"), pd.Timestamp("2024-03-31")]
    assert read["arm"].tolist() == ["1", "0"]


def test_the_loans_have_the_name_of_the_rules():
    own = rules(loan_id="account")
    table = ASSIGNED.rename(columns={"loan_id": "account"})
    assert read_assignments(table, own, LOANS.rename(columns={"loan_id": "account"}))["loan_id"].tolist() == [1, 2]
    with pytest.raises(DataError, match="interventions table has no column 'account'"):
        read_assignments(ASSIGNED, own)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"assigned_on": ["2024-02-29", None]}, r"'assigned_on' .* missing in 1 row \(row 1, loan 2\)"),
        (
            {"assigned_on": ["2024-02-29", "soon"]},
            r"'assigned_on' holds 1 value that is no date \(row 1, e.g. 'soon'\)",
        ),
        (
            {"assigned_on": [20240229, 20240331]},
            "'assigned_on' of the interventions table is int64 .*20240229.*Give dates",
        ),
        ({"arm": ["offer", np.nan]}, r"'arm' .* missing in 1 row \(row 1, loan 2\)"),
        ({"arm": ["offer", " "]}, r"'arm' .* missing in 1 row"),
        ({"loan_id": [1, np.nan]}, r"'loan_id' .* missing in 1 row \(row 1\)"),
        ({"loan_id": [1, 7]}, r"names 1 loan that the loans do not have \(7\)"),
        (
            {"loan_id": ["1", "2"]},
            r"text in the interventions table \(object, e.g. '1'\) and number .* \(int64, e.g. 1\)",
        ),
        (
            {"loan_id": [[1], [2]]},
            r"'loan_id' of the interventions table holds a list \(e.g. \[1\]\)",
        ),
    ],
)
def test_assignments_that_cannot_be_used_name_column_and_rows(changes, message):
    table = ASSIGNED.assign(**changes)
    with pytest.raises(DataError, match=message):
        read_assignments(table, RULES, LOANS)
    checks = check_tables(LOANS, PERFORMANCE, RULES, interventions=table)
    assert checks["table"][checks["status"] == "error"].tolist() == ["interventions"]


def test_an_empty_table_and_one_that_is_no_table_are_refused():
    with pytest.raises(DataError, match="0 rows"):
        read_assignments(ASSIGNED.iloc[:0], RULES)
    with pytest.raises(DataError, match="interventions table is a str; give a DataFrame"):
        read_assignments("interventions.parquet", RULES)


def test_the_check_counts_the_assignments():
    checks = check_tables(LOANS, PERFORMANCE, RULES, interventions=ASSIGNED)
    line = checks[checks["table"] == "interventions"]
    assert line[["status", "count", "examples"]].to_numpy().tolist() == [["ok", 2, "offer"]]
