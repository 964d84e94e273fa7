"""Rows that describe the same loan and period twice: equal ones are copies, different ones contradict each other."""

from __future__ import annotations

import ibis.expr.types as ir
import pandas as pd

from churnsurv.data.engine import Workspace
from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of


def row_key(rules: SpellRules) -> list[str]:
    """Give the columns that tell one row from another: a loan and period, or the loan where there is one row of each."""
    return ["loan"] if rules.rows == "loan" else ["loan", "period"]


def contradictions(staged: ir.Table, suspects: ir.Table, rules: SpellRules) -> ir.Table:
    """Give the keys whose rows differ in what the rules use of them.

    Rows that differ only in the day of the period, or in a column that no rule names, are copies.

    Parameters
    ----------
    staged : table
        Rows as they were read, see :func:`churnsurv.data.clean.clean`.
    suspects : table
        Keys of which there is more than one row.
    """
    key = row_key(rules)
    usable = staged.filter((staged.code >= 0) & staged.period.notnull())
    ways = usable.semi_join(suspects.select(key).distinct(), key).drop("seen", "status").distinct()
    told = ways.group_by(key).agg(ways=ways.count())
    return told.filter(told.ways > 1).select(key)


def refuse_contradictions(twice: ir.Table, staged: ir.Table, work: Workspace, rules: SpellRules) -> None:
    """Refuse rows that contradict each other.

    Raises
    ------
    DataError
        Naming a loan and its dates.
    """
    n = work.count(twice, what="contradicting rows")
    if n == 0:
        return
    key = row_key(rules)
    first = twice.order_by(key).limit(1)
    rows = staged.semi_join(first, key).select("loan", "seen")
    found = work.records(rows.order_by("seen"), what="contradicting rows")
    dates = list(dict.fromkeys(plain_date(row["seen"]) for row in found))
    remedy = f"Keep one row per {' and '.join(key)}: the tables do not say which one counts (or say conflicts = 'leave out')."
    if rules.period == "quarter" and len(dates) > 1:
        remedy += " If there is one row per month, set period = 'month'."
    raise DataError(
        f"{counted(n, '-'.join(key))} of the performance table {'has' if n == 1 else 'have'} rows that differ "
        f"(loan {found[0]['loan']}, period {first_of(dates)}). {remedy}"
    )


def plain_date(value: object) -> str:
    """Give a date without the time of day when that is midnight, anything else as text."""
    return str(value).removesuffix(" 00:00:00")


def refuse_sparse_rows(counts: pd.DataFrame, rules: SpellRules) -> None:
    """Refuse monthly rules for rows that lie whole quarters apart: every month would be a gap.

    Parameters
    ----------
    counts : DataFrame
        ``steps`` between rows of a loan, and how many of them are ``thirds``: whole numbers of quarters.
    """
    steps, thirds = counts["steps"].sum(), counts["thirds"].sum()
    # a few rows may lie 3 months apart by chance
    if rules.period == "month" and rules.rows == "period" and steps >= 12 and steps == thirds:
        raise DataError(
            f"The rows of a loan lie 3 months apart (column {rules.observed!r} of the performance table): the table is "
            "quarterly. Set period = 'quarter'."
        )
