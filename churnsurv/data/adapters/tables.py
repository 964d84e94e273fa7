"""What a reader of a public format gives: lazy tables, rules for them, and what the format cannot tell."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from churnsurv.data.rules import SpellRules


@dataclass(frozen=True, repr=False, eq=False)
class LenderTables:
    """Lazy tables of a public dataset with the rules that make spells of them.

    Nothing is read before the tables are used; hand them to :func:`churnsurv.data.build_spells`, or look at a few rows
    with ``tables.loans.head().to_pandas()``.

    Attributes
    ----------
    loans : ibis table
        One row per loan: what was known at its origination.
    performance : ibis table
        One row per loan and month, or per loan where ``rules.rows`` says so.
    rules : SpellRules
        The roles of their columns.
    notes : tuple of str
        What the format does not tell, and what was assumed instead. Read them before the estimates.

    Examples
    --------
    >>> import ibis
    >>> from churnsurv.data import SpellRules
    >>> from churnsurv.data.adapters import LenderTables
    >>> loans = ibis.table({"loan_id": "string", "opened": "date"}, name="loans")
    >>> months = ibis.table({"loan_id": "string", "month": "date", "status": "string"}, name="months")
    >>> rules = SpellRules(origination="opened", observed="month", status="status", open=["open"],
    ...                    causes={"attrition": ["prepaid"]})
    >>> LenderTables(loans, months, rules, notes=("Why a loan was repaid is not told.",))
    LenderTables: loans (2 columns), performance (3 columns), read lazily by DuckDB
    causes: attrition = prepaid
    1. Why a loan was repaid is not told.
    """

    loans: Any
    performance: Any
    rules: SpellRules
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [
            f"LenderTables: loans ({len(self.loans.columns)} columns), performance ({len(self.performance.columns)} "
            "columns), read lazily by DuckDB"
        ]
        for kind, names in (("causes", self.rules.causes), ("censored", self.rules.censored)):
            lines += [f"{kind}: {name} = {', '.join(map(str, values))}" for name, values in names.items()]
        notes = [f"{i}. {note}" for i, note in enumerate(self.notes, start=1)]
        return "\n".join([*lines, *(textwrap.fill(note, 116, subsequent_indent="   ") for note in notes)])


def adapted(base: Mapping[str, Any], changes: Mapping[str, Any] | None) -> SpellRules:
    """Give the rules of an adapter with the keys that the user changes; a key given replaces the adapter's whole."""
    return SpellRules(**{**base, **(changes or {})})
