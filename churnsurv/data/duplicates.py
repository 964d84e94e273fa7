"""Rows that describe the same thing twice: equal ones are copies, different ones contradict each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.rules import SpellRules
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of


def repeated(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Flag the rows that equal an earlier one in every column; lists and the like are compared as text."""
    try:
        return frame.duplicated().to_numpy()
    except TypeError:
        plain = {name: frame[name].map(repr) for name in frame.columns if frame[name].dtype == np.dtype(object)}
        return frame.assign(**plain).duplicated().to_numpy()


def refuse_conflicts(
    performance: pd.DataFrame, loan: NDArray[np.int64], period: NDArray[np.int64], rules: SpellRules
) -> None:
    """Refuse different rows of one loan and period; rows that differ only in the day of the period are copies.

    Parameters
    ----------
    performance : DataFrame of n
        Rows that share loan and period with another.
    loan, period : array of n
        Numbers of their loans and periods.

    Raises
    ------
    DataError
        Naming a loan and its dates.
    """
    content = performance.drop(columns=rules.observed).reset_index(drop=True)
    content = content.assign(**{_LOAN: loan, _PERIOD: period})
    different = content.loc[~repeated(content), [_LOAN, _PERIOD]]
    conflict = different[different.duplicated()].drop_duplicates()
    if conflict.empty:
        return
    same = (loan == conflict[_LOAN].iloc[0]) & (period == conflict[_PERIOD].iloc[0])
    dates = pd.unique(performance[rules.observed][same])
    example = f"loan {performance[rules.loan_id][same].iloc[0]}, period {first_of(map(plain_date, dates))}"
    remedy = "Keep one row per loan and period: the tables do not say which one counts."
    if rules.period == "quarter" and len(dates) > 1:
        remedy += " If there is one row per month, set period = 'month'."
    raise DataError(
        f"{counted(len(conflict), 'loan-period')} of the performance table {'has' if len(conflict) == 1 else 'have'} "
        f"rows that differ ({example}). {remedy}"
    )


#: names that no table has
_LOAN, _PERIOD = "\0loan", "\0period"


def plain_date(value: Any) -> str:
    """Give a date without the time of day when that is midnight, anything else as text."""
    text = str(pd.Timestamp(value)) if isinstance(value, np.datetime64) else str(value)
    return text.removesuffix(" 00:00:00")


def refuse_sparse_rows(loan: NDArray[np.int64], period: NDArray[np.int64], rules: SpellRules) -> None:
    """Refuse monthly rules for rows that lie whole quarters apart, sorted by loan and period: every month would be a gap."""
    step = np.diff(period)[(np.diff(loan) == 0) & (np.diff(period) > 0)]
    # a few rows may lie 3 months apart by chance
    if rules.period == "month" and len(step) >= 12 and bool(np.all(step % 3 == 0)):
        raise DataError(
            f"The rows of a loan lie 3 months apart (column {rules.observed!r} of the performance table): the table is "
            "quarterly. Set period = 'quarter'."
        )
