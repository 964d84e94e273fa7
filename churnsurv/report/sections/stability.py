"""Stability: are customers, performance and exits as they were at the development of the model."""

from __future__ import annotations

import pandas as pd

from churnsurv.data import Cohort
from churnsurv.evaluation import CharacteristicStability, characteristic_stability, population_stability
from churnsurv.exceptions import ChurnSurvError
from churnsurv.plot import stability as stability_plot
from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Cell, Column, Figure, Finding, Section, Table, Text
from churnsurv.report.estimates import number
from churnsurv.report.figures import drawn
from churnsurv.report.headlines import headline
from churnsurv.report.identifiers import without_ids
from churnsurv.report.sections.monitoring import control_charts, performance, vintages
from churnsurv.report.settings import Term
from churnsurv.report.trial import Trial, end_of_period, evaluated
from churnsurv.report.words import inside, level_words, listed

TITLE = "Stability"

#: what the customer's characteristics are compared without: made of the market's rates, which move for everybody
_OF_THE_MARKET = ("rate_incentive", "burnout")
#: characteristics of which the text says where they moved
_MOST_SHIFTS = 5
#: characteristics that a finding names
_MOST_NAMED = 3
#: the line of the model's score in the table
SCORE = "Score of the Cox model"


def stability(analysis: Analysis) -> Part:
    """Compare customers, performance and exits with the development."""
    trial = analysis.trial
    with named("[stability]"):
        current = _current(analysis)
        found = _characteristics(analysis, trial, current)
        table = _table(analysis, found)
        blocks: list[Block] = [Text(_reading(analysis, trial, current)), Text(_said(analysis, found))]
        blocks += [_figure(analysis, found), table, *_shifts(analysis, found), *_findings(analysis, found, table.key)]
        for heading, make in (
            ("Performance", performance), ("Exits by quarter", control_charts), ("Vintages", vintages)
        ):  # fmt: skip
            blocks.append(Text(heading, "subheading"))
            try:
                blocks += make(analysis, trial)
            except ChurnSurvError as error:
                blocks.append(Text(f"This could not be made: {without_ids(str(error), analysis)}", "note"))
    score = found.characteristics[0]
    known = (score.value, max(score.lower, 0.0), score.upper)
    first = headline(
        "stability.score",
        f"Stability index of the score of {trial.causes[0]}",
        None if any(number(v) is None for v in known) else known,
        f"{'above' if score.alarm else 'within'} its threshold of {score.threshold:.3f}; 0 is no change",
        level=analysis.config.level,
        scale="linear",
        format="number:3",
        symbol="PSI",
        n=score.n_current,
    )
    return Part(Section("stability", TITLE, tuple(blocks)), (first,))


def _current(analysis: Analysis) -> Cohort:
    last = analysis.spells.frame["period"].max().to_period("M" if analysis.config.unit == "month" else "Q").end_time
    return evaluated(analysis)[0].landmark(end_of_period(analysis, last.normalize()))


def _columns(analysis: Analysis, trial: Trial) -> list[str]:
    config = analysis.config
    chosen = config.stability.covariates
    market = {*config.spells.covariates.macro, *_OF_THE_MARKET}
    return list(chosen) if chosen else [name for name in trial.covariates if name not in market]


def _characteristics(analysis: Analysis, trial: Trial, current: Cohort) -> CharacteristicStability:
    """Compare the score and the characteristics at the development date with the current ones, as one family."""
    settings, level = analysis.config.stability, analysis.config.level
    before = evaluated(analysis)[0].landmark(trial.date)
    names = _columns(analysis, trial)
    options = {"bins": settings.bins, "false_alarm_rate": settings.false_alarm_rate, "level": level}
    columns = list(trial.covariates)
    then, now = before.complete(), current.complete()
    scores = [trial.champion.predict(cohort.frame[columns], cause=trial.causes[0]) for cohort in (then, now)]
    score = population_stability(*scores, groups=(then.groups, now.groups), name=SCORE, **options)  # type: ignore[arg-type]
    family = characteristic_stability(
        before.frame, current.frame, names, groups=(before.groups, current.groups), **options  # type: ignore[arg-type]
    )  # fmt: skip
    return CharacteristicStability((score, *family.characteristics), family.adjust, family.false_alarm_rate)


def _label(analysis: Analysis, name: str) -> str:
    return analysis.config.terms.get(name, Term()).label or name


def _reading(analysis: Analysis, trial: Trial, current: Cohort) -> str:
    left = [name for name in trial.covariates if name not in _columns(analysis, trial)]
    text = (
        f"The loans open on {trial.date:%d %B %Y}, when the model was developed, are compared with the {len(current):,} open "
        f"on {pd.Timestamp(str(current.date)):%d %B %Y}, by the stability index \u03a3 (q \u2212 p) log(q/p) over bins. Its "
        "alarm knows the sizes of the samples, that customers have several loans, and that the same customers are in both; the "
        "usual rule (0.10 a moderate, 0.25 a large shift) knows none of these, and stands beside it."
    )
    if trial.n_sampled is not None:
        text += " A random sample of customers is compared."
    if left and not analysis.config.stability.covariates:
        text += (
            f" Left out, as one value of the market stands behind thousands of loans: "
            f"{listed([inside(_label(analysis, name)) for name in left])}."
        )
    return text


