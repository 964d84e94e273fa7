"""How the model serves groups of customers: figures with intervals and flags, no verdict."""

from __future__ import annotations

from typing import Any

import pandas as pd

from churnsurv.evaluation import Fairness
from churnsurv.evaluation import fairness as by_group
from churnsurv.exceptions import ChurnSurvError
from churnsurv.plot import fairness as fairness_plot
from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Cell, Column, Figure, Finding, Section, Table, Text
from churnsurv.report.disclosure import HIDDEN
from churnsurv.report.estimates import bounds, in_words, number, records
from churnsurv.report.figures import WIDEST, drawn_row
from churnsurv.report.identifiers import without_ids
from churnsurv.report.sections.segments import group_labels
from churnsurv.report.settings import Term
from churnsurv.report.trial import Trial
from churnsurv.report.words import inside, level_words, listed, periods

TITLE = "Fairness by group of customers"

#: measure → heading, format and digits
_MEASURES = {
    "auc": ("AUC", "number:3", "interval:3"),
    "observed_expected": ("O/E", "number:2", "interval:2"),
    "true_positive_rate": ("Leavers found", "percent:0", "percent interval:0"),
    "offer_rate": ("Offered", "percent:0", "percent interval:0"),
}
_NAMES = {
    "concordance": "concordance",
    "auc": "AUC",
    "brier": "Brier score",
    "calibration_error": "observed minus predicted risk",
    "observed_expected": "observed/expected",
    "true_positive_rate": "share found of those who leave",
    "false_positive_rate": "share flagged of those who stay",
    "offer_rate": "offer rate",
    "offer_ratio": "ratio of offer rates",
}


def fairness(analysis: Analysis) -> Part:
    """Judge the Cox model's predictions of the main cause by group, one grouping after the other."""
    settings, trial = analysis.config.fairness, analysis.trial
    assert settings is not None
    blocks: list[Block] = [Text(_reading(analysis, trial))]
    with named("[fairness]"):
        for name in settings.groups:
            label = analysis.config.terms.get(name, Term()).label or name
            blocks.append(Text(label.capitalize() if label == name else label, "subheading"))
            try:
                found = _found(analysis, trial, name)
            except ChurnSurvError as error:
                blocks.append(
                    Text(f"Nothing can be shown by {inside(label)}: {without_ids(str(error), analysis)}", "note")
                )
                continue
            table = _table(analysis, found, name, label)
            blocks += [Text(_said(found, label)), _figure(analysis, found, name, label), table]
            blocks += _findings(found, label, table.key)
    return Part(Section("fairness", TITLE, tuple(blocks)))


def _reading(analysis: Analysis, trial: Trial) -> str:
    settings, cause = analysis.config.fairness, trial.causes[0]
    assert settings is not None
    text = (
        f"The Cox model's predictions of {cause} made on {trial.date:%d %B %Y}, by group of customers, and what happened "
        f"within {periods(trial.horizon, analysis.config.unit)}. "
    )
    if settings.threshold is not None:
        text += f"An offer goes to customers whose predicted risk is {settings.threshold:.0%} or more. "
    return text + (
        "No figure says that a model is fair: where groups leave at different rates, calibration within groups and equal error "
        "rates cannot both hold (Chouldechova 2017). That no difference is flagged does not show that there is none: look at "
        "the width of the intervals. Whether an unequal offer rate is a disadvantage depends on what the offer is."
    )


def _found(analysis: Analysis, trial: Trial, name: str) -> Fairness:
    settings, config = analysis.config.fairness, analysis.config
    assert settings is not None
    return by_group(
        trial.cohort.y,
        trial.champion.predict_curves(trial.X, start=trial.age),
        group_labels(analysis, trial.cohort, name),
        trial.horizon,
        cause=trial.causes[0],
        threshold=settings.threshold,
        cluster=trial.cohort.groups,
        smallest_cell=config.smallest_cell,
        ratio_threshold=settings.ratio,
        level=config.level,
    )


def _said(found: Fairness, label: str) -> str:
    hidden = int((found.groups["suppressed"] != "").sum())
    flags = records(found.flags)
    text = (
        f"By {inside(label)}, {len(flags)} figure{'s' if len(flags) > 1 else ''} stand{'' if len(flags) > 1 else 's'} out: "
        f"{'; '.join(_flag(row) for row in flags)}."
        if flags
        else f"No figure by {inside(label)} stands out: no difference is distinguishable from chance, and no ratio beyond its "
        "threshold."
    )
    return text + (f" {hidden} groups are not shown, for their small counts or to protect these." if hidden else "")


