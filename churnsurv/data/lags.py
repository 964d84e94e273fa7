"""Covariates as they were known before a period began, as expressions: lagged and windowed performance, macro, derived.

Values are looked up by (loan, period − lag), never by position, so a gap in the months yields a missing value and not the
value of another month. Every loan that is open when last observed (and before a gap) gets one more row, for the period
ahead: its outcome is not known, its covariates are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from churnsurv.data.burnout import since_first_seen, since_origination
from churnsurv.data.clean import CleanTables
from churnsurv.data.columns import refuse_different_kinds, require_number
from churnsurv.data.macro_table import MacroTable
from churnsurv.data.rule_tables import Window
from churnsurv.data.rules import OPEN, SpellRules
from churnsurv.exceptions import DataError

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_QUARTERS = ("Q1", "Q2", "Q3", "Q4")
_KINDS = ("is_numeric", "is_string", "is_temporal")


def seasons(rules: SpellRules) -> list[str]:
    """Give the names of the seasons in their order."""
    return list(_MONTHS if rules.period == "month" else _QUARTERS)


@dataclass(frozen=True)
class _Lagged:
    """A value of the performance table: of its own period back `lag`, or a statistic of a window that ends there."""

    name: str
    column: str
    lag: int
    window: Window | None = None

    def at(self, rows: ir.Table, shift: int) -> ir.Value:
        """Give it as seen from the row's period, or with `shift` 1 from the period after it."""
        values, lag = rows[f"p:{self.column}"], self.lag - shift
        if self.window is None:
            return _value_at(rows, values, lag)
        values = values.cast("float64")
        if self.window.statistic == "change":
            return _value_at(rows, values, lag) - _value_at(rows, values, lag + self.window.width)
        frame = ibis.window(group_by="loan", order_by="period", range=(-(lag + self.window.width - 1), -lag))
        enough = values.count().over(frame) >= self.window.least
        statistic = _statistic(rows, values, self.window.statistic, frame)
        return ibis.ifelse(enough, statistic, ibis.null("float64"))


def _value_at(rows: ir.Table, values: ir.Value, lag: int) -> ir.Value:
    """Give the value `lag` periods before the row's, missing where the loan was not observed then."""
    if lag == 0:
        return values
    if lag == 1:
        # the common case, several times faster than a frame of one period
        before = values.lag().over(ibis.window(group_by="loan", order_by="period"))
        return ibis.ifelse(rows.before == rows.period - 1, before, ibis.null(values.type()))
    return values.first(include_null=True).over(ibis.window(group_by="loan", order_by="period", range=(-lag, -lag)))


def _statistic(rows: ir.Table, values: ir.NumericValue, statistic: str, frame: Any) -> ir.FloatingValue:
    if statistic == "slope":
        when = ibis.ifelse(values.notnull(), rows.period.cast("float64"), ibis.null("float64"))
        spread = when.var(how="pop").over(frame)
        return when.cov(values, how="pop").over(frame) / spread.nullif(0)
    return getattr(values, statistic)().over(frame)


def spell_rows(cleaned: CleanTables, macro: MacroTable | None, rules: SpellRules) -> ir.Table:
    """Give a row per spell and period ahead, with all covariates.

    Returns
    -------
    table
        ``loan``, ``customer``, ``period``, ``run`` (period since which the loan has been observed without a gap),
        ``origination``, ``code`` (null for the period ahead), the columns of ``rules.keep`` and the covariates as "c:" and
        their name.
    """
    lagged = _lagged(cleaned, rules)
    rows = _with_period_ahead(_watched(cleaned.rows, lagged), lagged, rules)
    static = [name for name in cleaned.loans.columns if name.startswith("l:")]
    of_loan = cleaned.loans.select("customer", *static, known="loan")
    rows = rows.inner_join(of_loan, rows.loan == of_loan.known).drop("known")
    region = f"l:{rules.macro.region}" if rules.macro is not None and rules.macro.region else None
    if macro is not None:
        if region is not None:
            refuse_different_kinds(rows[region], macro.table.region, region.removeprefix("l:"), "loans", "macro")
        for lag, columns in _macro_lags(rules).items():
            rows = macro.joined(rows, columns, lag, region)
    rows = rows.mutate(**_at_origination(rows, lagged, rules))
    rows = _with_derived(rows, cleaned, macro, rules)
    covariates = {f"c:{name}": _as_double(_covariate(rows, name, rules)) for name in rules.covariate_names}
    keep = {f"c:{name}": rows[f"l:{name}"] for name in rules.keep if f"c:{name}" not in covariates}
    return rows.select("loan", "customer", "period", "run", "origination", "code", **keep, **covariates)


def _lagged(cleaned: CleanTables, rules: SpellRules) -> list[_Lagged]:
    """Give what is looked up in the past of the performance table."""
    result = [_Lagged(name, name, rules.lag_of(name)) for name in rules.covariates.performance]
    for name, window in rules.windows.items():
        require_number(cleaned.rows[f"p:{window.column}"], window.column, "performance")
        result.append(_Lagged(name, window.column, rules.lag_of(window.column), window))
    own = rules.rate_incentive.own if rules.rate_incentive else None
    if own is not None and f"p:{own}" in cleaned.rows.columns:
        require_number(cleaned.rows[f"p:{own}"], own, "performance")
        result.append(_Lagged("\town rate", own, rules.lag_of(own)))
    return result


