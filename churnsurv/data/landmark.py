"""Landmark cohorts: the loans under observation at a date, what was known of them then, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.frames import selected
from churnsurv.data.rules import OPEN, SPELL_COLUMNS, SpellRules
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of
from churnsurv.outcome import Outcome


class HasCovariates:
    """A frame with the columns of the rules' covariates and ``customer_id``."""

    frame: pd.DataFrame
    rules: SpellRules

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802
        """The covariates, row for row with the outcome ``y``."""
        return self.frame[list(self.rules.covariate_names)]

    @property
    def groups(self) -> NDArray[Any]:
        """Customer of each row, for ``cluster=``."""
        return self.frame["customer_id"].to_numpy()

    def _rows_of(self, customers: ArrayLike) -> NDArray[np.bool_]:
        """Tell which rows are of the listed customers; customers without a row are refused."""
        wanted = pd.unique(pd.Series(np.asarray(customers).reshape(-1)))
        unknown = wanted[~pd.Series(wanted).isin(self.groups).to_numpy()]
        if len(unknown):
            raise DataError(
                f"{counted(len(unknown), 'customer')} of {len(wanted):,} listed have no row here ({first_of(unknown)}): give "
                "identifiers as they stand in `groups`."
            )
        return np.asarray(self.frame["customer_id"].isin(wanted))


@dataclass(frozen=True, repr=False, eq=False)
class Cohort(HasCovariates):
    """One row per loan under observation at a date (or at each of several dates); the clock is the time since the date.

    Attributes
    ----------
    frame : DataFrame
        ``loan_id``, ``customer_id``, ``landmark`` (the date), ``vintage``, ``age`` (loan age at the date), ``stop`` (periods
        from the date to the end of observation), ``cause`` ("open", "matured", a stated censoring or the name of the cause),
        the columns kept by the rules, the covariates as known at the date.
    rules : SpellRules
        The rules of the spells.
    date : Timestamp, or tuple of them
        The landmark, rounded down to the end of a period; of a cohort of several dates all of them.
    """

    frame: pd.DataFrame
    rules: SpellRules
    date: pd.Timestamp | tuple[pd.Timestamp, ...]

    @cached_property
    def y(self) -> Outcome:
        """The outcome since the date; loans not observed afterwards are censored at 0.

        Of several dates, a loan at a date is a subject: loans stand in it more than once.
        """
        if not (self.frame["stop"] > 0).any():
            raise DataError(
                f"No loan was observed after {self._dates}: the cohort has covariates but no outcome yet. "
                "Take an earlier date to evaluate; X and frame['age'] are what a prediction needs."
            )
        subject = self.frame["loan_id"].to_numpy()
        if isinstance(self.date, tuple):
            subject = self.frame.groupby(["loan_id", "landmark"]).ngroup().to_numpy()
        return outcome_of(self.frame, self.rules, start=False, subject=subject)

    @property
    def _dates(self) -> str:
        dates = self.date if isinstance(self.date, tuple) else (self.date,)
        return first_of((str(date.date()) for date in dates), 4)

    def complete(self) -> Cohort:
        """Give the loans in which no covariate is missing."""
        known = np.ones(len(self.frame), dtype=bool)
        for name in self.rules.covariate_names:
            known &= self.frame[name].notna().to_numpy()
        return Cohort(selected(self.frame, known), self.rules, self.date)

    def of_customers(self, customers: ArrayLike) -> Cohort:
        """Give the loans of the listed customers."""
        return Cohort(selected(self.frame, self._rows_of(customers)), self.rules, self.date)

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"Cohort of {len(self):,} loans at {self._dates}"


def outcome_of(frame: pd.DataFrame, rules: SpellRules, *, start: bool, subject: NDArray[Any] | None = None) -> Outcome:
    """Read the outcome off a frame with stop, cause and loan_id (and start); all but the causes are censored.

    The subject is the loan, if no other is given.
    """
    # the causes are the last categories, in the order of their codes
    code = frame["cause"].cat.codes.to_numpy(dtype=np.int64)
    before = len(rules.endings) - len(rules.cause_names)
    return Outcome(
        stop=frame["stop"].to_numpy(),
        event=np.maximum(code - before + 1, 0),
        start=frame["start"].to_numpy() if start else None,
        subject=frame["loan_id"].to_numpy() if subject is None else subject,
        causes=rules.cause_names,
    )


def landmark_cohort(frame: pd.DataFrame, ahead: pd.DataFrame, rules: SpellRules, start: pd.Timestamp) -> Cohort:
    """Give the cohort at the beginning of the period `start`, see :meth:`churnsurv.data.Spells.landmark`."""
    # loans first seen in this period were not under observation at the date
    parts = [part[(part["period"] == start) & (part["start"] > part["entry"])] for part in (frame, ahead)]
    at_risk = pd.concat(parts, ignore_index=True)
    later = frame[["loan_id", "stop", "cause"]][(frame["period"] >= start).to_numpy()]
    last = later.drop_duplicates("loan_id", keep="last").set_index("loan_id").reindex(at_risk["loan_id"])
    since = last["stop"].to_numpy() - at_risk["start"].to_numpy()
    outcome = {
        "age": at_risk["start"],
        # a loan not observed afterwards is censored at once
        "stop": np.nan_to_num(since),
        "cause": last["cause"].fillna(OPEN).array,
    }
    known = at_risk.drop(columns=list(SPELL_COLUMNS))
    date = start - pd.Timedelta(days=1)
    of_loan = at_risk[["loan_id", "customer_id", "vintage"]].assign(**outcome)
    of_loan.insert(2, "landmark", date)
    return Cohort(pd.concat([of_loan, known], axis=1), rules, date)


def stacked(cohorts: Sequence[Cohort]) -> Cohort:
    """Give one cohort of several dates.

    Raises
    ------
    DataError
        No date, or two dates of one period: the same loans would be counted twice.
    """
    if not cohorts:
        raise DataError("There is no date: give at least one.")
    dates = tuple(pd.Timestamp(str(cohort.date)) for cohort in cohorts)
    twice = [str(date.date()) for date in dates if dates.count(date) > 1]
    if twice:
        raise DataError(f"{twice[0]} is a landmark twice: give one date per period.")
    frame = pd.concat([cohort.frame for cohort in cohorts], ignore_index=True)
    return Cohort(frame, cohorts[0].rules, dates)
