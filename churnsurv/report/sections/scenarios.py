"""Sensitivity and stress: expected exits of the loans open today under paths of rates and unemployment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from churnsurv.evaluation import ScenarioResult, scenario, shock_paths
from churnsurv.evaluation.scenario_result import Interval
from churnsurv.plot import scenarios as scenario_plot
from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Cell, Column, Figure, Finding, Headline, Section, Table, Text
from churnsurv.report.disclosure import is_small, told, told_part
from churnsurv.report.estimates import bounded, bounds, in_words, records
from churnsurv.report.figures import drawn_row
from churnsurv.report.headlines import headline
from churnsurv.report.settings import Term
from churnsurv.report.words import inside, level_words, listed, periods

TITLE = "Sensitivity and stress scenarios"

#: of the expected number, and of the number that will be counted
_INTERVALS: tuple[Interval, Interval] = ("mean", "prediction")
#: quantity of the result → heading and unit
_QUANTITIES = (("loans", "Loans leaving by {}", 1.0), ("balance", "Balance leaving by {}, thousands", 1_000.0))


def scenarios(analysis: Analysis) -> Part:
    """Predict exits under every scenario, and compare each with the base."""
    settings, config = analysis.config.scenarios, analysis.config
    assert settings is not None
    with named("[scenarios]"):
        found, cohort_size, n_open = _run(analysis)
        causes = [c for c in (config.main_cause, config.safety_cause) if c is not None and c in found.causes]
        blocks: list[Block] = [Text(_reading(analysis, found, cohort_size, n_open))]
        blocks += [Text(_said(found, cause, settings.horizon, config.unit)) for cause in causes]
        blocks += [_figure(analysis, found, causes), _table(analysis, found, causes), *_extrapolation(analysis, found)]
        blocks += _findings(analysis, found, causes)
        few = is_small(n_open - found.n_loans, config.smallest_cell)
    return Part(Section("scenarios", TITLE, tuple(blocks)), _headlines(analysis, found, causes, few))


def _run(analysis: Analysis) -> tuple[ScenarioResult, int, int]:
    settings, config = analysis.config.scenarios, analysis.config
    assert settings is not None
    date = (
        analysis.spells.frame["period"].max().to_period("M" if config.unit == "month" else "Q")
    ).end_time.normalize()
    everybody = analysis.spells.landmark(date)
    cohort = everybody.complete()
    if len(cohort) > settings.most_loans:
        customers = np.unique(cohort.groups)
        share = max(1, int(len(customers) * settings.most_loans / len(cohort)))
        cohort = cohort.of_customers(np.random.default_rng(0).choice(customers, share, replace=False))
    paths = shock_paths(
        analysis.tables["macro"],
        config.spells,
        date=date,
        horizon=settings.horizon,
        shocks=settings.shocks or None,
        ramp=settings.ramp or None,
    )
    found = scenario(
        analysis.model,
        cohort,
        paths,
        horizon=settings.horizon,
        beyond="leave out",
        development=analysis.complete.frame[analysis.covariates],
        level=config.level,
    )
    return found, len(cohort), len(everybody)


def _label(analysis: Analysis, name: str) -> str:
    return inside(analysis.config.terms.get(name, Term()).label or name)


def _reading(analysis: Analysis, found: ScenarioResult, n: int, n_open: int) -> str:
    config, settings = analysis.config, analysis.config.scenarios
    assert settings is not None
    horizon = settings.horizon
    others = list(found.scenarios[1:])
    loans = told_part(found.n_loans, n_open, "loan", config.smallest_cell)
    text = (
        f"What {loans} open on {found.date:%d %B %Y} are expected to do within "
        f"{periods(horizon, config.unit)}, by the Cox models of this report, if every series stays as "
        f"it is ({found.scenarios[0]}), and under {listed(others)}. Along the paths move "
        f"{listed([_label(analysis, c) for c in found.followed])}. "
    )
    if found.frozen:
        text += (
            f"All other covariates stay as they were on that day, so that a path acts through these series alone: "
            f"{listed([_label(analysis, c) for c in found.frozen])}. "
        )
    if n_open > settings.most_loans:
        text += f"These are of a random sample of customers, of {n_open:,} loans open in all: the numbers are of the sample. "
    elif n < n_open:
        text += f"{told(n_open - n, 'loan', config.smallest_cell).capitalize()} with a covariate missing are left out. "
    return text + " ".join(note if note.endswith(".") else f"{note}." for note in _notes(analysis, found))


def _notes(analysis: Analysis, found: ScenarioResult) -> list[str]:
    """Give what the result notes of its assumptions, without small counts."""
    kept = [note for note in found.notes if "left out" not in note]
    older = [note for note in found.notes if "left out" in note]
    for note in older:
        number = int(note.split()[0].replace(",", ""))
        kept.append(
            f"{told(number, 'loan', analysis.config.smallest_cell).capitalize()} that would grow older than any loan of the "
            "data are left out."
        )
    return kept


def _at_end(table: pd.DataFrame, unit: str, horizon: int) -> pd.DataFrame:
    return table[table[unit] == horizon]


def _pick(table: pd.DataFrame, scenario_name: str, cause: str, quantity: str) -> dict[str, Any]:
    rows = table[(table["scenario"] == scenario_name) & (table["cause"] == cause) & (table["quantity"] == quantity)]
    return records(rows)[0]


def _said(found: ScenarioResult, cause: str, horizon: int, unit: str) -> str:
    value = _at_end(found.to_frame(cumulative=True), unit, horizon)
    base = _pick(value, found.scenarios[0], cause, "loans")
    text = (
        f"{cause.capitalize()}: {in_words(base['value'], base['lower'], base['upper'], 0)} loans in the "
        f"{found.scenarios[0]}."
    )
    if len(found.scenarios) < 2:
        return text
    change = _at_end(found.difference(cumulative=True), unit, horizon)
    parts = []
    for name in found.scenarios[1:]:
        row = _pick(change, name, cause, "loans")
        shown = in_words(row["value"], row["lower"], row["upper"], 1)
        if row["lower"] <= 0 <= row["upper"]:
            parts.append(f"no distinguishable change under {name} ({shown}; the interval includes 0)")
        else:
            parts.append(f"{'more' if row['value'] > 0 else 'fewer'} under {name} ({shown})")
    return f"{text} Against it, {listed(parts)}."


def _figure(analysis: Analysis, found: ScenarioResult, causes: list[str]) -> Figure:
    unit = analysis.config.unit
    assert analysis.config.scenarios is not None
    value = _at_end(found.to_frame(cumulative=True), unit, analysis.config.scenarios.horizon)
    ends = []
    for name in found.scenarios:
        numbers = [f"{cause} {_pick(value, name, cause, 'loans')['value']:.0f}" for cause in causes]
        ends.append(f"{name} {listed(numbers)}")
    return drawn_row(
        "scenario-exits",
        "Expected number of loans leaving, by scenario",
        lambda axes: scenario_plot(found, causes=causes, axes=axes),
        panels=len(causes),
        width=3.1 * len(causes) + 1.6,
        height=3.3,
        alt=f"Lines rising with the {unit}s ahead; at the end: {'; '.join(ends)}.",
        caption=(
            f"Band: the base's {level_words(analysis.config.level)} interval of the expected number; bars at the right: those "
            "of all scenarios at the end. Each panel has its own scale."
        ),
    )


def _table(analysis: Analysis, found: ScenarioResult, causes: list[str]) -> Table:
    config, settings = analysis.config, analysis.config.scenarios
    assert settings is not None
    level = level_words(config.level)
    mean, chance = (
        _at_end(found.to_frame(cumulative=True, interval=kind), config.unit, settings.horizon) for kind in _INTERVALS
    )
    change = (
        _at_end(found.difference(cumulative=True), config.unit, settings.horizon) if len(found.scenarios) > 1 else None
    )
    has_balance = bool((mean["quantity"] == "balance").any())
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    for cause in causes:
        for quantity, label, unit in _QUANTITIES:
            if quantity == "balance" and not has_balance:
                continue
            for name in found.scenarios:
                one, counted = (_pick(table, name, cause, quantity) for table in (mean, chance))
                cells: list[Cell] = [name, one["value"] / unit, bounds(one["lower"] / unit, one["upper"] / unit)]
                cells.append(bounds(counted["lower"] / unit, counted["upper"] / unit))
                if change is not None and name != found.scenarios[0]:
                    gap = _pick(change, name, cause, quantity)
                    cells += [gap["value"] / unit, bounds(gap["lower"] / unit, gap["upper"] / unit)]
                else:
                    cells += [None, None]
                rows.append(tuple(cells))
                groups.append(label.format(cause))
    columns = (
        Column("scenario", "Scenario"),
        Column("value", "Expected", "number:0"),
        Column("interval", f"{level} CI", "interval:0"),
        Column("prediction", f"{level} of the number", "interval:0"),
        Column("change", "Against base", "number:1"),
        Column("change_interval", f"{level} CI", "interval:1"),
    )
    note = (
        "CI: of the expected number, from the errors of the model's coefficients and baselines. Of the number: with the chance "
        "of single exits besides. Differences are of the expected numbers, whose errors largely cancel. The paths are taken as "
        "known, the model as right, and new loans are not in it: this is no forecast of the paths, and no effect of a rate "
        "that the lender sets."
    )
    title = f"Expected exits within {periods(settings.horizon, config.unit)}"
    return Table("scenario-table", title, columns, tuple(rows), tuple(groups), (note,))


def _extrapolation(analysis: Analysis, found: ScenarioResult) -> list[Block]:
    table = found.extrapolation
    beyond = table[table["share_outside"] >= 0.005]
    if beyond.empty:
        return [Text("Along all paths the covariates stay within the range of the data, or nearly so.", "note")]
    rows = tuple(
        (
            _label(analysis, str(row["variable"])).capitalize(), str(row["scenario"]),
            (float(row["lowest"]), float(row["highest"])), float(row["share_outside"]),
        )
        for row in records(beyond)
    )  # fmt: skip
    columns = (
        Column("covariate", "Covariate"),
        Column("scenario", "Scenario"),
        Column("range", "Range of the data", "interval:2"),
        Column("share", f"Loan-{analysis.config.unit}s outside", "percent:1"),
    )
    note = "Outside the range of the data the numbers rest on the form of the model alone."
    return [Table("scenario-extrapolation", "Where the scenarios leave the data", columns, rows, (), (note,))]


def _findings(analysis: Analysis, found: ScenarioResult, causes: list[str]) -> list[Finding]:
    settings, unit = analysis.config.scenarios, analysis.config.unit
    assert settings is not None
    findings = []
    if len(found.scenarios) > 1:
        value = _at_end(found.to_frame(cumulative=True), unit, settings.horizon)
        change = _at_end(found.difference(cumulative=True), unit, settings.horizon)
        for cause in causes:
            base = _pick(value, found.scenarios[0], cause, "loans")["value"]
            for name in found.scenarios[1:]:
                gap = _pick(change, name, cause, "loans")
                if gap["lower"] > 0 and base > 0 and gap["value"] / base > settings.largest_change:
                    text = (
                        f"Under {name}, {in_words(gap['value'], gap['lower'], gap['upper'], 1)} more loans leave by {cause} "
                        f"than in the base, {gap['value'] / base:.0%} more: plan for it."
                    )
                    threshold = f"at most {settings.largest_change:.0%} more than in the base"
                    share = float(gap["value"] / base)
                    findings.append(Finding(text, "amber", threshold, "scenario-table", share, "percent:0"))
    table = found.extrapolation
    far = table[table["share_outside"] > settings.most_extrapolated]
    if len(far):
        worst = far.loc[far["share_outside"].idxmax()]
        names = listed([_label(analysis, str(name)) for name in dict.fromkeys(far["variable"])])
        where = listed([str(name) for name in dict.fromkeys(far["scenario"])])
        text = (
            f"Scenarios leave the range of the data in {names} (under {where}; up to {worst['share_outside']:.0%} of the "
            f"loan-{unit}s): read their numbers as the model's form, not as experience."
        )
        threshold = f"at most {settings.most_extrapolated:.0%} of the loan-{unit}s"
        share = float(worst["share_outside"])
        findings.append(Finding(text, "amber", threshold, "scenario-extrapolation", share, "percent:0"))
    return findings


def _headlines(analysis: Analysis, found: ScenarioResult, causes: list[str], few: bool) -> tuple[Headline, ...]:
    settings, unit = analysis.config.scenarios, analysis.config.unit
    assert settings is not None
    value = _at_end(found.to_frame(cumulative=True), unit, settings.horizon)
    base = found.scenarios[0]
    return tuple(
        headline(
            f"scenario.{base}.{cause}.{settings.horizon}",
            f"Loans expected to leave by {cause} within {periods(settings.horizon, unit)}",
            bounded(_pick(value, base, cause, "loans")),
            "if every series stays as it is; the interval is of the expected number",
            level=analysis.config.level,
            scale="log",
            format="number:0",
            n=None if few else found.n_loans,
        )
        for cause in causes
    )
