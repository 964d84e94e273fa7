"""Checks of a portfolio's tables against the rules, before anything is built from them.

Every check yields a line: ok, warning (``build_spells`` handles it in the stated way) or error (nothing sound
can be built before it is mended).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.data.assignments import read_assignments
from churnsurv.data.clean import unexplained_statuses
from churnsurv.data.frames import as_rules, as_table
from churnsurv.data.periods import period_numbers
from churnsurv.data.rules import SpellRules
from churnsurv.data.schema import loan_columns, macro_columns, performance_columns, require_columns
from churnsurv.data.spells import Spells, build_spells
from churnsurv.exceptions import ChurnSurvError
from churnsurv.messages import first_of, numeric_column

#: findings of the clean-up that are no fault of the data
_HARMLESS = ("late entry", "paid at term")

_REMEDY = {
    "missing loan id": "fill in the identifier",
    "unknown loan": "add the loans to the loan table",
    "missing period": "fill in the period",
    "missing status": "fill in the status",
    "origination unknown": "fill in the date of origination",
    "exact duplicate": "remove the copies at the source",
    "before origination": "correct the date of origination or of the row",
    "after the exit": "correct the status, or remove the rows",
    "past the scheduled end": "correct the term, or mark the exit",
    "gap": "deliver the missing periods",
    "no valid term": "fill in a term above 0",
    "static column moves": "deliver the value at origination, or use the column as one of the performance table",
    "zero means missing": "deliver missing values as missing",
    "not plausible": "correct the values",
}


@dataclass(frozen=True)
class _Line:
    status: str
    table: str
    column: str
    rule: str
    count: int
    examples: str
    remedy: str


def check_tables(
    loans: pd.DataFrame | None,
    performance: pd.DataFrame,
    rules: SpellRules | Mapping[str, Any],
    *,
    macro: pd.DataFrame | None = None,
    interventions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Check tables against the rules; dirty data are reported, they raise nothing.

    Parameters
    ----------
    loans, performance, rules, macro
        As in :func:`churnsurv.data.build_spells`.
    interventions : DataFrame, optional
        Assignments of loans, see :func:`churnsurv.data.assignments.read_assignments`.

    Returns
    -------
    DataFrame
        Columns ``status`` (ok, warning, error), ``table``, ``column``, ``rule``, ``count``, ``examples`` (loan ids or
        values), ``remedy``; errors first.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> checks = cs.data.check_tables(
    ...     portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro
    ... )
    >>> (checks["status"] == "error").any()
    np.False_
    """
    rules = as_rules(rules)
    performance = as_table(performance, "performance")
    loans = None if loans is None else as_table(loans, "loans")
    macro = None if macro is None else as_table(macro, "macro")
    tables = {"loans": performance if loans is None else loans, "performance": performance, "macro": macro}
    lines = list(_structure(tables, rules))
    if interventions is not None:
        ids = performance if loans is None else loans
        known = ids if rules.loan_id in ids.columns else None
        lines += _guarded(
            "interventions", "", "assignments can be read", partial(_assigned, interventions, rules, known)
        )
    if not _any_error(lines):
        lines += _guarded("tables", "", "values can be read", partial(_contents, tables, rules))
    if not _any_error(lines):
        lines += _guarded("tables", "", "spells can be built", partial(_spells, loans, performance, macro, rules))
    frame = pd.DataFrame([astuple(line) for line in lines], columns=[field.name for field in fields(_Line)])
    rank = frame["status"].map({"error": 0, "warning": 1, "ok": 2})
    return frame.iloc[np.argsort(rank, kind="stable")].reset_index(drop=True)


def _any_error(lines: Iterable[_Line]) -> bool:
    return any(line.status == "error" for line in lines)


def _fault(check: Callable[[], Any]) -> str:
    """Run a check and give what it raises as text: no data can stop the report about them."""
    try:
        check()
    except ChurnSurvError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _guarded(table: str, column: str, rule: str, check: Callable[[], Iterable[_Line]]) -> list[_Line]:
    """Give the lines of a check; what it raises becomes an error line."""
    lines: list[_Line] = []
    fault = _fault(lambda: lines.extend(check()))
    return [*lines, _Line("error", table, column, rule, 1, "", fault)] if fault else lines


def _structure(tables: dict[str, Any], rules: SpellRules) -> Iterator[_Line]:
    """Check that the tables and columns are there."""
    needed = {
        "loans": loan_columns(rules, tables["performance"]),
        "performance": performance_columns(rules),
        "macro": macro_columns(rules),
    }
    for table, columns in needed.items():
        frame = tables[table]
        if frame is None:
            if columns:
                yield _Line("error", table, "", "table is given", 1, "", f"give the table with the columns {columns}")
            continue
        if len(frame) == 0:
            yield _Line("error", table, "", "table has rows", 1, "", "the table is empty")
        faults = {name: _fault(partial(require_columns, frame, [name], table)) for name in columns}
        for name, fault in faults.items():
            if fault:
                yield _Line("error", table, name, "column is there", 1, "", fault)
        if not any(faults.values()):
            yield _Line("ok", table, "", "columns are there", len(columns), "", "")


