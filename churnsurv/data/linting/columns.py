"""Columns that are no covariates at all: identifiers, and columns that are the same everywhere."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from churnsurv.data.linting.material import Column, Material
from churnsurv.data.linting.signs import ERROR, WARNING, Sign, share
from churnsurv.data.linting.values import Floats

IDENTIFIER, CONSTANT = "identifier", "constant column"

#: owners that a value must tell apart, and share of them that it does
_FEWEST_OWNERS, _NEARLY_UNIQUE = 20, 0.9
#: values that would have met by chance among so many whole numbers, though none did
_EXPECTED_TWINS = 12.0

_NAMED = re.compile(r"(^|_)(id|ids|key|uuid|guid|number|no|nr|account|ref|reference)$")


def identifiers(m: Material) -> list[Sign]:
    """Find columns that name the loan or customer: text that hardly repeats, whole numbers drawn without repetition.

    Why it leaks: a flexible model remembers by it which loan left, and numbers given in order hold the date of
    origination. Seen by: text with a different value for 90 % of the loans (or spells); whole numbers all different
    between loans (or customers) that are named like an identifier, or so close together that equal ones were to be
    expected by chance. Amounts, all different as they may be, are neither. At least 20 loans.
    """
    signs = []
    for column in m.columns.values():
        evidence = _unique_text(m, column) if column.kind == "category" else _unique_numbers(m, column)
        if evidence:
            examples = m.examples(np.arange(min(5, len(m.ids))))
            remedy = "leave it out; give it as cluster=, or use what it stands for (region, vintage) as a covariate"
            signs.append(Sign(ERROR, IDENTIFIER, column.name, evidence + m.sample, remedy, examples))
    return signs


def _unique_text(m: Material, column: Column) -> str:
    at = m.last if column.static else slice(None)
    values = column.values[at][column.known[at]]
    n = len(np.unique(values))
    if len(values) < _FEWEST_OWNERS or n < _NEARLY_UNIQUE * len(values):
        return ""
    return f"text with {n:,} different values in {len(values):,} {'loans' if column.static else 'spells'}"


def _unique_numbers(m: Material, column: Column) -> str:
    if not column.static or column.kind != "number":
        return ""
    values, names = column.values[m.last], "loan"
    customers = m.frame["customer_id"].to_numpy()[m.last]
    known = np.isfinite(values)
    table = pd.DataFrame({"value": values, "customer": customers})[known]
    owners = table.drop_duplicates()
    if len(owners) < len(table) and owners["customer"].is_unique:
        table, names = owners, "customer"
    number = table["value"].to_numpy()
    n = len(number)
    if n < _FEWEST_OWNERS or np.any(number != np.floor(number)) or len(np.unique(number)) < n:
        return ""
    why = _reason(column.name, number)
    return f"a different whole number for each of {n:,} {names}s; {why}" if why else ""


def _reason(name: str, number: Floats) -> str:
    if _NAMED.search(re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()):
        return "named like an identifier"
    n, width = len(number), np.ptp(number) + 1
    twins = n * (n - 1) / 2 / width
    if twins >= _EXPECTED_TWINS:
        return f"drawn at random from {width:,.0f} numbers, {twins:,.0f} pairs would be equal"
    return ""


def constant_columns(m: Material) -> list[Sign]:
    """Find columns that are the same in all spells, or empty.

    No leak in itself, but no covariate either, and often the mark of one: a flag set only in rows after the exit is
    constant in the spells. Seen by: at most one value, whatever is missing.
    """
    signs = []
    for column in m.columns.values():
        n = len(column.distinct)
        if n <= 1:
            known = int(column.known.sum())
            evidence = f"one value ({column.text(column.distinct[0])})" if n else "no value"
            evidence += f" in {share(known, len(column.values))} spells" if n else f" in {len(column.values):,} spells"
            signs.append(Sign(WARNING, CONSTANT, column.name, evidence + m.sample, "leave it out"))
    return signs
