"""From an origination table and a performance table to spells (start, stop] on loan age.

One spell is one observed period of one loan. Its covariates are those known at the end of the period before (lag 1), so a
loan enters the risk set at the age at which it is first observed and knows its time-varying covariates one period later;
:meth:`Spells.complete` gives the spells whose covariates are all known. Periods in which a loan was not observed are not
at risk. A loan that reaches its scheduled end is censored there ("matured").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.findings import Finding, findings_frame
from churnsurv.data.frames import selected
from churnsurv.data.landmark import Cohort, HasCovariates, landmark_cohort, outcome_of, stacked
from churnsurv.data.periods import last_complete_period, one_date, period_numbers, period_starts
from churnsurv.data.reasons import OPEN_EARLIER
from churnsurv.data.rules import OPEN, SpellRules
from churnsurv.data.summary import named_endings, reconciled
from churnsurv.exceptions import DataError
from churnsurv.messages import first_of
from churnsurv.outcome import Outcome

#: what a reason of the reconciliation adds to the name of an exit that complete spells do not have
_WITHOUT = "left out for missing covariates"


@dataclass(frozen=True, repr=False, eq=False)
class Spells(HasCovariates):
    """Spells of a portfolio with lagged covariates.

    Attributes
    ----------
    frame : DataFrame
        One row per spell, by loan (as in the loan table) and age: ``loan_id``, ``customer_id``, ``period`` (first day of
        the calendar period), ``vintage`` (year of origination), ``entry`` (age since which the loan has been observed
        without a gap), ``start``, ``stop`` (loan age in periods), ``cause`` ("open", "matured" or the name of the cause),
        the columns kept by the rules, the covariates. Missing covariates are NaN.
    ahead : DataFrame
        The same columns but ``cause`` for the period after the last observed one of every loan that was then open (and
        after the last one before a gap): the outcome is not known, but the covariates are. Landmark cohorts and scores
        of today's portfolio need them.
    rules : SpellRules
        The rules they were built with.
    loans_in : int
        Number of loans given.
    left_out : dict
        Reason → number of loans without any spell.
    findings : list of Finding
        What the clean-up counted.
    whole : Spells or None
        Of complete spells those that they were chosen from: exits and dates are read there.
    """

    frame: pd.DataFrame
    ahead: pd.DataFrame
    rules: SpellRules
    loans_in: int
    left_out: dict[str, int]
    findings: list[Finding]
    whole: Spells | None = None

    @cached_property
    def y(self) -> Outcome:
        """The outcome of the spells: subject = loan, clock = loan age; "open" and "matured" are censored."""
        return outcome_of(self.frame, self.rules, start=True)

    @property
    def cleaning(self) -> pd.DataFrame:
        """What was cleaned: rule, table, column, count, unit, action."""
        return findings_frame(self.findings)

    @property
    def reconciliation(self) -> pd.DataFrame:
        """Loans in = loans out by reason (columns reason, loans); the first row is the sum of the others.

        Raises
        ------
        DataError
            The counts do not balance; they always should.
        """
        whole = (self if self.whole is None else self.whole).frame[["loan_id", "period", "stop", "cause"]]
        mine = self.frame[["loan_id", "stop"]].drop_duplicates("loan_id", keep="last")
        last = whole.drop_duplicates("loan_id", keep="last")
        last = last[last["loan_id"].isin(mine["loan_id"])]
        ending = last["cause"].astype(str).to_numpy()
        still = ending == OPEN
        at_end = still & (last["period"] == whole["period"].max()).to_numpy()
        # an exit whose own spell lacks a covariate is none of these spells
        used = last["stop"].to_numpy() == mine["stop"].to_numpy()
        exits = ending[used & ~still]
        n = {str(name): int(count) for name, count in zip(*np.unique(exits, return_counts=True), strict=True)}
        n |= {OPEN: int(at_end.sum()), OPEN_EARLIER: int((still & ~at_end).sum())}
        without = {f"{name}, {_WITHOUT}": int(np.sum((ending == name) & ~used)) for name in self.rules.endings[1:]}
        lost = {reason: count for reason, count in without.items() if count} | self.left_out
        counts = reconciled(named_endings(n, self.rules), lost, self.loans_in)
        return pd.DataFrame({"reason": list(counts), "loans": list(counts.values())})

    @property
    def completeness(self) -> pd.DataFrame:
        """What :meth:`complete` left out for missing covariates: what (spells, loans, each cause), observed, left_out."""
        whole = self.frame if self.whole is None else self.whole.frame

        def numbers(frame: pd.DataFrame) -> list[int]:
            exits = [int((frame["cause"] == name).sum()) for name in self.rules.cause_names]
            return [len(frame), frame["loan_id"].nunique(), *exits]

        observed, used = np.array(numbers(whole)), np.array(numbers(self.frame))
        names = ["spells", "loans", *self.rules.cause_names]
        return pd.DataFrame({"what": names, "observed": observed, "left_out": observed - used})

    def complete(self) -> Spells:
        """Give the spells in which no covariate is missing: those a model can be fitted to.

        A loan whose first periods lack covariates then enters later, at the age at which they are known; an exit whose
        own spell lacks one is left out, see :attr:`completeness`. Cohorts of complete spells hold the loans whose
        covariates are known at the date, with every exit after it.
        """
        if self.whole is not None:
            return self
        kept, n = np.ones(len(self.frame), dtype=bool), {}
        for name in self.rules.covariate_names:
            missing = self.frame[name].isna().to_numpy()
            kept &= ~missing
            if missing.any():
                n[name] = int(missing.sum())
        if not kept.any():
            emptiest = sorted(n, key=lambda name: -n[name])
            shares = [f"{name!r} in {n[name] / len(kept):.0%}" for name in emptiest]
            raise DataError(
                f"No spell is left of {len(self.frame):,}: each lacks a covariate ({first_of(shares)} of the spells). "
                "Leave out the emptiest, or mend them in the tables."
            )
        findings = [
            Finding("missing covariate", "spells", name, count, "spell", "spell left out") for name, count in n.items()
        ]
        complete = self._restricted(kept, self.ahead, "no spell with all covariates", findings)
        return replace(complete, whole=self)

    def until(self, date: Any) -> Spells:
        """Give what was known at the end of the day `date`: later periods are cut off, their exits are unknown.

        This is the development sample of an out-of-time split. A period that is not over at `date` is cut off too.
        """
        if self.whole is not None:
            return self.whole.until(date).complete()
        last = self._day_after(date)
        now = (self.frame["period"] == last) & (self.frame["start"] > self.frame["entry"])
        later = self.frame[now].drop(columns="cause")
        ahead = pd.concat([self.ahead[self.ahead["period"] <= last], later])
        reason = f"first seen after {one_date(date).date()}"
        return self._restricted((self.frame["period"] < last).to_numpy(), ahead, reason, [])

    def after(self, date: Any) -> Spells:
        """Give the spells of the periods that begin after the day `date`; loans open then enter at their age."""
        if self.whole is not None:
            return self.whole.after(date).complete()
        reason = f"last seen before {one_date(date).date()}"
        return self._restricted((self.frame["period"] >= self._day_after(date)).to_numpy(), self.ahead, reason, [])

    def of_customers(self, customers: ArrayLike) -> Spells:
        """Give the spells of the listed customers; the loans of the others are counted in the reconciliation."""
        if self.whole is not None:
            return self.whole.of_customers(customers).complete()
        kept, ahead = self._rows_of(customers), self.ahead["customer_id"].isin(np.asarray(customers).reshape(-1))
        return self._restricted(kept, self.ahead[ahead], "of other customers", [])

    def landmark(self, date: Any) -> Cohort:
        """Give the loans under observation at the end of the day `date`, with what was known of them then.

        The clock of the cohort is the time since the date, its covariates are those that the next spell would have (the
        same lag), so a model of the spells applies to it. A date inside a period counts as the end of the one before.
        At the last observed date the cohort is today's portfolio: covariates and ages, but no outcome yet.

        A list of dates gives one cohort of all of them, in which a loan stands once for each date it was there: more
        events for a model of the risk from any date (van Houwelingen, 2007). Its rows are not independent: pass
        ``cluster=cohort.groups``.
        """
        if self.whole is not None:
            return self.whole.landmark(date).complete()
        if isinstance(date, list | tuple | pd.DatetimeIndex | pd.Series | np.ndarray):
            return stacked([self.landmark(day) for day in date])
        return landmark_cohort(self.frame, self.ahead, self.rules, self._day_after(date))

    def _day_after(self, date: Any) -> pd.Timestamp:
        """Give the beginning of the period that follows the last one complete at `date`."""
        return day_after(date, self.frame["period"].agg(["min", "max"]), self.rules)

    def _restricted(self, kept: NDArray[np.bool_], ahead: pd.DataFrame, reason: str, findings: list[Finding]) -> Spells:
        frame = selected(self.frame, kept)
        if frame.empty:
            raise DataError(f"No spell is left of {len(self.frame):,} ({reason} for all).")
        lost = self.frame["loan_id"].nunique() - frame["loan_id"].nunique()
        left_out = dict(self.left_out)
        if lost:
            left_out[reason] = left_out.get(reason, 0) + lost
        return replace(
            self,
            frame=frame,
            ahead=ahead.reset_index(drop=True),
            left_out=left_out,
            findings=[*self.findings, *findings],
        )

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"Spells of {self.frame['loan_id'].nunique():,} loans; {self.y!r}"


def day_after(date: Any, observed: Sequence[pd.Timestamp] | pd.Series, rules: SpellRules) -> pd.Timestamp:
    """Give the beginning of the period that follows the last one complete at `date`.

    Parameters
    ----------
    observed : two timestamps
        Beginning of the first and of the last observed period.

    Raises
    ------
    DataError
        The date lies outside the observed time.
    """
    following = last_complete_period(date, rules) + 1
    first, last = period_numbers(pd.DatetimeIndex(list(observed)), rules)
    if not first < following <= last + 1:
        usable = period_starts(np.array([first + 1, last + 1]), rules) - pd.Timedelta(days=1)
        raise DataError(
            f"{one_date(date).date()} lies outside the observed time: give a date from {usable[0].date()} to "
            f"{usable[1].date()}."
        )
    return pd.Timestamp(period_starts(np.array([following]), rules)[0])
