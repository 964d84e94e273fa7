"""A staggered rollout: units that have switched compared with units that have not, at the same age and calendar time."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from churnsurv.estimators.cox import CoxPH
from churnsurv.exceptions import DataError
from churnsurv.messages import counted, first_of
from churnsurv.report.analysis import Analysis, ratios
from churnsurv.report.content import Block, Column, Finding, Headline, Table, Text
from churnsurv.report.hazard_ratios import HazardRatioTable
from churnsurv.report.headlines import headline
from churnsurv.report.settings import StaggeredRollout, Term
from churnsurv.report.words import is_clear, level_words, listed, ratio_sentence, ratio_words

#: below so many units the robust variance is not to be trusted
FEW_UNITS = 20


def rollout(analysis: Analysis, settings: StaggeredRollout) -> tuple[list[Block], list[Headline]]:
    """Estimate the hazard ratio of a rollout.

    The clock is loan age, the strata are calendar quarters: a risk set holds loans of one age in one quarter, so that
    neither ageing nor the market of the time can pass for an effect. Rows of a unit are one cluster.
    """
    main, safety = analysis.config.main_cause, analysis.config.safety_cause
    key = re.sub(r"\W+", "-", settings.name.lower())
    check_indicator(analysis, settings)
    frame, y = analysis.complete.frame, analysis.complete.y
    n_units = int(frame[settings.unit].nunique())
    opening: list[Block] = [Text(settings.name, "subheading"), Text(_design(analysis, settings))]
    if n_units <= 1 + len(settings.adjust):
        text = (
            f"Not estimable with {counted(n_units, 'unit')} ({settings.unit}): what differs between units cannot be told from "
            f"chance with {counted(1 + len(settings.adjust), 'term')}. Intervals to trust need {FEW_UNITS} units or more."
        )
        return [*opening, Text(text, "headline")], [_headline(analysis, settings, None, text.split(":")[0])]
    columns = [settings.indicator, *settings.adjust]
    causes = [c for c in (main, safety) if c is not None]
    quarter = frame["period"].dt.to_period("Q").astype(str).to_numpy()
    models = {
        cause: CoxPH(cause=cause, ties=analysis.config.model.ties).fit(
            frame[columns], y, strata=quarter, cluster=frame[settings.unit].to_numpy()
        )
        for cause in causes
    }
    # the sign expected of the intervention is stated with the terms; here it is the estimand
    words = {settings.indicator: Term(label=settings.name)}
    table = ratios(models, analysis.config, words)
    effect = replace(
        table,
        frame=table.frame[table.frame["term"] == settings.indicator].assign(group="").reset_index(drop=True),
        title=f"{settings.name}: hazard ratios",
    )
    main_row = effect.row(settings.indicator, main)
    note = (
        f"Cause-specific Cox models, adjusted for {_adjusted(analysis, settings)}; "
        f"{level_words(analysis.config.level)} intervals robust to dependence within a {settings.unit} ({n_units} of them). "
        + (
            f"With fewer than {FEW_UNITS} units they are too narrow and p-values too small: read them as a description."
            if n_units < FEW_UNITS
            else "With few units such intervals are somewhat too narrow."
        )
        + " Hazards are assumed to be proportional and covariates linear on the log hazard; neither is tested here."
    )
    blocks: list[Block] = [
        *opening,
        Text(_result(settings, effect, causes), "headline"),
        _table(effect, f"{key}-effects", note),
    ]
    # with so few units an interval that excludes 1 shows little
    blocks += [] if n_units < FEW_UNITS else _safety(settings, effect, safety, f"{key}-effects")
    bounded = main_row["hazard_ratio"], main_row["hr_lower"], main_row["hr_upper"]
    meaning = f"Staggered rollout, first analysis: {ratio_words(main_row, main)}"
    return blocks, [_headline(analysis, settings, bounded, meaning)]


def _headline(
    analysis: Analysis, settings: StaggeredRollout, bounded: tuple[float, float, float] | None, meaning: str
) -> Headline:
    main = analysis.config.main_cause
    return headline(
        f"rollout.{settings.name}.{main}",
        f"{settings.name}: association with {main}",
        bounded,
        meaning,
        level=analysis.config.level,
        scale="log",
        format="number:2",
        symbol="HR",
        sample="cumulative",
        better="lower",
    )


def check_indicator(analysis: Analysis, settings: StaggeredRollout) -> None:
    """Refuse an indicator other than 0 and 1, or one that goes back to 0 within a unit."""
    frame = analysis.complete.frame
    try:
        values = frame[settings.indicator].astype(float)
    except (TypeError, ValueError):
        values = pd.Series(np.nan, frame.index)
    others = frame.loc[~values.isin((0.0, 1.0)), settings.indicator].drop_duplicates()
    if len(others):
        raise DataError(
            f"the indicator {settings.indicator!r} must be 0 before and 1 since the change; it also holds "
            f"{first_of(others.tolist())}."
        )
    if values.nunique() < 2:
        raise DataError(f"{settings.indicator!r} is {values.iloc[0]:g} throughout: there is nothing to compare.")
    by_unit = frame.assign(value=values).groupby([settings.unit, "period"], observed=True)["value"].agg(["min", "max"])
    before = by_unit.groupby(level=0)["max"].cummax()
    back = by_unit.index.get_level_values(0)[(by_unit["min"] < before).to_numpy()].unique()
    if len(back):
        raise DataError(
            f"{settings.indicator!r} is 0 again, or for some loans only, after it was 1 in "
            f"{counted(len(back), 'unit')} ({settings.unit} {first_of(back)}): a rollout reaches a unit as a whole and stays. "
            "Give the column of the units that change, or an indicator that stays 1."
        )


def _design(analysis: Analysis, settings: StaggeredRollout) -> str:
    frame = analysis.complete.frame
    switched = frame.groupby(settings.unit, observed=True)[settings.indicator].max()
    n_switched, n_units = int((switched > 0).sum()), len(switched)
    have = "has" if n_switched == 1 else "have"
    share = float(np.mean(frame[settings.indicator] > 0))
    return (
        f"A staggered rollout: {n_switched} of {n_units} units ({settings.unit}) {have} switched, at different "
        f"dates; {share:.0%} of the observed {analysis.config.unit}s lie after a switch. Loans in units that have switched "
        "are compared with loans of the same age in the same calendar quarter in units that have not. This is a first "
        "analysis: it assumes that the order of the units has nothing to do with their customers, that nobody reacts before "
        "the switch, and that the ratio is the same from the first day on. It differs from the ratio in "
        f"{{ref:ratios-{analysis.config.main_cause}}}, which is also adjusted for what the change works through and does not "
        "compare within calendar quarters."
    )


def _table(effect: HazardRatioTable, key: str, note: str) -> Table:
    columns = (
        Column("model", "Leaving by"),
        Column("hazard_ratio", "Hazard ratio", "number:2"),
        Column("interval", f"{level_words(effect.level)} CI", "interval:2"),
        Column("p_value", "p", "p"),
    )
    rows = tuple(
        (str(r["model"]).capitalize(), r["hazard_ratio"], (r["hr_lower"], r["hr_upper"]), r["p_value"])
        for r in effect.frame.to_dict("records")
    )
    return Table(key, effect.title, columns, rows, notes=(note,))


def _adjusted(analysis: Analysis, settings: StaggeredRollout) -> str:
    if not settings.adjust:
        return "nothing else"
    terms = analysis.config.terms
    names = [terms[name].label if name in terms else None for name in settings.adjust]
    return listed([(given or name).lower() for given, name in zip(names, settings.adjust, strict=True)])


def _result(settings: StaggeredRollout, effect: HazardRatioTable, causes: list[str]) -> str:
    sentences = []
    for position, cause in enumerate(causes):
        subject = settings.name if position == 0 else "Safety: the change"
        row, inline = effect.row(settings.indicator, cause), effect.inline(settings.indicator, cause)
        sentences.append(ratio_sentence(subject, row, inline, cause))
    return " ".join(sentences)


def _safety(settings: StaggeredRollout, effect: HazardRatioTable, safety: str | None, evidence: str) -> list[Block]:
    if safety is None:
        return []
    row = effect.row(settings.indicator, safety)
    if not (is_clear(row["hr_lower"], row["hr_upper"]) and row["hazard_ratio"] > 1):
        return []
    return [
        Finding(
            f"{settings.name} goes with more {safety}: {effect.inline(settings.indicator, safety)}.",
            "red",
            f"interval of the hazard ratio of {safety} not above 1",
            evidence,
            (row["hr_lower"], row["hr_upper"]),
            "interval:2",
        )
    ]
