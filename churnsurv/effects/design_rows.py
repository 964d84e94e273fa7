"""Lining loans up at their time zero: assignments read and checked, loans followed, exclusions counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.assignments import ARM, ASSIGNED_ON, INTERVENTION, read_assignments
from churnsurv.data.frames import as_table
from churnsurv.data.landmark import outcome_of
from churnsurv.data.periods import as_dates, last_complete_period, period_numbers, period_starts
from churnsurv.data.rules import OPEN, SpellRules
from churnsurv.data.spells import Spells
from churnsurv.exceptions import DataError, ImmortalTimeError
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome

Ints = NDArray[np.int64]
#: names of the reasons for which loans are left out
BEFORE, AFTER = "assigned before the data begin", "assigned when or after the data end"
UNSEEN, LEFT = "without any usable period", "left or last observed before time zero"
LATE, GAP = "first observed after time zero", "not observed at time zero"
INELIGIBLE, UNKNOWN = "not eligible", "eligibility unknown (missing value)"


def assignments_of(interventions: Any, spells: Spells, name: str, uptake: bool = False) -> pd.DataFrame:
    """Give the rows of one intervention: loan_id, assigned_on, arm (and uptake_on); a loan is assigned once."""
    table = as_table(interventions, "interventions")
    read = read_assignments(table, spells.rules)
    if uptake:
        if "uptake_on" not in table.columns:
            raise DataError(
                "The interventions table has no column 'uptake_on': an encouragement needs the date on which each loan took "
                "the offer up, empty for those that did not."
            )
        read["uptake_on"] = as_dates(table["uptake_on"], "uptake_on").dt.normalize().to_numpy()
    rows = read[read[INTERVENTION] == name].drop(columns=INTERVENTION).reset_index(drop=True)
    if rows.empty:
        raise DataError(
            f"No row of the interventions table is of {name!r}; it has {first_of(sorted(set(read[INTERVENTION])), 20)}."
        )
    twice = rows.loc[rows["loan_id"].duplicated(), "loan_id"]
    if len(twice):
        raise DataError(
            f"{counted(twice.nunique(), 'loan')} assigned to {name!r} more than once (loan {first_of(twice.unique())}): "
            "keep the first assignment of each."
        )
    return rows


def check_labels(rows: pd.DataFrame, known: Sequence[str], name: str, remedy: str = "") -> None:
    """Refuse arms that the design does not name, and arms that it names but nobody is in."""
    there = sorted(set(rows[ARM]))
    others = [arm for arm in there if arm not in known]
    missing = [arm for arm in known if arm not in there]
    if others:
        raise DataError(
            f"Intervention {name!r} has the arm {others[0]!r} in the interventions table, which the design does not know: "
            f"it names {first_of(map(repr, known))}. Leave its rows out, or correct the names.{remedy}"
        )
    if missing:
        raise DataError(
            f"Nobody was assigned to arm {missing[0]!r} of {name!r}; the interventions table has "
            f"{first_of(map(repr, there))}.{remedy}"
        )


def first_periods(dates: pd.Series, rules: SpellRules) -> Ints:
    """Give the number of the first period that begins after each date: treated time starts there."""
    return np.asarray(period_numbers(pd.DatetimeIndex(dates), rules) + 1)


def observed_periods(spells: Spells) -> tuple[int, int]:
    """Give the numbers of the first and the last observed period."""
    ends = spells.frame["period"].agg(["min", "max"])
    first, last = period_numbers(pd.DatetimeIndex(ends), spells.rules)
    return int(first), int(last)


def period_end(number: int, rules: SpellRules) -> pd.Timestamp:
    """Give the last day of a period."""
    return pd.Timestamp(period_starts(np.array([number + 1]), rules)[0] - pd.Timedelta(days=1))


def followed(spells: Spells, rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Follow assigned loans from the end of the last period complete at their assignment, as landmark cohorts.

    Returns
    -------
    tuple
        The loans' rows as of :meth:`Spells.landmark`, with the columns of `rows` and ``zero``, the number of the last period
        before time zero; and reason → number of loans that could not be followed.

    Raises
    ------
    DataError
        No date of assignment lies inside the observed time.
    """
    first, last = observed_periods(spells)
    seen = spells.frame.groupby("loan_id")["period"].agg(["min", "max"])
    parts: list[pd.DataFrame] = []
    reasons = dict.fromkeys((BEFORE, AFTER, UNSEEN, LEFT, LATE, GAP), 0)
    zero = rows[ASSIGNED_ON].map({day: last_complete_period(day, spells.rules) for day in rows[ASSIGNED_ON].unique()})
    for number, loans in rows.groupby(zero):
        following = int(number) + 1
        if not first < following <= last:
            reasons[BEFORE if following <= first else AFTER] += len(loans)
            continue
        cohort = spells.landmark(period_end(following - 1, spells.rules)).frame
        given = loans.rename(columns={ARM: "arm"})
        parts.append(cohort.merge(given, on="loan_id", how="inner", validate="one_to_one").assign(zero=following - 1))
        begins = period_starts(np.array([following]), spells.rules)[0]
        lost = seen.reindex(loans.loc[~loans["loan_id"].isin(cohort["loan_id"]), "loan_id"])
        why = np.select([lost["max"].isna(), lost["max"] < begins, lost["min"] >= begins], [UNSEEN, LEFT, LATE], GAP)
        for reason, n in zip(*np.unique(why, return_counts=True), strict=True):
            reasons[str(reason)] += int(n)
    if not parts:
        inside = [str(period_end(number, spells.rules).date()) for number in (first, last - 1)]
        raise DataError(
            "Time zero lies outside the observed time: loans were assigned on "
            f"{first_of(sorted(set(rows[ASSIGNED_ON].dt.date)))}, and can be followed from {inside[0]} to {inside[1]}."
        )
    frame = pd.concat(parts, ignore_index=True)
    if frame.empty:
        raise DataError(
            f"None of {counted(len(rows), 'assigned loan')} was under observation at time zero "
            f"({first_of(f'{why}: {n:,}' for why, n in reasons.items() if n)})."
        )
    return frame, {reason: n for reason, n in reasons.items() if n}