def _flag(row: dict[str, Any]) -> str:
    what = _NAMES.get(str(row["measure"]), str(row["measure"]))
    shown = in_words(row["value"], row["lower"], row["upper"])
    if row["measure"] == "offer_ratio":
        near = ", the interval reaches the threshold" if "interval reaches it" in str(row["says"]) else ""
        return f"{row['group']}, offers {shown} times as often as to the rest{near}"
    if str(row["says"]).startswith("differs"):
        return f"{row['group']}, {what} {str(row['says']).replace('differs from', 'other than that of')}, by {shown}"
    return f"{row['group']}, {what} {shown} ({row['says']})"


def _figure(analysis: Analysis, found: Fairness, name: str, label: str) -> Figure:
    shown = found.table[found.table["measure"] == "auc"]
    values = listed([f"{row['group']} {row['value']:.2f}" for row in records(shown)])
    measures = [
        m for m in ("auc", "observed_expected", "true_positive_rate", "offer_rate") if m in set(found.table["measure"])
    ]

    return drawn_row(
        f"fairness-{name}",
        f"{found.cause.capitalize()} by {inside(label)}",
        lambda axes: fairness_plot(found, measures=measures, axes=axes),
        panels=len(measures),
        width=min(1.4 + 1.9 * len(measures), WIDEST / 72),
        height=1.15 + 0.3 * len(found.groups),
        share_y=True,
        alt=f"A dot with interval per group and measure. AUC: {values}.",
        caption=(
            f"{level_words(analysis.config.level)} intervals. Lines: all customers, of calibration (dashed) where prediction "
            "and observation agree."
        ),
    )


def _table(analysis: Analysis, found: Fairness, name: str, label: str) -> Table:
    level = level_words(analysis.config.level)
    measures = [m for m in _MEASURES if m in set(found.table["measure"])]
    known = {(row["group"], row["measure"]): row for row in records(found.table)}
    rows: list[tuple[Cell, ...]] = []
    for group in records(found.groups):
        first = "All customers" if not rows else str(group["group"])
        if pd.isna(group["n"]):
            rows.append((first, HIDDEN, HIDDEN, *[None] * (2 * len(measures))))
            continue
        cells: list[Cell] = [first, int(group["n"]), int(group["n_events"])]
        for measure in measures:
            row = known.get((group["group"], measure))
            cells += [None, None] if row is None else [number(row["value"]), bounds(row["lower"], row["upper"])]
        rows.append(tuple(cells))
    columns = [
        Column("group", label.capitalize() if label == name else label),
        Column("loans", "Loans", "integer"),
        Column("exits", "Exits", "integer"),
    ]
    for measure in measures:
        heading, one, interval = _MEASURES[measure]
        columns += [Column(measure, heading, one), Column(f"{measure}_interval", f"{level} CI", interval)]
    notes = [
        "O/E: observed share that left (Aalen and Johansen) over the mean predicted probability, as in the section on "
        "calibration. Intervals are by customers. Differences are tested with Holm's rule over all groups and measures."
    ]
    if any(row[1] == HIDDEN for row in rows):
        notes.append(
            f"Groups with a count from 1 to {found.smallest_cell - 1}, and those that protect them, are not shown."
        )
    title = f"The Cox model by {inside(label)}"
    return Table(f"fairness-{name}-table", title, tuple(columns), tuple(rows), (), tuple(notes), 0, (0,))


def _one_per_group(flags: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the plainest flag of each group: the ratio of offers, or else the first."""
    chosen: dict[str, dict[str, Any]] = {}
    for row in sorted(flags, key=lambda row: row["measure"] != "offer_ratio"):
        chosen.setdefault(str(row["group"]), row)
    return list(chosen.values())


def _findings(found: Fairness, label: str, evidence: str) -> list[Finding]:
    """Take what surely stands out together; groups that are off like all customers are a finding of the calibration."""
    sure = [
        row for row in records(found.flags)
        if row["measure"] != "observed_expected" and "interval reaches it" not in str(row["says"])
    ]  # fmt: skip
    if not sure:
        return []
    told = "; ".join(_flag(row) for row in _one_per_group(sure))
    text = (
        f"By {inside(label)}, groups are treated differently: {told}. Find out whether risk, data or model differ before "
        "offers are made by it."
    )
    threshold = "no difference between groups, or ratio of offer rates, surely beyond its threshold"
    return [Finding(text, "amber", threshold, evidence, len(sure), "integer")]
