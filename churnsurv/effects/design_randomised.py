"""Designs in which a coin decides: a randomised offer, and a randomised invitation that some take up."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from churnsurv.data.assignments import ARM, ASSIGNED_ON
from churnsurv.data.periods import one_date, period_numbers
from churnsurv.data.spells import Spells
from churnsurv.effects import design_estimates as of
from churnsurv.effects import design_rows as rows_of
from churnsurv.effects.design import DesignEstimate, StudyCohort
from churnsurv.effects.logrank import logrank_test
from churnsurv.exceptions import (
    DataError,
    ImmortalTimeError,
    NotIdentifiedError,
    SmallSampleWarning,
    TooFewEventsError,
)
from churnsurv.messages import confidence_level, counted, first_of
from churnsurv.results import Estimate

#: F statistic of the first stage below which an instrument counts as weak (Staiger and Stock 1997)
WEAK = 10.0
_LISTS_THE_TREATED = (
    " A table that lists the treated alone, or dates them later than the others, is no trial: use TimeVaryingTreatment, "
    "Landmark or StaggeredRollout."
)


@dataclass(frozen=True, kw_only=True)
class _ByCoin:
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
            raise DataError(f"unit={self.unit!r} is not known: say whether the coin was tossed by 'loan' or 'customer'.")

    def _followed(self, spells: Spells, interventions: Any, uptake: bool) -> tuple[pd.DataFrame, dict[str, int]]:
        """Give the loans in the cohort, and the counts of the flow."""
        assigned = rows_of.assignments_of(interventions, spells, self.intervention, uptake)
        rows_of.check_labels(assigned, (self.treated, self.control), self.intervention, _LISTS_THE_TREATED)
        self._refuse_dates(assigned)
        frame, lost = rows_of.followed(spells, assigned)
        counts = {"assigned": len(assigned)} | lost
        kept = rows_of.eligible_rows(frame, self.eligible, counts)
        frame = frame[kept].reset_index(drop=True)
        counts["in the cohort"] = len(frame)
        if self.unit == "customer":
            _refuse_customers_in_both(frame)
        return frame, counts

    def _refuse_dates(self, assigned: pd.DataFrame) -> None:
        """Refuse arms that are known only after time zero, and dates on which there was no coin to toss."""
        if self.time_zero is not None:
            day = one_date(self.time_zero)
            late, early = (assigned[held] for held in (assigned[ASSIGNED_ON] > day, assigned[ASSIGNED_ON] < day))
            if len(late):
                raise ImmortalTimeError(
                    f"The arm of {counted(len(late), 'loan')} of {self.intervention!r} (loan {first_of(late['loan_id'])}) dates from "
                    f"{late[ASSIGNED_ON].min().date()} or later, after time zero {day.date()}: to get it a loan had to stay until "
                    "then, and this time would count for its arm. Begin at the date of assignment (leave time_zero out), or use "
                    "TimeVaryingTreatment or Landmark."
                )
            if len(early):
                raise DataError(
                    f"{counted(len(early), 'loan')} of {self.intervention!r} (loan {first_of(early['loan_id'])}) was assigned before "
                    f"time zero {day.date()}: exits since then would be lost. Begin at the date of assignment (leave time_zero "
                    "out)."
                )
        arms = assigned.groupby(ASSIGNED_ON)[ARM].nunique()
        single = arms.index[arms < 2]
        if len(single):
            raise ImmortalTimeError(
                f"On {first_of(day.date() for day in single)} loans of {self.intervention!r} were assigned to one arm only: who "
                "is in which arm then depends on when, and on having stayed until then. Give every loan of the trial the date of "
                "the draw." + _LISTS_THE_TREATED
            )

    def _record(
        self, spells: Spells, frame: pd.DataFrame, counts: dict[str, int], what: str, uptake: NDArray[np.bool_] | None
    ) -> StudyCohort:
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
            uptake=uptake,
        )


@dataclass(frozen=True, kw_only=True)
class Randomised(_ByCoin):
    """An offer assigned at random, with a hold-out: everyone offered against nobody, among those eligible.

    Loans are followed from the end of the last period complete at their assignment; with several dates of assignment each
    is a stratum. What happens to an arm after the draw is part of the effect (intention to treat). Assumes that the draw was
    random within a date and that censoring (the end of the data, maturity) has nothing to do with leaving.

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
        Condition on what was known at time zero: covariates, kept columns, ``age``; e.g. ``"age >= 6"``.
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
            Arms that are known only after time zero.
        """
        frame, counts = self._followed(spells, interventions, uptake=False)
        return self._record(spells, frame, counts, f"everyone {self.treated} against everyone {self.control}", None)

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
        effects, tests = coin_effects(cohort, cause, safety, horizon or self.follow_up, level, adjust)
        return DesignEstimate(effects, tests, _assumed(self.unit))


@dataclass(frozen=True, kw_only=True)
class Encouragement(_ByCoin):
    """An invitation assigned at random that some take up: its effect, and that of taking part on those who do as invited.

    The effect of the invitation (intention to treat) rests on the draw alone. The effect of taking part is that on *compliers*,
    who take part if and only if invited (Imbens and Angrist 1994): the difference of risks divided by the difference of the
    shares that take part, with the draw as instrument. It assumes that the invitation acts through taking part only, and that
    nobody stays away because of it. It is given on the risk scale: hazard ratios of compliers are not identified by a ratio.

    Parameters
    ----------
    intervention, treated, control, follow_up, unit, eligible, time_zero
        As of :class:`Randomised`; `treated` is the invited arm. The interventions table also has ``uptake_on``, the date of
        taking part, empty for those who did not.

    Examples
    --------
    >>> import churnsurv as cs
    >>> p = cs.data.load_example()
    >>> spells = cs.data.build_spells(p.loans, p.performance, p.rules, macro=p.macro)
    >>> design = cs.effects.Encouragement(
    ...     intervention="fee_advice", treated="invited", control="not_invited", follow_up=12, unit="customer")
    >>> result = design.estimate(design.cohort(spells, p.interventions))
    >>> 0.4 < result["first_stage", "uptake"].value < 0.5
    True
    """

    unit: Literal["loan", "customer"] = "customer"

    def cohort(self, spells: Spells, interventions: Any) -> StudyCohort:
        """Line the loans up at their invitation; see :meth:`Randomised.cohort`.

        Raises
        ------
        DataError, ImmortalTimeError
            As of :meth:`Randomised.cohort`; no ``uptake_on``; taking part before the invitation.
        """
        frame, counts = self._followed(spells, interventions, uptake=True)
        joined = pd.DatetimeIndex(frame["uptake_on"])
        early = np.flatnonzero(joined < pd.DatetimeIndex(frame[ASSIGNED_ON]))
        if len(early):
            raise DataError(
                f"{counted(len(early), 'loan')} of {self.intervention!r} took part before the invitation (loan "
                f"{first_of(frame['loan_id'].iloc[early])}): who had joined already cannot be invited. Make them ineligible."
            )
        month = period_numbers(joined.fillna(pd.Timestamp("1970-01-01")), spells.rules) - frame["zero"].to_numpy()
        uptake = np.asarray(joined.notna() & (month <= self.follow_up))
        what = f"everyone {self.treated} against everyone {self.control} (intention to treat)"
        return self._record(spells, frame, counts, what, uptake)

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
        """Give the effects of the invitation, the first stage, and the risk differences of compliers.

        Parameters
        ----------
        cohort, cause, safety, horizon, level, adjust
            As of :meth:`Randomised.estimate`.

        Returns
        -------
        DesignEstimate
            Beside hazard ratios and risk differences of the invitation: ``("first_stage", "uptake")``, the difference of the
            shares that take part (its F statistic in ``method``), and ``("complier_risk_difference", cause)``, with the
            interval of Anderson and Rubin (Fieller's), which holds for weak first stages too, and the standard error by the
            delta method.

        Raises
        ------
        NotIdentifiedError
            No first stage: the invitation does not clearly move taking part.
        TooFewEventsError, DataError
            As of :meth:`Randomised.estimate`.

        Warns
        -----
        SmallSampleWarning
            A weak first stage (F below 10): the ratio is biased towards the naive comparison.
        """
        at = horizon or self.follow_up
        effects, tests = coin_effects(cohort, cause, safety, at, level, adjust)
        stage, contrast = _first_stage(cohort, level)
        effects["first_stage", "uptake"] = stage
        if (stage.value / stage.se) ** 2 < WEAK:
            warnings.warn(
                f"The first stage is weak ({stage.method.split('; ')[-1]}): few more take part when invited, so the effect on compliers is "
                "biased towards the naive comparison; read its interval, not the estimate.",
                SmallSampleWarning,
                stacklevel=2,
            )
        for name in of.causes_asked(cohort, cause, safety):
            effects["complier_risk_difference", name] = _complier(cohort, name, at, level, contrast)
        compliers = (
            " Of compliers also: the invitation acts through taking part only (exclusion), and nobody takes part only if not "
            "invited (monotonicity)."
        )
        return DesignEstimate(effects, tests, _assumed(self.unit) + compliers)


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
    return effects, {("log-rank", cause): logrank_test(cohort.y, cohort.arm, strata=strata, cause=cause)}


def check_follow_up(follow_up: Any) -> None:
    """Refuse a follow-up that is no number of periods."""
    if isinstance(follow_up, bool) or not isinstance(follow_up, int | np.integer) or follow_up < 1:
        raise DataError(f"follow_up={follow_up!r} is no number of periods: give a whole number of 1 or more, such as 12.")


def _refuse_customers_in_both(frame: pd.DataFrame) -> None:
    arms = frame.groupby("customer_id")["arm"].nunique()
    both = arms.index[arms > 1]
    if len(both):
        raise DataError(
            f"{counted(len(both), 'customer')} with loans in both arms (customer {first_of(both)}): the coin was not tossed by "
            "customer. Give a customer's loans one arm, or say unit='loan'."
        )


def _assumed(unit: str) -> str:
    return (
        f"Random assignment by {unit} within a date, no interference between {unit}s, and censoring unrelated to leaving "
        "given the arm; the hazard ratio also that hazards are proportional (otherwise it is an average over the follow-up)."
    )


def _first_stage(cohort: StudyCohort, level: float) -> tuple[Estimate, of.Contrast]:
    """Give the difference of the shares that take part, and its influences; refuse none."""
    if cohort.uptake is None:
        raise DataError("The cohort knows of no uptake: build it by the cohort method of this design.")
    takes, treated = cohort.uptake.astype(np.float64), cohort.is_treated > 0
    share = {label: float(takes[rows].mean()) for label, rows in ((True, treated), (False, ~treated))}
    influence = np.where(treated, (takes - share[True]) / treated.sum(), -(takes - share[False]) / (~treated).sum())
    contrast = of.Contrast(share[True] - share[False], influence, int(takes.sum()))
    se, z = contrast.se(cohort.cluster), float(ndtri((1 + confidence_level(level)) / 2))
    if contrast.value == 0 or abs(contrast.value) <= z * se:
        raise NotIdentifiedError(
            f"There is no first stage: {share[True]:.1%} of arm {cohort.treated!r} and {share[False]:.1%} of arm {cohort.control!r} took "
            "part, which chance explains. The effect of taking part is not identified; that of the invitation is "
            "(Randomised)."
        )
    strength = (contrast.value / se) ** 2 if se > 0 else np.inf
    estimate = Estimate(
        name=f"Difference of the share taking part, {cohort.treated} - {cohort.control}",
        value=contrast.value,
        se=se,
        lower=contrast.value - z * se,
        upper=contrast.value + z * se,
        level=level,
        n=cohort.y.n_subjects,
        n_events=contrast.n_events,
        method=f"shares by arm ({share[True]:.3f}, {share[False]:.3f}); variance by cluster; F = {strength:.1f}",
    )
    return estimate, contrast


def _complier(cohort: StudyCohort, cause: str, horizon: float, level: float, stage: of.Contrast) -> Estimate:
    """Give the ratio of the differences (Wald) with the interval of Anderson and Rubin."""
    effect = of.risk_contrast(cohort, cause, horizon)
    a, b = effect.cluster_sums(cohort.cluster), stage.cluster_sums(cohort.cluster)
    ratio = effect.value / stage.value
    se = float(np.linalg.norm(a - ratio * b) / abs(stage.value))
    lower, upper = fieller(
        effect.value, stage.value, float(a @ a), float(a @ b), float(b @ b), float(ndtri((1 + level) / 2))
    )
    return Estimate(
        name=f"Difference of the risk of {cause} within {horizon:g} of compliers",
        value=ratio,
        se=se,
        lower=lower,
        upper=upper,
        level=level,
        n=cohort.y.n_subjects,
        n_events=effect.n_events,
        method="ratio of the differences of risk and of taking part (Wald); variance by cluster (delta method); interval of "
        "Anderson and Rubin",
    )


def fieller(top: float, bottom: float, v_top: float, covariance: float, v_bottom: float, z: float) -> tuple[float, float]:
    """Give the ratios θ for which top − θ bottom is within z standard errors of 0 (Fieller 1954).

    Needs a `bottom` more than z standard errors from 0; the set is then an interval.
    """
    a = bottom**2 - z**2 * v_bottom
    b = top * bottom - z**2 * covariance
    c = top**2 - z**2 * v_top
    root = float(np.sqrt(max(b**2 - a * c, 0.0)))
    return (b - root) / a, (b + root) / a
