"""Portfolio flow: loans in and out, what the clean-up did, exits by quarter."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2

from churnsurv.data import Spells
from churnsurv.messages import counted
from churnsurv.plot.rates import rates
from churnsurv.report.analysis import Analysis, Part
from churnsurv.report.content import Block, Column, Figure, Section, Table, Text
from churnsurv.report.figures import drawn
from churnsurv.report.words import listed

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
    quarterly = exits_by_quarter(spells, config.level)
    blocks: list[Block] = [
        Text(
            f"The report covers {counted(frame['loan_id'].nunique(), 'loan')}{of_customers}, observed by {config.unit} from "
            f"{first:%B %Y} to {ends:%B %Y}. {{ref:reconciliation}} accounts for every loan given, {{ref:cleaning}} for what "
            "was set right on the way."
        ),
        Text(
            f"{counted(late, 'loan')} came under observation after origination. They count as at risk only from the age at "
            "which they were first seen: the loans that had left by then are unknown, and counting the survivors from the "
            "origin would make retention look better than it is."
        ),
        _reconciliation(spells),
        _cleaning(spells),
        _by_quarter(quarterly, spells),
        _figure(quarterly, config.spells.cause_names),
    ]
    return Part(Section("portfolio", TITLE, tuple(blocks)))


def _reconciliation(spells: Spells) -> Table:
    frame = spells.reconciliation
    total = int(frame["loans"].iloc[0])
    rows = tuple((_sentence_case(r["reason"]), int(r["loans"]), r["loans"] / total) for r in frame.to_dict("records"))
    columns = (Column("reason", "Loans"), Column("loans", "Number", "integer"), Column("share", "Share", "percent:1"))
    return Table(
        "reconciliation", "Loans in and out", columns, rows, notes=("The first row is the sum of those below it.",)
    )


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cleaning(spells: Spells) -> Table:
    names = ("rule", "table", "column", "count", "unit", "action")
    rows = tuple(
        (_sentence_case(str(r["rule"])), *(r[name] for name in names[1:])) for r in spells.cleaning.to_dict("records")
    )
    columns = (
        Column("rule", "Rule"),
        Column("table", "Table"),
        Column("column", "Column"),
        Column("count", "Count", "integer"),
        Column("unit", "Unit"),
        Column("action", "What was done"),
    )
    notes = () if rows else ("Nothing had to be cleaned.",)
    return Table("cleaning", "What the clean-up did", columns, rows, notes=notes)


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


def _by_quarter(quarterly: pd.DataFrame, spells: Spells) -> Table:
    causes = spells.rules.cause_names
    shown = quarterly.tail(8)
    columns = [Column("quarter", "Quarter"), Column("loans", "Loans at risk", "integer")]
    columns += [Column(c, c.capitalize(), "integer") for c in (*causes, "matured")]
    columns += [Column(f"{c} rate", f"{c.capitalize()} per year", "percent:1") for c in causes]
    rows = tuple(
        (f"{quarter.year} Q{quarter.quarter}", *(row[column.name] for column in columns[1:]))
        for quarter, row in zip(shown.index, shown.to_dict("records"), strict=True)
    )
    note = (
        "Loans at risk: under observation at any time of the quarter. Per year: exits divided by loan-years at risk, "
        "as if the quarter's pace lasted a year; maturity is the scheduled end, not a loss."
    )
    return Table("by-quarter", "Exits by quarter, the last eight", tuple(columns), rows, notes=(note,))


def _figure(quarterly: pd.DataFrame, causes: tuple[str, ...]) -> Figure:
    latest = quarterly.iloc[-1]
    said = [f"{cause} {100 * latest[f'{cause} rate']:.1f}%" for cause in causes]
    return drawn(
        "rates",
        "Yearly rate of leaving by calendar quarter",
        lambda ax: rates(quarterly, causes, ax=ax),
        height=3.0,
        alt=f"Line chart of the yearly exit rate per quarter. In the last quarter: {listed(said)}.",
        caption=(
            "Exits per loan-year at risk, with exact Poisson intervals of the count. The mix of loan ages changes over "
            "time, so a trend here is a description, not an effect."
        ),
    )
