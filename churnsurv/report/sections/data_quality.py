"""What the data are worth: the clean-up, missing covariates, signs of leaks, the mix of new loans, findings of them."""

from __future__ import annotations

import re

import pandas as pd

from churnsurv.data.leakage import lint
from churnsurv.data.linting.signs import ERROR, OK
from churnsurv.data.missing import missingness
from churnsurv.data.reasons import CONTRADICTING, NO_ORIGINATION, NO_ROW, NOT_OBSERVED, OPEN_EARLIER
from churnsurv.evaluation.drift import characteristic_stability
from churnsurv.exceptions import DataError
from churnsurv.messages import counted
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Block, Column, Finding, Table, Text
from churnsurv.report.disclosure import count_words, is_small, notes_if_hidden, suppressed
from churnsurv.report.exit_counts import YEAR
from churnsurv.report.identifiers import without_ids
from churnsurv.report.words import listed, percent

#: lines of the clean-up that only count what the spells are like
_DESCRIPTIONS = ("late entry", "same-period entry and exit", "missing covariate")
#: reasons that say nothing of what became of a loan
_UNEXPLAINED = (OPEN_EARLIER, CONTRADICTING, NO_ORIGINATION, NOT_OBSERVED, NO_ROW)
#: new loans of a quarter and of the year before from which on their mix is compared
_FEWEST_NEW = 30


def data_quality(analysis: Analysis) -> list[Block]:
    """Give the tables of the data with the findings that the thresholds of [data_quality] make of them."""
    return [
        _cleaning(analysis),
        *_cleaning_findings(analysis),
        *_unexplained(analysis),
        *_missing(analysis),
        *_leaks(analysis),
        *_inflow(analysis),
    ]


def _cleaning(analysis: Analysis) -> Table:
    found, smallest = analysis.spells.cleaning.to_dict("records"), analysis.config.smallest_cell
    # a few rows are those of a few loans
    rows = tuple(
        (
            str(r["rule"])[:1].upper() + str(r["rule"])[1:],
            r["table"],
            r["column"],
            suppressed(int(r["count"]), smallest),
            r["unit"],
            _without_counts(str(r["action"]), smallest),
        )
        for r in found
    )
    columns = (
        Column("rule", "Rule"),
        Column("table", "Table"),
        Column("column", "Column"),
        Column("count", "Count", "integer"),
        Column("unit", "Unit"),
        Column("action", "What was done"),
    )
    notes = notes_if_hidden(rows, smallest) if rows else ("Nothing had to be cleaned.",)
    return Table("cleaning", "What the clean-up did", columns, rows, notes=notes)


def _without_counts(action: str, smallest: int) -> str:
    """Hide small numbers of loans in what was done, such as "not at risk in these periods (3 loans)"."""

    def told_of(match: re.Match[str]) -> str:
        return f"<{smallest} loans" if is_small(int(match[1].replace(",", "")), smallest) else match[0]

    return re.sub(r"\b(\d[\d,]*) loans?\b", told_of, action)


def _cleaning_findings(analysis: Analysis) -> list[Finding]:
    """Find rules of the clean-up that applied too often."""
    spells, most = analysis.spells, analysis.config.data_quality.most_cleaned
    of = {"loan": spells.loans_in, "row": len(analysis.tables["performance"])}
    found = []
    for record in spells.cleaning.to_dict("records"):
        count = int(record["count"])
        share = count / of.get(record["unit"], len(spells))
        if record["rule"] in _DESCRIPTIONS or share <= most or is_small(count, analysis.config.smallest_cell):
            continue
        text = (
            f"The clean-up rule \u201c{record['rule']}\u201d applied to {percent(share)} of the {record['unit']}s (column "
            f"{record['column']}): find out at the source why."
        )
        found.append(Finding(text, "amber", f"at most {percent(most)}", "cleaning", share, "percent:1"))
    return found