def _contents(tables: dict[str, Any], rules: SpellRules) -> Iterator[_Line]:
    """Check periods, statuses and the values of covariates."""
    dates = [("performance", rules.observed), ("loans", rules.origination)]
    if rules.maturity is not None:
        dates.append(("loans", rules.maturity))
    if rules.macro is not None and rules.needs_macro:
        dates.append(("macro", rules.macro.period))
    for table, name in dates:
        fault = _fault(partial(period_numbers, tables[table][name], rules))
        yield _Line("error" if fault else "ok", table, name, "periods can be read", int(bool(fault)), "", fault)
    status = tables["performance"][rules.status]
    unexplained = unexplained_statuses(status, rules)
    for value, rows in unexplained.items():
        ids = tables["performance"][rules.loan_id].iloc[rows]
        remedy = "add it to open, matured or one of the causes"
        rule = f"status {value!r} has a meaning"
        yield _Line("error", "performance", rules.status or "", rule, len(rows), first_of(ids.unique()), remedy)
    if not unexplained:
        yield _Line("ok", "performance", rules.status or "", "every status has a meaning", 0, "", "")
    yield from _covariates(tables, rules)


def _covariates(tables: dict[str, Any], rules: SpellRules) -> Iterator[_Line]:
    incentive = rules.rate_incentive
    numeric = [incentive.own, incentive.market] if incentive else []
    columns = [("loans", name) for name in rules.covariates.loans]
    columns += [("performance", name) for name in rules.covariates.performance]
    columns += [("macro", name) for name in macro_columns(rules, keys=False)]
    if incentive is not None:
        columns.append(("performance" if incentive.own in tables["performance"].columns else "loans", incentive.own))
    for table, name in dict.fromkeys(columns):
        must_be_numeric = table == "macro" or name in numeric
        check = partial(_covariate, tables[table], name, table, rules, must_be_numeric=must_be_numeric)
        lines = _guarded(table, name, "values can be used", check)
        yield from lines or [_Line("ok", table, name, "values can be used", 0, "", "")]


def _covariate(
    frame: pd.DataFrame, name: str, table: str, rules: SpellRules, *, must_be_numeric: bool
) -> Iterator[_Line]:
    values = frame[name]
    ids = frame[rules.loan_id] if rules.loan_id in frame.columns else frame.iloc[:, 0]
    missing = values.isna().to_numpy()
    if missing.any():
        n, examples = int(missing.sum()), first_of(ids[missing].unique())
        remedy = "spells that need the values are counted; complete() leaves them out"
        yield _Line("warning", table, name, "no missing values", n, examples, remedy)
    if values.nunique(dropna=True) < 2:
        yield _Line("warning", table, name, "values differ", len(values), first_of(values.unique()), "drop the column")
    if pd.api.types.is_numeric_dtype(values.dtype):
        infinite = np.isinf(numeric_column(values, name))
        if infinite.any():
            examples = first_of(ids[infinite].unique())
            yield _Line("error", table, name, "no infinite values", int(infinite.sum()), examples, "correct the values")
    elif must_be_numeric:
        numeric_column(values, name)
    else:
        text = values.dropna().astype(str)
        if len(text) and pd.to_numeric(text, errors="coerce").notna().mean() > 0.5:
            examples = first_of(map(repr, text.unique()))
            remedy = "numbers stored as text become categories: convert with pd.to_numeric"
            yield _Line("warning", table, name, "numbers are stored as numbers", len(text), examples, remedy)


def _spells(
    loans: pd.DataFrame | None, performance: pd.DataFrame, macro: pd.DataFrame | None, rules: SpellRules
) -> Iterator[_Line]:
    """Build the spells; report what the clean-up counted, and that no loan is lost."""
    spells = build_spells(loans, performance, rules, macro=macro)
    found = set()
    for finding in spells.findings:
        found.add(finding.rule)
        status = "ok" if finding.rule in _HARMLESS else "warning"
        remedy = "; ".join(part for part in (_REMEDY.get(finding.rule, ""), f"now: {finding.action}") if part)
        yield _Line(
            status, finding.table, finding.column, finding.rule, finding.count, first_of(finding.examples), remedy
        )
    for rule in _REMEDY:
        if rule not in found:
            yield _Line("ok", "tables", "", rule, 0, "", "")
    balance = spells.reconciliation
    yield _Line("ok", "loans", rules.loan_id, "loans in = loans out by reason", int(balance["loans"].iloc[0]), "", "")
    for reason, n in spells.left_out.items():
        yield _Line("warning", "loans", rules.loan_id, f"loan without spells: {reason}", n, "", "see the other lines")
    yield from _coverage(spells)


def _assigned(interventions: pd.DataFrame, rules: SpellRules, loans: pd.DataFrame | None) -> Iterator[_Line]:
    """Check the table of assignments."""
    assigned = read_assignments(interventions, rules, loans)
    names = first_of(assigned["intervention"].unique())
    yield _Line("ok", "interventions", "", "assignments can be read", len(assigned), names, "")


def _coverage(spells: Spells) -> Iterator[_Line]:
    """Warn of covariates that are missing where a lagged value should be there: not in a loan's first periods."""
    frame, rules = spells.frame, spells.rules
    later = frame[frame["start"] >= frame["entry"] + rules.lag]
    for name in rules.covariate_names:
        missing = later[name].isna()
        n, examples = int(missing.sum()), first_of(later.loc[missing, "loan_id"].unique())
        remedy = "left out by complete(); mend the column, the gaps, or the months and regions of the macro table"
        yield _Line(
            "warning" if n else "ok", "spells", name, "known before the spell", n, examples, remedy if n else ""
        )
