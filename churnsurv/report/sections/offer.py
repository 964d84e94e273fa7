"""A randomised offer: arms compared as assigned, on the time since assignment."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from churnsurv.data.landmark import outcome_of
from churnsurv.effects import logrank_test, rmst_difference
from churnsurv.estimators.cox import CoxPH
from churnsurv.exceptions import DataError, TooFewEventsError
from churnsurv.nonparametric import AalenJohansen
from churnsurv.outcome import Outcome
from churnsurv.plot import cumulative_incidence
from churnsurv.report.analysis import Analysis, ratios
from churnsurv.report.content import Block, Cell, Column, Figure, Finding, Headline, Table, Text
from churnsurv.report.disclosure import is_small, notes_if_hidden, suppressed, told
from churnsurv.report.figures import drawn
from churnsurv.report.hazard_ratios import HazardRatioTable
from churnsurv.report.headlines import headline
from churnsurv.report.incidence import risk_at
from churnsurv.report.sections.assigned import assignments, follow
from churnsurv.report.settings import RandomisedOffer, Term
from churnsurv.report.words import is_clear, level_words, listed, periods, ratio_sentence, ratio_words


@dataclass(frozen=True, eq=False)
class Trial:
    """Assigned loans on the time since assignment: frame (arm, age band, customer), outcome, curves by arm."""

    frame: pd.DataFrame
    y: Outcome
    aj: AalenJohansen
    ratios: dict[str, HazardRatioTable]
    not_followed: dict[str, int]


def offer(analysis: Analysis, settings: RandomisedOffer) -> tuple[list[Block], list[Headline]]:
    """Compare the arms of a randomised offer."""
    trial = read_trial(analysis, settings)
    main, safety = analysis.config.main_cause, analysis.config.safety_cause
    key = re.sub(r"\W+", "-", settings.name.lower())
    hidden = hidden_causes(trial, analysis.config.smallest_cell)
    blocks: list[Block] = [
        Text(settings.name, "subheading"),
        Text(_design(analysis, settings, trial)),
        Text(_result(analysis, settings, trial), "headline"),
        *([] if main in hidden else [_figure(analysis, settings, trial, key)]),
        _arms(analysis, settings, trial, key),
        _effects(analysis, settings, trial, key, hidden),
    ]
    if safety is not None and safety in trial.ratios:
        blocks += _safety(settings, trial.ratios[safety], safety, f"{key}-effects")
    if main not in trial.ratios:
        return blocks, [_headline(analysis, settings, None, _no_exit(main))]
    row = trial.ratios[main].row("treated")
    bounded = row["hazard_ratio"], row["hr_lower"], row["hr_upper"]
    return blocks, [_headline(analysis, settings, bounded, f"Randomised: {ratio_words(row, main)}", len(trial.frame))]


def _headline(
    analysis: Analysis,
    settings: RandomisedOffer,
    bounded: tuple[float, float, float] | None,
    meaning: str,
    n: int | None = None,
) -> Headline:
    main = analysis.config.main_cause
    return headline(
        f"offer.{settings.name}.{main}",
        f"{settings.name}: effect on {main}",
        bounded,
        meaning,
        level=analysis.config.level,
        scale="log",
        format="number:2",
        symbol="HR",
        sample="cumulative",
        better="lower",
        n=n,
    )


def read_trial(analysis: Analysis, settings: RandomisedOffer) -> Trial:
    """Follow the assigned loans from the date of assignment, whatever became of the offer."""
    assigned = assignments(analysis, settings)
    frame, not_followed = follow(analysis.spells, assigned)
    for arm in (settings.control, settings.treated):
        if not (frame["arm"] == arm).any():
            why = "; ".join(f"{reason}: {n:,}" for reason, n in not_followed.items())
            raise DataError(
                f"no loan of the arm {arm!r} can be followed from its assignment ({why}). Check assigned_on, or wait for "
                "later data."
            )
    frame["treated"] = (frame["arm"] == settings.treated).astype(float)
    per_year = 12 if analysis.config.unit == "month" else 4
    # years of loan age at assignment; the few loans beyond three years are one band
    frame["age_band"] = (frame["age"] // per_year).clip(upper=3).astype(int)
    y = outcome_of(frame, analysis.config.spells, start=False)
    named = np.where(frame["treated"] == 1, settings.treated, settings.control)
    aj = AalenJohansen().fit(y, by=pd.Series(named, name="arm"), level=analysis.config.level)
    return Trial(frame, y, aj, _ratios(analysis, settings, frame, y), not_followed)


def hidden_causes(trial: Trial, smallest: int) -> list[str]:
    """Give the causes of which an arm has too few exits to be shown."""
    arm, ending = trial.frame["arm"], trial.frame["cause"]
    counts = {cause: (ending == cause).groupby(arm).sum() for cause in trial.y.causes}
    return [cause for cause, by_arm in counts.items() if any(is_small(int(n), smallest) for n in by_arm)]


def _no_exit(cause: str) -> str:
    return f"An arm has no exit by {cause} yet: the hazard ratio is not estimable"


def _ratios(
    analysis: Analysis, settings: RandomisedOffer, frame: pd.DataFrame, y: Outcome
) -> dict[str, HazardRatioTable]:
    """Fit each cause's hazard ratio of the arms, stratified by loan age at assignment, clustered by customer."""
    found = {}
    words = {"treated": Term(label=settings.name)}
    for cause in y.causes:
        events = frame.loc[(frame["cause"] == cause) & (frame["stop"] > 0), "arm"]
        if events.nunique() < 2:
            continue
        model = CoxPH(cause=cause, ties=analysis.config.model.ties)
        model.fit(frame[["treated", "age_band"]], y, strata="age_band", cluster=frame["customer_id"])
        found[cause] = ratios({cause: model}, analysis.config, words)
    return found


