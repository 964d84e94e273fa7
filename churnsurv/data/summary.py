"""What spells tell of themselves, asked of the database that holds them: gaps, late entries, endings, missing covariates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from churnsurv.data.engine import Workspace
from churnsurv.data.findings import Finding
from churnsurv.data.reasons import LOANS_IN, OPEN_AT_END, OPEN_EARLIER
from churnsurv.data.rules import MATURED, OPEN, SpellRules
from churnsurv.exceptions import DataError
from churnsurv.messages import counted


def findings_of(spells: ir.Table, rules: SpellRules, work: Workspace) -> list[Finding]:
    """Count gaps, late entries, and loans that leave in the period in which they were first seen.

    Parameters
    ----------
    spells : table
        ``loan_id``, ``start``, ``cause``; rows of the period ahead have no cause and do not count.
    """
    rows = spells.filter(spells.cause.notnull()).select("loan_id", "start", "cause")
    before = rows.start.lag().over(ibis.window(group_by="loan_id", order_by="start"))
    rows = rows.mutate(step=rows.start - before)
    flags = {
        "gap": (rows.step > 1).fill_null(False),
        "late entry": rows.step.isnull() & (rows.start > 0),
        "same-period entry and exit": rows.step.isnull() & rows.cause.isin(rules.cause_names),
    }
    sums = rows.aggregate(
        periods=ibis.ifelse(flags["gap"], rows.step - 1, 0.0).sum(),
        loans=rows.loan_id.nunique(where=flags["gap"]),
        **{name: flag.sum() for name, flag in flags.items()},
    )
    counts = work.records(sums, what="spells")[0]
    found = []
    for name, flag in flags.items():
        if counts[name]:
            examples = tuple(work.labels(rows.filter(flag), "loan_id", what="spells"))
            n, unit, action = int(counts[name]), "loan", "at risk from the age at first sight"
            if name == "gap":
                n, unit = int(counts["periods"]), "period"
                action = f"not at risk in these periods ({counted(int(counts['loans']), 'loan')})"
            elif name != "late entry":
                action = "kept: a spell of one period"
            found.append(Finding(name, "performance", rules.observed, n, unit, action, examples))
    return found


def reconciled(endings: dict[str, int], left_out: dict[str, int], loans_in: int) -> dict[str, int]:
    """Give reason → loans, "loans in" first; the sum of the others.

    Raises
    ------
    DataError
        The counts do not balance; they always should.
    """
    counts = endings | left_out
    if sum(counts.values()) != loans_in:
        raise DataError(
            f"The reconciliation does not balance: {loans_in:,} loans in, {sum(counts.values()):,} out ({counts})."
        )
    return {LOANS_IN: loans_in, **counts}


def endings_of(spells: ir.Table, rules: SpellRules, work: Workspace) -> dict[str, int]:
    """Count the loans by how they end: by the causes, matured, stated censorings, open."""
    rows = spells.filter(spells.cause.notnull()).select("loan_id", "start", "period", "cause")
    later = rows.start.lead().over(ibis.window(group_by="loan_id", order_by="start"))
    newest = rows.period.max().over(ibis.window())
    last = rows.mutate(later=later, is_newest=rows.period == newest)
    last = last.filter(last.later.isnull())
    still = (last.cause == OPEN) & ~last.is_newest
    counts = last.group_by(ending=ibis.ifelse(still, OPEN_EARLIER, last.cause)).agg(n=last.count())
    found = work.records(counts, what="reconciliation")
    n = {row["ending"]: int(row["n"]) for row in found}
    return named_endings(n, rules)


def named_endings(n: dict[str, int], rules: SpellRules) -> dict[str, int]:
    """Give the loans by ending, in the order of a reconciliation; those that are open at the end as such."""
    exits = {name: n.get(name, 0) for name in (*rules.cause_names, MATURED, *rules.censored)}
    return exits | {OPEN_AT_END: n.get(OPEN, 0), OPEN_EARLIER: n.get(OPEN_EARLIER, 0)}


def missing_in(
    spells: ir.Table, columns: Sequence[str], rules: SpellRules, work: Workspace
) -> dict[str, dict[str, Any]]:
    """Count missing covariates where a lagged value should be there: not in a loan's first periods.

    Returns
    -------
    dict
        Covariate → count and loans (some of them).
    """
    longest = max([rules.lag, *rules.lags.values()])
    later = spells.filter(spells.cause.notnull() & (spells.start >= spells.entry + longest))
    sums = {name: later[name].isnull().sum() for name in columns}
    if not sums:
        return {}
    counts = work.records(later.aggregate(**sums), what="coverage")[0]
    result = {}
    for name, n in counts.items():
        loans = work.labels(later.filter(later[name].isnull()), "loan_id", what="coverage") if n else []
        result[name] = {"count": int(n or 0), "loans": loans}
    return result
