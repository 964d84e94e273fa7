"""Columns of any type as numbers, so that every rule sees the same thing: numbers, dates as days, categories as codes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.messages import numeric_column

Floats = NDArray[np.float64]

_NUMBERS = ("integer", "floating", "decimal", "boolean", "mixed-integer-float")
_DATES = ("date", "datetime", "datetime64")


class Coded(NamedTuple):
    """Values as doubles, NaN where missing; of categories the codes of their sorted levels."""

    values: Floats
    kind: str  # number, date or category
    levels: tuple[str, ...] = ()


def coded(values: pd.Series) -> Coded:
    """Give the values of a column of any type as numbers; infinite ones count as missing, blank text is a level of its own."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(values.astype(object))
    if isinstance(dtype, pd.PeriodDtype):
        return _dates(values.dt.to_timestamp())
    if isinstance(dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_any_dtype(dtype):
        return _dates(values)
    if pd.api.types.is_timedelta64_dtype(dtype):
        return Coded(_days(values), "number")
    if dtype == np.dtype(object):
        kind = pd.api.types.infer_dtype(values, skipna=True)
        if kind == "empty":
            return Coded(np.full(len(values), np.nan), "number")
        if kind in _DATES:
            return _dates(pd.to_datetime(values, errors="coerce", utc=True))
        if kind not in _NUMBERS:
            return _categories(values)
    elif not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        return _categories(values.astype(object))
    number = numeric_column(values, str(values.name))
    return Coded(np.where(np.isfinite(number), number, np.nan), "number")


def _dates(values: pd.Series) -> Coded:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_localize(None)
    return Coded(_days(values - pd.Timestamp(1970, 1, 1)), "date")


def _days(values: pd.Series) -> Floats:
    return np.asarray(values.dt.total_seconds().to_numpy(dtype=np.float64) / 86_400)


def _categories(values: pd.Series) -> Coded:
    missing = values.isna().to_numpy()
    try:
        codes, found = pd.factorize(values)
    except TypeError:
        # lists and other containers are compared as they print
        codes, found = pd.factorize(values.map(repr).mask(missing))
    names = np.array([str(value).strip() for value in found], dtype=object)
    levels = tuple(sorted(set(names)))
    number = np.append(pd.Index(levels, dtype=object).get_indexer(pd.Index(names, dtype=object)), -1)
    code = number[codes].astype(float)
    return Coded(np.where(code < 0, np.nan, code), "category", levels)
