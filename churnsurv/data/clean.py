"""Clean-up of the performance table, as an expression: every row that is not used as it stands is counted under a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from churnsurv.data.columns import done_by, inexact_ids, label_column, value_column
from churnsurv.data.duplicates import contradictions, refuse_contradictions, refuse_sparse_rows, row_key
from churnsurv.data.engine import Workspace
from churnsurv.data.exits import NO_MEANING, NO_STATUS, exit_code, unexplained
from churnsurv.data.faults import refuse
from churnsurv.data.findings import Finding
from churnsurv.data.loan_table import LoanTable, loan_table
from churnsurv.data.period_columns import period_column
from churnsurv.data.reasons import LEFT_BEFORE, NO_ORIGINATION, NO_ROW, NOT_OBSERVED
from churnsurv.data.rules import MATURED, OPEN, SpellRules
from churnsurv.data.schema import performance_columns, require_columns, require_corrected_columns, value_columns
from churnsurv.exceptions import DataError

#: rules by which rows are left out, in the order in which they are looked at; a row counts under the first that applies
ROW_RULES = (
    "missing loan id",
    "unknown loan",
    "loan left out",
    "missing period",
    "missing status",
    NO_ORIGINATION,
    "before origination",
    "contradicting rows",
    "exact duplicate",
    "after the exit",
    "past the scheduled end",
)
_RULE = {name: position for position, name in enumerate(ROW_RULES)}
#: rule for the rows of loans that are left out as a whole; the reconciliation counts the loans
_LOAN_OUT = "loan left out"


@dataclass(frozen=True)
class CleanTables:
    """What the clean-up leaves.

    ``rows`` is one row per loan and observed period: ``loan``, ``period``, ``code`` (position in ``rules.endings``),
    ``origination``, ``acquired``, and the values of the performance table as "p:" and their name. ``loans`` is the loan table
    (see :class:`~churnsurv.data.loan_table.LoanTable`), ``left_out`` counts its loans without any row by reason.
    """

    rows: ir.Table
    loans: ir.Table
    loans_in: int
    left_out: dict[str, int]
    findings: list[Finding]


def clean(work: Workspace, rules: SpellRules) -> CleanTables:
    """Give the loan-periods that the rules leave, and count everything else.

    Raises
    ------
    DataError
        Columns that are absent or cannot be read, a status without a meaning, rows that contradict each other.
    """
    require_columns(work.columns["performance"], performance_columns(rules), "performance")
    require_corrected_columns(work.columns, rules)
    loans = loan_table(work, rules)
    staged, changed = _staged(work, rules)
    flagged = _flagged(staged, loans, rules, None)
    counts = _counts(flagged, changed, work)
    refuse_sparse_rows(counts, rules)
    if (counts["rule"] == _RULE["exact duplicate"]).any():
        suspects = flagged.filter(flagged.rule == _RULE["exact duplicate"])
        twice = work.kept(contradictions(staged, suspects, rules), "contradicting rows")
        if rules.conflicts == "raise":
            refuse_contradictions(twice, staged, work, rules)
        flagged = _flagged(staged, loans, rules, twice)
        counts = _counts(flagged, changed, work)
    findings = [*loans.findings, *_findings(counts, changed, rules)]
    rows = flagged.filter(flagged.rule.isnull()).drop("rule", "paid", "seen", "step", "status", *changed.values())
    return CleanTables(rows, loans.table, loans.n, _left_out(counts, loans, work), findings)


def _staged(work: Workspace, rules: SpellRules) -> tuple[ir.Table, dict[tuple[str, str], str]]:
    """Read the columns of the performance table; refuse what cannot be read."""
    table = work.tables["performance"]
    loan = label_column(table[rules.loan_id], rules.loan_id, "performance")
    period = period_column(table[rules.observed], rules.observed, rules)
    status = table[rules.status] if rules.status is not None else ibis.null("string")
    if rules.status is not None:
        label_column(status, rules.status, "performance")
    columns: dict[str, Any] = {
        "loan": loan,
        "period": period.number,
        "seen": table[rules.observed].cast("string"),
        "status": status,
        "code": exit_code(table, rules),
    }
    faults = [*inexact_ids(table[rules.loan_id], rules.loan_id, "performance"), *period.faults]
    changed: dict[tuple[str, str], str] = {}
    for name in value_columns(rules, table.columns):
        value = value_column(table[name], name, rules)
        columns[f"p:{name}"] = value.value
        faults += value.faults
        for rule, flag in value.changed.items():
            changed[rule, name] = f"{rule}:{name}"
            columns[f"{rule}:{name}"] = flag
    refuse(table, faults, work, label=rules.loan_id)
    staged = table.select(**columns)
    if rules.status is not None:
        for strange in unexplained(staged, work):
            raise DataError(strange.message(rules))
    return staged, changed


def _flagged(staged: ir.Table, loans: LoanTable, rules: SpellRules, twice: ir.Table | None) -> ir.Table:
    """Give the rows with the rule that leaves them out (null: none), joined with what their loan says.

    Parameters
    ----------
    twice : table of keys, or None
        What the table tells in two ways, see :func:`churnsurv.data.duplicates.contradictions`.
    """
    facts = loans.table.select("origination", "acquired", "maturity", "out", known="loan")
    rows = staged.left_join(facts, staged.loan == facts.known)
    contradicting = ibis.literal(False)
    if twice is not None:
        told = twice.select(**{f"told {column}": column for column in row_key(rules)})
        rows = rows.left_join(told, [rows[column] == told[f"told {column}"] for column in row_key(rules)])
        contradicting = rows["told loan"].notnull()
    reasons = {
        "missing loan id": rows.loan.isnull(),
        "unknown loan": rows.known.isnull(),
        _LOAN_OUT: rows.out.notnull(),
        "missing period": rows.period.isnull(),
        "missing status": rows.code == NO_STATUS,
        NO_ORIGINATION: rows.origination.isnull(),
        "before origination": rows.period < rows.origination,
        "contradicting rows": contradicting,
    }
    rows = rows.mutate(
        rule=ibis.cases(*((flag, _RULE[name]) for name, flag in reasons.items()), else_=ibis.null("int8"))
    )
    rows = rows.mutate(usable=rows.rule.isnull())
    of_loan = {"group_by": ["loan", "usable"], "order_by": "period"}
    rows = rows.mutate(
        previous=rows.period.lag().over(ibis.window(**of_loan)),
        left=(rows.code > 0).max().over(ibis.window(**of_loan, preceding=(None, 1))),
    )
    again = rows.previous.notnull() if rules.rows == "loan" else rows.previous == rows.period
    later = {"exact duplicate": again, "after the exit": rows.left}
    rows = rows.mutate(
        rule=ibis.cases(
            (~rows.usable, rows.rule),
            *((flag.fill_null(False), _RULE[name]) for name, flag in later.items()),
            else_=ibis.null("int8"),
        ),
        step=ibis.ifelse(rows.usable, rows.period - rows.previous, ibis.null("int32")),
    )
    rows = rows.select(*staged.columns, "origination", "acquired", "maturity", "rule", "step")
    if rules.rows == "loan":
        rows = _expanded(rows)
    age = rows.period - rows.origination
    past = rows.rule.isnull() & (age >= rows.maturity).fill_null(False)
    rows = rows.mutate(rule=ibis.ifelse(past, _RULE["past the scheduled end"], rows.rule))
    return _with_maturity(rows, rules)


def _expanded(rows: ir.Table) -> ir.Table:
    """Give a row for every period of a loan of which only the last is told: open until then."""
    first = ibis.greatest(rows.origination, rows.acquired.coalesce(rows.origination))
    periods = ibis.ifelse(rows.rule.isnull(), ibis.range(first, rows.period + 1), ibis.array([rows.period]))
    rows = rows.mutate(last=rows.period, period=periods).unnest("period")
    rows = rows.mutate(period=rows.period.cast("int32"))
    return rows.mutate(code=ibis.ifelse(rows.period < rows["last"], 0, rows.code).cast("int8")).drop("last")


def _with_maturity(rows: ir.Table, rules: SpellRules) -> ir.Table:
    """Read the last scheduled period: what is still open matures, and so do the causes of ``paid_at_term``."""
    at_end = rows.rule.isnull() & (rows.period - rows.origination + 1 >= rows.maturity).fill_null(False)
    paid = at_end & rows.code.isin([rules.endings.index(name) for name in rules.paid_at_term] or [NO_MEANING])
    matured = paid | (at_end & (rows.code == rules.endings.index(OPEN)))
    code = ibis.ifelse(matured, rules.endings.index(MATURED), rows.code).cast("int8")
    return rows.mutate(code=code, paid=paid).drop("maturity")


def _counts(flagged: ir.Table, changed: dict[tuple[str, str], str], work: Workspace) -> pd.DataFrame:
    """Count the rows of every loan by the rule that leaves them out (−1: none), and what else findings need."""
    sums = {
        "rows": flagged.count(),
        # earlier rows are history: a loan is at risk from its acquisition
        "at_risk": (flagged.acquired.isnull() | (flagged.period >= flagged.acquired)).sum(),
        "paid": flagged.paid.sum(),
        "steps": (flagged.step > 0).sum(),
        "thirds": ((flagged.step > 0) & (flagged.step % 3 == 0)).sum(),
        **{flag: flagged[flag].sum() for flag in changed.values()},
    }
    counts = flagged.group_by(["loan", "rule"]).agg(**sums)
    frame = work.frame(counts, what="clean-up")
    return frame.assign(rule=frame["rule"].fillna(-1).astype(int))


def _findings(counts: pd.DataFrame, changed: dict[tuple[str, str], str], rules: SpellRules) -> list[Finding]:
    """Give what the counts say; of loans told by their last row alone, loans are counted."""
    unit = "loan" if rules.rows == "loan" else "row"
    status = rules.status or ""
    column = {"missing loan id": rules.loan_id, "unknown loan": rules.loan_id, NO_ORIGINATION: rules.origination}
    column |= {"missing status": status, "after the exit": status}
    kept_one = "one of the equal rows kept"
    found = []
    for rule, code in _RULE.items():
        rows = counts[counts["rule"] == code]
        if len(rows) and rule != _LOAN_OUT:
            n = int(len(rows) if unit == "loan" else rows["rows"].sum())
            action = kept_one if rule == "exact duplicate" else f"{unit} left out"
            if rule == "past the scheduled end" and unit == "loan":
                action = "matured at the scheduled end"
            found.append(_finding(rule, column.get(rule, rules.observed), n, unit, action, rows))
    kept = counts[counts["rule"] == -1]
    paid = kept[kept["paid"] > 0]
    if len(paid):
        n = int(paid["paid"].sum())
        found.append(_finding("paid at term", status, n, "loan", "matured, not an exit", paid))
    for (rule, name), flag in changed.items():
        rows = kept[kept[flag] > 0]
        if len(rows):
            n = int(rows[flag].sum())
            found.append(_finding(rule, name, n, "row", done_by(rule), rows))
    return found


def _finding(rule: str, column: str, n: int, unit: str, action: str, rows: pd.DataFrame) -> Finding:
    examples = tuple(rows["loan"].dropna().sort_values().head(5).tolist())
    return Finding(rule, "performance", column, n, unit, action, examples)


def _left_out(counts: pd.DataFrame, loans: LoanTable, work: Workspace) -> dict[str, int]:
    """Count the loans without a row in use, by reason."""
    facts = loans.table.select("loan", "out", no_origin=loans.table.origination.isnull())
    table = work.frame(facts, what="loans").set_index("loan")
    kept = counts[counts["rule"] == -1]
    lost = table[~table.index.isin(kept.loc[kept["at_risk"] > 0, "loan"])]
    reason = np.select(
        [
            lost["out"].notna(),
            lost["no_origin"],
            ~lost.index.isin(counts["loan"]),
            ~lost.index.isin(kept["loan"]),
        ],
        [lost["out"], NO_ORIGINATION, NOT_OBSERVED, NO_ROW],
        LEFT_BEFORE,
    )
    # by name: the database gives rows in any order
    return {str(name): int(n) for name, n in pd.Series(reason).value_counts().sort_index().items()}
