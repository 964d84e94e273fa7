"""Where the tables of a portfolio live while spells are made of them: DuckDB, or the warehouse that holds them.

Every table becomes an Ibis table of one backend. Files are scanned where they lie, frames are handed over as Arrow; tables
that are Ibis tables already stay in their database, and the others are sent there.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
from ibis.common.exceptions import IbisError
from tqdm import tqdm

from churnsurv.data.files import table_of_file
from churnsurv.data.staging import arrow_of
from churnsurv.exceptions import DataError

Result = TypeVar("Result")

_SECONDS_BETWEEN_LOOKS = 0.05
#: queries that take less show no bar
SECONDS_WITHOUT_BAR = 0.5


@contextlib.contextmanager
def workspace(
    tables: Mapping[str, Any],
    *,
    columns: Mapping[str, list[str]],
    memory_limit: str | None = None,
    progress: bool = False,
) -> Iterator[Workspace]:
    """Give a workspace with the tables; what it creates is removed afterwards.

    Parameters
    ----------
    tables : mapping
        Name → table: pandas, polars or Arrow, the path of a Parquet or CSV file (or of a folder of Parquet files), a
        DuckDB relation, an Ibis table; None is passed over.
    columns : mapping
        Name → columns that will be used: those of a frame are converted, others are not looked at.
    memory_limit : str, optional
        Of the engine, such as "1GB"; what does not fit is put on disk. Default: four fifths of the memory.
    progress : bool
        Show a progress bar for each query that takes longer than a moment; a warehouse shows none.

    Raises
    ------
    DataError
        A file that cannot be read, something that is no table, tables of two databases, a limit that is no size.
    """
    given = {name: table for name, table in tables.items() if table is not None}
    homes = {id(home): home for name, table in given.items() if (home := _backend_of(table, name)) is not None}
    if len(homes) > 1:
        raise DataError("The tables lie in different databases; copy them into one, or give files or frames.")
    with contextlib.ExitStack() as stack:
        if homes:
            if memory_limit is not None:
                raise DataError(
                    "memory_limit is for files and frames; limit the database that holds the tables itself."
                )
            backend = next(iter(homes.values()))
        else:
            spill = stack.enter_context(TemporaryDirectory(prefix="churnsurv-"))
            backend = _duckdb_backend(memory_limit, spill)
            stack.callback(backend.disconnect)
        made = Workspace(backend, progress)
        stack.callback(made.forget)
        for name, table in given.items():
            made.add(name, table, columns.get(name, []))
        yield made


class Workspace:
    """Tables on one backend, and the running of what is asked of them."""

    def __init__(self, backend: Any, progress: bool) -> None:
        self.backend, self.progress = backend, progress
        self.tables: dict[str, ir.Table] = {}
        #: table → names of all its columns; of frames only those that are used were handed over
        self.columns: dict[str, list[str]] = {}
        #: table → column → categories in their order, which databases do not know
        self.categories: dict[str, dict[str, list[Any]]] = {}
        self._registered: list[str] = []
        self._kept: list[str] = []

    def add(self, name: str, table: Any, columns: list[str]) -> None:
        """Make a table known by a name."""
        _refuse_case_alone(columns, name)
        if isinstance(table, ir.Table):
            made = table
        elif isinstance(table, str | Path):
            if not str(table).strip():
                raise DataError(f"The {name} table: the path is empty.")
            made = self._of_file(name, Path(table), columns)
        else:
            arrow, self.categories[name] = arrow_of(table, name, columns)
            made = self._of_arrow(name, arrow)
        names = table.columns if isinstance(table, pd.DataFrame) else made.columns
        self.columns[name] = [str(column) for column in names]
        self.tables[name] = made.mutate(**_nan_as_null(made, columns))

    def run(self, query: Callable[[], Result], *, what: str) -> Result:
        """Run a query; faults of the database become errors that say what was being done."""
        try:
            if not (self.progress and self.is_duckdb):
                return query()
            return _watched(query, self.backend.con, what)
        except duckdb.OutOfMemoryException as error:
            raise DataError(
                f"{what}: the memory limit is too small ({_first_line(error)}). Give a larger memory_limit."
            ) from None
        except (duckdb.Error, IbisError, pa.ArrowException) as error:
            raise DataError(f"{what}: {_first_line(error)}") from error

    def count(self, table: ir.Table, *, what: str) -> int:
        """Give the number of rows."""
        return int(self.run(lambda: table.count().to_pyarrow().as_py(), what=what))

    def records(self, table: ir.Table, *, what: str) -> list[dict[str, Any]]:
        """Give the rows of a small table."""
        return list(self.run(lambda: table.to_pyarrow().to_pylist(), what=what))

    def frame(self, table: ir.Table, *, what: str) -> pd.DataFrame:
        """Give a table as a frame."""
        return pd.DataFrame(self.run(lambda: table.to_pyarrow().to_pandas(), what=what))

    def labels(self, table: ir.Table, column: str, *, what: str, most: int = 6) -> list[Any]:
        """Give a few different values of a column, the smallest first: loans to look at."""
        values = table.filter(table[column].notnull()).select(label=table[column]).distinct()
        return [row["label"] for row in self.records(values.order_by("label").limit(most), what=what)]

    def kept(self, table: ir.Table, what: str) -> ir.Table:
        """Give a table that is used several times, computed once on DuckDB; a warehouse is not written to."""
        if not self.is_duckdb:
            return table
        name = ibis.util.gen_name("churnsurv_kept")
        statement = f'CREATE TEMP TABLE "{name}" AS {ibis.to_sql(table, dialect="duckdb")}'
        self.run(lambda: self.backend.con.execute(statement), what=what)
        self._kept.append(name)
        return self.backend.table(name)

    @property
    def is_duckdb(self) -> bool:
        """Whether the tables are on DuckDB."""
        return str(self.backend.name) == "duckdb"

    def forget(self) -> None:
        """Take back what was registered on a backend that is not ours."""
        for name in self._kept:
            self.backend.con.execute(f'DROP TABLE IF EXISTS "{name}"')
        for name in self._registered:
            if self.is_duckdb:
                self.backend.con.unregister(name)
            else:
                self.backend.drop_table(name, force=True)

    def _of_file(self, name: str, path: Path, columns: list[str]) -> ir.Table:
        if self.is_duckdb:
            return table_of_file(self.backend, name, path, columns)
        with contextlib.closing(duckdb.connect()) as connection:
            file = table_of_file(ibis.duckdb.from_connection(connection), name, path, columns)
            return self._of_arrow(name, file.to_pyarrow())

    def _of_arrow(self, name: str, table: Any) -> ir.Table:
        known_as = ibis.util.gen_name(f"churnsurv_{name}")
        self._registered.append(known_as)
        if self.is_duckdb:
            self.backend.con.register(known_as, table)
            return self.backend.table(known_as)
        return self.backend.create_table(known_as, table, temp=True)


def _backend_of(table: Any, name: str) -> Any:
    try:
        return table.get_backend() if isinstance(table, ir.Table) else None
    except IbisError as error:
        raise DataError(f"The {name} table is an Ibis table without a database ({_first_line(error)}).") from None


def _refuse_case_alone(columns: list[str], name: str) -> None:
    """Refuse used columns that are told apart by case alone: DuckDB does not."""
    known: dict[str, str] = {}
    for column in columns:
        other = known.setdefault(column.casefold(), column)
        if other != column:
            raise DataError(f"Columns {other!r} and {column!r} of the {name} table differ by case alone: rename one.")


def _nan_as_null(table: ir.Table, columns: list[str]) -> dict[str, ir.Value]:
    """Give the used columns of doubles with NaN as null; in databases it is a number, larger than all others."""
    doubles = [name for name in dict.fromkeys(columns) if name in table.columns and table[name].type().is_floating()]
    return {name: ibis.ifelse(table[name].isnan(), ibis.null(table[name].type()), table[name]) for name in doubles}


def _duckdb_backend(memory_limit: str | None, spill: str) -> Any:
    settings: dict[str, Any] = {"temp_directory": spill, "preserve_insertion_order": False}
    if memory_limit is not None:
        if str(memory_limit).strip().startswith("-"):
            raise DataError(f"memory_limit={memory_limit!r} is no size; give e.g. '2GB'.")
        settings["memory_limit"] = memory_limit
    try:
        connection = duckdb.connect(config=settings)
        # times of a zone are those of UTC, whatever the machine's is
        connection.execute("SET TimeZone = 'UTC'")
        return ibis.duckdb.from_connection(connection)
    except duckdb.Error as error:
        raise DataError(f"memory_limit={memory_limit!r} is no size ({_first_line(error)}); give e.g. '2GB'.") from None


def _watched(query: Callable[[], Result], connection: Any, what: str) -> Result:
    """Run a query in a thread and show how far DuckDB has come; an interrupt stops the query."""
    results: list[Result] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            results.append(query())
        except BaseException as error:  # raised again below, in the thread that asked
            faults.append(error)

    thread = threading.Thread(target=run, daemon=True)
    with tqdm(total=100, desc=what, unit="%", leave=False, delay=SECONDS_WITHOUT_BAR) as bar:
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_SECONDS_BETWEEN_LOOKS)
                bar.update(max(0.0, round(connection.query_progress()) - bar.n))
        except KeyboardInterrupt:
            connection.interrupt()
            thread.join()
            raise
    if faults:
        raise faults[0]
    return results[0]


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def to_pandas(table: pa.Table, categories: Mapping[str, list[Any]]) -> pd.DataFrame:
    """Give a result as a frame: text as objects, categories in the order they had."""
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True, date_as_object=False)
    for name, levels in categories.items():
        if name in frame:
            frame[name] = pd.Categorical(frame[name], categories=levels)
    return frame
