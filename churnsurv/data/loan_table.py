"""The loan table as an expression: one row per loan, its origination, scheduled end and static columns.

Without a loan table, the first row of each loan of the performance panel stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis
import ibis.expr.types as ir

from churnsurv.data.columns import (
    done_by,
    inexact_ids,
    label_column,
    refuse_different_kinds,
    require_number,
    value_column,
)
from churnsurv.data.engine import Workspace
from churnsurv.data.exits import is_one_of
from churnsurv.data.faults import Fault, refuse
from churnsurv.data.findings import Finding
from churnsurv.data.period_columns import period_column
from churnsurv.data.reasons import CONTRADICTING, excluded_by
from churnsurv.data.rules import SpellRules
from churnsurv.data.schema import loan_columns, require_columns, static_columns
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of


@dataclass(frozen=True)
class LoanTable:
    """One row per loan.

    ``table`` has ``loan``, ``customer``, ``origination`` (number of the period), ``maturity`` (age at the scheduled end, null
    without one), ``acquired`` (number of the period, null without one), ``out`` (why the loan is left out, or null) and the
    static columns as "l:" and their name.
    """

    table: ir.Table
    n: int
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _Staged:
    """Columns of the loan table as they are read, with what is to be checked and counted."""

    table: ir.Table
    faults: tuple[Fault, ...]
    changed: dict[tuple[str, str], str]  # (rule, column) → flag of the table


def loan_table(work: Workspace, rules: SpellRules) -> LoanTable:
    """Give the loans of a portfolio, checked.

    Raises
    ------
    DataError
        Columns that are absent or cannot be read, loans that are told in two ways.
    """
    findings: list[Finding] = []
    performance = work.tables["performance"]
    source, name = work.tables.get("loans"), "loans"
    if source is None:
        name = "performance"
        source = _first_rows(work, rules, findings)
    require_columns(work.columns[name], loan_columns(rules, performance.columns), name)
    staged = _staged(source, rules, name, performance.columns)
    refuse_different_kinds(performance[rules.loan_id], source[rules.loan_id], rules.loan_id, "performance", "loans")
    refuse(source, staged.faults, work, label=rules.loan_id)
    there = staged.table.filter(staged.table.loan.notnull())
    distinct = work.kept(there.distinct(), "loans")
    told = distinct.group_by("loan").agg(ways=distinct.count())
    tables = {"rows": staged.table, "there": there, "distinct": distinct, "loans": told}
    n = {name: work.count(table, what="loans") for name, table in tables.items()}
    for rule, lost, action in (
        ("missing loan id", n["rows"] - n["there"], "row left out"),
        ("exact duplicate", n["there"] - n["distinct"], "one of the equal rows kept"),
    ):
        if lost:
            findings.append(Finding(rule, "loans", rules.loan_id, lost, "row", action))
    table = distinct
    if n["loans"] < n["distinct"]:
        table = _with_contradictions(distinct, told, work, rules)
    findings += _changed_values(table, staged, work, rules)
    return LoanTable(table.drop(*staged.changed.values()), n["loans"], findings)


def _staged(source: ir.Table, rules: SpellRules, name: str, of_performance: Sequence[str]) -> _Staged:
    """Read the columns of the loan table."""
    loan = label_column(source[rules.loan_id], rules.loan_id, name)
    customer_id = rules.customer_id or rules.loan_id
    faults = list(inexact_ids(source[rules.loan_id], rules.loan_id, name))
    if customer_id != rules.loan_id:
        faults += inexact_ids(source[customer_id], customer_id, name)
    origination = period_column(source[rules.origination], rules.origination, rules)
    faults += origination.faults
    columns: dict[str, Any] = {
        "loan": loan,
        "customer": label_column(source[customer_id], customer_id, name),
        "origination": origination.number,
        "acquired": ibis.null("int32"),
    }
    if rules.acquired is not None:
        acquired = period_column(source[rules.acquired], rules.acquired, rules)
        faults += acquired.faults
        columns["acquired"] = acquired.number
    if rules.macro is not None and rules.macro.region is not None:
        label_column(source[rules.macro.region], rules.macro.region, name)
    static = static_columns(rules, of_performance)
    changed = {}
    values = {}
    for column in dict.fromkeys([*static, *([rules.term] if rules.term else [])]):
        values[column] = value_column(source[column], column, rules)
        faults += values[column].faults
        for rule, flag in values[column].changed.items():
            changed[rule, column] = f"{rule}:{column}"
            columns[f"{rule}:{column}"] = flag
    columns |= {f"l:{column}": values[column].value for column in static}
    age: ir.NumericValue = ibis.null("float64")
    if rules.term is not None:
        age = values[rules.term].value
        require_number(age, rules.term, name)
    elif rules.maturity is not None:
        end = period_column(source[rules.maturity], rules.maturity, rules)
        faults += end.faults
        age = end.number - origination.number
    columns["maturity"] = ibis.ifelse(age > 0, age, ibis.null(age.type())).cast("float64")
    reasons = [(is_one_of(source[column], values), excluded_by(column)) for column, values in rules.exclude.items()]
    columns["out"] = ibis.cases(*reasons, else_=ibis.null("string")) if reasons else ibis.null("string")
    return _Staged(source.select(**columns), tuple(faults), changed)


def _with_contradictions(distinct: ir.Table, told: ir.Table, work: Workspace, rules: SpellRules) -> ir.Table:
    """Refuse loans that are told in two ways, or mark them as left out, as the rules say."""
    twice = told.filter(told.ways > 1)
    if rules.conflicts == "raise":
        n = work.count(twice, what="loans")
        few = work.labels(twice, "loan", what="loans")
        raise DataError(
            f"{counted(n, 'loan')} of the loan table have rows that differ (loan {first_of(few)}). Keep one row per loan, or "
            "say conflicts = 'leave out' in the rules."
        )
    row = ibis.row_number().over(ibis.window(group_by="loan", order_by=distinct.columns))
    ways = ibis._.count().over(ibis.window(group_by="loan"))
    marked = distinct.mutate(row=row, ways=ways)
    marked = marked.mutate(out=ibis.ifelse(marked.ways > 1, CONTRADICTING, marked.out))
    return work.kept(marked.filter(marked.row == 0).drop("row", "ways"), "loans")


def _changed_values(table: ir.Table, staged: _Staged, work: Workspace, rules: SpellRules) -> list[Finding]:
    """Count the values that rules made missing, and the loans without a valid term."""
    flags = {names: table[flag] for names, flag in staged.changed.items()}
    found = []
    scheduled = rules.term or rules.maturity
    if scheduled is not None:
        flags["no valid term", scheduled] = table.maturity.isnull()
    sums = {f"n{i}": flag.sum() for i, flag in enumerate(flags.values())}
    counts = work.records(table.aggregate(**sums), what="loans")[0] if sums else {}
    for i, ((rule, column), flag) in enumerate(flags.items()):
        if counts[f"n{i}"]:
            ids = work.labels(table.filter(flag), "loan", what="loans")
            action = "no scheduled end assumed" if rule == "no valid term" else done_by(rule)
            found.append(Finding(rule, "loans", column, int(counts[f"n{i}"]), "loan", action, tuple(ids)))
    return found


def _first_rows(work: Workspace, rules: SpellRules, findings: list[Finding]) -> ir.Table:
    """Take each loan's first row of the panel, counting the loans whose static columns move afterwards."""
    panel = work.tables["performance"]
    columns = loan_columns(rules, panel.columns)
    require_columns(work.columns["performance"], [*columns, rules.observed], "performance")
    period = period_column(panel[rules.observed], rules.observed, rules)
    refuse(panel, period.faults, work, label=rules.loan_id)
    first = "\tperiod"
    usable = panel.select(*columns, **{first: period.number})
    usable = usable.filter(usable[rules.loan_id].notnull())
    findings += _moving(usable, columns, work, rules)
    # a loan of which no row has a period is there too: the reconciliation says why it has no spell
    in_order = ibis.window(group_by=rules.loan_id, order_by=[ibis.asc(first, nulls_first=False), *columns])
    ranked = usable.mutate(**{"\trow": ibis.row_number().over(in_order)})
    return work.kept(ranked.filter(ranked["\trow"] == 0).select(*columns), "first rows")


def _moving(usable: ir.Table, columns: Sequence[str], work: Workspace, rules: SpellRules) -> list[Finding]:
    static = [column for column in columns if column != rules.loan_id]
    moves = {}
    for i, column in enumerate(static):
        values = usable[column]
        some_missing = (values.count() > 0) & (values.count() < usable.count())
        moves[f"m{i}"] = (values.min() != values.max()).fill_null(False) | some_missing
    per_loan = work.kept(usable.group_by(loan=usable[rules.loan_id]).agg(**moves), "moving columns")
    sums = {name: per_loan[name].sum() for name in moves}
    counts = work.records(per_loan.aggregate(**sums), what="loans")[0]
    found = []
    for i, column in enumerate(static):
        if counts[f"m{i}"]:
            ids = work.labels(per_loan.filter(per_loan[f"m{i}"]), "loan", what="loans")
            n = int(counts[f"m{i}"])
            found.append(
                Finding("static column moves", "performance", column, n, "loan", "first value kept", tuple(ids))
            )
    return found
