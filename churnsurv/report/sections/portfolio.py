"""Portfolio flow: loans in and out, what the clean-up did, exits by quarter."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from scipy.stats import chi2

from churnsurv.data import Spells
from churnsurv.messages import counted
from churnsurv.plot.rates import rates
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Cell, Column, Figure, Section, Table, Text
from churnsurv.report.disclosure import (
    count_words,
    is_small,
    notes_if_hidden,
    suppressed,
    suppressed_column,
    told,
    without_small,
)
from churnsurv.report.figures import drawn
from churnsurv.report.words import level_words, listed

TITLE = "Portfolio flow"


def portfolio(analysis: Analysis) -> Part:
    """Say which loans the report is about, and how many left when."""
    spells, config = analysis.spells, analysis.config
    frame = spells.frame
    first, last = frame["period"].min(), frame["period"].max()
    ends = last.to_period("M" if config.unit == "month" else "Q").end_time
    customers = frame["customer_id"].nunique()
    of_customers = "" if customers == frame["loan_id"].nunique() else f" of {counted(customers, 'customer')}"
    late = int((frame.drop_duplicates("loan_id")["entry"] > 0).sum())
    causes = config.spells.cause_names
    came = told(late, "loan", config.smallest_cell).capitalize()
    quarterly = exits_by_quarter(spells, config.level)
    blocks: list[Block] = [
        Text(
            f"The report covers {counted(frame['loan_id'].nunique(), 'loan')}{of_customers}, observed by {config.unit} from "
            f"{first:%B %Y} to {ends:%B %Y}. {{ref:reconciliation}} accounts for every loan given, {{ref:cleaning}} for what "
            "was set right on the way."
        ),
        Text(
            f"{came} came under observation after origination. They count as at risk only from the age at "
            "which they were first seen: the loans that had left by then are unknown, and counting the survivors from the "
            "origin would make retention look better than it is."
        ),
        *_cut_off(analysis),
        _reconciliation(spells, config.smallest_cell),
        _cleaning(spells, config.smallest_cell),
        _by_quarter(quarterly, spells, config.smallest_cell),
        *_figure(without_small(quarterly, causes, config.smallest_cell), causes, config.level),
    ]
    return Part(Section("portfolio", TITLE, tuple(blocks)))


def _cut_off(analysis: Analysis) -> list[Block]:
    """Say what lies after the date of the report."""
    if not analysis.cut:
        return []
    config, cut = analysis.config, analysis.cut
    exits = listed([f"{count_words(cut[cause], config.smallest_cell)} {cause}" for cause in config.spells.cause_names])
    text = (
        f"The data go on after {config.as_of:%d %B %Y}. What came later is not in this report: "
        f"{told(cut['spells'], f'loan-{config.unit}', config.smallest_cell)}, with exits: {exits}."
    )
    return [Text(text)]


def exits_shown(spells: Spells, smallest: int) -> dict[str, Cell]:
    """Give reason → number of loans as the reader may see it; the first is the total."""
    frame = spells.reconciliation
    counts = [int(n) for n in frame["loans"]]
    cells = [counts[0], *suppressed_column(counts[1:], smallest)]
    return dict(zip(frame["reason"].astype(str), cells, strict=True))


def _reconciliation(spells: Spells, smallest: int) -> Table:
    cells = exits_shown(spells, smallest)
    total = int(spells.reconciliation["loans"].iloc[0])
    rows = tuple((_sentence_case(r), n, n / total if isinstance(n, int) else None) for r, n in cells.items())
    columns = (Column("reason", "Loans"), Column("loans", "Number", "integer"), Column("share", "Share", "percent:1"))
    notes = ("The first row is the sum of those below it.", *notes_if_hidden(rows, smallest))
    return Table("reconciliation", "Loans in and out", columns, rows, notes=notes, emphasis=(0,))


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cleaning(spells: Spells, smallest: int) -> Table:
    found = spells.cleaning.to_dict("records")
    # a few rows are those of a few loans
    counts = [suppressed(int(r["count"]), smallest) for r in found]
    rows = tuple(
        (
            _sentence_case(str(r["rule"])),
            r["table"],
            r["column"],
            count,
            r["unit"],
            _without_counts(str(r["action"]), smallest),
        )
        for r, count in zip(found, counts, strict=True)
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


def exits_by_quarter(spells: Spells, level: float) -> pd.DataFrame:
    """Give per calendar quarter: loans at risk, exits, yearly rates with exact Poisson intervals (Garwood 1936)."""
    frame = spells.frame
    quarter = frame["period"].dt.to_period("Q")
    per_year = 12 if spells.rules.period == "month" else 4
    grouped = frame.groupby(quarter)
    result = pd.DataFrame({"loans": grouped["loan_id"].nunique(), "exposure": grouped.size() / per_year})
    for cause in (*spells.rules.cause_names, "matured"):
        result[cause] = (frame["cause"] == cause).groupby(quarter).sum()
    tail = (1 - level) / 2
    for cause in spells.rules.cause_names:
        events = result[cause].to_numpy(dtype=float)
        lower = np.where(events > 0, chi2.ppf(tail, 2 * np.maximum(events, 1)) / 2, 0.0)
        result[f"{cause} rate"] = events / result["exposure"]
        result[f"{cause} lower"] = lower / result["exposure"]
        result[f"{cause} upper"] = chi2.ppf(1 - tail, 2 * (events + 1)) / 2 / result["exposure"]
    return result


def _by_quarter(quarterly: pd.DataFrame, spells: Spells, smallest: int) -> Table:
    causes = spells.rules.cause_names
    shown = quarterly.tail(8)
    counts = ["loans", *causes, "matured"]
    # with eight quarters or less in all, the totals are known from the reconciliation
    column_of = suppressed_column if len(quarterly) <= 8 else (lambda values, k: [suppressed(n, k) for n in values])
    cells: dict[str, list[Cell]] = {name: column_of([int(n) for n in shown[name]], smallest) for name in counts}
    for cause in causes:
        known = zip(cells[cause], shown[f"{cause} rate"], strict=True)
        cells[f"{cause} rate"] = [float(rate) if isinstance(n, int) else None for n, rate in known]
    columns = [Column("quarter", "Quarter"), Column("loans", "Loans at risk", "integer")]
    columns += [Column(c, c.capitalize(), "integer") for c in (*causes, "matured")]
    columns += [Column(f"{c} rate", f"{c.capitalize()} per year", "percent:1") for c in causes]
    rows = tuple(
        (f"{quarter.year} Q{quarter.quarter}", *(cells[column.name][position] for column in columns[1:]))
        for position, quarter in enumerate(shown.index)
    )
    note = (
        "Loans at risk: under observation at any time of the quarter. Per year: exits divided by loan-years at risk, "
        "as if the quarter's pace lasted a year; maturity is the scheduled end, not a loss."
    )
    return Table(
        "by-quarter",
        "Exits by quarter, the last eight",
        tuple(columns),
        rows,
        notes=(note, *notes_if_hidden(rows, smallest)),
    )


def _figure(quarterly: pd.DataFrame, causes: tuple[str, ...], level: float) -> list[Figure]:
    latest = quarterly.iloc[-1]
    causes = tuple(cause for cause in causes if quarterly[f"{cause} rate"].notna().sum() > 1)
    if not causes:
        return []
    said = [f"{cause} {_rate_words(latest[f'{cause} rate'])}" for cause in causes]
    gaps = bool(quarterly[[f"{cause} rate" for cause in causes]].isna().any(axis=None))
    figure = drawn(
        "rates",
        "Yearly rate of leaving by calendar quarter",
        lambda ax: rates(quarterly, causes, ax=ax),
        height=3.0,
        alt=f"Line chart of the yearly exit rate per quarter. In the last quarter: {listed(said)}.",
        caption=(
            f"Exits per loan-year at risk, with exact {level_words(level)} Poisson intervals of the count, quarter by quarter; "
            "loans are taken as independent. The mix of loan ages changes over time, so a trend here is a description, "
            "not an effect." + (" Gaps: too few exits to be shown." if gaps else "")
        ),
    )
    return [figure]


def _rate_words(rate: float) -> str:
    return "not shown" if np.isnan(rate) else f"{100 * rate:.1f}%"
