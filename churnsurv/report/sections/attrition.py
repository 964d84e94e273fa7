"""Attrition: the probability of having left by each cause, for all loans, by vintage and by segment."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churnsurv.messages import counted
from churnsurv.nonparametric import AalenJohansen
from churnsurv.plot import cumulative_incidence, theme
from churnsurv.report.analysis import OTHERS, Analysis, Part
from churnsurv.report.content import Block, Cell, Column, Figure, Section, Table, Text
from churnsurv.report.disclosure import notes_if_hidden
from churnsurv.report.figures import drawn
from churnsurv.report.headlines import headline
from churnsurv.report.incidence import Bounded, fitted_group, is_group_shown, risk_at
from churnsurv.report.sections.attrition_rates import rates_of_leaving
from churnsurv.report.sections.goals import goals
from churnsurv.report.words import level_words, listed, percent, periods

TITLE = "Attrition by cause and vintage"

METHODS = (
    "Methods: Aalen–Johansen estimates on loan age with late entry, all causes at once; intervals are pointwise on the "
    "log scale, with a variance that allows loans of one customer to depend on each other. Censoring and late entry "
    "are assumed to tell nothing of the loan's own risk of leaving at its age."
)


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
    for name, labels in analysis.groups.items():
        blocks.extend(_by_group(analysis, name, labels))
    later = [*rates_of_leaving(analysis), *goals(analysis)]
    blocks += later
    headlines = tuple(
        headline(
            f"incidence.{cause}.{horizon}",
            f"{cause.capitalize()} within {periods(horizon, config.unit)}",
            found,
            f"The curve ends at the age of {periods(float(aj.curves_.last[0]), config.unit)}"
            if found is None
            else "Share of loans that leave this way, the other causes at work",
            level=config.level,
            scale="log",
            format="percent:1",
            n=analysis.spells.frame["loan_id"].nunique(),
            sample="cumulative",
            better="lower" if cause in (config.main_cause, config.safety_cause) else None,
        )
        for cause, found in at_horizon.items()
    )
    told = tuple(block.text for block in later if isinstance(block, Text) and block.style == "paragraph")
    return Part(Section("attrition", TITLE, tuple(blocks)), headlines, first_page=told)


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
    return [cause for cause in analysis.config.spells.cause_names if analysis.exits.is_shown(cause, "reason")]


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


def _by_group(analysis: Analysis, name: str, labels: pd.Series) -> list[Block]:
    """Give table and, for vintages, figure of the main cause by group."""
    order = sorted(labels.unique(), key=lambda label: (label == OTHERS, label))
    estimates = {label: fitted_group(analysis, name, label) for label in order}
    table = _group_table(analysis, name, estimates)
    # a curve tells when each of a few left
    main = analysis.config.main_cause
    estimates = {label: aj for label, aj in estimates.items() if is_group_shown(analysis, name, label, main)}
    blocks: list[Block] = [table]
    if name == "vintage":
        blocks += _group_figure(analysis, name, labels, estimates)
    return blocks


def _group_table(analysis: Analysis, name: str, estimates: dict[str, AalenJohansen | None]) -> Table:
    config = analysis.config
    cause, horizon, smallest = config.main_cause, config.incidence.horizon, config.smallest_cell
    told = analysis.exits.published(config.spells.cause_names, name)
    rows = []
    for label, aj in estimates.items():
        cells: list[Cell] = [label, *(analysis.exits[of, name, label] for of in ("loans", *told))]
        small = not is_group_shown(analysis, name, label, cause)
        found = None
        if aj is not None and not small:
            found = risk_at(aj.curves_, 0, cause, float(aj.curves_.origin[0]) + horizon)
        cells.append(None if aj is None or small else f"{aj.curves_.origin[0]:g}")
        cells += [None, None] if found is None else [found[0], (found[1], found[2])]
        rows.append(tuple(cells))
    columns = (
        Column(name, name.replace("_", " ").capitalize()),
        Column("loans", "Loans", "integer"),
        *(Column(c, c.capitalize(), "integer") for c in told),
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
    left_out = analysis.exits.withheld_notes(config.spells.cause_names, name)
    notes = (note, *notes_if_hidden(rows, smallest), *left_out)
    return Table(f"by-{name}", title, columns, tuple(rows), notes=notes)


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
