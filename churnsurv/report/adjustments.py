"""Overrides and overlays of the settings and of a table, one record per decision, with the loans that it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.config import did_you_mean
from churnsurv.exceptions import ConfigError, DataError
from churnsurv.report.analysis import Analysis
from churnsurv.report.identifiers import without_ids
from churnsurv.report.settings.governance import Override

State = Literal["in force", "expired", "not yet in force"]
_KEYS = ("date", "scope", "kind", "reason", "approved_by", "expires")


@dataclass(frozen=True, eq=False)
class Adjustment:
    """One decision.

    Attributes
    ----------
    entry : Override
    state : {"in force", "expired", "not yet in force"}
        At the date of the report.
    loans : array of bool, or None
        Which of today's loans it concerns; None where the scope is in free words.
    listed : int or None
        Loans named in the table; None for a decision on a scope.
    unknown : int
        Loans named that the portfolio does not have.
    """

    entry: Override
    state: State
    loans: NDArray[np.bool_] | None
    listed: int | None = None
    unknown: int = 0


def adjustments(analysis: Analysis, today: pd.DataFrame) -> list[Adjustment]:
    """Give the decisions of settings and table, the latest first; `today` holds the loans now under observation."""
    settings, as_of = analysis.config.overrides, analysis.config.as_of
    assert settings is not None
    found = [
        Adjustment(_without_ids(entry, analysis), _state(entry, as_of), _in_scope(entry.scope, today, analysis))
        for entry in settings.entries
    ]
    table = analysis.tables.get("overrides")
    if table is not None:
        found += _of_table(table, analysis, today)
    return sorted(found, key=lambda a: a.entry.date, reverse=True)


def _state(entry: Override, as_of: date) -> State:
    if entry.date > as_of:
        return "not yet in force"
    return "expired" if entry.expires is not None and entry.expires < as_of else "in force"


def _in_scope(scope: str, today: pd.DataFrame, analysis: Analysis) -> NDArray[np.bool_] | None:
    """Tell which loans a scope means: all, or those with a value in a column; None for free words."""
    if scope.strip().casefold() == "all":
        return np.ones(len(today), dtype=bool)
    column, equals, value = (part.strip() for part in scope.partition("="))
    if not equals:
        return None
    if column not in today.columns:
        raise ConfigError(
            f"[overrides] the scope {scope!r} names the column {column!r}. {did_you_mean(column, list(today.columns))} A "
            "scope in free words has no equals sign."
        )
    known = [str(level) for level in analysis.spells.frame[column].unique()]
    if value not in known:
        raise ConfigError(f"[overrides] the scope {scope!r}: no loan has {value!r}. {did_you_mean(value, known)}")
    return np.asarray(today[column].astype(str) == value)


def _of_table(table: pd.DataFrame, analysis: Analysis, today: pd.DataFrame) -> list[Adjustment]:
    """Read the table: rows alike in all but loan and size are one decision."""
    loan = analysis.config.spells.loan_id
    known = [*Override.model_fields, loan]
    for name in table.columns:
        if name not in known:
            raise DataError(f"The overrides table has the column {name!r}. {did_you_mean(str(name), known)}")
    lacking = [name for name in ("date", "kind", "reason") if name not in table.columns]
    if lacking:
        raise DataError(f"The overrides table lacks the column {lacking[0]!r}; it needs date, kind and reason.")
    keys = [name for name in _KEYS if name in table.columns]
    sizes = "size" in table.columns
    every = set(analysis.spells.frame["loan_id"])
    now = today["loan_id"]
    found = []
    for _, rows in table.groupby(keys, dropna=False, sort=False):
        first = {name: _plain(rows[name].iloc[0]) for name in keys}
        given = {name: value for name, value in first.items() if value is not None}
        size = rows["size"].mean() if sizes and rows["size"].notna().all() else None
        entry = _entry({**given, "size": size}, int(rows.index[0]) + 1, analysis)
        state = _state(entry, analysis.config.as_of)
        ids = rows[loan].dropna().unique() if loan in rows else np.array([])
        if len(ids):
            unknown = sum(value not in every for value in ids)
            found.append(Adjustment(entry, state, np.asarray(now.isin(ids)), len(ids), unknown))
        else:
            found.append(Adjustment(entry, state, _in_scope(entry.scope, today, analysis)))
    return found


def _entry(values: dict[str, Any], row: int, analysis: Analysis) -> Override:
    try:
        entry = Override(**values)
    except ConfigError as error:
        fault = str(error).removeprefix(f"[{Override.table}] ")
        raise DataError(f"The overrides table, row {row}: {fault}") from None
    return _without_ids(entry, analysis)


def _without_ids(entry: Override, analysis: Analysis) -> Override:
    """Hide identifiers, which people write into reasons."""
    hidden = {name: without_ids(getattr(entry, name), analysis) for name in ("scope", "reason", "approved_by")}
    return entry.model_copy(update=hidden)


def _plain(value: Any) -> Any:
    if pd.isna(value) or value == "":
        return None
    return value.date() if isinstance(value, pd.Timestamp) else value


def union(found: Sequence[Adjustment], n: int) -> NDArray[np.bool_]:
    """Tell which of today's loans a decision in force names one by one."""
    named = [a.loans for a in found if a.state == "in force" and a.listed is not None and a.loans is not None]
    return np.asarray(np.logical_or.reduce([np.zeros(n, dtype=bool), *named]))