def eligible_rows(
    frame: pd.DataFrame, condition: str | None, counts: dict[str, int], rules: SpellRules
) -> NDArray[np.bool_]:
    """Tell which rows satisfy a condition such as ``"age >= 6 and term - age >= 12"``; count the others.

    Raises
    ------
    ImmortalTimeError
        A condition on other columns than covariates, kept columns, age and vintage: outcome and dates of treatment are known
        only later.
    DataError
        A condition that cannot be read, that gives no yes or no, or that leaves nobody.
    """
    if condition is None:
        return np.ones(len(frame), dtype=bool)
    names = _names_at_zero(frame, rules)
    try:
        used = _names(condition)
        later = [name for name in frame.columns if name in used and name not in names]
        known = frame[[name for name in names if name in used]]
        held = None if later else known.eval(condition, engine="python")
    except Exception as error:
        raise DataError(f"eligible={condition!r} cannot be evaluated on the cohort's columns: {error}.") from error
    if later:
        raise ImmortalTimeError(
            f"eligible={condition!r} uses {first_of(map(repr, later))}, which is not among what was known at time zero: who is "
            f"looked at would depend on what came later. Use {first_of(names, 40)}."
        )
    if not isinstance(held, pd.Series) or held.dtype.kind != "b":
        raise DataError(f"eligible={condition!r} is no condition: give one such as 'age >= 6 and term - age >= 12'.")
    unknown = known.isna().any(axis=1).to_numpy()
    kept = held.to_numpy() & ~unknown
    for reason, n in ((UNKNOWN, int(unknown.sum())), (INELIGIBLE, int((~held.to_numpy() & ~unknown).sum()))):
        if n:
            counts[reason] = n
    if not kept.any():
        raise DataError(
            f"eligible={condition!r} leaves nobody of {counted(len(frame), 'loan')} at time zero. Widen it."
        )
    return np.asarray(kept)


def _names(condition: str) -> set[str]:
    import ast

    return {node.id for node in ast.walk(ast.parse(condition, mode="eval")) if isinstance(node, ast.Name)}


def outcome_at_zero(frame: pd.DataFrame, rules: SpellRules, until: NDArray[Any]) -> Outcome:
    """Read the outcome since time zero, censored after `until` (n,) periods; subjects are numbers.

    A loan that left within `until` periods has its exit; one that is not observed after time zero is censored at 0.
    """
    late = frame["stop"].to_numpy() > until
    cut = pd.DataFrame(
        {
            "loan_id": frame["loan_id"],
            "stop": np.minimum(frame["stop"].to_numpy(), until),
            "cause": frame["cause"].mask(late, OPEN),
        }
    )
    return outcome_of(cut, rules, start=False, subject=np.arange(len(frame)))


def covariates_of(frame: pd.DataFrame, rules: SpellRules, intervention: str) -> pd.DataFrame:
    """Give the covariates and kept columns of the rules with loan age, but for the intervention's own indicator."""
    known = frame[[name for name in _names_at_zero(frame, rules) if name != intervention]]
    known.index = pd.RangeIndex(len(known))
    return known


def first_rows(frame: pd.DataFrame, inside: NDArray[np.bool_]) -> pd.DataFrame:
    """Give the first row of each loan among those marked, with its age."""
    place = np.flatnonzero(inside)
    place = place[~frame["loan_id"].iloc[place].duplicated().to_numpy()]
    return frame.iloc[place].assign(age=lambda rows: rows["start"])


def _names_at_zero(frame: pd.DataFrame, rules: SpellRules) -> list[str]:
    """Name what is known at the beginning of a row: loan age, vintage, kept columns and covariates."""
    named = ["age", "vintage", *rules.keep, *rules.covariate_names]
    return [name for name in dict.fromkeys(named) if name in frame.columns]


def age_bands(age: pd.Series, width: int) -> pd.Series:
    """Give bands of loan age as text, such as "age 12-14"."""
    first = (age // width * width).astype(np.int64)
    return "age " + first.astype(str) + "-" + (first + width - 1).astype(str)


def check_band(width: Any) -> None:
    """Refuse a band of loan age that is no number of periods."""
    if isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1:
        raise DataError(f"age_band={width!r} is no number of periods, 1 or more: loans of one band are compared.")


def numbered(values: pd.Series) -> Ints:
    """Give numbers in place of identifiers, in the order of the identifiers."""
    return np.asarray(pd.factorize(values, sort=True)[0], dtype=np.int64)
