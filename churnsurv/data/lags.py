"""Covariates as they were known before a period began: lagged performance and macro values, static loan values.

Rows are looked up by (loan, period − lag), never by position, so a gap in the months yields a missing value and not the
value of another month.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.clean import Ints, LoanPeriods
from churnsurv.data.duplicates import plain_date
from churnsurv.data.findings import Finding
from churnsurv.data.ids import check_labels
from churnsurv.data.periods import NO_PERIOD, period_numbers
from churnsurv.data.rules import SpellRules
from churnsurv.data.schema import macro_columns, require_columns
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, numeric_column


class KnownBefore:
    """Values known ``lag`` periods before given loan-periods.

    Parameters
    ----------
    table : LoanPeriods
        The clean loan-periods to look values up in.
    macro : DataFrame or None
        One row per period (and region); of quarterly spells also one per month, which are averaged.
    rules : SpellRules
        Roles of the columns.
    loan, period : arrays of n
        The loan-periods asked for; they need not be observed themselves.
    """

    def __init__(
        self, table: LoanPeriods, macro: pd.DataFrame | None, rules: SpellRules, loan: Ints, period: Ints
    ) -> None:
        self.table, self.rules, self.loan = table, rules, loan
        self.then = period - rules.lag
        self._found, self._seen = _find(table, loan, self.then)
        self._at_origination = self.then < table.origination[loan]
        self._macro = _MacroTable(macro, rules) if rules.needs_macro else None
        self.findings: list[Finding] = []

    def covariates(self, step: Callable[[str], Any] = lambda name: None) -> dict[str, NDArray[Any] | pd.Series]:
        """Give every covariate of the rules, in their order; `step` is told each name."""
        names = self.rules.covariates
        columns: dict[str, NDArray[Any] | pd.Series] = {}
        for name in self.rules.covariate_names:
            step(name)
            if name in names.loans:
                columns[name] = self.static(name)
            elif name in names.performance:
                columns[name] = self.observed(name)
            elif name in names.macro:
                columns[name] = self.of_macro(name)
            elif self.rules.rate_incentive is not None:
                columns[name] = self._own_rate(self.rules.rate_incentive.own) - self.of_macro(
                    self.rules.rate_incentive.market
                )
        return columns

    def static(self, name: str) -> pd.Series:
        """Give a column of the loan table."""
        values = self._present(self.table.loans[name], "loans")
        return values.iloc[self.loan].reset_index(drop=True)

    def observed(self, name: str) -> pd.Series:
        """Give a column of the performance table at the lagged period, or at origination where the rules name it."""
        values = self._present(self.table.performance[name].iloc[self.table.row], "performance")
        # a position of −1 selects a missing value
        lagged = values.reset_index(drop=True).reindex(np.where(self._seen, self._found, -1)).reset_index(drop=True)
        first = self.rules.at_origination.get(name)
        if first is not None:
            lagged = lagged.mask(self._at_origination, self.static(first))
        return lagged

    def of_macro(self, name: str) -> NDArray[np.float64]:
        """Give a column of the macro table at the lagged period, in the loan's region."""
        assert self._macro is not None
        region = self.rules.macro.region if self.rules.macro else None
        if region is None:
            return self._macro.at(name, self.then, None)
        check_labels(self.table.loans[region], "loans")
        return self._macro.at(name, self.then, self.table.loans[region].iloc[self.loan])

    def _own_rate(self, name: str) -> NDArray[np.float64]:
        values = self.observed(name) if name in self.table.performance.columns else self.static(name)
        return numeric_column(values, name)

    def _present(self, values: pd.Series, table: str) -> pd.Series:
        """Give the column with the values made missing that the rules say cannot be true."""
        name = str(values.name)
        if name in self.rules.zero_is_missing:
            zero = (values == 0).to_numpy(dtype=bool, na_value=False)
            values = self._masked(values, zero, "zero means missing", table)
        if name in self.rules.plausible:
            lowest, highest = self.rules.plausible[name]
            number = pd.Series(numeric_column(values, name))
            values = self._masked(values, ((number < lowest) | (number > highest)).to_numpy(), "not plausible", table)
        return values

    def _masked(self, values: pd.Series, flags: NDArray[np.bool_], rule: str, table: str) -> pd.Series:
        if not np.any(flags):
            return values
        source, unit, where = self.table.loans, "loan", np.flatnonzero(flags)
        if table == "performance":
            source, unit = self.table.performance, "row"
            where = self.table.row[flags]
        ids = tuple(pd.unique(source[self.rules.loan_id].to_numpy()[where])[:5].tolist())
        n = int(np.count_nonzero(flags))
        finding = Finding(rule, table, str(values.name), n, unit, "value made missing", ids)
        if finding not in self.findings:
            self.findings.append(finding)
        return values.mask(flags)


