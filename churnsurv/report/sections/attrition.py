"""Attrition: the probability of having left by each cause, for all loans, by vintage and by segment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from churnsurv.curves import Curves
from churnsurv.exceptions import DataError
from churnsurv.messages import counted
from churnsurv.nonparametric import AalenJohansen
from churnsurv.plot import cumulative_incidence, theme
from churnsurv.report.analysis import Analysis, Headline, Part
from churnsurv.report.content import Block, Cell, Column, Figure, Section, Table, Text
from churnsurv.report.figures import drawn
from churnsurv.report.words import listed, percent, periods, suppressed, suppression_note

TITLE = "Attrition by cause and vintage"

#: small groups taken together
OTHERS = "others"

#: value, lower, upper of a probability; None where it is not estimable
Bounded = tuple[float, float, float] | None


def attrition(analysis: Analysis) -> Part:
    """Say how many leave, by which cause, from which age on, and how vintages differ."""
    config, y = analysis.config, analysis.spells.y
    aj = AalenJohansen().fit(
        y, cluster=analysis.spells.groups, min_at_risk=config.incidence.min_at_risk, level=config.level
    )
    origin = float(aj.curves_.origin[0])
    horizon = config.incidence.horizon
    at_horizon = {cause: risk_at(aj.curves_, 0, cause, origin + horizon) for cause in y.causes}
    blocks: list[Block] = [
        Text(_reading(analysis, origin)),
        _overall_figure(aj, analysis, at_horizon),
        _horizon_table(aj, analysis),
    ]
    for name in ("vintage", *config.incidence.segments):
        blocks.extend(_by_group(analysis, name, _groups(analysis, name)))
    headlines = tuple(
        Headline(
            f"{cause.capitalize()} within {periods(horizon, config.unit)}",
            percent(found[0]),
            f"{percent(found[1])} to {percent(found[2])}",
            f"Share of loans that leave by {cause}, the other causes at work",
        )
        for cause, found in at_horizon.items()
        if found is not None
    )
    return Part(Section("attrition", TITLE, tuple(blocks)), headlines)


def risk_at(curves: Curves, row: int, cause: str, time: float) -> Bounded:
    """Give the cumulative incidence of a group at a time with its bounds; None past the group's last time."""
    if time > curves.last[row] or curves.lower is None or curves.upper is None:
        return None
    position = int(np.searchsorted(curves.times, time, side="right")) - 1
    if position < 0:
        return 0.0, 0.0, 0.0
    state = curves.causes.index(cause) + 1
    value, lower, upper = (float(a[row, state, position]) for a in (curves.probability, curves.lower, curves.upper))
    return value, lower, upper


def _since(origin: float, unit: str) -> str:
    return "since origination" if origin == 0 else f"for loans that reach an age of {periods(origin, unit)}"


def _reading(analysis: Analysis, origin: float) -> str:
    config = analysis.config
    least = config.incidence.min_at_risk
    start = (
        f"The curves start at origination, where at least {least} loans are at risk."
        if origin == 0
        else f"The curves start at the age of {periods(origin, config.unit)}, the first at which {least} loans are at risk: "
        "they hold for loans that have reached that age."
    )
    return (
        f"The causes {listed(list(config.spells.cause_names))} compete: a loan that leaves by one can no longer leave by "
        "another. The probability of having left by a cause (its cumulative incidence) is therefore estimated with all "
        "causes together, by Aalen and Johansen's method; one minus a Kaplan–Meier curve of one cause would overstate it. "
        + start
    )


def _overall_figure(aj: AalenJohansen, analysis: Analysis, at_horizon: dict[str, Bounded]) -> Figure:
    unit, origin = analysis.config.unit, float(aj.curves_.origin[0])
    said = [f"{cause} {percent(found[0])}" for cause, found in at_horizon.items() if found is not None]
    horizon = periods(analysis.config.incidence.horizon, unit)
    return drawn(
        "incidence",
        f"Probability of having left by each cause, {_since(origin, unit)}",
        lambda ax: cumulative_incidence(aj, ax=ax, xlabel=f"{unit.capitalize()}s since origination"),
        alt=f"Step curves of the cumulative incidence by cause. After {horizon}: {listed(said) if said else 'not reached'}.",
        caption=(
            f"Aalen–Johansen estimates with {analysis.config.level:.0%} bands. Below the axis: loans at risk at that age, and "
            "loans censored or left (by any cause) before it."
        ),
    )


def _horizon_table(aj: AalenJohansen, analysis: Analysis) -> Table:
    config, curves = analysis.config, aj.curves_
    origin = float(curves.origin[0])
    columns = [Column("horizon", f"Within, {_since(origin, config.unit)}")]
    for cause in curves.causes:
        columns.append(Column(cause, f"Left by {cause}", "percent:1"))
        columns.append(Column(f"{cause} interval", f"{config.level:.0%} CI", "percent interval:1"))
    rows = []
    for horizon in config.incidence.horizons:
        cells: list[Cell] = [periods(horizon, config.unit)]
        for cause in curves.causes:
            found = risk_at(curves, 0, cause, origin + horizon)
            cells += [None, None] if found is None else [found[0], (found[1], found[2])]
        rows.append(tuple(cells))
    return Table("incidence-table", "Share of loans that have left", tuple(columns), tuple(rows))


