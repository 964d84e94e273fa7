"""All interventions side by side: the register, the effects with their multiplicity, a forest plot."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from churnsurv.effects.multiplicity import adjusted_p_values
from churnsurv.plot import forest
from churnsurv.plot.hazard_ratios import forest_height
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Block, Cell, Column, Figure, Table, Text
from churnsurv.report.disclosure import HIDDEN, notes_if_hidden
from churnsurv.report.figures import drawn
from churnsurv.report.sections.intervention_words import (
    arm_name,
    design_name,
    hidden_causes,
    saved,
    says,
    when_words,
)
from churnsurv.report.settings import Drawn, Intervention, Observational
from churnsurv.report.studies import PER, Study
from churnsurv.report.words import level_words, listed, periods
from churnsurv.results import Estimate


class Endpoint(NamedTuple):
    """One intervention and one cause."""

    settings: Intervention
    study: Study | None
    cause: str
    primary: bool

    @property
    def ratio(self) -> Estimate | None:
        """The hazard ratio, if there is one."""
        return None if self.study is None else self.study.ratio(self.cause)

    @property
    def p_value(self) -> float:
        """The p-value, missing where there is none."""
        return np.nan if self.study is None else self.study.p_values.get(self.cause, np.nan)


def endpoints(analysis: Analysis, studies: dict[str, Study | None]) -> list[Endpoint]:
    """Give the endpoints of all interventions: the main cause, then the safety cause."""
    main, safety = analysis.config.main_cause, analysis.config.safety_cause
    every = []
    for settings in analysis.config.interventions:
        study = studies[settings.name]
        every.append(Endpoint(settings, study, main, settings.primary))
        if safety is not None:
            second = settings.primary and isinstance(settings, Observational) and settings.co_primary
            every.append(Endpoint(settings, study, safety, second))
    return every


def adjusted(every: list[Endpoint], method: str) -> list[float]:
    """Adjust the p-values of the primary endpoints; a planned test without a result counts with p = 1."""
    p = np.array([e.p_value for e in every])
    family = np.array([e.primary for e in every], dtype=bool)
    found = np.full(len(every), np.nan)
    if family.any():
        found[family] = adjusted_p_values(np.nan_to_num(p[family], nan=1.0), method)
    return [float(v) for v in np.where(np.isnan(p), np.nan, found)]


def register(analysis: Analysis, studies: dict[str, Study | None]) -> Table:
    """Lay out what was tried, when, on whom, by which design, what came out and what was decided."""
    columns = (
        Column("intervention", "Intervention"),
        Column("what", "What, when"),
        Column("design", "Design, arms, estimand"),
        Column("effect", "Effect"),
        Column("decision", "Decision"),
    )
    rows = tuple(_register_row(analysis, s, studies[s.name]) for s in analysis.config.interventions)
    notes = (
        "Where no day is given on which the estimand was specified, the analysis cannot be told from one chosen after the "
        f"fact. Intervals of {level_words(analysis.config.level)}.",
    )
    return Table("interventions-register", "Register of interventions", columns, rows, notes=notes)


def _register_row(analysis: Analysis, settings: Intervention, study: Study | None) -> tuple[Cell, ...]:
    config = analysis.config
    what = [f"{settings.reference}:"] if settings.reference else []
    what += [settings.what.rstrip(".") + ";"] if settings.what else []
    design = design_name(settings)
    if settings.specified_on is not None:
        design += f", specified on {settings.specified_on:%-d %B %Y}"
    if study is None:
        return settings.name, " ".join(what).rstrip(":;"), design, "not estimated (see below)", settings.decision
    arms = f"{arm_name(study.cohort.treated)} against {arm_name(study.cohort.control)}"
    what.append(when_words(analysis, study))
    estimand = f"hazard ratio of {config.main_cause}, {periods(settings.horizon, config.unit)}"
    return settings.name, " ".join(what), f"{design}: {arms}, {estimand}", _said(analysis, study), settings.decision


def _said(analysis: Analysis, study: Study) -> str:
    ratio = study.ratio(analysis.config.main_cause)
    parts = [] if ratio is None else [f"HR {ratio.value:.2f} ({ratio.lower:.2f} to {ratio.upper:.2f})"]
    for cause in (analysis.config.main_cause, analysis.config.safety_cause):
        if cause is not None:
            said = says(study.ratio(cause))
            parts.append({"fewer": f"fewer {cause}", "more": f"more {cause}"}.get(said, f"{cause}: {said}"))
    return "; ".join(parts)


def effects_table(analysis: Analysis, every: list[Endpoint]) -> Table:
    """Lay out the effects of all interventions with p-values as they are and adjusted."""
    ci = f"{level_words(analysis.config.level)} CI"
    columns = (
        Column("intervention", "Intervention"),
        Column("events", "Exits", "integer"),
        Column("hazard_ratio", "Hazard ratio", "number:2"),
        Column("interval", ci, "interval:2"),
        Column("saved", f"Fewer per {PER:,}", "number:0"),
        Column("saved_interval", ci, "interval:0"),
        Column("p", "p", "p"),
        Column("holm", "p (Holm)", "p"),
        Column("bh", "p (BH)", "p"),
    )
    holm, bh = adjusted(every, "holm"), adjusted(every, "benjamini-hochberg")
    rows = tuple(
        _effects_row(analysis, e, *(None if np.isnan(v) else v for v in pair))
        for e, pair in zip(every, zip(holm, bh, strict=True), strict=True)
    )
    groups = tuple(f"Endpoint: {e.cause}" for e in every)
    # causes stand together
    order = sorted(range(len(every)), key=lambda i: (groups[i] != groups[0], i))
    rows, groups = tuple(rows[i] for i in order), tuple(groups[i] for i in order)
    family = sum(e.primary for e in every)
    averted = any(e.study is not None and not e.study.follows_arms for e in every)
    notes = [
        f"The {family} primary endpoints are one family: Holm's p bounds the probability of any false finding among them, "
        "Benjamini and Hochberg's (BH) the expected share of false ones; a planned test without a result counts with "
        "p = 1. The others are shown unadjusted: an adjustment would hide harm. "
        "Intervals are of each effect by itself.",
        f"Fewer per {PER:,}: loans that leave by the cause within the horizon"
        + (
            ", or exits in so many treated loan-years where loans change the arm (those designs: rollout, time-varying)."
            if averted
            else "."
        )
        + " Negative: more leave.",
    ]
    if any(e.study is not None and e.study.follows_arms and not isinstance(e.settings, Drawn) for e in every):
        notes.append("Exits of trials at several dates count a loan once for every date at which it is looked at.")
    notes += notes_if_hidden(rows, analysis.config.smallest_cell)
    return Table("interventions-effects", "Effects of all interventions", columns, rows, groups, tuple(notes))


def _effects_row(analysis: Analysis, e: Endpoint, holm: float | None, bh: float | None) -> tuple[Cell, ...]:
    smallest = analysis.config.smallest_cell
    if e.study is None or e.ratio is None:
        return e.settings.name, None, None, None, None, None, None, None, None
    hidden = e.cause in hidden_causes(e.study, smallest)
    number = None if hidden else saved(e.study, e.cause)[0]
    shown = (None, None) if number is None else (number.value, (number.lower, number.upper))
    p = None if np.isnan(e.p_value) else float(e.p_value)
    total = sum(e.study.events(e.cause).values())
    interval = (e.ratio.lower, e.ratio.upper)
    return e.settings.name, HIDDEN if hidden else total, e.ratio.value, interval, *shown, p, holm, bh


def forest_figure(analysis: Analysis, every: list[Endpoint]) -> Figure | None:
    """Draw the hazard ratios of all interventions, by cause."""
    drawable = [e for e in every if e.ratio is not None and says(e.ratio) != "not estimable"]
    # causes stand together
    drawable.sort(key=lambda e: e.cause != analysis.config.main_cause)
    if not drawable:
        return None
    frame = pd.DataFrame(
        {
            "label": [e.settings.name for e in drawable],
            "group": [f"Leaving by {e.cause}" for e in drawable],
            "hazard_ratio": [e.ratio.value for e in drawable if e.ratio],
            "hr_lower": [e.ratio.lower for e in drawable if e.ratio],
            "hr_upper": [e.ratio.upper for e in drawable if e.ratio],
            "p_value": [e.p_value for e in drawable],
        }
    )
    clear = [f"{e.settings.name} ({says(e.ratio)} {e.cause})" for e in drawable if says(e.ratio) in ("fewer", "more")]
    said = f"Intervals that exclude no effect: {listed(clear)}." if clear else "Every interval includes no effect."
    return drawn(
        "interventions-forest",
        "Hazard ratios of all interventions",
        lambda ax: forest(frame, ax=ax, left_hint="fewer leave", right_hint="more leave"),
        alt=f"Forest plot of hazard ratios by intervention and cause. {said}",
        caption=f"{said} Each ratio by the design of its intervention; p-values are not adjusted here.",
        height=forest_height(frame),
    )


def overview(analysis: Analysis, studies: dict[str, Study | None]) -> list[Block]:
    """Give what stands before the single interventions."""
    every = endpoints(analysis, studies)
    figure = forest_figure(analysis, every)
    return [
        register(analysis, studies),
        Text(multiplicity_words(analysis, every), "headline"),
        effects_table(analysis, every),
        *([] if figure is None else [figure]),
    ]


def lost_to_adjustment(analysis: Analysis, every: list[Endpoint]) -> list[Endpoint]:
    """Give the primary endpoints with a small p-value of their own that is not small among so many."""
    border, ps = 1 - analysis.config.level, adjusted(every, "holm")
    return [e for e, p in zip(every, ps, strict=True) if e.primary and not p < border and e.p_value < border]


def multiplicity_words(analysis: Analysis, every: list[Endpoint]) -> str:
    """Say which primary endpoints stand after the adjustment for their number."""
    family = [(e, p) for e, p in zip(every, adjusted(every, "holm"), strict=True) if e.primary]
    if not family:
        return "No endpoint was named primary: p-values describe, they confirm nothing."
    border = 1 - analysis.config.level
    standing = [e for e, p in family if p < border]
    lost = lost_to_adjustment(analysis, every)
    names = [
        f"{e.settings.name} ({says(e.ratio)} {e.cause})"
        if says(e.ratio) in ("fewer", "more")
        else f"{e.settings.name} ({e.cause})"
        for e in standing
    ]
    text = (
        f"Of {len(family)} primary tests, {len(standing)} stand{'s' if len(standing) == 1 else ''} after Holm's adjustment"
        + (f": {listed(names)}." if standing else ".")
    )
    if lost:
        text += (
            f" {listed([f'{e.settings.name} ({e.cause})' for e in lost])}: below {border:.2g} alone, not among so many."
        )
    return text
