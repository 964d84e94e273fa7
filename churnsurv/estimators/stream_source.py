"""Tables that are read again and again in batches: Parquet files, Arrow, DuckDB, Ibis, files of spells.

A fit by passes needs the same rows in every pass; what can be read once only is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from churnsurv.exceptions import DataError
from churnsurv.messages import first_of

Floats = NDArray[np.float64]

_TAKEN = (
    "a path (or list of paths) of Parquet files, a folder of them, a pyarrow Table or Dataset, a DuckDB relation or query, "
    "an Ibis table, a SpellFile, or a function that gives a new RecordBatchReader at each call"
)


class Source(NamedTuple):
    """Columns of a table, how to read some of them from the start in batches of about so many rows, and known categories."""

    names: list[str]
    read: Callable[[list[str], int], Iterator[pa.RecordBatch]]
    categories: Mapping[str, list[Any]] = MappingProxyType({})


def as_source(source: Any) -> Source:
    """Make a table readable in batches, any number of times.

    Raises
    ------
    DataError
        Nothing that can be read again; no such file.
    """
    kind = type(source).__module__.partition(".")[0].lstrip("_")
    if hasattr(source, "batches") and hasattr(source, "rules"):  # a SpellFile
        names = list(_dataset_of(source.path).schema.names)
        return Source(names, lambda columns, size: source.batches(columns, size=size), source.categories)
    if isinstance(source, str) and source.lstrip().lower().startswith(("select ", "with ", "from ")):
        import duckdb

        return as_source(duckdb.sql(source))
    if isinstance(source, str | Path) or (
        isinstance(source, list | tuple) and source and all(isinstance(part, str | Path) for part in source)
    ):
        return _of_dataset(_dataset_of(source))
    if isinstance(source, pa.Table):
        return Source(
            source.column_names, lambda columns, size: iter(source.select(columns).to_batches(max_chunksize=size))
        )
    if kind == "pyarrow" and hasattr(source, "get_fragments"):
        return _of_dataset(source)
    if kind in ("duckdb", "ibis") and hasattr(source, "columns"):
        names = [str(name) for name in source.columns]
        if kind == "ibis":
            return Source(
                names, lambda columns, size: iter(source.select(*columns).to_pyarrow_batches(chunk_size=size))
            )
        return Source(names, lambda columns, size: iter(_relation_reader(source, columns, size)))
    if callable(source):
        return Source(list(_reader_of(source).schema.names), lambda columns, _: _selected(_reader_of(source), columns))
    if isinstance(source, pd.DataFrame):
        raise DataError("This frame is in memory already: use fit(X, y), or pass pyarrow.Table.from_pandas(frame).")
    if isinstance(source, pa.RecordBatchReader) or hasattr(source, "__next__"):
        raise DataError(
            f"A {type(source).__name__} can be read once only, and the fit passes over the rows several times. Give a "
            "function that makes a new one at each call, e.g. lambda: dataset.scanner().to_reader()."
        )
    raise DataError(f"A {type(source).__name__} is no table that can be read in batches; give {_TAKEN}.")


def _relation_reader(relation: Any, columns: list[str], size: int) -> Any:
    # a new relation at each pass: DuckDB keeps the result of one that has run
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
    chosen = relation.project(quoted)
    return chosen.to_arrow_reader(size) if hasattr(chosen, "to_arrow_reader") else chosen.fetch_record_batch(size)


def _reader_of(factory: Callable[[], Any]) -> pa.RecordBatchReader:
    reader = factory()
    if not isinstance(reader, pa.RecordBatchReader):
        raise DataError(f"The function gives a {type(reader).__name__}; it must give a pyarrow.RecordBatchReader.")
    return reader


def _selected(reader: pa.RecordBatchReader, columns: list[str]) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        yield batch.select(columns)


def _dataset_of(paths: Any) -> Any:
    import pyarrow.dataset as ds

    files = [str(part) for part in paths] if isinstance(paths, list | tuple) else [str(paths)]
    absent = [name for name in files if not Path(name).exists()]
    if absent:
        raise DataError(f"There is no file {absent[0]!r}.")
    try:
        partitioned = {"partitioning": "hive"} if len(files) == 1 and Path(files[0]).is_dir() else {}
        return ds.dataset(files if len(files) > 1 else files[0], format="parquet", **partitioned)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{first_of(files)} cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _of_dataset(dataset: Any) -> Source:
    import pyarrow.dataset as ds

    # nothing is read ahead: by default whole row groups and sixteen batches of four files are kept in memory
    lean = {"batch_readahead": 0, "fragment_readahead": 0}
    if getattr(getattr(dataset, "format", None), "default_extname", None) == "parquet":
        lean["fragment_scan_options"] = ds.ParquetFragmentScanOptions(pre_buffer=False)

    def read(columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
        scan = dataset.to_batches(columns=columns, batch_size=size, **lean)
        return (batch for batch in scan if batch.num_rows)

    return Source(list(dataset.schema.names), read)


def numbers(column: pa.Array, name: str) -> Floats:
    """Give a column as doubles, NaN where it is null; what is not numeric is refused."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif not (
        pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
    ):
        raise DataError(
            f"Column {name!r} is {column.type}, not numeric. Convert it in the source, or leave it out of columns=."
        )
    values = column.cast(pa.float64(), safe=False) if column.type != pa.float64() else column
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def keys_of(batch: pa.RecordBatch, names: list[str]) -> NDArray[np.int64]:
    """Give one number per row that tells values (of several columns: combinations) apart.

    Whole numbers are themselves, others a hash of 64 bits: ten million labels collide with a probability of 3e-6.
    """
    if len(names) == 1 and pa.types.is_integer(batch.column(names[0]).type):
        return np.asarray(batch.column(names[0]).cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False))
    hashed = pd.util.hash_pandas_object(batch.select(names).to_pandas(), index=False)
    return hashed.to_numpy().view(np.int64)


