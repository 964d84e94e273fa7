"""Why customers leave: hazard ratios by cause, whether their signs are the expected ones, forest plots."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from churnsurv.messages import counted
from churnsurv.plot import forest, forest_height
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Figure, Finding, Headline, Section, Table, Text
from churnsurv.report.disclosure import HIDDEN, told, told_of_cause
from churnsurv.report.exit_counts import COMPLETE
from churnsurv.report.figures import drawn
from churnsurv.report.hazard_ratios import CONTRARY, EXPECTED, UNCLEAR, HazardRatioTable
from churnsurv.report.headlines import headline
from churnsurv.report.sections.hazard_extras import baseline, beside, curves
from churnsurv.report.sections.specification import specification, spells_used
from churnsurv.report.words import are, listed, ratio_words

TITLE = "Specification and hazard ratios"

METHODS = (
    "Methods: partial likelihood on loan age with late entry; intervals and p-values are Wald's, with a robust variance by "
    "customer, each term by itself. Assumed: hazards are proportional (a ratio is the same at every age), numeric covariates "
    "act linearly on the log hazard, and censoring and late entry are independent of the risk of leaving given the "
    "covariates; the section on assumptions examines what of it the data can tell."
)


def hazards(analysis: Analysis) -> Part:
    """Say which covariates go with leaving sooner or later."""
    main = analysis.config.main_cause
    blocks: list[Block] = [
        Text(_reading(analysis)),
        *specification(analysis),
        *_left_out(analysis),
        Text(METHODS, "note"),
    ]
    headlines: list[Headline] = []
    for cause in analysis.config.spells.cause_names:
        ratios = replace(analysis.hazard_ratios.of(cause), title=f"Hazard ratios of {cause}")
        blocks += [Text(cause.capitalize(), "subheading"), Text(_found(ratios, cause))]
        blocks.append(_table(ratios, analysis, cause))
        blocks.append(_figure(ratios, cause))
        blocks.extend(curves(analysis, cause))
        blocks.extend(_findings(ratios, analysis, cause))
        if cause == main:
            headlines.extend(_headline(ratios, cause))
            blocks.extend(beside(analysis, cause))
    blocks += [Text("Baseline", "subheading"), *baseline(analysis)]
    return Part(Section("hazard-ratios", TITLE, tuple(blocks)), tuple(headlines))


def _reading(analysis: Analysis) -> str:
    model = next(iter(analysis.model.models_.values()))
    strata = analysis.config.model.strata
    within = f", with a baseline hazard of its own for every {listed(strata)}" if strata else ""
    return (
        "A hazard ratio compares two loans of the same age that are both still with us and alike in all other covariates: "
        "how many times as high is the rate of leaving of the one whose value is one unit higher? Above 1 means sooner, below "
        "1 later. Each cause has its own Cox model on loan age, in which the other causes are censored"
        f"{within}. Time-varying covariates are those known one {analysis.config.unit} before; ties are treated by "
        f"{model.ties.capitalize()}'s rule. Intervals allow loans of one customer to depend on each other (sandwich by "
        f"customer). The models use {_spells_used(analysis)} of {_loans_used(analysis)}. "
        "They describe association, not what would happen if a covariate were changed."
    )


def _spells_used(analysis: Analysis) -> str:
    shown = spells_used(analysis)
    return counted(shown, "spell") if isinstance(shown, int) else "nearly all spells"


def _loans_used(analysis: Analysis) -> str:
    """Give the number of loans of the models; with it a hidden number of the others could be computed."""
    shown = analysis.exits["loans", "complete"]
    return counted(shown, "loan") if isinstance(shown, int) else "nearly all loans"


def _left_out(analysis: Analysis) -> list[Block]:
    """Say why the models have fewer loans and exits than the portfolio, and what helps."""
    smallest = analysis.config.smallest_cell
    lost = {str(r["what"]): int(r["left_out"]) for r in analysis.complete.completeness.to_dict("records")}
    if not lost["spells"]:
        return []
    out = {cause: analysis.exits[cause, "outside", COMPLETE] for cause in analysis.config.spells.cause_names}
    exits = listed([told_of_cause(n, cause) for cause, n in out.items()])
    unit = analysis.config.unit
    text = (
        f"The models have fewer loans and exits than the portfolio: covariates are those of the {unit} before, so the first "
        f"observed {unit} of a loan has none, and spells with a missing covariate are left out. Without any spell in the "
        f"models are {told(lost['loans'], 'loan', smallest)}; exits left out: {exits}. Values at origination, where the loan "
        "table has them, fill the first one ([spells.at_origination])."
    )
    return [Text(text)]


def _found(ratios: HazardRatioTable, cause: str) -> str:
    frame = ratios.frame
    clear = frame[(frame["hr_lower"] > 1) | (frame["hr_upper"] < 1)]
    checked = frame[frame["expected"] != ""]
    unclear = len(frame) - len(clear)
    others = f"; {are(unclear)} not distinguishable from no effect" if unclear else ""
    have = "has" if len(clear) == 1 else "have"
    text = f"For {cause}, {len(clear)} of {counted(len(frame), 'term')} {have} an interval that excludes 1{others}."
    if len(checked):
        counts = {verdict: int((checked["verdict"] == verdict).sum()) for verdict in (EXPECTED, CONTRARY, UNCLEAR)}
        text += (
            f" Of {counted(len(checked), 'sign')} stated in advance, {counts[EXPECTED]} came out as expected, "
            f"{are(counts[UNCLEAR])} not distinguishable from 1 and {are(counts[CONTRARY])} contrary to expectation."
        )
    return text


def _table(ratios: HazardRatioTable, analysis: Analysis, cause: str) -> Table:
    model = analysis.model.models_[cause]
    events = analysis.exits.of_model(cause, COMPLETE)
    per = f", {events / len(model.coef_):.1f} per coefficient" if isinstance(events, int) else ""
    note = "p beside the name of a category: Wald's test of all its levels. " if len(ratios.references) else ""
    note += f"Events of {cause}: {f'{events:,}' if isinstance(events, int) else events or HIDDEN}{per}."
    if (ratios.frame["expected"] != "").any():
        note += (
            " Sign check: compares the interval with the sign stated in the configuration before fitting; \u201cnot "
            "distinguishable\u201d when the interval includes 1, a dash when no sign was stated."
        )
    table = ratios.to_table(f"ratios-{cause}", smallest=analysis.config.smallest_cell)
    return replace(table, notes=(note,))


def _figure(ratios: HazardRatioTable, cause: str) -> Figure:
    frame = ratios.to_frame()
    clear = frame[(frame["hr_lower"] > 1) | (frame["hr_upper"] < 1)]
    far = clear.reindex(clear["hazard_ratio"].apply(lambda r: max(r, 1 / r)).sort_values(ascending=False).index)
    said = [f"{r.label} {r.hazard_ratio:.2f}" for r in far.head(3).itertuples()]
    return drawn(
        f"forest-{cause}",
        f"Forest plot of the hazard ratios of {cause}",
        lambda ax: forest(ratios, ax=ax),
        width=4.0,
        height=forest_height(ratios),
        alt=f"Forest plot of {counted(len(frame), 'hazard ratio')} of {cause}."
        + (f" Farthest from 1: {listed(said)}." if said else " No interval excludes 1."),
        caption=f"The ratios of {{ref:ratios-{cause}}} on a logarithmic axis. Grey: the interval includes 1; blue: not.",
    )


def _findings(ratios: HazardRatioTable, analysis: Analysis, cause: str) -> list[Finding]:
    contrary = ratios.frame[ratios.frame["verdict"] == CONTRARY]
    most = analysis.config.thresholds.contrary_signs
    if len(contrary) <= most:
        return []
    return [
        Finding(
            f"{listed([str(v) for v in contrary['label']])}: the association with {cause} is contrary to the expected sign, "
            "and its interval excludes 1. Check the data of the covariate, confounding, or the expectation.",
            "amber",
            f"at most {most} signs contrary to expectation",
            f"ratios-{cause}",
            len(contrary),
            "integer",
        )
    ]


def _headline(ratios: HazardRatioTable, cause: str) -> list[Headline]:
    """Take the clearest term: the one with the smallest p-value."""
    frame = ratios.frame
    clear = frame[(frame["hr_lower"] > 1) | (frame["hr_upper"] < 1)]
    if clear.empty:
        return []
    row = {str(k): v for k, v in frame.loc[pd.to_numeric(clear["p_value"]).idxmin()].items()}
    unit = f" {row['per']}" if row["per"] else ""
    return [
        headline(
            f"ratio.{cause}.{row['term']}",
            f"Clearest association with {cause}: {row['label']}",
            (float(row["hazard_ratio"]), float(row["hr_lower"]), float(row["hr_upper"])),
            f"{ratio_words(row, cause)}{unit}, other covariates equal",
            level=ratios.level,
            scale="log",
            format="number:2",
            symbol="HR",
            sample="cumulative",
        )
    ]
