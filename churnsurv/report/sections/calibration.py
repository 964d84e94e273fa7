"""Calibration on the later period: whether as many leave as predicted, by predicted risk and by segment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from churnsurv.exceptions import ChurnSurvError
from churnsurv.metrics import Calibration, d_calibration
from churnsurv.metrics import calibration as judged
from churnsurv.outcome import Outcome
from churnsurv.plot import calibration as calibration_plot
from churnsurv.plot.calibration import calibration_limit
from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Cell, Column, Finding, Headline, Section, Table, Text
from churnsurv.report.disclosure import notes_if_hidden, suppressed_column
from churnsurv.report.estimates import bounded, bounds, in_words, number, records
from churnsurv.report.figures import drawn
from churnsurv.report.headlines import headline
from churnsurv.report.identifiers import without_ids
from churnsurv.report.sections.segments import recalibration, segments
from churnsurv.report.trial import Trial
from churnsurv.report.words import level_words, p_words, percent, periods

TITLE = "Calibration"

#: what each number should be
_MEASURES = (
    ("observed_expected", "Observed/expected", "1; below it fewer leave than predicted"),
    ("slope", "Calibration slope", "1; below it predictions are too extreme"),
    ("intercept", "Calibration intercept", "0; above it more leave than predicted"),
    ("ici", "Mean distance (ICI)", "0, but above it by chance"),
    ("e50", "Median distance (E50)", "0, but above it by chance"),
    ("e90", "90th percentile of the distance (E90)", "0, but above it by chance"),
)
#: exits that a band of predicted risk should hold on average
_PER_BAND = 15


def calibration(analysis: Analysis) -> Part:
    """Compare predicted and observed numbers of the Cox model out of time, and say what recalibration would change."""
    trial = analysis.trial
    found: dict[str, Calibration] = {}
    blocks: list[Block] = []
    with named("[calibration]"):
        for cause in trial.causes:
            try:
                found[cause] = _judged(analysis, trial, cause)
            except ChurnSurvError as error:
                blocks.append(
                    Text(
                        f"The calibration of {cause} could not be measured: {without_ids(str(error), analysis)}", "note"
                    )
                )
        blocks = [Text(_said(analysis, trial, cause, one)) for cause, one in found.items()] + blocks
        factors, changes = recalibration(analysis, trial)
        # a curve of four coefficients through a handful of exits shows nothing
        blocks += [_figure(analysis, trial, c, one) for c, one in found.items() if trial.events[c] >= 2 * _PER_BAND]
        if found:
            blocks += [_measures(analysis, found), _bands(analysis, trial, found)]
        blocks += [*segments(analysis, trial), *changes, Text(_whole_curves(analysis, trial))]
        blocks += _findings(analysis, trial, found, factors)
    headlines = tuple(_headline(analysis, trial, cause, one) for cause, one in found.items())
    return Part(Section("calibration", TITLE, tuple(blocks)), headlines)


def _judged(analysis: Analysis, trial: Trial, cause: str) -> Calibration:
    bands = max(2, min(analysis.config.calibration.bands, trial.events[cause] // _PER_BAND))
    return judged(
        trial.cohort.y,
        trial.risk(cause),
        trial.horizon,
        cause=cause,
        bins=bands,
        cluster=trial.cohort.groups,
        level=analysis.config.level,
    )


def _said(analysis: Analysis, trial: Trial, cause: str, one: Calibration) -> str:
    ratio, slope, ahead = one.observed_expected, one.slope, periods(trial.horizon, analysis.config.unit)
    shown = in_words(ratio.value, ratio.lower, ratio.upper)
    if ratio.lower <= 1 <= ratio.upper:
        text = (
            f"Within {ahead}, as many loans left by {cause} as the Cox model predicted, for all that can be told: "
            f"observed/expected is {shown}, and the interval includes 1."
        )
    else:
        more, share = ("more", ratio.value - 1) if ratio.value > 1 else ("fewer", 1 - ratio.value)
        text = f"Within {ahead}, {share:.0%} {more} loans left by {cause} than predicted: observed/expected is {shown}."
    if np.isnan(slope.value):
        return text
    shown = in_words(slope.value, slope.lower, slope.upper)
    if slope.lower <= 1 <= slope.upper:
        return text + f" The spread of the predictions is not distinguishable from right (slope {shown}; 1 is right)."
    extreme = "too far apart" if slope.value < 1 else "too close together"
    return text + f" The predictions lie {extreme} (slope {shown}; 1 is right)."


def _figure(analysis: Analysis, trial: Trial, cause: str, one: Calibration) -> Block:
    shown = _shown_bands(analysis, one)
    drawn_bands = one.table.assign(observed=np.where(shown, one.table["observed"], np.nan))
    low, high = one.curve.iloc[0], one.curve.iloc[-1]
    shown_of = replace(one, table=drawn_bands)
    limit = calibration_limit(shown_of)
    beyond = float(np.mean(trial.risk(cause) > limit))
    return drawn(
        f"calibration-{cause}",
        f"Predicted and observed probability of {cause}, {periods(trial.horizon, analysis.config.unit)} ahead",
        lambda ax: calibration_plot(shown_of, ax=ax),
        alt=(
            f"Smooth curve of observed against predicted {cause}: where {low['predicted']:.1%} is predicted "
            f"{low['observed']:.1%} are observed, where {high['predicted']:.1%} is predicted {high['observed']:.1%}."
        ),
        caption=(
            f"Band and bars: {level_words(analysis.config.level)}. Smooth curve through the pseudo-values of the loans; bands "
            "of equal numbers of loans by Aalen and Johansen's estimate."
            + (
                f" The axes end at {percent(limit)}: {percent(beyond)} of the loans have higher predictions, up to "
                f"{percent(float(high['predicted']))}."
                if high["predicted"] > limit
                else ""
            )
        ),
        width=5.0,
        height=4.6,
    )


def _shown_bands(analysis: Analysis, one: Calibration) -> Any:
    cells = suppressed_column([int(n) for n in one.table["n_events"]], analysis.config.smallest_cell)
    return np.array([not isinstance(cell, str) for cell in cells])


def _measures(analysis: Analysis, found: dict[str, Calibration]) -> Table:
    rows, groups = [], []
    for cause, one in found.items():
        for name, label, right in _MEASURES:
            estimate = getattr(one, name)
            rows.append((label, number(estimate.value), bounds(estimate.lower, estimate.upper), right))
            groups.append(cause.capitalize())
    columns = (
        Column("measure", "Measure"),
        Column("value", "Value", "number:3"),
        Column("interval", f"{level_words(analysis.config.level)} CI", "interval:3"),
        Column("right", "What is right"),
    )
    note = (
        "Observed/expected (O/E): share of the loans that left within the horizon, by Aalen and Johansen's estimate with the "
        "other causes at work, over their mean predicted probability. Slope and intercept: of a regression of the "
        "outcome on the predictions, on the complementary log-log scale; the intercept with the slope held at 1. ICI, E50, "
        "E90: distance between smooth curve and prediction over the loans, as probabilities. Loans of one customer are "
        "together; the predictions are taken as given, and censoring as independent of the risk."
    )
    return Table("calibration-measures", "Calibration of the Cox model", columns, tuple(rows), tuple(groups), (note,))


def _bands(analysis: Analysis, trial: Trial, found: dict[str, Calibration]) -> Table:
    smallest = analysis.config.smallest_cell
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    for cause, one in found.items():
        exits = suppressed_column([int(n) for n in one.table["n_events"]], smallest)
        for row, shown in zip(records(one.table), exits, strict=True):
            known = not isinstance(shown, str)
            observed = (number(row["observed"]), bounds(row["lower"], row["upper"])) if known else (None, None)
            rows.append((int(row["bin"]), int(row["n"]), shown, float(row["mean_predicted"]), *observed))
            groups.append(cause.capitalize())
    columns = (
        Column("band", "Band", "integer"),
        Column("loans", "Loans", "integer"),
        Column("exits", "Exits", "integer"),
        Column("predicted", "Predicted", "percent:1"),
        Column("observed", "Observed", "percent:1"),
        Column("interval", f"{level_words(analysis.config.level)} CI", "percent interval:1"),
    )
    title = f"By band of predicted risk, {periods(trial.horizon, analysis.config.unit)} ahead"
    notes = notes_if_hidden(rows, smallest)
    return Table("calibration-bands", title, columns, tuple(rows), tuple(groups), notes)


def _whole_curves(analysis: Analysis, trial: Trial) -> str:
    """Say what the test of whole curves found."""
    y, age = trial.cohort.y, trial.age
    on_age = Outcome(stop=age + y.stop, event=y.event, start=age, causes=y.causes)
    try:
        found = d_calibration(on_age, trial.champion.predict_curves(trial.X, start=age))
    except ChurnSurvError as error:
        return f"The calibration of the whole curves could not be tested: {without_ids(str(error), analysis)}"
    words = f"\u03c7\u00b2 = {found.statistic:.1f} with {found.df:g} degrees of freedom, {p_words(found.p_value)}"
    if found.p_value < 0.05:
        return f"The whole curves, all causes together, are not calibrated (D-calibration: {words})."
    return (
        f"The whole curves, all causes together, show no departure from calibration (D-calibration: {words}); with as much "
        "censoring as here the test finds large departures only."
    )


def _findings(
    analysis: Analysis, trial: Trial, found: dict[str, Calibration], factors: dict[str, tuple[float, float, float]]
) -> list[Finding]:
    tolerance = analysis.config.calibration.tolerance
    findings = []
    for cause, one in found.items():
        ratio = one.observed_expected
        beyond = not 1 / (1 + tolerance) <= ratio.value <= 1 + tolerance
        if ratio.lower <= 1 <= ratio.upper or not beyond:
            continue
        surely = ratio.lower > 1 + tolerance or ratio.upper < 1 / (1 + tolerance)
        text = (
            f"{'More' if ratio.value > 1 else 'Fewer'} loans left by {cause} than predicted: observed/expected "
            f"{in_words(ratio.value, ratio.lower, ratio.upper)}."
        )
        if cause in factors:
            factor = factors[cause]
            text += f" Recalibrated on these loans, its hazard is multiplied by {in_words(*factor)}"
            clear = not factor[1] <= 1 <= factor[2]
            text += (
                ": use the recalibrated model, and look for what changed."
                if clear
                else "; as that interval includes 1, watch it before correcting."
            )
        threshold = f"within {tolerance:.0%} of 1, or not distinguishable from 1"
        interval = bounds(ratio.lower, ratio.upper)
        severity = "red" if surely else "amber"
        findings.append(Finding(text, severity, threshold, "calibration-measures", interval, "interval:2"))  # type: ignore[arg-type]
    return findings


def _headline(analysis: Analysis, trial: Trial, cause: str, one: Calibration) -> Headline:
    ratio = one.observed_expected
    known = bounded(ratio)
    clear = known is not None and not known[1] <= 1 <= known[2]
    return headline(
        f"observed-expected.{cause}.{trial.horizon}",
        f"Observed/expected {cause} within {periods(trial.horizon, analysis.config.unit)}",
        known,
        "as many left as predicted, for all that can be told"
        if not clear
        else f"{'more' if ratio.value > 1 else 'fewer'} left than predicted",
        level=analysis.config.level,
        scale="log",
        format="number:2",
        symbol="O/E",
        n=len(trial.cohort),
    )
