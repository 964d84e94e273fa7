"""Checks of single columns against their roles: periods and statuses that can be read, values that can be used."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import ibis.expr.types as ir

from churnsurv.data.columns import require_number, value_column
from churnsurv.data.engine import Workspace
from churnsurv.data.exits import exit_code, unexplained
from churnsurv.data.faults import faults_of
from churnsurv.data.lines import Line, guarded
from churnsurv.data.period_columns import period_column
from churnsurv.data.rules import SpellRules
from churnsurv.data.schema import macro_columns
from churnsurv.messages import first_of


def column_lines(work: Workspace, rules: SpellRules) -> Iterator[Line]:
    """Check periods, statuses and the values of covariates."""
    performance = work.tables["performance"]
    # of a panel the static columns are its own
    tables = {"performance": performance, "loans": work.tables.get("loans", performance)}
    if "macro" in work.tables:
        tables["macro"] = work.tables["macro"]
    dates = [("performance", rules.observed), ("loans", rules.origination)]
    dates += [("loans", name) for name in (rules.maturity, rules.acquired) if name is not None]
    if rules.macro is not None and rules.needs_macro:
        dates.append(("macro", rules.macro.period))
    for table, name in dates:
        yield from guarded(
            table, name, "periods can be read", partial(_periods, tables[table], table, name, rules, work)
        )
    if rules.status is not None:
        yield from guarded(
            "performance", rules.status, "every status has a meaning", partial(_statuses, performance, rules, work)
        )
    for table, name, must_be_number in _values(tables, rules):
        check = partial(_value, tables[table], table, name, rules, work, must_be_number)
        lines = guarded(table, name, "values can be used", check)
        yield from lines or [Line("ok", table, name, "values can be used", 0, "", "")]


def _label(table: ir.Table, rules: SpellRules) -> str | None:
    return rules.loan_id if rules.loan_id in table.columns else None


def _periods(table: ir.Table, place: str, name: str, rules: SpellRules, work: Workspace) -> Iterator[Line]:
    faults = faults_of(table, period_column(table[name], name, rules).faults, work, label=_label(table, rules))
    for found in faults:
        yield Line("error", place, name, "periods can be read", found.count, found.examples, found.message)
    if not faults:
        yield Line("ok", place, name, "periods can be read", 0, "", "")


def _statuses(table: ir.Table, rules: SpellRules, work: Workspace) -> Iterator[Line]:
    assert rules.status is not None
    coded = table.select(loan=table[rules.loan_id], status=table[rules.status], code=exit_code(table, rules))
    strange = unexplained(coded, work)
    for status in strange:
        remedy = "add it to open, matured, censored or one of the causes"
        rule = f"status {status.value!r} has a meaning"
        yield Line("error", "performance", rules.status, rule, status.count, status.loans, remedy)
    if not strange:
        yield Line("ok", "performance", rules.status, "every status has a meaning", 0, "", "")


def _values(tables: dict[str, ir.Table], rules: SpellRules) -> list[tuple[str, str, bool]]:
    """Give table, column, and whether it must be numeric, of everything covariates are made of."""
    columns = [("loans", name, False) for name in rules.covariates.loans]
    columns += [("performance", name, False) for name in rules.covariates.performance]
    columns += [("performance", window.column, True) for window in rules.windows.values()]
    columns += [("macro", name, True) for name in macro_columns(rules, keys=False)]
    if rules.rate_incentive is not None:
        own = rules.rate_incentive.own
        columns.append(("performance" if own in tables["performance"].columns else "loans", own, True))
    must_be_numeric = {(table, name) for table, name, must in columns if must}
    unique = dict.fromkeys((table, name) for table, name, _ in columns)
    return [(table, name, (table, name) in must_be_numeric) for table, name in unique]


def _value(
    table: ir.Table, place: str, name: str, rules: SpellRules, work: Workspace, must_be_number: bool
) -> Iterator[Line]:
    column = value_column(table[name], name, rules)
    if must_be_number:
        require_number(column.value, name, place)
    label = _label(table, rules)
    for found in faults_of(table, column.faults, work, label=label):
        yield Line("error", place, name, "values can be used", found.count, found.examples, found.message)
    raw = table[name]
    flags = {"missing": column.value.isnull()}
    if raw.type().is_floating():
        flags["infinite"] = raw.isinf()
    if column.value.type().is_string():
        flags["number as text"] = raw.re_search(r"^\s*[-+]?\d+([.,]\d+)?\s*$")
    counts = {"infinite": 0, "number as text": 0} | _counts(table, raw, flags, work)
    if counts["missing"]:
        remedy = "spells that need the values are counted; complete() leaves them out"
        loans = _loans(table, flags["missing"], label, work)
        yield Line("warning", place, name, "missing values", counts["missing"], loans, remedy)
    if counts["infinite"]:
        loans = _loans(table, flags["infinite"], label, work)
        yield Line("error", place, name, "infinite values", counts["infinite"], loans, "correct the values")
    if counts["number as text"] > (counts["rows"] - counts["missing"]) / 2:
        remedy = f"numbers stored as text become categories: list the column in the rules' numbers = [{name!r}]"
        examples = repr(counts["example"])
        yield Line("warning", place, name, "numbers stored as text", counts["number as text"], examples, remedy)


def _counts(table: ir.Table, raw: ir.Value, flags: dict[str, ir.BooleanValue], work: Workspace) -> dict[str, Any]:
    sums = {name: flag.fill_null(False).sum() for name, flag in flags.items()}
    query = table.aggregate(rows=table.count(), example=raw.min(), **sums)
    found = work.records(query, what="checking values")[0]
    return {name: (found[name] or 0) if name != "example" else found[name] for name in found}


def _loans(table: ir.Table, flag: ir.BooleanValue, label: str | None, work: Workspace) -> str:
    if label is None:
        return ""
    return first_of(work.labels(table.filter(flag), label, what="checking values"))