def _said(analysis: Analysis, found: CharacteristicStability) -> str:
    score, rest = found.characteristics[0], found.characteristics[1:]
    alarms = [one for one in rest if one.alarm]
    text = (
        f"The distribution of the score has shifted (index {score.value:.3f}, threshold {score.threshold:.3f}). "
        if score.alarm
        else f"No shift of the score can be told from chance (index {score.value:.3f}, threshold {score.threshold:.3f}). "
    )
    if not alarms:
        return text + f"None of {len(rest)} characteristics shifts beyond chance."
    names = listed([inside(_label(analysis, one.name)) for one in alarms])
    said = [one for one in alarms if one.fixed_rule != "stable"]
    return text + (
        f"{len(alarms)} of {len(rest)} characteristics shifted beyond chance: {names}. The usual rule calls "
        f"{len(said) or 'none'} of these a shift."
    )


def _figure(analysis: Analysis, found: CharacteristicStability) -> Figure:
    table = found.to_frame()
    table["name"] = [_label(analysis, str(name)) for name in table["name"]]
    largest = table.sort_values("value", ascending=False).iloc[0]
    return drawn(
        "stability-index",
        "Stability index of score and characteristics",
        lambda ax: stability_plot(table, ax=ax),
        alt=(
            f"A dot per characteristic and a mark for its threshold; the largest index is that of {largest['name']}, "
            f"{largest['value']:.3f}. {int(table['alarm'].sum())} of {len(table)} are above their threshold."
        ),
        caption="Filled: alarm. On a logarithmic axis.",
        height=1.5 + 0.26 * min(len(table), 25),
    )


def _table(analysis: Analysis, found: CharacteristicStability) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for one in found.characteristics:
        rows.append(
            (
                _label(analysis, one.name), one.value, number(one.threshold), number(one.p_adjusted),
                "alarm" if one.alarm else "", one.fixed_rule, number(one.fixed_rule_false_alarms),
            )
        )  # fmt: skip
    columns = (
        Column("name", "Characteristic"),
        Column("index", "Index", "number:4"),
        Column("threshold", "Threshold", "number:4"),
        Column("p", "p, adjusted", "p"),
        Column("alarm", "Alarm"),
        Column("rule", "By 0.10 and 0.25"),
        Column("false", "False alarms of 0.10", "percent:1"),
    )
    rate = level_words(found.false_alarm_rate)
    note = (
        f"Without any change the score alarms in {rate} of reports, and any characteristic in {rate} "
        f"({found.adjust.capitalize()}'s rule over {len(found.characteristics) - 1}). The last column says how often the rule "
        "of 0.10 would alarm without change, given the sizes of these samples. Missing values are a bin of their own."
    )
    return Table(
        "stability-table", "Score and characteristics against the development", columns, tuple(rows), (), (note,)
    )


def _shifts(analysis: Analysis, found: CharacteristicStability) -> list[Block]:
    """Say where the characteristics with an alarm moved most."""
    smallest, parts = analysis.config.smallest_cell, []
    alarms = sorted((one for one in found.characteristics[1:] if one.alarm), key=lambda one: -one.value)
    for one in alarms[:_MOST_SHIFTS]:
        bins = one.bins[(one.bins["n_reference"] >= smallest) & (one.bins["n_current"] >= smallest)]
        if bins.empty:
            continue
        top = bins.loc[(bins["share_current"] - bins["share_reference"]).abs().idxmax()]
        parts.append(
            f"{inside(_label(analysis, one.name))} in {top['bin']}, from {top['share_reference']:.1%} to "
            f"{top['share_current']:.1%} of the loans"
        )
    return [Text(f"Where the largest moved most: {'; '.join(parts)}.")] if parts else []


def _findings(analysis: Analysis, found: CharacteristicStability, evidence: str) -> list[Finding]:
    """Give one finding for score and characteristics, as one cause stands behind them more often than not."""
    least = analysis.config.stability.least_index
    moved = [one for one in found.characteristics if one.alarm and one.value >= least]
    if not moved:
        return []
    score, largest = found.characteristics[0], max(moved, key=lambda one: one.value)
    rest = sorted((one for one in moved if one is not score), key=lambda one: -one.value)
    names = [f"{inside(_label(analysis, one.name))} ({one.value:.3f})" for one in rest[:_MOST_NAMED]]
    if len(rest) > _MOST_NAMED:
        names.append(f"{len(rest) - _MOST_NAMED} more")
    text = f"The customers are not those of the development: {listed(names)}" if rest else ""
    if score in moved:
        words = f"model's score is distributed otherwise than at the development (index {score.value:.3f})"
        text += f", and the {words}" if text else f"The {words}"
    text += ". Check whether data or business changed, and the calibration of the model for the customers of today."
    severe = any(one.fixed_rule == "large shift" for one in moved)
    threshold = f"no alarm with an index of {0.25 if severe else least:g} or more"
    return [Finding(text, "red" if severe else "amber", threshold, evidence, largest.value, "number:3")]