def _find(table: LoanPeriods, loan: Ints, period: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Give the position of each (loan, period) among the sorted loan-periods, and whether it is there. O(n log n)."""
    if len(table.row) == 0:
        return np.zeros(len(loan), np.int64), np.zeros(len(loan), bool)
    lowest, highest = int(table.period.min()), int(table.period.max())
    width = highest - lowest + 1
    keys = table.loan * width + (table.period - lowest)
    inside = (period >= lowest) & (period <= highest)
    wanted = loan * width + np.where(inside, period - lowest, 0)
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return found, inside & (keys[found] == wanted)


class _MacroTable:
    """The macro table by region and period."""

    def __init__(self, macro: pd.DataFrame | None, rules: SpellRules) -> None:
        keys = rules.macro
        assert keys is not None
        if macro is None:
            raise DataError("The rules use macro columns, but no macro table was given: pass macro=.")
        columns = macro_columns(rules, keys=False)
        by = [keys.period] if keys.region is None else [keys.region, keys.period]
        require_columns(macro, macro_columns(rules), "macro")
        if keys.region is not None:
            check_labels(macro[keys.region], "macro")
        number = period_numbers(macro[keys.period], rules)
        self._of_region = pd.Index(["all"]) if keys.region is None else pd.Index(macro[keys.region].unique())
        region = np.zeros(len(macro), np.int64) if keys.region is None else self._regions(macro[keys.region])
        usable = (number != NO_PERIOD) & (region >= 0)
        if not usable.any():
            raise DataError(
                f"The macro table has {counted(len(macro), 'row')}, none with {' and '.join(map(repr, by))}: fill them in."
            )
        _refuse_repeated(macro[usable], region[usable], number[usable], by, rules)
        self._first = int(number[usable].min())
        self._width = int(number[usable].max()) - self._first + 1
        cell = region[usable] * self._width + number[usable] - self._first
        # months of one quarter are averaged; months in which the series is missing do not count
        size = len(self._of_region) * self._width
        self._values = {}
        for name in columns:
            series = numeric_column(macro[name], name)[usable]
            there = np.isfinite(series)
            n = np.bincount(cell[there], minlength=size)
            total = np.bincount(cell[there], weights=series[there], minlength=size)
            self._values[name] = np.divide(total, n, out=np.full(size, np.nan), where=n > 0)

    def _regions(self, values: pd.Series) -> Ints:
        return self._of_region.get_indexer(pd.Index(values)).astype(np.int64)

    def at(self, name: str, period: Ints, region: pd.Series | None) -> NDArray[np.float64]:
        code = np.zeros(len(period), np.int64) if region is None else self._regions(region)
        inside = (period >= self._first) & (period < self._first + self._width) & (code >= 0)
        cell = np.where(inside, code * self._width + period - self._first, 0)
        return np.where(inside, self._values[name][cell], np.nan)


def _refuse_repeated(
    macro: pd.DataFrame, region: NDArray[np.int64], number: NDArray[np.int64], by: list[str], rules: SpellRules
) -> None:
    """Refuse rows of the same region and month (or of the same period, where periods are numbered) that differ."""
    month = number
    if rules.period == "quarter" and not pd.api.types.is_numeric_dtype(macro[by[-1]].dtype):
        month = period_numbers(macro[by[-1]], rules.model_copy(update={"period": "month"}))
    values = macro[macro_columns(rules, keys=False)].reset_index(drop=True).assign(region_=region, month_=month)
    different = ~values.duplicated()
    twice = macro.duplicated(by).to_numpy() | (different & values.duplicated(["region_", "month_"])).to_numpy()
    if np.any(twice):
        where = [plain_date(value) for value in macro.loc[twice, by].iloc[0]]
        raise DataError(
            f"{counted(int(twice.sum()), 'row')} of the macro table {'repeats' if twice.sum() == 1 else 'repeat'} "
            f"{by} (e.g. {where}): keep one row for each {'month' if len(by) == 1 else 'region and month'}."
        )
