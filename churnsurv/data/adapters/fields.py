"""Fields of the public formats as data: where a value stands, how it is written, which codes mean that it is missing.

A table of fields does two things: it checks the text of a file (:func:`refuse_unreadable`), and it reads it
(:func:`typed`), so that what is read is what was checked.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import duckdb
import ibis

from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of

#: name of the column that says which file a row comes from
FILE = "source_file"


# DuckDB's own functions: Ibis's strip takes out every kind of white space, at five times the cost of the rest
_trim = ibis.udf.scalar.builtin(lambda text: ..., name="trim", signature=(("string",), "string"))
_fill = ibis.udf.scalar.builtin(
    lambda text, width, fill: ..., name="lpad", signature=(("string", "int32", "string"), "string")
)
_try_month = ibis.udf.scalar.builtin(
    lambda text, form: ..., name="try_strptime", signature=(("string", "string"), "timestamp")
)


class _MonthForm(NamedTuple):
    """How a month is written: the form that DuckDB and Python read, and an example, which has the length of all."""

    form: str
    example: str


_MONTH_FORMS = {
    "YYYYMM": _MonthForm("%Y%m", "202003"),
    "MMYYYY": _MonthForm("%m%Y", "032020"),
    "MM/YYYY": _MonthForm("%m/%Y", "03/2020"),
    "MM-DD-YYYY": _MonthForm("%m-%d-%Y", "03-31-2020"),
    "Mon-YYYY": _MonthForm("%b-%Y", "Mar-2020"),
}


@dataclass(frozen=True)
class Field:
    """One field of a format.

    Attributes
    ----------
    source : str
        Its name in the layout of the file.
    kind : {"text", "number", "month", "code"}
        How it is read. A code is text of which every value must be among ``known``.
    missing : tuple of str
        Values that mean "not available".
    known : tuple of str
        Values that a code can have.
    form : str
        How a month is written, or the unit that stands behind a number.
    width : int
        Codes shorter than that lost leading zeros.
    """

    source: str
    kind: Literal["text", "number", "month", "code"] = "text"
    missing: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    form: str = ""
    width: int = 0

    def text(self, table: Any) -> Any:
        """Give the value as text, without blanks around it, missing where it means so."""
        value = _trim(table[self.source])
        value = ibis.ifelse(value.isin(("", *self.missing)), ibis.null("string"), value)
        if self.form and self.kind == "number":
            value = value.re_replace(rf"\s*{self.form}$", "")
        # the function cuts what is longer
        return ibis.ifelse(value.length() < self.width, _fill(value, self.width, "0"), value) if self.width else value

    def value(self, table: Any) -> Any:
        """Give the value in its type: months are their first day."""
        text = self.text(table)
        if self.kind == "number":
            return text.try_cast("float64")
        if self.kind == "month":
            return _try_month(text, _MONTH_FORMS[self.form].form).truncate("M").cast("date")
        return text

    def unreadable(self, table: Any) -> Any:
        """Give where the value is there but cannot be read; None for text, which always can."""
        text = self.text(table)
        if self.kind == "number":
            number = text.try_cast("float64")
            return text.notnull() & (number.isnull() | number.isnan() | number.isinf())
        if self.kind == "month":
            form, example = _MONTH_FORMS[self.form]
            return text.notnull() & (_try_month(text, form).isnull() | (text.length() != len(example)))
        if self.kind == "code":
            return text.notnull() & text.notin(self.known)
        return None

    def refuses(self, value: str) -> bool:
        """Tell whether a single value, as it stands in a file, is no month of this field."""
        plain = value.strip()
        if self.kind != "month" or plain in ("", *self.missing):
            return False
        form, example = _MONTH_FORMS[self.form]
        try:
            datetime.datetime.strptime(plain, form)
        except ValueError:
            return True
        return len(plain) != len(example)

    @property
    def expected(self) -> str:
        """What a readable value looks like, in words."""
        if self.kind == "month":
            return f"a month such as {_MONTH_FORMS[self.form].example}"
        if self.kind == "code":
            return f"one of the codes {first_of(self.known, 20)}"
        return "a number"


def first_known(value: Any, month: Any) -> Any:
    """Give the value of the earliest month in which there is one, as an aggregate."""
    return value.argmin(month, where=value.notnull())


def months_later(month: Any, months: Any) -> Any:
    """Give the first day of the month that many months later."""
    number = month.year() * 12 + month.month() - 1 + months.cast("int64")
    return ibis.date((number // 12).cast("int64"), number % 12 + 1, 1)


def typed(raw: Any, fields: Mapping[str, Field]) -> Any:
    """Give the table of the fields, each in its type, under the names of the mapping."""
    return raw.select(**{name: field.value(raw) for name, field in fields.items()})


def refuse_unreadable(raw: Any, fields: Mapping[str, Field], *, what: str, key: str, needed: bool = True) -> int:
    """Read a table of text once and refuse it when a value cannot be read; give its number of rows.

    Parameters
    ----------
    raw : ibis table
        Columns of text, and :data:`FILE`.
    fields : mapping
        Name → field.
    what : str
        What the table is, for the messages.
    key : str
        Name of the field that identifies a loan.
    needed : bool
        Refuse rows without `key` too.

    Raises
    ------
    DataError
        Naming the field, how many rows, the value, a loan and the file.
    """
    faults = {name: fault for name, field in fields.items() if (fault := field.unreadable(raw)) is not None}
    loan = fields[key].text(raw)
    if needed:
        faults[key] = loan.isnull()
    counts = {"rows": raw.count()}
    # a column that is not asked for is not decoded, and its letters not checked
    counts |= {f"{field.source}:there": raw[field.source].count() for field in fields.values()}
    for name, fault in faults.items():
        # the smallest of each, so that the same file always gives the same message
        counts |= {
            f"{name}:rows": fault.sum(),
            f"{name}:loan": loan.min(where=fault),
            f"{name}:file": raw[FILE].min(where=fault),
            f"{name}:value": fields[name].text(raw).min(where=fault),
        }
    found = _one_row(raw.aggregate(**counts), what)
    if found["rows"] == 0:
        raise DataError(f"The {what} has no rows.")
    for name in faults:
        n = int(found[f"{name}:rows"] or 0)
        if n:
            where = f"in {counted(n, 'row')} (e.g. loan {found[f'{name}:loan']}, {found[f'{name}:file']})"
            value = "nothing" if name == key else repr(found[f"{name}:value"])
            expected = "the identifier of a loan" if name == key else fields[name].expected
            raise DataError(
                f"Field {fields[name].source!r} of the {what} holds {value} {where}, where {expected} is expected."
            )
    return int(found["rows"])


def _one_row(aggregate: Any, what: str) -> dict[str, Any]:
    try:
        return dict(aggregate.to_pandas().iloc[0].items())
    except duckdb.Error as error:
        words = str(error)
        file = re.search(r"file = (.*)", words)
        where = f" ({file[1]})" if file else ""
        raise DataError(f"The {what} cannot be read{where}: {words.splitlines()[0]}") from None
