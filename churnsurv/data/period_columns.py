"""Columns of dates read by the database: the number of the calendar period, and what in them is no date.

Dates, times, ISO text, text in a format that the rules name and, of quarterly portfolios, text such as 2021Q2 are read as
dates; numbers count from ``rules.period_one``. A period is numbered by the months (quarters) since January 1970.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import ibis
import ibis.expr.types as ir
import pandas as pd

from churnsurv.data.faults import Fault, Words
from churnsurv.data.ids import LARGEST_EXACT
from churnsurv.data.periods import YEARS
from churnsurv.data.rules import SpellRules
from churnsurv.messages import counted

_ISO = (
    r"^\s*(\d{4})-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01])"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?[.,]?\d*\s*([Zz]|[+-]\d{2}(?::?\d{2})?)?)?)?\s*$"
)
_QUARTER = r"^\s*(\d{4})-?[Qq]([1-4])\s*$"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: part of a format → its pattern
_PARTS = {
    "%Y": r"(\d{4})",
    "%m": r"(0?[1-9]|1[0-2])",
    "%d": r"(0?[1-9]|[12]\d|3[01])",
    "%b": f"({'|'.join(_MONTHS)})",
    "%q": r"[Qq]?([1-4])",
}
#: numbers of periods further away than this many years from the first one are slips
_FARTHEST = 290


@dataclass(frozen=True)
class PeriodColumn:
    """The number of each row's period, null where it is missing or cannot be read, and the faults of the column."""

    number: ir.IntegerValue
    faults: tuple[Fault, ...]


def period_column(column: ir.Value, name: str, rules: SpellRules) -> PeriodColumn:
    """Read a column of periods, see the module."""
    kind = column.type()
    form = rules.dates.get(name)
    if form is not None:
        text = _whole(column).cast("string") if kind.is_floating() else column.cast("string")
        return _text(text, name, rules, _formatted(text, form), f"text of the form {form!r}")
    if kind.is_boolean():
        return PeriodColumn(ibis.null("int32"), (_no_date(column, column.notnull(), name, rules),))
    if kind.is_numeric():
        return _numbered(column, name, rules)
    if kind.is_date() or kind.is_timestamp():
        return _of_times(column, name, rules)
    if kind.is_string() or kind.is_unknown():
        text = column.cast("string").strip().nullif("")
        return _text(text, name, rules, _iso(text, rules), "text such as 2026-09-30")
    return PeriodColumn(ibis.null("int32"), (_no_date(column, column.notnull(), name, rules),))


