"""Burnout: the rate incentive that a customer has seen and not acted on, summed over the periods before the spell.

For a spell of period t it is Σ max(incentive of s, 0) over the earlier periods s of the loan, in percentage points times
periods. A customer who did not refinance when it paid is less likely to do so later (Richard and Roll, 1989).
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from churnsurv.data.macro_table import MacroTable
from churnsurv.data.rules import SpellRules


def since_first_seen(rows: ir.Table) -> ir.Table:
    """Add burnout since a loan was first seen: its own rate varies, and is not known from before."""
    earlier = ibis.window(group_by="loan", order_by="period", preceding=(None, 1))
    # the period ahead has no code: whether it was passed over is not known
    positive = ibis.ifelse(rows.code.notnull(), ibis.greatest(rows.rate_incentive, 0.0), 0.0)
    return rows.mutate(burnout=positive.sum().over(earlier).coalesce(0.0))


def since_origination(rows: ir.Table, loans: ir.Table, macro: MacroTable, rules: SpellRules) -> ir.Table:
    """Add burnout since origination: the own rate is fixed, so the market alone tells the incentive of every period.

    It is missing where a month of the market rate is. Loans of one rate and region share their history, so the cumulative
    incentive is computed once for each rate and region, and a loan's burnout is a difference of two of its values.
    """
    incentive = rules.rate_incentive
    assert incentive is not None
    lag = rules.lag_of(incentive.market)
    region = f"l:{rules.macro.region}" if rules.macro is not None and rules.macro.region else None
    own = f"l:{incentive.own}"
    history = _cumulative(loans, macro, own, region, incentive.market)
    # from the period of origination to the one before the spell, at the market's lag
    rows = _joined(rows, history, own, region, rows.origination - lag, "from")
    rows = _joined(rows, history, own, region, rows.period - 1 - lag, "until")
    age = rows.period - rows.origination
    months = rows["until months"] - rows["from earlier months"]
    total = rows["until sum"] - rows["from earlier sum"]
    burnout = ibis.cases((age == 0, 0.0), (months == age, ibis.greatest(total, 0.0)), else_=ibis.null("float64"))
    return rows.mutate(burnout=burnout).drop(*(f"{end} {name}" for end in ("from", "until") for name in _SUMS))


def _cumulative(loans: ir.Table, macro: MacroTable, own: str, region: str | None, market: str) -> ir.Table:
    """Give positive incentives, summed and counted up to every period and before it, by rate and region."""
    keys = {"rate": loans[own].cast("float64"), "place": loans[region] if region else ibis.literal("")}
    rates = loans.select(**keys).filter(ibis._.rate.notnull()).distinct()
    months = macro.table.select("region", "period", market=macro.table[f"m:{market}"])
    pairs = rates.cross_join(months) if region is None else rates.inner_join(months, rates.place == months.region)
    seen = pairs.market.notnull()
    pairs = pairs.mutate(
        positive=ibis.ifelse(seen, ibis.greatest(pairs.rate - pairs.market, 0.0), 0.0), known=ibis.ifelse(seen, 1, 0)
    )
    to_here = ibis.window(group_by=["rate", "place"], order_by="period", preceding=None, following=0)
    totals = pairs.mutate(sum=pairs.positive.sum().over(to_here), months=pairs.known.sum().over(to_here))
    return totals.select(
        "rate",
        "place",
        "sum",
        "months",
        **{"month": totals.period, "earlier sum": totals["sum"] - totals.positive},
        **{"earlier months": totals.months - totals.known},
    )


_KEYS = ("rate", "place", "month")
_SUMS = ("sum", "months", "earlier sum", "earlier months")


def _joined(
    rows: ir.Table, history: ir.Table, own: str, region: str | None, month: ir.IntegerValue, name: str
) -> ir.Table:
    right = history.select(**{f"{name} {column}": history[column] for column in (*_KEYS, *_SUMS)})
    on = [rows[own].cast("float64") == right[f"{name} rate"], month == right[f"{name} month"]]
    if region is not None:
        on.append(rows[region] == right[f"{name} place"])
    return rows.left_join(right, on).drop(*(f"{name} {key}" for key in _KEYS))