def _unexplained(analysis: Analysis) -> list[Finding]:
    """Find too many loans of which the data do not say what became of them."""
    spells, most = analysis.spells, analysis.config.data_quality.most_unexplained
    reasons = dict(zip(spells.reconciliation["reason"].astype(str), spells.reconciliation["loans"], strict=True))
    # what is hidden in the table is not told by a sum of it
    counts = {r: int(reasons[r]) for r in _UNEXPLAINED if reasons.get(r) and analysis.exits.is_shown(r, "reason")}
    share = sum(counts.values()) / spells.loans_in
    if share <= most:
        return []
    text = f"{percent(share)} of the loans given are not explained ({listed(list(counts))}): ask for their rows or their ends."
    return [Finding(text, "amber", f"at most {percent(most)}", "reconciliation", share, "percent:1")]


def _missing(analysis: Analysis) -> list[Block]:
    """Show the covariates of the models that are missing, and find those that are too often."""
    smallest = analysis.config.smallest_cell
    columns = [name for name in analysis.covariates if name in analysis.spells.frame]
    if not columns:
        return []
    table = missingness(analysis.spells, columns)
    gaps = table[table["missing"] > 0].sort_values("share", ascending=False, kind="stable")
    complete = counted(len(table) - len(gaps), "covariate")
    words = (
        f"{complete} of the models {'is' if len(table) - len(gaps) == 1 else 'are'} known in every spell in which a lagged "
        "value can be. A loan's first periods do not count: what is lagged is not known yet in them."
    )
    if gaps.empty:
        return [Text(words)]
    left_out = len(analysis.spells) - len(analysis.complete)
    words += (
        f" Nothing is filled in: the Cox models leave out the {count_words(left_out, smallest)} of {len(analysis.spells):,} "
        "spells that lack a covariate, first periods among them; this is unbiased if, given the covariates, who lacks one "
        "does not depend on who leaves."
    )
    rows = []
    for record in gaps.to_dict("records"):
        hidden = is_small(record["loans"], smallest)
        shares = (None, None, None) if hidden else (record["share"], record["first"], record["last"])
        rows.append((_label(analysis, record["column"]), suppressed(record["loans"], smallest), *shares))
    shown = Table(
        "missingness",
        "Missing covariates of the models",
        (
            Column("covariate", "Covariate"),
            Column("loans", "Loans that ever lack it", "integer"),
            Column("share", "Spells without it", "percent:1"),
            Column("first", "First quarter", "percent:1"),
            Column("last", "Last quarter", "percent:1"),
        ),
        tuple(rows),
        notes=notes_if_hidden(rows, smallest),
    )
    return [Text(words), shown, *_missing_findings(analysis, gaps)]


def _missing_findings(analysis: Analysis, gaps: pd.DataFrame) -> list[Finding]:
    limits, found = analysis.config.data_quality, []
    for record in gaps.to_dict("records"):
        if is_small(record["loans"], analysis.config.smallest_cell):
            continue
        name, share, rise = _label(analysis, record["column"]), record["share"], record["last"] - record["share"]
        if share > limits.most_missing:
            text = (
                f"{name} is missing in {percent(share)} of the spells: mend the source, or leave it out of the models."
            )
            limit = f"at most {percent(limits.most_missing)}"
            found.append(Finding(text, "amber", limit, "missingness", share, "percent:1"))
        if rise > limits.most_missing_rise:
            text = (
                f"{name} is missing in {percent(record['last'])} of the spells of the last quarter, in {percent(share)} of "
                "all: find out what changed in the delivery."
            )
            limit = f"at most {percent(limits.most_missing_rise)} more than in all"
            found.append(Finding(text, "amber", limit, "missingness", rise, "percent:1"))
    return found


