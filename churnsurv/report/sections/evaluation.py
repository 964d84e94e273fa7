"""Discrimination and accuracy on a later period: fitted on what was known at a date, measured on the loans open then."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churnsurv.exceptions import ChurnSurvError
from churnsurv.metrics import brier_difference, cumulative_dynamic_auc
from churnsurv.plot import auc_over_time
from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Cell, Column, Figure, Finding, Headline, Section, Table, Text
from churnsurv.report.disclosure import count_words, is_small, told
from churnsurv.report.estimates import bounded, bounds, in_words, number
from churnsurv.report.figures import drawn
from churnsurv.report.headlines import headline
from churnsurv.report.settings import Term
from churnsurv.report.trial import CHAMPION, NULL, Trial
from churnsurv.report.words import inside, level_words, listed, periods

TITLE = "Prediction on a later period"


def evaluation(analysis: Analysis) -> Part:
    """Measure how well the models rank and how accurate their probabilities are, on loans and months they have not seen."""
    trial = analysis.trial
    with named("[evaluation]"):
        blocks: list[Block] = [Text(_reading(analysis, trial))]
        if trial.skipped:
            words = f"Too few exits by {listed(list(trial.skipped))} in the cohort to measure their prediction."
            blocks.append(Text(words, "note"))
        blocks += [Text(_said(analysis, trial, cause)) for cause in trial.causes]
        discrimination, accuracy = _discrimination(analysis, trial), _accuracy(analysis, trial)
        blocks += [discrimination, *_over_time(analysis, trial), accuracy, *_findings(analysis, trial, accuracy)]
    return Part(Section("evaluation", TITLE, tuple(blocks)), _headlines(analysis, trial))


def _reading(analysis: Analysis, trial: Trial) -> str:
    unit, date, smallest = analysis.config.unit, f"{trial.date:%d %B %Y}", analysis.config.smallest_cell
    counts = listed([f"{count_words(n, smallest)} {cause}" for cause, n in trial.events.items()])
    ahead, n_judged = periods(trial.horizon, unit), len(trial.cohort)
    settings = analysis.config.evaluation
    assert settings is not None
    # with both numbers, the small one left out could be computed
    few = is_small(trial.n_incomplete, smallest) or is_small(trial.left_out, smallest)
    text = (
        f"All models were fitted on what was known on {date} and applied to loans open on that day; the exits of the {ahead} "
        f"after it ({counts}) were not used. The Cox models, cause-specific on loan age, and the monthly hazards were fitted "
        f"to the {unit}s with known covariates of {trial.fitted_on['spells']}. "
    )
    if "cohort" in trial.fitted_on:
        text += (
            f"The other challengers were fitted to the loans open {ahead} earlier and followed until {date}, with loan age as "
            f"a covariate: {trial.fitted_on['cohort']}. "
        )
    text += f"Predicted were {n_judged:,} " + (
        "loans." if few else f"of {told(trial.n_open, 'loan', smallest)} open on {date}."
    )
    if trial.n_sampled is not None:
        n = analysis.spells.frame["loan_id"].nunique()
        text += f" All this is of a random sample of customers, with {trial.n_sampled:,} of {n:,} loans."
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
        labels = [inside(analysis.config.terms.get(name, Term()).label or name) for name in trial.constant]
        text += f" Without {listed(labels)}, which did not vary by then."
    return text


def _said(analysis: Analysis, trial: Trial, cause: str) -> str:
    row = trial.row("concordance", cause)
    if bounded(row) is None:
        return f"The ranking of {cause} could not be estimated: {row['reason'] or 'there are too few exits'}."
    shown = in_words(row["value"], row["lower"], row["upper"], 3)
    interval = f"({level_words(analysis.config.level)} interval in brackets)"
    if row["lower"] <= 0.5 <= row["upper"]:
        return (
            f"Whether the Cox model ranks {cause} better than chance cannot be told: Harrell's C is {shown} {interval}, and "
            "the interval includes 0.5, a coin."
        )
    if row["upper"] < 0.5:
        return f"The Cox model ranks {cause} the wrong way round: Harrell's C is {shown} {interval}; a coin has 0.5."
    return (
        f"The Cox model ranks {cause} better than chance: of two loans, the one that leaves first had the higher predicted "
        f"risk with a probability of {shown} {interval}; a coin has 0.5."
    )


def _models(trial: Trial) -> list[str]:
    return [str(name) for name in dict.fromkeys(trial.found.table["model"]) if name != NULL]


def _discrimination(analysis: Analysis, trial: Trial) -> Table:
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    for cause in trial.causes:
        for model in _models(trial):
            cells: list[Cell] = [model]
            for metric in ("concordance", "uno", "auc"):
                found = trial.row(metric, cause, model)
                cells += [number(found["value"]), bounds(found["lower"], found["upper"])]
            rows.append(tuple(cells))
            groups.append(cause.capitalize())
    level = level_words(analysis.config.level)
    columns = [Column("model", "Model")]
    for key, label in (("harrell", "Harrell's C"), ("uno", "Uno's C"), ("auc", "AUC")):
        name = "interval" if key == "harrell" else f"{key}_interval"
        columns += [Column(key, label, "number:3"), Column(name, f"{level} CI", "interval:3")]
    note = (
        "C (concordance): of two loans, how often has the one that leaves first the higher predicted risk? 0.5 is a coin, 1 "
        "perfect. Harrell's depends on when loans are censored, Uno's reweights so that it does not. AUC: the same of a loan "
        f"that leaves within {periods(trial.horizon, analysis.config.unit)} and one that does not. All models are measured on "
        "the same loans, so overlapping intervals do not show that they are equal. Intervals are Wald's, loans of one customer "
        "together; the predictions are taken as given, and censoring as independent of the risk."
    )
    title = f"Ranking of loans by risk, {periods(trial.horizon, analysis.config.unit)} ahead"
    return Table("discrimination", title, tuple(columns), tuple(rows), tuple(groups), (note,))


def _over_time(analysis: Analysis, trial: Trial) -> list[Block]:
    """Draw the AUC of the Cox model for every horizon with enough exits."""
    config, tables = analysis.config, {}
    for cause in trial.causes:
        left = trial.cohort.y.stop[trial.cohort.y.event == trial.cohort.y.cause_code(cause)]
        enough = max(config.smallest_cell, 5)
        times = [t for t in range(1, trial.horizon + 1) if np.count_nonzero(left <= t) >= enough]
        if not times:
            continue
        try:
            curves = trial.champion.predict_curves(trial.X, start=trial.age)
            risk = np.column_stack([curves.risk(cause, float(t)) for t in times])
            y, cluster = trial.cohort.y, trial.cohort.groups
            found = cumulative_dynamic_auc(y, risk, times, cause=cause, cluster=cluster, level=config.level)
        except ChurnSurvError:  # what cannot be estimated is said in the table
            continue
        assert isinstance(found, pd.DataFrame)
        tables[cause] = found
    if not tables:
        return []
    ends = [f"{cause} {t['value'].iloc[0]:.2f} to {t['value'].iloc[-1]:.2f}" for cause, t in tables.items()]
    figure: Figure = drawn(
        "auc-over-time",
        "AUC of the Cox model by horizon",
        lambda ax: auc_over_time(tables, ax=ax, unit=config.unit),
        alt=f"Lines of the AUC against the horizon, from the first to the last: {listed(ends)}.",
        caption=f"Bands: {level_words(config.level)}, pointwise. Dashed: a coin. From a {config.unit} with enough exits on.",
        height=3.4,
    )
    return [figure]


def _accuracy(analysis: Analysis, trial: Trial) -> Table:
    level, horizon = analysis.config.level, float(trial.horizon)
    y, cluster = trial.cohort.y, trial.cohort.groups
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    for cause in trial.causes:
        for model in _models(trial):
            score, ipa = trial.row("brier", cause, model), trial.row("ipa", cause, model)
            known = number(score["value"]) is not None
            difference: Cell = None
            null = None
            if known and number(ipa["value"]) is not None and ipa["value"] < 1:
                null = score["value"] / (1 - ipa["value"])
                share = trial.row("observed_expected", cause, model)["value"] * trial.risk(cause, model=model).mean()
                same = np.full(len(y), share)
                gap = brier_difference(
                    y, trial.risk(cause, model=model), same, horizon, cause=cause, cluster=cluster, level=level
                )
                difference = bounds(gap.lower, gap.upper)
            interval = bounds(score["lower"], score["upper"])
            rows.append((model, number(score["value"]), interval, null, difference, number(ipa["value"])))
            groups.append(cause.capitalize())
    columns = (
        Column("model", "Model"),
        Column("brier", "Brier score", "number:4"),
        Column("interval", f"{level_words(level)} CI", "interval:3"),
        Column("null", "Same risk for all", "number:4"),
        Column("difference", "Difference, CI", "interval:4"),
        Column("ipa", "Share saved (IPA)", "percent:1"),
    )
    note = (
        "Brier score: mean squared error of the predicted probability, reweighted for censoring; lower is better. \u201cSame "
        "risk for all\u201d is the score of predicting the observed share for every loan, so a useful model lies below it; the "
        "interval of the difference from it is paired, of the same loans, with loans of one customer together. Whether as many "
        "leave as predicted is in the section on calibration."
    )
    title = f"Accuracy of the probabilities, {periods(horizon, analysis.config.unit)} ahead"
    return Table("accuracy", title, columns, tuple(rows), tuple(groups), (note,))


def _findings(analysis: Analysis, trial: Trial, accuracy: Table) -> list[Finding]:
    """Hold the Cox models, which the report is about, to their thresholds; a suspicious model is a finding whichever it is."""
    settings = analysis.config.evaluation
    assert settings is not None
    least, most = analysis.config.thresholds.least_concordance, settings.highest_concordance
    found = []
    for cause in trial.causes:
        value = number(trial.row("concordance", cause)["value"])
        if value is not None and value < least:
            text = f"The Cox model ranks exits by {cause} with a concordance of {value:.3f} on the later period."
            found.append(Finding(text, "amber", f"at least {least:g}", "discrimination", value, "number:3"))
        for model in _models(trial):
            best = max(number(trial.row(metric, cause, model)["value"]) or 0.0 for metric in ("concordance", "auc"))
            if best > most:
                text = (
                    f"{model} ranks exits by {cause} with {best:.3f}, better than an honest model of leaving can be. Look for "
                    "a covariate that knows the outcome."
                )
                found.append(Finding(text, "red", f"at most {most:g}", "discrimination", best, "number:3"))
    for cause, row in zip(accuracy.groups, accuracy.rows, strict=True):
        brier, null, difference = row[1], row[3], row[4]
        if row[0] == CHAMPION and isinstance(difference, tuple) and difference[0] is not None and difference[0] > 0:
            text = (
                f"The Cox model's probabilities of {cause.lower()} are less accurate on the later period (Brier score "
                f"{brier:.4f}) than the same risk for every loan ({null:.4f}); the difference lies between "
                f"{difference[0]:.4f} and {difference[1]:.4f}."
            )
            threshold = "interval of the difference not above 0"
            found.append(Finding(text, "amber", threshold, "accuracy", difference[0], "number:4"))
    return found


def _headlines(analysis: Analysis, trial: Trial) -> tuple[Headline, ...]:
    ahead = periods(trial.horizon, analysis.config.unit)
    return tuple(
        headline(
            f"concordance.{cause}.{CHAMPION}",
            f"Ranking of {cause} risk by the {CHAMPION} model",
            bounded(trial.row("concordance", cause)),
            f"{ahead} not used for fitting; 0.5 is a coin, 1 perfect",
            level=analysis.config.level,
            scale="linear",
            format="number:3",
            symbol="C",
            n=len(trial.cohort),
        )
        for cause in trial.causes
    )
