"""The evaluation repeated at earlier dates: whether the model would have done as well whenever it had been fitted."""

from __future__ import annotations

from typing import Any

import pandas as pd

from churnsurv.evaluation import Evaluation
from churnsurv.plot import rolling_origin
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Cell, Column, Finding, Headline, Section, Table, Text
from churnsurv.report.disclosure import HIDDEN, notes_if_hidden
from churnsurv.report.estimates import bounded, bounds, in_words, number, records
from churnsurv.report.exit_counts import ALL_DATES
from churnsurv.report.figures import drawn
from churnsurv.report.headlines import headline
from churnsurv.report.trial import CHAMPION, NULL
from churnsurv.report.words import level_words, listed, periods

TITLE = "Backtest at earlier dates"

#: measures of the table: their key, heading and format
_MEASURES = (("auc", "AUC", 3), ("observed_expected", "Observed/expected", 2))


def backtest(analysis: Analysis) -> Part:
    """Fit and judge at several dates, and say whether the measures hold over time."""
    found, config = analysis.origins, analysis.config
    dates = sorted(pd.Timestamp(day) for day in found.folds["fold"].unique())
    causes = [str(cause) for cause in dict.fromkeys(found.table["cause"])]
    blocks: list[Block] = [Text(_reading(analysis, dates))]
    blocks += [Text(_said(found, cause, len(dates))) for cause in causes]
    if len(dates) > 1:
        blocks += [_figure(analysis, found, metric, config.main_cause) for metric, _, _ in _MEASURES]
    table = _table(analysis, found, causes, dates)
    blocks += [table, *_findings(analysis, found, causes, table.key)]
    return Part(Section("backtest", TITLE, tuple(blocks)), _headlines(analysis, found))


def _reading(analysis: Analysis, dates: list[pd.Timestamp]) -> str:
    settings, unit = analysis.config.evaluation, analysis.config.unit
    assert settings is not None
    days = listed([f"{day:%d %B %Y}" for day in dates])
    text = (
        f"The Cox models were fitted anew at {days}, each time on what was known then, and judged by the {len(dates)} cohorts "
        f"of loans open at these dates over {periods(settings.horizon, unit)}."
        if len(dates) > 1
        else f"The data leave room for one date only, {days}: nothing can be said of how the measures change over time."
    )
    if len(dates) > 1 and analysis.config.backtest.step < settings.horizon and not analysis.config.backtest.dates:
        text += (
            " The horizons of neighbouring dates overlap, and a loan stands in several cohorts: the estimates of neighbouring "
            "dates resemble each other, and the pooled interval counts each customer once."
        )
    return text


def _row(table: pd.DataFrame, metric: str, cause: str) -> dict[str, Any]:
    rows = table[(table["metric"] == metric) & (table["cause"] == cause) & (table["model"] == CHAMPION)]
    return records(rows)[0]


def _said(found: Evaluation, cause: str, n_dates: int) -> str:
    auc, ratio = (_row(found.table, metric, cause) for metric in ("auc", "observed_expected"))
    parts = []
    if bounded(auc) is not None:
        sure = (
            "better than chance"
            if auc["lower"] > 0.5
            else "the interval includes 0.5: no better than chance for all that can be told"
        )
        parts.append(f"an AUC of {in_words(auc['value'], auc['lower'], auc['upper'], 3)}, {sure}")
    if bounded(ratio) is not None:
        clear = not ratio["lower"] <= 1 <= ratio["upper"]
        sure = (
            f"{'more' if ratio['value'] > 1 else 'fewer'} than predicted left"
            if clear
            else "the interval includes 1: as many as predicted left, for all that can be told"
        )
        parts.append(f"an observed/expected of {in_words(ratio['value'], ratio['lower'], ratio['upper'])}, {sure}")
    over = f"Over all {n_dates} dates" if n_dates > 1 else "At that date"
    return f"{over}, {cause} has {listed(parts)}." if parts else f"{over}, {cause} could not be measured."


def _figure(analysis: Analysis, found: Evaluation, metric: str, cause: str) -> Block:
    own = found.folds[(found.folds["metric"] == metric) & (found.folds["cause"] == cause)]
    own = own[own["model"] == CHAMPION]
    label = {key: name for key, name, _ in _MEASURES}[metric]
    values = listed([f"{row['value']:.2f} in {row['fold']:%B %Y}" for row in records(own)])
    return drawn(
        f"backtest-{metric.replace('_', '-')}",
        f"{label} of {cause} by date of the fit",
        lambda ax: rolling_origin(found, metric, cause=cause, ax=ax, labels={NULL: "Same risk for all"}).set_ylabel(
            f"{label} of {cause}", parse_math=False
        ),
        alt=f"{label} of the Cox model by date: {values}.",
        caption=f"Bands: {level_words(analysis.config.level)}, of each date by itself.",
        height=3.2,
    )


