"""Spells built from the tables of a portfolio: one expression, run by DuckDB or by the warehouse that holds the tables."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from churnsurv.data.clean import CleanTables, clean
from churnsurv.data.engine import Workspace, to_pandas, workspace
from churnsurv.data.findings import Finding
from churnsurv.data.frames import as_rules, parted
from churnsurv.data.lags import seasons, spell_rows
from churnsurv.data.macro_table import macro_table
from churnsurv.data.rules import SpellRules
from churnsurv.data.schema import columns_used
from churnsurv.data.spells import Spells
from churnsurv.data.summary import findings_of
from churnsurv.exceptions import DataError, LeakageWarning
from churnsurv.messages import first_of

if TYPE_CHECKING:
    from churnsurv.data.stored import SpellFile

#: rows of a batch in which the result leaves the engine
ROWS_AT_ONCE = 200_000


def build_spells(
    loans: Any,
    performance: Any,
    rules: SpellRules | Mapping[str, Any],
    *,
    macro: Any = None,
    memory_limit: str | None = None,
    progress: bool = False,
) -> Spells:
    """Build the spells of a portfolio from its tables.

    Parameters
    ----------
    loans : table or None
        One row per loan. None: the performance table is a panel that repeats the static columns; their first values
        are taken, and loans in which they move are counted.
    performance : table
        One row per loan and period, in any order (or one per loan, its last, where the rules say ``rows = "loan"``).
    rules : SpellRules or mapping
        Roles of the columns.
    macro : table, optional
        One row per period (and region); finer periods, such as months for quarterly spells, are averaged.
    memory_limit : str, optional
        What the engine may hold in memory, such as "1GB", beside the spells themselves; the rest is put on disk.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Spells
        By loan identifier and age.

    Notes
    -----
    A table is a pandas or polars frame, an Arrow table, the path of a Parquet or CSV file, a folder of Parquet files, or an
    Ibis table; of the latter the work is done where they lie. For portfolios that do not fit into memory see
    :func:`write_spells`.

    Raises
    ------
    DataError
        A column is absent, a status has no meaning, two different rows describe one loan and period.

    Warns
    -----
    LeakageWarning
        A covariate has lag 0 and is not listed in ``known_ahead``. Leaks that only the data show are found by
        :func:`churnsurv.data.lint`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> spells.y.causes
    ('attrition', 'default', 'renewed')
    """
    rules = as_rules(rules)
    with prepared(loans, performance, macro, rules, memory_limit=memory_limit, progress=progress) as work:
        made = expression_of(work, rules)
        # batch by batch: else the engine holds the whole result beside ours
        table = work.run(lambda: made.rows.to_pyarrow_batches(chunk_size=ROWS_AT_ONCE).read_all(), what="spells")
    if len(table) == 0:
        refuse_empty(made.cleaned)
    with workspace(
        {"spells": table.select(["loan_id", "start", "cause"])}, columns={"spells": table.column_names}
    ) as work:
        findings = [*made.cleaned.findings, *findings_of(work.tables["spells"], rules, work)]
    frame = to_pandas(table, made.categories)
    # Arrow keeps what it freed for its next table: as much again as the spells
    pa.default_memory_pool().release_unused()
    return split_spells(frame, made.cleaned, rules, findings)


def split_spells(
    frame: pd.DataFrame, counts: CleanTables | SpellFile, rules: SpellRules, findings: list[Finding]
) -> Spells:
    """Give spells from a frame of their rows and of the periods ahead, which have no cause; the frame is emptied."""
    ahead, spells = parted(frame, frame["cause"].isna().to_numpy())
    return Spells(
        frame=spells,
        ahead=ahead.drop(columns="cause"),
        rules=rules,
        loans_in=counts.loans_in,
        left_out=counts.left_out,
        findings=findings,
    )


def prepared(
    loans: Any, performance: Any, macro: Any, rules: SpellRules, *, memory_limit: str | None, progress: bool
) -> AbstractContextManager[Workspace]:
    """Give the workspace of the tables, see :func:`churnsurv.data.engine.workspace`."""
    if performance is None:
        raise DataError("No performance table was given: one row per loan and period.")
    if rules.unlagged:
        words = (
            f"Covariates of lag 0 know the end of the period in which a loan leaves: {first_of(rules.unlagged)}. Give them a "
            "lag of at least 1, or list in known_ahead what is fixed before."
        )
        warnings.warn(LeakageWarning(words), stacklevel=3)
    tables = {"loans": loans, "performance": performance, "macro": macro}
    columns = columns_used(rules, with_loans=loans is not None)
    return workspace(tables, columns=columns, memory_limit=memory_limit, progress=progress)


@dataclass(frozen=True)
class SpellExpression:
    """The spells of a portfolio before they are computed, in the columns and the order of :attr:`Spells.frame`.

    ``cause`` is null in the rows of the period ahead, see :attr:`Spells.ahead`.
    """

    rows: ir.Table
    cleaned: CleanTables
    categories: dict[str, list[Any]]


def expression_of(work: Workspace, rules: SpellRules) -> SpellExpression:
    """Give the spells as one expression over the tables of a workspace; only checks and counts are computed."""
    macro = macro_table(work, rules)
    cleaned = clean(work, rules)
    rows = spell_rows(cleaned, macro, rules)
    start = (rows.period - rows.origination).cast("float64")
    columns: dict[str, Any] = {
        "loan_id": rows.loan,
        "customer_id": rows.customer,
        "period": _first_day(rows.period, rules),
        "vintage": _year(rows.origination, rules),
        "entry": (rows.run - rows.origination).cast("float64"),
        "start": start,
        "stop": start + 1,
        "cause": ibis.cases(
            *((rows.code == i, name) for i, name in enumerate(rules.endings)), else_=ibis.null("string")
        ),
    }
    others = [name.removeprefix("c:") for name in rows.columns if name.startswith("c:")]
    table = rows.select(**columns, **{name: rows[f"c:{name}"] for name in others}).order_by(["loan_id", "start"])
    categories: dict[str, list[Any]] = {"cause": list(rules.endings)}
    if rules.season:
        categories["season"] = seasons(rules)
    categories |= {name: levels for name in others if (levels := _levels(name, table[name], work, rules)) is not None}
    return SpellExpression(table, cleaned, categories)


def _levels(name: str, column: ir.Value, work: Workspace, rules: SpellRules) -> list[Any] | None:
    """Give the categories that a frame had for a covariate in an order, None where it had none or they no longer apply."""
    of_loans = work.categories.get("loans" if "loans" in work.tables else "performance", {})
    if name not in rules.covariates.performance:
        levels = of_loans.get(name)
    else:
        levels = work.categories.get("performance", {}).get(name)
        if name in rules.at_origination and levels is not None:
            first = of_loans.get(rules.at_origination[name])
            levels = None if first is None else list(dict.fromkeys([*levels, *first]))
    if levels is None:
        return None
    kind = column.type()
    wanted = str if kind.is_string() else (int, float)
    possible = kind.is_string() or kind.is_numeric()
    same = all(isinstance(level, wanted) and not isinstance(level, bool) for level in levels)
    return levels if possible and same else None


def _per_year(rules: SpellRules) -> int:
    return 12 if rules.period == "month" else 4


def _year(period: ir.IntegerValue, rules: SpellRules) -> ir.IntegerValue:
    # a thousand years are added, so that the division is one of numbers from 0
    per_year = _per_year(rules)
    return ((period + 1000 * per_year) // per_year + 970).cast("int32")


def _first_day(period: ir.IntegerValue, rules: SpellRules) -> ir.TimestampValue:
    per_year = _per_year(rules)
    month = ((period + 1000 * per_year) % per_year) * (12 // per_year) + 1
    return ibis.date(_year(period, rules), month.cast("int32"), 1).cast("timestamp(9)")


def refuse_empty(cleaned: CleanTables) -> None:
    """Refuse tables of which no row is usable, with what was counted.

    Raises
    ------
    DataError
        Always.
    """
    reasons = [f"{finding.rule}: {finding.count:,}" for finding in cleaned.findings] or ["it has 0 rows"]
    raise DataError(f"No row of the performance table is usable ({first_of(reasons, 12)}).")
