"""Columns of values and identifiers as the database reads them; values that cannot be true become missing."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from churnsurv.data.faults import Fault
from churnsurv.data.ids import LARGEST_EXACT, different_kinds_words, inexact_words
from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import DataError
from churnsurv.messages import counted

#: rule for numbers that a column holds as text
AS_TEXT = "number written as text"

_A_NUMBER = r"([-+]?\d+(?:[.]\d+)?(?:[eE][-+]?\d+)?)"


@dataclass(frozen=True)
class ValueColumn:
    """A column as it may become a covariate, and the rows in which a rule changed a value (rule → flag)."""

    value: ir.Value
    changed: dict[str, ir.BooleanValue]
    faults: tuple[Fault, ...] = ()


def value_column(column: ir.Value, name: str, rules: SpellRules) -> ValueColumn:
    """Give a column with the values made missing that the rules say cannot be true.

    Truth values become 0 and 1, decimals doubles; text stays, unless the rules say it holds numbers.

    Raises
    ------
    DataError
        A rule about numbers names a column of text or dates.
    """
    faults: tuple[Fault, ...] = ()
    value = column
    if name in rules.numbers and column.type().is_string():
        value, faults = _number_in_text(column, name)
    kind = value.type()
    if kind.is_boolean():
        value = truth_as_number(value)
    elif kind.is_decimal():
        value = value.cast("float64")
    elif kind.is_interval():
        raise DataError(
            f"Column {name!r} is a duration ({kind}): convert it to a number first, e.g. df[{name!r}] / pd.Timedelta(days=1)."
        )
    elif kind.is_nested() or kind.is_json() or kind.is_binary():
        raise DataError(f"Column {name!r} is {kind}: give numbers, text or dates.")
    flags: dict[str, ir.BooleanValue] = {}
    if name in rules.zero_is_missing or name in rules.plausible:
        _refuse_non_numbers(value, name, "zero_is_missing" if name in rules.zero_is_missing else "plausible")
    if name in rules.zero_is_missing:
        flags["zero means missing"] = (value == 0).fill_null(False)
    if name in rules.plausible:
        lowest, highest = rules.plausible[name]
        impossible = ((value < lowest) | (value > highest)).fill_null(False)
        flags["not plausible"] = impossible & ~flags.get("zero means missing", ibis.literal(False))
    for flag in flags.values():
        value = ibis.ifelse(flag, ibis.null(value.type()), value)
    if faults:
        flags[AS_TEXT] = column.notnull()
    return ValueColumn(value, flags, faults)


def truth_as_number(column: ir.BooleanValue) -> ir.IntegerValue:
    """Give 1 for true and 0 for false; not every database casts."""
    return ibis.cases((column, 1), (~column, 0))


def _number_in_text(column: ir.StringValue, name: str) -> tuple[ir.FloatingValue, tuple[Fault, ...]]:
    plain = column.replace(",", "").strip()
    number = plain.re_extract(_A_NUMBER, 1).nullif("").cast("float64")
    fault = Fault(
        name,
        (plain != "") & number.isnull(),
        column,
        lambda n, where, example: (
            f"Column {name!r} holds {counted(n, 'text')} without a number ({where}), and the rules list it in numbers: correct "
            "the values, or deliver them as missing."
        ),
    )
    return number, (fault,)


def _refuse_non_numbers(value: ir.Value, name: str, key: str) -> None:
    if not value.type().is_numeric():
        raise DataError(
            f"Column {name!r} is {value.type()}, not numeric, and the rules' {key} names it. If it holds numbers as text, list "
            f"it in numbers = [{name!r}], or convert it with pd.to_numeric(df[{name!r}])."
        )


def require_number(value: ir.Value, name: str, table: str) -> None:
    """Refuse a column that must be a number."""
    if not value.type().is_numeric():
        raise DataError(
            f"Column {name!r} of the {table} table is {value.type()}, not numeric. If it holds numbers as text, list it in the "
            f"rules' numbers = [{name!r}], or convert it with pd.to_numeric(df[{name!r}])."
        )


def label_column(column: ir.Value, name: str, table: str) -> ir.Value:
    """Give a column of identifiers or regions; containers are refused.

    Raises
    ------
    DataError
        The column holds lists or the like.
    """
    kind = column.type()
    if kind.is_nested() or kind.is_json() or kind.is_binary():
        raise DataError(
            f"Column {name!r} of the {table} table holds {'lists' if kind.is_array() else str(kind)}, which name nothing. Give "
            "numbers or text."
        )
    if kind.is_boolean():
        return truth_as_number(column)
    return column.cast("string") if kind.is_uuid() else column


def inexact_ids(column: ir.Value, name: str, table: str) -> tuple[Fault, ...]:
    """Give the fault of identifiers that doubles cannot tell apart."""
    if not column.type().is_floating():
        return ()
    return (
        Fault(
            name,
            column.abs() > LARGEST_EXACT,
            column,
            lambda n, where, example: inexact_words(name, table, str(column.type()), n, where),
        ),
    )


def refuse_different_kinds(one: ir.Value, other: ir.Value, name: str, table: str, other_table: str) -> None:
    """Refuse numbers in one table where the other has text or dates: nothing would be found.

    Raises
    ------
    DataError
        Naming the column, both tables and their types.
    """
    kinds = [_kind(column) for column in (one, other)]
    if kinds[0] != kinds[1]:
        types = (str(one.type()), str(other.type()))
        raise DataError(different_kinds_words(name, (table, other_table), (kinds[0], kinds[1]), types))


def _kind(column: ir.Value) -> str:
    kind = column.type()
    if kind.is_string():
        return "text"
    if kind.is_boolean():
        return "true or false"
    return "number" if kind.is_numeric() else "date"


def done_by(rule: str) -> str:
    """Say what a rule about values does to them."""
    return "the number is read" if rule == AS_TEXT else "value made missing"
