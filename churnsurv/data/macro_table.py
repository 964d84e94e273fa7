"""The macro table as an expression: one row per region and period, and its columns joined at their lags."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from churnsurv.data.columns import label_column, require_number, value_column
from churnsurv.data.duplicates import plain_date
from churnsurv.data.engine import Workspace
from churnsurv.data.faults import refuse
from churnsurv.data.period_columns import period_column
from churnsurv.data.rules import SpellRules
from churnsurv.data.schema import macro_columns, require_columns
from churnsurv.exceptions import DataError
from churnsurv.messages import counted


@dataclass(frozen=True)
class MacroTable:
    """Macro columns, as "m:" and their name, by ``region`` (null where the table has none) and ``period``."""

    table: ir.Table
    by_region: bool

    def joined(self, rows: ir.Table, columns: Iterable[str], lag: int, region: str | None) -> ir.Table:
        """Give rows (with ``period``) and macro columns as they were `lag` periods before, as "m:name@lag"."""
        wanted = {f"m:{name}@{lag}": self.table[f"m:{name}"] for name in columns}
        keys = {"macro period": self.table.period} | ({"macro region": self.table.region} if self.by_region else {})
        right = self.table.select(**keys, **wanted)
        on = [rows.period - lag == right["macro period"]]
        if region is not None:
            on.append(rows[region] == right["macro region"])
        return rows.left_join(right, on).drop(*keys)


def macro_table(work: Workspace, rules: SpellRules) -> MacroTable | None:
    """Give the macro table, checked, or None when no rule uses it.

    Months of one quarter are averaged; months in which the series is missing do not count.

    Raises
    ------
    DataError
        No table, columns that are absent or no numbers, rows of one region and month that differ.
    """
    keys = rules.macro
    if not rules.needs_macro or keys is None:
        return None
    source = work.tables.get("macro")
    if source is None:
        raise DataError("The rules use macro columns, but no macro table was given: pass macro=.")
    require_columns(work.columns["macro"], macro_columns(rules), "macro")
    columns = macro_columns(rules, keys=False)
    period = period_column(source[keys.period], keys.period, rules)
    values = {name: value_column(source[name], name, rules) for name in columns}
    for name, value in values.items():
        require_number(value.value, name, "macro")
    faults = [*period.faults, *(fault for value in values.values() for fault in value.faults)]
    refuse(source, faults, work, label=None)
    region = label_column(source[keys.region], keys.region, "macro") if keys.region else ibis.null("string")
    staged = source.select(
        region=region,
        period=period.number,
        finest=_finest(source, rules),
        seen=source[keys.period].cast("string"),
        **{f"m:{name}": value.value.cast("float64") for name, value in values.items()},
    )
    usable = staged.filter(staged.period.notnull() & (staged.region.notnull() if keys.region else ibis.literal(True)))
    usable = work.kept(usable, "macro table")
    by = [keys.period] if keys.region is None else [keys.region, keys.period]
    if work.count(usable, what="macro table") == 0:
        n = work.count(source, what="macro table")
        raise DataError(
            f"The macro table has {counted(n, 'row')}, none with {' and '.join(map(repr, by))}: fill them in."
        )
    _refuse_repeated(usable, by, work)
    # a month that is written twice counts once
    months = usable.drop("seen").distinct()
    means = {f"m:{name}": months[f"m:{name}"].mean() for name in columns}
    averaged = months.group_by(["region", "period"]).agg(**means)
    return MacroTable(work.kept(averaged, "macro table"), keys.region is not None)


def _finest(source: ir.Table, rules: SpellRules) -> ir.Value:
    """Give what of two rows must not be the same: the month, or the period where periods are numbered."""
    assert rules.macro is not None
    column = source[rules.macro.period]
    finest = rules
    if rules.period == "quarter" and not column.type().is_numeric():
        finest = rules.model_copy(update={"period": "month"})
        quarter = period_column(column, rules.macro.period, rules).number
        # text such as 2021Q2 is no month
        return period_column(column, rules.macro.period, finest).number.coalesce(quarter * 3)
    return period_column(column, rules.macro.period, finest).number


def _refuse_repeated(usable: ir.Table, by: list[str], work: Workspace) -> None:
    """Refuse rows of the same region and month that differ, or that are written twice."""
    group = ["region", "finest"]
    same = ibis.window(group_by=group, order_by=["seen"])
    values = usable.drop("seen", "period").distinct().group_by(group).agg(ways=ibis._.count())
    told = values.filter(values.ways > 1).select(other="region", month="finest")
    twins = ibis.window(group_by=[*group, "seen"])
    written = usable.mutate(row=ibis.row_number().over(same), twin=ibis.row_number().over(twins))
    matches = written.region.identical_to(told.other) & (written.finest == told.month)
    rows = written.left_join(told, matches)
    twice = rows.filter((rows.twin > 0) | (rows.month.notnull() & (rows.row > 0)))
    found = work.records(twice.select("region", "seen"), what="macro table")
    if found:
        where = [found[0]["region"]] * (len(by) - 1) + [plain_date(found[0]["seen"])]
        raise DataError(
            f"{counted(len(found), 'row')} of the macro table {'repeats' if len(found) == 1 else 'repeat'} "
            f"{by} (e.g. {where}): keep one row for each {'month' if len(by) == 1 else 'region and month'}."
        )
