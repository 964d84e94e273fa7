"""Cox models and forest on a later period: fitted on what was known at a date, measured on the loans open then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data import Cohort, Spells
from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.exceptions import DataError
from churnsurv.messages import counted
from churnsurv.metrics import brier_score, concordance_index
from churnsurv.nonparametric import AalenJohansen
from churnsurv.outcome import Outcome
from churnsurv.report.analysis import Analysis, Headline, Part
from churnsurv.report.config import Evaluation, Term
from churnsurv.report.content import Block, Cell, Column, Finding, Section, Table, Text
from churnsurv.report.sections.attrition import risk_at
from churnsurv.report.words import listed, periods

if TYPE_CHECKING:
    from churnsurv.estimators.forest import RandomSurvivalForest

TITLE = "Prediction on a later period"

#: rows whose curves are held at once
CHUNK = 10_000
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trial:
    """A cohort with its outcome, the predicted risks of each model by cause, and the loans left out."""

    y: Outcome
    groups: NDArray[np.object_]
    risk: dict[str, dict[str, Floats]]
    left_out: int
    n_development: int
    constant: tuple[str, ...]


def evaluation(analysis: Analysis) -> Part:
    """Measure how well the models rank and how accurate their probabilities are, on loans and months they have not seen."""
    settings = analysis.config.evaluation
    assert settings is not None
    trial = run_trial(analysis, settings)
    causes = [cause for cause in (analysis.config.main_cause, analysis.config.safety_cause) if cause is not None]
    events = {c: _events_by(trial.y, c, settings.horizon) for c in causes}
    measured = [c for c in causes if events[c] >= max(2, analysis.config.smallest_cell)]
    blocks: list[Block] = [Text(_reading(analysis, settings, trial, events))]
    skipped = [c for c in causes if c not in measured]
    if skipped:
        blocks.append(Text(f"Too few exits by {listed(skipped)} in the cohort to measure their prediction.", "note"))
    if not measured:
        return Part(Section("evaluation", TITLE, tuple(blocks)))
    discrimination = _discrimination(analysis, settings, trial, measured)
    accuracy = _accuracy(analysis, settings, trial, measured)
    blocks += [discrimination, accuracy, *_findings(analysis, discrimination, accuracy)]
    return Part(Section("evaluation", TITLE, tuple(blocks)), _headlines(discrimination, settings, analysis))


def run_trial(analysis: Analysis, settings: Evaluation) -> Trial:
    """Fit on the past, predict for the loans open at the development date."""
    date, horizon = pd.Timestamp(settings.development_until), settings.horizon
    development = analysis.spells.until(date)
    cohort = analysis.spells.landmark(date).complete()
    complete = development.complete()
    # what nobody had by then, such as an offer not yet made, cannot be learnt
    constant = tuple(name for name in analysis.covariates if complete.frame[name].nunique() < 2)
    covariates = [name for name in analysis.covariates if name not in constant]
    cox = CauseSpecificCox(analysis.config.model.formula, ties=analysis.config.model.ties)
    cox.fit(complete.frame[covariates], complete.y)
    # beyond the oldest age seen in development no hazard is known
    oldest = complete.frame["stop"].max()
    kept = (cohort.frame["age"] + horizon <= oldest).to_numpy()
    covered = Cohort(cohort.frame[kept].reset_index(drop=True), cohort.rules, cohort.date)
    forest = _fitted_forest(development, date, settings, covariates, analysis.config.unit)
    risk = {
        "Cox": _cox_risk(cox, covered, covariates, horizon),
        "Forest": _forest_risk(forest, covered, covariates, horizon),
    }
    n_development = development.frame["loan_id"].nunique()
    return Trial(covered.y, covered.groups, risk, int((~kept).sum()), n_development, constant)


def _fitted_forest(
    development: Spells, date: pd.Timestamp, settings: Evaluation, covariates: list[str], unit: str
) -> RandomSurvivalForest:
    """Fit a forest to the loans open one horizon before the development date, followed until it."""
    # numba is loaded only when a forest is grown
    from churnsurv.estimators.forest import RandomSurvivalForest

    months = settings.horizon * (1 if unit == "month" else 3)
    cohort = development.landmark(date - pd.DateOffset(months=months) + pd.offsets.MonthEnd(0)).complete()
    # a loan not observed afterwards tells nothing of the time since the landmark
    seen = np.flatnonzero(cohort.y.stop > 0)
    forest = RandomSurvivalForest(
        settings.forest.n_estimators,
        min_samples_leaf=settings.forest.min_samples_leaf,
        random_state=settings.forest.seed,
    )
    return forest.fit(_with_age(cohort, covariates).iloc[seen], cohort.y[seen])


def _with_age(cohort: Cohort, covariates: list[str]) -> pd.DataFrame:
    return cohort.frame[covariates].assign(loan_age=cohort.frame["age"])


def _cox_risk(cox: CauseSpecificCox, cohort: Cohort, covariates: list[str], horizon: int) -> dict[str, Floats]:
    age = cohort.frame["age"].to_numpy()
    parts: dict[str, list[Floats]] = {cause: [] for cause in cox.causes_}
    for begin in range(0, len(cohort), CHUNK):
        rows = slice(begin, begin + CHUNK)
        curves = cox.predict_curves(cohort.frame[covariates].iloc[rows], start=age[rows])
        for cause, part in parts.items():
            part.append(curves.risk(cause, horizon))
    return {cause: np.concatenate(part) for cause, part in parts.items()}


def _forest_risk(
    forest: RandomSurvivalForest, cohort: Cohort, covariates: list[str], horizon: int
) -> dict[str, Floats]:
    curves = forest.predict_curves(_with_age(cohort, covariates), times=[horizon])
    return {cause: curves.cumulative_incidence(cause)[:, 0] for cause in curves.causes}


def _events_by(y: Outcome, cause: str, horizon: int) -> int:
    return int(np.count_nonzero((y.event == y.cause_code(cause)) & (y.stop <= horizon)))


def _reading(analysis: Analysis, settings: Evaluation, trial: Trial, events: dict[str, int]) -> str:
    unit, date = analysis.config.unit, f"{settings.development_until:%d %B %Y}"
    counts = listed([f"{n:,} {cause}" for cause, n in events.items()])
    text = (
        f"Both models were fitted on what was known on {date} ({counted(trial.n_development, 'loan')}) and applied to the "
        f"{counted(len(trial.y), 'loan')} open on that day; the exits of the {periods(settings.horizon, unit)} after it "
        f"({counts}) were not used. The Cox models are cause-specific on loan age; the forest was "
        f"grown on the loans open {periods(settings.horizon, unit)} earlier, with loan age as a covariate."
    )
    if analysis.config.model.strata:
        text += " The Cox models here are not stratified: a stratum's baseline ends where its development data end."
    if trial.constant:
        named = listed([(analysis.config.terms.get(name, Term()).label or name).lower() for name in trial.constant])
        text += f" Without {named}, which did not vary by then."
    if trial.left_out:
        older = counted(trial.left_out, "loan")
        text += f" {older} that would be older by its end than any seen in development could not be predicted."
    return text


def _discrimination(analysis: Analysis, settings: Evaluation, trial: Trial, causes: list[str]) -> Table:
    level, horizon = analysis.config.level, float(settings.horizon)
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    for cause in causes:
        for model, risk in trial.risk.items():
            cells: list[Cell] = [model]
            for weighting in ("n", "n/G2"):
                found = concordance_index(
                    trial.y,
                    risk[cause],
                    cause=cause,
                    tau=horizon,
                    weighting=weighting,
                    cluster=trial.groups,
                    level=level,
                )
                cells += [found.value, (found.lower, found.upper)]
            rows.append(tuple(cells))
            groups.append(cause.capitalize())
    interval = Column("interval", f"{level:.0%} CI", "interval:3")
    columns = (
        Column("model", "Model"),
        Column("harrell", "Harrell's C", "number:3"),
        interval,
        Column("uno", "Uno's C", "number:3"),
        Column("uno_interval", interval.label, interval.format),
    )
    note = (
        "C (concordance): of two loans, how often has the one that leaves first the higher predicted risk? 0.5 is a coin, 1 "
        "perfect. Harrell's depends on when loans are censored, Uno's reweights so that it does not. Both models are "
        "measured on the same loans, so overlapping intervals do not show that they are equal."
    )
    title = f"Ranking of loans by risk, {periods(horizon, analysis.config.unit)} ahead"
    return Table("discrimination", title, columns, tuple(rows), tuple(groups), (note,))


def _accuracy(analysis: Analysis, settings: Evaluation, trial: Trial, causes: list[str]) -> Table:
    level, horizon = analysis.config.level, float(settings.horizon)
    aj = AalenJohansen().fit(trial.y, cluster=trial.groups, level=level)
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    for cause in causes:
        observed = risk_at(aj.curves_, 0, cause, horizon)
        for model, risk in trial.risk.items():
            table = brier_score(
                trial.y, risk[cause][:, None], [horizon], cause=cause, cluster=trial.groups, level=level
            )
            if not isinstance(table, pd.DataFrame):
                raise DataError("The Brier score of several horizons is a frame.")
            score = table.iloc[0]
            actual: list[Cell] = [None, None] if observed is None else [observed[0], (observed[1], observed[2])]
            interval = (float(score["lower"]), float(score["upper"]))
            rows.append(
                (model, float(score["value"]), interval, float(score["null_value"]), float(risk[cause].mean()), *actual)
            )
            groups.append(cause.capitalize())
    columns = (
        Column("model", "Model"),
        Column("brier", "Brier score", "number:4"),
        Column("interval", f"{level:.0%} CI", "interval:4"),
        Column("null", "Same risk for all", "number:4"),
        Column("predicted", "Predicted to leave", "percent:1"),
        Column("observed", "Observed", "percent:1"),
        Column("observed_interval", f"{level:.0%} CI", "percent interval:1"),
    )
    note = (
        "Brier score: mean squared error of the predicted probability, reweighted for censoring; lower is better. \u201cSame "
        "risk for all\u201d is the score of predicting the observed share for every loan, so a useful model lies below it. "
        "Predicted to leave: mean predicted probability, to be compared with the share observed (Aalen\u2013Johansen)."
    )
    title = f"Accuracy of the probabilities, {periods(horizon, analysis.config.unit)} ahead"
    return Table("accuracy", title, columns, tuple(rows), tuple(groups), (note,))


def _findings(analysis: Analysis, discrimination: Table, accuracy: Table) -> list[Finding]:
    """Hold the Cox models, which the report is about, to their thresholds; the forest is the challenger."""
    least = analysis.config.thresholds.least_concordance
    found = []
    for cause, (model, value, *_) in zip(discrimination.groups, discrimination.rows, strict=True):
        if model == "Cox" and isinstance(value, float) and value < least:
            text = (
                f"The Cox model ranks exits by {cause.lower()} with a concordance of {value:.3f} on the later period."
            )
            found.append(Finding(text, "amber", f"at least {least:g}", discrimination.key))
    for cause, (model, value, _, null, *_) in zip(accuracy.groups, accuracy.rows, strict=True):
        if model == "Cox" and isinstance(value, float) and isinstance(null, float) and value > null:
            text = (
                f"The Cox model's probabilities of {cause.lower()} are less accurate on the later period (Brier score "
                f"{value:.4f}) than the same risk for every loan ({null:.4f}). They should not be used as they are."
            )
            found.append(Finding(text, "amber", "below the score of the same risk for all", accuracy.key))
    return found


def _headlines(table: Table, settings: Evaluation, analysis: Analysis) -> tuple[Headline, ...]:
    model, value, interval = table.rows[0][:3]
    assert isinstance(value, float)
    assert isinstance(interval, tuple)
    return (
        Headline(
            f"Ranking of {table.groups[0].lower()} risk by the {model} model",
            f"C {value:.3f}",
            f"{interval[0]:.3f} to {interval[1]:.3f}",
            f"{periods(settings.horizon, analysis.config.unit)} not used for fitting; 0.5 is a coin, 1 perfect",
        ),
    )
