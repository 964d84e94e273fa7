"""A tiny lender for the tests of the data layer, and spells built from it by the obvious loop."""

import pandas as pd

from churnsurv.data import SpellRules
from churnsurv.data.engine import workspace
from churnsurv.data.faults import refuse
from churnsurv.data.period_columns import period_column

RULES = SpellRules(
    period="month",
    origination="opened",
    term="term",
    observed="month",
    status="status",
    open=["open"],
    matured=["done"],
    causes={"attrition": ["prepaid"], "default": ["charged off"]},
    covariates={"loans": ["amount"], "performance": ["score"]},
)

EXITS = {"prepaid": "attrition", "charged off": "default", "done": "matured"}


def month(number):
    """Give the first day of month `number`; 0 is January 2024."""
    return pd.Timestamp(2024 + number // 12, number % 12 + 1, 1)


def rules(**changes):
    """Give the rules with some keys changed."""
    plain = RULES.model_dump(exclude_none=True)
    return SpellRules(**(plain | changes))


def loan_table(*loans):
    """Give a loan table from (loan_id, month of origination, term)."""
    return pd.DataFrame(
        {
            "loan_id": [loan for loan, _, _ in loans],
            "opened": [month(opened) for _, opened, _ in loans],
            "term": [term for _, _, term in loans],
            "amount": [1000.0 * loan for loan, _, _ in loans],
        }
    )


def performance_table(*rows):
    """Give a performance table from (loan_id, month, status, score)."""
    return pd.DataFrame(
        {
            "loan_id": [loan for loan, _, _, _ in rows],
            "month": [month(number) for _, number, _, _ in rows],
            "status": [status for _, _, status, _ in rows],
            "score": [float(score) for _, _, _, score in rows],
        }
    )


def spells_by_hand(loans, performance):
    """Build the spells of the tiny lender loan by loan and month by month: the slow twin."""
    spells = []
    for loan in loans.itertuples():
        rows = performance[performance["loan_id"] == loan.loan_id].drop_duplicates().sort_values("month")
        score_at = {row.month: row.score for row in rows.itertuples()}
        used = []
        for row in rows.itertuples():
            age = (row.month.year - loan.opened.year) * 12 + row.month.month - loan.opened.month
            if age < 0:
                del score_at[row.month]
                continue
            if age >= loan.term:
                break
            cause = EXITS.get(row.status, "matured" if age + 1 == loan.term else "open")
            used.append((loan.loan_id, age, age + 1, cause, score_at.get(row.month - pd.DateOffset(months=1))))
            if row.status != "open":
                break
        spells += used
    return pd.DataFrame(spells, columns=["loan_id", "start", "stop", "cause", "score"])


def periods_read(values, given, loans=None):
    """Read a column of periods the way spells do: numbers since 1970, None where missing; faults are raised."""
    name = values.name
    frame = pd.DataFrame({name: values.reset_index(drop=True)})
    if loans is not None:
        frame["loan_id"] = loans
    with workspace({"performance": frame}, columns={"performance": [name, "loan_id"]}) as work:
        table = work.tables["performance"]
        column = period_column(table[name], name, given)
        refuse(table, column.faults, work, label=None if loans is None else "loan_id")
        return table.select(number=column.number).to_pyarrow()["number"].to_pylist()
