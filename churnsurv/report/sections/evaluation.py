"""Cox models and forest on a later period: fitted on what was known at a date, measured on the loans open then."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churnsurv.data import Cohort, Spells
from churnsurv.data.periods import last_complete_period, period_starts
from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.exceptions import ConfigError, DataError
from churnsurv.metrics import brier_score, concordance_index
from churnsurv.nonparametric import AalenJohansen
from churnsurv.outcome import Outcome
from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Cell, Column, Finding, Headline, Section, Table, Text
from churnsurv.report.disclosure import count_words, is_small, told
from churnsurv.report.headlines import headline
from churnsurv.report.incidence import risk_at
from churnsurv.report.sections.paired import brier_difference
from churnsurv.report.settings import Evaluation, Term
from churnsurv.report.words import level_words, listed, periods

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
    development: dict[str, str]
    date: pd.Timestamp
    n_open: int
    n_incomplete: int
    constant: tuple[str, ...]


def evaluation(analysis: Analysis) -> Part:
    """Measure how well the models rank and how accurate their probabilities are, on loans and months they have not seen."""
    settings = analysis.config.evaluation
    assert settings is not None
    with named("[evaluation]"):
        return _evaluation(analysis, settings)


def _evaluation(analysis: Analysis, settings: Evaluation) -> Part:
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
    date, horizon = checked_date(analysis, settings), settings.horizon
    development = analysis.spells.until(date)
    everybody = analysis.spells.landmark(date)
    cohort = everybody.complete()
    complete = development.complete()
    # what nobody had by then, such as an offer not yet made, cannot be learnt
    constant = tuple(name for name in analysis.covariates if complete.frame[name].nunique() < 2)
    covariates = [name for name in analysis.covariates if name not in constant]
    formula = analysis.config.model.formula
    in_formula = [name for name in constant if formula and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", formula)]
    if in_formula:
        raise ConfigError(
            f"[model] formula uses {in_formula[0]!r}, which is the same for every loan before {date.date()}: its coefficient "
            "cannot be estimated then. Leave it out of the formula, or choose a later development_until."
        )
    cox = CauseSpecificCox(formula, ties=analysis.config.model.ties)
    cox.fit(complete.frame[covariates], complete.y)
    # beyond the oldest age seen in development no hazard is known
    oldest = complete.frame["stop"].max()
    kept = (cohort.frame["age"] + horizon <= oldest).to_numpy()
    covered = Cohort(cohort.frame[kept].reset_index(drop=True), cohort.rules, cohort.date)
    forest, forest_y = _fitted_forest(development, date, settings, covariates, analysis.config.unit)
    risk = {
        "Cox": _cox_risk(cox, covered, covariates, horizon),
        "Forest": _forest_risk(forest, covered, covariates, horizon),
    }
    smallest = analysis.config.smallest_cell
    n_development = {
        "Cox": fitted_on(complete.y, complete.frame["loan_id"].nunique(), smallest),
        "Forest": fitted_on(forest_y, len(forest_y), smallest),
    }
    n_open = len(everybody)
    return Trial(
        covered.y, covered.groups, risk, int((~kept).sum()), n_development, date, n_open, n_open - len(cohort), constant
    )


def checked_date(analysis: Analysis, settings: Evaluation) -> pd.Timestamp:
    """Give the end of the last period complete at the development date; refuse one without data before or after it."""
    unit, rules = analysis.config.unit, analysis.config.spells
    following = last_complete_period(settings.development_until, rules) + 1
    date = period_starts(np.array([following]), rules)[0] - pd.Timedelta(days=1)
    per = 1 if unit == "month" else 3
    first, last = analysis.spells.frame["period"].min(), analysis.spells.frame["period"].max()
    earliest = first + pd.DateOffset(months=per * (settings.horizon + 1)) - pd.Timedelta(days=1)
    latest = last - pd.DateOffset(months=per * (settings.horizon - 1)) - pd.Timedelta(days=1)
    if not earliest <= date <= latest:
        room = (
            f"Give a date from {earliest:%Y-%m-%d} to {latest:%Y-%m-%d}, or a shorter horizon."
            if earliest <= latest
            else "The data are too short for this horizon; give a shorter one."
        )
        raise ConfigError(
            f"development_until = {settings.development_until}, horizon = {settings.horizon} {unit}s: there must be "
            f"{periods(settings.horizon + 1, unit)} of data before the date and {periods(settings.horizon, unit)} after it. "
            f"{room}"
        )
    return pd.Timestamp(date)


def fitted_on(y: Outcome, n_loans: int, smallest: int) -> str:
    """Say on how many loans and exits a model was fitted."""
    exits = [f"{count_words(int(np.sum(y.event == y.cause_code(cause))), smallest)} {cause}" for cause in y.causes]
    return f"{told(n_loans, 'loan', smallest)}, with exits: {listed(exits)}"


def _fitted_forest(
    development: Spells, date: pd.Timestamp, settings: Evaluation, covariates: list[str], unit: str
) -> tuple[RandomSurvivalForest, Outcome]:
    """Fit a forest to the loans open one horizon before the development date, followed until it; give their outcome."""
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
    outcome = cohort.y[seen]
    return forest.fit(_with_age(cohort, covariates).iloc[seen], outcome), outcome


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
    unit, date, smallest = analysis.config.unit, f"{trial.date:%d %B %Y}", analysis.config.smallest_cell
    counts = listed([f"{count_words(n, smallest)} {cause}" for cause, n in events.items()])
    ahead = periods(settings.horizon, unit)
    # with both numbers, the small one left out could be computed
    few = is_small(trial.n_incomplete, smallest) or is_small(trial.left_out, smallest)
    text = (
        f"Both models were fitted on what was known on {date} and applied to loans open on that day; the exits of the {ahead} "
        f"after it ({counts}) were not used. The Cox models are cause-specific on loan age and were fitted to the {unit}s with "
        f"known covariates of {trial.development['Cox']}. The forest was grown on the loans open {ahead} earlier and followed "
        f"until {date}, with loan age as a covariate: {trial.development['Forest']}. Predicted were {len(trial.y):,} "
        + ("loans." if few else f"of {told(trial.n_open, 'loan', smallest)} open on {date}.")
    )
    if trial.date.date() != settings.development_until:
        text += f" That is the end of the last {unit} complete on {settings.development_until:%d %B %Y}."
    why = []
    if trial.n_incomplete:
        why.append(f"{told(trial.n_incomplete, 'loan', smallest)} with a covariate missing")
    if trial.left_out:
        why.append(f"{told(trial.left_out, 'loan', smallest)} that would get older than any seen in development")
    if why:
        text += f" Left out: {listed(why)}."
    if analysis.config.model.strata:
        text += " The Cox models here are not stratified: a stratum's baseline ends where its development data end."
    if trial.constant:
        named = listed([(analysis.config.terms.get(name, Term()).label or name).lower() for name in trial.constant])
        text += f" Without {named}, which did not vary by then."
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
    interval = Column("interval", f"{level_words(level)} CI", "interval:3")
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
        "measured on the same loans, so overlapping intervals do not show that they are equal. Intervals are Wald's, loans of "
        "one customer together; the predictions are taken as given, and censoring as independent of the risk."
    )
    title = f"Ranking of loans by risk, {periods(horizon, analysis.config.unit)} ahead"
    return Table("discrimination", title, columns, tuple(rows), tuple(groups), (note,))


def _accuracy(analysis: Analysis, settings: Evaluation, trial: Trial, causes: list[str]) -> Table:
    level, horizon = analysis.config.level, float(settings.horizon)
    aj = AalenJohansen().fit(trial.y, cluster=trial.groups, level=level)
    y = trial.y
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    for cause in causes:
        observed = risk_at(aj.curves_, 0, cause, horizon)
        for model, risk in trial.risk.items():
            table = brier_score(y, risk[cause][:, None], [horizon], cause=cause, cluster=trial.groups, level=level)
            if not isinstance(table, pd.DataFrame):
                raise DataError("The Brier score of several horizons is a frame.")
            score = table.iloc[0]
            actual: list[Cell] = [None, None] if observed is None else [observed[0], (observed[1], observed[2])]
            interval = (float(score["lower"]), float(score["upper"]))
            null = float(score["null_value"])
            difference: Cell = None
            if observed is not None:
                _, *bounds = brier_difference(y, risk[cause], observed[0], cause, horizon, trial.groups, level)
                difference = (bounds[0], bounds[1])
            rows.append((model, float(score["value"]), interval, null, difference, float(risk[cause].mean()), *actual))
            groups.append(cause.capitalize())
    columns = (
        Column("model", "Model"),
        Column("brier", "Brier score", "number:4"),
        Column("interval", f"{level_words(level)} CI", "interval:3"),
        Column("null", "Same risk for all", "number:4"),
        Column("difference", "Difference, CI", "interval:4"),
        Column("predicted", "Predicted", "percent:1"),
        Column("observed", "Observed", "percent:1"),
        Column("observed_interval", f"{level_words(level)} CI", "percent interval:1"),
    )
    note = (
        "Brier score: mean squared error of the predicted probability, reweighted for censoring; lower is better. \u201cSame "
        "risk for all\u201d is the score of predicting the observed share for every loan, so a useful model lies below it; the "
        "interval of the difference from it is paired, of the same loans, with loans of one customer together. "
        "Predicted: mean predicted probability, to be compared with the share observed (Aalen\u2013Johansen)."
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
            found.append(Finding(text, "amber", f"at least {least:g}", discrimination.key, value, "number:3"))
    for cause, (model, value, _, null, difference, *_) in zip(accuracy.groups, accuracy.rows, strict=True):
        if model == "Cox" and isinstance(difference, tuple) and difference[0] is not None and difference[0] > 0:
            text = (
                f"The Cox model's probabilities of {cause.lower()} are less accurate on the later period (Brier score "
                f"{value:.4f}) than the same risk for every loan ({null:.4f}); the difference lies between "
                f"{difference[0]:.4f} and {difference[1]:.4f}."
            )
            found.append(
                Finding(text, "amber", "interval of the difference not above 0", accuracy.key, difference, "interval:4")
            )
    return found


def _headlines(table: Table, settings: Evaluation, analysis: Analysis) -> tuple[Headline, ...]:
    model, value, interval = table.rows[0][:3]
    assert isinstance(value, float)
    assert isinstance(interval, tuple)
    lower, upper = interval
    assert lower is not None
    assert upper is not None
    return (
        headline(
            f"concordance.{table.groups[0].lower()}.{model}",
            f"Ranking of {table.groups[0].lower()} risk by the {model} model",
            (value, lower, upper),
            f"{periods(settings.horizon, analysis.config.unit)} not used for fitting; 0.5 is a coin, 1 perfect",
            level=analysis.config.level,
            scale="linear",
            format="number:3",
            symbol="C",
            better="higher",
        ),
    )
