"""Exits by calendar quarter: numbers, yearly rates, their figure."""

from __future__ import annotations

import numpy as np
import pandas as pd

from churnsurv.data import Spells
from churnsurv.data.rules import MATURED
from churnsurv.evaluation.rates import exit_rates
from churnsurv.plot.rates import rates
from churnsurv.report.analysis import Analysis
from churnsurv.report.content import Cell, Column, Figure, Table
from churnsurv.report.disclosure import notes_if_hidden, suppressed
from churnsurv.report.exit_counts import QUARTERS_SHOWN, quarter_of
from churnsurv.report.figures import drawn
from churnsurv.report.words import level_words, listed


def exits_by_quarter(spells: Spells, level: float) -> pd.DataFrame:
    """Give per calendar quarter: loans at risk, exits, matured loans, yearly rates with exact Poisson intervals."""
    quarter = quarter_of(spells.frame)
    result = exit_rates(spells, quarter, level=level)
    result[MATURED] = (spells.frame["cause"] == MATURED).groupby(quarter).sum()
    result.index = pd.PeriodIndex([pd.Period(ordinal=int(n), freq="Q") for n in result.index], name="period")
    return result


def shown_by_quarter(analysis: Analysis) -> pd.DataFrame:
    """Give the table without the rates whose count is hidden."""
    table = exits_by_quarter(analysis.spells, analysis.config.level)
    for cause in analysis.config.spells.cause_names:
        hidden = [not analysis.exits.is_shown(cause, "quarter", quarter) for quarter in table.index]
        table.loc[hidden, [f"{cause} {name}" for name in ("rate", "lower", "upper")]] = np.nan
    return table


def quarter_table(analysis: Analysis) -> Table:
    """Give the exits of the last quarters."""
    causes, smallest = analysis.config.spells.cause_names, analysis.config.smallest_cell
    shown = shown_by_quarter(analysis).tail(QUARTERS_SHOWN)
    columns = [Column("quarter", "Quarter"), Column("loans", "Loans at risk", "integer")]
    published = analysis.exits.published((*causes, MATURED), "quarter")
    # of a column with more gaps than numbers nothing can be read
    told = [c for c in published if np.mean([analysis.exits.is_shown(c, "quarter", q) for q in shown.index]) >= 0.5]
    sparse = [c for c in published if c not in told]
    columns += [Column(c, c.capitalize(), "integer") for c in told]
    columns += [Column(f"{c} rate", f"{c.capitalize()} per year", "percent:1") for c in causes if c in told]
    rows = []
    for quarter, row in zip(shown.index, shown.to_dict("records"), strict=True):
        cells: list[Cell] = [f"{quarter.year} Q{quarter.quarter}", suppressed(int(row["loans"]), smallest)]
        cells += [analysis.exits[cause, "quarter", quarter] for cause in told]
        cells += [None if np.isnan(rate) else float(rate) for rate in (row[f"{c} rate"] for c in causes if c in told)]
        rows.append(tuple(cells))
    note = (
        "Loans at risk: under observation at any time of the quarter. Per year: exits divided by loan-years at risk, "
        "as if the quarter's pace lasted a year; maturity is the scheduled end, not a loss."
    )
    title = "Exits by quarter, the last eight"
    notes = [note, *notes_if_hidden(rows, smallest), *analysis.exits.withheld_notes((*causes, MATURED), "quarter")]
    if sparse:
        notes.append(f"Left out, because most quarters have too few exits to be shown: {listed(sparse)}.")
    return Table("by-quarter", title, tuple(columns), tuple(rows), notes=tuple(notes))


def quarter_figure(analysis: Analysis) -> list[Figure]:
    """Draw the yearly rates of all quarters."""
    quarterly, level = shown_by_quarter(analysis), analysis.config.level
    latest = quarterly.iloc[-1]
    # of a line with more gaps than points nothing can be read
    causes = tuple(c for c in analysis.config.spells.cause_names if quarterly[f"{c} rate"].notna().mean() >= 0.5)
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