def _design(analysis: Analysis, settings: RandomisedOffer, trial: Trial) -> str:
    smallest, counts = analysis.config.smallest_cell, trial.frame["arm"].value_counts()
    n_treated, n_control = int(counts[settings.treated]), int(counts[settings.control])
    unit = analysis.config.unit
    text = (
        f"A randomised experiment: {told(n_treated, 'loan', smallest)} were assigned to "
        f"\u201c{_name(settings.treated)}\u201d and "
        f"{told(n_control, 'loan', smallest)} to \u201c{_name(settings.control)}\u201d. Loans are compared "
        f"as assigned, whether or not the offer was taken up; the clock is the time since assignment in {unit}s. Test and "
        "hazard ratios compare loans within the same year of loan age at assignment; intervals of hazard ratios allow loans "
        "of one customer to depend on each other."
    )
    text += f" A date of assignment within a {unit} counts as the end of the {unit} before."
    if trial.not_followed:
        why = listed([f"{told(n, 'loan', smallest)} {reason}" for reason, n in trial.not_followed.items()])
        text += f" Assigned, but not followed: {why}."
    return text


def _result(analysis: Analysis, settings: RandomisedOffer, trial: Trial) -> str:
    main, safety = analysis.config.main_cause, analysis.config.safety_cause
    if main not in trial.ratios:
        return f"{_no_exit(main)}. The arms and the difference of their risks are below."
    row, inline = trial.ratios[main].row("treated"), trial.ratios[main].inline("treated")
    text = ratio_sentence(settings.name, row, inline, main)
    if safety is not None and safety in trial.ratios:
        table = trial.ratios[safety]
        text += f" Safety: {ratio_sentence('the offer', table.row('treated'), table.inline('treated'), safety)}"
    return text


def _figure(analysis: Analysis, settings: RandomisedOffer, trial: Trial, key: str) -> Figure:
    main, unit = analysis.config.main_cause, analysis.config.unit
    found = {
        arm: risk_at(trial.aj.curves_, row, main, settings.horizon) for row, arm in enumerate(trial.aj.curves_.index)
    }
    labels = {arm: _name(arm) for arm in found}
    said = "; ".join(f"{labels[arm]} {100 * risk[0]:.1f}%" for arm, risk in found.items() if risk is not None)
    return drawn(
        f"{key}-curves",
        f"{settings.name}: {main} by arm",
        lambda ax: cumulative_incidence(
            trial.aj,
            cause=main,
            ax=ax,
            labels=labels,
            xlabel=f"{unit.capitalize()}s since assignment",
            ylabel=f"Left by {main}",
            smallest=analysis.config.smallest_cell,
        ),
        alt=f"Step curves of the cumulative incidence of {main} by arm. After {periods(settings.horizon, unit)}: {said}.",
        caption=(
            f"Cumulative incidence since assignment, the other causes at work, with pointwise "
            f"{level_words(analysis.config.level)} intervals. Counts: at risk at that time; censored and left before it."
        ),
    )


def _arms(analysis: Analysis, settings: RandomisedOffer, trial: Trial, key: str) -> Table:
    config = analysis.config
    curves, horizon = trial.aj.curves_, settings.horizon
    columns = [Column("arm", "Arm"), Column("loans", "Loans", "integer")]
    for cause in trial.y.causes:
        columns += [
            Column(f"{cause} events", f"Left by {cause}", "integer"),
            Column(f"{cause} share", f"Within {periods(horizon, config.unit)}", "percent:1"),
            Column(f"{cause} interval", f"{level_words(config.level)} CI", "percent interval:1"),
        ]
    rows = []
    for position, arm in enumerate(curves.index):
        here = trial.frame[trial.frame["arm"] == arm]
        cells: list[Cell] = [_name(str(arm)), suppressed(len(here), config.smallest_cell)]
        for cause in trial.y.causes:
            events = int((here["cause"] == cause).sum())
            found = risk_at(curves, position, cause, horizon)
            small = 0 < events < config.smallest_cell or found is None
            cells.append(suppressed(events, config.smallest_cell))
            cells += [None, None] if small or found is None else [found[0], (found[1], found[2])]
        rows.append(tuple(cells))
    notes = notes_if_hidden(rows, config.smallest_cell)
    return Table(f"{key}-arms", f"{settings.name}: arms", tuple(columns), tuple(rows), notes=notes)