def _groups(analysis: Analysis, name: str) -> pd.Series:
    """Give the group of each spell; groups of fewer loans than a curve needs are taken together as "others"."""
    frame = analysis.spells.frame
    labels = frame[name].astype(object).where(frame[name].notna(), "missing").astype(str)
    loans = frame["loan_id"].groupby(labels).nunique()
    small = loans.index[loans < analysis.config.incidence.min_at_risk]
    return labels.where(~labels.isin(small), OTHERS) if len(small) > 1 else labels


def _by_group(analysis: Analysis, name: str, labels: pd.Series) -> list[Block]:
    """Give table and, for vintages, figure of the main cause by group."""
    order = sorted(labels.unique(), key=lambda label: (label == OTHERS, label))
    estimates = {label: _of_group(analysis, labels == label) for label in order}
    blocks: list[Block] = [_group_table(analysis, name, labels, estimates)]
    if name == "vintage":
        blocks += _group_figure(analysis, name, labels, estimates)
    return blocks


def _of_group(analysis: Analysis, rows: Any) -> AalenJohansen | None:
    """Fit one group; None where too few loans are ever at risk together."""
    y, least = analysis.spells.y[np.flatnonzero(rows)], analysis.config.incidence.min_at_risk
    try:
        return AalenJohansen().fit(
            y, cluster=analysis.spells.groups[np.flatnonzero(rows)], min_at_risk=least, level=analysis.config.level
        )
    except DataError:
        return None


def _group_table(analysis: Analysis, name: str, labels: pd.Series, estimates: dict[str, AalenJohansen | None]) -> Table:
    config, frame = analysis.config, analysis.spells.frame
    cause, horizon, smallest = config.main_cause, config.incidence.horizon, config.smallest_cell
    rows = []
    for label, aj in estimates.items():
        here = (labels == label).to_numpy()
        n_loans = int(frame["loan_id"][here].nunique())
        exits = [int((frame["cause"][here] == c).sum()) for c in config.spells.cause_names]
        cells: list[Cell] = [label, suppressed(n_loans, smallest), *(suppressed(n, smallest) for n in exits)]
        small = n_loans < smallest or 0 < exits[config.spells.cause_names.index(cause)] < smallest
        found = None
        if aj is not None and not small:
            found = risk_at(aj.curves_, 0, cause, float(aj.curves_.origin[0]) + horizon)
        cells.append(None if aj is None or small else f"{aj.curves_.origin[0]:g}")
        cells += [None, None] if found is None else [found[0], (found[1], found[2])]
        rows.append(tuple(cells))
    columns = (
        Column(name, name.replace("_", " ").capitalize()),
        Column("loans", "Loans", "integer"),
        *(Column(c, c.capitalize(), "integer") for c in config.spells.cause_names),
        Column("origin", "From age", "integer"),
        Column("incidence", f"{cause.capitalize()} within {periods(horizon, config.unit)}", "percent:1"),
        Column("interval", f"{config.level:.0%} CI", "percent interval:1"),
    )
    note = (
        f"From age: the curve of a group starts at the first age (in {config.unit}s) with {config.incidence.min_at_risk} "
        f"loans at risk, and the share is that of the following {periods(horizon, config.unit)}. A dash: not estimable yet. "
        f"Groups of fewer than {config.incidence.min_at_risk} loans are taken together as \u201c{OTHERS}\u201d."
    )
    title = f"{cause.capitalize()} by {name.replace('_', ' ')}"
    return Table(f"by-{name}", title, columns, tuple(rows), notes=(note, suppression_note(smallest)))


def _group_figure(
    analysis: Analysis, name: str, labels: pd.Series, estimates: dict[str, AalenJohansen | None]
) -> list[Figure]:
    """Draw the groups whose curves start together; one that starts later is about other loans, and has the table."""
    config = analysis.config
    fitted = {label: aj for label, aj in estimates.items() if aj is not None and aj.n_events_.iloc[0] > 0}
    if not fitted:
        return []
    first = min(float(aj.curves_.origin[0]) for aj in fitted.values())
    drawn_ones = [label for label, aj in fitted.items() if label != OTHERS and aj.curves_.origin[0] <= first + 2][
        -len(theme.PALETTE) :
    ]
    if len(drawn_ones) < 2:
        return []
    rows = np.flatnonzero(labels.isin(drawn_ones).to_numpy())
    aj = AalenJohansen().fit(
        analysis.spells.y[rows],
        by=pd.Series(labels.to_numpy()[rows], name=name),
        min_at_risk=config.incidence.min_at_risk,
        level=config.level,
    )
    cause, xlabel = config.main_cause, f"{config.unit.capitalize()}s since origination"
    others = len(estimates) - len(drawn_ones)
    left_out = " Drawn are the latest whose curves start together; the others are in the table." if others else ""
    figure = drawn(
        f"{name}-curves",
        f"{cause.capitalize()} by {name}",
        lambda ax: cumulative_incidence(
            aj, cause=cause, ax=ax, xlabel=xlabel, ylabel=f"Left by {cause}", counts=False, bands=False
        ),
        alt=f"Step curves of the cumulative incidence of {cause} of {counted(len(drawn_ones), name)}: {listed(drawn_ones)}.",
        caption=f"Cumulative incidence by year of origination; intervals are in {{ref:by-{name}}}.{left_out}",
    )
    return [figure]
