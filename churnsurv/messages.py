"""Words shared by error messages, and the reading of a numeric column with an error that names it."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.exceptions import DataError


def counted(n: int, noun: str) -> str:
    """Give "1 row", "1,204 rows"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def first_of(values: Iterable[Any], most: int = 5) -> str:
    """Give the first few values as text, with "…" when there are more."""
    shown = list(values)
    return ", ".join(str(v) for v in shown[:most]) + (", …" if len(shown) > most else "")


def confidence_level(level: Any) -> float:
    """Give a confidence level, a number between 0 and 1."""
    if isinstance(level, bool) or not isinstance(level, Real) or not 0 < float(level) < 1:
        raise DataError(f"level={level!r} is no confidence level; give a number between 0 and 1, such as 0.95.")
    return float(level)


def one_number(value: Any, argument: str) -> float:
    """Give a finite number passed as an option, such as a horizon."""
    if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
        raise DataError(f"{argument}={value!r} is not a finite number.")
    return float(value)


def refuse_mixture(values: pd.Series, column: str) -> None:
    """Refuse numbers and text in one column."""
    if values.dtype != np.dtype(object):
        return
    text = next((v for v in values if isinstance(v, str)), None)
    if text is not None and any(isinstance(v, Real) and not isinstance(v, bool) and v == v for v in values):
        raise DataError(
            f"Column {column!r} mixes numbers and text (e.g. {text!r}): make the text missing with "
            f"pd.to_numeric(df[{column!r}], errors='coerce'), or make all of it text with .astype(str) if these are labels."
        )


def numeric_column(values: ArrayLike, column: str) -> NDArray[np.float64]:
    """Give the values as doubles; text, dates and durations are refused, naming the column and the remedy."""
    series = values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))
    dtype = series.dtype
    if not len(series):
        return np.empty(0)
    if isinstance(dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_any_dtype(dtype):
        raise DataError(f"Column {column!r} is {dtype}: give a number, such as months since origination.")
    if pd.api.types.is_timedelta64_dtype(dtype):
        raise DataError(f"Column {column!r} is {dtype}: convert it first, e.g. df[{column!r}] / pd.Timedelta(days=1).")
    if pd.api.types.is_bool_dtype(dtype) or (pd.api.types.is_numeric_dtype(dtype) and dtype.kind != "c"):
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if dtype.kind == "O" and pd.api.types.infer_dtype(series, skipna=True) in (
        "integer",
        "floating",
        "decimal",
        "boolean",
        "mixed-integer-float",
    ):
        return np.asarray(series.astype(float).to_numpy())
    refuse_mixture(series, column)
    raise DataError(
        f"Column {column!r} is {dtype}, not numeric (e.g. {series.iloc[0]!r}). "
        f"If it holds numbers as text, convert it with pd.to_numeric(df[{column!r}])."
    )


def time_column(values: ArrayLike, column: str) -> NDArray[np.float64]:
    """Give times as doubles, see :func:`numeric_column`."""
    array = values if isinstance(values, pd.Series) else np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"{column!r} has {array.ndim} dimensions; give one time per row.")
    return numeric_column(array, column)
