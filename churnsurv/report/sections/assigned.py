"""Loans assigned to the arms of an offer, followed from the date of assignment."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churnsurv.data import Spells
from churnsurv.data.assignments import read_assignments
from churnsurv.data.periods import last_complete_period, period_numbers, period_starts
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of
from churnsurv.report.analysis import Analysis
from churnsurv.report.settings import RandomisedOffer

_BEFORE, _AFTER = "assigned before the data begin", "assigned when or after the data end"
_UNSEEN, _LEFT = "without any usable period", "left or last observed before the assignment"
_LATE, _GAP = "first observed after the assignment", "not observed at the assignment"


def assignments(analysis: Analysis, settings: RandomisedOffer) -> pd.DataFrame:
    """Give the assignments of one offer, checked: two arms as configured, one assignment of a loan."""
    loans = analysis.tables.get("loans", analysis.tables["performance"])
    table = read_assignments(analysis.tables["interventions"], analysis.config.spells, loans)
    rows = table[table["intervention"] == settings.intervention]
    arms = (settings.control, settings.treated)
    others = sorted(set(rows["arm"].astype(str)) - set(arms))
    missing = [arm for arm in arms if not (rows["arm"] == arm).any()]
    if missing or others:
        raise DataError(
            f"Intervention {settings.intervention!r} has the arms {first_of(sorted(set(rows['arm'].astype(str)))) or 'none'} "
            f"in the interventions table; the configuration names {arms[0]!r} and {arms[1]!r}."
        )
    if rows["loan_id"].duplicated().any():
        raise DataError(
            f"{counted(int(rows['loan_id'].duplicated().sum()), 'loan')} assigned to {settings.intervention!r} more than "
            "once: keep the first assignment of each."
        )
    return rows


def follow(spells: Spells, assigned: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Follow assigned loans from the end of the last period complete at their assignment.

    Returns
    -------
    tuple
        The loans as landmark cohorts with their ``arm``, and reason → number of those that could not be followed.
    """
    seen = spells.frame.groupby("loan_id")["period"].agg(["min", "max"])
    first, last = period_numbers(pd.Series([seen["min"].min(), seen["max"].max()], name="period"), spells.rules)
    parts, reasons = [], dict.fromkeys((_BEFORE, _AFTER, _UNSEEN, _LEFT, _LATE, _GAP), 0)
    for date, loans in assigned.groupby("assigned_on"):
        following = last_complete_period(date, spells.rules) + 1
        if not first < following <= last:
            reasons[_BEFORE if following <= first else _AFTER] += len(loans)
            continue
        cohort = spells.landmark(date).frame
        parts.append(cohort.merge(loans[["loan_id", "arm"]], on="loan_id", how="inner", validate="one_to_one"))
        begins = period_starts(np.array([following]), spells.rules)[0]
        lost = seen.reindex(loans.loc[~loans["loan_id"].isin(cohort["loan_id"]), "loan_id"])
        why = np.select(
            [lost["max"].isna(), lost["max"] < begins, lost["min"] >= begins], [_UNSEEN, _LEFT, _LATE], _GAP
        )
        for reason, n in zip(*np.unique(why, return_counts=True), strict=True):
            reasons[str(reason)] += int(n)
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*spells.frame.columns, "arm"])
    return frame, {reason: n for reason, n in reasons.items() if n}
