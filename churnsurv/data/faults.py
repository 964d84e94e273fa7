"""Faults of columns, found by the database: what must not be, how often it is, an example, and the loans it is found at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from churnsurv.data.engine import Workspace
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of

#: number of rows, where they are, an example → message
Words = Callable[[int, str, str], str]


@dataclass(frozen=True)
class Fault:
    """What must not be in a column.

    ``flag`` tells the rows that have it, ``example`` is the value shown; ``words`` makes the message from the number of rows,
    where they are ("loan 17, 23, e.g. 2.5") and the example.
    """

    column: str
    flag: ir.BooleanValue
    example: ir.Value
    words: Words


@dataclass(frozen=True)
class FoundFault:
    """A fault that is there: in which column, in how many rows, at which loans, and what is to be done."""

    column: str
    count: int
    examples: str
    message: str


def faults_of(table: ir.Table, faults: Sequence[Fault], work: Workspace, *, label: str | None) -> list[FoundFault]:
    """Give the faults that a table has; one pass over it when there are none.

    Parameters
    ----------
    label : str or None
        Column that tells where: the identifier of the loan.
    """
    if not faults:
        return []
    sums = {f"n{i}": fault.flag.fill_null(False).sum() for i, fault in enumerate(faults)}
    counts = work.records(table.aggregate(**sums), what="checking values")[0]
    found = []
    for i, fault in enumerate(faults):
        count = int(counts[f"n{i}"] or 0)
        if count:
            rows = table.filter(fault.flag)
            where = work.labels(rows, label, what="checking values") if label else []
            examples = work.records(rows.select(example=fault.example).limit(1), what="checking values")
            example = repr(examples[0]["example"])
            loans = f"loan {first_of(where)}, " if where else ""
            words = fault.words(count, f"{loans}e.g. {example}", example)
            found.append(FoundFault(fault.column, count, first_of(where), words))
    return found


def refuse(table: ir.Table, faults: Sequence[Fault], work: Workspace, *, label: str | None) -> None:
    """Raise the first fault that a table has.

    Raises
    ------
    DataError
        Naming the column, the number of rows, loans, an example and the remedy.
    """
    for found in faults_of(table, faults, work, label=label):
        raise DataError(found.message)
