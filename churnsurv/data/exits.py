"""How a loan stands at the end of a period: the status column and the conditions of the rules, as codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

import ibis
import ibis.expr.types as ir

from churnsurv.data.columns import truth_as_number
from churnsurv.data.engine import Workspace
from churnsurv.data.ids import LARGEST_EXACT
from churnsurv.data.rule_tables import Condition
from churnsurv.data.rules import SpellRules
from churnsurv.data.staging import plain_text
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of

#: codes of a row whose status is missing or has no meaning; the others are positions in ``rules.endings``
NO_STATUS, NO_MEANING = -1, -2


def exit_code(table: ir.Table, rules: SpellRules) -> ir.IntegerValue:
    """Give the code of how each row's period ended: the first condition of the rules that holds, else the status."""
    code = {name: position for position, name in enumerate(rules.endings)}
    branches = [(_holds(table, rule.when), code[rule.cause]) for rule in rules.exits]
    if rules.status is None:
        return ibis.cases(*branches, else_=code["open"]).cast("int8")
    status = table[rules.status]
    meaning = {"open": rules.open, "matured": rules.matured, **rules.censored, **rules.causes}
    branches += [(is_one_of(status, values), code[name]) for name, values in meaning.items() if values]
    branches.append((status.isnull(), NO_STATUS))
    return ibis.cases(*branches, else_=NO_MEANING).cast("int8")


def is_one_of(column: ir.Value, values: Sequence[Any]) -> ir.BooleanValue:
    """Tell the rows that have one of the values; text and numbers are the same when they read the same.

    A column of numbers has lost the zeros in front of its codes, so "03" is 3 there.
    """
    kind = column.type()
    if kind.is_string():
        return column.isin([plain_text(value) for value in values])
    if kind.is_boolean():
        column = truth_as_number(column)
    elif not kind.is_numeric():
        return ibis.literal(False)
    numbers = [number for value in values if (number := _number(value, kind.is_boolean())) is not None]
    return column.isin(numbers) if numbers else ibis.literal(False)


_BEYOND_INTEGERS = 2**63
_TRUE_OR_FALSE = {"true": 1, "t": 1, "false": 0, "f": 0}


def _number(value: Any, truth: bool) -> int | float | None:
    """Give what a value of the rules is in a column of numbers, or of truth values; None: nothing."""
    if truth and isinstance(value, str) and value.strip().lower() in _TRUE_OR_FALSE:
        return _TRUE_OR_FALSE[value.strip().lower()]
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if isinstance(value, int) and abs(value) < _BEYOND_INTEGERS:
        return int(value)
    return int(number) if number.is_integer() and abs(number) < LARGEST_EXACT else number


def _holds(table: ir.Table, conditions: Sequence[Condition]) -> ir.BooleanValue:
    return reduce(and_, (_condition(table[condition.column], condition) for condition in conditions))


def _condition(column: ir.Value, condition: Condition) -> ir.BooleanValue:
    asked = []
    if condition.values is not None:
        asked.append(is_one_of(column, condition.values))
    bounds = (condition.at_least, condition.at_most)
    if any(bound is not None for bound in bounds):
        if not column.type().is_numeric():
            raise DataError(
                f"The rules' exits compare column {condition.column!r} with a number, but it is {column.type()}: list its "
                "values, or name it in numbers = [...]."
            )
        if condition.at_least is not None:
            asked.append(column >= condition.at_least)
        if condition.at_most is not None:
            asked.append(column <= condition.at_most)
    if condition.present is not None:
        there = (column.strip() != "") if column.type().is_string() else column.notnull()
        asked.append(there.fill_null(False) if condition.present else ~there.fill_null(False))
    return reduce(and_, asked).fill_null(False)


@dataclass(frozen=True)
class Unexplained:
    """A status without a meaning: the value, in how many rows, and some of their loans."""

    value: Any
    count: int
    loans: str

    def message(self, rules: SpellRules) -> str:
        """Say what is wrong and what to do."""
        known = [*rules.open, *rules.matured, *(v for vs in rules.censored.values() for v in vs)]
        known += [v for values in rules.causes.values() for v in values]
        return (
            f"Column {rules.status!r} holds {self.value!r} in {counted(self.count, 'row')} (loan {self.loans}), which the "
            f"rules do not explain. They know {first_of(map(repr, known), 12)}: add it to open, matured, censored or one of "
            "the causes."
        )


def unexplained(table: ir.Table, work: Workspace) -> list[Unexplained]:
    """Give the statuses without a meaning of a table with the columns ``status``, ``code`` and ``loan``."""
    strange = table.filter(table.code == NO_MEANING)
    ranked = strange.group_by(["status", "loan"]).agg(n=strange.count())
    order = ibis.window(group_by="status", order_by="loan")
    ranked = ranked.mutate(rank=ibis.row_number().over(order), rows=ranked.n.sum().over(ibis.window(group_by="status")))
    few = ranked.filter(ranked["rank"] < 6).order_by([ibis.desc("rows"), "status", "loan"])
    rows = work.records(few, what="checking statuses")
    values = dict.fromkeys(row["status"] for row in rows)
    result = []
    for value in values:
        of_value = [row for row in rows if row["status"] == value]
        loans = first_of(row["loan"] for row in of_value)
        result.append(Unexplained(value, int(of_value[0]["rows"]), loans))
    return result
