"""Attrition against targets of the configuration, and beside figures of others."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

from churnsurv.evaluation.rates import exit_rates
from churnsurv.messages import counted
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Block, Cell, Column, Finding, Table, Text
from churnsurv.report.exit_counts import YEAR
from churnsurv.report.incidence import Bounded, fitted_group, is_group_shown, risk_at
from churnsurv.report.sections.attrition_rates import is_within, last_year, restricted
from churnsurv.report.settings import Benchmark, Target
from churnsurv.report.words import are, is_clear, level_words, percent, periods

Verdict = Literal["met", "missed", "cannot be told yet", "not estimable"]


def goals(analysis: Analysis) -> list[Block]:
    """Give the tables of targets and benchmark figures, with a finding for each target that is missed."""
    measured = cache(lambda goal: _measured(analysis, goal))
    blocks: list[Block] = []
    if analysis.config.targets:
        blocks += _targets(analysis, {target: measured(target) for target in analysis.config.targets})
    if analysis.config.benchmarks:
        blocks += _benchmarks(analysis, {one: measured(one) for one in analysis.config.benchmarks})
    return blocks


def _measured(analysis: Analysis, goal: Target | Benchmark) -> Bounded:
    """Give our figure with its interval; None where it is not estimable or may not be shown."""
    name, label, cause = goal.segment, goal.group, goal.cause
    if not analysis.exits.is_shown(cause, "reason"):
        return None
    if name is not None and label is not None and not is_group_shown(analysis, name, label, cause):
        return None
    if goal.horizon is None:
        return _yearly_rate(analysis, goal)
    fitted = fitted_group(analysis, name, label)
    if fitted is None:
        return None
    return risk_at(fitted.curves_, 0, cause, float(fitted.curves_.origin[0]) + goal.horizon)


def _yearly_rate(analysis: Analysis, goal: Target | Benchmark) -> Bounded:
    spells, quarters = last_year(analysis)
    if len(quarters) < YEAR or not analysis.exits.is_shown(goal.cause, "year", 0):
        return None
    if goal.segment is not None:
        mine = (analysis.groups[goal.segment] == goal.group).to_numpy()
        spells = restricted(analysis, mine & is_within(analysis.spells.frame, quarters))
        # of a part of a group's exits the rest is not shown, so that a small part is all there is to hide
        if int((spells.frame["cause"] == goal.cause).sum()) < analysis.config.smallest_cell:
            return None
    rates = exit_rates(spells, np.zeros(len(spells)), level=analysis.config.level).iloc[0]
    value, lower, upper = (float(rates[f"{goal.cause} {which}"]) for which in ("rate", "lower", "upper"))
    return value, lower, upper


def verdict_of(target: Target, found: Bounded) -> Verdict:
    """Say whether a target is met: the whole interval lies on its right side, on the wrong one, or on both.

    >>> verdict_of(Target(cause="attrition", value=0.2), (0.17, 0.15, 0.19))
    'met'
    >>> verdict_of(Target(cause="attrition", value=0.2), (0.19, 0.17, 0.21))
    'cannot be told yet'
    """
    if found is None:
        return "not estimable"
    _, lower, upper = found
    below, above = upper <= target.value, lower >= target.value
    met, missed = (below, above) if target.direction == "at most" else (above, below)
    return "met" if met else "missed" if missed else "cannot be told yet"


def measure_words(goal: Target | Benchmark, unit: str) -> str:
    """Give "Attrition within 24 months, segment retail"."""
    what = "per year, last four quarters" if goal.horizon is None else f"within {periods(goal.horizon, unit)}"
    of = "" if goal.segment is None else f", {goal.segment.replace('_', ' ')} {goal.group}"
    return f"{goal.cause.capitalize()} {what}{of}"


def _targets(analysis: Analysis, found: dict[Target, Bounded]) -> list[Block]:
    config = analysis.config
    rows: list[tuple[Cell, ...]] = []
    findings: list[Block] = []
    verdicts = {target: verdict_of(target, bounded) for target, bounded in found.items()}
    for target, bounded in found.items():
        value, interval = _cells(bounded)
        words = measure_words(target, config.unit)
        rows.append((words, f"{target.direction} {percent(target.value)}", value, interval, verdicts[target]))
        if verdicts[target] == "missed":
            text = (
                f"The target is missed: {words}, {_said(bounded)}. Decide on what is to be done, or on another target."
            )
            limit = f"{target.direction} {percent(target.value)}, beyond the interval"
            findings.append(Finding(text, "amber", limit, "targets", value, "percent:1"))
    columns = (
        Column("measure", "What"),
        Column("target", "Target"),
        Column("value", "Estimate", "percent:1"),
        Column("interval", f"{level_words(config.level)} CI", "percent interval:1"),
        Column("verdict", "Verdict"),
    )
    note = (
        "Met: the whole interval lies on the right side of the target; missed: on the wrong one; otherwise it cannot be told "
        "yet. Shares start at the age from which the curves of the loans concerned do. A dash: not estimable, or too few exits."
    )
    counts = [sum(v == verdict for v in verdicts.values()) for verdict in ("met", "missed", "cannot be told yet")]
    text = (
        f"Of {counted(len(rows), 'target')}, {are(counts[0])} met, {are(counts[1])} missed, and of {counts[2]} it cannot be "
        "told yet ({ref:targets})."
    )
    return [Text(text), Table("targets", "Targets", columns, tuple(rows), notes=(note,)), *findings]


def _benchmarks(analysis: Analysis, found: dict[Benchmark, Bounded]) -> list[Block]:
    config = analysis.config
    rows: list[tuple[Cell, ...]] = []
    for benchmark, bounded in found.items():
        value, interval = _cells(bounded)
        difference: tuple[Cell, ...] = (None, None, "not estimable")
        if bounded is not None:
            ours, lower, upper = (end - benchmark.value for end in bounded)
            clear = is_clear(lower, upper, 0.0)
            words = "no clear difference" if not clear else "higher" if ours > 0 else "lower"
            difference = (ours, (lower, upper), f"ours: {words}" if clear else words)
        measure = measure_words(benchmark, config.unit)
        rows.append((measure, benchmark.name, benchmark.value, value, interval, *difference))
    ci = f"{level_words(config.level)} CI"
    columns = (
        Column("measure", "What"),
        Column("name", "Whose"),
        Column("benchmark", "Their figure", "percent:1"),
        Column("value", "Ours", "percent:1"),
        Column("interval", ci, "percent interval:1"),
        Column("difference", "Ours \u2212 theirs", "percent:1"),
        Column("difference interval", ci, "percent interval:1"),
        Column("words", "In words"),
    )
    notes = [
        "Figures of others are given in the configuration and shown as they were published; this report vouches for ours only. "
        "Each is taken as an exact number, so the interval of the difference is that of ours. Another mix of loans, ages or "
        "another definition of leaving may explain a difference."
    ]
    sources = dict.fromkeys(f"{one.name}: {one.source}" for one in found)
    notes += [
        f"Source, as given: {source}." if not source.endswith(".") else f"Source, as given: {source}"
        for source in sources
    ]
    return [Table("benchmarks", "Beside figures of others", columns, tuple(rows), notes=tuple(notes))]


def _cells(bounded: Bounded) -> tuple[Cell, Cell]:
    return (None, None) if bounded is None else (bounded[0], (bounded[1], bounded[2]))


def _said(bounded: Bounded) -> str:
    return "" if bounded is None else f"{percent(bounded[0])} ({percent(bounded[1])} to {percent(bounded[2])})"
