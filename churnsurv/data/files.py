"""Files of tables as DuckDB reads them: the same file gives the same values to the check, the spells and the report."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis.common.exceptions import IbisError

from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of

_CSV = (".csv", ".csv.gz", ".tsv", ".txt", ".txt.gz")
#: what stands for a missing value in CSV files
MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "NULL", "null")
#: dates stay text: the rules say how they are written, and 01/02/2024 is two dates
_TYPES = ("BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR")
_SEPARATORS = (",", ";", "\t", "|")
_QUOTE = '"'
_LINES_BEFORE_THE_HEADER = 20


def is_csv(path: Path) -> bool:
    """Whether a file is read as CSV, by its ending."""
    return path.name.lower().endswith(_CSV)


def table_of_file(backend: Any, name: str, path: Path, columns: Iterable[str] = ()) -> ir.Table:
    """Give a Parquet or CSV file, or a folder of Parquet files, as a table of a DuckDB backend.

    Parameters
    ----------
    backend : Ibis backend
        Of DuckDB.
    name : str
        What the table is called in messages.
    path : path
        Files and folders in a folder whose names begin with a dot or an underscore are passed over.
    columns : iterable of str
        Columns that will be used: by them the header of a CSV file is found, and every file of a folder must have them if
        one has.

    Raises
    ------
    DataError
        No such file, a file that cannot be read, files of a folder that differ.
    """
    if not path.exists():
        raise DataError(f"The {name} table: there is no file {str(path)!r}.")
    try:
        if path.is_dir():
            return _folder(backend, name, path, list(columns))
        if path.stat().st_size == 0:
            raise DataError(f"The {name} table: the file {str(path)!r} is empty.")
        source = _literally(path)
        return _csv(backend, source, path, list(columns)) if is_csv(path) else backend.read_parquet(source)
    except (duckdb.Error, IbisError, OSError, EOFError) as error:
        kind, reason = ("CSV", _uneven_line(path, list(columns))) if is_csv(path) else ("Parquet", None)
        raise DataError(
            f"The {name} table: {str(path)!r} cannot be read as {kind}: {reason or _reason(error)} CSV files are known by the "
            f"endings {', '.join(_CSV)}."
        ) from None


def frame_of_file(name: str, path: Path) -> pd.DataFrame:
    """Give a file as a frame; of Parquet files with the categories of frames, which databases do not know.

    Raises
    ------
    DataError
        See :func:`table_of_file`.
    """
    if path.is_file() and not is_csv(path):
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(
                f"The {name} table: {str(path)!r} cannot be read as Parquet: {_reason(error)} CSV files are known by the "
                f"endings {', '.join(_CSV)}."
            ) from None
    backend = ibis.duckdb.connect()
    try:
        return pd.DataFrame(table_of_file(backend, name, path).to_pyarrow().to_pandas())
    except duckdb.Error as error:
        raise DataError(f"The {name} table: {str(path)!r} cannot be read: {_reason(error)}") from None
    finally:
        backend.disconnect()


def _folder(backend: Any, name: str, folder: Path, columns: list[str]) -> ir.Table:
    files = [
        file
        for file in sorted(folder.rglob("*.parquet"))
        if not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
    ]
    if not files:
        raise DataError(f"The {name} table: the folder {str(folder)!r} holds no file that ends in .parquet.")
    sources = [_literally(file) for file in files]
    known = backend.con.execute("SELECT file_name, name FROM parquet_schema($files)", {"files": sources}).fetchall()
    for column in columns:
        having = {file for file, other in known if other == column}
        lacking = [str(file) for file in files if str(file) not in having]
        if having and lacking:
            raise DataError(
                f"The {name} table: column {column!r} is not in every file of the folder {str(folder)!r}: it is missing in "
                f"{first_of(lacking, 3)}."
            )
    # a column that is wholly missing in one file has no type there
    return backend.read_parquet(sources, union_by_name=True)


def _csv(backend: Any, source: str, path: Path, columns: list[str]) -> ir.Table:
    # all rows decide the types: a text in the last row must not stop the reading
    options: dict[str, Any] = {"sample_size": -1, "auto_type_candidates": list(_TYPES), "nullstr": list(MISSING)}
    table: ir.Table = backend.read_csv(source, header=True, **_form(path, columns), **options)
    return table


def _opened(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _form(path: Path, columns: list[str]) -> dict[str, Any]:
    """Give the separator and the lines above the header, when a line among the first names a column that is used."""
    with _opened(path) as file:
        lines = [file.readline() for _ in range(_LINES_BEFORE_THE_HEADER)]
    for n, line in enumerate(lines):
        text = line.decode("utf-8-sig", errors="replace").strip("\r\n")
        for separator in _SEPARATORS:
            names = [cell.strip().strip(_QUOTE) for cell in text.split(separator)]
            if len(names) > 1 and set(columns) & set(names):
                return {"delim": separator, "skip": n, "quote": _QUOTE, "escape": _QUOTE}
    return {}


def _uneven_line(path: Path, columns: list[str]) -> str | None:
    """Tell the first line that has more or fewer fields than the header, None when there is none."""
    try:
        form = _form(path, columns)
        with _opened(path) as file:
            lines = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), delimiter=form["delim"])
            rows = ((lines.line_num, len(row)) for row in lines if row)
            header = next(n for at, n in rows if at > form["skip"])
            at, n = next((at, n) for at, n in rows if n != header)
    except (OSError, EOFError, KeyError, StopIteration, UnicodeDecodeError, csv.Error):
        return None
    return f"line {at} has {counted(n, 'field')}, the header {header}."


def _literally(path: Path) -> str:
    """Give a path in which no character is a pattern."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", str(path))


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any("unicode" in line or "not utf-8 encoded" in line for line in lines):
        return "it is not encoded as UTF-8; save it so, e.g. iconv -f latin1 -t utf-8."
    # of lines that do not fit, DuckDB names the line, then the text, then the fault
    told = [line for line in lines[:4] if not line.startswith(("Original Line", "LINE ", "^"))][:2]
    return " ".join(told or [type(error).__name__]).rstrip(".") + "."
