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
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Cell, Column, Figure, Section, Table, Text
from churnsurv.report.disclosure import (
    is_small,
    merged_small_groups,
    notes_if_hidden,
    suppressed_column,
)
from churnsurv.report.figures import drawn
from churnsurv.report.headlines import headline
from churnsurv.report.words import level_words, listed, percent, periods

TITLE = "Attrition by cause and vintage"

METHODS = (
    "Methods: Aalen–Johansen estimates on loan age with late entry, all causes at once; intervals are pointwise on the "
    "log scale, with a variance that allows loans of one customer to depend on each other. Censoring and late entry "
    "are assumed to tell nothing of the loan's own risk of leaving at its age."
)

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
    visible = visible_causes(analysis)
    at_horizon = {cause: risk_at(aj.curves_, 0, cause, origin + horizon) for cause in visible}
    blocks: list[Block] = [
        Text(_reading(analysis, origin)),
        *_overall_figure(aj, analysis, at_horizon),
        _horizon_table(aj, analysis),
        Text(METHODS, "note"),
    ]
    for name in ("vintage", *config.incidence.segments):
        blocks.extend(_by_group(analysis, name, _groups(analysis, name)))
    headlines = tuple(
        headline(
            f"incidence.{cause}.{horizon}",
            f"{cause.capitalize()} within {periods(horizon, config.unit)}",
            found,
            f"The curve ends at the age of {periods(float(aj.curves_.last[0]), config.unit)}"
            if found is None
            else f"Share of loans that leave by {cause}, the other causes at work",
            level=config.level,
            scale="log",
            format="percent:1",
            n=analysis.spells.frame["loan_id"].nunique(),
            sample="cumulative",
            better="lower" if cause in (config.main_cause, config.safety_cause) else None,
        )
        for cause, found in at_horizon.items()
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


def visible_causes(analysis: Analysis) -> list[str]:
    """Give the causes whose number of exits may be shown."""
    counts = analysis.spells.frame["cause"].value_counts()
    causes = analysis.config.spells.cause_names
    return [cause for cause in causes if not is_small(int(counts[cause]), analysis.config.smallest_cell)]


def _overall_figure(aj: AalenJohansen, analysis: Analysis, at_horizon: dict[str, Bounded]) -> list[Figure]:
    config, visible = analysis.config, list(at_horizon)
    if config.main_cause not in visible:
        return []
    only = None if len(visible) == len(aj.curves_.causes) else config.main_cause
    unit, origin = analysis.config.unit, float(aj.curves_.origin[0])
    said = [f"{cause} {percent(found[0])}" for cause, found in at_horizon.items() if found is not None]
    horizon = periods(analysis.config.incidence.horizon, unit)
    figure = drawn(
        "incidence",
        f"Probability of having left by each cause, {_since(origin, unit)}",
        lambda ax: cumulative_incidence(
            aj, cause=only, ax=ax, xlabel=f"{unit.capitalize()}s since origination", smallest=config.smallest_cell
        ),
        alt=f"Step curves of the cumulative incidence by cause. After {horizon}: {listed(said) if said else 'not reached'}.",
        caption=(
            f"Aalen–Johansen estimates with pointwise {level_words(config.level)} intervals. Below the axis: loans at risk "
            f"at that age, and loans censored or left (by {'any cause' if only is None else only}) before it. Loans enter at "
            "later ages, so the rows do not add up to one number."
        ),
    )
    return [figure]


def _horizon_table(aj: AalenJohansen, analysis: Analysis) -> Table:
    config, curves = analysis.config, aj.curves_
    origin = float(curves.origin[0])
    visible = visible_causes(analysis)
    columns = [Column("horizon", f"Within, {_since(origin, config.unit)}")]
    for cause in visible:
        columns.append(Column(cause, f"Left by {cause}", "percent:1"))
        columns.append(Column(f"{cause} interval", f"{level_words(config.level)} CI", "percent interval:1"))
    rows = []
    for horizon in config.incidence.horizons:
        cells: list[Cell] = [periods(horizon, config.unit)]
        for cause in visible:
            found = risk_at(curves, 0, cause, origin + horizon)
            cells += [None, None] if found is None else [found[0], (found[1], found[2])]
        rows.append(tuple(cells))
    notes = ("A dash: beyond the last age observed.",) if any(None in row for row in rows) else ()
    return Table("incidence-table", "Share of loans that have left", tuple(columns), tuple(rows), notes=notes)


def _groups(analysis: Analysis, name: str) -> pd.Series:
    """Give the group of each spell; groups of fewer loans than a curve needs are taken together as "others"."""
    frame = analysis.spells.frame
    labels = frame[name].astype(object).where(frame[name].notna(), "missing").astype(str)
    least = max(analysis.config.incidence.min_at_risk, analysis.config.smallest_cell)
    return merged_small_groups(labels, frame["loan_id"], least, OTHERS)


def _by_group(analysis: Analysis, name: str, labels: pd.Series) -> list[Block]:
    """Give table and, for vintages, figure of the main cause by group."""
    order = sorted(labels.unique(), key=lambda label: (label == OTHERS, label))
    estimates = {label: _of_group(analysis, labels == label) for label in order}
    table = _group_table(analysis, name, labels, estimates)
    # a curve tells when each of a few left
    main = 2 + analysis.config.spells.cause_names.index(analysis.config.main_cause)
    shown = [str(row[0]) for row in table.rows if isinstance(row[1], int) and isinstance(row[main], int)]
    estimates = {label: aj for label, aj in estimates.items() if label in shown}
    blocks: list[Block] = [table]
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
    loans = frame["loan_id"].groupby(labels).nunique()
    # the totals are those of all loans
    counts = {"loans": suppressed_column([int(loans[label]) for label in estimates], smallest)} | {
        c: suppressed_column([int((frame["cause"][labels == label] == c).sum()) for label in estimates], smallest)
        for c in config.spells.cause_names
    }
    rows = []
    for position, (label, aj) in enumerate(estimates.items()):
        cells: list[Cell] = [label, *(column[position] for column in counts.values())]
        small = any(not isinstance(counts[name][position], int) for name in ("loans", cause))
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
        Column("interval", f"{level_words(config.level)} CI", "percent interval:1"),
    )
    note = (
        f"From age: the curve of a group starts at the first age (in {config.unit}s) with {config.incidence.min_at_risk} "
        f"loans at risk, and the share is that of the following {periods(horizon, config.unit)}. A dash: not estimable yet. "
        f"Groups of fewer than {config.incidence.min_at_risk} loans are taken together (a single one with the next smallest) "
        f"as \u201c{OTHERS}\u201d."
    )
    title = f"{cause.capitalize()} by {name.replace('_', ' ')}"
    return Table(f"by-{name}", title, columns, tuple(rows), notes=(note, *notes_if_hidden(rows, smallest)))


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
