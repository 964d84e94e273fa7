"""A treatment that begins at a date of its own: untreated before, treated from then on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.assignments import ASSIGNED_ON
from churnsurv.data.frames import selected
from churnsurv.data.landmark import outcome_of
from churnsurv.data.periods import last_complete_period, one_date, period_numbers
from churnsurv.data.rules import OPEN
from churnsurv.data.spells import Spells
from churnsurv.effects import design_estimates as of
from churnsurv.effects import design_rows as rows_of
from churnsurv.effects.design import DesignEstimate, StudyCohort, check_design
from churnsurv.effects.design_randomised import check_follow_up
from churnsurv.exceptions import DataError, SmallSampleWarning, TooFewEventsError
from churnsurv.messages import counted, first_of
from churnsurv.results import Estimate, TestResult

CONTROL = "untreated"
PREVALENT = "treated before they enter"
DATED_ASSUMPTIONS = (
    "Given what is adjusted for, who is treated when has nothing to do with leaving (no confounding left), treatment is not "
    "anticipated, and the ratio is the same throughout (else an average)."
)


@dataclass(frozen=True, kw_only=True)
class TimeVaryingTreatment:
    """A treatment that begins at a loan's own date: untreated until then, treated from then on.

    Rows are start–stop on the time since `since`, so that a risk set is one calendar period; loans that come later enter late.
    To count a loan as treated from the beginning because it was treated later would give its arm the time in which it could
    not have left: immortal time (Suissa 2008). Without randomisation the ratio is confounded by what decides who is treated:
    adjust for it, or weight. Covariates are those known at the beginning of each row: adjust for none that the treatment moves.

    Parameters
    ----------
    intervention : str
        Its name in the interventions table, which lists the treated loans alone, with the date.
    since : date
        Time zero: nobody is treated earlier, or those who were are left out.
    follow_up : int, optional
        Periods after the treatment that count; later ones are left out. Default: all.
    eligible : str, optional
        Condition on what was known when a loan enters; see :class:`Randomised`.
    prevalent : {"raise", "leave out"}
        Loans treated before they enter: an error, or left out and counted.
    age_band : int
        Periods of loan age that make a stratum: loans of one band are compared, because who has been treated is older.

    Examples
    --------
    >>> import churnsurv as cs
    >>> p = cs.data.load_example()
    >>> spells = cs.data.build_spells(p.loans, p.performance, p.rules, macro=p.macro)
    >>> design = cs.effects.TimeVaryingTreatment(
    ...     intervention="proactive_contact", since="2024-03-31", follow_up=12, prevalent="leave out")
    >>> result = design.estimate(design.cohort(spells, p.interventions))
    >>> bool(result["hazard_ratio", "attrition"].value < 1)
    True
    """

    intervention: str
    since: Any
    follow_up: int | None = None
    eligible: str | None = None
    prevalent: Literal["raise", "leave out"] = "raise"
    age_band: int = 3

    def __post_init__(self) -> None:
        rows_of.check_band(self.age_band)
        one_date(self.since)
        if self.follow_up is not None:
            check_follow_up(self.follow_up)
        if self.prevalent not in ("raise", "leave out"):
            raise DataError(f"prevalent={self.prevalent!r} is not known: use 'raise' or 'leave out'.")

    def cohort(self, spells: Spells, interventions: Any) -> StudyCohort:
        """Code loan-months since time zero by whether the treatment had begun.

        A treatment counts from the first period that begins after its date.

        Raises
        ------
        DataError
            Time zero outside the observed time; treatment before entry, or after the exit; several arms; nobody treated or
            untreated, an eligibility that leaves nobody.
        """
        zero = zero_inside(spells, self.since)
        since = treated_since(spells, interventions, self.intervention)
        rows, counts = self._rows_at_risk(spells, zero, since)
        treated = (rows["number"] >= rows["since"]).to_numpy()
        if self.follow_up is not None:
            counted_yet = (rows["number"] < rows["since"] + self.follow_up).to_numpy()
            rows, treated = selected(rows, counted_yet), treated[counted_yet]
        number = rows["number"].to_numpy(dtype=np.int64)
        until = f", up to {self.follow_up} after treatment" if self.follow_up else ""
        zero_day = str(one_date(self.since).date())
        clock = rows[["loan_id", "cause"]].assign(start=number - zero - 1.0, stop=number - float(zero))
        return StudyCohort(
            y=outcome_of(clock, spells.rules, start=True, subject=rows_of.numbered(rows["loan_id"])),
            arm=np.where(treated, self.intervention, CONTROL).astype(object),
            X=rows_of.covariates_of(rows, spells.rules, self.intervention),
            strata=rows_of.age_bands(rows["age"], self.age_band).to_numpy(dtype=object),
            cluster=rows_of.numbered(rows["customer_id"]),
            calendar=number,
            treated=self.intervention,
            control=CONTROL,
            estimand=f"treated against not yet treated; clock: {spells.rules.period}s since {zero_day}{until}",
            counts=counts,
            design=self,
        )

    def _rows_at_risk(self, spells: Spells, zero: int, since: pd.Series) -> tuple[pd.DataFrame, dict[str, int]]:
        """Give the spells after time zero of the loans in the cohort, with age, ``number`` and ``since``; and the counts."""
        number = np.asarray(period_numbers(pd.DatetimeIndex(spells.frame["period"]), spells.rules))
        inside, loans = number > zero, spells.frame["loan_id"]
        counts = {"loans observed": int(loans.nunique())}
        first = rows_of.first_rows(spells.frame, inside)
        first = first.assign(number=number[first.index.to_numpy()], since=_first_treated(since, first["loan_id"]))
        counts["left or last observed before time zero"] = counts["loans observed"] - len(first)
        # who was there before may be treated at time zero itself
        there = first["loan_id"].isin(loans[~inside])
        early = (first["since"] < first["number"]) | ((first["since"] == first["number"]) & ~there)
        if early.any():
            self._refuse_prevalent(first.loc[early, "loan_id"])
            counts[PREVALENT] = int(early.sum())
        first = first[~early]
        kept = first.loc[rows_of.eligible_rows(first, self.eligible, counts, spells.rules), "loan_id"]
        counts["in the cohort"] = len(kept)
        mine = inside & loans.isin(kept).to_numpy()
        rows = selected(spells.frame, mine)
        rows["age"], rows["number"], rows["since"] = rows["start"], number[mine], _first_treated(since, rows["loan_id"])
        return rows, counts

    def _refuse_prevalent(self, early: pd.Series) -> None:
        if self.prevalent == "raise":
            raise DataError(
                f"{counted(len(early), 'loan')} treated by {self.intervention!r} before time zero or before they enter "
                f"(loan {first_of(early)}): who left soon after the treatment is not among them. Begin earlier, or leave "
                "them out: prevalent='leave out'."
            )

    def estimate(
        self,
        cohort: StudyCohort,
        *,
        cause: str = "attrition",
        safety: str | None = "default",
        level: float = 0.95,
        adjust: Sequence[str] = (),
        sample_weight: ArrayLike | None = None,
    ) -> DesignEstimate:
        """Give the hazard ratio of treated to not yet treated loan-months, robust by customer, with its Wald test.

        Parameters
        ----------
        cohort, cause, safety, level
            As of :meth:`Randomised.estimate`.
        adjust : sequence of str
            Confounders in the Cox model.
        sample_weight : (n,), optional
            One per row of the cohort, such as inverse probabilities of treatment.

        Raises
        ------
        TooFewEventsError
            An arm without an exit by the cause.
        """
        check_design(cohort, self)
        ratios = dated_ratios(cohort, cause, safety, level, adjust, sample_weight)
        return DesignEstimate(ratios, wald_tests(cohort, ratios), DATED_ASSUMPTIONS)


def dated_ratios(
    cohort: StudyCohort, cause: str, safety: str | None, level: float, adjust: Sequence[str], weight: ArrayLike | None
) -> dict[tuple[str, str], Estimate]:
    """Give the hazard ratios by cause; a safety endpoint that an arm has no exit by is left out with a warning."""
    effects: dict[tuple[str, str], Estimate] = {}
    for name in of.causes_asked(cohort, cause, safety):
        try:
            effects["hazard_ratio", name] = of.hazard_ratio_of(cohort, name, level, adjust, weight)
        except TooFewEventsError as error:
            if name == cause:
                raise
            warnings.warn(f"Safety endpoint: {error}", SmallSampleWarning, stacklevel=3)
    return effects


def wald_tests(cohort: StudyCohort, ratios: dict[tuple[str, str], Estimate]) -> dict[tuple[str, str], TestResult]:
    """Give the test of each hazard ratio."""
    return {("Wald", name): of.wald_test_of(cohort, name, found) for (_, name), found in ratios.items()}


def zero_inside(spells: Spells, since: Any) -> int:
    """Give the number of the last period complete at time zero, which must lie inside the observed time."""
    first, last = rows_of.observed_periods(spells)
    zero = last_complete_period(since, spells.rules)
    if not first <= zero + 1 <= last:
        inside = [str(rows_of.period_end(number, spells.rules).date()) for number in (first - 1, last - 1)]
        raise DataError(
            f"Time zero {one_date(since).date()} lies outside the observed time: give a date from {inside[0]} to {inside[1]}."
        )
    return zero


def _first_treated(since: pd.Series, loans: pd.Series) -> NDArray[np.float64]:
    """Give the first period treated of each loan; infinity: never."""
    return since.reindex(loans).fillna(np.inf).to_numpy(dtype=np.float64)


def treated_since(spells: Spells, interventions: Any, name: str) -> pd.Series:
    """Give by loan the number of its first treated period; loans that are not listed are never treated.

    Raises
    ------
    DataError
        Several arms; treatment after the loan had left.
    """
    rows = rows_of.assignments_of(interventions, spells, name)
    treated = rows[rows["arm"] == name] if name in set(rows["arm"]) else rows
    if len(set(treated["arm"])) > 1:
        raise DataError(
            f"{name!r} has the arms {first_of(map(repr, sorted(set(rows['arm']))))}: this design takes the table of the "
            "treated alone. For a draw use Randomised; otherwise keep the rows of one arm and compare it with the "
            "untreated."
        )
    ends = (spells.whole or spells).frame.drop_duplicates("loan_id", keep="last").set_index("loan_id")
    last = pd.Series(period_numbers(pd.DatetimeIndex(ends["period"]), spells.rules), ends.index)
    left = (ends["cause"] != OPEN).reindex(treated["loan_id"], fill_value=False).to_numpy()
    since = rows_of.first_periods(treated[ASSIGNED_ON], spells.rules)
    late = treated.loc[left & (since - 1 > last.reindex(treated["loan_id"]).to_numpy()), "loan_id"]
    if len(late):
        raise DataError(
            f"{counted(len(late), 'loan')} treated by {name!r} after it had left (loan {first_of(late)}): correct the "
            "dates, or leave them out."
        )
    return pd.Series(since, index=pd.Index(treated["loan_id"]), dtype=np.float64)
