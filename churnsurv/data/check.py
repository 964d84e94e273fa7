"""Checks of a portfolio's tables against the rules, before anything is built from them.

Every check yields a line: ok, warning (``build_spells`` handles it in the stated way) or error (nothing sound
can be built before it is mended).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from churnsurv.data.assignments import read_assignments
from churnsurv.data.build import SpellExpression, expression_of, refuse_empty, split_spells
from churnsurv.data.column_checks import column_lines
from churnsurv.data.engine import Workspace, to_pandas, workspace
from churnsurv.data.findings import Finding
from churnsurv.data.frames import as_rules, as_table
from churnsurv.data.leakage import lint
from churnsurv.data.lines import Line, any_error, fault, guarded, lines_frame
from churnsurv.data.rules import SpellRules
from churnsurv.data.schema import columns_used, loan_columns, macro_columns, performance_columns, require_columns
from churnsurv.data.summary import endings_of, findings_of, missing_in, reconciled
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of

#: findings of the clean-up that are no fault of the data
_HARMLESS = ("late entry", "paid at term", "same-period entry and exit")

#: spells of larger portfolios are looked at for leaks in a part of the loans
_MOST_LINTED = 1_000_000

_REMEDY = {
    "missing loan id": "fill in the identifier",
    "unknown loan": "add the loans to the loan table",
    "missing period": "fill in the period",
    "missing status": "fill in the status",
    "origination unknown": "fill in the date of origination",
    "contradicting rows": "keep the row that counts",
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


def check_tables(
    loans: Any,
    performance: Any,
    rules: SpellRules | Mapping[str, Any],
    *,
    macro: Any = None,
    interventions: Any = None,
    strata: Sequence[str] = (),
    memory_limit: str | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Check tables against the rules; dirty data are reported, they raise nothing.

    Parameters
    ----------
    loans, performance, rules, macro, memory_limit, progress
        As in :func:`churnsurv.data.build_spells`.
    interventions : DataFrame, optional
        Assignments of loans, see :func:`churnsurv.data.assignments.read_assignments`.
    strata : sequence of str
        Columns that a model will be stratified by: what they leave unidentified is told (see :func:`churnsurv.data.lint`).

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
    given = {"loans": loans, "performance": performance, "macro": macro}
    used = columns_used(rules, with_loans=loans is not None)
    lines = [*_unreadable(given, used)]
    if not lines:
        with workspace(given, columns=used, memory_limit=memory_limit, progress=progress) as work:
            lines += _structure(work, rules)
            if interventions is not None:
                check = partial(_assigned, interventions, rules, work)
                lines += guarded("interventions", "", "assignments can be read", check)
            if not any_error(lines):
                lines += guarded("tables", "", "values can be read", partial(column_lines, work, rules))
            if not any_error(lines):
                lines += guarded(
                    "tables", "", "spells can be built", partial(_spells, work, rules, interventions, strata)
                )
    return lines_frame(lines)


def _unreadable(given: Mapping[str, Any], used: Mapping[str, list[str]]) -> Iterator[Line]:
    """Give the tables of which nothing can be read: a damaged file, a column of lists; what is no table is raised."""
    for name, table in given.items():
        if table is None:
            if name == "performance":
                yield Line("error", name, "", "table is given", 1, "", "give the table: one row per loan and period")
            continue
        words = fault(partial(_opened, name, table, used[name]))
        if "; give a DataFrame" in words:
            raise DataError(words)
        if words:
            yield Line("error", name, "", "table can be read", 1, "", words)


def _opened(name: str, table: Any, columns: list[str]) -> None:
    with workspace({name: table}, columns={name: columns}):
        pass


def _structure(work: Workspace, rules: SpellRules) -> Iterator[Line]:
    """Check that the tables and columns are there; of a panel the static columns are its own."""
    needed = {
        "loans": loan_columns(rules, work.columns["performance"]),
        "performance": performance_columns(rules),
        "macro": macro_columns(rules),
    }
    for table, columns in needed.items():
        place = "performance" if table == "loans" and table not in work.tables else table
        source = work.tables.get(place)
        if source is None:
            if columns:
                yield Line("error", table, "", "table is given", 1, "", f"give the table with the columns {columns}")
            continue
        if work.count(source.limit(1), what=f"{table} table") == 0:
            yield Line("error", table, "", "table has rows", 1, "", "the table is empty")
        faults = {name: fault(partial(require_columns, work.columns[place], [name], place)) for name in columns}
        for name, words in faults.items():
            if words:
                yield Line("error", table, name, "column is there", 1, "", words)
        if not any(faults.values()):
            yield Line("ok", table, "", "columns are there", len(columns), "", "")


def _assigned(interventions: Any, rules: SpellRules, work: Workspace) -> Iterator[Line]:
    """Check the table of assignments."""
    source = work.tables.get("loans", work.tables["performance"])
    known = None
    if rules.loan_id in source.columns:
        ids = source.select(rules.loan_id).distinct()
        known = work.frame(ids, what="loans")
    assigned = read_assignments(as_table(interventions, "interventions"), rules, known)
    names = first_of(assigned["intervention"].unique())
    yield Line("ok", "interventions", "", "assignments can be read", len(assigned), names, "")


def _spells(work: Workspace, rules: SpellRules, interventions: Any, strata: Sequence[str]) -> Iterator[Line]:
    """Build the spells; report what the clean-up counted, that no loan is lost, and signs of leaks."""
    made = expression_of(work, rules)
    spells = work.kept(made.rows, "spells")
    if work.count(spells.limit(1), what="spells") == 0:
        refuse_empty(made.cleaned)
    yield from _found([*made.cleaned.findings, *findings_of(spells, rules, work)])
    left_out, loans_in = made.cleaned.left_out, made.cleaned.loans_in
    reconciled(endings_of(spells, rules, work), left_out, loans_in)
    yield Line("ok", "loans", rules.loan_id, "loans in = loans out by reason", loans_in, "", "")
    for reason, n in left_out.items():
        yield Line("warning", "loans", rules.loan_id, f"loan without spells: {reason}", n, "", "see the other lines")
    remedy = "left out by complete(); mend the column, the gaps, or the months and regions of the macro table"
    for name, missing in missing_in(spells, rules.covariate_names, rules, work).items():
        status = "warning" if missing["count"] else "ok"
        loans = first_of(missing["loans"])
        yield Line(status, "spells", name, "known before the spell", missing["count"], loans, remedy if loans else "")
    yield from guarded(
        "spells", "", "leaks can be looked for", partial(_leaks, spells, made, rules, work, interventions, strata)
    )


def _leaks(
    spells: ir.Table,
    made: SpellExpression,
    rules: SpellRules,
    work: Workspace,
    interventions: Any,
    strata: Sequence[str],
) -> Iterator[Line]:
    """Look for leaks in the spells, of large portfolios in those of every k-th loan."""
    n = work.count(spells, what="spells")
    every = -(-n // _MOST_LINTED)
    if every > 1:
        place = ibis.dense_rank().over(ibis.window(order_by="loan_id"))
        spells = spells.mutate(place=place).filter(ibis._.place % every == 0).drop("place")
    frame = to_pandas(work.run(spells.to_pyarrow, what="spells"), made.categories)
    some = split_spells(frame, made.cleaned, rules, [])
    assigned = None if interventions is None else as_table(interventions, "interventions")
    for sign in lint(some, interventions=assigned, strata=strata).to_dict("records"):
        sampled = f" (in 1 of {every} loans)" if every > 1 and sign["evidence"] else ""
        words = "; ".join(part for part in (f"{sign['evidence']}{sampled}", sign["remedy"]) if part)
        fine = sign["level"] == "ok"
        examples = first_of(sign["examples"])
        yield Line(sign["level"], "spells", sign["column"], sign["rule"], 0, examples, "" if fine else words)


def _found(findings: Iterable[Finding]) -> Iterator[Line]:
    """Give a line for every finding of the clean-up, and for every rule that found nothing."""
    found = set()
    for finding in findings:
        found.add(finding.rule)
        status = "ok" if finding.rule in _HARMLESS else "warning"
        remedy = "; ".join(part for part in (_REMEDY.get(finding.rule, ""), f"now: {finding.action}") if part)
        examples = first_of(finding.examples)
        yield Line(status, finding.table, finding.column, finding.rule, finding.count, examples, remedy)
    for rule in _REMEDY:
        if rule not in found:
            yield Line("ok", "tables", "", rule, 0, "", "")
