"""Observed and expected by segment, and what a recalibration would change: parts of the section on calibration."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from churnsurv.data import Cohort
from churnsurv.estimators.recalibrated import Recalibrated
from churnsurv.evaluation import roll_forward
from churnsurv.exceptions import ChurnSurvError, SupportWarning
from churnsurv.outcome import Outcome
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Block, Cell, Column, Table, Text
from churnsurv.report.disclosure import HIDDEN, is_small, merged_small_groups, notes_if_hidden, suppressed_column
from churnsurv.report.estimates import bounds, number, records
from churnsurv.report.identifiers import without_ids
from churnsurv.report.settings import Term
from churnsurv.report.trial import Trial
from churnsurv.report.words import inside, level_words, listed, periods

#: different values of a number from which on its quarters are the segments
_MOST_VALUES = 8


def group_labels(analysis: Analysis, cohort: Cohort, name: str) -> pd.Series:
    """Give the values of a column as text, of an indicator yes and no; missing values stay missing."""
    values = cohort.frame[name]
    if analysis.config.terms.get(name, Term()).unit == "yes vs no" and set(values.dropna().unique()) <= {0, 1}:
        words = values.map({0: "no", 1: "yes"})
    elif pd.api.types.is_numeric_dtype(values):
        words = values.map("{:g}".format, na_action="ignore")
    else:
        words = values.astype(object).where(values.isna(), values.astype(str))
    return pd.Series(words.astype(object))


def banded(analysis: Analysis, cohort: Cohort, name: str, least: int) -> pd.Series:
    """Give the segment of each loan: the values of a column, quarters of a number of many values, small ones together."""
    values = cohort.frame[name]
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > _MOST_VALUES:
        words = pd.qcut(values, 4, duplicates="drop").astype(object)
    else:
        words = group_labels(analysis, cohort, name)
    labels = words.where(values.notna(), "missing").astype(str)
    return merged_small_groups(labels, cohort.frame["loan_id"], least, "others")


def segments(analysis: Analysis, trial: Trial) -> list[Block]:
    """Compare observed and expected exits by segment, with exact Poisson intervals."""
    config = analysis.config
    names = config.calibration.segments or config.incidence.segments
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    clear: list[str] = []
    for name in names:
        labels = banded(analysis, trial.cohort, name, max(20, config.smallest_cell))
        # the last two are not taken together, whatever their size: one tells of the other
        if labels.nunique() < 2 or is_small(int(labels.value_counts().min()), config.smallest_cell):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SupportWarning)  # the loans judged are those that the model covers
            found = roll_forward(trial.champion, trial.cohort, horizon=trial.horizon, by=labels, level=config.level)
        label = inside(config.terms.get(name, Term()).label or name)
        for cause in trial.causes:
            lines = found.summary[found.summary["cause"] == cause]
            own = lines[lines["vintage"] != "all"]
            exits = suppressed_column([int(n) for n in own["events"]], config.smallest_cell)
            if config.fairness and name in config.fairness.groups and any(isinstance(cell, str) for cell in exits):
                # that section hides other groups of the same exits to protect the small one
                exits = [HIDDEN] * len(exits)
            for row, shown in zip(records(own), exits, strict=True):
                rows.append(_segment_cells(row, shown))
                groups.append(f"{cause.capitalize()} by {label}")
                if row["alarm"] and not isinstance(shown, str):
                    clear.append(f"{row['vintage']} ({cause}: exit ratio {row['ratio']:.2f})")
    if not rows:
        return []
    said = (
        f"By segment, observed and expected differ by more than chance in {listed(clear)}."
        if clear
        else "In no segment do observed and expected differ by more than chance."
    )
    columns = (
        Column("segment", "Segment"),
        Column("loans", "Loans", "integer"),
        Column("exits", "Observed", "integer"),
        Column("expected", "Expected", "number:1"),
        Column("ratio", "Exit ratio", "number:2"),
        Column("interval", f"{level_words(config.level)} CI", "interval:2"),
        Column("p", "p, adjusted", "p"),
    )
    note = (
        "Expected: the sum of the model's hazards over each loan's own time under observation. Exit ratio: exits over this "
        "number, not the observed/expected of the probabilities at the end of the horizon; exact Poisson intervals, the "
        "model taken as given. p: of a ratio of 1, by Holm's rule for the segments and causes of one column; none where few "
        "are expected."
    )
    title = f"Observed and expected exits by segment, {periods(trial.horizon, config.unit)} ahead"
    notes = (note, *notes_if_hidden(rows, config.smallest_cell))
    return [Text(said), Table("calibration-segments", title, columns, tuple(rows), tuple(groups), notes)]


def _segment_cells(row: dict[str, Any], shown: Cell) -> tuple[Cell, ...]:
    if isinstance(shown, str):
        return (row["vintage"], int(row["n"]), shown, number(row["expected"]), None, None, None)
    interval = bounds(row["ratio_lower"], row["ratio_upper"])
    ratio, p = number(row["ratio"]), number(row["p_adjusted"])
    return (row["vintage"], int(row["n"]), shown, number(row["expected"]), ratio, interval, p)


def recalibration(analysis: Analysis, trial: Trial) -> tuple[dict[str, tuple[float, float, float]], list[Block]]:
    """Give the factor by which each cause's hazard would have to be multiplied for the loans judged, and the table of them."""
    age, smallest = trial.age, analysis.config.smallest_cell
    seen = np.flatnonzero(trial.cohort.y.stop > 0)
    y = trial.cohort.y[seen]
    on_age = Outcome(stop=age[seen] + y.stop, event=y.event, start=age[seen], causes=y.causes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SupportWarning)  # the loans judged are those that the model covers
            again = Recalibrated(trial.champion, level=analysis.config.level)
            again.fit(trial.X.iloc[seen], on_age, cluster=trial.cohort.groups[seen])
    except ChurnSurvError as error:
        return {}, [Text(f"The models could not be recalibrated: {without_ids(str(error), analysis)}", "note")]
    table = again.recalibration_
    exits = suppressed_column([int(n) for n in table["observed"]], smallest)
    factors, rows = {}, []
    for row, shown in zip(records(table), exits, strict=True):
        value, lower, upper = (float(np.exp(row[name])) for name in ("value", "lower", "upper"))
        known = not isinstance(shown, str)
        if known:
            factors[str(row["cause"])] = (value, lower, upper)
        cells = (value, bounds(lower, upper)) if known else (None, None)
        advice = _advice(lower, upper) if known else HIDDEN
        rows.append((str(row["cause"]).capitalize(), shown, number(row["expected"]), *cells, advice))
    columns = (
        Column("cause", "Cause"),
        Column("exits", "Observed", "integer"),
        Column("expected", "Expected", "number:1"),
        Column("factor", "Factor", "number:2"),
        Column("interval", f"{level_words(analysis.config.level)} CI", "interval:2"),
        Column("advice", "What it says"),
    )
    note = (
        f"The number by which the hazard of a cause would have to be multiplied to fit the exits of these loans since "
        f"{trial.date:%d %B %Y}, loans of one customer together (churnsurv.Recalibrated). It repairs the level of what has "
        "happened, not the order of the loans, and foresees nothing."
    )
    notes = (note, *notes_if_hidden(rows, smallest))
    return factors, [
        Table("recalibration", "What a recalibration would change", columns, tuple(rows), (), notes)
    ]  # fmt: skip


def _advice(lower: float, upper: float) -> str:
    if lower <= 1 <= upper:
        return "nothing to correct: the interval includes 1"
    return "raise the hazard" if lower > 1 else "lower the hazard"