def _watched(rows: ir.Table, lagged: Iterable[_Lagged]) -> ir.Table:
    """Give the rows in which loans are at risk, with what lies before each: earlier ones serve as history."""
    of_loan = {"group_by": "loan", "order_by": "period"}
    in_order = ibis.window(**of_loan)
    rows = rows.mutate(before=rows.period.lag().over(in_order), after=rows.period.lead().over(in_order))
    begins = rows.before.isnull() | (rows.before != rows.period - 1)
    begins = begins | (rows.before < rows.acquired).fill_null(False)
    so_far = ibis.window(**of_loan, preceding=None, following=0)
    rows = rows.mutate(
        run=ibis.ifelse(begins, rows.period, ibis.null("int32")).max().over(so_far),
        **{f"v:{value.name}": value.at(rows, 0) for value in lagged},
        **{f"a:{value.name}": value.at(rows, 1) for value in lagged},
    )
    return rows.filter(rows.acquired.isnull() | (rows.period >= rows.acquired))


def _with_period_ahead(rows: ir.Table, lagged: list[_Lagged], rules: SpellRules) -> ir.Table:
    """Add the period ahead of loans that are open and not followed by the next period."""
    followed = (rows.after == rows.period + 1).fill_null(False)
    is_last = (rows.code == rules.endings.index(OPEN)) & ~followed
    twice = rows.mutate(ahead=ibis.ifelse(is_last, ibis.array([False, True]), ibis.array([False]))).unnest("ahead")
    return twice.select(
        "loan",
        "run",
        "origination",
        period=(twice.period + twice.ahead.cast("int32")).cast("int32"),
        code=ibis.ifelse(twice.ahead, ibis.null("int8"), twice.code),
        **{f"v:{v.name}": ibis.ifelse(twice.ahead, twice[f"a:{v.name}"], twice[f"v:{v.name}"]) for v in lagged},
    )


def _at_origination(rows: ir.Table, lagged: list[_Lagged], rules: SpellRules) -> dict[str, ir.Value]:
    """Give the lagged values that the rules take from origination when their period lies before it."""
    result = {}
    for value in lagged:
        first = rules.at_origination.get(value.column)
        if first is not None and value.window is None:
            too_early = rows.period - value.lag < rows.origination
            at_first, later = rows[f"l:{first}"], rows[f"v:{value.name}"]
            if any(getattr(at_first.type(), kind)() != getattr(later.type(), kind)() for kind in _KINDS):
                raise DataError(
                    f"Column {first!r} of the loans table is {at_first.type()}, and {value.column!r} of the performance table, "
                    f"which it fills at origination, is {later.type()}: give both as numbers or both as text. (A column "
                    "without any value counts as a number: take it out of at_origination.)"
                )
            result[f"v:{value.name}"] = ibis.ifelse(too_early, at_first, later)
    return result


def _macro_lags(rules: SpellRules) -> dict[int, list[str]]:
    market = [rules.rate_incentive.market] if rules.rate_incentive else []
    by_lag: dict[int, list[str]] = {}
    for name in dict.fromkeys([*rules.covariates.macro, *market]):
        by_lag.setdefault(rules.lag_of(name), []).append(name)
    return by_lag


def _with_derived(rows: ir.Table, cleaned: CleanTables, macro: MacroTable | None, rules: SpellRules) -> ir.Table:
    """Add the rate incentive and burnout."""
    incentive = rules.rate_incentive
    if incentive is None or macro is None:
        return rows
    varies = f"p:{incentive.own}" in cleaned.rows.columns
    own = rows["v:\town rate"] if varies else rows[f"l:{incentive.own}"]
    require_number(own, incentive.own, "performance" if varies else "loans")
    rows = rows.mutate(rate_incentive=own - rows[f"m:{incentive.market}@{rules.lag_of(incentive.market)}"])
    if not rules.burnout:
        return rows
    return since_first_seen(rows) if varies else since_origination(rows, cleaned.loans, macro, rules)


def _covariate(rows: ir.Table, name: str, rules: SpellRules) -> ir.Value:
    if name in ("rate_incentive", "burnout") and name in rows.columns:
        return rows[name]
    if name == "season" and rules.season:
        return _season(rows, rules)
    if name in rules.covariates.loans:
        return rows[f"l:{name}"]
    if name in rules.covariates.macro:
        return rows[f"m:{name}@{rules.lag_of(name)}"]
    return rows[f"v:{name}"]


def _as_double(value: ir.Value) -> ir.Value:
    # integers become doubles where a value is missing; a column's type must not depend on that
    return value.cast("float64") if value.type().is_integer() else value


def _season(rows: ir.Table, rules: SpellRules) -> ir.StringValue:
    names = seasons(rules)
    # a multiple of the year is added, so that remainders are those of numbers from 0
    position = (rows.period + 1200 * len(names)) % len(names)
    return ibis.cases(*((position == i, name) for i, name in enumerate(names)), else_=ibis.null("string"))
