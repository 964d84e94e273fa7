"""The interventions of a configuration, each lined up and estimated by the design of its kind.

Nothing is estimated here: designs, weights and tests are those of :mod:`churnsurv.effects`; what one kind of intervention gets
of them is listed here, so that every page and table of the report reads one record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv import effects
from churnsurv.data import Spells
from churnsurv.data.rules import SPELL_COLUMNS
from churnsurv.effects import DesignEstimate, StudyCohort
from churnsurv.effects.design_calendar import first_switched
from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.exceptions import NotIdentifiedError, TooFewEventsError
from churnsurv.report.analysis import Analysis
from churnsurv.report.settings import (
    DatedTreatment,
    Drawn,
    Intervention,
    LandmarkTrials,
    Observational,
    RandomisedInvitation,
    RandomisedOffer,
    StaggeredRollout,
)
from churnsurv.results import Estimate

Floats = NDArray[np.float64]
#: numbers of risk differences are given for so many loans
PER = 1_000


@dataclass(frozen=True, eq=False)
class Study:
    """One intervention: its cohort and what was estimated of it.

    Attributes
    ----------
    settings : Intervention
    cohort : StudyCohort
    effects : dict
        (measure, cause) → Estimate: "hazard_ratio" of every kind; "risk_difference" where arms are followed from a time zero;
        "averted" (exits fewer per 1,000 loan-years) where loans change the arm; "standardised", "complier", "first_stage",
        "retained" where the kind has them.
    p_values : dict
        Cause → p-value of the test named in `test`.
    test, assumptions : str
    failure : str
        Why nothing could be estimated; empty if something was.
    weights : (n,), optional
        Of the rows of the cohort, with what the arms' curves and risks are weighted by.
    """

    settings: Intervention
    cohort: StudyCohort
    effects: Mapping[tuple[str, str], Estimate] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)
    test: str = ""
    assumptions: str = ""
    failure: str = ""
    weights: Floats | None = None

    @property
    def follows_arms(self) -> bool:
        """Whether a loan has one arm from its time zero on."""
        return not isinstance(self.settings, StaggeredRollout | DatedTreatment)

    def ratio(self, cause: str | None) -> Estimate | None:
        """Give the hazard ratio of a cause, if there is one."""
        return None if cause is None else self.effects.get(("hazard_ratio", cause))

    def events(self, cause: str) -> dict[str, int]:
        """Give arm → number of exits by the cause."""
        left = self.cohort.y.event == self.cohort.y.cause_code(cause)
        return {arm: int(np.sum(left & (self.cohort.arm == arm))) for arm in (self.cohort.treated, self.cohort.control)}


def study_of(analysis: Analysis, settings: Intervention) -> Study:
    """Line up and estimate an intervention.

    Raises
    ------
    DataError
        It cannot be lined up: dates, arms, columns. (An effect that is not identified, or too few exits, is told by
        ``failure``.)
    """
    cohort = _cohort(analysis, settings)
    try:
        if isinstance(settings, Drawn):
            return _drawn(analysis, settings, cohort)
        if isinstance(settings, StaggeredRollout):
            return _rollout(analysis, settings, cohort)
        if isinstance(settings, DatedTreatment):
            return _dated(analysis, settings, cohort)
        return _trials(analysis, settings, cohort)
    except (NotIdentifiedError, TooFewEventsError) as error:
        return Study(settings, cohort, failure=str(error))


def _cohort(analysis: Analysis, settings: Intervention) -> StudyCohort:
    # what is adjusted for must be known; a switch is read off its indicator
    indicator = isinstance(settings, StaggeredRollout) and settings.indicator is not None
    spells = analysis.complete if settings.adjust or indicator else analysis.spells
    if isinstance(settings, StaggeredRollout) and settings.indicator is not None:
        given: Any = effects.switch_dates(spells, settings.indicator, settings.unit)
    else:
        given = analysis.tables["interventions"]
    if isinstance(settings, StaggeredRollout | DatedTreatment):
        spells = _narrow(spells, settings)
    cohort: StudyCohort = _design(analysis, settings).cohort(spells, given)
    return cohort


def _narrow(spells: Spells, settings: StaggeredRollout | DatedTreatment) -> Spells:
    """Give the spells with the columns that are used of them: such a cohort is of all spells, and would copy the others."""
    named = {*SPELL_COLUMNS, *settings.columns(), *re.findall(r"\w+", settings.eligible or "")}
    return replace(spells, frame=spells.frame[[name for name in spells.frame.columns if name in named]])


def _design(analysis: Analysis, settings: Intervention) -> Any:
    """Give the design of :mod:`churnsurv.effects` for the kind of intervention."""
    if isinstance(settings, Drawn):
        make = effects.Encouragement if isinstance(settings, RandomisedInvitation) else effects.Randomised
        return make(
            intervention=settings.intervention,
            treated=settings.treated,
            control=settings.control,
            follow_up=settings.horizon,
            unit=settings.unit,
            eligible=settings.eligible,
        )
    if isinstance(settings, StaggeredRollout):
        return effects.StaggeredRollout(
            intervention=settings.intervention or str(settings.indicator),
            unit=settings.unit,
            follow_up=settings.horizon,
            eligible=settings.eligible,
        )
    common: dict[str, Any] = {
        "intervention": settings.intervention,
        "follow_up": settings.horizon,
        "eligible": settings.eligible,
        "age_band": settings.age_band,
    }
    if isinstance(settings, DatedTreatment):
        return effects.TimeVaryingTreatment(since=settings.since, prevalent="leave out", **common)
    ends = "ME" if analysis.config.unit == "month" else "QE"
    dates = list(pd.date_range(settings.first, settings.last or settings.first, freq=ends)[:: settings.every])
    return effects.Landmark(dates=dates or [pd.Timestamp(settings.first)], **common)


def _causes(analysis: Analysis) -> list[str]:
    config = analysis.config
    return [config.main_cause] if config.safety_cause is None else [config.main_cause, config.safety_cause]


def _asked(analysis: Analysis, settings: Intervention) -> dict[str, Any]:
    config = analysis.config
    return {
        "cause": config.main_cause,
        "safety": config.safety_cause,
        "level": config.level,
        "adjust": settings.adjust,
    }


def _drawn(analysis: Analysis, settings: RandomisedOffer | RandomisedInvitation, cohort: StudyCohort) -> Study:
    found = cohort.design.estimate(cohort, horizon=settings.horizon, **_asked(analysis, settings))
    several = len(np.unique(cohort.strata)) > 1
    strata = cohort.strata if several else None
    made = _renamed(found)
    main = analysis.config.main_cause
    made["retained", main] = effects.retained_months(
        cohort.y,
        cohort.arm,
        horizon=settings.horizon,
        customers=PER,
        cause=main,
        reference=cohort.control,
        level=analysis.config.level,
        cluster=cohort.cluster,
        strata=strata,
    )
    p_values = {
        cause: effects.logrank_test(cohort.y, cohort.arm, strata=strata, cause=cause, cluster=cohort.cluster).p_value
        for cause in _causes(analysis)
        if ("hazard_ratio", cause) in made
    }
    return Study(settings, cohort, made, p_values, "log-rank test, by customer", found.assumptions)


def _rollout(analysis: Analysis, settings: StaggeredRollout, cohort: StudyCohort) -> Study:
    found = cohort.design.estimate(cohort, n_permutations=settings.permutations, **_asked(analysis, settings))
    window = cohort.calendar < first_switched(cohort) + settings.horizon
    made = _with_averted(analysis, cohort, _renamed(found), window)
    p_values = {cause: test.p_value for (_, cause), test in found.tests.items()}
    return Study(
        settings,
        cohort,
        made,
        p_values,
        f"permutation test over the order of the units ({settings.unit})",
        found.assumptions,
    )


def _dated(analysis: Analysis, settings: DatedTreatment, cohort: StudyCohort) -> Study:
    found = cohort.design.estimate(cohort, **_asked(analysis, settings))
    made = _with_averted(analysis, cohort, _renamed(found), np.ones(len(cohort), dtype=bool))
    p_values = {cause: test.p_value for (_, cause), test in found.tests.items()}
    return Study(settings, cohort, made, p_values, "Wald test, by customer", found.assumptions)


def _trials(analysis: Analysis, settings: LandmarkTrials | Observational, cohort: StudyCohort) -> Study:
    asked = _asked(analysis, settings)
    horizon = settings.horizon
    found = cohort.design.estimate(cohort, **asked, **({} if settings.adjust else {"horizon": horizon}))
    made, weights = _renamed(found), None
    if settings.adjust:
        known = cohort.X[list(settings.adjust)]
        score = effects.propensity(known, cohort.arm, reference=cohort.control, cluster=cohort.cluster)
        weights = score.weights("overlap", treated=cohort.treated)
        for cause in _causes(analysis):
            made["risk_difference", cause] = effects.weighted_effect(
                cohort.y, cohort.arm, known, estimand="overlap", reference=cohort.control, horizon=horizon, cause=cause,
                cluster=cohort.cluster, level=analysis.config.level, variance="sandwich",
            )  # fmt: skip
    if isinstance(settings, Observational):
        # loan age is in the strata of the ratio; here it is a term
        columns = cohort.X[list(dict.fromkeys([*settings.adjust, "age"]))].assign(**{cohort.treated: cohort.is_treated})
        for cause in _causes(analysis):
            made["standardised", cause] = effects.standardised_effect(
                CauseSpecificCox(), columns, cohort.y, cohort.treated, estimand="att",
                horizon=horizon, cause=cause, cluster=cohort.cluster, level=analysis.config.level,
            )  # fmt: skip
    p_values = {cause: test.p_value for (_, cause), test in found.tests.items()}
    return Study(settings, cohort, made, p_values, "Wald test, by customer", found.assumptions, weights=weights)


def _renamed(found: DesignEstimate) -> dict[tuple[str, str], Estimate]:
    names = {"complier_risk_difference": "complier"}
    return {(names.get(measure, measure), cause): estimate for (measure, cause), estimate in found.effects.items()}


def _with_averted(
    analysis: Analysis, cohort: StudyCohort, made: dict[tuple[str, str], Estimate], window: NDArray[np.bool_]
) -> dict[tuple[str, str], Estimate]:
    """Add the exits averted among the treated, in the window that the ratio is of."""
    rows = window & (cohort.arm == cohort.treated)
    per_year = 12 if analysis.config.unit == "month" else 4
    years = float(np.sum(cohort.y.stop[rows] - cohort.y.start[rows])) / per_year
    for cause in _causes(analysis):
        if ("hazard_ratio", cause) in made:
            left = int(np.sum(cohort.y.event[rows] == cohort.y.cause_code(cause)))
            ratio = made["hazard_ratio", cause]
            if ratio.lower > 0:
                made["averted", cause] = effects.exits_averted(ratio, left, years, per=PER)
    return made
