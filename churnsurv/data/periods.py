"""Calendar periods as whole numbers, so that age is a difference and a lag is a subtraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of

Ints = NDArray[np.int64]

#: number of a period that is missing; smaller than any real one
NO_PERIOD = np.iinfo(np.int64).min

_FREQUENCY = {"month": "M", "quarter": "Q"}


def period_numbers(values: pd.Series, rules: SpellRules) -> Ints:
    """Give the number of each value's period since 1970 (`NO_PERIOD` where missing).

    Dates, periods and ISO text are read as dates; numbers count from ``rules.period_one``.

    Raises
    ------
    DataError
        Values that are no dates, or numbers without ``period_one``; the message names the column and the values.
    """
    column = str(values.name)
    if isinstance(values.dtype, pd.PeriodDtype):
        values = values.dt.to_timestamp()
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return _numbered(values, column, rules)
    dates = _as_dates(values, column)
    missing = dates.isna().to_numpy()
    year, month = dates.dt.year.to_numpy(dtype=float), dates.dt.month.to_numpy(dtype=float)
    months = np.where(missing, 0, (year - 1970) * 12 + month - 1).astype(np.int64)
    return np.where(missing, NO_PERIOD, months if rules.period == "month" else months // 3)


def _numbered(values: pd.Series, column: str, rules: SpellRules) -> Ints:
    if rules.period_one is None:
        raise DataError(
            f"Column {column!r} holds numbers (e.g. {values.iloc[0] if len(values) else '?'}) where a date is expected. "
            "Say which calendar period number 1 is, e.g. period_one = '2000Q1', or give dates."
        )
    first = pd.Period(rules.period_one, freq=_FREQUENCY[rules.period]).ordinal - 1
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    missing = ~np.isfinite(numbers)
    fractions = np.flatnonzero(~missing & (numbers != np.floor(np.where(missing, 0, numbers))))
    if len(fractions):
        raise DataError(
            f"Column {column!r} holds {counted(len(fractions), 'fraction')} (row {first_of(fractions)}, "
            f"e.g. {numbers[fractions[0]]:g}): periods are whole numbers."
        )
    return np.where(missing, NO_PERIOD, np.where(missing, 0, numbers).astype(np.int64) + first)


def _as_dates(values: pd.Series, column: str) -> pd.Series:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pd.Series(values.dt.tz_localize(None))
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    dates = pd.to_datetime(values.astype(object), errors="coerce", format="ISO8601")
    unread = np.flatnonzero(dates.isna() & values.notna())
    if len(unread):
        raise DataError(
            f"Column {column!r} holds {counted(len(unread), 'value')} that {'is' if len(unread) == 1 else 'are'} no date "
            f"(row {first_of(unread)}, e.g. {values.iloc[unread[0]]!r}). Give dates, or text such as 2026-09-30."
        )
    return pd.Series(dates)


def period_starts(numbers: Ints, rules: SpellRules) -> pd.DatetimeIndex:
    """Give the first day of each period."""
    months = numbers if rules.period == "month" else numbers * 3
    return pd.DatetimeIndex(months.astype("datetime64[M]").astype("datetime64[ns]"))


def last_complete_period(date: Any, rules: SpellRules) -> int:
    """Give the number of the last period that is over at the end of the day `date`."""
    try:
        day = pd.Timestamp(date)
    except (ValueError, TypeError):
        day = pd.NaT  # type: ignore[assignment]
    if pd.isna(day):
        raise DataError(f"{date!r} is no date; give one such as '2026-09-30'.")
    return pd.Period(day + pd.Timedelta(days=1), freq=_FREQUENCY[rules.period]).ordinal - 1
