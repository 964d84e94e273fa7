"""Champion against challengers on the same loans, and the champion fitted again by other programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from churnsurv.estimators.cause_specific import CauseSpecificCox
from churnsurv.evaluation import Replication, replicate
from churnsurv.exceptions import ChurnSurvError
from churnsurv.plot import comparison
from churnsurv.report.analysis import Analysis, Part, named
from churnsurv.report.content import Block, Cell, Column, Finding, Section, Table, Text
from churnsurv.report.estimates import bounds, in_words, number
from churnsurv.report.figures import drawn
from churnsurv.report.identifiers import without_ids
from churnsurv.report.trial import CHAMPION, FOREST, NULL, Trial, sample_of
from churnsurv.report.words import level_words, listed, periods

TITLE = "Challengers and replication"

_LABELS = {NULL: "Same risk for all"}
#: what the champion is fitted again with
_PROGRAMS = ("lifelines", "scikit-survival")
#: letters of a reason that stand in the table
_REASON = 160


def challengers(analysis: Analysis) -> Part:
    """Compare the champion with its challengers, and with what other programs find."""
    trial, config = analysis.trial, analysis.config
    with named("[challengers]"):
        blocks: list[Block] = [Text(_said(analysis, trial, cause)) for cause in trial.causes]
        table = _table(analysis, trial)
        blocks += [_figure(analysis, trial), table, *_findings(analysis, trial, table.key)]
        if config.challengers.replicate:
            blocks += _replication(analysis)
    return Part(Section("challengers", TITLE, tuple(blocks)))


def _differences(trial: Trial, metric: str, cause: str) -> pd.DataFrame:
    table = trial.found.differences
    rows = table[(table["metric"] == metric) & (table["cause"] == cause) & (table["horizon"] == trial.horizon)]
    return rows.set_index("model")


def _said(analysis: Analysis, trial: Trial, cause: str) -> str:
    """Say which challenger is surely better or worse than the champion, and that of the others it cannot be told."""
    gaps = _differences(trial, "auc", cause).dropna(subset=["lower"])
    sure = gaps[gaps["p_holm"] < 1 - analysis.config.level]
    better, worse = (
        [_LABELS.get(str(name), str(name)) for name in sure.index[side]]
        for side in (sure["difference"] > 0, sure["difference"] < 0)
    )
    rest = [_LABELS.get(str(name), str(name)) for name in gaps.index if name not in sure.index]
    parts = []
    if better:
        parts.append(f"{listed(better)} rank{'s' if len(better) == 1 else ''} better than the Cox model")
    if worse:
        parts.append(f"{listed(worse)} rank{'s' if len(worse) == 1 else ''} worse")
    if rest:
        parts.append(f"for {listed(rest)} no difference from the Cox model can be told")
    ahead = periods(trial.horizon, analysis.config.unit)
    if not parts:
        return f"Of {cause}, no challenger could be compared."
    return f"By the AUC of {cause} within {ahead}, {listed(parts)} (differences on the same loans, by Holm's rule)."


def _figure(analysis: Analysis, trial: Trial) -> Block:
    cause = trial.causes[0]
    gaps = _differences(trial, "auc", cause).dropna(subset=["difference"])
    shown = listed(
        [f"{_LABELS.get(str(n), str(n))} {row['difference']:+.3f}" for n, row in gaps.iterrows()] or ["none"]
    )
    return drawn(
        "challengers-auc",
        f"AUC of {cause}, {periods(trial.horizon, analysis.config.unit)} ahead: difference from the Cox model",
        lambda ax: comparison(
            trial.found, "auc", cause=cause, horizon=trial.horizon, differences=True, ax=ax, labels=_LABELS
        ),
        alt=f"Differences of the AUC from the Cox model: {shown}.",
        caption=f"{level_words(analysis.config.level)} intervals of the differences, paired. Grey: the interval includes 0.",
        height=1.1 + 0.36 * len(trial.found.differences["model"].unique()),
    )


def _fitted_to(analysis: Analysis, model: str) -> str:
    on_cohort = model in (FOREST, NULL) or model not in (CHAMPION, "Monthly hazards")
    return "loans at a date" if on_cohort else f"all {analysis.config.unit}s, loan age"


def _table(analysis: Analysis, trial: Trial) -> Table:
    level = level_words(analysis.config.level)
    rows: list[tuple[Cell, ...]] = []
    groups: list[str] = []
    for cause in trial.causes:
        auc, brier = (_differences(trial, metric, cause) for metric in ("auc", "brier"))
        for model in dict.fromkeys(trial.found.table["model"]):
            own = trial.row("auc", cause, str(model))
            name = f"{model} (champion)" if model == CHAMPION else _LABELS.get(str(model), str(model))
            cells: list[Cell] = [name, _fitted_to(analysis, str(model))]
            cells += [number(own["value"]), bounds(own["lower"], own["upper"])]
            if model in auc.index:
                gap, score = auc.loc[model], brier.loc[model]
                cells += [number(gap["difference"]), bounds(gap["lower"], gap["upper"]), number(gap["p_holm"])]
                cells += [bounds(score["lower"], score["upper"])]
            else:
                cells += [None] * 4
            cells.append(_reason(without_ids(str(own["reason"] or ""), analysis)) if model != CHAMPION else "")
            rows.append(tuple(cells))
            groups.append(cause.capitalize())
    columns: tuple[Column, ...] = (
        Column("model", "Model"),
        Column("fitted", "Fitted to"),
        Column("auc", "AUC", "number:3"),
        Column("interval", f"{level} CI", "interval:3"),
        Column("difference", "Difference", "number:3"),
        Column("difference_interval", f"{level} CI", "interval:3"),
        Column("p", "p (Holm)", "p"),
        Column("brier", "Brier difference, CI", "interval:4"),
        Column("remark", "Remark"),
    )
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    note = (
        "Difference: challenger minus Cox model on the same loans, loans of one customer together; of the AUC more is better, "
        "of the Brier score less. p: that both do equally well, adjusted by Holm's rule for all measures, causes and "
        "challengers. The models are taken as fitted. Models fitted to loans at a date know the loan's age as a covariate, and "
        "nothing of other dates. \u201cSame risk for all\u201d: Aalen and Johansen's estimate, without covariates."
    )
    title = f"Champion and challengers, {periods(trial.horizon, analysis.config.unit)} ahead"
    return Table("challengers-table", title, columns, tuple(rows), tuple(groups), (note,))


def _reason(reason: Any) -> str:
    text = " ".join(str(reason or "").split())
    return text if len(text) <= _REASON else text[: _REASON - 1].rsplit(" ", 1)[0] + " \u2026"


def _findings(analysis: Analysis, trial: Trial, evidence: str) -> list[Finding]:
    margin, found = analysis.config.challengers.margin, []
    for cause in trial.causes:
        gaps = _differences(trial, "auc", cause).dropna(subset=["lower"])
        for model, gap in gaps.iterrows():
            shown = in_words(gap["difference"], gap["lower"], gap["upper"], 3)
            if model == NULL:
                if gap["upper"] >= 0 and cause == analysis.config.main_cause:
                    text = (
                        f"That the Cox model ranks {cause} better than no model cannot be shown: the difference of the AUC is "
                        f"{shown}, and the interval reaches 0."
                    )
                    interval = bounds(gap["lower"], gap["upper"])
                    found.append(
                        Finding(text, "amber", "the model surely better than none", evidence, interval, "interval:3")
                    )
            elif gap["p_holm"] < 1 - analysis.config.level and gap["lower"] > margin:
                text = (
                    f"The challenger {model} ranks {cause} better than the Cox model by {shown} in AUC. Find out what it knows "
                    "(interactions, curves), and bring it into the champion."
                )
                interval = bounds(gap["lower"], gap["upper"])
                threshold = f"no challenger surely better by more than {margin:g}"
                found.append(Finding(text, "amber", threshold, evidence, interval, "interval:3"))
        failed = trial.found.table[(trial.found.table["metric"] == "auc") & (trial.found.table["cause"] == cause)]
        if failed.groupby("model")["value"].apply(lambda v: v.isna().all()).drop(CHAMPION, errors="ignore").all():
            text = f"No challenger of {cause} could be judged: see the remarks."
            found.append(Finding(text, "amber", "at least one challenger", evidence))
    return found


def _replication(analysis: Analysis) -> list[Block]:
    """Fit the champion again with other programs, and show number by number how far they agree."""
    settings, config = analysis.config.challengers, analysis.config
    seed = 0 if config.evaluation is None else config.evaluation.forest.seed
    sample = sample_of(analysis.complete, settings.replicated_loans, seed)
    columns = [*analysis.covariates, *(n for n in config.model.strata if n not in analysis.covariates)]
    try:
        if sample is None:
            rows, model = analysis.complete, analysis.model
        else:
            rows = sample
            model = CauseSpecificCox(config.model.formula, ties=config.model.ties)
            model.fit(rows.frame[columns], rows.y, strata=list(config.model.strata) or None, cluster=rows.groups)
        found = replicate(model, rows.frame[columns], rows.y)
        # what another program says of its failure may hold anything
        told = tuple(without_ids(text, analysis) for text in found.left_out)
        found = replace(found, reason=without_ids(found.reason, analysis), left_out=told)
    except ChurnSurvError as error:
        text = f"The champion could not be fitted again with other programs: {without_ids(str(error), analysis)}"
        return [Finding(text, "amber", "the champion's numbers are replicated", "challengers")]
    return [Text("Replication", "subheading"), Text(_replicated(found, sample, analysis)), *_replication_table(found)]


def _replicated(found: Replication, sample: Any, analysis: Analysis) -> str:
    programs = listed([f"{name} {number}" for name, number in sorted(found.versions.items()) if name in _PROGRAMS])
    whose = (
        "The Cox models of this report were"
        if sample is None
        else f"The Cox models, fitted to a random sample of customers with {sample.frame['loan_id'].nunique():,} of "
        f"{analysis.complete.frame['loan_id'].nunique():,} loans, were"
    )
    without = _not_replicated(found)
    verdict = {
        "replicated": f"They are replicated, but for {listed(without)}." if without else "They are replicated.",
        "not replicated": "They are not replicated.",
        "not applicable": "There is no verdict.",
    }.get(found.verdict, found.verdict)
    left = "; ".join(found.left_out)
    return (
        f"{whose} fitted again with other programs ({programs}). {verdict} {found.reason}"
        + (f" Not compared: {left}." if left else "")
        + " Both read the same prepared rows: an error in the data or their preparation is not found this way."
    )


def _not_replicated(found: Replication) -> list[str]:
    """Give the causes of which nothing but the counts was compared."""
    compared = set(found.table.loc[found.table["peer"] != "count", "cause"])
    return [str(cause) for cause in dict.fromkeys(found.table["cause"]) if cause not in compared]


def _replication_table(found: Replication) -> list[Block]:
    blocks: list[Block] = []
    if len(found.table):
        rows: list[tuple[Cell, ...]] = []
        groups: list[str] = []
        for (cause, peer, quantity), part in found.table.groupby(["cause", "peer", "quantity"], sort=False):
            worst = part.loc[(part["difference"].abs() - part["tolerance"]).idxmax()]
            agree = bool((part["verdict"] == "same").all())
            rows.append(
                (
                    str(quantity), "" if peer == "count" else str(peer), len(part), f"{abs(worst['difference']):.1e}",
                    f"{worst['tolerance']:.1e}", "agree" if agree else "differ",
                )
            )  # fmt: skip
            groups.append(str(cause).capitalize())
        columns = (
            Column("quantity", "Quantity"),
            Column("program", "Program"),
            Column("numbers", "Numbers", "integer"),
            Column("difference", "Largest difference", "value"),
            Column("tolerance", "Allowed", "value"),
            Column("verdict", "Verdict"),
        )
        note = "Of several numbers the one that comes closest to what is allowed, or exceeds it most, is shown."
        blocks.append(
            Table("replication", "Replication by other programs", columns, tuple(rows), tuple(groups), (note,))
        )
    without = _not_replicated(found)
    if without and found.verdict == "replicated":
        text = f"No other program could fit the model of {listed(without)}: its numbers rest on this one alone."
        threshold = "every cause is replicated by a program"
        blocks.append(Finding(text, "amber", threshold, "replication", len(without), "integer"))
    if found.verdict == "not replicated":
        text = f"Other programs get other numbers than the champion. {found.reason}"
        blocks.append(Finding(text, "red", "all numbers agree within their tolerances", "replication"))
    elif found.verdict != "replicated":
        text = f"Whether other programs get the champion's numbers is not known: {found.reason}"
        blocks.append(Finding(text, "amber", "the champion's numbers are replicated", "challengers"))
    return blocks