def _number(year: ir.IntegerValue, month: ir.IntegerValue, rules: SpellRules) -> ir.IntegerValue:
    if rules.period == "month":
        return ((year - 1970) * 12 + month - 1).cast("int32")
    return ((year - 1970) * 4 + (month - 1) // 3).cast("int32")


def _of_times(column: ir.Value, name: str, rules: SpellRules) -> PeriodColumn:
    year, month = column.year().cast("int32"), column.month().cast("int32")
    in_range = year.between(*YEARS)
    faults = [_no_date(column, ~in_range, name, rules)]
    kind = column.type()
    if kind.is_timestamp() and kind.timezone is not None:
        clock = column.hour() * 3600 + column.minute() * 60 + column.second()
        faults.append(_doubtful(column, name, rules, year, month, column.day(), clock, True))
    return PeriodColumn(ibis.ifelse(in_range, _number(year, month, rules), ibis.null("int32")), tuple(faults))


@dataclass(frozen=True)
class _Written:
    """The parts of a date written as text; null where the text is none."""

    year: ir.IntegerValue
    month: ir.IntegerValue
    day: ir.IntegerValue
    seconds: ir.IntegerValue
    in_utc: ir.BooleanValue


def _text(text: ir.StringValue, name: str, rules: SpellRules, read: _Written, form: str) -> PeriodColumn:
    possible = read.year.between(*YEARS) & (read.day <= _days_in(read.year, read.month))
    number = ibis.ifelse(possible, _number(read.year, read.month, rules), ibis.null("int32"))
    faults = (
        _no_date(text, text.strip().nullif("").notnull() & number.isnull(), name, rules, form),
        _doubtful(text, name, rules, read.year, read.month, read.day, read.seconds, read.in_utc),
    )
    return PeriodColumn(number, faults)


def _part(text: ir.StringValue, pattern: str, group: int) -> ir.StringValue:
    return text.re_extract(pattern, group).nullif("")


def _iso(text: ir.StringValue, rules: SpellRules) -> _Written:
    year, month, day, hour, minute, second, zone = (_part(text, _ISO, group) for group in range(1, 8))
    years, months = year.cast("int32"), month.cast("int32")
    if rules.period == "quarter":
        years = years.coalesce(_part(text, _QUARTER, 1).cast("int32"))
        months = months.coalesce(_part(text, _QUARTER, 2).cast("int32") * 3 - 2)
    clock = ibis.literal(0, "int32")
    for part, seconds in ((hour, 3600), (minute, 60), (second, 1)):
        clock = clock + part.cast("int32").coalesce(0) * seconds
    in_utc = zone.isin(["Z", "z", "+00", "+0000", "+00:00"])
    return _Written(years, months, day.cast("int32").coalesce(1), clock, in_utc)


def _formatted(text: ir.StringValue, form: str) -> _Written:
    pattern, parts = _pattern(form)
    lowered = text.lower().strip()
    value = {part: _part(lowered, pattern, group) for group, part in enumerate(parts, start=1)}
    year = value["%Y"].cast("int32")
    if "%b" in value:
        month = ibis.cases(*((value["%b"] == name, i) for i, name in enumerate(_MONTHS, 1)), else_=ibis.null("int8"))
    elif "%q" in value:
        month = value["%q"].cast("int32") * 3 - 2
    else:
        month = value["%m"].cast("int32")
    day = value["%d"].cast("int32") if "%d" in value else ibis.literal(1, "int32")
    return _Written(year, month.cast("int32"), day, ibis.literal(0, "int32"), ibis.literal(False))


@cache
def _pattern(form: str) -> tuple[str, tuple[str, ...]]:
    """Give the regular expression of a format, and which part each of its groups is."""
    pieces = re.split("|".join(f"({part})" for part in _PARTS), form)
    parts = tuple(piece for piece in pieces if piece in _PARTS)
    body = "".join(_PARTS.get(piece, re.escape(piece.lower())) for piece in pieces if piece)
    return rf"^{body}$", parts


def _days_in(year: ir.IntegerValue, month: ir.IntegerValue) -> ir.IntegerValue:
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    return ibis.cases((month == 2, ibis.ifelse(leap, 29, 28)), (month.isin([4, 6, 9, 11]), 30), else_=31)


def _doubtful(
    column: ir.Value,
    name: str,
    rules: SpellRules,
    year: ir.IntegerValue,
    month: ir.IntegerValue,
    day: ir.IntegerValue,
    seconds: ir.IntegerValue,
    in_utc: ir.BooleanValue | bool,
) -> Fault:
    """Tell UTC times so near the turn of a period that the day at the lender may belong to the other one."""
    opening, closing = (month % 3 == 1, month % 3 == 0) if rules.period == "quarter" else (True, True)
    noon = 12 * 3600
    at_start = (day == 1) & (seconds < noon) & opening
    at_end = (day == _days_in(year, month)) & (seconds >= noon) & closing
    # midnight stands for a date
    flag = in_utc & (seconds != 0) & (at_start | at_end)
    return Fault(
        name,
        flag,
        column.cast("string"),
        lambda n, where, example: (
            f"Column {name!r} holds {counted(n, 'time')} in UTC within 12 hours of the turn of a {rules.period} ({where}): the "
            f"day at the lender may lie in the other one. Give local days, e.g. pd.to_datetime(df[{name!r}], utc=True)"
            ".dt.tz_convert('Europe/Berlin').dt.tz_localize(None)."
        ),
    )


def _no_date(
    column: ir.Value, flag: ir.BooleanValue, name: str, rules: SpellRules, form: str = "text such as 2026-09-30"
) -> Fault:
    return Fault(
        name,
        flag,
        column.cast("string"),
        lambda n, where, example: (
            f"Column {name!r} holds {counted(n, 'value')} that {'is' if n == 1 else 'are'} no date ({where}). Give dates of "
            f"the years {YEARS[0]} to {YEARS[1]}, or {form}; other forms are named in the rules, e.g. "
            f"dates = {{ {name} = '%d.%m.%Y' }}."
        ),
    )


def _numbered(column: ir.NumericValue, name: str, rules: SpellRules) -> PeriodColumn:
    present = column.notnull()
    near = ibis.ifelse(column.abs() < LARGEST_EXACT, column, ibis.null(column.type()))
    month = ibis.ifelse(near >= 10_000_000, (near // 100) % 100, near % 100)
    as_date = column.between(190_001, 209_912) | column.between(19_000_101, 20_991_231)
    faults = [Fault(name, as_date & month.between(1, 12), column, _looks_like_a_date(name))]
    if rules.period_one is None:
        faults.append(Fault(name, present, column, _needs_a_first_period(name)))
        return PeriodColumn(ibis.null("int32"), tuple(faults))
    first = pd.Period(rules.period_one, freq="M" if rules.period == "month" else "Q").ordinal - 1
    farthest = _FARTHEST * (12 if rules.period == "month" else 4)
    # no sum: it could overflow
    far = (column >= farthest - first) | (column <= -farthest - first)
    whole = column
    if column.type().is_floating():
        whole = near.round()
        faults.append(Fault(name, present & ~far & (near != near.floor()), column, _fractions(name)))
    faults.append(Fault(name, present & far, column, _far_away(name, rules)))
    readable = present & ~far
    number = ibis.ifelse(readable, whole, ibis.null(whole.type())).cast("int32") + first
    return PeriodColumn(number.cast("int32"), tuple(faults))


def _whole(column: ir.FloatingValue) -> ir.Value:
    """Give numbers as text, whole ones without a fraction."""
    return column.cast("string").re_replace(r"[.]0$", "")


def _looks_like_a_date(name: str) -> Words:
    def words(n: int, where: str, example: str) -> str:
        form = "%Y%m%d" if len(example.split(".")[0]) == 8 else "%Y%m"
        return (
            f"Column {name!r} holds numbers that look like dates ({where}). Say so in the rules: dates = "
            f"{{ {name} = {form!r} }}."
        )

    return words


def _needs_a_first_period(name: str) -> Words:
    return lambda n, where, example: (
        f"Column {name!r} holds numbers ({where}) where a date is expected. Say which calendar period number 1 is, e.g. "
        "period_one = '2000Q1', or give dates."
    )


def _fractions(name: str) -> Words:
    return lambda n, where, example: (
        f"Column {name!r} holds {counted(n, 'fraction')} ({where}): periods are whole numbers."
    )


def _far_away(name: str, rules: SpellRules) -> Words:
    return lambda n, where, example: (
        f"Column {name!r} holds {counted(n, 'number')} centuries away from {rules.period_one} ({where}): give the number of "
        f"the {rules.period}, or dates."
    )
