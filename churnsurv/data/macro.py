"""Macroeconomic series as they were published: files of FRED as one monthly table for ``macro=``.

A series tells of a month, a quarter or a year before it is known: unemployment of March is published in April, output of
the first quarter at the end of April. The table is shifted accordingly, so that a lag of one month in the rules uses what
a lender could know. What it cannot undo is revision: FRED's files hold today's values, not those first published.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.adapters.files import Paths, find_files
from churnsurv.data.config import did_you_mean
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of

WithinMonth = Literal["mean", "last"]

_WHAT = "file of FRED"

#: names of the column of dates, of files of today and of before 2024
_DATES = ("observation_date", "date")

#: months that a value tells of, by the name of the frequency; "day" stands for every series finer than months
_SPAN = {"day": 1, "month": 1, "quarter": 3, "year": 12}

#: months after the end of what it tells of until a value is published
_LAG = {"day": 0, "month": 1, "quarter": 1, "year": 1}


def read_fred(
    paths: Paths,
    *,
    publication_lag: int | Mapping[str, int] | None = None,
    within_month: WithinMonth = "mean",
    extract_to: str | Path | None = None,
) -> pd.DataFrame:
    """Read series of FRED into one monthly table of what was known.

    The row of a month holds, of every series, the latest value that was published by the end of that month. With the
    default ``lag = 1`` of :class:`~churnsurv.data.SpellRules`, a spell then uses what was known before it began.

    Parameters
    ----------
    paths : path or sequence of paths
        CSV files as downloaded, or patterns such as "fred/*.csv": a column of dates and one or more series. Several files
        are put together.
    publication_lag : int or mapping of series to int, optional
        Months from the end of the month, quarter or year that a value tells of to the month in which it is published; by
        default 0 for daily and weekly series and 1 for all others. Series not in a mapping have the default.
    within_month : {"mean", "last"}
        How daily and weekly values become one of the month: their mean, or the last of them.
    extract_to : path, optional
        Folder in which zip archives are unpacked.

    Returns
    -------
    DataFrame
        ``month`` (first day) and one column per series, without gaps in the months. A quarterly value stands in the three
        months from its publication on, a yearly one in twelve; missing values stay missing.

    Raises
    ------
    DataError
        No file of FRED, dates or values that cannot be read, a date or series that is there twice.

    Notes
    -----
    Values are those of the day of the download. Unemployment and output are revised for years, so a model sees them more
    exactly than a lender did; for a true history use the vintages of ALFRED.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from churnsurv.data import read_fred
    >>> temporary = tempfile.TemporaryDirectory()
    >>> file = Path(temporary.name) / "UNRATE.csv"
    >>> _ = file.write_text(chr(10).join(["observation_date,UNRATE", "2024-01-01,3.7", "2024-02-01,3.9"]))
    >>> read_fred(file)
           month  UNRATE
    0 2024-02-01     3.7
    1 2024-03-01     3.9
    """
    if within_month not in get_args(WithinMonth):
        raise DataError(f"within_month={within_month!r} is not known; give 'mean' or 'last'.")
    series: dict[str, pd.Series] = {}
    home: dict[str, Path] = {}
    for file in find_files(paths, what=_WHAT, extract_to=extract_to, member=lambda name: name.endswith(".csv")):
        for name, values in _series_of(file).items():
            if name in series:
                raise DataError(f"Series {name!r} is in {str(home[name])!r} and in {str(file)!r}: give one of them.")
            series[name], home[name] = values, file
    lags = _lags(publication_lag, list(series))
    columns = {name: _as_known(values, name, lags.get(name), within_month) for name, values in series.items()}
    first, last = min(s.index.min() for s in columns.values()), max(s.index.max() for s in columns.values())
    months = np.arange(first, last + 1)
    known = {name: values.reindex(months).to_numpy() for name, values in columns.items()}
    return pd.DataFrame({"month": months.astype("datetime64[M]").astype("datetime64[ns]"), **known})


def _series_of(file: Path) -> dict[str, pd.Series]:
    """Give the series of a file, by date, without their missing values."""
    try:
        cells = pd.read_csv(file, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{str(file)!r} is no CSV file: {str(error).strip()}.") from None
    table = cells.iloc[1:].set_axis(cells.iloc[0].str.strip(), axis=1).reset_index(drop=True)
    if not table.columns.is_unique:
        raise DataError(f"{str(file)!r} has two columns {first_of(table.columns[table.columns.duplicated()])!r}.")
    first = str(table.columns[0])
    if first.lower() not in _DATES or len(table.columns) < 2:
        raise DataError(
            f"{str(file)!r} begins with the column {first!r}; a {_WHAT} has observation_date (or DATE) and one column per "
            "series, separated by ','."
        )
    if table.empty:
        raise DataError(f"{str(file)!r} has no rows.")
    dates = pd.to_datetime(table[first], format="%Y-%m-%d", errors="coerce")
    _refuse(
        dates.isna().to_numpy(), table[first], file, "is no date such as 2024-01-01", "are no dates such as 2024-01-01"
    )
    _refuse(dates.duplicated().to_numpy(), table[first], file, "is there twice", "are there twice")
    index = pd.DatetimeIndex(dates)
    return {str(name): _numbers(table[name], file).set_axis(index).dropna().sort_index() for name in table.columns[1:]}


def _numbers(text: pd.Series, file: Path) -> pd.Series:
    plain = text.str.strip()
    missing = plain.isin([".", ""]).to_numpy()
    numbers = pd.to_numeric(plain, errors="coerce")
    unread = ~missing & ~np.isfinite(numbers.to_numpy(dtype=float))
    _refuse(unread, text, file, "is no number", "are no numbers")
    if missing.all():
        raise DataError(f"Series {text.name!r} of {str(file)!r} has no value.")
    return numbers


def _refuse(flags: NDArray[np.bool_], text: pd.Series, file: Path, one: str, many: str) -> None:
    rows = np.flatnonzero(flags)
    if len(rows):
        # the header is line 1
        raise DataError(
            f"{counted(len(rows), 'value')} of column {text.name!r} of {str(file)!r} {one if len(rows) == 1 else many} "
            f"(line {first_of(rows + 2)}, e.g. {text.iloc[rows[0]]!r})."
        )


def _lags(publication_lag: int | Mapping[str, int] | None, names: list[str]) -> dict[str, int]:
    if publication_lag is None:
        return {}
    lags = dict(publication_lag) if isinstance(publication_lag, Mapping) else dict.fromkeys(names, publication_lag)
    for name, lag in lags.items():
        if name not in names:
            raise DataError(f"publication_lag names {name!r}, which is no series. {did_you_mean(name, names)}")
        if isinstance(lag, bool) or not isinstance(lag, int) or lag < 0:
            raise DataError(f"publication_lag of {name!r} is {lag!r}: give months, 0 or more.")
    return lags


def _as_known(values: pd.Series, name: str, lag: int | None, within_month: WithinMonth) -> pd.Series:
    """Give the values by the months (since 1970) in which they are the latest that was published."""
    by_month = values.groupby(pd.DatetimeIndex(values.index).to_numpy().astype("datetime64[M]").astype(np.int64))
    monthly = by_month.mean() if within_month == "mean" else by_month.last()
    frequency = _frequency(by_month.size(), name)
    span, shift = _SPAN[frequency], _LAG[frequency] if lag is None else lag
    # FRED dates a quarter or year by its first month
    published = monthly.index.to_numpy() + span - 1 + shift
    known: pd.Series = pd.concat([monthly.set_axis(published + i) for i in range(span)])
    return known


def _frequency(values: pd.Series, name: str) -> str:
    """Tell the frequency of a series from the number of its values in every month that has some."""
    months = values.index.to_numpy()
    if (values > 1).any():
        return "day"
    steps = np.diff(months)
    if not len(steps) or np.any(steps % 3):
        return "month"
    frequency, length = ("quarter", 3) if np.any(steps % 12) else ("year", 12)
    if np.any(months % length):
        raise DataError(
            f"Series {name!r} has a value every {steps.min()} months, in month {months[0] % 12 + 1} of the year: a {_WHAT} "
            f"dates a {frequency} by its first month."
        )
    return frequency
