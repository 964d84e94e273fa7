"""Interventions that reach loans one by one, when somebody decides so: designs without immortal time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from churnsurv.data.assignments import ASSIGNED_ON
from churnsurv.data.landmark import outcome_of
from churnsurv.data.periods import last_complete_period, one_date, period_numbers
from churnsurv.data.rules import OPEN
from churnsurv.data.spells import Spells
from churnsurv.effects import design_estimates as of
from churnsurv.effects import design_rows as rows_of
from churnsurv.effects.design import DesignEstimate, StudyCohort
from churnsurv.effects.design_randomised import check_follow_up
from churnsurv.exceptions import DataError, ImmortalTimeError, SmallSampleWarning, TooFewEventsError
from churnsurv.messages import counted, first_of, numeric_column
from churnsurv.outcome import Outcome
from churnsurv.results import Estimate
from churnsurv.rows import as_outcome, refuse_recurrent, row_labels

CONTROL = "untreated"
PREVALENT = "treated before they enter"
_ASSUMED = (
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

    def __post_init__(self) -> None:
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
        frame = spells.frame
        number = np.asarray(period_numbers(pd.DatetimeIndex(frame["period"]), spells.rules))
        counts = {"loans observed": int(frame["loan_id"].nunique())}
        inside = number > zero
        rows, number = frame[inside].reset_index(drop=True).assign(age=lambda f: f["start"]), number[inside]
        counts["left or last observed before time zero"] = counts["loans observed"] - int(rows["loan_id"].nunique())
        start = since.reindex(rows["loan_id"]).to_numpy(dtype=np.float64)
        first = rows.assign(number=number, since=start).drop_duplicates("loan_id")
        early = first.loc[first["since"] <= first["number"], "loan_id"]
        if len(early) and self.prevalent == "raise":
            raise DataError(
                f"{counted(len(early), 'loan')} treated by {self.intervention!r} before time zero or before they enter (loan "
                f"{first_of(early)}): who left soon after the treatment is not among them. Begin earlier, or leave them out: "
                "prevalent='leave out'."
            )
        if len(early):
            counts[PREVALENT] = len(early)
        first = first[~first["loan_id"].isin(early)]
        kept_loans = first.loc[rows_of.eligible_rows(first, self.eligible, counts), "loan_id"]
        kept = rows["loan_id"].isin(kept_loans).to_numpy()
        counts["in the cohort"] = len(kept_loans)
        treated = number >= np.where(np.isnan(start), np.inf, start)
        if self.follow_up is not None:
            kept &= ~(number >= start + self.follow_up)
        rows, number, treated = rows[kept].reset_index(drop=True), number[kept], treated[kept]
        until = f", up to {self.follow_up} after treatment" if self.follow_up else ""
        clock = rows.assign(start=number - zero - 1.0, stop=number - float(zero))
        return StudyCohort(
            y=outcome_of(clock, spells.rules, start=True, subject=rows_of.numbered(rows["loan_id"])),
            arm=np.where(treated, self.intervention, CONTROL).astype(object),
            X=rows_of.covariates_of(rows, spells.rules, self.intervention),
            strata=np.full(len(rows), str(one_date(self.since).date()), dtype=object),
            cluster=rows_of.numbered(rows["customer_id"]),
            calendar=number,
            treated=self.intervention,
            control=CONTROL,
            estimand=f"treated against not yet treated; clock: {spells.rules.period}s since {one_date(self.since).date()}{until}",
            counts=counts,
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
        """Give the hazard ratio of treated to not yet treated loan-months, robust by customer.

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
        return DesignEstimate(_ratios(cohort, cause, safety, level, adjust, sample_weight), {}, _ASSUMED)


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """Treated by a date or not yet, followed from the date: at each of several dates a trial of its own.

    At each date those whose treatment began within the last `within` periods are compared with those not yet treated, on what
    was known at the date; those treated earlier are left out, and controls are followed until they are treated themselves. With
    several dates a loan is a control many times: dates are strata, customers clusters (sequential trials, Hernán et al. 2008).
    The arms never use what came after the date. Without randomisation they are confounded: adjust, or weight the cohort's rows.
    Following controls until their treatment assumes that this has nothing to do with leaving, given what is adjusted for.

    Parameters
    ----------
    intervention : str
        Its name in the interventions table, which lists the treated loans with the date. If it lists other arms too, all arms must
        be known at the date.
    dates : date or sequence of dates
        Times zero, ends of periods.
    follow_up : int
        Periods that are looked at.
    within : int
        Periods up to the date in which the treatment of the treated began; exits between treatment and date are not seen, so 1
        where treatments are dated by the period.
    eligible : str, optional
        Condition on what was known at the date; see :class:`Randomised`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> p = cs.data.load_example()
    >>> spells = cs.data.build_spells(p.loans, p.performance, p.rules, macro=p.macro)
    >>> design = cs.effects.Landmark(
    ...     intervention="seminar", dates=["2024-09-30", "2024-12-31"], follow_up=12, eligible="term - age >= 12")
    >>> cohort = design.cohort(spells, p.interventions)
    >>> result = design.estimate(cohort, adjust=["loyalty_tier", "nps", "products_held"], safety=None)
    >>> list(result.effects)
    [('hazard_ratio', 'attrition')]
    """

    intervention: str
    dates: Any
    follow_up: int
    within: int = 1
    eligible: str | None = None

    def __post_init__(self) -> None:
        check_follow_up(self.follow_up)
        if isinstance(self.within, bool) or not isinstance(self.within, int | np.integer) or self.within < 1:
            raise DataError(
                f"within={self.within!r} is no number of periods up to the date, 1 or more. Treatments that begin after the date "
                "cannot define its arms: move the date, or use TimeVaryingTreatment."
            )
        days = [one_date(day) for day in self._days()]
        if not days:
            raise DataError("There is no date: give at least one.")
        object.__setattr__(self, "dates", tuple(days))

    def _days(self) -> list[Any]:
        several = isinstance(self.dates, list | tuple | pd.DatetimeIndex | pd.Series | np.ndarray)
        return list(self.dates) if several else [self.dates]

    def cohort(self, spells: Spells, interventions: Any) -> StudyCohort:
        """Line the loans up at the dates.

        Raises
        ------
        DataError
            A date outside the observed time or twice; treatment after the exit; nobody treated or untreated.
        ImmortalTimeError
            The table gives untreated loans an arm too, and treated ones a later date than the landmark.
        """
        refuse_listed_arms(interventions, spells, self.intervention, max(self.dates))
        since = treated_since(spells, interventions, self.intervention)
        frame = spells.landmark(list(self.dates)).frame
        zeros = {day: last_complete_period(day, spells.rules) for day in frame["landmark"].unique()}
        zero = frame["landmark"].map(zeros).to_numpy(dtype=np.int64)
        # the number of the first treated period less that of the first one after the date: 0 or less is treated by the date
        wait = since.reindex(frame["loan_id"]).to_numpy(dtype=np.float64) - (zero + 1)
        counts = {"loans at a date": len(frame)}
        earlier = wait <= -self.within
        if earlier.any():
            counts["treated earlier"] = int(earlier.sum())
        here = frame[~earlier].reset_index(drop=True)
        wait, zero = wait[~earlier], zero[~earlier]
        kept = rows_of.eligible_rows(here, self.eligible, counts)
        here, wait, zero = here[kept].reset_index(drop=True), wait[kept], zero[kept]
        counts["in the cohort"] = len(here)
        treated = wait <= 0
        until = np.where(treated | np.isnan(wait), np.inf, wait)
        dates = first_of((str(day.date()) for day in self.dates), 3)
        return StudyCohort(
            y=rows_of.outcome_at_zero(here, spells.rules, np.minimum(until, float(self.follow_up))),
            arm=np.where(treated, self.intervention, CONTROL).astype(object),
            X=rows_of.covariates_of(here, spells.rules, self.intervention),
            strata=here["landmark"].dt.strftime("%Y-%m-%d").to_numpy(dtype=object),
            cluster=rows_of.numbered(here["customer_id"]),
            calendar=zero + 1,
            treated=self.intervention,
            control=CONTROL,
            estimand=f"treated by the date against not treated until it ends; clock: {spells.rules.period}s since {dates}",
            counts=counts,
        )

    def estimate(
        self,
        cohort: StudyCohort,
        *,
        cause: str = "attrition",
        safety: str | None = "default",
        horizon: float | None = None,
        level: float = 0.95,
        adjust: Sequence[str] = (),
        sample_weight: ArrayLike | None = None,
    ) -> DesignEstimate:
        """Give hazard ratios, and with `horizon` the differences of risks, of treated to not yet treated loans.

        Parameters
        ----------
        cohort, cause, safety, level
            As of :meth:`Randomised.estimate`.
        horizon : float, optional
            Of the risk difference, which is not adjusted but by `sample_weight`: controls stand for the dates of the treated.
        adjust : sequence of str
            Confounders in the Cox model.
        sample_weight : (n,), optional
            One per row of the cohort, such as inverse probabilities of treatment.

        Raises
        ------
        TooFewEventsError
            An arm without an exit by the cause.
        DataError
            A horizon with `adjust`, which would adjust one effect and not the other; a horizon beyond the data.
        """
        if horizon is not None and len(adjust):
            raise DataError("The risk difference is not adjusted by adjust=: pass sample_weight=, or leave the horizon out.")
        effects = _ratios(cohort, cause, safety, level, adjust, sample_weight)
        if horizon is not None:
            for name in of.causes_asked(cohort, cause, safety):
                effects["risk_difference", name] = of.risk_difference_of(cohort, name, horizon, level, sample_weight)
        return DesignEstimate(effects, {}, _ASSUMED)


