"""The table of assignments to interventions: read and checked once, for the check of a portfolio and for the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from churnsurv.data.frames import as_table
from churnsurv.data.ids import check_ids, check_same_type
from churnsurv.data.periods import as_dates
from churnsurv.data.rules import SpellRules
from churnsurv.data.schema import require_columns
from churnsurv.data.staging import plain_text
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of

#: columns of the table beside the loan's identifier
INTERVENTION, ASSIGNED_ON, ARM = "intervention", "assigned_on", "arm"


def read_assignments(interventions: Any, rules: SpellRules, loans: pd.DataFrame | None = None) -> pd.DataFrame:
    """Give the assignments of loans to the arms of interventions.

    Parameters
    ----------
    interventions : DataFrame
        One row per loan and intervention: the loan's identifier (named as in the rules), ``intervention``,
        ``assigned_on`` (date), ``arm``.
    rules : SpellRules
        They name the column of the identifier.
    loans : DataFrame, optional
        A table with the identifiers of the portfolio: the loan table, the performance panel, or the frame of spells.

    Returns
    -------
    DataFrame
        Row for row ``loan_id``, ``intervention``, ``assigned_on`` (day), ``arm`` (text).

    Raises
    ------
    DataError
        Columns, dates, arms or identifiers that are absent or cannot be read, loans that are not in `loans`; the message
        names column, rows and remedy.

    Examples
    --------
    >>> import churnsurv as cs
    >>> from churnsurv.data.assignments import read_assignments
    >>> portfolio = cs.data.load_example()
    >>> assigned = read_assignments(portfolio.interventions, portfolio.rules, portfolio.loans)
    >>> sorted(assigned.query("intervention == 'rate_offer'")["arm"].unique())
    ['hold_out', 'offer']
    """
    table = as_table(interventions, "interventions")
    columns = [rules.loan_id, INTERVENTION, ASSIGNED_ON, ARM]
    require_columns(list(table.columns), columns, "interventions")
    if table.empty:
        raise DataError("The interventions table has 0 rows: give one row per loan and intervention, or no table.")
    for name in columns:
        _refuse_missing(table, name, rules)
    ids = table[rules.loan_id]
    check_ids(ids, "interventions")
    if loans is not None:
        _refuse_unknown(ids, loans, rules)
    if pd.api.types.is_numeric_dtype(table[ASSIGNED_ON].dtype):
        raise DataError(
            f"Column {ASSIGNED_ON!r} of the interventions table is {table[ASSIGNED_ON].dtype} "
            f"(e.g. {table[ASSIGNED_ON].iloc[0]}). Give dates, or text such as 2026-09-30."
        )
    return pd.DataFrame(
        {
            "loan_id": ids.to_numpy(),
            INTERVENTION: [plain_text(value) for value in table[INTERVENTION]],
            ASSIGNED_ON: as_dates(table[ASSIGNED_ON], ASSIGNED_ON).dt.normalize().to_numpy(),
            ARM: [plain_text(value) for value in table[ARM]],
        }
    )


def _refuse_missing(table: pd.DataFrame, name: str, rules: SpellRules) -> None:
    values = table[name]
    blank = values.isna() | values.map(lambda value: isinstance(value, str) and not value.strip()).astype(bool)
    rows = np.flatnonzero(blank)
    if len(rows):
        loans = "" if name == rules.loan_id else f", loan {first_of(table[rules.loan_id].iloc[rows].unique())}"
        raise DataError(
            f"Column {name!r} of the interventions table is missing in {counted(len(rows), 'row')} (row {first_of(rows)}"
            f"{loans}). Fill it in, or remove the rows of loans that were not assigned."
        )


def _refuse_unknown(ids: pd.Series, loans: pd.DataFrame, rules: SpellRules) -> None:
    name = rules.loan_id if rules.loan_id in loans.columns else "loan_id"
    require_columns(list(loans.columns), [name], "loans")
    known = loans[name]
    check_same_type(ids, known, "interventions")
    unknown = ids[~ids.isin(known).to_numpy()]
    if len(unknown):
        raise DataError(
            f"Column {rules.loan_id!r} of the interventions table names {counted(unknown.nunique(), 'loan')} that the loans do "
            f"not have ({first_of(unknown.unique())}): add them to the loan table, or remove their rows."
        )