def _effects(analysis: Analysis, settings: RandomisedOffer, trial: Trial, key: str, hidden: list[str]) -> Table:
    """Lay out ratio, difference in probability and log-rank test per cause, and the time gained."""
    config, arm = analysis.config, trial.frame["arm"].to_numpy()
    unit, horizon = config.unit, settings.horizon
    rows: list[tuple[Cell, ...]] = []
    shown = [cause for cause in trial.y.causes if cause not in hidden]
    for cause in trial.y.causes:
        if cause in trial.ratios:
            rows += _ratio_rows(trial, cause)
        # with the share of the other arm, a difference tells the one that is hidden
        if cause in shown and (trial.frame["cause"] == cause).any():
            rows.append(_difference(trial, settings, cause, config.level, unit))
    name = f"{unit.capitalize()}s gained per loan within {periods(horizon, unit)}"
    try:
        gain = rmst_difference(trial.y, arm, horizon=horizon, reference=settings.control, level=config.level)
    except TooFewEventsError:
        rows.append((name, "not estimable", None, None))
    except DataError as error:
        raise DataError(f"horizon = {horizon}: {error}") from None
    else:
        rows.append((name, _signed(gain.value), f"{_signed(gain.lower)} to {_signed(gain.upper)}", None))
    columns = (
        Column("measure", f"{_name(settings.treated).capitalize()} compared with {_name(settings.control)}"),
        Column("estimate", "Estimate", "value"),
        Column("interval", f"{level_words(config.level)} CI", "value"),
        Column("p", "p", "p"),
    )
    reading = (
        "An interval of a ratio that includes 1, or of a difference that includes 0, is compatible with no effect. "
        f"{unit.capitalize()}s gained: difference of the restricted mean time as a customer, leaving by any cause. "
        "The log-rank tests, differences and time gained take loans as independent, the hazard ratios customers; hazards are "
        "assumed to be proportional within a band of loan age, which is not tested here."
    )
    return Table(f"{key}-effects", f"{settings.name}: effects", columns, tuple(rows), notes=(reading,))


def _ratio_rows(trial: Trial, cause: str) -> list[tuple[Cell, ...]]:
    """Give the hazard ratio and the log-rank test of a cause."""
    row = trial.ratios[cause].row("treated")
    interval = f"{row['hr_lower']:.2f} to {row['hr_upper']:.2f}"
    test = logrank_test(trial.y, trial.frame["arm"].to_numpy(), strata=trial.frame["age_band"], cause=cause)
    return [
        (f"Hazard ratio of {cause}", f"{row['hazard_ratio']:.2f}", interval, row["p_value"]),
        (f"{test.name.capitalize()}, {cause}", f"\u03c7\u00b2 {test.statistic:.2f}", None, test.p_value),
    ]


def _difference(trial: Trial, settings: RandomisedOffer, cause: str, level: float, unit: str) -> tuple[Cell, ...]:
    """Give the difference of the arms' cumulative incidences; the arms are independent samples of loans."""
    from scipy.stats import norm

    name = f"Difference in {cause} within {periods(settings.horizon, unit)}"
    table = trial.aj.table_
    table = table[(table["state"] == cause) & (table["time"] <= settings.horizon)]
    last = table.groupby("group").last()
    treated, control = last.loc[settings.treated], last.loc[settings.control]
    value = treated["estimate"] - control["estimate"]
    half = norm.ppf(0.5 + level / 2) * np.hypot(treated["se"], control["se"])
    points = [f"{100 * v:+.1f}".replace("-", "\u2212") for v in (value, value - half, value + half)]
    return name, f"{points[0]} pp", f"{points[1]} to {points[2]} pp", None


def _name(arm: str) -> str:
    return arm.replace("_", " ")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212")


def _safety(settings: RandomisedOffer, table: HazardRatioTable, safety: str, evidence: str) -> list[Block]:
    row = table.row("treated")
    if not (is_clear(row["hr_lower"], row["hr_upper"]) and row["hazard_ratio"] > 1):
        return []
    return [
        Finding(
            f"{settings.name} raises {safety}: {table.inline('treated')}. Decide whether to go on with it.",
            "red",
            f"interval of the hazard ratio of {safety} not above 1",
            evidence,
            (row["hr_lower"], row["hr_upper"]),
            "interval:2",
        )
    ]