def _table(analysis: Analysis, found: Evaluation, causes: list[str], dates: list[pd.Timestamp]) -> Table:
    smallest = analysis.config.smallest_cell
    level = level_words(analysis.config.level)
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    last: list[int] = []
    for cause in causes:
        tables = [found.folds[found.folds["fold"] == day] for day in dates]
        for day, each in zip(dates, tables, strict=True):
            rows.append(_cells(each, f"{day:%Y-%m-%d}", cause, analysis.exits.of_model(cause, day)))
        if len(dates) > 1:
            shown = analysis.exits.of_model(cause, ALL_DATES)
            rows.append(_cells(found.table, "All dates", cause, shown))
            last.append(len(rows) - 1)
        groups += [cause.capitalize()] * (len(rows) - len(groups))
    columns = [Column("date", "Fitted on"), Column("loans", "Loans", "integer"), Column("exits", "Exits", "integer")]
    for key, label, digits in _MEASURES:
        columns += [
            Column(key, label, f"number:{digits}"),
            Column(f"{key}_interval", f"{level} CI", f"interval:{digits}"),
        ]
    note = (
        "AUC: of a loan that leaves within the horizon and one that does not, how often has the first the higher predicted "
        "risk? Observed/expected: share that left (Aalen\u2013Johansen) over the mean prediction. Loans of one customer are "
        "together, at one date and at several; the fitted models are taken as given. Exits of all dates are counted at each "
        "date at which they lay ahead."
    )
    notes = (note, *notes_if_hidden(rows, smallest))
    return Table(
        "backtest-dates", "The Cox model by date of the fit", tuple(columns), tuple(rows), tuple(groups), notes, 0, tuple(last)
    )  # fmt: skip


def _cells(table: pd.DataFrame, name: str, cause: str, exits: Cell) -> tuple[Cell, ...]:
    cells: list[Cell] = [name, int(_row(table, "auc", cause)["n"]), exits]
    # ratio and ranking do not tell a number that only protects another one
    few = not isinstance(exits, int) and exits != HIDDEN
    for key, _, _ in _MEASURES:
        row = _row(table, key, cause)
        cells += [None, None] if few else [number(row["value"]), bounds(row["lower"], row["upper"])]
    return tuple(cells)


def _findings(analysis: Analysis, found: Evaluation, causes: list[str], evidence: str) -> list[Finding]:
    least, tolerance = analysis.config.backtest.least_auc, analysis.config.calibration.tolerance
    findings = []
    for cause in causes:
        own = found.folds[(found.folds["model"] == CHAMPION) & (found.folds["cause"] == cause)]
        auc = own[own["metric"] == "auc"]
        low = auc[auc["upper"] < least]
        if len(low):
            worst = low.loc[low["value"].idxmin()]
            text = (
                f"Fitted on {worst['fold']:%d %B %Y}, the Cox model ranks {cause} with an AUC of {worst['value']:.3f}."
            )
            findings.append(
                Finding(
                    text,
                    "amber",
                    f"no interval of the AUC below {least:g}",
                    evidence,
                    float(worst["value"]),
                    "number:3",
                )
            )
        ratio = own[own["metric"] == "observed_expected"].dropna(subset=["lower"])
        high, few = (ratio["lower"] > 1 + tolerance).all(), (ratio["upper"] < 1 / (1 + tolerance)).all()
        if len(ratio) > 1 and (high or few):
            pooled = _row(found.table, "observed_expected", cause)
            text = (
                f"At each of {len(ratio)} dates {'more' if high else 'fewer'} left by {cause} than the Cox model fitted then "
                f"predicted (observed/expected {in_words(pooled['value'], pooled['lower'], pooled['upper'])} in all): the "
                "predictions are off in one direction whenever they are made. Look for what changes over calendar time and is "
                "not in the model."
            )
            interval = bounds(pooled["lower"], pooled["upper"])
            threshold = f"within {tolerance:.0%} of 1 at some date"
            findings.append(Finding(text, "amber", threshold, evidence, interval, "interval:2"))
    return findings


def _headlines(analysis: Analysis, found: Evaluation) -> tuple[Headline, ...]:
    cause = analysis.config.main_cause
    if cause not in set(found.table["cause"]):
        return ()
    row = _row(found.table, "auc", cause)
    return (
        headline(
            f"backtest.auc.{cause}",
            f"AUC of {cause} over the dates of the backtest",
            bounded(row),
            "0.5 is a coin, 1 perfect",
            level=analysis.config.level,
            scale="linear",
            format="number:3",
            symbol="AUC",
        ),
    )
