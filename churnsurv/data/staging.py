"""Frames made ready for a database: the columns that are used, as Arrow columns of one type each.

A database knows no columns of mixed values, no categories in an order and no time zone of its own for every value. What can
be said without loss in one type is; a column that cannot is refused by name.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset

from churnsurv.exceptions import DataError

#: kinds of object columns (of pandas' infer_dtype) that are numbers, and the Arrow type that holds them
_NUMBERS: dict[str, pa.DataType | None] = {
    "integer": None,
    "boolean": None,
    "floating": pa.float64(),
    "mixed-integer-float": pa.float64(),
    "decimal": pa.float64(),
    "empty": pa.float64(),
}


def arrow_of(table: Any, name: str, columns: Iterable[str]) -> tuple[Any, dict[str, list[Any]]]:
    """Give the named columns of a table as Arrow, and the categories of those that have an order.

    Parameters
    ----------
    table : frame
        pandas, polars, Arrow (also a dataset, which is not read yet), or what offers the Arrow stream protocol.
    name : str
        What the table is called in messages.
    columns : iterable of str
        Columns that are used; those that are absent are passed over.

    Returns
    -------
    tuple
        The Arrow table or dataset, and column → categories.

    Raises
    ------
    DataError
        No table, a column that is there twice, a column of containers.
    """
    if isinstance(table, pd.DataFrame):
        return _of_pandas(table, name, dict.fromkeys(columns))
    if isinstance(table, pyarrow.dataset.Dataset):
        for column in columns:
            _refuse_twice(table.schema.names.count(column), column, name)
        return table, {}
    if hasattr(table, "collect") and hasattr(table, "lazy"):
        table = table.collect()
    if not hasattr(table, "__arrow_c_stream__"):
        raise DataError(
            f"The {name} table is a {type(table).__name__}; give a DataFrame, an Arrow or Ibis table, or the path of a file, "
            f"e.g. pd.read_parquet('{name}.parquet')."
        )
    try:
        arrow = pa.table(table)
    except pa.ArrowException as error:
        raise DataError(
            f"The {name} table has a column of a type that Arrow does not know ({error}): convert it."
        ) from None
    used = [column for column in dict.fromkeys(columns) if column in arrow.column_names]
    for column in used:
        _refuse_twice(arrow.column_names.count(column), column, name)
    return _local_times(_known_to_databases(arrow.select(used))), {}


def _refuse_twice(n: int, column: str, table: str) -> None:
    if n > 1:
        raise DataError(f"The {table} table has {n} columns called {column!r}; rename or drop all but one.")


def _of_pandas(frame: pd.DataFrame, name: str, columns: Iterable[str]) -> tuple[pa.Table, dict[str, list[Any]]]:
    # a table of which no column is used has rows all the same
    arrays: dict[str, pa.Array] = {_ROWS: pa.nulls(len(frame), pa.bool_())}
    categories: dict[str, list[Any]] = {}
    for column in columns:
        n = int(np.count_nonzero(frame.columns == column))
        _refuse_twice(n, column, name)
        if n == 0:
            continue
        values = frame[column]
        try:
            if isinstance(values.dtype, pd.CategoricalDtype):
                levels = _array(values.cat.categories.to_series(name=column), name)
                arrays[column] = levels.take(pa.array(values.cat.codes, mask=values.isna().to_numpy()))
                categories[column] = levels.to_pylist()
            else:
                arrays[column] = _array(values, name)
        except (pa.ArrowException, OverflowError) as error:
            raise DataError(
                f"Column {column!r} of the {name} table is {frame[column].dtype} and cannot be used ({error}): convert it to "
                "numbers, text or dates."
            ) from None
    return _local_times(_known_to_databases(pa.table(arrays))), categories


_ROWS = "churnsurv rows"


def _array(values: pd.Series, table: str) -> pa.Array:
    """Give a column that is no category as an Arrow array; missing values of all kinds are null."""
    if isinstance(values.dtype, pd.PeriodDtype):
        values = values.dt.to_timestamp()
    if values.dtype != np.dtype(object):
        return pa.array(values, from_pandas=True)
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in _NUMBERS:
        plain = values.astype(float) if kind == "decimal" else values
        return pa.array(plain, type=_NUMBERS[kind], from_pandas=True)
    if kind != "string":
        # dates as well: those of one column may have zones of their own
        values = pd.Series([_text(value, str(values.name), table) for value in values], dtype=object)
    return pa.array(values, type=pa.string(), from_pandas=True)


def _text(value: Any, column: str, table: str) -> str | None:
    """Give a value as text: dates in ISO form, whole numbers without a fraction."""
    try:
        hash(value)
    except TypeError:
        raise DataError(
            f"Column {column!r} of the {table} table holds a {type(value).__name__} (e.g. {value!r}), which names nothing. "
            "Give numbers or text."
        ) from None
    if pd.isna(value):
        return None
    if isinstance(value, pd.Period):
        value = value.to_timestamp()
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    return plain_text(value)


def plain_text(value: Any) -> str:
    """Give a value as text; 1.0 and 1 are the same: a missing value elsewhere in the column turns integers into doubles."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _known_to_databases(table: pa.Table) -> pa.Table:
    """Give a table without the number types that DuckDB does not read."""
    for position, column in enumerate(table.schema):
        wanted = None
        if pa.types.is_float16(column.type):
            wanted = pa.float32()
        elif pa.types.is_decimal256(column.type):
            wanted = pa.float64()
        if wanted is not None:
            table = table.set_column(position, column.name, table.column(position).cast(wanted))
    return table


def _local_times(table: pa.Table) -> pa.Table:
    """Give times of a zone as the local time there, without the zone; UTC stays: it may be another day at the lender."""
    for position, column in enumerate(table.schema):
        zone = getattr(column.type, "tz", None)
        if zone is not None:
            times = table.column(position)
            # databases know times of a zone by the microsecond
            in_utc = _is_utc(zone)
            plain = (
                times.cast(pa.timestamp("us", "UTC"), safe=False) if in_utc else pyarrow.compute.local_timestamp(times)
            )
            table = table.set_column(position, column.name, plain)
    return table


def _is_utc(zone: str) -> bool:
    return zone.upper() in ("UTC", "ETC/UTC", "+00:00", "UTC+00:00")
