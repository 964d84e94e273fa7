"""A change that reaches branches at different dates."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from churnsurv.data.assignments import ASSIGNED_ON
from churnsurv.data.frames import selected
from churnsurv.data.landmark import outcome_of
from churnsurv.data.periods import as_dates, period_numbers
from churnsurv.data.spells import Spells
from churnsurv.effects import design_estimates as of
from churnsurv.effects import design_rows as rows_of
from churnsurv.effects.design import DesignEstimate, StudyCohort, check_design, require_columns_of
from churnsurv.effects.design_calendar import calendar_terms, exposure_terms, first_switched
from churnsurv.effects.design_clusters import jackknife_by_stratum, permuted_orders, sums_by_cell
from churnsurv.effects.design_randomised import check_follow_up
from churnsurv.estimators.cox import CoxPH
from churnsurv.exceptions import DataError, NotIdentifiedError, SmallSampleWarning, TooFewEventsError
from churnsurv.messages import confidence_level, counted, first_of
from churnsurv.results import Estimate, TestResult

#: branches below which a warning points to the permutation test
FEW = 10
#: a period that does not come
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class StaggeredRollout:
    """A change that reaches branches (or regions) one after another; some may never get it.

    A loan-month in a branch that has switched is compared with loan-months of the same branch at the same loan age before the
    switch, and branches that have not switched yet tell what the calendar did meanwhile. In the Cox model branches are strata
    on the clock of loan age and calendar periods are terms (a branch and a month together would leave nothing to compare: all
    its loans have switched or none). This removes lasting differences between branches, whatever the order was, and what
    happens to all branches alike. It assumes that without the change the branches' hazards would have moved in parallel, that
    nobody reacts before the switch, and that neither customers nor effects move between branches. The ratio is that of the
    first `follow_up` periods after the switch; later ones are left out, also as comparisons. An effect may grow or fade: parts
    of this time have ratios of their own, whose mean is given (of the logarithms, by length), because a single ratio would take
    branches in which it still grows for unchanged ones (Goodman-Bacon 2021).

    Parameters
    ----------
    intervention : str
        Its name in the interventions table.
    unit : str
        Column of the units that switch as a whole: a kept column of the spells.
    follow_up : int
        Periods after the switch that count.
    before : int
        Periods before the first switch from which rows are used.
    eligible : str, optional
        Condition on what was known when a loan is first seen in this time; see :class:`Randomised`.

    Examples
    --------
    >>> import churnsurv as cs
    >>> p = cs.data.load_example()
    >>> spells = cs.data.build_spells(p.loans, p.performance, p.rules, macro=p.macro)
    >>> design = cs.effects.StaggeredRollout(intervention="faster_service", unit="branch", follow_up=12)
    >>> result = design.estimate(design.cohort(spells, p.interventions), safety=None)
    >>> bool(result["hazard_ratio", "attrition"].upper < 1)
    True
    """

    intervention: str
    unit: str
    follow_up: int
    before: int = 12
    eligible: str | None = None

    def __post_init__(self) -> None:
        check_follow_up(self.follow_up)
        if isinstance(self.before, bool) or not isinstance(self.before, int | np.integer) or self.before < 1:
            raise DataError(
                f"before={self.before!r} is no number of periods: branches that switch first need some time before, 1 "
                "or more."
            )

    def cohort(self, spells: Spells, interventions: Any) -> StudyCohort:
        """Give the loan-months around the rollout, with what their branch had switched to.

        Parameters
        ----------
        spells : Spells
        interventions : DataFrame, or mapping
            One row per loan that met the change, as for :class:`Randomised`, of one arm; or unit → date of its switch (missing
            or left out: never).

        Raises
        ------
        NotIdentifiedError
            One unit; all switch together.
        DataError
            Units or dates that are unknown, a unit reached in parts, no switch inside the observed time, no time before or
            after it, an eligibility that leaves nobody.
        """
        frame = spells.frame
        require_columns_of(frame, [self.unit])
        since = self._switches(spells, interventions)
        first_period, _ = rows_of.observed_periods(spells)
        counts = {"loans observed": int(frame["loan_id"].nunique())}
        earlier = frame[self.unit].isin(since.index[since <= first_period])
        if earlier.any():
            counts[f"{self.unit} switched before the data begin"] = int(frame.loc[earlier, "loan_id"].nunique())
            frame, since = selected(frame, ~earlier.to_numpy()), since[since > first_period]
            if len(set(since)) < 2:
                raise NotIdentifiedError(
                    f"All units ({self.unit}) that had not switched before the data begin, {first_of(since.index)}, switch "
                    "together: the change cannot be told from what the calendar did."
                )
        n_here = int(frame["loan_id"].nunique())
        number = np.asarray(period_numbers(pd.DatetimeIndex(frame["period"]), spells.rules))
        inside = number >= int(since.min()) - self.before
        first = rows_of.first_rows(frame, inside)
        if not inside.all():
            counts["left or last observed before the window"] = n_here - len(first)
        kept_loans = first.loc[rows_of.eligible_rows(first, self.eligible, counts, spells.rules), "loan_id"]
        kept = inside & frame["loan_id"].isin(kept_loans).to_numpy()
        rows, number = selected(frame, kept), number[kept]
        rows["age"] = rows["start"]
        counts["in the cohort"] = int(rows["loan_id"].nunique())
        treated = number >= since.reindex(rows[self.unit]).to_numpy()
        period = spells.rules.period
        return StudyCohort(
            y=outcome_of(rows, spells.rules, start=True, subject=rows_of.numbered(rows["loan_id"])),
            arm=np.where(treated, "switched", "waiting").astype(object),
            X=rows_of.covariates_of(rows, spells.rules, self.intervention),
            strata=rows[self.unit].to_numpy(dtype=object),
            cluster=rows[self.unit].to_numpy(dtype=object),
            calendar=number,
            treated="switched",
            control="waiting",
            estimand=f"{self.unit} switched against not yet, same {self.unit} and loan age; clock: loan age in {period}s",
            counts=counts,
            design=self,
        )

    def _switches(self, spells: Spells, interventions: Any) -> pd.Series:
        """Give for each unit the number of its first period after the switch."""
        without = spells.frame.loc[spells.frame[self.unit].isna(), "loan_id"].unique()
        if len(without):
            raise DataError(
                f"{counted(len(without), 'loan')} without a {self.unit} (loan {first_of(without)}): fill it in, or leave them "
                "out."
            )
        units = pd.Index(sorted(spells.frame[self.unit].unique()), name=self.unit)
        if isinstance(interventions, Mapping | pd.Series):
            given = pd.Series(dict(interventions), dtype=object)
            dates = as_dates(given, f"date of the switch by {self.unit}").dt.normalize()
            unknown = dates.index[~dates.index.isin(units)]
            if len(unknown):
                raise DataError(
                    f"{self.unit} {unknown[0]!r} has a date but no loans: known are {first_of(map(repr, units), 12)}."
                )
            dates = dates.reindex(units)
        else:
            dates = self._dates_of_loans(spells, interventions).reindex(units)
        self._refuse_one_unit(units)
        since = pd.Series(NEVER, index=units, dtype=np.int64)
        since[dates.notna()] = rows_of.first_periods(dates.dropna(), spells.rules)
        self._refuse_together(dates, since)
        first, last = rows_of.observed_periods(spells)
        if not ((since > first) & (since <= last)).any():
            raise DataError(
                f"No {self.unit} switched inside the observed time (switches "
                f"{first_of(sorted(set(dates.dropna().dt.date)))}): there is no time before or no time after."
            )
        return since

    def _dates_of_loans(self, spells: Spells, interventions: Any) -> pd.Series:
        met = rows_of.assignments_of(interventions, spells, self.intervention)
        if len(set(met["arm"])) > 1:
            raise DataError(
                f"{self.intervention!r} has the arms {first_of(map(repr, sorted(set(met['arm']))))}: a rollout lists the "
                "loans that met the change, under one. For a draw by loan or customer use Randomised."
            )
        loans = spells.frame.groupby("loan_id").agg(unit=(self.unit, "first"), seen=("period", "min"))
        met = met.merge(loans, left_on="loan_id", right_index=True, how="inner")
        dates = met.groupby("unit")[ASSIGNED_ON].min()
        parts = met[(met[ASSIGNED_ON] > met["unit"].map(dates)) & (met["seen"] <= met["unit"].map(dates))]
        if len(parts):
            raise DataError(
                f"{self.unit} {first_of(map(repr, sorted(set(parts['unit']))))} was reached in parts: "
                f"{counted(len(parts), 'loan')} met {self.intervention!r} later than others of the {self.unit}, though "
                f"they were there (loan {first_of(parts['loan_id'])}). A rollout reaches a unit as a whole; name the "
                "column of the units that do, or use TimeVaryingTreatment."
            )
        return dates

    def _refuse_one_unit(self, units: pd.Index) -> None:
        if len(units) < 2:
            raise NotIdentifiedError(
                f"There is one {self.unit} only ({units[0]!r}): what it changed cannot be told from what the calendar did. A "
                "rollout needs units that switch at other dates, or never."
            )

    def _refuse_together(self, dates: pd.Series, since: pd.Series) -> None:
        """Refuse units of which none waits for a period longer than another."""
        if len(set(since)) == 1 and dates.notna().all():
            days = sorted(set(dates.dt.date))
            when = f"on {days[0]}" if len(days) == 1 else f"in one period, from {days[0]} to {days[-1]}"
            raise NotIdentifiedError(
                f"All {len(dates)} units ({self.unit}) switched together {when}: the change cannot be told from what the "
                "calendar did. Keep some waiting next time; here only a comparison with another market could help."
            )
        if dates.isna().all():
            raise DataError(
                f"No {self.unit} has a date of its switch: there is no one to compare with those that wait."
            )

    def estimate(
        self,
        cohort: StudyCohort,
        *,
        cause: str = "attrition",
        safety: str | None = "default",
        level: float = 0.95,
        adjust: Sequence[str] = (),
        n_permutations: int = 1999,
        random_state: int = 0,
    ) -> DesignEstimate:
        """Give the hazard ratio of the first `follow_up` periods, and a permutation test over the branches' switch dates.

        Parameters
        ----------
        cohort, cause, safety, level, adjust
            As of :meth:`Randomised.estimate`; adjust for what the change does not move.
        n_permutations : int
            Orders drawn; the smallest p-value is 1 / (1 + n_permutations).
        random_state : int
            Seed of the draws.

        Returns
        -------
        DesignEstimate
            ``("hazard_ratio", cause)``: jackknife variance by branch (Mancl and DeRouen 2001) and Student's t with G − 1
            degrees of freedom, G the branches with an exit. ``tests["permutation", cause]``: no effect at all, exact when the
            order of the branches was random.

        Raises
        ------
        TooFewEventsError
            An arm without an exit by the cause, or too few exits to follow the calendar.
        NotIdentifiedError
            The effect rests on a single branch.

        Warns
        -----
        SmallSampleWarning
            Fewer than ten branches; an estimate of the safety endpoint that is left out.
        """
        check_design(cohort, self)
        if isinstance(n_permutations, bool) or not isinstance(n_permutations, int | np.integer) or n_permutations < 1:
            raise DataError(f"n_permutations={n_permutations!r} is no number of orders: give 1 or more, better 1999.")
        if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer) or random_state < 0:
            raise DataError(f"random_state={random_state!r} is no seed: give a whole number of 0 or more.")
        effects: dict[tuple[str, str], Estimate] = {}
        tests: dict[tuple[str, str], TestResult] = {}
        for name in of.causes_asked(cohort, cause, safety):
            try:
                effects["hazard_ratio", name] = self._ratio(cohort, name, level, adjust)
            except (TooFewEventsError, NotIdentifiedError) as error:
                if name == cause:
                    raise
                warnings.warn(f"Safety endpoint: {error}", SmallSampleWarning, stacklevel=2)
                continue
            tests["permutation", name] = self._permutation(cohort, name, n_permutations, random_state)
        n_units = len(np.unique(cohort.cluster))
        if n_units < FEW:
            warnings.warn(
                f"There are {n_units} units ({self.unit}): the interval is rough, read it with the permutation test.",
                SmallSampleWarning,
                stacklevel=2,
            )
        assumptions = (
            f"Parallel hazards of the units ({self.unit}) without the change, no reaction before the switch, no "
            f"spill-over, and effects that depend on the time since the switch alone; for the "
            "permutation test a random order of the units."
        )
        return DesignEstimate(effects, tests, assumptions)

    def _ratio(self, cohort: StudyCohort, cause: str, level: float, adjust: Sequence[str]) -> Estimate:
        part = of.part_of(cohort, cohort.calendar < first_switched(cohort) + self.follow_up, of.names_of(adjust))
        n_events = of.refuse_arm_without_event(part, cause)
        part = of.part_of(part, of.in_strata_with_exits(part, cause))
        exposure, share = exposure_terms(part, cause)
        covariates = of.arm_and_covariates(part, adjust).drop(columns="treated")
        X = pd.concat([exposure, covariates, calendar_terms(part, cause)], axis=1)
        model = CoxPH(cause=cause).fit(X, part.y, strata=part.strata)
        left_out = jackknife_by_stratum(model, X, part.y, part.strata)
        n = len(left_out.clusters)
        # the mean of the logarithms over the periods since the switch
        share = np.pad(share, (0, len(model.coef_) - len(share)))
        log, se = float(share @ model.coef_), float(np.sqrt(share @ left_out.covariance() @ share))
        quantile = float(stdtrit(n - 1, (1 + confidence_level(level)) / 2))
        adjusted = f", adjusted for {first_of(of.names_of(adjust), 40)}" if len(adjust) else ""
        method = (
            f"Cox model (Efron) on loan age, stratified by {self.unit}, with calendar periods{adjusted}; first "
            f"{self.follow_up} periods after the switch; jackknife variance by {self.unit} ({n} with an exit), t with {n - 1} "
            "degrees of freedom"
        )
        return of.ratio_estimate(part, cause, log, se, quantile, level, n_events, method)

    def _permutation(self, cohort: StudyCohort, cause: str, n_permutations: int, random_state: int) -> TestResult:
        part = of.part_of(cohort, of.in_strata_with_exits(cohort, cause), ())
        terms = calendar_terms(part, cause)
        null = CoxPH(cause=cause).fit(terms, part.y, strata=part.strata)
        residual = null.residuals(terms, part.y, "martingale", strata=part.strata).to_numpy()
        # units without an exit have residuals of 0, but take part in the permutations
        unit, units = pd.factorize(cohort.cluster, sort=True)
        months = np.arange(cohort.calendar.min(), cohort.calendar.max() + 1)
        row, column = pd.Index(units).get_indexer(pd.Index(part.cluster)), part.calendar - months[0]
        cells = sums_by_cell(residual, row, column, (len(units), len(months)))
        since = pd.Series(first_switched(cohort)).groupby(unit).first().to_numpy()
        found = permuted_orders(
            cells, months[None, :] >= since[:, None], n_permutations, np.random.default_rng(random_state)
        )
        return TestResult(
            name="Permutation test of a staggered rollout",
            statistic=found.statistic,
            df=np.nan,
            p_value=found.p_value,
            method=f"score statistic; {found.n_drawn:,} orders of {len(units)} units ({self.unit}) drawn; two-sided",
            estimand=f"no effect of the switch on any loan's leaving by {cause}",
            n=cohort.y.n_subjects,
            n_events=int(np.sum(cohort.y.event == cohort.y.cause_code(cause))),
        )