def _ratios(
    cohort: StudyCohort, cause: str, safety: str | None, level: float, adjust: Sequence[str], weight: ArrayLike | None
) -> dict[tuple[str, str], Estimate]:
    effects: dict[tuple[str, str], Estimate] = {}
    for name in of.causes_asked(cohort, cause, safety):
        try:
            effects["hazard_ratio", name] = of.hazard_ratio_of(cohort, name, level, adjust, weight)
        except TooFewEventsError as error:
            if name == cause:
                raise
            warnings.warn(f"Safety endpoint: {error}", SmallSampleWarning, stacklevel=3)
    return effects


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


def treated_since(spells: Spells, interventions: Any, name: str) -> pd.Series:
    """Give by loan the number of its first treated period; loans that are not listed are never treated.

    Raises
    ------
    DataError
        Several arms; treatment after the loan had left.
    """
    rows = rows_of.assignments_of(interventions, spells, name)
    treated = rows[rows["arm"] == name] if name in set(rows["arm"]) else rows
    if treated["arm"].nunique() > 1:
        raise DataError(
            f"{name!r} has the arms {first_of(map(repr, sorted(set(rows['arm']))))}: this design takes the table of the treated alone. "
            "For a draw use Randomised; otherwise keep the rows of one arm and compare it with the untreated."
        )
    ends = (spells.whole or spells).frame.drop_duplicates("loan_id", keep="last").set_index("loan_id")
    last = pd.Series(period_numbers(pd.DatetimeIndex(ends["period"]), spells.rules), ends.index)
    left = (ends["cause"] != OPEN).reindex(treated["loan_id"], fill_value=False).to_numpy()
    since = rows_of.first_periods(treated[ASSIGNED_ON], spells.rules)
    late = treated.loc[left & (since - 1 > last.reindex(treated["loan_id"]).to_numpy()), "loan_id"]
    if len(late):
        raise DataError(
            f"{counted(len(late), 'loan')} treated by {name!r} after it had left (loan {first_of(late)}): correct the dates, or leave "
            "them out."
        )
    return pd.Series(since, index=pd.Index(treated["loan_id"]), dtype=np.float64)


