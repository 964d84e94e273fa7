"""Splits by date: develop on what was known at a date, test on the loans under observation then, so that nobody looks ahead.

The test is a landmark cohort: one row per loan, with what was known of it at the date, and the time from there. That is how
a model is used, and the outcome of the cohort was not known when the model could have been developed.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from churnsurv.data.landmark import Cohort
from churnsurv.data.periods import last_complete_period, one_date, period_numbers, period_starts
from churnsurv.data.spells import Spells
from churnsurv.exceptions import DataError
from churnsurv.messages import counted


class Origin(NamedTuple):
    """One cut of :func:`rolling_origin`: the date, what was known then, and what became of the loans open then."""

    date: pd.Timestamp
    development: Spells
    cohort: Cohort


def out_of_time(spells: Spells, date: Any, *, horizon: int | None = None) -> tuple[Spells, Cohort]:
    """Give what was known at a date, to develop on, and the loans under observation then, to test on.

    Parameters
    ----------
    spells : Spells
    date : date or ISO text
        A date inside a period counts as the end of the one before.
    horizon : int, optional
        Periods after the date until which the loans are followed; default: to the end of the observation.

    Raises
    ------
    DataError
        A date outside the observed time, nothing observed after it, or less than `horizon`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> development, cohort = cs.data.out_of_time(spells, "2025-09-30", horizon=12)
    >>> development.frame["period"].max().date(), int(cohort.frame["stop"].max())
    (datetime.date(2025, 9, 1), 12)
    """
    _refuse_other_than_spells(spells)
    needed = 1 if horizon is None else _whole(horizon, "horizon")
    number = last_complete_period(date, spells.rules)
    first, last = _observed(spells)
    # a date before the first period is refused by the cut itself, with the dates that can be given
    if number >= first and last - number < needed:
        raise DataError(
            f"The observation goes on for {counted(max(last - number, 0), spells.rules.period)} after "
            f"{one_date(date).date()} (until {_end_of(last, spells)}), but the test needs {needed}: give an earlier date, or a "
            "shorter horizon."
        )
    followed = spells if horizon is None else spells.until(_end_of(number + horizon, spells))
    return spells.until(date), followed.landmark(date)


def rolling_origin(
    spells: Spells, *, first: Any, step: int, horizon: int, last: Any = None, window: int | None = None
) -> Iterator[Origin]:
    """Cut spells at one date after the other, as if the model had been developed anew at each.

    Parameters
    ----------
    spells : Spells
    first : date or ISO text
        The first date of a cut.
    step : int
        Periods from one cut to the next.
    horizon : int
        Periods for which the loans open at a date are followed: the same for every cut.
    last : date or ISO text, optional
        No cut after it; default: the last date that leaves the horizon to be observed.
    window : int, optional
        Periods before the date that are developed on; default: all.

    Yields
    ------
    Origin
        ``date``, ``development`` (:class:`Spells` known then) and ``cohort`` (loans under observation then).

    Raises
    ------
    DataError
        No date leaves the horizon to be observed; an option that is no whole number.

    Examples
    --------
    >>> import churnsurv as cs
    >>> portfolio = cs.data.load_example()
    >>> spells = cs.data.build_spells(portfolio.loans, portfolio.performance, portfolio.rules, macro=portfolio.macro)
    >>> cuts = cs.data.rolling_origin(spells, first="2025-01-31", step=6, horizon=6)
    >>> [str(date.date()) for date, development, cohort in cuts]
    ['2025-01-31', '2025-07-31', '2026-01-31']
    """
    _refuse_other_than_spells(spells)
    step, horizon = _whole(step, "step"), _whole(horizon, "horizon")
    window = None if window is None else _whole(window, "window")
    begin, end = _observed(spells)
    start = last_complete_period(first, spells.rules)
    latest = end - horizon if last is None else min(end - horizon, last_complete_period(last, spells.rules))
    if start < begin or start > latest:
        usable = f"a date from {_end_of(begin, spells)} to {_end_of(latest, spells)}"
        raise DataError(
            f"first={one_date(first).date()} leaves no date with {counted(horizon, spells.rules.period)} observed after it: "
            f"give {usable if begin <= latest else 'a shorter horizon, or a later last='}."
        )
    return (_origin(spells, number, horizon, window) for number in range(start, latest + 1, step))


def _origin(spells: Spells, number: int, horizon: int, window: int | None) -> Origin:
    date = _end_of(number, spells)
    development, cohort = out_of_time(spells, date, horizon=horizon)
    if window is not None and number - window >= _observed(spells)[0]:
        development = development.after(_end_of(number - window, spells))
    return Origin(pd.Timestamp(date), development, cohort)


def _refuse_other_than_spells(spells: Any) -> None:
    if not isinstance(spells, Spells):
        raise DataError(
            f"{type(spells).__name__} cannot be cut at a date; give spells, made by churnsurv.data.build_spells."
        )


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise DataError(f"{name}={value!r}: give a whole number of periods, 1 or more.")
    return int(value)


def _observed(spells: Spells) -> tuple[int, int]:
    """Give the numbers of the first and the last observed period."""
    frame = spells.frame if spells.whole is None else spells.whole.frame
    first, last = period_numbers(frame["period"].agg(["min", "max"]), spells.rules)
    return int(first), int(last)


def _end_of(number: int, spells: Spells) -> Any:
    """Give the last day of a period."""
    return (period_starts(np.array([number + 1]), spells.rules)[0] - pd.Timedelta(days=1)).date()
