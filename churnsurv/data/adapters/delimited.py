"""Text files without a header: matched to a documented layout, checked line by line, read lazily.

A file without a header tells nothing of its fields, so the first line is compared with the layouts that are known, and
every line is counted before a table is given: a broken download is refused with its line, not met in the middle of a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import ibis

from churnsurv.data.adapters.fields import FILE, Field, refuse_unreadable, typed
from churnsurv.data.adapters.files import first_lines
from churnsurv.exceptions import DataError
from churnsurv.messages import counted


@dataclass(frozen=True)
class Layout:
    """The fields of a file without a header, in their order, and the releases that have them."""

    release: str
    fields: tuple[str, ...]


def duckdb_connection(connection: Any) -> Any:
    """Give the connection to read with: the given one, or a new one in memory."""
    if connection is None:
        return ibis.duckdb.connect()
    if getattr(connection, "name", None) != "duckdb":
        raise DataError(
            f"connection is a {type(connection).__name__}; give an Ibis connection to DuckDB, e.g. ibis.duckdb.connect()."
        )
    return connection


def text_table(
    connection: Any,
    files: Iterable[Path],
    layouts: Sequence[Layout],
    fields: Mapping[str, Field],
    *,
    what: str,
    key: str,
) -> Any:
    """Give the lazy table of the fields of files separated by "|" without a header, after one reading to check them.

    Parameters
    ----------
    connection : ibis DuckDB backend
    files : iterable of paths
        They may follow different layouts.
    layouts : sequence of Layout
        The layouts that are known; they differ in their number of fields.
    fields : mapping
        Name of the column → field.
    what, key : str
        What the files are, for the messages; the field that identifies a loan.

    Raises
    ------
    DataError
        A line with another number of fields (file and line are named), a header, values that cannot be read.
    """
    by_layout: dict[Layout, list[Path]] = {}
    for file in files:
        by_layout.setdefault(_layout_of(file, layouts, fields, what), []).append(file)
    used = list(dict.fromkeys(field.source for field in fields.values()))
    with_rejects = {layout: ibis.util.gen_name("rejects") for layout in by_layout}
    checked = [_scan(connection, group, layout, with_rejects[layout]) for layout, group in by_layout.items()]
    raw = _together(table.select(*used, **{FILE: table["filename"]}) for table in checked)
    try:
        refuse_unreadable(raw, fields, what=what, key=key)
    except DataError:
        # a broken line shows as unreadable values too, but is better told as what it is
        refuse_broken_lines(connection, with_rejects, what)
        raise
    refuse_broken_lines(connection, with_rejects, what)
    plain = (_scan(connection, group, layout, None).select(*used) for layout, group in by_layout.items())
    return typed(_together(plain), fields)


def _together(tables: Iterable[Any]) -> Any:
    return reduce(lambda one, other: one.union(other, distinct=False), tables)


def _scan(connection: Any, files: list[Path], layout: Layout, rejects: str | None) -> Any:
    options: dict[str, Any] = {"delim": "|", "header": False, "quote": "", "escape": ""}
    if rejects is not None:
        options |= {
            "store_rejects": True,
            "rejects_table": rejects,
            "rejects_scan": f"{rejects}_scan",
            "filename": True,
        }
    columns = dict.fromkeys(layout.fields, "VARCHAR")
    return connection.read_csv([str(file) for file in files], columns=columns, **options)


def refuse_broken_lines(connection: Any, rejects: Mapping[Any, str], what: str) -> None:
    """Raise when a reading that stored its rejects found lines with another number of fields."""
    for layout, name in rejects.items():
        # a line with several faults is one line
        query = (
            f"SELECT s.file_path, e.line, coalesce(arg_min(e.error_message, e.column_idx), min(e.error_message)), "
            f"count(*) OVER () FROM {name} e JOIN {name}_scan s "
            "USING (scan_id, file_id) GROUP BY s.file_path, e.line ORDER BY s.file_path, e.line LIMIT 1"
        )
        # a result that is not read to its end would block the connection
        for file, line, message, n in connection.raw_sql(query).fetchall():
            raise DataError(
                f"{counted(n, 'line')} of the {what} cannot be read, the first in {file}, line {line}: "
                f"{str(message).splitlines()[0]}. Its {_layout_words(layout)}: is the file whole? Get it again."
            )


def _layout_words(layout: Any) -> str:
    if isinstance(layout, Layout):
        return f"layout ({layout.release}) has {counted(len(layout.fields), 'field')} separated by '|'"
    return "header has the fields that each line must have"


def _layout_of(file: Path, layouts: Sequence[Layout], fields: Mapping[str, Field], what: str) -> Layout:
    """Give the layout whose number of fields the first line has, and in which its months are months."""
    line = first_lines(file, 1)[0]
    cells = line.split("|")
    for layout in layouts:
        if len(layout.fields) == len(cells):
            _refuse_header(file, cells, layout, fields, what)
            return layout
    known = " or ".join(f"{len(layout.fields)} ({layout.release})" for layout in layouts)
    other = next((mark for mark in (",", "\t", ";") if line.count(mark) > len(cells)), None)
    if not line.strip():
        fault = "line 1 is empty"
    elif other is not None:
        fault = f"line 1 is separated by {other!r}, not by '|'"
    else:
        fault = f"line 1 has {counted(len(cells), 'field')}"
    raise DataError(f"{str(file)!r}: {fault}. The {what} has {known} fields separated by '|', and no header.")


def _refuse_header(file: Path, cells: list[str], layout: Layout, fields: Mapping[str, Field], what: str) -> None:
    for field in fields.values():
        position = layout.fields.index(field.source)
        if field.refuses(cells[position]):
            raise DataError(
                f"{str(file)!r}: field {position + 1} ({field.source}) of line 1 is {cells[position]!r}, where "
                f"{field.expected} is expected. The {what} has no header: is it one (remove the line), or another file?"
            )