def refuse_listed_arms(interventions: Any, spells: Spells, name: str, date: pd.Timestamp) -> None:
    """Refuse arms of a table that lists untreated loans too when they are known only after the date."""
    rows = rows_of.assignments_of(interventions, spells, name)
    late = rows[(rows[ASSIGNED_ON] > date)]
    if rows["arm"].nunique() > 1 and len(late):
        raise ImmortalTimeError(
            f"The arms of {name!r} sort {counted(len(late), 'loan')} (loan {first_of(late['loan_id'])}) by what happened after the "
            f"landmark {date.date()}: to get there a loan had to stay. List the treated alone with their dates, so that they are controls "
            "until then; or move the landmark; or use TimeVaryingTreatment."
        )


def treatment_episodes(
    X: pd.DataFrame, y: Outcome | NDArray[Any], treatment_start: ArrayLike, *, arm: ArrayLike | None = None,
    control: Any = None,
) -> tuple[pd.DataFrame, Outcome, NDArray[np.bool_]]:  # fmt: skip
    """Cut rows at the start of a treatment: untreated before, treated after, so that no time is immortal.

    Parameters
    ----------
    X : DataFrame (n, p)
    y : Outcome, of n rows
        One row per subject, or start–stop rows.
    treatment_start : (n,)
        On the clock of y; NaN or infinite: never. The same in all rows of a subject.
    arm : (n,), optional
        Groups that somebody has formed, which are checked: a row of another group than `control` whose treatment begins after
        the row does is sorted by the future.
    control : label
        Of the untreated, with `arm`.

    Returns
    -------
    tuple
        X and y of the episodes, and whether each is treated.

    Raises
    ------
    ImmortalTimeError
        See `arm`.
    DataError
        Treatment before the subject enters, or after the exit; dates that differ between rows of a subject; nobody treated or
        untreated.

    Examples
    --------
    >>> import churnsurv as cs, numpy as np, pandas as pd
    >>> X = pd.DataFrame({"rate": [4.0, 5.5, 5.0]})
    >>> y = cs.Outcome(stop=[4, 5, 9], event=[1, 1, 0])
    >>> X, y, treated = cs.effects.treatment_episodes(X, y, [np.nan, 2, 3])
    >>> y.start.tolist(), y.stop.tolist(), treated.tolist()
    ([0.0, 0.0, 2.0, 0.0, 3.0], [4.0, 2.0, 5.0, 3.0, 9.0], [False, False, True, False, True])
    """
    outcome = as_outcome(y)
    refuse_recurrent(outcome, "A treatment that begins once")
    begin = numeric_column(np.asarray(treatment_start), "treatment_start")
    if begin.shape != (len(outcome),) or len(X) != len(outcome):
        raise DataError(f"treatment_start has shape {begin.shape}, X {len(X):,} rows, the outcome {len(outcome):,}: give one per row.")
    begin = np.where(np.isnan(begin), np.inf, begin)
    if arm is not None:
        _refuse_future_arms(outcome, begin, arm, control)
    by_subject = pd.DataFrame({"begin": begin, "start": outcome.start, "stop": outcome.stop, "event": outcome.event})
    by_subject = by_subject.groupby(outcome.subject).agg(
        begin=("begin", "min"), most=("begin", "max"), start=("start", "min"), stop=("stop", "max"), event=("event", "max")
    )
    _refuse_starts(by_subject)
    inside = (begin > outcome.start) & (begin < outcome.stop)
    rows = np.repeat(np.arange(len(outcome)), 1 + inside)
    second = np.concatenate(([False], rows[1:] == rows[:-1]))
    first = inside[rows] & ~second
    coded = Outcome(
        stop=np.where(first, begin[rows], outcome.stop[rows]),
        event=np.where(first, 0, outcome.event[rows]),
        start=np.where(second, begin[rows], outcome.start[rows]),
        subject=outcome.subject[rows],
        causes=outcome.causes,
    )
    return X.iloc[rows].reset_index(drop=True), coded, np.asarray(coded.start >= begin[rows])