class Distinct:
    """Sorted distinct numbers of many batches, merged when what is waiting outgrows what is known."""

    def __init__(self) -> None:
        self._known: NDArray[Any] = np.empty(0)
        self._waiting: list[NDArray[Any]] = []

    def add(self, values: NDArray[Any]) -> None:
        """Take the values of a batch."""
        self._waiting.append(pd.unique(values))
        if sum(map(len, self._waiting)) > max(len(self._known), 1_000_000):
            self.sorted()

    def sorted(self) -> NDArray[Any]:
        """Give the distinct values so far."""
        if self._waiting:
            parts = [self._known, *self._waiting] if len(self._known) else self._waiting
            self._known, self._waiting = np.unique(np.concatenate(parts)), []
        return self._known


class Levels:
    """The values of a column, numbered as they appear; those of a dictionary type, or of known categories, in their order."""

    def __init__(self, name: str, categories: list[Any] | None = None) -> None:
        self.name, self.is_dictionary = name, categories is not None
        self._code: dict[Any, int] = {value: code for code, value in enumerate(categories or [])}
        self._used: set[int] = set()

    def codes(self, column: pa.Array, *, learn: bool) -> NDArray[np.int64]:
        """Give the number of each row's value, −1 where it is missing (or unknown, unless new values are learnt)."""
        if pa.types.is_dictionary(column.type):
            self.is_dictionary = True
        else:
            column = column.dictionary_encode()
        values = [None if v != v else v for v in column.dictionary.to_pylist()]
        if learn:
            for value in values:
                if value is not None:
                    self._code.setdefault(value, len(self._code))
        number = np.array([*(self._code.get(v, -1) for v in values), -1], dtype=np.int64)
        codes = number[column.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
        if learn:
            self._used.update(np.unique(codes[codes >= 0]).tolist())
        return np.asarray(codes)

    def __len__(self) -> int:
        return len(self._code)

    def values(self) -> list[Any]:
        """Give the values that occur: a dictionary's in their order, others sorted."""
        used = [value for value, code in self._code.items() if code in self._used]
        return used if self.is_dictionary else sorted(used, key=lambda v: (str(type(v)), v))

    def positions(self, order: list[Any]) -> NDArray[np.int64]:
        """Give, by number (and last for −1), the position of the value in `order`; −1 for others."""
        place = {value: k for k, value in enumerate(order)}
        return np.array([*(place.get(value, -1) for value in self._code), -1], dtype=np.int64)

    def series(self) -> pd.Series:
        """Give the values as a column, so that they sort as the column in memory would; index: their numbers."""
        numbers_ = [code for code in self._code.values() if code in self._used]
        values = [value for value, code in self._code.items() if code in self._used]
        if self.is_dictionary:
            return pd.Series(pd.Categorical(values, categories=list(self._code)), index=numbers_, name=self.name)
        return pd.Series(values, index=numbers_, name=self.name)