def _leaks(analysis: Analysis) -> list[Block]:
    """Show what the linter of the data says of the covariates of the models."""
    columns = [name for name in analysis.covariates if name in analysis.spells.frame]
    if not columns:
        return []
    strata = list(analysis.config.model.strata)
    signs = lint(analysis.spells, interventions=analysis.tables.get("interventions"), columns=columns, strata=strata)
    found = signs[signs["level"] != OK]
    if found.empty:
        words = (
            f"The linter looked at {counted(len(columns), 'covariate')} for values from after the exit, unlagged or future "
            "values, immortal time, and columns whose effects cannot be told apart: none of its "
            f"{counted(signs['rule'].nunique(), 'rule')} found a sign."
        )
        return [Text(words)]
    # evidence and examples of the linter hold counts and identifiers, so they stay out
    rows = tuple(
        (str(r["level"]).capitalize(), str(r["rule"]).capitalize(), r["column"], r["remedy"])
        for r in found.to_dict("records")
    )
    heads = (Column("level", "Level"), Column("rule", "Rule"), Column("column", "Column"), Column("remedy", "Remedy"))
    table = Table("leakage", "Signs of leaks and of effects that are not identified", heads, rows)
    return [table, *(_leak_finding(part) for _, part in found.groupby(["level", "rule"]))]


def _leak_finding(signs: pd.DataFrame) -> Finding:
    rule, level = (str(signs[name].iloc[0]) for name in ("rule", "level"))
    text = (
        f"The linter reports \u201c{rule}\u201d for {listed([str(c) for c in signs['column']])}: see the remedy there."
    )
    return Finding(text, "red" if level == ERROR else "amber", "no sign", "leakage", len(signs), "integer")


def _inflow(analysis: Analysis) -> list[Block]:
    """Compare the mix of the loans first seen in the last quarter with those of the four quarters before."""
    config, frame = analysis.config, analysis.spells.frame
    of_loans = [n for n in analysis.covariates if n in config.spells.covariates.loans and n in frame]
    columns = list(dict.fromkeys([*config.incidence.segments, *of_loans]))
    new = frame.drop_duplicates("loan_id")
    quarter = new["period"].dt.to_period("Q")
    latest = frame["period"].max().to_period("Q")
    now = new[(quarter == latest).to_numpy()]
    before = new[((quarter < latest) & (quarter >= latest - YEAR) & (quarter > quarter.min())).to_numpy()]
    if not columns:
        return []
    if min(len(now), len(before)) < _FEWEST_NEW:
        return [Text("Too few loans came in the last quarter or in the year before to compare their mix.")]
    try:
        drift = characteristic_stability(
            before,
            now,
            columns,
            groups=(before["customer_id"].to_numpy(), now["customer_id"].to_numpy()),
            false_alarm_rate=config.data_quality.false_alarm_rate,
        )
    except DataError as error:
        return [Text(f"The mix of new loans could not be compared: {without_ids(str(error), analysis)}", "note")]
    rows = tuple(
        (_label(analysis, one.name), one.value, one.threshold, "shifted" if one.alarm else "no alarm")
        for one in sorted(drift.characteristics, key=lambda one: (-one.value / one.threshold, one.name))
    )
    table = Table(
        "inflow",
        "Mix of the loans first seen in the last quarter, against the four quarters before",
        (
            Column("name", "Characteristic"),
            Column("value", "Stability index", "number:3"),
            Column("threshold", "Alarm above", "number:3"),
            Column("verdict", "Verdict"),
        ),
        rows,
        notes=(
            f"Thresholds are such that all characteristics together raise any alarm with probability "
            f"{percent(config.data_quality.false_alarm_rate, 0)} when the mix has not changed. The scores and covariates of "
            "the whole portfolio are compared in the section on stability, where there is one.",
        ),
    )
    if not drift.alarms:
        return [table]
    worst = max(drift.alarms, key=lambda one: one.value / one.threshold)
    names = listed([_label(analysis, one.name).lower() for one in drift.alarms])
    text = f"The mix of new loans has shifted ({names}): check whether the models are used on loans unlike those they know."
    limit = f"stability index of {_label(analysis, worst.name).lower()} of at most {worst.threshold:.3f}"
    return [table, Finding(text, "amber", limit, "inflow", worst.value, "number:3")]


def _label(analysis: Analysis, name: str) -> str:
    term = analysis.config.terms.get(name)
    return name.replace("_", " ").capitalize() if term is None or term.label is None else term.label
