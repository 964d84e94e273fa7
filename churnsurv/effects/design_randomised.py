"""Designs in which a coin decides who is offered something."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data.assignments import ARM, ASSIGNED_ON
from churnsurv.data.periods import last_complete_period, one_date
from churnsurv.data.spells import Spells
from churnsurv.effects import design_estimates as of
from churnsurv.effects import design_rows as rows_of
from churnsurv.effects.design import DesignEstimate, StudyCohort, check_design
from churnsurv.effects.logrank import logrank_test
from churnsurv.exceptions import (
    DataError,
    ImmortalTimeError,
    SmallSampleWarning,
    TooFewEventsError,
)
from churnsurv.messages import counted, first_of
from churnsurv.results import Estimate

#: chance below which a period of one arm is no accident
UNLIKELY = 1e-3
_LISTS_THE_TREATED = (
    " A table that lists the treated alone, or dates them later than the others, is no trial: use TimeVaryingTreatment, "
    "Landmark or StaggeredRollout."
)


@dataclass(frozen=True, kw_only=True)
class ByCoin:
    """What a randomised offer and a randomised invitation have in common."""

    intervention: str
    treated: str
    control: str
    follow_up: int
    unit: Literal["loan", "customer"] = "loan"
    eligible: str | None = None
    time_zero: Any = None

    def __post_init__(self) -> None:
        check_follow_up(self.follow_up)
        if self.treated == self.control:
            raise DataError(f"treated and control are both {self.treated!r}: name two arms.")
        if self.unit not in ("loan", "customer"):
            raise DataError(
                f"unit={self.unit!r} is not known: say whether the coin was tossed by 'loan' or 'customer'. Units drawn as a "
                "whole, such as branches, are few: if they switch at different dates use StaggeredRollout, whose variance and "
                "permutation test are made for that."
            )

    def followed(self, spells: Spells, interventions: Any, uptake: bool) -> tuple[pd.DataFrame, dict[str, int]]:
        """Give the loans in the cohort, and the counts of the flow."""
        assigned = rows_of.assignments_of(interventions, spells, self.intervention, uptake)
        rows_of.check_labels(assigned, (self.treated, self.control), self.intervention, _LISTS_THE_TREATED)
        self._refuse_dates(assigned)
        self._refuse_periods(spells, assigned)
        frame, lost = rows_of.followed(spells, assigned)
        counts = {"assigned": len(assigned)} | lost
        kept = rows_of.eligible_rows(frame, self.eligible, counts, spells.rules)
        frame = frame[kept].reset_index(drop=True)
        counts["in the cohort"] = len(frame)
        if self.unit == "customer":
            _refuse_customers_in_both(frame)
        return frame, counts

    def _refuse_dates(self, assigned: pd.DataFrame) -> None:
        """Refuse arms that are known only after time zero, and exits before it that are not seen."""
        if self.time_zero is not None:
            day = one_date(self.time_zero)
            late, early = (assigned[held] for held in (assigned[ASSIGNED_ON] > day, assigned[ASSIGNED_ON] < day))
            if len(late):
                raise ImmortalTimeError(
                    f"The arm of {counted(len(late), 'loan')} of {self.intervention!r} (loan {first_of(late['loan_id'])}) "
                    f"dates from {late[ASSIGNED_ON].min().date()} or later, after time zero {day.date()}: to get it a "
                    "loan had to stay until then, and this time would count for its arm. Begin at the date of assignment "
                    "(leave time_zero out), or use TimeVaryingTreatment or Landmark."
                )
            if len(early):
                raise DataError(
                    f"{counted(len(early), 'loan')} of {self.intervention!r} (loan {first_of(early['loan_id'])}) was "
                    f"assigned before time zero {day.date()}: exits since then would be lost. Begin at the date of "
                    "assignment (leave time_zero out)."
                )

    def _refuse_periods(self, spells: Spells, assigned: pd.DataFrame) -> None:
        """Refuse periods of one arm: a coin that was tossed all along would have to show the same side each time.

        A period of few loans may well have one arm by chance; it is then a stratum that compares nothing.
        """
        zero = [last_complete_period(day, spells.rules) for day in assigned[ASSIGNED_ON]]
        tossed_for = assigned["loan_id"]
        if self.unit == "customer":
            tossed_for = tossed_for.map(spells.frame.drop_duplicates("loan_id").set_index("loan_id")["customer_id"])
        tosses = pd.DataFrame({"zero": zero, "arm": assigned[ARM].to_numpy(), "by": tossed_for.to_numpy()})
        periods = tosses.groupby("zero").agg(arms=("arm", "nunique"), arm=("arm", "first"), n=("by", "nunique"))
        chance = periods["arm"].map(tosses["arm"].value_counts(normalize=True)) ** periods["n"]
        single = periods["arms"] == 1
        impossible = periods.index[single & (chance * len(periods) < UNLIKELY)]
        named = impossible if len(impossible) else periods.index[single]
        if single.all() or len(impossible):
            raise ImmortalTimeError(
                f"In the {spells.rules.period} after {first_of(rows_of.period_end(k, spells.rules).date() for k in named)} "
                f"loans of {self.intervention!r} were assigned to one arm only: who is in which arm then depends on when, and "
                "on having stayed until then. Give every loan of the trial the date of the draw." + _LISTS_THE_TREATED
            )

    def record(
        self, spells: Spells, frame: pd.DataFrame, counts: dict[str, int], what: str, uptake: NDArray[np.float64] | None
    ) -> StudyCohort:
        """Give the cohort of loans that are followed from their assignment."""
        period = spells.rules.period
        return StudyCohort(
            y=rows_of.outcome_at_zero(frame, spells.rules, np.full(len(frame), float(self.follow_up))),
            arm=frame["arm"].to_numpy(dtype=object),
            X=rows_of.covariates_of(frame, spells.rules, self.intervention),
            strata=frame["landmark"].dt.strftime("%Y-%m-%d").to_numpy(dtype=object),
            cluster=rows_of.numbered(frame["customer_id"]),
            calendar=frame["zero"].to_numpy(dtype=np.int64) + 1,
            treated=self.treated,
            control=self.control,
            estimand=f"{what}; clock: {period}s since assignment, up to {self.follow_up}",
            counts=counts,
            design=self,
            uptake=uptake,
        )


@dataclass(frozen=True, kw_only=True)
class Randomised(ByCoin):
    """An offer assigned at random, with a hold-out: everyone offered against nobody, among those eligible.

    Loans are followed from the end of the last period complete at their assignment; where loans were drawn over several
    periods each is a stratum. What happens to an arm after the draw is part of the effect (intention to treat). Assumes that
    the draw was random within a period and that censoring (the end of the data, maturity) has nothing to do with leaving.

    Parameters
    ----------
    intervention : str
        Its name in the interventions table.
    treated, control : str
        Labels of the arms there.
    follow_up : int
        Periods that are looked at; later exits do not count.
    unit : {"loan", "customer"}
        Whom the coin was tossed for. "customer": a customer with loans in both arms is refused.
    eligible : str, optional
        Condition on what was known at time zero: covariates, kept columns, ``age``, ``vintage``; e.g. ``"age >= 6"``.
    time_zero : date, optional
        When the draw was; assignments of another date are refused.

    Examples
    --------
    >>> import churnsurv as cs
    >>> p = cs.data.load_example()
    >>> spells = cs.data.build_spells(p.loans, p.performance, p.rules, macro=p.macro)
    >>> design = cs.effects.Randomised(intervention="rate_offer", treated="offer", control="hold_out", follow_up=12)
    >>> cohort = design.cohort(spells, p.interventions)
    >>> cohort.flow()
                step  loans
    0       assigned   1467
    1  in the cohort   1467
    >>> result = design.estimate(cohort)
    >>> bool(result["risk_difference", "attrition"].upper < 0)
    True
    """

    def cohort(self, spells: Spells, interventions: Any) -> StudyCohort:
        """Line the loans up at their assignment.

        Parameters
        ----------
        spells : Spells
            :func:`churnsurv.data.build_spells` makes them.
        interventions : DataFrame
            One row per loan and intervention: loan, ``intervention``, ``assigned_on``, ``arm``.

        Raises
        ------
        DataError
            An unknown or an empty arm, an arm of one customer, loans assigned twice or before `time_zero`, customers in both
            arms, dates outside the data, an eligibility that leaves nobody.
        ImmortalTimeError
            Arms, or an eligibility, that are known only after time zero.
        """
        frame, counts = self.followed(spells, interventions, uptake=False)
        return self.record(spells, frame, counts, f"everyone {self.treated} against everyone {self.control}", None)

    def estimate(
        self,
        cohort: StudyCohort,
        *,
        cause: str = "attrition",
        safety: str | None = "default",
        horizon: float | None = None,
        level: float = 0.95,
        adjust: Sequence[str] = (),
    ) -> DesignEstimate:
        """Give hazard ratio and risk difference for the cause and the safety endpoint, and the log-rank test.

        Variances are sums of squared influences by customer, that of the test too.

        Parameters
        ----------
        cohort : StudyCohort
            As :meth:`cohort` built it.
        cause, safety : str
            Cause that the intervention is about, and the one that it must not raise (None: no safety endpoint).
        horizon : float, optional
            Of the risk difference; default: the follow-up.
        level : float
            Confidence level.
        adjust : sequence of str
            Columns of ``cohort.X`` in the Cox model; the ratio is then conditional on them.

        Raises
        ------
        TooFewEventsError
            An arm without an exit by the cause.
        DataError
            A horizon beyond the data, unknown causes or columns.

        Warns
        -----
        SmallSampleWarning
            An arm without an exit by the safety cause: its hazard ratio is left out.
        """
        check_design(cohort, self)
        effects, tests = coin_effects(
            cohort, cause, safety, self.follow_up if horizon is None else horizon, level, adjust
        )
        return DesignEstimate(effects, tests, coin_assumptions(self.unit))


def coin_effects(
    cohort: StudyCohort, cause: str, safety: str | None, horizon: float, level: float, adjust: Sequence[str]
) -> tuple[dict[tuple[str, str], Estimate], dict[tuple[str, str], Any]]:
    """Give hazard ratios and risk differences by cause, and the log-rank test of the main one."""
    effects: dict[tuple[str, str], Estimate] = {}
    for name in of.causes_asked(cohort, cause, safety):
        try:
            effects["hazard_ratio", name] = of.hazard_ratio_of(cohort, name, level, adjust)
        except TooFewEventsError as error:
            if name == cause:
                raise
            warnings.warn(f"Safety endpoint: {error}", SmallSampleWarning, stacklevel=3)
        effects["risk_difference", name] = of.risk_difference_of(cohort, name, horizon, level)
    strata = cohort.strata if len(np.unique(cohort.strata)) > 1 else None
    test = logrank_test(cohort.y, cohort.arm, strata=strata, cause=cause, cluster=cohort.cluster)
    return effects, {("log-rank", cause): test}


def check_follow_up(follow_up: Any) -> None:
    """Refuse a follow-up that is no number of periods."""
    if isinstance(follow_up, bool) or not isinstance(follow_up, int | np.integer) or follow_up < 1:
        raise DataError(
            f"follow_up={follow_up!r} is no number of periods: give a whole number of 1 or more, such as 12."
        )


def _refuse_customers_in_both(frame: pd.DataFrame) -> None:
    arms = frame.groupby("customer_id")["arm"].nunique()
    both = arms.index[arms > 1]
    if len(both):
        raise DataError(
            f"{counted(len(both), 'customer')} with loans in both arms (customer {first_of(both)}): the coin was not "
            "tossed by customer. Give a customer's loans one arm, or say unit='loan'."
        )


def coin_assumptions(unit: str) -> str:
    """Say what effects of a draw rest on."""
    return (
        f"Random assignment by {unit} within a period, no interference between {unit}s, and censoring unrelated to leaving "
        "given the arm; the hazard ratio also that hazards are proportional (otherwise it is an average over the follow-up)."
    )