def _refuse_future_arms(y: Outcome, begin: NDArray[np.float64], arm: ArrayLike, control: Any) -> None:
    codes, labels = row_labels(arm, len(y), "arm")
    if control not in labels:
        raise DataError(f"control={control!r} is no arm; the arms are {first_of(map(repr, labels))}.")
    future = np.flatnonzero((labels.to_numpy()[codes] != control) & (begin > y.start))
    if len(future):
        raise ImmortalTimeError(
            f"{counted(len(future), 'row')} (row {first_of(future)}) of arm {labels[codes[future[0]]]!r} were treated only after time "
            "zero: sorted by the future, their arm gets time in which they could not have left. Leave arm= out: rows are then "
            "untreated until the treatment begins; or choose a Landmark."
        )


def _refuse_starts(subjects: pd.DataFrame) -> None:
    treated = np.isfinite(subjects["begin"])
    moved = subjects.index[(subjects["begin"] != subjects["most"]).to_numpy()]
    if len(moved):
        raise DataError(f"treatment_start differs between the rows of {counted(len(moved), 'subject')} ({first_of(moved)}): give one date each.")
    late = subjects.index[treated & (subjects["begin"] > subjects["stop"]) & (subjects["event"] > 0)]
    if len(late):
        raise DataError(f"{counted(len(late), 'subject')} treated after the exit (subject {first_of(late)}): correct treatment_start.")
    early = subjects.index[treated & (subjects["begin"] < subjects["start"])]
    if len(early):
        raise DataError(
            f"{counted(len(early), 'subject')} treated before entry (subject {first_of(early)}): who left soon after the treatment is not "
            "among them. Begin earlier, or leave them out."
        )
    reached = treated & (subjects["begin"] < subjects["stop"])
    if not reached.any() or reached.all() and (subjects["begin"] <= subjects["start"]).all():
        who = "treated while at risk" if not reached.any() else "untreated at any time"
        raise DataError(f"Nobody is {who}: there is nothing to compare.")
