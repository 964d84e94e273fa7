"""Calendar periods as whole numbers, so that age is a difference and a lag is a subtraction; dates given as arguments."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of

Ints = NDArray[np.int64]

_FREQUENCY = {"month": "M", "quarter": "Q"}

#: years whose dates have nanoseconds, as pandas stores them
YEARS = (1678, 2261)

_FULL_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")
_OFFSET = r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"


def as_dates(values: pd.Series, column: str) -> pd.Series:
    """Give dates without a time zone (the local time as written), NaT where missing; read nothing but dates and ISO text.

    Raises
    ------
    DataError
        Values that are no dates, naming rows and an example.
    """
    if isinstance(values.dtype, pd.PeriodDtype):
        return pd.Series(values.dt.to_timestamp())
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pd.Series(values.dt.tz_localize(None))
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
        if not pd.api.types.is_object_dtype(values.dtype):
            return as_dates(values, column)
    try:
        which, written = pd.factorize(values.astype(object))
    except TypeError:
        raise DataError(f"Column {column!r} holds lists or other containers where dates are expected.") from None
    plain = pd.Series([_plain_date(value) for value in written], dtype=object)
    read = pd.to_datetime(plain, errors="coerce", format="ISO8601")
    # a position of −1 selects a missing value
    dates = read.reindex(which).set_axis(values.index)
    unread = np.flatnonzero(dates.isna() & values.notna())
    if len(unread):
        raise DataError(
            f"Column {column!r} holds {counted(len(unread), 'value')} that {'is' if len(unread) == 1 else 'are'} no date "
            f"(row {first_of(unread)}, e.g. {values.iloc[unread[0]]!r}). Give dates of the years {YEARS[0]} to {YEARS[1]}, "
            "or text such as 2026-09-30."
        )
    return pd.Series(dates)


def _plain_date(value: Any) -> Any:
    """Give a value without its offset from UTC."""
    if isinstance(value, str):
        return re.sub(_OFFSET, "", value) if ":" in value or value.endswith(("Z", "z")) else value
    if isinstance(value, pd.Period):
        return value.to_timestamp()
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None)
    # numbers in a column of mixed values would be read as nanoseconds
    return value if isinstance(value, datetime.date | np.datetime64) else str(value)


def period_numbers(days: pd.Series | pd.DatetimeIndex, rules: SpellRules) -> Ints:
    """Give the number of each day's period since 1970."""
    index = pd.DatetimeIndex(days)
    months = (index.year.to_numpy() - 1970) * 12 + index.month.to_numpy() - 1
    return np.asarray(months if rules.period == "month" else months // 3, dtype=np.int64)


def period_starts(numbers: Ints, rules: SpellRules) -> pd.DatetimeIndex:
    """Give the first day of each period."""
    months = numbers if rules.period == "month" else numbers * 3
    return pd.DatetimeIndex(months.astype("datetime64[M]").astype("datetime64[ns]"))


def one_date(date: Any) -> pd.Timestamp:
    """Give a date passed as an argument: a date, a period (its last day), or ISO text with year, month and day."""
    day: Any = None
    if isinstance(date, pd.Period):
        day = date.end_time
    elif isinstance(date, datetime.date | np.datetime64) or (isinstance(date, str) and _FULL_DATE.fullmatch(date)):
        try:
            day = pd.Timestamp(date)
        except (ValueError, TypeError):
            day = None
    if day is None or pd.isna(day):
        raise DataError(f"{date!r} is no date; give one such as '2026-09-30' (year-month-day), or a date object.")
    if not YEARS[0] <= day.year <= YEARS[1]:
        raise DataError(f"{day.date()} is out of range; give a date of the years {YEARS[0]} to {YEARS[1]}.")
    return pd.Timestamp(day.tz_localize(None).normalize())


def last_complete_period(date: Any, rules: SpellRules) -> int:
    """Give the number of the last period that is over at the end of the day `date`."""
    following = one_date(date) + pd.Timedelta(days=1)
    return int(pd.Period(following, freq=_FREQUENCY[rules.period]).ordinal) - 1
