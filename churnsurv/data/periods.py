"""Calendar periods as whole numbers, so that age is a difference and a lag is a subtraction; dates read one way."""

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

#: number of a period that is missing; smaller than any real one
NO_PERIOD = np.iinfo(np.int64).min

_FREQUENCY = {"month": "M", "quarter": "Q"}

#: years whose dates have nanoseconds, as pandas stores them
_YEARS = (1678, 2261)

_FULL_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")
_QUARTER = re.compile(r"(\d{4})-?[Qq]([1-4])")
_IN_UTC = re.compile(r".*:.*([Zz]|[+-]00(:?00)?)")
_OFFSET = r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"


def period_numbers(values: pd.Series, rules: SpellRules) -> Ints:
    """Give the number of each value's period since 1970 (`NO_PERIOD` where missing).

    Dates, periods, ISO text and, of quarterly portfolios, text such as 2021Q2 are read as dates; numbers count from
    ``rules.period_one``.

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
    _refuse_doubtful_days(values, column, rules)
    dates = as_dates(values, column, quarters=rules.period == "quarter")
    missing = dates.isna().to_numpy()
    year, month = dates.dt.year.to_numpy(dtype=float), dates.dt.month.to_numpy(dtype=float)
    months = np.where(missing, 0, (year - 1970) * 12 + month - 1).astype(np.int64)
    return np.where(missing, NO_PERIOD, months if rules.period == "month" else months // 3)


def _numbered(values: pd.Series, column: str, rules: SpellRules) -> Ints:
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    missing = ~np.isfinite(numbers)
    example = f"{numbers[~missing][0]:.15g}" if not missing.all() else "?"
    if re.fullmatch(r"(19|20)\d{2}(0[1-9]|1[0-2])([0-3]\d)?", example):
        kind = "%Y%m%d" if len(example) == 8 else "%Y%m"
        raise DataError(
            f"Column {column!r} holds numbers that look like dates (e.g. {example}). Convert them: "
            f"pd.to_datetime(df[{column!r}].astype(str), format={kind!r})."
        )
    if rules.period_one is None:
        raise DataError(
            f"Column {column!r} holds numbers (e.g. {example}) where a date is expected. "
            "Say which calendar period number 1 is, e.g. period_one = '2000Q1', or give dates."
        )
    first = pd.Period(rules.period_one, freq=_FREQUENCY[rules.period]).ordinal - 1
    fractions = np.flatnonzero(~missing & (numbers != np.floor(np.where(missing, 0, numbers))))
    if len(fractions):
        raise DataError(
            f"Column {column!r} holds {counted(len(fractions), 'fraction')} (row {first_of(fractions)}, "
            f"e.g. {numbers[fractions[0]]:g}): periods are whole numbers."
        )
    per_year = 12 if rules.period == "month" else 4
    far = np.flatnonzero(~missing & (np.abs(np.where(missing, 0, numbers) + first) >= 290 * per_year))
    if len(far):
        raise DataError(
            f"Column {column!r} holds {counted(len(far), 'number')} centuries away from {rules.period_one} "
            f"(row {first_of(far)}, e.g. {numbers[far[0]]:.15g}): give the number of the {rules.period}, or dates."
        )
    return np.where(missing, NO_PERIOD, np.where(missing, 0, numbers).astype(np.int64) + first)


def _refuse_doubtful_days(values: pd.Series, column: str, rules: SpellRules) -> None:
    """Refuse UTC times so near the turn of a period that the day at the lender may belong to the other one."""
    there = _times_in_utc(values)
    half = pd.Timedelta(hours=12)
    earlier, later = ((there + shift).dt.to_period(_FREQUENCY[rules.period]) for shift in (-half, half))
    # midnight stands for a date
    doubtful = (there != there.dt.normalize()) & (earlier != later)
    if doubtful.any():
        raise DataError(
            f"Column {column!r} holds {counted(int(doubtful.sum()), 'time')} in UTC within 12 hours of the turn of a "
            f"{rules.period} (e.g. {there[doubtful].iloc[0]}): the day at the lender may lie in the other one. Give local "
            f"days, e.g. pd.to_datetime(df[{column!r}], utc=True).dt.tz_convert('Europe/Berlin').dt.tz_localize(None)."
        )


def _times_in_utc(values: pd.Series) -> pd.Series:
    """Give the different times that are stated in UTC, without the zone."""
    times: pd.Series
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        in_utc = str(values.dtype.tz).upper() in ("UTC", "UTC+00:00", "TZUTC()")
        times = values.dropna().drop_duplicates() if in_utc else values.iloc[:0]
    elif pd.api.types.is_datetime64_any_dtype(values.dtype):
        times = values.iloc[:0]
    else:
        texts = [value for value in values.dropna().astype(str).unique() if _IN_UTC.fullmatch(value)]
        times = pd.Series(pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)).dropna()
    return pd.to_datetime(times, utc=True).dt.tz_localize(None)


def as_dates(values: pd.Series, column: str, *, quarters: bool = False) -> pd.Series:
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
            return as_dates(values, column, quarters=quarters)
    try:
        which, written = pd.factorize(values.astype(object))
    except TypeError:
        raise DataError(f"Column {column!r} holds lists or other containers where dates are expected.") from None
    plain = pd.Series([_plain_date(value, quarters) for value in written], dtype=object)
    read = pd.to_datetime(plain, errors="coerce", format="ISO8601")
    # a position of −1 selects a missing value
    dates = read.reindex(which).set_axis(values.index)
    unread = np.flatnonzero(dates.isna() & values.notna())
    if len(unread):
        raise DataError(
            f"Column {column!r} holds {counted(len(unread), 'value')} that {'is' if len(unread) == 1 else 'are'} no date "
            f"(row {first_of(unread)}, e.g. {values.iloc[unread[0]]!r}). Give dates of the years {_YEARS[0]} to {_YEARS[1]}, "
            "or text such as 2026-09-30."
        )
    return pd.Series(dates)


def _plain_date(value: Any, quarters: bool) -> Any:
    """Give a value without its offset from UTC, and text such as 2021Q2 as the first day."""
    if isinstance(value, str):
        found = _QUARTER.fullmatch(value.strip()) if quarters else None
        if found:
            return f"{found[1]}-{3 * int(found[2]) - 2:02d}-01"
        return re.sub(_OFFSET, "", value) if ":" in value or value.endswith(("Z", "z")) else value
    if isinstance(value, pd.Period):
        return value.to_timestamp()
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None)
    # numbers in a column of mixed values would be read as nanoseconds
    return value if isinstance(value, datetime.date | np.datetime64) else str(value)


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
    if not _YEARS[0] <= day.year <= _YEARS[1]:
        raise DataError(f"{day.date()} is out of range; give a date of the years {_YEARS[0]} to {_YEARS[1]}.")
    return pd.Timestamp(day.tz_localize(None).normalize())


def last_complete_period(date: Any, rules: SpellRules) -> int:
    """Give the number of the last period that is over at the end of the day `date`."""
    following = one_date(date) + pd.Timedelta(days=1)
    return int(pd.Period(following, freq=_FREQUENCY[rules.period]).ordinal) - 1
