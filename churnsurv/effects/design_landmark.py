"""Treated by a date or not yet, followed from the date: a landmark, or a sequence of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from churnsurv.data.assignments import ASSIGNED_ON
from churnsurv.data.frames import selected
from churnsurv.data.periods import last_complete_period, one_date
from churnsurv.data.spells import Spells
from churnsurv.effects import design_estimates as of
from churnsurv.effects import design_rows as rows_of
from churnsurv.effects.design import DesignEstimate, StudyCohort, check_design
from churnsurv.effects.design_dated import CONTROL, DATED_ASSUMPTIONS, dated_ratios, treated_since, wald_tests
from churnsurv.effects.design_randomised import check_follow_up
from churnsurv.exceptions import DataError, ImmortalTimeError
from churnsurv.messages import counted, first_of


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """Treated by a date or not yet, followed from the date: at each of several dates a trial of its own.

    At each date those whose treatment began within the last `within` periods are compared with those not yet treated, on what
    was known at the date; those treated earlier are left out, and controls are followed until they are treated themselves. With
    several dates a loan is a control many times: dates and loan ages are strata, customers clusters (sequential trials, Hernán
    et al. 2008). The arms never use what came after the date. Without randomisation they are confounded: adjust, or weight.
    Following controls until their treatment assumes that this has nothing to do with leaving, given what is adjusted for.

    Parameters
    ----------
    intervention : str
        Its name in the interventions table, which lists the treated loans with the date. If it lists other arms too, all of
        them must be known at the date.
    dates : date or sequence of dates
        Times zero, ends of periods.
    follow_up : int
        Periods that are looked at.
    within : int
        Periods up to the date in which the treatment of the treated began; exits between treatment and date are not seen, so 1
        where treatments are dated by the period.
    eligible : str, optional
        Condition on what was known at the date; see :class:`Randomised`.
    age_band : int
        Periods of loan age at the date that make a stratum within it.

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
    age_band: int = 3

    def __post_init__(self) -> None:
        check_follow_up(self.follow_up)
        rows_of.check_band(self.age_band)
        if isinstance(self.within, bool) or not isinstance(self.within, int | np.integer) or self.within < 1:
            raise DataError(
                f"within={self.within!r} is no number of periods up to the date, 1 or more. Treatments that begin after "
                "the date cannot define its arms: move the date, or use TimeVaryingTreatment."
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
        _refuse_listed_arms(interventions, spells, self.intervention, max(self.dates))
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
        # the earlier frame goes as soon as rows are taken of it: of many dates it is as large as the spells
        frame = selected(frame, ~earlier) if earlier.any() else frame
        wait, zero = wait[~earlier], zero[~earlier]
        kept = rows_of.eligible_rows(frame, self.eligible, counts, spells.rules)
        frame = frame if kept.all() else selected(frame, kept)
        wait, zero = wait[kept], zero[kept]
        counts["in the cohort"] = len(frame)
        treated = wait <= 0
        until = np.where(treated | np.isnan(wait), np.inf, wait)
        dates = first_of((str(day.date()) for day in self.dates), 3)
        return StudyCohort(
            y=rows_of.outcome_at_zero(frame, spells.rules, np.minimum(until, float(self.follow_up))),
            arm=np.where(treated, self.intervention, CONTROL).astype(object),
            X=rows_of.covariates_of(frame, spells.rules, self.intervention),
            strata=(
                frame["landmark"].dt.strftime("%Y-%m-%d, ") + rows_of.age_bands(frame["age"], self.age_band)
            ).to_numpy(dtype=object),
            cluster=rows_of.numbered(frame["customer_id"]),
            calendar=zero + 1,
            treated=self.intervention,
            control=CONTROL,
            estimand=f"treated by the date against not treated until it ends; clock: {spells.rules.period}s since {dates}",
            counts=counts,
            design=self,
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
            Of the risk difference, which is not adjusted but by `sample_weight`: controls stand for the dates and ages of the
            treated.
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
        check_design(cohort, self)
        if horizon is not None and len(adjust):
            raise DataError(
                "The risk difference is not adjusted by adjust=: pass sample_weight=, or leave the horizon out."
            )
        effects = dated_ratios(cohort, cause, safety, level, adjust, sample_weight)
        tests = wald_tests(cohort, effects)
        if horizon is not None:
            for name in of.causes_asked(cohort, cause, safety):
                effects["risk_difference", name] = of.risk_difference_of(cohort, name, horizon, level, sample_weight)
        return DesignEstimate(effects, tests, DATED_ASSUMPTIONS)


def _refuse_listed_arms(interventions: Any, spells: Spells, name: str, date: pd.Timestamp) -> None:
    """Refuse arms of a table that lists untreated loans too when they are known only after the date."""
    rows = rows_of.assignments_of(interventions, spells, name)
    late = rows[(rows[ASSIGNED_ON] > date)]
    if len(set(rows["arm"])) > 1 and len(late):
        raise ImmortalTimeError(
            f"The arms of {name!r} sort {counted(len(late), 'loan')} (loan {first_of(late['loan_id'])}) by what happened "
            f"after the landmark {date.date()}: to get there a loan had to stay. List the treated alone with their dates, "
            "so that they are controls until then; or move the landmark; or use TimeVaryingTreatment."
        )
